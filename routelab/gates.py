"""What may stand behind a gate, live: a rule that looks at the answer, or somebody who is asked about it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from routelab.core.plan import Gate
from routelab.core.ports import Judge, Scorer, World
from routelab.core.run import Run
from routelab.core.values import Judgement
from routelab.scoring import scorer_of


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Judges with a scorer: no model is asked, so it costs nothing."""

    scorer: Scorer

    async def __call__(self, run: Run, world: World) -> Judgement:
        """Return the score of the latest answer; scorers may run code, so they work on a thread."""
        began = world.clock.monotonic()
        given = await asyncio.to_thread(self.scorer, run.attempts[-1].text, run.prompt)
        return Judgement(
            quality=given.quality, reason=given.reason, latency_s=max(0.0, world.clock.monotonic() - began)
        )


def judge_of(gate: Gate) -> Judge:
    """Return who judges answers for a gate; ConfigError for a scorer that is not known."""
    return Rule(scorer=scorer_of({"kind": gate.scorer, **gate.spec}))


def gate_of(spec: Mapping[str, Any]) -> Gate:
    """Return the gate that a mapping such as ``{"scorer": "json", "at_least": 1}`` describes."""
    rest = {k: v for k, v in spec.items() if k not in ("scorer", "at_least")}
    return Gate(scorer=spec["scorer"], at_least=spec.get("at_least", 1.0), spec=rest)
