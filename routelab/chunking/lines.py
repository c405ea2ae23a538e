"""The lines of a program: which of them a chunk had best end before. Python by its syntax tree, everything else by its layout."""

from __future__ import annotations

import ast
import re
import threading
import warnings
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from routelab.core.errors import suggest

PARSED = 1_000_000
"""Characters up to which a text is parsed as Python: a syntax tree takes some hundred bytes for each of them."""
TAB = 4
GOES_ON = 1_000
"""Added to the rank of a line that goes on: any other is better."""
PARSES = 5
# CPython counts the depth of its trees, and keeps its filters of warnings, once for all threads: two at a time make
# ast.parse raise "SystemError: AST constructor recursion depth mismatch" (seen in 3.11.7).
_PARSING = threading.Lock()
LANGUAGES = ("auto", "python", "other")

_MARGIN = re.compile(r"\n(?=[^\s)\]}])")
_GOES_ON = re.compile(
    r"(?:[)\]}]|(?:else|elif|elsif|except|catch|finally|rescue|ensure|end|fi|done|esac|then|do|and|or)\b|\.[A-Za-z_])"
)
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|//.*|#.*|--.*")
_AHEAD = 256
_BLANKS = re.compile(r"[ \t]{0,200}")
_LINE = re.compile(r"\r\n?|\n")


def check_language(language: str) -> None:
    """Raise ValueError for a language that is not known."""
    if language not in LANGUAGES:
        near = suggest(language, LANGUAGES)
        raise ValueError(f"language: must be {', '.join(LANGUAGES)}, not {language!r}{'; ' + near if near else ''}")


def outermost(text: str, low: int, high: int) -> int:
    """Return the beginning of the line in (low, high] at which most begins, by layout; -1 where no line begins.

    That is the last line after a blank one that is indented least; else the last that begins at the margin; else the one
    with the least indentation and open brackets. Lines that go on (`}`, `else`, `.then(`) come last.
    """
    best, width = _after_blank(text, low, high)
    if width == 0:
        return best
    margin = -1
    # One character more, since what begins at `high` is seen by what follows.
    for found in _MARGIN.finditer(text, low, high + 1):
        if found.end() <= high and _GOES_ON.match(text, found.end()) is None:
            margin = found.end()
    # Where nothing at all is indented, brackets tell more than the margin.
    if margin > low and not (best < 0 and _flat(text, low, high)):
        return margin
    return best if best >= 0 else _ranked(text, low, high)


def goes_on(text: str, at: int) -> bool:
    """Return whether the line at an offset goes on with what stands before it: `}`, `else`, `.then(`."""
    return _GOES_ON.match(text, at + _indented(text, at)) is not None


def _after_blank(text: str, low: int, high: int) -> tuple[int, int]:
    """Return the least indented line after a blank one in (low, high], the last of them, and its indentation."""
    best, least = -1, 1 << 30
    end = high
    while (at := text.rfind("\n\n", low, end)) >= 0:
        begin = at + 2
        end = at + 1
        while text[begin : begin + 1] == "\n":
            begin += 1
        if begin > high:
            continue
        width = _indented(text, begin)
        if width < least and _GOES_ON.match(text, begin + width) is None:
            best, least = begin, width
            if width == 0:
                break
    return best, least


def _indented(text: str, at: int) -> int:
    if text[at : at + 1] not in (" ", "\t"):  # most are not, and asking is half of what matching costs
        return 0
    return len(_BLANKS.match(text, at)[0])  # type: ignore[index]


def _flat(text: str, low: int, high: int) -> bool:
    """Return whether nothing is indented, so that brackets have to tell what is nested."""
    part = text[low:high]
    return "\n " not in part and "\n\t" not in part and any(b in part for b in "({[")


def _ranked(text: str, low: int, high: int) -> int:
    """Return the line in (low, high] with the least rank, the last of equals."""
    best, least, depth = -1, 1 << 30, 0
    at, flat = low, _flat(text, low, high)
    # More than the part itself, since what begins at `high` is seen by what follows.
    for line in text[low : high + _AHEAD].split("\n"):
        if at > high:
            break
        body = line.lstrip(" \t")
        if at > low and body and body[0] != "\r":  # a blank line goes with what stands before it
            blanks = line[: len(line) - len(body)]
            width = len(blanks.expandtabs(TAB)) if "\t" in blanks else len(blanks)
            rank = max(depth, -(-width // TAB))
            if rank <= least and _GOES_ON.match(body) is not None:
                rank += GOES_ON
            if rank <= least:
                best, least = at, rank
        depth += _opened(line) if flat else 0
        at += len(line) + 1
    return best


def _opened(line: str) -> int:
    line = _QUOTED.sub("", line) if len(line) < 2_000 and ("'" in line or '"' in line or "`" in line) else line
    return sum(line.count(b) for b in "([{") - sum(line.count(b) for b in ")]}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Statements:
    """The lines of a Python program on which a statement begins: offsets in order, a rank and the names around for each.

    The smaller the rank, the better a chunk ends before the line: by nesting, definitions before others.
    """

    at: Sequence[int]
    ranks: Sequence[int]
    names: Sequence[tuple[str, ...]]

    def best(self, low: int, high: int) -> int:
        """Return the line in (low, high] with the least rank, the last of equals, or -1."""
        first, last = bisect_right(self.at, low), bisect_right(self.at, high)
        if first == last:
            return -1
        least = min(self.ranks[first:last])
        return next(self.at[i] for i in range(last - 1, first - 1, -1) if self.ranks[i] == least)

    def around(self, at: int) -> tuple[str, ...]:
        """Return the names of the classes and functions around an offset, the outermost first."""
        found = bisect_right(self.at, at) - 1
        return self.names[found] if found >= 0 else ()


def python(text: str) -> Statements | None:
    """Return the statements of a Python program; None for what does not parse, is a single statement, or too long."""
    if len(text) > PARSED:
        return None
    try:
        with _PARSING, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes and the like: it is not our program
            tree = _parsed(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(tree.body) < 2:
        return None
    starts = [0, *(found.end() for found in _LINE.finditer(text))]
    found: dict[int, tuple[int, tuple[str, ...]]] = {}
    todo: list[tuple[ast.AST, int, tuple[str, ...]]] = [(node, 0, ()) for node in reversed(tree.body)]
    while todo:
        node, depth, names = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names = (*names, node.name)
        if isinstance(node, ast.stmt):
            _note(text, starts, node, depth, names, found)
        todo.extend((inner, depth + 1, names) for inner in _inner(node))
    at = sorted(found)
    return Statements(at=at, ranks=[found[i][0] for i in at], names=[found[i][1] for i in at])


def _parsed(text: str) -> ast.Module:
    for _ in range(PARSES - 1):
        try:
            return ast.parse(text)
        except SystemError:  # another library parsed on another thread just now
            continue
    return ast.parse(text)


def _inner(node: ast.AST) -> list[ast.AST]:
    """Return what is nested in a statement, last first; expressions hold no statements."""
    parts = (getattr(node, name, ()) for name in ("finalbody", "orelse", "handlers", "cases", "body"))
    return [inner for part in parts if isinstance(part, list) for inner in reversed(part)]


def _note(
    text: str,
    starts: list[int],
    node: ast.stmt,
    depth: int,
    names: tuple[str, ...],
    found: dict[int, tuple[int, tuple[str, ...]]],
) -> None:
    defines = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    row = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))]) - 1
    # A comment right above belongs to what it is about.
    while row > 0 and text[starts[row - 1] : starts[row]].lstrip()[:1] == "#" and starts[row - 1] not in found:
        row -= 1
    blank = row > 0 and text[starts[row - 1] : starts[row]].isspace()
    # Of several statements on a line the first, outermost one counts.
    found.setdefault(starts[row], (4 * depth + (0 if defines else 1 if blank else 2), names))
