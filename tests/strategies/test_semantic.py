"""Semantic routing: who wins a vote, what belongs to nobody, what a fit learns and reports."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, DataError
from routelab.core.ports import Strategy
from routelab.core.values import Prompt
from routelab.embedding import vectors
from routelab.fleet import Fleet
from routelab.strategies import Learned, Semantic, spec_of, strategy_of
from routelab.strategies.examples import Examples
from routelab.strategies.semantic import RANKINGS, shipped_routes
from routelab.testing import StrategyContract

CARDS = ("my card was stolen", "block my card please", "I lost my bank card", "the card is gone, stop it")
MONEY = ("give me my money back", "I want a refund", "please return what I paid", "refund the order")
ROUTES = {
    "card": {"models": ["large", "small"], "examples": list(CARDS)},
    "refund": {"models": ["small"], "examples": list(MONEY)},
}
LEXICAL = {"kind": "lexical", "dimensions": 512}
STRAY = ("how do volcanoes form", "sing me a song about rain", "what is the tallest tree", "recommend a film")


def small(**changes: object) -> Semantic:
    return Semantic(**{"routes": ROUTES, "default": ("local",), "embedder": LEXICAL, "k": 3, **changes})  # type: ignore[arg-type]


class TestSemantic(StrategyContract):
    def strategy(self) -> Strategy:
        return small(threshold=0.2)


class TestSemanticByCentres(StrategyContract):
    def strategy(self) -> Strategy:
        return small(vote="centroid")


@functools.cache
def fitted() -> Semantic:
    return small(vote="logistic", calibrate="platt", reject=0.1).fit_examples(STRAY, [None] * 4)


class TestSemanticFitted(StrategyContract):
    def strategy(self) -> Strategy:
        return fitted()


class TestSemanticThroughChroma(StrategyContract):
    def strategy(self) -> Strategy:
        return small(index="chroma")


def routes_of(strategy: Semantic, *texts: str) -> list[str | None]:
    return list(strategy.decide(texts).routes)


# Deciding


@pytest.mark.parametrize("vote", ["knn", "centroid", "logistic"])
def test_a_prompt_goes_to_the_route_that_it_is_like(vote: str) -> None:
    strategy = small(vote=vote).fit_examples([])
    assert routes_of(strategy, "someone stole my card", "refund me please") == ["card", "refund"]


def test_what_is_like_no_route_gets_the_default_and_the_reason_says_how_near_it_was() -> None:
    prompts = [Prompt.of("my card was stolen"), Prompt.of("zebra umbrella quixotic")]
    plan = small(threshold=0.3).plan(prompts, TestSemantic().roster())
    assert [plan.order[i][0] for i in (0, 1)] == [0, 2]
    assert plan.why(0).startswith("route 'card' .")
    assert "≥ .30" in plan.why(0)
    nearest, _, rest = plan.why(1).partition("' .")
    assert nearest in ("nearest 'card", "nearest 'refund")
    assert rest.endswith("< .30; default ranking")


def test_a_reason_shows_as_many_digits_as_tell_confidence_and_threshold_apart() -> None:
    found = small().decide(["my card was stolen"]).confidence[0]
    why = small(threshold=float(found) + 0.0004).decide(["my card was stolen"]).why(0)
    left, right = why.removeprefix("nearest 'card' ").removesuffix("; default ranking").split(" < ")
    assert float(left) < float(right)


def test_a_routes_own_threshold_counts_before_the_common_one() -> None:
    routes = {**ROUTES, "card": {**ROUTES["card"], "threshold": 0.99}}
    text = "I lost my bank card, help"
    assert routes_of(small(threshold=0.1), text) == ["card"]
    assert routes_of(small(threshold=0.1, routes=routes), text) == [None]


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_accepts_nothing_more(a: float, b: float) -> None:
    texts = [*CARDS, *MONEY, *STRAY]
    low, high = (small(threshold=t).decide(texts).accepted for t in sorted((a, b)))
    assert not (high & ~low).any()


def test_both_indexes_decide_alike() -> None:
    texts = [*CARDS, *STRAY, "", "x" * 5000]
    exact, chroma = (small(index=kind).decide(texts) for kind in ("exact", "chroma"))
    assert exact.routes == chroma.routes
    assert np.array_equal(exact.confidence, chroma.confidence)


@settings(max_examples=20, deadline=None)
@given(st.permutations(list(range(12))), st.sampled_from(["knn", "centroid", "logistic"]))
def test_a_confidence_depends_on_its_own_text_to_the_last_digit(order: list[int], vote: str) -> None:
    strategy = small(vote=vote).fit_examples([])
    texts = [*CARDS, *MONEY, *STRAY]
    together = strategy.decide([texts[i] for i in order]).confidence
    alone = [strategy.decide([texts[i]]).confidence[0] for i in order]
    assert list(together) == alone


# Learning


def test_a_logistic_vote_and_a_calibration_have_to_be_fitted_first() -> None:
    for strategy in (small(vote="logistic"), small(calibrate="platt"), small(reject=0.05)):
        with pytest.raises(ConfigError, match="semantic: not fitted yet"):
            strategy.decide(["x"])
    assert small().learned is None
    assert routes_of(small(), "block my card") == ["card"]


def test_a_linear_head_decides_as_scikit_learn_does() -> None:
    from sklearn.linear_model import LogisticRegression

    strategy = small(vote="logistic", routes=shipped_routes(), embedder=LEXICAL).fit_examples([])
    own = Examples.of(
        [t for r in shipped_routes().values() for t in r["examples"]],
        [n for n, r in shipped_routes().items() for _ in r["examples"]],
    )
    known = vectors(LEXICAL, own.texts)
    model = LogisticRegression(C=10.0, max_iter=1000).fit(known, own.numbers(tuple(RANKINGS)))
    asked = vectors(LEXICAL, [*CARDS, *MONEY, *STRAY])
    ballot = strategy.judge(asked).ballot
    assert np.array_equal(ballot.route, model.predict(asked))
    assert np.allclose(ballot.share, model.predict_proba(asked).max(axis=1), atol=1e-5)


def test_two_routes_and_one_route_can_be_fitted_too() -> None:
    assert routes_of(small(vote="logistic").fit_examples([]), "refund the card") in (["card"], ["refund"])
    one = Semantic(routes={"card": ROUTES["card"]}, embedder="lexical", vote="logistic").fit_examples([])
    assert routes_of(one, "anything") == ["card"]


def test_fit_learns_from_tasks_and_takes_other_tasks_for_out_of_scope() -> None:
    prompts = [Prompt.of(t, task="card") for t in ("card declined abroad", "new card pin")]
    prompts += [Prompt.of(t, task="other") for t in STRAY]
    fitted = small(reject=0.1).fit(SimpleNamespace(prompts=prompts))
    assert fitted.learned is not None
    assert len(fitted.learned["vectors"]) == len(CARDS) + len(MONEY) + 2
    assert fitted.report["out_of_scope"] > 0


def test_fit_makes_a_route_of_each_task_with_the_best_model_first() -> None:
    cube = SimpleNamespace(
        prompts=[Prompt.of(t, task="card") for t in CARDS] + [Prompt.of(t, task="refund") for t in MONEY],
        models=("a", "b"),
        quality=np.array([[1.0, 0.0]] * 4 + [[0.5, 0.5]] * 4),
        cost_usd=np.array([[2.0, 1.0]] * 8),
    )
    fitted = Semantic(routes={}, embedder="lexical").fit(cube)
    assert {name: route["models"] for name, route in fitted.routes.items()} == {
        "card": ("a", "b"),
        "refund": ("b", "a"),
    }
    assert routes_of(fitted, "I lost my card") == ["card"]


def test_fit_on_prompts_of_other_tasks_leaves_a_strategy_with_examples_as_it_is() -> None:
    data = SimpleNamespace(prompts=[Prompt.of("x y z", task="something else")])
    assert small().fit(data) == small()
    assert small(reject=0.1).fit(data).learned is not None


def test_a_label_that_is_no_route_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="the label 'crad' is no route; did you mean 'card'"):
        small().fit_examples(["x"], ["crad"])


def test_what_was_fitted_does_not_serve_other_settings() -> None:
    import dataclasses

    fitted = small(vote="logistic").fit_examples([])
    with pytest.raises(ConfigError, match="`vote` changed since it was fitted"):
        dataclasses.replace(fitted, vote="centroid").decide(["x"])
    changed = {**ROUTES, "card": {**ROUTES["card"], "examples": ["other"]}}
    with pytest.raises(ConfigError, match="`examples` changed since it was fitted"):
        dataclasses.replace(fitted, routes=changed).decide(["x"])
    with pytest.raises(ConfigError, match="`embedder` changed"):
        dataclasses.replace(fitted, embedder={"kind": "lexical", "dimensions": 128}).decide(["x"])


def test_mistakes_are_shown_with_what_was_wanted_what_came_and_the_nearest_example() -> None:
    table = small(routes={n: {"models": r["models"]} for n, r in ROUTES.items()}).mistakes(
        [*CARDS, *MONEY, "I lost my bank card!"], ["card"] * 4 + ["refund"] * 4 + ["refund"]
    )
    assert table.head == ("text", "wanted", "got", "confidence", "nearest example")
    assert ["I lost my bank card!", "refund", "card"] in [list(row[:3]) for row in table.rows]
    assert all(row[1] != row[2] for row in table.rows)
    row = next(r for r in table.rows if r[0] == "I lost my bank card!")
    assert row[4].startswith("I lost my bank card (card, ")


# YAML


@pytest.mark.parametrize(
    "strategy",
    [
        Semantic(),
        small(threshold=0.4),
        small(vote="centroid", calibrate="isotonic", reject=0.2).fit_examples(STRAY, [""] * 4),
        small(vote="logistic", embedder={"kind": "lexical", "dimensions": 64}).fit_examples([]),
    ],
    ids=["shipped", "plain", "calibrated", "small head"],
)
def test_a_config_comes_back_equal_from_its_file_and_decides_alike(strategy: Semantic, tmp_path: Path) -> None:
    config = RouteConfig(name="s", models=strategy.models, strategy=strategy)
    back = RouteConfig.from_yaml(config.to_yaml(tmp_path / "s.yaml"))
    assert back == config
    assert back.fingerprint == config.fingerprint
    texts = [*CARDS, *STRAY]
    assert isinstance(back.ranking, Semantic)
    assert np.array_equal(back.ranking.decide(texts).confidence, strategy.decide(texts).confidence)


def test_examples_come_from_a_file_beside_the_yaml(tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text(
        "text,label\n" + "\n".join(f"{t},card" for t in CARDS[:3]) + "\nI want a refund,refund\nwhat is rain,\n",
        encoding="utf-8",
    )
    (tmp_path / "c.yaml").write_text(
        "routelab: 1\nname: c\nstrategy:\n  kind: semantic\n  embedder: lexical\n  examples: texts.csv\n"
        "  routes: {card: {models: [large]}, refund: {models: [small]}}\n",
        encoding="utf-8",
    )
    config = RouteConfig.from_yaml(tmp_path / "c.yaml")
    assert isinstance(config.ranking, Semantic)
    assert routes_of(config.ranking, "block my stolen card") == ["card"]
    (tmp_path / "elsewhere").mkdir()
    moved = config.to_yaml(tmp_path / "elsewhere" / "c.yaml")
    assert RouteConfig.from_yaml(moved) == config


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("{models: []}", "routes.a.models: name at least one model"),
        ("{models: [x, x]}", "routes.a.models: 'x' is named twice"),
        ("{models: [x], exmples: [y]}", "routes.a.exmples: unknown key"),
        ("{models: [x], examples: text}", "routes.a.examples: must be a list"),
        ("{models: [x], examples: ['']}", "routes.a.examples.0: must be a text"),
        ("{models: [x], threshold: high}", "routes.a.threshold: must be a finite number"),
        ("{models: [x], threshold: 0.4}", "default: name the models"),
    ],
)
def test_a_route_that_cannot_be_used_is_said_with_its_place(lines: str, said: str) -> None:
    text = f"routelab: 1\nname: c\nmodels: [x]\nstrategy:\n  kind: semantic\n  routes:\n    a: {lines}\n"
    with pytest.raises(ConfigError) as trouble:
        RouteConfig.from_text(text)
    assert said in str(trouble.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"k": 0}, "k: must be at least 1"),
        ({"reject": 1.0}, "reject: must be at least 0"),
        ({"vote": "majority"}, "vote"),
        ({"index": "faiss"}, "index: unknown 'faiss'"),
        ({"threshold": 0.4}, "default: name the models"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as trouble:
        strategy_of({"kind": "semantic", **values})
    assert said in str(trouble.value)


def test_a_file_of_examples_that_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    for content, said in [
        ("text,lable\na,b\n", "the column 'label' is missing"),
        ("text,label\n", "has no rows"),
        ('text,label\n"a,b\n', "not CSV"),
        ("text,label\na,b,c\n", ":2: has 3 fields, the head has 2"),
        ("text,label\n ,card\n", ":2: text: is empty"),
        ("text,label\nx,crad\n", "the label 'crad' is no route"),
    ]:
        path = tmp_path / "e.csv"
        path.write_text(content, encoding="utf-8")
        with pytest.raises((DataError, ConfigError)) as trouble:
            small(examples=str(path))
        assert said in trouble.value.message
        assert "\n" not in trouble.value.message


def test_the_kind_alone_is_an_arm_over_the_practice_fleet() -> None:
    strategy = strategy_of({"kind": "semantic"})
    assert spec_of(strategy) == {"kind": "semantic"}
    assert isinstance(strategy, Semantic)
    assert set(strategy.models) <= set(Fleet.practice(latency=0).names)
    counts = {name: len(route["examples"]) for name, route in strategy.routes.items()}
    assert min(counts.values()) >= 25


# The same decisions everywhere


def test_decisions_are_the_same_in_every_process_and_under_every_hash_seed(elsewhere: Callable[..., str]) -> None:
    code = (
        "import json\n"
        "from routelab.strategies import Semantic\n"
        f"routes, stray = {ROUTES!r}, {STRAY!r}\n"
        "s = Semantic(routes=routes, default=('local',), embedder='lexical', vote='logistic', calibrate='isotonic', reject=0.2)\n"
        "s = s.fit_examples(stray, [None] * 4)\n"
        "d = s.decide(['lost card', 'money back', *stray])\n"
        "print(json.dumps([d.routes, list(d.confidence), s.threshold, s.learned.digest]))\n"
    )
    assert json.loads(elsewhere(code))[0]


def test_texts_from_a_file_survive_their_form_as_arrays(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text('text,label\n"naïve ☃, quoted",card\nplain,\n', encoding="utf-8")
    strategy = small(routes={n: {"models": r["models"]} for n, r in ROUTES.items()}, examples=str(path))
    assert isinstance(strategy.learned, Learned)
    assert strategy._own == Examples(texts=("naïve ☃, quoted", "plain"), labels=("card", None))
