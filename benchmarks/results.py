"""What a search over recorded outcomes finds, data set by data set, as the table in docs/results/recorded.md.

    python benchmarks/results.py ../shared/data > docs/results/recorded.md

Candidates are scored on the tune split by cross-fitting, at most five are nominated, and every figure is that of the confirm split.
"""

from __future__ import annotations

import sys
from pathlib import Path

from routelab.lab.compare import ALPHA, Arm, Comparison
from routelab.lab.outcomes import Outcomes
from routelab.lab.search import search
from routelab.lab.statistics import Estimate

DATASETS = ("bfcl_2024-08-11", "gsm8k", "llmrouter", "routellm_mmlu", "routerarena_sub10")
SEED, MARGIN, CONFIRM = 0, 0.02, 0.4


def share(estimate: Estimate | None) -> str:
    """Return a quality in per cent with its interval."""
    return "–" if estimate is None else f"{100 * estimate.value:.1f}" + ends(estimate, 100, ".1f")


def ends(estimate: Estimate, scale: float, form: str) -> str:
    """Return an interval in brackets, or nothing where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f" [{scale * estimate.low:{form}}, {scale * estimate.high:{form}}]"


def difference(arm: Arm) -> str:
    """Return the paired difference from the baseline in points, with its interval."""
    verdict = arm.figures.against
    return "–" if verdict is None else f"{100 * verdict.difference.value:+.1f}" + ends(verdict.difference, 100, "+.1f")


def ratio(arm: Arm) -> str:
    """Return the paired cost ratio with its interval."""
    found = arm.figures.cost_ratio
    return "–" if found is None else f"{found.value:.2f}" + ends(found, 1, ".2f")


def verdict(arm: Arm) -> str:
    """Return the verdict, saying when it does not survive the correction for several arms."""
    found, adjusted = arm.figures.against, arm.figures.p_adjusted
    if found is None:
        return "–"
    if found.difference.interval == (0.0, 0.0):
        return "the baseline itself"
    lost = found.verdict == "non-inferior" and adjusted is not None and adjusted > ALPHA
    return found.verdict + (" alone, not after the correction for several arms" if lost else "")


def promising(comparison: Comparison) -> Arm | None:
    """Return the winner, or the nominated arm that came nearest: cheaper than the baseline and best in quality."""
    chosen = comparison.winner()
    if chosen is not None:
        return chosen
    named = [a for a in comparison.arms if a.name in (comparison.terms.nominated or ())]
    cheaper = [a for a in named if a.figures.cost_ratio is not None and (a.figures.cost_ratio.high or 1) < 1]
    return max(cheaper, key=lambda a: a.figures.quality.value if a.figures.quality else 0.0, default=None)


def section(name: str, data: Path) -> str:
    """Return one data set's part of the page."""
    outcomes = Outcomes.read(
        prompts=data / "prompts.csv.gz",
        outcomes=data / "outcomes.csv.gz",
        dataset=name,
        prices=data / "prices" / "outcome_models.csv",
    )
    comparison = search(outcomes, confirm=CONFIRM, margin=MARGIN, seed=SEED)
    controls, found, terms = comparison.controls, promising(comparison), comparison.terms
    assert controls is not None
    rows = [("best single", f"{controls.best_single.config}", controls.best_single)]
    if controls.cheapest is not None:
        rows.append(("cheapest", f"{controls.cheapest.config}", controls.cheapest))
    if found is not None:
        rows.append(("best config found", found.name, found))
    rows.append(("oracle (hindsight)", "", controls.oracle))
    lines = [
        f"## {name}",
        "",
        f"{len(outcomes):,} prompts × {len(outcomes.models)} models; {terms.tune:,} tune, {terms.confirm:,} confirm; {terms.arms_tried} "
        f"configs tried; costs {' and '.join(terms.cost_kinds) or 'not known'}.",
        "",
        "| | which | quality % | points vs best single | cost ratio | verdict |",
        "|---|---|---|---|---|---|",
        *(
            f"| {label} | {which} | {share(arm.figures.quality)} | {difference(arm)} | {ratio(arm)} | {verdict(arm)} |"
            for label, which, arm in rows
        ),
    ]
    if controls.shuffle is not None:
        lift = controls.shuffle.lift
        told = "–" if lift is None else f"{100 * lift.value:+.1f}" + ends(lift, 100, "+.1f")
        lines.append(
            f"| shuffle | of {controls.shuffle.of} | {share(controls.shuffle.figures.quality)} | lift over it: {told} | | |"
        )
    return "\n".join([*lines, "", f"**{comparison.why}**", *(f"\n{note}" for note in terms.notes), ""])


def main(data: Path) -> None:
    """Print the page."""
    print("# Recorded outcomes\n")
    print(
        "Made by `python benchmarks/results.py ../shared/data > docs/results/recorded.md`; the data are not in the repository."
    )
    print(
        f"\nMargin {100 * MARGIN:g} points, fixed in advance; seed {SEED}; 95 % intervals, paired by prompt; figures are those of the "
        "confirm split.\nThe baseline is the single model that was best on the tune split. Costs marked estimated come from list prices and "
        "counted tokens,\nwith a stated constant for the output where its length was not recorded. The search knows single models, task tables "
        "fitted with\nshrinkage (tasks given, or recognised by semantic routes), arbitrage by every predictor at hundreds of thresholds and "
        "weights, agreement and\nlearned cascades where texts were recorded, and random mixes (counted, never winners). The winner is, "
        "of the\nnominated that may be adopted, the one that was cheapest on tune.\nFive seeds, strategy by strategy: [strategies.md](strategies.md).\n"
    )
    for name in DATASETS:
        print(section(name, data))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data"))
