"""A comparison that was asked for, and how far it is: what the controls said, the experiment that follows, and its arms' tallies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.lab.compare import Comparison
from routelab.lab.desk import Desk
from routelab.lab.experiment import Experiment
from routelab.lab.headway import spent
from routelab.lab.job import NOTHING
from routelab.lab.trial import Progress
from routelab.panels.runsahead import loaded
from routelab.present import Table


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the controls ask for; `data` is a key of `runsahead.data_of`, the margin a share."""

    data: tuple[str, str]
    prompts: int
    arms: Mapping[str, str | RouteConfig]
    baseline: str
    margin: float
    budget_usd: float | None
    jobs: int

    def experiment(self, desk: Desk) -> Experiment:
        """Return the experiment, described in the log and ready. It reads the data, so it is not for a callback."""
        return desk.lab.experiment(
            loaded(desk, self.data, self.prompts),
            self.arms,
            baseline=self.baseline,
            margin=self.margin,
            budget_usd=self.budget_usd,
            # Who stops half-way then has half of the prompts whole, and not one in sixteen with four arms.
            together=True,
        )


@dataclass(kw_only=True, eq=False)
class Playing:
    """A comparison under way: its experiment as soon as it is ready, and whether its end was seen."""

    wish: Wish
    experiment: Experiment | None = None
    over: bool = False
    _tallies: dict[str, Progress] = field(default_factory=dict)
    _counted: set[tuple[str, int]] = field(default_factory=set)
    _simulated: set[str] = field(default_factory=set)

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return NOTHING if self.experiment is None else self.experiment.progress

    def result(self) -> Comparison | None:
        """Return the comparison over what every arm finished, None when there is nothing."""
        return None if self.experiment is None else self.experiment.result()

    def ended(self) -> str | None:
        """Return how it ended, if not as it should."""
        stopped = self.experiment is not None and self.experiment.trial.stopped is not None
        return "budget spent" if stopped else None

    def standing(self) -> Table | None:
        """Return how far each arm is and what that cost; only what is new is looked at, so it may be called often."""
        if self.experiment is None:
            return None
        for name, answers in self.experiment.trial.answers.items():
            for i, answer in enumerate(answers):
                if answer is None or (name, i) in self._counted:
                    continue
                self._counted.add((name, i))
                before = self._tallies.get(name) or Progress(done=0, total=len(answers), spent_usd=0.0, errors=0)
                self._tallies[name] = before.plus(answer)
                if answer.simulated:
                    self._simulated.add(name)
        rows = [self._row(name, len(answers)) for name, answers in self.experiment.trial.answers.items()]
        return Table(head=("arm", "finished", "not answered", "spent"), rows=rows, numbers=frozenset((1, 2, 3)))

    def _row(self, name: str, total: int) -> list[str]:
        at = self._tallies.get(name)
        if at is None:
            return [name, f"0 of {total:,}", "0", "–"]
        more = " (simulated)" if name in self._simulated else ""
        return [name + more, f"{at.done:,} of {total:,}", f"{at.errors:,}", spent(at)]


def budget_of(text: str) -> float | None:
    """Return the USD in a text box, None for the empty text; ConfigError for what is no amount."""
    said = text.strip().removeprefix("$")
    if not said:
        return None
    try:
        value = float(said)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ConfigError(
            f"budget: a number of at least 0 is wanted (got {said[:40]!r})", hint="USD, such as 0.50; empty: no limit"
        )
    return value
