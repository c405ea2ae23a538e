"""What moves a judge besides the answer: the order, the length, its own family, and the time of day.

Sources: Zheng et al. 2023 (arXiv 2306.05685: position, verbosity, self-enhancement), Shi et al. 2024 (2406.07791: position bias is
strongest when the answers are close), Panickssery et al. 2024 (2404.13076: self-preference).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from routelab.core.ports import Floats
from routelab.lab.judges.families import family
from routelab.lab.judges.judged import Duel, Judged, Mark, column, pairs
from routelab.lab.judges.robust import absent, influenced, logistic, numbered, slope
from routelab.lab.statistics import Estimate, quality_mean

ADJUSTED, UNADJUSTED = "at equal exact quality", "not adjusted for quality: no exact scores of these answers"


@dataclass(frozen=True, kw_only=True)
class WinRate:
    """How often a model's answer beats another's, as a judge sees it in both orders.

    `half` counts a pair whose orders disagree as a tie. `agreed` leaves such pairs out: disagreement = tie pulls every rate
    towards ½ by the share of disagreements, which hides losses as well as gains; of a judge that takes the first answer
    blindly now and then, `agreed` is the rate without that. `single` is what the first order alone would have said.
    """

    model: str
    other: str
    half: Estimate
    agreed: Estimate
    single: Estimate
    one_order: int
    """Pairs that were judged in one order only, and are left out."""


def win_rate(judgements: Judged, model: str, other: str) -> WinRate:
    """Return the rate at which `model` beats `other`; its estimates are NaN where nothing was judged in both orders."""
    found = [p for p in pairs(judgements.duels) if {p.a, p.b} == {model, other}]
    both = [p for p in found if p.both]
    if not both:
        nothing = absent(f"no answers of {model} and {other} were judged in both orders")
        return WinRate(model=model, other=other, half=nothing, agreed=nothing, single=nothing, one_order=len(found))

    def share(value: float, a: str) -> float:
        return value if a == model else 1.0 - value

    half = np.array([share(p.share, p.a) for p in both])
    first = np.array([share(float(np.mean(p.ab if p.a == model else p.ba)), p.a) for p in both])
    kept = np.array([p.agreed for p in both])
    clusters = [p.cluster for p in both]
    return WinRate(
        model=model,
        other=other,
        half=rate(half, clusters),
        agreed=rate(half[kept], [c for c, k in zip(clusters, kept, strict=True) if k])
        if kept.any()
        else absent("no pair was judged alike in both orders", len(both)),
        single=rate(first, clusters),
        one_order=len(found) - len(both),
    )


def swap_flips(judgements: Judged) -> Estimate:
    """Return the share of pairs on which the judge's verdict is another one when the two answers change places.

    Ties count as verdicts: a win that becomes a tie is a flip. NaN when nothing was judged in both orders.
    """
    both = [p for p in pairs(judgements.duels) if p.both]
    if not both:
        return absent("no pair of answers was judged in both orders")
    return rate(np.array([float(not p.agreed) for p in both]), [p.cluster for p in both])


def first_position(judgements: Judged) -> Estimate:
    """Return the rate at which the answer shown first wins, ties as halves, over pairs judged in both orders.

    ½ is fair whatever the answers are worth, because each answer stands first once.
    """
    both = [p for p in pairs(judgements.duels) if p.both]
    if not both:
        return absent("no pair of answers was judged in both orders")
    shares = np.array([(float(np.mean(p.ab)) + 1.0 - float(np.mean(p.ba))) / 2 for p in both])
    return rate(shares, [p.cluster for p in both])


def length_slope(judgements: Judged) -> Estimate:
    """Return how a judge's verdict changes when an answer is twice as long; which scale it is on, the method says.

    Duels (preferred): the log-odds of winning for an answer twice as long as the other, from a logistic regression of the
    verdict on the difference of log₂ lengths and an intercept, the order's own effect. Marks: the change of quality (0..1)
    an answer, within prompts and models. Both hold the exact quality fixed where every judged answer has one.
    """
    if any(d.first_share is not None for d in judgements.duels):
        return _slope_of_duels(judgements.duels)
    if any(m.quality is not None for m in judgements.marks):
        return _slope_of_marks(judgements.marks)
    return absent("there are no verdicts")


def repeat_change(judgements: Judged) -> Estimate:
    """Return the mean absolute difference between two marks that one judge gave the same answer; NaN without repeats."""
    given: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    cluster: dict[tuple[str, str, str], str] = {}
    for mark in judgements.marks:
        if mark.quality is not None:
            key = (mark.judge, mark.prompt_id, mark.model)
            given[key].append(mark.quality)
            cluster[key] = mark.cluster
    repeated = {key: values for key, values in given.items() if len(values) > 1}
    if not repeated:
        return absent("no answer was judged twice in the same way")
    gaps = [
        float(np.abs(np.subtract.outer(v, v)).sum() / (len(v) * (len(v) - 1))) for v in map(np.array, repeated.values())
    ]
    return rate(np.array(gaps), [cluster[key] for key in repeated])


def self_family(judgements: Judged, judge: str, families: Mapping[str, str] | None = None) -> Estimate:
    """Return how much better a judge treats its own family than others: mean excess on own answers minus on others'.

    The excess is its mark (or share of a duel) minus the truth, else minus what judges of other families gave the same answer.
    `families` overrules the families that names suggest. NaN, with the reason and the raw gap, when there is nothing to compare with:
    a judge's family may simply be better.
    """
    kin = {**{n: family(n) for n in (*judgements.judges, *judgements.models)}, **(families or {})}
    own = kin.get(judge)
    if own is None:
        return absent(f"the family of {judge} is not known (pass families={{'{judge}': ...}})")
    mine, peers = judgements.by(judge), [j for j in judgements.judges if kin.get(j) is not None and kin[j] != own]
    if not any(kin.get(m) == own for m in mine.models):
        return absent(f"no answer is of the judge's own family ({own})")
    if all(kin.get(m) == own for m in mine.models):
        return absent(f"every answer is of the judge's own family ({own})")
    rows = _excess_of_marks(judgements, judge, kin, peers) or _excess_of_duels(judgements, judge, kin, peers)
    sided = [r for r in rows if r.own is not None]
    compared = [r for r in sided if r.reference is not None]
    if not any(r.own for r in compared) or all(r.own for r in compared):
        gap = _gap(sided, raw=True)
        raw = "" if gap is None else f"; the raw gap is {gap.value:+.3f}, real quality included"
        return absent(f"neither exact scores nor a judge of another family to compare with{raw}", len(sided))
    found = _gap(compared, raw=False)
    assert found is not None
    return found


def rate(values: Floats, labels: Sequence[str]) -> Estimate:
    """Return the mean of shares in 0..1 with its interval, clustered where a label comes more than once."""
    clusters = numbered(labels)
    return quality_mean(values, clusters if len(set(labels)) < len(labels) else None)


def _slope_of_duels(duels: Sequence[Duel]) -> Estimate:
    rows = [d for d in duels if d.first_share is not None and d.first_chars is not None and d.second_chars is not None]
    if not rows:
        return absent("no lengths of the answers are known")
    y = column(rows, lambda d: d.first_share)
    longer = column(rows, lambda d: _doublings(d.first_chars) - _doublings(d.second_chars))
    gap = column(
        rows,
        lambda d: None if d.first_truth is None or d.second_truth is None else d.first_truth - d.second_truth,
    )
    parts, said = [longer, np.ones(len(rows))], UNADJUSTED
    if np.isfinite(gap).all():
        said = ADJUSTED
        if np.ptp(gap) > 0:
            parts.append(gap)
    found = logistic(y, np.column_stack(parts), numbered([d.cluster for d in rows]))[0]
    return _noted(found, "log-odds of winning per doubling of the length", said)


def _slope_of_marks(marks: Sequence[Mark]) -> Estimate:
    rows = [m for m in marks if m.quality is not None and m.chars is not None]
    if not rows:
        return absent("no lengths of the answers are known")
    y = column(rows, lambda m: m.quality)
    x = column(rows, lambda m: _doublings(m.chars))
    truth = column(rows, lambda m: m.truth)
    models = numbered([m.model for m in rows])
    others = [(models == k).astype(float) for k in range(1, int(models.max()) + 1)]
    said = UNADJUSTED
    if np.isfinite(truth).all():
        said = ADJUSTED
        others.append(truth)
    prompts = numbered([m.prompt_id for m in rows])
    counts = np.bincount(prompts)
    if (counts > 1).any():
        # Between prompts, length goes with what was asked: only answers to the same prompt say what length alone does.
        kept = counts[prompts] > 1
        y, x, *others = (_centred(v[kept], prompts[kept]) for v in (y, x, *others))
        rows = [r for r, k in zip(rows, kept, strict=True) if k]
        how = "quality per doubling of the length, within prompts and models"
    else:
        others.append(np.ones(len(rows)))
        how = "quality per doubling of the length, between prompts"
    design = np.column_stack(others) if others else np.empty((len(rows), 0))
    return _noted(slope(y, x, design, numbered([m.cluster for m in rows])), how, said)


def _doublings(chars: int | None) -> float:
    return math.nan if chars is None else math.log2(max(1, chars))


def _centred(values: Floats, groups: np.ndarray) -> Floats:
    sums, sizes = np.bincount(groups, weights=values), np.bincount(groups)
    return np.asarray(values - sums[groups] / np.maximum(sizes, 1)[groups])


def _noted(estimate: Estimate, method: str, note: str) -> Estimate:
    if np.isnan(estimate.value):
        return estimate
    said = "; ".join(part for part in (note, estimate.note) if part)
    return Estimate(**{**estimate.__dict__, "method": method, "note": said})


@dataclass(frozen=True, kw_only=True)
class _Excess:
    own: bool | None
    given: float
    reference: float | None
    cluster: str


def _excess_of_marks(
    judgements: Judged, judge: str, kin: Mapping[str, str | None], peers: Sequence[str]
) -> list[_Excess]:
    others: dict[tuple[str, str], list[float]] = defaultdict(list)
    for mark in judgements.marks:
        if mark.judge in peers and mark.quality is not None:
            others[mark.prompt_id, mark.model].append(mark.quality)
    rows = []
    for mark in judgements.marks:
        if mark.judge == judge and mark.quality is not None:
            there = others.get((mark.prompt_id, mark.model))
            reference = mark.truth if mark.truth is not None else float(np.mean(there)) if there else None
            own = None if kin.get(mark.model) is None else kin[mark.model] == kin[judge]
            rows.append(_Excess(own=own, given=mark.quality, reference=reference, cluster=mark.cluster))
    return rows


def _excess_of_duels(
    judgements: Judged, judge: str, kin: Mapping[str, str | None], peers: Sequence[str]
) -> list[_Excess]:
    """Return one row an answer: its share of the duel against what the truth, or judges of other families, would give it."""
    theirs: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for duel in judgements.duels:
        if duel.judge in peers and duel.first_share is not None:
            theirs[duel.prompt_id, duel.first, duel.second].append(duel.first_share)
            theirs[duel.prompt_id, duel.second, duel.first].append(1.0 - duel.first_share)
    rows = []
    for duel in judgements.duels:
        if duel.judge != judge or duel.first_share is None:
            continue
        there = theirs.get((duel.prompt_id, duel.first, duel.second))
        fair = float(np.mean(there)) if there else None
        if duel.first_truth is not None and duel.second_truth is not None:
            fair = 0.5 + 0.5 * float(np.sign(duel.first_truth - duel.second_truth))
        for model, given, reference in (
            (duel.first, duel.first_share, fair),
            (duel.second, 1.0 - duel.first_share, None if fair is None else 1.0 - fair),
        ):
            own = None if kin.get(model) is None else kin[model] == kin[judge]
            rows.append(_Excess(own=own, given=given, reference=reference, cluster=duel.cluster))
    return rows


def _gap(rows: Sequence[_Excess], *, raw: bool) -> Estimate | None:
    excess = np.array([r.given - (0.0 if raw else r.reference or 0.0) for r in rows])
    own = np.array([bool(r.own) for r in rows])
    if not own.any() or own.all():
        return None
    mine, other = float(excess[own].mean()), float(excess[~own].mean())
    pull = np.where(own, (excess - mine) / own.sum(), -(excess - other) / (~own).sum())
    found = influenced(mine - other, pull, numbered([r.cluster for r in rows]))
    return _noted(found, "mean excess on the own family − on others", "")
