"""The cube: its parts, its prices, and the published figures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import DataError
from routelab.core.values import Model, Price, Tokens
from routelab.lab.outcomes import Outcomes
from routelab.lab.prices import ASSUMED_OUTPUT_TOKENS, assumed_output_tokens, priced, read_prices


class Words:
    """A counter that a person can check: one token a word."""

    def count(self, text: str, model: Model) -> Tokens:
        return Tokens(input=len(text.split()), source="estimate")


@given(st.lists(st.booleans(), min_size=4, max_size=4), st.permutations("ab"))
def test_taking_prompts_and_models_takes_the_same_cells_of_every_array(
    cube: Any, mask: list[bool], names: list[str]
) -> None:
    whole = cube(np.arange(8).reshape(4, 2) / 8, cost_usd=np.arange(8).reshape(4, 2), gates={"j": np.ones((4, 2))})
    part = whole.take(mask).only(names)
    rows, columns = np.flatnonzero(mask), ["ab".index(n) for n in names]
    assert part.models == tuple(names)
    assert [p.id for p in part.prompts] == [f"p{i}" for i in rows]
    assert part.quality.tolist() == whole.quality[np.ix_(rows, columns)].tolist()
    assert part.cost_usd.tolist() == whole.cost_usd[np.ix_(rows, columns)].tolist()
    assert part.gates["j"].score.shape == part.quality.shape


def test_rows_can_be_taken_by_number_in_any_order(cube: Any) -> None:
    assert [p.id for p in cube(np.zeros((3, 1))).take([2, 0]).prompts] == ["p2", "p0"]


def test_an_unknown_model_suggests_the_nearest(cube: Any) -> None:
    with pytest.raises(DataError, match="'gpt-5-min' has no recorded outcomes; did you mean 'gpt-5-mini'"):
        cube([[1.0]], models=("gpt-5-mini",)).only(["gpt-5-min"])


def test_arrays_of_another_shape_are_refused(cube: Any) -> None:
    with pytest.raises(ValueError, match="prompts × models"):
        cube([[1.0, 0.0]], gates={}, models=("a",))


def test_clusters_are_groups_and_a_prompt_without_one_is_its_own(cube: Any) -> None:
    assert cube(np.zeros((4, 1)), groups=["g", None, "g", None]).clusters.tolist() == [0, 1, 0, 2]
    assert cube(np.zeros((2, 1))).clusters is None


def test_the_repr_says_what_is_known_and_what_is_simulated(cube: Any) -> None:
    shown = repr(cube([[1.0, np.nan]], cost_usd=0.1, dataset="d", simulated=True))
    assert shown == (
        "<Outcomes d: 1 prompts × 2 models; known: quality 1 of 2, cost_usd all, latency_s none; cost recorded; simulated>"
    )


def test_missing_costs_are_priced_from_tokens_and_say_how_they_are_known(cube: Any) -> None:
    price = Price(usd_per_mtok_in=1e6, usd_per_mtok_out=1e6 * 10)  # a dollar a token in, ten a token out
    given_ = cube(
        np.ones((2, 4)),
        tasks=["mbpp", "mbpp"],
        cost_usd=[[0.5, np.nan, np.nan, np.nan]] * 2,
        input_tokens=[[np.nan, 3, np.nan, np.nan]] * 2,
        output_tokens=[[np.nan, 4, np.nan, np.nan]] * 2,
        texts=lambda prompt, model: "an answer of five words" if model == "c" and prompt == "p0" else None,
    )
    found = priced(given_, dict.fromkeys("abc", price), Words())
    assert found.cost_usd == pytest.approx(
        np.array([[0.5, 43, 2 + 50, np.nan], [0.5, 43, 2 + 2500, np.nan]]), nan_ok=True
    )
    assert found.cost_kind == ("recorded", "tokens_x_listprice", "estimated", None)
    assert found.notes == (
        "costs are estimated: an answer's length was not recorded and is taken as 250 tokens by task",
    )
    assert found.roster.models[1].price == price


def test_a_failed_call_of_unknown_length_gets_no_cost(cube: Any) -> None:
    given_ = cube([[0.0], [1.0]], failed=[[1], [0]])
    found = priced(given_, {"a": Price(usd_per_mtok_in=1, usd_per_mtok_out=1)}, Words())
    assert np.isnan(found.cost_usd[:, 0]).tolist() == [True, False]


def test_the_stated_lengths_match_the_tasks_of_the_recorded_data(recorded: Callable[..., Outcomes]) -> None:
    tasks = {p.task for p in recorded("llmrouter").prompts} | {p.task for p in recorded("routellm_mmlu").prompts}
    assert {t for t in tasks if not any(re.search(p, t or "") for p, _ in ASSUMED_OUTPUT_TOKENS)} == set()
    assert {assumed_output_tokens(t) for t in tasks if (t or "").startswith("mmlu/")} == {16}


PRICES = "dataset,model,usd_per_mtok_in,usd_per_mtok_out,source\n"


def test_prices_hold_for_their_dataset_only_and_a_blank_one_is_for_all(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(PRICES + "one,a,1,2,x\ntwo,a,3,4,\n,b,5,6,\n")
    assert read_prices(path, dataset="one") == {
        "a": Price(usd_per_mtok_in=1, usd_per_mtok_out=2, source="x"),
        "b": Price(usd_per_mtok_in=5, usd_per_mtok_out=6, source="prices.csv"),
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("one,a,cheap,2,\n", "prices.csv, line 2, usd_per_mtok_in: 'cheap' is not a number"),
        ("one,a,,2,\n", "prices.csv, line 2, usd_per_mtok_in: is blank"),
        ("one,a,1,-2,\n", "prices.csv, line 2, usd_per_mtok_out: -2 is not at least 0"),
        ("one,a,1,2,\none,a,1,3,\n", "prices.csv, line 3, model: 'a' is priced twice (first in line 2)"),
    ],
)
def test_a_price_that_cannot_be_used_is_named(tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(PRICES + rows)
    with pytest.raises(DataError) as trouble:
        read_prices(path, dataset="one")
    assert trouble.value.message == message


@pytest.mark.parametrize(
    ("dataset", "shape", "best", "oracle"),
    [
        ("bfcl_2024-08-11", (742, 13), 0.926, 0.966),
        ("gsm8k", (1319, 11), 0.962, 0.989),
        ("llmrouter", (5608, 9), 0.621, 0.802),
        ("routellm_mmlu", (14042, 2), 0.806, 0.859),
        ("routerarena_sub10", (809, 2), 0.690, 0.741),
    ],
)
def test_the_published_shapes_and_best_scores_come_out(
    recorded: Callable[..., Outcomes], dataset: str, shape: tuple[int, int], best: float, oracle: float
) -> None:
    found = recorded(dataset)
    assert found.quality.shape == shape
    assert np.nanmax(np.nanmean(found.quality, axis=0)) == pytest.approx(best, abs=5e-4)
    assert np.nanmax(found.quality, axis=1).mean() == pytest.approx(oracle, abs=5e-4)


def test_the_published_means_come_out_to_four_digits(recorded: Callable[..., Outcomes]) -> None:
    weak = "mistralai/Mixtral-8x7B-Instruct-v0.1"
    for dataset, strong, low in (("gsm8k", 0.8567, 0.6384), ("routellm_mmlu", 0.8058, 0.6808)):
        means = dict(zip(recorded(dataset).models, recorded(dataset).quality.mean(axis=0), strict=True))
        assert (means["gpt-4-1106-preview"], means[weak]) == pytest.approx((strong, low), abs=5e-5)


def test_only_what_has_no_recorded_cost_is_estimated(recorded: Callable[..., Outcomes]) -> None:
    assert set(recorded("gsm8k", priced=True).cost_kind) == {"estimated"}
    assert recorded("gsm8k", priced=True).notes == ()  # every answer was recorded, so its length is counted
    assert set(recorded("gsm8k").cost_kind) == {None}
    assert set(recorded("bfcl_2024-08-11", priced=True).cost_kind) == {"tokens_x_listprice"}
    assert set(recorded("routerarena_sub10", priced=True).cost_kind) == {"recorded"}
