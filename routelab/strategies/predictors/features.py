"""What a predictor sees of a prompt: its vector, its surface and its task.

The surface is what a reader notices before reading: how long, in which language, code, formulas, numbers, a question or a
task with options, one turn or many. Every feature depends on its prompt only.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from routelab.core.ports import Floats
from routelab.core.values import Prompt
from routelab.strategies.rules import recognise

_Made = TypeVar("_Made")
_WHOLE = "whole"

LOOKED_AT = 20_000
"""Characters of a text that are looked at: the cost of a decision has a bound."""
_KEPT = 10_000
_CLIP = 5.0
_TASK = 20.0

_FREQUENT: Mapping[str, str] = {
    "en": "the of and to a in is that it for was on are with as be this have from what which how",
    "de": "der die das und ist nicht ein eine zu den mit von für auf wie was sich auch werden dem",
    "fr": "le la les et des un une est que pour dans qui pas sur au du avec ce quel quelle",
    "es": "el los las y del que es un una por con para como se no qué cuál su lo más",
    "it": "il gli di che è per un una con non della sono come del nel quale cosa si alla più",
    "pt": "o os do da em que é um uma para com não como qual por se na no dos mais",
    "nl": "de het een en van is dat op te niet met voor wat zijn er aan hoe welke die ook",
}
_STOPS = {name: frozenset(words.split()) for name, words in _FREQUENT.items()}
_SCRIPTS: Mapping[str, re.Pattern[str]] = {
    "cyrillic": re.compile("[\u0400-\u04ff]"),
    "greek": re.compile("[\u0370-\u03ff]"),
    "cjk": re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"),
    "arabic": re.compile("[\u0590-\u06ff]"),
    "indic": re.compile("[\u0900-\u0dff]"),
}
LANGUAGES = (*_STOPS, *_SCRIPTS, "unknown")

# None of these may look at a character more than a few times: a text may be one long word, or blank lines only.
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_CODE = re.compile(
    r"```|\bdef \w+\(|\bclass \w+|\bimport \w+|\breturn\b|#include|=>|;$|\bSELECT\b|</\w+>|\w\(\)", re.MULTILINE
)
_FORMULA = re.compile(r"\$[^$\n]+\$|\\(?:frac|sum|int|sqrt|begin|mathbb|left|cdot|alpha|pi)\b|[=<>≤≥±∑∫√^]")
_ASKING = re.compile(
    r"^\s*(?:who|what|when|where|which|why|how|whose|is|are|do|does|did|can|could|will)\b", re.IGNORECASE
)
_OPTIONS = re.compile(r"(?:^|\s)\(?[A-Ea-e1-5][).:]\s", re.MULTILINE)
_ORDER = re.compile(
    r"\b(?:write|explain|describe|list|give|find|compute|calculate|prove|show|solve|translate|summari[sz]e)\b",
    re.IGNORECASE,
)
_LIST = re.compile(r"^[ \t]*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
_WHY = re.compile(r"\b(?:why|because|therefore|assume|suppose|if|then|unless|let)\b", re.IGNORECASE)

SURFACE = (
    "characters",
    "words",
    "lines",
    "word_length",
    "variety",
    "sentences",
    "numbers",
    "digits",
    "capitals",
    "symbols",
    "foreign",
    "code",
    "formulas",
    "questions",
    "asking",
    "orders",
    "options",
    "items",
    "reasoning",
    "turns",
    "system",
    *LANGUAGES,
)
"""The names of the columns of `surface`."""


def language(text: str) -> str:
    """Return the likeliest language of a text, by its script, else by its stop words; "unknown" without either.

    >>> language("Wie spät ist es und was machst du?"), language("Что это?"), language("42")
    ('de', 'cyrillic', 'unknown')
    """
    letters = max(1, sum(c.isalpha() for c in text))
    for script, pattern in _SCRIPTS.items():
        if len(pattern.findall(text)) > 0.3 * letters:
            return script
    words = [w.lower() for w in _WORD.findall(text)]
    hits = {name: sum(w in stops for w in words) for name, stops in _STOPS.items()}
    best = max(hits, key=lambda name: hits[name])
    return best if hits[best] > 0 else "unknown"


def surface(prompt: Prompt) -> tuple[float, ...]:
    """Return the surface features of a prompt, in the order of `SURFACE`."""
    text = prompt.text
    own = _of_text(text) if len(text) <= _KEPT else _of_text.__wrapped__(text)
    turns = sum(m.role != "system" for m in prompt.messages)
    system = 0 if prompt.system is None else len(prompt.system)
    cut = len(SURFACE) - len(LANGUAGES) - 2
    return (*own[:cut], math.log1p(turns), math.log1p(system), *own[cut:])


@functools.lru_cache(maxsize=1 << 14)
def _of_text(text: str) -> tuple[float, ...]:
    seen = text[:LOOKED_AT]
    n = max(1, len(seen))
    words = _WORD.findall(seen)
    count = max(1, len(words))
    said = language(seen)
    return (
        math.log1p(len(text)),
        math.log1p(len(words)),
        math.log1p(seen.count("\n")),
        sum(map(len, words)) / count,
        len({w.lower() for w in words}) / count,
        math.log1p(len(re.findall(r"[.!?](?:\s|$)", seen))),
        math.log1p(len(_NUMBER.findall(seen))),
        sum(c.isdigit() for c in seen) / n,
        sum(c.isupper() for c in seen) / n,
        sum(not (c.isalnum() or c.isspace()) for c in seen) / n,
        sum(ord(c) > 127 for c in seen) / n,
        math.log1p(len(_CODE.findall(seen))),
        math.log1p(len(_FORMULA.findall(seen))),
        math.log1p(seen.count("?")),
        float(_ASKING.match(seen) is not None),
        math.log1p(len(_ORDER.findall(seen))),
        math.log1p(len(_OPTIONS.findall(seen))),
        math.log1p(len(_LIST.findall(seen))),
        math.log1p(len(_WHY.findall(seen))),
        *(float(name == said) for name in LANGUAGES),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """The prompts that something is predicted for, and the embedder that their vectors come from.

    What depends on the texts alone is made once, also for the same texts without their tasks (`untold`).
    """

    prompts: tuple[Prompt, ...]
    embedder: str | Mapping[str, Any] = "minilm"
    made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def vectors(self) -> Floats:
        """One unit vector a prompt, of its last user message, n × dimensions."""
        return self._each("vectors", self._vectors)

    @property
    def surface(self) -> Floats:
        """The surface features, n × len(SURFACE)."""
        return self._each(
            "surface", lambda: np.array([surface(p) for p in self.prompts]).reshape(len(self), len(SURFACE))
        )

    @property
    def recognised(self) -> NDArray[np.object_]:
        """The task that the patterns of `rules` find in each text, whatever was given, (n,)."""
        return self._each("recognised", lambda: np.array([recognise(p.text)[0] for p in self.prompts], dtype=object))

    @property
    def tasks(self) -> tuple[str | None, ...]:
        """The tasks as given."""
        return tuple(p.task for p in self.prompts)

    @property
    def untold(self) -> Inputs:
        """The inputs as if nobody had given a task."""
        plain = tuple(p if p.task is None else dataclasses.replace(p, task=None) for p in self.prompts)
        return self._like(plain, self.made)

    def take(self, rows: NDArray[Any]) -> Inputs:
        """Return the inputs of some prompts, by mask or by position; what is made for each prompt is made for all of these."""
        index = np.flatnonzero(rows) if rows.dtype == bool else rows
        return self._like([self.prompts[int(i)] for i in index], {_WHOLE: (self, index)})

    def part(self, rows: NDArray[np.bool_]) -> Inputs:
        """Return the inputs of some prompts as `take` does; what is made for them is kept with what was made for these."""
        taken = self.once(("part", rows.tobytes()), lambda: self.take(rows))
        return self._like([self.prompts[int(i)] for i in np.flatnonzero(rows)], taken.made)

    def once(self, name: Hashable, make: Callable[[], _Made]) -> _Made:
        """Return what `make` makes of the texts, and of nothing else but the name, made once."""
        if name not in self.made:
            self.made[name] = make()
        made: _Made = self.made[name]
        return made

    def _each(self, name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return an array with a row a prompt, of the texts alone."""
        if _WHOLE not in self.made:
            return self.once(name, make)
        whole, index = self.made[_WHOLE]
        return self.once(name, lambda: np.asarray(getattr(whole, name)[index]))

    def _like(self, prompts: Sequence[Prompt], made: dict[Hashable, Any]) -> Inputs:
        other = Inputs(prompts=tuple(prompts), embedder=self.embedder)
        # Of prompts of other texts nothing is made yet: only these methods know that the texts are the same.
        object.__setattr__(other, "made", made)
        return other

    def _vectors(self) -> Floats:
        from routelab.embedding import vectors

        return vectors(self.embedder, [p.text for p in self.prompts]).astype(np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """How inputs become the columns of a linear model: scaled as they were on the tune split.

    Vectors count as `vectors` × √dimensions, so that a component varies about as much as a standardised feature;
    `tasks` get a column each, so large where it is the prompt's own that a penalty hardly touches it.
    """

    vectors: float
    mean: Floats
    spread: Floats
    tasks: tuple[str, ...]

    @staticmethod
    def of(inputs: Inputs, *, vectors: float = 1.0, tasks: bool = True) -> Design:
        """Return the design that fits these inputs."""
        seen = sorted({t for t in inputs.tasks if t is not None}) if tasks else []
        spread = inputs.surface.std(axis=0)
        return Design(
            vectors=vectors,
            mean=inputs.surface.mean(axis=0),
            # A feature that never varied says nothing about prompts in which it does.
            spread=np.where(spread > 1e-9, spread, np.inf),
            tasks=tuple(seen) if len(seen) > 1 else (),
        )

    def __call__(self, inputs: Inputs) -> Floats:
        """Return the columns, n × k."""
        parts = [np.clip((inputs.surface - self.mean) / self.spread, -_CLIP, _CLIP)]
        if self.vectors > 0:
            parts.append(inputs.vectors * (self.vectors * math.sqrt(inputs.vectors.shape[1])))
        if self.tasks:
            parts.append(_TASK * one_hot(inputs.tasks, self.tasks))
        return np.concatenate(parts, axis=1)

    def arrays(self) -> dict[str, Floats]:
        """Return what `Design.read` needs besides the tasks."""
        return {"mean": self.mean, "spread": self.spread, "vectors": np.array(self.vectors)}

    @staticmethod
    def read(arrays: Mapping[str, NDArray[Any]], tasks: Sequence[str]) -> Design:
        """Return the design that `arrays` wrote."""
        return Design(
            vectors=float(arrays["vectors"]), mean=arrays["mean"], spread=arrays["spread"], tasks=tuple(tasks)
        )


def one_hot(tasks: Sequence[str | None], known: Sequence[str]) -> Floats:
    """Return 1 where a prompt's task is the known one, n × known; a task that is not known has no 1."""
    place = {task: k for k, task in enumerate(known)}
    rows = np.zeros((len(tasks), len(known)))
    for i, task in enumerate(tasks):
        if task in place:
            rows[i, place[task]] = 1.0
    return rows
