"""What another way to route would have brought, from a log in which chance chose the model.

Only where every prompt was asked of one model, with a known chance; where all models answered, `exact` replays
instead. Each result says which of the two it is, and what it refuses to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routelab.core.errors import DataError
from routelab.core.ports import Floats
from routelab.core.values import Model, Prompt, Roster
from routelab.lab.logged import NOT_ASKED, Query
from routelab.lab.outcomes import Ints, Outcomes
from routelab.lab.replay import Planner, names_of, planned
from routelab.lab.statistics import Estimate, mean, quality_mean

ENOUGH, TOO_FEW = 200.0, 50.0
"""Effective sample sizes: below the first the estimates warn, below the second there are none."""
FOLDS = 5
EXACT, OFF_POLICY = "exact replay: every model answered every prompt", "off-policy: estimated from logged choices"


@dataclass(frozen=True, kw_only=True, eq=False)
class Choices:
    """Logged choices, one a prompt: who was asked, with which chance, and what it was worth.

    `action` (n,) is the position of the model in `models`, `propensity` (n,) the chance with which it was chosen,
    `reward` (n,) the quality (a failure is 0). `chances` (n × models), where it was logged, are the chances of all
    models; without it a model that was never chosen has no support anywhere. `strata` (n,) are what a reward model
    may know (a task's number), `clusters` (n,) groups of prompts.
    """

    models: tuple[str, ...]
    action: Ints
    reward: Floats
    propensity: Floats
    chances: Floats | None = None
    strata: Ints | None = None
    clusters: Ints | None = None

    def __post_init__(self) -> None:
        n = len(self.action)
        if self.reward.shape != (n,) or self.propensity.shape != (n,) or n == 0:
            raise DataError(
                "logged choices need one action, reward and propensity for each of at least one prompt",
                hint="leave out prompts without a score",
            )
        if np.isnan(self.reward).any() or not ((self.propensity > 0) & (self.propensity <= 1)).all():
            raise DataError(
                "logged choices need a known reward and a propensity of more than 0 and at most 1",
                hint="log the chance with which each model was drawn",
            )
        if ((self.action < 0) | (self.action >= len(self.models))).any():
            raise DataError("logged choices name a model that is not in the list", hint="check `models`")
        if self.chances is not None and self.chances.shape != (n, len(self.models)):
            raise DataError("chances must be prompts × models", hint="one column for each name in `models`")

    def __len__(self) -> int:
        return len(self.action)


@dataclass(frozen=True, kw_only=True)
class OffPolicy:
    """The value of a way to route: SNIPS and DR are for use, IPS is shown for comparison.

    `ess` is the effective sample size (Σw)²/Σw², `max_weight` the largest weight; `refused` says why there are no
    estimates; `how` whether this is an exact replay (then `dr` is None and `snips` the plain mean).
    """

    how: str
    n: int
    ips: Estimate | None
    snips: Estimate | None
    dr: Estimate | None
    ess: float
    max_weight: float
    refused: str | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.refused is not None:
            return f"refused: {self.refused}"
        said = [f"{name} {_shown(e)}" for name, e in (("SNIPS", self.snips), ("DR", self.dr)) if e is not None]
        body = f"quality {_shown(self.snips)}" if self.dr is None and self.how == EXACT else ", ".join(said)
        weights = (
            ""
            if self.how == EXACT
            else f"; effective n {self.ess:.0f} of {self.n:,}, largest weight {self.max_weight:.1f}"
        )
        return "; ".join([f"{body} ({self.how}{weights})", *self.notes])


def evaluate(choices: Choices, target: Floats, *, predicted: Floats | None = None, seed: int = 0) -> OffPolicy:
    """Return what the target would have brought; `target` (n × models) are its chances of asking each model.

    With w = π/p: IPS = mean(w·r), SNIPS = Σwr/Σw (Swaminathan and Joachims 2015), DR = mean(Σ_a π_a·q̂_a +
    w·(r − q̂)) (Dudík, Langford and Li 2011). `predicted` (n × models) replaces q̂, which is else the mean reward of a
    model in a stratum, shrunk to the model's mean and fitted without the prompt's own fold. Refused where the target
    asks a model that the log could not have chosen, where the log had no chance in it at all, and below an effective
    sample size of 50; below 200 a note warns.
    """
    target = np.asarray(target, dtype=float)
    if target.shape != (len(choices), len(choices.models)) or not np.allclose(target.sum(axis=1), 1):
        raise ValueError("a target needs one row of chances, summing to 1, for each prompt")
    rows = np.arange(len(choices))
    weight = target[rows, choices.action] / choices.propensity
    total, squares = float(weight.sum()), float(weight @ weight)
    ess = total**2 / squares if squares > 0 else 0.0
    most = float(weight.max())
    refused = _unsupported(choices, target) or (
        None
        if ess >= TOO_FEW
        else f"the effective sample size is {ess:.0f}, at least {TOO_FEW:.0f} are needed; log more choices like the target's"
    )
    if refused is not None:
        return OffPolicy(
            how=OFF_POLICY, n=len(choices), ips=None, snips=None, dr=None, ess=ess, max_weight=most, refused=refused
        )
    expected = crossfitted(choices, seed=seed) if predicted is None else predicted
    snips = float(weight @ choices.reward / total)
    terms = (target * expected).sum(axis=1) + weight * (choices.reward - expected[rows, choices.action])
    notes = () if ess >= ENOUGH else (f"effective sample size {ess:.0f} is small: intervals may be too narrow",)
    return OffPolicy(
        how=OFF_POLICY,
        n=len(choices),
        ips=mean(weight * choices.reward, choices.clusters),
        # Linearised: the ratio's error is that of the mean of w·(r − ratio)/mean(w).
        snips=mean(snips + weight * (choices.reward - snips) / (total / len(choices)), choices.clusters),
        dr=mean(terms, choices.clusters),
        ess=ess,
        max_weight=most,
        notes=notes,
    )


def exact(outcomes: Outcomes, target: Floats) -> OffPolicy:
    """Return the target's mean quality where every model answered every prompt; DataError where one did not."""
    missing = np.isnan(outcomes.quality).sum()
    if missing:
        raise DataError(
            f"{int(missing):,} of {outcomes.quality.size:,} outcomes were not recorded, so the replay is not exact",
            hint="use logged choices with their propensities instead",
        )
    value = (target * outcomes.quality).sum(axis=1)
    found = quality_mean(value, outcomes.clusters)
    return OffPolicy(how=EXACT, n=len(value), ips=None, snips=found, dr=None, ess=float(len(value)), max_weight=1.0)


def target_of(arm: object, choices: Choices, prompts: Sequence[Prompt], *, plan_for: Planner = planned) -> Floats:
    """Return the chances (n × models) with which an arm asks each model first; one prompt a choice, in their order.

    The arm's own draws are taken as made, so a random arm counts as the draw that it would have made. DataError for
    an arm that names a model outside the log, or whose gate may ask a second model: what that would have answered
    was not logged.
    """
    for name in names_of(arm):
        if name not in choices.models:
            raise DataError(f"model '{name}' has no logged choices", hint=f"models there: {', '.join(choices.models)}")
    roster = Roster(models=tuple(Model(name=m, provider="recorded", upstream=m) for m in choices.models))
    plan = plan_for(arm, prompts, roster)
    if plan.gate.scorer is not None:
        raise DataError(
            "a cascade cannot be estimated from one answer a prompt", hint="collect every model's answer and replay"
        )
    target = np.zeros((len(choices), len(choices.models)))
    target[np.arange(len(choices)), plan.order[:, 0]] = 1.0
    return target


def crossfitted(choices: Choices, *, seed: int = 0, folds: int = FOLDS, shrinkage: float = 10.0) -> Floats:
    """Return the reward that is expected of every model for every prompt, (n × models), fitted without its own fold.

    (n·x̄ + k·m)/(n + k) with x̄ the model's mean in the prompt's stratum, m its mean over all strata, k the shrinkage;
    a model that was not chosen at all gets the overall mean. Clusters stay in one fold.
    """
    n, models = len(choices), len(choices.models)
    unit = np.arange(n) if choices.clusters is None else np.unique(choices.clusters, return_inverse=True)[1].reshape(-1)
    fold = (np.random.default_rng(seed).permutation(int(unit.max()) + 1) % folds)[unit]
    strata = np.zeros(n, dtype=np.intp) if choices.strata is None else np.asarray(choices.strata, dtype=np.intp)
    size = int(strata.max()) + 1
    cell = strata * models + choices.action
    expected = np.empty((n, models))
    for k in range(folds):
        rows = fold != k
        if not rows.any():
            rows = np.ones(n, dtype=np.bool_)
        counts = np.bincount(cell[rows], minlength=size * models).reshape(size, models)
        sums = np.bincount(cell[rows], weights=choices.reward[rows], minlength=size * models).reshape(size, models)
        overall = (sums.sum(axis=0) + shrinkage * choices.reward[rows].mean()) / (counts.sum(axis=0) + shrinkage)
        table = (sums + shrinkage * overall) / (counts + shrinkage)
        expected[fold == k] = table[strata[fold == k]]
    return expected


_CHOICES = """
    with first as (
        select run_id, requested_model as model, propensity from calls
        where not cached and status not in (select unnest(?::varchar[]))
        qualify row_number() over (partition by run_id order by started_at, attempt) = 1
    )
    select r.prompt_id, f.model, f.propensity, case r.status when 'answered' then r.quality when 'failed' then 0 end, r.task
    from first f join runs r using (run_id)
    where f.propensity is not null order by r.started_at, r.run_id
"""


def choices_of_query(query: Query) -> tuple[Choices, tuple[str, ...]]:
    """Return the choices in a log, and the ids of their prompts: the model that each run asked first.

    The reward is the run's quality, so fallbacks count as part of asking that model; a run without an answer is 0.
    Runs without a score or a propensity are left out. DataError when nothing is left.
    """
    rows = [row for row in query(_CHOICES, [list(NOT_ASKED)]) if row[3] is not None]
    if not rows:
        raise DataError(
            "the log holds no scored choice with a propensity", hint="route with a split, and score the answers"
        )
    models = tuple(sorted({row[1] for row in rows}))
    tasks = {task: k for k, task in enumerate(dict.fromkeys(row[4] for row in rows))}
    prompts = {prompt: k for k, prompt in enumerate(dict.fromkeys(row[0] for row in rows))}
    found = Choices(
        models=models,
        action=np.array([models.index(row[1]) for row in rows], dtype=np.intp),
        reward=np.array([row[3] for row in rows], dtype=float),
        propensity=np.array([row[2] for row in rows], dtype=float),
        strata=np.array([tasks[row[4]] for row in rows], dtype=np.intp),
        clusters=None if len(prompts) == len(rows) else np.array([prompts[row[0]] for row in rows], dtype=np.intp),
    )
    return found, tuple(row[0] for row in rows)


def _unsupported(choices: Choices, target: Floats) -> str | None:
    if bool((choices.propensity == 1).all()) and not _agrees(choices, target):
        return "not identifiable: the log always chose for certain; log with a chance of at least 0.05 for every model"
    wanted = target > 0
    if choices.chances is not None:
        bad = wanted & (choices.chances <= 0)
    else:
        bad = wanted & ~np.isin(np.arange(len(choices.models)), choices.action)[None, :]
    if not bad.any():
        return None
    names = ", ".join(choices.models[int(k)] for k in np.flatnonzero(bad.any(axis=0)))
    return (
        f"no support: the target asks {names} on {int(bad.any(axis=1).sum()):,} prompts where the log could not have "
        "chosen it"
    )


def _agrees(choices: Choices, target: Floats) -> bool:
    return bool((target[np.arange(len(choices)), choices.action] == 1).all())


def _shown(estimate: Estimate | None) -> str:
    if estimate is None:
        return "unknown"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
