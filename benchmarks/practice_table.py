"""Prints the table of docs/practice.md: quality, cost and latency of every simulated model over the workbench.

python benchmarks/practice_table.py [seed]
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from routelab.core.values import Message, Model, Prompt, Reply, Request
from routelab.providers.catalog import CATALOG, TASKS
from routelab.providers.practice import Practice, practice_models, verdict
from routelab.providers.prices import GenaiPrices
from routelab.scoring import score

WORKBENCH = Path(__file__).resolve().parents[1] / "datasets" / "workbench"


def prompts() -> Iterator[Prompt]:
    """Yield the workbench's prompts."""
    for path in sorted(WORKBENCH.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            yield Prompt(
                id=row["id"],
                messages=(Message(role="user", content=row["prompt"]),),
                task=row["task"],
                reference=row["reference"],
                scorer=row["scorer"],
                difficulty=row["difficulty"],
                wrong=tuple(row["wrong"]),
            )


def ask(provider: Practice, model: Model, prompt: Prompt) -> Reply:
    """Return one reply."""
    return asyncio.run(provider.complete(Request(model=model, prompt=prompt, messages=prompt.messages), lambda _: None))


def main(arguments: Sequence[str]) -> int:
    """Ask every model every prompt, score the answers and print."""
    seed = int(arguments[0]) if arguments else 0
    provider = Practice(latency=0.0, seed=seed, errors=0.0)
    models, asked = practice_models(GenaiPrices()), list(prompts())
    quality = np.zeros((len(asked), len(models)))
    cost, seconds = quality.copy(), quality.copy()
    scored: dict[tuple[int, str], float] = {}  # code is run in a process of its own, so the same answer is run once
    for i, prompt in enumerate(asked):
        for j, model in enumerate(models):
            reply = ask(provider, model, prompt)
            if (i, reply.text) not in scored:
                judged = score(reply.text, prompt)
                assert judged is not None
                scored[i, reply.text] = judged.quality
            quality[i, j] = scored[i, reply.text]
            cost[i, j] = (model.price.cost_usd(reply.tokens) if model.price else None) or 0.0
            seconds[i, j] = reply.latency_s or np.nan
            outcome = verdict(prompt, CATALOG[model.upstream], seed)
            low, high = {"right": (0.99, 1.0), "nearly": (0.0, 0.99), "wrong": (0.0, 0.499)}[outcome]
            if reply.finish == "stop" and not low <= quality[i, j] <= high:
                print(
                    f"surprise: {prompt.id} {model.name} {outcome} {quality[i, j]:.2f} {reply.text!r}", file=sys.stderr
                )
    task = np.array([p.task for p in asked])
    tasks = [t for t in TASKS if (task == t).any()]
    print("| model | " + " | ".join(tasks) + " | all | USD per 1,000 | p50 s | p95 s |")
    print("|---|" + "---:|" * (len(tasks) + 4))
    for j, model in enumerate(models):
        cells = [f"{quality[task == t, j].mean():.2f}" for t in tasks]
        p50, p95 = np.quantile(seconds[:, j], [0.5, 0.95])
        print(
            f"| {model.name} | {' | '.join(cells)} | {quality[:, j].mean():.3f} "
            f"| {1e3 * cost[:, j].mean():.2f} | {p50:.2f} | {p95:.2f} |"
        )
    print(f"| *oracle* | {' | '.join(f'{quality[task == t].max(axis=1).mean():.2f}' for t in tasks)} | ", end="")
    print(f"{quality.max(axis=1).mean():.3f} | | | |")
    by_task = np.concatenate([quality[task == t, quality[task == t].mean(axis=0).argmax()] for t in tasks])
    right = np.corrcoef((quality >= 0.5).T.astype(float))
    pairs = right[np.triu_indices(len(models), 1)]
    best = quality.mean(axis=0).max()
    print(f"\nbest single {best:.3f}, best model a task {by_task.mean():.3f} (chosen on the same prompts)")
    print(f"correlation of being right: mean {pairs.mean():.2f}, {pairs.min():.2f} to {pairs.max():.2f}")
    print(f"{len(asked)} prompts, seed {seed}, prices of {GenaiPrices().on()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
