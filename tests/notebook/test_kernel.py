"""A real kernel, spoken to over its protocol: queued cells, interrupts, two kernels on one log, jobs while cells run."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

pytestmark = pytest.mark.kernel
PATIENCE_S = 60.0

SETUP = """
import asyncio
from routelab.testing import Scripted, fleet
class Slow:
    async def complete(self, request, emit):
        await asyncio.sleep(float(request.prompt.text.split()[0]))
        return await Scripted("slept").complete(request, emit)
chosen = fleet({"cheap": Scripted("four"), "good": Scripted("It is 4."), "slow": Slow()})
%load_ext routelab
%routelab use $chosen
%routelab use cheap
"""


@dataclass
class Cell:
    """What came back for one execute_request."""

    status: str = ""
    count: int | None = None
    data: list[dict[str, Any]] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    streams: str = ""
    error: dict[str, Any] = field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        return [d["text/plain"] for d in self.data]


class Kernel:
    """A running kernel; `run` sends a cell and waits, `queue` sends many at once as Run All does."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client

    def run(self, code: str) -> Cell:
        [cell] = self.queue(code)
        return cell

    def send(self, code: str) -> str:
        sent: str = self.client.execute(code)
        return sent

    def queue(self, *codes: str) -> list[Cell]:
        return self.collect([self.send(code) for code in codes])

    def collect(self, ids: list[str], *, until: Callable[[dict[str, Cell]], bool] | None = None) -> list[Cell]:
        """Return the cells when all are idle and replied to, or as soon as `until` holds."""
        cells = {i: Cell() for i in ids}
        idle: set[str] = set()
        deadline = time.monotonic() + PATIENCE_S
        while not (until(cells) if until is not None else len(idle) == len(ids)):
            assert time.monotonic() < deadline, f"the kernel did not finish: {cells}"
            message = self.client.get_iopub_msg(timeout=PATIENCE_S)
            parent, kind, content = message["parent_header"].get("msg_id"), message["msg_type"], message["content"]
            if kind == "update_display_data":
                for cell in cells.values():
                    cell.updates.append(content)
            elif parent in cells:
                self._take(cells[parent], kind, content)
                if kind == "status" and content["execution_state"] == "idle":
                    idle.add(parent)
        # A slow kernel answers several questions about itself first; those replies are nobody's.
        while until is None and not all(cell.status for cell in cells.values()):
            reply = self.client.get_shell_msg(timeout=PATIENCE_S)
            if reply["parent_header"].get("msg_id") in cells:
                cells[reply["parent_header"]["msg_id"]].status = reply["content"]["status"]
        return list(cells.values())

    @staticmethod
    def _take(cell: Cell, kind: str, content: dict[str, Any]) -> None:
        if kind in ("display_data", "execute_result"):
            cell.data.append(content["data"])
            cell.count = content.get("execution_count", cell.count)
        elif kind == "stream":
            cell.streams += content["text"]
        elif kind == "error":
            cell.error = content


@contextmanager
def started(folder: Path) -> Iterator[Kernel]:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(folder))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE_S)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with started(tmp_path_factory.mktemp("kernel")) as running:
        assert running.run(SETUP).status == "ok"
        yield running


def test_loading_the_extension_is_silent(tmp_path: Path) -> None:
    with started(tmp_path) as fresh:
        cells = fresh.queue(
            "%load_ext routelab", "import sys; {'pandas', 'plotly', 'duckdb', 'httpx', 'ipywidgets'} & set(sys.modules)"
        )
    assert (cells[0].status, cells[0].data, cells[0].streams) == ("ok", [], "")
    assert cells[1].texts == ["set()"]


def test_cells_queued_at_once_are_all_run_in_order(kernel: Kernel) -> None:
    codes = [
        "%route 2+2?",
        "%%route cheap good\nWhat is 2+2?",
        "%%route slow -o waited\n0.3 seconds",
        "data = ['0.2 a', '0.1 b']",
        "%%route slow cheap --over data -o cmp\n{{prompt}}",
        "%routelab status",
        "waited.text, len(cmp.prompts)",
        "import asyncio; await asyncio.sleep(0.01); (await __import__('routelab.notebook').notebook.lab().router('good').aroute('hi')).text",
    ]
    cells = kernel.queue(*codes)
    assert [c.status for c in cells] == ["ok"] * len(codes)
    assert [c.streams for c in cells] == [""] * len(codes)
    assert [len(c.data) for c in cells] == [1, 1, 1, 0, 1, 1, 1, 1]
    assert cells[6].texts == ["('slept', 2)"]
    assert cells[7].texts == ["'It is 4.'"]
    counts = [c.count for c in cells if c.count is not None]
    assert counts == sorted(counts)


def test_an_error_is_two_lines_and_stops_run_all(kernel: Kernel) -> None:
    cells = kernel.queue("%%route chep\nhi", "never = 1")
    assert [c.status for c in cells] == ["error", "aborted"]
    assert (cells[0].error["ename"], cells[0].streams) == ("ConfigError", "")
    assert cells[0].error["traceback"] == [
        "ConfigError: unknown arm 'chep'; did you mean 'cheap'?",
        "  hint: `%routelab strategies` lists the arms",
    ]
    assert kernel.run("'never' in globals()").texts == ["False"]


def test_an_interrupt_cancels_within_a_second_keeps_what_is_finished_and_the_next_cell_works(kernel: Kernel) -> None:
    kernel.run("data = ['0.01 a', '30 b', '30 c']")
    sent = kernel.send("%%route slow --over data -o kept\n{{prompt}}")
    kernel.collect(
        [sent],
        until=lambda cells: (
            any("1/3" in u["data"]["text/plain"] for u in cells[sent].updates) or "1/3" in "".join(cells[sent].texts)
        ),
    )
    began = time.monotonic()
    kernel.manager.interrupt_kernel()
    [cell] = kernel.collect([sent])
    took = time.monotonic() - began
    assert cell.error["ename"] == "Interrupted"
    assert cell.error["traceback"] == ["Interrupted: stopped by you; 1 of 3 prompts are finished, kept in `kept`"]
    assert took < 10.0, "the calls would have taken 30 s"
    assert kernel.run("[a.text for a in kept.answers['slow']]").texts == ["['slept']"]
    assert kernel.run("%route -o x hi").status == "ok"


def test_a_job_runs_while_cells_run_and_can_be_stopped(kernel: Kernel) -> None:
    kernel.run("data = ['0.01 a', '0.01 b', '30 c']")
    shown = kernel.run("%%route slow --over data --bg -o job -j 2\n{{prompt}}")
    assert shown.texts[0].startswith("job 1 · data: 3 prompts × slow · ")
    assert shown.texts[1].startswith("Button(description='Stop'")
    busy = kernel.run("import time; time.sleep(0.5); job.done")
    assert busy.texts == ["False"]
    assert any("2/3" in u["data"]["text/plain"] for u in busy.updates)
    assert busy.streams == ""
    stopped = kernel.run(
        "job.cancel(); kept = job.result(); [a.text for a in kept.answers['slow']], job.done, job.state"
    )
    assert stopped.texts == ["(['slept', 'slept'], True, 'stopped')"]
    assert any(u["data"]["text/plain"].endswith("stopped") for u in stopped.updates)


def test_a_click_on_stop_stops_the_job(kernel: Kernel) -> None:
    assert kernel.run("%%route slow --bg -o job\n30 a").status == "ok"
    model = kernel.run("job._button.model_id").texts[0].strip("'")
    message = kernel.client.session.msg(
        "comm_msg", {"comm_id": model, "data": {"method": "custom", "content": {"event": "click"}}}
    )
    kernel.client.shell_channel.send(message)
    assert kernel.run("import time; time.sleep(0.3); job.done, job.state").texts == ["(True, 'stopped')"]


def test_settings_and_completion_work_over_the_protocol(kernel: Kernel) -> None:
    listed = kernel.run("%config RouteLab").streams
    assert re.findall(r"RouteLab\.(\w+)", listed)[:2] == ["arm", "budget_usd"]
    kernel.client.complete("%%route --dr", 12)
    reply: dict[str, Any] = {}
    while "matches" not in reply:
        reply = kernel.client.get_shell_msg(timeout=PATIENCE_S)["content"]
    assert reply["matches"] == ["--dry-run"]
    assert "%%route --dr"[: reply["cursor_start"]] + "--dry-run" == "%%route --dry-run"


def test_two_kernels_share_one_log(tmp_path: Path) -> None:
    with started(tmp_path) as one, started(tmp_path) as two:
        ids = {
            kernel: [
                kernel.send(SETUP),
                *(kernel.send(f"%%route slow -q --tag who={name}\n0.05 {i}") for i in range(15)),
            ]
            for kernel, name in ((one, "one"), (two, "two"))
        }
        for kernel, sent in ids.items():
            assert [c.status for c in kernel.collect(sent)] == ["ok"] * 16
        for kernel in (one, two):
            assert kernel.run("from routelab.notebook import lab; lab().log.flush(); lab().log.health.sound").texts == [
                "True"
            ]
        counted = one.run("lab().log.query('select tags, count(*) from runs group by all order by 1')").texts
    assert counted == ["""[('{"who":"one"}', 15), ('{"who":"two"}', 15)]"""]


def test_a_notebook_that_runs_without_a_browser_keeps_one_static_line(tmp_path: Path) -> None:
    import nbclient
    import nbformat

    codes = [
        SETUP,
        "data = ['0.3 a', '0.6 b']",
        "%%route slow --over data -o cmp\n{{prompt}}",
        "%%route slow --bg -o job\n0.3 c",
        "job.result().text",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in codes])
    nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    [line] = notebook.cells[2].outputs
    assert line["data"]["text/plain"].startswith("data: 2 prompts × slow · 2 answers · $0.0000300 · ")
    assert "<progress" not in line["data"]["text/html"]
    assert notebook.cells[3].outputs[0]["data"]["text/plain"].endswith(" · done")
    assert notebook.cells[4].outputs[0]["data"]["text/plain"] == "'slept'"
