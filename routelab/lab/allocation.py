"""The best arm: when the models' rewards have told which model is best, and how many prompts that takes.

The other half of track-and-stop, whom to ask, is `strategies.fitting.tally.track`; the rule here holds whoever chose, as long as the
choice looked at past rewards and not at the prompt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routelab.core.errors import ConfigError
from routelab.core.ports import Floats
from routelab.lab.outcomes import Ints
from routelab.strategies.fitting.tally import Tally, proportions, track, with_floor


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How near a decision is: the model that leads (its position), the least likelihood ratio, and what it must pass.

    `rival` is the model that is hardest to tell from the leader; `decided` whether the ratio has passed the threshold.
    """

    leader: int
    rival: int
    ratio: float
    threshold: float
    decided: bool


@dataclass(frozen=True, kw_only=True)
class BestArm:
    """Stop as soon as the best model is known, with an error of at most `delta`.

    Stops when min over the others j of (μ_lead − μ_j + ε)²/(2(v_lead/n_lead + v_j/n_j)) > ln((1 + ln t)/δ), once every model
    has `minimum` answers: the generalised likelihood ratio of Garivier and Kaufmann (COLT 2016) for normal rewards with
    the variances observed, and their threshold as TensorZero uses it. With `epsilon` > 0 a model within ε of the best may be
    named; with 0 equal models are never told apart, and the prompts end first.
    """

    delta: float = 0.05
    epsilon: float = 0.0
    minimum: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1:
            raise ConfigError(f"delta: must lie between 0 and 1, not {self.delta}", hint="0.05 errs once in twenty")
        if not 0 <= self.epsilon < 1:
            raise ConfigError(f"epsilon: must be at least 0 and less than 1, not {self.epsilon}")
        if self.minimum < 2:
            raise ConfigError(f"minimum: must be at least 2 answers a model, not {self.minimum}")

    def __call__(self, tally: Tally) -> Standing:
        """Return the standing after these rewards, whose weights must be 1: a tally that forgets proves nothing."""
        mean = np.where(tally.count > 0, tally.plain_mean, -np.inf)
        leader = int(np.argmax(mean))
        passed = threshold(float(tally.count.sum()), self.delta)
        if len(mean) == 1:
            return Standing(leader=0, rival=0, ratio=math.inf, threshold=passed, decided=True)
        if (tally.count < self.minimum).any():
            rival = int(np.argmin(tally.count))
            return Standing(leader=leader, rival=rival, ratio=0.0, threshold=passed, decided=False)
        error = tally.variance / tally.count
        ratios = (mean[leader] - mean + self.epsilon) ** 2 / (2 * (error[leader] + error))
        ratios[leader] = np.inf
        rival = int(np.argmin(ratios))
        ratio = float(ratios[rival])
        return Standing(leader=leader, rival=rival, ratio=ratio, threshold=passed, decided=ratio > passed)


def threshold(answers: float, delta: float) -> float:
    """Return ln((1 + ln t)/δ), what a likelihood ratio must pass after t answers.

    >>> round(threshold(1000, 0.05), 2)
    5.06
    """
    return math.log((1 + math.log(max(1.0, answers))) / delta)


def lower_bound(mean: Floats, variance: Floats, *, delta: float = 0.05, epsilon: float = 0.0) -> float:
    """Return the fewest answers that any rule with this error needs on average: T*·kl(δ, 1 − δ), rewards taken as normal.

    >>> round(lower_bound(np.array([0.7, 0.75]), np.array([0.21, 0.1875])))
    1684
    """
    _, needed = proportions(mean, variance, epsilon=epsilon)
    return needed * (1 - 2 * delta) * math.log((1 - delta) / delta)


@dataclass(frozen=True, kw_only=True, eq=False)
class Rehearsals:
    """Simulated runs (runs,): the answers after which each stopped, the model it named (-1: none before the cap)."""

    answers: Ints
    named: Ints
    cap: int

    @property
    def undecided(self) -> float:
        """The share of runs that came to the cap."""
        return float((self.named < 0).mean())


def rehearse(
    rates: Sequence[float],
    rule: BestArm,
    *,
    runs: int = 200,
    cap: int = 20_000,
    batch: int = 50,
    floor: float = 0.05,
    seed: int = 0,
) -> Rehearsals:
    """Return how track-and-stop would go with models that are right at these rates: a plan before anything is paid for.

    Each batch is drawn with the chances that `Bandit(algorithm="track", floor=floor)` would have.
    """
    rng, truth = np.random.default_rng(seed), np.asarray(rates, dtype=float)
    answers, named = np.zeros(runs, dtype=np.intp), np.full(runs, -1, dtype=np.intp)
    for run in range(runs):
        tally, asked = Tally.empty(len(truth)), 0
        while asked < cap:
            more = min(batch, cap - asked)
            drawn = rng.multinomial(more, with_floor(track(tally, minimum=rule.minimum), floor))
            right = rng.binomial(drawn, truth).astype(float)
            tally = Tally(count=tally.count + drawn, total=tally.total + right, squares=tally.squares + right)
            asked += more
            standing = rule(tally)
            if standing.decided:
                named[run] = standing.leader
                break
        answers[run] = asked
    return Rehearsals(answers=answers, named=named, cap=cap)
