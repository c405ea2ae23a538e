"""Which prompts a wish lets through, and in which order: against a plain loop over the answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from compared import Said, asked, cube, live
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.core.values import Prompt
from routelab.lab.replay import replay
from routelab.panels.rows import KEEPS, SORTS, Rows, Wish, sifted
from routelab.strategies import Fixed

SAID = st.builds(
    Said,
    text=st.sampled_from([None, "yes", "no", "No "]),
    quality=st.sampled_from([None, 0.0, 0.5, 1.0]),
    cost_usd=st.sampled_from([None, 0.0, 0.001, 2.0]),
    latency_s=st.sampled_from([None, 0.1, 3.0]),
)
ARMS = st.integers(1, 12).flatmap(
    lambda n: st.tuples(st.lists(SAID, min_size=n, max_size=n), st.lists(SAID, min_size=n, max_size=n))
)


def rows_of(answers: tuple[list[Said], list[Said]], *, scored: bool) -> Rows:
    prompts = asked(len(answers[0]), tasks=("qa", "code", "sum"))
    if not scored:
        prompts = [Prompt(id=p.id, messages=p.messages, task=p.task) for p in prompts]
    rows = Rows.of(live(prompts, {"a": answers[0], "b": answers[1]}))
    assert rows is not None
    return rows


def plain(rows: Rows, wish: Wish, i: int) -> bool:
    """The same wish, read prompt by prompt."""
    cells = [rows.cell(i, k) for k in wish.arms]
    known = [c.quality for c in cells if c.quality is not None]
    texts = {c.text.strip() for c in cells if c.text is not None}
    kept = {
        "all": True,
        "different": max(known) - min(known) > 0 if known else len(texts) > 1,
        "errors": any(c.error is not None for c in cells),
        "low score": any(q <= wish.at_most for q in known),
        "rated": False,
    }[wish.keep]
    said = [rows.prompts[i].text, *(c.text or "" for c in cells)]
    return (
        kept
        and (wish.task is None or rows.prompts[i].task == wish.task)
        and any(wish.needle.casefold() in text.casefold() for text in said)
    )


@settings(deadline=None, max_examples=60)
@given(
    answers=ARMS,
    scored=st.booleans(),
    keep=st.sampled_from(list(KEEPS)),
    at_most=st.sampled_from([0.0, 0.5]),
    task=st.sampled_from([None, "qa", "sum"]),
    needle=st.sampled_from(["", "no", "QUESTION 1", "zzz"]),
    sort=st.sampled_from(SORTS),
    arms=st.sampled_from([(0,), (1,), (0, 1)]),
)
def test_the_arrays_and_the_texts_keep_what_a_plain_loop_keeps(
    answers: tuple[list[Said], list[Said]],
    scored: bool,
    keep: str,
    at_most: float,
    task: str | None,
    needle: str,
    sort: str,
    arms: tuple[int, ...],
) -> None:
    rows = rows_of(answers, scored=scored)
    wish = Wish(arms=arms, keep=keep, at_most=at_most, task=task, needle=needle, sort=sort)
    scan = sifted(rows, wish, {})
    assert scan.on(lambda: True)
    assert sorted(scan.kept.tolist()) == [i for i in range(len(rows)) if plain(rows, wish, i)]


@settings(deadline=None, max_examples=30)
@given(answers=ARMS, sort=st.sampled_from(SORTS[1:]))
def test_every_order_has_every_prompt_once_with_the_unknown_last(
    answers: tuple[list[Said], list[Said]], sort: str
) -> None:
    rows = rows_of(answers, scored=True)
    order = sifted(rows, Wish(arms=(0, 1), sort=sort), {}).order
    assert sorted(order.tolist()) == list(range(len(rows)))
    values = {
        "dearest answer first": -_worst(rows.cost_usd),
        "slowest answer first": -_worst(rows.latency_s),
        "largest quality difference": -(_worst(rows.quality) + _worst(-rows.quality)),
        "lowest quality first": -_worst(-rows.quality),
    }[sort][order]
    known = values[~np.isnan(values)]
    assert np.isnan(values[len(known) :]).all()
    assert (np.diff(known) >= 0).all()


def _worst(values: np.ndarray) -> np.ndarray:
    return np.array([max((v for v in row if not math.isnan(v)), default=math.nan) for row in values.tolist()])


def test_a_scan_goes_on_where_it_stopped() -> None:
    rows = rows_of(([Said()] * 10, [Said()] * 10), scored=True)
    scan = sifted(rows, Wish(arms=(0, 1), needle="question"), {})
    steps = 0
    while not scan.on(lambda: False):
        steps += 1
        assert scan.kept.tolist() == list(range(steps))
    assert scan.kept.tolist() == list(range(10))


def test_a_replay_tells_a_failure_from_what_was_not_recorded() -> None:
    quality = [[1.0], [0.0], [float("nan")]]
    failed = np.array([[False], [True], [False]])
    rows = Rows.of(replay(cube(asked(3), quality, failed=failed), {"one": Fixed(model="a")}, baseline="a", confirm=0.0))
    assert rows is not None
    k = [item.arm.name for item in rows.arms].index("one")
    assert rows.lost[:, k].tolist() == [False, True, False]
    assert [rows.cell(i, k).error for i in range(3)] == [None, "no model that was asked answered", None]
    assert [rows.cell(i, k).text for i in range(3)] == ["a on p0", None, "a on p2"]


@pytest.mark.parametrize("at", [[2, 0], [1]])
def test_the_runs_of_outcomes_go_with_their_rows_and_columns(at: list[int]) -> None:
    runs = np.array([[f"r{i}{m}" for m in "ab"] for i in range(3)], dtype=object)
    outcomes = cube(asked(3), [[1.0, 0.0]] * 3, runs=runs)
    assert outcomes.take(at).only(["b"]).runs.tolist() == [[f"r{i}b"] for i in at]  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="the runs of outcomes"):
        cube(asked(2), [[1.0, 0.0]] * 2, runs=runs)
