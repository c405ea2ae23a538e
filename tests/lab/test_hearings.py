"""lab.judge: every recorded answer judged once, resumable, budgeted, and replayed as it would have been live."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.config import RouteConfig
from routelab.core.errors import BudgetExceeded, ConfigError, DataError
from routelab.core.events import Scored
from routelab.fleet import Fleet
from routelab.lab.datasets import Dataset
from routelab.lab.hearings import Sat
from routelab.lab.judges import Judged, judge_report, judged_in_log
from routelab.lab.outcomes import Outcomes
from routelab.lab.session import Lab
from routelab.testing import Scripted, fleet

MODELS = ("qwen-local", "mistral-small")
GATE = {"scorer": "judge", "model": "gemini-flash", "at_least": 0.75}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return Dataset.of("workbench").sample(24)


@pytest.fixture
def lab() -> Any:
    with Lab(fleet=Fleet.practice(latency=0, errors=0.0)) as lab:
        yield lab


@pytest.fixture
def outcomes(lab: Lab, dataset: Dataset) -> Outcomes:
    return lab.collect(dataset, MODELS, heard=lambda _: None)


def key(judged: Outcomes) -> str:
    [only] = judged.gates
    return only


def judgements(lab: Lab) -> int:
    [(n,)] = lab.log.query("select count(*) from runs where status = 'judged'")
    return int(n)


def test_every_answer_is_judged_once_with_cost_and_wait_and_never_again(lab: Lab, outcomes: Outcomes) -> None:
    told: list[Sat] = []
    judged = lab.judge(outcomes, GATE, heard=told.append)
    given = judged.gates[key(judged)]
    assert np.isfinite(given.score).sum() + (given.score == -np.inf).sum() == outcomes.quality.size
    assert (given.cost_usd > 0).all()
    assert (given.latency_s > 0).all()
    assert judged.simulated
    assert (told[0].done, told[0].total, told[-1].done) == (0, 48, 48)
    assert told[-1].spent_usd == pytest.approx(given.cost_usd.sum())
    again = lab.judge(outcomes, GATE, retry="missing", heard=told.append)
    assert judgements(lab) == 48
    assert told[-1].total == 0
    for name in ("score", "cost_usd", "latency_s"):
        np.testing.assert_array_equal(getattr(again.gates[key(judged)], name), getattr(given, name))


def test_a_live_cascade_and_its_replay_agree_about_the_judge(lab: Lab, outcomes: Outcomes, dataset: Dataset) -> None:
    judged = lab.judge(outcomes, GATE)
    given = judged.gates[key(judged)]
    config = RouteConfig(
        name="c", models=list(MODELS), strategy={"kind": "cascade", "order": list(MODELS), "gate": GATE}
    )
    answers = lab.router(config).many(list(dataset.prompts))
    for i, answer in enumerate(answers):
        [event] = [e for e in answer.run.events if isinstance(e, Scored) and e.accepted is not None]
        assert event.scorer == key(judged)
        live = -np.inf if event.quality is None else event.quality
        assert (live, event.cost_usd, event.latency_s) == (
            given.score[i, 0],
            given.cost_usd[i, 0],
            given.latency_s[i, 0],
        )
    replayed = lab.replay(judged, {"weak": "qwen-local", "c": config}, confirm=0.9)
    [arm] = [a for a in replayed.arms if a.name == "c"]
    assert arm.walked.judging_usd.sum() > 0


def test_a_budget_stops_judging_keeps_what_is_there_and_goes_on_later(lab: Lab, outcomes: Outcomes) -> None:
    gate = {"scorer": "judge", "model": "claude-sonnet"}
    with pytest.raises(BudgetExceeded, match="answers that were due are judged") as caught:
        lab.judge(outcomes, gate, budget_usd=0.06)
    partial: Outcomes = caught.value.partial  # type: ignore[attr-defined]
    some = int(np.isfinite(partial.gates[key(partial)].score).sum())
    assert 0 < some < 48
    [(spent,)] = lab.log.query("select sum(cost_usd) from scores where judge <> ''")
    assert spent <= 0.06
    told: list[Sat] = []
    whole = lab.judge(outcomes, gate, budget_usd=5.0, heard=told.append)
    assert told[0].before_usd == pytest.approx(spent)
    assert told[0].total <= 48 - some
    assert not np.isnan(whole.gates[key(whole)].score).any()


def test_verdicts_survive_in_the_log_of_another_session_and_not_a_changed_answer(
    tmp_path: Path, dataset: Dataset
) -> None:
    fleet = Fleet.practice(latency=0, errors=0.0)
    with Lab(tmp_path / "log.duckdb", fleet=fleet) as lab:
        outcomes = lab.collect(dataset, MODELS[:1], heard=lambda _: None)
        first = lab.judge(outcomes, GATE)
    told: list[Sat] = []
    with Lab(tmp_path / "log.duckdb", fleet=fleet) as lab:
        outcomes = lab.collect(dataset, MODELS[:1], heard=lambda _: None)
        second = lab.judge(outcomes, GATE, retry="missing", heard=told.append)
        assert told[0].total == 0
        np.testing.assert_array_equal(second.gates[key(second)].score, first.gates[key(first)].score)
        texts = outcomes.texts
        assert texts is not None
        changed = dataclasses.replace(
            outcomes, texts=lambda p, m: "another answer" if p == outcomes.prompts[3].id else texts(p, m)
        )
        lab.judge(changed, GATE, retry="missing", heard=told.append)
        assert told[-1].total == 1


def test_a_pair_is_judged_against_the_recorded_answer_at_its_recorded_cost(lab: Lab, outcomes: Outcomes) -> None:
    judged = lab.judge(outcomes, {"scorer": "pairwise", "model": "gemini-flash", "against": "mistral-small"})
    given = judged.gates[key(judged)]
    np.testing.assert_array_equal(given.score[:, 1], 0.5)  # its own answers, which nobody was asked about
    np.testing.assert_array_equal(given.cost_usd[:, 1], 0.0)
    assert (given.cost_usd[:, 0] >= outcomes.cost_usd[:, 1]).all()
    [(paid,)] = lab.log.query("select sum(cost_usd) from scores where judge <> ''")
    assert paid == pytest.approx((given.cost_usd[:, 0] - outcomes.cost_usd[:, 1]).sum())
    duels = judged_in_log(lab.log.query, judged)
    assert len(duels.duels) % 2 == 0
    assert {d.judge for d in duels.duels} == {"gemini-flash"}
    report = judge_report(duels, "gemini-flash")
    assert not np.isnan(report.swap_flips.value)
    assert report.length_slope.n == len(duels.duels)
    assert report.simulated


def test_judges_in_a_log_are_told_apart_by_what_they_were_asked(lab: Lab, outcomes: Outcomes) -> None:
    judged = lab.judge(outcomes, GATE, ["qwen-local"])
    judged = lab.judge(
        judged, {"scorer": "judge", "model": "gemini-flash", "rubric": "Only the style counts."}, ["qwen-local"]
    )
    assert len(judged.gates) == 2
    found = judged_in_log(lab.log.query, judged)
    assert sorted(found.judges) == sorted(f"gemini-flash ({name})" for name in judged.gates)
    one = judged_in_log(lab.log.query, judged, [next(iter(judged.gates))])
    assert one.judges == ("gemini-flash",)
    assert len(Judged.of_outcomes(judged).marks) == len(found.marks) == 48


def test_a_judge_that_sees_the_reference_measures_under_a_key_that_no_gate_has(lab: Lab, outcomes: Outcomes) -> None:
    gate = {"scorer": "judge", "model": "gemini-flash", "reference": "given"}
    judged = lab.judge(outcomes, gate, ["qwen-local"])
    assert key(judged).startswith("measured-judge-")


def test_of_several_gates_those_that_ask_somebody_are_judged(lab: Lab, outcomes: Outcomes) -> None:
    judged = lab.judge(outcomes, {"all": [{"scorer": "nonempty"}, {"scorer": "consistency"}]}, ["qwen-local"])
    assert key(judged).startswith("consistency")


def test_what_cannot_be_judged_is_said_before_anything_is_asked(lab: Lab, outcomes: Outcomes) -> None:
    with pytest.raises(ConfigError, match="unknown model 'gemini-flush'; did you mean 'gemini-flash'"):
        lab.judge(outcomes, {"scorer": "judge", "model": "gemini-flush"})
    with pytest.raises(ConfigError, match="'nonempty' asks no model"):
        lab.judge(outcomes, {"scorer": "nonempty"})
    with pytest.raises(DataError, match="no texts were recorded"):
        lab.judge(dataclasses.replace(outcomes, texts=None), GATE)
    with pytest.raises(DataError, match="none of 48 answers"):
        lab.judge(dataclasses.replace(outcomes, texts=lambda p, m: None), GATE)
    strangers = dataclasses.replace(outcomes, models=("gpt-4", "b"), texts=lambda p, m: "x")
    with pytest.raises(ConfigError, match="unknown model 'gpt-4'"):
        lab.judge(strangers, {"scorer": "consistency"})
    assert judgements(lab) == 0


def test_failed_answers_are_not_judged_and_missing_texts_are_counted(lab: Lab, outcomes: Outcomes) -> None:
    failed = outcomes.failed.copy()
    failed[0, 0] = True
    texts = outcomes.texts
    assert texts is not None
    gaps = dataclasses.replace(
        outcomes, failed=failed, texts=lambda p, m: None if p == outcomes.prompts[1].id else texts(p, m)
    )
    judged = lab.judge(gaps, GATE, ["qwen-local"])
    score = judged.gates[key(judged)].score[:, 0]
    assert np.isnan(score[:2]).all()
    assert not np.isnan(score[2:]).any()
    assert any("1 answers without a recorded text" in note for note in judged.notes)


def test_a_judge_of_a_candidates_own_family_is_pointed_out(lab: Lab, outcomes: Outcomes) -> None:
    judged = lab.judge(outcomes, {"scorer": "judge", "model": "qwen-local"}, ["qwen-local"])
    assert any("qwen-local judged answers of its own family" in note for note in judged.notes)
    assert not any("own family" in note for note in lab.judge(outcomes, GATE).notes)


def test_judgements_that_a_kill_cut_off_count_with_their_worst_case(tmp_path: Path, dataset: Dataset) -> None:
    with Lab(tmp_path / "log.duckdb", fleet=Fleet.practice(latency=0, errors=0.0)) as lab:
        outcomes = lab.collect(dataset, MODELS[:1], heard=lambda _: None)
        judged = lab.judge(outcomes, GATE)
        [asked] = [f for f in (tmp_path / "log.duckdb.collect").glob("*.asked") if "judge-workbench" in f.read_text()]
        experiment = asked.read_text().split('"')[1]
        with asked.open("a", encoding="utf-8") as file:
            file.write(f'["{experiment}","{dataset.prompts[0].id}","qwen-local",0.5]\n')
        told: list[Sat] = []
        again = lab.judge(outcomes, GATE, retry="missing", heard=told.append)
        spent = np.nansum(judged.gates[key(judged)].cost_usd)
        assert told[0].before_usd == pytest.approx(spent + 0.5)
        assert any("1 judgements were cut off by a kill" in note for note in again.notes)


def test_an_interrupt_hands_over_what_was_judged(lab: Lab, outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch) -> None:
    from routelab.lab import hearings

    engine = hearings.shared()

    class Impatient:
        """An engine whose caller presses stop once a few verdicts are there."""

        def wait(self, work: Any) -> Any:
            engine.submit(work).result()
            raise KeyboardInterrupt

    monkeypatch.setattr(hearings, "shared", Impatient)
    with pytest.raises(KeyboardInterrupt) as caught:
        lab.judge(outcomes, GATE)
    partial: Outcomes = caught.value.partial  # type: ignore[attr-defined]
    assert not np.isnan(partial.gates[key(partial)].score).any()


def test_what_judging_will_take_is_said_before_anybody_is_asked(lab: Lab, outcomes: Outcomes) -> None:
    before = lab.log.query("select count(*) from runs")
    said = lab.judge_estimate(outcomes, GATE)
    assert lab.log.query("select count(*) from runs") == before
    assert [(s.model, s.calls) for s in said.sittings] == [("gemini-flash", 48)]
    assert said.usd is not None
    assert said.worst_usd is not None
    assert said.text.startswith("simulated: 48 answers to judge · 48 of gemini-flash calls · ≈ $")
    told: list[Sat] = []
    judged = lab.judge(outcomes, GATE, heard=told.append)
    spent = float(judged.gates[key(judged)].cost_usd.sum())
    assert 0.3 * spent < said.usd < 3 * spent
    assert spent < said.worst_usd
    assert told[0].docket is not None
    assert told[0].docket.usd == said.usd
    assert lab.judge_estimate(outcomes, GATE, retry="missing").text == "all 48 verdicts are in the log"


def test_an_estimate_counts_every_call_of_a_verdict_and_reads_recorded_answers_for_free(
    lab: Lab, outcomes: Outcomes
) -> None:
    pairwise = lab.judge_estimate(outcomes, {"scorer": "pairwise", "model": "gemini-flash", "against": "mistral-small"})
    assert [(s.model, s.calls) for s in pairwise.sittings] == [("gemini-flash", 48)]
    again = lab.judge_estimate(outcomes, {"scorer": "consistency", "samples": 3}, ["qwen-local"])
    assert [(s.model, s.calls) for s in again.sittings] == [("qwen-local", 48)]


def test_a_judge_without_a_price_is_unpriced_and_no_budget_can_hold_it(outcomes: Outcomes) -> None:
    judge = Scripted('{"score": 5, "reason": ""}')
    with Lab(fleet=fleet({"gemini-flash": judge}, usd_per_mtok=None)) as lab:
        said = lab.judge_estimate(outcomes, GATE)
        assert (said.usd, said.unpriced) == (None, ("gemini-flash",))
        assert "unpriced: gemini-flash" in said.text
        with pytest.raises(BudgetExceeded, match="gemini-flash: no known price, so a budget of"):
            lab.judge(outcomes, GATE, budget_usd=1.0)
        assert judge.requests == []


def test_a_rival_that_only_the_outcomes_have_can_be_compared_with(outcomes: Outcomes) -> None:
    judge = Scripted('{"winner": "A", "reason": ""}')
    gate = {"scorer": "pairwise", "model": "umpire", "against": "mistral-small"}
    with Lab(fleet=fleet({"umpire": judge})) as lab:
        judged = lab.judge(outcomes, gate)
    assert (judged.gates[key(judged)].score[:, 0] <= 1).all()
