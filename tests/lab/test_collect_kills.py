"""A collection that is killed again and again ends as if nothing had happened, and next to nothing is paid twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
JOBS, CELLS = 4, 30 * 4

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks, and kills with SIGKILL")


def after(folder: Path, kills: int, seed: int) -> Any:
    command = [sys.executable, "-W", "error", str(HERE / "collecting.py"), str(folder), str(kills), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "seed", [3, *(pytest.param(s, marks=pytest.mark.soak) for s in (11, 12, 13, 14))], ids=lambda s: f"seed{s}"
)
def test_twenty_kills_at_random_moments_lose_nothing_and_change_nothing(tmp_path: Path, seed: int) -> None:
    found = after(tmp_path, kills=20, seed=seed)
    kills = sum(r["killed"] for r in found["rounds"])
    assert kills >= 15
    whole, broken = found["whole"], found["broken"]
    assert whole["paid"] <= CELLS
    # What is paid twice was in flight when its process was killed: sent, and not yet safe.
    assert whole["paid"] <= broken["paid"] <= whole["paid"] + JOBS * kills
    assert [r for k, r in enumerate(found["rounds"], start=1) if r["paid"] - r["safe"] > JOBS * k] == []
    # Every answer that was ever reported as finished is still there after the next kill, and is not asked for again.
    safe = [r["safe"] for r in found["rounds"]]
    assert safe == sorted(safe)
    assert broken["doubled"] == 0
    assert broken["arrays"] == whole["arrays"]
    assert found["waiting"] == []
