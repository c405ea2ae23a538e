"""What one cell plays: its prompts, its arms, and what becomes of the answers. Preparing it asks nobody."""

from __future__ import annotations

import dataclasses
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from routelab.core.errors import BudgetExceeded, ConfigError, RoutelabError, suggest
from routelab.notebook import prompts
from routelab.notebook.asking import Ask
from routelab.notebook.bench import Bench
from routelab.notebook.beside import Beside

if TYPE_CHECKING:
    from routelab.answer import Answer
    from routelab.config import RouteConfig
    from routelab.core.ports import Scorer
    from routelab.core.values import Prompt
    from routelab.judging import Judging
    from routelab.lab.compare import Comparison
    from routelab.lab.datasets import Dataset
    from routelab.lab.trial import Trial
    from routelab.router import Router
    from routelab.store import Log

MARGIN = 0.02
"""The largest loss of quality that a comparison of a cell still calls no loss: 2 points."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """A trial that is ready to be played, or has been: prompts × arms."""

    ask: Ask
    dataset: Dataset
    configs: Mapping[str, RouteConfig]
    trial: Trial
    experiment: str
    log: Log | None = None

    @property
    def name(self) -> str:
        """What the progress line calls it."""
        n, arms = len(self.dataset), len(self.configs)
        return f"{self.dataset.name}: {n} prompt{'s' if n > 1 else ''} × {', '.join(self.configs) if arms < 4 else f'{arms} arms'}"

    @property
    def tabular(self) -> bool:
        """Whether the result is a comparison over data, and not an answer or a few."""
        return self.ask.over is not None

    def result(self) -> Answer | Beside | Comparison | None:
        """Return what has been finished: an answer, answers side by side, or a comparison over the prompts that every arm finished."""
        answers = self.trial.answers
        if not self.tabular:
            had = {arm: row[0] for arm, row in answers.items() if row[0] is not None}
            if len(self.configs) == 1:
                return next(iter(had.values()), None)
            return Beside(prompt=self.dataset.prompts[0], answers=had) if had else None
        which = self.trial.whole
        if not which:
            return None
        from routelab.lab.live import judged

        found = judged(
            [self.dataset.prompts[i] for i in which],
            {arm: self.trial.rows(arm, which) for arm in self.configs},
            self.configs,
            baseline=next(iter(self.configs)),
            margin=MARGIN,
            seed=0,
            experiment=self.experiment,
            dataset=self.dataset.name,
            unfinished=len(self.dataset) - len(which),
        )
        return dataclasses.replace(found, log=self.log)

    def trouble(self) -> RoutelabError | None:
        """Return why the cell fails: the budget ended, or nobody answered anything; None when there is something to show."""
        if self.trial.stopped is not None:
            return BudgetExceeded(f"{self.trial.stopped.message}; {self.finished()}", hint=self.trial.stopped.hint)
        had = [a for row in self.trial.answers.values() for a in row if a is not None]
        errors = [a.error for a in had if a.error is not None]
        if not errors or len(errors) < len(had):
            return None
        first = errors[0]
        if len(errors) > 1:
            first = type(first)(f"all {len(errors)} answers failed; the first: {first.message}", hint=first.hint)
        return first

    def finished(self) -> str:
        """Return how much there is and where, for the end of an error's line."""
        whole = len(self.trial.whole)
        kept = f", kept in `{self.ask.out or 'routelab.last'}`" if whole else ""
        return f"{whole} of {len(self.dataset)} prompts are finished{kept}"


def prepare(bench: Bench, ask: Ask) -> Work:
    """Return the work that a cell asks for; everything that can be wrong with it is raised here, before anything is spent."""
    configs = arms_of(bench, ask)
    dataset = prompts_of(bench, ask)
    scorer: Scorer | Judging | None = None
    if ask.score is not None:
        dataset, scorer = _scorer(bench, ask, dataset)
    from routelab.lab.trial import Trial

    if ask.over is not None:
        # Statistics take a second to import: before the calls, so that an interrupt later on is quick.
        from routelab.lab import live  # noqa: F401
    many = ask.over is not None or len(configs) > 1
    experiment = f"{dataset.name}-{uuid.uuid4().hex[:8]}" if many else ""
    purse = _purse(bench, ask)
    setting = {"experiment": experiment, "tags": ask.tags, "scorer": scorer, "purse": purse, "cache": not ask.no_cache}
    plain = not many and not ask.tags and scorer is None and purse is None and not ask.no_cache
    routers = {
        name: _kept(bench, name, config) if plain else bench.router(name, config, **setting)
        for name, config in configs.items()
    }
    work = Work(
        ask=ask,
        dataset=dataset,
        configs=configs,
        trial=Trial(routers, dataset.prompts),
        experiment=experiment,
        log=bench.lab.log,
    )
    if many:
        bench.lab.log.record_experiment(
            experiment, dataset=dataset.name, arms={n: c.to_mapping() for n, c in configs.items()}, seed=0
        )
    return work


def arms_of(bench: Bench, ask: Ask) -> dict[str, RouteConfig]:
    """Return the arms that a cell names, with its --system, --temperature and --max-tokens put into each."""
    from routelab.config import RouteConfig

    if ask.model is not None:
        bench.fleet.endpoint(ask.model)
        pinned = RouteConfig(
            name=ask.model, models=[ask.model], strategy={"kind": "fixed", "model": ask.model}, fleet=bench.fleet.spec
        )
        arms = {ask.model: pinned}
    else:
        arms = _distinct([bench.arm(given) for given in ask.arms] if ask.arms else [bench.default()])
    changes = {"system": ask.system, "temperature": ask.temperature, "max_output_tokens": ask.max_tokens}
    given: dict[str, Any] = {key: value for key, value in changes.items() if value is not None}
    if not given:
        return arms
    return {
        name: dataclasses.replace(config, prompt=dataclasses.replace(config.prompt, **given))
        for name, config in arms.items()
    }


def _distinct(arms: Sequence[tuple[str, RouteConfig]]) -> dict[str, RouteConfig]:
    found: dict[str, RouteConfig] = {}
    for name, config in arms:
        if name in found:
            raise ConfigError(f"two arms are called '{name}'", hint="give one of the configs another name")
        found[name] = config
    return found


def prompts_of(bench: Bench, ask: Ask) -> Dataset:
    """Return the prompts that a cell asks, filled in."""
    from routelab.lab.datasets import Dataset

    if ask.over is None:
        return Dataset(name="prompt", prompts=(prompts.one(ask.text, bench, template=not ask.no_template),))
    source, name = prompts.source_of(ask.over, bench)
    rows = prompts.some(source, limit=ask.limit, sample=ask.sample)
    return prompts.many(ask.text, rows, name, bench, template=not ask.no_template)


def _scorer(bench: Bench, ask: Ask, dataset: Dataset) -> tuple[Dataset, Scorer | Judging | None]:
    """Return the prompts and the scorer that `--score` names: a kind, a function of the notebook, a scorer's mapping, or a judge."""
    from routelab.judging import is_judge, judging_of
    from routelab.scoring import KINDS, Function, scorer_of

    given = ask.score
    if isinstance(given, str):
        held = bench.names.get(given)
        if held is None and given.partition(":")[0] == "judge":
            return dataset, _judge(bench, given)
        if given in KINDS:
            return prompts.scored(dataset, given), None
        if not callable(held) and not isinstance(held, Mapping):
            functions = [
                n for n, v in bench.names.items() if callable(v) and not n.startswith("_") and not isinstance(v, type)
            ]
            near = suggest(given, [*functions, *KINDS])
            raise ConfigError(
                f"--score: there is no scorer '{given}'{'' if near is None else '; ' + near}",
                hint=f"a function f(answer, prompt) of this notebook, judge:MODEL, or one of {', '.join(KINDS)}",
            )
        given = held
    if is_judge(given):
        return dataset, judging_of(given) if isinstance(given, Mapping) else given
    if isinstance(given, Mapping):
        scorer_of(given)
        return dataclasses.replace(dataset, prompts=tuple(dataclasses.replace(p, scorer=given) for p in dataset)), None
    if not callable(given):
        raise ConfigError(f"--score: a scorer's name or a function is wanted, not a {type(given).__name__}")
    # The prompts' own scorers step back: the log names a score after them.
    bare = dataclasses.replace(dataset, prompts=tuple(dataclasses.replace(p, scorer=None) for p in dataset))
    return bare, Function(_own(given))


def _judge(bench: Bench, given: str) -> Judging:
    """Return the judge of ``judge:MODEL``: a score by a rubric, with the right answer at hand where a prompt brings one."""
    from routelab.judging import Rubric

    model = given.partition(":")[2]
    if not model:
        raise ConfigError(
            "--score judge: which model judges?",
            hint=f"--score judge:MODEL, a model of the fleet ({', '.join(bench.fleet.names)}); or $name of a judge's mapping",
        )
    bench.fleet.endpoint(model)
    return Rubric(model=model, reference="given")


class ScorerRaised(Exception):
    """A function of the notebook raised while it scored: a bug of the cell's owner, said in two lines, where it is."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def _render_traceback_(self) -> list[str]:
        if not RoutelabError.short:
            return "".join(traceback.format_exception(self)).splitlines()
        return [
            f"{type(self).__name__}: {self.message}",
            "  hint: the answers that were finished are kept; call it by hand on one",
        ]


def _own(scorer: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with what it raises said in one line: what, where in it, and for which prompt."""
    name = getattr(scorer, "__name__", type(scorer).__name__)
    code = getattr(scorer, "__code__", None)

    def scored(answer: str, prompt: Prompt) -> Any:
        try:
            return scorer(answer, prompt)
        except (RoutelabError, ExceptionGroup):
            raise
        except Exception as trouble:
            frames = traceback.walk_tb(trouble.__traceback__)
            lines = [line for frame, line in frames if code is not None and frame.f_code is code]
            at = f", line {lines[-1]} of its cell" if lines else ""
            said = " ".join(f"{type(trouble).__name__}: {trouble}".split())
            raise ScorerRaised(f"scorer {name} raised {said:.200} (prompt {prompt.id}{at})") from trouble

    scored.__name__ = name
    return scored


def _purse(bench: Bench, ask: Ask) -> Any:
    from routelab.stages import Budget

    limit = ask.budget if ask.budget is not None else bench.settings.budget_usd
    return None if limit is None else Budget(limit)


def _kept(bench: Bench, name: str, config: RouteConfig) -> Router:
    """Return the arm's router of earlier cells, so that its cache remembers what they asked."""
    key = (name, config.fingerprint)
    if key not in bench.routers or bench.routers[key].fleet is not bench.fleet:
        bench.routers[key] = bench.router(name, config)
    return bench.routers[key]
