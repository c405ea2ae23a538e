"""Gates over recorded answers: what was recorded, what is looked at again, and that a replay decides as a live run does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from routelab.config import RouteConfig
from routelab.core.errors import DataError
from routelab.core.events import Answered, Scored
from routelab.core.plan import NOBODY, Gate
from routelab.core.values import Prompt
from routelab.fleet import Fleet
from routelab.gates import gate_of
from routelab.lab.outcomes import Outcomes
from routelab.lab.referees import referee_of
from routelab.lab.replay import fit, planned, walked
from routelab.router import Router
from routelab.strategies import Agreement, Cascade

NAN = float("nan")
NONE = np.full((1, 1), NOBODY, dtype=np.intp)


def told(cube: Any, texts: list[list[str | None]], **given: Any) -> Outcomes:
    """Return outcomes whose answers are these texts, prompts × models."""
    made: Outcomes = cube(
        given.pop("quality", [[1.0] * len(texts[0])] * len(texts)), cost_usd=0.5, latency_s=1.0, **given
    )
    said = {(p.id, m): texts[i][k] for i, p in enumerate(made.prompts) for k, m in enumerate(made.models)}
    return dataclasses.replace(made, texts=lambda prompt, model: said.get((prompt, model)))


def ruled(outcomes: Outcomes, gate: Gate, cell: int, *before: int) -> float:
    referee = referee_of("x", gate, outcomes)
    assert referee is not None
    earlier = np.array([before or (NOBODY,)], dtype=np.intp)
    return float(referee(np.array([0]), np.array([cell]), earlier).score[0])


def test_a_rule_looks_at_the_recorded_text(cube: Any) -> None:
    outcomes = told(cube, [["yes", "", None]])
    assert [ruled(outcomes, gate_of({"scorer": "nonempty"}), k) for k in range(3)] == pytest.approx(
        [1, 0, NAN], nan_ok=True
    )


def test_agreement_looks_at_the_answers_before(cube: Any) -> None:
    outcomes = told(cube, [["7", "seven", "Answer: 7", None]])
    gate = gate_of({"scorer": "agreement"})
    found = [ruled(outcomes, gate, 2, *before) for before in ((), (0,), (1,), (1, 0), (NOBODY, 0), (3,))]
    assert found == pytest.approx([0.5, 1.0, 0.5, 1.0, 1.0, NAN], nan_ok=True)


def test_several_gates_are_all_asked_for_until_one_refuses(cube: Any) -> None:
    outcomes = told(cube, [["yes", "", "yes"]], gates={"sure": [[0.9, 0.9, NAN]]})
    gate = gate_of({"all": [{"scorer": "nonempty"}, {"recorded": "sure", "at_least": 0.5}]})
    assert [ruled(outcomes, gate, k) for k in range(3)] == pytest.approx([1.0, 0.0, NAN], nan_ok=True)


def test_a_recorded_score_is_found_by_its_name(cube: Any) -> None:
    outcomes = told(cube, [["yes"]], gates={"logprob": [[-0.25]]})
    assert ruled(outcomes, gate_of({"recorded": "logprob"}), 0) == -0.25
    with pytest.raises(DataError, match="arm 'x': its gate needs the score 'logprop'"):
        referee_of("x", gate_of({"recorded": "logprop"}), outcomes)


def test_recorded_verdicts_need_nobody_who_could_judge_now(cube: Any) -> None:
    # No `model` to ask: such a gate could judge nothing live.
    outcomes = told(cube, [["yes"]], gates={"judge": [[0.7]]})
    assert ruled(outcomes, Gate(scorer="judge", at_least=0.5), 0) == 0.7


def test_a_gate_that_looks_needs_texts(cube: Any) -> None:
    with pytest.raises(DataError, match="arm 'x': its gate looks at answers, and no texts were recorded"):
        referee_of("x", gate_of({"scorer": "nonempty"}), cube([[1.0]]))


def test_a_judge_is_replayed_from_what_it_gave(cube: Any) -> None:
    gate = gate_of({"scorer": "judge", "model": "flash", "at_least": 0.5})
    with pytest.raises(DataError, match=rf"needs what judge gave \('{gate.key}'\)"):
        referee_of("x", gate, told(cube, [["yes"]]))
    assert ruled(told(cube, [["yes"]], gates={gate.key: [[0.75]]}), gate, 0) == 0.75


def test_answers_are_looked_at_once(cube: Any) -> None:
    outcomes = told(cube, [["yes", "no"]])
    gate = Gate(scorer="nonempty", at_least=0.3)
    first = referee_of("x", gate, outcomes)
    assert referee_of("y", dataclasses.replace(gate, at_least=0.7), outcomes) is first
    assert referee_of("x", gate, outcomes.take([0])) is not first


def test_the_walk_counts_what_the_texts_say(cube: Any) -> None:
    outcomes = told(cube, [["7", "7.0", "9"], ["7", "8", "9"], ["7", "8", "8"]])
    arm = RouteConfig(name="x", strategy=Agreement(ask=("a", "b"), then=("c",)))
    walk = walked("x", arm, outcomes, planned)
    assert walk.model.tolist() == [1, 2, 2]
    assert walk.attempts.tolist() == [2, 3, 3]
    assert walk.cost_usd.tolist() == [1.0, 1.5, 1.5]
    assert walk.escalations.tolist() == [1, 2, 2]


@pytest.mark.parametrize(
    ("answer", "who", "quality"),
    [("last", [1, 2, 2], [0, 0.25, 0.25]), ("first", [0, 1, 2], [1, 0, 0.25]), ("a", [0, 2, 2], [1, 0.25, 0.25])],
)
def test_an_earlier_answer_may_stand_and_everybody_asked_is_paid(
    cube: Any, answer: str, who: list[int], quality: list[float]
) -> None:
    texts: list[list[str | None]] = [["7", "7.0", "9", "x"], ["7", "8", "8.0", "x"], ["7", "8", "9", "9"]]
    outcomes = told(cube, texts, quality=[[1, 0, 0.25, 0.5]] * 3)
    arm = RouteConfig(name="x", strategy=Agreement(ask=("a", "b", "c"), then=("d",), answer=answer))
    walk = walked("x", arm, outcomes.take([0, 1]), planned)
    assert walk.model.tolist() == who[:2]
    assert walk.quality.tolist() == quality[:2]
    assert (walk.cost_usd.tolist(), walk.latency_s.tolist()) == ([1.0, 1.5], [2.0, 3.0])
    assert walk.escalations.tolist() == [1, 2]
    assert walked("x", arm, outcomes.take([2]), planned).model.tolist() == [3]


def test_whose_answer_stands_is_looked_at_where_only_scores_were_recorded(cube: Any) -> None:
    last, first = (gate_of({"scorer": "agreement", "answer": whose}) for whose in ("last", "first"))
    scores = {gate.key: [[0.5, 1.0, 0.5]] for gate in (last, first)}
    with pytest.raises(DataError, match="arm 'x': its gate looks at answers, and no texts were recorded"):
        referee_of("x", first, cube([[1.0, 1.0, 1.0]], gates=scores))
    referee = referee_of("x", first, told(cube, [["7", "7", "8"]], gates=scores))
    assert referee is not None
    given = referee(np.array([0]), np.array([1]), np.array([[0]], dtype=np.intp))
    assert given.stands is not None
    assert (given.score.tolist(), given.stands.tolist()) == ([1.0], [0])
    assert referee_of("x", last, cube([[1.0, 1.0, 1.0]], gates=scores)) is not None


FLASH = {"gsm8k": "gemini-1.5-flash", "bfcl_2024-08-11": "gemini-1.5-flash-preview-0514"}
STRONG = {"gsm8k": "gpt-4o-2024-08-06", "bfcl_2024-08-11": "claude-3-5-sonnet-20240620"}
MINI = "gpt-4o-mini-2024-07-18"


def arms(dataset: str) -> dict[str, Any]:
    order = (FLASH[dataset], MINI, STRONG[dataset])
    shape: dict[str, Any] = {"gsm8k": {"scorer": "length", "max_words": 90}}
    rules = {"all": [{"scorer": "refusal"}, shape.get(dataset, {"scorer": "regex", "pattern": r"^\[\w+\("})]}
    return {
        "agreement": Agreement(ask=order[:2], then=order[2:]),
        "first": Agreement(ask=order[:2], then=order[2:], answer="first"),
        "best of three": Agreement(ask=(*order[:2], "claude-3-haiku-20240307"), then=order[2:], answer=MINI),
        "rules": Cascade(order=order, gate=rules),
        "learned": Cascade(order=order, gate={"scorer": "learned"}, tolerance=0.005),
    }


@pytest.mark.parametrize("kind", ["agreement", "first", "best of three", "rules", "learned"])
@pytest.mark.parametrize("dataset", ["gsm8k", "bfcl_2024-08-11"])
def test_a_live_run_over_recorded_answers_is_a_row_of_the_replay(
    recorded: Callable[..., Outcomes], dataset: str, kind: str
) -> None:
    outcomes = recorded(dataset, priced=dataset == "gsm8k")
    rest, some = outcomes.take(np.arange(300, len(outcomes))), outcomes.take(np.arange(300))
    config = fit(RouteConfig(name=kind, strategy=arms(dataset)[kind]), rest)
    replayed = walked(kind, config, some, planned)
    router = Router(config, fleet=Fleet.recorded(some, answers=some))
    runs = [answer.run for answer in router.many(some.prompts)]
    assert [some.models[k] for k in replayed.model] == [run.answered and run.answered.model for run in runs]
    assert [run.cost_usd for run in runs] == pytest.approx(replayed.cost_usd.tolist())
    assert [len(run.attempts) for run in runs] == replayed.attempts.tolist()
    refused = [sum(isinstance(e, Scored) and e.accepted is False for e in run.events) for run in runs]
    assert refused == replayed.escalations.tolist()
    texts = [some.texts(p.id, some.models[k]) for p, k in zip(some.prompts, replayed.model, strict=True)]
    assert texts == [run.text for run in runs]
    assert len(set(replayed.attempts.tolist())) > 1


def test_what_a_live_gate_gave_is_what_a_replay_gives(recorded: Callable[..., Outcomes]) -> None:
    outcomes = recorded("bfcl_2024-08-11").take(np.arange(120))
    config = fit(RouteConfig(name="x", strategy=arms("bfcl_2024-08-11")["learned"]), outcomes)
    referee = referee_of("x", config.ranking.accepts, outcomes)
    router = Router(config, fleet=Fleet.recorded(outcomes, answers=outcomes))
    column = outcomes.models.index(config.models[0])
    assert referee is not None
    for row in range(40):
        run = router.route(outcomes.prompts[row]).run
        live = next(e.quality for e in run.events if isinstance(e, Scored))
        assert isinstance(run.attempts[0], Answered)
        assert live == float(referee(np.array([row]), np.array([column]), NONE).score[0])


def test_prompts_of_other_runs_do_not_mix(cube: Any) -> None:
    one, other = told(cube, [["7", "7"]]), told(cube, [["7", "8"]])
    gate = gate_of({"scorer": "agreement"})
    assert (ruled(one, gate, 1, 0), ruled(other, gate, 1, 0)) == (1.0, 0.5)
    assert isinstance(one.prompts[0], Prompt)
