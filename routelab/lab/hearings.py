"""Let a judge look at recorded answers, once each, so that gates that ask models can be replayed; a kill at any moment loses no verdict that was finished.

What a live gate would have cost and taken is recorded with every verdict. The same code judges here and in a live run.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from routelab.asker import Asker, worst_usd
from routelab.core.errors import BudgetExceeded, ConfigError, DataError
from routelab.core.events import Answered, Scored
from routelab.core.plan import Gate
from routelab.core.ports import Clock, Judge, World
from routelab.core.run import Run
from routelab.core.values import Judgement, Prompt, digest, draw
from routelab.engine import SystemClock, shared
from routelab.judging import KINDS, Ask, Consistency, Heard, Pairwise, Planned, Question, Rubric, Seat
from routelab.lab.claim import Cell, Claim, doubtful
from routelab.lab.collect import RETRIES, Retry, claimed
from routelab.lab.docket import Docket, docket
from routelab.lab.journal import Journal, take_in
from routelab.lab.judges import kin
from routelab.lab.outcomes import Bools, Judgements, Outcomes
from routelab.lab.sitting import finished, purse, together
from routelab.stages import Budget, Call, Patience
from routelab.strategies.gated import gate_of

if TYPE_CHECKING:
    from routelab.lab.session import Lab

ANSWER = "answer"
"""The tag of a run that holds a verdict: a mark of the prompt and the answer that were judged."""
_KEPT = """
    select r.prompt_id, r.arm, try(r.tags ->> '$.answer'), s.quality, s.cost_usd, s.latency_s, s.simulated
    from runs r left join scores s on s.run_id = r.run_id and s.scorer = ?
    where r.experiment = ? order by r.started_at, r.run_id
"""


@dataclass(frozen=True, kw_only=True)
class Hours:
    """How judgements are collected; see `Lab.judge` for what each means."""

    models: tuple[str, ...] = ()
    budget_usd: float | None = None
    jobs: int = 8
    seed: int = 0
    name: str | None = None
    retry: Retry = "both"
    deadline_s: float = 120.0

    def __post_init__(self) -> None:
        if self.retry not in RETRIES:
            raise ConfigError(f"retry: unknown '{self.retry}'", hint=f"one of {', '.join(RETRIES)}")
        if self.jobs < 1:
            raise ConfigError(f"jobs: must be at least 1, not {self.jobs}")


@dataclass(frozen=True, kw_only=True)
class Sat:
    """How far judging is: verdicts done of those due, USD spent on them, those without a verdict, USD spent before.

    `unpriced` counts the verdicts whose cost is not known; `docket` is what the verdicts due were expected to take.
    """

    done: int
    total: int
    spent_usd: float
    failed: int
    before_usd: float
    unpriced: int = 0
    docket: Docket | None = field(default=None, repr=False)

    @property
    def errors(self) -> int:
        """Those without a verdict."""
        return self.failed


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A verdict as the log has it; quality is None when the judge failed."""

    quality: float | None
    cost_usd: float | None
    latency_s: float | None
    simulated: bool


Listener = Callable[[Sat], None]


def judge(
    lab: Lab,
    outcomes: Outcomes,
    gate: Gate,
    hours: Hours,
    *,
    heard: Listener | None = None,
    clock: Clock | None = None,
) -> Outcomes:
    """Return the outcomes with the verdicts of a gate's judge on their answers; see `Lab.judge`."""
    clock = clock or SystemClock()
    kind = kind_of(gate)
    key = key_of(gate, kind)
    columns = [outcomes.column(m) for m in (hours.models or outcomes.models)]
    _reachable(lab, outcomes, kind, [outcomes.models[k] for k in columns])
    cells, unsaid = _cells(outcomes, columns)
    experiment = _experiment(outcomes, key, hours)
    with claimed(lab, experiment, clock) as claim:
        take_in(lab.log)
        kept, runs, before = recorded(lab, experiment, key)
        due = [cell for cell in cells if _wanted(kept.get(_mark(cell)), hours.retry)]
        doubts, doubt_usd = doubtful(claim.asked(experiment), runs)
        sitting = _Sitting(lab, kind, gate, hours, claim, clock, heard)
        sitting.experiment, sitting.key, sitting.outcomes = experiment, key, outcomes
        sitting.sat = Sat(
            done=0,
            total=len(due),
            spent_usd=0.0,
            failed=0,
            before_usd=before + doubt_usd,
            docket=_docket(lab, outcomes, kind, due, kept=len(cells) - len(due)),
        )
        sitting.budget()
        _describe(lab, outcomes, {key: {"scorer": gate.scorer, **gate.spec}}, experiment, hours.seed)
        notes = [*_notes(key, unsaid, doubts, doubt_usd), *_kin(kind, [outcomes.models[k] for k in columns])]

        def judged() -> Outcomes:
            found, *_ = recorded(lab, experiment, key)
            return assembled(outcomes, key, kind, {c: found[_mark(c)] for c in cells if _mark(c) in found}, notes)

        return _held(sitting, due, judged)


def estimate(lab: Lab, outcomes: Outcomes, gate: Gate, hours: Hours) -> Docket:
    """Return what `judge` with the same arguments would ask and spend; nothing is asked and nothing is written."""
    kind = kind_of(gate)
    columns = [outcomes.column(m) for m in (hours.models or outcomes.models)]
    _reachable(lab, outcomes, kind, [outcomes.models[k] for k in columns])
    cells, _ = _cells(outcomes, columns)
    key = key_of(gate, kind)
    kept, *_ = recorded(lab, _experiment(outcomes, key, hours), key)
    due = [cell for cell in cells if _wanted(kept.get(_mark(cell)), hours.retry)]
    return _docket(lab, outcomes, kind, due, kept=len(cells) - len(due))


def parts(spec: Mapping[str, Any] | Gate) -> tuple[Gate, ...]:
    """Return the gates that ask somebody: the gate itself, or those among the parts of `all`."""
    gate = spec if isinstance(spec, Gate) else gate_of(spec)
    if gate.scorer != "all":
        return (gate,)
    within = tuple(gate_of(row) for row in gate.spec["all"])
    return tuple(part for part in within if part.scorer in KINDS) or (gate,)


def kind_of(gate: Gate) -> Any:
    """Return the kind of judge that a gate names; ConfigError for one that asks nobody: there is nothing to collect."""
    if gate.scorer is None or gate.scorer not in KINDS:
        raise ConfigError(
            f"judge: '{gate.scorer}' asks no model, so there is nothing to collect",
            hint=f"judges: {', '.join(KINDS)}; rules and agreement are replayed over recorded answers as they are",
        )
    from routelab import strict

    return strict.build(KINDS[gate.scorer], dict(gate.spec), ("gate",), strict.Document(values={}, name="judge"))


@dataclass(frozen=True, kw_only=True, eq=False)
class Item:
    """One recorded answer that is to be judged."""

    prompt: Prompt
    model: str
    text: str


def _mark(item: Item) -> tuple[str, str, str]:
    # An answer that was collected anew is another answer, and its old verdict says nothing about it.
    content = [(m.role, m.content) for m in item.prompt.messages]
    return item.prompt.id, item.model, digest(content, item.text)


def recorded(lab: Lab, experiment: str, key: str) -> tuple[dict[tuple[str, str, str], Verdict], dict[Cell, int], float]:
    """Return what the log holds of an experiment: verdicts by prompt, model and mark, the runs of each cell, and USD spent."""
    found: dict[tuple[str, str, str], Verdict] = {}
    runs: dict[Cell, int] = {}
    costs: list[float] = []
    for prompt_id, model, mark, quality, cost, latency, simulated in lab.log.query(_KEPT, [key, experiment]):
        runs[prompt_id, model] = runs.get((prompt_id, model), 0) + 1
        costs.append(cost or 0.0)
        if mark is not None:
            found[prompt_id, model, mark] = Verdict(
                quality=quality, cost_usd=cost, latency_s=latency, simulated=bool(simulated)
            )
    return found, runs, math.fsum(costs)


def assembled(
    outcomes: Outcomes, key: str, kind: Any, verdicts: Mapping[Item, Verdict], notes: Sequence[str] = ()
) -> Outcomes:
    """Return the outcomes with the verdicts under the gate's key; what was not judged now keeps what stood there before."""
    shape = outcomes.quality.shape
    held = outcomes.gates.get(key)
    score, cost, latency = (
        np.full(shape, np.nan) if held is None else getattr(held, name).copy()
        for name in ("score", "cost_usd", "latency_s")
    )
    rival = _rival(outcomes, kind)
    for item, verdict in verdicts.items():
        cell = (outcomes.rows[item.prompt.id], outcomes.column(item.model))
        score[cell] = -np.inf if verdict.quality is None else verdict.quality
        cost[cell] = np.nan if verdict.cost_usd is None else verdict.cost_usd
        latency[cell] = np.nan if verdict.latency_s is None else verdict.latency_s
        if rival is not None and cell[1] != rival:
            # The answer to compare with was paid for when it was recorded; a live gate pays for it each time.
            cost[cell] += outcomes.cost_usd[cell[0], rival]
            latency[cell] += outcomes.latency_s[cell[0], rival]
    given = Judgements(score=score, cost_usd=cost, latency_s=latency)
    simulated = outcomes.simulated or any(v.simulated for v in verdicts.values())
    failed = sum(v.quality is None for v in verdicts.values())
    more = [f"{key}: {failed:,} of {len(verdicts):,} answers got no verdict"] if failed else []
    return replace(
        outcomes,
        gates={**outcomes.gates, key: given},
        simulated=simulated,
        notes=(*outcomes.notes, *(n for n in (*notes, *more) if n not in outcomes.notes)),
    )


class _Sitting:
    """One go at judging: workers, the heartbeat of the claim, and how far they are."""

    sat: Sat
    experiment: str
    key: str
    outcomes: Outcomes

    def __init__(
        self, lab: Lab, kind: Any, gate: Gate, hours: Hours, claim: Claim, clock: Clock, heard: Listener | None
    ) -> None:
        self.lab, self.kind, self.gate, self.hours = lab, kind, gate, hours
        self.stopped: BudgetExceeded | None = None
        self._claim, self._clock, self._heard = claim, clock, heard
        self._journal = Journal(lab.log)
        self._purse: Budget | None = None

    def budget(self) -> None:
        """Set the budget up, with what was spent before already gone; BudgetExceeded when nothing is left for what is due."""
        limit, before = self.hours.budget_usd, self.sat.before_usd
        if self._heard is not None:
            self._heard(self.sat)
        if limit is None:
            return
        if self.sat.docket is not None:
            self.sat.docket.within(limit)
        self._purse = purse(limit, before, self.sat.total)

    def run(self, due: Sequence[Item]) -> None:
        """Judge what is due; what was finished is in the log afterwards, however it ends."""
        if not due:
            return
        try:
            shared().wait(self._play(due))
        finally:
            self._journal.settle()

    async def _play(self, due: Sequence[Item]) -> None:
        call = Call(
            endpoints=self.lab.fleet.endpoints,
            counter=self.lab.fleet.counter,
            patience=Patience(),
            purse=self._purse,
        )
        asker = _Recorded(ask=Asker(call=call), outcomes=self.outcomes)
        seat = Seat(kind=self.kind, ask=asker, name=getattr(self.kind, "model", None) or "")
        order = sorted(due, key=lambda i: draw(self.hours.seed, "order", i.model, i.prompt.id))
        waiting = iter(order)
        workers = [self._work(waiting, seat, asker, call) for _ in range(self.hours.jobs)]
        await together(workers, self._claim, self._clock)

    async def _work(self, waiting: Iterable[Item], seat: Judge, asker: _Recorded, call: Call) -> None:
        for item in waiting:
            if self.stopped is not None:
                return
            planned = _planned(self.kind, self.outcomes, item.model)
            usd = worst_usd(call, planned, item.prompt.messages, item.text)
            self._claim.ask(self.experiment, (item.prompt.id, item.model), usd)
            run = Run(
                id=uuid.uuid4().hex,
                prompt=item.prompt,
                started_at=self._clock.now(),
                arm=item.model,
                config=digest(self.gate.scorer, dict(self.gate.spec)),
                experiment=self.experiment,
                seed=self.hours.seed,
            )
            said = Answered(model=item.model, served_model=item.model, provider="recorded", text=item.text)
            world = World(clock=self._clock, deadline=self._clock.monotonic() + self.hours.deadline_s)
            given = await seat(run.then(said), world)
            refused = asker.refused
            await self._log(run, item, given, final=refused is None)
            if refused is not None:
                self.stopped = refused
                return

    async def _log(self, run: Run, item: Item, given: Judgement, *, final: bool) -> None:
        # A verdict that the budget cut off is no verdict; what its first questions cost is spent all the same.
        event = Scored(
            scorer=self.key,
            quality=given.quality,
            model=item.model,
            reason=given.reason,
            judge=given.judge,
            tokens=given.tokens,
            cost_usd=given.cost_usd,
            latency_s=given.latency_s,
            simulated=given.simulated,
        )
        run = replace(run, tags={ANSWER: _mark(item)[2]} if final else {}).then(event)
        self.lab.log.record(run)
        await self._journal.keep(run)
        if final:
            self.sat = replace(
                self.sat,
                done=self.sat.done + 1,
                spent_usd=self.sat.spent_usd + (given.cost_usd or 0.0),
                failed=self.sat.failed + (given.quality is None),
                unpriced=self.sat.unpriced + (given.cost_usd is None),
            )
            if self._heard is not None:
                self._heard(self.sat)


@dataclass
class _Recorded:
    """Answers of a recorded model are the recorded ones; everything else is asked, and a spent budget is remembered."""

    ask: Ask
    outcomes: Outcomes
    refused: BudgetExceeded | None = field(default=None)

    async def __call__(self, question: Question, world: World) -> Heard:
        """Return the recorded answer at no cost, or what asking brings."""
        if question.wants == "answer" and not question.again:
            reply = self.outcomes.reply(question.about.id, question.model)
            if reply is not None:
                return Heard(text=reply.text, simulated=self.outcomes.simulated)
        found = await self.ask(question, world)
        if found.text is None and found.error.startswith("BudgetExceeded: "):
            self.refused = BudgetExceeded(
                found.error.removeprefix("BudgetExceeded: "),
                hint="judge again with a larger budget_usd: what is there is not paid for twice",
            )
        return found


def _held(sitting: _Sitting, due: Sequence[Item], judged: Callable[[], Outcomes]) -> Outcomes:
    """Return the outcomes after a sitting; a stop by the budget or by hand carries them as `.partial`."""

    def stopped(found: Outcomes) -> BudgetExceeded | None:
        if sitting.stopped is None:
            return None
        return BudgetExceeded(
            f"{sitting.stopped.message}; {sitting.sat.done:,} of {sitting.sat.total:,} answers that were due are judged",
            hint=sitting.stopped.hint,
        )

    return finished(lambda: sitting.run(due), judged, stopped)


def _cells(outcomes: Outcomes, columns: Sequence[int]) -> tuple[list[Item], int]:
    """Return the answers that can be judged, and how many cannot because their text or their prompt's was not recorded."""
    if outcomes.texts is None:
        raise DataError(
            "judge: no texts were recorded, and a judge needs something to read",
            hint="outcomes need a `response` column, or come from a log that keeps content",
        )
    there: Bools = outcomes.asked & ~outcomes.failed
    found, unsaid = [], 0
    for i, prompt in enumerate(outcomes.prompts):
        for k in columns:
            if not there[i, k]:
                continue
            text = outcomes.texts(prompt.id, outcomes.models[k])
            if text is None or not prompt.messages:
                unsaid += 1
            else:
                found.append(Item(prompt=prompt, model=outcomes.models[k], text=text))
    if not found:
        raise DataError(
            f"judge: none of {unsaid:,} answers has its text and its prompt",
            hint="a log with content='full' keeps them",
        )
    return found, unsaid


def _reachable(lab: Lab, outcomes: Outcomes, kind: Any, models: Sequence[str]) -> None:
    """Raise ConfigError when somebody whom judging asks is not in the fleet."""
    for model in models:
        for planned in kind.calls(model):
            recorded_rival = isinstance(kind, Pairwise) and planned.model == kind.against in outcomes.models
            if not recorded_rival:
                lab.fleet.endpoint(planned.model)


def _experiment(outcomes: Outcomes, key: str, hours: Hours) -> str:
    return f"judge-{hours.name or outcomes.dataset or 'outcomes'}-{key}-{hours.seed}"


def _docket(lab: Lab, outcomes: Outcomes, kind: Any, due: Sequence[Item], *, kept: int) -> Docket:
    call = Call(endpoints=lab.fleet.endpoints, counter=lab.fleet.counter)
    return docket(
        ((item.prompt, item.model, item.text) for item in due),
        lambda author: _planned(kind, outcomes, author),
        kept=kept,
        models={name: endpoint.model for name, endpoint in lab.fleet.endpoints.items()},
        counter=lab.fleet.counter,
        log=lab.log,
        worst=lambda planned, prompt, text: worst_usd(call, planned, prompt.messages, text),
    )


def _planned(kind: Any, outcomes: Outcomes, author: str) -> tuple[Planned, ...]:
    """Return the calls that judging an answer of the author makes; a recorded answer is read, and nobody asked for it."""
    calls: tuple[Planned, ...] = kind.calls(author)
    if isinstance(kind, Consistency):
        return calls
    return tuple(c for c in calls if c.verdict or c.model not in outcomes.models)


def _rival(outcomes: Outcomes, kind: Any) -> int | None:
    return outcomes.column(kind.against) if isinstance(kind, Pairwise) and kind.against in outcomes.models else None


def _wanted(verdict: Verdict | None, retry: Retry) -> bool:
    return retry != "errors" if verdict is None else verdict.quality is None and retry != "missing"


def _describe(lab: Lab, outcomes: Outcomes, arms: Mapping[str, Any], experiment: str, seed: int) -> None:
    lab.log.record_prompts(outcomes.prompts)
    lab.log.record_experiment(
        experiment,
        dataset=outcomes.dataset or "",
        arms=arms,
        seed=seed,
        detail={"kind": "judging", "models": list(outcomes.models), "prompts": len(outcomes)},
    )
    lab.log.flush()


def _notes(key: str, unsaid: int, doubts: int, doubt_usd: float) -> list[str]:
    return [
        *([f"{key}: {unsaid:,} answers without a recorded text were not judged"] if unsaid else []),
        *(
            [f"{key}: {doubts} judgements were cut off by a kill; they count with their worst case, ${doubt_usd:.4g}"]
            if doubts
            else []
        ),
    ]


def _kin(kind: Any, models: Sequence[str]) -> list[str]:
    judge = getattr(kind, "model", None)
    own = () if judge is None else kin(judge, models)
    return [f"{judge} judged answers of its own family ({', '.join(own)}), which judges tend to favour"] if own else []


def key_of(gate: Gate, kind: Any) -> str:
    """Return the key of the verdicts in `Outcomes.gates`: the gate's, unless its judge was shown the right answers.

    Such verdicts measure; under a key of their own, no gate can replay them, as none could have had them live.
    """
    return f"measured-{gate.key}" if isinstance(kind, Rubric) and kind.reference == "given" else gate.key
