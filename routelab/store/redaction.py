"""Takes what looks like a key out of a text before it is stored."""

from __future__ import annotations

import re

MASK = "***"

# Shapes of keys, whole: a mask that leaves a prefix is a leak (four visible characters of `AIza…` are the provider's
# tag, ten are a third of the secret). A long hexadecimal word may be an Azure key, so it goes too.
_KEYS = re.compile(
    r"""
    \b(?:sk|pk|rk)[-_][A-Za-z0-9_\-]{8,}
    | \bAIza[0-9A-Za-z_\-]{10,}
    | \b(?:AKIA|ASIA)[0-9A-Z]{12,}
    | \bgh[pousr]_[A-Za-z0-9]{16,} | \bgithub_pat_[A-Za-z0-9_]{16,}
    | \b(?:hf|gsk|xai|r8|pplx|key|tgp_v1)[-_][A-Za-z0-9]{16,}
    | \bxox[abeoprs]-[A-Za-z0-9\-]{8,}
    | \beyJ[A-Za-z0-9_\-]{6,}(?:\.[A-Za-z0-9_\-]+){1,2}
    | \b[0-9A-Fa-f]{32,}\b
    """,
    re.VERBOSE,
)
_SCHEMES = re.compile(r"\b(?P<name>(?:bearer|basic)\s+)[A-Za-z0-9+/=_\-.~%]{6,}", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^/\s@:]+:[^/\s@]+(?=@)")
_NAMED = re.compile(
    r"""(?P<name>["']?(?:[a-z0-9_\-]*(?:api[-_]?key|secret|access[-_]?token|auth[-_]?token|password)|authorization|(?<=[?&])(?:key|token|sig))["']?\s*[:=]\s*["']?)(?P<value>[^\s"'&,;}]{6,})""",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return the text with everything that looks like a key, a token or a password replaced by ``***``.

    >>> redact("401: key sk-abcdef123456 refused")
    '401: key *** refused'
    >>> redact("GET https://x.test/v1?key=abcdefgh&n=1")
    'GET https://x.test/v1?key=***&n=1'
    """
    text = _KEYS.sub(MASK, text)
    text = _SCHEMES.sub(_after_name, text)
    text = _USERINFO.sub(MASK, text)
    return _NAMED.sub(_after_name, text)


def _after_name(found: re.Match[str]) -> str:
    return f"{found['name']}{MASK}"
