"""The corpora of a session: named once, checked when they are named, used by every arm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from routelab.core.errors import ConfigError, DataError
from routelab.lab.corpora import Documents
from routelab.retrieving import Retrieval


def test_documents_are_given_as_paths_texts_lists_and_frames(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("one")
    corpora = Documents()
    corpora["path"] = tmp_path
    corpora["texts"] = {"x": "two"}
    corpora["list"] = ["three", "four"]
    corpora["frame"] = pd.DataFrame({"id": [1, 2], "text": ["five", "six"], "more": [0, 0]})
    assert {name: dict(corpora[name].texts) for name in corpora} == {
        "path": {"a.md": "one"},
        "texts": {"x": "two"},
        "list": {"1": "three", "2": "four"},
        "frame": {"1": "five", "2": "six"},
    }
    assert (len(corpora), "texts" in corpora, "other" in corpora) == (4, True, False)
    assert "4 corpora" in corpora.table().text()
    del corpora["texts"]
    assert list(corpora) == ["path", "list", "frame"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (7, "corpus n: cannot take documents from a int"),
        ({}, "corpus n: has no documents"),
        ([""], "corpus n: 1: is empty"),
        (pd.DataFrame({"id": [1]}), "corpus n: the frame has no column 'text'"),
        (pd.DataFrame({"id": [1, "1"], "text": ["a", "b"]}), "corpus n: the id '1' is there twice"),
        (pd.DataFrame({"id": [1], "text": [None]}), "corpus n: texts by source are wanted"),
        ("nowhere.md", "corpus n: nowhere.md: there is no such file or folder"),
    ],
)
def test_what_holds_no_documents_is_refused_when_it_is_named(given: Any, said: str) -> None:
    corpora = Documents()
    with pytest.raises(DataError) as trouble:
        corpora["n"] = given
    assert trouble.value.message.startswith(said)
    assert "n" not in corpora


def test_a_name_must_be_one_and_only_given_ones_can_be_taken_away() -> None:
    corpora = Documents()
    with pytest.raises(ConfigError, match="a name is wanted, not ''"):
        corpora[""] = ["x"]
    with pytest.raises(ConfigError, match="'x' was not given"):
        del corpora["x"]


def test_arms_share_a_library_and_documents_under_another_state_have_their_own() -> None:
    corpora = Documents()
    corpora["n"] = {"a": "Leave is two weeks."}
    wanted = Retrieval(corpus="n", by="words", k=1)
    one = corpora.libraries.finder(wanted)
    assert corpora.libraries.finder(wanted).load() is one.load()
    corpora["n"] = {"a": "Leave is three weeks."}
    assert "three" in corpora.libraries.finder(wanted)("leave").context
    assert "two" in one("leave").context
