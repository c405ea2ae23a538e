"""The side-by-side view: the verdict first, the arms, the controls, the answers, and nothing that a model can break."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from charted import ELEMENTS, HOSTILE, attributes, compared, elements, hundred, words

from routelab.core.errors import ProviderError, TimedOut
from routelab.core.values import Message, Prompt
from routelab.lab.grid import answers, comparison_bundle, cut, headline, points, said, summary, times
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import replay
from routelab.lab.search import search
from routelab.lab.sources import PLAIN
from routelab.lab.statistics import Estimate
from routelab.strategies import Fixed

Cube = Callable[..., Outcomes]


@dataclass(frozen=True, kw_only=True)
class Said:
    """An answer, as the grid sees one."""

    text: str = "42"
    model: str | None = "gpt-5"
    cost_usd: float | None = 0.001
    latency_s: float | None = 1.25
    quality: float | None = 1.0
    error: ProviderError | None = None
    simulated: bool = False
    cached: bool = False


def prompts(n: int, text: str = "question") -> tuple[Prompt, ...]:
    return tuple(Prompt(id=f"p{i}", messages=(Message(role="user", content=f"{text} {i}"),)) for i in range(n))


def twins(cube: Cube, **given: Any) -> Any:
    same = (np.random.default_rng(3).random(600) < 0.9).astype(float)
    outcomes = cube(
        np.column_stack([same, same]), cost_usd=[0.0001, 0.01], models=("cheap", "dear"), latency_s=1.0, **given
    )
    return replay(outcomes, {"go-cheap": Fixed(model="cheap")}, baseline="dear")


def test_the_verdict_comes_first_and_largest(cube: Cube) -> None:
    comparison = twins(cube, dataset="twins")
    assert comparison.winner() is not None
    shown = comparison_bundle(comparison)
    assert set(shown) == {"text/plain", "text/html"}
    assert shown["text/plain"].startswith(comparison.why)
    html = shown["text/html"]
    assert html.index("<h3") < html.index("<table")
    assert re.search(r"<h3[^>]*>Adopt go-cheap</h3>", html)
    assert html.count("<h3") == 1


def test_the_winner_and_the_baseline_are_marked_in_words(cube: Cube) -> None:
    rows = {row[0]: row for row in summary(twins(cube)).rows}
    assert rows["★ go-cheap (winner)"][1] == "★ adopt: non-inferior"
    assert rows["dear (baseline)"][1] == "baseline"
    assert rows["dear (baseline)"][3] == "–"


def test_every_figure_carries_its_interval(cube: Cube) -> None:
    table = summary(compared(cube))
    assert table.head == ("arm", "verdict", "quality", "Δ points", "cost / 1,000", "× baseline", "p50 / p95")
    row = next(r for r in table.rows if r[0] == "always-mid")
    f = compared(cube)["always-mid"].figures
    assert f.quality is not None
    assert f.cost_usd is not None
    assert row[2].startswith(f"{100 * f.quality.value:.1f} %\n[")
    assert re.fullmatch(r"−\d+\.\d\n\[−\d+\.\d, [−+]\d+\.\d\]", row[3])
    assert row[4] == f"${1000 * f.cost_usd:.2f}"
    assert re.fullmatch(r"0\.\d+\n\[0\.\d+, 0\.\d+\]", row[5])
    assert " s /\n" in row[6]


def test_the_controls_stand_below_a_rule(cube: Cube) -> None:
    rows = summary(compared(cube)).rows
    rule = next(i for i, row in enumerate(rows) if row[0] == "— controls —")
    assert [row[0] for row in rows[rule + 1 :]] == ["cheapest: free", "shuffle of by-task", "oracle"]
    assert set(rows[rule][1:]) == {""}
    assert rows[-1][1] == "hindsight: a bound inflated by luck, out of reach"
    assert rows[-2][1].startswith("same shares at random; the arm is")


def test_a_named_baseline_leaves_the_best_single_model_among_the_controls(cube: Cube) -> None:
    names = [
        row[0] for row in summary(replay(hundred(cube), {"f": Fixed(model="free")}, confirm=0, baseline="mid")).rows
    ]
    assert "best-single: top" in names
    assert "mid (baseline)" in names


def test_failures_get_a_column_where_there_are_any_and_a_word_where_not(cube: Cube) -> None:
    assert summary(compared(cube)).notes[0].endswith("; nothing failed")
    failed = np.zeros((120, 3), dtype=bool)
    failed[:7, 1] = True
    table = summary(compared(cube, failed=failed))
    assert table.head[-1] == "failed"
    assert next(r for r in table.rows if r[0] == "always-mid")[-1] == "7 of 120"


def test_waits_that_were_not_recorded_have_no_column(cube: Cube) -> None:
    assert "p50 / p95" not in summary(compared(cube, latency_s=np.nan)).head


def test_a_cost_that_is_not_known_is_a_question_mark_and_never_0(cube: Cube) -> None:
    row = next(r for r in summary(compared(cube, cost_usd=np.nan)).rows if r[0] == "always-mid")
    assert row[4:6] == ("?", "?")
    cost = hundred(cube).cost_usd.copy()
    cost[:20, 1] = np.nan
    row = next(r for r in summary(compared(cube, cost_usd=cost)).rows if r[0] == "always-mid")
    assert row[4].endswith("\n(100 of 120 known)")
    assert row[5] == "?"


def test_a_free_arm_is_called_free(cube: Cube) -> None:
    row = next(r for r in summary(compared(cube)).rows if r[0] == "always-free")
    assert (row[4], row[5]) == ("$0", "0 (free)")


def test_simulated_and_estimated_are_labelled(cube: Cube) -> None:
    comparison = compared(cube, simulated=True, cost_kind=("estimated", "recorded", "recorded"))
    table = summary(comparison)
    assert table.caption.startswith("SIMULATED: no figure here says anything about a real model")
    assert "costs are estimated, marked ≈" in table.notes
    assert next(r for r in table.rows if r[0] == "always-mid")[4].startswith("≈ $")
    assert "(simulated)" in words(comparison_bundle(comparison)["text/html"])


def test_a_verdict_is_said_in_the_contracts_words(recorded: Callable[..., Outcomes]) -> None:
    rows = {row[0]: row[1] for row in summary(search(recorded("bfcl_2024-08-11"), sources=PLAIN)).rows}
    assert rows["gpt-4o-2024-08-06"] == "worse"
    assert re.fullmatch(r"inconclusive: about [\d,]+ prompts needed", rows["gpt-4o-mini-2024-07-18"])
    assert rows["claude-3-5-sonnet-20240620"] == "gives the baseline's answers"
    assert {w.split(":")[0].split(";")[0].split(",")[0] for n, w in rows.items() if n.startswith("tasks-")} <= {
        "inconclusive",
        "worse",
        "non-inferior",
        "gives the baseline's answers",
        "★ adopt",
    }


def test_many_arms_are_cut_and_counted(cube: Cube) -> None:
    comparison = replay(hundred(cube), {f"arm {i}": Fixed(model="mid") for i in range(40)}, confirm=0)
    table = summary(comparison, limit=5)
    assert table.notes[0] == "36 more arms; .frame has all"
    assert len(comparison.frame) == 40


def test_one_prompt_gets_answers_and_no_verdict(cube: Cube) -> None:
    comparison = twins(cube)
    one = dataclasses.replace(comparison, terms=dataclasses.replace(comparison.terms, confirm=1, tune=0))
    shown = comparison_bundle(one, answers(prompts(1), {"a": [Said()], "b": [Said(text="43", quality=0.0)]}))
    assert shown["text/plain"].startswith("one prompt: no verdict can follow from it")
    assert "[95" not in shown["text/html"]
    assert "baseline" not in words(shown["text/html"])
    assert "✗" in shown["text/html"]


def test_answers_of_a_live_trial_are_shown_below_the_summary(cube: Cube) -> None:
    comparison = dataclasses.replace(
        twins(cube), prompts=prompts(12), answers={"go-cheap": tuple(Said(text=f"said {i}") for i in range(12))}
    )
    shown = comparison_bundle(comparison)
    assert "6 of 12 prompts shown; .answers has all" in shown["text/plain"]
    assert "said 5" in words(shown["text/html"])
    assert "said 6" not in words(shown["text/html"])
    assert "★ go-cheap (winner)" in comparison_bundle(comparison)["text/html"].split("</table>")[1]


def test_a_cell_holds_the_facts_and_then_the_beginning_of_the_answer() -> None:
    facts, _, text = said(Said(text="x" * 500)).partition("\n")
    assert facts.replace("\N{NO-BREAK SPACE}", " ") == "✓ 1.00 · gpt-5 · $0.00100 · 1.2 s"
    assert text == "x" * 200 + "… (300 more characters)"


@pytest.mark.parametrize(
    ("answer", "begins"),
    [
        (Said(quality=1.0), "✓ 1.00"),
        (Said(quality=0.0), "✗ 0.00"),
        (Said(quality=0.4), "◐ 0.40"),
        (Said(quality=None), "· ·"),
        (
            Said(error=TimedOut("no answer in 5 s"), quality=None, model=None, cost_usd=None, latency_s=None),
            "✗ · no model · ? · ?",
        ),
        (Said(simulated=True), "✓ 1.00 · gpt-5 (simulated)"),
    ],
)
def test_a_mark_says_what_happened_without_colour(answer: Said, begins: str) -> None:
    assert said(answer).replace("\N{NO-BREAK SPACE}", " ").startswith(begins)


def test_a_failure_says_why_and_an_empty_answer_that_it_is_empty() -> None:
    assert said(Said(error=TimedOut("no answer in 5 s", hint="wait"))).endswith("\nTimedOut: no answer in 5 s")
    assert said(Said(text="  ")).endswith("\n(empty answer)")
    assert said(Said(cached=True)).split("\n")[0].endswith("cache\N{NO-BREAK SPACE}hit")


def test_prompts_are_rows_arms_are_columns_and_truncation_is_announced() -> None:
    by_arm = {"a": [Said(text=f"a{i}") for i in range(40)], "b": [Said(text=f"b{i}") for i in range(40)]}
    table = answers(prompts(40), by_arm)
    assert table.head == ("prompt", "a", "b")
    assert len(table.rows) == 10
    assert table.rows[3][0] == "question 3"
    assert table.rows[3][2].endswith("b3")
    assert table.caption == "10 of 40 prompts shown; .answers has all"
    assert answers(prompts(10), {"a": by_arm["a"][:10]}).caption == ""


def test_prompts_on_which_arms_differ_can_come_first() -> None:
    by_arm = {"a": [Said() for _ in range(5)], "b": [Said(quality=0.0 if i == 3 else 1.0) for i in range(5)]}
    assert [row[0] for row in answers(prompts(5), by_arm, limit=2, different=True).rows] == ["question 3", "question 0"]


def test_answers_that_are_all_simulated_say_so_once() -> None:
    table = answers(prompts(2), {"a": [Said(simulated=True)] * 2})
    assert table.caption == "SIMULATED answers"
    assert "simulated" not in str(table.rows)
    mixed = answers(prompts(2), {"a": [Said(simulated=True), Said()]})
    assert mixed.caption == ""
    assert str(mixed.rows).count("simulated") == 1


@pytest.mark.parametrize("payload", HOSTILE)
def test_nothing_a_model_says_becomes_markup(payload: str, cube: Cube) -> None:
    names = {k: f"{k}{payload}" for k in ("always-free", "always-mid", "always-top", "by-task")}
    comparison = dataclasses.replace(
        compared(cube, names=names, models=(f"f{payload}", f"m{payload}", f"t{payload}"), dataset=payload),
        prompts=prompts(2, payload),
        answers={payload: (Said(text=payload, model=payload), Said(error=TimedOut(payload)))},
    )
    comparison = dataclasses.replace(
        comparison, terms=dataclasses.replace(comparison.terms, notes=(f"note {payload}",), cost_kinds=(payload,))
    )
    shown = comparison_bundle(comparison)
    assert elements(shown["text/html"]) <= ELEMENTS
    assert attributes(shown["text/html"]) <= {"class", "align", "style"}
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", shown["text/plain"])
    if payload.isprintable():
        assert payload in words(shown["text/html"])


def test_a_headline_is_the_sentence_up_to_its_colon() -> None:
    assert headline("keep the baseline: no arm is cheaper") == ("Keep the baseline", "no arm is cheaper")
    assert headline("adopt llama3:8b: it is cheaper") == ("Adopt llama3:8b", "it is cheaper")
    assert headline("keep it") == ("Keep it", "")


def test_numbers_have_true_minus_signs_and_enough_digits() -> None:
    assert points(Estimate(value=-0.1, low=None, high=None, se=None, n=3)) == "−10.0"
    assert times(Estimate(value=1.5, low=1.2, high=1.8, se=None, n=3)) == "1.50 [1.20, 1.80]"
    assert cut("a\n\n\n b") == "a\n b"
