"""What the order of words says in English: forms of asking, what is denied, and from what to what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from routelab.caching.guarding.stems import listed, stem
from routelab.caching.guarding.words import EXCEPTIONS, FUNCTION, NEGATORS

_FORMS = {"how": "how", "why": "why", "when": "when", "where": "where", "who": "who", "whom": "who", "whose": "who", "what": "what", "which": "what"}  # fmt: skip
_AMOUNTS = {
    "much": "how much",
    "many": "how many",
    "long": "how long",
    "often": "how often",
    "frequently": "how often",
    "far": "how far",
    "old": "how old",
    "tall": "how tall",
    "fast": "how fast",
    "deep": "how deep",
    "soon": "when",
    "come": "why",
}
ASKING = frozenset(
    listed("am is are was were do does did can could will would shall should may might must has have had")
)
_GOALS = {"from": "from", "to": "to", "into": "to", "onto": "to", "than": "than"}
_BEFORE_VERBS = frozenset(
    listed(
        "how want need like have has had try trying way able going used supposed allowed possible where what when whether it me"
        " us them possible possible best steps command and or"
    )
)
_REACH = 4
"""How many words further on a negator or a preposition finds what it is about."""


def forms(words: Sequence[str]) -> frozenset[str]:
    """Return the forms of asking in a text: "how", "why", "how many", ..., or "whether" for a question to be answered yes or no."""
    found: set[str] = set()
    for i, word in enumerate(words):
        form = _FORMS.get(word)
        if form is None:
            continue
        after = words[i + 1] if i + 1 < len(words) else ""
        if form == "how":
            form = _AMOUNTS.get(after, "how")
        elif form == "what" and after in ("time", "date", "day", "year"):
            form = "when"
        elif form == "who" and (word == "whom" or after in ("do", "does", "did")):
            form = "whom"
        elif (form == "when" and i > 0 and not found) or (form == "who" and i > 2):
            continue
        found.add(form)
    if (
        not found
        and words
        and words[0] in ASKING
        and not (len(words) > 1 and words[0] in ("can", "could", "would", "will") and words[1] == "you")
    ):
        found.add("whether")
    return frozenset(found)


def asked_first(word: str) -> bool:
    """Return whether a word opens a question: how, why, which."""
    return word in _FORMS


def deniers(words: Sequence[str]) -> tuple[str, ...]:
    """Return the pronouns of whom something is denied: "i" in "I can't hear them"."""
    return tuple(
        "i" if words[j] == "we" else words[j]
        for i, word in enumerate(words)
        if word == "not"
        for j in range(max(0, i - 2), i)
        if words[j] in ("i", "we", "you", "he", "she", "it", "they")
    )


def stuck(words: Sequence[str]) -> bool:
    """Return whether somebody says what he cannot do, and asks nothing: "I can't find my invoice"."""
    able = any(
        words[i + 1 : i + 2] == ["not"] or words[i - 1 : i] == ["not"]
        for i, word in enumerate(words)
        if word in ("can", "could", "able") and "i" in words[max(0, i - 3) : i + 3]
    )
    return able and not any(word in _FORMS for word in words)


def denied(words: Sequence[str]) -> frozenset[str]:
    """Return the stems of what a text denies or excepts: the next word that says something.

    >>> sorted(denied("reload it without losing changes if it does not work".split()))
    ['los', 'work']
    """
    return frozenset(stem(near[0]) for near in _behind_negators(words) if near)


def doubted(words: Sequence[str]) -> frozenset[str]:
    """Return the stems of all that stands so near behind a negator that it may be denied."""
    return frozenset(stem(word) for near in _behind_negators(words) for word in near)


def _behind_negators(words: Sequence[str]) -> list[list[str]]:
    found = []
    for i, word in enumerate(words):
        if word not in NEGATORS and word not in EXCEPTIONS:
            continue
        near = words[i + 1 : i + 1 + _REACH]
        found.append([w for w in near if w not in FUNCTION and w not in NEGATORS and w != "able"])
    return found


def ends(words: Sequence[str], stems: Sequence[str]) -> Mapping[str, frozenset[str]]:
    """Return the stems of what stands behind "from", "to" and "than", by preposition; an infinitive is none.

    >>> sorted((p, *sorted(w)) for p, w in ends("merge main into the release branch".split(), "merg main into the releas branch".split()).items())
    [('to', 'branch', 'releas')]
    """
    found: dict[str, set[str]] = {}
    for i, word in enumerate(words):
        goal = _GOALS.get(word)
        if goal is None or (word == "to" and (i == 0 or words[i - 1] in _BEFORE_VERBS)):
            continue
        for j in range(i + 1, min(i + 1 + _REACH, len(words))):
            if words[j] in ("a", "an", "the", "my", "your", "our", "their", "his", "her", "its"):
                continue
            if words[j] in FUNCTION:
                break
            found.setdefault(goal, set()).add(stems[j])
    return {goal: frozenset(what) for goal, what in found.items()}
