"""The tables of a chunker comparison: what every arm finds, against a baseline, what its contexts cost, and the config of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routelab import strict
from routelab.core.errors import ConfigError
from routelab.core.ports import Floats
from routelab.core.values import Model
from routelab.lab.chunks.against import against, at_context, ends, interval_of, tokens_of
from routelab.lab.chunks.against import table as against_table
from routelab.lab.chunks.answers import versus
from routelab.lab.chunks.bench import ChunksBench
from routelab.lab.chunks.measures import Scores, usd_per_1000
from routelab.lab.chunks.questions import Questions
from routelab.lab.statistics import Estimate
from routelab.present import Table, signed, usd
from routelab.retrieving import Retrieval, spec_of

MEASURES: Mapping[str, str] = {
    "precision %": "precision",
    "IoU %": "iou",
    "precision-Ω %": "omega",
    "MRR": "reciprocal_rank",
    "nDCG": "ndcg",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """Chunkers that were compared: the bench's result, the questions, and what the controls said; `corpus` is its name for a config."""

    found: ChunksBench
    questions: Questions
    embedder: str
    by: str
    margin: float
    corpus: str
    models: tuple[Model, ...] = ()
    answered_by: str = ""

    @property
    def k(self) -> int:
        """How many passages were retrieved."""
        return int(self.found.about["k"])

    @property
    def names(self) -> list[str]:
        """The arms."""
        return list(self.found.scores)

    @property
    def contexts(self) -> dict[str, int | None]:
        """At what context arms can be looked at: k passages, or equal tokens."""
        return {f"{self.k} passages": None, **{f"{b:,} tokens": int(b) for b in self.found.about["budgets"]}}

    @property
    def baseline(self) -> str:
        """The arm that others are held against unless one is chosen: fixed tokens, the larger the better known, else the first."""
        fixed = [a for a in self.found.arms if a["chunker"] == "tokens" and not a["overlap"]]
        return str(max(fixed, key=lambda a: a["size"])["name"]) if fixed else self.names[0]

    @property
    def says(self) -> str:
        """What was compared, in one line."""
        about, same = self.found.about, sum(arm["same_as"] is not None for arm in self.found.arms)
        how = "by words (BM25)" if self.by == "words" else f"by {self.by} ({self.embedder})"
        alike = f", {same} of them cut as another one does" if same else ""
        return (
            f"{len(self.names)} chunkings{alike}; {about['questions']:,} questions, {about['spans']:,} answer spans, {about['sources']} "
            f"sources; {self.k} passages {how}"
        )


def arms_table(compared: Compared, at: int | None, what: str) -> Table:
    """Return a row an arm: recall and context at what is looked at, and the measures at k passages, each with its 95 % interval."""
    questions, found = compared.questions, compared.found
    rows = []
    for arm in found.arms:
        name = str(arm["name"])
        if arm["same_as"] is not None:
            rows.append((name, f"cuts as {arm['same_as']} does", *[""] * (len(MEASURES) + 2)))
            continue
        scores: Scores = found.scores[name]
        recall, tokens = at_context(scores, at)
        rows.append(
            (
                ("→ " if found.recommended is not None and found.recommended["name"] == name else "") + name,
                f"{arm['chunks']:,}",
                _share(recall, questions),
                *(_measure(head, getattr(scores, field), questions) for head, field in MEASURES.items()),
                _count(tokens_of(tokens, questions)),
            )
        )
    notes = [
        f"Below each mean its 95 % interval, {found.arms[0]['recall_ci_is']}. Precision, IoU, MRR and nDCG are those of {compared.k} passages; "
        "precision-Ω needs no search.",
        f"→ recommended: {found.why}",
        *found.about["notes"],
    ]
    return Table(
        head=("chunker", "chunks", "recall %", *MEASURES, "context tokens"),
        rows=rows,
        numbers=frozenset(range(2, len(MEASURES) + 4)),
        caption=f"what is found, at {what}",
        notes=notes,
    )


def versus_table(compared: Compared, baseline: str, at: int | None, what: str) -> Table:
    """Return a row an arm: its recall against the baseline's, and what may be said of it."""
    rows = against(compared.found, compared.questions, baseline, at=at, margin=compared.margin)
    return against_table(rows, baseline=baseline, what=what, margin=compared.margin)


def prices_table(compared: Compared, at: int | None, what: str) -> Table:
    """Return what the contexts of a thousand questions cost as input, by arm and model of the fleet."""
    models = compared.models
    rows = []
    for arm in compared.found.arms:
        if arm["same_as"] is None:
            tokens = float(at_context(compared.found.scores[arm["name"]], at)[1].mean())
            paid = usd_per_1000(tokens, models)
            rows.append((str(arm["name"]), f"{tokens:,.0f}", *(usd(paid[model.name]) for model in models)))
    return Table(
        head=("chunker", "tokens", *(model.name for model in models)),
        rows=rows,
        numbers=frozenset(range(1, len(models) + 2)),
        caption=f"what the contexts of 1,000 questions cost as input, at {what}",
        notes=(
            "List prices of this lab's fleet, without question, answer and caching; other makers' tokens are o200k_base's times a factor. ?: no price is known.",
        ),
    )


def answers_table(compared: Compared, baseline: str) -> Table | None:
    """Return how a fleet answered from each arm's contexts, and the difference to the baseline; None where nobody was asked."""
    found = compared.found
    if not found.answers:
        return None
    base = found.answers.get(str(next(a["same_as"] or a["name"] for a in found.arms if a["name"] == baseline)))
    rows = []
    for arm in found.arms:
        name = str(arm["name"])
        if name not in found.answers:
            continue
        made, told = found.answers[name], arm
        gaps = []
        for measure in ("quality", "confidently_wrong"):
            gap = None if base is None or base is made else versus(made, base, measure)
            gaps.append("–" if gap is None else f"{signed(gap.questions.value)}\n{ends(gap.questions)}")
        rows.append(
            (
                name,
                *(_told(told, key) for key in ("answer_quality", "groundedness", "confidently_wrong", "abstained")),
                *gaps,
                usd(told["answer_usd_per_1000"]),
                f"{made.failures:,}",
            )
        )
    first = next(iter(found.answers.values()))
    who = "SIMULATED readers: they show that the measures work, not how models do" if first.simulated else "answers"
    return Table(
        head=(
            "chunker",
            "quality %",
            "grounded %",
            "confidently wrong %",
            "abstained %",
            "Δ quality",
            "Δ confidently wrong",
            "cost / 1,000",
            "failed",
        ),
        rows=rows,
        numbers=frozenset(range(1, 9)),
        caption=f"what {compared.answered_by} answered to {len(first):,} of the questions",
        notes=(
            f"{who}. Grounded: the share of an answer's sentences that its passages hold; confidently wrong: neither right nor saying that the passages lack it. "
            f"Δ: points against {baseline}, paired by question, 95 %.",
        ),
    )


def _told(arm: Mapping[str, Any], key: str) -> str:
    value, ci = arm.get(key), arm.get(f"{key}_ci")
    if value is None:
        return "?"
    return f"{100 * value:.1f}\n" + ("[?, ?]" if ci is None else f"[{100 * ci[0]:.1f}, {100 * ci[1]:.1f}]")


def retrieval_of_arm(compared: Compared, name: str) -> Retrieval:
    """Return an arm as the `retrieval` of a config; ConfigError for an unknown arm."""
    arm = next((arm for arm in compared.found.arms if arm["name"] == name), None)
    if arm is None:
        raise ConfigError(f"there is no arm '{name}'")
    chunker: dict[str, Any] = {"kind": arm["chunker"], "size": arm["size"], "overlap": arm["overlap"]}
    if arm["chunker"] == "semantic":
        chunker["embedder"] = compared.embedder
    return Retrieval(corpus=compared.corpus, chunker=chunker, embedder=compared.embedder, k=compared.k, by=compared.by)


def section(compared: Compared, name: str, against_: Sequence[str] = ()) -> str:
    """Return the section `retrieval` of a YAML file with the evidence as its comment."""
    named = f"the documents are those that lab.corpora['{compared.corpus}'] names, or a folder of that name beside this file"
    comment = "\n".join([f"{name}: {compared.says}", compared.found.why, *against_, named])
    return strict.dump({"retrieval": spec_of(retrieval_of_arm(compared, name))}, comment=comment)


def _share(values: Floats, questions: Questions) -> str:
    return _shown(interval_of(values, questions), 100, 1)


def _measure(head: str, values: Floats, questions: Questions) -> str:
    percents = head.endswith("%")
    return _shown(interval_of(values, questions), 100 if percents else 1, 1 if percents else 2)


def _shown(estimate: Estimate, factor: float, digits: int) -> str:
    mean = f"{factor * estimate.value:.{digits}f}"
    if estimate.low is None or estimate.high is None:
        return f"{mean}\n[?, ?]"
    return f"{mean}\n[{factor * estimate.low:.{digits}f}, {factor * estimate.high:.{digits}f}]"


def _count(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:,.0f}\n[?, ?]"
    return f"{estimate.value:,.0f}\n[{estimate.low:,.0f}, {estimate.high:,.0f}]"
