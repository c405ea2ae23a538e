"""Corpora by name: documents that were given, or a folder or file that is found where people keep them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from routelab.chunking.corpus import document
from routelab.chunking.hypertext import seen
from routelab.core.errors import ConfigError, DataError, suggest
from routelab.core.files import text_of

PROSE = (".md", ".markdown", ".txt", ".text", ".rst", ".adoc", ".org", ".tex")
CODE = (
    *(".py", ".pyi", ".ipy", ".r", ".jl", ".js", ".mjs", ".jsx", ".ts", ".tsx", ".java", ".kt", ".scala", ".go", ".rs"),
    *(".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".swift", ".rb", ".php", ".pl", ".lua", ".sh", ".sql"),
)
PAGES = (".html", ".htm", ".xhtml")
TABLES = (".jsonl", ".csv", ".jsonl.gz", ".csv.gz")
ENDINGS = (*PROSE, *CODE, *PAGES, *TABLES)
"""What is read; other files of a folder are passed over, and so is what begins with a dot."""
UNDER = "corpora"
"""The folder, beside a YAML file or where one works, that corpora may be kept in."""
MOST_BYTES = 1_000_000_000
MAX_CELL = 1 << 28
_CELLS = threading.Lock()

Given: TypeAlias = "Corpus | Mapping[str, str] | Sequence[str] | str | Path"


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """Documents under a name: texts by their source, each a file's path within the folder or a row's id.

    `notes` say which files were left out, and why. Offsets of chunks are in these texts: those of a file as it lies on the
    disk, but for HTML, of which only the text is kept.
    """

    name: str
    texts: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.texts:
            raise DataError(f"corpus {self.name}: has no documents", hint=f"files that are read: {', '.join(ENDINGS)}")

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that depend on the sources and their texts, and on nothing else."""
        state = hashlib.sha256()
        for source in sorted(self.texts):
            for part in (source, self.texts[source]):
                raw = part.encode("utf-8", "surrogatepass")
                state.update(b"%d\n" % len(raw))
                state.update(raw)
        return state.hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpora:
    """Finds a corpus by its name or path: among those `given`, then as a folder or file in `folders`, then where one works.

    In each of these a path of that name is looked for, with an ending that is read if it has none, then the same in the
    folder `corpora`. What is given may be texts by source, a list of texts, a path, or a Corpus.
    """

    folders: tuple[Path, ...] = ()
    given: Mapping[str, Given] = field(default_factory=dict)

    def beside(self, folder: str | Path | None) -> Corpora:
        """Return these corpora, with a folder that is looked in before the others."""
        return self if folder is None else Corpora(folders=(Path(folder), *self.folders), given=self.given)

    def __call__(self, name: str) -> Corpus:
        """Return the corpus; ConfigError when there is none of that name, DataError for files that cannot be read."""
        held = self._held(name)
        if isinstance(held, Path):
            return read(held, name)
        return held

    def state(self, name: str) -> str:
        """Return a text that changes whenever the corpus does, without reading its files: their sizes and times of change."""
        held = self._held(name)
        if isinstance(held, Corpus):
            return held.digest
        files = [(path, path.stat()) for path in _files(held)] if held.is_dir() else [(held, held.stat())]
        told = [(str(path), about.st_size, about.st_mtime_ns) for path, about in files]
        return hashlib.sha256(repr((os.path.realpath(held), told)).encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def _held(self, name: str) -> Corpus | Path:
        found = self.given.get(name)
        if found is None:
            return self._found(name)
        if isinstance(found, Corpus):
            return found
        if isinstance(found, (str, Path)):
            path = Path(found).expanduser()
            if not path.exists():
                raise DataError(f"corpus {name}: {path}: there is no such file or folder")
            return path
        if isinstance(found, Mapping):
            return _of_texts(name, found)
        return _of_texts(name, {str(number): text for number, text in enumerate(found, start=1)})

    def _found(self, name: str) -> Path:
        path = Path(name).expanduser()
        bases = [*self.folders, Path()]
        tried = [path] if path.is_absolute() else [b / part / path for b in bases for part in ("", UNDER)]
        for place in tried:
            if place.exists():
                return place
            ended = [place.with_name(place.name + e) for e in ENDINGS if place.with_name(place.name + e).is_file()]
            if len(ended) > 1:
                raise ConfigError(
                    f"corpus {name}: {ended[0]} and {ended[1].name} both have that name", hint="write the ending too"
                )
            if ended:
                return ended[0]
        near = suggest(name, [*self.given, *self._beside(bases)])
        looked = dict.fromkeys(str(b) if str(b) != "." else "the working directory" for b in bases)
        raise ConfigError(
            f"there is no corpus '{name}'" + ("" if near is None else f"; {near}"),
            hint=f"a folder or file of that name in {', '.join(looked)} or in {UNDER}/ there, or lab.corpora['{name}'] = ...",
        )

    @staticmethod
    def _beside(bases: Sequence[Path]) -> Iterator[str]:
        for base in bases:
            for folder in (base / UNDER, base):
                if folder.is_dir():
                    for entry in sorted(folder.iterdir()):
                        if not entry.name.startswith(".") and (entry.is_dir() or _ending(entry) is not None):
                            yield entry.name.removesuffix(_ending(entry) or "")


def read(path: str | Path, name: str | None = None) -> Corpus:
    """Return the documents of a folder, with those below it, or of one file.

    A .jsonl or .csv file (also gzipped) has a document a row, with its columns `id` and `text`. DataError names the file, and
    the line, of what is not UTF-8, not of that form, or too much; empty files of a folder are left out and noted.
    """
    path = Path(path)
    name = path.stem if name is None else name
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    if path.is_dir():
        return _of_folder(path, name)
    if _ending(path) is None:
        raise DataError(f"{path}: is of no kind that is read", hint=f"endings: {', '.join(ENDINGS)}")
    _affordable(path, [path])
    if _ending(path) in TABLES:
        return Corpus(name=name, texts=dict(_rows(path)))
    text = _text(path)
    if not text.strip():
        raise DataError(f"{path}: is empty")
    return Corpus(name=name, texts={path.name: text})


def _of_folder(folder: Path, name: str) -> Corpus:
    files = list(_files(folder))
    _affordable(folder, files)
    texts: dict[str, str] = {}
    notes: list[str] = []
    for path in files:
        source = path.relative_to(folder).as_posix()
        if _ending(path) in TABLES:
            try:
                rows = dict(_rows(path))
            except _OtherColumns as other:
                # Data that lies beside documents is no mistake.
                notes.append(f"{source}: left out, {other.what}")
                continue
            texts |= {f"{source}#{row}": text for row, text in rows.items()}
            continue
        text = _text(path)
        if text.strip():
            texts[source] = text
        else:
            notes.append(f"{source}: left out, is empty")
    if not texts:
        told = f" ({'; '.join(notes[:3])})" if notes else ""
        raise DataError(f"{folder}: has no documents{told}", hint=f"files that are read: {', '.join(ENDINGS)}")
    return Corpus(name=name, texts=texts, notes=tuple(notes))


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files that are read, in the order of their paths; links to folders are not followed, they may lead round."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".") and f != "__pycache__"]
        named = (Path(place, n) for n in names if not n.startswith(".") and _ending(Path(n)) is not None)
        # A link may lead nowhere.
        found += [path for path in named if path.is_file()]
    yield from sorted(found, key=lambda p: p.relative_to(folder).as_posix())


def _ending(path: Path) -> str | None:
    low = path.name.lower()
    return next((path.name[-len(e) :] for e in sorted(ENDINGS, key=len, reverse=True) if low.endswith(e)), None)


def _affordable(path: Path, files: Sequence[Path]) -> None:
    size = sum(file.stat().st_size for file in files)
    if size > MOST_BYTES:
        raise DataError(f"{path}: {size:,} bytes are more than a corpus may have ({MOST_BYTES:,})")


def _text(path: Path) -> str:
    text = document(path)
    return seen(text) if (_ending(path) or "").lower() in PAGES else text


def _of_texts(name: str, given: Mapping[Any, Any]) -> Corpus:
    texts: dict[str, str] = {}
    for source, text in given.items():
        if not isinstance(source, str) or not isinstance(text, str):
            raise DataError(
                f"corpus {name}: texts by source are wanted, and {source!r} is of type {type(text).__name__}"
            )
        if not text.strip():
            raise DataError(f"corpus {name}: {source}: is empty")
        texts[source] = text
    return Corpus(name=name, texts=texts)


class _OtherColumns(DataError):
    """A table that is no list of documents."""

    def __init__(self, path: Path, line: int, what: str) -> None:
        super().__init__(f"{path}:{line}: {what}", hint="a document a row, with the columns id and text")
        self.what = what


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the id and text of each row."""
    raw = text_of(path)
    rows = _of_csv(path, raw) if ".csv" in (_ending(path) or "").lower() else _of_jsonl(path, raw)
    lines: dict[str, int] = {}
    for line, row, text in rows:
        if row in lines:
            raise DataError(f"{path}:{line}: the id '{row}' is that of line {lines[row]} too")
        if not text.strip():
            raise DataError(f"{path}:{line}: text: is empty")
        lines[row] = line
        yield row, text
    if not lines:
        raise DataError(f"{path}: is empty")


def _of_jsonl(path: Path, raw: str) -> Iterator[tuple[int, str, str]]:
    for line, said in enumerate(raw.split("\n"), start=1):
        if not said.strip():
            continue
        try:
            row = json.loads(said)
        except ValueError:
            raise DataError(f"{path}:{line}: is not JSON") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}:{line}: must be an object with id and text")
        for key in ("id", "text"):
            if key not in row:
                raise _OtherColumns(path, line, f"has no '{key}'")
        if isinstance(row["id"], bool) or not isinstance(row["id"], (str, int)) or not isinstance(row["text"], str):
            raise DataError(f"{path}:{line}: `id` must be a text or a whole number, `text` a text")
        yield line, str(row["id"]), row["text"]


def _of_csv(path: Path, raw: str) -> Iterator[tuple[int, str, str]]:
    # The csv module's limit is the whole process's, so it is put back.
    with _CELLS:
        before = csv.field_size_limit(MAX_CELL)
        try:
            table = csv.reader(io.StringIO(raw, newline=""), strict=True)
            head = [cell.strip() for cell in next(table, [])]
            if not head:
                return
            for key in ("id", "text"):
                if key not in head:
                    near = suggest(key, head)
                    raise _OtherColumns(path, 1, f"has no column '{key}'" + ("" if near is None else f"; {near}"))
            at, of = head.index("id"), head.index("text")
            line = table.line_num + 1
            found = []
            for cells in table:
                if cells:
                    if len(cells) <= max(at, of):
                        raise DataError(f"{path}:{line}: has {len(cells)} cells, the first line has {len(head)}")
                    found.append((line, cells[at], cells[of]))
                line = table.line_num + 1
        except csv.Error as trouble:
            raise DataError(f"{path}:{table.line_num}: is not CSV ({trouble})") from None
        finally:
            csv.field_size_limit(before)
    yield from found
