"""The regression gate: one config against a baseline that it must not be worse than, with an exit code for scripts.

What a file says about itself (`evidence`) is not looked at: the gate measures.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from routelab import strict
from routelab.caching import CacheConfig
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, DataError
from routelab.core.plan import NOBODY
from routelab.fleet import Fleet, fleet_of
from routelab.lab.asked import worded
from routelab.lab.compare import Arm, Comparison, Entry
from routelab.lab.controls import best_single, single
from routelab.lab.datasets import Dataset
from routelab.lab.live import judged
from routelab.lab.logged import outcomes_of_log
from routelab.lab.outcomes import Ints, Outcomes
from routelab.lab.replay import BEST_SINGLE, Halves, compare_entries, known_models, planned, terms_of, walked
from routelab.lab.replay import check as check_terms
from routelab.lab.report import result, text
from routelab.lab.session import Lab
from routelab.lab.statistics import NonInferiority, non_inferiority, paired_difference

Word = Literal["fine", "regression", "inconclusive"]
EXITS: Mapping[Word, int] = {"fine": 0, "regression": 1, "inconclusive": 3}
"""2 is left for an error: a wrong command line, a file that cannot be read."""
WORDS: Mapping[str, Word] = {"non-inferior": "fine", "worse": "regression", "inconclusive": "inconclusive"}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Checked:
    """What the gate says of a config: a word with its exit code, the sentence, and the comparison it rests on."""

    comparison: Comparison
    source: Literal["recorded", "live"]
    rivals: int = 1
    """Among how many single models the baseline was chosen on these prompts; 1 when it was given."""

    @property
    def arm(self) -> Arm:
        """The config that was checked."""
        return self.comparison.arms[0]

    @property
    def word(self) -> Word:
        """Fine (no worse by the margin), regression (worse, beyond doubt), or inconclusive (too few prompts to say).

        The best of several models on these prompts looks better than it is, so against a baseline that was chosen here a loss
        must hold at a level divided by the number of models (Bonferroni): of nine equal models, none of them routed, 11 % were
        called a regression without, and 1.3 % are with it (300 simulated checks).
        """
        verdict = self.verdict
        return "inconclusive" if verdict is None else WORDS[verdict.verdict]

    @cached_property
    def verdict(self) -> NonInferiority | None:
        """The verdict that counts: the arm's own, or for a loss against a chosen baseline the corrected one."""
        own = self.arm.figures.against
        if own is None or own.verdict != "worse" or self.rivals < 2:
            return own
        new, base = self.arm.walked.quality, self.comparison.baseline.walked.quality
        both = ~np.isnan(new) & ~np.isnan(base)
        clusters = _clusters(self.comparison)
        groups = None if clusters is None else clusters[both]
        level = 1 - 0.05 / self.rivals
        return non_inferiority(paired_difference(new[both], base[both], groups, level=level), own.margin)

    @property
    def chosen(self) -> str:
        """How the baseline was chosen, in words."""
        return "given" if self.rivals < 2 else f"the best of the config's {self.rivals} models on these prompts"

    @property
    def exit(self) -> int:
        """The exit code of `routelab check`."""
        return EXITS[self.word]

    @property
    def n_needed(self) -> int | None:
        """How many prompts a verdict would need in all; None when there is one, or no feasible number is enough."""
        return None if self.verdict is None else self.verdict.n_needed

    @property
    def why(self) -> str:
        """One sentence with the figures."""
        said = f"{self.word}: {_told(self.word, self.arm, self.comparison)}"
        if self.word == "inconclusive":
            if self.verdict is not self.arm.figures.against:
                said += f"; the loss is not certain, because the baseline is {self.chosen}"
            said += _more(self.verdict)
        return f"simulated: {said}" if self.comparison.terms.simulated else said

    def text(self) -> str:
        """Return the report for a terminal."""
        return text(self.comparison).removesuffix(self.comparison.why) + self.why

    def to_json(self) -> dict[str, Any]:
        """Return the figures of `result.json` with `check` beside them; `why` is the gate's own sentence."""
        return {
            **result(self.comparison),
            "why": self.why,
            "check": {
                "verdict": self.word,
                "exit": self.exit,
                "n_needed": self.n_needed,
                "baseline_chosen": self.chosen,
                "source": self.source,
            },
        }

    def write(self, path: str | Path) -> Path:
        """Write the report as JSON and return its path; ConfigError when the place cannot be written."""
        path = Path(path)
        said = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        try:
            path.write_text(said + "\n", encoding="utf-8")
        except OSError as trouble:
            raise ConfigError(
                f"{path}: cannot be written ({trouble.strerror})", hint="check that the folder exists"
            ) from None
        return path

    def __repr__(self) -> str:
        return self.text()


def check(
    config: RouteConfig,
    outcomes: Outcomes,
    *,
    baseline: RouteConfig | None = None,
    margin: float = 0.02,
    seed: int = 0,
) -> Checked:
    """Return what recorded outcomes say of a config; no model is called.

    Every prompt counts: the config was fixed before, so nothing is tuned on them, and a strategy runs as it is written. The
    baseline is a config, or the best of the config's own models on these prompts; see `Checked.word` for what that takes.
    """
    check_terms(0.0, margin)
    for arm in (config, *([baseline] if baseline is not None else [])):
        known_models(arm.name, arm, outcomes)
    names = dict.fromkeys((*config.names, *(baseline.names if baseline is not None else ())))
    own = outcomes.only(tuple(names))
    entry = Entry(name=config.name, config=config, walked=walked(config.name, config, own, planned))
    if np.isnan(entry.walked.quality).all():
        raise DataError(
            f"{outcomes.dataset or 'the outcomes'}: no quality was recorded for what '{config.name}' would ask",
            hint="score the answers first",
        )
    if baseline is not None:
        name = baseline.name if baseline.name != config.name else f"{baseline.name} (baseline)"
        base = Entry(name=name, config=baseline, walked=walked(name, baseline, own, planned))
    else:
        column = best_single(own.only(config.models))
        if column is None:
            raise DataError("no quality was recorded, so nothing can be compared", hint="score the answers first")
        model = config.models[column]
        base = Entry(name=BEST_SINGLE, config=model, walked=single(own, own.column(model)))
    halves = Halves(tune=own, confirm=own, held_out=False)
    terms = terms_of(own, halves, margin=margin, seed=seed, arms_tried=1)
    notes = (*terms.notes, *_unlike(config))
    comparison = compare_entries(halves, [entry], base, dataclasses.replace(terms, notes=notes))
    return Checked(comparison=comparison, source="recorded", rivals=1 if baseline is not None else len(config.models))


def check_live(
    config: RouteConfig,
    dataset: Dataset,
    fleet: Fleet,
    *,
    baseline: RouteConfig | None = None,
    margin: float = 0.02,
    seed: int = 0,
    budget_usd: float | None = None,
    jobs: int = 8,
) -> Checked:
    """Return what a trial of the config beside its baseline says, both played now on every prompt, without caches.

    Without a baseline each of the config's models is played alone, under the config's own prompt section, and the best is it.
    """
    check_terms(0.0, margin)
    arms: dict[str, RouteConfig] = {config.name: config}
    if baseline is not None:
        arms[baseline.name if baseline.name != config.name else f"{baseline.name} (baseline)"] = baseline
    else:
        for model in config.models:
            arms[model if model != config.name else f"{model} alone"] = dataclasses.replace(
                config,
                name=model,
                models=[model],
                strategy={"kind": "fixed", "model": model},
                fallbacks={},
                cache=CacheConfig(),
            )
    rivals = [name for name in arms if name != config.name]
    with Lab(fleet=fleet) as lab:
        played = lab.compare(
            dataset,
            arms,
            baseline=rivals[0],
            margin=margin,
            seed=seed,
            budget_usd=budget_usd,
            jobs=jobs,
            cache=False,
        )
    scored = [played[name] for name in rivals if played[name].figures.quality is not None]
    if not scored or played[config.name].figures.quality is None:
        raise DataError(f"{dataset.name}: no answer was scored", hint="its prompts need a `scorer`")
    best = min(scored, key=lambda a: (-_quality(a), np.inf if a.figures.cost_usd is None else a.figures.cost_usd))
    # Judged again against the one that counts, so that the correction is for one question and not for all models.
    kept = {name: arms[name] for name in (config.name, best.name)}
    comparison = judged(
        played.prompts,
        {name: played.answers[name] for name in kept},
        kept,
        baseline=best.name,
        margin=margin,
        seed=seed,
        experiment=str(played.tags.get("experiment", "")),
        dataset=dataset.name,
    )
    comparison = dataclasses.replace(
        comparison,
        arms=tuple(a for a in comparison.arms if a.name == config.name),
        terms=dataclasses.replace(comparison.terms, arms_tried=1),
    )
    return Checked(comparison=comparison, source="live", rivals=len(rivals))


def recorded_for(
    dataset: str,
    *,
    log: str | Path | None = None,
    outcomes: str | Path | None = None,
    prompts: str | Path | None = None,
    prices: str | Path | None = None,
) -> Outcomes:
    """Return the recorded outcomes of a data set, from a log or a file of outcomes.

    `dataset` is a name in them, or a file of prompts: then only its prompts count, and they need no other file.
    """
    of_file = Dataset.read(dataset) if Path(dataset).suffix.lower() in (".jsonl", ".csv", ".gz") else None
    if log is not None:
        read = outcomes_of_log(
            Path(log),
            dataset=dataset if of_file is None else of_file.name,
            prompts=() if of_file is None else of_file.prompts,
        )
    else:
        if outcomes is None:
            raise ConfigError("neither a log nor outcomes are given", hint="pass log= or outcomes=")
        if prompts is None and of_file is None:
            raise ConfigError(
                "--outcomes needs its prompts", hint="add --prompts P, or give --dataset a file of prompts"
            )
        read = Outcomes.read(
            outcomes=outcomes,
            prompts=prompts if prompts is not None else dataset,
            dataset=dataset if of_file is None else None,
            prices=prices,
        )
    if of_file is None:
        return read
    rows = [read.rows[p.id] for p in of_file.prompts if p.id in read.rows]
    if not rows:
        raise DataError(f"{dataset}: none of its prompts has an outcome", hint="the ids must be the same")
    missing = len(of_file) - len(rows)
    note = (f"{missing:,} of the {len(of_file):,} prompts of {of_file.name} have no outcome and do not count",)
    return dataclasses.replace(read.take(rows), dataset=of_file.name, notes=(*read.notes, *(note if missing else ())))


def fleet_for(path: str | Path, config: RouteConfig) -> Fleet:
    """Return the fleet that a config's file names: its own `fleet` key, else a fleet.yaml beside it."""
    path = Path(path)
    if config.fleet == "practice":
        # Nobody needs to wait for a simulated model; the latencies it reports are the same.
        return Fleet.practice(latency=0)
    if config.fleet is not None:
        return fleet_of(config.fleet, strict.read(path))
    if (path.parent / "fleet.yaml").is_file():
        return Fleet.from_yaml(path.parent / "fleet.yaml")
    raise ConfigError(
        f"{path}: does not say which fleet answers",
        hint="add a `fleet` key, put a fleet.yaml beside it, or check recorded outcomes with --log or --outcomes",
    )


def _unlike(config: RouteConfig) -> tuple[str, ...]:
    said = [f"`{name}`" for name in worded(config)]
    if not said:
        return ()
    return (
        f"the config changes what the model is sent ({', '.join(said)}); recorded answers say nothing about that, a live check does",
    )


def _quality(arm: Arm) -> float:
    return arm.figures.quality.value if arm.figures.quality is not None else -1.0


def _told(word: Word, arm: Arm, comparison: Comparison) -> str:
    f, base = arm.figures, comparison.baseline
    label = f"{base.config} ({base.name})" if isinstance(base.config, str) and base.config != base.name else base.name
    if f.against is None or f.quality is None or base.figures.quality is None:
        return f"{arm.name} and the baseline {label} have no prompt in common whose quality was recorded for both"
    d, margin = f.against.difference, f"{100 * comparison.terms.margin:g} points"
    says = {
        "fine": "is worse, but by less than" if f.against.worse_within_margin else "loses less than",
        "regression": "is worse by more than" if _beyond(f.against) else "is worse, and perhaps by more than",
        "inconclusive": "cannot be told from one that loses more than",
    }[word]
    ends = d.note or "no interval"
    if d.low is not None and d.high is not None:
        ends = f"95 % interval {100 * d.low:+.1f} to {100 * d.high:+.1f}"
    cost = "cost unknown" if f.cost_ratio is None else f"{100 * f.cost_ratio.value:.3g} % of its cost"
    asked = "" if (arm.walked.model != NOBODY).any() else "; nobody answered"
    return (
        f"{arm.name} {says} the margin of {margin}: quality {100 * f.quality.value:.1f} % against "
        f"{100 * base.figures.quality.value:.1f} % of the baseline {label}, difference {100 * d.value:+.1f} points "
        f"({ends}), {cost}, on {d.n:,} prompts{asked}"
    )


def _beyond(verdict: NonInferiority) -> bool:
    return verdict.difference.high is not None and verdict.difference.high < -verdict.margin


def _clusters(comparison: Comparison) -> Ints | None:
    if comparison.outcomes is not None:
        return comparison.outcomes.clusters
    if all(p.group is None for p in comparison.prompts):
        return None
    groups = [p.group or p.id for p in comparison.prompts]
    return np.unique(np.array(groups, dtype=object), return_inverse=True)[1].reshape(-1).astype(np.intp)


def _more(verdict: NonInferiority | None) -> str:
    if verdict is None or verdict.difference.low is None:
        return ""
    if verdict.n_needed is None:
        return "; no feasible number of prompts would settle it at this margin"
    return f"; about {verdict.n_needed:,} prompts would settle it ({verdict.n_needed - verdict.difference.n:,} more)"
