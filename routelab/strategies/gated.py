"""How a strategy's mapping for its gate becomes the gate of its plans."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from routelab.core.plan import Gate

FIT = "fit"
"""In the place of a bar: learn it from recorded outcomes."""
WHOLE = ("all", "recorded")
"""Keys that say what a gate is without the key `scorer`: ``{all: [...]}`` and ``{recorded: NAME}``."""


def gate_of(spec: Mapping[str, Any]) -> Gate:
    """Return the gate that a mapping such as ``{"scorer": "json", "at_least": 1}`` describes; without a bar it is 1.

    ``{"all": [...]}`` are several gates at once, ``{"recorded": NAME}`` is a score that was recorded with the answers.
    """
    rest = {k: v for k, v in spec.items() if k not in ("scorer", "at_least")}
    scorer = next((key for key in WHOLE if key in spec), spec.get("scorer"))
    bar = spec.get("at_least", 1.0)
    if isinstance(bar, Mapping):
        return Gate(scorer=scorer, at_least=1.0, spec=rest, bars=dict(bar))
    return Gate(scorer=scorer, at_least=None if bar == FIT else float(bar), spec=rest)


def unfitted(spec: Mapping[str, Any]) -> bool:
    """Say whether the gate's bar is still to be learned."""
    return spec.get("at_least") == FIT


def check(spec: Mapping[str, Any]) -> None:
    """Raise ValueError, "gate.key: …", for a mapping that says no gate or has a bar that is none."""
    said = [key for key in ("scorer", *WHOLE) if key in spec]
    if len(said) != 1:
        raise ValueError(
            "gate.scorer: is missing" if not said else f"gate.{said[1]}: a gate has one of scorer, {', '.join(WHOLE)}"
        )
    bar = spec.get("at_least", 1.0)
    rows = bar.items() if isinstance(bar, Mapping) else [("", bar)]
    for name, value in rows:
        where = "gate.at_least" + (f".{name}" if name else "")
        if value == FIT and not name:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
            raise ValueError(
                f"{where}: must be a number" + ("" if name else ", a mapping from models to numbers, or fit")
            )
