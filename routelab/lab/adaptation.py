"""What came of letting a bandit learn: its last posterior, every draw with its chance, and what that says about the models."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, DataError, suggest
from routelab.core.ports import Floats
from routelab.core.values import Prompt
from routelab.lab.adaptive import Draws, difference, estimates
from routelab.lab.allocation import BestArm, Standing
from routelab.lab.outcomes import Ints
from routelab.lab.statistics import Estimate
from routelab.strategies.fitting.tally import Tally

if TYPE_CHECKING:
    import pandas as pd

    from routelab.lab.charts import Chart
    from routelab.present import Table

Ended = Literal["prompts", "rounds", "budget", "best-arm", "interrupted"]
LEVEL = 0.95
CHARTS = ("allocation", "reward")


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """How an adaptation was played, fixed before its figures were seen; `experiment` is its name in the log, "" for a replay.

    `rounds` are the batches that were played whole or in part: the first prompt of each, and the fingerprint of the config that
    decided it. `unfinished` prompts of the last batch were asked and do not count; `left_out` had no known reward or
    no draw.
    """

    dataset: str
    experiment: str
    seed: int
    batch: int
    rounds: tuple[tuple[int, str], ...]
    simulated: bool = False
    unfinished: int = 0
    left_out: int = 0
    rule: BestArm | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Adaptation:
    """n prompts in the order in which a bandit gave them to models, and the config that it has become.

    `config` holds the posterior after the last batch. Arrays: `action` (n,) the model asked first, `chances` (n × models)
    every model's chance of that, `quality` (n,) of that model's own answer (0 when it gave none, whoever stood in), `cost_usd` (n,) of
    the run, and `reward` (n,) of both.
    `ended` says what ended it.
    """

    config: RouteConfig
    prompts: tuple[Prompt, ...]
    models: tuple[str, ...]
    action: Ints
    chances: Floats
    quality: Floats
    cost_usd: Floats
    reward: Floats
    ended: Ended
    terms: Circumstances
    cost_weight: float = 0.0
    tags: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.prompts)

    @cached_property
    def draws(self) -> Draws:
        """The draws with their rewards, for `lab.adaptive`; DataError when nothing was played."""
        if not self.prompts:
            raise DataError("no prompt was finished, so there is nothing to estimate", hint="raise the budget")
        return Draws(action=self.action, chances=self.chances, reward=self.reward)

    @cached_property
    def tally(self) -> Tally:
        """The sums of this adaptation's own rewards, all of weight 1."""
        return Tally.empty(len(self.models)).plus(self.action, self.reward)

    @cached_property
    def rewards(self) -> tuple[Estimate, ...]:
        """Each model's mean reward, weighted by the chances, with an interval that is valid at every look."""
        return estimates(self.draws, level=LEVEL)

    @cached_property
    def qualities(self) -> tuple[Estimate, ...]:
        """Each model's mean quality, as `rewards`, cut at 0 and 1."""
        found = estimates(dataclasses.replace(self.draws, reward=self.quality), level=LEVEL)
        return tuple(_cut(e) for e in found)

    @cached_property
    def standing(self) -> Standing:
        """How near the best-arm rule is to a decision (the default rule where none was set)."""
        return (self.terms.rule or BestArm())(self.tally)

    def against(self, one: str, other: str) -> Estimate:
        """Return how much more reward the one model brings than the other; all pairs hold together at 95 %, at every look."""
        pairs = max(1, len(self.models) * (len(self.models) - 1) // 2)
        return difference(self.draws, self._column(one), self._column(other), level=1 - (1 - LEVEL) / pairs)

    def best(self) -> str | None:
        """Return the model that is known to be the best, or None; `why` says why in either case."""
        return self._decision[0]

    @property
    def why(self) -> str:
        """One sentence: which model is the best and by how much, or what difference can be excluded."""
        return self._decision[1]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a model; `share` is that of the prompts, `chance` the mean chance in the last batch, `plain` the biased mean."""
        import pandas as pd

        last = self.terms.rounds[-1][0] if self.terms.rounds else 0
        rows = []
        for k, name in enumerate(self.models):
            mine = self.action == k
            costs = self.cost_usd[mine & ~np.isnan(self.cost_usd)]
            rows.append(
                {
                    "model": name,
                    "asked": int(mine.sum()),
                    "share": float(mine.mean()) if len(self) else math.nan,
                    "chance": float(self.chances[min(last, len(self) - 1) :, k].mean()) if len(self) else math.nan,
                    **_ends("quality", self.qualities[k] if len(self) else None),
                    **_ends("reward", self.rewards[k] if len(self) else None),
                    "plain": float(self.reward[mine].mean()) if mine.any() else math.nan,
                    "cost_usd": float(costs.mean()) if len(costs) else math.nan,
                    "cost_known": len(costs),
                }
            )
        return pd.DataFrame(rows)

    def chart(self, kind: str = "allocation") -> Chart:
        """Return a chart: `allocation` (each model's chance over the prompts) or `reward` (its sequence)."""
        from routelab.lab.charts import allocation

        if kind not in CHARTS:
            near = suggest(kind, CHARTS)
            raise ConfigError(
                f"chart: unknown kind '{kind}'" + ("" if near is None else f"; {near}"),
                hint=f"kinds of an adaptation: {', '.join(CHARTS)}",
            )
        return allocation.chances(self) if kind == "allocation" else allocation.rewards(self)

    def table(self) -> Table:
        """Return the models' figures as a table."""
        from routelab.lab.adapted import table

        return table(self)

    def __repr__(self) -> str:
        from routelab.lab.adapted import text

        return text(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from routelab.lab.adapted import bundle_of

        return bundle_of(self)

    @cached_property
    def _decision(self) -> tuple[str | None, str]:
        from routelab.lab.adapted import decide

        return decide(self)

    def _column(self, model: str) -> int:
        if model not in self.models:
            near = suggest(model, self.models)
            raise DataError(
                f"no model '{model}'" + ("" if near is None else f"; {near}"), hint=f"models: {', '.join(self.models)}"
            )
        return self.models.index(model)


def _cut(estimate: Estimate) -> Estimate:
    if estimate.low is None or estimate.high is None:
        return estimate
    return dataclasses.replace(estimate, low=min(1.0, max(0.0, estimate.low)), high=max(0.0, min(1.0, estimate.high)))


def _ends(name: str, estimate: Estimate | None) -> dict[str, float]:
    if estimate is None:
        return {name: math.nan, f"{name}_low": math.nan, f"{name}_high": math.nan}
    return {
        name: estimate.value,
        f"{name}_low": math.nan if estimate.low is None else estimate.low,
        f"{name}_high": math.nan if estimate.high is None else estimate.high,
    }
