"""Who would be asked, and what that could cost at most; nobody is asked."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from routelab.notebook.asking import Ask
from routelab.notebook.bench import Bench
from routelab.notebook.sheet import cut
from routelab.notebook.work import arms_of, prompts_of
from routelab.present import Table, bundle, tokens, usd

if TYPE_CHECKING:
    import pandas as pd

NOTE = "worst case of the first choice: the longest answer it may give, and its judges; a retry, a fallback or a cascade's next model would come on top"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What one arm would do with one prompt. `worst_usd` is None when the model has no known price."""

    arm: str
    prompt_id: str
    prompt: str
    model: str
    why: str
    input_tokens: int | None
    worst_usd: float | None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DryRun:
    """The decisions of a cell that was not played, prompt by prompt."""

    decisions: tuple[Decision, ...]
    prompts: int
    arms: tuple[str, ...]
    shown: int = 20

    @property
    def worst_usd(self) -> float | None:
        """What all first choices together could cost, or None when a price is not known."""
        return _sum([d.worst_usd for d in self.decisions])

    @property
    def frame(self) -> pd.DataFrame:
        """One row a prompt and arm."""
        import pandas as pd

        return pd.DataFrame([dataclasses.asdict(d) for d in self.decisions]).astype({"worst_usd": float})

    def header(self) -> str:
        """Return one line: how many calls, and what they could cost."""
        n = len(self.decisions)
        return f"dry run: {n} call{'s' if n > 1 else ''}, at most {usd(self.worst_usd)}; nobody was asked"

    def __repr__(self) -> str:
        return f"DryRun({self.header()})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        parts: list[Table | str] = [self.header()]
        if self.prompts > 1:
            parts.append(self._by_arm())
        parts.append(self._by_prompt())
        return bundle(*parts)

    def _by_arm(self) -> Table:
        rows = []
        for arm in self.arms:
            own = [d for d in self.decisions if d.arm == arm]
            mix = ", ".join(f"{model} {n}" for model, n in Counter(d.model for d in own).most_common())
            counted = [d.input_tokens for d in own if d.input_tokens is not None]
            rows.append([arm, mix, tokens(sum(counted), estimated=True), usd(_sum([d.worst_usd for d in own]))])
        return Table(head=("arm", "first choices", "input tokens", "at most"), rows=rows, numbers=frozenset((2, 3)))

    def _by_prompt(self) -> Table:
        shown = self.decisions[: self.shown]
        left = len(self.decisions) - len(shown)
        more = [f"{left} more rows; .frame has them all"] if left else []
        rows = [
            [cut(d.prompt, 80), d.arm, d.model, d.why, tokens(d.input_tokens, estimated=True), usd(d.worst_usd)]
            for d in shown
        ]
        head = ("prompt", "arm", "would ask", "why", "input tokens", "at most")
        return Table(head=head, rows=rows, numbers=frozenset((4, 5)), notes=[*more, NOTE])


def dry_run(bench: Bench, ask: Ask) -> DryRun:
    """Return the decisions for a cell, from the same plan that a real run would follow."""
    dataset = prompts_of(bench, ask)
    found = []
    arms = arms_of(bench, ask)
    for arm, config in arms.items():
        router = bench.router(arm, config)
        for prompt in dataset.prompts:
            model, worst, why = router.explain(prompt)[0]
            endpoint = bench.fleet.endpoint(model)
            counted = bench.fleet.counter.count("\n".join(m.content for m in prompt.messages), endpoint.model)
            found.append(
                Decision(
                    arm=arm,
                    prompt_id=prompt.id,
                    prompt=prompt.text,
                    model=model,
                    why=why,
                    input_tokens=counted.input,
                    worst_usd=worst,
                )
            )
    return DryRun(decisions=tuple(found), prompts=len(dataset), arms=tuple(arms), shown=bench.settings.limit)


def _sum(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) if len(known) == len(values) else None
