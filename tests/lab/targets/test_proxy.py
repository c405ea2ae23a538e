"""Exported files in the real LiteLLM: whom its proxy asks. In a file of their own, so that a second worker can do the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from exported import configs, prompts, written

from routelab import Fleet
from routelab.lab.parity import verify


@pytest.mark.parity
@pytest.mark.parametrize("name", list(configs()))
def test_litellm_asks_whom_routelab_asks(name: str, fleet: Fleet, real: Callable[[str], Path], tmp_path: Path) -> None:
    config = configs()[name]
    exported, path = written(config, "litellm", fleet, tmp_path)
    parity = verify(config, exported, path, prompts(), fleet=fleet, python=real("litellm"))
    assert parity.ok, parity.table().text(width=300)
    compared = {check.name: check.n for check in parity.checks}
    few = ("remembered the second time", "a caller without a key is refused")
    assert min(n for check, n in compared.items() if check not in few) >= 500
    assert not any("ignores" in note for note in parity.notes)
    if config.cache.exact:
        assert "remembered the second time" in compared
    if name == "split":
        assert "who is asked after the drawn model fails" in compared
