"""Who judges recorded answers for a gate: what was recorded when they were judged, or a gate that looks at them again.

A gate that only looks at what was said (`gates.seen.Look`) is the same function live and here. Each answer that a plan
asks for is looked at once: what was given is kept as long as the outcomes are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from routelab.core.errors import DataError
from routelab.core.plan import NOBODY, Gate
from routelab.core.ports import Floats
from routelab.gates import All, Look, Seen, kind_of
from routelab.gates import Recorded as Named
from routelab.gates.learned import rows as signs_of
from routelab.lab.outcomes import Ints, Judgements, Outcomes
from routelab.lab.walk import Referee, Rulings
from routelab.scoring.matching import Match
from routelab.strategies.agreement import LAST


@dataclass(frozen=True, kw_only=True, eq=False)
class Recorded:
    """Gives what was recorded."""

    given: Judgements

    def __call__(self, rows: Ints, cells: Ints, before: Ints) -> Rulings:
        """Return the recorded rulings."""
        at = self.given.at(rows, cells)
        return Rulings(score=at.score, cost_usd=at.cost_usd, latency_s=at.latency_s)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reread:
    """Lets a gate look at recorded texts; a text that is missing, or one before it, leaves the ruling unknown."""

    look: Look
    outcomes: Outcomes
    held: dict[tuple[int, ...], tuple[float, int]] = field(default_factory=dict)

    def __call__(self, rows: Ints, cells: Ints, before: Ints) -> Rulings:
        """Return the rulings of the gate, which cost nothing and take no time."""
        score, stands = np.empty(len(rows)), np.empty(len(rows), dtype=np.intp)
        for i, key in enumerate(zip(rows.tolist(), cells.tolist(), *before.T.tolist(), strict=True)):
            found = self.held.get(key)
            score[i], stands[i] = self._looked(key) if found is None else found
        free = np.zeros(len(rows))
        return Rulings(score=score, cost_usd=free, latency_s=free, stands=stands)

    def _looked(self, key: tuple[int, ...]) -> tuple[float, int]:
        row, cell, *before = key
        prompt = self.outcomes.prompts[row]
        answers = []
        found = (np.nan, NOBODY)
        for column in (*(c for c in before if c != NOBODY), cell):
            text = text_of(self.outcomes, row, column)
            if text is None:
                break
            answers.append((self.outcomes.models[column], text))
        else:
            given = self.look(Seen(prompt=prompt, answers=tuple(answers)))
            stands = NOBODY if given.answered_by is None else self.outcomes.models.index(given.answered_by)
            found = (-np.inf if given.quality is None else given.quality, NOBODY if stands == cell else stands)
        self.held[key] = found
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class InTurn:
    """Lets referees rule one after the other until one refuses, as `gates.All` does live."""

    parts: tuple[tuple[Gate, Referee], ...]
    models: tuple[str, ...]

    def __call__(self, rows: Ints, cells: Ints, before: Ints) -> Rulings:
        """Return 1 where all accept, 0 where one refuses, and what those asked cost and took."""
        n = len(rows)
        score, cost, latency = np.ones(n), np.zeros(n), np.zeros(n)
        open_ = np.arange(n, dtype=np.intp)
        for gate, referee in self.parts:
            given = referee(rows[open_], cells[open_], before[open_])
            cost[open_] += given.cost_usd
            latency[open_] += given.latency_s
            bars = np.array([gate.bar(model) for model in self.models])[cells[open_]]
            passed = given.score >= bars
            failed = open_[~passed]
            score[failed] = np.where(np.isfinite(given.score[~passed]), 0.0, given.score[~passed])
            open_ = open_[passed]
        return Rulings(score=score, cost_usd=cost, latency_s=latency)


# Per outcomes, so that a threshold's next value does not read every text again; gone when the outcomes are.
_LOOKED: WeakKeyDictionary[Outcomes, dict[str, Referee]] = WeakKeyDictionary()


def referee_of(arm: str, gate: Gate, outcomes: Outcomes) -> Referee | None:
    """Return who judges for a gate over these outcomes, None for a gate without a scorer; DataError when nobody can."""
    if gate.scorer is None:
        return None
    held = _LOOKED.setdefault(outcomes, {})
    if gate.key not in held:
        held[gate.key] = _made(arm, gate, outcomes)
    return held[gate.key]


def _made(arm: str, gate: Gate, outcomes: Outcomes) -> Referee:
    given = outcomes.gates.get(gate.key)
    # What was recorded needs nobody who could judge now. But whose answer stands was not recorded: that takes another look.
    if given is not None and (gate.scorer != "agreement" or gate.spec.get("answer", LAST) == LAST):
        return Recorded(given=given)
    kind = kind_of(gate)
    if isinstance(kind, Named):
        return Recorded(given=_named(arm, gate, kind.recorded, outcomes.gates))
    if isinstance(kind, All):
        parts = tuple((part, _made(arm, part, outcomes)) for part, _ in kind.parts)
        return InTurn(parts=parts, models=outcomes.models)
    if not callable(kind):
        return Recorded(given=_named(arm, gate, gate.key, outcomes.gates))
    if outcomes.texts is None:
        raise DataError(
            f"arm '{arm}': its gate looks at answers, and no texts were recorded",
            hint="outcomes need a `response` column (or a log); a gate that was recorded needs none",
        )
    look: Any = kind
    return Reread(look=look, outcomes=outcomes)


def _named(arm: str, gate: Gate, key: str, gates: Mapping[str, Judgements]) -> Judgements:
    if key in gates:
        return gates[key]
    there = f"gates recorded: {', '.join(gates) or 'none'}"
    if key != gate.key:
        raise DataError(f"arm '{arm}': its gate needs the score '{key}', and that was not recorded", hint=there)
    spec = {"scorer": gate.scorer, **gate.spec}
    raise DataError(
        f"arm '{arm}': its gate needs what {gate.scorer} gave ('{key}'), and that was not recorded",
        hint=f"lab.judge(outcomes, {spec}) asks it about every recorded answer; {there}",
    )


def text_of(outcomes: Outcomes, row: int, column: int) -> str | None:
    """Return what was answered, or None when no text was recorded or the model failed."""
    if outcomes.texts is None or outcomes.failed[row, column]:
        return None
    return outcomes.texts(outcomes.prompts[row].id, outcomes.models[column])


def signs(outcomes: Outcomes, rows: Ints, cells: Ints, before: Ints, match: Match) -> Floats:
    """Return the signs of recorded answers, k × `scoring.signs.NAMES`; see `Outcomes.signs`."""
    texts = [text_of(outcomes, r, c) for r, c in zip(rows.tolist(), cells.tolist(), strict=True)]
    earlier = [
        [None if c == NOBODY else text_of(outcomes, r, c) for c in line]
        for r, line in zip(rows.tolist(), before.tolist(), strict=True)
    ]
    return signs_of(texts, [outcomes.prompts[r] for r in rows.tolist()], earlier, match)
