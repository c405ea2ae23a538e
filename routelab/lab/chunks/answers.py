"""Where a fleet answers: how good, how well founded, and how often wrong without saying so, are answers from what was found.

Every question is a prompt of its own, played through the arm's config with its retrieval, and all that comes of it is a value
a question: arms answer the same questions, so their differences are paired.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from routelab.answer import Answer
from routelab.asker import Asker
from routelab.chunking.corpora import Corpora
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.events import Retrieved
from routelab.core.ports import Floats, Log, World
from routelab.core.run import Run
from routelab.core.values import Message, Prompt, Score, digest, draw
from routelab.embedding import vectors
from routelab.engine import SystemClock, shared
from routelab.fleet import Fleet
from routelab.judging import Rubric, Seat
from routelab.lab.chunks.grounding import BACKED, Grounding, figures, grounding, uncited
from routelab.lab.chunks.questions import Ints, Questions
from routelab.lab.chunks.spans import Span, common, length, union
from routelab.lab.statistics import TOO_FEW_CLUSTERS, Estimate, paired_difference, quality_mean
from routelab.retrieval import quoted
from routelab.retrieving import Libraries, Retrieval
from routelab.router import Router, Setting, gathered
from routelab.scoring.f1 import bag, overlap
from routelab.stages import Budget, Call, Patience

TASK = "simple_qa"
CORPUS = "questions"
"""What the questions' sources are called as a corpus."""
ANSWERING = (
    "Answer the question from the passages before it, in one to three sentences. After each statement cite the number of its passage, like [2]. "
    "If the passages do not hold the answer, say only: The passages do not say."
)
RIGHT = 0.5
MEASURES = ("quality", "groundedness", "confidently_wrong", "abstained")


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Scores an answer against the prompt's reference: the better of two readings, since answers are shorter or longer than it.

    F1 of their words (as in SQuAD) without the question's own, and the share of the answer's sentences that the reference holds
    (`grounding`): a short answer that says nothing but what the reference says is right. An answer that states figures none of
    which is the reference's, where that has some, is wrong. All of it sees wording only.
    """

    def __call__(self, answer: str, prompt: Prompt) -> Score:
        """Return the quality; 0 for an answer that says that there is none, or a prompt without a reference."""
        reference, bare = prompt.reference or "", uncited(answer)
        made = grounding(bare, {1: reference}, prompt.text)
        if not reference or made.abstains:
            return Score(quality=0.0, reason="there is no answer" if reference else "there is no reference")
        asked = _readings(prompt.text)
        stated, wanted = _readings(bare) - asked, _readings(reference) - asked
        if stated and wanted and not stated & wanted:
            return Score(quality=0.0, reason="its figures are not those of the reference")
        own = bag(prompt.text)
        shared = overlap(_without(bag(reference), own), _without(bag(bare), own))
        held = made.share or 0.0
        return Score(quality=max(shared, held), reason=f"F1 {shared:.2f}, {held:.2f} of it is in the reference")


def _readings(text: str) -> frozenset[float]:
    return frozenset[float]().union(*figures(text))


def _without(words: Counter[str], own: Counter[str]) -> Counter[str]:
    """Return the words that are not the question's own, or all of them where there are no others."""
    return Counter({word: n for word, n in words.items() if word not in own}) or words


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Who answers, and how answers are measured.

    `config` says which models, how they are asked and put (`ANSWERING`, unless it has a system text); each arm puts its own
    retrieval into it. Of the questions `limit` are asked (None: all), spread over the sources, drawn by `seed`. Without a
    `scorer` (which may be a judge) `Agreement` scores; an answer is right from `right_at` on. `backing` names a model that judges
    by the rubric `BACKED` what the passages back, beside the count of words.
    """

    config: RouteConfig
    fleet: Fleet
    limit: int | None = None
    seed: int = 0
    scorer: Any = Agreement()
    right_at: float = RIGHT
    backing: str | None = None
    budget_usd: float | None = None
    log: Log | None = None
    experiment: str = ""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 2:
            raise ConfigError(f"limit: at least 2 questions are wanted, not {self.limit}")
        if not 0 < self.right_at <= 1:
            raise ConfigError(f"right_at: must be more than 0 and at most 1, not {self.right_at}")

    def asked_by(self, retrieval: Retrieval) -> RouteConfig:
        """Return the config with an arm's retrieval, and a system text if it has none."""
        prompt = self.config.prompt
        if prompt.system is None and prompt.template is None:
            prompt = dataclasses.replace(prompt, system=ANSWERING)
        return dataclasses.replace(self.config, retrieval=retrieval, prompt=prompt)


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What came of `rows` of the questions: one value a row, NaN where there is none to be had.

    `quality` is 0 and nothing is claimed where nobody answered (`failures`). `groundedness` is the share of the answer's
    sentences that the passages hold, `backed` a judge's word on it; both NaN where an answer claims nothing. `abstained` and
    `confidently_wrong` are 0 or 1: the latter neither right nor abstaining. `held` is the share of the reference that stood in
    the context, `cited` the share of citations that name a passage which holds what it is cited for.
    """

    rows: Ints
    clusters: Ints
    texts: tuple[str | None, ...]
    quality: Floats
    groundedness: Floats
    backed: Floats
    abstained: Floats
    confidently_wrong: Floats
    held: Floats
    cited: Floats
    cost_usd: Floats
    measuring_usd: Floats
    latency_s: Floats
    input_tokens: Floats
    failures: int
    simulated: bool
    runs: tuple[Run, ...] = field(repr=False, default=())

    def __len__(self) -> int:
        return len(self.rows)

    def figures(self) -> dict[str, Any]:
        """Return the means with their intervals as plain values, the keys that an arm of the bench gets."""
        told: dict[str, Any] = {
            "answered": len(self) - self.failures,
            "failures": self.failures,
            "simulated": self.simulated,
        }
        for name, key in (
            ("quality", "answer_quality"),
            ("groundedness", "groundedness"),
            ("confidently_wrong", "confidently_wrong"),
            ("abstained", "abstained"),
            ("cited", "citations_valid"),
            ("backed", "backed"),
        ):
            made = _mean(getattr(self, name), self.clusters)
            told[key] = None if made is None else made.value
            told[f"{key}_ci"] = None if made is None or made.interval is None else list(made.interval)
        for part, rows in (("with_answer", self.held >= 1.0), ("without_answer", self.held <= 0.0)):
            told[part] = {
                "n": int(rows.sum()),
                **{name: _share(getattr(self, name)[rows]) for name in ("confidently_wrong", "abstained", "quality")},
            }
        told["answer_usd_per_1000"] = None if np.isnan(self.cost_usd).any() else 1000 * float(self.cost_usd.mean())
        told["measuring_usd"] = None if np.isnan(self.measuring_usd).any() else float(self.measuring_usd.sum())
        told["answer_latency_p50_s"] = _share(self.latency_s, np.nanmedian)
        told["answer_input_tokens"] = _share(self.input_tokens)
        return told


@dataclass(frozen=True, kw_only=True)
class Versus:
    """A measure's mean difference between two arms over the questions that both have it for: over questions, and by source."""

    questions: Estimate
    sources: Estimate


def versus(new: Answers, base: Answers, measure: str) -> Versus | None:
    """Return new − base of a measure, question by question; None when fewer than two questions have it for both."""
    if not np.array_equal(new.rows, base.rows):
        raise ValueError("the arms answered other questions")
    one, two = getattr(new, measure), getattr(base, measure)
    both = ~(np.isnan(one) | np.isnan(two))
    if both.sum() < 2:
        return None
    pair = one[both], two[both]
    return Versus(questions=paired_difference(*pair), sources=paired_difference(*pair, new.clusters[both]))


def prompts(questions: Questions, rows: Sequence[int] | Ints) -> list[Prompt]:
    """Return questions as prompts: the text of the answer's spans is the reference, the source the group."""
    made = []
    for i in rows:
        source, text = questions.sources[i], questions.texts[i]
        reference = " ".join(questions.corpora[source][a:b] for a, b in questions.spans[i])
        made.append(
            Prompt(
                id=digest("question", source, text),
                messages=(Message(role="user", content=text),),
                task=TASK,
                reference=reference,
                group=source,
            )
        )
    return made


def drawn(questions: Questions, limit: int | None, seed: int = 0) -> Ints:
    """Return the positions of `limit` questions, spread over the sources in proportion; which ones depends on their texts."""
    if limit is None or limit >= len(questions):
        return np.arange(len(questions), dtype=np.intp)
    by_source: dict[str, list[int]] = {}
    order = sorted(range(len(questions)), key=lambda i: (draw(seed, "asked", questions.texts[i]), questions.texts[i]))
    for i in order:
        by_source.setdefault(questions.sources[i], []).append(i)
    ranked = sorted(((j + 0.5) / len(row), i) for row in by_source.values() for j, i in enumerate(row))
    return np.array(sorted(i for _, i in ranked[:limit]), dtype=np.intp)


def answered(
    questions: Questions,
    retrieval: Retrieval,
    asking: Asking,
    *,
    libraries: Libraries | None = None,
    purse: Budget | None = None,
    done: Callable[[int], None] | None = None,
) -> Answers:
    """Return what a fleet answers to the questions out of what the retrieval finds in their sources.

    The retrieval's corpus must be `CORPUS`, or one of the `libraries`' own with the same sources. `purse` is what several arms
    may spend together. What nobody answered counts as wrong in quality; ConfigError and BudgetExceeded of every call are raised.
    """
    rows = drawn(questions, asking.limit, asking.seed)
    places = libraries or Libraries(Corpora(given={CORPUS: questions.corpora}))
    purse = purse or (None if asking.budget_usd is None else Budget(asking.budget_usd))
    setting = Setting(
        experiment=asking.experiment, scorer=asking.scorer, purse=purse, seed=asking.seed, cache=False, libraries=places
    )
    router = Router(asking.asked_by(retrieval), fleet=asking.fleet, log=asking.log, setting=setting)
    # Before the first question's time begins to run.
    places.finder(retrieval).load()
    asked = prompts(questions, rows)
    counted = [0]

    def heard(_: int, __: Answer) -> None:
        counted[0] += 1
        if done is not None:
            done(counted[0])

    given = router.many(asked, done=heard)
    _raise_if_nobody(given)
    runs = tuple(answer.run for answer in given)
    backed = _backed(asking, runs, purse)
    return _measured(questions, rows, runs, backed, asking)


def _raise_if_nobody(given: Sequence[Answer]) -> None:
    errors = [answer.error for answer in given]
    if given and all(error is not None for error in errors) and errors[0] is not None:
        raise errors[0]


def _measured(
    questions: Questions,
    rows: Ints,
    runs: Sequence[Run],
    backed: Sequence[tuple[float | None, float | None]],
    asking: Asking,
) -> Answers:
    made: dict[str, list[float]] = {name: [] for name in _COLUMNS}
    for i, run, (judged, judging_usd) in zip(rows, runs, backed, strict=True):
        found = next((e for e in run.events if isinstance(e, Retrieved)), None)
        ground = _grounds(run, found)
        text = run.text
        quality = 0.0 if text is None else run.quality
        abstains = ground is not None and ground.abstains
        right = quality is not None and quality >= asking.right_at
        usage = None if run.answered is None else run.answered.tokens.input
        measuring = None if run.measuring_usd is None or judging_usd is None else run.measuring_usd + judging_usd
        made["quality"].append(_number(quality))
        made["groundedness"].append(_number(None if ground is None else ground.share))
        made["backed"].append(_number(judged))
        made["abstained"].append(float(abstains))
        unknown = text is not None and quality is None
        made["confidently_wrong"].append(np.nan if unknown else float(text is not None and not abstains and not right))
        made["held"].append(_held(questions.sources[i], questions.spans[i], found))
        made["cited"].append(np.nan if ground is None or not ground.cited else ground.valid / ground.cited)
        made["cost_usd"].append(_number(run.cost_usd))
        made["measuring_usd"].append(_number(measuring))
        made["latency_s"].append(_number(run.latency_s if text is not None else None))
        made["input_tokens"].append(_number(usage))
    return Answers(
        rows=rows,
        clusters=questions.clusters[rows],
        texts=tuple(run.text for run in runs),
        failures=sum(run.text is None for run in runs),
        simulated=any(run.answered is not None and run.answered.simulated for run in runs),
        runs=tuple(runs),
        **{name: np.array(values, dtype=float) for name, values in made.items()},
    )


_COLUMNS = (
    "quality",
    "groundedness",
    "backed",
    "abstained",
    "confidently_wrong",
    "held",
    "cited",
    "cost_usd",
    "measuring_usd",
    "latency_s",
    "input_tokens",
)


def _grounds(run: Run, found: Retrieved | None) -> Grounding | None:
    if run.text is None:
        return None
    passages = {q.number: q.text for q in quoted(found.context)} if found is not None else {}
    return grounding(run.text, passages, run.prompt.text)


def _held(source: str, spans: Sequence[Span], found: Retrieved | None) -> float:
    """Return the share of the answer's characters that stood in the context."""
    shown: list[Span] = []
    for chunk in () if found is None else found.chunks:
        name, _, place = chunk.rpartition(":")
        start, _, end = place.partition("-")
        if name == source:
            shown.append((int(start), int(end)))
    wanted = union(spans)
    return length(common(wanted, shown)) / length(wanted)


def _backed(asking: Asking, runs: Sequence[Run], purse: Budget | None) -> list[tuple[float | None, float | None]]:
    """Return a judge's word on what the passages back, with its cost, for each run; nothing without a judge."""
    if asking.backing is None:
        return [(None, 0.0)] * len(runs)
    fleet = asking.fleet
    fleet.endpoint(asking.backing)
    ask = Asker(call=Call(endpoints=fleet.endpoints, counter=fleet.counter, patience=Patience(), purse=purse))
    rubric = Rubric(model=asking.backing, rubric=BACKED)
    seat = Seat(kind=rubric, ask=ask, name=asking.backing)
    world = World(clock=SystemClock(pace=fleet.pace))
    gate = asyncio.Semaphore(asking.config.limits.concurrency)

    async def one(run: Run) -> Any:
        # The judge sees what the model saw, without the system text.
        shown = tuple(m for m in run.messages if m.role != "system")
        if run.text is None or grounding(run.text, {}).abstains:
            return None
        about = dataclasses.replace(run.prompt, messages=shown)
        async with gate:
            return await seat(dataclasses.replace(run, prompt=about), world)

    async def every() -> list[Any]:
        return await gathered([one(run) for run in runs])

    judged = shared().wait(every())
    return [(None, 0.0) if said is None else (said.quality, said.cost_usd) for said in judged]


def _mean(values: Floats, clusters: Ints) -> Estimate | None:
    """Return a measure's mean over the rows that have it; clustered by source unless sources are too few for that."""
    there = ~np.isnan(values)
    if not there.any():
        return None
    sources = clusters[there]
    if len(set(sources.tolist())) < TOO_FEW_CLUSTERS:
        return quality_mean(values[there])
    return quality_mean(values[there], sources)


def _share(values: Floats, of: Callable[[Floats], Any] = np.nanmean) -> float | None:
    return None if not len(values) or np.isnan(values).all() else float(of(values))


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def reading(fleet: Fleet, embedder: str | Mapping[str, Any] | None = "minilm") -> Fleet:
    """Return a practice fleet whose models read the passages that they are given; any other fleet as it is.

    A practice model answers out of the prompt's reference, whatever stands before the question: of retrieval that says nothing.
    What readers find nearest to the question is told by `embedder` and by words; None: by words alone.
    """
    from routelab.providers.practice import Practice
    from routelab.providers.reader import Reader

    def passages(text: str) -> list[tuple[int, str]]:
        return [(q.number, q.text) for q in quoted(text)]

    def near(text: str, others: Sequence[str]) -> Floats:
        assert embedder is not None
        rows = vectors(embedder, [text, *others]).astype(float)
        return np.asarray(rows[1:] @ rows[0])

    by = None if embedder is None else near
    read = {
        name: dataclasses.replace(endpoint, provider=Reader(practice=endpoint.provider, passages=passages, near=by))
        for name, endpoint in fleet.endpoints.items()
        if isinstance(endpoint.provider, Practice)
    }
    return fleet.with_models(read) if read else fleet


def asking_of(fleet: Fleet | str | Path, model: str, *, judge: str | None = None, **given: Any) -> Asking:
    """Return the asking of one model of a fleet, or of the one that "practice" or the path of a fleet.yaml describes.

    `judge` names a model that scores answers beside the reference, and how well the passages back them. The other fields are
    `Asking`'s. Raises ConfigError for a model that the fleet does not have.
    """
    if not isinstance(fleet, Fleet):
        fleet = Fleet.practice(latency=0) if str(fleet) == "practice" else Fleet.from_yaml(fleet)
    fleet.endpoint(model)
    if judge is not None:
        fleet.endpoint(judge)
        given = {"scorer": Rubric(model=judge, reference="given"), "backing": judge, **given}
    config = RouteConfig(name=model, models=[model], strategy={"kind": "fixed", "model": model})
    return Asking(config=config, fleet=reading(fleet), **given)
