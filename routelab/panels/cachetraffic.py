"""Traffic as what a cache is tuned on: the earlier part is looked at, the later one is held out."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.caching.guard import Guard, guard_of
from routelab.core.values import digest
from routelab.lab.caches.stream import ASKED, NONE, SEMANTIC, Setting, grid
from routelab.lab.caches.streamed import Streamed, stream
from routelab.lab.caches.tallies import Tally, false_of
from routelab.lab.caches.traffic import Traffic
from routelab.lab.charts import Chart
from routelab.lab.charts.cachecurve import Course, cache_thresholds, course_of_tallies
from routelab.lab.charts.cachehits import arrivals_of, cache_hits
from routelab.lab.reuse import Look
from routelab.panels.cacheground import ROWS, Confirmed, Figures, Place, Shown, judged, many
from routelab.present import Table, percent, safe, usd

Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

GUARDS = ("lexical", "none")
THRESHOLDS = (*(k / 100 for k in range(60, 100)), 0.995, 1.0)
ORDERS = 1
SEED = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class TrafficGround:
    """Traffic played through every threshold and guard; without arrival times in one shuffled order."""

    streamed: Streamed
    embedder: str
    ttl_s: float | None = None
    name: str = "traffic"
    guards: tuple[str, ...] = GUARDS
    other: tuple[str, str] = ("Over time", "who answered, over time")
    _courses: dict[Any, Course] = field(default_factory=dict, repr=False)

    @property
    def traffic(self) -> Traffic:
        """The traffic that was played."""
        return self.streamed.traffic

    @property
    def simulated(self) -> bool:
        """Whether its figures come from practice models or made-up requests."""
        return self.traffic.simulated

    @property
    def says(self) -> str:
        """What it is and how it was halved."""
        early = int(self.streamed.early.sum())
        made = "SIMULATED; " if self.simulated else ""
        order = "in order of arrival" if self.traffic.at_s is not None else "shuffled, for arrival times are not known"
        life = f"; answers live {self.ttl_s:g} s" if self.ttl_s is not None else ""
        labels = "" if self._labelled else "; no labels: whether hits are right is not known"
        notes = "".join(f"; {note}" for note in self.traffic.notes)
        return (
            f"{made}{self.name}: {early:,} earlier requests are looked at, {len(self.traffic) - early:,} later ones are held out, {order}"
            f"{life}{labels}{notes}"
        )

    @property
    def held_out(self) -> str:
        """What Confirm looks at."""
        return f"{len(self.traffic) - int(self.streamed.early.sum()):,} later requests"

    @property
    def _labelled(self) -> bool:
        return bool((self.traffic.codes >= 0).any())

    @cached_property
    def _guard(self) -> Guard:
        return guard_of("lexical")

    def _column(self, place: Place) -> int:
        wanted = Setting(exact=True, threshold=place.threshold, guard=place.guard, ttl_s=self.ttl_s)
        return self.streamed.settings.index(wanted)

    def _tallies(self, guard: str) -> list[Tally]:
        return [
            t for t in self.streamed.tallies("earlier") if t.setting.guard == guard and t.setting.threshold is not None
        ]

    def thresholds(self, guard: str) -> tuple[float, ...]:
        """Return the slider's positions: what was played."""
        return THRESHOLDS

    def course(self, place: Place) -> Course:
        """Return what every threshold does with the earlier requests."""
        key = (place.guard, place.budget)
        if key not in self._courses:
            self._courses[key] = course_of_tallies(
                self._tallies(place.guard),
                name=f"{self.name}, {self.embedder}, {place.guard if place.guard != 'none' else 'no'} guard",
                about=f"{int(self.streamed.early.sum()):,} earlier requests",
                budget=place.budget,
                simulated=self.simulated,
            )
        return self._courses[key]

    def nominee(self, guard: str, budget: float) -> tuple[float | None, str]:
        """Return the threshold that hits most of those whose bound is within the budget, or why there is none."""
        if not self._labelled:
            return None, "whether hits are right is not known, so no threshold can be chosen from this traffic"
        able = [t for t in self._tallies(guard) if t.false_hit_upper is not None and t.false_hit_upper <= budget]
        if able:
            best = max(able, key=lambda t: (t.hits, t.threshold or 0.0))
            return best.threshold, f"{best.threshold:.4f} hits most within the budget"
        each = [t for t in self._tallies(guard) if t.false_hit_upper is not None]
        if not each:
            return None, "nothing was a hit"
        least = min(each, key=lambda t: t.false_hit_upper or 1.0)
        return None, (
            f"no threshold keeps the bound within {percent(budget, 2)}: the least is {percent(least.false_hit_upper, 2)} at "
            f"{least.threshold:.4f} ({least.false_hits:,} of {least.judged:,})"
        )

    def shown(self, place: Place) -> Shown:
        """Return figures, false hits and what was refused, on the earlier requests."""
        column = self._column(place)
        tally = self.streamed.tallies("earlier")[column]
        words = (
            f"At {place.threshold:.4f}: {percent(tally.hit_rate)} of {tally.n:,} requests hit, saving {_saved(tally)}; "
            f"{_false(tally, place.budget)}"
        )
        return Shown(words=words, figures=_figures(tally, "here"), tables=self._tables(column))

    def _tables(self, column: int) -> tuple[Table, ...]:
        found, traffic = self.streamed.passes[0], self.traffic
        early, level = self.streamed.early, found.level[:, column]
        false = false_of(traffic, found, column)
        semantic = early & (level == SEMANTIC)
        wrong = np.flatnonzero(semantic & (false == 1))
        unknown = np.flatnonzero(semantic & np.isnan(false))
        refused = np.flatnonzero(early & (level == ASKED) & (found.refused[:, column] >= 0))
        tables = [
            self._hits(column, wrong, f"{many(len(wrong), 'request')} got a wrong answer from the semantic level")
        ]
        if len(unknown):
            tables.append(
                self._hits(
                    column,
                    unknown,
                    f"{many(len(unknown), 'semantic hit')} of which nobody knows whether the answer was right",
                )
            )
        if found.settings[column].guard != NONE:
            tables.append(self._refused(column, refused))
        return tuple(tables)

    def _hits(self, column: int, which: Ints, says: str) -> Table:
        """Return the pairs of texts behind these requests, the most frequent ones first, each once."""
        found, traffic = self.streamed.passes[0], self.traffic
        times: dict[tuple[str, str], int] = {}
        rows: dict[tuple[str, str], float] = {}
        for i in which.tolist():
            pair = (traffic.texts[i], traffic.texts[int(found.source[i, column])])
            times[pair] = times.get(pair, 0) + 1
            rows.setdefault(pair, float(found.cosine[i, column]))
        cells = [
            (f"{similarity:.4f}", self._says(*pair), f"{times[pair]:,}", *pair)
            for pair, similarity in sorted(rows.items(), key=lambda item: (-times[item[0]], -item[1]))[:ROWS]
        ]
        more = f", {len(rows):,} different pairs; the {ROWS} most frequent" if len(rows) > ROWS else ""
        return Table(
            head=("similarity", "the guard", "times", "asked", "answered with the answer to"),
            rows=cells,
            numbers=frozenset({0, 2}),
            caption=says + more,
        )

    def _says(self, asked: str, known: str) -> str:
        objection = self._guard(asked, known)
        return "no objection" if objection is None else f"lexical: {objection}"

    def _refused(self, column: int, which: Ints) -> Table:
        found, traffic, held = self.streamed.passes[0], self.traffic, self.streamed.held
        rows: dict[tuple[str, str], int] = {}
        for i in which.tolist():
            pair = (traffic.texts[i], held.keys[int(found.refused[i, column])][1])
            rows[pair] = rows.get(pair, 0) + 1
        cells = [
            (self._says(*pair).removeprefix("lexical: "), f"{times:,}", *pair)
            for pair, times in sorted(rows.items(), key=lambda item: -item[1])[:ROWS]
        ]
        more = f"; the {ROWS} most frequent of {len(rows):,} pairs" if len(rows) > ROWS else ""
        return Table(
            head=("objection", "times", "asked", "the nearest entry"),
            rows=cells,
            numbers=frozenset({1}),
            caption=f"{many(len(which), 'request')} asked a model because the guard objected{more}",
        )

    def confirmed(self, place: Place) -> Confirmed:
        """Return what the later requests say of the threshold."""
        column = self._column(place)
        then, now = self.streamed.tallies("later")[column], self.streamed.tallies("earlier")[column]
        here = Figures(
            of=self.held_out,
            gain=f"{percent(then.hit_rate)} hit, saving {_saved(then)}",
            hits=then.judged,
            false=then.false_hits,
            upper=then.false_hit_upper,
        )
        tune = Figures(of="", gain="", hits=now.judged, false=now.false_hits, upper=now.false_hit_upper)
        adopt, words = judged(place, here, tune)
        if not self._labelled:
            words = "the cache stays off: whether hits are right is not known, for the traffic has no labels"
        name = f"{self.embedder}, {'no' if place.guard == 'none' else place.guard} guard"
        return Confirmed(place=place, adopt=adopt, words=f"{name}: {words}", figures=_figures(then, "held out"))

    def look(self, place: Place) -> Look:
        """Return the look at the later requests."""
        traffic = self.traffic
        times = None if traffic.at_s is None else traffic.at_s.tolist()
        return Look(
            split=digest("cache traffic", traffic.texts, times, traffic.codes.tolist(), SEED),
            dataset=self.name,
            seed=SEED,
            arms={f"{self.embedder}, {place.guard}": f"threshold {place.threshold:.4f}"},
            detail={"budget": place.budget, "ttl_s": self.ttl_s},
        )

    def chart(self, kind: str, place: Place) -> Chart:
        """Return the chart of thresholds, or who answered over time at this threshold, on the earlier requests."""
        if kind == "thresholds":
            return cache_thresholds(self.course(place), chosen=place.threshold)
        return cache_hits(arrivals_of(self.streamed, self._column(place), within=self.streamed.early))


def _saved(tally: Tally) -> str:
    share = "" if tally.saved_share is None else f" ({percent(tally.saved_share)})"
    return f"{usd(tally.saved_usd)}{share} and {_span(tally.saved_s)} of waiting"


def _span(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f} s" if value >= 10 else f"{value:.1f} s"


def _false(tally: Tally, budget: float) -> str:
    if not tally.judged or tally.false_hit_upper is None:
        return "whether a hit is false is not known"
    kept = f"{'within' if tally.false_hit_upper <= budget else 'above'} the budget of {percent(budget, 2)}"
    return (
        f"{tally.false_hits:,} of {tally.judged:,} hits are false, at most {percent(tally.false_hit_upper, 2)} ({kept})"
    )


def _figures(tally: Tally, where: str) -> Table:
    exact, semantic = (hits / tally.n if tally.n else None for hits in (tally.exact_hits, tally.semantic_hits))
    unpriced = "" if tally.saved_usd is not None else "; a cost is not known"
    rows = [
        ("exact hits", percent(exact), f"{tally.exact_hits:,} of {tally.n:,} requests"),
        ("semantic hits", percent(semantic), f"{tally.semantic_hits:,}"),
        (
            "saved",
            usd(tally.saved_usd),
            f"{percent(tally.saved_share)} of {usd(tally.total_usd)}{unpriced}",
        ),
        ("waits saved", _span(tally.saved_s), f"of {_span(tally.total_s)}"),
        (
            "false-hit rate",
            percent(tally.false_hit_rate, 2),
            f"{tally.false_hits:,} of {tally.judged:,} hits that could be judged",
        ),
        (
            "at most",
            percent(tally.false_hit_upper, 2),
            f"one-sided 95 %; each pair of texts once: {percent(tally.false_pair_upper, 2)}",
        ),
    ]
    if tally.setting.ttl_s is not None:
        rows.append(("stale hits", f"{tally.stale_hits:,}", "answered, and asked anew"))
    return Table(head=("", where, ""), rows=rows, numbers=frozenset({1}))


def traffic_ground(traffic: Traffic, *, embedder: str, ttl_s: float | None = None) -> TrafficGround:
    """Return traffic played through every threshold and guard; asks nobody, embeds every text once."""
    settings = grid(thresholds=[None, *THRESHOLDS], guards=GUARDS, ttls_s=[ttl_s])
    found = stream(traffic, settings, embedder=embedder, orders=None if traffic.at_s is not None else ORDERS, seed=SEED)
    for part in ("earlier", "later"):
        found.tallies(part)  # counted here, and not while a slider waits
    return TrafficGround(streamed=found, embedder=embedder, ttl_s=ttl_s, name=safe(traffic.name, 80))
