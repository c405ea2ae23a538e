"""Measures what `routelab.providers.tokens` assumes: the families' factors and the weights of characters.

    python benchmarks/tokens_fit.py [../shared/data]

A factor is output tokens as billed over the o200k_base tokens of the same recorded answer. The character weights are a
non-negative least-squares fit of o200k_base counts on 4,000 recorded prompts. Answers in English, code and JSON.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import optimize

from routelab.core.values import Model
from routelab.providers.tokens import Counter, by_characters, family

COUNTED = Model(name="o200k", provider="openai", upstream="gpt-4o")


def counts(texts: Sequence[str]) -> np.ndarray:
    """Return o200k_base tokens a text."""
    counter = Counter()
    return np.array([counter.count(text, COUNTED).input or 0 for text in texts], dtype=float)


def features(text: str) -> list[float]:
    """Return the counts that `by_characters` weighs, other scripts as one kind."""
    return [
        len(re.findall(r"[A-Za-z]{1,9}", text)),
        len(re.findall(r"[0-9]{1,3}", text)),
        len(re.findall(r"[!-/:-@\[-`{-~]", text)),
        sum(c >= "\x80" for c in text),
        len(re.findall(r"\n+", text)),
    ]


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(arguments[0]) if arguments else default
    outcomes = pd.read_csv(folder / "outcomes.csv.gz")
    said = outcomes[outcomes.response.notna() & (outcomes.output_tokens > 0)].copy()
    said["counted"] = counts([str(r) for r in said.response])
    said = said[said.counted > 0]
    print("output tokens billed ÷ o200k_base tokens of the answer")
    for (dataset, model), rows in said.groupby(["dataset", "model"]):
        kin = family(Model(name=str(model), provider="", upstream=str(model)))
        median = (rows.output_tokens / rows.counted).median()
        pooled = rows.output_tokens.sum() / rows.counted.sum()
        print(f"  {dataset:18s} {model:32s} {kin:8s} n {len(rows):4d}  median {median:.3f}  pooled {pooled:.3f}")
    prompts = pd.read_csv(folder / "prompts.csv.gz").prompt.dropna().sample(4000, random_state=0).astype(str).tolist()
    tokens = np.maximum(counts(prompts), 1.0)
    x = np.array([features(p) for p in prompts])
    weights, _ = optimize.nnls(x / np.sqrt(tokens)[:, None], np.sqrt(tokens))
    print("weights of parts of words, figures, marks, other, lines: " + ", ".join(f"{w:.3f}" for w in weights))
    ratio = np.array([by_characters(p) for p in prompts]) / tokens
    print(
        "by_characters ÷ o200k_base: p5 {:.3f}  p50 {:.3f}  p95 {:.3f}".format(*np.quantile(ratio, [0.05, 0.5, 0.95]))
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
