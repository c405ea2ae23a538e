"""Gates that are scorers: what can be said of an answer without a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from routelab.core.ports import Judge, Scorer
from routelab.core.values import Judgement
from routelab.gates.seen import Looked, Seen
from routelab.judging import Ask
from routelab.scoring import KINDS as SCORERS

RULES: Mapping[str, type] = MappingProxyType(
    {kind: SCORERS[kind] for kind in ("nonempty", "length", "regex", "json", "states", "refusal", "contains")}
)
"""Scorers that may stand behind a gate; every other one needs to know the right answer."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Judges with a scorer: no model is asked, so it costs nothing."""

    scorer: Scorer

    @property
    def asks(self) -> tuple[str, ...]:
        """No model."""
        return ()

    def judge(self, ask: Ask | None = None) -> Judge:
        """Return the rule for live answers."""
        return Looked(look=self)

    def __call__(self, seen: Seen) -> Judgement:
        """Return what the scorer gives the latest answer."""
        given = self.scorer(seen.text, seen.prompt)
        return Judgement(quality=given.quality, reason=given.reason)
