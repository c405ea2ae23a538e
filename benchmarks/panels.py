"""How long a step of the tuner's slider takes, from the moved slider to the drawn figures and the still.

    python benchmarks/panels.py                       # 14,000 prompts made up here, by a seed
    python benchmarks/panels.py --data ../shared/data # also MMLU's 14,042 recorded prompts

Prints p50 and p95 in milliseconds over the steps of every arm, all prompts on the tune split (confirm=0).
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from routelab.config import RouteConfig
from routelab.core.values import Message, Prompt
from routelab.lab.outcomes import Judgements, Outcomes
from routelab.lab.session import Lab
from routelab.lab.tuning import field_of
from routelab.panels.tuner import Tuner
from routelab.strategies import Arbitrage, Cascade, Semantic, Split

STEPS = 60
LEXICAL = {"kind": "lexical", "dimensions": 256}
WANTED_MS = 100.0


def made(n: int, seed: int = 0) -> Outcomes:
    """Return n prompts of 20 tasks with four models, waits, costs and the scores of a judge."""
    rng = np.random.default_rng(seed)
    tasks = [f"task {i % 20}" for i in range(n)]
    prompts = tuple(
        Prompt(id=f"p{i}", messages=(Message(role="user", content=f"{tasks[i]}: number {i}"),), task=tasks[i])
        for i in range(n)
    )
    rate = np.clip(np.array([0.5, 0.65, 0.8, 0.9]) + rng.normal(0, 0.1, (20, 4))[np.arange(n) % 20], 0.05, 0.98)
    quality = (rng.random((n, 4)) < rate).astype(float)
    score = np.clip(0.2 + 0.6 * quality + rng.normal(0, 0.15, (n, 4)), 0, 1)
    spread = rng.lognormal(0, 0.4, (n, 4))
    return Outcomes(
        prompts=prompts,
        models=("tiny", "small", "medium", "large"),
        quality=quality,
        cost_usd=spread * [1e-4, 5e-4, 2e-3, 1e-2],
        latency_s=spread * [0.3, 0.5, 1.0, 2.0],
        input_tokens=np.full((n, 4), np.nan),
        output_tokens=np.full((n, 4), np.nan),
        failed=np.zeros((n, 4), dtype=np.bool_),
        cost_kind=("recorded",) * 4,
        gates={"judge": Judgements.free(score)},
        dataset=f"made up ({n:,} prompts)",
    )


def arms(outcomes: Outcomes) -> dict[str, Any]:
    """Return an arm of every kind that has a knob over these outcomes."""
    models = outcomes.models
    cheap, dear = models[0], models[-1]
    tasks = sorted({p.task for p in outcomes.prompts if p.task is not None})
    routes = {task: {"models": (models[i % len(models)],)} for i, task in enumerate(tasks)}
    found: dict[str, Any] = {
        "min_quality, by task": Arbitrage(predictor={"kind": "lookup", "tasks": "given"}, min_quality=0.8),
        "min_quality, by text": Arbitrage(predictor="cluster", min_quality=0.8, embedder=LEXICAL),
        "cost_weight": Arbitrage(predictor={"kind": "lookup", "tasks": "given"}, cost_weight=10.0),
        "share of a mix": Split(weights={cheap: 0.5, dear: 0.5}),
        "semantic threshold": Semantic(
            routes=routes, default=(dear,), vote="centroid", threshold=0.3, embedder=LEXICAL
        ),
    }
    if "judge" in outcomes.gates:
        gate = {"recorded": "judge", "at_least": dict.fromkeys(models[:-1], 0.5)}
        found["a bar"] = Cascade(order=(cheap, dear), gate={"recorded": "judge", "at_least": 0.5})
        found["bars of four rungs"] = Cascade(order=tuple(models), gate=gate)
    return found


def measured(outcomes: Outcomes, given: Mapping[str, Any]) -> list[tuple[str, float, float, float]]:
    """Return each arm's name, the seconds until it was ready, and p50 and p95 of a step in milliseconds."""
    rows = []
    rng = np.random.default_rng(0)
    with Lab() as lab:
        for name, strategy in given.items():
            models = getattr(strategy, "models", ()) or outcomes.models
            config = RouteConfig(name=name, models=models, strategy=strategy)
            began = time.perf_counter()
            tuner = Tuner(lab.desk, field_of(outcomes, {}, confirm=0.0), {name: config})
            for job in tuner.jobs:
                job.wait()
            ready_s = time.perf_counter() - began
            slider = next(iter(tuner.sliders.values()))
            values = [value for _, value in slider.options if value != slider.value]
            steps = []
            for value in rng.choice(values, STEPS):
                began = time.perf_counter()
                slider.value = float(value)
                tuner.panel.still()
                steps.append(1000 * (time.perf_counter() - began))
            p50, p95 = np.quantile(steps, (0.5, 0.95))
            rows.append((name, ready_s, float(p50), float(p95)))
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, help="the folder with prompts.csv.gz and outcomes.csv.gz")
    parser.add_argument("--prompts", type=int, default=14_000)
    given = parser.parse_args()
    sets = [made(given.prompts)]
    if given.data is not None:
        sets.append(
            Outcomes.read(
                prompts=given.data / "prompts.csv.gz",
                outcomes=given.data / "outcomes.csv.gz",
                dataset="routellm_mmlu",
                prices=given.data / "prices" / "outcome_models.csv",
            )
        )
    print(f"{platform.machine()}, Python {platform.python_version()}, {STEPS} steps an arm")
    for outcomes in sets:
        print(f"\n{outcomes.dataset}: {len(outcomes):,} prompts × {len(outcomes.models)} models")
        print(f"{'arm':<24} {'ready s':>8} {'p50 ms':>8} {'p95 ms':>8}")
        for name, ready_s, p50, p95 in measured(outcomes, arms(outcomes)):
            print(
                f"{name:<24} {ready_s:>8.1f} {p50:>8.1f} {p95:>8.1f}{'' if p95 < WANTED_MS else '  slower than wanted'}"
            )


if __name__ == "__main__":
    main()
