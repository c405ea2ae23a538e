"""Live arms side by side: who is asked when, and what is kept when somebody stops half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from routelab.answer import Answer
from routelab.core.errors import BudgetExceeded
from routelab.core.events import Answered, Scored, Unanswered
from routelab.core.plan import NOBODY
from routelab.core.values import Prompt, draw
from routelab.lab.caches.live import hits_of
from routelab.lab.refreshes import Refreshes
from routelab.lab.walk import Walked
from routelab.router import Router


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a trial is: runs done of all, USD spent (a lower bound when some are unpriced), errors, runs without a price.

    `measuring_usd` is the part of `spent_usd` that judges cost who measured the answers.
    """

    done: int
    total: int
    spent_usd: float
    errors: int
    unpriced: int = 0
    measuring_usd: float = 0.0

    def plus(self, answer: Answer) -> Progress:
        """Return the progress after one more answer."""
        cost, measuring = answer.cost_usd, answer.measuring_usd
        return Progress(
            done=self.done + 1,
            total=self.total,
            spent_usd=self.spent_usd + (cost or 0.0) + (measuring or 0.0),
            errors=self.errors + (answer.error is not None),
            unpriced=self.unpriced + (cost is None or measuring is None),
            measuring_usd=self.measuring_usd + (measuring or 0.0),
        )

    def again(self, answer: Answer | None) -> Progress:
        """Return the progress after an answer that a cache had asked for again: it is paid, and none of the runs."""
        costs = (None,) if answer is None else (answer.cost_usd, answer.measuring_usd)
        return replace(
            self, spent_usd=self.spent_usd + sum(c or 0.0 for c in costs), unpriced=self.unpriced + (None in costs)
        )


Listener = Callable[[Progress], None]


class Trial:
    """Prompts × arms being played; `answers[arm][i]` is None until it is there.

    Arms are interleaved in an order drawn by the seed, so that the time of day favours none of them; `skip` names pairs of arm
    and prompt id that need not be played. With `together`, a prompt is asked of all arms before the next one (in `order`, which
    keeps groups whole), so that a beginning of the prompts is finished at any time.
    """

    def __init__(
        self,
        routers: Mapping[str, Router],
        prompts: Sequence[Prompt],
        *,
        seed: int = 0,
        skip: Collection[tuple[str, str]] = (),
        together: bool = False,
    ) -> None:
        self.routers = routers
        self.prompts = tuple(prompts)
        self.answers: dict[str, list[Answer | None]] = {arm: [None] * len(self.prompts) for arm in routers}
        self.stopped: BudgetExceeded | None = None
        pairs = [(arm, i) for arm in routers for i, p in enumerate(self.prompts) if (arm, p.id) not in skip]
        self._order = sorted(pairs, key=lambda pair: draw(seed, "order", pair[0], str(pair[1])))
        drawn = {
            i: (draw(seed, "group", p.group or p.id), draw(seed, "prompt", p.id), i) for i, p in enumerate(prompts)
        }
        self.order = sorted(drawn, key=lambda i: drawn[i])
        if together:
            place = {i: k for k, i in enumerate(self.order)}
            self._order.sort(key=lambda pair: place[pair[1]])
        self.progress = Progress(done=0, total=len(pairs), spent_usd=0.0, errors=0)
        self.refreshes = Refreshes()

    def refreshed(self, answer: Answer | None) -> None:
        """Take notice of an answer that a cache had asked for again (None: it was cut off); `Setting.refreshed` of the routers."""
        self.refreshes = self.refreshes.plus(answer)
        self.progress = self.progress.again(answer)

    async def play(
        self, *, jobs: int, heard: Listener | None = None, enough: Callable[[Trial], bool] | None = None
    ) -> None:
        """Play what has no answer yet, `jobs` at a time; once the budget is spent, or it is `enough`, nothing more is sent."""
        # What is loaded once is nobody's wait: the arm that is asked first would have it in its latency.
        await asyncio.gather(*(asyncio.to_thread(router.warm) for router in self.routers.values()))
        waiting = iter([(arm, i) for arm, i in self._order if self.answers[arm][i] is None])

        async def worker() -> None:
            for arm, i in waiting:
                if self.stopped is not None or (enough is not None and enough(self)):
                    return
                answer = await self.routers[arm].play(self.prompts[i])
                if (stopped := answer.stopped) is not None:
                    self.stopped = stopped
                    return
                self.answers[arm][i] = answer
                self.progress = self.progress.plus(answer)
                if heard is not None:
                    heard(self.progress)

        tasks = [asyncio.ensure_future(worker()) for _ in range(max(1, jobs))]
        try:
            await asyncio.gather(*tasks)
            # What is being refreshed is paid too, and belongs to the figures.
            await asyncio.gather(*(router.settle() for router in self.routers.values()))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def whole(self) -> list[int]:
        """The prompts that every arm has answered (or failed to): only these can be compared."""
        return [i for i in range(len(self.prompts)) if all(row[i] is not None for row in self.answers.values())]

    def rows(self, arm: str, which: Sequence[int]) -> list[Answer]:
        """Return an arm's answers to the given prompts."""
        row = self.answers[arm]
        return [answer for i in which if (answer := row[i]) is not None]


def walked_of(answers: Sequence[Answer], models: Sequence[str]) -> Walked:
    """Return an arm's live answers in the form of a replay's; `models` are the columns.

    A prompt with a scorer and no answer has quality 0; one without a scorer NaN. Unknown costs and times are NaN,
    and so is the time of a cache's hit: waits are those of who was asked.
    """
    column = {name: k for k, name in enumerate(models)}
    return Walked(
        model=np.array(
            [column.get(a.model or "", NOBODY) if a.error is None else NOBODY for a in answers], dtype=np.intp
        ),
        quality=np.array([_quality(a) for a in answers], dtype=float),
        cost_usd=np.array([np.nan if a.cost_usd is None else a.cost_usd for a in answers], dtype=float),
        latency_s=np.array([np.nan if a.latency_s is None or a.cached else a.latency_s for a in answers], dtype=float),
        attempts=np.array([0 if a.cached else max(1, len(a.run.attempts)) for a in answers], dtype=np.intp),
        escalations=np.array([_escalations(a) for a in answers], dtype=np.intp),
        judging_usd=np.array([_judging_usd(a) for a in answers], dtype=float),
        hits=hits_of(answers),
    )


def _rulings(answer: Answer) -> list[Scored]:
    return [e for e in answer.run.events if isinstance(e, Scored) and e.accepted is not None]


def _escalations(answer: Answer) -> int:
    """Return how many refusals of a gate led on to another model."""
    events = answer.run.events
    refused = [isinstance(e, Scored) and e.accepted is False for e in events]
    return sum(no and isinstance(then, (Answered, Unanswered)) for no, then in zip(refused, events[1:], strict=False))


def _judging_usd(answer: Answer) -> float:
    costs = [e.cost_usd for e in _rulings(answer)]
    return float(sum(np.nan if c is None else c for c in costs))


def _quality(answer: Answer) -> float:
    if answer.quality is not None:
        return answer.quality
    scorable = answer.run.prompt.scorer is not None
    return 0.0 if answer.error is not None and scorable else float("nan")
