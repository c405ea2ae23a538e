"""A page of a comparison: places for rows that are made once and filled again and again, and the same page as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ipywidgets

from routelab.core.values import Prompt
from routelab.lab.charts.look import Mark
from routelab.panels.cells import ANSWERED, ASKED, asked, excerpt, facts, marked, words
from routelab.panels.parts import button
from routelab.panels.ratings import Ratings
from routelab.panels.rows import Cell, Rows, Wish
from routelab.present import Table, escape, safe
from routelab.present.html import PLAIN, STYLE

TABLE = {"width": "100%", "min_width": "min-content"}
LINE = {"display": "flex", "flex_flow": "row wrap", "align_items": "flex-start", "width": "100%"}
BODY = {"flex": "1 1 0%", "width": "auto", "min_width": "0", "margin": "0"}
DOOR = {"width": "4.6em", "margin": "3px 8px 3px 0", "padding": "0", "flex": "0 0 auto"}
GAP = {"width": "4.6em", "margin": "0 8px 0 0", "flex": "0 0 auto"}
# A class for each number of arms: a style attribute is dropped by some front ends, and this one is needed to read the page.
_COLUMNS = "".join(
    f".rl-row{n}{{grid-template-columns:minmax(8.5em,1.1fr) repeat({n},minmax(9em,1fr))}}" for n in range(1, 9)
)
KEY = "✓ right, ✗ wrong or no answer, ◐ partly right, · not scored"
LOOK = (
    "<style>.rl.rl-row{display:grid;gap:0 14px;padding:4px 0;overflow:visible;overflow-wrap:anywhere}"
    ".rl-gone{display:none!important}"
    # Widgets are flex boxes, which grow with what is in them unless they are told not to.
    ".rl-panel .widget-html-content{min-width:0}"
    # What is opened stays within what is seen of the frame, however far its rows reach to the right.
    ".rl-frame{container-type:inline-size}.rl-open{position:sticky;left:0;max-width:100cqw}"
    ".rl-line{border-top:1px solid var(--jp-border-color2,var(--vscode-panel-border,#8886))}"
    ".rl.rl-row b{font-weight:600}.rl.rl-row mark{border-radius:2px;padding:0 1px}"
    ".rl .rl-score{font-weight:600;color:var(--jp-ui-font-color1,var(--vscode-editor-foreground,inherit))}"
    ".rl .rl-bad{color:var(--jp-error-color1,#d55e00)}.rl .rl-good{color:var(--jp-success-color1,#009e73)}"
    f"{_COLUMNS}</style>"
)


def cells(rows: Rows, here: Sequence[int], arms: Sequence[int]) -> list[list[Cell]]:
    """Return the answers of some arms to some prompts."""
    return [[rows.cell(i, k) for k in arms] for i in here]


def line(prompt: Prompt, answers: Sequence[Cell], ratings: Ratings, *, needle: str = "", tell: bool = True) -> str:
    """Return a row as HTML: the prompt's beginning, then of each answer its facts and its beginning."""
    task = f"<div class=m>{escape(prompt.task, 80)}</div>" if prompt.task else ""
    first = f"<div>{task}{marked(excerpt(asked(prompt), ASKED, needle), needle)}</div>"
    body = "".join(
        f"<div>{judged(cell, facts(cell, tell=tell, rating=ratings.of(cell.run_id)))}"
        f"{marked(excerpt(words(cell), ANSWERED, needle), needle)}</div>"
        for cell in answers
    )
    return f'<div class="rl rl-row rl-row{len(answers)} {PLAIN}">{first}{body}</div>'


def judged(cell: Cell, said: str) -> str:
    """Return the line of facts as HTML; the score stands out, by weight and by colour besides its sign."""
    score, _, rest = said.partition(" · ")
    bad = cell.error is not None or (cell.quality is not None and cell.quality < 1)
    kind = "bad" if bad else "good" if cell.quality is not None else "m"
    return f'<div class=m><span class="rl-score rl-{kind}">{escape(score)}</span> · {escape(rest)}</div>'


def table(rows: Rows, here: Sequence[int], wish: Wish, ratings: Ratings, *, where: str, tell: bool = True) -> Table:
    """Return the page as a table with shortened texts, for a saved notebook."""
    lines = []
    for i, answers in zip(here, cells(rows, here, wish.arms), strict=True):
        task = f"[{rows.prompts[i].task}] " if rows.prompts[i].task else ""
        said = [
            f"{facts(cell, tell=tell, rating=ratings.of(cell.run_id))}\n{excerpt(words(cell), ANSWERED, wish.needle)}"
            for cell in answers
        ]
        lines.append((f"{i + 1:,} · {task[:80]}{excerpt(asked(rows.prompts[i]), ASKED, wish.needle)}", *said))
    return Table(
        head=("prompt", *(rows.arms[k].name for k in wish.arms)),
        rows=lines,
        caption=f"{safe(wish.words, 400)} · {where}",
        notes=(KEY,),
    )


def frame(names: Names, slots: Sequence[Slot]) -> ipywidgets.Box:
    """Return the rows below their head; where they are wider than their place, they scroll in it."""
    inner = ipywidgets.VBox([names.widget, *(slot.widget for slot in slots)], layout=TABLE)
    outer = ipywidgets.Box([inner], layout={"width": "100%", "overflow": "auto"})
    outer.add_class("rl-frame")
    return outer


class Names:
    """The head of the page: the arms' names, each with the colour that it has in the charts."""

    def __init__(self) -> None:
        self.body = ipywidgets.HTML(layout=BODY)
        self.widget = ipywidgets.Box([ipywidgets.HTML(layout=GAP), self.body], layout=LINE)

    def show(self, names: Sequence[str], marks: Mapping[str, Mark]) -> None:
        """Show the names of the arms that the page has."""
        heads = "".join(
            f'<div><span style="color:{marks[name].colour}">■</span> <b>{escape(name, 120)}</b></div>' for name in names
        )
        key = f"<div class=m>{KEY}</div>"
        self.body.value = f'{STYLE}{LOOK}<div class="rl rl-row rl-row{len(names)} {PLAIN}">{key}{heads}</div>'


class Slot:
    """A place for a row: the button that opens it, its answers, and below them what is opened."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.at: int | None = None
        self.button = button("", "open the prompt: every arm's whole answer, why, what differs, and a rating")
        self.button.layout = ipywidgets.Layout(**DOOR)
        self.body = ipywidgets.HTML(layout=BODY)
        self.widget = ipywidgets.Box([self.button, self.body], layout=LINE)
        self.widget.add_class("rl-line")

    @property
    def is_open(self) -> bool:
        """Whether the row is open."""
        return len(self.widget.children) > 2

    def show(self, i: int, body: str) -> None:
        """Put a prompt into the place."""
        self.at = i
        self._door()
        if self.body.value != body:
            self.body.value = body
        self.widget.remove_class("rl-gone")

    def clear(self) -> None:
        """Leave the place empty."""
        self.at = None
        self.body.value = ""
        self.widget.add_class("rl-gone")

    def open(self, below: ipywidgets.Widget) -> None:
        """Show something below the row."""
        self.widget.children = (self.button, self.body, below)
        self._door()

    def close(self) -> None:
        """Show the row alone."""
        self.widget.children = (self.button, self.body)
        self._door()

    def _door(self) -> None:
        if self.at is not None:
            self.button.description = f"{'▾' if self.is_open else '▸'} {self.at + 1:,}"
