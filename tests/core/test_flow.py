"""Laws of the interpreter: three nodes, one loop, and nothing swallowed but expected trouble."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.core.errors import BudgetExceeded, RoutelabError, TemplateError
from routelab.core.events import Admitted, Event, Failed
from routelab.core.flow import Chain, Flow, Repeat, Unless, chain, describe, fingerprint, play
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Prompt
from routelab.testing import VirtualClock


@dataclass(frozen=True)
class Say:
    """Return an event that carries a word."""

    word: str

    async def __call__(self, run: Run, world: World) -> Event:
        return Admitted(guards=(self.word,))


@dataclass(frozen=True)
class Break:
    """Raise what it was given."""

    error: Exception

    async def __call__(self, run: Run, world: World) -> Event:
        raise self.error


@dataclass(frozen=True)
class AtLeast:
    """Hold once the run has so many events."""

    n: int

    @property
    def __name__(self) -> str:
        return f"at_least_{self.n}"

    def __call__(self, run: Run) -> bool:
        return len(run.events) >= self.n


def a_run() -> Run:
    return Run(id="r", prompt=Prompt.of("hi"), started_at=datetime(2026, 1, 1))


def played(flow: Flow, run: Run | None = None, **world: Any) -> Run:
    return asyncio.run(play(flow, run or a_run(), World(**{"clock": VirtualClock(), **world})))


def words(run: Run) -> list[str]:
    """Say what happened, one word an event."""
    return ["failed" if isinstance(e, Failed) else e.guards[0] if isinstance(e, Admitted) else "?" for e in run.events]


def plainly(flow: Flow, said: list[str]) -> list[str]:
    """Play the flow over a list of words, as the docstrings of the nodes say it."""
    if isinstance(flow, Say):
        return [*said, flow.word]
    if isinstance(flow, Break):
        return [*said, "failed"]
    if isinstance(flow, Chain):
        for part in flow.parts:
            said = said if "failed" in said else plainly(part, said)
        return said
    if isinstance(flow, Unless):
        return said if len(said) >= flow.condition.n else plainly(flow.body, said)  # type: ignore[attr-defined]
    assert isinstance(flow, Repeat)
    for _ in range(flow.times):
        if "failed" not in said and len(said) < flow.until.n:  # type: ignore[attr-defined]
            said = plainly(flow.body, said)
    return said


conditions = st.builds(AtLeast, st.integers(0, 8))
stages = st.builds(Say, st.sampled_from("abcd")) | st.just(Break(BudgetExceeded("enough")))
flows: st.SearchStrategy[Any] = st.recursive(
    stages,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: Chain(tuple(parts))),
        st.builds(Unless, conditions, inner),
        st.builds(Repeat, inner, conditions, st.integers(0, 4)),
    ),
    max_leaves=8,
)
runs = st.lists(st.sampled_from("xyz"), max_size=4).map(
    lambda said: dataclasses.replace(a_run(), events=tuple(Admitted(guards=(w,)) for w in said))
)


@settings(deadline=None)
@given(flow=flows, run=runs)
def test_play_does_what_the_three_nodes_say(flow: Flow, run: Run) -> None:
    assert words(played(flow, run)) == plainly(flow, words(run))


@settings(deadline=None)
@given(flow=flows, run=runs)
def test_history_only_grows_and_everything_else_stays(flow: Flow, run: Run) -> None:
    after = played(flow, run)
    assert after.events[: len(run.events)] == run.events
    assert dataclasses.replace(after, events=run.events) == run


@settings(deadline=None)
@given(flow=flows, run=runs)
def test_the_witness_sees_every_event_once_and_in_order(flow: Flow, run: Run) -> None:
    seen: list[Run] = []
    after = played(flow, run, witness=seen.append)
    assert [r.events for r in seen] == [after.events[:n] for n in range(len(run.events) + 1, len(after.events) + 1)]


@settings(deadline=None)
@given(run=runs)
def test_an_empty_chain_changes_nothing(run: Run) -> None:
    assert played(chain(), run) == run


@settings(deadline=None)
@given(a=flows, b=flows, c=flows, run=runs)
def test_chains_may_be_nested_either_way(a: Flow, b: Flow, c: Flow, run: Run) -> None:
    flat = played(chain(a, b, c), run)
    assert played(chain(chain(a, b), c), run) == flat
    assert played(chain(a, chain(b, c)), run) == flat
    assert played(chain(a, chain(), b, c, chain()), run) == flat


@settings(deadline=None)
@given(flow=flows, run=runs)
def test_unless_is_all_or_nothing(flow: Flow, run: Run) -> None:
    assert played(Unless(AtLeast(0), flow), run) == run
    assert played(Unless(AtLeast(99), flow), run) == played(flow, run)


@settings(deadline=None)
@given(flow=flows, run=runs, times=st.integers(0, 5), enough=st.integers(0, 9))
def test_repeat_keeps_its_bounds(flow: Flow, run: Run, times: int, enough: int) -> None:
    rounds: list[int] = []

    @dataclass(frozen=True)
    class Counted:
        async def __call__(self, run: Run, world: World) -> Event:
            rounds.append(len(run.events))
            return Admitted(guards=("n",))

    played(Repeat(chain(Counted(), flow), AtLeast(enough), times), run)
    assert len(rounds) <= times
    assert all(n < enough for n in rounds)
    assert played(Repeat(flow, AtLeast(enough), 0), run) == run


@pytest.mark.parametrize("error", [BudgetExceeded("no money", hint="more"), TemplateError("x"), RoutelabError("y")])
def test_expected_trouble_becomes_one_event_and_ends_the_chain(error: RoutelabError) -> None:
    run = played(chain(Say("a"), Break(error), Say("never")))
    assert run.events == (
        Admitted(guards=("a",)),
        Failed(stage="break", error=type(error).__name__, message=str(error)),
    )
    assert run.status == "failed"


@pytest.mark.parametrize("error", [ValueError("a bug"), AssertionError(), KeyError("k"), asyncio.CancelledError()])
def test_any_other_exception_passes_through_with_the_history_until_then_witnessed(error: Exception) -> None:
    seen: list[Run] = []
    with pytest.raises(type(error)):
        played(chain(Say("a"), Break(error), Say("never")), witness=seen.append)
    assert [words(r) for r in seen] == [["a"]]


def test_a_failed_run_is_not_repeated() -> None:
    asked: list[int] = []

    @dataclass(frozen=True)
    class Fail:
        async def __call__(self, run: Run, world: World) -> Event:
            asked.append(1)
            raise BudgetExceeded("no")

    run = played(Repeat(Fail(), AtLeast(99), 5))
    assert (len(asked), run.status) == (1, "failed")


@pytest.mark.parametrize("jumps", [(0.0, 0.5, 0.25), (0.0, -3600.0, 5.0), (-1.0, -1.0, -1.0)])
def test_times_never_go_backwards_even_when_the_clock_does(jumps: tuple[float, ...]) -> None:
    clock = VirtualClock()
    moves = iter(jumps)

    @dataclass(frozen=True)
    class Jump:
        async def __call__(self, run: Run, world: World) -> Event:
            clock.elapsed += next(moves)
            return Admitted()

    times = [e.at_s for e in played(chain(Jump(), Jump(), Jump()), clock=clock).events]
    assert times == sorted(times)
    assert times[0] >= 0.0
    assert times[-1] == sum(max(0.0, j) for j in jumps)


def test_a_flow_prints_as_an_outline_and_its_fingerprint_changes_with_its_shape() -> None:
    def done(run: Run) -> bool:
        return False

    flow = chain(Say("a"), Unless(done, Repeat(Say("b"), done, 3)))
    assert describe(flow).splitlines() == [
        "in order:",
        "  say",
        "  unless done:",
        "    until done, at most 3×:",
        "      say",
    ]
    others: list[Flow] = [chain(Say("a")), chain(Say("a"), Unless(done, Repeat(Say("b"), done, 4))), Say("a")]
    assert len({fingerprint(f) for f in [flow, *others]}) == 4
    conditions: list[Callable[[Run], bool]] = [done, lambda run: True]
    assert fingerprint(Unless(conditions[0], flow)) != fingerprint(Unless(conditions[1], flow))
