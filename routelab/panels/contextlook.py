"""Policies on a conversation: choose both, see what every request was made of, and what became of each turn."""

from __future__ import annotations

from typing import Any

import ipywidgets

from routelab.lab.charts.timeline import STATES, Timelines, context_timeline
from routelab.lab.contexts.timeline import Fate, Moment, Timeline
from routelab.lab.desk import Desk
from routelab.lab.job import Job
from routelab.panels import contextcontrols
from routelab.panels import contextplaying as playing
from routelab.panels.cells import whole
from routelab.panels.contextsources import Conversation, Source, sources
from routelab.panels.later import later
from routelab.panels.listing import Listing
from routelab.panels.panel import Panel
from routelab.panels.parts import Guard, Line, Picture, button, column, dropdown, html, put, row
from routelab.present import Table, bundle, note
from routelab.providers.tokens import Counter

TURNS = 15
FATES: dict[Fate, str] = {"": "not there yet", "kept": "sent", "summarised": "in the note", "dropped": "left out"}
HEAD = ("#", "who", "tokens", "what became of it", "text")
WIDTHS = ("2.4em", "5.4em", "4em", "minmax(9em,1.6fr)", "minmax(8em,4fr)")
LOOK = (
    "<style>.rl.rl-context table{width:100%}.rl.rl-context td:first-child{min-width:9em}.rl.rl-context td:nth-child(6){min-width:11em}"
    ".rl.rl-context .n{white-space:normal}</style>"
)


class Look:
    """The part of the tab that plays policies over one conversation."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.line = Line()
        self.jobs: list[Job] = []
        guard = self._guard = Guard(self.line)
        self.which = dropdown(
            "conversation", [], tip="of the log, of this notebook, or one that ships with facts", width="36em"
        )
        self.model = dropdown("model", list(desk.lab.fleet.names), tip="whose window and tokens count")
        self.room, self.writer = contextcontrols.room(), contextcontrols.writer(desk.lab.fleet.names)
        self.policies, self.own = contextcontrols.policies(), contextcontrols.own()
        self.play = button("Play", "play the policies over the conversation", icon="play", style="primary")
        self.refresh = button("Refresh", "look for conversations again", icon="refresh")
        self.picture, self.table, self.said = Picture(height=240), html(), html()
        self.at = contextcontrols.request()
        self.listing = Listing(
            HEAD, WIDTHS, numbers=frozenset((0, 2)), size=TURNS, turn=guard(self._page), open=guard(self._open)
        )
        self.listing.back.description, self.listing.back.tooltip = "‹ earlier", "the turns before"
        self.listing.on.description, self.listing.on.tooltip = "later ›", "the turns after"
        self.turn = html()
        self.close = button("Close", "close the turn", icon="times")
        self.detail = column(row(self.close), self.turn)
        self.sources: dict[str, Source] = {}
        self.conversation: Conversation | None = None
        self.shown: Timelines | None = None
        self.opened: int | None = None
        self._quiet = False
        self._asked = 0
        self._presets: dict[str, Any] = {}
        below = self._below = column(
            self.picture.widget, self.table, row(self.at), self.said, self.detail, self.listing.widget
        )
        below.layout.display = self.detail.layout.display = "none"
        beside = ipywidgets.VBox([self.own, self.play], layout={"width": "auto", "align_items": "flex-start"})
        live = column(
            row(self.which, self.refresh),
            row(self.model, self.room, self.writer),
            row(self.policies, beside),
            self.line.widget,
            below,
        )
        self.panel = Panel(live, self._still, name="context: conversation")
        self.which.observe(guard(lambda _: None if self._quiet else self._choose()), "value")
        for control in (self.model, self.room, self.writer, self.policies, self.own):
            control.observe(guard(lambda _: None if self._quiet else self._again()), "value")
        self.at.observe(guard(lambda _: None if self._quiet else self._turns()), "value")
        self.play.on_click(guard(lambda _: self.start()))
        self.refresh.on_click(guard(lambda _: self.renew()))
        self.close.on_click(guard(lambda _: self._shut()))
        desk.hear("log", guard(self.renew))
        guard(self.renew)()

    # What there is to choose from

    def renew(self) -> None:
        """Look for conversations, and open the first one if none is open."""
        self.sources = sources(self.desk)
        titles = list(self.sources)
        if tuple(titles) != tuple(self.which.options):
            kept = self.which.value if self.which.value in titles else titles[0]
            same = kept == self.which.value and self.conversation is not None
            self._quiet = True
            self.which.options = titles
            self.which.value = kept
            self._quiet = False
            if not same:
                self._choose()

    def show_run(self, run_id: str) -> bool:
        """Open the conversation that a run of the log belongs to; False where it is none of those listed."""
        title = next((t for t, s in self.sources.items() if run_id in s.run_ids), None)
        if title is None:
            return False
        self.which.value = title
        return True

    def _choose(self) -> None:
        source = self.sources[self.which.value]
        self.line.say("reading the conversation …")
        self.jobs.append(later("context: open", source.open, self._opened, self._guard))

    def _opened(self, conversation: Conversation) -> None:
        if conversation.title != self.which.value:
            return
        self.conversation = conversation
        asked = [run.answered.model for run in conversation.runs if run.answered is not None]
        if asked and asked[-1] in self.model.options:
            self._quiet = True
            self.model.value = asked[-1]
            self._quiet = False
        model = self.desk.lab.fleet.endpoint(self.model.value).model
        count = Counter()
        tokens = sum((count.count(m.content, model).input or 0) + 4 for m in conversation.dialogue.messages)
        self._presets = {**playing.of_arms(self.desk.lab.arms), **playing.presets(tokens)}
        names = list(self._presets)
        kept = [name for name in self.policies.value if name in names]
        self._quiet = True
        self.policies.options = names
        self.policies.value = kept or (
            [] if conversation.runs else [n for n in names if n.startswith(("window, 20", "facts at"))]
        )
        self._quiet = False
        self._again()

    # Playing

    @property
    def stage(self) -> playing.Stage:
        """What the controls say."""
        return playing.Stage(
            lab=self.desk.lab, model=self.model.value, tokens=self.room.value, writer=self.writer.value
        )

    def _again(self) -> None:
        """Play at once where that costs nothing; else wait to be told."""
        if self.stage.simulated:
            self.start()
        else:
            self.line.say(f"{self.writer.value} writes the summaries and is paid for it: press Play")

    def start(self) -> None:
        """Play the chosen policies over the conversation, in the background."""
        conversation, stage = self.conversation, self.stage
        if conversation is None:
            return
        policies = playing.chosen(self.policies.value, self._presets, playing.own(self.own.value))
        if not policies and not conversation.runs:
            self.line.say("choose at least one policy")
            return
        self._asked += 1
        mine = self._asked
        self.line.say("playing …")

        def done(found: Timelines) -> None:
            # What was asked for since then is on its way.
            if mine == self._asked:
                self._show(found)

        self.jobs.append(
            later("context: play", lambda: playing.played(stage, conversation, policies), done, self._guard)
        )

    def _show(self, found: Timelines) -> None:
        self.shown = found
        quoted = self.writer.value == playing.QUOTES and any(t.paid and not t.logged for t in found.items)
        self.line.say(f"summaries are priced as if {self.model.value} had written them" if quoted else "")
        self.picture.show(context_timeline(found))
        put(self.table, LOOK + found.table().html(), more="rl-context")
        wide = max(len(t.moments) for t in found.items)
        self._quiet = True
        self.at.max, self.at.value = wide, wide
        self._quiet = False
        self._below.layout.display = ""
        self._shut(renew=False)
        self._turns()

    # Turns

    def _at(self, t: Timeline) -> Moment | None:
        return t.moments[min(self.at.value, len(t.moments)) - 1] if t.moments else None

    def _turns(self, start: int | None = None) -> None:
        found = self.shown
        if found is None:
            return
        messages = found.items[0].dialogue.messages
        end = max((m.end for t in found.items if (m := self._at(t)) is not None), default=0)
        start = max(0, end - TURNS) if start is None else start
        room = self.stage.room
        rows = [
            (f"{i + 1}", m.role, f"{room.weigh(m):,}", self._fates(i), " ".join(m.content.split())[:300] or "(empty)")
            for i, m in enumerate(messages[start : min(start + TURNS, end)], start)
        ]
        put(
            self.said,
            note(
                f"the turns by request {self.at.value}, as each policy treats them ({', '.join(t.name for t in found.items)})"
            ),
        )
        self.listing.show(rows, start=start, total=end)
        self.listing.mark(
            None if self.opened is None or not start <= self.opened < start + TURNS else self.opened - start
        )
        self.panel.refresh()

    def _fates(self, message: int) -> str:
        assert self.shown is not None
        found = []
        for t in self.shown.items:
            moment = self._at(t)
            fate: Fate = moment.fates[message] if moment is not None and message < len(moment.fates) else ""
            found.append(FATES[fate])
        facts = [k for k, f in enumerate(self.shown.items[0].dialogue.facts) if f.at == message]
        mark = " ★ fact" if facts else ""
        return (found[0] if len(set(found)) == 1 else " | ".join(found)) + mark

    def _page(self, start: int) -> None:
        self._turns(start)

    def _open(self, place: int) -> None:
        message = self.listing.start + place
        if self.opened == message:
            self._shut()
            return
        self.opened = message
        put(self.turn, LOOK + self._story(message), more="rl-context")
        self.detail.layout.display = ""
        self._turns(self.listing.start)

    def _story(self, message: int) -> str:
        """Return a turn's text, and what became of it and its facts under each policy."""
        assert self.shown is not None
        said = self.shown.items[0].dialogue.messages[message]
        return f"{note(f'turn {message + 1}, {said.role}')}{whole(said.content)}{self._history(message).html()}{self._note()}"

    def _history(self, message: int) -> Table:
        assert self.shown is not None
        rows = []
        for t in self.shown.items:
            steps = (
                ", ".join(f"{FATES[fate]} from request {at}" for at, fate in t.fate(message)) or "never asked with it"
            )
            facts = [
                f"“{f.answer}” ({f.question or 'no question'}): {STATES[s][2] if s else '?'}"
                for f, s in zip(t.dialogue.facts, t.states, strict=False)
                if f.at == message
            ]
            rows.append((t.name, steps, "; ".join(facts) or "–"))
        return Table(head=("policy", "what became of the turn", "its facts, when asked for at the end"), rows=rows)

    def _note(self) -> str:
        """Return the notes that stood for what was not sent at this request."""
        assert self.shown is not None
        notes = [(t.name, m.text) for t in self.shown.items if (m := self._at(t)) is not None and m.text]
        return "".join(f"{note(f'{name}: the note at request {self.at.value}')}{whole(text)}" for name, text in notes)

    def _shut(self, *, renew: bool = True) -> None:
        self.opened = None
        self.detail.layout.display = "none"
        put(self.turn, "")
        if renew:
            self._turns(self.listing.start)

    def _still(self) -> dict[str, str]:
        if self.shown is None:
            return bundle(self.line.text or "no conversation is open")
        parts: list[Table | str] = [
            f"{self.shown.items[0].dialogue.id}",
            *([self.line.text] if self.line.text else []),
            self.shown.table(),
        ]
        if self.opened is not None:
            said = self.shown.items[0].dialogue.messages[self.opened]
            parts += [f"turn {self.opened + 1}, {said.role}: {said.content}", self._history(self.opened)]
        return bundle(*parts)
