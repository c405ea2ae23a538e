"""What judging will cost, said before anything is asked: calls and USD by judging model, from what is to be read and written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from routelab.core.errors import BudgetExceeded
from routelab.core.ports import Log, TokenCounter
from routelab.core.values import Model, Prompt, Tokens
from routelab.judging import Planned, asking, kinds
from routelab.lab.forecast import ENOUGH_ANSWERS, FRAME_TOKENS
from routelab.lab.prices import assumed_output_tokens
from routelab.present import Table, bundle, usd

VERDICT_TOKENS = 80
"""A verdict as JSON with its reason, where the log has none of that judge to go by."""
_LENGTHS = """
    select judge, avg(output_tokens) from scores
    where judge in (select unnest(?::varchar[])) and output_tokens is not null
    group by all having count(*) >= ?
"""


@dataclass(frozen=True, kw_only=True)
class Sitting:
    """One model's part: how many calls, about how many tokens, and what they cost in USD, None without a price."""

    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    usd: float | None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Docket:
    """What a judging has before it: `due` answers to judge, `kept` verdicts that are in the log and cost nothing more.

    `worst_usd` is the most that it can cost, with verdicts asked for once more and the longest replies, retries apart.
    """

    due: int
    kept: int
    sittings: tuple[Sitting, ...]
    worst_usd: float | None
    simulated: bool = False

    @property
    def calls(self) -> int:
        """How many calls are to be made, when every verdict can be read at once."""
        return sum(s.calls for s in self.sittings)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The models that are to be asked and have no known price."""
        return tuple(s.model for s in self.sittings if s.usd is None)

    @property
    def usd(self) -> float | None:
        """About what judging costs in USD, None as soon as one price is not known."""
        return None if self.unpriced else math.fsum(s.usd or 0.0 for s in self.sittings)

    @property
    def text(self) -> str:
        """The estimate in one line."""
        if not self.due:
            return f"all {self.kept:,} verdicts are in the log"
        price = f"unpriced: {', '.join(self.unpriced)}"
        if self.usd is not None:
            price = f"≈ {usd(self.usd)}" + ("" if self.worst_usd is None else f", at most {usd(self.worst_usd)}")
        asked = ", ".join(f"{s.calls:,} of {s.model}" for s in self.sittings)
        kept = f" · {self.kept:,} verdicts are in the log" if self.kept else ""
        return f"{'simulated: ' if self.simulated else ''}{self.due:,} answers to judge · {asked} calls · {price}{kept}"

    def within(self, budget_usd: float) -> None:
        """Raise BudgetExceeded when a budget cannot be kept because a price is not known."""
        if self.due and self.unpriced:
            raise BudgetExceeded(
                f"{', '.join(self.unpriced)}: no known price, so a budget of ${budget_usd:g} cannot be kept; nothing was asked",
                hint="give them a price in fleet.yaml (usd_per_mtok_in, usd_per_mtok_out), or drop the budget",
            )

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        rows = [
            [
                s.model,
                f"{s.calls:,}",
                f"{s.input_tokens:,}",
                f"{s.output_tokens:,}",
                "?" if s.usd is None else usd(s.usd),
            ]
            for s in self.sittings
        ]
        head = ("judge", "calls", "tokens in", "tokens out", "about")
        return bundle(Table(head=head, rows=rows, numbers=frozenset(range(1, 5)), caption=self.text))


def docket(
    due: Iterable[tuple[Prompt, str, str]],
    calls: Callable[[str], Iterable[Planned]],
    *,
    kept: int,
    models: Mapping[str, Model],
    counter: TokenCounter,
    log: Log,
    worst: Callable[[tuple[Planned, ...], Prompt, str], float | None],
) -> Docket:
    """Return what judging `due` answers (prompt, who answered, text) takes; `calls` says what one of an author's takes.

    `worst` gives the most that one judgement can cost. Verdicts are as long as those of the judge in the log.
    """
    answers = list(due)
    counts: dict[str, list[float]] = {}
    most: float | None = 0.0
    lengths = _lengths(log, sorted(models)) if answers else {}
    rules = {name: _counted(counter, (asking.RULES, asking.SCORE, kinds.RUBRIC), m) for name, m in models.items()}
    for prompt, author, text in answers:
        planned = tuple(calls(author))
        one = worst(planned, prompt, text)
        most = None if most is None or one is None else most + one
        for call in planned:
            held = counts.setdefault(call.model, [0.0, 0.0, 0.0])
            model = models[call.model]
            read = _counted(counter, (*(m.content for m in prompt.messages), *(text,) * call.shows), model)
            read += rules[call.model] if call.verdict else 0
            said = lengths.get(call.model, VERDICT_TOKENS) if call.verdict else assumed_output_tokens(prompt.task)
            held[0] += call.times
            held[1] += call.times * (read + FRAME_TOKENS * 2)
            held[2] += call.times * min(said, call.output_tokens or math.inf)
    return Docket(
        due=len(answers),
        kept=kept,
        sittings=tuple(_sitting(models[name], *held) for name, held in counts.items()),
        worst_usd=most,
        simulated=bool(counts) and all(models[name].simulated for name in counts),
    )


def _counted(counter: TokenCounter, texts: Iterable[str], model: Model) -> int:
    return sum(counter.count(text, model).input or 0 for text in texts)


def _sitting(model: Model, calls: float, read: float, said: float) -> Sitting:
    tokens = Tokens(input=round(read), output=round(said))
    cost = None if model.price is None else model.price.cost_usd(tokens)
    return Sitting(model=model.name, calls=round(calls), input_tokens=round(read), output_tokens=round(said), usd=cost)


def _lengths(log: Log, names: list[str]) -> dict[str, float]:
    return {str(judge): float(mean) for judge, mean in log.query(_LENGTHS, [names, ENOUGH_ANSWERS])}
