"""What every chunker promises, as tests: subclass `ChunkerContract` and say how to make one of a given size and overlap."""

from __future__ import annotations

import copy
import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routelab.chunking import Chunk, Chunker, chunker_of, identity, restored, spec_of

FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
UGLY = (
    "",
    " ",
    " \n\t\r\n ",
    "x",
    "\n" * 500,
    " " * 3_000,
    "no separators at all" * 0 + "x" * 3_000,
    "日本語の文章。" * 100 + "「引用です。」と言った！本当？はい。",
    "漢字" * 1_000,
    f"{FAMILY} and \N{REGIONAL INDICATOR SYMBOL LETTER D}\N{REGIONAL INDICATOR SYMBOL LETTER E} " * 60,
    FAMILY * 200,
    "e\N{COMBINING ACUTE ACCENT}\N{COMBINING TILDE}" * 300,
    "e" + "\N{COMBINING ACUTE ACCENT}" * 1_000,
    "One.\r\nTwo.\r\n\r\nThree is a longer line.\r\n" * 60,
    "old\rMac\r\rlines\r" * 80,
    "\ud800 half \udc00 a pair \ud83d\ude00 " * 60,
    "\ufeffwith a mark. " * 50,
    "\x00\x07\x1b[31mred " * 80,
    "\N{RIGHT-TO-LEFT OVERRIDE}reversed\N{ZERO WIDTH SPACE}words" * 60,
    "<|endoftext|> is a spelling, <|fim_prefix|> too. " * 40,
    "U.S. Dr. J. R. Smith paid 3.14 e.g. to etc. and so on... " * 30,
    "..." * 500 + "!?" * 300,
    "```\nnever closed\n" + "line of code\n" * 200,
    "# \n## \n### x #\n" * 60,
    "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 200,
    "---\nfront: matter\n" + "key: value\n" * 300,
    "- " * 1_000,
    "(" * 1_500 + ")" * 1_500,
    "def f(:\n    return\n" * 80,
    "x = 1\n" * 300,
    "class A:\n    def f(self):\n        return '\\d'\n\n    # about g\n    @property\n    def g(self): pass\n\n\n"
    * 20,
    "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" * 60,
)
"""What lies in files; none of it may be lost, moved or take long."""

SCRAPS = st.sampled_from(
    [
        *(ugly[:40] for ugly in UGLY if ugly),
        " ",
        "\n",
        "\n\n",
        "\r\n",
        ". ",
        "word",
        "。",
        "\N{ZERO WIDTH JOINER}",
        "# H\n",
        "```\n",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=200),
    st.text(st.characters(), max_size=200),
    st.lists(st.one_of(SCRAPS, st.text(max_size=12)), max_size=60).map("".join),
)
"""Any unicode, lone surrogates too, and texts put together of what chunkers look for."""


def checked(chunks: tuple[Chunk, ...], text: str) -> None:
    """Assert what holds of every row of chunks that loses nothing."""
    assert [chunk.text for chunk in chunks] == [text[chunk.start : chunk.end] for chunk in chunks]
    assert [chunk.order for chunk in chunks] == list(range(len(chunks)))
    assert all(chunk.text for chunk in chunks)
    for one, two in itertools.pairwise(chunks):
        assert one.start < two.start <= one.end < two.end
        assert two.repeated == one.end - two.start
    assert restored(chunks) == text
    assert (not chunks) == (not text)


class ChunkerContract:
    """The contract of `chunking.Chunker`; pytest collects the subclass."""

    def chunker(self, *, size: int, overlap: int | float) -> Chunker:
        """Return the chunker under test."""
        raise NotImplementedError

    def units(self, text: str, start: int, end: int) -> int:
        """Return how long a stretch of a text is in the chunker's unit."""
        return end - start

    def whole(self, text: str, start: int, end: int) -> bool:
        """Return whether a stretch cannot be divided, so that it may be longer than the size."""
        return False

    @pytest.mark.parametrize(("size", "overlap"), [(1, 0), (7, 3), (40, 0.2), (300, 0), (100_000, 0.5)])
    def test_ugly_texts_are_cut_without_a_loss(self, size: int, overlap: int | float) -> None:
        for text in UGLY:
            chunks = self.chunker(size=size, overlap=overlap)(text, "ugly")
            checked(chunks, text)
            assert {chunk.source for chunk in chunks} <= {"ugly"}

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(text=TEXTS, size=st.integers(1, 60), share=st.floats(0, 0.99))
    def test_any_text_is_cut_without_a_loss_within_the_size(self, text: str, size: int, share: float) -> None:
        chunks = self.chunker(size=size, overlap=share)(text)
        checked(chunks, text)
        for chunk in chunks:
            long = self.units(text, chunk.start, chunk.end)
            assert long <= size or self.whole(text, chunk.start, chunk.end)
            assert chunk.tokens in (None, long)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(text=TEXTS, size=st.integers(2, 60), data=st.data())
    def test_what_is_repeated_is_at_most_the_overlap(self, text: str, size: int, data: st.DataObject) -> None:
        overlap = data.draw(st.integers(0, size - 1))
        for chunk in self.chunker(size=size, overlap=overlap)(text):
            fresh = chunk.start + chunk.repeated
            assert not chunk.repeated or self.units(text, chunk.start, fresh) <= overlap

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(text=TEXTS)
    def test_streaming_and_repeating_give_the_same_chunks(self, text: str) -> None:
        chunker = self.chunker(size=20, overlap=0.25)
        assert tuple(chunker.stream(text, "s")) == chunker(text, "s") == chunker(text, "s")

    def test_overlap_is_really_there_in_prose(self) -> None:
        text = "The cat sat on the mat. Then it ran away. A dog came. It barked at the tree, and at the moon. " * 40
        chunks = self.chunker(size=120, overlap=30)(text)
        assert len(chunks) > 5
        assert all(chunk.repeated > 0 for chunk in chunks[1:])

    def test_the_same_on_every_thread(self) -> None:
        chunker = self.chunker(size=50, overlap=5)
        alone = [identity(chunker(text)) for text in UGLY]
        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(lambda text: identity(chunker(text)), UGLY)) == alone

    def test_it_is_a_value_that_can_be_sent_and_written_down(self) -> None:
        chunker = self.chunker(size=30, overlap=0.2)
        assert pickle.loads(pickle.dumps(chunker)) == chunker
        assert copy.deepcopy(chunker) == chunker
        assert chunker_of(spec_of(chunker)) == chunker
