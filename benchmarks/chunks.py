"""Chunkers, sizes and overlaps on questions with known answer spans, as docs/results/chunks.md.

    python benchmarks/chunks.py ../shared/data/rag_chunking --cache ../chunks.npz > docs/results/chunks.md

`--cache` keeps MiniLM's vectors by content hash: with an empty one the page takes about half an hour on two cores. `--quick`
prints the first table with the lexical embedder and few settings, to see whether all is well. Where langchain-text-splitters
and chonkie are installed (requirements-chunkers.txt), their splitters are arms; elsewhere they are left out, and the page says so.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.chunking import chunker_of
from routelab.core.ports import Embedder
from routelab.embedding import Cached, MiniLM
from routelab.fleet import Fleet
from routelab.lab.chunks.answers import ANSWERING, MEASURES, Answers, asking_of, versus
from routelab.lab.chunks.bench import BUDGETS, ChunksBench, Plan, bench
from routelab.lab.chunks.grounding import grounding
from routelab.lab.chunks.measures import Difference, difference
from routelab.lab.chunks.questions import Questions, halves
from routelab.lab.chunks.settings import Setting, settings
from routelab.lab.chunks.verdict import choice
from routelab.lab.statistics import Estimate
from routelab.retrieval import Library, Search, Windowed, merged, minilm_windows, whole
from routelab.retrieval.windows import WINDOW

KINDS = ("tokens", "recursive", "semantic", "sentences", "markdown", "characters")
FEW = ("tokens", "recursive", "semantic")
SIZES, OVERLAPS = (200, 400, 800), (0.0, 0.2)
SEEDS = (0, 1, 2, 3, 4)
THEIRS = (
    ("langchain recursive", {"kind": "langchain", "splitter": "RecursiveCharacterTextSplitter"}, True),
    ("langchain tokens", {"kind": "langchain", "splitter": "TokenTextSplitter"}, True),
    ("chonkie recursive", {"kind": "chonkie", "chunker": "RecursiveChunker"}, False),
    ("chonkie sentences", {"kind": "chonkie", "chunker": "SentenceChunker"}, True),
    ("chonkie tokens", {"kind": "chonkie", "chunker": "TokenChunker"}, True),
)
"""Splitters of other libraries, in their own defaults but for size and overlap: name, mapping, whether they overlap."""
PACKAGES = ("langchain-text-splitters", "chonkie")
READERS = ("qwen-local", "claude-sonnet")
ANSWERED = (("tokens", 200), ("recursive", 200), ("recursive", 400), ("semantic", 400))
PRICED = ("gpt-5-mini", "claude-sonnet", "gemini-flash")

# Means and standard deviations over the questions, in %: recall, precision, precision-Ω, IoU.
LARGE = (
    ("RecursiveCharacterTextSplitter", "800 (~661)", "400", "85.4 ± 34.9", "1.5 ± 1.3", "6.7 ± 5.2", "1.5 ± 1.3"),
    ("TokenTextSplitter", "800", "400", "87.9 ± 31.7", "1.4 ± 1.1", "4.7 ± 3.1", "1.4 ± 1.1"),
    ("RecursiveCharacterTextSplitter", "400 (~312)", "200", "88.1 ± 31.6", "3.3 ± 2.7", "13.9 ± 10.4", "3.3 ± 2.7"),
    ("TokenTextSplitter", "400", "200", "88.6 ± 29.7", "2.7 ± 2.2", "8.4 ± 5.1", "2.7 ± 2.2"),
    ("RecursiveCharacterTextSplitter", "400 (~276)", "0", "89.5 ± 29.7", "3.6 ± 3.2", "17.7 ± 14.0", "3.6 ± 3.2"),
    ("TokenTextSplitter", "400", "0", "89.2 ± 29.2", "2.7 ± 2.2", "12.5 ± 8.1", "2.7 ± 2.2"),
    ("RecursiveCharacterTextSplitter", "200 (~137)", "0", "88.1 ± 30.1", "7.0 ± 5.6", "29.9 ± 18.4", "6.9 ± 5.6"),
    ("TokenTextSplitter", "200", "0", "87.0 ± 30.8", "5.2 ± 4.1", "21.0 ± 11.9", "5.1 ± 4.1"),
    ("Kamradt semantic", "no cap (~660)", "0", "83.6 ± 36.8", "1.5 ± 1.6", "7.4 ± 10.2", "1.5 ± 1.6"),
    ("Kamradt, modified", "300 (~397)", "0", "87.1 ± 31.9", "2.1 ± 2.0", "10.5 ± 12.3", "2.1 ± 2.0"),
    ("ClusterSemantic", "400 (~182)", "0", "91.3 ± 25.4", "4.5 ± 3.4", "20.7 ± 14.5", "4.5 ± 3.4"),
    ("ClusterSemantic", "200 (~103)", "0", "87.3 ± 29.8", "8.0 ± 6.0", "34.0 ± 19.7", "8.0 ± 6.0"),
    ("LLM (GPT-4o)", "no cap (~240)", "0", "91.9 ± 26.5", "3.9 ± 3.2", "19.9 ± 16.3", "3.9 ± 3.2"),
)
SMALL = (
    ("RecursiveCharacterTextSplitter", "250 (~180)", "125", "78.7 ± 39.2", "4.9 ± 4.5", "21.9 ± 14.9", "4.9 ± 4.4"),
    ("TokenTextSplitter", "250", "125", "82.4 ± 36.2", "3.6 ± 3.1", "11.4 ± 6.6", "3.5 ± 3.1"),
    ("RecursiveCharacterTextSplitter", "250 (~162)", "0", "78.5 ± 39.5", "5.4 ± 4.9", "26.7 ± 18.3", "5.4 ± 4.9"),
    ("TokenTextSplitter", "250", "0", "77.1 ± 39.3", "3.3 ± 3.0", "16.4 ± 10.3", "3.3 ± 3.0"),
    ("RecursiveCharacterTextSplitter", "200 (~128)", "0", "75.7 ± 40.7", "6.5 ± 6.2", "31.2 ± 18.4", "6.5 ± 6.1"),
    ("TokenTextSplitter", "200", "0", "76.6 ± 38.8", "4.1 ± 3.7", "19.1 ± 11.0", "4.1 ± 3.6"),
    ("ClusterSemantic", "250 (~168)", "0", "77.3 ± 38.6", "6.1 ± 5.1", "28.6 ± 16.7", "6.0 ± 5.1"),
    ("ClusterSemantic", "200 (~102)", "0", "75.2 ± 39.9", "7.2 ± 6.1", "33.6 ± 20.0", "7.2 ± 6.0"),
)


@dataclass(kw_only=True)
class Kept:
    """One embedder's vectors by content hash, in a file."""

    path: Path | None
    held: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    new: int = 0

    @staticmethod
    def read(path: Path | None, embedder: str) -> Kept:
        """Return what the file holds of the embedder; nothing when there is none."""
        kept = Kept(path=path)
        if path is not None and path.exists():
            with np.load(path) as there:
                if str(there["embedder"]) == embedder:
                    kept.held = dict(zip(there["hashes"].tolist(), there["vectors"], strict=True))
        return kept

    def get_many(self, embedder_id: str, hashes: Sequence[str], /) -> Mapping[str, NDArray[np.float32]]:
        """Return the vectors that are there, by hash."""
        return {name: self.held[name] for name in hashes if name in self.held}

    def put_many(self, embedder_id: str, vectors: Mapping[str, NDArray[np.float32]], /) -> None:
        """Keep the vectors, and write them all from time to time."""
        self.held.update(vectors)
        self.new += len(vectors)
        if self.new >= 2_000:
            self.write(embedder_id)

    def write(self, embedder_id: str) -> None:
        """Write the file, whole or not at all."""
        if self.path is None or not self.new:
            return
        partial = self.path.with_name(self.path.name + ".partial.npz")
        np.savez(
            partial,
            embedder=np.array(embedder_id),
            hashes=np.array(list(self.held)),
            vectors=np.array(list(self.held.values()), dtype=np.float32),
        )
        partial.replace(self.path)
        self.new = 0


# Arms of other libraries


def theirs() -> tuple[Setting, ...]:
    """Return the settings of the other libraries' splitters; none where these are not installed."""
    made = []
    for name, spec, overlapping in THEIRS:
        if installed("langchain-text-splitters" if spec["kind"] == "langchain" else "chonkie") is None:
            continue
        for size in SIZES[:2]:
            for overlap in OVERLAPS if overlapping else (0.0,):
                cut = chunker_of({**spec, "size": size, "overlap": overlap})
                made.append(Setting(kind=name, size=size, overlap=overlap, unit="tokens", chunker=cut))
    return tuple(made)


def installed(package: str) -> str | None:
    """Return a package's version, or None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def beside_theirs(found: ChunksBench, questions: Questions) -> list[str]:
    """Return the other libraries' arms, and ours of the same kind against them."""
    kinds = {name for name, _, _ in THEIRS}
    arms = [arm for arm in found.arms if arm["chunker"] in kinds]
    if not arms:
        return [
            "langchain-text-splitters and chonkie were not installed, so their splitters are not among the arms.",
            "",
        ]
    versions = ", ".join(f"{name} {installed(name) or 'not installed'}" for name in PACKAGES)
    same = [arm for arm in arms if arm["same_as"]]
    lines = [
        "## Splitters of other libraries",
        "",
        f"{versions}, through `kind: langchain` and `kind: chonkie`, measured in o200k_base tokens like ours, otherwise as they come.",
        "",
        *arms_table(dataclasses.replace(found, arms=tuple(arms))),
        "",
        f"Of these {len(arms)}, {len(same)} cut as ours of the same kind do, to the character: "
        + (", ".join(f"{plain_name(arm['name'])} as {plain_name(arm['same_as'])}" for arm in same) or "none")
        + ". The others against ours of the same kind (ours − theirs, points of recall, by question; then by source):",
        "",
        "| ours | theirs | at k = 5 | " + " | ".join(f"{b:,} tokens" for b in BUDGETS) + " |",
        "|---|---|---|" + "---|" * len(BUDGETS),
    ]
    told: dict[str, int] = {"better": 0, "worse": 0, "not told apart": 0}
    for arm in arms:
        if arm["same_as"]:
            continue
        ours = f"{arm['chunker'].split()[1]} {arm['size']}" + (f" +{arm['overlap']:.0%}" if arm["overlap"] else "")
        gaps = [compared(found, f"{ours}, minilm", arm["name"], budget, questions) for budget in (None, *BUDGETS)]
        cells = [f"{points(gap.questions)}; {ends(gap.sources.interval)}" for gap in gaps]
        lines.append(f"| {ours} | {plain_name(arm['name'])} | " + " | ".join(cells) + " |")
        for gap in gaps[1:]:
            told[word(gap.questions)] += 1
    counts = ", ".join(f"{n} {name}" for name, n in told.items())
    return [
        *lines,
        "",
        f"Of these {sum(told.values())} comparisons at equal tokens, ours are: {counts} (intervals over questions, not corrected for their number).",
        "",
    ]


def plain_name(arm: str) -> str:
    """Return an arm's name without the embedder that all have."""
    return arm.removesuffix(", minilm")


# Rows


def arms_table(found: ChunksBench, *, way: bool = False) -> list[str]:
    """Return one row an arm."""
    head = [
        "chunker", "size", "overlap", *(["found by"] if way else []), "chunks", "tokens a chunk", "recall %", "by source", "by question",
        "precision %", "IoU %", "Ω %", "MRR", "nDCG", "whole answer %", "context tokens", "recall per 1k tokens",
    ]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for arm in found.arms:
        per = arm["tokens_per_chunk"]
        unit = " ch." if arm["unit"] == "characters" else ""
        cells = [
            arm["chunker"], f"{arm['size']}{unit}", f"{arm['overlap']:.0%}", *([arm["by"]] if way else []), f"{arm['chunks']:,}",
            "–" if per is None else f"{per:.0f}", f"{100 * arm['recall']:.1f}", ends(arm["recall_ci"]), ends(arm["recall_ci_questions"]),
            f"{100 * arm['precision']:.1f}", f"{100 * arm['iou']:.1f}", f"{100 * arm['precision_omega']:.1f}", f"{arm['mrr']:.2f}",
            f"{arm['ndcg']:.2f}", f"{100 * arm['whole_answer']:.0f}", f"{arm['context_tokens']:,.0f}", f"{arm['recall_per_1k_tokens']:.2f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def ends(interval: Sequence[float] | None) -> str:
    """Return an interval of shares in %."""
    return "–" if interval is None else f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def points(estimate: Estimate) -> str:
    """Return a difference in points with its interval."""
    return f"{100 * estimate.value:+.1f} {ends(estimate.interval)}"


def compared(found: ChunksBench, new: str, base: str, budget: int | None, questions: Questions) -> Difference:
    """Return the paired difference in recall of two arms, at k passages or at a context of `budget` tokens."""
    one, two = found.scores[new], found.scores[base]
    pair = (one.recall, two.recall) if budget is None else (one.recall_at[budget], two.recall_at[budget])
    return difference(*pair, questions.clusters)


# Parts


def head(questions: Questions) -> list[str]:
    """Return what the page is about, and under which conditions."""
    characters = sum(map(len, questions.corpora.values()))
    counts = ", ".join(
        f"{name} {len(text):,} characters and {questions.sources.count(name)} questions"
        for name, text in questions.corpora.items()
    )
    return [
        "# Chunking and retrieval",
        "",
        "Made by `python benchmarks/chunks.py ../shared/data/rag_chunking --cache ../chunks.npz > docs/results/chunks.md`; `routelab bench chunks` gives "
        "the same figures for any sources and questions in that form. The data (brandonstarxel/chunking_evaluation, MIT) are not in the repository.",
        "",
        f"{len(questions)} questions with {questions.span_count} answer spans in {len(questions.corpora)} sources of {characters:,} characters ({counts}). "
        "One index over all sources; k = 5 passages a question by the cosine of MiniLM vectors (all-MiniLM-L6-v2, int8, in the package), compared with every vector.",
        "",
        "*Recall, precision, IoU, Ω* are chunking_evaluation's, in characters: recall = answer characters retrieved ÷ answer characters; precision = the same ÷ "
        "all characters retrieved, those of other sources and those retrieved twice included; IoU = the same ÷ (all retrieved + answer characters missed); "
        "Ω = the precision of a retrieval that finds every chunk with an answer and no other. MRR and nDCG at 5 are over chunks that hold some of the answer. *Context tokens* (o200k_base) are those of the "
        "retrieved chunks merged, so that no passage is paid twice. Intervals are 95 %: *by source* is clustered by the five sources (t with 4 degrees of freedom: "
        "what to expect of a sixth source like these; five clusters are few), *by question* is over the questions (what to expect of other questions to these five).",
        "",
        f"**MiniLM reads {WINDOW} word pieces of a text and ignores the rest**, a third of a chunk of 400 tokens and two thirds of one of 800. Here a longer chunk is read "
        "to its end in windows of equal length, and its vector is the mean of theirs (`retrieval.Windowed`); below is what that is worth.",
        "",
        "The questions were written by a language model that had the answer before it, so they repeat its words more than people's questions would: that "
        "favours search by words. How fast the chunkers are is not told here but in `docs/results/chunkers.md`.",
        "",
    ]


def published() -> list[str]:
    """Return the figures of the technical report, with what was different there."""
    columns = "| chunker | size (mean) | overlap | recall % | precision % | Ω % | IoU % |"
    rule = "|---|---|---:|---:|---:|---:|---:|"
    rows = {
        name: ["| " + " | ".join(row) + " |" for row in table] for name, table in (("large", LARGE), ("small", SMALL))
    }
    return [
        "## Published figures",
        "",
        "Smith and Troynikov, *Evaluating Chunking Strategies for Retrieval* (Chroma technical report, July 2024): the same questions and sources, 5 chunks retrieved, sizes "
        "and overlaps in cl100k_base tokens, mean ± standard deviation over the questions; no intervals, cost or context tokens there. Differences to ours: their MiniLM is not "
        "quantised and reads the first 256 word pieces of a chunk; their index is approximate (HNSW); their splitters strip white space. The README of chunking_evaluation prints for "
        "1,200 fixed characters recall .809 ± .379 beside IoU .177 ± .106 (text-embedding-3-large) and for ClusterSemantic (400) .897 and .183: 5 × 1,200 characters cannot have an IoU of .177 with "
        f"answers of 279 characters on average (at most about {279 / 6000:.2f} with every answer found); that IoU belongs to as many chunks as hold the answer, so it is not beside ours.",
        "",
        "With all-MiniLM-L6-v2:",
        "",
        columns,
        rule,
        *rows["small"],
        "",
        "With text-embedding-3-large:",
        "",
        columns,
        rule,
        *rows["large"],
        "",
    ]


def beside(found: ChunksBench) -> list[str]:
    """Return our fixed sizes beside the same settings there: Ω needs no embedder, so it tests the measures themselves."""
    lines = ["Ω depends on the cuts alone, so it checks the measures. Ours for the same sizes without overlap:", ""]
    lines += ["| chunker | size | Ω % ours | Ω % published | recall % ours | published, MiniLM | published, large |", "|---|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for kind, there in (("tokens", "TokenTextSplitter"), ("recursive", "RecursiveCharacterTextSplitter")):
        for size in (200, 400):
            [arm] = [a for a in found.arms if (a["chunker"], a["size"], a["overlap"]) == (kind, size, 0.0)]
            small, large = (
                next(
                    (row for row in table if row[0] == there and row[1].split()[0] == str(size) and row[2] == "0"), None
                )
                for table in (SMALL, LARGE)
            )
            lines.append(
                f"| {kind} / {there} | {size} | {100 * arm['precision_omega']:.1f} ± {100 * arm['precision_omega_sd']:.1f} | {large[5] if large else '–'} "
                f"| {100 * arm['recall']:.1f} ± {100 * arm['recall_sd']:.1f} | {small[3] if small else '–'} | {large[3] if large else '–'} |"
            )
    return [*lines, ""]


PAIRS = (
    ("semantic {size} +20%", "tokens {size}", "semantic borders and 20 % overlap, against fixed size"),
    ("semantic {size}", "tokens {size}", "semantic borders alone"),
    ("tokens {size} +20%", "tokens {size}", "20 % overlap alone"),
    ("semantic {size} +20%", "tokens {size} +20%", "semantic borders, both with 20 % overlap"),
    ("semantic {size} +20%", "recursive {size}", "against recursive, whose borders cost nothing"),
)


ALIKE = (
    ("semantic 400 +20%", "tokens 200 +20%"),
    ("semantic 800 +20%", "tokens 400 +20%"),
    ("semantic 200 +20%", "recursive 200 +20%"),
    ("semantic 400 +20%", "recursive 200 +20%"),
    ("semantic 800 +20%", "recursive 400 +20%"),
)
"""Arms whose chunks are of about one length: a cap of 400 that semantic borders come before is not a size of 400."""


def answer(found: ChunksBench, questions: Questions) -> list[str]:
    """Return what semantic borders and overlap are worth at equal context tokens."""
    lines = [
        "## Does 20 % overlap with semantic boundaries beat fixed size?",
        "",
        "Five chunks are more or fewer tokens, so at k = 5 the larger context wins. Here every arm fills a context of the same number of tokens, chunk by chunk in the order of "
        "retrieval, what overlaps once, the last one cut. Differences in recall in points, paired by question: interval over questions, then clustered by source.",
        "",
        "| size | what | " + " | ".join(f"{b:,} tokens" for b in BUDGETS) + " | at k = 5 (tokens) |",
        "|---:|---|" + "---|" * (len(BUDGETS) + 1),
    ]
    for size in SIZES:
        for new, base, what in PAIRS:
            a, b = (f"{name.format(size=size)}, minilm" for name in (new, base))
            cells = []
            for budget in (*BUDGETS, None):
                gap = compared(found, a, b, budget, questions)
                cells.append(f"{points(gap.questions)}; {ends(gap.sources.interval)}")
            tokens = " against ".join(f"{found.scores[name].context_tokens.mean():,.0f}" for name in (a, b))
            lines.append(f"| {size} | {what} | " + " | ".join(cells) + f" ({tokens}) |")
    return [*lines, "", *verdicts(found, questions), "", *alike(found, questions), ""]


def alike(found: ChunksBench, questions: Questions) -> list[str]:
    """Return the same comparison between chunks of about one length: what is left of the difference is the borders'."""
    per = {arm["name"]: arm["tokens_per_chunk"] for arm in found.arms}
    short = ", ".join(
        f"{per[f'semantic {n}, minilm']:.0f} against {per[f'tokens {n}, minilm']:.0f} tokens" for n in SIZES
    )
    lines = [
        f"**A size is a cap that semantic borders mostly come before**: their chunks are shorter ({short} on average), and shorter chunks fill a context better whatever "
        "their borders. Against chunks of nearer length, and against recursive ones, whose borders are free, this is left (same form):",
        "",
        "| arms | tokens a chunk | " + " | ".join(f"{b:,} tokens" for b in BUDGETS) + " |",
        "|---|---|" + "---|" * len(BUDGETS),
    ]
    told: dict[str, int] = {"better": 0, "worse": 0, "not told apart": 0}
    for one, two in ALIKE:
        new, base = f"{one}, minilm", f"{two}, minilm"
        gaps = [compared(found, new, base, budget, questions) for budget in BUDGETS]
        cells = [f"{points(gap.questions)}; {ends(gap.sources.interval)}" for gap in gaps]
        lines.append(f"| {one} − {two} | {per[new]:.0f} − {per[base]:.0f} | " + " | ".join(cells) + " |")
        for gap in gaps:
            told[word(gap.questions)] += 1
    counts = ", ".join(f"{n} {name}" for name, n in told.items())
    return [
        *lines,
        "",
        f"Of these {sum(told.values())} comparisons, semantic borders are: {counts} (intervals over questions, not corrected for their number; where theirs are the longer chunks, length is against them).",
    ]


def word(gap: Estimate) -> str:
    """Return what an interval says of the first of two."""
    if gap.low is None or gap.high is None or gap.low <= 0 <= gap.high:
        return "not told apart"
    return "better" if gap.value > 0 else "worse"


def verdicts(found: ChunksBench, questions: Questions) -> list[str]:
    """Return the answer in sentences, made of the figures."""
    said = []
    for size in SIZES:
        parts = []
        for budget in BUDGETS:
            gap = compared(
                found, f"semantic {size} +20%, minilm", f"tokens {size}, minilm", budget, questions
            ).questions
            parts.append(f"{word(gap)} at {budget:,} tokens ({points(gap)} points)")
        said.append(f"- Chunks of {size}: semantic borders with 20 % overlap are " + ", ".join(parts) + ".")
    rows = []
    for kind in KINDS:
        mine = [a for a in found.arms if a["chunker"] == kind]
        rows.append(
            f"| {kind} | "
            + " | ".join(
                "{name} ({share:.1f})".format(
                    name=best["name"].removesuffix(", minilm"), share=100 * best["recall_at"][str(b)]
                )
                for b in BUDGETS
                for best in [max(mine, key=lambda a, b=b: a["recall_at"][str(b)])]
            )
            + " |"
        )
    table = ["", "The best setting of each chunker at each context, in hindsight (recall %):", "", "| chunker | " + " | ".join(f"{b:,} tokens" for b in BUDGETS) + " |"]  # fmt: skip
    return [*said, *table, "|---|" + "---|" * len(BUDGETS), *rows]


def windows(questions: Questions, plain: Embedder, windowed: Embedder) -> list[str]:
    """Return what reading long chunks to their end is worth."""
    tried = settings(("tokens", "recursive"), (400, 800), (0.0,))
    cut = bench(questions, tried, embedders={"cut": plain, "windows": windowed}, heard=heard)
    lines = [
        "## Chunks longer than MiniLM reads",
        "",
        "| chunker | size | recall %, first 254 word pieces | mean of windows | difference, by question | by source |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for setting in tried:
        gap = compared(cut, f"{setting.name}, windows", f"{setting.name}, cut", None, questions)
        one, two = (100 * float(cut.scores[f"{setting.name}, {how}"].recall.mean()) for how in ("cut", "windows"))
        lines.append(
            f"| {setting.kind} | {setting.size} | {one:.1f} | {two:.1f} | {points(gap.questions)} | {ends(gap.sources.interval)} |"
        )
    return [*lines, ""]


def recommendation(found: ChunksBench, questions: Questions) -> list[str]:
    """Return the bench's choice under several halvings, and what its contexts cost."""
    lines = ["## What the bench recommends", "", f"Rule: {found.about['rule']}.", ""]
    lines += ["| seed | verdict |", "|---:|---|"]
    for seed in SEEDS:
        made = choice(list(found.scores), list(found.scores.values()), halves(questions, seed=seed))
        lines.append(f"| {seed} | {made.why} |")
    models = [m for m in Fleet.practice().models if m.price is not None]
    named = [m for m in models if m.name in PRICED] or models[:3]
    dated = max((str(m.price.as_of) for m in named if m.price is not None and m.price.as_of), default="unknown")
    lines += ["", f"Input cost of a thousand contexts at list prices (as of {dated}), USD; other makers' tokens are o200k_base's times a factor:", ""]  # fmt: skip
    lines += [
        "| arm | context tokens | " + " | ".join(m.name for m in named) + " |",
        "|---|---:|" + "---:|" * len(named),
    ]
    for arm in found.arms:
        if arm["chunker"] in FEW:
            cells = ["–" if (usd := arm["usd_per_1000"].get(m.name)) is None else f"{usd:.2f}" for m in named]
            lines.append(f"| {arm['name']} | {arm['context_tokens']:,.0f} | " + " | ".join(cells) + " |")
    return [*lines, ""]


# Answers


def answers(questions: Questions, plain: Embedder, windowed: Embedder) -> list[str]:
    """Return what simulated readers answer from some arms' contexts."""
    tried = [s for kind, size in ANSWERED for s in settings((kind,), (size,), OVERLAPS, embedder=plain)]
    lines = [
        "## Where a fleet answers",
        "",
        "**Simulated.** No language model was called: practice models (`providers.reader`) pick the sentences of their passages that are nearest to the question, cite them, and go wrong as their skill and luck have it. What "
        "follows shows what the measures tell, not how models do; `routelab bench chunks --fleet fleet.yaml --model NAME` asks real ones. All questions, the five passages of each "
        "arm, the same system text.",
        "",
        f"> {ANSWERING}",
        "",
        "*Quality* is the better of F1 with the answer spans' words and the share of the answer's sentences that these spans hold; right is from 0.5 on. *Grounded*: sentences of the answer that its passages hold, by words "
        "and figures. *Confidently wrong*: neither right nor saying that the passages do not tell, of all answers; of those whose context held the whole answer; of those whose context held nothing of it. *Citations*: those "
        "that name a passage which holds the sentence. Intervals are clustered by source.",
        "",
        "| reader | arm | quality % | grounded % | confidently wrong % | with the answer (n) | without (n) | abstained % | citations % | USD per 1,000 |",
        "|---|---|---|---|---|---:|---:|---:|---:|---:|",
    ]
    made: dict[tuple[str, str], Answers] = {}
    for model in READERS:
        plan = Plan(budgets=())
        found = bench(
            questions,
            tried,
            embedders={"minilm": windowed},
            plan=plan,
            asking=asking_of("practice", model),
            heard=heard,
        )
        for arm in found.arms:
            made[model, arm["name"]] = found.answers[arm["same_as"] or arm["name"]]
            lines.append(answers_row(model, arm))
    lines += ["", "The same questions, so differences are paired (points; by question, then by source):", ""]
    lines += [
        "| reader | arms | " + " | ".join(name.replace("_", " ") for name in MEASURES) + " |",
        "|---|---|" + "---|" * len(MEASURES),
    ]
    for model in READERS:
        for one, two in (
            ("semantic 400 +20%", "recursive 400 +20%"),
            ("recursive 200 +20%", "tokens 200"),
            ("recursive 400", "recursive 200"),
        ):
            gaps = [versus(made[model, f"{one}, minilm"], made[model, f"{two}, minilm"], name) for name in MEASURES]
            cells = ["–" if g is None else f"{points(g.questions)}; {ends(g.sources.interval)}" for g in gaps]
            lines.append(f"| {model} | {one} − {two} | " + " | ".join(cells) + " |")
    better, worse = (READERS[1], READERS[0])
    gaps = [
        versus(made[better, "recursive 400, minilm"], made[worse, "recursive 400, minilm"], name) for name in MEASURES
    ]
    cells = ["–" if g is None else f"{points(g.questions)}; {ends(g.sources.interval)}" for g in gaps]
    lines.append(f"| {better} − {worse} | recursive 400 | " + " | ".join(cells) + " |")
    return [*lines, "", *believed(questions), ""]


def answers_row(model: str, arm: Mapping[str, Any]) -> str:
    """Return an arm's answers as a row."""

    def cell(key: str) -> str:
        return "–" if arm[key] is None else f"{100 * arm[key]:.1f} {ends(arm[f'{key}_ci'])}"

    def part(key: str) -> str:
        share = arm[key]["confidently_wrong"]
        return f"{'–' if share is None else f'{100 * share:.0f}'} ({arm[key]['n']})"

    usd = arm["answer_usd_per_1000"]
    cells = [
        model, arm["name"].removesuffix(", minilm"), cell("answer_quality"), cell("groundedness"), cell("confidently_wrong"), part("with_answer"),
        part("without_answer"), f"{100 * arm['abstained']:.1f}", "–" if arm["citations_valid"] is None else f"{100 * arm['citations_valid']:.1f}",
        "–" if usd is None else f"{usd:.2f}",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def believed(questions: Questions) -> list[str]:
    """Return how often the count of words and figures tells what is grounded, on spans as they are and spoiled in known ways."""
    cut = chunker_of({"kind": "recursive", "size": 200, "overlap": 0.2})
    library = Library(passages=[c for name, text in questions.corpora.items() for c in cut(text, name)])
    found = library.search(questions.texts, Search(by="words"))
    rng = random.Random(0)
    held: dict[str, list[float]] = {}

    def tell(what: str, text: str, passages: Mapping[int, str], question: str) -> None:
        share = grounding(text, passages, question).share
        if share is not None:
            held.setdefault(what, []).append(share)

    for i, hits in enumerate(found):
        cited = merged(hits)
        passages = {c.number: c.text for c in cited}
        source, text = questions.sources[i], questions.corpora[questions.sources[i]]
        alien = rng.choice([j for j, name in enumerate(questions.sources) if name == source and j != i])
        a, b = questions.spans[alien][0]
        other = text[a:b]
        absent = not any(c.source == source and c.start < b and a < c.end for c in cited)
        for start, end in questions.spans[i]:
            if not any(c.source == source and c.start <= start and end <= c.end for c in cited):
                continue
            span = text[start:end]
            tell("the span itself", span, passages, questions.texts[i])
            tell(
                "a quarter of its words left out",
                " ".join(w for w in span.split() if rng.random() > 0.25),
                passages,
                questions.texts[i],
            )
            if figures := list(re.finditer(r"\d+", span)):
                at = rng.choice(figures)
                tell(
                    "one figure changed",
                    f"{span[: at.start()]}{int(at[0]) + 7}{span[at.end() :]}",
                    passages,
                    questions.texts[i],
                )
            if verb := re.search(r"\b(?:is|was|are|were|has|have|will|can|would)\b", span):
                tell("“not” put in", f"{span[: verb.end()]} not{span[verb.end() :]}", passages, questions.texts[i])
            if verb := re.search(r"\b(?:not|never|no)\b ?|n[’']t\b", span):
                tell("“not” taken out", span[: verb.start()] + span[verb.end() :], passages, questions.texts[i])
            words = other.split()
            tell(
                "two words in five from elsewhere",
                " ".join(w if rng.random() > 0.4 else rng.choice(words) for w in span.split()),
                passages,
                questions.texts[i],
            )
            if absent:
                tell("another question's span, not in the passages", other, passages, questions.texts[i])
    return [
        "**How far the count can be believed.** Answer spans whose passages hold them, as they are and spoiled in known ways (recursive chunks of 200, five by words):",
        "",
        "| the answer is | n | sentences counted as held % |",
        "|---|---:|---:|",
        *(f"| {what} | {len(shares)} | {100 * sum(shares) / len(shares):.1f} |" for what, shares in held.items()),
        "",
        "What it cannot see: a true sentence in other words counts as not held, and a dropped “not” mostly as held. Where that matters, a judge (`backing`) is asked beside it.",
    ]


def sources_table(found: ChunksBench, questions: Questions) -> list[str]:
    """Return recall source by source for some arms: why the clustered intervals are wide."""
    names = sorted(set(questions.sources))
    lines = [
        "## Source by source",
        "",
        "Recall % at k = 5.",
        "",
        "| arm | " + " | ".join(names) + " |",
        "|---|" + "---:|" * len(names),
    ]
    lines += [
        f"| {arm['name']} | " + " | ".join(f"{100 * arm['by_source'][n]:.1f}" for n in names) + " |"
        for arm in found.arms
        if arm["chunker"] in FEW
    ]
    return [*lines, ""]


def heard(what: str) -> None:
    """Say on stderr what is being done."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def page(questions: Questions, kept: Kept, seed: int) -> str:
    """Return the page."""
    plain = Cached(embedder=MiniLM(), store=kept)
    windowed = Windowed(embedder=plain, divide=minilm_windows())
    plan = Plan(seed=seed, models=Fleet.practice().models)
    found = bench(
        questions, (*settings(KINDS, SIZES, OVERLAPS, embedder=plain), *theirs()), embedders={"minilm": windowed}, plan=plan, heard=heard
    )  # fmt: skip
    kept.write(plain.id)
    ways = Plan(seed=seed, by=("words", "hybrid"), budgets=())
    other = bench(questions, settings(FEW, SIZES, OVERLAPS, embedder=plain), embedders={"minilm": windowed}, plan=ways, heard=heard)  # fmt: skip
    same = [f"{a['name']} cuts as {a['same_as']} does" for a in found.arms if a["same_as"]]
    parts = [
        *head(questions),
        "## Every chunker, size and overlap",
        "",
        *arms_table(dataclasses.replace(found, arms=tuple(a for a in found.arms if a["chunker"] in KINDS))),
        "",
        *([f"Identical chunkings, evaluated once: {'; '.join(same)}.", ""] if same else []),
        *answer(found, questions),
        *beside_theirs(found, questions),
        *windows(questions, plain, windowed),
        "## By words, and by both",
        "",
        "BM25 (Lucene's form, k1 = 1.2, b = 0.75, no stemming) and reciprocal rank fusion of both lists (100 deep, smoothing 60); no embedder for words.",
        "",
        *arms_table(other, way=True),
        "",
        *recommendation(found, questions),
        *answers(questions, plain, windowed),
        *sources_table(found, questions),
        *published(),
        *beside(found),
    ]
    kept.write(plain.id)
    return "\n".join(parts).rstrip() + "\n"


def main() -> None:
    """Print the page."""
    ask = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    ask.add_argument("data", type=Path, help="the folder with questions_df.csv and corpora")
    ask.add_argument("--cache", type=Path, help="an .npz file that keeps vectors")
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--quick", action="store_true")
    args = ask.parse_args()
    questions = Questions.read(args.data / "questions_df.csv", args.data / "corpora")
    if args.quick:
        tried = settings(("tokens", "recursive"), (400,), OVERLAPS)
        print("\n".join(arms_table(bench(questions, tried, embedders={"lexical": whole("lexical")}, heard=heard))))
        return
    print(page(questions, Kept.read(args.cache, MiniLM().id), args.seed), end="")


if __name__ == "__main__":
    main()
