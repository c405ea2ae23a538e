"""The tabs of the bench, in their order: one line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from routelab.lab.desk import Desk
from routelab.panels import frames
from routelab.panels.cache import cache
from routelab.panels.chunktab import chunking
from routelab.panels.context import context
from routelab.panels.jobs import jobs
from routelab.panels.logview import logview
from routelab.panels.panel import Panel
from routelab.panels.playground import playground
from routelab.panels.prompts import prompts
from routelab.panels.recorded import tune
from routelab.panels.runs import runs
from routelab.panels.usage import tokens


@dataclass(frozen=True, kw_only=True)
class Tab:
    """A tab: its title, what it is for in one sentence, and how its panel is made, when it is opened first."""

    title: str
    says: str
    make: Callable[[Desk], Panel]


TABS: tuple[Tab, ...] = (
    Tab(title="Playground", says="One prompt, one to four arms beside each other.", make=playground),
    Tab(title="Compare", says="Prompts × arms: what it may cost, run it, look at what came of it.", make=runs),
    Tab(
        title="Tune",
        says="Thresholds over recorded outcomes: every slider is answered by replay, at no cost.",
        make=tune,
    ),
    Tab(title="Log", says="Every run and every call of this lab; lab.sql(...) has the rest.", make=logview),
    Tab(
        title="Cache",
        says="How alike is alike enough: a threshold under a budget of false hits, and what caches did.",
        make=cache,
    ),
    Tab(
        title="Chunking",
        says="How texts are cut, what is found in them, and what that context costs.",
        make=chunking,
    ),
    Tab(
        title="Prompts",
        says="Templates and their versions: what they say, what they cost, and whether a new one is worse.",
        make=prompts,
    ),
    Tab(title="Tokens", says="Where tokens go by query type, and which of them nothing needs.", make=tokens),
    Tab(
        title="Context",
        says="How conversations are fitted to a model's window: what is sent, told shorter, left out, and forgotten.",
        make=context,
    ),
    Tab(title="Guards", says="What is not let through.", make=frames.frame(frames.GUARDS)),
    Tab(title="Jobs", says="What runs in the background, and Stop.", make=jobs),
)
