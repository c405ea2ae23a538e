"""Who can be asked: models with their prices and limits, and the providers that answer for them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routelab import strict
from routelab.core.errors import ConfigError, suggest
from routelab.core.ports import Provider, TokenCounter
from routelab.core.values import Model, Price, Roster
from routelab.present import Table, bundle, usd
from routelab.stages.call import Endpoint

if TYPE_CHECKING:
    from routelab.core.ports import Answers, Outcomes

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model's lines in fleet.yaml; without prices or a window these come from genai-prices, and stay unknown when it does not know."""

    provider: str
    upstream: str | None = None
    usd_per_mtok_in: float | None = None
    usd_per_mtok_out: float | None = None
    usd_per_mtok_cached_in: float | None = None
    usd_per_mtok_cache_write: float | None = None
    price_as_of: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None

    def __post_init__(self) -> None:
        if (self.usd_per_mtok_in is None) != (self.usd_per_mtok_out is None):
            raise ValueError("usd_per_mtok_in and usd_per_mtok_out go together")
        for name in ("usd_per_mtok_in", "usd_per_mtok_out", "usd_per_mtok_cached_in", "usd_per_mtok_cache_write"):
            if (value := getattr(self, name)) is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name}: must be at least 0, not {value}")
        for name in ("context_window", "max_output_tokens"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name}: must be at least 1, not {value}")
        if self.price_as_of is not None:
            try:
                date.fromisoformat(self.price_as_of)
            except ValueError:
                raise ValueError(f"price_as_of: must be a date such as 2026-11-09, not {self.price_as_of!r}") from None


@dataclass(frozen=True, kw_only=True, eq=False)
class Fleet:
    """Models by name. `pace` scales every wait between attempts; `spec` is what an export writes so that it runs elsewhere."""

    endpoints: Mapping[str, Endpoint]
    counter: TokenCounter
    pace: float = 1.0
    spec: str | Mapping[str, Any] | None = None
    source: str = field(default="", repr=False)

    @staticmethod
    def practice(*, latency: float = 1.0, seed: int = 0, errors: float = 0.01) -> Fleet:
        """Return the twelve simulated models: offline, free of charge, and labelled "simulated" wherever they show.

        `latency` scales how long answers really take (0: no waiting; recorded latencies stay as drawn); `errors` is the
        chance that one attempt fails.
        """
        from routelab.providers.practice import Practice, practice_models
        from routelab.providers.prices import GenaiPrices
        from routelab.providers.tokens import Counter

        counter = Counter()
        provider = Practice(latency=latency, seed=seed, errors=errors, counter=counter)
        models = practice_models(GenaiPrices())
        return Fleet(
            endpoints={m.name: Endpoint(model=m, provider=provider) for m in models},
            counter=counter,
            pace=latency,
            spec="practice",
            source="practice (simulated)",
        )

    @staticmethod
    def recorded(outcomes: Outcomes, *, answers: Answers | None = None, latency: float = 0.0) -> Fleet:
        """Return a fleet that answers with what was recorded, at the recorded cost and latency (waits scaled by `latency`)."""
        from routelab.providers.recorded import Recorded
        from routelab.providers.tokens import Counter

        source = answers if answers is not None else outcomes
        provider = Recorded(outcomes=outcomes, answers=source, latency=latency)  # type: ignore[arg-type]
        # What practice models once said is still simulated when it is read back.
        simulated = bool(getattr(outcomes, "simulated", False))
        models = [Model(name=n, provider="recorded", upstream=n, simulated=simulated) for n in outcomes.models]
        return Fleet(
            endpoints={m.name: Endpoint(model=m, provider=provider) for m in models},
            counter=Counter(),
            pace=latency,
            source="recorded outcomes",
        )

    @staticmethod
    def from_yaml(path: str | Path) -> Fleet:
        """Return the fleet that a fleet.yaml describes; keys are named by environment variable and read when they are used."""
        document = strict.read(path)
        return _fleet(document.values, (), document)

    @staticmethod
    def from_mapping(values: Mapping[str, Any]) -> Fleet:
        """Return the fleet that a mapping in the form of fleet.yaml describes."""
        return _fleet(values, (), strict.Document(values=values, name="fleet"))

    @property
    def names(self) -> tuple[str, ...]:
        """The models' names."""
        return tuple(self.endpoints)

    @property
    def models(self) -> tuple[Model, ...]:
        """The models, in order."""
        return tuple(e.model for e in self.endpoints.values())

    @property
    def simulated(self) -> bool:
        """Whether every model is simulated."""
        return all(e.model.simulated for e in self.endpoints.values())

    def endpoint(self, name: str) -> Endpoint:
        """Return the model's endpoint; ConfigError suggests the nearest name."""
        if name not in self.endpoints:
            near = suggest(name, self.names)
            raise ConfigError(
                f"unknown model '{name}'{'' if near is None else '; ' + near}",
                hint=f"models of this fleet: {', '.join(self.names)}",
            )
        return self.endpoints[name]

    def roster(self, names: Sequence[str] = ()) -> Roster:
        """Return the named models (default: all) in a fixed order; one name alone is that model's."""
        # A name is a sequence too, of letters.
        listed = [names] if isinstance(names, str) else names
        return Roster(models=tuple(self.endpoint(name).model for name in listed or self.names))

    def with_models(self, endpoints: Mapping[str, Endpoint]) -> Fleet:
        """Return this fleet with more models, or others under the same names; an export of it can no longer name its source."""
        return dataclasses.replace(self, endpoints={**self.endpoints, **endpoints}, spec=None)

    def table(self) -> Table:
        """Return the models with provider, price, price date and limits."""
        rows = [
            [
                m.name + (" (simulated)" if m.simulated else ""),
                m.provider,
                m.upstream,
                usd(m.price.usd_per_mtok_in) if m.price else "?",
                usd(m.price.usd_per_mtok_out) if m.price else "?",
                m.price.as_of.isoformat() if m.price and m.price.as_of else "–",
                f"{m.context_window:,}" if m.context_window else "?",
            ]
            for m in self.models
        ]
        head = ("model", "provider", "upstream", "$/M in", "$/M out", "price as of", "window")
        return Table(head=head, rows=rows, numbers=frozenset((3, 4, 6)), caption=f"{len(rows)} models · {self.source}")

    def __repr__(self) -> str:
        return f"Fleet({self.source or 'own'}: {', '.join(self.names)})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return bundle(self.table())


def fleet_of(spec: str | Mapping[str, Any], document: strict.Document | None = None) -> Fleet:
    """Return the fleet that a config's `fleet` key names: "practice", or a mapping in the form of fleet.yaml."""
    if isinstance(spec, str):
        return Fleet.practice()
    return _fleet(spec, ("fleet",), document or strict.Document(values={}, name="config"))


def _fleet(values: Mapping[str, Any], key: tuple[str, ...], document: strict.Document) -> Fleet:
    from routelab.providers import SERVICES
    from routelab.providers.prices import GenaiPrices
    from routelab.providers.tokens import Counter

    known = ("routelab", "models", "providers")
    for name in values:
        if name not in known:
            near = suggest(name, known)
            raise ConfigError(f"{document.where(*key, name)}: unknown key{'' if near is None else '; ' + near}")
    if values.get("routelab", VERSION) != VERSION:
        raise ConfigError(f"{document.where(*key, 'routelab')}: version {values['routelab']} is not known")
    given = values.get("models")
    if not isinstance(given, Mapping) or not given:
        raise ConfigError(
            f"{document.where(*key, 'models')}: name at least one model",
            hint="models: {gpt-5-mini: {provider: openai}}",
        )
    own = values.get("providers") or {}
    if not isinstance(own, Mapping):
        raise ConfigError(f"{document.where(*key, 'providers')}: must be `key: value` lines")
    providers = {name: _provider(name, options, (*key, "providers", name), document) for name, options in own.items()}
    prices = GenaiPrices()
    endpoints = {}
    for name, lines in given.items():
        place = (*key, "models", name)
        if not isinstance(lines, Mapping):
            raise ConfigError(f"{document.where(*place)}: must be a mapping with `provider`")
        spec = strict.build(ModelSpec, lines, place, document)
        if spec.provider not in providers:
            if spec.provider not in SERVICES:
                near = suggest(spec.provider, [*own, *SERVICES])
                raise ConfigError(
                    f"{document.where(*place, 'provider')}: unknown '{spec.provider}'{'' if near is None else '; ' + near}",
                    hint=f"known services: {', '.join(SERVICES)}; or describe your own under `providers`",
                )
            providers[spec.provider] = _provider(spec.provider, {}, (*key, "providers", spec.provider), document)
        # An entry under `providers` that keeps a known service's address is that service, and its prices apply.
        options = own.get(spec.provider, {})
        service = str(options.get("kind", spec.provider)) if "base_url" not in options else spec.provider
        upstream = spec.upstream or name
        listed = None if priced(spec) else prices.price(service, upstream)
        model = _model(name, spec, listed, spec.context_window or prices.window(service, upstream))
        endpoints[name] = Endpoint(model=model, provider=providers[spec.provider])
    return Fleet(endpoints=endpoints, counter=Counter(), spec=values, source=document.name)


def _provider(name: str, options: Any, key: tuple[str, ...], document: strict.Document) -> Provider:
    from routelab.providers import SERVICES, provider_of

    if not isinstance(options, Mapping):
        raise ConfigError(f"{document.where(*key)}: must be a mapping with `kind` and `base_url`")
    given = dict(options)
    for secret in ("key", "api_key", "token"):
        if secret in given:
            raise ConfigError(
                f"{document.where(*key, secret)}: a key does not belong in a file",
                hint="write key_env: NAME_OF_THE_ENVIRONMENT_VARIABLE",
            )
    kind = str(given.pop("kind", name))
    if kind not in SERVICES:
        near = suggest(kind, SERVICES)
        raise ConfigError(
            f"{document.where(*key)}: no known service is called '{kind}'{'' if near is None else '; ' + near}",
            hint=f"say which protocol it speaks, e.g. {name}: {{kind: vllm, base_url: ..., key_env: ...}}; kinds: {', '.join(SERVICES)}",
        )
    try:
        return provider_of(kind, **given)
    except ConfigError as trouble:
        raise ConfigError(f"{document.where(*key)}: {trouble.message}", hint=trouble.hint) from None


def priced(spec: ModelSpec) -> bool:
    """Say that the file itself states the model's price."""
    return spec.usd_per_mtok_in is not None


def _model(name: str, spec: ModelSpec, listed: Price | None, window: int | None) -> Model:
    price = listed
    if spec.usd_per_mtok_in is not None and spec.usd_per_mtok_out is not None:
        price = Price(
            usd_per_mtok_in=spec.usd_per_mtok_in,
            usd_per_mtok_out=spec.usd_per_mtok_out,
            usd_per_mtok_cached_in=spec.usd_per_mtok_cached_in,
            usd_per_mtok_cache_write=spec.usd_per_mtok_cache_write,
            as_of=date.fromisoformat(spec.price_as_of) if spec.price_as_of else None,
            source="fleet.yaml",
        )
    return Model(
        name=name,
        provider=spec.provider,
        upstream=spec.upstream or name,
        price=price,
        context_window=window,
        max_output_tokens=spec.max_output_tokens,
    )
