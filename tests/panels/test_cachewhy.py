"""Why something was a hit: what the panel says against what the live cache does, in every way in which two requests can differ."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from cached import HOSTILE, elements, kept, read, settled
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.caching import SemanticConfig
from routelab.config import PromptConfig, RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.events import Missed, Recalled
from routelab.core.values import Message, Prompt
from routelab.engine import SystemClock
from routelab.lab.session import Lab
from routelab.panels.cacheprobe import Explained, between, different, happened, probed
from routelab.panels.cachewhy import SAYS, Why
from routelab.testing import Scripted, fleet

ON, OFF, HOW = "How do I turn on the printer?", "How do I turn off the printer?", "How can I turn on the printer?"


class Later:
    """The machine's clock, so many seconds ahead."""

    def __init__(self, seconds: float) -> None:
        self._ahead = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return SystemClock().now() + self._ahead

    def monotonic(self) -> float:
        return SystemClock().monotonic()

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps here")


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(fleet=fleet({"good": Scripted("four"), "cheap": Scripted("five")})) as lab:
        yield lab


def under(**given: Any) -> SemanticConfig:
    return SemanticConfig(**{"threshold": 0.7, "embedder": "lexical", **given})


def facts(found: Explained) -> dict[str, str]:
    return {row[0]: row[1] for row in found.facts.rows}


def test_a_rewording_is_a_hit_and_an_opposite_a_miss_with_the_guard_s_objection() -> None:
    hit = between(HOW, ON, under(), SystemClock())
    assert (hit.hit, hit.words) == (True, "A hit.")
    miss = between(OFF, ON, under(), SystemClock())
    assert not miss.hit
    assert miss.words.startswith("A miss: the guard objects to polarity")
    assert facts(miss)["guard"].startswith("polarity")
    assert between(OFF, ON, under(guard="none"), SystemClock()).hit


def test_below_the_threshold_is_a_miss_that_says_both_numbers() -> None:
    found = between("What is the capital of France?", ON, under(), SystemClock())
    assert not found.hit
    assert "is below the threshold of 0.7000" in found.words
    assert facts(found)["similarity"] in found.words


def test_the_same_text_is_a_hit_at_any_threshold() -> None:
    found = between(ON, ON, under(threshold=1.0), SystemClock())
    assert (found.hit, facts(found)["similarity"], facts(found)["text"]) == (True, "1.0000", "the same")


def test_a_judge_is_named_and_not_asked() -> None:
    found = between(HOW, ON, under(guard={"kind": "judge", "model": "wise"}), SystemClock())
    assert (found.hit, found.words) == (True, "A hit, if the judge wise finds that it fits (nobody asked it here).")


def test_an_empty_question_is_refused() -> None:
    with pytest.raises(ConfigError, match="two questions are wanted"):
        between("", ON, under(), SystemClock())


WORDS = st.lists(
    st.sampled_from(["how", "do", "i", "turn", "on", "off", "the", "printer", "5", "6", "not", "red"]),
    min_size=1,
    max_size=7,
).map(" ".join)


@settings(max_examples=25, deadline=None)
@given(asked=WORDS, known=WORDS, guard=st.sampled_from(["none", "lexical"]), threshold=st.sampled_from([0.3, 0.6, 0.9]))
def test_what_it_says_of_two_questions_is_what_a_router_does(
    asked: str, known: str, guard: str, threshold: float
) -> None:
    said = between(asked, known, under(guard=guard, threshold=threshold), SystemClock())
    with Lab(fleet=fleet({"good": Scripted("four")})) as lab:
        router = lab.router(kept(lab, guard=guard, threshold=threshold))
        router.route(known)
        assert router.route(asked).cached == said.hit


def test_an_arm_s_cache_says_what_its_router_would_do_and_nobody_is_asked(lab: Lab) -> None:
    config = kept(lab, threshold=0.7)
    lab.router(config).with_setting(arm="kept").route(ON)
    before = lab.log.query("select count(*) from runs")
    for question in (ON, HOW, OFF, "What is the capital of France?"):
        found = probed(lab.desk, config, question, SystemClock())
        assert found.entries is not None
        assert found.entries.rows[0][1] == ON
        assert found.entries.rows[0][2] == "equal"
        assert found.hit == (question in (ON, HOW))
    assert lab.log.query("select count(*) from runs") == before
    assert lab.router(config).route(HOW).cached


def test_an_exact_hit_is_told_apart_from_a_semantic_one(lab: Lab) -> None:
    config = kept(lab, threshold=0.7)
    run = lab.router(config).route(ON).run
    assert (
        probed(lab.desk, config, ON, SystemClock()).words
        == f"A hit of the exact cache: the answer of run {run.id[:8]}."
    )
    assert "semantic cache" in probed(lab.desk, config, HOW, SystemClock()).words


def test_what_is_too_old_is_told_stale_or_expired(lab: Lab) -> None:
    from dataclasses import replace

    config = kept(lab, threshold=0.7)
    config = replace(config, cache=replace(config.cache, ttl_s=60.0, stale_s=60.0))
    lab.router(config).route(ON)
    fresh, stale, expired = (probed(lab.desk, config, ON, Later(s)) for s in (1, 90, 200))
    assert (fresh.hit, stale.hit, expired.hit) == (True, True, False)
    assert "which is stale and would be asked for anew" in stale.words
    assert [found.entries.rows[0][4].split(", ")[1:] for found in (fresh, stale, expired)] == [
        [],
        ["stale"],
        ["expired"],
    ]  # type: ignore[union-attr]


def test_what_was_forgotten_is_no_hit_and_says_so(lab: Lab) -> None:
    config = kept(lab, threshold=0.7)
    lab.router(config).route(ON)
    lab.forget()
    found = probed(lab.desk, config, ON, SystemClock())
    assert not found.hit
    assert found.entries is not None
    assert found.entries.rows[0][4] == "forgotten"


def test_the_part_of_the_namespace_that_differs_is_named(lab: Lab) -> None:
    config = kept(lab, threshold=0.7)
    router = lab.router(config)
    router.route(ON, system="Be kind.")
    router.route(ON, task="sums")
    router.route(
        [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": ON}]
    )
    router.route(Prompt(id="t", messages=(Message(role="user", content=ON),), tags={"tenant": "acme"}))
    other = RouteConfig(
        name="other", models=["cheap"], strategy={"kind": "fixed", "model": "cheap"}, cache=config.cache
    )
    lab.router(other).route(ON)
    found = probed(lab.desk, config, ON, SystemClock())
    assert not found.hit
    assert found.entries is not None
    assert {row[2] for row in found.entries.rows} == {
        "system text",
        "task",
        "earlier turns",
        "tag tenant",
        "the arm's config",
    }


def test_the_config_s_own_system_text_is_no_difference(lab: Lab) -> None:
    from dataclasses import replace

    config = replace(kept(lab, threshold=0.7), prompt=PromptConfig(system="Be brief."))
    lab.router(config).route(ON)
    found = probed(lab.desk, config, HOW, SystemClock())
    assert found.hit
    assert found.entries is not None
    assert found.entries.rows[0][2] == "equal"


PROMPTS = st.builds(
    Prompt,
    id=st.just("p"),
    messages=st.lists(
        st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=st.sampled_from("ab")),
        max_size=4,
    ).map(tuple),
    task=st.sampled_from([None, "sums"]),
    tags=st.dictionaries(st.sampled_from(["tenant", "tools", "colour"]), st.sampled_from("xy")),
)


@settings(max_examples=60, deadline=None)
@given(one=PROMPTS, other=PROMPTS)
def test_differences_are_the_same_both_ways_round_and_none_for_one_prompt(one: Prompt, other: Prompt) -> None:
    assert different(one, other) == different(other, one)
    assert different(one, one) == []
    assert "tag colour" not in different(one, other)


def test_hits_and_near_misses_of_the_log_are_listed_with_what_was_recorded(lab: Lab) -> None:
    router = lab.router(kept(lab, threshold=0.7)).with_setting(arm="kept")
    answers = [router.route(text) for text in (ON, HOW, OFF, ON)]
    found = happened(lab.log.query, lab.log.prompts)
    assert [(each.asked, each.known) for each in found] == [(ON, ON), (OFF, ON), (HOW, ON)]
    events = [answers[k].run.events[-1] for k in (3, 1)]
    assert all(isinstance(e, Recalled) for e in events)
    said = {row[0]: row[1] for row in found[2].facts.rows}
    hit = next(e for e in answers[1].run.events if isinstance(e, Recalled))
    assert said["similarity"] == f"{hit.similarity:.4f}"
    assert said["answer of run"] == answers[0].run.id[:8]
    missed = {row[0]: row[1] for row in found[1].facts.rows}
    miss = next(e for e in answers[2].run.events if isinstance(e, Missed) and e.objection)
    assert missed["guard"] == miss.objection


def test_a_hit_that_is_picked_fills_both_boxes_and_explain_holds_them_against_the_settings(lab: Lab) -> None:
    router = lab.router(kept(lab, threshold=0.7)).with_setting(arm="kept")
    for text in (ON, HOW):
        router.route(text)
    why = Why(lab.desk, lambda: None)
    assert len(why.latest.options) == 2
    why.latest.value = 0
    assert (why.question.value, why.other.value) == (HOW, ON)
    assert "a hit" in read(why._recorded.value)
    why.embedder.value, why.threshold.value = "lexical", 1.0
    why.explain.click()
    settled(*why.jobs)
    assert why.explained is not None
    assert not why.explained.hit
    assert read(why._body.value).startswith("✗ A miss: ")
    assert "recorded" in why.panel.still()["text/plain"]


def test_one_question_is_held_against_the_entries_of_the_arm_that_is_chosen(lab: Lab) -> None:
    kept(lab, threshold=0.7)
    lab.router("kept").with_setting(arm="kept").route(ON)
    why = Why(lab.desk, lambda: None)
    why.question.value = HOW
    why.explain.click()
    assert why.line.text == "✗ write two questions"
    why.arm.value = "kept"
    assert why.threshold.disabled
    why.explain.click()
    settled(*why.jobs)
    assert why.line.text == ""
    assert "A hit of the semantic cache" in read(why._body.value)
    assert "the nearest entries, whatever their namespace" in why.panel.still()["text/plain"]


def test_two_questions_under_an_arm_are_held_against_its_own_settings(lab: Lab) -> None:
    kept(lab, threshold=0.99)
    why = Why(lab.desk, lambda: None)
    why.arm.value = "kept"
    why.question.value, why.other.value = HOW, ON
    why.explain.click()
    settled(*why.jobs)
    assert "below the threshold of 0.9900" in read(why._body.value)


def test_as_chosen_takes_what_the_other_part_stands_at(lab: Lab) -> None:
    from routelab.panels.cacheground import Place

    why = Why(lab.desk, lambda: ("lexical", Place(guard="none", threshold=0.77, budget=0.01)))
    why.same.click()
    assert (why.embedder.value, why.guard.value, why.threshold.value) == ("lexical", "none", 0.77)
    nothing = Why(lab.desk, lambda: None)
    nothing.same.click()
    assert nothing.line.text == "✗ nothing was chosen yet"


def test_hostile_texts_are_only_text(lab: Lab) -> None:
    kept(lab, threshold=0.1, guard="none")
    router = lab.router("kept").with_setting(arm="kept")
    router.route(f"a {HOSTILE}")
    router.route(f"b {HOSTILE}")
    why = Why(lab.desk, lambda: None)
    why.latest.value = 0
    why.explain.click()
    settled(*why.jobs)
    why.other.value, why.arm.value = "", "kept"
    why.explain.click()
    settled(*why.jobs)
    assert why.explained is not None
    for value in (why._body.value, why._recorded.value, why.panel.still()["text/html"]):
        assert not elements(value) & {"script", "img"}
    assert all("\u202e" not in str(option) and "\x1b" not in str(option) for option in why.latest.options)


def test_before_anything_is_asked_it_says_what_it_is_for(lab: Lab) -> None:
    assert Why(lab.desk, lambda: None).panel.still()["text/plain"] == SAYS
