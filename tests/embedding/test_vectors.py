"""The process's vectors: once a text, within a bound, the same from every thread."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from routelab.core.errors import ConfigError
from routelab.embedding import Lexical, content_hash, remember, vectors
from routelab.embedding.vectors import Embedders, Memory

SPEC = {"kind": "lexical", "dimensions": 16}


def test_vectors_are_what_the_embedder_gives() -> None:
    texts = ["one", "two", "one", ""]
    assert np.array_equal(vectors(SPEC, texts), Lexical(dimensions=16)(texts))
    assert vectors(SPEC, []).shape == (0, 16)
    assert vectors("lexical", ["one"]).shape == (1, 4096)


def test_an_embedder_is_made_once_and_a_text_embedded_once() -> None:
    made = Embedders()
    first = made[SPEC](["one", "two"])
    assert made[dict(reversed(SPEC.items()))].embedder is made[SPEC].embedder
    assert len(made.memory) == 2
    made.memory.put_many(made[SPEC].id, {content_hash("one"): first[1]})
    assert np.array_equal(made[SPEC](["one"]), first[1:])


def test_what_was_made_elsewhere_is_remembered() -> None:
    other = Lexical(dimensions=16)(["something else"])[0]
    remember(SPEC, {content_hash("a text of a log"): other})
    assert np.array_equal(vectors(SPEC, ["a text of a log"])[0], other)


def test_memory_keeps_what_was_used_last_within_its_bound() -> None:
    memory = Memory(limit_bytes=3 * 16 * 4)
    rows = Lexical(dimensions=16)([str(i) for i in range(5)])
    memory.put_many("e", {str(i): rows[i] for i in range(3)})
    assert list(memory.get_many("e", ["0", "9"])) == ["0"]
    memory.put_many("e", {"3": rows[3]})
    assert sorted(memory.get_many("e", list("01234"))) == ["0", "2", "3"]
    assert memory.used_bytes == 3 * 16 * 4
    memory.put_many("e", {"3": rows[4]})
    assert memory.used_bytes == 3 * 16 * 4
    assert np.array_equal(memory.get_many("e", ["3"])["3"], rows[4])


def test_more_texts_than_the_memory_holds_are_embedded_all_the_same() -> None:
    made = Embedders(memory=Memory(limit_bytes=100))
    texts = [str(i) for i in range(20)]
    assert np.array_equal(made[SPEC](texts), Lexical(dimensions=16)(texts))
    assert made.memory.used_bytes <= 100


def test_many_threads_get_the_same_vectors() -> None:
    made = Embedders(memory=Memory(limit_bytes=640))
    texts = [str(i) for i in range(50)]
    wanted, found = Lexical(dimensions=16)(texts), []
    threads = [threading.Thread(target=lambda: found.append(made[SPEC](texts))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(np.array_equal(one, wanted) for one in found)
    assert made.memory.used_bytes == sum(v.nbytes for v in made.memory._held.values()) <= 640


def test_an_embedder_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="unknown 'lexicle'"):
        vectors("lexicle", ["x"])
