"""Windows: nothing of a long passage is left unread, and short ones keep their vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from routelab.core.errors import ConfigError
from routelab.embedding import Lexical, MiniLM
from routelab.embedding.vectors import Memory
from routelab.retrieval import Windowed, minilm_windows, whole


@dataclass(frozen=True, kw_only=True)
class Signs:
    """Embeds a text that begins with - as the opposite of every other."""

    id: str = "signs"
    dimensions: int = 2

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[-1.0, 0.0] if t.startswith("-") else [1.0, 0.0] for t in texts], dtype=np.float32)


def test_a_long_text_is_the_mean_of_its_windows_and_a_short_one_is_itself() -> None:
    lexical = Lexical(dimensions=64)
    windowed = Windowed(embedder=lexical, divide=lambda text: text.split("|"), name="bars")
    made = windowed(["one|two three", "four", "one"])
    mean = lexical(["one", "two three"]).astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(made[0], mean / np.linalg.norm(mean), atol=1e-6)
    assert (made[1:] == lexical(["four", "one"])).all()
    assert (windowed.id, windowed.dimensions) == (f"{lexical.id}+bars", 64)


def test_windows_that_cancel_out_still_have_a_direction() -> None:
    windowed = Windowed(embedder=Signs(), divide=lambda text: text.split("|"))
    assert windowed(["a|-b"]).tolist() == [[1.0, 0.0]]
    assert windowed([]).shape == (0, 2)


TEXTS = st.text(alphabet="ab c\n.,é東-\ud800\U0001f600", max_size=400)


@settings(max_examples=60)
@given(TEXTS, st.integers(3, 40))
def test_windows_are_the_whole_text_in_parts_that_the_model_reads_to_their_end(text: str, limit: int) -> None:
    from tokenizers import Tokenizer

    from routelab.embedding.minilm import BUNDLED

    parts = minilm_windows(limit)(text)
    assert "".join(parts) == text
    tokenizer = Tokenizer.from_str((BUNDLED / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    for part in parts:
        read = part.encode("utf-8", "replace").decode("utf-8")
        assert len(tokenizer.encode(read, add_special_tokens=False).ids) <= limit


def test_windows_are_alike_and_end_between_words() -> None:
    text = "The committee reconsidered unquestionably. " * 60
    parts = minilm_windows(100)(text)
    lengths = [len(part.split()) for part in parts]
    assert max(lengths) - min(lengths) <= 4
    assert all(part.endswith((" ", ".")) or part[-1:].isalpha() for part in parts)
    assert {word for part in parts for word in part.split()} == set(text.split())


def test_what_the_model_does_not_read_of_a_long_text_counts_with_windows() -> None:
    head = "Weather and rivers in spring. " * 60
    tail = "The central bank raised its interest rate. " * 40
    plain, read = MiniLM(), whole({"kind": "minilm"}, Memory())
    prompt = plain(["interest rate of the central bank"])[0]
    assert (plain([head]) == plain([head + tail])).all()
    assert float(read([head + tail])[0] @ prompt) > float(plain([head + tail])[0] @ prompt) + 0.2
    assert (read(["a short text"]) == plain(["a short text"])).all()


def test_an_embedder_without_a_window_is_taken_as_it_is() -> None:
    assert whole("lexical") == Lexical()


def test_vectors_of_windows_are_kept_in_the_store() -> None:
    memory, text = Memory(), " ".join(f"word{i}" for i in range(200))
    whole("minilm", memory)([text])
    assert len(memory) == len(set(minilm_windows()(text))) > 1


def test_an_unknown_embedder_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'minilm'"):
        whole("minlm")
