"""Predictors expect how good each model's answer to a prompt will be: one file each, one line each in `KINDS`.

To add one: write the file, add its line, and the contract in tests/strategies/test_predictors.py runs on it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from routelab import strict
from routelab.core.errors import ConfigError, suggest
from routelab.strategies.predictors.boosting import Boosting
from routelab.strategies.predictors.cluster import Cluster
from routelab.strategies.predictors.features import Inputs
from routelab.strategies.predictors.knn import Knn
from routelab.strategies.predictors.lesson import Lesson, Predictor
from routelab.strategies.predictors.logistic import Logistic
from routelab.strategies.predictors.lookup import Lookup
from routelab.strategies.predictors.mf import Mf
from routelab.strategies.predictors.stack import Stack

KINDS: Mapping[str, type] = MappingProxyType(
    {
        "lookup": Lookup,
        "knn": Knn,
        "cluster": Cluster,
        "logistic": Logistic,
        "boosting": Boosting,
        "mf": Mf,
        "stack": Stack,
    }
)

__all__ = ["KINDS", "Inputs", "Lesson", "Predictor", "predictor_of", "spec_of"]

_HERE = strict.Document(values={}, name="predictor")


def predictor_of(spec: str | Mapping[str, Any]) -> Predictor:
    """Return the predictor that a word or a mapping such as ``{"kind": "knn", "k": 40}`` describes.

    Raises ValueError, "key: what is wrong", for anything else.
    """
    values = {"kind": spec} if isinstance(spec, str) else dict(spec)
    kind = values.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        near = suggest(kind, KINDS) if isinstance(kind, str) else None
        said = "is missing" if kind is None else f"unknown {kind!r}" + ("" if near is None else f"; {near}")
        raise ValueError(f"kind: {said} (kinds: {', '.join(KINDS)})")
    try:
        made: Predictor = strict.build(KINDS[kind], values, (), _HERE)
    except ConfigError as trouble:
        raise ValueError(trouble.message.removeprefix("predictor: ")) from None
    return made


def spec_of(predictor: Predictor) -> str | dict[str, Any]:
    """Return what `predictor_of` turns back into an equal predictor: a word, or a mapping where something is not default."""
    kind = next(name for name, cls in KINDS.items() if type(predictor) is cls)
    assert dataclasses.is_dataclass(predictor)
    changed = {
        f.name: getattr(predictor, f.name)
        for f in dataclasses.fields(predictor)
        if getattr(predictor, f.name) != f.default
    }
    return {"kind": kind, **changed} if changed else kind
