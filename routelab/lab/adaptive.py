"""Figures from prompts that a bandit gave to models while it learned: unbiased, and valid at every look.

A plain mean of such data is biased: a model that was unlucky early is not asked again, so its bad luck stays in. Weighting each
answer with one over its chance takes that out; the chances were logged, so they are known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from routelab.core.ports import Floats
from routelab.lab.choices import Choices
from routelab.lab.outcomes import Ints
from routelab.lab.sequential import _margin as half_width
from routelab.lab.statistics import Estimate

TIGHTEST_AT = 1000.0
"""Where the boundary is tightest, in units of n · variance of a weighted reward: about 250 prompts of one asked in one of twenty."""
BELIEVED, COIN = 4.0, 0.25
"""A reward's variance starts as if so many answers had shown that of a coin. With 1, a model that is asked seldom is missed in up to
11 % of runs; with 4, in at most 4 % (400 runs each of six sets of rates; the variance of the scores alone: up to 39 %)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Draws:
    """What a bandit's prompts brought, in the order in which they were played.

    `action` (n,) is the model asked first, `chances` (n × models) every model's chance of that, all above 0, and `reward` (n,)
    what came of it. The chances of a row depend on earlier rows and the row's own prompt only. NaN where a log kept only the
    chance of the model that was drawn: the figures are then as sound and a little wider.
    """

    action: Ints
    chances: Floats
    reward: Floats

    def __post_init__(self) -> None:
        n = len(self.action)
        if self.chances.shape[:1] != (n,) or self.reward.shape != (n,) or (self.chances <= 0).any():
            raise ValueError("draws need one reward, and a chance above 0 of every model, for each prompt")
        if np.isnan(self.chances[np.arange(n), self.action]).any():
            raise ValueError("draws need the chance of the model that was drawn, for each prompt")
        if np.isnan(self.reward).any():
            raise ValueError("draws need a known reward for each prompt")

    def __len__(self) -> int:
        return len(self.action)

    @staticmethod
    def of(choices: Choices) -> Draws:
        """Return the draws in a log's choices (`lab.logged.choices_of_query`), which must be in the order in which they were made."""
        chances = choices.chances
        if chances is None:
            chances = np.full((len(choices), len(choices.models)), np.nan)
            chances[np.arange(len(choices)), choices.action] = choices.propensity
        return Draws(action=choices.action, chances=chances, reward=choices.reward)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sequences:
    """The models' mean rewards after each prompt, all arrays n × models, with the half-widths valid at every look.

    `asked` counts how often each was asked; `total` is the variance of the sum of its weighted rewards.
    """

    value: Floats
    total: Floats
    asked: Floats

    def half_width(self, level: float = 0.95) -> Floats:
        """Return the half-widths of each model's own confidence sequence."""
        n = np.arange(1, len(self.value) + 1, dtype=float)[:, None]
        return half_width(n, self.total, 1 - level, TIGHTEST_AT)


def sequences(draws: Draws) -> Sequences:
    """Return the weighted means of every model with what their confidence sequences need.

    The score of model k is q̂ + 1{asked k}·(reward − q̂)/chance, with q̂ its plain mean over the prompts before: unbiased whatever
    q̂ is, and of less variance than the weighted reward alone (Robins; for bandits Hadad, Hirshberg, Zhan, Wager and Athey,
    PNAS 2021). The sequence is Waudby-Smith et al.'s for martingales (Annals of Statistics 2024). Its variance is the
    larger of the scores' own and Σ σ̂²/chance, because the first is close to 0 until a rare model was asked often.
    """
    n, models = draws.chances.shape
    chosen = np.zeros((n, models))
    chosen[np.arange(n), draws.action] = 1.0
    asked = np.cumsum(chosen, axis=0)
    gained = np.cumsum(chosen * draws.reward[:, None], axis=0)
    before = (gained - chosen * draws.reward[:, None] + 0.5) / (asked - chosen + 1.0)
    missed = chosen * (draws.reward[:, None] - before)
    own = draws.chances[np.arange(n), draws.action][:, None]
    score = before + missed / own
    step = np.arange(1, n + 1, dtype=float)[:, None]
    value = np.cumsum(score, axis=0) / step
    variance = (np.cumsum(missed**2, axis=0) + BELIEVED * _coin(draws)) / (asked + BELIEVED)
    expected = variance * np.cumsum(_inverse(draws, chosen, own), axis=0)
    # Around the first score, so that a large mean does not drown a small variance.
    shifted = score - score[:1]
    observed = np.cumsum(shifted**2, axis=0) - np.cumsum(shifted, axis=0) ** 2 / step
    return Sequences(value=value, total=np.maximum(expected, observed), asked=asked)


def estimates(draws: Draws, *, level: float = 0.95) -> tuple[Estimate, ...]:
    """Return each model's mean reward with its confidence sequence's interval at the last prompt, which may be any prompt.

    `n` is how often the model was asked; a model that was never asked has no interval.
    """
    found = sequences(draws)
    reach = found.half_width(level)[-1]
    n = len(draws)
    return tuple(
        Estimate(
            value=float(value),
            low=None if asked == 0 else float(value - half),
            high=None if asked == 0 else float(value + half),
            se=math.sqrt(float(total)) / n,
            n=int(asked),
            method="weighted confidence sequence",
            note="never asked" if asked == 0 else "",
        )
        for value, half, total, asked in zip(found.value[-1], reach, found.total[-1], found.asked[-1], strict=True)
    )


def difference(draws: Draws, one: int, other: int, *, level: float = 0.95) -> Estimate:
    """Return how much more the one model brings than the other, with an interval that is valid at every look."""
    found, n = sequences(draws), float(len(draws))
    value = float(found.value[-1, one] - found.value[-1, other])
    # The two are never asked together, so their weighted rewards do not add to each other's variance.
    total = float(found.total[-1, one] + found.total[-1, other])
    reach = float(half_width(np.array(n), np.array(total), 1 - level, TIGHTEST_AT))
    return Estimate(
        value=value,
        low=value - reach,
        high=value + reach,
        se=math.sqrt(total) / n,
        n=len(draws),
        method="weighted confidence sequence",
    )


def _inverse(draws: Draws, chosen: Floats, own: Floats) -> Floats:
    """Return one over every chance; where only the drawn one is known, what has the same mean: 1{asked}/chance², and once more at first."""
    if not np.isnan(draws.chances).any():
        return 1 / draws.chances
    drawn = chosen / own**2
    # A model's sum is 0 until it was asked; one more draw at its rarest so far keeps the variance from starting too low.
    rarest = np.minimum.accumulate(np.where(chosen > 0, own, 1.0), axis=0)
    more = np.diff(1 / rarest**2, axis=0, prepend=0.0)
    return drawn + more


def _coin(draws: Draws) -> float:
    """Return the variance that is believed of a reward before it was seen: a coin's, or that of the rewards where it is larger."""
    return max(COIN, float(draws.reward.var()))
