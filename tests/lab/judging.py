"""Judge again and again in child processes that are killed; run as a script, because a process with threads must not fork.

`python judging.py FOLDER KILLS SEED` prints one JSON object: what was paid for, what was lost, and the verdicts.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from pathlib import Path

import numpy as np
import scipy.stats  # noqa: F401  # loaded once, for all children
from killing import append, counted, killed, lines

from routelab.core.values import Message, Prompt
from routelab.fleet import Fleet
from routelab.lab.hearings import Sat
from routelab.lab.outcomes import Cells, Outcomes, cube
from routelab.lab.session import Lab

JOBS, PROMPTS = 4, 40
MODELS = ("a", "b", "c")
GATE = {"scorer": "judge", "model": "gemini-flash"}


def answers() -> Outcomes:
    """Return answers of three models that nobody scored."""
    prompts = tuple(
        Prompt(id=f"p{i}", messages=(Message(role="user", content=f"What is {i} plus {i}?"),)) for i in range(PROMPTS)
    )
    at = np.repeat(np.arange(PROMPTS), len(MODELS)), np.tile(np.arange(len(MODELS)), PROMPTS)
    n = PROMPTS * len(MODELS)
    measures = {name: np.full(n, np.nan) for name in ("quality", "input_tokens", "output_tokens")}
    measures |= {"cost_usd": np.full(n, 1e-6), "latency_s": np.ones(n)}
    kinds = np.array(["recorded"] * n, dtype=object)
    cells = Cells(prompt=at[0], model=at[1], measures=measures, failed=np.zeros(n, dtype=np.bool_), kinds=kinds)
    arrays, failed, kind = cube(prompts, MODELS, cells)
    return Outcomes(
        prompts=prompts,
        models=MODELS,
        failed=failed,
        cost_kind=kind,
        simulated=True,
        dataset="sums",
        texts=lambda prompt, model: f"{model} says {int(prompt[1:]) * 2}",
        **arrays,  # type: ignore[arg-type]
    )


def judge(folder: Path, practice: Fleet) -> tuple[Lab, Outcomes]:
    """Judge into `folder/log.duckdb`, noting in `folder/safe` how many verdicts were reported as finished."""
    lab = Lab(folder / "log.duckdb", fleet=counted(practice, folder / "till"))

    def heard(sat: Sat) -> None:
        assert sat.docket is not None
        append(folder / "safe", str(sat.docket.kept + sat.done))

    return lab, lab.judge(answers(), GATE, jobs=JOBS, seed=7, budget_usd=100.0, heard=heard, retry="missing")


def main(folder: Path, kills: int, seed: int) -> None:
    whole, broken = folder / "whole", folder / "broken"
    rng = random.Random(seed)
    for place in (whole, broken):
        place.mkdir()
    # Loads what every child will need, before there is a thread: a child of a process with threads may hang.
    practice = Fleet.practice(latency=0.02, errors=0.0)
    for model in practice.models:
        practice.counter.count("warm", model)
    assert threading.active_count() == 1
    most = PROMPTS * len(MODELS) // 6
    rounds = [killed(broken, rng, most, lambda: judge(broken, practice)[0]) for _ in range(kills)]
    results = {}
    for name, place in (("whole", whole), ("broken", broken)):
        lab, outcomes = judge(place, practice)
        [given] = outcomes.gates.values()
        doubled = lab.log.query(
            "select count(*) from (select prompt_id, arm from runs where tags like '%answer%' group by all having count(*) > 1)"
        )
        verdicts = {part: repr(getattr(given, part).tolist()) for part in ("score", "cost_usd", "latency_s")}
        paid = len(lines(place / "till"))
        results[name] = {"verdicts": verdicts, "paid": paid, "doubled": doubled[0][0], "notes": list(outcomes.notes)}
        lab.close()
    print(json.dumps({"rounds": rounds, **results}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
