"""Whatever JSON a server sends, reading it gives a piece and never a traceback."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.values import Tokens
from routelab.providers import anthropic, gemini, openai
from routelab.providers.exchange import Dialect, Piece, amount, count, parse, words
from routelab.providers.refusals import message_in, status_in
from routelab.testing.server import Protocol, Said, Seen, rendered, transcript

DIALECTS: dict[Protocol, Dialect] = {
    "openai": openai.DIALECT,
    "anthropic": anthropic.DIALECT,
    "gemini": gemini.DIALECT,
}
FULL = Tokens(input=9, output=5, cached=2, reasoning=1)


def payloads(protocol: Protocol) -> Iterator[tuple[bool, Any]]:
    """Yield (streamed, JSON) for everything that a protocol sends in an ordinary answer."""
    said = Said(text="a b", tokens=FULL)
    path = "/v1beta/models/m:generateContent" if protocol == "gemini" else "/v1"
    body = {"model": "m", "stream_options": {"include_usage": True}}
    whole = Seen(protocol=protocol, path=path, headers={}, body=body)
    yield False, json.loads(rendered(said, whole).content)
    for line in transcript(said, whole).decode().split("\n"):
        if line.startswith("data: {"):
            yield True, json.loads(line.removeprefix("data: "))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every node."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def read(dialect: Dialect, streamed: bool, payload: Any) -> Piece:
    piece = dialect.event("message", payload) if streamed else dialect.whole(payload)
    tokens = dialect.tokens(piece.usage)
    assert all(n is None or n >= 0 for n in (tokens.input, tokens.output, tokens.cached, tokens.reasoning))
    cost = dialect.cost_usd(piece.usage)
    assert cost is None or cost >= 0
    assert piece.text is None or isinstance(piece.text, str)
    assert piece.served_model is None or isinstance(piece.served_model, str)
    if piece.error is not None:
        assert 400 <= status_in(piece.error) < 600
    return piece


WRONG: list[Any] = [
    None,
    True,
    -1,
    1.5,
    1e308,
    2**70,
    "",
    "text",
    [],
    [[]],
    {},
    {"type": "text"},
    [None, {"text": 3}],
    ["x"],
]


@pytest.mark.parametrize("protocol", DIALECTS)
def test_any_part_of_an_answer_may_be_missing_or_of_another_kind(protocol: Protocol) -> None:
    tried = 0
    for streamed, payload in payloads(protocol):
        for path in places(payload):
            for wrong in [*WRONG, "missing"]:
                broken = copy.deepcopy(payload)
                if not path:
                    continue
                holder = broken
                for key in path[:-1]:
                    holder = holder[key]
                if wrong == "missing":
                    del holder[path[-1]]
                else:
                    holder[path[-1]] = wrong
                read(DIALECTS[protocol], streamed, broken)
                tried += 1
    assert tried > 500


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
known = st.sampled_from(
    [
        "choices",
        "message",
        "delta",
        "content",
        "finish_reason",
        "usage",
        "error",
        "type",
        "text",
        "content_block",
        "stop_reason",
        "index",
        "code",
        "cost",
        "candidates",
        "parts",
        "finishReason",
        "usageMetadata",
        "promptFeedback",
        "modelVersion",
        "model",
        "refusal",
        "is_byok",
        "cost_details",
    ]
)
json_objects = st.recursive(
    json_values,
    lambda inner: st.dictionaries(known, inner, max_size=4) | st.lists(inner, max_size=2),
    max_leaves=12,
).filter(lambda value: isinstance(value, dict))


@given(
    payload=json_objects, protocol=st.sampled_from(sorted(DIALECTS)), streamed=st.booleans(), event=st.text(max_size=12)
)
def test_any_json_object_is_read_without_a_traceback(payload: Any, protocol: Any, streamed: bool, event: str) -> None:
    read(DIALECTS[protocol], streamed, payload)
    DIALECTS[protocol].event(event, payload)


@given(value=json_values)
def test_numbers_and_words_that_make_no_sense_are_unknown(value: Any) -> None:
    number = count(value)
    assert number is None or (type(number) is int and 0 <= number <= 2**53)
    cost = amount(value)
    assert cost is None or 0 <= cost < float("inf")
    assert words(value) is None or isinstance(value, (str, list))
    assert message_in(value) is None or isinstance(value, (str, list, dict))
    assert 400 <= status_in(value) < 600


@given(text=st.text(max_size=30) | st.binary(max_size=30))
def test_parsing_never_raises(text: str | bytes) -> None:
    parse(text)


@pytest.mark.parametrize(
    "text", ["NaN", '{"a": Infinity}', "[" * 10_000, '{"a": 1,}', "", '"\\ud800', "9" * 5000, b"\xff"]
)
def test_what_is_not_strict_json_is_nothing(text: str | bytes) -> None:
    assert parse(text) is None
