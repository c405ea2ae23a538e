"""The local server itself, asked with plain sockets and plain JSON."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from routelab.testing.server import FakeProviders, Raw, Said


def post(fake: FakeProviders, path: str, body: Any) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", fake.port, timeout=5)
    try:
        connection.request("POST", path, json.dumps(body))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_it_echoes_the_last_message_in_each_protocols_form(fake: FakeProviders) -> None:
    messages = {"model": "m", "messages": [{"role": "user", "content": "one two"}]}
    _, openai = post(fake, "/v1/chat/completions", messages)
    _, anthropic = post(fake, "/v1/messages", messages)
    _, gemini = post(fake, "/v1beta/models/m:generateContent", {"contents": [{"parts": [{"text": "one two"}]}]})
    assert json.loads(openai)["choices"][0]["message"]["content"] == "You said: one two"
    assert json.loads(openai)["usage"] == {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}
    assert json.loads(anthropic)["content"] == [{"type": "text", "text": "You said: one two"}]
    assert json.loads(gemini)["candidates"][0]["content"]["parts"] == [{"text": "You said: one two"}]
    assert [(seen.protocol, seen.model, seen.texts) for seen in fake.seen] == [
        ("openai", "m", ["one two"]),
        ("anthropic", "m", ["one two"]),
        ("gemini", "m", ["one two"]),
    ]


def test_a_script_is_followed_in_order_and_then_it_echoes_again(fake: FakeProviders) -> None:
    fake.script(503, Raw(status=418, body="teapot"), Said(text="scripted"))
    asked = {"model": "m", "messages": []}
    answers = [post(fake, "/v1/messages", asked) for _ in range(4)]
    assert [status for status, _ in answers] == [503, 418, 200, 200]
    assert answers[1][1] == b"teapot"
    assert [json.loads(body)["content"][0]["text"] for _, body in answers[2:]] == ["scripted", "You said: "]


def test_an_unknown_path_is_not_found_and_is_noted(fake: FakeProviders) -> None:
    assert post(fake, "/elsewhere", {})[0] == 404
    assert [(seen.protocol, seen.path) for seen in fake.seen] == [(None, "/elsewhere")]


def test_a_stream_ends_with_its_protocols_mark(fake: FakeProviders) -> None:
    asked = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    assert post(fake, "/v1/chat/completions", asked)[1].endswith(b"data: [DONE]\n\n")
    assert b"event: message_stop\n" in post(fake, "/v1/messages", asked)[1]
    _, gemini = post(fake, "/v1beta/models/m:streamGenerateContent?alt=sse", {"contents": []})
    assert b'"finishReason": "STOP"' in gemini


def test_a_body_is_sent_in_the_planned_pieces() -> None:
    assert Raw(body="abcdef", splits=(4, 2, 2, 0, 9)).pieces == [b"ab", b"cd", b"ef"]
    assert Raw(body="").pieces == []
    assert Raw(body={"a": "é"}).content == '{"a": "é"}'.encode()


def test_an_answer_of_ones_own_takes_the_place_of_the_echo() -> None:
    with FakeProviders(lambda seen: Said(text=seen.model.upper())) as fake:
        _, body = post(fake, "/v1/chat/completions", {"model": "abc", "messages": []})
    assert json.loads(body)["choices"][0]["message"]["content"] == "ABC"


@pytest.mark.parametrize("end", ["cut", "reset"])
def test_an_answer_may_break_off(fake: FakeProviders, end: Any) -> None:
    fake.script(Raw(body="half", end=end))
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        post(fake, "/v1/messages", {})
