"""Do answers say the same? Each is brought to a canonical form of its own; equal forms are equal answers.

No reference is looked at: this is what a router may know once models have answered. Because every answer is read
alone, being alike is an equivalence, and n answers cost n readings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from routelab.core.values import Prompt
from routelab.scoring import literals, wording
from routelab.scoring.choice import Choice
from routelab.scoring.contains import length
from routelab.scoring.literals import Value
from routelab.scoring.number import numbers, stated
from routelab.scoring.refusal import refused

Match: TypeAlias = Literal["auto", "number", "choice", "json", "text"]
MATCHES: tuple[Match, ...] = ("auto", "number", "choice", "json", "text")

SHORT_WORDS = 16
"""A longer answer is free text: that two of these are equal says nothing, and that they differ says nothing either."""
LONGEST = 200_000
_ANSWER_KEYS = ("answer", "final_answer", "final answer", "finalanswer", "correct_answer")
_HASHES = re.compile(r"^[ \t]*####[ \t]*(\S.*)$", re.MULTILINE)
_LABEL = re.compile(r"[*_`(\[{\"'\s]*([A-Za-z])(?:[*_`)\]}\"'.:]+(?=\s|$)|\s*$)")
_BLANK = re.compile(r"[\s\"'“*_`]*<[^<>]{0,60}>")
_OPTIONS = re.compile(r"^[ \t]*[*_(\[]{0,3}([A-Z])[)\].:]", re.MULTILINE)
# Within a call, "San Francisco, CA" and "San Francisco CA" are one value, as in the Berkeley Function-Calling Leaderboard.
_LOOSE = re.compile(r"[ ,./\-_*^\"']")
_BY_SCORER: dict[str, Match] = {"number": "number", "choice": "choice", "json": "json", "exact": "text", "f1": "text"}
_NUMBER_TASKS = re.compile(r"math|arithmetic|gsm|calcul|mgsm|svamp|aqua|rechn", re.IGNORECASE)
_CHOICE_TASKS = re.compile(
    r"mmlu|multiple.choice|arc_|hellaswag|classif|mcqa|(?:commonsense|openbook)_?qa", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Form:
    """What an answer says: `kind` is number, choice, calls, json or text, `key` is equal for equal answers."""

    kind: str
    key: str

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


def alike(answers: Sequence[str], prompt: Prompt, match: Match = "auto") -> tuple[int, ...]:
    """Return a class a number for each answer, equal for answers that say the same, in order of first appearance.

    An answer without a form (a refusal, long prose) is alone in its class.

    >>> alike(["The answer is 42.", "**Answer:** 42.0", "41"], Prompt.of("How many?"))
    (0, 0, 1)
    """
    classes: dict[object, int] = {}
    found = []
    for i, answer in enumerate(answers):
        made = form(answer, prompt, match)
        found.append(classes.setdefault(("alone", i) if made is None else made, len(classes)))
    return tuple(found)


def form(answer: str, prompt: Prompt, match: Match = "auto") -> Form | None:
    """Return the canonical form of an answer, or None when it has none that could be compared.

    `match` says what kind of answer is wanted; "auto" goes by the kind of the prompt's scorer, its task's name, and
    else by the answer itself: a value or call in JSON or Python, what follows "Answer:", "####" or stands in a box,
    or the whole of a short answer.
    """
    wanted = wished(prompt) if match == "auto" else match
    return _form(answer, wanted, _options(prompt) if wanted == "choice" else (), match != "text")


# Gates, replays and fits ask for the same answers again and again, and a reading takes half a millisecond.
@lru_cache(maxsize=1 << 15)
def _form(answer: str, wanted: Match, options: tuple[str, ...], bound: bool) -> Form | None:
    if not answer.strip() or len(answer) > LONGEST or refused(answer) is not None:
        return None
    value = literals.read(answer) if bound else None
    if value is not None and value[0] in literals.STRUCTURED:
        made = _of_value(value, options, wanted)
        if made is not None or wanted == "json":
            return made
    return None if wanted == "json" else _of_text(answer, options, wanted, bound=bound)


def wished(prompt: Prompt) -> Match:
    """Return which kind of answer a prompt wants by its scorer's kind or its task's name, "auto" when these do not say."""
    kind = (prompt.scorer or {}).get("kind")
    if isinstance(kind, str) and kind in _BY_SCORER:
        return _BY_SCORER[kind]
    task = prompt.task or ""
    return "number" if _NUMBER_TASKS.search(task) else "choice" if _CHOICE_TASKS.search(task) else "auto"


def _of_value(value: Value, options: tuple[str, ...], wanted: Match) -> Form | None:
    if (called := literals.calls(value)) is not None:
        return Form(kind="calls", key=_spelled(("list", *called)))
    if value[0] == "list" and len(value) == 2 and value[1][0] == "text" and wanted != "json":
        return _of_text(value[1][1], options, wanted, committed=True)  # "[B]"
    if value[0] == "mapping":
        pairs = {key.casefold(): held for key, held in value[1:]}
        inner = next((pairs[k] for k in _ANSWER_KEYS if k in pairs), None)
        if inner is not None and inner[0] in ("number", "text"):
            return _of_text(inner[1], options, wanted, committed=True)
        if inner is not None:
            return Form(kind="json", key=_spelled(inner))
    return Form(kind="json", key=_spelled(value)) if wanted in ("auto", "json") else None


def _of_text(
    answer: str, options: tuple[str, ...], wanted: Match, *, committed: bool = False, bound: bool = True
) -> Form | None:
    said = answer if committed else _commitment(answer)
    if said is not None and _BLANK.match(said):
        return None  # the question's own "Answer: <number>", quoted
    if wanted == "number":
        readings, _ = stated(answer if said is None else f"Answer: {said}")
        return Form(kind="number", key=literals.number(readings[0])[1]) if readings else None
    if wanted == "choice":
        named = Choice(answer=options[0], options=options).named(f"Answer: {answer}" if committed else answer)
        return Form(kind="choice", key=wording.folded(named[0])) if len(named) == 1 else None
    line = wording.first_line(answer if said is None else said)
    if said is None and bound and length(answer) > SHORT_WORDS:
        return None
    if wanted == "auto" and (detected := _detected(line)) is not None:
        return detected
    text = line if bound else answer
    if bound and length(text) > SHORT_WORDS:
        return None
    forms = wording.forms(wording.folded(text))
    return Form(kind="text", key=forms[-1]) if forms else None


def _detected(line: str) -> Form | None:
    """Return a number or a letter if that is what a short line says."""
    label = _LABEL.match(line)
    if label is not None and (line.strip() != "I" or label[1] != "I"):
        return Form(kind="choice", key=label[1].casefold())
    found = list(numbers(line)) if len(line) <= 200 else []
    # "540 meters a week" is a number with its unit; "3 cats and 5 dogs", or a sentence around a year, is a text.
    if len(found) == 1 and length(line) <= 5:
        return Form(kind="number", key=literals.number(found[0][0][0])[1])
    return None


def _options(prompt: Prompt) -> tuple[str, ...]:
    """Return the options of a choice: those of the prompt's scorer, else the letters that stand in its text."""
    scorer = prompt.scorer or {}
    given = scorer.get("options") if scorer.get("kind") == "choice" else None
    return tuple(given) if isinstance(given, (list, tuple)) and len(given) > 1 else _listed(prompt.text)


def _listed(question: str) -> tuple[str, ...]:
    """Return the letters that a question labels its options with, A to E when it labels none."""
    letters = {match[1] for match in _OPTIONS.finditer(question)}
    run = next((k for k in range(26) if chr(65 + k) not in letters), 26)
    return tuple(chr(65 + k) for k in range(run if run > 1 else 5))


def _commitment(answer: str) -> str | None:
    marked = None
    for marked in _HASHES.finditer(answer):  # noqa: B007 - the last one is wanted
        pass
    # Four hashes are also a heading; the answer to a problem of GSM8K stands there as a number.
    if marked is not None and stated(marked[1])[0]:
        return marked[1]
    return wording.commitment(answer)


def _spelled(value: Value) -> str:
    """Return a value as a text: strings folded, everything else as it is."""
    if value[0] == "text":
        return repr(_LOOSE.sub("", wording.folded(value[1])))
    if value[0] in ("number", "word"):
        return str(value[1])
    if value[0] == "list":
        return "[" + ", ".join(map(_spelled, value[1:])) + "]"
    if value[0] == "call":
        return f"{value[1]}(" + ", ".join(f"{k}={_spelled(v)}" for k, v in value[2:]) + ")"
    return "{" + ", ".join(f"{k!r}: {_spelled(v)}" for k, v in value[1:]) + "}"
