"""Traffic made, read and replayed: what is counted, what is chosen on the earlier part and told of the later one."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.core.errors import ConfigError, DataError, UnavailableError
from routelab.core.values import Message, Prompt
from routelab.lab import Lab
from routelab.lab.caches.curve import upper_bound
from routelab.lab.caches.stream import Setting, grid
from routelab.lab.caches.streamed import Streamed, stream
from routelab.lab.caches.traffic import Demand, Traffic, label_of, space_of, zipf

USUAL = Demand(requests=3000, verbatim=0.2)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def reworded(
    questions: int = 40,
    wordings: int = 60,
    *,
    noise: float = 0.25,
    demand: Demand = USUAL,
) -> tuple[Traffic, np.ndarray]:
    """Return traffic over questions with many wordings, and the vectors of its keys: wordings lie around their question."""
    names = {f"q{q}": [f"q{q} in words {w}" for w in range(wordings)] for q in range(questions)}
    traffic = zipf(names, demand)
    middle = np.random.default_rng(0).normal(size=(questions, 32))
    place = {
        text: middle[q] + noise * np.random.default_rng([q, w]).normal(size=32)
        for q in range(questions)
        for w, text in enumerate(names[f"q{q}"])
    }
    return traffic, unit(np.array([place[text] for _, text in traffic.keys[1]]))


def played(thresholds: tuple[float | None, ...] = (None, 0.2, 0.5, 0.8), **given: Any) -> Streamed:
    traffic, rows = reworded(**given)
    return stream(traffic, grid(thresholds=thresholds), vectors=rows)


# What is counted


def test_figures_are_counts_of_the_trace() -> None:
    found = played()
    for k, tally in enumerate(found.tallies()):
        trace = found.trace(k)
        hits = trace[trace["answered_by"] != "model"]
        assert tally.n == len(trace) == 3000
        assert tally.exact_hits == (trace["answered_by"] == "exact").sum()
        assert tally.semantic_hits == (trace["answered_by"] == "semantic").sum()
        assert tally.false_hits == sum(bool(v) for v in hits["false"])
        assert tally.judged == len(hits)
        assert tally.saved_usd == pytest.approx(found.traffic.cost_usd[hits["request"].to_numpy()].sum())
        assert tally.saved_s == pytest.approx(found.traffic.latency_s[hits["request"].to_numpy()].sum())
        assert tally.false_hit_upper == upper_bound(tally.false_hits, tally.judged)
        # All answers are right when they are new, so what is lost is what is false.
        assert tally.quality_lost == pytest.approx(tally.false_hits / tally.n)
        assert (hits["similarity"] >= (tally.threshold or 1.0)).all()
        assert (hits["age_s"] >= 0).all()
        assert set(hits["like"]) <= set(found.traffic.texts)


def test_the_parts_add_up_to_the_whole() -> None:
    found = played()
    for whole, earlier, later in zip(found.tallies(), found.tallies("earlier"), found.tallies("later"), strict=True):
        assert whole.hits == earlier.hits + later.hits
        assert whole.false_hits == earlier.false_hits + later.false_hits
        assert (earlier.n, later.n) == (1500, 1500)
        assert whole.repeats is not None
        assert earlier.repeats is not None
        assert later.repeats is not None
        assert whole.repeats == earlier.repeats + later.repeats


def test_a_popular_pair_is_one_observation_among_pairs() -> None:
    rows = unit(np.array([[1.0, 0.0], [0.95, 0.1]]))
    # b is only ever answered semantically, so it comes again and again.
    traffic = Traffic.of(["a", *["b"] * 9], labels=["one", *["other"] * 9])
    [tally] = stream(traffic, [Setting(threshold=0.9)], vectors=rows, orders=0, earlier=0.5).tallies()
    assert tally.semantic_hits + tally.exact_hits in (9, 8)
    assert tally.pairs <= 2
    assert tally.pairs < tally.semantic_hits


def test_without_labels_nothing_is_said_of_false_hits() -> None:
    traffic, rows = reworded()
    bare = Traffic.of(traffic.texts, at_s=traffic.at_s, cost_usd=traffic.cost_usd)
    found = stream(bare, grid(thresholds=[0.5]), vectors=rows)
    [tally] = found.tallies()
    assert tally.hits > 0
    assert (tally.judged, tally.false_hit_rate, tally.false_hit_upper, tally.true_hits, tally.true_hit_rate) == (
        0,
        None,
        None,
        None,
        None,
    )
    assert (tally.quality_lost, tally.saved_s) == (None, None)
    assert found.recommended().why == (
        "keep the cache off: whether hits are right is not known, the traffic has no labels"
    )


def test_what_is_not_known_is_none_in_the_table_of_all_settings() -> None:
    found = stream(Traffic.of(["a", "a"]), grid(), orders=0)
    row = found.frame("all").iloc[0]
    assert (row["hit_rate"], row["n"]) == (0.5, 2)
    assert row[["false_hit_rate", "false_hit_upper", "saved_usd", "saved_share", "quality_lost"]].isna().all()


# What is chosen


def test_the_choice_is_made_on_the_earlier_part_and_told_of_the_later_one() -> None:
    traffic, rows = reworded(noise=0.5)
    thresholds = [None, *np.round(np.arange(0.3, 1.0, 0.05), 2)]
    found = stream(traffic, grid(thresholds=thresholds), vectors=rows)
    chosen = found.recommended(0.02)
    assert chosen.setting is not None
    assert chosen.earlier is not None
    assert chosen.earlier.false_hit_upper is not None
    assert chosen.earlier.false_hit_upper <= 0.02
    assert chosen.later == found.tallies("later")[found.settings.index(chosen.setting)]
    assert chosen.upper == chosen.later.false_hit_upper
    # The later part has no say: with other labels there, the choice is the same.
    labels = [*(traffic.labels or ())[:1500], *[f"other {i}" for i in range(1500)]]
    other = Traffic(
        texts=traffic.texts, at_s=traffic.at_s, labels=tuple(labels), cost_usd=traffic.cost_usd, quality=traffic.quality
    )
    again = stream(other, grid(thresholds=thresholds), vectors=rows).recommended(0.02)
    assert again.setting == chosen.setting
    assert not again.kept


def test_where_no_setting_keeps_the_budget_the_cache_stays_off_and_says_why() -> None:
    traffic, rows = reworded(noise=3.0)
    found = stream(traffic, [Setting(exact=False, threshold=0.2)], vectors=rows)
    chosen = found.recommended()
    assert (chosen.setting, chosen.kept) == (None, False)
    assert chosen.why.startswith(
        "keep the cache off: no setting's bound of false hits is within 1 % on the earlier part"
    )


def test_a_stricter_bound_never_saves_more() -> None:
    traffic, rows = reworded(noise=0.5)
    found = stream(traffic, grid(thresholds=[None, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]), vectors=rows)
    saved = []
    for bound in ("hits", "semantic", "pairs"):
        chosen = found.recommended(0.02, bound=bound)  # type: ignore[arg-type]
        saved.append(0.0 if chosen.earlier is None else chosen.earlier.saved_usd or 0.0)
    assert saved[0] >= saved[1]
    with pytest.raises(ConfigError, match="bound: unknown 'pair'"):
        found.recommended(bound="pair")  # type: ignore[arg-type]


# Orders


def test_where_no_time_is_known_several_orders_give_a_range() -> None:
    traffic, rows = reworded(noise=0.6, demand=Demand(requests=400, verbatim=0.2))
    timeless = Traffic(texts=traffic.texts, labels=traffic.labels, cost_usd=traffic.cost_usd, quality=traffic.quality)
    found = stream(timeless, grid(thresholds=[None, 0.5]), vectors=rows, orders=6)
    assert len(found.passes) == 6
    middle, low, high = found.ranges(1)["hit_rate"] or (0, 0, 0)
    assert low < middle < high
    assert found.frame()["hit_rate"].iloc[1] == pytest.approx(middle)
    assert found.frame()["false_hit_upper"].iloc[1] == max(
        p[1].false_hit_upper or 0 for p in [found.tallies("all", k) for k in range(6)]
    )
    for one in found.passes:
        assert sorted(one.order.tolist()) == list(range(400))
        # The earlier part is the same requests in every order, and comes first.
        assert found.early[one.order[:200]].all()
    again = stream(timeless, grid(thresholds=[None, 0.5]), vectors=rows, orders=6)
    assert [p.order.tolist() for p in again.passes] == [p.order.tolist() for p in found.passes]


def test_exact_hits_do_not_depend_on_the_order() -> None:
    texts = [f"{k}" for k in np.random.default_rng(0).integers(0, 50, 300)]
    found = stream(Traffic.of(texts), grid(), orders=4)
    assert {tallied[0].exact_hits for tallied in (found.tallies("all", k) for k in range(4))} == {300 - len(set(texts))}


def test_a_known_order_is_not_shuffled() -> None:
    traffic, rows = reworded(demand=Demand(requests=50))
    with pytest.raises(ConfigError, match="orders: the arrival times are known"):
        stream(traffic, grid(thresholds=[0.5]), vectors=rows, orders=3)


def test_lifetimes_without_times_are_refused_in_one_line() -> None:
    with pytest.raises(UnavailableError, match="ttl_s = 60: cannot be replayed over traffic") as caught:
        stream(Traffic.of(["a", "a"]), grid(ttls_s=[60]))
    assert "\n" not in caught.value.message


def test_texts_that_the_embedder_does_not_read_whole_are_like_nothing() -> None:
    long = "x" * 600
    traffic = Traffic.of([long, long + "y", " ", "  ", "a", "b"])
    found = stream(traffic, [Setting(exact=False, threshold=0.5)], vectors=np.ones((6, 1), dtype=np.float32), orders=0)
    trace = found.trace(0).sort_values("request")
    assert (trace["answered_by"] != "model").sum() == 1


# Traffic


def test_outdated_answers_are_false_hits_that_a_lifetime_prevents() -> None:
    demand = Demand(requests=2000, verbatim=1.0, changes_s=500.0, per_s=1.0)
    traffic = zipf({f"q{k}": [f"q{k}"] for k in range(20)}, demand)
    found = stream(traffic, grid(ttls_s=[None, 400.0, 40.0, 4.0]))
    rates = [tally.false_hit_rate or 0.0 for tally in found.tallies()]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0.5 > 0.02 > rates[-1]
    assert all(tally.true_hit_rate is not None for tally in found.tallies())


def test_made_up_traffic_says_so_and_is_the_same_for_a_seed() -> None:
    questions = {f"q{k}": [f"q{k} w{w}" for w in range(5)] for k in range(30)}
    one, again, other = (zipf(questions, Demand(requests=500, seed=s)) for s in (3, 3, 4))
    assert one.simulated
    assert "simulated" in repr(one)
    assert (one.texts, one.labels) == (again.texts, again.labels)
    assert one.texts != other.texts
    assert np.array_equal(one.cost_usd, again.cost_usd)


def test_popular_questions_follow_zipf_and_arrivals_the_rate() -> None:
    traffic = zipf({f"q{k}": [f"q{k}"] for k in range(100)}, Demand(requests=20_000, exponent=1.0, per_s=4.0))
    counts = np.sort(np.unique(traffic.codes, return_counts=True)[1])[::-1]
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.3)
    assert traffic.span_s == pytest.approx(5000, rel=0.05)


def test_new_words_come_before_old_ones() -> None:
    questions = {"q": [f"w{k}" for k in range(11)]}
    fresh = zipf(questions, Demand(requests=10, verbatim=0.0))
    assert sorted(fresh.texts) == sorted(f"w{k}" for k in range(1, 11))
    any_ = zipf(questions, Demand(requests=10, verbatim=0.0, fresh=False))
    assert len(set(any_.texts)) < 10
    assert set(zipf(questions, Demand(requests=10, verbatim=1.0)).texts) == {"w0"}


@pytest.mark.parametrize(
    "wrong", [{"requests": 0}, {"verbatim": 1.1}, {"per_s": 0}, {"exponent": -1}, {"changes_s": 0}]
)
def test_a_demand_that_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"demand|changes_s"):
        Demand(**wrong)
    with pytest.raises(DataError, match="zipf: needs questions"):
        zipf({"q": []})


def test_a_file_of_traffic_is_read_in_order_of_arrival(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("text,at_s,label,cost_usd,latency_s,namespace\nb,2,x,0.5,,n\na,1,,0.25,3,\n")
    found = Traffic.read(path)
    assert (found.texts, found.labels, found.namespaces) == (("a", "b"), (None, "x"), ("", "n"))
    assert found.at_s is not None
    assert found.at_s.tolist() == [1, 2]
    assert np.array_equal(found.cost_usd, [0.25, 0.5])
    assert np.array_equal(found.latency_s, [3, np.nan], equal_nan=True)
    assert np.isnan(found.quality).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("txt\na\n", "t.csv"),
        ("text,at_s\na,1\nb,\n", "t.csv, line 3, at_s: is blank, and other rows have a time"),
        ("text,at_s\na,soon\n", "t.csv, line 2, at_s: 'soon' is not a number"),
        ("text,cost_usd\na,-1\n", "t.csv, line 2, cost_usd: -1 is not at least 0"),
        ("text\n", "t.csv: has no rows"),
    ],
)
def test_a_file_that_does_not_fit_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        Traffic.read(path)
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_the_runs_of_a_log_are_traffic() -> None:
    lab = Lab()
    try:
        prompts = [
            Prompt(id="one", messages=(Message(role="user", content="what is 2 + 2?"),), task="m", reference="4"),
            Prompt(id="two", messages=(Message(role="user", content="what is 2 + 3?"),), task="m", reference="5"),
        ]
        router = lab.router("qwen-local")
        for p in (prompts[0], prompts[1], prompts[0]):
            router.route(p)
        lab.log.flush()
        found = Traffic.of_log(lab.log)
        assert found.texts == ("what is 2 + 2?", "what is 2 + 3?", "what is 2 + 2?")
        assert found.labels is not None
        assert found.labels[0] == found.labels[2] != found.labels[1]
        assert len(set(found.namespaces)) == 1
        assert found.simulated
        assert found.at_s is not None
        assert found.span_s is not None
        assert np.isfinite(found.cost_usd).all()
        [tally] = stream(found, grid()).tallies()
        assert tally.exact_hits == 1
        with pytest.raises(DataError, match="the log has no runs with readable prompts, arm 'nobody'"):
            Traffic.of_log(lab.log, arm="nobody")
    finally:
        lab.close()


def test_prompts_of_different_systems_tasks_or_tenants_never_meet() -> None:
    def of(system: str | None = None, **given: Any) -> str:
        messages = [Message(role="user", content="q")]
        if system is not None:
            messages.insert(0, Message(role="system", content=system))
        return space_of(Prompt(id="p", messages=tuple(messages), **given))

    found = [of(), of("be brief"), of("be long"), of(task="t"), of(tags={"tenant": "a"}), of(tags={"tenant": "b"})]
    assert len(set(found)) == len(found)
    assert of(tags={"colour": "red"}) == of()


def test_a_label_is_the_group_or_the_task_with_its_reference() -> None:
    def of(**given: Any) -> str | None:
        return label_of(Prompt(id="p", messages=(), **given))

    assert of() is None
    assert of(task="t") is None
    assert of(group="g", reference="r") == of(group="g", reference="s")
    assert of(task="t", reference="r") == of(task="t", reference="r") != of(task="u", reference="r")


def test_the_table_says_that_it_is_simulated_and_what_its_bounds_are() -> None:
    table = played().table()
    assert table.caption.startswith("SIMULATED traffic; ")
    assert len(table.rows) == 4
    assert "one-sided 95 % upper bounds" in table.text()
