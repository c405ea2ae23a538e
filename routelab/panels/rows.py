"""What a comparison has, prompt by prompt: arrays to filter and sort by, and the texts of the few prompts that are looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.answer import Answer
from routelab.core.plan import NOBODY
from routelab.core.ports import Floats
from routelab.core.values import Prompt
from routelab.lab.charts.arms import Shown, everyone, prompts_of
from routelab.lab.compare import Comparison
from routelab.lab.outcomes import Bools, Ints

KEEPS: Mapping[str, str] = MappingProxyType(
    {
        "all": "every prompt",
        "different": "prompts on which the arms shown differ in quality, or in text where nothing scored them",
        "errors": "prompts to which an arm has no answer, or for which its default had to decide",
        "low score": "prompts on which an arm's quality is at most the threshold",
        "rated": "prompts with an answer that somebody rated",
    }
)
ORDER = "prompt order"
SORTS = (ORDER, "dearest answer first", "slowest answer first", "largest quality difference", "lowest quality first")
SAME = 1e-9


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One arm's answer to one prompt; None is what is not known. `text` is None where none was recorded or there is none.

    `error` says why there is no answer, `decided` why the default decided instead of the strategy;
    `estimated` that its cost is an estimate.
    """

    text: str | None
    model: str | None
    quality: float | None
    cost_usd: float | None
    latency_s: float | None
    error: str | None = None
    decided: str | None = None
    cached: bool = False
    simulated: bool = False
    estimated: bool = False
    run_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What of a comparison is to be seen: which prompts, in which order, of which arms (by position)."""

    arms: tuple[int, ...]
    keep: str = "all"
    at_most: float = 0.5
    task: str | None = None
    needle: str = ""
    sort: str = ORDER

    @property
    def words(self) -> str:
        """The wish in words, for who cannot see the controls."""
        low = f"an arm's quality is at most {self.at_most:g}"
        parts = [
            low if self.keep == "low score" else "all prompts" if self.keep == "all" else KEEPS[self.keep],
            *([f"task {self.task}"] if self.task is not None else []),
            *([f"containing “{self.needle}”"] if self.needle else []),
            self.sort,
        ]
        return "; ".join(parts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """A comparison's prompts and arms; arrays are prompts × arms, NaN where something is not known."""

    comparison: Comparison
    prompts: Sequence[Prompt]
    arms: tuple[Shown, ...]
    quality: Floats
    cost_usd: Floats
    latency_s: Floats
    model: Ints

    @staticmethod
    def of(comparison: Comparison) -> Rows | None:
        """Return the rows, or None where single prompts are not known: estimates from logged choices, or prompts not kept."""
        prompts, arms = prompts_of(comparison), everyone(comparison)
        walks = [item.arm.walked for item in arms]
        if comparison.estimates or not prompts or any(len(walk) != len(prompts) for walk in walks):
            return None
        return Rows(
            comparison=comparison,
            prompts=prompts,
            arms=arms,
            quality=np.column_stack([walk.quality for walk in walks]),
            cost_usd=np.column_stack([walk.cost_usd for walk in walks]),
            latency_s=np.column_stack([walk.latency_s for walk in walks]),
            model=np.column_stack([walk.model for walk in walks]),
        )

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def live(self) -> bool:
        """Whether the answers were asked for now, and are at hand."""
        return bool(self.comparison.answers)

    @cached_property
    def tasks(self) -> dict[str, int]:
        """How many prompts each task has, the largest first."""
        counts = Counter(prompt.task for prompt in self.prompts if prompt.task)
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    @cached_property
    def lost(self) -> Bools:
        """Where an arm has no answer though it asked."""
        nobody = np.asarray(self.model == NOBODY)
        if not self.live:
            return np.asarray(nobody & ~np.isnan(self.quality))
        found = np.zeros(nobody.shape, dtype=np.bool_)
        for i, k in zip(*np.nonzero(nobody), strict=True):
            found[i, k] = self._answer(int(i), int(k)).error is not None
        return found

    @cached_property
    def defaulted(self) -> Bools:
        """Where an arm's default decided, because its strategy could not."""
        found = np.zeros(self.model.shape, dtype=np.bool_)
        for k, item in enumerate(self.arms):
            found[list(item.arm.errors), k] = True
        return found

    @cached_property
    def runs(self) -> NDArray[np.object_]:
        """The ids of the runs that the answers are from, None where no log has one."""
        if self.live:
            columns = [[a.run.id for a in self.comparison.answers[item.arm.name]] for item in self.arms]
            return np.array(columns, dtype=object).T.reshape(self.model.shape)
        found = np.full(self.model.shape, None, dtype=object)
        recorded = None if self.comparison.outcomes is None else self.comparison.outcomes.runs
        if recorded is not None:
            i, k = np.nonzero(self.model != NOBODY)
            found[i, k] = recorded[i, self.model[i, k]]
        return found

    def rated(self, known: Mapping[str, Any]) -> Bools:
        """Return where an answer's run is among those known, prompts × arms."""
        if not known:
            return np.zeros(self.model.shape, dtype=np.bool_)
        flat = [run in known for run in self.runs.ravel().tolist()]
        return np.array(flat, dtype=np.bool_).reshape(self.model.shape)

    def text(self, i: int, k: int) -> str | None:
        """Return what an arm answered to a prompt, or None where there is no answer, or no text of it."""
        if self.live:
            return self._answer(i, k).run.text
        outcomes, column = self.comparison.outcomes, int(self.model[i, k])
        if column == NOBODY or outcomes is None or outcomes.texts is None:
            return None
        return outcomes.texts(self.prompts[i].id, self.comparison.models[column])

    def cell(self, i: int, k: int) -> Cell:
        """Return an arm's answer to a prompt."""
        decided = self.arms[k].arm.errors.get(i)
        if self.live:
            answer = self._answer(i, k)
            error = answer.error
            return Cell(
                text=answer.run.text,
                model=answer.model,
                quality=_known(self.quality[i, k]),
                cost_usd=answer.cost_usd,
                latency_s=answer.latency_s,
                error=None if error is None else f"{type(error).__name__}: {error.message}",
                decided=decided,
                cached=answer.cached,
                simulated=answer.simulated,
                run_id=answer.run.id,
            )
        column = int(self.model[i, k])
        unknown = (
            "what happened is not recorded" if np.isnan(self.quality[i, k]) else "no model that was asked answered"
        )
        return Cell(
            text=self.text(i, k),
            model=None if column == NOBODY else self.comparison.models[column],
            quality=_known(self.quality[i, k]),
            cost_usd=_known(self.cost_usd[i, k]),
            latency_s=_known(self.latency_s[i, k]),
            error=unknown if column == NOBODY else None,
            decided=decided,
            simulated=self.comparison.terms.simulated,
            estimated="estimated" in self.comparison.terms.cost_kinds,
            run_id=self.runs[i, k],
        )

    def answer(self, i: int, k: int) -> Answer | None:
        """Return the live answer itself, None in a replay."""
        return self._answer(i, k) if self.live else None

    def _answer(self, i: int, k: int) -> Answer:
        found: Answer = self.comparison.answers[self.arms[k].arm.name][i]
        return found


class Scan:
    """Rows whose texts have to be read: as many as there is time for, and the others later."""

    def __init__(self, order: Ints, keep: Callable[[int], bool]) -> None:
        self.order = order
        self.at = 0
        self._keep = keep
        self._kept: list[int] = []

    @property
    def done(self) -> bool:
        """Whether every row was read."""
        return self.at >= len(self.order)

    @property
    def kept(self) -> Ints:
        """The rows that are kept, of those read by now."""
        return np.array(self._kept, dtype=np.intp)

    def on(self, more: Callable[[], bool]) -> bool:
        """Read on while there is `more` time, and return whether everything is read."""
        while not self.done:
            i = int(self.order[self.at])
            if self._keep(i):
                self._kept.append(i)
            self.at += 1
            if not more():
                break
        return self.done


def sifted(rows: Rows, wish: Wish, known: Mapping[str, Any]) -> Scan:
    """Return the rows that the arrays let through, in the order wished for, and what their texts must still say.

    `known` are the runs that somebody rated. Where no text matters the scan is there, but every row is kept.
    """
    shown = list(wish.arms)
    kept = np.ones(len(rows), dtype=np.bool_)
    pending = np.zeros(len(rows), dtype=np.bool_)
    if wish.keep == "different":
        gap = _gap(rows.quality[:, shown])
        models = rows.model[:, shown]
        one = (models == models[:, :1]).all(axis=1) & (models[:, 0] != NOBODY) & (not rows.live)
        pending = np.asarray(np.isnan(gap) & ~one & (len(shown) > 1))
        kept &= (gap > SAME) | pending
    elif wish.keep == "errors":
        kept &= (rows.lost | rows.defaulted)[:, shown].any(axis=1)
    elif wish.keep == "low score":
        kept &= (rows.quality[:, shown] <= wish.at_most).any(axis=1)
    elif wish.keep == "rated":
        kept &= rows.rated(known)[:, shown].any(axis=1)
    if wish.task is not None:
        kept &= np.array([p.task == wish.task for p in rows.prompts], dtype=np.bool_)
    order = _sorted(rows, wish)
    needle = wish.needle.casefold()

    def keep(i: int) -> bool:
        if pending[i] and not _differ([rows.text(i, k) for k in shown]):
            return False
        return not needle or _found(needle, rows, i, shown)

    return Scan(order[kept[order]], keep)


def reads(wish: Wish) -> bool:
    """Say whether a wish needs texts to be read."""
    return bool(wish.needle) or wish.keep == "different"


def _gap(quality: Floats) -> Floats:
    """Return the largest difference in quality between arms, NaN where no arm is scored."""
    known = ~np.isnan(quality)
    high = np.where(known, quality, -np.inf).max(axis=1, initial=-np.inf)
    low = np.where(known, quality, np.inf).min(axis=1, initial=np.inf)
    # Infinite minus infinite would warn, so what is not known is left out first.
    there = known.any(axis=1)
    return np.where(there, np.where(there, high, 0.0) - np.where(there, low, 0.0), np.nan)


def _sorted(rows: Rows, wish: Wish) -> Ints:
    shown = list(wish.arms)
    if wish.sort == ORDER or not shown:
        return np.arange(len(rows), dtype=np.intp)
    if wish.sort == "dearest answer first":
        key = -_most(rows.cost_usd[:, shown])
    elif wish.sort == "slowest answer first":
        key = -_most(rows.latency_s[:, shown])
    elif wish.sort == "largest quality difference":
        key = -_gap(rows.quality[:, shown])
    else:
        key = -_most(-rows.quality[:, shown])
    return np.argsort(key, kind="stable").astype(np.intp)


def _most(values: Floats) -> Floats:
    known = ~np.isnan(values)
    return np.where(known.any(axis=1), np.where(known, values, -np.inf).max(axis=1), np.nan)


def _differ(texts: Sequence[str | None]) -> bool:
    # What was not recorded is not known to differ.
    said = [text for text in texts if text is not None]
    return any(text.strip() != said[0].strip() for text in said[1:])


def _found(needle: str, rows: Rows, i: int, shown: Sequence[int]) -> bool:
    if any(needle in message.content.casefold() for message in rows.prompts[i].messages):
        return True
    return any(text is not None and needle in text.casefold() for text in (rows.text(i, k) for k in shown))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
