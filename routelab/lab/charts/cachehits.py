"""What caches answered over time: exact, semantic and stale hits, and misses, out of a replayed traffic or out of the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from routelab.core.ports import Floats
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import PALETTE, Heading, hover, label, layout
from routelab.present import Table, percent

if TYPE_CHECKING:
    from routelab.lab.caches.streamed import Streamed

Bools = NDArray[np.bool_]

BINS = 40
LEVELS = ("exact", "semantic", "stale", "miss")
COLOURS = {"exact": PALETTE[2], "semantic": PALETTE[0], "stale": PALETTE[1], "miss": "rgba(128,128,128,0.35)"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrivals:
    """Requests in their order: which level answered each (one of LEVELS), and when it came, in seconds (empty: only an order is known).

    `clock` says that times are seconds since 1970 in UTC and not since the first request.
    """

    name: str
    about: str
    level: Sequence[str]
    at_s: Floats
    clock: bool = False
    simulated: bool = False


def arrivals_of(streamed: Streamed, setting: int = 0, *, order: int = 0, within: Bools | None = None) -> Arrivals:
    """Return what one setting did with replayed traffic; `within` (default: all) says which of its requests are told."""
    found, traffic = streamed.passes[order], streamed.traffic
    rows = found.order if within is None else found.order[within[found.order]]
    names = np.array(["miss", "exact", "semantic"], dtype=object)[found.level[rows, setting]]
    level = np.where(found.stale[rows, setting], "stale", names)
    return Arrivals(
        name=str(streamed.settings[setting]),
        about=f"{len(level):,} requests of {traffic.name}",
        level=level.tolist(),
        at_s=np.zeros(0) if traffic.at_s is None else traffic.at_s[rows] - float(traffic.at_s[0]),
        simulated=traffic.simulated,
    )


def cache_hits(arrivals: Arrivals, *, bins: int = BINS) -> Chart:
    """Return the chart of shares over time, or over the order of requests where no times are known."""
    title = f"Who answered, over time: {arrivals.name}" + (" (simulated)" if arrivals.simulated else "")
    n = len(arrivals.level)
    shares = ", ".join(
        f"{name} {percent(arrivals.level.count(name) / n)}" for name in LEVELS if n and name in arrivals.level
    )
    words = "; ".join(part for part in (arrivals.about, shares) if part)
    edges, counts = _counted(arrivals, bins)
    return Chart(
        kind="cache hits",
        title=title,
        caption=words,
        table=_table(arrivals, edges, counts, title, words),
        draw=lambda: _figure(arrivals, edges, counts, Heading(title=title, caption=words)),
    )


def _counted(arrivals: Arrivals, bins: int) -> tuple[Floats, dict[str, Any]]:
    """Return the edges of time, or of the requests' numbers, and how often each level answered between them."""
    n = len(arrivals.level)
    at = arrivals.at_s if len(arrivals.at_s) else np.arange(n, dtype=float)
    if n == 0:
        return np.zeros(1), {name: np.zeros(0, dtype=int) for name in LEVELS}
    low, high = float(at.min()), float(at.max())
    edges = np.linspace(low, high if high > low else low + 1.0, min(bins, max(1, n // 4)) + 1)
    level = np.array(arrivals.level, dtype=object)
    return edges, {name: np.histogram(at[level == name], edges)[0] for name in LEVELS}


def _table(arrivals: Arrivals, edges: Floats, counts: dict[str, Any], title: str, words: str) -> Table:
    rows = []
    for k in range(len(edges) - 1):
        whole = sum(int(held[k]) for held in counts.values())
        rows.append((_when(arrivals, float(edges[k])), f"{whole:,}", *(f"{int(counts[name][k]):,}" for name in LEVELS)))
    head = ("from" if len(arrivals.at_s) else "from request", "requests", *LEVELS)
    return Table(head=head, rows=rows, numbers=frozenset(range(1, 6)), caption=title, notes=(words,))


def _when(arrivals: Arrivals, at: float) -> str:
    if not len(arrivals.at_s):
        return f"{int(at) + 1:,}"
    if arrivals.clock:
        return datetime.fromtimestamp(at, UTC).strftime("%m-%d %H:%M:%S")
    return f"{at:,.0f} s"


def _figure(arrivals: Arrivals, edges: Floats, counts: dict[str, Any], heading: Heading) -> dict[str, Any]:
    whole = np.maximum(sum(counts.values()), 1) if len(edges) > 1 else np.zeros(0)
    middles = [float(v) for v in (edges[1:] + edges[:-1]) / 2]
    x: list[Any] = middles
    width: float | None = float(edges[1] - edges[0]) if len(edges) > 1 else None
    kind: dict[str, Any] = {"title": "seconds since the first request" if len(arrivals.at_s) else "request"}
    if arrivals.clock:
        x = [datetime.fromtimestamp(v, UTC).replace(tzinfo=None).isoformat() for v in middles]
        kind = {"title": "UTC", "type": "date"}
        width = None if width is None else 1000 * width
    traces = [
        {
            "type": "bar",
            "x": x,
            "y": [100 * float(v) for v in counts[name] / whole],
            **({} if width is None else {"width": width}),
            "name": label(name),
            "marker": {"color": COLOURS[name], "line": {"width": 0}},
            "hoverinfo": "text",
            "hovertext": [
                hover(
                    f"from {_when(arrivals, float(edges[k]))}",
                    f"{name}: {int(counts[name][k]):,} of {int(whole[k]):,} requests",
                )
                for k in range(len(middles))
            ],
        }
        for name in LEVELS
    ]
    drawn = layout(
        heading,
        plot=240,
        below=26,
        x={**kind, "zeroline": False},
        y={"ticksuffix": " %", "range": [0, 100], "title": "share of requests"},
        barmode="stack",
        bargap=0,
    )
    return {"data": traces, "layout": drawn}
