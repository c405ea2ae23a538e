"""Every embedder that ships keeps the embedders' contract."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from routelab.core.ports import Embedder
from routelab.embedding import Cached, Endpoint, Lexical, MiniLM
from routelab.store import Log
from routelab.testing.embedders import EmbedderContract, Shelf


class TestMiniLM(EmbedderContract):
    model = MiniLM(threads=2)

    def embedder(self) -> Embedder:
        return self.model


class TestLexical(EmbedderContract):
    def embedder(self) -> Embedder:
        return Lexical()


class TestSmallLexical(EmbedderContract):
    def embedder(self) -> Embedder:
        return Lexical(dimensions=64, shortest=1, longest=2)


class TestCached(EmbedderContract):
    shelf = Shelf()

    def embedder(self) -> Embedder:
        return Cached(embedder=Lexical(), store=self.shelf)


class TestEndpoint(EmbedderContract):
    @pytest.fixture(autouse=True)
    def _key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")

    def embedder(self) -> Embedder:
        def answer(request: httpx.Request) -> httpx.Response:
            rows = 3.0 * Lexical(dimensions=128)(json.loads(request.content)["input"])
            return httpx.Response(
                200, json={"data": [{"index": i, "embedding": list(map(float, r))} for i, r in enumerate(rows)]}
            )

        transport = httpx.MockTransport(answer)
        return Endpoint(url="https://embed.invalid/v1", model="m", dimensions=128, batch=5, transport=transport)

    tolerance = float(np.finfo(np.float32).eps)


class TestCachedInTheLog(EmbedderContract):
    @pytest.fixture(autouse=True)
    def _log(self) -> Iterator[None]:
        self.log = Log(":memory:")
        yield
        self.log.close()
        del self.log

    def embedder(self) -> Embedder:
        return Cached(embedder=Lexical(), store=self.log)
