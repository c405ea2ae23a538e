"""The command line: exit codes that scripts can trust, one complaint at a time, and files in the promised form."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from routelab.cli import COMMANDS, QUICKSTART, doctor, execute, lay_notebook, main
from routelab.config import RouteConfig
from routelab.core.errors import DataError
from routelab.fleet import Fleet
from routelab.lab.datasets import shipped
from routelab.lab.session import Lab
from routelab.router import Router
from routelab.testing import Scripted, fleet
from routelab.version import __version__

Run = Callable[..., tuple[int, str, str]]
CANARY = "sk-canary-0123456789abcdef"
CHEAP, DEAR = "qwen-local", "gpt-5-mini"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder and return its exit code, what it said, and what it complained about."""
    monkeypatch.chdir(tmp_path)

    def go(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return go


def recorded(
    folder: Path, *, n: int = 400, dear_cost: float = 0.01, cheap: Callable[[int], float] = lambda i: float(i % 5 != 0)
) -> None:
    """Write prompts.csv and outcomes.csv: two models, equally good unless told otherwise, one ten times as dear."""
    with (folder / "prompts.csv").open("w", newline="") as out:
        csv.writer(out).writerows(
            [
                ("prompt_id", "dataset", "task", "prompt"),
                *((f"p{i}", "quiz", f"t{i % 2}", f"question {i}") for i in range(n)),
            ]
        )
    rows: list[tuple[Any, ...]] = [("prompt_id", "dataset", "model", "quality", "cost_usd", "latency_s")]
    for i in range(n):
        rows.append((f"p{i}", "quiz", CHEAP, cheap(i), 0.001, 0.5))
        rows.append((f"p{i}", "quiz", DEAR, float(i % 5 != 0), dear_cost, 1.0))
    with (folder / "outcomes.csv").open("w", newline="") as out:
        csv.writer(out).writerows(rows)


def nearly(i: int) -> float:
    """Return a quality that is half a point worse than the dear model's."""
    return 0.0 if i % 200 == 7 else float(i % 5 != 0)


REPLAY = ("replay", "--prompts", "prompts.csv", "--outcomes", "outcomes.csv")

# What the contract promises of result.json
TOP = {"routelab", "dataset", "seed", "margin", "split", "arms_tried", "baseline", "controls", "arms", "winner", "why"}
ARM = {
    "name",
    "config",
    "n",
    "failures",
    "quality",
    "quality_ci",
    "cost_usd",
    "cost_known",
    "latency_p50_s",
    "latency_p95_s",
    "vs_baseline",
}
AGAINST = {"quality_delta", "quality_delta_ci", "verdict", "p_adjusted", "cost_ratio", "cost_ratio_ci", "n_needed"}
VERDICTS = {"non-inferior", "worse", "inconclusive"}


def checked(path: Path) -> dict[str, Any]:
    """Return a result.json after checking it against the contract, figure by figure."""
    result: dict[str, Any] = json.loads(
        path.read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(f"{name} is not JSON")
    )
    assert set(result) >= TOP
    assert set(result["split"]) == {"tune", "confirm"}
    assert set(result["controls"]) >= {"best-single", "cheapest", "shuffle", "oracle"}
    assert result["routelab"] == __version__
    assert isinstance(result["why"], str)
    assert "\n" not in result["why"]
    names = [arm["name"] for arm in result["arms"]]
    assert len(set(names)) == len(names)
    assert result["winner"] is None or result["winner"] in names
    for arm in result["arms"]:
        assert set(arm) >= ARM
        assert set(arm["vs_baseline"]) >= AGAINST
        assert arm["vs_baseline"]["verdict"] in VERDICTS
        low, high = arm["quality_ci"]
        assert 0 <= low <= arm["quality"] <= high <= 1
        assert arm["cost_usd"] is None or arm["cost_usd"] >= 0
        assert (arm["cost_usd"] is None) == (arm["cost_known"] == 0)
    return result


# Codes and complaints


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("", 2, "routelab: the following arguments are required: COMMAND (see routelab --help)"),
        ("exprt", 2, "routelab: unknown command 'exprt'; did you mean 'export'? (see routelab --help)"),
        ("zzz", 2, "routelab: unknown command 'zzz' (see routelab --help)"),
        ("it's", 2, "routelab: unknown command 'it's'"),
        ("--verson", 2, "routelab: "),
        ("replay --prompts a", 2, "routelab replay: the following arguments are required: --outcomes (see routelab replay --help)"),
        ("replay --prompts a --outcomes b --agms c", 2, "routelab replay: unknown argument --agms; did you mean '--arms'? (see routelab replay --help)"),
        ("replay --prompts a --outcomes b stray", 2, "routelab replay: unknown argument stray (see routelab replay --help)"),
        ("replay --prompts a --outcomes b --confirm half", 2, "routelab replay: argument --confirm: invalid float value: 'half'"),
        ("export a.yaml --to litelm -o x", 2, "routelab export: unknown --to 'litelm'; did you mean 'litellm'? (see routelab export --help)"),
        ("lab --exeucte", 2, "routelab lab: unknown argument --exeucte; did you mean '--execute'? (see routelab lab --help)"),
        ("bench routes --train T.csv", 2, "routelab bench routes: the following arguments are required: --test (see routelab bench routes --help)"),
        ("bench routes --train no.csv --test no.csv", 1, "routelab: no.csv: there is no such file"),
        ("bench rotes", 2, "routelab bench: unknown BENCH 'rotes'; did you mean 'routes'? (see routelab bench --help)"),
        ("bench cache --out r.json", 2, "routelab bench cache: the following arguments are required: --pairs (see routelab bench cache --help)"),
        ("bench cache --pairs no.csv", 1, "routelab: no.csv: no such file"),
        ("bench cache --pairs no.csv --embedder minlm", 1, "routelab: embedder.kind: unknown 'minlm'; did you mean 'minilm'?"),
        ("bench chunks --corpora . --questions q.csv --model m", 1, "routelab: --model: a fleet is wanted too"),
        ("bench chunks --corpora . --questions q.csv --fleet practice", 1, "routelab: --model: say who answers"),
        ("bench chunks", 2, "routelab bench chunks: the following arguments are required: --corpora, --questions (see routelab bench chunks --help)"),
        ("replay --prompts no.csv --outcomes no.csv", 1, "routelab: no.csv: "),
        ("replay --prompts no.csv --outcomes no.csv --arms no.yaml", 1, "routelab: no.yaml: there is no such file"),
        ("export no.yaml --to routelab -o x.yaml", 1, "routelab: no.yaml: there is no such file"),
    ],
)  # fmt: skip
def test_a_complaint_is_one_line_on_stderr_with_the_right_code(run: Run, line: str, code: int, said: str) -> None:
    given, out, err = run(*line.split())
    assert (given, out) == (code, "")
    assert err.startswith(said)
    assert [row for row in err.splitlines()[1:] if not row.startswith("  hint: ")] == []
    assert "Traceback" not in err


def test_the_version_and_the_help_are_said(run: Run) -> None:
    assert run("--version") == (0, f"routelab {__version__}\n", "")
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    assert all(f"\n    {command} " in out for command in COMMANDS)


def test_a_complaint_shows_no_escapes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text('routelab: 1\nname: a\nstrategy: {kind: "\\x1b[31mfixed"}\n')
    code, _, err = run("export", "a.yaml", "--to", "routelab", "-o", "x.yaml")
    assert code == 1
    assert "\x1b" not in err


def test_an_interrupt_ends_with_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, "doctor", interrupted)
    assert run("doctor") == (130, "", "routelab: interrupted\n")


# Replay


def test_replay_without_arms_searches_and_says_what_to_do(run: Run, tmp_path: Path) -> None:
    recorded(tmp_path, n=2000, cheap=nearly)
    code, out, err = run(*REPLAY, "--dataset", "quiz", "--out", "result.json", "--export", "winner.yaml")
    assert (code, err) == (0, "")
    assert "recorded: quiz, all 2,000 prompts" in out
    assert out.rstrip().endswith("wrote winner.yaml")
    result = checked(tmp_path / "result.json")
    assert (result["dataset"], result["seed"], result["margin"]) == ("quiz", 0, 0.02)
    assert result["split"]["tune"] + result["split"]["confirm"] == 2000
    assert result["why"] in out
    winner = next(a for a in result["arms"] if a["name"] == result["winner"])
    assert winner["vs_baseline"]["cost_ratio"] < 0.2
    assert winner["vs_baseline"]["verdict"] == "non-inferior"
    config = RouteConfig.from_yaml(tmp_path / "winner.yaml")
    answer = Router(config, fleet=Fleet.practice(latency=0, errors=0)).route("hello")
    assert answer.model == CHEAP


def test_replay_is_the_same_for_a_seed_and_splits_anew_for_another(run: Run, tmp_path: Path) -> None:
    recorded(tmp_path, cheap=lambda i: float(i % 4 != 0))
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run(*REPLAY, "--seed", seed, "--out", f"{name}.json")[0] == 0
    one, same, other = (checked(tmp_path / f"{name}.json") for name in "abc")
    assert one == same
    assert one["split"] != other["split"] or one["arms"] != other["arms"]


def test_replay_with_arms_compares_those(run: Run, tmp_path: Path) -> None:
    recorded(tmp_path)
    (tmp_path / "arms.yaml").write_text(
        f"arms:\n  cheap: {CHEAP}\n  half: {{models: [{CHEAP}, {DEAR}], strategy: {{kind: random}}}}\n"
    )
    code, out, _ = run(*REPLAY, "--arms", "arms.yaml", "--out", "result.json", "--margin", "0.05")
    assert code == 0
    result = checked(tmp_path / "result.json")
    assert [a["name"] for a in result["arms"]] == ["cheap", "half"]
    assert (result["arms_tried"], result["margin"]) == (2, 0.05)
    assert result["arms"][1]["config"]["strategy"] == {"kind": "random"}
    assert result["arms"][0]["latency_p50_s"] == 0.5
    assert "half" in out


def test_replay_of_some_models_leaves_the_others_out(run: Run, tmp_path: Path) -> None:
    recorded(tmp_path)
    assert run(*REPLAY, "--models", DEAR, "--out", "result.json")[0] == 0
    assert {a["name"] for a in checked(tmp_path / "result.json")["arms"]} == {DEAR}
    code, _, err = run(*REPLAY, "--models", "gpt-5-mni")
    assert code == 1
    assert err.startswith("routelab: 'gpt-5-mni' has no recorded outcomes; did you mean 'gpt-5-mini'?")


def test_without_a_confirm_split_nothing_wins_and_nothing_is_exported(run: Run, tmp_path: Path) -> None:
    recorded(tmp_path)
    code, out, _ = run(*REPLAY, "--confirm", "0", "--out", "result.json", "--export", "winner.yaml")
    assert code == 0
    result = checked(tmp_path / "result.json")
    assert result["winner"] is None
    assert result["split"] == {"tune": 0, "confirm": 400}
    assert {a["n"] for a in result["arms"]} == {400}
    assert "wrote no winner.yaml: there is no winner" in out
    assert not (tmp_path / "winner.yaml").exists()
    (tmp_path / "winner.yaml").write_text("of yesterday")
    _, out, _ = run(*REPLAY, "--confirm", "0", "--export", "winner.yaml")
    assert "wrote no winner.yaml: there is no winner; the file of that name is from before" in out


def test_an_unknown_cost_is_null_and_a_question_mark_and_is_not_called_cheaper(run: Run, tmp_path: Path) -> None:
    recorded(tmp_path)
    text = (
        (tmp_path / "outcomes.csv")
        .read_text()
        .replace(f"{CHEAP},1.0,0.001", f"{CHEAP},1.0,")
        .replace(f"{CHEAP},0.0,0.001", f"{CHEAP},0.0,")
    )
    (tmp_path / "outcomes.csv").write_text(text)
    code, out, _ = run(*REPLAY, "--out", "result.json")
    assert code == 0
    [cheap] = [a for a in checked(tmp_path / "result.json")["arms"] if a["name"] == CHEAP]
    assert (cheap["cost_usd"], cheap["cost_known"], cheap["vs_baseline"]["cost_ratio"]) == (None, 0, None)
    [line] = [row for row in out.splitlines() if row.startswith(CHEAP)]
    assert line.endswith("?")
    assert "$0 " not in out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--confirm", "1"), "routelab: confirm: must be at least 0 and less than 1, not 1.0"),
        (("--confirm", "-0.1"), "routelab: confirm: must be at least 0 and less than 1, not -0.1"),
        (("--margin", "0"), "routelab: margin: must lie between 0 and 1, not 0.0"),
        (("--margin", "nan"), "routelab: margin: must lie between 0 and 1, not nan"),
        (("--dataset", "quizz"), "routelab: "),
        (("--out", "no/result.json"), "routelab: no/result.json: cannot be written (No such file or directory)"),
        (("--export", "no/winner.yaml"), "routelab: no/winner.yaml: cannot be written (No such file or directory)"),
    ],
)
def test_what_cannot_be_replayed_is_said_in_one_line(
    run: Run, tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    recorded(tmp_path, n=2000, cheap=nearly)
    code, _, err = run(*REPLAY, *flags)
    assert code == 1
    assert err.startswith(said)


def test_a_row_that_cannot_be_used_is_counted_and_shown(run: Run, tmp_path: Path) -> None:
    recorded(tmp_path)
    with (tmp_path / "outcomes.csv").open("a") as out:
        out.write(f"p0,quiz,new,1.5,0,0\nnobody,quiz,{CHEAP},1,0,0\n")
    code, said, _ = run(*REPLAY)
    assert code == 0
    assert "2 rows rejected: outcomes.csv, line 802" in said


def test_a_log_can_be_replayed(run: Run, tmp_path: Path) -> None:
    quiz = [{"id": f"p{i}", "prompt": f"q {i}", "scorer": {"kind": "exact", "answers": ["yes"]}} for i in range(40)]
    with Lab(tmp_path / "log.duckdb", fleet=fleet({"good": Scripted("yes"), "bad": Scripted("no")})) as lab:
        lab.collect(quiz, ["good", "bad"])
    (tmp_path / "prompts.jsonl").write_text(
        "\n".join(json.dumps({"prompt_id": q["id"], "prompt": q["prompt"]}) for q in quiz)
    )
    code, out, err = run("replay", "--prompts", "prompts.jsonl", "--outcomes", "log.duckdb", "--out", "result.json")
    assert (code, err) == (0, "")
    assert {a["name"] for a in checked(tmp_path / "result.json")["arms"]} >= {"good", "bad"}
    assert "good" in out


# The recorded data of other people


@pytest.mark.parametrize(
    ("dataset", "prices", "accuracies"),
    [
        ("routellm_mmlu", False, {"gpt-4-1106-preview": "0.8058", "mistralai/Mixtral-8x7B-Instruct-v0.1": "0.6808"}),
        ("gsm8k", True, {"gpt-4-1106-preview": "0.8567", "mistralai/Mixtral-8x7B-Instruct-v0.1": "0.6384"}),
    ],
)
def test_the_published_accuracies_come_out_to_four_digits(
    run: Run, shared: Path, tmp_path: Path, dataset: str, prices: bool, accuracies: dict[str, str]
) -> None:
    data = shared / "data"
    priced = ("--prices", str(data / "prices" / "outcome_models.csv")) if prices else ()
    code, out, _ = run(
        "replay",
        "--prompts", str(data / "prompts.csv.gz"),
        "--outcomes", str(data / "outcomes.csv.gz"),
        "--dataset", dataset,
        "--out", "result.json",
        *priced,
    )  # fmt: skip
    assert code == 0
    table = {row.split()[0]: row.split() for row in out.split("\n\n")[0].splitlines() if row.strip()}
    assert {model: table[model][2] for model in accuracies} == accuracies
    result = checked(tmp_path / "result.json")
    assert result["dataset"] == dataset
    if prices:
        assert result["cost_kinds"] == ["estimated"]
        assert all(a["cost_usd"] for a in result["arms"])
    else:
        assert all(a["cost_usd"] is None and a["vs_baseline"]["cost_ratio"] is None for a in result["arms"])
        assert result["winner"] is None


def test_where_one_model_is_best_and_cheapest_the_advice_is_not_to_route(
    run: Run, shared: Path, tmp_path: Path
) -> None:
    data = shared / "data"
    files = ("--prompts", str(data / "prompts.csv.gz"), "--outcomes", str(data / "outcomes.csv.gz"))
    code, out, _ = run("replay", *files, "--dataset", "routerarena_sub10", "--out", "result.json", "--export", "w.yaml")
    assert code == 0
    result = checked(tmp_path / "result.json")
    assert result["winner"] is None
    assert result["why"].startswith("do not route: gemini-2.0-flash-001")
    assert result["controls"]["best-single"]["model"] == "gemini-2.0-flash-001"
    assert "wrote no w.yaml: there is no winner" in out
    assert not any(math.isnan(v) for a in result["arms"] for v in a.values() if isinstance(v, float))


# Export


def test_a_config_is_exported_as_it_is(run: Run, tmp_path: Path) -> None:
    config = RouteConfig(name="a", models=[CHEAP, DEAR], strategy={"kind": "random"}, fallbacks={CHEAP: [DEAR]})
    config.to_yaml(tmp_path / "a.yaml", evidence={"status": "confirmed"})
    assert run("export", "a.yaml", "--to", "routelab", "-o", "b.yaml") == (0, "wrote b.yaml\n", "")
    assert RouteConfig.from_yaml(tmp_path / "b.yaml") == config


def test_a_mistake_in_the_config_is_said_with_its_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("routelab: 1\nname: a\nstrategy:\n  kind: fixd\n")
    code, _, err = run("export", "a.yaml", "--to", "routelab", "-o", "b.yaml")
    assert code == 1
    assert err == "routelab: a.yaml:4: strategy.kind: unknown 'fixd'; did you mean 'fixed'?\n"
    assert not (tmp_path / "b.yaml").exists()


# Doctor


def test_doctor_names_keys_and_never_shows_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{CANARY}@proxy.example:8080")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    code, out, err = run("doctor")
    assert (code, err) == (0, "")
    rows = {tuple(row[:2]): row[2] for row in doctor().rows}
    assert rows["key for openai", "OPENAI_API_KEY"] == "set"
    assert rows["key for anthropic", "ANTHROPIC_API_KEY"] == "not set"
    assert rows["proxy", "HTTPS_PROXY"] == "ok"
    for part in (CANARY, CANARY[3:15], "user:", "proxy.example"):
        assert part not in out


def test_doctor_says_what_is_installed_and_how_old_the_prices_are(run: Run) -> None:
    found = {row[0]: row[1:] for row in doctor().rows}
    assert found["routelab"] == [__version__, "ok"]
    assert found["duckdb"][1] == "ok"
    assert "as of 20" in found["prices"][0]
    assert found["tokenizer"] == ["o200k_base, in the package", "ok"]


def test_doctor_looks_at_a_log_and_makes_none(run: Run, tmp_path: Path) -> None:
    with Lab(tmp_path / "log.duckdb", fleet=fleet({"a": Scripted("yes")})) as lab:
        lab.router("a").route("hi")
    code, out, _ = run("doctor", "--log", "log.duckdb")
    assert code == 0
    assert "1 runs, 1 calls" in out
    assert "there is no such file" in run("doctor", "--log", "other.duckdb")[1]
    (tmp_path / "foreign.duckdb").write_text("not a database")
    assert "foreign.duckdb" in run("doctor", "--log", "foreign.duckdb")[1]
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".duckdb") == ["foreign.duckdb", "log.duckdb"]
    assert (tmp_path / "foreign.duckdb").read_text() == "not a database"


# Lab


def test_the_notebooks_are_laid_out_once_and_what_is_there_is_left_alone(tmp_path: Path) -> None:
    target = lay_notebook(tmp_path)
    assert target == tmp_path / "notebooks" / QUICKSTART
    assert {p.name for p in target.parent.iterdir()} == {p.name for p in shipped("notebooks").glob("*.ipynb")}
    assert target.read_bytes() == (shipped("notebooks") / QUICKSTART).read_bytes()
    target.write_text("mine")
    assert lay_notebook(tmp_path) == target
    assert target.read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "notebooks").write_text("a file in the way")
    with pytest.raises(DataError, match="notebooks: cannot be written"):
        lay_notebook(tmp_path)


def test_a_file_that_is_no_notebook_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.ipynb").write_text("not json")
    with pytest.raises(DataError, match=r"x\.ipynb: is not a notebook"):
        execute(tmp_path / "x.ipynb")


def notebook(path: Path, *cells: str) -> Path:
    made: Any = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    made.cells = [nbformat.v4.new_code_cell(source) for source in cells]  # type: ignore[no-untyped-call]
    made.cells[0].metadata["tags"] = ["comparison"]
    nbformat.write(made, path)  # type: ignore[no-untyped-call]
    return path


@pytest.mark.kernel
def test_a_notebook_is_executed_beside_itself_and_its_comparison_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = notebook(tmp_path / "x.ipynb", "'the comparison'", "1 + 1", "")
    before = path.read_bytes()
    assert execute(path) == 0
    out = capsys.readouterr().out
    assert out == f"'the comparison'\n2 of 2 cells ran; executed copy: {tmp_path / 'x.executed.ipynb'}\n"
    assert path.read_bytes() == before
    done: Any = nbformat.read(tmp_path / "x.executed.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    assert done.cells[1].outputs[0]["data"]["text/plain"] == "2"


@pytest.mark.kernel
def test_a_cell_that_fails_is_an_exit_code_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = notebook(tmp_path / "x.ipynb", "'the comparison'", "1 / 0", "'never'")
    assert execute(path) == 1
    said = capsys.readouterr()
    assert said.err == "routelab: a cell failed: ZeroDivisionError: division by zero\n"
    assert "2 of 3 cells ran" in said.out
    assert (tmp_path / "x.executed.ipynb").exists()


# As a program


def program(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    package = str(Path(__file__).resolve().parent.parent)
    paths = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "routelab", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": paths, **env},
        capture_output=True,
        check=False,
        timeout=120,
    )


def test_the_program_returns_the_same_codes(tmp_path: Path) -> None:
    assert program("--version", cwd=tmp_path).stdout.decode() == f"routelab {__version__}{os.linesep}"
    wrong, missing = (
        program("exprt", cwd=tmp_path),
        program("export", "no.yaml", "--to", "routelab", "-o", "x", cwd=tmp_path),
    )
    assert (wrong.returncode, missing.returncode) == (2, 1)
    assert (wrong.stdout, missing.stdout) == (b"", b"")
    assert missing.stderr.decode().splitlines()[0] == "routelab: no.yaml: there is no such file"


def test_a_terminal_that_knows_only_ascii_gets_question_marks_and_no_traceback(tmp_path: Path) -> None:
    recorded(tmp_path, n=60)
    done = program(*REPLAY, cwd=tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"qwen-local" in done.stdout
    assert b"?" in done.stdout
