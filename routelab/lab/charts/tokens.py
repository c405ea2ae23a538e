"""Where tokens went: input, cached input, output and reasoning, by task and model; counts that are estimates are marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from routelab.answer import Answer
from routelab.core.errors import ConfigError, UnavailableError
from routelab.core.events import Answered
from routelab.core.plan import NOBODY
from routelab.core.values import Tokens, TokensSource
from routelab.lab.charts.arms import caption, many, prompts_of, sentence, titled
from routelab.lab.charts.calls import Call, Calls
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import GRID, INK, Heading, hover, label, labels, layout, scale
from routelab.lab.compare import Arm, Comparison
from routelab.lab.outcomes import Outcomes
from routelab.present import Table

NO_TASK = "no task"
ROWS = 16
COUNTED = ("usage", "recorded")
"""Sources of counts that somebody measured; every other one is an estimate."""
PARTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "input": ("#0072B2", "input"),
        "cached": ("#56B4E9", "input from the provider's cache"),
        "output": ("#E69F00", "output"),
        "reasoning": ("#D55E00", "reasoning"),
    }
)
DETAILS = 118


@dataclass(frozen=True, kw_only=True)
class Use:
    """What the calls of one task to one model (or of one arm) used; parts do not overlap, and None is what no call says.

    `input` is without `cached`, `output` without `reasoning`. `calls` counts those with known tokens, `unknown` the others,
    `estimated` those of `calls` whose counts are estimates.
    """

    task: str
    name: str
    calls: int
    unknown: int
    estimated: int
    input: int
    output: int
    cached: int | None
    reasoning: int | None

    @property
    def total(self) -> int:
        """All tokens."""
        return self.input + self.output + (self.cached or 0) + (self.reasoning or 0)

    @property
    def parts(self) -> dict[str, int | None]:
        """The parts in the order in which they are drawn."""
        return {"input": self.input, "cached": self.cached, "output": self.output, "reasoning": self.reasoning}


def uses(calls: Sequence[Call]) -> tuple[Use, ...]:
    """Return what was used by task and name, the tasks and in each the names with most tokens first.

    Cache hits use none and do not count; nor do calls that failed before anything was counted.
    """
    groups: dict[tuple[str, str], list[Call]] = {}
    for call in calls:
        if not call.cached and (call.answered or call.used.input is not None):
            groups.setdefault((call.task or NO_TASK, call.name), []).append(call)
    found = [_use(task, name, held) for (task, name), held in groups.items()]
    of_task: dict[str, int] = {}
    for use in found:
        of_task[use.task] = of_task.get(use.task, 0) + use.total
    return tuple(sorted(found, key=lambda u: (-of_task[u.task], u.task, -u.total, u.name)))


def _use(task: str, name: str, held: Sequence[Call]) -> Use:
    known = [c.used for c in held if c.used.input is not None and c.used.output is not None]
    cached = [min(t.cached, t.input or 0) for t in known if t.cached is not None]
    thought = [min(t.reasoning, t.output or 0) for t in known if t.reasoning is not None]
    return Use(
        task=task,
        name=name,
        calls=len(known),
        unknown=len(held) - len(known),
        estimated=sum(t.source not in COUNTED for t in known),
        input=sum(t.input or 0 for t in known) - sum(cached),
        output=sum(t.output or 0 for t in known) - sum(thought),
        cached=sum(cached) if cached else None,
        reasoning=sum(thought) if thought else None,
    )


def tokens_of_calls(calls: Calls, *, limit: int = ROWS) -> Chart:
    """Return the chart of the tokens in rows of the log; the `limit` largest bars are drawn, the table has all."""
    rows = uses(calls.calls)
    title = titled(f"Tokens by task and {calls.by}", calls.simulated)
    hits = sum(c.cached for c in calls.calls)
    words = sentence(
        f"n = {many(sum(r.calls + r.unknown for r in rows), 'call')}",
        f"cache hits used none: {hits:,}" if hits else "",
        *_said(rows, limit),
    )
    return _chart(rows, limit, title, words, calls.by)


def tokens(comparison: Comparison, *, arm: str | None = None, by: str = "model", limit: int = ROWS) -> Chart:
    """Return the chart of the tokens of a comparison's calls by task and model, or `by="arm"`; of all arms, or of one.

    Of a replay they are those of the answers that counted, of one arm: the winner, else the first that is not the baseline. Raises
    UnavailableError for arms that were estimated from logged choices.
    """
    if comparison.estimates:
        raise UnavailableError(
            "chart 'tokens': off-policy, what a single prompt would have used is not known",
            hint="chart('tokens', rows of the log) has what was used",
        )
    if by not in ("model", "arm"):
        raise ConfigError(f"by: unknown '{by}'", hint="tokens of a comparison are by 'model' or by 'arm'")
    found, whose = _calls(comparison, arm, by)
    rows = uses(found)
    title = titled(f"Tokens by task and {by}" + (f" of {whose}" if whose else ""), comparison.terms.simulated)
    hits = sum(c.cached for c in found)
    replayed, count = comparison.outcomes is not None, sum(r.calls + r.unknown for r in rows)
    words = caption(
        comparison,
        f"{many(count, 'answer' if replayed else 'call')}" + (", those that counted" if replayed else ""),
        f"cache hits used none: {hits:,}" if hits else "",
        *_said(rows, limit),
        intervals=False,
        costs=False,
    )
    return _chart(rows, limit, title, words, by)


def _calls(comparison: Comparison, arm: str | None, by: str) -> tuple[list[Call], str]:
    """Return the calls, each with the name of its bar, and whose they are when they are one arm's."""
    others = [a for a in comparison.arms if a.name != comparison.baseline.name] or [comparison.baseline]
    if comparison.outcomes is not None:
        held = comparison[arm] if arm is not None else comparison.winner() or others[0]
        return _replayed(held, comparison.outcomes, by), held.name
    arms = (comparison[arm].name,) if arm is not None else tuple(comparison.answers)
    tasks = {p.id: p.task for p in prompts_of(comparison)}
    calls = [
        call for name in arms for answer in comparison.answers.get(name, ()) for call in _live(answer, name, by, tasks)
    ]
    return calls, arm or ""


def _live(answer: Answer, arm: str, by: str, tasks: Mapping[str, str | None]) -> list[Call]:
    run = answer.run
    task = tasks.get(run.prompt.id) or (None if run.routed is None else run.routed.task)
    if run.recalled is not None:
        model = run.recalled.model
        return [Call(name=arm if by == "arm" else model, model=model, task=task, cached=True)]
    return [
        Call(
            name=arm if by == "arm" else event.model,
            model=event.model,
            answered=isinstance(event, Answered),
            task=task,
            used=event.tokens,
        )
        for event in run.attempts
    ]


def _replayed(arm: Arm, outcomes: Outcomes, by: str) -> list[Call]:
    found = []
    for i, k in enumerate(arm.walked.model.tolist()):
        if k == NOBODY:
            continue
        counts = [outcomes.input_tokens[i, k], outcomes.output_tokens[i, k]]
        given, made = (None if np.isnan(v) else round(float(v)) for v in counts)
        # An estimated cost rests on estimated counts, and nobody knows which of those that are kept are among them.
        source: TokensSource = "estimate" if outcomes.cost_kind[k] == "estimated" else "recorded"
        model = outcomes.models[k]
        used = Tokens(input=given, output=made, source=source)
        found.append(
            Call(name=arm.name if by == "arm" else model, model=model, task=outcomes.prompts[i].task, used=used)
        )
    return found


def _said(rows: Sequence[Use], limit: int) -> list[str]:
    unknown, estimated = sum(r.unknown for r in rows), sum(r.estimated for r in rows)
    hidden = len(rows) - min(limit, len(rows))
    return [
        f"tokens not known for {many(unknown, 'call')}, so more were used" if unknown else "",
        "all counts are estimates (~)" if guessed(rows) else "",
        f"estimated for {many(estimated, 'call')} (striped, ~)" if estimated and not guessed(rows) else "",
        f"{many(hidden, 'smaller bar')} in the table only" if hidden else "",
    ]


def guessed(rows: Sequence[Use]) -> bool:
    """Say that every count is an estimate: then stripes would tell nothing apart."""
    return any(r.calls for r in rows) and all(r.estimated == r.calls for r in rows)


def _chart(rows: Sequence[Use], limit: int, title: str, words: str, by: str) -> Chart:
    largest = sorted(rows, key=lambda r: -r.total)[:limit]
    drawn = [r for r in rows if r in largest]
    table = Table(
        head=("task", by, "calls", "input", "cached", "output", "reasoning", "total", "per call"),
        rows=[_row(r) for r in rows] or [(NO_TASK, "–", "0", "?", "?", "?", "?", "?", "?")],
        numbers=frozenset(range(2, 9)),
        caption=title,
        notes=(
            words,
            "input is without what came from the provider's cache, output without reasoning; ?: no call says",
        ),
    )
    heading = Heading(title=title, caption=words)
    return Chart(kind="tokens", title=title, caption=words, table=table, draw=lambda: _figure(drawn, heading))


def _row(r: Use) -> tuple[str, ...]:
    calls = f"{r.calls:,}" + (f" (+{r.unknown:,} not known)" if r.unknown else "")
    if not r.calls:
        return (r.task, r.name, calls, "?", "?", "?", "?", "?", "?")
    tell = _teller(r)
    return (r.task, r.name, calls, *(tell(v) for v in r.parts.values()), tell(r.total), tell(round(r.total / r.calls)))


def _teller(r: Use) -> Callable[[int | None], str]:
    mark = "~" if r.estimated else ""
    return lambda value: "?" if value is None else f"{mark}{value:,}"


def amount(value: float) -> str:
    """Return a count of tokens for an axis.

    >>> amount(800), amount(25_000), amount(2_500_000)
    ('800', '25 k', '2.5 M')
    """
    return f"{value / 1e6:,.6g} M" if value >= 1e6 else f"{value / 1e3:.6g} k" if value >= 1e4 else f"{value:,.6g}"


def _figure(rows: Sequence[Use], heading: Heading) -> dict[str, Any]:
    shown = [p for p in PARTS if any(r.parts[p] for r in rows)]
    axis = scale([float(r.total) for r in rows if r.total], amount, log=False).axis
    tasks, names = labels([r.task for r in rows], 26), labels([r.name for r in rows], 30)
    drawn = layout(
        heading,
        above=16,
        plot=max(38 * len(rows), 90),
        below=44,
        x={**axis, "title": "tokens (estimates)" if guessed(rows) else "tokens", "zeroline": False},
        y={
            "tickvals": [-i for i in range(len(rows))],
            "ticktext": [f"{task}<br>{name}" for task, name in zip(tasks, names, strict=True)],
            "range": [-max(1, len(rows)) + 0.45, 0.55],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
        shapes=_rules(rows),
        barmode="stack",
        bargap=0.35,
        showlegend=True,
        annotations=_details(rows),
    )
    drawn["margin"]["r"] = DETAILS + 16
    empty = {"type": "scatter", "x": [None], "y": [None], "showlegend": False, "hoverinfo": "skip"}
    return {"data": [_bars(part, rows, striped=not guessed(rows)) for part in shown] or [empty], "layout": drawn}


def _bars(part: str, rows: Sequence[Use], *, striped: bool) -> dict[str, Any]:
    colour, says = PARTS[part]
    return {
        "type": "bar",
        "orientation": "h",
        "x": [r.parts[part] or 0 for r in rows],
        "y": [-i for i in range(len(rows))],
        "name": says,
        "marker": {
            "color": colour,
            "line": {"width": 0},
            "pattern": {
                "shape": ["/" if r.estimated and striped else "" for r in rows],
                "fgcolor": "rgba(255,255,255,0.6)",
                "size": 6,
                "fillmode": "overlay",
            },
        },
        "hoverinfo": "text",
        "hovertext": [
            hover(
                f"{r.task}, {r.name}",
                f"{says}: {_teller(r)(r.parts[part])} tokens of {_teller(r)(r.total)}",
                f"{_teller(r)(round((r.parts[part] or 0) / max(1, r.calls)))} a call, {many(r.calls, 'call')}",
                f"estimated for {many(r.estimated, 'call')}" if r.estimated else "",
                f"not known for {many(r.unknown, 'call')}" if r.unknown else "",
            )
            for r in rows
        ],
    }


def _rules(rows: Sequence[Use]) -> list[dict[str, Any]]:
    """Return the lines between the tasks."""
    ends = [i for i in range(1, len(rows)) if rows[i].task != rows[i - 1].task]
    wide = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "line": {"color": GRID, "width": 1}}
    return [{**wide, "y0": -i + 0.5, "y1": -i + 0.5} for i in ends]


def _details(rows: Sequence[Use]) -> list[dict[str, Any]]:
    font = {"size": 12, "color": INK}
    place = {"xref": "paper", "x": 1, "xanchor": "left", "xshift": 8, "showarrow": False, "align": "left", "font": font}
    head = {
        **place,
        "yref": "paper",
        "y": 1,
        "yanchor": "bottom",
        "text": "per call × calls",
        "font": {**font, "size": 11},
    }
    return [head, *({**place, "y": -i, "text": label(_detail(r), 24)} for i, r in enumerate(rows))]


def _detail(r: Use) -> str:
    if not r.calls:
        return "not known"
    return f"{_teller(r)(round(r.total / r.calls))} × {r.calls:,}"
