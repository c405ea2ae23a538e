"""The notebook floor: magics, displays, progress, background jobs and completion.

`%load_ext routelab` calls `load`, which registers and imports little: the lab, the fleet and pandas come with the first cell that
needs them. What a notebook has (settings, lab, last result) is one `Bench`, kept on its shell. Nothing here runs an event loop of
its own or patches the kernel's: calls wait on the engine's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from routelab.core.errors import ConfigError

if TYPE_CHECKING:
    from routelab.lab.session import Lab

__all__ = ["lab", "last", "load", "unload"]


def load(ipython: Any) -> None:
    """Register the magics, their completion and `%config RouteLab` with a shell; silent, and repeating it changes nothing."""
    from IPython.core.magic import no_var_expand

    from routelab.notebook.bench import ATTRIBUTE, Bench, bench_of
    from routelab.notebook.completion import matcher_of
    from routelab.notebook.magics import magics
    from routelab.notebook.questions import questions
    from routelab.notebook.settings import RouteLab
    from routelab.notebook.tracebacks import shorten

    if bench_of(ipython) is not None:
        return
    settings = RouteLab(parent=ipython)
    bench = Bench(ipython, settings)
    for kind, name, function in magics(bench):
        ipython.register_magic_function(no_var_expand(function), magic_kind=kind, magic_name=name)
    settings.observe(lambda _: bench.reopen(), names=["log"])
    settings.observe(lambda _: bench.refit(), names=["fleet"])
    settings.observe(lambda change: shorten(ipython, change["new"]), names=["short_errors"])
    shorten(ipython, settings.short_errors)
    ipython.configurables.append(settings)
    bench.matcher = matcher_of(bench)
    if ipython.Completer is not None:
        ipython.Completer.custom_matchers.append(bench.matcher)
    ipython.input_transformers_cleanup.append(questions)
    setattr(ipython, ATTRIBUTE, bench)


def unload(ipython: Any) -> None:
    """Take everything away again: jobs are stopped, the log is written and let go."""
    from routelab.notebook.bench import ATTRIBUTE, bench_of
    from routelab.notebook.questions import questions
    from routelab.notebook.tracebacks import shorten

    bench = bench_of(ipython)
    if bench is None:
        return
    if questions in ipython.input_transformers_cleanup:
        ipython.input_transformers_cleanup.remove(questions)
    for kind, name in (("line", "route"), ("cell", "route"), ("line", "routeplot"), ("line", "routelab")):
        ipython.magics_manager.magics[kind].pop(name, None)
    if bench.settings in ipython.configurables:
        ipython.configurables.remove(bench.settings)
    if ipython.Completer is not None and bench.matcher in ipython.Completer.custom_matchers:
        ipython.Completer.custom_matchers.remove(bench.matcher)
    bench.settings.unobserve_all()
    shorten(ipython, True)
    bench.close()
    delattr(ipython, ATTRIBUTE)


def last() -> Any:
    """Return what the latest magic of this notebook returned or stored; None before the first one, and outside a notebook."""
    from IPython.core.getipython import get_ipython

    from routelab.notebook.bench import bench_of

    shell = get_ipython()
    bench = None if shell is None else bench_of(shell)
    return None if bench is None else bench.last


def lab() -> Lab:
    """Return this notebook's lab, the one that its magics use; ConfigError where the extension is not loaded."""
    from IPython.core.getipython import get_ipython

    from routelab.notebook.bench import bench_of

    shell = get_ipython()
    bench = None if shell is None else bench_of(shell)
    if bench is None:
        raise ConfigError(
            "this is no notebook with routelab's magics", hint="run `%load_ext routelab` first, or make a Lab yourself"
        )
    return bench.lab
