"""The library of templates in the Prompts tab: every version with what it cost, one of them in full, and two beside each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

from routelab.lab.desk import Desk
from routelab.lab.prompts import Prompts
from routelab.panels.panel import Panel
from routelab.panels.parts import Guard, Line, button, column, dropdown, html, put, row
from routelab.present import Table, bundle, escape, framed, note, safe
from routelab.prompting import Template, Turns, Version, diff

SAYS = "Templates by name and version; a version never changes. lab.prompts.add({...}) keeps a new one."
NOTHING = "nothing"
LOOK = (
    "<style>.rl.rl-prompts table{width:100%}.rl.rl-prompts td{overflow-wrap:anywhere}.rl.rl-prompts th{white-space:normal}"
    ".rl.rl-prompts td:nth-child(-n+3),.rl.rl-prompts td.n{white-space:nowrap;overflow-wrap:normal}"
    ".rl.rl-prompts td:nth-child(4){min-width:4.5em}.rl.rl-prompts td:last-child{min-width:9em}</style>"
)


def parts_of(template: Template) -> dict[str, str]:
    """Return the texts of a template by what they are, in the order in which they are sent."""
    example = template.example
    said = {
        "system": template.system,
        "examples, one each": example if isinstance(example, str) else None,
        "example, user": example.user if isinstance(example, Turns) else None,
        "example, assistant": example.assistant if isinstance(example, Turns) else None,
        "user": template.user,
    }
    return {name: text for name, text in said.items() if text is not None}


def facts_of(template: Template, version: Version | None = None) -> str:
    """Return what is known of a template besides its texts, in a line."""
    known = [
        template.short,
        "" if version is None else ", ".join(version.sources),
        "" if version is None or version.added_at is None else f"since {version.added_at:%Y-%m-%d %H:%M} UTC",
        template.note,
        f"uses {', '.join(sorted(template.names))}",
        f"scored by the value of “{template.reads}” in its JSON" if template.reads else "",
    ]
    return " · ".join(filter(None, known))


def shown_html(template: Template, version: Version | None = None) -> str:
    """Return a template as HTML."""
    blocks = [f"<div><b>{escape(template.reference)}</b></div>{note(facts_of(template, version))}"]
    for name, text in parts_of(template).items():
        blocks.append(f'{note(name)}<pre class="c"><code>{escape(text)}</code></pre>')
    return "".join(blocks)


def shown_text(template: Template, version: Version | None = None) -> str:
    """Return a template as plain text."""
    lines = [template.reference, facts_of(template, version)]
    for name, text in parts_of(template).items():
        lines += [f"[{name}]", safe(text)]
    return "\n".join(lines)


def choices(versions: list[Version]) -> list[tuple[str, Template]]:
    """Return the versions as options of a dropdown, the latest of each name first."""
    by_name: dict[str, list[Version]] = {}
    for version in versions:
        by_name.setdefault(version.template.name, []).append(version)
    ordered = [v.template for row in by_name.values() for v in reversed(row)]
    seen: dict[str, int] = {}
    for template in ordered:
        seen[template.reference] = seen.get(template.reference, 0) + 1
    return [(t.reference if seen[t.reference] == 1 else f"{t.reference} ({t.short})", t) for t in ordered]


def newest(versions: list[Version]) -> Template | None:
    """Return the version that was added last, or where none has a date the last one; None where there is none."""
    dated = [(v.added_at, v.template.version or 0, v.template) for v in versions if v.added_at is not None]
    return max(dated, key=lambda row: row[:2])[2] if dated else versions[-1].template if versions else None


def choose(box: ipywidgets.Dropdown, options: list[tuple[str, Any]]) -> None:
    """Give a dropdown other options; what was chosen stays where it is still there."""
    if list(box.options) == options:
        return
    values = [value for _, value in options]
    kept = box.value if box.value in values else values[0] if values else None
    box.options = options
    box.value = kept


class Shelf:
    """The part of the tab that shows the library; `heard` is told when the versions were read again."""

    def __init__(self, desk: Desk, heard: Callable[[list[Version]], None] = lambda versions: None) -> None:
        self.desk, self._heard = desk, heard
        self.prompts = Prompts(lab=desk.lab)
        self.versions: list[Version] = []
        self.table: Table | None = None
        self._renewing = False
        self.line, self._list, self._body = Line(), html(), html()
        guard = self._guard = Guard(self.line)
        self.refresh = button("Refresh", "read the library and the log again", icon="refresh")
        self.which = dropdown("show", [(NOTHING, None)], tip="the version that is shown", width="18em")
        self.other = dropdown(
            "compared with", [(NOTHING, "")], tip="another version: what is different is shown", width="22em"
        )
        live = column(row(self.refresh), self.line.widget, self._list, row(self.which, self.other), self._body)
        self.panel = Panel(live, self.still, name="prompts: library")
        self.refresh.on_click(guard(lambda _: self.renew()))
        self.which.observe(guard(lambda _: self._picked()), names="value")
        self.other.observe(guard(lambda _: self._show()), names="value")
        desk.hear("log", guard(self.renew))
        guard(self.renew)()

    def renew(self) -> None:
        """Read the library and the log again; what is chosen stays."""
        self.versions, _ = self.prompts.listed()
        self.table = self.prompts.table()
        put(self._list, f"{LOOK}{note(SAYS)}{self.table.html()}", more="rl-prompts")
        options, before = choices(self.versions), self.which.value
        self._renewing = True
        try:
            choose(self.which, [*options] or [(NOTHING, None)])
            if before is None:
                self.which.value = newest(self.versions)
            choose(self.other, [(NOTHING, ""), *options])
        finally:
            self._renewing = False
        self._heard(self.versions)
        if self.which.value == before:
            self._show()
        else:
            self._picked()

    def _picked(self) -> None:
        """Compare a version with the one before it, if there is one."""
        if self._renewing:
            return
        own = [v.template for v in self.versions if self.which.value and v.template.name == self.which.value.name]
        place = own.index(self.which.value) if self.which.value in own else 0
        before = own[place - 1] if place > 0 else ""
        if self.other.value == before:
            self._show()
        else:
            self.other.value = before

    def _show(self) -> None:
        if self._renewing:
            return
        one = self.which.value
        body = ""
        if one is not None:
            body = shown_html(one, self._version(one))
            if self.other.value:
                body = f"{diff(self.other.value, one).html()}{body}"
        put(self._body, body)
        self.panel.refresh()

    def _version(self, template: Template) -> Version | None:
        return next((v for v in self.versions if v.template == template), None)

    def still(self) -> dict[str, str]:
        """Return what is shown now as text and HTML."""
        found = bundle(SAYS, *([] if self.table is None else [self.table]))
        one, other = self.which.value, self.other.value
        if one is None:
            return found
        changed = diff(other, one) if other else None
        text = [found["text/plain"], *([] if changed is None else [repr(changed)]), shown_text(one, self._version(one))]
        body = ("" if changed is None else changed.html()) + shown_html(one, self._version(one))
        return {"text/plain": "\n\n".join(text), "text/html": found["text/html"] + framed(body)}
