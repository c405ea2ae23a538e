"""What learning cost: the reward that somebody who had known the outcomes would have had more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from routelab.core.errors import DataError
from routelab.core.ports import Floats
from routelab.lab.adaptation import Adaptation
from routelab.lab.outcomes import Outcomes


@dataclass(frozen=True, kw_only=True, eq=False)
class Regret:
    """Regret against the best single model in hindsight, added up prompt by prompt, (n,), in units of reward.

    `best` is that model. `floor` (n,) is the part that the floor owes: what drawing everybody with that chance costs, whatever is
    known. A strategy that looks at prompts can have a regret below 0.
    """

    best: str
    total: Floats
    floor: Floats


def regret(adaptation: Adaptation, outcomes: Outcomes) -> Regret:
    """Return the regret of an adaptation over recorded outcomes, those of the prompts it played.

    Raises DataError where the outcomes of a prompt or a model are not known.
    """
    missing = [m for m in adaptation.models if m not in outcomes.models]
    if missing:
        raise DataError(f"model '{missing[0]}' has no recorded outcomes", hint="pass the outcomes that were played")
    rows = [outcomes.rows[p.id] for p in adaptation.prompts if p.id in outcomes.rows]
    if len(rows) < len(adaptation) or not rows:
        raise DataError("the outcomes do not hold the prompts that were played", hint="pass the ones that were played")
    columns = [outcomes.models.index(m) for m in adaptation.models]
    quality, cost = outcomes.quality[rows][:, columns], outcomes.cost_usd[rows][:, columns]
    reward = quality - adaptation.cost_weight * cost if adaptation.cost_weight else quality
    if np.isnan(reward).any():
        raise DataError("some rewards were not recorded, so nobody knows the best model", hint="collect every model")
    best = int(np.argmax(reward.mean(axis=0)))
    floor = float(getattr(adaptation.config.ranking, "floor", 0.0))
    owed = floor * (reward[:, [best]] - reward).sum(axis=1)
    return Regret(
        best=adaptation.models[best],
        total=np.cumsum(reward[:, best] - adaptation.reward),
        floor=np.cumsum(owed),
    )
