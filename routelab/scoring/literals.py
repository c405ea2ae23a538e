"""Values and calls as models write them: JSON, Python literals, and calls such as ``f(a=1)`` or a tool call's JSON.

One pass over the text, nothing is evaluated. Values become nested tuples that are equal when the values mean the same:
1 is 1.0, keys and named arguments have no order, true is not 1 and "1" is not 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from routelab.scoring import wording

Value: TypeAlias = tuple[Any, ...]

LONGEST = 50_000
"""Longer texts are prose, or not worth the time."""
DEEPEST = 40
STRUCTURED = ("list", "mapping", "call")
_STARTS = 8
_TOKEN = re.compile(
    r"""
    \s*(?:
        (?P<string>[rbuf]?(?:\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}|"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'))
      | (?P<number>[-+]?(?:\d[\d_]*+(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?(?![\w.]))
      | (?P<name>[^\W\d][\w$]*+(?:\.[^\W\d][\w$]*+)*+)
      | (?P<mark>[\[\](){},:=;])
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_NAMED = re.compile(r"\s*([^\W\d]\w*+)\s*=(?!=)")
_SKIP = re.compile(r"\"(?:[^\"\\]|\\.)*+\"|'(?:[^'\\]|\\.)*+'|[\[\](){},]", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0", "\n": ""}
_WORDS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "null": None,
    "None": None,
    "nil": None,
    "undefined": None,
}
_OPENING = re.compile(r"^[ \t]*(?=[\[{]|[^\W\d][\w.$]*\()|(?<=:)[ \t]*+(?=[\[{])", re.MULTILINE)
_NAMES, _ARGUMENTS = ("name", "tool_name", "function_name"), ("arguments", "parameters", "args", "params", "input")


class _NoValue(Exception):
    """The text goes on with something that is no value."""


class _Unclosed(Exception):
    """The text ends before a bracket closes, so no other reading of it can succeed either."""


_TROUBLE = (_NoValue, _Unclosed, ValueError, OverflowError)


@dataclass
class _Reader:
    text: str
    at: int = 0
    depth: int = field(default=0)

    def next(self) -> tuple[str, str]:
        match = _TOKEN.match(self.text, self.at)
        if match is None or match.lastgroup is None:
            raise _NoValue
        self.at = match.end()
        return match.lastgroup, match[match.lastgroup]

    def peek(self) -> str:
        rest = re.compile(r"\s*").match(self.text, self.at)
        assert rest is not None
        return self.text[rest.end() : rest.end() + 1]

    def value(self) -> Value:
        kind, said = self.next()
        if kind == "string":
            return ("text", _unquoted(said))
        if kind == "number":
            return number(float(said.replace("_", "")))
        if kind == "name":
            if self.peek() == "(":
                self.next()
                return ("call", _name(said), *self.inside(")", self.argument))
            return ("word", _WORDS[said]) if said in _WORDS else ("text", said)
        if said == "[":
            return ("list", *self.inside("]", self.value))
        if said == "(":
            return ("list", *self.inside(")", self.value))
        if said == "{":
            return _mapping(self.inside("}", self.pair))
        raise _NoValue

    def inside(self, end: str, item: Callable[[], Any]) -> list[Any]:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _NoValue
        found: list[Any] = []
        while self.peek() != end:
            found.append(item())
            if self.peek() == ",":
                self.next()
            elif self.peek() != end:
                raise _NoValue
        self.next()
        self.depth -= 1
        return found

    def pair(self) -> tuple[str, Value]:
        kind, key = self.next()
        if kind == "mark" or self.next() != ("mark", ":"):
            raise _NoValue
        return (_unquoted(key) if kind == "string" else key), self.value()

    def argument(self) -> tuple[str, Value]:
        before, depth = self.at, self.depth
        named = _NAMED.match(self.text, self.at)
        if named is not None:
            self.at = before = named.end()
        key = "" if named is None else named[1]
        try:
            found = self.value()
            if self.peek() in (",", ")"):
                return key, found
        except _NoValue:
            pass
        # No value but an expression: 3 * x, lambda y: y. It is compared as it is written.
        self.at, self.depth = before, depth
        return key, ("text", self.written())

    def written(self) -> str:
        """Return the text up to the next comma or closing bracket of this level."""
        open_, start = 0, self.at
        for match in _SKIP.finditer(self.text, self.at):
            mark = match[0]
            if open_ == 0 and mark in (",", ")", "]", "}"):
                self.at = match.start()
                said = "".join(self.text[start : self.at].split())
                if not said:
                    raise _NoValue
                return said
            open_ += (mark in ("(", "[", "{")) - (mark in (")", "]", "}"))
        raise _Unclosed


def number(value: float) -> Value:
    """Return a number as a value, equal for what ten digits cannot tell apart."""
    return ("number", "0" if value == 0 else f"{value:.10g}" if math.isfinite(value) else str(value))


def read(text: str) -> Value | None:
    """Return the value that the text states, or None: all of it, the first fenced block that is one, or what a line
    begins with, or what follows a colon.

    Several values one after the other are a list.
    """
    if len(text) > LONGEST:
        return None
    whole = _all(text)
    if whole is not None:
        return whole
    for _, body in wording.fenced(text):
        if (found := _all(body)) is not None:
            return found
    for start, opening in enumerate(_OPENING.finditer(text)):
        if start == _STARTS:
            break
        if (found := _all(text[opening.end() :], rest=True)) is not None:
            return found
    return None


def calls(value: Value) -> tuple[Value, ...] | None:
    """Return the calls that a value is or lists, sorted, or None when it is something else."""
    listed = value[1:] if value[0] == "list" else (value,)
    # A call may be told as a text: ["f(a=1)"].
    told = [_all(_bare(v[1])) if v[0] == "text" else v for v in listed]
    found = [v for v in told if v is not None and v[0] == "call"]
    return tuple(sorted(found, key=repr)) if found and len(found) == len(listed) else None


def _bare(text: str) -> str:
    return next((body for _, body in wording.fenced(text)), text)


def _all(text: str, *, rest: bool = False) -> Value | None:
    """Return the values that fill the text (or begin it, when something may follow), or None."""
    reader = _Reader(text)
    found: list[Value] = []
    try:
        while reader.peek():
            # "(B)" is a choice, no list: a tuple counts within other values only.
            if reader.peek() == "(":
                raise _NoValue
            found.append(_called(reader.value()))
            # Words of prose are no list of values.
            if (rest or len(found) > 1) and found[-1][0] not in STRUCTURED:
                raise _NoValue
            while reader.peek() in (",", ";"):
                reader.next()
    except _TROUBLE:
        found = [v for v in found if v[0] in STRUCTURED] if rest else []
    if not found or (len(found) > 1 and found[0][0] not in STRUCTURED):
        return None
    if len(found) == 1:
        return found[0]
    flat = [v for value in found for v in (value[1:] if value[0] == "list" else (value,))]
    return ("list", *flat)


def _called(value: Value) -> Value:
    """Return the value with the tool calls that JSON describes written as calls."""
    if value[0] == "list":
        return ("list", *(_called(v) for v in value[1:]))
    if value[0] == "call":
        named = [(key, _called(v)) for key, v in value[2:]]
        if value[1] == "print" and len(named) == 1 and named[0][1][0] == "call":
            return named[0][1]
        placed = [(str(i), v) for i, (key, v) in enumerate(named) if not key]
        return ("call", value[1], *sorted((*placed, *((k, v) for k, v in named if k)), key=lambda pair: pair[0]))
    if value[0] == "mapping":
        pairs = dict(value[1:])
        inner = pairs.get("function")
        if inner is not None and inner[0] == "mapping":
            pairs = dict(inner[1:])
        name = next((pairs[k][1] for k in _NAMES if k in pairs and pairs[k][0] == "text"), None)
        given = next((_filled(pairs[k]) for k in _ARGUMENTS if k in pairs), None)
        if name is not None and given is not None:
            return _called(("call", _name(name), *given))
        if len(pairs) == 1:
            ((only, held),) = pairs.items()
            given = _filled(held)
            if given is not None and re.fullmatch(r"[^\W\d][\w.$]*", only):
                return _called(("call", _name(only), *given))
        return ("mapping", *((k, _called(v)) for k, v in value[1:]))
    return value


def _filled(value: Value) -> tuple[Any, ...] | None:
    """Return the pairs of a mapping, which may be written as a text, or None."""
    if value[0] == "text":
        held = _Reader(value[1])
        try:
            value = held.value() if held.peek() == "{" else value
        except _TROUBLE:
            return None
    return value[1:] if value[0] == "mapping" else None


def _mapping(pairs: list[tuple[str, Value]]) -> Value:
    return ("mapping", *sorted(dict(pairs).items(), key=lambda pair: pair[0]))


def _name(said: str) -> str:
    # Some services take no dots in the names of functions, and Gemini puts all of them into one module.
    return re.sub(r"\W", "_", said.removeprefix("default_api."))


def _unquoted(said: str) -> str:
    said = said.lstrip("rbuf")
    size = 3 if said[:3] in ('"""', "'''") and len(said) >= 6 else 1
    inner = said[size:-size]
    return _ESCAPE.sub(_escaped, inner) if "\\" in inner else inner


def _escaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else _PLAIN.get(code, code)
