"""Task tables for prompts whose task nobody states: it is recognised from the tune split's prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from routelab.config import RouteConfig
from routelab.embedding import vectors
from routelab.lab.controls import best_single, mean_costs
from routelab.lab.outcomes import Outcomes
from routelab.lab.sources.candidate import Candidate
from routelab.lab.sources.tasktables import table
from routelab.strategies import Rules, Semantic
from routelab.strategies.examples import Examples
from routelab.strategies.fitting import voting
from routelab.strategies.fitting.rehearsal import Rehearsed

TOLERANCES = (0.0, 0.01, 0.02, 0.05, 0.1)
SHRINKAGE = 10.0
VOTES: tuple[Literal["knn", "centroid"], ...] = ("centroid", "knn")


def semantic(tune: Outcomes) -> Iterator[Candidate]:
    """Yield semantic routes, one a task with the models that a task table gives it; none below two tasks.

    They need no task in production, and so say what it costs to find it in the text.
    """
    if len({p.task for p in tune.prompts if p.task is not None and p.text.strip()}) < 2 or best_single(tune) is None:
        return
    priced = bool((mean_costs(tune) == mean_costs(tune)).all())
    for vote in VOTES:
        for tolerance in TOLERANCES if priced else (0.0,):
            name = f"semantic-{vote}-tol{tolerance:g}"
            yield Candidate(name=name, arm=_arm(vote, tolerance, name))


def recognised(
    outcomes: Outcomes, *, vote: Literal["knn", "centroid"], tolerance: float, name: str = "semantic"
) -> RouteConfig:
    """Return the task table of these outcomes with each task found by the vote of their prompts."""
    rules = table(outcomes, outcomes.models, tolerance=tolerance, shrinkage=SHRINKAGE).ranking
    assert isinstance(rules, Rules)
    known = Examples.of(*zip(*((p.text, p.task) for p in outcomes.prompts if p.task and p.text.strip()), strict=True))
    names = tuple(name for name in rules.table if name in known.names)
    routes = {task: {"models": rules.table[task]} for task in names}
    strategy = Semantic(routes=routes, default=rules.default, vote=vote)
    head = voting.fit(vote, vectors(strategy.embedder, known.texts), known.numbers(names), len(names), k=strategy.k)
    fitted = strategy.settled(names, head, Rehearsed(curve=None, threshold=None, report={}))
    return RouteConfig(name=name, models=fitted.models, strategy=fitted)


def _arm(vote: Literal["knn", "centroid"], tolerance: float, name: str) -> Callable[[Outcomes], RouteConfig]:
    return lambda outcomes: recognised(outcomes, vote=vote, tolerance=tolerance, name=name)
