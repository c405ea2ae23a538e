"""The bench for chunking and retrieval: chunkers × sizes × overlaps × embedders on questions with known answer spans.

All sources are in one index, so that a passage of the wrong source costs precision. Every arm's figures are those of all
questions, since nothing about an arm is fitted to them; the recommended one is chosen on one half and told of the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from routelab.chunking import Chunk, identity
from routelab.chunking.corpora import Corpora
from routelab.core.errors import ConfigError, DataError
from routelab.core.ports import Embedder, Floats
from routelab.core.values import Model, digest
from routelab.lab.benches import written
from routelab.lab.chunks.answers import CORPUS, Answers, Asking, answered
from routelab.lab.chunks.ledger import Ledger
from routelab.lab.chunks.measures import Scores, scored, usd_per_1000
from routelab.lab.chunks.questions import Ints, Questions, halves
from routelab.lab.chunks.settings import Setting
from routelab.lab.chunks.verdict import MARGIN, RULE, Choice, choice
from routelab.lab.statistics import TOO_FEW_CLUSTERS, Estimate, mean, quality_mean
from routelab.present import Table
from routelab.retrieval import By, Library, Search
from routelab.retrieving import Libraries, Loaded, Retrieval
from routelab.stages import Budget
from routelab.version import __version__

BUDGETS = (500, 1000, 2000)
"""Contexts in tokens that arms are compared at, whatever their k passages come to."""
DEPTH = 60
"""Passages retrieved to fill them."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How arms are retrieved and compared; `models` are those whose input price a context is put at."""

    k: int = 5
    by: tuple[By, ...] = ("vectors",)
    budgets: tuple[int, ...] = BUDGETS
    margin: float = MARGIN
    seed: int = 0
    models: tuple[Model, ...] = ()

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k: a whole number from 1 is wanted, not {self.k}")
        if not 0 < self.margin < 1:
            raise ConfigError(f"margin: must be more than 0 and less than 1, not {self.margin}")
        if not self.by or not all(budget >= 1 for budget in self.budgets):
            raise ConfigError("budgets and by: at least one way to search, and budgets from 1 token, are wanted")


@dataclass(frozen=True, kw_only=True, eq=False)
class ChunksBench:
    """The arms' figures, the one that may be used (None: none is shown to be best), why, and every arm's scores by name.

    `answers` are what a fleet made of each arm's contexts, where one was asked.
    """

    arms: tuple[Mapping[str, Any], ...]
    recommended: Mapping[str, Any] | None
    why: str
    about: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Scores] = field(default_factory=dict)
    answers: Mapping[str, Answers] = field(default_factory=dict)

    def result(self) -> dict[str, Any]:
        """Return the plain values that `r.json` holds."""
        return {**self.about, "arms": list(self.arms), "recommended": self.recommended, "why": self.why}

    def write(self, path: str | Path) -> Path:
        """Write the result as JSON and return its path; ConfigError when the place cannot be written."""
        return written(self.result(), path)

    def table(self) -> Table:
        """Return one row an arm."""
        rows = [
            [
                str(arm["name"]),
                f"{arm['chunks']:,}",
                f"{arm['recall']:.3f}",
                "–" if arm["recall_ci"] is None else "[{:.3f}, {:.3f}]".format(*arm["recall_ci"]),
                f"{arm['precision']:.4f}",
                f"{arm['iou']:.4f}",
                f"{arm['precision_omega']:.3f}",
                f"{arm['mrr']:.3f}",
                f"{arm['context_tokens']:,.0f}",
                f"{arm['recall_per_1k_tokens']:.3f}",
                "–" if arm["mb_per_s"] is None else f"{arm['mb_per_s']:.1f}",
            ]
            for arm in self.arms
        ]
        head = ["arm", "chunks", "recall", "95 %", "precision", "IoU", "Ω", "MRR", "tokens", "recall/1k", "MB/s"]
        if self.answers:
            head += ["quality", "grounded", "confidently wrong", "abstained"]
            for row, arm in zip(rows, self.arms, strict=True):
                told = (arm[key] for key in ("answer_quality", "groundedness", "confidently_wrong", "abstained"))
                row += ["–" if value is None else f"{value:.3f}" for value in told]
        caption = "{questions:,} questions, {spans:,} spans, {sources} sources, k = {k}".format(**self.about)
        notes = [*self.about["notes"], self.why]
        return Table(head=head, rows=rows, numbers=frozenset(range(1, len(head))), caption=caption, notes=notes)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Cut:
    """What a chunker made of all sources, and how fast."""

    setting: Setting
    chunks: tuple[Chunk, ...]
    identity: str
    mb_per_s: float | None
    first_s: float


def bench(
    questions: Questions,
    settings: Sequence[Setting],
    *,
    embedders: Mapping[str, Embedder],
    plan: Plan | None = None,
    heard: Callable[[str], None] | None = None,
    now: Callable[[], float] = time.process_time,
    asking: Asking | None = None,
) -> ChunksBench:
    """Return what each setting's chunks let each embedder find of the answers, and at what context.

    `embedders` go by the name that arms carry; with `by` words only, none is needed. `now` measures the chunkers: CPU time
    unless told otherwise. Chunkings that are the same, offset by offset, are evaluated once. With `asking`, a fleet answers the
    questions from each arm's contexts, and all arms together stay within its budget. Raises DataError for questions of which no
    halves can be made, what chunkers and embedders raise, and what kept a fleet from answering at all.
    """
    plan = plan or Plan()
    tell = heard or (lambda _: None)
    split = halves(questions, seed=plan.seed)
    if min(len(half) for half in split) < 2:
        raise DataError(f"questions: {len(questions)} are too few for two halves", hint="at least 4 different ones")
    if not embedders and set(plan.by) != {"words"}:
        raise ConfigError("embedder: none is given", hint="or search by words")
    ledger = Ledger.of(questions.corpora)
    arms: list[dict[str, Any]] = []
    scores: dict[str, Scores] = {}
    answers: dict[str, Answers] = {}
    purse = None if asking is None or asking.budget_usd is None else Budget(asking.budget_usd)
    seen: dict[tuple[str, str, str], str] = {}
    notes = list(questions.notes)
    for setting in settings:
        cut = _cut(setting, questions, now)
        if setting.embeds:
            notes.append(
                f"{setting.name}: its vectors were known when it was timed; the first pass took {cut.first_s:.1f} s of CPU"
            )
        libraries = {spec: Library(passages=cut.chunks, embedder=made) for spec, made in embedders.items()}
        worded = next(iter(libraries.values()), Library(passages=cut.chunks))
        for by in plan.by:
            for spec, library in libraries.items() if by != "words" else [("", worded)]:
                name = ", ".join(part for part in (setting.name, spec, by if by != "vectors" else "") if part)
                same = seen.setdefault((cut.identity, spec, by), name)
                if same == name:
                    tell(f"{name}: {len(cut.chunks):,} chunks")
                    scores[name] = _scored(questions, library, by, ledger, plan)
                    if asking is not None:
                        answers[name] = _answers(questions, library, by, plan, asking, purse)
                else:
                    scores[name] = scores[same]
                arm = _arm(name, cut, spec if by != "words" else None, by, scores[name], questions, split, plan)
                said = answers[same].figures() if asking is not None else {}
                arms.append({**arm, **said, "same_as": None if same == name else same})
    chosen = choice(list(scores), list(scores.values()), split, plan.margin)
    recommended = _recommended(arms[chosen.named], chosen) if chosen.accepted else None
    if answers:
        notes += _on_answers(next(iter(answers.values())))
    about = _about(questions, split, plan, notes, arms)
    return ChunksBench(
        arms=tuple(arms), recommended=recommended, why=chosen.why, about=about, scores=scores, answers=answers
    )


def _answers(
    questions: Questions, library: Library, by: By, plan: Plan, asking: Asking, purse: Budget | None
) -> Answers:
    """Return what the fleet answers from this library; what it cuts and embeds is not the settings' business here."""
    retrieval = Retrieval(corpus=CORPUS, by=by, k=plan.k)
    libraries = Libraries(Corpora(given={CORPUS: questions.corpora}))
    libraries.put(
        retrieval,
        Loaded(
            library=library,
            digest=digest(*[(p.source, p.start, p.end) for p in library.passages]),
            texts=questions.corpora,
        ),
    )
    return answered(questions, retrieval, asking, libraries=libraries, purse=purse)


def _on_answers(made: Answers) -> list[str]:
    asked = f"{len(made):,} questions of each arm were answered" + (f", {made.failures} not" if made.failures else "")
    if not made.simulated:
        return [asked]
    return [
        f"{asked} by simulated readers, who quote the passages; they show that the measures work, not how models do"
    ]


def _recommended(arm: dict[str, Any], chosen: Choice) -> dict[str, Any]:
    return {**arm, "vs_best_recall": dict(chosen.versus)}


def _cut(setting: Setting, questions: Questions, now: Callable[[], float]) -> _Cut:
    def once() -> tuple[tuple[Chunk, ...], float]:
        start = now()
        made = tuple(chunk for name, text in questions.corpora.items() for chunk in setting.chunker(text, name))
        return made, now() - start

    chunks, first_s = once()
    # The first pass loads vocabularies and, with semantic borders, embeds: the second is the chunker's own.
    took = once()[1]
    size_mb = sum(len(text.encode("utf-8", "surrogatepass")) for text in questions.corpora.values()) / 1e6
    return _Cut(
        setting=setting,
        chunks=chunks,
        identity=identity(chunks),
        mb_per_s=size_mb / took if took > 0 else None,
        first_s=first_s,
    )


def _scored(questions: Questions, library: Library, by: By, ledger: Ledger, plan: Plan) -> Scores:
    search = Search(k=max(plan.k, DEPTH if plan.budgets else 1), by=by)
    order = [[hit.position for hit in hits] for hits in library.search(questions.texts, search)]
    return scored(questions, library.passages, order, ledger, k=plan.k, budgets=plan.budgets)


def _arm(
    name: str,
    cut: _Cut,
    spec: str | None,
    by: By,
    scores: Scores,
    questions: Questions,
    split: tuple[Ints, Ints],
    plan: Plan,
) -> dict[str, Any]:
    setting, tokens = cut.setting, float(scores.context_tokens.mean())
    counted = [chunk.tokens for chunk in cut.chunks if chunk.tokens is not None]
    interval, kind = _interval(scores.recall, questions)
    return {
        "name": name,
        "chunker": setting.kind,
        "size": setting.size,
        "overlap": setting.overlap,
        "unit": setting.unit,
        "embedder": spec,
        "by": by,
        "k": plan.k,
        "chunks": len(cut.chunks),
        "tokens_per_chunk": float(np.mean(counted)) if counted else None,
        "recall": float(scores.recall.mean()),
        "recall_ci": interval,
        "recall_ci_is": kind,
        "recall_ci_questions": _ends(quality_mean(scores.recall)),
        "recall_sd": float(scores.recall.std()),
        "precision": float(scores.precision.mean()),
        "precision_sd": float(scores.precision.std()),
        "iou": float(scores.iou.mean()),
        "iou_sd": float(scores.iou.std()),
        "precision_omega": float(scores.omega.mean()),
        "precision_omega_sd": float(scores.omega.std()),
        "mrr": float(scores.reciprocal_rank.mean()),
        "ndcg": float(scores.ndcg.mean()),
        "hit_at_k": float(scores.hit.mean()),
        "whole_answer": float(scores.whole.mean()),
        "context_tokens": tokens,
        "context_tokens_ci": _ends(mean(scores.context_tokens)),
        "retrieved_tokens": float(scores.retrieved_tokens.mean()),
        "recall_per_1k_tokens": scores.recall_per_1k_tokens,
        "recall_at": {str(budget): float(v.mean()) for budget, v in scores.recall_at.items()},
        "usd_per_1000": usd_per_1000(tokens, plan.models),
        "mb_per_s": cut.mb_per_s,
        "by_source": {
            source: float(scores.recall[questions.clusters == number].mean())
            for number, source in enumerate(sorted(set(questions.sources)))
        },
        "tune": _half(scores.only(split[0])),
        "confirm": _half(scores.only(split[1])),
    }


def _half(scores: Scores) -> dict[str, Any]:
    return {
        "n": len(scores.recall),
        "recall": float(scores.recall.mean()),
        "recall_ci": _ends(quality_mean(scores.recall)),
        "precision": float(scores.precision.mean()),
        "iou": float(scores.iou.mean()),
        "context_tokens": float(scores.context_tokens.mean()),
        "recall_per_1k_tokens": scores.recall_per_1k_tokens,
    }


def _interval(recall: Floats, questions: Questions) -> tuple[list[float] | None, str]:
    """Return the interval clustered by source, or over questions where sources are too few for one, and which it is."""
    if questions.asked_about < TOO_FEW_CLUSTERS:
        return _ends(quality_mean(recall)), "over questions: fewer than 5 sources"
    return _ends(quality_mean(recall, questions.clusters)), f"clustered by source ({questions.asked_about})"


def _ends(estimate: Estimate) -> list[float] | None:
    return None if estimate.interval is None else list(estimate.interval)


def _about(
    questions: Questions, split: tuple[Ints, Ints], plan: Plan, notes: Sequence[str], arms: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "routelab": __version__,
        "bench": "chunks",
        "questions": len(questions),
        "spans": questions.span_count,
        "sources": len(questions.corpora),
        "characters": sum(len(text) for text in questions.corpora.values()),
        "k": plan.k,
        "seed": plan.seed,
        "margin": plan.margin,
        "rule": RULE.format(margin=plan.margin),
        "split": {"tune": len(split[0]), "confirm": len(split[1])},
        "arms_tried": sum(arm["same_as"] is None for arm in arms),
        "budgets": list(plan.budgets),
        "notes": list(dict.fromkeys(notes)),
    }
