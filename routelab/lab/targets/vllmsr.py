"""A config as vLLM Semantic Router's `config.yaml` v0.3, checked against the schema of vllm-sr 0.4.0.

A task that the caller knows comes as request metadata; one that has to be found in the text comes from keyword rules. The rules'
way of counting (most patterns win, the first task of equals) becomes a list of keyword rules in falling order of how many patterns
they ask for, which decides the same whether the router reports the first rule that matches or all of them.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routelab import strict
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.values import digest
from routelab.lab.targets.address import LOCAL_URL, Address, address_of
from routelab.lab.targets.caching import vllmsr_cache
from routelab.lab.targets.entries import Entries, Entry, entries_of, ladder_of
from routelab.lab.targets.lossy import Exported, Lossy, everywhere, heading
from routelab.stages import Endpoint
from routelab.strategies import Cascade, Rules, kind_of
from routelab.strategies.rules import HEAD, TAIL

VERSION = "0.4.0"
CALLED = "vllm-sr/auto"
"""The name under which the router decides by itself."""
TASK_KEY = "task"
LEAST_LOGPROB = 3.0
"""The router counts a mean log-probability of minus this, and less, as no confidence at all."""
MAX_RULES = 300
"""More keyword rules than this and a file is no longer something that a person reads."""
STATUS_CODES = (400, 401, 403, 404, 408, 409, 413, 422, 425, 429, 500, 502, 503, 504, 529)
"""After any of these routelab asks the next model."""
_PROVIDERS: Mapping[str, str] = {
    name: name for name in ("openai", "anthropic", "gemini", "deepseek", "moonshot", "openrouter", "mistral")
}
_NOT_RE2 = re.compile(r"\(\?(=|!|<=|<!|\(|>|P=)|\\[1-9]|[*+?}]\+")
"""What Python's regular expressions have and RE2, the router's, has not."""


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """A decision: its name, what it wants, who is asked."""

    name: str
    wants: Sequence[tuple[str, str]]
    entry: Entry
    any_of: bool = False


def vllmsr(config: RouteConfig, endpoints: Mapping[str, Endpoint]) -> Exported:
    """Return the router's configuration; ConfigError for strategies that draw, which it has no way to do.

    A cascade behind `mean_logprob` becomes the router's own: its algorithm `confidence`.
    """
    entries = read_entries(config, endpoints)
    algorithm, escalating = _confidence(config)
    if entries.default.drawn:
        raise ConfigError(
            f"strategy {kind_of(config.ranking)}: vllm-sr {VERSION} picks the first candidate or a learned one; it cannot draw",
            hint="to='litellm' draws by weight",
        )
    lossy: list[Lossy] = []
    models, cards = [], []
    for name in config.names:
        model, card, lost = _model(endpoints[name], config)
        models.append(model)
        cards.append(card)
        lossy += lost
    entries, keywords, lost = _keywords(entries)
    lossy += [
        *lost,
        *(escalating or _unsaid(config, entries)),
        *everywhere(config, [endpoints[n].model for n in config.names]),
    ]
    metadata = _metadata(entries)
    rules = [*_rules(entries)]
    plugins, store, lost = _plugins(config)
    lossy += lost
    values: dict[str, Any] = {
        "version": "v0.3",
        "listeners": [
            {"name": "http-8899", "address": "127.0.0.1", "port": 8899, "timeout": f"{config.limits.deadline_s:g}s"}
        ],
        "providers": {"defaults": {"model": entries.default.first}, "models": models},
        "routing": {"strategy": "priority"},
    }
    routing = values["routing"]
    depth = max(len(entry.ranking) for entry in entries.all)
    if depth > 1 and not escalating:
        routing["fallback"] = {
            "enabled": True,
            "max_attempts": depth,
            "retryable_status_codes": list(STATUS_CODES),
            "total_timeout": f"{config.limits.deadline_s:g}s",
        }
    routing["modelCards"] = cards
    signals = {k: v for k, v in (("metadata", metadata), ("keywords", keywords)) if v}
    if signals:
        routing["signals"] = signals
    routing["decisions"] = [{**_decision(rule, len(rules) - i, plugins), **algorithm} for i, rule in enumerate(rules)]
    if store:
        values["global"] = {"stores": {"response_cache": store}}
    calls = _calls(entries)
    title = f"{config.name} ({config.fingerprint}): vLLM Semantic Router configuration, exported by routelab for vllm-sr {VERSION}."
    notes = [
        "The schema was checked against the real package; its decisions were not run (the router is not in the package)."
    ]
    text = strict.dump(values, comment=heading(title, calls, lossy, notes))
    return Exported(to="vllm-sr", text=text, lossy=tuple(lossy), calls=calls)


def read_entries(config: RouteConfig, endpoints: Mapping[str, Endpoint]) -> Entries:
    """Return the table that the file holds: that of a cascade too, where the router has its gate."""
    return ladder_of(config, endpoints) if gated_alike(config) else entries_of(config, endpoints)


def gated_alike(config: RouteConfig) -> bool:
    """Say whether the strategy is a cascade whose gate the router has: the mean log-probability, one bar for all models."""
    strategy = config.ranking
    if not isinstance(strategy, Cascade) or strategy.unfitted:
        return False
    return strategy.accepts.scorer == "mean_logprob" and threshold_of(config) is not None


def threshold_of(config: RouteConfig) -> float | None:
    """Return a cascade's bar as the router counts: (mean log-probability + 3) / 3, cut to 0..1; None when it cannot be said.

    That is so for bars that differ between models, and for a bar of 0.05 or less, which the router takes for none.
    """
    strategy = config.ranking
    assert isinstance(strategy, Cascade)
    gate = strategy.accepts
    # By cost, any of the models may come before another one.
    judged = config.models if isinstance(strategy.order, str) else strategy.order[:-1]
    bars = {gate.bar(name) for name in judged}
    if len(bars) != 1 or not 0 < (bar := bars.pop()) <= 1:
        return None
    threshold = float(f"{1 + math.log(bar) / LEAST_LOGPROB:.9g}")
    return threshold if 0 < threshold <= 1 else None


def _confidence(config: RouteConfig) -> tuple[dict[str, Any], list[Lossy]]:
    """Return the algorithm of a cascade and what it does otherwise; nothing for any other strategy."""
    if not gated_alike(config):
        return {}, []
    threshold = threshold_of(config)
    settings = {
        "confidence_method": "avg_logprob",
        "threshold": threshold,
        # No card has a size, so that a router that does not know `declared` and sorts by size keeps the order too.
        "escalation_order": "declared",
        "on_error": "skip",
    }
    lossy = [
        Lossy(
            field="strategy.gate",
            touches="picks",
            why="the router's gate was read in its documentation and source, and not run: the mean log-probability from -3 to 0 "
            "counts as 0 to 1",
            written=f"algorithm confidence, avg_logprob, threshold: {threshold:g}",
        ),
        Lossy(
            field="strategy.gate",
            touches="picks",
            why="an answer without log-probabilities is not accepted by routelab; the router's mean of nothing was not run",
            written="nothing: every model but the last must give them",
        ),
    ]
    if config.limits.retries:
        lossy.append(_retried(config))
    if config.fallbacks:
        lossy.append(
            Lossy(
                field="fallbacks",
                touches="picks",
                why="a model that fails is skipped for the next one of the cascade, and there is nobody besides",
                written="on_error: skip",
            )
        )
    return {"algorithm": {"type": "confidence", "confidence": settings}}, lossy


def _keywords(entries: Entries) -> tuple[Entries, list[dict[str, Any]], list[Lossy]]:
    """Return one keyword rule for each way in which a task can win, most patterns first; none when RE2 cannot read them."""
    rules = entries.recogniser
    if rules is None:
        return entries, [], []
    foreign = [p for row in rules.patterns.values() for p in row if _NOT_RE2.search(p)]
    many = sum(2 ** len(row) - 1 for row in rules.patterns.values())
    if foreign or many > MAX_RULES:
        why = f"{foreign[0]!r} is not RE2" if foreign else f"counting the matches would take {many:,} keyword rules"
        lost = Lossy(
            field="strategy.patterns",
            touches="picks",
            why=f"the task cannot be found in the text: {why}",
            written=f"the default ranking; callers who know the task send metadata.{TASK_KEY}",
        )
        return entries.without_recogniser(), [], [lost]
    # The router writes (?i) in front itself; (?m) is the rules' other flag.
    signals = [
        {
            "name": name,
            "operator": "AND",
            "method": "regex",
            "case_sensitive": False,
            "keywords": [f"(?m){pattern}" for pattern in chosen],
        }
        for _, _, name, chosen in ways(rules)
    ]
    return (
        entries,
        signals,
        [
            Lossy(
                field="strategy.patterns",
                touches="picks",
                why=f"RE2 takes \\b, \\d and \\w for ASCII only, and looks at the whole text; routelab at the first {HEAD:,} and last {TAIL:,} characters",
                written=f"{len(signals)} keyword rules with method: regex",
            )
        ],
    )


def ways(rules: Rules) -> Iterator[tuple[int, str, str, tuple[str, ...]]]:
    """Yield (patterns asked for, task, rule's name, the patterns), in the order in which the recogniser decides."""
    most = max(len(row) for row in rules.patterns.values())
    for count in range(most, 0, -1):
        for task, row in rules.patterns.items():
            for i, chosen in enumerate(itertools.combinations(row, count)):
                yield count, task, f"{_plain(task)}_{count}_{i + 1}", chosen


def _metadata(entries: Entries) -> list[dict[str, Any]]:
    if not entries.asks_callers:
        return []
    rows: list[dict[str, Any]] = [
        {"name": f"task_{_plain(str(e.task))}", "key": TASK_KEY, "predicate": {"equals": e.task}} for e in entries.tasks
    ]
    if entries.recogniser is not None:
        rows.append({"name": "task_given", "key": TASK_KEY, "predicate": {"exists": True}})
    return rows


def _rules(entries: Entries) -> Iterator[_Rule]:
    """Yield the decisions, the one that is tried first first."""
    if entries.asks_callers:
        for entry in entries.tasks:
            signal = f"task_{_plain(str(entry.task))}"
            yield _Rule(name=f"given_{_plain(str(entry.task))}", wants=[("metadata", signal)], entry=entry)
        if entries.recogniser is not None:
            yield _Rule(name="given_other", wants=[("metadata", "task_given")], entry=entries.default)
    if entries.recogniser is not None:
        by_task = {entry.task: entry for entry in entries.tasks}
        grouped = itertools.groupby(ways(entries.recogniser), key=lambda way: way[:2])
        for (count, task), rows in grouped:
            yield _Rule(
                name=f"found_{_plain(task)}_{count}",
                wants=[("keyword", name) for _, _, name, _ in rows],
                # A task that is recognised and has no row is not somebody else's: it gets the default.
                entry=by_task.get(task, entries.default),
                any_of=True,
            )
    yield _Rule(name="otherwise", wants=[], entry=entries.default)


def _decision(rule: _Rule, priority: int, plugins: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    conditions = [{"type": kind, "name": name} for kind, name in rule.wants]
    decision: dict[str, Any] = {
        "name": rule.name,
        "priority": priority * 10,
        "rules": {"operator": "OR" if rule.any_of else "AND", "conditions": conditions},
        "modelRefs": [{"model": model, "use_reasoning": False} for model in rule.entry.ranking],
        "algorithm": {"type": "static"},
    }
    if plugins:
        decision["plugins"] = [dict(plugin) for plugin in plugins]
    return decision


def _plugins(config: RouteConfig) -> tuple[list[dict[str, Any]], dict[str, Any], list[Lossy]]:
    plugins: list[dict[str, Any]] = []
    lossy: list[Lossy] = []
    if config.prompt.system is not None:
        settings = {"enabled": True, "system_prompt": config.prompt.system, "mode": "replace"}
        plugins.append({"type": "system_prompt", "configuration": settings})
    if config.prompt.max_output_tokens is not None:
        settings = {"default_max_tokens": config.prompt.max_output_tokens}
        plugins.append({"type": "request_params", "configuration": settings})
    if config.prompt.temperature is not None:
        lossy.append(
            Lossy(
                field="prompt.temperature",
                touches="answers",
                why="the router passes the caller's temperature on and has no default for it",
                written="nothing: callers send it",
            )
        )
    remembering, store, lost = vllmsr_cache(config)
    plugins += remembering
    return plugins, store, [*lossy, *lost]


def _unsaid(config: RouteConfig, entries: Entries) -> list[Lossy]:
    lossy = []
    if config.limits.retries:
        lossy.append(_retried(config))
    if any(len(entry.ranking) > 1 for entry in entries.all):
        lossy.append(
            Lossy(
                field="fallbacks",
                touches="picks",
                why="the router falls back by status code and only before a stream has begun; the order was not run here",
                written=f"modelRefs in order, {len(STATUS_CODES)} status codes",
            )
        )
    return lossy


def _retried(config: RouteConfig) -> Lossy:
    return Lossy(
        field="limits.retries",
        touches="limits",
        why="retries are the proxy's in front of the provider: server errors and resets only, never a 429",
        written=f"retry_count: {config.limits.retries}, retry_on: {RETRY_ON}",
    )


RETRY_ON = "5xx,reset,connect-failure"


def _model(endpoint: Endpoint, config: RouteConfig) -> tuple[dict[str, Any], dict[str, Any], list[Lossy]]:
    model, address = endpoint.model, address_of(endpoint)
    lossy: list[Lossy] = []
    values: dict[str, Any] = {
        "name": model.name,
        "provider_model_id": model.upstream if address is None else address.upstream,
    }
    if model.price is not None:
        values["pricing"] = {
            "currency": "USD",
            "prompt_per_1m": model.price.usd_per_mtok_in,
            "completion_per_1m": model.price.usd_per_mtok_out,
        }
        if model.price.usd_per_mtok_cached_in is not None:
            values["pricing"]["cached_input_per_1m"] = model.price.usd_per_mtok_cached_in
    else:
        lossy.append(
            Lossy(
                field=f"fleet.models.{model.name}",
                touches="cost",
                why="its price is not known",
                written="no pricing",
            )
        )
    if config.limits.retries:
        values["reliability"] = {"retry_count": config.limits.retries, "retry_on": RETRY_ON}
    backend, lost = _backend(model.name, address)
    values["backend_refs"] = [backend]
    card: dict[str, Any] = {"name": model.name}
    if model.context_window is not None:
        card["context_window_size"] = model.context_window
    if model.max_output_tokens is not None:
        card["max_output_tokens"] = model.max_output_tokens
    return values, card, [*lossy, *lost]


def _backend(model: str, address: Address | None) -> tuple[dict[str, Any], list[Lossy]]:
    field = f"fleet.models.{model}"
    if address is None:
        return {"name": _plain(model), "provider": "openai-compatible", "base_url": LOCAL_URL, "weight": 100}, [
            Lossy(
                field=field,
                touches="answers",
                why="nothing says who answers for it (the outcomes were recorded, or the config has no fleet)",
                written=f"openai-compatible at {LOCAL_URL}: put the real provider there",
            )
        ]
    lossy = []
    known = address.service in _PROVIDERS and address.standard
    backend: dict[str, Any] = {"name": address.service, "weight": 100}
    if known:
        backend["provider"] = _PROVIDERS[address.service]
    elif address.protocol == "openai":
        backend |= {
            "provider": "vllm" if address.key_env is None else "openai-compatible",
            "base_url": address.base_url,
        }
    elif address.protocol == "anthropic":
        backend |= {"provider": "anthropic-compatible", "base_url": re.sub(r"/v1$", "", address.base_url)}
    else:
        raise ConfigError(
            f"{field}: vllm-sr does not speak Gemini's own protocol at {address.base_url}",
            hint="describe it by its OpenAI-compatible address",
        )
    if address.service == "gemini":
        lossy.append(
            Lossy(
                field=field,
                touches="answers",
                why="the router asks Gemini through its OpenAI-compatible address, routelab through its own protocol",
                written="provider: gemini",
            )
        )
    if address.key_env is not None:
        backend["api_key_env"] = address.key_env
    if address.headers or address.body:
        lossy.append(
            Lossy(
                field=field,
                touches="answers",
                why="the values of headers may be secrets, and there is no place for extra fields of the body",
                written=f"nothing of {', '.join([*address.headers, *address.body])}",
            )
        )
    return backend, lossy


def _calls(entries: Entries) -> tuple[str, ...]:
    default = f"model: {CALLED} — asks {' then '.join(entries.default.ranking)}"
    lines = [default if entries.recogniser is None else f"model: {CALLED} — the task is found in the text"]
    if entries.asks_callers:
        lines += [
            f'model: {CALLED}, metadata: {{"{TASK_KEY}": "{e.task}"}} — asks {" then ".join(e.ranking)}'
            for e in entries.tasks
        ]
    return tuple(lines)


def _plain(name: str) -> str:
    """Return the name with letters, digits and underscores only; distinct names stay distinct."""
    kept = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return kept if kept == name else f"{kept}_{digest(name)[:6]}"
