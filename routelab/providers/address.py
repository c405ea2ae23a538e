"""Where a provider may be: checks of base URLs, extra headers and key names, made when a fleet is loaded.

What a URL may reach is decided here and nowhere else.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from routelab.core.errors import ConfigError
from routelab.providers.refusals import snippet

_KEY_HEADERS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"})
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def endpoint(base_url: str, *, key_env: str | None) -> str:
    """Return the URL without a trailing slash; raises ConfigError for one that cannot or should not be asked.

    With a `key_env` plain http is refused, unless the host is this machine; and it must be a variable's name, not a
    key.
    """
    if key_env is not None and not _VARIABLE.fullmatch(key_env):
        # Not echoed: this is where people paste the key itself.
        raise ConfigError("key_env: must be the name of an environment variable", hint="key_env: OPENAI_API_KEY")
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"base_url: '{snippet(base_url)}' is not a URL ({error})") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"base_url: '{snippet(base_url)}' must begin with https:// or http:// and name a host")
    if "@" in parts.netloc:
        raise ConfigError(
            "base_url: a name or password in the URL is not accepted", hint="name the key's variable in key_env"
        )
    if parts.query or parts.fragment:
        raise ConfigError(f"base_url: '{host}…' must not have a ? or # part", hint="name the key's variable in key_env")
    if key_env is not None and clear_text(base_url):
        raise ConfigError(
            f"base_url: a key is not sent over plain http to {host}", hint="use https://, or leave key_env out"
        )
    return base_url.rstrip("/")


def plain_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers under lower-case names; raises ConfigError for one that carries a key or cannot be sent."""
    checked = {}
    for name, value in headers.items():
        if name.lower() in _KEY_HEADERS:
            raise ConfigError(f"headers: '{name}' carries a key", hint="name the key's variable in key_env instead")
        if not (
            name.isascii()
            and name.replace("-", "").replace("_", "").isalnum()
            and value.isascii()
            and value.isprintable()
        ):
            raise ConfigError(f"headers: '{snippet(name)}' has characters that HTTP cannot send")
        checked[name.lower()] = value
    return checked


def clear_text(url: str) -> bool:
    """Say that what is sent there can be read on the way: plain http to another machine."""
    parts = urlsplit(url)
    return parts.scheme != "https" and not _loopback(parts.hostname or "")


def host_of(url: str) -> str:
    """Return the URL's host, with its port when it has one."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port is not None else str(parts.hostname)


def _loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
