"""Semantic routing: labelled examples say what each route is for, and a prompt goes where its vector's neighbours are.

The votes are k nearest neighbours weighted by cosine, the nearest centre (Rocchio), and multinomial logistic regression on the
vectors. A prompt whose confidence is below its route's threshold belongs to none of them and gets the default ranking.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from routelab.core.errors import ConfigError, suggest
from routelab.core.plan import Plan, plan_of
from routelab.core.values import Prompt, Roster
from routelab.embedding import vectors
from routelab.embedding.index import checked
from routelab.embedding.vectors import id_of
from routelab.present import Table
from routelab.strategies.examples import Examples, examples_of
from routelab.strategies.fitting import voting
from routelab.strategies.fitting.calibration import Curve
from routelab.strategies.fitting.learned import Learned
from routelab.strategies.fitting.rehearsal import Rehearsed, concluded, held_out
from routelab.strategies.fitting.voting import Ballot, Head

Floats = NDArray[np.float64]
SHIPPED = Path(__file__).with_name("routes") / "difficulty.csv"
RANKINGS: Mapping[str, tuple[str, ...]] = {
    "hard reasoning": ("gpt-5", "claude-opus"),
    "code": ("claude-opus", "gpt-5-mini"),
    "analysis": ("gpt-5", "gemini-pro"),
    "language": ("gemini-flash", "deepseek-v3"),
    "everyday": ("qwen-local", "deepseek-v3"),
    "chat": ("qwen-local", "gpt-5-nano"),
}
"""Who answers each shipped route, of the twelve models of the practice fleet: primary first."""


class Prompted(Protocol):
    """Whatever holds prompts: a data set, or outcomes."""

    @property
    def prompts(self) -> Sequence[Prompt]: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Decisions:
    """What was decided about n texts: the route that won, its confidence, the threshold, and whether it was reached."""

    names: tuple[str, ...]
    ballot: Ballot
    confidence: Floats
    threshold: Floats

    def __len__(self) -> int:
        return len(self.ballot)

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """Whether the route was confident enough; where not, the text is none of the routes'."""
        return self.confidence >= self.threshold

    @property
    def routes(self) -> tuple[str | None, ...]:
        """The route of each text, None for none of them."""
        return tuple(self.names[r] if kept else None for r, kept in zip(self.ballot.route, self.accepted, strict=True))

    def why(self, i: int) -> str:
        """Return the reason in the log's words, such as "nearest 'refund' .41 < .55"."""
        name, confidence, threshold = self.names[self.ballot.route[i]], self.confidence[i], self.threshold[i]
        if not math.isfinite(threshold):
            return f"route '{name}' {_short(confidence)}"
        # As many digits as it takes to tell the two apart.
        places = next((p for p in (2, 3, 4, 6) if round(confidence, p) != round(threshold, p)), 6)
        both = _short(confidence, places), _short(threshold, places)
        if confidence >= threshold:
            return f"route '{name}' {both[0]} ≥ {both[1]}"
        return f"nearest '{name}' {both[0]} < {both[1]}; default ranking"


@dataclass(frozen=True, kw_only=True)
class _Fitted:
    """What it takes to decide: the head, the routes it knows by position, and the curve of the confidence."""

    names: tuple[str, ...]
    head: Head
    curve: Curve | None


@dataclass(frozen=True, kw_only=True)
class Semantic:
    """Send a prompt to the route whose labelled examples it is most like, or to the default when it is like none.

    `routes` maps a name to ``{"models": [primary, fallback...], "examples": [...], "threshold": 0.5}``; examples may also be in
    a CSV file (`examples`: text,label; a relative path starts at the YAML). Without routes there are six shipped ones, for
    practice. `vote` is `knn` (the `k` nearest), `centroid` or `logistic`, which has to be fitted.

    The confidence is similarity × share^0.2 (see `voting`), or the chance of being right where `calibrate` says so. Below
    `threshold` (a route's own counts before the common one) the `default` ranking answers. `fit` chooses the common threshold
    so that the share `reject` of held-out examples is turned away.
    """

    routes: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: shipped_routes())
    default: tuple[str, ...] = ()
    vote: Literal["knn", "centroid", "logistic"] = "knn"
    k: int = 10
    threshold: float | None = None
    reject: float | None = None
    calibrate: Literal["platt", "isotonic"] | None = None
    embedder: str | Mapping[str, Any] = "minilm"
    index: str | Mapping[str, Any] = "exact"
    examples: str | None = None
    learned: Learned | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "routes", {str(name): _route(str(name), r) for name, r in self.routes.items()})
        if self.k < 1:
            raise ValueError(f"k: must be at least 1, not {self.k}")
        if self.reject is not None and not 0 <= self.reject < 1:
            raise ValueError(f"reject: must be at least 0 and less than 1, not {self.reject}")
        _threshold("threshold", self.threshold)
        _models("default", self.default)
        bounded = self.threshold is not None or self.reject is not None
        if (bounded or any(r.get("threshold") is not None for r in self.routes.values())) and not self.default:
            raise ValueError("default: name the models that answer what is none of the routes")
        checked(self.index)
        if self.examples is not None:
            if self.learned is not None:
                raise ValueError("examples: were learned already; give `examples` or `learned`, not both")
            object.__setattr__(self, "learned", _packed(self._known(Examples.read(self.examples), self.examples)))
            object.__setattr__(self, "examples", None)

    def __getstate__(self) -> dict[str, Any]:
        # What was worked out stays here; another process works it out again.
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @property
    def models(self) -> tuple[str, ...]:
        """The models this strategy names, in order of first mention."""
        named = [m for route in self.routes.values() for m in route["models"]]
        return tuple(dict.fromkeys([*named, *self.default]))

    @property
    def report(self) -> Mapping[str, Any]:
        """What `fit` measured on examples it had held out; empty before."""
        return {} if self.learned is None else self.learned.about.get("report", {})

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        """Rank the models of each prompt's route, or those of the default where it is none of them."""
        if len(prompts) == 0:
            return plan_of([], [])
        decisions = self.decide([prompt.text for prompt in prompts])
        position = {name: i for i, name in enumerate(roster.names)}
        rankings = {name: [position[m] for m in route["models"]] for name, route in self.routes.items()}
        rankings_default = [position[m] for m in self.default]
        rows = [rankings_default if name is None else rankings[name] for name in decisions.routes]
        return plan_of(rows, [decisions.why(i) for i in range(len(decisions))])

    def decide(self, texts: Sequence[str]) -> Decisions:
        """Return the decisions about texts; ConfigError when there is nothing to compare them with yet."""
        return self.judge(vectors(self.embedder, texts))

    def judge(self, embedded: NDArray[np.float32]) -> Decisions:
        """Return the decisions about texts whose vectors (n × d) are known."""
        fitted = self._fitted
        ballot = fitted.head(embedded)
        confidence = ballot.raw if fitted.curve is None else fitted.curve(ballot.raw)
        own = [self.routes[name].get("threshold") for name in fitted.names]
        common = -math.inf if self.threshold is None else self.threshold
        bars = np.array([common if bar is None else bar for bar in own])
        return Decisions(names=fitted.names, ballot=ballot, confidence=confidence, threshold=bars[ballot.route])

    # Learning

    def fit(self, data: Prompted) -> Semantic:
        """Return the strategy fitted on a data set's or outcomes' prompts, each labelled with its task.

        A task that is no route counts as out of scope, unless no routes are configured: then every task becomes one, and
        outcomes say who answers it (best mean quality first). Prompts without a task are left out. Where no task is a
        route, there is nothing to learn from these prompts, and the strategy's own examples decide alone.
        """
        labelled = [(p.text, p.task) for p in data.prompts if p.task is not None and p.text.strip()]
        mine = self
        if not self.routes:
            if not labelled:
                raise ConfigError("semantic: no prompt has a task to learn from", hint="fit_examples(texts, labels)")
            mine = dataclasses.replace(self, routes=_rankings(data, [task for _, task in labelled]))
        if not any(task in mine.routes for _, task in labelled):
            return mine if mine._ready else mine._learn(mine._own)
        return mine._learn(
            Examples.of([t for t, _ in labelled], [k if k in mine.routes else None for _, k in labelled])
        )

    def fit_examples(self, texts: Any, labels: Sequence[str | None] | None = None) -> Semantic:
        """Return the strategy fitted on texts with labels, on (text, label) pairs, or on a CSV file, and on its own examples.

        A label must be a route's name; None or "" says that a text is out of scope. Those texts choose no threshold: they
        count as wrong in the calibration, and their recall is reported.
        """
        given = examples_of(texts) if labels is None else Examples.of(texts, labels)
        return self._learn(self._known(given, "examples"))

    def _learn(self, given: Examples) -> Semantic:
        whole = self._own + given
        names = tuple(name for name in self.routes if name in whole.names)
        if not names:
            raise ConfigError("semantic: there are no examples to learn from", hint="give each route some `examples`")
        bare = [name for name in self.routes if name not in names]
        if bare:
            raise ConfigError(f"semantic: the route '{bare[0]}' has no examples")
        embedded, number = vectors(self.embedder, whole.texts), whole.numbers(names)
        held = held_out(self.vote, self.k, whole, embedded, number)
        inside = number >= 0
        head = voting.fit(self.vote, embedded[inside], number[inside], len(names), k=self.k)
        return self.settled(names, head, concluded(held, calibrate=self.calibrate, reject=self.reject))

    def settled(self, names: Sequence[str], head: Head, found: Rehearsed) -> Semantic:
        """Return the strategy with a head over the named routes, and the curve and threshold found for it."""
        arrays = dict(head.arrays)
        if found.curve is not None:
            arrays |= {"curve_x": found.curve.x, "curve_y": found.curve.y}
        about = {**self._settings, "routes": tuple(names), "report": found.report}
        threshold = self.threshold if found.threshold is None else found.threshold
        return dataclasses.replace(self, threshold=threshold, learned=Learned(arrays=arrays, about=about))

    def mistakes(self, texts: Any, labels: Sequence[str | None] | None = None, *, folds: int = 5) -> Table:
        """Return the labelled texts that go wrong when they are held out: text, wanted, got, confidence, nearest example.

        Each fold is judged by what the other folds and the strategy's own examples teach, under this strategy's thresholds.
        """
        given = self._known(examples_of(texts) if labels is None else Examples.of(texts, labels), "examples")
        fold = given.folds(folds)
        rows: list[tuple[float, list[str]]] = []
        for i in range(folds):
            held = np.flatnonzero(fold == i)
            if len(held):
                rest = given[np.flatnonzero(fold != i)]
                present = (self._own + rest).names
                routes = {name: route for name, route in self.routes.items() if name in present}
                taught = dataclasses.replace(self, routes=routes, reject=None)._learn(rest)
                rows += taught.wrong(given[held], self._own + rest)
        rows.sort(key=lambda row: -row[0])
        return Table(
            head=("text", "wanted", "got", "confidence", "nearest example"),
            rows=[row for _, row in rows],
            numbers=frozenset((3,)),
            caption=f"{len(rows):,} of {len(given):,} held-out texts go wrong, the most confident first",
        )

    def wrong(self, asked: Examples, known: Examples) -> list[tuple[float, list[str]]]:
        """Return (confidence, cells of `mistakes`) for each text that this strategy sends wrong; `known` are the examples."""
        embedded = vectors(self.embedder, asked.texts)
        decisions = self.judge(embedded)
        near, cosines = voting.neighbours(vectors(self.embedder, known.texts), embedded)
        rows = []
        for i, (text, wanted, got) in enumerate(zip(asked.texts, asked.labels, decisions.routes, strict=True)):
            if wanted != got:
                like = f"{known.texts[near[i]]} ({known.labels[near[i]] or 'none'}, {_short(cosines[i])})"
                confidence = float(decisions.confidence[i])
                rows.append((confidence, [text, wanted or "none", got or "none", _short(confidence), like]))
        return rows

    @property
    def _settings(self) -> dict[str, Any]:
        """What a fit depends on, besides the data that was given."""
        own = self._inline
        return {
            "vote": self.vote,
            "k": self.k if self.vote == "knn" else None,
            "calibrate": self.calibrate,
            "embedder": id_of(self.embedder),
            "examples": own.digest if len(own) else None,
        }

    @property
    def _inline(self) -> Examples:
        return examples_of({name: route.get("examples", ()) for name, route in self.routes.items()})

    @property
    def _own(self) -> Examples:
        """The examples that are in the config: in line, or read from its file."""
        return self._inline + (_unpacked(self.learned) if self._unfitted else Examples())

    @property
    def _unfitted(self) -> bool:
        return self.learned is not None and "text" in self.learned

    @property
    def _ready(self) -> bool:
        """Whether it can decide as it is."""
        if self.learned is not None and not self._unfitted:
            return True
        return self.vote != "logistic" and self.calibrate is None and self.reject is None and len(self._own) > 0

    def _known(self, given: Examples, where: str) -> Examples:
        strange = next((name for name in given.names if name not in self.routes), None)
        if strange is None:
            return given
        near = suggest(strange, self.routes)
        raise ConfigError(
            f"semantic: {where}: the label '{strange}' is no route{'' if near is None else '; ' + near}",
            hint=f"routes: {', '.join(self.routes) or 'none'}; an empty label means none of them",
        )

    @cached_property
    def _fitted(self) -> _Fitted:
        if self.learned is None or self._unfitted:
            return self._from_examples()
        about, arrays = self.learned.about, self.learned.arrays
        for name, now in self._settings.items():
            if about.get(name) != now:
                raise ConfigError(
                    f"semantic: `{name}` changed since it was fitted ({about.get(name)!r} then, {now!r} now)",
                    hint="fit it again, or put it back",
                )
        names = tuple(about.get("routes", ()))
        if set(names) != set(self.routes):
            raise ConfigError("semantic: the routes changed since it was fitted", hint="fit it again")
        curve = None
        if self.calibrate is not None:
            curve = Curve(method=self.calibrate, x=arrays["curve_x"], y=arrays["curve_y"])
        head = Head(vote=self.vote, routes=len(names), arrays=arrays, k=self.k)
        return _Fitted(names=names, head=voting.with_index(head, self.index), curve=curve)

    def _from_examples(self) -> _Fitted:
        """Return what the examples in the config say by themselves, where that needs no fitting."""
        own = self._own
        names = tuple(name for name in self.routes if name in own.names)
        if not self._ready or not names:
            raise ConfigError(
                "semantic: not fitted yet", hint="strategy.fit(data) or strategy.fit_examples(texts, labels)"
            )
        number = own.numbers(names)
        inside = number >= 0
        head = voting.fit(self.vote, vectors(self.embedder, own.texts)[inside], number[inside], len(names), k=self.k)
        return _Fitted(names=names, head=voting.with_index(head, self.index), curve=None)

    @classmethod
    def located(cls, values: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """Return a config's values with the path of its examples starting at the folder of its file."""
        given = values.get("examples")
        return {**values, "examples": str(folder / given)} if isinstance(given, str) else values


def shipped_routes() -> dict[str, dict[str, Any]]:
    """Return the routes that come with the package: how hard a prompt is, over the practice fleet's models."""
    found = Examples.read(SHIPPED)
    return {
        name: {
            "models": models,
            "examples": tuple(t for t, label in zip(found.texts, found.labels, strict=True) if label == name),
        }
        for name, models in RANKINGS.items()
    }


def _route(name: str, given: Any) -> dict[str, Any]:
    """Return a route's mapping, checked, without what is empty."""
    where = f"routes.{name}"
    if not isinstance(given, Mapping):
        raise ValueError(f"{where}: must be a mapping with models")
    for key in given:
        if key not in ("models", "examples", "threshold"):
            raise ValueError(f"{where}.{key}: unknown key (keys here: models, examples, threshold)")
    models = given.get("models")
    if not isinstance(models, (list, tuple)) or not models:
        raise ValueError(f"{where}.models: name at least one model")
    _models(f"{where}.models", models)
    examples = given.get("examples") or ()
    if isinstance(examples, str) or not isinstance(examples, (list, tuple)):
        raise ValueError(f"{where}.examples: must be a list of texts")
    for i, text in enumerate(examples):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{where}.examples.{i}: must be a text (got {text!r})")
    _threshold(f"{where}.threshold", given.get("threshold"))
    route: dict[str, Any] = {"models": tuple(models)}
    if examples:
        route["examples"] = tuple(examples)
    if given.get("threshold") is not None:
        route["threshold"] = float(given["threshold"])
    return route


def _models(where: str, models: Sequence[Any]) -> None:
    for i, model in enumerate(models):
        if not isinstance(model, str) or not model:
            raise ValueError(f"{where}: must be models' names (got {model!r})")
        if model in models[:i]:
            raise ValueError(f"{where}: '{model}' is named twice")


def _threshold(where: str, value: Any) -> None:
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value)
    ):
        raise ValueError(f"{where}: must be a finite number, not {value!r}")


def _rankings(data: Prompted, tasks: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return a route a task with all models, best mean quality first, the cheaper first among equals."""
    quality, cost = getattr(data, "quality", None), getattr(data, "cost_usd", None)
    if quality is None or cost is None:
        raise ConfigError(
            "semantic: the tasks have no models", hint="routes: {TASK: {models: [...]}}, or fit on outcomes"
        )
    names = cast(Sequence[str], data.models)  # type: ignore[attr-defined]
    of = np.array([p.task for p in data.prompts], dtype=object)
    routes = {}
    for task in dict.fromkeys(tasks):
        rows = np.flatnonzero(of == task)
        score = [(-_mean(quality[rows, m], 0.0), _mean(cost[rows, m], math.inf), m) for m in range(len(names))]
        routes[task] = {"models": tuple(names[m] for _, _, m in sorted(score))}
    return routes


def _mean(values: Floats, otherwise: float) -> float:
    known = values[~np.isnan(values)]
    return round(float(known.mean()), 12) if len(known) else otherwise


def _packed(examples: Examples) -> Learned:
    """Return texts and labels as arrays, which is how a config carries more of them than YAML should hold."""
    raw = [text.encode("utf-8", "surrogatepass") for text in examples.texts]
    names = examples.names
    return Learned(
        arrays={
            "text": np.frombuffer(b"".join(raw), dtype=np.int8),
            "end": np.cumsum([len(r) for r in raw], dtype=np.int64),
            "label": examples.numbers(names).astype(np.int32),
        },
        about={"labels": names},
    )


def _unpacked(learned: Learned | None) -> Examples:
    assert learned is not None
    whole, ends, names = learned["text"].tobytes(), learned["end"], learned.about.get("labels", ())
    starts = np.concatenate([[0], ends[:-1]]).astype(int)
    return Examples(
        texts=tuple(whole[a:b].decode("utf-8", "surrogatepass") for a, b in zip(starts, ends, strict=True)),
        labels=tuple(None if n < 0 else str(names[n]) for n in learned["label"]),
    )


def _short(value: float, places: int = 2) -> str:
    return f"{value:.{places}f}".replace("0.", ".", 1) if 0 <= value < 1 else f"{value:.{places}f}"
