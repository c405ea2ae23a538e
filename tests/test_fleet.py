"""Fleets: who can be asked, at what price, and nothing secret in any file or message."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, MissingKey, ModelNotFound
from routelab.core.values import Message, Price, Prompt
from routelab.fleet import Fleet, fleet_of
from routelab.lab.outcomes import Outcomes
from routelab.router import Router

CANARY = "sk-canary-0123456789abcdef"
YAML = """\
routelab: 1
providers:
  corp:
    kind: openai
    base_url: https://llm.corp.example/v1
    key_env: CORP_KEY
  lan: {kind: vllm, base_url: "http://127.0.0.1:8000/v1"}
models:
  gpt-5-mini: {provider: openai}
  mine:
    provider: corp
    upstream: llama-4
    usd_per_mtok_in: 0.5
    usd_per_mtok_out: 1.5
    usd_per_mtok_cached_in: 0.05
    price_as_of: 2026-10-01
    context_window: 32000
    max_output_tokens: 1000
  local: {provider: lan}
  unheard-of: {provider: openai}
"""


def written(text: str, tmp_path: Path) -> Path:
    path = tmp_path / "fleet.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(text: str, tmp_path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        Fleet.from_yaml(written(text, tmp_path))
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_a_file_describes_models_with_prices_and_limits(tmp_path: Path) -> None:
    fleet = Fleet.from_yaml(written(YAML, tmp_path))
    assert fleet.names == ("gpt-5-mini", "mine", "local", "unheard-of")
    mine = fleet.endpoint("mine").model
    assert (mine.provider, mine.upstream, mine.context_window, mine.max_output_tokens) == (
        "corp",
        "llama-4",
        32_000,
        1000,
    )
    assert mine.price == Price(
        usd_per_mtok_in=0.5,
        usd_per_mtok_out=1.5,
        usd_per_mtok_cached_in=0.05,
        as_of=date(2026, 10, 1),
        source="fleet.yaml",
    )
    assert not fleet.simulated
    assert not any(m.simulated for m in fleet.models)


def test_prices_that_are_not_given_come_from_the_list_or_stay_unknown(tmp_path: Path) -> None:
    fleet = Fleet.from_yaml(written(YAML, tmp_path))
    known = fleet.endpoint("gpt-5-mini").model.price
    assert known is not None
    assert known.usd_per_mtok_in > 0
    assert known.as_of is not None
    assert known.source.startswith("genai-prices")
    assert fleet.endpoint("unheard-of").model.price is None
    rows = {row[0]: row[3:6] for row in fleet.table().rows}
    assert rows["unheard-of"] == ["?", "?", "–"]
    assert rows["mine"] == ["$0.50", "$1.50", "2026-10-01"]


def test_windows_that_are_not_given_come_from_the_list_or_stay_unknown(tmp_path: Path) -> None:
    fleet = Fleet.from_yaml(written(YAML, tmp_path))
    assert {m.name: m.context_window for m in fleet.models} == {
        "gpt-5-mini": 400_000,
        "mine": 32_000,
        "local": None,
        "unheard-of": None,
    }
    assert [row[6] for row in fleet.table().rows] == ["400,000", "32,000", "?", "?"]
    own = Fleet.from_mapping({"models": {"gpt-5-mini": {"provider": "openai", "context_window": 9_000}}})
    assert own.endpoint("gpt-5-mini").model.context_window == 9_000


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{provider: openai}", "{provider: opnai}", "fleet.yaml:9: models.gpt-5-mini.provider: unknown 'opnai'; did you mean 'openai'?"),
        ("{provider: openai}", "{provider: corpo}", "fleet.yaml:9: models.gpt-5-mini.provider: unknown 'corpo'; did you mean 'corp'?"),
        ("{provider: openai}", "{provider: 5}", "fleet.yaml:9: models.gpt-5-mini.provider: must be a text (got 5)"),
        ("{provider: openai}", "{}", "fleet.yaml:9: models.gpt-5-mini.provider: is missing"),
        ("{provider: openai}", "openai", "fleet.yaml:9: models.gpt-5-mini: must be a mapping with `provider`"),
        ("    upstream: llama-4", "    upstraem: llama-4", "fleet.yaml:12: models.mine.upstraem: unknown key; did you mean 'upstream'?"),
        ("    usd_per_mtok_out: 1.5\n", "", "fleet.yaml:10: models.mine: usd_per_mtok_in and usd_per_mtok_out go together"),
        ("usd_per_mtok_in: 0.5", "usd_per_mtok_in: -1", "fleet.yaml:13: models.mine.usd_per_mtok_in: must be at least 0, not -1"),
        ("usd_per_mtok_in: 0.5", "usd_per_mtok_in: cheap", "fleet.yaml:13: models.mine.usd_per_mtok_in: must be a number (got 'cheap')"),
        ("price_as_of: 2026-10-01", "price_as_of: soon", "fleet.yaml:16: models.mine.price_as_of: must be a date such as 2026-11-09, not 'soon'"),
        ("price_as_of: 2026-10-01", "price_as_of: 2026-13-01", "fleet.yaml:16: models.mine.price_as_of: must be a date"),
        ("context_window: 32000", "context_window: 0", "fleet.yaml:17: models.mine.context_window: must be at least 1, not 0"),
        ("context_window: 32000", "context_window: 32k", "fleet.yaml:17: models.mine.context_window: must be a whole number (got '32k')"),
        ("max_output_tokens: 1000", "max_output_tokens: -5", "fleet.yaml:18: models.mine.max_output_tokens: must be at least 1, not -5"),
        ("models:", "modles:", "fleet.yaml:8: modles: unknown key; did you mean 'models'?"),
        ("routelab: 1", "routelab: 2", "fleet.yaml:1: routelab: version 2 is not known"),
        ("    kind: openai", "    kind: opnai", "fleet.yaml:3: providers.corp: no known service is called 'opnai'; did you mean 'openai'?"),
        ("    key_env: CORP_KEY", "    key_evn: CORP_KEY", "fleet.yaml:3: providers.corp: provider openai: unknown option 'key_evn'"),
        ("    base_url: https://llm.corp.example/v1", "    base_url: ftp://x", "fleet.yaml:3: providers.corp: base_url: 'ftp://x' must begin with https:// or http://"),
        ("    base_url: https://llm.corp.example/v1", "    base_url: http://llm.corp.example/v1", "fleet.yaml:3: providers.corp: base_url: a key is not sent over plain http"),
        ("  lan: {kind: vllm, base_url: \"http://127.0.0.1:8000/v1\"}", "  lan: vllm", "fleet.yaml:7: providers.lan: must be a mapping with `kind` and `base_url`"),
        ("  lan: {kind: vllm,", "  lan: {kind: [vllm],", "fleet.yaml:7: providers.lan: no known service is called "),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_with_file_line_and_key(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert old in YAML
    assert complaint(YAML.replace(old, new, 1), tmp_path).startswith(said)


@pytest.mark.parametrize(
    "line",
    [
        f"key: {CANARY}",
        f"api_key: {CANARY}",
        f"token: {CANARY}",
        f"apikey: {CANARY}",
        f"secret: {CANARY}",
        f"password: {CANARY}",
        f"key_env: {CANARY}",
        f"headers: {{Authorization: Bearer {CANARY}}}",
        f"headers: {{x-api-key: {CANARY}}}",
        f"headers: {{X-Goog-Api-Key: {CANARY}}}",
        f"base_url: https://user:{CANARY}@llm.corp.example/v1",
        f"base_url: https://llm.corp.example/v1?key={CANARY}",
    ],
)
def test_a_key_in_the_file_is_refused_and_not_repeated(line: str, tmp_path: Path) -> None:
    name = line.split(":", 1)[0]
    lines = [row for row in YAML.splitlines() if not row.strip().startswith(f"{name}:") or "corp" not in row.lower()]
    lines.insert(lines.index("    kind: openai") + 1, f"    {line}")
    said = complaint("\n".join(lines) + "\n", tmp_path)
    assert said.startswith("fleet.yaml:")
    assert "providers.corp" in said
    assert CANARY not in said
    assert "canary" not in said


def test_a_key_among_a_models_lines_is_an_unknown_key_and_not_repeated(tmp_path: Path) -> None:
    said = complaint(YAML.replace("    upstream: llama-4", f"    api_key: {CANARY}"), tmp_path)
    assert said.startswith("fleet.yaml:12: models.mine.api_key: unknown key")
    assert CANARY not in said


def test_a_missing_variable_is_named_when_it_is_needed_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CORP_KEY", raising=False)
    fleet = Fleet.from_yaml(written(YAML, tmp_path))
    config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "mine"})
    with pytest.raises(MissingKey, match="the environment variable CORP_KEY is not set") as caught:
        Router(config, fleet=fleet).route("hi")
    assert "CORP_KEY" in str(caught.value.hint)


def test_a_key_in_the_environment_shows_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORP_KEY", CANARY)
    fleet = Fleet.from_yaml(written(YAML, tmp_path))
    config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "mine"}, fleet=fleet.spec)
    views = [
        repr(fleet),
        repr(fleet.endpoints),
        str(dataclasses.asdict(fleet.endpoint("mine").model)),
        config.to_text(),
    ]
    views += [fleet.table().text(), *fleet._repr_mimebundle_().values(), repr(Router(config, fleet=fleet))]
    assert [v for v in views if CANARY in v] == []


def test_a_fleet_written_into_a_config_is_the_same_fleet(tmp_path: Path) -> None:
    fleet = Fleet.from_yaml(written(YAML, tmp_path))
    path = RouteConfig(name="a", strategy={"kind": "fixed", "model": "mine"}, fleet=fleet.spec).to_yaml(
        tmp_path / "a.yaml"
    )
    again = Router.from_yaml(path)
    assert again.fleet.models == fleet.models
    assert Fleet.from_mapping(fleet.spec).models == fleet.models  # type: ignore[arg-type]


def test_a_mistake_in_a_configs_fleet_is_named_with_the_configs_line(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "routelab: 1\nname: a\nstrategy: {kind: fixed, model: m}\nfleet:\n  models:\n    m: {provider: opnai}\n"
    )
    with pytest.raises(ConfigError) as caught:
        Router.from_yaml(path)
    said = str(caught.value).replace(f"{tmp_path}/", "")
    assert said.startswith("a.yaml:6: fleet.models.m.provider: unknown 'opnai'; did you mean 'openai'?")


def test_a_fleet_yaml_beside_the_config_is_found(tmp_path: Path) -> None:
    written(YAML, tmp_path)
    path = RouteConfig(name="a", strategy={"kind": "fixed", "model": "mine"}).to_yaml(tmp_path / "a.yaml")
    assert Router.from_yaml(path).fleet.names == ("gpt-5-mini", "mine", "local", "unheard-of")


@pytest.mark.parametrize("text", ["models: {}\n", "models: []\n", "models:\n", "routelab: 1\n", "models: 5\n"])
def test_a_fleet_without_models_is_refused(text: str, tmp_path: Path) -> None:
    assert "name at least one model" in complaint(text, tmp_path)


SWAPS: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**70,
    0.5,
    "",
    "x",
    "\x85",
    [],
    ["x"],
    {},
    {"x": 1},
    {"x": None},
    {"provider": "openai"},
)


def test_a_value_of_another_type_is_nothing_worse_than_a_config_error(tmp_path: Path) -> None:
    valid = dict(Fleet.from_yaml(written(YAML, tmp_path)).spec)  # type: ignore[arg-type]
    places: list[tuple[str, ...]] = [(a,) for a in valid]
    places += [(a, b) for a in ("providers", "models") for b in valid[a]]
    places += [(a, b, c) for a in ("providers", "models") for b in valid[a] for c in valid[a][b]]
    for key in places:
        for swap in SWAPS:
            values: Any = {
                k: ({n: dict(o) for n, o in v.items()} if isinstance(v, dict) else v) for k, v in valid.items()
            }
            place = values
            for part in key[:-1]:
                place = place[part]
            place[key[-1]] = swap
            try:
                Fleet.from_mapping(values)
            except ConfigError:
                continue


# Practice


def test_the_practice_fleet_is_labelled_simulated_wherever_it_shows() -> None:
    fleet = Fleet.practice(latency=0)
    assert fleet.simulated
    assert len(fleet.names) == 12
    assert all(m.simulated for m in fleet.models)
    assert all("(simulated)" in row[0] for row in fleet.table().rows)
    assert "simulated" in repr(fleet)
    for face in fleet._repr_mimebundle_().values():
        assert face.count("(simulated)") >= 12
    assert fleet.spec == "practice"
    assert fleet_of("practice").names == fleet.names


def test_a_model_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'gpt-5-mni'; did you mean 'gpt-5-mini'\?") as caught:
        Fleet.practice().endpoint("gpt-5-mni")
    assert str(caught.value.hint).startswith("models of this fleet: ")
    with pytest.raises(ConfigError, match="unknown model 'x'"):
        Fleet.practice().roster(["qwen-local", "x"])


def test_models_may_be_added_and_then_the_fleet_is_nobodys_file_any_more() -> None:
    practice = Fleet.practice(latency=0)
    more = practice.with_models({"twin": practice.endpoint("qwen-local")})
    assert more.names == (*practice.names, "twin")
    assert more.spec is None
    assert practice.spec == "practice"


# Recorded


def cube(**changes: Any) -> Outcomes:
    prompts = tuple(Prompt(id=f"p{i}", messages=(Message(role="user", content=f"q{i}"),)) for i in range(3))
    nan = np.nan
    values: dict[str, Any] = {
        "prompts": prompts,
        "models": ("big", "small"),
        "quality": np.array([[1.0, 0.0], [1.0, 1.0], [nan, 0.5]]),
        "cost_usd": np.array([[0.02, 0.001], [0.03, nan], [nan, 0.002]]),
        "latency_s": np.array([[2.0, 0.5], [nan, 0.25], [nan, 0.125]]),
        "input_tokens": np.full((3, 2), 10.0),
        "output_tokens": np.full((3, 2), 5.0),
        "failed": np.zeros((3, 2), dtype=bool),
        "cost_kind": ("recorded", "recorded"),
        "texts": lambda prompt_id, model: f"{model} on {prompt_id}",
    }
    return Outcomes(**{**values, **changes})


def test_a_recorded_fleet_answers_with_what_was_recorded() -> None:
    outcomes = cube()
    fleet = Fleet.recorded(outcomes)
    config = RouteConfig(name="a", models=["big", "small"], strategy={"kind": "fixed", "model": "small"})
    answers = Router(config, fleet=fleet).many(outcomes.prompts)
    assert [a.text for a in answers] == ["small on p0", "small on p1", "small on p2"]
    assert [a.cost_usd for a in answers] == [0.001, None, 0.002]
    assert [a.latency_s for a in answers] == [0.5, 0.25, 0.125]
    assert [(a.tokens.input, a.tokens.output, a.tokens.source) for a in answers] == [(10, 5, "recorded")] * 3
    assert not any(a.simulated for a in answers)


def test_what_was_not_recorded_is_not_made_up() -> None:
    outcomes = cube(texts=None)
    config = RouteConfig(name="a", models=["big", "small"], strategy={"kind": "fixed", "model": "big"})
    router = Router(config, fleet=Fleet.recorded(outcomes))
    with pytest.raises(ModelNotFound, match="not recorded: model 'big' on prompt 'p2'"):
        router.route(outcomes.prompts[2])
    with pytest.raises(ModelNotFound, match="not recorded"):
        router.route("something new")


def test_recorded_practice_answers_are_still_labelled_simulated() -> None:
    outcomes = cube(simulated=True)
    fleet = Fleet.recorded(outcomes)
    assert fleet.simulated
    config = RouteConfig(name="a", models=["big"], strategy={"kind": "fixed", "model": "big"})
    assert Router(config, fleet=fleet).route(outcomes.prompts[0]).header().startswith("a → big (simulated)")
