"""Boilerplate: what programs and pages add to what people wrote."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from routelab.prompting.compress import furniture, mail, markup
from routelab.prompting.compress.cut import Asked, Cut, Keep, Removal, Span, check_shared, settled
from routelab.prompting.compress.layout import Block, blocks, structured
from routelab.prompting.compress.question import asks
from routelab.prompting.compress.whitespace import tight

Rule = Literal["markup", "quotes", "signatures", "notices", "navigation", "pages", "duplicates"]
RULES: tuple[Rule, ...] = ("markup", "quotes", "signatures", "notices", "navigation", "pages", "duplicates")

_CODE = re.compile(r"`[^`\n]{1,400}`")
_SAID: Mapping[Rule, str] = MappingProxyType(
    {
        "markup": r"<|\b(?:x?html|xml|css|svg|tags?|markup|div|span|selectors?|javascript|jsx|dom|base64|source code|page source)\b",
        "quotes": r"\b(?:quot\w*|thread|history|earlier|previous|original|conversation|exchange|repl\w+|correspondence|e-?mails|messages|verlauf)\b",
        "signatures": r"\b(?:sign(?:ed|atures?)|sender|who (?:wrote|sent|is writing)|(?:tele)?phone|contact|e-?mail address|job title|absender)\b",
        "notices": r"\b(?:notices?|disclaimers?|confidential\w*)\b",
        "navigation": r"\b(?:cookies?|consent|menus?|navigation|links?|banners?|website|copyright)\b",
        "pages": r"\b(?:pages?|headers?|footers?|seiten?)\b",
        "duplicates": r"\b(?:duplicat\w*|repeat\w*|repetit\w*|redundan\w*|twice|how (?:often|many times)|doppelt\w*|identical)\b",
    }
)
_MENTIONS: Mapping[Rule, re.Pattern[str]] = MappingProxyType(
    {rule: re.compile(said, re.IGNORECASE) for rule, said in _SAID.items()}
)
"""What a question says that is about what a rule would take out."""


@dataclass(frozen=True, kw_only=True)
class Boilerplate:
    """Takes out what programs and pages add to what people wrote, and then blanks as `Whitespace` does.

    The rules that `remove` names: "markup" (HTML's layout tags, comments, scripts, embedded files), "quotes" (mails that a reply
    quotes), "signatures", "notices" (whom a mail is for, and that it is confidential), "navigation" (menus, cookie banners, "back to
    top"), "pages" (headers and footers but for the first of each), "duplicates" (paragraphs that stood before). They know English, and
    the commonest phrases of German, French and Spanish. Nothing inside code fences, tables, front matter, indented text and columns is
    touched, nor the question's own words; and a rule is not applied where the question is about what it would take out. `over_tokens`
    and `keep` are as in `cut.Compressor`.
    """

    remove: tuple[Rule, ...] = RULES
    over_tokens: int = 0
    keep: tuple[Keep, ...] = ()

    def __post_init__(self) -> None:
        check_shared(self.over_tokens)

    def __call__(self, text: str, asked: Asked) -> Cut:
        """Return the text without it, and each thing that was taken out under its rule's name."""
        rules = [rule for rule in RULES if rule in self.remove and not _MENTIONS[rule].search(asked.question)]

        def step(now: str) -> Cut:
            if structured(now):
                return Cut(text=tight(now))
            cut = without(now, rules, asks(now, asked.stays(now)))
            return Cut(text=tight(cut.text), removed=cut.removed)

        return settled(text, asked, step)


def without(text: str, rules: Sequence[Rule], stays: Sequence[Span]) -> Cut:
    """Return a text after one pass of the rules; what `stays` overlaps stays."""
    found = blocks(text)
    fenced = [(b.start, b.end) for b in found if b.kind == "whole" and not b.tagged]
    tagged = [(b.start, b.end) for b in found if b.tagged]
    lines = mail.lines_of(text)
    paragraphs = list(_paragraphs(found))
    gone: list[tuple[Span, Rule]] = []
    for rule in rules:
        spans = _found(rule, text, lines, paragraphs, fenced)
        if rule == "quotes":
            # A quoted mail goes with all that is in it, tables too; a question may stand behind it.
            gone += [(piece, rule) for span in spans for piece in _beside(span, stays)]
        else:
            around = [*stays] if rule == "signatures" else sorted([*stays, *fenced, *tagged])
            gone += [(span, rule) for span in spans if not _meets(span, around)]
    parts: list[str] = []
    removed: list[Removal] = []
    at = 0
    for (start, end), rule in sorted(gone):
        if start < at:
            continue
        parts.append(text[at:start])
        removed.append(Removal(what=rule, text=text[start:end]))
        at = end
    made = "".join([*parts, text[at:]])
    if "markup" not in rules or removed:
        # Offsets have changed: markup's turn comes in the next pass.
        return Cut(text=made, removed=tuple(removed))
    return _seen(text, fenced, stays, tagged)


def _found(
    rule: Rule, text: str, lines: mail.Lines, paragraphs: Sequence[Span], wholes: Sequence[Span]
) -> Iterator[Span]:
    if rule == "quotes":
        yield from mail.quoted(lines)
    elif rule == "signatures":
        yield from mail.signatures(lines)
    elif rule == "notices":
        yield from mail.notices(text, paragraphs)
    elif rule == "navigation":
        yield from furniture.navigation(lines)
    elif rule == "pages":
        yield from furniture.pages(lines)
    elif rule == "duplicates":
        yield from furniture.duplicates(text, [p for p in paragraphs if not _leads(text, p, wholes)])


def _leads(text: str, paragraph: Span, wholes: Sequence[Span]) -> bool:
    """Say whether a paragraph says what the next thing is: it ends in a colon, or a table or code follows."""
    if text[paragraph[0] : paragraph[1]].rstrip()[-1:] in (":", "："):
        return True
    n = bisect_right(wholes, paragraph[0], key=lambda s: s[0])
    return n < len(wholes) and wholes[n][0] - paragraph[1] < 20 and not text[paragraph[1] : wholes[n][0]].strip()


def _seen(text: str, fenced: Sequence[Span], stays: Sequence[Span], tagged: Sequence[Span]) -> Cut:
    """Return the text as a reader of the page sees it, between what stays whole, what stays, and code within a line."""
    code = [found.span() for found in _CODE.finditer(text) if not _meets(found.span(), tagged)]
    parts: list[str] = []
    removed: list[Removal] = []
    at = 0
    for start, end in [*sorted([*fenced, *stays, *code]), (len(text), len(text))]:
        if start > at:
            # A page's source is indented for its writers; so is not what stands between its tags.
            shown, taken = markup.seen(text[at:start], page=_meets((at, start), tagged))
            parts.append(shown)
            removed += taken
        parts.append(text[max(at, start) : end])
        at = max(at, end)
    return Cut(text="".join(parts), removed=tuple(removed))


def _meets(span: Span, spans: Sequence[Span]) -> bool:
    """Say whether a stretch overlaps one of the others, which are in order and apart."""
    n = bisect_right(spans, span[0], key=lambda s: s[0]) - 1
    return any(a < span[1] and span[0] < b for a, b in spans[max(0, n) : n + 2])


def _beside(span: Span, stays: Sequence[Span]) -> Iterator[Span]:
    """Yield the parts of a stretch that none of the others overlaps."""
    at = span[0]
    for start, end in stays:
        if start < span[1] and end > at:
            if start > at:
                yield at, start
            at = max(at, end)
    if at < span[1]:
        yield at, span[1]


def _paragraphs(found: Sequence[Block]) -> Iterator[Span]:
    """Yield runs of prose and items that no blank line divides; sources' and headings' lines belong to none."""
    start: int | None = None
    end = 0
    for block in found:
        if block.kind in ("prose", "item"):
            start = block.start if start is None else start
            end = block.end
        elif start is not None:
            yield start, end
            start = None
    if start is not None:
        yield start, end
