"""How long a chunk may be, how much of it the next one repeats, and in which unit that is said."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from routelab.chunking.ruler import TOKENIZERS, CharacterRuler, Ruler, TokenRuler
from routelab.core.errors import suggest

Unit: TypeAlias = Literal["tokens", "characters"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """A chunk has at most `size` units; the next one begins with at most `overlap` of them again.

    `overlap` is a share of the size (a fraction from 0, below 1) or a whole number of units below `size`. ValueError
    names the field that cannot be used, in the form that `strict.build` turns into a ConfigError with its place.
    """

    size: int
    overlap: int | float = 0
    unit: Unit = "tokens"
    tokenizer: str = "o200k_base"

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise ValueError(f"size: a whole number from 1 is wanted, not {self.size!r}")
        _check_overlap(self.overlap, self.size)
        if self.unit not in ("tokens", "characters"):
            raise ValueError(
                f"unit: must be tokens or characters, not {self.unit!r}{_near(self.unit, ('tokens', 'characters'))}"
            )
        if self.tokenizer not in TOKENIZERS:
            known = ", ".join(TOKENIZERS)
            raise ValueError(
                f"tokenizer: unknown {self.tokenizer!r}{_near(self.tokenizer, TOKENIZERS)} (in the package: {known})"
            )

    @property
    def repeat(self) -> int:
        """The overlap in units."""
        # A hair more, so that 0.2 of 5 is 1 whatever binary fractions make of it.
        return self.overlap if isinstance(self.overlap, int) else math.floor(self.overlap * self.size + 1e-9)

    def ruler(self, text: str) -> Ruler:
        """Return what measures the text in the unit; ConfigError when the tokenizer cannot be loaded."""
        return (
            CharacterRuler(len(text)) if self.unit == "characters" else TokenRuler(text, TOKENIZERS[self.tokenizer]())
        )


def _check_overlap(overlap: int | float, size: int) -> None:
    if isinstance(overlap, bool) or not isinstance(overlap, (int, float)):
        raise ValueError(f"overlap: a share such as 0.2, or a whole number, is wanted, not {overlap!r}")
    if isinstance(overlap, float) and not 0 <= overlap < 1:
        raise ValueError(
            f"overlap: a share must be from 0 and below 1, not {overlap!r}; an absolute one is a whole number"
        )
    if not 0 <= overlap < size:
        raise ValueError(f"overlap: must be from 0 and below the size ({size}), not {overlap!r}")


def _near(name: object, known: tuple[str, ...] | object) -> str:
    near = suggest(name, known)  # type: ignore[arg-type]
    return f"; {near}" if near else ""
