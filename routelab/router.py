"""The one sync door: a config and a fleet become something that answers prompts, in a notebook or in production."""

from __future__ import annotations

import asyncio
import dataclasses
import queue
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from routelab import strict
from routelab.answer import Answer
from routelab.asker import worst_usd
from routelab.build import Parts, examples_of, flow_of, preview_of, route_of
from routelab.caching import Memory
from routelab.caching.memory import CLOSE_S
from routelab.config import ContextConfig, RouteConfig
from routelab.content import Content, prompt_of
from routelab.context import Memory as Summaries
from routelab.core.errors import ConfigError, RunFailed
from routelab.core.flow import Flow, describe, play
from routelab.core.plan import Plan
from routelab.core.ports import Clock, Log, Purse, Scorer, World
from routelab.core.run import Run
from routelab.core.values import Message, Prompt
from routelab.engine import Engine, SystemClock, shared
from routelab.fitting import rooms_of
from routelab.fleet import Fleet, fleet_of
from routelab.gates import asked_by, planned
from routelab.judging import Judging, is_judge, judging_of
from routelab.retrieving import Libraries, Retrieval, store_of
from routelab.scoring import scorer_of
from routelab.scoring.matching import alike
from routelab.stages import Budget
from routelab.stages.desk import Desk

REVALIDATES = "revalidates"
"""The tag of runs that a cache began: the run whose stale answer is asked for again."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """The circumstances of a router's runs: which experiment and arm they belong to, who scores, what may be spent.

    `cache=False` asks even when the config caches; `memory` is what several routers remember together. Without one, a router
    remembers in the log; but one of an experiment keeps to its experiment and arm, so that who asks first does not pay for others.
    `scorer` may be a judge (`routelab.judging`), or a mapping of either: what a judge costs is in `Run.measuring_usd`, in the
    purse and in the log, and not in what the run cost. `judges=False` leaves prompts unmeasured whose own scorer is a judge.
    `logprobs` asks for the log-probabilities of tokens where the provider gives them, so that gates on them can be replayed.
    `refreshed` hears of each stale answer that was asked for again in the background (None: it was cut off), on the engine's thread.
    `libraries` are what several routers retrieve from together, so that a corpus is loaded once.
    """

    experiment: str = ""
    arm: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    scorer: Scorer | Judging | Mapping[str, Any] | None = None
    judges: bool = True
    purse: Purse | None = None
    seed: int = 0
    cache: bool = True
    memory: Memory | None = None
    logprobs: bool = False
    refreshed: Callable[[Answer | None], None] | None = None
    libraries: Libraries | None = None


class Router:
    """Answers prompts the way its config says, and logs every decision.

    >>> config = RouteConfig(name="a", models=["qwen-local"], strategy={"kind": "fixed", "model": "qwen-local"})
    >>> answer = Router(config, fleet=Fleet.practice(latency=0)).route("What is the capital of France?")
    >>> answer.model
    'qwen-local'
    """

    def __init__(
        self,
        config: RouteConfig,
        *,
        fleet: Fleet,
        log: Log | None = None,
        setting: Setting | None = None,
        engine: Engine | None = None,
        clock: Clock | None = None,
    ) -> None:
        # Who runs it says which template a reference names: the folder beside its file, this log, or what comes with routelab.
        self.config = config = config.settled(shelf_of(log))
        self.fleet = fleet
        self.log = log
        self.setting = setting or Setting()
        self._engine = engine or shared()
        self._clock = clock or SystemClock(pace=fleet.pace)
        # A gate's judges are asked too, but never ranked; so are a cache's, and who summarises.
        semantic = config.cache.semantic
        judge = () if semantic is None or semantic.judge is None else (semantic.judge,)
        context = config.context
        assert context is None or isinstance(context, ContextConfig)
        summariser = () if context is None or context.model is None else (context.model,)
        asked = (*config.names, *asked_by(getattr(config.ranking, "accepts", None)), *judge, *summariser)
        self._endpoints = {name: fleet.endpoint(name) for name in asked}
        self._scorer = scorer_in(self.setting.scorer)
        measuring = [fleet.endpoint(name) for name in getattr(self._scorer, "asks", ())]
        for endpoint in (*self._endpoints.values(), *measuring):
            self._engine.keep(endpoint.provider)
        self._desk = Desk(config.limits.decide_s)
        self._route = route_of(config, self._endpoints, self._desk)
        self._purse = self.setting.purse or (
            None if config.limits.budget_usd is None else Budget(config.limits.budget_usd)
        )
        self._memory = self.setting.memory or Memory(clock=self._clock, log=log, same=says_the_same)
        # Where another one can remember and forget, this router's own memory is not its to close.
        self._own_memory = self.setting.memory is None
        remembers = config.cache.remembers and self.setting.cache
        self._caches = self._memory.levels(config.cache) if remembers else ()
        store = store_of(log)
        self._examples = examples_of(config, store)
        libraries = self.setting.libraries or Libraries(store=store)
        assert config.retrieval is None or isinstance(config.retrieval, Retrieval)
        self._finder = None if config.retrieval is None else libraries.finder(config.retrieval)
        most = config.prompt.max_output_tokens
        self._rooms = (
            () if context is None else rooms_of(config.names, self._endpoints, fleet.counter, output_tokens=most)
        )
        # Another kernel knows of summaries by the log; in an experiment no arm uses what another one paid for.
        self._summaries = Summaries(shelf=None if self.setting.experiment else shelf_of(log, "summary"))
        self._flow = self._built(stream=False)

    @property
    def _apart(self) -> tuple[str, ...]:
        named = self.setting.experiment and self.setting.memory is None
        return (self.setting.experiment, self.setting.arm or self.config.name) if named else ()

    def _built(self, *, stream: bool, anew: bool = False) -> Flow:
        return flow_of(self.config, self._parts(stream=stream, anew=anew))

    def _parts(self, *, stream: bool, anew: bool = False) -> Parts:
        return Parts(
            endpoints=self._endpoints,
            counter=self.fleet.counter,
            caches=self._caches,
            apart=self._apart,
            queue=self._memory.flights,
            anew=anew,
            purse=self._purse,
            scorer=self._scorer,
            judges=self.fleet.endpoints if self.setting.judges else None,
            stream=stream,
            desk=self._desk,
            logprobs=self.setting.logprobs,
            examples=self._examples,
            finder=self._finder,
            rooms=self._rooms,
            summaries=self._summaries,
        )

    @classmethod
    def from_yaml(cls, path: str | Path, *, fleet: Fleet | None = None, log: Log | None = None) -> Router:
        """Return the router that a YAML file describes.

        The fleet is the argument, else the file's own `fleet` key, else a `fleet.yaml` beside the file.
        """
        path = Path(path)
        config = RouteConfig.from_yaml(path)
        if fleet is None and config.fleet is not None:
            fleet = fleet_of(config.fleet, strict.read(path))
        if fleet is None and (path.parent / "fleet.yaml").is_file():
            fleet = Fleet.from_yaml(path.parent / "fleet.yaml")
        if fleet is None:
            raise ConfigError(
                f"{path}: does not say which fleet answers",
                hint="pass fleet=..., add a `fleet` key, or put a fleet.yaml beside the file",
            )
        return cls(config, fleet=fleet, log=log)

    # Deciding

    def plan(self, prompts: Sequence[Prompt]) -> Plan:
        """Return the decisions for many prompts without asking any model; row i is what a live run of prompt i decides."""
        return self._route.plan(prompts)

    def pick(self, content: Content) -> str:
        """Return the name of the model that would be asked first."""
        return self.config.names[int(self.plan([prompt_of(content)]).order[0, 0])]

    def preview(self, content: Content) -> tuple[Message, ...]:
        """Return the messages that a model would be sent: passages, template, examples and context policy at work, asking nobody.

        Where the context policy has a model write summaries, the conversation is still whole. Raises the error that would
        leave the prompt without an answer before anybody is asked.
        """
        prompt = prompt_of(content)
        flow = preview_of(self.config, self._parts(stream=False))
        if not flow.parts:  # type: ignore[union-attr]
            return prompt.messages
        world = World(clock=self._clock, deadline=self._clock.monotonic() + self.config.limits.deadline_s)
        run = Run(id="preview", prompt=prompt, started_at=self._clock.now(), seed=self.setting.seed)
        run = self._engine.wait(play(flow, run, world))
        if run.failed is not None:
            raise Answer(run).error or RunFailed(run.failed.message)
        return run.messages

    def explain(self, content: Content) -> list[tuple[str, float | None, str]]:
        """Return the ranking for a prompt as (model, worst-case USD or None, why), asking nobody; a gate's judges are in the USD.

        What summaries of the conversation would cost comes on top.
        """
        prompt = prompt_of(content)
        messages = self.preview(prompt)
        plan = self.plan([prompt])
        call = _call_of(self._flow)
        rows = []
        for step, name in enumerate(self.config.names[m] for m in plan.order[0] if m >= 0):
            worst = call.worst_case_usd(self._endpoints[name].model, messages)
            judging = planned(plan.gate, name) if step < plan.ladder[0] - 1 else ()
            more = worst_usd(call, judging, messages, None)
            rows.append((name, None if worst is None or more is None else worst + more, plan.why(0)))
        return rows

    def describe(self) -> str:
        """Return the flow as an indented outline."""
        return describe(self._flow)

    def warm(self) -> None:
        """Load what the first prompt would wait for: the corpus that is retrieved from, the vectors of examples.

        It blocks, on a thread of the caller's. Raises what keeps a corpus from being loaded.
        """
        if self._finder is not None:
            self._finder.load()
        if self._examples is not None:
            self._examples.selector.warm()

    # Asking

    def route(self, content: Content, **about: Any) -> Answer:
        """Return the answer to a text, messages or a Prompt; raises the ProviderError or ConfigError that left it without one."""
        return _checked(self._engine.wait(self.play(prompt_of(content, **about))))

    async def aroute(self, content: Content, **about: Any) -> Answer:
        """The same as `route`, to be awaited from any event loop."""
        return _checked(await self._engine.call(self.play(prompt_of(content, **about))))

    def stream(self, content: Content, **about: Any) -> Iterator[str]:
        """Yield the answer's text as it comes; the run is logged when it ends, or when the caller stops reading."""
        pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        flow = self._built(stream=True)

        async def work() -> Answer:
            try:
                return await self.play(prompt_of(content, **about), emit=pieces.put, flow=flow)
            finally:
                pieces.put(None)

        future = self._engine.submit(work())
        sent = False
        try:
            while True:
                try:
                    piece = pieces.get(timeout=0.05)
                except queue.Empty:
                    continue
                if piece is None:
                    break
                sent = True
                yield piece
            answer = _checked(future.result())
            if not sent and answer.text:  # a cache hit, or a provider that does not stream
                yield answer.text
        finally:
            future.cancel()

    def many(
        self, prompts: Sequence[Content], *, done: Callable[[int, Answer], None] | None = None, jobs: int | None = None
    ) -> list[Answer]:
        """Return one answer a prompt, in order, `jobs` (default: the config's concurrency) at a time; failures are answers with `.error`.

        `done(i, answer)` is called on the engine's thread as each one finishes.
        """
        return self._engine.wait(self.amany(prompts, done=done, jobs=jobs))

    async def amany(
        self, prompts: Sequence[Content], *, done: Callable[[int, Answer], None] | None = None, jobs: int | None = None
    ) -> list[Answer]:
        """The same as `many`, as a coroutine for the engine's loop."""
        gate = asyncio.Semaphore(jobs or self.config.limits.concurrency)

        async def one(i: int, content: Content) -> Answer:
            async with gate:
                answer = await self.play(prompt_of(content))
            if done is not None:
                done(i, answer)
            return answer

        return await gathered([one(i, content) for i, content in enumerate(prompts)])

    async def play(
        self,
        prompt: Prompt,
        *,
        emit: Callable[[str], None] | None = None,
        flow: Flow | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Answer:
        """Play one prompt on the engine's loop, log the run whatever happens to it, and return the answer, good or failed.

        A cached answer that is stale is asked for again in the background, once at a time; that is a run of its own, with the tag
        `revalidates`, and is paid from the same budget.

        Raises ConfigError, before anything is asked, for a prompt whose scorer is a judge that the fleet does not have.
        """
        if self._scorer is None and self.setting.judges and is_judge(prompt.scorer):
            for name in judging_of(prompt.scorer or {}).asks:
                self._engine.keep(self.fleet.endpoint(name).provider)
        began = self._clock.monotonic()
        latest = [
            Run(
                id=uuid.uuid4().hex,
                prompt=prompt,
                started_at=self._clock.now(),
                arm=self.setting.arm or self.config.name,
                config=self.config.fingerprint,
                experiment=self.setting.experiment,
                tags={**self.setting.tags, **prompt.tags, **(tags or {})},
                seed=self.setting.seed,
            )
        ]

        def witness(run: Run) -> None:
            latest[0] = run

        world = World(clock=self._clock, emit=emit, witness=witness, deadline=began + self.config.limits.deadline_s)
        try:
            latest[0] = await play(flow or self._flow, latest[0], world)
        finally:
            # Also when cancelled or when a bug passes through: what was spent is in the log.
            self._memory.flights.land(latest[0].id)
            if self.log is not None:
                self.log.record(latest[0])
        self._revalidate(latest[0])
        return Answer(latest[0])

    def _revalidate(self, run: Run) -> None:
        hit = run.recalled
        if hit is None or not hit.stale:
            return
        source = hit.source_run or ""
        flow, heard = self._built(stream=False, anew=True), self.setting.refreshed

        async def again() -> None:
            answer: Answer | None = None
            try:
                answer = await self.play(run.prompt, flow=flow, tags={REVALIDATES: source})
            finally:
                if heard is not None:
                    heard(answer)

        self._memory.refresh(f"{hit.cache} {hit.key} {source}", again)

    async def settle(self, wait_s: float = CLOSE_S) -> None:
        """Wait as `close` does, on the engine's loop; what is asked afterwards is refreshed as before."""
        if self._own_memory:
            await self._memory.settle(wait_s)

    def close(self, wait_s: float = CLOSE_S) -> None:
        """Wait for what is being asked again in the background, `wait_s` seconds at most, and cancel what takes longer.

        The log and the engine are not the router's, and stay open; nor is a memory that was given to it.
        """
        if self._own_memory:
            self._memory.close(wait_s)

    def refit(self, *, settle_s: float | None = None) -> Router:
        """Return a router whose bandit has also learned from the runs that this arm logged since it last learned.

        The new config has another fingerprint, and every run logs the one that decided it. Runs that began within the last
        `settle_s` seconds (default: the deadline) wait for the next time, since an earlier one may still be under way.
        Raises ConfigError for a strategy that does not learn from what it asked, or without a log.
        """
        from routelab.strategies.bandit import Bandit
        from routelab.strategies.fitting.experience import relearned

        if not isinstance(self.config.ranking, Bandit):
            raise ConfigError(f"{self.config.name}: {self._route.kind} does not learn from a log", hint="kind: bandit")
        wait_s = self.config.limits.deadline_s if settle_s is None else settle_s
        learned = relearned(
            self.config.ranking,
            self.log,
            arm=self.setting.arm or self.config.name,
            experiment=self.setting.experiment,
            before=self._clock.now() - timedelta(seconds=wait_s),
        )
        # What was spent stays spent: the new router goes on with the old one's purse.
        setting = dataclasses.replace(self.setting, purse=self._purse)
        config = dataclasses.replace(self.config, strategy=learned)
        return Router(config, fleet=self.fleet, log=self.log, setting=setting, engine=self._engine, clock=self._clock)

    def __repr__(self) -> str:
        return f"Router({self.config.name}: {self._route.kind} over {', '.join(self.config.names)})"

    def with_setting(self, **changes: Any) -> Router:
        """Return a router with the same config and other circumstances."""
        setting = dataclasses.replace(self.setting, **changes)
        return Router(
            self.config, fleet=self.fleet, log=self.log, setting=setting, engine=self._engine, clock=self._clock
        )


def says_the_same(one: str, two: str, prompt: Prompt) -> bool:
    """Say whether two answers to a prompt say the same, as far as their form tells: equal texts, numbers, choices, values."""
    if one.split() == two.split():
        return True
    first, second = alike((one, two), prompt)
    return first == second


def shelf_of(log: Log | None, method: str = "templates") -> Any:
    """Return the log where it has a method for what it keeps besides runs, which not every log does."""
    return log if hasattr(log, method) else None


def scorer_in(given: Scorer | Judging | Mapping[str, Any] | None) -> Scorer | Judging | None:
    """Return the scorer or the judge that a setting names; ConfigError for a mapping that names neither."""
    if not isinstance(given, Mapping):
        return given
    return judging_of(given) if is_judge(given) else scorer_of(given)


async def gathered(work: Sequence[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """Return all results in order; the first bug (anything but expected trouble) cancels the rest and is raised alone."""
    tasks = [asyncio.ensure_future(w) for w in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _checked(answer: Answer) -> Answer:
    error = answer.error
    if error is not None:
        raise error
    return answer


def _call_of(flow: Flow) -> Any:
    from routelab.core.flow import Chain, Repeat, Unless
    from routelab.stages import Call

    if isinstance(flow, Chain):
        return next((c for c in map(_call_of, flow.parts) if c is not None), None)
    if isinstance(flow, (Unless, Repeat)):
        return _call_of(flow.body)
    return flow if isinstance(flow, Call) else None
