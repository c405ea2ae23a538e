"""What is different between two templates: line by line, and in lines that were changed word by word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from routelab.present import escape, framed
from routelab.prompting.template import Template, Turns

Kind = Literal["same", "gone", "new"]
ALIKE = 0.5
"""With half of the shorter one's words in common, two lines are one that was changed; else one went and one came."""
AROUND = 3
"""So many lines that are the same are shown around one that is not."""
LONGEST = 4_000
"""Two lines with more characters together are not compared by words: that takes the square of their length."""
AHEAD = 30
"""So many lines ahead a line is looked for that it became."""
_SIGNS = {"same": " ", "gone": "−", "new": "+"}
_TAGS = {"same": "", "gone": "del", "new": "ins"}
# A word; a character of a script without spaces; a run of spaces; any other character.
_ALONE = r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]"
_WORD = re.compile(rf"{_ALONE}|(?:(?!{_ALONE})\w)+")
_WORDS = re.compile(rf"{_WORD.pattern}|\s+|.")
_LOOK = (
    "<style>.rl ins{background:rgba(0,114,178,.22);text-decoration:underline;color:inherit}"
    ".rl del{background:rgba(213,94,0,.20);text-decoration:line-through;color:inherit}</style>"
)


@dataclass(frozen=True)
class Line:
    """A line of one of the texts or of both; its pieces say which words of it are the same in a line of the other kind."""

    kind: Kind
    pieces: tuple[tuple[Kind, str], ...]

    @property
    def text(self) -> str:
        """The line as it stands."""
        return "".join(text for _, text in self.pieces)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the templates ("system", "user", "example", ...) with its lines; None: the template has no such part."""

    name: str
    one: str | None
    two: str | None
    lines: tuple[Line, ...]

    @property
    def changed(self) -> bool:
        """Whether the part differs."""
        return self.one != self.two


@dataclass(frozen=True, kw_only=True, repr=False)
class Difference:
    """Two templates and what is different between them, as text (`repr`), as HTML, and as the output of a cell.

    >>> old, new = Template(name="a", version=1), Template(name="a", version=2, user="{{ question }} Be brief.")
    >>> diff(old, new)
    a@1 → a@2: +2 words
    user
      − {{ question }}
      + {{ question }} Be brief.
    """

    one: Template
    two: Template
    parts: tuple[Part, ...]

    @property
    def changed(self) -> bool:
        """Whether the templates say different things."""
        return any(part.changed for part in self.parts)

    @property
    def words(self) -> tuple[int, int]:
        """How many words came, and how many went."""
        return _counted(self.parts, "new"), _counted(self.parts, "gone")

    @property
    def title(self) -> str:
        """One line: which two, and how many words came and went."""
        new, gone = self.words
        moved = [f"+{new:,}" if new else "", f"−{gone:,}" if gone else ""]
        said = " ".join(filter(None, moved))
        count = f"{said} word{'s' if new + gone != 1 else ''}" if said else "other spaces or signs"
        return f"{self.one.reference} → {self.two.reference}: {count if self.changed else 'the same text'}"

    def __repr__(self) -> str:
        lines = [self.title]
        for part in self.parts:
            if part.changed:
                lines += [part.name, *(f"  {text}" for text in _shown(part, lambda line: line.text))]
        return "\n".join(lines)

    def html(self) -> str:
        """Return the difference as HTML to stand in a frame of ours: signs in front of lines, words in <ins> and <del>."""
        blocks = [f"<div><b>{escape(self.title)}</b></div>"]
        for part in self.parts:
            if part.changed:
                said = "\n".join(_shown(part, _marked))
                blocks.append(f'<div class="m">{escape(part.name)}</div><pre class="c"><code>{said}</code></pre>')
        return _LOOK + "".join(blocks)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": framed(self.html())}


def diff(one: Template, two: Template) -> Difference:
    """Return the difference from one template to another."""
    old, new = _texts(one), _texts(two)
    return Difference(
        one=one, two=two, parts=tuple(_part(name, old.get(name), new.get(name)) for name in dict.fromkeys([*old, *new]))
    )


def _texts(template: Template) -> dict[str, str]:
    """Return the texts of a template by the names of its parts, in the order in which they are shown."""
    example = template.example
    turns = example if isinstance(example, Turns) else None
    said = {
        "system": template.system,
        "user": template.user,
        "example": example if isinstance(example, str) else None,
        "example.user": turns.user if turns else None,
        "example.assistant": turns.assistant if turns else None,
        "reads": template.reads,
    }
    return {name: text for name, text in said.items() if text is not None}


def _part(name: str, one: str | None, two: str | None) -> Part:
    return Part(name=name, one=one, two=two, lines=tuple(_lines(_split(one), _split(two))))


def _split(text: str | None) -> list[str]:
    return [] if text is None else text.split("\n")


def _lines(one: Sequence[str], two: Sequence[str]) -> Iterator[Line]:
    for what, a, b, c, d in difflib.SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        if what == "equal":
            yield from (Line("same", (("same", text),)) for text in one[a:b])
        else:
            yield from _replaced(one[a:b], two[c:d])


def _replaced(old: Sequence[str], new: Sequence[str]) -> Iterator[Line]:
    """Yield lines that went and lines that came, those that are alike next to each other."""
    at = 0
    for text in old:
        near = next((j for j in range(at, min(at + AHEAD, len(new))) if _alike(text, new[j])), None)
        if near is None:
            yield Line("gone", (("gone", text),))
            continue
        yield from (Line("new", (("new", other),)) for other in new[at:near])
        yield from _changed(text, new[near])
        at = near + 1
    yield from (Line("new", (("new", other),)) for other in new[at:])


def _alike(one: str, two: str) -> bool:
    """Say that most words of the shorter line stand in the other one, in their order."""
    if len(one) + len(two) > LONGEST:
        return False
    old, new = (_WORD.findall(text) for text in (one, two))
    least = ALIKE * min(len(old), len(new))
    if not least:
        return False
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    if matcher.quick_ratio() * (len(old) + len(new)) / 2 < least:
        return False
    return sum(block.size for block in matcher.get_matching_blocks()) >= least


def _changed(one: str, two: str) -> tuple[Line, Line]:
    old, new = _WORDS.findall(one), _WORDS.findall(two)
    gone: list[tuple[Kind, str]] = []
    came: list[tuple[Kind, str]] = []
    for what, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            gone.append(("same", "".join(old[a:b])))
            came.append(("same", "".join(new[c:d])))
            continue
        if a < b:
            gone.append(("gone", "".join(old[a:b])))
        if c < d:
            came.append(("new", "".join(new[c:d])))
    return Line("gone", tuple(gone)), Line("new", tuple(came))


def _shown(part: Part, said: Callable[[Line], str]) -> Iterator[str]:
    """Yield the lines with their signs; runs of the same lines are told by their number."""
    near = {j for i, line in enumerate(part.lines) if line.kind != "same" for j in range(i - AROUND, i + AROUND + 1)}
    left_out = 0
    for i, line in enumerate(part.lines):
        if i not in near:
            left_out += 1
            continue
        if left_out:
            yield f"… {left_out:,} line{'s' if left_out > 1 else ''} the same"
            left_out = 0
        yield f"{_SIGNS[line.kind]} {said(line)}".rstrip()
    if left_out:
        yield f"… {left_out:,} line{'s' if left_out > 1 else ''} the same"


def _marked(line: Line) -> str:
    pieces = []
    for kind, text in line.pieces:
        told = escape(text, limit=len(text) + 1)
        tag = _TAGS[kind]
        pieces.append(f"<{tag}>{told}</{tag}>" if tag and text else told)
    return "".join(pieces)


def _counted(parts: Sequence[Part], kind: Kind) -> int:
    return sum(
        len(_WORD.findall(text)) for part in parts for line in part.lines for own, text in line.pieces if own == kind
    )
