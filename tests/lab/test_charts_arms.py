"""Charts of a comparison's arms: quality by task, who answered, waits, costs and their sums, and which arms are shown."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from charted import compared, hundred

from routelab.core.plan import NOBODY
from routelab.lab.charts import chart
from routelab.lab.charts.arms import chosen, clusters_of, everyone, marks_of, prompts_of
from routelab.lab.charts.mix import shares
from routelab.lab.charts.quality import rates
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import replay
from routelab.lab.statistics import wilson
from routelab.strategies import Fixed, Random

Cube = Callable[..., Outcomes]


def test_quality_by_task_is_wilsons_interval_of_right_and_wrong(cube: Cube) -> None:
    outcomes = hundred(cube)
    found = {(r.task, r.name): r.quality for r in rates(compared(cube)).rates}
    for task in ("chat", "code"):
        rows = np.array([p.task == task for p in outcomes.prompts])
        right = outcomes.quality[rows, 1]
        assert found[task, "always-mid"] == wilson(right.sum(), len(right))
    assert found["all prompts", "always-mid"] == wilson(outcomes.quality[:, 1].sum(), 120)


def test_difficulty_goes_from_easy_to_hard_with_the_same_rates_as_an_evaluation(cube: Cube) -> None:
    comparison = compared(cube, n=400)
    drawn = chart("difficulty", comparison)
    assert drawn.title == "Quality by difficulty"
    assert drawn.table.rows[0][0] == "all prompts"
    bands = [name for name in rates(comparison, "difficulty").tasks if name in ("easy", "medium", "hard")]
    assert bands == [b for b in ("easy", "medium", "hard") if b in bands]
    held = comparison.by("difficulty", beyond=False)
    known = [r for r in rates(comparison, "difficulty").rates if r.task in bands and r.quality is not None]
    names = {item.name: item.arm.name for item in everyone(comparison)}
    assert len(known) > 5
    assert all(r.quality == held[r.task, names[r.name]].figures.quality for r in known)
    assert "bands are estimated" in drawn.caption


def test_quality_can_be_by_anything_that_an_evaluation_can(cube: Cube) -> None:
    drawn = chart("quality", compared(cube), by=lambda p: "even" if int(p.id[1:]) % 2 == 0 else "odd")
    assert [row[0] for row in drawn.table.rows] == ["all prompts", "even", "odd"]


def test_an_arm_has_the_same_colour_and_symbol_in_every_chart(cube: Cube) -> None:
    comparison = compared(cube, confirm=0.0)
    own = marks_of(comparison)
    for kind in ("frontier", "quality", "slices", "spend", "difficulty"):
        for trace in chart(kind, comparison, limit=3).figure.data:
            if trace.name in own and trace.marker.symbol:
                colour = trace.marker.color if isinstance(trace.marker.color, str) else trace.marker.line.color
                assert (colour, trace.marker.symbol) == (own[trace.name].colour, own[trace.name].symbol)


def test_of_more_arms_than_colours_those_that_are_drawn_have_different_ones(cube: Cube) -> None:
    arms = {f"arm {i}": Random(models=("free", "mid", "top"), seed=i) for i in range(20)}
    comparison = replay(hundred(cube), arms, confirm=0)
    own = marks_of(comparison)
    shown = chosen(comparison, 6)[0]
    assert len({own[s.name].colour for s in shown}) == 6
    assert len({own[s.name] for s in everyone(comparison)}) == 21


def test_arms_stand_side_by_side_in_the_same_order_under_every_task(cube: Cube) -> None:
    drawn = chart("quality", compared(cube))
    assert list(drawn.figure.layout.yaxis.ticktext) == ["all prompts<br>n = 120", "code<br>n = 80", "chat<br>n = 40"]
    tops = [list(t.y) for t in drawn.figure.data]
    for task in range(3):
        heights = [y[task] for y in tops]
        assert heights == sorted(heights, reverse=True)
        assert all(-task - 0.5 < h < -task + 0.5 for h in heights)
    assert drawn.table.head[:2] == ("task", "n")
    assert [row[0] for row in drawn.table.rows] == ["all prompts", "code", "chat"]


def test_more_arms_than_stand_side_by_side_make_a_long_table(cube: Cube) -> None:
    arms = {f"arm {i}": Fixed(model=("free", "mid")[i % 2]) for i in range(6)}
    drawn = chart("quality", replay(hundred(cube), arms, confirm=0), limit=9)
    assert drawn.table.head == ("task", "arm", "n", "quality [95 %]")
    assert len(drawn.table.rows) == 3 * len(drawn.figure.data)


def test_tasks_beyond_the_limit_are_in_the_table_only(cube: Cube) -> None:
    drawn = chart("quality", compared(cube, tasks=[f"task {i % 15}" for i in range(120)]), tasks=4)
    assert len(drawn.figure.layout.yaxis.ticktext) == 5
    assert len(drawn.table.rows) == 16
    assert "11 smaller tasks in the table only" in drawn.caption


def test_prompts_without_tasks_are_one_row(cube: Cube) -> None:
    drawn = chart("quality", compared(cube, tasks=[None] * 120))
    assert (drawn.title, [row[0] for row in drawn.table.rows]) == ("Quality", ["all prompts"])


def test_clusters_widen_the_interval(cube: Cube) -> None:
    alone = compared(cube)
    grouped = compared(cube, groups=[f"g{i // 6}" for i in range(120)])
    assert clusters_of(alone) is None
    clusters = clusters_of(grouped)
    assert clusters is not None
    assert len(set(clusters)) == 20
    estimate = next(r.quality for r in rates(grouped).rates if r.name == "always-mid")
    assert estimate is not None
    assert estimate.method == "clustered t"
    assert prompts_of(grouped) is grouped.outcomes.prompts  # type: ignore[union-attr]


def test_shares_are_of_the_prompts_whose_outcome_is_known(cube: Cube) -> None:
    quality = np.array([[1, 0], [0, 1], [np.nan, 1], [1, 1]] * 10, dtype=float)
    failed = np.zeros_like(quality, dtype=bool)
    failed[0, 0] = True
    outcomes = cube(quality, failed=failed, cost_usd=0.01, models=("x", "y"))
    comparison = replay(outcomes, {"all-x": Fixed(model="x")}, confirm=0, baseline="y")
    mine = [s for s in shares(comparison) if s.name == "all-x"]
    walked = comparison["all-x"].walked
    # Row 0 failed: nobody answered. Where no quality was recorded the model still answered.
    assert int((walked.model == NOBODY).sum()) == 1
    assert [(s.model, s.count) for s in mine] == [("x", mine[0].n - 1), ("no answer", 1)]


def test_arms_that_ask_one_model_are_not_drawn_beside_arms_that_route(cube: Cube) -> None:
    drawn = chart("mix", compared(cube))
    assert list(drawn.figure.layout.yaxis.ticktext) == ["best-single: top (baseline)", "by-task"]
    assert "3 arms asking one model not drawn" in drawn.caption
    assert drawn.table.rows[-1] == ("by-task", "120", "top 67 %, free 33 %")
    alone = replay(hundred(cube), {"only": Fixed(model="mid")}, confirm=0)
    assert list(chart("mix", alone).figure.layout.yaxis.ticktext) == ["best-single: top (baseline)", "only"]


def test_every_bar_is_whole(cube: Cube) -> None:
    comparison = replay(hundred(cube), {"by-chance": Random(models=("free", "mid", "top"))}, confirm=0)
    figure = chart("mix", comparison).figure
    for k in range(2):
        assert sum(t.x[k] for t in figure.data) == pytest.approx(100)
    assert figure.layout.barmode == "stack"


def test_latency_marks_p50_and_p95_of_the_arm_itself(cube: Cube) -> None:
    comparison = compared(cube)
    f = comparison["always-mid"].figures
    assert f.latency_p50 is not None
    assert f.latency_p95 is not None
    figure = chart("latency", comparison).figure
    xs = {
        round(t.x[0], 9) for t in figure.data if t.marker.symbol in ("line-ns-open", "diamond") and t.x[0] is not None
    }
    assert {round(f.latency_p50.value, 9), round(f.latency_p95.value, 9)} <= xs
    assert figure.layout.annotations[0].text == "p50 / p95"


def test_waits_that_were_not_recorded_are_said_to_be_missing(cube: Cube) -> None:
    drawn = chart("latency", compared(cube, latency_s=np.nan))
    assert "times not known: 600" in drawn.caption
    assert {a.text for a in drawn.figure.layout.annotations[1:]} == {"not recorded"}


def test_the_spend_of_a_replay_is_said_to_be_nobodys(cube: Cube) -> None:
    drawn = chart("spend", compared(cube))
    assert drawn.title == "Cost added up"
    assert "a replay: nothing was spent" in drawn.caption
    assert drawn.table.head[2] == "would have cost"
    by = {row[0]: row for row in drawn.table.rows}
    assert by["always-free"][2] == "$0"
    top = next(t for t in drawn.figure.data if t.name == "always-top")
    assert top.y[-1] == pytest.approx(hundred(cube).cost_usd[:, 2].sum())


def test_the_arms_shown_are_the_winner_the_baseline_and_then_the_best_that_differ(cube: Cube) -> None:
    comparison = compared(cube)
    shown, hidden = chosen(comparison, 3)
    assert ([s.name for s in shown], hidden) == (["best-single: top (baseline)", "always-mid", "by-task"], 2)
    # always-top gives the baseline's answers, so it comes last although it is the best.
    assert [s.arm.name for s in chosen(comparison, 4)[0]] == ["best-single", "always-free", "always-mid", "by-task"]
    assert chosen(comparison, 99)[1] == 0
    assert [s.role for s in everyone(comparison)] == ["baseline", "arm", "arm", "arm", "arm"]


def test_a_baseline_that_is_an_arm_is_not_shown_twice(cube: Cube) -> None:
    comparison = replay(hundred(cube), {"m": Fixed(model="mid"), "t": Fixed(model="top")}, confirm=0, baseline="t")
    assert [s.name for s in everyone(comparison)] == ["m", "t (baseline)"]
