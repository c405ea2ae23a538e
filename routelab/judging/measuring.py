"""Judges in the place of a scorer: a model says how good an answer is where nothing exact can.

What they ask is paid for, and it is the measurement's cost: neither the answer's nor its arm's (`Run.measuring_usd`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Any, TypeAlias

from routelab import strict
from routelab.core.errors import ConfigError
from routelab.core.values import digest
from routelab.judging.kinds import Confidence, Consistency, Pairwise, Rubric

KINDS: Mapping[str, type] = MappingProxyType(
    {"judge": Rubric, "pairwise": Pairwise, "consistency": Consistency, "confidence": Confidence}
)
"""What a gate's mapping may say for `scorer`, and a scorer's for `kind`, when a model is to be asked."""
Judging: TypeAlias = Rubric | Pairwise | Consistency | Confidence
"""A kind of judge with its settings."""


def is_judge(scorer: object) -> bool:
    """Say whether a scorer, or a scorer's mapping, is a judge that asks models."""
    if isinstance(scorer, Mapping):
        return scorer.get("kind", scorer.get("scorer")) in KINDS
    return isinstance(scorer, (Rubric, Pairwise, Consistency, Confidence))


def judging_of(spec: Mapping[str, Any]) -> Judging:
    """Return the judge that a scorer's mapping describes, such as ``{"kind": "judge", "model": "gpt-5"}``; raises ConfigError.

    `scorer` may stand for `kind`, as in a gate.
    """
    kind = spec.get("kind", spec.get("scorer"))
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(f"scorer.kind: {kind!r} is no judge", hint=f"judges: {', '.join(KINDS)}")
    settings = {key: value for key, value in spec.items() if key not in ("kind", "scorer", "at_least")}
    made: Judging = strict.build(KINDS[kind], settings, ("scorer",), strict.Document(values={}, name="scorer"))
    return made


def named(judge: Judging) -> str:
    """Return the name of the judge's measurements in the log: its kind and a mark of its settings.

    One that was shown the right answers is "measured-…", because no gate could have had its verdicts live.
    """
    kind = next(name for name, made in KINDS.items() if type(judge) is made)
    own = {f.name: (getattr(judge, f.name), f.default) for f in fields(judge)}
    spec = {name: value for name, (value, default) in own.items() if default is MISSING or value != default}
    shown = isinstance(judge, Rubric) and judge.reference == "given"
    return f"{'measured-' if shown else ''}{kind}" + (f"-{digest(spec)[:8]}" if spec else "")
