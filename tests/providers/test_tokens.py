from __future__ import annotations

import socket
import sys
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.core.values import Model, Tokens
from routelab.providers.catalog import CATALOG
from routelab.providers.tokens import FACTORS, Counter, bundled, by_characters, family, pieces

GPT = Model(name="a", provider="openai", upstream="gpt-5-mini")
COUNTER = Counter()


def named(upstream: str) -> Model:
    return Model(name="m", provider="any", upstream=upstream)


@pytest.mark.parametrize(
    ("upstream", "kin"),
    [
        ("gpt-5", "o200k"),
        ("openai/gpt-4o-mini", "o200k"),
        ("o3-mini", "o200k"),
        ("gpt-4.1-nano", "o200k"),
        ("gpt-oss-120b", "o200k"),
        ("ft:gpt-4o-mini:acme::x", "o200k"),
        ("gpt-4-turbo", "cl100k"),
        ("gpt-3.5-turbo-0125", "cl100k"),
        ("anthropic/claude-opus-4-5", "claude"),
        ("models/gemini-2.5-pro", "gemini"),
        ("mistral-small-latest", "mistral"),
        ("deepseek-chat", "deepseek"),
        ("moonshotai/kimi-k2", "kimi"),
        ("Qwen/Qwen3-8B", "qwen"),
        ("llama3.2:3b", "llama"),
        ("grok-4", "other"),
        ("foo1-gpt", "other"),
    ],
)
def test_a_model_s_tokenizer_family_is_told_by_its_upstream_name(upstream: str, kin: str) -> None:
    assert family(named(upstream)) == kin


def test_every_simulated_model_has_a_known_tokenizer_family() -> None:
    assert "other" not in {family(named(name)) for name in CATALOG}


def test_openai_s_tokens_are_counted_and_others_are_estimated() -> None:
    text = "Routing sends each prompt to the model that is worth it."
    assert COUNTER.count(text, GPT) == Tokens(input=12, source="tiktoken")
    assert COUNTER.count(text, named("claude-opus-4-5")) == Tokens(input=14, source="estimate")  # ⌈12 × 1.16⌉
    assert COUNTER.count(text, named("gpt-4-turbo")) == Tokens(input=13, source="estimate")


def test_the_shipped_vocabulary_counts_like_tiktoken_s_own(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(shared / "tokenizers"))
    import tiktoken

    own, ours = tiktoken.get_encoding("o200k_base"), bundled()
    assert ours is not None
    for text in (
        "",
        "Größe 12,345.67 €",
        "def f(x):\n\treturn x**2\n\n\n",
        "你好，世界",
        "I'll we've DON'T",
        " \n \t x",
    ):
        assert ours.encode_ordinary(text) == own.encode_ordinary(text)


def test_counting_asks_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    encoding = bundled.__wrapped__()
    assert Counter(encoding=lambda: encoding).count("offline", GPT) == Tokens(input=1, source="tiktoken")


def test_special_tokens_and_lone_surrogates_are_plain_text() -> None:
    assert COUNTER.count("<|endoftext|>", GPT).input == 7
    assert COUNTER.count("\ud800 broken \udfff", GPT).source == "tiktoken"


@pytest.mark.parametrize("character", ["a", " ", "\t", "\n", "!", "1", "é", "中", "😀", "\u200b", "\ud800"])
def test_a_character_repeated_very_often_neither_hangs_nor_raises(character: str) -> None:
    assert 0 < (COUNTER.count(character * 100_000, GPT).input or 0) <= 400_000


def test_a_million_blanks_do_not_exhaust_the_pattern_s_stack() -> None:
    assert (COUNTER.count(" " * 1_000_000, GPT).input or 0) < 10_000


@given(st.text(max_size=300))
def test_any_text_can_be_counted(text: str) -> None:
    counted = COUNTER.count(text, GPT).input
    assert counted is not None
    assert (counted == 0) == (text == "")
    assert counted <= len(text.encode("utf-8", "surrogatepass")) + 3


@given(st.text(max_size=60_000))
@settings(max_examples=20)
def test_pieces_put_together_are_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


def test_cutting_a_long_text_at_blanks_changes_no_count() -> None:
    encoding = bundled()
    assert encoding is not None
    text = "Some words, 12345 numbers\n\n   and  gaps; it's (all) here... " * 2_000
    assert len(list(pieces(text))) > 5
    assert COUNTER.count(text, GPT).input == len(encoding.encode_ordinary(text))


def test_without_tiktoken_the_characters_are_an_estimate_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    assert bundled.__wrapped__() is None
    blind = Counter(encoding=bundled.__wrapped__)
    text = "Routing sends each prompt to the model that is worth it."
    assert blind.count(text, GPT) == Tokens(input=12, source="estimate")
    assert blind.count("", GPT) == Tokens(input=0, source="estimate")


def test_the_estimate_from_characters_stays_near_the_count_on_recorded_answers(shared: Path) -> None:
    import pandas as pd

    answers = pd.read_csv(shared / "data" / "outcomes.csv.gz", usecols=["response"]).response.dropna()
    texts = answers[answers.str.len() > 200].sample(300, random_state=1).tolist()
    ratios = sorted(by_characters(t) / (COUNTER.count(t, GPT).input or 1) for t in texts)
    assert 0.85 < ratios[len(ratios) // 2] < 1.15
    assert ratios[15] > 0.6
    assert ratios[-15] < 1.4


def test_factors_can_be_replaced_by_learned_ones() -> None:
    learned = Counter(factors={**FACTORS, "claude": 2.0})
    assert learned.count("one two three", named("claude-x")).input == 6
    assert Counter(factors={"claude": 2.0}).count("one two three", named("unheard-of")).input == 4


def test_the_vocabulary_travels_with_its_licence() -> None:
    note = resources.files("routelab.providers").joinpath("vocab", "README.md").read_text("utf-8")
    assert "MIT License" in note
    assert "Copyright (c) 2022 OpenAI" in note


@given(st.text(max_size=60))
def test_a_counter_that_remembers_counts_the_same(text: str) -> None:
    plain, remembering = Counter(), Counter().remembering()
    for upstream in ("gpt-5", "claude-sonnet-4-5", "gemini-2.5-flash", "gpt-5"):
        model = Model(name="m", provider="p", upstream=upstream)
        assert remembering.count(text, model) == plain.count(text, model)


def test_a_counter_that_remembers_encodes_a_text_once_for_all_models() -> None:
    asked: list[str] = []

    class Spelling:
        def encode_ordinary(self, text: str) -> list[int]:
            asked.append(text)
            return [ord(c) for c in text]

    remembering = Counter(encoding=Spelling).remembering()
    counts = [
        remembering.count("abc", Model(name="m", provider="p", upstream=u)).input
        for u in ("gpt-5", "claude-x", "gpt-5")
    ]
    assert counts == [3, 4, 3]
    assert asked == ["abc"]
    without = Counter(encoding=lambda: None)
    assert without.remembering() is without
