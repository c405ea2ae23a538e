"""Several gates at once: an answer has to pass all of them, and the first that refuses spares the others."""

from __future__ import annotations

from dataclasses import dataclass

from routelab.core.plan import Gate
from routelab.core.ports import Judge, World
from routelab.core.run import Run
from routelab.core.values import Judgement, Tokens
from routelab.gates.kind import Kind
from routelab.judging import Ask


@dataclass(frozen=True, kw_only=True)
class All:
    """Gives 1 when every part gives at least its own bar, else 0; the parts are asked in order until one refuses."""

    parts: tuple[tuple[Gate, Kind], ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("all: name at least one gate")

    @property
    def asks(self) -> tuple[str, ...]:
        """The models that the parts ask."""
        return tuple(dict.fromkeys(model for _, kind in self.parts for model in kind.asks))

    def judge(self, ask: Ask | None = None) -> Judge:
        """Return the gates for live answers."""
        return InTurn(parts=tuple((gate, kind.judge(ask)) for gate, kind in self.parts))


@dataclass(frozen=True, kw_only=True)
class InTurn:
    """Lets judges judge one after the other until one refuses."""

    parts: tuple[tuple[Gate, Judge], ...]

    async def __call__(self, run: Run, world: World) -> Judgement:
        """Return 1, 0, or None when one could not judge, with the reason of the last judge asked and what all of them cost."""
        given: list[Judgement] = []
        quality: float | None = 1.0
        for gate, judge in self.parts:
            given.append(await judge(run, world))
            said = given[-1].quality
            if said is None or said < gate.bar(run.current or ""):
                quality = None if said is None else 0.0
                break
        return Judgement(
            quality=quality,
            reason=given[-1].reason,
            judge=", ".join(dict.fromkeys(g.judge for g in given if g.judge)),
            tokens=_tokens([g.tokens for g in given if g.judge]),
            cost_usd=_sum([g.cost_usd for g in given]),
            latency_s=_sum([g.latency_s for g in given]),
            simulated=any(g.simulated for g in given),
        )


def _tokens(given: list[Tokens]) -> Tokens:
    if len(given) < 2:
        return given[0] if given else Tokens()
    asked, said = ([getattr(t, name) for t in given] for name in ("input", "output"))
    return Tokens(
        input=None if None in asked else sum(asked), output=None if None in said else sum(said), source=given[0].source
    )


def _sum(given: list[float | None]) -> float | None:
    return None if any(g is None for g in given) else sum(g for g in given if g is not None)
