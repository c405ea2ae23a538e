"""A conversation request by request: counts add up, folds stand where they happened, and facts live and die as the bench says."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

import pytest

from routelab.context import Hybrid, Room, Span, Summarise, Summary, Whole, Window
from routelab.core.errors import ConfigError
from routelab.core.events import Compacted, Failed
from routelab.core.run import Run
from routelab.core.values import Message, Prompt, Tokens
from routelab.lab.charts import chart
from routelab.lab.charts.timeline import Timelines, context_timeline, held_text, lost_text
from routelab.lab.contexts.conversations import conversations, of_runs
from routelab.lab.contexts.dialogues import Dialogue, Fact, planted
from routelab.lab.contexts.retention import retained
from routelab.lab.contexts.timeline import Timeline, timeline

ROOM = Room(limit=None, count=lambda text: len(text.split()), per_message=0, per_request=0, name="m")
NARROW = dataclasses.replace(ROOM, limit=12)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def bot(text: str) -> Message:
    return Message(role="assistant", content=text)


MESSAGES = (
    user("my gate code is 4711"),
    bot("I will remember that"),
    user("what is a good soup"),
    bot("tomato soup is good"),
    user("and a good bread"),
)
FACT = Fact(id="gate", at=0, how="plain", answer="4711", about=("code",), question="what is my code")
TALK = Dialogue(id="talk", messages=MESSAGES, facts=(FACT,), group="talk")


def tell(span: Span) -> Summary:
    """Keep nothing but the first words, as a summariser that costs 3 tokens of a cent each."""
    return Summary(
        text="a gate was mentioned",
        model=span.model,
        tokens=Tokens(input=20, output=4, source="estimate"),
        cost_usd=0.01,
        simulated=True,
    )


def test_without_a_policy_everything_is_sent_and_every_fact_lives() -> None:
    found = timeline(Whole(), TALK, ROOM, name="all")
    assert [(m.end, m.before, m.after, m.kept, m.dropped) for m in found.moments] == [
        (1, 5, 5, 5, 0),
        (3, 14, 14, 14, 0),
        (5, 22, 22, 22, 0),
    ]
    assert (found.tokens, found.whole, found.saved) == (41, 41, 0.0)
    assert [m.states for m in found.moments] == [("verbatim",)] * 3
    assert (found.states, found.lost, held_text(found), lost_text(found)) == (("verbatim",), (), "1 of 1", "–")


def test_a_window_drops_and_says_when_each_turn_and_fact_went() -> None:
    found = timeline(Window(turns=2), TALK, ROOM)
    assert [m.dropped for m in found.moments] == [0, 9, 18]
    assert [m.states for m in found.moments] == [("verbatim",), ("lost",), ("lost",)]
    assert found.fate(0) == [(1, "kept"), (2, "dropped")]
    assert found.fate(4) == [(3, "kept")]
    assert found.lost == (FACT,)
    assert held_text(found) == "0 of 1 (all lost)"
    assert lost_text(found) == "4711 (plain)"


def test_a_fold_is_paid_once_and_stands_at_its_request() -> None:
    policy = Summarise(model="s", limit=18, trigger=0.5, keep_last=1, max_tokens=4)
    found = timeline(policy, TALK, ROOM, tell)
    assert [len(m.paid) for m in found.moments] == [0, 1, 1]
    assert found.summary_tokens == (40, 8)
    assert found.cost_usd == pytest.approx(0.02)
    assert found.simulated
    assert [(m.limit, m.trigger) for m in found.moments] == [(18, 9.0)] * 3
    assert found.moments[1].text.endswith("a gate was mentioned")
    assert found.moments[1].fates == ("summarised", "summarised", "kept")
    assert found.saved == pytest.approx(1 - ((found.tokens or 0) + 40) / 41)


def test_an_unknown_cost_of_a_summary_is_unknown_in_the_sum() -> None:
    policy = Summarise(model="s", limit=12, keep_last=1, max_tokens=4)
    found = timeline(policy, TALK, ROOM, lambda span: dataclasses.replace(tell(span), cost_usd=None))
    assert found.cost_usd is None
    assert "?" in Timelines(items=(found,)).table().rows[0][6]


def test_a_request_that_fits_nowhere_is_not_sent_and_loses_everything() -> None:
    found = timeline(Whole(), TALK, NARROW)
    assert [(m.sent, m.dropped) for m in found.moments] == [(True, 0), (False, 14), (False, 22)]
    assert "nothing was sent" in found.moments[1].error
    assert found.tokens == 5
    assert found.saved == 0.0
    assert held_text(found) == "0 of 1 (all lost)"
    assert Timelines(items=(found,)).table().rows[0][1] == "3 (2 did not fit)"


def test_the_parts_of_every_request_add_up_over_the_dialogues_that_ship() -> None:
    policies = [Window(turns=9), Window(tokens=400, pin=("tool",)), Hybrid(limit=600, facts=120)]
    for dialogue in planted()[::7]:
        for policy in policies:
            found = timeline(policy, dialogue, ROOM)
            assert len(found.moments) == len(dialogue.requests())
            for m in found.moments:
                assert m.kept + m.note == m.after
                assert m.kept + m.summarised + m.dropped == m.before
                assert len(m.fates) == m.end


def test_what_is_held_at_the_end_is_what_the_bench_of_retention_says() -> None:
    policy = Hybrid(limit=600, facts=120)
    for dialogue in planted()[::9]:
        found = timeline(policy, dialogue, ROOM)
        bench = retained("h", policy, [dialogue], ROOM)
        assert found.probes == bench.probes[0]
        assert found.tokens == bench.bills[0].input


def test_a_corrected_fact_of_which_the_old_value_is_left_is_stale() -> None:
    fact = dataclasses.replace(FACT, at=2, answer="1234", stale="4711")
    talk = Dialogue(
        id="t",
        messages=(user("my code is 4711"), bot("fine"), user("no, my code is 1234"), bot("fine"), user("bye")),
        facts=(fact,),
    )
    policy = Summarise(model="s", limit=16, trigger=0.5, keep_last=1, max_tokens=9)
    found = timeline(policy, talk, ROOM, lambda span: dataclasses.replace(tell(span), text="my code is 4711"))
    assert found.moments[-1].states == ("stale",)
    assert found.lost == (fact,)


def test_a_summariser_that_nobody_gave_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="nothing was given that reaches it"):
        timeline({"kind": "summarise", "model": "s", "limit": 12, "keep_last": 1}, TALK, ROOM)


def test_the_chart_has_a_pane_a_policy_and_a_row_a_fact() -> None:
    policies = {
        "all": Whole(),
        "two": Window(turns=2),
        "fold": Summarise(model="s", limit=12, keep_last=1, max_tokens=4),
    }
    shown = Timelines(items=tuple(timeline(p, TALK, ROOM, tell, name=n) for n, p in policies.items()))
    drawn = chart("context timeline", shown)
    assert drawn.title == "Context of talk · simulated"
    assert [row[0] for row in drawn.table.rows] == ["all", "two", "fold"]
    bars = [t for t in drawn.figure.data if t.type == "bar"]
    heats = [t for t in drawn.figure.data if t.type == "heatmap"]
    assert len(heats) == 3
    assert [list(row) for row in heats[1].z] == [[0, 3, 3, None, 3]]
    assert [list(row) for row in heats[1].text] == [["", "×", "×", "", "×"]]
    sent = {b.yaxis: list(b.y) for b in bars if b.name == "sent as it was said"}
    assert next(iter(sent.values())) == [5, 14, 22]
    assert any(t.name == "folded: a summary was written" for t in drawn.figure.data)


def test_hostile_texts_are_only_text_in_the_chart() -> None:
    bad = "<img src=x onerror=alert(1)> $x$"
    talk = Dialogue(
        id=bad,
        messages=(user(f"{bad} code"), bot(bad), user(bad)),
        facts=(dataclasses.replace(FACT, answer=bad, question=bad),),
    )
    figure = str(context_timeline(Timelines(items=(timeline(Whole(), talk, ROOM, name=bad),))).figure)
    assert "<img" not in figure


def test_a_chart_of_nothing_says_so() -> None:
    assert context_timeline(Timelines(items=())).caption == "no policy was chosen"


# The log's conversations


def logged(end: int, *, arm: str = "a", run_id: str = "", at_s: float = 0.0, **event: object) -> Run:
    events = (Compacted(policy="window", messages=MESSAGES[:end], **event),) if event else ()  # type: ignore[arg-type]
    return Run(
        id=run_id or f"{arm}{end}",
        prompt=Prompt.of(MESSAGES[:end]),
        started_at=datetime(2026, 11, 22) + timedelta(seconds=at_s),
        arm=arm,
        events=events,
    )


def test_runs_that_continue_each_other_are_a_conversation_and_arms_stay_apart() -> None:
    other = Run(id="x", prompt=Prompt.of([user("else"), bot("y"), user("z")]), started_at=datetime(2026, 11, 22))
    runs = [logged(5, at_s=9), logged(1), logged(3, at_s=3), logged(1, arm="b"), logged(5, arm="b", at_s=20), other]
    assert [[r.id for r in chain] for chain in conversations(runs)] == [["b1", "b5"], ["a1", "a3", "a5"]]


def test_what_the_log_says_of_a_fit_is_what_is_shown() -> None:
    messages = (user("Summary of the conversation so far:\na code 4711 was told"), *MESSAGES[2:])
    folded = Compacted(
        policy="summarise",
        messages=messages,
        tokens_before=22,
        tokens_after=17,
        summarised=(0, 1),
        models=("m",),
        summarisers=("s", "s"),
        tokens=Tokens(input=30, output=5),
        cost_usd=0.25,
        simulated=True,
    )
    runs = [logged(1), dataclasses.replace(logged(5), events=(folded,))]
    found = of_runs("log", runs, ROOM, facts=[FACT])
    assert isinstance(found, Timeline)
    assert found.name == "log: summarise, a"
    first, last = found.moments
    assert (first.after, first.states) == (5, ("verbatim",))
    assert (last.before, last.after, last.kept, last.summarised) == (22, 17, 13, 9)
    assert (last.fates[:3], last.states, last.models) == (("summarised", "summarised", "kept"), ("note",), ("m",))
    assert (len(found.paid), found.summary_tokens, found.cost_usd, found.simulated) == (2, (30, 5), 0.25, True)


def test_positions_behind_what_a_config_put_in_front_are_moved() -> None:
    system = Message(role="system", content="be brief")
    rendered = Compacted(policy="system", messages=(system, *MESSAGES), head=1)
    fitted = Compacted(
        policy="window", messages=(system, *MESSAGES[3:]), tokens_before=24, tokens_after=10, head=1, dropped=(1, 2, 3)
    )
    run = dataclasses.replace(logged(5), events=(rendered, fitted))
    [moment] = of_runs("log", [run], ROOM).moments
    assert moment.fates == ("dropped", "dropped", "dropped", "kept", "kept")
    assert moment.dropped == 14


def test_a_run_that_failed_was_not_sent() -> None:
    run = dataclasses.replace(logged(5), events=(Failed(stage="fit", error="ContextExceeded", message="too long"),))
    [moment] = of_runs("log", [run], ROOM).moments
    assert (moment.sent, moment.error) == (False, "too long")
