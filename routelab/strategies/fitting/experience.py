"""What a log knows that a bandit has not learned yet: the runs that it drew since then, and what they were worth."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from routelab.core.errors import ConfigError
from routelab.core.ports import Log
from routelab.core.values import Prompt
from routelab.store.log import Log as StoredLog
from routelab.strategies.bandit import Bandit, Seen

NOT_ASKED = ("MissingKey", "Cancelled", "BudgetExceeded")
"""Ends of a call that say nothing about the model: nothing was sent, or the asker went away."""

# The model that was drawn is the first one asked; when it gave no answer it is worth 0, whoever stood in. A chance of 1 was no
# draw: the default decided where the bandit could not.
_DRAWN = """
    with first as (
        select run_id, requested_model as model from calls
        where not cached and status not in (select unnest(?::varchar[]))
        qualify row_number() over (partition by run_id order by started_at, attempt) = 1
    ), rated as (
        select run_id, value from ratings where value is not null
        qualify row_number() over (partition by run_id order by rated_at desc, rating_id desc) = 1
    )
    select r.prompt_id, r.task, f.model, r.cost_usd,
           case when r.status in ('failed', 'unanswered') or (r.status = 'answered' and r.model <> f.model) then 0
                else coalesce(r.quality, case when t.value between -1 and 1 then greatest(t.value, 0) end) end as worth
    from runs r join first f using (run_id) left join rated t using (run_id)
    where coalesce(r.experiment, '') = ? and r.arm = ? and r.propensity < 1
      and r.started_at > ? and r.started_at <= ? and worth is not null
    order by r.started_at, r.run_id
"""
_LONG_AGO = datetime(1970, 1, 1)


def relearned(bandit: Bandit, log: Log | None, *, arm: str, experiment: str = "", before: datetime) -> Bandit:
    """Return the bandit after every scored run of an arm that began up to `before` and that it has not learned from yet.

    Each run is learned from once: what was learned says until when (`learned.about["until"]`, UTC). A run counts with its score,
    else with a person's latest rating from 0 to 1, where a thumb down (−1 in the log) is worth 0; one to which the drawn model gave
    no answer is worth 0 too; one with neither score nor rating teaches nothing, now or later.
    Raises ConfigError without a log on disk or in memory.
    """
    if not isinstance(log, StoredLog):
        raise ConfigError("there is no log to learn from", hint="Router(config, fleet=..., log=Log('log.duckdb'))")
    until = None if bandit.learned is None else bandit.learned.about.get("until")
    after = _LONG_AGO if until is None else datetime.fromisoformat(str(until))
    if before <= after:
        return bandit
    rows = log.query(_DRAWN, [list(NOT_ASKED), experiment, arm, after, before])
    prompts = {p.id: p for p in log.prompts(sorted({row[0] for row in rows}))} if rows else {}
    seen = [one for row in rows if (one := _seen(row, prompts, bare=bandit.algorithm != "linucb")) is not None]
    return bandit.update(seen).noted(until=before.isoformat())


def _seen(row: tuple[Any, ...], prompts: dict[str, Prompt], *, bare: bool) -> Seen | None:
    """Return what a row teaches; nothing when the prompt's text was not kept and the bandit decides by it."""
    prompt_id, task, model, cost_usd, quality = row
    prompt = prompts.get(prompt_id)
    if prompt is None:
        if not bare:
            return None
        prompt = Prompt(id=prompt_id, messages=(), task=task)
    return Seen(prompt=prompt, model=model, quality=float(quality), cost_usd=cost_usd)
