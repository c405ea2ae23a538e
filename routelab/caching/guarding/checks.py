"""Comparing two signatures: each check names what differs, or finds nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

from routelab.caching.guarding.opposites import OPPOSITES, opposed
from routelab.caching.guarding.reading import Signature
from routelab.caching.guarding.stems import american, listed
from routelab.caching.guarding.synonyms import groups

Found: TypeAlias = tuple[str, str, str] | None
"""The kind, what the one text has, what the other has."""

_SWAPS = (
    ("on", "off"),
    ("in", "out"),
    ("up", "down"),
    ("before", "after"),
    ("above", "below"),
    ("over", "under"),
    ("before", "during"),
    ("after", "during"),
)
_ENDINGS = frozenset(
    listed(
        "ment ion tion ation ition sion al ial ual ive able ible ity ty ness ful y ly ily ally i an ian n ese ish ance ence ist ism age ure ic ical ically ize iz ization en th ed d e s es ing tory ory is it"
    )
) | {""}
_CLEAR = frozenset({"how", "why", "when", "where", "who", "how much", "how many", "how long", "how often", "how far", "how old", "how tall", "how fast", "how deep", "whether"})  # fmt: skip
_COUNTS = frozenset(
    listed("number count amount quantity population total size many much percentage share length age height")
)
_MOST = 100
_REASONS = frozenset(
    listed(
        "cause caus reason purpose motive make mak explain why come com matter wrong happen significance point sense lead lie behind"
    )
)
_AKIN = frozenset({frozenset({"how", "whether"}) - {"how"}, frozenset({"when", "how long"}), frozenset({"how much", "how many"}), frozenset({"how long", "how fast"})})  # fmt: skip


def compare(one: Signature, other: Signature, *, strict: bool) -> Found:
    """Return the first difference that a wrong answer could hang on, in a fixed order of kinds.

    `strict` objects to a content word that one text adds, too.
    """
    if one.key == other.key:
        return None
    if one.long or other.long:
        return ("length", f"{len(one.key)} characters", f"{len(other.key)} characters")
    if one.plain == other.plain:
        return None
    for check in CHECKS:
        found = check(one, other)
        if found is not None:
            return found
    return content(one, other, strict=strict)


def script(one: Signature, other: Signature) -> Found:
    """Object when the texts are in different scripts."""
    if one.script and other.script and one.script != other.script:
        return ("language", one.script.lower(), other.script.lower())
    return None


def codes(one: Signature, other: Signature) -> Found:
    """Object when code, an address, a flag or an operator is in one text alone."""
    mine, yours = _unmatched_codes(one, other), _unmatched_codes(other, one)
    if mine or yours:
        return ("code", _said(mine), _said(yours))
    if one.signs != other.signs:
        left, right = Counter(one.signs) - Counter(other.signs), Counter(other.signs) - Counter(one.signs)
        if (left and right) or any(len(sign) > 1 or sign == "#" for sign in (*left, *right)):
            return ("code", _said(left), _said(right))
    return None


def _unmatched_codes(one: Signature, other: Signature) -> list[str]:
    found = []
    for norm, surface in one.codes.items():
        if norm in other.codes or norm in other.tokens or norm in other.joined:
            continue
        parts = [p for p in _split_code(norm) if p]
        # sin(x) is sin x, example.org/docs is https://example.org/docs: the same pieces, said with other signs
        if parts and all(p in other.tokens or p in other.numbers for p in parts) and any(len(p) > 1 for p in parts):
            continue
        found.append(surface)
    return found


def _split_code(norm: str) -> list[str]:
    out, piece = [], ""
    for c in norm:
        if c.isalnum():
            piece += c
        else:
            out.append(piece)
            piece = ""
    return [*out, piece]


def numbers(one: Signature, other: Signature) -> Found:
    """Object when the numbers differ."""
    if one.numbers == other.numbers:
        return None
    left, right = Counter(one.numbers) - Counter(other.numbers), Counter(other.numbers) - Counter(one.numbers)
    _pair_ones(left, right)
    # "one" in words is an article as often as a number.
    for a, b in ((left, right), (right, left)):
        if set(a) == {"one"} and not b:
            a.clear()
    # Said twice on one side is not another number.
    if left and all(n in other.numbers for n in left) and not right:
        left.clear()
    if right and all(n in one.numbers for n in right) and not left:
        right.clear()
    if left or right:
        return ("number", _said(left), _said(right))
    return None


def _pair_ones(left: Counter[str], right: Counter[str]) -> None:
    for a, b in ((left, right), (right, left)):
        paired = min(a["one"], b["1"])
        if paired:
            a["one"] -= paired
            b["1"] -= paired
    for c in (left, right):
        for key in [k for k, n in c.items() if n <= 0]:
            del c[key]


def units(one: Signature, other: Signature) -> Found:
    """Object when both texts name a unit or a currency that the other does not."""
    if one.units == other.units:
        return None
    left, right = set(one.units) - set(other.units), set(other.units) - set(one.units)
    for these, those in ((left, right), (right, left)):
        # Degrees are of the scale that the other names.
        if "degree" in these and not those.isdisjoint(("celsius", "fahrenheit")):
            these.discard("degree")
    if left and right:
        return ("unit", _said(left), _said(right))
    return None


def dates(one: Signature, other: Signature) -> Found:
    """Object when a day, month, hour or "last" is in one text alone."""
    if one.dates == other.dates:
        return None
    left, right = set(one.dates) - set(other.dates), set(other.dates) - set(one.dates)
    # Today is what is meant when no day is named.
    if (left | right) <= {"today", "this"} and not (left and right):
        return None
    if left or right:
        return ("date", _said(left), _said(right))
    return None


def negations(one: Signature, other: Signature) -> Found:
    """Object when one text denies, or excepts, and the other does not."""
    if bool(one.negations) != bool(other.negations):
        return ("negation", _said(one.negations), _said(other.negations))
    if bool(one.exceptions) != bool(other.exceptions) and not (one.negations and other.negations):
        return ("negation", _said(one.exceptions), _said(other.exceptions))
    if len(one.negations) % 2 != len(other.negations) % 2:
        return ("negation", _said(one.negations), _said(other.negations))
    mine, yours = set(one.deniers), set(other.deniers)
    if mine and yours and mine.isdisjoint(yours) and mine <= other.tokens and yours <= one.tokens:
        return ("negation", f"not {_said(mine)}", f"not {_said(yours)}")
    return None


def polarity(one: Signature, other: Signature) -> Found:
    """Object when one text has a word and the other its opposite."""
    if one.particles != other.particles:
        left, right = _surplus(one.particles, other.particles), _surplus(other.particles, one.particles)
        for a, b in _SWAPS if left and right else ():
            if (a in left and b in right) or (b in left and a in right):
                return ("polarity", a if a in left else b, b if a in left else a)
    mine, yours = _plain(one, other), _plain(other, one)
    if not mine or not yours:
        return None
    # Words that are opposite by a prefix end alike: few need the slow look.
    ends = {word[-3:] for word in yours}
    for word in sorted(mine):
        other_word = opposed(word, yours, word[-3:] in ends)
        if other_word is not None:
            return ("polarity", word, other_word)
    return None


def _surplus(these: Sequence[str], those: Sequence[str]) -> Counter[str]:
    return Counter(these) - Counter(those)


def _plain(one: Signature, other: Signature) -> set[str]:
    """Return the words, and their stems, that one has and the other does not, function words too: opposites hide among them."""
    return {
        token
        for token in one.tokens - other.tokens
        if (root := one.roots.get(token, token)) not in other.tokens and other.groups.isdisjoint(groups(token, root))
    }


def names(one: Signature, other: Signature) -> Found:
    """Object when a name is in one text alone, or, in other languages than English, when each has its own."""
    mine, yours = _foreign(one, other), _foreign(other, one)
    if not mine and not yours:
        return None
    if (mine and yours) or (one.english and other.english):
        first = (mine or yours)[0]
        kind = "entity" if first.isupper() or any(c.isupper() for c in first[1:]) else "name"
        return (kind, _said(mine), _said(yours))
    return None


def _foreign(one: Signature, other: Signature) -> list[str]:
    missing = [
        (root, surface) for root, surface in one.names.items() if root not in other.tokens and root not in other.joined
    ]
    if len(missing) > _MOST:
        return [s for _, s in missing[:5]]
    return [s for root, s in missing if not any(_alike(root, t) for t in other.words) and not _initials(s, other)]


def _initials(surface: str, other: Signature) -> bool:
    """Return whether the other text has the words that an acronym stands for, one after the other."""
    low = surface.casefold()
    if not surface.isupper() or not 3 <= len(low) <= 6:
        return False
    return low in "".join(word[0] for word in other.order)


def questions(one: Signature, other: Signature) -> Found:
    """Object when the texts clearly ask for different things: how and why, must and can."""
    left, right = one.forms & _CLEAR, other.forms & _CLEAR
    if _must(one, other) or _must(other, one):
        return ("question", *(("must", "can") if _must(one, other) else ("can", "must")))
    for asked, known in ((one, other), (other, one)):
        # "What is it in dollars?" asks how many dollars, too.
        if (
            "how many" in asked.forms
            and known.forms == {"what"}
            and not asked.units
            and _COUNTS.isdisjoint(known.tokens)
        ):
            return ("question", _said(one.forms), _said(other.forms))
        # What has to be done is not why; what is the reason of it is.
        if asked.forms == {"why"} and known.forms == {"what"} and _REASONS.isdisjoint(known.tokens):
            return ("question", _said(one.forms), _said(other.forms))
    if not left or not right or left & right or "what" in one.forms | other.forms:
        return None
    if any(frozenset({a, b}) in _AKIN for a in left for b in right):
        return None
    return ("question", _said(left), _said(right))


def _must(one: Signature, other: Signature) -> bool:
    return one.modal == "must" and other.modal in ("can", "may", "could")


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
        return ("topic", _said(s for _, s in mine[:5]), _said(s for _, s in yours[:5]))
    mine, yours = _unabridged(mine, yours)
    yours, mine = _unabridged(yours, mine)
    said = [surface for root, surface in mine if not _covered(root, surface, other, one)]
    known = [surface for root, surface in yours if not _covered(root, surface, one, other)]
    if said and known:
        return ("topic", _said(said), _said(known))
    shared = len(one.words.keys() & other.tokens)
    if len(said or known) > (0 if strict else max(1, shared // 2)):
        return ("topic", _said(said), _said(known))
    return None


def _replaced(one: Signature, other: Signature) -> Found:
    """Object, in any language, when the texts are the same but for one word that is no form of the other."""
    if len(one.sequence) != len(other.sequence):
        return None
    unlike = [(a, b) for a, b in zip(one.sequence, other.sequence, strict=True) if a != b]
    if len(unlike) != 1 or len(one.sequence) < 2:
        return None
    a, b = unlike[0]
    same = a[:3] == b[:3] or _alike(a, b) or min(len(a), len(b)) < 4
    return None if same else ("topic", a, b)


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
    return ("topic", _said(mine), _said(yours)) if mine and yours else None


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
    return any(word.startswith(start) and _alike(root, word) for word in other.words)


def _inflected(word: str, tokens: frozenset[str]) -> bool:
    """Return whether short words with a silent e, which stems keep apart, are one: cure and cured, rate and rating."""
    forms = (word + "d", word[:-1] + "ing") if word.endswith("e") else (word[:-1],) if word.endswith("ed") else ()
    return any(form in tokens for form in forms) or (word.endswith("ing") and word[:-3] + "e" in tokens)


def _alike(one: str, other: str) -> bool:
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


def roles(one: Signature, other: Signature) -> Found:
    """Object when two words change places around a third that both texts have between them."""
    mine, yours = _numbered(one.order), _numbered(other.order)
    place = {token: i for i, token in enumerate(yours)}
    both = [token for token in mine if token in place]
    if one.acted_on != other.acted_on and one.words.keys() == other.words.keys() and one.acting != other.acting:
        return ("role", "me" if one.acted_on else "i", "me" if other.acted_on else "i")
    for a, b in pairwise(both):
        if place[a] > place[b] and b[0] in OPPOSITES.get(a[0], ()):
            return ("role", f"{a[0]} {b[0]}", f"{b[0]} {a[0]}")
    size = max(len(mine), len(yours))
    # In a long sentence that was turned round, order says nothing; a swap is all but a repetition.
    if len(both) < 3 or size > 14 or len(both) < 0.7 * size:
        return None
    reversed_ = _longest_fall([place[token] for token in both])
    flipped = len(reversed_) >= 3
    if flipped != (one.passive != other.passive) and (flipped or _straight([place[t] for t in both])):
        if flipped:
            seen = [both[i][0] for i in reversed_]
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


def _said(items: Iterable[str]) -> str:
    return (
        ", ".join(sorted(dict.fromkeys(items)))
        if not isinstance(items, (list, tuple))
        else ", ".join(dict.fromkeys(items))
    )


CHECKS: tuple[Callable[[Signature, Signature], Found], ...] = (
    script,
    codes,
    negations,
    dates,
    numbers,
    units,
    polarity,
    names,
    questions,
    roles,
)
"""In the order in which an objection is looked for; which of them objects does not matter to a hit, only to its reason."""
