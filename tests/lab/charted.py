"""Comparisons to draw, and what a drawing must never hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import html5lib
import numpy as np

from routelab.answer import Answer
from routelab.config import RouteConfig
from routelab.core.events import Answered, Event, Scored
from routelab.core.run import Run
from routelab.core.values import Prompt, Tokens
from routelab.lab.compare import Comparison
from routelab.lab.live import judged
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import replay
from routelab.strategies import Fixed, Rules

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "<a href='javascript:alert(3)'>x</a>",
    "$\\unicode{60}script$ & $b$",
    "%{y}<b>bold</b>&lt;i&gt;",
    "\u202egnp.exe\u0007\x1b[31m",
)
ELEMENTS = {"html", "head", "body", "div", "style", "table", "thead", "tbody", "tr", "th", "td", "h3", "br"}


def hundred(
    cube: Callable[..., Outcomes], *, n: int = 120, models: tuple[str, ...] = ("free", "mid", "top"), **given: Any
) -> Outcomes:
    """Return outcomes of three models, a free, a middling and a dear one, over two tasks, with waits."""
    rng = np.random.default_rng(7)
    rate = np.array([0.55, 0.75, 0.95])
    quality = (rng.random((n, 3)) < rate).astype(float)
    spread = rng.lognormal(0.0, 0.4, size=(n, 3))
    values: dict[str, Any] = {
        "cost_usd": spread * np.array([0.0, 0.0004, 0.006]),
        "latency_s": spread * np.array([0.4, 0.9, 2.0]),
        "tasks": ["code" if i % 3 else "chat" for i in range(n)],
        "dataset": "made",
        "models": models,
        **given,
    }
    return cube(quality, **values)


def compared(
    cube: Callable[..., Outcomes], *, names: Mapping[str, str] | None = None, confirm: float = 0.0, **given: Any
) -> Comparison:
    """Return the comparison of three single models and a table of rules; `names` renames the arms."""
    outcomes = hundred(cube, **given)
    free, mid, top = outcomes.models
    arms: dict[str, Any] = {
        "always-free": Fixed(model=free),
        "always-mid": Fixed(model=mid),
        "always-top": Fixed(model=top),
        "by-task": Rules(table={"chat": (free,)}, default=(top,), tasks="given"),
    }
    return replay(outcomes, {(names or {}).get(k, k): arm for k, arm in arms.items()}, confirm=confirm)


NOON = datetime(2026, 11, 21, 12)
PRICES = {"small": (1e-6, 2e-6), "large": (1e-5, 4e-5)}


def said(model: str, given: int = 100, made: int = 50, **more: Any) -> Answered:
    into, out = PRICES[model]
    cost = more.pop("cost_usd", given * into + made * out)
    return Answered(
        model=model,
        served_model=model,
        provider="p",
        text=f"{model} says",
        tokens=more.pop("tokens", Tokens(input=given, output=made, source="usage")),
        cost_usd=cost,
        latency_s=1.0,
        **more,
    )


def live(**arms: Sequence[Sequence[Event]]) -> Comparison:
    """Return the comparison of arms of which each prompt's events are given; `large` is the baseline."""
    n = len(next(iter(arms.values())))
    prompts = [Prompt.of(f"question {i}", task="code" if i % 2 else None) for i in range(n)]
    measured = Scored(scorer="exact", quality=1.0, model="")
    answers = {
        arm: [
            Answer(Run(id=f"{arm}-{i}", prompt=prompts[i], started_at=NOON, arm=arm, events=(*events, measured)))
            for i, events in enumerate(rows)
        ]
        for arm, rows in arms.items()
    }
    configs = {
        name: RouteConfig(name=name, models=("small", "large"), strategy={"kind": "fixed", "model": "large"})
        for name in arms
    }
    terms: dict[str, Any] = {"margin": 0.02, "seed": 0, "experiment": "e", "dataset": "d"}
    return judged(prompts, answers, configs, baseline="large", **terms)


def texts(value: Any) -> Iterator[str]:
    """Yield every string in a figure's JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts(item)


def tame(figure: Mapping[str, Any]) -> bool:
    """Say that no text of a figure holds a tag but a line break, a formula, a control character or a raw ampersand."""
    return all(
        not re.search(r"<(?!br>)", text)
        and "$" not in text
        and not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", text)
        and not re.search(r"&(?!lt;|gt;|amp;|#36;)", text)
        for text in texts(figure)
    )


def elements(html: str) -> set[str]:
    """Return the names of every element that a browser would find in the HTML."""
    tree = html5lib.parse(html, namespaceHTMLElements=False)
    return {element.tag for element in tree.iter() if isinstance(element.tag, str)}


def attributes(html: str) -> set[str]:
    """Return the names of every attribute that a browser would find in the HTML."""
    tree = html5lib.parse(html, namespaceHTMLElements=False)
    return {name for element in tree.iter() for name in element.attrib}


def words(html: str) -> str:
    """Return the text that a browser would show, styles left out."""
    tree = html5lib.parse(html, namespaceHTMLElements=False)
    for parent in tree.iter():
        for child in list(parent):
            if child.tag == "style":
                child.text = ""
    return "".join(tree.itertext())
