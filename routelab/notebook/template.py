r"""`{{name}}` in a cell's body: names, attributes and keys, and nothing else that stands between braces.

Prompts are full of braces, dollars and code, so only what has the shape of a path is a placeholder: ``{{name}}``, ``{{row.col}}``,
``{{d['k']}}``, ``{{rows[0]}}``. ``\{{`` is a literal ``{{``. What is filled in is never read again as a template.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from routelab.core.errors import TemplateError, suggest

_NAME = r"[^\W\d]\w*"
_PATH = rf"{_NAME}(?:\.{_NAME}|\[\s*(?:-?\d+|'[^'\\\n]*'|\"[^\"\\\n]*\")\s*\])*"
_PLACE = re.compile(rf"\\\{{\{{|\{{\{{[ \t]*({_PATH})[ \t]*\}}\}}")
# Somebody's template language in a prompt about templates: no variable can have these names.
_WORDS = frozenset((*keyword.kwlist, "true", "false", "none"))
HINT = r"\{{ is a literal {{, and --no-template fills nothing in"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Where names are looked up: a row's columns first (`row` is the row itself), then the notebook's variables.

    `place` names the row in errors, such as ``questions[3]``.
    """

    names: Mapping[str, Any]
    row: Mapping[str, Any] | None = None
    place: str = ""

    def has(self, name: str) -> bool:
        """Say whether a path may begin with the name."""
        return name in self.names or (self.row is not None and (name == "row" or name in self.row))

    def variables(self, name: str) -> dict[str, Any]:
        """Return the one variable that a path beginning with the name needs."""
        if self.row is not None and name in self.row:
            return {name: self.row[name]}
        if self.row is not None and name == "row":
            return {name: Row(self.row)}
        return {name: self.names[name]}

    def known(self) -> list[str]:
        """Return the names that a path may begin with, columns first."""
        return [*map(str, self.row or ()), *(n for n in self.names if not n.startswith("_"))]


class Row:
    """A row whose only attributes are its columns, so that ``{{row.count}}`` is the column and not a method."""

    __slots__ = ("_columns",)

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self._columns = columns

    def __getitem__(self, column: str) -> Any:
        return self._columns[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __str__(self) -> str:
        return str(dict(self._columns))


class Template:
    """A text with placeholders; calling it with a scope fills them in."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._compiled = {path: _compiled(path) for path in dict.fromkeys(placeholders(text))}

    def __call__(self, scope: Scope) -> str:
        """Return the text with every placeholder replaced by its value's text.

        Raises TemplateError for a name that is not there, a value that is missing (None, NaN) and one that is a function.
        """

        def filled(match: re.Match[str]) -> str:
            path = match.group(1)
            if path is None:
                return "{{"
            return match.group(0) if _reserved(path) else _text(path, self._compiled[path], scope)

        return _PLACE.sub(filled, self.text)


def placeholders(text: str) -> list[str]:
    """Return the paths in the text, in order.

    >>> placeholders("{{a.b}} and {{ d['k'] }}, not {x}, {{1}}, {{f(x)}} or {{else}}")
    ['a.b', "d['k']"]
    """
    return [m.group(1) for m in _PLACE.finditer(text) if m.group(1) is not None and not _reserved(m.group(1))]


def value_of(path: str, scope: Scope) -> Any:
    """Return the value at a path such as ``d['k'].x``; TemplateError with the nearest name when a step is not there."""
    return _evaluated(path, _compiled(path), scope, path)


def _compiled(path: str) -> Callable[..., Any]:
    # Imported here because a cell without placeholders does not need it, and loading the extension should be quick.
    from routelab.prompting.sandbox import environment

    expression: Callable[..., Any] = environment().compile_expression(path, undefined_to_none=False)
    return expression


def _text(path: str, expression: Callable[..., Any], scope: Scope) -> str:
    shown = "{{" + path + "}}"
    value = _evaluated(path, expression, scope, shown)
    where = f" in {scope.place}" if scope.place else ""
    # pandas' own markers are known by name: a notebook without pandas must not import it for this.
    if (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or type(value).__name__ in ("NAType", "NaTType")
    ):
        raise TemplateError(f"{shown} has no value{where}", hint="fill it in, or leave such rows out")
    if callable(value):
        head, _, step = path.rpartition(".")
        key = f"a key is written {{{{{head}['{step}']}}}}; " if head else ""
        raise TemplateError(f"{shown} is a function or a class{where}, not a text", hint=f"{key}{HINT}")
    return str(value)


def _evaluated(path: str, expression: Callable[..., Any], scope: Scope, shown: str) -> Any:
    from jinja2 import Undefined, UndefinedError

    root = _root(path)
    if not scope.has(root):
        raise _missing(shown, suggest(root, scope.known()), scope)
    variables = scope.variables(root)
    try:
        value = expression(variables)
    except UndefinedError:
        value = Undefined()
    if isinstance(value, Undefined):
        raise _missing(shown, _near_step(path, variables[root]), scope)
    return value


def _missing(shown: str, near: str | None, scope: Scope) -> TemplateError:
    columns = [] if scope.row is None else [f"columns: {_listed(scope.row)}"]
    braces = [HINT] if shown.startswith("{{") else []
    hint = "; ".join([*columns, *braces])
    return TemplateError(f"{shown} is not defined{'' if near is None else '; ' + near}", hint=hint or None)


def _near_step(path: str, value: Any) -> str | None:
    """Return "did you mean …" for the one attribute or key after the root, where that is what is missing."""
    step = path[len(_root(path)) :].lstrip(".").strip("[] '\"")
    names = (
        [str(k) for k in value]
        if isinstance(value, (Mapping, Row))
        else [n for n in dir(value) if not n.startswith("_")]
    )
    return suggest(step, names)


def _root(path: str) -> str:
    found = re.match(_NAME, path)
    assert found is not None
    return found.group(0)


def _reserved(path: str) -> bool:
    return _root(path) in _WORDS


def _listed(names: Iterable[Any]) -> str:
    shown = [str(n) for n in names]
    return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")
