"""Before a comparison is run: on which data, with which arms, and what that may cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from routelab.config import RouteConfig
from routelab.core.errors import DataError, RoutelabError
from routelab.core.values import Prompt
from routelab.lab.datasets import Dataset, shipped
from routelab.lab.desk import Desk
from routelab.lab.forecast import Forecast, forecast
from routelab.present import usd
from routelab.strategies import DEFAULTS

if TYPE_CHECKING:
    from routelab.lab.session import Lab

SHIPPED, VARIABLE = "shipped", "variable"
LOOKED = 300
"""Prompts that are looked at for an estimate; of more, the rest is taken to be like them, which the estimate says."""
_CELLS = ("In", "Out")


def data_of(desk: Desk) -> dict[tuple[str, str], str]:
    """Return what can be compared on, with its title: the notebook's data first, then the shipped sets."""
    found = {(VARIABLE, name): f"{name} (variable)" for name, value in desk.names.items() if _data(name, value)}
    names = sorted(p.name for p in shipped("datasets").iterdir() if p.is_dir() and any(p.glob("*.jsonl")))
    return {**found, **{(SHIPPED, name): name for name in names}}


def _data(name: str, value: Any) -> bool:
    if name in _CELLS:
        return False
    if isinstance(value, Dataset) or (hasattr(value, "columns") and hasattr(value, "itertuples")):
        return True
    return isinstance(value, (list, tuple)) and len(value) > 0 and isinstance(value[0], (str, Prompt, Mapping))


def loaded(desk: Desk, key: tuple[str, str], n: int) -> Dataset:
    """Return n prompts of the data that a key names, drawn over its tasks; DataError for what is not there or cannot be taken."""
    kind, name = key
    if kind == SHIPPED:
        return Dataset.load(name).sample(n)
    if name not in desk.names:
        raise DataError(f"there is no variable '{name}' any more", hint="choose other data")
    return Dataset.of(desk.names[name], name=name).sample(n)


def arms_of(desk: Desk) -> dict[str, str | RouteConfig]:
    """Return the arms that can be ticked, by name: the lab's, the notebook's configs, strategies that need nothing, models."""
    lab = desk.lab
    own = {n: v for n, v in desk.names.items() if isinstance(v, RouteConfig) and n not in lab.arms}
    ready = [name for name in DEFAULTS if name not in lab.arms and _fits(lab, name)]
    named = dict.fromkeys([*lab.arms, *ready, *lab.fleet.names])
    return {**{n: n for n in lab.arms}, **{n: v for n, v in own.items() if n not in named}, **{n: n for n in named}}


def _fits(lab: Lab, name: str) -> bool:
    try:
        lab.arm(name)
    except RoutelabError:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """What a comparison will ask: runs, what first choices cost about, and the most that all of it could, in USD.

    `worst_usd` is None where a price is not known; `looked` says on how many prompts it was worked out, `scored` how many of
    them have a scorer, `gated` whether an arm may ask more than one model.
    """

    prompts: int
    arms: int
    looked: int
    firsts: Forecast
    worst_usd: float | None
    unpriced: tuple[str, ...]
    scored: int
    gated: bool
    simulated: bool

    @property
    def text(self) -> str:
        """The estimate in a line."""
        runs = self.prompts * self.arms
        scale = self.prompts / self.looked
        cost, low, high = (v * scale for v in (self.firsts.usd, self.firsts.low_usd, self.firsts.high_usd))
        parts = [
            f"{self.prompts:,} prompts × {self.arms} arm{'s' if self.arms > 1 else ''} = {runs:,} runs",
            f"first choices about {usd(cost)} (90 %: {usd(low)} to {usd(high)})",
            f"at most {usd(self.worst_usd)}" + (" if gates refuse all they can, judges included" if self.gated else ""),
        ]
        if self.unpriced:
            parts.append(f"unpriced, and not in it: {', '.join(self.unpriced)}")
        if self.looked < self.prompts:
            parts.append(f"worked out on {self.looked:,} prompts")
        if self.scored < self.looked:
            parts.append(f"{self.looked - self.scored:,} of {self.looked:,} prompts have no scorer, so no quality")
        if self.simulated:
            parts.append("simulated")
        return " · ".join(parts)


def ahead(lab: Lab, dataset: Dataset, arms: Mapping[str, str | RouteConfig]) -> Ahead:
    """Return the estimate, from the decisions that a run would follow; nobody is asked. It may take seconds: not for a callback."""
    looked = dataset.sample(LOOKED).prompts
    due: dict[str, list[Prompt]] = {}
    worst: list[float | None] = []
    asked: dict[str, None] = {}
    gated = False
    for name, arm in arms.items():
        router = lab.router(lab.config(arm, name))
        gate = getattr(router.config.ranking, "accepts", None)
        gated |= gate is not None
        for prompt in looked:
            rows = router.explain(prompt)
            due.setdefault(rows[0][0], []).append(prompt)
            taken = rows if gate is not None else rows[:1]
            asked |= dict.fromkeys(model for model, _, _ in taken)
            worst += [cost for _, cost, _ in taken]
    models = [lab.fleet.endpoint(name).model for name in due]
    every = [lab.fleet.endpoint(name).model for name in asked]
    return Ahead(
        prompts=len(dataset),
        arms=len(arms),
        looked=len(looked),
        firsts=forecast(models, due, log=lab.log, counter=lab.fleet.counter),
        worst_usd=_sum(worst, len(dataset) / len(looked)),
        unpriced=tuple(m.name for m in every if m.price is None),
        scored=sum(p.scorer is not None for p in looked),
        gated=gated,
        simulated=any(m.simulated for m in every),
    )


def _sum(values: Sequence[float | None], scale: float) -> float | None:
    known = [v for v in values if v is not None]
    return scale * sum(known) if len(known) == len(values) else None
