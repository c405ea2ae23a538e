"""An adaptation in words: which model is the best, what can be excluded, and the table that shows it."""

from __future__ import annotations

import numpy as np

from routelab.lab.adaptation import Adaptation
from routelab.lab.statistics import Estimate
from routelab.present import Table, bundle, interval, percent, usd

NAMED = 4
ENDS = {
    "prompts": "every prompt was played",
    "rounds": "the rounds asked for were played",
    "budget": "the budget was spent",
    "best-arm": "the best model was known",
    "interrupted": "it was interrupted",
}


def decide(adaptation: Adaptation) -> tuple[str | None, str]:
    """Return the best model, or None, and the sentence that says why."""
    n, models = len(adaptation), adaptation.models
    if n == 0:
        return None, "no prompt was finished, so nothing is known"
    if len(models) == 1:
        return models[0], f"{models[0]} is the only model"
    rule = adaptation.terms.rule
    standing = adaptation.standing
    if rule is not None and standing.decided:
        best, rival = models[standing.leader], models[standing.rival]
        near = f" to within {100 * rule.epsilon:g} points" if rule.epsilon else ""
        gap = adaptation.against(best, rival)
        return best, (
            f"{best} is the best of {len(models)} models{near} after {n:,} prompts, with an error of at most {percent(rule.delta, 0)} "
            f"(likelihood ratio {standing.ratio:.1f}, {standing.threshold:.1f} needed); it brings {_points(gap)} than {rival}"
        )
    return _by_sequences(adaptation)


def _by_sequences(adaptation: Adaptation) -> tuple[str | None, str]:
    """Return the model whose sequence lies above all others', or what the sequences exclude."""
    n, models = len(adaptation), adaptation.models
    leader = models[int(np.argmax([e.value for e in adaptation.rewards]))]
    gaps = {other: adaptation.against(leader, other) for other in models if other != leader}
    open_ = {other: gap for other, gap in gaps.items() if gap.low is None or gap.low <= 0}
    if not open_:
        rival, nearest = min(gaps.items(), key=lambda item: item[1].value)
        return leader, (
            f"{leader} is the best of {len(models)} models after {n:,} prompts: it brings {_points(nearest)} than {rival}, the nearest "
            "(95 % over all pairs, at every look)"
        )
    widest = max(gap.high for gap in open_.values() if gap.high is not None)
    beaten = [other for other in models if other in gaps and other not in open_]
    said = f"no difference of {100 * widest:.1f} points or more between {_listed([leader, *open_])} after {n:,} prompts"
    said += ", and no smaller one is settled"
    if beaten:
        said += f"; {_listed(beaten)} {'is' if len(beaten) == 1 else 'are'} worse"
    return None, said + " (95 % over all pairs, at every look)"


def table(adaptation: Adaptation) -> Table:
    """Return the models' figures, the likeliest to be asked first; intervals are valid at every look."""
    frame = adaptation.frame.sort_values("asked", ascending=False, kind="stable")
    costs = adaptation.cost_weight > 0
    head = [
        "model",
        "asked",
        "share",
        "chance",
        "quality %",
        "every look",
        *(["reward"] if costs else []),
        "plain",
        "$ / call",
    ]
    rows = [
        [
            row["model"],
            f"{row['asked']:,}",
            percent(row["share"]),
            percent(row["chance"]),
            percent(row["quality"]).removesuffix(" %"),
            interval(row["quality_low"], row["quality_high"]),
            *([f"{row['reward']:.3f} [{row['reward_low']:.3f}, {row['reward_high']:.3f}]"] if costs else []),
            f"{row['plain']:.3f}",
            usd(row["cost_usd"]),
        ]
        for _, row in frame.iterrows()
    ]
    numbers = frozenset(range(1, len(head)))
    return Table(head=head, rows=rows, numbers=numbers, caption=_caption(adaptation), notes=_notes(adaptation))


def text(adaptation: Adaptation) -> str:
    """Return the table and the sentence, for a terminal."""
    return f"{table(adaptation).text()}\n{adaptation.why}"


def bundle_of(adaptation: Adaptation) -> dict[str, str]:
    """Return the sentence and the table as text and HTML."""
    return bundle(adaptation.why, table(adaptation))


def _caption(adaptation: Adaptation) -> str:
    terms, strategy = adaptation.terms, adaptation.config.ranking
    spent = adaptation.cost_usd[~np.isnan(adaptation.cost_usd)]
    unknown = len(adaptation) - len(spent)
    said = [
        f"{terms.dataset or 'prompts'}: {len(adaptation):,} prompts in {len(terms.rounds)} batches of {terms.batch}",
        f"{getattr(strategy, 'algorithm', '')}, floor {getattr(strategy, 'floor', 0):g}",
        f"{usd(float(spent.sum())) if len(spent) else '?'} {'spent' if terms.experiment else 'would have been spent'}"
        + (f" and {unknown:,} calls of unknown cost" if unknown and len(spent) else ""),
        ENDS[adaptation.ended],
    ]
    return ("SIMULATED: no figure here says anything about a real model. " if terms.simulated else "") + "; ".join(said)


def _notes(adaptation: Adaptation) -> list[str]:
    terms = adaptation.terms
    notes = [
        "quality: answers weighted by one over their chance, with a 95 % interval that is valid at every look; "
        "plain: the mean reward without weights, which is biased when the data chose who was asked"
    ]
    if adaptation.cost_weight:
        notes.append(f"reward: quality − {adaptation.cost_weight:g} × USD")
    if terms.unfinished:
        notes.append(
            f"{terms.unfinished:,} prompts of the last batch were not finished, or came after one; they are in the log and do not count"
        )
    if terms.left_out:
        notes.append(f"{terms.left_out:,} prompts had no known reward or no draw and do not count")
    if terms.experiment:
        notes.append(
            f"experiment {terms.experiment} in the log; the config that decided each run is its fingerprint in runs.config"
        )
    return notes


def _points(gap: Estimate) -> str:
    ends = "" if gap.low is None or gap.high is None else f" ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})"
    return f"{100 * gap.value:+.1f} points more{ends}".replace("-", "−")


def _listed(names: list[str]) -> str:
    if len(names) > NAMED:
        names = [*names[: NAMED - 1], f"{len(names) - NAMED + 1} others"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
