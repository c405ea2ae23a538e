"""Selector: a way of choosing with its vectors, ready to be asked for one prompt or for many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from routelab.core.run import Run
from routelab.core.values import Prompt
from routelab.embedding import VectorStore
from routelab.prompting.fewshot.example import Example
from routelab.prompting.fewshot.ground import FewShot, Ground


@dataclass(frozen=True, kw_only=True, eq=False)
class Selector:
    """Chooses examples for prompts; none of them is the prompt itself, says the same, or is of its group.

    The pool is embedded at the first call that needs vectors (some 1,300 short texts a second with MiniLM), or by `warm`;
    `store`, such as a log, keeps its vectors beyond this process. It blocks: an event loop calls it in a thread.
    """

    few_shot: FewShot
    store: VectorStore | None = None

    @cached_property
    def ground(self) -> Ground:
        """The pool with its vectors, and who of it may be shown."""
        return Ground(
            pool=self.few_shot.examples,
            embedder=self.few_shot.embedder,
            duplicate_at=self.few_shot.duplicate_at,
            per_answer=self.few_shot.per_answer,
            store=self.store,
        )

    @property
    def digest(self) -> str:
        """The pool's digest."""
        return self.few_shot.examples.digest

    def warm(self) -> None:
        """Embed the pool now, if the way of choosing looks at vectors."""
        self(self._anybody)

    @property
    def _anybody(self) -> Prompt:
        return Prompt.of(self.few_shot.examples.examples[0].question)

    def choose(self, prompts: Sequence[Prompt]) -> list[tuple[Example, ...]]:
        """Return the examples to show to each prompt, in the order of showing; a row depends on its prompt only.

        They are fewer than `k` only when no more of the pool may be shown. Raises what the embedder raises.
        """
        if not prompts:
            return []
        pool = self.few_shot.examples.examples
        return [tuple(pool[i] for i in row) for row in self.few_shot.choose(self.ground, prompts)]

    def __call__(self, asked: Run | Prompt) -> tuple[Example, ...]:
        """Return the examples to show to one prompt, or to the prompt of a run."""
        return self.choose([asked.prompt if isinstance(asked, Run) else asked])[0]
