"""A summariser that asks a model of the fleet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from routelab.context.fitted import Span, Summary
from routelab.context.note import asked
from routelab.context.room import Room
from routelab.core.errors import MalformedAnswer
from routelab.core.values import Message, Price, Reply

Ask = Callable[[str, tuple[Message, ...], int], Awaitable[Reply]]
"""Reaches a model by its name in the fleet, with messages and the most output tokens; raises a ProviderError and nothing else."""


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Has `ask` write a span's summary, shown within `room`, which is the summarising model's own.

    The cost is what the provider states, else what `price` makes of the reply's tokens, else not known. An empty answer or a
    refusal is a MalformedAnswer: a note that says nothing would lose everything that it stands for.
    """

    ask: Ask
    room: Room
    price: Price | None = None
    simulated: bool = False

    async def __call__(self, span: Span) -> Summary:
        """Return the summary."""
        reply = await self.ask(span.model, asked(span, self.room), span.max_tokens)
        if not reply.text.strip() or reply.finish in ("refusal", "filter"):
            raise MalformedAnswer(
                f"context.model: '{span.model}' wrote no summary ({reply.finish})",
                hint="name another model for `context.model`, or use kind: window or hybrid without a model",
            )
        cost_usd = reply.cost_usd
        if cost_usd is None and self.price is not None:
            cost_usd = self.price.cost_usd(reply.tokens)
        return Summary(
            text=reply.text.strip(),
            model=span.model,
            tokens=reply.tokens,
            cost_usd=cost_usd,
            latency_s=reply.latency_s,
            simulated=self.simulated,
        )
