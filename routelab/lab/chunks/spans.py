"""Stretches of a text as (from, to): what several cover together, and what one retrieval found of what was wanted.

The four measures are those of chunking_evaluation (Smith and Troynikov, "Evaluating Chunking Strategies for Retrieval",
Chroma technical report, July 2024; code brandonstarxel/chunking_evaluation at d451fc4, `base_evaluation.py`), in characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]


def length(spans: Iterable[Span]) -> int:
    """Return how many characters the spans have, each counted by itself."""
    return sum(end - start for start, end in spans)


def union(spans: Iterable[Span]) -> list[Span]:
    """Return what the spans cover, in ascending order; those that overlap or touch become one.

    >>> union([(5, 9), (0, 3), (3, 4), (8, 12)])
    [(0, 4), (5, 12)]
    """
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def common(one: Iterable[Span], other: Iterable[Span]) -> list[Span]:
    """Return what both cover, as a union.

    >>> common([(0, 4), (6, 9)], [(3, 7)])
    [(3, 4), (6, 7)]
    """
    first, second = union(one), union(other)
    found: list[Span] = []
    i = j = 0
    while i < len(first) and j < len(second):
        start, end = max(first[i][0], second[j][0]), min(first[i][1], second[j][1])
        if start < end:
            found.append((start, end))
        if first[i][1] < second[j][1]:
            i += 1
        else:
            j += 1
    return found


def without(span: Span, covered: Iterable[Span]) -> list[Span]:
    """Return the parts of a span that the others do not cover, in ascending order.

    >>> without((0, 10), [(2, 4), (8, 12)])
    [(0, 2), (4, 8)]
    """
    left: list[Span] = []
    at, end = span
    for start, stop in union(covered):
        if stop <= at:
            continue
        if start >= end:
            break
        if start > at:
            left.append((at, start))
        at = max(at, stop)
    return [*left, (at, end)] if at < end else left


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a retrieval found of the wanted spans: shares of 0 to 1."""

    recall: float
    precision: float
    iou: float


def found(wanted: Sequence[Span], retrieved: Sequence[Span], *, elsewhere: int = 0) -> Found:
    """Return recall, precision and intersection over union of the spans retrieved from the wanted spans' source.

    With C the wanted characters that are retrieved, each once: recall = C / length of the wanted spans, precision = C /
    length of all that was retrieved, IoU = C / (length of all that was retrieved + wanted characters that were not). What is
    retrieved twice counts twice below the line, and `elsewhere` is the length of what was retrieved from other sources.
    """
    both = length(common(wanted, retrieved))
    paid = length(retrieved) + elsewhere
    missed = sum(end - start - length(common([(start, end)], retrieved)) for start, end in wanted)
    sought = length(wanted)
    return Found(
        recall=both / sought if sought else 0.0,
        precision=both / paid if paid else 0.0,
        iou=both / (paid + missed) if paid + missed else 0.0,
    )


def omega(wanted: Sequence[Span], passages: Sequence[Span]) -> float:
    """Return precision-Ω: the precision of a retrieval that finds every passage with a wanted span, and nothing else.

    C / (characters of the passages that meet a wanted span, each once, with wanted characters that are in none of them). As
    there, a passage that only touches a wanted span, sharing no character, meets it.
    """
    meeting = [p for p in passages if any(max(p[0], w[0]) <= min(p[1], w[1]) for w in wanted)]
    both = length(common(wanted, meeting))
    below = length(union([*meeting, *wanted]))
    return both / below if both else 0.0
