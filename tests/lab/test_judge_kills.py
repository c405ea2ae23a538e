"""Judging that is killed again and again ends as if nothing had happened, and next to nothing is paid twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
JOBS, CELLS = 4, 40 * 3

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks, and kills with SIGKILL")


@pytest.mark.parametrize("seed", [3, *(pytest.param(s, marks=pytest.mark.soak) for s in (11, 12))])
def test_eight_kills_at_random_moments_lose_no_verdict_and_pay_for_none_twice(tmp_path: Path, seed: int) -> None:
    command = [sys.executable, "-W", "error", str(HERE / "judging.py"), str(tmp_path), "8", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    kills = sum(r["killed"] for r in found["rounds"])
    assert kills >= 5
    whole, broken = found["whole"], found["broken"]
    # Some verdicts cannot be read and are asked for once more.
    assert CELLS <= whole["paid"] <= 2 * CELLS
    # What is paid twice was in flight when its process was killed: at most two questions of each worker.
    assert whole["paid"] <= broken["paid"] <= whole["paid"] + 2 * JOBS * kills
    # Every verdict that was ever reported as finished is still there after the next kill, and is not asked for again.
    safe = [r["safe"] for r in found["rounds"]]
    assert safe == sorted(safe)
    assert max(safe) > JOBS
    assert broken["doubled"] == 0
    assert broken["verdicts"] == whole["verdicts"]
    assert any("cut off by a kill" in note for note in broken["notes"])
