"""Server-sent events, decoded from bytes as the WHATWG HTML standard (section 9.2.6) describes.

Lines end with CR, LF or CRLF and with nothing else: text libraries also split at U+2028, U+2029 and U+0085, which are
allowed inside a JSON string and would tear one event apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerEvent:
    """One event: its name (``message`` when the server gave none) and its data."""

    name: str = "message"
    data: str = ""


class Decoder:
    """Turns bytes, cut anywhere, into events.

    An event that the end of the stream interrupts is never reported, as the standard asks. Bytes that are not UTF-8
    become U+FFFD.

    >>> decoder = Decoder()
    >>> decoder.feed(b"data: a\\r"), decoder.feed(b"\\n\\r\\n")
    ([], [ServerEvent(name='message', data='a')])
    """

    __slots__ = ("_after_cr", "_data", "_first", "_name", "_partial")

    def __init__(self) -> None:
        self._partial: list[bytes] = []
        self._after_cr = False
        self._first = True
        self._name = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Return the events that these bytes complete, in order."""
        if not chunk:
            return []
        if self._after_cr and chunk[:1] == b"\n":
            chunk = chunk[1:]  # the second half of a CRLF whose first half ended the line already
        self._after_cr = chunk[-1:] == b"\r"
        *ended, rest = _LINE_END.split(chunk)
        events = []
        for line in ended:
            self._partial.append(line)
            event = self._line(b"".join(self._partial))
            self._partial.clear()
            if event is not None:
                events.append(event)
        if rest:
            # Kept in parts: joining at every chunk would make a long line that drips in cost its square.
            self._partial.append(rest)
        return events

    def _line(self, line: bytes) -> ServerEvent | None:
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatch()
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        # `id` and `retry` serve reconnecting, which would pay twice for an answer; a comment has the empty name.
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        return None

    def _dispatch(self) -> ServerEvent | None:
        name, data = self._name or "message", self._data
        self._name, self._data = "", []
        return ServerEvent(name=name, data="\n".join(data)) if data else None
