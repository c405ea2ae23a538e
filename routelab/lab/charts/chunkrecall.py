"""What chunkings find of the answers against the tokens that their contexts take, both with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import Heading, Mark, hover, labels, layout, marks, whiskers
from routelab.lab.statistics import Estimate
from routelab.present import Table, interval, percent

if TYPE_CHECKING:
    from routelab.lab.chunks.bench import ChunksBench
    from routelab.lab.chunks.questions import Questions


@dataclass(frozen=True, kw_only=True)
class Reached:
    """An arm: what it finds and at how many tokens of context; `chosen` is the one that the bench recommends.

    `course` are the contexts of equal tokens that it was filled to, with the recall of each.
    """

    name: str
    recall: Estimate
    tokens: Estimate
    chosen: bool = False
    course: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Reach:
    """Arms at one context; `what` says which, such as "5 passages", and `about` what the questions are."""

    what: str
    about: str
    arms: tuple[Reached, ...]


def reach_of(found: ChunksBench, questions: Questions, *, at: int | None = None) -> Reach:
    """Return the arms of a bench, each chunking once, at its k passages or at a context filled to `at` tokens."""
    from routelab.lab.chunks.against import at_context, interval_of, tokens_of

    chosen = None if found.recommended is None else found.recommended["name"]
    arms = []
    for arm in found.arms:
        if arm["same_as"] is None:
            scores = found.scores[arm["name"]]
            recall, tokens = at_context(scores, at)
            arms.append(
                Reached(
                    name=arm["name"],
                    recall=interval_of(recall, questions),
                    tokens=tokens_of(tokens, questions),
                    chosen=arm["name"] == chosen,
                    course=tuple(
                        (float(scores.tokens_at[b].mean()), float(v.mean())) for b, v in scores.recall_at.items()
                    ),
                )
            )
    what = f"{found.about['k']} passages" if at is None else f"a context of {at:,} tokens"
    about = "{questions:,} questions, {sources} sources".format(**found.about)
    kind = found.arms[0]["recall_ci_is"]
    return Reach(what=what, about=f"{about}; 95 % intervals, {kind}", arms=tuple(arms))


def chunk_recall(reach: Reach) -> Chart:
    """Return the chart: context tokens against recall, a point an arm, and a line through its contexts of equal tokens."""
    title = f"Recall against context tokens, at {reach.what}"
    words = f"{reach.about}; tokens of o200k_base; lines: contexts filled to equal tokens; the ring marks the recommended one"
    table = Table(
        head=("chunker", "recall", "95 %", "context tokens", "95 %", "recall per 1k tokens"),
        rows=[
            (
                ("→ " if arm.chosen else "") + arm.name,
                percent(arm.recall.value),
                interval(arm.recall.low, arm.recall.high),
                f"{arm.tokens.value:,.0f}",
                "?"
                if arm.tokens.low is None or arm.tokens.high is None
                else f"[{arm.tokens.low:,.0f}, {arm.tokens.high:,.0f}]",
                f"{1000 * arm.recall.value / arm.tokens.value:.3f}" if arm.tokens.value else "?",
            )
            for arm in reach.arms
        ],
        numbers=frozenset(range(1, 6)),
        caption=title,
        notes=(words,),
    )
    heading = Heading(title=title, caption=words)
    return Chart(kind="chunk recall", title=title, caption=words, table=table, draw=lambda: _figure(reach, heading))


def _figure(reach: Reach, heading: Heading) -> dict[str, Any]:
    names = [arm.name for arm in reach.arms]
    own = marks(names)
    said = dict(zip(names, labels(names), strict=True))
    # At equal tokens all points would hide each other: they stand a little apart.
    alike = len({round(arm.tokens.value) for arm in reach.arms}) < len(reach.arms)
    at = {
        arm.name: arm.tokens.value * (1 + (0.012 * (i - (len(names) - 1) / 2) if alike else 0.0))
        for i, arm in enumerate(reach.arms)
    }
    traces = [_line(arm, own[arm.name]) for arm in reach.arms if len(arm.course) > 1]
    traces += [_trace(arm, at[arm.name], own[arm.name], said[arm.name]) for arm in reach.arms]
    for arm in reach.arms:
        if arm.chosen:
            ring = {"symbol": "circle-open", "size": 22, "color": own[arm.name].colour, "line": {"width": 2}}
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": [at[arm.name]],
                    "y": [100 * arm.recall.value],
                    "marker": ring,
                    "hoverinfo": "skip",
                    "showlegend": False,
                }
            )
    drawn = layout(
        heading,
        plot=330,
        below=10 + 19 * -(-len(names) // 3),
        x={"title": "context tokens a question", "zeroline": False},
        y={"title": "recall of the answer", "ticksuffix": " %", "zeroline": False},
    )
    return {"data": traces, "layout": drawn}


def _line(arm: Reached, mark: Mark) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [tokens for tokens, _ in arm.course],
        "y": [100 * recall for _, recall in arm.course],
        "line": {"color": mark.colour, "width": 1.2},
        "opacity": 0.6,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _trace(arm: Reached, x: float, mark: Mark, name: str) -> dict[str, Any]:
    recall, tokens = 100 * arm.recall.value, arm.tokens.value
    ends = [(100 * _or(arm.recall.low, arm.recall.value), 100 * _or(arm.recall.high, arm.recall.value))]
    wide = [(_or(arm.tokens.low, tokens), _or(arm.tokens.high, tokens))]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [x],
        "y": [recall],
        "name": name,
        "marker": {"color": mark.colour, "symbol": mark.symbol, "size": 11},
        "error_y": whiskers([recall], ends, mark.colour),
        "error_x": whiskers([tokens], wide, mark.colour),
        "hoverinfo": "text",
        "hovertext": _told([arm]),
    }


def _told(arms: Sequence[Reached]) -> list[str]:
    return [
        hover(
            arm.name + (" (recommended)" if arm.chosen else ""),
            f"recall {percent(arm.recall.value)} {interval(arm.recall.low, arm.recall.high)}",
            f"context of {arm.tokens.value:,.0f} tokens",
        )
        for arm in arms
    ]


def _or(value: float | None, other: float) -> float:
    return other if value is None else value
