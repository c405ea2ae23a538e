"""What retrieval needs to know of a part of a text; chunks are such parts."""

from __future__ import annotations

from typing import Protocol


class Passage(Protocol):
    """A part of a source: its text is the source's characters from `start` to `end`, under these headings."""

    @property
    def text(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def headings(self) -> tuple[str, ...]: ...
