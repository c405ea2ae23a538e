"""The checks that all ways of choosing share; what they raise names the key."""

from __future__ import annotations

from typing import Any

from routelab.core.errors import ConfigError
from routelab.embedding import embedder_of
from routelab.prompting.fewshot.example import Pool


def settle(chosen: Any) -> None:
    """Turn the examples of a way of choosing into a pool, and check the keys that all of them have; ValueError "key: what"."""
    object.__setattr__(chosen, "examples", Pool.of(chosen.examples))
    size = len(chosen.examples)
    if isinstance(chosen.k, bool) or not isinstance(chosen.k, int) or chosen.k < 1:
        raise ValueError(f"k: a whole number from 1 is wanted, not {chosen.k!r}; without examples, leave them out")
    if chosen.k > size:
        raise ValueError(f"k: {chosen.k} are wanted, and there are {size} examples")
    if chosen.per_answer is not None and chosen.per_answer < 1:
        raise ValueError(f"per_answer: must be at least 1, not {chosen.per_answer}")
    if chosen.duplicate_at is not None and not 0 < chosen.duplicate_at <= 1:
        raise ValueError(f"duplicate_at: a cosine above 0, at most 1, is wanted, not {chosen.duplicate_at}")
    if not callable(chosen.embedder):
        try:
            embedder_of(chosen.embedder)
        except ConfigError as trouble:
            # "embedder.kind: unknown …" already begins with the key.
            raise ValueError(trouble.message) from None
