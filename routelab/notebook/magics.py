"""The three magics, `%route`/`%%route`, `%routeplot` and `%routelab`: thin doors that read a line and hand it on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from routelab.core.errors import ConfigError, RoutelabError
from routelab.notebook import flags
from routelab.notebook.asking import FLAGS, read_ask
from routelab.notebook.bench import Bench
from routelab.notebook.commands import command_help, routelab
from routelab.notebook.flags import Flag, read_line

EXAMPLES = """Ask a prompt, and see who answered, for how much, how fast, and why.

Examples (copy and paste)::

    %route What is the capital of France?

    %%route rules gpt-5 -o both --budget 0.05
    A pen costs $5 and a {"json": "example"} survives. How much are 3 pens?

    %%route rules qwen-local gpt-5 --over workbench --sample 20 -o cmp
    {{prompt}}
"""
ARMS = """No ARM: the default one answers. One ARM: that one. Two or more: side by side. An ARM is a model's name, `rules`, `random`,
a .yaml file, a name given with `%routelab load`, or a variable that holds a RouteConfig."""
TEMPLATES = r"""In the prompt, {{name}}, {{row.col}} and {{d['k']}} are filled in; \{{ is a literal {{. With --over, columns go before variables.
On the line, a bare $name is the variable's value. A comment above %%route hides the magic from IPython: put it below."""

PLOT_FLAGS = (
    Flag(long="--by", value="arm|model", help="how rows of the log are grouped; what slices are"),
    Flag(
        long="--where",
        value="SQL",
        rest=True,
        help="a condition on the log's calls, the rest of the line: task = 'research'",
    ),
)


def route_help() -> str:
    """Return the help of `%route` and `%%route`: examples first, then flags."""
    return f"{EXAMPLES}\nUsage: %route [flags] TEXT\n       %%route [ARM ...] [flags]\n\n{ARMS}\n\n{flags.usage(FLAGS)}\n\n{TEMPLATES}\n"


def plot_help() -> str:
    """Return the help of `%routeplot`."""
    return (
        "Draw a comparison or the log.\n\nExamples (copy and paste)::\n\n    %routeplot frontier\n    %routeplot latency cmp\n"
        "    %routeplot spend --by model --where task = 'research'\n\nUsage: %routeplot KIND [DATA] [flags]\n\n"
        "KIND: frontier, cost, latency, quality, difficulty, mix, spend, slices, calibration, waterfall, thresholds, tokens.\n"
        "DATA: a variable that holds a Comparison, or `log`; without it the latest\n"
        f"comparison, else the log.\n\n{flags.usage(PLOT_FLAGS)}\n"
    )


def lab_help() -> str:
    """Return the help of `%routelab`."""
    return (
        "See and set what the bench works with.\n\nExamples (copy and paste)::\n\n    %routelab status\n    %routelab use gpt-5-mini\n"
        "    %routelab sql select model, count(*), sum(cost_usd) from runs group by all\n\n"
        f"Usage: %routelab COMMAND\n\n{command_help()}\n"
    )


HELP = f"{route_help()}\n%routeplot KIND [DATA]: frontier, cost, latency, quality, mix, spend, waterfall, thresholds, tokens, ..."


def magics(bench: Bench) -> list[tuple[str, str, Callable[..., Any]]]:
    """Return (kind, name, function) of each magic over a bench; what they raise has lost its ExceptionGroup."""

    def route(line: str, cell: str | None = None) -> Any:
        with _Boundary():
            ask = read_ask(line, cell, bench.look)
            from routelab.notebook.runner import run

            return run(bench, ask)

    def routeplot(line: str) -> Any:
        with _Boundary():
            return plot(bench, line)

    def lab(line: str) -> Any:
        with _Boundary():
            return routelab(bench, line)

    route.__doc__, routeplot.__doc__, lab.__doc__ = route_help(), plot_help(), lab_help()
    lab.__name__ = lab.__qualname__ = "routelab"
    return [("line_cell", "route", route), ("line", "routeplot", routeplot), ("line", "routelab", lab)]


def plot(bench: Bench, line: str) -> Any:
    """Return the chart that a `%routeplot` line asks for."""
    from routelab.lab.charts import KINDS, chart
    from routelab.lab.compare import Comparison

    read = read_line(line, PLOT_FLAGS, bench.look, magic="%routeplot")
    if not 1 <= len(read.words) <= 2:
        raise ConfigError("%routeplot: name a kind of chart, and what to draw", hint=f"kinds: {', '.join(KINDS)}")
    kind, data = str(read.words[0]), read.words[1] if len(read.words) == 2 else None
    if kind not in KINDS:
        from routelab.core.errors import suggest

        near = suggest(kind, KINDS)
        raise ConfigError(
            f"%routeplot: unknown kind '{kind}'{'' if near is None else '; ' + near}", hint=f"kinds: {', '.join(KINDS)}"
        )
    if isinstance(data, str) and data != "log":
        data = bench.look(data)
    logged = data == "log" if isinstance(data, str) else data is None and (bench.comparison is None or bool(read.given))
    if logged:
        data = _calls(bench, read.get("where"))
    elif data is None:
        data = bench.comparison
    grouped = kind == "slices" or not isinstance(data, Comparison)
    options = {"by": read.get("by")} if "by" in read.given and grouped else {}
    return chart(kind, data, **options)


def _calls(bench: Bench, where: str | None) -> list[dict[str, Any]]:
    condition = f"where ({where})" if where else ""
    frame = bench.lab.log.frame(f"select * from calls {condition} order by started_at")
    if len(frame) == 0:
        raise ConfigError(
            "%routeplot: the log has no such calls", hint="ask something first: %route What is the capital of France?"
        )
    return list(frame.to_dict("records"))


class _Boundary:
    """Lets one expected error out of an ExceptionGroup, because a group is shown with everything in it."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BaseExceptionGroup):
            raise leaf(error) from None


def leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the exception in a group that matters most: the first bug, else the first expected error."""
    found: list[BaseException] = []
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseExceptionGroup):
            waiting = [*error.exceptions, *waiting]
        else:
            found.append(error)
    return next((e for e in found if not isinstance(e, RoutelabError)), found[0])
