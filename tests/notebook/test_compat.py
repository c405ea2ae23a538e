"""The opt-in helper for cells that call asyncio.run themselves; each case in an interpreter of its own, because it patches asyncio."""

from __future__ import annotations

import subprocess
import sys

import pytest

NESTED = """
import asyncio
async def inner(): return 42
async def outer():
    from routelab.notebook.compat import enable_nested_asyncio
    enable_nested_asyncio(); enable_nested_asyncio()
    return asyncio.run(inner())
print(asyncio.run(outer()))
"""
PATCHED = """
import asyncio
asyncio._nest_patched = True
from routelab.notebook.compat import enable_nested_asyncio
try:
    enable_nested_asyncio()
except Exception as trouble:
    print(type(trouble).__name__, trouble.message)
"""
MISSING = """
import sys
sys.modules["nest_asyncio2"] = None
from routelab.notebook.compat import enable_nested_asyncio
try:
    enable_nested_asyncio()
except Exception as trouble:
    print(type(trouble).__name__, trouble)
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (NESTED, "42\n"),
        (
            PATCHED,
            "ConfigError nest_asyncio has already patched this kernel's loop, and on ipykernel 7 it loses queued cells\n",
        ),
        (MISSING, "ConfigError nest_asyncio2 is not installed\n  hint: pip install nest-asyncio2\n"),
    ],
)
def test_asyncio_run_works_inside_a_loop_or_it_says_why_not(code: str, said: str) -> None:
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (out.stdout, out.returncode) == (said, 0), out.stderr


def test_nothing_of_ours_calls_it() -> None:
    from pathlib import Path

    import routelab

    folder = Path(routelab.__file__).parent
    naming = {p.name for p in folder.rglob("*.py") if "enable_nested_asyncio" in p.read_text(encoding="utf-8")}
    assert naming == {"compat.py"}
