"""The grid of a sweep: dotted keys of a RouteConfig and the values they take, checked before anything is replayed.

Every value is checked once, in the base config; a config of the grid is then put together from checked values.
"""

from __future__ import annotations

import dataclasses
import json
import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab import strict
from routelab.caching.settings import CacheConfig, SemanticConfig, plain
from routelab.config import KEYS, Limits, PromptConfig, RouteConfig
from routelab.core.errors import ConfigError, UnavailableError, suggest
from routelab.lab.caches import recalled
from routelab.lab.outcomes import Outcomes
from routelab.strategies import KINDS, kind_of, spec_of, strategy_of

Path: TypeAlias = tuple[str, ...]

LONGEST_NAME = 72
MOST = 1_000_000
"""More configs than this are not walked one by one."""

# What a recorded answer was given under: to change it is to ask again.
_LIVE: Mapping[str, tuple[str, ...]] = {
    "prompt": (*(f.name for f in dataclasses.fields(PromptConfig)), "template", "few_shot", "compress"),
    "limits": (*(f.name for f in dataclasses.fields(Limits)), "rpm", "tpm"),
}
_NOTHING = object()
_NUMBERLIKE = re.compile(r"[-+.\d].*|true|false|null|\[\]|.*>.*")
_LATER = ("context", "retrieval", "guards")
_SWEPT = ("strategy", "models", "fallbacks", "cache")
_CACHE = ("exact", "ttl_s", "stale_s", "size", "semantic")
_SEMANTIC = ("threshold", "per_entry", "guard", "embedder")
# One namespace is as good as another for one arm, and both indexes find the same neighbours.
_ALIKE = ("cache.namespace", "cache.semantic.index")
_NEARLY = 0.9
"""Stands for a threshold while another key of a semantic cache is looked at that the base does not have."""


@dataclass(frozen=True, kw_only=True)
class Between:
    """A range instead of a list of values, for a random search: uniform, or uniform in the logarithm."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConfigError(f"Between: needs finite low < high (got {self.low} and {self.high})")
        if self.log and self.low <= 0:
            raise ConfigError(f"Between: a range in the logarithm needs low > 0 (got {self.low})")

    def draw(self, chance: random.Random) -> float:
        """Return a number of the range."""
        if self.log:
            return math.exp(chance.uniform(math.log(self.low), math.log(self.high)))
        return chance.uniform(self.low, self.high)


Grid: TypeAlias = Mapping[str, "Iterable[Any] | Between"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """One dotted key: where it leads, its checked values and how they are written in names."""

    key: str
    path: Path
    values: tuple[Any, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Axes:
    """A checked grid around a base config.

    `settings` (configs × axes) holds the position of each config's value on every axis, in the order in which they are
    walked; the base itself is always among them, as row `home`, with positions -1 where its value is on no axis.
    The models of the base follow its strategy when they were the strategy's own (`following`).
    """

    base: RouteConfig
    axes: tuple[Axis, ...]
    settings: NDArray[np.int32]
    home: int
    following: bool

    def __len__(self) -> int:
        return len(self.settings)

    @cached_property
    def _short(self) -> tuple[str, ...]:
        # The last part of a key says enough where no other key ends alike.
        ends = [axis.path[-1] for axis in self.axes]
        return tuple(axis.key if ends.count(end) > 1 else end for axis, end in zip(self.axes, ends, strict=True))

    @cached_property
    def _own(self) -> tuple[int, ...]:
        return tuple(_place(axis, _held(self.base, axis.path)) for axis in self.axes)

    def name(self, i: int) -> str:
        """Return the name of a config: the base's and what differs from it, or its number where that is too long."""
        if i == self.home:
            return self.base.name
        said = zip(self._short, self.axes, self.settings[i].tolist(), self._own, strict=True)
        name = " ".join([self.base.name, *(f"{short}={axis.labels[k]}" for short, axis, k, own in said if k != own)])
        return name if len(name) <= LONGEST_NAME else f"{self.base.name} #{i + 1}"

    def values(self, i: int) -> dict[str, Any]:
        """Return the values of a config by dotted key; a key that the base does not have is left out."""
        placed = zip(self.axes, self.settings[i].tolist(), strict=True)
        held = {axis.key: axis.values[k] if k >= 0 else _held(self.base, axis.path) for axis, k in placed}
        return {key: value for key, value in held.items() if value is not _NOTHING}

    def config(self, i: int) -> RouteConfig:
        """Return one config; ConfigError names the keys and values that do not go together."""
        if i == self.home:
            return self.base
        placed = zip(self.axes, self.settings[i].tolist(), strict=True)
        changes = [(axis, axis.values[k]) for axis, k in placed]
        try:
            pairs = [(axis.path, value) for axis, value in changes]
            return _changed(self.base, pairs, self.name(i), following=self.following)
        except (ConfigError, ValueError) as trouble:
            raise _refused(", ".join(f"{axis.key} = {value!r}" for axis, value in changes), trouble) from None

    @cached_property
    def caches(self) -> tuple[CacheConfig, ...]:
        """Every cache that a config of the grid has in front, each once; those that remember nothing are left out."""
        at = [i for i, axis in enumerate(self.axes) if axis.path[0] == "cache"]
        which = np.unique(self.settings[:, at], axis=0, return_index=True)[1].tolist() if at else [self.home]
        found = (recalled.cache_of(self.config(i)) for i in sorted(which))
        return tuple({repr(cache): cache for cache in found if cache is not None}.values())

    @cached_property
    def knob(self) -> int | None:
        """The axis that is the knob of the base's strategy, or None."""
        knob = getattr(self.base.ranking, "knob", None)
        return next((i for i, axis in enumerate(self.axes) if axis.path == ("strategy", knob)), None)


def axes_of(
    base: RouteConfig, grid: Grid, outcomes: Outcomes, *, search: str = "grid", n: int | None = None, seed: int = 0
) -> Axes:
    """Return the checked grid with the settings to try: all of them, or `n` different ones drawn with the seed.

    Raises ConfigError in one line that names the key and the value; UnavailableError for keys that a replay of
    recorded answers cannot judge.
    """
    if search not in ("grid", "random"):
        near = suggest(search, ("grid", "random"))
        raise ConfigError(f"search: unknown '{search}'" + ("" if near is None else f"; {near}"), hint="grid or random")
    if not grid:
        raise ConfigError("grid: is empty", hint='for example {"strategy.table.simple_qa": [["a"], ["b"]]}')
    if (search == "random") != (n is not None) or (n is not None and not 1 <= n <= MOST):
        raise ConfigError(
            f"n: a random search needs how many configs to draw, from 1 to {MOST:,} (search={search!r}, n={n})",
            hint='search="random", n=500',
        )
    chance = random.Random(f"sweep-{seed}")
    axes = tuple(_axis(key, given, base, outcomes, n, chance) for key, given in grid.items())
    paths = [axis.path for axis in axes]
    for one, other in ((a, b) for a in paths for b in paths if a is not b and b[: len(a)] == a):
        raise ConfigError(f"grid: {'.'.join(other)} lies within {'.'.join(one)}, which is swept as a whole")
    following = tuple(base.models) == tuple(getattr(base.ranking, "models", ())) and ("models",) not in paths
    sizes = [len(axis.values) for axis in axes]
    drawn = [isinstance(given, Between) for given in grid.values()]
    settings = _all(sizes) if n is None else _drawn(sizes, drawn, n, chance)
    own = tuple(_place(axis, _held(base, axis.path)) for axis in axes)
    found = np.flatnonzero((settings == own).all(axis=1)) if -1 not in own else np.zeros(0, dtype=np.intp)
    home = int(found[0]) if len(found) else len(settings)
    if len(found) == 0:
        settings = np.concatenate([settings, np.full((1, len(axes)), -1, dtype=np.int32)])
    return Axes(base=base, axes=axes, settings=settings, home=home, following=following)


def _place(axis: Axis, value: Any) -> int:
    label = _label(value)
    return -1 if value is _NOTHING or label not in axis.labels else axis.labels.index(label)


def _held(base: RouteConfig, path: Path) -> Any:
    """Return what a config has at a path, _NOTHING where it has nothing."""
    node: Any = base.ranking if path[0] == "strategy" else getattr(base, path[0])
    if path == ("strategy", "kind"):
        return kind_of(node)
    if path[0] == "fallbacks" and len(path) == 2:
        return node.get(path[1], ())  # no row and an empty row are the same
    for name in path[1:]:
        node = node.get(name, _NOTHING) if isinstance(node, Mapping) else getattr(node, name, _NOTHING)
    return node


def _axis(
    key: str,
    given: Iterable[Any] | Between,
    base: RouteConfig,
    outcomes: Outcomes,
    n: int | None,
    chance: random.Random,
) -> Axis:
    path = _path(key, base, outcomes)
    if isinstance(given, Between):
        if n is None:
            raise ConfigError(f"grid: {key}: a range can only be drawn from", hint='search="random", n=500')
        # One draw a config: a range has no values that come again.
        given = [given.draw(chance) for _ in range(n)]
    elif isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise ConfigError(f"grid: {key}: must be a list of values (got {given!r})", hint=f'{{"{key}": [...]}}')
    values: dict[str, Any] = {}
    numbers: set[type] = set()
    for value in given:
        plain = _plain(value)
        label = _label(plain)
        if label not in values:
            # The type of a number is looked at once: that costs ten times what the strategy's own check does.
            number = type(plain) in (int, float) and math.isfinite(plain)
            known = number and type(plain) in numbers
            values[label] = _checked(key, path, plain, base, outcomes, typed=not known)
            if number:
                numbers.add(type(plain))
    if not values:
        raise ConfigError(f"grid: {key}: no values", hint=f'{{"{key}": [...]}}')
    return Axis(key=key, path=path, values=tuple(values.values()), labels=tuple(values))


def _path(key: str, base: RouteConfig, outcomes: Outcomes) -> Path:
    """Return where a dotted key leads in the config; names of tasks and models may have dots of their own."""
    if not isinstance(key, str) or not key:
        raise ConfigError(f"grid: a key must be a dotted name (got {key!r})")
    head, _, rest = key.partition(".")
    if head in _LATER or (head in _LIVE and (not rest or rest.split(".")[0] in _LIVE[head])):
        raise UnavailableError(
            f"grid: {key}: a replay of recorded answers cannot tell what it changes",
            hint=f"ask again with another `{head}` (lab.compare), or sweep {', '.join(_SWEPT)}",
        )
    if head in _LIVE:
        raise _unknown(key, rest, _LIVE[head], f"{head}.")
    if head == "cache":
        return _of_cache(key, rest)
    if head not in _SWEPT:
        if head in KEYS:
            raise ConfigError(f"grid: {key}: decides nothing", hint=f"sweep {', '.join(_SWEPT)}")
        raise _unknown(key, head, KEYS)
    if not rest:
        return (head,)
    if head == "models":
        raise ConfigError(f"grid: {key}: `models` is a list", hint='{"models": [["a"], ["a", "b"]]}')
    if head == "fallbacks":
        # RouteConfig itself refuses fallbacks of a model that is not ranked.
        if rest not in base.models and rest not in outcomes.models:
            raise _unknown(key, rest, tuple(dict.fromkeys((*base.models, *outcomes.models))), "fallbacks.")
        return (head, rest)
    return (head, *_within(base.ranking, rest, key, "strategy.", outcomes))


def _of_cache(key: str, rest: str) -> Path:
    if key in _ALIKE:
        raise ConfigError(f"grid: {key}: decides nothing in a replay", hint=f"sweep {', '.join(_CACHE)}")
    path = tuple(rest.split(".")) if rest else ()
    if path and path[0] not in _CACHE:
        raise _unknown(key, path[0], _CACHE, "cache.")
    if path[1:] and path[0] != "semantic":
        raise ConfigError(f"grid: {key}: cache.{path[0]} has no keys of its own")
    if len(path) > 1 and path[1] not in _SEMANTIC:
        raise _unknown(key, path[1], _SEMANTIC, "cache.semantic.")
    if len(path) > 2:
        raise ConfigError(f"grid: {key}: is swept as a whole", hint=f"grid: cache.semantic.{path[1]}")
    return ("cache", *path)


def _within(node: Any, rest: str, key: str, before: str, outcomes: Outcomes) -> Path:
    if isinstance(node, Mapping):
        # A mapping with a kind of its own is checked by the strategy that takes it apart.
        if rest in node or "kind" in node:
            return (rest,)
        for name, child in node.items():
            if rest.startswith(f"{name}.") and (isinstance(child, Mapping) or dataclasses.is_dataclass(child)):
                return (name, *_within(child, rest[len(name) + 1 :], key, f"{before}{name}.", outcomes))
        tasks = {p.task for p in outcomes.prompts if p.task is not None}
        if rest in tasks or rest in outcomes.models:
            return (rest,)
        raise _unknown(key, rest, (*node, *sorted(tasks - set(node)), *outcomes.models), before)
    if not dataclasses.is_dataclass(node):
        raise ConfigError(
            f"grid: {key}: {type(node).__name__} has no keys of its own", hint=f"sweep {before[:-1]} as a whole"
        )
    head, _, deeper = rest.partition(".")
    if head == "kind" and before == "strategy." and not deeper:
        return ("kind",)
    fields = tuple(f.name for f in dataclasses.fields(node))
    if head not in fields:
        raise _unknown(key, head, fields, before)
    return (head, *_within(getattr(node, head), deeper, key, f"{before}{head}.", outcomes)) if deeper else (head,)


def _unknown(key: str, word: str, known: Sequence[str], before: str = "") -> ConfigError:
    near = suggest(word, known)
    said = None if near is None else near.replace("'", f"'{before}", 1)
    return ConfigError(
        f"grid: {key}: unknown key" + ("" if said is None else f"; {said}"),
        hint=None if near else f"keys here: {', '.join(known)}",
    )


def _checked(key: str, path: Path, value: Any, base: RouteConfig, outcomes: Outcomes, *, typed: bool) -> Any:
    """Return a value as the config holds it, after a look at the base config with that value alone."""
    try:
        if path == ("models",):
            held: Any = RouteConfig(name=base.name, models=value, strategy={"kind": "random"}).models
            named: Iterable[str] = held
        elif path[0] == "fallbacks":
            changed = _changed(base, [(path, value)], base.name, following=False)
            held, named = _held(changed, path), (m for row in changed.fallbacks.values() for m in row)
        elif path[0] == "cache":
            lone = base.cache.semantic is None and len(path) == 3 and path[2] not in ("threshold", "per_entry")
            stand_in: list[tuple[Path, Any]] = [(("cache", "semantic", "threshold"), _NEARLY)] if lone else []
            changed = _changed(base, [*stand_in, (path, value)], base.name, following=False)
            recalled.check("replay", changed.cache, outcomes)
            held, named = _held(changed, path), ()
        else:
            strategy = _strategy(base.ranking, [(path[1:], value)], typed=typed)
            held = value if path == ("strategy", "kind") else _at(strategy, path[1:])
            named = getattr(strategy, "models", ())
    except (ConfigError, ValueError) as trouble:
        raise _refused(f"{key} = {value!r}", trouble, f"{key}: ") from None
    for model in named:
        if model not in outcomes.models:
            near = suggest(model, outcomes.models)
            raise ConfigError(
                f"grid: {key} = {value!r}: '{model}' has no recorded outcomes" + ("" if near is None else f"; {near}"),
                hint=f"models there: {', '.join(outcomes.models)}",
            )
    return held


def _changed(base: RouteConfig, changes: Sequence[tuple[Path, Any]], name: str, *, following: bool) -> RouteConfig:
    within = [(path[1:], value) for path, value in changes if path[0] == "strategy"]
    given: dict[str, Any] = {"name": name}
    if within:
        given["strategy"] = _strategy(base.ranking, within)
    if following:
        given["models"] = ()
    cached = [(path[1:], value) for path, value in changes if path[0] == "cache"]
    if cached:
        given["cache"] = _cache(base.cache, cached)
    fallbacks = dict(base.fallbacks)
    for path, value in changes:
        if path == ("models",):
            given["models"] = value
        elif path == ("fallbacks",):
            given["fallbacks"] = value
        elif path[0] == "fallbacks":
            fallbacks[path[1]] = value
            given["fallbacks"] = {model: row for model, row in fallbacks.items() if row}
    return dataclasses.replace(base, **given)


def _cache(cache: CacheConfig, changes: Sequence[tuple[Path, Any]]) -> Any:
    """Return the mapping of a cache with the changes, for the config to check; a threshold and `per_entry` replace each other."""
    whole = next((value for path, value in changes if path == ()), cache)
    values = plain(whole) if isinstance(whole, CacheConfig) else dict(whole or {})
    for path, value in sorted(changes, key=lambda change: len(change[0])):
        if len(path) == 1:
            values[path[0]] = plain(value) if isinstance(value, SemanticConfig) else value
        elif len(path) == 2:
            own = dict(values.get("semantic") or {})
            if path[1] in ("threshold", "per_entry"):
                own.pop("per_entry" if path[1] == "threshold" else "threshold", None)
            values["semantic"] = {**own, path[1]: value}
    return values


def _strategy(strategy: Any, changes: Sequence[tuple[Path, Any]], *, typed: bool = False) -> Any:
    """Return the strategy with the changes; `typed` checks their types as the YAML door does."""
    given = {path: value for path, value in changes if path in ((), ("kind",))}
    if () in given:
        whole = given[()]
        return strategy_of(whole) if isinstance(whole, Mapping) else _a_strategy(whole)
    if ("kind",) in given:
        strategy = strategy_of({**spec_of(strategy), "kind": given["kind",]})
        changes = [change for change in changes if change[0] != ("kind",)]
    if typed and type(strategy) in KINDS.values():
        fields = {f.name: getattr(strategy, f.name) for f in dataclasses.fields(strategy)}
        fields = _put(fields, changes)
        document = strict.Document(values={}, name="config")
        return strict.build(type(strategy), fields, ("strategy",), document)
    return _put(strategy, changes)


def _a_strategy(value: Any) -> Any:
    if not callable(getattr(value, "plan", None)):
        raise ConfigError("must be a strategy, or a mapping with `kind`")
    return value


def _put(node: Any, changes: Sequence[tuple[Path, Any]]) -> Any:
    """Return the mapping or dataclass with values put in place, each level replaced once."""
    own = {path[0]: value for path, value in changes if len(path) == 1}
    for head in dict.fromkeys(path[0] for path, _ in changes if len(path) > 1):
        child = node[head] if isinstance(node, Mapping) else getattr(node, head)
        own[head] = _put(child, [(path[1:], value) for path, value in changes if path[0] == head])
    if isinstance(node, Mapping):
        return {**node, **own}
    return dataclasses.replace(node, **own) if own else node


def _at(node: Any, path: Path) -> Any:
    for name in path:
        node = node[name] if isinstance(node, Mapping) else getattr(node, name)
    return node


def _refused(said: str, trouble: Exception, told: str = "") -> ConfigError:
    message = trouble.message if isinstance(trouble, ConfigError) else str(trouble)
    message = message.removeprefix("config: ").removeprefix(told).removeprefix(told.removeprefix("strategy."))
    kind = UnavailableError if isinstance(trouble, UnavailableError) else ConfigError
    return kind(
        f"grid: {said}: {message}",
        hint=trouble.hint if isinstance(trouble, ConfigError) else None,
    )


def _plain(value: Any) -> Any:
    """Return NumPy's numbers and arrays as Python's."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return value


def _label(value: Any) -> str:
    """Return a value in few characters, equal for equal values only."""
    if isinstance(value, str):
        return json.dumps(value) if _NUMBERLIKE.fullmatch(value) else value
    if isinstance(value, (list, tuple)) and all(isinstance(v, str) and ">" not in v for v in value):
        return ">".join(value) if value else "[]"
    if isinstance(value, float) and not isinstance(value, bool):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(value)


def _all(sizes: Sequence[int]) -> NDArray[np.int32]:
    total = math.prod(sizes)
    if total > MOST:
        raise ConfigError(
            f"grid: {total:,} configs are more than the {MOST:,} that are tried one by one",
            hint='search="random", n=10000 draws from them',
        )
    return np.stack(np.unravel_index(np.arange(total), tuple(sizes)), axis=1).astype(np.int32)


def _drawn(sizes: Sequence[int], ranged: Sequence[bool], n: int, chance: random.Random) -> NDArray[np.int32]:
    """Return n different settings; a range gives its i-th draw to the i-th of them."""
    if any(ranged):
        rows = [
            tuple(min(i, size - 1) if own else chance.randrange(size) for size, own in zip(sizes, ranged, strict=True))
            for i in range(n)
        ]
        return np.array(list(dict.fromkeys(rows)), dtype=np.int32)
    total = math.prod(sizes)
    if n > total:
        raise ConfigError(f"n: the grid has {total:,} configs only, not {n:,}", hint='search="grid" tries them all')
    # Python's integers, because a grid may have more points than 64 bits count.
    return np.array([_digits(i, sizes) for i in sorted(chance.sample(range(total), n))], dtype=np.int32)


def _digits(i: int, sizes: Sequence[int]) -> tuple[int, ...]:
    digits = []
    for size in reversed(sizes):
        i, digit = divmod(i, size)
        digits.append(digit)
    return tuple(reversed(digits))
