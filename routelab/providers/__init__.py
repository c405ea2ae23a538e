"""Who answers for models: three HTTP protocols, the services that speak them, and recorded answers.

Adding a service is a line in `SERVICES` (and in `openai.FLAVOURS` if it has habits of its own); adding a protocol is
one file with a `Dialect`. Nothing here tries twice: the flow does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlsplit

from routelab.core.errors import ConfigError, suggest
from routelab.core.ports import Provider
from routelab.providers.anthropic import Anthropic
from routelab.providers.gemini import Gemini
from routelab.providers.openai import FLAVOURS, Flavour, OpenAI
from routelab.providers.recorded import Recorded
from routelab.providers.transport import Deadlines, Transport

__all__ = [
    "FLAVOURS",
    "SERVICES",
    "Anthropic",
    "Deadlines",
    "Flavour",
    "Gemini",
    "OpenAI",
    "Recorded",
    "Service",
    "Transport",
    "provider_of",
]


@dataclass(frozen=True, kw_only=True)
class Service:
    """A known service: its protocol, its address, and the environment variable that holds its key, if it wants one."""

    protocol: Literal["openai", "anthropic", "gemini"]
    base_url: str
    key_env: str | None = None


SERVICES: Mapping[str, Service] = MappingProxyType(
    {
        "openai": Service(protocol="openai", base_url="https://api.openai.com/v1", key_env="OPENAI_API_KEY"),
        "anthropic": Service(
            protocol="anthropic", base_url="https://api.anthropic.com/v1", key_env="ANTHROPIC_API_KEY"
        ),
        "gemini": Service(
            protocol="gemini", base_url="https://generativelanguage.googleapis.com/v1beta", key_env="GEMINI_API_KEY"
        ),
        "deepseek": Service(protocol="openai", base_url="https://api.deepseek.com/v1", key_env="DEEPSEEK_API_KEY"),
        "moonshot": Service(protocol="openai", base_url="https://api.moonshot.ai/v1", key_env="MOONSHOT_API_KEY"),
        "openrouter": Service(protocol="openai", base_url="https://openrouter.ai/api/v1", key_env="OPENROUTER_API_KEY"),
        "mistral": Service(protocol="openai", base_url="https://api.mistral.ai/v1", key_env="MISTRAL_API_KEY"),
        "ollama": Service(protocol="openai", base_url="http://localhost:11434/v1"),
        "vllm": Service(protocol="openai", base_url="http://localhost:8000/v1"),
    }
)

_PROTOCOLS: Mapping[str, type[OpenAI] | type[Anthropic] | type[Gemini]] = {
    "openai": OpenAI,
    "anthropic": Anthropic,
    "gemini": Gemini,
}


def provider_of(kind: str, **options: Any) -> Provider:
    """Return the provider for a known service; options replace its fields and may come from a YAML file.

    Options: `name`, `base_url`, `key_env`, `headers`, `extra_body`; for the network `trust_env`, `connect_s`,
    `first_s`, `idle_s`, `total_s`, or a whole `transport`; `flavour` (a name in `FLAVOURS`) for chat completions,
    `version` and `max_output_tokens` for Anthropic. A `base_url` on another host gets no key unless `key_env` names
    one: a service's key is for that service. Other servers that speak chat completions are ``provider_of("vllm",
    base_url=...)``. Raises ConfigError for a kind, an option or a value that cannot be used.

    >>> provider_of("deepseek").base_url
    'https://api.deepseek.com/v1'
    """
    service = SERVICES.get(kind)
    if service is None:
        hint = suggest(kind, SERVICES) or f"known are {', '.join(SERVICES)}"
        raise ConfigError(f"provider: unknown '{kind}'", hint=hint)
    protocol = _PROTOCOLS[service.protocol]
    settable = {f.name: str(f.type) for f in fields(protocol)}
    for option, value in options.items():
        expected = settable.get(option) or _NETWORK.get(option)
        if expected is None:
            known = [*settable, *_NETWORK]
            hint = suggest(option, known) or f"known are {', '.join(known)}"
            raise ConfigError(f"provider {kind}: unknown option '{option}'", hint=hint)
        _check(kind, option, value, expected)
    network = {option: options.pop(option) for option in _NETWORK if option in options}
    given: dict[str, Any] = {"name": kind, "base_url": service.base_url, "key_env": service.key_env, **options}
    if "key_env" not in options and not _same_origin(given["base_url"], service.base_url):
        given["key_env"] = None
    if service.protocol == "openai":
        flavour = given.get("flavour", kind)
        given["flavour"] = FLAVOURS[flavour] if isinstance(flavour, str) else flavour
    if network:
        given["transport"] = _tuned(given.get("transport", Transport()), network)
    return protocol(**given)


_NETWORK: Mapping[str, str] = {
    "trust_env": "bool",
    **{f.name: "float" for f in fields(Deadlines)},
}


def _check(kind: str, option: str, value: object, expected: str) -> None:
    """Raise ConfigError when the value is not of the field's kind; `expected` is the field's annotation."""
    if expected == "str | None" and value is None:
        return
    if expected == "Flavour" and isinstance(value, str):
        if value not in FLAVOURS:
            hint = suggest(value, FLAVOURS) or f"known are {', '.join(FLAVOURS)}"
            raise ConfigError(f"provider {kind}: unknown flavour '{value}'", hint=hint)
        return
    if expected in ("float", "int"):
        # `> 0` also refuses NaN, which would never let a deadline pass.
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
        good = number and (expected == "float" or isinstance(value, int))
        wanted = "a positive number"
    else:
        types = {"bool": bool, "str": str, "str | None": str, "Transport": Transport, "Flavour": Flavour}
        good = isinstance(value, types.get(expected, Mapping))
        wanted = {"bool": "true or false", "str": "a text", "str | None": "a text"}.get(expected, "a mapping")
    if not good:
        # The value itself is not repeated: a pasted key would end up in the message.
        raise ConfigError(f"provider {kind}: {option} must be {wanted}")


def _tuned(transport: Transport, network: Mapping[str, Any]) -> Transport:
    seconds = {option: float(value) for option, value in network.items() if option != "trust_env"}
    return replace(
        transport,
        deadlines=replace(transport.deadlines, **seconds),
        trust_env=network.get("trust_env", transport.trust_env),
    )


def _same_origin(url: str, other: str) -> bool:
    try:
        one, two = urlsplit(url), urlsplit(other)
        return (one.scheme, one.hostname, one.port) == (two.scheme, two.hostname, two.port)
    except ValueError:
        return False
