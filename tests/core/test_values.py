"""Values that everything is made of: hashes that hold in every process, prices that are never invented."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.values import Message, Price, Prompt, Reply, Tokens, digest, draw

counts = st.none() | st.integers(0, 10**9)


def test_a_hash_and_a_draw_are_the_same_in_every_process() -> None:
    code = (
        "from routelab.core.values import *\n"
        "print(digest({'b': 1, 'a': {'x', }.__len__()}), draw(7, 'split', 'p\\u0301'), Prompt.of('hi').id)"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert said == {f"{digest({'a': 1, 'b': 1})} {draw(7, 'split', 'p' + chr(0x301))} {Prompt.of('hi').id}\n"}


@given(seed=st.integers(), names=st.lists(st.text(), max_size=3))
def test_a_draw_lies_in_zero_to_one(seed: int, names: list[str]) -> None:
    assert 0.0 <= draw(seed, *names) < 1.0


def test_draws_spread_evenly() -> None:
    u = sorted(draw(0, "x", str(i)) for i in range(2000))
    assert max(abs(x - (i + 0.5) / 2000) for i, x in enumerate(u)) < 1.63 / 2000**0.5  # Kolmogorov–Smirnov, 1 %


@given(a=st.text(), b=st.text())
def test_prompts_of_different_texts_have_different_ids(a: str, b: str) -> None:
    assert (Prompt.of(a).id == Prompt.of(b).id) == (a == b)
    assert Prompt.of(a).id != Prompt.of([Message(role="system", content=a)]).id


def test_lone_surrogates_can_be_hashed() -> None:
    assert len(digest("\ud800")) == 16
    assert Prompt.of("\ud800").id != Prompt.of("\ud801").id


@given(tokens=st.builds(Tokens, input=counts, output=counts, cached=counts))
def test_a_cost_is_known_exactly_when_both_counts_are(tokens: Tokens) -> None:
    price = Price(usd_per_mtok_in=2.0, usd_per_mtok_out=8.0, usd_per_mtok_cached_in=0.5, as_of=date(2026, 1, 1))
    cost = price.cost_usd(tokens)
    if tokens.input is None or tokens.output is None:
        assert cost is None
        assert tokens.total is None
    else:
        cached = min(tokens.cached or 0, tokens.input)
        assert cost == pytest.approx((2.0 * (tokens.input - cached) + 0.5 * cached + 8.0 * tokens.output) / 1e6)
        assert tokens.total == tokens.input + tokens.output


def test_without_a_price_for_cached_tokens_they_cost_what_others_do() -> None:
    price = Price(usd_per_mtok_in=2.0, usd_per_mtok_out=8.0)
    assert price.cost_usd(Tokens(input=1_000_000, output=0, cached=900_000)) == 2.0


def test_what_is_written_to_a_cache_has_its_own_price_or_none_at_all() -> None:
    tokens = Tokens(input=1000, output=100, cached=200, written=300)
    price = Price(usd_per_mtok_in=4.0, usd_per_mtok_out=10.0, usd_per_mtok_cached_in=0.4, usd_per_mtok_cache_write=5.0)
    assert price.cost_usd(tokens) == pytest.approx((500 * 4 + 200 * 0.4 + 300 * 5 + 100 * 10) / 1e6)
    assert Price(usd_per_mtok_in=4.0, usd_per_mtok_out=10.0).cost_usd(tokens) is None
    assert Price(usd_per_mtok_in=4.0, usd_per_mtok_out=10.0).cost_usd(Tokens(input=1, output=1, written=0)) is not None


def test_a_prompt_speaks_last_and_its_system_text_comes_first() -> None:
    prompt = Prompt.of("hello", system="be brief")
    assert [(m.role, m.content) for m in prompt.messages] == [("system", "be brief"), ("user", "hello")]
    assert (prompt.text, prompt.system) == ("hello", "be brief")
    turns = [Message(role=r, content=c) for r, c in (("user", "a"), ("assistant", "b"), ("user", "c"))]  # type: ignore[arg-type]
    assert (Prompt.of(turns).text, Prompt.of(turns).system) == ("c", None)
    assert Prompt.of([Message(role="assistant", content="x")]).text == ""
    assert Prompt.of(prompt) is prompt


def test_values_are_frozen() -> None:
    for value in (Prompt.of("x"), Tokens(), Message(role="user", content="x"), Reply(text="", served_model="m")):
        name = dataclasses.fields(value)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, None)


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_a_hash_depends_on_content_and_not_on_the_order_of_keys(value: object) -> None:
    again = json.loads(json.dumps(value))
    turned = dict(reversed(again.items())) if isinstance(again, dict) else again
    assert digest(turned) == digest(value)
