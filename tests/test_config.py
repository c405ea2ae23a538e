"""RouteConfig: whatever is written in the file, the answer is a config or one line with file, line and key."""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab import strict
from routelab.caching import CacheConfig
from routelab.config import ContextConfig, Limits, PromptConfig, RouteConfig
from routelab.context import Whole, Window
from routelab.core.errors import ConfigError, UnavailableError
from routelab.strategies import Fixed, Random, Rules, Split

FULL = """\
routelab: 1
name: cheap-first
models: [qwen-local, gpt-5-mini, claude-opus]
strategy:
  kind: rules
  table:
    translation: [qwen-local, gpt-5-mini]
    research: [claude-opus]
  default: [gpt-5-mini]
  tasks: auto
cache: {exact: true, ttl_s: 600}
prompt:
  system: be brief
  max_output_tokens: 400
  temperature: 0.2
limits:
  deadline_s: 60
  retries: 2
  concurrency: 32
  budget_usd: 25
fallbacks:
  claude-opus: [gpt-5-mini, gpt-5]
fleet: practice
evidence: {status: confirmed, n: 400}
"""
SMALL = "routelab: 1\nname: a\nstrategy: {kind: fixed, model: m}\n"


def complaint(text: str) -> str:
    """Return what is said about a file."""
    with pytest.raises(ConfigError) as caught:
        RouteConfig.from_text(text, name="a.yaml")
    return str(caught.value)


def test_a_whole_file_becomes_a_value() -> None:
    assert RouteConfig.from_text(FULL) == RouteConfig(
        name="cheap-first",
        models=["qwen-local", "gpt-5-mini", "claude-opus"],
        strategy=Rules(
            table={"translation": ("qwen-local", "gpt-5-mini"), "research": ("claude-opus",)}, default=("gpt-5-mini",)
        ),
        cache=CacheConfig(exact=True, ttl_s=600),
        prompt=PromptConfig(system="be brief", max_output_tokens=400, temperature=0.2),
        limits=Limits(deadline_s=60, retries=2, concurrency=32, budget_usd=25),
        fallbacks={"claude-opus": ["gpt-5-mini", "gpt-5"]},
        fleet="practice",
    )


def test_the_least_that_must_be_said() -> None:
    assert RouteConfig.from_text(SMALL) == RouteConfig(name="a", strategy=Fixed(model="m"))
    assert RouteConfig.from_text(SMALL).models == ("m",)


def test_sections_at_their_defaults_are_not_written() -> None:
    assert RouteConfig.from_text(SMALL).to_text() == (
        "routelab: 1\nname: a\nmodels:\n- m\nstrategy:\n  kind: fixed\n  model: m\n"
    )


def test_evidence_is_for_people_and_changes_nothing() -> None:
    config = RouteConfig.from_text(FULL)
    assert RouteConfig.from_text(FULL.replace("status: confirmed, n: 400", "status: made up")) == config
    text = config.to_text(evidence={"n": 400, "note": None}, comment="first\n\nsecond")
    assert text.startswith("# first\n#\n# second\nroutelab: 1\n")
    assert yaml.safe_load(text)["evidence"] == {"n": 400, "note": None}
    assert RouteConfig.from_text(text) == config


def test_the_names_of_everybody_who_may_be_asked() -> None:
    assert RouteConfig.from_text(FULL).names == ("qwen-local", "gpt-5-mini", "claude-opus", "gpt-5")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: cheap", "nmae: cheap", "a.yaml:2: nmae: unknown key; did you mean 'name'?"),
        ("routelab: 1", "routelab: 2", "a.yaml:1: routelab: version 2 is not known\n  hint: the first line must be `routelab: 1`"),
        ("routelab: 1", "routelab: true", "a.yaml:1: routelab: version True is not known"),
        ("routelab: 1", "routelab: '1'", "a.yaml:1: routelab: version '1' is not known"),
        ("routelab: 1\n", "", "a.yaml:1: routelab: is missing"),
        ("name: cheap-first", "name: 5", "a.yaml:2: name: must be a text (got 5)"),
        ("name: cheap-first", "name: '  '", "a.yaml:2: name: must be a text (got '  ')"),
        ("name: cheap-first", "name:", "a.yaml:1: `name` is missing"),
        ("  kind: rules", "  kind: ruls", "a.yaml:5: strategy.kind: unknown 'ruls'; did you mean 'rules'?"),
        ("  kind: rules", "  kind: [rules]", "a.yaml:5: strategy.kind: must be a text (got ['rules'])"),
        ("  kind: rules", "  kind: 3", "a.yaml:5: strategy.kind: must be a text (got 3)"),
        ("  kind: rules\n", "", "a.yaml:4: strategy: `kind` is missing\n  hint: kinds: fixed, rules, split, random"),
        ("  kind: rules", "  kind: cascade", "a.yaml:6: strategy.table: unknown key"),
        ("  tasks: auto", "  taks: auto", "a.yaml:10: strategy.taks: unknown key; did you mean 'tasks'?"),
        ("  tasks: auto", "  tasks: sometimes", "a.yaml:10: strategy.tasks: input should be 'auto', 'given' or 'detect' (got 'sometimes')"),
        ("    research: [claude-opus]", "    research: claude-opus", "a.yaml:8: strategy.table.research: must be a list (got 'claude-opus')"),
        ("    research: [claude-opus]", "    research: []", "a.yaml:8: strategy.table.research: name at least one model"),
        ("    research: [claude-opus]", "    research: [claude-opis]", "a.yaml:4: strategy: 'claude-opis' is not among `models`; did you mean 'claude-opus'?"),
        ("    research: [claude-opus]", "    research: [claude-opus, claude-opus]", "a.yaml:8: strategy.table.research: 'claude-opus' is named twice"),
        ("  default: [gpt-5-mini]", "  default: [gpt-5-mini, gpt-5-mini]", "a.yaml:9: strategy.default: 'gpt-5-mini' is named twice"),
        ("  tasks: auto", "  patterns: {x: ['(']}", "a.yaml:10: strategy.patterns.x: '(' is not a regular expression"),
        ("models: [qwen-local, ", "models: [qwen-local, qwen-local, ", "a.yaml:3: models.1: 'qwen-local' is named twice"),
        ("models: [qwen-local, ", "models: [3, ", "a.yaml:3: models.0: must be a model's name (got 3)"),
        ("models: [qwen-local, gpt-5-mini, claude-opus]", "models: all", "a.yaml:3: models: must be a list of model names"),
        ("models: [qwen-local, gpt-5-mini, claude-opus]", "models: false", "a.yaml:3: models: must be a list of model names"),
        ("cache: {exact: true,", "cache: {exat: true,", "a.yaml:11: cache.exat: unknown key; did you mean 'exact'?"),
        ("cache: {exact: true,", "cache: {exact: 1,", "a.yaml:11: cache.exact: must be true or false (got 1)"),
        ("ttl_s: 600", "ttl_s: 0", "a.yaml:11: cache.ttl_s: must be more than 0, not 0"),
        ("cache: {exact: true,", "cache: {stale: 1,", "a.yaml:11: cache.stale: unknown key; did you mean 'stale_s'?"),
        ("cache: {exact: true,", "cache: {semantic: 0.9,", "a.yaml:11: cache.semantic"),
        ("cache: {exact: true,", "cache: {semantic: {},", "a.yaml:11: cache.semantic.threshold: is missing"),
        ("cache: {exact: true,", "cache: {semantic: {treshold: 0.9},", "a.yaml:11: cache.semantic.treshold: unknown key; did you mean 'threshold'?"),
        ("cache: {exact: true,", "cache: {semantic: {threshold: 1.5},", "a.yaml:11: cache.semantic.threshold: must lie between -1 and 1"),
        ("cache: {exact: true,", "cache: {semantic: {threshold: 0.9, guard: lexicl},", "a.yaml:11: cache.semantic.guard"),
        ("cache: {exact: true,", "cache: {semantic: {threshold: 0.9, embedder: minilmm},", "a.yaml:11: cache.semantic.embedder"),
        ("cache: {exact: true,", "cache: {semantic: {threshold: 0.9, index: chrome},", "a.yaml:11: cache.semantic.index: unknown 'chrome'; did you mean 'chroma'?"),
        ("cache: {exact: true,", "cache: {semantic: {threshold: 0.9, per_entry: {error: 0.1}},", "a.yaml:11: cache.semantic.per_entry: stands in the place of `threshold`"),
        ("cache: {exact: true,", "cache: {semantic: {threshold: 0.9, guard: {kind: judge}},", "a.yaml:11: cache.semantic.guard.model: must be a model's name"),
        ("ttl_s: 600", "ttl_s: 600, stale_s: -1", "a.yaml:11: cache.stale_s: must be at least 0, not -1"),
        ("ttl_s: 600", "stale_s: 5", "a.yaml:11: cache.stale_s: needs `ttl_s`"),
        ("ttl_s: 600", "size: 0", "a.yaml:11: cache.size: must be at least 1, not 0"),
        ("cache: {exact: true, ttl_s: 600}", "cache: true", "a.yaml:11: cache: must be `key: value` lines"),
        ("  system: be brief", "  template: {user: hello}", "a.yaml:13: prompt.template.user: never says {{ question }}"),
        ("  max_output_tokens: 400", "  max_output_tokens: 0", "a.yaml:14: prompt.max_output_tokens: must be at least 1, not 0"),
        ("  temperature: 0.2", "  temperature: 3", "a.yaml:15: prompt.temperature: must lie between 0 and 2, not 3"),
        ("  deadline_s: 60", "  deadline_s: -1", "a.yaml:17: limits.deadline_s: must be more than 0, not -1"),
        ("  deadline_s: 60", "  deadline_s: '60'", "a.yaml:17: limits.deadline_s: must be a number (got '60')"),
        ("  retries: 2", "  retries: 2.5", "a.yaml:18: limits.retries: must be a whole number (got 2.5)"),
        ("  retries: 2", "  rpm: {openai: 500}", "a.yaml:18: limits.rpm: is not in this version of routelab yet"),
        ("  concurrency: 32", "  concurrency: 0", "a.yaml:19: limits.concurrency: must be at least 1, not 0"),
        ("  budget_usd: 25", "  budget_usd: -0.1", "a.yaml:20: limits.budget_usd: must be at least 0, not -0.1"),
        ("  claude-opus: [gpt", "  claude-opus: [claude-opus, gpt", "a.yaml:22: fallbacks.claude-opus: 'claude-opus' falls back to itself"),
        ("  claude-opus: [gpt", "  claude-opis: [gpt", "a.yaml:22: fallbacks.claude-opis: 'claude-opis' is not among `models`; did you mean 'claude-opus'?"),
        ("  claude-opus: [gpt-5-mini, gpt-5]", "  claude-opus: gpt-5", "a.yaml:22: fallbacks.claude-opus: must be a list of model names"),
        ("fallbacks:\n  claude-opus: [gpt-5-mini, gpt-5]", "fallbacks: 0", "a.yaml:21: fallbacks: must map a model to a list of models"),
        ("fleet: practice", "fleet: practise", "a.yaml:23: fleet: must be `practice` or a mapping in the form of fleet.yaml"),
        ("fleet: practice", "context: {kind: summarise}", "a.yaml:23: context.model: is missing"),
        ("fleet: practice", "guards: {input: [injection]}", "a.yaml:23: guards: is not in this version of routelab yet"),
        ("fleet: practice", "retrieval: {corpus: x, k: 0}", "a.yaml:23: retrieval.k: "),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_with_file_line_and_key(old: str, new: str, said: str) -> None:
    assert old in FULL
    assert complaint(FULL.replace(old, new, 1)).startswith(said)


def test_sections_that_say_none_are_nothing_to_complain_about() -> None:
    config = RouteConfig.from_text(SMALL + "context: null\nguards: {}\nretrieval: null\nfallbacks: {}\nlimits:\n")
    assert config == RouteConfig.from_text(SMALL)


def test_a_feature_of_a_later_version_is_told_from_a_mistake() -> None:
    with pytest.raises(UnavailableError):
        RouteConfig.from_text(SMALL + "guards: {input: [injection]}\n")


def test_a_context_policy_is_a_section_with_its_defaults_left_out() -> None:
    config = RouteConfig.from_text(SMALL + "context: {kind: window, turns: 20, pin: [tool], escalate: false}\n")
    assert config.context == ContextConfig(policy=Window(turns=20, pin=("tool",)), escalate=False)
    assert config.to_mapping()["context"] == {"kind": "window", "turns": 20, "pin": ["tool"], "escalate": False}
    assert RouteConfig.from_text(config.to_text()) == config
    assert (
        dataclasses.replace(config, context={"kind": "window", "turns": 20, "pin": ["tool"], "escalate": False})
        == config
    )
    whole = RouteConfig.from_text(SMALL + "context: none\n")
    assert whole.context == ContextConfig(policy=Whole())
    assert len({config.fingerprint, whole.fingerprint, RouteConfig.from_text(SMALL).fingerprint}) == 3


# Every deletion and every swap

PLACES: list[tuple[Any, ...]] = []


def _walk(value: Any, key: tuple[Any, ...]) -> None:
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        PLACES.append((*key, name))
        if isinstance(inner, (dict, list)):
            _walk(inner, (*key, name))


VALID: dict[str, Any] = {**yaml.safe_load(FULL), "fleet": {"models": {"m": {"provider": "ollama"}}}}
OTHERS: dict[str, Any] = {
    "split": {**VALID, "strategy": {"kind": "split", "weights": {"qwen-local": 1, "gpt-5-mini": 2}, "seed": 4}},
    "random": {**VALID, "strategy": {"kind": "random", "models": ["gpt-5-mini"], "seed": 4}},
    "fixed": {**VALID, "strategy": {"kind": "fixed", "model": "gpt-5-mini"}},
    "rules": VALID,
}
SWAPS: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**70, 0.5, -0.5, 1e300, "", "x", "no", "\x85", [], ["x"], [None], [[]], {}, {"x": 1}, {"kind": "fixed"},
    {"x": None}, "rules", ["rules"], "gpt-5-mini", ["gpt-5-mini"], [["gpt-5-mini"]], {"gpt-5-mini": ["gpt-5-mini"]}, {"": ""},
)  # fmt: skip
_walk(VALID, ())


def _at(key: tuple[Any, ...]) -> Any:
    return functools.reduce(lambda place, part: place[part], key, VALID)


def tried(values: dict[str, Any], *, through_text: bool = False) -> None:
    """Load the values; a config or a ConfigError is fine, and what is loaded can be written and read again."""
    document = strict.Document(values=values, name="yaml", lines={"": 1})
    config, said = None, "yaml:1"
    try:
        # JSON is YAML; the long way round is taken for fewer cases.
        config = RouteConfig.from_text(json.dumps(values)) if through_text else RouteConfig.from_document(document)
    except ConfigError as trouble:
        said = str(trouble)
    assert said.startswith("yaml:1")
    if through_text and config is not None:
        again = RouteConfig.from_text(config.to_text())
        assert (again, again.fingerprint) == (config, config.fingerprint)


def changed(values: dict[str, Any], key: tuple[Any, ...], value: Any) -> dict[str, Any] | None:
    """Return the values with another one in a place, or without it ("delete"); None when there is no such place."""
    values = copy.deepcopy(values)
    place: Any = values
    try:
        for part in key[:-1]:
            place = place[part]
        del place[key[-1]]
    except (KeyError, IndexError):
        return None
    if isinstance(place, list) and value != "delete":
        place.insert(key[-1], value)
    elif value != "delete":
        place[key[-1]] = value
    return values


@pytest.mark.parametrize("kind", OTHERS)
def test_a_missing_key_or_a_value_of_another_type_is_nothing_worse_than_a_config_error(kind: str) -> None:
    count = 0
    for key in PLACES:
        # What does not touch the strategy is tried with one of them.
        if kind != "rules" and key[0] not in ("strategy", "models", "fallbacks"):
            continue
        for swap in ("delete", *SWAPS):
            values = changed(OTHERS[kind], key, swap)
            if values is not None:
                tried(values)
                count += 1
    assert count > 200


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(list(OTHERS)), key=st.sampled_from(PLACES), swap=st.sampled_from(["delete", *SWAPS]))
def test_the_same_through_text(kind: str, key: tuple[Any, ...], swap: Any) -> None:
    values = changed(OTHERS[kind], key, swap)
    if values is not None:
        tried(values, through_text=True)


@settings(max_examples=60, deadline=None)
@given(
    section=st.sampled_from([(), *(key for key in PLACES if isinstance(_at(key), dict))]),
    name=st.text(max_size=5) | st.sampled_from(["kind", "seed", "models", "exact", "semantic", "gpt-5-mini"]),
    value=st.sampled_from(SWAPS),
)
def test_a_key_too_many_is_nothing_worse_than_a_config_error(section: tuple[Any, ...], name: str, value: Any) -> None:
    values = copy.deepcopy(VALID)
    place = values
    for part in section:
        place = place[part]
    place[name] = value
    tried(values, through_text=True)


# In Python


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": ["m", "m"]}, "config: models.1: 'm' is named twice"),
        ({"strategy": {"kind": "fixed", "modle": "m"}}, "config: strategy.modle: unknown key; did you mean 'model'?"),
        ({"strategy": {"kind": "fixed", 3: "m"}}, "config: strategy.3: unknown key"),
        ({"strategy": None}, "config: strategy: must be a mapping with `kind`"),
        ({"strategy": ("fixed", "m")}, "config: strategy: must be a mapping with `kind`"),
        ({"strategy": object()}, "config: strategy: must be a mapping with `kind`"),
        ({"limits": {"budget_usd": math.nan}}, "config: limits.budget_usd: must be at least 0, not nan"),
        ({"limits": {"budget_usd": math.inf}}, "config: limits.budget_usd: must be a finite number, not inf"),
        ({"limits": {"deadline_s": math.inf}}, "config: limits.deadline_s: must be a finite number, not inf"),
        ({"cache": {"ttl_s": math.inf}}, "config: cache.ttl_s: must be a finite number, not inf"),
        ({"prompt": {"temperature": math.nan}}, "config: prompt.temperature: must lie between 0 and 2, not nan"),
        ({"strategy": {"kind": "split", "weights": {"m": math.nan}}}, "config: strategy.weights.m: must be a number of at least 0"),
        ({"strategy": {"kind": "split", "weights": {"m": 0}}}, "config: strategy.weights: at least one must be more than 0"),
        ({"strategy": {"kind": "split", "weights": {}}}, "config: strategy.weights: name at least one model"),
        ({"name": None}, "config: name: must be a text (got None)"),
        ({"fallbacks": {"m": "n"}}, "config: fallbacks.m: must be a list of model names"),
    ],
)  # fmt: skip
def test_a_value_is_checked_like_a_file(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RouteConfig(**{"name": "a", "models": ["m"], "strategy": {"kind": "fixed", "model": "m"}, **changes})
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("section", [Limits, CacheConfig, PromptConfig])
def test_a_section_by_itself_says_what_is_wrong(section: type) -> None:
    wrong: dict[str, Any] = {f.name: math.nan for f in dataclasses.fields(section) if "float" in str(f.type)}
    with pytest.raises(ValueError, match=r"^\w+: must"):
        section(**wrong)


def test_a_config_is_frozen_and_its_lists_are_its_own() -> None:
    models = ["m", "n"]
    config = RouteConfig(name="a", models=models, strategy=Random(models=("m", "n")))
    models.append("o")
    assert config.models == ("m", "n")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.name = "b"  # type: ignore[misc]


def test_somebodys_own_strategy_runs_but_cannot_be_written() -> None:
    class Own:
        models = ("m",)

        def plan(self, prompts: Any, roster: Any) -> Any:
            return Fixed(model="m").plan(prompts, roster)

    config, other = (RouteConfig(name="a", strategy=Own()) for _ in range(2))
    assert config.models == ("m",)
    assert config.to_mapping()["strategy"]["kind"].endswith("Own")
    assert config.fingerprint == config.fingerprint != other.fingerprint  # nothing says that the two are alike
    with pytest.raises(ConfigError, match="a strategy of type Own cannot be written to YAML"):
        config.to_text()


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    config = RouteConfig(name="a", strategy=Split(weights={"m": 1}))
    with pytest.raises(ConfigError, match=r"cannot be written \(No such file or directory\)"):
        config.to_yaml(tmp_path / "no" / "a.yaml")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        config.to_yaml(tmp_path / "folder.yaml")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.yaml"]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("old\n" * 1000)
    RouteConfig(name="a", strategy=Fixed(model="m")).to_yaml(path)
    assert path.read_text() == RouteConfig(name="a", strategy=Fixed(model="m")).to_text()
