"""Values become a flow here and nowhere else: this is the one place that states the order of the stages."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from routelab.asker import Asker
from routelab.caching import Admission, CacheConfig, scope_of
from routelab.config import ContextConfig, RouteConfig
from routelab.context import Memory as Summaries
from routelab.context import Room, room_of
from routelab.core import flow
from routelab.core.errors import ConfigError
from routelab.core.flow import Flow, Repeat, Unless, chain
from routelab.core.plan import Gate
from routelab.core.ports import Cache, Judge, Purse, Scorer, TokenCounter
from routelab.core.run import Run
from routelab.core.values import Message, Prompt, Roster
from routelab.embedding import VectorStore
from routelab.fitting import fitting
from routelab.gates import asked_by, judge_of, needs_logprobs
from routelab.judging import Judging, Rubric, Seat, is_judge, judging_of
from routelab.judging.measuring import named
from routelab.prompting import Reading
from routelab.prompting.compress import Compressed, Compressor, begins, compressed
from routelab.prompting.fewshot import Selector
from routelab.retrieval import before
from routelab.retrieval.framing import framed, unframed
from routelab.scoring import scorer_of
from routelab.scoring.cut import sees_cut
from routelab.scoring.refusal import refused
from routelab.stages import (
    Admit,
    Call,
    Compress,
    Confirm,
    Endpoint,
    Measure,
    Patience,
    Recall,
    Remember,
    Render,
    Retrieve,
    Route,
    Sampling,
)
from routelab.stages.admit import unjudged
from routelab.stages.desk import Desk
from routelab.stages.measure import Ask, unscorable
from routelab.stages.recall import CACHE_GUARD, Queue, certain
from routelab.stages.render import Example
from routelab.stages.retrieve import Finder
from routelab.strategies import Cascade, kind_of
from routelab.strategies.cascade import by_price


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a flow needs besides its config: who answers, who counts, what is remembered, what may be spent, who scores.

    `caches` are asked in their order; what they keep belongs to the config and its models, and to `apart` if that is given (an
    experiment's arm). `queue` knows which requests are being answered right now; with `anew` nothing is looked up, only remembered.
    `logprobs` asks for the log-probabilities of tokens even when no gate needs them, from those who give them. `examples` chooses
    what a prompt is shown (`examples_of`), `finder` what is put before its question; a context policy fits the
    conversation to the `rooms` of the models (`fitting.rooms_of`), with `summaries` by content. A `scorer`
    may be a judge; it asks `judges`, as those prompts do that name a judge as their scorer, unless these are None: then
    the latter are not measured.
    """

    endpoints: Mapping[str, Endpoint]
    counter: TokenCounter
    caches: Sequence[Cache] = ()
    apart: Sequence[str] = ()
    queue: Queue | None = None
    anew: bool = False
    purse: Purse | None = None
    scorer: Scorer | Judging | None = None
    judges: Mapping[str, Endpoint] | None = None
    stream: bool = False
    desk: Desk | None = None
    logprobs: bool = False
    examples: Callable[[Run], Sequence[Example]] | None = None
    finder: Finder | None = None
    rooms: Sequence[Room] = ()
    summaries: Summaries = field(default_factory=Summaries)


def route_of(config: RouteConfig, endpoints: Mapping[str, Endpoint], desk: Desk | None = None) -> Route:
    """Return the stage that decides: shared by live runs, dry runs and replays; `desk` is where a router decides."""
    return Route(
        kind=kind_of(config.ranking),
        strategy=config.ranking,
        roster=Roster(models=tuple(endpoints[name].model for name in config.names)),
        ranked=len(config.models),
        fallbacks=config.fallbacks,
        desk=desk or Desk(config.limits.decide_s),
    )


def flow_of(config: RouteConfig, parts: Parts) -> Flow:
    """Return the flow of a config: render, recall, route, ask (and let the gate judge) until settled, remember, measure.

    Raises ConfigError when its gate needs log-probabilities that a model to be judged does not give.
    """
    gate: Gate | None = getattr(config.ranking, "accepts", None)
    sure = needs_logprobs(gate)
    if sure:
        _telling(config, parts.endpoints)
    call = Call(
        endpoints=parts.endpoints,
        counter=parts.counter,
        sampling=Sampling(
            temperature=config.prompt.temperature,
            max_output_tokens=config.prompt.max_output_tokens,
            stream=parts.stream,
            logprobs=sure or parts.logprobs,
        ),
        patience=Patience(retries=config.limits.retries),
        purse=parts.purse,
    )
    times = len(config.names) * (1 + config.limits.retries)
    turn: Flow = (
        call
        if gate is None
        else chain(call, Unless(unjudged, Admit(gate=gate, judge=judge_of(gate, Asker(call=call)))))
    )
    ask: tuple[Flow, ...] = (route_of(config, parts.endpoints, parts.desk), Repeat(turn, flow.settled, times))
    if parts.caches:
        ask = _recalling(config, parts, ask, Asker(call=call))
    return chain(*_putting(config, parts, call), *ask, *_measure(config, parts))


def _putting(config: RouteConfig, parts: Parts, call: Call) -> tuple[Flow, ...]:
    """Return the stages that make of a prompt what a model is sent; the last one fits it, so that what is fitted is what is sent."""
    prompt = config.prompt
    if isinstance(prompt.template, str):
        raise ConfigError(f"prompt.template: {prompt.template} was not looked up", hint="config.settled(log) does that")
    stages: list[Flow] = []
    if parts.finder is not None:
        stages.append(Retrieve(finder=parts.finder, place=before))
    # As the first model counts: a budget is one number, whoever answers.
    room = room_of(parts.endpoints[config.names[0]].model, parts.counter)
    if prompt.compress is not None:
        stages.append(Compress(shorten=partial(_shortened, prompt.compress, room.count)))
    if prompt.system is not None or prompt.template is not None or parts.examples is not None:
        stages.append(
            Render(system=prompt.system, template=prompt.template, examples=parts.examples, count=room.tokens)
        )
    if config.context is not None:
        assert isinstance(config.context, ContextConfig)
        policy, escalate = config.context.policy, config.context.escalate
        stages.append(fitting(policy, parts.rooms, call=call, memory=parts.summaries, escalate=escalate))
    return tuple(stages)


def _shortened(
    compressor: Compressor, count: Callable[[str], int], messages: tuple[Message, ...], question: str
) -> Compressed:
    """Return the messages compressed; of passages in their frame, what stands in it, and the frame is made anew."""
    last = next((n for n in range(len(messages) - 1, -1, -1) if messages[n].role == "user"), -1)
    passages = None if last < 0 else unframed(messages[last].content)
    if passages is None or not messages[last].content.startswith(framed(passages)):
        return compressed(compressor, messages, count=count, question=question)
    rest = messages[last].content.removeprefix(framed(passages))
    bare = dataclasses.replace(messages[last], content=passages + rest)
    found = compressed(compressor, (*messages[:last], bare, *messages[last + 1 :]), count=count, question=question)
    left = found.messages[last].content
    at = begins(left, question)
    if not at:
        # Nobody can say where the passages end.
        return dataclasses.replace(found, messages=messages, tokens_after=found.tokens_before, removed=())
    content = f"{framed(left[:at].rstrip())}\n\n{left[at:]}"
    around = count(framed(passages)) - count(passages)
    return dataclasses.replace(
        found,
        messages=(*found.messages[:last], dataclasses.replace(bare, content=content), *found.messages[last + 1 :]),
        tokens_before=found.tokens_before + around,
        tokens_after=found.tokens_after + around,
    )


def preview_of(config: RouteConfig, parts: Parts) -> Flow:
    """Return the flow that makes of a prompt what a model would be sent, as far as that costs nothing: no summary is asked for."""
    context = config.context
    if isinstance(context, ContextConfig) and context.model is not None:
        config = dataclasses.replace(config, context=None)
    return chain(*_putting(config, parts, Call(endpoints=parts.endpoints, counter=parts.counter)))


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Chooses the examples that a prompt is shown."""

    selector: Selector

    def __call__(self, run: Run) -> Sequence[Example]:
        """Return ids, questions and answers, in the order of showing."""
        return [(e.id, e.question, e.answer) for e in self.selector(run)]


def examples_of(config: RouteConfig, store: VectorStore | None = None) -> Shown | None:
    """Return what chooses the examples that a prompt is shown, None where there are none; `store` keeps their vectors."""
    few_shot = config.prompt.few_shot
    return None if few_shot is None else Shown(selector=Selector(few_shot=few_shot, store=store))


def _recalling(config: RouteConfig, parts: Parts, ask: tuple[Flow, ...], asker: Asker) -> tuple[Flow, ...]:
    """Return the flow that looks in each cache before it asks, and remembers in all of them."""
    scope = scope_for(config, parts.endpoints, parts.apart)
    label = config.cache.namespace
    remember = (Remember(cache=c, admission=Admission(refused=refused), label=label) for c in parts.caches)
    found: tuple[Flow, ...] = (*ask, Unless(flow.unanswered, chain(*remember)))
    for level, cache in reversed(list(enumerate(parts.caches))):
        # Only the first look-up queues: whoever waited there need not wait again.
        queue = parts.queue if level == 0 else None
        recall = Recall(cache=cache, scope=scope, queue=queue, anew=parts.anew)
        confirm = (Unless(certain, _confirming(config.cache, asker)),) if _judged(config.cache, cache) else ()
        found = (recall, *confirm, Unless(flow.recalled, chain(*found)))
    return found


def scope_for(config: RouteConfig, endpoints: Mapping[str, Endpoint], apart: Sequence[str] = ()) -> str:
    """Return what must be equal besides the messages for an answer to be given again: see `caching.scope_of`."""
    asked = (*config.names, *asked_by(getattr(config.ranking, "accepts", None)))
    models = [endpoints[name].model for name in dict.fromkeys(asked)]
    return scope_of(config.decides, models, namespace=config.cache.namespace, apart=list(apart))


def _judged(settings: CacheConfig, cache: Cache) -> bool:
    return cache.kind == "semantic" and settings.semantic is not None and settings.semantic.judge is not None


FITS = (
    "The answer was given to another question that reads much like this one. It gets the highest score only if it is right and complete "
    "for this very question: the same subject, the same numbers, units, dates and names, and asked the same way round. If anything in "
    "it belongs to another question, it gets the lowest score, however good it is otherwise."
)


def _confirming(settings: CacheConfig, asker: Asker) -> Confirm:
    """Return the stage that asks the guard's judge whether a remembered answer fits."""
    assert settings.semantic is not None
    assert isinstance(settings.semantic.guard, Mapping)
    judge = Rubric(model=str(settings.semantic.guard["model"]), rubric=FITS)
    seat = Seat(kind=judge, ask=asker, name=judge.model)
    return Confirm(judge=seat, name=CACHE_GUARD, at_least=float(settings.semantic.guard.get("at_least", 0.5)))


def _telling(config: RouteConfig, endpoints: Mapping[str, Endpoint]) -> None:
    """Raise ConfigError for a model whose answers the gate may have to judge and whose provider gives no log-probabilities."""
    judged = config.models
    if isinstance(config.ranking, Cascade):
        order = config.ranking.order
        roster = Roster(models=tuple(endpoints[name].model for name in config.models))
        # The last one's answer counts without a judge.
        judged = (by_price(roster) if isinstance(order, str) else order)[:-1]
    for name in judged:
        if not endpoints[name].logprobs:
            raise ConfigError(
                f"strategy.gate: needs the log-probabilities of {name}'s tokens, and {endpoints[name].model.provider} gives none",
                hint="{scorer: confidence} asks the model how sure it is; or put it last, where no gate judges",
            )


def _measure(config: RouteConfig, parts: Parts) -> tuple[Flow, ...]:
    """Return the stages that measure: one for scorers, and one for judges in their place."""
    judges = (
        None
        if parts.judges is None
        else Asker(call=Call(endpoints=parts.judges, counter=parts.counter, patience=Patience(), purse=parts.purse))
    )

    def seat(judge: Judging) -> Judge:
        assert judges is not None
        return Seat(kind=judge, ask=judges, name=getattr(judge, "model", None) or "")

    scorer, deadline_s = parts.scorer, config.limits.deadline_s
    if is_judge(scorer):
        own: Judging = scorer  # type: ignore[assignment]
        return (Ask(choose=lambda _: seat(own), named=lambda _: named(own), deadline_s=deadline_s),)
    if scorer is not None:
        rule: Scorer = scorer  # type: ignore[assignment]
        return (Measure(choose=lambda _: _reading(config, rule), name=type(rule).__name__.lower(), sees_cut=_sees_cut),)
    by_rule = Unless(
        without_rule, Measure(choose=lambda prompt: _reading(config, _own_scorer(prompt)), sees_cut=_sees_cut)
    )
    if judges is None:
        return (by_rule,)
    by_judge = Ask(
        choose=lambda prompt: seat(judging_of(prompt.scorer or {})),
        named=lambda prompt: named(judging_of(prompt.scorer or {})),
        deadline_s=deadline_s,
    )
    return (by_rule, Unless(without_judge, by_judge))


def without_rule(run: Run) -> bool:
    """Say that no rule of the prompt's own can score the answer."""
    return unscorable(run) or is_judge(run.prompt.scorer)


def without_judge(run: Run) -> bool:
    """Say that the prompt's own scorer is no judge."""
    return not is_judge(run.prompt.scorer)


def _sees_cut(scorer: Scorer) -> bool:
    return sees_cut(scorer.scorer if isinstance(scorer, Reading) else scorer)


def _reading(config: RouteConfig, scorer: Scorer) -> Scorer:
    """Return the scorer as it reads what the config's template asks for."""
    key = getattr(config.prompt.template, "reads", None)
    return scorer if key is None else Reading(scorer=scorer, key=key)


def _own_scorer(prompt: Prompt) -> Scorer:
    return scorer_of(prompt.scorer or {})
