"""Which texts can be compared at all: the one rule of the live cache, of its replay and of the bench over pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

READS_BYTES: Mapping[str, int] = {"minilm": 512}
"""Texts of so many UTF-8 bytes an embedder is sure to read whole (MiniLM: 256 tokens); one that is not named reads every text."""


def comparable(embedder: str | Mapping[str, Any], text: str) -> bool:
    """Say whether a text may be like another one for an embedder: it has words, and the embedder reads them all.

    Beyond what an embedder reads, texts that differ only at their ends would have one vector.

    >>> comparable("minilm", "How do I reset my password?"), comparable("minilm", "word " * 120), comparable("minilm", " ")
    (True, False, False)
    """
    kind = embedder if isinstance(embedder, str) else str(embedder.get("kind"))
    most = READS_BYTES.get(kind)
    return bool(text.strip()) and (most is None or len(text.encode("utf-8", "surrogatepass")) <= most)
