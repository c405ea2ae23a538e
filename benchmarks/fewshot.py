"""What showing examples is worth, which ones and how many, on CLINC150, as docs/results/fewshot.md.

    python benchmarks/fewshot.py ../shared/data > docs/results/fewshot.md

Offline: the model is simulated and answers with the label of the most similar thing in its prompt. The last part asks it through
configs, routers and a log, and counts how many answers, tokens and costs are the same as on the fast path.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from routelab.config import PromptConfig, RouteConfig
from routelab.embedding.index import Exact
from routelab.fleet import Fleet
from routelab.lab.datasets import Dataset
from routelab.lab.fewshots import (
    Arm,
    Lengths,
    Played,
    Reader,
    Sheet,
    Task,
    Versus,
    arms,
    nearest_label,
    played,
    shown,
    task_of,
    versus,
)
from routelab.lab.session import Lab
from routelab.lab.significance import holm
from routelab.lab.statistics import Estimate
from routelab.prompting.fewshot import Example, Ground, Pool, Selector, few_shot_of, leaks
from routelab.providers.nearestlabel import PRICE

SHOTS = (1, 4, 8, 16)
SEEDS, EACH = 5, 20
NEAR = 0.95
ALPHA = 0.05
LEXICAL = {"kind": "lexical", "dimensions": 2048}
WAYS: Mapping[str, Mapping[str, Any]] = {
    "fixed": {"kind": "fixed"},
    "random": {"kind": "random"},
    "nearest, lexical": {"kind": "nearest", "embedder": LEXICAL},
    "nearest, MiniLM": {"kind": "nearest"},
    "diverse, MiniLM": {"kind": "diverse"},
    "nearest, MiniLM, one a label": {"kind": "nearest", "per_answer": 1},
}
READERS: Mapping[str, Reader] = {
    "examples": Reader(),
    "both": Reader(reads="both"),
    "weighed": Reader(reads="both", sharpness=20.0),
    "lexical": Reader(embedder=LEXICAL, reads="both"),
}
ABOUT = {
    "examples": (
        "A. Reads the examples only, by MiniLM",
        "Shown any examples, it answers with the label of the nearest one and forgets the names in its instructions. With 150 labels and k examples it "
        "can be right only where the right label is among the k: *right label shown* is the ceiling. That bounds *fixed* and *random* from above, by the "
        "definition of the model and not by anything about examples. It is as near-sighted as the arms that choose by MiniLM: all of them show the nearest, and what else they "
        "show changes nothing.",
    ),
    "both": (
        "B. Reads examples and names alike, by MiniLM",
        "The names of the labels compete with the examples all the time, so that a bad example need not be believed. For what MiniLM chose more than one "
        "example changes nothing here either.",
    ),
    "weighed": (
        "C. Reads both, and similar ones add up (softmax of 20 · cosine)",
        "Kernel regression over all that is shown: several examples of one label outweigh one of another. Now k matters to all arms.",
    ),
    "lexical": (
        "D. Reads both, by spelling (hashed n-grams)",
        "Another notion of similarity than the one that MiniLM arms choose by: what chooses and what reads are not the same any more. A model whose own "
        "judgement is poor gains most from good examples, and is misled by good distractors.",
    ),
}
CONTRASTS = (
    ("nearest, MiniLM", "random"),
    ("nearest, MiniLM", "fixed"),
    ("nearest, MiniLM", "nearest, lexical"),
    ("diverse, MiniLM", "nearest, MiniLM"),
    ("nearest, MiniLM, one a label", "nearest, MiniLM"),
)

STACKED = 200
Found = Mapping[str, Sequence[Played]]


def share(estimate: Estimate, digits: int = 1, sign: str = "") -> str:
    """Return a share in per cent with its interval."""
    ends = estimate.interval
    told = f"{100 * estimate.value:{sign}.{digits}f}"
    return told if ends is None else f"{told} [{100 * ends[0]:{sign}.{digits}f}, {100 * ends[1]:{sign}.{digits}f}]"


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """Every comparison of the page with its p value adjusted for all of them (Holm)."""

    found: Mapping[tuple[str, str, str], tuple[Versus, float]]

    @staticmethod
    def of(results: Found) -> Judged:
        """Return the comparisons of each reader: every arm with zero-shot, and the contrasts at each number of examples."""
        keys, made = [], []
        for reader, rows in results.items():
            by_name = {row.arm.name: row for row in rows}
            pairs = [(row.arm.name, "zero-shot") for row in rows[1:]]
            pairs += [(f"{a}, k = {k}", f"{b}, k = {k}") for a, b in CONTRASTS for k in SHOTS]
            for a, b in pairs:
                keys.append((reader, a, b))
                made.append(versus(by_name[a], by_name[b]))
        adjusted = holm(np.array([v.p for v in made]))
        return Judged(found={k: (v, float(p)) for k, v, p in zip(keys, made, adjusted, strict=True)})

    def word(self, reader: str, a: str, b: str) -> str:
        """Return better, worse, no difference shown, or the same."""
        found, p = self.found[reader, a, b]
        if found.difference.value == 0 and found.p == 1:
            return "the same"
        if p >= ALPHA:
            return "no difference shown"
        return "better" if found.difference.value > 0 else "worse"

    def points(self, reader: str, a: str, b: str) -> str:
        """Return the difference in points with its interval."""
        return share(self.found[reader, a, b][0].difference, sign="+")


def table(reader: str, rows: Sequence[Played], judged: Judged) -> list[str]:
    """Return one row an arm."""
    lines = [
        "| arm | right % | seeds % | points vs zero-shot | verdict | right label shown % | input tokens | USD per 1,000 | USD per 1,000 right |",
        "|---|---:|---:|---:|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        name, zero = row.arm.name, row is rows[0]
        low, high = 100 * row.by_seed.min(), 100 * row.by_seed.max()
        cost = 1000 * row.cost_usd.mean()
        cells = [
            name,
            share(row.accuracy),
            "–" if zero or high - low < 0.05 else f"{low:.1f}–{high:.1f}",
            "–" if zero else judged.points(reader, name, "zero-shot"),
            "–" if zero else judged.word(reader, name, "zero-shot"),
            "–" if zero else f"{100 * row.reached.mean():.1f}",
            f"{row.tokens.mean():,.0f}",
            f"{cost:.3f}",
            f"{cost / row.quality.mean():.3f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def contrasts(judged: Judged) -> list[str]:
    """Return the differences at equal k, one table."""
    lines = [
        "| at equal k | k | " + " | ".join(ABOUT[name][0].split(".")[0] for name in READERS) + " |",
        "|---|---:|" + "---|" * len(READERS),
    ]
    for a, b in CONTRASTS:
        for k in SHOTS:
            one, other = f"{a}, k = {k}", f"{b}, k = {k}"
            cells = []
            for reader in READERS:
                word = judged.word(reader, one, other)
                cells.append(word if word == "the same" else f"{judged.points(reader, one, other)}, {word}")
            lines.append(f"| {a} − {b} | {k} | " + " | ".join(cells) + " |")
    return lines


def answer(results: Found, judged: Judged) -> list[str]:
    """Return the answers to what the page is about, from the figures."""
    lines = []
    word = judged.word
    everywhere = all(
        word(r, f"nearest, MiniLM, k = {k}", base) == "better"
        for r in READERS
        for k in SHOTS
        for base in ("zero-shot", f"random, k = {k}", f"fixed, k = {k}")
    )
    dynamic = [
        judged.found[r, f"nearest, MiniLM, k = {k}", "zero-shot"][0].difference.value for r in READERS for k in SHOTS
    ]
    lines.append(
        (
            "**Examples chosen for the question (nearest, MiniLM) are better than none, than fixed ones and than random ones, with every reader and at every k**"
            if everywhere
            else "**Examples chosen for the question (nearest, MiniLM) are not better than none, fixed and random ones everywhere**: see the tables"
        )
        + f": {100 * min(dynamic):+.1f} to {100 * max(dynamic):+.1f} points against zero-shot."
    )
    lines.append(
        "Fixed and random examples against zero-shot: "
        + "; ".join(f"reader {ABOUT[r][0][0]}: {unchosen(r, judged)}" for r in READERS)
        + ". They cost the same tokens as chosen ones. Reader A's losses are its definition. To the others an example that is unlike the question "
        "teaches nothing, and a poor judge of similarity (D) is misled by some."
    )
    for reader in ("weighed", "lexical"):
        rows = results[reader]
        best = max(rows, key=lambda row: row.quality.mean())
        four = next(r for r in rows if r.arm.name == "nearest, MiniLM, k = 4")
        more = (
            f"; nearest, MiniLM, k = 4 has {share(four.accuracy)} % at {four.tokens.mean():,.0f}"
            if best is not four
            else ""
        )
        lines.append(
            f"Reader {ABOUT[reader][0][0]} is right most often with {best.arm.name}: {share(best.accuracy)} % at {best.tokens.mean():,.0f} tokens{more}."
        )
    zero = results["examples"][0]
    wide = next(r for r in results["examples"] if r.arm.name == "nearest, MiniLM, k = 16")
    lines.append(
        f"Money: the instructions with 150 names are {zero.tokens.mean():,.0f} tokens of every prompt; 16 examples add {wide.tokens.mean() - zero.tokens.mean():,.0f} "
        f"({100 * (wide.cost_usd.mean() / zero.cost_usd.mean() - 1):.0f} % of the cost), one adds "
        f"{next(r for r in results['examples'] if r.arm.name == 'nearest, MiniLM, k = 1').tokens.mean() - zero.tokens.mean():,.0f}. "
        f"The longest prompt has {max(row.tokens.max() for row in results['examples']):,.0f}; providers' prompt caches begin at 1,024. Beyond, they can serve examples that are the same "
        "for everybody, and not those that are chosen for one."
    )
    return lines


def unchosen(reader: str, judged: Judged) -> str:
    """Return how fixed and random examples do against zero-shot: the range of points, and how many arms are better or worse."""
    names = [f"{way}, k = {k}" for way in ("fixed", "random") for k in SHOTS]
    points = [100 * judged.found[reader, name, "zero-shot"][0].difference.value for name in names]
    words = [judged.word(reader, name, "zero-shot") for name in names]
    counts = (
        ", ".join(f"{words.count(word)} {word}" for word in ("better", "worse") if word in words)
        or "no difference shown"
    )
    return f"{min(points):+.1f} to {max(points):+.1f} points ({counts})"


def plainly(text: str) -> str:
    """Return a text's letters and digits; written apart from the selector's own reading, which it checks."""
    return re.sub(r"[\W_]", "", text.lower())


def leaking(task: Task, pools: Sequence[Pool]) -> list[str]:
    """Return what examples and test prompts have in common, and what was shown of it."""
    found = leaks(task.train, task.prompts, near=NEAR)
    prompts = task.prompts
    checked, seen = 0, 0
    for arm in arms(SHOTS[-1:], WAYS)[1:]:
        for seed, pool in enumerate(pools):
            for prompt, row in zip(prompts, shown(arm, task, pool, seed), strict=True):
                checked += len(row)
                seen += sum(e.id == prompt.id or plainly(e.question) == plainly(prompt.text) for e in row)
    lines = [
        f"- All {len(task.train):,} train texts against {len(prompts):,} test prompts: "
        + (", ".join(f"{n:,} prompts with a leak by {why}" for why, n in sorted(found.counts.items())) or "no leak")
        + f" (near: MiniLM's cosine from {NEAR}).",
        f"- Of {checked:,} examples shown at k = {SHOTS[-1]} over all arms and seeds, {seen:,} had the prompt's id or its letters and digits.",
    ]
    texts = [x for x in found.found if x.why == "text"]
    lines.append(
        f"- Held out for the text: {'; '.join(f'“{x.text}” for “{x.question}”' for x in texts)}. {sum(x.agree is False for x in texts)} of them have another label in train."
    )
    return lines + planted(task, pools[0])


def planted(task: Task, pool: Pool) -> list[str]:
    """Return what happens when all test prompts are put into the pool: by id, and in other dress under other ids."""
    dressed = [
        Example(
            id=p.id if i % 2 else f"copy of {p.id}",
            question=p.text if i % 2 else f"{p.text.upper()}?!",
            answer=p.reference or "",
        )
        for i, p in enumerate(task.prompts)
    ]
    poisoned = Pool(examples=(*pool.examples, *dressed))
    sheet = Sheet.of(task, Reader(), [poisoned])
    wanted = np.array([p.reference for p in task.prompts])
    ground = Ground(pool=poisoned)
    positions, _ = Exact(rows=ground.rows).nearest(ground.vectors([p.text for p in task.prompts]), 1)
    unguarded = np.array([poisoned.examples[int(i)].answer for i in positions[:, 0]]) == wanted
    chooses = Selector(few_shot=few_shot_of({"kind": "nearest", "k": 1, "examples": poisoned}))
    rows = chooses.choose(task.prompts)
    own = sum(
        len(row) > 0 and row[0].id in (p.id, f"copy of {p.id}") for p, row in zip(task.prompts, rows, strict=True)
    )
    guarded = np.array(sheet.answers(rows)) == wanted
    return [
        f"- All test prompts put into the pool, half of them in capitals, with other punctuation and under other ids: reader A with the nearest example is right for "
        f"{100 * unguarded.mean():.1f} % when nothing is held out, and for {100 * guarded.mean():.1f} % through the selector, which showed {own:,} of {len(rows):,} "
        "prompts to themselves. (The other test texts are still in this pool, so it is a larger one than that of the tables.)",
    ]


def duplicates(task: Task, pools: Sequence[Pool]) -> list[str]:
    """Return what the nearest arm owes to near duplicates, and to the number of examples there are to choose from."""
    bars = (None, 0.95, 0.9, 0.8)
    ways = tuple(
        Arm(
            name="none" if bar is None else f"{bar:g}",
            spec={"kind": "nearest", "k": 4, **({} if bar is None else {"duplicate_at": bar})},
        )
        for bar in bars
    )
    readers = {"examples": READERS["examples"], "weighed": READERS["weighed"]}
    found = played(task, ways, pools=pools[:3], readers=readers)
    lines = ["| held out from a cosine of | A, right % | C, right % |", "|---|---:|---:|"]
    for i, way in enumerate(ways):
        lines.append(f"| {way.name} | {share(found['examples'][i].accuracy)} | {share(found['weighed'][i].accuracy)} |")
    lines += ["", "| examples a label to choose from | A, right % | C, right % |", "|---|---:|---:|"]
    for each in (1, 2, 5, 20, 100):
        drawn = [task.pool(each, seed) for seed in range(3 if each < 100 else 1)]
        rows = played(task, (ways[0],), pools=drawn, readers=readers)
        lines.append(f"| {each} | {share(rows['examples'][0].accuracy)} | {share(rows['weighed'][0].accuracy)} |")
    return lines


def stacked(task: Task, pool: Pool) -> list[str]:
    """Return how many runs of the real stack gave what the fast path gives: the answer, the tokens, the cost."""
    models = {
        "nearest-label": Reader(),
        "nearest-label-both": Reader(reads="both"),
        "nearest-label-weighed": READERS["weighed"],
    }
    fleet = Fleet.practice(latency=0).with_models({n: nearest_label(n, reader=r) for n, r in models.items()})
    some = Task(
        name=task.name,
        system=task.system,
        labels=task.labels,
        prompts=task.prompts[:: max(1, len(task.prompts) // STACKED)][:STACKED],
        train=task.train,
    )
    which = arms((4,), WAYS)
    configs, fast, lengths = {}, {}, Lengths(task=some)
    for model, reader in models.items():
        sheet = Sheet.of(some, reader, [pool])
        for arm in which:
            name = f"{model}: {arm.name}"
            configs[name] = config(name, model, arm, task, pool)
            rows = shown(arm, some, pool, 0)
            fast[name] = [
                (a, lengths.asked(p, e), lengths.tokens(a))
                for p, e, a in zip(some.prompts, rows, sheet.answers(rows), strict=True)
            ]
    lab = Lab(fleet=fleet)
    try:
        lab.compare(Dataset(name=task.name, prompts=some.prompts), configs)
        told = lab.log.query(
            "select c.arm, c.prompt_id, a.text, c.input_tokens, c.output_tokens, c.cost_usd from calls c join answers a on a.call_id = c.call_id"
        )
    finally:
        lab.close()
    at = {p.id: i for i, p in enumerate(some.prompts)}
    same, cost = 0, 0
    for arm_name, prompt, text, asked, said, usd in told:
        expected = fast[arm_name][at[prompt]]
        same += (text, asked, said) == expected
        cost += abs(usd - (expected[1] * PRICE.usd_per_mtok_in + expected[2] * PRICE.usd_per_mtok_out) / 1e6) < 1e-12
    return [
        f"{len(configs)} configs (`prompt: {{system, few_shot}}`; {len(which)} arms at k = 4 × {len(models)} readers) on {len(some.prompts)} prompts through `lab.compare`: "
        f"{len(told):,} calls in the log, {same:,} with the fast path's answer and tokens, {cost:,} with its cost.",
    ]


def config(name: str, model: str, arm: Arm, task: Task, pool: Pool) -> RouteConfig:
    """Return the config of an arm for one model."""
    prompt: dict[str, Any] = {"system": task.system}
    if arm.spec is not None:
        prompt["few_shot"] = {**arm.spec, "examples": pool}
    return RouteConfig(
        name=name, models=[model], strategy={"kind": "fixed", "model": model}, prompt=PromptConfig(**prompt)
    )


def page(task: Task, began: float) -> list[str]:
    """Return the page's lines."""

    def heard(what: str) -> None:
        print(f"{time.perf_counter() - began:6.0f} s  {what}", file=sys.stderr)

    pools = [task.pool(EACH, seed) for seed in range(SEEDS)]
    results = played(task, arms(SHOTS, WAYS), pools=pools, readers=READERS, heard=heard)
    judged = Judged.of(results)
    lines = ["## What it says", "", *(line + "\n" for line in answer(results, judged))]
    heard("leaks")
    lines += ["## Nobody sees the answer", "", *leaking(task, pools), ""]
    lines += [
        "## Every arm, by reader",
        "",
        f"Verdicts are at {100 * ALPHA:g} % after Holm's correction for all {len(judged.found)} comparisons of this page (sign flips of the labels' sums); intervals are 95 %, "
        "not corrected, over labels. *Seeds* are the lowest and highest of the seeds.",
        "",
    ]
    for reader, rows in results.items():
        title, text = ABOUT[reader]
        lines += [f"### {title}", "", text, "", *table(reader, rows, judged), ""]
    lines += ["## One way against another at equal k", "", *contrasts(judged), ""]
    heard("duplicates")
    lines += [
        "## Near duplicates, and how many to choose from (nearest, MiniLM, k = 4)",
        "",
        *duplicates(task, pools),
        "",
    ]
    heard("the real stack")
    return [*lines, "## Through the real stack", "", *stacked(task, pools[0]), ""]


HEAD = """# Few-shot examples: none, fixed, drawn, nearest, diverse

Made by `python benchmarks/fewshot.py ../shared/data > docs/results/fewshot.md`, offline.

CLINC150: {prompts:,} test prompts (its validation split, in scope), 150 intents, whose names are in the instructions of every arm. Each of {seeds} seeds draws a pool of {each}
train texts a label ({pool:,} examples), which all arms of that seed choose from; *fixed* shows the first k of that pool, *random* draws k for every prompt by
`draw(seed, prompt.id)`, *nearest* and *diverse* (maximal marginal relevance, λ = 0.5, among the 32 nearest) choose by the question's vector. The nearest stands last. A prompt counts
once, with the mean of its seeds; differences are paired by prompt, and the 150 intents are the clusters. The price is made up ({price_in:g} and {price_out:g} USD per million
tokens in and out) and tokens are those of o200k_base.

**The model is simulated.** It embeds the question and what its prompt holds, and answers with the label of what is most similar. *It can show* that the whole chain works (choosing,
holding out, rendering, counting, paying, comparing) with an answer that depends on what was shown; how often a way of choosing puts the right label before the model (*right label
shown*, which is about the data and not the model); and what follows where similarity decides. *It cannot show* how much a language model gains: one that knows English needs
no example to tell "pin change" from "freeze account", learns the format and the label set from examples of other labels, is swayed by their order and by labels that are frequent
among them, and gains less from near copies. Nearest examples are also the best case for a model that goes by nearness. So there are four readers instead of one, and what all four
agree on is the finding.
"""


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--take", type=int, default=None, help="use so many test prompts only")
    given = parser.parse_args()
    began = time.perf_counter()
    data = json.loads((given.data / "intents" / "clinc150.json").read_text(encoding="utf-8"))
    task = task_of(data["train"], data["val"], name="clinc150", take=given.take)
    lines = page(task, began)
    print(
        HEAD.format(
            prompts=len(task.prompts),
            seeds=SEEDS,
            each=EACH,
            pool=EACH * len(task.labels),
            price_in=PRICE.usd_per_mtok_in,
            price_out=PRICE.usd_per_mtok_out,
        )
    )
    print("\n".join(lines))
    print(f"Whole page: {time.perf_counter() - began:.0f} s on 2 cores that had other work.")


if __name__ == "__main__":
    main()
