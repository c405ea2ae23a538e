"""Which words of a user's message are the question: they are never compressed away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from routelab.prompting.compress.cut import Span
from routelab.prompting.compress.layout import Block, blocks
from routelab.prompting.compress.mail import added, tail
from routelab.prompting.compress.whitespace import tight
from routelab.text.breaks import sentence_ends

LONGEST = 1_000
"""Characters of a first or last paragraph up to which all of it is the question; of a longer one only its nearest sentence."""
OPENING = 200
"""Characters of a first paragraph without a question mark up to which it is one."""
SENTENCE = 300
"""Characters that are looked through for where a question begins or ends."""
MOST = 3
"""How many questions elsewhere stay: a text with more of them asks them itself."""

_ASKS = re.compile(r"[?？؟]")
_ENDS = re.compile(r"[?？؟:：][\"'”’»)\]*_]*\s*\Z")
_OPENED = re.compile(r"[^\n]{0,300}?[?？؟:：](?=\s)")


def stays(text: str, question: str = "") -> tuple[Span, ...]:
    """Return the stretches of a user's message that are the question, in order and apart.

    They are the last paragraph that no mail program added, and the last one before a signature or a quoted mail; the first one where it
    is short or ends in a question mark or a colon; and up to three sentences elsewhere that end in a question mark. Of a paragraph of more than 1,000 characters it is the
    last, or first, sentence. Where the message ends in the `question` that was asked and has something put in front of it, only the
    question's own paragraphs are looked at, and one of at most 1,000 characters is all of it.

    >>> text = "Summarise this:\\n\\nA long report. It goes on.\\n\\nUse at most 50 words."
    >>> [text[a:b] for a, b in stays(text)]
    ['Summarise this:', 'Use at most 50 words.']
    """
    low = begins(text, question)
    if low > 0 and len(text) - low <= LONGEST:
        return ((low, len(text)),)
    part = text[low:]
    return _joined(text, [(low + a, low + b) for a, b in _asked(part, _paragraphs(part))])


def asks(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return those of the stretches that are the question for certain: the last, and what holds a question mark or ends in a colon.

    The others may be the opening of what the question is about.
    """
    return [
        s for n, s in enumerate(spans) if n == len(spans) - 1 or _ASKS.search(text, *s) or _ENDS.search(text[slice(*s)])
    ]


def words(text: str, spans: Sequence[Span], most: int = 2_000) -> str:
    """Return the question's words, at most so many characters of them."""
    return " ".join(text[a:b].strip() for a, b in spans)[-most:].strip()


def begins(text: str, question: str) -> int:
    """Return where the question as it was asked, or without its extra blanks, begins at the text's end; 0 where it does not."""
    for asked in (question, question.strip()):
        if asked and len(asked) < len(text) and text.endswith(asked):
            return len(text) - len(asked)
    if question and len(question) < len(text) + LONGEST:
        asked = tight(question)
        if asked and len(asked) < len(text) and text.endswith(asked):
            return len(text) - len(asked)
    return 0


def _paragraphs(text: str) -> list[list[Block]]:
    found: list[list[Block]] = [[]]
    for block in blocks(text):
        if block.kind == "blank":
            found.append([])
        elif found[-1] and found[-1][-1].kind == "whole" != block.kind:
            found.append([block])
        else:
            found[-1].append(block)
    return [p for p in found if p]


def _asked(text: str, paragraphs: list[list[Block]]) -> Iterator[Span]:
    said = [(p[0].start, p[-1].end) for p in paragraphs if any(b.kind != "whole" for b in p)]
    if not said:
        return
    lasts = _lasts(text, said)
    for start, end in lasts:
        yield (start, end) if end - start <= LONGEST else (_last(text, start, end), end)
    start, end = said[0]
    opening = text[start:end].rstrip()
    if len(opening) <= OPENING or (len(opening) <= LONGEST and _ENDS.search(opening)):
        yield start, end
    elif (found := _OPENED.match(text, start, min(end, start + SENTENCE + 1))) is not None:
        yield start, found.end()
    taken = {said[0], *lasts}
    others = [b for p in paragraphs if (p[0].start, p[-1].end) not in taken for b in p if b.kind != "whole"]
    marks = [(b, m.start()) for b in others for m in _few(text, b)]
    if len(marks) <= MOST:
        for block, at in marks:
            yield _sentence(text, block, at)


def _lasts(text: str, said: Sequence[Span]) -> set[Span]:
    """Return the last paragraph that no mail program added, and the last one before what it did add."""
    own = tail(text)
    before = [p for p in said if p[0] < own]
    n = len(said) - 1
    while n > 0 and added(text[slice(*said[n])], text[slice(*said[n - 1])]):
        n -= 1
    return {said[n], *before[-1:]}


def _few(text: str, block: Block) -> Iterator[re.Match[str]]:
    """Yield the block's first question marks: more than are kept, so that many are known for many."""
    for n, found in enumerate(_ASKS.finditer(text, block.start, block.end)):
        if n > MOST:
            break
        yield found


def _last(text: str, start: int, end: int) -> int:
    """Return where the last sentence of a long paragraph begins; where it has none, its last words."""
    near = max(start, end - LONGEST)
    ends = [at for at in sentence_ends(text, near, end) if at < end and text[at:end].strip()]
    if ends:
        return ends[-1]
    near = max(start, end - SENTENCE)
    return text.find(" ", near, end) + 1 or near


def _sentence(text: str, block: Block, at: int) -> Span:
    low, high = max(block.start, at - SENTENCE), min(block.end, at + 20)
    ends = list(sentence_ends(text, low, high))
    begin = max((e for e in ends if e <= at), default=low)
    return begin, min((e for e in ends if e > at), default=min(at + 1, block.end))


def _joined(text: str, spans: Sequence[Span]) -> tuple[Span, ...]:
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    # Without the line ends: blanks are nobody's words.
    bare = [(start, start + len(text[start:end].rstrip())) for start, end in found]
    return tuple((start, end) for start, end in bare if end > start)
