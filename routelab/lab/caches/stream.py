"""Traffic through the caches, every setting at once: time goes by once, and each step is one look at arrays over the settings.

What is played is what the live cache does. The exact level comes first. Then the nearest entry counts that has lived less long
than `ttl_s` (plus `stale_s`), is at least as near as the threshold and meets no objection; only the few nearest are looked
at. A hit is not stored again, a miss is, if its answer may be kept; of more than `size` entries the least recently used goes.
A hit on an outdated entry within `stale_s` is served stale, and its request is asked all the same, in the background: it saves the
wait and no money, and its new answer becomes an entry. `size` is that of one memory for both levels with no log behind it; a
live cache over a log finds again there what left its memory. An answer counts as there when its request arrives: of requests that
overlap each sees those before it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.caching.entrywise import Observations, decide, learn
from routelab.caching.semantic import LOOK
from routelab.core.errors import ConfigError, UnavailableError, suggest
from routelab.core.ports import Floats
from routelab.core.values import draw
from routelab.lab.caches.neighbours import Neighbours, Verdicts
from routelab.lab.caches.traffic import Traffic

Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.intp]
Numbers: TypeAlias = NDArray[np.int32]

ASKED, EXACT, SEMANTIC = 0, 1, 2
"""Who answered a request: the model, the exact cache, the semantic cache."""
NEAREST = LOOK
"""How many of the entries above the threshold are looked at before it is a miss: as live."""
NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A cache's configuration; `threshold` None: no semantic level; `ttl_s` None: for ever; `size` None: no limit.

    `per_entry` is an error budget: thresholds are then learned by each entry, and `threshold` is the least cosine that counts as near.
    """

    exact: bool = True
    threshold: float | None = None
    guard: str = NONE
    ttl_s: float | None = None
    stale_s: float = 0.0
    size: int | None = None
    per_entry: float | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not -1 <= self.threshold <= 1:
            raise ConfigError(f"threshold: a cosine is wanted, not {self.threshold}")
        if (self.ttl_s is not None and not self.ttl_s > 0) or not self.stale_s >= 0:
            raise ConfigError(f"ttl_s and stale_s: must not be negative, nor ttl_s 0 ({self.ttl_s}, {self.stale_s})")
        if self.size is not None and self.size < 1:
            raise ConfigError(f"size: must be at least 1, not {self.size}")
        if self.per_entry is not None and (self.threshold is None or not 0 < self.per_entry < 1):
            raise ConfigError(
                "per_entry: needs an error budget between 0 and 1, and a threshold from which on an entry is near"
            )

    def __str__(self) -> str:
        near = "" if self.threshold is None else f"≥ {self.threshold:g}"
        if self.per_entry is not None:
            near = f"per entry, error {self.per_entry:g}"
        parts = [
            *(["exact"] if self.exact else []),
            *([f"semantic {near}" + (f", {self.guard}" if self.guard != NONE else "")] if near else []),
            *(
                [f"ttl {self.ttl_s:g} s" + (f" + {self.stale_s:g} s stale" if self.stale_s else "")]
                if self.ttl_s
                else []
            ),
            *([f"size {self.size:,}"] if self.size else []),
        ]
        return "; ".join(parts) or "no cache"


def grid(
    *,
    thresholds: Sequence[float | None] = (None,),
    guards: Sequence[str] = (NONE,),
    ttls_s: Sequence[float | None] = (None,),
    stales_s: Sequence[float] = (0.0,),
    sizes: Sequence[int | None] = (None,),
    exact: Sequence[bool] = (True,),
) -> tuple[Setting, ...]:
    """Return every combination, each once: a guard without a semantic level and a stale window without a lifetime change nothing."""
    found = (
        Setting(
            exact=e,
            threshold=threshold,
            guard=NONE if threshold is None else guard,
            ttl_s=ttl,
            stale_s=0.0 if ttl is None else stale,
            size=size,
        )
        for e, guard, ttl, stale, size, threshold in itertools.product(
            exact, guards, ttls_s, stales_s, sizes, thresholds
        )
        if e or threshold is not None
    )
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, kw_only=True, eq=False)
class Pass:
    """What happened to n requests under s settings in one order: arrays n × s, rows by request, whatever the order was.

    `level` says who answered (ASKED, EXACT, SEMANTIC); `source` is the request whose answer was given, -1 where none; `cosine`
    how near it was (NaN where asked); `stale` that it was too old and asked for anew; `refused` the number of the nearest key that
    a guard objected to (or that was explored), -1 where none. `order` (n,) are the requests as they came, `evicted` (s,) counts.
    """

    settings: tuple[Setting, ...]
    order: Ints
    level: NDArray[np.int8]
    source: Numbers
    cosine: NDArray[np.float32]
    stale: Bools
    refused: Numbers
    evicted: Ints

    @staticmethod
    def blank(n: int, settings: Sequence[Setting], order: Ints) -> Pass:
        """Return a pass in which everything was asked."""
        shape = (n, len(settings))
        return Pass(
            settings=tuple(settings),
            order=order,
            level=np.zeros(shape, dtype=np.int8),
            source=np.full(shape, -1, dtype=np.int32),
            cosine=np.full(shape, np.nan, dtype=np.float32),
            stale=np.zeros(shape, dtype=np.bool_),
            refused=np.full(shape, -1, dtype=np.int32),
            evicted=np.zeros(len(settings), dtype=np.intp),
        )

    def beside(self, other: Pass) -> Pass:
        """Return both passes of the same order, this one's settings first."""
        both = {
            name: np.concatenate([getattr(self, name), getattr(other, name)], axis=1)
            for name in ("level", "source", "cosine", "stale", "refused")
        }
        return Pass(
            settings=(*self.settings, *other.settings),
            order=self.order,
            evicted=np.concatenate([self.evicted, other.evicted]),
            **both,
        )


def played(
    traffic: Traffic,
    settings: Sequence[Setting],
    held: Neighbours,
    verdicts: Mapping[str, Verdicts],
    *,
    order: Ints | None = None,
    nearest: int = NEAREST,
) -> Pass:
    """Return what every setting does with the traffic, from empty caches; `order` (default: as it came) are its requests.

    `held` are the neighbours of `traffic.keys`, from the lowest threshold on. Raises UnavailableError for a lifetime where
    arrival times are not known, or are out of order; ConfigError for a guard that has no verdicts.
    """
    order = np.arange(len(traffic), dtype=np.intp) if order is None else order
    _checked(traffic, settings, held, verdicts, order)
    out = Pass.blank(len(traffic), settings, order)
    shelf = _Shelf.of(settings, len(held), verdicts, nearest)
    keys = traffic.keys[0].tolist()
    times = order.astype(float) if traffic.at_s is None else traffic.at_s[order]
    for now, request in zip(times.tolist(), order.tolist(), strict=True):
        shelf.request(out, request, keys[request], now, held, keep=bool(traffic.kept[request]))
    out.evicted[:] = shelf.evicted
    return out


def _checked(
    traffic: Traffic, settings: Sequence[Setting], held: Neighbours, verdicts: Mapping[str, Verdicts], order: Ints
) -> None:
    if len(held) != len(traffic.keys[1]):
        raise ValueError(f"{len(held)} neighbours for {len(traffic.keys[1])} keys")
    for setting in settings:
        if setting.guard != NONE and setting.guard not in verdicts:
            near = suggest(setting.guard, list(verdicts))
            raise ConfigError(
                f"guard: unknown '{setting.guard}'" + ("" if near is None else f"; {near}"),
                hint=f"guards here: {', '.join((NONE, *verdicts))}",
            )
        if setting.threshold is not None and setting.threshold < held.at_least:
            raise ValueError(f"neighbours are known from {held.at_least} on, not from {setting.threshold}")
        if setting.ttl_s is not None:
            times = traffic.timed(f"ttl_s = {setting.ttl_s:g}")
            if (np.diff(times[order]) < 0).any():
                raise UnavailableError(
                    "ttl_s: cannot be replayed in an order other than that of arrival", hint="leave orders out"
                )


@dataclass(kw_only=True, eq=False)
class _Shelf:
    """The entries of every setting, keys × settings: when each was stored (-inf: not there), whose answer it is, when last used."""

    exact: Bools
    semantic: Bools
    threshold: Floats
    ttl: Floats
    limit: Floats
    guard: Ints
    guards: tuple[Verdicts, ...]
    size: Floats
    nearest: int
    at: Floats
    source: Numbers
    used: Floats | None
    ever: Bools
    count: Ints
    evicted: Ints
    step: int = 0

    @classmethod
    def of(cls, settings: Sequence[Setting], keys: int, verdicts: Mapping[str, Verdicts], nearest: int) -> _Shelf:
        names = list(verdicts)
        size = np.array([np.inf if s.size is None else s.size for s in settings])
        ttl = np.array([np.inf if s.ttl_s is None else s.ttl_s for s in settings])
        shape = (keys, len(settings))
        return cls(
            exact=np.array([s.exact for s in settings], dtype=np.bool_),
            semantic=np.array([s.threshold is not None for s in settings], dtype=np.bool_),
            threshold=np.array([np.inf if s.threshold is None else s.threshold for s in settings]),
            ttl=ttl,
            limit=ttl + np.array([s.stale_s for s in settings]),
            guard=np.array([-1 if s.guard == NONE else names.index(s.guard) for s in settings], dtype=np.intp),
            guards=tuple(verdicts.values()),
            size=size,
            nearest=nearest,
            at=np.full(shape, -np.inf),
            source=np.full(shape, -1, dtype=np.int32),
            used=None if np.isinf(size).all() else np.full(shape, np.inf),
            ever=np.zeros(keys, dtype=np.bool_),
            count=np.zeros(len(settings), dtype=np.intp),
            evicted=np.zeros(len(settings), dtype=np.intp),
        )

    def request(self, out: Pass, request: int, key: int, now: float, held: Neighbours, *, keep: bool) -> None:
        """Answer one request in every setting, and store what is to be stored."""
        self.step += 1
        asked = np.ones(len(self.ttl), dtype=np.bool_)
        if self.ever[key]:
            age = now - self.at[key]
            known = age < self.limit
            if known.any():
                stale = known & (age >= self.ttl)
                out.level[request] = np.where(known, np.where(self.exact, EXACT, SEMANTIC), ASKED)
                out.source[request, known] = self.source[key, known]
                out.cosine[request, known] = 1.0
                out.stale[request] = stale
                self._touch(key, known)
                asked = ~known | stale
                known_all = bool(known.all())
            else:
                known_all = False
            open_ = self.semantic & ~known
        else:
            known_all, open_ = False, self.semantic
        if not known_all:
            near, cosine, pair = held.of(key)
            there = self.ever[near]
            if there.any():
                asked &= ~self._looked(out, request, key, now, (near[there], cosine[there], pair[there]), open_)
        if keep:
            self._store(request, key, now, asked)

    def _looked(
        self, out: Pass, request: int, key: int, now: float, found: tuple[Ints, Floats, Ints], open_: Bools
    ) -> Bools:
        """Write down what the semantic level answers in the open settings; return where it need not be asked."""
        near, cosine, pair = found
        done = np.zeros(len(open_), dtype=np.bool_)
        columns = np.flatnonzero(open_)
        if len(columns) == 0:
            return done
        # Nothing below the lowest threshold of the open settings can matter.
        most = int(np.searchsorted(-cosine, -self.threshold[columns].min(), side="right"))
        near, cosine, pair = near[:most], cosine[:most], pair[:most]
        age = now - self.at[np.ix_(near, columns)]
        able = (age < self.limit[columns]) & (cosine[:, None] >= self.threshold[columns])
        able &= np.cumsum(able, axis=0) <= self.nearest
        rows = np.flatnonzero(able.any(axis=1))
        if len(rows) == 0:
            return done
        near, cosine, pair, able, age = near[rows], cosine[rows], pair[rows], able[rows], age[rows]
        objected = self._objections(key, near, pair, able, columns)
        place = np.arange(len(columns))
        turned = able & objected
        if turned.any():
            first = turned.argmax(axis=0)
            some = turned[first, place]
            out.refused[request, columns[some]] = near[first[some]]
        able &= ~objected
        first = able.argmax(axis=0)
        hit = able[first, place]
        if not hit.any():
            return done
        which, row = columns[hit], first[hit]
        stale = age[row, place[hit]] >= self.ttl[which]
        out.level[request, which] = SEMANTIC
        out.source[request, which] = self.source[near[row], which]
        out.cosine[request, which] = cosine[row]
        out.stale[request, which] = stale
        if self.used is not None:
            self.used[near[row], which] = self.step
        done[which[~stale]] = True
        return done

    def _objections(self, key: int, near: Ints, pair: Ints, able: Bools, columns: Ints) -> Bools:
        objected = np.zeros(able.shape, dtype=np.bool_)
        for number, verdicts in enumerate(self.guards):
            mine = self.guard[columns] == number
            wanted = able[:, mine].any(axis=1) if mine.any() else mine[:0]
            if not wanted.any():
                continue
            said = np.zeros(len(near), dtype=np.bool_)
            said[wanted] = verdicts.objects(key, near[wanted], pair[wanted])
            objected[:, mine] = said[:, None]
        return objected

    def _touch(self, key: int, which: Bools) -> None:
        if self.used is not None:
            self.used[key, which] = self.step

    def _store(self, request: int, key: int, now: float, which: Bools) -> None:
        if not which.any():
            return
        self.ever[key] = True
        if self.used is not None:
            self.count += which & np.isneginf(self.at[key])
            # A little later than the stale entry that was served meanwhile.
            self.used[key, which] = self.step + 0.5
        self.at[key, which] = now
        self.source[key, which] = request
        if self.used is not None:
            over = np.flatnonzero(self.count > self.size)
            if len(over):
                gone = self.used[:, over].argmin(axis=0)
                self.at[gone, over], self.used[gone, over] = -np.inf, np.inf
                self.count[over] -= 1
                self.evicted[over] += 1


@dataclass(kw_only=True)
class _Entry:
    """An entry that learns its own threshold."""

    source: int
    seen: Observations = field(default_factory=Observations)


def learned(
    traffic: Traffic,
    setting: Setting,
    held: Neighbours,
    verdicts: Mapping[str, Verdicts],
    *,
    order: Ints | None = None,
    seed: int = 0,
    nearest: int = NEAREST,
) -> Pass:
    """Return what thresholds learned per entry (`setting.per_entry`) do with the traffic; draws depend on seed and place only.

    An explored request is asked; when its answer is that of the entry, the entry has learned so and the new text is remembered by
    the exact level only, else it becomes an entry of its own. Needs labels: UnavailableError where the right answers are not known.
    """
    order = np.arange(len(traffic), dtype=np.intp) if order is None else order
    _checked(traffic, [setting], held, verdicts, order)
    if setting.per_entry is None or setting.size is not None or setting.stale_s:
        raise ValueError("a setting with per_entry, and without size and stale_s, is wanted")
    if (traffic.codes < 0).any():
        raise UnavailableError(
            f"per_entry: cannot be replayed over {traffic.name}, it is not known which answers are the same",
            hint="give the requests labels",
        )
    out = Pass.blank(len(traffic), [setting], order)
    exact: dict[int, tuple[float, int]] = {}
    entries: dict[int, _Entry] = {}
    kept_at = np.full(len(held), -np.inf)
    keys, codes = traffic.keys[0].tolist(), traffic.codes.tolist()
    times = order.astype(float) if traffic.at_s is None else traffic.at_s[order]
    ttl = np.inf if setting.ttl_s is None else setting.ttl_s
    for step, (now, request) in enumerate(zip(times.tolist(), order.tolist(), strict=True)):
        key = keys[request]
        at, source = exact.get(key, (-np.inf, -1))
        if now - at < ttl:
            out.level[request, 0] = EXACT if setting.exact else SEMANTIC
            out.source[request, 0], out.cosine[request, 0] = source, 1.0
            continue
        around = held.of(key)
        found = _nearest(key, now - kept_at[around[0]] < ttl, setting, around, verdicts.get(setting.guard), nearest)
        same = False
        if found is not None:
            other, cosine = found
            entry = entries[other]
            chance = draw(seed, "explore", str(step))
            decision = decide(cosine, entry.seen, error=setting.per_entry, chance=chance)
            if not decision.explore:
                out.level[request, 0], out.source[request, 0], out.cosine[request, 0] = SEMANTIC, entry.source, cosine
                continue
            same = codes[request] == codes[entry.source]
            entry.seen = learn(entry.seen, cosine, same)
            out.refused[request, 0] = other
        if traffic.kept[request]:
            exact[key] = (now, request)
            if not same:
                entries[key], kept_at[key] = _Entry(source=request), now
    return out


def _nearest(
    key: int, alive: Bools, setting: Setting, found: tuple[Ints, Floats, Ints], verdicts: Verdicts | None, nearest: int
) -> tuple[int, float] | None:
    """Return the nearest entry that is alive (by neighbour) and meets no objection, and how near it is."""
    near, cosine, pair = found
    assert setting.threshold is not None
    for place in np.flatnonzero(alive & (cosine >= setting.threshold))[:nearest].tolist():
        if verdicts is None or not verdicts.objects(key, near[place : place + 1], pair[place : place + 1])[0]:
            return int(near[place]), float(cosine[place])
    return None
