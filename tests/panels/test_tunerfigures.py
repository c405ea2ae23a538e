"""Figures beside the sliders: the house's numbers in the house's words."""

from __future__ import annotations

import numpy as np
from compared import asked, cube

from routelab.config import RouteConfig
from routelab.lab.knobs import Knob
from routelab.lab.tuning import Curve, Field, field_of, prepared
from routelab.panels.tunerfigures import colours_of, cost_of, curve_table, figures, mix, mix_html, mix_text, verdict
from routelab.strategies import Fixed, Split

PROMPTS = asked(200)
QUALITY = np.ones((200, 8))
QUALITY[::10, 0] = 0.0


def place(**more: object) -> Field:
    return field_of(cube(PROMPTS, QUALITY[:, :3].tolist(), **more), {}, confirm=0.0, baseline="c")


def read(where: Field, strategy: object) -> object:
    config = RouteConfig(name="arm", models=getattr(strategy, "models"), strategy=strategy)  # noqa: B009
    tuned = prepared("arm", config, where)
    return where.read("arm", tuned.walk(tuned.start))


def test_a_row_a_measure_with_the_difference_where_there_is_one() -> None:
    found = read(place(), Fixed(model="a"))
    table = figures(found)  # type: ignore[arg-type]
    assert table.head == ("", "here", "baseline", "Δ points, × cost")
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["quality"][0].startswith("90.0 % [")
    assert rows["quality"][2].startswith("−10.0 [")
    assert rows["cost / 1,000"] == ("$1.00", "$3.00", "× 0.33 [0.33, 0.33]")
    assert rows["wait p50"][0] == "1.0 s [1.0 s, 1.0 s]"
    assert rows["failed"] == ("0", "0", "")


def test_the_baselines_own_answers_have_no_difference() -> None:
    rows = figures(read(place(), Fixed(model="c"))).rows  # type: ignore[arg-type]
    assert [row[3] for row in rows[:2]] == ["–", "–"]


def test_the_verdict_says_that_it_is_tunes_and_what_would_be_worth_confirming() -> None:
    assert verdict(read(place(), Fixed(model="b"))) == "On tune: non-inferior; cheaper: confirm it to adopt it"  # type: ignore[arg-type]
    assert verdict(read(place(), Fixed(model="a"))) == "On tune: worse; cheaper"  # type: ignore[arg-type]
    assert "which flatters it" in verdict(read(place(), Fixed(model="a")), in_sample=True)  # type: ignore[arg-type]


def test_many_models_are_the_largest_five_and_the_others() -> None:
    where = field_of(cube(PROMPTS, QUALITY.tolist()), {}, confirm=0.0)
    found = read(where, Split(weights=dict.fromkeys("abcdefgh", 1.0)))
    assert len(mix(found)) == 6  # type: ignore[arg-type]
    assert mix(found)[-1][0] == "3 others"  # type: ignore[arg-type]
    assert abs(sum(share for _, share in mix(found)) - 1) < 1e-12  # type: ignore[arg-type]
    assert "3 others" in mix_text(found)  # type: ignore[arg-type]
    assert mix_html(found, colours_of("abcdefgh")).count("width:") >= 6  # type: ignore[arg-type]


def test_nobody_has_a_share_where_nobody_answered() -> None:
    failed = np.zeros((200, 3), dtype=np.bool_)
    failed[:50, 0] = True
    quality = QUALITY[:, :3].copy()
    quality[:50, 0] = 0.0
    where = field_of(cube(PROMPTS, quality.tolist(), failed=failed), {}, confirm=0.0)
    assert mix(read(where, Fixed(model="a")))[-1] == ("nobody", 0.25)  # type: ignore[arg-type]


def test_the_curve_is_told_from_end_to_end_with_an_arrow_where_the_slider_stands() -> None:
    values = tuple(round(k / 100, 2) for k in range(101))
    knob = Knob(key="k", says="k", values=values, start=0.0)
    curve = Curve(knob=knob, quality=np.array(values), cost_usd=np.where(np.array(values) < 0.5, np.nan, 0.001))
    table = curve_table(curve, 0.33, about="≈ ")
    assert [row[0] for row in table.rows] == [
        "0", "0.1", "0.2", "0.3", "→ 0.33", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1",
    ]  # fmt: skip
    assert table.rows[0] == ("0", "0.0 %", "?")
    assert table.rows[-1] == ("1", "100.0 %", "≈ $1.00")


def test_a_cost_that_nobody_knows_has_no_mean() -> None:
    where = place()
    found = read(where, Fixed(model="a"))
    arm = found.arms[0]  # type: ignore[attr-defined]
    assert round(cost_of(arm, None).value, 9) == 0.001  # type: ignore[union-attr]
    arm.walked.cost_usd[:] = np.nan
    assert cost_of(arm, None) is None
