"""What models cost and how much they read, from the genai-prices package: dated, offline, and None when it is not known.

The package carries its prices; it asks the network only when a program starts its `UpdatePrices`, which this one never
does.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from routelab.core.values import Price
from routelab.providers.catalog import CATALOG

LOCAL = frozenset({"ollama", "vllm", "llamacpp", "lmstudio", "local"})
"""Providers that run on one's own machine: their price per token is 0, whatever the machine costs."""


def today() -> date:
    """Return the date now, in UTC."""
    return datetime.now(tz=UTC).date()


@dataclass(frozen=True, kw_only=True)
class GenaiPrices:
    """A price list over the installed genai-prices; `on` says which day's prices are asked for.

    Of prices that change within the day the one at noon UTC is taken, cache writes at the price for five minutes, and tools and batch
    discounts are left out. Prices that grow with the length of the prompt are `Price.tiers`, and `Price.source` names their
    beginning: a call with more input tokens is charged at the tier's price as a whole. `Price.as_of` is the day on which this very price began, where genai-prices
    states one; else the newest such day in the whole list up to `on`: the list cannot be older than that.
    """

    on: Callable[[], date] = today

    def price(self, provider: str, upstream: str) -> Price | None:
        """Return the price of a provider's model, or None when the provider, the model or its price is not known.

        Local providers are 0 with source "local" and no date. The provider "practice" has the prices of the real models
        that `catalog.CATALOG` names.
        """
        if provider == "practice":
            profile = CATALOG.get(upstream)
            if profile is None:
                return None
            provider, upstream = profile.vendor, profile.priced_as
        if provider.lower() in LOCAL:
            return Price(
                usd_per_mtok_in=0.0,
                usd_per_mtok_out=0.0,
                usd_per_mtok_cached_in=0.0,
                source="local",
                usd_per_mtok_cache_write=0.0,
            )
        return _listed(provider, upstream, self.on())

    __call__ = price

    def window(self, provider: str, upstream: str) -> int | None:
        """Return a model's context window in tokens, input and output together, or None when it is not known.

        A local model's depends on how it was started, whatever the model could do.
        """
        if provider == "practice":
            profile = CATALOG.get(upstream)
            return None if profile is None else profile.context_window
        found = None if provider.lower() in LOCAL else _found(provider, upstream, self.on())
        size = None if found is None else found.model.context_window
        return int(size) if size else None


def _found(provider: str, upstream: str, on: date) -> Any | None:
    """Return what genai-prices knows of a model at noon of a day, or None."""
    import genai_prices  # 0.2 s and more, so only when a price is asked for

    noon = datetime(on.year, on.month, on.day, 12, tzinfo=UTC)
    try:
        return genai_prices.calc_price(
            genai_prices.Usage(input_tokens=0, output_tokens=0),
            upstream,
            provider_id=provider,
            genai_request_timestamp=noon,
        )
    except (LookupError, ValueError):
        return None


def _listed(provider: str, upstream: str, on: date) -> Price | None:
    found = _found(provider, upstream, on)
    if found is None:
        return None
    amounts = [
        getattr(found.model_price, key, None)
        for key in ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
    ]
    if amounts[0] is None or amounts[1] is None:
        return None
    starts = sorted({int(tier.start) for amount in amounts for tier in getattr(amount, "tiers", ())})
    source = f"genai-prices {importlib.metadata.version('genai-prices')}"
    as_of = _since(found, on)

    def at(tokens: int) -> Price:
        paid_in, paid_out, cached, written = (_amount(amount, tokens) for amount in amounts)
        assert paid_in is not None
        assert paid_out is not None
        return Price(
            usd_per_mtok_in=paid_in,
            usd_per_mtok_out=paid_out,
            usd_per_mtok_cached_in=cached,
            usd_per_mtok_cache_write=written,
            as_of=as_of,
            source=source,
        )

    if not starts:
        return at(0)
    return dataclasses.replace(
        at(0),
        source=f"{source}; dearer from {starts[0]:,} input tokens on",
        tiers=tuple((start, at(start + 1)) for start in starts),
    )


def _amount(amount: Any, tokens: int) -> float | None:
    """Return what a call with so many input tokens pays per million, None where that is not known."""
    if amount is None:
        return None
    tiers = [tier for tier in getattr(amount, "tiers", ()) if tokens > tier.start]
    return float(tiers[-1].price if tiers else getattr(amount, "base", amount))


def _since(found: Any, on: date) -> date | None:
    own = [
        day
        for entry in _entries(found.model)
        if entry.prices is found.model_price and (day := _start(entry)) is not None
    ]
    if own:
        return max(own)
    if found.auto_update_timestamp is not None:
        stamp: datetime = found.auto_update_timestamp
        return stamp.date()
    return _newest(on)


def _newest(on: date) -> date | None:
    from genai_prices.data_snapshot import get_snapshot

    days = (_start(e) for provider in get_snapshot().providers for model in provider.models for e in _entries(model))
    return max((day for day in days if day is not None and day <= on), default=None)


def _entries(model: Any) -> list[Any]:
    return model.prices if isinstance(model.prices, list) else []


def _start(entry: Any) -> date | None:
    day: date | None = getattr(entry.constraint, "start_date", None)
    return day
