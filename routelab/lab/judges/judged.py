"""Judged as tables: what a judge said about one answer, or about two answers in one order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

import numpy as np

from routelab.core.errors import DataError, suggest
from routelab.core.ports import Floats

if TYPE_CHECKING:
    from routelab.lab.outcomes import Outcomes

Winner: TypeAlias = Literal["first", "second", "tie"]
Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What one judge gave one answer.

    `quality` is 0 to 1, None when no verdict could be read; `truth` is what an exact scorer or a person gave the same answer;
    `chars` is the answer's length. The same judge may mark an answer more than once.
    """

    prompt_id: str
    model: str
    judge: str
    quality: float | None
    truth: float | None = None
    chars: int | None = None
    group: str | None = None

    @property
    def cluster(self) -> str:
        """The cluster for intervals: the prompt's group, or the prompt."""
        return f"group {self.group}" if self.group is not None else f"prompt {self.prompt_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Duel:
    """Which of two answers one judge preferred, in the order in which it saw them; `winner` is None without a readable verdict."""

    prompt_id: str
    first: str
    second: str
    judge: str
    winner: Winner | None
    first_truth: float | None = None
    second_truth: float | None = None
    first_chars: int | None = None
    second_chars: int | None = None
    group: str | None = None

    @property
    def cluster(self) -> str:
        """The cluster for intervals: the prompt's group, or the prompt."""
        return f"group {self.group}" if self.group is not None else f"prompt {self.prompt_id}"

    @property
    def first_share(self) -> float | None:
        """1 when the first answer won, 0 when the second did, ½ for a tie."""
        return None if self.winner is None else {"first": 1.0, "tie": 0.5, "second": 0.0}[self.winner]

    def share(self, model: str) -> float | None:
        """Return the same for one of the two models."""
        share = self.first_share
        return share if share is None or model == self.first else 1.0 - share


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Marks (one answer at a time) and duels (two answers, in one order), of one or more judges."""

    marks: tuple[Mark, ...] = ()
    duels: tuple[Duel, ...] = ()
    simulated: bool = False

    def __len__(self) -> int:
        return len(self.marks) + len(self.duels)

    @property
    def judges(self) -> tuple[str, ...]:
        """The judges' names, in the order in which they appear."""
        return tuple(dict.fromkeys([*(m.judge for m in self.marks), *(d.judge for d in self.duels)]))

    @property
    def models(self) -> tuple[str, ...]:
        """The models whose answers were judged, in the order in which they appear."""
        named = [m.model for m in self.marks] + [name for d in self.duels for name in (d.first, d.second)]
        return tuple(dict.fromkeys(named))

    def by(self, judge: str) -> Judged:
        """Return one judge's judgements; DataError when it has none."""
        if judge not in self.judges:
            near = suggest(judge, self.judges)
            raise DataError(
                f"'{judge}' judged nothing here{'' if near is None else '; ' + near}",
                hint=f"judges: {', '.join(self.judges) or 'none'}",
            )
        return Judged(
            marks=tuple(m for m in self.marks if m.judge == judge),
            duels=tuple(d for d in self.duels if d.judge == judge),
            simulated=self.simulated,
        )

    def __add__(self, other: Judged) -> Judged:
        return Judged(
            marks=self.marks + other.marks,
            duels=self.duels + other.duels,
            simulated=self.simulated or other.simulated,
        )

    @staticmethod
    def of_outcomes(outcomes: Outcomes, judges: Mapping[str, str] | Iterable[str] = ()) -> Judged:
        """Return what the gates of recorded outcomes gave, as marks with the outcomes' quality as truth.

        `judges` maps keys of `outcomes.gates` to judges' names, or lists keys that are names themselves; default: every key.
        A failed answer has no mark, because there was nothing to judge.
        """
        chosen = judges if isinstance(judges, Mapping) else {key: key for key in (judges or outcomes.gates)}
        for key in chosen:
            if key not in outcomes.gates:
                near = suggest(key, outcomes.gates)
                raise DataError(
                    f"no verdicts of '{key}' in these outcomes{'' if near is None else '; ' + near}",
                    hint=f"gates there: {', '.join(outcomes.gates) or 'none'}",
                )
        marks = [
            Mark(
                prompt_id=prompt.id,
                model=model,
                judge=judge,
                quality=_readable(given.score[i, k]),
                truth=known(outcomes.quality[i, k]),
                chars=length(outcomes, prompt.id, model),
                group=prompt.group,
            )
            for given, judge in ((outcomes.gates[key], judge) for key, judge in chosen.items())
            for i, prompt in enumerate(outcomes.prompts)
            for k, model in enumerate(outcomes.models)
            if not np.isnan(given.score[i, k]) and not outcomes.failed[i, k]
        ]
        return Judged(marks=tuple(marks), simulated=outcomes.simulated)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two models' answers to one prompt as one judge saw them: the share of the first-named model in each order.

    `ab` holds the verdicts with `a` first, `ba` those with `b` first, both as the share of `a` (1, ½ or 0).
    """

    prompt_id: str
    a: str
    b: str
    judge: str
    cluster: str
    ab: tuple[float, ...]
    ba: tuple[float, ...]

    @property
    def both(self) -> bool:
        """Whether both orders were judged."""
        return bool(self.ab and self.ba)

    @property
    def agreed(self) -> bool:
        """Whether every verdict, in either order, is for the same model (or all are ties)."""
        return len({*self.ab, *self.ba}) == 1

    @property
    def share(self) -> float:
        """The verdict of both orders for `a`: 1 or 0 when all agree, ½ when they disagree."""
        return (self.ab or self.ba)[0] if self.agreed else 0.5


def pairs(duels: Iterable[Duel]) -> tuple[Pair, ...]:
    """Return the readable verdicts gathered by judge, prompt and pair of models, in the order of first appearance.

    The model that comes first in the alphabet is `a`, so that both orders meet.
    """
    orders: dict[tuple[str, str, str, str], tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    clusters: dict[tuple[str, str, str, str], str] = {}
    for duel in duels:
        a, b = sorted((duel.first, duel.second))
        share = duel.share(a)
        if share is None:
            continue
        key = (duel.judge, duel.prompt_id, a, b)
        orders[key][0 if duel.first == a else 1].append(share)
        clusters.setdefault(key, duel.cluster)
    return tuple(
        Pair(prompt_id=key[1], a=key[2], b=key[3], judge=key[0], cluster=clusters[key], ab=tuple(ab), ba=tuple(ba))
        for key, (ab, ba) in orders.items()
    )


def known(value: float) -> float | None:
    """Return the value, or None for NaN."""
    return None if np.isnan(value) else float(value)


def column(rows: Sequence[Row], value: Callable[[Row], float | None]) -> Floats:
    """Return one float a row, NaN where the value is None."""
    return np.array([np.nan if (v := value(row)) is None else v for row in rows], dtype=float)


def _readable(score: float) -> float | None:
    # A judge that was asked and could not say is recorded as minus infinity.
    return float(score) if np.isfinite(score) else None


def length(outcomes: Outcomes, prompt_id: str, model: str) -> int | None:
    """Return the characters of a recorded answer, or None when its text was not recorded."""
    text = None if outcomes.texts is None else outcomes.texts(prompt_id, model)
    return None if text is None else len(text)
