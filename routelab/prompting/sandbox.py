"""Jinja as a template may use it: expressions, conditions and loops, in its sandbox, and within bounds.

What a template could use to take for ever or to fill the memory is either not there (macros, imports, `format`) or counted: turns of
loops, the length of texts. What is filled in is never read as a template.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateSyntaxError, Undefined, UndefinedError, nodes, pass_context
from jinja2 import Template as Compiled
from jinja2 import TemplateError as JinjaError
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from routelab.core.errors import TemplateError, suggest

MOST_SOURCE = 200_000
MOST_CHARS = 10_000_000
"""More than any model's window holds."""
MOST_TURNS = 100_000
MOST_RANGE = 10_000
MOST_INDENT = 100
_MOST_BITS = 4_096
_FILTERS = (
    *(
        "abs",
        "capitalize",
        "count",
        "d",
        "default",
        "dictsort",
        "first",
        "float",
        "int",
        "items",
        "last",
        "length",
        "list",
    ),
    *("lower", "map", "max", "min", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "string", "sum"),
    *("title", "trim", "truncate", "unique", "upper", "wordcount"),
)
_METHODS = (
    *("strip", "lstrip", "rstrip", "removeprefix", "removesuffix", "lower", "upper", "title", "capitalize", "casefold"),
    *(
        "split",
        "splitlines",
        "startswith",
        "endswith",
        "count",
        "find",
        "isdigit",
        "isalpha",
        "get",
        "items",
        "keys",
        "values",
    ),
    *("cycle", "changed"),
)
_STATEMENTS = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.With)
_REFUSED_EXPRESSIONS = (nodes.Helper, nodes.NSRef, nodes.MarkSafe, nodes.MarkSafeIfAutoescape)
_JINJAS = ("self", "caller", "varargs", "kwargs")
_OFTEN = "__turns__"
_GONE = re.compile(r"'(?P<kind>[^']*)' has no attribute '(?P<name>.*)'\Z|'(?P<alone>[^']*)' is undefined\Z", re.DOTALL)
_RAISED = (JinjaError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What an expression can raise; anything else is a bug of ours."""


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the sandbox: immutable, strict about what is undefined, without a loader, with bounded operators and filters."""
    made = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        optimized=False,
        finalize=_shown,
    )
    own: Mapping[str, Callable[..., Any]] = {
        "join": _joined,
        "replace": _replaced,
        "indent": _indented,
        "round": _rounded,
        "tojson": _json,
        "counted": _counted,
        "bounded": _bounded,
    }
    made.filters = {**{name: made.filters[name] for name in _FILTERS}, **own}
    made.globals = {"range": _range}
    # Jinja calls these in place of the operators, so that "a" * 10 ** 9 never comes to be.
    made.intercepted_binops = frozenset(("+", "-", "*", "**", "%"))
    made.binop_table = {**made.binop_table, "+": _sum, "*": _product, "**": _power, "%": _rest}
    return made


@dataclass(frozen=True)
class Text:
    """A template's text, compiled; `names` are the variables that it mentions."""

    source: str
    names: frozenset[str]
    compiled: Compiled

    def __call__(self, place: str, **variables: Any) -> str:
        """Return the text filled in; TemplateError begins with the place and the line."""
        pieces: list[str] = []
        length = 0
        try:
            for piece in self.compiled.generate({**variables, _OFTEN: iter(range(MOST_TURNS))}):
                length += len(piece)
                if length > MOST_CHARS:
                    raise TooMuch(f"it becomes longer than {MOST_CHARS:,} characters")
                pieces.append(piece)
        except _RAISED as trouble:
            line = _line(trouble.__traceback__, self.compiled)
            raise TemplateError(f"{place}, line {line}: {_told(trouble, variables)}") from None
        text = "".join(pieces)
        # The line end before a last {% endif %} is nobody's.
        return text.rstrip("\n") if self.source.endswith("%}") else text


class TooMuch(ValueError):
    """A template passes a bound."""


@lru_cache(maxsize=512)
def text_of(source: str, variables: frozenset[str]) -> Text:
    """Return the compiled text; ValueError, which begins with the line, for what is no template or uses other variables.

    >>> text_of("Hello {{ qestion }}", frozenset({"question"}))
    Traceback (most recent call last):
    ValueError: line 1: {{ qestion }} is not defined; did you mean 'question'?
    """
    if len(source) > MOST_SOURCE:
        raise ValueError(f"line 1: is longer than {MOST_SOURCE:,} characters")
    made = environment()
    try:
        tree = made.parse(source)
    except TemplateSyntaxError as trouble:
        raise ValueError(f"line {trouble.lineno}: {_sentence(trouble.message)}") from None
    except RecursionError:
        raise ValueError("line 1: is nested too deeply") from None
    _allow(tree)
    names = find_undeclared_variables(tree)
    for node in tree.find_all(nodes.Name):
        unknown = node.name in names and node.name not in variables and node.name not in made.globals
        if unknown or node.name in _JINJAS:
            near = suggest(node.name, variables)
            known = near or f"variables here: {', '.join(sorted(variables))}"
            raise ValueError(f"line {node.lineno}: {{{{ {node.name} }}}} is not defined; {known}")
    _bind(tree)
    try:
        code = made.compile(tree)
    except (TemplateSyntaxError, RecursionError) as trouble:
        line = trouble.lineno if isinstance(trouble, TemplateSyntaxError) else 1
        raise ValueError(f"line {line}: {_sentence(str(trouble))}") from None
    compiled = Compiled.from_code(made, code, made.globals)
    return Text(source=source, names=frozenset(names & variables), compiled=compiled)


def _allow(tree: nodes.Template) -> None:
    for node in _nodes(tree):
        if isinstance(node, nodes.Stmt | nodes.Template) and not isinstance(node, _STATEMENTS):
            raise ValueError(
                f"line {node.lineno}: {{% {_word(node)} %}} is not for prompts; there are if, for, set and with"
            )
        if isinstance(node, nodes.For) and node.recursive:
            raise ValueError(f"line {node.lineno}: a loop may not be recursive")
        if isinstance(node, _REFUSED_EXPRESSIONS) and not isinstance(node, nodes.Operand | nodes.Pair | nodes.Keyword):
            raise ValueError(f"line {node.lineno}: {type(node).__name__.lower()} is not for prompts")
        if isinstance(node, nodes.Call):
            _allow_call(node)
        if isinstance(node, nodes.Filter) and node.name not in _known():
            near = suggest(node.name, _known())
            raise ValueError(
                f"line {node.lineno}: there is no filter '{node.name}'; {near or 'filters: ' + ', '.join(_known())}"
            )
        if isinstance(node, nodes.Test) and node.name not in environment().tests:
            near = suggest(node.name, environment().tests)
            raise ValueError(f"line {node.lineno}: there is no test '{node.name}'{'; ' + near if near else ''}")


def _known() -> list[str]:
    return sorted(set(environment().filters) - {"counted", "bounded"})


def _allow_call(node: nodes.Call) -> None:
    asked = node.node
    if isinstance(asked, nodes.Name) and asked.name == "range":
        return
    if isinstance(asked, nodes.Getattr) and asked.attr in _METHODS:
        return
    name = asked.attr if isinstance(asked, nodes.Getattr) else asked.name if isinstance(asked, nodes.Name) else "this"
    near = suggest(name, _METHODS) or f"methods: {', '.join(_METHODS)}"
    raise ValueError(f"line {node.lineno}: {name}() cannot be called; {near}")


def _bind(tree: nodes.Template) -> None:
    """Count the turns of every loop, and bound every joined text."""
    for loop in list(tree.find_all(nodes.For)):
        assert isinstance(loop.iter, nodes.Expr)
        loop.iter = _filtered(loop.iter, "counted")
    _wrap(tree)


def _wrap(node: nodes.Node) -> None:
    for field, value in node.iter_fields():
        if isinstance(value, list):
            setattr(node, field, [_wrapped(v) if isinstance(v, nodes.Node) else v for v in value])
        elif isinstance(value, nodes.Node):
            setattr(node, field, _wrapped(value))


def _wrapped(node: nodes.Node) -> nodes.Node:
    _wrap(node)
    return _filtered(node, "bounded") if isinstance(node, nodes.Concat) else node


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    made = nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
    made.set_environment(environment())
    return made


def _nodes(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _nodes(child)


def _word(node: nodes.Node) -> str:
    words = {"CallBlock": "call", "FilterBlock": "filter", "FromImport": "from", "AssignBlock": "set … endset"}
    name = type(node).__name__
    return words.get(name, name.lower())


# Filters and operators with bounds


@pass_context
def _counted(context: Context, items: Any) -> Iterator[Any]:
    left: Iterator[int] = context[_OFTEN]
    for item in items:
        if next(left, None) is None:
            raise TooMuch(f"its loops take more than {MOST_TURNS:,} turns")
        yield item


def _bounded(value: Any) -> Any:
    if isinstance(value, (str, list, tuple)) and len(value) > MOST_CHARS:
        raise TooMuch(f"a text becomes longer than {MOST_CHARS:,} characters")
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise TooMuch("a number becomes too large")
    return value


def _range(*ends: int) -> range:
    made = range(*ends)
    if len(made) > MOST_RANGE:
        raise TooMuch(f"range() gives more than {MOST_RANGE:,} numbers")
    return made


def _sum(left: Any, right: Any) -> Any:
    return _bounded(operator.add(left, right))


def _product(left: Any, right: Any) -> Any:
    for many, times in ((left, right), (right, left)):
        if isinstance(many, (str, list, tuple)) and isinstance(times, int) and len(many) * times > MOST_CHARS:
            raise TooMuch(f"a text becomes longer than {MOST_CHARS:,} characters")
    return _bounded(operator.mul(left, right))


def _power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > _MOST_BITS:
        raise TooMuch("a number becomes too large")
    return operator.pow(left, right)


def _rest(left: Any, right: Any) -> Any:
    if isinstance(left, str):
        raise TypeError("% formats no texts here; ~ joins them")
    return operator.mod(left, right)


def _joined(items: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    parts: list[str] = []
    length = 0
    for item in items:
        value = item if attribute is None else environment().getitem(item, attribute)
        parts.append(str(value))
        length += len(parts[-1]) + len(separator)
        if length > MOST_CHARS:
            raise TooMuch(f"a text becomes longer than {MOST_CHARS:,} characters")
    return separator.join(parts)


def _replaced(value: Any, old: str, new: str, count: int = -1) -> str:
    text = str(value)
    times = text.count(old) if count < 0 else min(count, text.count(old))
    if len(text) + times * len(new) > MOST_CHARS:
        raise TooMuch(f"a text becomes longer than {MOST_CHARS:,} characters")
    return text.replace(old, new, count)


def _indented(value: Any, width: int = 4, first: bool = False) -> str:
    if not 0 <= width <= MOST_INDENT:
        raise TooMuch(f"indent() goes from 0 to {MOST_INDENT}")
    pad, lines = " " * width, str(value).split("\n")
    rest = [pad + line if line else line for line in lines[1:]]
    return _bounded("\n".join([pad + lines[0] if first else lines[0], *rest]))  # type: ignore[no-any-return]


def _rounded(value: float, digits: int = 0) -> float:
    return round(float(value), max(-300, min(digits, 300)))


def _json(value: Any, indent: int | None = None) -> str:
    # Jinja's own writes \u003c for "<", which a web page needs and a model does not.
    if isinstance(value, Undefined):
        str(value)
    width = None if indent is None else max(0, min(indent, MOST_INDENT))
    return json.dumps(_plain(value), ensure_ascii=False, indent=width)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def _shown(value: Any) -> Any:
    if value is None:
        raise ValueError("a value that is not there would be written; ask first: {% if … %}")
    if callable(value) and not isinstance(value, Undefined):
        raise TypeError("a method would be written in place of a text; a key is written tags['items']")
    return value


# What went wrong, and where


def _line(trace: TracebackType | None, compiled: Compiled) -> int:
    line = 1
    while trace is not None:
        # Jinja puts frames into the traceback that stand for the template's lines.
        if trace.tb_frame.f_code.co_filename == (compiled.filename or "<template>"):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _told(trouble: BaseException, variables: Mapping[str, Any]) -> str:
    if isinstance(trouble, RecursionError):
        return "is nested too deeply"
    gone = _GONE.match(str(trouble)) if isinstance(trouble, UndefinedError) else None
    if gone is None:
        return _sentence(str(trouble))
    if gone["alone"] is not None:
        return f"{{{{ {gone['alone']} }}}} has no value here"
    inner = [str(k) for value in variables.values() if isinstance(value, Mapping) for k in value]
    near = suggest(gone["name"], inner)
    return f"there is no '{gone['name']}'; {near or 'ask first: {% if … is defined %}'}"


def _sentence(text: str | None) -> str:
    said = (text or "cannot be read").strip().rstrip(".")
    return said[:1].lower() + said[1:] if said[1:2].islower() else said
