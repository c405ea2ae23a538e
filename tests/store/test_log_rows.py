"""A run becomes rows, and rows become the run again."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.core import events
from routelab.core.errors import LogError
from routelab.core.events import Answered, Event, Failed, Recalled, Scored, Unanswered, kind
from routelab.core.run import Run
from routelab.core.values import Message, Prompt, Tokens
from routelab.store import Log, revival, rows
from routelab.store.redaction import redact
from routelab.store.schema import TABLES, VIEWS
from routelab.store.text import storable
from routelab.testing.logs import CALLS, STARTED_AT, a_hit, a_run

TEXTS = st.text(st.characters(), max_size=12)  # any code point, lone surrogates and NUL too
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.none() | st.integers(min_value=0, max_value=10**9)
ROLES = st.sampled_from(["system", "user", "assistant", "tool"])
SOURCES = st.none() | st.sampled_from(["usage", "tiktoken", "estimate", "recorded"])
TOKENS = st.builds(Tokens, input=COUNTS, output=COUNTS, cached=COUNTS, reasoning=COUNTS, source=SOURCES)
MESSAGES = st.builds(Message, role=ROLES, content=TEXTS)
BY_HINT: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    float: NUMBERS,
    bool: st.booleans(),
    int: st.integers(min_value=1, max_value=99),
    Tokens: TOKENS,
    Message: MESSAGES,
    events.Candidate: st.builds(
        events.Candidate, model=TEXTS, quality=st.none() | NUMBERS, cost_usd=st.none() | NUMBERS
    ),
}
KINDS = typing.get_args(Event)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return the values that a field with this type hint may have."""
    if hint in BY_HINT:
        return BY_HINT[hint]
    inside = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return st.lists(values_of(inside[0]), max_size=3).map(tuple)
    if typing.get_origin(hint) is typing.Literal:
        return st.sampled_from(inside)
    return st.one_of(*(st.none() if option is type(None) else values_of(option) for option in inside))


def any_of(cls: type[Any]) -> st.SearchStrategy[Event]:
    """Return events of a class, every field drawn."""
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{f.name: values_of(hints[f.name]) for f in dataclasses.fields(cls)})


def as_stored(value: Any) -> Any:
    """Return a value with what UTF-8 cannot hold replaced, and nothing else."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, tuple):
        return tuple(as_stored(v) for v in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(
            value, **{f.name: as_stored(getattr(value, f.name)) for f in dataclasses.fields(value)}
        )
    return value


@pytest.mark.parametrize("cls", KINDS, ids=lambda cls: cls.__name__.lower())
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_every_event_comes_back_as_it_went_in(cls: type[Any], data: st.DataObject) -> None:
    event = data.draw(any_of(cls))
    run = Run(id="r", prompt=Prompt.of("?"), started_at=STARTED_AT, events=(event,))
    [(run_id, seq, name, at_s, payload, began)] = rows.of_run(run).rows["events"]
    assert (run_id, seq, name, began) == ("r", 0, kind(event), STARTED_AT)
    assert revival.to_event(name, at_s, payload) == as_stored(event)


@given(
    st.lists(st.one_of(*(any_of(cls) for cls in KINDS)), max_size=8), TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=2)
)
@settings(max_examples=40, deadline=None)
def test_any_run_goes_through_duckdb_and_back(happened: list[Event], name: str, tags: dict[str, str]) -> None:
    run = Run(
        id="r",
        prompt=Prompt.of(name),
        started_at=STARTED_AT,
        arm=name,
        experiment=name,
        tags=tags,
        seed=2**64,
        events=tuple(happened),
    )
    with Log(":memory:") as log:
        log.record(run)
        found = log.run("r")
        for view in VIEWS:
            log.query(f"select * from {view}")
    assert found is not None
    expected = dataclasses.replace(as_stored(run), prompt=as_stored(run.prompt))
    assert found == dataclasses.replace(expected, tags={storable(k): storable(v) for k, v in tags.items()})


def test_an_event_that_only_a_later_version_knows_is_named() -> None:
    with pytest.raises(LogError, match="unknown kind of event: 'translated'"):
        revival.to_event("translated", 0.0, "{}")


def test_a_row_has_a_value_for_each_column_and_no_table_is_left_out() -> None:
    unit = rows.of_run(a_run())
    assert {name: {len(row) for row in found} for name, found in unit.rows.items()} == {
        name: {len(TABLES[name].columns)} for name in ("runs", "events", "calls", "scores", "answers")
    }


def test_calls_begins_with_the_promised_columns() -> None:
    assert tuple(TABLES["calls"].columns)[: len(CALLS)] == CALLS


def test_an_unknown_column_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="meta has no column colour"):
        rows._row("meta", colour="red")


def test_an_unknown_cost_does_not_come_back_as_zero() -> None:
    run = Run(
        id="r",
        prompt=Prompt.of("?"),
        started_at=STARTED_AT,
        events=(Scored(scorer="judge", quality=None, model="m", cost_usd=None, latency_s=None),),
    )
    [(_, _, name, at_s, payload, _)] = rows.of_run(run).rows["events"]
    assert revival.to_event(name, at_s, payload) == run.events[0]


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_stored_as_unknown(odd: float) -> None:
    run = Run(
        id="r",
        prompt=Prompt.of("?"),
        started_at=STARTED_AT,
        events=(Answered(model="m", served_model="m", provider="p", text="", cost_usd=odd, latency_s=odd),),
    )
    with Log(":memory:") as log:
        log.record(run)
        assert log.query("select cost_usd, latency_s, started_at from calls") == [(None, None, STARTED_AT)]
        assert log.query("select json_extract(payload, '$.cost_usd')::varchar from events") == [("null",)]


def test_a_count_that_no_bigint_holds_is_unknown() -> None:
    tokens = Tokens(input=2**63, output=2**63 - 1, cached=-(2**70))
    run = Run(
        id="r",
        prompt=Prompt.of("?"),
        started_at=STARTED_AT,
        events=(Answered(model="m", served_model="m", provider="p", text="", tokens=tokens),),
    )
    with Log(":memory:") as log:
        log.record(run)
        assert log.query("select input_tokens, output_tokens, cached_tokens from calls") == [(None, 2**63 - 1, None)]


def test_a_time_with_a_zone_is_stored_in_utc() -> None:
    tokyo = datetime(2026, 3, 4, 9, 0, tzinfo=timezone(timedelta(hours=9)))
    assert rows.utc(tokyo) == rows.utc(tokyo.astimezone(UTC)) == datetime(2026, 3, 4)


def test_a_call_starts_when_it_was_sent_not_when_it_was_answered() -> None:
    answer = Answered(model="m", served_model="m", provider="p", text="", latency_s=2.0, at_s=5.0)
    run = Run(id="r", prompt=Prompt.of("?"), started_at=STARTED_AT, events=(answer,))
    at = list(TABLES["calls"].columns).index("started_at")
    assert rows.of_run(run).rows["calls"][0][at] == STARTED_AT + timedelta(seconds=3)


def test_a_broken_stream_costs_what_is_not_known_and_a_refused_connection_nothing() -> None:
    broken = Unanswered(model="m", provider="p", error="Unreachable", message="reset", retry=False, text="half")
    refused = Unanswered(model="m", provider="p", error="Unreachable", message="refused", retry=True)
    run = Run(id="r", prompt=Prompt.of("?"), started_at=STARTED_AT, events=(refused, broken))
    at = list(TABLES["calls"].columns).index("cost_usd")
    assert [row[at] for row in rows.of_run(run).rows["calls"]] == [0.0, None]
    assert run.cost_usd is None


def test_keys_do_not_get_into_the_log_by_way_of_error_messages() -> None:
    key = "sk-proj-abcdefghijklmnop"
    run = Run(
        id="r",
        prompt=Prompt.of("?"),
        started_at=STARTED_AT,
        events=(
            Unanswered(model="m", provider="p", error="AuthFailed", message=f"401: {key} is wrong", retry=False),
            Scored(scorer="judge", quality=None, model="m", reason=f"judge: Bearer {key}"),
            events.Blocked(guard="judge", reason=f"x-api-key: {key}"),
            Failed(stage="call", error="AuthFailed", message=f"https://u:{key}@host/?key={key}"),
        ),
    )
    assert key not in repr(rows.of_run(run))


PRIVATE = "the patient is called Ada"


def private_run() -> Run:
    """Return a run in which every text of prompt and answer is private."""
    messages = (Message(role="user", content=PRIVATE),)
    prompt = Prompt(
        id="p", messages=messages, reference=PRIVATE, wrong=(PRIVATE,), scorer={"kind": "exact", "answer": PRIVATE}
    )
    return Run(
        id="r",
        prompt=prompt,
        started_at=STARTED_AT,
        events=(
            events.Compacted(policy="window", messages=messages),
            events.Retrieved(corpus="c", chunks=(PRIVATE,), messages=messages),
            Recalled(cache="exact", key="k", text=PRIVATE, model="m"),
            Unanswered(
                model="m", provider="p", error="BadRequest", message=f"refused: {PRIVATE}", retry=False, text=PRIVATE
            ),
            Answered(model="m", served_model="m", provider="p", text=PRIVATE),
            Scored(scorer="exact", quality=0.0, model="m", reason=f"expected {PRIVATE}"),
            events.Blocked(guard="pii", reason=f"found {PRIVATE}"),
            Failed(stage="call", error="BadRequest", message=f"{PRIVATE}?"),
        ),
    )


@pytest.mark.parametrize("content", ["hash", "none"])
def test_a_content_policy_keeps_every_text_of_prompts_and_answers_out(content: Any) -> None:
    run = private_run()
    stored = repr(rows.of_run(run, content=content)) + repr(
        rows.of_prompt(run.prompt, added_at=STARTED_AT, content=content)
    )
    assert PRIVATE not in stored
    assert "Ada" not in stored


def test_a_hash_tells_equal_texts_and_their_length() -> None:
    run = private_run()
    with Log(":memory:", content="hash") as log:
        log.record(run)
        [(text, digest, chars)] = log.query("select text, sha256, chars from answers")
        [(payload,)] = log.query("select payload from events where kind = 'answered'")
        assert log.prompts() == []
        found = log.run("r")
    assert (text, chars) == (None, len(PRIVATE))
    assert json.loads(payload)["text"] == {"sha256": digest, "chars": len(PRIVATE)}
    assert found is not None
    assert [kind(e) for e in found.events] == [kind(e) for e in run.events]
    assert found.text is None or found.text == ""


@given(TEXTS)
def test_what_is_storable_is_utf_8_and_the_same_the_second_time(text: str) -> None:
    once = storable(text)
    assert once.encode().decode() == once == storable(once)
    assert storable(redact(once)) == redact(once)


def test_a_cache_hit_has_no_known_simulation_of_its_own() -> None:
    at = list(TABLES["runs"].columns).index("simulated")
    assert rows.of_run(a_hit()).rows["runs"][0][at] is None
    assert rows.of_run(a_run()).rows["runs"][0][at] is False
