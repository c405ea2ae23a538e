"""Leaks: what a pool of examples and a set of prompts have in common, which would let a prompt see its own answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from routelab.core.values import Prompt
from routelab.embedding.index import Exact
from routelab.present import Table, bundle
from routelab.prompting.fewshot.example import Pool
from routelab.prompting.fewshot.ground import Ground

Why = Literal["id", "text", "group", "near"]


@dataclass(frozen=True, kw_only=True)
class Leak:
    """An example that gives a prompt away: the same id, the same text, the same group, or nearly the same text.

    `cosine` is known only for those that are near; `agree` says whether the example's answer is the prompt's reference.
    """

    prompt: str
    example: str
    why: Why
    text: str
    question: str
    cosine: float | None = None
    agree: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Leaks:
    """The leaks between a pool and prompts; the first three kinds are always held out, near ones by `duplicate_at`."""

    found: tuple[Leak, ...]
    prompts: int
    examples: int
    near: float | None = None

    def __len__(self) -> int:
        return len(self.found)

    @property
    def counts(self) -> dict[str, int]:
        """How many prompts have a leak, by why."""
        return dict(Counter(why for why, _ in {(leak.why, leak.prompt) for leak in self.found}))

    def table(self, most: int = 20) -> Table:
        """Return one row a leak, the most telling first."""
        kinds = ("id", "text", "near", "group")
        ordered = sorted(self.found, key=lambda leak: (kinds.index(leak.why), -(leak.cosine or 0.0)))
        rows = [
            [
                leak.why,
                leak.prompt,
                leak.example,
                "–" if leak.cosine is None else f"{leak.cosine:.3f}",
                leak.text,
                leak.question,
            ]
            for leak in ordered[:most]
        ]
        told = ", ".join(f"{n:,} by {why}" for why, n in sorted(self.counts.items())) or "none"
        return Table(
            head=("why", "prompt", "example", "cosine", "asked", "in the pool"),
            rows=rows,
            numbers=frozenset((3,)),
            caption=f"leaks between {self.examples:,} examples and {self.prompts:,} prompts: {told}",
            notes=[f"{len(self) - most:,} more"] if len(self) > most else [],
        )

    def __repr__(self) -> str:
        return f"Leaks({len(self)}: {self.counts or 'none'})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return bundle(self.table())


def leaks(pool: Pool, prompts: Sequence[Prompt], *, near: float | None = None, embedder: Any = "minilm") -> Leaks:
    """Return what of the pool gives the prompts away; with `near`, also questions whose cosine is at least that.

    An example is named once a prompt, for the first reason of id, text, group, near.
    """
    found = []
    for prompt in prompts:
        for position, why in sorted(pool.overlaps(prompt).items()):
            found.append(_leak(pool, prompt, position, why, None))
    if near is not None and prompts:
        ground = Ground(pool=pool, embedder=embedder)
        asked = ground.vectors([p.text for p in prompts])
        known = {(leak.prompt, leak.example) for leak in found}
        for prompt, (positions, cosines) in zip(prompts, _above(ground, asked, near), strict=True):
            for position, cosine in zip(positions, cosines, strict=True):
                if (prompt.id, pool.examples[position].id) not in known:
                    found.append(_leak(pool, prompt, int(position), "near", float(cosine)))
    return Leaks(found=tuple(found), prompts=len(prompts), examples=len(pool), near=near)


def _above(ground: Ground, asked: Any, near: float) -> list[tuple[Any, Any]]:
    """Return the positions and cosines of each vector's neighbours from a cosine on, nearest first."""
    index = Exact(rows=ground.rows)
    rows: list[tuple[Any, Any]] = [(np.array([], dtype=np.intp), np.array([]))] * len(asked)
    depth, waiting = 16, list(range(len(asked)))
    while waiting:
        positions, cosines = index.nearest(asked[waiting], depth)
        more = []
        for i, p, c in zip(waiting, positions, cosines, strict=True):
            rows[i] = (p[c >= near], c[c >= near])
            if len(p) and c[-1] >= near and len(p) < len(ground.pool):
                more.append(i)
        depth, waiting = depth * 4, more
    return rows


def _leak(pool: Pool, prompt: Prompt, position: int, why: Any, cosine: float | None) -> Leak:
    example = pool.examples[position]
    return Leak(
        prompt=prompt.id,
        example=example.id,
        why=why,
        text=prompt.text,
        question=example.question,
        cosine=cosine,
        agree=None if prompt.reference is None else prompt.reference == example.answer,
    )
