"""Tests of what recorded answers can tell about arms that send a model other words."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from routelab.config import RouteConfig
from routelab.core.errors import UnavailableError
from routelab.lab.asked import replayable, worded
from routelab.lab.replay import replay

PLAIN = RouteConfig(name="plain", models=["a", "b"], strategy={"kind": "fixed", "model": "a"})
BRIEF = dataclasses.replace(PLAIN, name="brief", prompt={"system": "Be brief."})
SHORT = dataclasses.replace(PLAIN, name="short", context={"kind": "window", "turns": 3})
OTHER = dataclasses.replace(BRIEF, name="other", strategy={"kind": "fixed", "model": "b"})


RATED = np.arange(40).reshape(20, 2) % 3 > 0


def test_what_a_model_is_sent_is_told_from_what_decides_who_is_asked() -> None:
    assert worded(PLAIN) == {} == worded(PLAIN.ranking)
    assert worded(BRIEF) == {"prompt": {"system": "Be brief."}}
    assert worded(SHORT) == {"context": {"kind": "window", "turns": 3}}


@pytest.mark.parametrize(("arm", "key"), [(BRIEF, "`prompt`"), (SHORT, "`context`")])
def test_arms_that_differ_in_words_only_are_refused_by_a_replay(cube: Any, arm: RouteConfig, key: str) -> None:
    with pytest.raises(UnavailableError, match=f"arms 'one' and 'two' differ in {key} only") as refused:
        replay(cube(RATED), {"one": PLAIN, "two": arm})
    assert refused.value.hint == "lab.compare(data, arms) asks them live"


def test_arms_that_also_send_other_words_are_replayed_with_a_note(cube: Any) -> None:
    assert replayable({"one": BRIEF, "two": OTHER}) == ()
    [note] = replayable({"one": PLAIN, "two": OTHER, "three": PLAIN.ranking})
    assert note.startswith("arms differ in what they send a model: two (prompt);")
    assert note in replay(cube(RATED), {"one": PLAIN, "two": OTHER}).terms.notes
