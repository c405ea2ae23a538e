"""The bench itself: one log, one fleet, named arms, and the verbs that a notebook calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from routelab.caching import Memory
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.plan import Gate
from routelab.core.ports import Embedder, Scorer, Strategy
from routelab.core.values import Price
from routelab.engine import SystemClock, shared
from routelab.fleet import Fleet
from routelab.lab.datasets import Dataset
from routelab.lab.naming import always, arm_of, named
from routelab.router import Router, Setting, says_the_same
from routelab.store import Log

if TYPE_CHECKING:
    import pandas as pd

    from routelab.judging import Judging
    from routelab.lab.adaptation import Adaptation
    from routelab.lab.allocation import BestArm
    from routelab.lab.axes import Grid
    from routelab.lab.collect import Headway, Retry
    from routelab.lab.compare import Comparison
    from routelab.lab.corpora import Documents
    from routelab.lab.desk import Desk
    from routelab.lab.docket import Docket
    from routelab.lab.experiment import Experiment
    from routelab.lab.forecast import Forecast
    from routelab.lab.hearings import Sat
    from routelab.lab.outcomes import Outcomes
    from routelab.lab.prompts import Prompts
    from routelab.lab.trial import Listener
    from routelab.lab.usage.findings import Findings
    from routelab.lab.usage.monitor import Usage
    from routelab.panels import Panel


class Lab:
    """A session: what is logged where, who can be asked, and which arms have names.

    >>> lab = Lab(fleet=Fleet.practice(latency=0))
    >>> lab.router("qwen-local").route("What is the capital of France?").simulated
    True
    >>> lab.close()
    """

    def __init__(
        self, log: str | Path | Log = ":memory:", *, fleet: Fleet | None = None, content: str = "full"
    ) -> None:
        self.log = log if isinstance(log, Log) else Log(log, content=content)  # type: ignore[arg-type]
        self.fleet = fleet if fleet is not None else Fleet.practice()
        self.arms: dict[str, RouteConfig] = {}
        self._embedder: Embedder | None = None
        self._desk: Desk | None = None
        self._corpora: Documents | None = None
        # Experiments that a thread of this session collects right now: two of them would pay for the same answers.
        self.collecting: set[str] = set()
        self.memory = Memory(clock=SystemClock(), log=self.log, same=says_the_same)
        """What the session's routers remember together; in the log, so that the next session knows it too."""

    @property
    def embedder(self) -> Embedder:
        """The default embedder (the bundled MiniLM), with its vectors cached in the log."""
        if self._embedder is None:
            from routelab.embedding import Cached, embedder_of

            self._embedder = Cached(embedder=embedder_of({"kind": "minilm"}), store=self.log)
        return self._embedder

    @property
    def corpora(self) -> Documents:
        """The documents that configs retrieve from, by name: ``lab.corpora["handbook"] = "docs/handbook"``."""
        if self._corpora is None:
            from routelab.lab.corpora import Documents

            self._corpora = Documents(self.log)
        return self._corpora

    @property
    def prompts(self) -> Prompts:
        """The prompt library: templates in the log, in the folder `prompts`, and those that come with routelab."""
        from routelab.lab.prompts import Prompts

        return Prompts(lab=self)

    # Arms

    def arm(self, name: str) -> RouteConfig:
        """Return a named arm: one of `arms`, a model of the fleet (always that model), or a strategy that needs no parameters."""
        return arm_of(name, self.arms, self.fleet)

    def config(self, arm: str | RouteConfig | Strategy, name: str = "arm") -> RouteConfig:
        """Return the config of an arm given by name, as a config, or as a bare strategy over the whole fleet."""
        if isinstance(arm, str):
            return self.arm(arm)
        if isinstance(arm, RouteConfig):
            # A config that does not say who answers means this session's fleet, and says so when it is exported.
            own = arm.settled(self.log)
            return own if own.fleet is not None else dataclasses.replace(own, fleet=self.fleet.spec)
        return RouteConfig(
            name=name, models=getattr(arm, "models", ()) or self.fleet.names, strategy=arm, fleet=self.fleet.spec
        )

    def router(self, arm: str | RouteConfig | Strategy, **setting: Any) -> Router:
        """Return a router for an arm, logging into this session's log; `setting` are fields of `router.Setting`."""
        config = self.config(arm)
        shared = {"memory": self.memory, "libraries": self.corpora.libraries, **setting}
        return Router(config, fleet=self.fleet, log=self.log, setting=Setting(**shared))

    def forget(self, namespace: str | None = None) -> None:
        """Forget what caches remember, all of it or what configs with this `cache.namespace` remember, here and in the log.

        The answers stay in the log; they are not given again, by no process. Experiments under way begin anew, too.
        """
        self.log.forget(namespace)
        self.memory.forget(namespace)

    # Experiments

    def compare(
        self,
        data: object,
        arms: Mapping[str, str | RouteConfig | Strategy] | Sequence[str],
        *,
        baseline: str | None = None,
        margin: float = 0.02,
        budget_usd: float | None = None,
        jobs: int = 8,
        seed: int = 0,
        scorer: Scorer | Judging | Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        cache: bool = True,
        heard: Listener | None = None,
        stop: Literal["decided"] | None = None,
    ) -> Comparison:
        """Play every arm live on every prompt, interleaved, and return the comparison with its answers.

        The baseline is the first arm unless named. When the budget ends or somebody interrupts, the raised BudgetExceeded or
        KeyboardInterrupt carries what was finished as `.partial` (a Comparison, or None when no prompt was finished by all arms).

        With `stop="decided"` the trial ends once every arm is decided against the margin; intervals are then those of a confidence
        sequence, which hold at any look and are wider, and a note says what was not spent. What a `scorer` that is a judge costs
        (``{"kind": "judge", "model": ...}``) is paid from the budget and told in a note, and is in no arm's cost; so is what caches
        ask for again in the background because it is stale.
        """
        trial = self.experiment(
            data,
            arms,
            baseline=baseline,
            margin=margin,
            budget_usd=budget_usd,
            seed=seed,
            scorer=scorer,
            tags=tags,
            cache=cache,
            stop=stop,
        )
        try:
            shared().wait(trial.play(jobs=jobs, heard=heard))
        except KeyboardInterrupt as interrupt:
            interrupt.partial = trial.result()  # type: ignore[attr-defined]
            raise
        if (error := trial.trouble()) is not None:
            error.partial = trial.result()  # type: ignore[attr-defined]
            raise error
        whole = trial.result()
        assert whole is not None
        return whole

    def experiment(
        self,
        data: object,
        arms: Mapping[str, str | RouteConfig | Strategy] | Sequence[str],
        *,
        baseline: str | None = None,
        margin: float = 0.02,
        budget_usd: float | None = None,
        seed: int = 0,
        scorer: Scorer | Judging | Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        cache: bool = True,
        stop: Literal["decided"] | None = None,
        together: bool = False,
    ) -> Experiment:
        """Return what `compare` would play, described in the log and ready: `play` it as a job, read `result` at any time.

        With `together`, a prompt is asked of all arms before the next one: who stops half-way has half of the prompts whole.
        """
        from routelab.lab.experiment import Design, designed

        design = Design(
            baseline=baseline,
            margin=margin,
            budget_usd=budget_usd,
            seed=seed,
            scorer=scorer,
            tags=tags or {},
            cache=cache,
            stop=stop,
            together=together,
        )
        configs = {name: self.config(arm, name) for name, arm in named(arms).items()}
        return designed(self, Dataset.of(data), configs, design)

    def collect(
        self,
        data: object,
        models: Sequence[str] = (),
        *,
        budget_usd: float | None = None,
        jobs: int = 8,
        seed: int = 0,
        scorer: Scorer | None = None,
        heard: Callable[[Headway], None] | None = None,
        name: str | None = None,
        retry: Retry = "both",
        force: bool = False,
        extend: bool = False,
        logprobs: bool = False,
    ) -> Outcomes:
        """Ask every model once about every prompt and return the outcomes, for replay.

        The log knows the collection by `name` (default: the data set's) and seed. What it holds is not asked, or paid, again, even
        after a kill. `retry` says what is asked of what has no answer: "missing" what was never asked, "errors" what failed after its
        retries (quality 0), or "both". `budget_usd` bounds the cost over all its runs, calls cut off by a kill at their worst case.

        Prompts, models or a scorer other than the collection's are refused with the difference (ConfigError): `extend` adds
        prompts and models to it, `force` starts a new one. Raises BudgetExceeded before the first call when even the low end of the
        estimate does not fit, and later with `.partial`; LogBusy while another process collects the same. `heard` takes a `Headway`
        before the first call and after each one, on the engine's thread; without it, a line shows how far it is. `logprobs` asks for
        the log-probabilities of tokens, so that gates on them replay; a model that refuses to give them then refuses the call.
        """
        from routelab.lab.collect import Order, collect
        from routelab.lab.headway import telling

        order = Order(
            name=name,
            budget_usd=budget_usd,
            jobs=jobs,
            seed=seed,
            scorer=scorer,
            retry=retry,
            force=force,
            extend=extend,
            logprobs=logprobs,
        )
        dataset, names = Dataset.of(data), self.fleet.roster(models).names
        with telling(name or dataset.name, jobs, heard, again="collect again to go on") as told:
            return collect(self, dataset, names, order, heard=told)

    def estimate(
        self, data: object, models: Sequence[str] = (), *, seed: int = 0, name: str | None = None, retry: Retry = "both"
    ) -> Forecast:
        """Return what `collect` would ask and what that would cost, a 90 % range in USD; nothing is asked or written."""
        from routelab.lab.collect import Order, estimate

        return estimate(
            self, Dataset.of(data), self.fleet.roster(models).names, Order(name=name, seed=seed, retry=retry)
        )

    def judge(
        self,
        outcomes: Outcomes,
        gate: Mapping[str, Any] | Gate,
        models: Sequence[str] = (),
        *,
        budget_usd: float | None = None,
        jobs: int = 8,
        seed: int = 0,
        heard: Callable[[Sat], None] | None = None,
        name: str | None = None,
        retry: Retry = "both",
    ) -> Outcomes:
        """Let a gate's judge look at every recorded answer once, and return the outcomes with its verdicts, for replay.

        `gate` is as in a config, ``{"scorer": "judge", "model": ..., "rubric": ...}`` (or pairwise, consistency, confidence; for
        ``{"all": [...]}`` each part that asks somebody); its bar plays no part here. `models` are whose answers are judged (default:
        all). Verdicts go to `outcomes.gates[key]` with what a live gate would have cost and taken, so cascades with this gate replay.
        The log keeps them by prompt and answer: what it holds is not asked again, after a kill neither. `budget_usd` bounds what
        judging costs over all its runs under `name`. Raises BudgetExceeded and KeyboardInterrupt with `.partial`, DataError where no
        texts were recorded, ConfigError for a judge that the fleet does not have. `heard` takes a `Sat` before the first call, with
        the estimate (`.docket`), and after each verdict, on the engine's thread; without it, a line shows how far it is.
        """
        from routelab.lab.headway import telling
        from routelab.lab.hearings import Hours, judge, parts

        hours = Hours(models=tuple(models), budget_usd=budget_usd, jobs=jobs, seed=seed, name=name, retry=retry)
        for part in parts(gate):
            with telling(name or outcomes.dataset or "outcomes", jobs, heard, again="judge again to go on") as told:
                outcomes = judge(self, outcomes, part, hours, heard=told)
        return outcomes

    def judge_estimate(
        self,
        outcomes: Outcomes,
        gate: Mapping[str, Any] | Gate,
        models: Sequence[str] = (),
        *,
        seed: int = 0,
        name: str | None = None,
        retry: Retry = "both",
    ) -> Docket:
        """Return what `judge` with the same arguments would ask and spend; nothing is asked.

        Of several gates in one (``{"all": [...]}``) each has an estimate of its own: ConfigError.
        """
        from routelab.lab.hearings import Hours, estimate, parts

        asking = parts(gate)
        if len(asking) > 1:
            raise ConfigError(
                "judge: several gates ask somebody", hint="lab.judge_estimate(outcomes, part) for each of them"
            )
        return estimate(self, outcomes, asking[0], Hours(models=tuple(models), seed=seed, name=name, retry=retry))

    def adapt(
        self,
        data: object,
        config: str | RouteConfig | Strategy,
        *,
        batch: int = 32,
        rounds: int | None = None,
        budget_usd: float | None = None,
        stop: Literal["best-arm"] | BestArm | None = None,
        jobs: int = 8,
        seed: int = 0,
        scorer: Scorer | None = None,
        heard: Listener | None = None,
    ) -> Adaptation:
        """Let a bandit learn live: play a batch with what it knows, score it, learn, go on; return what came of it.

        Ends when every prompt was played once, after `rounds` batches, when the budget is spent, when somebody interrupts (what is
        finished is returned), or with `stop="best-arm"` as soon as the best model is known with an error of at most 5 %
        (`BestArm(delta=...)` for others). The result's `config` has learned; the log has every draw's chance. Raises ConfigError.
        """
        from routelab.lab.adapt import Course, adapt, rule_of

        course = Course(
            batch=batch, rounds=rounds, budget_usd=budget_usd, stop=rule_of(stop), jobs=jobs, seed=seed, scorer=scorer
        )
        return adapt(self, Dataset.of(data), self.config(config, "bandit"), course, heard=heard)

    def bandit_replay(
        self,
        outcomes: Outcomes,
        config: str | RouteConfig | Strategy,
        *,
        batch: int = 32,
        rounds: int | None = None,
        stop: Literal["best-arm"] | BestArm | None = None,
        seed: int = 0,
    ) -> Adaptation:
        """Let a bandit learn over recorded outcomes, of which it sees only what it drew; no model is called."""
        from routelab.lab.adapt import Course, bandit_replay, rule_of

        given = self._recorded(config, outcomes)
        if not isinstance(given, RouteConfig):
            given = RouteConfig(name="bandit", models=outcomes.models, strategy=given)
        return bandit_replay(outcomes, given, Course(batch=batch, rounds=rounds, stop=rule_of(stop), seed=seed))

    def replay(
        self,
        outcomes: Outcomes,
        arms: Mapping[str, str | RouteConfig | Strategy] | Sequence[str],
        *,
        confirm: float = 0.4,
        margin: float = 0.02,
        seed: int = 0,
        baseline: str | None = None,
    ) -> Comparison:
        """Return the comparison of arms over recorded outcomes, on the confirm split; no model is called.

        Where each prompt met one model only, chosen by chance (`outcomes.single_choice`), arms are estimated off-policy; what
        cannot be told is refused. The comparison's `how` says which of the two it is.
        """
        from routelab.lab.replay import replay
        from routelab.lab.reuse import InLog, counted

        resolved = {name: self._recorded(arm, outcomes) for name, arm in named(arms).items()}
        found = replay(outcomes, resolved, confirm=confirm, margin=margin, seed=seed, baseline=baseline)
        return dataclasses.replace(counted(found, outcomes, InLog(log=self.log), confirm=confirm), log=self.log)

    def sweep(
        self,
        outcomes: Outcomes,
        base: str | RouteConfig | Strategy,
        grid: Grid,
        *,
        search: str = "grid",
        n: int | None = None,
        confirm: float = 0.4,
        margin: float = 0.02,
        seed: int = 0,
        baseline: str | None = None,
        jobs: int | None = None,
    ) -> Comparison:
        """Return the comparison of a base arm and the best few of a grid around it, on the confirm split; no model is called.

        `grid` maps dotted keys to lists of values; all combinations are judged on tune, or `n` drawn ones (`search="random"`).
        """
        from routelab.lab.reuse import InLog, counted
        from routelab.lab.sweep import sweep

        given = self._recorded(base, outcomes)
        config = given if isinstance(given, RouteConfig) else self.config(given, "base")
        terms = {"confirm": confirm, "margin": margin, "seed": seed, "baseline": baseline}
        found = sweep(outcomes, config, grid, search=search, n=n, jobs=jobs, **terms)  # type: ignore[arg-type]
        return dataclasses.replace(counted(found, outcomes, InLog(log=self.log), confirm=confirm), log=self.log)

    def tuner(
        self,
        outcomes: Outcomes,
        arms: Mapping[str, str | RouteConfig | Strategy] | Sequence[str] | None = None,
        *,
        confirm: float = 0.4,
        margin: float = 0.02,
        seed: int = 0,
        baseline: str | None = None,
    ) -> Panel:
        """Return a panel with a slider for each knob of an arm (a threshold, a bar, a share), answered by replay while it moves.

        Figures are those of the tune split; Confirm replays one setting on the confirm split, which is counted, and exports it.
        Without `arms` there are standard ones: single models, a mix, arbitrage, cascades on recorded gates.
        """
        from routelab.panels import tuner

        given = None if arms is None else {n: self._recorded(arm, outcomes) for n, arm in named(arms).items()}
        return tuner(self.desk, outcomes, given, confirm=confirm, margin=margin, seed=seed, baseline=baseline)

    def _recorded(self, arm: str | RouteConfig | Strategy, outcomes: Outcomes) -> RouteConfig | Strategy:
        if isinstance(arm, str) and arm in outcomes.models and arm not in self.arms:
            return always(arm, self.fleet)
        return self.config(arm) if isinstance(arm, (str, RouteConfig)) else arm

    # The log

    def sql(self, text: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        """Return the rows of a read-only query over the log (tables runs, events, calls, scores, …) as a pandas frame."""
        frame: pd.DataFrame = self.log.frame(text, parameters)
        return frame

    def usage(self, **scope: Any) -> Usage:
        """Return the tokens and costs of each type of query (task × template × model); `scope` as for `findings`."""
        from routelab.lab.usage.monitor import usage
        from routelab.lab.usage.scope import Scope

        return usage(self.log, Scope(**scope), prices=self._price)

    def findings(self, *, margin: float = 0.02, **scope: Any) -> Findings:
        """Return what uses far more tokens than it is shown to need; `scope`: `experiment`, `task`, `model`, `since` (UTC)."""
        from routelab.lab.usage.look import findings
        from routelab.lab.usage.scope import Scope

        return findings(self.log, Scope(**scope), margin=margin, prices=self._price)

    def _price(self, model: str) -> Price | None:
        return self.fleet.endpoints[model].model.price if model in self.fleet.endpoints else None

    @property
    def desk(self) -> Desk:
        """What the panels of this lab share: its jobs, and the comparison that is looked at."""
        if self._desk is None:
            from routelab.lab.desk import Desk, variables

            self._desk = Desk(self, names=variables)
        return self._desk

    def panel(self) -> Panel:
        """Return the whole bench as a panel: playground, comparison, tuner, log, cache, chunking, prompts, context, guards, jobs."""
        from routelab.panels import bench

        return bench(self.desk)

    def logview(self) -> Panel:
        """Return the log as a panel: what was spent and when, tokens by kind of prompt, slowest, dearest, errors, every trace."""
        from routelab.panels import logview as view

        return view(self.desk)

    def close(self) -> None:
        """Wait for cached answers that are being refreshed, write what is pending and let go of the log."""
        self.memory.close()
        self.log.close()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Lab(log={self.log!r}, fleet={self.fleet!r}, arms={list(self.arms)})"
