"""The corpora of a session: documents under the names that configs use for them.

lab.corpora["handbook"] = "docs/handbook"                     # a folder, or a .md, .txt, .py, .html, .csv or .jsonl file
lab.corpora["faq"] = {"leave.md": "Parental leave is ..."}    # texts by source, a list of texts, a frame with id and text
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from routelab.chunking.corpora import Corpora, Corpus, Given
from routelab.core.errors import ConfigError, DataError
from routelab.present import Table, bundle
from routelab.retrieving import Libraries, store_of


class Documents:
    """Names for documents, and the libraries that are made of them: loaded once, whichever arms use them.

    What has no name here is looked for by `Corpora`: beside the config's file, where one works, under `corpora/`.
    """

    def __init__(self, log: object = None) -> None:
        self._given: dict[str, Given] = {}
        self.corpora = Corpora(given=self._given)
        self.libraries = Libraries(self.corpora, store=store_of(log))

    def __setitem__(self, name: str, documents: object) -> None:
        """Give documents a name; DataError for what holds none. A folder or file is read again for each router made later."""
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f"lab.corpora: a name is wanted, not {name!r}")
        held = _given(name, documents)
        # Read once, so that trouble is said here and not at the first prompt.
        Corpora(given={name: held})(name)
        self._given[name] = held

    def __getitem__(self, name: str) -> Corpus:
        """Return the documents under a name, given or found; ConfigError when there are none."""
        return self.corpora(name)

    def __delitem__(self, name: str) -> None:
        """Take a name away; the documents stay where they are."""
        if name not in self._given:
            raise ConfigError(f"lab.corpora: '{name}' was not given", hint=f"names: {', '.join(self._given) or 'none'}")
        del self._given[name]

    def __contains__(self, name: object) -> bool:
        return name in self._given

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def table(self) -> Table:
        """Return one row a name: documents, characters, and the digest of their state."""
        rows = []
        for name in self._given:
            corpus = self.corpora(name)
            characters = sum(map(len, corpus.texts.values()))
            rows.append([name, f"{len(corpus):,}", f"{characters:,}", corpus.digest, "; ".join(corpus.notes) or "–"])
        head = ("corpus", "documents", "characters", "digest", "left out")
        return Table(head=head, rows=rows, numbers=frozenset((1, 2)), caption=f"{len(rows)} corpora")

    def __repr__(self) -> str:
        return f"Documents({', '.join(self._given)})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return bundle(self.table())


def _given(name: str, documents: object) -> Given:
    if hasattr(documents, "to_dict") and hasattr(documents, "columns"):
        missing = [column for column in ("id", "text") if column not in documents.columns]
        if missing:
            raise DataError(f"corpus {name}: the frame has no column '{missing[0]}'", hint="columns: id, text")
        ids = [str(one) for one in documents["id"]]  # type: ignore[index]
        twice = next((one for i, one in enumerate(ids) if one in ids[:i]), None) if len(set(ids)) < len(ids) else None
        if twice is not None:
            raise DataError(f"corpus {name}: the id '{twice}' is there twice")
        return dict(zip(ids, documents["text"], strict=True))  # type: ignore[index]
    if isinstance(documents, (Corpus, str, Path)):
        return documents
    if isinstance(documents, Mapping):
        return dict(documents)
    if isinstance(documents, (list, tuple)):
        return list(documents)
    raise DataError(
        f"corpus {name}: cannot take documents from a {type(documents).__name__}",
        hint="a path, texts by source, a list of texts, or a frame with id and text",
    )
