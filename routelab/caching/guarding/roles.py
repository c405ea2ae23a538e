"""Who does what to whom, and from what to what: the same words in other places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from routelab.caching.guarding.contents import Found, said
from routelab.caching.guarding.frames import exchanged
from routelab.caching.guarding.opposites import OPPOSITES
from routelab.caching.guarding.signature import Signature

_NOWHERE: frozenset[str] = frozenset()
_LISTING = frozenset({"or", "vs", "versus", "between"})
_SHORT = 14
"""Words beyond which order says little."""
_SAME = 0.8
"""The share of the longer line from which two texts have the same words, in whatever order."""


def roles(one: Signature, other: Signature, framed: bool) -> Found:
    """Object when two parts change places around what stands between them, or "from", "to" and "than" point elsewhere."""
    swapped = exchanged(one.line, other.line)
    if swapped is not None:
        left, right = (" ".join(part) for part in swapped)
        return ("role", f"{left} … {right}", f"{right} … {left}")
    short = max(len(one.line), len(other.line)) <= _SHORT
    for goal in ("from", "to", "than") if short else ():
        mine, yours = one.ends.get(goal, _NOWHERE), other.ends.get(goal, _NOWHERE)
        # What the one goes to is in the other, but goes elsewhere; and the other way round.
        if not mine or not yours or not mine.isdisjoint(yours) or not (mine <= other.tokens and yours <= one.tokens):
            continue
        # "A is cheaper than B" is "B is dearer than A".
        if goal != "than" or one.against.isdisjoint(other.tokens):
            return ("role", f"{goal} {said(mine)}", f"{goal} {said(yours)}")
    return _reordered(one, other) if framed or _same_words(one, other) else None


def _same_words(one: Signature, other: Signature) -> bool:
    if min(len(one.line), len(other.line)) < _SAME * max(len(one.line), len(other.line)):
        return False
    common = (Counter(one.line) & Counter(other.line)).total()
    return common >= _SAME * max(len(one.line), len(other.line))


def _reordered(one: Signature, other: Signature) -> Found:
    """Object when two words change places around a third that both texts have between them."""
    if one.acted_on != other.acted_on and one.words.keys() == other.words.keys() and one.acting != other.acting:
        return ("role", "me" if one.acted_on else "i", "me" if other.acted_on else "i")
    mine, yours = _numbered(one.order), _numbered(other.order)
    place = {token: i for i, token in enumerate(yours)}
    both = [token for token in mine if token in place]
    if _rotated(one.order, other.order):
        return None
    listing = not (_LISTING.isdisjoint(one.tokens) or _LISTING.isdisjoint(other.tokens))
    for a, b in pairwise(both) if not listing else ():
        if place[a] > place[b] and b[0] in OPPOSITES.get(a[0], ()):
            return ("role", f"{a[0]} {b[0]}", f"{b[0]} {a[0]}")
    size = max(len(mine), len(yours))
    # In a long sentence that was turned round, order says nothing; a swap is all but a repetition.
    if len(both) < 3 or size > _SHORT or len(both) < 0.7 * size:
        return None
    fallen = _longest_fall([place[token] for token in both])
    flipped = len(fallen) >= 3
    if flipped != (one.passive != other.passive) and (flipped or _straight([place[t] for t in both])):
        if flipped:
            seen = [both[i][0] for i in fallen]
            return ("role", " ".join(seen), " ".join(reversed(seen)))
        return ("role", " ".join(one.order), " ".join(other.order))
    return None


def _numbered(order: Sequence[str]) -> list[tuple[str, int]]:
    seen: Counter[str] = Counter()
    out = []
    for token in order:
        out.append((token, seen[token]))
        seen[token] += 1
    return out


def _rotated(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether what came last now comes first, and all else is as it was: "if it rains, do I go?", "do I go if it rains?"."""
    if len(one) != len(other) or len(one) > 2 * _SHORT:
        return False
    return any(one[k:] == other[: len(one) - k] and one[:k] == other[len(one) - k :] for k in range(1, len(one)))


def _straight(places: Sequence[int]) -> bool:
    return all(a < b for a, b in pairwise(places))


def _longest_fall(places: Sequence[int]) -> list[int]:
    """Return the positions of a longest falling run; at most the first 60 places are looked at."""
    places = places[:60]
    best: list[list[int]] = []
    for i, p in enumerate(places):
        before = [b for b in best if places[b[-1]] > p]
        best.append([*max(before, key=len, default=[]), i])
    return max(best, key=len, default=[])
