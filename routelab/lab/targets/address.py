"""Where a model is really asked: the service, its name there, the address, and the name of the key's environment variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from routelab.providers import SERVICES, Anthropic, Gemini, OpenAI
from routelab.providers.catalog import CATALOG
from routelab.stages import Endpoint

LOCAL_URL = SERVICES["vllm"].base_url
_VENDORS: Mapping[str, str] = {
    "anthropic": "anthropic",
    "openai": "openai",
    "google": "gemini",
    "moonshotai": "moonshot",
    "deepseek": "deepseek",
    "mistral": "mistral",
    "local": "vllm",
}
"""The service that stands for a simulated model's vendor."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """`service` is a name in `SERVICES`, or "own" for a server of one's own; `standard` says whether `base_url` is that
    service's public one; `headers` holds names only, since their values may be secrets."""

    service: str
    protocol: Literal["openai", "anthropic", "gemini"]
    upstream: str
    base_url: str
    key_env: str | None
    standard: bool
    simulated: bool = False
    headers: tuple[str, ...] = ()
    body: Mapping[str, Any] = field(default_factory=dict)


def address_of(endpoint: Endpoint) -> Address | None:
    """Return where the endpoint's model is asked, or None when that is not known (recorded outcomes, somebody's own provider).

    A simulated model gets the address of the model that lends it its price.
    """
    provider, model = endpoint.provider, endpoint.model
    if isinstance(provider, (OpenAI, Anthropic, Gemini)):
        protocol: Literal["openai", "anthropic", "gemini"] = (
            "openai" if isinstance(provider, OpenAI) else "anthropic" if isinstance(provider, Anthropic) else "gemini"
        )
        service = next(
            (n for n, s in SERVICES.items() if s.protocol == protocol and s.base_url == provider.base_url.rstrip("/")),
            None,
        )
        return Address(
            service=service or "own",
            protocol=protocol,
            upstream=model.upstream,
            base_url=provider.base_url.rstrip("/"),
            key_env=provider.key_env,
            standard=service is not None,
            headers=tuple(provider.headers),
            body=dict(getattr(provider, "extra_body", {})),
        )
    if model.simulated and model.upstream in CATALOG:
        profile = CATALOG[model.upstream]
        name = _VENDORS.get(profile.vendor, "vllm")
        return Address(
            service=name,
            protocol=SERVICES[name].protocol,
            upstream=profile.priced_as,
            base_url=SERVICES[name].base_url,
            key_env=SERVICES[name].key_env,
            standard=True,
            simulated=True,
        )
    return None
