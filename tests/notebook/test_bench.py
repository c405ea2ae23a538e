"""Loading, unloading, settings, the log's place, and `%routelab`."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import routelab
from routelab import notebook
from routelab.core.errors import ConfigError, DataError, LogError, RoutelabError
from routelab.lab.charts import Chart
from routelab.notebook.bench import bench_of
from routelab.notebook.commands import COMMANDS
from routelab.notebook.questions import questions
from routelab.testing import Scripted, fleet

if TYPE_CHECKING:
    from tests.notebook.conftest import Cells

FLEET = """routelab: 1
models:
  local: {provider: mine, usd_per_mtok_in: 1, usd_per_mtok_out: 2}
providers:
  mine: {kind: openai, base_url: "http://127.0.0.1:9/v1"}
"""


def registered(shell: Any) -> tuple[Any, ...]:
    magics = shell.magics_manager.magics
    return (
        [kind + name for kind in ("line", "cell") for name in magics[kind] if name.startswith("route")],
        len(shell.configurables),
        len(shell.Completer.custom_matchers),
        len(shell.input_transformers_cleanup),
    )


def test_loading_twice_changes_nothing_and_unloading_leaves_nothing(cells: Cells) -> None:
    shell = cells.shell
    loaded = registered(shell)
    assert loaded[0] == ["lineroute", "linerouteplot", "lineroutelab", "cellroute"]
    notebook.load(shell)
    assert registered(shell) == loaded
    notebook.unload(shell)
    assert registered(shell) == ([], *(n - 1 for n in loaded[1:]))
    assert (bench_of(shell), notebook.last()) == (None, None)
    notebook.unload(shell)
    with pytest.raises(ConfigError, match="no notebook with routelab's magics"):
        notebook.lab()
    notebook.load(shell)
    assert registered(shell) == loaded


def test_reloading_keeps_no_threads_and_no_locks(cells: Cells, tmp_path: Path) -> None:
    cells.bench.settings.log = str(tmp_path / "log.duckdb")
    cells.run("%route -q hi")
    cells.run("%reload_ext routelab")
    before = threading.active_count()
    cells.use(fleet({"cheap": Scripted("four")}))
    cells.run("%config RouteLab.log = 'other.duckdb'")
    cells.run("%route -q hi")
    cells.run("%reload_ext routelab")
    assert threading.active_count() <= before + 1
    assert cells.names["_ih"] is not None


def test_the_lab_of_the_magics_is_at_hand(cells: Cells) -> None:
    cells.run("%route -q hi")
    assert notebook.lab() is cells.bench.lab
    assert list(notebook.lab().sql("select count(*) as n from runs")["n"]) == [1]


def test_the_log_stands_in_a_folder_that_keeps_itself_out_of_commits(cells: Cells, tmp_path: Path) -> None:
    cells.run("%config RouteLab.log = '.routelab/log.duckdb'")
    cells.run("%route -q hi")
    cells.bench.reopen()
    assert (tmp_path / ".routelab" / "log.duckdb").is_file()
    assert (tmp_path / ".routelab" / ".gitignore").read_text() == "*\n"
    assert cells.bench.lab.log.query("select count(*) from runs") == [(1,)]


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_means_memory_and_is_said_once(cells: Cells, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    cells.run("%config RouteLab.log = '.routelab/log.duckdb'")
    cells.run("%route -q hi")
    assert [line.startswith("routelab: .routelab/log.duckdb cannot be written") for line in cells.lines] == [True]
    cells.run("%route -q hi")
    assert cells.lines == []
    tmp_path.chmod(0o700)


def test_a_place_that_is_no_folder_means_memory_and_is_said_once(cells: Cells, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cells.run("%config RouteLab.log = 'file/log.duckdb'")
    cells.run("%route -q hi")
    assert [line.partition(" (")[0] for line in cells.lines] == ["routelab: file/log.duckdb cannot be written"]
    cells.run("%route -q hi")
    assert (cells.lines, str(cells.bench.lab.log.path)) == ([], ":memory:")


def test_a_fleet_file_in_the_folder_is_used_and_can_be_left(cells: Cells, tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    cells.bench.refit()
    assert cells.bench.fleet.names == ("local",)
    cells.run("%config RouteLab.fleet = 'practice'")
    assert cells.bench.fleet.simulated
    cells.run("%routelab use fleet.yaml")
    assert cells.bench.fleet.names == ("local",)
    cells.run("%routelab use practice")
    assert cells.bench.fleet.simulated


def test_settings_are_checked_and_listed(cells: Cells) -> None:
    from traitlets import TraitError

    with pytest.raises(TraitError):
        cells.bench.settings.feedback = 3
    names = ["log", "fleet", "arm", "feedback", "budget_usd", "jobs", "limit", "short_errors"]
    assert sorted(cells.bench.settings.class_own_traits(config=True)) == sorted(names)


def test_errors_are_two_lines_or_whole_tracebacks(cells: Cells, capsys: pytest.CaptureFixture[str]) -> None:
    def told() -> str:
        capsys.readouterr()
        with pytest.raises(ConfigError):
            cells.run("%%route chep\nhi\n")
        return capsys.readouterr().out

    short = "ConfigError: unknown arm 'chep'; did you mean 'cheap'?\n  hint: `%routelab strategies` lists the arms\n"
    assert told() == short
    cells.run("%config RouteLab.short_errors = False")
    whole = told()
    assert "Traceback (most recent call last)" in whole
    assert "in Bench.arm(self, given)" in whole
    assert short in whole
    cells.run("%config RouteLab.short_errors = True")
    assert told() == short
    assert (RoutelabError.short, cells.shell.custom_exceptions) == (True, ())


# %routelab


def test_every_command_returns_something_rich(cells: Cells) -> None:
    cells.run("%route -q hi")
    for name in COMMANDS:
        if name in ("use", "sql", "show", "export", "load"):
            continue
        shown = cells.run(f"%routelab {name}")._repr_mimebundle_()
        assert sorted(shown) == ["text/html", "text/plain"]
        assert len(shown["text/plain"].splitlines()) > 1


def test_status_says_what_the_session_did(cells: Cells) -> None:
    cells.run("%route -q hi")
    rows = dict(cells.run("%routelab").frame.itertuples(index=False, name=None))
    assert rows == {
        "routelab": routelab.__version__,
        "fleet": "scripted: 2 models",
        "default arm": "cheap",
        "log": ":memory:: 1 runs",
        "this session": "1 run, $0.0000150, 0 cache hits",
        "waiting to be written": rows["waiting to be written"],
        "jobs": "none running",
        "budget of a cell": "none",
    }


def test_the_log_is_listed_filtered_and_shown(cells: Cells) -> None:
    for text in ("one", "two", "three"):
        cells.run(f"%route -q {text}")
    listed = cells.run("%routelab log --last 2").frame
    assert list(listed["prompt"]) == ["three", "two"]
    assert list(cells.run("%routelab log --where prompt = 'one' and cost_usd < 1").frame["prompt"]) == ["one"]
    run_id = listed["run"][0]
    told = str(cells.run(f"%routelab show {run_id}"))
    assert "asked:\nthree\n" in told
    assert "always cheap" in told
    assert "four" in told
    for wanted, message in (("zzz", "'zzz' is no run's id"), ("0" * 32, f"no run begins with '{'0' * 32}'")):
        with pytest.raises(DataError, match=message):
            cells.run(f"%routelab show {wanted}")
    with pytest.raises(LogError):
        cells.run("%routelab log --where nonsense")


def test_the_log_answers_reading_queries_only(cells: Cells) -> None:
    cells.run("%route -q hi")
    assert list(
        cells.run("%routelab sql select model, cost_usd > 0 as paid from runs where model = 'cheap'")["paid"]
    ) == [True]
    with pytest.raises(LogError):
        cells.run("%routelab sql delete from runs")
    assert list(cells.run("%routelab sql select count(*) as n from runs")["n"]) == [1]


def test_use_sets_the_arm_that_answers(cells: Cells) -> None:
    cells.run("%routelab use good")
    assert cells.run("%route hi").model == "good"
    cells.run(
        "from routelab import RouteConfig\n"
        "mine = RouteConfig(name='mine', models=['cheap'], strategy={'kind': 'fixed', 'model': 'cheap'})"
    )
    cells.run("%routelab use mine")
    assert cells.run("%route hi").run.arm == "mine"
    cells.names["other"] = fleet({"third": Scripted("3")})
    cells.run("%routelab use $other")
    assert cells.bench.fleet.names == ("third",)


def test_a_config_is_loaded_under_its_name_and_exported_again(cells: Cells) -> None:
    cells.run(
        "from routelab import RouteConfig\n"
        "mine = RouteConfig(name='mine', models=['cheap'], strategy={'kind': 'fixed', 'model': 'cheap'})\n"
        "_ = mine.to_yaml('mine.yaml')\ndel mine"
    )
    cells.run("%routelab load mine.yaml")
    assert cells.run("%%route mine\nhi\n").run.arm == "mine"
    assert "mine" in list(cells.run("%routelab strategies").frame["arm"])
    cells.run("%routelab export again.yaml --from mine")
    assert Path("again.yaml").read_text().splitlines()[1:] == Path("mine.yaml").read_text().splitlines()[1:]


def test_export_writes_an_arm_of_the_latest_comparison(cells: Cells) -> None:
    cells.run("data = [{'prompt': 'a', 'answer': 'four'}, {'prompt': 'b', 'answer': 'four'}]")
    cells.run("%%route good cheap -v data --score exact -o cmp\n{{prompt}}\n")
    with pytest.raises(DataError, match="there is no winner"):
        cells.run("%routelab export winner.yaml")
    assert not Path("winner.yaml").exists()
    assert "wrote cheap.yaml" in str(cells.run("%routelab export cheap.yaml --from cheap"))
    assert routelab.RouteConfig.from_yaml("cheap.yaml").models == ("cheap",)


@pytest.mark.parametrize(("to", "key"), [("litellm", "model_list"), ("vllm-sr", "routing")])
def test_an_arm_is_exported_for_another_router_with_what_it_cannot_say(cells: Cells, to: str, key: str) -> None:
    cells.run("data = [{'prompt': 'a', 'answer': 'four'}, {'prompt': 'b', 'answer': 'four'}]")
    cells.run("%%route good cheap -v data --score exact -o cmp\n{{prompt}}\n")
    with pytest.raises(DataError, match="there is no winner"):
        cells.run(f"%routelab export winner.yaml --to {to}")
    assert not Path("winner.yaml").exists()
    shown = cells.run(f"%routelab export other.yaml --from cheap --to {to}")
    written = yaml.safe_load(Path("other.yaml").read_text())
    assert key in written
    assert str(shown).startswith("wrote other.yaml for ")
    assert "cheap, unconfirmed" in str(shown).splitlines()[0]
    lost = list(shown.frame["field"])
    assert "limits.concurrency" in lost
    assert all(f"{field}: " in Path("other.yaml").read_text() for field in lost)
    assert "status: unconfirmed" in Path("other.yaml").read_text()


def test_a_config_goes_to_another_router_without_a_comparison(cells: Cells) -> None:
    cells.run(
        "from routelab import RouteConfig\n"
        "mine = RouteConfig(name='mine', models=['cheap'], strategy={'kind': 'fixed', 'model': 'cheap'})"
    )
    shown = cells.run("%routelab export mine.yaml --from mine --to litellm")
    assert str(shown).startswith("wrote mine.yaml for LiteLLM's proxy: mine\n")
    assert "model_list" in yaml.safe_load(Path("mine.yaml").read_text())


def test_the_caches_savings_are_counted(cells: Cells) -> None:
    cells.run(
        "from routelab import RouteConfig\n"
        "kept = RouteConfig(name='kept', models=['cheap'], strategy={'kind': 'fixed', 'model': 'cheap'}, cache={'exact': True})"
    )
    for _ in range(3):
        cells.run("%%route kept -q\nhi\n")
    assert cells.run("%routelab cache").frame.values.tolist() == [["cheap", "exact", "2", "$0.0000300"]]


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("statsu", ConfigError, "%routelab: unknown command 'statsu'; did you mean 'status'?"),
        ("panel now", ConfigError, "%routelab panel: takes nothing more (got 'now')"),
        ("status now", ConfigError, "%routelab status: takes nothing more (got 'now')"),
        ("log --lst 5", ConfigError, "%routelab log: unknown flag --lst; did you mean '--last'?"),
        ("use", ConfigError, "%routelab use: an arm, a model, `practice`, a fleet.yaml, or $fleet is wanted"),
        ("use chep", ConfigError, "unknown arm 'chep'; did you mean 'cheap'?"),
        ("cache claer", ConfigError, "%routelab cache: unknown 'claer'; did you mean 'clear'?"),
        ("sql", ConfigError, "%routelab sql: there is no query"),
        ("export x.yaml --from xyz", ConfigError, "unknown arm 'xyz'"),
        ("export x.yaml --to litelm", ConfigError, "--to: unknown target 'litelm'; did you mean 'litellm'?"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused_in_one_line(
    cells: Cells, line: str, error: type[RoutelabError], message: str
) -> None:
    with pytest.raises(error) as raised:
        cells.run(f"%routelab {line}")
    assert raised.value.message == message


# %routeplot


def test_charts_come_from_the_latest_comparison_a_named_one_or_the_log(cells: Cells) -> None:
    cells.names["data"] = ["a", "b", "c"]
    with pytest.raises(ConfigError, match="the log has no such calls"):
        cells.run("%routeplot mix")
    cells.run("%%route cheap good -v data -o cmp\n{{prompt}}\n")
    for line in (
        "mix",
        "mix cmp",
        "mix $cmp",
        "mix log",
        "mix --by model",
        "spend log --where requested_model = 'good'",
    ):
        chart = cells.run(f"%routeplot {line}")
        assert isinstance(chart, Chart)
        assert sorted(chart._repr_mimebundle_()) == ["application/vnd.plotly.v1+json", "text/html", "text/plain"]
    for line, message in (
        ("fronteir", "%routeplot: unknown kind 'fronteir'; did you mean 'frontier'?"),
        ("mix cpm", "$cpm is not defined; did you mean 'cmp'?"),
        ("", "%routeplot: name a kind of chart, and what to draw"),
    ):
        with pytest.raises(ConfigError) as raised:
            cells.run(f"%routeplot {line}")
        assert raised.value.message == message


# Help


@pytest.mark.parametrize("name", ["%route", "%%route", "%routeplot", "%routelab"])
def test_help_begins_with_three_examples_and_then_lists_the_flags(cells: Cells, name: str) -> None:
    doc = cells.shell.object_inspect(name)["docstring"]
    examples, _, rest = doc.partition("Usage:")
    assert sum(line.strip().startswith("%") for line in examples.splitlines()) == 3
    assert len(rest.splitlines()) > 3


def test_questions_are_rewritten_and_nothing_else() -> None:
    assert questions(["%route Who?\n"]) == ["get_ipython().run_line_magic('route', 'Who?')\n"]
    assert questions(['  a.b = %route It\'s "x" ??']) == [
        "  a.b = get_ipython().run_line_magic('route', 'It\\'s \"x\" ??')"
    ]
    for line in (
        "%route?\n",
        "%route ?\n",
        "?%route\n",
        "%route Who\n",
        "%routelab status?\n",
        "x == %route a?\n",
        "# %route a?\n",
    ):
        assert questions([line]) == [line]
