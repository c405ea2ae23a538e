from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from routelab.core import errors as e
from routelab.embedding import Endpoint

KEY = "sk-very-secret-0123456789"
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def endpoint(answer: Answer, **fields: Any) -> Endpoint:
    waits: list[float] = fields.pop("waits", [])
    return Endpoint(
        **{"url": "https://embed.invalid/v1/", "model": "m", "dimensions": 2, **fields},
        transport=httpx.MockTransport(answer),
        sleep=waits.append,
    )


def rows(*vectors: Any, order: list[int] | None = None) -> httpx.Response:
    data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
    return httpx.Response(200, json={"data": [data[i] for i in order] if order else data})


def test_vectors_come_back_in_the_order_of_the_texts_and_with_length_one() -> None:
    vectors = endpoint(lambda request: rows([3, 4], [0, 2], order=[1, 0]))(["a", "b"])
    assert np.allclose(vectors, [[0.6, 0.8], [0, 1]])
    assert vectors.dtype == np.float32


def test_what_is_sent_is_what_openai_documents() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return rows(*[[1, 0]] * len(json.loads(request.content)["input"]))

    endpoint(answer, batch=2, shorten=True)(["a", "", "\ud800"])
    assert [str(r.url) for r in seen] == ["https://embed.invalid/v1/embeddings"] * 2
    assert [r.headers["authorization"] for r in seen] == [f"Bearer {KEY}"] * 2
    assert [json.loads(r.content) for r in seen] == [
        {"model": "m", "input": ["a", " "], "encoding_format": "float", "dimensions": 2},
        {"model": "m", "input": ["?"], "encoding_format": "float", "dimensions": 2},
    ]


def test_without_a_key_name_no_key_is_sent() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert "authorization" not in request.headers
        return rows([1, 0])

    assert endpoint(answer, key_env=None)(["a"]).shape == (1, 2)


def test_no_texts_need_neither_key_nor_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert endpoint(lambda request: httpx.Response(500))([]).shape == (0, 2)


@pytest.mark.parametrize("key", [None, "", "  ", "sk-\N{SNOWMAN}", "sk-a\nb"])
def test_a_key_that_is_missing_or_broken_is_named_and_not_shown(
    key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if key is None:
        monkeypatch.delenv("OPENAI_API_KEY")
    else:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(e.MissingKey, match="OPENAI_API_KEY") as trouble:
        endpoint(lambda request: rows([1, 0]))(["a"])
    assert "sk-" not in str(trouble.value)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, e.BadRequest),
        (307, e.BadRequest),
        (400, e.BadRequest),
        (401, e.AuthFailed),
        (403, e.AuthFailed),
        (404, e.ModelNotFound),
        (408, e.ServerFailed),
        (409, e.ServerFailed),
        (413, e.BadRequest),
        (422, e.BadRequest),
        (425, e.ServerFailed),
        (429, e.RateLimited),
        (500, e.ServerFailed),
        (503, e.ServerFailed),
        (529, e.ServerFailed),
    ],
)
def test_every_status_has_its_error(status: int, error: type[e.ProviderError]) -> None:
    calls: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(status)
        text = f"your key {KEY} is\nnot good"
        return httpx.Response(status, json={"error": {"message": text}}, headers={"location": "https://other.invalid/"})

    with pytest.raises(e.ProviderError) as trouble:
        endpoint(answer, retries=1)(["a"])
    assert type(trouble.value) is error
    assert trouble.value.status == status
    assert trouble.value.message == f"m at embed.invalid: {status}: your key ••• is not good"
    assert len(calls) == (2 if trouble.value.retryable else 1)


def test_a_text_that_is_too_long_for_the_model_says_so() -> None:
    said = {"error": {"message": "This model's maximum context length is 8192 tokens"}}
    with pytest.raises(e.ContextExceeded):
        endpoint(lambda request: httpx.Response(400, json=said))(["a"])


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (httpx.ConnectError("refused"), e.Unreachable),
        (httpx.ReadError("reset"), e.Unreachable),
        (httpx.RemoteProtocolError("cut"), e.Unreachable),
        (httpx.UnsupportedProtocol("odd"), e.Unreachable),
        (httpx.DecodingError("gzip"), e.Unreachable),
        (httpx.TooManyRedirects("loop"), e.Unreachable),
        (httpx.ConnectTimeout("slow"), e.TimedOut),
        (httpx.ReadTimeout("slow"), e.TimedOut),
        (httpx.PoolTimeout("slow"), e.TimedOut),
    ],
)
def test_every_failure_of_the_network_has_its_error(raised: Exception, error: type[e.ProviderError]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise raised

    with pytest.raises(e.ProviderError) as trouble:
        endpoint(answer)(["a"])
    assert type(trouble.value) is error


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, text=""),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, content=b"\xff\xfe"),
        httpx.Response(200, text="[" * 100_000),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"data": None}),
        httpx.Response(200, json={"data": [None]}),
        httpx.Response(200, json={"data": [{"index": 0}]}),
        httpx.Response(200, json={"data": [{"index": 1, "embedding": [1, 0]}]}),
        httpx.Response(200, json={"data": [{"index": "0", "embedding": [1, 0]}]}),
        httpx.Response(200, json={"data": []}),
        rows("AACAPw=="),
        rows([1, 0, 0]),
        rows([]),
        rows([0, 0]),
        rows([None, 1]),
        rows(["x", 1]),
        rows([[1], [0]]),
        httpx.Response(200, text='{"data": [{"index": 0, "embedding": [NaN, 1]}]}'),
        httpx.Response(200, json={"data": [{"index": 0, "embedding": [1, 0]}] * 2}),
    ],
)
def test_an_answer_without_usable_vectors_is_malformed(response: httpx.Response) -> None:
    with pytest.raises(e.MalformedAnswer):
        endpoint(lambda request: response, retries=0)(["a"])


def test_a_wrong_number_of_dimensions_says_the_right_one() -> None:
    with pytest.raises(e.MalformedAnswer) as trouble:
        endpoint(lambda request: rows([1, 0, 0]), retries=0)(["a"])
    assert trouble.value.hint == "set dimensions: 3"


def test_retries_wait_as_long_as_the_server_says_and_then_twice_as_long_each() -> None:
    waits: list[float] = []
    script = [
        httpx.Response(429, headers={"retry-after": "7"}),
        httpx.Response(503),
        httpx.Response(429, headers={"retry-after": "999"}),
    ]
    script.append(rows([1, 0]))
    vectors = endpoint(lambda request: script.pop(0), retries=3, waits=waits)(["a"])
    assert vectors.tolist() == [[1, 0]]
    assert waits == [7.0, 2.0, 30.0]


@pytest.mark.parametrize("value", ["soon", "nan", "-1", "Wed, 21 Oct 2015 07:28:00 GMT", ""])
def test_a_retry_after_that_makes_no_sense_does_no_harm(value: str) -> None:
    waits: list[float] = []
    script = [httpx.Response(429, headers={"retry-after": value}), rows([1, 0])]
    endpoint(lambda request: script.pop(0), waits=waits)(["a"])
    assert waits[0] in (0.0, 1.0)


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "ftp://x"},
        {"url": "embed.invalid"},
        {"url": "https://user:pass@embed.invalid"},
        {"url": "https://embed.invalid/v1?key=secret"},
        {"model": ""},
        {"dimensions": 0},
        {"batch": 0},
        {"batch": True},
        {"retries": -1},
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
    ],
)
def test_a_configuration_that_cannot_work_is_refused_without_its_secrets(fields: dict[str, Any]) -> None:
    with pytest.raises(e.ConfigError) as trouble:
        Endpoint(**{"url": "https://embed.invalid/v1", "model": "m", "dimensions": 2, **fields})
    assert "pass" not in trouble.value.message.replace("password", "")
    assert "secret" not in trouble.value.message


def test_the_id_and_the_repr_hold_no_key() -> None:
    made = endpoint(lambda request: rows([1, 0]))
    made(["a"])
    assert made.id == "https://embed.invalid/v1#m@2"
    assert KEY not in repr(made)
