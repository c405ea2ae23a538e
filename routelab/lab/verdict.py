"""What to do, as one sentence: adopt an arm, keep the baseline, ask more prompts, or do not route at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from routelab.core.plan import NOBODY
from routelab.lab.compare import ALPHA, Arm, Comparison, Terms, same
from routelab.lab.controls import best_single, cheapest, mean_costs, mean_qualities, zero_router
from routelab.lab.statistics import Estimate

if TYPE_CHECKING:
    from routelab.lab.offpolicy import OffPolicy


def decide(comparison: Comparison) -> tuple[Arm | None, str]:
    """Return the winner or None, and the sentence that says why.

    A winner is non-inferior at the margin after Holm's correction and cheaper (the whole interval of its cost ratio
    lies below 1), or better in quality after the correction at a known cost that is no higher. Of several nominated ones,
    the one that was cheapest on tune (then the better there, then the first nominated): the margin is the loss that was
    declared to be none, and the correction is over all of them, so tune may choose. Where nothing was nominated, the
    cheapest among those whose quality is within the margin of the best one's; see `standing`.
    """
    arm, sentence = _decided(comparison)
    if comparison.terms.anytime:
        sentence = f"{sentence}; anytime-valid: it holds although the trial was watched and could stop"
    return arm, f"simulated: {sentence}" if comparison.terms.simulated else sentence


def cheaper(arm: Arm) -> bool:
    """Say that the arm's cost is known and lies below the baseline's with its whole interval."""
    ratio = arm.figures.cost_ratio
    return ratio is not None and ratio.high is not None and ratio.high < 1


def adoptable(arm: Arm) -> bool:
    """Say that the arm is no worse by the margin and cheaper, or better at no higher cost."""
    f = arm.figures
    if f.against is None or f.p_adopt_adjusted is None:
        return False
    if f.against.verdict == "non-inferior" and f.p_adopt_adjusted <= ALPHA and cheaper(arm):
        return True
    better = f.p_better_adjusted is not None and f.p_better_adjusted <= ALPHA
    return better and f.cost_ratio is not None and f.cost_ratio.value <= 1


def _decided(comparison: Comparison) -> tuple[Arm | None, str]:
    terms = comparison.terms
    shaky = _unidentified(comparison)
    if shaky is not None:
        return None, f"nothing is called a winner: {shaky}"
    lone = _one_for_all(comparison)
    if not terms.final:
        advice = "" if lone is None else f"; on these figures, do not route: {lone}"
        return None, f"nothing is called a winner: {_unsettled(comparison)}{advice}"
    able = [a for a in _contenders(comparison) if adoptable(a)]
    if able:
        winner = _chosen(able, terms)
        return winner, _adopt(winner, comparison)
    if lone is not None:
        return None, f"do not route: {lone}; keep the baseline {_label(comparison.baseline)}"
    return None, _keep(comparison)


def _unsettled(comparison: Comparison) -> str:
    terms = comparison.terms
    if terms.pending is not None:
        return terms.pending
    if comparison.outcomes is None and not comparison.estimates:
        return f"only {terms.confirm:,} prompts were finished by every arm"
    return f"there is no confirm split, the arms were looked at on all {terms.confirm:,} prompts"


def _unidentified(comparison: Comparison) -> str | None:
    """Return why logged choices cannot settle anything: the baseline's estimate is too weak, or every other arm's is."""
    estimates, base = comparison.estimates, comparison.baseline.name
    weak = {name: _weak(found) for name, found in estimates.items() if not found.settles}
    others = [arm.name for arm in comparison.arms if arm.name != base]
    if base in weak:
        return f"the baseline {_label(comparison.baseline)} is {weak[base]}"
    if not others or any(name not in weak for name in others):
        return None
    return f"{others[0]} is {weak[others[0]]}" + (
        f", nor can another of the {len(others)} arms be judged" if len(others) > 1 else ""
    )


def _weak(found: OffPolicy) -> str:
    if found.refused is None:
        return f"estimated from an effective {found.ess:.0f} prompts only; log more choices like its own"
    words = found.refused
    return words if words.startswith("not identifiable") else f"not identifiable: {words}"


def _contenders(comparison: Comparison) -> list[Arm]:
    """Return the arms that may win: nominated, identifiable where choices were logged, not the baseline under another name."""
    nominated = comparison.terms.nominated
    return [
        arm
        for arm in comparison.arms
        if (nominated is None or arm.name in nominated)
        and not same(arm.walked, comparison.baseline.walked)
        and (arm.name not in comparison.estimates or comparison.estimates[arm.name].settles)
    ]


def standing(arms: Sequence[Arm]) -> dict[str, tuple[float, float]]:
    """Return (quality, cost a call) of each arm to choose by: on tune, or as reported unless tune speaks for all of them.

    A quality that is not known is 0 and a cost infinite. Two arms are never compared by different prompts.
    """

    def known(quality: float | None, cost: float | None) -> tuple[float, float]:
        return 0.0 if quality is None else quality, np.inf if cost is None else cost

    if all(arm.tune_quality is not None for arm in arms):
        return {arm.name: known(arm.tune_quality, arm.tune_cost_usd) for arm in arms}
    reported = {arm.name: arm.figures for arm in arms}
    return {name: known(None if f.quality is None else f.quality.value, f.cost_usd) for name, f in reported.items()}


def _chosen(arms: Sequence[Arm], terms: Terms) -> Arm:
    held = standing(arms)
    if terms.nominated is not None:
        order = {name: i for i, name in enumerate(terms.nominated)}
        # Where tune does not speak for all of them, `standing` is about confirm, which has no say among the nominated.
        if any(arm.tune_quality is None for arm in arms):
            return min(arms, key=lambda arm: order[arm.name])
        return min(arms, key=lambda arm: (held[arm.name][1], -held[arm.name][0], order[arm.name]))
    best = max(quality for quality, _ in held.values())
    near = [arm for arm in arms if held[arm.name][0] >= best - terms.margin]
    return min(near, key=lambda arm: (held[arm.name][1], -held[arm.name][0], arm.name))


def _one_for_all(comparison: Comparison) -> str | None:
    """Return the clause when one model was best and cheapest on tune and still is both on the prompts reported."""
    controls, outcomes = comparison.controls, comparison.outcomes
    if outcomes is None or len(comparison.models) < 2:
        return None
    best, least = best_single(outcomes), cheapest(outcomes)
    if best is None or best != least:
        return None
    if controls is not None and controls.cheapest is not None:
        name = outcomes.models[best]
        if controls.best_single.config != name or controls.cheapest.config != name:
            return None
    quality = float(np.nanmean(outcomes.quality[:, best]))
    return (
        f"{outcomes.models[best]} is both the best ({_percent(quality)}) and the cheapest of the "
        f"{len(outcomes.models)} models{_estimated(comparison)}, so on average no other model is worth asking"
    )


def _adopt(winner: Arm, comparison: Comparison) -> str:
    f, base = winner.figures, comparison.baseline.figures
    assert f.against is not None
    assert f.quality is not None
    assert f.cost_ratio is not None
    assert base.quality is not None
    said = (
        f"adopt {winner.name}: quality {_percent(f.quality.value)} against {_percent(base.quality.value)} of the "
        f"baseline {_label(comparison.baseline)} (difference {_points(f.against.difference)}; margin {_margin(comparison)}) at "
        f"{_share(f.cost_ratio)} of its cost{_estimated(comparison)}, on {f.against.difference.n:,} "
        f"{_prompts(comparison)}"
    )
    return "; ".join([said, *_remarks(winner, comparison)])


def _remarks(winner: Arm, comparison: Comparison) -> list[str]:
    """Return what a reader should know before adopting the arm."""
    remarks = []
    if winner.figures.against is not None and winner.figures.against.worse_within_margin:
        remarks.append("it is worse, but within the margin")
    if len(np.unique(winner.walked.model[winner.walked.model != NOBODY])) == 1:
        remarks.append("it asks one model for everything, so there is nothing to route")
    mixed = _mixed_quality(winner, comparison)
    if mixed is not None and winner.figures.quality is not None and winner.figures.quality.value < mixed:
        remarks.append(f"mixing single models at random would reach {_percent(mixed)} at that cost")
    if getattr(getattr(winner.config, "ranking", winner.config), "tasks", None) == "given":
        remarks.append("it needs every prompt to come with its task")
    return remarks


def _mixed_quality(winner: Arm, comparison: Comparison) -> float | None:
    outcomes, cost = comparison.outcomes, winner.figures.cost_usd
    if outcomes is None or cost is None:
        return None
    hull = zero_router(outcomes.models, mean_costs(outcomes), mean_qualities(outcomes))
    return None if hull is None else hull.quality_at(cost)


def _keep(comparison: Comparison) -> str:
    label = _label(comparison.baseline)
    others = _contenders(comparison)
    if not others:
        if comparison.terms.arms_tried < 2:
            return f"one arm, {label}: there is nothing to compare it with"
        return f"keep the baseline {label}: no other arm was good enough on the tune split to be put forward"
    free = comparison.baseline.figures
    if free.cost_usd == 0 and free.cost_known == free.n and all(a.figures.cost_known == a.figures.n for a in others):
        return f"keep the baseline {label}: it costs nothing, so no arm can be cheaper"
    if all(arm.figures.cost_ratio is None for arm in others):
        return (
            f"keep the baseline {label}: {_unknown_costs(comparison)}, so no arm can be called cheaper, and none is "
            "adopted for its quality without its cost"
        )
    saving = [arm for arm in others if cheaper(arm)]
    waiting = [(needed, arm) for arm in saving if (needed := _needed(arm)) is not None]
    if waiting:
        held = standing([arm for _, arm in waiting])
        return _more(*min(waiting, key=lambda pair: held[pair[1].name][1]), comparison)
    passed = next((a for a in saving if a.figures.against and a.figures.against.verdict == "non-inferior"), None)
    if passed is not None:
        return (
            f"keep the baseline {label}: {passed.name} passes on its own, but not after the correction for "
            f"{len(others)} arms (p = {passed.figures.p_adopt_adjusted:.3f})"
        )
    if saving:
        return f"keep the baseline {label}: every arm that is cheaper is worse, or cannot be told from worse"
    return f"keep the baseline {label}: no arm is cheaper at a known cost, and none is better at the same cost"


def _unknown_costs(comparison: Comparison) -> str:
    known = comparison.baseline.figures.cost_known
    return "costs are not known" if known == 0 else "not every cost is known"


def _needed(arm: Arm) -> int | None:
    return None if arm.figures.against is None else arm.figures.against.n_needed


def _more(needed: int, arm: Arm, comparison: Comparison) -> str:
    verdict, ratio = arm.figures.against, arm.figures.cost_ratio
    assert verdict is not None
    assert ratio is not None
    more = _rounded(needed - verdict.difference.n)
    return (
        f"you need about {more:,} more {_prompts(comparison)}, if {arm.name} loses nothing in truth: it costs "
        f"{_share(ratio)} of the baseline {_label(comparison.baseline)}{_estimated(comparison)}, but its quality "
        f"differs by {_points(verdict.difference)}, which does not settle a margin of {_margin(comparison)}; keep the "
        "baseline until then"
    )


def _label(baseline: Arm) -> str:
    known = isinstance(baseline.config, str) and baseline.config != baseline.name
    return f"{baseline.config} ({baseline.name})" if known else baseline.name


def _prompts(comparison: Comparison) -> str:
    return "confirm prompts" if comparison.terms.tune else "prompts"


def _estimated(comparison: Comparison) -> str:
    return " (costs are estimated)" if "estimated" in comparison.terms.cost_kinds else ""


def _margin(comparison: Comparison) -> str:
    return f"{100 * comparison.terms.margin:g} points"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _points(difference: Estimate) -> str:
    if difference.low is None or difference.high is None:
        return f"{100 * difference.value:+.1f} points ({difference.note or 'no interval'})"
    low, high = 100 * difference.low, 100 * difference.high
    return f"{100 * difference.value:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}"


def _share(ratio: Estimate) -> str:
    ends = "" if ratio.low is None or ratio.high is None else f" ({100 * ratio.low:.3g} to {100 * ratio.high:.3g} %)"
    return f"{100 * ratio.value:.3g} %{ends}"


def _rounded(n: int) -> int:
    """Return n to two leading digits, upwards: a planning figure has no more."""
    step = int(10 ** max(0, len(str(n)) - 2))
    return -(-n // step) * step
