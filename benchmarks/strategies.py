"""What each family of strategies earns on recorded outcomes, as the tables in docs/results/strategies.md.

    ROUTELAB_PARITY_ENVS=../envs python benchmarks/strategies.py ../shared/data --cache ../cache > docs/results/strategies.md

Everything is chosen on the tune split (cross-fitted) and reported on the confirm split, five times over (`earnings.py`
measures it). `--cache` keeps the prompts' vectors; ROUTELAB_PARITY_ENVS is the folder in which the tests keep LiteLLM's own
environment, without it its rows are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from earnings import BUDGETS, DATASETS, MARGIN, OUTSIDE, PAIR, SEEDS, Job, Row, judged, pooled, read

from routelab.core.values import Prompt
from routelab.embedding import content_hash, vectors
from routelab.embedding.vectors import remember
from routelab.lab.nomination import NOMINATED
from routelab.lab.statistics import Estimate

LITELLM = Path(__file__).with_name("litellm_tiers.py")
PUBLISHED = "RouteLLM, best of its routers (published)"


# LiteLLM's own decisions, and the vectors


def litellm_tiers(prompts: Sequence[Prompt]) -> tuple[str, dict[str, str]] | str:
    """Return LiteLLM's version and its tier of every prompt, or why there are none."""
    folder = os.environ.get("ROUTELAB_PARITY_ENVS")
    if not folder:
        return "ROUTELAB_PARITY_ENVS names no folder with LiteLLM's environment"
    python = Path(folder) / "litellm" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.is_file():
        return f"there is no LiteLLM environment in {folder}"
    asked = json.dumps([[{"role": m.role, "content": m.content} for m in p.messages] for p in prompts])
    # -I: nothing of this folder can be taken for a package of theirs.
    done = subprocess.run([str(python), "-I", str(LITELLM)], input=asked, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"LiteLLM did not run: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1][:200]}"
    said = json.loads(done.stdout)
    return said["version"], dict(zip([p.id for p in prompts], said["tiers"], strict=True))


def warm(cache: Path, prompts: Sequence[Prompt]) -> None:
    """Write the vectors of the prompts into the cache, embedding what is not there."""
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / "vectors.npz"
    texts = {content_hash(p.text): p.text for p in prompts}
    if path.is_file():
        known = np.load(path)
        remember("minilm", dict(zip(known["hashes"].tolist(), known["vectors"], strict=True)))
        if set(texts) <= set(known["hashes"].tolist()):
            return
    np.savez(path, hashes=np.array(list(texts)), vectors=vectors("minilm", list(texts.values())))


# The page


def points(found: Estimate | None) -> str:
    """Return a difference in points with its interval."""
    return "–" if found is None else f"{100 * found.value:+.1f}{ends(found.low, found.high, 100, '+.1f')}"


def saved(ratio: Estimate | None) -> str:
    """Return CostSave, 1 minus the cost ratio, in per cent with its interval."""
    if ratio is None:
        return "–"
    low, high = (None if e is None else 1 - e for e in (ratio.high, ratio.low))
    return f"{100 * (1 - ratio.value):.1f}{ends(low, high, 100, '.1f')}"


def ends(low: float | None, high: float | None, scale: float, form: str) -> str:
    """Return an interval in brackets, or nothing where there is none."""
    return "" if low is None or high is None else f" [{scale * low:{form}}, {scale * high:{form}}]"


def spread(values: Sequence[float], form: str) -> str:
    """Return the mean over the seeds with the least and the most."""
    if not values:
        return "–"
    return f"{np.mean(values):{form}}" + (f" ({min(values):{form}} to {max(values):{form}})" if len(values) > 1 else "")


def section(name: str, jobs: Sequence[Job]) -> str:
    """Return one data set's part of the page."""
    first, seeds = jobs[0], len(jobs)
    prompts, models, tune, confirm = first.shape
    lines = [
        f"## {name}",
        "",
        f"{prompts:,} prompts × {models} models; under seed {first.seed} {tune:,} tune and {confirm:,} confirm; costs "
        f"{' and '.join(first.cost_kinds)}. Best single model on tune: {', '.join(sorted({j.baseline for j in jobs}))}.",
        "",
        "| strategy | tried | won | saved % by adopting | points by adopting | seed 0: which | verdict | points | saved % | lift |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    by_family = {
        row.family: [r for j in jobs for r in j.rows if r.family == row.family] for j in jobs for row in j.rows
    }
    for family, rows in by_family.items():
        lines.append(line(family, rows))
    lines += ["", *frontiers(by_family), "", f"**Seed {first.seed}: {first.why}**", ""]
    won = sum(row.won for row in by_family["all of routelab's"])
    if won == 0:
        lines += ["**Nothing beats the baseline under any seed: it is kept.**", ""]
    elif won < seeds:
        lines += [f"Something beats the baseline under {won} of {seeds} seeds; under the others it is kept.", ""]
    lines += [f"{note}\n" for note in first.notes]
    return "\n".join(lines)


def line(family: str, rows: Sequence[Row]) -> str:
    """Return a family's line of the table: all seeds, then seed 0."""
    won = [r for r in rows if r.won and r.points is not None and r.ratio is not None]
    kept = [0.0] * (len(rows) - len(won))
    mean_saved = spread([*kept, *(100 * (1 - r.ratio.value) for r in won if r.ratio is not None)], ".1f")
    mean_points = spread([*kept, *(100 * r.points.value for r in won if r.points is not None)], "+.1f")
    one = rows[0]
    told = ("–", "–", "–") if family == OUTSIDE[1] else (f"{len(won)} of {len(rows)}", mean_saved, mean_points)
    cells = [family, f"{one.tried:,}", *told, one.arm or "–", one.verdict]
    return "| " + " | ".join([*cells, points(one.points), saved(one.ratio), points(one.lift)]) + " |"


def frontiers(by_family: Mapping[str, Sequence[Row]]) -> list[str]:
    """Return the table of what each family reaches at up to a share of the baseline's cost."""
    lines = [
        "Frontier: points against the best single model on confirm, mean over the seeds, of what was best on tune at up to a "
        "share of its cost.",
        "",
        "| strategy | " + " | ".join(f"≤ {100 * b:g} %" for b in BUDGETS) + " |",
        "|---|" + "---|" * len(BUDGETS),
    ]
    for family, rows in by_family.items():
        leads = np.array([r.frontier for r in rows if r.frontier])
        if leads.size:
            whole = ~np.isnan(leads).any(axis=0)
            means = [f"{100 * leads[:, k].mean():+.1f}" if whole[k] else "–" for k in range(len(BUDGETS))]
            lines.append(f"| {family} | " + " | ".join(means) + " |")
    return lines


def pool(jobs: Sequence[Job]) -> str:
    """Return the part on all data sets together."""
    lines = [
        "## All data sets together",
        "",
        "Under each seed and on each data set, the first config that the tune split nominates and that is cheaper there stands for routelab "
        "(the baseline itself where there is none), so nothing here was chosen on confirm. Strata are the data sets, each weighing as many "
        "prompts as it has, which is the verdict to go by; weighing the same, money is counted in each one's baseline.",
        "",
        "| data sets | seed | prompts | points | verdict at 2 points | saved % |",
        "|---|---|---|---|---|---|",
    ]
    priced = [n for n in DATASETS if any(j.name == n and "estimated" not in j.cost_kinds for j in jobs)]
    pools = (
        ("all five, by prompts", DATASETS, False),
        ("all five, weighing the same", DATASETS, True),
        (f"costs from recorded tokens ({', '.join(priced)}), by prompts", priced, False),
    )
    for label, names, equal in pools:
        for seed in SEEDS:
            parts = [j.part for j in jobs if j.seed == seed and j.name in names]
            if len(parts) == len(names):
                verdict, ratio = pooled(parts, equal=equal)
                told = (f"{verdict.difference.n:,}", points(verdict.difference), verdict.verdict, saved(ratio))
                lines.append("| " + " | ".join([label, str(seed), *told]) + " |")
    return "\n".join([*lines, ""])


def two_models(jobs: Sequence[Job]) -> str:
    """Return the part on the curve of strong calls."""
    lines = [
        "## Two models: the curve of strong calls",
        "",
        f"{PAIR}, GPT-4 (1106) and Mixtral 8x7B; APGR is the mean over {len(jobs)} seeds, intervals are those of seed 0 (APGR and PGR: "
        "Fieller; CPT: bootstrap over prompts, the ranking held fixed). CPT is the share of calls that must go to the strong model to "
        "recover 50 or 80 % of the gap; the money beside it is the share of what strong calls alone would cost.",
        "",
        "| router | APGR, mean | APGR | PGR at half the calls | CPT 50 %, calls | money | CPT 80 %, calls | money |",
        "|---|---|---|---|---|---|---|---|",
        f"| {PUBLISHED} | 0.603 | – | – | 35.4 | – | 70.3 | – |",
    ]
    names = list(dict.fromkeys(name for job in jobs for name in job.curves))
    for name in sorted(names, key=lambda n: np.mean([j.curves[n]["apgr"].value for j in jobs if n in j.curves])):
        held = [j.curves[name] for j in jobs if name in j.curves]
        one = held[0]
        crossed = [
            f"{100 * v:.1f}{ends(lo, hi, 100, '.1f')}"
            for v, lo, hi in zip(one["cpt"], one["low"], one["high"], strict=True)
        ]
        mean = f"{np.mean([h['apgr'].value for h in held]):.3f}"
        lines.append(f"| {name} | {mean} | {one['apgr']} | {one['pgr']} | " + " | ".join(crossed) + " |")
    return "\n".join(
        [
            *lines,
            "",
            "The published figures (arXiv 2406.18665, quoted at second hand; the same two models on MMLU) are of a router that was trained "
            "on preferences from Chatbot Arena, another distribution, augmented with labels of MMLU's validation split, and that is told no "
            "subject; ours learned from the 60 % of these very questions that are not reported, so they had the easier task. Chance is 0.5, "
            "50 % and 80 %. With two models the factorisation has full rank and is the logistic predictor.",
            "",
        ]
    )


def page(jobs: Sequence[Job], litellm: str, command: str) -> str:
    """Return the whole page."""
    head = f"""# Strategies on recorded outcomes

Made by `{command}`; the data are not in the repository.

Every family of strategies is tried on the tune split (60 %) and judged there by five-fold cross-fitting; at most {NOMINATED} of its configs
are nominated, and every figure is that of the confirm split, for {len(SEEDS)} seeds. The margin is {100 * MARGIN:g} points, fixed in advance; the
baseline is the single model that was best on tune. Intervals are 95 %, paired by prompt.

- *Won* counts the seeds in which the family has a config that may be adopted: non-inferior after Holm's correction over those nominated and
  certainly cheaper (or better at no higher cost). *By adopting* is the mean over the seeds (least to most), 0 where the baseline is kept.
- For seed 0 the row shows the config that won, as `Comparison.winner()` says it: of several that may be adopted the one that was
  cheapest on the tune split, because the margin is the loss that was declared to be none. Where none won, the row shows the nominated one
  whose interval begins highest; where none was nominated, the best on tune of those that save.
- *Saved* is CostSave, 1 − the cost over the baseline's; *points* is the difference in quality; *lift* the difference from the same shares
  of answering models handed out at random. The shuffle matches who answered, not what refused answers cost; those costs are in *saved*.
- Families are looked at side by side on one confirm split: *all of routelab's* is the one correction over everything, and the others say
  what a family would have earned had it been tried alone. The five seeds split the same prompts, so their spread is not an interval.
- The lookup and the table of tasks need every prompt's task; the other predictors use it where it is given, as it is here; semantic routes
  recognise it from the text. The stack takes longest and is tried under seed 0 only, and not on the largest set.
- {litellm} The random router draws one of the models with equal chances.
"""
    parts = [
        section(name, [j for j in jobs if j.name == name]) for name in DATASETS if any(j.name == name for j in jobs)
    ]
    pair = [j for j in jobs if j.name == PAIR]
    return "\n".join([head, *parts, pool(jobs), *([two_models(pair)] if pair else [])])


def main() -> None:
    """Measure everything and print the page."""
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    known.add_argument("--cache", type=Path, default=Path("../cache"), help="where the prompts' vectors are kept")
    known.add_argument("--jobs", type=int, default=2, help="processes")
    given = known.parse_args()
    prompts = [p for name in DATASETS for p in read(name, given.data).prompts]
    warm(given.cache, prompts)
    found = litellm_tiers(prompts)
    tiers = None if isinstance(found, str) else found[1]
    told = (
        f"LiteLLM's complexity router is left out: {found}."
        if isinstance(found, str)
        else f"LiteLLM {found[0]} decided offline, its complexity router as it comes; which of a cheap, a middle and a strong model "
        "answers each of its four tiers was chosen on tune, like everything else."
    )
    with ProcessPoolExecutor(given.jobs) as workers:
        waiting = [
            workers.submit(judged, name, seed, given.data, given.cache, tiers) for name in DATASETS for seed in SEEDS
        ]
        jobs = []
        for job in waiting:
            jobs.append(job.result())
            print(f"{jobs[-1].name}, seed {jobs[-1].seed}: {jobs[-1].seconds:.0f} s", file=sys.stderr)
    print(
        page(
            jobs,
            told,
            "ROUTELAB_PARITY_ENVS=../envs python benchmarks/strategies.py ../shared/data --cache ../cache > docs/results/strategies.md",
        )
    )


if __name__ == "__main__":
    main()
