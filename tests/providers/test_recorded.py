"""Answers from a record."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from routelab.core.errors import ModelNotFound, ProviderError
from routelab.core.ports import Floats
from routelab.core.values import Model, Prompt, Reply, Request, Tokens
from routelab.providers import Recorded

NAN = math.nan


@dataclass(frozen=True, kw_only=True)
class Cube:
    """Two prompts × three models; model "none" was never asked about "p2"."""

    prompts: Sequence[Prompt] = tuple(Prompt(id=i, messages=()) for i in ("p1", "p2"))
    models: tuple[str, ...] = ("small", "large", "none")
    quality: Floats = field(default_factory=lambda: np.array([[1.0, 0.5, 0.0], [0.0, NAN, NAN]]))
    cost_usd: Floats = field(default_factory=lambda: np.array([[0.1, NAN, 0.3], [0.2, 0.4, NAN]]))
    latency_s: Floats = field(default_factory=lambda: np.array([[2.0, NAN, 1.0], [3.0, 4.0, NAN]]))


@dataclass(frozen=True, kw_only=True)
class Book:
    """What was said."""

    said: dict[tuple[str, str], Reply]

    def reply(self, prompt_id: str, model: str) -> Reply | None:
        return self.said.get((prompt_id, model))


BOOK = Book(
    said={
        ("p1", "small"): Reply(
            text="four",
            served_model="small-0613",
            finish="length",
            tokens=Tokens(input=3, output=1, source="usage"),
            cost_usd=9.0,
        ),
        ("p2", "none"): Reply(text="said once", served_model="none", latency_s=5.0),
    }
)


def request(prompt: str, model: str, *, stream: bool = False) -> Request:
    return Request(
        model=Model(name=model, provider="recorded", upstream=model),
        prompt=Prompt(id=prompt, messages=()),
        messages=(),
        stream=stream,
    )


def complete(recorded: Recorded, asked: Request) -> tuple[Reply, list[str]]:
    told: list[str] = []
    return asyncio.run(recorded.complete(asked, told.append)), told


@pytest.mark.parametrize(
    ("prompt", "model", "reply"),
    [
        (
            "p1",
            "small",
            Reply(
                text="four",
                served_model="small-0613",
                finish="length",
                tokens=Tokens(input=3, output=1, source="recorded"),
                cost_usd=0.1,
                latency_s=2.0,
            ),
        ),
        ("p1", "large", Reply(text="", served_model="large")),
        ("p1", "none", Reply(text="", served_model="none", cost_usd=0.3, latency_s=1.0)),
        ("p2", "large", Reply(text="", served_model="large", cost_usd=0.4, latency_s=4.0)),
        ("p2", "none", Reply(text="said once", served_model="none", latency_s=5.0)),
    ],
)
def test_what_was_recorded_comes_back_and_nothing_is_made_up(prompt: str, model: str, reply: Reply) -> None:
    assert complete(Recorded(outcomes=Cube(), answers=BOOK), request(prompt, model)) == (reply, [])


@pytest.mark.parametrize(
    ("prompt", "model", "hint"),
    [
        ("p2", "none", None),
        ("p3", "small", "this prompt is not among the recorded ones; recorded answers serve replay, not new prompts"),
        ("p1", "smal", "did you mean 'small'?"),
        ("p1", "xyz", "recorded models are small, large, none"),
    ],
)
def test_a_pair_that_was_not_recorded_says_so(prompt: str, model: str, hint: str | None) -> None:
    with pytest.raises(ProviderError) as caught:
        complete(Recorded(outcomes=Cube()), request(prompt, model))
    assert type(caught.value) is ModelNotFound
    assert caught.value.message == f"not recorded: model '{model}' on prompt '{prompt}'"
    assert (caught.value.hint, caught.value.retryable) == (hint, False)


def test_a_recorded_answer_streams_in_one_piece() -> None:
    reply, told = complete(Recorded(outcomes=Cube(), answers=BOOK), request("p1", "small", stream=True))
    assert told == [reply.text]


@pytest.mark.parametrize(("latency", "slept"), [(0.0, []), (0.5, [1.0])])
def test_waits_are_scaled_and_the_recorded_latency_is_not(latency: float, slept: list[float]) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    reply, _ = complete(Recorded(outcomes=Cube(), latency=latency, sleep=sleep), request("p1", "small"))
    assert (waits, reply.latency_s) == (slept, 2.0)
