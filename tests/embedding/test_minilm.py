from __future__ import annotations

import csv
import hashlib
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from routelab.core.errors import ConfigError
from routelab.embedding import MiniLM
from routelab.embedding.minilm import BUNDLED

MODEL = MiniLM(threads=2)


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """The chance that a pair labelled 1 scores above a pair labelled 0 (Mann and Whitney)."""
    above = (scores[labels == 1][:, None] > scores[labels == 0][None, :]).mean()
    equal = (scores[labels == 1][:, None] == scores[labels == 0][None, :]).mean()
    return float(above + equal / 2)


def test_meaning_beats_spelling() -> None:
    one, same, other = MODEL(
        ["How do I reset my password?", "I forgot my login secret, help", "How do I reset my counter?"]
    )
    assert one @ same > one @ other


def test_the_bundled_files_are_those_that_the_readme_names() -> None:
    named = dict(re.findall(r"\| `([\w.]+)` \| `([0-9a-f]{64})` \|", (BUNDLED / "README.md").read_text()))
    assert named == {
        name: hashlib.sha256((BUNDLED / name).read_bytes()).hexdigest() for name in ("model.onnx", "tokenizer.json")
    }
    assert MODEL.id == "all-minilm-l6-v2-int8@5c05bc2f845e"


def test_the_number_of_threads_changes_nothing() -> None:
    texts = [f"text number {i} " * (i % 7 + 1) for i in range(40)]
    assert np.array_equal(MiniLM(threads=1)(texts), MiniLM(threads=4)(texts))
    assert MiniLM(threads=1) == MiniLM(threads=4)


def test_only_the_first_256_tokens_count() -> None:
    head = "word " * 254
    assert np.array_equal(*MODEL([head, head + "and a different end"]))
    assert not np.array_equal(*MODEL(["word " * 253, head]))


def test_ten_megabytes_are_cut_before_they_cost() -> None:
    long = "A long story. " * 750_000
    assert np.array_equal(MODEL([long])[0], MODEL([long[:20_000]])[0])


def test_white_space_does_not_count() -> None:
    assert np.array_equal(*MODEL(["a  cat\n\tsleeps ", "a cat sleeps"]))


def test_a_copy_in_another_process_gives_the_same_vectors() -> None:
    MODEL(["loaded"])
    copy = pickle.loads(pickle.dumps(MODEL))
    assert copy == MODEL
    program = (
        "import sys, pickle; e = pickle.loads(bytes.fromhex(sys.argv[1])); print(e(['a cat', 'a dog']).tobytes().hex())"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, pickle.dumps(MODEL).hex()],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert told.stdout.strip() == MODEL(["a cat", "a dog"]).tobytes().hex()


def test_nothing_heavy_is_imported_before_the_first_call() -> None:
    program = "import sys, routelab.embedding as e; m = e.embedder_of(); m.id; print([n for n in ('onnxruntime', 'tokenizers') if n in sys.modules])"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize("threads", [0, -1, 1.5, True])
def test_threads_are_a_whole_number(threads: int) -> None:
    with pytest.raises(ConfigError, match=r"embedder\.threads"):
        MiniLM(threads=threads)


def test_a_folder_without_a_model_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no model\.onnx in"):
        MiniLM(folder=tmp_path)


def test_a_file_that_is_no_model_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    (tmp_path / "tokenizer.json").write_bytes((BUNDLED / "tokenizer.json").read_bytes())
    with pytest.raises(ConfigError, match=r"model\.onnx"):
        MiniLM(folder=tmp_path)(["x"])
    (tmp_path / "model.onnx").write_bytes((BUNDLED / "model.onnx").read_bytes())
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"tokenizer\.json"):
        MiniLM(folder=tmp_path)(["x"])


def test_recorded_pairs_are_told_apart_as_well_as_measured(shared: Path) -> None:
    with open(shared / "data" / "semantic_cache" / "banking77_pairs.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] != "hard_negative"][::8]
    a, b = MODEL([row["text_a"] for row in rows]), MODEL([row["text_b"] for row in rows])
    measured = auc((a * b).sum(axis=1), np.array([int(row["label"]) for row in rows]))
    assert measured == pytest.approx(0.936, abs=0.02)


def test_recorded_intents_are_found_as_well_as_measured(shared: Path) -> None:
    data = json.loads((shared / "data" / "intents" / "clinc150.json").read_text(encoding="utf-8"))
    train, held = data["train"][::10], data["val"][::10]
    known = MODEL([text for text, _ in train])
    nearest = (MODEL([text for text, _ in held]) @ known.T).argmax(axis=1)
    accuracy = np.mean([train[i][1] == intent for i, (_, intent) in zip(nearest, held, strict=True)])
    assert accuracy > 0.75  # 0.881 with all 15,000 texts; a tenth of them leaves ten an intent
