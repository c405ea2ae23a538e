"""Asks a fleet the questions of dialogues under a context policy, and scores the answers: is what was kept also used?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from routelab.context import Memory, Policy, Room, Span, Summary
from routelab.context.playing import fit_live
from routelab.core.errors import ContextExceeded, ProviderError
from routelab.core.values import Message, Reply
from routelab.lab.contexts.dialogues import Dialogue, told
from routelab.lab.statistics import Estimate, mean


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A fact asked about: whether what was sent `held` it, whether the answer is `right`, and what that took.

    An answer is right when it gives the fact's answer as whole words and not the stale one. A request that did not fit or was not
    answered is wrong, and `error` says why; a cost of None is not known. `cost_usd` includes the summaries written for it.
    """

    dialogue: str
    fact: str
    held: bool
    right: bool
    text: str = ""
    error: str = ""
    tokens: int | None = None
    cost_usd: float | None = None


async def answered(
    policy: Policy,
    dialogues: Sequence[Dialogue],
    room: Room,
    ask: Callable[[tuple[Message, ...]], Awaitable[Reply]],
    summarise: Callable[[Span], Awaitable[Summary]],
) -> tuple[Answer, ...]:
    """Return an answer for each fact, asked as the dialogue's next message; `ask` and `summarise` reach models.

    One question after another, each dialogue's summaries written once. Only a ProviderError of either counts as no answer.
    """
    found = []
    for dialogue in dialogues:
        memory = Memory()
        for fact in dialogue.facts:
            messages = (*dialogue.messages, Message(role="user", content=fact.question))
            blank = Answer(dialogue=dialogue.id, fact=fact.id, held=False, right=False)
            try:
                fitted = await fit_live(policy(messages, room), summarise, memory)
            except ContextExceeded as trouble:
                found.append(replace(blank, error=trouble.message, cost_usd=0.0))
                continue
            except ProviderError as trouble:
                found.append(replace(blank, error=trouble.message))
                continue
            blank = replace(blank, held=fact.held(fitted.messages[:-1]))
            try:
                reply = await ask(fitted.messages)
            except ProviderError as trouble:
                found.append(replace(blank, error=trouble.message))
                continue
            spent = (reply.cost_usd, fitted.cost_usd)
            found.append(
                replace(
                    blank,
                    right=told(reply.text, fact.answer) and not (fact.stale and told(reply.text, fact.stale)),
                    text=reply.text,
                    tokens=reply.tokens.input,
                    cost_usd=None if None in spent else sum(c or 0.0 for c in spent),
                )
            )
    return tuple(found)


def accuracy(answers: Sequence[Answer]) -> Estimate:
    """Return the share of right answers, its interval clustered by dialogue."""
    _, clusters = np.unique(np.array([a.dialogue for a in answers]), return_inverse=True)
    right = np.array([a.right for a in answers], dtype=np.float64)
    return mean(right, clusters.reshape(-1).astype(np.intp))
