"""Retrieval of a config: its settings both ways, and libraries that are loaded once, for all, and again after trouble."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from routelab import strict
from routelab.chunking.corpora import Corpora
from routelab.core.errors import ConfigError, DataError, LogError, ProviderError
from routelab.embedding import Lexical
from routelab.embedding.chroma import IndexRebuilt
from routelab.retrieving import Libraries, Retrieval, retrieval_of, spec_of, store_of
from routelab.testing.embedders import Shelf

TEXTS = {
    "leave.md": "# Leave\n\nParental leave is sixteen weeks.\n\n## Sick\n\nA note is needed after three days.\n",
    "travel.md": "# Travel\n\nTrains are booked by the office. Hotels cost at most 140 euros.\n",
}
CHUNKER = {"kind": "sentences", "size": 12}
LEXICAL = {"kind": "lexical", "dimensions": 128}


def retrieval(**given: Any) -> Retrieval:
    return Retrieval(**{"corpus": "handbook", "chunker": CHUNKER, "embedder": LEXICAL, "k": 2, **given})


def libraries(**given: Any) -> Libraries:
    return Libraries(Corpora(given={"handbook": TEXTS}), **given)


# Settings


def test_settings_are_equal_by_content_and_go_to_yaml_and_back() -> None:
    text = (
        "retrieval:\n  corpus: handbook\n  chunker: {kind: semantic, size: 300, overlap: 0.2}\n  embedder: {kind: lexical}\n"
        "  index: {kind: chroma, folder: kept}\n  k: 8\n  by: hybrid\n  floor: 0.25\n  sources: [a.md]\n  under: [One, Two]\n"
        "  budget_tokens: 900\n"
    )
    document = strict.parse(text, name="a.yaml")
    made = retrieval_of(document.values["retrieval"], document, folder="configs")
    assert spec_of(made) == document.values["retrieval"]
    assert retrieval_of(spec_of(made)) == made
    assert made.folder == "configs"
    assert (made.search.k, made.search.by, made.search.under) == (8, "hybrid", ("One", "Two"))
    assert retrieval_of("handbook") == Retrieval(corpus="handbook")
    assert spec_of(Retrieval(corpus="handbook")) == {"corpus": "handbook"}
    # A default that is written out is no difference.
    assert retrieval(chunker={"kind": "recursive", "size": 400}) == retrieval(chunker="recursive")


chunkers = st.sampled_from(
    ["tokens", {"kind": "recursive", "size": 50, "overlap": 0.2}, {"kind": "characters", "size": 9}]
)


@settings(max_examples=50)
@given(
    st.fixed_dictionaries(
        {"corpus": st.text("abc/.", min_size=1)},
        optional={
            "chunker": chunkers,
            "embedder": st.sampled_from(["lexical", {"kind": "lexical", "dimensions": 64}]),
            "index": st.sampled_from(["exact", "chroma", {"kind": "exact", "folder": "f"}]),
            "k": st.integers(1, 50),
            "by": st.sampled_from(["vectors", "words", "hybrid"]),
            "floor": st.none() | st.floats(-1, 1),
            "sources": st.lists(st.text("ab", min_size=1), max_size=2),
            "budget_tokens": st.none() | st.integers(1, 9000),
        },
    )
)
def test_any_settings_survive_yaml(spec: dict[str, Any]) -> None:
    made = retrieval_of(spec)
    document = strict.parse(strict.dump({"retrieval": spec_of(made)}))
    assert retrieval_of(document.values["retrieval"], document) == made


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("corpus: ''", "a.yaml:2: retrieval.corpus: must be a name or a path (got '')"),
        ("k: 3", "a.yaml:1: retrieval.corpus: is missing"),
        ("corpus: h\n  kk: 3", "a.yaml:3: retrieval.kk: unknown key"),
        ("corpus: h\n  folder: x", "a.yaml:3: retrieval.folder: unknown key"),
        ("corpus: h\n  chunkr: tokens", "a.yaml:3: retrieval.chunkr: unknown key; did you mean 'chunker'?"),
        ("corpus: h\n  chunker: {kind: tokens, size: 0}", "a.yaml:3: retrieval.chunker.size: a whole number from 1"),
        ("corpus: h\n  embedder: minlm", "a.yaml:3: retrieval.embedder.kind: unknown 'minlm'; did you mean 'minilm'?"),
        ("corpus: h\n  index: chrome", "a.yaml:3: retrieval.index: unknown 'chrome'; did you mean 'chroma'?"),
        ("corpus: h\n  index: {kind: exact, foldr: x}", "a.yaml:3: retrieval.index.foldr: unknown key"),
        ("corpus: h\n  index: {kind: chroma, folder: ''}", "a.yaml:3: retrieval.index.folder: must be a text (got '')"),
        ("corpus: h\n  k: 0", "a.yaml:3: retrieval.k: a whole number from 1 is wanted, not 0"),
        ("corpus: h\n  k: '5'", "a.yaml:3: retrieval.k: must be a whole number (got '5')"),
        ("corpus: h\n  by: hybird", "a.yaml:3: retrieval.by: must be one of vectors, words, hybrid, not 'hybird'"),
        ("corpus: h\n  budget_tokens: 0", "a.yaml:3: retrieval.budget_tokens: must be at least 1, not 0"),
        ("corpus: h\n  sources: a.md", "a.yaml:3: retrieval.sources: must be a list (got 'a.md')"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(lines: str, said: str) -> None:
    document = strict.parse(f"retrieval:\n  {lines}\n", name="a.yaml")
    with pytest.raises(ConfigError) as trouble:
        retrieval_of(document.values["retrieval"], document)
    assert trouble.value.message.startswith(said)


def test_what_is_no_mapping_and_no_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="config: retrieval: a corpus' name or a mapping"):
        retrieval_of(["handbook"])  # type: ignore[arg-type]


# Loading and finding


def test_passages_are_found_with_their_places_in_the_documents() -> None:
    found = libraries().finder(retrieval())("How long is parental leave?")
    source, _, place = found.chunks[0].partition(":")
    start, end = map(int, place.split("-"))
    assert source == "leave.md"
    assert "Parental leave is sixteen weeks." in TEXTS[source][start:end]
    assert found.corpus == "handbook"
    assert TEXTS[source][start:end].strip() in found.context
    assert len(found.digest) == 16


def test_finders_of_one_state_share_a_library_and_the_digest_tells_states_apart() -> None:
    made = libraries()
    one, other = made.finder(retrieval()).load(), made.finder(retrieval(k=1, by="hybrid", budget_tokens=50)).load()
    assert one is other
    more = {"leave.md": TEXTS["leave.md"] + "x"}
    digests = {
        one.digest,
        made.finder(retrieval(by="words")).load().digest,
        made.finder(retrieval(chunker={"kind": "sentences", "size": 6})).load().digest,
        made.finder(retrieval(embedder={"kind": "lexical", "dimensions": 64})).load().digest,
        Libraries(Corpora(given={"handbook": more})).finder(retrieval()).load().digest,
    }
    assert len(digests) == 5
    assert libraries().finder(retrieval()).load().digest == one.digest


def test_words_need_no_embedder() -> None:
    found = libraries().finder(retrieval(by="words", k=1))("hotels")
    assert found.chunks[0].startswith("travel.md:")
    assert libraries().finder(retrieval(by="words"))("unheard").chunks == ()


def test_documents_that_changed_are_read_by_the_next_finder_only(tmp_path: Path) -> None:
    (tmp_path / "handbook.md").write_text("Leave is two weeks.\n")
    made, wanted = Libraries(), retrieval(folder=str(tmp_path), k=1)
    before = made.finder(wanted)
    assert "two weeks" in before("leave").context
    (tmp_path / "handbook.md").write_text("Leave is three weeks.\n")
    assert "two weeks" in before("leave").context
    after = made.finder(wanted)
    assert "three weeks" in after("leave").context
    assert after.load().digest != before.load().digest


def test_a_missing_corpus_is_said_when_the_finder_is_made() -> None:
    with pytest.raises(ConfigError, match="there is no corpus 'handbok'; did you mean 'handbook'"):
        libraries().finder(retrieval(corpus="handbok"))


def test_a_corpus_without_a_passage_is_refused() -> None:
    with pytest.raises(DataError, match="has no documents"):
        Libraries(Corpora(given={"handbook": {}})).finder(retrieval())


class Counting:
    """The lexical embedder, counting its calls; it fails first where it is told to, and waits for a gate."""

    dimensions = 128

    def __init__(self, failing: int = 0) -> None:
        self.id = "counting"
        self.failing = failing
        self.texts: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        assert self.gate.wait(10)
        if self.failing > 0:
            self.failing -= 1
            raise ProviderError("the endpoint is down")
        self.texts += texts
        return Lexical(dimensions=128)(texts)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """The embedder in the place of every other."""
    made = Counting()
    monkeypatch.setattr("routelab.embedding.embedder_of", lambda spec: made)
    return made


def test_a_corpus_is_loaded_once_however_many_ask_at_once(counting: Counting) -> None:
    counting.gate.clear()
    made = libraries()
    finders = [made.finder(retrieval()) for _ in range(8)]
    waiting = [f.begin() for f in finders]
    assert not any(w.done() for w in waiting)
    assert not any(w.cancel() for w in waiting)
    counting.gate.set()
    assert len({id(w.result(10)) for w in waiting}) == 1
    assert len(counting.texts) == len(set(counting.texts))


def test_trouble_is_everybodys_and_the_next_call_tries_again(counting: Counting) -> None:
    counting.failing = 1
    finder = libraries().finder(retrieval())
    with pytest.raises(ProviderError, match="the endpoint is down"):
        finder.load()
    assert finder("leave").chunks


def test_a_log_keeps_vectors_for_the_next_process_and_its_trouble_is_none(counting: Counting) -> None:
    shelf = Shelf()
    libraries(store=shelf).finder(retrieval()).load()
    first = len(counting.texts)
    libraries(store=shelf).finder(retrieval()).load()
    # Only the question that warms the index up.
    assert len(counting.texts) - first <= 1

    class Broken:
        content = "full"

        def get_many(self, embedder_id: str, hashes: Sequence[str], /) -> Mapping[str, NDArray[np.float32]]:
            raise LogError("busy")

        def put_many(self, embedder_id: str, vectors: Mapping[str, NDArray[np.float32]], /) -> None:
            raise LogError("busy")

    assert libraries(store=store_of(Broken())).finder(retrieval())("leave").chunks


def test_only_a_log_that_keeps_texts_keeps_vectors() -> None:
    class Hashing(Shelf):
        content = "hash"

    class Full(Shelf):
        content = "full"

    assert [store_of(log) is None for log in (Full(), Hashing(), Shelf(), None)] == [False, True, True, True]


@pytest.mark.parametrize("kind", ["exact", "chroma"])
def test_a_folder_keeps_vectors_and_says_once_when_it_made_them_anew(
    kind: str, tmp_path: Path, counting: Counting
) -> None:
    wanted = retrieval(index={"kind": kind, "folder": str(tmp_path / "kept")})
    finder = libraries().finder(wanted)
    expected = finder("leave").chunks
    first = len(counting.texts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert libraries().finder(wanted)("leave").chunks == expected
    assert len(counting.texts) - first <= 2
    changed = Libraries(Corpora(given={"handbook": {"a.md": "Leave is one week.\n"}}))
    with pytest.warns(IndexRebuilt, match="of another state of the documents") as said:
        found = changed.finder(wanted)("leave")
    assert len(said) == 1
    assert found.chunks == ("a.md:0-19",)
    # Another embedder, cut or corpus has files of its own.
    libraries().finder(retrieval(index=wanted.index, chunker="tokens")).load()
    assert len(list((tmp_path / "kept").glob("*.npz"))) == 2


def test_an_index_that_is_lost_while_it_is_used_is_searched_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finder = libraries().finder(retrieval(index="chroma"))
    expected = finder("leave").chunks
    index = finder.load().library._index

    def gone(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(type(index), "nearest", gone)
    with pytest.warns(UserWarning, match="the index can no longer be read"):
        assert finder("leave").chunks == expected
    assert finder("leave").chunks == expected


def test_what_is_done_is_told() -> None:
    told: list[str] = []
    libraries(told=told.append).finder(retrieval()).load()
    passages = told[0].split()[3]
    assert told == [
        f"handbook: 2 documents, {passages} passages",
        f"handbook: {passages} of {passages} passages embedded",
    ]


def test_libraries_that_are_forgotten_are_loaded_again() -> None:
    made = libraries()
    one = made.finder(retrieval())
    loaded = one.load()
    made.forget()
    assert one.load() is loaded
    assert made.finder(retrieval()).load() is not loaded


def test_a_library_that_was_made_elsewhere_is_searched_as_it_is() -> None:
    made = libraries()
    other = libraries().finder(retrieval(chunker="tokens")).load()
    made.put(retrieval(), other)
    assert made.finder(retrieval(k=1)).load() is other
    assert made.finder(retrieval(by="words")).load() is not other
