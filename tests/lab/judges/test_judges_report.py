"""The judge's report, people's ratings out of the log, gates as judgements, and the MT-Bench files."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.core.errors import DataError
from routelab.core.events import Answered, Routed
from routelab.core.run import Run
from routelab.core.values import Message, Prompt
from routelab.lab.judges import (
    Duel,
    Judged,
    Mark,
    corrected,
    corrected_difference,
    judge_report,
    measured_by,
    powered,
    ratings,
    read_mtbench,
    rogan_gladen,
)
from routelab.store import Log

NAN = np.nan


def rated(n: int) -> Judged:
    rng = np.random.default_rng(1)
    marks = [
        Mark(
            prompt_id=f"p{i}",
            model=model,
            judge="gpt-4",
            quality=None if i == 0 else float(rng.random() < 0.7),
            truth=float(rng.random() < 0.7),
            chars=int(rng.integers(50, 900)),
        )
        for i in range(n)
        for model in ("gpt-4o", "mixtral-8x7b")
    ]
    return Judged(marks=tuple(marks))


def test_every_report_names_swap_flips_length_slope_and_self_family_gap_or_says_why_not() -> None:
    for judged in (rated(60), Judged(duels=(Duel(prompt_id="p", first="a", second="b", judge="j", winner="tie"),))):
        report = judge_report(judged)
        for said in (report.text(), report.html(), repr(report)):
            for name in ("swap flips", "length slope", "self-family gap"):
                assert name in said
            assert "not measured: " in said
        assert {"swap flips", "length slope", "self-family gap"} <= set(report.frame().index)
    assert set(report._repr_mimebundle_()) == {"text/plain", "text/html"}


def test_the_frame_has_one_row_a_figure_and_the_table_shows_corrections_and_warnings() -> None:
    judged = rated(120)
    verdicts = np.array([NAN if m.quality is None else m.quality for m in judged.marks])
    truth = np.array([m.truth for m in judged.marks], dtype=float)
    labelled = np.where(np.arange(len(truth)) < 80, truth, NAN)
    report = judge_report(judged, corrected={"quality": powered(verdicts, labelled)}, at_least=1.0)
    frame = report.frame()
    assert frame.loc["accuracy", "n"] == 238
    assert frame.loc["corrected quality", "low"] < frame.loc["corrected quality", "value"]
    assert np.isnan(frame.loc["swap flips", "value"])
    assert report.own_family == ("gpt-4o",)
    assert report.unread == 2
    assert any("judges its own family (gpt-4o)" in w for w in report.warnings)
    assert "80 labelled, 160 not" in report.text()


def test_what_a_model_is_called_reaches_html_escaped() -> None:
    judged = Judged(marks=(Mark(prompt_id="p", model="m", judge="<script>alert(1)</script>", quality=1.0),))
    assert "<script>" not in judge_report(judged).html()


def test_simulated_judgements_say_so() -> None:
    judged = Judged(marks=(Mark(prompt_id="p", model="m", judge="j", quality=1.0),), simulated=True)
    assert "SIMULATED" in judge_report(judged).text()
    assert judge_report(judged + Judged()).simulated


def test_which_judge_is_meant_must_be_clear() -> None:
    two = Judged(marks=tuple(Mark(prompt_id="p", model="m", judge=j, quality=1.0) for j in ("j", "k")))
    with pytest.raises(DataError, match="judges: j, k"):
        judge_report(two)
    assert judge_report(two, "k").judgements == 1


def test_gates_become_marks_with_the_outcomes_quality_as_truth(cube: Callable[..., Any]) -> None:
    score = np.array([[0.9, NAN], [-np.inf, 0.2], [0.7, 0.1]])
    outcomes = cube(
        [[1.0, 0.0], [1.0, 0.0], [0.0, 0.5]],
        failed=[[0, 0], [0, 0], [0, 1]],
        gates={"judge-1": score},
        texts=lambda prompt, model: f"{prompt} {model}" if model == "a" else None,
    )
    found = Judged.of_outcomes(outcomes, {"judge-1": "gpt-4"})
    assert [(m.prompt_id, m.model, m.quality, m.truth, m.chars) for m in found.marks] == [
        ("p0", "a", 0.9, 1.0, 4),
        ("p1", "a", None, 1.0, 4),
        ("p1", "b", 0.2, 0.0, None),
        ("p2", "a", 0.7, 0.0, 4),
    ]
    assert Judged.of_outcomes(outcomes).judges == ("judge-1",)
    with pytest.raises(DataError, match="no verdicts of 'judge-2'"):
        Judged.of_outcomes(outcomes, ["judge-2"])


def run(run_id: str, prompt: Prompt, model: str) -> Run:
    began = datetime(2026, 1, 1)
    events = (
        Routed(strategy="fixed", order=(model,), reason="r"),
        Answered(model=model, served_model=model, provider="t", text="x", cost_usd=0.1, latency_s=1.0),
    )
    return Run(id=run_id, prompt=prompt, started_at=began, events=events)


def test_thumbs_in_the_log_correct_a_judges_mean(cube: Callable[..., Any]) -> None:
    rng = np.random.default_rng(2)
    right = rng.random((120, 2)) < [0.8, 0.6]
    says = np.where(right, rng.random((120, 2)) < 0.9, rng.random((120, 2)) < 0.3).astype(float)
    outcomes = cube(np.full((120, 2), NAN), gates={"j": says})
    with Log(":memory:") as log:
        for i in range(40):
            for k, model in enumerate("ab"):
                prompt = Prompt(id=f"p{i}", messages=(Message(role="user", content="q"),))
                log.record(run(f"{i}{model}", prompt, model))
                log.rate(f"{i}{model}", -1.0 if right[i, k] else 1.0)
                log.rate(f"{i}{model}", 1.0 if right[i, k] else -1.0, "on second thoughts")
        labels = ratings(log.query, outcomes)
    expected = np.where(np.arange(120)[:, None] < 40, right.astype(float), NAN)
    np.testing.assert_array_equal(labels, expected)
    found = corrected(outcomes, "j", labels, "a")
    assert (found.labelled, found.unlabelled) == (40, 80)
    assert found.estimate.value == pytest.approx(powered(says[:, 0], expected[:, 0]).estimate.value)
    difference = corrected_difference(outcomes, "j", labels, "a", "b")
    assert difference.estimate.interval is not None
    assert difference.estimate.interval[0] < 0.2 < difference.estimate.interval[1]
    assert rogan_gladen(outcomes, "j", labels, "a").method == "rogan-gladen"
    with pytest.raises(DataError, match="no verdicts of 'k'"):
        corrected(outcomes, "k", labels, "a")


def test_mt_bench_files_are_read_line_by_line(tmp_path: Path) -> None:
    conversation = (
        "<|The Start of Assistant A's Conversation with User|>\n\n### User:\nhi\n\n### Assistant A:\nold\n\n"
        "### User:\nmore\n\n### Assistant A:\nnewest\n\n<|The End of Assistant A's Conversation with User|>"
    )
    both = (
        "[The Start of Assistant A's Answer]\nlong answer\n[The End of Assistant A's Answer]\n\n"
        "[The Start of Assistant B's Answer]\nshort\n[The End of Assistant B's Answer]"
    )
    single = {"question_id": 81, "model": "m", "judge": ["gpt-4", "single-v1"], "turn": 2}
    pair = {"question_id": 82, "model_1": "m", "model_2": "n", "judge": ["gpt-4", "pair-v2"], "turn": 1}
    rows = [
        {**single, "score": 10, "user_prompt": conversation},
        {**single, "score": -1, "user_prompt": ""},
        {**pair, "g1_winner": "model_1", "g2_winner": "model_1", "g1_user_prompt": both, "g2_user_prompt": both},
        {**pair, "g1_winner": "tie", "g2_winner": "error"},
    ]
    path = tmp_path / "judged.jsonl"
    path.write_text("\n".join(json.dumps(r) for r in rows) + "\n", encoding="utf-8")
    found = read_mtbench(path)
    assert [(m.prompt_id, m.model, m.judge, m.quality, m.chars, m.group) for m in found.marks] == [
        ("81:2", "m", "gpt-4", 1.0, 6, "81"),
        ("81:2", "m", "gpt-4", None, None, "81"),
    ]
    assert [(d.first, d.second, d.winner, d.first_chars, d.second_chars) for d in found.duels] == [
        ("m", "n", "first", 11, 5),
        ("n", "m", "second", 11, 5),
        ("m", "n", "tie", None, None),
        ("n", "m", None, None, None),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1: is not JSON"),
        ("[1]", "line 1: is not a JSON object"),
        ('{"score": 11, "question_id": 1, "turn": 1, "model": "m", "judge": "j"}', "not on the scale"),
        ('{"question_id": 1}', "model_1"),
        ('{"question_id":1,"turn":1,"model_1":"m","model_2":"n","judge":"j","g1_winner":"x"}', "'x' is not known"),
    ],
)
def test_a_line_that_is_no_judgement_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "judged.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(DataError, match=said) as caught:
        read_mtbench(path)
    assert "\n" not in caught.value.message
    with pytest.raises(DataError, match="cannot be read"):
        read_mtbench(tmp_path / "none.jsonl")


def test_gpt_4_as_a_judge_on_mt_bench_shows_the_published_means_and_what_cannot_be_known_from_them(
    shared: Path,
) -> None:
    judged = read_mtbench(shared / "data" / "judged" / "routellm_mt_bench_judgements.jsonl")
    strong, weak = (
        np.array([m.quality for m in judged.marks if (m.quality is not None and m.model.startswith(name))])
        for name in ("gpt-4", "mistral")
    )
    # The published per-turn means, 9.228 and 8.341 of 10, on 160 turns each.
    assert (len(strong), len(weak)) == (160, 160)
    assert (1 + 9 * strong.mean(), 1 + 9 * weak.mean()) == (
        pytest.approx(9.228, abs=5e-4),
        pytest.approx(8.341, abs=5e-4),
    )
    report = judge_report(judged)
    assert report.family == "gpt"
    assert report.own_family == ("gpt-4-1106-preview",)
    assert "+0.099" in report.self_family.note
    assert np.isnan(report.self_family.value)
    slope = report.length_slope
    assert (slope.n, slope.clusters) == (320, 80)
    assert slope.low is not None
    assert slope.high is not None
    assert slope.low < 0.0 < slope.high
    assert np.isnan(report.swap_flips.value)
    assert all(m.chars is not None for m in judged.marks)


def test_a_judges_score_can_stand_in_for_quality_and_says_so(cube: Callable[..., Any]) -> None:
    outcomes = cube(
        [[1.0, NAN], [NAN, NAN]],
        failed=[[0, 0], [1, 0]],
        gates={"j": np.array([[0.2, 0.4], [0.6, -np.inf]])},
    )
    found = measured_by(outcomes, "j")
    np.testing.assert_array_equal(found.quality, [[1.0, 0.4], [0.0, NAN]])
    assert found.notes == ("quality of 1 of 4 answers is the judge's (j), uncorrected: its errors are in every figure",)
    np.testing.assert_array_equal(measured_by(outcomes, "j", everywhere=True).quality, [[0.2, 0.4], [0.0, NAN]])
    with pytest.raises(DataError, match="no verdicts of 'k'"):
        measured_by(outcomes, "k")
