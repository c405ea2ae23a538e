"""Weighing the words that are left over when two texts are held against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from routelab.caching.guarding.frames import slot
from routelab.caching.guarding.opposites import opposed
from routelab.caching.guarding.signature import Signature
from routelab.caching.guarding.stems import american, listed
from routelab.caching.guarding.synonyms import groups

_ENDINGS = frozenset(
    listed(
        "ment ion tion ation ition sion al ial ual ive able ible ity ty ness ful y ly ily ally i an ian n ese ish ance ence ist ism age ure ic ical ically ize iz ization en th ed d e s es ing tory ory is it"
    )
) | {""}
Found: TypeAlias = tuple[str, str, str] | None
"""The kind, what the one text has, what the other has."""
_SLOT = 3
_MOST = 100
"""Words apart beyond which texts are not the same, and nobody holds each word against each."""


def content(one: Signature, other: Signature, *, strict: bool) -> Found:
    """Weigh the words that are left over: one on each side that nothing relates is a change of subject."""
    if not (one.english and other.english):
        return _replaced(one, other)
    mine = [(r, s) for r, s in one.words.items() if r not in other.tokens]
    yours = [(r, s) for r, s in other.words.items() if r not in one.tokens]
    if not mine and not yours:
        return _repeated(one, other)
    # So many words apart are another text, and each would be held against each.
    if max(len(mine), len(yours)) > _MOST:
        return ("topic", said(s for _, s in mine[:5]), said(s for _, s in yours[:5]))
    mine, yours = _unabridged(mine, yours)
    yours, mine = _unabridged(yours, mine)
    asked = [surface for root, surface in mine if not _covered(root, surface, other, one)]
    known = [surface for root, surface in yours if not _covered(root, surface, one, other)]
    if asked and known:
        # "It failed" is "it was not successful".
        turned = [word for word in (*asked, *known) if _turned(word, one, other) or _turned(word, other, one)]
        asked, known = [w for w in asked if w not in turned], [w for w in known if w not in turned]
    if asked and known:
        return ("topic", said(asked), said(known))
    if asked or known:
        left, right = slot(one.line, other.line)
        # One thing put for another, not one thing said in two ways.
        if max(len(left), len(right)) <= _SLOT and set(left).isdisjoint(right):
            light = _light(right, other, one) if asked else _light(left, one, other)
            if left and right and light:
                return ("topic", said(asked or light), said(known or light))
    shared = len(one.words.keys() & other.tokens)
    if len(asked or known) > (0 if strict else max(1, shared // 2)):
        return ("topic", said(asked), said(known))
    return None


def _turned(word: str, own: Signature, other: Signature) -> bool:
    low = word.casefold()
    return own.roots.get(low) in own.denied and opposed(low, other.tokens) is not None


def _light(part: Sequence[str], own: Signature, other: Signature) -> list[str]:
    """Return the light words that stand in the very place where the other text has a content word: "take" for "miss"."""
    units = set(own.units) - set(other.units)
    if units and part:
        return sorted(units)
    return [
        root
        for root in part
        if root in own.light and root not in other.tokens and other.groups.isdisjoint(groups(root, root))
    ]


def leftover(one: Signature, other: Signature) -> set[str]:
    """Return the stems of the content words of one text that the other says in no way; all that are missing, beyond a hundred."""
    missing = [(root, surface) for root, surface in one.words.items() if root not in other.tokens]
    if len(missing) > _MOST:
        return {root for root, _ in missing}
    return {root for root, surface in missing if not _covered(root, surface, other, one)}


def _replaced(one: Signature, other: Signature) -> Found:
    """Object, in any language, when the texts are the same but for a word or two that are no forms of the others."""
    if len(one.sequence) < 2 or len(other.sequence) < 2:
        return None
    left, right = slot(one.sequence, other.sequence)
    if not left or len(left) != len(right) or len(left) > min(_SLOT, len(one.sequence) - len(left)):
        return None
    if any(a[:3] == b[:3] or kindred(a, b) or min(len(a), len(b)) < 3 for a in left for b in right):
        return None
    if len(left) == 1 and min(len(left[0]), len(right[0])) < 4:
        return None
    return ("topic", " ".join(left), " ".join(right))


def _unabridged(
    whole: list[tuple[str, str]], short: list[tuple[str, str]]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return both without the words that one acronym stands for, and without the acronym."""
    initials = "".join(root[0] for root, _ in whole)
    if len(initials) >= 3 and any(root == initials for root, _ in short):
        return [], [pair for pair in short if pair[0] != initials]
    return whole, short


def _repeated(one: Signature, other: Signature) -> Found:
    """Object when both say the same words, but one says this word twice and the other that."""
    left, right = Counter(one.order) - Counter(other.order), Counter(other.order) - Counter(one.order)
    mine, yours = [t for t in left if t in one.words], [t for t in right if t in other.words]
    return ("topic", said(mine), said(yours)) if mine and yours else None


def _covered(root: str, surface: str, other: Signature, own: Signature) -> bool:
    """Return whether another text says a word in another way."""
    low = american(surface.casefold())
    if root in other.joined or low in other.joined:
        return True
    both = own.joined & other.tokens
    if both and any(root in whole for whole in both):
        return True
    if not other.groups.isdisjoint(groups(low, root)) or _inflected(low, other.tokens):
        return True
    start = root[:3]
    return any(word.startswith(start) and kindred(root, word) for word in other.words)


def _inflected(word: str, tokens: frozenset[str]) -> bool:
    """Return whether short words with a silent e, which stems keep apart, are one: cure and cured, rate and rating."""
    forms = (word + "d", word[:-1] + "ing") if word.endswith("e") else (word[:-1],) if word.endswith("ed") else ()
    return any(form in tokens for form in forms) or (word.endswith("ing") and word[:-3] + "e" in tokens)


def kindred(one: str, other: str) -> bool:
    """Return whether two stems are one word derived or mistyped: payment and pay, India and Indian, recieve and receive.

    Only endings of derivation count: car and carpet, pass and password are two words each.
    """
    shared = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    ends = {one[shared:], other[shared:]}
    if shared >= 4 and ends <= _ENDINGS and ("" in ends or shared >= 5):
        return True
    if shared == 3 and ends <= {"", "ment"}:
        return True
    return min(len(one), len(other)) >= 6 and _slipped(one, other)


def _slipped(one: str, other: str) -> bool:
    """Return whether one letter was doubled or two neighbours changed places."""
    if len(one) == len(other):
        unlike = [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
        return (
            len(unlike) == 2
            and unlike[1] == unlike[0] + 1
            and one[unlike[0]] == other[unlike[1]]
            and one[unlike[1]] == other[unlike[0]]
        )
    return _single(one) == _single(other)


def _single(word: str) -> str:
    return "".join(c for i, c in enumerate(word) if i == 0 or c != word[i - 1])


def said(items: Iterable[str]) -> str:
    """Return the words with commas between, each once: a list in its order, a set by the alphabet."""
    different = dict.fromkeys(items)
    return ", ".join(different if isinstance(items, (list, tuple)) else sorted(different))
