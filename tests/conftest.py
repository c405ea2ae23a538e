"""Shared fixtures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A shell that starts a job in the background lets it ignore Ctrl-C, and Python keeps what it inherits: tests that interrupt
# would wait for ever for a KeyboardInterrupt. The processes that tests start inherit this one's way.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with recorded data that is not part of the repository; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("ROUTELAB_SHARED", ROOT.parent / "shared"))
    if not (folder / "data" / "outcomes.csv.gz").is_file():
        pytest.skip("the recorded data is not here (ROUTELAB_SHARED or ../shared)")
    return folder


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest) -> Callable[..., str]:
    """What a program prints in other processes, each with a hash seed of its own; it must be the same in all of them.

    A program may import the modules of the tests beside the one that asks.
    """

    def said(code: str, told: str = "") -> str:
        found = {
            subprocess.run(
                [sys.executable, "-W", "ignore", "-c", code],
                input=told,
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT}{os.pathsep}{request.path.parent}"},
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
