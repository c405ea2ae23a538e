"""From live answers to a comparison: the same statistics as a replay's, without a cube."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from routelab.answer import Answer
from routelab.config import RouteConfig
from routelab.core.events import Compacted, Scored
from routelab.core.ports import Floats
from routelab.core.values import Prompt
from routelab.lab.caches.recalled import told_hits
from routelab.lab.compare import Comparison, Entry, Terms, assess, defaults
from routelab.lab.refreshes import Refreshes
from routelab.lab.trial import walked_of
from routelab.lab.truncation import truncated
from routelab.present import usd


def judged(
    prompts: Sequence[Prompt],
    answers: Mapping[str, Sequence[Answer]],
    configs: Mapping[str, RouteConfig],
    *,
    baseline: str,
    margin: float,
    seed: int,
    experiment: str,
    dataset: str,
    unfinished: int = 0,
    looks: Looks | None = None,
    refreshes: Refreshes = Refreshes(),  # noqa: B008  # it is frozen
) -> Comparison:
    """Return the comparison of live arms; answers are one list an arm, in the order of the prompts.

    The arms were fixed before they ran, so there is nothing to choose on a tune split and all prompts are reported. When a
    trial was stopped, only prompts that every arm finished count, and nothing is called a winner; unless it was watched by a rule
    (`looks`), because then its figures are valid at any time. What caches asked for again (`refreshes`) is told in a note.
    """
    models = tuple(dict.fromkeys(name for config in configs.values() for name in config.names))
    entries = [
        Entry(
            name=name,
            config=configs[name],
            walked=walked_of(rows, models),
            errors=_errors(rows),
            predicted=_predicted(rows),
        )
        for name, rows in answers.items()
    ]
    groups = [p.group or p.id for p in prompts]
    seen = {g: k for k, g in enumerate(dict.fromkeys(groups))}
    clusters = np.array([seen[g] for g in groups], dtype=np.intp) if any(p.group for p in prompts) else None
    notes = (
        [f"stopped early: {unfinished} prompts are not finished by every arm and do not count"]
        if unfinished and not (looks is not None and looks.decided)
        else []
    )
    notes += [told_hits(e.name, e.walked, "cache, cold at the start") for e in entries if e.walked.hits is not None]
    notes += _cut(answers)
    notes += _troubled(answers)
    notes += refreshes.notes
    notes += _measuring([a for rows in answers.values() for a in rows])
    if looks is not None:
        notes.append(_said(looks, len(prompts), unfinished, [a for rows in answers.values() for a in rows]))
    terms = Terms(
        margin=margin,
        seed=seed,
        tune=0,
        confirm=len(prompts),
        arms_tried=len(entries),
        final=not unfinished or (looks is not None and looks.decided),
        anytime=looks is not None,
        dataset=dataset,
        simulated=any(a.simulated for rows in answers.values() for a in rows),
        cost_kinds=("recorded",),
        notes=(*notes, *defaults(entries)),
    )
    base = next(entry for entry in entries if entry.name == baseline)
    arms, judged_base = assess(entries, base, terms, clusters)
    return Comparison(
        arms=arms,
        baseline=judged_base,
        models=models,
        terms=terms,
        prompts=tuple(prompts),
        answers={name: tuple(rows) for name, rows in answers.items()},
        tags={"experiment": experiment},
    )


@dataclass(frozen=True, kw_only=True)
class Looks:
    """How often a trial was looked at while it ran, and whether that ended it."""

    count: int
    decided: bool


def _said(looks: Looks, n: int, left: int, answers: Sequence[Answer]) -> str:
    """Return what watching came to, and about how much was not spent because of it."""
    times = f"looked at {looks.count} time{'' if looks.count == 1 else 's'}, anytime-valid"
    if not looks.decided:
        return f"{times}: not decided after {n:,} prompts"
    costs = [a.cost_usd for a in answers]
    known = [c for c in costs if c is not None]
    saved = f"about {usd(sum(known) / n * left)}" if known and len(known) == len(costs) else "an unknown amount"
    return f"{times}: decided after {n:,} of {n + left:,} prompts, {saved} not spent"


def _cut(answers: Mapping[str, Sequence[Answer]]) -> list[str]:
    """Return which arms' answers were cut at their limit of tokens, and how many."""
    counts = {name: truncated(rows) for name, rows in answers.items()}
    said = [f"{name} {count:,} of {len(answers[name]):,}" for name, count in counts.items() if count]
    return [f"answers cut at their limit of tokens: {', '.join(said)}; they count against quality"] if said else []


def _troubled(answers: Mapping[str, Sequence[Answer]]) -> list[str]:
    """Return which arms' prompts were not put as the config wants it (a summary or a compression failed), and how many."""
    found = []
    for name, rows in answers.items():
        errors = [e.error for a in rows for e in a.run.events if isinstance(e, Compacted) and e.error]
        if errors:
            found.append(
                f"{name}: {len(errors):,} of {len(rows):,} prompts were not put as it says; the first: {errors[0]}"
            )
    return found


def _measuring(answers: Sequence[Answer]) -> list[str]:
    """Return whose judgement the quality is and what that cost, where judges measured: it is in no arm's figures."""
    given = [e for a in answers for e in a.run.events if isinstance(e, Scored) and e.accepted is None and e.judge]
    if not given:
        return []
    costs = [e.cost_usd for e in given]
    known = [c for c in costs if c is not None]
    least = "" if len(known) == len(costs) else "at least "
    judges = ", ".join(dict.fromkeys(e.judge for e in given))
    failed = sum(e.quality is None for e in given)
    return [
        f"quality is what {judges} says of {len(given):,} answers, uncorrected; measuring cost {least}{usd(sum(known))}, which is in "
        "no arm's cost" + (f"; {failed:,} answers got no verdict" if failed else "")
    ]


def _errors(answers: Sequence[Answer]) -> dict[int, str]:
    decided = [a.run.routed for a in answers]
    return {i: routed.error for i, routed in enumerate(decided) if routed is not None and routed.error is not None}


def _predicted(answers: Sequence[Answer]) -> Floats | None:
    """Return the quality that the strategy predicted for the model that answered, NaN where it did not; None without any."""
    found = np.array([_foretold(a) for a in answers], dtype=float)
    return None if np.isnan(found).all() else found


def _foretold(answer: Answer) -> float:
    routed = answer.run.routed
    if routed is None or answer.error is not None:
        return float("nan")
    said = next((c.quality for c in routed.considered if c.model == answer.model), None)
    return float("nan") if said is None else said
