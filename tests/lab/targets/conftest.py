"""The fleet of the exports, and the real programs' own environments."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from exported import FLEET

from routelab import Fleet

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    """Seven models: two services with keys, Gemini, a server without a key, two gateways, one price unknown."""
    return Fleet.from_mapping(FLEET)


@pytest.fixture
def regenerate() -> bool:
    """Whether the golden files are written anew (ROUTELAB_GOLDEN=write), to be read by a person before they are committed."""
    return os.environ.get("ROUTELAB_GOLDEN") == "write"


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker."""
    config.addinivalue_line("markers", "parity: loads exported files into the real programs, in their own environments")


@pytest.fixture(scope="session")
def real() -> Callable[[str], Path]:
    """Return the Python of a target's own environment; made once under ROUTELAB_PARITY_ENVS, skipped when that is not set."""

    def python(name: str) -> Path:
        folder = os.environ.get("ROUTELAB_PARITY_ENVS")
        if not folder:
            pytest.skip("ROUTELAB_PARITY_ENVS names no folder for the real programs' environments")
        path = Path(folder) / name / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        if not path.is_file():
            subprocess.run([sys.executable, "-m", "venv", str(Path(folder) / name)], check=True)
            wanted = HERE / f"requirements-{name}.txt"
            subprocess.run([str(path), "-m", "pip", "install", "-q", "-r", str(wanted)], check=True)
        return path

    return python
