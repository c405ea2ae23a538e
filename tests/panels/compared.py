"""Comparisons to look at: live ones of answers that are written down here, and replays of small cubes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from routelab.answer import Answer
from routelab.config import RouteConfig
from routelab.core.events import Answered, Event, Routed, Scored, Unanswered
from routelab.core.run import Run
from routelab.core.values import Message, Prompt, Tokens
from routelab.lab.compare import Comparison
from routelab.lab.live import judged
from routelab.lab.outcomes import Outcomes
from routelab.store import Log

NOW = datetime(2026, 1, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Said:
    """An answer to be: no text is no answer, no quality is not scored."""

    text: str | None = "yes"
    quality: float | None = 1.0
    cost_usd: float | None = 0.001
    latency_s: float | None = 0.5
    decided: str | None = None


def asked(n: int, *, tasks: Sequence[str] = ("qa",), texts: Mapping[int, str] | None = None) -> list[Prompt]:
    """Return n prompts, `tasks` in turn; `texts` replaces what some of them ask."""
    return [
        Prompt(
            id=f"p{i}",
            messages=(Message(role="user", content=(texts or {}).get(i, f"question {i}")),),
            task=tasks[i % len(tasks)],
            scorer={"kind": "exact", "answers": ["yes"]},
            reference="yes",
        )
        for i in range(n)
    ]


def live(prompts: Sequence[Prompt], answers: Mapping[str, Sequence[Said]], log: Log | None = None) -> Comparison:
    """Return a live comparison in which these answers were given; the first arm is the baseline. Runs go to the log."""
    given = {
        arm: [_answer(arm, prompt, said) for prompt, said in zip(prompts, rows, strict=True)]
        for arm, rows in answers.items()
    }
    if log is not None:
        for rows in given.values():
            for answer in rows:
                log.record(answer.run)
    configs = {arm: RouteConfig(name=arm, models=["m"], strategy={"kind": "fixed", "model": "m"}) for arm in answers}
    found = judged(
        prompts,
        given,
        configs,
        baseline=next(iter(answers)),
        margin=0.02,
        seed=0,
        experiment="e",
        dataset="made",
    )
    return dataclasses.replace(found, log=log)


def _answer(arm: str, prompt: Prompt, said: Said) -> Answer:
    events: list[Event] = [Routed(strategy="fixed", order=("m",), reason="always m", error=said.decided)]
    if said.text is None:
        events.append(Unanswered(model="m", provider="p", error="RateLimited", message="429", retry=False))
    else:
        events.append(
            Answered(
                model="m",
                served_model="m",
                provider="p",
                text=said.text,
                cost_usd=said.cost_usd,
                latency_s=said.latency_s,
                tokens=Tokens(input=5, output=7, source="usage"),
            )
        )
    if said.quality is not None and said.text is not None:
        events.append(Scored(scorer="exact", model="m", quality=said.quality))
    return Answer(Run(id=f"{arm}-{prompt.id}", prompt=prompt, started_at=NOW, arm=arm, events=tuple(events)))


def cube(prompts: Sequence[Prompt], quality: Sequence[Sequence[float]], **more: object) -> Outcomes:
    """Return outcomes of the models a, b, … with these qualities; a costs $0.001 and takes 1 s, b twice that, and so on."""
    values = np.array(quality, dtype=float)
    factor = np.arange(1, values.shape[1] + 1) * np.ones(values.shape)
    models = tuple("abcdefgh"[: values.shape[1]])
    fields: dict[str, object] = {
        "texts": lambda prompt_id, model: f"{model} on {prompt_id}",
        "failed": np.zeros(values.shape, dtype=np.bool_),
        **more,
    }
    return Outcomes(
        prompts=tuple(prompts),
        models=models,
        quality=values,
        cost_usd=0.001 * factor,
        latency_s=factor,
        input_tokens=10 * factor,
        output_tokens=10 * factor,
        cost_kind=("recorded",) * len(models),
        **fields,  # type: ignore[arg-type]
    )
