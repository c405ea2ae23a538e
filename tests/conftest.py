"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with recorded data that is not part of the repository; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("ROUTELAB_SHARED", ROOT.parent / "shared"))
    if not (folder / "data" / "outcomes.csv.gz").is_file():
        pytest.skip("the recorded data is not here (ROUTELAB_SHARED or ../shared)")
    return folder
