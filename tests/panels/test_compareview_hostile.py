"""What models, prompts, tasks, arms and notes say stays text in every part of the panel, in the widgets and in what is saved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import html5lib
import ipywidgets
import pytest
from compared import Said, asked, cube, live

from routelab.core.values import Message, Prompt
from routelab.lab.replay import replay
from routelab.panels.compareview import CompareView
from routelab.store import Log
from routelab.strategies import Fixed

HOSTILE = (
    '<script>alert(1)</script><img src=x onerror="alert(2)"></pre></div><style>*{display:none}</style>'
    "<a href='javascript:alert(3)'>click</a><!-- \x1b[31m \u202e {{7*7}} ${7*7} &lt;b&gt; <table><tr><td> $x^2$ **bold**"
)
OURS = {
    *("html", "head", "body", "div", "span", "style", "b", "br", "h3", "mark", "del", "ins", "pre", "code"),
    *("table", "thead", "tbody", "tr", "th", "td", "details", "summary"),
}


def elements(body: str) -> Iterator[Any]:
    """Yield every element of the parsed HTML; a parse error fails the test."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    yield from parser.parse(f"<!DOCTYPE html><html><head></head><body>{body}</body></html>").iter()


def assert_tame(body: str) -> None:
    for element in elements(body):
        assert element.tag in OURS, element.tag
        assert set(element.attrib) <= {"class", "align", "style"}, element.attrib
        assert "(" not in element.attrib.get("style", "")
        if element.tag == "style":
            assert (element.text or "").startswith(".rl")
    assert "\x1b" not in body
    assert "\u202e" not in body


def every(root: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    yield root
    for child in getattr(root, "children", ()):
        yield from every(child)


def assert_all_tame(view: CompareView) -> None:
    for job in view.jobs:
        job.wait(30)
    said = view.panel.still()
    assert_tame(said["text/html"])
    assert "\x1b" not in said["text/plain"]
    assert "\u202e" not in said["text/plain"]
    for widget in every(view.panel.widget):
        assert not isinstance(widget, ipywidgets.HTMLMath)
        assert getattr(widget, "description_allow_html", False) is False
        if isinstance(widget, ipywidgets.HTML) and widget.value:
            assert_tame(widget.value)


@pytest.fixture
def log() -> Iterator[Log]:
    with Log(":memory:") as log:
        yield log


def test_a_live_comparison_in_which_everybody_is_hostile(log: Log) -> None:
    messages = (Message(role="system", content=HOSTILE), Message(role="user", content=HOSTILE))
    prompts = [
        Prompt(id=HOSTILE + p.id, messages=messages, task=HOSTILE, reference=HOSTILE, scorer=p.scorer) for p in asked(3)
    ]
    rows = [Said(text=HOSTILE), Said(text=HOSTILE + " and more", quality=0.3), Said(text=None, decided=HOSTILE)]
    arms = {HOSTILE: rows, "b" + HOSTILE: [Said(text="no"), *rows[1:]], "c": rows}
    view = CompareView(live(prompts, arms, log))
    assert_all_tame(view)
    for slot in view.slots[:3]:
        slot.button.click()
        assert_all_tame(view)
    view.slots[0].button.click()
    assert_all_tame(view)
    card = view.opened.cards[0]
    card.note.value = HOSTILE
    card.up.click()
    assert_all_tame(view)
    view.needle.value = "<SCRIPT>alert"
    assert len(view.order) == 3
    assert_all_tame(view)
    view.needle.value, view.task.value = "", HOSTILE
    assert_all_tame(view)
    for kind in ("frontier", "quality"):
        view.chart.value = kind
        assert_all_tame(view)


def test_a_replay_in_which_everybody_is_hostile() -> None:
    prompts = [
        Prompt(id=f"{HOSTILE}{i}", messages=(Message(role="user", content=HOSTILE),), task=HOSTILE) for i in range(20)
    ]
    texts = lambda prompt_id, model: HOSTILE + model  # noqa: E731
    outcomes = cube(prompts, [[1.0, 0.0]] * 20, texts=texts)
    view = CompareView(replay(outcomes, {HOSTILE: Fixed(model="a"), "two": Fixed(model="b")}, confirm=0.4))
    view.slots[0].button.click()
    assert_all_tame(view)


def test_one_line_of_ten_megabytes_is_cut_before_it_is_shown(log: Log) -> None:
    line = "<b>&" * 2_500_000
    view = CompareView(
        live(asked(2, texts={0: line}), {"a": [Said(text=line)] * 2, "b": [Said(text=line + "!")] * 2}, log)
    )
    view.slots[0].button.click()
    assert_all_tame(view)
    assert max(len(w.value) for w in every(view.panel.widget) if isinstance(w, ipywidgets.HTML)) < 250_000
