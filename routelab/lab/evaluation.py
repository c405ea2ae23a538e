"""Beyond one mean: arms slice by slice, and what else can be said of their answers besides how good they are.

Definitions, the same in every table: an answer is *wrong* when its quality is below one half; a failure is no answer. An answer
*abstains* when it refuses, says that it does not know, or is empty (`scoring.refusal`). *Confidently wrong* is the share of the
wrong answers that came with a confidence of at least `at_least` where confidences are known, else the share that did not abstain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from routelab.core.errors import ConfigError, suggest
from routelab.core.events import Scored
from routelab.core.plan import NOBODY
from routelab.core.ports import Floats
from routelab.core.values import Prompt
from routelab.lab.calibration import BINS, Calibration, Selective, calibration, confidently_wrong, selective
from routelab.lab.classification import Classified, choices, chosen, classified, label
from routelab.lab.compare import Arm, Comparison, Figures, against, figures_of, same
from routelab.lab.difficulty import Others, given
from routelab.lab.outcomes import Bools, Ints
from routelab.lab.significance import holm
from routelab.lab.statistics import Estimate, p_below, quality_mean
from routelab.scoring.refusal import refused

if TYPE_CHECKING:
    import pandas as pd

By: TypeAlias = str | Callable[[Prompt], object] | None

ALL = "all prompts"
ENOUGH = 30
"""A slice of fewer prompts has counts and means, and no interval, no difference and no place among the questions asked."""
WRONG = 0.5
ALPHA = 0.05
PREDICTED = "predicted"
FIELDS = ("task", "difficulty", "group")


@dataclass(frozen=True, kw_only=True)
class Part:
    """One arm on one slice of the prompts; None is what is not known, or what too few prompts cannot say.

    `alike` says that an arm gave the baseline's answers there, so that nothing is to be compared. `difference` is paired, quality minus the baseline's on the same prompts, and `p_adjusted` its two-sided p value after
    Holm's correction over all differences of the evaluation. `abstained` is a share of the answers, `confidently_wrong` one
    of the wrong answers; `confidence` names what calibration and selective risk are about.
    """

    slice: str
    arm: str
    figures: Figures
    alike: bool = False
    difference: Estimate | None = None
    p_adjusted: float | None = None
    classified: Classified | None = None
    token_f1: Estimate | None = None
    abstained: Estimate | None = None
    confidently_wrong: Estimate | None = None
    confidence: str | None = None
    calibration: Calibration | None = None
    selective: Selective | None = None

    @property
    def small(self) -> bool:
        """Whether there are too few prompts to say more than their mean."""
        return self.figures.n < ENOUGH

    @property
    def verdict(self) -> str:
        """The difference in words: better, worse, no difference shown, n too small, or nothing for the baseline itself."""
        if self.figures.n == 0:
            return "not scored"
        if self.small:
            return "n too small"
        if self.alike:
            return "the baseline's answers"
        if self.difference is None or self.p_adjusted is None:
            return ""
        if self.p_adjusted > ALPHA:
            return "no difference shown"
        return "better" if self.difference.value > 0 else "worse"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Evaluation:
    """Arms × slices, the slices in the order of the table; `evaluation["task", "arm"]` is one `Part`.

    `by` says what the slices are, `notes` how they were made and what could not be measured.
    """

    by: str
    parts: tuple[Part, ...]
    baseline: str
    dataset: str | None = None
    simulated: bool = False
    notes: tuple[str, ...] = ()

    def __getitem__(self, key: tuple[str, str]) -> Part:
        found = next((p for p in self.parts if (p.slice, p.arm) == key), None)
        if found is None:
            raise ConfigError(
                f"no part {key!r}", hint=f"slices: {', '.join(self.slices)}; arms: {', '.join(self.arms)}"
            )
        return found

    @property
    def slices(self) -> tuple[str, ...]:
        """The slices in order."""
        return tuple(dict.fromkeys(p.slice for p in self.parts))

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms in order, the baseline among them."""
        return tuple(dict.fromkeys(p.arm for p in self.parts))

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a slice and arm, with every figure and the ends of its interval; NaN for what is not known."""
        from routelab.lab.sheets import frame_of

        return frame_of(self)

    def __repr__(self) -> str:
        return str(self._repr_mimebundle_()["text/plain"])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from routelab.lab.sheets import tables_of
        from routelab.present import bundle

        return bundle(*tables_of(self))


def evaluate(
    comparison: Comparison,
    by: By = None,
    *,
    arms: Sequence[str] | None = None,
    confidence: str | None = None,
    at_least: float = 0.9,
    bins: int = BINS,
    beyond: bool = True,
) -> Evaluation:
    """Return every arm (or those named) on every slice of the prompts reported, against the baseline.

    `by` is "task", "difficulty" (the prompts' own, else estimated from other models), "group", the name of a tag, a
    function of a prompt, or None for all prompts as one. `confidence` is "predicted" (the quality that the strategy
    predicted for the model that answered) or the key of a gate; None takes "predicted" where a strategy predicts.
    `beyond=False` leaves it at quality, cost and wait, and reads no answer. Raises ConfigError for a name that is not
    there, DataError when difficulty cannot be told.
    """
    shown = _shown(comparison, arms)
    prompts = comparison.outcomes.prompts if comparison.outcomes is not None else comparison.prompts
    slices = _slices(comparison, by, prompts)
    known = _Answers(comparison, prompts)
    sources = {arm.name: _confidence(comparison, arm, confidence) for arm in shown}
    clusters = known.clusters
    parts: list[Part] = []
    for name in slices.names:
        for arm in shown:
            rows = slices.of(arm)[name]
            if rows.any():
                view = _View(rows=rows, clusters=None if clusters is None else clusters[rows])
                part = _difference(name, arm, comparison, view)
                if beyond and not part.small:
                    part = _beyond(part, arm, known, view, sources[arm.name], at_least=at_least, bins=bins)
                parts.append(part)
    return Evaluation(
        by=slices.by,
        parts=_corrected(parts),
        baseline=comparison.baseline.name,
        dataset=comparison.terms.dataset,
        simulated=comparison.terms.simulated,
        notes=(*slices.notes, *_notes(parts, known, at_least, beyond=beyond)),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _View:
    rows: Bools
    clusters: Ints | None


def _difference(name: str, arm: Arm, comparison: Comparison, view: _View) -> Part:
    own, base = arm.walked.take(view.rows), comparison.baseline.walked.take(view.rows)
    figures = figures_of(own, view.clusters)
    if figures.n < ENOUGH or arm.name == comparison.baseline.name:
        return Part(slice=name, arm=arm.name, figures=figures)
    if same(own, base):
        # What gives the baseline's answers asks no question.
        return Part(slice=name, arm=arm.name, figures=figures, alike=True)
    figures = against(
        figures,
        (own.quality, own.cost_usd),
        (base.quality, base.cost_usd),
        margin=comparison.terms.margin,
        clusters=view.clusters,
        anytime=comparison.terms.anytime,
    )
    difference = None if figures.against is None else figures.against.difference
    return Part(slice=name, arm=arm.name, figures=figures, difference=difference)


def _beyond(
    part: Part, arm: Arm, known: _Answers, view: _View, confidence: _Confidence, *, at_least: float, bins: int
) -> Part:
    """Return the part with what is known of labels, abstention and confidence."""
    own, groups = arm.walked.take(view.rows), view.clusters
    answered = (own.model != NOBODY) & ~np.isnan(own.quality)
    wrong = (own.quality < WRONG).astype(float)
    abstains = known.abstains(arm)[view.rows]
    part = dataclasses.replace(
        part,
        classified=known.classified(arm, view.rows, groups),
        token_f1=_share(own.quality, known.by_words[view.rows] & ~np.isnan(own.quality), groups),
        abstained=_share(abstains, answered & ~np.isnan(abstains), groups),
        confidently_wrong=_share(1 - abstains, answered & (wrong == 1) & ~np.isnan(abstains), groups),
    )
    held = None if confidence.values is None else confidence.values[view.rows]
    if held is None or (sure := answered & ~np.isnan(held)).sum() < ENOUGH:
        return part
    among, seed = None if groups is None else groups[sure], known.comparison.terms.seed
    return dataclasses.replace(
        part,
        confidently_wrong=confidently_wrong(held[sure], wrong[sure], among, at_least=at_least),
        confidence=confidence.source,
        calibration=calibration(held[sure], own.quality[sure], among, bins=bins, seed=seed),
        selective=selective(held[sure], own.quality[sure], among, seed=seed),
    )


def _share(values: Floats, rows: Bools, clusters: Ints | None) -> Estimate | None:
    return quality_mean(values[rows], None if clusters is None else clusters[rows]) if rows.any() else None


class _Answers:
    """What the arms answered: texts, labels and refusals, each read once whichever arm it serves."""

    def __init__(self, comparison: Comparison, prompts: Sequence[Prompt]) -> None:
        from routelab.lab.charts.arms import clusters_of

        self.comparison, self.prompts = comparison, prompts
        self.clusters = clusters_of(comparison)
        self.choices = choices(prompts)
        kinds = [None if p.scorer is None else p.scorer.get("kind") for p in prompts]
        self.by_words: Bools = np.array([kind == "f1" for kind in kinds], dtype=np.bool_)
        self._texts: dict[tuple[str | int, int], str | None] = {}
        self._abstains: dict[str, Floats] = {}

    def text(self, arm: Arm, row: int) -> str | None:
        """Return what the arm answered, None when nobody did or no text was kept."""
        model = int(arm.walked.model[row])
        if model == NOBODY:
            return None
        outcomes = self.comparison.outcomes
        if outcomes is None:
            given_ = self.comparison.answers.get(arm.name)
            return None if given_ is None else given_[row].text
        key = (model, row)
        if key not in self._texts:
            reply = outcomes.reply(self.prompts[row].id, outcomes.models[model])
            self._texts[key] = None if reply is None else reply.text
        return self._texts[key]

    def abstains(self, arm: Arm) -> Floats:
        """Return which answers abstain, (n,), NaN where no text is known."""
        if arm.name not in self._abstains:
            outcomes = self.comparison.outcomes
            if outcomes is not None and outcomes.texts is None:
                self._abstains[arm.name] = np.full(len(self.prompts), np.nan)
            else:
                texts = (self.text(arm, i) for i in range(len(self.prompts)))
                self._abstains[arm.name] = np.array([np.nan if t is None else _abstains(t) for t in texts])
        return self._abstains[arm.name]

    def classified(self, arm: Arm, rows: Bools, clusters: Ints | None) -> Classified | None:
        """Return F1 of the labels that the arm named on some prompts; None for fewer than ENOUGH with a label and a text."""
        wanted: list[str] = []
        named: list[str | None] = []
        kept: list[int] = []
        for k, i in enumerate(np.flatnonzero(rows)):
            choice = self.choices[i]
            if choice is None:
                continue
            text = self.text(arm, int(i))
            if text is None and arm.walked.model[i] != NOBODY:
                continue
            wanted.append(label(choice))
            named.append(None if text is None else chosen(choice, text))
            kept.append(k)
        if len(wanted) < ENOUGH:
            return None
        return classified(wanted, named, None if clusters is None else clusters[kept])


def _abstains(text: str) -> float:
    return 1.0 if not text.strip() or refused(text) is not None else 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class _Confidence:
    source: str | None = None
    values: Floats | None = None


def _confidence(comparison: Comparison, arm: Arm, key: str | None) -> _Confidence:
    """Return the name and the values (n,) of an arm's confidences, cut to 0..1; None where it has none."""
    if key is None or key == PREDICTED:
        held = None if arm.predicted is None else np.clip(arm.predicted, 0.0, 1.0)
        return _Confidence() if held is None else _Confidence(source=PREDICTED, values=held)
    outcomes = comparison.outcomes
    if outcomes is None:
        values = np.array([_ruled(a, key) for a in comparison.answers.get(arm.name, ())], dtype=float)
        known = len(values) > 0 and not np.isnan(values).all()
        return _Confidence(source=key, values=np.clip(values, 0.0, 1.0)) if known else _Confidence()
    if key not in outcomes.gates:
        near = suggest(key, [PREDICTED, *outcomes.gates])
        raise ConfigError(
            f"confidence: no gate '{key}' was recorded" + ("" if near is None else f"; {near}"),
            hint=f"there: {', '.join([PREDICTED, *outcomes.gates])}",
        )
    model = arm.walked.model
    score = outcomes.gates[key].score[np.arange(len(model)), np.maximum(model, 0)]
    # A judge that failed (-inf) gave no confidence.
    given_ = np.where((model == NOBODY) | ~np.isfinite(score), np.nan, np.clip(score, 0.0, 1.0))
    return _Confidence(source=key, values=given_)


def _ruled(answer: Any, key: str) -> float:
    found = [e for e in answer.run.events if isinstance(e, Scored) and e.scorer == key and e.model == answer.model]
    return float("nan") if not found or found[-1].quality is None else found[-1].quality


def _shown(comparison: Comparison, names: Sequence[str] | None) -> tuple[Arm, ...]:
    base = comparison.baseline
    own = tuple(comparison.arms) if names is None else tuple(comparison[name] for name in names)
    return own if any(arm.name == base.name for arm in own) else (base, *own)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Slices:
    by: str
    names: tuple[str, ...]
    of: Callable[[Arm], dict[str, Bools]]
    notes: tuple[str, ...] = ()


def _slices(comparison: Comparison, by: By, prompts: Sequence[Prompt]) -> _Slices:
    if by == "difficulty" and given(prompts) is None:
        return _estimated(comparison)
    name, values = _values(by, prompts)
    masks = {v: np.array([x == v for x in values], dtype=np.bool_) for v in _ordered(values, by)}
    note = ("bands: the prompts' own difficulty",) if by == "difficulty" else ()
    return _Slices(by=name, names=tuple(masks), of=lambda _: masks, notes=note)


def _values(by: By, prompts: Sequence[Prompt]) -> tuple[str, list[str]]:
    if by is None:
        return ALL, [ALL] * len(prompts)
    if callable(by):
        return getattr(by, "__name__", "function"), [str(by(p)) for p in prompts]
    if by == "difficulty":
        return by, given(prompts) or []
    if by in ("task", "group"):
        return by, [getattr(p, by) or f"no {by}" for p in prompts]
    tags = tuple(dict.fromkeys(name for p in prompts for name in p.tags))
    if by not in tags:
        near = suggest(by, [*FIELDS, *tags])
        raise ConfigError(
            f"by: no prompt has a tag '{by}'" + ("" if near is None else f"; {near}"),
            hint=f"by: {', '.join([*FIELDS, *tags])}, or a function of a prompt",
        )
    return by, [str(p.tags[by]) if by in p.tags else f"no {by}" for p in prompts]


def _ordered(values: Sequence[str], by: By) -> list[str]:
    """Return the slices: bands from easy to hard, others with the most prompts first."""
    names = sorted(set(values))
    if by == "difficulty":
        order = ("easy", "medium", "hard")
        return sorted(names, key=lambda v: (order.index(v) if v in order else _number(v), v))
    return sorted(names, key=lambda v: (-values.count(v), v))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("inf")


def _estimated(comparison: Comparison) -> _Slices:
    if comparison.outcomes is None:
        raise ConfigError(
            "by: the prompts do not say how difficult they are, and live arms cannot tell",
            hint="give the prompts a `difficulty`, or replay recorded outcomes of three models or more",
        )
    others = Others(comparison.outcomes, comparison.tune)
    base = comparison.baseline

    def of(arm: Arm) -> dict[str, Bools]:
        answered = [base.walked.model, arm.walked.model]
        usually = [a.tune.model for a in (base, arm) if a.tune is not None] if others.of_tune else answered
        bands = np.array(others.bands(answered, usually), dtype=object)
        return {name: np.asarray(bands == name, dtype=np.bool_) for name in names}

    names = ("easy", "medium", "hard", "not known")
    where = "the tune split" if others.of_tune else "these prompts (no tune split)"
    return _Slices(
        by="difficulty",
        names=names,
        of=of,
        notes=(
            f"bands are estimated: thirds, on {where}, of how models do on a prompt against their own mean; "
            "those that answered for the arm or the baseline have no say, so n differs by arm",
        ),
    )


def _corrected(parts: Sequence[Part]) -> tuple[Part, ...]:
    asked = [k for k, p in enumerate(parts) if p.difference is not None and p.difference.interval is not None]
    p = holm(np.array([_two_sided(parts[k]) for k in asked]))
    adjusted = dict(zip(asked, p.tolist(), strict=True))
    return tuple(_with_p(part, adjusted.get(k)) for k, part in enumerate(parts))


def _two_sided(part: Part) -> float:
    verdict = part.figures.against
    assert verdict is not None
    return min(1.0, 2 * min(verdict.p_better, p_below(verdict.difference, 0.0)))


def _with_p(part: Part, p: float | None) -> Part:
    return part if p is None else dataclasses.replace(part, p_adjusted=p)


def _notes(parts: Sequence[Part], known: _Answers, at_least: float, *, beyond: bool) -> tuple[str, ...]:
    asked = sum(p.difference is not None and p.difference.interval is not None for p in parts)
    sure = any(p.calibration is not None for p in parts)
    said = any(p.abstained is not None for p in parts)
    of_wrong = f"confidently wrong: of the wrong answers (quality below {WRONG:g}), those "
    silent = "that did not abstain (refuse, not know, say nothing)"
    labels = sum(c is not None for c in known.choices)
    lines = {
        f"Δ: quality minus the baseline's on the same prompts; p: after Holm's correction over {asked} differences": asked
        > 1,
        f"slices of fewer than {ENOUGH} prompts are too small for more than their mean": any(p.small for p in parts),
        of_wrong + silent: beyond and said and not sure,
        f"{of_wrong}given with a confidence ≥ {at_least:g}"
        + (f"; without confidences, {silent}" if said else ""): sure,
        "no answer's text is known, so nothing is said of abstention and labels": beyond
        and not said
        and not sure
        and not all(p.small for p in parts),
        f"F1: {labels:,} of {len(known.prompts):,} prompts have one right label among several": any(
            p.classified is not None for p in parts
        ),
    }
    return tuple(line for line, holds in lines.items() if holds)
