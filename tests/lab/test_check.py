"""The regression gate: its word follows from the statistics, its exit code from its word, and errors are neither."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.cli import main
from routelab.config import RouteConfig
from routelab.core.errors import BudgetExceeded, ConfigError, DataError
from routelab.fleet import Fleet
from routelab.lab.check import EXITS, check, check_live, fleet_for, recorded_for
from routelab.lab.datasets import Dataset
from routelab.lab.replay import replay
from routelab.lab.report import result
from routelab.lab.session import Lab
from routelab.testing import Scripted, fleet

ALWAYS_B = RouteConfig(name="winner", models=["a", "b"], strategy={"kind": "fixed", "model": "b"})


def pairs(n: int, *, better: int = 0, worse: int = 0) -> Any:
    """Return qualities of a and b that agree but for some prompts."""
    q = np.ones((n, 2))
    q[:worse, 1] = 0.0
    q[worse : worse + better, 0] = 0.0
    return q


@pytest.mark.parametrize(
    ("quality", "word", "exit"),
    [
        (pairs(1000), "fine", 0),
        (pairs(1000, better=40, worse=42), "fine", 0),
        (pairs(1000, worse=60), "regression", 1),
        (pairs(60, better=3, worse=4), "inconclusive", 3),
    ],
)
def test_the_exit_code_says_what_the_interval_says(cube: Any, quality: Any, word: str, exit: int) -> None:
    # `a` is the baseline by its name, so that nothing is chosen on the data
    found = check(ALWAYS_B, cube(quality), baseline=only("a"), margin=0.03)
    assert (found.word, found.exit) == (word, exit)
    assert found.why.startswith(f"{word}: winner ")


def only(model: str, name: str = "base") -> RouteConfig:
    return RouteConfig(name=name, models=[model], strategy={"kind": "fixed", "model": model})


@settings(max_examples=60)
@given(st.integers(2, 400), st.integers(0, 40), st.integers(0, 40), st.sampled_from([0.005, 0.02, 0.1]))
def test_the_gate_is_fine_only_above_the_margin_and_red_only_below_zero(
    cube: Any, n: int, better: int, worse: int, margin: float
) -> None:
    worse, better = min(worse, n // 2), min(better, n // 2)
    found = check(ALWAYS_B, cube(pairs(n, better=better, worse=worse)), baseline=only("a"), margin=margin)
    ends = found.arm.figures.against.difference.interval  # type: ignore[union-attr]
    expected = "inconclusive" if ends is None else "fine" if ends[0] > -margin else "inconclusive"
    if ends is not None and expected != "fine" and ends[1] < 0:
        expected = "regression"
    assert found.word == expected
    assert found.exit == EXITS[found.word]
    if found.n_needed is not None:
        assert found.word == "inconclusive"
        assert found.n_needed > n
        assert f"about {found.n_needed:,} prompts would settle it ({found.n_needed - n:,} more)" in found.why


def test_the_baseline_is_the_best_of_the_configs_own_models_and_of_no_others(cube: Any) -> None:
    q = np.array([[1.0, 1.0, 0.0]] * 30 + [[1.0, 1.0, 1.0]] * 30 + [[1.0, 0.0, 0.0]] * 5)
    config = RouteConfig(name="winner", models=["c", "b"], strategy={"kind": "random"})
    found = check(config, cube(q))
    assert (found.comparison.baseline.name, found.comparison.baseline.config) == ("best-single", "b")
    assert found.comparison.models == ("c", "b")
    assert found.chosen == "the best of the config's 2 models on these prompts"


def test_the_figures_are_those_of_result_json(cube: Any) -> None:
    q = pairs(200, better=3, worse=20)
    cubed = cube(q, cost_usd=[[0.002, 0.001]] * 200, latency_s=[[2.0, 1.0]] * 200)
    said = check(ALWAYS_B, cubed, baseline=only("a"), seed=4).to_json()
    other = result(replay(cubed, {"winner": ALWAYS_B, "base": only("a")}, confirm=0, baseline="base", seed=4))
    [arm] = said["arms"]
    assert arm == {**other["arms"][0], "vs_baseline": {**other["arms"][0]["vs_baseline"], "p_adjusted": approx(arm)}}
    assert set(said) - set(other) == {"check"}
    assert said["baseline_arm"]["quality"] == other["arms"][1]["quality"]
    assert said["check"] == {
        "verdict": "regression",
        "exit": 1,
        "n_needed": None,
        "baseline_chosen": "given",
        "source": "recorded",
    }


def approx(arm: Any) -> Any:
    # one question, so there is nothing to correct for; in a replay the baseline is an arm as well, and asks none
    return pytest.approx(arm["vs_baseline"]["p_adjusted"])


def test_what_the_file_says_of_itself_is_not_believed(tmp_path: Path) -> None:
    config = ALWAYS_B.to_yaml(tmp_path / "w.yaml", evidence={"status": "confirmed", "quality": 1.0, "baseline": "zzz"})
    files = written(tmp_path, pairs(400, worse=60))
    assert main(["check", str(config), "--dataset", "quiz", *files]) == 1


def test_a_config_and_a_baseline_of_one_name_are_told_apart(cube: Any) -> None:
    found = check(ALWAYS_B, cube(pairs(100, worse=30)), baseline=only("a", name="winner"))
    assert found.comparison.baseline.name == "winner (baseline)"
    assert found.word == "regression"
    assert "baseline winner (baseline)" in found.why


def test_a_config_that_asks_the_baseline_for_everything_is_fine(cube: Any) -> None:
    found = check(only("a", name="winner"), cube(pairs(5)))
    assert (found.word, found.exit) == ("fine", 0)


def test_a_changed_prompt_section_is_pointed_out(cube: Any) -> None:
    config = RouteConfig(
        name="w", models=["b"], strategy={"kind": "fixed", "model": "b"}, prompt={"system": "Be brief."}
    )
    notes = check(config, cube(pairs(50))).comparison.terms.notes
    assert [note for note in notes if "changes what the model is sent (`prompt`)" in note]


def test_too_few_recorded_prompts_are_no_verdict(cube: Any) -> None:
    q = pairs(100)
    q[:50, 1] = np.nan
    found = check(ALWAYS_B, cube(q), baseline=only("a"))
    assert found.word == "inconclusive"
    assert "recorded for 50 of 100 prompts only" in found.why


def test_outcomes_without_a_quality_are_an_error_and_no_verdict(cube: Any) -> None:
    with pytest.raises(DataError, match="no quality was recorded"):
        check(ALWAYS_B, cube(np.full((5, 2), np.nan)), baseline=only("a"))
    with pytest.raises(DataError, match="'z' has no recorded outcomes"):
        check(only("z"), cube(pairs(5)))
    with pytest.raises(ConfigError, match="margin"):
        check(ALWAYS_B, cube(pairs(5)), margin=0)


def test_equal_models_are_seldom_called_a_regression_and_a_loss_of_eight_points_is_found(cube: Any) -> None:
    rng = np.random.default_rng(5)
    words: dict[float, list[str]] = {0.0: [], 0.08: []}
    for loss in words:
        for _ in range(200):
            base = rng.random(500) < 0.8
            again = np.where(rng.random(500) < 0.7, base, rng.random(500) < 0.8)
            q = np.column_stack([base, again & (rng.random(500) >= loss / 0.8)]).astype(float)
            words[loss].append(check(ALWAYS_B, cube(q), baseline=only("a"), margin=0.02).word)
    # two-sided 95 %: 2.5 % in truth; 200 runs leave room up to 5.5 % with p < 0.01
    assert words[0.0].count("regression") <= 11
    assert words[0.08].count("regression") >= 180
    assert words[0.08].count("fine") == 0


def test_the_best_of_nine_equal_models_does_not_make_the_others_a_regression(cube: Any) -> None:
    rng = np.random.default_rng(1)
    config = RouteConfig(name="w", models=list("abcdefghi"), strategy={"kind": "fixed", "model": "a"})
    naive, called, found = 0, 0, 0
    for _ in range(150):
        base = rng.random(400) < 0.8
        q = np.column_stack([np.where(rng.random(400) < 0.6, base, rng.random(400) < 0.8) for _ in range(9)])
        checked = check(config, cube(q.astype(float)))
        naive += checked.arm.figures.against.verdict == "worse"  # type: ignore[union-attr]
        called += checked.word == "regression"
        q[:, 0] &= rng.random(400) >= 0.15
        found += check(config, cube(q.astype(float))).word == "regression"
    # each error at most 2.5 % of 150; the uncorrected verdict is the path that must fail
    assert called <= 8
    assert naive >= 10
    assert found >= 140


def test_a_loss_that_is_not_certain_against_a_chosen_baseline_says_so_and_how_many_prompts_would_do(cube: Any) -> None:
    q = np.ones((400, 9))
    q[:9, 0] = 0.0
    q[9:10, 1] = 0.0
    q[10:14, 2:] = 0.0
    config = RouteConfig(name="w", models=list("abcdefghi"), strategy={"kind": "fixed", "model": "a"})
    found = check(config, cube(q), margin=0.001)
    assert found.comparison.baseline.config == "b"
    assert found.arm.figures.against.verdict == "worse"  # type: ignore[union-attr]
    assert (found.word, found.exit) == ("inconclusive", 3)
    assert (
        "the loss is not certain, because the baseline is the best of the config's 9 models on these prompts"
        in found.why
    )
    assert found.to_json()["check"]["n_needed"] == found.n_needed
    given = check(config, cube(q), baseline=only("b"), margin=0.001)
    assert given.word == "regression"


# The command line


def written(folder: Path, quality: Any, *, dataset: str = "quiz") -> list[str]:
    """Write prompts and outcomes, and return the flags that name them."""
    prompts, rows = folder / "p.csv", folder / "o.csv"
    with prompts.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["prompt_id", "dataset", "prompt"], *([f"p{i}", dataset, f"question {i}"] for i in range(len(quality)))]
        )
    with rows.open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["prompt_id", "dataset", "model", "quality", "cost_usd"],
                *(
                    [f"p{i}", dataset, "ab"[k], q, 0.001 * (2 - k)]
                    for i, row in enumerate(quality)
                    for k, q in enumerate(row)
                ),
            ]
        )
    return ["--outcomes", str(rows), "--prompts", str(prompts)]


@pytest.mark.parametrize(
    ("quality", "exit", "word"),
    [
        (pairs(600), 0, "fine"),
        (pairs(600, worse=60), 1, "regression"),
        (pairs(40, better=2, worse=2), 3, "inconclusive"),
    ],
)
def test_the_command_prints_the_report_and_exits_with_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quality: Any, exit: int, word: str
) -> None:
    config, base = ALWAYS_B.to_yaml(tmp_path / "w.yaml"), only("a").to_yaml(tmp_path / "b.yaml")
    out = tmp_path / "out.json"
    flags = ["--baseline", str(base), "--dataset", "quiz", "--json", str(out), *written(tmp_path, quality)]
    assert main(["check", str(config), *flags]) == exit
    printed, complaint = capsys.readouterr()
    assert complaint == ""
    said = json.loads(out.read_text())
    assert said["check"]["verdict"] == word
    assert said["why"] in printed
    assert f"wrote {out}" in printed
    assert said["arms"][0]["vs_baseline"]["cost_ratio"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--dataset", "quizz"], "did you mean 'quiz'?"),
        (["--dataset", "quiz", "--margin", "0"], "margin: must lie between 0 and 1"),
        (["--dataset", "quiz", "--baseline", "none.yaml"], "there is no such file"),
        (["--dataset", "quiz", "--json", "no/such/folder/out.json"], "cannot be written"),
        (["--dataset", "gone.jsonl"], "there is no such file"),
    ],
)
def test_an_error_is_one_line_and_exit_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], complaint: str
) -> None:
    config = ALWAYS_B.to_yaml(tmp_path / "w.yaml")
    assert main(["check", str(config), *flags, *written(tmp_path, pairs(30))]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("routelab check: ")
    assert complaint in said


def test_recorded_outcomes_come_from_one_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(ALWAYS_B.to_yaml(tmp_path / "w.yaml"))
    with pytest.raises(SystemExit) as stopped:
        main(["check", config, "--dataset", "quiz", "--log", "l.duckdb", "--outcomes", "o.csv"])
    assert stopped.value.code == 2
    assert main(["check", config, "--dataset", "quiz", "--outcomes", "o.csv"]) == 2
    assert "needs its prompts" in capsys.readouterr().err
    # without recorded outcomes it is played live, and this config names no fleet
    assert main(["check", config, "--dataset", "workbench"]) == 2
    assert "does not say which fleet answers" in capsys.readouterr().err


def test_a_collection_in_a_log_is_checked_by_the_name_of_its_data_set_or_by_its_file(tmp_path: Path) -> None:
    rows = [
        {"id": f"p{i}", "prompt": f"question {i}", "scorer": {"kind": "exact", "answers": ["yes"]}} for i in range(80)
    ]
    whole, part = tmp_path / "quiz.jsonl", tmp_path / "part" / "quiz.jsonl"
    part.parent.mkdir()
    whole.write_text("".join(json.dumps(row) + "\n" for row in rows))
    part.write_text("".join(json.dumps(row) + "\n" for row in [*rows[:30], {"id": "new", "prompt": "a new question"}]))
    log = tmp_path / "log.duckdb"
    with Lab(log, fleet=fleet({"a": Scripted("yes"), "b": Scripted("no")})) as lab:
        lab.collect(whole, ["a", "b"])
    config = str(ALWAYS_B.to_yaml(tmp_path / "w.yaml"))
    assert main(["check", config, "--dataset", "quiz", "--log", str(log)]) == 1
    assert main(["check", config, "--dataset", str(part), "--log", str(log), "--margin", "0.05"]) == 1
    assert len(recorded_for("quiz", log=log)) == 80
    found = recorded_for(str(part), log=log)
    assert [p.id for p in found.prompts] == [f"p{i}" for i in range(30)]
    assert "1 of the 31 prompts of quiz have no outcome and do not count" in found.notes


# Live


def quiz(n: int) -> Dataset:
    return Dataset.of(
        [{"id": f"p{i}", "prompt": f"question {i}", "scorer": {"kind": "exact", "answers": ["yes"]}} for i in range(n)],
        name="quiz",
    )


def test_a_live_check_plays_the_config_beside_each_of_its_models() -> None:
    a, b = Scripted("yes"), Scripted("no")
    found = check_live(ALWAYS_B, quiz(40), fleet({"a": a, "b": b}))
    assert (len(a.requests), len(b.requests)) == (40, 80)
    assert (found.word, found.source) == ("regression", "live")
    assert found.comparison.baseline.name == "a"
    assert [arm.name for arm in found.comparison.arms] == ["winner"]
    assert found.arm.figures.p_adjusted == found.arm.figures.against.p  # type: ignore[union-attr]


def test_a_live_check_asks_only_the_baseline_that_is_given_and_keeps_its_budget() -> None:
    a, b = Scripted("yes"), Scripted("yes")
    found = check_live(ALWAYS_B, quiz(20), fleet({"a": a, "b": b}), baseline=only("a"), margin=0.2)
    assert (len(a.requests), len(b.requests)) == (20, 20)
    assert found.word == "fine"
    with pytest.raises(BudgetExceeded):
        check_live(ALWAYS_B, quiz(20), fleet({"a": a, "b": b}), baseline=only("a"), budget_usd=1e-9)


def test_a_live_check_without_a_scorer_is_an_error() -> None:
    with pytest.raises(DataError, match="no answer was scored"):
        check_live(ALWAYS_B, Dataset.of(["hello"]), fleet({"a": Scripted("yes"), "b": Scripted("no")}))


def test_a_practice_fleet_is_checked_without_waiting_and_says_that_it_is_simulated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"id": p.id, "prompt": p.text, "scorer": p.scorer, "task": p.task, "reference": p.reference}
        for p in Dataset.load("workbench").sample(12)
    ]
    data = tmp_path / "few.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = RouteConfig(
        name="w", models=["qwen-local"], strategy={"kind": "fixed", "model": "qwen-local"}, fleet="practice"
    )
    path = config.to_yaml(tmp_path / "w.yaml")
    assert main(["check", str(path), "--dataset", str(data)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("SIMULATED data")
    assert "simulated: fine: w loses less than the margin" in printed


def test_the_fleet_is_the_configs_own_or_the_one_beside_it(tmp_path: Path) -> None:
    assert fleet_for(tmp_path / "w.yaml", RouteConfig(**vars_of(only("a")), fleet="practice")).simulated
    (tmp_path / "fleet.yaml").write_text(
        "routelab: 1\nmodels:\n  a: {provider: openai, usd_per_mtok_in: 1, usd_per_mtok_out: 2}\n"
    )
    found = fleet_for(tmp_path / "w.yaml", only("a"))
    assert isinstance(found, Fleet)
    assert found.names == ("a",)


def vars_of(config: RouteConfig) -> dict[str, Any]:
    return {"name": config.name, "models": config.models, "strategy": config.strategy}
