"""MiniLM: sentence vectors from a model that ships with the package, offline."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.core.errors import ConfigError

BUNDLED = Path(__file__).with_name("all-minilm-l6-v2-int8")
_DIMENSIONS = 384
_MAX_TOKENS = 256
# More text than 256 tokens can hold, unless words are longer than 100 characters; it keeps a 10 MB prompt cheap.
_MAX_CHARACTERS = 32_768


@dataclass(frozen=True, kw_only=True)
class MiniLM:
    """Embeds texts with all-MiniLM-L6-v2 (int8 ONNX): 384 dimensions, the first 256 tokens.

    Each text goes through the network by itself, on `threads` threads side by side. Dynamic int8 quantisation takes its
    scale from the whole input, so in a padded batch a text's vector would depend on its company (cosine down to 0.985
    against the same text alone, measured on 400 short questions), and a cached vector would not be the one computed
    afresh. Alone, a text has one vector; that costs a sixth of the throughput (1,260 against 1,510 short texts a second
    on 2 cores).

    `folder` holds model.onnx and tokenizer.json. Both, onnxruntime and tokenizers are loaded at the first call.
    """

    folder: Path = BUNDLED
    threads: int = field(default_factory=lambda: min(4, os.cpu_count() or 1), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        if isinstance(self.threads, bool) or not isinstance(self.threads, int) or self.threads < 1:
            raise ConfigError(f"embedder.threads: a whole number from 1 is wanted, not {self.threads!r}")
        for name in ("model.onnx", "tokenizer.json"):
            if not (self.folder / name).is_file():
                raise ConfigError(f"embedder.folder: there is no {name} in {self.folder}")

    @cached_property
    def id(self) -> str:
        """The model's name with the first 12 digits of the hash of its two files."""
        both = hashlib.sha256()
        for name in ("model.onnx", "tokenizer.json"):
            both.update((self.folder / name).read_bytes())
        return f"{self.folder.name}@{both.hexdigest()[:12]}"

    @property
    def dimensions(self) -> int:
        """384."""
        return _DIMENSIONS

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit vector a text, n × 384; an empty text has one too."""
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        if len(texts) < 2 or self.threads == 1:
            for i, text in enumerate(texts):
                vectors[i] = self._vector(text)
            return vectors
        # Longest first, so that no thread is left alone with a long text at the end.
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        with ThreadPoolExecutor(self.threads, thread_name_prefix="routelab-embed") as pool:
            for i, vector in zip(order, pool.map(lambda i: self._vector(texts[i]), order), strict=True):
                vectors[i] = vector
        return vectors

    def _vector(self, text: str) -> NDArray[np.float32]:
        session, tokenizer = self._loaded
        # UTF-8 has no lone surrogates and the tokenizer takes UTF-8 only.
        whole = " ".join(text.split())[:_MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
        ids = np.array([tokenizer.encode(whole).ids], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        hidden: NDArray[np.float32] = session.run(["last_hidden_state"], inputs)[0]
        mean = hidden[0].mean(axis=0, dtype=np.float64)
        unit: NDArray[np.float32] = (mean / np.linalg.norm(mean)).astype(np.float32)
        return unit

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        return _session(self.folder / "model.onnx"), _tokenizer(self.folder / "tokenizer.json")

    def __getstate__(self) -> dict[str, Any]:
        # What was loaded stays here; another process loads its own.
        return {f.name: getattr(self, f.name) for f in fields(self)}


def _session(path: Path) -> Any:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = onnxruntime.SessionOptions()
    # One thread a text: the order of additions, and so the vector, does not depend on the machine's cores.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (
        state.InvalidProtobuf,
        state.InvalidGraph,
        state.InvalidArgument,
        state.Fail,
        state.NotImplemented,
    ) as trouble:
        raise ConfigError(f"embedder.folder: {path} cannot be run: {' '.join(str(trouble).split())[:160]}") from None
    inputs = {i.name for i in session.get_inputs()}
    outputs = {o.name: o.shape for o in session.get_outputs()}
    wanted = {"input_ids", "attention_mask", "token_type_ids"}
    if inputs != wanted or outputs.get("last_hidden_state", [None])[-1] != _DIMENSIONS:
        raise ConfigError(
            f"embedder.folder: {path} has other inputs or outputs than a MiniLM of {_DIMENSIONS} dimensions",
            hint="serve it behind an embeddings endpoint, and use the kind endpoint",
        )
    return session


def _tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    text = path.read_text(encoding="utf-8", errors="replace")
    # Checked first, because the library's own complaint is a bare Exception.
    try:
        described = json.loads(text)
    except ValueError:
        described = None
    if not isinstance(described, dict) or not isinstance(described.get("model"), dict):
        raise ConfigError(f"embedder.folder: {path} describes no tokenizer")
    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_padding()
    tokenizer.enable_truncation(_MAX_TOKENS)
    return tokenizer
