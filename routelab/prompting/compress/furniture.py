"""What stands around the words of pages: navigation, cookie notices, headers and footers, paragraphs that come twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from routelab.prompting.compress.cut import Span
from routelab.prompting.compress.mail import Lines

PAGES = 3
"""From how many pages on a line at their edges is a header or footer."""
EDGE = 3
"""How many lines at a page's beginning and end may be one."""
TWICE_CHARACTERS = 60
"""Shorter paragraphs may come twice and mean it."""

_COOKIES = re.compile(
    r"(?:accept|reject|allow|decline|manage|customi[sz]e)(?: (?:all|only))?(?: (?:necessary|essential|optional|required))? cookies?(?: settings| preferences)?"
    r"|cookie (?:settings|preferences|policy|notice|consent)|(?:alle )?cookies? (?:akzeptieren|ablehnen|zulassen)|(?:tout )?accepter(?: les cookies)?",
    re.IGNORECASE,
)
_CONSENT = re.compile(
    r"(?:we|this (?:web ?)?site|our (?:web ?)?site|wir|nous)\b.{0,60}\b(?:uses?|verwenden|nutzen|utilisons)\b.{0,40}\bcookies?\b",
    re.IGNORECASE,
)
_STRONG = re.compile(
    r"skip to (?:main |the )?(?:content|navigation|footer|search)|jump to (?:content|navigation|search)|(?:back|return|scroll) to (?:the )?top"
    r"|toggle (?:navigation|menu|search|sidebar)|(?:share|follow us) on (?:facebook|twitter|x|linkedin|instagram|reddit|whatsapp)(?:[,/ |]+\w+){0,4}"
    r"|(?:subscribe|sign up) (?:to|for) our newsletters?.{0,40}|zum (?:inhalt|seitenanfang)(?: springen)?|aller au contenu(?: principal)?"
    r"|(?:©|\(c\)|copyright).{0,120}\ball rights reserved\.?.{0,40}|all rights reserved\.?",
    re.IGNORECASE,
)
_WORDS = (
    "home|about|about us|contact|contact us|login|log in|sign in|sign up|register|faq|help|support|blog|news"
    "|careers|jobs|press|privacy|privacy policy|terms|terms of service|terms of use|terms & conditions|imprint"
    "|impressum|sitemap|site map|legal|cookies|cookie policy|products|services|pricing|shop|store|cart|basket"
    "|checkout|account|my account|search|menu|subscribe|newsletter|rss|facebook|twitter|linkedin|instagram|youtube"
    "|tiktok|pinterest|share|tweet|print|e-mail|email|advertisement|sponsored|read more|show more|load more"
    "|loading...|next|previous|close|datenschutz|kontakt|agb|startseite|accueil|mentions légales|contacto|inicio"
    "|aviso legal|accessibility|download|downloads|follow us|copy link|more|español|deutsch|english|français"
)
_WEAK = frozenset(_WORDS.split("|"))
_BETWEEN = re.compile(r"\s*[|·•›»]\s*|\s{2,}|\s+/\s+")
_HINTS = re.compile(
    r"cookie|^(?:skip|jump|back|return|scroll|toggle|share|follow|subscribe|sign|zum|aller|tout|accepter|©|\(c\)|copyright|all rights)"
)
LONGEST_LINE = 400
LONGEST_MENU = 160
WEAK_LINES = 4
"""How many lines of one such word make a menu."""

_NUMBERED = re.compile(
    r"(?:page|seite|página|pagina|p\.)\s*(\d{1,5})(?:\s*(?:of|von|de|di|sur|/)\s*\d{1,5})?|[-–—]\s*(\d{1,5})\s*[-–—]|(\d{1,5})\s*(?:of|/)\s*\d{1,5}",
    re.IGNORECASE,
)
LONGEST_NUMBER, LONGEST_HEADER = 30, 120
_FIGURES = re.compile(r"\d+")


def navigation(lines: Lines) -> Iterator[Span]:
    """Yield lines of menus, cookie banners and the like: what is one by itself, lists of menu words, and such words in a row."""
    weak: list[Span] = []
    for n, said in enumerate(lines.said):
        if not said or len(said) > LONGEST_LINE:
            continue
        plain = said.strip(" -*•|>").rstrip(":").casefold()
        if plain in _WEAK:
            weak.append(lines.spans[n])
            continue
        if weak:
            yield from weak if len(weak) >= WEAK_LINES else ()
            weak = []
        if (
            _HINTS.search(plain) and (_COOKIES.fullmatch(plain) or _STRONG.fullmatch(plain) or _CONSENT.match(said))
        ) or _menu(said):
            yield lines.spans[n]
    yield from weak if len(weak) >= WEAK_LINES else ()


def _menu(said: str) -> bool:
    if len(said) > LONGEST_MENU or not _BETWEEN.search(said):
        return False
    words = [w.strip("[]()*_ ").casefold() for w in _BETWEEN.split(said)]
    words = [w for w in words if w]
    return len(words) >= 3 and 2 * sum(w in _WEAK for w in words) > len(words)


def pages(lines: Lines) -> Iterator[Span]:
    """Yield the headers and footers of pages, but for the first of each.

    Pages end at form feeds, or at lines that number them in order ("Page 3 of 10"). A header or footer is a line that is the same,
    but for its figures, among the first or last three of at least three pages and of more than half of them.
    """
    divided = _pages(lines)
    if len(divided) < PAGES:
        return
    edges = [_edges(lines, page) for page in divided]
    known = Counter(form for edge in edges for form in {form for form, _ in edge})
    enough = max(PAGES, len(divided) // 2 + 1)
    met: set[str] = set()
    for edge in edges:
        now = set(met)
        for form, line in edge:
            if known[form] >= enough:
                if form in met:
                    yield line
                now.add(form)
        met = now


def _pages(lines: Lines) -> list[range]:
    """Return the numbers of each page's lines; nothing for a text without pages."""
    if lines.text.count("\f") >= PAGES - 1:
        # A form feed stands in front of a page's first line, or by itself.
        bounds = [n for n, (start, end) in enumerate(lines.spans) if lines.text.find("\f", start, end) >= 0]
        return [range(a, b) for a, b in pairwise([0, *bounds, len(lines)])]
    found = [(n, said) for n, said in enumerate(lines.said) if len(said) <= LONGEST_NUMBER]
    numbers = [(n, int(next(g for g in m.groups() if g))) for n, said in found if (m := _NUMBERED.fullmatch(said))]
    if len(numbers) < PAGES or any(b <= a for (_, a), (_, b) in pairwise(numbers)):
        return []
    return [range(a, b) for a, b in pairwise([0, *(n + 1 for n, _ in numbers)])]


def _edges(lines: Lines, page: range) -> list[tuple[str, Span]]:
    filled = [n for n in page if 0 < len(lines.said[n]) <= LONGEST_HEADER]
    near = filled if len(filled) <= 2 * EDGE else [*filled[:EDGE], *filled[-EDGE:]]
    return [(_FIGURES.sub("#", lines.said[n].casefold()), lines.spans[n]) for n in near]


def duplicates(text: str, paragraphs: Sequence[Span]) -> Iterator[Span]:
    """Yield paragraphs of at least 60 characters that stood in the text before, word for word."""
    met: set[str] = set()
    for start, end in paragraphs:
        if end - start < TWICE_CHARACTERS:
            continue
        said = " ".join(text[start:end].split())
        if len(said) >= TWICE_CHARACTERS:
            if said in met:
                yield start, end
            met.add(said)
