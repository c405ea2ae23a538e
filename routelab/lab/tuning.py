"""Arms at any setting of their knobs on the tune split, fast enough for a slider; confirm is looked at when it is asked for.

What learns is judged by folds, as in a replay: each tune prompt by a version that was fitted without it. These versions and
what they predict are made once (`steps`); after that a setting costs array operations only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, DataError, RoutelabError
from routelab.core.plan import NOBODY
from routelab.core.ports import Floats
from routelab.lab.compare import Comparison, Entry, Terms, assess
from routelab.lab.controls import Hull, best_single, cheapest, mean_costs, mean_qualities, zero_router
from routelab.lab.knobs import Held, Knob, Setting, Way
from routelab.lab.outcomes import Bools, Ints, Outcomes
from routelab.lab.replay import (
    CONTROL_NAMES,
    Halves,
    baseline_of,
    check,
    compare_entries,
    entered,
    entry_of,
    fit,
    halve,
    known_models,
    learning,
    planned,
    taught,
    terms_of,
)
from routelab.lab.reuse import told
from routelab.lab.walk import Walked, joined
from routelab.lab.ways import way_of
from routelab.strategies import Arbitrage, Cascade, Fixed, Split
from routelab.strategies.gated import FIT


@dataclass(frozen=True, kw_only=True, eq=False)
class Field:
    """Where arms are tuned: the two splits, and the baseline, of which `tune` is the walk over the tune split."""

    outcomes: Outcomes
    halves: Halves
    baseline: Entry
    confirm: float
    margin: float

    @property
    def tune(self) -> Outcomes:
        """The prompts that a slider's figures are about."""
        return self.halves.tune

    @cached_property
    def clusters(self) -> Ints | None:
        """The clusters of the tune prompts."""
        return self.tune.clusters

    @cached_property
    def base(self) -> Entry:
        """The baseline on the tune split."""
        walk = self.baseline.tune if self.baseline.tune is not None else self.baseline.walked
        return dataclasses.replace(self.baseline, walked=walk, tune=None)

    @cached_property
    def terms(self) -> Terms:
        """The terms of what is shown of the tune split: nothing that is chosen on it can be called a winner by it."""
        terms = terms_of(self.outcomes, self.halves, margin=self.margin, seed=self.halves.seed, arms_tried=1)
        return dataclasses.replace(terms, tune=0, confirm=len(self.tune), final=False)

    @cached_property
    def hull(self) -> Hull | None:
        """What random mixing of single models reaches on the tune split."""
        return zero_router(self.tune.models, mean_costs(self.tune), mean_qualities(self.tune))

    def called(self, name: str) -> str:
        """Return what an arm is called here: the baseline's own name is that of the arm as it was given."""
        return f"{name} (tuned)" if name == self.baseline.name else name

    def read(self, name: str, walk: Walked) -> Comparison:
        """Return an arm's walk over the tune split held against the baseline: its figures with intervals, and the verdict there."""
        judged, base = assess(
            [Entry(name=self.called(name), config=None, walked=walk)], self.base, self.terms, self.clusters
        )
        return Comparison(
            arms=judged, baseline=base, models=self.tune.models, terms=self.terms, outcomes=self.tune, tune=None
        )


def field_of(
    outcomes: Outcomes,
    arms: Mapping[str, Any],
    *,
    confirm: float = 0.4,
    margin: float = 0.02,
    seed: int = 0,
    baseline: str | None = None,
) -> Field:
    """Return the field of a tuner over recorded outcomes, split as `replay` splits them.

    The baseline is the best single model on tune, a model, or one of the arms (as it is given). Raises DataError for logged
    choices, which can be estimated and not replayed; ConfigError for terms that cannot be used.
    """
    if outcomes.single_choice:
        raise DataError(
            "tuner: each prompt met one model only, so other choices cannot be replayed",
            hint="lab.replay estimates named arms from logged choices; lab.collect asks every model",
        )
    check(confirm, margin)
    halves = halve(outcomes, confirm, seed)
    entries = [entry_of(name, arm, halves, planned) for name, arm in arms.items() if name == baseline]
    return Field(
        outcomes=outcomes,
        halves=halves,
        baseline=baseline_of(baseline, entries, halves),
        confirm=confirm,
        margin=margin,
    )


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A knob's whole range on tune, the other knobs as they are set: mean quality and mean cost in USD a call, NaN if unknown."""

    knob: Knob
    quality: Floats
    cost_usd: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Tuned:
    """An arm that is ready to be turned: `parts` are rows of tune with a version that was fitted without them.

    `in_sample` says that there is no such version, so that the arm may have learned from the answers it is judged by here.
    """

    config: RouteConfig
    way: Way
    knobs: tuple[Knob, ...]
    parts: tuple[tuple[Bools, Held], ...]
    in_sample: bool = False
    fitted: dict[str, RouteConfig] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The arm's name."""
        return self.config.name

    @property
    def start(self) -> Setting:
        """The setting that the arm came with."""
        return {knob.key: knob.start for knob in self.knobs}

    def walk(self, setting: Setting) -> Walked:
        """Return what the arm does with the tune prompts at a setting."""
        if len(self.parts) == 1:
            return self.parts[0][1](setting)
        return joined([(rows, held(setting)) for rows, held in self.parts])

    def curve(self, knob: Knob, setting: Setting) -> Curve:
        """Return the means at every position of one knob."""
        values = np.array(knob.values)
        sums = np.sum([held.sums(knob.key, values, setting) for _, held in self.parts], axis=0)
        scored, quality, priced, cost = sums
        return Curve(
            knob=knob,
            quality=quality / np.where(scored > 0, scored, np.nan),
            cost_usd=cost / np.where(priced > 0, priced, np.nan),
        )

    def at(self, setting: Setting) -> RouteConfig:
        """Return the arm's config at a setting, not fitted: what a replay takes. ConfigError for a setting that cannot be used."""
        return _turned(self.config, self.way, setting)

    def words(self, setting: Setting) -> str:
        """Return a setting in words, "as it is given" for an arm without knobs."""
        said = [f"{knob.says} {knob.label(setting[knob.key])}" for knob in self.knobs]
        return ", ".join(said) or "as it is given"


def steps(name: str, arm: RouteConfig, place: Field) -> Iterator[Tuned | None]:
    """Yield None after each piece of work that makes an arm ready to be turned, and the arm itself at the end.

    Raises RoutelabError for an arm that cannot be replayed over these outcomes.
    """
    if name in CONTROL_NAMES:
        raise ConfigError(f"arm '{name}': is the name of a control", hint=f"controls: {', '.join(CONTROL_NAMES)}")
    known_models(name, arm, place.tune)
    config = dataclasses.replace(arm, name=name)
    if getattr(config.ranking, "bar", None) == FIT or getattr(config.ranking, "reject", None) is not None:
        config = _settled(config, fit(config, place.tune))
        yield None
    way = way_of(config.ranking)
    parts: list[tuple[Bools, Held]] = []
    learns = learning(config.ranking) and not taught(config.ranking)
    try:
        for rows, rest in place.halves.folds if learns else ():
            parts.append((rows, way.held(fit(config, rest), place.tune.take(rows))))
            yield None
    except RoutelabError:
        # As in a replay: too little to learn from without a fold, so that tune cannot speak for the arm.
        parts = []
    in_sample = taught(config.ranking) or (learns and len(parts) < 2)
    if len(parts) < 2:
        everything = np.ones(len(place.tune), dtype=np.bool_)
        parts = [(everything, way.held(fit(config, place.tune), place.tune))]
        yield None
    turns = way.turns(config.ranking)
    knobs = tuple(turn.knob(np.concatenate([held.cuts(turn.key) for _, held in parts])) for turn in turns)
    yield Tuned(config=config, way=way, knobs=knobs, parts=tuple(parts), in_sample=in_sample)


def prepared(name: str, arm: RouteConfig, place: Field) -> Tuned:
    """Return the arm ready to be turned, after all the work that this takes."""
    *_, made = steps(name, arm, place)
    assert made is not None
    return made


def confirmed(tuned: Tuned, setting: Setting, place: Field, *, tried: int = 1) -> Comparison:
    """Return the comparison of the arm at exactly this setting on the confirm split: what `replay` of its config returns.

    `tried` is how many settings were looked at on tune. The look is not counted here: `reuse.counted` does. Raises ConfigError
    where nothing is held out.
    """
    if not place.halves.held_out:
        raise ConfigError(
            "tuner: there is no confirm split (confirm=0)", hint="confirm=0.4 holds out two prompts of five"
        )
    name, ready = place.called(tuned.name), _fitted(tuned, setting, place)
    ready = dataclasses.replace(ready, name=name)
    entry = entered(name, ready, place.halves, planned, tune=tuned.walk(setting), in_sample=tuned.in_sample)
    terms = terms_of(
        place.outcomes, place.halves, margin=place.margin, seed=place.halves.seed, arms_tried=max(1, tried)
    )
    terms = dataclasses.replace(terms, notes=(*terms.notes, told(None)))
    return compare_entries(place.halves, [entry], place.baseline, terms)


def _fitted(tuned: Tuned, setting: Setting, place: Field) -> RouteConfig:
    """Return the config at a setting fitted on all of tune, once for all settings: what is learned depends on no knob."""
    if "all" not in tuned.fitted:
        tuned.fitted["all"] = fit(tuned.at(setting), place.tune)
    return _turned(tuned.fitted["all"], tuned.way, setting)


def _turned(config: RouteConfig, way: Way, setting: Setting) -> RouteConfig:
    try:
        return dataclasses.replace(config, strategy=way.member(config.ranking, setting))
    except ValueError as trouble:
        raise ConfigError(f"{config.name}: {trouble}", hint="move a slider") from None


def _settled(config: RouteConfig, fitted: RouteConfig) -> RouteConfig:
    """Return the config with what its fit chose for its knobs, as numbers that a slider starts from, and nothing else learned."""
    strategy: Any = fitted.ranking
    keep = {"learned": getattr(config.ranking, "learned", None)} if hasattr(strategy, "learned") else {}
    if hasattr(strategy, "reject"):
        keep["reject"] = None
    return dataclasses.replace(config, strategy=dataclasses.replace(strategy, **keep))


def shares(walk: Walked, models: tuple[str, ...]) -> dict[str, float]:
    """Return which share of the prompts each model answered, the largest first; the rest was answered by nobody."""
    counts = np.bincount(walk.model[walk.model != NOBODY], minlength=len(models)) / max(1, len(walk))
    order = np.argsort(-counts, kind="stable")
    return {models[int(k)]: float(counts[k]) for k in order if counts[k] > 0}


def standard(tune: Outcomes) -> dict[str, RouteConfig]:
    """Return the arms that a tuner has by itself, by name.

    The best and the cheapest model alone, a mix of both as a control, arbitrage by the task and by the text, and cascades from
    the cheapest to the best one on every gate that was recorded, and on a learned gate where answers have texts.
    """
    best, least = best_single(tune), cheapest(tune)
    if best is None:
        raise DataError("no quality was recorded, so nothing can be tuned", hint="score the answers first")
    top = tune.models[best]
    found: dict[str, Any] = {}
    level = float(np.round(np.nanmean(tune.quality[:, best]), 2))
    if len(tune.models) > 1 and len({p.task for p in tune.prompts if p.task is not None}) > 1:
        found["by task"] = Arbitrage(predictor={"kind": "lookup", "tasks": "given"}, min_quality=level)
    low = top if least is None else tune.models[least]
    if low != top:
        for key, given in tune.gates.items():
            score = given.score[:, least]
            score = score[np.isfinite(score)]
            if len(score):
                bar = float(np.round(np.median(score), 4))
                found[f"cascade on {key}"] = Cascade(order=(low, top), gate={"recorded": key, "at_least": bar})
        found["random mix"] = Split(weights={low: 0.5, top: 0.5})
    # What takes a while to learn comes after what is ready at once, and those without a knob last: the first one is seen first.
    if len(tune.models) > 1:
        found["by text"] = Arbitrage(predictor="logistic", min_quality=level)
    if low != top and tune.texts is not None and any(tune.reply(p.id, low) is not None for p in tune.prompts):
        found["cascade, learned gate"] = Cascade(order=(low, top), gate={"scorer": "learned", "at_least": 0.8})
    found |= {model: Fixed(model=model) for model in dict.fromkeys((top, low))}
    return {
        name: RouteConfig(name=name, models=getattr(arm, "models", ()) or tune.models, strategy=arm)
        for name, arm in found.items()
    }
