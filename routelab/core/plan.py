"""A strategy's decision for many prompts at once: a ranking of models per prompt, and a gate."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.core.values import digest

Ints = NDArray[np.intp]
NOBODY = -1


@dataclass(frozen=True, kw_only=True)
class Gate:
    """When an answer is accepted. Without a scorer: when there was no error. With one: when it gives at least `at_least`.

    `scorer` names the kind of gate and `spec` holds its other settings (a judge's model, a pattern); `bars` replaces
    `at_least` for the answers of some models, by name.
    """

    scorer: str | None = None
    at_least: float | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)
    bars: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name under which what the gate gave is logged and recorded: its scorer, and which one if it has settings."""
        return str(self.scorer) if not self.spec else f"{self.scorer}-{digest(self.spec)[:8]}"

    def bar(self, model: str) -> float:
        """Return what an answer of the model must reach."""
        return self.bars.get(model, self.at_least if self.at_least is not None else 0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """Rankings for n prompts.

    `order` is n × depth, positions in the roster, best first, `NOBODY` (-1) where a ranking is shorter; `propensity` (n,) is
    the chance with which that ranking was drawn (1 where nothing was drawn); `reason` (n,) indexes the texts in `reasons`;
    `quality` (n × models) is what a strategy predicted, where it predicts. `rungs` (n,) is how many models of each
    ranking the strategy itself named, all when None: the gate judges every answer but that of the last of these,
    after which there is nobody better to ask; who comes later stands in when a call fails. `errors` says in one line
    why a row holds the default in the place of what the strategy should have decided (`stages.guard`).
    """

    order: Ints
    propensity: NDArray[np.float64]
    reason: Ints
    reasons: tuple[str, ...]
    gate: Gate = Gate()
    quality: NDArray[np.float64] | None = None
    rungs: Ints | None = None
    errors: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.order)
        if self.order.ndim != 2 or self.propensity.shape != (n,) or self.reason.shape != (n,):
            raise ValueError("a plan needs order (n × depth), propensity (n,) and reason (n,)")

    def __len__(self) -> int:
        return len(self.order)

    @property
    def ladder(self) -> Ints:
        """How many models of each ranking the strategy named, (n,)."""
        return (self.order != NOBODY).sum(axis=1).astype(np.intp) if self.rungs is None else self.rungs

    def why(self, i: int) -> str:
        """Return the reason given for prompt i."""
        return self.reasons[int(self.reason[i])]


def plan_of(orders: Sequence[Sequence[int]], reasons: Sequence[str], propensity: Sequence[float] | None = None) -> Plan:
    """Return a plan from plain lists, one ranking and one reason a prompt; rankings are padded with NOBODY."""
    depth = max((len(o) for o in orders), default=1)
    order = np.full((len(orders), max(depth, 1)), NOBODY, dtype=np.intp)
    for i, ranking in enumerate(orders):
        order[i, : len(ranking)] = ranking
    texts = {text: k for k, text in enumerate(dict.fromkeys(reasons))}
    return Plan(
        order=order,
        propensity=np.ones(len(orders)) if propensity is None else np.asarray(propensity, dtype=float),
        reason=np.array([texts[r] for r in reasons], dtype=np.intp),
        reasons=tuple(texts),
    )


def with_fallbacks(plan: Plan, fallbacks: Mapping[int, Sequence[int]]) -> Plan:
    """Return the plan with each model's fallbacks appended after the ranking, in order, never naming a model twice."""
    if not fallbacks or len(plan) == 0:
        return plan
    # There are few distinct rankings even for many prompts, so each is extended once.
    distinct, where = np.unique(plan.order, axis=0, return_inverse=True)
    longer = [_extended([int(m) for m in row if m != NOBODY], fallbacks) for row in distinct]
    depth = max(len(r) for r in longer)
    order = np.full((len(distinct), depth), NOBODY, dtype=np.intp)
    for i, ranking in enumerate(longer):
        order[i, : len(ranking)] = ranking
    return dataclasses.replace(plan, order=order[where.reshape(-1)], rungs=plan.ladder)


def _extended(ranking: list[int], fallbacks: Mapping[int, Sequence[int]]) -> list[int]:
    seen = list(ranking)
    for model in ranking:
        seen.extend(m for m in fallbacks.get(model, ()) if m not in seen)
    return seen
