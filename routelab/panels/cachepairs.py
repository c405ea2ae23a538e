"""Labelled pairs as what a cache is tuned on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from routelab.caching.guard import Guard, guard_of
from routelab.core.values import digest
from routelab.lab.caches.arms import Setting, arm, figures
from routelab.lab.caches.bench import settled
from routelab.lab.caches.curve import Point, nominated, safest
from routelab.lab.caches.pairs import Halves, Pairs, halves
from routelab.lab.caches.verdict import verdict
from routelab.lab.charts import Chart
from routelab.lab.charts.cachecurve import Course, cache_thresholds, course_of_curve
from routelab.lab.charts.cachescores import Alike, cache_similarity
from routelab.lab.reuse import Look
from routelab.panels.cacheground import ROWS, Confirmed, Figures, Place, Shown, judged, many, threshold_positions
from routelab.present import Table, percent

Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

GUARDS = ("lexical", "none")
SEED = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class PairsGround:
    """Labelled pairs in two halves, with cosines, objections and curves under each guard."""

    name: str
    embedder: str
    split: Halves
    settings: Mapping[str, Setting]
    notes: tuple[str, ...] = ()
    simulated: bool = False
    ttl_s: float | None = None
    guards: tuple[str, ...] = GUARDS
    other: tuple[str, str] = ("Similarities", "how similar right and wrong pairs are")

    @property
    def says(self) -> str:
        """What it is and how it was halved."""
        tune, confirm, neither = len(self.split.tune), len(self.split.confirm), self.split.bridges
        rest = f", {neither:,} share texts with both and are in neither" if neither else ""
        noted = "".join(f"; {note}" for note in self.notes)
        return f"{self.name}: {tune:,} pairs are looked at, {confirm:,} are held out{rest}{noted}"

    @property
    def held_out(self) -> str:
        """What Confirm looks at."""
        return f"{len(self.split.confirm):,} held-out pairs"

    @cached_property
    def _guard(self) -> Guard:
        return guard_of("lexical")

    def thresholds(self, guard: str) -> tuple[float, ...]:
        """Return the slider's positions: from where most right pairs are."""
        scores = self.settings[guard].scores[0][self.split.tune.same]
        low = float(np.floor(20 * np.quantile(scores, 0.02)) / 20) if len(scores) else 0.5
        named = [nominated(self.settings[guard].curves[0], budget) for budget in (0.01, 0.02, 0.05, 0.1)]
        best = safest(self.settings[guard].curves[0])
        extra = [found[0].threshold for found in named if found is not None] + (
            [] if best is None else [best.threshold]
        )
        return threshold_positions(max(0.0, min(low, 0.9, *extra)), extra)

    def course(self, place: Place) -> Course:
        """Return what every threshold does on the half that is looked at."""
        return course_of_curve(
            self.settings[place.guard].curves[0],
            name=f"{self.name}, {self.settings[place.guard].name}",
            about=f"{len(self.split.tune):,} pairs of the half that is looked at",
            budget=place.budget,
            thresholds=self.thresholds(place.guard),
        )

    def nominee(self, guard: str, budget: float) -> tuple[float | None, str]:
        """Return the threshold that promises most true hits within the budget, or why there is none."""
        setting = self.settings[guard]
        found = nominated(setting.curves[0], budget)
        if found is not None:
            return found[0].threshold, f"{found[0].threshold:.4f} has the most true hits to expect within the budget"
        best = safest(setting.curves[0]) or setting.curves[0].at(np.inf)
        said = {"name": setting.name, "tune": figures(best)}
        return None, verdict([said], [0.0], budget)[1]

    def _hit(self, place: Place) -> tuple[Setting, Point, Bools]:
        setting = self.settings[place.guard]
        hit = setting.passed[0] & (setting.scores[0] >= place.threshold)
        return setting, setting.curves[0].at(place.threshold), hit

    def shown(self, place: Place) -> Shown:
        """Return figures, false hits, lost ones and slices at a threshold."""
        setting, point, hit = self._hit(place)
        tune = self.split.tune
        false, lost = np.flatnonzero(hit & ~tune.same), np.flatnonzero(~hit & tune.same)
        words = (
            f"At {place.threshold:.4f}: {percent(point.true_hit_rate)} of the pairs with one answer hit; {point.false_hits:,} of "
            f"{point.hits:,} hits are false, at most {percent(point.false_hit_upper, 2)} "
            f"({'within' if _within(point, place.budget) else 'above'} the budget of {percent(place.budget, 2)})"
        )
        tables = (
            self._pairs(
                place,
                setting,
                false,
                f"{many(len(false), 'pair')} would be {'a false hit' if len(false) == 1 else 'false hits'}",
            ),
            self._pairs(
                place,
                setting,
                lost,
                f"{len(lost):,} of {many(tune.positives, 'true one')} {'is' if len(lost) == 1 else 'are'} lost",
            ),
        )
        return Shown(words=words, figures=_figures(point, place.budget), tables=tables, slices=self._slices(hit))

    def _pairs(self, place: Place, setting: Setting, which: Ints, says: str) -> Table:
        scores, tune = setting.scores[0], self.split.tune
        order = which[np.argsort(-scores[which], kind="stable")][:ROWS]
        rows = [
            (
                f"{scores[i]:.4f}",
                self._why(place, setting, int(i)),
                tune.slices[i] or "–",
                tune.asked[i],
                tune.known[i],
            )
            for i in order
        ]
        more = f"; the {ROWS} most similar" if len(which) > ROWS else ""
        return Table(
            head=("similarity", "the guard", "slice", "a question", "another"),
            rows=rows,
            numbers=frozenset({0}),
            caption=says + more,
        )

    def _why(self, place: Place, setting: Setting, i: int) -> str:
        tune = self.split.tune
        objection = self._guard(tune.asked[i], tune.known[i])
        if place.guard == "none":
            return "off" + (f"; lexical: {objection}" if objection is not None else "")
        if objection is None or setting.passed[0][i]:
            below = setting.scores[0][i] < place.threshold
            return "no objection" + ("; below" if below else "")
        return str(objection)

    def _slices(self, hit: Bools) -> Table | None:
        tune, names = self.split.tune, np.array(self.split.tune.slices, dtype=object)
        rows = []
        for name in sorted(set(tune.slices) - {""}):
            inside = names == name
            positives, hits = int((inside & tune.same).sum()), int((inside & hit).sum())
            true = int((inside & hit & tune.same).sum())
            rows.append(
                (
                    name,
                    f"{int(inside.sum()):,}",
                    f"{true:,} of {positives:,}",
                    f"{hits - true:,} of {int((inside & ~tune.same).sum()):,}",
                )
            )
        head = ("slice", "pairs", "hits, right", "hits, wrong")
        caption = "hits by slice, on the half that is looked at"
        return Table(head=head, rows=rows, numbers=frozenset({1, 2, 3}), caption=caption) if rows else None

    def confirmed(self, place: Place) -> Confirmed:
        """Return what the held-out pairs say of the threshold."""
        setting, point, _ = self._hit(place)
        found = arm(setting, point, self.split.confirm, place.budget, chosen=True)
        here = Figures(
            of=self.held_out,
            gain=f"{percent(found['true_hit_rate'])} of those with one answer hit",
            hits=found["hits"],
            false=found["false_hits"],
            upper=found["false_hit_upper"],
        )
        tune = Figures(of="", gain="", hits=point.hits, false=point.false_hits, upper=point.false_hit_upper)
        adopt, words = judged(place, here, tune)
        rows = [
            (
                name,
                f"{held['n']:,}",
                f"{held['hits'] - held['false_hits']:,} of {held['positives']:,}",
                f"{held['false_hits']:,} of {held['n'] - held['positives']:,}",
            )
            for name, held in found["slices"].items()
        ]
        whole = (
            "all",
            f"{found['n']:,}",
            f"{found['true_hits']:,} of {found['positives']:,}",
            f"{found['false_hits']:,} of {found['n'] - found['positives']:,}",
        )
        table = Table(
            head=("slice", "held-out pairs", "hits, right", "hits, wrong"),
            rows=[whole, *rows],
            numbers=frozenset({1, 2, 3}),
        )
        return Confirmed(place=place, adopt=adopt, words=f"{setting.name}: {words}", figures=table)

    def look(self, place: Place) -> Look:
        """Return the look at these held-out pairs."""
        held = self.split.confirm
        return Look(
            split=digest("cache pairs", held.asked, held.known, held.same.tolist(), SEED),
            dataset=self.name,
            seed=SEED,
            arms={self.settings[place.guard].name: f"threshold {place.threshold:.4f}"},
            detail={"budget": place.budget, "guard": self.settings[place.guard].guard_id},
        )

    def chart(self, kind: str, place: Place) -> Chart:
        """Return the chart of thresholds, or that of similarities, on the half that is looked at."""
        if kind == "thresholds":
            return cache_thresholds(self.course(place), chosen=place.threshold)
        setting, tune = self.settings[place.guard], self.split.tune
        alike = Alike(
            name=f"{self.name}, {setting.name}",
            about=f"{len(tune):,} pairs of the half that is looked at",
            scores=setting.scores[0],
            same=tune.same,
            passed=setting.passed[0],
        )
        return cache_similarity(alike, threshold=place.threshold)


def _within(point: Point, budget: float) -> bool:
    return point.false_hit_upper is not None and point.false_hit_upper <= budget


def _figures(point: Point, budget: float) -> Table:
    ci = point.false_hit_ci
    rows = [
        ("true-hit rate", percent(point.true_hit_rate), f"{point.true_hits:,} of {point.positives:,} pairs"),
        (
            "false-hit rate",
            percent(point.false_hit_rate, 2),
            f"{point.false_hits:,} of {point.hits:,} hits"
            + ("" if ci is None else f" [{100 * ci[0]:.2f}, {100 * ci[1]:.2f}]"),
        ),
        (
            "at most",
            percent(point.false_hit_upper, 2),
            f"one-sided 95 %; budget {percent(budget, 2)}: {'kept' if _within(point, budget) else 'not kept'}",
        ),
    ]
    if point.design_effect > 1.005:
        rows.append(("shared texts", f"× {point.design_effect:.2f}", "so many times fewer hits count for the bounds"))
    return Table(head=("", "here", ""), rows=rows, numbers=frozenset({1}))


def pairs_ground(pairs: Pairs, *, name: str, embedder: str) -> PairsGround:
    """Return labelled pairs with everything that a slider needs: embeds every text once; DataError for pairs of one label."""
    split = halves(pairs, seed=SEED)
    found = settled(split, guards={guard: guard_of(guard) for guard in GUARDS}, embedders=[embedder], seed=SEED)
    return PairsGround(
        name=name,
        embedder=embedder,
        split=split,
        settings={setting.guard: setting for setting in found},
        notes=(*pairs.notes, *split.notes),
    )
