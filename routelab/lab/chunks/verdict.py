"""Which chunking to use: chosen on one half of the questions by recall per context token, told of the other half."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routelab.lab.chunks.measures import Scores
from routelab.lab.chunks.questions import Ints
from routelab.lab.statistics import Estimate, non_inferiority, paired_difference

MARGIN = 0.05
RULE = (
    "of the arms whose recall on one half of the questions is at most {margin:g} below the best one's there, the one with the "
    "highest recall per context token; on the other half its recall must be shown to be at most {margin:g} below that one's"
)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The positions of the arm that the tune half names and of the one with the best recall there; what confirm says."""

    named: int
    best: int
    accepted: bool
    why: str
    versus: Mapping[str, Any]


def choice(names: Sequence[str], scores: Sequence[Scores], halves: tuple[Ints, Ints], margin: float = MARGIN) -> Choice:
    """Return the choice of the rule; intervals of the confirm half are over its questions, paired."""
    tune, confirm = ([s.only(half) for s in scores] for half in halves)
    recall = [float(s.recall.mean()) for s in tune]
    # Of equals the one with the larger context, so that what a smaller one saves is checked against it.
    best = max(range(len(names)), key=lambda i: (recall[i], float(tune[i].context_tokens.mean()), -i))
    near = [i for i in range(len(names)) if recall[i] >= recall[best] - margin]
    named = max(near, key=lambda i: (tune[i].recall_per_1k_tokens, -i))
    new, base = confirm[named], confirm[best]
    tokens = (float(new.context_tokens.mean()), float(base.context_tokens.mean()))
    gap = paired_difference(new.recall, base.recall)
    verdict = non_inferiority(gap, margin)
    versus = {
        "arm": names[best],
        "recall_delta": gap.value,
        "recall_delta_ci": _ends(gap),
        "token_ratio": tokens[0] / tokens[1] if tokens[1] else None,
        "verdict": verdict.verdict,
        "n_needed": verdict.n_needed,
    }
    told = f"recall {float(new.recall.mean()):.3f} with {tokens[0]:,.0f} tokens a question"
    if named == best:
        why = f"{names[named]} had both the best recall and, within {margin:g} of it, the best recall per token on the half that chose; on the other: {told}"
        return Choice(named=named, best=best, accepted=True, why=why, versus=versus)
    beside = f"{names[best]}, the best on the half that chose: {float(base.recall.mean()):.3f} with {tokens[1]:,.0f}"
    said = f"difference {gap.value:+.3f} {_shown(gap)}"
    if verdict.verdict == "non-inferior":
        why = (
            f"{names[named]} gives the most recall per token: {told} on the half that chose nothing ({beside}; {said})"
        )
        return Choice(named=named, best=best, accepted=True, why=why, versus=versus)
    more = "" if verdict.n_needed is None else f"; about {verdict.n_needed:,} questions would tell"
    verb = "loses recall" if verdict.verdict == "worse" else "is not shown to keep the recall"
    why = f"none: {names[named]}, the most recall per token, {verb} within {margin:g}: {told} ({beside}; {said}{more})"
    return Choice(named=named, best=best, accepted=False, why=why, versus=versus)


def _ends(estimate: Estimate) -> list[float] | None:
    return None if estimate.interval is None else list(estimate.interval)


def _shown(estimate: Estimate) -> str:
    return "" if estimate.interval is None else "[{:+.3f}, {:+.3f}]".format(*estimate.interval)
