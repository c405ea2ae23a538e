"""One prompt of a comparison, opened: all of what was asked and answered, why, what differs, and what people say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ipywidgets

from routelab.core.errors import RoutelabError
from routelab.core.plan import NOBODY
from routelab.lab.charts.look import Mark
from routelab.lab.compare import Arm
from routelab.lab.replay import planned
from routelab.panels.cells import conversation, facts, whole, words
from routelab.panels.difference import difference
from routelab.panels.page import judged
from routelab.panels.parts import ROW, Guard, button, column, html, put
from routelab.panels.ratings import DOWN, UP, Ratings
from routelab.panels.rows import Cell, Rows
from routelab.present import Table, escape, note, safe

CARD = {"flex": "1 1 20em", "min_width": "0", "max_width": "100%"}
CARDS = {"display": "flex", "flex_flow": "row wrap", "align_items": "stretch", "grid_gap": "8px 18px", "width": "100%"}
FRAME = {
    "width": "100%",
    "padding": "2px 0 4px 14px",
    "margin": "0 0 14px 0",
    "border_left": "3px solid var(--jp-border-color1, #8888)",
}
SAVED = 1_500
"""Characters of each text of an opened prompt that a saved notebook keeps."""
STYLE = (
    "<style>.rl .rl-whole{max-height:30em;overflow-y:auto;overflow-wrap:anywhere;margin-bottom:6px}"
    ".rl .rl-whole pre:first-child{padding-top:0;margin-top:0}</style>"
)


def reason(rows: Rows, i: int, k: int) -> str:
    """Return why an arm of a replay asks whom it asks about a prompt: its plan, made again for this prompt alone."""
    arm: Arm = rows.arms[k].arm
    if i in arm.errors:
        return f"the default decided, because the strategy could not: {arm.errors[i]}"
    if isinstance(arm.config, str):
        return f"always {arm.config}"
    outcomes = rows.comparison.outcomes
    if outcomes is None or arm.config is None:
        return "not known"
    try:
        plan = planned(arm.config, [rows.prompts[i]], outcomes.roster)
    except RoutelabError as trouble:
        return f"not known: {trouble.message}"
    order = [outcomes.models[int(m)] for m in plan.order[0] if m != NOBODY]
    walked = arm.walked
    parts = [f"asks {' → '.join(order) or 'nobody'}: {plan.why(0)}"]
    if walked.attempts[i] > 1:
        parts.append(f"{walked.attempts[i]} models asked, {walked.escalations[i]} times because a gate refused")
    return "; ".join(parts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Card:
    """The widgets of one arm's answer."""

    head: ipywidgets.HTML
    body: ipywidgets.HTML
    up: ipywidgets.Button
    down: ipywidgets.Button
    note: ipywidgets.Text
    said: ipywidgets.HTML
    widget: ipywidgets.VBox


class Opened:
    """The place of an opened prompt; its widgets are made once and show one prompt after the other."""

    def __init__(
        self, rows: Rows, ratings: Ratings, guard: Guard, marks: Mapping[str, Mark], rated: Callable[[], None]
    ) -> None:
        self.rows, self.ratings = rows, ratings
        self._guard, self._marks, self._rated = guard, marks, rated
        self.at: int | None = None
        self.arms: tuple[int, ...] = ()
        self.cells: dict[int, Cell] = {}
        self._filling = False
        self.cards: list[Card] = []
        self.prompt = html()
        self.first, self.second = self._arms("differences from"), self._arms("to")
        self.difference = html()
        self._box = ipywidgets.Box(layout=CARDS)
        self._compare = column(ipywidgets.Box([self.first, self.second], layout=ROW), self.difference)
        self.widget = ipywidgets.VBox([self.prompt, self._box, self._compare], layout=FRAME)
        self.widget.add_class("rl-open")

    def show(self, i: int, arms: tuple[int, ...]) -> None:
        """Show a prompt with the answers of some arms; `tell` adds what takes longer to find out."""
        self.at, self.arms = i, arms
        self.cells = {k: self.rows.cell(i, k) for k in arms}
        while len(self.cards) < len(arms):
            self.cards.append(self._card(len(self.cards)))
        prompt = self.rows.prompts[i]
        task = f" · {prompt.task}" if prompt.task else ""
        put(
            self.prompt,
            f'{STYLE}<div class="m">prompt {i + 1:,} · {escape(prompt.id, 120)}{escape(task, 120)}</div>'
            f'<div class="rl-whole">{conversation(prompt)}</div>',
        )
        for card, k in zip(self.cards, arms, strict=False):
            self._fill(card, k)
        self._box.children = [card.widget for card in self.cards[: len(arms)]]
        self._filling = True
        names = [(short(self.rows.arms[k].name), k) for k in arms]
        for menu, at in ((self.first, 0), (self.second, min(1, len(arms) - 1))):
            menu.options = names
            menu.value = arms[at]
        self._filling = False
        self._compare.layout.display = "" if len(arms) > 1 else "none"
        self._diff()

    def close(self) -> None:
        """Show nothing."""
        self.at, self.cells = None, {}

    def table(self) -> Table | None:
        """Return what is open as a table, for a saved notebook; None where nothing is."""
        if self.at is None:
            return None
        said = [(self.rows.arms[k].name, facts(cell), words(cell)[:SAVED]) for k, cell in self.cells.items()]
        return Table(
            head=("arm", "facts", "answer"),
            rows=[("", "asked", self.rows.prompts[self.at].text[:SAVED]), *said],
            caption=f"prompt {self.at + 1:,}, the first {SAVED:,} characters of each text",
        )

    def run_ids(self) -> list[str]:
        """Return the runs of the answers shown."""
        return [cell.run_id for cell in self.cells.values() if cell.run_id is not None]

    def tell(self, i: int, why: Mapping[int, str]) -> None:
        """Add why the arms of a replay decided as they did, and whether runs can be rated, if the prompt is still open."""
        if i != self.at:
            return
        for card, k in zip(self.cards, self.arms, strict=False):
            self._answer(card, k, why.get(k))
            self._opinion(card, k, fresh=not card.note.value)

    def _fill(self, card: Card, k: int) -> None:
        item, cell = self.rows.arms[k], self.cells[k]
        colour = self._marks[item.name].colour
        swatch = f'<span style="color:{colour}">■</span>'
        put(card.head, f"<div>{swatch} <b>{escape(item.name, 120)}</b></div>" + judged(cell, facts(cell)))
        self._answer(card, k, None)
        self._opinion(card, k, fresh=True)

    def _answer(self, card: Card, k: int, why: str | None) -> None:
        cell, at = self.cells[k], self.at
        assert at is not None
        said = whole(words(cell)) if cell.text is not None and cell.text.strip() else note(words(cell))
        answer = self.rows.answer(at, k)
        if answer is not None:
            trace = answer.trace().html()
            more = f"<details><summary>why: {escape(answer.why, 400)}</summary>{trace}</details>"
        else:
            more = note(f"why: {'…' if why is None else why}")
        put(card.body, f'<div class="rl-whole">{said}</div>{more}')

    def _opinion(self, card: Card, k: int, *, fresh: bool) -> None:
        run = self.cells[k].run_id
        barred, rating = self.ratings.barred(run), self.ratings.of(run)
        for thumb, mine in ((card.up, UP), (card.down, DOWN)):
            chosen = rating is not None and rating.value == mine
            thumb.description = "✓" if chosen else ""
            thumb.button_style = "info" if chosen else ""
            thumb.disabled = barred is not None
        card.note.disabled = barred is not None
        if fresh:
            self._filling = True
            card.note.value = "" if rating is None else rating.note
            self._filling = False
        put(card.said, note(barred or ("" if rating is None else f"{rating.mark} in the log")))

    def _card(self, place: int) -> Card:
        up = button("", "a good answer: kept in the log", icon="thumbs-up")
        down = button("", "a bad answer: kept in the log", icon="thumbs-down")
        field = ipywidgets.Text(
            placeholder="a note, kept with the rating",
            continuous_update=False,
            tooltip="a note on this answer, kept in the log with its rating",
            layout=ipywidgets.Layout(flex="1 1 8em", min_width="6em", width="auto"),
        )
        head, body, said = html(), html(), html()
        card = Card(
            head=head,
            body=body,
            up=up,
            down=down,
            note=field,
            said=said,
            widget=ipywidgets.VBox([head, body, ipywidgets.Box([up, down, field], layout=ROW), said], layout=CARD),
        )
        up.on_click(self._guard(lambda _: self._rate(place, UP)))
        down.on_click(self._guard(lambda _: self._rate(place, DOWN)))
        field.observe(self._guard(lambda _: self._noted(place)), "value")
        return card

    def _rate(self, place: int, value: float) -> None:
        card, k = self.cards[place], self.arms[place]
        run = self.cells[k].run_id
        if run is None or self.ratings.barred(run) is not None:
            return
        self.ratings.rate(run, value, card.note.value)
        self._opinion(card, k, fresh=False)
        self._rated()

    def _noted(self, place: int) -> None:
        if self._filling or place >= len(self.arms):
            return
        run = self.cells[self.arms[place]].run_id
        rating = self.ratings.of(run)
        if rating is not None:
            self._rate(place, rating.value)
        elif self.cards[place].note.value:
            put(self.cards[place].said, note("not kept yet: a note is kept with a thumb up or down"))

    def _arms(self, label: str) -> ipywidgets.Dropdown:
        menu = ipywidgets.Dropdown(
            description=label, tooltip=label, style={"description_width": "initial"}, layout={"width": "auto"}
        )
        menu.observe(self._guard(lambda _: self._diff()), "value")
        return menu

    def _diff(self) -> None:
        if self._filling or self.at is None or self.first.value is None or self.second.value is None:
            return
        one, other = self.cells[self.first.value], self.cells[self.second.value]
        if self.first.value == self.second.value:
            put(self.difference, note("choose two arms"))
        elif one.text is None or other.text is None:
            put(self.difference, note("there is nothing to compare: one of the two has no text"))
        else:
            put(self.difference, difference(one.text, other.text))


def short(name: str, limit: int = 48) -> str:
    """Return a name for a menu: one line without what a front end obeys, cut where it is long."""
    line = " ".join(safe(name).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
