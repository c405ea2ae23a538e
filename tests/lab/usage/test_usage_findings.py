"""What the monitor finds, and what it refuses to find without evidence."""

from __future__ import annotations

import pytest
from used import failed, logged, prices, run

from routelab.core.run import Run
from routelab.core.values import Tokens
from routelab.lab.usage.look import findings
from routelab.lab.usage.scope import Scope
from routelab.lab.usage.waste import needed
from routelab.store import Log

LONG = Tokens(input=900, output=10, source="usage")
SHORT = Tokens(input=100, output=10, source="usage")


def both(n: int, *, worse: int = 0, **more: str | None) -> list[Run]:
    """Return prompts asked with a long and a short template; the short one is wrong about the first `worse`."""
    return [
        one
        for i in range(n)
        for one in (
            run(i, "long@1", tokens=LONG, after_s=1, **more),  # type: ignore[arg-type]
            run(i, "short@1", tokens=SHORT, quality=float(i >= worse), **more),  # type: ignore[arg-type]
        )
    ]


def test_a_leaner_template_that_loses_nothing_is_found_with_what_it_spares() -> None:
    with logged(*both(200)) as log:
        found = findings(log, margin=0.05, prices=prices)
    [one] = found.found
    assert (one.kind, one.template, one.instead, one.n, one.shown) == ("template", "long@1", "short@1", 200, True)
    assert one.tokens == 800
    assert one.usd_per_thousand == pytest.approx(0.8)
    assert one.share is not None
    assert one.share.value == pytest.approx(0.8)
    assert one.quality is not None
    assert one.quality.verdict == "non-inferior"
    assert found.untold == ()
    assert "“short@1” spares 80.0 %" in found.table().rows[0][4]


def test_a_template_that_earns_its_tokens_is_no_finding() -> None:
    with logged(*both(200, worse=60)) as log:
        found = findings(log, margin=0.05, prices=prices)
    assert found.found == ()
    [open_] = found.untold
    assert "and is worse: −30.0" in open_.why
    assert "earns its tokens" in open_.next


def test_few_prompts_decide_nothing_and_the_number_that_would_is_told() -> None:
    with logged(*both(40)) as log:
        found = findings(log, margin=0.02, prices=prices)
    assert found.found == ()
    [open_] = found.untold
    assert "not enough prompts to say whether it is as good" in open_.why
    assert "prompts would decide it" in open_.why
    with logged(*both(10)) as log:
        [open_] = findings(log, prices=prices).untold
    assert "not enough prompts were asked with both and scored: 10, at least 20" in open_.why


def test_prompts_that_were_asked_with_one_template_only_prove_nothing() -> None:
    runs = [run(i, "long@1", tokens=LONG) for i in range(100)]
    runs += [run(i + 100, "short@1", tokens=SHORT) for i in range(100)]
    with logged(*runs) as log:
        assert findings(log, prices=prices).found == ()


def test_unscored_answers_prove_nothing() -> None:
    runs = [
        run(i, name, tokens=t, quality=None) for i in range(100) for name, t in (("long@1", LONG), ("short@1", SHORT))
    ]
    with logged(*runs) as log:
        found = findings(log, prices=prices)
    assert found.found == ()
    assert "asked with both and scored: 0" in found.untold[0].why


def test_a_failed_call_counts_against_its_template() -> None:
    runs = [run(i, "long@1", tokens=LONG) for i in range(200)]
    runs += [run(i, "short@1", tokens=SHORT) if i >= 80 else failed(i, "") for i in range(200)]
    with logged(*runs) as log:
        assert [f for f in findings(log, margin=0.05, prices=prices).found if f.kind == "template"] != []
    # Failed under the same template, they are its failures.
    runs = [run(i, "", tokens=SHORT) if i >= 80 else failed(i, "") for i in range(200)]
    with logged(*[run(i, "long@1", tokens=LONG) for i in range(200)], *runs) as log:
        assert [f for f in findings(log, margin=0.05, prices=prices).found if f.kind == "template"] == []


def test_prompts_of_one_group_are_one_observation() -> None:
    runs = [one for g in range(8) for one in _grouped(g, wrong=g == 0)]
    with logged(*runs) as log:
        found = findings(log, margin=0.05, prices=prices)
    assert found.found == ()
    assert "not enough prompts to say" in found.untold[0].why


def _grouped(g: int, *, wrong: bool) -> list[Run]:
    made = []
    for i in range(25):
        bad = 0.0 if wrong and i < 4 else 1.0
        made.append(run(100 * g + i, "long@1", tokens=LONG, group=f"g{g}"))
        made.append(run(100 * g + i, "short@1", tokens=SHORT, group=f"g{g}", quality=bad))
    return made


def test_the_leanest_of_several_that_lose_nothing_is_named_and_one_that_loses_is_not() -> None:
    tiny = Tokens(input=20, output=10, source="usage")
    runs = both(200) + [run(i, "tiny@1", tokens=tiny, quality=float(i >= 50)) for i in range(200)]
    with logged(*runs) as log:
        found = findings(log, margin=0.05, prices=prices)
    assert [(f.template, f.instead) for f in found.found] == [("long@1", "short@1")]
    assert ["tiny@1" in u.why for u in found.untold] == [True]


def test_a_task_that_loses_is_named_where_all_together_lose_nothing() -> None:
    runs = both(1200) + [
        one
        for i in range(2000, 2024)
        for one in (
            run(i, "long@1", tokens=LONG, task="law"),
            run(i, "short@1", tokens=SHORT, task="law", quality=float(i % 2)),
        )
    ]
    with logged(*runs) as log:
        [found] = [f for f in findings(log, margin=0.05, prices=prices).found if f.kind == "template"]
    assert found.task is None
    assert "worse at law" in found.says
    assert "keep this one for law" in found.next


def fronted(n: int, front: str, *, apart_s: float = 1.0, cached: int | None = None) -> Log:
    tokens = Tokens(input=500 + len(front) // 6, output=10, cached=cached, source="usage")
    return logged(*[run(i, "big@1", tokens=tokens, front=front, after_s=apart_s * i) for i in range(n)])


def test_a_beginning_that_never_changes_is_found_where_a_provider_s_cache_could_serve_it() -> None:
    with fronted(30, "rules " * 1_500) as log:
        [found] = findings(log, prices=prices).found
    assert (found.kind, found.shown, found.n) == ("prefix", False, 30)
    assert 1_800 < found.tokens < 2_000
    assert found.usd_per_thousand == pytest.approx(found.tokens * 0.9 / 1000)
    assert "the log has no count of what was served" in found.says


def test_a_short_beginning_a_slow_one_and_one_that_is_served_are_no_findings() -> None:
    with fronted(30, "rules") as log:
        assert findings(log, prices=prices).found == ()
    with fronted(30, "rules " * 1_500, apart_s=3_600) as log:
        assert findings(log, prices=prices).found == ()
    with fronted(30, "rules " * 1_500, cached=1_900) as log:
        assert findings(log, prices=prices).found == ()
    with fronted(19, "rules " * 1_500) as log:
        assert findings(log, prices=prices).found == ()


def test_reasoning_is_told_where_it_is_most_of_the_output_and_not_called_unneeded() -> None:
    runs = [run(i, tokens=Tokens(input=100, output=200 + i, reasoning=180, source="usage")) for i in range(30)]
    with logged(*runs) as log:
        [found] = [f for f in findings(log, prices=prices).found if f.kind == "reasoning"]
    assert (found.shown, found.tokens) == (False, 180)
    assert found.usd_per_thousand == pytest.approx(180 * 10 / 1000)
    runs = [run(i, tokens=Tokens(input=100, output=24, reasoning=10, source="usage")) for i in range(30)]
    with logged(*runs) as log:
        assert findings(log, prices=prices).found == ()


def test_right_answers_that_say_far_more_than_is_scored_are_told() -> None:
    runs = [run(i, tokens=Tokens(input=100, output=80 + i, source="usage")) for i in range(30)]
    with logged(*runs) as log:
        [found] = findings(log, prices=prices).found
    assert found.kind == "output"
    assert "where the scorer reads ~2" in found.says
    wrong = [run(i, tokens=Tokens(input=100, output=80, source="usage"), quality=0.0) for i in range(30)]
    with logged(*wrong) as log:
        assert findings(log, prices=prices).found == ()


def test_what_is_seen_at_several_tasks_is_told_once_with_the_worst_of_them() -> None:
    runs = [
        run(i, tokens=Tokens(input=100, output=100 + thought, reasoning=100, source="usage"), task=task)
        for k, (task, thought) in enumerate((("a", 10), ("b", 20)))
        for i in range(30 * k, 30 * k + 30)
    ]
    with logged(*runs) as log:
        [found] = [f for f in findings(log, prices=prices).found if f.kind == "reasoning"]
    assert (found.task, found.n, found.tokens) == (None, 60, 100)
    assert found.says.startswith("in 2 tasks; most in ")


def test_words_that_were_shown_to_matter_are_not_told_again() -> None:
    long, short = Tokens(input=100, output=80, source="usage"), Tokens(input=100, output=2, source="usage")
    runs = [run(i, "long@1", tokens=long, after_s=1) for i in range(100)]
    assert [f.kind for f in findings(logged(*runs), prices=prices).found] == ["output"]
    runs += [run(i, "short@1", tokens=short, quality=float(i >= 40)) for i in range(100)]
    found = findings(logged(*runs), prices=prices)
    assert (found.found, [u.earned for u in found.untold]) == ((), [True])


def test_cut_answers_are_told_with_their_quality() -> None:
    runs = [run(i, finish="length" if i < 10 else "stop", quality=float(i >= 8)) for i in range(40)]
    with logged(*runs) as log:
        [found] = findings(log, prices=prices).found
    assert found.kind == "cut"
    assert "25.0 %" in found.says
    assert "they score 0.20 on average, whole ones 1.00" in found.says


def test_without_prices_findings_have_tokens_and_no_dollars() -> None:
    runs = [run(i, tokens=Tokens(input=100, output=200, reasoning=180, source="usage")) for i in range(30)]
    with logged(*runs) as log:
        found = findings(log)
    assert found.found[0].usd_per_thousand is None
    assert found.table().rows[0][3] == "?"


def test_a_scope_limits_findings_too() -> None:
    with logged(*both(200)) as log:
        assert findings(log, Scope(model="another"), margin=0.05, prices=prices).found == ()


def test_an_empty_log_has_no_findings() -> None:
    with logged() as log:
        found = findings(log)
    assert len(found) == 0
    assert "nothing was found" in found._repr_mimebundle_()["text/plain"]


@pytest.mark.parametrize(
    ("scorer", "tokens"),
    [
        ('{"kind": "number", "answer": 42}', 1.0),
        ('{"kind": "exact", "answers": ["ab", "abcdefgh"]}', 2.0),
        ('{"kind": "contains", "all": [["aaaa", "aaaaaaa"], ["bbbb"]]}', 3.0),
        ('{"kind": "json", "equals": {"a": 1}}', 2.0),
        ('{"kind": "nonempty"}', None),
        ("null", None),
        ("not JSON", None),
        (None, None),
    ],
)
def test_what_a_scorer_reads_is_reckoned_from_what_it_wants(scorer: str | None, tokens: float | None) -> None:
    assert needed(scorer, None) == tokens
