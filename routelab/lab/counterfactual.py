"""Arms over logged choices: the comparison of a replay, where each prompt met one model and chance chose which.

An arm's prompt counts with its doubly robust term instead of its outcome, and the mean of these terms is the DR estimate. So paired
differences, clusters, Holm's correction and the verdict are those of an exact replay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from routelab.core.errors import ConfigError, DataError, suggest
from routelab.core.plan import NOBODY
from routelab.core.ports import Floats
from routelab.lab.choices import Choices
from routelab.lab.compare import Comparison, Entry, assess
from routelab.lab.offpolicy import OFF_POLICY, OffPolicy, crossfitted, evaluate, robust, target_of
from routelab.lab.outcomes import Ints, Outcomes
from routelab.lab.replay import (
    BEST_SINGLE,
    CONTROL_NAMES,
    Halves,
    Planner,
    check,
    fit,
    halve,
    learning,
    planned,
    taught,
    terms_of,
)
from routelab.lab.walk import Walked
from routelab.strategies import Fixed

LOGGED = "logged"
"""The baseline's name for what was in fact served."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Half:
    """The choices of one split, with what is expected of every model for every one of them."""

    choices: Choices
    outcomes: Outcomes
    seed: int

    @cached_property
    def expected(self) -> Floats:
        """The expected quality, n × models."""
        return crossfitted(self.choices, seed=self.seed)

    @cached_property
    def costs(self) -> tuple[Choices, Floats] | None:
        """The choices with their cost as the reward, and the expected costs; None unless every cost is known."""
        cost = self.choices.cost_usd
        if cost is None or np.isnan(cost).any():
            return None
        priced = dataclasses.replace(self.choices, reward=cost)
        return priced, crossfitted(priced, seed=self.seed)

    def walked(self, model: Ints, quality: Floats, cost_usd: Floats) -> Walked:
        """Return terms in the form of a walk: waits are not known."""
        blank, one = np.full(len(model), np.nan), np.ones(len(model), dtype=np.intp)
        return Walked(
            model=model,
            quality=quality,
            cost_usd=cost_usd,
            latency_s=blank,
            attempts=one,
            escalations=np.zeros(len(model), dtype=np.intp),
            judging_usd=np.zeros(len(model)),
        )

    def judged(self, arm: Any, plan_for: Planner) -> tuple[Walked, OffPolicy]:
        """Return an arm's terms (NaN where the estimate is refused) and the estimate itself."""
        n = len(self.choices)
        blank = np.full(n, np.nan)
        prompts = [self.outcomes.prompts[int(k)] for k in self.choices.row] if self.choices.row is not None else []
        try:
            target = target_of(arm, self.choices, prompts, plan_for=plan_for)
        except DataError as trouble:
            refused = OffPolicy(
                how=OFF_POLICY,
                n=n,
                ips=None,
                snips=None,
                dr=None,
                ess=0.0,
                max_weight=0.0,
                refused=f"not identifiable: {trouble.message}",
            )
            return self.walked(np.full(n, NOBODY, dtype=np.intp), blank, blank), refused
        found = evaluate(self.choices, target, predicted=self.expected, seed=self.seed)
        column = np.array([self.outcomes.column(m) for m in self.choices.models], dtype=np.intp)
        model = column[target.argmax(axis=1)]
        if found.refused is not None:
            return self.walked(model, blank, blank), found
        cost = blank if self.costs is None else robust(self.costs[0], target, self.costs[1])
        return self.walked(model, robust(self.choices, target, self.expected), cost), found

    def served(self) -> Walked:
        """Return what was in fact served."""
        column = np.array([self.outcomes.column(m) for m in self.choices.models], dtype=np.intp)
        cost = self.choices.cost_usd
        known = np.full(len(self.choices), np.nan) if cost is None else cost
        return self.walked(column[self.choices.action], self.choices.reward, known)


def counterfactual(
    outcomes: Outcomes,
    arms: Mapping[str, Any],
    *,
    confirm: float = 0.4,
    margin: float = 0.02,
    seed: int = 0,
    baseline: str | None = None,
    plan_for: Planner = planned,
) -> Comparison:
    """Return the comparison of arms over logged choices, on the confirm split; see `replay.replay` for the arguments.

    `Comparison.estimates` holds each arm's SNIPS and DR with their effective sample size, largest weight or refusal. The
    baseline is the single model whose estimate is best on tune, "logged" for what was served, or an arm's or a model's name;
    "logged" where no single model can be estimated. DataError when no chance was logged with the choices.
    """
    check(confirm, margin)
    if outcomes.choices is None:
        raise DataError(
            "not identifiable: one model a prompt was recorded, and no chance with which it was chosen",
            hint="collect every model's answer, or log with a `split` that gives every model a chance of at least 0.05",
        )
    halves = halve(outcomes, confirm, seed)
    final, tune = _half(halves.confirm, seed), _half(halves.tune, seed)
    wanted = {name: fit(arm, halves.tune) for name, arm in arms.items()}
    learns = {name for name, arm in arms.items() if learning(of := getattr(arm, "ranking", arm)) or taught(of)}
    for name in wanted:
        if name in (*CONTROL_NAMES, LOGGED):
            raise ConfigError(f"arm '{name}': is the name of a control", hint="give the arm another name")
    made = {name: _entry(name, arm, (final, tune), halves, plan_for) for name, arm in wanted.items()}
    base, of_base = _baseline(baseline, made, (final, tune), halves, plan_for)
    estimates = {name: found for name, (_, found) in made.items()}
    # Terms by folds would need the log's chances fold by fold: what learned here is not judged on tune at all.
    entries = [dataclasses.replace(entry, in_sample=entry.name in learns) for entry, _ in made.values()]
    lines = {name: _told(found) for name, found in estimates.items()}
    if of_base is not None and _told(of_base) not in lines.values():
        lines[base.name] = _told(of_base)
    terms = terms_of(outcomes, halves, margin=margin, seed=seed, arms_tried=len(entries))
    terms = dataclasses.replace(
        terms,
        tune=len(tune.choices) if halves.held_out else 0,
        confirm=len(final.choices),
        notes=(*terms.notes, *(f"{name}: {line}" for name, line in lines.items())),
    )
    judged, held = assess(entries, base, terms, final.choices.clusters)
    return Comparison(
        arms=judged,
        baseline=held,
        models=outcomes.models,
        terms=terms,
        prompts=tuple(final.outcomes.prompts[int(k)] for k in final.choices.row)
        if final.choices.row is not None
        else (),
        estimates={**estimates, **({} if of_base is None else {base.name: of_base})},
    )


def _half(outcomes: Outcomes, seed: int) -> Half:
    choices = outcomes.choices
    if choices is None or choices.row is None:
        raise DataError("one of the two splits holds no logged choice", hint="log more, or pass confirm=0")
    prompts = [outcomes.prompts[int(k)] for k in choices.row]
    groups = [("group", p.group) if p.group is not None else ("prompt", p.id) for p in prompts]
    place = {g: k for k, g in enumerate(dict.fromkeys(groups))}
    clusters = None if len(place) == len(groups) else np.array([place[g] for g in groups], dtype=np.intp)
    return Half(choices=dataclasses.replace(choices, clusters=clusters), outcomes=outcomes, seed=seed)


def _entry(name: str, arm: Any, both: tuple[Half, Half], halves: Halves, plan_for: Planner) -> tuple[Entry, OffPolicy]:
    """Return an arm with its terms on both splits, and its estimate on the one that is reported."""
    final, tune = both
    walked, found = final.judged(arm, plan_for)
    return (
        Entry(name=name, config=arm, walked=walked, tune=tune.judged(arm, plan_for)[0] if halves.held_out else None),
        found,
    )


def _baseline(
    name: str | None,
    made: Mapping[str, tuple[Entry, OffPolicy]],
    both: tuple[Half, Half],
    halves: Halves,
    plan_for: Planner,
) -> tuple[Entry, OffPolicy | None]:
    final, tune = both
    known = final.choices.models
    if name is not None and name in made:
        return made[name]
    if name is not None and name in known:
        return _single(name, name, both, halves, plan_for)
    if name == LOGGED:
        return _served(both, halves), None
    if name is not None and name != BEST_SINGLE:
        near = suggest(name, [*made, *known, LOGGED])
        raise ConfigError(
            f"baseline: unknown '{name}'" + ("" if near is None else f"; {near}"),
            hint=f"arms and models: {', '.join([*made, *known, LOGGED])}",
        )
    singles = {m: tune.judged(Fixed(model=m), plan_for)[1] for m in known if m in tune.choices.models}
    values = {m: found.dr.value for m, found in singles.items() if found.dr is not None}
    if not values:
        return _served(both, halves), None
    best = max(values, key=lambda m: values[m])
    entry, found = _single(BEST_SINGLE, best, both, halves, plan_for)
    # On a much smaller confirm split the same model may be out of reach.
    return (entry, found) if found.refused is None else (_served(both, halves), None)


def _single(
    name: str, model: str, both: tuple[Half, Half], halves: Halves, plan_for: Planner
) -> tuple[Entry, OffPolicy]:
    entry, found = _entry(name, Fixed(model=model), both, halves, plan_for)
    return dataclasses.replace(entry, config=model), found


def _served(both: tuple[Half, Half], halves: Halves) -> Entry:
    final, tune = both
    return Entry(name=LOGGED, config=None, walked=final.served(), tune=tune.served() if halves.held_out else None)


def _told(found: OffPolicy) -> str:
    """Return an estimate's line without the words that the report's head has."""
    return str(found).replace(f"{OFF_POLICY}; ", "")
