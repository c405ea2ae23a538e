"""Guards object to near misses: two questions that look alike and want different answers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from routelab.caching.guarding.checks import compare
from routelab.caching.guarding.reading import LONGEST, read
from routelab.caching.guarding.signature import Signature
from routelab.core.errors import ConfigError, suggest


@dataclass(frozen=True, kw_only=True)
class Objection:
    """Why a known answer is not taken for a question: what kind of thing differs, and what each text has there ("" for nothing)."""

    kind: str
    asked: str
    known: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.asked or '–'} | {self.known or '–'}"


class Guard(Protocol):
    """Says whether the answer to a known question may be given for the one that is asked."""

    @property
    def id(self) -> str:
        """The kind and the version of its rules; another id when decisions would change."""

    def __call__(self, asked: str, known: str, /) -> Objection | None:
        """Return what speaks against it, or None; deterministic, symmetric but for the sides of the objection, for any text."""


@dataclass(frozen=True, kw_only=True)
class Unguarded:
    """Objects to nothing."""

    id: str = field(default="none", init=False)

    def __call__(self, asked: str, known: str, /) -> None:
        """Return None."""


@dataclass(kw_only=True)
class _Memory:
    """Signatures by text, the longest unused thrown away; safe among threads."""

    size: int
    held: OrderedDict[str, Signature] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, text: str) -> Signature:
        with self.lock:
            signature = self.held.get(text)
            if signature is not None:
                self.held.move_to_end(text)
                return signature
        signature = read(text)
        # A long text would take the room of a thousand questions.
        if len(text) <= LONGEST:
            with self.lock:
                self.held[text] = signature
                while len(self.held) > self.size:
                    self.held.popitem(last=False)
        return signature


@dataclass(frozen=True, kw_only=True)
class Lexical:
    """Objects when two texts differ in something that an answer could hang on, by rules about words and signs.

    Language-independent: numbers, times and dates in digits, symbols of units and currencies, code, paths, addresses, flags, scripts,
    and names where both texts have one that the other has not. English only: numbers and dates in words, negation, opposites,
    forms of asking, roles, derivation, and what is left of the content. Texts that differ in case, white space or the punctuation of
    sentences alone are the same. Texts of more than 20,000 characters must be the same in that sense.
    Two texts of one frame (most words the same and in one order) may differ in nothing of this; between two frames, where somebody else
    has asked in other words, only what contradicts counts: two numbers, two names, what the one denies and the other says.
    `strict` takes every two texts for one frame, and objects to a content word that one text adds ("a virtual card", "a disposable virtual
    card"): it stops most near misses that still pass, and most of the paraphrases. It remembers the signatures of `remembered` texts.
    """

    strict: bool = False
    remembered: int = 50_000
    _memory: _Memory = field(init=False, repr=False, compare=False)

    @property
    def id(self) -> str:
        """The version of the rules and how strict they are."""
        return "lexical-strict@2" if self.strict else "lexical@2"

    def __post_init__(self) -> None:
        if not isinstance(self.strict, bool):
            raise ConfigError(f"guard.strict: true or false is wanted, not {self.strict!r}")
        if isinstance(self.remembered, bool) or not isinstance(self.remembered, int) or self.remembered < 2:
            raise ConfigError(f"guard.remembered: a whole number from 2 is wanted, not {self.remembered!r}")
        object.__setattr__(self, "_memory", _Memory(size=self.remembered))

    def __call__(self, asked: str, known: str, /) -> Objection | None:
        """Return the first difference found, or None."""
        if asked == known:
            return None
        found = compare(self._memory(asked), self._memory(known), strict=self.strict)
        return None if found is None else Objection(kind=found[0], asked=found[1], known=found[2])


GUARDS: Mapping[str, Callable[..., Guard]] = MappingProxyType({"none": Unguarded, "lexical": Lexical})
"""What a guard may be called in a configuration; one that asks a judge is made where models are."""


def guard_of(spec: str | Mapping[str, Any] = "lexical") -> Guard:
    """Return the guard that a name or a mapping such as ``{"kind": "lexical", "strict": True}`` describes.

    Raises ConfigError for anything else.

    >>> guard_of("lexcal")
    Traceback (most recent call last):
    routelab.core.errors.ConfigError: guard.kind: unknown 'lexcal'; did you mean 'lexical'?
      hint: one of none, lexical
    """
    if isinstance(spec, str):
        spec = {"kind": spec}
    if not isinstance(spec, Mapping):
        raise ConfigError(f"guard: a name or a mapping with a kind is wanted, not {type(spec).__name__}")
    if "kind" not in spec:
        raise ConfigError("guard.kind: missing", hint="one of " + ", ".join(GUARDS))
    kind = spec["kind"]
    made = GUARDS.get(kind) if isinstance(kind, str) else None
    if made is None:
        raise ConfigError(_unknown("guard.kind", kind, GUARDS), hint="one of " + ", ".join(GUARDS))
    known = {"strict": None, "remembered": None} if kind == "lexical" else {}
    given = {key: value for key, value in spec.items() if key != "kind"}
    for key in given:
        if key not in known:
            raise ConfigError(_unknown(f"guard ({kind})", key, known), hint="keys: " + ", ".join(["kind", *known]))
    return made(**given)


def _unknown(where: str, name: object, known: Mapping[str, object]) -> str:
    near = suggest(name, known)
    return f"{where}: unknown {name!r}" + (f"; {near}" if near else "")
