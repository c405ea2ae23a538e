"""A bandit: learns from what it asked, and never stops trying the others a little.

Every ranking is drawn with a chance that is known and logged, so what it gathers can be analysed and used again. What was
learned is a value: a bandit that learned more is another bandit, with another fingerprint.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.core.errors import ConfigError
from routelab.core.plan import Plan
from routelab.core.ports import Outcomes
from routelab.core.values import Prompt, Roster, draw
from routelab.strategies.fitting.learned import Learned
from routelab.strategies.fitting.ridge import Features, Ridge
from routelab.strategies.fitting.tally import PRIOR_MEAN, Tally, thompson, track, with_floor

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.intp]

ALGORITHMS = ("thompson", "linucb", "track")
PRECISION = 9
"""Digits to which bounds are compared: a prompt alone and in a batch may differ in the last bits of a sum, not in its model."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What came of asking a model first about a prompt: quality from 0 to 1, and USD when they are known."""

    prompt: Prompt
    model: str
    quality: float
    cost_usd: float | None = None


@dataclass(frozen=True, kw_only=True)
class Bandit:
    """Ask a model drawn by what was learned so far; every one keeps at least the share `floor`.

    `algorithm`: `thompson` draws each model with its chance of being the best; `linucb` takes the model whose expected reward for
    this prompt plus `width` standard errors is highest (Li, Chu, Langford and Schapire, WWW 2010, disjoint models); `track`
    draws so as to tell the best model apart soonest, once each has `minimum` answers (track-and-stop). All are mixed with the
    floor: floor + (1 − models·floor)·chance. Without experience every model has the same chance.

    The reward is quality − `cost_weight`·USD: with a cost weight of 10, a tenth of a dollar outweighs a right answer.
    `discount` multiplies what was learned at every further outcome, for traffic that changes (0.999 remembers about 1,000).
    LinUCB looks at a prompt's surface and task, and at `dimensions` numbers of its embedding where an `embedder` is named.
    """

    algorithm: Literal["thompson", "linucb", "track"] = "thompson"
    floor: float = 0.05
    seed: int = 0
    reward: Mapping[str, float] = field(default_factory=lambda: {"quality": 1.0, "cost_weight": 0.0})
    discount: float = 1.0
    width: float = 0.25
    minimum: float = 20.0
    embedder: str | Mapping[str, Any] | None = None
    dimensions: int = 16
    learned: Learned | None = None

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm: unknown '{self.algorithm}'; one of {', '.join(ALGORITHMS)}")
        if not 0 < self.floor <= 0.5:
            raise ValueError(f"floor: must be more than 0 and at most 0.5, not {self.floor}")
        if not 0 < self.discount <= 1:
            raise ValueError(f"discount: must be more than 0 and at most 1, not {self.discount}")
        for name in ("width", "minimum"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: must be a number of at least 0, not {getattr(self, name)}")
        if self.algorithm == "track" and self.discount < 1:
            raise ValueError("discount: track tells models apart that stay as they are; it must be 1")
        if self.dimensions < 1:
            raise ValueError(f"dimensions: must be at least 1, not {self.dimensions}")
        object.__setattr__(self, "reward", _weights(self.reward))
        if self.learned is not None:
            self._check(self.learned)

    @property
    def outcomes(self) -> int:
        """How many outcomes it has learned from."""
        return 0 if self.learned is None else int(self.learned.about["outcomes"])

    # Deciding

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        """Rank the drawn model first, with the chance of that draw, then the others by the reward that is expected of them."""
        chances, expected = self._looked(prompts, roster.names)
        # By what was learned, too: a prompt that comes again after learning is drawn anew, whatever came of it before.
        u = np.array([draw(self.seed, "bandit", str(self.outcomes), p.id) for p in prompts], dtype=float)
        drawn = (np.cumsum(chances, axis=1) <= u[:, None]).sum(axis=1)
        # The last sum may be a hair below 1.
        drawn = np.minimum(drawn, len(roster) - 1).astype(np.intp)
        rows = np.arange(len(prompts))
        standing = -np.round(expected, PRECISION)
        standing[rows, drawn] = -np.inf
        texts, reason = self._told(roster.names, chances, drawn)
        return Plan(
            order=np.argsort(standing, axis=1, kind="stable").astype(np.intp),
            propensity=chances[rows, drawn],
            reason=reason,
            reasons=texts,
            quality=expected.clip(0, 1) if self.outcomes and self.reward["cost_weight"] == 0 else None,
        )

    def chances(self, prompts: Sequence[Prompt], roster: Roster) -> Floats:
        """Return the chance of each model for each prompt (prompts × models); rows sum to 1, nothing is below the floor."""
        return self._looked(prompts, roster.names)[0]

    # Learning

    def fit(self, outcomes: Outcomes) -> Bandit:
        """Return this bandit with what recorded outcomes teach and nothing else; the rows count as being in order of time.

        Every outcome counts, of one model a prompt (a log of choices) or of several. Those without a quality, or without a cost
        where costs count, teach nothing.
        """
        reward = self.worth(outcomes.quality, outcomes.cost_usd)
        row, column = np.nonzero(~np.isnan(reward))
        fresh = dataclasses.replace(self, learned=None)
        return fresh._absorbed(outcomes.prompts, row, column, reward[row, column], outcomes.models)

    def update(self, seen: Sequence[Seen]) -> Bandit:
        """Return the bandit that has also learned from these outcomes, in this order; the order matters only with a discount."""
        quality = np.array([s.quality for s in seen], dtype=float)
        cost = np.array([math.nan if s.cost_usd is None else s.cost_usd for s in seen], dtype=float)
        reward = self.worth(quality, cost)
        kept = np.flatnonzero(~np.isnan(reward))
        names = tuple(dict.fromkeys([*self._models, *(s.model for s in seen)]))
        column = np.array([names.index(seen[int(i)].model) for i in kept], dtype=np.intp)
        return self._absorbed([s.prompt for s in seen], kept, column, reward[kept], names)

    def worth(self, quality: Floats, cost_usd: Floats) -> Floats:
        """Return the rewards of outcomes, NaN where one is not known."""
        weight = self.reward["cost_weight"]
        return np.asarray(quality - weight * cost_usd if weight else quality, dtype=float)

    def noted(self, **facts: Any) -> Bandit:
        """Return the bandit with further facts beside what it learned, such as until when a log was read."""
        held = self.learned or self.update(()).learned
        assert held is not None
        return dataclasses.replace(self, learned=Learned(arrays=held.arrays, about={**held.about, **facts}))

    @property
    def tally(self) -> Tally:
        """The sums of rewards that Thompson and track decide by, in the order of `learned.about["models"]`."""
        if self.learned is None or "total" not in self.learned:
            return Tally.empty(len(self._models))
        return Tally(count=self.learned["count"], total=self.learned["total"], squares=self.learned["squares"])

    # Inside

    def _looked(self, prompts: Sequence[Prompt], names: tuple[str, ...]) -> tuple[Floats, Floats]:
        """Return the chances and the expected rewards, both prompts × models."""
        n, models = len(prompts), len(names)
        if models * self.floor > 1 + 1e-12:
            raise ConfigError(
                f"bandit.floor: {models} models with at least {self.floor:g} each are more than everything",
                hint=f"a floor of at most {math.floor(1000 / models) / 1000:g}",
            )
        if self.outcomes == 0:
            return np.full((n, models), 1 / models), np.full((n, models), PRIOR_MEAN)
        columns = np.array([self._models.index(m) if m in self._models else -1 for m in names], dtype=np.intp)
        if self.algorithm == "linucb":
            expected, width = self._ridge.take(columns).predict(self._features(prompts), prior=PRIOR_MEAN)
            bounds = np.round(expected + self.width * width, PRECISION)
            greedy = np.zeros((n, models))
            greedy[np.arange(n), np.argmax(bounds, axis=1)] = 1.0
            return with_floor(greedy, self.floor), expected
        tally = self.tally.take(columns)
        chosen = thompson(tally) if self.algorithm == "thompson" else track(tally, minimum=self.minimum)
        return np.tile(with_floor(chosen, self.floor), (n, 1)), np.tile(tally.mean, (n, 1))

    def _told(self, names: Sequence[str], chances: Floats, drawn: Ints) -> tuple[tuple[str, ...], Ints]:
        after = f"after {self.outcomes:,} outcomes" if self.outcomes else "nothing learned yet"
        if self.algorithm == "linucb" and self.outcomes:
            best = chances[np.arange(len(drawn)), drawn] > self.floor * (1 + 1e-9)
            texts = (
                *(f"{name}: the highest bound, linucb {after}" for name in names),
                f"drawn by the floor of {self.floor:.2g}, linucb {after}",
            )
            return texts, np.where(best, drawn, len(names)).astype(np.intp)
        shares = chances[0] if len(chances) else np.zeros(len(names))
        texts = tuple(
            f"drawn: {share:.1%} of prompts go to {name}, {self.algorithm} {after}"
            for name, share in zip(names, shares, strict=True)
        )
        return texts, drawn

    def _absorbed(
        self, prompts: Sequence[Prompt], row: Ints, column: Ints, reward: Floats, names: Sequence[str]
    ) -> Bandit:
        """Return the bandit after rewards[i], which prompt row[i] brought to model column[i] of the names."""
        names = tuple(dict.fromkeys([*self._models, *names]))
        # One prompt is one moment: what several models did with it is equally old.
        moments, moment = np.unique(row, return_inverse=True)
        weight = np.power(self.discount, len(moments) - 1.0 - moment.reshape(-1), dtype=np.float64)
        old = np.array([self._models.index(m) if m in self._models else -1 for m in names], dtype=np.intp)
        fade = self.discount ** float(len(moments))
        about = self._about(names, self.outcomes + len(reward))
        if self.algorithm != "linucb":
            start = self.tally.take(old) if len(self._models) else Tally.empty(len(names))
            return dataclasses.replace(
                self, learned=_learned(start.faded(fade).plus(column, reward, weight), self._carried(about))
            )
        features = self._features.met([prompts[int(i)] for i in moments])
        x = features([prompts[int(i)] for i in moments])[moment.reshape(-1)]
        before = self._ridge.grown(features.size).take(old) if self._models else Ridge.empty(len(names), features.size)
        about["tasks"] = features.tasks
        ridge = before.faded(fade).plus(column, x, reward, weight)
        return dataclasses.replace(self, learned=_learned(ridge, self._carried(about)))

    def _carried(self, about: Mapping[str, Any]) -> dict[str, Any]:
        return {**({} if self.learned is None else self.learned.about), **about}

    def _about(self, models: Sequence[str], outcomes: int) -> dict[str, Any]:
        about: dict[str, Any] = {"models": tuple(models), "outcomes": outcomes, **self._terms}
        return {**about, "tasks": ()} if self.algorithm == "linucb" else about

    @property
    def _terms(self) -> dict[str, Any]:
        """What must be the same for sums to be gone on with."""
        terms: dict[str, Any] = {
            "sums": "ridge" if self.algorithm == "linucb" else "tally",
            "reward": dict(self.reward),
        }
        if self.algorithm == "linucb":
            terms |= {"embedder": self.embedder, "dimensions": self.dimensions}
        return terms

    def _check(self, learned: Learned) -> None:
        about, needed = learned.about, {"tally": ("count", "total", "squares"), "ridge": ("gram", "moment", "count")}
        if not {"models", "outcomes", "sums", "reward"} <= about.keys() or about["sums"] not in needed:
            raise ValueError("learned: is not what a bandit learned")
        for name, value in self._terms.items():
            if about.get(name) != value:
                raise ValueError(f"learned: was learned with another {name}; leave `learned` out and fit again")
        models = len(about["models"])
        shapes = {name: learned[name].shape for name in needed[about["sums"]] if name in learned}
        if about["sums"] == "tally":
            wanted: dict[str, tuple[int, ...]] = dict.fromkeys(needed["tally"], (models,))
        else:
            size = self._sized(about.get("tasks", ())).size
            wanted = {"gram": (models, size * (size + 1) // 2), "moment": (models, size), "count": (models,)}
        if shapes != wanted:
            raise ValueError("learned: its arrays do not fit its models")

    def _sized(self, tasks: Sequence[str]) -> Features:
        return Features(tasks=tuple(tasks), embedder=self.embedder, dimensions=self.dimensions)

    @property
    def _models(self) -> tuple[str, ...]:
        return () if self.learned is None else tuple(self.learned.about["models"])

    @cached_property
    def _features(self) -> Features:
        return self._sized(() if self.learned is None else self.learned.about["tasks"])

    @cached_property
    def _ridge(self) -> Ridge:
        if self.learned is None:
            return Ridge.empty(0, self._features.size)
        return Ridge.unpacked(self.learned["gram"], self.learned["moment"], self.learned["count"])


def _weights(given: Mapping[str, float]) -> dict[str, float]:
    for name in given:
        if name not in ("quality", "cost_weight"):
            raise ValueError(f"reward.{name}: unknown key; keys here: quality, cost_weight")
    weights = {"quality": float(given.get("quality", 1.0)), "cost_weight": float(given.get("cost_weight", 0.0))}
    if weights["quality"] != 1:
        raise ValueError("reward.quality: must be 1; cost_weight says what a dollar is worth in qualities")
    if not 0 <= weights["cost_weight"] < math.inf:
        raise ValueError(f"reward.cost_weight: must be a number of at least 0, not {weights['cost_weight']}")
    return weights


def _learned(sums: Tally | Ridge, about: Mapping[str, Any]) -> Learned:
    if isinstance(sums, Tally):
        return Learned(arrays={"count": sums.count, "total": sums.total, "squares": sums.squares}, about=about)
    return Learned(arrays={"gram": sums.packed, "moment": sums.moment, "count": sums.count}, about=about)
