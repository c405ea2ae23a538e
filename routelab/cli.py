"""The same verbs without a notebook: replay, check, export, bench, doctor, lab.

Exit codes: 0 done, 1 an error that is said in one line, 2 the command line itself is wrong. `check` has its own: 0 fine,
1 a regression, 2 an error, 3 inconclusive.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import io
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from routelab.core.errors import ConfigError, DataError, RoutelabError, suggest, visible
from routelab.lab import benches
from routelab.present import Table, usd
from routelab.version import __version__

if TYPE_CHECKING:
    from routelab.lab.outcomes import Outcomes

CHECK_HELP = "regression gate: exit 0 fine, 1 worse than the baseline, 3 inconclusive"
QUICKSTART = "01_quickstart.ipynb"
VERSIONS = (
    "ipykernel",
    "ipython",
    "jupyterlab",
    "ipywidgets",
    "plotly",
    "pandas",
    "numpy",
    "scipy",
    "duckdb",
    "chromadb",
    "httpx",
    "tiktoken",
    "onnxruntime",
    "genai-prices",
    "nest-asyncio2",
)


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaint is one line with the nearest right word."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Refuse what is left over here, where the command's own flags are known, and not one parser further up."""
        options, rest = super().parse_known_args(args, namespace)
        if rest:
            near = suggest(rest[0], [o for a in self._actions for o in a.option_strings])
            self.error(f"unknown argument {rest[0]}{'' if near is None else '; ' + near}")
        return options, rest

    def error(self, message: str) -> NoReturn:
        """Print the complaint with the nearest right word, and exit with 2."""
        invalid = re.match(r"argument (\S+): invalid choice: (['\"])(.*)\2 \(choose from", message)
        if invalid is not None:
            argument, _, given = invalid.groups()
            action = next(a for a in self._actions if argument in (a.metavar, a.dest, "/".join(a.option_strings)))
            near = suggest(given, [str(choice) for choice in action.choices or ()])
            what = "command" if argument == "COMMAND" else argument
            message = f"unknown {what} '{given}'{'' if near is None else '; ' + near}"
        print(visible(f"{self.prog}: {message} (see {self.prog} --help)"), file=sys.stderr)
        raise SystemExit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that knows no "→" (or a name that is no text) shows "?", not a traceback.
            stream.reconfigure(errors="replace")
    try:
        options = _parser().parse_args(arguments)
        return int(COMMANDS[options.command](options))
    except RoutelabError as trouble:
        print(visible(f"routelab: {trouble}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("routelab: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `routelab ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> _Parser:
    parser = _Parser(prog="routelab", description="Call once, route a thousand times.")
    parser.add_argument("--version", action="version", version=f"routelab {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    _replay_flags(commands.add_parser("replay", help="compare routing configs over recorded outcomes; calls no model"))
    _check_flags(commands.add_parser("check", help=CHECK_HELP))
    _export_flags(commands.add_parser("export", help="write a config for another router"))
    benches.flags(commands.add_parser("bench", help="measure a part on labelled data of your own"))
    commands.add_parser(
        "doctor", help="versions, keys present by name, price and tokenizer dates, log health"
    ).add_argument("--log", metavar="log.duckdb", help="also look at this log")
    lab = commands.add_parser("lab", help="open JupyterLab on the quickstart")
    lab.add_argument(
        "--execute", action="store_true", help="run the quickstart without a browser and print its comparison"
    )
    return parser


def _replay_flags(replay: argparse.ArgumentParser) -> None:
    replay.add_argument(
        "--prompts", metavar="P", help="prompts: csv, csv.gz, jsonl or parquet; needed for tables of outcomes"
    )
    replay.add_argument(
        "--outcomes",
        required=True,
        metavar="O",
        help="outcomes: csv, csv.gz, jsonl, parquet, a DuckDB log, or another program's results",
    )
    replay.add_argument(
        "--format",
        metavar="F",
        help="whose results they are, where the content does not tell: routelab, llmrouterbench, routerbench, "
        "frugalgpt, routerarena, litellm, promptfoo, inspect",
    )
    replay.add_argument("--dataset", metavar="NAME", help="the rows with this name in the column `dataset`")
    replay.add_argument("--models", nargs="+", metavar="M", help="these models only")
    replay.add_argument(
        "--arms",
        metavar="arms.yaml",
        help="the configs to compare; without it, configs are searched for (single models where only logged choices are there)",
    )
    replay.add_argument(
        "--confirm", type=float, default=0.4, help="share of prompts kept for the final report (0: none)"
    )
    replay.add_argument(
        "--margin", type=float, default=0.02, help="largest loss of quality still called no loss (0.02 = 2 points)"
    )
    replay.add_argument("--seed", type=int, default=0, help="decides the split")
    replay.add_argument("--prices", metavar="prices.csv", help="dataset, model, usd_per_mtok_in, usd_per_mtok_out")
    replay.add_argument("--out", metavar="result.json", help="write the figures as JSON")
    replay.add_argument("--export", metavar="winner.yaml", help="write the winner's config")


def _export_flags(export: argparse.ArgumentParser) -> None:
    export.add_argument("config", metavar="winner.yaml")
    export.add_argument("--to", required=True, choices=("routelab", "litellm", "vllm-sr"))
    export.add_argument("-o", "--out", required=True, metavar="out.yaml")
    export.add_argument(
        "--fleet", metavar="fleet.yaml", help="where the models are; default: the config's own, or the one beside it"
    )
    export.add_argument(
        "--verify",
        action="store_true",
        help="load the file in the real program, offline, and compare its picks with ours",
    )
    export.add_argument("--python", metavar="PATH", help="the Python that has the real program (with --verify)")
    export.add_argument("--prompts", metavar="P", help="prompts to verify with (jsonl or csv; default: the workbench)")


def _check_flags(check: argparse.ArgumentParser) -> None:
    check.add_argument("config", metavar="winner.yaml")
    check.add_argument("--dataset", required=True, metavar="D", help="a data set by name, or a file of prompts")
    check.add_argument("--baseline", metavar="base.yaml", help="default: the best single model among the config's own")
    check.add_argument("--margin", type=float, default=0.02, help="largest loss of quality that is no regression")
    check.add_argument("--seed", type=int, default=0, help="of a live check")
    recorded = check.add_mutually_exclusive_group()
    recorded.add_argument(
        "--log", metavar="log.duckdb", help="recorded outcomes; without any, the config is played live"
    )
    recorded.add_argument(
        "--outcomes", metavar="O", help="recorded outcomes: csv, csv.gz, jsonl, parquet or a DuckDB log"
    )
    check.add_argument("--prompts", metavar="P", help="the prompts of --outcomes")
    check.add_argument("--prices", metavar="prices.csv", help="as for replay")
    check.add_argument("--budget", type=float, metavar="USD", help="of a live check")
    check.add_argument("--json", metavar="out.json", help="write the figures as JSON")


def _replay(options: argparse.Namespace) -> int:
    from routelab.config import RouteConfig
    from routelab.lab import Outcomes
    from routelab.lab.arms import read_arms
    from routelab.lab.export import write_winner
    from routelab.lab.replay import replay
    from routelab.lab.report import text, write
    from routelab.lab.reuse import Beside, counted
    from routelab.lab.search import search
    from routelab.strategies import Fixed

    for target in (options.out, options.export):
        if target and not Path(target).parent.is_dir():
            raise ConfigError(
                f"{target}: cannot be written (No such file or directory)", hint="check that the folder exists"
            )
    arms = read_arms(options.arms) if options.arms else None
    outcomes = Outcomes.read(
        prompts=options.prompts,
        outcomes=options.outcomes,
        dataset=options.dataset,
        prices=options.prices,
        format=options.format,
    )
    if options.models:
        outcomes = outcomes.only(options.models)
    if arms is None and outcomes.single_choice:
        # A search would have to know what every model had answered; the single models can be estimated.
        arms = {m: RouteConfig(name=m, strategy=Fixed(model=m)) for m in outcomes.models}
    if arms is None:
        comparison = search(outcomes, confirm=options.confirm, margin=options.margin, seed=options.seed)
    else:
        comparison = replay(outcomes, arms, confirm=options.confirm, margin=options.margin, seed=options.seed)
    if options.out:
        # Every look at the confirm split is counted, beside the result: a split that was looked at twenty times confirms little.
        looks = Beside(path=Path(options.out).with_suffix(".looks.jsonl"))
        comparison = counted(comparison, outcomes, looks, confirm=options.confirm)
    print(_recorded(outcomes).text())
    print()
    print(text(comparison))
    if options.out:
        print(f"wrote {write(comparison, options.out)}")
    if options.export:
        path = write_winner(comparison, options.export)
        stale = "; the file of that name is from before" if path is None and Path(options.export).exists() else ""
        print(f"wrote {path}" if path is not None else f"wrote no {options.export}: there is no winner{stale}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from routelab.config import RouteConfig
    from routelab.lab.check import check, check_live, fleet_for, recorded_for
    from routelab.lab.datasets import Dataset

    try:
        config = RouteConfig.from_yaml(options.config)
        about = {
            "baseline": RouteConfig.from_yaml(options.baseline) if options.baseline else None,
            "margin": options.margin,
            "seed": options.seed,
        }
        if options.log or options.outcomes:
            outcomes = recorded_for(
                options.dataset,
                log=options.log,
                outcomes=options.outcomes,
                prompts=options.prompts,
                prices=options.prices,
            )
            checked = check(config, outcomes, **about)
        else:
            fleet = fleet_for(options.config, config)
            checked = check_live(config, Dataset.of(options.dataset), fleet, budget_usd=options.budget, **about)
        print(checked.text())
        if options.json:
            print(f"wrote {checked.write(options.json)}")
    except RoutelabError as trouble:
        # Not 1, which says that the config is worse.
        hint = "" if trouble.hint is None else f" ({trouble.hint})"
        print(" ".join(f"routelab check: {trouble.message}{hint}".split()), file=sys.stderr)
        return 2
    return checked.exit


def _recorded(outcomes: Outcomes) -> Table:
    """Return each model's accuracy over everything that was recorded, before any split."""
    from routelab.lab.compare import figures_of
    from routelab.lab.controls import mean_costs, single

    rows = []
    for k, (model, cost) in enumerate(zip(outcomes.models, mean_costs(outcomes), strict=True)):
        figures = figures_of(single(outcomes, k))
        quality = figures.quality
        mark = "~" if outcomes.cost_kind[k] == "estimated" else ""
        rows.append(
            [
                model,
                f"{figures.n:,}",
                "–" if quality is None else f"{quality.value:.4f}",
                "–"
                if quality is None or quality.interval is None
                else f"[{quality.interval[0]:.4f}, {quality.interval[1]:.4f}]",
                mark + usd(None if cost != cost else cost),
            ]
        )
    rows.sort(key=lambda row: row[2], reverse=True)
    return Table(
        head=("model", "n", "accuracy", "95 %", "cost/call"),
        rows=rows,
        numbers=frozenset((1, 2, 3, 4)),
        caption=f"recorded: {outcomes.dataset or 'outcomes'}, all {len(outcomes):,} prompts"
        + (" (simulated)" if outcomes.simulated else ""),
        notes=[f"{len(outcomes.rejected)} rows rejected: {outcomes.rejected[0]}"] if outcomes.rejected else [],
    )


def _export(options: argparse.Namespace) -> int:
    from routelab.config import RouteConfig
    from routelab.fleet import Fleet
    from routelab.lab.datasets import Dataset
    from routelab.lab.export import write_config
    from routelab.lab.parity import verify
    from routelab.lab.targets import export

    config = RouteConfig.from_yaml(options.config)
    out = Path(options.out)
    if options.to == "routelab":
        print(f"wrote {write_config(config, out)}")
        return 0
    beside = Path(options.config).with_name("fleet.yaml")
    path = options.fleet or (beside if config.fleet is None and beside.is_file() else None)
    fleet = None if path is None else Fleet.from_yaml(path)
    exported = export(config, to=options.to, fleet=fleet)
    print(f"wrote {exported.write(out)}")
    for name in exported.files:
        print(f"wrote {out.with_name(name)} (belongs beside it)")
    print(exported.table().text(width=120))
    if not options.verify:
        return 0
    prompts = (Dataset.read(options.prompts) if options.prompts else Dataset.load("workbench")).prompts
    parity = verify(config, exported, out, prompts, fleet=fleet, python=options.python)
    print()
    print(parity.table().text(width=120))
    return 0 if parity.ok else 1


def _bench(options: argparse.Namespace) -> int:
    for line in benches.run(options, lambda what: print(f"{what} …", file=sys.stderr, flush=True)):
        print(line)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    print(doctor(options.log).text(width=90))
    return 0


def doctor(log: str | Path | None = None) -> Table:
    """Return what a person asks first when something is off; keys are named, never shown."""
    from routelab.providers import SERVICES
    from routelab.providers.prices import GenaiPrices
    from routelab.providers.tokens import bundled

    rows: list[list[str]] = [
        ["routelab", __version__, "ok"],
        [
            "python",
            f"{platform.python_version()} on {platform.system()}",
            "ok" if sys.version_info >= (3, 11) else "3.11 is needed",
        ],
    ]
    for name in VERSIONS:
        try:
            rows.append([name, importlib.metadata.version(name), "ok"])
        except importlib.metadata.PackageNotFoundError:
            optional = name in ("jupyterlab", "ipykernel")
            rows.append(
                [name, "not installed", 'pip install "routelab[lab]"' if optional else "missing: reinstall routelab"]
            )
    price = GenaiPrices().price("openai", "gpt-5-mini")
    found = "none" if price is None else f"{price.source}; gpt-5-mini as of {price.as_of}"
    rows.append(["prices", found, "ok" if price is not None else "costs will be unknown"])
    counts = bundled() is not None
    rows.append(["tokenizer", "o200k_base, in the package" if counts else "not there", "ok" if counts else "estimates"])
    for service, facts in SERVICES.items():
        variable = getattr(facts, "key_env", None)
        if variable:
            present = bool(os.environ.get(variable))
            rows.append([f"key for {service}", variable, "set" if present else "not set"])
    proxies = [
        name for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy") if os.environ.get(name)
    ]
    rows.append(["proxy", ", ".join(proxies) or "none in the environment", "ok"])
    if log is not None:
        rows.append(_log_health(Path(log)))
    return Table(head=("what", "found", "state"), rows=rows, caption="routelab doctor")


def _log_health(path: Path) -> list[str]:
    from routelab.store import Log

    if not path.exists():
        return ["log", str(path), "there is no such file"]
    try:
        with Log(path, read_only=True) as log:
            [(runs, calls)] = log.query("select (select count(*) from runs), (select count(*) from calls)")
            health = log.health
    except RoutelabError as trouble:
        return ["log", str(path), trouble.message]
    return ["log", f"{path}: {runs:,} runs, {calls:,} calls", "ok" if health.sound else str(health)]


def _lab(options: argparse.Namespace) -> int:
    notebook = lay_notebook(Path.cwd())
    if options.execute:
        return execute(notebook)
    if importlib.util.find_spec("jupyterlab") is None:
        raise ConfigError("JupyterLab is not installed", hint='python -m pip install "routelab[lab]"')
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    print(f"opening {notebook} (stop with Ctrl-C)")
    return subprocess.call([sys.executable, "-m", "jupyterlab", str(notebook), *root])


def lay_notebook(folder: Path) -> Path:
    """Return the quickstart's path under the folder; a copy is laid there unless one is there already."""
    from routelab.lab.datasets import shipped

    target = folder / "notebooks" / QUICKSTART
    if not target.exists():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            for source in sorted(shipped("notebooks").glob("*.ipynb")):
                if not (target.parent / source.name).exists():
                    shutil.copyfile(source, target.parent / source.name)
        except OSError as trouble:
            raise DataError(
                f"{target.parent}: cannot be written ({trouble.strerror})", hint="run it in a folder of your own"
            ) from None
    return target


def execute(notebook: Path) -> int:
    """Run every cell of a notebook, print its comparison and the executed copy's path; 0 only if every cell ran."""
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    except ImportError:
        raise ConfigError("nbclient is not installed", hint='python -m pip install "routelab[lab]"') from None
    try:
        document = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    except (ValueError, nbformat.ValidationError) as trouble:
        raise DataError(
            f"{notebook}: is not a notebook ({str(trouble).splitlines()[0][:80]})", hint="delete it to get a fresh copy"
        ) from None
    client = NotebookClient(
        document, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(notebook.parent)}}
    )
    executed = notebook.with_suffix(".executed.ipynb")
    failure = ""
    try:
        client.execute()
    except CellExecutionError as trouble:
        failure = f"{trouble.ename}: {trouble.evalue}"
    except (CellTimeoutError, DeadKernelError) as trouble:
        failure = f"{type(trouble).__name__}: {str(trouble).strip().splitlines()[0]}"
    nbformat.write(document, executed)  # type: ignore[no-untyped-call]
    code = [cell for cell in document.cells if cell.cell_type == "code" and cell.source.strip()]
    ran = sum(cell.execution_count is not None for cell in code)
    for cell in code:
        if "comparison" in cell.metadata.get("tags", []):
            print("\n".join(_plain(output) for output in cell.outputs if _plain(output)))
    print(f"{ran} of {len(code)} cells ran; executed copy: {executed}")
    if failure:
        print(visible(f"routelab: a cell failed: {failure}"), file=sys.stderr)
    return 0 if not failure and ran == len(code) else 1


def _plain(output: dict[str, object]) -> str:
    data = output.get("data")
    text = data.get("text/plain", "") if isinstance(data, dict) else ""
    return text if isinstance(text, str) else "".join(text)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "replay": _replay,
    "check": _check,
    "export": _export,
    "bench": _bench,
    "doctor": _doctor,
    "lab": _lab,
}

if __name__ == "__main__":
    sys.exit(main())
