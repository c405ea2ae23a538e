"""Measures how fast threshold configs are decided and swept, against a plain Python loop in the same run.

    python benchmarks/sweep.py [--shared ../shared] [--out sweep.json] [--most 1000000]

Predicted qualities are the recorded ones plus noise, seeded: what is measured is the deciding, not the predicting. A
decision is one config's choice for one prompt together with what it adds to the sums of quality and cost. Every way
must give the same sums, or the run stops. Repeats alternate between the ways, so that a busy machine meets them alike.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from routelab.config import RouteConfig
from routelab.core.plan import NOBODY, Plan
from routelab.core.ports import Floats
from routelab.core.values import Prompt, Roster
from routelab.lab.controls import mean_costs
from routelab.lab.outcomes import Outcomes
from routelab.lab.sweep import sweep
from routelab.strategies import Rules
from routelab.strategies.fitting.thresholds import Thresholds, thresholds

TAUS = np.linspace(-0.2, 1.4, 1000)
PLAIN = 5
"""Thresholds that the plain loop goes through; its speed a decision does not depend on how many."""
REPEATS = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Predicted:
    """A strategy of one threshold over predictions by prompt id, as a router with a predictor would be."""

    at_least: float = 0.5
    quality: dict[str, Floats] = field(default_factory=dict, repr=False)
    cost: Floats = field(default_factory=lambda: np.zeros(0), repr=False)
    knob = "at_least"

    def family(self, prompts: Sequence[Prompt], roster: Roster) -> Thresholds:
        """Return the family over these prompts."""
        return thresholds(np.array([self.quality[p.id] for p in prompts]), self.cost)

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        """Return the plan of this threshold."""
        return self.family(prompts, roster).plan(self.at_least)


def plainly(predicted: Floats, cost: Floats, worth: Floats, taus: Floats) -> list[list[float]]:
    """Return the sums of quality and cost as loops over thresholds, prompts and models make them."""
    by_cost = sorted(range(len(cost)), key=lambda k: float(cost[k]))
    rows, quality, spent = predicted.tolist(), worth[0].tolist(), worth[1].tolist()
    sums = []
    for tau in taus.tolist():
        total_quality = total_cost = 0.0
        for i, row in enumerate(rows):
            best = by_cost[0]
            for k in by_cost:
                if row[k] >= tau:
                    best = k
                    break
                if row[k] > row[best]:
                    best = k
            total_quality += quality[i][best]
            total_cost += spent[i][best]
        sums.append([total_quality, total_cost])
    return sums


def by_picks(predicted: Floats, cost: Floats, worth: Floats, taus: Floats) -> list[list[float]]:
    """Return the same sums from every pick written down, some thresholds at a time."""
    family = thresholds(predicted, cost)
    width = worth.shape[2]
    # Quality and cost side by side, so that a pick is looked up once.
    both = (worth[0] + 1j * worth[1]).reshape(-1)
    rows = np.arange(len(family)) * width
    sums = np.zeros(len(taus), dtype=complex)
    for part, picks in family.chunks(taus, cells=200_000):
        assert NOBODY not in picks[0]
        sums[part] = both.take(rows + picks).sum(axis=1)
    return [[float(s.real), float(s.imag)] for s in sums]


def by_steps(predicted: Floats, cost: Floats, worth: Floats, taus: Floats) -> list[list[float]]:
    """Return the same sums from the sorted steps."""
    return [[float(q), float(c)] for q, c in thresholds(predicted, cost).totals(worth, taus).T]


Way: TypeAlias = Callable[[Floats, Floats, Floats, Floats], list[list[float]]]
WAYS: dict[str, Way] = {"picks": by_picks, "steps": by_steps}


def timed(way: Way, predicted: Floats, cost: Floats, worth: Floats, taus: Floats) -> tuple[float, list[list[float]]]:
    """Return (seconds of one processor, sums): other work on the machine does not count."""
    start = time.process_time()
    sums = way(predicted, cost, worth, taus)
    return time.process_time() - start, sums


def decide(predicted: Floats, cost: Floats, worth: Floats) -> dict[str, float]:
    """Return the speeds of the three ways in decisions per second, and their ratios; stops when their sums differ."""
    few = TAUS[:: len(TAUS) // PLAIN][:PLAIN]
    n = len(predicted)
    seconds: dict[str, list[float]] = {"plain": [], "picks": [], "steps": []}
    for _ in range(REPEATS):
        spent, plain = timed(plainly, predicted, cost, worth, few)
        seconds["plain"].append(spent)
        for name, way in WAYS.items():
            spent, sums = timed(way, predicted, cost, worth, TAUS)
            seconds[name].append(spent)
            np.testing.assert_allclose(sums[:: len(TAUS) // PLAIN][:PLAIN], plain, rtol=1e-9)
    counts = {"plain": len(few) * n, "picks": len(TAUS) * n, "steps": len(TAUS) * n}
    speed = {name: counts[name] / statistics.median(s) for name, s in seconds.items()}
    return {
        "prompts": n,
        "models": predicted.shape[1],
        "thresholds": len(TAUS),
        "seconds_picks": statistics.median(seconds["picks"]),
        "seconds_steps": statistics.median(seconds["steps"]),
        "plain_per_s": speed["plain"],
        "picks_per_s": speed["picks"],
        "steps_per_s": speed["steps"],
        "picks_to_plain": speed["picks"] / speed["plain"],
        "steps_to_plain": speed["steps"] / speed["plain"],
    }


def worth_of(quality: Floats, cost_usd: Floats) -> Floats:
    """Return (2, prompts, models + 1): quality and cost of every choice, nothing for nobody."""
    nobody = np.zeros((len(quality), 1))
    return np.stack([np.hstack([np.nan_to_num(v), nobody]) for v in (quality, cost_usd)])


def guessed(quality: Floats) -> Floats:
    """Return predictions: the recorded quality and noise."""
    noise = np.random.default_rng(0).normal(0.6, 0.3, quality.shape)
    return np.asarray(0.5 * np.nan_to_num(quality) + 0.5 * noise)


def swept(outcomes: Outcomes) -> dict[str, float]:
    """Return the seconds of a whole sweep of 1,000 thresholds: checks, tune, nomination, confirm and verdict."""
    quality = dict(zip((p.id for p in outcomes.prompts), guessed(outcomes.quality), strict=True))
    strategy = Predicted(quality=quality, cost=mean_costs(outcomes))
    base = RouteConfig(name="predicted", models=outcomes.models, strategy=strategy)
    start = time.perf_counter()
    found = sweep(outcomes, base, {"strategy.at_least": TAUS})
    spent = time.perf_counter() - start
    return {
        "prompts": len(outcomes),
        "models": len(outcomes.models),
        "configs": found.terms.arms_tried,
        "seconds": spent,
        "configs_per_s": found.terms.arms_tried / spent,
    }


def tabled(outcomes: Outcomes, n: int) -> dict[str, float]:
    """Return the seconds of a sweep of n random tables from tasks to models."""
    tasks = sorted({p.task for p in outcomes.prompts if p.task is not None})
    models = [(m,) for m in outcomes.models]
    strategy = Rules(table=dict.fromkeys(tasks, models[0]), default=models[0], patterns={}, tasks="given")
    base = RouteConfig(name="tables", models=outcomes.models, strategy=strategy)
    grid = {f"strategy.table.{task}": models for task in tasks}
    start = time.perf_counter()
    found = sweep(outcomes, base, grid, search="random", n=n)
    spent = time.perf_counter() - start
    return {"prompts": len(outcomes), "configs": found.terms.arms_tried, "seconds": spent, "configs_per_s": n / spent}


def curve(most: int, models: int) -> list[dict[str, float]]:
    """Return time and peak memory of 1,000 thresholds by number of prompts, synthetic, up to `most`."""
    rng = np.random.default_rng(1)
    rows = []
    for n in (10**k for k in range(3, 7)):
        if n > most:
            break
        predicted, cost = rng.random((n, models)), np.arange(1.0, models + 1)
        worth = worth_of((rng.random((n, models)) < predicted).astype(float), np.broadcast_to(cost, (n, models)))
        row: dict[str, float] = {"prompts": n, "models": models, "input_mb": (predicted.nbytes + worth.nbytes) / 1e6}
        for name, way in WAYS.items():
            spent = [timed(way, predicted, cost, worth, TAUS)[0] for _ in range(3 if n < 10**6 else 1)]
            # The cheapest is too small for the clock on the smallest inputs.
            row[f"seconds_{name}"] = max(statistics.median(spent), 1e-4)
            row[f"{name}_per_s"] = len(TAUS) * n / row[f"seconds_{name}"]
            tracemalloc.start()
            way(predicted, cost, worth, TAUS[:: 1 if name == "steps" else 100])
            row[f"peak_mb_{name}"] = tracemalloc.get_traced_memory()[1] / 1e6
            tracemalloc.stop()
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def main() -> None:
    """Print the measurements, and write them as JSON when asked to."""
    parser = argparse.ArgumentParser(description="speed of sweeps")
    parser.add_argument("--shared", default=os.environ.get("ROUTELAB_SHARED", "../shared"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--most", type=int, default=10**6, help="prompts on the curve, at most")
    options = parser.parse_args()
    data = Path(options.shared) / "data"
    told: dict[str, Any] = {"cpus": os.cpu_count(), "numpy": np.__version__, "decide": {}, "sweep": {}, "tables": {}}
    for name in ("routellm_mmlu", "llmrouter"):
        outcomes = Outcomes.read(
            prompts=data / "prompts.csv.gz",
            outcomes=data / "outcomes.csv.gz",
            dataset=name,
            prices=data / "prices" / "outcome_models.csv",
        )
        costs = np.broadcast_to(mean_costs(outcomes), outcomes.quality.shape)
        worth = worth_of(outcomes.quality, costs)
        told["decide"][name] = decide(guessed(outcomes.quality), mean_costs(outcomes), worth)
        print(name, json.dumps(told["decide"][name]), flush=True)
        told["sweep"][name] = swept(outcomes)
        print(name, json.dumps(told["sweep"][name]), flush=True)
        if name == "llmrouter":
            told["tables"][name] = tabled(dataclasses.replace(outcomes, texts=None), 20_000)
            print(name, "tables", json.dumps(told["tables"][name]), flush=True)
    told["curve"] = [*curve(options.most, 2), *curve(min(options.most, 10**5), 9)]
    # Linux counts kilobytes; macOS bytes.
    told["process_peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print("process peak", round(told["process_peak_mb"]), "MB")
    if options.out is not None:
        options.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
