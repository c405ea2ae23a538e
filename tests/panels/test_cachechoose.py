"""Choosing a cache's threshold: every step against the bench, what stays hidden until Confirm, and what is taken away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from cached import elements, kept, pairs, read, settled, traffic
from compared import asked, cube

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, DataError
from routelab.lab.caches.bench import cosines
from routelab.lab.caches.stream import Setting
from routelab.lab.caches.streamed import stream
from routelab.lab.charts.chart import PLOTLY_MIME
from routelab.lab.session import Lab
from routelab.panels.cache import Cache, cache
from routelab.panels.cachechoose import START, Choose
from routelab.panels.cachedrawing import Drawing
from routelab.panels.cachepairs import PairsGround
from routelab.panels.cachesources import pairs_of, source_of, sources
from routelab.panels.cachetraffic import TrafficGround
from routelab.testing import Scripted, fleet


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(fleet=fleet({"good": Scripted("four")})) as lab:
        yield lab


def opened(lab: Lab, value: Any, *, budget: float = 0.1) -> Choose:
    """Return the part that chooses, over a value, ready."""
    made = Choose(lab.desk)
    made.budget.value = 100 * budget
    made.take(value, "lexical")
    settled(*made.jobs)
    assert made.line.text == ""
    return made


def test_without_anything_open_it_says_what_can_be_opened(lab: Lab) -> None:
    made = Choose(lab.desk)
    assert made.panel.still()["text/plain"] == START
    assert made._tuning.layout.display == "none"
    assert any("shipped" in title for title in made.source.options)


def test_every_step_of_the_slider_shows_the_figures_of_the_half_that_is_looked_at(lab: Lab) -> None:
    made = opened(lab, pairs())
    ground = made.ground
    assert isinstance(ground, PairsGround)
    tune = ground.split.tune
    score = cosines("lexical", tune)
    made.guard.value = "none"
    for _, threshold in list(made.slider.options)[::9]:
        made.slider.value = threshold
        assert made.shown is not None
        hit = score >= threshold
        true, false = int((hit & tune.same).sum()), int((hit & ~tune.same).sum())
        cells = {row[0]: row for row in made.shown.figures.rows}
        assert cells["true-hit rate"][2] == f"{true} of {tune.positives} pairs"
        assert cells["false-hit rate"][2].startswith(f"{false} of {true + false} hits")
        assert f"{threshold:.4f}" in read(made._figures.value)
        assert f"at {threshold:.4f}" in made._curves.value
        assert f"{threshold:.4f}" in made.panel.still()["text/plain"]


def test_the_pairs_below_are_those_that_the_threshold_gets_wrong(lab: Lab) -> None:
    made = opened(lab, pairs())
    made.guard.value = "none"
    made.slider.value = next(t for _, t in made.slider.options if t >= 0.8)
    assert made.shown is not None
    tune = made.ground.split.tune  # type: ignore[union-attr]
    known = {(a, b): bool(s) for a, b, s in zip(tune.asked, tune.known, tune.same, strict=True)}
    false, lost = made.shown.tables
    assert false.rows
    assert all(not known[row[3], row[4]] and float(row[0]) >= 0.8 for row in false.rows)
    assert all("lexical: " in row[1] for row in false.rows)
    assert all(known[row[3], row[4]] for row in lost.rows)
    assert [row[0] for row in false.rows] == sorted((row[0] for row in false.rows), reverse=True)


def test_the_guard_turns_opposites_away_and_says_what_it_objects_to(lab: Lab) -> None:
    made = opened(lab, pairs())
    assert made.guard.value == "lexical"
    made.slider.value = made.slider.options[0][1]
    assert made.shown is not None
    guarded = int(made.shown.figures.rows[1][2].split()[0])
    made.guard.value = "none"
    made.slider.value = made.slider.options[0][1]
    assert int(made.shown.figures.rows[1][2].split()[0]) > guarded == 0


def test_best_is_the_bench_s_nominee_and_a_budget_that_nothing_meets_says_why(lab: Lab) -> None:
    made = opened(lab, pairs(), budget=0.3)
    wanted, why = made.ground.nominee("lexical", 0.3)  # type: ignore[union-attr]
    assert wanted is not None
    assert made.slider.value == pytest.approx(wanted)
    assert "most true hits to expect" in why
    made.slider.value = made.slider.options[-1][1]
    made.best.click()
    assert made.slider.value == pytest.approx(wanted)
    made.budget.value = 0.1
    assert made.best.disabled
    assert "the cache stays off: no threshold keeps false hits under 0.1 %" in read(made._why.value)


def test_the_held_out_half_is_hidden_until_confirm_and_every_other_place_counts(lab: Lab) -> None:
    made = opened(lab, pairs(), budget=0.3)
    held_out = made.ground.split.confirm  # type: ignore[union-attr]
    for text in (*held_out.asked, *held_out.known):
        assert text not in made.panel.still()["text/plain"]
    assert "were not looked at" in made.panel.still()["text/plain"]
    assert made.confirm.description == f"Confirm on {len(held_out)} held-out pairs"
    made.confirm.click()
    settled(*made.jobs)
    first = made.confirmation
    assert first is not None
    assert (first.adopt, first.uses) == (True, "held-out half used 1 time")
    assert "adopt at" in read(made._result.value)
    made.confirm.click()
    settled(*made.jobs)
    assert made.confirmation is not None
    assert made.confirmation.uses == "held-out half used 1 time"  # the same look tells nothing new
    made.slider.value = next(t for _, t in made.slider.options if t > made.slider.value)
    assert "this belongs to an earlier place" in read(made._result.value)
    assert "an earlier place" in made.panel.still()["text/plain"]
    made.confirm.click()
    settled(*made.jobs)
    assert "held-out half used 2 times" in made.confirmation.uses
    assert "confirm-" in str(lab.log.query("select experiment from experiments"))


def test_the_figures_of_the_held_out_half_are_those_of_its_own_pairs(lab: Lab) -> None:
    made = opened(lab, pairs(), budget=0.3)
    made.guard.value = "none"
    made.slider.value = next(t for _, t in made.slider.options if t >= 0.8)
    made.confirm.click()
    settled(*made.jobs)
    held_out = made.ground.split.confirm  # type: ignore[union-attr]
    hit = cosines("lexical", held_out) >= made.slider.value
    assert made.confirmation is not None
    assert made.confirmation.figures.rows[0] == (
        "all",
        f"{len(held_out)}",
        f"{int((hit & held_out.same).sum())} of {held_out.positives}",
        f"{int((hit & ~held_out.same).sum())} of {len(held_out) - held_out.positives}",
    )
    assert (made.confirmation.adopt, "the cache stays off" in made.confirmation.words) == (False, True)


def test_the_config_to_copy_is_stamped_until_it_is_confirmed_and_is_read_back(lab: Lab) -> None:
    made = opened(lab, pairs(), budget=0.3)
    made.copy.click()
    assert made.yaml.value.startswith("# NOT CONFIRMED: At ")
    assert made._offer.layout.display == ""
    made.confirm.click()
    settled(*made.jobs)
    assert made.yaml.value == ""  # it belonged to what was known before
    made.copy.click()
    text = made.yaml.value
    assert text.startswith("# lexical, lexical guard: adopt at ")
    assert "# held-out half used 1 time" in text
    read_back = yaml.safe_load(text)["cache"]
    threshold = pytest.approx(made.slider.value)
    assert read_back == {
        "exact": True,
        "semantic": {"threshold": threshold, "guard": "lexical", "embedder": "lexical"},
    }
    whole = f"routelab: 1\nname: a\nmodels: [good]\nstrategy: {{kind: fixed, model: good}}\n{text}"
    assert RouteConfig.from_text(whole).cache == made.offered.config
    assert (
        text.splitlines()[0] in made.panel.still()["text/plain"] or made.yaml.value in made.panel.still()["text/plain"]
    )


def test_what_the_held_out_half_refuses_is_the_exact_cache_alone(lab: Lab) -> None:
    made = opened(lab, pairs(), budget=0.05)
    made.guard.value = "none"
    made.confirm.click()
    settled(*made.jobs)
    made.copy.click()
    assert yaml.safe_load(made.yaml.value) == {"cache": {"exact": True}}
    assert "the cache stays off" in made.yaml.value


def test_it_is_saved_as_an_arm_that_answers_from_its_cache(lab: Lab) -> None:
    made = opened(lab, pairs(), budget=0.3)
    made.base.value = "good"
    made.named.value = "thrifty"
    made.save.click()
    assert "thrifty" in made.line.text
    router = lab.router("thrifty")
    router.route("How do I clean the printer?")
    assert router.route("How do I clean the printer?").cached
    made.named.value = "good"
    made.save.click()
    assert made.line.text == "✗ 'good' is a model of this fleet"


def test_traffic_shows_each_level_what_is_saved_and_the_later_part_only_when_asked(lab: Lab) -> None:
    given = traffic()
    made = opened(lab, given, budget=0.05)
    assert isinstance(made.ground, TrafficGround)
    made.slider.value = 0.8
    played = stream(given, [Setting(threshold=0.8, guard="lexical")], embedder="lexical")
    tally, later = played.tallies("earlier")[0], played.tallies("later")[0]
    assert made.shown is not None
    cells = {row[0]: row for row in made.shown.figures.rows}
    assert cells["exact hits"][2] == f"{tally.exact_hits} of {tally.n} requests"
    assert cells["semantic hits"][2] == f"{tally.semantic_hits}"
    assert cells["saved"][1] == f"${tally.saved_usd:.2f}"
    assert cells["waits saved"][1] == f"{tally.saved_s:.0f} s"
    made.confirm.click()
    settled(*made.jobs)
    assert made.confirmation is not None
    assert made.confirmation.figures.rows[0][2] == f"{later.exact_hits} of {later.n} requests"
    assert "later requests" in made.confirmation.words


def test_traffic_without_labels_says_that_nothing_is_known_about_false_hits(lab: Lab) -> None:
    made = opened(lab, traffic(labels=False))
    assert made.best.disabled
    assert made.shown is not None
    cells = {row[0]: row for row in made.shown.figures.rows}
    assert cells["false-hit rate"][1] == "?"
    assert cells["at most"][1] == "?"
    assert "not known" in made._curves.value
    assert "whether a hit is false is not known" in made.shown.words
    made.confirm.click()
    settled(*made.jobs)
    assert made.confirmation is not None
    assert not made.confirmation.adopt
    assert "the traffic has no labels" in made.confirmation.words


def test_costs_that_are_not_known_are_question_marks(lab: Lab) -> None:
    made = opened(lab, traffic(cost_usd=np.full(240, np.nan)))
    assert made.shown is not None
    cells = {row[0]: row for row in made.shown.figures.rows}
    assert cells["saved"][1] == "?"


def test_made_up_traffic_says_simulated_everywhere(lab: Lab) -> None:
    made = opened(lab, traffic(simulated=True))
    assert "SIMULATED" in read(made._head.value)
    assert "SIMULATED" in made.panel.still()["text/plain"]
    made.copy.click()
    assert made.yaml.value.startswith("# SIMULATED")


def test_a_lifetime_is_played_and_is_in_the_config(lab: Lab) -> None:
    made = Choose(lab.desk)
    lab.desk._names = lambda: {"mine": traffic()}
    made.refresh.click()
    made.source.value = "mine: 240 requests"
    assert not made.ttl.disabled
    made.ttl.value, made.embedder.value = 300.0, "lexical"
    made.open.click()
    settled(*made.jobs)
    assert "answers live 300 s" in read(made._head.value)
    made.copy.click()
    assert yaml.safe_load(made.yaml.value)["cache"]["ttl_s"] == 300.0


def test_a_lifetime_without_arrival_times_is_one_line(lab: Lab) -> None:
    made = Choose(lab.desk)
    lab.desk._names = lambda: {"mine": traffic(at_s=None)}
    made.refresh.click()
    made.source.value = "mine: 240 requests"
    made.ttl.value, made.embedder.value = 300.0, "lexical"
    made.open.click()
    settled(*made.jobs)
    assert made.line.text.startswith("✗ ttl_s = 300: cannot be replayed over made")
    assert made.ground is None


def test_charts_are_drawn_from_what_is_shown(lab: Lab) -> None:
    for given, other in ((pairs(), "cache similarity"), (traffic(), "cache hits")):
        made = opened(lab, given)
        made.full.click()
        settled(*made.jobs)
        assert made.picture.chart is not None
        assert made.picture.chart.kind == "cache thresholds"
        assert PLOTLY_MIME in made.picture.widget.outputs[0]["data"]
        made.more.click()
        settled(*made.jobs)
        assert made.picture.chart.kind == other


def test_hostile_texts_are_only_text(lab: Lab) -> None:
    made = opened(lab, pairs(hostile=True))
    made.guard.value = "none"
    made.slider.value = made.slider.options[0][1]
    made.confirm.click()
    settled(*made.jobs)
    bad = {"script", "img", "iframe"}
    for value in (made._tables.value, made._figures.value, made._curves.value, made._result.value):
        assert not elements(value) & bad
    still = made.panel.still()
    assert not elements(still["text/html"]) & bad
    assert "\x1b" not in still["text/plain"]
    assert "\u202e" not in still["text/plain"]


def test_pairs_of_one_label_are_one_line_and_nothing_opens(lab: Lab) -> None:
    some = pairs()
    made = Choose(lab.desk)
    made.take(some[some.same], "lexical")
    settled(*made.jobs)
    assert "labelled 0" in made.line.text
    assert made.ground is None


def test_what_nothing_can_be_tuned_on_is_refused(lab: Lab) -> None:
    with pytest.raises(ConfigError, match="nothing can be tuned on a int"):
        Choose(lab.desk).take(3, "lexical")
    with pytest.raises(ConfigError, match="unknown 'mini'"):
        Choose(lab.desk).take(pairs(), "mini")


def test_frames_and_lists_of_the_notebook_are_pairs(lab: Lab) -> None:
    rows = [{"text_a": "a b", "text_b": "b c", "label": 1, "slice": "x"}, {"text_a": "c", "text_b": "d", "label": 0}]
    frame = pd.DataFrame(rows)
    for value in (rows, frame):
        found = pairs_of(value, "mine")
        assert (found.asked, found.known, found.same.tolist(), found.slices) == (
            ("a b", "c"),
            ("b c", "d"),
            [True, False],
            ("x", ""),
        )
    lab.desk._names = lambda: {
        "rows": rows,
        "frame": frame,
        "other": [1, 2],
        "texts": ["a"],
        "held": pairs(),
        "_": rows,
    }
    assert [t.split(":")[0] for t in sources(lab.desk) if ":" in t] == ["rows", "frame", "held"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text_a": "", "text_b": "b", "label": 1}, "mine, row 1, text_a: a text is wanted, not ''"),
        ({"text_a": "a", "text_b": None, "label": 1}, "mine, row 1, text_b: a text is wanted, not None"),
        ({"text_a": "a", "text_b": "b", "label": 0.5}, "mine, row 1, label: 0.5 is neither 0 nor 1"),
        ({"text_a": "a", "text_b": "b", "label": float("nan")}, "mine, row 1, label: nan is neither 0 nor 1"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(row: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as caught:
        pairs_of([row], "mine")
    assert caught.value.message == said


def test_the_log_s_own_runs_are_traffic(lab: Lab) -> None:
    config = kept(lab)
    router = lab.router(config).with_setting(arm="kept")
    for k in range(25):
        router.route(f"How do I clean the {['printer', 'kettle'][k % 2]}?")
    made = Choose(lab.desk)
    title = next(t for t in made.source.options if t.startswith("this log"))
    assert title == "this log: 25 runs"
    made.source.value, made.embedder.value = title, "lexical"
    made.open.click()
    settled(*made.jobs)
    assert "12 earlier requests are looked at" in read(made._head.value)


def test_outcomes_are_traffic_as_their_best_model_answered(lab: Lab) -> None:
    outcomes = cube(asked(40), [[1.0, 0.0]] * 40, dataset="made")
    source = source_of("mine", outcomes)
    assert source is not None
    assert (source.title, source.traffic) == ("mine: 40 prompts as a answered them", True)
    assert "20 earlier requests are looked at" in opened(lab, outcomes).ground.says  # type: ignore[union-attr]
    assert source_of("x", 3) is None
    assert source_of("x", []) is None


def test_the_drawing_keeps_what_does_not_move(lab: Lab) -> None:
    made = opened(lab, pairs())
    assert made.ground is not None
    drawing = Drawing(course=made.ground.course(made.place))
    one, two = drawing.at(0.8), drawing.at(0.95)
    assert drawing._still in one
    assert drawing._still in two
    assert one != two
    assert elements(one) >= {"svg", "path", "circle"}


def test_the_tab_shows_one_part_at_a_time_and_its_still(lab: Lab) -> None:
    tab = Cache(lab.desk)
    parts = [tab.choose.panel.live, tab.why.panel.live, tab.did.panel.live]
    for place, name in enumerate(tab.which.options):
        tab.which.value = name
        assert [part.layout.display for part in parts] == ["" if k == place else "none" for k in range(3)]
    assert "No run has asked a cache yet" in tab.panel.still()["text/plain"]


def test_a_panel_over_given_pairs_opens_them(lab: Lab) -> None:
    given = pairs()
    lab.desk._names = lambda: {"mine": given}
    panel = cache(lab.desk, given, embedder="lexical", budget=0.2)
    settled(*lab.desk.jobs)
    said = panel.still()["text/plain"]
    assert "mine: " in said
    assert "budget 20.00 %" in said


def test_every_control_says_what_it_is_for(lab: Lab) -> None:
    import ipywidgets

    def controls(widget: Any) -> Iterator[Any]:
        if isinstance(widget, ipywidgets.Box):
            for child in widget.children:
                yield from controls(child)
        elif not isinstance(widget, (ipywidgets.HTML, ipywidgets.Output, ipywidgets.FloatProgress)):
            yield widget

    for control in controls(Cache(lab.desk).panel.live):
        told = getattr(control, "tooltip", None) or getattr(control, "tooltips", None)
        assert told, control
        assert control.description or getattr(control, "placeholder", "") or told
