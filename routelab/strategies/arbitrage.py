"""Quality at the lowest price: the cheapest model that is expected to be good enough for this very prompt.

What a model will be worth on a prompt is predicted from recorded outcomes (`routelab.strategies.predictors`); so is what it
will cost. `min_quality` asks the cheapest model expected to reach it, and the best one where none does (as in FrugalGPT,
Chen et al. 2023, and RouteLLM, Ong et al. 2024); `cost_weight` asks for the most quality − λ · cost, which never pays a
dear model where no model is any good (the form of RouterBench, Hu et al. 2024).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from routelab.core.errors import ConfigError
from routelab.core.plan import NOBODY, Ints, Plan
from routelab.core.ports import Floats, Outcomes
from routelab.core.values import Prompt, Roster
from routelab.strategies.fitting.expense import Expense
from routelab.strategies.fitting.learned import Learned
from routelab.strategies.fitting.thresholds import Thresholds, envelope, thresholds
from routelab.strategies.predictors import Inputs, Lesson, Predictor, predictor_of, spec_of

_DECIMALS = 6
"""Predictions are rounded so far: a batch adds in another order than a single prompt, and both must decide alike."""


@dataclass(frozen=True, kw_only=True)
class Arbitrage:
    """Ask the cheapest model whose predicted quality is at least `min_quality`, else the best; or weigh quality and cost.

    `predictor` is a word or a mapping: {kind: lookup | knn | cluster | logistic | boosting | mf | stack, ...}. Exactly one
    of `min_quality` (0 to 1) and `cost_weight` (λ, quality per USD) is given. Models that are expected to take longer than
    `max_latency_s` are left out unless none remains. `embedder` makes the vectors; `learned` is what `fit` found, which
    depends on none of the three numbers. The model predicted best is second in every ranking.
    """

    predictor: str | Mapping[str, Any] = "knn"
    min_quality: float | None = None
    cost_weight: float | None = None
    max_latency_s: float | None = None
    embedder: str | Mapping[str, Any] = "minilm"
    learned: Learned | None = None

    def __post_init__(self) -> None:
        if self.min_quality is not None and self.cost_weight is not None:
            raise ValueError("cost_weight: and min_quality exclude each other; keep one")
        if self.min_quality is None and self.cost_weight is None:
            raise ValueError("needs min_quality (from 0 to 1) or cost_weight (quality per USD)")
        for name, most in (("min_quality", 1.0), ("cost_weight", math.inf), ("max_latency_s", math.inf)):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and 0 <= value <= most):
                upto = "" if math.isinf(most) else f" and at most {most:g}"
                raise ValueError(f"{name}: must be a number of at least 0{upto}, not {value!r}")
        try:
            object.__setattr__(self, "predictor", spec_of(predictor_of(self.predictor)))
        except ValueError as trouble:
            raise ValueError(f"predictor.{trouble}") from None

    @property
    def models(self) -> tuple[str, ...]:
        """The models that outcomes were learned of; none before `fit`."""
        return () if self.learned is None else tuple(self.learned.about.get("models", ()))

    @property
    def knob(self) -> str:
        """The field that a sweep can try at all its values at once."""
        return "min_quality" if self.cost_weight is None else "cost_weight"

    @cached_property
    def predicting(self) -> Predictor:
        """The predictor, as a value."""
        return predictor_of(self.predictor)

    def fit(self, outcomes: Outcomes, *, untold: bool = True) -> Arbitrage:
        """Return the strategy with what the outcomes teach; ConfigError when no quality was recorded.

        With `untold` it also learns to predict prompts that come without a task, which takes up to as long again; else
        these are predicted as if of a task that was never seen.
        """
        from threadpoolctl import threadpool_limits

        # Many products of middling matrices: on a busy machine several threads wait for each other, up to six times as long.
        with threadpool_limits(limits=1, user_api="blas"):
            return self._learned(outcomes, untold)

    def _learned(self, outcomes: Outcomes, untold: bool) -> Arbitrage:
        quality = np.asarray(outcomes.quality, dtype=float)
        judged = (~np.isnan(quality)).any(axis=0)
        scored = (~np.isnan(quality)).any(axis=1)
        if not judged.any():
            raise ConfigError("arbitrage: no quality was recorded to learn from", hint="score the answers first")
        rows = np.flatnonzero(scored)
        inputs = Inputs(prompts=tuple(outcomes.prompts[int(i)] for i in rows), embedder=self.embedder)
        known = quality[rows][:, judged]
        lessons = {"own": self.predicting.fit(inputs, known)}
        if untold and any(task is not None for task in inputs.tasks):
            # Prompts of a live day seldom come with a task: they are predicted from their text alone.
            lessons["text"] = self.predicting.fit(inputs.untold, known)
        lessons["expense"] = self._expense.fit(
            inputs, np.asarray(outcomes.cost_usd, dtype=float)[rows], np.asarray(outcomes.latency_s, dtype=float)[rows]
        )
        arrays: dict[str, Any] = {"judged": judged}
        about: dict[str, Any] = {
            "models": list(outcomes.models),
            "prompts": len(rows),
            "predictor": self.predictor,
            "embedder": self.embedder,
            "tasks": sorted({t for t in inputs.tasks if t is not None}),
        }
        for name, lesson in lessons.items():
            more, facts = lesson.under(name)
            # What both ways of predicting hold, such as the vectors of neighbours, is kept once.
            arrays |= {k: v for k, v in more.items() if name != "text" or not _same(v, arrays.get(f"own{k[4:]}"))}
            about |= facts
        return dataclasses.replace(self, learned=Learned(arrays=arrays, about=about))

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        """Rank the choice for each prompt, then the model predicted best, with what is predicted as `quality`."""
        value = self.min_quality if self.cost_weight is None else self.cost_weight
        assert value is not None
        quality, cost = self.predict(prompts, roster)
        family = self._family(quality, cost)
        first = family.picks(np.array([value], dtype=float))[0].astype(np.intp)
        best = family.best.astype(np.intp)
        said = [self._why(float(q), float(c), roster.names[k]) for q, c, k in _cells(quality, cost, first)]
        texts = {text: i for i, text in enumerate(dict.fromkeys(said))}
        return Plan(
            order=np.column_stack([first, np.where(first == best, NOBODY, best)]),
            propensity=np.ones(len(prompts)),
            reason=np.array([texts[text] for text in said], dtype=np.intp),
            reasons=tuple(texts),
            quality=quality,
        )

    def family(self, prompts: Sequence[Prompt], roster: Roster) -> Thresholds:
        """Return what every value of the knob decides for these prompts."""
        return self._family(*self.predict(prompts, roster))

    def predict(self, prompts: Sequence[Prompt], roster: Roster) -> tuple[Floats, Floats]:
        """Return the qualities and the costs in USD expected of the roster's models, both n × models.

        NaN where nothing was learned, and as the quality of models over the latency limit. ConfigError before `fit`, for
        a model that is not in the roster, and for arrays that were learned in another way.
        """
        learned = self._fitted(roster)
        at = np.array([roster.names.index(name) for name in self.models], dtype=np.intp)
        inputs = Inputs(prompts=tuple(prompts), embedder=self.embedder)
        try:
            lesson = Lesson.within(learned.arrays, learned.about, "expense")
            own = Roster(models=tuple(roster.models[k] for k in at))
            expected = self._expense.predict(lesson, inputs, own)
            predicted = self._predicted(learned, inputs)
            judged, waits = learned["judged"], lesson.arrays["latency_s"]
            quality, cost = (np.full((len(prompts), len(roster)), np.nan) for _ in range(2))
            quality[:, at[judged]] = np.round(np.clip(predicted, 0.0, 1.0), _DECIMALS)
            cost[:, at] = expected
        except (KeyError, IndexError, ValueError) as trouble:
            raise ConfigError(
                f"arbitrage: what is in `learned` does not fit together ({' '.join(str(trouble).split())[:100]})",
                hint="fit it again",
            ) from None
        return self._in_time(quality, waits, at), cost

    @property
    def table(self) -> Mapping[str, tuple[str, ...]] | None:
        """The ranking of every task, where the task decides and nothing else; else None. Exports to gateways read it."""
        if self.learned is None or self._kind != "lookup" or getattr(self.predicting, "tasks", None) != "given":
            return None
        # Prices of a roster count a prompt's length where no cost was recorded.
        if np.isnan(self.learned["expense_mean_usd"]).all():
            return None
        from routelab.core.values import Message, Model

        roster = Roster(models=tuple(Model(name=m, provider="", upstream=m) for m in self.models))
        tasks = [str(t) for t in self.learned.about["tasks"]]
        probes = [Prompt(id=t, messages=(Message(role="user", content=""),), task=t) for t in tasks]
        order = self.plan(probes, roster).order
        return {t: tuple(self.models[k] for k in row if k != NOBODY) for t, row in zip(tasks, order, strict=True)}

    @property
    def _kind(self) -> str:
        return self.predictor if isinstance(self.predictor, str) else str(self.predictor["kind"])

    @property
    def _expense(self) -> Expense:
        # A table of tasks decides by the task alone, so its costs are the models' means.
        return Expense(sizes=self._kind != "lookup")

    def _family(self, quality: Floats, cost: Floats) -> Thresholds:
        return thresholds(quality, cost) if self.cost_weight is None else envelope(quality, cost)

    def _fitted(self, roster: Roster) -> Learned:
        if self.learned is None:
            raise ConfigError("arbitrage: not fitted yet", hint="fit it on outcomes: lab.replay and routelab replay do")
        about = self.learned.about
        for name in ("predictor", "embedder"):
            if _plain(about.get(name)) != _plain(getattr(self, name)):
                raise ConfigError(
                    f"arbitrage: was fitted with the {name} {about.get(name)!r}, not {getattr(self, name)!r}",
                    hint="fit it again",
                )
        missing = [name for name in self.models if name not in roster.names]
        if missing or not self.models:
            raise ConfigError(
                f"arbitrage: '{missing[0]}' was learned about and is not among the models"
                if missing
                else "arbitrage: `learned` names no models",
                hint=f"models: {', '.join(roster.names)}",
            )
        return self.learned

    def _predicted(self, learned: Learned, inputs: Inputs) -> Floats:
        """Return the predictions for the models that were judged, by the task where it is known, else by the text alone."""
        told = np.array([t is not None and t in learned.about["tasks"] for t in inputs.tasks], dtype=np.bool_)
        names = ("own", "text") if "text" in learned.about else ("own",)
        out = np.full((len(inputs), int(learned["judged"].sum())), np.nan)
        for name, rows in zip(names, (told, ~told) if len(names) == 2 else (np.ones_like(told),), strict=True):
            if rows.any():
                part = inputs.take(rows)
                shared = Lesson.within(learned.arrays, learned.about, "own").arrays
                lesson = Lesson.within(learned.arrays, learned.about, name)
                lesson = dataclasses.replace(lesson, arrays={**shared, **lesson.arrays})
                out[rows] = self.predicting.predict(lesson, part if name == "own" else part.untold)
        return out

    def _in_time(self, quality: Floats, waits: Floats, at: Ints) -> Floats:
        """Return the qualities without those of models that take too long, unless no other would remain."""
        if self.max_latency_s is None:
            return quality
        # A wait that is not known is not too long.
        slow = at[np.nan_to_num(waits, nan=-math.inf) > self.max_latency_s]
        quick = np.array(quality)
        quick[:, slow] = np.nan
        return np.where(np.isnan(quick).all(axis=1, keepdims=True), quality, quick)

    def _why(self, quality: float, cost: float, model: str) -> str:
        expects = f"{self._kind} expects {_short(quality)}"
        if self.cost_weight is not None:
            price = "an unknown cost" if math.isnan(cost) else f"${_usd(cost)}"
            return f"{expects} at {price} of {model}, the most at {self.cost_weight:g} a USD"
        if quality >= (self.min_quality or 0.0):
            return f"{expects} ≥ {_short(self.min_quality or 0.0)} of {model}, the cheapest that does"
        return f"{expects} < {_short(self.min_quality or 0.0)} of {model}, the best there is"


def _cells(quality: Floats, cost: Floats, first: Ints) -> Any:
    rows = np.arange(len(first))
    return zip(quality[rows, first], cost[rows, first], first, strict=True)


def _short(quality: float) -> str:
    # To the tenth of a point, so that what decided can be told apart; without the zero that every quality has.
    return f"{quality:.3f}".rstrip("0").rstrip(".").removeprefix("0") or "0"


def _usd(cost: float) -> str:
    return np.format_float_positional(cost, precision=2, fractional=False, trim="-")


def _same(one: Any, other: Any) -> bool:
    return other is not None and one.shape == other.shape and np.array_equal(one, other, equal_nan=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
