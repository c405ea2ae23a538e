"""What mail programs add: signatures, quoted replies, notices of confidentiality."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from routelab.prompting.compress.cut import Span

LONGEST_LINE = 200
"""Characters; no line that these rules know is longer."""
MOST_LINES = 12
"""A signature with more lines than this is taken for text."""

_DELIMITER = re.compile(r"--[ \t]?\r?")
_CLOSING = re.compile(
    r"(?:(?:with )?(?:kind|best|warm|kindest|many)?(?: (?:kind|best|warm))?(?: )?regards|(?:all the )?best(?: wishes)?|cheers|sincerely(?: yours)?"
    r"|yours (?:sincerely|faithfully|truly)|respectfully|many thanks|thanks(?: (?:again|a lot|in advance|so much))?|thank you(?: very much)?"
    r"|(?:mit )?(?:freundlichen|freundliche|besten|beste|viele|herzliche|liebe) grü(?:ß|ss)en?|mfg|lg|cordialement|bien cordialement"
    r"|saludos(?: cordiales)?|atentamente|cordiali saluti|distinti saluti|met vriendelijke groet(?:en)?)[ ]?[,.!]?",
    re.IGNORECASE,
)
_CONTACT = re.compile(
    r"[\w.+-]+@[\w-]+\.\w|https?://|www\.\w|\+?\(?\d[\d ()./-]{6,}\d|\b(?:phone|tel|telefon|mobile|mobil|cell|fax|office|direct)\b[.:]",
    re.IGNORECASE,
)
_SENT_FROM = re.compile(
    r"(?:sent from my [\w ]{2,40}|sent (?:with|from|via) (?:proton ?mail|outlook|yahoo|gmail|mail)[\w ]{0,40}|get outlook for (?:ios|android).{0,60}"
    r"|(?:von meinem|gesendet von).{2,40}gesendet|envoyé de mon [\w ]{2,40}|enviado desde mi [\w ]{2,40})[.]?",
    re.IGNORECASE,
)
_WROTE = re.compile(
    r"(?:on\b.{6,160}\bwrote|am\b.{6,160}\bschrieb\b.{0,80}|le\b.{6,160}\ba écrit|el\b.{6,160}\bescribió|il\b.{6,160}\bha scritto) ?:",
    re.IGNORECASE,
)
_ORIGINAL = re.compile(
    r"[-_ ]{2,}(?:original message|forwarded message|ursprüngliche nachricht|message d'origine|mensaje original)[-_ ]{2,}",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"(?:\*{0,2})(from|sent|date|to|cc|subject|von|gesendet|an|betreff)(?:\*{0,2}):\*{0,2} \S", re.IGNORECASE
)
_NOTICE = re.compile(
    r"(?:confidentiality (?:notice|note)|(?:legal )?disclaimer:|not the intended recipient|intended (?:solely|only) for (?:the|use|its)"
    r"|if you have received this (?:e-?mail|message|communication|transmission) in error|think before (?:you )?print|consider the environment before printing"
    r"|(?:may contain|contains?) (?:confidential|privileged|legally privileged)|scanned (?:for|by) .{0,30}(?:virus|malware)|virus.?free"
    r"|diese e-?mail (?:enthält|kann) vertrauliche|nicht der richtige adressat|irrtümlich erhalten|ce message (?:et|est|peut).{0,60}confidenti)",
    re.IGNORECASE,
)
_MAIL = re.compile(r"e-?mail|message|transmission|communication|attachment|nachricht|courriel", re.IGNORECASE)
LONGEST_NOTICE = 2_500
_QUOTES = re.compile(r"wrote|schrieb|écrit|escribió|scritto|message|nachricht|mensaje|(?:from|von):", re.IGNORECASE)
_OPENINGS = frozenset(("on", "am", "le", "el", "il"))
_CLOSERS = frozenset("wkbmatclsyrtfvhd")
_DEVICES = frozenset(("sen", "get", "von", "ges", "env"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """A text's lines: where each stands, its line end included, and what it says without the blanks around it.

    Of a line of more than 200 characters only so much is told that it is seen to be longer: no rule knows such a line.
    """

    text: str
    spans: Sequence[Span]
    said: Sequence[str]

    def __len__(self) -> int:
        return len(self.spans)

    def last(self) -> int:
        """Return the number of the last line that is not blank, or -1."""
        return next((n for n in range(len(self) - 1, -1, -1) if self.said[n]), -1)


def lines_of(text: str) -> Lines:
    """Return the lines of a text."""
    spans: list[Span] = []
    said: list[str] = []
    at = 0
    for line in text.split("\n"):
        end = min(at + len(line) + 1, len(text))
        if end > at:
            spans.append((at, end))
            said.append((line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE + 200]).strip())
        at = end
    return Lines(text=text, spans=spans, said=said)


def tail(text: str) -> int:
    """Return where the mail's own words end and its signature or the mails before it begin; the length of the text if nowhere."""
    lines = lines_of(text)
    starts = [start for start, _ in (*quoted(lines), *_delimited(lines))]
    end = min(starts, default=len(text))
    last = next((n for n in range(len(lines) - 1, -1, -1) if lines.spans[n][0] < end and lines.said[n]), -1)
    # A closing among the last lines ends the mail's own words, with whatever names stand behind it.
    for n in range(max(1, last - MOST_LINES), last + 1):
        if _closes(lines.said[n]):
            return lines.spans[n][0]
    return end


def added(said: str, before: str) -> bool:
    """Say whether a paragraph is for certain what a mail program or its writer's habit adds; `before` is the paragraph above it."""
    lines = [line.strip() for line in said.split("\n") if line.strip()]
    if not lines or len(said) > LONGEST_NOTICE:
        return False
    own = [line for line in lines if line[0] != ">"]
    if not own or _WROTE.fullmatch(" ".join(own)[: LONGEST_LINE + 1]):
        return True
    if _ORIGINAL.fullmatch(lines[0]) or 2 * sum(_HEADER.match(line) is not None for line in lines) > len(lines):
        return True
    if _NOTICE.search(said) and _MAIL.search(said):
        return True
    above = before.strip().split("\n")
    closed = _closes(lines[0]) or lines[0] == "--" or any(_closes(line.strip()) for line in above[:2])
    short = len(lines) <= MOST_LINES and not any(len(line) > 60 or "?" in line or line[-1:] == ":" for line in lines)
    return (closed and short) or all(_SENT_FROM.fullmatch(line) for line in lines)


def quoted(lines: Lines) -> Iterator[Span]:
    """Yield the mails that a reply quotes: lines with > behind "On … wrote:", and all behind an original message's headers."""
    if _QUOTES.search(lines.text) is None:
        return
    n = 0
    while n < len(lines):
        line = lines.said[n]
        if line and (_ORIGINAL.fullmatch(line) or (n > 0 and _HEADER.match(line) and _headers(lines, n) >= 3)):
            yield lines.spans[n][0], len(lines.text)
            return
        follows = _attributed(lines, n)
        if follows:
            end = follows
            while end < len(lines) and (lines.said[end].startswith(">") or _between(lines, end)):
                end += 1
            yield lines.spans[n][0], lines.spans[end - 1][1]
            n = end
            continue
        n += 1


def _attributed(lines: Lines, n: int) -> int:
    """Return the first quoted line behind an attribution, which may go on in a second line; 0 where there is none."""
    line = lines.said[n]
    if line[:2].casefold() not in _OPENINGS:
        return 0
    for more in (1, 2):
        if more == 2 and n + 1 < len(lines):
            line = f"{line} {lines.said[n + 1]}"
        if len(line) <= LONGEST_LINE and line[-1] == ":" and _WROTE.fullmatch(line):
            at = n + more
            at += at < len(lines) and not lines.said[at]
            return at if at < len(lines) and lines.said[at].startswith(">") else 0
    return 0


def _between(lines: Lines, n: int) -> bool:
    """Say whether a line is blank and quoted ones go on behind it."""
    return not lines.said[n] and n + 1 < len(lines) and lines.said[n + 1].startswith(">")


def _headers(lines: Lines, n: int) -> int:
    names = set()
    for line in lines.said[n : n + 6]:
        found = _HEADER.match(line)
        if found is None:
            break
        names.add(found[1].lower())
    return len(names)


def signatures(lines: Lines) -> Iterator[Span]:
    """Yield signatures: what stands behind a line of two hyphens, the contacts behind a closing and a name, and "Sent from my …"."""
    yield from _delimited(lines)
    for n, said in enumerate(lines.said):
        if _closes(said):
            yield from _contacts(lines, n + 1)
        elif said[:3].casefold() in _DEVICES and _SENT_FROM.fullmatch(said):
            yield lines.spans[n]


def _closes(said: str) -> bool:
    return len(said) < 40 and said[:1].casefold() in _CLOSERS and _CLOSING.fullmatch(said) is not None


def _delimited(lines: Lines) -> Iterator[Span]:
    """Yield the last lines from one of two hyphens on, if there are few and no blank one among them.

    Markdown draws rules and underlines titles with hyphens: a signature is short, and ends the mail.
    """
    text, last = lines.text, lines.last()
    for n in range(last - 1, max(-1, last - MOST_LINES), -1):
        start, end = lines.spans[n]
        if not lines.said[n + 1] or len(lines.said[n + 1]) > LONGEST_LINE:
            return
        if text.startswith("--", start) and _DELIMITER.fullmatch(text[start : min(end, start + 5)].rstrip("\n")):
            if (n > 0 and not lines.said[n - 1]) or text.startswith("-- ", start):
                yield start, lines.spans[last][1]
            return


def _contacts(lines: Lines, n: int) -> Iterator[Span]:
    """Yield what stands between a name and the end of the mail, or the next blank line, if it holds a contact."""
    n += n < len(lines) and not lines.said[n]
    first = n + 1  # the name stays
    end = first
    while (
        end < min(len(lines), first + MOST_LINES + 1)
        and (said := lines.said[end])
        and len(said) < 100
        and said[0] != ">"
    ):
        end += 1
    if first < end <= first + MOST_LINES and any(_CONTACT.search(said) for said in lines.said[first:end]):
        yield lines.spans[first][0], lines.spans[end - 1][1]


def notices(text: str, paragraphs: Sequence[Span]) -> Iterator[Span]:
    """Yield paragraphs that say whom a mail is for and that it is confidential."""
    for start, end in paragraphs:
        if end - start <= LONGEST_NOTICE:
            said = text[start:end]
            if _NOTICE.search(said) and _MAIL.search(said):
                yield start, end
