"""Comparing two signatures: each check names what differs, or finds nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from routelab.caching.guarding.contents import Found, content, kindred, leftover, said
from routelab.caching.guarding.frames import alike
from routelab.caching.guarding.opposites import opposed
from routelab.caching.guarding.roles import roles
from routelab.caching.guarding.signature import Signature
from routelab.caching.guarding.stems import listed
from routelab.caching.guarding.synonyms import groups

_READ = 1_500
"""Characters of which an embedder of sentences, with its 256 tokens or so, has surely read the end."""
_SWAPS = (
    ("on", "off"),
    ("in", "out"),
    ("up", "down"),
    ("before", "after"),
    ("above", "below"),
    ("over", "under"),
    ("before", "during"),
    ("after", "during"),
    ("for", "against"),
    ("from", "to"),
)
_PARTICLES = frozenset(listed("on off in out up down over under"))
"""Words that stand in so many phrases that only the same place in the same frame makes opposites of them."""
_WAYS = frozenset({"how", "where"})
_CLEAR = frozenset({"how", "why", "when", "where", "who", "whom", "how much", "how many", "how long", "how often", "how far", "how old", "how tall", "how fast", "how deep", "whether"})  # fmt: skip
_ASIDE = frozenset({"when", "where", "who", "whom", "how often", "how far", "how old"})
"""Forms that "what" is none of, unless it says of what: what time, what place, what age."""
_SAYING = frozenset(
    listed(
        "time times date day days hour hours year month week moment place location spot site age distance person people"
    )
)
_COUNTS = frozenset(
    listed("number count amount quantity population total size many much percentage share length age height")
)
_MOST = 100
_REASONS = frozenset(
    listed(
        "cause caus reason purpose motive make mak explain why come com matter wrong happen significance point sense lead lie behind"
    )
)
_AKIN = frozenset({frozenset({"how", "where"}), frozenset({"when", "how long"}), frozenset({"how much", "how many"}), frozenset({"how long", "how fast"})})  # fmt: skip


def compare(one: Signature, other: Signature, *, strict: bool) -> Found:
    """Return the first difference that a wrong answer could hang on, in a fixed order of kinds.

    Inside one frame, whatever differs counts. Between two frames only what contradicts does: what one text alone says may be what
    the other leaves to be understood. `strict` takes all texts for one frame, and objects to a content word that one text adds, too.
    """
    if one.key == other.key:
        return None
    # Of several differences the same one is named, whichever text was asked.
    if one.key > other.key:
        found = _first(other, one, strict)
        return None if found is None else (found[0], found[2], found[1])
    return _first(one, other, strict)


def _first(one: Signature, other: Signature, strict: bool) -> Found:
    if one.long or other.long:
        return ("length", f"{len(one.key)} characters", f"{len(other.key)} characters")
    if one.plain == other.plain:
        return None
    # No embedding has read the end of a long text: nothing speaks for what differs there.
    framed = strict or max(len(one.key), len(other.key)) > _READ or alike(one, other)
    for check in CHECKS:
        found = check(one, other, framed)
        if found is not None:
            return found
    return content(one, other, strict=strict) if framed else None


def script(one: Signature, other: Signature, framed: bool) -> Found:
    """Object when the texts are in different scripts."""
    if one.script and other.script and one.script != other.script:
        return ("language", one.script.lower(), other.script.lower())
    return None


def codes(one: Signature, other: Signature, framed: bool) -> Found:
    """Object when code, an address, a flag or an operator is in one text alone."""
    mine, yours = _unmatched_codes(one, other), _unmatched_codes(other, one)
    if (mine and yours) or (framed and (mine or yours)):
        return ("code", said(mine), said(yours))
    if one.signs != other.signs and one.line == other.line:
        return ("code", said(one.signs), said(other.signs))
    if framed and one.signs != other.signs:
        left, right = Counter(one.signs) - Counter(other.signs), Counter(other.signs) - Counter(one.signs)
        if (left and right) or any(len(sign) > 1 or sign == "#" for sign in (*left, *right)):
            return ("code", said(left), said(right))
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


def numbers(one: Signature, other: Signature, framed: bool) -> Found:
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
    if (left and right) or (framed and (left or right)):
        return ("number", said(left), said(right))
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


def units(one: Signature, other: Signature, framed: bool) -> Found:
    """Object when both texts name a unit or a currency that the other does not."""
    if one.units == other.units:
        return None
    left, right = Counter(one.units) - Counter(other.units), Counter(other.units) - Counter(one.units)
    if {"celsius", "fahrenheit"} & {*one.units, *other.units}:
        # Degrees are of the scale that either names.
        del left["degree"], right["degree"]
    if left and right:
        return ("unit", said(left), said(right))
    return None


def dates(one: Signature, other: Signature, framed: bool) -> Found:
    """Object when a day, month, hour or "last" is in one text alone."""
    if one.dates == other.dates:
        return None
    left, right = set(one.dates) - set(other.dates), set(other.dates) - set(one.dates)
    if "today" in left | right and "this" in left | right:
        return None
    # Today is what is meant when no day is named.
    if (left | right) <= {"today", "this"} and not (left and right):
        return None
    if (left and right) or (framed and (left or right)):
        return ("date", said(left), said(right))
    return None


def negations(one: Signature, other: Signature, framed: bool) -> Found:
    """Object when one text denies, or excepts, what the other says; in one frame, when only one of them denies anything."""
    mine, yours = set(one.deniers), set(other.deniers)
    if mine and yours and mine.isdisjoint(yours) and mine <= other.tokens and yours <= one.tokens:
        return ("negation", f"not {said(mine)}", f"not {said(yours)}")
    if one.negations == other.negations and one.exceptions == other.exceptions and one.denied == other.denied:
        return None
    # What somebody cannot do is what another asks how to do.
    if (one.stuck and not _WAYS.isdisjoint(other.forms)) or (other.stuck and not _WAYS.isdisjoint(one.forms)):
        return None
    if framed and not _turned(one, other) and not _turned(other, one):
        if bool(one.negations) != bool(other.negations):
            return ("negation", said(one.negations), said(other.negations))
        if bool(one.exceptions) != bool(other.exceptions) and not (one.negations and other.negations):
            return ("negation", said(one.exceptions), said(other.exceptions))
        if len(one.negations) % 2 != len(other.negations) % 2:
            return ("negation", said(one.negations), said(other.negations))
    mine, yours = _contradicted(one, other), _contradicted(other, one)
    # Where both deny something, only two contradictions are one: "calls come but messages do not" and the reverse.
    if (mine and yours) or ((mine or yours) and not (one.denied and other.denied)):
        return ("negation", f"not {said(mine)}" if mine else "", f"not {said(yours)}" if yours else "")
    return None


def _turned(one: Signature, other: Signature) -> bool:
    """Return whether one text denies what the other says with an opposite: not safe and unsafe, no sugar and sugar-free."""
    if "free" in other.tokens and one.denied and one.denied <= other.words.keys():
        return True
    return not other.negations and any(opposed(root, other.tokens) is not None for root in one.denied)


def _contradicted(one: Signature, other: Signature) -> set[str]:
    """Return what one text denies and the other says without denying it; "sugar-free" and "I try to" deny, too."""
    if "free" in other.tokens or "try" in other.tokens:
        return set()
    return {root for root in one.denied - other.doubted if root in other.words or root in other.light}


def polarity(one: Signature, other: Signature, framed: bool) -> Found:
    """Object when one text has a word and the other its opposite, and nothing turns it round again."""
    if framed and one.particles != other.particles:
        left, right = _surplus(one.particles, other.particles), _surplus(other.particles, one.particles)
        for a, b in _SWAPS if left and right else ():
            if (a in left and b in right) or (b in left and a in right):
                return ("polarity", a if a in left else b, b if a in left else a)
    if not framed and one.against.isdisjoint(other.tokens):
        return None
    mine, yours = _plain(one, other), _plain(other, one)
    if not mine or not yours:
        return None
    for word in sorted(mine if framed else mine - _PARTICLES):
        found = opposed(word, yours, framed)
        if found is not None and not _reconciled(one, other, word, found, framed):
            return ("polarity", word, found)
    return None


def _reconciled(one: Signature, other: Signature, mine: str, yours: str, framed: bool) -> bool:
    """Return whether two opposites do not oppose the texts that they are in."""
    # "Acidic or basic?" has both already.
    if opposed(mine, one.tokens, False) or opposed(yours, other.tokens, False):
        return True
    left, right = one.roots.get(mine, mine), other.roots.get(yours, yours)
    if (left in one.denied) != (right in other.denied):
        return True
    # "Is A faster than B?" is "Is B slower than A?".
    if "than" in one.ends and "than" in other.ends and one.ends["than"] != other.ends["than"]:
        return True
    # Between two frames, more words that only one of them has may turn it round.
    return not framed and bool(leftover(one, other) - {left}) and bool(leftover(other, one) - {right})


def _surplus(these: Sequence[str], those: Sequence[str]) -> Counter[str]:
    return Counter(these) - Counter(those)


def _plain(one: Signature, other: Signature) -> set[str]:
    """Return the words, and their stems, that one has and the other does not, function words too: opposites hide among them."""
    return {
        token
        for token in one.tokens - other.tokens
        if (root := one.roots.get(token, token)) not in other.tokens and other.groups.isdisjoint(groups(token, root))
    }


def names(one: Signature, other: Signature, framed: bool) -> Found:
    """Object when a name is in one text alone, or, in other languages than English, when each has its own."""
    mine, yours = _foreign(one, other), _foreign(other, one)
    if not mine and not yours:
        return None
    if (mine and yours) or (framed and one.english and other.english):
        inner = any(c.isupper() for surface in (*mine, *yours) for c in surface[1:])
        kind = "entity" if inner or any(surface.isupper() for surface in (*mine, *yours)) else "name"
        return (kind, said(mine), said(yours))
    return None


def _foreign(one: Signature, other: Signature) -> list[str]:
    missing = [
        (root, surface) for root, surface in one.names.items() if root not in other.tokens and root not in other.joined
    ]
    if len(missing) > _MOST:
        return [s for _, s in missing[:5]]
    return [
        surface
        for root, surface in missing
        if other.groups.isdisjoint(groups(surface.casefold(), root))
        and not any(kindred(root, t) for t in other.words)
        and not _initials(surface, other)
    ]


def _initials(surface: str, other: Signature) -> bool:
    """Return whether the other text has the words that an acronym stands for, one after the other."""
    low = surface.casefold()
    if not surface.isupper() or not 3 <= len(low) <= 6:
        return False
    return low in "".join(word[0] for word in other.order)


def questions(one: Signature, other: Signature, framed: bool) -> Found:
    """Object when the texts clearly ask for different things: how and why, must and can."""
    same = one.words.keys() == other.words.keys()
    if not framed and not same:
        return None
    left, right = one.forms & _CLEAR, other.forms & _CLEAR
    if one.passive != other.passive:
        left, right = left - {"whom"}, right - {"whom"}
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
            return ("question", said(one.forms), said(other.forms))
        if (
            same
            and known.forms == {"what"}
            and "what" not in asked.forms
            and not _ASIDE.isdisjoint(asked.forms)
            and _SAYING.isdisjoint(known.tokens)
        ):
            return ("question", said(one.forms), said(other.forms))
        # What has to be done is not why; what is the reason of it is.
        if framed and asked.forms == {"why"} and known.forms == {"what"} and _REASONS.isdisjoint(known.tokens):
            return ("question", said(one.forms), said(other.forms))
    if not left or not right or left & right or "what" in one.forms | other.forms:
        return None
    if any(frozenset({a, b}) in _AKIN for a in left for b in right):
        return None
    return ("question", said(left), said(right))


def _must(one: Signature, other: Signature) -> bool:
    return one.modal == "must" and other.modal in ("can", "may", "could")


CHECKS: tuple[Callable[[Signature, Signature, bool], Found], ...] = (
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
