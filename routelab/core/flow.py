"""A flow is data: three frozen nodes around stages, and one small interpreter.

Retry, fallback and cascade are all `Repeat`: the run itself knows whose turn it is (`Run.current`) and when to stop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from routelab.core.errors import RoutelabError
from routelab.core.events import Event, Failed
from routelab.core.ports import Stage, World
from routelab.core.run import Run
from routelab.core.values import digest

Condition: TypeAlias = Callable[[Run], bool]


@dataclass(frozen=True)
class Chain:
    """Play the parts in order; stop early when the run has failed."""

    parts: tuple[Flow, ...]


@dataclass(frozen=True)
class Unless:
    """Play the body, unless the condition holds."""

    condition: Condition
    body: Flow


@dataclass(frozen=True)
class Repeat:
    """Play the body until the condition holds, at most `times` times."""

    body: Flow
    until: Condition
    times: int


Flow: TypeAlias = "Chain | Unless | Repeat | Stage"


def chain(*parts: Flow) -> Chain:
    """Return a chain of the parts."""
    return Chain(parts)


async def play(flow: Flow, run: Run, world: World) -> Run:
    """Return the run after the flow; only a RoutelabError becomes an event, any other exception is a bug and passes through."""
    if isinstance(flow, Chain):
        for part in flow.parts:
            if run.failed is not None:
                break
            run = await play(part, run, world)
        return run
    if isinstance(flow, Unless):
        return run if flow.condition(run) else await play(flow.body, run, world)
    if isinstance(flow, Repeat):
        for _ in range(flow.times):
            if run.failed is not None or flow.until(run):
                break
            run = await play(flow.body, run, world)
        return run
    return await _step(flow, run, world)


async def _step(stage: Stage, run: Run, world: World) -> Run:
    began = world.clock.monotonic()
    event: Event
    try:
        event = await stage(run, world)
    except RoutelabError as trouble:
        event = Failed(stage=type(stage).__name__.lower(), error=type(trouble).__name__, message=str(trouble))
    elapsed = (run.events[-1].at_s if run.events else 0.0) + max(0.0, world.clock.monotonic() - began)
    run = run.then(dataclasses.replace(event, at_s=elapsed))
    if world.witness is not None:
        world.witness(run)
    return run


def describe(flow: Flow, indent: str = "") -> str:
    """Return the flow as an indented outline, one node a line.

    >>> print(describe(Chain((Unless(blocked, Chain(())),))))
    in order:
      unless blocked:
        in order:
    """
    if isinstance(flow, Chain):
        return "\n".join([f"{indent}in order:", *(describe(p, indent + "  ") for p in flow.parts)])
    if isinstance(flow, Unless):
        return f"{indent}unless {flow.condition.__name__}:\n{describe(flow.body, indent + '  ')}"
    if isinstance(flow, Repeat):
        return f"{indent}until {flow.until.__name__}, at most {flow.times}×:\n{describe(flow.body, indent + '  ')}"
    return f"{indent}{type(flow).__name__.lower()}"


def fingerprint(flow: Flow) -> str:
    """Return 16 hexadecimal digits that change when the flow's shape does."""
    return digest(describe(flow))


def blocked(run: Run) -> bool:
    """Say that a guard stopped the prompt."""
    return run.blocked is not None


def recalled(run: Run) -> bool:
    """Say that a cache had the answer."""
    return run.recalled is not None


def settled(run: Run) -> bool:
    """Say that nobody needs to be asked any more."""
    return run.settled


def unanswered(run: Run) -> bool:
    """Say that there is no answer to go on with."""
    return run.text is None


def unasked(run: Run) -> bool:
    """Say that the latest attempt brought no answer to judge."""
    attempts = run.attempts
    return not attempts or type(attempts[-1]).__name__ != "Answered"
