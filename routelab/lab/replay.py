"""Play arms over recorded outcomes: split, fit on tune, walk, judge on confirm. No model is called."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np

from routelab.core.errors import ConfigError, DataError, RoutelabError, UnavailableError, suggest
from routelab.core.plan import NOBODY, Plan
from routelab.core.ports import Floats
from routelab.core.values import Prompt, Roster, draw
from routelab.lab.asked import replayable
from routelab.lab.caches.recalled import cache_of, recalled, told_hits
from routelab.lab.compare import Arm, Comparison, Entry, Terms, assess, defaults
from routelab.lab.controls import (
    Controls,
    best_single,
    cheapest,
    mean_costs,
    mean_qualities,
    oracle,
    shuffle,
    single,
    zero_router,
)
from routelab.lab.nomination import folds
from routelab.lab.outcomes import Bools, Outcomes
from routelab.lab.referees import referee_of
from routelab.lab.verdict import standing
from routelab.lab.walk import Walked, joined, walk
from routelab.stages import Route
from routelab.stages.guard import guarded
from routelab.strategies import kind_of

Planner: TypeAlias = Callable[[Any, Sequence[Prompt], Roster], Plan]

BEST_SINGLE = "best-single"
CONTROL_NAMES = (BEST_SINGLE, "cheapest", "shuffle", "oracle")


class Planned(Protocol):
    """What a RouteConfig offers to a replay: its strategy's value, its models, and who is asked after them."""

    @property
    def ranking(self) -> Any: ...
    @property
    def models(self) -> Sequence[str]: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def fallbacks(self) -> Mapping[str, Sequence[str]]: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Halves:
    """The tune and the confirm split of some outcomes; both are everything when nothing is held out."""

    tune: Outcomes
    confirm: Outcomes
    held_out: bool
    seed: int = 0

    @cached_property
    def folds(self) -> tuple[tuple[Bools, Outcomes], ...]:
        """The folds of tune: which prompts are judged, and the outcomes of the others, to learn from."""
        return tuple(folds(self.tune, self.seed))


def replay(
    outcomes: Outcomes,
    arms: Mapping[str, Any],
    *,
    confirm: float = 0.4,
    margin: float = 0.02,
    seed: int = 0,
    baseline: str | None = None,
    plan_for: Planner | None = None,
) -> Comparison:
    """Return the comparison of arms (name → RouteConfig or strategy) on the confirm split.

    Prompts are split by a hash of their id (clusters by their group, so they stay whole); what can be fitted is
    fitted on tune; its figures there are those of versions fitted without the prompts they decide (five folds), so that
    it is fitted six times. A config's `cache` is played in front of it, over each split from empty (`caches.recalled`), and a
    note says what it did. The baseline is the single model that is best on tune, or an arm's or a model's name.
    `confirm=0` reports on all prompts, and then nothing is called a winner. Where each prompt met one model (`single_choice`),
    arms are estimated from the logged choices; `Comparison.how` says which of the two it is. Raises DataError or ConfigError, one
    line, for an arm that cannot be replayed.
    """
    if outcomes.single_choice:
        from routelab.lab.counterfactual import counterfactual

        for name, arm in arms.items():
            if (cache := cache_of(arm)) is not None and cache.semantic is not None:
                raise UnavailableError(
                    f"arm '{name}': logged choices cannot tell what a semantic cache would have answered",
                    hint="leave `cache.semantic` out, or collect every model's answer",
                )

        terms_ = {"confirm": confirm, "margin": margin, "seed": seed, "baseline": baseline}
        return counterfactual(outcomes, arms, plan_for=plan_for or planned, **terms_)  # type: ignore[arg-type]
    check(confirm, margin)
    unlike = replayable(arms)
    halves = halve(outcomes, confirm, seed)
    entries = tuple(entry_of(name, arm, halves, plan_for or planned) for name, arm in arms.items())
    terms = terms_of(outcomes, halves, margin=margin, seed=seed, arms_tried=len(entries))
    terms = dataclasses.replace(terms, notes=(*terms.notes, *unlike))
    return compare_entries(halves, entries, baseline_of(baseline, entries, halves), terms)


def check(confirm: float, margin: float) -> None:
    """Raise ConfigError for a share or a margin that cannot be used."""
    if not 0 <= confirm < 1:
        raise ConfigError(
            f"confirm: must be at least 0 and less than 1, not {confirm}", hint="0.4 holds out two prompts of five"
        )
    if not 0 < margin < 1:
        raise ConfigError(
            f"margin: must lie between 0 and 1, not {margin}", hint="0.02 accepts a loss of two points of quality"
        )


def halve(outcomes: Outcomes, confirm: float, seed: int) -> Halves:
    """Return the two splits; a prompt's side depends on the seed and its id (or its group) only."""
    if confirm == 0:
        return Halves(tune=outcomes, confirm=outcomes, held_out=False, seed=seed)
    held = held_out(outcomes.prompts, confirm, seed)
    if held.all() or not held.any():
        raise DataError(
            f"{len(outcomes)} prompts cannot be split into tune and confirm (confirm={confirm})",
            hint="collect more prompts, or pass confirm=0 to look at all of them without naming a winner",
        )
    return Halves(tune=outcomes.take(~held), confirm=outcomes.take(held), held_out=True, seed=seed)


def held_out(prompts: Sequence[Prompt], confirm: float, seed: int) -> Bools:
    """Return which prompts belong to the confirm split."""
    return np.array(
        [draw(seed, "confirm", "prompt" if p.group is None else "group", p.group or p.id) < confirm for p in prompts],
        dtype=np.bool_,
    )


def entry_of(name: str, arm: Any, halves: Halves, plan_for: Planner) -> Entry:
    """Return an arm fitted on tune and walked over both splits, over tune by folds if it learns."""
    if name in CONTROL_NAMES:
        raise ConfigError(f"arm '{name}': is the name of a control", hint=f"controls: {', '.join(CONTROL_NAMES)}")
    known_models(name, arm, halves.tune)
    ready = fit(arm, halves.tune)
    learner = getattr(arm, "ranking", arm)
    if not halves.held_out:
        return entered(name, ready, halves, plan_for)
    if taught(learner):
        return entered(name, ready, halves, plan_for, in_sample=True)
    if not learning(learner):
        return entered(name, ready, halves, plan_for)
    versions = ((rows, fit(arm, rest)) for rows, rest in halves.folds)
    blind = crossed(name, versions, halves.tune, plan_for)
    return entered(name, ready, halves, plan_for, tune=blind, in_sample=blind is None)


def entered(
    name: str, ready: Any, halves: Halves, plan_for: Planner, *, tune: Walked | None = None, in_sample: bool = False
) -> Entry:
    """Return an arm that is fitted already, walked over confirm, and over tune unless that walk is given."""
    plan = plan_for(ready, halves.confirm.prompts, halves.confirm.roster)
    asked = uncached(name, plan, halves.confirm)
    walk = recalled(name, ready, halves.confirm, asked, errors=plan.errors)
    own = tune or (walked(name, ready, halves.tune, plan_for) if halves.held_out else None)
    return Entry(
        name=name,
        config=ready,
        walked=walk,
        tune=own if halves.held_out else None,
        in_sample=in_sample,
        errors=plan.errors,
        predicted=_predicted(plan, asked),
    )


def crossed(name: str, versions: Iterable[tuple[Bools, Any]], tune: Outcomes, plan_for: Planner) -> Walked | None:
    """Return the walk over tune of versions of an arm, each over the rows of the fold that it was fitted without.

    None where there is one fold only, or where the rest is too little to learn from. A cache is in front of the whole of tune.
    """
    parts, errors, arm = [], {}, None
    try:
        for rows, arm in versions:
            part = tune.take(rows)
            plan = plan_for(arm, part.prompts, part.roster)
            parts.append((rows, uncached(name, plan, part)))
            errors.update({int(np.flatnonzero(rows)[i]): why for i, why in plan.errors.items()})
    except RoutelabError:
        return None
    return recalled(name, arm, tune, joined(parts), errors=errors) if len(parts) > 1 else None


def taught(strategy: Any) -> bool:
    """Say that a strategy learned before, nobody can tell from which answers: it may have been these."""
    return getattr(strategy, "learned", None) is not None


def learning(strategy: Any) -> bool:
    """Say that a strategy learns from outcomes; one that could, but has nothing left to learn, says so in `learns`."""
    return bool(getattr(strategy, "learns", hasattr(strategy, "fit")))


def _predicted(plan: Plan, walk: Walked) -> Floats | None:
    """Return what the plan predicted for the model that answered, NaN where nobody did."""
    if plan.quality is None:
        return None
    return np.where(walk.model == NOBODY, np.nan, plan.quality[np.arange(len(plan)), walk.model])


def known_models(name: str, arm: Any, outcomes: Outcomes) -> None:
    """Raise DataError when an arm names a model without outcomes."""
    for model in names_of(arm):
        if model not in outcomes.models:
            near = suggest(model, outcomes.models)
            raise DataError(
                f"arm '{name}': model '{model}' has no recorded outcomes" + ("" if near is None else f"; {near}"),
                hint=f"models there: {', '.join(outcomes.models)}",
            )


def names_of(arm: Any) -> tuple[str, ...]:
    """Return every model that an arm says it may ask; empty when it does not say."""
    named: Iterable[str] = getattr(arm, "names", None) or getattr(arm, "models", None) or ()
    return tuple(named)


def fit(arm: Any, tune: Outcomes) -> Any:
    """Return the arm with what can learn fitted on the tune split, over the arm's own models.

    What was fitted before, such as an export read from its file, is judged as it is: production would run that.
    """
    learner = getattr(arm, "ranking", arm)
    if not hasattr(learner, "fit") or taught(learner):
        return arm
    own = tune.only(arm.models) if getattr(arm, "models", None) else tune
    fitted = learner.fit(own)
    return fitted if learner is arm else dataclasses.replace(arm, strategy=fitted)


def walked(name: str, arm: Any, outcomes: Outcomes, plan_for: Planner) -> Walked:
    """Return the walk of an arm over outcomes, behind its cache if it has one."""
    plan = plan_for(arm, outcomes.prompts, outcomes.roster)
    return recalled(name, arm, outcomes, uncached(name, plan, outcomes), errors=plan.errors)


def uncached(name: str, plan: Plan, outcomes: Outcomes) -> Walked:
    """Return the walk of a plan over outcomes, every prompt being asked."""
    columns = np.arange(len(outcomes.models), dtype=np.intp)
    return walk(plan, outcomes, columns, referee_of(name, plan.gate, outcomes))


def planned(arm: Any, prompts: Sequence[Prompt], roster: Roster) -> Plan:
    """Return the plan of a RouteConfig or of a strategy, in positions of the roster.

    A config's strategy sees the config's models only, in the config's order, as in a live run; and as there, the default
    decides for prompts where it raises or returns what cannot be used (`Plan.errors`). When that is every prompt, what it
    raised is raised: an arm that never decides is none.
    """
    if not hasattr(arm, "ranking"):
        if not hasattr(arm, "plan"):
            raise ConfigError(
                f"{type(arm).__name__} is neither a RouteConfig nor a strategy",
                hint="a strategy has plan(prompts, roster)",
            )
        return guarded(kind_of(arm), arm, prompts, roster, strict=True)
    own = _route(arm, roster).plan(prompts, strict=True)
    return _placed(own, arm, roster)


def handed(arm: Any, plan: Plan, roster: Roster) -> Plan:
    """Return the plan of a RouteConfig whose strategy decided `plan` (positions in the config's models), as `planned` does.

    What is handed over is taken as it is: a row may rank nobody.
    """
    return _placed(_route(arm, roster).extended(plan), arm, roster)


def _route(arm: Any, roster: Roster) -> Route:
    return Route(
        kind=kind_of(arm.ranking),
        strategy=arm.ranking,
        roster=Roster(models=tuple(roster.models[roster.names.index(name)] for name in arm.names)),
        ranked=len(arm.models),
        fallbacks=arm.fallbacks,
    )


def _placed(own: Plan, arm: Any, roster: Roster) -> Plan:
    at = [roster.names.index(name) for name in arm.names]
    quality = None
    if own.quality is not None:
        quality = np.full((len(own), len(roster)), np.nan)
        quality[:, at[: own.quality.shape[1]]] = own.quality
    return dataclasses.replace(own, order=np.array([*at, NOBODY], dtype=np.intp)[own.order], quality=quality)


def baseline_of(name: str | None, entries: Sequence[Entry], halves: Halves) -> Entry:
    """Return the baseline: the best single model on tune, or the arm or the model that is named."""
    if name is None or name == BEST_SINGLE:
        column = best_single(halves.tune)
        if column is None:
            raise DataError("no quality was recorded, so nothing can be compared", hint="score the answers first")
        return _single_entry(BEST_SINGLE, column, halves)
    found = next((entry for entry in entries if entry.name == name), None)
    if found is not None:
        return found
    if name in halves.tune.models:
        return _single_entry(name, halves.tune.models.index(name), halves)
    known = [*(entry.name for entry in entries), *halves.tune.models]
    near = suggest(name, known)
    raise ConfigError(
        f"baseline: unknown '{name}'" + ("" if near is None else f"; {near}"),
        hint=f"arms and models: {', '.join(known)}",
    )


def terms_of(outcomes: Outcomes, halves: Halves, *, margin: float, seed: int, arms_tried: int) -> Terms:
    """Return the terms of a replay."""
    return Terms(
        margin=margin,
        seed=seed,
        tune=len(halves.tune) if halves.held_out else 0,
        confirm=len(halves.confirm),
        arms_tried=arms_tried,
        final=halves.held_out,
        dataset=outcomes.dataset,
        simulated=outcomes.simulated,
        cost_kinds=tuple(sorted({k for k in outcomes.cost_kind if k is not None})),
        notes=outcomes.notes,
    )


def compare_entries(halves: Halves, entries: Sequence[Entry], baseline: Entry, terms: Terms) -> Comparison:
    """Return the comparison of walked arms on the confirm split, with every control."""
    outcomes, clusters = halves.confirm, halves.confirm.clusters
    if outcomes.single_choice:
        raise DataError(
            "each prompt met one model only, so other choices cannot be replayed",
            hint="replay named arms, which is off-policy then; or collect every model's answer",
        )
    cached = (*entries, *([baseline] if all(baseline is not entry for entry in entries) else []))
    recalls = tuple(told_hits(entry.name, entry.walked) for entry in cached if entry.walked.hits is not None)
    terms = dataclasses.replace(terms, notes=(*terms.notes, *defaults(entries), *recalls))
    best, least = best_single(halves.tune), cheapest(halves.tune)
    assert best is not None  # `baseline_of` has refused outcomes without a quality
    controls = {BEST_SINGLE: _single_entry(BEST_SINGLE, best, halves), "oracle": _oracle_entry(halves)}
    if least is not None:
        controls["cheapest"] = _single_entry("cheapest", least, halves)
    judged, base = assess(entries, baseline, terms, clusters)
    held = {arm.name: arm for arm in assess(list(controls.values()), baseline, terms, clusters)[0]}
    comparison = Comparison(
        arms=judged,
        baseline=base,
        models=outcomes.models,
        terms=terms,
        outcomes=outcomes,
        tune=halves.tune if halves.held_out else None,
    )
    of = comparison.winner() or _most_promising(comparison) or base
    return dataclasses.replace(
        comparison,
        controls=Controls(
            best_single=held[BEST_SINGLE],
            cheapest=held.get("cheapest"),
            shuffle=shuffle(of, base.walked, outcomes, margin=terms.margin, clusters=clusters),
            oracle=held["oracle"],
            hull=zero_router(outcomes.models, mean_costs(outcomes), mean_qualities(outcomes)),
        ),
    )


def _most_promising(comparison: Comparison) -> Arm | None:
    """Return the arm that routes (asks more than one model): the first nominated, else the best of them."""
    routing = [a for a in comparison.arms if len(np.unique(a.walked.model[a.walked.model != NOBODY])) > 1]
    scored = [a for a in routing if a.figures.quality is not None]
    named = {a.name: a for a in scored}
    for name in comparison.terms.nominated or ():
        if name in named:
            return named[name]
    qualities = standing(scored)
    return max(scored, key=lambda arm: qualities[arm.name][0], default=None)


def _single_entry(name: str, column: int, halves: Halves) -> Entry:
    return Entry(
        name=name,
        config=halves.confirm.models[column],
        walked=single(halves.confirm, column),
        tune=single(halves.tune, column) if halves.held_out else None,
    )


def _oracle_entry(halves: Halves) -> Entry:
    return Entry(name="oracle", config=None, walked=oracle(halves.confirm), tune=None)
