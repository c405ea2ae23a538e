"""Labelled pairs of questions: what the file says, what of it cannot be used, and halves that share no text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from routelab.core.errors import DataError
from routelab.core.values import digest
from routelab.lab.readers import Rejected, Table, numbers, read_table, refuse, texts

Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

COLUMNS = ("text_a", "text_b", "label")
PIECE, PIECE_SHARE = 25, 0.02
"""A piece of a half holds at most so many pairs, or this share of them if that is more."""
SMALL = 50
MUCH = 0.2


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Pairs of questions in order; `same` says that one answer serves both; `slices` is "" where none is named.

    `rejected` are the rows that could not be read, `repeated` counts rows that say again what another said, and
    `disputed` are the pairs that were labelled 0 and 1, which are left out.
    """

    asked: tuple[str, ...]
    known: tuple[str, ...]
    same: Bools
    slices: tuple[str, ...]
    rejected: tuple[Rejected, ...] = ()
    repeated: int = 0
    disputed: tuple[Disputed, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.asked) == len(self.known) == len(self.same) == len(self.slices):
            raise ValueError("texts, labels and slices do not go together")

    @staticmethod
    def of(
        asked: Sequence[str], known: Sequence[str], labels: Sequence[int | bool], slices: Sequence[str] | None = None
    ) -> Pairs:
        """Return the pairs without repetition; pairs labelled both ways are left out and said."""
        return _once(asked, known, [bool(v) for v in labels], [""] * len(asked) if slices is None else slices)

    @staticmethod
    def read(path: str | Path) -> Pairs:
        """Return the pairs of a csv, csv.gz, jsonl or parquet file: text_a, text_b, label (1: same answer), slice or kind.

        Other columns are passed over. Rows that cannot be used are set aside one by one, up to 1 % of the file; beyond it
        DataError names the file, the line and the column.
        """
        table = read_table(path, (*COLUMNS, "slice", "kind"))
        table.require(COLUMNS)
        label, bad = _labels(table)
        asked, known = texts(table, "text_a"), texts(table, "text_b")
        for column, cells in (("text_a", asked), ("text_b", known)):
            bad += [(i, column, "is empty") for i, cell in enumerate(cells) if cell is None or not cell.strip()]
        rejected = refuse(table, bad)
        gone = {row for row, _, _ in bad}
        kept = [i for i in range(len(table)) if i not in gone]
        if not kept:
            raise DataError(f"{table.name}: has no rows", hint="one row a pair: text_a,text_b,label")
        named = texts(table, "slice" if "slice" in table.frame.columns else "kind")
        made = _once(
            [asked[i] for i in kept],
            [known[i] for i in kept],
            [bool(label[i]) for i in kept],
            [named[i] or "" for i in kept],
            [table.line(i) for i in kept],
        )
        return replace(made, rejected=rejected)

    def __len__(self) -> int:
        return len(self.asked)

    def __getitem__(self, which: NDArray[np.bool_] | Ints | Sequence[int]) -> Pairs:
        """Return the pairs at the positions, or where a mask is true."""
        chosen = np.asarray(which)
        at = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.intp)
        return Pairs(
            asked=tuple(self.asked[i] for i in at),
            known=tuple(self.known[i] for i in at),
            same=self.same[at],
            slices=tuple(self.slices[i] for i in at),
        )

    def __add__(self, other: Pairs) -> Pairs:
        return Pairs.of(
            [*self.asked, *other.asked],
            [*self.known, *other.known],
            [*self.same, *other.same],
            [*self.slices, *other.slices],
        )

    @property
    def positives(self) -> int:
        """How many pairs one answer serves."""
        return int(self.same.sum())

    @cached_property
    def nodes(self) -> Ints:
        """n × 2: the number of each pair's two texts, equal where texts differ in case and white space only.

        A pair of equal texts has two numbers all the same: it is related to others through one of them.
        """
        number: dict[str, int] = {}
        rows = []
        for a, b in zip(self.asked, self.known, strict=True):
            first = number.setdefault(folded(a), len(number))
            rows.append(
                (first, number.setdefault(folded(b) if folded(b) != folded(a) else f"{folded(b)}\n", len(number)))
            )
        return np.array(rows, dtype=np.intp).reshape(-1, 2)

    @cached_property
    def components(self) -> int:
        """How many groups of pairs there are that share no text with another group."""
        union = _Union()
        for a, b in zip(self.asked, self.known, strict=True):
            union.join(folded(a), folded(b), limit=None)
        return len({union.root(folded(a)) for a in self.asked})

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not used, and why, one sentence each."""
        said = []
        if self.rejected:
            more = f" (and {len(self.rejected) - 1:,} more)" if len(self.rejected) > 1 else ""
            said.append(f"{_counted(len(self.rejected), 'row')} rejected: {self.rejected[0]}{more}")
        if self.repeated:
            one = self.repeated == 1
            said.append(
                f"{_counted(self.repeated, 'row')} {'repeats' if one else 'repeat'} a pair and {'counts' if one else 'count'} once"
            )
        if self.disputed:
            verb = "is" if len(self.disputed) == 1 else "are"
            counted = _counted(len(self.disputed), "pair")
            said.append(f"{counted} {verb} labelled 0 and 1, and {verb} left out: {self.disputed[0]}")
        equal = sum(folded(a) == folded(b) for a, b in zip(self.asked, self.known, strict=True))
        if equal:
            verb = "is" if equal == 1 else "are"
            said.append(
                f"{_counted(equal, 'pair')} {verb} of one text (but for case and space), which an exact cache may answer"
            )
        return tuple(said)


@dataclass(frozen=True, kw_only=True)
class Disputed:
    """A pair that the file labels 0 and 1, with the lines that say so (none for pairs that come from no file)."""

    asked: str
    known: str
    lines: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = f"lines {', '.join(map(str, self.lines))}: " if self.lines else ""
        return f"{where}{self.asked[:60]!r} and {self.known[:60]!r}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Halves:
    """Two halves that share no text: thresholds are chosen on `tune`, figures are those of `confirm`.

    `bridges` pairs would have joined the halves and are in neither; `notes` say what is wrong with the halves.
    """

    tune: Pairs
    confirm: Pairs
    bridges: int = 0
    notes: tuple[str, ...] = field(default_factory=tuple)


def halves(pairs: Pairs, *, seed: int = 0) -> Halves:
    """Return the pairs in two halves of about equal size; a text that occurs in several pairs is in one half only.

    Pairs are joined to pieces by the texts they share, those of the least shared texts first; pieces are kept small, for a
    few texts that occur in many pairs can join most of a file to one. Pieces are then dealt out in the order of a hash of
    their texts and the seed, each to the smaller half; a pair whose texts fell into different halves is in neither. The order
    of the rows does not matter.
    """
    piece = pieces(pairs)
    weight: dict[str, int] = {}
    for a, b in zip(pairs.asked, pairs.known, strict=True):
        if piece[folded(a)] == piece[folded(b)]:
            weight[piece[folded(a)]] = weight.get(piece[folded(a)], 0) + 1
    side: dict[str, int] = {}
    filled = [0, 0]
    names = sorted(set(piece.values()), key=lambda name: (digest(seed, name), name))
    for name in names:
        side[name] = int(digest(name, seed)[-1], 16) % 2 if filled[0] == filled[1] else int(filled[0] > filled[1])
        filled[side[name]] += weight.get(name, 0)
    where = [(side[piece[folded(a)]], side[piece[folded(b)]]) for a, b in zip(pairs.asked, pairs.known, strict=True)]
    sides = np.array([a if a == b else 2 for a, b in where], dtype=np.intp)
    tune, confirm = pairs[np.flatnonzero(sides == 0)], pairs[np.flatnonzero(sides == 1)]
    bridges = int((sides == 2).sum())
    return Halves(tune=tune, confirm=confirm, bridges=bridges, notes=_weaknesses(tune, confirm, bridges))


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def folded(text: str) -> str:
    """Return a text without differences of case and white space: what counts as one text."""
    return " ".join(text.casefold().split())


def _weaknesses(tune: Pairs, confirm: Pairs, bridges: int) -> tuple[str, ...]:
    said = []
    for name, half in (("tune", tune), ("confirm", confirm)):
        for label, n in ((1, half.positives), (0, len(half) - half.positives)):
            if n < SMALL:
                said.append(f"the {name} half has only {n} pairs labelled {label}: its figures are weak")
    whole = len(tune) + len(confirm) + bridges
    if bridges:
        much = ": most pairs share their texts with others" if bridges > MUCH * whole else ""
        said.append(f"{bridges:,} of {whole:,} pairs share texts with both halves and are in neither{much}")
    return tuple(said)


def _labels(table: Table) -> tuple[NDArray[np.float64], list[tuple[int, str, str]]]:
    value, unusable = numbers(table, "label", low=0.0, high=1.0)
    bad = [(row, "label", reason) for row, reason in unusable]
    said = {row for row, _ in unusable}
    bad += [
        (int(i), "label", "is empty" if np.isnan(value[i]) else f"{value[i]:g} is neither 0 nor 1")
        for i in np.flatnonzero((value != 0) & (value != 1))
        if int(i) not in said
    ]
    return value, bad


def _once(
    asked: Sequence[str],
    known: Sequence[str],
    same: Sequence[bool],
    slices: Sequence[str],
    lines: Sequence[int] | None = None,
) -> Pairs:
    rows: dict[tuple[str, str], list[int]] = {}
    for i, (a, b) in enumerate(zip(asked, known, strict=True)):
        rows.setdefault((a, b) if a <= b else (b, a), []).append(i)
    agreed = [at for at in rows.values() if len({same[i] for i in at}) == 1]
    kept = sorted(at[0] for at in agreed)
    disputed = tuple(
        Disputed(asked=asked[at[0]], known=known[at[0]], lines=() if lines is None else tuple(lines[i] for i in at))
        for at in rows.values()
        if len({same[i] for i in at}) > 1
    )
    return Pairs(
        asked=tuple(asked[i] for i in kept),
        known=tuple(known[i] for i in kept),
        same=np.array([same[i] for i in kept], dtype=bool),
        slices=tuple(slices[i] for i in kept),
        repeated=sum(len(at) - 1 for at in agreed),
        disputed=disputed,
    )


@dataclass(kw_only=True)
class _Union:
    parent: dict[str, str] = field(default_factory=dict)
    size: dict[str, int] = field(default_factory=dict)

    def root(self, text: str) -> str:
        at = self.parent.setdefault(text, text)
        while at != self.parent[at]:
            self.parent[at] = self.parent[self.parent[at]]
            at = self.parent[at]
        return at

    def join(self, first: str, second: str, *, limit: int | None) -> None:
        """Join two texts' pieces by a pair, unless the whole would hold more pairs than the limit."""
        a, b = sorted((self.root(first), self.root(second)))
        whole = self.size.get(a, 0) + (self.size.get(b, 0) if a != b else 0) + 1
        if a == b or limit is None or whole <= limit:
            # The lesser text is the name of the piece, whatever came first.
            self.parent[b], self.size[a] = a, whole


def pieces(pairs: Pairs) -> Mapping[str, str]:
    """Return the name of the piece that each text belongs to."""
    edges = [tuple(sorted((folded(a), folded(b)))) for a, b in zip(pairs.asked, pairs.known, strict=True)]
    shared: dict[str, int] = {}
    for edge in edges:
        for text in edge:
            shared[text] = shared.get(text, 0) + 1
    limit = max(PIECE, round(PIECE_SHARE * len(edges)))
    union = _Union()
    # Texts that few share join first, so that what is cut are the ties between the texts that many share.
    for a, b in sorted(edges, key=lambda e: (shared[e[0]] * shared[e[1]], digest(*e), e)):
        union.join(a, b, limit=limit)
    return {text: union.root(text) for text in shared}
