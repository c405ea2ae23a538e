"""TAB on our lines, through IPython's own completer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from routelab.lab.charts import KINDS
from routelab.notebook.asking import FLAGS
from routelab.notebook.commands import COMMANDS

if TYPE_CHECKING:
    from tests.notebook.conftest import Cells


def complete(cells: Cells, text: str) -> list[str]:
    """Return what TAB offers at the end of the text."""
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        found = list(cells.shell.Completer.completions(text, len(text)))
    return [c.text for c in found]


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("%%route --o", ["--out", "--over"]),
        ("%%route cheap --dr", ["--dry-run"]),
        ("%route --dr", ["--dry-run"]),
        ("%%route ch", ["cheap"]),
        ("%%route cheap g", ["good"]),
        ("%%route r", ["rules", "random"]),
        ("%%route mi", ["mine"]),
        ("%%route -m ", ["cheap", "good"]),
        ("%%route --model go", ["good"]),
        ("%%route --over que", ["questions"]),
        ("%%route --over work", ["workbench"]),
        ("%%route --score e", ["exact"]),
        ("%%route --system $shor", ["$shorter"]),
        ("%%route $mi", ["$mine"]),
        ("%%route --score sh", ["shorter"]),
        ("x = 1\n%routelab st", ["status", "strategies"]),
        ("%routelab use go", ["good"]),
        ("%routelab cache ", ["stats", "clear"]),
        ("%routelab log --l", ["--last"]),
        ("%routelab export w.yaml --t", ["--to"]),
        ("%routelab export w.yaml --to ", ["routelab", "litellm", "vllm-sr"]),
        ("%routeplot fr", ["frontier"]),
        ("%routeplot mix lo", ["log"]),
        ("%routeplot mix --by ", ["arm", "model"]),
        ("%%route --over questions\nQ: {{ques", ["question", "questions"]),
        ("%%route --over questions\nQ: {{go", ["gold"]),
    ],
)
def test_tab_offers_what_fits(cells: Cells, text: str, offered: list[str]) -> None:
    cells.run(
        "from routelab import RouteConfig\ndef shorter(answer, prompt): return 1\n"
        "mine = RouteConfig(name='mine', models=['good'], strategy={'kind': 'fixed', 'model': 'good'})"
    )
    cells.names["questions"] = pd.DataFrame({"question": ["a"], "gold": ["b"]})
    assert complete(cells, text) == offered


def test_tab_offers_everything_there_is(cells: Cells) -> None:
    assert set(complete(cells, "%%route --")) == {flag.long for flag in FLAGS}
    assert complete(cells, "%routelab ") == list(COMMANDS)
    assert complete(cells, "%routeplot ") == list(KINDS)


def test_tab_elsewhere_is_left_to_others(cells: Cells) -> None:
    cells.names["frontiers"] = 1
    assert "frontiers" in complete(cells, "fronti")
    assert "--out" not in complete(cells, "%%timeit --o")
    assert "--out" not in complete(cells, "%%route cheap\nis --o")


def test_completing_opens_no_log(cells: Cells) -> None:
    cells.bench.reopen()
    complete(cells, "%%route ")
    assert cells.bench._lab is None
