"""Experiments out of the log: which there are, and the comparison that one of them was, as far as the log can say."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from routelab import strict
from routelab.answer import Answer
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, DataError, UnavailableError
from routelab.core.events import Unanswered
from routelab.core.run import Run
from routelab.core.values import Prompt
from routelab.lab.compare import Comparison
from routelab.lab.refreshes import refreshes_of
from routelab.store import Log
from routelab.store.revival import to_event

ALONE = "prompt"
"""The data set's name of a single prompt, asked in a cell or in the playground: a look, and no experiment to open."""

# What a cache asked for again in the background is no arm's answer to a prompt.
# The latest description of an experiment counts: whoever plays it may say more about it than it first said.
_EXPERIMENTS = """
    with e as (
        select experiment, arg_max(dataset, started_at) as dataset, arg_max(arms, started_at) as arms,
               arg_max(detail, started_at) as detail, min(started_at) as at, max(seed) as seed
        from experiments group by experiment
    ), r as (
        select experiment, count(*) as runs, count(distinct arm) as arms, bool_or(simulated) as simulated
        from runs where try(tags ->> '$.revalidates') is null group by experiment
    )
    select e.experiment, e.dataset, e.arms, e.detail, e.at, e.seed, r.runs, r.simulated
    from e join r using (experiment)
    where r.arms > 1 and e.dataset <> ? and (?::varchar is null or e.experiment = ?)
    order by e.at desc, e.experiment limit ?
"""
_RUNS = """
    select run_id, arm, config, prompt_id, task, tags, seed, started_at from runs
    where experiment = ? and try(tags ->> '$.revalidates') is null
    qualify row_number() over (partition by arm, prompt_id order by started_at desc, run_id) = 1
"""
_EVENTS = """
    select run_id, kind, at_s, payload from events
    where run_id in (select run_id from runs where experiment = ?) order by run_id, seq
"""


@dataclass(frozen=True, kw_only=True)
class Played:
    """An experiment in the log: its arms' configs as plain values, and what else was written down about it."""

    id: str
    dataset: str
    arms: Mapping[str, Mapping[str, Any]]
    detail: Mapping[str, Any]
    at: datetime
    seed: int
    runs: int
    simulated: bool

    @property
    def title(self) -> str:
        """The experiment in a line."""
        who = ", ".join(self.arms) if len(self.arms) < 4 else f"{len(self.arms)} arms"
        more = " · simulated" if self.simulated else ""
        return f"{self.at:%m-%d %H:%M} · {self.dataset} × {who} · {self.runs:,} runs{more} · {self.id[-8:]}"


@dataclass(frozen=True, kw_only=True)
class Unread:
    """An arm's config that cannot be made again from the log: which models it may have asked, and why it cannot."""

    names: tuple[str, ...]
    why: str


def experiments(log: Log, *, most: int = 30, only: str | None = None) -> list[Played]:
    """Return the latest experiments with two arms or more."""
    rows = log.query(_EXPERIMENTS, [ALONE, only, only, most])
    return [
        Played(
            id=name,
            dataset=dataset or "data",
            arms=_mapping(arms),
            detail=_mapping(detail),
            at=at,
            seed=int(seed or 0),
            runs=runs,
            simulated=bool(simulated),
        )
        for name, dataset, arms, detail, at, seed, runs, simulated in rows
    ]


def reopened(log: Log, experiment: str, *, baseline: str | None = None, margin: float = 0.02) -> Comparison:
    """Return the comparison over the prompts that every arm of an experiment in the log finished.

    Baseline and margin are those that the log holds; where it holds none, those given (the first arm without one), and then
    nothing is called a winner, because they were chosen after the figures could be seen. Nor is it where a rule watched the
    experiment: its looks cannot be made again. What cannot be made again is in the notes.
    Raises DataError for an experiment that the log does not have, and UnavailableError when no prompt is whole.
    """
    from routelab.lab.live import judged

    found = experiments(log, most=1, only=experiment)
    if not found:
        raise DataError(f"the log has no experiment '{experiment}' with two arms", hint="lab.sql('from experiments')")
    played = found[0]
    answers = _answers(log, played)
    arms = list(dict.fromkeys([*played.arms, *answers]))
    whole = [i for i in answers.get(arms[0], {}) if all(i in answers.get(arm, {}) for arm in arms)]
    if not whole:
        raise UnavailableError(
            f"{played.id}: no prompt was finished by all {len(arms)} arms, so there is nothing to compare",
            hint="the Log tab has its runs",
        )
    configs = {name: _config(name, played) for name in arms}
    fixed = played.detail.get("baseline") in arms and isinstance(played.detail.get("margin"), (int, float))
    base = str(played.detail["baseline"]) if fixed else baseline if baseline in arms else arms[0]
    first = answers[arms[0]]
    total = played.detail.get("prompts")
    seen = len({i for row in answers.values() for i in row})
    made = judged(
        [first[i].run.prompt for i in whole],
        {name: [answers[name][i] for i in whole] for name in arms},
        cast("Mapping[str, RouteConfig]", configs),
        baseline=base or arms[0],
        margin=float(played.detail["margin"]) if fixed else margin,
        seed=played.seed,
        experiment=played.id,
        dataset=played.dataset,
        refreshes=refreshes_of(log, played.id),
        unfinished=max(int(total) if isinstance(total, int) else seen, seen) - len(whole),
    )
    pending = _pending(played, fixed=fixed)
    notes = _notes(played, configs, first[whole[0]].run.prompt, pending)
    terms = dataclasses.replace(
        made.terms,
        final=made.terms.final and pending is None,
        pending=pending,
        notes=(*made.terms.notes, *notes),
    )
    return dataclasses.replace(made, terms=terms, log=log)


def _answers(log: Log, played: Played) -> dict[str, dict[str, Answer]]:
    """Return the latest answer to each prompt by arm, without those that were stopped before there was one."""
    rows = log.query(_RUNS, [played.id])
    events: dict[str, list[Any]] = {}
    for run_id, kind, at_s, payload in log.query(_EVENTS, [played.id]):
        events.setdefault(run_id, []).append(to_event(kind, at_s, payload))
    known = {p.id: p for p in log.prompts(list({row[3] for row in rows}))}
    found: dict[str, dict[str, Answer]] = {}
    for run_id, arm, config, prompt_id, task, tags, seed, started_at in rows:
        answer = Answer(
            Run(
                id=run_id,
                prompt=known.get(prompt_id) or Prompt(id=prompt_id, messages=(), task=task),
                started_at=started_at,
                experiment=played.id,
                arm=arm or "",
                config=config or "",
                tags=_mapping(tags),
                seed=int(seed or 0),
                events=tuple(events.get(run_id, ())),
            )
        )
        if _ended(answer):
            found.setdefault(arm or "", {})[prompt_id] = answer
    return found


def _ended(answer: Answer) -> bool:
    """Say whether a run went to its end, with an answer or without; one that was stopped may have got anywhere."""
    run = answer.run
    last = run.attempts[-1] if run.attempts else None
    if answer.stopped is not None or (isinstance(last, Unanswered) and last.error == "Cancelled"):
        return False
    over = run.failed is not None or run.blocked is not None or run.recalled is not None
    return over or (run.routed is not None and run.settled)


def _config(name: str, played: Played) -> RouteConfig | Unread:
    values = played.arms.get(name, {})
    models = tuple(str(m) for m in values.get("models", ()))
    try:
        document = strict.Document(values=values, name=f"{played.id}: {name}")
        return RouteConfig.from_document(document)
    except ConfigError as trouble:
        return Unread(names=models, why=trouble.message)


def _pending(played: Played, *, fixed: bool) -> str | None:
    """Return why nothing can be called a winner whatever was finished, or None."""
    if not fixed:
        return (
            "the log does not say its baseline and its margin, which are chosen now, nor whether it was watched: the intervals "
            "hold if it was not stopped because of its figures"
        )
    if played.detail.get("stop") is not None:
        return "it was watched and could stop because of its figures, and the intervals read back from the log are those of one look"
    return None


def _notes(played: Played, configs: Mapping[str, Any], prompt: Prompt, pending: str | None) -> Sequence[str]:
    notes = [f"read back from the log, experiment {played.id}", *([] if pending is None else [pending])]
    unread = [name for name, config in configs.items() if isinstance(config, Unread)]
    if unread:
        notes.append(
            f"not in the log: the whole config of {', '.join(unread)} (it learned, or is of a class of your own), so there is no YAML"
        )
    if not prompt.messages:
        notes.append("the log keeps no texts (its content policy): prompts and answers are empty")
    return notes


def _mapping(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
