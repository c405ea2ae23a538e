"""Try a template in the Prompts tab: what a model would be sent for a question; no model is called."""

from __future__ import annotations

from typing import Any

import ipywidgets

from routelab.core.errors import ConfigError
from routelab.core.values import Message
from routelab.lab.desk import Desk
from routelab.panels.panel import Panel
from routelab.panels.parts import Guard, Line, column, dropdown, html, put, row
from routelab.panels.promptlibrary import NOTHING, choices, choose
from routelab.present import escape, framed, note, safe, usd
from routelab.prompting import Given, Template, Version
from routelab.prompting.given import Example

SAYS = "What a model would be sent for a question. Nobody is asked."
QUESTION = "What is the capital of France?"
CONTEXT = "[1] geography.md, characters 0–58\nParis has been the capital of France since the tenth century."
EXAMPLES = "What is the capital of Italy? => Rome"
ARROW = "=>"
FRAME = 3
"""Tokens that a chat format adds a message, and once more to begin the answer."""


class Try:
    """The part of the tab that fills a template."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.messages: tuple[Message, ...] = ()
        self.told = ""
        self.line, self._body, self._facts = Line(), html(), html()
        guard = self._guard = Guard(self.line)
        self.which = dropdown("template", [(NOTHING, None)], tip="the version that is filled in", width="18em")
        names = list(desk.lab.fleet.names)
        self.model = dropdown("counted for", names, tip="whose tokens are counted and priced", width="20em")
        self.question = _area("question", QUESTION, "what the user asks")
        self.context = _area(
            "context", CONTEXT, "what was retrieved; a template without {{ context }} does not place it"
        )
        self.examples = _area("examples", "", f"one a line: question {ARROW} answer, such as {EXAMPLES}")
        self.system = _area("system", "", "the system text of the prompt or the config")
        self.task = _word("task", "", "the prompt's task")
        self.tags = _word("tags", "", "the prompt's tags: lang=de, level=3")
        boxes = ipywidgets.Box(
            [self.question, self.context, self.examples, self.system],
            layout={"display": "flex", "flex_flow": "row wrap"},
        )
        intro = html()
        put(intro, note(SAYS))
        controls = (
            self.which,
            self.model,
            self.question,
            self.context,
            self.examples,
            self.system,
            self.task,
            self.tags,
        )
        live = column(
            intro,
            row(self.which, self.model),
            boxes,
            row(self.task, self.tags),
            self.line.widget,
            self._facts,
            self._body,
        )
        self.panel = Panel(live, self.still, name="prompts: try")
        for control in controls:
            control.observe(guard(lambda _: self.fill()), names="value")

    def renew(self, versions: list[Version]) -> None:
        """Offer the versions that there are now."""
        choose(self.which, choices(versions) or [(NOTHING, None)])
        self._guard(self.fill)()

    def fill(self) -> None:
        """Show what a model would be sent."""
        template: Template | None = self.which.value
        self.messages, self.told = (), ""
        put(self._body, "")
        put(self._facts, "")
        self.panel.refresh()
        if template is None:
            return
        put_ = template.put(
            Given(
                question=self.question.value,
                context=self.context.value if "context" in template.names else "",
                examples=_examples(self.examples.value),
                task=self.task.value.strip() or None,
                tags=_tags(self.tags.value),
                system=self.system.value.strip() or None,
            )
        )
        system = put_.system if put_.system is not None else self.system.value.strip() or None
        head = () if system is None else (Message(role="system", content=system),)
        self.messages = (*head, *put_.turns, Message(role="user", content=put_.user))
        self.told = self._count()
        self.line.say("")
        put(self._facts, note(self.told))
        put(self._body, self._messages_html())
        self.panel.refresh()

    def _count(self) -> str:
        model = self.desk.lab.fleet.endpoint(self.model.value).model
        counts = [self.desk.lab.fleet.counter.count(m.content, model) for m in self.messages]
        if any(c.input is None for c in counts):
            return f"{len(self.messages)} messages; {model.name}'s tokens are not known"
        tokens = sum(c.input or 0 for c in counts) + FRAME * (len(counts) + 1)
        exact = all(c.source == "tiktoken" for c in counts)
        price = None if model.price is None else 1000 * tokens * model.price.usd_per_mtok_in / 1e6
        said = "message" if len(self.messages) == 1 else "messages"
        return (
            f"{len(self.messages)} {said}, {'' if exact else 'about '}{tokens:,} tokens for {model.name}: "
            f"{usd(price)} for 1,000 such prompts, before a word is answered"
        )

    def _messages_html(self) -> str:
        return "".join(f'{note(m.role)}<pre class="c"><code>{escape(m.content)}</code></pre>' for m in self.messages)

    def still(self) -> dict[str, str]:
        """Return what is shown now as text and HTML."""
        template = self.which.value
        head = f"{SAYS} {'' if template is None else template.reference}".strip()
        lines = [head, *filter(None, (self.line.text, self.told))]
        text = "\n".join([*lines, *(f"[{m.role}]\n{safe(m.content)}" for m in self.messages)])
        return {"text/plain": text, "text/html": framed("".join(map(note, lines)) + self._messages_html())}


def _examples(text: str) -> tuple[Example, ...]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        question, arrow, answer = line.partition(ARROW)
        if not arrow:
            raise ConfigError(f"examples, line {number}: {ARROW} is missing", hint=f"such as {EXAMPLES}")
        found.append((str(number), question.strip(), answer.strip()))
    return tuple(found)


def _tags(text: str) -> dict[str, str]:
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = part.partition("=")
        if not sign or not name.strip():
            raise ConfigError(f"tags: {part[:40]!r} is none", hint="such as lang=de, level=3")
        found[name.strip()] = value.strip()
    return found


def _area(label: str, value: str, tip: str) -> ipywidgets.Textarea:
    return ipywidgets.Textarea(
        value=value,
        description=label,
        placeholder=tip,
        tooltip=tip,
        continuous_update=False,
        style={"description_width": "5.5em"},
        layout={"flex": "1 1 24em", "width": "auto", "min_width": "18em", "height": "5.4em"},
    )


def _word(label: str, value: str, tip: str) -> Any:
    return ipywidgets.Text(
        value=value,
        description=label,
        placeholder=tip,
        tooltip=tip,
        continuous_update=False,
        style={"description_width": "5.5em"},
        layout={"width": "24em"},
    )
