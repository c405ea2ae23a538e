"""What bandits lose while they learn, how soon the best model is known, and what their data say: docs/results/bandits.md.

    python benchmarks/bandits.py ../shared/data > docs/results/bandits.md

Replays over recorded outcomes show a bandit only what it drew; the simulations have known truths. Seeds are fixed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from routelab.config import RouteConfig
from routelab.lab.adapt import Course, bandit_replay
from routelab.lab.adaptive import Draws, sequences
from routelab.lab.allocation import BestArm, lower_bound, rehearse
from routelab.lab.outcomes import Outcomes
from routelab.lab.regret import regret
from routelab.strategies import Bandit
from routelab.strategies.fitting.tally import Tally, thompson, with_floor

DATASETS = ("gsm8k", "llmrouter")
SEEDS, BATCH = 5, 32
BANDITS: Mapping[str, Mapping[str, Any]] = {
    "thompson": {"algorithm": "thompson"},
    "linucb": {"algorithm": "linucb"},
    "track": {"algorithm": "track"},
}


def replays(outcomes: Outcomes, bandit: Bandit) -> tuple[list[float], list[float], list[float], list[float]]:
    """Return, one entry a seed: mean quality, that of the last quarter, regret per 1,000 prompts, and the floor's part of it."""
    means, lasts, lost, owed = [], [], [], []
    for seed in range(SEEDS):
        config = RouteConfig(name="bandit", models=outcomes.models, strategy=_seeded(bandit, seed))
        found = bandit_replay(outcomes, config, Course(batch=BATCH, seed=seed))
        loss = regret(found, outcomes)
        means.append(float(found.quality.mean()))
        lasts.append(float(found.quality[-len(found) // 4 :].mean()))
        lost.append(1000 * float(loss.total[-1]) / len(found))
        owed.append(1000 * float(loss.floor[-1]) / len(found))
    return means, lasts, lost, owed


def _seeded(bandit: Bandit, seed: int) -> Bandit:
    return Bandit(algorithm=bandit.algorithm, floor=bandit.floor, seed=seed)


def spread(values: list[float], scale: float = 1.0, digits: int = 1) -> str:
    """Return the mean over the seeds with the lowest and the highest."""
    shown = [f"{scale * v:.{digits}f}".replace("-", "−") for v in (float(np.mean(values)), min(values), max(values))]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"


def section(name: str, data: Path) -> str:
    """Return one data set's table."""
    outcomes = Outcomes.read(prompts=data / "prompts.csv.gz", outcomes=data / "outcomes.csv.gz", dataset=name)
    models, single = len(outcomes.models), outcomes.quality.mean(axis=0)
    best = int(np.argmax(single))
    lines = [
        f"## {name}",
        "",
        f"{len(outcomes):,} prompts × {models} models; best single model in hindsight {outcomes.models[best]}, "
        f"{100 * single[best]:.1f} %; mean of all models {100 * single.mean():.1f} %; oracle "
        f"{100 * outcomes.quality.max(axis=1).mean():.1f} %.",
        "",
        "| | floor | quality % | last quarter % | regret per 1,000 prompts | of which the floor's |",
        "|---|---|---|---|---|---|",
    ]
    rows = [("uniform", Bandit(floor=1 / models))] + [
        (label, Bandit(floor=floor, **given)) for label, given in BANDITS.items() for floor in (0.01, 0.05)
    ]
    for label, bandit in rows:
        means, lasts, lost, owed = replays(outcomes, bandit)
        floor = "–" if label == "uniform" else f"{bandit.floor:g}"
        part = "–" if label == "uniform" else f"{np.mean(owed):.1f}"
        lines.append(f"| {label} | {floor} | {spread(means, 100)} | {spread(lasts, 100)} | {spread(lost)} | {part} |")
    return "\n".join([*lines, ""])


def races() -> str:
    """Return how soon track-and-stop knows the best of simulated models, against the lower bound."""
    lines = [
        "## How soon the best model is known",
        "",
        "Simulated models that are right at these rates; δ = 5 %, ε = 0 unless stated, batches of 50, floor 5 %, 500 runs (equal models: 200).",
        "",
        "| rates | prompts, mean | lower bound | ratio | wrong | no decision |",
        "|---|---|---|---|---|---|",
    ]
    cases: list[tuple[tuple[float, ...], BestArm, int, int]] = [
        ((0.70, 0.75), BestArm(), 500, 20_000),
        ((0.60, 0.80), BestArm(), 500, 20_000),
        ((0.50, 0.60, 0.70, 0.75), BestArm(), 500, 20_000),
        ((0.70, 0.70), BestArm(), 200, 5_000),
        ((0.70, 0.70), BestArm(epsilon=0.05), 200, 20_000),
    ]
    for rates, rule, runs, cap in cases:
        found = rehearse(rates, rule, runs=runs, cap=cap, seed=1)
        truth = np.array(rates)
        best = np.flatnonzero(truth == truth.max())
        wrong = float(((found.named >= 0) & ~np.isin(found.named, best)).mean())
        equal = len(best) > 1
        bound = math.nan if equal else lower_bound(truth, truth * (1 - truth))
        told = ", ".join(f"{r:g}" for r in rates) + (f" (ε = {rule.epsilon:g})" if rule.epsilon else "")
        mean = float(found.answers.mean())
        lines.append(
            f"| {told} | {mean:,.0f}{f' (cap {cap:,})' if equal else ''} | {'–' if equal else f'{bound:,.0f}'} | "
            f"{'–' if equal else f'{mean / bound:.2f}'} | {'–' if equal else f'{100 * wrong:.1f} %'} | {100 * found.undecided:.1f} % |"
        )
    return "\n".join([*lines, ""])


def coverage() -> str:
    """Return what plain and weighted means say about data that a Thompson bandit gathered."""
    runs, n = 1000, 500
    lines = [
        "## What a bandit's own data say",
        "",
        f"Thompson over simulated models, floor 5 %, batches of 25, {n} prompts, {runs:,} runs. Bias in points; `held`: the share of runs in which "
        "the 95 % interval held the truth at every one of the looks.",
        "",
        "| rates | model | bias of the plain mean | of the weighted one | plain interval held | weighted sequence held |",
        "|---|---|---|---|---|---|",
    ]
    for rates in ((0.70, 0.75), (0.50, 0.60, 0.90)):
        plain, weighted, fixed, held = _simulated(rates, n, runs)
        lines += [
            f"| {', '.join(f'{r:g}' for r in rates)} | {rate:g} | {100 * plain[:, k].mean():+.2f} | {100 * weighted[:, k].mean():+.2f} | "
            f"{100 * fixed[:, k].mean():.1f} % | {100 * held[:, k].mean():.1f} % |".replace("-", "−")
            for k, rate in enumerate(rates)
        ]
    return "\n".join([*lines, ""])


def _simulated(rates: tuple[float, ...], n: int, runs: int) -> tuple[np.ndarray, ...]:
    truth, out = np.array(rates), []
    for seed in range(runs):
        rng, tally, parts = np.random.default_rng(seed), Tally.empty(len(rates)), []
        for _ in range(n // 25):
            chance = with_floor(thompson(tally), 0.05)
            action = rng.choice(len(rates), size=25, p=chance)
            reward = (rng.random(25) < truth[action]).astype(float)
            tally = tally.plus(action, reward)
            parts.append((action, np.tile(chance, (25, 1)), reward))
        action, chances, reward = (np.concatenate(column) for column in zip(*parts, strict=True))
        found = sequences(Draws(action=action, chances=chances, reward=reward))
        chosen = action[:, None] == np.arange(len(rates))[None, :]
        count = np.maximum(np.cumsum(chosen, axis=0), 1)
        mean = np.cumsum(chosen * reward[:, None], axis=0) / count
        reach = 1.96 * np.sqrt(np.maximum(mean * (1 - mean), 1e-12) / count)
        # A plain interval is looked at from twenty answers on, where it is taken for good.
        fixed = ((np.abs(mean - truth) <= reach) | (count < 20)).all(axis=0)
        held = (np.abs(found.value - truth) <= found.half_width()).all(axis=0)
        out.append((mean[-1] - truth, found.value[-1] - truth, fixed, held))
    return tuple(np.array(column) for column in zip(*out, strict=True))


def main(data: Path) -> None:
    """Print the page."""
    print("# Bandits\n")
    print(
        "Made by `python benchmarks/bandits.py ../shared/data > docs/results/bandits.md`; the data are not in the repository.\n"
    )
    print(
        f"Replays: every prompt once, in an order drawn by the seed, in batches of {BATCH}; a bandit sees the outcome of the model that it drew "
        f"and no other.\nFigures are means over {SEEDS} seeds (lowest to highest). Regret is against the best single model in hindsight. `uniform` "
        "draws every model\nalike. The floor is the share that every model keeps: it is what makes the log usable for estimates, and with many "
        "models it is most of\nwhat a bandit costs. LinUCB looks at the surface and the task of a prompt; the others do not look at prompts.\n"
    )
    for name in DATASETS:
        print(section(name, data))
    print(races())
    print(coverage(), end="")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data"))
