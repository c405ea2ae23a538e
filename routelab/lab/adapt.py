"""Let a bandit learn: play a batch with what is known, score it, learn, and go on. Live, or over recorded outcomes.

Every run is logged under the experiment with the chance of its draw; its `config` is the fingerprint of the posterior that decided.
"""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from routelab.answer import Answer
from routelab.config import RouteConfig
from routelab.core.errors import BudgetExceeded, ConfigError, DataError, MissingKey
from routelab.core.plan import NOBODY
from routelab.core.ports import Floats, Scorer
from routelab.core.values import Prompt, Roster, draw
from routelab.engine import shared
from routelab.lab.adaptation import Adaptation, Circumstances, Ended
from routelab.lab.allocation import BestArm
from routelab.lab.datasets import Dataset
from routelab.lab.outcomes import Bools, Ints, Outcomes
from routelab.lab.replay import planned
from routelab.lab.trial import Progress
from routelab.lab.walk import walk
from routelab.router import Router, Setting
from routelab.stages import Budget
from routelab.strategies.bandit import Seen
from routelab.strategies.fitting.tally import Tally

if TYPE_CHECKING:
    from routelab.lab.session import Lab


@runtime_checkable
class Learner(Protocol):
    """A strategy that learns from what it asked: what an adaptation needs of it."""

    def chances(self, prompts: Sequence[Prompt], roster: Roster) -> Floats: ...
    def update(self, seen: Sequence[Seen]) -> Any: ...
    def worth(self, quality: Floats, cost_usd: Floats) -> Floats: ...


@dataclass(frozen=True, kw_only=True)
class Course:
    """How an adaptation is played; see `Lab.adapt` for what each means."""

    batch: int = 32
    rounds: int | None = None
    budget_usd: float | None = None
    stop: BestArm | None = None
    jobs: int = 8
    seed: int = 0
    scorer: Scorer | None = None

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ConfigError(f"batch: must be at least 1 prompt, not {self.batch}")
        if self.rounds is not None and self.rounds < 1:
            raise ConfigError(
                f"rounds: must be at least 1, not {self.rounds}", hint="leave it out to play every prompt"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Came:
    """What a batch brought, one entry a prompt: who was asked first (-1: nobody was drawn), quality, cost, and whether it is whole.

    The quality is that of the first model's own answer: 0 when it gave none and another one stood in, whose cost counts
    all the same. `ended` says why no batch should follow, if so.
    """

    first: Ints
    quality: Floats
    cost_usd: Floats
    whole: Bools
    ended: Ended | None = None


Player = Callable[[RouteConfig, Sequence[Prompt]], Came]
Listener = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the prompts are from: the data set, the experiment in the log ("" for a replay), the models, and whether they are simulated."""

    dataset: str
    experiment: str
    roster: Roster
    simulated: bool


def rule_of(stop: object) -> BestArm | None:
    """Return the rule behind a `stop` argument: None, "best-arm" for the usual one, or a rule; ConfigError for anything else."""
    if stop is None or isinstance(stop, BestArm):
        return stop
    if stop != "best-arm":
        raise ConfigError(f"stop: unknown {stop!r}", hint='"best-arm", or routelab.lab.allocation.BestArm(delta=...)')
    return BestArm()


def adapt(
    lab: Lab, dataset: Dataset, config: RouteConfig, course: Course, *, heard: Listener | None = None
) -> Adaptation:
    """Return what came of letting a config's bandit learn on a data set, live; see `Lab.adapt`."""
    without = 0 if course.scorer is not None else sum(p.scorer is None for p in dataset.prompts)
    if without:
        raise ConfigError(
            f"{without:,} of {len(dataset):,} prompts bring no scorer, so nothing could be learned from them",
            hint="pass scorer=..., or give the prompts one",
        )
    roster = lab.fleet.roster(config.models)
    origin = Origin(
        dataset=dataset.name,
        experiment=f"adapt-{dataset.name}-{uuid.uuid4().hex[:8]}",
        roster=roster,
        simulated=any(model.simulated for model in roster.models),
    )
    return _played(config, dataset.prompts, _Live(lab, dataset, course, origin, heard), course, origin)


def bandit_replay(outcomes: Outcomes, config: RouteConfig, course: Course) -> Adaptation:
    """Return what came of letting a bandit learn over recorded outcomes, of which it sees only those that it drew."""
    missing = [m for m in config.names if m not in outcomes.models]
    if missing:
        raise DataError(
            f"model '{missing[0]}' has no recorded outcomes", hint=f"models there: {', '.join(outcomes.models)}"
        )
    place = np.full(len(outcomes.models) + 1, NOBODY, dtype=np.intp)
    place[[outcomes.models.index(m) for m in config.models]] = np.arange(len(config.models))

    def play(now: RouteConfig, prompts: Sequence[Prompt]) -> Came:
        batch = outcomes.take(np.array([outcomes.rows[p.id] for p in prompts], dtype=np.intp))
        plan = planned(now, batch.prompts, batch.roster)
        went = walk(plan, batch, np.arange(len(batch.models), dtype=np.intp))
        first = place[plan.order[:, 0]]
        first[list(plan.errors)] = NOBODY
        quality = np.where((went.model == plan.order[:, 0]) | np.isnan(went.quality), went.quality, 0.0)
        whole = np.ones(len(prompts), dtype=np.bool_)
        return Came(first=first, quality=quality, cost_usd=went.cost_usd, whole=whole)

    origin = Origin(
        dataset=outcomes.dataset or "",
        experiment="",
        roster=Roster(models=tuple(outcomes.roster.models[outcomes.models.index(m)] for m in config.models)),
        simulated=outcomes.simulated,
    )
    return _played(config, outcomes.prompts, play, course, origin)


def _played(config: RouteConfig, prompts: Sequence[Prompt], play: Player, course: Course, origin: Origin) -> Adaptation:
    """Play batch after batch in an order drawn by the seed, and learn from each before the next."""
    _checked(config, course)
    # The order of a file may hold tasks together; drawn, every batch is a sample of all prompts.
    order = sorted(prompts, key=lambda p: draw(course.seed, "adapt", p.id))
    history = _History(models=config.models)
    ended: Ended = "prompts"
    for number, start in enumerate(range(0, len(order), course.batch)):
        if number == course.rounds:
            ended = "rounds"
            break
        batch = order[start : start + course.batch]
        learner: Any = config.ranking
        chances = learner.chances(batch, origin.roster)
        came = play(config, batch)
        seen = history.take(batch, chances, came, learner, config.fingerprint)
        config = dataclasses.replace(config, strategy=learner.update(seen))
        if came.ended is not None:
            ended = came.ended
            break
        if course.stop is not None and course.stop(history.tally).decided:
            ended = "best-arm"
            break
    return history.adaptation(config, course, origin, ended)


def _checked(config: RouteConfig, course: Course) -> None:
    learner = config.ranking
    if not isinstance(learner, Learner):
        raise ConfigError(
            f"arm '{config.name}': {type(learner).__name__} does not learn from what it asks",
            hint="strategy: {kind: bandit}",
        )
    if course.stop is not None and getattr(learner, "algorithm", "") == "linucb":
        raise ConfigError(
            "stop: the best arm cannot be told from choices that looked at the prompt (linucb)",
            hint="algorithm: track, which finds it soonest, or thompson",
        )


class _History:
    """What was played so far, row by row, in the order in which it was drawn."""

    def __init__(self, models: Sequence[str]) -> None:
        self._models = tuple(models)
        self._prompts: list[Prompt] = []
        self._chances: list[Floats] = []
        self._rows: list[tuple[int, float, float, float]] = []
        self._rounds: list[tuple[int, str]] = []
        self._unfinished = self._left_out = 0
        self.tally = Tally.empty(len(models))

    def take(
        self, batch: Sequence[Prompt], chances: Floats, came: Came, learner: Learner, fingerprint: str
    ) -> list[Seen]:
        """Keep what came before the first gap, and return what there is to learn from it.

        What is finished after a gap is not kept: which runs a spent budget or an interrupt lets finish depends on the model.
        """
        gap = len(batch) if came.whole.all() else int(np.argmin(came.whole))
        reward = learner.worth(came.quality, came.cost_usd)
        kept = [i for i in range(gap) if came.first[i] != NOBODY and not np.isnan(reward[i])]
        self._rounds.append((len(self._prompts), fingerprint))
        self._unfinished += len(batch) - gap
        self._left_out += gap - len(kept)
        if gap and not kept and not self._prompts:
            raise DataError(
                f"none of the first {gap:,} prompts brought a reward that is known, so nothing can be learned",
                hint="score the answers, and give the models a price where cost_weight counts",
            )
        self._prompts += [batch[i] for i in kept]
        self._chances += [chances[i] for i in kept]
        self._rows += [
            (int(came.first[i]), float(came.quality[i]), float(came.cost_usd[i]), float(reward[i])) for i in kept
        ]
        self.tally = self.tally.plus(came.first[kept], reward[kept])
        return [
            Seen(
                prompt=batch[i],
                model=self._models[came.first[i]],
                quality=float(came.quality[i]),
                cost_usd=None if np.isnan(came.cost_usd[i]) else float(came.cost_usd[i]),
            )
            for i in kept
        ]

    def adaptation(self, config: RouteConfig, course: Course, origin: Origin, ended: Ended) -> Adaptation:
        """Return everything that was kept, with the config that has learned from it."""
        columns = list(zip(*self._rows, strict=True)) or [(), (), (), ()]
        reward = getattr(config.ranking, "reward", {})
        return Adaptation(
            config=config,
            prompts=tuple(self._prompts),
            models=self._models,
            action=np.array(columns[0], dtype=np.intp),
            chances=np.array(self._chances, dtype=float).reshape(len(self._prompts), len(self._models)),
            quality=np.array(columns[1], dtype=float),
            cost_usd=np.array(columns[2], dtype=float),
            reward=np.array(columns[3], dtype=float),
            ended=ended,
            terms=Circumstances(
                dataset=origin.dataset,
                experiment=origin.experiment,
                seed=course.seed,
                batch=course.batch,
                rounds=tuple(self._rounds),
                simulated=origin.simulated,
                unfinished=self._unfinished,
                left_out=self._left_out,
                rule=course.stop,
            ),
            cost_weight=float(reward.get("cost_weight", 0.0)),
        )


class _Live:
    """Plays batches over the session's fleet, within one budget, into the session's log."""

    def __init__(self, lab: Lab, dataset: Dataset, course: Course, origin: Origin, heard: Listener | None) -> None:
        self._lab, self._dataset, self._course, self._origin = lab, dataset, course, origin
        self._purse = None if course.budget_usd is None else Budget(course.budget_usd)
        self._heard = heard
        self._progress = Progress(done=0, total=len(dataset), spent_usd=0.0, errors=0)
        self._round = 0
        lab.log.record_prompts(dataset.prompts)

    def __call__(self, config: RouteConfig, prompts: Sequence[Prompt]) -> Came:
        """Play a batch with one posterior; raises MissingKey, which no further batch would mend."""
        self._describe(config)
        answers: list[Answer | None] = [None] * len(prompts)
        ended: Ended | None = None
        try:
            if not shared().wait(self._asked(self._router(config), prompts, answers)):
                ended = "budget"
        except KeyboardInterrupt:
            ended = "interrupted"
        for answer in answers:
            if answer is not None and isinstance(answer.error, MissingKey):
                raise answer.error
        return _came(answers, config.models, ended)

    async def _asked(self, router: Router, prompts: Sequence[Prompt], answers: list[Answer | None]) -> bool:
        """Fill in the answers in the prompts' order, so many at a time; return False when the budget ended it."""
        waiting, spent = iter(enumerate(prompts)), False

        async def worker() -> None:
            nonlocal spent
            for i, prompt in waiting:
                if spent:
                    return
                answer = await router.play(prompt)
                if isinstance(answer.error, BudgetExceeded):
                    spent = True
                    return
                answers[i] = answer
                self._progress = self._progress.plus(answer)
                if self._heard is not None:
                    self._heard(self._progress)

        workers = [asyncio.ensure_future(worker()) for _ in range(max(1, self._course.jobs))]
        try:
            await asyncio.gather(*workers)
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return not spent

    def _router(self, config: RouteConfig) -> Router:
        setting = Setting(
            experiment=self._origin.experiment,
            arm=config.name,
            scorer=self._course.scorer,
            purse=self._purse,
            seed=self._course.seed,
            # An answer out of a cache says nothing about the model that was drawn.
            cache=False,
            libraries=self._lab.corpora.libraries,
        )
        return Router(config, fleet=self._lab.fleet, log=self._lab.log, setting=setting)

    def _describe(self, config: RouteConfig) -> None:
        # One row a round: it holds the posterior whose fingerprint the round's runs carry.
        self._lab.log.record_experiment(
            self._origin.experiment,
            dataset=self._dataset.name,
            arms={config.name: config.to_mapping()},
            seed=self._course.seed,
            detail={
                "kind": "adaptation",
                "round": self._round,
                "config": config.fingerprint,
                "batch": self._course.batch,
                "dataset_fingerprint": self._dataset.fingerprint,
                "prompts": len(self._dataset),
            },
        )
        self._round += 1


def _came(answers: Sequence[Answer | None], models: Sequence[str], ended: Ended | None) -> Came:
    whole = np.array([answer is not None for answer in answers], dtype=np.bool_)
    there = [answer for answer in answers if answer is not None]
    first = np.full(len(answers), NOBODY, dtype=np.intp)
    quality, cost = np.full(len(answers), np.nan), np.full(len(answers), np.nan)
    first[whole] = [_first(answer, models) for answer in there]
    cost[whole] = [np.nan if answer.cost_usd is None else answer.cost_usd for answer in there]
    quality[whole] = [
        _quality(answer, models[k]) if k != NOBODY else np.nan for answer, k in zip(there, first[whole], strict=True)
    ]
    return Came(first=first, quality=quality, cost_usd=cost, whole=whole, ended=ended)


def _quality(answer: Answer, model: str) -> float:
    if answer.error is not None or answer.model != model:
        return 0.0
    return np.nan if answer.quality is None else answer.quality


def _first(answer: Answer, models: Sequence[str]) -> int:
    """Return the model that was drawn, or nobody when the strategy could not decide and the default was asked."""
    routed = answer.run.routed
    if routed is None or routed.error is not None:
        return NOBODY
    return list(models).index(routed.order[0])
