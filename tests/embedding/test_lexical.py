from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import ConfigError
from routelab.embedding import Lexical

SMALL = Lexical(dimensions=64)


def test_spelling_counts() -> None:
    one, same, other = Lexical()(["reset my password", "resetting passwords", "a cat on the sofa"])
    assert one @ same > 0.5 > 0.2 > one @ other


def test_the_hash_is_the_same_on_every_machine() -> None:
    rows = Lexical(dimensions=6)(["reset my password", "日本語", "", "\ud800"])
    assert [[round(float(x), 3) for x in row] for row in rows] == [
        [-0.302, -0.522, 0.302, 0.426, -0.426, 0.426],
        [-0.378, -0.378, 0.378, -0.378, -0.535, 0.378],
        [0.0, 0.0, 0.0, 1.0, 0.0, 0.0],
        [-0.577, 0.0, 0.0, 0.0, 0.577, -0.577],
    ]


def test_case_and_white_space_do_not_count() -> None:
    assert np.array_equal(*SMALL(["  A  Cat\n", "a cat"]))


@given(st.text(), st.text())
def test_the_cosine_is_symmetric_and_one_with_itself(a: str, b: str) -> None:
    rows = SMALL([a, b])
    cosines = rows @ rows.T
    assert cosines[0, 1] == cosines[1, 0]
    assert np.allclose(np.diag(cosines), 1, atol=1e-5)


@given(st.text(min_size=1), st.integers(1, 6), st.integers(0, 3))
def test_long_texts_are_counted_in_blocks_that_do_not_show(text: str, shortest: int, more: int) -> None:
    # The naive count, gram by gram, against the blocks of the real one.
    from routelab.embedding import lexical

    embedder = Lexical(dimensions=32, shortest=shortest, longest=shortest + more)
    whole = embedder([text])
    block = lexical._BLOCK
    try:
        lexical._BLOCK = 2
        assert np.array_equal(embedder([text]), whole)
    finally:
        lexical._BLOCK = block


def test_ten_megabytes_and_endless_accents_are_embedded() -> None:
    rows = SMALL(["x" * 10_000_000, "e" + "\N{COMBINING ACUTE ACCENT}\N{COMBINING COMMA ABOVE RIGHT}" * 200_000])
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "fields", [{"dimensions": 1}, {"shortest": 0}, {"shortest": 4, "longest": 3}, {"dimensions": 2.0}]
)
def test_sizes_that_make_no_sense_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"embedder\.(dimensions|shortest|longest): a whole number from"):
        Lexical(**fields)


def test_the_id_names_all_that_the_vectors_depend_on() -> None:
    assert Lexical().id == "lexical-2-4@4096"
    assert len({Lexical(dimensions=d, shortest=s, longest=e).id for d in (8, 16) for s in (1, 2) for e in (2, 3)}) == 8


def test_recorded_intents_are_found_as_well_as_measured(shared: Path) -> None:
    data = json.loads((shared / "data" / "intents" / "clinc150.json").read_text(encoding="utf-8"))
    train, held = data["train"][::3], data["val"][::10]
    known = Lexical()([text for text, _ in train])
    nearest = (Lexical()([text for text, _ in held]) @ known.T).argmax(axis=1)
    accuracy = np.mean([train[i][1] == intent for i, (_, intent) in zip(nearest, held, strict=True)])
    assert 0.7 < accuracy < 0.9
