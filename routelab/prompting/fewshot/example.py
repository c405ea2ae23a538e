"""Examples: questions with the answers that a model is shown, and what makes one of them the question that is being asked."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import regex

from routelab.core.errors import DataError
from routelab.core.values import Message, Prompt, digest
from routelab.prompting.fewshot.reading import Placed, placed, rows

_TELLING = regex.compile(r"[\p{L}\p{M}\p{N}\p{S}]+")
# NFKC sorts a run of combining marks in quadratic time; U+034F breaks long ones (UAX #15, stream-safe text format).
_LONG_RUN = regex.compile(r"\p{M}{30}")


@dataclass(frozen=True, kw_only=True)
class Example:
    """A question with its answer. `group` names what it belongs with (a dialogue, a source): held out together."""

    id: str
    question: str
    answer: str
    group: str | None = None


def same(text: str) -> str:
    """Return what two texts have in common that ask the same: case, width, punctuation and blanks do not count.

    Too much is held out rather than too little: on CLINC150 24 of 3,000 test texts are in train this way, 2 of them only
    without their blanks ("goodnight", "good night").

    >>> same("How do I say 'good-bye', in  Finnish?") == same("how do i say goodbye in finnish")
    True
    """
    folded = unicodedata.normalize("NFKC", _LONG_RUN.sub("\\g<0>\u034f", text)).casefold()
    # A text of nothing but punctuation is compared as it is.
    return "".join(_TELLING.findall(folded)) or " ".join(folded.split())


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Examples to choose from, in a fixed order, equal by content; `source` is the file they are from, "" when from none.

    Ids are different. `Pool.of` takes what holds examples, `Pool.read` a file.
    """

    examples: tuple[Example, ...]
    source: str = field(default="", compare=False)
    """The path as it can be opened from here."""
    written: str = field(default="", compare=False, repr=False)
    """The path as the config says it: relative to its file."""

    @staticmethod
    def of(data: object, *, name: str = "examples") -> Pool:
        """Return a pool from a pool, a file's path, or a list of examples, of prompts with references, or of mappings.

        Mappings have `question` and `answer`, or `text` and `label`, or `prompt` and `reference`; `id` and `group` if wanted.
        Raises DataError, which says which of them cannot be used.
        """
        if isinstance(data, Pool):
            return data
        if isinstance(data, (str, Path)):
            return Pool.read(data)
        if not isinstance(data, Iterable) or isinstance(data, (Mapping, bytes)):
            raise DataError(
                f"{name}: cannot take examples from a {type(data).__name__}",
                hint="give a file's path, or a list of {question: ..., answer: ...}",
            )
        return Pool(examples=_unique([_example(item, f"{name}[{i}]") for i, item in enumerate(data)], name))

    @staticmethod
    def read(path: str | Path, *, written: str = "") -> Pool:
        """Return the pool in a .csv or .jsonl file, gzipped or not; DataError names the file and the line."""
        path = Path(path)
        found = [placed(row, place) for place, row in rows(path)]
        return Pool(examples=_unique(found, str(path)), source=str(path), written=written or str(path))

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    def __repr__(self) -> str:
        return f"Pool({len(self)} examples{f' of {self.source}' if self.source else ''}, digest {self.digest})"

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that change with any example, their order or what is held out with them; not with the path."""
        return digest([(e.id, e.question, e.answer, e.group) for e in self.examples])

    @property
    def questions(self) -> tuple[str, ...]:
        """The questions, in order."""
        return tuple(e.question for e in self.examples)

    @cached_property
    def _position(self) -> Mapping[str, int]:
        return {e.id: i for i, e in enumerate(self.examples)}

    @cached_property
    def _said(self) -> Mapping[str, Sequence[int]]:
        return _gathered((same(e.question), i) for i, e in enumerate(self.examples))

    @cached_property
    def _grouped(self) -> Mapping[str, Sequence[int]]:
        return _gathered((e.group, i) for i, e in enumerate(self.examples) if e.group is not None)

    def position(self, name: str) -> int | None:
        """Return where the example with an id stands, or None."""
        return self._position.get(name)

    def overlaps(self, prompt: Prompt) -> dict[int, str]:
        """Return the positions of the examples that give the prompt away, each with why: "id", "text" or "group"."""
        found: dict[int, str] = {}
        if prompt.group is not None:
            found |= dict.fromkeys(self._grouped.get(prompt.group, ()), "group")
        found |= dict.fromkeys(self._said.get(same(prompt.text), ()), "text")
        if (own := self.position(prompt.id)) is not None:
            found[own] = "id"
        return found

    def write(self, path: str | Path) -> Pool:
        """Write the examples to a .csv or .jsonl file, and return the pool that is read from it again."""
        path = Path(path)
        if path.suffix not in (".csv", ".jsonl"):
            raise DataError(f"{path}: is neither .csv nor .jsonl")
        grouped = any(e.group is not None for e in self.examples)
        head = ("id", "question", "answer", *(("group",) if grouped else ()))
        lines = [{name: getattr(e, name) for name in head if getattr(e, name) is not None} for e in self.examples]
        text = io.StringIO(newline="")
        if path.suffix == ".csv":
            # A carriage return within a text is kept only within quotes.
            out = csv.DictWriter(text, head, lineterminator="\n", quoting=csv.QUOTE_ALL)
            out.writeheader()
            out.writerows(lines)
        else:
            text.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        try:
            path.write_text(text.getvalue(), encoding="utf-8", newline="")
        except OSError as trouble:
            raise DataError(f"{path}: cannot be written ({trouble.strerror})") from None
        return Pool.read(path)


def turns(examples: Iterable[Example]) -> tuple[Message, ...]:
    """Return the examples as a conversation: the user asks, the assistant answers."""
    return tuple(
        message
        for e in examples
        for message in (Message(role="user", content=e.question), Message(role="assistant", content=e.answer))
    )


def _gathered(pairs: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for name, i in pairs:
        found.setdefault(name, []).append(i)
    return found


def _example(item: Any, place: str) -> Placed:
    if isinstance(item, Example):
        return Placed(place=place, id=item.id, question=item.question, answer=item.answer, group=item.group)
    if isinstance(item, Prompt):
        if item.reference is None:
            raise DataError(
                f"{place}: the prompt '{item.id}' has no reference to show as its answer",
                hint="leave such prompts out: dataset.where(lambda p: p.reference is not None)",
            )
        for what, text in (("question", item.text), ("reference", item.reference)):
            if not text.strip():
                raise DataError(f"{place}: the {what} of the prompt '{item.id}' is empty", hint="leave it out")
        return Placed(place=place, id=item.id, question=item.text, answer=item.reference, group=item.group)
    if not isinstance(item, Mapping):
        raise DataError(f"{place}: must be a mapping with question and answer, not {type(item).__name__}")
    return placed(item, place)


def _unique(found: Sequence[Placed], name: str) -> tuple[Example, ...]:
    """Return the examples with ids that differ; what comes twice, and has no id of its own, is kept once."""
    if not found:
        raise DataError(f"{name}: has no examples", hint="one row an example: question,answer")
    known: dict[str, Placed] = {}
    for row in found:
        # A question's own id is the one that a prompt of the same text has.
        wanted = row.id if row.id is not None else Prompt.of(row.question).id
        if row.id is not None and wanted in known:
            raise DataError(
                f"{row.place}: the id '{wanted}' was used before, at {known[wanted].place}", hint="ids must differ"
            )
        again, n = wanted, 1
        while again in known and (known[again].question, known[again].answer) != (row.question, row.answer):
            n += 1
            again = f"{wanted}~{n}"
        known.setdefault(again, row)
    return tuple(
        Example(id=key, question=row.question, answer=row.answer, group=row.group) for key, row in known.items()
    )
