"""What every log promises, as tests: subclass `LogContract` and say how to open one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import datetime

from routelab.core.errors import LogError
from routelab.core.events import (
    Answered,
    Candidate,
    Event,
    Missed,
    Recalled,
    Remembered,
    Routed,
    Scored,
    Unanswered,
)
from routelab.core.ports import Log
from routelab.core.run import Run
from routelab.core.values import Prompt, Tokens

STARTED_AT = datetime(2026, 3, 4, 5, 6, 7)  # the log keeps UTC without a zone

CALLS = (
    "run_id", "experiment", "arm", "prompt_id", "task", "requested_model", "served_model", "provider", "status",
    "input_tokens", "output_tokens", "cached_tokens", "tokens_source", "cost_usd", "price_as_of", "latency_s", "ttft_s",
    "cached", "propensity", "error", "simulated", "started_at",
)  # fmt: skip
"""The columns of `calls` that scripts rely on, in their order; a log may have more after them."""

HOSTILE = (
    "x' UNION SELECT content FROM read_text('/etc/hostname') --",
    "'; DROP TABLE runs; --",
    'a"b',
    "$1 ? :name {x}",
    "line\nbreak\ttab",
    "nul\x00inside",
    "\N{GRINNING FACE}\u202e\u2028",
    "../../etc/passwd",
    "",
    "n" * 10_000,
)
"""Names that are data and nothing else: a log stores them as they are."""


def a_run(run_id: str = "run-1", *, text: str = "4", experiment: str = "sums", arm: str = "cheap-first") -> Run:
    """Return a run with a decision, a failed attempt, an answer, a score and a place in the cache."""
    return Run(
        id=run_id,
        prompt=Prompt.of("What is 2 + 2?", task="math"),
        started_at=STARTED_AT,
        arm=arm,
        config="c0ffee",
        experiment=experiment,
        tags={"team": "search"},
        seed=7,
        events=(
            Missed(cache="exact", key=f"key-{run_id}"),
            Routed(
                strategy="cascade",
                order=("small", "large"),
                reason="cheapest first",
                propensity=0.5,
                considered=(Candidate(model="small", quality=0.7, cost_usd=0.001),),
            ),
            Unanswered(
                model="small",
                provider="acme",
                error="RateLimited",
                message="429: slow down",
                retry=True,
                status=429,
                latency_s=0.25,
                at_s=0.25,
            ),
            Answered(
                model="small",
                served_model="small-2026",
                provider="acme",
                text=text,
                tokens=Tokens(input=12, output=3, cached=4, reasoning=1, source="usage"),
                cost_usd=0.002,
                price_as_of="2026-01-01",
                latency_s=0.75,
                ttft_s=0.2,
                attempt=2,
                at_s=1.0,
            ),
            Scored(scorer="number", quality=1.0, model="small", reason="4 is 4"),
            Remembered(cache="exact", key=f"key-{run_id}"),
        ),
    )


def a_hit(run_id: str = "run-2", *, source: str = "run-1") -> Run:
    """Return a run that a cache answered."""
    hit = Recalled(
        cache="exact", key=f"key-{source}", text="4", model="small", source_run=source, latency_s=0.001, at_s=0.002
    )
    return Run(id=run_id, prompt=Prompt.of("What is 2 + 2?", task="math"), started_at=STARTED_AT, events=(hit,))


def an_answer(cost_usd: float | None) -> Event:
    """Return an answer at that cost."""
    return Answered(model="m", served_model="m", provider="p", text="yes", cost_usd=cost_usd, latency_s=None)


class LogContract:
    """The contract of `core.ports.Log`, with the tables and columns that scripts rely on; pytest collects the subclass."""

    def log(self) -> contextlib.AbstractContextManager[Log]:
        """Return an empty log, closed when the context ends."""
        raise NotImplementedError

    @contextlib.contextmanager
    def _with(self, *runs: Run) -> Iterator[Log]:
        with self.log() as log:
            for run in runs:
                log.record(run)
            yield log

    def test_a_recorded_run_is_there_for_the_next_query(self) -> None:
        with self._with(a_run()) as log:
            rows = log.query("select run_id, experiment, arm, config, status, model, quality, cached from runs")
        assert rows == [("run-1", "sums", "cheap-first", "c0ffee", "answered", "small", 1.0, False)]

    def test_every_event_is_a_row_in_order(self) -> None:
        with self._with(a_run()) as log:
            rows = log.query("select kind from events where run_id = ? order by seq", ["run-1"])
        assert [kind for (kind,) in rows] == ["missed", "routed", "unanswered", "answered", "scored", "remembered"]

    def test_calls_has_the_promised_columns_in_their_order(self) -> None:
        with self._with() as log:
            names = [str(row[0]) for row in log.query("describe calls")]
        assert tuple(names[: len(CALLS)]) == CALLS

    def test_an_attempt_is_a_row_whether_it_was_answered_or_not(self) -> None:
        with self._with(a_run()) as log:
            rows = log.query(
                "select status, error, cost_usd, input_tokens, cached, propensity from calls order by status"
            )
        assert rows == [
            ("RateLimited", "429: slow down", 0.0, None, False, 0.5),
            ("answered", None, 0.002, 12, False, 0.5),
        ]

    def test_a_cache_hit_is_a_call_that_cost_nothing(self) -> None:
        with self._with(a_run(), a_hit()) as log:
            rows = log.query("select requested_model, status, cost_usd, cached from calls where run_id = ?", ["run-2"])
        assert rows == [("small", "recalled", 0.0, True)]

    def test_an_unknown_cost_is_null_and_a_cost_of_nothing_is_zero(self) -> None:
        prompt = Prompt.of("?")
        unknown = Run(id="unknown", prompt=prompt, started_at=STARTED_AT, events=(an_answer(None),))
        free = Run(id="free", prompt=prompt, started_at=STARTED_AT, events=(an_answer(0.0),))
        with self._with(unknown, free) as log:
            calls = log.query("select run_id, cost_usd from calls order by run_id")
            runs = log.query("select run_id, cost_usd from runs order by run_id")
        assert calls == runs == [("free", 0.0), ("unknown", None)]

    def test_a_run_recorded_twice_is_there_once(self) -> None:
        with self._with(a_run(), a_run()) as log:
            assert log.query("select count(*) from runs") == [(1,)]
            log.record(a_run())
            assert log.query("select (select count(*) from runs), (select count(*) from calls)") == [(1, 2)]

    def test_times_are_utc_without_a_zone(self) -> None:
        with self._with(a_run()) as log:
            assert log.query("select started_at from runs") == [(STARTED_AT,)]

    def test_hostile_names_are_stored_as_they_are(self) -> None:
        runs = [a_run(f"run-{i}", experiment=name, arm=name) for i, name in enumerate(HOSTILE)]
        with self._with(*runs) as log:
            for i, name in enumerate(HOSTILE):
                found = log.query("select run_id, arm from runs where experiment = ?", [name])
                assert found == [(f"run-{i}", name)]

    def test_half_an_emoji_is_no_reason_to_lose_a_run(self) -> None:
        with self._with(a_run(text="half \ud83d"), a_run("run-2", text="whole")) as log:
            assert log.query("select count(*) from runs") == [(2,)]
            assert len(log.query("select * from decisions")) == 2

    def test_runs_recorded_from_many_threads_are_all_there(self) -> None:
        with self._with() as log:

            def work(name: int) -> None:
                for i in range(25):
                    log.record(a_run(f"{name}-{i}"))

            threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert log.query("select count(*), count(distinct run_id) from runs") == [(200, 200)]

    def test_a_query_cannot_write_and_reads_no_other_file(self) -> None:
        with self._with(a_run()) as log:
            for sql in (
                "delete from runs",
                "select 1; drop table runs",
                "with gone as (delete from runs returning run_id) select * from gone",
                "explain analyze delete from runs",
                "copy runs to 'stolen.csv'",
                "attach 'other.duckdb'",
                "install httpfs",
                "set enable_external_access = true",
                "pragma threads = 1",
                "select * from read_text('/etc/hostname')",
                "select * from glob('/*')",
                "select * from sql",  # a variable of this very process
                "selec 1",
                "",
            ):
                assert _refused(log, sql), sql
            assert log.query("select count(*) from runs") == [(1,)]

    def test_the_views_answer_the_usual_questions(self) -> None:
        with self._with(a_run(), a_hit()) as log:
            tasks = log.query(
                "select task, requested_model, sum(calls), sum(cache_hits) from calls_by_task group by all"
            )
            spend = log.query("select day, provider, sum(calls), sum(cost_usd) from spend_by_day group by all")
            hits = log.query("select run_id, source_run, saved_usd from cache_hits")
            decisions = log.query(
                "select prompt, considered, chosen, why, propensity, cost_usd, answer from decisions where run_id = 'run-1'"
            )
        assert tasks == [("math", "small", 3, 1)]
        assert spend == [(STARTED_AT.date(), "acme", 2, 0.002)]
        assert hits == [("run-2", "run-1", 0.002)]
        assert decisions == [("What is 2 + 2?", ["small", "large"], "small", "cheapest first", 0.5, 0.002, "4")]


def _refused(log: Log, sql: str) -> bool:
    try:
        log.query(sql)
    except LogError as error:
        return "\n" not in error.message
    return False
