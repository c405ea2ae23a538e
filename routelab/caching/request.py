"""What a cache is asked: the whole request as one key, and what of it must be equal before likeness counts as another.

Every key is the full SHA-256 of canonical JSON: a prefix of a text, or of a digest, is never one (CVE-2026-35030 was a key
of the first 20 characters).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from routelab.core.events import Retrieved
from routelab.core.run import Run
from routelab.core.values import Model

SEPARATING = ("tenant", "role", "prompt_version", "tools")
"""Tags of a prompt that say for whom, and with what at hand, it is answered; answers never cross them. Other tags only label."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request: `key` depends on all of it, `namespace` on all but the words of the question, which are `text`."""

    key: str
    namespace: str
    text: str


def asked(run: Run, scope: str, *, embedder: str = "") -> Asked:
    """Return what a run asks of a cache; `scope` is as `scope_of` gives it, `embedder` the id of whose vectors compare texts."""
    text = run.prompt.text
    around = {
        "scope": scope,
        "task": run.prompt.task,
        "tags": {name: run.tags[name] for name in SEPARATING if name in run.tags},
        "retrieved": [[e.corpus, list(e.chunks)] for e in run.events if isinstance(e, Retrieved)],
    }
    turns: list[list[Any]] = [list(m.told) for m in run.messages]
    last = max((i for i, m in enumerate(run.messages) if m.role == "user"), default=None)
    return Asked(
        key=sha256("request", {**around, "messages": turns}),
        namespace=sha256("namespace", {**around, "messages": _without(turns, last, text), "embedder": embedder}),
        text=text,
    )


def scope_of(decides: Mapping[str, Any], models: Iterable[Model], *, namespace: str = "", apart: object = None) -> str:
    """Return the digest of everything besides the messages that an answer depends on.

    `decides` are the config's plain values that decide an answer (`RouteConfig.decides`); `models` all that it may ask, so
    that the same name at another provider is another model; `namespace` is the config's own; `apart` keeps an
    experiment's arm to itself.
    """
    served = sorted([m.name, m.provider, m.upstream, m.simulated] for m in models)
    return sha256("scope", {"decides": decides, "models": served, "namespace": namespace, "apart": apart})


def sha256(what: str, value: Any) -> str:
    """Return 64 hexadecimal digits that depend on every part of a plain value and on what it is called.

    What is not plain (a strategy of somebody's own, with a function in it) counts by its repr, so at most for this process.
    """
    text = json.dumps([what, value], sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=repr)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _without(turns: list[list[Any]], last: int | None, text: str) -> list[list[Any]]:
    """Return the conversation with the question's own words taken out of the last user turn.

    What a template or a retrieval put around the words stays; where they cannot be found in the turn, all of it does,
    so that only the very same request is alike.
    """
    if last is None:
        return turns
    role, content, *_ = turns[last]
    if content == text:
        bare = [role, "question"]
    elif text and text in content:
        before, _, after = content.partition(text)
        bare = [role, "around", before, after]
    else:
        bare = [role, "whole", content]
    return [*turns[:last], bare, *turns[last + 1 :]]
