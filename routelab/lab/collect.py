"""Ask every model once about every prompt, so that a kill at any moment loses nothing that was finished.

A worker asks again only when its last answer is safe, so at most `jobs` calls are ever paid for and not kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from routelab.answer import Answer
from routelab.config import RouteConfig
from routelab.core.errors import BudgetExceeded, ConfigError, LogBusy
from routelab.core.ports import Clock, Scorer
from routelab.core.values import Model, Prompt, draw
from routelab.engine import SystemClock, shared
from routelab.judging import is_judge
from routelab.lab.claim import Claim, doubtful
from routelab.lab.collection import Collection, difference, latest, settled
from routelab.lab.datasets import Dataset
from routelab.lab.forecast import Forecast, forecast, waits
from routelab.lab.journal import Journal, take_in
from routelab.lab.kept import Kept, assembled, recorded
from routelab.lab.outcomes import Outcomes
from routelab.lab.sitting import finished, purse, together
from routelab.router import Router, Setting
from routelab.stages import Budget, Call
from routelab.store.memory import MEMORY

if TYPE_CHECKING:
    from routelab.lab.session import Lab

Retry = Literal["errors", "missing", "both"]
RETRIES: tuple[Retry, ...] = ("errors", "missing", "both")


@dataclass(frozen=True, kw_only=True)
class Order:
    """How a collection is made; see `Lab.collect` for what each means."""

    name: str | None = None
    budget_usd: float | None = None
    jobs: int = 8
    seed: int = 0
    scorer: Scorer | None = None
    retry: Retry = "both"
    force: bool = False
    extend: bool = False
    logprobs: bool = False

    def __post_init__(self) -> None:
        if self.retry not in RETRIES:
            raise ConfigError(f"retry: unknown '{self.retry}'", hint=f"one of {', '.join(RETRIES)}")
        if self.name == "":
            raise ConfigError("name: is empty", hint="leave it out to use the data set's")
        if is_judge(self.scorer):
            raise ConfigError(
                "scorer: a judge does not measure while answers are collected",
                hint="collect first, then lab.judge(outcomes, gate) resumes by itself, and measured_by takes its verdicts as quality",
            )


@dataclass(frozen=True, kw_only=True)
class Headway:
    """How far a collection is: calls done of those due, USD spent on them, errors, calls without a price, seconds left.

    `left_s` is None until there is a pace to go by. `before_usd` was spent by earlier sittings of the collection, calls in
    doubt included; `forecast` is what the calls due were expected to cost.
    """

    done: int
    total: int
    spent_usd: float
    errors: int
    unpriced: int
    left_s: float | None
    before_usd: float
    forecast: Forecast = field(repr=False)

    def plus(self, answer: Answer, elapsed_s: float, jobs: int) -> Headway:
        """Return the headway after one more answer, so many seconds after the first call."""
        cost, done = answer.cost_usd, self.done + 1
        return replace(
            self,
            done=done,
            spent_usd=self.spent_usd + (cost or 0.0),
            errors=self.errors + (answer.error is not None),
            unpriced=self.unpriced + (cost is None),
            left_s=elapsed_s / done * (self.total - done) if done >= min(jobs, self.total) else None,
        )


Listener = Callable[[Headway], None]


def collect(
    lab: Lab,
    dataset: Dataset,
    models: Sequence[str],
    order: Order,
    *,
    heard: Listener | None = None,
    clock: Clock | None = None,
) -> Outcomes:
    """Return the outcomes of the data set for the models; see `Lab.collect`."""
    clock = clock or SystemClock()
    roster = lab.fleet.roster(models).models
    now = Collection.of(dataset, roster, name=order.name, seed=order.seed, scorer=order.scorer)
    with claimed(lab, now.experiment, clock) as claim:
        take_in(lab.log)
        collection = settled(lab.log, now, force=order.force, extend=order.extend)
        kept = recorded(lab.log, collection.experiment)
        due = _due(dataset, collection.models, kept, order.retry)
        said = _forecast(lab, roster, due, kept, len(dataset))
        doubts, doubt_usd = doubtful(claim.asked(collection.experiment), kept.runs)
        sitting = _Sitting(lab, collection, order, claim, clock, heard)
        sitting.headway = Headway(
            done=0,
            total=said.calls,
            spent_usd=0.0,
            errors=0,
            unpriced=0,
            left_s=None,
            before_usd=kept.spent_usd + doubt_usd,
            forecast=said,
        )
        sitting.budget()
        # After the refusals, so that what was never begun stands in nobody's way.
        _describe(lab, dataset, collection, order.seed)
        notes = [*_moved(now, collection), *_unmeasured(dataset)]
        if doubts:
            notes.append(f"{doubts} calls were cut off by a kill; they count with their worst case, ${doubt_usd:.4g}")

        def outcomes() -> Outcomes:
            found = recorded(lab.log, collection.experiment)
            return assembled(
                dataset,
                collection.models,
                found,
                scored=order.scorer is not None,
                simulated=lab.fleet.simulated,
                notes=notes,
            )

        return _sat(sitting, due, outcomes)


def estimate(lab: Lab, dataset: Dataset, models: Sequence[str], order: Order) -> Forecast:
    """Return what `collect` with the same arguments would ask and spend; nothing is asked and nothing is written."""
    roster = lab.fleet.roster(models).models
    now = Collection.of(dataset, roster, name=order.name, seed=order.seed, scorer=order.scorer)
    before = latest(lab.log, now.experiment)
    kept = Kept(cells={}, runs={}, spent_usd=0.0)
    if before is not None and difference(before, now).only_more:
        kept = recorded(lab.log, before.experiment)
    return _forecast(lab, roster, _due(dataset, now.models, kept, order.retry), kept, len(dataset))


class _Sitting:
    """One go at a collection: workers, the heartbeat of the claim, and how far they are."""

    headway: Headway

    def __init__(
        self, lab: Lab, collection: Collection, order: Order, claim: Claim, clock: Clock, heard: Listener | None
    ) -> None:
        self.lab, self.collection, self.order = lab, collection, order
        self.stopped: BudgetExceeded | None = None
        self._purse: Budget | None = None
        self._claim, self._clock, self._heard = claim, clock, heard
        self._journal = Journal(lab.log)

    def run(self, due: Mapping[str, Sequence[Prompt]]) -> None:
        """Ask what is due; what was finished is in the log afterwards, however it ends."""
        if self.headway.total == 0:
            return
        try:
            shared().wait(self._play(due, self._routers()))
        finally:
            self._journal.settle()

    def budget(self) -> None:
        """Tell what the calls due are expected to cost, and set the budget up; BudgetExceeded when they cannot fit."""
        if self._heard is not None:
            self._heard(self.headway)
        limit, before = self.order.budget_usd, self.headway.before_usd
        if limit is None:
            return
        self.headway.forecast.within(limit, spent_usd=before)
        self._purse = purse(limit, before, self.headway.total)

    def _routers(self) -> dict[str, Router]:
        order = self.order
        return {
            name: Router(
                config_of(name),
                fleet=self.lab.fleet,
                log=self.lab.log,
                setting=Setting(
                    experiment=self.collection.experiment,
                    arm=name,
                    scorer=order.scorer,
                    purse=self._purse,
                    seed=order.seed,
                    cache=False,
                    logprobs=order.logprobs,
                    judges=False,
                ),
            )
            for name in self.collection.models
        }

    async def _play(self, due: Mapping[str, Sequence[Prompt]], routers: Mapping[str, Router]) -> None:
        # In an order drawn by the seed, so that the time of day favours no model.
        pairs = sorted(
            ((model, prompt) for model, prompts in due.items() for prompt in prompts),
            key=lambda pair: draw(self.order.seed, "order", pair[0], pair[1].id),
        )
        waiting, began = iter(pairs), self._clock.monotonic()
        workers = [self._work(waiting, routers, began) for _ in range(max(1, self.order.jobs))]
        await together(workers, self._claim, self._clock)

    async def _work(self, waiting: Iterator[tuple[str, Prompt]], routers: Mapping[str, Router], began: float) -> None:
        worst = Call(endpoints={}, counter=self.lab.fleet.counter).worst_case_usd
        for model, prompt in waiting:
            if self.stopped is not None:
                return
            usd = worst(self.lab.fleet.endpoint(model).model, prompt.messages)
            self._claim.ask(self.collection.experiment, (prompt.id, model), usd)
            answer = await routers[model].play(prompt)
            await self._journal.keep(answer.run)
            if isinstance(answer.error, BudgetExceeded):
                self.stopped = answer.error
                return
            self.headway = self.headway.plus(answer, self._clock.monotonic() - began, self.order.jobs)
            if self._heard is not None:
                self._heard(self.headway)


def config_of(model: str) -> RouteConfig:
    """Return the config that asks one model for everything."""
    return RouteConfig(name=model, models=[model], strategy={"kind": "fixed", "model": model})


def _sat(sitting: _Sitting, due: Mapping[str, Sequence[Prompt]], outcomes: Callable[[], Outcomes]) -> Outcomes:
    """Return the outcomes after a sitting; a stop by the budget or by hand carries them as `.partial`."""

    def stopped(found: Outcomes) -> BudgetExceeded | None:
        if sitting.stopped is None:
            return None
        there = int((np.isfinite(found.quality) | np.isfinite(found.latency_s)).sum())
        return BudgetExceeded(
            f"{sitting.stopped.message}; {there:,} of {found.quality.size:,} answers are in the log",
            hint="collect again with a larger budget_usd: what is there is not paid for twice",
        )

    return finished(lambda: sitting.run(due), outcomes, stopped)


@contextlib.contextmanager
def claimed(lab: Lab, experiment: str, clock: Clock) -> Iterator[Claim]:
    """Hold the collection against every other collector: threads of this session, and processes that share the log."""
    on_disk = str(lab.log.path) != MEMORY
    folder = lab.log.path.with_name(lab.log.path.name + ".collect") if on_disk else None
    # A log that was deleted and made anew knows nothing of what was asked for the one before it.
    [(log_id,)] = lab.log.query("select value from meta where key = 'log' limit 1") or [("",)]
    if experiment in lab.collecting:
        raise LogBusy(f"'{experiment}' is being collected in this session already", hint="wait for it, or stop it")
    claim = Claim(folder, f"{experiment} {log_id}", session=lab.log.session, clock=clock)
    lab.collecting.add(experiment)
    try:
        claim.take()
        try:
            yield claim
        finally:
            claim.release()
    finally:
        lab.collecting.discard(experiment)


def _describe(lab: Lab, dataset: Dataset, collection: Collection, seed: int) -> None:
    lab.log.record_prompts(dataset.prompts)
    lab.log.record_experiment(
        collection.experiment,
        dataset=dataset.name,
        arms={name: config_of(name).to_mapping() for name in collection.models},
        seed=seed,
        detail=collection.detail,
    )
    # Before the first call: a kill from here on leaves a collection that can be gone on with.
    lab.log.flush()


def _due(dataset: Dataset, models: Sequence[str], kept: Kept, retry: Retry) -> dict[str, list[Prompt]]:
    def wanted(prompt: Prompt, model: str) -> bool:
        done = kept.cells.get((prompt.id, model))
        return retry != "errors" if done is None else done.failed and retry != "missing"

    return {model: [p for p in dataset.prompts if wanted(p, model)] for model in models}


def _forecast(
    lab: Lab, roster: Sequence[Model], due: Mapping[str, Sequence[Prompt]], kept: Kept, prompts: int
) -> Forecast:
    names = {m.name for m in roster}
    errored = sum(
        kept.cells[p.id, model].failed for model, row in due.items() for p in row if (p.id, model) in kept.cells
    )
    calls = sum(len(row) for row in due.values())
    there = sum(not done.failed for (_, model), done in kept.cells.items() if model in names)
    said = forecast(
        roster,
        due,
        log=lab.log,
        counter=lab.fleet.counter,
        kept=min(there, prompts * len(names)),
        errored=errored,
        missing=calls - errored,
    )
    return replace(said, waits_s=waits(roster, lab.log))


def _unmeasured(dataset: Dataset) -> list[str]:
    n = sum(is_judge(p.scorer) for p in dataset.prompts)
    return [f"{n:,} prompts are for a judge to score: lab.judge(outcomes, gate), then measured_by"] if n else []


def _moved(now: Collection, collection: Collection) -> list[str]:
    moved = [m for m in now.models if collection.prices.get(m) != now.prices[m]]
    if not moved:
        return []
    return [
        f"prices have changed since the collection began ({', '.join(moved)}): each cost is at the price of its call"
    ]
