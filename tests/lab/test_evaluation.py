"""Slices, what lies beyond accuracy, and what must not be said of too few prompts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import html5lib
import numpy as np
import pytest

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, DataError
from routelab.core.plan import Plan
from routelab.core.values import Prompt, Roster
from routelab.lab.compare import Comparison
from routelab.lab.datasets import Dataset
from routelab.lab.difficulty import Others, given
from routelab.lab.evaluation import ALL, ENOUGH
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import replay
from routelab.lab.session import Lab
from routelab.lab.significance import holm
from routelab.lab.statistics import p_below, paired_difference, wilson
from routelab.strategies import Fixed
from routelab.testing import Scripted, fleet

metrics: Any = pytest.importorskip("sklearn.metrics")


@dataclass(frozen=True)
class Foretold:
    """Ask the first model, and predict its quality by the last figure of the prompt's id."""

    off: float = 0.0

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        own = Fixed(model=roster.names[0]).plan(prompts, roster)
        said = np.array([int(p.id[-1]) / 10 + self.off for p in prompts])
        return dataclasses.replace(own, quality=np.tile(said[:, None], (1, len(roster))))


def outcomes_of(cube: Callable[..., Outcomes], n: int = 400, **given_: Any) -> Outcomes:
    rng = np.random.default_rng(3)
    truth = np.array([int(str(i)[-1]) / 10 for i in range(n)])
    first = (rng.random(n) < truth).astype(float)
    others = (rng.random((n, 3)) < np.array([0.5, 0.6, 0.9])).astype(float)
    values: dict[str, Any] = {
        "tasks": ["code" if i % 4 else "chat" for i in range(n)],
        "cost_usd": np.tile([1.0, 2.0, 3.0, 4.0], (n, 1)),
        "latency_s": rng.lognormal(0, 0.3, (n, 4)),
        "dataset": "made",
        **given_,
    }
    return cube(np.column_stack([first, others]), **values)


def compared(cube: Any, *, confirm: float = 0.0, **given_: Any) -> Comparison:
    arms = {"first": Fixed(model="a"), "third": Fixed(model="c")}
    return replay(outcomes_of(cube, **given_), arms, confirm=confirm, baseline="third")


def test_a_slice_has_the_figures_of_its_prompts_alone(cube: Any) -> None:
    outcomes = outcomes_of(cube)
    held = compared(cube).by("task")
    assert (held.slices, held.arms, held.by) == (("code", "chat"), ("first", "third"), "task")
    rows = np.array([p.task == "chat" for p in outcomes.prompts])
    part = held["chat", "first"]
    assert part.figures.quality == wilson(float(outcomes.quality[rows, 0].sum()), int(rows.sum()))
    assert part.difference == paired_difference(outcomes.quality[rows, 0], outcomes.quality[rows, 2])
    assert part.figures.cost_usd == 1.0
    assert part.figures.latency_p50 is not None
    assert part.figures.latency_p50.value == pytest.approx(np.median(outcomes.latency_s[rows, 0]))
    assert part.figures.latency_p50.interval is not None
    assert part.figures.cost_ratio is not None
    assert part.figures.cost_ratio.value == pytest.approx(1 / 3)
    assert held["chat", "third"].difference is None
    assert sum(p.figures.n for p in held.parts if p.arm == "first") == 400


def test_differences_are_corrected_over_all_that_are_shown(cube: Any) -> None:
    held = compared(cube).by("task")
    asked = [p for p in held.parts if p.difference is not None]
    raw = []
    for part in asked:
        verdict = part.figures.against
        assert verdict is not None
        raw.append(2 * min(verdict.p_better, p_below(verdict.difference, 0.0)))
    assert [p.p_adjusted for p in asked] == holm(np.array(raw)).tolist()
    assert raw != [p.p_adjusted for p in asked]
    assert "Holm's correction over 2 differences" in repr(held)
    assert {p.verdict for p in asked} <= {"better", "worse", "no difference shown"}


def test_without_a_difference_few_slices_show_one(cube: Any) -> None:
    rng = np.random.default_rng(0)
    shown = 0
    for _ in range(40):
        quality = (rng.random((600, 2)) < 0.7).astype(float)
        outcomes = cube(quality, tasks=[f"t{i % 10}" for i in range(600)])
        held = replay(outcomes, {"b": Fixed(model="b")}, confirm=0, baseline="a").by("task", beyond=False)
        shown += any(p.verdict in ("better", "worse") for p in held.parts)
    assert shown <= 6  # 5 % of 40 is 2; more than 6 has a chance of 0.5 %


def test_a_small_slice_says_so_and_nothing_else(cube: Any) -> None:
    tasks = ["rare" if i < ENOUGH - 1 else "common" for i in range(400)]
    held = compared(cube, tasks=tasks).by("task")
    part = held["rare", "first"]
    assert (part.verdict, part.small, part.difference, part.p_adjusted) == ("n too small", True, None, None)
    assert (part.classified, part.calibration, part.abstained) == (None, None, None)
    assert "n small" in repr(held)
    assert f"slices of fewer than {ENOUGH} prompts" in repr(held)
    row = held.frame.set_index(["slice", "arm"]).loc[("rare", "first")]
    assert row["verdict"] == "n too small"
    assert np.isnan(row["quality_delta"])


def test_tags_groups_and_functions_make_slices_too(cube: Any) -> None:
    held = compared(cube, groups=[f"g{i % 40}" for i in range(400)])
    assert held.outcomes is not None
    prompts = tuple(
        dataclasses.replace(p, tags={"lang": "de" if i % 2 else "en"} if i else {})
        for i, p in enumerate(held.outcomes.prompts)
    )
    held = dataclasses.replace(held, outcomes=dataclasses.replace(held.outcomes, prompts=prompts))
    assert held.by("lang").slices == ("de", "en", "no lang")
    assert len(held.by("group").slices) == 40
    part = held.by("lang")["de", "first"]
    assert part.difference is not None
    assert part.difference.clusters == 20
    assert held.by(lambda p: len(p.text) % 2).slices == ("1", "0") or len(held.by(lambda p: 1).slices) == 1
    assert held.by().slices == (ALL,)
    with pytest.raises(ConfigError, match="no prompt has a tag 'lan'; did you mean 'lang'"):
        held.by("lan")
    with pytest.raises(ConfigError, match="no part"):
        held.by("lang")["fr", "first"]


def test_an_arm_that_gives_the_baselines_answers_asks_no_question(cube: Any) -> None:
    held = replay(
        outcomes_of(cube), {"third": Fixed(model="c"), "same": Fixed(model="c")}, confirm=0, baseline="third"
    ).by("task")
    assert all(p.difference is None for p in held.parts)
    assert {(p.arm, p.verdict) for p in held.parts} == {("third", ""), ("same", "the baseline's answers")}
    assert "same answers" in repr(held)


# Confidence


def test_predictions_are_held_against_what_they_predicted(cube: Any) -> None:
    outcomes = outcomes_of(cube, n=2000)
    arms = {"true": Foretold(), "high": Foretold(off=0.4), "silent": Fixed(model="a")}
    held = replay(outcomes, arms, confirm=0, baseline="d").by()
    true, high = held[ALL, "true"], held[ALL, "high"]
    assert true.calibration is not None
    assert high.calibration is not None
    assert true.calibration.p is not None
    assert high.calibration.p is not None
    assert true.calibration.p > 0.05 > high.calibration.p
    said = np.array([int(p.id[-1]) / 10 for p in outcomes.prompts])
    assert true.calibration.brier.value == pytest.approx(metrics.brier_score_loss(outcomes.quality[:, 0], said))
    assert true.selective is not None
    assert true.selective.aurc.value < true.selective.chance
    assert held[ALL, "silent"].calibration is None
    wrong = outcomes.quality[:, 0] == 0
    assert high.confidently_wrong == wilson(float((np.clip(said + 0.4, 0, 1)[wrong] >= 0.9).sum()), int(wrong.sum()))
    assert "given with a confidence ≥ 0.9" in repr(held)
    frame = held.frame.set_index("arm")
    assert frame.loc["true", "ece"] == true.calibration.ece
    assert frame.loc["silent", ["ece", "brier", "aurc"]].isna().all()


def test_a_gates_scores_are_confidences_by_its_key(cube: Any) -> None:
    rng = np.random.default_rng(1)
    n = 300
    score = rng.random((n, 2))
    quality = (rng.random((n, 2)) < score).astype(float)
    score[:5] = -np.inf  # the judge failed
    outcomes = cube(quality, gates={"logprob": score})
    held = replay(outcomes, {"a": Fixed(model="a"), "b": Fixed(model="b")}, confirm=0)
    part = held.by(confidence="logprob")[ALL, "b"]
    assert part.confidence == "logprob"
    assert part.calibration is not None
    assert part.calibration.n == n - 5
    assert part.calibration.brier.value == pytest.approx(metrics.brier_score_loss(quality[5:, 1], score[5:, 1]))
    with pytest.raises(ConfigError, match="no gate 'logprop' was recorded; did you mean 'logprob'"):
        held.by(confidence="logprop")


# Answers' texts


def test_wrong_answers_that_do_not_abstain_are_confidently_wrong(cube: Any) -> None:
    n = 120
    quality = np.zeros((n, 2))
    quality[:, 1] = 1.0
    quality[:60, 0] = 1.0
    texts = {f"p{i}": "I'm sorry, but I can't help with that." if i >= 100 else "It is 4." for i in range(n)}
    outcomes = cube(quality, texts=lambda p, m: texts[p] if m == "a" else "It is 5.")
    part = replay(outcomes, {"a": Fixed(model="a")}, confirm=0, baseline="b").by()[ALL, "a"]
    assert part.abstained == wilson(20, 120)
    assert part.confidently_wrong == wilson(40, 60)


def test_a_failure_is_no_answer_and_so_neither_wrong_nor_abstaining(cube: Any) -> None:
    failed = np.zeros((100, 2))
    failed[:40, 0] = 1
    quality = np.zeros((100, 2))
    outcomes = cube(quality, failed=failed, texts=lambda p, m: "It is 4.")
    part = replay(outcomes, {"a": Fixed(model="a")}, confirm=0, baseline="b").by()[ALL, "a"]
    assert part.figures.failures == 40
    assert part.abstained is not None
    assert (part.abstained.n, part.confidently_wrong) == (60, wilson(60, 60))


def labelled(cube: Any) -> tuple[Outcomes, list[str], list[str]]:
    rng = np.random.default_rng(5)
    n = 200
    wanted = [str(x) for x in rng.choice(["spam", "ham", "news"], n, p=[0.6, 0.3, 0.1])]
    said = [w if rng.random() < 0.7 else str(rng.choice(["spam", "ham", "news"])) for w in wanted]
    made: Outcomes = cube(
        np.column_stack([np.array(wanted) == np.array(said), np.ones(n)]).astype(float),
        texts=lambda p, m: f"**{said[int(p[1:])]}**" if m == "a" else wanted[int(p[1:])],
    )
    scorers = [{"kind": "choice", "answer": w, "options": ["spam", "ham", "news"]} for w in wanted]
    prompts = tuple(dataclasses.replace(p, scorer=s) for p, s in zip(made.prompts, scorers, strict=True))
    return dataclasses.replace(made, prompts=prompts), wanted, said


def test_f1_of_labels_is_that_of_scikit_learn(cube: Any) -> None:
    outcomes, wanted, said = labelled(cube)
    held = replay(outcomes, {"a": Fixed(model="a")}, confirm=0, baseline="b").by()
    found = held[ALL, "a"].classified
    assert found is not None
    assert found.macro_f1.value == pytest.approx(metrics.f1_score(wanted, said, average="macro"))
    assert found.micro_f1.value == pytest.approx(metrics.f1_score(wanted, said, average="micro"))
    assert held.frame.set_index("arm").loc["b", "macro_f1"] == 1.0
    assert "200 of 200 prompts have one right label" in repr(held)


def test_word_f1_is_reported_where_the_scorer_gives_it(cube: Any) -> None:
    rng = np.random.default_rng(2)
    outcomes = cube(rng.random((80, 2)))
    scorer = {"kind": "f1", "answers": ["x"]}
    prompts = tuple(dataclasses.replace(p, scorer=scorer if i < 40 else None) for i, p in enumerate(outcomes.prompts))
    held = replay(dataclasses.replace(outcomes, prompts=prompts), {"a": Fixed(model="a")}, confirm=0).by()
    part = held[ALL, "a"]
    assert part.token_f1 is not None
    assert part.token_f1.value == pytest.approx(outcomes.quality[:40, 0].mean())


def test_without_texts_nothing_is_said_of_abstention(cube: Any) -> None:
    held = compared(cube).by()
    assert held[ALL, "first"].abstained is None
    assert held[ALL, "first"].confidently_wrong is None
    assert "no answer's text is known" in repr(held)


# Difficulty


def test_given_difficulties_are_bands(cube: Any) -> None:
    outcomes = outcomes_of(cube)
    prompts = tuple(dataclasses.replace(p, difficulty=float(1 + i % 3)) for i, p in enumerate(outcomes.prompts))
    held = replay(dataclasses.replace(outcomes, prompts=prompts), {"a": Fixed(model="a")}, confirm=0).by("difficulty")
    assert held.slices == ("1", "2", "3")
    assert "the prompts' own difficulty" in repr(held)
    many = [dataclasses.replace(p, difficulty=float(i)) for i, p in enumerate(outcomes.prompts)]
    bands = given(many)
    assert bands is not None
    assert (bands[0], bands[200], bands[399]) == ("easy", "medium", "hard")
    assert given(outcomes.prompts) is None


def test_a_band_is_not_made_by_the_arm_that_it_judges(cube: Any) -> None:
    # Every model is a coin: nothing is hard. A band that counted the arm's own coin would make the arm look good on
    # what it happened to get right.
    rng = np.random.default_rng(4)
    outcomes = cube((rng.random((6000, 5)) < 0.5).astype(float))
    held = replay(outcomes, {"a": Fixed(model="a")}, confirm=0.5, baseline="b").by("difficulty", beyond=False)
    for band in ("easy", "medium", "hard"):
        for arm in ("a", "b"):
            quality = held[band, arm].figures.quality
            assert quality is not None
            assert quality.n > 200
            assert quality.value == pytest.approx(0.5, abs=4 * 0.5 / quality.n**0.5)
    assert all(p.verdict not in ("better", "worse") for p in held.parts)


def test_estimated_bands_find_what_is_hard_whoever_answered(cube: Any) -> None:
    rng = np.random.default_rng(6)
    hard = np.arange(3000) % 3 == 0
    skill = np.array([0.0, 0.1, 0.2, 0.25, 0.3, 0.1, 0.2])
    outcomes = cube((rng.random((3000, 7)) < 0.6 - 0.45 * hard[:, None] + skill).astype(float))
    comparison = replay(outcomes, {"weak": Fixed(model="a"), "strong": Fixed(model="e")}, confirm=0.5, baseline="e")
    held = comparison.by("difficulty", beyond=False)
    assert "on the tune split" in repr(held)
    values = {}
    for band in ("easy", "hard"):
        for arm in ("weak", "strong"):
            quality = held[band, arm].figures.quality
            assert quality is not None
            values[band, arm] = quality.value
    assert values["easy", "weak"] > values["hard", "weak"] + 0.2
    assert values["easy", "strong"] > values["hard", "strong"] + 0.2
    # A strong arm leaves weaker models behind to say what is hard, and that must not move its bands.
    sizes = [held["hard", arm].figures.n for arm in ("weak", "strong")]
    assert abs(sizes[0] - sizes[1]) < 0.15 * sum(sizes)


def test_two_models_cannot_say_what_is_hard(cube: Any) -> None:
    outcomes = cube(np.ones((100, 2)))
    with pytest.raises(DataError, match="2 models are too few to tell"):
        replay(outcomes, {"a": Fixed(model="a")}, confirm=0).by("difficulty")
    nobody, first, second = (np.full(100, k, dtype=np.intp) for k in (-1, 0, 1))
    three = Others(cube(np.ones((100, 3))), None)
    assert set(three.bands([nobody], [nobody])) == {"easy"}
    assert set(three.bands([first], [first])) == {"easy"}
    assert set(three.bands([first, second], [first, second])) == {"not known"}


# What people see


def test_the_tables_are_text_html_and_a_frame(cube: Any) -> None:
    held = compared(cube, simulated=True).by("task")
    shown = held._repr_mimebundle_()
    assert set(shown) == {"text/plain", "text/html"}
    assert "SIMULATED" in shown["text/plain"]
    tree = html5lib.parse(shown["text/html"], namespaceHTMLElements=False)
    assert {e.tag for e in tree.iter() if isinstance(e.tag, str)} >= {"table", "td"}
    frame = held.frame
    assert list(frame["slice"]) == ["code", "code", "chat", "chat"]
    assert frame["simulated"].all()
    assert {"quality", "quality_low", "quality_delta_high", "cost_ratio", "latency_p95_s", "p_adjusted"} <= set(frame)


def test_hostile_names_stay_text(cube: Any) -> None:
    tasks = ["<script>alert(1)</script>\x1b[31m" if i % 2 else "b" for i in range(400)]
    shown = compared(cube, tasks=tasks).by("task")._repr_mimebundle_()
    assert "<script>" not in shown["text/html"]
    assert "\x1b" not in shown["text/plain"]


def test_long_names_lose_their_middle_unless_two_would_read_alike(cube: Any) -> None:
    long = ("first_of_all/" + "x" * 30 + "/the_end", "first_of_all_x/" + "y" * 30 + "/the_end", "z" * 60)
    text = repr(compared(cube, tasks=[long[i % 3] for i in range(400)]).by("task"))
    assert "zzzzzzzzzzzzzzzzz…zzzzzzzzzzzz" in text
    assert "z" * 31 not in text
    twins = (
        "same_beginning_of_it/" + "x" * 9 + "/same_end_of_it",
        "same_beginning_of_it/" + "y" * 9 + "/same_end_of_it",
    )
    text = repr(compared(cube, tasks=[twins[i % 2] for i in range(400)]).by("task"))
    assert all(name in text for name in twins)


def test_long_tables_are_cut_and_say_so(cube: Any) -> None:
    held = compared(cube, tasks=[f"t{i % 30}" for i in range(400)]).by("task")
    assert "20 more rows; .frame has all" in repr(held)
    assert len(held.frame) == 60


def test_live_arms_can_be_sliced_and_read_their_own_answers() -> None:
    yes = {"kind": "choice", "answer": "yes", "options": ["yes", "no"]}
    rows = [{"id": f"p{i}", "prompt": f"q{i}", "scorer": yes, "task": "ab"[i % 2]} for i in range(80)]
    with Lab(fleet=fleet({"good": Scripted("yes"), "bad": Scripted("no")})) as lab:
        arms = {n: RouteConfig(name=n, strategy=Fixed(model=n)) for n in ("good", "bad")}
        held = lab.compare(Dataset.of(rows, name="quiz"), arms).by("task")
        assert held.slices == ("a", "b")
        part = held["a", "bad"]
        assert part.classified is not None
        assert part.classified.accuracy.value == 0.0
        assert part.confidently_wrong == wilson(40, 40)
        with pytest.raises(ConfigError, match="live arms cannot tell"):
            lab.compare(Dataset.of(rows, name="quiz"), arms).by("difficulty")
