"""Answers from what was recorded: the same text, cost and latency again, at no cost."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from routelab.core.errors import ModelNotFound, suggest
from routelab.core.ports import Answers, Outcomes
from routelab.core.values import Reply, Request, Tokens


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Answers with what `outcomes` and `answers` recorded for the request's prompt id and model name.

    The text is empty where only figures were recorded. A figure that was not recorded (NaN) is None in the reply. Waits
    take `latency` times as long as they did then (0: none); the reply states the recorded latency either way.
    """

    outcomes: Outcomes
    answers: Answers | None = None
    latency: float = 0.0
    sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep, repr=False)

    @property
    def logprobs(self) -> bool:
        """Whether log-probabilities of tokens were recorded."""
        return "mean_logprob" in getattr(self.answers if self.answers is not None else self.outcomes, "gates", ())

    @cached_property
    def _rows(self) -> Mapping[str, int]:
        return {prompt.id: row for row, prompt in enumerate(self.outcomes.prompts)}

    @cached_property
    def _columns(self) -> Mapping[str, int]:
        return {model: column for column, model in enumerate(self.outcomes.models)}

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        """Return what was recorded, after the scaled wait; raises ModelNotFound for a pair that was not recorded."""
        reply = self._reply(request)
        wait_s = (reply.latency_s or 0.0) * self.latency
        if wait_s > 0:
            await self.sleep(wait_s)
        if request.stream and reply.text:
            emit(reply.text)
        return reply

    def _reply(self, request: Request) -> Reply:
        prompt, model = request.prompt.id, request.model.name
        row, column = self._rows.get(prompt), self._columns.get(model)
        said = self.answers.reply(prompt, model) if self.answers is not None else None
        cost = latency = quality = None
        if row is not None and column is not None:
            cost = _known(self.outcomes.cost_usd[row, column])
            latency = _known(self.outcomes.latency_s[row, column])
            quality = _known(self.outcomes.quality[row, column])
        if said is None and cost is None and latency is None and quality is None:
            raise self._unrecorded(prompt, model)
        if said is None:
            return Reply(text="", served_model=model, cost_usd=cost, latency_s=latency)
        known = said.tokens.input is not None or said.tokens.output is not None
        return dataclasses.replace(
            said,
            tokens=dataclasses.replace(said.tokens, source="recorded") if known else Tokens(),
            cost_usd=said.cost_usd if cost is None else cost,
            latency_s=said.latency_s if latency is None else latency,
        )

    def _unrecorded(self, prompt: str, model: str) -> ModelNotFound:
        hint = None
        if model not in self._columns:
            hint = suggest(model, self._columns) or f"recorded models are {', '.join(self._columns)}"
        elif prompt not in self._rows:
            hint = "this prompt is not among the recorded ones; recorded answers serve replay, not new prompts"
        return ModelNotFound(f"not recorded: model '{model}' on prompt '{prompt}'", hint=hint)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
