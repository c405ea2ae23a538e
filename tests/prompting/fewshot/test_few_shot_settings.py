"""What a config may say of examples, and what it is told when it cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from routelab import strict
from routelab.core.errors import ConfigError
from routelab.core.values import Prompt
from routelab.prompting.fewshot import MOST_INLINE, Pool, Selector, few_shot_of, identity_of, spec_of
from routelab.testing.embedders import Shelf

SHOTS = [{"question": "2 + 2?", "answer": "4"}, {"question": "3 + 3?", "answer": 6}]


def written(tmp_path: Path, text: str, lines: str) -> strict.Document:
    """Return the document of a config in a folder with a file of examples."""
    (tmp_path / "shots.csv").write_text(text, encoding="utf-8")
    path = tmp_path / "a.yaml"
    path.write_text(f"prompt:\n  few_shot:\n{lines}", encoding="utf-8")
    return strict.read(path)


def made(document: strict.Document) -> Any:
    """Return what the document's few-shot mapping describes."""
    return few_shot_of(document.values["prompt"]["few_shot"], document)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"kind": "random"}, "config: prompt.few_shot.examples: is missing"),
        ({"examples": SHOTS}, "config: prompt.few_shot: `kind` is missing"),
        (
            {"kind": "nearest", "k": 3, "examples": SHOTS},
            "config: prompt.few_shot.k: 3 are wanted, and there are 2 examples",
        ),
        (
            {"kind": "nearest", "k": 0, "examples": SHOTS},
            "config: prompt.few_shot.k: a whole number from 1 is wanted, not 0; without examples, leave them out",
        ),
        (
            {"kind": "nearest", "k": "2", "examples": SHOTS},
            "config: prompt.few_shot.k: must be a whole number (got '2')",
        ),
        (
            {"kind": "nearest", "k": 1, "embedder": "minilmm", "examples": SHOTS},
            "config: prompt.few_shot.embedder.kind: unknown 'minilmm'; did you mean 'minilm'?",
        ),
        (
            {"kind": "diverse", "k": 2, "among": 1, "examples": SHOTS},
            "config: prompt.few_shot.among: 2 of the 1 nearest cannot be shown; give at least `k`",
        ),
        (
            {"kind": "diverse", "k": 2, "relevance": 1.5, "examples": SHOTS},
            "config: prompt.few_shot.relevance: must lie between 0 and 1, not 1.5",
        ),
        (
            {"kind": "random", "k": 1, "per_answer": 0, "examples": SHOTS},
            "config: prompt.few_shot.per_answer: must be at least 1, not 0",
        ),
        (
            {"kind": "random", "k": 1, "duplicate_at": 0, "examples": SHOTS},
            "config: prompt.few_shot.duplicate_at: a cosine above 0, at most 1, is wanted, not 0.0",
        ),
        ({"kind": "fixed", "ids": ["a"], "examples": SHOTS}, "config: prompt.few_shot.ids: there is no example 'a'"),
        (
            {"kind": "fixed", "k": 1, "examples": [{"question": "x"}]},
            "config: prompt.few_shot.examples[0]: `answer` is missing",
        ),
        (
            {"kind": "fixed", "k": 1, "examples": [{"question": "x", "answer": True}]},
            "config: prompt.few_shot.examples[0]: answer: must be a text (got True)",
        ),
        (
            {"kind": "fixed", "k": 1, "examples": [{"question": "x", "answer": "y", "grup": "g"}]},
            "config: prompt.few_shot.examples.0.grup: unknown key; did you mean 'group'?",
        ),
        (
            {"kind": "fixed", "k": 1, "examples": [Prompt(id="p", messages=(), reference="r")]},
            "config: prompt.few_shot.examples[0]: the question of the prompt 'p' is empty",
        ),
        ({"kind": "fixed", "k": 1, "examples": []}, "config: prompt.few_shot.examples: has no examples"),
        ("random", "config: prompt.few_shot: must be a mapping with `kind` and `examples` (got 'random')"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_key(spec: Any, said: str) -> None:
    with pytest.raises(ConfigError) as trouble:
        few_shot_of(spec)
    assert trouble.value.message == said


def test_a_relative_file_starts_at_the_yaml(tmp_path: Path) -> None:
    document = written(
        tmp_path, "text,label\nhello,greeting\nbye,farewell\n", "    {kind: random, k: 2, examples: shots.csv}"
    )
    chosen = made(document)
    assert [(e.question, e.answer) for e in chosen.examples] == [("hello", "greeting"), ("bye", "farewell")]
    assert spec_of(chosen) == {"kind": "random", "examples": "shots.csv", "k": 2, "digest": chosen.examples.digest}
    assert spec_of(chosen, tmp_path / "below")["examples"] == str(Path("..", "shots.csv"))


def test_a_broken_file_is_told_with_the_config_s_line_and_the_file_s(tmp_path: Path) -> None:
    document = written(tmp_path, "text,label\nhello\n", "    kind: random\n    examples: shots.csv\n")
    with pytest.raises(ConfigError) as trouble:
        made(document)
    assert trouble.value.message == (
        f"{tmp_path / 'a.yaml'}:4: prompt.few_shot.examples: {tmp_path / 'shots.csv'}:2: has 1 fields, the head has 2"
    )


def test_a_file_that_has_changed_is_told(tmp_path: Path) -> None:
    document = written(tmp_path, "text,label\nhello,greeting\n", "    {kind: random, k: 1, examples: shots.csv}")
    spec = spec_of(made(document))
    assert few_shot_of(spec, document) == made(document)
    (tmp_path / "shots.csv").write_text("text,label\nhello,farewell\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"digest: the examples are not those that this was written with"):
        few_shot_of(spec, document)


def test_what_is_shown_is_the_identity_and_not_where_it_is_kept(tmp_path: Path) -> None:
    pool = Pool.of(SHOTS)
    moved = [pool.write(tmp_path / name) for name in ("a.csv", "b.jsonl")]
    told = [identity_of(few_shot_of({"kind": "random", "k": 2, "examples": p})) for p in (pool, *moved)]
    assert told[0] == told[1] == told[2] == {"kind": "random", "examples": pool.digest, "k": 2}
    other = Pool.of([*SHOTS, {"question": "4 + 4?", "answer": "8"}])
    assert identity_of(few_shot_of({"kind": "random", "k": 2, "examples": other})) != told[0]


def test_inline_examples_keep_their_ids_and_groups() -> None:
    rows = [{"question": "a", "answer": "b", "group": "g"}, {"id": "own", "question": "c", "answer": "d"}]
    chosen = few_shot_of({"kind": "fixed", "k": 2, "examples": rows})
    assert spec_of(chosen)["examples"] == rows
    assert few_shot_of(spec_of(chosen)) == chosen


def test_too_many_examples_for_a_yaml_file_are_refused() -> None:
    pool = Pool.of([{"question": f"{i} " + "x" * 900, "answer": "y"} for i in range(MOST_INLINE // 900)])
    with pytest.raises(ConfigError, match="too many to write into a YAML file"):
        spec_of(few_shot_of({"kind": "random", "examples": pool}))


def test_an_embedder_of_somebody_s_own_is_no_yaml() -> None:
    class Own:
        id, dimensions = "own", 2

        def __call__(self, texts: Any) -> Any:
            raise AssertionError("nobody asks")

    chosen = few_shot_of({"kind": "nearest", "k": 1, "examples": SHOTS, "embedder": Own()})
    assert identity_of(chosen)["embedder"] == "own"
    with pytest.raises(ConfigError, match="an embedder of type Own cannot be written to YAML"):
        spec_of(chosen)


def test_the_log_keeps_the_pool_s_vectors() -> None:
    shelf = Shelf()
    chosen = few_shot_of({"kind": "nearest", "k": 1, "examples": SHOTS, "embedder": "lexical"})
    first = Selector(few_shot=chosen, store=shelf)(Prompt.of("what is 3 + 3"))
    assert [e.answer for e in first] == ["6"]
    assert shelf.given == [2]
    Selector(few_shot=chosen, store=shelf)(Prompt.of("what is 2 + 2"))
    assert shelf.given == [2]
