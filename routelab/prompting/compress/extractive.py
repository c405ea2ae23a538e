"""Extractive: the sentences that a text is about and that a question asks for, within a budget of tokens."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.embedding import embedder_of, vectors
from routelab.prompting.compress.cut import Asked, Cut, Keep, Removal, check_shared
from routelab.prompting.compress.units import MARK, Unit, told, units
from routelab.prompting.compress.whitespace import Whitespace

LEAST_TOKENS = 8
"""A budget has room for a mark, whatever the tokenizer."""
MOST_UNITS = 1_000
"""So many are embedded at most, those that share most with the question's words; the others come after them, by these words."""
ROUNDS = 4
"""How often what is left of the budget is filled: tokens of parts come to a little more than those of the whole."""
MISFITS = 200
"""After so many in a row that do not fit any more, no other is tried."""
NEAR = 0.25
"""What the sentence before and the one after count of a sentence's relevance: answers go on."""
RANKED = 0.2
"""What the first of numbered passages is worth, the second half of that, the third a third: they stand best first."""
LONGEST = 2_000
"""Characters of a unit, or of the question, that are embedded; the bundled model reads 256 tokens."""
_WORD = re.compile(r"\w+")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True, kw_only=True)
class Extractive:
    """Keeps the most salient sentences in their order, within `budget_tokens` or a `ratio` of the text's tokens.

    Salience is (1 − λ)·(ρ·r + (1 − ρ)·cos(sentence, mean)) − λ·max cos(sentence, kept), with λ = `diversity` and ρ = `relevance` (maximal
    marginal relevance: Carbonell and Goldstein, SIGIR 1998); without a question, ρ is 0. A sentence's relevance r to the question is
    their cosine, plus `words` times the share of the question's words that it has, rare ones counting more, averaged with those of the
    sentences before and after it, which count a quarter; in the n-th numbered passage 0.2/n is added, as they stand best first. The best that still fits is kept until none fits. Sentences are never shortened, so that no number and no "not" is cut out of one; code fences, tables, indented text,
    columns and list items are kept whole or dropped whole. With a sentence come the headings above it, a numbered passage's line and a
    list's lead; […] stands for what was left out. Blanks go first, as `Whitespace` has it, and where that is enough nothing else does.

    The question's own words stay, and count; where they alone are more than the budget, only they stay. `embedder` is what `embedder_of`
    takes, or an embedder. `over_tokens` and `keep` are as in `cut.Compressor`.
    """

    budget_tokens: int | None = None
    ratio: float | None = None
    relevance: float = 1.0
    diversity: float = 0.2
    words: float = 0.5
    embedder: Any = field(default="minilm", hash=False)
    over_tokens: int = 200
    keep: tuple[Keep, ...] = ()

    def __post_init__(self) -> None:
        check_shared(self.over_tokens)
        if (self.budget_tokens is None) == (self.ratio is None):
            raise ValueError("extractive needs `budget_tokens` or `ratio`, one of the two")
        if self.budget_tokens is not None and self.budget_tokens < LEAST_TOKENS:
            raise ValueError(f"budget_tokens: must be at least {LEAST_TOKENS}, not {self.budget_tokens}")
        if self.ratio is not None and not 0 < self.ratio < 1:
            raise ValueError(f"ratio: must lie between 0 and 1, not {self.ratio}")
        for name in ("relevance", "diversity", "words"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: must lie between 0 and 1, not {getattr(self, name)}")
        if isinstance(self.embedder, (str, Mapping)):
            embedder_of(self.embedder)
        elif not callable(self.embedder):
            raise ValueError(f"embedder: a name, a mapping with a kind or an embedder is wanted, not {self.embedder!r}")

    def budget(self, tokens: int) -> int:
        """Return how many tokens a text of so many may keep."""
        if self.budget_tokens is not None:
            return self.budget_tokens
        assert self.ratio is not None
        return max(LEAST_TOKENS, int(self.ratio * tokens))

    def __call__(self, text: str, asked: Asked) -> Cut:
        """Return the text within its budget, and each stretch that was left out; raises what the embedder raises."""
        most = self.budget(asked.count(text))
        tight = Whitespace()(text, asked).text
        if asked.count(tight) <= most:
            return Cut(text=tight)
        found = units(tight, asked.stays(tight))
        held = _closed(found, [n for n, unit in enumerate(found) if unit.held])
        kept = _fitting(tight, found, held, self._order(tight, found, held, asked, most), asked, most)
        made = told(tight, found, kept)
        if not made.strip() or len(made) > len(text):
            return Cut(text=tight)
        return Cut(text=made, removed=tuple(_left_out(tight, found, kept)))

    def _order(self, text: str, found: Sequence[Unit], held: set[int], asked: Asked, most: int) -> list[int]:
        """Return the units that are kept besides those held, the best first."""
        free = [n for n, unit in enumerate(found) if not unit.title and n not in held]
        shelf = _Shelf(text=text, found=found, kept=set(held), asked=asked)
        if not free or shelf.left(most) <= 0:
            return []
        said, weight = _shared(text, found, free, asked.question)
        first, others = _embedded(free, said, weight)
        rows = self._rows(text, found, [free[i] for i in first], asked.question)
        asks = sum(weight.values())
        shares = np.array([sum(weight[t] for t in sorted(said[i])) / asks if asks else 0.0 for i in first])
        better = np.array([RANKED / found[free[i]].passage if found[free[i]].passage else 0.0 for i in first])
        ranking = _Ranking(
            first=[free[i] for i in first],
            others=[free[i] for i in others],
            scores=(1 - self.diversity) * (self._salience(rows, shares, bool(asked.question.strip())) + better),
            alike=self.diversity * (rows[:-1] @ rows[:-1].T),
        )
        for _ in range(ROUNDS):
            before = len(ranking.order)
            ranking.fill(shelf)
            if len(ranking.order) == before or shelf.left(most) <= 0:
                break
        return ranking.order

    def _rows(self, text: str, found: Sequence[Unit], free: Sequence[int], question: str) -> NDArray[np.float32]:
        texts = [text[found[n].start : found[n].end][:LONGEST] for n in free]
        texts.append(question[:LONGEST])
        if isinstance(self.embedder, (str, Mapping)):
            return vectors(self.embedder, texts)
        made: NDArray[np.float32] = np.asarray(self.embedder(texts), dtype=np.float32)
        return made

    def _salience(self, rows: NDArray[np.float32], shares: NDArray[np.float64], asked: bool) -> NDArray[np.float64]:
        own = rows[:-1].astype(np.float64)
        mean = own.mean(axis=0)
        length = float(np.linalg.norm(mean))
        central: NDArray[np.float64] = own @ (mean / length) if length > 0 else np.zeros(len(own))
        if not asked:
            return central
        relevant = own @ rows[-1].astype(np.float64) + self.words * shares
        padded = np.concatenate((relevant[:1], relevant, relevant[-1:]))
        relevant = (relevant + NEAR * (padded[:-2] + padded[2:])) / (1 + 2 * NEAR)
        salience: NDArray[np.float64] = self.relevance * relevant + (1 - self.relevance) * central
        return salience


@dataclass(kw_only=True)
class _Ranking:
    """The units by what is gained by each beside those already kept; those that were not embedded come last, in their order."""

    first: Sequence[int]
    others: Sequence[int]
    scores: NDArray[np.float64]
    alike: NDArray[np.float32]
    order: list[int] = field(default_factory=list)

    def fill(self, shelf: _Shelf) -> None:
        """Put the best that fits on the shelf, again and again, until hardly anything fits."""
        place = {n: i for i, n in enumerate(self.first)}
        chosen = [place[n] for n in self.order if n in place]
        open_ = np.ones(len(self.first), dtype=bool)
        open_[chosen] = False
        likeness = self.alike[chosen].max(axis=0) if chosen else np.zeros(len(self.first), dtype=np.float32)
        shelf.misfits = 0
        while open_.any() and shelf.misfits < MISFITS:
            best = int(np.where(open_, self.scores - likeness, -np.inf).argmax())
            open_[best] = False
            if shelf.takes(self.first[best]):
                likeness = np.maximum(likeness, self.alike[best]) if chosen else self.alike[best]
                chosen.append(best)
                self.order.append(self.first[best])
        shelf.misfits = 0
        for n in self.others:
            if shelf.misfits >= MISFITS:
                break
            if n not in shelf.kept and shelf.takes(n):
                self.order.append(n)


@dataclass(kw_only=True)
class _Shelf:
    """What is kept so far, and the room that is left: tokens are added up one by one, and counted anew by `left`."""

    text: str
    found: Sequence[Unit]
    kept: set[int]
    asked: Asked
    room: int = 0
    misfits: int = 0
    _mark: int = -1

    def left(self, most: int) -> int:
        """Return how many tokens are left of so many."""
        self.room = most - self.asked.count(told(self.text, self.found, sorted(self.kept)))
        return self.room

    def takes(self, n: int) -> bool:
        """Keep a unit with all that it needs, if it fits."""
        if self._mark < 0:
            self._mark = self.asked.count(f"\n{MARK}\n")
        fresh = _closed(self.found, [n]) - self.kept
        spans = ((self.found[i].start, self.found[i].end) for i in fresh)
        more = sum(self.asked.count(self.text[a:b]) + 1 for a, b in spans)
        more += self._mark * _gaps(n, self.kept, len(self.found))
        if more > self.room:
            self.misfits += 1
            return False
        self.misfits = 0
        self.room -= more
        self.kept |= fresh
        return True


def _shared(
    text: str, found: Sequence[Unit], free: Sequence[int], question: str
) -> tuple[list[set[str]], dict[str, float]]:
    """Return the question's words that each unit has, and their weights: the logarithm of how rare they are in the text."""
    asked = _terms(question[:LONGEST])
    said = [asked & _terms(text[found[n].start : found[n].end][:LONGEST]) if asked else set() for n in free]
    times = Counter(term for terms in said for term in terms)
    return said, {term: math.log(1 + len(free) / times.get(term, 1)) for term in sorted(asked)}


def _embedded(
    free: Sequence[int], said: Sequence[set[str]], weight: Mapping[str, float]
) -> tuple[list[int], list[int]]:
    """Return the positions in `free` of the units that are embedded and of those that are not, the latter the best first.

    Where there are too many, those are embedded that share the rarest words with the question, and others spread over the text; what
    shares none comes last, as it stands in the text.
    """
    if len(free) <= MOST_UNITS:
        return list(range(len(free))), []
    # By bits turned round, any number of the first are spread over the whole text.
    bits = len(free).bit_length()
    spread = [int(f"{i:0{bits}b}"[::-1], 2) for i in range(len(free))]
    shared = [sum(weight[term] for term in sorted(terms)) for terms in said]
    ranks = sorted(range(len(free)), key=lambda i: (-shared[i], spread[i]))
    return sorted(ranks[:MOST_UNITS]), sorted(ranks[MOST_UNITS:], key=lambda i: (-shared[i], i))


def _terms(text: str) -> set[str]:
    """Return a text's words in lower case; of scripts without blanks, pairs of characters."""
    found: set[str] = set()
    for word in _WORD.findall(text.casefold()):
        found |= (
            {word} if word.isascii() or not _UNSPACED.search(word) else {word[i : i + 2] for i in range(len(word) - 1)}
        )
    return found


def _closed(found: Sequence[Unit], chosen: Iterable[int]) -> set[int]:
    """Return the chosen units with all that they need, and what that needs."""
    closed: set[int] = set()
    todo = list(chosen)
    while todo:
        n = todo.pop()
        if n not in closed:
            closed.add(n)
            todo += found[n].needs
    return closed


def _gaps(n: int, kept: set[int], count: int) -> int:
    """Return how many more marks are needed, -1 to 1, when a unit is kept too."""
    before, after = n == 0 or n - 1 in kept, n == count - 1 or n + 1 in kept
    return 1 - before - after


def _fitting(
    text: str, found: Sequence[Unit], held: set[int], order: Sequence[int], asked: Asked, most: int
) -> list[int]:
    """Return what is kept: as many of the first of `order` as really fit, for tokens do not quite add up."""
    many = len(order)
    while True:
        kept = sorted(held | _closed(found, order[:many]))
        tokens = asked.count(told(text, found, kept))
        if tokens <= most or many == 0:
            return kept
        many = min(many - 1, int(many * most / tokens))


def _left_out(text: str, found: Sequence[Unit], kept: Sequence[int]) -> list[Removal]:
    removed: list[Removal] = []
    there = set(kept)
    first: int | None = None
    for n in range(len(found) + 1):
        if n < len(found) and n not in there:
            first = n if first is None else first
        elif first is not None:
            removed.append(Removal(what="sentences", text=text[found[first].start : found[n - 1].end]))
            first = None
    return removed
