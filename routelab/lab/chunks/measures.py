"""What a chunking's retrieval found, question by question: spans, ranks, and the tokens that the context costs.

Of a question, a passage is *relevant* when it holds at least one character of the answer. MRR is the mean of 1 / the rank of the
first relevant passage among the k (0 where there is none). nDCG weighs a passage by the share of the answer's characters it
holds: Σ gain / log2(rank + 1) over the same sum for the best k passages there are (Järvelin and Kekäläinen, ACM TOIS 20(4), 2002).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.core.ports import Floats
from routelab.core.values import Model
from routelab.lab.chunks.ledger import Ledger
from routelab.lab.chunks.questions import Questions
from routelab.lab.chunks.spans import Span, common, found, length, omega, union, without
from routelab.lab.statistics import Estimate, paired_difference
from routelab.providers.tokens import FACTORS, family
from routelab.retrieval import Passage

Ints: TypeAlias = NDArray[np.intp]
Stretches: TypeAlias = dict[str, list[Span]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """One value a question. `whole` is 1 where all of the answer was found, `hit` where any of it was.

    `context_tokens` are those of the passages merged, as `retrieval.assembled` merges them and without numbers and headings;
    `retrieved_tokens` those of the passages one by one. `recall_at` is the recall of a context of so many tokens, filled with
    passages in their order, the last one cut; `tokens_at` is what it really has.
    """

    recall: Floats
    precision: Floats
    iou: Floats
    omega: Floats
    reciprocal_rank: Floats
    ndcg: Floats
    hit: Floats
    whole: Floats
    context_tokens: Floats
    retrieved_tokens: Floats
    recall_at: Mapping[int, Floats]
    tokens_at: Mapping[int, Floats]

    def only(self, rows: Ints) -> Scores:
        """Return the scores of some questions."""
        made: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            made[field.name] = {b: v[rows] for b, v in value.items()} if isinstance(value, Mapping) else value[rows]
        return Scores(**made)

    @property
    def recall_per_1k_tokens(self) -> float:
        """Mean recall over mean context, per thousand tokens; 0 where nothing was retrieved."""
        tokens = float(self.context_tokens.mean())
        return 1000 * float(self.recall.mean()) / tokens if tokens else 0.0


def scored(
    questions: Questions,
    passages: Sequence[Passage],
    order: Sequence[Sequence[int]],
    ledger: Ledger,
    *,
    k: int,
    budgets: Sequence[int] = (),
) -> Scores:
    """Return the scores of retrievals: `order` are each question's passages by position, best first, k of them or more."""
    by_source = {name: [(p.start, p.end) for p in passages if p.source == name] for name in questions.corpora}
    ends = {name: np.array(spans, dtype=np.int64).reshape(-1, 2) for name, spans in by_source.items()}
    rows = []
    at: dict[int, list[tuple[float, float]]] = {budget: [] for budget in budgets}
    for source, wanted, ranked in zip(questions.sources, questions.spans, order, strict=True):
        near = [(int(a), int(b)) for a, b in ends[source][_meeting(ends[source], wanted)]]
        rows.append(_row(source, wanted, [passages[i] for i in ranked[:k]], near, ledger, k))
        for budget in budgets:
            filled, tokens = fill((passages[i] for i in ranked), ledger, budget)
            share = length(common(wanted, filled.get(source, ()))) / length(wanted)
            at[budget].append((share, float(tokens)))
    columns = np.array(rows, dtype=float).T
    names = [field.name for field in fields(Scores)][: len(columns)]
    return Scores(
        **dict(zip(names, columns, strict=True)),
        recall_at={b: np.array([share for share, _ in found]) for b, found in at.items()},
        tokens_at={b: np.array([tokens for _, tokens in found]) for b, found in at.items()},
    )


def fill(ranked: Iterable[Passage], ledger: Ledger, budget: int) -> tuple[Stretches, int]:
    """Return the stretches by source that passages in their order fill a context of `budget` tokens with, and its tokens.

    What an earlier passage has is not taken again; the passage that would pass the budget is cut.
    """
    covered: Stretches = {}
    used = 0
    for passage in ranked:
        have = covered.setdefault(passage.source, [])
        for part in without((passage.start, passage.end), have):
            needed = ledger.tokens(passage.source, part)
            if used + needed <= budget:
                have.append(part)
                used += needed
                continue
            end = ledger.reach(passage.source, part[0], budget - used)
            if end > part[0]:
                have.append((part[0], end))
                used += ledger.tokens(passage.source, (part[0], end))
            return covered, used
    return covered, used


def _meeting(spans: NDArray[np.int64], wanted: Sequence[Span]) -> NDArray[np.bool_]:
    """Return which spans meet or touch a wanted one."""
    mask = np.zeros(len(spans), dtype=bool)
    for start, end in wanted:
        mask |= np.maximum(spans[:, 0], start) <= np.minimum(spans[:, 1], end)
    return mask


def _row(
    source: str, wanted: Sequence[Span], hits: Sequence[Passage], near: Sequence[Span], ledger: Ledger, k: int
) -> tuple[float, ...]:
    """Return one question's scores in the order of `Scores`' fields."""
    stretches: Stretches = {}
    for hit in hits:
        stretches.setdefault(hit.source, []).append((hit.start, hit.end))
    here = stretches.get(source, [])
    elsewhere = sum(length(spans) for name, spans in stretches.items() if name != source)
    shares = found(wanted, here, elsewhere=elsewhere)
    sought = length(wanted)
    gains = [_gain(wanted, (h.start, h.end)) / sought if h.source == source else 0.0 for h in hits]
    best = sorted((_gain(wanted, span) / sought for span in near), reverse=True)[:k]
    first = next((rank for rank, gain in enumerate(gains, start=1) if gain > 0), None)
    ideal = _discounted(best)
    return (
        shares.recall,
        shares.precision,
        shares.iou,
        omega(wanted, near),
        0.0 if first is None else 1.0 / first,
        _discounted(gains) / ideal if ideal else 0.0,
        float(first is not None),
        float(length(common(wanted, here)) == length(union(wanted))),
        float(ledger.total({name: union(spans) for name, spans in stretches.items()})),
        float(ledger.total(stretches)),
    )


def _gain(wanted: Sequence[Span], span: Span) -> int:
    return length(common(wanted, [span]))


def _discounted(gains: Sequence[float]) -> float:
    return float(sum(gain / np.log2(rank + 1) for rank, gain in enumerate(gains, start=1)))


def usd_per_1000(tokens: float, models: Sequence[Model]) -> dict[str, float | None]:
    """Return what a thousand contexts of so many o200k_base tokens cost as input, by model; None where no price is known.

    Another family's tokens are those of o200k_base times its factor (`providers.tokens.FACTORS`).
    """
    return {
        model.name: None
        if model.price is None
        else 1000 * tokens * FACTORS[family(model)] * model.price.usd_per_mtok_in / 1e6
        for model in models
    }


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A mean difference over the same questions, with the interval over questions and the one clustered by source."""

    questions: Estimate
    sources: Estimate


def difference(new: Floats, base: Floats, clusters: Ints) -> Difference:
    """Return new − base, shares of 0 to 1 question by question; `clusters` are the questions' sources."""
    return Difference(questions=paired_difference(new, base), sources=paired_difference(new, base, clusters))
