"""Answers as labels: precision, recall and F1 of what models chose, where a prompt has one right label among several."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routelab.core.errors import ConfigError
from routelab.core.ports import Floats
from routelab.core.values import Prompt
from routelab.lab.outcomes import Ints
from routelab.lab.statistics import Estimate, mean, quality_mean
from routelab.present import Table
from routelab.scoring.choice import Choice

MOST_LABELS, LEAST_EACH = 50, 5
"""References are taken as labels when a task has 2 to 50 different ones, each of 5 prompts on average."""


@dataclass(frozen=True, kw_only=True)
class Label:
    """One label: how many prompts have it, how many answers chose it, and precision, recall and F1 (None: undefined)."""

    label: str
    wanted: int
    chosen: int
    precision: float | None
    recall: float | None
    f1: float


@dataclass(frozen=True, kw_only=True)
class Classified:
    """How well answers name the right label.

    `macro_f1` is the mean F1 over the labels that occur (wanted or chosen), `micro_f1` that of all of them together, 2·right /
    (wanted + chosen). An answer that names no label, or several, chose none (`none` counts them): it is missing from its
    label's recall and from nobody's precision. Intervals are by the delta method, clustered where there are clusters.
    """

    n: int
    none: int
    accuracy: Estimate
    macro_f1: Estimate
    micro_f1: Estimate
    labels: tuple[Label, ...]

    def table(self, caption: str = "") -> Table:
        """Return one row a label."""

        def share(value: float | None) -> str:
            return "–" if value is None else f"{value:.3f}"

        rows = [
            (x.label, f"{x.wanted:,}", f"{x.chosen:,}", share(x.precision), share(x.recall), share(x.f1))
            for x in self.labels
        ]
        return Table(
            head=("label", "wanted", "chosen", "precision", "recall", "F1"),
            rows=rows,
            numbers=frozenset(range(1, 6)),
            caption=caption,
            notes=(f"{self.none:,} of {self.n:,} answers name no label or several",) if self.none else (),
        )


def classified(wanted: Sequence[str], chosen: Sequence[str | None], clusters: Ints | None = None) -> Classified:
    """Return precision, recall and F1 of choices; None chose nothing. Raises ValueError for no prompts."""
    if not wanted or len(wanted) != len(chosen):
        raise ValueError("classification needs one choice a prompt, and at least one")
    names = sorted({*wanted, *(c for c in chosen if c is not None)})
    at = {name: k for k, name in enumerate(names)}
    w = np.array([at[x] for x in wanted], dtype=np.intp)
    c = np.array([-1 if x is None else at[x] for x in chosen], dtype=np.intp)
    said, right = c >= 0, (c == w).astype(float)
    count = len(names)
    wants, chooses = np.bincount(w, minlength=count), np.bincount(c[said], minlength=count)
    hits = np.bincount(w, weights=right, minlength=count)
    f1 = 2 * hits / (wants + chooses)
    # Influence of each prompt on Σ_l F1_l / L: F1 is a ratio of sums, 2·hits / (wants + chooses).
    pull = (2 * right - f1[w]) / (wants + chooses)[w]
    pull[said] -= f1[c[said]] / (wants + chooses)[c[said]]
    n = len(w)
    total = n + int(said.sum())
    micro = 2 * float(right.sum()) / total
    return Classified(
        n=n,
        none=n - int(said.sum()),
        accuracy=quality_mean(right, clusters),
        macro_f1=_ratio(float(f1.mean()), pull * n / count, clusters),
        micro_f1=_ratio(micro, (2 * right - micro * (1.0 + said)) * n / total, clusters),
        labels=tuple(
            Label(
                label=name,
                wanted=int(wants[k]),
                chosen=int(chooses[k]),
                precision=float(hits[k] / chooses[k]) if chooses[k] else None,
                recall=float(hits[k] / wants[k]) if wants[k] else None,
                f1=float(f1[k]),
            )
            for k, name in enumerate(names)
        ),
    )


def choices(prompts: Sequence[Prompt]) -> list[Choice | None]:
    """Return who reads a label out of an answer to each prompt, None where a prompt is no classification.

    A prompt with a scorer says so itself (kind `choice`). Without one its reference counts as a label when those of its task
    are few and come again and again, as the letters of a multiple choice do.
    """
    by_task: dict[str | None, list[int]] = defaultdict(list)
    for i, prompt in enumerate(prompts):
        if prompt.scorer is None and prompt.reference is not None:
            by_task[prompt.task].append(i)
    found: list[Choice | None] = [_own(prompt) for prompt in prompts]
    for rows in by_task.values():
        options = tuple(sorted({str(prompts[i].reference).strip() for i in rows}))
        if not 2 <= len(options) <= min(MOST_LABELS, len(rows) // LEAST_EACH):
            continue
        for i in rows:
            found[i] = _choice(str(prompts[i].reference).strip(), options)
    return found


def label(choice: Choice) -> str:
    """Return the right label as the options spell it."""
    return next((o for o in choice.options if _plain(o) == _plain(choice.answer)), choice.answer)


def chosen(choice: Choice, answer: str) -> str | None:
    """Return the one label that an answer names, or None when it names none or several."""
    named = choice.named(answer)
    return named[0] if len(named) == 1 else None


def _own(prompt: Prompt) -> Choice | None:
    scorer = prompt.scorer
    if scorer is None or scorer.get("kind") != "choice":
        return None
    answer, options = scorer.get("answer"), scorer.get("options")
    if not isinstance(answer, str) or not isinstance(options, (list, tuple)):
        return None
    return _choice(answer, tuple(options))


def _choice(answer: str, options: tuple[str, ...]) -> Choice | None:
    try:
        return Choice(answer=answer, options=options)
    except ConfigError:
        return None  # references that differ by case or spaces only are no set of labels


def _plain(option: str) -> str:
    return re.sub(r"[\s_-]+", " ", option).casefold().strip()


def _ratio(value: float, influence: Floats, clusters: Ints | None) -> Estimate:
    spread = mean(value + influence, clusters)
    ends = (None, None) if spread.low is None or spread.high is None else (spread.low, spread.high)
    return Estimate(
        value=value,
        low=None if ends[0] is None else max(0.0, ends[0]),
        high=None if ends[1] is None else min(1.0, ends[1]),
        se=spread.se,
        n=spread.n,
        clusters=spread.clusters,
        method="delta" if clusters is None else "clustered delta",
        note=spread.note,
    )
