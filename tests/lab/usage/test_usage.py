"""The token monitor: what every type of query used, with what is not known counted and never taken for nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from used import BEGAN, failed, logged, prices, run

from routelab.core.events import Compacted, Scored
from routelab.core.values import Message, Tokens
from routelab.lab.usage.monitor import Amount, usage
from routelab.lab.usage.scope import Scope, choices


def used(input_: int, output: int, **more: Any) -> Tokens:
    return Tokens(input=input_, output=output, source="usage", **more)


def test_a_type_is_a_task_a_template_and_a_model_and_simulated_ones_stand_apart() -> None:
    log = logged(
        run(1, "qa@1"),
        run(2, "qa@2"),
        run(3, "qa@2", model="n"),
        run(4, "qa@2", task=None),
        run(5, "qa@2", simulated=True),
        run(6, "qa@2"),
    )
    with log:
        found = {(t.task, t.template, t.model, t.simulated): t.calls for t in usage(log).types}
    assert found == {
        ("support", "qa@1", "m", False): 1,
        ("support", "qa@2", "m", False): 2,
        ("support", "qa@2", "n", False): 1,
        ("", "qa@2", "m", False): 1,
        ("support", "qa@2", "m", True): 1,
    }


def test_tokens_have_a_mean_a_median_and_a_95th_percentile_and_parts_add_up() -> None:
    runs = [run(i, tokens=used(100 + i, 40, cached=30, reasoning=25)) for i in range(101)]
    with logged(*runs) as log:
        [found] = usage(log, prices=prices).types
    assert found.input == Amount(total=15_150, mean=150.0, p50=150.0, p95=195.0, known=101)
    assert found.cached == Amount(total=3_030, mean=30.0, p50=30.0, p95=30.0, known=101)
    assert found.disjoint == {"input": 15_150 - 3_030, "cached": 3_030, "output": 1_515, "reasoning": 2_525}
    assert sum(v or 0 for v in found.disjoint.values()) == found.total == 15_150 + 4_040
    assert found.parts_usd is not None
    assert sum(found.parts_usd.values()) == pytest.approx(found.cost_usd)
    assert found.thousand_usd == pytest.approx(1000 * (120e-6 + 3e-6 + 400e-6))


def test_what_is_not_known_is_counted_and_never_nothing() -> None:
    log = logged(run(1), run(2, tokens=Tokens()), run(3, model="unknown"), failed(4, "x"))
    with log:
        found = {t.model: t for t in usage(log, prices=prices).types}
    m, unknown = found["m"], found["unknown"]
    assert (m.calls, m.unknown, m.unpriced, m.failed) == (2, 1, 1, 1)
    assert m.input == Amount(total=100, mean=100.0, p50=100.0, p95=100.0, known=1)
    assert (m.cached, m.reasoning) == (None, None)
    assert m.thousand_usd == pytest.approx(1000 * 200e-6)
    assert (unknown.cost_usd, unknown.thousand_usd, unknown.parts_usd, unknown.share) == (None, None, None, None)


def test_the_frame_says_nan_where_nothing_is_known_and_the_table_a_question_mark() -> None:
    with logged(run(1, model="unknown", tokens=Tokens())) as log:
        found = usage(log)
    [row] = found.frame().to_dict("records")
    assert [
        name for name in ("input_mean", "output_p95", "cost_usd", "usd_per_thousand") if not math.isnan(row[name])
    ] == []
    assert found.table().rows[0] == (
        "support",
        "–",
        "unknown",
        "1 (1 not counted)",
        "?",
        "?",
        "?",
        "?",
        "0",
        "? (1 unpriced)",
        "?",
    )


@pytest.mark.parametrize("source", ["tiktoken", "estimate", None])
def test_estimated_counts_carry_a_tilde(source: Any) -> None:
    with logged(run(1, tokens=Tokens(input=100, output=10, source=source))) as log:
        found = usage(log)
    assert found.types[0].estimated == 1
    assert found.table().rows[0][4] == "~100 (100)"


def test_cut_answers_are_counted() -> None:
    with logged(run(1, finish="length"), run(2)) as log:
        assert usage(log).table().rows[0][8] == "1 (50.0 %)"


def test_costs_that_the_prices_do_not_explain_are_not_divided() -> None:
    with logged(run(1)) as log:
        [found] = usage(log, prices=lambda _: None).types
        assert found.parts_usd is None
        from routelab.core.values import Price

        [found] = usage(log, prices=lambda _: Price(usd_per_mtok_in=5.0, usd_per_mtok_out=5.0)).types
        assert found.parts_usd is None


def test_what_judges_and_summaries_use_is_there_under_its_own_name() -> None:
    judged = Scored(
        scorer="judge",
        quality=1.0,
        model="m",
        accepted=True,
        at_least=0.5,
        judge="j",
        tokens=used(50, 5),
        cost_usd=0.001,
    )
    folded = Compacted(
        policy="summarise",
        messages=(Message(role="user", content="x"),),
        tokens_before=900,
        tokens_after=300,
        summarisers=("s", "s"),
        tokens=used(700, 80),
        cost_usd=0.002,
    )
    with logged(run(1, more=[judged, folded])) as log:
        found = {t.what: t for t in usage(log).types}
    assert found.keys() == {"answering", "judging", "summarising"}
    assert (found["judging"].model, found["judging"].total, found["judging"].cost_usd) == ("j", 55, 0.001)
    told = found["summarising"]
    assert (told.model, told.calls, told.total, told.cost_usd, told.estimated) == ("s", 2, 780, 0.002, 0)


def test_shares_of_the_cost_add_up_to_one_and_the_dearest_comes_first() -> None:
    with logged(run(1, "a@1"), run(2, "b@1", tokens=used(300, 30))) as log:
        found = usage(log).types
    assert [t.template for t in found] == ["b@1", "a@1"]
    assert [t.share for t in found] == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize(
    ("scope", "templates"),
    [
        (Scope(), ["a@1", "b@1", "c@1"]),
        (Scope(task="support"), ["a@1", "b@1"]),
        (Scope(task=""), ["c@1"]),
        (Scope(model="n"), ["b@1"]),
        (Scope(experiment="e"), ["a@1", "b@1", "c@1"]),
        (Scope(experiment="none of that name"), []),
        (Scope(since=BEGAN + timedelta(seconds=30)), ["c@1"]),
    ],
)
def test_a_scope_limits_what_is_looked_at(scope: Scope, templates: Sequence[str]) -> None:
    with logged(run(1, "a@1"), run(2, "b@1", model="n"), run(3, "c@1", task=None, after_s=60)) as log:
        assert sorted(t.template for t in usage(log, scope).types) == templates
        assert choices(log) == {"experiment": ["e"], "task": ["support"], "model": ["m", "n"]}


def test_an_empty_log_has_no_types_and_says_so_in_a_table() -> None:
    with logged() as log:
        found = usage(log)
        assert len(found) == 0
        assert found.frame().empty
        assert found.table().rows == [("–",) * 11]


def test_hostile_names_are_only_text() -> None:
    hostile = "<script>alert(1)</script>'; drop table calls; --"
    with logged(run(1, hostile, model=hostile, task=hostile)) as log:
        found = usage(log, Scope(task=hostile, model=hostile))
        assert len(found) == 1
        assert "<script" not in found._repr_mimebundle_()["text/html"]
