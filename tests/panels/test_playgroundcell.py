"""The cell to copy asks the same: read as IPython and the magic read it, it has the same arms, prompt and flags."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from routelab.config import PromptConfig, RouteConfig
from routelab.core.errors import ConfigError
from routelab.fleet import Fleet
from routelab.lab.session import Lab
from routelab.notebook.asking import Ask, read_ask
from routelab.notebook.template import Scope, Template
from routelab.panels.playgroundcell import Chosen, Copied, asked, copied, quoted, with_sampling
from routelab.strategies import Semantic
from routelab.testing import Scripted, fleet

LAB = Lab(fleet=fleet({"cheap": Scripted("a"), "good model": Scripted("b"), "-x": Scripted("c"), "$y": Scripted("d")}))
LAB.arms["mine"] = RouteConfig(name="mine", models=["cheap"], strategy={"kind": "fixed", "model": "cheap"})
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1, max_size=60).filter(str.strip)


def played(made: Copied) -> tuple[Ask, dict[str, RouteConfig], str]:
    """Return what the cells ask, with the arms' configs and the prompt, as the notebook would."""
    names: dict[str, Any] = {}
    exec(made.define, names)
    source = TransformerManager().transform_cell(made.cell)  # type: ignore[no-untyped-call]
    call = ast.parse(source).body[0].value  # type: ignore[attr-defined]
    magic, line, body = (ast.literal_eval(argument) for argument in call.args)
    assert magic == "route"
    ask = read_ask(line, body, names.__getitem__)
    arms = {word: names[word] if word in names else LAB.arm(word) for word in ask.arms}
    sampling = PromptConfig(system=ask.system, temperature=ask.temperature, max_output_tokens=ask.max_tokens)
    text = body if ask.no_template else Template(body)(Scope(names=names))
    return ask, {name: with_sampling(config, sampling) for name, config in arms.items()}, text


def chosen(*names: str) -> list[Chosen]:
    return [Chosen(label=name, config=LAB.arm(name), named=name) for name in names]


def assert_same(prompt: str, arms: Sequence[Chosen], sampling: PromptConfig, made: Copied) -> None:
    _, configs, text = played(made)
    assert text == asked(prompt)
    assert [c.fingerprint for c in configs.values()] == [with_sampling(a.config, sampling).fingerprint for a in arms]


def test_named_arms_need_nothing_but_their_names() -> None:
    made = copied("How much is $5 in {JSON}?", chosen("mine", "cheap", "good model"), PromptConfig())
    assert made == Copied(define="", cell='%%route mine cheap "good model"\nHow much is $5 in {JSON}?')


@given(prompt=TEXTS, system=st.none() | TEXTS, temperature=st.none() | st.floats(0, 2))
def test_any_prompt_and_any_system_prompt_come_back(prompt: str, system: str | None, temperature: float | None) -> None:
    sampling = PromptConfig(system=system, temperature=temperature, max_output_tokens=7)
    arms = chosen("cheap", "-x", "$y")
    assert_same(prompt, arms, sampling, copied(prompt, arms, sampling))


@pytest.mark.parametrize(
    "prompt",
    [
        "{{name}} and \\{{other}}",
        ">>> print(1)\n>>> print(2)",
        "In [1]: x\n   ...: y",
        "first\n\n  second\n\n",
        "    indented\nnot",
        "%%time\nx",
        "!ls",
        "a;",
        "what?",
        "--dry-run",
    ],
)
def test_prompts_that_ipython_or_a_template_would_change_come_back(prompt: str) -> None:
    arms = chosen("cheap")
    assert_same(prompt, arms, PromptConfig(), copied(prompt, arms, PromptConfig()))


@given(TEXTS.filter(lambda t: len(t.splitlines()) == 1))
def test_any_line_is_one_word_when_it_is_quoted(text: str) -> None:
    if text.splitlines()[0] == text:
        assert read_ask(f"--system {quoted(text)} cheap", "x", str).system == text


SPECS: list[dict[str, Any]] = [
    {"kind": "cascade", "gate": {"scorer": "json", "at_least": {"a": 0.5}}, "order": ["a", "b"]},
    {"kind": "split", "weights": {"a": 0.25, "b": 0.75}, "seed": 4},
    {"kind": "agreement", "ask": ["a", "b"], "then": ["c"], "match": "number"},
    {"kind": "rules", "table": {'it\'s "so"': ["a", "b"]}, "default": ["c"]},
    {
        "kind": "semantic",
        "routes": {"r": {"models": ["a"], "examples": ["x\ny", "é"], "threshold": 0.5}},
        "default": ["b"],
    },
    {"kind": "arbitrage", "cost_weight": 3.0},
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s["kind"])
def test_an_arm_that_has_no_name_is_defined_before(spec: dict[str, Any]) -> None:
    config = RouteConfig(
        name="x",
        models=["a", "b", "c"],
        strategy=spec,
        prompt=PromptConfig(system="be\nnice"),
        cache={"exact": True},  # type: ignore[arg-type]
        fallbacks={"a": ["d"]},
    )
    arms = [Chosen(label=f"{spec['kind']} (changed)", config=config), *chosen("cheap")]
    made = copied("hello", arms, PromptConfig(temperature=0.5), taken={"cheap"})
    assert made.define.startswith("from routelab import RouteConfig\n")
    assert_same("hello", arms, PromptConfig(temperature=0.5), made)


def test_names_that_mean_something_already_are_not_taken() -> None:
    arms = [
        Chosen(label="mine (changed)", config=LAB.arm("cheap")),
        Chosen(label="mine (changed)", config=LAB.arm("mine")),
        Chosen(label="class", config=LAB.arm("-x")),
        Chosen(label="4o", config=LAB.arm("$y")),
    ]
    made = copied("x", arms, PromptConfig(), taken={"mine_changed"})
    assert made.cell.splitlines()[0] == "%%route mine_changed_2 mine_changed_3 arm_class arm_4o"


def test_the_same_arm_twice_is_the_second_time_another_name() -> None:
    arms = [*chosen("cheap"), *chosen("cheap")]
    ask, configs, _ = played(copied("x", arms, PromptConfig(), taken={"cheap"}))
    assert len(ask.arms) == 2
    assert {c.fingerprint for c in configs.values()} == {LAB.arm("cheap").fingerprint}


def test_a_yaml_files_name_is_no_name_for_an_arm() -> None:
    arm = Chosen(label="a.yaml", config=LAB.arm("cheap"), named="a.yaml")
    assert copied("x", [arm], PromptConfig()).cell.splitlines()[0] == "%%route a_yaml"


def test_what_no_text_can_hold_is_refused_with_the_way_out() -> None:
    class Own:
        def plan(self, prompts: Any, roster: Any) -> Any: ...

    own = Chosen(label="own", config=RouteConfig(name="own", models=["a"], strategy=Own()))
    with pytest.raises(ConfigError, match="a strategy of type Own cannot be written") as said:
        copied("x", [own], PromptConfig())
    assert said.value.hint == "save it as an arm, which cells know by name"


def test_an_empty_prompt_is_no_cell() -> None:
    with pytest.raises(ConfigError, match="there is nothing to ask"):
        copied(" \n", chosen("cheap"), PromptConfig())


def test_the_shipped_routes_come_back_whole() -> None:
    arm = Chosen(label="semantic", config=RouteConfig(name="s", strategy=Semantic(), fleet=Fleet.practice().spec))
    assert_same("x", [arm], PromptConfig(), copied("x", [arm], PromptConfig()))
