"""A shell in this process, with the magics loaded and a fleet that follows a script."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from routelab import notebook
from routelab.fleet import Fleet
from routelab.notebook.bench import Bench, bench_of
from routelab.testing import Scripted, fleet


class Cells:
    """Runs cells and keeps what they showed."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.shown: list[dict[str, Any]] = []

    @property
    def bench(self) -> Bench:
        found = bench_of(self.shell)
        assert found is not None
        return found

    @property
    def names(self) -> dict[str, Any]:
        return self.shell.user_ns  # type: ignore[no-any-return]

    def use(self, chosen: Fleet, default: str | None = None) -> None:
        """Answer from now on with this fleet, by default with its first model."""
        self.bench.fleet = chosen
        self.bench.settings.arm = default or chosen.names[0]

    def run(self, code: str) -> Any:
        """Return a cell's result; what it raises is raised. `shown` is what it displayed besides."""
        publisher = CapturingDisplayPublisher()
        before, self.shell.display_pub = self.shell.display_pub, publisher
        try:
            result = self.shell.run_cell(code)
        finally:
            self.shell.display_pub = before
        self.shown = list(publisher.outputs)
        result.raise_error()
        return result.result

    @property
    def lines(self) -> list[str]:
        """What the latest cell displayed besides its result, as text."""
        return [output["data"]["text/plain"] for output in self.shown]


@pytest.fixture(scope="session")
def one_shell() -> Iterator[InteractiveShell]:
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    InteractiveShell.clear_instance()
    yield InteractiveShell.instance(config=config)
    InteractiveShell.clear_instance()


@pytest.fixture
def cells(one_shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cells]:
    """A fresh notebook in an empty folder, with two scripted models `cheap` and `good`, and its log in memory."""
    monkeypatch.chdir(tmp_path)
    # Not shell.reset(): it collects garbage twice, half a second a test.
    for name in set(one_shell.user_ns) - set(one_shell.user_ns_hidden):
        del one_shell.user_ns[name]
    notebook.load(one_shell)
    made = Cells(one_shell)
    made.bench.settings.log = ":memory:"
    made.use(fleet({"cheap": Scripted("four"), "good": Scripted("It is 4.")}))
    yield made
    notebook.unload(one_shell)
    # `%config` writes into the shell's own config too, from where the next load would take it.
    one_shell.config.pop("RouteLab", None)
    # The last error's frames hold connections, which DuckDB's bindings complain about at the interpreter's end.
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        vars(sys).pop(name, None)
    one_shell.InteractiveTB.tb = None
