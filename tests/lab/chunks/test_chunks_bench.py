"""`routelab bench chunks`: every arm, identical chunkings once, the choice made on one half, and the command."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from routelab.cli import main
from routelab.core.errors import ConfigError, DataError
from routelab.core.values import Model, Price
from routelab.embedding import Lexical
from routelab.lab.chunks.bench import ChunksBench, Plan, bench
from routelab.lab.chunks.measures import Scores
from routelab.lab.chunks.questions import Questions, halves
from routelab.lab.chunks.settings import Setting, settings
from routelab.lab.chunks.verdict import choice

CONTRACT = ("chunker", "size", "overlap", "k", "recall", "recall_ci", "precision", "iou", "context_tokens", "mb_per_s")
LEXICAL = Lexical(dimensions=128)


@dataclass(kw_only=True)
class Ticking:
    """A clock that goes on by a second whenever it is read."""

    at: float = 0.0

    def __call__(self) -> float:
        self.at += 1.0
        return self.at


@dataclass(kw_only=True)
class Counting:
    """Lexical vectors, with a count of the calls."""

    id: str = "counting"
    dimensions: int = LEXICAL.dimensions
    calls: list[int] = field(default_factory=list)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls.append(len(texts))
        return LEXICAL(texts)


def made(sources: int = 5, per_source: int = 8, seed: int = 0) -> Questions:
    """Return sources of sentences with rare words; every question asks for one sentence by its word."""
    draw = random.Random(seed)
    corpora, texts, names, spans = {}, [], [], []
    for s in range(sources):
        parts, at = [], 0
        for i in range(per_source * 3):
            word = "".join(draw.choice("bcdfglmnprst") + draw.choice("aeiou") for _ in range(4))
            sentence = f"The {word} of year {draw.randrange(1900, 2000)} was seen by the people of the town. "
            if i % 3 == 0:
                texts.append(f"When was the {word}?")
                names.append(f"s{s}")
                spans.append(((at, at + len(sentence) - 1),))
            parts.append(sentence)
            at += len(sentence)
        corpora[f"s{s}"] = "".join(parts)
    return Questions(texts=tuple(texts), sources=tuple(names), spans=tuple(spans), corpora=corpora)


def benched(questions: Questions, tried: Sequence[Setting] | None = None, **more: Any) -> ChunksBench:
    chosen = settings(("tokens", "sentences"), (40, 80), (0.0, 0.2)) if tried is None else tried
    return bench(questions, chosen, **{"embedders": {"lexical": LEXICAL}, "now": Ticking(), **more})


@pytest.fixture(scope="module")
def found() -> ChunksBench:
    return benched(made())


def test_every_chunker_size_and_overlap_is_an_arm_with_the_contracts_fields(found: ChunksBench) -> None:
    assert [a["name"] for a in found.arms] == [
        f"{kind} {size}{overlap}, lexical"
        for kind in ("tokens", "sentences")
        for size in (40, 80)
        for overlap in ("", " +20%")
    ]
    for arm in found.arms:
        assert [key for key in CONTRACT if key not in arm] == []
        assert 0 <= arm["recall_ci"][0] <= arm["recall"] <= arm["recall_ci"][1] <= 1
        assert arm["recall_ci_is"] == "clustered by source (5)"
        assert arm["mb_per_s"] == pytest.approx(sum(map(len, made().corpora.values())) / 1e6)
        assert arm["precision"] >= arm["iou"] > 0
        assert arm["k"] == 5


def test_figures_are_means_of_the_scores_and_halves_are_the_dealt_ones(found: ChunksBench) -> None:
    tune, confirm = halves(made())
    for arm in found.arms:
        scores = found.scores[arm["name"]]
        assert arm["recall"] == scores.recall.mean()
        assert arm["context_tokens"] == scores.context_tokens.mean()
        assert arm["tune"]["recall"] == scores.recall[tune].mean()
        assert arm["confirm"]["recall"] == scores.recall[confirm].mean()
        assert (arm["tune"]["n"], arm["confirm"]["n"]) == (len(tune), len(confirm)) == (20, 20)
        assert sum(arm["by_source"].values()) / 5 == pytest.approx(arm["recall"])


def test_chunks_with_overlap_cost_less_context_than_they_are_long(found: ChunksBench) -> None:
    for arm in found.arms:
        assert arm["context_tokens"] <= arm["retrieved_tokens"]
        if not arm["overlap"]:
            # A border within a token is touched by both sides.
            assert arm["context_tokens"] == pytest.approx(arm["retrieved_tokens"], rel=0.01)


def test_identical_chunkings_are_evaluated_once() -> None:
    counting = Counting()
    tried = settings(("tokens",), (5000, 6000), (0.0,))
    twice = benched(made(), tried, embedders={"lexical": counting})
    assert [a["same_as"] for a in twice.arms] == [None, "tokens 5000, lexical"]
    assert twice.about["arms_tried"] == 1
    assert counting.calls == [5, 40] or counting.calls == [40, 5]
    assert twice.arms[0]["recall"] == twice.arms[1]["recall"] == 1.0


def test_ways_to_search_are_arms_and_words_need_no_embedder() -> None:
    tried = settings(("sentences",), (40,), (0.0,))
    three = benched(made(), tried, plan=Plan(by=("vectors", "words", "hybrid")))
    assert [(a["name"], a["embedder"], a["by"]) for a in three.arms] == [
        ("sentences 40, lexical", "lexical", "vectors"),
        ("sentences 40, words", None, "words"),
        ("sentences 40, lexical, hybrid", "lexical", "hybrid"),
    ]
    alone = benched(made(), tried, plan=Plan(by=("words",)), embedders={})
    assert alone.arms[0]["recall"] == three.arms[1]["recall"] == 1.0
    with pytest.raises(ConfigError, match="embedder: none is given"):
        benched(made(), tried, embedders={})


def test_two_sources_have_an_interval_over_questions_instead() -> None:
    few = benched(made(sources=2), settings(("tokens",), (40,), (0.0,)))
    [arm] = few.arms
    assert arm["recall_ci"] == arm["recall_ci_questions"]
    assert arm["recall_ci_is"] == "over questions: fewer than 5 sources"


def test_contexts_are_priced_by_model() -> None:
    model = Model(name="m", provider="openai", upstream="gpt-5", price=Price(usd_per_mtok_in=2.0, usd_per_mtok_out=9.0))
    [arm] = benched(made(), settings(("tokens",), (40,), (0.0,)), plan=Plan(models=(model,))).arms
    assert arm["usd_per_1000"] == {"m": pytest.approx(arm["context_tokens"] * 2.0 / 1000)}


def test_the_same_questions_give_the_same_figures_in_any_order(found: ChunksBench) -> None:
    questions = made()
    turned = Questions(
        texts=questions.texts[::-1],
        sources=questions.sources[::-1],
        spans=questions.spans[::-1],
        corpora=questions.corpora,
    )
    again = benched(turned)
    assert [a["recall"] for a in again.arms] == pytest.approx([a["recall"] for a in found.arms])
    assert again.why == found.why


def test_semantic_borders_are_timed_without_their_embedding_and_the_note_says_so() -> None:
    tried = settings(("semantic",), (80,), (0.0,), embedder="lexical")
    noted = benched(made(), tried)
    assert noted.about["notes"] == ["semantic 80: its vectors were known when it was timed; the first pass took 1.0 s of CPU"]  # fmt: skip


def test_too_few_questions_and_impossible_plans_are_refused() -> None:
    with pytest.raises(DataError, match="1 are too few for two halves"):
        benched(made(sources=1, per_source=1))
    for given, said in (
        ({"k": 0}, "k: a whole number"),
        ({"margin": 0.0}, "margin: "),
        ({"budgets": (0,)}, "budgets "),
    ):
        with pytest.raises(ConfigError, match=said):
            Plan(**given)  # type: ignore[arg-type]


def test_characters_get_four_to_a_token_and_unknown_kinds_the_nearest_name() -> None:
    [setting] = settings(("characters", "characters"), (100,), (0.2,))
    assert (setting.name, setting.size, setting.unit) == ("characters 400 characters +20%", 400, "characters")
    with pytest.raises(ConfigError, match="did you mean 'sentences'"):
        settings(("sentence",))
    with pytest.raises(ConfigError, match="there is nothing to try"):
        settings(())


# The choice


def scores(recall: Sequence[float], tokens: float) -> Scores:
    values, many = np.array(recall, dtype=float), np.full(len(recall), float(tokens))
    return Scores(
        **dict.fromkeys(("recall", "precision", "iou", "omega", "reciprocal_rank", "ndcg", "hit", "whole"), values),
        context_tokens=many,
        retrieved_tokens=many,
        recall_at={},
        tokens_at={},
    )


HALVES = (np.arange(100), np.arange(100, 200))


def test_the_cheapest_context_within_the_margin_is_named_and_confirmed() -> None:
    full = [1.0] * 190 + [0.0] * 10
    made_ = choice(["dear", "cheap", "poor"], [scores(full, 2000), scores(full, 500), scores([0.5] * 200, 10)], HALVES)
    assert (made_.named, made_.best, made_.accepted) == (1, 0, True)
    assert made_.why.startswith("cheap gives the most recall per token: recall 0.900 with 500 tokens a question")
    made_ = choice(["dear", "cheap"], [scores([0.5] * 200, 2000), scores(full, 500)], HALVES)
    assert (made_.named, made_.best, made_.accepted) == (1, 1, True)
    assert made_.why.startswith("cheap had both the best recall")
    less = [0.98] + [1.0] * 189 + [0.0] * 10
    made_ = choice(["dear", "cheap"], [scores(full, 2000), scores(less, 500)], HALVES)
    assert (made_.named, made_.best, made_.accepted) == (1, 0, True)
    assert made_.versus["token_ratio"] == 0.25
    assert made_.versus["verdict"] == "non-inferior"


def test_an_arm_that_loses_on_the_other_half_is_not_recommended() -> None:
    full = [1.0] * 200
    lost = [1.0] * 100 + [0.7] * 100
    made_ = choice(["dear", "cheap"], [scores(full, 2000), scores(lost, 500)], HALVES)
    assert (made_.named, made_.accepted, made_.versus["verdict"]) == (1, False, "worse")
    assert made_.why.startswith("none: cheap, the most recall per token, loses recall within 0.05: recall 0.700")


def test_what_few_questions_cannot_show_is_said_with_the_number_that_would() -> None:
    draw = random.Random(1)
    base, new = ([float(draw.random() < 0.8) for _ in range(200)] for _ in range(2))
    made_ = choice(["dear", "cheap"], [scores(base, 2000), scores(new, 500)], HALVES, margin=0.3)
    wide = choice(["dear", "cheap"], [scores(base, 2000), scores(new, 500)], HALVES, margin=0.1)
    assert {made_.named, wide.named} == {1}
    assert wide.versus["verdict"] == "inconclusive"
    assert "questions would tell" in wide.why
    assert not wide.accepted


def test_the_other_half_names_no_arm() -> None:
    questions = made()
    one = benched(questions)
    confirm = set(halves(questions)[1].tolist())
    spans = tuple(((0, 1),) if i in confirm else s for i, s in enumerate(questions.spans))
    other = benched(Questions(texts=questions.texts, sources=questions.sources, spans=spans, corpora=questions.corpora))
    assert [a["tune"] for a in one.arms] == [a["tune"] for a in other.arms]
    assert [a["confirm"] for a in one.arms] != [a["confirm"] for a in other.arms]


# The command


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The flags of a small bench."""
    questions = made()
    folder = tmp_path / "corpora"
    folder.mkdir()
    for name, text in questions.corpora.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    lines = ["question,references,corpus_id"]
    for text, name, [(start, end)] in zip(questions.texts, questions.sources, questions.spans, strict=True):
        reference = json.dumps([{"start_index": start, "end_index": end}]).replace('"', '""')
        lines.append(f'{text},"{reference}",{name}')
    (tmp_path / "q.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ["bench", "chunks", "--corpora", str(folder), "--questions", str(tmp_path / "q.csv")]


def test_the_command_writes_what_the_contract_says(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.json"
    flags = [
        "--out",
        str(out),
        "--embedder",
        "lexical",
        "--chunkers",
        "sentences",
        "tokens",
        "--sizes",
        "40",
        "--k",
        "3",
    ]
    assert main([*files, *flags]) == 0
    said = capsys.readouterr()
    assert "40 questions, 40 spans, 5 sources, k = 3" in said.out
    assert f"wrote {out}" in said.out
    result = json.loads(out.read_text(encoding="utf-8"))
    assert {"arms", "recommended", "why"} <= result.keys()
    assert result["why"] in said.out
    assert [(a["chunker"], a["size"], a["overlap"], a["k"]) for a in result["arms"]] == [
        (kind, 40, overlap, 3) for kind in ("sentences", "tokens") for overlap in (0.0, 0.2)
    ]
    assert all(key in arm for arm in result["arms"] for key in CONTRACT)
    if result["recommended"] is not None:
        assert {k: v for k, v in result["recommended"].items() if k != "vs_best_recall"} in result["arms"]
    assert result["arms"][0]["usd_per_1000"]["gpt-5-mini"] > 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--chunkers", "semantc"], "bench chunks: chunker.kind: unknown 'semantc'; did you mean 'semantic'?"),
        (["--sizes", "0"], "bench chunks: chunker.size: a whole number from 1 is wanted, not 0"),
        (["--overlaps", "1.5"], "bench chunks: chunker.overlap: a share must be from 0 and below 1, not 1.5"),
        (["--embedder", "minlm"], "embedder.kind: unknown 'minlm'; did you mean 'minilm'?"),
        (["--k", "0"], "k: a whole number from 1 is wanted, not 0"),
        (["--margin", "2"], "margin: must be more than 0 and less than 1, not 2.0"),
        (["--questions", "no.csv"], "no.csv: no such file"),
        (["--corpora", "no"], "no: there is no such folder"),
        (["--out", "no/r.json"], "no/r.json: cannot be written (No such file or directory)"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    files: list[str], flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*files, *flags] if flags[0] not in ("--questions", "--corpora") else [*files[:2], *files[2:], *flags]
    assert main(given) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"routelab: {said}")
    assert [line for line in err.splitlines()[1:] if not line.startswith("  hint: ")] == []


def test_the_recorded_questions_are_benched_by_words(shared: Path) -> None:
    data = shared / "data" / "rag_chunking"
    questions = Questions.read(data / "questions_df.csv", data / "corpora")
    tried = settings(("tokens",), (200,), (0.0,))
    [arm] = bench(questions, tried, embedders={}, plan=Plan(by=("words",), budgets=())).arms
    # The published precision-Ω of the same cuts is 21.0 ± 11.9 %; it needs no embedder.
    assert (round(100 * arm["precision_omega"], 1), arm["chunks"]) == (21.1, 1630)
    assert 0.8 < arm["recall"] < 0.9
