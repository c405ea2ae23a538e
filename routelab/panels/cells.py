"""How one answer is shown: a line of facts, and the beginning of its text or the place where something was found in it."""

from __future__ import annotations

import re

from routelab.core.values import Prompt
from routelab.panels.ratings import Rating
from routelab.panels.rows import Cell
from routelab.present import escape, note, pre, seconds, usd

LONGEST = 20_000
"""Characters of a text that are shown when it is opened."""
ASKED, ANSWERED = 140, 240
NOT_RECORDED = "(text not recorded)"
EMPTY = "(empty answer)"


def facts(cell: Cell, *, tell: bool = True, rating: Rating | None = None) -> str:
    """Return whether it was right, by whom, for how much and how fast, and what else is to be known of it.

    `tell` says which answers are simulated, where not all of them are.
    """
    cost = "cost ?" if cell.cost_usd is None else f"{'≈ ' if cell.estimated else ''}{usd(cell.cost_usd)}"
    parts = [
        mark(cell) + ("" if cell.quality is None else f" {cell.quality:.2f}"),
        (cell.model or "no model") + (" (simulated)" if tell and cell.simulated else ""),
        cost,
        "wait ?" if cell.latency_s is None else seconds(cell.latency_s),
        *(["cache hit"] if cell.cached else []),
        *(["⚠ default"] if cell.decided is not None else []),
        *([] if rating is None else [rating.mark]),
    ]
    # A narrow column breaks between facts, never inside one.
    return " · ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts)


def mark(cell: Cell) -> str:
    """Return ✓ for right, ✗ for wrong or no answer, ◐ for partly right, · for not scored."""
    if cell.error is not None:
        return "✗"
    if cell.quality is None:
        return "·"
    return "✓" if cell.quality >= 0.999 else "✗" if cell.quality <= 0.001 else "◐"


def words(cell: Cell) -> str:
    """Return what there is to read: the text, why there is none, or that it was not recorded."""
    if cell.error is not None:
        return cell.error
    return NOT_RECORDED if cell.text is None else cell.text if cell.text.strip() else EMPTY


def excerpt(text: str, limit: int, needle: str = "") -> str:
    """Return a piece of a text on one line: its beginning, or what is around the needle; how much is left out is said.

    >>> excerpt("a long text", 6)
    'a long… (5 more characters)'
    >>> excerpt("a long text", 6, "tex")
    '…g text (5 more characters)'
    """
    if len(text) <= limit:
        return " ".join(text.split())
    at = text.casefold().find(needle.casefold()) if needle else 0
    # What was found stands among its words.
    start = 0 if at + len(needle) <= limit else max(0, min(at - limit // 3, len(text) - limit))
    piece = " ".join(text[start : start + limit].split())
    ends = ("…" if start else "", "…" if start + limit < len(text) else "")
    return f"{ends[0]}{piece}{ends[1]} ({len(text) - limit:,} more characters)"


def marked(text: str, needle: str = "") -> str:
    """Return escaped text in which what was searched for is marked."""
    if not needle:
        return escape(text)
    parts, at = [], 0
    for hit in re.finditer(re.escape(needle), text, re.IGNORECASE):
        parts += [escape(text[at : hit.start()]), f"<mark>{escape(hit.group())}</mark>"]
        at = hit.end()
    return "".join([*parts, escape(text[at:])])


def whole(text: str) -> str:
    """Return a text as HTML with its lines, cut where it is too long, which is said."""
    # Cut before anything looks at it: one line may be 10 MB long.
    more = f"… {len(text) - LONGEST:,} more characters are not shown" if len(text) > LONGEST else ""
    return pre(text[:LONGEST]) + (note(more) if more else "")


def conversation(prompt: Prompt) -> str:
    """Return what was asked as HTML: the text, or every turn with who said it; and the reference, if there is one."""
    if not prompt.messages:
        return note("the prompt's text was not recorded")
    alone = len(prompt.messages) == 1
    parts, room = [], LONGEST
    for turn, message in enumerate(prompt.messages):
        if room <= 0:
            parts.append(note(f"… {len(prompt.messages) - turn} more turns are not shown"))
            break
        parts.append(("" if alone else f"<div class=m>{escape(message.role)}</div>") + whole(message.spoken))
        room -= len(message.spoken)
    if prompt.reference is not None:
        parts.append(f"<div class=m>reference answer</div>{whole(prompt.reference)}")
    return "".join(parts)


def asked(prompt: Prompt) -> str:
    """Return the text by which a prompt is known in a list."""
    return prompt.text or "(text not recorded)"
