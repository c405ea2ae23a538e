"""Every kind of chunker keeps the contract."""

from __future__ import annotations

from contract import ChunkerContract

from routelab.chunking import (
    Characters,
    Chunker,
    Code,
    Markdown,
    Recursive,
    Semantic,
    Sentences,
    Tokens,
)
from routelab.chunking.ruler import TokenRuler, o200k, wordpiece


class InCharacters(ChunkerContract):
    """Sizes in characters are exact."""


class InTokens(ChunkerContract):
    """Sizes in tokens of the whole text are exact; only what lies between two marks may be longer."""

    tokenizer = staticmethod(o200k)

    def units(self, text: str, start: int, end: int) -> int:
        ruler = TokenRuler(text, self.tokenizer())
        return ruler.tokens(start, end) or 0

    def whole(self, text: str, start: int, end: int) -> bool:
        marks, _ = self.tokenizer()(text)
        return not any(start < mark < end for mark in marks.tolist())


class TestCharacters(InCharacters):
    def chunker(self, *, size: int, overlap: int | float) -> Chunker:
        return Characters(size=size, overlap=overlap)


class TestTokens(InTokens):
    def chunker(self, *, size: int, overlap: int | float) -> Chunker:
        return Tokens(size=size, overlap=overlap)


class TestWordpieces(InTokens):
    tokenizer = staticmethod(wordpiece)

    def chunker(self, *, size: int, overlap: int | float) -> Chunker:
        return Tokens(size=size, overlap=overlap, tokenizer="minilm")


class TestSentences(InCharacters):
    def chunker(self, *, size: int, overlap: int | float) -> Chunker:
        return Sentences(size=size, overlap=overlap, unit="characters")


class TestSentencesInTokens(InTokens):
    def chunker(self, *, size: int, overlap: int | float) -> Chunker:
        return Sentences(size=size, overlap=overlap)


class TestRecursive(InCharacters):
    def chunker(self, *, size: int, overlap: int | float) -> Chunker:
        return Recursive(size=size, overlap=overlap, unit="characters")


class TestRecursiveInTokens(InTokens):
    def chunker(self, *, size: int, overlap: int | float) -> Chunker:
        return Recursive(size=size, overlap=overlap)


class TestMarkdown(InCharacters):
    def chunker(self, *, size: int, overlap: int | float) -> Chunker:
        return Markdown(size=size, overlap=overlap, unit="characters")


class TestMarkdownApart(InTokens):
    def chunker(self, *, size: int, overlap: int | float) -> Chunker:
        return Markdown(size=size, overlap=overlap, apart=2, fill=0)


class TestCode(InCharacters):
    def chunker(self, *, size: int, overlap: int | float) -> Chunker:
        return Code(size=size, overlap=overlap, unit="characters")


class TestCodeInTokens(InTokens):
    def chunker(self, *, size: int, overlap: int | float) -> Chunker:
        return Code(size=size, overlap=overlap, language="other")


class TestSemantic(InCharacters):
    def chunker(self, *, size: int, overlap: int | float) -> Chunker:
        return Semantic(
            size=size, overlap=overlap, unit="characters", embedder={"kind": "lexical", "dimensions": 64}, percentile=70
        )


class TestSemanticByGradient(InTokens):
    def chunker(self, *, size: int, overlap: int | float) -> Chunker:
        return Semantic(size=size, overlap=overlap, embedder={"kind": "lexical", "dimensions": 64}, breaks="gradient")
