"""Caches over traffic: every setting over the same requests, a choice on the earlier part of them, its figures on the later part.

Where arrival times are known there is one order, the real one. Where they are not, the requests are shuffled several times: a
figure is then the mean over the orders with the least and the largest, and how it warms up is no accident of one order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from routelab.caching.reach import comparable
from routelab.core.errors import ConfigError
from routelab.core.values import draw
from routelab.lab.caches.curve import BUDGET, hits_needed
from routelab.lab.caches.neighbours import Guard, Neighbours, Verdicts, neighbours
from routelab.lab.caches.stream import NEAREST, NONE, Pass, Setting, learned, played
from routelab.lab.caches.tallies import COLUMNS, Tally, false_of, mean_and_range, row, tallies
from routelab.lab.caches.traffic import Traffic
from routelab.present import Table, usd

if TYPE_CHECKING:
    import pandas as pd

Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.intp]
Vectors: TypeAlias = NDArray[np.float32]
Part: TypeAlias = Literal["all", "earlier", "later"]
Bound: TypeAlias = Literal["hits", "semantic", "pairs"]

ORDERS = 10
EARLIER = 0.5
LEVELS = ("model", "exact", "semantic")


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """The setting chosen on the earlier part, with its tallies there and on the later part (those of the first order), or None.

    `bound` says which upper bound was held against the budget: of all hits, of the semantic level's, or of its pairs of texts;
    `upper` is that bound on the later part, the largest over the orders; `kept` says that it is within the budget there too.
    """

    setting: Setting | None
    budget: float
    bound: Bound
    why: str
    earlier: Tally | None = None
    later: Tally | None = None
    upper: float | None = None

    @property
    def kept(self) -> bool:
        """The bound on the later part, which had no say in the choice, is within the budget."""
        return self.upper is not None and self.upper <= self.budget


@dataclass(frozen=True, kw_only=True, eq=False)
class Streamed:
    """Traffic with what every setting did with it: one pass an order.

    `early` (n,) says which requests are of the earlier part. The caches are empty when the traffic begins, and go on into
    the later part with what the earlier one left.
    """

    traffic: Traffic
    passes: tuple[Pass, ...]
    early: Bools
    held: Neighbours
    verdicts: Mapping[str, Verdicts] = field(repr=False)
    embedder: str = ""

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings, in the order of every array over them."""
        return self.passes[0].settings

    def __len__(self) -> int:
        return len(self.settings)

    @cached_property
    def _tallied(self) -> dict[str, tuple[tuple[Tally, ...], ...]]:
        masks = {"all": None, "earlier": self.early, "later": ~self.early}
        return {part: tuple(tallies(self.traffic, p, mask) for p in self.passes) for part, mask in masks.items()}

    def tallies(self, part: Part = "all", order: int = 0) -> tuple[Tally, ...]:
        """Return one tally a setting over a part of the requests, in one of the orders."""
        return self._tallied[part][order]

    def ranges(self, setting: int, part: Part = "all") -> dict[str, tuple[float, float, float] | None]:
        """Return mean, least and largest over the orders of a setting's rates and sums, by name."""
        names = (
            "hit_rate",
            "true_hit_rate",
            "false_hit_rate",
            "false_hit_upper",
            "saved_share",
            "saved_usd",
            "quality_lost",
        )
        each = [order[setting] for order in self._tallied[part]]
        return {name: mean_and_range([getattr(tally, name) for tally in each]) for name in names}

    def frame(self, part: Part = "all") -> pd.DataFrame:
        """Return one row a setting: what it is, hit rates by level, false hits with bounds, what was saved, quality lost.

        Several orders: numbers are means over them, bounds (`…_upper`) the largest.
        """
        import pandas as pd

        rows = [_over([row(order[k]) for order in self._tallied[part]]) for k in range(len(self))]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def trace(self, setting: int, *, order: int = 0) -> pd.DataFrame:
        """Return one row a request, in order of arrival: who answered, whose answer it was, how near and how old, what was refused.

        `false` is None where it was asked or is not known; `objection` is what the guard said of the nearest entry that it refused.
        """
        import pandas as pd

        found, traffic = self.passes[order], self.traffic
        rows = found.order
        level, source = found.level[rows, setting], found.source[rows, setting]
        false = false_of(traffic, found, setting)[rows]
        times = traffic.at_s
        known = source >= 0
        age = np.full(len(rows), np.nan)
        if times is not None:
            age[known] = times[rows[known]] - times[source[known]]
        return pd.DataFrame(
            {
                "request": rows,
                "text": [traffic.texts[int(i)] for i in rows],
                "at_s": np.full(len(rows), np.nan) if times is None else times[rows],
                "answered_by": [LEVELS[int(k)] for k in level],
                "like": [traffic.texts[int(s)] if s >= 0 else None for s in source],
                "source": np.where(known, source, -1),
                "similarity": found.cosine[rows, setting].astype(float),
                "age_s": age,
                "stale": found.stale[rows, setting],
                "false": [None if np.isnan(v) else bool(v) for v in false],
                "objection": [self._objection(int(i), int(found.refused[i, setting]), setting) for i in rows],
            }
        )

    def _objection(self, request: int, key: int, setting: int) -> str | None:
        if key < 0:
            return None
        of, chosen = self.held.keys[key][1], self.settings[setting]
        if chosen.per_entry is not None:
            return f"explored: {of}"
        verdicts = self.verdicts[chosen.guard]
        near, _, pair = self.held.of(int(self.traffic.keys[0][request]))
        words = verdicts.words.get(int(pair[np.flatnonzero(near == key)[0]]), "")
        return f"{words}: {of}" if words else of

    def recommended(self, budget: float = BUDGET, *, bound: Bound = "hits") -> Chosen:
        """Return the setting to use: chosen on the earlier part, with its figures on the later one, which had no say.

        Able is a setting whose upper bound of false hits is within the budget on the earlier part in every order. Of these the one
        is chosen that saves most USD (where costs are not known: has most true hits) times the chance that the later part is
        within the budget too: the setting that only just passes is the luckiest of many. None, with the reason, when none is able.
        """
        if bound not in _BOUNDS:
            raise ConfigError(f"bound: unknown {bound!r}", hint=f"one of {', '.join(_BOUNDS)}")
        counted, upper_of = _BOUNDS[bound]
        early, late = self._tallied["earlier"], self._tallied["later"]
        able = [k for k in range(len(self)) if _worst([upper_of(order[k]) for order in early], budget) <= budget]
        if not able:
            return Chosen(setting=None, budget=budget, bound=bound, why=self._none(budget, bound))
        gain = {
            k: float(np.mean([_gain(order[k]) * _again(*counted(order[k]), budget) for order in early])) for k in able
        }
        best = max(able, key=lambda k: (gain[k], self.settings[k].threshold or 2.0, -k))
        upper = _worst([upper_of(order[best]) for order in late], np.inf)
        chosen, then = early[0][best], late[0][best]
        said = f"{100 * upper:.2f} %" if np.isfinite(upper) else "not known"
        saved = "" if then.saved_share is None else f", saves {100 * then.saved_share:.1f} % of the cost"
        return Chosen(
            setting=self.settings[best],
            budget=budget,
            bound=bound,
            why=(
                f"{self.settings[best]}: chosen on the earlier {chosen.n:,} requests; on the later {then.n:,} it hits "
                f"{100 * (then.hit_rate or 0):.1f} %{saved}, false hits at most {said} (budget {100 * budget:g} %)"
            ),
            earlier=chosen,
            later=then,
            upper=upper if np.isfinite(upper) else None,
        )

    def _none(self, budget: float, bound: Bound) -> str:
        counted, upper_of = _BOUNDS[bound]
        each = [t for t in self.tallies("earlier") if upper_of(t) is not None]
        if not each:
            hits = any(t.hits for t in self.tallies("earlier"))
            return "keep the cache off: " + (
                "whether hits are right is not known, the traffic has no labels" if hits else "nothing was a hit"
            )
        best = min(each, key=lambda t: upper_of(t) or 1.0)
        false, n = counted(best)
        need = hits_needed(false, budget)
        return (
            f"keep the cache off: no setting's bound of false hits is within {100 * budget:g} % on the earlier part; the least is "
            f"{100 * (upper_of(best) or 0):.2f} % ({best.setting}: {false:,} of {n:,}; with {false} false ones it takes {need:,})"
        )

    def table(self, part: Part = "later", *, limit: int = 40) -> Table:
        """Return the settings as a table, most saved first, for a person."""
        order = sorted(range(len(self)), key=lambda k: -(_gain(self.tallies(part)[k])))
        return Table(
            head=(
                "setting",
                "hits",
                "exact",
                "semantic",
                "false",
                "at most",
                "semantic at most",
                "pairs at most",
                "saved",
                "lost",
            ),
            rows=[_cells(self.tallies(part)[k]) for k in order[:limit]],
            numbers=frozenset(range(1, 10)),
            caption=("SIMULATED traffic; " if self.traffic.simulated else "") + f"{self.traffic!r}, {part} part",
            notes=(
                "at most: one-sided 95 % upper bounds of the share of false hits, as if hits were independent; of all hits, of the semantic "
                "level's, and with each pair of texts counted once",
                *((f"{len(order) - limit} more settings; .frame() has all",) if len(order) > limit else ()),
                *((f"first of {len(self.passes)} orders; .ranges() has the others",) if len(self.passes) > 1 else ()),
                *self.traffic.notes,
            ),
        )


_BOUNDS: Mapping[str, tuple[Callable[[Tally], tuple[int, int]], Callable[[Tally], float | None]]] = {
    "hits": (lambda t: (t.false_hits, t.judged), lambda t: t.false_hit_upper),
    "semantic": (lambda t: (t.semantic_false_hits, t.semantic_judged), lambda t: t.semantic_false_hit_upper),
    "pairs": (lambda t: (t.false_pairs, t.pairs), lambda t: t.false_pair_upper),
}


def stream(
    traffic: Traffic,
    settings: Sequence[Setting],
    *,
    embedder: Mapping[str, Any] | str = "minilm",
    vectors: Vectors | None = None,
    guards: Mapping[str, Guard] | None = None,
    orders: int | None = None,
    earlier: float = EARLIER,
    nearest: int = NEAREST,
    seed: int = 0,
) -> Streamed:
    """Return what every setting does with the traffic, from empty caches; no model is asked.

    `vectors` (one unit row a different (namespace, text), as in `traffic.keys`) spare the embedding. `guards` are by the names that
    settings use; names that are not given are made by `caching.guard.guard_of`. `orders`: how many shuffles where there are no
    arrival times (default ORDERS; 0: the order given). `earlier` is the share of requests that a choice is made on.
    Raises ConfigError, UnavailableError: one line.
    """
    if not settings:
        raise ConfigError(
            "settings: none given", hint="stream.grid(thresholds=[None, 0.9, 0.95], guards=['none', 'lexical'])"
        )
    if not 0 < earlier < 1:
        raise ConfigError(f"earlier: must lie between 0 and 1, not {earlier}")
    settings = tuple(dict.fromkeys(settings))
    least = min((s.threshold for s in settings if s.threshold is not None), default=None)
    held = near_keys(traffic, least, embedder, vectors)
    verdicts = verdicts_for([s.guard for s in settings], guards or {}, held)
    early = _early(traffic, earlier, seed)
    static = [s for s in settings if s.per_entry is None]
    own = [s for s in settings if s.per_entry is not None]
    passes = []
    for number, order in enumerate(orders_of(traffic, early, orders, seed)):
        parts = [played(traffic, static, held, verdicts, order=order, nearest=nearest)] if static else []
        parts += [learned(traffic, s, held, verdicts, order=order, seed=seed + number, nearest=nearest) for s in own]
        whole = parts[0]
        for part in parts[1:]:
            whole = whole.beside(part)
        passes.append(whole)
    name = embedder if isinstance(embedder, str) else str(embedder.get("kind", ""))
    return Streamed(traffic=traffic, passes=tuple(passes), early=early, held=held, verdicts=verdicts, embedder=name)


def near_keys(
    traffic: Traffic, least: float | None, embedder: Mapping[str, Any] | str, rows: Vectors | None
) -> Neighbours:
    """Return the neighbours of a traffic's keys from a cosine on (None: no level needs any), embedded unless rows are given."""
    keys = traffic.keys[1]
    if least is None:
        return Neighbours(
            keys=keys,
            start=np.zeros(len(keys) + 1, dtype=np.intp),
            near=np.zeros(0, dtype=np.intp),
            cosine=np.zeros(0),
            at_least=np.inf,
        )
    if rows is None:
        from routelab.embedding import vectors

        rows = vectors(embedder, [text for _, text in keys])
    # As live: nothing is like an empty question, or like one of which the embedder reads the beginning only.
    able = np.array([comparable(embedder, text) for _, text in keys], dtype=np.bool_)
    return neighbours(keys, rows, at_least=least, comparable=able)


def verdicts_for(names: Sequence[str], given: Mapping[str, Guard], held: Neighbours) -> dict[str, Verdicts]:
    """Return the verdicts of guards by name: those that are given, and those that `caching.guard.guard_of` makes."""
    from routelab.caching.guard import guard_of

    wanted = [name for name in dict.fromkeys((*given, *names)) if name != NONE]
    return {name: Verdicts.of(given[name] if name in given else guard_of(name), held) for name in wanted}


def _early(traffic: Traffic, share: float, seed: int) -> Bools:
    n = len(traffic)
    if traffic.at_s is not None:
        return np.arange(n) < round(share * n)
    # Without times nothing is earlier: one split for all orders, so that what chose is never what is reported.
    place = np.argsort([draw(seed, "part", str(i)) for i in range(n)], kind="stable")
    early = np.zeros(n, dtype=np.bool_)
    early[place[: round(share * n)]] = True
    return early


def orders_of(traffic: Traffic, early: Bools, orders: int | None, seed: int) -> list[Ints]:
    """Return the orders to play: the one of arrival, or shuffles in which the earlier part stays before the later one."""
    n = len(traffic)
    if traffic.at_s is not None:
        if orders:
            raise ConfigError("orders: the arrival times are known, so there is one order", hint="leave it out")
        return [np.arange(n, dtype=np.intp)]
    if orders == 0:
        return [np.concatenate([np.flatnonzero(early), np.flatnonzero(~early)])]
    found = []
    for number in range(ORDERS if orders is None else orders):
        mixed = np.random.default_rng([seed, number]).permutation(n)
        found.append(np.concatenate([mixed[early[mixed]], mixed[~early[mixed]]]).astype(np.intp))
    return found


def _worst(values: Sequence[float | None], unknown: float) -> float:
    """Return the largest of bounds over orders; an unknown one is above any budget."""
    return max(np.inf if v is None else v for v in values) if values else unknown


def _gain(tally: Tally) -> float:
    return tally.saved_usd if tally.saved_usd is not None else float(tally.true_hits or 0)


def _again(false: int, hits: int, budget: float) -> float:
    """Return the chance that as many new hits would be within the budget, the rate being Beta(false + 1/2, true + 1/2)."""
    most = -1
    while hits_needed(most + 1, budget) <= hits:
        most += 1
    return 0.0 if most < 0 else float(stats.betabinom.cdf(most, hits, false + 0.5, hits - false + 0.5))


def _over(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one row of several orders' rows: means of numbers, the largest of bounds; None as soon as one is not known."""
    if len(rows) == 1:
        return dict(rows[0])
    out: dict[str, Any] = {}
    for name in rows[0]:
        values = [r[name] for r in rows]
        if name in COLUMNS[: COLUMNS.index("n") + 1] or any(v is None for v in values):
            out[name] = values[0] if name in COLUMNS[: COLUMNS.index("n") + 1] else None
        else:
            out[name] = max(values) if name.endswith("_upper") else float(np.mean(values))
    return out


def _cells(tally: Tally) -> tuple[str, ...]:
    return (
        str(tally.setting),
        _percent(tally.hit_rate),
        _percent(tally.exact_hits / tally.n if tally.n else None),
        _percent(tally.semantic_hits / tally.n if tally.n else None),
        f"{tally.false_hits:,} of {tally.judged:,}",
        _percent(tally.false_hit_upper, 2),
        _percent(tally.semantic_false_hit_upper, 2),
        _percent(tally.false_pair_upper, 2),
        f"{usd(tally.saved_usd)} ({_percent(tally.saved_share)})",
        "?" if tally.quality_lost is None else f"{100 * tally.quality_lost:.2f}",
    )


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"
