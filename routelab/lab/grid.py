"""Arms side by side: the verdict first, then a row an arm, then the answers themselves; as text and as HTML."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np

from routelab.core.values import Prompt
from routelab.lab.charts.arms import COST_KINDS, Shown, chosen, everyone, many, quality_text, sentence
from routelab.lab.compare import ALPHA, Arm, Comparison, Figures, same
from routelab.lab.controls import Shuffle
from routelab.lab.statistics import Estimate
from routelab.lab.verdict import cheaper
from routelab.lab.walk import Hits
from routelab.present import Table, escape, framed, safe, seconds, signed, usd

DASH = "–"
ARMS = 24
LIVE = 6
"""How many prompts a comparison shows by itself, those on which the arms disagree first."""
SHOWN = 10
CHARACTERS = 200
ASKED = 120
RULE = "— controls —"
# Seven columns fit beside a notebook's margin when long names may break and keep some room all the same.
GRID_STYLE = (
    "<style>.rl.grid table td:first-child{min-width:8em;overflow-wrap:anywhere}"
    ".rl.grid table td,.rl.grid table th{padding-right:10px!important}</style>"
)


class Answered(Protocol):
    """What the grid shows of an answer; None is what is not known."""

    @property
    def text(self) -> str: ...
    @property
    def model(self) -> str | None: ...
    @property
    def cost_usd(self) -> float | None: ...
    @property
    def latency_s(self) -> float | None: ...
    @property
    def quality(self) -> float | None: ...


def comparison_bundle(comparison: Comparison, answers: Table | None = None) -> dict[str, str]:
    """Return a comparison as text/plain and text/html: verdict, summary, answers.

    Without `answers` those of a live trial are shown. One prompt proves nothing, so it has answers and no verdict.
    """
    if answers is None and comparison.answers:
        answers = _live(comparison)
    alone = comparison.terms.confirm < 2
    tables = [*([] if alone else [summary(comparison)]), *([] if answers is None else [answers])]
    said = "one prompt: no verdict can follow from it" if alone else comparison.why
    head, rest = headline(said)
    body = "".join(table.html() for table in tables)
    detail = f"<div>{escape(rest)}</div>" if rest else ""
    style = "margin:6px 0 2px;font-size:1.35em;font-weight:600;color:inherit"
    html = f'{GRID_STYLE}<h3 style="{style}">{escape(head)}</h3>{detail}{body}'
    return {
        "text/plain": "\n\n".join([safe(said), *(table.text() for table in tables)]),
        "text/html": framed(html, more="grid"),
    }


def headline(sentence: str) -> tuple[str, str]:
    """Return a verdict's head, to be set large, and the rest of its sentence.

    >>> headline("simulated: adopt cheap-first: quality 91 % against 92 %")
    ('Adopt cheap-first (simulated)', 'quality 91 % against 92 %')
    """
    simulated = sentence.startswith("simulated: ")
    head, _, rest = sentence.removeprefix("simulated: ").partition(": ")
    head = head[:1].upper() + head[1:]
    return (f"{head} (simulated)" if simulated else head), rest


def summary(comparison: Comparison, *, limit: int = ARMS) -> Table:
    """Return one row an arm: the verdict in words, figures with intervals, and differences from the baseline.

    The controls stand below a rule; they are what any router must be held against, not arms to adopt. Waits and failures have
    a column where there are any.
    """
    shown, hidden = chosen(comparison, limit)
    base = comparison.baseline.name
    rows = [
        Row(
            name=s.name,
            words=_words(s, comparison),
            figures=s.arm.figures,
            base=s.arm.name == base or same(s.arm.walked, comparison.baseline.walked),
            hits=s.arm.walked.hits,
        )
        for s in shown
    ]
    controls = _controls(comparison)
    about = "≈ " if "estimated" in comparison.terms.cost_kinds else ""
    columns = {name: say for name, say in COLUMNS.items() if _needed(name, shown)}
    body = [_cells(row, columns, about) for row in rows]
    if controls:
        body += [(RULE, *[""] * (len(columns) + 1)), *(_cells(row, columns, about) for row in controls)]
    return Table(
        head=("arm", "verdict", *columns),
        rows=body,
        numbers=frozenset(range(2, len(columns) + 2)),
        caption=_caption(comparison),
        notes=_notes(comparison, hidden, failures="failed" in columns),
    )


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the summary; `base`: it gives the baseline's answers, so there is no difference to show."""

    name: str
    words: str
    figures: Figures
    base: bool = False
    hits: Hits | None = None


def _cells(row: Row, columns: Mapping[str, Callable[[Row, str], str]], about: str) -> tuple[str, ...]:
    return (row.name, row.words, *(say(row, about) for say in columns.values()))


def _needed(column: str, shown: Sequence[Shown]) -> bool:
    if column == HITS:
        return any(s.arm.walked.hits is not None for s in shown)
    if column == FAILED:
        return any(s.arm.figures.failures for s in shown)
    return column != WAITS or any(not np.isnan(s.arm.walked.latency_s).all() for s in shown)


def _quality(row: Row, _: str) -> str:
    return "not scored" if row.figures.quality is None else _stacked(quality_text(row.figures.quality))


def _delta(row: Row, _: str) -> str:
    against = row.figures.against
    return DASH if row.base or against is None else _stacked(points(against.difference))


def _cost(row: Row, about: str) -> str:
    f = row.figures
    if f.cost_usd is None:
        return "?"
    part = f"\n({f.cost_known:,} of {f.n:,} known)" if f.cost_known < f.n else ""
    return f"{about}{usd(1000 * f.cost_usd)}{part}"


def _ratio(row: Row, about: str) -> str:
    ratio = row.figures.cost_ratio
    return DASH if row.base else "?" if ratio is None else about + _stacked(times(ratio))


def _waits(row: Row, _: str) -> str:
    pair = (row.figures.latency_p50, row.figures.latency_p95)
    return "?" if pair == (None, None) else " /\n".join("n small" if q is None else seconds(q.value) for q in pair)


def _failed(row: Row, _: str) -> str:
    return f"{row.figures.failures:,} of {row.figures.n:,}"


def _stacked(text: str) -> str:
    # Value over interval: half as wide, so that a row fits beside a notebook's margin.
    return text.replace(" [", "\n[")


def _hits(row: Row, _: str) -> str:
    if row.hits is None or row.hits.rate is None:
        return DASH
    false = row.hits.false_rate
    known = "" if not row.hits.rate else "\n(? false)" if false is None else f"\n({100 * false:.1f} % false)"
    return f"{100 * row.hits.rate:.1f} %{known}"


WAITS, FAILED, HITS = "p50 / p95", "failed", "cache hits"
COLUMNS: Mapping[str, Callable[[Row, str], str]] = MappingProxyType(
    {
        "quality": _quality,
        "Δ points": _delta,
        "cost / 1,000": _cost,
        "× baseline": _ratio,
        WAITS: _waits,
        HITS: _hits,
        FAILED: _failed,
    }
)


def _caption(comparison: Comparison) -> str:
    terms = comparison.terms
    tried = f" of {terms.arms_tried} tried" if terms.arms_tried > len(comparison.arms) else ""
    split = (
        f"chosen on {terms.tune:,} tune prompts, reported on {terms.confirm:,} confirm prompts"
        if terms.tune
        else f"{terms.confirm:,} prompts"
    )
    parts = [
        *(["SIMULATED: no figure here says anything about a real model"] if terms.simulated else []),
        f"{terms.dataset or 'comparison'}: {many(len(comparison.arms), 'arm')}{tried}, {split}",
        f"margin {100 * terms.margin:g} points",
        *([] if comparison.answers else [comparison.how]),
    ]
    return sentence(*parts)


def _notes(comparison: Comparison, hidden: int, *, failures: bool) -> tuple[str, ...]:
    terms = comparison.terms
    kinds = [COST_KINDS.get(k, k) for k in terms.cost_kinds if k != "recorded"]
    marked = ", marked ≈" if "estimated" in terms.cost_kinds else ""
    how = (
        "[ ]: 95 % intervals; Δ: quality minus the baseline's on the same prompts, in points; "
        "cost: USD per 1,000 prompts; × baseline: ratio of the costs"
    )
    notes = (
        f"{many(hidden, 'more arm')}; .frame has all" if hidden else "",
        how if failures else f"{how}; nothing failed",
        f"costs are {' and '.join(kinds)}{marked}" if kinds else "",
        *terms.notes,
    )
    return tuple(safe(note) for note in notes if note)


def points(difference: Estimate) -> str:
    """Return a difference of qualities in points with its interval.

    >>> points(Estimate(value=-0.012, low=-0.03, high=0.005, se=None, n=400))
    '−1.2 [−3.0, +0.5]'
    """
    ends = "" if difference.low is None else f" [{signed(difference.low)}, {signed(difference.high)}]"
    return signed(difference.value) + ends


def times(ratio: Estimate) -> str:
    """Return a ratio of costs with its interval.

    >>> times(Estimate(value=0.042, low=0.04, high=0.044, se=None, n=400))
    '0.042 [0.040, 0.044]'
    """
    if ratio.value == 0:
        return "0 (free)"
    digits = 3 if ratio.value < 0.1 else 2
    ends = "" if ratio.low is None else f" [{ratio.low:.{digits}f}, {ratio.high:.{digits}f}]"
    return f"{ratio.value:.{digits}f}{ends}"


def _words(shown: Shown, comparison: Comparison) -> str:
    arm, verdict = shown.arm, shown.arm.figures.against
    if shown.role == "baseline":
        return "baseline"
    if verdict is None:
        return "cannot be judged: no quality on the same prompts"
    if same(arm.walked, comparison.baseline.walked):
        return "gives the baseline's answers"
    if verdict.verdict == "inconclusive":
        need = f": about {verdict.n_needed:,} prompts needed" if verdict.n_needed is not None else ""
        return f"inconclusive{need or (': ' + verdict.difference.note if verdict.difference.note else '')}"
    if verdict.verdict == "worse":
        return "worse"
    better = arm.figures.p_better_adjusted is not None and arm.figures.p_better_adjusted <= ALPHA
    parts = [
        "non-inferior"
        + (" and better" if better else "")
        + (", yet worse within the margin" if verdict.worse_within_margin else "")
    ]
    if arm.figures.p_adopt_adjusted is not None and arm.figures.p_adopt_adjusted > ALPHA and cheaper(arm):
        parts.append("not after the correction for several arms")
    if not cheaper(arm):
        parts.append("not cheaper" if arm.figures.cost_ratio is not None else "cost not known")
    if comparison.terms.nominated is not None and arm.name not in comparison.terms.nominated:
        parts.append("not chosen on tune")
    return ("★ adopt: " if shown.role == "winner" else "") + "; ".join(parts)


def _controls(comparison: Comparison) -> list[Row]:
    controls = comparison.controls
    if controls is None:
        return []
    rows: list[Row] = []
    if comparison.baseline.name != "best-single":
        best = controls.best_single
        rows.append(
            Row(name=_named("best-single", best), words="the best model on tune, for everything", figures=best.figures)
        )
    if controls.cheapest is not None:
        least = controls.cheapest
        rows.append(
            Row(name=_named("cheapest", least), words="the cheapest model, for everything", figures=least.figures)
        )
    if controls.shuffle is not None:
        name = f"shuffle of {controls.shuffle.of}"
        rows.append(Row(name=name, words=lift(controls.shuffle), figures=controls.shuffle.figures))
    words = "hindsight: a bound inflated by luck, out of reach"
    rows.append(Row(name="oracle", words=words, figures=controls.oracle.figures))
    return rows


def _named(control: str, arm: Arm) -> str:
    return f"{control}: {arm.config}" if isinstance(arm.config, str) else control


def lift(shuffle: Shuffle) -> str:
    """Return in words what the arm's choices bring over its own shares handed out at random."""
    if shuffle.lift is None or shuffle.lift.low is None or shuffle.lift.high is None:
        return "same shares at random"
    verdict = "better than" if shuffle.lift.low > 0 else "worse than" if shuffle.lift.high < 0 else "not told from"
    return f"same shares at random; the arm is {verdict} chance: {points(shuffle.lift)}"


def answers(
    prompts: Sequence[Prompt], by_arm: Mapping[str, Sequence[Answered]], *, limit: int = SHOWN, different: bool = False
) -> Table:
    """Return one row a prompt and one column an arm: what was said, whether it was right, by whom, for how much, how fast.

    `by_arm` holds each arm's answers in the order of the prompts. With `different` the prompts on which the arms disagree in
    quality come first. Only `limit` prompts are shown, which is announced.
    """
    order = sorted(
        range(len(prompts)), key=lambda i: different and len({row[i].quality for row in by_arm.values()}) < 2
    )
    kept = order[:limit]
    hidden = len(prompts) - len(kept)
    # Where everything is simulated the caption says so once.
    simulated = bool(by_arm) and all(getattr(row[i], "simulated", False) for row in by_arm.values() for i in kept)
    caption = [
        *(["SIMULATED answers"] if simulated else []),
        *([f"{len(kept)} of {len(prompts):,} prompts shown; .answers has all"] if hidden else []),
    ]
    return Table(
        head=("prompt", *by_arm),
        rows=[(_asked(prompts[i]), *(said(row[i], tell=not simulated) for row in by_arm.values())) for i in kept],
        caption="; ".join(caption),
        notes=("✓ right, ✗ wrong or no answer, ◐ partly right, · not scored",),
    )


def said(answer: Answered, *, tell: bool = True) -> str:
    """Return an answer's cell: a line of facts, then its first characters; `tell` says which answers are simulated."""
    error = getattr(answer, "error", None)
    quality = answer.quality
    mark = (
        "✗"
        if error is not None
        else "·"
        if quality is None
        else "✓"
        if quality >= 0.999
        else "✗"
        if quality <= 0.001
        else "◐"
    )
    facts = [
        mark + ("" if quality is None else f" {quality:.2f}"),
        (answer.model or "no model") + (" (simulated)" if tell and getattr(answer, "simulated", False) else ""),
        usd(answer.cost_usd),
        seconds(answer.latency_s),
        *(["cache hit"] if getattr(answer, "cached", False) else []),
        *(["⚠ default"] if getattr(answer, "defaulted", False) else []),
    ]
    text = f"{type(error).__name__}: {getattr(error, 'message', error)}" if error is not None else answer.text
    # A narrow column breaks between facts, never inside one.
    line = " · ".join(fact.replace(" ", "\N{NO-BREAK SPACE}") for fact in facts)
    return f"{line}\n{cut(text) or '(empty answer)'}"


def cut(text: str, limit: int = CHARACTERS) -> str:
    """Return the beginning of a text, saying how much of it is left out.

    >>> cut("abcdef", 4)
    'abcd… (2 more characters)'
    """
    text = re.sub(r"\n\s*\n", "\n", text.strip())
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit:,} more characters)"


def _asked(prompt: Prompt) -> str:
    return (f"[{prompt.task}] " if prompt.task else "") + cut(" ".join(prompt.text.split()), ASKED)


def _live(comparison: Comparison) -> Table:
    names = {s.arm.name: s.name for s in everyone(comparison)}
    by_arm = {names.get(name, name): row for name, row in comparison.answers.items()}
    return answers(comparison.prompts, by_arm, limit=LIVE, different=True)
