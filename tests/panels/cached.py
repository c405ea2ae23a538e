"""Caches to look at: labelled pairs of made-up questions, traffic over them, and a log in which caches answered."""

from __future__ import annotations

from typing import Any

import html5lib
import numpy as np

from routelab.caching import CacheConfig
from routelab.config import RouteConfig
from routelab.lab.caches.pairs import Pairs
from routelab.lab.caches.traffic import Traffic
from routelab.lab.job import Job
from routelab.lab.session import Lab

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)"></div> $x$ \x1b[31m \u202e <b>'
THINGS = [
    "printer",
    "router",
    "kettle",
    "bicycle",
    "camera",
    "heater",
    "mirror",
    "window",
    "drawer",
    "ladder",
    "blanket",
    "carpet",
    "curtain",
    "freezer",
    "toaster",
    "speaker",
    "monitor",
    "keyboard",
    "charger",
    "scooter",
]


def pairs(*, hostile: bool = False) -> Pairs:
    """Return 80 pairs: harmless rewordings, and opposites and other numbers that look closer than these."""
    rows: list[tuple[str, str, int, str]] = []
    for i, thing in enumerate(THINGS):
        rows += [
            (f"How do I clean the {thing}?", f"How can I clean the {thing}?", 1, "wording"),
            (f"Where is the {thing} in room {i}?", f"where is the {thing}, in room {i}", 1, "wording"),
            (f"How do I turn on the {thing}?", f"How do I turn off the {thing}?", 0, "polarity"),
            (f"Is the {thing} worth {i + 3} dollars?", f"Is the {thing} worth {i + 30} dollars?", 0, "number"),
        ]
    if hostile:
        rows += [(f"Where is {k} {HOSTILE}?", f"where is {k} {HOSTILE}", int(k % 2), f"a {HOSTILE}") for k in range(8)]
    asked, known, labels, slices = zip(*rows, strict=True)
    return Pairs.of(asked, known, labels, slices)


def traffic(n: int = 240, *, labels: bool = True, **given: Any) -> Traffic:
    """Return requests for a few questions in two wordings each, a minute apart, at a cent and a second."""
    rng = np.random.default_rng(2)
    asked = rng.integers(0, len(THINGS), n)
    other = rng.random(n) < 0.5
    texts = [
        f"{'How can I' if o else 'How do I'} clean the {THINGS[q]}?" for q, o in zip(asked.tolist(), other, strict=True)
    ]
    return Traffic.of(
        texts,
        labels=[f"clean {q}" for q in asked.tolist()] if labels else None,
        **{
            "at_s": [60.0 * i for i in range(n)],
            "cost_usd": np.full(n, 0.01),
            "latency_s": np.full(n, 1.0),
            "name": "made",
            **given,
        },
    )


def kept(lab: Lab, name: str = "kept", **semantic: Any) -> RouteConfig:
    """Name an arm with both caches, which asks the model "good"."""
    config = RouteConfig(
        name=name,
        models=["good"],
        strategy={"kind": "fixed", "model": "good"},
        cache=CacheConfig(exact=True, semantic={"threshold": 0.8, "embedder": "lexical", **semantic}),  # type: ignore[arg-type]
    )
    lab.arms[name] = config
    return config


def settled(*jobs: Job) -> None:
    """Wait for what was started in the background."""
    for job in jobs:
        job.wait(60)


def read(html: str) -> str:
    """Return the text that a browser would show."""
    tree = html5lib.parse(html, namespaceHTMLElements=False)
    for parent in tree.iter():
        for child in parent:
            if child.tag == "style":
                child.text = ""
    return " ".join("".join(tree.itertext()).split())


def elements(html: str) -> set[str]:
    """Return the names of the elements that a browser would make."""
    return {str(e.tag).rsplit("}", 1)[-1] for e in html5lib.parse(html, namespaceHTMLElements=False).iter()}
