"""Ask every model once about every prompt; what the log already holds is not asked again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from routelab.answer import Answer
from routelab.config import RouteConfig
from routelab.core.errors import BudgetExceeded
from routelab.core.ports import Floats, Scorer
from routelab.core.values import digest
from routelab.engine import shared
from routelab.lab.datasets import Dataset
from routelab.lab.outcomes import MEASURES, Outcomes
from routelab.router import Router, Setting
from routelab.stages import Budget

if TYPE_CHECKING:
    from routelab.lab.session import Lab
    from routelab.lab.trial import Listener

Cell = tuple[str, str]
"""A prompt's id and a model's name."""

_KEPT = """
    select r.prompt_id, r.arm, r.status, r.quality, r.cost_usd, r.latency_s, a.input_tokens, a.output_tokens, a.text
    from runs r left join answers a on a.run_id = r.run_id and a.kept
    where r.experiment = ? and r.status in ('answered', 'unanswered') and r.session is not null
    order by r.started_at
"""


def collect(
    lab: Lab,
    dataset: Dataset,
    models: Sequence[str],
    *,
    budget_usd: float | None,
    jobs: int,
    seed: int,
    scorer: Scorer | None,
    heard: Listener | None,
) -> Outcomes:
    """Return the outcomes of the data set for the models; see `Lab.collect`.

    A model that did not answer after its retries is a failure of quality 0, and is asked again by the next collect.
    """
    from routelab.lab.trial import Trial

    experiment = f"collect-{digest(dataset.fingerprint, seed, '' if scorer is None else repr(scorer))[:12]}"
    lab.log.record_prompts(dataset.prompts)
    lab.log.flush()
    cells = recorded(lab, experiment)
    purse = None if budget_usd is None else Budget(budget_usd)
    routers = {
        name: Router(
            RouteConfig(name=name, models=[name], strategy={"kind": "fixed", "model": name}),
            fleet=lab.fleet,
            log=lab.log,
            setting=Setting(experiment=experiment, arm=name, scorer=scorer, purse=purse, seed=seed, cache=False),
        )
        for name in models
    }
    missing = {name: [p for p in dataset.prompts if cells.get((p.id, name), {}).get("failed", 1.0)] for name in models}
    wanted = [p for p in dataset.prompts if any(p in row for row in missing.values())]
    trial = Trial(
        routers, wanted, seed=seed, skip={(name, p.id) for name in models for p in wanted if p not in missing[name]}
    )
    try:
        shared().wait(trial.play(jobs=jobs, heard=heard))
    finally:
        lab.log.flush()
        for name, answers in trial.answers.items():
            for prompt, answer in zip(wanted, answers, strict=True):
                if answer is not None:
                    cells[prompt.id, name] = cell_of(answer)
    outcomes = assembled(dataset, models, cells, simulated=lab.fleet.simulated)
    if trial.stopped is not None:
        error = BudgetExceeded(
            f"{trial.stopped.message}; {int((~np.isnan(outcomes.quality)).sum())} of {outcomes.quality.size} answers are in the log",
            hint="collect again with a larger budget_usd: what is there is not paid for twice",
        )
        error.partial = outcomes  # type: ignore[attr-defined]
        raise error
    return outcomes


def recorded(lab: Lab, experiment: str) -> dict[Cell, dict[str, float | str | None]]:
    """Return what the log holds of an experiment, by prompt and model; the latest row counts."""
    names = ("status", "quality", "cost_usd", "latency_s", "input_tokens", "output_tokens", "text")
    cells: dict[Cell, dict[str, float | str | None]] = {}
    for prompt_id, model, *values in lab.log.query(_KEPT, [experiment]):
        cell = dict(zip(names, values, strict=True))
        cell["failed"] = float(cell.pop("status") != "answered")
        cells[prompt_id, model] = cell
    return cells


def cell_of(answer: Answer) -> dict[str, float | str | None]:
    """Return one answer as the cell of a cube."""
    failed = answer.error is not None
    scorable = answer.run.prompt.scorer is not None
    return {
        "quality": 0.0 if failed and scorable else answer.quality,
        "cost_usd": answer.cost_usd,
        "latency_s": answer.latency_s,
        "input_tokens": answer.tokens.input,
        "output_tokens": answer.tokens.output,
        "text": None if failed else answer.text,
        "failed": float(failed),
    }


def assembled(
    dataset: Dataset, models: Sequence[str], cells: Mapping[Cell, Mapping[str, float | str | None]], *, simulated: bool
) -> Outcomes:
    """Return the cube of the cells; a pair that is not there is NaN."""
    shape = (len(dataset), len(models))
    arrays: dict[str, Floats] = {name: np.full(shape, np.nan) for name in MEASURES}
    failed = np.zeros(shape, dtype=np.bool_)
    for i, prompt in enumerate(dataset.prompts):
        for k, model in enumerate(models):
            cell = cells.get((prompt.id, model))
            if cell is None:
                continue
            failed[i, k] = bool(cell["failed"])
            for name in MEASURES:
                value = cell[name]
                if value is not None:
                    arrays[name][i, k] = float(value)
    texts = {key: str(cell["text"]) for key, cell in cells.items() if cell["text"] is not None}
    return Outcomes(
        prompts=dataset.prompts,
        models=tuple(models),
        failed=failed,
        cost_kind=tuple("recorded" if np.isfinite(arrays["cost_usd"][:, k]).any() else None for k in range(shape[1])),
        simulated=simulated,
        dataset=dataset.name,
        texts=lambda prompt_id, model: texts.get((prompt_id, model)),
        quality=arrays["quality"],
        cost_usd=arrays["cost_usd"],
        latency_s=arrays["latency_s"],
        input_tokens=arrays["input_tokens"],
        output_tokens=arrays["output_tokens"],
    )
