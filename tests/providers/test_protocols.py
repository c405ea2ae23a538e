"""The three protocols over real sockets, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from asking import KEY, Ask

from routelab.core.errors import ContextExceeded, MalformedAnswer, ProviderError, RateLimited, ServerFailed, Unreachable
from routelab.core.values import Message, Model, Reply, Tokens
from routelab.providers import Transport
from routelab.testing.server import FakeProviders, Protocol, Raw, Said, Seen, transcript

PROTOCOLS: tuple[Protocol, ...] = ("openai", "anthropic", "gemini")
TEXT = 'naïve \U0001f600 "quoted"\n\nline\u2028separator\u2029and\u0085next'
SSE = {"content-type": "text/event-stream"}

protocols = pytest.mark.parametrize("protocol", PROTOCOLS)
streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def tokens_of(protocol: Protocol) -> Tokens:
    """Return counts that the protocol can express."""
    reasoning = None if protocol == "anthropic" else 3
    return Tokens(input=11, output=7, cached=4, reasoning=reasoning, source="usage")


@protocols
@streamed
def test_the_reply_has_text_served_model_finish_and_counts(
    protocol: Protocol, stream: bool, ask: Ask, fake: FakeProviders
) -> None:
    fake.script(Said(text=TEXT, tokens=tokens_of(protocol), model="model-1-2026"))
    reply = ask(protocol, ask.request(stream=stream))
    assert reply == Reply(text=TEXT, served_model="model-1-2026", finish="stop", tokens=tokens_of(protocol))
    assert "".join(ask.told) == (TEXT if stream else "")
    assert len(ask.told) == (7 if stream else 0)


@protocols
@pytest.mark.parametrize("finish", ["stop", "length", "filter", "refusal", "tool", "other"])
def test_whole_and_streamed_give_the_same_reply(protocol: Protocol, finish: Any, ask: Ask, fake: FakeProviders) -> None:
    said = Said(text="a b c", finish=finish, tokens=tokens_of(protocol))
    fake.script(said, said)
    whole, streamed = ask(protocol), ask(protocol, ask.request(stream=True))
    assert whole == streamed
    unspoken = {"anthropic": {"filter"}, "gemini": {"refusal"}, "openai": set[str]()}
    assert whole.finish == ("other" if finish in unspoken[protocol] else finish)


@protocols
def test_every_split_of_a_transcript_gives_the_same_reply(protocol: Protocol, ask: Ask, fake: FakeProviders) -> None:
    body = transcript(Said(text="é \U0001f600 z", tokens=tokens_of(protocol)), seen_of(protocol))
    expected = Reply(text="é \U0001f600 z", served_model="model-1", tokens=tokens_of(protocol))
    for at in range(1, len(body), 7):
        fake.script(Raw(headers=SSE, body=body, splits=(at, at + 1, at + 3)))
        assert ask(protocol, ask.request(stream=True)) == expected


def seen_of(protocol: Protocol) -> Seen:
    """Return the request that a streaming provider would have made."""
    path = "/v1beta/models/model-1:streamGenerateContent?alt=sse" if protocol == "gemini" else "/v1"
    body = {"model": "model-1", "stream": True, "stream_options": {"include_usage": True}}
    return Seen(protocol=protocol, path=path, headers={}, body=body)


@protocols
@streamed
def test_times_are_read_from_the_given_clock(protocol: Protocol, stream: bool, ask: Ask) -> None:
    ticks = iter(range(1000))
    transport = Transport(getenv={"KEY": KEY}.get, monotonic=lambda: float(next(ticks)))
    reply = ask.timed(protocol, ask.request("x y", stream=stream), transport=transport)
    assert reply.latency_s is not None
    assert reply.latency_s >= 1
    assert (reply.ttft_s is None) == (not stream)
    assert reply.ttft_s is None or 1 <= reply.ttft_s < reply.latency_s


def test_openai_is_asked_with_its_own_words(
    ask: Ask, fake: FakeProviders, chat: Callable[..., tuple[Message, ...]]
) -> None:
    messages = chat(("system", "be brief"), ("user", "hi"), ("assistant", "yes?"), ("tool", "42"))
    ask(
        "openai",
        ask.request(messages=messages, temperature=0.0, max_output_tokens=5, stream=True),
        headers={"X-Team": "a"},
    )
    (seen,) = fake.seen
    assert seen.path == "/v1/chat/completions"
    assert seen.body == {
        "model": "model-1",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "yes?"},
            {"role": "user", "content": "42"},
        ],
        "temperature": 0.0,
        "max_completion_tokens": 5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert (seen.headers["x-team"], seen.headers["accept-encoding"]) == ("a", "identity")


def test_anthropic_is_asked_with_its_own_words(
    ask: Ask, fake: FakeProviders, chat: Callable[..., tuple[Message, ...]]
) -> None:
    messages = chat(
        ("system", "be brief"), ("user", "hi"), ("assistant", "yes?"), ("system", "and kind"), ("user", "2")
    )
    ask("anthropic", ask.request(messages=messages, temperature=1.0), extra_body={"top_k": 3})
    (seen,) = fake.seen
    assert seen.path == "/v1/messages"
    assert seen.body == {
        "model": "model-1",
        "max_tokens": 8192,
        "system": "be brief\n\nand kind",
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "yes?"},
            {"role": "user", "content": "2"},
        ],
        "temperature": 1.0,
        "top_k": 3,
    }
    assert (seen.headers["x-api-key"], seen.headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert "authorization" not in seen.headers


def test_gemini_is_asked_with_its_own_words(
    ask: Ask, fake: FakeProviders, chat: Callable[..., tuple[Message, ...]]
) -> None:
    messages = chat(("system", "be brief"), ("user", "hi"), ("assistant", "yes?"), ("user", "2"))
    extra = {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}
    ask(
        "gemini",
        ask.request(messages=messages, temperature=0.5, max_output_tokens=9, stream=True, seed=7),
        extra_body=extra,
    )
    (seen,) = fake.seen
    assert seen.path == "/v1beta/models/model-1:streamGenerateContent?alt=sse"
    assert seen.body == {
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": [{"text": "yes?"}]},
            {"role": "user", "parts": [{"text": "2"}]},
        ],
        "generationConfig": {
            "temperature": 0.5,
            "maxOutputTokens": 9,
            "seed": 7,
            "thinkingConfig": {"thinkingBudget": 0},
        },
    }
    assert seen.headers["x-goog-api-key"] == KEY
    assert KEY not in seen.path


@pytest.mark.parametrize(
    ("upstream", "path"),
    [
        ("models/gemini-x", "/v1beta/models/gemini-x:generateContent"),
        ("../../evil?x=", "/v1beta/models/..%2F..%2Fevil%3Fx%3D:generateContent"),
    ],
)
def test_a_gemini_model_name_stays_in_its_place_in_the_url(
    upstream: str, path: str, ask: Ask, fake: FakeProviders
) -> None:
    ask("gemini", ask.request(model=Model(name="m", provider="g", upstream=upstream)))
    assert fake.seen[0].path == path


@pytest.mark.parametrize(
    ("kind", "field", "extra"),
    [
        ("openai", "max_completion_tokens", {"stream_options": {"include_usage": True}}),
        ("deepseek", "max_tokens", {"stream_options": {"include_usage": True}}),
        ("moonshot", "max_tokens", {"stream_options": {"include_usage": True}}),
        ("openrouter", "max_tokens", {"stream_options": {"include_usage": True}, "usage": {"include": True}}),
        ("ollama", "max_tokens", {"stream_options": {"include_usage": True}, "seed": 5}),
        ("vllm", "max_tokens", {"stream_options": {"include_usage": True}, "seed": 5}),
        ("mistral", "max_tokens", {"random_seed": 5}),
    ],
)
def test_each_flavour_of_chat_completions_gets_the_fields_it_knows(
    kind: str, field: str, extra: dict[str, Any], ask: Ask, fake: FakeProviders
) -> None:
    ask("openai", ask.request(max_output_tokens=3, stream=True, seed=5), kind=kind)
    messages = [{"role": "user", "content": "hello"}]
    assert fake.seen[0].body == {"model": "model-1", "messages": messages, field: 3, "stream": True, **extra}


def chunk(**delta: Any) -> dict[str, Any]:
    """Return an OpenAI stream's chunk."""
    return {"model": "n", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def sse(*events: Any, done: bool = True) -> Raw:
    """Return a stream of these events."""
    lines = [f"data: {e if isinstance(e, str) else json.dumps(e)}\n\n" for e in events]
    return Raw(headers=SSE, body="".join([*lines, *(["data: [DONE]\n\n"] if done else [])]))


STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    ("usage", "tokens", "cost_usd"),
    [
        (
            {"prompt_tokens": 9, "completion_tokens": 4, "prompt_cache_hit_tokens": 2, "prompt_cache_miss_tokens": 7},
            Tokens(input=9, output=4, cached=2, source="usage"),
            None,
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 4, "cached_tokens": 5},
            Tokens(input=9, output=4, cached=5, source="usage"),
            None,
        ),
        ({"prompt_tokens": 9, "completion_tokens": 4, "cost": 0.25}, Tokens(input=9, output=4, source="usage"), 0.25),
        (
            {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.5, "is_byok": True, "cost_details": {}},
            Tokens(input=1, output=1, source="usage"),
            None,
        ),
        (
            {"cost": 0.5, "is_byok": True, "cost_details": {"upstream_inference_cost": 1.0}},
            Tokens(),
            1.5,
        ),
        ({"prompt_tokens": True, "completion_tokens": -1, "cost": -1}, Tokens(), None),
        ({"prompt_tokens": 1e400, "completion_tokens": 2.5, "cost": "free"}, Tokens(), None),
        ({"prompt_tokens": 3, "completion_tokens": 0}, Tokens(input=3, output=0, source="usage"), None),
        (
            {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}},
            Tokens(input=3, output=2, source="usage"),
            None,
        ),
        (None, Tokens(), None),
        ([], Tokens(), None),
    ],
)
def test_counts_of_every_service_are_read_and_impossible_ones_are_not_believed(
    usage: Any, tokens: Tokens, cost_usd: float | None, ask: Ask, fake: FakeProviders
) -> None:
    body = {"model": "n", "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}
    # Python writes 1e400 as Infinity, which is not JSON; a server would write the digits.
    text = json.dumps(body).replace("Infinity", "1e400")
    fake.script(
        Raw(body=text), sse(chunk(content="x"), STOP, json.dumps({"usage": usage}).replace("Infinity", "1e400"))
    )
    expected = Reply(text="x", served_model="n", tokens=tokens, cost_usd=cost_usd)
    assert [ask("openai"), ask("openai", ask.request(stream=True))] == [expected, expected]


def test_moonshot_counts_in_the_last_choice(ask: Ask, fake: FakeProviders) -> None:
    usage = {"prompt_tokens": 2, "completion_tokens": 1}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}]}
    fake.script(sse(chunk(content="x"), last))
    assert ask("openai", ask.request(stream=True)).tokens == Tokens(input=2, output=1, source="usage")


def test_reasoning_and_other_choices_are_not_text(ask: Ask, fake: FakeProviders) -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "no"}}]}
    fake.script(sse(chunk(reasoning_content="hm"), chunk(reasoning="hm"), other, chunk(content="yes"), STOP))
    assert ask("openai", ask.request(stream=True)).text == "yes"


def test_anthropic_cumulative_counts_are_not_added_up(ask: Ask, fake: FakeProviders) -> None:
    def event(kind: str, **more: Any) -> dict[str, Any]:
        return {"type": kind, **more}

    begun = {"input_tokens": 5, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2, "output_tokens": 1}
    fake.script(
        sse(
            event("message_start", message={"model": "c", "content": [], "usage": begun}),
            event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
            event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm"}),
            event("content_block_delta", index=1, delta={"type": "text_delta", "text": "x"}),
            event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 4}),
            event("not_invented_yet", error_rate=1),
            event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9, "input_tokens": None}),
            event("message_stop"),
            event("content_block_delta", index=1, delta={"type": "text_delta", "text": "after the end"}),
            done=False,
        )
    )
    expected = Tokens(input=10, output=9, cached=3, source="usage", written=2)
    assert ask("anthropic", ask.request(stream=True)) == Reply(text="x", served_model="c", tokens=expected)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (
            {"promptTokenCount": 4, "candidatesTokenCount": 2, "thoughtsTokenCount": 5, "totalTokenCount": 11},
            Tokens(input=4, output=7, reasoning=5, source="usage"),
        ),
        ({"promptTokenCount": 4, "totalTokenCount": 4}, Tokens(input=4, output=0, source="usage")),
        (
            {"promptTokenCount": 4, "toolUsePromptTokenCount": 6, "candidatesTokenCount": 1},
            Tokens(input=10, output=1, source="usage"),
        ),
        ({}, Tokens()),
    ],
)
def test_gemini_counts_thoughts_as_output(usage: Any, tokens: Tokens, ask: Ask, fake: FakeProviders) -> None:
    parts = [{"text": "hm", "thought": True}, {"text": "x"}]
    body = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}], "usageMetadata": usage}
    fake.script(Raw(body=body), sse(body, done=False))
    expected = Reply(text="x", served_model="model-1", tokens=tokens)
    assert [ask("gemini"), ask("gemini", ask.request(stream=True))] == [expected, expected]


def test_a_prompt_that_gemini_blocks_is_a_filtered_answer(ask: Ask, fake: FakeProviders) -> None:
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}}
    fake.script(Raw(body=body), sse(body, done=False))
    counts = Tokens(input=4, output=0, source="usage")
    expected = Reply(text="", served_model="model-1", finish="filter", tokens=counts)
    assert [ask("gemini"), ask("gemini", ask.request(stream=True))] == [expected, expected]


def test_an_answer_cut_by_its_length_may_be_empty(ask: Ask, fake: FakeProviders) -> None:
    whole = {"choices": [{"message": {"content": None}, "finish_reason": "length"}]}
    last = {"choices": [{"delta": {}, "finish_reason": "length"}]}
    fake.script(Raw(body=whole), sse(last))
    expected = Reply(text="", served_model="model-1", finish="length")
    assert [ask("openai"), ask("openai", ask.request(stream=True))] == [expected, expected]


def test_half_a_character_waits_for_its_other_half(ask: Ask, fake: FakeProviders) -> None:
    fake.script(sse(chunk(content="a\ud83d"), chunk(content="\ude00b\ud83d"), STOP))
    assert ask("openai", ask.request(stream=True)).text == "a\U0001f600b\ufffd"
    assert ask.told == ["a", "\U0001f600b", "\ufffd"]


NOT_ANSWERS = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"<html>oops</html>",
    b'{"choices": []}',
    b'{"cho',
    b"\xff\xfe",
    b'{"x": NaN}',
]
NOT_ANSWERS += [
    b'{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}',
    b'{"choices": [3]}',
    b'"text"',
]
NOT_ANSWERS += [b'{"content": null, "stop_reason": "end_turn"}', b'{"candidates": [{"finishReason": "STOP"}]}']
NOT_ANSWERS += [b'{"candidates": {"0": 1}}', b"[" * 100_000, b'{"choices": {}, "content": 1, "candidates": null}']


@protocols
@streamed
@pytest.mark.parametrize("body", NOT_ANSWERS, ids=lambda body: repr(body[:30]))
def test_a_200_that_is_not_an_answer_is_malformed(
    protocol: Protocol, stream: bool, body: bytes, ask: Ask, fake: FakeProviders
) -> None:
    data = b"data: " + body + b"\n\n"
    fake.script(Raw(headers=SSE, body=data) if stream else Raw(body=body))
    with pytest.raises(MalformedAnswer) as caught:
        ask(protocol, ask.request(stream=stream))
    assert (caught.value.status, caught.value.retryable, ask.told) == (200, True, [])
    assert len(caught.value.message) < 2300


@protocols
def test_a_stream_cut_anywhere_is_never_taken_for_whole(protocol: Protocol, ask: Ask, fake: FakeProviders) -> None:
    body = transcript(Said(text="one two three"), seen_of(protocol))
    end = {"openai": b"data: [DONE]\n\n", "anthropic": b"event: message_stop", "gemini": b'"finishReason"'}[protocol]
    least = body.index(end)
    for at in range(0, least, 23):
        for how in (Raw(headers=SSE, body=body[:at]), Raw(headers=SSE, body=body[:at], end="cut")):
            fake.script(how)
            with pytest.raises((MalformedAnswer, Unreachable)):
                ask(protocol, ask.request(stream=True))
            assert "one two three".startswith("".join(ask.told))


@pytest.mark.parametrize(
    ("protocol", "event", "error", "status"),
    [
        ("openai", {"error": {"message": "boom", "type": "server_error"}}, ServerFailed, 500),
        ("openai", {"error": {"message": "boom", "code": 429}}, RateLimited, 429),
        ("openai", {"error": "boom"}, ServerFailed, 500),
        (
            "openai",
            {"choices": [{"index": 0, "delta": {}, "error": {"code": 502, "message": "boom"}}]},
            ServerFailed,
            502,
        ),
        ("openai", {"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}, ServerFailed, 502),
        (
            "openai",
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "insufficient_system_resource"}]},
            ServerFailed,
            503,
        ),
        ("anthropic", {"type": "error", "error": {"type": "overloaded_error", "message": "boom"}}, ServerFailed, 529),
        (
            "anthropic",
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8"},
            },
            ContextExceeded,
            400,
        ),
        ("gemini", {"error": {"code": 503, "message": "boom", "status": "UNAVAILABLE"}}, ServerFailed, 503),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 3])
def test_an_error_inside_a_stream_is_that_error_and_what_was_said_stays_said(
    protocol: Protocol, event: Any, error: type[ProviderError], status: int, before: int, ask: Ask, fake: FakeProviders
) -> None:
    said: dict[Protocol, Any] = {
        "openai": chunk(content="x"),
        "anthropic": {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
        "gemini": {"candidates": [{"content": {"parts": [{"text": "x"}]}}]},
    }
    fake.script(sse(*[said[protocol]] * before, event, said[protocol]))
    with pytest.raises(error) as caught:
        ask(protocol, ask.request(stream=True))
    assert (caught.value.status, ask.told) == (status, ["x"] * before)


@protocols
@streamed
def test_an_error_object_in_a_200_is_that_error(
    protocol: Protocol, stream: bool, ask: Ask, fake: FakeProviders
) -> None:
    body = {"error": {"code": 429, "type": "rate_limit_error", "message": "slow down"}}
    fake.script(sse({"type": "error", **body}, done=False) if stream else Raw(body=body))
    with pytest.raises(RateLimited, match="slow down"):
        ask(protocol, ask.request(stream=stream))


def test_comments_pings_and_events_of_others_are_ignored(ask: Ask, fake: FakeProviders) -> None:
    body = ": OPENROUTER PROCESSING\n\nevent: hermes.tool.progress\ndata: not json\n\n"
    body += f"event: hermes.tool.progress\ndata: {{}}\n\n{sse(chunk(content='x'), STOP).content.decode()}"
    fake.script(Raw(headers=SSE, body=body))
    assert ask("openai", ask.request(stream=True)) == Reply(text="x", served_model="n")


def test_a_lone_surrogate_in_a_prompt_is_sent_as_a_replacement(ask: Ask, fake: FakeProviders) -> None:
    assert ask("openai", ask.request("a\ud83db")).text == "You said: a\ufffdb"
