"""Other libraries' chunkers are arms like ours: their pieces are put back exactly, or refused."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from contract import UGLY

from routelab.chunking import Chonkie, Chunk, LangChain, missing, restored
from routelab.chunking.placed import placed
from routelab.chunking.ruler import CharacterRuler
from routelab.core.errors import ConfigError, DataError

TEXT = "One sentence here.\n\nAnd another one, there. A third.\n" * 20


def put(text: str, *pieces: str, repeat: int = 0, given: tuple[int | None, ...] = ()) -> list[tuple[int, int, int]]:
    places = zip(pieces, given or (None,) * len(pieces), strict=True)
    chunks = list(placed(places, text, "s", CharacterRuler(len(text)), repeat, "somebody's Splitter"))
    assert all(chunk.text == text[chunk.start : chunk.end] for chunk in chunks)
    return [(chunk.start, chunk.end, chunk.repeated) for chunk in chunks]


def test_pieces_are_found_one_after_the_other() -> None:
    assert put("ab ab ab ab", "ab", "ab", "ab ab") == [(0, 2, 0), (3, 5, 0), (6, 11, 0)]


def test_a_repeated_piece_is_found_where_the_overlap_allows() -> None:
    assert put("a b a b a b", "a b a", "a b a b", repeat=2) == [(0, 5, 0), (4, 11, 1)]


def test_more_overlap_than_was_asked_is_found_too() -> None:
    assert put("one two three four", "one two three", "two three four", repeat=3) == [(0, 13, 0), (4, 18, 9)]


def test_a_given_place_is_checked() -> None:
    assert put("ab ab ab", "ab", "ab", given=(0, 6)) == [(0, 2, 0), (6, 8, 0)]
    assert put("ab cd", "ab", "cd", given=(0, 1)) == [(0, 2, 0), (3, 5, 0)]


def test_empty_pieces_are_no_chunks() -> None:
    assert put("ab", "", "ab", "") == [(0, 2, 0)]


@pytest.mark.parametrize("piece", ["b  c", "b\ufffd", "B C", "# a\nb c", "a b"])
def test_a_piece_that_is_not_in_the_text_is_refused(piece: str) -> None:
    with pytest.raises(DataError) as caught:
        put("a b c d", "a", piece) if piece != "a b" else put("a b c d", "a b c", "a b")
    assert "chunk 1 of somebody's Splitter is not a part of the text" in caught.value.message


def test_where_a_text_repeats_itself_too_much_nothing_is_guessed() -> None:
    with pytest.raises(DataError, match="the text repeats itself"):
        put("ababababababab", "ababab", "ababab", "ab", repeat=4)


class TextSplitter:
    """The part of langchain-text-splitters' class that is used, enough to be played."""

    def __init__(self, chunk_size: int, chunk_overlap: int, length_function: Any, separator: str = "\n\n") -> None:
        if chunk_overlap > chunk_size:
            raise ValueError("overlap")
        self.separator = separator
        self.length = length_function

    def split_text(self, text: str) -> list[str]:
        assert self.length("two words") in (2, 9)
        return [piece.strip() for piece in text.split(self.separator)]


class ParagraphTextSplitter(TextSplitter):
    pass


class BaseChunker:
    pass


class ParagraphChunker(BaseChunker):
    def __init__(self, tokenizer: Any = "character", chunk_size: int = 5) -> None:
        self.tokenizer = tokenizer

    def chunk(self, text: str) -> list[SimpleNamespace]:
        if text == "refuse":
            raise ValueError("cannot")
        return [SimpleNamespace(text=text[i : i + 9], start_index=i) for i in range(0, len(text), 9)]


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    names = (
        "langchain_text_splitters",
        "langchain_text_splitters.base",
        "chonkie",
        "chonkie.chunker",
        "chonkie.chunker.base",
    )
    made = {name: ModuleType(name) for name in names}
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    made["langchain_text_splitters"].ParagraphTextSplitter = ParagraphTextSplitter  # type: ignore[attr-defined]
    made["langchain_text_splitters.base"].TextSplitter = TextSplitter  # type: ignore[attr-defined]
    made["chonkie"].ParagraphChunker = ParagraphChunker  # type: ignore[attr-defined]
    made["chonkie.chunker.base"].BaseChunker = BaseChunker  # type: ignore[attr-defined]


@pytest.mark.usefixtures("libraries")
def test_a_splitter_of_langchain_is_an_arm() -> None:
    for unit in ("tokens", "characters"):
        chunks = LangChain(splitter="ParagraphTextSplitter", unit=unit)(TEXT, "a.md")  # type: ignore[arg-type]
        assert [chunk.text for chunk in chunks] == [piece.strip() for piece in TEXT.split("\n\n")]
        assert {TEXT[a:b].strip() for a, b in missing(chunks, TEXT)} == {""}
        assert all((chunk.tokens is None) == (unit == "characters") for chunk in chunks)


@pytest.mark.usefixtures("libraries")
def test_a_chunker_of_chonkie_is_an_arm() -> None:
    chunks = Chonkie(chunker="ParagraphChunker", unit="characters")(TEXT, "a.md")
    assert restored(chunks) == TEXT
    assert chunks[1] == Chunk(text=TEXT[9:18], start=9, end=18, order=1, source="a.md")


@pytest.mark.usefixtures("libraries")
@pytest.mark.parametrize(
    ("chunker", "said"),
    [
        (
            LangChain(splitter="ParagrafTextSplitter"),
            "unknown 'ParagrafTextSplitter'; did you mean 'ParagraphTextSplitter'?",
        ),
        (LangChain(splitter="ParagraphTextSplitter", options={"colour": 1}), "colour"),
        (LangChain(splitter="TokenTextSplitter", unit="characters"), "takes unit: tokens and no options"),
        (Chonkie(chunker="os"), "chunker.chunker: unknown 'os'"),
        (Chonkie(chunker="ParagraphChunker", overlap=0.2), "chunker.overlap: chonkie's ParagraphChunker has none"),
        (Chonkie(chunker="ParagraphChunker", options={"colour": 1}), "colour"),
    ],
)
def test_what_their_classes_do_not_take_is_said(chunker: LangChain | Chonkie, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chunker(TEXT)
    assert said in caught.value.message


@pytest.mark.usefixtures("libraries")
def test_what_they_raise_names_the_document() -> None:
    with pytest.raises(DataError, match=r"a.md: chonkie's ParagraphChunker cannot cut it: cannot"):
        Chonkie(chunker="ParagraphChunker")("refuse", "a.md")


@pytest.mark.parametrize(
    ("chunker", "package", "module"),
    [(LangChain(), "langchain-text-splitters", "langchain_text_splitters"), (Chonkie(), "chonkie", "chonkie")],
)
def test_a_package_that_is_missing_is_named_with_the_command(
    chunker: LangChain | Chonkie, package: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError) as caught:
        chunker(TEXT)
    assert f"needs the package {package}, which is not installed" in caught.value.message
    assert caught.value.hint == f"pip install {package}"


@pytest.mark.parametrize("unit", ["tokens", "characters"])
def test_the_real_langchain_loses_blanks_only(unit: str) -> None:
    pytest.importorskip("langchain_text_splitters", reason="langchain-text-splitters is not installed")
    refused = 0
    for text in (TEXT, *UGLY):
        try:
            chunks = LangChain(size=60, overlap=0.2, unit=unit)(text)  # type: ignore[arg-type]
        except DataError:
            refused += 1
        else:
            assert "".join(text[a:b] for a, b in missing(chunks, text)).strip() == ""
    assert refused < len(UGLY) // 2


@pytest.mark.parametrize("chunker", ["RecursiveChunker", "SentenceChunker", "TokenChunker"])
def test_the_real_chonkie_loses_nothing(chunker: str) -> None:
    pytest.importorskip("chonkie", reason="chonkie is not installed")
    assert restored(Chonkie(chunker=chunker, size=60)(TEXT)) == TEXT
