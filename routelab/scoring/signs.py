"""What can be seen of an answer without knowing the right one, as numbers: material for predicting that it is right."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache

from routelab.core.values import Prompt
from routelab.scoring import wording
from routelab.scoring.matching import Match, form
from routelab.scoring.refusal import refused

EARLIER = 4
"""So many earlier answers are compared with."""
KINDS = ("number", "choice", "calls", "json", "text")
NAMES = (
    "length",
    *KINDS,
    "refused",
    "hedges",
    "fenced",
    "agreeing",
    "differing",
    *(f"agrees_{i}" for i in range(1, EARLIER + 1)),
)
"""The columns: log of the characters; what the answer states (one of five, or none); whether it refuses; log of the hedging
phrases; whether it has a fenced block; how many earlier answers say the same and how many something else; and for each
of the first earlier answers 1 when it says the same, -1 when not, 0 when there is none."""
_HEDGES = re.compile(
    r"\b(?:maybe|perhaps|probably|possibly|presumably|likely|unlikely|might|roughly|approximately|unsure|uncertain|unclear"
    r"|i think|i believe|i guess|i assume|not (?:sure|certain|clear|enough)|it (?:seems|appears)|cannot be determined"
    r"|vielleicht|vermutlich|wahrscheinlich|peut-être|probablement|quizás|probablemente)\b"
)
_LOOKED_AT = 20_000


def signs(answer: str, prompt: Prompt, earlier: Sequence[str | None], match: Match = "auto") -> tuple[float, ...]:
    """Return the signs of an answer, one a name in `NAMES`; `earlier` are the answers before it, None where none came."""
    stated = form(answer, prompt, match)
    same = [0.0 if e is None else _compared(stated, e, prompt, match) for e in earlier]
    return (
        math.log1p(len(answer)),
        *(float(stated is not None and stated.kind == kind) for kind in KINDS),
        *_doubts(answer),
        float("```" in answer),
        float(same.count(1.0)),
        float(same.count(-1.0)),
        *(same + [0.0] * EARLIER)[:EARLIER],
    )


# A fit compares the same answers in many chains of models.
@lru_cache(maxsize=1 << 15)
def _doubts(answer: str) -> tuple[float, float]:
    said = wording.folded(answer[:_LOOKED_AT])
    return float(refused(answer) is not None), math.log1p(len(_HEDGES.findall(said)))


def _compared(stated: object, other: str, prompt: Prompt, match: Match) -> float:
    return 1.0 if stated is not None and form(other, prompt, match) == stated else -1.0
