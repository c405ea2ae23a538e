"""One run's cost taken apart: the call whose answer counted, what was asked besides, judges, and what a cache spared."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from routelab.core.events import Answered, Compacted, Retrieved, Scored, Unanswered
from routelab.core.run import Run
from routelab.core.values import Message
from routelab.lab.charts.listprice import Listed

PROMPT = ("system", "template", "compress", "prompt")
"""Policies of `Compacted` that are about the config's own prompt; every other one is about the conversation."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """The call whose answer counted; `model` is empty when nobody answered."""

    model: str
    cost_usd: float
    messages: tuple[Message, ...]
    changes: tuple[tuple[str, int | None], ...] = ()
    """What was done to the messages: "prompt" or "context", and how many tokens that added (less than 0: left out), None if not counted."""

    @property
    def kinds(self) -> frozenset[str]:
        """What was done to the messages."""
        return frozenset(kind for kind, _ in self.changes)

    def rewritten(self, prices: Callable[[str], Listed | None]) -> dict[str, float] | None:
        """Return what each kind of change added to the cost in USD, None when tokens or the model's price are not known."""
        found = {"context": 0.0, "prompt": 0.0}
        price = prices(self.model) if self.changes else None
        for kind, tokens in self.changes:
            if tokens is None or price is None:
                return None
            found[kind] += tokens * price.usd_per_token_in
        return found


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """A run's cost in USD and its parts, which add up to it with the cost of the `kept` call; NaN where it is not known.

    `kept` is None when a cache had the answer and its first run is not at hand.
    """

    total: float
    kept: Call | None
    parts: Mapping[str, float]


def pieces_of(run: Run, first: Callable[[str], Run | None]) -> Pieces:
    """Return a run's cost taken apart; `first` finds the run that first got a cached answer.

    What a cache had is taken apart as it was then, and the step `cache` takes all of that away again.
    """
    total = math.nan if run.cost_usd is None else run.cost_usd
    if run.recalled is None:
        return _asked(run, total)
    source = None if run.recalled.source_run is None else first(run.recalled.source_run)
    if source is None or source.cost_usd is None or source.recalled is not None:
        return Pieces(total=total, kept=None, parts={})
    then, now = _asked(source, source.cost_usd), _asked(run, total)
    # Measuring the answer's quality is paid for again, so it is the run's own.
    spared = source.cost_usd - then.parts["scoring"] - (total - now.parts["scoring"])
    return Pieces(total=total, kept=then.kept, parts={**then.parts, "cache": -spared, "scoring": now.parts["scoring"]})


def _asked(run: Run, total: float) -> Pieces:
    kept = run.answered if run.text is not None else None
    parts = {
        "cache": 0.0,
        "refused answers": 0.0,
        "failed calls": 0.0,
        "summaries": 0.0,
        "judging": 0.0,
        "scoring": 0.0,
    }
    for event in run.events:
        if isinstance(event, Answered) and event is not kept:
            parts["refused answers"] += _known(event.cost_usd)
        elif isinstance(event, Compacted):
            parts["summaries"] += _known(event.cost_usd)
        elif isinstance(event, Unanswered):
            # As `Run.cost_usd` has it: a refused connection costs nothing.
            parts["failed calls"] += _known(event.cost_usd) if event.text or event.cost_usd is not None else 0.0
        elif isinstance(event, Scored):
            parts["judging" if event.accepted is not None else "scoring"] += _known(event.cost_usd)
    call = Call(
        model="" if kept is None else kept.model,
        cost_usd=0.0 if kept is None else _known(kept.cost_usd),
        messages=run.messages,
        changes=tuple(_changes(run)),
    )
    return Pieces(total=total, kept=call, parts=parts)


def _changes(run: Run) -> list[tuple[str, int | None]]:
    found: list[tuple[str, int | None]] = []
    for event in run.events:
        if isinstance(event, Compacted):
            kind = "prompt" if event.policy.split(":")[0] in PROMPT else "context"
            counted = event.tokens_before is not None and event.tokens_after is not None
            found.append((kind, (event.tokens_after or 0) - (event.tokens_before or 0) if counted else None))
        elif isinstance(event, Retrieved):
            found.append(("context", event.tokens if event.chunks else 0))
    return found


def _known(cost: float | None) -> float:
    return math.nan if cost is None else cost
