"""Known services, and what may be said about a provider in a file."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

from routelab.core.errors import ConfigError, MissingKey
from routelab.core.values import Model, Prompt, Request
from routelab.providers import FLAVOURS, SERVICES, Anthropic, Deadlines, Gemini, OpenAI, Transport, provider_of
from routelab.providers.address import clear_text, endpoint, plain_headers

KINDS: dict[str, type[OpenAI] | type[Anthropic] | type[Gemini]] = {
    "openai": OpenAI,
    "anthropic": Anthropic,
    "gemini": Gemini,
}


@pytest.mark.parametrize("kind", SERVICES)
def test_every_service_is_made_by_its_name_alone(kind: str) -> None:
    service = SERVICES[kind]
    provider = provider_of(kind)
    assert isinstance(provider, KINDS[service.protocol])
    assert (provider.name, provider.base_url, provider.key_env) == (kind, service.base_url, service.key_env)
    assert not isinstance(provider, OpenAI) or provider.flavour == FLAVOURS[kind]


@pytest.mark.parametrize("kind", [kind for kind, service in SERVICES.items() if service.key_env is not None])
def test_every_service_with_a_key_names_its_variable_when_it_is_missing(kind: str) -> None:
    provider = provider_of(kind, transport=Transport(getenv=lambda name: None))
    prompt = Prompt.of("hi")
    request = Request(model=Model(name="m", provider=kind, upstream="u"), prompt=prompt, messages=prompt.messages)
    with pytest.raises(
        MissingKey, match=f"{kind}, model 'u': the environment variable {SERVICES[kind].key_env} is not set"
    ):
        asyncio.run(provider.complete(request, print))


def test_options_replace_fields_and_tune_the_network() -> None:
    given = provider_of(
        "openrouter", headers={"X-Title": "lab"}, extra_body={"provider": {"sort": "price"}}, total_s=30, trust_env=True
    )
    assert given == OpenAI(
        name="openrouter",
        base_url="https://openrouter.ai/api/v1",
        key_env="OPENROUTER_API_KEY",
        headers={"X-Title": "lab"},
        extra_body={"provider": {"sort": "price"}},
        flavour=FLAVOURS["openrouter"],
        transport=given.transport,  # type: ignore[attr-defined]
    )
    assert given.transport == Transport(deadlines=Deadlines(total_s=30.0), trust_env=True)


def test_another_host_gets_no_key_that_was_not_meant_for_it() -> None:
    keys = [
        provider_of("openai", base_url="https://elsewhere.example/v1"),
        provider_of("openai", base_url="https://elsewhere.example/v1", key_env="ELSEWHERE_KEY"),
        provider_of("openai", base_url="https://api.openai.com/v2"),
        provider_of("vllm", base_url="http://10.0.0.7:8000/v1", flavour="openai"),
    ]
    assert [k.key_env for k in keys] == [None, "ELSEWHERE_KEY", "OPENAI_API_KEY", None]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "options", "message", "hint"),
    [
        ("opnai", {}, "provider: unknown 'opnai'", "did you mean 'openai'?"),
        ("x", {}, "provider: unknown 'x'", f"known are {', '.join(SERVICES)}"),
        ("openai", {"base_ulr": "x"}, "provider openai: unknown option 'base_ulr'", "did you mean 'base_url'?"),
        ("gemini", {"flavour": "vllm"}, "provider gemini: unknown option 'flavour'", None),
        ("vllm", {"flavour": "olama"}, "provider vllm: unknown flavour 'olama'", "did you mean 'ollama'?"),
        ("openai", {"total_s": "soon"}, "provider openai: total_s must be a positive number", None),
        ("openai", {"idle_s": float("nan")}, "provider openai: idle_s must be a positive number", None),
        ("openai", {"first_s": True}, "provider openai: first_s must be a positive number", None),
        ("openai", {"trust_env": "yes"}, "provider openai: trust_env must be true or false", None),
        ("openai", {"headers": ["a"]}, "provider openai: headers must be a mapping", None),
        (
            "anthropic",
            {"max_output_tokens": 2.5},
            "provider anthropic: max_output_tokens must be a positive number",
            None,
        ),
        ("openai", {"base_url": 3}, "provider openai: base_url must be a text", None),
        ("openai", {"key_env": "sk-pasted-key-0123"}, "key_env: must be the name of an environment variable", None),
        ("openai", {"headers": {"Authorization": "Bearer x"}}, "headers: 'Authorization' carries a key", None),
        ("openai", {"headers": {"x-a": "b\r\nx-c: d"}}, "headers: 'x-a' has characters that HTTP cannot send", None),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_next_move(
    kind: str, options: dict[str, Any], message: str, hint: str | None
) -> None:
    with pytest.raises(ConfigError) as caught:
        provider_of(kind, **options)
    assert caught.value.message == message
    assert hint is None or caught.value.hint == hint
    assert "pasted" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "api.openai.com/v1",
        "ftp://h/v1",
        "file:///etc/passwd",
        "https://",
        "https://user:secret@h/v1",
        "https://h/v1?key=secret",
        "https://h/v1#part",
        "https://h:99999/v1",
        "https://[::1/v1",
        "",
    ],
)
def test_an_address_that_is_none_is_refused_without_showing_a_secret(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url") as caught:
        endpoint(url, key_env=None)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "clear"),
    [
        ("https://h/v1", False),
        ("http://h/v1", True),
        ("http://localhost:11434/v1", False),
        ("http://api.localhost/v1", False),
        ("http://127.8.9.1/v1", False),
        ("http://[::1]:8000/v1", False),
        ("http://192.168.0.2/v1", True),
        ("http://localhost.evil.example/v1", True),
        ("http://127.0.0.1.evil.example/v1", True),
        ("http://2130706433/v1", True),
    ],
)
def test_a_key_goes_out_encrypted_or_stays_on_this_machine(url: str, clear: bool) -> None:
    assert clear_text(url) == clear
    assert endpoint(url + "/", key_env=None) == url
    if clear:
        with pytest.raises(ConfigError, match="a key is not sent over plain http"):
            endpoint(url, key_env="KEY")
    else:
        assert endpoint(url, key_env="KEY") == url


def test_extra_headers_come_out_in_lower_case() -> None:
    assert plain_headers({"HTTP-Referer": "https://lab.example", "X-Title": "lab"}) == {
        "http-referer": "https://lab.example",
        "x-title": "lab",
    }


def test_no_secret_is_in_what_a_provider_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    provider = provider_of("openai", headers={"x-internal": "canary-header"})
    shown = repr(provider) + str(provider)
    assert "canary" not in shown
    assert "OPENAI_API_KEY" in shown


def test_a_provider_is_a_value() -> None:
    assert provider_of("ollama") == provider_of("ollama")
    assert provider_of("ollama") != provider_of("vllm")
    with pytest.raises(AttributeError):
        provider_of("ollama").name = "x"  # type: ignore[attr-defined]


def test_deadlines_travel_between_processes() -> None:
    deadlines = Deadlines(total_s=3.0)
    assert pickle.loads(pickle.dumps(deadlines)) == deadlines
