"""Questions to the log: read-only, bound, one statement, and in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pytest

from routelab.core.errors import LogError
from routelab.core.events import Answered, Scored, Unanswered
from routelab.core.run import Run
from routelab.core.values import Message, Prompt, Tokens
from routelab.store import Kept, Log, Recorded, rows
from routelab.store.clock import SystemTime
from routelab.store.file import LogFile
from routelab.store.memory import MemoryFile
from routelab.testing.logs import STARTED_AT, a_hit, a_run

SLOW = "select count(*) from range(1000000000000) a, range(1000000) b"


@pytest.fixture(params=["disk", "memory"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    """Return an empty log, on disk and in memory."""
    with Log(tmp_path / "log.duckdb" if request.param == "disk" else ":memory:") as opened:
        yield opened


@pytest.mark.parametrize(
    "sql",
    [
        "select run_id from runs",
        "-- a comment\nselect run_id from runs;",
        "with r as (select * from runs) select run_id from r",
        "from runs select run_id",
        "(select run_id from runs)",
    ],
)
def test_a_reading_statement_is_answered(log: Log, sql: str) -> None:
    log.record(a_run())
    assert log.query(sql) == [("run-1",)]


@pytest.mark.parametrize(
    "sql",
    [
        "describe calls",
        "show tables",
        "explain select 1",
        "pragma table_info('calls')",
        "summarize calls",
        "values (1)",
    ],
)
def test_a_statement_about_the_tables_is_answered(log: Log, sql: str) -> None:
    assert log.query(sql)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("insert into runs (run_id) values ('x')", "INSERT is refused"),
        ("drop table runs", "DROP is refused"),
        ("create temp table x (a int)", "CREATE is refused"),
        ("checkpoint", "is refused"),
        ("pragma database_list", "PRAGMA is refused"),
        ("pragma show_tables", "PRAGMA is refused"),
        ("load json", "LOAD is refused"),
        ("select 1; select 2", "one statement at a time: found 2"),
        ("   ", "one statement at a time: found 0"),
        ("select * from callz", 'Table with name callz does not exist! Did you mean "calls"?'),
        ("select nmae from runs", 'Referenced column "nmae" not found'),
        ("select ?", "Values were not provided"),
        ("select now()", "a time with a time zone cannot be shown here"),
        ("select 'x'::int", "Could not convert string 'x' to INT32"),
    ],
)
def test_what_cannot_be_answered_is_said_in_one_line(log: Log, sql: str, says: str) -> None:
    with pytest.raises(LogError) as caught:
        log.query(sql)
    assert says in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_parameters_are_values_and_never_sql(log: Log) -> None:
    log.record(a_run(arm="x' OR 1=1 --"))
    sql = "select run_id from runs where arm = ? and seed = ?"
    assert log.query(sql, ["x' OR 1=1 --", 7]) == [("run-1",)]
    assert log.query(sql, ["y' OR 1=1 --", 7]) == []


def test_a_frame_has_the_same_rows_as_a_query(log: Log) -> None:
    log.record(a_run())
    frame = log.frame("select run_id, cost_usd, started_at from runs where arm = ?", ["cheap-first"])
    assert list(frame.columns) == ["run_id", "cost_usd", "started_at"]
    assert [tuple(row) for row in frame.itertuples(index=False)] == [("run-1", 0.002, STARTED_AT)]


def test_a_query_that_takes_too_long_is_stopped_and_the_next_one_is_answered(log: Log) -> None:
    log.record(a_run())
    with pytest.raises(LogError, match=r"longer than 0\.2 s"):
        log.query(SLOW, timeout_s=0.2)
    assert log.query("select count(*) from runs") == [(1,)]


def test_a_query_that_is_given_up_before_it_began_never_begins(log: Log) -> None:
    log.record(a_run())
    for _ in range(20):
        with pytest.raises(LogError, match="longer than"):
            log.query(SLOW, timeout_s=1e-6)
    assert log.query("select count(*) from runs", timeout_s=20) == [(1,)]


def test_recording_goes_on_while_a_query_runs(log: Log) -> None:
    trouble: list[str] = []

    def ask() -> None:
        try:
            log.query(SLOW, timeout_s=0.5)
        except LogError as error:
            trouble.append(error.message)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.1)
    for i in range(50):
        log.record(a_run(f"run-{i}"))
    asking.join()
    assert log.query("select count(*) from runs") == [(50,)]
    assert len(trouble) == 1


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_rows_that_are_not_in_the_file_yet_are_in_tables_and_views_once(tmp_path: Path, kind: str) -> None:
    clock = SystemTime()
    file = LogFile(tmp_path / "l", session="s", clock=clock) if kind == "disk" else MemoryFile(session="s", clock=clock)
    file.prepare()
    written, waiting = rows.of_run(a_run("written")), rows.of_run(a_run("waiting"))
    file.write([written])

    def count(con: duckdb.DuckDBPyConnection) -> list[tuple[int, ...]]:
        names = ("runs", "events", "calls", "decisions", "ratings")
        return con.execute(f"select {', '.join(f'(select count(*) from {n})' for n in names)}").fetchall()

    assert file.read(count, pending=[written, waiting, waiting]) == [(2, 12, 4, 2, 0)]
    assert file.read(count) == [(1, 6, 2, 1, 0)]


def test_the_latest_remembered_answer_of_a_key_is_found(log: Log) -> None:
    assert log.remembered("key-run-1") is None
    log.record(a_run())
    log.record(a_run("run-2"))
    expected = Kept(
        key="key-run-1",
        run_id="run-1",
        text="4",
        model="small",
        latency_s=0.75,
        cost_usd=0.002,
        simulated=False,
        started_at=STARTED_AT,
    )
    assert log.remembered("key-run-1") == expected
    assert sorted(log.remembered_many(["key-run-1", "key-run-2", "other"])) == ["key-run-1", "key-run-2"]


def test_an_answer_that_was_not_kept_in_full_is_not_remembered() -> None:
    with Log(":memory:", content="hash") as log:
        log.record(a_run())
        assert log.remembered("key-run-1") is None


def test_what_each_model_last_did_with_each_prompt_is_one_value_failures_too(log: Log) -> None:
    prompt = Prompt.of("What is 2 + 2?", task="math")
    failed = Unanswered(model="large", provider="acme", error="TimedOut", message="60 s", retry=False, latency_s=60.0)
    log.record(a_run())
    log.record(Run(id="run-2", prompt=prompt, started_at=STARTED_AT, experiment="sums", events=(failed,)))
    log.record(a_hit("run-3"))
    small, large = sorted(log.answers_for("sums"), key=lambda cell: cell.model, reverse=True)
    assert small == Recorded(
        prompt_id=prompt.id,
        model="small",
        status="answered",
        run_id="run-1",
        experiment="sums",
        arm="cheap-first",
        task="math",
        text="4",
        quality=1.0,
        cost_usd=0.002,
        price_as_of="2026-01-01",
        latency_s=1.0,
        ttft_s=0.2,
        input_tokens=12,
        output_tokens=3,
        tokens_source="usage",
        finish="stop",
        error=None,
        attempts=2,
        simulated=False,
        started_at=STARTED_AT.replace(second=7, microsecond=250_000),
    )
    assert (large.status, large.text, large.quality, large.error) == ("TimedOut", None, None, "60 s")
    assert log.answers_for("other") == []
    assert [cell.model for cell in log.answers_for(models=["large"])] == ["large"]
    assert log.answers_for(prompt_ids=["nobody"]) == []
    assert len(log.answers_for(prompt_ids=[prompt.id])) == 2


def test_a_gates_score_is_no_measurement(log: Log) -> None:
    answer = Answered(model="m", served_model="m", provider="p", text="no", tokens=Tokens(), attempt=1)
    gate = Scored(scorer="judge", quality=0.9, model="m", accepted=True, at_least=0.8)
    measured = Scored(scorer="exact", quality=0.25, model="m")
    log.record(Run(id="r", prompt=Prompt.of("?"), started_at=STARTED_AT, events=(answer, gate, measured)))
    log.record(Run(id="s", prompt=Prompt.of("!"), started_at=STARTED_AT, events=(answer, gate)))
    assert {cell.run_id: cell.quality for cell in log.answers_for()} == {"r": 0.25, "s": None}


def test_prompts_come_back_whole(log: Log) -> None:
    prompt = Prompt(
        id="p",
        messages=(Message(role="system", content="be brief"), Message(role="user", content="capital of Peru?")),
        task="qa",
        reference="Lima",
        scorer={"kind": "exact", "answer": "Lima"},
        difficulty=1.5,
        wrong=("Quito",),
        group="south",
        tags={"set": "geo"},
    )
    log.record_prompts([prompt, prompt])
    log.record_prompts([prompt, Prompt.of("other")])
    assert log.prompts(["p"]) == [prompt]
    assert len(log.prompts()) == 2
    assert log.query("select count(*) from prompts") == [(2,)]


def test_a_run_that_is_not_there_is_none(log: Log) -> None:
    assert log.run("nobody") is None


def test_vectors_come_back_bit_by_bit_and_once(log: Log) -> None:
    vectors = {f"h{i}": np.random.default_rng(i).normal(size=384).astype(np.float32) for i in range(20)}
    log.put_many("minilm@1", vectors)
    log.put_many("minilm@1", vectors)
    found = log.get_many("minilm@1", [*vectors, "nobody"])
    assert sorted(found) == sorted(vectors)
    assert all(np.array_equal(found[key], vectors[key]) and found[key].dtype == np.float32 for key in vectors)
    assert log.get_many("other", list(vectors)) == {}
    assert log.query("select count(*) from embeddings") == [(20,)]


def test_ratings_and_experiments_are_rows(log: Log) -> None:
    log.record_experiment("sums", dataset="gsm8k", arms={"a": {"kind": "fixed"}}, seed=3, detail={"margin": 0.02})
    log.record_experiment("sums", dataset="gsm8k", arms={"a": {"kind": "fixed"}}, seed=3, detail={"margin": 0.02})
    log.rate("run-1", 1.0, "right")
    log.rate("run-1", -1.0, "on second thoughts")
    assert log.query("select experiment, dataset, arms, seed, detail from experiments") == [
        ("sums", "gsm8k", '{"a":{"kind":"fixed"}}', 3, '{"margin":0.02}')
    ]
    assert log.query("select run_id, value, note from ratings order by value") == [
        ("run-1", -1.0, "on second thoughts"),
        ("run-1", 1.0, "right"),
    ]


def test_spend_knows_what_it_does_not_know(log: Log) -> None:
    known = Answered(model="m", served_model="m", provider="p", text="", cost_usd=0.5)
    unknown = Answered(model="m", served_model="m", provider="p", text="", cost_usd=None)
    log.record(Run(id="r", prompt=Prompt.of("?"), started_at=STARTED_AT, events=(known, unknown)))
    assert log.query("select * from spend_by_day") == [(date(2026, 3, 4), "p", "m", False, 2, 0.5, 1, "answering")]
