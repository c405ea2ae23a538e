"""A classification task out of labelled texts: prompts with their right labels, the instructions, a pool of examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from routelab.core.errors import DataError
from routelab.core.values import Message, Prompt, draw
from routelab.lab.outcomes import Ints
from routelab.prompting.fewshot import Example, Pool

Pairs = Sequence[Sequence[str]]
LABEL = "label"
"""The tag of a prompt that holds its label. Not the group: examples of a prompt's group are held out, and with them its answer."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Prompts, the system text that they are asked with, and all labelled texts that examples may come from."""

    name: str
    system: str
    labels: tuple[str, ...]
    prompts: tuple[Prompt, ...]
    train: Pool

    @cached_property
    def clusters(self) -> Ints:
        """The number of each prompt's label: prompts of one label are right or wrong together."""
        number = {label: i for i, label in enumerate(self.labels)}
        return np.array([number[p.tags[LABEL]] for p in self.prompts], dtype=np.intp)

    def pool(self, each: int, seed: int) -> Pool:
        """Return `each` examples of every label, drawn by the seed, in an order drawn by it too."""
        ranked = sorted(self.train, key=lambda e: draw(seed, "pool", e.id))
        left = dict.fromkeys(self.labels, each)
        chosen: list[Example] = []
        for example in ranked:
            if left.get(example.answer, 0) > 0:
                left[example.answer] -= 1
                chosen.append(example)
        return Pool(examples=tuple(chosen))


def instructions(labels: Sequence[str]) -> str:
    """Return the system text of a classification task: what to do, and every label by name."""
    return "Say what the text is about. Answer with one of the labels and nothing else.\nLabels: " + ", ".join(labels)


def task_of(
    train: Pairs,
    test: Pairs,
    *,
    name: str = "task",
    names: Mapping[str, str] | None = None,
    take: int | None = None,
    seed: int = 0,
) -> Task:
    """Return the task of (text, label) pairs: examples from `train`, prompts from `test` (`take` of them, drawn by the seed).

    `names` gives labels other names. DataError when a test label has no example.
    """
    called = names or {}

    def renamed(pairs: Pairs) -> list[tuple[str, str]]:
        return [(text, called.get(label, label)) for text, label in pairs]

    pool = Pool.of([{"question": text, "answer": label} for text, label in renamed(train)])
    labels = tuple(dict.fromkeys(e.answer for e in pool))
    prompts = []
    for i, (text, label) in enumerate(renamed(test)):
        if label not in labels:
            raise DataError(f"{name}: test[{i}]: the label '{label}' has no example in train")
        prompts.append(
            Prompt(
                id=f"{name}-{i:05d}",
                messages=(Message(role="user", content=text),),
                task="classification",
                reference=label,
                scorer={"kind": "exact", "answers": [label]},
                tags={LABEL: label},
            )
        )
    if take is not None and take < len(prompts):
        kept = set(sorted(range(len(prompts)), key=lambda i: draw(seed, "test", prompts[i].id))[:take])
        prompts = [p for i, p in enumerate(prompts) if i in kept]
    return Task(name=name, system=instructions(labels), labels=labels, prompts=tuple(prompts), train=pool)
