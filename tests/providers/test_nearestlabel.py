"""The nearest-label model: what it reads out of a request decides what it answers, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import ContextExceeded
from routelab.core.values import Message, Prompt, Reply, Request
from routelab.embedding import Lexical
from routelab.providers.nearestlabel import (
    LOST,
    NearestLabel,
    Read,
    nearest_label_model,
    read,
    spoken,
    weighed,
)
from routelab.providers.tokens import FACTORS, Counter

SYSTEM = "Say what it is about.\nLabels: pin_change, play_music, weather"
MODEL = NearestLabel(embedder=Lexical())


def said(*turns: tuple[str, str]) -> tuple[Message, ...]:
    """Return messages from (role, content) pairs."""
    return tuple(Message(role=role, content=content) for role, content in turns)  # type: ignore[arg-type]


def asked(messages: Sequence[Message], model: NearestLabel = MODEL, **more: Any) -> Reply:
    """Return the model's reply to the messages."""
    request = Request(model=nearest_label_model(), prompt=Prompt.of("x"), messages=tuple(messages), **more)
    return asyncio.run(model.complete(request, lambda _: None))


def test_turns_are_examples_and_the_last_user_message_is_the_question() -> None:
    found = read(
        said(("system", SYSTEM), ("user", "rain today?"), ("assistant", "weather"), ("user", "new pin please"))
    )
    assert found == Read(
        question="new pin please",
        examples=(("rain today?", "weather"),),
        labels=("pin_change", "play_music", "weather"),
    )


def test_examples_written_as_text_are_read_too_and_are_no_part_of_the_question() -> None:
    text = "Question: rain today?\nAnswer: weather\n\nText: a song\n  Label: play_music\n\nQuestion: new pin please"
    assert read(said(("user", text))) == Read(
        question="new pin please", examples=(("rain today?", "weather"), ("a song", "play_music")), labels=()
    )
    system = f"{SYSTEM}\n\nQ: rain today?\nA: weather"
    assert read(said(("system", system), ("user", "hm"))).examples == (("rain today?", "weather"),)


def test_labels_may_be_a_list_with_bullets() -> None:
    assert read(said(("system", "One of:\n- yes\n* no \n- yes"), ("user", "- is it?"))).labels == ("yes", "no")


def test_the_label_of_the_most_similar_example_is_the_answer() -> None:
    turns = (
        ("user", "will it rain today"),
        ("assistant", "weather"),
        ("user", "play a song"),
        ("assistant", "play_music"),
    )
    assert asked(said(("system", SYSTEM), *turns, ("user", "play that song again"))).text == "play_music"
    assert asked(said(("system", SYSTEM), *turns, ("user", "does it rain"))).text == "weather"


def test_without_examples_the_nearest_name_is_the_answer() -> None:
    assert asked(said(("system", SYSTEM), ("user", "I want to change my pin"))).text == "pin_change"


def test_names_compete_with_examples_only_if_told() -> None:
    messages = said(("system", SYSTEM), ("user", "rain"), ("assistant", "weather"), ("user", "pin change"))
    assert asked(messages).text == "weather"
    assert asked(messages, NearestLabel(embedder=Lexical(), reads="both")).text == "pin_change"


def test_with_neither_it_says_so() -> None:
    assert asked(said(("user", "hello"))).text == LOST
    assert asked(()).text == LOST


def test_many_similar_ones_outweigh_the_nearest_when_they_add_up() -> None:
    cosines = np.array([0.9, 0.8, 0.8])
    assert weighed(cosines, ["a", "b", "b"], None) == "a"
    assert weighed(cosines, ["a", "b", "b"], 2.0) == "b"
    assert weighed(cosines, ["a", "b", "b"], 50.0) == "a"


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.sampled_from("abc")), min_size=1, max_size=9),
    st.none() | st.floats(0.1, 1e6),
)
def test_the_answer_is_one_of_the_labels_and_two_of_one_kind_need_no_weighing(
    pairs: list[tuple[float, str]], sharpness: float | None
) -> None:
    cosines, labels = np.array([c for c, _ in pairs]), [label for _, label in pairs]
    assert weighed(cosines, labels, sharpness) in labels
    assert weighed(cosines, ["a"] * len(labels), sharpness) == "a"


def test_a_sharpness_that_is_no_number_above_0_is_refused() -> None:
    for wrong in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="sharpness"):
            NearestLabel(embedder=Lexical(), sharpness=wrong)


def test_names_are_read_as_words() -> None:
    assert [spoken(name) for name in ("pin_change", "change-speed", "a / b")] == ["pin change", "change speed", "a b"]


def test_a_reply_is_counted_timed_and_labelled_as_simulated() -> None:
    plain = NearestLabel(embedder=Lexical(), counter=Counter(factors={**FACTORS, "other": 1.0}))
    few = asked(said(("system", SYSTEM), ("user", "play it")), plain)
    more = asked(said(("system", SYSTEM), ("user", "rain"), ("assistant", "weather"), ("user", "play it")), plain)
    assert nearest_label_model().simulated
    assert few.served_model == "simulated/nearest-label"
    assert few.tokens.source == "estimate"
    # Two messages of a token each, and three tokens of frame for both.
    assert (more.tokens.input or 0) - (few.tokens.input or 0) == 8
    assert (more.latency_s or 0) > (more.ttft_s or 0) - 1e-9
    assert (more.ttft_s or 0) > (few.ttft_s or 0)


def test_a_prompt_beyond_the_window_is_refused() -> None:
    with pytest.raises(ContextExceeded, match="has a window of 128,000 tokens"):
        asked(said(("user", "word " * 130_000)))


def test_a_stream_gives_the_label() -> None:
    pieces: list[str] = []
    request = Request(
        model=nearest_label_model(),
        prompt=Prompt.of("x"),
        messages=said(("system", SYSTEM), ("user", "weather")),
        stream=True,
    )
    asyncio.run(MODEL.complete(request, pieces.append))
    assert pieces == ["weather"]


def test_the_wait_is_the_reply_s_latency_scaled() -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    reply = asked(said(("system", SYSTEM), ("user", "hm")), NearestLabel(embedder=Lexical(), latency=0.5, sleep=sleep))
    assert waited == [0.5 * (reply.latency_s or 0)]
