"""The sums of a whole family of strategies over recorded outcomes: fitted once, decided for every value of its knob."""

from __future__ import annotations

from typing import Any

import numpy as np

from routelab.config import RouteConfig
from routelab.core.plan import Plan
from routelab.core.ports import Floats
from routelab.core.values import Roster
from routelab.lab.nomination import contributions
from routelab.lab.outcomes import Ints, Outcomes
from routelab.lab.replay import handed, walked
from routelab.lab.walk import Walked


def climbed(fitted: RouteConfig, values: Floats, rows: Outcomes, baseline: Walked) -> tuple[Floats, Ints]:
    """Return the sums of `nomination.contributions` for every value of the knob, (6, values), and the family's marks.

    Equal marks decide all rows alike. Every model is walked once as the first choice, whatever the number of values.
    """
    strategy: Any = fitted.ranking
    own = Roster(models=tuple(rows.roster.models[rows.roster.names.index(m)] for m in fitted.models))
    family = strategy.family(rows.prompts, own)
    worth = np.stack([_walk(fitted, plan, rows, baseline) for plan in family.alternatives()], axis=-1)
    return family.totals(worth, values), family.marks(values)


def _walk(config: RouteConfig, plan: Plan, rows: Outcomes, baseline: Walked) -> Floats:
    """Return what each prompt adds when a plan is in the place of the config's strategy, (6, prompts)."""
    walk = walked(config.name, config, rows, lambda *_: handed(config, plan, rows.roster))
    return contributions(walk.quality, walk.cost_usd, baseline)
