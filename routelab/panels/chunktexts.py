"""What can be cut and looked at: documents that ship with the package, variables of the notebook, a folder, and what is pasted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from routelab.chunking.corpora import read
from routelab.core.errors import ConfigError, DataError
from routelab.lab.chunks.questions import Questions
from routelab.lab.chunks.spans import Span
from routelab.lab.datasets import Dataset, shipped
from routelab.lab.desk import Desk
from routelab.present import safe

PASTED, FOLDER = "a pasted text", "a folder or a file"
LONG = 200
"""A variable with a shorter text is no document."""
SESSION = ("In", "Out")
"""What every notebook has: its own cells are no documents."""
LOOKED_AT = 200
MOST = 2_000
"""Documents that a dropdown can hold; the rest is announced."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Texts:
    """Documents by name, in their order, the questions about them, if there are any, and what is to be known of them."""

    name: str
    documents: Mapping[str, str]
    questions: Questions | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.documents:
            raise DataError(f"{self.name}: has no document")

    @property
    def says(self) -> str:
        """What it is, in one line."""
        characters = sum(map(len, self.documents.values()))
        asked = "" if self.questions is None else f", {len(self.questions):,} questions with known answers"
        many = len(self.documents)
        return f"{self.name}: {many:,} document{'s' * (many > 1)}, {characters:,} characters{asked}"

    def gold(self, question: int, document: str) -> tuple[Span, ...]:
        """Return where the answer to a question stands in a document; nothing in every other one."""
        found = self.questions
        return () if found is None or found.sources[question] != document else found.spans[question]


@dataclass(frozen=True, kw_only=True)
class Offer:
    """Something to look at: its title, and how it is read."""

    title: str
    read: Callable[[], Texts]
    asked: bool = False
    """Whether there are questions with known answers."""
    corpus: str = ""
    """What a config of this lab calls the documents, or would."""


def offers(desk: Desk) -> dict[str, Offer]:
    """Return everything there is to look at by title: what ships with the package, then the notebook's variables."""
    named = [offer_of(name, value) for name, value in desk.names.items() if name not in SESSION]
    found = [*_shipped(), *_corpora(desk), *(offer for offer in named if offer is not None)]
    return {offer.title: offer for offer in found}


def offer_of(name: str, value: Any) -> Offer | None:
    """Return a named value as something to look at, None where it is nothing of that kind."""
    if isinstance(value, Texts):
        return _offer(f"{name}: {_documents(value.documents)}", lambda: value)
    if isinstance(value, Questions):
        title = f"{name}: {_documents(value.corpora)}, {len(value):,} questions"
        texts = Texts(name=safe(name, 60), documents=value.corpora, questions=value)
        return _offer(title, lambda: texts, asked=True, corpus=name)
    if isinstance(value, Dataset):
        return _offer(f"{name}: {len(value.prompts):,} prompts", partial(_of_prompts, name, value))
    if isinstance(value, str) and len(value) >= LONG:
        return _offer(f"{name}: {len(value):,} characters", lambda: Texts(name=safe(name, 60), documents={name: value}))
    if isinstance(value, Mapping) and _all_texts(value.values()) and all(isinstance(key, str) for key in value):
        return _offer(f"{name}: {_documents(value)}", lambda: _limited(name, dict(value)))
    if isinstance(value, (list, tuple)) and _all_texts(value):
        listed = {f"{name}[{i}]": text for i, text in enumerate(value)}
        return _offer(f"{name}: {_documents(value)}", lambda: _limited(name, listed))
    return None


def pasted(text: str) -> Texts:
    """Return a text that somebody pasted."""
    return Texts(name=PASTED, documents={"pasted": text})


def opened(folder: str, questions: str = "") -> Texts:
    """Return the texts of a folder, or one file, with the questions of a CSV; relative paths start at the kernel's folder.

    A folder that has a folder `corpora` is taken for its parent, and a CSV beside that for its questions. Raises ConfigError
    for no path, DataError for what cannot be read.
    """
    if not folder.strip():
        raise ConfigError("path: name a folder of .md and .txt texts, or one file")
    path = Path(folder.strip()).expanduser()
    if path.is_file() and not questions.strip():
        there = read(path)
        return Texts(name=path.name, documents=there.texts, notes=there.notes)
    asked = Path(questions.strip()).expanduser() if questions.strip() else None
    corpora = path
    if (path / "corpora").is_dir():
        corpora = path / "corpora"
        beside = sorted(path.glob("*.csv"))
        asked = asked or (beside[0] if len(beside) == 1 else None)
    if asked is None:
        there = read(corpora, path.name)
        return Texts(name=path.name, documents=there.texts, notes=there.notes)
    found = Questions.read(asked, corpora)
    return Texts(name=path.name, documents=found.corpora, questions=found, notes=found.notes)


def _documents(there: Sized) -> str:
    return f"{len(there):,} document{'s' * (len(there) != 1)}"


def _of_prompts(name: str, value: Dataset) -> Texts:
    return _limited(name, {prompt.id: prompt.text for prompt in value.prompts if prompt.text})


def _limited(name: str, documents: Mapping[str, str]) -> Texts:
    kept = {name: text for name, text in islice(documents.items(), MOST) if isinstance(text, str)}
    left = len(documents) - len(kept)
    notes = (f"{left:,} more documents are not shown",) if left else ()
    return Texts(name=safe(name, 60), documents=kept, notes=notes)


def _all_texts(values: Iterable[Any]) -> bool:
    """Say whether these look like documents: a notebook has lists of a million numbers too, so the first ones tell."""
    first = list(islice(values, LOOKED_AT))
    return bool(first) and all(isinstance(text, str) for text in first) and max(map(len, first)) >= LONG


def _shipped() -> list[Offer]:
    return [
        _offer(f"{folder.name} (shipped)", partial(opened, str(folder)), asked=True, corpus=folder.name)
        for folder in sorted(shipped("datasets").iterdir())
        if (folder / "corpora").is_dir()
    ]


def _corpora(desk: Desk) -> list[Offer]:
    """Return the documents that configs of this lab know by a name."""

    def named(name: str) -> Texts:
        corpus = desk.lab.corpora[name]
        return Texts(name=safe(name, 60), documents=corpus.texts, notes=corpus.notes)

    return [_offer(f"{name} (lab.corpora)", partial(named, name), corpus=name) for name in desk.lab.corpora]


def _offer(title: str, read: Callable[[], Texts], *, asked: bool = False, corpus: str = "") -> Offer:
    return Offer(title=safe(" ".join(title.split()), 120), read=read, asked=asked, corpus=corpus)
