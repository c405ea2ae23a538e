"""How judges reach models: each question is a run of its own through the ordinary call stage, so retries, prices, the budget and waits are those of any call."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from routelab.core import flow
from routelab.core.errors import ConfigError, suggest
from routelab.core.events import Answered, Routed, Unanswered
from routelab.core.flow import Repeat, play
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Message, Prompt, digest
from routelab.judging import Heard, Question, asking, is_judge, kinds
from routelab.judging.ask import Planned, both
from routelab.providers import opinions
from routelab.providers.practice import SAMPLE
from routelab.scoring import scorer_of
from routelab.stages import Call, Sampling
from routelab.stages.call import ASSUMED_OUTPUT_TOKENS

QUOTED = 4_000
"""Characters of the question that a simulated judge is told, to guess how hard it is."""


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Asks the endpoints of `call`; what a question leaves open (temperature, length) is as in the config's own calls."""

    call: Call

    async def __call__(self, question: Question, world: World) -> Heard:
        """Return what was heard; ConfigError for a model that the fleet does not have."""
        endpoints = self.call.endpoints
        if question.model not in endpoints:
            near = suggest(question.model, endpoints)
            raise ConfigError(
                f"judge: unknown model '{question.model}'{'' if near is None else '; ' + near}",
                hint=f"models at hand: {', '.join(endpoints)}",
            )
        simulated = endpoints[question.model].model.simulated
        run = Run(
            id=digest(question.model, question.seed, [m.told for m in question.messages]),
            prompt=await asyncio.to_thread(_prompt, question, simulated=simulated),
            started_at=world.clock.now(),
            seed=question.seed,
            events=(Routed(strategy="judge", order=(question.model,), reason=question.wants),),
        )
        own = self.call.sampling
        sampling = Sampling(
            temperature=own.temperature
            if question.temperature is None and question.wants == "answer"
            else question.temperature,
            max_output_tokens=question.max_output_tokens or own.max_output_tokens,
        )
        turn = dataclasses.replace(self.call, sampling=sampling)
        run = await play(Repeat(turn, flow.settled, 1 + self.call.patience.retries), run, world)
        return _heard(run, simulated=simulated)


def worst_usd(
    call: Call, planned: Sequence[Planned], messages: tuple[Message, ...], answer: str | None
) -> float | None:
    """Return the most that a judgement can cost in USD, verdicts asked for once more included; None when a price is not known.

    `messages` are the prompt's; without the `answer` it is as long as its author may make it.
    """
    shown = answer if answer is not None else "word " * (call.sampling.max_output_tokens or ASSUMED_OUTPUT_TOKENS)
    total = 0.0
    for each in planned:
        text = (Message(role="user", content=shown),) * each.shows
        rules = (Message(role="system", content=asking.RULES + asking.SCORE + kinds.RUBRIC),) if each.verdict else ()
        turn = dataclasses.replace(
            call, sampling=Sampling(max_output_tokens=each.output_tokens or call.sampling.max_output_tokens)
        )
        once = turn.worst_case_usd(call.endpoints[each.model].model, (*messages, *text, *rules))
        if once is None:
            return None
        total += each.times * once * (2 if each.verdict else 1)
    return total


def _heard(run: Run, *, simulated: bool) -> Heard:
    answered = [e for e in run.events if isinstance(e, Answered)]
    last = run.attempts[-1] if run.attempts else None
    error = ""
    if run.failed is not None:
        error = f"{run.failed.error}: {_line(run.failed.message)}"
    elif isinstance(last, Unanswered):
        error = f"{last.error}: {_line(last.message)}"
    return Heard(
        text=None if error else run.text,
        error=error,
        tokens=both([e.tokens for e in answered]),
        cost_usd=run.cost_usd,
        latency_s=run.latency_s,
        simulated=simulated,
    )


def _prompt(question: Question, *, simulated: bool) -> Prompt:
    """Return the question as a prompt; only a simulated model is told what real ones must find out by reading."""
    about = question.about
    if question.wants == "answer":
        if not question.again:
            return about
        # Under an id of its own, or a recorded fleet would give the recorded answer for another sample.
        tags = {**about.tags, SAMPLE: str(question.seed)}
        return dataclasses.replace(about, id=f"{about.id}#{question.seed}", tags=tags)
    messages = question.messages
    bare = Prompt(id=digest([m.told for m in messages]), messages=messages, task=about.task)
    if not simulated:
        return bare
    return dataclasses.replace(
        bare,
        difficulty=about.difficulty,
        tags={
            opinions.WANTS: question.wants,
            opinions.TRUTHS: ",".join(_worth(text, about) for text in question.answers),
            opinions.AUTHORS: ",".join(question.authors),
            opinions.CHARS: ",".join(str(len(text)) for text in question.answers),
            opinions.LOW: f"{question.low:g}",
            opinions.HIGH: f"{question.high:g}",
            opinions.QUESTION: about.text[:QUOTED],
        },
    )


def _worth(answer: str, prompt: Prompt) -> str:
    # Where a judge is the prompt's scorer, nobody knows the truth.
    return (
        ""
        if prompt.scorer is None or is_judge(prompt.scorer)
        else f"{scorer_of(prompt.scorer)(answer, prompt).quality:.4f}"
    )


def _line(message: str) -> str:
    return message.partition("\n")[0][:200]
