"""How much of one text's frame another has, and whether two parts of it changed places.

A near miss is, nearly always, the other question with one part of it put differently; a question that somebody else asks in words of
their own has another frame. So what differs inside one frame weighs more than what is left over between two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from routelab.caching.guarding.signature import Signature

ALIKE = 0.6
"""The share of two lines from which they are one frame."""
_SLOT = 3
_REACH = 6
_JOINING = frozenset({"and", "or", "vs", "versus", "&", "plus", "nor", "be"})


def alike(one: Signature, other: Signature) -> bool:
    """Return whether the texts have one frame: most words in common and in one order, or all but a few in one place."""
    if _slotted(one.line, other.line):
        return True
    size = len(one.line) + len(other.line)
    return size > 0 and 2 * in_order(one, other) >= ALIKE * size


def slot(one: Sequence[str], other: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return what stands in each text between the words that both begin with and the words that both end with.

    >>> slot("is the item in stock".split(), "is the item on sale now".split())
    (['in', 'stock'], ['on', 'sale', 'now'])
    """
    size = min(len(one), len(other))
    start = 0
    while start < size and one[start] == other[start]:
        start += 1
    end = 0
    while end < size - start and one[-1 - end] == other[-1 - end]:
        end += 1
    return one[start : len(one) - end], other[start : len(other) - end]


def _slotted(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether a few words in one place are all that differs, in texts so short that their share says little."""
    left, right = slot(one, other)
    most = max(len(left), len(right))
    return most <= _SLOT and min(len(one) - len(left), len(other) - len(right)) >= (1 if most == 1 else 2)


def in_order(one: Signature, other: Signature) -> int:
    """Return how many words of one line are in the other in the same order: the length of a longest common subsequence.

    Bit-parallel (Hyyrö 2004): one step of whole-number arithmetic for each word.
    """
    if len(other.line) < len(one.line):
        one, other = other, one
    places, full = other.places, (1 << len(other.line)) - 1
    open_ = full
    for word in one.line:
        matched = open_ & places.get(word, 0)
        open_ = ((open_ + matched) | (open_ - matched)) & full
    return len(other.line) - open_.bit_count()


def exchanged(one: Sequence[str], other: Sequence[str]) -> tuple[Sequence[str], Sequence[str]] | None:
    """Return two parts, at most six words each, that changed places around something between them; None when none did.

    Parts that "and", "or", "is" or nothing stands between may change places: nothing is said by their order.

    >>> exchanged("train from graz to linz".split(), "train from linz to graz".split())
    (['graz'], ['linz'])
    >>> exchanged("tea or milk".split(), "milk or tea".split())
    """
    if len(one) != len(other) or Counter(one) != Counter(other):
        return None
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))
    end = len(one)
    while end > start and one[end - 1] == other[end - 1]:
        end -= 1
    left, right = one[start:end], other[start:end]
    size = len(left)
    for i in range(1, min(_REACH, size - 1) + 1):
        if left[:i] != right[size - i :]:
            continue
        for j in range(1, min(_REACH, size - i - 1) + 1):
            between = left[i : size - j]
            if left[size - j :] == right[:j] and between == right[j : size - i]:
                return None if _JOINING.issuperset(between) else (left[:i], left[size - j :])
    return None
