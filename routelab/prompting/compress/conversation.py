"""Compresses a conversation: message by message, and never a system's words or the question's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from routelab.core.values import Message
from routelab.prompting.compress.cut import Asked, Compressor, Removal
from routelab.prompting.compress.question import stays, words


@dataclass(frozen=True, kw_only=True)
class Compressed:
    """A conversation with less in it, and its tokens before and after: those of the contents alone.

    `removed` says what was taken out of which message, by its position.
    """

    messages: tuple[Message, ...]
    tokens_before: int
    tokens_after: int
    removed: tuple[tuple[int, Removal], ...] = ()


def compressed(
    compressor: Compressor, messages: Sequence[Message], *, count: Callable[[str], int], question: str = ""
) -> Compressed:
    """Return the conversation with each user's, assistant's and tool's text compressed, as long as the compressor lets it.

    `question` is what the user asked before anything was put in front of it; the last user message ends with it. All texts are
    shortened for that question, and in every user message the words that ask stay (`question.stays`). Calls of tools stay as they are.
    Raises what the compressor's embedder raises.
    """
    last = next((n for n in range(len(messages) - 1, -1, -1) if messages[n].role == "user"), -1)
    asking = "" if last < 0 else messages[last].content
    wanted = words(asking, stays(asking, question))
    made: list[Message] = []
    removed: list[tuple[int, Removal]] = []
    before = after = 0
    for n, message in enumerate(messages):
        tokens = count(message.content)
        before += tokens
        after += tokens
        made.append(message)
        if message.role == "system" or message.role in compressor.keep or ("last" in compressor.keep and n == last):
            continue
        if tokens <= compressor.over_tokens or not message.content.strip():
            continue
        asked = Asked(count=count, question=wanted)
        if message.role == "user":
            own = question if n == last else ""
            asked = dataclasses.replace(asked, stays=partial(stays, question=own))
        cut = compressor(message.content, asked)
        if cut.text != message.content:
            made[n] = dataclasses.replace(message, content=cut.text)
            after += count(cut.text) - tokens
            removed += [(n, one) for one in cut.removed]
    return Compressed(messages=tuple(made), tokens_before=before, tokens_after=after, removed=tuple(removed))
