"""What a cache is tuned on: the half that is looked at while a slider moves, and the half that is looked at when asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from routelab.caching.settings import CacheConfig, SemanticConfig, plain
from routelab.core.errors import LogError
from routelab.lab.caches.curve import hits_needed
from routelab.lab.charts import Chart
from routelab.lab.charts.cachecurve import Course
from routelab.lab.reuse import InLog, Look, told
from routelab.present import Table, percent
from routelab.strict import dump

ROWS = 8
"""How many pairs a table shows; its caption says how many there are."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the controls stand: the guard, the least cosine, and the share of hits that may be false."""

    guard: str
    threshold: float
    budget: float


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a place does on the half that is looked at: a headline, figures, hits by slice if any is named, and tables of pairs."""

    words: str
    figures: Table
    tables: tuple[Table, ...]
    slices: Table | None = None


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """What the held-out half said of a place: whether to adopt it, why in one sentence, and its figures; `uses` counts the looks."""

    place: Place
    adopt: bool
    words: str
    figures: Table
    uses: str = ""


class Ground(Protocol):
    """Labelled pairs or traffic with everything that every threshold needs, computed once."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def embedder(self) -> str:
        """Whose vectors say how alike two texts are."""

    @property
    def simulated(self) -> bool:
        """Whether its figures come from practice models or made-up requests."""

    @property
    def guards(self) -> tuple[str, ...]:
        """The guards that it was worked out for."""

    @property
    def ttl_s(self) -> float | None:
        """How long answers live, in seconds; None: for ever."""

    @property
    def says(self) -> str:
        """What it is, how it was halved and what is wrong with it, in one line."""

    @property
    def held_out(self) -> str:
        """What Confirm looks at, such as "479 held-out pairs"."""

    def thresholds(self, guard: str) -> Sequence[float]:
        """Return the positions of the slider, rising."""

    def course(self, place: Place) -> Course:
        """Return what every threshold does under the place's guard."""

    def nominee(self, guard: str, budget: float) -> tuple[float | None, str]:
        """Return the threshold that the looked-at half would choose, None where none fits, and why."""

    def shown(self, place: Place) -> Shown:
        """Return what the place does; quick, for it is called at every step."""

    def confirmed(self, place: Place) -> Confirmed:
        """Return what the held-out half says of the place."""

    def look(self, place: Place) -> Look:
        """Return the look at the held-out half that confirming the place takes."""

    def chart(self, kind: str, place: Place) -> Chart:
        """Return a chart: "thresholds", or the other one that this ground has."""

    @property
    def other(self) -> tuple[str, str]:
        """The name of the other chart and what it shows."""


def counted(ground: Ground, place: Place, log: Any) -> Confirmed:
    """Return what the held-out half says of the place, with the look counted in the log."""
    found = ground.confirmed(place)
    try:
        uses = told(InLog(log=log).count(ground.look(place)))
    except LogError as trouble:
        uses = f"this use of the held-out half could not be counted: {trouble.message}"
    return dataclasses.replace(found, uses=uses.replace("confirm split", "held-out half"))


def judged(place: Place, figures: Figures, tune: Figures) -> tuple[bool, str]:
    """Return whether to adopt a place, and why: both halves must keep the bound within the budget."""
    at, budget = f"{place.threshold:.4f}", percent(place.budget, 2)
    if tune.upper is None or tune.upper > place.budget:
        seen = "nothing can be said" if tune.upper is None else f"the bound is {percent(tune.upper, 2)} ({tune.said})"
        return False, f"the cache stays off: at {at} on the half that chose it, {seen}; the budget is {budget}"
    if figures.upper is None:
        return (
            False,
            f"the cache stays off: at {at} nothing hits on {figures.of}, or whether hits are right is not known",
        )
    if figures.upper > place.budget:
        need = hits_needed(figures.false, place.budget)
        more = (
            f"; with {figures.false:,} false it takes {need:,} hits to show less"
            if figures.false <= place.budget * figures.hits
            else ""
        )
        said = f"false hits may be {percent(figures.upper, 2)} on {figures.of} ({figures.said}), above the budget of {budget}{more}"
        return False, f"the cache stays off: at {at} {said}"
    return True, (
        f"adopt at {at}: on {figures.of} {figures.gain}, {figures.said} false: at most {percent(figures.upper, 2)} with 95 % confidence "
        f"(budget {budget})"
    )


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Hits of one half: how many, how many false, their upper bound (None: not known), and the words for half and gain."""

    of: str
    gain: str
    hits: int
    false: int
    upper: float | None

    @property
    def said(self) -> str:
        """The count of false hits."""
        return f"{self.false:,} of {self.hits:,} hits"


def config_of(embedder: str, place: Place, *, semantic: bool = True, ttl_s: float | None = None) -> CacheConfig:
    """Return the cache that a place stands for; without `semantic` the exact level alone."""
    settings = SemanticConfig(threshold=place.threshold, guard=place.guard, embedder=embedder) if semantic else None
    return CacheConfig(exact=True, ttl_s=ttl_s, semantic=settings)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A cache to take away: its config, and the evidence for it, one line each."""

    config: CacheConfig
    evidence: Sequence[str] = field(default_factory=tuple)

    @property
    def yaml(self) -> str:
        """The `cache:` section of a config, with the evidence as its comment."""
        return dump({"cache": spelled(self.config)}, comment="\n".join(self.evidence))


def spelled(config: CacheConfig) -> dict[str, Any]:
    """Return the settings as YAML has them; the guard and the embedder are always named, for they are half of a threshold."""
    found = plain(config)
    if config.semantic is not None:
        semantic: Mapping[str, Any] = found["semantic"]
        found["semantic"] = {**semantic, "guard": config.semantic.guard, "embedder": config.semantic.embedder}
    return found


def offer(ground: Ground, place: Place, confirmed: Confirmed | None) -> Offer:
    """Return the cache at a place with its evidence; one that the held-out half refused is the exact cache alone."""
    here = confirmed if confirmed is not None and confirmed.place == place else None
    made = "SIMULATED: " if ground.simulated else ""
    if here is None:
        said = ground.shown(place).words
        evidence = [
            f"{made}NOT CONFIRMED: {said}",
            "chosen on the half that was looked at; Confirm says what the held-out half says",
        ]
        return Offer(config=config_of(ground.embedder, place, ttl_s=ground.ttl_s), evidence=[*evidence, ground.says])
    evidence = [f"{made}{here.words}", here.uses, ground.says]
    return Offer(config=config_of(ground.embedder, place, semantic=here.adopt, ttl_s=ground.ttl_s), evidence=evidence)


def many(count: int, one: str, more: str = "") -> str:
    """Return a count with its noun.

    >>> many(1, "pair"), many(2_000, "reply", "replies")
    ('1 pair', '2,000 replies')
    """
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def threshold_positions(low: float, extra: Sequence[float] = ()) -> tuple[float, ...]:
    """Return positions of a slider from `low` to 1 in steps of 0.005, and some more."""
    steps = range(round(200 * low), 201)
    return tuple(sorted({k / 200 for k in steps} | {float(e) for e in extra if low <= e <= 1}))
