"""What each family of strategies comes to on one data set under one seed: the measurements behind strategies.py.

Everything is chosen on the tune split (cross-fitted), as `lab.search` does it, and reported on the confirm split.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from routelab.core.plan import Plan, plan_of
from routelab.core.ports import Floats
from routelab.core.values import Prompt, Roster
from routelab.embedding.vectors import remember
from routelab.lab.compare import ALPHA, Arm, Comparison
from routelab.lab.controls import mean_costs, mean_qualities, shuffle, zero_router
from routelab.lab.metrics import Crossing, apgr, cpt, curve, pgr
from routelab.lab.nomination import standings
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import Halves, baseline_of, compare_entries, entry_of, halve, handed, planned, terms_of, walked
from routelab.lab.search import Field, Rung, entry_from, nominated
from routelab.lab.sources import Candidate, Ladder
from routelab.lab.sources.arbitrage import PREDICTORS, arbitrage
from routelab.lab.sources.candidate import always
from routelab.lab.sources.cascades import cascades
from routelab.lab.sources.semantic import semantic
from routelab.lab.sources.singles import singles
from routelab.lab.sources.tasktables import task_tables
from routelab.lab.statistics import Estimate, NonInferiority, non_inferiority
from routelab.strategies import Arbitrage, Random

DATASETS = ("llmrouter", "bfcl_2024-08-11", "gsm8k", "routellm_mmlu", "routerarena_sub10")
PAIR = "routellm_mmlu"
SEEDS, MARGIN, CONFIRM = (0, 1, 2, 3, 4), 0.02, 0.4
BUDGETS = (0.1, 0.25, 0.5, 0.75, 1.0)
OUTSIDE = ("LiteLLM's complexity router", "random router")
ONCE = ("stack",)
"""Predictors that take so long that they are tried under the first seed only, on at most MANY tune prompts."""
MANY = 5_000
TIERS = ("SIMPLE", "MEDIUM", "COMPLEX", "REASONING")
Family = Iterable["Candidate | Ladder"]


@dataclass(frozen=True, kw_only=True)
class Tiered:
    """Sends each prompt to the model of the tier that another program gave it; `tiers` is by prompt id."""

    tiers: Mapping[str, str] = field(repr=False)
    models_of: Mapping[str, str]

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        """Rank one model a prompt."""
        said = [self.tiers[p.id] for p in prompts]
        return plan_of([[roster.names.index(self.models_of[t])] for t in said], said)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a family of strategies came to on one split: the arm shown, whether it won, and its figures on confirm."""

    family: str
    tried: int
    arm: str | None = None
    won: bool = False
    verdict: str = ""
    points: Estimate | None = None
    ratio: Estimate | None = None
    lift: Estimate | None = None
    frontier: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """What one data set adds to the pooled comparison: the arm chosen on tune against its baseline, prompt by prompt."""

    lead: Floats
    cost_usd: Floats
    base_cost_usd: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One data set under one seed."""

    name: str
    seed: int
    shape: tuple[int, ...]
    baseline: str
    quality: Estimate | None
    cost_kinds: tuple[str, ...]
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    why: str
    part: Part
    curves: Mapping[str, Mapping[str, Any]]
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Planner:
    """Plans as a replay does, but predicts only once for all values of an arbitrage's knob, by its family."""

    held: dict[tuple[str, str, int], Any] = field(default_factory=dict)
    asked: list[Sequence[Prompt]] = field(default_factory=list)

    def __call__(self, arm: Any, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        """Return the plan of an arm for prompts that live as long as this planner does."""
        ranking = getattr(arm, "ranking", arm)
        if not isinstance(ranking, Arbitrage) or ranking is arm or ranking.learned is None:
            return planned(arm, prompts, roster)
        # Kept, so that no other prompts can get their number.
        if not any(known is prompts for known in self.asked):
            self.asked.append(prompts)
        key = (ranking.learned.digest, ranking.knob, id(prompts))
        if key not in self.held:
            own = Roster(models=tuple(roster.models[roster.names.index(m)] for m in arm.models))
            self.held[key] = ranking.family(prompts, own)
        return handed(arm, self.held[key].plan(getattr(ranking, ranking.knob)), roster)


# Families: what is tried under one name


def families(tune: Outcomes, seed: int, tiers: Mapping[str, str] | None) -> dict[str, list[Candidate | Ladder]]:
    """Return what is tried of each family, by its name in the tables."""
    found: dict[str, list[Candidate | Ladder]] = {
        "single model": list(singles(tune)),
        "task table": list(task_tables(tune)),
    }
    found["semantic routes"] = list(semantic(tune))
    ladders = list(arbitrage(tune))
    for name in (p for p in PREDICTORS if p not in ONCE or (seed == SEEDS[0] and len(tune) <= MANY)):
        found[f"arbitrage, {name}"] = [c for c in ladders if c.name.split(" ")[0] == name]
    # Without texts nothing can agree, and no gate can look at an answer.
    answers = list(cascades(tune)) if any(tune.reply(p.id, m) for p in tune.prompts[:20] for m in tune.models) else []
    found["agreement"] = [c for c in answers if c.name.startswith("agreement")]
    found["cascade, learned gate"] = [c for c in answers if c.name.startswith("cascade-learned")]
    if tiers is not None:
        found[OUTSIDE[0]] = list(tiered(tune, tiers))
    return {name: tried for name, tried in found.items() if tried}


def tiered(tune: Outcomes, tiers: Mapping[str, str]) -> Iterator[Candidate]:
    """Yield LiteLLM's tiers with every assignment of a cheap, a middle and a strong model that never falls with the tier.

    The three are corners of the hull of single models on tune: the first, the last, and the one between them that is
    nearest to the middle of their costs on a log scale.
    """
    hull = zero_router(tune.models, mean_costs(tune), mean_qualities(tune))
    corners = [] if hull is None else [(m, c) for m, c, _ in hull.corners]
    if len(corners) < 2:
        return
    middle = np.sqrt(corners[0][1] * corners[-1][1])
    mid = min(corners[1:-1] or corners[:1], key=lambda corner: abs(np.log(corner[1] / middle)))
    ladder = list(dict.fromkeys((corners[0][0], mid[0], corners[-1][0])))
    called = ("cheap", "mid", "strong") if len(ladder) == 3 else ("cheap", "strong")
    for steps in np.ndindex(*[len(ladder)] * len(TIERS)):
        if list(steps) == sorted(steps) and len(set(steps)) > 1:
            chosen = {tier: ladder[step] for tier, step in zip(TIERS, steps, strict=True)}
            arm = Tiered(tiers=tiers, models_of=chosen)
            name = "tiers-" + "-".join(called[step] for step in steps)
            yield Candidate(name=name, arm=always(arm), learns=False)


# One data set under one seed


def judged(name: str, seed: int, data: Path, cache: Path | None, tiers: Mapping[str, str] | None) -> Job:
    """Return what every family came to on one data set under one seed."""
    start = time.perf_counter()
    outcomes = read(name, data)
    if cache is not None:
        known = np.load(cache / "vectors.npz")
        remember("minilm", dict(zip(known["hashes"].tolist(), known["vectors"], strict=True)))
    halves = halve(outcomes, CONFIRM, seed)
    base = baseline_of(None, (), halves)
    assert base.tune is not None
    place = Field(tune=halves.tune, baseline=base.tune, folds=halves.folds, planner=Planner())
    found = families(halves.tune, seed, tiers)
    rungs = {family: list(climbed(place, tried)) for family, tried in found.items()}
    rows = [row_of(family, tried, place, halves, seed) for family, tried in rungs.items()]
    rows.append(random_row(halves, seed))
    own = [rung for family, tried in rungs.items() if family not in OUTSIDE for rung in tried]
    comparison = compared(own, place, halves, seed)
    rows.append(row_from("all of routelab's", len(own), comparison, shown(comparison), halves))
    first = promised(comparison)
    base_walk = comparison.baseline.walked
    known = ~np.isnan(first.walked.quality) & ~np.isnan(base_walk.quality)
    return Job(
        name=name,
        seed=seed,
        shape=(len(outcomes), len(outcomes.models), len(halves.tune), len(halves.confirm)),
        baseline=str(base.config),
        quality=comparison.baseline.figures.quality,
        cost_kinds=comparison.terms.cost_kinds,
        notes=outcomes.notes,
        rows=tuple(rows),
        why=comparison.why,
        part=Part(
            lead=(first.walked.quality - base_walk.quality)[known],
            cost_usd=first.walked.cost_usd[known],
            base_cost_usd=base_walk.cost_usd[known],
        ),
        curves=curves(found, halves, seed, tiers) if name == PAIR else {},
        seconds=time.perf_counter() - start,
    )


def read(name: str, data: Path) -> Outcomes:
    """Return the outcomes of a data set, with prices."""
    return Outcomes.read(
        prompts=data / "prompts.csv.gz",
        outcomes=data / "outcomes.csv.gz",
        dataset=name,
        prices=data / "prices" / "outcome_models.csv",
    )


def climbed(place: Field, tried: Family) -> Iterator[Rung]:
    """Yield everything that was tried, judged on tune."""
    for candidate in tried:
        yield from place.rungs(candidate)


def compared(rungs: Sequence[Rung], place: Field, halves: Halves, seed: int) -> Comparison:
    """Return the comparison on confirm of the rungs that the tune split nominates, as `search` makes it."""
    entries = nominated(rungs, place, halves, MARGIN)
    terms = terms_of(halves.confirm, halves, margin=MARGIN, seed=seed, arms_tried=len(rungs))
    terms = dataclasses.replace(terms, nominated=tuple(entry.name for entry in entries))
    return compare_entries(halves, entries, baseline_of(None, (), halves), terms)


def promised(comparison: Comparison) -> Arm:
    """Return the first nominated arm that is cheaper than the baseline on tune, else the baseline: confirm has no say."""
    base = comparison.baseline
    for name in comparison.terms.nominated or ():
        costs = comparison[name].tune_cost_usd, base.tune_cost_usd
        if costs[0] is not None and costs[1] is not None and costs[0] < costs[1]:
            return comparison[name]
    return base


def shown(comparison: Comparison) -> Arm | None:
    """Return the winner, else of the arms that save the one of best lower end."""
    winner = comparison.winner()
    if winner is not None:
        return winner
    saving = [a for a in comparison.arms if a.figures.cost_ratio is not None and a.figures.cost_ratio.value < 1]
    return max((a for a in saving if least(a) > -np.inf), key=least, default=None)


def least(arm: Arm) -> float:
    """Return the lower end of an arm's difference from the baseline, -inf where it has none."""
    found = arm.figures.against
    return -np.inf if found is None or found.difference.low is None else found.difference.low


def row_of(family: str, rungs: Sequence[Rung], place: Field, halves: Halves, seed: int) -> Row:
    """Return a family's row, with its frontier; where nothing was nominated, of the best on tune that saves."""
    comparison = compared(rungs, place, halves, seed)
    arm, note = shown(comparison), ""
    held = standings(np.array([rung.sums for rung in rungs]).T)
    cheaper = np.flatnonzero(held.cost_usd < held.base_cost_usd)
    if arm is None and len(cheaper):
        rung = rungs[int(cheaper[np.nanargmax(held.delta[cheaper])])]
        entry = entry_from(rung, rung.arm(), halves, place.planner)
        comparison = compare_entries(halves, (entry,), baseline_of(None, (), halves), comparison.terms)
        arm, note = comparison[rung.name], ", not nominated"
    row = row_from(family, len(rungs), comparison, arm, halves)
    return dataclasses.replace(row, verdict=row.verdict + note, frontier=frontier(rungs, place, halves))


def row_from(family: str, tried: int, comparison: Comparison, arm: Arm | None, halves: Halves) -> Row:
    """Return the row of one arm of a comparison; without an arm, that nothing came into question."""
    if arm is None or arm.figures.against is None:
        return Row(family=family, tried=tried, verdict="nothing saves")
    found, adjusted = arm.figures.against.verdict, arm.figures.p_adjusted
    lost = found == "non-inferior" and adjusted is not None and adjusted > ALPHA
    control = shuffle(arm, comparison.baseline.walked, halves.confirm, margin=MARGIN, clusters=halves.confirm.clusters)
    return Row(
        family=family,
        tried=tried,
        arm=arm.name,
        won=(winner := comparison.winner()) is not None and winner.name == arm.name,
        verdict=found + (" alone, not after Holm" if lost else ""),
        points=arm.figures.against.difference,
        ratio=arm.figures.cost_ratio,
        lift=control.lift,
    )


def random_row(halves: Halves, seed: int) -> Row:
    """Return the row of a router that draws one of the models."""
    entry = entry_of(OUTSIDE[1], Random(seed=seed), halves, planned)
    terms = terms_of(halves.confirm, halves, margin=MARGIN, seed=seed, arms_tried=1)
    comparison = compare_entries(halves, (entry,), baseline_of(None, (), halves), terms)
    return row_from(OUTSIDE[1], 1, comparison, comparison[OUTSIDE[1]], halves)


def frontier(rungs: Sequence[Rung], place: Field, halves: Halves) -> tuple[float, ...]:
    """Return the lead on confirm of what is best on tune at up to each share of the baseline's cost, NaN where nothing is."""
    held = standings(np.array([rung.sums for rung in rungs]).T)
    base = baseline_of(None, (), halves).walked
    share = held.cost_usd / held.base_cost_usd
    leads = []
    for budget in BUDGETS:
        within = np.flatnonzero(share <= budget + 1e-9)
        if len(within) == 0:
            leads.append(np.nan)
            continue
        i = int(within[np.lexsort((share[within], -held.delta[within]))[0]])
        walk = walked(rungs[i].name, rungs[i].arm(), halves.confirm, place.planner)
        leads.append(float(np.nanmean(walk.quality - base.quality)))
    return tuple(leads)


# Two models: the curve of strong calls


def curves(
    found: Mapping[str, Family], halves: Halves, seed: int, tiers: Mapping[str, str] | None
) -> dict[str, dict[str, Any]]:
    """Return PGR, CPT and APGR of every predictor and of the controls, with intervals, on the confirm split."""
    confirm = halves.confirm
    costs = mean_costs(halves.tune)
    weak, strong = int(costs.argmin()), int(costs.argmax())
    rng = np.random.default_rng(seed)
    needs: dict[str, Floats] = {"random": rng.random(len(confirm))}
    if tiers is not None:
        needs[OUTSIDE[0]] = np.array([float(TIERS.index(tiers[p.id])) for p in confirm.prompts])
    bare = [dataclasses.replace(p, task=None) for p in confirm.prompts]
    for name in PREDICTORS:
        ladder = next((c for c in found.get(f"arbitrage, {name}", ()) if isinstance(c, Ladder)), None)
        if ladder is not None:
            fitted: Any = ladder.arm(halves.tune).ranking
            for label, prompts in ((f"{name}, subject given", confirm.prompts), (f"{name}, text alone", bare)):
                if name != "lookup" or prompts is not bare:
                    expected, _ = fitted.predict(prompts, confirm.roster)
                    needs[label] = expected[:, strong] - expected[:, weak]
    pair = confirm.quality[:, [weak, strong]], confirm.cost_usd[:, [weak, strong]]
    return {name: curve_of(need, *pair, seed) for name, need in needs.items()}


def curve_of(need: Floats, quality: Floats, cost: Floats, seed: int, rounds: int = 400) -> dict[str, Any]:
    """Return APGR (Fieller), PGR at half the calls (Fieller), CPT 50 and 80 % in calls and money (percentile bootstrap)."""
    half = need > np.median(need)
    # Ties at the median are sent at random, as far as half of the calls goes.
    tied = np.flatnonzero(need == np.median(need))
    rng = np.random.default_rng(seed)
    missing = len(need) // 2 - int(half.sum())
    half[rng.permutation(tied)[:missing]] = True
    rows = rng.integers(0, len(need), size=(rounds, len(need)))
    draws = [crossings(curve(need[r], quality[r], cost[r])) for r in rows]
    low, high = np.nanquantile(draws, [0.025, 0.975], axis=0)
    return {
        "apgr": apgr(need, quality[:, 0], quality[:, 1]),
        "pgr": pgr(np.where(half, quality[:, 1], quality[:, 0]), quality[:, 0], quality[:, 1]),
        "cpt": crossings(curve(need, quality, cost)),
        "low": low,
        "high": high,
    }


def crossings(found: Any) -> tuple[float, ...]:
    """Return (CPT 50 in calls, in money, CPT 80 in calls, in money), NaN where the curve does not get there."""
    both: list[Crossing | None] = [cpt(found, 0.5), cpt(found, 0.8)]
    return tuple(
        np.nan if c is None else value
        for c in both
        for value in ((np.nan, np.nan) if c is None else (c.strong_share, c.cost_share or np.nan))
    )


# Pooled over data sets


def pooled(parts: Sequence[Part], *, equal: bool = False) -> tuple[NonInferiority, Estimate]:
    """Return the verdict and the cost ratio over strata, each weighing as many prompts as it has, or all the same.

    The variance of a stratified mean is Σ w² s²/n; that of the ratio of two of them is by the delta method. With equal
    weights the ratio is the mean of the data sets' ratios.
    """
    n = np.array([len(p.lead) for p in parts], dtype=float)
    weight = np.full(len(parts), 1 / len(parts)) if equal else n / n.sum()
    z = float(stats.norm.ppf(0.975))
    lead = float(weight @ [p.lead.mean() for p in parts])
    error = float(np.sqrt((weight**2) @ [p.lead.var(ddof=1) / len(p.lead) for p in parts]))
    # With equal weights money is counted in baselines, or the data set of the dearest prompts would be all that counts.
    unit = [p.base_cost_usd.mean() if equal else 1.0 for p in parts]
    cost = float(weight @ [p.cost_usd.mean() / u for p, u in zip(parts, unit, strict=True)])
    base = float(weight @ [p.base_cost_usd.mean() / u for p, u in zip(parts, unit, strict=True)])
    spread = [
        ((p.cost_usd - (p.cost_usd.mean() / u if equal else cost / base) * p.base_cost_usd) / u).var(ddof=1)
        / len(p.lead)
        for p, u in zip(parts, unit, strict=True)
    ]
    own = float(np.sqrt((weight**2) @ spread)) / base
    ratio, n_all = cost / base, int(n.sum())
    found = Estimate(value=lead, low=lead - z * error, high=lead + z * error, se=error, n=n_all, method="stratified")
    saved = Estimate(value=ratio, low=ratio - z * own, high=ratio + z * own, se=own, n=n_all, method="stratified")
    return non_inferiority(found, MARGIN), saved
