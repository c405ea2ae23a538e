"""The words of a text as BM25 counts them."""

from __future__ import annotations

import unicodedata

import regex

# Scripts that are written without blanks, and Hangul, whose words carry their endings: overlapping pairs of characters.
_DENSE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー々"
_WORD = regex.compile(
    rf"(?P<dense>[{_DENSE}][{_DENSE}\p{{M}}]*)|[[\p{{L}}\p{{N}}_]--[{_DENSE}]][[\p{{L}}\p{{M}}\p{{N}}_]--[{_DENSE}]]*",
    regex.V1,
)
# NFKC sorts a run of combining marks in quadratic time; U+034F breaks long ones (UAX #15, stream-safe text format).
_LONG_RUN = regex.compile(r"[^\w\s\x00-\x7f]{30}")


def words(text: str) -> list[str]:
    """Return the words in order: runs of letters and digits, case folded; of scripts without blanks, pairs of characters.

    Pairs overlap, as in Lucene's CJK analyzer; a single such character is a word. Nothing is stemmed and nothing is left
    out as too common: what a word is worth is the weighting's matter.

    >>> words("The Fed's 2,5 %: 東京都")
    ['the', 'fed', 's', '2', '5', '東京', '京都']
    """
    folded = unicodedata.normalize("NFKC", _LONG_RUN.sub("\\g<0>\u034f", text)).casefold()
    found: list[str] = []
    for match in _WORD.finditer(folded):
        run = match[0]
        if match["dense"] is None or len(run) == 1:
            found.append(run)
        else:
            found.extend(run[i : i + 2] for i in range(len(run) - 1))
    return found
