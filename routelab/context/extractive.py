"""A practice summariser: the most salient sentences of the turns, found by embedding; it needs no model and says that it is simulated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from routelab.context.fitted import Span, Summary
from routelab.context.note import asked
from routelab.context.room import Room
from routelab.context.sentences import sentences
from routelab.core.ports import Embedder
from routelab.core.values import Price, Tokens

SHORTEST = 3
"""Words; shorter sentences ("Sure!", "Thanks a lot.") say nothing by themselves."""


@dataclass(frozen=True, kw_only=True)
class Extractive:
    """Quotes the sentences nearest to the mean of all, each unlike those chosen before it, in the order in which they were said.

    The score of the next sentence is (1 − λ)·cos(sentence, mean) − λ·max cos(sentence, chosen), λ = `diversity` (Carbonell and
    Goldstein, SIGIR 1998). Lines of the summary before compete with new sentences for the same tokens, as a rolling summary does.
    Tokens are counted as if a model had been sent the request that `note.asked` words, and cost what `price` says.
    """

    embedder: Embedder
    count: Callable[[str], int]
    price: Price | None = None
    diversity: float = 0.4

    def __call__(self, span: Span) -> Summary:
        """Return the summary; the same span gives the same text."""
        lines = [line for line in span.before.split("\n") if line.strip()]
        lines += [f"{m.role}: {text}" for m in span.messages for text in sentences(m.spoken)]
        lines = [line for line in dict.fromkeys(lines) if len(line.split()) > SHORTEST]
        chosen = self._chosen(lines, span.max_tokens) if lines else []
        text = "\n".join(lines[i] for i in sorted(chosen))
        room = Room(limit=None, count=self.count)
        tokens = Tokens(input=room.tokens(asked(span, room)), output=self.count(text), source="estimate")
        return Summary(
            text=text,
            model=span.model,
            tokens=tokens,
            cost_usd=None if self.price is None else self.price.cost_usd(tokens),
            simulated=True,
        )

    def _chosen(self, lines: list[str], tokens: int) -> list[int]:
        rows = self.embedder(lines)
        mean = rows.mean(axis=0)
        length = float(np.linalg.norm(mean))
        salience = rows @ (mean / length) if length > 0 else np.zeros(len(lines))
        weights = [self.count(line + "\n") for line in lines]
        likeness = np.full(len(lines), -1.0)
        open_ = np.array([w <= tokens for w in weights])
        chosen: list[int] = []
        used = 0
        while open_.any():
            known = likeness if chosen else np.zeros(len(lines))
            scores = np.where(open_, (1 - self.diversity) * salience - self.diversity * known, -np.inf)
            best = int(scores.argmax())
            chosen.append(best)
            used += weights[best]
            likeness = np.maximum(likeness, rows @ rows[best])
            open_[best] = False
            open_ &= np.array([used + w <= tokens for w in weights])
        return chosen
