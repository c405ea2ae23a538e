"""Answers offline in the place of twelve models, by a documented generative model (docs/practice.md).

A prompt has a difficulty, a model a skill at its task, and

    P(right) = 1 / (1 + exp(-SLOPE · (skill − difficulty)))

Whether it *is* right this time is decided by luck, uniform in (0, 1), that models share in part: what is hard for one
is likely to be hard for another, most of all for its own family. Luck, wording, latency and trouble are all drawn by
hashing the seed, the model and the prompt's content (`core.values.draw`): the same in every process and order. No
language model is called; the label "simulated" travels in `Model.simulated`.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Literal

from routelab.core.errors import (
    ContextExceeded,
    ModelNotFound,
    ProviderError,
    RateLimited,
    ServerFailed,
    TimedOut,
    suggest,
)
from routelab.core.ports import PriceList, TokenCounter
from routelab.core.values import Finish, Model, Prompt, Reply, Request, Tokens, TokensSource, digest, draw
from routelab.providers import notes, opinions, phrasing
from routelab.providers.catalog import CATALOG, MAX_OUTPUT_TOKENS, Profile
from routelab.providers.tokens import Counter

SLOPE = 1.25
"""How sharply difficulty tells: one level below the skill P is .78, two levels .92."""
JITTER = 0.35
"""Standard deviation of a prompt's own difficulty around the level that its author gave."""
SHARED = 0.40
"""Share of luck's variance that all models have in common on a prompt."""
KIN = 0.15
"""Further share that models of one family have in common."""
NEARLY = 0.6
"""How much easier, in levels, it is to get most of a `contains` prompt's points than all of them."""
POPULAR = 0.6
"""Share of mistakes that are the prompt's most tempting one, so that wrong models tend to agree with each other."""
STEADY = 0.6
"""Share of a model's own luck that another sample of the same prompt has again."""
SAMPLE = "sample"
"""The tag of a prompt that asks for another sample; a temperature of 0 gives the same one all the same."""

SURE = 0.25
"""Minus the mean log-probability of the tokens of an answer that could as well have been wrong."""
TELLING = 0.35
"""How much e-fold less it is for each unit by which an answer is on the right side (in the logit of luck)."""
VAGUE = 0.8
"""Standard deviation of the logarithm of that: log-probabilities tell right from wrong answers only in part."""
DOUBT = 1.5
"""How much less likely the least likely token is than the mean one, for each e-fold of tokens."""

FRAME_TOKENS = 3
"""Input tokens that a chat format adds a message, and once more to begin the answer."""
PREFILL_S = 5e-5
"""Seconds to read one input token."""

Verdict = Literal["right", "nearly", "wrong"]

_NORMAL = NormalDist()
_STEPS = re.compile(r"\b(?:then|after|before|each|unless|except|prove|why|compare|step)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The multiple of its median that a latency comes out as: a mixture of log-normals, cut to [least, most]."""

    weights: tuple[float, ...]
    mu: tuple[float, ...]
    sigma: tuple[float, ...]
    least: float
    most: float

    def __call__(self, part: float, u: float) -> float:
        """Return a multiple; `part` chooses the component and `u` the place in it, both uniform in [0, 1)."""
        k = 0
        while k < len(self.weights) - 1 and part >= self.weights[k]:
            part -= self.weights[k]
            k += 1
        return min(max(math.exp(self.mu[k] + self.sigma[k] * _gauss(u)), self.least), self.most)


# Fitted by benchmarks/latency_fit.py to 2,306 answered requests to 19 endpoints (llmperf-leaderboard), each over its
# endpoint's median. Three log-normals beat one, a shifted one and two on held-out endpoints; their Kolmogorov–Smirnov
# distances are 0.049 and 0.035. The limits are the range seen (for the time a token: without answers
# that came in one piece).
FIRST = Spread(
    weights=(0.765, 0.131, 0.104), mu=(-0.0415, 0.3928, 0.1263), sigma=(0.1503, 0.1189, 1.2977), least=0.17, most=183.0
)
LATER = Spread(
    weights=(0.4919, 0.4778, 0.0303), mu=(-0.0022, 0.0183, -0.5243), sigma=(0.0270, 0.1229, 1.4519), least=0.3, most=2.9
)


def key(prompt: Prompt) -> str:
    """Return what every draw about a prompt depends on: its messages, not its id."""
    return digest([m.told for m in prompt.messages])


def chance(skill: float, difficulty: float) -> float:
    """Return P(right)."""
    return 1.0 / (1.0 + math.exp(-SLOPE * (skill - difficulty)))


def difficulty(prompt: Prompt, seed: int = 0) -> float:
    """Return the prompt's latent difficulty: its level, or one guessed from its text, plus its own jitter."""
    level = guessed(prompt.text) if prompt.difficulty is None else float(prompt.difficulty)
    return level + JITTER * _gauss(draw(seed, "difficulty", key(prompt)))


def guessed(text: str) -> float:
    """Return a level from 1 to 5 for a text that came without one: length, figures, code and steps make it harder."""
    words = len(text.split())
    level = 1.4 + 0.45 * math.log2(1 + words / 12)
    level += 0.5 * bool(re.search(r"```|[{};]\s*\n|\bdef\b|\bSELECT\b", text))
    level += 0.15 * min(len(re.findall(r"\d+(?:\.\d+)?", text)), 6)
    level += 0.3 * min(len(_STEPS.findall(text)), 4)
    return min(max(level, 1.0), 5.0)


def luck(prompt_key: str, profile: Profile, seed: int = 0, sample: str = "") -> float:
    """Return the model's luck on a prompt, uniform in (0, 1), low is good: part shared by all, part by the family.

    Another `sample` keeps what is shared, and most of the model's own.
    """
    common = _gauss(draw(seed, "prompt", prompt_key))
    kin = _gauss(draw(seed, "family", profile.family, prompt_key))
    own = _gauss(draw(seed, "model", profile.name, prompt_key))
    if sample:
        fresh = _gauss(draw(seed, "sample", sample, profile.name, prompt_key))
        own = math.sqrt(STEADY) * own + math.sqrt(1.0 - STEADY) * fresh
    return _NORMAL.cdf(math.sqrt(SHARED) * common + math.sqrt(KIN) * kin + math.sqrt(1.0 - SHARED - KIN) * own)


def verdict(prompt: Prompt, profile: Profile, seed: int = 0, sample: str = "") -> Verdict:
    """Return how the model does on the prompt: never worse with more skill, never better with more difficulty."""
    u = luck(key(prompt), profile, seed, sample)
    skill, level = profile.skill_at(prompt.task), difficulty(prompt, seed)
    if u < chance(skill, level):
        return "right"
    return "nearly" if u < chance(skill + NEARLY, level) else "wrong"


def insight(prompt: Prompt, profile: Profile) -> float:
    """Return how well the model understands what it is asked to judge, 0 to 1: judging is easier than answering."""
    level = guessed(prompt.tags.get(opinions.QUESTION, "")) if prompt.difficulty is None else float(prompt.difficulty)
    return chance(profile.skill_at(prompt.task) + opinions.SLACK, level)


def practice_models(prices: PriceList) -> tuple[Model, ...]:
    """Return the twelve models of the catalogue, priced, and labelled as simulated."""
    return tuple(
        Model(
            name=profile.name,
            provider="practice",
            upstream=profile.name,
            price=prices.price("practice", profile.name),
            context_window=profile.context_window,
            max_output_tokens=MAX_OUTPUT_TOKENS,
            simulated=True,
        )
        for profile in CATALOG.values()
    )


@dataclass(frozen=True, kw_only=True)
class Practice:
    """A provider that answers for the catalogue's models without a network.

    Waits are `latency` × the drawn seconds (0: none), through `sleep`; what a reply reports is the drawn time itself.
    `errors` is the chance that an attempt fails for a model whose factor is 1; the attempt is `Request.seed`, so that a
    retry with the next seed draws anew, while the answer and its latency stay the same.
    """

    latency: float = 1.0
    seed: int = 0
    errors: float = 0.01
    counter: TokenCounter = field(default_factory=Counter)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    @property
    def logprobs(self) -> bool:
        """Whether log-probabilities of tokens are simulated too: always."""
        return True

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        """Return the simulated reply; `Request.model.upstream` names the model.

        Raises ModelNotFound, ContextExceeded, TimedOut when the drawn latency is beyond the deadline, and now and then
        RateLimited, ServerFailed or TimedOut.
        """
        profile = _profile(request.model)
        sample = _sample(request)
        prompt_key = key(request.prompt) + (f"#{sample}" if sample else "")
        reply = self._reply(request, profile, prompt_key)
        first, seconds = reply.ttft_s or 0.0, reply.latency_s or 0.0
        trouble = self._trouble(request, profile, prompt_key)
        if trouble is not None:
            await self._wait(first)
            raise trouble
        if request.deadline_s is not None and seconds > request.deadline_s:
            await self._wait(request.deadline_s)
            raise TimedOut(
                f"{request.model.name} (simulated) takes {seconds:.1f} s, {request.deadline_s:.1f} s are left",
                hint="allow more seconds in limits.deadline_s, or add a fallback",
            )
        if request.stream:
            await self._wait(first)
            await self._stream(reply.text, seconds - first, emit)
        else:
            await self._wait(seconds)
        return reply

    def _reply(self, request: Request, profile: Profile, prompt_key: str) -> Reply:
        model = request.model
        # Calls are read too, written out as their services write them.
        texts = [t for m in request.messages for t in (m.content, *(f"{c.name} {c.arguments}" for c in m.calls))]
        counts = [self.counter.count(text, model) for text in texts]
        asked = sum(c.input or 0 for c in counts) + FRAME_TOKENS * (len(counts) + 1)
        window = model.context_window or profile.context_window
        if asked > window:
            raise ContextExceeded(
                f"{model.name} (simulated) has a window of {window:,} tokens, the prompt has {asked:,}",
                hint="choose a model with a larger window, or a context policy",
                status=400,
            )
        text, finish = self._text(request, profile, prompt_key)
        limit = min(request.max_output_tokens or MAX_OUTPUT_TOKENS, model.max_output_tokens or MAX_OUTPUT_TOKENS)
        hidden = self._reasoning(request, profile, prompt_key, limit)
        text, said, cut = self._fitted(text, model, max(limit - hidden, 1))
        first = profile.ttft_s * FIRST(*self._pair("first", profile, prompt_key)) + PREFILL_S * asked
        later = profile.token_s * LATER(*self._pair("later", profile, prompt_key))
        ttft = first + hidden * later
        source: TokensSource = "estimate" if any(c.source == "estimate" for c in (*counts, said)) else "tiktoken"
        visible = said.input or 0
        sure = self._sure(request, profile, prompt_key) if request.logprobs else None
        return Reply(
            text=text,
            served_model=f"practice/{profile.name}",
            finish="length" if cut else finish,
            tokens=Tokens(input=asked, output=visible + hidden, reasoning=hidden or None, source=source),
            latency_s=ttft + max(visible - 1, 0) * later,
            ttft_s=ttft,
            mean_logprob=sure,
            min_logprob=None if sure is None else sure * (1.0 + DOUBT * math.log(max(visible, 1))),
        )

    def _sure(self, request: Request, profile: Profile, prompt_key: str) -> float:
        """Return the mean log-probability of the answer's tokens: nearer to 0 the further the model is from being wrong."""
        u = min(max(luck(key(request.prompt), profile, self.seed, _sample(request)), 1e-6), 1 - 1e-6)
        ease = profile.skill_at(request.prompt.task) - difficulty(request.prompt, self.seed)
        lead = min(max(SLOPE * ease - math.log(u / (1 - u)), -6.0), 6.0)
        return -SURE * math.exp(VAGUE * _gauss(draw(self.seed, "sure", profile.name, prompt_key)) - TELLING * lead)

    def _text(self, request: Request, profile: Profile, prompt_key: str) -> tuple[str, Finish]:
        prompt, names = request.prompt, (profile.name, prompt_key)
        if draw(self.seed, "refusal", *names) < profile.refusal:
            return phrasing.REFUSAL, "refusal"
        if opinions.wanted(prompt) is not None:
            return opinions.opinion(prompt, prompt_key, profile, insight(prompt, profile), self.seed), "stop"
        kept = notes.wanted(request.messages)
        if kept is not None:
            return notes.written(kept, profile.name, lambda t: self.counter.count(t, request.model).input or 0), "stop"
        right = phrasing.truth(prompt)
        if right is None:
            return phrasing.unscripted(request.messages, profile.name, self.seed), "stop"
        outcome = verdict(prompt, profile, self.seed, _sample(request))
        text = right if outcome == "right" else None
        if outcome == "nearly":
            text = phrasing.half(prompt, draw(self.seed, "point", *names))
        if text is None:
            text = self._mistake(prompt, profile, prompt_key)
        if draw(self.seed, "wordy", *names) < profile.verbosity:
            text = phrasing.wordy(text, prompt, draw(self.seed, "wording", *names))
        return text, "stop"

    def _mistake(self, prompt: Prompt, profile: Profile, prompt_key: str) -> str:
        wrong = phrasing.mistakes(prompt)
        tempting = int(draw(self.seed, "tempting", key(prompt)) * len(wrong))
        own = int(draw(self.seed, "mistake", profile.name, prompt_key) * len(wrong))
        return wrong[tempting if draw(self.seed, "popular", profile.name, prompt_key) < POPULAR else own]

    def _reasoning(self, request: Request, profile: Profile, prompt_key: str, limit: int) -> int:
        if profile.reasoning == 0:
            return 0
        # Harder prompts are thought about longer, e-fold in three levels; half of a limit is left for the answer.
        centre = profile.reasoning * math.exp((difficulty(request.prompt, self.seed) - 3.0) / 3.0)
        drawn = centre * math.exp(0.5 * _gauss(draw(self.seed, "reasoning", profile.name, prompt_key)))
        return min(round(drawn), limit // 2)

    def _fitted(self, text: str, model: Model, limit: int) -> tuple[str, Tokens, bool]:
        said = self.counter.count(text, model)
        if (said.input or 0) <= limit:
            return text, said, False
        parts = list(phrasing.pieces(text))
        low, high = 0, len(parts)
        while low < high:
            middle = (low + high + 1) // 2
            if (self.counter.count("".join(parts[:middle]), model).input or 0) <= limit:
                low = middle
            else:
                high = middle - 1
        text = "".join(parts[:low])
        return text, self.counter.count(text, model), True

    def _trouble(self, request: Request, profile: Profile, prompt_key: str) -> ProviderError | None:
        u = draw(self.seed, "error", profile.name, prompt_key, str(request.seed))
        rate = self.errors * profile.errors
        if u >= rate:
            return None
        who = f"{request.model.name} (simulated)"
        if u < 0.5 * rate:
            return RateLimited(f"{who} asks for patience", status=429, retry_after_s=0.5 * self.latency)
        if u < 0.85 * rate:
            return ServerFailed(f"{who} had an internal error", status=503)
        return TimedOut(f"{who} stopped answering")

    def _pair(self, what: str, profile: Profile, prompt_key: str) -> tuple[float, float]:
        return (
            draw(self.seed, what, "part", profile.name, prompt_key),
            draw(self.seed, what, "place", profile.name, prompt_key),
        )

    async def _wait(self, seconds: float) -> None:
        if self.latency * seconds > 0:
            await self.sleep(self.latency * seconds)

    async def _stream(self, text: str, seconds: float, emit: Callable[[str], None]) -> None:
        parts = list(phrasing.pieces(text))
        # Waits shorter than the loop's grain would add up to more than they should, so pieces go out a few at a time.
        waits = min(max(int(self.latency * seconds / 0.02), 1), max(len(parts), 1))
        step = math.ceil(len(parts) / waits)
        for start in range(0, len(parts), max(step, 1)):
            for part in parts[start : start + step]:
                emit(part)
            await self._wait(seconds * len(parts[start : start + step]) / len(parts))


def _sample(request: Request) -> str:
    return "" if request.temperature == 0 else request.prompt.tags.get(SAMPLE, "")


def _profile(model: Model) -> Profile:
    profile = CATALOG.get(model.upstream)
    if profile is None:
        near = suggest(model.upstream, CATALOG)
        raise ModelNotFound(
            f"there is no simulated model '{model.upstream}'" + (f"; {near}" if near else ""),
            hint=f"simulated models: {', '.join(CATALOG)}",
            status=404,
        )
    return profile


def _gauss(u: float) -> float:
    return _NORMAL.inv_cdf(min(max(u, 1e-12), 1.0 - 1e-12))
