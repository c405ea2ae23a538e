"""Templates are numbered by content, calls name the one they were made with, and summaries are part of the spend."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.core.errors import LogBusy, LogError
from routelab.core.events import Answered, Compacted, Event, Recalled, Unanswered
from routelab.core.run import Run
from routelab.core.values import Message, Prompt, Tokens
from routelab.store import KeptSummary, KeptTemplate, Log
from routelab.store.templates import mark
from routelab.testing.logs import STARTED_AT, a_run

ASK = (Message(role="user", content="What is 2 + 2?"),)
START = 'con = __import__("duckdb").connect(path); say("held"); sys.stdin.readline()'


@pytest.fixture(params=["memory", "disk"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    """Give an empty log, in memory and on disk."""
    with Log(":memory:" if request.param == "memory" else tmp_path / "log.duckdb") as log:
        yield log


def played(*events: Event, run_id: str = "r") -> Run:
    """Return a run with these events."""
    return Run(id=run_id, prompt=Prompt.of(ASK, task="math"), started_at=STARTED_AT, events=events)


def answered(**more: object) -> Answered:
    """Return an answer of a model, with other fields where they are given."""
    facts = {"tokens": Tokens(input=10, output=4, cached=6, reasoning=1), "cost_usd": 0.5, **more}
    return Answered(model="m", served_model="m", provider="p", text="4", **facts)  # type: ignore[arg-type]


def test_a_content_has_one_version_and_a_new_one_the_next(log: Log) -> None:
    first, second = {"text": "Q: {{ question }}", "temperature": 0}, {"text": "{{ question }}?"}
    assert log.add_template("qa", first, "as it was") == 1
    assert log.add_template("qa", second) == 2
    assert log.add_template("qa", {"temperature": 0, "text": "Q: {{ question }}"}, "again") == 1
    assert log.add_template("chat", first) == 1
    found = log.templates("qa")
    assert [(t.id, t.content, t.note, t.sha256) for t in found] == [
        ("qa@1", first, "as it was", mark(first)),
        ("qa@2", second, "", mark(second)),
    ]
    assert list(found[0].content) == ["text", "temperature"]
    assert [t.id for t in log.templates()] == ["chat@1", "qa@1", "qa@2"]
    assert log.templates("nobody") == []
    assert isinstance(found[0], KeptTemplate)


@pytest.mark.parametrize("name", ["", "  ", "qa@3"])
def test_a_name_that_could_not_be_asked_for_is_refused(log: Log, name: str) -> None:
    with pytest.raises(LogError, match="a template cannot be called"):
        log.add_template(name, {"text": "x"})
    assert log.templates() == []


@given(st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2), max_size=6))
@settings(max_examples=20, deadline=None)
def test_versions_count_the_different_contents_in_the_order_in_which_they_came(contents: list[dict[str, str]]) -> None:
    with Log(":memory:") as log:
        versions = [log.add_template("t", content) for content in contents]
        different = list(dict.fromkeys(mark(c) for c in contents))
        assert versions == [different.index(mark(c)) + 1 for c in contents]
        assert [t.version for t in log.templates("t")] == list(range(1, len(different) + 1))


def test_two_logs_of_one_file_number_on_from_each_other(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with Log(path) as one:
        assert one.add_template("qa", {"text": "a"}) == 1
    with Log(path) as other:
        assert other.add_template("qa", {"text": "b"}) == 2
        assert other.health.missing == 0


def test_a_template_is_stored_whole_under_every_content_policy(tmp_path: Path) -> None:
    with Log(tmp_path / "log.duckdb", content="none") as log:
        log.add_template("qa", {"text": "Q: {{ question }}"})
        assert [t.content for t in log.templates()] == [{"text": "Q: {{ question }}"}]


def test_a_log_for_reading_only_takes_no_template(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    Log(path).close()
    with Log(path, read_only=True) as log, pytest.raises(LogError, match="reading only"):
        log.add_template("qa", {"text": "x"})


def test_a_file_that_another_process_holds_gives_no_number(tmp_path: Path, start: object) -> None:
    path = tmp_path / "log.duckdb"
    with Log(path, lock_s=0.3) as log:
        process = start(START, path)  # type: ignore[operator]
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LogBusy, match="is held by"):
            log.add_template("qa", {"text": "x"})
        process.communicate("\n")
        assert log.add_template("qa", {"text": "x"}) == 1


def test_a_merge_takes_over_what_is_not_here_and_keeps_its_numbers(tmp_path: Path) -> None:
    with Log(tmp_path / "theirs.duckdb") as theirs:
        theirs.add_template("qa", {"text": "both"})
        theirs.add_template("qa", {"text": "theirs"})
    with Log(tmp_path / "log.duckdb") as log:
        log.add_template("qa", {"text": "both"})
        log.add_template("qa", {"text": "mine"})
        assert log.merge(tmp_path / "theirs.duckdb")["templates"] == 1
        assert log.merge(tmp_path / "theirs.duckdb")["templates"] == 0
        assert sorted((t.version, t.content["text"]) for t in log.templates("qa")) == [
            (1, "both"),
            (2, "mine"),
            (2, "theirs"),
        ]
        assert log.add_template("qa", {"text": "new"}) == 3


def test_a_call_names_the_template_that_its_messages_were_made_with(log: Log) -> None:
    made = Compacted(policy="template", messages=ASK, template="qa@3")
    fitted = Compacted(policy="window", messages=ASK)
    failed = Unanswered(model="m", provider="p", error="Timeout", message="late", retry=True)
    log.record(played(made, fitted, failed, answered(), run_id="a"))
    log.record(played(made, Recalled(cache="exact", key="k", text="4", model="m"), run_id="b"))
    log.record(played(answered(), run_id="c"))
    assert log.query("select run_id, template, status from calls order by all") == [
        ("a", "qa@3", "Timeout"),
        ("a", "qa@3", "answered"),
        ("b", "qa@3", "recalled"),
        ("c", "", "answered"),
    ]


def test_tokens_are_counted_by_task_template_and_model(log: Log) -> None:
    made = Compacted(policy="template", messages=ASK, template="qa@3")
    log.record(played(made, answered(), answered(finish="length", cost_usd=None), run_id="a"))
    log.record(played(made, answered(simulated=True), run_id="b"))
    log.record(played(answered(tokens=Tokens()), run_id="c"))
    log.record(played(made, Recalled(cache="exact", key="k", text="4", model="m", simulated=False), run_id="d"))
    names = [str(row[0]) for row in log.query("describe tokens_by_type")]
    found = [dict(zip(names, row, strict=True)) for row in log.query("select * from tokens_by_type")]
    one = {"task": "math", "template": "qa@3", "model": "m", "simulated": False, "calls": 2, "input_tokens": 20}
    one |= {"output_tokens": 8, "cached_tokens": 12, "reasoning_tokens": 2, "cut": 1, "cost_usd": 0.5, "cost_known": 1}
    one |= {"answered": 2, "tokens_known": 2}
    two = one | {"simulated": True, "calls": 1, "input_tokens": 10, "output_tokens": 4, "cached_tokens": 6}
    two |= {"reasoning_tokens": 1, "cut": 0, "answered": 1, "tokens_known": 1}
    unknown = dict.fromkeys(("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"))
    three = two | unknown | {"template": "", "simulated": False, "tokens_known": 0}
    assert found == [three, one, two]


def test_what_summaries_cost_is_spent_too(log: Log) -> None:
    said = "the word \"summarisers\": [1] and {'summarisers': 2}"
    two = Compacted(
        policy="summarise",
        messages=(Message(role="user", content=said),),
        summarisers=("s", "s"),
        cost_usd=0.25,
        simulated=True,
    )
    log.record(played(two, answered(), run_id="a"))
    log.record(played(Compacted(policy="summarise", messages=ASK, summarisers=("s",), cost_usd=None), run_id="b"))
    log.record(played(Compacted(policy="window", messages=(Message(role="user", content=said),)), run_id="c"))
    columns = "day, provider, requested_model, simulated, calls, cost_usd, cost_unknown, what"
    assert sorted(log.query(f"select {columns} from spend_by_day"), key=str) == [
        (date(2026, 3, 4), "p", "m", False, 1, 0.5, 0, "answering"),
        (date(2026, 3, 4), None, "s", False, 1, None, 1, "summarising"),
        (date(2026, 3, 4), None, "s", True, 2, 0.25, 0, "summarising"),
    ]


def test_a_templates_content_is_json_that_sql_can_ask(log: Log) -> None:
    log.add_template("qa", {"text": "half \ud83d", "number": float("nan")})
    [(content,)] = log.query("select content from templates")
    assert json.loads(content) == {"text": "half \ufffd", "number": None}
    log.record(a_run())
    assert log.query("select content ->> '$.text' from templates, runs") == [("half \ufffd",)]


def summary(key: str = "k", **more: Any) -> KeptSummary:
    facts = {"model": "m", "text": "Ada lives in Ulm.", "tokens": Tokens(input=90, output=6), "cost_usd": 0.25, **more}
    return KeptSummary(key=key, written_at=STARTED_AT, **facts)


def test_a_summary_is_there_for_whoever_asks_next_and_the_first_one_stays(log: Log) -> None:
    assert log.summary("k") is None
    log.keep_summary(summary())
    assert log.summary("k") == summary()
    log.flush()
    log.keep_summary(summary(text="another"))
    assert log.summary("k") == summary()
    log.flush()
    assert log.query("select key, text from summaries") == [("k", "Ada lives in Ulm.")]
    log.keep_summary(summary("odd", text="half \ud83d", cost_usd=None, tokens=Tokens(), simulated=True))
    found = log.summary("odd")
    assert found == summary("odd", text="half \ufffd", cost_usd=None, tokens=Tokens(), simulated=True)


@pytest.mark.parametrize("content", ["hash", "none"])
def test_under_a_content_policy_no_summary_is_kept(content: Any) -> None:
    with Log(":memory:", content=content) as log:
        log.keep_summary(summary())
        assert log.summary("k") is None


def test_summaries_are_merged_by_their_keys(tmp_path: Path) -> None:
    with Log(tmp_path / "theirs.duckdb") as theirs:
        theirs.keep_summary(summary("a"))
        theirs.keep_summary(summary("b"))
    with Log(tmp_path / "log.duckdb") as log:
        log.keep_summary(summary("a", text="mine"))
        assert log.merge(tmp_path / "theirs.duckdb")["summaries"] == 1
        assert log.query("select key, text from summaries order by key") == [("a", "mine"), ("b", "Ada lives in Ulm.")]
