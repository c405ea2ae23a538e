"""Work that is handed over when it is there, and trouble that is one line."""

from __future__ import annotations

from typing import Any

import pytest

from routelab.core.errors import DataError
from routelab.panels.later import later
from routelab.panels.parts import Guard, Line


def test_what_came_of_the_work_is_handed_over() -> None:
    found: list[Any] = []
    later("work", lambda: 3, found.append, Guard(Line())).wait(10)
    assert found == [3]


def test_expected_trouble_is_one_line_and_nothing_is_handed_over() -> None:
    found: list[Any] = []
    line = Line()

    def work() -> None:
        raise DataError("no such thing", hint="look elsewhere")

    job = later("work", work, found.append, Guard(line))
    job.wait(10)
    assert job.error is None
    assert (line.text, found) == ("✗ no such thing", [])
    assert "look elsewhere" in line.widget.value


def test_a_bug_is_said_and_makes_the_job_fail() -> None:
    line = Line()
    job = later("work", lambda: 1 / 0, lambda _: None, Guard(line))
    with pytest.raises(ZeroDivisionError):
        job.result(10)
    assert line.text == "✗ ZeroDivisionError: division by zero"
