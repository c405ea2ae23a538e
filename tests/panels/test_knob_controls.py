"""Controls are generated from what a strategy declares, allow what it accepts, and say in its own words what it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import ipywidgets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.plan import Plan
from routelab.core.values import Prompt, Roster
from routelab.panels.controls import Controls
from routelab.panels.knobs import MODELS, Knob, knobs, number, number_bounds, read, turned, whole_bounds, written
from tests.notebook.test_displays import HOSTILE, assert_tame

FLEET = ("a", "b", "c", "d")
SPECS: dict[str, dict[str, Any]] = {
    "fixed": {"kind": "fixed", "model": "a"},
    "rules": {"kind": "rules", "table": {"maths": ["a", "b"]}, "default": ["c"]},
    "split": {"kind": "split", "weights": {"a": 0.3, "b": 0.7}},
    "random": {"kind": "random"},
    "bandit": {"kind": "bandit"},
    "semantic": {"kind": "semantic", "routes": {"r": {"models": ["a"], "examples": ["x", "y"]}}, "default": ["b"]},
    "arbitrage": {"kind": "arbitrage", "min_quality": 0.8},
    "cascade": {"kind": "cascade", "gate": {"scorer": "judge", "model": "d", "at_least": 0.8}, "order": ["a", "b"]},
    "bars": {"kind": "cascade", "gate": {"scorer": "json", "at_least": {"a": 1.0}}, "order": ["a", "b"]},
    "agreement": {"kind": "agreement", "ask": ["a", "b", "c"], "then": ["d"]},
}


def config(kind: str, models: Sequence[str] = ()) -> RouteConfig:
    spec = SPECS[kind]
    named = () if kind in ("random", "bandit", "arbitrage") else None
    return RouteConfig(name=kind, models=tuple(models) or (FLEET if named == () else ()), strategy=spec)


def by_label(made: Controls | RouteConfig) -> dict[str, Knob]:
    found = made.knobs if isinstance(made, Controls) else knobs(made, FLEET)
    return {knob.label: knob for knob in found}


def controls(kind: str) -> Controls:
    return Controls(config(kind), FLEET, lambda: None)


@pytest.mark.parametrize("kind", SPECS)
def test_knobs_at_their_own_values_are_the_same_config(kind: str) -> None:
    before = config(kind)
    values = {knob.key: knob.value for knob in knobs(before, FLEET)}
    after = turned(before, values)
    assert after == before
    assert after.fingerprint == before.fingerprint


def test_a_config_keeps_the_models_it_has_besides_those_the_strategy_names() -> None:
    before = config("fixed", ("d", "a"))
    assert turned(before, {("model",): "b"}).models == ("d", "b")


@pytest.mark.parametrize(
    ("kind", "label", "expected"),
    [
        ("fixed", "model", ("model", None, None, FLEET)),
        ("rules", "tasks", ("choice", None, None, ("auto", "given", "detect"))),
        ("rules", "default", ("models", None, None, FLEET)),
        ("rules", "table", ("yaml", None, None, ())),
        ("split", "weights", ("yaml", None, None, ())),
        ("random", "seed", ("whole", None, None, ())),
        ("bandit", "floor", ("number", 0.001, 0.5, ())),
        ("bandit", "width", ("number", 0.0, None, ())),
        ("bandit", "reward.cost_weight", ("number", 0.0, None, ())),
        ("bandit", "models", ("models", None, None, FLEET)),
        ("semantic", "k", ("whole", 1, None, ())),
        ("arbitrage", "min_quality", ("number", 0.0, 1.0, ())),
        ("arbitrage", "predictor", ("word", None, None, ())),
        ("cascade", "gate.model", ("model", None, None, FLEET)),
        ("cascade", "gate.at_least", ("number", 0.0, 1.0, ())),
        ("cascade", "order", ("order", None, None, FLEET)),
        ("cascade", "tolerance", ("number", 0.0, 0.999, ())),
        ("bars", "gate.at_least.a", ("number", 0.0, 1.0, ())),
        ("agreement", "k", ("whole", 2, 3, ())),
        ("agreement", "ask", ("models", None, None, FLEET)),
        ("agreement", "answer", ("word", None, None, ("a", "b", "c"))),
    ],
)
def test_a_parameter_has_the_knob_that_its_type_and_its_strategy_call_for(
    kind: str, label: str, expected: tuple[Any, ...]
) -> None:
    knob = by_label(config(kind))[label]
    assert (knob.kind, knob.low, knob.high, knob.options) == expected


def test_what_was_learned_has_no_knob_and_what_it_says_comes_from_the_docstring() -> None:
    found = by_label(config("bandit"))
    assert "learned" not in found
    assert found["discount"].says.startswith("discount multiplies what was learned")


def test_a_control_turns_the_config() -> None:
    made = controls("cascade")
    made.inputs["gate", "at_least"].value = 0.6
    made.inputs["order",].value = "b, c"
    made.inputs["gate", "model"].value = "c"
    assert made.errors == {}
    assert made.touched
    assert made.config.ranking.gate == {"scorer": "judge", "model": "c", "at_least": 0.6}  # type: ignore[attr-defined]
    assert made.config.models == ("b", "c")


def test_an_invalid_value_shows_the_strategys_own_error_and_keeps_the_last_valid_config() -> None:
    made = controls("semantic")
    made.inputs["k",].value = "3"
    made.inputs["k",].value = "0"
    assert made.errors == {("k",): "k: must be at least 1, not 0"}
    assert made.config.ranking.k == 3  # type: ignore[attr-defined]
    made.inputs["k",].value = "4"
    assert made.errors == {}
    assert made.config.ranking.k == 4  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "key", "typed", "said"),
    [
        ("random", ("seed",), "1.5", "seed: a whole number is wanted (got '1.5')"),
        ("random", ("seed",), "many", "seed: a number is wanted (got 'many')"),
        ("random", ("seed",), "", "seed: a number is wanted"),
        ("arbitrage", ("max_latency_s",), "-1", "max_latency_s: must be a number of at least 0, not -1.0"),
        ("cascade", ("order",), "a, a", "order: 'a' is named twice"),
        ("cascade", ("gate",), "scorer: jsn", "gate.scorer: unknown 'jsn'; did you mean 'json'?"),
        ("split", ("weights",), "a: -1", "weights.a: must be a number of at least 0, not -1"),
        ("split", ("weights",), "a: [", "line:1: not YAML: "),
        ("split", ("weights",), "", "weights: is empty"),
        ("split", ("weights",), "7", "weights: must be `key: value` lines"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(kind: str, key: tuple[str, ...], typed: str, said: str) -> None:
    made = controls(kind)
    before = made.config
    made.inputs[key].value = typed
    assert made.errors[key].startswith(said)
    assert "\n" not in made.errors[key]
    assert made.config == before


def test_a_value_that_waits_counts_as_soon_as_another_control_makes_room_for_it() -> None:
    made = controls("arbitrage")
    made.inputs["cost_weight",].value = "3"
    assert made.errors == {("cost_weight",): "cost_weight: and min_quality exclude each other; keep one"}
    made.inputs["min_quality",].value = ""
    assert made.errors == {}
    strategy: Any = made.config.ranking
    assert (strategy.min_quality, strategy.cost_weight) == (None, 3.0)


def test_bounds_follow_what_they_depend_on() -> None:
    made = controls("agreement")
    assert made.inputs["k",].max == 3
    made.inputs["then",].value = ["a"]
    assert made.errors == {("then",): "then: 'a' is named twice"}
    made.inputs["ask",].value = ["b", "c"]
    assert made.errors == {}
    assert made.config.ranking.models == ("b", "c", "a")  # type: ignore[attr-defined]
    assert made.inputs["k",].max == 2


def test_other_keys_in_a_mapping_make_other_controls() -> None:
    made = controls("cascade")
    made.inputs["gate",].value = "scorer: consistency\nsamples: 5"
    # The judge's model stays until it is taken out by hand, and consistency asks no such model.
    assert made.errors[("gate",)].startswith("gate.model: unknown key")
    made = controls("bars")
    made.inputs["gate",].value = "scorer: json\nat_least: 0.9"
    assert made.errors == {}
    assert [k.label for k in made.knobs if k.key[0] == "gate"] == ["gate.at_least", "gate"]
    made.inputs["gate", "at_least"].value = 0.5
    assert made.config.ranking.gate == {"scorer": "json", "at_least": 0.5}  # type: ignore[attr-defined]


def test_every_control_has_a_tooltip_and_hostile_words_stay_words() -> None:
    made = controls("split")
    made.inputs["weights",].value = f"a: {HOSTILE!r}"
    assert made.errors
    for row in made.widget.children:
        for part in row.children:
            if isinstance(part, ipywidgets.HTML):
                assert_tame(part.value)
            else:
                assert part.tooltip


@dataclass(frozen=True, kw_only=True)
class Own:
    """Somebody's own: `share` says how much, `how` says in which way."""

    share: float = 0.5
    how: Literal["up", "down"] = "up"
    loud: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 2:
            raise ValueError(f"share: must lie between 0 and 2, not {self.share}")

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        n = len(prompts)
        return Plan(
            order=np.zeros((n, 1), dtype=np.intp),
            propensity=np.ones(n),
            reason=np.zeros(n, dtype=np.intp),
            reasons=("own",),
        )


def test_a_strategy_of_somebodys_own_has_controls_without_a_line_here() -> None:
    made = Controls(RouteConfig(name="own", models=FLEET, strategy=Own()), FLEET, lambda: None)
    assert [(k.label, k.kind) for k in made.knobs] == [
        ("models", "models"),
        ("share", "number"),
        ("how", "choice"),
        ("loud", "switch"),
    ]
    made.inputs["share",].value = 1.25
    made.inputs["how",].value = "down"
    made.inputs["loud",].value = True
    made.inputs[MODELS].value = ["b", "a"]
    assert made.config.ranking == Own(share=1.25, how="down", loud=True)
    assert made.config.models == ("b", "a")
    made.inputs[MODELS].value = []
    assert made.errors == {MODELS: "models: name at least one model"}


@given(low=st.sampled_from((0.0, 0.5, 1.0)), width=st.sampled_from((0.5, 1.0, 4.0)), share=st.floats(0, 1))
def test_whatever_lies_between_found_bounds_is_accepted(low: float, width: float, share: float) -> None:
    def accepts(value: float) -> bool:
        return low <= value <= low + width

    found = number_bounds(accepts, low + width / 2)
    least = low if found[0] is None else found[0]
    most = found[1] if found[1] is not None else least
    assert accepts(least + share * (most - least))


@given(low=st.integers(-5, 5), width=st.integers(0, 30), at=st.floats(0, 1))
def test_whole_bounds_are_the_ends_of_what_is_accepted(low: int, width: int, at: float) -> None:
    start = low + int(at * width)
    assert whole_bounds(lambda v: low <= v <= low + width, start) == (low, low + width)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(st.characters(codec="utf-8"), max_size=20),
        lambda inner: st.dictionaries(st.text("abcdef", min_size=1), inner, min_size=1, max_size=3).filter(bool),
        max_leaves=6,
    ).filter(lambda v: isinstance(v, Mapping))
)
def test_a_mapping_reads_back_from_its_yaml(value: Any) -> None:
    assert read(written(value)) == value


@pytest.mark.parametrize(("text", "value"), [("minilm", "minilm"), ("", None), ("3", 3), ("[a, b]", ("a", "b"))])
def test_a_word_reads_as_yaml_does(text: str, value: Any) -> None:
    assert read(text) == value


def test_a_number_may_be_left_out_only_where_the_field_may() -> None:
    knob = Knob(key=("k",), kind="number", value=1.0)
    assert number(" 2 ", knob) == 2.0
    assert number("", Knob(key=("k",), kind="number", value=None, optional=True)) is None
    with pytest.raises(ConfigError, match="k: a number is wanted"):
        number("nan", knob)
