"""The bench for semantic caches: embedders × guards × thresholds on labelled pairs, chosen on one half and told of the other.

On the tune half every threshold of every arm is looked at, and one arm is nominated for the confirm half to decide on. That half
is asked once, so its 95 % bound needs no correction for the many that were tried. All figures are those of the confirm half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from routelab.caching.reach import comparable
from routelab.core.errors import ConfigError, DataError
from routelab.core.ports import Floats
from routelab.embedding import vectors
from routelab.lab.benches import written
from routelab.lab.caches.acceptance import fit, rehearsed
from routelab.lab.caches.arms import FITTED, Setting, arm
from routelab.lab.caches.curve import BUDGET, LEVEL, curve, hits_needed, nominated, safest
from routelab.lab.caches.pairs import Halves, Pairs, halves
from routelab.lab.caches.verdict import verdict
from routelab.present import Table
from routelab.version import __version__

if TYPE_CHECKING:
    from routelab.caching.guard import Guard

Bools = NDArray[np.bool_]

EMBEDDERS = ("minilm", "lexical")
FIXED = (0.80, 0.90, 0.95)
"""Thresholds that people use without looking: arms beside those that were chosen."""
BATCH = 1_000


@dataclass(frozen=True, kw_only=True, eq=False)
class CacheBench:
    """The arms' figures on the confirm half, the one that may be used (None: the cache stays off), and why."""

    arms: tuple[Mapping[str, Any], ...]
    recommended: Mapping[str, Any] | None
    why: str
    about: Mapping[str, Any] = field(default_factory=dict)

    def result(self) -> dict[str, Any]:
        """Return the plain values that `r.json` holds."""
        return {**self.about, "arms": list(self.arms), "recommended": self.recommended, "why": self.why}

    def write(self, path: str | Path) -> Path:
        """Write the result as JSON and return its path; ConfigError when the place cannot be written."""
        return written(self.result(), path)

    def table(self) -> Table:
        """Return one row an arm."""
        rows = [
            [
                str(arm["name"]),
                "–" if arm["threshold"] is None else f"{arm['threshold']:.4f}",
                _rate(arm["true_hit_rate"], arm["true_hit_ci"]),
                _rate(arm["false_hit_rate"], arm["false_hit_ci"]),
                "–" if arm["false_hit_upper"] is None else f"{arm['false_hit_upper']:.4f}",
                f"{arm['false_hits']:,} of {arm['hits']:,}",
                "–" if arm["auc"] is None else f"{arm['auc']:.3f}",
            ]
            for arm in self.arms
        ]
        head = ("arm", "threshold", "true-hit rate", "false-hit rate", "bound", "false hits", "auc")
        split, budget = self.about["split"], self.about["budget"]
        caption = (
            f"{split['confirm']:,} pairs that no threshold was chosen on ({split['tune']:,} chose); bound: one-sided "
            f"{LEVEL:.0%}, budget {budget:.1%}"
        )
        notes = [*self.about["notes"], self.why]
        return Table(head=head, rows=rows, numbers=frozenset(range(1, 7)), caption=caption, notes=notes)


def _rate(value: float | None, ci: Sequence[float] | None) -> str:
    return "–" if value is None else f"{value:.4f}" + ("" if ci is None else f" [{ci[0]:.4f}, {ci[1]:.4f}]")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Half:
    """One half with what every arm needs of it: cosines by embedder, and the kinds of objection by guard (None: none)."""

    pairs: Pairs
    cosines: Mapping[str, Floats]
    objections: Mapping[str, tuple[str | None, ...]]
    comparable: Mapping[str, Bools]


def bench(
    pairs: Pairs,
    *,
    guards: Mapping[str, Guard],
    embedders: Sequence[str] = EMBEDDERS,
    fitted: bool = False,
    budget: float = BUDGET,
    seed: int = 0,
    heard: Callable[[str], None] | None = None,
) -> CacheBench:
    """Return what each embedder and guard does at the threshold that the tune half chose for it, and at fixed ones.

    `guards` are objections by name; `fitted` adds an acceptance learned from the tune half (`acceptance`), whose threshold is
    on its own score of 0 to 1. `budget` is the share of false hits that the one-sided 95 % upper bound must stay within.
    Raises DataError for pairs of which no halves can be made, ConfigError for a budget that is no share.
    """
    if not 0 < budget < 1:
        raise ConfigError(f"budget: must be more than 0 and less than 1, not {budget}")
    tell = heard or (lambda _: None)
    split = halves(pairs, seed=seed)
    tell(f"embedding {len({*pairs.asked, *pairs.known}):,} texts with {' and '.join(embedders)}")
    found = settled(split, guards=guards, embedders=embedders, fitted=fitted, seed=seed)
    arms, recommended, why = concluded(found, split.confirm, budget)
    fixed = [
        arm(setting, setting.curves[0].at(t), split.confirm, budget, chosen=False)
        for setting in found
        if setting.guard != FITTED
        for t in FIXED
    ]
    about = {
        **_about(pairs, split, embedders),
        "seed": seed,
        "budget": budget,
        "tried": sum(len(setting.curves[0]) for setting in found),
        "hits_needed": hits_needed(0, budget),
    }
    return CacheBench(arms=(*arms, *fixed), recommended=recommended, why=why, about=about)


def settled(
    split: Halves,
    *,
    guards: Mapping[str, Guard],
    embedders: Sequence[str] = EMBEDDERS,
    fitted: bool = False,
    seed: int = 0,
) -> tuple[Setting, ...]:
    """Return every embedder with every guard, and the fitted acceptance if wanted, with the curves on both halves.

    Cosines are computed once an embedder, objections once a guard. Raises DataError for a half without both labels.
    """
    for name, half in (("tune", split.tune), ("confirm", split.confirm)):
        if not half.positives or half.positives == len(half):
            raise DataError(
                f"pairs: the {name} half has {half.positives} pairs labelled 1 and {len(half) - half.positives} labelled 0",
                hint="both kinds are needed in both halves; pairs of other texts must be added",
            )
    tune, confirm = (_half(part, embedders, guards) for part in (split.tune, split.confirm))
    made = [_setting(spec, (name, guard.id), tune, confirm) for spec in embedders for name, guard in guards.items()]
    if fitted:
        made.append(_fitted(tune, confirm, "lexical" if "lexical" in guards else "none", seed))
    return tuple(made)


def concluded(
    found: Sequence[Setting], confirm: Pairs, budget: float
) -> tuple[tuple[Mapping[str, Any], ...], Mapping[str, Any] | None, str]:
    """Return one arm a setting, at the threshold that the tune half chose, the arm that may be used, and why."""
    arms, chances = [], []
    for setting in found:
        named = nominated(setting.curves[0], budget)
        point = safest(setting.curves[0]) if named is None else named[0]
        arms.append(arm(setting, point, confirm, budget, chosen=True))
        chances.append(0.0 if named is None else named[1])
    recommended, why = verdict(arms, chances, budget)
    return tuple(arms), recommended, why


def cosines(spec: str, pairs: Pairs) -> Floats:
    """Return the cosine of each pair's two texts, −1 to 1; every text is embedded once."""
    found = np.empty(len(pairs))
    for start in range(0, len(pairs), BATCH):
        part = slice(start, start + BATCH)
        one, two = vectors(spec, pairs.asked[part]), vectors(spec, pairs.known[part])
        found[part] = np.einsum("ij,ij->i", one, two, dtype=float)
    return np.clip(found, -1.0, 1.0)


def comparables(spec: str, pairs: Pairs) -> Bools:
    """Return which pairs a cache compares at all: those of which the embedder reads both texts whole."""
    return np.array(
        [comparable(spec, a) and comparable(spec, b) for a, b in zip(pairs.asked, pairs.known, strict=True)], dtype=bool
    )


def objections(guard: Guard, pairs: Pairs) -> tuple[str | None, ...]:
    """Return the kind of the guard's objection to each pair, None where it has none."""
    raised = (guard(a, b) for a, b in zip(pairs.asked, pairs.known, strict=True))
    return tuple(None if o is None else o.kind for o in raised)


def _half(pairs: Pairs, embedders: Sequence[str], guards: Mapping[str, Guard]) -> _Half:
    return _Half(
        pairs=pairs,
        cosines={spec: cosines(spec, pairs) for spec in embedders},
        objections={name: objections(guard, pairs) for name, guard in guards.items()},
        comparable={spec: comparables(spec, pairs) for spec in embedders},
    )


def _setting(embedder: str, guard: tuple[str, str], tune: _Half, confirm: _Half) -> Setting:
    parts = (tune, confirm)
    passed = tuple(
        np.array([o is None for o in part.objections[guard[0]]], dtype=bool) & part.comparable[embedder]
        for part in parts
    )
    scores = tuple(part.cosines[embedder] for part in parts)
    made = _drawn(embedder, guard, (tune, confirm), (scores[0], scores[1]), (passed[0], passed[1]))
    return replace(made, raised=confirm.objections[guard[0]])


def _drawn(
    embedder: str,
    guard: tuple[str, str],
    parts: tuple[_Half, _Half],
    scores: tuple[Floats, Floats],
    passed: tuple[Bools, Bools],
) -> Setting:
    made = [curve(s, part.pairs.same, part.pairs.nodes, p) for part, s, p in zip(parts, scores, passed, strict=True)]
    return Setting(
        embedder=embedder,
        guard=guard[0],
        guard_id=guard[1],
        scores=scores,
        passed=passed,
        curves=(made[0], made[1]),
    )


def _fitted(tune: _Half, confirm: _Half, objecting: str, seed: int) -> Setting:
    """Return the learned acceptance: scores on tune come from heads that had not seen the pair's texts."""
    raised = [part.objections.get(objecting, (None,) * len(part.pairs)) for part in (tune, confirm)]
    scores = (
        rehearsed(tune.pairs, tune.cosines, raised[0], seed=seed),
        fit(tune.pairs, tune.cosines, raised[0])(confirm.pairs, confirm.cosines, raised[1]),
    )
    able = [np.logical_and.reduce([*part.comparable.values()]) for part in (tune, confirm)]
    return _drawn("+".join(tune.cosines), (FITTED, FITTED), (tune, confirm), scores, (able[0], able[1]))


def _about(pairs: Pairs, split: Halves, embedders: Sequence[str]) -> dict[str, Any]:
    long = {spec: int((~comparables(spec, pairs)).sum()) for spec in embedders}
    unread = [
        f"{n:,} of {len(pairs):,} pairs are longer than {spec} reads and are never hits with it: a cache does not compare them either"
        for spec, n in long.items()
        if n
    ]
    return {
        "routelab": __version__,
        "bench": "cache",
        "level": LEVEL,
        "pairs": {
            "n": len(pairs),
            "positives": pairs.positives,
            "components": pairs.components,
            "rejected": [str(row) for row in pairs.rejected],
            "repeated": pairs.repeated,
            "disputed": [str(pair) for pair in pairs.disputed],
        },
        "split": {
            "tune": len(split.tune),
            "confirm": len(split.confirm),
            "neither": split.bridges,
            "tune_components": split.tune.components,
            "confirm_components": split.confirm.components,
        },
        "threshold_chosen_on": "tune",
        "notes": [*pairs.notes, *unread, *split.notes],
    }
