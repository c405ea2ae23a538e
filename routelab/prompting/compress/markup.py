"""What is left of a web page when its words are taken from it: tags, comments, scripts, entities, embedded files."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from routelab.prompting.compress.cut import Removal

_INLINE = "span|b|i|u|em|strong|font|small|big|center|nobr|tt|abbr|cite|mark|label|wbr|ins|del|s|strike"
_BLOCKS = "div|p|br|hr|ul|ol|dl|dt|dd|html|head|body|meta|link|nav|footer|aside|form|input|button|select|option|fieldset|img|figure"
_MORE = "figcaption|picture|source|iframe|embed|noscript|blockquote"
_ATTRIBUTES = r"(?:\s(?:[^<>\"']|\"[^\"<>]{0,2000}\"|'[^'<>]{0,2000}'){0,200})?"
_TAG = re.compile(
    rf"<(?P<close>/?)(?P<name>{_INLINE}|{_BLOCKS}|{_MORE}|h[1-6]|li)(?P<attributes>{_ATTRIBUTES})/?>", re.IGNORECASE
)
_PART = re.compile(rf"</?(?:title|header|main|section|article|address|time){_ATTRIBUTES}/?>", re.IGNORECASE)
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
_LINK = re.compile(
    r"<a\s[^<>]{0,1000}?href=[\"']?(?P<to>[^\"'<>\s]{0,1000})[^<>]{0,1000}>(?P<words>[^<]{0,500})</a\s*>|</?a(?:\s[^<>]{0,2000})?>",
    re.IGNORECASE,
)
_UNSEEN = re.compile(r"<!--|<!doctype\b|<(?P<name>script|style|svg|template)\b", re.IGNORECASE)
_DATA = re.compile(r"(data:[\w.+-]{1,40}/[\w.+-]{1,60};base64,)[A-Za-z0-9+/=_-]{100,}")
_ENTITY = re.compile(r"&(?:amp;(?![\w#])|(?!amp;)[a-zA-Z]{2,8};|#\d{1,6};|#[xX][0-9a-fA-F]{1,5};)")
_APART = frozenset(f"{_BLOCKS}|{_MORE}|li".split("|"))


def seen(part: str, *, page: bool = False) -> tuple[str, list[Removal]]:
    """Return the text as a reader of the page sees it, and what was taken out.

    Only tags of HTML's layout go: others (<document>, <example>, <sup>) may mean something. A link keeps its address where that is
    one outside of the page. Headings and items get Markdown's marks. Of a `page`'s source the indentation goes, and tags that
    stand for its parts (<title>, <header>, <main>, <section>, <article>) do too.

    >>> seen('<div class="x"><h2>Fees</h2>It&nbsp;is <b>5</b>.<br>See <a href="https://a.org">the list</a></div>')[0]
    '\\n\\n## Fees\\nIt is 5.\\nSee the list (https://a.org)\\n'
    """
    if "<" not in part and "&" not in part and "base64," not in part:
        return part, []
    removed: list[Removal] = []
    part = _without_unseen(part, removed)
    part = _DATA.sub(_noted(removed, lambda found: found[1] + "…"), part)
    part = _LINK.sub(_noted(removed, _link), part)
    part = _TAG.sub(_noted(removed, _tag), part)
    if page:
        part = _PART.sub(_noted(removed, lambda found: "\n"), part)
        part = _INDENT.sub("", part)
    return _ENTITY.sub(_entity, part), removed


def _noted(removed: list[Removal], made: Callable[[re.Match[str]], str]) -> Callable[[re.Match[str]], str]:
    def one(found: re.Match[str]) -> str:
        removed.append(Removal(what="markup", text=found[0]))
        return made(found)

    return one


def _without_unseen(part: str, removed: list[Removal]) -> str:
    """Return the text without comments, scripts, styles and drawings; one that is not closed is left."""
    if _UNSEEN.search(part) is None:
        return part
    lowered = part.lower()
    if len(lowered) != len(part):
        return part  # a letter that has two small ones: offsets would be wrong
    kept: list[str] = []
    missing: set[str] = set()
    at = done = 0
    while (found := _UNSEEN.search(part, at)) is not None:
        name = found["name"]
        close = "-->" if found[0] == "<!--" else ">" if name is None else f"</{name.lower()}>"
        end = -1 if close in missing else lowered.find(close, found.end())
        if end < 0:
            missing.add(close)
            at = found.end()
            continue
        kept.append(part[done : found.start()])
        at = done = end + len(close)
        removed.append(Removal(what="markup", text=part[found.start() : done]))
    return "".join([*kept, part[done:]])


def _link(found: re.Match[str]) -> str:
    words, to = found["words"], found["to"] or ""
    if words is None:
        return ""
    outside = to.startswith(("http://", "https://", "mailto:"))
    return f"{words} ({to})" if outside and to not in words and words.strip() else words


def _tag(found: re.Match[str]) -> str:
    name = found["name"].lower()
    if name[0] == "h" and name[1:].isdigit():
        return "\n" if found["close"] else "\n" + "#" * int(name[1]) + " "
    if name == "li":
        return "" if found["close"] else "\n- "
    return "\n" if name in _APART else ""


def _entity(found: re.Match[str]) -> str:
    said = html.unescape(found[0])
    # An angle bracket that is spelled out is meant to be seen, and must not become a tag; nor must "&amp;lt;" become one.
    return found[0] if said in ("<", ">") or len(said) > len(found[0]) else " " if said == "\xa0" else said
