"""Two texts side by side in one: what was taken away and what came in, word by word, marked in signs and not by colour alone."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from routelab.present import escape, note

LONGEST = 6_000
"""Characters of each text that are compared; what lies behind is announced."""
WORDS = 1_200
"""Words of each text that are compared: difflib takes 0.1 s for the worst of texts as long as this, and 2 s at 3,000."""
STYLE = (
    "<style>.rl .rl-diff{white-space:pre-wrap;overflow-wrap:anywhere;margin:4px 0}"
    ".rl del{background:rgba(213,94,0,.20);text-decoration:line-through;color:inherit}"
    ".rl ins{background:rgba(0,114,178,.22);text-decoration:underline;color:inherit}</style>"
)
# A word with the white space after it; of scripts without spaces each sign is one.
_WORD = re.compile(
    r"\s*(?:[\u2e80-\u9fff\uf900-\ufaff\uac00-\ud7af]|[^\s\u2e80-\u9fff\uf900-\ufaff\uac00-\ud7af]+)|\s+"
)


def difference(one: str, other: str) -> str:
    """Return HTML that leads from one text to the other: [−removed−] and [+added+].

    >>> difference("a red car", "a blue car").rpartition('rl-diff">')[2]
    'a<del>[− red−]</del><ins>[+ blue+]</ins> car</div>'
    """
    before, after = _words(one), _words(other)
    left = [len(text.strip()) - sum(map(len, words)) for text, words in ((one, before), (other, after))]
    cut = any(left)
    more = note(f"only the beginnings are compared; {left[0]:,} and {left[1]:,} characters are left out") if cut else ""
    steps = _steps([w.strip() for w in before], [w.strip() for w in after])
    if all(kind == "equal" for kind, *_ in steps):
        return note("what is compared is the same" if cut else "the two texts are the same") + more
    gone = sum(b - a for kind, a, b, _, _ in steps if kind != "equal")
    new = sum(d - c for kind, _, _, c, d in steps if kind != "equal")
    parts = []
    for kind, a, b, c, d in steps:
        if kind == "equal":
            # The same words, with more of the white space: the first word of a text has none before it.
            pairs = zip(before[a:b], after[c:d], strict=True)
            parts.append(escape("".join(max(pair, key=len) for pair in pairs)))
            continue
        if b > a:
            parts.append(f"<del>[−{escape(''.join(before[a:b]))}−]</del>")
        if d > c:
            parts.append(f"<ins>[+{escape(''.join(after[c:d]))}+]</ins>")
    head = note(f"[−…−] {gone:,} word{'' if gone == 1 else 's'} removed, [+…+] {new:,} added")
    return f'{head}{more}{STYLE}<div class="rl-diff">{"".join(parts)}</div>'


def _words(text: str) -> list[str]:
    # Cut before anything else looks at the text: one line may be 10 MB long.
    return _WORD.findall(text.strip()[:LONGEST])[:WORDS]


def _steps(before: Sequence[str], after: Sequence[str]) -> list[tuple[str, int, int, int, int]]:
    """Return difflib's steps; the common beginning and end are found first, which is most of two similar texts."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    n, m = len(before) - end, len(after) - end
    # Its heuristic for frequent words stays on: it is what bounds the work on a text of one word a thousand times.
    inner = difflib.SequenceMatcher(None, before[start:n], after[start:m]).get_opcodes()
    steps = [(kind, a + start, b + start, c + start, d + start) for kind, a, b, c, d in inner]
    head = [("equal", 0, start, 0, start)] if start else []
    tail = [("equal", n, len(before), m, len(after))] if end else []
    return [*head, *steps, *tail]
