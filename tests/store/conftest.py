"""Processes that write into a log, for tests of sharing and of crashes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Start = Callable[..., subprocess.Popen[str]]

PREAMBLE = """
import os, signal, sys, time
from routelab.core.errors import LogError
from routelab.store import Log
from routelab.testing.logs import a_run
path, *args = sys.argv[1:]
def say(*words):
    print(*words, flush=True)
"""


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a Python process that runs a script with a log's path in `path`; those still alive at the end are ended."""
    started: list[subprocess.Popen[str]] = []

    def go(script: str, path: Path, *args: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PREAMBLE + script, str(path), *map(str, args)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield go
    for process in started:
        process.kill()
        process.communicate()
