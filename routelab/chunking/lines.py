"""The lines of a program, ranked: how much begins there. Python by its syntax tree, everything else by how it is laid out."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from routelab.core.errors import suggest

PARSED = 1_000_000
"""Characters up to which a text is parsed as Python: a syntax tree takes some hundred bytes for each of them."""
TAB = 4
INSIDE = 1_000
"""Added to the rank of a line on which no statement begins."""
LANGUAGES = ("auto", "python", "other")

_LINE = re.compile(r"\r\n?|\n")
_GOES_ON = re.compile(
    r"(?:[)\]}]|(?:else|elif|elsif|except|catch|finally|rescue|ensure|end|fi|done|esac|then|do|and|or)\b|\.[A-Za-z_])"
)
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|//.*|#.*|--.*")
Names: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """Where a line begins, its rank (the smaller, the better a chunk ends before it), and the names around it."""

    at: int
    rank: int
    names: Names = ()


def check_language(language: str) -> None:
    """Raise ValueError for a language that is not known."""
    if language not in LANGUAGES:
        near = suggest(language, LANGUAGES)
        raise ValueError(f"language: must be {', '.join(LANGUAGES)}, not {language!r}{'; ' + near if near else ''}")


def ranked(text: str, language: str = "auto") -> Iterator[Line]:
    """Yield the lines from the second on.

    Of what parses as Python (and is no longer than `PARSED`), statements rank by how deep they are nested, definitions
    before others, comments with what they stand above. Other lines rank by indentation and open brackets, after a blank
    line first, lines that go on (`}`, `else`, `.then(`) last.
    """
    plain = laid_out(text)
    statements = python(text) if language != "other" and len(text) <= PARSED else None
    if statements is None:
        yield from plain
        return
    names: Names = ()
    for line in plain:
        found = statements.get(line.at)
        if found is None:
            yield Line(at=line.at, rank=INSIDE + line.rank, names=names)
        else:
            names = found.names
            yield found


def laid_out(text: str) -> Iterator[Line]:
    """Yield the lines from the second on, ranked by indentation, brackets and blank lines."""
    depth, blank = 0, False
    start = 0
    for found in _LINE.finditer(text):
        content = text[start : found.start()]
        bare = content.lstrip()
        if start and bare:
            width = len(content[: len(content) - len(bare)].expandtabs(TAB))
            goes_on = _GOES_ON.match(bare) is not None
            if width == 0 and blank and not goes_on:
                depth = 0  # whatever a string or a comment made of the count
            yield Line(at=start, rank=4 * max(depth, -(-width // TAB)) + 2 * goes_on + (not blank))
        depth = max(0, depth + _opened(bare))
        blank = not bare
        start = found.end()
    if 0 < start < len(text) and (bare := text[start:].lstrip()):
        width = len(text) - start - len(bare)
        yield Line(at=start, rank=4 * max(depth, -(-width // TAB)) + (not blank))


def _opened(line: str) -> int:
    if not any(bracket in line for bracket in "()[]{}"):
        return 0
    line = _QUOTED.sub("", line) if len(line) < 2_000 else line
    return sum(line.count(b) for b in "([{") - sum(line.count(b) for b in ")]}")


def python(text: str) -> dict[int, Line] | None:
    """Return the lines on which a statement begins, by offset; None for what is not a Python program of two statements."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes and the like: it is not our program
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(tree.body) < 2:
        return None
    starts = [0, *(found.end() for found in _LINE.finditer(text))]
    found: dict[int, Line] = {}
    todo: list[tuple[ast.AST, int, Names]] = [(node, 0, ()) for node in reversed(tree.body)]
    while todo:
        node, depth, names = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names = (*names, node.name)
        if isinstance(node, ast.stmt):
            _note(text, starts, node, depth, names, found)
            depth += 1
        inner = (n for n in ast.iter_child_nodes(node) if isinstance(n, (ast.stmt, ast.ExceptHandler, ast.match_case)))
        todo.extend((n, depth, names) for n in reversed(list(inner)))
    return found


def _note(text: str, starts: list[int], node: ast.stmt, depth: int, names: Names, found: dict[int, Line]) -> None:
    defines = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    decorators = getattr(node, "decorator_list", [])
    row = min([node.lineno, *(d.lineno for d in decorators)]) - 1
    # A comment right above belongs to what it is about.
    while row > 0 and text[starts[row - 1] : starts[row]].lstrip()[:1] == "#" and starts[row - 1] not in found:
        row -= 1
    blank = row > 0 and not text[starts[row - 1] : starts[row]].strip()
    line = Line(at=starts[row], rank=4 * depth + (0 if defines else 1 if blank else 2), names=names)
    # Of several statements on a line the first, outermost one counts.
    found.setdefault(line.at, line)
