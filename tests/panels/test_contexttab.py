"""The Context tab: conversations of the log and of the shelf, policies beside each other, turns opened, fits listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from cached import HOSTILE, elements, read, settled

from routelab.config import RouteConfig
from routelab.core.values import Message
from routelab.fleet import Fleet
from routelab.lab.contexts.dialogues import planted
from routelab.lab.session import Lab
from routelab.panels.context import Context
from routelab.panels.contextlog import EMPTY, Fits
from routelab.panels.contextlook import Look
from routelab.panels.contextplaying import presets
from routelab.panels.contextsources import dialogue_of, sources
from routelab.testing import Scripted, fleet

DIALOGUE = planted()[0]


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(fleet=Fleet.practice(latency=0)) as lab:
        yield lab


def talked(lab: Lab, policy: Mapping[str, Any], *, arm: str, requests: int = 12, model: str = "gpt-5-mini") -> None:
    lab.arms[arm] = RouteConfig(
        name=arm,
        models=[model],
        strategy={"kind": "fixed", "model": model},
        context=policy,
    )
    router = lab.router(arm).with_setting(arm=arm)
    for end in DIALOGUE.requests()[:requests]:
        router.route(list(DIALOGUE.messages[:end]))


def opened(lab: Lab) -> Look:
    look = Look(lab.desk)
    return ready(look)


def ready(look: Look) -> Look:
    while True:
        count = len(look.jobs)
        settled(*look.jobs)
        if len(look.jobs) == count:
            return look


def test_without_a_log_a_dialogue_that_ships_is_played_at_once_with_its_facts(lab: Lab) -> None:
    look = opened(lab)
    assert look.shown is not None
    assert [t.name for t in look.shown.items] == list(look.policies.value)
    assert look.picture.chart is not None
    assert look.which.value.startswith(f"{DIALOGUE.id}: ")
    still = look.panel.still()["text/plain"]
    assert "policies over the same conversation" in still
    assert f"of {len(DIALOGUE.facts)}" in still


def test_what_the_log_did_stands_beside_what_another_policy_would_have_done(lab: Lab) -> None:
    talked(lab, {"kind": "window", "turns": 6}, arm="narrow")
    look = opened(lab)
    assert ", narrow: 12 requests" in look.which.value
    assert look.model.value == "gpt-5-mini"
    assert look.shown is not None
    assert [t.name for t in look.shown.items] == ["log: window, narrow"]
    look.policies.value = ("arm narrow", "none")
    ready(look)
    log, again, whole = look.shown.items
    assert [m.after for m in log.moments] == [m.after for m in again.moments]
    assert [m.fates for m in log.moments] == [m.fates for m in again.moments]
    assert [m.states for m in log.moments] == [m.states for m in again.moments]
    assert (whole.saved, len(whole.dialogue.facts)) == (0.0, len(log.dialogue.facts))


def test_an_arm_that_summarises_shows_what_its_summaries_cost(lab: Lab) -> None:
    talked(
        lab, {"kind": "summarise", "model": "gemini-flash", "limit": 600, "max_tokens": 120}, arm="folds", requests=20
    )
    look = opened(lab)
    assert look.shown is not None
    [log] = look.shown.items
    folds = [m for m in log.moments if m.paid]
    spent = lab.log.query("select sum(cost_usd) from spend_by_day where what = 'summarising'")[0][0]
    assert folds
    assert log.cost_usd == pytest.approx(spent)
    assert log.simulated


def test_a_turn_that_is_opened_tells_its_text_and_what_became_of_it(lab: Lab) -> None:
    look = opened(lab)
    look.policies.value = ("none", "window, 10 turns")
    ready(look)
    look.at.value = 1
    look._open(1)
    story = read(look.turn.value)
    assert DIALOGUE.messages[1].content[:30] in story
    assert "left out from request" in story
    assert "sent from request 1" in story
    assert "turn 2, user" in look.panel.still()["text/plain"]
    look.close.click()
    assert look.opened is None
    assert "turn 2, user" not in look.panel.still()["text/plain"]


def test_the_turns_are_those_of_the_request_that_the_slider_is_at(lab: Lab) -> None:
    look = opened(lab)
    look.at.value = 2
    assert look.listing.total == DIALOGUE.requests()[1]
    look.at.value = look.at.max
    assert look.listing.total == DIALOGUE.requests()[-1]


def test_an_own_policy_is_played_and_one_that_cannot_be_used_is_one_line(lab: Lab) -> None:
    look = opened(lab)
    look.own.value = "{kind: window, turns: 3}"
    ready(look)
    assert look.shown is not None
    assert look.shown.items[-1].spec == {"kind": "window", "turns": 3}
    look.own.value = "{kind: windo, turns: 3}"
    assert "did you mean 'window'" in look.line.text
    look.own.value = "{"
    assert "not YAML" in look.line.text


def test_more_than_four_policies_are_refused_in_one_line(lab: Lab) -> None:
    look = opened(lab)
    look.policies.value = look.policies.options[:5]
    assert look.line.text == "✗ 5 policies are chosen"


def test_a_smaller_room_makes_requests_fail_and_says_so(lab: Lab) -> None:
    look = opened(lab)
    look.policies.value = ("none",)
    look.room.value = 200
    ready(look)
    assert look.shown is not None
    assert "did not fit" in look.shown.table().rows[0][1]
    assert "(all lost)" in look.shown.table().rows[0][4]


def test_a_model_that_is_paid_is_asked_only_when_told() -> None:
    with Lab(fleet=fleet({"real": Scripted("A summary of sorts.")})) as lab:
        look = opened(lab)
        name = next(n for n in look.policies.options if n.startswith("summarise"))
        look.policies.value = (name,)
        ready(look)
        asked = lab.log.query("select count(*) from calls")
        look.writer.value = "real"
        assert look.line.text == "real writes the summaries and is paid for it: press Play"
        assert lab.log.query("select count(*) from calls") == asked == [(0,)]
        look.play.click()
        ready(look)
        assert look.shown is not None
        assert len(look.shown.items[0].paid) == lab.log.query("select count(*) from calls")[0][0] > 0


def test_messages_of_the_notebook_are_conversations_and_other_lists_are_not() -> None:
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    found = dialogue_of("talk", talk)
    assert found is not None
    assert [m.content for m in found.messages] == ["a", "b", "c"]
    assert dialogue_of("talk", [Message(role="user", content="a"), Message(role="user", content="b")]) is not None
    for other in (
        [1, 2],
        ["a", "b"],
        [{"role": "user"}],
        talk[:1],
        {"a": 1},
        "text",
        [{"role": "x", "content": "y"}] * 2,
    ):
        assert dialogue_of("other", other) is None


def test_every_conversation_has_a_title_of_its_own(lab: Lab) -> None:
    talked(lab, {"kind": "window", "turns": 6}, arm="one", requests=3)
    talked(lab, {"kind": "window", "turns": 8}, arm="two", requests=3)
    titles = list(sources(lab.desk))
    assert len(titles) == 2 + len(planted())
    assert ", two: 3 requests" in titles[0]


def test_limits_of_the_policies_to_begin_with_are_within_the_conversation() -> None:
    assert {spec["limit"] for spec in presets(4_000).values() if "limit" in spec} == {2_000}
    assert {spec["limit"] for spec in presets(10).values() if "limit" in spec} == {300}


# What was fitted


def test_an_empty_log_says_how_to_turn_a_policy_on(lab: Lab) -> None:
    fits = Fits(lab.desk, lambda _: False)
    assert EMPTY in read(fits.summary.value)
    assert EMPTY in fits.panel.still()["text/plain"]


def test_fits_are_listed_with_what_they_took_away_and_counted_by_arm(lab: Lab) -> None:
    talked(lab, {"kind": "window", "turns": 6}, arm="narrow")
    talked(
        lab, {"kind": "summarise", "model": "gemini-flash", "limit": 400, "max_tokens": 100}, arm="folds", requests=14
    )
    fits = Fits(lab.desk, lambda _: False)
    before, after = lab.log.query(
        "select sum(cast(payload ->> '$.tokens_before' as int)), sum(cast(payload ->> '$.tokens_after' as int)) from events where kind = 'compacted'"
    )[0]
    assert (
        f"26 fits (all simulated) · {_shorter(lab)} took something away: {before:,} → {after:,} tokens in all"
        in fits._said
    )
    assert len(fits.rows) == 20
    text = fits.panel.still()["text/plain"]
    assert "narrow (simulated)" in text
    assert "by gemini-flash" in text
    assert "what policies did, by arm" in text


def _shorter(lab: Lab) -> int:
    return int(
        lab.log.query(
            "select count(*) from events where kind = 'compacted' and cast(payload ->> '$.tokens_after' as int) < cast(payload ->> '$.tokens_before' as int)"
        )[0][0]
    )


def test_a_fit_that_is_opened_shows_its_conversation(lab: Lab) -> None:
    talked(lab, {"kind": "window", "turns": 6}, arm="one", requests=4)
    talked(lab, {"kind": "window", "turns": 8}, arm="two", requests=4)
    tab = Context(lab.desk)
    ready(tab.look)
    tab.which.value = "What was fitted"
    place = next(i for i, row in enumerate(tab.fits.rows) if row[2] == "one")
    tab.fits.listing._buttons[place].click()
    assert tab.which.value == "On a conversation"
    ready(tab.look)
    assert tab.look.shown is not None
    assert tab.look.shown.items[0].name == "log: window, one"


def test_a_run_by_itself_is_no_conversation_and_the_line_says_where_to_look(lab: Lab) -> None:
    talked(lab, {"kind": "window", "turns": 6}, arm="one", requests=1)
    tab = Context(lab.desk)
    tab.fits.listing._buttons[0].click()
    assert "the Log tab has its trace" in tab.fits.line.text


def test_hostile_texts_are_only_text() -> None:
    with Lab(fleet=fleet({"m": Scripted(HOSTILE)})) as lab:
        lab.arms[HOSTILE] = RouteConfig(
            name="bad", models=["m"], strategy={"kind": "fixed", "model": "m"}, context={"kind": "window", "turns": 1}
        )
        router = lab.router(HOSTILE).with_setting(arm=HOSTILE)
        talk = [{"role": "user", "content": HOSTILE}]
        for _ in range(3):
            router.route([Message(**m) for m in talk])  # type: ignore[arg-type]
            talk = [*talk, {"role": "assistant", "content": HOSTILE}, {"role": "user", "content": HOSTILE}]
        tab = Context(lab.desk)
        look = ready(tab.look)
        look._open(0)
        for value in (look.turn.value, look.table.value, tab.fits.arms.value, tab.panel.still()["text/html"]):
            assert not elements(value) & {"script", "img"}
        assert "alert(1)" in read(look.turn.value)
        assert "<img" not in str(look.picture.chart.figure if look.picture.chart else "")
