"""Small files after the real formats, written for these tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).resolve().parent / "files"


@pytest.fixture(scope="session")
def files() -> Path:
    """The folder with one small result of each program."""
    return FILES


@pytest.fixture
def lines(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as JSON lines; bytes are written as they are."""

    def write(*rows: Any, name: str = "log.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in rows))
        return path

    return write


@pytest.fixture
def payload(files: Path) -> Callable[..., dict[str, Any]]:
    """A LiteLLM payload with some fields changed."""
    first = (files / "litellm.jsonl").read_text(encoding="utf-8").splitlines()[0]

    def changed(**fields: Any) -> dict[str, Any]:
        return {**json.loads(first), "request_tags": [], **fields}

    return changed
