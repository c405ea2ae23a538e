from __future__ import annotations

import socket
from datetime import date

import pytest

from routelab.core.values import Price, Tokens
from routelab.providers.catalog import CATALOG
from routelab.providers.prices import LOCAL, GenaiPrices

PRICES = GenaiPrices(on=lambda: date(2026, 11, 21))


def test_a_known_model_has_a_dated_price_with_its_source() -> None:
    price = PRICES.price("openai", "gpt-5")
    assert price is not None
    assert (price.usd_per_mtok_in, price.usd_per_mtok_out, price.usd_per_mtok_cached_in) == (1.25, 10.0, 0.125)
    assert price.as_of is not None
    assert date(2025, 8, 1) < price.as_of <= date(2026, 11, 21)
    assert price.source.startswith("genai-prices ")


@pytest.mark.parametrize(
    ("provider", "upstream"),
    [
        ("openai", "no-such-model"),
        ("nobody", "gpt-5"),
        ("", ""),
        ("practice", "no-such-model"),
        ("openai", "text-embedding-3-small"),  # has no output to price
    ],
)
def test_what_is_not_known_is_none_and_never_zero(provider: str, upstream: str) -> None:
    assert PRICES.price(provider, upstream) is None


@pytest.mark.parametrize("provider", sorted(LOCAL))
def test_a_local_model_costs_nothing_explicitly(provider: str) -> None:
    price = PRICES.price(provider, "anything")
    assert price == Price(
        usd_per_mtok_in=0.0,
        usd_per_mtok_out=0.0,
        usd_per_mtok_cached_in=0.0,
        source="local",
        usd_per_mtok_cache_write=0.0,
    )
    assert price.cost_usd(Tokens(input=10, output=10)) == 0.0


def test_of_a_price_in_tiers_the_base_is_taken() -> None:
    price = PRICES.price("anthropic", "claude-sonnet-4-5")
    assert price is not None
    assert (price.usd_per_mtok_in, price.usd_per_mtok_out) == (3.0, 15.0)


def test_a_price_in_tiers_says_where_the_base_ends() -> None:
    tiered, flat = PRICES.price("anthropic", "claude-sonnet-4-5"), PRICES.price("openai", "gpt-5-mini")
    assert tiered is not None
    assert flat is not None
    assert tiered.source.endswith("; dearer from 200,000 input tokens on")
    assert "dearer" not in flat.source


@pytest.mark.parametrize(
    ("provider", "upstream", "window"),
    [
        ("openai", "gpt-5-mini", 400_000),
        ("anthropic", "claude-sonnet-4-5", 200_000),
        ("gemini", "gemini-2.5-flash", 1_048_576),
        ("openai", "text-embedding-3-small", 8_192),
        ("openai", "no-such-model", None),
        ("nobody", "gpt-5", None),
        ("ollama", "gpt-oss:20b", None),
        ("practice", "no-such-model", None),
    ],
)
def test_a_window_is_the_lists_and_unknown_where_it_does_not_say(
    provider: str, upstream: str, window: int | None
) -> None:
    assert PRICES.window(provider, upstream) == window


@pytest.mark.parametrize("name", CATALOG)
def test_a_simulated_models_window_is_the_catalogues(name: str) -> None:
    assert PRICES.window("practice", name) == CATALOG[name].context_window


def test_a_price_that_began_on_a_day_carries_that_day_and_earlier_days_have_the_earlier_price() -> None:
    now = PRICES.price("mistral", "mistral-small-latest")
    then = GenaiPrices(on=lambda: date(2026, 3, 1)).price("mistral", "mistral-small-latest")
    assert now is not None
    assert then is not None
    assert now.as_of == date(2026, 3, 16)
    assert (now.usd_per_mtok_in, then.usd_per_mtok_in) == (0.15, 0.1)
    assert then.as_of is not None
    assert then.as_of <= date(2026, 3, 1)


def test_every_simulated_model_has_the_price_of_the_real_one_that_the_catalogue_names() -> None:
    for name, profile in CATALOG.items():
        price = PRICES.price("practice", name)
        assert price is not None, name
        assert price == PRICES.price(profile.vendor, profile.priced_as)
        assert (price.source == "local") == name.endswith("-local")
        assert (price.usd_per_mtok_out == 0) == name.endswith("-local")
        assert (price.as_of is None) == name.endswith("-local")


def test_a_price_list_can_be_called() -> None:
    assert PRICES("openai", "gpt-5") == PRICES.price("openai", "gpt-5")


def test_asking_for_a_price_asks_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert PRICES.price("openai", "gpt-5-mini") is not None


def test_a_call_beyond_a_tier_is_charged_at_its_price_as_a_whole() -> None:
    price = GenaiPrices(on=lambda: date(2026, 11, 22)).price("google", "gemini-2.5-pro")
    assert price is not None
    [(start, dearer)] = price.tiers
    assert f"dearer from {start:,} input tokens on" in price.source
    at_most, beyond = (Tokens(input=n, output=1000) for n in (start, start + 1))
    assert price.cost_usd(at_most) == pytest.approx(
        (start * price.usd_per_mtok_in + 1000 * price.usd_per_mtok_out) / 1e6
    )
    assert dearer.usd_per_mtok_in > price.usd_per_mtok_in
    assert price.cost_usd(beyond) == pytest.approx(
        ((start + 1) * dearer.usd_per_mtok_in + 1000 * dearer.usd_per_mtok_out) / 1e6
    )
