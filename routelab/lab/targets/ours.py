"""Our side of a comparison: the real Router over models that answer with their name, or fail as a question says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from routelab.config import RouteConfig
from routelab.core.errors import (
    AuthFailed,
    BadRequest,
    ContextExceeded,
    ModelNotFound,
    ProviderError,
    RateLimited,
    RunFailed,
    ServerFailed,
    TimedOut,
    Unreachable,
)
from routelab.core.events import Answered, Unanswered
from routelab.core.plan import NOBODY
from routelab.core.values import Model, Prompt, Reply, Request, Tokens
from routelab.fleet import Fleet
from routelab.router import Router, Setting
from routelab.stages import Endpoint

TROUBLES: Mapping[str, Callable[[str], ProviderError]] = {
    "rate_limited": RateLimited,
    "server": ServerFailed,
    "overloaded": ServerFailed,
    "timeout": TimedOut,
    "unreachable": Unreachable,
    "auth": AuthFailed,
    "bad_request": BadRequest,
    "not_found": ModelNotFound,
    "context": ContextExceeded,
}
"""What a model may do on purpose, and what routelab calls it; the gateway's own name for it is in `child.py`."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A prompt, the name it is asked under, and which models fail for it (model → kind of trouble)."""

    prompt: Prompt
    called: str
    fail: Mapping[str, str] = field(default_factory=dict)
    cache: bool = False


@dataclass(frozen=True)
class _Stage:
    """Answers in the models' place, or fails as the question says; a prompt's tags carry which models fail how."""

    @property
    def logprobs(self) -> bool:
        """Whether a gate may ask for log-probabilities: nobody is judged here, so nothing stands in the way."""
        return True

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        """Return the model's name, or raise the trouble that the prompt's tags name."""
        kind = request.prompt.tags.get(f"fail:{request.model.name}")
        if kind is not None:
            raise TROUBLES[kind](f"{request.model.name}: made up")
        return Reply(
            text=request.model.name,
            served_model=request.model.name,
            tokens=Tokens(input=1, output=1, source="usage"),
            latency_s=0.0,
        )


class _Nothing:
    """Counts no tokens: nothing here is about them."""

    def count(self, text: str, model: Model) -> Tokens:
        """Return one token."""
        return Tokens(input=1, source="estimate")


def _staged(endpoints: Mapping[str, Endpoint]) -> Fleet:
    stage = _Stage()
    staged = {name: Endpoint(model=e.model, provider=stage) for name, e in endpoints.items()}
    return Fleet(endpoints=staged, counter=_Nothing(), pace=0.0)


def ours(
    config: RouteConfig, endpoints: Mapping[str, Endpoint], questions: Sequence[Question]
) -> list[tuple[str, ...]]:
    """Return who our own router asks for each question, in order, with the same troubles."""
    # Neither the cache, nor the budget, nor what is put around a question is what is compared here.
    bare = dataclasses.replace(_bare(config), limits=dataclasses.replace(config.limits, budget_usd=None))
    router = Router(bare, fleet=_staged(endpoints), setting=Setting(cache=False))
    asked = [
        dataclasses.replace(q.prompt, scorer=None, tags={f"fail:{m}": kind for m, kind in q.fail.items()})
        for q in questions
    ]
    answers = router.many(asked)
    for answer in answers:
        if answer.error is not None and not isinstance(answer.error, (ProviderError, RunFailed)):
            raise answer.error
    return [tuple(e.model for e in a.run.events if isinstance(e, (Answered, Unanswered))) for a in answers]


def _bare(config: RouteConfig) -> RouteConfig:
    """Return the config without what changes the words that a model is sent, which needs corpora, templates and windows."""
    prompt = dataclasses.replace(config.prompt, template=None, few_shot=None, compress=None)
    return dataclasses.replace(config, prompt=prompt, context=None, retrieval=None, fleet=None)


def rankings(
    config: RouteConfig, endpoints: Mapping[str, Endpoint], prompts: Sequence[Prompt]
) -> list[tuple[str, ...]]:
    """Return whom our own router would ask for each prompt, in order, if everybody failed."""
    plan = Router(_bare(config), fleet=_staged(endpoints), setting=Setting(cache=False)).plan(prompts)
    return [tuple(config.names[m] for m in row if m != NOBODY) for row in plan.order]
