"""The tuner, driven by its sliders and buttons: figures on tune against replays, what confirm shows and counts, and the still."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import html5lib
import numpy as np
import pytest
from compared import asked, cube

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, DataError
from routelab.lab.charts.chart import PLOTLY_MIME
from routelab.lab.outcomes import Judgements, Outcomes
from routelab.lab.session import Lab
from routelab.lab.tuning import field_of, prepared
from routelab.panels.panel import Panel
from routelab.panels.tuner import Tuner
from routelab.strategies import Arbitrage, Cascade, Fixed, Split

N = 300
ARMS: dict[str, Any] = {
    "by task": Arbitrage(predictor={"kind": "lookup", "tasks": "given"}, min_quality=0.8),
    "cascade": Cascade(order=("a", "c"), gate={"recorded": "judge", "at_least": 0.5}),
    "two bars": Cascade(order=("a", "b", "c"), gate={"recorded": "judge", "at_least": {"a": 0.5, "b": 0.5}}),
    "mix": Split(weights={"a": 0.5, "c": 0.5}),
    "c": Fixed(model="c"),
}


def outcomes(n: int = N) -> Outcomes:
    """Three models, the cheap one as good as the dear one at sums, and a judge who knows."""
    rng = np.random.default_rng(5)
    prompts = asked(n, tasks=("sums", "songs"))
    rate = np.array([[0.97, 0.9, 0.97] if p.task == "sums" else [0.3, 0.6, 0.95] for p in prompts])
    quality = (rng.random((n, 3)) < rate).astype(float)
    score = np.round(np.clip(0.8 * quality + rng.normal(0.1, 0.1, (n, 3)), 0, 1), 3)
    return cube(prompts, quality.tolist(), gates={"judge": Judgements.free(score)}, dataset="made")


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


def configs(arms: dict[str, Any]) -> dict[str, RouteConfig]:
    return {
        name: RouteConfig(name=name, models=getattr(arm, "models", ()) or ("a", "b", "c"), strategy=arm)
        for name, arm in arms.items()
    }


def opened(lab: Lab, given: Outcomes | None = None, *, arms: dict[str, Any] | None = None, **terms: Any) -> Tuner:
    """Return a tuner whose arms are all ready."""
    named = configs(ARMS if arms is None else arms)
    found = Tuner(lab.desk, field_of(given or outcomes(), named, **terms), named)
    settled(found)
    return found


def settled(found: Tuner) -> None:
    """Wait for what was started in the background."""
    for job in found.jobs:
        job.wait(60)
    if found.exporting.job is not None:
        found.exporting.job.wait(60)


def shown(value: str) -> str:
    """Return the text that a browser would show."""
    tree = html5lib.parse(value, namespaceHTMLElements=False)
    for parent in tree.iter():
        for child in parent:
            if child.tag == "style":
                child.text = ""
    return " ".join("".join(tree.itertext()).split())


@pytest.mark.parametrize("name", ["by task", "cascade", "mix"])
def test_every_step_of_a_slider_shows_the_figures_of_its_replay_on_tune(lab: Lab, name: str) -> None:
    tuner = opened(lab)
    tuner.picker.value = name
    ((key, slider),) = tuner.sliders.items()
    for _, value in list(slider.options)[::17]:
        slider.value = value
        config = prepared(name, configs(ARMS)[name], tuner.place).at({key: value})
        replayed = lab.replay(outcomes(), {name: config}).arms[0]
        assert tuner.now is not None
        mine = tuner.now.arms[0]
        assert replayed.tune is not None
        assert np.array_equal(mine.walked.model, replayed.tune.model)
        assert mine.figures.quality is not None
        assert mine.figures.quality.value == pytest.approx(replayed.tune_quality)
        assert mine.figures.cost_usd == pytest.approx(replayed.tune_cost_usd)
        assert f"{100 * mine.figures.quality.value:.1f} %" in shown(tuner._figures.value)
        assert f"{name} at" in tuner._drawing.value


def test_a_slider_is_made_for_each_knob_and_none_for_an_arm_without(lab: Lab) -> None:
    tuner = opened(lab)
    found = {}
    for name in ARMS:
        tuner.picker.value = name
        found[name] = [slider.description for slider in tuner.sliders.values()]
    assert found == {
        "by task": ["min_quality"],
        "cascade": ["bar of judge"],
        "two bars": ["bar for a (judge)", "bar for b (judge)"],
        "mix": ["share of c"],
        "c": [],
    }
    assert tuner.back.disabled
    assert "c, as it is given" in tuner.panel.still()["text/plain"]


def test_a_slider_stays_where_it_was_when_another_arm_was_looked_at(lab: Lab) -> None:
    tuner = opened(lab)
    slider = tuner.sliders["min_quality"]
    slider.value = slider.options[3][1]
    tuner.picker.value = "mix"
    tuner.picker.value = "by task"
    assert tuner.sliders["min_quality"].value == slider.options[3][1]
    tuner.back.click()
    assert tuner.sliders["min_quality"].value == 0.8
    assert "min_quality 0.8" in tuner.panel.still()["text/plain"]


def test_of_two_bars_the_curve_is_that_of_the_one_moved_last_where_the_other_stands(lab: Lab) -> None:
    tuner = opened(lab)
    tuner.picker.value = "two bars"
    first, second = tuner.sliders.values()
    second.value = second.options[-1][1]
    settled(tuner)
    first.value = first.options[1][1]
    settled(tuner)
    held = tuner.arms.ready["two bars"]
    assert held.curve is not None
    assert held.curve.knob.key == "gate.at_least.a"
    k = held.curve.knob.values.index(first.value)
    assert tuner.now is not None
    assert held.curve.quality[k] == pytest.approx(tuner.now.arms[0].walked.quality.mean())


def test_weights_that_ask_nobody_are_refused_in_one_line_and_nothing_moves(lab: Lab) -> None:
    tuner = opened(lab, arms={"three": Split(weights={"a": 1.0, "b": 0.0, "c": 0.0})})
    slider = tuner.sliders["weights.a"]
    before = tuner.now
    slider.value = 0.0
    assert "weights: at least one must be more than 0" in tuner.line.text
    assert tuner.now is before
    tuner.sliders["weights.b"].value = 0.5
    assert tuner.line.text == ""
    assert tuner.now is not before


def test_confirm_stays_hidden_until_it_is_pressed_and_the_press_is_counted(lab: Lab) -> None:
    tuner = opened(lab)
    assert tuner.confirmation is None
    assert tuner._result.value == ""
    assert not tuner.exporting.offered
    assert "The confirm split was not looked at." in tuner.panel.still()["text/plain"]
    assert lab.log.query("select count(*) from experiments where experiment like 'confirm-%'")[0][0] == 0
    tuner.confirm.click()
    settled(tuner)
    assert tuner.confirmation is not None
    said = shown(tuner._result.value)
    assert "Confirmed: by task, min_quality 0.8 · confirm split used 1 time" in said
    assert "confirm split used 1 time" in tuner.panel.still()["text/plain"]
    assert lab.desk.comparison is tuner.confirmation.comparison
    assert tuner.exporting.offered


def test_confirm_replays_exactly_the_setting_and_counts_as_a_replay_does(lab: Lab) -> None:
    tuner = opened(lab)
    tuner.sliders["min_quality"].value = tuner.sliders["min_quality"].options[10][1]
    value = tuner.sliders["min_quality"].value
    tuner.confirm.click()
    settled(tuner)
    assert tuner.confirmation is not None
    found = tuner.confirmation.comparison
    config = RouteConfig(
        name="by task",
        models=("a", "b", "c"),
        strategy=Arbitrage(predictor={"kind": "lookup", "tasks": "given"}, min_quality=value),
    )
    wanted = lab.replay(outcomes(), {"by task": config})
    assert found.frame.equals(wanted.frame)
    assert found.why == wanted.why
    # The replay is the same look, so it is not counted again; another setting is.
    assert (found.terms.confirm_uses, wanted.terms.confirm_uses) == (1, 1)
    tuner.confirm.click()
    settled(tuner)
    assert tuner.confirmation.comparison.terms.confirm_uses == 1
    tuner.back.click()
    tuner.confirm.click()
    settled(tuner)
    assert tuner.confirmation.comparison.terms.confirm_uses == 2


def test_every_position_that_was_looked_at_counts_as_tried(lab: Lab) -> None:
    tuner = opened(lab, arms={"by task": ARMS["by task"]})
    tuner.confirm.click()
    settled(tuner)
    assert tuner.confirmation is not None
    positions = len(tuner.sliders["min_quality"].options)
    assert tuner.confirmation.comparison.terms.arms_tried == positions


def test_after_a_move_the_result_is_marked_as_that_of_the_earlier_setting_and_not_exported(lab: Lab) -> None:
    tuner = opened(lab)
    tuner.confirm.click()
    settled(tuner)
    assert "rl-earlier" not in tuner._result.value
    tuner.sliders["min_quality"].value = tuner.sliders["min_quality"].options[0][1]
    assert 'class="rl-earlier"' in tuner._result.value
    assert "this belongs to an earlier setting" in shown(tuner._result.value)
    assert not tuner.exporting.offered
    assert "(an earlier setting than the one above)" in tuner.panel.still()["text/plain"]
    tuner.back.click()
    assert "rl-earlier" not in tuner._result.value
    assert tuner.exporting.offered
    tuner.picker.value = "mix"
    assert not tuner.exporting.offered


def test_without_a_confirm_split_nothing_can_be_confirmed(lab: Lab) -> None:
    tuner = opened(lab, confirm=0.0)
    assert tuner.confirm.disabled
    assert "there is no confirm split" in shown(tuner._head.value)
    assert tuner.now is not None
    assert len(tuner.now.outcomes or ()) == N


def test_an_arm_that_cannot_be_replayed_says_why_and_the_others_go_on(lab: Lab) -> None:
    arms = {"lost": Cascade(order=("a", "c"), gate={"recorded": "jugde", "at_least": 0.5}), **ARMS}
    tuner = opened(lab, arms=arms)
    assert set(tuner.arms.ready) == set(ARMS)
    assert "lost cannot be replayed here" in shown(tuner._figures.value)
    assert tuner.confirm.disabled
    assert tuner.full.disabled
    assert "cannot be replayed" in tuner.panel.still()["text/plain"]
    tuner.picker.value = "mix"
    assert not tuner.confirm.disabled


def test_what_takes_longer_than_a_moment_is_a_job_and_the_arm_that_is_picked_comes_first(lab: Lab) -> None:
    named = configs(ARMS)
    ticks = iter([0.0, 10.0])
    tuner = Tuner(lab.desk, field_of(outcomes(), named), named, clock=lambda: next(ticks))
    assert [job.name for job in tuner.jobs] == ["job 1 · tuner: arms made ready"]
    settled(tuner)
    assert list(tuner.arms.ready) == list(ARMS)
    assert tuner.now is not None
    assert tuner.jobs[0].progress.done == len(ARMS)
    assert tuner.running.widget.layout.display == "none"


class Broken:
    """A strategy of somebody's with a bug in what it learns."""

    models = ("a", "c")

    def fit(self, outcomes: Any) -> Broken:
        raise ZeroDivisionError("somebody's bug")

    def plan(self, prompts: Any, roster: Any) -> Any:
        raise AssertionError


def test_a_bug_in_one_arm_is_said_and_the_others_are_made_ready_when_they_are_picked(lab: Lab) -> None:
    named = configs({"broken": Broken(), **ARMS})
    ticks = iter([0.0, 10.0])
    tuner = Tuner(lab.desk, field_of(outcomes(), named), named, clock=lambda: next(ticks))
    with pytest.raises(ZeroDivisionError):
        tuner.jobs[0].result(60)
    assert "somebody's bug" in tuner.line.text
    assert "broken cannot be replayed here: ZeroDivisionError" in shown(tuner._figures.value)
    tuner.picker.value = "mix"
    tuner.jobs[1].wait(60)
    assert set(tuner.arms.ready) == set(ARMS)


def test_the_full_chart_is_the_benchs_frontier_with_the_curve(lab: Lab) -> None:
    tuner = opened(lab)
    tuner.sliders["min_quality"].value = tuner.sliders["min_quality"].options[2][1]
    tuner.full.click()
    settled(tuner)
    (output,) = tuner.picture.widget.outputs
    names = [trace.get("name") for trace in output["data"][PLOTLY_MIME]["data"]]
    assert names[0] == "all positions of the knob"
    assert {"by task, here", "cascade", "two bars", "mix", "c"} <= set(names)
    assert "on the tune split" in shown(tuner._pictured.value)


def test_the_still_says_the_setting_the_figures_the_verdict_and_the_curve(lab: Lab) -> None:
    said = opened(lab).panel.still()["text/plain"]
    assert said.startswith("On tune: ")
    assert "by task, min_quality 0.8" in said
    assert "model mix" in said
    assert "→ 0.8" in said
    assert "n = " in said
    assert "baseline best-single: c; margin 2 points" in said


def test_what_is_simulated_says_so(lab: Lab) -> None:
    given = cube(asked(60), [[1.0, 1.0, 1.0]] * 60, simulated=True, dataset="made")
    tuner = opened(lab, given, arms={"mix": ARMS["mix"]})
    assert "simulated models: no figure here says anything about a real one" in shown(tuner._head.value)
    assert "simulated models" in tuner.panel.still()["text/plain"]


def test_hostile_names_are_text_everywhere(lab: Lab) -> None:
    evil = "<img src=x onerror=alert(1)> $x$ \u202egnp & 'q\"</svg>"
    given = outcomes()
    given = cube(given.prompts, given.quality.tolist(), gates=given.gates, dataset="<script>d</script>")
    given = given.only(("a", "c"))
    arms = {
        evil: RouteConfig(name=evil, models=("a", "c"), strategy=Split(weights={"a": 0.5, "c": 0.5})),
        f"{evil}2": RouteConfig(name=evil, models=("a",), strategy=Fixed(model="a")),
    }
    tuner = Tuner(lab.desk, field_of(given, arms), arms)
    tuner.confirm.click()
    settled(tuner)
    parts = (tuner._head, tuner._figures, tuner._drawing, tuner._result, tuner.exporting._head, tuner.exporting._text)
    for value in (*(part.value for part in parts), tuner.panel.still()["text/html"]):
        tree = html5lib.parse(value, namespaceHTMLElements=False)
        assert not {"img", "script"} & {element.tag for element in tree.iter() if isinstance(element.tag, str)}
        assert "\u202e" not in value
    assert "\u202e" not in tuner.panel.still()["text/plain"]
    assert all("\u202e" not in label for label, _ in tuner.picker.options)
    assert evil[:12] in shown(tuner._drawing.value)


def test_a_lab_gives_the_panel_with_standard_arms_or_those_that_are_named(lab: Lab) -> None:
    panel = lab.tuner(outcomes(60), ["a", "c"])
    assert isinstance(panel, Panel)
    assert "a, as it is given" in panel.still()["text/plain"]
    own = lab.tuner(outcomes(60), {"mine": Split(weights={"a": 1, "b": 1})})
    assert "mine, share of b 50 %" in own.still()["text/plain"]
    with pytest.raises(ConfigError, match="at least one arm"):
        lab.tuner(outcomes(60), {})
    with pytest.raises(DataError, match="cannot be split"):
        lab.tuner(outcomes(1), ["a"])


def test_what_is_confirmed_is_exported_and_read_back_equal(lab: Lab, tmp_path: Path) -> None:
    tuner = opened(lab)
    tuner.confirm.click()
    settled(tuner)
    tuner.exporting.path.value = str(tmp_path / "winner.yaml")
    tuner.exporting.button.click()
    settled(tuner)
    assert tuner.exporting.line.text == f"wrote {tmp_path / 'winner.yaml'}"
    assert tuner.confirmation is not None
    assert RouteConfig.from_yaml(tmp_path / "winner.yaml") == tuner.confirmation.comparison.arms[0].config
