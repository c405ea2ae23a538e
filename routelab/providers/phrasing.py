"""What a simulated model says: the reference, a plausible mistake, half of it, more words than needed, or a refusal.

Wording never decides whether an answer is right. Extra sentences are chosen so that the prompt's scorer finds what it
checks: code and JSON in a fenced block, a label or number after "Answer:", and no word more than the scorer allows.
"""

from __future__ import annotations

import json
import re
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from typing import Any

from routelab.core.values import Message, Prompt, draw

REFUSAL = "I'm sorry, but I can't help with that request."

_BEFORE = (
    "Thanks for the details, here is what I came up with.",
    "Sure, happy to help with this one.",
    "Here is my take after going through it carefully.",
)
_AFTER = (
    "Let me know if anything should be changed.",
    "I hope this is useful; tell me if more detail is needed.",
    "Feel free to ask for another version.",
)
_BLOCK = re.compile(r"```.*?```", re.DOTALL)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def truth(prompt: Prompt) -> str | None:
    """Return a right answer: the prompt's reference, else one that its scorer would accept, else None."""
    if prompt.reference is not None:
        return prompt.reference
    scorer = prompt.scorer or {}
    if isinstance(scorer.get("answers"), (list, tuple)) and scorer["answers"]:
        return str(scorer["answers"][0])
    if scorer.get("kind") in ("choice", "number") and "answer" in scorer:
        return str(scorer["answer"])
    if scorer.get("kind") == "json" and "equals" in scorer:
        return json.dumps(scorer["equals"], ensure_ascii=False)
    if scorer.get("kind") == "contains":
        return ", ".join(group[0] for group in _groups(prompt) if group) or None
    return None


def mistakes(prompt: Prompt) -> tuple[str, ...]:
    """Return plausible wrong answers: the prompt's own, else what its scorer and reference suggest; never empty."""
    if prompt.wrong:
        return prompt.wrong
    scorer, right = prompt.scorer or {}, truth(prompt) or ""
    if scorer.get("kind") == "choice":
        others = tuple(str(o) for o in scorer.get("options", ()) if str(o) != str(scorer.get("answer")))
        if others:
            return others
    if "```" in right or scorer.get("kind") == "code":
        return (f"```python\ndef {scorer.get('entry') or 'solve'}(*args):\n    return None\n```",)
    numbers = list(_NUMBER.finditer(right))
    if numbers:
        last = numbers[-1]
        value = float(last[0].replace(",", ""))
        slack = abs(float(scorer.get("tolerance") or 0.0))
        return tuple(
            f"{right[: last.start()]}{wrong:g}{right[last.end() :]}"
            for wrong in (value + 1 + 2 * slack, value * 2 + 1 + 2 * slack, value - 10 - 2 * slack)
        )
    return ("I could not find this out with certainty.", "It depends, and both readings can be defended.")


def half(prompt: Prompt, u: float) -> str | None:
    """Return the reference without one of the points that its `contains` scorer asks for, or None if little is left.

    `u` in [0, 1) chooses the point. Whole sentences go, those that name the point in any accepted wording.
    """
    right, groups = prompt.reference, _groups(prompt)
    if right is None or len(groups) < 2 or (prompt.scorer or {}).get("kind") != "contains":
        return None
    wanted = groups[int(u * len(groups))]
    kept = [s for s in re.split(r"(?<=[^\d\s][.!?;])\s+|\n+", right) if s and not _named(s, wanted)]
    text = " ".join(kept)
    found = sum(_named(text, group) for group in groups)
    # What is left must still be worth half, or it is no better than a mistake and should be one.
    return text if text and len(groups) <= 2 * found < 2 * len(groups) else None


def wordy(text: str, prompt: Prompt, u: float) -> str:
    """Return the answer inside extra sentences, or unchanged where they would break what the prompt's scorer checks."""
    scorer = prompt.scorer or {}
    kind = scorer.get("kind")
    before, after = _BEFORE[int(u * len(_BEFORE))], _AFTER[int(u * 7919) % len(_AFTER)]
    if kind == "f1":
        return text
    if kind == "contains":
        longer = f"{before}\n\n{text}\n\n{after}"
        limit = scorer.get("max_words")
        if limit is not None and len(longer.split()) > 0.9 * float(limit):
            return text
        return text if _named(f"{before} {after}", [str(t) for t in scorer.get("none", ())]) else longer
    if kind in ("code", "json") or _BLOCK.search(text):
        block = text if _BLOCK.search(text) else f"```{'json' if kind == 'json' else 'python'}\n{text}\n```"
        return f"{before}\n\n{block}\n\n{after}"
    if kind in ("exact", "choice", "number"):
        # A sentence is not a label, and the number that counts in it is its last one; only `exact` compares it all.
        labelled = "answer:" not in text.casefold() and (kind == "exact" or len(text.split()) <= 4)
        return f"{before}\n\nAnswer: {text}" if labelled else f"{before}\n\n{text}"
    return f"{before}\n\n{text}\n\n{after}"


def unscripted(messages: Sequence[Message], model: str, seed: int) -> str:
    """Return a reply to a prompt that nobody knows the answer of: openly simulated, made of the prompt's own words.

    Asked for a summary, it gives real sentences of the text, picked by how often their words occur; otherwise it says
    what was asked and what an actual model would be expected to deliver.
    """
    text = next((m.content for m in reversed(messages) if m.role == "user"), "")
    body = "\n".join(m.content for m in messages if m.role != "system")
    asked = " ".join(m.content for m in messages if m.role in ("system", "user")).casefold()
    if re.search(r"\b(?:summar|condens|compress|shorten|tl;?dr|gist|recap)", asked):
        picked = " ".join(salient(body, 4))
        return f"{picked}\n\n(Simulated by {model}: sentences picked from the text, no language model was called.)"
    opening = (
        f"This is a simulated reply in the place of {model}: no language model was called.",
        f"{model} is simulated here; no language model has read this.",
        f"A practice answer, simulated: {model} itself was not asked.",
    )[int(draw(seed, "opening", model, text) * 3)]
    quoted = " ".join(text.split())
    quoted = quoted if len(quoted) <= 160 else quoted[:159] + "…"
    points = "\n".join(f"- {point}" for point in _expected(asked, text))
    return f"{opening}\n\nYou asked: “{quoted}”\n\nA real answer would be expected to:\n{points}"


def salient(text: str, most: int) -> list[str]:
    """Return at most `most` sentences of the text in their order, those whose words are frequent in it."""
    sentences = [s.strip() for s in re.split(r"(?<=[.!?。！？])\s+|\n+", text) if len(s.split()) > 2][:400]
    tally = Tally(word for s in sentences for word in set(content_words(s)))

    def weight(i: int) -> float:
        words = content_words(sentences[i])
        return sum(tally[w] for w in words) / (len(words) + 4) + (0.5 if i == 0 else 0.0)

    best = sorted(range(len(sentences)), key=lambda i: (-weight(i), i))[:most]
    return [sentences[i] for i in sorted(best)] or [text.strip()[:280]]


def pieces(text: str) -> Iterator[str]:
    """Yield the text in pieces of about a token: a word with the blanks around it, long words in parts."""
    yield from re.findall(r"\s*\S{1,8}\s*", text) or ([text] if text else [])


def _expected(asked: str, text: str) -> Iterator[str]:
    if re.search(r"\b(?:code|function|python|javascript|sql|bug|regex|class|script)\b|```", asked):
        yield "give code that runs, in one block, and say which inputs it was tried on"
    if re.search(r"\b(?:translat|auf deutsch|en français|in (?:german|french|spanish|italian|japanese))", asked):
        yield "keep the meaning, the names and the register in the other language"
    if re.search(r"\b(?:why|explain|compare|difference|pros and cons|how does)\b", asked):
        yield "give the reasons step by step, with what speaks against them"
    if re.search(r"\d", text):
        figures = list(dict.fromkeys(_NUMBER.findall(text)))[:4]
        yield f"use the figures given ({', '.join(figures)}) and show the arithmetic"
    names = list(dict.fromkeys(re.findall(r"(?<=[a-z,] )[A-Z][\w-]{2,}", text)))[:3]
    if names:
        yield f"be specific about {', '.join(names)}"
    yield f"stay within what {len(text.split())} words of question leave open, and say what is uncertain"


_COMMON = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by can could do does for from give had has have how i if in into is it its me my "
        "not of on or our please so tell that the their them then there these they this to was we were what when where "
        "which who why will with would you your",
    )
)


def content_words(text: str) -> list[str]:
    """Return the words of a text, folded, but for the commonest English ones."""
    return [w for w in re.findall(r"\w[\w'-]+", text.casefold()) if w not in _COMMON]


def _groups(prompt: Prompt) -> list[list[str]]:
    groups: Any = (prompt.scorer or {}).get("all", ())
    return [[str(t) for t in g] if isinstance(g, (list, tuple)) else [str(g)] for g in groups]


def _named(text: str, alternatives: Sequence[str]) -> bool:
    folded = " ".join(text.casefold().split())
    return any(re.search(rf"(?<!\w){re.escape(' '.join(a.casefold().split()))}(?!\w)", folded) for a in alternatives)
