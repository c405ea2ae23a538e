"""Which arms of a comparison a chart shows, how they are called there, and what its caption must say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from routelab.core.values import Prompt
from routelab.lab.charts.look import PALETTE, Mark, marks
from routelab.lab.compare import Arm, Comparison, same
from routelab.lab.outcomes import Ints
from routelab.lab.statistics import Estimate
from routelab.present import interval, percent, safe

Role = Literal["winner", "baseline", "arm"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """An arm with its part in the comparison and the name that a chart gives it, which says the part in words."""

    arm: Arm
    role: Role
    name: str


def everyone(comparison: Comparison) -> tuple[Shown, ...]:
    """Return every arm in order; a baseline that is none of them comes first."""
    winner = comparison.winner()
    listed = any(arm is comparison.baseline or arm.name == comparison.baseline.name for arm in comparison.arms)
    arms = comparison.arms if listed else (comparison.baseline, *comparison.arms)
    found: list[Shown] = []
    for arm in arms:
        role: Role = (
            "winner"
            if winner is not None and arm.name == winner.name
            else "baseline"
            if arm.name == comparison.baseline.name
            else "arm"
        )
        found.append(Shown(arm=arm, role=role, name=spoken(arm, role)))
    return tuple(found)


def spoken(arm: Arm, role: Role) -> str:
    """Return the arm's name with its part: a star for the winner, "baseline" and its model for the baseline."""
    if role == "winner":
        return f"★ {arm.name} (winner)"
    if role == "baseline":
        model = f": {arm.config}" if isinstance(arm.config, str) and arm.config != arm.name else ""
        return f"{arm.name}{model} (baseline)"
    return arm.name


def chosen(comparison: Comparison, limit: int) -> tuple[tuple[Shown, ...], int]:
    """Return at most `limit` arms in their order, and how many are left out.

    First come the winner, the baseline, what tuning nominated, and then the best in quality; arms that gave the same answers as
    one that is shown already come last.
    """
    shown = everyone(comparison)
    kept = _ranked(comparison, shown)[:limit]
    return tuple(item for item in shown if item in kept), len(shown) - len(kept)


def _ranked(comparison: Comparison, shown: Sequence[Shown]) -> list[Shown]:
    nominated = comparison.terms.nominated or ()
    distinct = unlike(shown)

    def rank(item: Shown) -> tuple[int, float]:
        place = 1 if item.arm.name in nominated else 2
        quality = item.arm.figures.quality
        best = -(quality.value if quality is not None else 0.0)
        return (0 if item.role != "arm" else place if item in distinct else 3, best)

    return sorted(shown, key=rank)


def marks_of(comparison: Comparison) -> Mapping[str, Mark]:
    """Return the mark of every arm, by its name and by the name that charts give it: the same one in every chart and panel.

    As many arms as there are colours are marked in their order; of more, those that charts draw first come first.
    """
    shown = everyone(comparison)
    order = shown if len(shown) <= len(PALETTE) else _ranked(comparison, shown)
    own = marks([item.name for item in order])
    return {name: own[item.name] for item in order for name in (item.arm.name, item.name)}


def unlike(shown: Sequence[Shown]) -> tuple[Shown, ...]:
    """Return the arms that gave other answers than every one before them; the winner and the baseline in any case."""
    first = [item for item in shown if item.role != "arm"]
    for item in shown:
        if item.role == "arm" and not any(same(item.arm.walked, other.arm.walked) for other in first):
            first.append(item)
    return tuple(item for item in shown if item in first)


def titled(text: str, simulated: bool | None) -> str:
    """Return a title that says when the data are simulated; None: some of them."""
    return text if simulated is False else f"{text} · simulated" if simulated else f"{text} · partly simulated"


def caption(comparison: Comparison, *more: str, intervals: bool = True, costs: bool = True) -> str:
    """Return what the figures rest on: data set, n and split, intervals, kinds of cost, and what else must be said."""
    terms = comparison.terms
    kinds = [k for k in terms.cost_kinds if k != "recorded"] if costs else []
    parts = [
        terms.dataset or "",
        f"n = {many(terms.confirm, 'confirm prompt' if terms.tune else 'prompt')}",
        "95 % intervals" if intervals else "",
        f"costs: {' and '.join(COST_KINDS.get(k, k) for k in kinds)}" if kinds else "",
        "simulated models: no figure here says anything about a real one" if terms.simulated else "",
        *more,
    ]
    return sentence(*parts)


def sentence(*parts: str) -> str:
    """Return the parts that say something as one sentence, without what a name could do to a terminal."""
    return safe("; ".join(part for part in parts if part))


COST_KINDS = {"tokens_x_listprice": "tokens × list price", "estimated": "estimated"}


def left_out(hidden: int, limit: int) -> str:
    """Return the clause that announces arms which are not drawn, or nothing."""
    return f"{many(hidden, 'more arm')} not drawn (limit={limit + hidden} draws all)" if hidden else ""


def many(n: int, thing: str) -> str:
    """Return how many of a thing, in the singular for one.

    >>> many(1, "call"), many(1200, "call")
    ('1 call', '1,200 calls')
    """
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def prompts_of(comparison: Comparison) -> Sequence[Prompt]:
    """Return the prompts that the arms' walks are about, in their order; empty when they were not kept."""
    if comparison.outcomes is not None:
        return comparison.outcomes.prompts
    kept: Sequence[Prompt] = getattr(comparison, "prompts", None) or ()
    return kept


def clusters_of(comparison: Comparison) -> Ints | None:
    """Return the cluster of each prompt, or None when no prompt names a group."""
    if comparison.outcomes is not None:
        return comparison.outcomes.clusters
    groups = [p.group for p in prompts_of(comparison)]
    if all(g is None for g in groups):
        return None
    names = [("group", g) if g is not None else ("prompt", str(i)) for i, g in enumerate(groups)]
    seen = {name: k for k, name in enumerate(dict.fromkeys(names))}
    return np.array([seen[name] for name in names], dtype=np.intp)


def quality_text(estimate: Estimate | None) -> str:
    """Return a quality in per cent with its interval, "?" when not scored."""
    return "?" if estimate is None else f"{percent(estimate.value)} {interval(estimate.low, estimate.high)}"
