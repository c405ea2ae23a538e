"""Charts: each is a data function (values in, rows out) and a figure function (rows in, plotly out).

A chart never computes a statistic of its own: means, rates, quantiles and shares come from `statistics` and `spread`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from routelab.core.errors import ConfigError, suggest
from routelab.lab.charts.cachecurve import Course, cache_thresholds
from routelab.lab.charts.cachehits import Arrivals, cache_hits
from routelab.lab.charts.cachescores import Alike, cache_similarity
from routelab.lab.charts.calibration import calibration
from routelab.lab.charts.calls import calls_of
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.chunklengths import Lengths, chunk_lengths
from routelab.lab.charts.chunkrecall import Reach, chunk_recall
from routelab.lab.charts.cost import cost, cost_of_calls
from routelab.lab.charts.frontier import frontier
from routelab.lab.charts.latency import latency, latency_of_calls
from routelab.lab.charts.mix import mix, mix_of_calls
from routelab.lab.charts.quality import difficulty, quality
from routelab.lab.charts.slices import slices
from routelab.lab.charts.spend import spend, spend_of_calls
from routelab.lab.charts.thresholds import thresholds
from routelab.lab.charts.timeline import Timelines, context_timeline
from routelab.lab.charts.tokens import tokens, tokens_of_calls
from routelab.lab.charts.usage import usage
from routelab.lab.charts.waterfall import waterfall
from routelab.lab.compare import Comparison
from routelab.lab.usage.monitor import Usage

__all__ = ["CACHES", "KINDS", "VALUES", "Chart", "Kind", "chart"]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of chart: drawn from a comparison, and from rows of the log when those say enough (`needs` is their column).

    `by` is how rows are grouped unless that is said; None: by arm where any row names one, else by model.
    """

    says: str
    of_comparison: Callable[..., Chart]
    of_calls: Callable[..., Chart] | None = None
    needs: str = "requested_model"
    by: str | None = None


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "frontier": Kind(says="cost per call against quality, with the controls", of_comparison=frontier),
        "cost": Kind(says="what calls cost", of_comparison=cost, of_calls=cost_of_calls, needs="cost_usd"),
        "latency": Kind(
            says="how long people wait", of_comparison=latency, of_calls=latency_of_calls, needs="latency_s"
        ),
        "quality": Kind(says="quality by task", of_comparison=quality),
        "difficulty": Kind(says="quality from easy to hard", of_comparison=difficulty),
        "mix": Kind(says="which model answered", of_comparison=mix, of_calls=mix_of_calls),
        "spend": Kind(
            says="what was spent, added up", of_comparison=spend, of_calls=spend_of_calls, needs="started_at"
        ),
        "slices": Kind(says="better or worse than the baseline, by task, difficulty or tag", of_comparison=slices),
        "calibration": Kind(says="confidence against the quality that came of it", of_comparison=calibration),
        "waterfall": Kind(says="what routing, cache, context and prompt saved", of_comparison=waterfall),
        "thresholds": Kind(says="what another threshold would have done", of_comparison=thresholds),
        "tokens": Kind(
            says="tokens by task and model",
            of_comparison=tokens,
            of_calls=tokens_of_calls,
            needs="input_tokens",
            by="model",
        ),
    }
)


@dataclass(frozen=True, kw_only=True)
class ValueKind:
    """A kind of chart that is drawn from one kind of value only."""

    says: str
    of: type
    draw: Callable[..., Chart]


CACHES: Mapping[str, ValueKind] = MappingProxyType(
    {
        "cache thresholds": ValueKind(
            says="hits against false hits, with the bound and the budget", of=Course, draw=cache_thresholds
        ),
        "cache similarity": ValueKind(says="how similar right and wrong pairs are", of=Alike, draw=cache_similarity),
        "cache hits": ValueKind(says="who answered, over time", of=Arrivals, draw=cache_hits),
    }
)
VALUES: Mapping[str, ValueKind] = MappingProxyType(
    {
        **CACHES,
        "chunk lengths": ValueKind(says="how long the chunks of each chunker are", of=Lengths, draw=chunk_lengths),
        "chunk recall": ValueKind(says="what chunkers find against the context it takes", of=Reach, draw=chunk_recall),
        "usage": ValueKind(says="tokens by task, template and model", of=Usage, draw=usage),
        "context timeline": ValueKind(
            says="what every request of a conversation was made of", of=Timelines, draw=context_timeline
        ),
    }
)
"""Kinds that have a value of their own."""


def chart(kind: str, source: Any, *, by: str | None = None, **options: Any) -> Chart:
    """Return a chart of a comparison, or of rows of the log's table `calls` (a list of dicts, or a pandas frame); one of VALUES of its value.

    `by` groups rows of the log by "arm" or "model", and is what the slices of a comparison are; options are those of the kind, such as `limit` (how many arms are drawn) and
    `log` (a logarithmic axis or not). Raises ConfigError for an unknown kind or option, DataError for rows it cannot read.
    """
    if kind in VALUES:
        return _of_value(kind, source, {**options, **({} if by is None else {"by": by})})
    found = KINDS.get(kind)
    if found is None:
        near = suggest(kind, [*KINDS, *VALUES])
        raise ConfigError(
            f"chart: unknown kind '{kind}'" + ("" if near is None else f"; {near}"),
            hint=f"kinds: {', '.join(KINDS)}",
        )
    if isinstance(source, Comparison):
        options = options if by is None else {**options, "by": by}
        _known(kind, found.of_comparison, options)
        return found.of_comparison(source, **options)
    if found.of_calls is None:
        raise ConfigError(
            f"chart '{kind}': rows of the log hold no quality, so it is drawn from a comparison",
            hint=f"pass a Comparison; rows can be drawn as {', '.join(k for k, v in KINDS.items() if v.of_calls)}",
        )
    _known(kind, found.of_calls, options)
    return found.of_calls(calls_of(source, needs=found.needs, by=by or found.by), **options)


def _of_value(kind: str, source: Any, options: Mapping[str, Any]) -> Chart:
    found = VALUES[kind]
    if not isinstance(source, found.of):
        raise ConfigError(
            f"chart '{kind}': is drawn from {found.of.__name__}, not from {type(source).__name__}",
            hint=f"see {found.of.__module__}",
        )
    _known(kind, found.draw, options)
    return found.draw(source, **options)


def _known(kind: str, build: Callable[..., Chart], options: Mapping[str, Any]) -> None:
    allowed = tuple(getattr(build, "__kwdefaults__", None) or ())
    for name in options:
        if name not in allowed:
            near = suggest(name, allowed)
            raise ConfigError(
                f"chart '{kind}': unknown option '{name}'" + ("" if near is None else f"; {near}"),
                hint=f"options: {', '.join(allowed)}",
            )
