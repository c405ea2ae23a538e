"""The regression run of a prompt: one config with two versions of its template, played live on the same prompts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from routelab.answer import Answer
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, DataError
from routelab.core.events import Answered, Scored
from routelab.core.ports import Scorer, Strategy
from routelab.core.values import Prompt
from routelab.engine import shared
from routelab.lab.check import Checked, Word
from routelab.lab.compare import ALPHA
from routelab.lab.datasets import Dataset
from routelab.lab.experiment import Experiment
from routelab.lab.stopping import FEWEST, beginning
from routelab.lab.trial import Listener, Progress, Trial, walked_of
from routelab.present import Table, bundle, percent, usd
from routelab.prompting import Difference, Template, diff

if TYPE_CHECKING:
    from routelab.judging import Judging
    from routelab.lab.session import Lab

SAMPLE = 40
STRICT = 0.998
"""The level of the one look on the way: at one so strict the last look keeps its own (Haybittle 1971; Peto et al. 1976)."""
SHOWN = 20
Ended = Literal["", "sample", "budget", "stopped"]
_ENDED = {
    "sample": f"ended after the sample, which settles it at {100 * STRICT:g} %",
    "budget": "the budget ended it",
    "stopped": "it was stopped",
}


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a regression run is played: the largest loss that counts as none, how many prompts come first, what it may cost.

    After the first `sample` prompts there is one look; what is settled then at 99.8 % is not paid for any further.
    """

    margin: float = 0.02
    sample: int = SAMPLE
    budget_usd: float | None = None
    seed: int = 0
    jobs: int = 8
    scorer: Scorer | Judging | dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.margin <= 1:
            raise ConfigError(f"margin: must be more than 0 and at most 1, not {self.margin}")
        if self.sample < FEWEST:
            raise ConfigError(f"sample: a look needs at least {FEWEST} prompts, not {self.sample}")


@dataclass(frozen=True, kw_only=True)
class Change:
    """A prompt whose answer is worth something else with the new version: qualities, and both answers."""

    prompt: Prompt
    old: Answer
    new: Answer
    delta: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Regression:
    """What became of answers when a template went from one version to another; `checked` holds the comparison and its verdict.

    `total` is how many prompts there were to play; `ended` says why not all of them were.
    """

    checked: Checked
    old: Template
    new: Template
    total: int
    ended: Ended = ""

    @property
    def word(self) -> Word:
        """Fine (no worse by the margin), regression (worse, beyond doubt), or inconclusive (too few prompts to say)."""
        return self.checked.word

    @property
    def better(self) -> bool:
        """Whether the new version is better beyond doubt."""
        against = self.checked.arm.figures.against
        return against is not None and against.p_better <= ALPHA

    @property
    def why(self) -> str:
        """One sentence with the figures, and why it ended early if it did."""
        played = len(self.checked.comparison.prompts)
        ended = f"; {_ENDED[self.ended]} ({played:,} of {self.total:,} prompts)" if self.ended else ""
        return f"{self.checked.why}{'; it is better, beyond doubt' if self.better else ''}{ended}"

    @property
    def difference(self) -> Difference:
        """What was changed in the template."""
        return diff(self.old, self.new)

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """The prompts whose quality changed, the largest losses first, the largest gains last."""
        comparison = self.checked.comparison
        deltas = self.checked.arm.walked.quality - comparison.baseline.walked.quality
        pairs = zip(
            comparison.prompts,
            comparison.answers[comparison.baseline.name],
            comparison.answers[self.checked.arm.name],
            deltas,
            strict=True,
        )
        found = [Change(prompt=p, old=a, new=b, delta=float(d)) for p, a, b, d in pairs if d != 0 and not np.isnan(d)]
        return tuple(sorted(found, key=lambda c: (c.delta, c.prompt.id)))

    @property
    def worse(self) -> tuple[Change, ...]:
        """The prompts whose answers lost, the largest losses first."""
        return tuple(c for c in self.changes if c.delta < 0)

    @property
    def gained(self) -> tuple[Change, ...]:
        """The prompts whose answers gained, the largest gains first."""
        return tuple(c for c in reversed(self.changes) if c.delta > 0)

    def figures(self) -> Table:
        """Return both versions beside each other: quality, tokens, cost, wait, answers that were cut."""
        comparison = self.checked.comparison
        rows = []
        for template, arm in ((self.old, comparison.baseline), (self.new, self.checked.arm)):
            said = [e for a in comparison.answers[arm.name] for e in a.run.events if isinstance(e, Answered)]
            quality, f = arm.figures.quality, arm.figures
            rows.append(
                (
                    template.reference,
                    percent(None if quality is None else quality.value),
                    _mean([e.tokens.input for e in said]),
                    _mean([e.tokens.output for e in said]),
                    f"{sum(e.finish == 'length' for e in said):,}",
                    usd(None if f.cost_usd is None else 1000 * f.cost_usd),
                    f"{f.failures:,}",
                )
            )
        head = ("version", "quality", "tokens in, mean", "out, mean", "cut off", "cost of 1,000", "failures")
        made = ", simulated: practice models do not read a template, so only tokens and costs can change"
        played, simulated = len(comparison.prompts), comparison.terms.simulated
        caption = f"{comparison.terms.dataset}: {played:,} prompts with each version{made if simulated else ''}"
        return Table(head=head, rows=rows, numbers=frozenset(range(1, 7)), caption=caption)

    def table(self, limit: int = SHOWN) -> Table:
        """Return the prompts whose quality changed, those that lost first."""
        lost, won = self.worse, self.gained
        shown = [*lost[:limit], *won[: max(0, limit - len(lost[:limit]))]]
        rows = [
            (
                f"{_quality(c.old)} → {_quality(c.new)}",
                c.prompt.task or "–",
                _line(c.prompt.text),
                _line(c.old.text or str(c.old.error or "")),
                _line(c.new.text or str(c.new.error or "")),
                _reason(c.new),
            )
            for c in shown
        ]
        left = len(lost) + len(won) - len(shown)
        return Table(
            head=("quality", "task", "prompt", f"with {self.old.reference}", f"with {self.new.reference}", "why now"),
            rows=rows,
            caption=f"{len(lost):,} prompts got worse, {len(won):,} got better",
            notes=[f"{left:,} more are in .changes"] if left else [],
        )

    def __repr__(self) -> str:
        return self._repr_mimebundle_()["text/plain"]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        changes = self.table()
        return bundle(self.why, self.figures(), changes if changes.rows else "no prompt's quality changed")


@dataclass(eq=False)
class Rerun:
    """A regression run that is ready: `play` it on the engine's loop or as a job, read `result` at any time."""

    experiment: Experiment
    old: Template
    new: Template
    course: Course
    _ended: Ended = field(default="", init=False)

    @property
    def name(self) -> str:
        """What a line of progress calls it."""
        return f"{self.old.reference} → {self.new.reference} on {self.experiment.dataset.name}"

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self.experiment.progress

    async def play(self, *, heard: Listener | None = None) -> None:
        """Play the sample, look once, and play the rest unless that settled it."""
        trial, jobs = self.experiment.trial, self.course.jobs
        if self.course.sample < len(trial.prompts):
            await trial.play(jobs=jobs, heard=heard, enough=lambda t: len(beginning(t)) >= self.course.sample)
            if trial.stopped is None and settled(trial, self.old.reference, self.course.margin):
                self._ended = "sample"
                return
        await trial.play(jobs=jobs, heard=heard)

    def result(self) -> Regression | None:
        """Return what came of it, of the prompts that both versions finished; None when there is no such prompt.

        Raises DataError when no answer was scored.
        """
        found = self.experiment.result()
        if found is None:
            return None
        if found.baseline.figures.quality is None or found[self.new.reference].figures.quality is None:
            raise DataError(
                f"{self.experiment.dataset.name}: no answer was scored",
                hint="its prompts need a `scorer`, or pass scorer=",
            )
        found = dataclasses.replace(
            found,
            arms=tuple(a for a in found.arms if a.name == self.new.reference),
            terms=dataclasses.replace(found.terms, arms_tried=1),
        )
        total = len(self.experiment.dataset)
        ended: Ended = self._ended
        if not ended and len(found.prompts) < total:
            ended = "budget" if self.experiment.trial.stopped is not None else "stopped"
        return Regression(
            checked=Checked(comparison=found, source="live"), old=self.old, new=self.new, total=total, ended=ended
        )


def settled(trial: Trial, baseline: str, margin: float) -> bool:
    """Say whether what was finished so far settles the verdict at the strict level."""
    from routelab.lab.statistics import non_inferiority, paired_difference

    seen = beginning(trial)
    other = next(arm for arm in trial.answers if arm != baseline)
    old, new = (walked_of(trial.rows(arm, seen), ()).quality for arm in (baseline, other))
    both = ~np.isnan(old) & ~np.isnan(new)
    if both.sum() < FEWEST:
        return False
    prompts = [trial.prompts[i] for i in seen]
    groups: dict[str, int] = {}
    clusters = None
    if any(p.group is not None for p in prompts):
        clusters = np.array([groups.setdefault(p.group or p.id, len(groups)) for p in prompts], dtype=np.intp)[both]
    difference = paired_difference(new[both], old[both], clusters, level=STRICT)
    return non_inferiority(difference, margin).verdict != "inconclusive"


def planned(
    lab: Lab,
    data: object,
    config: str | RouteConfig | Strategy,
    versions: tuple[Template, Template],
    course: Course,
) -> Rerun:
    """Return the run of a config with an old and a new version of its template, described in the log and ready.

    Raises ConfigError for two versions that say the same.
    """
    old, new = versions
    if old.sha256 == new.sha256:
        raise ConfigError(
            f"{old.reference} and {new.reference} say the same", hint="there is nothing that could have become worse"
        )
    own = lab.config(config, "prompt")
    arms = {t.reference: dataclasses.replace(own, prompt=dataclasses.replace(own.prompt, template=t)) for t in versions}
    experiment = lab.experiment(
        Dataset.of(data),
        arms,
        baseline=old.reference,
        margin=course.margin,
        budget_usd=course.budget_usd,
        seed=course.seed,
        scorer=course.scorer,
        tags={"regression": f"{old.reference} {new.reference}"},
        # Both versions are asked now: what a cache knows says nothing of what a model does with a new text.
        cache=False,
        together=True,
    )
    return Rerun(experiment=experiment, old=old, new=new, course=course)


def regression(
    lab: Lab,
    data: object,
    config: str | RouteConfig | Strategy,
    versions: tuple[Template, Template],
    course: Course | None = None,
    *,
    heard: Callable[[Progress], None] | None = None,
) -> Regression:
    """Play a config with two versions of its template on the same prompts and return what became of the answers.

    When the budget ends, what was finished counts, and the sentence says so. An interrupt is raised with what is finished as
    `.partial`. Raises ConfigError for two versions that say the same, DataError for prompts whose answers nothing scores.
    """
    run = planned(lab, data, config, versions, course or Course())
    try:
        shared().wait(run.play(heard=heard))
    except KeyboardInterrupt as interrupt:
        interrupt.partial = run.result()  # type: ignore[attr-defined]
        raise
    found = run.result()
    if found is None:
        trouble = run.experiment.trouble()
        raise trouble if trouble is not None else DataError(f"{run.experiment.dataset.name}: there are no prompts")
    return found


def _mean(values: list[int | None]) -> str:
    known = [v for v in values if v is not None]
    return f"{sum(known) / len(known):,.0f}" if known and len(known) == len(values) else "?"


def _quality(answer: Answer) -> str:
    quality = 0.0 if answer.quality is None else answer.quality
    return f"{quality:g}" if quality in (0.0, 1.0) else f"{quality:.2f}"


def _reason(answer: Answer) -> str:
    if answer.error is not None:
        return _line(str(answer.error.args[0] if answer.error.args else answer.error))
    scored = [e for e in answer.run.events if isinstance(e, Scored) and e.accepted is None]
    return _line(scored[-1].reason) if scored else ""


def _line(text: str, most: int = 160) -> str:
    words = " ".join(text.split())
    return words if len(words) <= most else words[: most - 1] + "…"
