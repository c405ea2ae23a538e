"""Arbitrage: the choice, its words, its two knobs as families, what it learns and how it is kept."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.plan import NOBODY
from routelab.core.ports import Strategy
from routelab.core.values import Message, Model, Price, Prompt, Roster
from routelab.lab.family import Tunable, disagreement
from routelab.lab.outcomes import Outcomes
from routelab.strategies import Arbitrage, spec_of, strategy_of
from routelab.strategies.fitting.expense import ANSWER_TOKENS, Expense
from routelab.strategies.fitting.learned import Learned
from routelab.strategies.fitting.thresholds import envelope
from routelab.strategies.predictors import KINDS, Inputs
from routelab.testing import StrategyContract

NAMES = ("large", "small", "local")
SPEC = {"kind": "lexical", "dimensions": 64}
TEXTS = {
    "research": "Compare the figures of {a} and {b} and explain the trade-off in the budget of {a} years.",
    "other": "Write a Python function that takes {a} and returns {b} as a list of integers.",
    "plain": "What is the capital of the land with the number {a} or {b}?",
}


def outcomes(n: int = 240, *, seed: int = 0, told: bool = True, **given: Any) -> Outcomes:
    """Return what three models did with prompts of three tasks; `large` is good at all, the others at one each."""
    chance = np.random.default_rng(seed)
    means = {"research": (0.95, 0.2, 0.1), "other": (0.9, 0.9, 0.2), "plain": (0.9, 0.8, 0.85)}
    tasks = [list(TEXTS)[i % 3] for i in range(n)]
    prompts = tuple(
        Prompt(
            id=f"{seed}-{i}",
            messages=(
                Message(
                    role="user",
                    content=TEXTS[t].format(a=int(chance.integers(2, 90)), b=int(chance.integers(100, 999))),
                ),
            ),
            task=t if told else None,
        )
        for i, t in enumerate(tasks)
    )
    quality = (chance.random((n, 3)) < np.array([means[t] for t in tasks])).astype(float)
    cost = np.array([10.0, 1.0, 0.1]) * 1e-3 * chance.uniform(0.5, 1.5, size=(n, 1))
    arrays = {
        "quality": quality,
        "cost_usd": cost,
        "latency_s": np.tile([3.0, 1.0, 0.5], (n, 1)),
        **{name: np.full((n, 3), np.nan) for name in ("input_tokens", "output_tokens")},
        **given,
    }
    return Outcomes(
        prompts=prompts, models=NAMES, failed=np.zeros((n, 3), dtype=bool), cost_kind=("recorded",) * 3, **arrays
    )


@cache
def fitted(kind: str, knob: str = "min_quality", value: float = 0.7) -> Arbitrage:
    """Return a fitted strategy."""
    return Arbitrage(predictor=SMALL.get(kind, kind), embedder=SPEC, **{knob: value}).fit(outcomes())


SMALL: dict[str, Any] = {
    "boosting": {"kind": "boosting", "trees": 20},
    "stack": {"kind": "stack", "of": ["lookup", "knn"], "folds": 3},
}
ROSTER = Roster(models=tuple(Model(name=n, provider="p", upstream=n) for n in NAMES))


def asked(task: str | None, text: str = "") -> Prompt:
    return Prompt(id=f"{task}-{text}", messages=(Message(role="user", content=text),), task=task)


class ArbitrageContract(StrategyContract):
    kind = ""
    knob = "min_quality"
    value = 0.7

    def strategy(self) -> Strategy:
        return fitted(self.kind, self.knob, self.value)

    def test_a_family_decides_as_its_members_do(self) -> None:
        strategy = fitted(self.kind, self.knob, self.value)
        assert isinstance(strategy, Tunable)
        values = (0.0, 0.3, 0.6, 0.7, 0.9, 1.0) if self.knob == "min_quality" else (0.0, 1.0, 30.0, 80.0, 500.0, 1e9)
        found = disagreement(
            strategy,
            values,
            self.prompts() + list(outcomes(20, seed=3).prompts),
            self.roster(),
            lambda v: dataclasses.replace(strategy, **{self.knob: v}),
        )
        assert found is None

    def test_what_is_learned_does_not_depend_on_the_knobs(self) -> None:
        other = Arbitrage(predictor=SMALL.get(self.kind, self.kind), embedder=SPEC, cost_weight=3.0, max_latency_s=2.0)
        strategy = self.strategy()
        assert isinstance(strategy, Arbitrage)
        assert other.fit(outcomes()).learned == strategy.learned

    def test_it_comes_back_from_yaml_with_its_arrays_and_decides_alike(self, tmp_path: Path) -> None:
        config = RouteConfig(name="a", models=NAMES, strategy=self.strategy())
        again = RouteConfig.from_yaml(config.to_yaml(tmp_path / "a.yaml"))
        assert again == config
        assert again.fingerprint == config.fingerprint
        mine, theirs = (c.ranking.plan(self.prompts(), self.roster()) for c in (config, again))
        assert np.array_equal(mine.order, theirs.order)
        assert mine.reasons == theirs.reasons


for _kind in KINDS:
    for _knob, _value in (("min_quality", 0.7), ("cost_weight", 60.0)):
        _name = f"Test{_kind.capitalize()}By{_knob.title().replace('_', '')}"
        globals()[_name] = type(_name, (ArbitrageContract,), {"kind": _kind, "knob": _knob, "value": _value})
del ArbitrageContract


def first(strategy: Arbitrage, prompts: Sequence[Prompt]) -> list[str]:
    plan = strategy.plan(prompts, ROSTER)
    return [NAMES[row[0]] for row in plan.order]


def test_the_cheapest_model_that_is_good_enough_is_asked_else_the_best() -> None:
    prompts = [asked("research"), asked("other"), asked("plain")]
    assert first(fitted("lookup", value=0.7), prompts) == ["large", "small", "local"]
    assert first(fitted("lookup", value=0.0), prompts) == ["local"] * 3
    assert first(fitted("lookup", value=1.0), prompts)[0] == "large"


def test_the_reason_says_what_was_expected_in_words() -> None:
    plan = fitted("lookup", value=0.7).plan([asked("research"), asked("other")], ROSTER)
    quality = plan.quality
    assert quality is not None
    said = f"{quality[1, 1]:.3f}".rstrip("0").removeprefix("0")
    assert plan.why(1) == f"lookup expects {said} ≥ .7 of small, the cheapest that does"
    never = fitted("lookup", value=1.0).plan([asked("research")], ROSTER)
    assert never.why(0).endswith("< 1 of large, the best there is")
    weighed = fitted("lookup", "cost_weight", 60.0).plan([asked("plain")], ROSTER)
    assert weighed.why(0).endswith("of local, the most at 60 a USD")
    assert "at $0.000099 of" in weighed.why(0)


def test_the_best_is_second_and_named_once() -> None:
    order = fitted("lookup", value=0.7).plan([asked("research"), asked("plain")], ROSTER).order
    assert order[0].tolist() == [0, NOBODY]
    assert order[1, 0] == 2
    assert order[1, 1] in (0, NOBODY)


def test_a_weight_of_nothing_asks_the_best_and_a_huge_one_the_cheapest() -> None:
    prompts = outcomes(30, seed=5).prompts
    best = fitted("knn").predict(prompts, ROSTER)[0].argmax(axis=1)
    assert first(fitted("knn", "cost_weight", 0.0), prompts) == [NAMES[k] for k in best]
    assert set(first(fitted("knn", "cost_weight", 1e9), prompts)) == {"local"}


def test_predictions_without_a_task_come_from_the_text() -> None:
    untold = [dataclasses.replace(p, task=None) for p in outcomes(60, seed=6).prompts]
    picks = first(fitted("knn", value=0.6), untold)
    kinds = [p.text.split()[0] for p in untold]
    assert {pick for pick, kind in zip(picks, kinds, strict=True) if kind == "Compare"} == {"large"}
    assert "large" not in {pick for pick, kind in zip(picks, kinds, strict=True) if kind == "What"}


def test_slow_models_are_left_out_unless_none_remains() -> None:
    slow = dataclasses.replace(fitted("lookup"), max_latency_s=2.0)
    prompts = [asked("research"), asked("other")]
    assert first(slow, prompts) == ["small", "small"]
    quality = slow.plan(prompts, ROSTER).quality
    assert quality is not None
    assert np.isnan(quality[:, 0]).all()
    assert first(dataclasses.replace(slow, max_latency_s=0.1), prompts) == first(fitted("lookup"), prompts)


def test_a_latency_that_was_not_recorded_is_not_too_long() -> None:
    unknown = outcomes(latency_s=np.full((240, 3), np.nan))
    strategy = Arbitrage(predictor="lookup", min_quality=0.7, max_latency_s=0.1).fit(unknown)
    assert first(strategy, [asked("research")]) == ["large"]


def test_costs_that_were_not_recorded_come_from_the_prices_or_make_a_model_the_dearest() -> None:
    blank = np.full((240, 3), np.nan)
    none = Arbitrage(predictor="lookup", min_quality=0.0).fit(outcomes(cost_usd=blank))
    prices = Roster(
        models=tuple(
            dataclasses.replace(m, price=Price(usd_per_mtok_in=p, usd_per_mtok_out=2 * p))
            for m, p in zip(ROSTER.models, (1.0, 0.5, 3.0), strict=True)
        )
    )
    cost = none.predict([asked("plain", "x" * 400)], prices)[1]
    assert cost[0].tolist() == pytest.approx([(100 * p + ANSWER_TOKENS * 2 * p) / 1e6 for p in (1.0, 0.5, 3.0)])
    assert first(none, [asked("plain")])  # without prices every model is as dear, and one is asked all the same
    some = blank.copy()
    some[:, 0] = 1e-3
    partly = Arbitrage(predictor="lookup", min_quality=0.0).fit(outcomes(cost_usd=some))
    assert np.isnan(partly.predict([asked("plain")], prices)[1][0]).tolist() == [False, True, True]
    assert first(partly, [asked("plain")]) == ["large"]


def test_a_long_prompt_is_expected_to_cost_more() -> None:
    chance = np.random.default_rng(8)
    lengths = chance.integers(1, 200, size=300)
    base = outcomes(300)
    prompts = tuple(
        dataclasses.replace(p, messages=(Message(role="user", content="word " * int(k)),))
        for p, k in zip(base.prompts, lengths, strict=True)
    )
    cost = lengths[:, None] * np.array([1e-4, 1e-5, 1e-6]) * chance.lognormal(sigma=0.2, size=(300, 3))
    inputs = Inputs(prompts=prompts, embedder=SPEC)
    expense = Expense()
    lesson = expense.fit(inputs, cost, np.full((300, 3), np.nan))
    expected = expense.predict(lesson, inputs, ROSTER)
    assert np.corrcoef(np.log(expected[:, 0]), np.log(lengths))[0, 1] > 0.95
    assert np.allclose(expected.mean(axis=0), cost.mean(axis=0), rtol=0.1)
    flat = Expense(sizes=False)
    assert np.allclose(flat.predict(flat.fit(inputs, cost, cost), inputs, ROSTER), np.tile(cost.mean(axis=0), (300, 1)))


def test_a_model_that_is_free_at_times_is_expected_to_cost_its_mean() -> None:
    cost = np.tile([1.0, 0.0, 0.5], (240, 1))
    cost[::2, 2] = 0.0
    inputs = Inputs(prompts=outcomes().prompts, embedder=SPEC)
    lesson = Expense().fit(inputs, cost, cost)
    assert np.allclose(Expense().predict(lesson, inputs, ROSTER), [1.0, 0.0, 0.25])


def test_a_model_without_a_score_is_never_asked() -> None:
    quality = outcomes().quality.copy()
    quality[:, 2] = np.nan
    strategy = Arbitrage(predictor="lookup", min_quality=0.0).fit(outcomes(quality=quality))
    assert first(strategy, [asked("plain")]) == ["small"]
    with pytest.raises(ConfigError, match="no quality was recorded"):
        Arbitrage(min_quality=0.5).fit(outcomes(quality=np.full((240, 3), np.nan)))


def test_models_that_nothing_was_learned_about_are_not_asked_and_missing_ones_are_named() -> None:
    more = Roster(models=(Model(name="new", provider="p", upstream="new"), *ROSTER.models))
    plan = fitted("lookup", value=0.0).plan([asked("plain")], more)
    assert plan.order[0, 0] == 3
    assert plan.quality is not None
    assert math.isnan(plan.quality[0, 0])
    with pytest.raises(ConfigError, match="'large' was learned about and is not among the models"):
        fitted("lookup").plan([asked("plain")], Roster(models=ROSTER.models[1:]))
    with pytest.raises(ConfigError, match="'large' is not among `models`"):
        RouteConfig(name="a", models=("small",), strategy=fitted("lookup"))


def test_before_it_is_fitted_it_says_so() -> None:
    with pytest.raises(ConfigError, match="arbitrage: not fitted yet"):
        Arbitrage(min_quality=0.5).plan([asked(None, "x")], ROSTER)


def test_what_was_learned_in_another_way_is_refused() -> None:
    with pytest.raises(ConfigError, match="was fitted with the predictor 'knn', not 'lookup'"):
        dataclasses.replace(fitted("knn"), predictor="lookup").plan([asked("plain")], ROSTER)
    with pytest.raises(ConfigError, match="was fitted with the embedder"):
        dataclasses.replace(fitted("knn"), embedder="minilm").plan([asked("plain")], ROSTER)


@pytest.mark.parametrize("spoil", ["drop", "shape", "names"])
def test_arrays_that_do_not_fit_together_are_one_line(spoil: str) -> None:
    learned = fitted("knn").learned
    assert learned is not None
    arrays, about = dict(learned.arrays), dict(learned.about)
    if spoil == "drop":
        del arrays["own_vectors"]
    elif spoil == "shape":
        arrays["own_vectors"] = arrays["own_vectors"][:, :10]
    else:
        about["own"] = {}
    broken = dataclasses.replace(fitted("knn"), learned=Learned(arrays=arrays, about=about))
    with pytest.raises(ConfigError, match="arbitrage: what is in `learned` does not fit together"):
        broken.plan([asked("plain")], ROSTER)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("min_quality: 0.5\n  cost_weight: 3", "yaml:7: strategy.cost_weight: and min_quality exclude each other"),
        ("predictor: knn", "yaml:4: strategy: needs min_quality (from 0 to 1) or cost_weight"),
        ("min_quality: 1.5", "yaml:6: strategy.min_quality: must be a number of at least 0 and at most 1, not 1.5"),
        ("cost_weight: -1", "yaml:6: strategy.cost_weight: must be a number of at least 0, not -1.0"),
        ("min_quality: 0.5\n  predictor: kn", "yaml:7: strategy.predictor.kind: unknown 'kn'; did you mean 'knn'?"),
        (
            "min_quality: 0.5\n  predictor:\n    kind: knn\n    k: 0",
            "yaml:9: strategy.predictor.k: must be at least 1, not 0",
        ),
        (
            "min_quality: 0.5\n  predictor: {kind: stack, of: [lookup, {kind: mf, rank: 0}]}",
            "yaml:7: strategy.predictor.of.1.rank: must be at least 1, not 0",
        ),
        ("min_quality: high", "yaml:6: strategy.min_quality: must be a number (got 'high')"),
    ],
)
def test_parameters_that_cannot_be_are_named_with_their_line(lines: str, message: str) -> None:
    with pytest.raises(ConfigError) as trouble:
        RouteConfig.from_text(f"routelab: 1\nname: c\nmodels: [a, b]\nstrategy:\n  kind: arbitrage\n  {lines}\n")
    assert trouble.value.message.startswith(message)


def test_a_predictor_is_equal_however_it_is_written() -> None:
    assert Arbitrage(predictor={"kind": "knn", "k": 80}, min_quality=0.5) == Arbitrage(min_quality=0.5)
    assert spec_of(Arbitrage(predictor={"kind": "knn", "k": 7}, min_quality=0.5)) == {
        "kind": "arbitrage",
        "predictor": {"kind": "knn", "k": 7},
        "min_quality": 0.5,
    }
    made = strategy_of({"kind": "arbitrage", "predictor": {"kind": "stack", "of": ["knn", {"kind": "mf", "rank": 2}]}, "cost_weight": 5})  # fmt: skip
    assert strategy_of(spec_of(made)) == made


def test_a_table_of_tasks_is_offered_where_the_task_alone_decides() -> None:
    given = Arbitrage(predictor={"kind": "lookup", "tasks": "given"}, min_quality=0.7).fit(outcomes())
    assert given.table is not None
    assert given.table == {"other": ("small",), "plain": ("local", "large"), "research": ("large",)}
    assert fitted("lookup").table is None
    assert fitted("knn").table is None
    assert Arbitrage(predictor={"kind": "lookup", "tasks": "given"}, min_quality=0.7).table is None


def test_every_process_and_hash_seed_decides_the_same(elsewhere: Callable[..., str]) -> None:
    code = (
        "import json, test_arbitrage as t\n"
        "ps = t.outcomes(40, seed=9).prompts\n"
        "print(json.dumps([[k, t.fitted(k).learned.digest, t.fitted(k).plan(ps, t.ROSTER).order.tolist()]"
        " for k in t.KINDS]))"
    )
    said = json.loads(elsewhere(code))
    assert [kind for kind, *_ in said] == list(KINDS)
    prompts = outcomes(40, seed=9).prompts
    for kind, digest, order in said:
        learned = fitted(kind).learned
        assert learned is not None
        assert (learned.digest, fitted(kind).plan(prompts, ROSTER).order.tolist()) == (digest, order)


def test_predictors_that_need_no_vectors_load_no_embedder(elsewhere: Callable[..., str]) -> None:
    code = (
        "import sys, numpy as np, routelab.strategies as s\n"
        "from routelab.strategies.predictors import Inputs, predictor_of\n"
        "from routelab.core.values import Prompt\n"
        "i = Inputs(prompts=tuple(Prompt.of(str(k), task='ab'[k % 2]) for k in range(9)))\n"
        "p = predictor_of('lookup'); p.predict(p.fit(i, np.ones((9, 2))), i)\n"
        "print([m for m in ('sklearn', 'onnxruntime', 'scipy') if m in sys.modules])"
    )
    assert elsewhere(code).strip() == "[]"


def worth(quality: Sequence[float], cost: Sequence[float], weight: float) -> int:
    """Return the choice at a weight as a plain loop makes it."""
    known = [k for k in range(len(quality)) if not math.isnan(quality[k])]
    dear = [math.inf if math.isnan(c) else c for c in cost]
    finite = [k for k in known if math.isfinite(dear[k])]
    pool = finite if finite and weight > 0 else known
    if not pool:
        return NOBODY
    if weight == 0 or not finite:
        return min(pool, key=lambda k: (-quality[k], dear[k], k))
    return max(pool, key=lambda k: (quality[k] - weight * dear[k], quality[k], -dear[k], -k))


def test_the_envelope_is_that_of_a_plain_loop() -> None:
    chance = np.random.default_rng(11)
    for m in (1, 2, 3, 6):
        quality = chance.integers(0, 11, size=(300, m)) / 10
        cost = chance.integers(1, 9, size=(300, m)).astype(float)
        quality[chance.random((300, m)) < 0.15] = np.nan
        cost[chance.random((300, m)) < 0.1] = np.nan
        family = envelope(quality, cost)
        # No weight at which two lines of this grid meet, where rounding alone would decide.
        for weight in (0.0, 1e-6, 0.01234567, 0.0371, 0.1113, 0.5077, 3.3, 1e6):
            plain = [worth(quality[i], cost[i], weight) for i in range(300)]
            assert family.picks(np.array([weight]))[0].tolist() == plain, weight


def test_a_heavier_cost_never_leads_to_a_dearer_or_better_model() -> None:
    chance = np.random.default_rng(12)
    quality, cost = chance.random((200, 5)), chance.random((200, 5))
    picks = envelope(quality, cost).picks(np.geomspace(1e-3, 1e3, 50))
    rows = np.arange(200)
    for lower, upper in itertools.pairwise(picks):
        assert (cost[rows, upper] <= cost[rows, lower]).all()
        assert (quality[rows, upper] <= quality[rows, lower]).all()
