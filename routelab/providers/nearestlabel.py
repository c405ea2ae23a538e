"""A simulated model that classifies by what its prompt shows: the label of the most similar example, and nothing else.

It knows no language. It reads the request the way a model would have to: the labels that the instructions name, the examples
(earlier turns of user and assistant, or `Question:` and `Answer:` lines), and the question. What it is shown decides what
it answers, so that choosing examples well or badly has an effect that can be measured offline; how large that effect is in a
language model it cannot say (docs/results/fewshot.md).
"""

from __future__ import annotations

import asyncio
import itertools
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from routelab.core.errors import ContextExceeded
from routelab.core.ports import Embedder, Floats, TokenCounter
from routelab.core.values import Message, Model, Price, Reply, Request, Tokens, TokensSource
from routelab.providers.practice import FRAME_TOKENS, PREFILL_S
from routelab.providers.tokens import Counter

NAME = "nearest-label"
PRICE = Price(usd_per_mtok_in=0.25, usd_per_mtok_out=2.0, source="made up: a small model's")
WINDOW = 128_000
FIRST_S, TOKEN_S = 0.2, 0.01
"""Made-up seconds to the first token besides reading, and for each further one."""
LOST = "The prompt names no labels and shows no examples."

Reading = Literal["examples", "both"]

_LABELS = re.compile(
    r"^[ \t]*(?:labels|options|categories|classes|intents)[ \t]*:[ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE
)
_BULLET = re.compile(r"^[ \t]*[-*•][ \t]+(\S.*)$", re.MULTILINE)
_QUESTION = r"^[ \t]*(?:question|text|input|q)[ \t]*:[ \t]*(\S.*)$"
_SHOWN = re.compile(
    _QUESTION + r"\s*^[ \t]*(?:answer|label|output|a)[ \t]*:[ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE
)
_ASKED = re.compile(_QUESTION, re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Read:
    """What the model makes of a request: the question, the examples with their answers, the labels that are named."""

    question: str
    examples: tuple[tuple[str, str], ...]
    labels: tuple[str, ...]


def read(messages: Sequence[Message]) -> Read:
    """Return the question, examples and labels in the messages.

    Examples are an assistant's turns with the user's turn before them, and `Question:` lines followed by `Answer:` lines
    anywhere (also text and label, input and output). Labels stand behind "Labels:" (or options, categories, classes,
    intents), separated by commas, or else as a list with bullets in the system text.

    >>> read([Message(role="system", content="Labels: yes, no"), Message(role="user", content="Is it?")]).labels
    ('yes', 'no')
    """
    asked = next((i for i in range(len(messages) - 1, -1, -1) if messages[i].role == "user"), None)
    examples: list[tuple[str, str]] = []
    for before, after in itertools.pairwise(messages):
        if (before.role, after.role) == ("user", "assistant"):
            examples.append((before.content, after.content.strip()))
    told = [m.content for m in messages if m.role == "system"]
    question = ""
    if asked is not None:
        question = messages[asked].content
        told.append(question)
    examples += [(q.strip(), a.strip()) for text in told for q, a in _SHOWN.findall(text)]
    rest = _SHOWN.sub("", question)
    open_ones = _ASKED.findall(rest)
    return Read(
        question=open_ones[-1].strip() if open_ones else rest.strip() or question,
        examples=tuple(examples),
        labels=_labels(told),
    )


def _labels(told: Sequence[str]) -> tuple[str, ...]:
    line = next((found for text in told for found in _LABELS.findall(text)), None)
    if line is not None:
        return tuple(dict.fromkeys(name.strip(" .\t") for name in line.split(",") if name.strip(" .\t")))
    listed = [name for text in told[:1] for name in _BULLET.findall(text)]
    return tuple(dict.fromkeys(name.strip() for name in listed))


def spoken(label: str) -> str:
    """Return a label's name as words: "pin_change" is "pin change"."""
    return " ".join(re.sub(r"[_\-/]+", " ", label).split())


def weighed(cosines: Floats, labels: Sequence[str], sharpness: float | None) -> str:
    """Return the label with the most similarity: that of the nearest, or of the greatest sum of ``exp(sharpness · cosine)``.

    Of equals, the one that comes first. The sum is kernel regression over the examples, which attention can compute.
    """
    if sharpness is None:
        return labels[int(np.argmax(cosines))]
    weights = np.exp(sharpness * (cosines - cosines.max()))
    total: dict[str, float] = {}
    for label, weight in zip(labels, weights, strict=True):
        total[label] = total.get(label, 0.0) + float(weight)
    return max(total, key=lambda label: total[label])


@dataclass(frozen=True, kw_only=True)
class NearestLabel:
    """A provider that answers with the label of the example whose question is nearest to the one asked, by `embedder`.

    Without examples it takes the label whose name is nearest. `reads` "both" lets the names compete with the examples all
    the time: a bad example then does less harm. With `sharpness`, similar examples add up (`weighed`). The reply's
    latency is made up, and waited for times `latency` (0: not at all).
    """

    embedder: Embedder
    reads: Reading = "examples"
    sharpness: float | None = None
    counter: TokenCounter = field(default_factory=Counter)
    latency: float = 0.0
    sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep, repr=False)

    def __post_init__(self) -> None:
        if self.sharpness is not None and not (0 < self.sharpness < math.inf):
            raise ValueError(f"sharpness: must be a finite number above 0, not {self.sharpness}")

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        """Return the label as the reply's text; ContextExceeded when the messages do not fit the model's window."""
        # Embedding takes milliseconds that other requests on the loop need not wait for.
        reply = await asyncio.to_thread(self._reply, request)
        if self.latency > 0:
            await self.sleep(self.latency * (reply.latency_s or 0.0))
        if request.stream:
            emit(reply.text)
        return reply

    def _reply(self, request: Request) -> Reply:
        model = request.model
        counts = [self.counter.count(m.content, model) for m in request.messages]
        asked = sum(c.input or 0 for c in counts) + FRAME_TOKENS * (len(counts) + 1)
        window = model.context_window or WINDOW
        if asked > window:
            raise ContextExceeded(
                f"{model.name} (simulated) has a window of {window:,} tokens, the prompt has {asked:,}",
                hint="show fewer examples",
                status=400,
            )
        text = self.label(read(request.messages))
        said = self.counter.count(text, model)
        source: TokensSource = "estimate" if any(c.source == "estimate" for c in (*counts, said)) else "tiktoken"
        visible = said.input or 0
        first = FIRST_S + PREFILL_S * asked
        return Reply(
            text=text,
            served_model=f"simulated/{model.upstream}",
            tokens=Tokens(input=asked, output=visible, source=source),
            latency_s=first + TOKEN_S * max(visible - 1, 0),
            ttft_s=first,
        )

    def label(self, given: Read) -> str:
        """Return the label that the model settles on for what it read."""
        pairs = list(given.examples)
        if self.reads == "both" or not pairs:
            pairs += [(spoken(name), name) for name in given.labels]
        if not pairs:
            return LOST
        vectors = self.embedder([given.question, *(text for text, _ in pairs)]).astype(np.float64)
        cosines: Floats = (vectors[1:] * vectors[0]).sum(axis=1)
        return weighed(cosines, [label for _, label in pairs], self.sharpness)


def nearest_label_model(name: str = NAME, price: Price = PRICE) -> Model:
    """Return the model that a `NearestLabel` answers for, labelled as simulated, at a made-up price."""
    return Model(
        name=name,
        provider="practice",
        upstream=NAME,
        price=price,
        context_window=WINDOW,
        max_output_tokens=256,
        simulated=True,
    )
