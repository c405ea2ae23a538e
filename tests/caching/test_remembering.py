"""What caches remember is in the log: it survives the kernel, is shared by processes, and is forgotten for good (C1, C2)."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path
from typing import Any

import duckdb
import pytest

from routelab import Lab, RouteConfig
from routelab.caching import CacheTrouble
from routelab.core.errors import LogBusy
from routelab.core.events import Missed, Remembered
from routelab.core.values import Prompt
from routelab.router import Router
from routelab.store import Log
from routelab.testing import Scripted, fleet

LEXICAL = {"threshold": 0.6, "guard": "none", "embedder": {"kind": "lexical", "dimensions": 512}}
BOTH = {"exact": True, "semantic": LEXICAL}


def config(cache: Any = None, **about: Any) -> RouteConfig:
    spec = {"name": "a", "strategy": {"kind": "fixed", "model": "m"}, "cache": BOTH if cache is None else cache}
    return RouteConfig(**{**spec, **about})


def ask(log: Log, *texts: str, said: str = "an answer", cache: Any = None, **about: Any) -> list[Any]:
    """Return the answers of a router that has just been made over the log."""
    router = Router(config(cache, **about), fleet=fleet({"m": Scripted(said)}), log=log)
    return router.many(list(texts), jobs=1)


@pytest.mark.parametrize("cache", [{"exact": True}, {"semantic": LEXICAL}, BOTH])
def test_the_next_session_knows_what_the_last_one_remembered(tmp_path: Path, cache: Any) -> None:
    path = tmp_path / "log.duckdb"
    with Log(path) as log:
        [first] = ask(log, "How do I reset my password?", cache=cache)
    with Log(path) as log:
        [again] = ask(log, "How do I reset my password?", said="no", cache=cache)
        assert (again.text, again.cached, again.cost_usd) == ("an answer", True, 0.0)
        assert again.run.recalled.source_run == first.id
        assert again.run.recalled.age_s > 0


def test_the_next_session_knows_like_questions_too_and_their_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.duckdb"
    texts = [f"How do I reset my password for account {i}?" for i in range(80)]
    with Log(path) as log:
        ask(log, *texts, cache={"semantic": {**LEXICAL, "threshold": 1.0}})
        assert log.query("select count(*) from embeddings") == [(80,)]
    with Log(path) as log:
        [near] = ask(log, "How do I reset my password for account 7", said="no", cache={"semantic": LEXICAL})
        assert (near.text, near.cached) == ("an answer", True)
        assert near.run.recalled.like == texts[7]
        assert log.query("select count(*) from embeddings") == [(80,)]


def test_another_config_another_provider_and_another_tenant_find_nothing(tmp_path: Path) -> None:
    with Log(tmp_path / "log.duckdb") as log:
        ask(log, "hello there")
        others = [
            ask(log, "hello there", prompt={"system": "be brief"}),
            ask(log, "hello there", cache={**BOTH, "namespace": "b"}),
            Router(config(), fleet=fleet({"m": Scripted("x")}, usd_per_mtok=2.0), log=log).many(["hello there"]),
        ]
        # A price decides no answer, so the last one is the same to a cache.
        assert [[a.cached for a in found] for found in others] == [[False], [False], [True]]


def test_a_second_router_over_the_same_log_finds_what_the_first_one_keeps(tmp_path: Path) -> None:
    for path in (tmp_path / "log.duckdb", ":memory:"):
        with Log(path) as log:
            one, two = (Router(config(), fleet=fleet({"m": Scripted(said)}), log=log) for said in ("1", "2"))
            for i in range(5):
                assert one.route(f"an unlike question {i} {'x' * 9 * i}").text == "1"
                assert two.route(f"an unlike question {i} {'x' * 9 * i}").text == "1"


def test_arms_of_an_experiment_remember_for_themselves(tmp_path: Path) -> None:
    """C9: who asks first does not pay for the others, and nobody starts warm."""
    with Lab(tmp_path / "log.duckdb", fleet=fleet({"m": Scripted("x")})) as lab:
        lab.router(config()).route("hello there")
        found = lab.compare(["hello there", "hello there "], arms={"a": config(), "b": config(name="b")}, jobs=1)
        costs = {arm: sum(a.cost_usd for a in rows) for arm, rows in found.answers.items()}
        assert costs == {"a": pytest.approx(15e-6), "b": pytest.approx(15e-6)}


def test_what_is_forgotten_does_not_come_back_from_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with Lab(path, fleet=fleet({"m": Scripted("one", "two", "three")})) as lab:
        router = lab.router(config())
        assert [router.route("hi there").text for _ in range(2)] == ["one", "one"]
        lab.forget()
        assert [router.route("hi there").text for _ in range(2)] == ["two", "two"]
        assert router.route("hi  there").text == "two"  # and the like question finds the new one
    with Lab(path, fleet=fleet({"m": Scripted("three")})) as lab:
        assert lab.router(config()).route("hi there").text == "two"
        lab.forget()
    with Lab(path, fleet=fleet({"m": Scripted("three")})) as lab:
        assert lab.router(config()).route("hi there").text == "three"
        assert lab.sql("select count(*) as n from answers")["n"].tolist() == [3]


def test_one_namespace_is_forgotten_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    caches = {name: {**BOTH, "namespace": name} for name in ("left", "right")}
    with Lab(path, fleet=fleet({"m": Scripted("x")})) as lab:
        for cache in caches.values():
            lab.router(config(cache)).route("hi there")
        lab.forget("left")
        assert [lab.router(config(c)).route("hi there").cached for c in caches.values()] == [False, True]
    with Lab(path, fleet=fleet({"m": Scripted("x")})) as lab:
        lab.forget("right")
    with Lab(path, fleet=fleet({"m": Scripted("x")})) as lab:
        assert [lab.router(config(c)).route("hi there").cached for c in caches.values()] == [True, False]


@pytest.mark.parametrize("content", ["hash", "none"])
def test_a_log_without_texts_means_memory_and_is_said_once(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "log.duckdb"
    with Log(path, content=content) as log:
        with pytest.warns(CacheTrouble, match="keeps no texts") as said:
            answers = ask(log, "my secret is 42", "my secret is 42", "my secret is 42!")
        assert [a.cached for a in answers] == [False, True, True]
        assert len(said) == 1
    with Log(path, content=content) as log, pytest.warns(CacheTrouble):
        assert [a.cached for a in ask(log, "my secret is 42")] == [False]
    with duckdb.connect(str(path)) as con:
        held = [con.execute(f"select * from {t}").fetchall() for t in ("events", "answers", "prompts", "runs")]
        assert "secret" not in str(held)
        assert con.execute("select count(*) from embeddings").fetchall() == [(0,)]


def test_a_log_that_cannot_be_read_is_a_miss_and_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*args: Any, **kwargs: Any) -> Any:
        raise LogBusy("held by PID 1")

    with Log(tmp_path / "log.duckdb") as log:
        ask(log, "hello there")
        router = Router(config(), fleet=fleet({"m": Scripted("new")}), log=log)
        monkeypatch.setattr(Log, "recall", busy)
        with pytest.warns(CacheTrouble, match="held by PID 1") as said:
            assert [router.route("hello there").cached for _ in range(2)] == [False, True]
        assert len(said) == 1


def test_prompts_are_answered_while_another_process_holds_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with Log(path) as log:
        ask(log, "hello there")
    holder = subprocess.Popen(
        [sys.executable, "-c", f"import duckdb; c = duckdb.connect({str(path)!r}); print(1, flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "1\n"
        with Log(path, lock_s=0.2) as log:
            with pytest.warns(CacheTrouble, match="held by") as said:
                answers = ask(log, "hello there", "hello there", "hello there!", "zzz", said="anew")
            assert [(a.text, a.cached) for a in answers] == [
                ("anew", False),
                ("anew", True),
                ("anew", True),
                ("anew", False),
            ]
            assert len({str(w.message) for w in said}) <= 2  # one for each level
            holder.communicate("\n", timeout=60)
            log.flush()
            assert log.query("select count(*) from answers where cache_key is not null") == [(3,)]
    finally:
        holder.kill()
        holder.communicate(timeout=60)


def test_hits_and_misses_are_told_apart_in_the_log_with_texts_ages_and_savings(tmp_path: Path) -> None:
    with Log(tmp_path / "log.duckdb") as log:
        first, same, like, other = ask(log, "the first question", "the first question", "the first question?", "zzz")
        hits = log.query(
            "select run_id, cache, asked, known, round(similarity, 6) = 1, age_s >= 0, stale, answer, source_run, saved_usd, "
            "latency_s >= 0 from cache_hits order by cache"
        )
        saved = pytest.approx(15e-6)
        assert hits == [
            (
                same.id,
                "exact",
                "the first question",
                "the first question",
                True,
                True,
                False,
                "an answer",
                first.id,
                saved,
                True,
            ),
            (
                like.id,
                "semantic",
                "the first question?",
                "the first question",
                False,
                True,
                False,
                "an answer",
                first.id,
                saved,
                True,
            ),
        ]
        misses = log.query(
            "select run_id, cache, asked, known, nearest is null from cache_misses order by started_at, cache"
        )
        assert misses == [
            (first.id, "exact", "the first question", None, True),
            (first.id, "semantic", "the first question", None, True),
            (like.id, "exact", "the first question?", None, True),
            (other.id, "exact", "zzz", None, True),
            (other.id, "semantic", "zzz", "the first question", False),
        ]
        assert log.query("select status, count(*), sum(cost_usd) from calls group by all order by all") == [
            ("answered", 2, pytest.approx(30e-6)),
            ("recalled", 2, 0.0),
        ]


def test_lookups_of_what_nobody_remembers_do_not_open_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Log(tmp_path / "log.duckdb") as log:
        router = Router(config({"exact": True}), fleet=fleet({"m": Scripted("x")}), log=log)
        router.route("first")
        log.flush()
        opened: list[bool] = []
        real = duckdb.connect

        def counted(*args: Any, **options: Any) -> Any:
            opened.append(options.get("read_only", False))
            return real(*args, **options)

        monkeypatch.setattr(duckdb, "connect", counted)
        for i in range(50):
            router.route(f"unknown {i}")
        log.flush()
        assert opened.count(True) <= 1


# Real processes

SCRIPT = """
import json, os, sys
from routelab import Log, RouteConfig
from routelab.router import Router
from routelab.testing import Scripted, fleet

name, path = sys.argv[1:3]
cache = json.loads(sys.argv[3])
log = Log(path, flush_s=0.02)
config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "m"}, cache=cache)
router = Router(config, fleet=fleet({"m": Scripted("from " + name)}), log=log)
for line in sys.stdin:
    answer = router.route(json.loads(line))
    if len(sys.argv) < 5:
        log.flush()
    print(json.dumps([answer.text, answer.cached]), flush=True)
log.close()
"""


class Process:
    """Another kernel over the same log."""

    def __init__(self, name: str, path: Path, cache: Any = None, *more: str) -> None:
        given = json.dumps(BOTH if cache is None else cache)
        self.child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SCRIPT), name, str(path), given, *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, text: str) -> tuple[str, bool]:
        self.send(text)
        assert self.child.stdout is not None
        said = self.child.stdout.readline()
        text, cached = json.loads(said)
        return text, cached

    def end(self) -> int:
        self.child.communicate(timeout=60)
        return self.child.returncode

    def send(self, text: str) -> None:
        """Ask without waiting for the answer."""
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps(text) + "\n")
        self.child.stdin.flush()

    def kill(self) -> None:
        if self.child.returncode is None:
            os.kill(self.child.pid, signal.SIGKILL)
            self.child.communicate(timeout=60)


def test_two_processes_share_what_they_write_and_lose_nothing(tmp_path: Path) -> None:
    """C1: each answer of one is found by the other, through both levels."""
    path = tmp_path / "log.duckdb"
    one, two = Process("one", path), Process("two", path)
    try:
        for i in range(6):
            asker, hearer, name = (one, two, "one") if i % 2 == 0 else (two, one, "two")
            text = f"{'abcdefgh'[i] * 12} question"
            assert asker.ask(text) == (f"from {name}", False)
            assert hearer.ask(text) == (f"from {name}", True)
            assert hearer.ask(f"{text}?") == (f"from {name}", True)
        assert (one.end(), two.end()) == (0, 0)
    finally:
        for process in (one, two):
            process.kill()
    with Log(path) as log:
        assert log.health.missing == 0
        assert log.query(
            "select count(*) from answers where cache_key is not null and cache_namespace is not null"
        ) == [(6,)]


@pytest.fixture(params=[4, pytest.param(50, marks=pytest.mark.soak)], ids=["short", "soak"])
def kills(request: pytest.FixtureRequest) -> int:
    """How often a process is killed: a few times always, fifty times with `-m soak`."""
    if request.param == 50 and "soak" not in request.config.getoption("markexpr"):
        pytest.skip("the full version runs with -m soak")
    return int(request.param)


def test_a_killed_process_loses_no_answer_that_was_acknowledged(tmp_path: Path, kills: int) -> None:
    """C2: after each kill -9, in the middle of a write too, every acknowledged answer is found again, and at most one more."""
    path = tmp_path / "log.duckdb"
    rng = random.Random(0)
    told: dict[str, str] = {}
    sent: set[str] = set()
    for cycle in range(kills):
        process = Process(f"cycle {cycle}", path)
        try:
            for _ in range(3):
                text = f"{''.join(rng.choices('abcdefghijklmnopqrstuvwxyz', k=24))} question"
                assert process.ask(text) == (f"from cycle {cycle}", False)
                told[text] = f"from cycle {cycle}"
            last = f"{''.join(rng.choices('abcdefghijklmnopqrstuvwxyz', k=24))} question"
            process.send(last)
            sent.add(last)
            time.sleep(rng.uniform(0.0, 0.06))
        finally:
            process.kill()
        with Log(path) as log:
            kept = {a for (a,) in log.query("select cache_text from answers where cache_key is not null")}
            assert told.keys() <= kept <= told.keys() | sent
            assert log.health.missing == 0
    with Log(path) as log:
        answers = ask(log, *told, *(f"{text}?" for text in told), said="no")
        assert [(a.text, a.cached) for a in answers] == [(said, True) for said in told.values()] * 2


PER_ENTRY = {"semantic": {"per_entry": {"error": 0.1}, "guard": "none", "embedder": LEXICAL["embedder"]}}


def nearby(n: int, start: int = 0) -> list[str]:
    """Return questions that are near each other, and one each."""
    return [f"How do I reset my password{'!' * (1 + i % 5)}{' ' * (i // 5)}" for i in range(start, start + n)]


def observed(router: Router) -> list[tuple[str, int, int]]:
    """Return what entries have seen: question, how often tried out, how often right."""
    [level] = router._caches
    rooms = level._rooms.values()  # type: ignore[attr-defined]
    return [
        (room.entry(id_).asked, len(seen), sum(seen.right))
        for room in rooms
        for id_, seen in sorted(room._seen.items())
    ]


def router_of(log: Any, said: str, cache: Any = None) -> Router:
    return Router(config(cache or PER_ENTRY), fleet=fleet({"m": Scripted(said)}), log=log)


def test_what_an_entry_learned_is_known_in_the_next_session_and_what_says_the_same_is_no_entry(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    first, *others = ["How do I reset my password?", *nearby(60)]
    with Log(path) as log:
        router = router_of(log, "Press reset.")
        answers = router.many([first, *others], jobs=1)
        explored = [a for a in answers[1:] if not a.cached]
        assert 0 < len(explored) < 60
        learned = observed(router)
        assert learned == [(first, len(explored), len(explored))]
        [last] = [e for e in explored[0].run.events if isinstance(e, Remembered)]
        assert (last.learned, last.entry, last.refused) == (
            True, answers[0].id, "the nearest entry gives this answer already"
        )  # fmt: skip
        assert last.similarity is not None
        assert "semantic: not kept: the nearest entry gives this answer already" in str(explored[0].trace().rows)
        assert log.run(explored[0].id).events == explored[0].run.events  # type: ignore[union-attr]
    with Log(path) as log:
        router = router_of(log, "Press reset.")
        again = router.route("How do I reset my  password!")
        assert [(q, n - (not again.cached), r - (not again.cached)) for q, n, r in observed(router)] == learned
        assert log.query("select count(*) from answers where cache_namespace is not null") == [(1,)]


def test_an_answer_that_was_wrong_nearby_is_known_to_be_wrong_in_the_next_session(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with Log(path) as log:
        router_of(log, "4").route("What is 2 + 2?")
        router = router_of(log, "5")
        wrong = router.route("What is 2 + 3?")
        assert [e.learned for e in wrong.run.events if isinstance(e, Remembered)] == [False]
        assert "semantic: kept for the next time; the nearest entry's answer is another one" in str(wrong.trace().rows)
    with Log(path) as log:
        router = router_of(log, "6")
        assert observed(router) == []
        router.route("What is 2 + 2?")
        assert observed(router) == [("What is 2 + 2?", 1, 0)]
        assert log.query("select count(*) from answers where cache_namespace is not null") == [(2,)]


def test_what_was_learned_about_other_words_or_was_forgotten_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    aging = {**PER_ENTRY, "ttl_s": 3600}
    with Log(path) as log:
        router_of(log, "one", aging).many(["How do I reset my password?", *nearby(1)], jobs=1)
        # The same question gets another answer: what was learned was about the first one's words.
        apart = Router(config(aging), fleet=fleet({"m": Scripted("two")}), log=log)
        run = apart._built(stream=False, anew=True)
        apart._engine.wait(apart.play(Prompt.of("How do I reset my password?"), flow=run))
    with Log(path) as log:
        router = router_of(log, "x", aging)
        assert router.route("How do I reset my password?").text == "two"
        assert observed(router) == []
        log.forget()
    with Log(path) as log:
        router_of(log, "one", aging).route("How do I reset my password?")
    with Log(path) as log:
        router = router_of(log, "x", aging)
        assert router.route("How do I reset my password?").text == "one"
        assert observed(router) == []


def test_what_was_learned_holds_for_the_same_words_given_again(tmp_path: Path) -> None:
    """A refresh that says the same leaves what was learned, in this process and in the next."""
    path = tmp_path / "log.duckdb"
    with Log(path) as log:
        router = router_of(log, "one")
        router.many(["How do I reset my password?", *nearby(1)], jobs=1)
        again = router._built(stream=False, anew=True)
        router._engine.wait(router.play(Prompt.of("How do I reset my password?"), flow=again))
        assert observed(router) == [("How do I reset my password?", 1, 1)]
    for cache in (PER_ENTRY, {**PER_ENTRY, "size": 1}):
        with Log(path) as log:
            router = router_of(log, "x", cache)
            assert router.route("How do I reset my password?").text == "one"
            assert observed(router) == [("How do I reset my password?", 1, 1)]


def test_two_processes_learn_together(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    one, two = (Process("both", path, PER_ENTRY) for _ in range(2))
    try:
        assert one.ask("How do I reset my password?") == ("from both", False)
        explored = sum(not asker.ask(text)[1] for text in nearby(30) for asker in (one, two))
        assert (one.end(), two.end()) == (0, 0)
    finally:
        for process in (one, two):
            process.kill()
    with Log(path) as log:
        router = router_of(log, "from both")
        assert router.route("How do I reset my password?").cached
        assert observed(router) == [("How do I reset my password?", explored, explored)]
        assert 0 < explored < 60


def test_each_of_two_processes_hears_what_the_other_one_learned(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with Log(path) as log:
        router = router_of(log, "from other")
        router.route("How do I reset my password?")
        log.flush()
        other = Process("other", path, PER_ENTRY)
        try:
            explored = sum(not other.ask(text)[1] for text in nearby(20))
            assert other.end() == 0
        finally:
            other.kill()
        assert router.route("How do I reset my password?").cached
        assert observed(router) == [("How do I reset my password?", explored, explored)]


def test_of_a_large_namespace_only_the_latest_that_memory_holds_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.duckdb"
    texts = [f"{'abcdefghijklmnopqrst'[i] * 12} question" for i in range(20)]
    with Log(path) as log:
        ask(log, *texts, cache={"semantic": LEXICAL})
    with Log(path) as log:
        read: list[str] = []
        recall = Log.recall

        def counted(self: Log, **wanted: Any) -> Any:
            read.extend(wanted.get("run_ids", ()))
            return recall(self, **wanted)

        monkeypatch.setattr(Log, "recall", counted)
        answers = ask(log, *texts[-5:], *texts[:2], said="new", cache={"semantic": LEXICAL, "size": 5})
        assert [a.cached for a in answers] == [True] * 5 + [False] * 2
        assert len(read) == 5


def test_what_another_log_forgot_is_not_given_after_a_merge(tmp_path: Path) -> None:
    cache = {**BOTH, "namespace": "theirs"}
    with Lab(tmp_path / "theirs.duckdb", fleet=fleet({"m": Scripted("old")})) as lab:
        lab.router(config(cache)).route("hi there")
        lab.forget("theirs")
        lab.router(config(cache)).route("something else entirely")
    with Log(tmp_path / "mine.duckdb") as log:
        ask(log, "a question of mine", cache=BOTH)
        router = Router(config(cache), fleet=fleet({"m": Scripted("new")}), log=log)
        log.merge(tmp_path / "theirs.duckdb")
        answers = router.many(["something else entirely", "hi there", "hi there!"], jobs=1)
        assert [(a.text, a.cached) for a in answers] == [("old", True), ("new", False), ("new", True)]
        assert ask(log, "a question of mine", said="no", cache=BOTH)[0].cached


def test_what_one_process_forgets_the_other_has_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    other = Process("other", path)
    try:
        assert other.ask("hello there")[1] is False
        assert other.ask("hello there")[1] is True
        with Lab(path, fleet=fleet({"m": Scripted("x")})) as lab:
            lab.forget()
        assert other.ask("hello there")[1] is False
        assert other.end() == 0
    finally:
        other.kill()


def test_a_damaged_index_folder_is_set_aside_and_made_again(tmp_path: Path) -> None:
    """C3: the index is disposable; the log is the truth."""
    pytest.importorskip("chromadb")
    cache = {"semantic": {**LEXICAL, "index": {"kind": "chroma", "folder": str(tmp_path / "index")}}}
    texts = [f"{'abcdefghijklmnopqrstuvwxyz'[i % 26] * (3 + i // 26)} question {i}" for i in range(200)]
    script = Process("first", tmp_path / "log.duckdb", {"semantic": {**cache["semantic"], "threshold": 1.0}}, "late")
    try:
        for text in texts:
            script.ask(text)
        assert script.end() == 0
    finally:
        script.kill()
    damaged = [p for p in (tmp_path / "index").rglob("*") if p.is_file() and p.suffix in (".sqlite3", ".bin")]
    assert damaged
    for path in damaged:
        path.write_bytes(b"no index at all" * 100)
    with Log(tmp_path / "log.duckdb") as log:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            answers = ask(log, *(f"{text}?" for text in texts[:5]), said="no", cache=cache)
        assert [(a.text, a.cached) for a in answers] == [("from first", True)] * 5
        assert len([w for w in said if not issubclass(w.category, (DeprecationWarning, ResourceWarning))]) <= 1


def test_the_events_say_what_each_level_did(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Log(tmp_path / "log.duckdb") as log:
            [answer] = ask(log, "hello")
            stored = log.run(answer.id)
    assert stored is not None
    assert [(e.cache, e.key) for e in stored.events if isinstance(e, Missed)] == [
        (e.cache, e.key) for e in stored.events if isinstance(e, Remembered)
    ]
    assert stored.events == answer.run.events
