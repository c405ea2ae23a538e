"""Contains: the answer makes the points, and none of the mistakes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from routelab.core.errors import ConfigError
from routelab.core.values import Prompt, Score
from routelab.scoring import demand, wording
from routelab.scoring.exact import shown


@dataclass(frozen=True, kw_only=True)
class Contains:
    """Gives the share of the groups in `all` of which at least one alternative occurs in the answer.

    It gives 0 when any text of `none` occurs, when the answer is longer than `max_words`, or when it is empty. Texts
    are matched as whole words, without regard to case, white space, emphasis and thousands separators; in scripts
    without spaces (Chinese, Japanese, Thai) any occurrence counts, and each character is a word. Accents count.
    """

    all: tuple[tuple[str, ...], ...] = ()
    none: tuple[str, ...] = field(default=())
    max_words: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.all, (list, tuple)):
            raise ConfigError("scorer.all: a list of groups is wanted, each a list of alternatives")
        groups = tuple(demand.texts(f"all[{i}]", group) for i, group in enumerate(self.all))
        none = demand.texts("none", self.none, at_least=0)
        if not groups and not none:
            raise ConfigError("scorer.all: name at least one point to make (or, in scorer.none, one mistake)")
        if self.max_words is not None:
            demand.whole("max_words", self.max_words, at_least=1)
        object.__setattr__(self, "all", groups)
        object.__setattr__(self, "none", none)

    def __call__(self, answer: str, prompt: Prompt) -> Score:
        """Return the share of points made, and the first one that is missing or the mistake."""
        views = _views(answer)
        count = length(answer)
        if not count:
            return Score(quality=0.0, reason="the answer is empty")
        if self.max_words is not None and count > self.max_words:
            return Score(quality=0.0, reason=f"{count} words, at most {self.max_words} are allowed")
        for mistake in self.none:
            if _met(mistake, views):
                return Score(quality=0.0, reason=f"says {shown(mistake)}")
        missing = [group for group in self.all if not any(_met(alternative, views) for alternative in group)]
        made = len(self.all) - len(missing)
        reason = f"{made} of {len(self.all)} points" + (f"; missing {shown(missing[0][0])}" if missing else "")
        return Score(quality=made / len(self.all) if self.all else 1.0, reason=reason)


def length(text: str) -> int:
    """Return the number of words: runs without white space that have a letter or digit, and each unspaced character."""
    spaced, unspaced = wording.spaced(text)
    return unspaced + sum(any(c.isalnum() for c in word) for word in spaced.split())


def _views(text: str) -> tuple[str, ...]:
    # As it stands, and with the thousands closed up (1,234 and 1 234 become 1234), so that either spelling is met.
    hay = wording.folded(text)
    closed = re.sub(r"(?<=\d)[, '](?=\d{3}(?!\d))", "", hay)
    return (hay,) if closed == hay else (hay, closed)


def _met(needle: str, views: tuple[str, ...]) -> bool:
    spellings = _views(needle)
    return any(wording.occurs(spelling, view) for spelling in spellings for view in views)
