"""`%route` and `%%route` in a shell: what is returned, shown, stored, logged and refused."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from IPython.core.error import UsageError

from routelab.answer import Answer
from routelab.core.errors import (
    AuthFailed,
    BudgetExceeded,
    ConfigError,
    DataError,
    ServerFailed,
    TemplateError,
)
from routelab.core.ports import Provider
from routelab.lab.compare import Comparison
from routelab.notebook.beside import Beside
from routelab.notebook.dryrun import DryRun
from routelab.notebook.runner import Interrupted
from routelab.notebook.work import ScorerRaised
from routelab.testing import Scripted, fleet

if TYPE_CHECKING:
    from tests.notebook.conftest import Cells


class Stop:
    """A provider that answers once and then behaves like a user who presses Stop."""

    def __init__(self) -> None:
        self.asked = 0

    async def complete(self, request: Any, emit: Any) -> Any:
        import _thread

        self.asked += 1
        if self.asked > 1:
            if self.asked == 2:
                _thread.interrupt_main()
            await asyncio.sleep(30)
        return await Scripted("first").complete(request, emit)


def asked(provider: Provider) -> list[str]:
    assert isinstance(provider, Scripted)
    return [r.messages[-1].content for r in provider.requests]


def test_a_line_is_asked_and_its_answer_returned(cells: Cells) -> None:
    answer = cells.run("%route What is 2+2?")
    assert isinstance(answer, Answer)
    assert (answer.text, answer.model, answer.run.prompt.text, answer.run.arm) == (
        "four",
        "cheap",
        "What is 2+2?",
        "cheap",
    )
    assert cells.shown == []


def test_a_question_mark_at_the_lines_end_does_not_ask_for_help(cells: Cells) -> None:
    cells.run("x = %route Who are you?\ny = '''\n%route not me?\n'''")
    assert (cells.names["x"].run.prompt.text, cells.names["y"]) == ("Who are you?", "\n%route not me?\n")


def test_a_body_is_asked_as_it_stands_with_its_money_braces_and_semicolons(cells: Cells) -> None:
    cells.run("x = 3\nprice = 'no'")
    body = 'A pen costs $5 and {x} is {"json": [1]}.\nselect 1;\n'
    answer = cells.run(f"%%route\n{body}")
    assert answer.run.prompt.text == body
    assert cells.run("%route It costs $price and {x}").run.prompt.text == "It costs $price and {x}"


def test_placeholders_are_filled_in_the_body_only(cells: Cells) -> None:
    cells.run("n = 3\nsystem = 'be brief'")
    answer = cells.run("%%route -s $system\nHow much are {{n}} pens?\n")
    assert [m.content for m in answer.run.messages] == ["be brief", "How much are 3 pens?\n"]
    assert cells.run("%%route --no-template\n{{n}} {{nothing}}\n").run.prompt.text == "{{n}} {{nothing}}\n"


def test_flags_reach_the_model(cells: Cells) -> None:
    good = Scripted("x")
    cells.use(fleet({"cheap": Scripted("never"), "good": good}))
    cells.run("%%route -m good -s 'be nice' -t 0.5 --max-tokens 7\nhi\n")
    [request] = good.requests
    assert (request.model.name, request.temperature, request.max_output_tokens) == ("good", 0.5, 7)
    assert [m.role for m in request.messages] == ["system", "user"]


def test_storing_shows_the_header_line_only_and_quiet_shows_nothing(cells: Cells) -> None:
    assert cells.run("%%route -o a\nhi\n") is None
    assert cells.lines == ["cheap → cheap · $0.0000150 · 0.5 s · 10 + 5 tok · why: always cheap"]
    assert cells.names["a"].text == "four"
    assert cells.run("%%route -o b -q\nhi\n") is None
    assert (cells.lines, cells.names["b"].text) == ([], "four")
    cells.run("%config RouteLab.feedback = 0")
    assert (cells.run("%%route -o c\nhi\n"), cells.lines) == (None, [])


def test_the_latest_result_is_at_hand(cells: Cells) -> None:
    cells.run("import routelab")
    assert cells.run("routelab.last") is None
    cells.run("%%route -q\nhi\n")
    assert cells.run("routelab.last").text == "four"


def test_more_feedback_shows_the_trace(cells: Cells) -> None:
    cells.run("%config RouteLab.feedback = 2")
    cells.run("%route hi")
    assert "Routed" in cells.lines[0]
    assert "always cheap" in cells.lines[0]


def test_two_arms_and_one_prompt_stand_beside_each_other_without_statistics(cells: Cells) -> None:
    both = cells.run("%%route cheap good\nWhat is 2+2?\n")
    assert isinstance(both, Beside)
    assert {arm: both[arm].text for arm in both} == {"cheap": "four", "good": "It is 4."}
    assert list(both.frame["model"]) == ["cheap", "good"]
    shown = both._repr_mimebundle_()
    assert "It is 4." in shown["text/plain"]
    assert "one prompt: a look, not a comparison" in shown["text/html"]
    with pytest.raises(DataError, match="no arm 'god'; did you mean 'good'"):
        both["god"]


def test_arms_may_be_configs_from_variables_and_files(cells: Cells) -> None:
    cells.run(
        "from routelab import RouteConfig\n"
        "mine = RouteConfig(name='other', models=['good'], strategy={'kind': 'fixed', 'model': 'good'})\n"
        "_ = mine.to_yaml('mine.yaml')"
    )
    assert {arm: a.model for arm, a in cells.run("%%route cheap mine\nhi\n").answers.items()} == {
        "cheap": "cheap",
        "mine": "good",
    }
    assert cells.run("%%route $mine\nhi\n").run.arm == "other"
    assert cells.run("%%route mine.yaml\nhi\n").model == "good"
    with pytest.raises(ConfigError, match="two arms are called 'other'"):
        cells.run("%%route $mine mine.yaml\nhi\n")


def test_rows_of_a_frame_fill_the_template_and_give_a_comparison(cells: Cells) -> None:
    cheap = Scripted("four")
    cells.use(fleet({"cheap": cheap, "good": Scripted("It is 4.")}))
    cells.names["questions"] = pd.DataFrame(
        {"question": ["2+2?", "1+3?", "0+4?"], "gold": ["4", "4", "4"], "id": ["a", "b", "c"]}
    )
    comparison = cells.run("%%route cheap good --over questions --score contains\nQ: {{question}} {{row.id}}\n")
    assert isinstance(comparison, Comparison)
    assert sorted(asked(cheap)) == ["Q: 0+4? c\n", "Q: 1+3? b\n", "Q: 2+2? a\n"]
    assert dict(zip(comparison.frame["arm"], comparison.frame["quality"], strict=True)) == {"cheap": 0.0, "good": 1.0}
    assert [p.id for p in comparison.prompts] == ["a", "b", "c"]
    assert [line.split(" · ")[:2] for line in cells.lines] == [["questions: 3 prompts × cheap, good", "6 answers"]]


@pytest.mark.parametrize(
    "data",
    [
        "['2+2?', '1+3?']",
        "[{'prompt': '2+2?'}, {'prompt': '1+3?'}]",
        "pd.Series(['2+2?', '1+3?'])",
        "(q for q in ('2+2?', '1+3?'))",
    ],
)
def test_rows_may_be_lists_mappings_series_and_iterators(cells: Cells, data: str) -> None:
    comparison = cells.run(
        f"import pandas as pd\ndata = {data}\nc = get_ipython().run_line_magic('route', '--over data')\nc"
    )
    assert [p.text for p in comparison.prompts] == ["2+2?", "1+3?"]


def test_a_file_and_a_shipped_set_can_be_asked(cells: Cells) -> None:
    with open("q.csv", "w", encoding="utf-8") as out:
        out.write("question,answer\n2+2?,4\n")
    assert cells.run("%%route -v q.csv --score exact\n{{question}}\n").prompts[0].text == "2+2?\n"
    sampled = cells.run("%route -v workbench --sample 14")
    assert len({p.task for p in sampled.prompts}) == 7
    assert [p.id for p in cells.run("%route -v workbench -n 2").prompts] == ["classification/001", "classification/002"]


def test_a_shipped_prompt_keeps_its_id_and_scorer_under_a_template(cells: Cells) -> None:
    comparison = cells.run("%%route -v workbench -n 1\nPlease: {{prompt}} ({{task}})\n")
    [prompt] = comparison.prompts
    assert (prompt.id, prompt.text[:8], prompt.text[-18:]) == ("classification/001", "Please: ", " (classification)\n")
    assert prompt.scorer is not None


def test_a_function_of_the_notebook_scores(cells: Cells) -> None:
    cells.run("def short(answer, prompt):\n    return len(answer) < 6\ndata = ['a', 'b']")
    frame = cells.run("%%route cheap good -v data --score short\n{{prompt}}\n").frame
    assert list(frame["quality"]) == [1.0, 0.0]
    assert cells.run("%%route --score $short\nhi\n").quality == 1.0


def test_a_judge_scores_and_what_it_costs_is_shown_apart_and_charged_to_no_arm(cells: Cells) -> None:
    cells.names["data"] = ["a", "b"]
    judge = Scripted('{"reason": "fine", "score": 5}')
    cells.use(fleet({"cheap": Scripted("four"), "good": Scripted("a long answer"), "umpire": judge}))
    found = cells.run("%%route cheap good -v data --score judge:umpire\n{{prompt}}\n")
    assert list(found.frame["quality"]) == [1.0, 1.0]
    assert found.baseline.walked.cost_usd.tolist() == pytest.approx([15e-6] * 2)
    assert "$0.000120 ($0.0000600 of it measuring)" in " ".join(cells.lines)
    assert any("measuring cost $0.0000600, which is in no arm's cost" in note for note in found.terms.notes)
    cells.names["strict"] = {"kind": "judge", "model": "umpire", "rubric": "Be strict."}
    one = cells.run("%%route cheap --score strict\nhi\n")
    assert (one.quality, one.cost_usd, one.measuring_usd) == (1.0, pytest.approx(15e-6), pytest.approx(15e-6))
    assert "Be strict." in " ".join(m.content for m in judge.requests[-1].messages)


def test_tags_and_experiments_are_logged(cells: Cells) -> None:
    cells.names["data"] = ["a", "b"]
    cells.run("%%route cheap good -v data --tag who=me -o c\n{{prompt}}\n")
    rows = cells.bench.lab.log.query("select distinct experiment, tags from runs")
    assert rows == [(cells.names["c"].tags["experiment"], '{"who":"me"}')]
    assert cells.bench.lab.log.query("select dataset from experiments") == [("data",)]


def test_a_cache_remembers_between_cells_until_it_is_told_not_to(cells: Cells) -> None:
    cheap = Scripted("one", "two", "three")
    cells.use(fleet({"cheap": cheap}))
    cells.run(
        "from routelab import RouteConfig\n"
        "kept = RouteConfig(name='kept', models=['cheap'], strategy={'kind': 'fixed', 'model': 'cheap'}, cache={'exact': True})"
    )
    said = [cells.run(f"%%route kept {flag}\nhi\n").text for flag in ("", "", "--no-cache", "")]
    assert said == ["one", "one", "two", "one"]
    cells.run("%routelab cache clear")
    assert cells.run("%%route kept\nhi\n").text == "three"


def test_a_fleet_that_is_changed_on_the_lab_answers_from_then_on(cells: Cells) -> None:
    cells.run("%route -q hi")
    cells.bench.lab.fleet = fleet({"cheap": Scripted("another")})
    assert cells.run("%route hi").text == "another"


def test_a_dry_run_decides_and_counts_and_asks_nobody(cells: Cells) -> None:
    cheap = Scripted("never")
    cells.use(fleet({"cheap": cheap, "good": Scripted("never")}, max_output_tokens=100))
    cells.names["data"] = ["one two", "three"]
    dry = cells.run("%%route cheap good -v data --dry-run\n{{prompt}}\n")
    assert isinstance(dry, DryRun)
    assert [(d.arm, d.model, d.input_tokens, d.why) for d in dry.decisions] == [
        ("cheap", "cheap", 2, "always cheap"),
        ("cheap", "cheap", 1, "always cheap"),
        ("good", "good", 2, "always good"),
        ("good", "good", 1, "always good"),
    ]
    assert dry.worst_usd == pytest.approx(sum([166e-6, 165e-6] * 2))
    assert (cheap.requests, cells.bench.lab.log.query("select count(*) from runs")) == ([], [(0,)])
    assert dry.header() == "dry run: 4 calls, at most $0.000662; nobody was asked"
    assert cells.run("%%route -o d --dry-run\nhi\n") is None
    assert cells.lines == [cells.names["d"].header()]


def test_a_dry_run_without_a_price_says_so(cells: Cells) -> None:
    cells.use(fleet({"cheap": Scripted("never")}, usd_per_mtok=None))
    assert cells.run("%%route --dry-run\nhi\n").header() == "dry run: 1 call, at most ?; nobody was asked"


def test_a_spent_budget_stops_the_cell_and_keeps_the_finished_rows(cells: Cells) -> None:
    cheap = Scripted("x")
    cells.use(fleet({"cheap": cheap}))
    cells.names["data"] = [f"prompt {i}" for i in range(40)]
    with pytest.raises(BudgetExceeded) as raised:
        cells.run("%%route -v data --budget 0.00020 --max-tokens 5 -j 1 -o kept\n{{prompt}}\n")
    kept = cells.names["kept"]
    assert isinstance(kept, Comparison)
    assert 0 < len(kept.prompts) == len(cheap.requests) < 40
    assert f"{len(kept.prompts)} of 40 prompts are finished, kept in `kept`" in raised.value.message
    assert sum(a.cost_usd for a in kept.answers["cheap"]) <= 0.0002
    assert cells.lines[-1].endswith("budget spent")


def test_a_budget_from_the_settings_holds_for_a_single_answer(cells: Cells) -> None:
    cells.run("%config RouteLab.budget_usd = 0.0")
    with pytest.raises(BudgetExceeded, match=r"stopped at \$0 of \$0"):
        cells.run("%route hi")


def test_an_interrupt_keeps_the_finished_rows(cells: Cells) -> None:
    cells.use(fleet({"stop": Stop()}))  # type: ignore[dict-item]
    cells.names["data"] = [f"prompt {i}" for i in range(3)]
    with pytest.raises(Interrupted) as raised:
        cells.run("%%route -v data -j 1 -o kept\n{{prompt}}\n")
    assert raised.value._render_traceback_() == [
        "Interrupted: stopped by you; 1 of 3 prompts are finished, kept in `kept`"
    ]
    assert [a.text for a in cells.names["kept"].answers["stop"]] == ["first"]
    cells.use(fleet({"cheap": Scripted("four")}))
    assert cells.run("%route hi").text == "four"


def test_a_bug_in_a_scorer_is_said_in_a_line_and_keeps_the_finished_rows(cells: Cells) -> None:
    judged: list[str] = []

    def bad(answer: str, prompt: Any) -> float:
        judged.append(answer)
        return 1 / (3 - len(judged))

    cells.names.update(bad=bad, data=["a", "b", "c", "d"])
    with pytest.raises(ScorerRaised) as raised:
        cells.run("%%route -v data --score bad -j 1 -o kept\n{{prompt}}\n")
    assert re.fullmatch(
        r"scorer bad raised ZeroDivisionError: division by zero \(prompt \S+, line \d+ of its cell\)",
        raised.value.message,
    )
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert [len(line.splitlines()) for line in raised.value._render_traceback_()] == [1, 1]
    assert [a.quality for a in cells.names["kept"].answers["cheap"]] in ([0.5, 1.0], [1.0, 0.5])


def test_some_failures_are_rows_and_only_failures_are_an_error(cells: Cells) -> None:
    cells.names["data"] = ["a", "b"]
    cells.use(
        fleet(
            {
                "flaky": Scripted(AuthFailed("no key", hint="set it"), "ok"),
                "dead": Scripted(AuthFailed("no key", hint="set it")),
            }
        )
    )
    comparison = cells.run("%%route flaky -v data -j 1\n{{prompt}}\n")
    assert [type(a.error) for a in comparison.answers["flaky"]].count(AuthFailed) == 1
    assert "1 error" in cells.lines[-1]
    with pytest.raises(AuthFailed) as raised:
        cells.run("%%route dead -v data\n{{prompt}}\n")
    assert (raised.value.message, raised.value.hint) == ("all 2 answers failed; the first: no key", "set it")
    with pytest.raises(AuthFailed, match="no key"):
        cells.run("%%route dead\nhi\n")


def test_one_arm_may_fail_beside_another(cells: Cells) -> None:
    cells.use(fleet({"cheap": Scripted("four"), "dead": Scripted(AuthFailed("no key"))}))
    both = cells.run("%%route cheap dead\nhi\n")
    assert "✗ AuthFailed: no key" in both._repr_mimebundle_()["text/plain"]


@pytest.mark.parametrize(
    ("cell", "error", "message"),
    [
        ("%%route chep\nhi\n", ConfigError, "unknown arm 'chep'; did you mean 'cheap'?"),
        ("%%route -m god\nhi\n", ConfigError, "unknown model 'god'; did you mean 'good'?"),
        (
            "%%route --over questons\n{{q}}\n",
            ConfigError,
            "--over: there is no variable or data set 'questons'; did you mean 'questions'?",
        ),
        (
            "%%route --over workbnch\n{{q}}\n",
            ConfigError,
            "--over: there is no variable or data set 'workbnch'; did you mean 'workbench'?",
        ),
        ("%%route --over n\n{{q}}\n", ConfigError, "--over: cannot take rows from 'n', a int"),
        ("%%route --over empty\n{{q}}\n", DataError, "--over: 'empty' is empty"),
        ("%%route --over odd\n{{q}}\n", DataError, "odd[1]: a text or a mapping is wanted, not a int"),
        (
            "%%route --over questions\n{{qestion}}\n",
            TemplateError,
            "{{qestion}} is not defined; did you mean 'question'?",
        ),
        (
            "%%route --over questions --score exact\n{{question}}\n",
            DataError,
            "--score exact: questions[1] has no right answer to compare with",
        ),
        (
            "%%route --over questions --score number\n{{question}}\n",
            DataError,
            "--score number: questions[0]: 'four' is not a number",
        ),
        (
            "%%route --over questions --score json\n{{question}}\n",
            ConfigError,
            "--score json: needs more than a right answer",
        ),
        ("%%route --score judge\nhi\n", ConfigError, "--score judge: which model judges?"),
        ("%%route --score judge:goood\nhi\n", ConfigError, "unknown model 'goood'; did you mean 'good'?"),
        ("%%route --score exat\nhi\n", ConfigError, "--score: there is no scorer 'exat'; did you mean 'exact'?"),
        ("%%route --score shrot\nhi\n", ConfigError, "--score: there is no scorer 'shrot'; did you mean 'short'?"),
        ("%%route -s $sytem\nhi\n", ConfigError, "$sytem is not defined; did you mean 'system'?"),
        ("%%route --ovr questions\nhi\n", ConfigError, "%%route: unknown flag --ovr; did you mean '--over'?"),
        ("%%route\n  \n", ConfigError, "there is nothing to ask"),
        ("%route -q", ConfigError, "there is nothing to ask"),
    ],
)
def test_a_mistake_is_one_line_with_the_nearest_name_and_asks_nobody(
    cells: Cells, cell: str, error: type[Exception], message: str
) -> None:
    cheap = Scripted("never")
    cells.use(fleet({"cheap": cheap, "good": Scripted("never")}))
    cells.run(
        "n = 3\nempty = []\nodd = ['a', 3]\nsystem = 'x'\nshort = len\n"
        "questions = [{'question': '2+2?', 'gold': 'four'}, {'question': '1+1?'}]"
    )
    with pytest.raises(error) as raised:
        cells.run(cell)
    assert raised.value.message == message  # type: ignore[attr-defined]
    assert (cheap.requests, cells.shown) == ([], [])
    rendered = raised.value._render_traceback_()  # type: ignore[attr-defined]
    assert [type(raised.value).__name__ + ": " + message] == rendered[:1]
    assert len(rendered) <= 2
    assert all("\n" not in line for line in rendered)


def test_an_empty_body_is_answered_by_ipythons_own_hint(cells: Cells, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError):
        cells.run("%%route")
    assert "Did you mean the line magic %route (single %)?" in capsys.readouterr().err


def test_a_fleet_that_the_default_rules_do_not_fit_answers_with_its_first_model(cells: Cells) -> None:
    cells.bench.settings.arm = "rules"
    answer = cells.run("%route hi")
    assert (answer.model, answer.run.arm) == ("cheap", "cheap")


def test_the_rules_by_name_say_what_this_fleet_lacks(cells: Cells) -> None:
    with pytest.raises(ConfigError, match="the default 'rules' arm asks "):
        cells.run("%%route rules\nhi")


def test_a_group_of_exceptions_leaves_as_one(cells: Cells) -> None:
    from routelab.notebook.magics import leaf

    expected, bug = ServerFailed("down"), KeyError("x")
    assert leaf(ExceptionGroup("g", [expected, ExceptionGroup("h", [bug])])) is bug
    assert leaf(ExceptionGroup("g", [expected, AuthFailed("no")])) is expected

    def grouped(answer: str, prompt: Any) -> float:
        raise ExceptionGroup("tasks", [ServerFailed("down", hint="wait")])

    cells.names["grouped"] = grouped
    with pytest.raises(ServerFailed, match="down"):
        cells.run("%%route --score grouped\nhi\n")


def test_it_stands_inside_other_cell_magics(cells: Cells) -> None:
    cells.run("%%capture got\n%route -o x What?")
    assert cells.names["x"].text == "four"
