"""The laws of every way of choosing examples: no prompt sees itself, one and many agree, and what each adds of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.core.values import Prompt
from routelab.embedding import Lexical
from routelab.prompting.fewshot import KINDS, Example, FewShot, Pool, Selector, few_shot_of, identity_of, same, spec_of
from routelab.prompting.fewshot.random import shuffled

WORDS = ("open", "close", "account", "card", "flight", "hotel", "play", "song", "alarm", "weather")
SPECS: dict[str, dict[str, Any]] = {
    "fixed": {"kind": "fixed"},
    "random": {"kind": "random", "seed": 3},
    "nearest": {"kind": "nearest", "embedder": "lexical"},
    "diverse": {"kind": "diverse", "embedder": "lexical", "among": 6},
    "random, one an answer": {"kind": "random", "per_answer": 1},
    "nearest, one an answer": {"kind": "nearest", "embedder": "lexical", "per_answer": 1, "nearest": "first"},
    "diverse, one an answer": {"kind": "diverse", "embedder": "lexical", "per_answer": 1, "among": 12},
    "fixed, no duplicates": {"kind": "fixed", "embedder": "lexical", "duplicate_at": 0.6},
    "nearest, no duplicates": {"kind": "nearest", "embedder": "lexical", "duplicate_at": 0.6},
    "diverse, no duplicates": {"kind": "diverse", "embedder": "lexical", "duplicate_at": 0.6},
}

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
disguises = st.sampled_from((str, str.upper, lambda t: f"  {t}?! ", lambda t: t.replace(" ", ", "), str.title))


@st.composite
def grounds(draw: st.DrawFn) -> tuple[Pool, list[Prompt]]:
    """A pool, and prompts that are partly in it: by id, by text in other dress, by group."""
    groups = st.sampled_from((None, "a", "b"))
    asked = draw(st.lists(st.tuples(texts, st.sampled_from("xyz"), groups), min_size=3, max_size=14))
    pool = Pool.of([Example(id=f"e{i}", question=q, answer=a, group=g) for i, (q, a, g) in enumerate(asked)])
    row = st.tuples(
        st.sampled_from([q for q, _, _ in asked]) | texts, disguises, groups, st.integers(0, 2 * len(asked))
    )
    rows = draw(st.lists(row, min_size=1, max_size=6))
    return pool, [
        Prompt(id=f"e{n}", messages=Prompt.of(dress(text)).messages, group=group) for text, dress, group, n in rows
    ]


def selector(spec: dict[str, Any], pool: Pool, k: int = 3) -> Selector:
    """Return the selector of a mapping over a pool."""
    return Selector(few_shot=few_shot_of({**spec, "k": k, "examples": pool}))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
class TestEvery:
    """What holds for every way of choosing."""

    @given(ground=grounds())
    @settings(max_examples=60, deadline=None)
    def test_no_prompt_ever_sees_itself_its_text_or_its_group(
        self, spec: dict[str, Any], ground: tuple[Pool, list[Prompt]]
    ) -> None:
        pool, prompts = ground
        for prompt, shown in zip(prompts, selector(spec, pool).choose(prompts), strict=True):
            for example in shown:
                assert example.id != prompt.id
                assert same(example.question) != same(prompt.text)
                assert example.group is None or example.group != prompt.group

    @given(ground=grounds())
    @settings(max_examples=60, deadline=None)
    def test_one_prompt_is_shown_what_it_is_shown_among_many(
        self, spec: dict[str, Any], ground: tuple[Pool, list[Prompt]]
    ) -> None:
        pool, prompts = ground
        chooses = selector(spec, pool)
        assert chooses.choose(prompts) == [chooses(prompt) for prompt in prompts]

    @given(ground=grounds())
    @settings(max_examples=60, deadline=None)
    def test_as_many_are_shown_as_may_be_and_none_twice(
        self, spec: dict[str, Any], ground: tuple[Pool, list[Prompt]]
    ) -> None:
        pool, prompts = ground
        bar, cap = spec.get("duplicate_at"), spec.get("per_answer")
        for prompt, shown in zip(prompts, selector(spec, pool).choose(prompts), strict=True):
            assert len(set(shown)) == len(shown)
            out = pool.overlaps(prompt)
            free = [e for i, e in enumerate(pool) if i not in out]
            if bar is not None:
                cosines = [float(np.dot(*Lexical()([prompt.text, e.question]).astype(float))) for e in free]
                free = [e for e, cosine in zip(free, cosines, strict=True) if cosine < bar]
            if cap is not None:
                assert max(Counter(e.answer for e in shown).values(), default=0) <= cap
                free = list({e.answer: e for e in free}.values())
            if spec["kind"] == "diverse":
                # Only the `among` nearest are looked at, which may have fewer answers.
                assert len(shown) <= min(3, len(free))
                assert cap is not None or len(shown) == min(3, len(free))
            else:
                assert len(shown) == min(3, len(free))

    def test_the_yaml_mapping_gives_an_equal_value(self, spec: dict[str, Any]) -> None:
        chosen = few_shot_of({**spec, "k": 2, "examples": [{"question": w, "answer": w[0]} for w in WORDS]})
        again = few_shot_of(spec_of(chosen))
        assert again == chosen
        assert identity_of(again) == identity_of(chosen)

    def test_nobody_asked_is_nobody_shown(self, spec: dict[str, Any]) -> None:
        assert selector(spec, pool_of(WORDS)).choose([]) == []


def pool_of(questions: Sequence[str], answers: Callable[[str], str] = lambda q: q[0]) -> Pool:
    """Return a pool with an id a position."""
    return Pool.of([Example(id=str(i), question=q, answer=answers(q)) for i, q in enumerate(questions)])


def ids(few_shot: FewShot, asked: str) -> list[str]:
    """Return the ids of what a text is shown."""
    return [e.id for e in Selector(few_shot=few_shot)(Prompt.of(asked))]


class Compass:
    """An embedder of two dimensions: a text is an angle in degrees."""

    id = "compass"
    dimensions = 2

    def __call__(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        angles = np.radians([float(t) for t in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_every_kind_is_tested() -> None:
    assert {spec["kind"] for spec in SPECS.values()} == set(KINDS)


def test_fixed_shows_the_first_ones_or_those_that_are_named_in_their_order() -> None:
    pool = pool_of(WORDS)
    assert ids(KINDS["fixed"](examples=pool), "new") == ["0", "1", "2", "3"]
    assert ids(KINDS["fixed"](examples=pool, ids=("7", "2", "5")), "new") == ["7", "2", "5"]


def test_fixed_puts_the_next_id_in_the_place_of_one_that_is_held_out() -> None:
    chosen = KINDS["fixed"](examples=pool_of(WORDS), ids=("7", "2", "5"), k=2)
    assert ids(chosen, "new") == ["7", "2"]
    assert ids(chosen, WORDS[7].upper()) == ["2", "5"]


def test_a_larger_random_draw_keeps_the_smaller_one() -> None:
    pool = pool_of([f"question {i}" for i in range(500)])
    few, many = (ids(KINDS["random"](examples=pool, k=k, seed=1), "asked") for k in (3, 9))
    assert many[:3] == few
    assert ids(KINDS["random"](examples=pool, k=9, seed=2), "asked") != many
    assert ids(KINDS["random"](examples=pool, k=9, seed=1), "asked else") != many


def test_a_random_draw_is_the_same_in_every_process(elsewhere: Callable[..., str]) -> None:
    code = "from routelab.prompting.fewshot.random import shuffled\nprint(list(shuffled(20, 7, 'p')))"
    assert elsewhere(code).strip() == str(list(shuffled(20, 7, "p")))


@given(n=st.integers(0, 60), seed=st.integers(0, 9), name=st.text(max_size=5))
def test_a_shuffle_is_a_permutation(n: int, seed: int, name: str) -> None:
    assert sorted(shuffled(n, seed, name)) == list(range(n))


def test_a_shuffle_puts_everything_everywhere_equally_often() -> None:
    first = Counter((place, i) for s in range(4_000) for place, i in enumerate(shuffled(5, s, "p")))
    # 800 expected in each of the 25 cells; 5 standard deviations of a binomial are 127.
    assert all(abs(first[place, i] - 800) < 127 for place in range(5) for i in range(5))


def test_the_nearest_stand_last_next_to_the_question_unless_told_otherwise() -> None:
    pool = pool_of(["0", "10", "20", "30", "90"])
    assert ids(KINDS["nearest"](examples=pool, k=3, embedder=Compass()), "11") == ["0", "2", "1"]
    assert ids(KINDS["nearest"](examples=pool, k=3, embedder=Compass(), nearest="first"), "11") == ["1", "2", "0"]


def test_a_cap_looks_further_for_other_answers() -> None:
    pool = Pool.of([Example(id=str(i), question=str(i), answer="same" if i < 60 else "other") for i in range(90)])
    chosen = KINDS["nearest"](examples=pool, k=2, embedder=Compass(), per_answer=1)
    assert ids(chosen, "0.4") == ["60", "0"]


def test_near_duplicates_are_held_out_from_the_bar_on() -> None:
    pool = pool_of(["0", "5", "40", "80"])
    bar = float(np.cos(np.radians(6)))
    assert ids(KINDS["nearest"](examples=pool, k=2, embedder=Compass(), duplicate_at=bar), "0.5") == ["3", "2"]


def test_diverse_trades_nearness_for_difference() -> None:
    # 10 and 11 say much the same; 80 is unlike them and still near to 20; 179 is unlike everything.
    pool = pool_of(["10", "11", "80", "179"])
    pick = [
        ids(KINDS["diverse"](examples=pool, k=2, among=4, embedder=Compass(), relevance=r, nearest="first"), "20")
        for r in (1.0, 0.5, 0.0)
    ]
    assert pick == [["1", "0"], ["1", "2"], ["1", "3"]]
    narrow = KINDS["diverse"](examples=pool, k=2, among=3, embedder=Compass(), relevance=0.0, nearest="first")
    assert ids(narrow, "20") == ["1", "2"]


def test_diverse_is_maximal_marginal_relevance_as_written_down() -> None:
    rng = np.random.default_rng(0)
    angles = [f"{a:.3f}" for a in rng.uniform(0, 180, 40)]
    pool, asked = pool_of(angles), "77"
    rows, vector = Compass()(angles).astype(float), Compass()([asked])[0].astype(float)
    near = sorted(range(40), key=lambda i: (-float(rows[i] @ vector), i))[:12]
    chosen: list[int] = []
    while len(chosen) < 5:
        worth = {
            i: 0.7 * float(rows[i] @ vector) - (0.3 * max(float(rows[i] @ rows[j]) for j in chosen) if chosen else 0.0)
            for i in near
            if i not in chosen
        }
        chosen.append(max(worth, key=lambda i: worth[i]))
    found = ids(KINDS["diverse"](examples=pool, k=5, among=12, embedder=Compass(), relevance=0.7), asked)
    assert set(found) == {str(i) for i in chosen}
    assert found == sorted(found, key=lambda i: float(rows[int(i)] @ vector))


def test_the_pool_is_embedded_once() -> None:
    seen: list[str] = []

    class Counting(Compass):
        def __call__(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
            seen.extend(texts)
            return super().__call__(texts)

    chooses = Selector(few_shot=KINDS["nearest"](examples=pool_of(["0", "10", "20"]), k=2, embedder=Counting()))
    chooses.warm()
    for asked in ("1", "1", "2"):
        chooses(Prompt.of(asked))
    assert sorted(seen) == ["0", "1", "10", "2", "20"]
