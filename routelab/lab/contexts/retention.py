"""What a context policy keeps of a dialogue's facts, request by request, and what the dialogue costs with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from routelab.context import Fitted, Memory, Policy, Room, fit
from routelab.context.fitted import Summariser
from routelab.context.playing import refuse
from routelab.core.errors import ContextExceeded
from routelab.core.ports import Floats
from routelab.core.values import Message, Price, Tokens
from routelab.lab.contexts.dialogues import Dialogue, Fact
from routelab.lab.statistics import Estimate, NonInferiority, mean, non_inferiority, paired_difference, quality_mean

CACHED_FROM = 1_024
"""Tokens from which providers' prompt caches begin to serve a repeated front (OpenAI and Anthropic; 2026)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One fact at the dialogue's end: `held` by what would be sent with its question, `verbatim` when its own message is.

    `stale`: only what was said before the correction is there. `age` is how many messages were said since.
    """

    dialogue: str
    fact: str
    how: str
    age: int
    held: bool
    verbatim: bool
    stale: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Bill:
    """What a whole dialogue's requests took: input tokens over all of them, how many of these a prompt cache could serve,
    and what the summaries read and wrote; `failed` requests did not fit and were not sent.
    """

    input: int
    cached: int
    summaries: int
    summary_input: int
    summary_output: int
    failed: int = 0
    largest: int = 0

    @property
    def total(self) -> int:
        """Input tokens including the summaries' own."""
        return self.input + self.summary_input


@dataclass(frozen=True, kw_only=True, eq=False)
class Retention:
    """One policy over dialogues: a bill a dialogue, the probes of each, and by age what was held at every later request."""

    name: str
    dialogues: tuple[str, ...]
    groups: tuple[str, ...]
    bills: tuple[Bill, ...]
    probes: tuple[tuple[Probe, ...], ...]
    ages: NDArray[np.int64]
    """Rows (age in messages, held as 0 or 1), one for each fact at each request after it was said."""
    simulated: bool = False

    @property
    def every(self) -> tuple[Probe, ...]:
        """All probes."""
        return tuple(p for row in self.probes for p in row)

    def shares(self) -> Floats:
        """Return each dialogue's share of facts held at its end."""
        return np.array([np.mean([p.held for p in row]) for row in self.probes], dtype=np.float64)

    def recall(self) -> Estimate:
        """Return the mean over dialogues of the share of facts held, with its interval."""
        return quality_mean(self.shares())

    def any_lost(self) -> Estimate:
        """Return the share of dialogues that lost any fact."""
        return quality_mean((self.shares() < 1).astype(np.float64))

    def all_lost(self) -> Estimate:
        """Return the share of dialogues that lost all their facts."""
        return quality_mean((self.shares() == 0).astype(np.float64))

    def tokens(self) -> Floats:
        """Return each dialogue's input tokens, those of the summaries included."""
        return np.array([b.total for b in self.bills], dtype=np.float64)

    def cost_usd(self, price: Price, summariser: Price | None = None, *, caching: bool = False) -> float | None:
        """Return what the input of all dialogues costs in USD, with the summaries (input and output) at the summariser's price.

        `caching` charges what a prompt cache could serve at the price for that. None where a price is not known.
        """
        return _sum(_usd(bill, price, summariser or price, caching) for bill in self.bills)


def _usd(bill: Bill, price: Price, summariser: Price, caching: bool) -> float | None:
    cached = bill.cached if caching else None
    asked = price.cost_usd(Tokens(input=bill.input, output=0, cached=cached))
    told = summariser.cost_usd(Tokens(input=bill.summary_input, output=bill.summary_output))
    return None if asked is None or told is None else asked + told


def _sum(values: object) -> float | None:
    total = 0.0
    for value in values:  # type: ignore[attr-defined]
        if value is None:
            return None
        total += value
    return total


def retained(
    name: str,
    policy: Policy,
    dialogues: Sequence[Dialogue],
    room: Room,
    summarise: Summariser = refuse,
    *,
    grown: bool = True,
) -> Retention:
    """Return what a policy keeps of the dialogues and what they cost, every request of a growing dialogue sent under it.

    At the end each fact's question is asked by itself, as the next user's message (without one, the dialogue's own last message
    is the question). A request that does not fit is not sent and holds nothing. With `grown` false the dialogues are asked their
    questions only.
    """
    bills, probes, ages = [], [], []
    simulated = False
    for dialogue in dialogues:
        memory = Memory()
        bill, held = _grown(policy, dialogue, room, summarise, memory) if grown else (_EMPTY, [])
        ages += held
        row = []
        for fact in dialogue.facts:
            found = _asked(policy, dialogue, fact, room, summarise, memory)
            simulated |= found is not None and any(s.simulated for s in found.summaries)
            row.append(_probe(dialogue, fact, found))
        probes.append(tuple(row))
        bills.append(bill)
    return Retention(
        name=name,
        dialogues=tuple(d.id for d in dialogues),
        groups=tuple(d.group for d in dialogues),
        bills=tuple(bills),
        probes=tuple(probes),
        ages=np.array(ages, dtype=np.int64).reshape(-1, 2),
        simulated=simulated,
    )


_EMPTY = Bill(input=0, cached=0, summaries=0, summary_input=0, summary_output=0)


def _fit(
    policy: Policy, messages: Sequence[Message], room: Room, summarise: Summariser, memory: Memory
) -> Fitted | None:
    try:
        return fit(policy(messages, room), summarise, memory)
    except ContextExceeded:
        return None


def _grown(
    policy: Policy, dialogue: Dialogue, room: Room, summarise: Summariser, memory: Memory
) -> tuple[Bill, list[tuple[int, int]]]:
    """Return the bill of a dialogue's requests, and for each fact and later request its age and whether it was held."""
    bill = _EMPTY
    held: list[tuple[int, int]] = []
    before: tuple[Message, ...] = ()
    for end in dialogue.requests():
        found = _fit(policy, dialogue.messages[:end], room, summarise, memory)
        known = [f for f in dialogue.facts if f.at < end]
        if found is None:
            bill = replace(bill, failed=bill.failed + 1)
            held += [(end - 1 - f.at, 0) for f in known]
            continue
        paid = [s for s in found.summaries if not s.recalled]
        bill = replace(
            bill,
            input=bill.input + found.tokens_after,
            cached=bill.cached + _front(before, found.messages, room),
            summaries=bill.summaries + len(paid),
            summary_input=bill.summary_input + sum(s.tokens.input or 0 for s in paid),
            summary_output=bill.summary_output + sum(s.tokens.output or 0 for s in paid),
            largest=max(bill.largest, found.tokens_after),
        )
        before = found.messages
        kept = set(found.kept)
        note = [Message(role="user", content=found.note)]
        # A message that is kept holds its facts; only for the others the note has to be read.
        held += [(end - 1 - f.at, int(f.at in kept or _noted(f, note))) for f in known]
    return bill, held


def _front(before: Sequence[Message], now: Sequence[Message], room: Room) -> int:
    """Return the tokens of the messages in front that two requests have in common, 0 where that is too short for a cache."""
    same = 0
    for a, b in zip(before, now, strict=False):
        if a != b:
            break
        same += 1
    tokens = room.tokens(now[:same])
    return tokens if tokens >= CACHED_FROM else 0


def _asked(
    policy: Policy, dialogue: Dialogue, fact: Fact, room: Room, summarise: Summariser, memory: Memory
) -> Fitted | None:
    own = dialogue.messages[-1].role == "user" and dialogue.messages[-1].content == fact.question
    question = () if own or not fact.question else (Message(role="user", content=fact.question),)
    return _fit(policy, (*dialogue.messages, *question), room, summarise, memory)


def _probe(dialogue: Dialogue, fact: Fact, found: Fitted | None) -> Probe:
    told = () if found is None else found.messages[:-1]
    lines = [line for m in told if found is not None and m.content == found.note for line in _lines(m)]
    whole = [m for m in told if found is None or m.content != found.note]
    held = fact.held([*whole, *lines])
    old = None if fact.stale is None else replace(fact, answer=fact.stale)
    return Probe(
        dialogue=dialogue.id,
        fact=fact.id,
        how=fact.how,
        age=len(dialogue.messages) - 1 - fact.at,
        held=held,
        verbatim=found is not None and fact.at in found.kept,
        stale=not held and old is not None and old.held([*whole, *lines]),
    )


def _lines(note: Message) -> list[Message]:
    return [replace(note, content=line) for line in note.content.split("\n")]


def _noted(fact: Fact, note: Sequence[Message]) -> bool:
    return any(fact.held(_lines(m)) for m in note if m.content)


@dataclass(frozen=True, kw_only=True)
class Versus:
    """A policy against another over the same dialogues: the difference in recall, and the share of input tokens saved."""

    name: str
    base: str
    recall: NonInferiority
    by_group: NonInferiority
    """The same with the dialogues of a group, which share sentences, taken for one."""
    saved: Estimate

    def earns(self, share: float) -> bool:
        """Say whether it saves at least this share of input tokens, its interval's lower end too, at a recall that is not inferior."""
        certain = self.saved.low is not None and self.saved.low >= share
        return certain and self.recall.verdict == "non-inferior"


def versus(new: Retention, base: Retention, *, margin: float = 0.02) -> Versus:
    """Return the paired comparison of two policies over the same dialogues; ValueError when they are not the same."""
    if new.dialogues != base.dialogues:
        raise ValueError(f"{new.name} and {base.name} were not asked about the same dialogues")
    _, clusters = np.unique(np.array(new.groups), return_inverse=True)
    return Versus(
        name=new.name,
        base=base.name,
        recall=non_inferiority(paired_difference(new.shares(), base.shares()), margin),
        by_group=non_inferiority(
            paired_difference(new.shares(), base.shares(), clusters.reshape(-1).astype(np.intp)), margin
        ),
        saved=saved(new.tokens(), base.tokens()),
    )


def saved(new: Floats, base: Floats) -> Estimate:
    """Return 1 − Σ new / Σ base with a linearised t interval over the pairs (the ratio estimator: residuals new − r·base)."""
    ratio = float(new.sum() / base.sum())
    spread = mean((new - ratio * base) / float(base.mean()))
    reach = None if spread.high is None else spread.high - spread.value
    low, high = (None, None) if reach is None else (1 - ratio - reach, 1 - ratio + reach)
    return Estimate(value=1 - ratio, low=low, high=high, se=spread.se, n=len(new), method="ratio")
