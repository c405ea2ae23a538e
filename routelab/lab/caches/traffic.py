"""Traffic: questions in their order of arrival, with what each answer would cost, take and be worth if it were asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.caching.request import SEPARATING
from routelab.core.errors import DataError, UnavailableError
from routelab.core.plan import NOBODY
from routelab.core.ports import Floats
from routelab.core.values import Message, Prompt, digest
from routelab.lab.outcomes import Outcomes
from routelab.lab.readers import Rejected, numbers, read_table, refuse, texts
from routelab.lab.walk import Walked

Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.intp]
Query: TypeAlias = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

ARRIVAL = "at_s"
"""The tag of a prompt that says when it arrived, in seconds."""
COLUMNS = ("text", "at_s", "label", "cost_usd", "latency_s", "quality", "namespace")

# What a hit saved is what its source cost: the run itself was free. A cache's own refreshes are nobody's requests.
_RUNS = """
    select r.prompt_id, r.experiment, r.arm, epoch_us(r.started_at) / 1e6, r.status, r.cached, r.quality,
           case when r.cached then s.cost_usd else r.cost_usd end,
           case when r.cached then s.latency_s else r.latency_s end, r.simulated, a.finish
    from runs r
    left join events e on r.cached and e.run_id = r.run_id and e.kind = 'recalled'
    left join runs s on s.run_id = try(e.payload ->> '$.source_run')
    left join answers a on a.run_id = r.run_id and a.kept
    where (?::varchar is null or r.experiment = ?) and (?::varchar is null or r.arm = ?)
      and try(r.tags ->> '$.revalidates') is null
    order by r.started_at, r.run_id
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Traffic:
    """Requests in order of arrival; every array and tuple has one entry a request.

    `at_s` are arrival times in seconds, never falling; None: only an order is known, so that no lifetime can be replayed.
    `namespaces` says what must be equal before an answer may be shared. Requests of equal `labels` have the same right
    answer; None, for one or for all: not known. `cost_usd`, `latency_s` and `quality` are those of the answer that the
    request would get from a model, NaN where not known. `kept` says whose answer a cache would admit (complete, no error).
    """

    texts: tuple[str, ...]
    at_s: Floats | None = None
    namespaces: tuple[str, ...] = ()
    labels: tuple[str | None, ...] | None = None
    cost_usd: Floats = dataclasses.field(default_factory=lambda: np.zeros(0))
    latency_s: Floats = dataclasses.field(default_factory=lambda: np.zeros(0))
    quality: Floats = dataclasses.field(default_factory=lambda: np.zeros(0))
    kept: Bools = dataclasses.field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    name: str = "traffic"
    simulated: bool = False
    notes: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.texts)
        for name in ("cost_usd", "latency_s", "quality"):
            if len(getattr(self, name)) == 0 < n:
                object.__setattr__(self, name, np.full(n, np.nan))
        if len(self.kept) == 0 < n:
            object.__setattr__(self, "kept", np.ones(n, dtype=np.bool_))
        if len(self.namespaces) == 0 < n:
            object.__setattr__(self, "namespaces", ("",) * n)
        given = (self.namespaces, self.labels, self.at_s, self.cost_usd, self.latency_s, self.quality, self.kept)
        if any(values is not None and len(values) != n for values in given):
            raise ValueError(f"traffic: every column must have one entry for each of {n} requests")
        if self.at_s is not None and not (np.isfinite(self.at_s).all() and (np.diff(self.at_s) >= 0).all()):
            raise ValueError("traffic: arrival times must be known and in order")

    @staticmethod
    def of(
        texts: Sequence[str],
        *,
        at_s: Sequence[float] | Floats | None = None,
        labels: Sequence[str | None] | None = None,
        namespaces: Sequence[str] = (),
        **measured: Any,
    ) -> Traffic:
        """Return the traffic of plain lists, put in order of arrival; `measured` are other fields of Traffic."""
        arrays = ("cost_usd", "latency_s", "quality", "kept")
        columns: dict[str, Any] = {k: np.asarray(v) if k in arrays else v for k, v in measured.items()}
        made = Traffic(
            texts=tuple(texts),
            labels=None if labels is None else tuple(labels),
            namespaces=tuple(namespaces),
            **columns,
        )
        if at_s is None:
            return made
        times = np.asarray(at_s, dtype=float)
        if len(times) != len(made) or not np.isfinite(times).all():
            raise DataError(f"traffic: {len(made)} requests need {len(made)} finite arrival times")
        order = np.argsort(times, kind="stable")
        return dataclasses.replace(made.take(order), at_s=times[order])

    @staticmethod
    def read(path: str | Path) -> Traffic:
        """Return the traffic in a csv, csv.gz, jsonl or parquet file with the columns text and, where known, at_s (seconds),
        label (equal: the same right answer), cost_usd, latency_s, quality, namespace.

        Raises DataError, one line that names file, line and column; arrival times are for all rows or for none.
        """
        table = read_table(path, COLUMNS)
        table.require(("text",))
        given = texts(table, "text")
        bad = [(i, "text", "is empty") for i, text in enumerate(given) if text is None]
        held: dict[str, Floats] = {}
        for name, low, high in (
            ("at_s", -np.inf, np.inf),
            ("cost_usd", 0, np.inf),
            ("latency_s", 0, np.inf),
            ("quality", 0, 1),
        ):
            held[name], wrong = numbers(table, name, low=low, high=high)
            bad += [(row, name, reason) for row, reason in wrong]
        rejected = refuse(table, bad)
        gone = {row for row, _, _ in bad}
        rows = np.array([i for i in range(len(table)) if i not in gone], dtype=np.intp)
        if len(rows) == 0:
            raise DataError(f"{table.name}: has no rows", hint="one row a request: text,at_s,label,cost_usd,latency_s")
        times = held.pop("at_s")[rows]
        blank = np.flatnonzero(np.isnan(times))
        if 0 < len(blank) < len(rows):
            line = table.line(int(rows[blank[0]]))
            raise DataError(
                f"{table.name}, line {line}, at_s: is blank, and other rows have a time",
                hint="give every row its time, or none",
            )
        labels, spaces = texts(table, "label")[rows], texts(table, "namespace")[rows]
        return Traffic.of(
            [str(given[i]) for i in rows],
            at_s=None if len(blank) else times,
            labels=None if all(v is None for v in labels) else list(labels),
            namespaces=[v or "" for v in spaces],
            name=table.name,
            rejected=rejected,
            **{name: values[rows] for name, values in held.items()},
        )

    @staticmethod
    def of_log(log: Any, *, experiment: str | None = None, arm: str | None = None) -> Traffic:
        """Return the runs in a log (anything with `query` and `prompts`) as traffic, at the times at which they were asked.

        Two requests share answers where arm, system text and earlier turns are equal. Requests of one group, or of one task and
        reference, have the same right answer. A run that was a hit counts with what its source cost and took.
        """
        rows = log.query(_RUNS, [experiment, experiment, arm, arm])
        known = {p.id: p for p in log.prompts()}
        taken = [row for row in rows if row[0] in known and known[row[0]].messages]
        if not taken:
            raise DataError(
                "the log has no runs with readable prompts"
                + "".join(f", {k} '{v}'" for k, v in (("experiment", experiment), ("arm", arm)) if v is not None),
                hint="play some first; a log that keeps only hashes cannot be replayed",
            )
        prompts = [known[row[0]] for row in taken]
        labels = [label_of(p) for p in prompts]
        missing = len(rows) - len(taken)
        return Traffic.of(
            [p.text for p in prompts],
            at_s=[row[3] for row in taken],
            labels=None if all(label is None for label in labels) else labels,
            namespaces=[space_of(p, row[1] or "", row[2] or "") for p, row in zip(prompts, taken, strict=True)],
            cost_usd=_floats(row[7] for row in taken),
            latency_s=_floats(row[8] for row in taken),
            quality=_floats(row[6] for row in taken),
            kept=np.array([row[4] in ("answered", "recalled") and row[10] in (None, "stop") for row in taken]),
            name="log" if experiment is None else experiment,
            simulated=any(row[9] for row in taken),
            notes=(f"{missing:,} runs left out: their prompts' texts are not in the log",) if missing else (),
        )

    @staticmethod
    def of_outcomes(outcomes: Outcomes, walked: Walked, *, namespace: str = "") -> Traffic:
        """Return recorded prompts as traffic, each at the cost, wait and quality that an arm's walk had for it.

        Arrival times are the prompts' `at_s` tags where all have one; else only an order is known, and it is an arbitrary one.
        """
        labels = [label_of(p) for p in outcomes.prompts]
        return Traffic.of(
            [p.text for p in outcomes.prompts],
            at_s=arrivals(outcomes.prompts),
            labels=None if all(label is None for label in labels) else labels,
            namespaces=[space_of(p, namespace) for p in outcomes.prompts],
            cost_usd=walked.cost_usd,
            latency_s=walked.latency_s,
            quality=walked.quality,
            kept=walked.model != NOBODY,
            name=outcomes.dataset or "outcomes",
            simulated=outcomes.simulated,
        )

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        labelled = sum(label is not None for label in self.labels or ())
        parts = [
            f"{len(self):,} requests, {len(self.keys[1]):,} different",
            "no arrival times" if self.at_s is None else f"{self.span_s:,.0f} s",
            f"{labelled:,} labelled",
            *(["simulated"] if self.simulated else []),
        ]
        return f"<Traffic {self.name}: {'; '.join(parts)}>"

    @property
    def span_s(self) -> float | None:
        """The time from the first to the last arrival."""
        return None if self.at_s is None else float(self.at_s[-1] - self.at_s[0]) if len(self) else 0.0

    @cached_property
    def keys(self) -> tuple[Ints, tuple[tuple[str, str], ...]]:
        """The number of each request's (namespace, text), and these pairs by number, in order of first arrival."""
        seen: dict[tuple[str, str], int] = {}
        at = [seen.setdefault(pair, len(seen)) for pair in zip(self.namespaces, self.texts, strict=True)]
        return np.array(at, dtype=np.intp), tuple(seen)

    @cached_property
    def codes(self) -> Ints:
        """The label of each request as a number, -1 where it is not known."""
        seen: dict[str, int] = {}
        given = self.labels if self.labels is not None else (None,) * len(self)
        return np.array([-1 if v is None else seen.setdefault(v, len(seen)) for v in given], dtype=np.intp)

    def take(self, rows: Bools | Ints | Sequence[int]) -> Traffic:
        """Return some of the requests: a mask, or positions in the order wanted, which then have no arrival times if it is another."""
        given = np.asarray(rows)
        index = np.flatnonzero(given) if given.dtype == bool else given.astype(np.intp)
        times = None if self.at_s is None else self.at_s[index]
        return dataclasses.replace(
            self,
            texts=tuple(self.texts[int(i)] for i in index),
            at_s=None if times is None or (np.diff(times) < 0).any() else times,
            namespaces=tuple(self.namespaces[int(i)] for i in index),
            labels=None if self.labels is None else tuple(self.labels[int(i)] for i in index),
            cost_usd=self.cost_usd[index],
            latency_s=self.latency_s[index],
            quality=self.quality[index],
            kept=self.kept[index],
        )

    def timed(self, what: str) -> Floats:
        """Return the arrival times; UnavailableError, one line, where only an order is known."""
        if self.at_s is None:
            raise UnavailableError(
                f"{what}: cannot be replayed over {self.name}, its requests have no arrival times",
                hint=f"leave it out; or give every row its time (column or tag `{ARRIVAL}`)",
            )
        return self.at_s


def label_of(prompt: Prompt) -> str | None:
    """Return what is equal for prompts of the same right answer: their group, or task and reference; None: not known."""
    if prompt.group is not None:
        return f"group {prompt.group}"
    return None if prompt.reference is None else f"reference {digest(prompt.task, prompt.reference)}"


def space_of(prompt: Prompt, *more: str) -> str:
    """Return the namespace of a prompt: all that a live cache separates by but its last question's words, and `more`."""
    last = next((i for i in reversed(range(len(prompt.messages))) if prompt.messages[i].role == "user"), None)
    rest: tuple[Message, ...] = tuple(m for i, m in enumerate(prompt.messages) if i != last)
    tags = {name: prompt.tags[name] for name in SEPARATING if name in prompt.tags}
    parts = ([(m.role, m.content) for m in rest], prompt.task, tags, [name for name in more if name])
    return digest(*parts) if any(parts) else ""


def arrivals(prompts: Sequence[Prompt]) -> Floats | None:
    """Return the prompts' arrival times, None unless all have one; DataError for a time that is none."""
    given = [p.tags.get(ARRIVAL) for p in prompts]
    if not given or any(v is None for v in given):
        return None
    try:
        times = np.array([float(str(v)) for v in given])
    except ValueError as trouble:
        raise DataError(f"tag {ARRIVAL}: {trouble}", hint="seconds, as a number") from None
    if not np.isfinite(times).all():
        raise DataError(f"tag {ARRIVAL}: must be a finite number of seconds")
    return times


@dataclass(frozen=True, kw_only=True)
class Demand:
    """How made-up traffic comes: `requests` of them, `per_s` a second on average (Poisson), questions by Zipf's law.

    The k-th most popular question is asked in proportion to k ** -exponent, with the chance `verbatim` in its first wording,
    else in one of the others: in one that was not used yet while there are such (`fresh`, people find ever new words), or in any.
    Its answer changes every `changes_s` seconds on average (None: never). `cost_usd` and `latency_s` are means; they
    differ between questions (lognormal, σ 0.5), as answers differ in length.
    """

    requests: int = 10_000
    exponent: float = 1.0
    verbatim: float = 0.5
    fresh: bool = True
    per_s: float = 1.0
    changes_s: float | None = None
    cost_usd: float = 0.002
    latency_s: float = 1.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.requests < 1 or not self.exponent >= 0 or not 0 <= self.verbatim <= 1 or not self.per_s > 0:
            raise ValueError("demand: needs requests >= 1, exponent >= 0, 0 <= verbatim <= 1, per_s > 0")
        if self.changes_s is not None and not self.changes_s > 0:
            raise ValueError(f"changes_s: must be more than 0, not {self.changes_s}")


def zipf(questions: Mapping[str, Sequence[str]], demand: Demand = Demand()) -> Traffic:
    """Return made-up traffic over questions (name → wordings, the usual one first); it says that it is simulated.

    Every answer is right when it is new (quality 1). Of two requests the labels are equal where the question and the
    version of its answer are, so that an outdated answer is a false hit.
    """
    if not questions or any(len(wordings) == 0 for wordings in questions.values()):
        raise DataError("zipf: needs questions with at least one wording each")
    rng = np.random.default_rng(demand.seed)
    names = list(questions)
    count, n = len(names), demand.requests
    rank = rng.permutation(count)
    popularity = np.arange(1, count + 1, dtype=float)[rank] ** -demand.exponent
    asked = rng.choice(count, size=n, p=popularity / popularity.sum())
    at_s = np.cumsum(rng.exponential(1 / demand.per_s, size=n))
    usual, other = rng.random(n) < demand.verbatim, rng.random(n)
    size = [np.exp(rng.normal(-0.125, 0.5, size=count)) for _ in range(2)]
    worded = _worded([questions[name] for name in names], asked, usual, other, rng if demand.fresh else None)
    version = np.zeros(n, dtype=np.intp)
    if demand.changes_s is not None:
        version = _versions(asked, at_s, count, demand.changes_s, rng)
    return Traffic(
        texts=tuple(worded),
        at_s=at_s,
        labels=tuple(f"{names[q]}@{v}" for q, v in zip(asked.tolist(), version.tolist(), strict=True)),
        cost_usd=demand.cost_usd * size[0][asked],
        latency_s=demand.latency_s * size[1][asked],
        quality=np.ones(n),
        name="zipf",
        simulated=True,
        notes=(f"{n:,} requests made up from {count:,} questions: {demand}",),
    )


def _worded(
    wordings: Sequence[Sequence[str]], asked: Ints, usual: Bools, other: Floats, rng: np.random.Generator | None
) -> list[str]:
    """Return the words of each request; with `rng` the other wordings come in a drawn order, each once before any comes again."""
    order = [np.arange(1, len(own)) if rng is None else 1 + rng.permutation(len(own) - 1) for own in wordings]
    used = [0] * len(wordings)
    found = []
    for question, plain, place in zip(asked.tolist(), usual.tolist(), other.tolist(), strict=True):
        own, rest = wordings[question], order[question]
        if plain or len(rest) == 0:
            found.append(own[0])
            continue
        fresh = rng is not None and used[question] < len(rest)
        found.append(own[int(rest[used[question] if fresh else int(place * len(rest))])])
        used[question] += 1
    return found


def _versions(asked: Ints, at_s: Floats, count: int, changes_s: float, rng: np.random.Generator) -> Ints:
    """Return which version of its question's answer was right at each request."""
    version = np.zeros(len(asked), dtype=np.intp)
    for question in range(count):
        mine = np.flatnonzero(asked == question)
        changes = np.cumsum(rng.exponential(changes_s, size=1 + int(2 * at_s[-1] / changes_s + 20)))
        version[mine] = np.searchsorted(changes, at_s[mine])
    return version


def _floats(values: Iterable[float | None]) -> Floats:
    return np.array([np.nan if v is None else v for v in values], dtype=float)
