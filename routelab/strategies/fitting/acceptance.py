"""The chance that an answer is right, learned from what can be seen of it: one logistic regression a rung of a cascade.

After FrugalGPT (Chen, Zaharia and Zou, 2023), whose scorer is a language model that reads question and answer; here it is
a regression on signs of the answer (`scoring.signs`) that knows whether earlier models said the same. The prompt's embedding
is left out: it moves the area under the ROC curve by −.01 to +.02 on recorded answers, and a gate should not have to embed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.core.errors import ConfigError
from routelab.strategies.fitting.learned import Learned

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.intp]

STRENGTH = 0.3
"""scikit-learn's C: the inverse of the penalty on coefficients of standardised signs."""
SHRINKAGE = 20.0
CLIP = 8.0
STEPS = 50


def learn(rungs: Sequence[Floats], quality: Floats, tasks: Sequence[str | None], models: Sequence[str]) -> Learned:
    """Return what predicts the quality of each rung's answer but the last one's from its signs.

    `rungs` are the signs (n × names) of each rung's answers, NaN where an answer was not recorded; `quality` (n ×
    rungs) counts as the chance of being right. A task's lead or lag at a rung, shrunk as if 20 more prompts had had
    none, is one more sign. `models` are the rungs' models, in order.
    """
    names = sorted({t for t in tasks if t is not None})
    place = {t: k for k, t in enumerate(names)}
    task = np.array([place.get(t, len(names)) if t is not None else len(names) for t in tasks], dtype=np.intp)
    arrays: dict[str, list[Floats]] = {"length": [], "lead": [], "mean": [], "scale": [], "weights": [], "bias": []}
    for rung, signs in enumerate(rungs):
        known = np.isfinite(signs).all(axis=1) & np.isfinite(quality[:, rung])
        if not known.any():
            raise ConfigError(
                f"cascade: no answer of {models[rung]} was recorded with its text and quality",
                hint="a learned gate needs outcomes with responses; a rule or a judge does not",
            )
        x, y, t = signs[known], quality[known, rung], task[known]
        length = _by_task(x[:, 0], t, len(names))
        lead = _by_task(y - y.mean(), t, len(names))
        # Each row's own quality is left out of the lead that it is fitted with, or the task would seem to know it.
        count = np.bincount(t, minlength=len(names) + 1)[t]
        own = (lead[t] * (count + SHRINKAGE) - (y - y.mean())) / (count - 1 + SHRINKAGE)
        z = _design(x, length[t], own)
        mean, scale = z.mean(axis=0), z.std(axis=0)
        scale[scale < 1e-9] = 1.0
        weights, bias = _logistic((z - mean) / scale, np.clip(y, 0.0, 1.0))
        for key, value in zip(arrays, (length, lead, mean, scale, weights, np.array(bias)), strict=True):
            arrays[key].append(value)
    return Learned(
        arrays={key: np.stack(rows) for key, rows in arrays.items()}, about={"models": tuple(models), "tasks": names}
    )


def chances(learned: Learned, rung: int, signs: Floats, tasks: Sequence[str | None]) -> Floats:
    """Return the chance that each answer (n × names) of a rung is right, (n,); NaN where the signs are not known."""
    names = learned.about["tasks"]
    place = {t: k for k, t in enumerate(names)}
    task = np.array([len(names) if t is None else place.get(t, len(names)) for t in tasks], dtype=np.intp)
    z = _design(signs, learned["length"][rung][task], learned["lead"][rung][task])
    # Summed column after column, so that a prompt alone gets the very number that it gets among others.
    z = np.clip((z - learned["mean"][rung]) / learned["scale"][rung], -CLIP, CLIP) * learned["weights"][rung]
    total = np.full(len(signs), float(learned["bias"][rung]))
    for column in range(z.shape[1]):
        total = total + z[:, column]
    return np.asarray(1.0 / (1.0 + np.exp(-total)))


def _design(signs: Floats, length: Floats, lead: Floats) -> Floats:
    """Return the columns of the regression: the signs, with the length told from its task's, its distance, and the task's lead."""
    off = signs[:, 0] - length
    return np.column_stack([off, np.abs(off), lead, signs[:, 1:]])


def _by_task(values: Floats, task: Ints, count: int) -> Floats:
    """Return the mean of each task, shrunk towards the mean of all, which stands last for tasks that were not seen."""
    n = np.bincount(task, minlength=count + 1)
    total = np.bincount(task, weights=values, minlength=count + 1)
    mean = values.mean()
    shrunk = np.asarray((total + SHRINKAGE * mean) / (n + SHRINKAGE))
    shrunk[count] = mean if count else shrunk[count]
    return shrunk


def _logistic(z: Floats, y: Floats) -> tuple[Floats, float]:
    """Return the weights and the bias of least Σ log-loss + |w|²/2C, by Newton's method; y may lie between 0 and 1.

    The same as scikit-learn's LogisticRegression(C), and some fifty times as fast for so few columns.
    """
    rate = float(np.clip(y.mean(), 1 / (len(y) + 2), 1 - 1 / (len(y) + 2)))
    if y.min() == y.max() and y.min() in (0.0, 1.0):
        return np.zeros(z.shape[1]), float(np.log(rate / (1 - rate)))
    x = np.column_stack([z, np.ones(len(y))])
    penalty = np.append(np.full(z.shape[1], 1 / STRENGTH), 0.0)
    w = np.append(np.zeros(z.shape[1]), np.log(rate / (1 - rate)))
    loss = _loss(x, y, w, penalty)
    for _ in range(STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ w, -500, 500)))
        gradient = x.T @ (p - y) + penalty * w
        curvature = (x.T * np.maximum(p * (1 - p), 1e-9)) @ x + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while (tried := _loss(x, y, w - size * step, penalty)) > loss and size > 1e-6:
            size /= 2
        gained, loss, w = loss - tried, min(tried, loss), w - size * step
        if gained < 1e-9 * max(1.0, abs(loss)):
            break
    return w[:-1], float(w[-1])


def _loss(x: Floats, y: Floats, w: Floats, penalty: Floats) -> float:
    total = x @ w
    return float(np.sum(np.logaddexp(0.0, total) - y * total) + 0.5 * np.sum(penalty * w * w))
