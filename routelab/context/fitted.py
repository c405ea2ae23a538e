"""What a context policy gives: the messages that fit, what became of the others, and what was wanted to be summarised."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from routelab.context.room import Room
from routelab.core.values import Message, Tokens

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Span:
    """Turns that a policy wants told shorter: its messages after what the summary `before` already tells.

    `max_tokens` bounds the new summary, which tells both; `model` is who is to write it.
    """

    messages: tuple[Message, ...]
    before: str = ""
    max_tokens: int
    model: str

    @property
    def key(self) -> str:
        """What a summary is kept under: equal for equal contents, whichever conversation or run they stand in.

        A whole SHA-256: who can make two contents with one key could have their summary told to others.
        """
        said = ["summary", self.model, self.max_tokens, self.before, [m.told for m in self.messages]]
        text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A summary with what writing it took; `recalled` says that it was written before, and is not paid again."""

    text: str
    model: str
    tokens: Tokens = Tokens()
    cost_usd: float | None = None
    latency_s: float | None = None
    simulated: bool = False
    recalled: bool = False


Steps: TypeAlias = Generator[Span, Summary, T]
"""A fit under way: it yields what it wants summarised, is sent the summary, and returns what it came to."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A conversation that fits, with the tokens before and after.

    `kept`, `summarised` and `dropped` are positions in the conversation that was given and divide it; kept messages stand as they
    were. A turn that only the facts' note quotes counts as dropped. `summaries` are all that were asked for on the way, the last
    of which is in the note. `cut`: the limit left out more than the policy's own settings would have.
    """

    messages: tuple[Message, ...]
    tokens_before: int
    tokens_after: int
    kept: tuple[int, ...]
    summarised: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    note: str = ""
    facts: tuple[str, ...] = ()
    summaries: tuple[Summary, ...] = ()
    cut: bool = False

    @property
    def cost_usd(self) -> float | None:
        """What the summaries cost that were not recalled; None when one of them has no known cost."""
        paid = [s.cost_usd for s in self.summaries if not s.recalled]
        return None if any(c is None for c in paid) else sum(c or 0.0 for c in paid)


class Policy(Protocol):
    """Fits a conversation into a model's window."""

    def __call__(self, messages: Sequence[Message], room: Room) -> Steps[Fitted]:
        """Return the fit under way (`playing.fit` ends it); the result depends on the arguments and the summaries only.

        It is never longer than the room's limit, keeps the leading system messages, the last user message and the last turn, and
        parts no tool result from its call. Raises ContextExceeded when these alone do not fit.
        """


Summariser: TypeAlias = Callable[[Span], Summary]


def settled(fitted: Fitted) -> Steps[Fitted]:
    """Return the steps of a fit that wants no summary."""
    yield from ()
    return fitted
