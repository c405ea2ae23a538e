"""Retrieval finds the passages that a prompt needs, and makes a context of them: an index, a search, citations.

It takes passages as values (`passage.Passage`), whoever cut them. An index holds nothing that cannot be made again.
"""

from __future__ import annotations

from routelab.retrieval.bm25 import BM25
from routelab.retrieval.context import Citation, Context, assembled, merged
from routelab.retrieval.framing import Quoted, before, framed, quoted
from routelab.retrieval.library import Hit, Library
from routelab.retrieval.lookup import Found, Lookup
from routelab.retrieval.passage import Passage
from routelab.retrieval.search import WAYS, By, Search
from routelab.retrieval.windows import Windowed, minilm_windows, whole, windowed
from routelab.retrieval.words import words

__all__ = [
    "BM25",
    "WAYS",
    "By",
    "Citation",
    "Context",
    "Found",
    "Hit",
    "Library",
    "Lookup",
    "Passage",
    "Quoted",
    "Search",
    "Windowed",
    "assembled",
    "before",
    "framed",
    "merged",
    "minilm_windows",
    "quoted",
    "whole",
    "windowed",
    "words",
]
