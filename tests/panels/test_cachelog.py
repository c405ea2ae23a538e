"""What the caches did: the log's own figures, by arm, hit by hit and miss by miss."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from cached import HOSTILE, elements, kept, read, settled

from routelab.core.errors import RateLimited
from routelab.fleet import Fleet
from routelab.lab.session import Lab
from routelab.panels.cachelog import EMPTY, Did, age, arms, hits, misses, over_time
from routelab.testing import Scripted, fleet

ON, OFF, HOW = "How do I turn on the printer?", "How do I turn off the printer?", "How can I turn on the printer?"


@pytest.fixture
def lab() -> Iterator[Lab]:
    answers = {"good": Scripted("four"), "bad": Scripted(RateLimited("slow down"))}
    with Lab(fleet=fleet(answers)) as lab:
        yield lab


def asked(lab: Lab, *texts: str, arm: str = "kept") -> None:
    router = lab.router(kept(lab, arm, threshold=0.7)).with_setting(arm=arm)
    for text in texts:
        router.route(text)


def test_an_empty_log_says_how_to_turn_a_cache_on(lab: Lab) -> None:
    did = Did(lab.desk)
    assert EMPTY in did.panel.still()["text/plain"]
    assert did.chart.disabled


def test_each_arm_s_hits_are_counted_by_level(lab: Lab) -> None:
    asked(lab, ON, ON, HOW, OFF)
    asked(lab, "a new thing", arm="other")
    found = {row[0]: row for row in arms(lab.log.query).rows}
    assert found["kept"][1:6] == ("4", "2", "50.0 %", "1 + 1", "0")
    assert found["other"][1:6] == ("1", "0", "0.0 %", "0 + 0", "0")
    saved = lab.log.query("select sum(saved_usd) from cache_hits")[0][0]
    assert saved is not None
    assert found["kept"][6].startswith("$")


def test_hits_and_misses_say_what_the_answer_was_given_to_and_what_was_objected(lab: Lab) -> None:
    asked(lab, ON, ON, HOW, OFF, "What is the capital of France?")
    semantic, exact = hits(lab.log.query).rows
    assert (exact[2], exact[3], exact[6], exact[7]) == ("exact", "1.000", ON, "the same")
    assert (semantic[2], semantic[6], semantic[7]) == ("semantic", HOW, ON)
    far, off, first = misses(lab.log.query).rows
    assert (far[3], far[4]) == ("too far", "What is the capital of France?")
    assert off[3].startswith("polarity: ")
    assert (off[4], off[5]) == (OFF, ON)
    assert (first[2], first[3], first[4]) == ("–", "not known", ON)


def test_stale_hits_are_told_and_save_no_money(lab: Lab) -> None:
    config = kept(lab, threshold=0.7)
    config = dataclasses.replace(config, cache=dataclasses.replace(config.cache, ttl_s=1e-3, stale_s=3600.0))
    router = lab.router(config).with_setting(arm="kept")
    router.route(ON)
    requests = 2
    while not (answer := router.route(ON)).cached or answer.run.recalled is None or not answer.run.recalled.stale:
        requests += 1
    lab.memory.close()
    row = arms(lab.log.query).rows[0]
    # The refresh that the stale answer set off is no request.
    assert lab.log.query("select count(*) from runs") == [(requests + 1,)]
    assert row[1] == str(requests)
    assert row[5] == "1"
    assert row[6] == "$0" or row[6] == "?"
    assert any(", stale" in hit[4] for hit in hits(lab.log.query).rows)


def test_what_happened_over_time_adds_up_to_the_runs_that_asked(lab: Lab) -> None:
    asked(lab, ON, ON, HOW, OFF)
    shown = over_time(lab.log.query)
    assert "4 runs that asked a cache; exact 25.0 %, semantic 25.0 %, miss 50.0 %" in shown.caption
    did = Did(lab.desk)
    did.chart.click()
    settled(*did.jobs)
    assert did.picture.chart is not None
    assert did.line.text == ""


def test_practice_answers_say_that_they_are_simulated() -> None:
    with Lab(fleet=Fleet.practice(latency=0)) as lab:
        config = dataclasses.replace(
            kept(lab, threshold=0.7), models=("qwen-local",), strategy={"kind": "fixed", "model": "qwen-local"}
        )
        router = lab.router(config).with_setting(arm="kept")
        for text in (ON, ON):
            router.route(text)
        assert arms(lab.log.query).rows[0][0] == "kept (simulated)"
        assert hits(lab.log.query).caption == "the latest hits (all simulated)"
        assert "(simulated)" in over_time(lab.log.query).title


def test_the_panel_reads_the_log_again_when_asked(lab: Lab) -> None:
    did = Did(lab.desk)
    asked(lab, ON, ON)
    did.refresh.click()
    assert "the latest hits" in read(did._body.value)
    assert "the latest hits" in did.panel.still()["text/plain"]


def test_hostile_texts_are_only_text(lab: Lab) -> None:
    asked(lab, HOSTILE, HOSTILE, arm="kept")
    did = Did(lab.desk)
    for value in (did._body.value, did.panel.still()["text/html"]):
        assert not elements(value) & {"script", "img"}
    assert "alert(1)" in read(did._body.value)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "?"),
        (0.05, "50 ms"),
        (59.0, "59.0 s"),
        (599.0, "599 s"),
        (3000.0, "50.0 min"),
        (7200.0, "2.0 h"),
        (864_000.0, "10.0 days"),
    ],
)
def test_ages_are_told_in_the_largest_unit_that_fits(seconds: float | None, said: str) -> None:
    assert age(seconds) == said
