"""Arms over the same prompts: their figures, their differences from the baseline, and what follows from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from routelab.core.errors import ConfigError, DataError, UnavailableError, suggest
from routelab.core.plan import NOBODY
from routelab.core.ports import Floats
from routelab.core.values import Prompt
from routelab.lab.caches.recalled import unsettled
from routelab.lab.outcomes import Ints, Outcomes
from routelab.lab.sequential import anytime_cost_ratio, anytime_non_inferiority
from routelab.lab.significance import holm
from routelab.lab.spread import cost_ratio, quantile
from routelab.lab.statistics import Estimate, NonInferiority, non_inferiority, p_below, paired_difference, quality_mean
from routelab.lab.walk import Walked, dependent
from routelab.stages.guard import told

if TYPE_CHECKING:
    import pandas as pd

    from routelab.lab.charts import Chart
    from routelab.lab.controls import Controls
    from routelab.lab.evaluation import By, Evaluation
    from routelab.lab.offpolicy import OffPolicy
    from routelab.panels import Panel
    from routelab.present import Table
    from routelab.store import Log

ALPHA = 0.025
"""One-sided; the same as a two-sided 95 % interval that lies above −margin."""
ENOUGH_RECORDED = 0.95
"""An arm must be recorded on this share of the baseline's prompts to be judged against it."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is reported of an arm; `cost_usd` is per call; None is what is not known, or has no baseline."""

    n: int
    failures: int
    quality: Estimate | None
    cost_usd: float | None
    cost_known: int
    latency_p50: Estimate | None
    latency_p95: Estimate | None
    latency_known: int = 0
    against: NonInferiority | None = None
    cost_ratio: Estimate | None = None
    p_adjusted: float | None = None
    p_better_adjusted: float | None = None
    p_adopt_adjusted: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Arm:
    """A named configuration with what it did on the prompts reported, and on the tune split where there was one.

    What learns is walked over tune by folds, each prompt by a version fitted without it; `in_sample` says that this could not
    be had, so that nothing on tune speaks for the arm.
    `errors` says for which of the prompts reported (by position) its strategy could not decide, so that the default did;
    `predicted` (n,) is the quality that the strategy predicted for the model that answered, NaN where it did not.
    """

    name: str
    config: Any
    walked: Walked
    figures: Figures
    tune: Walked | None = None
    in_sample: bool = False
    errors: Mapping[int, str] = field(default_factory=dict)
    predicted: Floats | None = None

    @property
    def tune_quality(self) -> float | None:
        """The mean quality on the tune split: what the choice was made on, and too good by the optimism of choosing.

        None where the arm may have learned from the very answers it would be judged by.
        """
        return None if self.tune is None or self.in_sample else _mean(self.tune.quality)

    @property
    def optimism(self) -> float | None:
        """How much better the mean quality was on tune than on the prompts reported, None unless both are known."""
        known, seen = self.figures.quality, self.tune_quality
        return None if known is None or seen is None else seen - known.value

    @property
    def tune_cost_usd(self) -> float | None:
        """The mean cost of a call on the tune split, None unless every scored prompt has one, or where `tune_quality` is."""
        if self.tune is None or self.in_sample:
            return None
        costs = self.tune.cost_usd[~np.isnan(self.tune.quality)]
        return None if len(costs) == 0 or np.isnan(costs).any() else float(costs.mean())

    def to_yaml(self, path: str | Path, **options: Any) -> Path:
        """Write the arm's configuration; options are those of its own `to_yaml`."""
        if not hasattr(self.config, "to_yaml"):
            raise ConfigError(
                f"arm '{self.name}' is not a RouteConfig, so there is no YAML of it",
                hint="pass a RouteConfig as the arm",
            )
        return Path(self.config.to_yaml(path, **options))

    def __repr__(self) -> str:
        quality = "not scored" if self.figures.quality is None else f"quality {self.figures.quality.value:.3f}"
        cost = "cost unknown" if self.figures.cost_usd is None else f"${self.figures.cost_usd:.3g} a call"
        return f"<Arm {self.name}: {quality}, {cost}, n={self.figures.n}>"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a comparison was set up, fixed before its figures were seen.

    `final` says whether the figures may name a winner: with a confirm split, or live arms that were fixed in advance.
    `nominated` are the arms that the tune split chose; None means that all of them stand as given. `confirm_uses`
    counts the looks at the confirm split, this one included; None when nobody counts. `anytime` says that the trial was watched and
    could stop, so that its differences and ratios are those of confidence sequences. `pending` is why nothing is final where that is
    neither a missing split nor unfinished prompts.
    """

    margin: float
    seed: int
    tune: int
    confirm: int
    arms_tried: int
    final: bool
    nominated: tuple[str, ...] | None = None
    dataset: str | None = None
    simulated: bool = False
    cost_kinds: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    confirm_uses: int | None = None
    anytime: bool = False
    pending: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Comparison:
    """Arms over the same prompts with a baseline and controls; `winner()` and `why` say what to do.

    `models` names the columns that the arms' walks point to. A replay has `outcomes`, those of the prompts
    reported; a live trial has `prompts` and the `answers` of each arm in their order; arms over logged choices have
    `estimates`, and their walks hold doubly robust terms instead of outcomes. `log` is where people's ratings go.
    """

    arms: tuple[Arm, ...]
    baseline: Arm
    models: tuple[str, ...]
    terms: Terms
    controls: Controls | None = None
    outcomes: Outcomes | None = None
    tune: Outcomes | None = None
    prompts: tuple[Prompt, ...] = ()
    answers: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    estimates: Mapping[str, OffPolicy] = field(default_factory=dict)
    log: Log | None = None

    @property
    def how(self) -> str:
        """Where the figures come from: recorded outcomes, logged choices, or answers that were asked for now."""
        if self.estimates:
            return "off-policy: estimated from logged choices"
        if self.outcomes is not None:
            return "exact replay of recorded outcomes"
        return "live, arms interleaved" + ("; anytime-valid intervals" if self.terms.anytime else "")

    def __repr__(self) -> str:
        from routelab.lab.report import text

        return text(self)

    def __getitem__(self, name: str) -> Arm:
        found = next((arm for arm in (*self.arms, self.baseline) if arm.name == name), None)
        if found is None:
            near = suggest(name, [arm.name for arm in self.arms])
            raise DataError(
                f"no arm '{name}'" + ("" if near is None else f"; {near}"),
                hint=f"arms: {', '.join(a.name for a in self.arms)}",
            )
        return found

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row an arm; NaN and None for what is not known."""
        from routelab.lab.framed import frame

        return frame(self)

    def winner(self) -> Arm | None:
        """Return the arm to adopt, or None; `why` says why in either case."""
        return self._decision[0]

    @property
    def why(self) -> str:
        """One sentence: adopt an arm, keep the baseline, or how many more prompts are needed."""
        return self._decision[1]

    def chart(self, kind: str = "frontier", **options: Any) -> Chart:
        """Return a chart; `.figure` is a plain Plotly figure.

        Kinds: frontier, cost, latency, quality, difficulty, mix, spend, slices, calibration, waterfall, thresholds, tokens.
        """
        from routelab.lab.charts import chart

        if self.estimates and kind in ("cost", "latency", "spend"):
            raise UnavailableError(
                f"chart '{kind}': off-policy, what a single prompt would have cost or taken is not known",
                hint="cmp.chart('frontier') has the means",
            )
        return chart(kind, self, **options)

    def export(self, path: str | Path, *, to: str = "routelab", arm: str | None = None) -> Path:
        """Write the winner (or a named arm) with its evidence and return the path; DataError without a winner."""
        from routelab.lab.export import write_winner

        written = write_winner(self, path, to=to, arm=arm)
        if written is None:
            raise DataError(
                f"there is no winner to export: {self.why}",
                hint=f"export(..., arm=NAME) writes one of {', '.join(a.name for a in self.arms)}, stamped unconfirmed",
            )
        return written

    def by(self, what: By = None, **options: Any) -> Evaluation:
        """Return the arms slice by slice: `what` is "task", "difficulty", "group", a tag, a function of a prompt, or None.

        Each slice has the paired difference from the baseline, corrected for the number of slices, cost and wait, and
        beyond that F1 of labels, abstention, confidently wrong answers, calibration and selective risk where they can be had.
        Options are those of `evaluation.evaluate`: arms, confidence, at_least, bins.
        """
        from routelab.lab.evaluation import evaluate

        return evaluate(self, what, **options)

    def report(self, arm: str | None = None) -> Table:
        """Return the reporting block of an arm (default: the winner, else the first that is not the baseline) as a table."""
        from routelab.lab.block import table

        others = [a for a in self.arms if a.name != self.baseline.name] or [self.baseline]
        return table(self, self[arm] if arm is not None else self.winner() or others[0])

    def view(self) -> Panel:
        """Return the panel of the comparison: every prompt with every arm's answer, to filter, search, open and rate."""
        from routelab.panels.compareview import view

        return view(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from routelab.lab.grid import comparison_bundle

        return comparison_bundle(self)

    @cached_property
    def _decision(self) -> tuple[Arm | None, str]:
        from routelab.lab.verdict import decide

        return decide(self)


def figures_of(walked: Walked, clusters: Ints | None = None) -> Figures:
    """Return an arm's own figures, without a baseline; prompts whose quality was not recorded are not in n."""
    return figures_from(walked.quality, walked.cost_usd, walked.latency_s, failures=walked.failures, clusters=clusters)


def figures_from(
    quality: Floats, cost_usd: Floats, latency_s: Floats, *, failures: int = 0, clusters: Ints | None = None
) -> Figures:
    """Return the figures of arrays with one value a prompt, NaN where not known."""
    scored = ~np.isnan(quality)
    known = cost_usd[~np.isnan(cost_usd)]
    waits = latency_s[~np.isnan(latency_s)]
    return Figures(
        n=int(scored.sum()),
        failures=failures,
        quality=quality_mean(quality[scored], None if clusters is None else clusters[scored]) if scored.any() else None,
        cost_usd=float(known.mean()) if len(known) else None,
        cost_known=len(known),
        latency_p50=quantile(waits, 0.5),
        latency_p95=quantile(waits, 0.95),
        latency_known=len(waits),
    )


def against(
    figures: Figures,
    arm: tuple[Floats, Floats],
    base: tuple[Floats, Floats],
    *,
    margin: float,
    clusters: Ints | None = None,
    anytime: bool = False,
) -> Figures:
    """Return the figures with the paired differences from the baseline; `arm` and `base` are (quality, cost_usd).

    With `anytime` intervals and p values are those of a confidence sequence: for who looked before and could have stopped.

    Pairs are the prompts where both qualities were recorded; the cost ratio needs every cost of those pairs. When
    too few of the baseline's prompts were recorded for the arm, there is no interval and so no verdict but
    "inconclusive".
    """
    both = ~np.isnan(arm[0]) & ~np.isnan(base[0])
    recorded = int((~np.isnan(base[0])).sum())
    if not both.any():
        return figures
    groups = None if clusters is None else clusters[both]
    difference = paired_difference(arm[0][both], base[0][both], groups)
    if both.sum() < ENOUGH_RECORDED * recorded:
        note = f"recorded for {int(both.sum())} of {recorded} prompts only"
        difference = dataclasses.replace(difference, low=None, high=None, note=note)
    costs, base_costs = arm[1][both], base[1][both]
    ratio = None
    if not np.isnan(costs).any() and not np.isnan(base_costs).any():
        ratio = cost_ratio(costs, base_costs, groups)
    if anytime:
        verdict = anytime_non_inferiority(arm[0][both] - base[0][both], margin, groups)
        if difference.low is None:
            verdict = non_inferiority(difference, margin)
        ratio = None if ratio is None else anytime_cost_ratio(costs, base_costs, groups)
        return dataclasses.replace(figures, against=verdict, cost_ratio=ratio)
    return dataclasses.replace(figures, against=non_inferiority(difference, margin), cost_ratio=ratio)


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """An arm before it is judged."""

    name: str
    config: Any
    walked: Walked
    tune: Walked | None = None
    in_sample: bool = False
    errors: Mapping[int, str] = field(default_factory=dict)
    predicted: Floats | None = None


def defaults(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return a line for each arm whose strategy could not decide everywhere: how often the default did, and why."""
    return tuple(f"{entry.name}: {told(entry.errors, len(entry.walked))}" for entry in entries if entry.errors)


def assess(
    entries: Sequence[Entry], baseline: Entry, terms: Terms, clusters: Ints | None = None
) -> tuple[tuple[Arm, ...], Arm]:
    """Return the arms judged against the baseline, with p values corrected by Holm, and the baseline itself.

    The family of the correction is the nominated arms, or all of them; the others are corrected over every arm. An
    arm that picks the same model as the baseline for every prompt asks no question and is not in the family.
    """
    arms = [_arm(entry, baseline, terms, clusters) for entry in entries]
    asking = [
        k for k, arm in enumerate(arms) if arm.figures.against is not None and not same(arm.walked, baseline.walked)
    ]
    family = [k for k in asking if terms.nominated is None or arms[k].name in terms.nominated]
    adjusted = {**_adjusted(arms, asking), **_adjusted(arms, family)}
    judged = tuple(dataclasses.replace(arm, figures=_with(arm.figures, adjusted.get(k))) for k, arm in enumerate(arms))
    return judged, _arm(baseline, baseline, terms, clusters)


def same(one: Walked, other: Walked) -> bool:
    """Say that two arms gave every prompt the same answer: two live calls of one model may differ."""
    return bool(
        np.array_equal(one.model, other.model)
        and np.array_equal(one.attempts, other.attempts)
        and np.array_equal(one.quality, other.quality, equal_nan=True)
        and np.array_equal(one.cost_usd, other.cost_usd, equal_nan=True)
        and not (one.model == NOBODY).all()
    )


def _arm(entry: Entry, baseline: Entry, terms: Terms, clusters: Ints | None) -> Arm:
    walked, base = entry.walked, baseline.walked
    own = figures_of(walked, dependent(clusters, walked))
    if same(walked, base):
        figures = _unchanged(own, terms.margin)
    else:
        figures = against(
            own,
            (walked.quality, walked.cost_usd),
            (base.quality, base.cost_usd),
            margin=terms.margin,
            clusters=dependent(clusters, walked, base),
            anytime=terms.anytime,
        )
        figures = dataclasses.replace(figures, against=unsettled(figures.against, walked, base))
    return Arm(
        name=entry.name,
        config=entry.config,
        walked=walked,
        figures=figures,
        tune=entry.tune,
        in_sample=entry.in_sample,
        errors=entry.errors,
        predicted=entry.predicted,
    )


def _adjusted(arms: Sequence[Arm], family: Sequence[int]) -> dict[int, dict[str, float]]:
    """Return each arm's p values after Holm over the family.

    "No worse by the margin and cheaper" is one claim with two parts, so its p value is the larger of the two (an intersection-union
    test, Berger 1982) before the correction: correcting the quality alone would leave twenty chances to look cheaper.
    """
    judged = [(arms[k].figures.against, arms[k].figures.cost_ratio) for k in family]
    raw = {
        "p_adjusted": [v.p for v, _ in judged if v is not None],
        "p_better_adjusted": [v.p_better for v, _ in judged if v is not None],
        "p_adopt_adjusted": [max(v.p, p_below(ratio, 1.0)) for v, ratio in judged if v is not None],
    }
    corrected = {name: holm(np.array(values)) for name, values in raw.items()}
    return {k: {name: float(values[i]) for name, values in corrected.items()} for i, k in enumerate(family)}


def _with(figures: Figures, adjusted: dict[str, float] | None) -> Figures:
    if adjusted is None:
        return figures if figures.against is None else dataclasses.replace(figures, p_adjusted=1.0)
    return dataclasses.replace(
        figures,
        p_adjusted=adjusted["p_adjusted"],
        p_better_adjusted=adjusted["p_better_adjusted"],
        p_adopt_adjusted=adjusted["p_adopt_adjusted"],
    )


def _unchanged(figures: Figures, margin: float) -> Figures:
    """Return the figures of an arm that is the baseline under another name: no difference, for certain."""
    nothing = Estimate(value=0.0, low=0.0, high=0.0, se=0.0, n=figures.n, method="the same answers")
    one = Estimate(value=1.0, low=1.0, high=1.0, se=0.0, n=figures.n, method="the same answers")
    known = figures.cost_known == figures.n and (figures.cost_usd or 0.0) > 0
    return dataclasses.replace(figures, against=non_inferiority(nothing, margin), cost_ratio=one if known else None)


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
