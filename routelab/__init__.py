"""routelab: a Jupyter-native bench for routing prompts between language models.

**Call once, route a thousand times.** Every answer that a model ever gave is logged once in DuckDB; every routing
configuration is then replayed over that log at no cost, compared with honest statistics, and the winner exported as YAML.

The house is an hourglass::

     prompt ─► (retrieve) ─► (compress) ─► render ─► (fit) ─► recall ─► (confirm) ─► route ─► call ─► remember ─► score ─┐
         one prompt at a time: stages, each adding one typed event                                                        │
                                                                       [Run]  the waist: one frozen, append-only record
         many runs at a time: functions over tables                                                                       │
                     log ─► outcomes ─► replay ─► compare ─► verdict ─► export ◄──────────────────────────────────────────┘

Floors, top to bottom; an upper one may import a lower one, never the other way round::

    notebook                magics, displays, the loop bridge
    panels · cli            the bench in tabs, over widgets; the same verbs without a notebook
    lab                     sessions, data sets, outcomes, replay, statistics, comparisons, charts, export
    router · answer         the one sync door, and what comes out of it
    build                   values → flow: the one place that states the order of the stages
    config · fleet · engine YAML ↔ values; who can be asked; the one event loop
    sections · beside       the parts of a config that are not its strategy; files beside its YAML
    gates · asker           when an answer is accepted: rules, agreement, a learned one, judges; how a judge is asked
    fitting · retrieving    context policies and corpora at work: whose windows, whose summaries, which libraries
    judging                 what judges are asked, and how their verdicts are read
    stages, strategies, caching, scoring,      siblings; none imports another's insides
    chunking, context, retrieval, prompting
    providers, embedding, store                the only code that touches the outside
    strict · present        the door for YAML; text and HTML for people; beside them: text, content
    core                    values, events, run, flow, plan, ports, errors: standard library and NumPy

Importing `routelab` loads none of it: names below are fetched on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from routelab.version import __version__

if TYPE_CHECKING:
    from routelab.answer import Answer
    from routelab.caching import CacheConfig, SemanticConfig
    from routelab.config import Limits, PromptConfig, RouteConfig
    from routelab.core.errors import RoutelabError
    from routelab.core.values import Message, Prompt
    from routelab.fleet import Fleet
    from routelab.lab import Comparison, Dataset, Lab, Outcomes
    from routelab.router import Router
    from routelab.store import Log

_WHERE = {
    "Answer": "routelab.answer",
    "CacheConfig": "routelab.caching",
    "Comparison": "routelab.lab",
    "Dataset": "routelab.lab",
    "Fleet": "routelab.fleet",
    "Lab": "routelab.lab",
    "Limits": "routelab.config",
    "Log": "routelab.store",
    "Message": "routelab.core.values",
    "Outcomes": "routelab.lab",
    "Prompt": "routelab.core.values",
    "PromptConfig": "routelab.config",
    "RouteConfig": "routelab.config",
    "Router": "routelab.router",
    "RoutelabError": "routelab.core.errors",
    "SemanticConfig": "routelab.caching",
}

__all__ = [
    "Answer",
    "CacheConfig",
    "Comparison",
    "Dataset",
    "Fleet",
    "Lab",
    "Limits",
    "Log",
    "Message",
    "Outcomes",
    "Prompt",
    "PromptConfig",
    "RouteConfig",
    "RoutelabError",
    "Router",
    "SemanticConfig",
    "__version__",
    "load_ipython_extension",
    "unload_ipython_extension",
]


def __getattr__(name: str) -> Any:
    # PEP 562: `import routelab` costs milliseconds; pandas, plotly, duckdb and friends load with what needs them.
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
        globals()[name] = value
        return value
    if name == "last":
        # `routelab.last`: what the latest magic returned; it changes, so it is never kept here.
        return importlib.import_module("routelab.notebook").last()
    raise AttributeError(f"module 'routelab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "last"])


def load_ipython_extension(ipython: Any) -> None:
    """Register the magics; silent, and safe to repeat."""
    from routelab.notebook import load

    load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """Take the magics away again."""
    from routelab.notebook import unload

    unload(ipython)
