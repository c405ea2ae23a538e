"""Semantic routing on CLINC150, beside the semantic-router package on the same vectors, as docs/results/routes.md.

    python -m venv sr && sr/bin/pip install semantic-router==1.1.1
    python benchmarks/routes.py ../shared/data --semantic-router sr/bin/python > docs/results/routes.md

CLINC150's train rows teach and its validation rows test; rows out of scope likewise. Without --semantic-router that package
is left out. It gets our vectors through an encoder that looks texts up, so what is timed is its decision alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from routelab.embedding import vectors
from routelab.lab.routes import RoutesBench, bench
from routelab.lab.statistics import wilson
from routelab.strategies import Semantic
from routelab.strategies.examples import Examples
from routelab.strategies.fitting.rehearsal import ALIKE, threshold_for
from routelab.strategies.fitting.voting import alike

REJECT = 0.05
THEIRS: Sequence[Mapping[str, Any]] = (
    {"top_k": 5, "aggregation": "mean"},
    {"top_k": 10, "aggregation": "sum"},
)
"""Settings of semantic-router: its defaults, and its nearest to a vote of ten neighbours."""
THREE = (
    "Find all functions f: R -> R such that f(x f(y) + y) = f(x) y + f(y) for all real x, y.",
    "A spin-½ particle has the Hamiltonian H = -γ B σ_z. At t = 0 it is in the +x eigenstate. Find the probability to "
    "measure +x at time t.",
    "please say hello step by step, think carefully",
)

CHILD = """
import json, sys, time
import numpy as np
from semantic_router import Route
from semantic_router.encoders import DenseEncoder
from semantic_router.routers import IndexedRouter

given = json.load(open(sys.argv[1] + "/given.json"))
train, test = np.load(sys.argv[1] + "/train.npy"), np.load(sys.argv[1] + "/test.npy")
known = {t: v for t, v in zip(given["test"], test)}
known.update({t: v for t, v in zip(given["train"], train)})

class Encoder(DenseEncoder):
    name: str = "looked up"
    type: str = "looked up"
    def __call__(self, docs):
        return [known[d] for d in docs]
    async def acall(self, docs):
        return [known[d] for d in docs]

def router(which, setting):
    texts = {}
    for i in which:
        texts.setdefault(given["labels"][i], []).append(given["train"][i])
    routes = [Route(name=name, utterances=rows) for name, rows in texts.items()]
    return IndexedRouter(encoder=Encoder(), routes=routes, **setting)

def asked(made, texts):
    out = []
    for text in texts:
        start = time.perf_counter()
        choice = made(text)
        out.append([choice.name, choice.confidence, time.perf_counter() - start])
    return out

answers = []
for setting in given["settings"]:
    everything = range(len(given["train"]))
    held = set(given["held"])
    small = router([i for i in everything if i not in held], setting)
    before = asked(small, [given["train"][i] for i in given["held"]])
    answers.append({"setting": setting, "held": before, "test": asked(router(everything, setting), given["test"])})
json.dump(answers, open(sys.argv[1] + "/answers.json", "w"))
"""


def clinc(folder: Path) -> tuple[Examples, Examples]:
    """Return CLINC150's train and validation rows with those out of scope, as train and test."""
    data = json.loads((folder / "intents" / "clinc150.json").read_text(encoding="utf-8"))
    train, test = ([*data[k], *((t, "") for t, _ in data[f"oos_{k}"])] for k in ("train", "val"))
    return (
        Examples.of([t for t, _ in train], [label for _, label in train]),
        Examples.of([t for t, _ in test], [label for _, label in test]),
    )


def theirs(python: str, train: Examples, test: Examples) -> list[dict[str, Any]]:
    """Return semantic-router's figures, one mapping a setting, its threshold chosen as ours is."""
    inside = [i for i, label in enumerate(train.labels) if label is not None]
    taught = train[inside]
    embedded, number = vectors("minilm", taught.texts), taught.numbers(taught.names)
    groups = alike(embedded, number, cosine=ALIKE)
    held = np.flatnonzero(taught.folds(5, groups=groups) == 0)
    first = taught.folds(2, seed=1, groups=groups)[held] == 0
    with tempfile.TemporaryDirectory() as place:
        given = {
            "train": taught.texts,
            "labels": taught.labels,
            "test": test.texts,
            "held": held.tolist(),
            "settings": THEIRS,
        }
        Path(place, "given.json").write_text(json.dumps(given), encoding="utf-8")
        np.save(Path(place, "train.npy"), embedded)
        np.save(Path(place, "test.npy"), vectors("minilm", test.texts))
        one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        subprocess.run([python, "-c", CHILD, place], check=True, stdout=sys.stderr, env={**os.environ, **one})
        answers = json.loads(Path(place, "answers.json").read_text(encoding="utf-8"))
    wanted = np.array([label or "" for label in test.labels])
    rows = []
    for answer in answers:
        names, confidence, seconds = (np.array(column) for column in zip(*answer["test"], strict=True))
        threshold = threshold_for(np.array([c for _, c, _ in answer["held"]], dtype=float)[first], REJECT)
        seen, kept, right = wanted != "", confidence >= threshold, names == wanted
        rows.append(
            {
                "name": "semantic-router, top_k {top_k}, {aggregation}".format(**answer["setting"]),
                "accuracy": float(right[seen].mean()),
                "accuracy_ci": wilson(float(right[seen].sum()), int(seen.sum())).interval,
                "accuracy_kept": float((right & kept)[seen].mean()),
                "oos_recall": float((~kept)[~seen].mean()),
                "oos_recall_ci": wilson(float((~kept)[~seen].sum()), int((~seen).sum())).interval,
                "false_rejections": float((~kept)[seen].mean()),
                "calibration_error": None,
                "us_per_decision": 1e6 * float(np.median(seconds)),
                "us_per_decision_with_embedding": None,
            }
        )
    return rows


def row(arm: Mapping[str, Any], embed_us: float) -> str:
    """Return an arm as a line of the table."""

    def share(key: str) -> str:
        return "–" if arm[key] is None else f"{arm[key]:.3f}"

    def span(key: str) -> str:
        return "" if arm[key] is None else " [{:.3f}, {:.3f}]".format(*arm[key])

    whole = arm["us_per_decision_with_embedding"]
    whole = arm["us_per_decision"] + embed_us if whole is None else whole
    cells = [
        arm["name"],
        share("accuracy") + span("accuracy_ci"),
        share("accuracy_kept"),
        share("oos_recall") + span("oos_recall_ci"),
        share("false_rejections"),
        share("calibration_error"),
        f"{arm['us_per_decision']:,.0f}",
        f"{whole:,.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def points(arm: Mapping[str, Any]) -> str:
    """Return what other allowances for false rejections do, as a table."""
    lines = ["| allowed | turned away | right and kept | out-of-scope recall |", "|---:|---:|---:|---:|"]
    lines += [
        f"| {p['reject']:.0%} | {p['false_rejections']:.1%} | {p['accuracy_kept']:.1%} | {p['oos_recall']:.1%} |"
        for p in arm["points"]
    ]
    return "\n".join(lines)


def report(found: RoutesBench, package: Sequence[Mapping[str, Any]]) -> str:
    """Return the page."""
    about = found.about
    best = found.recommended
    assert best is not None
    factor = ""
    if package:
        slow = package[0]["us_per_decision"]
        factor = (
            f"\n\nA decision of `{best['name']}` takes {best['us_per_decision']:,.0f} µs, semantic-router's {slow:,.0f} µs on the same "
            f"vectors in the same run: {slow / best['us_per_decision']:,.0f} times as long."
        )
    table = "\n".join(row(arm, about["embed_us"]) for arm in (*found.arms, *package))
    three = "\n".join(f"- {why} — {text}" for text, why in zip(THREE, shipped(), strict=True))
    return PAGE.format(
        machine=f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores",
        train=about["train"],
        test=about["test"],
        embedder=about["embedder"],
        why=found.why[0].upper() + found.why[1:],
        factor=factor,
        table=table,
        best=best["name"],
        points=points(best),
        three=three,
        package="" if package else "\n\nsemantic-router was left out of this run.",
    )


def shipped() -> list[str]:
    """Return where the shipped routes send the three prompts of the brief."""
    decisions = Semantic().decide(THREE)
    return [decisions.why(i) for i in range(len(THREE))]


PAGE = """# Semantic routing on CLINC150

Made by `python benchmarks/routes.py ../shared/data --semantic-router PYTHON` ({machine}); `routelab bench routes` gives the same
figures for any labelled CSV. Train: {train[n]:,} rows of 150 intents and {train[out_of_scope]} out of scope; test: CLINC150's validation
split, {test[n]:,} rows and {test[out_of_scope]} out of scope ({test[also_in_train]} test texts are also in train). Embedder: `{embedder}`, the same vectors for everybody.

{why}.{factor}{package}

| arm | accuracy | right and kept | out-of-scope recall | false rejections | calibration error | µs a decision | µs with embedding |
|---|---:|---:|---:|---:|---:|---:|---:|
{table}

*Accuracy* is the share of rows in scope whose route is named right, thresholds aside; *right and kept* counts a false rejection as
wrong. Thresholds were chosen on train rows in scope that the judging head had not seen (texts that say almost the same were held out
together), so that with 95 % confidence at most 5 % of prompts in scope are turned away. Rows out of scope choose no threshold; they
count as wrong when a curve is fitted. The calibration error is that of the vote's share where an arm is not calibrated. Times are
medians of one decision at a time, linear algebra on one thread, on a machine that had other work. An interval is Wilson's, 95 %:
with {test[out_of_scope]} rows out of scope a recall is known to about ±6 points.

## What another allowance does ({best})

{points}

## The shipped routes

{three}
"""


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="the folder that has intents/clinc150.json")
    parser.add_argument("--semantic-router", metavar="PYTHON", help="a Python that has semantic-router 1.1.1")
    options = parser.parse_args()
    train, test = clinc(options.data)
    # One thread for linear algebra here and there: on a busy machine waiting for the others would be most of what is timed.
    with threadpool_limits(limits=1):
        found = bench(train, test, reject=REJECT, heard=lambda what: print(what, file=sys.stderr))
    package = theirs(options.semantic_router, train, test) if options.semantic_router else []
    print(report(found, package), end="")


if __name__ == "__main__":
    main()
