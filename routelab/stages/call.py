"""Ask the model whose turn it is, once. Asking again is the flow's business; being patient in between is this stage's."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from routelab.core.errors import Cancelled, ProviderError, TimedOut
from routelab.core.events import Answered, Unanswered
from routelab.core.ports import Provider, Purse, TokenCounter, World
from routelab.core.run import Run
from routelab.core.values import Message, Model, Reply, Request, Tokens, draw

ASSUMED_OUTPUT_TOKENS = 4096
"""The worst case that a budget reserves when neither the config nor the model says how long an answer may be."""

BUDGET_TICK_S = 0.005


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A model and who answers for it."""

    model: Model
    provider: Provider

    @property
    def logprobs(self) -> bool:
        """Whether the provider can be asked for the log-probabilities of an answer's tokens; its own `logprobs` says so."""
        return bool(getattr(self.provider, "logprobs", False))


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How answers are drawn; `logprobs` asks those who can give them for the log-probabilities of the tokens."""

    temperature: float | None = None
    max_output_tokens: int | None = None
    stream: bool = False
    logprobs: bool = False


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often to ask again and how long to wait before: min(first · 2ⁿ, longest) · (1 − ¼·u), or what the server said."""

    retries: int = 2
    first_s: float = 0.5
    longest_s: float = 8.0

    def wait_s(self, failure: ProviderError | None, tries: int, u: float) -> float:
        """Return the seconds to wait before try number `tries` (from 1); u is uniform in [0, 1)."""
        if failure is not None and failure.retry_after_s is not None:
            return failure.retry_after_s
        return float(min(self.first_s * 2 ** (tries - 1), self.longest_s) * (1 - 0.25 * u))


@dataclass(frozen=True, kw_only=True)
class Call:
    """Ask the run's current model and return Answered or Unanswered, priced, counted and timed."""

    endpoints: Mapping[str, Endpoint]
    counter: TokenCounter
    sampling: Sampling = Sampling()
    patience: Patience = Patience()
    purse: Purse | None = None

    async def __call__(self, run: Run, world: World) -> Answered | Unanswered:
        """Return what came back; BudgetExceeded ends the run before anything is sent."""
        assert run.current is not None
        endpoint = self.endpoints[run.current]
        tries = _tries(run)
        waited = await self._wait(run, tries, world)
        attempt = _Attempt(
            run=run, endpoint=endpoint, waited_s=waited, began=world.clock.monotonic(), counter=self.counter
        )
        try:
            ticket = await self._ticket(endpoint.model, run, world)
        except TimedOut as late:
            return attempt.unanswered(late, "", False, world.clock.monotonic())
        attempt = dataclasses.replace(attempt, began=world.clock.monotonic())
        request = Request(
            model=endpoint.model,
            prompt=run.prompt,
            messages=run.messages,
            temperature=self.sampling.temperature,
            max_output_tokens=self.sampling.max_output_tokens,
            deadline_s=_left_s(world),
            stream=self.sampling.stream,
            seed=run.seed + tries,
            logprobs=self.sampling.logprobs and endpoint.logprobs,
        )
        event: Answered | Unanswered | None = None
        pieces: list[str] = []
        try:
            reply = await _within(endpoint.provider, request, _listener(pieces, world.emit))
            event = attempt.answered(reply, world.clock.monotonic())
        except ProviderError as failure:
            event = attempt.unanswered(
                failure, "".join(pieces), self._again(failure, tries, pieces, world), world.clock.monotonic()
            )
        except asyncio.CancelledError:
            # The caller stopped waiting: what was generated until now is still money, so it is witnessed before we go.
            event = attempt.unanswered(
                Cancelled("the caller stopped waiting"), "".join(pieces), False, world.clock.monotonic()
            )
            if world.witness is not None:
                world.witness(run.then(event))
            raise
        finally:
            if ticket is not None and self.purse is not None:
                self.purse.settle(ticket, _spent(event))
        return event

    def _again(self, failure: ProviderError, tries: int, pieces: list[str], world: World) -> bool:
        if not failure.retryable or tries >= self.patience.retries or pieces:
            return False
        # A server that wants more patience than there is left would only use up the time of whoever is asked next.
        left = _left_s(world)
        return left is None or (failure.retry_after_s or 0.0) < left

    async def _ticket(self, model: Model, run: Run, world: World) -> int | None:
        """Return the reservation for one call, or None without a budget; TimedOut when there is no time to ask (any more)."""
        worst = None if self.purse is None else self.worst_case_usd(model, run.messages)
        while _left_s(world) != 0.0:
            if self.purse is None:
                return None
            ticket = self.purse.reserve(worst, what=f"a call of {model.name}")
            if ticket is not None:
                return ticket
            # Calls under way hold the rest of the budget; most cost far less than their worst case and soon give it back.
            await asyncio.sleep(BUDGET_TICK_S)
        raise TimedOut(f"no time was left to ask {model.name}", hint="allow more seconds in limits.deadline_s")

    async def _wait(self, run: Run, tries: int, world: World) -> float:
        last = run.events[-1]
        if not (isinstance(last, Unanswered) and last.retry):
            return 0.0
        failure = ProviderError(last.message, retry_after_s=last.retry_after_s)
        seconds = self.patience.wait_s(failure, tries, draw(run.seed, "wait", run.id, str(tries)))
        left = _left_s(world)
        seconds = seconds if left is None else min(seconds, left)
        await world.clock.sleep(seconds)
        return seconds

    def worst_case_usd(self, model: Model, messages: tuple[Message, ...]) -> float | None:
        """Return the most that one call can cost in USD, or None when the model's price is not known."""
        if model.price is None:
            return None
        counted = self.counter.count(_whole(messages), model).input or 0
        output = self.sampling.max_output_tokens or model.max_output_tokens or ASSUMED_OUTPUT_TOKENS
        # Estimates of the input can be low; a quarter more and 64 tokens of framing keep the reservation a worst case.
        return model.price.cost_usd(Tokens(input=int(counted * 1.25) + 64, output=output))


def _whole(messages: Sequence[Message]) -> str:
    """Return all that is sent, to be counted: contents, and calls of tools."""
    return "\n".join(text for m in messages for text in (m.content, *(f"{c.name} {c.arguments}" for c in m.calls)))


def _left_s(world: World) -> float | None:
    """Return the seconds until the run's deadline, 0 when it has passed, None when there is none."""
    return None if world.deadline is None else max(0.0, world.deadline - world.clock.monotonic())


def _tries(run: Run) -> int:
    """Return how often the current model has been asked already."""
    tries = 0
    for event in reversed(run.events):
        if not (isinstance(event, Unanswered) and event.retry):
            break
        tries += 1
    return tries


def _listener(pieces: list[str], emit: Callable[[str], None] | None) -> Callable[[str], None]:
    def listen(piece: str) -> None:
        pieces.append(piece)
        if emit is not None:
            emit(piece)

    return listen


async def _within(provider: Provider, request: Request, emit: Callable[[str], None]) -> Reply:
    # A per-read timeout is not a deadline: a server that drips one byte at a time never trips it. This does.
    try:
        async with asyncio.timeout(request.deadline_s):
            return await provider.complete(request, emit)
    except TimeoutError:
        after = "" if request.deadline_s is None else f" after {request.deadline_s:.1f} s"
        raise TimedOut(f"{request.model.name} had not answered{after}") from None


def _spent(event: Answered | Unanswered | None) -> float | None:
    if isinstance(event, Unanswered) and not event.text and event.cost_usd is None:
        return 0.0 if event.error not in ("TimedOut", "Cancelled", "MalformedAnswer") else None
    return None if event is None else event.cost_usd


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    run: Run
    endpoint: Endpoint
    waited_s: float
    began: float
    counter: TokenCounter

    def answered(self, reply: Reply, ended: float) -> Answered:
        model = self.endpoint.model
        tokens = self._counted(reply.tokens, reply.text)
        cost = reply.cost_usd if reply.cost_usd is not None else (model.price.cost_usd(tokens) if model.price else None)
        as_of = model.price.as_of if model.price is not None else None
        return Answered(
            model=model.name,
            served_model=reply.served_model,
            upstream=model.upstream,
            provider=model.provider,
            text=reply.text,
            finish=reply.finish,
            tokens=tokens,
            cost_usd=cost,
            price_as_of=None if as_of is None else as_of.isoformat(),
            latency_s=reply.latency_s if reply.latency_s is not None else max(0.0, ended - self.began),
            ttft_s=reply.ttft_s,
            waited_s=self.waited_s,
            attempt=len(self.run.attempts) + 1,
            simulated=model.simulated,
            mean_logprob=reply.mean_logprob,
            min_logprob=reply.min_logprob,
        )

    def unanswered(self, failure: ProviderError, text: str, retry: bool, ended: float) -> Unanswered:
        model = self.endpoint.model
        tokens = self._counted(Tokens(), text) if text else Tokens()
        return Unanswered(
            model=model.name,
            provider=model.provider,
            error=type(failure).__name__,
            message=str(failure),
            retry=retry,
            status=failure.status,
            retry_after_s=failure.retry_after_s,
            text=text,
            tokens=tokens,
            cost_usd=model.price.cost_usd(tokens) if model.price is not None and text else None,
            latency_s=max(0.0, ended - self.began),
            waited_s=self.waited_s,
            attempt=len(self.run.attempts) + 1,
            simulated=model.simulated,
        )

    def _counted(self, tokens: Tokens, text: str) -> Tokens:
        if tokens.input is not None and tokens.output is not None:
            return tokens
        # One unknown count makes the whole count an estimate, and it says so.
        asked = self.counter.count(_whole(self.run.messages), self.endpoint.model)
        said = self.counter.count(text, self.endpoint.model)
        return Tokens(
            input=tokens.input if tokens.input is not None else asked.input,
            output=tokens.output if tokens.output is not None else said.input,
            cached=tokens.cached,
            reasoning=tokens.reasoning,
            written=tokens.written,
            source=said.source,
        )
