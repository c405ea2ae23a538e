"""Agreement and cascades as candidates: whom to ask and which bars to set is learned, so a fold is judged by what others chose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from routelab.config import RouteConfig
from routelab.gates import LOGPROBS
from routelab.lab.consensus import agreeing, board
from routelab.lab.controls import best_single, mean_costs
from routelab.lab.outcomes import Outcomes
from routelab.lab.sources.candidate import Candidate
from routelab.strategies import Cascade
from routelab.strategies.agreement import LAST

TOLERANCES = (0.0, 0.01)
SIZES = (2, 3)
RECORDED_MOST = 3


def cascades(tune: Outcomes) -> Iterator[Candidate]:
    """Yield agreement of two and of three cheap models, learned gates over the same models, and gates that were recorded.

    What looks at answers needs their texts. There are none without costs: a cascade can only save.
    """
    costs, best = mean_costs(tune), best_single(tune)
    if best is None or len(tune.models) < 2 or bool((costs != costs).any()):
        return
    whole = board(tune) if _spoken(tune) else None
    if whole is not None:
        for size in (s for s in SIZES if any(True for _ in whole.orders(s))):
            yield Candidate(name=f"agreement-{size}", arm=_agreement(f"agreement-{size}", size, None))
            name = f"agreement-{size}-tol{TOLERANCES[-1]:g}"
            yield Candidate(name=name, arm=_agreement(name, size, TOLERANCES[-1]))
            for tolerance in TOLERANCES:
                name = f"cascade-learned-{size + 1}-tol{tolerance:g}"
                yield Candidate(name=name, arm=_learned(name, size, tolerance))
    for key in tune.gates:
        for tolerance in TOLERANCES:
            name = f"cascade-{key}-tol{tolerance:g}"
            yield Candidate(name=name, arm=_recorded(name, key, tolerance))


def _spoken(tune: Outcomes) -> bool:
    """Return whether any text was recorded: a file may have the column and leave it blank for a data set."""
    return any(tune.reply(prompt.id, model) is not None for prompt in tune.prompts for model in tune.models)


def _agreement(name: str, size: int, tolerance: float | None) -> Callable[[Outcomes], Any]:
    def arm(outcomes: Outcomes) -> RouteConfig:
        return RouteConfig(name=name, strategy=agreeing(outcomes, size=size, tolerance=tolerance))

    return arm


def _learned(name: str, size: int, tolerance: float) -> Callable[[Outcomes], Any]:
    def arm(outcomes: Outcomes) -> RouteConfig:
        # A learned gate takes the answer that it judged, so whom to ask is chosen for that.
        order = agreeing(outcomes, size=size, answers=(LAST,)).models
        cascade = Cascade(order=order, gate={"scorer": "learned"}, tolerance=tolerance)
        return RouteConfig(name=name, strategy=cascade.fit(outcomes.only(order)))

    return arm


def _recorded(name: str, key: str, tolerance: float) -> Callable[[Outcomes], Any]:
    def arm(outcomes: Outcomes) -> RouteConfig:
        # What replays by its own name and also judges live is worth more than a score that nobody gives to new answers.
        gate = {"scorer" if key in LOGPROBS else "recorded": key, "at_least": "fit"}
        cascade = Cascade(gate=gate, tolerance=tolerance, most=RECORDED_MOST).fit(outcomes)
        return RouteConfig(name=name, strategy=cascade)

    return arm
