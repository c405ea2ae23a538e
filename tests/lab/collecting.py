"""Collect again and again in child processes that are killed; run as a script, because a process with threads must not fork.

`python collecting.py FOLDER KILLS SEED` prints one JSON object: what was paid for, what was lost, and the arrays.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from pathlib import Path
from typing import Any

import scipy.stats  # noqa: F401  # loaded once, for all children
from killing import append, counted, killed, lines

from routelab.fleet import Fleet
from routelab.lab.collect import Headway
from routelab.lab.datasets import Dataset
from routelab.lab.outcomes import MEASURES, Outcomes
from routelab.lab.session import Lab

JOBS = 4
PROMPTS = 30
MODELS = ("gpt-5", "gpt-5-nano", "deepseek-v3", "qwen-local")


def collect(folder: Path, practice: Fleet, dataset: Dataset) -> tuple[Lab, Outcomes]:
    """Collect into `folder/log.duckdb`, noting in `folder/safe` how many answers were reported as finished."""
    lab = Lab(folder / "log.duckdb", fleet=counted(practice, folder / "till"))

    def heard(headway: Headway) -> None:
        append(folder / "safe", str(headway.forecast.kept + headway.done - headway.errors))

    return lab, lab.collect(dataset, MODELS, jobs=JOBS, seed=7, budget_usd=100.0, heard=heard)


def arrays(lab: Lab, outcomes: Outcomes) -> dict[str, Any]:
    """Return the arrays as lists; latencies only where nothing was retried: waiting for a retry takes real time."""
    once = {
        (p, m)
        for p, m, n in lab.log.query("select prompt_id, requested_model, count(*) from calls group by all")
        if n == 1
    }
    single = [[(p.id, m) in once for m in outcomes.models] for p in outcomes.prompts]
    found = {name: getattr(outcomes, name) for name in MEASURES}
    found["latency_s"] = found["latency_s"] * single
    return {name: repr(values.tolist()) for name, values in found.items()} | {
        "failed": repr(outcomes.failed.tolist()),
        "single": repr(single),
        "texts": [outcomes.texts(p.id, m) for p in outcomes.prompts for m in outcomes.models],
    }


def main(folder: Path, kills: int, seed: int) -> None:
    whole, broken = folder / "whole", folder / "broken"
    rng = random.Random(seed)
    for place in (whole, broken):
        place.mkdir()
    # Loads what every child will need, before there is a thread: a child of a process with threads may hang.
    practice = Fleet.practice(latency=0.003, errors=0.05)
    dataset = Dataset.load("workbench").sample(PROMPTS, seed=1)
    for model in practice.models:
        practice.counter.count("warm", model)
    assert threading.active_count() == 1
    most = PROMPTS * len(MODELS) // 14
    rounds = [killed(broken, rng, most, lambda: collect(broken, practice, dataset)[0]) for _ in range(kills)]
    results = {}
    for name, place in (("whole", whole), ("broken", broken)):
        lab, outcomes = collect(place, practice, dataset)
        doubled = lab.log.query(
            "select count(*) from (select prompt_id, arm from runs where status = 'answered' group by all having count(*) > 1)"
        )
        results[name] = {"arrays": arrays(lab, outcomes), "paid": len(lines(place / "till")), "doubled": doubled[0][0]}
        lab.close()
    waiting = sorted(p.name for p in broken.glob("*.spool/*.jsonl"))
    print(json.dumps({"rounds": rounds, "waiting": waiting, **results}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
