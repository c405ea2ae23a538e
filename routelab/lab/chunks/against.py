"""Arms against a baseline arm: the difference in recall, paired by question, at k passages or at a context of equal tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from routelab.core.errors import ConfigError, suggest
from routelab.core.ports import Floats
from routelab.lab.chunks.bench import ChunksBench
from routelab.lab.chunks.measures import Difference, Scores, difference
from routelab.lab.chunks.questions import Questions
from routelab.lab.chunks.verdict import MARGIN
from routelab.lab.significance import holm
from routelab.lab.statistics import TOO_FEW_CLUSTERS, Estimate, mean, non_inferiority, quality_mean
from routelab.present import Table, signed

Told: TypeAlias = Literal["baseline", "better", "as good", "worse", "not told apart"]
ALPHA = 0.025
"""One-sided, as the 95 % intervals have it."""
HEAD = ("arm", "recall − baseline", "by question", "by source", "context tokens", "verdict")


@dataclass(frozen=True, kw_only=True)
class Against:
    """An arm beside the baseline: what its recall is more, its context over the baseline's, and what may be said.

    "better" and "as good" (not below by the margin or more) are told where Holm's p value over all arms says so; "worse" where
    the whole interval is below 0. `n_needed` are the questions that would tell, where that is known.
    """

    arm: str
    gap: Difference
    token_ratio: float | None
    told: Told
    n_needed: int | None = None


def at_context(scores: Scores, at: int | None) -> tuple[Floats, Floats]:
    """Return recall and context tokens by question: of k passages where `at` is None, else of a context filled to so many tokens."""
    if at is None:
        return scores.recall, scores.context_tokens
    if at not in scores.recall_at:
        raise ConfigError(
            f"no context of {at} tokens was filled", hint=f"one of {', '.join(map(str, scores.recall_at)) or 'none'}"
        )
    return scores.recall_at[at], scores.tokens_at[at]


def interval_of(values: Floats, questions: Questions) -> Estimate:
    """Return the mean of shares with its interval: clustered by source where there are five or more, else over questions."""
    few = questions.asked_about < TOO_FEW_CLUSTERS
    return quality_mean(values) if few else quality_mean(values, questions.clusters)


def tokens_of(values: Floats, questions: Questions) -> Estimate:
    """Return the mean of counts with its interval, clustered as `interval_of` does."""
    few = questions.asked_about < TOO_FEW_CLUSTERS
    return mean(values) if few else mean(values, questions.clusters)


def against(
    found: ChunksBench, questions: Questions, baseline: str, *, at: int | None = None, margin: float = MARGIN
) -> tuple[Against, ...]:
    """Return every arm beside the baseline, in the order of the arms.

    Arms that cut alike count once for Holm's correction. Raises ConfigError for an unknown baseline or context.
    """
    if baseline not in found.scores:
        near = suggest(baseline, list(found.scores))
        raise ConfigError(f"there is no arm '{baseline}'" + ("" if near is None else f"; {near}"))
    base, base_tokens = at_context(found.scores[baseline], at)
    same = {str(arm["name"]): str(arm["same_as"] or arm["name"]) for arm in found.arms}
    names = list(same)
    gaps = {name: difference(at_context(found.scores[name], at)[0], base, questions.clusters) for name in names}
    tested = [name for name in names if same[name] == name and same[baseline] != name]
    said = {name: non_inferiority(gaps[name].questions, margin) for name in tested}
    better = _adjusted(tested, [said[name].p_better for name in tested])
    as_good = _adjusted(tested, [said[name].p for name in tested])
    made = []
    for name in names:
        first = same[name]
        tokens = float(at_context(found.scores[name], at)[1].mean())
        ratio = tokens / float(base_tokens.mean()) if float(base_tokens.mean()) else None
        if first == same[baseline]:
            made.append(Against(arm=name, gap=gaps[name], token_ratio=ratio, told="baseline"))
            continue
        told: Told = "not told apart"
        if better[first] <= ALPHA:
            told = "better"
        elif as_good[first] <= ALPHA:
            told = "as good"
        elif said[first].verdict == "worse":
            told = "worse"
        needed = said[first].n_needed if told == "not told apart" else None
        made.append(Against(arm=name, gap=gaps[name], token_ratio=ratio, told=told, n_needed=needed))
    return tuple(made)


def table(rows: Sequence[Against], *, baseline: str, what: str, margin: float = MARGIN) -> Table:
    """Return a row an arm; `what` says at which context, such as "5 passages"."""
    cells = [
        (
            row.arm,
            "–" if row.told == "baseline" else f"{signed(row.gap.questions.value)} points",
            "–" if row.told == "baseline" else ends(row.gap.questions),
            "–" if row.told == "baseline" else ends(row.gap.sources),
            "?" if row.token_ratio is None else f"× {row.token_ratio:.2f}",
            row.told + (f" (about {row.n_needed:,} questions would tell)" if row.n_needed else ""),
        )
        for row in rows
    ]
    notes = (
        f"Recall at {what}; 95 % intervals of the difference in points, paired by question, and clustered by source. Better, or as good (at most "
        f"{100 * margin:g} points below): Holm's correction over the arms, by question. The tokens are those of the context over the baseline's.",
    )
    return Table(
        head=HEAD, rows=cells, numbers=frozenset({1, 2, 3, 4}), caption=f"against {baseline}, at {what}", notes=notes
    )


def ends(estimate: Estimate) -> str:
    """Return an interval of differences in points, "?" where there is none."""
    if estimate.low is None or estimate.high is None:
        return "?"
    return f"[{signed(estimate.low)}, {signed(estimate.high)}]"


def _adjusted(names: Sequence[str], p: Sequence[float]) -> dict[str, float]:
    return dict(zip(names, holm(np.array(p, dtype=float)).tolist(), strict=True)) if names else {}
