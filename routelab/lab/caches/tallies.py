"""What a cache did with traffic, counted: hits by level, false hits with bounds, what was saved and what quality it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.core.ports import Floats
from routelab.lab.caches.curve import interval, upper_bound
from routelab.lab.caches.stream import ASKED, EXACT, SEMANTIC, Pass, Setting
from routelab.lab.caches.traffic import Traffic

Bools: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What one setting did with n requests; counts, and sums in USD and seconds; None is what is not known.

    `judged` are the hits of which it is known whether the answer was right, `false_hits` those for which it was not; the two with
    `semantic_` are the semantic level's part. `pairs` counts each pair of texts (asked, answered) that the semantic level ever
    put together once, and `false_pairs` the false ones: a popular pair is one observation of the cache's judgement, however
    often it comes. `repeats` are the requests whose answer had been asked for before (None: not known). Stale hits are hits that
    were asked for anew: they save seconds, not USD. `lost` is what the hits' answers were worth less than own ones, summed.
    """

    setting: Setting
    n: int
    exact_hits: int
    semantic_hits: int
    stale_hits: int
    judged: int
    false_hits: int
    semantic_judged: int
    semantic_false_hits: int
    pairs: int
    false_pairs: int
    repeats: int | None
    total_usd: float | None
    saved_usd: float | None
    total_s: float | None
    saved_s: float | None
    lost: float | None
    evicted: int

    @property
    def threshold(self) -> float | None:
        """The setting's threshold."""
        return self.setting.threshold

    @property
    def hits(self) -> int:
        """Hits of both levels."""
        return self.exact_hits + self.semantic_hits

    @property
    def hit_rate(self) -> float | None:
        """Hits over requests."""
        return self.hits / self.n if self.n else None

    @property
    def true_hits(self) -> int | None:
        """Hits whose answer was right; None where that is not known of all."""
        return self.hits - self.false_hits if self.judged == self.hits else None

    @property
    def true_hit_rate(self) -> float | None:
        """True hits over the requests that could have been one: those whose answer had been asked for before."""
        return None if self.true_hits is None or not self.repeats else self.true_hits / self.repeats

    @property
    def false_hit_rate(self) -> float | None:
        """False hits over the hits that could be judged; None without any."""
        return self.false_hits / self.judged if self.judged else None

    @property
    def false_hit_ci(self) -> tuple[float, float] | None:
        """The two-sided 95 % interval of that, as if hits were independent."""
        return interval(self.false_hits, self.judged)

    @property
    def false_hit_upper(self) -> float | None:
        """The one-sided 95 % upper bound of that, as if hits were independent."""
        return upper_bound(self.false_hits, self.judged)

    @property
    def semantic_false_hit_upper(self) -> float | None:
        """The same bound for the semantic level's hits alone."""
        return upper_bound(self.semantic_false_hits, self.semantic_judged)

    @property
    def false_pair_upper(self) -> float | None:
        """The same bound with each pair of texts counted once: repeated hits add nothing to it."""
        return upper_bound(self.false_pairs, self.pairs)

    @property
    def saved_share(self) -> float | None:
        """The saved part of what all requests would have cost."""
        return self.saved_usd / self.total_usd if self.saved_usd is not None and self.total_usd else None

    @property
    def quality_lost(self) -> float | None:
        """What a request lost in quality, on average over all of them."""
        return None if self.lost is None or not self.n else self.lost / self.n


def tallies(traffic: Traffic, found: Pass, rows: Bools | None = None) -> tuple[Tally, ...]:
    """Return the tally of every setting over some requests (default: all)."""
    mask = np.ones(len(traffic), dtype=np.bool_) if rows is None else rows
    repeats = None if (traffic.codes < 0).any() else int((repeated(traffic, found) & mask).sum())
    return tuple(_tally(traffic, found, column, mask, repeats) for column in range(len(found.settings)))


def repeated(traffic: Traffic, found: Pass) -> Bools:
    """Return which requests have a label that an earlier one had, in the order of the pass."""
    out = np.ones(len(traffic), dtype=np.bool_)
    _, first = np.unique(traffic.codes[found.order], return_index=True)
    out[found.order[first]] = False
    return out


def false_of(traffic: Traffic, found: Pass, column: int) -> Floats:
    """Return for each request 1 for a false hit, 0 for a true one, NaN where it was asked or nobody knows."""
    source, codes = found.source[:, column], traffic.codes
    theirs = np.where(source >= 0, codes[source], -1)
    known = (found.level[:, column] != ASKED) & (codes >= 0) & (theirs >= 0)
    return np.where(known, (codes != theirs).astype(float), np.nan)


def quality_of(traffic: Traffic, found: Pass, column: int) -> Floats:
    """Return what each request's answer was worth: its own, or the source's where that is right for it, 0 where it is false.

    NaN where it is not known whether a hit was right, or what the source's answer was worth.
    """
    false, source = false_of(traffic, found, column), found.source[:, column]
    served = np.where(false == 1, 0.0, traffic.quality[source])
    return np.where(found.level[:, column] == ASKED, traffic.quality, np.where(np.isnan(false), np.nan, served))


def _tally(traffic: Traffic, found: Pass, column: int, mask: Bools, repeats: int | None) -> Tally:
    level, stale = found.level[:, column], found.stale[:, column]
    hit = (level != ASKED) & mask
    semantic = (level == SEMANTIC) & mask
    false = false_of(traffic, found, column)
    known = ~np.isnan(false)
    pairs, false_pairs = _pairs(traffic, found, column, semantic & known, false)
    lost = (traffic.quality - quality_of(traffic, found, column))[hit]
    return Tally(
        setting=found.settings[column],
        n=int(mask.sum()),
        exact_hits=int(((level == EXACT) & mask).sum()),
        semantic_hits=int(semantic.sum()),
        stale_hits=int((stale & mask).sum()),
        judged=int((hit & known).sum()),
        false_hits=int((false[hit] == 1).sum()),
        semantic_judged=int((semantic & known).sum()),
        semantic_false_hits=int((false[semantic] == 1).sum()),
        pairs=pairs,
        false_pairs=false_pairs,
        repeats=repeats,
        total_usd=_sum(traffic.cost_usd[mask]),
        saved_usd=_sum(traffic.cost_usd[hit & ~stale]),
        total_s=_sum(traffic.latency_s[mask]),
        saved_s=_sum(traffic.latency_s[hit]),
        lost=_sum(lost),
        evicted=int(found.evicted[column]),
    )


def _pairs(traffic: Traffic, found: Pass, column: int, which: Bools, false: Floats) -> tuple[int, int]:
    keys, count = traffic.keys[0], len(traffic.keys[1])
    code = keys[which].astype(np.int64) * count + keys[found.source[which, column]]
    return len(np.unique(code)), len(np.unique(code[false[which] == 1]))


def _sum(values: Floats) -> float | None:
    return None if np.isnan(values).any() else float(values.sum())


COLUMNS = (
    "exact",
    "threshold",
    "guard",
    "ttl_s",
    "stale_s",
    "size",
    "per_entry",
    "n",
    "hit_rate",
    "exact_hit_rate",
    "semantic_hit_rate",
    "true_hit_rate",
    "false_hits",
    "false_hit_rate",
    "false_hit_upper",
    "semantic_false_hits",
    "semantic_false_hit_upper",
    "pairs",
    "false_pairs",
    "false_pair_upper",
    "stale_hits",
    "saved_usd",
    "saved_share",
    "saved_s",
    "quality_lost",
    "evicted",
)
"""The columns of a table of tallies; the last of `exact` … `per_entry` name the setting."""


def row(tally: Tally) -> dict[str, object]:
    """Return a tally as a row by column; None where not known."""
    shares = {
        "exact_hit_rate": tally.exact_hits / tally.n if tally.n else None,
        "semantic_hit_rate": tally.semantic_hits / tally.n if tally.n else None,
    }
    return {name: shares[name] if name in shares else getattr(_holder(tally, name), name) for name in COLUMNS}


def _holder(tally: Tally, name: str) -> Tally | Setting:
    return tally.setting if name in Setting.__dataclass_fields__ else tally


def mean_and_range(values: Sequence[float | None]) -> tuple[float, float, float] | None:
    """Return the mean, the least and the largest of values over orders; None as soon as one is not known."""
    known = [v for v in values if v is not None]
    return None if len(known) < len(values) or not known else (float(np.mean(known)), min(known), max(known))
