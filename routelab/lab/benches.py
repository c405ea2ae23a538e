"""The command `routelab bench`: its flags, and what it says; `cli` prints."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from routelab.core.errors import ConfigError
from routelab.present import Table

if TYPE_CHECKING:
    from routelab.lab.chunks.answers import Asking


def flags(bench: argparse.ArgumentParser) -> None:
    """Give the parser of `routelab bench` its benches and their flags."""
    benches = bench.add_subparsers(dest="bench", required=True, metavar="BENCH", parser_class=type(bench))
    routes = benches.add_parser("routes", help="semantic routing: accuracy, out-of-scope recall, time a decision")
    routes.add_argument("--train", required=True, metavar="T.csv", help="text,label; an empty label is out of scope")
    routes.add_argument("--test", required=True, metavar="E.csv", help="the same; every figure is about these rows")
    routes.add_argument("--out", metavar="r.json", help="write the figures as JSON")
    routes.add_argument("--embedder", default="minilm", metavar="E", help="minilm or lexical")
    routes.add_argument(
        "--reject", type=float, default=0.05, metavar="X", help="share of prompts in scope that may be turned away"
    )
    cache = benches.add_parser(
        "cache", help="semantic caches: true hits at a bound on false ones, by threshold and guard"
    )
    cache.add_argument(
        "--pairs", required=True, metavar="P.csv", help="text_a,text_b,label[,slice]; label 1: one answer serves both"
    )
    cache.add_argument("--out", metavar="r.json", help="write the figures as JSON")
    cache.add_argument(
        "--embedder", nargs="+", default=["minilm", "lexical"], metavar="E", help="minilm, lexical (default: both)"
    )
    cache.add_argument(
        "--guard",
        nargs="+",
        default=["none", "lexical"],
        metavar="G",
        help="none, lexical, fitted: learned from the half that chooses (default: none lexical)",
    )
    cache.add_argument(
        "--budget", type=float, default=0.01, metavar="X", help="share of hits that may be false (default: 0.01)"
    )
    cache.add_argument("--seed", type=int, default=0, help="decides the halves")
    _chunks_flags(
        benches.add_parser("chunks", help="chunking and retrieval: how much of the answers, at which context")
    )


def _chunks_flags(chunks: argparse.ArgumentParser) -> None:
    chunks.add_argument("--corpora", required=True, metavar="DIR", help="a folder of .md and .txt texts")
    chunks.add_argument(
        "--questions", required=True, metavar="Q.csv", help="question,references,corpus_id: answers as spans of a text"
    )
    chunks.add_argument("--out", metavar="r.json", help="write the figures as JSON")
    chunks.add_argument("--k", type=int, default=5, metavar="K", help="passages a question (default: 5)")
    chunks.add_argument("--embedder", nargs="+", default=["minilm"], metavar="E", help="minilm, lexical")
    chunks.add_argument(
        "--chunkers",
        nargs="+",
        default=["tokens", "sentences", "recursive", "markdown", "semantic"],
        metavar="C",
        help="kinds of chunkers (default: tokens sentences recursive markdown semantic)",
    )
    chunks.add_argument(
        "--sizes", nargs="+", type=int, default=[200, 400], metavar="N", help="in tokens (default: 200 400)"
    )
    chunks.add_argument(
        "--overlaps", nargs="+", type=float, default=[0.0, 0.2], metavar="X", help="shares of the size (default: 0 0.2)"
    )
    chunks.add_argument(
        "--by", nargs="+", default=["vectors"], choices=("vectors", "words", "hybrid"), help="how passages are found"
    )
    chunks.add_argument(
        "--margin", type=float, default=0.05, metavar="X", help="recall that a cheaper context may lose (default: 0.05)"
    )
    chunks.add_argument("--seed", type=int, default=0, help="decides the halves")
    chunks.add_argument(
        "--fleet", metavar="F", help="practice, or a fleet.yaml: its model answers from each arm's passages"
    )
    chunks.add_argument("--model", metavar="M", help="who answers")
    chunks.add_argument(
        "--judge", metavar="M", help="who scores answers, and how well passages back them (default: by their words)"
    )
    chunks.add_argument("--answers", type=int, metavar="N", help="questions that are answered (default: all)")
    chunks.add_argument("--budget", type=float, default=1.0, metavar="USD", help="what answering may cost (default: 1)")


def run(options: argparse.Namespace, heard: Callable[[str], None]) -> Iterator[str]:
    """Yield the lines that say what a bench found; `heard` takes what it is doing meanwhile."""
    if options.out and not Path(options.out).parent.is_dir():
        raise ConfigError(
            f"{options.out}: cannot be written (No such file or directory)", hint="check that the folder exists"
        )
    found = BENCHES[options.bench](options, heard)
    yield found.table().text(width=200)
    if options.out:
        yield f"wrote {found.write(options.out)}"


def written(result: Mapping[str, Any], path: str | Path) -> Path:
    """Write a bench's plain values as JSON and return the path; ConfigError when the place cannot be written."""
    path = Path(path)
    said = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False)
    try:
        path.write_text(said + "\n", encoding="utf-8")
    except OSError as trouble:
        raise ConfigError(
            f"{path}: cannot be written ({trouble.strerror})", hint="check that the folder exists"
        ) from None
    return path


class Found(Protocol):
    """What a bench found: a table to print and values to write."""

    def table(self) -> Table:
        """Return one row an arm."""

    def write(self, path: str | Path) -> Path:
        """Write the result as JSON and return its path."""


def _routes(options: argparse.Namespace, heard: Callable[[str], None]) -> Found:
    from routelab.lab.routes import bench
    from routelab.strategies.examples import Examples

    train, test = Examples.read(options.train), Examples.read(options.test)
    return bench(train, test, embedder=options.embedder, reject=options.reject, heard=heard)


def _cache(options: argparse.Namespace, heard: Callable[[str], None]) -> Found:
    from routelab.embedding import embedder_of
    from routelab.lab.caches.arms import FITTED
    from routelab.lab.caches.bench import bench
    from routelab.lab.caches.pairs import Pairs

    names = list(dict.fromkeys(options.guard))
    embedders = list(dict.fromkeys(options.embedder))
    for spec in embedders:
        embedder_of(spec)
    pairs = Pairs.read(options.pairs)
    from routelab.caching.guard import guard_of

    guards = {name: guard_of(name) for name in names if name != FITTED}
    return bench(
        pairs,
        guards=guards,
        embedders=embedders,
        fitted=FITTED in names,
        budget=options.budget,
        seed=options.seed,
        heard=heard,
    )


def _chunks(options: argparse.Namespace, heard: Callable[[str], None]) -> Found:
    from routelab.embedding.vectors import Memory
    from routelab.fleet import Fleet
    from routelab.lab.chunks.bench import Plan, bench
    from routelab.lab.chunks.questions import Questions
    from routelab.lab.chunks.settings import settings
    from routelab.retrieval import whole

    asking = _asking(options)
    specs = list(dict.fromkeys(options.embedder))
    # Each keeps what it has embedded: overlapping settings share windows, and a second way to search shares them all.
    embedders = {spec: whole(spec, Memory()) for spec in specs} if set(options.by) != {"words"} else {}
    tried = settings(options.chunkers, options.sizes, options.overlaps, embedder=specs[0])
    plan = Plan(
        k=options.k,
        by=tuple(dict.fromkeys(options.by)),
        margin=options.margin,
        seed=options.seed,
        models=(Fleet.practice() if asking is None else asking.fleet).models,
    )
    questions = Questions.read(options.questions, options.corpora)
    return bench(questions, tried, embedders=embedders, plan=plan, heard=heard, asking=asking)


def _asking(options: argparse.Namespace) -> Asking | None:
    from routelab.fleet import Fleet
    from routelab.lab.chunks.answers import asking_of

    if options.fleet is None:
        if options.model is not None or options.judge is not None:
            raise ConfigError("--model: a fleet is wanted too", hint="--fleet practice, or --fleet fleet.yaml")
        return None
    if options.model is None:
        models = (Fleet.practice() if options.fleet == "practice" else Fleet.from_yaml(options.fleet)).names
        raise ConfigError("--model: say who answers", hint=f"models: {', '.join(models)}")
    given = {"limit": options.answers, "budget_usd": options.budget, "seed": options.seed}
    return asking_of(options.fleet, options.model, judge=options.judge, **given)


BENCHES: Mapping[str, Callable[[argparse.Namespace, Callable[[str], None]], Found]] = MappingProxyType(
    {"routes": _routes, "cache": _cache, "chunks": _chunks}
)
"""What `routelab bench NAME` runs."""
