"""Small cubes, made by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from routelab.core.values import Message, Prompt
from routelab.lab.outcomes import Judgements, Outcomes

# A busy machine is not a wrong program: no test here is about time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

Builder = Callable[..., Outcomes]


def outcomes(quality: Any, **given: Any) -> Outcomes:
    """Return outcomes of the given qualities (prompts × models); what is not given was not recorded."""
    q = np.array(quality, dtype=float)
    n, m = q.shape
    tasks, groups = given.pop("tasks", [None] * n), given.pop("groups", [None] * n)
    arrays = {
        name: np.broadcast_to(np.array(given.pop(name, np.nan), dtype=float), q.shape).copy()
        for name in ("cost_usd", "latency_s", "input_tokens", "output_tokens")
    }
    failed = np.array(given.pop("failed", np.zeros_like(q)), dtype=bool)
    q[failed] = 0.0
    gates = {key: Judgements.free(np.array(score, dtype=float)) for key, score in given.pop("gates", {}).items()}
    known = ~np.isnan(arrays["cost_usd"]).all(axis=0)
    return Outcomes(
        prompts=tuple(
            Prompt(
                id=f"p{i}", messages=(Message(role="user", content=f"question {i}"),), task=tasks[i], group=groups[i]
            )
            for i in range(n)
        ),
        models=given.pop("models", tuple("abcdefghij"[:m])),
        quality=q,
        failed=failed,
        cost_kind=given.pop("cost_kind", tuple("recorded" if k else None for k in known)),
        gates=gates,
        **arrays,
        **given,
    )


@pytest.fixture(scope="session")
def cube() -> Builder:
    """The builder of small outcomes."""
    return outcomes


@pytest.fixture(scope="session")
def recorded(shared: Path) -> Callable[..., Outcomes]:
    """Real recorded outcomes by the name of their data set; `priced=True` adds the list prices."""
    read: dict[tuple[str, bool], Outcomes] = {}

    def by_name(dataset: str, *, priced: bool = False) -> Outcomes:
        if (dataset, priced) not in read:
            read[dataset, priced] = Outcomes.read(
                prompts=shared / "data" / "prompts.csv.gz",
                outcomes=shared / "data" / "outcomes.csv.gz",
                dataset=dataset,
                prices=shared / "data" / "prices" / "outcome_models.csv" if priced else None,
            )
        return read[dataset, priced]

    return by_name
