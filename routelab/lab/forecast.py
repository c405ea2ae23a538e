"""What asking will cost, said before anything is asked: a range for each model, from answers in the log or from stated lengths."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from routelab.core.errors import BudgetExceeded
from routelab.core.ports import Log, TokenCounter
from routelab.core.values import Model, Prompt
from routelab.lab.prices import assumed_output_tokens
from routelab.present import Table, bundle, usd
from routelab.stages.call import ASSUMED_OUTPUT_TOKENS

ENOUGH_ANSWERS = 5
"""From this many answers of a model to a task on, their lengths are taken instead of the stated ones."""
LEVEL = 0.9
SHORTEST, LONGER, REASONING = 1, 4.0, 1000
"""An answer whose length nobody knows: from one token, so that a refusal is certain, to four times the stated length and so
many hidden tokens."""
FRAME_TOKENS = 4
COUNTED = (0.8, 1.25)
"""Counts of the input made here, against the provider's own."""
_LENGTHS = """
    select requested_model, coalesce(task, ''), count(*), avg(output_tokens), var_samp(output_tokens)
    from calls where status = 'answered' and not cached and output_tokens is not null
          and simulated = ? and requested_model in (select unnest(?::varchar[]))
    group by all
"""

_WAITS = """
    select requested_model, avg(latency_s) from calls
    where status = 'answered' and not cached and latency_s is not null
          and simulated = ? and requested_model in (select unnest(?::varchar[]))
    group by all having count(*) >= ?
"""

Range = tuple[float, float, float]
"""Low end, middle, high end."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """One model's part of a forecast; `usd` is None without a price, `known` counts the calls whose length rests on answers."""

    model: str
    calls: int
    known: int
    input_tokens: Range
    output_tokens: Range
    usd: Range | None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Forecast:
    """The price of a collection's calls in USD, as a 90 % range; what is in the log already costs nothing more.

    `kept` answers are in the log, `errored` calls and `missing` ones are to be asked. Ends add up over models, as if all were
    wrong the same way, so the whole range is cautious. Models without a price are in `unpriced` and in no sum. `waits_s` are
    the mean waits for one answer of each model that has answers in the log.
    """

    shares: tuple[Share, ...]
    kept: int = 0
    errored: int = 0
    missing: int = 0
    simulated: bool = False
    waits_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """How many calls are to be made."""
        return sum(share.calls for share in self.shares)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The models that are to be asked and have no known price."""
        return tuple(share.model for share in self.shares if share.usd is None and share.calls)

    @property
    def low_usd(self) -> float:
        """The low end in USD."""
        return self._sum(0)

    @property
    def usd(self) -> float:
        """The middle in USD."""
        return self._sum(1)

    @property
    def high_usd(self) -> float:
        """The high end in USD."""
        return self._sum(2)

    def time_s(self, jobs: int) -> float | None:
        """Return about how many seconds the calls take, `jobs` at a time; None unless every model's wait is known from the log."""
        asked = [share for share in self.shares if share.calls]
        if any(share.model not in self.waits_s for share in asked):
            return None
        return math.fsum(share.calls * self.waits_s[share.model] for share in asked) / max(1, jobs)

    def tokens(self) -> tuple[float, float]:
        """Return the middle of all input and all output tokens."""
        return (
            math.fsum(share.input_tokens[1] for share in self.shares),
            math.fsum(share.output_tokens[1] for share in self.shares),
        )

    def _sum(self, end: int) -> float:
        return math.fsum(share.usd[end] for share in self.shares if share.usd is not None)

    def within(self, budget_usd: float, *, spent_usd: float = 0.0) -> None:
        """Raise BudgetExceeded, with the numbers, when even the low end does not fit, or a price is not known."""
        if self.unpriced:
            raise BudgetExceeded(
                f"{', '.join(self.unpriced)}: no known price, so a budget of ${budget_usd:g} cannot be kept",
                hint="give them a price in fleet.yaml (usd_per_mtok_in, usd_per_mtok_out), or drop the budget",
            )
        if self.calls and spent_usd + self.low_usd > budget_usd:
            spent = f", after ${spent_usd:.4g} spent before" if spent_usd else ""
            raise BudgetExceeded(
                f"a budget of ${budget_usd:g} is not enough: {self.calls:,} calls cost about {self.text}{spent}; nothing was asked",
                hint=f"budget_usd={spent_usd + self.high_usd:.2g} would do; or ask fewer prompts (dataset.sample(n)) or cheaper models",
            )

    @property
    def text(self) -> str:
        """The range in words."""
        without = f", without {', '.join(self.unpriced)}" if self.unpriced else ""
        return f"{usd(self.usd)} ({100 * LEVEL:.0f} %: {usd(self.low_usd)} to {usd(self.high_usd)}{without})"

    def table(self) -> Table:
        """Return one row a model and the sum."""
        rows = [
            [
                share.model,
                f"{share.calls:,}",
                *(f"{share.input_tokens[1]:,.0f}", f"{share.output_tokens[1]:,.0f}"),
                *(("?", "?", "?") if share.usd is None else (usd(share.usd[1]), usd(share.usd[0]), usd(share.usd[2]))),
                _basis(share),
            ]
            for share in self.shares
        ]
        total = ["all", f"{self.calls:,}", "", "", usd(self.usd), usd(self.low_usd), usd(self.high_usd), ""]
        counts = f"{self.kept:,} answers are in the log, {self.missing:,} were never asked for, {self.errored:,} ended in an error"
        return Table(
            head=("model", "calls", "tokens in", "tokens out", "about", "low", "high", "answers' lengths from"),
            rows=[*rows, total],
            numbers=frozenset(range(1, 7)),
            caption=f"{'SIMULATED: ' if self.simulated else ''}{self.calls:,} calls would cost about {self.text}",
            notes=(counts,),
        )

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return bundle(self.table())


def forecast(
    models: Sequence[Model], due: Mapping[str, Sequence[Prompt]], *, log: Log, counter: TokenCounter, **counts: int
) -> Forecast:
    """Return what asking each model its due prompts will cost; `counts` are the fields kept, errored and missing."""
    asked = [m for m in models if due.get(m.name)]
    lengths: dict[tuple[str, str], tuple[int, float, float]] = {}
    for simulated in sorted({m.simulated for m in asked}):
        names = [m.name for m in asked if m.simulated == simulated]
        for model, task, n, mean, variance in log.query(_LENGTHS, [simulated, names]):
            if n >= ENOUGH_ANSWERS:
                lengths[model, task] = (n, mean, variance or 0.0)
    return Forecast(
        shares=tuple(_share(m, due.get(m.name, ()), lengths, counter) for m in models),
        simulated=bool(models) and all(m.simulated for m in models),
        kept=counts.get("kept", 0),
        errored=counts.get("errored", 0),
        missing=counts.get("missing", 0),
    )


def waits(models: Sequence[Model], log: Log) -> dict[str, float]:
    """Return the mean wait for an answer, in seconds, of each model with at least five of them in the log."""
    found: dict[str, float] = {}
    for simulated in sorted({m.simulated for m in models}):
        names = [m.name for m in models if m.simulated == simulated]
        found |= {row[0]: float(row[1]) for row in log.query(_WAITS, [simulated, names, ENOUGH_ANSWERS])}
    return found


def _share(
    model: Model,
    prompts: Sequence[Prompt],
    lengths: Mapping[tuple[str, str], tuple[int, float, float]],
    counter: TokenCounter,
) -> Share:
    counted = sum(
        (counter.count(m.content, model).input or 0) + FRAME_TOKENS for prompt in prompts for m in prompt.messages
    )
    low, high = COUNTED
    input_tokens = (low * counted, float(counted), high * counted)
    known, output_tokens = _output(model, Counter(p.task for p in prompts), lengths)
    cost: Range | None = None
    if model.price is not None:
        i, o = model.price.usd_per_mtok_in / 1e6, model.price.usd_per_mtok_out / 1e6
        cost = (
            i * input_tokens[0] + o * output_tokens[0],
            i * input_tokens[1] + o * output_tokens[1],
            i * input_tokens[2] + o * output_tokens[2],
        )
    return Share(
        model=model.name,
        calls=len(prompts),
        known=known,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        usd=cost,
    )


def _output(
    model: Model, tasks: Mapping[str | None, int], lengths: Mapping[tuple[str, str], tuple[int, float, float]]
) -> tuple[int, Range]:
    """Return how many calls rest on answers, and the range of all output tokens.

    From n answers of mean x̄ and variance s², m more have Σ in m·x̄ ± t·√(m²s²/n + m·s²), a prediction interval; tasks are
    independent. Without answers the stated length is used, and its ends add up.
    """
    from scipy import stats

    longest = model.max_output_tokens or ASSUMED_OUTPUT_TOKENS
    known, reach = 0, 0.0
    low, middle, high = 0.0, 0.0, 0.0
    for task, m in tasks.items():
        found = lengths.get((model.name, task or ""))
        if found is None:
            stated = min(assumed_output_tokens(task), longest)
            low += m * SHORTEST
            middle += m * stated
            high += m * min(LONGER * stated + REASONING, longest)
            continue
        n, mean, variance = found
        known += m
        low, middle, high = low + m * mean, middle + m * mean, high + m * mean
        reach += float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) ** 2 * (m * m * variance / n + m * variance)
    return known, (max(low - math.sqrt(reach), 0.0), middle, high + math.sqrt(reach))


def _basis(share: Share) -> str:
    if share.known == share.calls:
        return "answers in the log" if share.calls else "–"
    return "stated lengths" if share.known == 0 else f"answers for {share.known:,} calls, else stated lengths"
