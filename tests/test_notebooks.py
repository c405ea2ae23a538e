"""The committed notebooks run, one cell at a time and all at once, and read well where nothing can run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from queue import Empty
from typing import Any

import nbformat
import pytest

from routelab.lab.datasets import shipped

NOTEBOOKS = sorted(p for p in shipped("notebooks").glob("*.ipynb") if not p.name.endswith(".executed.ipynb"))
QUICKSTART = "01_quickstart.ipynb"


def code_cells(path: Path) -> list[Any]:
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code" and c.source.strip()]


def test_the_quickstart_is_there() -> None:
    assert QUICKSTART in [p.name for p in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_saved_output_has_text_or_html_and_no_error(path: Path) -> None:
    for cell in code_cells(path):
        assert cell.execution_count is not None, f"not run: {cell.source[:60]}"
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            if output.output_type in ("execute_result", "display_data"):
                text = "".join(output.data.get("text/plain", "")) + "".join(output.data.get("text/html", ""))
                assert text.strip(), cell.source
                assert "application/vnd.jupyter.widget-view+json" not in output.data


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_saved_output_names_a_machine_or_a_process(path: Path) -> None:
    text = json.dumps([cell.outputs for cell in code_cells(path)])
    assert re.findall(r"/(?:home|root|tmp|work|Users)/[\w.-]+|\bpid\b ?\d+|0x[0-9a-f]{8,}", text, re.IGNORECASE) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_cell_is_longer_than_a_person_reads_at_a_glance(path: Path) -> None:
    assert [c.source for c in code_cells(path) if len(c.source.splitlines()) > 8] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_saved_notebook_turns_into_markdown_with_every_chart_as_a_table(path: Path) -> None:
    from nbconvert import MarkdownExporter

    body, _ = MarkdownExporter().from_filename(str(path))
    charts = sum("application/vnd.plotly.v1+json" in o.get("data", {}) for c in code_cells(path) for o in c.outputs)
    assert body.count("<table") >= charts
    assert "<script" not in body


@pytest.mark.kernel
def test_lab_execute_lays_a_copy_runs_every_cell_and_prints_the_comparison(tmp_path: Path) -> None:
    out = subprocess.run(
        [sys.executable, "-m", "routelab", "lab", "--execute"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    cells = len(code_cells(shipped("notebooks") / QUICKSTART))
    assert out.returncode == 0, out.stderr
    assert f"{cells} of {cells} cells ran" in out.stdout
    assert "SIMULATED" in out.stdout.upper()
    assert "claude-opus" in out.stdout
    assert (tmp_path / "notebooks" / "01_quickstart.executed.ipynb").is_file()


@pytest.mark.kernel
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_cell_runs_when_all_are_queued_at_once(path: Path, tmp_path: Path) -> None:
    # Sequential runners hide lost cells: "Run All" sends everything before the first answer is back, and so does this.
    from jupyter_client.manager import start_new_kernel

    shutil.copy(path, tmp_path)
    # Without the recorded data, as on most machines: their cells say so and go on.
    alone = {name: value for name, value in os.environ.items() if name != "ROUTELAB_SHARED"}
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path), env=alone)
    try:
        sent = {client.execute(cell.source): cell.source for cell in code_cells(path)}
        statuses: dict[str, str] = {}
        while len(statuses) < len(sent):
            try:
                reply = client.get_shell_msg(timeout=240)
            except Empty:
                break
            if reply["parent_header"].get("msg_id") in sent:
                statuses[reply["parent_header"]["msg_id"]] = reply["content"]["status"]
        lost = [source[:80] for key, source in sent.items() if statuses.get(key) != "ok"]
        assert lost == []
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
