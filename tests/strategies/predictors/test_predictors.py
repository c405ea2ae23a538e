"""Every predictor passes the same contract; below it, what each promises by itself."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from routelab.core.values import Message, Prompt
from routelab.embedding import Lexical
from routelab.strategies.fitting.learned import Learned
from routelab.strategies.predictors import KINDS, Inputs, Lesson, predictor_of, spec_of
from routelab.strategies.predictors.boosting import Boosting, directions, ensemble
from routelab.strategies.predictors.cluster import kmeans
from routelab.strategies.predictors.features import LANGUAGES, SURFACE, Design, language, surface
from routelab.strategies.predictors.knn import Knn
from routelab.strategies.predictors.lesson import Tasks, grouped, overall, sigmoid
from routelab.strategies.predictors.logistic import Logistic, regress
from routelab.strategies.predictors.mf import Mf

SPEC = {"kind": "lexical", "dimensions": 64}
SPECS: dict[str, Any] = {
    **{kind: kind for kind in KINDS},
    "knn, weighted": {"kind": "knn", "k": 5, "temperature": 0.1},
    "knn without tasks": {"kind": "knn", "task": False},
    "lookup, given": {"kind": "lookup", "tasks": "given"},
    "surface only": {"kind": "logistic", "vectors": 0.0},
    "boosting on the surface": {"kind": "boosting", "components": 0, "trees": 10},
    "two": {"kind": "stack", "of": ["lookup", {"kind": "knn", "k": 7}], "folds": 3},
}
TOPICS = {
    "sums": "What is {a} plus {b} times {a}?",
    "code": "Write a Python function `f{a}(x)` that returns x + {b}.",
    "verse": "Compose a poem in {a} lines about the river, the moon and {b} swans.",
    None: "Tell me about the number {a} in the year {b}, please.",
}


def prompts(n: int, seed: int = 0, *, told: bool = True) -> tuple[Prompt, ...]:
    """Return n prompts of four kinds, three of which have a task."""
    chance, kinds = np.random.default_rng(seed), list(TOPICS)
    made = []
    for i in range(n):
        kind = kinds[i % len(kinds)]
        text = TOPICS[kind].format(a=int(chance.integers(2, 40)), b=int(chance.integers(100, 999)))
        made.append(
            Prompt(id=f"{seed}-{i}", messages=(Message(role="user", content=text),), task=kind if told else None)
        )
    return tuple(made)


def qualities(asked: tuple[Prompt, ...], seed: int = 0) -> Any:
    """Return what three models did: one good at sums, one at code, one at all but verse; graded, and some not recorded."""
    chance = np.random.default_rng(seed + 100)
    good = {"sums": (0.9, 0.3, 0.8), "code": (0.2, 0.9, 0.8), "verse": (0.3, 0.3, 0.2)}
    kinds = [next((k for k in good if TOPICS[k][:9] in p.text), None) for p in asked]
    mean = np.array([good.get(k or "", (0.5, 0.5, 0.9)) for k in kinds])
    quality = np.where(chance.random(mean.shape) < mean, 1.0, 0.0)
    quality[chance.random(mean.shape) < 0.1] = 0.5
    quality[chance.random(mean.shape) < 0.1] = np.nan
    return quality


@cache
def school(told: bool = True) -> tuple[Inputs, Any]:
    """Return what to learn from."""
    asked = prompts(240, told=told)
    return Inputs(prompts=asked, embedder=SPEC), qualities(asked)


@cache
def fitted(name: str) -> Lesson:
    """Return what a predictor learned."""
    lesson: Lesson = predictor_of(SPECS[name]).fit(*school())
    return lesson


@pytest.fixture(params=list(SPECS))
def name(request: pytest.FixtureRequest) -> str:
    """The name of a predictor under test."""
    return str(request.param)


def test_predictions_are_qualities_one_row_a_prompt(name: str) -> None:
    new = Inputs(prompts=prompts(30, seed=1), embedder=SPEC)
    predicted = predictor_of(SPECS[name]).predict(fitted(name), new)
    assert predicted.shape == (30, 3)
    assert np.isfinite(predicted).all()
    assert -0.1 <= predicted.min() <= predicted.max() <= 1.1
    assert predictor_of(SPECS[name]).predict(fitted(name), new.take(np.arange(0))).shape == (0, 3)


def test_a_prompt_is_predicted_alone_as_in_company_and_in_any_order(name: str) -> None:
    predictor, new = predictor_of(SPECS[name]), prompts(25, seed=2) + prompts(4, seed=3, told=False)
    together = predictor.predict(fitted(name), Inputs(prompts=new, embedder=SPEC))
    back = predictor.predict(fitted(name), Inputs(prompts=new[::-1], embedder=SPEC))[::-1]
    alone = np.concatenate([predictor.predict(fitted(name), Inputs(prompts=(p,), embedder=SPEC)) for p in new])
    assert np.array_equal(np.round(together, 6), np.round(alone, 6))
    assert np.array_equal(np.round(together, 6), np.round(back, 6))


def test_it_learns_what_there_is_to_learn(name: str) -> None:
    asked = prompts(200, seed=4)
    truth = qualities(asked, seed=4)
    predicted = predictor_of(SPECS[name]).predict(fitted(name), Inputs(prompts=asked, embedder=SPEC))
    left = np.nanmean((truth - predicted) ** 2) / np.nanmean((truth - overall(school()[1])) ** 2)
    assert left < 0.9


def test_it_learns_the_same_from_the_same(name: str) -> None:
    inputs = Inputs(prompts=prompts(240), embedder=SPEC)
    again = predictor_of(SPECS[name]).fit(inputs, qualities(inputs.prompts))
    first = fitted(name)
    assert Learned(arrays=again.arrays, about=again.about) == Learned(arrays=first.arrays, about=first.about)


def test_what_was_not_recorded_is_no_failure(name: str) -> None:
    inputs, quality = school()
    perfect = np.where(np.isnan(quality) | (np.arange(len(inputs)) % 2 == 0)[:, None], np.nan, 1.0)
    predictor = predictor_of(SPECS[name])
    assert predictor.predict(predictor.fit(inputs, perfect), inputs).min() > 0.95


def test_it_lives_in_arrays_that_survive_a_file(name: str) -> None:
    lesson, new = fitted(name), Inputs(prompts=prompts(20, seed=5), embedder=SPEC)
    learned = Learned(arrays=lesson.arrays, about=lesson.about)
    again = Learned.from_bytes(learned.to_bytes(), learned.about)
    assert again == learned
    read = Lesson(arrays=again.arrays, about=again.about)
    predictor = predictor_of(SPECS[name])
    assert np.array_equal(predictor.predict(read, new), predictor.predict(lesson, new))


def test_few_prompts_one_model_and_constant_qualities_are_enough(name: str) -> None:
    predictor = predictor_of(SPECS[name])
    for n, quality in ((1, [[1.0]]), (3, [[0.0, 1.0], [0.0, np.nan], [np.nan, 1.0]]), (6, [[1.0, 0.0]] * 6)):
        inputs = Inputs(prompts=prompts(n), embedder=SPEC)
        predicted = predictor.predict(predictor.fit(inputs, np.array(quality)), inputs)
        assert np.isfinite(predicted).all()


def test_a_spec_comes_back_equal(name: str) -> None:
    predictor = predictor_of(SPECS[name])
    assert predictor_of(spec_of(predictor)) == predictor
    assert json.loads(json.dumps(spec_of(predictor))) is not None


def test_every_process_and_hash_seed_learns_the_same(elsewhere: Callable[..., str]) -> None:
    code = (
        "import test_predictors as t; from routelab.strategies.fitting.learned import Learned\n"
        "ls = {n: t.fitted(n) for n in t.SPECS}\n"
        "print({n: Learned(arrays=l.arrays, about=l.about).digest for n, l in ls.items()})"
    )
    own = {n: Learned(arrays=fitted(n).arrays, about=fitted(n).about).digest for n in SPECS}
    assert elsewhere(code).strip() == str(own)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("kn", "kind: unknown 'kn'; did you mean 'knn'? (kinds: lookup, knn,"),
        ({}, "kind: is missing"),
        ({"kind": "knn", "kk": 3}, "kk: unknown key"),
        ({"kind": "knn", "k": 0}, "k: must be at least 1, not 0"),
        ({"kind": "knn", "k": "3"}, "k: must be a whole number (got '3')"),
        ({"kind": "mf", "l2": -1.0}, "l2: must be at least"),
        ({"kind": "stack", "of": []}, "of: name at least one predictor"),
        ({"kind": "stack", "of": ["knn", "lokup"]}, "of.1.kind: unknown 'lokup'"),
        ({"kind": "lookup", "tasks": "guess"}, "tasks: "),
    ],
)
def test_what_cannot_be_a_predictor_is_named(spec: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        predictor_of(spec)


def test_a_group_with_few_prompts_is_expected_to_be_like_all_but_harder_or_easier() -> None:
    quality = np.array([[1.0, 0.0]] * 50 + [[0.0, np.nan]])
    groups = np.array([0] * 50 + [1], dtype=np.intp)
    general = overall(quality)
    table = grouped(groups, 3, quality, general, 10.0)
    assert table[1, 0] == pytest.approx((0.0 + 10 * (general[0] + (0.0 - general[0]))) / 11)
    assert table[1, 1] == pytest.approx(general[1] - general[0])
    assert np.allclose(table[2], general)


def test_a_prompt_left_out_does_not_see_its_own_quality() -> None:
    inputs, quality = school()
    tasks = Tasks.of(inputs, quality)
    other = np.where(np.arange(len(inputs))[:, None] == 4, 1.0 - quality, quality)
    changed = Tasks.of(inputs, other).left_out(inputs, other)
    assert np.allclose(changed[4], tasks.left_out(inputs, quality)[4], atol=0.02, equal_nan=True)
    assert not np.allclose(tasks(inputs)[4], Tasks.of(inputs, other)(inputs)[4], atol=1e-4)


def test_logistic_regression_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    chance = np.random.default_rng(1)
    x = chance.normal(size=(400, 6))
    y = (chance.random(400) < sigmoid(x @ np.array([1.0, -2.0, 0.5, 0, 0, 0]) + 0.3)).astype(float)
    weights, bias = regress(x, y[:, None], 5.0)
    theirs = LogisticRegression(C=1 / 5.0, tol=1e-8).fit(x, y)
    assert np.allclose(weights[:, 0], theirs.coef_[0], rtol=0.02)
    assert bias[0] == pytest.approx(theirs.intercept_[0], abs=5e-3)


def test_a_graded_quality_counts_as_a_share_of_a_success() -> None:
    x = np.random.default_rng(2).normal(size=(200, 3))
    graded = np.clip(0.5 + 0.2 * x[:, :1], 0, 1)
    weights, bias = regress(x, graded, 1.0)
    twice, same = regress(np.tile(x, (2, 1)), np.concatenate([graded, graded]), 2.0)
    assert np.allclose(weights, twice, atol=1e-2)
    assert np.allclose(bias, same, atol=1e-2)


def test_factors_of_full_rank_are_the_logistic_regression_and_of_less_are_of_that_rank() -> None:
    inputs, quality = school()
    full = Mf(rank=3).predict(Mf(rank=3).fit(inputs, quality), inputs)
    assert np.allclose(full, Logistic().predict(Logistic().fit(inputs, quality), inputs), atol=1e-3)
    lesson = Mf(rank=1).fit(inputs, quality)
    assert lesson.arrays["factors"].shape == (3, 1)
    assert np.linalg.norm(lesson.arrays["factors"]) == pytest.approx(1.0)
    predicted = Mf(rank=1).predict(lesson, inputs)
    z = np.log(predicted) - np.log1p(-predicted) - lesson.arrays["bias"]
    assert np.linalg.matrix_rank(z, tol=1e-6) == 1


def test_trees_in_arrays_are_those_of_scikit_learn() -> None:
    from sklearn.tree import DecisionTreeRegressor

    chance = np.random.default_rng(3)
    x = chance.normal(size=(300, 5)).astype(np.float32)
    y = np.column_stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2]])
    tree = DecisionTreeRegressor(max_depth=6, random_state=0).fit(x, y)
    own, inner = np.arange(tree.tree_.node_count), tree.tree_.children_left >= 0
    arrays = {
        "left": np.where(inner, tree.tree_.children_left, own),
        "right": np.where(inner, tree.tree_.children_right, own),
        "feature": np.where(inner, tree.tree_.feature, 0),
        "threshold": tree.tree_.threshold,
        "value": tree.tree_.value[:, :, 0],
        "roots": np.array([0]),
    }
    new = chance.normal(size=(200, 5)).astype(np.float32)
    assert np.allclose(ensemble(arrays, new, 6), tree.predict(new))


def test_one_full_tree_without_shrinkage_gives_the_means_of_its_leaves() -> None:
    inputs, quality = school()
    boosting = Boosting(trees=400, rate=0.3, shrinkage=0.0, leaf=1, depth=8)
    predicted = boosting.predict(boosting.fit(inputs, quality), inputs)
    assert np.nanmean(np.abs(predicted - quality)) < 0.1


def test_neighbours_as_near_as_the_last_all_count() -> None:
    asked = tuple(Prompt(id=str(i), messages=(Message(role="user", content="the very same text"),)) for i in range(6))
    quality = np.array([[1.0], [0.0], [1.0], [1.0], [0.0], [1.0]])
    inputs = Inputs(prompts=asked, embedder=SPEC)
    knn = Knn(k=2, shrinkage=0.0)
    assert np.allclose(knn.predict(knn.fit(inputs, quality), inputs), 4 / 6)


def test_main_directions_are_those_of_most_variance() -> None:
    chance = np.random.default_rng(5)
    points = chance.normal(size=(500, 4)) * np.array([3.0, 2.0, 1.0, 0.1])
    base = directions(points, 2)
    projected = (points - base["centre"]) @ base["axes"]
    assert projected.std(axis=0)[0] == pytest.approx(1.0, abs=1e-6)
    assert abs(base["axes"][0, 0]) > 10 * abs(base["axes"][1, 0])


def test_clusters_of_clear_groups_are_the_groups() -> None:
    chance = np.random.default_rng(6)
    middles = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = np.concatenate([m + chance.normal(size=(40, 2)) for m in middles])
    found = kmeans(points, 3, seed=1)
    assert sorted(np.round(found / 10).astype(int).tolist()) == [[0, 0], [0, 1], [1, 0]]
    assert len(kmeans(np.ones((5, 2)), 3, seed=0)) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Wie viele Äpfel sind in der Kiste und was kosten sie?", "de"),
        ("Quelle est la capitale de la France et pour quoi?", "fr"),
        ("¿Cuál es la capital del país y por qué?", "es"),
        ("Which of the following is true?", "en"),
        ("これは何ですか", "cjk"),
        ("ما هي العاصمة", "arabic"),
        ("∫ x² dx", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_language_is_known_by_script_or_stop_words(text: str, expected: str) -> None:
    assert language(text) == expected
    assert expected in LANGUAGES


def test_the_surface_says_what_a_reader_sees() -> None:
    code = Prompt.of("Write a function:\n```python\ndef f(x):\n    return x\n```", system="Be brief.")
    seen = dict(zip(SURFACE, surface(code), strict=True))
    assert seen["code"] > 1
    assert seen["orders"] > 0
    assert seen["system"] > 0
    assert seen["asking"] == 0
    options = dict(zip(SURFACE, surface(Prompt.of("Which is it?\nA) one\nB) two\nC) three")), strict=True))
    assert options["options"] > 1
    assert (options["asking"], options["questions"] > 0) == (1.0, True)
    talk = Prompt(id="t", messages=tuple(Message(role="user", content="hi") for _ in range(5)))
    assert dict(zip(SURFACE, surface(talk), strict=True))["turns"] == pytest.approx(np.log1p(5))


def test_long_texts_are_looked_at_in_part_and_not_kept() -> None:
    huge = Prompt.of("word " * 200_000)
    assert np.isfinite(surface(huge)).all()
    assert surface(huge)[0] == pytest.approx(np.log1p(1_000_000))


def test_a_feature_that_never_varied_says_nothing() -> None:
    inputs, _ = school()
    design = Design.of(inputs)
    strange = Inputs(prompts=(Prompt.of("Что это такое?"),), embedder=SPEC)
    column = SURFACE.index("cyrillic")
    assert design(strange)[0, column] == 0.0
    assert np.isfinite(design(strange)).all()


def test_what_depends_on_the_texts_alone_is_made_once_with_and_without_tasks() -> None:
    inputs, _ = school()
    rows = np.arange(len(inputs)) % 3 == 0
    counted: list[str] = []

    def make() -> int:
        counted.append("made")
        return 7

    found = [x.once("x", make) for x in (inputs, inputs.untold, inputs.untold.untold)]
    parts = [x.once("x", make) for x in (inputs.part(rows), inputs.untold.part(rows))]
    assert (found, parts, len(counted)) == ([7] * 3, [7] * 2, 2)
    assert inputs.untold.vectors is inputs.vectors
    assert inputs.untold.part(rows).vectors is inputs.part(rows).vectors
    assert [p.task for p in inputs.untold.part(rows).prompts] == [None] * int(rows.sum())
    assert inputs.part(rows).prompts == inputs.take(rows).prompts
    assert dataclasses.replace(inputs, prompts=inputs.prompts[:1]).made == {}


@pytest.mark.parametrize("name", SPECS)
def test_a_lesson_without_tasks_is_the_same_alone_and_after_one_with_tasks(name: str) -> None:
    inputs, quality = school()
    predictor = predictor_of(SPECS[name])
    plain = tuple(dataclasses.replace(p, task=None) for p in inputs.prompts)
    alone = predictor.fit(Inputs(prompts=plain, embedder=SPEC), quality)
    predictor.fit(inputs, quality)
    shared = predictor.fit(inputs.untold, quality)
    assert shared.about == alone.about
    assert shared.arrays.keys() == alone.arrays.keys()
    assert all(np.array_equal(v, alone.arrays[k], equal_nan=True) for k, v in shared.arrays.items())


def test_inputs_taken_in_part_keep_what_was_computed() -> None:
    inputs, _ = school()
    part = inputs.take(np.array([3, 1]))
    assert np.array_equal(part.vectors, inputs.vectors[[3, 1]])
    assert np.array_equal(part.surface, inputs.surface[[3, 1]])
    whole = inputs.vectors
    assert np.array_equal(whole, Lexical(dimensions=64)([p.text for p in inputs.prompts]).astype(float))
    assert [p.id for p in inputs.take(np.arange(len(inputs)) < 2).prompts] == [p.id for p in inputs.prompts[:2]]
    assert dataclasses.replace(inputs, prompts=()).vectors.shape == (0, 64)
