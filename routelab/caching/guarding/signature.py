"""What is remembered of a text that was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Signature:
    """What is remembered of one text; everything is folded, and written forms are kept to name an objection."""

    key: str
    plain: str = ""
    long: bool = False
    english: bool = False
    script: str = ""
    numbers: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    codes: dict[str, str] = field(default_factory=dict)
    signs: tuple[str, ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    negations: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    deniers: tuple[str, ...] = ()
    denied: frozenset[str] = frozenset()
    against: frozenset[str] = frozenset()
    doubted: frozenset[str] = frozenset()
    stuck: bool = False
    ends: Mapping[str, frozenset[str]] = field(default_factory=dict)
    line: tuple[str, ...] = ()
    places: Mapping[str, int] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    light: frozenset[str] = frozenset()
    tokens: frozenset[str] = frozenset()
    groups: frozenset[int] = frozenset()
    roots: dict[str, str] = field(default_factory=dict)
    joined: frozenset[str] = frozenset()
    particles: tuple[str, ...] = ()
    sequence: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    forms: frozenset[str] = frozenset()
    passive: bool = False
    modal: str = ""
    acting: bool = False
    acted_on: bool = False
