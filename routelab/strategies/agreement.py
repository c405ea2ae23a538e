"""Ask cheap models until enough of them say the same; a strong one answers where they do not.

Two models that agree are right more often than either alone, often more often than the strong model is: cascades on
consistency as in Yue et al., "Large Language Model Cascades with Mixture of Thoughts Representations" (ICLR 2024), with
different models in the place of samples. They are asked one after the other, so the waits add up; to ask the first two
at once would take an engine that can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from routelab.core.plan import Gate, Plan
from routelab.core.values import Prompt, Roster

FIRST, LAST = "first", "last"
"""Whose answer stands of those who agree, said without a name."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Ask `ask` in order, then `then` in order, until `k` models gave the same answer; the last one's counts without any.

    `answer` says whose words stand of those who agree, for what is the same may be said in a form that is not wanted:
    those of the "last" or of the "first" of them, or of one of `ask`, where it is among them (else of the last). So the model
    whose form of answer is safest need not be asked at the end. `match` says how answers are compared: as a number, one choice, JSON or function calls, or a text; "auto"
    goes by the prompt's scorer or task, else by the answer (`scoring.matching`). Answers that cannot be compared,
    such as long prose and refusals, agree with nothing.
    """

    ask: tuple[str, ...]
    then: tuple[str, ...]
    k: int = 2
    match: Literal["auto", "number", "choice", "json", "text"] = "auto"
    answer: str = LAST

    instant = True

    def __post_init__(self) -> None:
        if len(self.ask) < 2:
            raise ValueError("ask: name at least two models, the cheap ones")
        if not self.then:
            raise ValueError("then: name who answers when they do not agree")
        names = self.models_in_order
        twice = next((m for i, m in enumerate(names) if m in names[:i]), None)
        if twice is not None:
            raise ValueError(f"{'then' if twice in self.then else 'ask'}: '{twice}' is named twice")
        if isinstance(self.k, bool) or not 2 <= self.k <= len(self.ask):
            raise ValueError(f"k: must be from 2 to {len(self.ask)}, the number of models in `ask`, not {self.k}")
        if self.answer not in (FIRST, LAST, *self.ask):
            raise ValueError(f"answer: must be {FIRST}, {LAST} or a model in `ask`, not {self.answer!r}")

    @property
    def models_in_order(self) -> tuple[str, ...]:
        """Everybody who may be asked, in order."""
        return (*self.ask, *self.then)

    @property
    def models(self) -> tuple[str, ...]:
        """The models this strategy names."""
        return self.models_in_order

    @property
    def accepts(self) -> Gate:
        """An answer is accepted when `k` models gave it."""
        # Left out where it is the default, so that the gate keeps the key under which it was logged before.
        whose = {} if self.answer == LAST else {"answer": self.answer}
        return Gate(scorer="agreement", at_least=1.0, spec={"k": self.k, "match": self.match, **whose})

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        """Rank the cheap models first, then the strong ones, for every prompt."""
        ranking = np.array([roster.names.index(m) for m in self.models_in_order], dtype=np.intp)
        n = len(prompts)
        cheap, strong = " and ".join([", ".join(self.ask[:-1]), self.ask[-1]]), ", then ".join(self.then)
        who = "they agree" if self.k == len(self.ask) else f"{self.k} of them agree"
        told = "" if self.answer == LAST else f" (answer of {'the ' if self.answer == FIRST else ''}{self.answer})"
        return Plan(
            order=np.tile(ranking, (n, 1)),
            propensity=np.ones(n),
            reason=np.zeros(n, dtype=np.intp),
            reasons=(f"{cheap} in turn until {who}{told}, else {strong}",),
            gate=self.accepts,
        )
