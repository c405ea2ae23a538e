"""A collection is known by what it is made of: the same goes on, more is added when that is said, anything else is refused."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.core.errors import BudgetExceeded, ConfigError
from routelab.core.values import Message, Model, Price, Prompt
from routelab.fleet import Fleet
from routelab.lab.collect import Order
from routelab.lab.collection import Collection, Difference, difference, latest, mark, settled, told
from routelab.lab.datasets import Dataset
from routelab.lab.session import Lab
from routelab.scoring import Function
from routelab.testing import Scripted, fleet

YES = {"kind": "exact", "answers": ["yes"]}


def quiz(*ids: str, say: str = "question", name: str = "quiz") -> Dataset:
    return Dataset.of([{"id": i, "prompt": f"{say} {i}", "scorer": YES} for i in ids], name=name)


def collection(dataset: Dataset, *models: str, seed: int = 0, name: str | None = None) -> Collection:
    roster = [
        Model(name=m, provider="x", upstream=m, price=Price(usd_per_mtok_in=1, usd_per_mtok_out=2)) for m in models
    ]
    return Collection.of(dataset, roster, name=name, seed=seed, scorer=None)


def test_the_difference_names_every_prompt_and_model() -> None:
    before = collection(quiz("a", "b", "c"), "m", "n")
    changed = Dataset(name="quiz", prompts=(*quiz("a").prompts, *quiz("b", say="other").prompts, *quiz("d").prompts))
    found = difference(before, collection(changed, "n", "o"))
    assert found == Difference(added=("d",), removed=("c",), changed=("b",), models_added=("o",), models_removed=("m",))
    assert (
        str(found) == "1 prompt added (d); 1 prompt removed (c); 1 prompt changed (b); model added: o; model removed: m"
    )
    assert not found.only_more


def test_a_long_difference_is_counted_and_cut() -> None:
    ids = [f"p{i:02}" for i in range(12)]
    found = difference(collection(quiz("x"), "m"), collection(quiz("x", *ids), "m"))
    assert str(found) == "12 prompts added (p00, p01, p02, p03, p04, … 7 more)"
    assert found.only_more


ids = st.lists(st.sampled_from("abcdef"), min_size=1, unique=True)
models = st.lists(st.sampled_from("mno"), min_size=1, unique=True)


@settings(max_examples=50)
@given(ids, models, ids, models, st.randoms(use_true_random=False))
def test_there_is_no_difference_only_when_prompts_and_models_are_the_same_in_any_order(
    some: list[str], asked: list[str], others: list[str], later: list[str], random: Any
) -> None:
    one = collection(quiz(*some), *asked)
    shuffled = random.sample(some, len(some))
    assert difference(one, collection(quiz(*shuffled), *reversed(asked))).nothing
    found = difference(one, collection(quiz(*others), *later))
    assert found.nothing == (set(some) == set(others) and set(asked) == set(later))
    assert found.only_more == (set(some) <= set(others) and set(asked) <= set(later))
    back = difference(collection(quiz(*others), *later), one)
    assert (set(found.added), set(found.models_added)) == (set(back.removed), set(back.models_removed))


@pytest.mark.parametrize(
    "change",
    [
        {"messages": (Message(role="user", content="another"),)},
        {"messages": (Message(role="system", content="q"),)},
        {"reference": "no"},
        {"scorer": {**YES, "answers": ["no"]}},
    ],
)
def test_a_prompt_is_another_one_when_a_model_sees_or_a_scorer_measures_something_else(change: dict[str, Any]) -> None:
    prompt = Prompt(id="a", messages=(Message(role="user", content="q"),), reference="yes", scorer=YES, task="t")
    assert mark(dataclasses.replace(prompt, **change)) != mark(prompt)
    assert mark(dataclasses.replace(prompt, task="u", tags={"x": "y"}, difficulty=3.0)) == mark(prompt)


def test_a_scorer_is_told_by_its_name_and_never_by_its_address() -> None:
    assert told(None) == "the prompts' own"
    assert told(length) == f"{__name__}.length"
    assert told(Function(length)) == told(Function(length))
    assert "0x" not in told(Function(length))
    assert "0x" not in told(functools.partial(length))  # type: ignore[arg-type]


def length(answer: str, prompt: object) -> float:
    return min(len(answer), 10) / 10


def test_prompts_without_a_name_are_named_by_their_content() -> None:
    with Lab(fleet=fleet({"m": Scripted("yes")})) as lab:
        lab.collect(["one", "two"], ["m"])
        lab.collect(["three"], ["m"])
        names = lab.log.query("select distinct experiment from experiments")
    assert len(names) == 2


def test_force_starts_a_new_one_beside_the_old_and_only_when_something_differs() -> None:
    one = Scripted("yes")
    with Lab(fleet=fleet({"m": one})) as lab:
        lab.collect(quiz("a", "b"), ["m"])
        lab.collect(quiz("a", "b"), ["m"], force=True)
        assert len(one.requests) == 2
        lab.collect(quiz("a", "c"), ["m"], force=True)
        assert len(one.requests) == 4
        # the cell that forced is run again: what it began goes on, and nothing is paid twice
        lab.collect(quiz("a", "c"), ["m"], force=True)
        lab.collect(quiz("a", "c"), ["m"])
        assert len(one.requests) == 4
        found = lab.log.query("select experiment, count(*) from runs group by all order by 1")
        assert [tuple(row) for row in found] == [("collect-quiz-0", 2), ("collect-quiz-0~2", 2)]
        with pytest.raises(ConfigError, match=r"1 prompt added \(b\); 1 prompt removed \(c\)"):
            lab.collect(quiz("a", "b"), ["m"])


def test_another_name_keeps_both() -> None:
    one = Scripted("yes")
    with Lab(fleet=fleet({"m": one})) as lab:
        lab.collect(quiz("a", "b"), ["m"], name="pilot")
        lab.collect(quiz("a", "b", "c"), ["m"])
        lab.collect(quiz("a", "b"), ["m"], name="pilot")
        assert len(one.requests) == 5


def test_extending_takes_nothing_away() -> None:
    one, two = Scripted("yes"), Scripted("no")
    with Lab(fleet=fleet({"m": one, "n": two})) as lab:
        lab.collect(quiz("a", "b"), ["m"])
        for dataset, names in ((quiz("a"), ["m"]), (quiz("a", "b"), ["n"]), (quiz("a", "b", say="other"), ["m", "n"])):
            with pytest.raises(ConfigError, match=r"removed|changed"):
                lab.collect(dataset, names, extend=True)
        found = lab.collect(quiz("a", "b"), ["n", "m"], extend=True)
        assert (len(one.requests), len(two.requests)) == (2, 2)
        assert found.models == ("n", "m")
        assert found.quality.tolist() == [[0.0, 1.0]] * 2
        # it is larger now, and that is what is gone on with
        with pytest.raises(ConfigError, match="model removed: n"):
            lab.collect(quiz("a", "b"), ["m"])
        kept = latest(lab.log, "collect-quiz-0")
        assert kept is not None
        assert set(kept.models) == {"m", "n"}


def test_the_hint_offers_to_extend_only_where_that_can_be_done() -> None:
    with Lab(fleet=fleet({"m": Scripted("yes"), "n": Scripted("no")})) as lab:
        lab.collect(quiz("a", "b"), ["m"])
        with pytest.raises(ConfigError) as more:
            lab.collect(quiz("a", "b"), ["m", "n"])
        with pytest.raises(ConfigError) as less:
            lab.collect(quiz("a"), ["m"])
    assert "extend=True adds them to it" in str(more.value.hint)
    assert "extend=True" not in str(less.value.hint)


def test_what_was_refused_before_the_first_call_stands_in_nobodys_way() -> None:
    with Lab(fleet=fleet({"m": Scripted("yes"), "n": Scripted("no")})) as lab:
        with pytest.raises(BudgetExceeded, match="nothing was asked"):
            lab.collect(quiz("a", "b"), ["m", "n"], budget_usd=1e-9)
        assert lab.collect(quiz("a", "b"), ["m"], budget_usd=1.0).models == ("m",)


def test_the_log_keeps_what_a_collection_is_made_of_and_when_its_prices_are_from() -> None:
    with Lab(fleet=Fleet.practice(latency=0)) as lab:
        lab.collect(Dataset.load("workbench").take(2), ["gpt-5", "qwen-local"])
        [(detail, dataset)] = lab.log.query("select detail, dataset from experiments")
        found = latest(lab.log, "collect-workbench-0")
    assert dataset == "workbench"
    assert found is not None
    assert found.models == ("gpt-5", "qwen-local")
    assert list(found.prompts) == [p.id for p in Dataset.load("workbench").take(2)]
    assert found.prices["gpt-5"]["as_of"] is not None
    assert '"dataset_fingerprint"' in detail


def test_prices_that_changed_meanwhile_are_pointed_out() -> None:
    one = Scripted("yes")
    with Lab(fleet=fleet({"m": one})) as lab:
        assert lab.collect(quiz("a", "b"), ["m"]).notes == ()
        lab.fleet = fleet({"m": one}, usd_per_mtok=3.0)
        notes = lab.collect(quiz("a", "b"), ["m"]).notes
        assert notes == ("prices have changed since the collection began (m): each cost is at the price of its call",)
        assert lab.collect(quiz("a", "b"), ["m"]).notes == notes
    assert len(one.requests) == 2


def test_settling_writes_nothing() -> None:
    with Lab(fleet=fleet({"m": Scripted("yes")})) as lab:
        now = collection(quiz("a"), "m")
        assert settled(lab.log, now, force=False, extend=False) == now
        assert lab.log.query("select count(*) from experiments")[0][0] == 0


@pytest.mark.parametrize(
    ("given", "said"), [({"retry": "all"}, "retry: unknown 'all'"), ({"name": ""}, "name: is empty")]
)
def test_an_order_that_cannot_be_kept_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Order(**given)
