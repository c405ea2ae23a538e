"""What a semantic cache may answer, by embedder, guard and threshold, as docs/results/cache.md.

    python benchmarks/cache.py ../shared/data --cache ../cache > docs/results/cache.md

Thresholds are chosen on one half of labelled pairs and reported on the other, five times over. `--cache` keeps the vectors.
The page is made of parts: a function that takes the folder of data and returns text, one line in `PARTS`.
"""

from __future__ import annotations

import argparse
import functools
import json
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cache_traffic
import numpy as np

from routelab.caching.guard import guard_of
from routelab.embedding import content_hash, vectors
from routelab.embedding.vectors import remember
from routelab.lab.caches.acceptance import features
from routelab.lab.caches.arms import FITTED, Setting
from routelab.lab.caches.bench import EMBEDDERS, concluded, cosines, objections, settled
from routelab.lab.caches.curve import Point, auc, curve, hits_needed, nominated, recommended
from routelab.lab.caches.pairs import Halves, Pairs, folded, halves

OWN = Path(__file__).resolve().parent.parent / "datasets" / "cache_pairs"
GUARDS = ("none", "lexical")
SEEDS = (0, 1, 2, 3, 4)
BUDGET = 0.01
BUDGETS = (0.01, 0.02, 0.05, 0.10)
ALIKE = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class Turn:
    """One population under one seed: its halves, every setting with its curves, and what the bench concludes."""

    split: Halves
    settings: tuple[Setting, ...]
    arms: tuple[Mapping[str, Any], ...]
    recommended: Mapping[str, Any] | None
    why: str


# The populations


def paraphrases(data: Path) -> Pairs:
    """Return GPTCache's sentences with their paraphrases, and each with the paraphrase of the nearest other sentence."""
    rows = json.loads((data / "semantic_cache" / "gptcache_mock_data.json").read_text(encoding="utf-8"))
    origin, similar = [row["origin"] for row in rows], [row["similar"] for row in rows]
    near = vectors("minilm", origin) @ vectors("minilm", origin).T
    names = np.array([folded(text) for text in origin], dtype=object)
    near[names[:, None] == names[None, :]] = -np.inf
    other = near.argmax(axis=1)
    return Pairs.of(
        [*origin, *origin],
        [*similar, *(similar[j] for j in other)],
        [1] * len(rows) + [0] * len(rows),
        ["reworded"] * len(rows) + ["nearest other"] * len(rows),
    )


def populations(data: Path) -> dict[str, Pairs]:
    """Return the populations by name; the union last."""
    found = {
        "banking77": Pairs.read(data / "semantic_cache" / "banking77_pairs.csv"),
        "paraphrases": paraphrases(data),
        "written with the guard": Pairs.read(OWN / "pairs.csv"),
        "written blind, seen since": Pairs.read(OWN / "blind_seen.csv"),
        "written blind, not seen": Pairs.read(OWN / "blind_held.csv"),
    }
    union = functools.reduce(operator.add, found.values())
    return {**found, "union": union}


def warm(cache: Path, data: Path) -> None:
    """Write the vectors of all texts into the cache, embedding what is not there."""
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / "pairs.npz"
    if path.is_file():
        known = np.load(path)
        remember("minilm", dict(zip(known["hashes"].tolist(), known["vectors"], strict=True)))
    texts = {content_hash(t): t for pairs in populations(data).values() for t in (*pairs.asked, *pairs.known)}
    np.savez(path, hashes=np.array(list(texts)), vectors=vectors("minilm", list(texts.values())))


def turns(pairs: Pairs) -> list[Turn]:
    """Return the population under every seed."""
    guards = {name: guard_of(name) for name in GUARDS}
    made = []
    for seed in SEEDS:
        split = halves(pairs, seed=seed)
        found = settled(split, guards=guards, fitted=True, seed=seed)
        arms, chosen, why = concluded(found, split.confirm, BUDGET)
        made.append(Turn(split=split, settings=found, arms=arms, recommended=chosen, why=why))
    return made


# What is told of one population


def reached(setting: Setting, budget: float) -> float:
    """Return the true-hit rate at the threshold that tune chose; 0 where tune or confirm has no bound within the budget."""
    named = nominated(setting.curves[0], budget)
    return 0.0 if named is None else kept(setting.curves[1].at(named[0].threshold), budget)


def hindsight(setting: Setting, budget: float) -> float:
    """Return the most that any threshold reaches on confirm, chosen there: more than anybody could know."""
    point = recommended(setting.curves[1].points, budget)
    return 0.0 if point is None else kept(point, budget)


def kept(point: Point, budget: float) -> float:
    """Return a point's true-hit rate, 0 when its bound is not within the budget."""
    within = point.false_hit_upper is not None and point.false_hit_upper <= budget
    return (point.true_hit_rate or 0.0) if within else 0.0


def share(value: float | None, ci: Sequence[float] | None = None, digits: int = 1) -> str:
    """Return a share in per cent with its interval."""
    if value is None:
        return "–"
    ends = "" if ci is None else f" [{100 * ci[0]:.{digits}f}, {100 * ci[1]:.{digits}f}]"
    return f"{100 * value:.{digits}f}{ends}"


def spread(values: Sequence[float | None]) -> str:
    """Return the mean over the seeds with the least and the most, in per cent."""
    known = [100 * v for v in values if v is not None]
    return f"{np.mean(known):.1f} ({min(known):.1f} to {max(known):.1f})" if known else "–"


def population(name: str, pairs: Pairs, found: Sequence[Turn]) -> str:
    """Return one population's part of the page."""
    first = found[0]
    sizes = f"{len(first.split.tune):,} and {len(first.split.confirm):,}"
    lines = [
        f"## {name}",
        "",
        f"{len(pairs):,} pairs, {pairs.positives:,} labelled 1; {pairs.components:,} groups that share no text; halves of {sizes} under "
        f"seed 0 ({first.split.bridges} pairs in neither).",
        *(f"{note[0].upper()}{note[1:]}." for note in pairs.notes),
        "",
        "| arm | threshold | true-hit rate % | false-hit rate % | bound % | false hits | design effect | AUC | objects to 1s / 0s % | five seeds: "
        "true-hit rate % | false-hit rate % |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for k, one in enumerate(first.arms):
        same = [turn.arms[k] for turn in found]
        objected = "–" if one["guard"] == FITTED else " / ".join(share(v) for v in one["objected"].values())
        cells = [
            one["name"],
            f"{one['threshold']:.4f}",
            share(one["true_hit_rate"], one["true_hit_ci"]),
            share(one["false_hit_rate"], one["false_hit_ci"]),
            share(one["false_hit_upper"]),
            f"{one['false_hits']:,} of {one['hits']:,}",
            f"{one['design_effect']:.2f}",
            "–" if one["auc"] is None else f"{one['auc']:.3f}",
            objected,
            spread([arm["true_hit_rate"] for arm in same]),
            spread([arm["false_hit_rate"] for arm in same]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    used = sum(turn.recommended is not None for turn in found)
    lines += ["", f"**Seed 0: {first.why}.** Recommended under {used} of {len(found)} seeds.", "", *budgets(found), ""]
    return "\n".join([*lines, *slices(found), ""])


def budgets(found: Sequence[Turn]) -> list[str]:
    """Return the table of what each arm reaches at a bound, and how many times the best plain threshold that is."""
    settings = found[0].settings
    known = {
        b: [float(np.mean([hindsight(turn.settings[k], b) for turn in found])) for k in range(len(settings))]
        for b in BUDGETS
    }
    plain = {b: max(v for v, s in zip(known[b], settings, strict=True) if s.guard == "none") for b in BUDGETS}
    lines = [
        "True-hit rate % with the bound held, mean over the seeds: at the threshold that tune chose and confirm confirmed (0 where it did "
        "not); after the stroke in hindsight, at the best threshold of the confirm half itself, and how many times that is the best plain "
        "threshold's:",
        "",
        "| arm | " + " | ".join(f"bound ≤ {100 * b:g} %" for b in BUDGETS) + " |",
        "|---|" + "---:|" * len(BUDGETS),
    ]
    for k, setting in enumerate(settings):
        cells = []
        for b in BUDGETS:
            honest = float(np.mean([reached(turn.settings[k], b) for turn in found]))
            times = "" if setting.guard == "none" or not known[b][k] else f" ({ratio(known[b][k], plain[b])})"
            cells.append(f"{share(honest)} / {share(known[b][k])}{times}")
        lines.append(f"| {setting.name} | " + " | ".join(cells) + " |")
    return lines


def ratio(mean: float, plain: float) -> str:
    """Return how many times plain it is; where plain reaches nothing there is no number."""
    return f"{mean / plain:.1f} ×" if plain else "plain: none"


def slices(found: Sequence[Turn]) -> list[str]:
    """Return the table of slices: what of each the guard lets through and what hits, over all seeds together."""
    chosen = [k for k, arm in enumerate(found[0].arms) if arm["embedder"] == "minilm" or arm["guard"] == FITTED]
    names = [found[0].arms[k]["name"] for k in chosen]
    rows = sorted({name for turn in found for name in turn.arms[0]["slices"]})
    if len(rows) < 2:
        return []
    lines = [
        "By slice, hits of pairs in % at those thresholds (in brackets what the guard lets through), all seeds together:",
        "",
        "| slice | label 1 | " + " | ".join(names) + " |",
        "|---|---:|" + "---:|" * len(names),
    ]
    for row in rows:
        cells = []
        for k in chosen:
            parts = [turn.arms[k]["slices"][row] for turn in found if row in turn.arms[k]["slices"]]
            n = sum(part["n"] for part in parts)
            through = share(sum(part["let_through"] for part in parts) / n)
            hit = share(sum(part["hits"] for part in parts) / n)
            cells.append(hit if found[0].arms[k]["guard"] in ("none", FITTED) else f"{hit} ({through})")
        ones = [turn.arms[0]["slices"][row] for turn in found if row in turn.arms[0]["slices"]]
        positive = share(sum(part["positives"] for part in ones) / sum(part["n"] for part in ones), digits=0)
        lines.append(f"| {row} | {positive} % | " + " | ".join(cells) + " |")
    return lines


def free_logistic(pairs: Pairs, split: Halves) -> str:
    """Return what a logistic would do that may take likeness for a sign of difference."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    halfs = (split.tune, split.confirm)
    found = []
    for half in halfs:
        known = {spec: cosines(spec, half) for spec in EMBEDDERS}
        found.append((features(half, known, objections(guard_of("lexical"), half), ())[0], known))
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5_000)).fit(found[0][0], split.tune.same)
    scores = head.predict_proba(found[1][0])[:, 1]
    best = recommended(curve(scores, split.confirm.same, split.confirm.nodes).points, 0.05)
    told = (
        "reaches no bound of 5 %"
        if best is None
        else f"has {share(best.true_hit_rate)} % true hits at a bound of {share(best.false_hit_upper)} %"
    )
    spelled = np.corrcoef(scores, found[1][1]["lexical"])[0, 1]
    hard = np.array([name == "hard_negative" for name in split.confirm.slices])
    alike = auc(found[1][1]["lexical"], ~hard)
    return (
        f"On banking77 a logistic that is free to (seed 0, the same features, threshold chosen in hindsight) {told}, AUC "
        f"{auc(scores, split.confirm.same):.3f}: the more alike two questions are spelled, the less it accepts them (correlation of its score "
        f"with the lexical cosine {spelled:+.2f}), because the file's hard negatives were mined for their spelling (the lexical cosine tells "
        f"them from the rest with AUC {1 - alike:.3f}). Such a rule would refuse repetitions. It is how this file was made, not when one answer "
        "serves two questions, so the fitted arm is held to a law: at least as alike in everything is never less likely."
        if alike is not None
        else ""
    )


def noise(split: Halves) -> list[str]:
    """Return the pairs labelled 0 that MiniLM finds most alike."""
    pairs = split.confirm
    cosine = cosines("minilm", pairs)
    bad = [i for i in np.argsort(-cosine, kind="stable") if not pairs.same[i]][:ALIKE]
    return [f"- {cosine[i]:.3f}: “{pairs.asked[i]}” – “{pairs.known[i]}”" for i in bad]


def of_pairs(data: Path) -> str:
    """Return the part on labelled pairs."""
    every = populations(data)
    found = {}
    for name, pairs in every.items():
        print(name, file=sys.stderr)
        found[name] = turns(pairs)
    bank = found["banking77"][0]
    lines = [
        "# Semantic caches on labelled pairs and over traffic",
        "",
        "Made by `python benchmarks/cache.py ../shared/data --cache ../cache > docs/results/cache.md`; `routelab bench cache` gives the same "
        "figures for any labelled file. Banking77's pairs and GPTCache's sentences are not in the repository; our own pairs are "
        "`datasets/cache_pairs`: the first were written by the guard's author, so figures there flatter it; the others by two people who had never seen it, of "
        "which half was looked at since, and half was scored when the rules were done.",
        "",
        "*True-hit rate*: hits over the pairs labelled 1. *False-hit rate*: false hits over all hits. Intervals are Clopper and Pearson's, 95 %, on "
        "counts divided by the design effect of texts that occur in several pairs; the *bound* is one-sided, 95 %. Thresholds are those that the "
        "tune half chose for a bound of 1 %, or with the lowest bound where none has it; every figure is that of the other half, which shares "
        f"no text with it. Without a single false hit it takes {hits_needed(0)} hits to show 1 %, with one {hits_needed(1)}. *Fitted* is a logistic "
        "over both cosines, words in common, lengths and the lexical guard's objections, learned from the tune half; its threshold is on its own "
        "score. The pairs are half hard on purpose: traffic has other shares, so rates here compare arms and promise nothing about yours.",
        "",
        *(population(name, every[name], found[name]) for name in every),
        "## What these figures cannot show",
        "",
        "Banking77 calls two questions the same when their intents are, and its hard negatives are of different intents however alike. The most "
        "alike pairs labelled 0 (MiniLM's cosine, confirm half of seed 0):",
        "",
        *noise(bank.split),
        "",
        free_logistic(every["banking77"], bank.split),
        "",
    ]
    return "\n".join(lines)


PARTS: Sequence[Callable[[Path], str]] = (of_pairs, cache_traffic.section)
"""The page's parts, in order, one function each; the time of a lookup has a page of its own (`cache_lookup.py`)."""


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="the folder that has semantic_cache/")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep the vectors here")
    options = parser.parse_args()
    if options.cache is not None:
        warm(options.cache, options.data)
    print("\n".join(part(options.data) for part in PARTS), end="")


if __name__ == "__main__":
    main()
