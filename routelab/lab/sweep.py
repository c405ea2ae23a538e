"""Try every config of a grid on the tune split, carry the best few to confirm, and report these.

Three ways lead to the same sums, the cheapest that fits is taken: a family of strategies is decided for all values of
its knob at once; a strategy that cannot tell prompts of one task apart is planned for one prompt of each; any other is
planned prompt by prompt. A plan that was met before is not walked again.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from routelab.caching.settings import CacheConfig
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.plan import NOBODY, Plan
from routelab.core.ports import Floats
from routelab.lab.axes import Axes, Between, Grid, axes_of
from routelab.lab.caches.recalled import cache_of, every_recalled
from routelab.lab.compare import Comparison, Entry, same
from routelab.lab.family import Likeness, Tunable, likeness, rankings
from routelab.lab.ladder import climbed
from routelab.lab.nomination import SUMS, Standings, contributions, folds, nominate, standings, whole
from routelab.lab.outcomes import Bools, Ints, Outcomes
from routelab.lab.replay import (
    Halves,
    baseline_of,
    check,
    compare_entries,
    crossed,
    entered,
    entry_of,
    fit,
    halve,
    known_models,
    learning,
    planned,
    taught,
    terms_of,
    uncached,
    walked,
)
from routelab.lab.reuse import told
from routelab.lab.walk import Walked, joined

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Between", "Scan", "scan", "sweep"]

BATCH = 256
"""Configs that are planned one by one between two reports of their sums."""
PAYS = 20_000_000
"""Prompts to plan, over all configs, from which processes are worth starting: some 40 s of work, where they take 3 s."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """Every config of a grid on the tune split, judged against the baseline there; nothing of confirm was looked at.

    `sums` (6, configs) are those of `nomination.contributions`; `marks` (configs,) is equal for configs that decide
    every tune prompt alike; `plans` counts the plans that were evaluated.
    """

    axes: Axes
    sums: Floats
    marks: Ints
    plans: int

    def __len__(self) -> int:
        return len(self.axes)

    @cached_property
    def standings(self) -> Standings:
        """The mean lead in quality and the mean costs of every config."""
        return standings(self.sums)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a config: name, its values by dotted key, quality lead on tune, cost a call, ratio of costs, plan."""
        import pandas as pd

        held = self.standings
        rows = [{"arm": self.axes.name(i), **self.axes.values(i)} for i in range(len(self))]
        return pd.DataFrame(rows).assign(
            tune_quality_delta=held.delta,
            tune_cost_usd=held.cost_usd,
            tune_cost_ratio=held.cost_usd / np.where(held.base_cost_usd > 0, held.base_cost_usd, np.nan),
            plan=self.marks,
        )


def sweep(
    outcomes: Outcomes,
    base: RouteConfig,
    grid: Grid,
    *,
    search: str = "grid",
    n: int | None = None,
    confirm: float = 0.4,
    margin: float = 0.02,
    seed: int = 0,
    baseline: str | None = None,
    jobs: int | None = None,
) -> Comparison:
    """Return the comparison of the base and of the configs nominated on tune, reported on confirm; `arms_tried` counts all.

    `grid` maps dotted keys of a config to lists of values: every combination is tried, or with `search="random"` n
    different ones. Values are checked before anything is walked: ConfigError names key and value, UnavailableError a
    key that recorded answers cannot judge. The baseline is the best single model on tune, the base's name, or a
    model. `jobs` is how many processes may plan: as many as pay when None.
    """
    check(confirm, margin)
    halves = halve(outcomes, confirm, seed)
    known_models(base.name, base, outcomes)
    axes = axes_of(base, grid, outcomes, search=search, n=n, seed=seed)
    own = entry_of(base.name, base, halves, planned)
    held = baseline_of(baseline, (own,), halves)
    found = _scanned(axes, _field(axes, halves, held), jobs)
    chosen = _nominated(found, halves, held, margin)
    terms = terms_of(outcomes, halves, margin=margin, seed=seed, arms_tried=len(axes))
    entries = [own, *(entry for entry in chosen if entry.name != own.name)]
    # Whoever keeps a ledger puts the count in the place of this note: `reuse.counted`.
    notes = (*terms.notes, *((told(None),) if halves.held_out else ()))
    return compare_entries(
        halves, entries, held, dataclasses.replace(terms, nominated=tuple(entry.name for entry in chosen), notes=notes)
    )


def scan(
    outcomes: Outcomes,
    base: RouteConfig,
    grid: Grid,
    *,
    search: str = "grid",
    n: int | None = None,
    confirm: float = 0.4,
    seed: int = 0,
    baseline: str | None = None,
    jobs: int | None = None,
) -> Scan:
    """Return how every config of a grid stands on the tune split: what `sweep` nominates from, without a confirm run."""
    check(confirm, 0.5)
    halves = halve(outcomes, confirm, seed)
    known_models(base.name, base, outcomes)
    axes = axes_of(base, grid, outcomes, search=search, n=n, seed=seed)
    place = dataclasses.replace(halves, confirm=halves.tune)
    held = baseline_of(baseline, (entry_of(base.name, base, place, planned),) if baseline == base.name else (), place)
    return _scanned(axes, _field(axes, halves, held), jobs)


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """Some rows of tune (`mask`), the baseline over them, and what a strategy may learn from to be judged there."""

    mask: Bools
    rows: Outcomes
    rest: Outcomes
    baseline: Walked


@dataclass(frozen=True, kw_only=True, eq=False)
class Field:
    """Where configs are judged: all of tune for what does not learn, folds for what does; and what is known so far.

    `caches` are those of the grid: the first config of a routing that has one plays them all over that routing's walk.
    """

    all: tuple[Part, ...]
    folds: tuple[Part, ...]
    caches: tuple[CacheConfig, ...] = ()
    walks: dict[Hashable, dict[str, Walked]] = field(default_factory=dict)
    sums: dict[Hashable, Floats] = field(default_factory=dict)
    labels: dict[Hashable, Ints] = field(default_factory=dict)

    def parts(self, config: RouteConfig) -> tuple[Part, ...]:
        """Return the parts on which a config is judged."""
        return self.folds if learning(config.ranking) else self.all


def _field(axes: Axes, halves: Halves, baseline: Entry) -> Field:
    kinds = any(axis.path in (("strategy",), ("strategy", "kind")) for axis in axes.axes)
    # Only a gate looks at what was answered; else the function that finds it need not travel to another process.
    caches = axes.caches
    gated = bool(caches) or kinds or hasattr(type(axes.base.ranking), "accepts")
    tune = halves.tune if gated else dataclasses.replace(halves.tune, texts=None)
    walk = baseline.tune if baseline.tune is not None else baseline.walked

    def parts(rows: Sequence[tuple[Bools, Outcomes]]) -> tuple[Part, ...]:
        return tuple(Part(mask=mask, rows=tune.take(mask), rest=rest, baseline=walk.take(mask)) for mask, rest in rows)

    learns = kinds or learning(axes.base.ranking)
    return Field(all=parts(whole(tune)), folds=parts(folds(tune, halves.seed)) if learns else (), caches=caches)


def _scanned(axes: Axes, place: Field, jobs: int | None) -> Scan:
    count = len(axes)
    sums, marks = np.zeros((SUMS, count)), np.zeros(count, dtype=np.intp)
    rest, plans = np.arange(count), 0
    if axes.knob is not None and isinstance(axes.base.ranking, Tunable) and not place.caches:
        for run in _runs(axes, axes.knob):
            sums[:, run], mark = _of_family(axes, run, axes.knob, place)
            _, alike = np.unique(mark, return_inverse=True)
            marks[run] = plans + alike
            plans += int(alike.max()) + 1
        rest = np.flatnonzero((axes.settings < 0).any(axis=1))
    numbers: dict[Hashable, int] = {}
    for batch, (found, keys) in _batches(axes, rest, place, jobs):
        sums[:, batch] = found
        marks[batch] = [plans + numbers.setdefault(key, len(numbers)) for key in keys]
    return Scan(axes=axes, sums=sums, marks=marks, plans=plans + len(numbers))


def _runs(axes: Axes, knob: int) -> Iterator[Ints]:
    """Yield the configs that differ in the knob only."""
    settings = axes.settings[(axes.settings >= 0).all(axis=1)]
    others = np.delete(settings, knob, axis=1)
    order = np.lexsort((settings[:, knob], *others.T[::-1]))
    ends = np.flatnonzero((np.diff(others[order], axis=0) != 0).any(axis=1)) + 1
    yield from np.split(order.astype(np.intp), ends)


def _of_family(axes: Axes, run: Ints, knob: int, place: Field) -> tuple[Floats, Ints]:
    """Return the sums and the marks of configs that differ in the knob only: one fit and one family for all of them."""
    values = np.array([axes.axes[knob].values[k] for k in axes.settings[run, knob].tolist()], dtype=float)
    member = axes.config(int(run[0]))
    # The others are put together when they are nominated; the two ends of the range are checked here.
    axes.config(int(run[-1]))
    sums, marks = np.zeros((SUMS, len(run))), np.zeros(len(run), dtype=np.intp)
    for part in place.parts(member):
        fitted = fit(member, part.rest)
        found, steps = climbed(fitted, values, part.rows, part.baseline)
        sums += found
        marks += steps
    return sums, marks


def _batches(
    axes: Axes, which: Ints, place: Field, jobs: int | None
) -> Iterator[tuple[Ints, tuple[Floats, list[Hashable]]]]:
    parts = [which[k : k + BATCH] for k in range(0, len(which), BATCH)]
    workers = _workers(axes, len(which), place, jobs)
    if workers == 1:
        yield from ((part, _of_batch(axes, part, place)) for part in parts)
        return
    import joblib

    # Batches small enough that every process has several, so that none waits long for the last one.
    parts = [p for p in np.array_split(which, max(workers * 4, len(parts))) if len(p)]
    run = joblib.Parallel(n_jobs=workers, return_as="generator")
    yield from zip(parts, run(joblib.delayed(_of_batch)(axes, part, place) for part in parts), strict=True)


def _workers(axes: Axes, count: int, place: Field, jobs: int | None) -> int:
    """Return how many processes to plan in: 1 unless there is enough work to pay for starting them."""
    if jobs is not None and jobs < 1:
        raise ConfigError(f"jobs: must be at least 1, not {jobs}", hint="leave it out: as many as pay")
    prompts = sum(len(part.rows) for part in place.parts(axes.base))
    quick = likeness(axes.base.ranking) is not None and not learning(axes.base.ranking)
    if jobs == 1 or count < 2 or (jobs is None and (quick or count * prompts < PAYS)):
        return 1
    try:
        import joblib
    except ImportError:
        if jobs is None:
            return 1
        raise ConfigError(f"jobs: {jobs} processes need joblib", hint="pip install joblib, or jobs=1") from None
    return min(joblib.cpu_count(), count) if jobs is None else min(jobs, count)


def _of_batch(axes: Axes, which: Ints, place: Field) -> tuple[Floats, list[Hashable]]:
    found = [_of_config(axes.config(int(i)), place) for i in which]
    return np.stack([sums for sums, _ in found], axis=1), [key for _, key in found]


def _of_config(config: RouteConfig, place: Field) -> tuple[Floats, Hashable]:
    """Return the sums of one config, and a key that is equal for configs of equal plans."""
    known_models(config.name, config, place.all[0].rows)
    learns = learning(config.ranking)
    like = None if learns else likeness(config.ranking)
    cache = cache_of(config)
    if cache is not None:
        return _of_cached(config, cache, place)
    if like is not None:
        return _of_classes(config, like, place)
    total, keys = np.zeros(SUMS), []
    for number, part in enumerate(place.parts(config)):
        fitted = fit(config, part.rest)
        plan = planned(fitted, part.rows.prompts, part.rows.roster)
        key = (learns, number, fingerprint(plan))
        if key not in place.sums:
            walk = uncached(config.name, plan, part.rows)
            place.sums[key] = contributions(walk.quality, walk.cost_usd, part.baseline).sum(axis=1)
        total = total + place.sums[key]
        keys.append(key)
    return total, tuple(keys)


def _of_cached(config: RouteConfig, cache: CacheConfig, place: Field) -> tuple[Floats, Hashable]:
    """Return the sums of a config with a cache in front, over all of tune from empty; equal keys, equal quality and cost of every prompt."""
    keys: list[Hashable] = []
    walks: list[tuple[Bools, Walked]] = []
    errors: dict[int, str] = {}
    for part in place.parts(config):
        plan = planned(fit(config, part.rest), part.rows.prompts, part.rows.roster)
        errors.update({int(np.flatnonzero(part.mask)[i]): why for i, why in plan.errors.items()})
        keys.append(fingerprint(plan))
        walks.append((part.mask, uncached(config.name, plan, part.rows)))
    key = ("cached", tuple(keys), tuple(errors))
    if key not in place.walks:
        every = {repr(c): c for c in (*place.caches, cache)}
        found = every_recalled(config.name, list(every.values()), place.all[0].rows, joined(walks), errors=errors)
        place.walks[key] = dict(zip(every, found, strict=True))
    walk = place.walks[key][repr(cache)]
    mark = hashlib.blake2b(walk.quality.tobytes() + walk.cost_usd.tobytes() + walk.model.tobytes(), digest_size=16)
    return contributions(walk.quality, walk.cost_usd, place.all[0].baseline).sum(axis=1), ("cached", mark.digest())


def _of_classes(config: RouteConfig, like: Likeness, place: Field) -> tuple[Floats, Hashable]:
    """Return the sums of a config that ranks alike whatever it cannot tell apart: one plan row a class of prompts."""
    part = place.all[0]
    prompts = part.rows.prompts
    if like.key not in place.labels:
        numbers: dict[Hashable, int] = {}
        place.labels[like.key] = np.array(
            [numbers.setdefault(label, len(numbers)) for label in like.labels(prompts)], dtype=np.intp
        )
    labels = place.labels[like.key]
    _, first = np.unique(labels, return_index=True)
    plan = planned(config, [prompts[int(i)] for i in first], part.rows.roster)
    total, ranked = np.zeros(SUMS), tuple(rankings(plan.order))
    for label, ranking in enumerate(ranked):
        key = (like.key, ranking)
        if key not in place.sums:
            place.sums[key] = _by_class(ranking, labels, len(first), part)
        total += place.sums[key][:, label]
    return total, (like.key, ranked)


def _by_class(ranking: tuple[int, ...], labels: Ints, count: int, part: Part) -> Floats:
    """Return the sums of one ranking in every class, (5, classes)."""
    n = len(labels)
    order = np.tile(np.array(ranking or (NOBODY,), dtype=np.intp), (n, 1))
    plan = Plan(order=order, propensity=np.ones(n), reason=np.zeros(n, dtype=np.intp), reasons=("",))
    walk = uncached("", plan, part.rows)
    each = contributions(walk.quality, walk.cost_usd, part.baseline)
    return np.stack([np.bincount(labels, weights=row, minlength=count) for row in each])


def fingerprint(plan: Plan) -> bytes:
    """Return 16 bytes that are equal for plans that ask the same models in the same order behind the same gate."""
    order = plan.order
    used = int((order != NOBODY).any(axis=0).sum())
    said = repr((len(order), used, plan.gate)).encode()
    return hashlib.blake2b(np.ascontiguousarray(order[:, :used]).tobytes() + said, digest_size=16).digest()


def _nominated(found: Scan, halves: Halves, baseline: Entry, margin: float) -> list[Entry]:
    """Return those nominated, in this order, that decide some tune prompt unlike the baseline and unlike each other."""
    axes = found.axes
    seen = [baseline.tune if baseline.tune is not None else baseline.walked]
    marks: set[int] = set()
    fitted: dict[int, RouteConfig] = {}

    def differs(i: int) -> bool:
        if int(found.marks[i]) in marks:
            return False
        marks.add(int(found.marks[i]))
        arm = fit(axes.config(i), halves.tune)
        walk = walked(axes.name(i), arm, halves.tune, planned)
        if any(same(walk, other) for other in seen):
            return False
        seen.append(walk)
        fitted[i] = arm
        return True

    order = nominate(found.standings, axes.name, margin=margin, confirm=len(halves.confirm), differs=differs)
    known: dict[Hashable, list[RouteConfig]] = {}
    return [_entered(i, fitted[i], axes, halves, known) for i in order]


def _entered(i: int, arm: RouteConfig, axes: Axes, halves: Halves, known: dict[Hashable, list[RouteConfig]]) -> Entry:
    """Return the entry of a config fitted on tune; `known` keeps the versions fitted without a fold, for all values of a knob."""
    name, config = axes.name(i), axes.config(i)
    ranking = config.ranking
    if taught(ranking) or not learning(ranking) or not halves.held_out:
        return entered(name, arm, halves, planned, in_sample=taught(ranking) and halves.held_out)
    settings = tuple(axes.settings[i].tolist())
    key, value = settings, {}
    if axes.knob is not None and isinstance(ranking, Tunable) and min(settings) >= 0:
        key = settings[: axes.knob] + settings[axes.knob + 1 :]
        value = {ranking.knob: getattr(ranking, ranking.knob)}
    if key not in known:
        known[key] = [fit(config, rest) for _, rest in halves.folds]
    strategies: list[Any] = [c.ranking for c in known[key]]
    versions = [
        dataclasses.replace(c, strategy=dataclasses.replace(own, **value))
        for c, own in zip(known[key], strategies, strict=True)
    ]
    pairs = [(rows, version) for (rows, _), version in zip(halves.folds, versions, strict=True)]
    blind = crossed(name, pairs, halves.tune, planned)
    return entered(name, arm, halves, planned, tune=blind, in_sample=blind is None)
