"""Arms over a task: what each way of choosing examples makes of every prompt, and how two of them differ.

The fast path: no request is written, the model's rule is applied to the vectors at once. `benchmarks/fewshot.py` shows that
the real stack (`RouteConfig`, `Router`) gives the same answers, tokens and costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from routelab.core.ports import Floats
from routelab.core.values import Prompt
from routelab.embedding import vectors
from routelab.embedding.index import Vectors
from routelab.lab.fewshots.model import Reader, counter
from routelab.lab.fewshots.task import Task
from routelab.lab.outcomes import Ints
from routelab.lab.significance import paired_permutation
from routelab.lab.statistics import Estimate, paired_difference, quality_mean
from routelab.prompting.fewshot import Example, Pool, Selector, few_shot_of
from routelab.providers.nearestlabel import PRICE, nearest_label_model, spoken, weighed
from routelab.providers.practice import FRAME_TOKENS


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A few-shot mapping without its pool, or None for none."""

    name: str
    spec: Mapping[str, Any] | None = None

    def selector(self, pool: Pool, seed: int) -> Selector | None:
        """Return the selector over a pool; what is drawn is drawn by the seed."""
        if self.spec is None:
            return None
        spec = dict(self.spec)
        if spec["kind"] == "random":
            spec["seed"] = seed
        return Selector(few_shot=few_shot_of({**spec, "examples": pool}))


def arms(shots: Sequence[int], ways: Mapping[str, Mapping[str, Any]]) -> tuple[Arm, ...]:
    """Return zero-shot and every way at every number of examples."""
    made = [Arm(name=f"{way}, k = {k}", spec={**spec, "k": k}) for way, spec in ways.items() for k in shots]
    return (Arm(name="zero-shot"), *made)


@dataclass(frozen=True, kw_only=True, eq=False)
class Played:
    """An arm over a task: quality and input tokens, seeds × prompts, cost in USD alike, and what was shown.

    `reached` says whether an example with the right label was shown (seeds × prompts).
    """

    arm: Arm
    quality: Floats
    tokens: Floats
    cost_usd: Floats
    reached: Floats
    clusters: Any = field(repr=False)

    @property
    def accuracy(self) -> Estimate:
        """The mean quality, its interval over labels."""
        return quality_mean(self.quality.mean(axis=0), self.clusters)

    @property
    def by_seed(self) -> Floats:
        """The accuracy of each seed."""
        means: Floats = self.quality.mean(axis=1)
        return means


@dataclass(frozen=True, kw_only=True)
class Versus:
    """One arm minus another: the difference with its interval over labels, and the p value of no difference."""

    arm: str
    base: str
    difference: Estimate
    p: float


def versus(one: Played, base: Played, *, seed: int = 0) -> Versus:
    """Return how much more often one arm is right: paired by prompt, the mean of the seeds, labels as clusters.

    p is that of a sign-flip test over the labels' sums.
    """
    new, old = one.quality.mean(axis=0), base.quality.mean(axis=0)
    sums = np.bincount(one.clusters, weights=new - old).astype(float)
    return Versus(
        arm=one.arm.name,
        base=base.arm.name,
        difference=paired_difference(new, old, one.clusters),
        p=paired_permutation(sums, seed=seed),
    )


Shown = Sequence[tuple[Example, ...]]
"""What each prompt is shown."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lengths:
    """How many tokens the texts of a task are, each counted once."""

    task: Task
    known: dict[str, int] = field(default_factory=dict, repr=False)

    def tokens(self, text: str) -> int:
        """Return the length of a text as the model counts it."""
        if text not in self.known:
            self.known[text] = counter().count(text, nearest_label_model()).input or 0
        return self.known[text]

    def asked(self, prompt: Prompt, examples: Sequence[Example]) -> int:
        """Return the input tokens of a prompt with examples as turns."""
        texts = [self.task.system, *(t for e in examples for t in (e.question, e.answer)), prompt.text]
        return sum(self.tokens(t) for t in texts) + FRAME_TOKENS * (len(texts) + 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sheet:
    """A task as one reader reads it: vectors of the questions, the labels' names and all examples, each made once."""

    task: Task
    reader: Reader
    questions: Vectors
    names: Vectors
    at: Mapping[str, int]
    known: Vectors

    @staticmethod
    def of(task: Task, reader: Reader, pools: Sequence[Pool]) -> Sheet:
        """Return the sheet of a task whose examples come from these pools."""
        texts = list(dict.fromkeys(e.question for pool in pools for e in pool))
        return Sheet(
            task=task,
            reader=reader,
            questions=vectors(reader.embedder, [p.text for p in task.prompts]),
            names=vectors(reader.embedder, [spoken(label) for label in task.labels]),
            at={text: i for i, text in enumerate(texts)},
            known=vectors(reader.embedder, texts),
        )

    @cached_property
    def named(self) -> Floats:
        """The cosines of the questions with the labels' names, prompts × labels."""
        names = self.names.astype(np.float64)
        return np.array([(names * question).sum(axis=1) for question in self.questions.astype(np.float64)])

    @cached_property
    def _number(self) -> Mapping[str, int]:
        return {label: i for i, label in enumerate(self.task.labels)}

    def answers(self, rows: Shown) -> list[str]:
        """Return what the model says to each prompt when it is shown these: the rule of `NearestLabel.label`."""
        every = np.arange(len(self.task.labels))
        said = []
        for i, row in enumerate(rows):
            near = self.known[[self.at[e.question] for e in row]].astype(np.float64)
            cosines = (near * self.questions[i].astype(np.float64)).sum(axis=1)
            number = np.array([self._number[e.answer] for e in row], dtype=np.intp)
            if self.reader.reads == "both" or not row:
                cosines, number = np.concatenate([cosines, self.named[i]]), np.concatenate([number, every])
            said.append(self._settled(cosines, number))
        return said

    def _settled(self, cosines: Floats, number: Ints) -> str:
        labels = self.task.labels
        if self.reader.sharpness is None:
            return labels[int(number[int(np.argmax(cosines))])]
        total = np.bincount(number, weights=np.exp(self.reader.sharpness * (cosines - cosines.max())))
        best = int(total.argmax())
        if (total == total[best]).sum() > 1:  # of equals the one that the prompt names first
            return weighed(cosines, [labels[int(i)] for i in number], self.reader.sharpness)
        return labels[best]


def played(
    task: Task,
    these: Sequence[Arm],
    *,
    pools: Sequence[Pool],
    readers: Mapping[str, Reader],
    heard: Callable[[str], None] = lambda _: None,
) -> dict[str, list[Played]]:
    """Return each arm as each reader answers it, over the task's prompts; pool number s is drawn from under seed s.

    Choosing does not depend on who reads, so it is done once.
    """
    sheets = {name: Sheet.of(task, reader, pools) for name, reader in readers.items()}
    lengths = Lengths(task=task)
    found: dict[str, list[Played]] = {name: [] for name in readers}
    for arm in these:
        heard(arm.name)
        chosen = [shown(arm, task, pool, seed) for seed, pool in enumerate(pools)]
        tokens = [[lengths.asked(p, e) for p, e in zip(task.prompts, rows, strict=True)] for rows in chosen]
        for name, sheet in sheets.items():
            said = [sheet.answers(rows) for rows in chosen]
            found[name].append(_played(arm, chosen, said, np.array(tokens, dtype=float), lengths))
    return found


def shown(arm: Arm, task: Task, pool: Pool, seed: int) -> Shown:
    """Return what an arm shows to each prompt."""
    chooses = arm.selector(pool, seed)
    return [()] * len(task.prompts) if chooses is None else chooses.choose(task.prompts)


def _played(
    arm: Arm, chosen: Sequence[Shown], said: Sequence[Sequence[str]], tokens: Floats, lengths: Lengths
) -> Played:
    wanted = [p.reference for p in lengths.task.prompts]
    quality = [[a == w for a, w in zip(row, wanted, strict=True)] for row in said]
    output = np.array([[lengths.tokens(a) for a in row] for row in said], dtype=float)
    reached = [[any(e.answer == w for e in these) for these, w in zip(rows, wanted, strict=True)] for rows in chosen]
    return Played(
        arm=arm,
        quality=np.array(quality, dtype=float),
        tokens=tokens,
        cost_usd=(tokens * PRICE.usd_per_mtok_in + output * PRICE.usd_per_mtok_out) / 1e6,
        reached=np.array(reached, dtype=float),
        clusters=lengths.task.clusters,
    )
