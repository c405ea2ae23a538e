"""The bench one chunking after the other, so that it can be watched and stopped; what is finished is a result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from routelab.chunking import identity
from routelab.core.errors import ConfigError
from routelab.core.ports import Embedder
from routelab.lab.chunks.answers import Answers, Asking
from routelab.lab.chunks.bench import ChunksBench, Plan, bench
from routelab.lab.chunks.questions import Questions, halves
from routelab.lab.chunks.settings import Setting
from routelab.lab.chunks.verdict import choice


class OneByOne:
    """Chunkings that are tried in turn, with one embedder by its name (none: by words) and one way to search.

    Arms go by their setting's name alone. `watched` hears which one is being tried. With `asking`, a fleet answers from each
    arm's contexts, and all arms together stay within its budget.
    """

    def __init__(
        self,
        questions: Questions,
        settings: Sequence[Setting],
        *,
        embedders: Mapping[str, Embedder],
        plan: Plan,
        watched: Callable[[str], None] = lambda _: None,
        asking: Asking | None = None,
    ) -> None:
        self.questions, self.settings, self.plan = questions, tuple(settings), plan
        if len(embedders) > 1 or len(plan.by) != 1:
            raise ConfigError("one embedder and one way to search are wanted", hint="bench(...) takes several")
        self._embedders = dict(embedders)
        self._watched = watched
        self._asking = asking
        self._answers: dict[str, Answers] = {}
        self._seen: dict[str, str] = {}
        self._tried: list[ChunksBench] = []
        self._arms: list[dict[str, Any]] = []
        self._scores: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        """Try one chunking after the other, and yield its name when its figures are there; raises what `bench` raises."""
        for setting in self.settings[len(self._arms) :]:
            name = setting.name
            self._watched(name)
            cut = identity(c for source, text in self.questions.corpora.items() for c in setting.chunker(text, source))
            first = self._seen.setdefault(cut, name)
            # An arm is there when its scores are: somebody may look from another thread.
            if first != name:
                known = next(arm for arm in self._arms if arm["name"] == first)
                about = {
                    "chunker": setting.kind,
                    "size": setting.size,
                    "overlap": setting.overlap,
                    "unit": setting.unit,
                }
                self._scores[name] = self._scores[first]
                self._arms.append({**known, **about, "name": name, "mb_per_s": None, "same_as": first})
            else:
                found = bench(self.questions, [setting], embedders=self._embedders, plan=self.plan, asking=self._left())
                if found.answers:
                    self._answers[name] = next(iter(found.answers.values()))
                self._tried.append(found)
                self._scores[name] = next(iter(found.scores.values()))
                self._arms.append({**found.arms[0], "name": name, "same_as": None})
            yield name

    @property
    def done(self) -> int:
        """How many chunkings are finished."""
        return len(self._arms)

    def found(self) -> ChunksBench | None:
        """Return what is finished as one bench, with the choice among it; None while there is nothing."""
        arms, scores = tuple(self._arms), dict(self._scores)
        if not arms:
            return None
        split = halves(self.questions, seed=self.plan.seed)
        # An arm that cuts as another one does is no further candidate.
        names = [str(arm["name"]) for arm in arms if arm["same_as"] is None]
        chosen = choice(names, [scores[name] for name in names], split, self.plan.margin)
        left = len(self.settings) - len(arms)
        stopped = [f"stopped before {left} more chunking{'s' * (left > 1)} were tried"] if left else []
        named = next(arm for arm in arms if arm["name"] == names[chosen.named])
        return dataclasses.replace(
            self._tried[0],
            arms=arms,
            recommended={**named, "vs_best_recall": dict(chosen.versus)} if chosen.accepted else None,
            why=chosen.why,
            about={**self._tried[0].about, "arms_tried": len(names), "notes": [*self.questions.notes, *stopped]},
            scores=scores,
            answers={name: made for name, made in self._answers.items() if name in scores},
        )

    def _left(self) -> Asking | None:
        """Return the asking with what is left of its budget; what earlier arms' calls cost is known only as far as they say."""
        asking = self._asking
        if asking is None or asking.budget_usd is None:
            return asking
        spent = sum(float(np.nansum(made.cost_usd) + np.nansum(made.measuring_usd)) for made in self._answers.values())
        return dataclasses.replace(asking, budget_usd=max(0.0, asking.budget_usd - spent))
