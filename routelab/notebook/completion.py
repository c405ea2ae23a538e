"""TAB on a magic's line: flags, arms, models, data, subcommands, kinds of charts; in a body, names between braces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from routelab.notebook.asking import FLAGS
from routelab.notebook.bench import Bench
from routelab.notebook.commands import COMMANDS
from routelab.notebook.exporting import TARGETS
from routelab.notebook.flags import Flag
from routelab.notebook.magics import PLOT_FLAGS

_MAGIC = re.compile(r"\s*(%%?)(route|routeplot|routelab)\s(.*)\Z", re.DOTALL)
_BRACES = re.compile(r"\{\{[ \t]*(\w*)\Z")


def matcher_of(bench: Bench) -> Callable[[CompletionContext], SimpleMatcherResult]:
    """Return the matcher of a bench; on a line of ours it is the only one that answers."""

    @context_matcher()  # type: ignore[untyped-decorator]
    def routelab_matcher(context: CompletionContext) -> SimpleMatcherResult:
        lines = context.full_text.splitlines() or [""]
        if context.cursor_line > 0 and lines[0].lstrip().startswith("%%route"):
            found = _BRACES.search(context.text_until_cursor)
            return _nothing() if found is None else _result(found.group(1), _placeholders(bench, lines[0]))
        match = _MAGIC.match(context.text_until_cursor)
        if match is None or (match.group(1) == "%%" and match.group(2) != "route"):
            return _nothing()
        before, fragment = _split(match.group(3))
        if fragment.startswith("$"):
            return _result(fragment, [f"${name}" for name in bench.names if not name.startswith("_")])
        words = {"route": _route, "routeplot": _plot, "routelab": _lab}[match.group(2)](bench, before, match.group(1))
        return _result(fragment, words)

    made: Callable[[CompletionContext], SimpleMatcherResult] = routelab_matcher
    return made


def _nothing() -> SimpleMatcherResult:
    # A new one each time: IPython writes into what it gets.
    return {"completions": []}


def _result(fragment: str, words: Iterable[str]) -> SimpleMatcherResult:
    found = [SimpleCompletion(text=w, type="routelab") for w in dict.fromkeys(words) if w.startswith(fragment)]
    # Nothing of ours fits: then somebody else may (a path after --over).
    return {"completions": found, "matched_fragment": fragment, "suppress": bool(found), "ordered": True}


def _split(text: str) -> tuple[list[str], str]:
    """Return the words before the cursor's, and the beginning of the cursor's."""
    before, fragment = re.fullmatch(r"(.*?)(\S*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    return before.split(), fragment


def _route(bench: Bench, before: list[str], kind: str) -> list[str]:
    flag = _awaited(before, FLAGS)
    if flag is None:
        # On one line the text begins where the flags end, so there are no arms to name.
        return [*(bench.known_arms() + _configs(bench) if kind == "%%" else []), *_spelled(FLAGS)]
    if flag.name == "model":
        return list(bench.fleet.names)
    if flag.name == "over":
        return [*_data(bench), *_shipped()]
    if flag.name == "score":
        return [*_scorers(), *(n for n, v in bench.names.items() if _function(n, v))]
    return []


def _plot(bench: Bench, before: list[str], kind: str) -> list[str]:
    from routelab.lab.charts import KINDS

    flag = _awaited(before, PLOT_FLAGS)
    if flag is not None:
        return ["arm", "model"] if flag.name == "by" else []
    if not before:
        return list(KINDS)
    return ["log", *_comparisons(bench), *_spelled(PLOT_FLAGS)]


def _lab(bench: Bench, before: list[str], kind: str) -> list[str]:
    if not before:
        return list(COMMANDS)
    command = COMMANDS.get(before[0])
    if command is None or command.raw:
        return []
    flag = _awaited(before[1:], command.flags)
    if flag is not None:
        if flag.name == "to":
            return list(TARGETS)
        return [*bench.known_arms(), *_comparisons(bench)] if flag.name == "from" else []
    first = {
        "use": lambda: [*bench.known_arms(), *_configs(bench), "practice"],
        "cache": lambda: ["stats", "clear"],
    }.get(before[0])
    return [*(first() if first is not None and len(before) == 1 else []), *_spelled(command.flags)]


def _awaited(before: list[str], flags: Iterable[Flag]) -> Flag | None:
    """Return the flag whose value comes next."""
    if not before:
        return None
    return next((f for f in flags if f.value and before[-1] in (f.long, f.short) and before[-1]), None)


def _spelled(flags: Iterable[Flag]) -> list[str]:
    return [name for flag in flags for name in (flag.long, flag.short) if name]


def _placeholders(bench: Bench, line: str) -> list[str]:
    found = re.search(r"(?:-v|--over)[ =]?\s*(\w+)", line)
    data = bench.names.get(found.group(1)) if found is not None else None
    columns: list[str] = []
    if hasattr(data, "columns"):
        columns = [str(c) for c in data.columns]  # type: ignore[union-attr]
    elif isinstance(data, list) and data and isinstance(data[0], dict):
        columns = [str(k) for k in data[0]]
    elif found is not None:
        columns = ["prompt", "task", "reference", "difficulty"]
    return [*columns, *(n for n in bench.names if not n.startswith("_"))]


def _configs(bench: Bench) -> list[str]:
    from routelab.config import RouteConfig

    return [n for n, v in bench.names.items() if isinstance(v, RouteConfig) and not n.startswith("_")]


def _comparisons(bench: Bench) -> list[str]:
    return [n for n, v in bench.names.items() if type(v).__name__ == "Comparison" and not n.startswith("_")]


def _data(bench: Bench) -> list[str]:
    kinds: tuple[Any, ...] = (list, tuple)
    own = ((n, v) for n, v in bench.names.items() if not n.startswith("_") and n not in ("In", "Out"))
    return [n for n, v in own if isinstance(v, kinds) or hasattr(v, "columns") or type(v).__name__ == "Dataset"]


def _shipped() -> list[str]:
    from routelab.lab.datasets import shipped

    return sorted(p.name for p in shipped("datasets").iterdir() if p.is_dir())


def _scorers() -> list[str]:
    from routelab.scoring import KINDS

    return list(KINDS)


def _function(name: str, value: Any) -> bool:
    return (
        callable(value)
        and not isinstance(value, type)
        and not name.startswith("_")
        and name not in ("get_ipython", "exit", "quit", "open")
    )
