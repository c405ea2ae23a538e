"""A list with a button a row: the widgets are made once, a page changes their values only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets

from routelab.panels.parts import button, html, put, row
from routelab.present import escape, note
from routelab.present.html import LEFT

STYLE = (
    "<style>.rl .cells{display:grid;column-gap:10px;align-items:start;padding:3px 0;"
    "border-bottom:1px solid var(--jp-border-color2,var(--vscode-panel-border,#8886))}"
    ".rl .cells>div{overflow-wrap:break-word;min-width:0}.rl .cells>.n{text-align:right;overflow-wrap:normal}"
    # The last text is the longest: two lines of it, however narrow the place is.
    ".rl .cells:not(.head)>div:last-child{display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:vertical;overflow:hidden}"
    ".rl .cells.head{font-weight:600;border-bottom-width:2px}</style>"
)


class Listing:
    """Rows of texts under a head, a page at a time; each row has a button that opens it.

    `widths` are the columns' CSS grid tracks, `numbers` the columns to align right; `turn(start)` is called when another page is
    wanted, `open(i)` with the place of the row on the page.
    """

    def __init__(
        self,
        head: Sequence[str],
        widths: Sequence[str],
        *,
        numbers: frozenset[int] = frozenset(),
        size: int = 20,
        turn: Callable[[int], None],
        open: Callable[[int], None],
    ) -> None:
        self.head, self.numbers, self.size = tuple(head), numbers, size
        self._tracks = " ".join(widths)
        self.start = self.total = 0
        self._head = html()
        put(self._head, STYLE + self._row(head, "cells head"))
        self._head.layout.margin = "0 0 0 34px"
        self._cells = [html() for _ in range(size)]
        self._buttons = [self._opener(i, open) for i in range(size)]
        for cell in self._cells:
            cell.layout.flex = "1 1 0"
            cell.layout.min_width = "0"
        self._rows = [
            ipywidgets.HBox([b, c], layout=ipywidgets.Layout(width="100%", align_items="flex-start", display="none"))
            for b, c in zip(self._buttons, self._cells, strict=True)
        ]
        self._empty = html()
        self.back = button("‹ newer", "the page before", style="")
        self.on = button("older ›", "the next page")
        self._where = html()
        self.back.on_click(lambda _: turn(max(0, self.start - size)))
        self.on.on_click(lambda _: turn(self.start + size))
        self._pages = row(self.back, self._where, self.on)
        self.widget = ipywidgets.VBox(
            [self._head, *self._rows, self._empty, self._pages], layout=ipywidgets.Layout(width="100%")
        )

    def _opener(self, i: int, open: Callable[[int], None]) -> ipywidgets.Button:
        opener = ipywidgets.Button(
            description="▸", tooltip="open this row", layout=ipywidgets.Layout(width="28px", margin="2px 6px 0 0")
        )
        opener.on_click(lambda _: open(i))
        return opener

    def _row(self, cells: Sequence[str], name: str = "cells") -> str:
        inner = "".join(
            f"<div{' class=n' if i in self.numbers else ' ' + LEFT}>{escape(cell, 500)}</div>"
            for i, cell in enumerate(cells)
        )
        return f'<div class="{name}" style="display:grid;grid-template-columns:{self._tracks}">{inner}</div>'

    def show(self, rows: Sequence[Sequence[str]], *, start: int, total: int, empty: str = "nothing here") -> None:
        """Show a page that begins with row `start` of `total`."""
        self.start, self.total = start, total
        for i, (box, cell) in enumerate(zip(self._rows, self._cells, strict=True)):
            if i < len(rows):
                put(cell, STYLE + self._row(rows[i]))
            box.layout.display = "flex" if i < len(rows) else "none"
        put(self._empty, "" if rows else note(empty))
        self._head.layout.display = "" if rows else "none"
        self._pages.layout.display = "flex" if total > self.size else "none"
        self.back.disabled, self.on.disabled = start == 0, start + len(rows) >= total
        put(self._where, note(f"{start + 1:,}–{start + len(rows):,} of {total:,}") if rows else "")

    def mark(self, which: int | None) -> None:
        """Mark the row that is open."""
        for i, opener in enumerate(self._buttons):
            opener.description = "▾" if i == which else "▸"
