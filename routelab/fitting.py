"""The context policy at work in a flow: whose windows count, and how its summaries are asked for, kept and paid."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from routelab.context import (
    Memory,
    Placed,
    Policy,
    Room,
    Shelf,
    Span,
    Summary,
    Writer,
    among,
    fit,
    fit_live,
    kind_of,
    room_of,
    unsummarised,
)
from routelab.core import flow
from routelab.core.errors import BudgetExceeded, ConfigError, LogError, ProviderError, RoutelabError, TimedOut, suggest
from routelab.core.events import Answered, Routed, Unanswered
from routelab.core.flow import Repeat, play
from routelab.core.ports import TokenCounter, World
from routelab.core.run import Run
from routelab.core.values import Message, Model, Prompt, Reply, digest
from routelab.providers.tokens import Counter
from routelab.stages import Call, Endpoint, Sampling
from routelab.stages.fit import Fit, Sized

if TYPE_CHECKING:
    from routelab.store import KeptSummary

THOUGHTS = 1_024
"""Output tokens that a summariser may use besides the summary's: models that think do so before they write."""
LONG = 20_000
"""Characters from which on a conversation is counted on a thread: a million tokens take a second."""


def rooms_of(
    names: Sequence[str], endpoints: Mapping[str, Endpoint], counter: TokenCounter, *, output_tokens: int | None = None
) -> tuple[Room, ...]:
    """Return the rooms of the models that may be asked, by name; they remember what they counted, so a router makes them once."""
    if isinstance(counter, Counter):
        counter = counter.remembering()
    return tuple(room_of(endpoints[name].model, counter, output_tokens=output_tokens) for name in names)


def fitting(policy: Policy, rooms: Sequence[Room], *, call: Call, memory: Memory, escalate: bool = True) -> Fit:
    """Return the stage that fits conversations to `rooms` as the policy says.

    Summaries are asked for through `call`: its endpoints (the policy's `model` must be among them), retries, budget and
    prices. `memory` keeps them by content, and is shared by all flows of a router; what its shelf has was paid by another process.
    Raises ConfigError for an unknown model.
    """
    model = getattr(policy, "model", None)
    if model is not None and model not in call.endpoints:
        near = suggest(model, call.endpoints)
        raise ConfigError(
            f"context.model: unknown model '{model}'{'' if near is None else '; ' + near}",
            hint=f"models at hand: {', '.join(call.endpoints)}",
        )
    fitter = Fitter(policy=policy, rooms=tuple(rooms), call=call, memory=memory, escalate=escalate)
    return Fit(kind=kind_of(policy), fitting=fitter)


@dataclass(frozen=True, kw_only=True)
class Fitter:
    """Fits one conversation after the other; see `fitting`."""

    policy: Policy
    rooms: tuple[Room, ...]
    call: Call
    memory: Memory
    escalate: bool = True

    async def __call__(
        self, own: tuple[Message, ...], talk: tuple[Message, ...], run: Run, world: World, asked: list[Run]
    ) -> Sized:
        """Return the conversation as it fits; where a summary fails, without one, and why.

        Raises ContextExceeded, and BudgetExceeded when the budget holds not even the first call.
        """
        whole = (*own, *talk)
        if sum(len(m.content) for m in whole) > LONG:
            await asyncio.to_thread(lambda: [room.tokens(whole) for room in self.rooms])
        rooms = tuple(room.less(own) for room in self.rooms)
        desk = _Desk(call=self.call, world=world, asked=asked, seed=run.seed, shelf=self.memory.shelf)
        error: str | None = None
        try:
            steps = among(self.policy, talk, rooms, escalate=self.escalate)
            placed = await fit_live(steps, desk.written, self.memory, desk.left_s)
        except (_Unwritten, TimedOut) as trouble:
            cause = trouble.cause if isinstance(trouble, _Unwritten) else trouble
            if isinstance(cause, BudgetExceeded) and not any(a.attempts for a in asked):
                raise cause from None
            error = f"no summary, older turns were left out: {_line(cause)}"
            placed = fit(among(unsummarised(self.policy), talk, rooms, escalate=self.escalate))
        return self._sized(placed, own, talk, error, desk.waited_s)

    def _sized(
        self, placed: Placed, own: tuple[Message, ...], talk: tuple[Message, ...], error: str | None, waited_s: float
    ) -> Sized:
        room = next(r for r in self.rooms if r.name == placed.model)
        return Sized(
            messages=placed.fitted.messages,
            tokens_before=room.tokens((*own, *talk)),
            tokens_after=room.tokens((*own, *placed.fitted.messages)),
            summarised=placed.fitted.summarised,
            dropped=placed.fitted.dropped,
            models=placed.models,
            error=error,
            waited_s=waited_s,
        )


def digest_of(span: Span, model: Model) -> str:
    """Return 64 hexadecimal digits for what a summary is written from and by whom: a simulated one is nobody else's."""
    said = "\x1f".join((span.key, model.provider, model.upstream, str(model.simulated)))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


class _Unwritten(RoutelabError):
    """A summary could not be had, for a cause that is not the conversation's own."""

    def __init__(self, cause: RoutelabError) -> None:
        super().__init__(cause.message)
        self.cause = cause


def _line(cause: RoutelabError) -> str:
    """Return the cause in one line; a plain ProviderError quotes an attempt, which names its own."""
    kind = "" if type(cause) is ProviderError else f"{type(cause).__name__}: "
    return kind + cause.message.partition("\n")[0][:200]


@dataclass(kw_only=True)
class _Desk:
    """Where one run's summaries are written: each is a run of its own in `asked`."""

    call: Call
    world: World
    asked: list[Run]
    seed: int
    shelf: Shelf | None = None
    _waits: float | None = None

    @property
    def waited_s(self) -> float:
        """How long somebody else's summary was waited for, when none was written here."""
        return 0.0 if self.asked or self._waits is None else max(0.0, self.world.clock.monotonic() - self._waits)

    def left_s(self) -> float | None:
        """Return the seconds until the run's deadline, None when there is none; asked for where a wait begins."""
        if self._waits is None:
            self._waits = self.world.clock.monotonic()
        deadline = self.world.deadline
        return None if deadline is None else max(0.0, deadline - self.world.clock.monotonic())

    async def written(self, span: Span) -> Summary:
        """Return a summary that a model writes now; raises _Unwritten for whatever expected trouble comes in between."""
        model = self.call.endpoints[span.model].model
        key = digest_of(span, model)
        known = await self._known(key)
        if known is not None:
            return Summary(
                text=known.text,
                model=span.model,
                tokens=known.tokens,
                cost_usd=known.cost_usd,
                latency_s=0.0,
                simulated=known.simulated,
                recalled=True,
            )
        writer = Writer(
            ask=self._asked,
            room=room_of(model, self.call.counter, output_tokens=span.max_tokens + THOUGHTS),
            price=model.price,
            simulated=model.simulated,
        )
        try:
            summary = await writer(span)
        except (ProviderError, BudgetExceeded) as trouble:
            raise _Unwritten(trouble) from None
        self._keep(key, summary)
        return summary

    async def _known(self, key: str) -> KeptSummary | None:
        if self.shelf is None:
            return None
        # A log that cannot be read now has no summary to give, which costs one call and no answer.
        with contextlib.suppress(LogError):
            return await asyncio.to_thread(self.shelf.summary, key)
        return None

    def _keep(self, key: str, summary: Summary) -> None:
        if self.shelf is None:
            return
        from routelab.store import KeptSummary

        kept = KeptSummary(
            key=key,
            model=summary.model,
            text=summary.text,
            tokens=summary.tokens,
            cost_usd=summary.cost_usd,
            simulated=summary.simulated,
            written_at=self.world.clock.now(),
        )
        with contextlib.suppress(LogError):
            self.shelf.keep_summary(kept)

    async def _asked(self, model: str, messages: tuple[Message, ...], tokens: int) -> Reply:
        slot = len(self.asked)
        run = Run(
            id=digest("summary", model, self.seed, [m.told for m in messages]),
            prompt=Prompt.of(messages),
            started_at=self.world.clock.now(),
            seed=self.seed,
            events=(Routed(strategy="context", order=(model,), reason="summary"),),
        )
        self.asked.append(run)

        def witness(run: Run) -> None:
            self.asked[slot] = run

        most = self.call.endpoints[model].model.max_output_tokens
        sampling = Sampling(max_output_tokens=tokens + THOUGHTS if most is None else min(tokens + THOUGHTS, most))
        turn = dataclasses.replace(self.call, sampling=sampling)
        own = dataclasses.replace(self.world, emit=None, witness=witness)
        run = await play(Repeat(turn, flow.settled, 1 + self.call.patience.retries), run, own)
        return _reply(run)


def _reply(run: Run) -> Reply:
    """Return what the run's model said; raises the trouble that left it without an answer."""
    if run.failed is not None:
        kind = BudgetExceeded if run.failed.error == BudgetExceeded.__name__ else ProviderError
        raise kind(run.failed.message)
    last = run.attempts[-1] if run.attempts else None
    if not isinstance(last, Answered):
        said = "nobody was asked" if not isinstance(last, Unanswered) else f"{last.error}: {last.message}"
        raise ProviderError(said)
    return Reply(
        text=last.text,
        served_model=last.served_model,
        finish=last.finish,
        tokens=last.tokens,
        latency_s=run.latency_s,
        cost_usd=run.cost_usd,
    )
