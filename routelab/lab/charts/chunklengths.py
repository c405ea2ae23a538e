"""How long the chunks of a chunking are: one line a chunker, and the bins that a small drawing takes too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routelab.chunking import Chunk
from routelab.core.ports import Floats
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import Heading, hover, label, labels, layout, marks
from routelab.lab.chunks.ledger import Ledger
from routelab.lab.statistics import mean
from routelab.present import Table, percent

BINS = 30


@dataclass(frozen=True, kw_only=True, eq=False)
class Lengths:
    """The lengths of the chunks in tokens by chunker, and the share of their characters that stands twice; `about` says of what."""

    about: str
    tokens: Mapping[str, Floats]
    duplicated: Mapping[str, float]


def lengths_of(cuts: Mapping[str, Sequence[Chunk]], corpora: Mapping[str, str], *, about: str = "") -> Lengths:
    """Return the lengths of chunkings of the same texts by name; tokens are counted anew, whatever measured the chunks.

    Raises KeyError for a chunk of a source that is not among the texts.
    """
    ledger = Ledger.of(corpora)
    tokens, duplicated = {}, {}
    for name, chunks in cuts.items():
        tokens[name] = np.array([float(ledger.tokens(c.source, (c.start, c.end))) for c in chunks])
        characters = sum(c.end - c.start for c in chunks)
        duplicated[name] = sum(c.repeated for c in chunks) / characters if characters else 0.0
    said = about or f"{len(corpora):,} texts of {sum(map(len, corpora.values())):,} characters"
    return Lengths(about=said, tokens=tokens, duplicated=duplicated)


def binned(lengths: Floats, *, bins: int = BINS, most: float | None = None) -> tuple[Floats, Floats]:
    """Return counts and the bins' borders, whole numbers of tokens from 0 to the longest chunk or `most`, whichever is more."""
    longest = max(float(np.max(lengths, initial=0.0)), most or 0.0, 1.0)
    step = float(np.ceil((longest + 1) / bins))
    edges = step * np.arange(int(np.ceil((longest + 1) / step)) + 1)
    counts, _ = np.histogram(lengths, bins=edges)
    return counts.astype(np.float64), edges.astype(np.float64)


def chunk_lengths(lengths: Lengths) -> Chart:
    """Return the chart: for each chunker the share of its chunks by length."""
    title = "How long the chunks are"
    words = f"{lengths.about}; tokens of o200k_base; lines: share of a chunker's chunks in each bin"
    rows = []
    for name, tokens in lengths.tokens.items():
        low, middle, high = np.percentile(tokens, [10, 50, 90]) if len(tokens) else (np.nan,) * 3
        told = [_whole(v) for v in (mean(tokens).value if len(tokens) else np.nan, low, middle, high)]
        most = _whole(float(np.max(tokens, initial=0.0)))
        rows.append([name, f"{len(tokens):,}", *told, most, percent(lengths.duplicated.get(name))])
    table = Table(
        head=("chunker", "chunks", "tokens, mean", "10 %", "median", "90 %", "longest", "duplicated"),
        rows=rows,
        numbers=frozenset(range(1, 8)),
        caption=title,
        notes=(words,),
    )
    return Chart(
        kind="chunk lengths",
        title=title,
        caption=words,
        table=table,
        draw=lambda: _figure(lengths, Heading(title=title, caption=words)),
    )


def _whole(value: float) -> str:
    return "?" if np.isnan(value) else f"{value:,.0f}"


def _figure(lengths: Lengths, heading: Heading) -> dict[str, Any]:
    names = list(lengths.tokens)
    own, said = marks(names), dict(zip(names, labels(names), strict=True))
    most = max((float(np.max(t, initial=0.0)) for t in lengths.tokens.values()), default=1.0)
    traces = []
    for name, tokens in lengths.tokens.items():
        counts, edges = binned(tokens, most=most)
        share = 100 * counts / max(1.0, counts.sum())
        told = _told(name, counts, edges)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [float(v) for v in edges[:-1]],
                "y": [float(v) for v in share],
                "line": {"color": own[name].colour, "width": 2, "shape": "hv"},
                "name": said[name],
                "hoverinfo": "text",
                "hovertext": told,
            }
        )
    drawn = layout(
        heading,
        plot=230,
        below=26 + 18 * ((len(names) - 1) // 3),
        x={"title": "tokens a chunk", "rangemode": "tozero", "zeroline": False},
        y={"title": "of its chunks", "ticksuffix": " %", "rangemode": "tozero", "zeroline": False},
    )
    return {"data": traces, "layout": drawn}


def _told(name: str, counts: Floats, edges: Sequence[float] | Floats) -> list[str]:
    return [
        hover(label(name, 60), f"{int(edges[i]):,} to {int(edges[i + 1]) - 1:,} tokens: {int(n):,} chunks")
        for i, n in enumerate(counts)
    ]
