"""What tests of strategies share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def elsewhere() -> Callable[..., str]:
    """What a program prints in other processes, each with a hash seed of its own; it must be the same in all of them.

    A program may import the modules of the tests.
    """
    folders = (ROOT, ROOT / "tests" / "strategies", ROOT / "tests" / "strategies" / "predictors")

    def said(code: str, told: str = "") -> str:
        found = {
            subprocess.run(
                [sys.executable, "-W", "ignore", "-c", code],
                input=told,
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(map(str, folders))},
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed in ("0", "4242")
        }
        [same] = found
        return same

    return said
