"""A config as LiteLLM's proxy `config.yaml`, measured against litellm 1.106.2.

Rules that come from measurements, each with its reason where it is applied: only the entry groups have fallbacks, each with its
whole chain; prices are always written; cooldowns are off; `default_fallbacks` and `default_priority` are never written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routelab import strict
from routelab.config import RouteConfig
from routelab.lab.targets.address import address_of
from routelab.lab.targets.caching import litellm_cache
from routelab.lab.targets.entries import ENTRY, Entries, Entry, entries_of
from routelab.lab.targets.lossy import Exported, Lossy, everywhere, heading
from routelab.lab.targets.recogniser import MAX_TIERS, recogniser_file, tiers_of
from routelab.lab.targets.system import system_file
from routelab.stages import Endpoint
from routelab.strategies import Bandit

VERSION = "1.106.2"
"""The release that the rules were measured on."""
_PREFIX: Mapping[str, str] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "deepseek": "deepseek",
    "moonshot": "moonshot",
    "openrouter": "openrouter",
    "mistral": "mistral",
}
"""Services that LiteLLM knows by the same protocol; everybody else who speaks chat completions gets an `api_base`."""


_RETRIED = ("TimeoutError", "RateLimitError", "InternalServerError", "ServiceUnavailableError", "Default")


_FAILOVER = Lossy(
    field="fallbacks",
    touches="picks",
    why="LiteLLM's failover inside a group leaves out a prompt that is too long, and asks the last fallback twice when all fail",
    written="enable_weighted_failover: the other model, then the fallbacks",
)


@dataclass(frozen=True, kw_only=True)
class _Model:
    """A model's lines: what is equal in every group that holds it."""

    name: str
    params: Mapping[str, Any]
    info: Mapping[str, Any]


def litellm(config: RouteConfig, endpoints: Mapping[str, Endpoint]) -> Exported:
    """Return the proxy's configuration; ConfigError when the strategy's decisions cannot be put into a table."""
    entries, lossy = _carried(entries_of(config, endpoints))
    models: dict[str, _Model] = {}
    for name in config.names:
        models[name], lost = _model(endpoints[name], config)
        lossy += lost
    settings, lost = _settings(config, entries)
    lossy += [*lost, *_unsaid(config, entries, endpoints)]
    groups, files = _groups(config, entries, models)
    values: dict[str, Any] = {"model_list": groups, "router_settings": settings}
    more: dict[str, Any] = {}
    cache, embedding, lost = litellm_cache(config, entries)
    more |= cache
    groups += embedding
    lossy += lost
    if config.prompt.system is not None:
        module = f"routelab_system_{config.fingerprint[:8]}"
        files[f"{module}.py"] = system_file(config.prompt.system, front=ENTRY, name=config.name)
        more["callbacks"] = [f"{module}.system"]
    if more:
        values["litellm_settings"] = more
    # Without a master key the proxy answers anybody; the name is LiteLLM's own.
    values["general_settings"] = {"master_key": "os.environ/LITELLM_MASTER_KEY"}
    calls = _calls(entries)
    title = f"{config.name} ({config.fingerprint}): LiteLLM proxy configuration, exported by routelab for litellm {VERSION}."
    notes = ["Start it with: litellm --config THIS_FILE"]
    notes += [f"{name} must lie beside it." for name in files]
    text = strict.dump(values, comment=heading(title, calls, lossy, notes))
    return Exported(to="litellm", text=text, lossy=tuple(lossy), files=files, calls=calls)


def _carried(entries: Entries) -> tuple[Entries, list[Lossy]]:
    """Return the table as far as LiteLLM can hold it: its content router takes a few tiers only."""
    if entries.recogniser is None or (tiers := len(tiers_of(entries))) <= MAX_TIERS:
        return entries, []
    return entries.without_recogniser(), [
        Lossy(
            field="strategy.patterns",
            touches="picks",
            why=f"the table has {tiers} different rankings and LiteLLM's content router takes {MAX_TIERS}",
            written=f"{ENTRY} always asks the default ranking; callers who know the task call {ENTRY}/TASK",
        )
    ]


def _groups(
    config: RouteConfig, entries: Entries, models: Mapping[str, _Model]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the model list: what callers name first, then each model under its own name, as fallback and for direct use."""
    listed: list[dict[str, Any]] = []
    files: dict[str, str] = {}
    if entries.recogniser is not None:
        tiers = tiers_of(entries)
        module = f"routelab_tasks_{config.fingerprint[:8]}"
        files[f"{module}.py"] = recogniser_file(entries, tiers, config.name)
        listed.append(_recognising(config, tiers, module, entries.default))
    for entry in entries.all:
        listed += [_deployment(config, entry.name, models[name], share) for name, share in entry.shares.items()]
    listed += [_deployment(config, name, model, 1.0) for name, model in models.items()]
    return listed, files


def _deployment(config: RouteConfig, group: str, model: _Model, share: float) -> dict[str, Any]:
    params = dict(model.params)
    if share < 1:
        params["weight"] = _round(share)
    # Rate counters and cooldowns are kept by id and survive a reload, so an id names this very config.
    identity = f"{config.fingerprint[:8]}:{group}:{model.name}"
    return {
        "model_name": group,
        "litellm_params": params,
        "model_info": {"id": identity, **model.info, "routelab": {"model": model.name}},
    }


def _recognising(config: RouteConfig, tiers: Mapping[str, Entry], module: str, default: Entry) -> dict[str, Any]:
    """Return the group `route`, which finds the task in the text and hands over to that task's group."""
    groups = {name: entry.name for name, entry in tiers.items()}
    fallback = next(name for name, entry in tiers.items() if entry.ranking == default.ranking)
    return {
        "model_name": ENTRY,
        "litellm_params": {
            "model": "auto_router/complexity_router",
            "complexity_router_default_model": groups[fallback],
            "complexity_router_config": {
                "classifier_type": "custom",
                "classifier_plugin": f"{module}.classifier",
                "tier_definitions": [{"name": name, "description": f"asks {tiers[name].first}"} for name in groups],
                "tiers": groups,
                "fallback_tier": fallback,
                # Everything below is on by default and would overrule the table, or the caller's max_tokens (measured).
                "max_tokens_from_tier_model": False,
                "escalation_keywords": [],
                "session_affinity": False,
                "deployment_affinity": False,
                "enable_context_window_escalation": False,
            },
        },
        "model_info": {"id": f"{config.fingerprint[:8]}:{ENTRY}"},
    }


def _settings(config: RouteConfig, entries: Entries) -> tuple[dict[str, Any], list[Lossy]]:
    retries = config.limits.retries
    settings: dict[str, Any] = {
        "routing_strategy": "simple-shuffle",
        "num_retries": retries,
        # num_retries alone would ask again after some errors that asking again cannot mend.
        "retry_policy": {
            "BadRequestErrorRetries": 0,
            "AuthenticationErrorRetries": 0,
            "NotFoundErrorRetries": 0,
            "ContentPolicyViolationErrorRetries": 0,
        },
        "timeout": config.limits.deadline_s,
        # A model in cooldown is skipped: picks would depend on the minute before.
        "disable_cooldowns": True,
    }
    fallbacks: list[dict[str, list[str]]] = []
    lossy: list[Lossy] = []
    if entries.recogniser is not None and retries:
        # Measured: the content router's own group counts as having no healthy deployment, and then only errors that the policy
        # names are retried.
        settings["retry_policy"] |= {f"{name}Retries": retries for name in _RETRIED}
        lossy.append(
            Lossy(
                field="limits.retries",
                touches="limits",
                why=f"behind {entries.front}, LiteLLM also asks again after a 403, which routelab does not",
                written=f"DefaultRetries: {retries}",
            )
        )
    for entry in entries.all:
        if entry.drawn:
            chain, failover, lost = _drawn_chain(entry)
            lossy += lost
            if failover:
                settings["enable_weighted_failover"] = True
            if retries and any(entry.after.values()):
                lossy.append(_redrawn(retries))
        else:
            chain = entry.after[entry.first]
        if chain:
            fallbacks.append({entry.name: list(chain)})
    if fallbacks:
        # One hop is counted for every model that is asked after the first; the default of 5 would cut longer chains.
        settings["max_fallbacks"] = max(len(next(iter(row.values()))) for row in fallbacks) + 1
        settings["fallbacks"] = fallbacks
    if config.limits.retries and entries.default.drawn and not any(entries.default.after.values()):
        lossy.append(_redrawn(retries))
    return settings, lossy


def _redrawn(retries: int) -> Lossy:
    return Lossy(
        field="limits.retries",
        touches="picks",
        why="a retry inside a weighted group draws again, so it may go to another model; routelab asks the same one again",
        written=f"num_retries: {retries} (0 would make it exact)",
    )


def _drawn_chain(entry: Entry) -> tuple[tuple[str, ...], bool, list[Lossy]]:
    """Return who is asked after a drawn model, and whether the rest of the group comes before them."""
    chains = {entry.after[model] for model in entry.shares}
    if len(chains) == 1 and not set(next(iter(chains))) & set(entry.shares):
        return next(iter(chains)), False, []
    if len(entry.shares) == 2:
        one, two = entry.shares
        tails = (entry.after[one][1:], entry.after[two][1:])
        if entry.after[one][:1] == (two,) and entry.after[two][:1] == (one,) and tails[0] == tails[1]:
            return tails[0], True, [_FAILOVER]
    union = tuple(dict.fromkeys(m for model in entry.shares for m in entry.after[model]))
    return (
        union,
        False,
        [
            Lossy(
                field="fallbacks",
                touches="picks",
                why="LiteLLM's fallbacks belong to the group, not to the model that was drawn and failed",
                written=f"after any of them fails: {', '.join(union)}",
            )
        ],
    )


def _unsaid(config: RouteConfig, entries: Entries, endpoints: Mapping[str, Endpoint]) -> list[Lossy]:
    """Return what the config says that has no place in the file, or another meaning there."""
    lossy = [
        Lossy(
            field="limits.deadline_s",
            touches="limits",
            why="routelab's deadline covers all attempts of a prompt, LiteLLM's timeout each one",
            written=f"timeout: {config.limits.deadline_s:g}",
        ),
        *everywhere(config, [endpoints[name].model for name in config.names]),
    ]
    if entries.default.drawn:
        lossy.append(
            Lossy(
                field="strategy.seed",
                touches="picks",
                why="routelab draws by the prompt's id, so that a prompt always meets the same model; LiteLLM draws every call",
                written="the same shares as weights",
            )
        )
    if isinstance(config.ranking, Bandit):
        lossy.append(
            Lossy(
                field="strategy.learned",
                touches="picks",
                why="LiteLLM learns nothing from rewards: the shares stay what the bandit had learned when this was written",
                written=f"its chances after {config.ranking.outcomes:,} outcomes, as weights; export again after refit()",
            )
        )
    if entries.asks_callers:
        lossy.append(
            Lossy(
                field="strategy.table",
                touches="picks",
                why="a task that has no row gets the default ranking in routelab; LiteLLM refuses a name it does not know",
                written=f"call {entries.default.name} for such prompts",
            )
        )
    if config.prompt.system is not None:
        lossy.append(
            Lossy(
                field="prompt.system",
                touches="answers",
                why=f"it is put in front of chat completions that are sent to {ENTRY}, and of no other kind of request",
                written="a callback in a Python file",
            )
        )
    if config.prompt.temperature is not None or config.prompt.max_output_tokens is not None:
        lossy.append(
            Lossy(
                field="prompt",
                touches="answers",
                why="temperature and max_tokens are defaults that a caller's own values replace",
                written="temperature and max_tokens in each deployment",
            )
        )
    return lossy


def _model(endpoint: Endpoint, config: RouteConfig) -> tuple[_Model, list[Lossy]]:
    model = endpoint.model
    params, lossy = params_of(endpoint)
    if config.prompt.temperature is not None:
        params["temperature"] = config.prompt.temperature
    if config.prompt.max_output_tokens is not None:
        params["max_tokens"] = config.prompt.max_output_tokens
    # The SDK's own retries would multiply with the router's.
    params["max_retries"] = 0
    if model.price is None:
        lossy.append(
            Lossy(
                field=f"fleet.models.{model.name}",
                touches="cost",
                why="its price is not known; for a model that LiteLLM does not know either it logs a cost of 0.0",
                written="no price",
            )
        )
    else:
        params["input_cost_per_token"] = _round(model.price.usd_per_mtok_in / 1e6)
        params["output_cost_per_token"] = _round(model.price.usd_per_mtok_out / 1e6)
        if model.price.usd_per_mtok_cached_in is not None:
            params["cache_read_input_token_cost"] = _round(model.price.usd_per_mtok_cached_in / 1e6)
        if model.price.usd_per_mtok_cache_write is not None:
            params["cache_creation_input_token_cost"] = _round(model.price.usd_per_mtok_cache_write / 1e6)
    info: dict[str, Any] = {"mode": "chat"}
    if model.context_window is not None:
        info["max_input_tokens"] = model.context_window
    if model.max_output_tokens is not None:
        info["max_output_tokens"] = model.max_output_tokens
    return _Model(name=model.name, params=params, info=info), lossy


def params_of(endpoint: Endpoint) -> tuple[dict[str, Any], list[Lossy]]:
    """Return model, address and key as LiteLLM writes them, and what of them could not be written."""
    model, address = endpoint.model, address_of(endpoint)
    if address is None:
        variable = variable_of(model.name)
        return {"model": f"os.environ/{variable}"}, [
            Lossy(
                field=f"fleet.models.{model.name}",
                touches="answers",
                why="nothing says who answers for it (the outcomes were recorded, or the config has no fleet)",
                written=f"model: os.environ/{variable}; set it to PROVIDER/MODEL, such as openai/{model.upstream}",
            )
        ]
    lossy: list[Lossy] = []
    params: dict[str, Any] = {}
    if address.service in _PREFIX:
        params["model"] = f"{_PREFIX[address.service]}/{address.upstream}"
    elif address.protocol == "openai":
        # `hosted_vllm` is chat completions at any address, and the one prefix that does not insist on a key.
        prefix = "hosted_vllm" if address.key_env is None else "openai"
        params = {"model": f"{prefix}/{address.upstream}", "api_base": address.base_url}
    elif address.protocol == "anthropic":
        # LiteLLM appends /v1/messages itself.
        params = {"model": f"anthropic/{address.upstream}", "api_base": re.sub(r"/v1$", "", address.base_url)}
    else:
        params = {"model": f"gemini/{address.upstream}"}
        lossy.append(
            Lossy(
                field=f"fleet.providers ({model.name})",
                touches="answers",
                why="how LiteLLM builds a Gemini URL on another host was not verified",
                written=f"no api_base: Google's own address instead of {address.base_url}",
            )
        )
    if address.key_env is not None:
        params["api_key"] = f"os.environ/{address.key_env}"
    if address.headers:
        lossy.append(
            Lossy(
                field=f"fleet.providers ({model.name})",
                touches="answers",
                why="the values of headers may be secrets",
                written=f"nothing: add extra_headers for {', '.join(address.headers)}",
            )
        )
    if address.body:
        params["extra_body"] = dict(address.body)
    return params, lossy


def variable_of(model: str) -> str:
    """Return the environment variable that must say where a model without an address is.

    >>> variable_of("gpt-4.1")
    'ROUTELAB_MODEL_GPT_4_1'
    """
    return "ROUTELAB_MODEL_" + re.sub(r"[^A-Za-z0-9]", "_", model).upper()


def _calls(entries: Entries) -> tuple[str, ...]:
    default = entries.default
    if default.drawn:
        shares = ", ".join(f"{share:.4g} {model}" for model, share in default.shares.items())
        return (f"model: {entries.front} — drawn: {shares}",)
    lines = [] if entries.recogniser is None else [f"model: {entries.front} — the task is found in the text"]
    if entries.asks_callers or entries.recogniser is None:
        lines += [f"model: {entry.name} — asks {' then '.join(entry.ranking)}" for entry in entries.all]
    return tuple(lines)


def _round(value: float) -> float:
    # 0.07 / 1e6 is 7.000000000000001e-08 in binary; twelve digits are more than any price has.
    return float(f"{value:.12g}")


def groups_of(values: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the model list of a parsed file, or nothing when it has none."""
    found = values.get("model_list")
    return found if isinstance(found, list) else ()
