"""The table of gates: what a mapping may say, who judges by it, and what is refused at its line."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

from routelab import gates
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.events import Answered, Routed
from routelab.core.plan import Gate
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Judgement, Prompt, Tokens
from routelab.gates import All, Rule, gate_of, judge_of, kind_of
from routelab.gates.seen import Seen
from routelab.gates.several import InTurn
from routelab.scoring import Json, Nonempty
from routelab.testing.fakes import VirtualClock

CONFIG = """routelab: 1
name: c
models: [small, large]
strategy:
  kind: cascade
  gate:
{}
"""


def config(gate: str) -> RouteConfig:
    return RouteConfig.from_text(CONFIG.format("\n".join(f"    {line}" for line in gate.splitlines())), name="c.yaml")


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ("scorer: exact", "c.yaml:7: strategy.gate.scorer: a gate may not look at the reference, and 'exact' does"),
        ("scorer: number", "c.yaml:7: strategy.gate.scorer: a gate may not look at the reference, and 'number' does"),
        ("scorer: jsn", "c.yaml:7: strategy.gate.scorer: unknown 'jsn'; did you mean 'json'?"),
        ("scorer: json\nshema: {}", "c.yaml:8: strategy.gate.shema: unknown key; did you mean 'schema'?"),
        ("scorer: length\nmin_words: many", "c.yaml:8: strategy.gate.min_words: must be a whole number (got 'many')"),
        ("scorer: length\nmin_words: 0", "c.yaml:8: strategy.gate.min_words: must be at least 1, not 0"),
        (
            "scorer: regex\npattern: '('",
            "c.yaml:8: strategy.gate.pattern: “(” is not a regular expression (missing ) at position 1)",
        ),
        ("scorer: agreement\nk: 1", "c.yaml:8: strategy.gate.k: must be a whole number of at least 2, not 1"),
        ("scorer: agreement\nanswer: ''", "c.yaml:8: strategy.gate.answer: must be first, last or a model, not ''"),
        (
            "all:\n- scorer: nonempty\n- scorer: agreement\n  answer: first",
            "c.yaml:10: strategy.gate.all.1.answer: must be last here: the other gates may have refused an earlier answer",
        ),
        ("at_least: 1", "c.yaml:6: strategy.gate.scorer: is missing"),
        ("scorer: json\nrecorded: x", "c.yaml:8: strategy.gate.recorded: a gate has one of scorer, all, recorded"),
        ("recorded: ''", "c.yaml:7: strategy.gate.recorded: must be the name of a recorded score"),
        (
            "scorer: json\nat_least: most",
            "c.yaml:8: strategy.gate.at_least: must be a number, a mapping from models to numbers, or fit",
        ),
        (
            "scorer: json\nat_least: {smal: 1}",
            "c.yaml:8: strategy.gate.at_least.smal: 'smal' is not among `models`; did you mean 'small'?",
        ),
        ("all: []", "c.yaml:7: strategy.gate.all: must be a list of gates"),
        (
            "all:\n- scorer: nonempty\n- scorer: choice",
            "c.yaml:9: strategy.gate.all.1.scorer: a gate may not look at the reference, and 'choice' does",
        ),
        ("all:\n- scorer: nonempty\nk: 2", "c.yaml:9: strategy.gate.k: unknown key"),
    ],
)
def test_a_gate_that_cannot_be_used_is_refused_at_its_line(gate: str, message: str) -> None:
    with pytest.raises(ConfigError) as trouble:
        config(gate)
    assert trouble.value.message == message


@pytest.mark.parametrize(
    ("spec", "gate"),
    [
        ({"scorer": "nonempty"}, Gate(scorer="nonempty", at_least=1.0)),
        (
            {"scorer": "length", "min_words": 3, "at_least": 0.5},
            Gate(scorer="length", at_least=0.5, spec={"min_words": 3}),
        ),
        ({"scorer": "x", "at_least": {"a": 0.5}}, Gate(scorer="x", at_least=1.0, bars={"a": 0.5})),
        (
            {"recorded": "logprob", "at_least": -0.5},
            Gate(scorer="recorded", at_least=-0.5, spec={"recorded": "logprob"}),
        ),
        ({"all": [{"scorer": "nonempty"}]}, Gate(scorer="all", at_least=1.0, spec={"all": [{"scorer": "nonempty"}]})),
    ],
)
def test_a_mapping_becomes_a_gate(spec: dict[str, Any], gate: Gate) -> None:
    assert gate_of(spec) == gate


def test_a_gate_becomes_its_kind() -> None:
    assert kind_of(gate_of({"scorer": "json", "schema": {"type": "object"}})) == Rule(
        scorer=Json(schema={"type": "object"})
    )


def test_gates_with_other_settings_have_other_keys() -> None:
    specs = [{"scorer": "length", "min_words": k} for k in (1, 2)] + [{"scorer": "nonempty"}, {"recorded": "x"}]
    assert len({gate_of(spec).key for spec in specs}) == len(specs)


def test_a_recorded_score_says_that_it_judges_no_live_answer() -> None:
    with pytest.raises(ConfigError, match="'logprob' was recorded, and nothing gives it to new answers"):
        judge_of(gate_of({"recorded": "logprob"}))


def test_a_learned_gate_that_learned_nothing_says_so() -> None:
    with pytest.raises(ConfigError, match="learned, but not fitted yet"):
        judge_of(gate_of({"scorer": "learned"}))


def run(*texts: str) -> Run:
    made = Run(id="r", prompt=Prompt.of("What?"), started_at=datetime(2026, 1, 1))
    made = made.then(Routed(strategy="x", order=("a", "b", "c"), reason=""))
    for model, text in zip("abc", texts, strict=False):
        made = made.then(Answered(model=model, served_model=model, provider="p", text=text))
    return made


def test_a_rule_looks_at_the_latest_answer_and_costs_nothing() -> None:
    judge = judge_of(gate_of({"scorer": "nonempty"}))
    given = asyncio.run(judge(run("yes", ""), World(clock=VirtualClock())))
    assert given == Judgement(quality=0.0, reason="the answer is empty")


def test_a_gate_of_agreement_looks_at_all_answers() -> None:
    judge = judge_of(gate_of({"scorer": "agreement"}))
    said = [
        asyncio.run(judge(run(*texts), World(clock=VirtualClock()))) for texts in (["7"], ["7", "8"], ["7", "8", "7.0"])
    ]
    assert [(g.quality, g.reason) for g in said] == [
        (0.5, "is the first"),
        (0.5, "differs from a"),
        (1.0, "agrees with a"),
    ]


@pytest.mark.parametrize(
    ("answer", "stands"),
    [("last", [None] * 3), ("first", [None, None, "a"]), ("a", [None, None, "a"]), ("b", [None] * 3)],
)
def test_agreement_says_whose_answer_stands(answer: str, stands: list[str | None]) -> None:
    judge = judge_of(gate_of({"scorer": "agreement", "answer": answer}))
    said = [
        asyncio.run(judge(run(*texts), World(clock=VirtualClock()))) for texts in (["7"], ["7", "8"], ["7", "8", "7.0"])
    ]
    assert [g.answered_by for g in said] == stands


class Priced:
    """A judge that gives a quality at a price, and counts how often it was asked."""

    def __init__(self, quality: float | None) -> None:
        self.quality, self.asked = quality, 0

    async def __call__(self, run: Run, world: World) -> Judgement:
        self.asked += 1
        return Judgement(
            quality=self.quality,
            reason=f"{self.quality}",
            judge="j",
            tokens=Tokens(input=1, output=2),
            cost_usd=0.25,
            latency_s=2.0,
        )


@pytest.mark.parametrize(
    ("first", "second", "quality", "asked"),
    [(1.0, 0.9, 1.0, (1, 1)), (0.4, 1.0, 0.0, (1, 0)), (None, 1.0, None, (1, 0))],
)
def test_several_gates_are_asked_until_one_refuses(
    first: float | None, second: float, quality: float | None, asked: tuple[int, int]
) -> None:
    judges = (Priced(first), Priced(second))
    gate = Gate(scorer="judge", at_least=0.5)
    given = asyncio.run(InTurn(parts=tuple((gate, j) for j in judges))(run("yes"), World(clock=VirtualClock())))
    assert tuple(j.asked for j in judges) == asked
    n = sum(asked)
    assert given == Judgement(
        quality=quality,
        reason=f"{judges[n - 1].quality}",
        judge="j",
        tokens=Tokens(input=n, output=2 * n),
        cost_usd=0.25 * n,
        latency_s=2.0 * n,
    )


def test_several_gates_are_a_kind_of_their_parts() -> None:
    kind = gates.check({"all": [{"scorer": "nonempty"}, {"scorer": "judge", "model": "flash", "at_least": 0.8}]})
    assert isinstance(kind, All)
    assert kind.parts[0] == (Gate(scorer="nonempty", at_least=1.0), Rule(scorer=Nonempty()))
    assert kind.asks == ("flash",)


def test_a_look_needs_no_run() -> None:
    look = kind_of(gate_of({"scorer": "agreement", "k": 3}))
    assert callable(look)
    seen = Seen(prompt=Prompt.of("What?"), answers=(("a", "7"), ("b", "7.0"), ("c", "Answer: 7")))
    assert look(seen) == Judgement(quality=1.0, reason="agrees with a, b")
