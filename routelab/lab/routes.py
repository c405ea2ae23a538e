"""The bench for semantic routing: votes × settings on labelled texts, and labels out of a log.

Every arm learns from the train rows only. Thresholds and calibrations come from train rows that the judging head had not
seen, and every figure is that of the test rows.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from routelab.core.errors import ConfigError, DataError, suggest
from routelab.core.ports import Floats
from routelab.embedding import Cached, content_hash, embedder_of, remember, vectors
from routelab.embedding.index import Vectors
from routelab.lab.benches import written
from routelab.lab.statistics import wilson
from routelab.present import Table
from routelab.store import Log
from routelab.strategies import Semantic
from routelab.strategies.examples import Examples, Ints
from routelab.strategies.fitting import voting
from routelab.strategies.fitting.calibration import Method, brier, calibration_error
from routelab.strategies.fitting.rehearsal import HeldOut, concluded, held_out, threshold_for
from routelab.version import __version__

VOTES: Sequence[tuple[Literal["knn", "centroid", "logistic"], int]] = (
    ("knn", 1),
    ("knn", 5),
    ("knn", 10),
    ("knn", 20),
    ("centroid", 1),
    ("logistic", 1),
)
BASELINE: Sequence[tuple[Literal["knn", "centroid", "logistic"], int]] = (("knn", 10), ("centroid", 1))
CALIBRATIONS: Sequence[Method | None] = (None, "platt", "isotonic")
POINTS = (0.01, 0.02, 0.05, 0.10)
TIMED, TIMED_WITH_EMBEDDING = 300, 50
NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True, eq=False)
class RoutesBench:
    """The arms' figures on the test rows, the one that the train rows recommend (None: no arm), and why."""

    arms: tuple[Mapping[str, Any], ...]
    recommended: Mapping[str, Any] | None
    why: str
    about: Mapping[str, Any] = field(default_factory=dict)

    def result(self) -> dict[str, Any]:
        """Return the plain values that `r.json` holds."""
        return {**self.about, "arms": list(self.arms), "recommended": self.recommended, "why": self.why}

    def write(self, path: str | Path) -> Path:
        """Write the result as JSON and return its path; ConfigError when the place cannot be written."""
        return written(self.result(), path)

    def table(self) -> Table:
        """Return one row an arm."""
        rows = [
            [
                str(arm["name"]),
                f"{arm['accuracy']:.4f}",
                "[{:.4f}, {:.4f}]".format(*arm["accuracy_ci"]),
                _shown(arm["oos_recall"]),
                _shown(arm["false_rejections"]),
                _shown(arm["calibration_error"]),
                "–" if arm["us_per_decision"] is None else f"{arm['us_per_decision']:,.0f}",
            ]
            for arm in self.arms
        ]
        head = ("arm", "accuracy", "95 %", "oos recall", "false rej.", "cal. error", "µs/decision")
        caption = "{n:,} test rows in scope, {out_of_scope:,} out of scope".format(**self.about["test"])
        return Table(head=head, rows=rows, numbers=frozenset(range(1, 7)), caption=caption, notes=[self.why])


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Material:
    """Train and test with the vectors of one embedder, and how long it takes to embed one text, in µs."""

    spec: str | Mapping[str, Any]
    train: Examples
    test: Examples
    names: tuple[str, ...]
    train_vectors: Vectors
    test_vectors: Vectors
    embed_us: float | None

    @property
    def number(self) -> Ints:
        return self.train.numbers(self.names)

    @property
    def wanted(self) -> Ints:
        return self.test.numbers(self.names)


def bench(
    train: Examples,
    test: Examples,
    *,
    embedder: str | Mapping[str, Any] = "minilm",
    reject: float = 0.05,
    heard: Callable[[str], None] | None = None,
    now: Callable[[], float] = time.perf_counter,
) -> RoutesBench:
    """Return how each vote and setting routes the test rows after learning from the train rows.

    `accuracy` is the share of test rows in scope whose route is named right, whether or not the threshold then turned them
    away; `accuracy_kept` counts those turned away as wrong. `reject` is the share of good prompts that may be turned away:
    the threshold that does it is chosen on train rows. Raises DataError for labels that cannot be learned.
    """
    train, test = _checked(train, test)
    if not 0 <= reject < 1:
        raise ConfigError(f"reject: must be at least 0 and less than 1, not {reject}")
    tell = heard or (lambda _: None)
    tell(f"embedding {len(train) + len(test):,} texts")
    main = _material(embedder, train, test, now)
    arms = [_majority(main)]
    chosen: list[tuple[tuple[float, ...], Mapping[str, Any]]] = []
    plain = "lexical" if embedder != "lexical" else None
    for vote, k in VOTES:
        tell(f"{vote}{f' k={k}' if vote == 'knn' else ''}")
        for arm, rank in _arms(main, vote, k, reject, now):
            arms.append(arm)
            chosen.append((rank, arm))
    if plain is not None:
        tell("the lexical baseline")
        lexical = _material(plain, train, test, now)
        for vote, k in BASELINE:
            for arm, rank in _arms(lexical, vote, k, reject, now, calibrations=(None,)):
                arms.append(arm)
                chosen.append((rank, arm))
    best = max(chosen, key=lambda pair: pair[0])[1]
    recommended, why = _verdict(best, arms[0], main)
    return RoutesBench(arms=tuple(arms), recommended=recommended, why=why, about=_about(main, embedder, reject))


def _checked(train: Examples, test: Examples) -> tuple[Examples, Examples]:
    train, test = Examples.of(train.texts, train.labels), Examples.of(test.texts, test.labels)
    if len(train.names) < 2:
        raise DataError(
            f"train: has {len(train.names)} different labels, and routing takes two",
            hint="an empty label is none of them",
        )
    if not test.names:
        raise DataError("test: no row has a label", hint="an empty label is out of scope; accuracy needs rows in scope")
    strange = next((name for name in test.names if name not in train.names), None)
    if strange is not None:
        near = suggest(strange, train.names)
        raise DataError(f"test: the label '{strange}' is not in train{'' if near is None else '; ' + near}")
    return train, test


def _material(spec: str | Mapping[str, Any], train: Examples, test: Examples, now: Callable[[], float]) -> _Material:
    train_vectors, test_vectors = vectors(spec, train.texts), vectors(spec, test.texts)
    made, times = embedder_of(spec), []
    for text in test.texts[:TIMED_WITH_EMBEDDING]:
        start = now()
        made([text])  # the embedder itself: what was embedded once is remembered
        times.append(now() - start)
    return _Material(
        spec=spec,
        train=train,
        test=test,
        names=train.names,
        train_vectors=train_vectors,
        test_vectors=test_vectors,
        embed_us=1e6 * float(np.median(times)),
    )


def _arms(
    stuff: _Material,
    vote: Literal["knn", "centroid", "logistic"],
    k: int,
    reject: float,
    now: Callable[[], float],
    *,
    calibrations: Sequence[Method | None] = CALIBRATIONS,
) -> list[tuple[dict[str, Any], tuple[float, ...]]]:
    """Return one arm a calibration, each with what the train rows say for it: the higher the better."""
    number = stuff.number
    held = held_out(vote, k, stuff.train, stuff.train_vectors, number)
    inside = number >= 0
    head = voting.fit(vote, stuff.train_vectors[inside], number[inside], len(stuff.names), k=k)
    made: list[tuple[dict[str, Any], tuple[float, ...]]] = []
    for calibrate in calibrations:
        found = concluded(held, calibrate=calibrate, reject=reject)
        strategy = Semantic(
            routes={name: {"models": [name]} for name in stuff.names},
            default=(NOBODY,),
            vote=vote,
            k=k,
            calibrate=calibrate,
            reject=reject,
            embedder=stuff.spec,
        ).settled(stuff.names, head, found)
        arm = _figures(strategy, stuff, held, now)
        spread = float(found.report.get("brier", found.report.get("brier_before", 1.0)))
        recall = float(found.report.get("oos_recall") or 0.0)
        # Rounded: half a point of accuracy is noise, and is not worth a worse sense for what is out of scope.
        made.append((arm, (round(200 * (held.accuracy or 0.0)) / 200, round(recall, 2), -round(spread, 4))))
    return made


def _figures(strategy: Semantic, stuff: _Material, held: HeldOut, now: Callable[[], float]) -> dict[str, Any]:
    decisions = strategy.judge(stuff.test_vectors)
    wanted = stuff.wanted
    inside, stray = wanted >= 0, wanted < 0
    right = decisions.ballot.route[inside] == wanted[inside]
    kept = decisions.accepted
    accuracy = wilson(float(right.sum()), int(inside.sum()))
    recall = None if not stray.any() else wilson(float((~kept[stray]).sum()), int(stray.sum()))
    turned = wilson(float((~kept[inside]).sum()), int(inside.sum()))
    chances = decisions.ballot.share if strategy.calibrate is None else decisions.confidence
    one, many = _times(strategy, stuff.test_vectors, now)
    held_raw = held.ballot.raw[held.inside & held.first]
    return {
        "name": _name(strategy),
        "vote": strategy.vote,
        "k": strategy.k if strategy.vote == "knn" else None,
        "calibrate": strategy.calibrate,
        "embedder": embedder_of(stuff.spec).id,
        "threshold": strategy.threshold,
        "accuracy": accuracy.value,
        "accuracy_ci": list(accuracy.interval or ()),
        "accuracy_kept": float((right & kept[inside]).mean()),
        "oos_recall": None if recall is None else recall.value,
        "oos_recall_ci": None if recall is None else list(recall.interval or ()),
        "false_rejections": turned.value,
        "false_rejections_ci": list(turned.interval or ()),
        "oos_auroc": None if recall is None else _auroc(decisions.ballot.raw[inside], decisions.ballot.raw[stray]),
        "points": [
            _point(decisions.ballot.raw, right, inside, threshold_for(held_raw, share), share) for share in POINTS
        ],
        "calibration_error": calibration_error(chances[inside], right),
        "brier": brier(chances[inside], right),
        "held_out_accuracy": held.accuracy,
        "us_per_decision": one,
        "us_per_decision_in_batch": many,
        "us_per_decision_with_embedding": None if stuff.embed_us is None else one + stuff.embed_us,
    }


def _point(raw: Floats, right: Any, inside: Any, threshold: float, share: float) -> dict[str, float | None]:
    """Return what another allowance for false rejections would do, its threshold chosen on train rows alike."""
    kept = raw >= threshold
    stray = ~inside
    return {
        "reject": share,
        "false_rejections": float((~kept[inside]).mean()),
        "accuracy_kept": float((right & kept[inside]).mean()),
        "oos_recall": float((~kept[stray]).mean()) if stray.any() else None,
    }


def _auroc(inside: Floats, stray: Floats) -> float:
    """Return the chance that a prompt in scope is more confident than one out of scope, ties half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([inside, stray]))[: len(inside)]
    return float((ranks.sum() - len(inside) * (len(inside) + 1) / 2) / (len(inside) * len(stray)))


def _times(strategy: Semantic, embedded: Vectors, now: Callable[[], float]) -> tuple[float, float]:
    """Return µs a decision with its reason, one at a time (the median) and all at once (the mean), embedding excluded."""
    strategy.judge(embedded[:1]).why(0)
    each = []
    for i in range(min(TIMED, len(embedded))):
        start = now()
        decided = strategy.judge(embedded[i : i + 1])
        _ = decided.routes, decided.why(0)
        each.append(now() - start)
    start = now()
    _ = strategy.judge(embedded).routes
    return 1e6 * float(np.median(each)), 1e6 * (now() - start) / len(embedded)


def _name(strategy: Semantic) -> str:
    parts = [strategy.vote if strategy.vote != "knn" else f"knn-{strategy.k}", strategy.calibrate]
    if strategy.embedder == "lexical":
        parts.insert(0, "lexical")
    return " ".join(part for part in parts if part)


def _majority(stuff: _Material) -> dict[str, Any]:
    """Return the arm that always names the commonest route and turns nothing away."""
    counts = np.bincount(stuff.number[stuff.number >= 0], minlength=len(stuff.names))
    common = int(counts.argmax())
    wanted = stuff.wanted
    inside = wanted >= 0
    right = wanted[inside] == common
    accuracy = wilson(float(right.sum()), int(inside.sum()))
    none = {"vote": None, "k": None, "calibrate": None, "embedder": None, "threshold": None}
    return {
        "name": "majority",
        **none,
        "accuracy": accuracy.value,
        "accuracy_ci": list(accuracy.interval or ()),
        "accuracy_kept": accuracy.value,
        "oos_recall": 0.0 if (~inside).any() else None,
        "oos_recall_ci": None,
        "false_rejections": 0.0,
        "false_rejections_ci": None,
        "oos_auroc": 0.5 if (~inside).any() else None,
        "points": [],
        "calibration_error": None,
        "brier": None,
        "held_out_accuracy": None,
        "us_per_decision": 0.0,
        "us_per_decision_in_batch": 0.0,
        "us_per_decision_with_embedding": 0.0,
    }


def _verdict(
    best: Mapping[str, Any], majority: Mapping[str, Any], stuff: _Material
) -> tuple[Mapping[str, Any] | None, str]:
    if best["accuracy_ci"][0] <= majority["accuracy_ci"][1]:
        return None, (
            f"keep naming the commonest route: {best['name']}, the best on train, is right for {best['accuracy']:.1%} of the "
            f"test rows, which is not clearly more than {majority['accuracy']:.1%}"
        )
    oos = "" if best["oos_recall"] is None else f", finds {best['oos_recall']:.1%} of what is out of scope"
    return best, (
        f"{best['name']} was right most often on train rows held out; on the {len(stuff.test):,} test rows it names the right "
        f"route for {best['accuracy']:.1%}{oos}, and turns away {best['false_rejections']:.1%} of what is in scope"
    )


def _about(stuff: _Material, embedder: str | Mapping[str, Any], reject: float) -> dict[str, Any]:
    known = set(stuff.train.texts)

    def counted(rows: Examples) -> dict[str, int]:
        n = sum(label is not None for label in rows.labels)
        return {"n": n, "out_of_scope": len(rows) - n}

    return {
        "routelab": __version__,
        "bench": "routes",
        "routes": len(stuff.names),
        "embedder": embedder_of(embedder).id,
        "reject": reject,
        "threshold_chosen_on": "train rows in scope that the judging head had not seen",
        "train": counted(stuff.train),
        "test": {**counted(stuff.test), "also_in_train": sum(text in known for text in stuff.test.texts)},
        "embed_us": stuff.embed_us,
    }


# Labels out of a log


@dataclass(frozen=True, kw_only=True, eq=False)
class Labels:
    """Labelled texts out of a log: the examples, what the labels are, and how many rows could not be used, by why."""

    examples: Examples
    by: str
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.examples)

    def table(self) -> Table:
        """Return the number of texts by label."""
        count: dict[str, int] = {}
        for label in self.examples.labels:
            count[label or "none"] = count.get(label or "none", 0) + 1
        rows = [[name, f"{n:,}"] for name, n in sorted(count.items(), key=lambda pair: (-pair[1], pair[0]))]
        notes = [f"{n:,} left out: {why}" for why, n in self.left_out.items()]
        caption = f"{len(self):,} labelled texts, by {self.by}"
        return Table(head=("label", "texts"), rows=rows, numbers=frozenset((1,)), caption=caption, notes=notes)


_TASKS = "select prompt_id, task from prompts where task is not null qualify row_number() over (partition by prompt_id order by added_at desc, sha256) = 1"
_TAGS = """
    select prompt_id, try(json_extract_string(tags, ?)) as label from runs
    where try(json_extract_string(tags, ?)) is not null
    qualify row_number() over (partition by prompt_id order by started_at desc, run_id desc) = 1"""
_RATED = """
    with last as (
        select run_id, value from ratings where value is not null
        qualify row_number() over (partition by run_id order by rated_at desc, rating_id desc) = 1
    )
    select r.prompt_id, r.model, l.value from runs r join last l on l.run_id = r.run_id
    where r.model is not null order by r.prompt_id, l.value desc, r.cost_usd, r.model"""


def labels(log: Log, by: str = "task", *, at_least: float = 1.0) -> Labels:
    """Return the log's prompts, each once, with a label: ``"task"``, ``"tag:NAME"`` (the latest run's) or ``"rating"``.

    By rating, the label is the model whose answer people rated best, the cheapest of equals; prompts on which no answer
    reached `at_least` are labelled None, which a fit takes for out of scope. Texts that the log did not keep are counted.
    """
    if by == "task":
        found = log.query(_TASKS)
    elif by.startswith("tag:") and by != "tag:":
        path = '$."' + by.removeprefix("tag:").replace('"', '\\"') + '"'
        found = log.query(_TAGS, (path, path))
    elif by == "rating":
        best: dict[str, tuple[str, str | None]] = {}
        for prompt_id, model, value in log.query(_RATED):
            best.setdefault(prompt_id, (prompt_id, model if value >= at_least else None))
        found = list(best.values())
    else:
        raise ConfigError(f"labels: unknown {by!r}", hint="task, rating, or tag:NAME")
    texts = {p.id: p.text for p in log.prompts([str(row[0]) for row in found])} if found else {}
    pairs = [(texts[i], label) for i, label in found if texts.get(i, "").strip()]
    gone = len(found) - len(pairs)
    left_out = {"the log kept no text of them": gone} if gone else {}
    return Labels(examples=Examples.of([t for t, _ in pairs], [k for _, k in pairs]), by=by, left_out=left_out)


def warmed(log: Log, spec: str | Mapping[str, Any], texts: Sequence[str]) -> int:
    """Embed texts through the log, so that strategies of this process find their vectors; return how many were new to it.

    This is how an index is made again from DuckDB: what the log holds is not embedded twice.
    """
    made = embedder_of(spec)
    hashes = list(dict.fromkeys(content_hash(text) for text in texts))
    there = log.get_many(made.id, hashes) if hashes else {}
    known = Cached(embedder=made, store=log)(texts)
    remember(spec, {content_hash(text): vector for text, vector in zip(texts, known, strict=True)})
    return len(hashes) - len(there)


def indexed(strategy: Semantic, log: Log) -> Semantic:
    """Return the strategy with its neighbours in a Chroma folder beside the log; in memory for a log in memory."""
    if str(log.path) == ":memory:":
        return dataclasses.replace(strategy, index="chroma")
    folder = log.path.with_name(log.path.name + ".index")
    return dataclasses.replace(strategy, index={"kind": "chroma", "folder": str(folder)})
