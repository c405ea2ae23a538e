"""What a compressor gives, and what it is given besides the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

Keep = Literal["user", "assistant", "tool", "last"]
"""Whose messages are left as they are; "last" is the last user message."""

Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """Something that was taken out of a text: what it was taken for, and its words."""

    what: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A shorter text, and what was taken out of it in the order in which it was found; blanks are not listed."""

    text: str
    removed: tuple[Removal, ...] = ()


def nothing(text: str) -> Sequence[Span]:
    """Return no stretch of the text."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a text is shortened for: the `question` (empty: not known), and which stretches of a text its words are.

    `count` says how many tokens a text has. `stays` is asked again whenever the text has changed.
    """

    count: Callable[[str], int]
    question: str = ""
    stays: Callable[[str], Sequence[Span]] = nothing


class Compressor(Protocol):
    """Shortens a text; texts of at most `over_tokens` tokens and the messages that `keep` names are not given to it."""

    @property
    def over_tokens(self) -> int: ...
    @property
    def keep(self) -> tuple[Keep, ...]: ...

    def __call__(self, text: str, asked: Asked) -> Cut:
        """Return the text with less in it: never longer, the same every time, and with every word of what stays.

        A text that nothing would be left of is returned as it is.
        """


def check_shared(over_tokens: int) -> None:
    """Raise ValueError for a number of tokens that is none."""
    if isinstance(over_tokens, bool) or over_tokens < 0:
        raise ValueError(f"over_tokens: must be at least 0, not {over_tokens}")


PASSES = 8
"""How often a text is gone over until nothing changes; two are enough for all but texts made to need more."""


def settled(text: str, asked: Asked, step: Callable[[str], Cut]) -> Cut:
    """Return what is left when `step` changes nothing more, so that applied again it changes nothing.

    A text that `PASSES` times do not settle, of which nothing would be left, or that would become longer or have more tokens, is
    returned as it is.
    """
    now, removed = text, list[Removal]()
    for _ in range(PASSES):
        cut = step(now)
        if cut.text == now:
            break
        removed += cut.removed
        now = cut.text
    else:
        return Cut(text=text)
    if now == text:
        return Cut(text=text)
    if not now.strip() or len(now) > len(text) or asked.count(now) > asked.count(text):
        return Cut(text=text)
    return Cut(text=now, removed=tuple(removed))
