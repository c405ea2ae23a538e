"""The settings of caches: frozen values, whose fields are the keys of `cache:` in YAML."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from routelab.core.errors import ConfigError, suggest

SIZE = 100_000
JUDGE_KEYS = ("kind", "model", "at_least")
PER_ENTRY_KEYS = ("error",)


@dataclass(frozen=True, kw_only=True)
class SemanticConfig:
    """When a question is like one that was answered: its cosine is at least `threshold`, and the `guard` does not object.

    In place of `threshold`, ``per_entry: {error: 0.01}`` learns one for each entry under an error budget. `guard` is none, lexical, or
    ``{kind: judge, model: NAME}``, which asks that model, after the lexical guard, whether the answer fits; `embedder` and `index` are
    what `embedder_of` and `growing_of` take.
    """

    threshold: float | None = None
    per_entry: Mapping[str, Any] | None = None
    guard: str | Mapping[str, Any] = "lexical"
    embedder: str | Mapping[str, Any] = "minilm"
    index: str | Mapping[str, Any] = "exact"

    def __post_init__(self) -> None:
        if self.threshold is None and self.per_entry is None:
            raise ValueError("threshold: is missing; a number up to 1, or `per_entry: {error: 0.01}` in its place")
        if self.threshold is not None and self.per_entry is not None:
            raise ValueError("per_entry: stands in the place of `threshold`; keep one of the two")
        if self.threshold is not None and not -1 <= self.threshold <= 1:
            raise ValueError(f"threshold: must lie between -1 and 1, a cosine, not {self.threshold}")
        if self.per_entry is not None:
            _known("per_entry", self.per_entry, PER_ENTRY_KEYS)
            error = self.per_entry.get("error")
            if isinstance(error, bool) or not isinstance(error, (int, float)) or not 0 < error < 1:
                raise ValueError(f"per_entry.error: must lie between 0 and 1, not {error!r}")
        _guard(self.guard)
        _embedder(self.embedder)
        _index(self.index)

    @property
    def judge(self) -> str | None:
        """The model that the guard asks, if it asks one."""
        return None if isinstance(self.guard, str) or self.guard.get("kind") != "judge" else str(self.guard["model"])

    @property
    def lexical(self) -> str | Mapping[str, Any]:
        """The guard that asks nobody: what stands before a judge too."""
        return self.guard if self.judge is None else "lexical"


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """Which answers are remembered: `exact` for equal requests, `semantic` for questions that are alike.

    Answers are good for `ttl_s` seconds (None: for ever), and for `stale_s` more while a fresh one is asked for in the background.
    Nothing crosses a `namespace`. At most `size` answers are at hand in memory; the longest unused goes first.
    """

    exact: bool = False
    ttl_s: float | None = None
    stale_s: float = 0.0
    namespace: str = ""
    size: int = SIZE
    semantic: SemanticConfig | None = None

    def __post_init__(self) -> None:
        if isinstance(self.semantic, Mapping):
            object.__setattr__(self, "semantic", SemanticConfig(**self.semantic))
        if self.ttl_s is not None and not self.ttl_s > 0:
            raise ValueError(f"ttl_s: must be more than 0, not {self.ttl_s}")
        for name, value in (("ttl_s", self.ttl_s), ("stale_s", self.stale_s)):
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name}: must be a finite number, not {value}")
        if not self.stale_s >= 0:
            raise ValueError(f"stale_s: must be at least 0, not {self.stale_s}")
        if self.stale_s and self.ttl_s is None:
            raise ValueError("stale_s: needs `ttl_s`: what is good for ever is never stale")
        if self.size < 1:
            raise ValueError(f"size: must be at least 1, not {self.size}")

    @property
    def remembers(self) -> bool:
        """Whether there is a cache at all."""
        return self.exact or self.semantic is not None


def plain(settings: object) -> dict[str, Any]:
    """Return the settings that are not at their defaults, as YAML has them."""
    found: dict[str, Any] = {}
    for field in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, field.name)
        if value != field.default:
            found[field.name] = plain(value) if isinstance(value, SemanticConfig) else value
    return found


def _known(where: str, spec: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    for key in spec:
        if key not in keys:
            near = suggest(key, keys)
            raise ValueError(f"{where}.{key}: unknown key; {near or 'keys here: ' + ', '.join(keys)}")


def _guard(spec: str | Mapping[str, Any]) -> None:
    if isinstance(spec, Mapping) and spec.get("kind") == "judge":
        _known("guard", spec, JUDGE_KEYS)
        if not isinstance(spec.get("model"), str) or not spec["model"]:
            raise ValueError(f"guard.model: must be a model's name (got {spec.get('model')!r})")
        bar = spec.get("at_least", 0.5)
        if isinstance(bar, bool) or not isinstance(bar, (int, float)) or not 0 <= bar <= 1:
            raise ValueError(f"guard.at_least: must lie between 0 and 1, not {bar!r}")
        return
    from routelab.caching.guard import guard_of

    try:
        guard_of(spec)
    except ConfigError as trouble:
        raise ValueError(_placed("guard", trouble)) from None


def _embedder(spec: str | Mapping[str, Any]) -> None:
    from routelab.embedding import embedder_of

    try:
        embedder_of(spec)
    except ConfigError as trouble:
        raise ValueError(_placed("embedder", trouble)) from None


def _index(spec: str | Mapping[str, Any]) -> None:
    from routelab.embedding.index import checked

    try:
        checked(spec)
    except ConfigError as trouble:
        raise ValueError(_placed("index", trouble)) from None


def _placed(key: str, trouble: ConfigError) -> str:
    """Return what a kind says about its settings, beginning with the key that it stands under."""
    said = trouble.message if trouble.hint is None else f"{trouble.message} ({trouble.hint})"
    return said if said.startswith((f"{key}:", f"{key}.")) else f"{key}: {said}"
