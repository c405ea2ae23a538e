from __future__ import annotations

from typing import Any

import pytest

from routelab.core.errors import ConfigError
from routelab.embedding import Endpoint, Lexical, MiniLM, embedder_of


def test_a_name_or_a_mapping_becomes_an_embedder() -> None:
    assert embedder_of() == embedder_of("minilm") == MiniLM()
    assert embedder_of({"kind": "lexical", "dimensions": 64}) == Lexical(dimensions=64)
    spec = {"kind": "endpoint", "url": "http://localhost:11434/v1", "model": "m", "dimensions": 8, "key_env": None}
    assert embedder_of(spec) == Endpoint(url="http://localhost:11434/v1", model="m", dimensions=8, key_env=None)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("minlm", "embedder.kind: unknown 'minlm'; did you mean 'minilm'?"),
        ({"kind": 1}, "embedder.kind: unknown 1"),
        ({}, "embedder.kind: missing"),
        (7, "embedder: a name or a mapping with a kind is wanted, not int"),
        ({"kind": "lexical", "dimension": 8}, "embedder (lexical): unknown 'dimension'; did you mean 'dimensions'?"),
        (
            {"kind": "endpoint", "url": "http://x", "model": "m"},
            "embedder.dimensions: missing, an embedder of kind 'endpoint' needs it",
        ),
        ({"kind": "endpoint", "transport": None}, "embedder (endpoint): unknown 'transport'"),
    ],
)
def test_a_mapping_that_cannot_be_used_says_which_key_and_why(spec: Any, message: str) -> None:
    with pytest.raises(ConfigError) as trouble:
        embedder_of(spec)
    assert trouble.value.message == message
