"""JSON: the answer is JSON of the promised form."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from routelab.core.errors import ConfigError
from routelab.core.values import Prompt, Score
from routelab.scoring import wording
from routelab.scoring.exact import shown

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "ABSENT", "__reduce__": lambda self: "ABSENT"})()
"""Says that no value is demanded; None would demand null."""
_STARTS = 32


@dataclass(frozen=True, kw_only=True)
class Json:
    """Gives 1 when the answer is JSON that satisfies `schema` (JSON Schema 2020-12) and equals `equals`, else 0.

    The JSON is the whole answer, else the first fenced block that parses (those labelled json first), else the longest
    object or array in the prose. It is read strictly: no comments, no trailing commas, no NaN. Keys have no order, 1
    equals 1.0, and true does not equal 1. A schema may refer to itself only; nothing is fetched.
    """

    schema: Mapping[str, Any] | bool = field(default_factory=dict)
    equals: Any = ABSENT

    def __post_init__(self) -> None:
        if not isinstance(self.schema, (Mapping, bool)):
            raise ConfigError("scorer.schema: a JSON Schema (a mapping) is wanted")
        object.__setattr__(self, "schema", _plain(self.schema))
        if self.equals is not ABSENT:
            object.__setattr__(self, "equals", _plain(self.equals))
        _check(self.schema)

    def __call__(self, answer: str, prompt: Prompt) -> Score:
        """Return 1 or 0 and the first thing that is wrong."""
        value = read(answer)
        if value is ABSENT:
            return Score(quality=0.0, reason="no JSON is found" if answer.strip() else "the answer is empty")
        try:
            fault = _fault(self.schema, value)
            if fault is not None:
                return Score(quality=0.0, reason=fault)
            if self.equals is not ABSENT and not same(value, self.equals):
                return Score(
                    quality=0.0, reason=f"{shown(json.dumps(value, ensure_ascii=False))} is not what is wanted"
                )
        except RecursionError:
            return Score(quality=0.0, reason="the JSON is nested too deeply")
        return Score(quality=1.0, reason="the JSON has the promised form")


def _validator(schema: Mapping[str, Any] | bool) -> Any:
    # Imported where it is needed: jsonschema takes 0.9 s to import once Jupyter's extra formats are installed.
    from jsonschema import Draft202012Validator
    from referencing import Registry

    # An empty registry: the default one would fetch a remote $ref.
    return Draft202012Validator(schema, registry=Registry(), format_checker=Draft202012Validator.FORMAT_CHECKER)


def _check(schema: Mapping[str, Any] | bool) -> None:
    from jsonschema.exceptions import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    validator = _validator(schema)
    try:
        validator.check_schema(schema)
    except SchemaError as trouble:
        raise ConfigError(f"scorer.schema: {trouble.message} (at {trouble.json_path})") from None
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    for reference in _references(schema):
        try:
            resolver.lookup(reference)
        except Unresolvable:
            raise ConfigError(
                f"scorer.schema: nothing is found at $ref {reference!r}",
                hint="a schema may refer to itself only: #/$defs/...",
            ) from None


def _fault(schema: Mapping[str, Any] | bool, value: Any) -> str | None:
    from jsonschema.exceptions import best_match

    fault = best_match(_validator(schema).iter_errors(value))
    return None if fault is None else f"at {fault.json_path}: {shown(fault.message, 120)}"


def read(answer: str) -> Any:
    """Return the JSON value that the answer states, or ABSENT."""
    blocks = sorted(wording.fenced(answer), key=lambda block: block[0] not in ("json", "jsonc", "json5"))
    for text in (answer, *(body for _, body in blocks)):
        if (value := _parsed(text)) is not ABSENT:
            return value
    found = max(_embedded(answer), key=lambda pair: pair[0], default=(0, ABSENT))
    return found[1]


def same(a: Any, b: Any) -> bool:
    """Say whether two JSON values are equal; unlike in Python, true is not 1.

    >>> same({"a": [1, True]}, {"a": (1.0, True)}), same(True, 1)
    (True, False)
    """
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return a is b
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _refuse(digits)


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def _parsed(text: str) -> Any:
    try:
        return _DECODER.decode(text.strip().lstrip("\ufeff").strip())
    except (ValueError, RecursionError):
        return ABSENT


def _embedded(text: str) -> Iterator[tuple[int, Any]]:
    # The number of failed starts is limited, so that a long run of brackets cannot make this quadratic.
    at, failures = 0, 0
    while failures < _STARTS:
        starts = [i for i in (text.find("{", at), text.find("[", at)) if i >= 0]
        if not starts:
            return
        at = min(starts)
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            at, failures = at + 1, failures + 1
        else:
            yield end - at, value
            at = end


def _plain(value: Any) -> Any:
    # Configurations are frozen into tuples and read-only mappings; JSON Schema knows lists and dicts.
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(schema, (list, tuple)):
        for item in schema:
            yield from _references(item)
