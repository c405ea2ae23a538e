"""What the log costs: recording a run, writing a batch, sharing a file, asking questions of many rows.

    python benchmarks/log_write.py [--runs 5000] [--processes 3] [--rows 1000000]

Prints one line a measurement; times in milliseconds unless said otherwise.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb

from routelab.store import Log
from routelab.store.rows import of_run
from routelab.testing.logs import a_run

TEXT = "a sentence of an answer, as models write them. " * 40

SHARE = """
import sys, time
from routelab.store import Log
from routelab.testing.logs import a_run
path, name, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
log, spent = Log(path), []
for i in range(n):
    log.record(a_run(f"{name}-{i}"))
    began = time.perf_counter()
    log.flush()
    spent.append(time.perf_counter() - began)
log.close()
spent.sort()
print(spent[n // 2] * 1e3, spent[int(n * 0.95)] * 1e3, spent[-1] * 1e3)
"""


def timed(work: Callable[[], object], times: int) -> list[float]:
    """Return how long each call took, in milliseconds, sorted."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        spent.append((time.perf_counter() - began) * 1e3)
    return sorted(spent)


def tell(what: str, spent: Sequence[float]) -> None:
    """Print the median, the 95th and the 99th percentile and the worst."""
    n = len(spent)
    cells = (statistics.median(spent), spent[int(n * 0.95)], spent[int(n * 0.99)], spent[-1])
    print(f"{what:<44} p50 {cells[0]:8.3f}  p95 {cells[1]:8.3f}  p99 {cells[2]:8.3f}  max {cells[3]:8.3f}")


def recording(folder: Path, runs: int) -> None:
    """Measure record() and the batches behind it."""
    one = a_run(text=TEXT)
    tell("rows of a run, no file", timed(lambda: of_run(one), 1000))
    for name, path in (("file", folder / "record.duckdb"), ("memory", ":memory:")):
        log = Log(path)
        many = iter([dataclasses.replace(one, id=f"run-{i}") for i in range(runs)])
        began = time.perf_counter()
        tell(f"record(run), {name}", timed(lambda log=log, many=many: log.record(next(many)), runs))  # type: ignore[misc]
        log.flush(60.0)
        took_s = time.perf_counter() - began
        rows = log.health.written
        print(
            f"{'  to disk' if name == 'file' else '  to memory':<44} {rows / took_s:,.0f} rows/s, {runs / took_s:,.0f} runs/s"
        )
        log.close()
    log = Log(folder / "flush.duckdb")
    ids = iter(range(10_000))

    def flush_one() -> None:
        log.record(a_run(f"run-{next(ids)}"))
        log.flush()

    tell("record one run and flush", timed(flush_one, 100))
    log.close()


def sharing(folder: Path, processes: int) -> None:
    """Measure several processes that flush every run into one file."""
    path, n = folder / "shared.duckdb", 100
    Log(path).close()
    started = [
        subprocess.Popen([sys.executable, "-c", SHARE, str(path), f"p{i}", str(n)], stdout=subprocess.PIPE, text=True)
        for i in range(processes)
    ]
    for process in started:
        p50, p95, most = map(float, process.communicate()[0].split())
        print(f"{f'flush, one of {processes} processes on a file':<44} p50 {p50:8.3f}  p95 {p95:8.3f}  max {most:8.3f}")
    with Log(path) as log:
        [(there,)] = log.query("select count(*) from runs")
    print(f"{'  runs there / recorded':<44} {there} / {processes * n}")


def asking(folder: Path, rows: int) -> None:
    """Measure questions to a log with many calls."""
    path = folder / "large.duckdb"
    with Log(path) as log:
        log.record(a_run())
    with duckdb.connect(str(path)) as con:
        for table in ("runs", "calls", "events"):
            renamed = "* replace ('run-' || i as run_id, 'p' || (i % 5000) as prompt_id)"
            if table == "events":
                renamed = "* replace ('run-' || i as run_id)"
            one = f"(select * from {table} limit 1)"
            con.execute(
                f"insert into {table} select {renamed.replace('*', 't.* ', 1)} from {one} t, range({rows}) r(i)"
            )
    print(f"{f'log of {rows:,} calls':<44} {path.stat().st_size / 1e6:,.0f} MB")
    log = Log(path)
    for view in ("calls_by_task", "spend_by_day"):
        tell(f"select * from {view}", timed(lambda v=view: log.query(f"select * from {v}"), 5))  # type: ignore[misc]
    tell("page of decisions", timed(lambda: log.query("select * from decisions limit 50"), 5))
    tell("remembered(key)", timed(lambda: log.remembered("key-run-1"), 10))
    ids = iter(range(1000))

    def flush_one() -> None:
        log.record(a_run(f"new-{next(ids)}"))
        log.flush()

    tell("record one run and flush", timed(flush_one, 20))
    log.close()


def main() -> None:
    """Run every measurement in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recording(Path(folder), options.runs)
        sharing(Path(folder), options.processes)
        asking(Path(folder), options.rows)


if __name__ == "__main__":
    main()
