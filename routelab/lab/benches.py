"""The command `routelab bench`: its flags, and what it says; `cli` prints."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from routelab.core.errors import ConfigError, UnavailableError
from routelab.version import __version__

PLANNED: Mapping[str, str] = MappingProxyType(
    {"cache": "the bench for semantic caches", "chunks": "the bench for chunking and retrieval"}
)
"""Benches of a later version."""


def refuse(name: str) -> None:
    """Raise UnavailableError for a bench of a later version."""
    if name in PLANNED:
        raise UnavailableError(
            f"`routelab bench {name}` ({PLANNED[name]}) is not in version {__version__} yet", hint="benches: routes"
        )


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


def run(options: argparse.Namespace, heard: Callable[[str], None]) -> Iterator[str]:
    """Yield the lines that say what a bench found; `heard` takes what it is doing meanwhile."""
    from routelab.lab.routes import bench
    from routelab.strategies.examples import Examples

    if options.out and not Path(options.out).parent.is_dir():
        raise ConfigError(
            f"{options.out}: cannot be written (No such file or directory)", hint="check that the folder exists"
        )
    train, test = Examples.read(options.train), Examples.read(options.test)
    found = bench(train, test, embedder=options.embedder, reject=options.reject, heard=heard)
    yield found.table().text(width=200)
    if options.out:
        yield f"wrote {found.write(options.out)}"
