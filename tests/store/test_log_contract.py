"""Both kinds of log keep the contract."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from routelab.core.ports import Log as LogPort
from routelab.store import Log
from routelab.testing.logs import LogContract


class TestALogOnDisk(LogContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def log(self) -> contextlib.AbstractContextManager[LogPort]:
        return Log(self.folder / "log.duckdb")


class TestALogInMemory(LogContract):
    def log(self) -> contextlib.AbstractContextManager[LogPort]:
        return Log(":memory:")
