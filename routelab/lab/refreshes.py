"""What caches asked for again while an experiment was played: paid, but nobody's answer and in no arm's cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from routelab.answer import Answer
from routelab.present import usd

if TYPE_CHECKING:
    from routelab.core.ports import Log

# What a run cost is there without what measuring its answer cost; a call that was cut off may have cost anything.
_LOGGED = """
    with again as (
        select run_id, cost_usd from runs
        where experiment = ? and try(tags ->> '$.revalidates') is not null
          and run_id in (select run_id from calls where not cached)
    ), measured as (
        select run_id, sum(cost_usd) as usd, count(*) - count(cost_usd) as unknown from scores
        where accepted is null and judge <> '' group by run_id
    ), cut as (select distinct run_id from calls where status = 'Cancelled')
    select count(*), coalesce(sum(coalesce(a.cost_usd, 0) + coalesce(m.usd, 0)), 0),
           count(*) filter (a.cost_usd is null or m.unknown > 0 or c.run_id is not null)
    from again a left join measured m using (run_id) left join cut c using (run_id)
"""


@dataclass(frozen=True, kw_only=True)
class Refreshes:
    """How often stale answers were asked for again, and what that cost in USD with its measuring; of `unknown` a part is not known."""

    n: int = 0
    usd: float = 0.0
    unknown: int = 0

    def plus(self, answer: Answer | None) -> Refreshes:
        """Return the refreshes with one more; None stands for one that was cut off. Where nothing was sent, nothing is added."""
        if answer is None:
            return Refreshes(n=self.n + 1, usd=self.usd, unknown=self.unknown + 1)
        if not answer.run.attempts:
            return self
        costs = (answer.cost_usd, answer.measuring_usd)
        return Refreshes(
            n=self.n + 1, usd=self.usd + sum(c or 0.0 for c in costs), unknown=self.unknown + (None in costs)
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a comparison says of them; nothing when there were none."""
        if not self.n:
            return ()
        times = "once" if self.n == 1 else f"{self.n:,} times"
        cost = usd(self.usd)
        if self.unknown:
            cost = f"at least {cost} ({self.unknown:,} not known)" if self.usd else "an unknown amount"
        return (f"stale answers of caches were asked for again in the background {times}: {cost}, in no arm's cost",)


def refreshes_of(log: Log, experiment: str) -> Refreshes:
    """Return what an experiment in the log asked for again."""
    [(n, cost, unknown)] = log.query(_LOGGED, [experiment])
    return Refreshes(n=n, usd=cost, unknown=unknown)
