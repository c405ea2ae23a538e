"""A model's price per input token, read off what its calls cost: live answers keep costs and tokens, and no price list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from routelab.core.events import Answered
from routelab.core.run import Run

EXACT = 1e-6
"""A price is taken when it explains what each call cost up to this part of it: it was computed from that price, then."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A model's prices in USD a token; that of cached input is None when no call had any."""

    usd_per_token_in: float
    usd_per_token_out: float
    usd_per_token_cached_in: float | None = None


def listed(runs: Iterable[Run]) -> Callable[[str], Listed | None]:
    """Return what finds a model's price: the one that explains the costs of all its calls exactly, None where none does."""
    calls: dict[str, list[Answered]] = {}
    for run in runs:
        for event in run.events:
            if isinstance(event, Answered):
                calls.setdefault(event.model, []).append(event)
    held: dict[str, Listed | None] = {}

    def price(model: str) -> Listed | None:
        if model not in held:
            held[model] = _price(calls.get(model, []))
        return held[model]

    return price


def _price(calls: list[Answered]) -> Listed | None:
    rows = [_row(call) for call in calls]
    known = np.array([row for row in rows if row is not None], dtype=float)
    if len(known) < 2:
        return None
    counts, cost = known[:, :3], known[:, 3]
    asked = [k for k in range(3) if counts[:, k].any()]
    solved, _, rank, _ = np.linalg.lstsq(counts[:, asked], cost, rcond=None)
    if rank < len(asked) or not {0, 2} <= set(asked) or (solved < -1e-15).any():
        return None
    if (np.abs(counts[:, asked] @ solved - cost) > EXACT * np.abs(cost) + 1e-15).any():
        return None
    by = dict(zip(asked, solved.tolist(), strict=True))
    return Listed(usd_per_token_in=by[0], usd_per_token_out=by[2], usd_per_token_cached_in=by.get(1))


def _row(call: Answered) -> tuple[float, float, float, float] | None:
    """Return (input that was not cached, cached input, output, cost), None when one of them is not known."""
    tokens = call.tokens
    if tokens.input is None or tokens.output is None or call.cost_usd is None or tokens.written:
        return None
    cached = tokens.cached or 0
    return (tokens.input - cached, cached, tokens.output, call.cost_usd)
