"""Scorers judge an answer without calling a model: one file a scorer, one line each in `KINDS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Any

from routelab.core.errors import ConfigError, suggest
from routelab.core.ports import Scorer
from routelab.core.values import Prompt, Score
from routelab.scoring.choice import Choice
from routelab.scoring.code import Code
from routelab.scoring.contains import Contains
from routelab.scoring.exact import Exact
from routelab.scoring.f1 import F1
from routelab.scoring.function import Function, ScoreError
from routelab.scoring.jsonform import Json
from routelab.scoring.length import Length
from routelab.scoring.nonempty import Nonempty
from routelab.scoring.number import Number
from routelab.scoring.refusal import Refusal
from routelab.scoring.regex import Regex
from routelab.scoring.states import States

__all__ = [
    "F1",
    "KINDS",
    "Choice",
    "Code",
    "Contains",
    "Exact",
    "Function",
    "Json",
    "Length",
    "Nonempty",
    "Number",
    "Refusal",
    "Regex",
    "ScoreError",
    "States",
    "score",
    "scorer_of",
]

KINDS: Mapping[str, type] = MappingProxyType(
    {
        "exact": Exact,
        "choice": Choice,
        "number": Number,
        "contains": Contains,
        "f1": F1,
        "json": Json,
        "code": Code,
        "nonempty": Nonempty,
        "length": Length,
        "regex": Regex,
        "states": States,
        "refusal": Refusal,
    }
)
"""What a scorer's mapping may say for `kind`. From nonempty on they need no right answer: they are made for gates."""


def scorer_of(spec: Mapping[str, Any]) -> Scorer:
    """Return the scorer that a mapping such as ``{"kind": "number", "answer": 42}`` describes; raises ConfigError.

    >>> scorer_of({"kind": "exat", "answers": ["Paris"]})
    Traceback (most recent call last):
    routelab.core.errors.ConfigError: scorer.kind: unknown 'exat'; did you mean 'exact'?
      hint: one of exact, choice, number, contains, f1, json, code, nonempty, length, regex, states, refusal
    """
    if not isinstance(spec, Mapping):
        raise ConfigError(f"scorer: a mapping with a kind is wanted, not {type(spec).__name__}")
    if "kind" not in spec:
        raise ConfigError("scorer.kind: missing", hint="one of " + ", ".join(KINDS))
    kind = spec["kind"]
    made = KINDS.get(kind) if isinstance(kind, str) else None
    if made is None:
        raise ConfigError(_unknown("scorer.kind", kind, KINDS), hint="one of " + ", ".join(KINDS))
    known = {f.name: f.default is MISSING and f.default_factory is MISSING for f in fields(made)}
    given = {key: value for key, value in spec.items() if key != "kind"}
    for key in given:
        if key not in known:
            raise ConfigError(_unknown(f"scorer ({kind})", key, known), hint="keys: " + ", ".join(["kind", *known]))
    for key, needed in known.items():
        if needed and key not in given:
            raise ConfigError(f"scorer.{key}: missing, a scorer of kind {kind!r} needs it")
    scorer: Scorer = made(**given)
    return scorer


def score(answer: str, prompt: Prompt) -> Score | None:
    """Return how the prompt's own scorer judges the answer, or None when the prompt has none; raises ConfigError."""
    return None if prompt.scorer is None else scorer_of(prompt.scorer)(answer, prompt)


def _unknown(where: str, name: object, known: Mapping[str, Any]) -> str:
    near = suggest(name, known) if isinstance(name, str) else None
    return f"{where}: unknown {name!r}" + (f"; {near}" if near else "")
