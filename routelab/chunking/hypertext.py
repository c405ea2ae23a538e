"""HTML as the text that a reader sees, with its headings as Markdown has them."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_BLOCKS = frozenset(
    (
        *(
            "address",
            "article",
            "aside",
            "blockquote",
            "body",
            "dd",
            "details",
            "div",
            "dl",
            "dt",
            "fieldset",
            "figcaption",
        ),
        *("figure", "footer", "form", "header", "hr", "main", "nav", "ol", "p", "pre", "section", "summary", "table"),
        *("title", "ul"),
    )
)
_UNSEEN = frozenset(("script", "style", "template", "noscript", "svg", "iframe", "object"))
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_MANY_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


def seen(html: str) -> str:
    """Return the text of a page, block by block: headings behind #, list items behind -, cells behind |, scripts left out.

    Any text is taken, however broken its tags are. Entities are resolved and white space is folded, but not in <pre>.

    >>> seen("<title>Leave</title><h2>Parental &amp; other</h2><p>Two\\n weeks.<script>x()</script>")
    'Leave\\n\\n## Parental & other\\n\\nTwo weeks.'
    """
    page = _Page()
    page.feed(html)
    page.close()
    return _MANY_LINES.sub("\n\n", "".join(page.parts)).strip()


class _Page(HTMLParser):
    """Collects the parts of a page's text; the standard library's parser calls its methods."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0
        self._exact = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._unseen += tag in _UNSEEN
        self._exact += tag == "pre"
        if tag in _HEADINGS:
            self._add(f"\n\n{_HEADINGS[tag]} ")
        elif tag in _BLOCKS:
            self._add("\n\n")
        elif tag in ("br", "tr"):
            self._add("\n")
        elif tag == "li":
            self._add("\n- ")
        elif tag in ("td", "th"):
            self._add(" | ")

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in _UNSEEN and self._unseen > 0
        self._exact -= tag == "pre" and self._exact > 0
        if tag in _BLOCKS or tag in _HEADINGS:
            self._add("\n\n")

    def handle_data(self, data: str) -> None:
        if self._exact:
            self._add(data)
            return
        folded = _BLANKS.sub(" ", data)
        # A blank at the beginning of a line is nobody's.
        self._add(folded.lstrip(" ") if not self.parts or self.parts[-1].endswith((" ", "\n")) else folded)

    def _add(self, text: str) -> None:
        if text and not self._unseen:
            self.parts.append(text)
