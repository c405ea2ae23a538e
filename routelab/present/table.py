"""A table as data, with its two faces: aligned text and plain HTML."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from routelab.present.html import LEFT, PLAIN, escape, framed, note, safe


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of texts under a head; `numbers` are the columns to align right; `notes` go below."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()
    caption: str = ""
    notes: Sequence[str] = ()

    def text(self, *, width: int = 48) -> str:
        """Return aligned text; cells wider than `width` are cut with an ellipsis."""
        cells = [[_cut(safe(c).replace("\n", " "), width) for c in row] for row in (self.head, *self.rows)]
        widths = [max(_wide(row[i]) for row in cells) for i in range(len(self.head))]
        lines = ["  ".join(self._pad(row[i], widths[i], i) for i in range(len(widths))).rstrip() for row in cells]
        lines.insert(1, "  ".join("─" * w for w in widths))
        return "\n".join([*([safe(self.caption)] if self.caption else []), *lines, *(safe(n) for n in self.notes)])

    def _pad(self, cell: str, width: int, column: int) -> str:
        space = " " * (width - _wide(cell))
        return space + cell if column in self.numbers else cell + space

    def html(self) -> str:
        """Return an HTML table; everything in it is escaped."""

        def cells(row: Sequence[str], tag: str) -> str:
            return "".join(
                f"<{tag} {'class=n align=right' if i in self.numbers else LEFT}>{_broken(escape(c, 2000))}</{tag}>"
                for i, c in enumerate(row)
            )

        body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in self.rows)
        caption = note(self.caption) if self.caption else ""
        notes = "".join(note(n) for n in self.notes)
        head = cells(self.head, "th")
        return f'{caption}<table class="{PLAIN}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}'

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return bundle(self)


def bundle(*parts: Table | str) -> dict[str, str]:
    """Return the MIME bundle of tables and plain lines, one below the other: text/plain and text/html."""
    text = "\n".join(p.text() if isinstance(p, Table) else safe(p) for p in parts)
    body = "".join(p.html() if isinstance(p, Table) else f"<div>{escape(p)}</div>" for p in parts)
    return {"text/plain": text, "text/html": framed(body)}


def _broken(html: str) -> str:
    # HTML folds line breaks; the only ones in escaped text are those of the text.
    return html.replace("\n", "<br>")


def _wide(text: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
