"""F1: the answer shares its words with a reference."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from routelab.core.values import Prompt, Score
from routelab.scoring import demand, wording
from routelab.scoring.exact import shown

_ARTICLES = frozenset(("a", "an", "the"))


@dataclass(frozen=True, kw_only=True)
class F1:
    """Gives the best F1 of the answer's words against those of each of `answers`: 2·shared / (said + wanted).

    Words are counted as a bag, in lower case, without punctuation and English articles, as in SQuAD (Rajpurkar et al.
    2016); in scripts without spaces each character is a word. What follows a last "Answer:" may count instead of the
    whole.
    """

    answers: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "answers", demand.texts("answers", self.answers))

    def __call__(self, answer: str, prompt: Prompt) -> Score:
        """Return the best F1 and the reference that gave it."""
        committed = wording.commitment(answer)
        said = [bag(answer)] if committed is None else [bag(answer), bag(committed)]
        best, nearest = max(
            ((overlap(bag(wanted), given), wanted) for wanted in self.answers for given in said),
            key=lambda pair: pair[0],
        )
        return Score(quality=best, reason=f"F1 {best:.2f} with {shown(nearest)}")


def bag(text: str) -> Counter[str]:
    """Return how often each word occurs; articles count only where there is nothing else."""
    words = wording.words(wording.folded(text))
    return Counter([w for w in words if w not in _ARTICLES] or words)


def overlap(wanted: Counter[str], said: Counter[str]) -> float:
    """Return F1 of two bags of words, 0 when either is empty.

    >>> overlap(bag("the black cat"), bag("A cat."))
    0.6666666666666666
    """
    shared = (wanted & said).total()
    return 2 * shared / (wanted.total() + said.total()) if shared else 0.0
