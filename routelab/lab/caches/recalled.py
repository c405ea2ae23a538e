"""Caches in front of arms, by replay: which recorded prompts another one's answer would have served, and what it was worth there.

Each split is played from an empty cache: no prompt of confirm is answered from tune. Where the prompts have arrival times (tag
`at_s`) they come in that order; where they have none, every order is as good, so that quality and cost of a prompt are means over
ORDERS shuffles, the same for all arms. A cache ties prompts together: intervals take those that answer one another as one cluster.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from routelab.caching.guard import guard_of
from routelab.caching.semantic import NEAR
from routelab.caching.settings import CacheConfig
from routelab.core.errors import ConfigError, UnavailableError
from routelab.core.plan import NOBODY
from routelab.core.ports import Floats
from routelab.core.values import digest
from routelab.lab.caches.neighbours import Neighbours, Verdicts
from routelab.lab.caches.stream import ASKED, EXACT, NONE, SEMANTIC, Pass, Setting, learned, played
from routelab.lab.caches.streamed import near_keys, orders_of
from routelab.lab.caches.traffic import Traffic, arrivals, label_of
from routelab.lab.outcomes import Outcomes
from routelab.lab.referees import text_of
from routelab.lab.statistics import NonInferiority, non_inferiority
from routelab.lab.walk import Hits, Walked
from routelab.scoring import score

Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.intp]

ORDERS = 20
_LESS = 1e-9


def cache_of(arm: Any) -> CacheConfig | None:
    """Return the cache in front of an arm; None where there is none, or where it remembers nothing."""
    cache = getattr(arm, "cache", None)
    return cache if isinstance(cache, CacheConfig) and cache.remembers else None


def recalled(
    name: str, arm: Any, outcomes: Outcomes, walk: Walked, *, errors: Mapping[int, str] | None = None, seed: int = 0
) -> Walked:
    """Return an arm's walk with its cache in front; an arm without one is returned as it is.

    `errors` are the rows that the default decided: what it answered is not remembered. A hit costs nothing. What its answer is
    worth here is scored anew where text and scorer allow it; else it is worth what it was where it came from, if both prompts
    have one right answer (one group, or one task and reference, or the very same request); else that is not known (NaN).
    Raises UnavailableError in one line for a cache that recorded outcomes cannot tell about.
    """
    cache = cache_of(arm)
    return walk if cache is None else every_recalled(name, [cache], outcomes, walk, errors=errors, seed=seed)[0]


def every_recalled(
    name: str,
    caches: Sequence[CacheConfig],
    outcomes: Outcomes,
    walk: Walked,
    *,
    errors: Mapping[int, str] | None = None,
    seed: int = 0,
) -> list[Walked]:
    """Return the same walk behind each of several caches, all of them played together."""
    traffic = Traffic.of_outcomes(outcomes, walk)
    traffic = dataclasses.replace(traffic, kept=traffic.kept & ~np.isin(np.arange(len(traffic)), list(errors or ())))
    found: dict[int, Walked] = {}
    for spec in dict.fromkeys(_embedder(cache) for cache in caches):
        group = [k for k, cache in enumerate(caches) if _embedder(cache) == spec]
        found.update(
            zip(group, _recalled(name, [caches[k] for k in group], outcomes, traffic, walk, seed), strict=True)
        )
    return [found[k] for k in range(len(caches))]


def check(where: str, cache: CacheConfig, outcomes: Outcomes) -> None:
    """Raise UnavailableError, one line, for a cache that a replay of these outcomes cannot tell about."""
    if cache.ttl_s is not None and arrivals(outcomes.prompts) is None:
        raise UnavailableError(
            f"{where}: ttl_s = {cache.ttl_s:g} cannot be replayed, the prompts have no arrival times",
            hint="leave it out; or give every prompt the tag `at_s` (seconds)",
        )
    if cache.semantic is not None and cache.semantic.judge is not None:
        raise UnavailableError(
            f"{where}: what the judge {cache.semantic.judge} would have objected to was not recorded",
            hint="replay guard: lexical; lab.compare asks the judge",
        )
    if cache.semantic is not None and cache.semantic.per_entry is not None:
        if any(label_of(p) is None for p in outcomes.prompts):
            raise UnavailableError(
                f"{where}: per_entry cannot be replayed, it is not known which prompts have the same right answer",
                hint="give the prompts a group, or a reference",
            )
        if cache.stale_s:
            raise UnavailableError(f"{where}: per_entry with stale_s cannot be replayed", hint="leave stale_s out")


def setting_of(cache: CacheConfig, prompts: int) -> Setting:
    """Return the setting of the stream that plays a config's cache; a size that `prompts` cannot fill is none."""
    semantic = cache.semantic
    per_entry = None if semantic is None or semantic.per_entry is None else float(semantic.per_entry["error"])
    return Setting(
        exact=cache.exact,
        threshold=None if semantic is None else semantic.threshold if semantic.threshold is not None else NEAR,
        guard=NONE if semantic is None else guard_name(semantic.lexical),
        ttl_s=cache.ttl_s,
        stale_s=cache.stale_s,
        size=None if cache.size >= prompts else cache.size,
        per_entry=per_entry,
    )


def guard_name(spec: str | Mapping[str, Any]) -> str:
    """Return the name that a guard's verdicts go by: its kind, or its settings as JSON."""
    return spec if isinstance(spec, str) else json.dumps(spec, sort_keys=True, default=repr)


def _embedder(cache: CacheConfig) -> str:
    return "" if cache.semantic is None else digest(cache.semantic.embedder)


def _recalled(
    name: str, caches: Sequence[CacheConfig], outcomes: Outcomes, traffic: Traffic, walk: Walked, seed: int
) -> list[Walked]:
    for cache in caches:
        check(f"arm '{name}'", cache, outcomes)
    settings = [setting_of(cache, len(traffic)) for cache in caches]
    if not len(traffic):
        return [walk] * len(caches)
    held, verdicts = _memory(outcomes).found(traffic, settings, caches)
    everything = np.ones(len(traffic), dtype=np.bool_)
    orders = orders_of(traffic, everything, None if traffic.at_s is not None else ORDERS, seed)
    worth = _Worth(outcomes=outcomes, walk=walk)
    books = [_Book.of(len(traffic)) for _ in settings]
    static = [k for k, s in enumerate(settings) if s.per_entry is None]
    for number, order in enumerate(orders):
        passes: dict[int, tuple[Pass, int]] = {}
        if static:
            made = played(traffic, [settings[k] for k in static], held, verdicts, order=order)
            passes.update({k: (made, place) for place, k in enumerate(static)})
        for k, setting in enumerate(settings):
            if setting.per_entry is not None:
                own = dataclasses.replace(setting, size=None)
                passes[k] = (learned(traffic, own, held, verdicts, order=order, seed=seed + number), 0)
        for k, (found, column) in passes.items():
            books[k].add(found, column, walk, worth)
    return [book.walked(walk) for book in books]


@dataclass(kw_only=True, eq=False)
class _Worth:
    """What the answer to one prompt is worth for another, looked at once a pair."""

    outcomes: Outcomes
    walk: Walked
    held: dict[tuple[int, int], float] = field(default_factory=dict)

    def __call__(self, rows: Ints, sources: Ints) -> Floats:
        return np.array([self._of(i, j) for i, j in zip(rows.tolist(), sources.tolist(), strict=True)], dtype=float)

    def _of(self, row: int, source: int) -> float:
        if (row, source) not in self.held:
            self.held[row, source] = self._looked(row, source)
        return self.held[row, source]

    def _looked(self, row: int, source: int) -> float:
        mine, theirs = self.outcomes.prompts[row], self.outcomes.prompts[source]
        text = text_of(self.outcomes, source, int(self.walk.model[source]))
        if text is not None and mine.scorer is not None:
            try:
                given = score(text, mine)
            except ConfigError:
                given = None  # a scorer of somebody's own, which only whoever collected has
            if given is not None:
                return given.quality
        label = label_of(mine)
        request = mine.messages == theirs.messages and (mine.task, mine.reference) == (theirs.task, theirs.reference)
        same = request or (label is not None and label == label_of(theirs))
        return float(self.walk.quality[source]) if same else np.nan


@dataclass(kw_only=True, eq=False)
class _Book:
    """What n prompts came to, summed over orders."""

    quality: Floats
    asked: Floats
    exact: Floats
    semantic: Floats
    stale: Floats
    false: Floats
    unknown: Floats
    paid: Floats
    source: Ints
    ties: list[tuple[Ints, Ints]] = field(default_factory=list)
    means: list[tuple[float, float]] = field(default_factory=list)

    @classmethod
    def of(cls, n: int) -> _Book:
        zeros = [np.zeros(n) for _ in range(8)]
        names = ("quality", "asked", "exact", "semantic", "stale", "false", "unknown", "paid")
        sums: dict[str, Any] = dict(zip(names, zeros, strict=True))
        return cls(source=np.full(n, NOBODY, dtype=np.intp), **sums)

    def add(self, found: Pass, column: int, walk: Walked, worth: _Worth) -> None:
        level, stale = found.level[:, column], found.stale[:, column]
        source = found.source[:, column].astype(np.intp)
        rows = np.flatnonzero(level != ASKED)
        quality = walk.quality.copy()
        quality[rows] = worth(rows, source[rows])
        before = walk.quality[source[rows]]
        self.false[rows] += quality[rows] < before - _LESS
        self.unknown[rows] += np.isnan(quality[rows]) | np.isnan(before)
        asked = (level == ASKED) | stale
        self.quality += quality
        self.asked += level == ASKED
        self.paid += asked
        self.exact += level == EXACT
        self.semantic += level == SEMANTIC
        self.stale += stale
        self.source = np.where(level != ASKED, source, self.source)
        self.ties.append((rows, source[rows]))
        cost = np.where(asked, walk.cost_usd, 0.0)
        self.means.append((_mean(quality), _mean(cost)))

    def walked(self, walk: Walked) -> Walked:
        orders = len(self.means)
        never = self.asked == 0
        qualities, costs = zip(*self.means, strict=True)
        hits = Hits(
            exact=self.exact / orders,
            semantic=self.semantic / orders,
            stale=self.stale / orders,
            false=self.false / orders,
            unknown=self.unknown / orders,
            tied=tied(len(self.asked), self.ties),
            orders=orders,
            quality=None if np.isnan(qualities).any() else (min(qualities), max(qualities)),
            cost_usd=None if np.isnan(costs).any() else (min(costs), max(costs)),
        )
        return dataclasses.replace(
            walk,
            model=np.where(never, walk.model[self.source], walk.model),
            quality=self.quality / orders,
            # A cost that is not known stays unknown unless it is never paid.
            cost_usd=np.where(self.paid == 0, 0.0, walk.cost_usd * (self.paid / orders)),
            latency_s=np.where(never, np.nan, walk.latency_s),
            attempts=np.where(self.paid == 0, 0, walk.attempts),
            escalations=np.where(self.paid == 0, 0, walk.escalations),
            judging_usd=np.where(self.paid == 0, 0.0, walk.judging_usd * (self.paid / orders)),
            hits=hits,
        )


def tied(n: int, ties: Sequence[tuple[Ints, Ints]]) -> Ints:
    """Return the numbers of n prompts, one for those that lead to one another by (hit, source) pairs."""
    rows = np.concatenate([rows for rows, _ in ties])
    sources = np.concatenate([sources for _, sources in ties])
    graph = csr_matrix((np.ones(len(rows), dtype=np.int8), (rows, sources)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.intp)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


@dataclass(kw_only=True, eq=False)
class _Memory:
    """Neighbours and verdicts of one set of outcomes, by embedder, from the lowest threshold so far."""

    held: dict[str, Neighbours] = field(default_factory=dict)
    verdicts: dict[tuple[str, str], Verdicts] = field(default_factory=dict)

    def found(
        self, traffic: Traffic, settings: Sequence[Setting], caches: Sequence[CacheConfig]
    ) -> tuple[Neighbours, dict[str, Verdicts]]:
        spec, own = _embedder(caches[0]), [cache.semantic for cache in caches if cache.semantic is not None]
        least = min((s.threshold for s in settings if s.threshold is not None), default=None)
        before = self.held.get(spec)
        if before is None or (least is not None and least < before.at_least):
            self.held[spec] = near_keys(traffic, least, own[0].embedder if own else "minilm", None)
            self.verdicts = {key: v for key, v in self.verdicts.items() if key[0] != spec}
        held = self.held[spec]
        for guard in (semantic.lexical for semantic in own):
            name = guard_name(guard)
            if name != NONE and (spec, name) not in self.verdicts:
                self.verdicts[spec, name] = Verdicts.of(guard_of(guard), held)
        return held, {guard: v for (of, guard), v in self.verdicts.items() if of == spec}


# Per outcomes, so that an arm's next threshold neither embeds nor compares again; gone when the outcomes are.
_REMEMBERED: WeakKeyDictionary[Outcomes, _Memory] = WeakKeyDictionary()


def _memory(outcomes: Outcomes) -> _Memory:
    return _REMEMBERED.setdefault(outcomes, _Memory())


def unsettled(verdict: NonInferiority | None, *walks: Walked) -> NonInferiority | None:
    """Return the verdict, or none of it where nobody knows what some hits of the walks are worth: those are not left out.

    Prompts whose answer is not known would be those that the cache served: what is left would speak for the others only.
    """
    unknown = sum(int((walk.hits.unknown > 0).sum()) for walk in walks if walk.hits is not None)
    if unknown == 0 or verdict is None:
        return verdict
    note = f"what the cache's answer is worth is not known for {unknown:,} prompts"
    difference = dataclasses.replace(verdict.difference, low=None, high=None, note=note)
    return non_inferiority(difference, verdict.margin)


def told_hits(name: str, walk: Walked, start: str = "cache, empty at the start of the split") -> str:
    """Return a line on what the cache in front of an arm did: hits by level, false ones, and how much the order matters."""
    hits = walk.hits
    assert hits is not None
    rate = hits.rate or 0.0
    unknown = float(hits.unknown.sum() / max(1e-300, (hits.exact + hits.semantic).sum()))
    false = hits.false_rate
    parts = [
        f"{start}: {100 * rate:.1f} % hits "
        f"(exact {100 * float(hits.exact.mean()):.1f} %, semantic {100 * float(hits.semantic.mean()):.1f} %)",
        *([f"{100 * false:.1f} % of them false"] if false is not None else []),
        *([f"what {100 * unknown:.0f} % of them are worth here is not known"] if hits.unknown.any() else []),
        *([f"{100 * float(hits.stale.mean()):.1f} % stale"] if hits.stale.any() else []),
    ]
    if hits.orders > 1:
        spread = (
            "" if hits.quality is None else f", quality {100 * hits.quality[0]:.1f} to {100 * hits.quality[1]:.1f} %"
        )
        parts.append(f"means over {hits.orders} shuffled orders{spread}")
    return f"{name}: {'; '.join(parts)}; intervals take prompts that answer one another as one cluster"
