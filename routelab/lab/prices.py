"""Price what has no recorded cost: tokens × a given list price, labelled by how the tokens are known."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from routelab.core.errors import DataError
from routelab.core.ports import Floats, TokenCounter
from routelab.core.values import Model, Price
from routelab.lab.outcomes import COST_KINDS, Outcomes
from routelab.lab.readers import numbers, read_table, refuse, texts

ASSUMED_OUTPUT_TOKENS: tuple[tuple[str, int], ...] = (
    (r"mmlu|arc|commonsense|openbook|gpqa|medmcqa|choice|classif|intent|sentiment|pubmedqa|logicgrid", 16),
    (r"code|mbpp|human_?eval|function_call|sql", 250),
    (r"math|gsm|aime|reason|word_problem", 250),
    (r"summar|translat|writing|commongen|creative|research", 150),
    (r"qa\b|_qa|trivia|question|search", 40),
)
"""Output tokens of an answer whose length nobody recorded, by the first pattern that is found in the task's name.

The same constant holds for every model, so a cost ratio between single models is then their ratio of list prices;
it says nothing about one model being wordier than another.
"""
ASSUMED_OTHERWISE = 200


def assumed_output_tokens(task: str | None) -> int:
    """Return the stated constant for a task.

    >>> assumed_output_tokens("mmlu/abstract_algebra"), assumed_output_tokens("mbpp"), assumed_output_tokens(None)
    (16, 250, 200)
    """
    name = (task or "").lower()
    return next((tokens for pattern, tokens in ASSUMED_OUTPUT_TOKENS if re.search(pattern, name)), ASSUMED_OTHERWISE)


def read_prices(path: Path, *, dataset: str | None) -> dict[str, Price]:
    """Return the price of each model in a file (dataset, model, usd_per_mtok_in, usd_per_mtok_out).

    Rows of another dataset are passed over; rows whose dataset is blank, and a file without that column, hold for
    every one.
    """
    table = read_table(path)
    table.require(("model", "usd_per_mtok_in", "usd_per_mtok_out"))
    models, datasets, sources = (texts(table, c) for c in ("model", "dataset", "source"))
    given: dict[str, Floats] = {}
    bad: list[tuple[int, str, str]] = []
    for column in ("usd_per_mtok_in", "usd_per_mtok_out"):
        given[column], wrong = numbers(table, column)
        bad += [(row, column, reason) for row, reason in wrong]
        bad += [
            (int(table.frame.index[int(i)]), column, "is blank") for i in np.flatnonzero(table.frame[column].isna())
        ]
    refuse(table, bad)
    prices: dict[str, Price] = {}
    seen: dict[str, int] = {}
    for i, model in enumerate(models):
        if model is None or (dataset is not None and datasets[i] not in (None, dataset)):
            continue
        price = Price(
            usd_per_mtok_in=float(given["usd_per_mtok_in"][i]),
            usd_per_mtok_out=float(given["usd_per_mtok_out"][i]),
            source=sources[i] or path.name,
        )
        if model in prices and prices[model] != price:
            raise DataError(
                f"{table.name}, line {table.line(i)}, model: '{model}' is priced twice (first in line {table.line(seen[model])})",
                hint="keep one row for each dataset and model",
            )
        prices[model] = price
        seen.setdefault(model, i)
    return prices


def priced(outcomes: Outcomes, prices: Mapping[str, Price], counter: TokenCounter) -> Outcomes:
    """Return the outcomes with a cost wherever none was recorded and a price is given; recorded costs stay.

    Recorded tokens give "tokens_x_listprice"; tokens that are counted here, and an output of assumed length, give
    "estimated". A failed call without tokens stays without a cost.
    """
    cost = outcomes.cost_usd.copy()
    kinds = list(outcomes.cost_kind)
    assumed: set[str] = set()
    for column, model in enumerate(outcomes.models):
        price = prices.get(model)
        missing = np.isnan(cost[:, column])
        if price is None or not missing.any():
            continue
        rows = np.flatnonzero(missing & ~(outcomes.failed[:, column] & np.isnan(outcomes.output_tokens[:, column])))
        tokens_in, tokens_out = outcomes.input_tokens[rows, column].copy(), outcomes.output_tokens[rows, column].copy()
        counted = bool(np.isnan(tokens_in).any() or np.isnan(tokens_out).any())
        count = _counter_of(Model(name=model, provider="recorded", upstream=model, price=price), counter)
        for k in np.flatnonzero(np.isnan(tokens_in)):
            tokens_in[k] = sum(count(m.content) for m in outcomes.prompts[int(rows[k])].messages)
        for k in np.flatnonzero(np.isnan(tokens_out)):
            prompt = outcomes.prompts[int(rows[k])]
            text = None if outcomes.texts is None else outcomes.texts(prompt.id, model)
            if text is None:
                assumed.add(prompt.task or "")
            tokens_out[k] = assumed_output_tokens(prompt.task) if text is None else count(text)
        cost[rows, column] = (tokens_in * price.usd_per_mtok_in + tokens_out * price.usd_per_mtok_out) / 1e6
        weakest = "estimated" if counted else "tokens_x_listprice"
        kinds[column] = min((k for k in (kinds[column], weakest) if k is not None), key=COST_KINDS.index)
    return dataclasses.replace(
        outcomes, cost_usd=cost, cost_kind=tuple(kinds), prices=dict(prices), notes=(*outcomes.notes, *_stated(assumed))
    )


def _counter_of(model: Model, counter: TokenCounter) -> Callable[[str], float]:
    def count(text: str) -> float:
        tokens = counter.count(text, model).input
        return np.nan if tokens is None else float(tokens)

    return count


def _stated(tasks: set[str]) -> tuple[str, ...]:
    if not tasks:
        return ()
    lengths = sorted({assumed_output_tokens(t or None) for t in tasks})
    said = " or ".join(map(str, lengths))
    return (f"costs are estimated: an answer's length was not recorded and is taken as {said} tokens by task",)
