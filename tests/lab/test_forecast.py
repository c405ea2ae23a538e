"""The price before the first call: it holds what comes, it learns from the log, and it refuses what cannot fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from routelab.core.errors import BudgetExceeded
from routelab.core.values import Model, Price, Prompt
from routelab.fleet import Fleet
from routelab.lab.datasets import Dataset
from routelab.lab.forecast import forecast
from routelab.lab.session import Lab
from routelab.testing import Scripted, Words, fleet, prompts

PRICE = Price(usd_per_mtok_in=2.0, usd_per_mtok_out=10.0)


class Rows:
    """A log that knows the lengths of answers and nothing else."""

    def __init__(self, *rows: tuple[str, str, int, float, float | None]) -> None:
        self.rows = rows

    def query(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        return [row for row in self.rows if row[0] in parameters[1]]


def model(name: str = "m", price: Price | None = PRICE, **given: Any) -> Model:
    return Model(name=name, provider="x", upstream=name, price=price, **given)


def said(due: list[Prompt], rows: Rows, *models: Model) -> Any:
    return forecast(models, {m.name: due for m in models}, log=rows, counter=Words())  # type: ignore[arg-type]


def test_without_answers_the_range_goes_from_one_token_to_four_times_the_stated_length() -> None:
    due = prompts("one two three four five six", "seven", task="qa")
    found = said(due, Rows(), model())
    [share] = found.shares
    counted = 7 + 2 * 4
    assert share.input_tokens == (0.8 * counted, counted, 1.25 * counted)
    assert share.output_tokens == (2 * 1, 2 * 40, 2 * (4 * 40 + 1000))
    assert share.usd == pytest.approx(
        [(2 * i + 10 * o) / 1e6 for i, o in zip(share.input_tokens, share.output_tokens, strict=True)]
    )
    assert (found.calls, share.known) == (2, 0)


def test_an_answer_is_never_taken_to_be_longer_than_the_model_may_write() -> None:
    [share] = said(prompts("a b", task="math"), Rows(), model(max_output_tokens=100)).shares
    assert share.output_tokens == (1, 100, 100)


def test_answers_in_the_log_give_a_prediction_interval_for_the_sum() -> None:
    from scipy import stats

    due = prompts(*(f"question {i}" for i in range(50)), task="qa")
    [share] = said(due, Rows(("m", "qa", 20, 80.0, 900.0)), model()).shares
    reach = stats.t.ppf(0.95, 19) * np.sqrt(50**2 * 900 / 20 + 50 * 900)
    assert share.output_tokens == pytest.approx((4000 - reach, 4000, 4000 + reach))
    assert share.known == 50


def test_four_answers_are_too_few_and_another_tasks_answers_do_not_count() -> None:
    due = prompts("question", task="qa")
    stated = said(due, Rows(), model()).shares
    assert said(due, Rows(("m", "qa", 4, 80.0, 900.0), ("m", "math", 99, 5.0, 1.0)), model()).shares == stated


def test_nine_of_ten_sums_lie_within_the_range() -> None:
    rng = np.random.default_rng(8)
    within = 0
    for _ in range(1000):
        seen, coming = rng.gamma(2.0, 60.0, 15), rng.gamma(2.0, 60.0, 40)
        due = prompts(*(f"question {i}" for i in range(40)), task="qa")
        [share] = said(due, Rows(("m", "qa", 15, seen.mean(), seen.var(ddof=1))), model()).shares
        within += share.output_tokens[0] <= coming.sum() <= share.output_tokens[2]
    # gamma lengths are skewed, so a little less than 90 % is what a t interval gives
    assert 860 <= within <= 930


def test_models_without_a_price_are_named_and_are_in_no_sum() -> None:
    due = prompts("question")
    found = said(due, Rows(), model("m"), model("n", None))
    assert found.unpriced == ("n",)
    assert found.usd == said(due, Rows(), model("m")).usd
    assert "without n" in found.text
    with pytest.raises(BudgetExceeded, match=r"n: no known price, so a budget of \$5 cannot be kept"):
        found.within(5.0)


def test_a_budget_below_the_low_end_is_refused_with_the_numbers() -> None:
    found = said(prompts("question"), Rows(), model())
    found.within(found.low_usd)
    with pytest.raises(BudgetExceeded, match=r"is not enough: 1 calls cost about .* nothing was asked") as no:
        found.within(found.low_usd * 0.99)
    assert "budget_usd=" in str(no.value.hint)
    with pytest.raises(BudgetExceeded, match="spent before"):
        found.within(found.low_usd, spent_usd=1e-9)
    said([], Rows(), model()).within(0.0, spent_usd=10.0)


def test_no_call_is_made_when_the_estimate_does_not_fit() -> None:
    one = Scripted("yes")
    with Lab(fleet=fleet({"a": one})) as lab, pytest.raises(BudgetExceeded):
        lab.collect(["hello"] * 50, ["a"], budget_usd=1e-6)
    assert one.requests == []


def test_the_listener_has_the_estimate_before_the_first_call() -> None:
    one = Scripted("yes")
    calls: list[tuple[int, int, float]] = []
    with Lab(fleet=fleet({"a": one})) as lab:
        lab.collect(
            ["one", "two", "three"],
            ["a"],
            jobs=1,
            heard=lambda h: calls.append((h.done, len(one.requests), h.forecast.high_usd)),
        )
    assert calls[0][:2] == (0, 0)
    assert calls[0][2] > 0
    assert [done for done, _, _ in calls] == [0, 1, 2, 3]


def test_the_practice_models_cost_what_was_said_with_and_without_a_pilot() -> None:
    data = Dataset.load("workbench").sample(60)
    with Lab(fleet=Fleet.practice(latency=0)) as lab:
        names = ["gpt-5", "gpt-5-mini", "claude-opus", "deepseek-v3"]
        blind = {s.model: s.usd for s in lab.estimate(data, names).shares}
        lab.collect(data.sample(30), names, name="pilot")
        taught = {s.model: s.usd for s in lab.estimate(data, names).shares}
        found = lab.collect(data, names)
    for k, name in enumerate(names):
        cost = float(np.nansum(found.cost_usd[:, k]))
        for low, _, high in (blind[name], taught[name]):  # type: ignore[misc]
            assert low <= cost <= high
        assert taught[name][2] < blind[name][2]  # type: ignore[index]


def test_what_was_collected_is_not_estimated_again() -> None:
    with Lab(fleet=fleet({"a": Scripted("yes")})) as lab:
        data = Dataset.of(["one", "two", "three"], name="quiz")
        lab.collect(data.take(2), ["a"])
        found = lab.estimate(data, ["a"])
        assert (found.calls, found.kept, found.missing, found.errored) == (1, 2, 1, 0)
        assert lab.log.query("select count(*) from experiments")[0][0] == 1
    said_ = found.table()
    assert "2 answers are in the log, 1 were never asked for, 0 ended in an error" in said_.notes
    assert "text/html" in found._repr_mimebundle_()
    assert repr(found) == said_.text()
