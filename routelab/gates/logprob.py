"""Gates of how sure the model was of its own words: the log-probabilities of the answer's tokens, as probabilities.

They cost nothing and take no time, but only providers of chat completions give them (`stages.call.Endpoint.logprobs`).
The bar is a probability, because a judgement is: a mean log-probability of −0.5 is 0.61.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from routelab.core.events import Answered
from routelab.core.ports import Judge, World
from routelab.core.run import Run
from routelab.core.values import Judgement
from routelab.judging import Ask


@dataclass(frozen=True, kw_only=True)
class MeanLogprob:
    """Gives exp of the mean log-probability of the answer's tokens: their geometric mean probability, from 0 to 1."""

    @property
    def asks(self) -> tuple[str, ...]:
        """No model."""
        return ()

    def judge(self, ask: Ask | None = None) -> Judge:
        """Return the gate for live answers."""
        return _Sure(least=False)


@dataclass(frozen=True, kw_only=True)
class MinLogprob:
    """Gives exp of the least log-probability of the answer's tokens: how likely its most doubtful token was, 0 to 1."""

    @property
    def asks(self) -> tuple[str, ...]:
        """No model."""
        return ()

    def judge(self, ask: Ask | None = None) -> Judge:
        """Return the gate for live answers."""
        return _Sure(least=True)


def probability(logprob: float | None) -> float | None:
    """Return a log-probability as a probability, from 0 to 1, to nine significant digits; None stays None.

    >>> probability(-0.5), probability(None)
    (0.60653066, None)
    """
    # Rounded, so that a score which went through a log as a probability or as its logarithm is the same score again.
    return None if logprob is None else float(f"{min(1.0, math.exp(logprob)):.9g}")


@dataclass(frozen=True, kw_only=True)
class _Sure:
    least: bool

    async def __call__(self, run: Run, world: World) -> Judgement:
        latest = next((e for e in reversed(run.events) if isinstance(e, Answered)), None)
        if latest is None:
            return Judgement(quality=None, reason="there is no answer to judge")
        said = probability(latest.min_logprob if self.least else latest.mean_logprob)
        if said is None:
            return Judgement(quality=None, reason=f"{latest.provider} gave no log-probabilities for this answer")
        told = "its least likely token" if self.least else "its tokens"
        return Judgement(quality=said, reason=f"{latest.model} gave {told} a probability of {said:.3f}")
