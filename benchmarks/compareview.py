"""How long the panel of a comparison takes to open, to page, to filter and to search: 5,000 live prompts × 4 arms, 100,000 recorded.

usage: python benchmarks/compareview.py

No model is called: answers of 600 characters are made up here. Times are the kernel's, from the call until every widget has its value;
what the front end takes to draw comes on top. Prints one line a step.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TypeVar

import numpy as np

from routelab.answer import Answer
from routelab.config import RouteConfig
from routelab.core.events import Answered, Routed, Scored
from routelab.core.run import Run
from routelab.core.values import Message, Prompt, Tokens
from routelab.lab.compare import Comparison
from routelab.lab.live import judged
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import replay
from routelab.panels.compareview import CompareView
from routelab.strategies import Fixed

T = TypeVar("T")
LIVE, RECORDED, ARMS, CHARACTERS = 5_000, 100_000, 4, 600
SENTENCE = "a model reads what it was asked and answers in words that nobody has put into this order before"
WORDS = SENTENCE.split()


def text(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=CHARACTERS // 5))


def asked(n: int, rng: random.Random) -> list[Prompt]:
    return [
        Prompt(
            id=f"p{i}", messages=(Message(role="user", content=f"{i}: {text(rng)}"),), task=f"task {i % 7}", scorer={}
        )
        for i in range(n)
    ]


def answer(prompt: Prompt, model: str, rng: random.Random) -> Answer:
    said = Answered(
        model=model,
        served_model=model,
        provider="made",
        text=text(rng),
        cost_usd=rng.random() / 1000,
        latency_s=rng.random(),
        tokens=Tokens(input=50, output=100, source="usage"),
        simulated=True,
    )
    routed = Routed(strategy="fixed", order=(model,), reason=f"always {model}")
    scored = Scored(scorer="made", model=model, quality=float(rng.random() < 0.8))
    run = Run(id=f"{model}-{prompt.id}", prompt=prompt, started_at=datetime(2026, 1, 1), events=(routed, said, scored))
    return Answer(run)


def live(n: int) -> Comparison:
    rng = random.Random(0)
    prompts = asked(n, rng)
    names = [f"model-{k}" for k in range(ARMS)]
    configs = {m: RouteConfig(name=m, models=[m], strategy={"kind": "fixed", "model": m}) for m in names}
    answers = {m: [answer(p, m, rng) for p in prompts] for m in names}
    return judged(prompts, answers, configs, baseline=names[0], margin=0.02, seed=0, experiment="made", dataset="made")


def recorded(n: int) -> Comparison:
    rng, draws = random.Random(0), np.random.default_rng(0)
    names = tuple(f"model-{k}" for k in range(ARMS))
    shape = (n, ARMS)
    said = [text(rng) for _ in range(1000)]
    outcomes = Outcomes(
        prompts=tuple(asked(n, rng)),
        models=names,
        quality=(draws.random(shape) < 0.8).astype(float),
        cost_usd=draws.random(shape) / 1000,
        latency_s=draws.random(shape),
        input_tokens=np.full(shape, 50.0),
        output_tokens=np.full(shape, 100.0),
        failed=np.zeros(shape, dtype=np.bool_),
        cost_kind=("recorded",) * ARMS,
        simulated=True,
        texts=lambda prompt_id, model: said[hash((prompt_id, model)) % len(said)],
    )
    return replay(outcomes, {m: Fixed(model=m) for m in names}, baseline=names[0], confirm=0.0)


def timed(what: str, step: Callable[[], T]) -> T:
    began = time.perf_counter()
    made = step()
    print(f"  {what:<38}{1000 * (time.perf_counter() - began):9.1f} ms")
    return made


def measure(comparison: Comparison) -> None:
    view = timed("open: panel and first page", lambda: CompareView(comparison))
    timed("next page", lambda: view.turn(view.page + 1))
    timed("last page", lambda: view.turn(view.pages - 1))
    for keep in ("different", "errors", "low score", "all"):
        timed(f"filter: {keep}", partial(setattr, view.keep, "value", keep))
    for sort in reversed(view.sort.options):
        timed(f"sort: {sort}", partial(setattr, view.sort, "value", sort))

    def search() -> None:
        view.needle.value = "put into this ORDER"
        while view.jobs and not view.jobs[-1].done:
            time.sleep(0.01)

    timed("search every prompt and answer", search)
    view.needle.value = ""
    print(f"  {'saved with the notebook':<38}{len(view.panel.still()['text/html'].encode()) / 1000:9.1f} kB")


def main() -> None:
    for title, make in (
        (f"{LIVE:,} live prompts × {ARMS} arms", partial(live, LIVE)),
        (f"{RECORDED:,} recorded prompts × {ARMS} arms", partial(recorded, RECORDED)),
    ):
        print(title)
        measure(make())


if __name__ == "__main__":
    main()
