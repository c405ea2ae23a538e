"""An experiment that asks models now: arms × prompts, what was finished of them, and the comparison that follows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from routelab.config import RouteConfig
from routelab.core.errors import BudgetExceeded
from routelab.lab.datasets import Dataset
from routelab.lab.trial import Listener, Progress, Trial

if TYPE_CHECKING:
    from routelab.lab.compare import Comparison
    from routelab.lab.stopping import Decided
    from routelab.store import Log


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """A trial with what it needs to be judged; `id` is its name in the log, `enough` the rule that watches it, if any.

    `log` is where its runs are kept, so that what people say of them can be kept there too.
    """

    id: str
    dataset: Dataset
    configs: Mapping[str, RouteConfig]
    trial: Trial
    baseline: str
    margin: float
    seed: int
    enough: Decided | None = None
    log: Log | None = None

    @property
    def name(self) -> str:
        """What a line of progress calls it."""
        n, arms = len(self.dataset), len(self.configs)
        who = ", ".join(self.configs) if arms < 4 else f"{arms} arms"
        return f"{self.dataset.name}: {n:,} prompt{'s' if n > 1 else ''} × {who}"

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self.trial.progress

    async def play(self, *, jobs: int, heard: Listener | None = None) -> None:
        """Ask what has no answer yet, `jobs` at a time."""
        await self.trial.play(jobs=jobs, heard=heard, enough=self.enough)

    def result(self) -> Comparison | None:
        """Return the comparison over the prompts that every arm finished, or None when there is no such prompt."""
        from routelab.lab.live import Looks, judged

        enough = self.enough
        decided = enough is not None and enough.decided
        which = list(enough.prompts) if enough is not None and decided else self.trial.whole
        if not which:
            return None
        found = judged(
            [self.dataset.prompts[i] for i in which],
            {name: self.trial.rows(name, which) for name in self.configs},
            self.configs,
            unfinished=len(self.dataset) - len(which),
            dataset=self.dataset.name,
            looks=None if enough is None else Looks(count=enough.looks, decided=decided),
            baseline=self.baseline,
            margin=self.margin,
            seed=self.seed,
            experiment=self.id,
        )
        return dataclasses.replace(found, log=self.log)

    def trouble(self) -> BudgetExceeded | None:
        """Return that the budget ended and how much is finished, or None."""
        stopped = self.trial.stopped
        if stopped is None:
            return None
        return BudgetExceeded(
            f"{stopped.message}; {len(self.trial.whole)} of {len(self.dataset)} prompts are finished", hint=stopped.hint
        )
