"""The practice summariser quotes and says so; the writer asks a model and never takes nothing for a summary."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from routelab.context import Extractive, Room, Span, Summary, Writer, statements
from routelab.context.facts import salience
from routelab.context.note import clipped
from routelab.context.sentences import LONGEST, sentences
from routelab.core.errors import MalformedAnswer
from routelab.core.values import Message, Price, Reply, Tokens


class Letters:
    """Embeds a text as its counts of letters."""

    id = "letters"
    dimensions = 26

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.array([[t.lower().count(chr(97 + i)) for i in range(26)] for t in texts], dtype=np.float32)
        rows = rows.reshape(len(texts), 26)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0), dtype=np.float32)


def words(text: str) -> int:
    return len(text.split())


PRACTICE = Extractive(
    embedder=Letters(), count=words, price=Price(usd_per_mtok_in=1_000_000.0, usd_per_mtok_out=1_000_000.0)
)
SAID = (
    Message(role="user", content="The train to Ulm leaves at nine. Thanks!"),
    Message(role="assistant", content="Then the train arrives in Ulm at noon. Trains to Ulm are often late in winter."),
)


def test_a_practice_summary_quotes_sentences_in_their_order_with_who_said_them() -> None:
    found = PRACTICE(Span(messages=SAID, max_tokens=100, model="m"))
    assert found.text.split("\n") == [
        "user: The train to Ulm leaves at nine.",
        "assistant: Then the train arrives in Ulm at noon.",
        "assistant: Trains to Ulm are often late in winter.",
    ]
    assert found.simulated
    assert found.tokens.output == words(found.text)
    assert found.cost_usd == (found.tokens.input or 0) + words(found.text)


def test_what_was_noted_before_competes_for_the_same_tokens() -> None:
    span = Span(messages=SAID, before="user: My ticket is in the blue bag.", max_tokens=8, model="m")
    found = PRACTICE(span)
    assert words(found.text) <= 8
    assert len(found.text.split("\n")) == 1
    assert found == PRACTICE(span)


def test_nothing_to_quote_is_an_empty_summary() -> None:
    empty = Span(messages=(Message(role="user", content="Hi!"),), max_tokens=5, model="m")
    assert PRACTICE(empty).text == ""


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text(max_size=120), max_size=8),
    before=st.text(max_size=80),
    tokens=st.integers(1, 40),
)
def test_a_practice_summary_is_never_longer_than_asked_and_quotes_only_what_is_there(
    texts: list[str], before: str, tokens: int
) -> None:
    messages = tuple(Message(role="user", content=t) for t in texts)
    found = PRACTICE(Span(messages=messages, before=before, max_tokens=tokens, model="m"))
    assert words(found.text) <= tokens
    known = {*before.split("\n"), *(f"user: {s}" for t in texts for s in sentences(t))}
    assert not found.text or set(found.text.split("\n")) <= {line for k in known for line in k.split("\n")}


def replying(reply: Reply, seen: list[object]) -> object:
    async def ask(model: str, messages: tuple[Message, ...], tokens: int) -> Reply:
        seen.append((model, tokens, messages))
        return reply

    return ask


def test_a_writer_asks_the_model_and_prices_its_reply() -> None:
    seen: list[object] = []
    reply = Reply(text=" Train to Ulm at nine. ", served_model="m", tokens=Tokens(input=100, output=10), latency_s=0.5)
    writer = Writer(
        ask=replying(reply, seen),  # type: ignore[arg-type]
        room=Room(limit=500, count=words),
        price=Price(usd_per_mtok_in=1.0, usd_per_mtok_out=2.0),
    )
    found = asyncio.run(writer(Span(messages=SAID, before="Anna travels.", max_tokens=40, model="flash")))
    assert found == Summary(
        text="Train to Ulm at nine.", model="flash", tokens=reply.tokens, cost_usd=pytest.approx(0.00012), latency_s=0.5
    )
    [(model, tokens, messages)] = seen  # type: ignore[misc]
    assert (model, tokens) == ("flash", 40)
    assert "Anna travels." in messages[1].content
    assert "user: The train to Ulm leaves at nine." in messages[1].content
    assert "at most 40 tokens" in messages[0].content


@pytest.mark.parametrize(
    "reply", [Reply(text="  ", served_model="m"), Reply(text="No.", served_model="m", finish="refusal")]
)
def test_an_empty_answer_or_a_refusal_is_no_summary(reply: Reply) -> None:
    writer = Writer(ask=replying(reply, []), room=Room(limit=None, count=words))  # type: ignore[arg-type]
    with pytest.raises(MalformedAnswer, match="'flash' wrote no summary"):
        asyncio.run(writer(Span(messages=SAID, max_tokens=40, model="flash")))


def test_what_looks_like_a_fact_is_weighed_by_the_stated_rules() -> None:
    assert salience("My budget is 900 euros.") == 5.0
    assert salience("What do you think?") < 2
    assert salience("That is nice.") == 0.0
    assert salience("We met Ada and Bruno in Basel.") == 2.0
    assert salience("The code is QX_17.", "assistant") == 0.0
    said = [Message(role="user", content="I never eat fish. Lovely day! My number is 4471.")]
    assert [s.text for s in statements(said, [0])] == ["I never eat fish.", "My number is 4471."]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=2_000))
def test_sentences_lose_nothing_but_blanks_and_are_short(text: str) -> None:
    found = sentences(text)
    assert all(0 < len(s) <= LONGEST and s == s.strip() for s in found)
    assert "".join("".join(found).split()) == "".join(text.split())


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.integers(0, 40))
def test_a_clipped_text_is_a_beginning_within_the_tokens(text: str, tokens: int) -> None:
    found = clipped(text, tokens, len)
    assert text.startswith(found)
    assert len(found) <= tokens
