"""What another way to route would have brought, from a log in which chance chose the model.

Only where every prompt was asked of one model, with a known chance; where all models answered, `exact` replays
instead. Each result says which of the two it is, and what it refuses to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routelab.core.errors import DataError
from routelab.core.plan import NOBODY
from routelab.core.ports import Floats
from routelab.core.values import Model, Prompt, Roster
from routelab.lab.choices import Choices
from routelab.lab.outcomes import Ints, Outcomes
from routelab.lab.replay import Planner, names_of, planned
from routelab.lab.statistics import Estimate, mean, quality_mean
from routelab.strategies.random import Random
from routelab.strategies.split import Split

ENOUGH, TOO_FEW = 200.0, 50.0
"""Effective sample sizes: below the first the estimates warn, below the second there are none."""
ODD = 5.0
"""Standard errors that the mean weight may lie from 1: by chance it lies beyond once in two million logs."""
FOLDS = 5
EXACT, OFF_POLICY = "exact replay: every model answered every prompt", "off-policy: estimated from logged choices"


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

    @property
    def settles(self) -> bool:
        """Whether a verdict may rest on it: identifiable, and an effective sample that makes intervals believable."""
        return self.refused is None and self.ess >= ENOUGH

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
    asks a model that the log could not have chosen, where the log had no chance in it at all, where the weights do not
    average 1, as true chances make them, and below an effective sample size of 50; below 200 a note warns.
    """
    target = np.asarray(target, dtype=float)
    if target.shape != (len(choices), len(choices.models)) or not np.allclose(target.sum(axis=1), 1):
        raise ValueError("a target needs one row of chances, summing to 1, for each prompt")
    rows = np.arange(len(choices))
    weight = target[rows, choices.action] / choices.propensity
    total, squares = float(weight.sum()), float(weight @ weight)
    ess = total**2 / squares if squares > 0 else 0.0
    most = float(weight.max())
    refused = _unsupported(choices, target) or _thin(ess) or _unlikely(weight, choices.clusters)
    if refused is not None:
        return OffPolicy(
            how=OFF_POLICY, n=len(choices), ips=None, snips=None, dr=None, ess=ess, max_weight=most, refused=refused
        )
    expected = crossfitted(choices, seed=seed) if predicted is None else predicted
    snips = float(weight @ choices.reward / total)
    terms = robust(choices, target, expected)
    notes = () if ess >= ENOUGH else ("few: intervals may be too narrow",)
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

    An arm that draws counts with its chances, and not with the draws that it would have made: those may come from the
    same numbers as the log's own, and then weights do not average out. DataError for an arm that names a model outside
    the log, that draws without saying its chances, or whose gate may ask a second model: what that would have answered was not
    logged.
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
    if (plan.propensity < 1).any():
        return _chances(arm, prompts, roster)
    first = plan.order[:, 0]
    if (first == NOBODY).any():
        raise DataError(f"it asks nobody for {int((first == NOBODY).sum()):,} prompts", hint="give it a default")
    target = np.zeros((len(choices), len(choices.models)))
    target[np.arange(len(choices)), first] = 1.0
    return target


def _chances(arm: object, prompts: Sequence[Prompt], roster: Roster) -> Floats:
    """Return the chances (n × models) of an arm that draws."""
    strategy = getattr(arm, "ranking", arm)
    own = tuple(getattr(arm, "models", ())) or roster.names
    at = [roster.names.index(name) for name in own]
    if isinstance(strategy, Split):
        shares = np.array([strategy.weights.get(name, 0.0) for name in roster.names], dtype=float)
    elif isinstance(strategy, Random):
        named = strategy.models or own
        shares = np.array([float(name in named) for name in roster.names])
    elif hasattr(strategy, "chances"):
        target = np.zeros((len(prompts), len(roster)))
        target[:, at] = strategy.chances(prompts, Roster(models=tuple(roster.models[k] for k in at)))
        return target
    else:
        raise DataError(
            "it draws by chance and does not say the chances of all models",
            hint="give the strategy `chances(prompts, roster)`, prompts × models",
        )
    return np.tile(shares / shares.sum(), (len(prompts), 1))


def robust(choices: Choices, target: Floats, expected: Floats) -> Floats:
    """Return each choice's doubly robust term, (n,): their mean is DR, and two targets' terms are paired."""
    rows = np.arange(len(choices))
    weight = target[rows, choices.action] / choices.propensity
    terms: Floats = (target * expected).sum(axis=1) + weight * (choices.reward - expected[rows, choices.action])
    return terms


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


def _unsupported(choices: Choices, target: Floats) -> str | None:
    if bool((choices.propensity == 1).all()) and not _agrees(choices, target):
        return "not identifiable: the log always chose for certain; log with a chance of at least 0.05 for every model"
    wanted = target > 0
    if choices.chances is not None:
        bad = wanted & (choices.chances <= 0)
    else:
        columns = np.arange(len(choices.models))
        others = (choices.propensity == 1)[:, None] & (columns[None, :] != choices.action[:, None])
        bad = wanted & (others | ~np.isin(columns, choices.action)[None, :])
    if not bad.any():
        return None
    names = ", ".join(choices.models[int(k)] for k in np.flatnonzero(bad.any(axis=0)))
    return (
        f"no support: the target asks {names} on {int(bad.any(axis=1).sum()):,} prompts where the log could not have "
        "chosen it"
    )


def _thin(ess: float) -> str | None:
    if ess >= TOO_FEW:
        return None
    return (
        f"the effective sample size is {ess:.0f}, at least {TOO_FEW:.0f} are needed; log more choices like the target's"
    )


def _unlikely(weight: Floats, clusters: Ints | None) -> str | None:
    """Return why the chances cannot be right: true ones make weights of mean 1."""
    found = mean(weight, clusters)
    if found.se is None or abs(found.value - 1) <= max(ODD * found.se, 1e-9):
        return None
    return (
        f"the weights average {found.value:.2f} and not 1, so the logged chances are not those with which models were "
        "chosen; log the chance of the draw that was made"
    )


def _agrees(choices: Choices, target: Floats) -> bool:
    return bool((target[np.arange(len(choices)), choices.action] == 1).all())


def _shown(estimate: Estimate | None) -> str:
    if estimate is None:
        return "unknown"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
