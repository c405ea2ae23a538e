"""What an arm at a setting brings on tune, in figures: beside the sliders, and in the saved notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from routelab.core.plan import NOBODY
from routelab.lab.charts.arms import caption, quality_text
from routelab.lab.charts.look import INK, Mark, marks
from routelab.lab.compare import Arm, Comparison, Figures, same
from routelab.lab.grid import points, summary, times
from routelab.lab.outcomes import Ints
from routelab.lab.statistics import Estimate, mean
from routelab.lab.tuning import Curve, shares
from routelab.lab.verdict import adoptable, cheaper
from routelab.present import Table, escape, percent, seconds, usd

DASH = "–"
SHARES = 5
ROWS = 11
LOOK = (
    "<style>.rl.rl-tune table{table-layout:fixed;width:100%;max-width:47em}"
    ".rl.rl-tune td:first-child,.rl.rl-tune th:first-child{width:6.5em}"
    ".rl.rl-tune tr:nth-child(-n+2) td{height:2.9em}.rl.rl-tune th{white-space:normal}"
    ".rl .rl-verdict{font-size:1.15em;font-weight:600;min-height:2.9em}"
    ".rl .rl-mix{display:flex;height:14px;max-width:47em;overflow:hidden;border-radius:2px}"
    ".rl .rl-words{min-height:4.4em;max-width:47em}"
    ".rl-earlier{opacity:.55}</style>"
)


def figures(found: Comparison, *, here: str = "here") -> Table:
    """Return an arm's figures beside the baseline's, one row a measure, with the differences where there are any."""
    arm, base = found.arms[0], found.baseline
    own, other = arm.figures, base.figures
    against = None if same(arm.walked, base.walked) else own.against
    rows = [
        ("quality", quality_text(own.quality), quality_text(other.quality), _points(own, against is not None)),
        ("cost / 1,000", _cost(own, found), _cost(other, found), _ratio(own, against is not None)),
        ("wait p50", _wait(own.latency_p50), _wait(other.latency_p50), ""),
        ("wait p95", _wait(own.latency_p95), _wait(other.latency_p95), ""),
        ("failed", f"{own.failures:,}", f"{other.failures:,}", ""),
    ]
    return Table(head=("", here, "baseline", "Δ points, × cost"), rows=rows)


def _points(own: Figures, differs: bool) -> str:
    return DASH if not differs or own.against is None else points(own.against.difference)


def _ratio(own: Figures, differs: bool) -> str:
    if not differs:
        return DASH
    return "?" if own.cost_ratio is None else f"× {times(own.cost_ratio)}"


def _cost(own: Figures, found: Comparison) -> str:
    if own.cost_usd is None:
        return "?"
    partly = f" ({own.cost_known:,} of {own.n:,} known)" if own.cost_known < own.n else ""
    return f"{about(found)}{usd(1000 * own.cost_usd)}{partly}"


def about(found: Comparison) -> str:
    """Return the sign of costs that are estimated, or nothing."""
    return "≈ " if "estimated" in found.terms.cost_kinds else ""


def _wait(estimate: Estimate | None) -> str:
    if estimate is None:
        return "?"
    ends = "" if estimate.low is None else f" [{seconds(estimate.low)}, {seconds(estimate.high)}]"
    return seconds(estimate.value) + ends


def cost_of(arm: Arm, clusters: Ints | None) -> Estimate | None:
    """Return the mean cost of a call with its interval, None where no cost is known."""
    known = ~np.isnan(arm.walked.cost_usd)
    if not known.any():
        return None
    return mean(arm.walked.cost_usd[known], None if clusters is None else clusters[known])


def verdict(found: Comparison, *, in_sample: bool = False) -> str:
    """Return the verdict on tune in words, which is no more than what confirm may say too."""
    arm = found.arms[0]
    words = next((row[1] for row in summary(found).rows if row[0] == arm.name), "")
    saves = "; cheaper" if cheaper(arm) else ""
    hope = ": confirm it to adopt it" if adoptable(arm) and not same(arm.walked, found.baseline.walked) else ""
    flattering = "; it may have learned from these very answers, which flatters it" if in_sample else ""
    return f"On tune: {words}{saves}{flattering}{hope}"


def mix(found: Comparison) -> list[tuple[str, float]]:
    """Return which model answered which share of the prompts, the small ones together as "others", and nobody's share."""
    walk = found.arms[0].walked
    held = list(shares(walk, found.models).items())
    # One other has a name of its own.
    shown = SHARES if len(held) > SHARES + 1 else SHARES + 1
    head, tail = held[:shown], held[shown:]
    nobody = float((walk.model == NOBODY).mean()) if len(walk) else 0.0
    return [
        *head,
        *([(f"{len(tail)} others", sum(s for _, s in tail))] if tail else []),
        *([("nobody", nobody)] if nobody else []),
    ]


def mix_text(found: Comparison) -> str:
    """Return the mix in one line."""
    return ", ".join(f"{name} {percent(share, 0)}" for name, share in mix(found)) or "?"


def mix_html(found: Comparison, colours: Mapping[str, Mark]) -> str:
    """Return the mix as a bar with its words below."""
    parts, words = [], []
    for name, share in mix(found):
        colour = colours[name].colour if name in colours else INK
        parts.append(f'<span style="width:{100 * share:.2f}%;background:{colour}"></span>')
        dot = f'<span style="display:inline-block;width:.7em;height:.7em;border-radius:2px;background:{colour}"></span>'
        words.append(
            f'<span style="margin-right:12px;display:inline-block">{dot} {escape(name, 60)} {percent(share, 0)}</span> '
        )
    return f'<div class="rl-mix">{"".join(parts)}</div><div class="rl-words">{"".join(words)}</div>'


def colours_of(models: Sequence[str]) -> dict[str, Mark]:
    """Return the mark of each model, by its place among the outcomes' models."""
    return marks(models)


def curve_table(curve: Curve, here: float, *, about: str = "") -> Table:
    """Return some positions of a knob, from one end to the other, and the present one, marked with an arrow."""
    values = curve.knob.values
    spread = {round(float(k)) for k in np.linspace(0, len(values) - 1, min(ROWS, len(values)))}
    spread |= {k for k, v in enumerate(values) if v == here}
    rows = [
        (
            f"{'→ ' if values[k] == here else ''}{curve.knob.label(values[k])}",
            percent(float(curve.quality[k])),
            "?" if np.isnan(curve.cost_usd[k]) else about + usd(1000 * float(curve.cost_usd[k])),
        )
        for k in sorted(spread)
    ]
    return Table(
        head=(curve.knob.says, "quality", "cost / 1,000"),
        rows=rows,
        numbers=frozenset({0, 1, 2}),
        caption=f"{len(values)} positions were looked at on tune, some of them:",
    )


def rests_on(found: Comparison) -> str:
    """Return what the figures rest on, and that nothing of confirm is in them."""
    return caption(found, "tune split")
