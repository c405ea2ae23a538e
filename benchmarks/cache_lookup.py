"""What finding the nearest entry costs, beside Chroma as it comes and GPTCache, in one run, as Markdown.

    python -m venv gptcache && gptcache/bin/pip install -r benchmarks/requirements-gptcache.txt
    python benchmarks/cache_lookup.py ../shared/data --gptcache gptcache/bin/python [--sizes 1000,10000,100000] [--kept FOLDER]

All get the same vectors and the same questions, a few at a time in turn and in an order drawn anew each time. Embedding is
not timed: GPTCache's embedding function looks texts up. Without --gptcache that program is left out.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.caching import SemanticConfig
from routelab.caching.semantic import Semantic
from routelab.core.events import Answered, Recalled
from routelab.core.run import Run
from routelab.core.values import Prompt
from routelab.embedding import content_hash, remember, vectors
from routelab.embedding.growing import Growing, growing_of
from routelab.testing import VirtualClock

Rows = NDArray[np.float32]
Ask = Callable[[Sequence[int]], tuple[list[float], list[int | None]]]

SIZES = (1_000, 10_000, 100_000)
ASKED = 600
TURN = 20
DIMENSIONS = 384
MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
"""Where GPTCache keeps its files: in memory, to its advantage, since it waits for the disk at every lookup."""
LEAST = 0.6
"""Cosine from which an entry counts as a hit for all: what GPTCache's default threshold of 0.8 comes to (4 - d² ≥ 3.2)."""

CHILD = """
import json, os, sys, time
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
import numpy as np
from gptcache import Cache, Config
from gptcache.adapter.api import get
from gptcache.manager import manager_factory
from gptcache.processor.pre import get_prompt
from gptcache.similarity_evaluation import SearchDistanceEvaluation

place = sys.argv[1]
rows, asked = np.load(place + "/rows.npy"), np.load(place + "/asked.npy")
known = {f"entry {i}": v for i, v in enumerate(rows)}
known.update({f"question {i}": v for i, v in enumerate(asked)})
manager = manager_factory(
    "sqlite,faiss", data_dir=place + "/gptcache", vector_params={"dimension": rows.shape[1]},
    eviction_params={"max_size": 2 * len(rows)},
)
cache = Cache()
cache.init(
    pre_embedding_func=get_prompt, embedding_func=lambda text, **_: known[text], data_manager=manager,
    similarity_evaluation=SearchDistanceEvaluation(), config=Config(),
)
for start in range(0, len(rows), 1000):
    some = range(start, min(start + 1000, len(rows)))
    cache.import_data([f"entry {i}" for i in some], [f"answer {i}" for i in some])
said = sys.stdout
sys.stdout = sys.stderr
print(json.dumps("ready"), file=said, flush=True)

for line in sys.stdin:
    how, numbers = json.loads(line)
    times, answers = [], []
    for i in numbers:
        text = f"question {i}"
        if how == "search":
            began = time.perf_counter()
            found = manager.search(known[text])
            times.append(time.perf_counter() - began)
            answer = manager.get_scalar_data(found[0]).answers[0].answer if found[0][0] <= 0.8 else None
        else:
            cache.config.disable_report = how == "quiet"
            began = time.perf_counter()
            answer = get(text, cache_obj=cache)
            times.append(time.perf_counter() - began)
        answers.append(None if answer is None else int(str(getattr(answer, "answer", answer)).split()[1]))
    print(json.dumps([times, answers]), file=said, flush=True)
"""
HOWS = {
    "get": "GPTCache, `get`, as it comes",
    "quiet": "GPTCache, `get`, its report off",
    "search": "GPTCache, vector search alone",
}


@dataclass
class Measured:
    """What one program took and answered, question by question."""

    times_s: list[float] = field(default_factory=list)
    answers: list[int | None] = field(default_factory=list)


def unit(rows: NDArray[Any]) -> Rows:
    """Return the rows at length 1, float32."""
    made: Rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return made


def made_up(n: int, seed: int = 0) -> tuple[Rows, Rows]:
    """Return n entries and the questions: topics of 25 entries in a space whose coordinates have falling weights.

    A row is a direction that all share, a topic, and its own part, each with coordinate j of variance 1/j^0.8, turned by a
    random rotation: as in MiniLM's vectors of banking77, the leading 47 directions hold between half and four fifths of the
    squares, two of one topic have a cosine around .6 and of two topics around .2. Half of the questions are an entry with some
    noise (cosine around .9), half are new ones of a topic.
    """
    rng = np.random.default_rng(seed)
    weights = np.arange(1, DIMENSIONS + 1) ** -0.4
    weights /= np.linalg.norm(weights)
    turned = np.linalg.qr(rng.normal(size=(DIMENSIONS, DIMENSIONS)))[0]
    topics = rng.normal(size=(max(n // 25, 1), DIMENSIONS))
    shared = rng.normal(size=DIMENSIONS)

    def some(count: int) -> NDArray[Any]:
        of = topics[rng.integers(len(topics), size=count)]
        return (0.45 * shared + 0.63 * of + 0.63 * rng.normal(size=(count, DIMENSIONS))) * weights

    rows = some(n)
    like = rows[rng.integers(n, size=ASKED // 2)] + 0.45 * rng.normal(size=(ASKED // 2, DIMENSIONS)) * weights
    asked = np.concatenate([like, some(ASKED - ASKED // 2)])[rng.permutation(ASKED)]
    return unit(rows @ turned), unit(asked @ turned)


def real(data: Path, n: int, seed: int = 0) -> tuple[Rows, Rows]:
    """Return n entries and the questions from MiniLM's vectors of banking77's train texts, drawn without replacement."""
    with (data / "semantic_cache" / "banking77_train.csv").open(encoding="utf-8", newline="") as file:
        texts = list(dict.fromkeys(row["text"] for row in csv.DictReader(file)))
    rows = vectors("minilm", texts)[np.random.default_rng(seed).permutation(len(texts))]
    return rows[ASKED : ASKED + n], rows[:ASKED]


def ours(index: Growing, rows: Rows, asked: Rows, k: int, least: float) -> Ask:
    """Return what asks our index, and looks the answer of what it finds up."""
    ids = [f"entry {i}" for i in range(len(rows))]
    index.add(ids, rows)
    answers = {entry: i for i, entry in enumerate(ids)}

    def ask(numbers: Sequence[int]) -> tuple[list[float], list[int | None]]:
        times, found = [], []
        for i in numbers:
            began = time.perf_counter()
            near = index.nearest(asked[i], k, least)
            answer = answers[near[0][0]] if near and near[0][1] >= LEAST else None
            times.append(time.perf_counter() - began)
            found.append(answer)
        return times, found

    return ask


def whole(rows: Rows, asked: Rows) -> Ask:
    """Return what asks our semantic cache as a run does: key, namespace, index, age, answer; its embedder looks texts up."""
    entries, questions = (
        [f"{word} {i}" for i in range(n)] for word, n in (("entry", len(rows)), ("question", len(asked)))
    )
    for texts, made in ((entries, rows), (questions, asked)):
        remember("minilm", {content_hash(text): row for text, row in zip(texts, made, strict=True)})
    settings = SemanticConfig(threshold=LEAST, guard="none", embedder="minilm", index="exact")
    cache = Semantic(settings=settings, clock=VirtualClock(), size=2 * len(rows))

    def run(text: str, said: str) -> Run:
        answer = Answered(model="m", served_model="m", provider="p", text=said)
        return Run(id=text, prompt=Prompt.of(text), started_at=datetime(2026, 1, 1), events=(answer,))

    for i, text in enumerate(entries):
        kept = run(text, f"answer {i}")
        cache.keep(kept, cache.key(kept, "bench"))

    def ask(numbers: Sequence[int]) -> tuple[list[float], list[int | None]]:
        times, found = [], []
        for i in numbers:
            now = run(questions[i], "")
            began = time.perf_counter()
            got = cache.look(now, "bench")
            times.append(time.perf_counter() - began)
            found.append(int(got.text.split()[1]) if isinstance(got, Recalled) else None)
        return times, found

    return ask


def chroma(rows: Rows, asked: Rows) -> Ask:
    """Return what asks a Chroma collection in memory with its own settings, but for the cosine."""
    import chromadb
    from chromadb.config import Settings

    client = chromadb.EphemeralClient(settings=Settings(anonymized_telemetry=False))
    collection = client.create_collection(
        f"raw_{uuid.uuid4().hex}", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
    )
    for start in range(0, len(rows), 1000):
        part = rows[start : start + 1000]
        some = range(start, start + len(part))
        collection.add(ids=[str(i) for i in some], embeddings=part, documents=[f"answer {i}" for i in some])

    def ask(numbers: Sequence[int]) -> tuple[list[float], list[int | None]]:
        times, found = [], []
        for i in numbers:
            began = time.perf_counter()
            near = collection.query(query_embeddings=asked[i], n_results=1)
            times.append(time.perf_counter() - began)
            distances = near["distances"] or [[]]
            found.append(int(near["ids"][0][0]) if distances[0][0] <= 1 - LEAST else None)
        return times, found

    return ask


def gptcache(python: str, kept: Path, rows: Rows, asked: Rows, stack: ExitStack) -> dict[str, Ask]:
    """Return what asks GPTCache, which runs and takes its times in its own environment."""
    place = stack.enter_context(tempfile.TemporaryDirectory(dir=kept))
    np.save(Path(place, "rows.npy"), rows)
    np.save(Path(place, "asked.npy"), asked)
    child = stack.enter_context(
        subprocess.Popen(
            [python, "-W", "ignore", "-c", CHILD, place], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    )
    stack.callback(child.kill)
    assert child.stdin is not None
    assert child.stdout is not None
    told, said = child.stdin, child.stdout
    if json.loads(said.readline()) != "ready":
        raise SystemExit("GPTCache did not start")

    def asking(how: str) -> Ask:
        def ask(numbers: Sequence[int]) -> tuple[list[float], list[int | None]]:
            told.write(json.dumps([how, [int(i) for i in numbers]]) + "\n")
            told.flush()
            times, answers = json.loads(said.readline())
            return times, answers

        return ask

    return {title: asking(how) for how, title in HOWS.items()}


def measured(asks: dict[str, Ask], seed: int = 0) -> dict[str, Measured]:
    """Ask all the same questions, a few at a time in turn; the first turn warms up and does not count."""
    rng = np.random.default_rng(seed)
    found = {name: Measured() for name in asks}
    for start in range(-TURN, ASKED, TURN):
        numbers = range(max(start, 0), max(start, 0) + TURN)
        for name in rng.permutation(list(asks)).tolist():
            times, answers = asks[name](numbers)
            if start >= 0:
                found[name].times_s += times
                found[name].answers += answers
    return found


def commit_s(folder: Path, times: int = 20) -> float:
    """Return the median time that SQLite takes to commit a row in a folder, in seconds."""
    spent = []
    with tempfile.TemporaryDirectory(dir=folder) as place:
        database = sqlite3.connect(Path(place, "commits.db"))
        database.execute("CREATE TABLE t (a)")
        for _ in range(times):
            began = time.perf_counter()
            database.execute("INSERT INTO t VALUES (1)")
            database.commit()
            spent.append(time.perf_counter() - began)
        database.close()
    return float(np.median(spent))


def recall(answers: Sequence[int | None], rows: Rows, asked: Rows) -> tuple[int, int]:
    """Return how many of the questions with an entry near enough got the nearest one's answer, and how many those are."""
    right = of = 0
    for vector, answer in zip(asked.astype(float), answers, strict=True):
        cosines = rows @ vector
        if cosines.max() >= LEAST + 1e-6:
            of += 1
            right += answer is not None and bool(cosines[answer] >= cosines.max() - 1e-6)
    return right, of


def table(rows: Rows, asked: Rows, python: str | None, kept: Path) -> list[str]:
    """Return the table's rows for one set of entries."""
    exact = growing_of("exact", dimensions=DIMENSIONS)
    like_theirs = "ours, exact"
    asks = {
        like_theirs: ours(exact, rows, asked, 1, LEAST),
        "ours, exact, five nearest however far": ours(growing_of("exact", dimensions=DIMENSIONS), rows, asked, 5, -1.0),
        "ours, `Semantic.look`, guard off": whole(rows, asked),
        "ours, Chroma": ours(growing_of("chroma", dimensions=DIMENSIONS), rows, asked, 1, LEAST),
        "Chroma, `collection.query`": chroma(rows, asked),
    }
    with ExitStack() as stack:
        if python is not None:
            asks.update(gptcache(python, kept, rows, asked, stack))
        found = measured(asks)
    base = np.array(found[like_theirs].times_s)
    lines = []
    for name, got in found.items():
        times = np.array(got.times_s)
        right, of = recall(got.answers, rows, asked)
        p50, p99 = np.percentile(times, [50, 99]) * 1e3
        lines.append(
            f"| {len(rows):,} | {name} | {p50:.3f} | {p99:.3f} | {np.median(times / base):.1f} | {right} of {of} |"
        )
    return lines


def section(data: Path, python: str | None = None, sizes: Sequence[int] = SIZES, kept: Path = MEMORY) -> str:
    """Return the page's section: the machine, the versions, how it was asked, and a table for each kind of vectors."""
    names = ("numpy", "chromadb")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    if python is not None:
        code = "import importlib.metadata as m; print(*[f'{n} {m.version(n)}' for n in ('gptcache', 'faiss-cpu', 'sqlalchemy')], sep=', ')"
        versions += (
            ", " + subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        )
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    text = [
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {versions}. "
        f"Threads: ours and GPTCache on one (OMP_NUM_THREADS here {threads}, 1 in GPTCache's process), Chroma as it comes. "
        f"{ASKED} questions, {TURN} at a time in turn; milliseconds for a lookup without the embedding. Ratio: median over "
        "questions of the time over that of ours, exact. Recall: of the questions with an entry of cosine "
        f"{LEAST} or more, how many got the nearest one's answer. Ours finds an id and its answer in memory, and `Semantic.look` is all that a run waits for; GPTCache's `get` "
        "reads the answer from SQLite, notes there when it was read, and as it comes writes a report of each hit; each is a commit. "
        f"Its files are in {kept}, where a commit takes {commit_s(kept) * 1e3:.3f} ms"
        f" (in {tempfile.gettempdir()}: {commit_s(Path(tempfile.gettempdir())) * 1e3:.3f} ms).",
    ]
    head = ["| entries | | p50 ms | p99 ms | ratio | recall@1 |", "|---:|---|---:|---:|---:|---:|"]
    made = [line for n in sizes for line in table(*made_up(n), python, kept)]
    text += [
        "**Made-up vectors**, 384 dimensions, topics of 25 entries in a space with falling weights.",
        "\n".join(head + made),
    ]
    fits = sorted({min(n, 9_000) for n in sizes})
    minilm = [line for n in fits for line in table(*real(data, n), python, kept)]
    text += [
        "**MiniLM's vectors** of banking77's train texts; entries and questions are different texts.",
        "\n".join(head + minilm),
    ]
    return "\n\n".join(text) + "\n"


def main() -> None:
    """Print the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--gptcache", metavar="PYTHON", help="the Python of GPTCache's own environment")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of entries, with commas between")
    parser.add_argument("--kept", type=Path, default=MEMORY, help="where GPTCache keeps its files (default: in memory)")
    given = parser.parse_args()
    sizes = [int(n) for n in given.sizes.split(",")]
    sys.stdout.write(section(given.data, given.gptcache, sizes, given.kept))


if __name__ == "__main__":
    main()
