"""Two levels of cache over made-up traffic of 10,000 requests, as a section of docs/results/cache.md.

    python benchmarks/cache_traffic.py ../shared/data [--cache ../cache]

Questions and their wordings are real (banking77's intents, GPTCache's paraphrases), who asks what and when is drawn. Settings are
chosen on the first half of the requests and reported on the second. `--cache` keeps the vectors (10 ms a text to make).
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from routelab.embedding import content_hash, vectors
from routelab.embedding.vectors import remember
from routelab.lab.caches.stream import EXACT, Setting, grid
from routelab.lab.caches.streamed import Chosen, Streamed, stream
from routelab.lab.caches.tallies import Tally
from routelab.lab.caches.traffic import Demand, zipf

BUDGET = 0.01
GOAL = 0.40
SEEDS = (0, 1, 2, 3, 4)
MAIN = Demand(requests=10_000, exponent=0.5, verbatim=0.2, per_s=1.0)
THRESHOLDS = (None, *np.round(np.arange(0.80, 1.0, 0.01), 2).tolist())
SETTINGS = grid(thresholds=THRESHOLDS, guards=("none", "lexical"))
LEARNED = tuple(Setting(threshold=0.5, guard="lexical", per_entry=error) for error in (0.01, 0.02, 0.05))
OTHERS: Sequence[tuple[str, str, Demand]] = (
    ("banking77", "few repeats", replace(MAIN, exponent=0.4, verbatim=0.1)),
    ("banking77", "as above", MAIN),
    ("banking77", "3,000 requests only", replace(MAIN, requests=3000)),
    ("banking77", "popular questions", replace(MAIN, exponent=1.0)),
    ("banking77", "half verbatim", replace(MAIN, verbatim=0.5)),
    ("both", "as above", MAIN),
    ("both", "popular questions", replace(MAIN, exponent=1.0)),
)
ALIKE = 0.5
"""Records of GPTCache that share this much of their words (Jaccard) are one question: that file has no labels across records."""

Questions = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """One traffic by its seed, what every setting did with it, and what was chosen."""

    found: Streamed
    chosen: Chosen
    seconds: float

    def of(self, setting: Setting) -> Tally:
        """Return a setting's tally on the later part."""
        return self.found.tallies("later")[self.found.settings.index(setting)]


def populations(data: Path) -> dict[str, Questions]:
    """Return questions with their wordings by population."""
    folder = data / "semantic_cache"
    intents: dict[str, list[str]] = {}
    with (folder / "banking77_train.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            intents.setdefault(f"intent {row['category']}", []).append(row["text"])
    records = json.loads((folder / "gptcache_mock_data.json").read_text(encoding="utf-8"))
    sentences = said_alike([(row["origin"], row["similar"]) for row in records])
    return {"banking77": intents, "both": {**intents, **sentences}}


def said_alike(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Return questions: the texts of a record together, and records with some texts in nearly the same words."""
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    words = [frozenset(re.findall(r"[a-z0-9]+", text.lower())) for text in texts]
    parent = {text: text for text in texts}

    def root(text: str) -> str:
        while parent[text] != text:
            text = parent[text]
        return text

    for one, other in pairs:
        parent[root(one)] = root(other)
    for i, mine in enumerate(words):
        for j in range(i):
            if len(mine & words[j]) >= ALIKE * len(mine | words[j]):
                parent[root(texts[i])] = root(texts[j])
    found: dict[str, list[str]] = {}
    for text in texts:
        found.setdefault(f"sentence {content_hash(root(text))}", []).append(text)
    return found


def warm(data: Path, cache: Path | None) -> None:
    """Embed all texts, or take their vectors from the cache, and keep what is new."""
    texts = list(dict.fromkeys(t for own in populations(data).values() for worded in own.values() for t in worded))
    path = None if cache is None else cache / "traffic.npz"
    if path is not None and path.is_file():
        known = np.load(path)
        remember("minilm", dict(zip(known["hashes"].tolist(), known["vectors"], strict=True)))
    made = vectors("minilm", texts)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, hashes=np.array([content_hash(t) for t in texts]), vectors=made)


def drawn(questions: Questions, demand: Demand, settings: Sequence[Setting] = SETTINGS) -> Drawn:
    """Return what the settings do with the traffic that a demand draws."""
    traffic = zipf(questions, demand)
    rows = vectors("minilm", [text for _, text in traffic.keys[1]])
    begun = time.perf_counter()
    found = stream(traffic, settings, vectors=rows)
    return Drawn(found=found, chosen=found.recommended(BUDGET), seconds=time.perf_counter() - begun)


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in per cent."""
    return "–" if value is None else f"{100 * value:.{digits}f}"


def cells(tally: Tally) -> list[str]:
    """Return what one row says of a setting."""
    return [
        percent(tally.hit_rate),
        percent(tally.exact_hits / tally.n),
        percent(tally.semantic_hits / tally.n),
        f"{tally.false_hits} of {tally.judged:,}",
        percent(tally.false_hit_upper, 2),
        percent(tally.semantic_false_hit_upper, 2),
        percent(tally.false_pair_upper, 2),
        percent(tally.saved_share),
        percent(tally.quality_lost, 2),
    ]


HEAD = (
    "hits",
    "exact",
    "semantic",
    "false",
    "at most",
    "semantic at most",
    "pairs at most",
    "cost saved",
    "quality lost, points",
)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table in Markdown, the first column flush left."""
    rule = ["---", *["--:"] * (len(head) - 1)]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def main_part(questions: Questions) -> list[str]:
    """Return the part on the main traffic: settings side by side, thresholds that entries learn among them."""
    one = drawn(questions, MAIN, (*SETTINGS, *LEARNED))
    static = drawn(questions, MAIN)
    exact, chosen = one.of(SETTINGS[0]), static.chosen
    shown = [SETTINGS[0]]
    shown += [Setting(threshold=t, guard=g) for t in (0.85, 0.9, 0.95, 0.97) for g in ("none", "lexical")]
    rows = [
        [
            ("**" if s == chosen.setting else "") + str(s) + ("**, chosen" if s == chosen.setting else ""),
            *cells(one.of(s)),
        ]
        for s in dict.fromkeys((*shown, *([chosen.setting] if chosen.setting else []), *LEARNED))
    ]
    saved = None if chosen.later is None else chosen.later.saved_share
    passed = chosen.kept and (saved or 0) >= GOAL
    return [
        f"{one.found.traffic!r}. Arrivals are Poisson, one a second on average. Intents are asked by Zipf's law (exponent "
        f"{MAIN.exponent:g}), {100 * MAIN.verbatim:.0f} % of the time in one usual wording, else in a wording that was not used yet, as long "
        "as there are some. Two requests have the same right answer when they are of one intent, which is coarse, so that a false hit here is a "
        "question of another intent.",
        "",
        f"**{'Goal reached' if passed else 'Goal missed'}: both levels together save {percent(saved)} % of the cost of the second half "
        f"(goal: {100 * GOAL:.0f} %), at most {percent(chosen.upper, 2)} % of the hits are false (goal: 1 %); the exact level alone saves "
        f"{percent(exact.saved_share)} %.** Setting, chosen on the first half: {chosen.setting}. Of the exact level's hits alone {percent(again(one, questions))} % are "
        "rewordings that came a second time, because banking77 has no more of them: people would have found new ones, so the exact share flatters; "
        "the shorter traffic below has few such.",
        "",
        *table(("setting", *HEAD), rows),
        "",
        "All in per cent of the second half's requests, or of its cost. *At most* is the one-sided 95 % upper bound (Clopper and Pearson) of the "
        "share of false hits among all hits, as if hits were independent; *semantic at most* that of the semantic level's hits alone, and "
        "*pairs at most* counts each pair of texts once. **The 1 % holds for both levels together. On the semantic level alone it does "
        f"{_alone(static)}**: what a caller meets is the first, what the semantic level does for its risk is the second. *Per entry*: thresholds "
        "that entries learn while they are used (the budget is a share of the requests that come near an entry), without any labelled pair beforehand; "
        "requests that it explores are asked, so that it saves less while it learns.",
        "",
        f"All {len(SETTINGS)} static settings over the {len(one.found.traffic):,} requests took {static.seconds:.1f} s without the embedding, "
        f"{static.found.held.pairs:,} pairs of texts being near enough to matter (two shared cores).",
        "",
    ]


def again(one: Drawn, questions: Questions) -> float:
    """Return the share of the exact cache's hits on the later part that were not in a question's usual wording."""
    column, usual = one.found.settings.index(SETTINGS[0]), {worded[0] for worded in questions.values()}
    hits = np.flatnonzero((one.found.passes[0].level[:, column] == EXACT) & ~one.found.early)
    return float(np.mean([one.found.traffic.texts[int(i)] not in usual for i in hits]))


def _alone(one: Drawn) -> str:
    alone = one.found.recommended(BUDGET, bound="semantic")
    if alone.setting is None:
        return "not: no threshold's bound is within it on the first half"
    return f"too, at {alone.setting}" + (
        "" if alone.kept else f", but not on the second half ({percent(alone.upper, 2)} %)"
    )


def others_part(known: Mapping[str, Questions]) -> list[str]:
    """Return the part on other demands and seeds."""
    rows = []
    for population, name, demand in OTHERS:
        runs = [drawn(known[population], replace(demand, seed=seed)) for seed in SEEDS]
        on = [run for run in runs if run.chosen.later is not None and run.chosen.setting is not None]
        rows.append(
            [
                f"{population}, {name}",
                f"{demand.exponent:g} / {100 * demand.verbatim:.0f} %",
                spread([run.of(SETTINGS[0]).saved_share for run in runs]),
                spread([run.chosen.later.saved_share for run in on if run.chosen.later is not None]),
                spread([run.chosen.upper for run in on], 2),
                f"{sum(run.chosen.kept for run in on)} of {len(on)}",
                f"{len(runs) - len(on)}",
                ", ".join(
                    sorted({f"{run.chosen.setting.threshold or 0:g}" for run in on if run.chosen.setting is not None})
                ),
            ]
        )
    head = (
        "traffic",
        "exponent / verbatim",
        "exact alone saves",
        "chosen saves",
        "false hits at most",
        "within 1 %",
        "stays off",
        "thresholds",
    )
    return [
        f"The same with other demands, {len(SEEDS)} seeds each: mean (least to most), in per cent of the second half. *Within 1 %* says in how many of "
        "them the bound holds on the half that had no say; with too few hits on the first half for any bound the cache *stays off*. *both*: GPTCache's sentences beside the intents; those of its records that "
        f"share half of their words are one question, for nothing labels them across records, and what that misses counts as false.",
        "",
        *table(head, rows),
    ]


def spread(values: Sequence[float | None], digits: int = 1) -> str:
    """Return the mean over seeds with the least and the most, in per cent."""
    known = [100 * v for v in values if v is not None]
    if not known:
        return "–"
    return f"{np.mean(known):.{digits}f} ({min(known):.{digits}f} to {max(known):.{digits}f})"


def time_part(questions: Questions, threshold: float) -> list[str]:
    """Return the part on lifetimes, where answers change, and on sizes."""
    demand = replace(MAIN, changes_s=40_000.0)
    lives = (
        Setting(threshold=threshold),
        *(Setting(threshold=threshold, ttl_s=ttl) for ttl in (3600.0, 1200.0, 300.0)),
        *(Setting(threshold=threshold, ttl_s=ttl, stale_s=ttl) for ttl in (1200.0, 300.0)),
    )
    run = drawn(questions, demand, lives)
    rows = []
    for setting in lives:
        tally = run.of(setting)
        waits = None if not tally.total_s or tally.saved_s is None else tally.saved_s / tally.total_s
        rows.append(
            [
                str(setting).removeprefix("exact; "),
                percent(tally.hit_rate),
                percent(tally.stale_hits / tally.n),
                percent(tally.false_hit_rate),
                percent(tally.false_hit_upper, 2),
                percent(tally.saved_share),
                percent(waits),
            ]
        )
    sizes = tuple(Setting(threshold=threshold, size=size) for size in (100, 300, 1000, 3000, None))
    held = drawn(questions, MAIN, sizes)
    kept = [
        [
            "no limit" if s.size is None else f"{s.size:,}",
            percent(t.hit_rate),
            percent(t.exact_hits / t.n),
            percent(t.semantic_hits / t.n),
            percent(t.saved_share),
            f"{t.evicted:,}",
        ]
        for s, t in ((s, held.of(s)) for s in sizes)
    ]
    return [
        f"Where answers change (each question's every {demand.changes_s or 0:,.0f} s on average, the traffic lasts {run.found.traffic.span_s or 0:,.0f} s), an outdated "
        "answer is a false hit, and lifetimes pay for freshness. A stale answer (served while a fresh one is asked for) saves the wait, not the money.",
        "",
        *table(("setting", "hits", "stale", "false", "at most", "cost saved", "wait saved"), rows),
        "",
        "How many entries it takes (least recently used ones go first):",
        "",
        *table(("size", "hits", "exact", "semantic", "cost saved", "evicted"), kept),
    ]


def section(data: Path, cache: Path | None = None) -> str:
    """Return the section as Markdown; `data` is the folder that has semantic_cache/, `cache` where vectors are kept."""
    warm(data, cache)
    known = populations(data)
    chosen = drawn(known["banking77"], MAIN).chosen.setting
    threshold = 0.95 if chosen is None or chosen.threshold is None else chosen.threshold
    lines = [
        "## Traffic: what two levels save",
        "",
        "Simulated: the questions and wordings are real, who asks what and when is drawn. Costs are relative, so that only shares are told.",
        "",
        *main_part(known["banking77"]),
        *others_part(known),
        "",
        *time_part(known["banking77"], threshold),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="the folder that has semantic_cache/")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep the vectors here")
    options = parser.parse_args()
    print(section(options.data, options.cache), end="")


if __name__ == "__main__":
    main()
