"""Files for LiteLLM's proxy, as text and as values."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from exported import configs
from hypothesis import given
from hypothesis import strategies as st

from routelab import Fleet, Limits, PromptConfig, RouteConfig
from routelab.core.errors import ConfigError
from routelab.lab.targets import Exported, export
from routelab.lab.targets.litellm import variable_of

GOLDEN = Path(__file__).parent / "golden"


def groups(exported: Exported) -> dict[str, list[dict[str, Any]]]:
    """Return the deployments by group."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in yaml.safe_load(exported.text)["model_list"]:
        found.setdefault(row["model_name"], []).append(row)
    return found


def settings(exported: Exported) -> dict[str, Any]:
    """Return the router's settings."""
    found: dict[str, Any] = yaml.safe_load(exported.text)["router_settings"]
    return found


@pytest.mark.parametrize("name", list(configs()))
def test_a_file_is_the_one_that_was_read_by_a_person(name: str, fleet: Fleet, regenerate: bool) -> None:
    exported = export(configs()[name], to="litellm", fleet=fleet)
    files = {f"{name}.litellm.yaml": exported.text, **{f"{name}.{n}.txt": t for n, t in exported.files.items()}}
    if regenerate:
        for file, text in files.items():
            (GOLDEN / file).write_text(text, encoding="utf-8")
    assert {file: (GOLDEN / file).read_text(encoding="utf-8") for file in files} == files


def test_every_key_is_a_name_and_no_header_value_is_in_a_file(fleet: Fleet) -> None:
    for config in configs().values():
        exported = export(config, to="litellm", fleet=fleet)
        keys = [d["litellm_params"].get("api_key") for rows in groups(exported).values() for d in rows]
        assert all(key is None or key.startswith("os.environ/") for key in keys)
        assert "not-for-files" not in exported.text


def test_a_header_is_named_among_the_losses_without_its_value(fleet: Fleet) -> None:
    config = RouteConfig(name="a", models=["far"], strategy={"kind": "fixed", "model": "far"})
    exported = export(config, to="litellm", fleet=fleet)
    [loss] = [i for i in exported.lossy if "headers" in i.why]
    assert "X-Team" in loss.written
    [deployment] = groups(exported)["route"]
    assert deployment["litellm_params"] == {
        "model": "openai/mystery-model",
        "api_base": "https://gateway.example/v1",
        "api_key": "os.environ/GATEWAY_KEY",
        "extra_body": {"service_tier": "flex"},
        "max_retries": 0,
    }


def test_an_unknown_price_is_left_out_and_said_never_zero(fleet: Fleet) -> None:
    config = RouteConfig(name="a", models=["far", "own"], strategy={"kind": "fixed", "model": "far"})
    exported = export(config, to="litellm", fleet=fleet)
    by_group = groups(exported)
    assert "input_cost_per_token" not in by_group["far"][0]["litellm_params"]
    assert by_group["own"][0]["litellm_params"]["input_cost_per_token"] == 0.0
    assert [i.field for i in exported.lossy if i.touches == "cost"] == ["fleet.models.far"]


def test_prices_are_per_token_and_read_back_as_numbers(fleet: Fleet) -> None:
    exported = export(configs()["fixed"], to="litellm", fleet=fleet)
    params = groups(exported)["small"][0]["litellm_params"]
    kept = {key: params[key] for key in params if "cost" in key}
    assert kept == {
        "input_cost_per_token": 1e-07,
        "output_cost_per_token": 4e-07,
        "cache_read_input_token_cost": 7e-08,
    }


def test_only_entries_have_fallbacks_each_with_the_whole_chain(fleet: Fleet) -> None:
    found = settings(export(configs()["fixed"], to="litellm", fleet=fleet))
    assert found["fallbacks"] == [{"route": ["large", "own"]}]  # never a fallback's own fallback, as in routelab
    assert found["max_fallbacks"] >= 2


def test_retries_are_zero_for_errors_that_asking_again_cannot_mend(fleet: Fleet) -> None:
    found = settings(export(configs()["fixed"], to="litellm", fleet=fleet))
    assert found["num_retries"] == 1
    assert set(found["retry_policy"].values()) == {0}


def test_what_litellm_takes_badly_is_never_written(fleet: Fleet) -> None:
    for config in configs().values():
        text = export(config, to="litellm", fleet=fleet).text
        values = yaml.safe_load(text)
        assert "mock_response" not in text
        for key in ("default_fallbacks", "default_priority", "health_check_interval"):
            assert key not in values["router_settings"]
        assert values["router_settings"]["disable_cooldowns"] is True


def test_every_fallback_and_tier_names_a_group_that_exists(fleet: Fleet) -> None:
    for config in configs().values():
        exported = export(config, to="litellm", fleet=fleet)
        known = set(groups(exported))
        for row in settings(exported).get("fallbacks", []):
            [(group, chain)] = row.items()
            assert {group, *chain} <= known
        for rows in groups(exported).values():
            tiers = rows[0]["litellm_params"].get("complexity_router_config", {}).get("tiers", {})
            assert set(tiers.values()) <= known


def test_deployment_ids_are_unique_and_change_with_the_config(fleet: Fleet) -> None:
    config = configs()["given"]
    other = dataclasses.replace(config, limits=Limits(retries=0))
    one, two = (
        {row["model_info"]["id"] for row in yaml.safe_load(export(c, to="litellm", fleet=fleet).text)["model_list"]}
        for c in (config, other)
    )
    rows = yaml.safe_load(export(config, to="litellm", fleet=fleet).text)["model_list"]
    assert len(one) == len(rows)
    assert one.isdisjoint(two)


def test_shares_are_weights_of_one_group(fleet: Fleet) -> None:
    rows = groups(export(configs()["split"], to="litellm", fleet=fleet))["route"]
    assert [(r["model_info"]["routelab"]["model"], r["litellm_params"]["weight"]) for r in rows] == [
        ("small", 0.75),
        ("large", 0.25),
    ]


def test_a_pair_that_covers_for_each_other_uses_failover_and_says_what_that_costs(fleet: Fleet) -> None:
    exported = export(configs()["pair"], to="litellm", fleet=fleet)
    assert settings(exported)["enable_weighted_failover"] is True
    assert settings(exported)["fallbacks"] == [{"route": ["claude"]}]
    assert "fallbacks" in [i.field for i in exported.lossy]


def test_a_retry_inside_a_split_is_a_loss_of_picks(fleet: Fleet) -> None:
    config = dataclasses.replace(configs()["split"], limits=Limits(retries=2))
    losses = [i for i in export(config, to="litellm", fleet=fleet).lossy if i.field == "limits.retries"]
    assert [i.touches for i in losses] == ["picks"]


def test_different_chains_for_a_drawn_model_are_a_loss_of_picks(fleet: Fleet) -> None:
    config = RouteConfig(
        name="a",
        strategy={"kind": "split", "weights": {"small": 1, "large": 1}},
        fallbacks={"small": ["claude"], "large": ["flash"]},
        limits=Limits(retries=0),
    )
    exported = export(config, to="litellm", fleet=fleet)
    assert settings(exported)["fallbacks"] == [{"route": ["claude", "flash"]}]
    assert ("fallbacks", "picks") in [(i.field, i.touches) for i in exported.lossy]


def test_fixed_without_anything_special_loses_nothing_that_touches_picks(fleet: Fleet) -> None:
    exported = export(configs()["fixed"], to="litellm", fleet=fleet)
    assert exported.exact
    assert not export(configs()["split"], to="litellm", fleet=fleet).exact


def test_a_model_without_an_address_waits_for_an_environment_variable() -> None:
    config = RouteConfig(name="a", models=["gpt-4.1"], strategy={"kind": "fixed", "model": "gpt-4.1"})
    exported = export(config, to="litellm")
    assert groups(exported)["route"][0]["litellm_params"]["model"] == f"os.environ/{variable_of('gpt-4.1')}"
    assert "fleet.models.gpt-4.1" in [i.field for i in exported.lossy if i.touches == "answers"]


def test_simulated_models_are_exported_as_the_real_ones_and_said_to_be_simulated() -> None:
    config = RouteConfig(
        name="a", models=["claude-opus"], strategy={"kind": "fixed", "model": "claude-opus"}, fleet="practice"
    )
    exported = export(config, to="litellm")
    assert groups(exported)["route"][0]["litellm_params"]["model"].startswith("anthropic/claude-opus")
    assert any("simulated" in i.why for i in exported.lossy)


def test_losses_stand_in_the_file_as_comments(fleet: Fleet) -> None:
    exported = export(configs()["remembered"], to="litellm", fleet=fleet)
    head = [line for line in exported.text.splitlines() if line.startswith("#")]
    for loss in exported.lossy:
        assert sum(loss.field in line and loss.why in line for line in head) == 1
    assert {"prompt.system", "limits.budget_usd", "cache.exact"} <= {i.field for i in exported.lossy}


def test_more_rankings_than_tiers_lose_the_recogniser_and_say_so(fleet: Fleet) -> None:
    models = [f"m{i}" for i in range(12)]
    config = RouteConfig(name="a", strategy={"kind": "rules", "table": {f"task{i}": [m] for i, m in enumerate(models)}})
    exported = export(config, to="litellm")
    assert exported.files == {}
    assert groups(exported)["route"][0]["model_info"]["routelab"] == {"model": "m0"}
    assert ("strategy.patterns", "picks") in [(i.field, i.touches) for i in exported.lossy]
    assert "route" in groups(exported)


@pytest.mark.parametrize("task", ["a*b", " a", "two\nlines"])
def test_a_task_that_cannot_be_part_of_a_name_is_refused(task: str) -> None:
    config = RouteConfig(name="a", strategy={"kind": "rules", "table": {task: ["m"]}, "tasks": "given"})
    with pytest.raises(ConfigError, match="cannot be part of a model's name"):
        export(config, to="litellm")


def test_a_model_with_the_callers_name_is_refused() -> None:
    config = RouteConfig(name="a", models=["route"], strategy={"kind": "fixed", "model": "route"})
    with pytest.raises(ConfigError, match="'route' is what callers"):
        export(config, to="litellm")


def test_a_strategy_of_ones_own_that_is_no_table_is_refused() -> None:
    class Mine:
        models = ("m",)

        def plan(self, prompts: Any, roster: Any) -> Any:
            raise AssertionError

    with pytest.raises(ConfigError, match="decides by more than a prompt's task"):
        export(RouteConfig(name="a", strategy=Mine()), to="litellm")


def test_a_strategy_with_a_table_by_task_slots_in(fleet: Fleet) -> None:
    from routelab.core.plan import plan_of

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Lookup:
        table: Mapping[str, Mapping[str, float]]
        at_least: float

        @property
        def models(self) -> tuple[str, ...]:
            return ("small", "large")

        def plan(self, prompts: Any, roster: Any) -> Any:
            good = [[m for m in roster.names if self.table.get(p.task, {}).get(m, 0) >= self.at_least] for p in prompts]
            return plan_of(
                [[roster.names.index(m) for m in row or ["large"]] for row in good], ["looked up"] * len(good)
            )

    table = {"easy": {"small": 0.9, "large": 0.95}, "hard": {"small": 0.3, "large": 0.8}}
    config = RouteConfig(name="a", strategy=Lookup(table=table, at_least=0.7))
    # A strategy that no kind stands for has no YAML, hence no fingerprint; what is exported is its table.
    from routelab.lab.targets import endpoints_of
    from routelab.lab.targets.entries import entries_of

    entries = entries_of(config, endpoints_of(config, fleet))
    assert [(e.task, e.ranking) for e in entries.all] == [
        (None, ("large",)),
        ("easy", ("small", "large")),
        ("hard", ("large",)),
    ]


@given(name=st.text(min_size=1).filter(str.strip), system=st.text(min_size=1))
def test_no_text_escapes_from_the_comments_into_the_file(name: str, system: str) -> None:
    config = RouteConfig(
        name=name, models=["m"], strategy={"kind": "fixed", "model": "m"}, prompt=PromptConfig(system=system)
    )
    known = {
        "litellm": {"model_list", "router_settings", "litellm_settings", "general_settings"},
        "vllm-sr": {"version", "listeners", "providers", "routing"},
    }
    for to, keys in known.items():
        exported = export(config, to=to)
        assert set(yaml.safe_load(exported.text)) == keys
        for text in exported.files.values():
            [assigned] = [n for n in ast.parse(text).body if isinstance(n, ast.Assign) and _named(n) == "SYSTEM"]
            assert ast.literal_eval(assigned.value) == system


def _named(node: ast.Assign) -> str:
    [target] = node.targets
    assert isinstance(target, ast.Name)
    return target.id


def test_the_system_text_replaces_the_callers_own_for_what_is_routed_only(fleet: Fleet) -> None:
    import asyncio
    import sys
    from types import ModuleType

    exported = export(configs()["remembered"], to="litellm", fleet=fleet)
    [text] = exported.files.values()
    assert yaml.safe_load(exported.text)["litellm_settings"]["callbacks"] == [
        next(iter(exported.files)).removesuffix(".py") + ".system"
    ]
    names: dict[str, Any] = {}
    stand_in = {
        name: ModuleType(name) for name in ("litellm", "litellm.integrations", "litellm.integrations.custom_logger")
    }
    stand_in["litellm.integrations.custom_logger"].CustomLogger = object  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        for name, module in stand_in.items():
            patch.setitem(sys.modules, name, module)
        exec(compile(text, "system", "exec"), names)
    own = [{"role": "system", "content": "mine"}, {"role": "user", "content": "hi"}]
    asked = {
        model: asyncio.run(
            names["system"].async_pre_call_hook(None, None, {"model": model, "messages": own}, "acompletion")
        )
        for model in ("route", "route/x", "near", "router")
    }
    ours = [{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "hi"}]
    assert {model: data["messages"] for model, data in asked.items()} == {
        "route": ours, "route/x": ours, "near": own, "router": own,
    }  # fmt: skip
