"""The arms of a tuner: made ready one after the other, where their knobs stand, and what there is to draw of them. No widgets."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from routelab.config import RouteConfig
from routelab.core.errors import RoutelabError
from routelab.lab.charts import Chart
from routelab.lab.charts.look import INK, Mark, hover, marks
from routelab.lab.compare import Comparison, Entry, Figures
from routelab.lab.controls import mean_costs, mean_qualities
from routelab.lab.knobs import Knob, Setting
from routelab.lab.replay import Halves, compare_entries
from routelab.lab.trial import Progress
from routelab.lab.tuning import Curve, Field, Tuned, steps
from routelab.panels import tunerdrawing as plane
from routelab.panels.tunerfigures import cost_of

GREY = Mark(colour=INK, symbol="circle")


@dataclass(kw_only=True, eq=False)
class Ready:
    """An arm that is ready, where its knobs stand now, and which one was moved last."""

    tuned: Tuned
    given: Comparison
    setting: dict[str, float]
    active: Knob | None
    curves: dict[tuple[Any, ...], Curve] = field(default_factory=dict)
    window: tuple[float, float] | None = None

    @property
    def rest(self) -> tuple[Any, ...]:
        """What the present curve depends on: its knob, and where the other knobs stand."""
        key = None if self.active is None else self.active.key
        return (key, *sorted((k, v) for k, v in self.setting.items() if k != key))

    @property
    def curve(self) -> Curve | None:
        """The curve of the knob that was moved last, None until it is there."""
        return self.curves.get(self.rest)

    @property
    def words(self) -> str:
        """The present setting in words."""
        return self.tuned.words(self.setting)

    @property
    def moved(self) -> bool:
        """Whether some knob stands elsewhere than the arm came with."""
        return self.setting != dict(self.tuned.start)


class Arms:
    """The arms of a tuner by name; `ready` grows while `piece` is called, `failed` says which of them cannot be replayed.

    `tried` holds every setting whose figures on tune were seen: choosing among many makes the best of them look too good.
    """

    def __init__(self, place: Field, given: Mapping[str, RouteConfig]) -> None:
        self.place, self.given = place, dict(given)
        self.ready: Mapping[str, Ready] = {}
        self.failed: Mapping[str, RoutelabError] = {}
        self.tried: set[tuple[Any, ...]] = set()
        self.wanted = next(iter(self.given))
        # The places that the bench's own chart gives them: a baseline that is none of the arms comes first.
        base = place.baseline.name
        self.marks = marks([*self.given] if base in self.given else [f"baseline {base}", *self.given])
        self._lock = threading.Lock()
        self._pieces = self._work()
        self._ground: tuple[Any, plane.Ground | None] | None = None
        costs, qualities = mean_costs(place.tune), mean_qualities(place.tune)
        self._models = [
            plane.Spot(name=m, part="model", cost_usd=float(c), quality=float(q), mark=GREY)
            for m, c, q in zip(place.tune.models, costs, qualities, strict=True)
        ]

    @property
    def waiting(self) -> list[str]:
        """The arms that are neither ready nor failed."""
        return [name for name in self.given if name not in self.ready and name not in self.failed]

    @property
    def progress(self) -> Progress:
        """How many arms are ready, and how many failed."""
        done = len(self.ready) + len(self.failed)
        return Progress(done=done, total=len(self.given), spent_usd=0.0, errors=len(self.failed))

    def piece(self) -> bool:
        """Do a piece of the work that makes arms ready, the `wanted` one first; say whether there may be more."""
        # A job that was stopped may still be at its last piece when the next one begins.
        with self._lock:
            try:
                return next(self._pieces, False)
            except Exception:
                self._pieces = self._work()  # a bug in one arm ends its work, and not that of the others
                raise

    def _work(self) -> Iterator[bool]:
        while waiting := self.waiting:
            name = self.wanted if self.wanted in waiting else waiting[0]
            try:
                for made in steps(name, self.given[name], self.place):
                    if made is not None:
                        # A new mapping, because others may be looking at the old one.
                        self.ready = {**self.ready, name: self._made(made)}
                    yield True
            except RoutelabError as trouble:
                self.failed = {**self.failed, name: trouble}
            except Exception as bug:
                self.failed = {**self.failed, name: RoutelabError(f"{type(bug).__name__}: {bug}")}
                raise

    def _made(self, tuned: Tuned) -> Ready:
        setting = dict(tuned.start)
        given = self.place.read(tuned.name, tuned.walk(setting))
        held = Ready(tuned=tuned, given=given, setting=setting, active=tuned.knobs[0] if tuned.knobs else None)
        if held.active is not None:
            self.traced(held, held.rest, tuned.curve(held.active, setting), setting)
        return held

    def traced(self, held: Ready, rest: tuple[Any, ...], curve: Curve, setting: Setting) -> None:
        """Keep a curve, of which every position was looked at."""
        held.curves[rest] = curve
        name, key = held.tuned.name, curve.knob.key
        self.tried |= {(name, *sorted({**setting, key: value}.items())) for value in curve.knob.values}

    def read(self, held: Ready) -> Comparison:
        """Return an arm at its present setting on tune, held against the baseline."""
        self.tried.add((held.tuned.name, *sorted(held.setting.items())))
        return self.place.read(held.tuned.name, held.tuned.walk(held.setting))

    def drawing(self, name: str, found: Comparison | None) -> str:
        """Return the plane of cost and quality with an arm where it stands now (`found`), as HTML."""
        held = self.ready.get(name)
        present = None
        if held is not None and found is not None:
            arm = found.arms[0]
            cost, quality = cost_of(arm, self.place.clusters), arm.figures.quality
            if cost is not None and quality is not None:
                mark = self.marks[name]
                present = plane.Present(name=name, says=held.words, cost=cost, quality=quality, mark=mark)
        return plane.drawing(self._still(name, held), present)

    def _still(self, name: str, held: Ready | None) -> plane.Ground | None:
        """Return what does not move with a slider, made anew when the arm, its curve or the arms that are ready change."""
        curve = None if held is None else held.curve
        key = (name, len(self.ready), curve)
        if self._ground is not None and self._ground[0] == key:
            return self._ground[1]
        line = [] if curve is None else list(zip(curve.cost_usd.tolist(), curve.quality.tolist(), strict=True))
        least = None if held is None else held.window
        found = plane.ground(self._spots(name), self.place.hull, line, self.marks[name], least=least)
        if held is not None and found is not None:
            held.window = found.window
        self._ground = (key, found)
        return found

    def _spots(self, picked: str) -> list[plane.Spot]:
        """Return single models, the other arms as they were given, and the baseline."""
        found = [spot for spot in self._models if spot.name not in self.given]
        ready = self.ready
        found += [
            _spot(name, "arm", held.given.arms[0].figures, self.marks[name])
            for name, held in ready.items()
            if name != picked
        ]
        base = next((held.given.baseline for held in ready.values()), None)
        return found if base is None else [*found, _spot(f"baseline {base.name}", "baseline", base.figures, GREY)]

    def chart(self, name: str, setting: Setting, curve: Curve | None) -> Chart:
        """Return the bench's own frontier of the arms on tune, one of them at a setting, with the whole curve of its knob."""
        entries = [
            Entry(
                name=self.place.called(other) + (", here" if other == name and one.tuned.knobs else ""),
                config=None,
                walked=one.tuned.walk(setting if other == name else one.tuned.start),
            )
            for other, one in self.ready.items()
        ]
        alone = Halves(tune=self.place.tune, confirm=self.place.tune, held_out=False, seed=self.place.halves.seed)
        chart = compare_entries(alone, entries, self.place.base, self.place.terms).chart("frontier")
        drawn = dict(chart.draw())
        if curve is not None:
            drawn["data"] = [_traced(curve, self.marks[name]), *drawn["data"]]
        return dataclasses.replace(chart, draw=lambda: drawn)


def _traced(curve: Curve, mark: Mark) -> dict[str, Any]:
    known = np.isfinite(curve.cost_usd) & np.isfinite(curve.quality) & (curve.cost_usd > 0)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": curve.cost_usd[known].tolist(),
        "y": (100 * curve.quality[known]).tolist(),
        "name": "all positions of the knob",
        "line": {"width": 2, "color": mark.colour},
        "hoverinfo": "text",
        "hovertext": [
            hover(f"{curve.knob.says} {curve.knob.label(v)}")
            for v, k in zip(curve.knob.values, known, strict=True)
            if k
        ],
    }


def _spot(name: str, part: plane.Part, figures: Figures, mark: Mark) -> plane.Spot:
    return plane.Spot(
        name=name,
        part=part,
        cost_usd=np.nan if figures.cost_usd is None else figures.cost_usd,
        quality=np.nan if figures.quality is None else figures.quality.value,
        mark=mark,
    )
