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


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Ask `ask` in order, then `then` in order, until `k` models gave the same answer; the last one's counts without any.

    The answer is that of the model that agreed last, so put the model whose form of answer is safest last among
    `ask`. `match` says how answers are compared: as a number, one choice, JSON or function calls, or a text; "auto"
    goes by the prompt's scorer or task, else by the answer (`scoring.matching`). Answers that cannot be compared,
    such as long prose and refusals, agree with nothing.
    """

    ask: tuple[str, ...]
    then: tuple[str, ...]
    k: int = 2
    match: Literal["auto", "number", "choice", "json", "text"] = "auto"

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
        return Gate(scorer="agreement", at_least=1.0, spec={"k": self.k, "match": self.match})

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        """Rank the cheap models first, then the strong ones, for every prompt."""
        ranking = np.array([roster.names.index(m) for m in self.models_in_order], dtype=np.intp)
        n = len(prompts)
        cheap, strong = " and ".join([", ".join(self.ask[:-1]), self.ask[-1]]), ", then ".join(self.then)
        who = "they agree" if self.k == len(self.ask) else f"{self.k} of them agree"
        return Plan(
            order=np.tile(ranking, (n, 1)),
            propensity=np.ones(n),
            reason=np.zeros(n, dtype=np.intp),
            reasons=(f"{cheap} in turn until {who}, else {strong}",),
            gate=self.accepts,
        )
