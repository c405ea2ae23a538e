"""What a collection says while it runs, in a notebook and in a terminal."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from routelab.core.errors import BudgetExceeded
from routelab.lab.collect import Headway
from routelab.lab.forecast import Forecast, Share
from routelab.lab.headway import Told, expected, moving, span, still
from routelab.lab.session import Lab
from routelab.present.live import Terminal
from routelab.testing import Scripted, fleet


class Kept:
    """A line that keeps what it was shown, with whether that stays."""

    def __init__(self, shown: list[tuple[str, bool]]) -> None:
        self.shown = shown

    def put(self, text: str, *, share: float | None = None, last: bool = False) -> None:
        self.shown.append((text, last))


SHARE = Share(
    model="m", calls=1200, known=0, input_tokens=(1, 40_000, 3), output_tokens=(1, 9000, 3), usd=(0.1, 0.42, 0.9)
)
AT = Headway(
    done=0,
    total=1200,
    spent_usd=0.0,
    errors=0,
    unpriced=0,
    left_s=None,
    before_usd=0.0,
    forecast=Forecast(shares=(SHARE,), missing=1200),
)


def test_the_estimate_has_calls_tokens_money_and_time_where_waits_are_known() -> None:
    assert expected("quiz", AT, 8) == (
        "collect quiz: 1,200 calls · ≈ 40,000 tokens in, 9,000 out · ≈ $0.42 (90 %: $0.10 to $0.90)"
    )
    said = dataclasses.replace(AT.forecast, waits_s={"m": 2.0}, kept=30)
    again = dataclasses.replace(AT, forecast=said, before_usd=0.05)
    assert expected("quiz", again, 8).endswith(" · ≈ 5 min · 30 answers are in the log · $0.0500 spent before")
    simulated = dataclasses.replace(AT, forecast=dataclasses.replace(AT.forecast, simulated=True))
    assert expected("quiz", simulated, 8).startswith("simulated: collect quiz")
    nothing = dataclasses.replace(AT, total=0, forecast=Forecast(shares=(), kept=60))
    assert expected("quiz", nothing, 8) == "collect quiz: all 60 answers are in the log"


def test_the_line_has_done_spent_errors_and_time_left() -> None:
    at = dataclasses.replace(AT, done=300, spent_usd=0.1, errors=2, left_s=95.0)
    assert moving(AT) == "0/1,200 · $0"
    assert moving(at) == "300/1,200 · $0.10 · 2 errors · 1 min 35 s left"
    assert still(at, 33.0, "budget spent") == "300 of 1,200 answers · $0.10 · 2 errors · 33 s · budget spent"
    unpriced = dataclasses.replace(at, done=1200, errors=1, unpriced=7)
    assert still(unpriced, 33.0) == "1,200 answers · at least $0.10 (7 without a price) · 1 error · 33 s"
    assert [span(s) for s in (0.4, 59.6, 3600)] == ["0 s", "1 min", "1 h 0 min"]


def test_it_is_told_four_times_a_second_at_most_and_its_end_stays() -> None:
    shown: list[tuple[str, bool]] = []
    times = iter([0.0, 0.0, 0.1, 0.3, 0.3, 0.4, 1.0])
    told = Told("quiz", 8, lambda: Kept(shown), clock=lambda: next(times))
    told(AT)
    told(dataclasses.replace(AT, done=1))
    told(dataclasses.replace(AT, done=2))
    told(dataclasses.replace(AT, done=3))
    told.end()
    assert shown == [
        (expected("quiz", AT, 8), True),
        ("2/1,200 · $0", False),
        ("3 of 1,200 answers · $0 · 1 s", True),
    ]


def test_a_terminal_is_written_over_and_a_file_is_left_alone() -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen, file = Screen(), io.StringIO()
    for stream in (screen, file):
        line = Terminal(stream)
        line.put("1/2 \x1b[31m")
        line.put("2 answers", last=True)
    assert (screen.getvalue(), file.getvalue()) == ("\r1/2 �[31m\x1b[K\r2 answers\x1b[K\n", "")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a notebook's cell shows, in the order in which it is published."""
    texts: list[str] = []

    def publish(*, data: dict[str, str], **_: Any) -> None:
        texts.append(data["text/plain"])

    shell = SimpleNamespace(kernel=object(), display_pub=SimpleNamespace(publish=publish))
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    return texts


def test_a_notebook_sees_the_price_before_the_first_call_and_one_line_after_it(shown: list[str]) -> None:
    class Late(Scripted):
        async def complete(self, request: Any, emit: Any) -> Any:
            assert shown
            return await super().complete(request, emit)

    with Lab(fleet=fleet({"a": Late("yes")}, max_output_tokens=50)) as lab:
        lab.collect(["one", "two", "three"], "a", name="quiz")
        lab.collect(["one", "two", "three"], ["a"], name="quiz")
    assert shown[0].startswith("collect quiz: 3 calls · ≈ ")
    assert shown[-2].startswith("3 answers · $0.0000")
    assert shown[-1] == "collect quiz: all 3 answers are in the log"


def test_a_spent_budget_and_a_listener_of_ones_own_are_respected(shown: list[str], tmp_path: Path) -> None:
    with Lab(fleet=fleet({"a": Scripted("yes")}, max_output_tokens=50)) as lab:
        with pytest.raises(BudgetExceeded):
            lab.collect([f"question {i}" for i in range(40)], ["a"], name="quiz", budget_usd=0.0006, jobs=1)
        assert "budget spent" in shown[-1]
        before = len(shown)
        heard: list[Headway] = []
        lab.collect(["other"], ["a"], name="other", heard=heard.append)
    assert len(shown) == before
    assert [at.done for at in heard] == [0, 1]


def test_the_log_knows_how_long_a_model_takes() -> None:
    with Lab(fleet=fleet({"a": Scripted("yes", latency_s=2.0), "b": Scripted("yes")})) as lab:
        lab.collect([f"q {i}" for i in range(5)], ["a"], name="one")
        assert lab.estimate([f"r {i}" for i in range(80)], "a").time_s(8) == pytest.approx(20.0)
        assert lab.estimate(["r"], ["a", "b"]).time_s(8) is None
