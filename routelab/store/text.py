"""What of a text may be stored: the log's content policy, and the few code units that a UTF-8 file cannot hold."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

Content: TypeAlias = Literal["full", "hash", "none"]
"""`full` stores prompts and answers, `hash` their SHA-256 and length only, `none` neither."""


def storable(text: str) -> str:
    """Return the text with lone surrogates, which UTF-8 cannot hold, replaced by U+FFFD; NUL and all else stays.

    A broken stream may end in half an emoji. DuckDB refuses such a string, and its JSON functions refuse the escaped
    form, for a whole query: one odd answer would hide the others.

    >>> storable("half \\ud83d emoji") == "half \\ufffd emoji"
    True
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def sha256(text: str) -> str:
    """Return the text's SHA-256 in hexadecimal, as it would be stored."""
    return hashlib.sha256(storable(text).encode()).hexdigest()


def veil(text: str, content: Content) -> str | None:
    """Return the text as the policy stores it in a column of its own: whole, or None (hash and length have columns)."""
    return storable(text) if content == "full" else None


def veiled(value: Any, content: Content) -> Any:
    """Return a JSON value whose every text is replaced by its hash and length, or by None."""
    if content == "full":
        return value
    if isinstance(value, str):
        return {"sha256": sha256(value), "chars": len(value)} if content == "hash" else None
    if isinstance(value, Mapping):
        return {k: v if k in ("role", "kind") else veiled(v, content) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [veiled(v, content) for v in value]
    # A number in a scorer's mapping may be the very answer.
    return None if isinstance(value, (int, float)) else value


def note(text: str, content: Content, clean: Callable[[str], str]) -> str:
    """Return a message that may quote a prompt: cleaned of keys, and under a policy only its length and hash."""
    if not text or content == "full":
        return storable(clean(text))
    return f"[{len(text)} characters, sha256 {sha256(text)}]" if content == "hash" else f"[{len(text)} characters]"


def to_json(value: Any) -> str:
    """Return JSON text that DuckDB and Python both read: no lone surrogates, and null for NaN and infinity."""
    try:
        text = _STRICT.encode(value)
        text.encode()
    except ValueError:  # a number that is none, or a lone surrogate
        return _STRICT.encode(_plain(value))
    return text


def _other(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


_STRICT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_other)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {storable(str(k)): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
