"""Labelled pairs: what a file may say, and halves that share no text."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import DataError
from routelab.lab.caches.pairs import Pairs, folded, halves, pieces

HEAD = "text_a,text_b,label,slice\n"


def written(folder: Path, rows: str, name: str = "p.csv") -> Path:
    path = folder / name
    path.write_text(rows, encoding="utf-8")
    return path


def rows_of(pairs: Pairs) -> list[tuple[str, str, bool, str]]:
    return list(zip(pairs.asked, pairs.known, pairs.same.tolist(), pairs.slices, strict=True))


def many(n: int, texts: int, seed: int = 0) -> Pairs:
    draw = random.Random(seed)
    made = [(f"q{draw.randrange(texts)}", f"q{draw.randrange(texts)}", draw.randrange(2)) for _ in range(n)]
    return Pairs.of([a for a, _, _ in made], [b for _, b, _ in made], [label for _, _, label in made])


def test_a_file_is_read_with_its_slices_in_every_format(tmp_path: Path) -> None:
    rows = [("is it on", "is it off", 0, "polarity"), ("a, b", "b", 1, "")]
    text = HEAD + 'is it on,is it off,0,polarity\n"a, b",b,1,\n'
    lines = "".join(
        json.dumps(dict(zip(("text_a", "text_b", "label", "slice"), row, strict=True))) + "\n" for row in rows
    )
    packed = tmp_path / "p.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    wanted = [("is it on", "is it off", False, "polarity"), ("a, b", "b", True, "")]
    for path in (written(tmp_path, text), packed, written(tmp_path, lines, "p.jsonl")):
        assert rows_of(Pairs.read(path)) == wanted


def test_kind_is_the_slice_where_there_is_no_slice_and_other_columns_are_passed_over(tmp_path: Path) -> None:
    head = "text_a,text_b,intent_a,label,kind,cosine\n"
    assert rows_of(Pairs.read(written(tmp_path, head + "a,b,x,1,hard,0.2\n"))) == [("a", "b", True, "hard")]
    both = "text_a,text_b,label,kind,slice\na,b,1,hard,easy\n"
    assert Pairs.read(written(tmp_path, both)).slices == ("easy",)
    assert Pairs.read(written(tmp_path, "text_a,text_b,label\na,b,1\n")).slices == ("",)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("text_a,text_b\na,b\n", "p.csv, line 1: column 'label' is missing"),
        ("text_a,text_c,label\na,b,1\n", "p.csv, line 1: column 'text_b' is missing"),
        (HEAD + "a,b,1,\nc,d,2,\n", "p.csv, line 3, label: 2 is not between 0 and 1"),
        (HEAD + "a,b,0.5,\n", "p.csv, line 2, label: 0.5 is neither 0 nor 1"),
        (HEAD + "a,b,maybe,\n", "p.csv, line 2, label: 'maybe' is not a number"),
        (HEAD + "a,b,,\n", "p.csv, line 2, label: is empty"),
        (HEAD + " ,b,1,\n", "p.csv, line 2, text_a: is empty"),
        (HEAD + "a,,1,\n", "p.csv, line 2, text_b: is empty"),
        (HEAD + "a,b,1\n", "p.csv, line 2: has 3 cells, and the header names 4 columns"),
        (HEAD, "p.csv: has no rows"),
        ("", "p.csv: is empty"),
    ],
)
def test_what_cannot_be_used_is_said_with_file_line_and_column(tmp_path: Path, rows: str, said: str) -> None:
    with pytest.raises(DataError) as trouble:
        Pairs.read(written(tmp_path, rows))
    assert str(trouble.value).startswith(said)
    assert len(trouble.value.message.splitlines()) == 1


def test_a_few_bad_rows_are_set_aside_and_told(tmp_path: Path) -> None:
    rows = "".join(f"a{i},b{i},{i % 2},\n" for i in range(200))
    found = Pairs.read(written(tmp_path, HEAD + rows + "x,y,7,\nx,,1,\n"))
    assert len(found) == 200
    assert [str(row) for row in found.rejected] == [
        "p.csv, line 202, label: 7 is not between 0 and 1",
        "p.csv, line 203, text_b: is empty",
    ]
    assert found.notes == ("2 rows rejected: p.csv, line 202, label: 7 is not between 0 and 1 (and 1 more)",)


def test_repetitions_count_once_and_pairs_labelled_both_ways_are_left_out_and_told(tmp_path: Path) -> None:
    rows = "a,b,1,\nb,a,1,\nc,d,1,\nd,c,0,\ne,f,0,\n"
    found = Pairs.read(written(tmp_path, HEAD + rows))
    assert rows_of(found) == [("a", "b", True, ""), ("e", "f", False, "")]
    assert found.repeated == 1
    assert [str(pair) for pair in found.disputed] == ["lines 4, 5: 'c' and 'd'"]
    assert found.notes == (
        "1 row repeats a pair and counts once",
        "1 pair is labelled 0 and 1, and is left out: lines 4, 5: 'c' and 'd'",
    )


def test_pairs_of_one_text_are_kept_and_told() -> None:
    found = Pairs.of(["What is  it", "a"], ["what is it", "b"], [1, 0])
    assert len(found) == 2
    assert found.notes == ("1 pair is of one text (but for case and space), which an exact cache may answer",)


def test_components_are_joined_by_texts_that_differ_in_case_and_space_only() -> None:
    found = Pairs.of(["a", "B ", "x"], ["b", "c", "y"], [1, 0, 1])
    assert found.components == 2
    assert found.nodes.tolist() == [[0, 1], [1, 2], [3, 4]]


def test_a_pair_of_one_text_is_related_to_others_through_one_number() -> None:
    nodes = Pairs.of(["a", "a"], ["A", "b"], [1, 0]).nodes
    assert nodes[0, 0] == nodes[1, 0]
    assert len(set(nodes.reshape(-1).tolist())) == 3


@given(st.integers(2, 300), st.integers(2, 400), st.integers(0, 3))
def test_no_text_is_in_both_halves_and_no_pair_is_lost_silently(n: int, texts: int, seed: int) -> None:
    pairs = many(n, texts, seed)
    split = halves(pairs, seed=seed)
    one, two = ({folded(t) for t in (*half.asked, *half.known)} for half in (split.tune, split.confirm))
    assert one & two == set()
    assert len(split.tune) + len(split.confirm) + split.bridges == len(pairs)
    assert {*rows_of(split.tune), *rows_of(split.confirm)} <= set(rows_of(pairs))
    assert any("neither" in note for note in split.notes) == (split.bridges > 0)


def test_pairs_that_are_all_tied_together_are_still_two_halves() -> None:
    pairs = many(3_000, 2_600)
    largest = max(np.unique(_roots(pairs), return_counts=True)[1])
    assert largest > 0.5 * len(pairs)
    split = halves(pairs)
    assert abs(len(split.tune) - len(split.confirm)) < 0.05 * len(pairs)
    assert split.bridges < 0.16 * len(pairs)


def _roots(pairs: Pairs) -> list[str]:
    import scipy.sparse as sparse

    nodes = pairs.nodes
    size = int(nodes.max()) + 1
    graph = sparse.coo_matrix((np.ones(len(nodes)), (nodes[:, 0], nodes[:, 1])), shape=(size, size))
    labels = sparse.csgraph.connected_components(graph)[1]
    return [str(labels[a]) for a in nodes[:, 0]]


def test_halves_do_not_depend_on_the_order_of_the_rows_but_on_the_seed() -> None:
    pairs = many(400, 500)
    order = list(range(len(pairs)))
    random.Random(1).shuffle(order)
    split, turned = halves(pairs, seed=3), halves(pairs[order], seed=3)
    assert sorted(rows_of(split.tune)) == sorted(rows_of(turned.tune))
    assert sorted(rows_of(split.confirm)) == sorted(rows_of(turned.confirm))
    assert sorted(rows_of(halves(pairs, seed=4).tune)) != sorted(rows_of(split.tune))


def test_halves_are_the_same_in_every_process(elsewhere: Callable[..., str]) -> None:
    code = (
        "import random\n"
        "from routelab.lab.caches.pairs import Pairs, halves\n"
        "d = random.Random(0)\n"
        "made = [(f'q{d.randrange(90)}', f'q{d.randrange(90)}', d.randrange(2)) for _ in range(120)]\n"
        "split = halves(Pairs.of([a for a, _, _ in made], [b for _, b, _ in made], [c for _, _, c in made]))\n"
        "print(split.tune.asked, split.confirm.known)"
    )
    split = halves(many(120, 90))
    assert elsewhere(code) == f"{split.tune.asked} {split.confirm.known}\n"


def test_a_weak_half_is_told() -> None:
    notes = halves(many(60, 500)).notes
    assert any(note.startswith("the tune half has only ") and note.endswith(" its figures are weak") for note in notes)
    assert halves(many(2_000, 100_000)).notes == ()


def test_pieces_hold_their_limit_and_every_text() -> None:
    pairs = many(2_000, 1_500)
    piece = pieces(pairs)
    assert set(piece) == {folded(t) for t in (*pairs.asked, *pairs.known)}
    held = [
        piece[folded(a)] for a, b in zip(pairs.asked, pairs.known, strict=True) if piece[folded(a)] == piece[folded(b)]
    ]
    assert max(np.unique(held, return_counts=True)[1]) <= 2 * 0.02 * len(pairs)


def test_banking77_falls_into_even_halves(shared: Path) -> None:
    pairs = Pairs.read(shared / "data" / "semantic_cache" / "banking77_pairs.csv")
    assert (len(pairs), pairs.repeated, pairs.rejected, pairs.disputed) == (5_995, 5, (), ())
    assert set(pairs.slices) == {"same_intent", "hard_negative", "random_negative"}
    split = halves(pairs)
    assert split.bridges < 100
    assert abs(len(split.tune) - len(split.confirm)) < 150
    assert abs(split.tune.positives - split.confirm.positives) < 150
