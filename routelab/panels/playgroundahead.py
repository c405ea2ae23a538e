"""What an arm would do with a prompt: who would be asked in which order, why, and for how much. Nobody is asked."""

from __future__ import annotations

from dataclasses import dataclass

from routelab.core.values import Prompt
from routelab.gates import asked_by
from routelab.lab.forecast import forecast
from routelab.present import Table, usd
from routelab.router import Router
from routelab.store import Log
from routelab.strategies.cascade import spoken


@dataclass(frozen=True, kw_only=True)
class Step:
    """A row of what would be asked: the model, when it is its turn, and its price, about and at most, in USD."""

    model: str
    when: str
    about_usd: float | None
    worst_usd: float | None
    simulated: bool


@dataclass(frozen=True, kw_only=True)
class Explained:
    """What an arm would do: who would be asked in which order, and why. Nobody was asked."""

    steps: tuple[Step, ...]
    why: str
    shown: int = 6

    def table(self) -> Table:
        """Return one row a model."""
        left = len(self.steps) - self.shown
        notes = [f"and {left} more, each if those before it fail"] if left > 0 else []
        return Table(
            head=("would ask", "when", "about", "at most"),
            rows=[
                [s.model + (" (simulated)" if s.simulated else ""), s.when, usd(s.about_usd), usd(s.worst_usd)]
                for s in self.steps[: self.shown]
            ],
            numbers=frozenset((2, 3)),
            notes=[
                *notes,
                f"why: {self.why}",
                "a dry run: nobody was asked; “about” goes by the answers in the log, else by stated lengths",
            ],
        )


def explained(router: Router, prompt: Prompt, log: Log) -> Explained:
    """Return what a router would do with a prompt, asking nobody; prices are what a call costs about, and at most."""
    ranking = router.explain(prompt)
    plan = router.plan([prompt])
    rungs = int(plan.ladder[0])
    gate = getattr(router.config.ranking, "accepts", None)
    judge = spoken(gate) if gate is not None and gate.scorer is not None else None
    models = [router.fleet.endpoint(name).model for name, _, _ in ranking]
    seen = forecast(models, {m.name: [prompt] for m in models}, log=log, counter=router.fleet.counter)
    about = {share.model: None if share.usd is None else share.usd[1] for share in seen.shares}
    steps = tuple(
        Step(
            model=name,
            when=_when(i, rungs, judge),
            about_usd=about.get(name),
            worst_usd=worst,
            simulated=models[i].simulated,
        )
        for i, (name, worst, _) in enumerate(ranking)
    )
    why = ranking[0][2] if ranking else "nobody would be asked"
    judges = asked_by(gate)
    return Explained(steps=steps, why=why + (f"; the gate asks {', '.join(judges)}" if judges else ""))


def _when(place: int, rungs: int, judge: str | None) -> str:
    if place == 0:
        return "first"
    return f"if {judge} refuses, or it fails" if judge is not None and place < rungs else "if it fails"
