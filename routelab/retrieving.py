"""Retrieval as a config has it: a corpus, how it is cut and searched; and the libraries that this makes, loaded once.

Above chunking and retrieval, which do not know each other, and below the config.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from routelab import strict
from routelab.chunking import Chunk, Chunker, chunker_of, identity
from routelab.chunking import spec_of as chunker_spec
from routelab.chunking.corpora import Corpora
from routelab.core.errors import ConfigError, DataError, RoutelabError, suggest
from routelab.core.ports import Embedder
from routelab.core.values import digest
from routelab.embedding import Cached, VectorStore, embedder_of
from routelab.embedding.index import Vectors, checked
from routelab.embedding.vectors import Embedders
from routelab.retrieval import By, Library, Search, windowed
from routelab.retrieval.kept import Kept
from routelab.retrieval.lookup import Found, Lookup

CHUNKER: Mapping[str, Any] = {"kind": "recursive", "overlap": 0.2}
"""Chunks of 400 tokens, the kind's default."""
BLOCK = 256
"""Passages embedded at a time, so that what is done is kept and told of."""
_NOWHERE = strict.Document(values={}, name="retrieval")
_INDEX_KEYS = ("kind", "folder")


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """The `k` best passages of a corpus, cut by `chunker`, are put before the question, `budget_tokens` of them at most.

    `corpus` is a name or a path (`chunking.corpora.Corpora`), `chunker` what `chunker_of` takes, `embedder` what `embedder_of`
    takes; `by`, `floor`, `sources` and `under` are a `Search`'s. `index` is exact or chroma, or a mapping of either with a
    `folder`, in which vectors are kept for the next process. `folder`, no key of the YAML, is where the config's file lies:
    the corpus is looked for there first.
    """

    corpus: str
    chunker: str | Mapping[str, Any] = field(default_factory=lambda: dict(CHUNKER))
    embedder: str | Mapping[str, Any] = "minilm"
    index: str | Mapping[str, Any] = "exact"
    k: int = 5
    by: str = "vectors"
    floor: float | None = None
    sources: tuple[str, ...] = ()
    under: tuple[str, ...] = ()
    budget_tokens: int | None = None
    folder: str | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.corpus, str) or not self.corpus.strip():
            raise ValueError(f"corpus: must be a name or a path (got {self.corpus!r})")
        if self.budget_tokens is not None and (isinstance(self.budget_tokens, bool) or self.budget_tokens < 1):
            raise ValueError(f"budget_tokens: must be at least 1, not {self.budget_tokens}")
        for name in ("sources", "under"):
            object.__setattr__(self, name, getattr(self.search, name))
        _placed("embedder", lambda: embedder_of(self.embedder))
        _placed("index", lambda: _index(self.index))
        # As it is written out, so that two ways to say the same are equal.
        object.__setattr__(self, "chunker", chunker_spec(chunker_of(self.chunker, _NOWHERE)))

    @property
    def cut(self) -> Chunker:
        """The chunker."""
        return chunker_of(self.chunker, _NOWHERE)

    @property
    def search(self) -> Search:
        """How the library is searched."""
        return Search(k=self.k, by=cast(By, self.by), floor=self.floor, sources=self.sources, under=self.under)


def retrieval_of(
    spec: Mapping[str, Any] | str,
    doc: strict.Document | None = None,
    key: tuple[str, ...] = ("retrieval",),
    folder: str | Path | None = None,
) -> Retrieval:
    """Return the settings that a corpus' name, or a mapping such as ``{"corpus": "handbook", "k": 8}``, describes.

    `doc` and `key` say where the mapping stands, for the ConfigError that names what cannot be used; `folder` is that of the
    file. Whether there is such a corpus is asked when it is loaded.

    >>> retrieval_of({"corpus": "handbook", "chunker": {"kind": "semantc"}})
    Traceback (most recent call last):
    routelab.core.errors.ConfigError: config: retrieval.chunker.kind: unknown 'semantc'; did you mean 'semantic'?
    >>> retrieval_of({"corpus": "handbook", "by": "hybird"})
    Traceback (most recent call last):
    routelab.core.errors.ConfigError: config: retrieval.by: must be one of vectors, words, hybrid, not 'hybird'; did you mean 'hybrid'?
    """
    where = strict.Document(values={}, name="config") if doc is None else doc
    if not isinstance(spec, (str, Mapping)):
        raise ConfigError(
            f"{where.where(*key)}: a corpus' name or a mapping with `corpus` is wanted (got {spec!r})",
            hint="retrieval: {corpus: handbook, k: 5}",
        )
    values: dict[str, Any] = {"corpus": spec} if isinstance(spec, str) else dict(spec)
    known = [f.name for f in dataclasses.fields(Retrieval) if f.name != "folder"]
    for name in values:
        if name not in known:
            near = suggest(name, known)
            raise ConfigError(
                f"{where.where(*key, name)}: unknown key{'' if near is None else '; ' + near}",
                hint=None if near else f"keys here: {', '.join(known)}",
            )
    if "chunker" in values:
        values["chunker"] = chunker_spec(chunker_of(values["chunker"], where, (*key, "chunker")))
    made: Retrieval = strict.build(Retrieval, values, key, where)
    return made if folder is None else dataclasses.replace(made, folder=str(folder))


def spec_of(retrieval: Retrieval) -> dict[str, Any]:
    """Return the mapping that `retrieval_of` turns back into equal settings; fields at their default are left out.

    >>> spec_of(Retrieval(corpus="handbook", k=8, chunker="recursive", sources=("a.md",)))
    {'corpus': 'handbook', 'chunker': {'kind': 'recursive'}, 'k': 8, 'sources': ['a.md']}
    """
    said: dict[str, Any] = {"corpus": retrieval.corpus}
    for each in dataclasses.fields(Retrieval):
        default = each.default_factory() if each.default_factory is not dataclasses.MISSING else each.default
        value = getattr(retrieval, each.name)
        if each.compare and each.name != "corpus" and value != default:
            said[each.name] = (
                dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value
            )
    return said


def _index(spec: str | Mapping[str, Any]) -> dict[str, str]:
    """Return an index's mapping with its kind; ConfigError for what is not one. Every kind may have a folder."""
    values = {"kind": spec} if isinstance(spec, str) else dict(spec) if isinstance(spec, Mapping) else {}
    for key in values:
        if key not in _INDEX_KEYS:
            near = suggest(key, _INDEX_KEYS)
            raise ConfigError(f"index.{key}: unknown key", hint=near or f"keys: {', '.join(_INDEX_KEYS)}")
    checked({"kind": values.get("kind")})
    folder = values.get("folder", "")
    if "folder" in values and (not isinstance(folder, str) or not folder.strip()):
        raise ConfigError(f"index.folder: must be a text (got {folder!r})")
    return values


def _placed(key: str, check: Callable[[], object]) -> None:
    """Check a part; its ConfigError as the ValueError that `strict.build` gives a place."""
    try:
        check()
    except ConfigError as trouble:
        said = trouble.message if trouble.hint is None else f"{trouble.message} ({trouble.hint})"
        raise ValueError(said if said.startswith((f"{key}:", f"{key}.")) else f"{key}: {said}") from None


# Loading


@runtime_checkable
class Keeping(Protocol):
    """A log that keeps vectors; `routelab.store.Log` is one."""

    content: Any

    def get_many(self, embedder_id: str, hashes: Sequence[str], /) -> Mapping[str, NDArray[np.float32]]: ...
    def put_many(self, embedder_id: str, vectors: Mapping[str, NDArray[np.float32]], /) -> None: ...


def store_of(log: object) -> VectorStore | None:
    """Return where vectors are kept between processes: the log, if it is one that keeps texts; else None."""
    return _Forgiving(store=log) if isinstance(log, Keeping) and log.content == "full" else None


@dataclass(frozen=True, kw_only=True)
class _Forgiving:
    """A store whose trouble is no trouble: vectors that cannot be read or kept are made again."""

    store: VectorStore

    def get_many(self, embedder_id: str, hashes: Sequence[str], /) -> Mapping[str, NDArray[np.float32]]:
        try:
            return self.store.get_many(embedder_id, hashes)
        except RoutelabError:
            return {}

    def put_many(self, embedder_id: str, vectors: Mapping[str, NDArray[np.float32]], /) -> None:
        try:
            self.store.put_many(embedder_id, vectors)
        except RoutelabError:
            return


class Libraries:
    """The libraries of a session: one for each state of a corpus, its cuts, embedder and index, whoever searches it and how.

    Routers with the same libraries load a corpus once. `corpora` finds documents, `store` keeps vectors between processes
    (`store_of` a log), `told` hears what is being done. Safe among threads.
    """

    def __init__(
        self,
        corpora: Corpora | None = None,
        *,
        store: VectorStore | None = None,
        told: Callable[[str], None] | None = None,
    ) -> None:
        self.corpora = corpora or Corpora()
        self._store = store
        self._told = told
        self._embedders = Embedders()
        self._lock = threading.Lock()
        self._loads: dict[str, _Load] = {}

    def finder(self, settings: Retrieval) -> Finder:
        """Return what finds passages as the settings say, in the documents as they are now; nothing is loaded yet.

        Raises ConfigError when there is no such corpus.
        """
        corpora, key = self.corpora.beside(settings.folder), self._key(settings)
        with self._lock:
            if key not in self._loads:
                work = _Loading(
                    settings=settings,
                    corpora=corpora,
                    embedders=self._embedders,
                    store=self._store,
                    told=self._told or (lambda _: None),
                )
                self._loads[key] = _Load(work)
            load = self._loads[key]
        return Finder(settings, load)

    def _key(self, settings: Retrieval) -> str:
        state = self.corpora.beside(settings.folder).state(settings.corpus)
        made_of = None if settings.by == "words" else [settings.embedder, _index(settings.index)]
        return digest([settings.corpus, state, settings.chunker, made_of])

    def put(self, settings: Retrieval, loaded: Loaded) -> None:
        """Have finders of these settings search a library that was made elsewhere, as a bench makes many of the same documents."""
        load = _Load(lambda: loaded)
        load.begin().result()
        with self._lock:
            self._loads[self._key(settings)] = load

    def forget(self) -> None:
        """Let go of all libraries; finders that are in use keep theirs."""
        with self._lock:
            self._loads.clear()


class Finder:
    """Finds passages for a prompt, in a library that is loaded when it is first needed, or before (`load`)."""

    def __init__(self, settings: Retrieval, load: _Load) -> None:
        self.settings = settings
        self._load = load

    @property
    def corpus(self) -> str:
        """The corpus' name."""
        return self.settings.corpus

    def begin(self) -> concurrent.futures.Future[Loaded]:
        """Begin to load on a thread of its own, unless that is done or under way; the future never can be cancelled.

        After trouble (an endpoint that did not answer, a file that was not UTF-8) the next call tries again.
        """
        return self._load.begin()

    def load(self) -> Loaded:
        """Return the library with its corpus' notes, loaded; ConfigError, DataError or ProviderError say why it cannot be."""
        return self.begin().result()

    @property
    def lookup(self) -> Lookup:
        """The function of the prompt, loaded."""
        there = self.load()
        return Lookup(
            library=there.library,
            search=self.settings.search,
            corpus=self.corpus,
            digest=there.digest,
            budget_tokens=self.settings.budget_tokens,
        )

    def __call__(self, prompt: str) -> Found:
        """Return what was found; a blank prompt finds nothing. Raises what `load` and the embedder raise."""
        return self.lookup(prompt)

    def __repr__(self) -> str:
        return f"Finder({spec_of(self.settings)})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """A library, which state of which documents it is of (`digest`), and what was left out of them."""

    library: Library
    digest: str
    texts: Mapping[str, str]
    notes: tuple[str, ...] = ()


class _Load:
    """One load that any number of threads may wait for."""

    def __init__(self, work: Callable[[], Loaded]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._future: concurrent.futures.Future[Loaded] | None = None

    def begin(self) -> concurrent.futures.Future[Loaded]:
        with self._lock:
            future = self._future
            failed = future is not None and future.done() and future.exception() is not None
            if future is not None and not failed:
                return future
            future = self._future = concurrent.futures.Future()
            # Running from now on, so that nobody who stops waiting can cancel it for the others.
            future.set_running_or_notify_cancel()
            threading.Thread(target=self._run, args=(future,), name="routelab-library", daemon=True).start()
            return future

    def _run(self, future: concurrent.futures.Future[Loaded]) -> None:
        try:
            made = self._work()
        except BaseException as trouble:  # noqa: BLE001 - it is raised again where the library is needed
            future.set_exception(trouble)
        else:
            future.set_result(made)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Loading:
    """Reads, cuts, embeds and indexes a corpus."""

    settings: Retrieval
    corpora: Corpora
    embedders: Embedders
    store: VectorStore | None
    told: Callable[[str], None]

    def __call__(self) -> Loaded:
        settings = self.settings
        corpus = self.corpora(settings.corpus)
        chunks = tuple(c for source, text in corpus.texts.items() for c in settings.cut(text, source) if c.text.strip())
        if not chunks:
            raise DataError(f"corpus {corpus.name}: has no passages", hint="are its documents empty?")
        self.told(f"{corpus.name}: {len(corpus):,} documents, {len(chunks):,} passages")
        cuts = identity(chunks)
        if settings.by == "words":
            library, embedder_id = Library(passages=chunks), ""
        else:
            asked, embedder_id, rows, index = self._embedded(chunks, cuts)
            library = Library(passages=chunks, embedder=asked, index=index, rows=rows)
        library.prepare(settings.search)
        state = digest(corpus.digest, cuts, embedder_id)
        return Loaded(library=library, digest=state, texts=corpus.texts, notes=corpus.notes)

    def _embedded(self, chunks: Sequence[Chunk], cuts: str) -> tuple[Embedder, str, Vectors, dict[str, str]]:
        spec, index = self.settings.embedder, _index(self.settings.index)
        shared = self.embedders[spec]
        asked = windowed(shared, spec)
        key = digest(cuts, asked.id)
        folder = index.pop("folder", None)
        kept: Kept | None = None
        if folder is not None:
            # A folder of its own for each corpus, cut and embedder: Chroma's collections cannot be told apart by anything else.
            named = digest(self.settings.corpus, self.settings.chunker, asked.id)[:12]
            place = Path(folder).expanduser() / f"{_slug(self.settings.corpus)}-{named}"
            kept = Kept(path=place.with_name(f"{place.name}.npz"))
            if index["kind"] != "exact":
                index["folder"] = str(place)
        rows = None if kept is None else kept.read(key, len(chunks))
        if rows is None:
            stored = shared if self.store is None else Cached(embedder=shared, store=self.store)
            rows = self._rows([c.text for c in chunks], windowed(stored, spec))
            if kept is not None:
                kept.write(key, rows)
        return asked, asked.id, rows, index

    def _rows(self, texts: Sequence[str], embedder: Embedder) -> Vectors:
        blocks = []
        for start in range(0, len(texts), BLOCK):
            blocks.append(embedder(texts[start : start + BLOCK]))
            done = min(start + BLOCK, len(texts))
            self.told(f"{self.settings.corpus}: {done:,} of {len(texts):,} passages embedded")
        return np.concatenate(blocks)


def _slug(name: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in Path(name).name)
    return kept.strip("-")[:40] or "corpus"
