"""An experiment that asks models now: arms × prompts, what was finished of them, and the comparison that follows."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from routelab.config import RouteConfig
from routelab.core.errors import BudgetExceeded, ConfigError, suggest
from routelab.core.ports import Scorer
from routelab.lab.datasets import Dataset
from routelab.lab.stopping import Decided
from routelab.lab.trial import Listener, Progress, Trial
from routelab.router import Router, Setting
from routelab.stages import Budget

if TYPE_CHECKING:
    from routelab.judging import Judging
    from routelab.lab.compare import Comparison
    from routelab.lab.session import Lab
    from routelab.store import Log


@dataclass(frozen=True, kw_only=True)
class Design:
    """How an experiment is played and judged, fixed before its first call; see `Lab.experiment`.

    The baseline is the first arm where it is None. With `together`, a prompt is asked of all arms before the next one, as it
    always is with a rule that stops.
    """

    baseline: str | None = None
    margin: float = 0.02
    budget_usd: float | None = None
    seed: int = 0
    scorer: Scorer | Judging | Mapping[str, Any] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    cache: bool = True
    stop: Literal["decided"] | None = None
    together: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """A trial with what it needs to be judged; `id` is its name in the log, `enough` the rule that watches it, if any.

    `log` is where its runs are kept, so that what people say of them can be kept there too.
    """

    id: str
    dataset: Dataset
    configs: Mapping[str, RouteConfig]
    trial: Trial
    baseline: str
    margin: float
    seed: int
    enough: Decided | None = None
    log: Log | None = None

    @property
    def name(self) -> str:
        """What a line of progress calls it."""
        n, arms = len(self.dataset), len(self.configs)
        who = ", ".join(self.configs) if arms < 4 else f"{arms} arms"
        return f"{self.dataset.name}: {n:,} prompt{'s' if n > 1 else ''} × {who}"

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self.trial.progress

    async def play(self, *, jobs: int, heard: Listener | None = None) -> None:
        """Ask what has no answer yet, `jobs` at a time."""
        await self.trial.play(jobs=jobs, heard=heard, enough=self.enough)

    def result(self) -> Comparison | None:
        """Return the comparison over the prompts that every arm finished, or None when there is no such prompt."""
        from routelab.lab.live import Looks, judged

        enough = self.enough
        decided = enough is not None and enough.decided
        which = list(enough.prompts) if enough is not None and decided else self.trial.whole
        if not which:
            return None
        found = judged(
            [self.dataset.prompts[i] for i in which],
            {name: self.trial.rows(name, which) for name in self.configs},
            self.configs,
            unfinished=len(self.dataset) - len(which),
            dataset=self.dataset.name,
            refreshes=self.trial.refreshes,
            looks=None if enough is None else Looks(count=enough.looks, decided=decided),
            baseline=self.baseline,
            margin=self.margin,
            seed=self.seed,
            experiment=self.id,
        )
        return dataclasses.replace(found, log=self.log)

    def trouble(self) -> BudgetExceeded | None:
        """Return that the budget ended and how much is finished, or None."""
        stopped = self.trial.stopped
        if stopped is None:
            return None
        return BudgetExceeded(
            f"{stopped.message}; {len(self.trial.whole)} of {len(self.dataset)} prompts are finished", hint=stopped.hint
        )


def designed(lab: Lab, dataset: Dataset, configs: Mapping[str, RouteConfig], design: Design) -> Experiment:
    """Return an experiment in a lab, described in its log and ready; ConfigError for a design that does not fit its arms."""
    if design.stop not in (None, "decided"):
        raise ConfigError(f"stop: unknown '{design.stop}'", hint='stop="decided", or leave it out to ask every prompt')
    if not configs:
        raise ConfigError("name at least one arm", hint="for example lab.compare(data, ['rules', 'gpt-5'])")
    baseline = next(iter(configs)) if design.baseline is None else design.baseline
    if baseline not in configs:
        near = suggest(baseline, configs)
        raise ConfigError(f"baseline: unknown arm '{baseline}'{'' if near is None else '; ' + near}")
    # Statistics take a second to import: before the calls, so that an interrupt later on is quick.
    from routelab.lab import live  # noqa: F401

    name = f"{dataset.name}-{uuid.uuid4().hex[:8]}"
    watched = design.stop is not None
    setting = dataclasses.replace(_setting(name, design), refreshed=lambda answer: trial.refreshed(answer))
    trial = Trial(
        _routers(lab, configs, setting),
        dataset.prompts,
        seed=design.seed,
        together=watched or design.together,
    )
    lab.log.record_prompts(dataset.prompts)
    lab.log.record_experiment(
        name,
        dataset=dataset.name,
        arms={arm: config.to_mapping() for arm, config in configs.items()},
        seed=design.seed,
        # Baseline, margin and rule, so that who opens it later can show that they were fixed before the figures.
        detail={
            "dataset_fingerprint": dataset.fingerprint,
            "prompts": len(dataset),
            "baseline": baseline,
            "margin": design.margin,
            "stop": design.stop,
        },
    )
    return Experiment(
        id=name,
        dataset=dataset,
        configs=configs,
        trial=trial,
        baseline=baseline,
        margin=design.margin,
        seed=design.seed,
        enough=Decided(baseline=baseline, margin=design.margin) if watched else None,
        log=lab.log,
    )


def _setting(name: str, design: Design) -> Setting:
    return Setting(
        experiment=name,
        tags=design.tags,
        scorer=design.scorer,
        purse=None if design.budget_usd is None else Budget(design.budget_usd),
        seed=design.seed,
        # Each arm remembers for itself: with the session's memory, who asks first would pay for the others.
        cache=design.cache,
    )


def _routers(lab: Lab, configs: Mapping[str, RouteConfig], setting: Setting) -> dict[str, Router]:
    return {
        name: Router(
            config,
            fleet=lab.fleet,
            log=lab.log,
            setting=dataclasses.replace(setting, arm=name, libraries=lab.corpora.libraries),
        )
        for name, config in configs.items()
    }
