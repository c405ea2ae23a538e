"""`%routelab COMMAND`: what is going on, who can be asked, what the log says. Each returns something rich, and `COMMANDS` lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from routelab.core.errors import ConfigError, DataError, suggest
from routelab.notebook import exporting
from routelab.notebook.flags import Flag, Line, read_line, whole
from routelab.notebook.flags import usage as flags_usage

if TYPE_CHECKING:
    from routelab.notebook.bench import Bench


@dataclass(frozen=True, kw_only=True)
class Command:
    """A subcommand: how it is written, what it does, its flags; `raw` takes the rest of the line as it is."""

    usage: str
    says: str
    run: Callable[[Bench, Line], Any]
    flags: tuple[Flag, ...] = ()
    raw: bool = False


def routelab(bench: Bench, line: str) -> Any:
    """Return what a `%routelab` line asks for; without a command, the status."""
    name, _, rest = line.strip().partition(" ")
    command = COMMANDS.get(name or "status")
    if command is None:
        near = suggest(name, COMMANDS)
        raise ConfigError(
            f"%routelab: unknown command '{name}'{'' if near is None else '; ' + near}",
            hint=f"commands: {', '.join(COMMANDS)}",
        )
    if command.raw:
        return command.run(bench, Line(text=rest.strip()))
    return command.run(bench, read_line(rest, command.flags, bench.look, magic=f"%routelab {name}".rstrip()))


def _status(bench: Bench, line: Line) -> Any:
    from routelab import __version__
    from routelab.notebook.sheet import sheet
    from routelab.present import Table, usd

    _no_words(line, "status")
    lab = bench.lab
    spent = lab.log.query(
        """select simulated, count(*), sum(cost_usd), count(*) - count(cost_usd), count(*) filter (cached)
        from runs where session = ? and run_id in (select run_id from calls) group by all order by simulated""",
        [lab.log.session],
    )
    [(ever,)] = lab.log.query("select count(*) from runs")
    health = lab.log.health
    running = [str(job) for job in bench.jobs if not job.done]
    rows = [
        ["routelab", __version__],
        ["fleet", f"{bench.fleet.source or 'own'}: {len(bench.fleet.names)} models"],
        ["default arm", bench.settings.arm],
        ["log", f"{_near(lab.log.path)}: {ever:,} runs"],
        *([f"this session{', simulated' if simulated else ''}", _spent(*figures)] for simulated, *figures in spent),
        ["waiting to be written", f"{health.pending} rows" + ("" if health.sound else f"; {health}")],
        ["jobs", "; ".join(running) or "none running"],
        ["budget of a cell", "none" if bench.settings.budget_usd is None else usd(bench.settings.budget_usd)],
    ]
    return sheet(Table(head=("what", "now"), rows=rows, caption="%routelab status"))


def _spent(runs: int, cost: float | None, unpriced: int, hits: int) -> str:
    from routelab.present import usd

    unknown = f" and {unpriced} without a known price" if unpriced else ""
    return f"{runs:,} run{'' if runs == 1 else 's'}, {usd(cost)}{unknown}, {hits:,} cache hit{'' if hits == 1 else 's'}"


def _models(bench: Bench, line: Line) -> Any:
    from routelab.notebook.sheet import sheet

    _no_words(line, "models")
    return sheet(bench.fleet.table())


def _strategies(bench: Bench, line: Line) -> Any:
    from routelab.config import RouteConfig
    from routelab.notebook.sheet import sheet
    from routelab.present import Table
    from routelab.strategies import DEFAULTS, KINDS, kind_of

    _no_words(line, "strategies")
    own = {
        name: value
        for name, value in bench.names.items()
        if isinstance(value, RouteConfig) and not name.startswith("_")
    }
    named = {**own, **bench.lab.arms}
    rows = [[name, f"{kind_of(config.ranking)} over {', '.join(config.models)}"] for name, config in named.items()]
    rows += [[name, _first_line(kind)] for name, kind in DEFAULTS.items() if name not in named]
    rows.append(["any model's name", f"always that model: {', '.join(bench.fleet.names)}"])
    arms = Table(
        head=("arm", "what it does"), rows=rows, caption=f"arms; `{bench.settings.arm}` answers when none is named"
    )
    kinds = Table(
        head=("kind", "what it does"),
        rows=[[name, _first_line(kind)] for name, kind in KINDS.items()],
        caption="kinds of strategies",
    )
    return sheet(arms, kinds)


def _use(bench: Bench, line: Line) -> Any:
    from routelab.config import RouteConfig
    from routelab.fleet import Fleet
    from routelab.notebook.sheet import sheet

    given = _one_word(line, "use", "an arm, a model, `practice`, a fleet.yaml, or $fleet")
    if isinstance(given, Fleet):
        bench.fleet = given
        return sheet(f"fleet: {given.source or 'own'}, {len(given.names)} models")
    if isinstance(given, str) and (given == "practice" or (given.endswith((".yaml", ".yml")) and _holds_fleet(given))):
        bench.fleet = Fleet.practice() if given == "practice" else Fleet.from_yaml(given)
        return sheet(f"fleet: {bench.fleet.source}, {len(bench.fleet.names)} models")
    name, config = bench.arm(given)
    if isinstance(given, RouteConfig) or name not in bench.known_arms():
        bench.lab.arms[name] = config
    bench.settings.arm = name
    return sheet(f"`{name}` answers from now on when a cell names no arm")


def _log(bench: Bench, line: Line) -> Any:
    from routelab.notebook.sheet import cut, sheet
    from routelab.present import Table, seconds, usd

    _no_words(line, "log")
    last = line.get("last", bench.settings.limit)
    where = line.get("where")
    condition = f"where ({where})" if where else ""
    found = bench.lab.log.query(
        f"""with listed as (
                select r.*, p.text as prompt from runs r
                left join (select prompt_id, any_value(text) as text from prompts group by prompt_id) p using (prompt_id)
            ) select run_id, started_at, arm, task, model, status, cost_usd, latency_s, quality, prompt, simulated, count(*) over ()
            from listed {condition} order by started_at desc, run_id limit {int(last)}"""
    )
    rows = [
        [
            run_id[:8],
            f"{at:%Y-%m-%d %H:%M:%S}",
            arm or "–",
            task or "–",
            (model or "–") + (" (simulated)" if simulated else ""),
            status,
            usd(cost),
            seconds(latency),
            "–" if quality is None else f"{quality:.2f}",
            cut(prompt or "", 60),
        ]
        for run_id, at, arm, task, model, status, cost, latency, quality, prompt, simulated, _ in found
    ]
    total = found[0][-1] if found else 0
    head = ("run", "started (UTC)", "arm", "task", "model", "status", "cost", "latency", "quality", "prompt")
    notes = ["`%routelab show RUN` shows everything that happened"] if rows else ["nothing is logged yet"]
    if total > len(rows):
        notes.insert(0, f"the latest {len(rows)} of {total:,}; --last N shows more")
    return sheet(Table(head=head, rows=rows, numbers=frozenset((6, 7, 8)), notes=notes))


def _sql(bench: Bench, line: Line) -> Any:
    if not line.text:
        raise ConfigError(
            "%routelab sql: there is no query", hint="%routelab sql select model, count(*) from runs group by all"
        )
    return bench.lab.sql(line.text)


def _show(bench: Bench, line: Line) -> Any:
    from routelab.answer import Answer
    from routelab.notebook.beside import said
    from routelab.notebook.sheet import Block, sheet

    wanted = _one_word(line, "show", "a run's id or its beginning")
    log = bench.lab.log
    if not str(wanted).strip("0123456789abcdef") == "":
        raise DataError(f"'{wanted}' is no run's id", hint="`%routelab log` lists them")
    found = [
        run_id for (run_id,) in log.query("select run_id from runs where starts_with(run_id, ?) limit 3", [str(wanted)])
    ]
    if len(found) != 1:
        what = f"no run begins with '{wanted}'" if not found else f"several runs begin with '{wanted}'"
        raise DataError(
            what, hint="`%routelab log` lists them" if not found else f"give more digits: {', '.join(found)}"
        )
    run = log.run(found[0])
    if run is None:
        raise DataError(f"run {found[0]} has no events in the log")
    answer = Answer(run)
    return sheet(
        answer.header(), "asked:", Block(text=run.prompt.text), answer.trace(), "answered:", Block(text=said(answer))
    )


def _panel(bench: Bench, line: Line) -> Any:
    _no_words(line, "panel")
    return bench.lab.panel()


def _export(bench: Bench, line: Line) -> Any:
    return exporting.export(bench, Path(str(_one_word(line, "export", "the path of the YAML file to write"))), line)


def _load(bench: Bench, line: Line) -> Any:
    from routelab.config import RouteConfig
    from routelab.notebook.sheet import sheet

    path = _one_word(line, "load", "the path of a YAML file")
    config = RouteConfig.from_yaml(str(path))
    bench.lab.arms[config.name] = config
    missing = [m for m in config.names if m not in bench.fleet.names]
    note = f"; not in this fleet: {', '.join(missing)}" if missing else ""
    return sheet(
        f"arm `{config.name}` is {config.ranking.__class__.__name__.lower()} over {', '.join(config.models)}{note}"
    )


def _cache(bench: Bench, line: Line) -> Any:
    from routelab.notebook.sheet import sheet
    from routelab.present import Table, usd

    action = _one_word(line, "cache", "`stats` or `clear`") if line.words else "stats"
    if action == "clear":
        bench.routers.clear()
        bench.lab.forget()
        return sheet(
            "forgot what the caches remembered, here and in the log; its answers stay, but are not given again"
        )
    if action != "stats":
        near = suggest(str(action), ("stats", "clear"))
        raise ConfigError(
            f"%routelab cache: unknown '{action}'{'' if near is None else '; ' + near}", hint="stats or clear"
        )
    found = bench.lab.log.query(
        "select model, cache, count(*), sum(saved_usd), count(*) - count(saved_usd) from cache_hits group by all order by 3 desc, 1"
    )
    rows = [
        [model, cache, f"{n:,}", usd(saved) + (f" ({unknown} unknown)" if unknown else "")]
        for model, cache, n, saved, unknown in found
    ]
    notes = [] if rows else ["no hits yet; an arm remembers answers when its config says `cache: {exact: true}`"]
    return sheet(Table(head=("model", "cache", "hits", "saved"), rows=rows, numbers=frozenset((2, 3)), notes=notes))


def _doctor(bench: Bench, line: Line) -> Any:
    from routelab.cli import doctor
    from routelab.notebook.sheet import sheet

    _no_words(line, "doctor")
    return sheet(doctor())


def _help(bench: Bench, line: Line) -> Any:
    from routelab.notebook.magics import HELP
    from routelab.notebook.sheet import Block, sheet
    from routelab.present import Table

    commands = Table(
        head=("command", "what it does"), rows=[[f"%routelab {c.usage}", c.says] for c in COMMANDS.values()]
    )
    return sheet(Block(text=HELP, aligned=True), commands)


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "status": Command(
            usage="status", says="the log, the fleet, what this session spent, running jobs", run=_status
        ),
        "models": Command(usage="models", says="who can be asked, with prices and limits", run=_models),
        "strategies": Command(
            usage="strategies", says="the arms that have names, and the kinds of strategies", run=_strategies
        ),
        "use": Command(
            usage="use ARM|fleet.yaml|practice", says="set the arm or the fleet that answers from now on", run=_use
        ),
        "log": Command(
            usage="log [--last N] [--where SQL]",
            says="the latest runs",
            run=_log,
            flags=(
                Flag(long="--last", short="-n", value="N", read=whole, help="how many"),
                Flag(
                    long="--where",
                    value="SQL",
                    rest=True,
                    help="a condition on runs, the rest of the line: cost_usd > 0.01",
                ),
            ),
        ),
        "sql": Command(usage="sql QUERY", says="a reading query over the log, as a frame", run=_sql, raw=True),
        "show": Command(
            usage="show RUN", says="everything that happened in a run; the id's beginning is enough", run=_show
        ),
        "panel": Command(
            usage="panel", says="the whole bench as widgets: playground, comparisons, thresholds, log, jobs", run=_panel
        ),
        "export": Command(
            usage="export PATH [--from NAME] [--to TARGET]",
            says="write the winner of the latest comparison, or an arm, for routelab, LiteLLM or vLLM-SR",
            run=_export,
            flags=exporting.FLAGS,
        ),
        "load": Command(usage="load PATH", says="make the config in a YAML file an arm", run=_load),
        "cache": Command(
            usage="cache [stats|clear]", says="what the caches saved, or forget what they remember", run=_cache
        ),
        "doctor": Command(
            usage="doctor", says="versions, keys present by name, price and tokenizer dates", run=_doctor
        ),
        "help": Command(usage="help", says="this", run=_help),
    }
)


def command_help() -> str:
    """Return the commands and their flags as aligned lines."""
    width = max(len(c.usage) for c in COMMANDS.values())
    lines = []
    for command in COMMANDS.values():
        lines.append(f"  {command.usage:<{width}}  {command.says}")
        if command.flags:
            lines += ["    " + text for text in flags_usage(command.flags).splitlines()]
    return "\n".join(lines)


def _one_word(line: Line, command: str, what: str) -> Any:
    if len(line.words) != 1:
        raise ConfigError(f"%routelab {command}: {what} is wanted", hint=f"%routelab {COMMANDS[command].usage}")
    return line.words[0]


def _no_words(line: Line, command: str) -> None:
    if line.words:
        raise ConfigError(
            f"%routelab {command}: takes nothing more (got {line.words[0]!r})",
            hint=f"%routelab {COMMANDS[command].usage}",
        )


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def _near(path: Path) -> str:
    """Return a path as seen from here, where that is shorter."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _holds_fleet(path: str) -> bool:
    """Say whether a YAML file describes a fleet and not an arm."""
    from routelab import strict

    values = strict.read(path).values
    return "strategy" not in values
