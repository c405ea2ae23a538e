"""Saving an arm from a panel: the preview is the file, what is lost is listed, and nothing is replaced unasked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compared import asked, cube

from routelab import strict
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.lab.compare import Comparison
from routelab.lab.replay import replay
from routelab.panels.exporting import Export, Exporting, preview, save
from routelab.strategies import Fixed, Random, Rules, Semantic


def compared(arms: dict[str, Any] | None = None) -> Comparison:
    """A comparison in which the cheap model is as good as the dear one at everything."""
    prompts = asked(400)
    quality = np.ones((400, 2))
    quality[::20] = 0.0
    config = RouteConfig(name="cheap", models=("a",), strategy=Fixed(model="a"))
    return replay(cube(prompts, quality.tolist(), dataset="made"), arms or {"cheap": config}, baseline="b", margin=0.05)


def settled(exporting: Exporting) -> None:
    assert exporting.job is not None
    exporting.job.wait(30)


def test_the_preview_is_what_is_written_with_the_evidence_and_it_reads_back_equal(tmp_path: Path) -> None:
    what = Export(comparison=compared(), arm="cheap")
    found = preview(what, to="routelab")
    assert save(what, tmp_path / "w.yaml", to="routelab") == (tmp_path / "w.yaml",)
    assert (tmp_path / "w.yaml").read_text(encoding="utf-8") == found.text
    assert RouteConfig.from_yaml(tmp_path / "w.yaml") == what.comparison["cheap"].config
    assert what.status == "confirmed"
    assert strict.parse(found.text, name="w").values["evidence"]["status"] == "confirmed"
    assert found.files == ("winner.yaml",)
    assert found.lossy.rows == ()


def test_an_arm_that_did_not_win_is_stamped_unconfirmed() -> None:
    config = RouteConfig(name="dear", models=("b",), strategy=Fixed(model="b"))
    what = Export(comparison=compared({"dear": config}), arm="dear")
    assert what.status == "unconfirmed"
    assert strict.parse(preview(what, to="routelab").text, name="w").values["evidence"]["status"] == "unconfirmed"


@pytest.mark.parametrize("to", ["litellm", "vllm-sr"])
def test_another_router_gets_its_file_and_the_list_of_what_it_cannot_say(to: str) -> None:
    found = preview(Export(comparison=compared(), arm="cheap"), to=to)
    assert "evidence" in found.text
    assert found.lossy.rows
    assert found.lossy.caption.startswith(to)


def test_what_was_learned_lies_beside_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    prompts = asked(400, tasks=("sums", "songs"))
    quality = (rng.random((400, 2)) < 0.8).astype(float)
    routes = {"sums": {"models": ("a",)}, "songs": {"models": ("b",)}}
    arm = RouteConfig(
        name="routes",
        models=("a", "b"),
        strategy=Semantic(routes=routes, vote="knn", embedder={"kind": "lexical", "dimensions": 512}),
    )
    comparison = replay(cube(prompts, quality.tolist()), {"routes": arm})
    what = Export(comparison=comparison, arm="routes")
    files = save(what, tmp_path / "w.yaml", to="routelab")
    assert [f.name for f in files] == ["w.npz", "w.yaml"]
    assert RouteConfig.from_yaml(tmp_path / "w.yaml") == comparison["routes"].config
    (tmp_path / "w.yaml").unlink()
    with pytest.raises(ConfigError, match=r"w\.npz: is there already"):
        save(what, tmp_path / "w.yaml", to="routelab")


def test_nothing_is_replaced_unless_that_is_ticked(tmp_path: Path) -> None:
    what = Export(comparison=compared(), arm="cheap")
    exporting = Exporting()
    exporting.offer(what)
    settled(exporting)
    path = tmp_path / "mine.yaml"
    path.write_text("mine", encoding="utf-8")
    exporting.path.value = str(path)
    exporting.button.click()
    settled(exporting)
    assert exporting.line.text == f"✗ {path}: is there already, so nothing was written"
    assert path.read_text(encoding="utf-8") == "mine"
    exporting.overwrite.value = True
    exporting.button.click()
    settled(exporting)
    assert exporting.line.text == f"wrote {path}"
    assert RouteConfig.from_yaml(path) == what.comparison["cheap"].config
    # Once is not for ever.
    assert exporting.overwrite.value is False


@pytest.mark.parametrize(
    ("path", "said"), [("", "path: name a file"), ("{}", "is a folder"), ("{}/no/w.yaml", "cannot be written")]
)
def test_a_path_that_cannot_be_used_is_one_line(path: str, said: str, tmp_path: Path) -> None:
    exporting = Exporting()
    exporting.offer(Export(comparison=compared(), arm="cheap"))
    exporting.path.value = path.format(tmp_path)
    exporting.button.click()
    settled(exporting)
    assert said in exporting.line.text


def test_the_target_changes_the_preview_and_the_name_of_a_file_that_nobody_named() -> None:
    exporting = Exporting()
    exporting.offer(Export(comparison=compared(), arm="cheap"))
    exporting.target.value = "litellm"
    settled(exporting)
    assert exporting.path.value == "litellm.yaml"
    assert exporting.made is not None
    assert "model_list" in exporting.made.text
    assert "not exactly what routelab does" in exporting._lossy.value
    exporting.path.value = "own.yaml"
    exporting.target.value = "vllm-sr"
    settled(exporting)
    assert exporting.path.value == "own.yaml"
    assert exporting.widget.layout.display == ""
    exporting.clear()
    assert exporting.widget.layout.display == "none"
    assert not exporting.offered


def test_a_target_that_cannot_decide_so_says_so_and_shows_no_text() -> None:
    arm = RouteConfig(name="dice", models=("a", "b"), strategy=Random())
    exporting = Exporting()
    exporting.offer(Export(comparison=compared({"dice": arm}), arm="dice"))
    exporting.target.value = "vllm-sr"
    settled(exporting)
    assert exporting.line.text.startswith("✗ strategy random: vllm-sr")
    assert exporting.made is None
    exporting.target.value = "routelab"
    settled(exporting)
    assert exporting.line.text == ""
    assert exporting.made is not None


def test_hostile_names_are_text_in_the_preview() -> None:
    evil = "<img src=x onerror=alert(1)>"
    arm = RouteConfig(
        name=evil, models=("a",), strategy=Rules(table={evil: ("a",)}, default=("a",), patterns={}, tasks="given")
    )
    exporting = Exporting()
    exporting.offer(Export(comparison=compared({evil: arm}), arm=evil))
    settled(exporting)
    assert "<img" not in exporting._text.value + exporting._head.value
    assert "&lt;img" in exporting._text.value
