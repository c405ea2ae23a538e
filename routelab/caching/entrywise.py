"""Thresholds that each entry learns for itself while it is used, under an error budget; pure, and small.

The idea is that of vCache (Schroeder et al. 2025, arXiv:2502.03771): how similar a question must be for an entry's answer to be
right differs from entry to entry, so an entry learns it from its own questions. When one comes near, the model is asked
again with the chance that keeps the error at most `error` ("explore"), and the two answers are compared, which is an
observation; else the entry answers. The estimate of that chance is this module's own, see `right_at_least`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

LATEST = 400
"""How many observations an entry keeps: what it said long ago says little about its answer now."""
NEVER = 0.5
"""What is believed beforehand: with this chance an entry's answer fits no other question, however similar."""
_SLIP = 1e-3  # even such an entry's answer may be the same by accident
_MIDDLES = np.linspace(0.30, 1.10, 33)
_SLOPES = np.geomspace(8.0, 256.0, 6)


@dataclass(frozen=True, kw_only=True)
class Observations:
    """What an entry has seen: how similar the questions were and whether its answer was the right one, oldest first."""

    similarity: tuple[float, ...] = ()
    right: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        if len(self.similarity) != len(self.right):
            raise ValueError(f"observations: {len(self.similarity)} similarities for {len(self.right)} verdicts")

    def __len__(self) -> int:
        return len(self.right)

    @cached_property
    def likelihood(self) -> Floats:
        """The logarithm of how likely the observations are under each curve."""
        total = np.zeros(len(_curves()[0]))
        for similarity, right in zip(self.similarity, self.right, strict=True):
            total += _said(similarity, right)
        return total


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether to ask the model although an entry is near: with what chance, and how surely the entry is right at least."""

    explore: bool
    explore_chance: float
    right_at_least: float


def learn(observations: Observations, similarity: float, right: bool) -> Observations:
    """Return the observations with one more; beyond LATEST the oldest is forgotten."""
    longer = Observations(
        similarity=(*observations.similarity, float(similarity))[-LATEST:],
        right=(*observations.right, bool(right))[-LATEST:],
    )
    if len(observations) < LATEST:
        # One addition in place of a look at every observation again.
        longer.__dict__["likelihood"] = observations.likelihood + _said(similarity, right)
    return longer


def decide(similarity: float, observations: Observations, *, error: float, chance: float) -> Decision:
    """Return whether to explore; `chance` is a number drawn from [0, 1), so that nothing here is random.

    A share `error` of the questions that come near an entry may be answered wrongly: an explored one is answered by the
    model, which counts as right. With p the least chance that the entry is right, exploring with (1 - error - p) / (1 - p)
    leaves the error at `error` exactly. An entry without an observation is always explored. Raises ValueError for an error
    budget outside of (0, 1).
    """
    if not 0 < error < 1:
        raise ValueError(f"error: must lie between 0 and 1, not {error}")
    sure = right_at_least(similarity, observations)
    if len(observations) == 0:
        return Decision(explore=True, explore_chance=1.0, right_at_least=sure)
    explore_chance = 0.0 if sure >= 1 - error else (1 - error - sure) / (1 - sure)
    return Decision(explore=chance < explore_chance, explore_chance=explore_chance, right_at_least=sure)


def right_at_least(similarity: float, observations: Observations) -> float:
    """Return a cautious chance that the entry's answer is right for a question of this similarity.

    The chance is a logistic curve of the similarity. Every curve of a grid (its middle from 0.30 to 1.10, six slopes), and one
    that is never right, is weighed by how likely it makes the observations. Of the weighed mean a lower bound is taken, by
    Markov's inequality: the largest p · P(curve's value ≥ p). The bound is cautious where curves still disagree, and nears the
    mean when they do not.
    """
    middles, slopes, prior = _curves()
    values = _chances(similarity, middles, slopes)
    weights = np.exp(_centred(prior + observations.likelihood))
    order = np.argsort(-values, kind="stable")
    above = np.cumsum(weights[order]) / weights.sum()
    return float(min(1.0, max(0.0, (values[order] * above).max())))


def threshold_for(observations: Observations, *, error: float) -> float | None:
    """Return the least similarity (in steps of 0.01) from which the entry always answers; None: not at any similarity yet."""
    for step in range(50, 101):
        if len(observations) and right_at_least(step / 100, observations) >= 1 - error:
            return step / 100
    return None


@cache
def _curves() -> tuple[Floats, Floats, Floats]:
    """Return middles, slopes and the logarithms of what is believed beforehand; the last curve is never right."""
    middles = np.append(np.repeat(_MIDDLES, len(_SLOPES)), np.inf)
    slopes = np.append(np.tile(_SLOPES, len(_MIDDLES)), 1.0)
    prior = np.full(len(middles), math.log((1 - NEVER) / (len(middles) - 1)))
    prior[-1] = math.log(NEVER)
    return middles, slopes, prior


def _chances(similarity: float, middles: Floats, slopes: Floats) -> Floats:
    values: Floats = 1 / (1 + np.exp(np.clip(-slopes * (similarity - middles), -60, 60)))
    values[-1] = _SLIP
    return values


def _said(similarity: float, right: bool) -> Floats:
    middles, slopes, _ = _curves()
    values = _chances(similarity, middles, slopes)
    found: Floats = np.log(np.maximum(values if right else 1 - values, 1e-26))
    return found


def _centred(values: Floats) -> Floats:
    found: Floats = values - values.max()
    return found
