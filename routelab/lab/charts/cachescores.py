"""How similar pairs are, those that one answer serves and those that it does not: why a threshold alone cannot tell them apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.core.ports import Floats
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import INK, PALETTE, Heading, hover, label, layout
from routelab.lab.spread import quantile
from routelab.present import Table

Bools = NDArray[np.bool_]

BINS = 25
RIGHT, WRONG, OBJECTED = "one answer serves both", "it would be wrong", "wrong, and the guard objects"


@dataclass(frozen=True, kw_only=True, eq=False)
class Alike:
    """Pairs with their similarity: `same` says that one answer serves both, `passed` that no guard objects; n each."""

    name: str
    about: str
    scores: Floats
    same: Bools
    passed: Bools

    def __post_init__(self) -> None:
        for name, kind in (("scores", np.float64), ("same", np.bool_), ("passed", np.bool_)):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=kind))
        if not len(self.scores) == len(self.same) == len(self.passed):
            raise ValueError("similarities and verdicts do not go together")


def cache_similarity(pairs: Alike, *, threshold: float | None = None) -> Chart:
    """Return the chart of similarities, right pairs above the line and wrong ones below it; `threshold` is marked."""
    title = f"How similar right and wrong pairs are: {pairs.name}"
    edges = _edges(pairs.scores)
    counts = {name: np.histogram(pairs.scores[which], edges)[0] for name, which in _groups(pairs).items()}
    halves = {"right": quantile(pairs.scores[pairs.same], 0.5), "wrong": quantile(pairs.scores[~pairs.same], 0.5)}
    medians = [f"median of the {name} pairs {half.value:.3f}" for name, half in halves.items() if half is not None]
    words = "; ".join([pairs.about, *medians])
    return Chart(
        kind="cache similarity",
        title=title,
        caption=words,
        table=_table(edges, counts, title, words),
        draw=lambda: _figure(edges, counts, threshold, Heading(title=title, caption=words)),
    )


def _groups(pairs: Alike) -> dict[str, Bools]:
    found = {RIGHT: pairs.same, WRONG: ~pairs.same & pairs.passed}
    if not pairs.passed.all():
        found[OBJECTED] = ~pairs.same & ~pairs.passed
        found[f"{RIGHT}, but the guard objects"] = pairs.same & ~pairs.passed
        found[RIGHT] = pairs.same & pairs.passed
    return found


def _edges(scores: Floats) -> Floats:
    low = float(np.floor(10 * scores.min()) / 10) if len(scores) else 0.0
    return np.linspace(min(low, 0.9), 1.0 + 1e-9, BINS + 1)


def _table(edges: Floats, counts: dict[str, Any], title: str, words: str) -> Table:
    rows = [
        (f"{edges[k]:.3f}–{min(edges[k + 1], 1.0):.3f}", *(f"{int(held[k]):,}" for held in counts.values()))
        for k in range(len(edges) - 1)
        if any(held[k] for held in counts.values())
    ]
    return Table(
        head=("similarity", *counts),
        rows=rows,
        numbers=frozenset(range(1, 1 + len(counts))),
        caption=title,
        notes=(words,),
    )


def _figure(edges: Floats, counts: dict[str, Any], threshold: float | None, heading: Heading) -> dict[str, Any]:
    middles = [float(v) for v in (edges[1:] + edges[:-1]) / 2]
    traces = []
    for name, held in counts.items():
        right, faint = name.startswith(RIGHT), "objects" in name
        colour = PALETTE[0] if right else PALETTE[3]
        traces.append(
            {
                "type": "bar",
                "x": middles,
                "y": [int(v) if right else -int(v) for v in held],
                "width": float(edges[1] - edges[0]) * 0.92,
                "name": label(name, 48),
                "marker": {"color": _faint(colour) if faint else colour, "line": {"color": colour, "width": 1}},
                "hoverinfo": "text",
                "hovertext": [
                    hover(
                        f"similarity {edges[k]:.3f} to {min(edges[k + 1], 1.0):.3f}", f"{int(held[k]):,} pairs: {name}"
                    )
                    for k in range(len(held))
                ],
            }
        )
    most = max((int(sum(h[k] for h in counts.values())) for k in range(len(middles))), default=1)
    shapes = []
    if threshold is not None:
        stroke = {"color": INK, "width": 1.4, "dash": "dot"}
        shapes = [{"type": "line", "x0": threshold, "x1": threshold, "yref": "paper", "y0": 0, "y1": 1, "line": stroke}]
    ticks = _ticks(most)
    drawn = layout(
        heading,
        plot=260,
        below=44,
        x={"title": "similarity (cosine)", "zeroline": False},
        y={
            "title": "pairs: right above, wrong below",
            "tickvals": ticks,
            "ticktext": [f"{abs(t):,}" for t in ticks],
            "zerolinecolor": INK,
        },
        barmode="relative",
        shapes=shapes,
    )
    return {"data": traces, "layout": drawn}


def _faint(colour: str) -> str:
    """Return the colour as a veil, which a legend shows too."""
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.3)"


def _ticks(most: int) -> list[int]:
    step = max(1, int(10 ** np.floor(np.log10(max(most, 1)))))
    step = next(step * d for d in (1, 2, 5, 10) if step * d * 5 >= most)
    return [step * k for k in range(-5, 6)]
