"""A tool's result is sent right behind its call, in each protocol's own form, and neither is ever sent without the other."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.values import Message, Model, Prompt, Request, ToolCall
from routelab.providers import FLAVOURS, Anthropic, Gemini, OpenAI
from routelab.providers.gemini import SIGNATURE
from routelab.providers.pairing import arguments, paired, pairs

ANY = re.compile(".*", re.DOTALL)
NINE = re.compile("[A-Za-z0-9]{9}")


def call(id_: str, name: str = "f", wanted: str = "{}") -> ToolCall:
    return ToolCall(id=id_, name=name, arguments=wanted)


def wants(*calls: ToolCall, content: str = "") -> Message:
    return Message(role="assistant", content=content, calls=calls)


def gives(content: str, answers: str | None = None) -> Message:
    return Message(role="tool", content=content, answers=answers)


def user(content: str) -> Message:
    return Message(role="user", content=content)


WEATHER = (
    Message(role="system", content="be brief"),
    user("weather in Ulm and Bonn?"),
    wants(
        call("a", "weather", '{"city": "Ulm"}'),
        call("b", "weather", '{"city":  "Bonn"}'),
        content="I shall look it up.",
    ),
    gives("rain", "b"),
    gives('{"degrees": 17}', "a"),
    user("thanks"),
)


def request(messages: tuple[Message, ...], upstream: str = "model-1") -> Request:
    model = Model(name="m", provider="p", upstream=upstream)
    return Request(model=model, prompt=Prompt.of(messages), messages=messages)


def test_results_are_paired_by_id_out_of_order_and_by_their_place_without_ids() -> None:
    assert pairs(WEATHER) == {3: (2, 1), 4: (2, 0)}
    bare = [wants(call("a"), call("b")), gives("x"), gives("y"), gives("z"), user("?"), gives("w")]
    assert pairs(bare) == {1: (0, 0), 2: (0, 1)}
    late = [wants(call("a")), user("quick!"), gives("x", "a"), gives("again", "a")]
    assert pairs(late) == {2: (0, 0)}
    nameless = [wants(call(""), call("b")), gives("y", "b"), gives("x", "unknown")]
    assert pairs(nameless) == {1: (0, 1), 2: (0, 0)}


def test_an_id_that_is_used_again_belongs_to_the_later_call() -> None:
    said = [wants(call("0")), gives("x", "0"), user("?"), wants(call("0")), gives("y", "0")]
    assert pairs(said) == {1: (0, 0), 4: (3, 0)}
    first, second = (m.calls[0].id for m in paired(said, ANY) if m.calls)
    assert first == "0" != second
    assert [m.answers for m in paired(said, ANY) if m.role == "tool"] == [first, second]


def test_what_needs_no_change_is_sent_as_it_stands() -> None:
    said = (user("?"), wants(call("a"), call("b")), gives("x", "a"), gives("y", "b"), user("!"))
    assert paired(said, ANY) == said


def test_orphans_are_not_sent_as_what_they_were() -> None:
    said = (gives("lost", "z"), user("?"), wants(call("a"), content="One moment."), wants(call("b")), user("well?"))
    assert paired(said, ANY) == (
        gives("lost"),
        user("?"),
        Message(role="assistant", content="One moment."),
        user("well?"),
    )


CALLS = st.builds(
    ToolCall,
    id=st.sampled_from(["", "a", "b", "call_1", "x" * 50, "é"]),
    name=st.sampled_from(["f", "g"]),
    arguments=st.sampled_from(["", "{}", '{"x": 1}', "[1]", "{", "NaN", '{"x": NaN}']),
)
MESSAGES = st.lists(
    st.one_of(
        st.builds(Message, role=st.just("user"), content=st.sampled_from(["", "hi"])),
        st.builds(
            Message,
            role=st.just("assistant"),
            content=st.sampled_from(["", "  ", "so"]),
            calls=st.lists(CALLS, max_size=3).map(tuple),
        ),
        st.builds(
            Message,
            role=st.just("tool"),
            content=st.sampled_from(["", "7", '{"y": 2}']),
            answers=st.sampled_from([None, "", "a", "b", "call_1", "é"]),
        ),
    ),
    max_size=10,
).map(tuple)


@given(MESSAGES, st.sampled_from([ANY, NINE]))
def test_every_call_is_followed_by_its_result_and_every_result_follows_its_call(
    messages: tuple[Message, ...], ids: re.Pattern[str]
) -> None:
    sent = paired(messages, ids)
    seen: list[str] = []
    i = 0
    while i < len(sent):
        wanted = [c.id for c in sent[i].calls]
        results = sent[i + 1 : i + 1 + len(wanted)]
        assert [r.answers for r in results] == wanted
        assert all(ids.fullmatch(name) for name in wanted)
        seen += wanted
        i += 1 + len(wanted)
        assert i >= len(sent) or sent[i].answers is None
    assert len(seen) == len(set(seen))
    said = [m.content for m in messages if m.role != "assistant"]
    assert sorted(m.content for m in sent if m.role != "assistant") == sorted(said)
    assert paired(sent, ids) == sent


@given(MESSAGES)
def test_every_protocol_can_say_any_conversation(messages: tuple[Message, ...]) -> None:
    asked = request(messages)
    for provider in (OpenAI(), OpenAI(flavour=FLAVOURS["mistral"]), Anthropic(), Gemini()):
        body: Any = provider.body(asked)
        json.dumps(body, allow_nan=False)
    openai = OpenAI().body(asked)["messages"]
    for message in openai:
        for wanted in message.get("tool_calls", ()):
            assert isinstance(json.loads(wanted["function"]["arguments"]), dict)
    turns = Anthropic().body(asked)["messages"]
    for turn, after in itertools.pairwise([*turns, {"content": []}]):
        used = [b["id"] for b in turn["content"] if isinstance(b, dict) and b["type"] == "tool_use"]
        results = [b["tool_use_id"] for b in after["content"] if isinstance(b, dict) and b["type"] == "tool_result"]
        assert used == results
    contents = Gemini().body(asked)["contents"]
    for content, after in itertools.pairwise([*contents, {"parts": []}]):
        called = [p["functionCall"]["name"] for p in content["parts"] if "functionCall" in p]
        assert called == [p["functionResponse"]["name"] for p in after["parts"] if "functionResponse" in p]


def test_openai_is_told_calls_and_results_in_its_own_form() -> None:
    assert OpenAI().body(request(WEATHER))["messages"][2:] == [
        {
            "role": "assistant",
            "content": "I shall look it up.",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}},
                {"id": "b", "type": "function", "function": {"name": "weather", "arguments": '{"city":  "Bonn"}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": '{"degrees": 17}'},
        {"role": "tool", "tool_call_id": "b", "content": "rain"},
        {"role": "user", "content": "thanks"},
    ]


def test_mistral_gets_ids_of_nine_letters_and_digits() -> None:
    said = OpenAI(flavour=FLAVOURS["mistral"]).body(request(WEATHER))["messages"]
    ids = [c["id"] for c in said[2]["tool_calls"]]
    assert all(NINE.fullmatch(i) for i in ids)
    assert [m["tool_call_id"] for m in said[3:5]] == ids


def test_a_call_that_says_nothing_else_has_no_content_for_openai() -> None:
    said = OpenAI().body(request((wants(call("a", wanted="not json")), gives("7", "a"))))["messages"]
    assert said[0]["content"] is None
    assert said[0]["tool_calls"][0]["function"]["arguments"] == '{"arguments": "not json"}'


def test_anthropic_is_told_all_results_of_a_turn_in_one_message() -> None:
    body = Anthropic().body(request(WEATHER))
    assert body["messages"] == [
        {"role": "user", "content": "weather in Ulm and Bonn?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I shall look it up."},
                {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Ulm"}},
                {"type": "tool_use", "id": "b", "name": "weather", "input": {"city": "Bonn"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": '{"degrees": 17}'},
                {"type": "tool_result", "tool_use_id": "b", "content": "rain"},
            ],
        },
        {"role": "user", "content": "thanks"},
    ]
    assert body["tools"] == [{"name": "weather", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}


def test_tools_that_the_config_declares_stay_as_they_are() -> None:
    own = {"tools": [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]}
    body = Anthropic(extra_body=own).body(request(WEATHER))
    assert body["tools"] == own["tools"]
    assert "tool_choice" not in body
    assert "tools" not in Anthropic().body(request((user("hi"),)))


@pytest.mark.parametrize(
    ("upstream", "signed"), [("gemini-3-pro", True), ("gemini-2.5-flash", False), ("gemini-flash-latest", True)]
)
def test_gemini_is_told_calls_and_responses_by_the_functions_names(upstream: str, signed: bool) -> None:
    signature = {"thoughtSignature": SIGNATURE} if signed else {}
    assert Gemini().body(request(WEATHER, upstream))["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"text": "I shall look it up."},
                {"functionCall": {"name": "weather", "args": {"city": "Ulm"}}, **signature},
                {"functionCall": {"name": "weather", "args": {"city": "Bonn"}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "weather", "response": {"degrees": 17}}},
                {"functionResponse": {"name": "weather", "response": {"result": "rain"}}},
            ],
        },
        {"role": "user", "parts": [{"text": "thanks"}]},
    ]


@pytest.mark.parametrize(
    ("text", "given"),
    [("", {}), ("{}", {}), ('{"x": [1]}', {"x": [1]}), ("[1]", {"arguments": "[1]"}), ('{"x": NaN}', None)],
)
def test_arguments_are_an_object_whatever_a_model_wrote(text: str, given: dict[str, Any] | None) -> None:
    assert arguments(call("a", wanted=text)) == ({"arguments": text} if given is None else given)
