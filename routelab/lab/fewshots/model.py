"""The nearest-label model as an endpoint of a fleet, and how it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from routelab.core.values import Price
from routelab.embedding import Cached, embedder_of
from routelab.embedding.vectors import Memory
from routelab.providers.nearestlabel import NAME, PRICE, NearestLabel, Reading, nearest_label_model
from routelab.providers.tokens import FACTORS, Counter
from routelab.stages import Endpoint


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How the model reads its prompt: by which embedder, examples only or names too, the nearest alone or all weighed.

    See `providers.nearestlabel.NearestLabel`.
    """

    embedder: str | Mapping[str, Any] = "minilm"
    reads: Reading = "examples"
    sharpness: float | None = None


def counter() -> Counter:
    """Return the counter of the model's tokens: those of o200k_base, as if it were its own vocabulary."""
    return Counter(factors={**FACTORS, "other": 1.0})


def nearest_label(
    name: str = NAME, *, reader: Reader | None = None, price: Price = PRICE, latency: float = 0.0
) -> Endpoint:
    """Return the simulated model for a fleet: ``Fleet.practice().with_models({"nearest-label": nearest_label()})``.

    The price is made up, so that examples cost something; `latency` scales how long an answer really takes.
    """
    how = reader or Reader()
    embedder = Cached(embedder=embedder_of(how.embedder), store=Memory())
    provider = NearestLabel(
        embedder=embedder, reads=how.reads, sharpness=how.sharpness, counter=counter(), latency=latency
    )
    return Endpoint(model=nearest_label_model(name, price), provider=provider)
