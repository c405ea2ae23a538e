"""A chunker is written as a mapping; what cannot be used is named, with the nearest thing that can."""

from __future__ import annotations

from typing import Any

import pytest

from routelab import strict
from routelab.chunking import KINDS, Semantic, chunker_of, spec_of
from routelab.core.errors import ConfigError


def test_the_contracts_example_is_read() -> None:
    assert chunker_of({"kind": "semantic", "size": 400, "overlap": 0.2}) == Semantic(size=400, overlap=0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_defaults_and_can_be_written_down(kind: str) -> None:
    assert spec_of(chunker_of(kind)) == {"kind": kind}
    full = {"kind": kind, "size": 77, "overlap": 0.2}
    assert spec_of(chunker_of(full)) == full


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"kind": "semantc"}, "chunker.kind: unknown 'semantc'; did you mean 'semantic'?"),
        ({"size": 3}, "chunker: `kind` is missing"),
        ({"kind": 3}, "chunker.kind: must be a text (got 3)"),
        ({"kind": "tokens", "size": 0}, "chunker.size: a whole number from 1 is wanted, not 0"),
        ({"kind": "tokens", "size": -5}, "chunker.size: a whole number from 1 is wanted, not -5"),
        ({"kind": "tokens", "size": 2.5}, "chunker.size: must be a whole number"),
        ({"kind": "tokens", "size": True}, "chunker.size: must be a whole number"),
        ({"kind": "tokens", "size": "400"}, "chunker.size: must be a whole number"),
        ({"kind": "tokens", "size": 9, "overlap": 9}, "chunker.overlap: must be from 0 and below the size (9), not 9"),
        ({"kind": "tokens", "size": 9, "overlap": 1.0}, "chunker.overlap: a share must be from 0 and below 1, not 1.0"),
        ({"kind": "tokens", "size": 9, "overlap": -0.1}, "chunker.overlap: a share must be from 0"),
        ({"kind": "tokens", "size": 9, "overlap": -1}, "chunker.overlap: must be from 0"),
        ({"kind": "tokens", "overlap": float("nan")}, "chunker.overlap:"),
        ({"kind": "recursive", "unit": "token"}, "chunker.unit:"),
        ({"kind": "recursive", "tokenizer": "o200k"}, "chunker.tokenizer: unknown 'o200k'; did you mean 'o200k_base'?"),
        ({"kind": "recursive", "fill": 1.5}, "chunker.fill: a share from 0 to 1 is wanted, not 1.5"),
        ({"kind": "recursive", "overlaps": 5}, "chunker.overlaps: unknown key; did you mean 'overlap'?"),
        ({"kind": "markdown", "apart": 7}, "chunker.apart: a heading's level, 1 to 6, or 0 is wanted, not 7"),
        ({"kind": "code", "language": "pyton"}, "chunker.language:"),
        ({"kind": "semantic", "embedder": "minilmm"}, "unknown 'minilmm'; did you mean 'minilm'?"),
        ({"kind": "semantic", "percentile": 101}, "chunker.percentile: a number from 0 to 100 is wanted, not 101"),
        ({"kind": "semantic", "around": 0}, "chunker.around: a whole number of sentences from 1 is wanted, not 0"),
        ({"kind": "semantic", "least": 2.0}, "chunker.least: a share of the size from 0 to 1 is wanted, not 2.0"),
        (["tokens"], "chunker: a name or a mapping with a kind is wanted"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_named(spec: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chunker_of(spec)
    assert said in caught.value.message


def test_in_a_file_the_line_is_named_too() -> None:
    found = strict.parse("retrieval:\n  chunker:\n    kind: tokens\n    size: 0\n", name="a.yaml")
    with pytest.raises(ConfigError) as caught:
        chunker_of(found.values["retrieval"]["chunker"], found, ("retrieval", "chunker"))
    assert caught.value.message == "a.yaml:4: retrieval.chunker.size: a whole number from 1 is wanted, not 0"


def test_an_overlap_is_a_share_or_a_number_of_units() -> None:
    assert [chunker_of({"kind": "tokens", "size": 5, "overlap": o}).limits().repeat for o in (0.2, 0.39, 1, 4)] == [
        1,
        1,
        1,
        4,
    ]  # type: ignore[attr-defined]
