"""The judgements in a log, of live gates and of `Lab.judge`, as marks and duels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from routelab.judging.kinds import orders
from routelab.lab.judges.judged import Duel, Judged, Mark, Winner, known, length
from routelab.lab.outcomes import Outcomes

_ROWS = """
    select prompt_id, model, judge, scorer, quality, reason, simulated
    from scores where judge is not null and judge <> '' and (len(?) = 0 or list_contains(?, scorer))
    qualify row_number() over (partition by prompt_id, model, judge, scorer order by started_at desc, run_id desc) = 1
    order by scorer, prompt_id, model
"""


def judged_in_log(
    query: Callable[[str, Sequence[Any]], list[tuple[Any, ...]]], outcomes: Outcomes, keys: Sequence[str] = ()
) -> Judged:
    """Return what judges gave these outcomes' answers, the latest for each judge, answer and gate key (default: all keys).

    `query` is such as `Log.query`; truths, lengths and groups are the outcomes'. A pairwise judgement becomes two duels, one an order; every
    other one a mark. A model that judges in several ways is named with each. Prompts or models that the outcomes do not have are left out.
    """
    marks: list[Mark] = []
    duels: list[Duel] = []
    wanted = list(keys)
    rows = [r for r in query(_ROWS, [wanted, wanted]) if r[0] in outcomes.rows and r[1] in outcomes.models]
    simulated = outcomes.simulated or any(r[6] for r in rows)
    # One model may judge in several ways, by two rubrics say: those are two judges, and not one that changes its mind.
    ways = {(r[2], r[3]) for r in rows if not _paired(r[3])}
    several = {judge for judge, _ in ways if sum(name == judge for name, _ in ways) > 1}
    for prompt_id, model, judge, key, quality, reason, _ in rows:
        fought = orders(reason or "")
        if fought is None and not _paired(key):
            truth, chars, group = _about(outcomes, prompt_id, model)
            marks.append(
                Mark(
                    prompt_id=prompt_id,
                    model=model,
                    judge=f"{judge} ({key})" if judge in several else judge,
                    quality=quality,
                    truth=truth,
                    chars=chars,
                    group=group,
                )
            )
        elif fought is not None and fought.against in outcomes.models:
            duels.extend(_both(outcomes, prompt_id, judge, (model, fought.against), (fought.first, fought.swapped)))
    return Judged(marks=tuple(marks), duels=tuple(duels), simulated=simulated)


def _paired(key: str) -> bool:
    # Equal answers, and a model's own, are no duel: nobody was asked.
    return key.startswith("pairwise-")


def _both(
    outcomes: Outcomes, prompt_id: str, judge: str, models: tuple[str, str], won: tuple[str, str]
) -> Iterator[Duel]:
    names: dict[str, Winner] = {"A": "first", "B": "second", "tie": "tie"}
    for (first, second), winner in ((models, won[0]), (models[::-1], won[1])):
        one, other = _about(outcomes, prompt_id, first), _about(outcomes, prompt_id, second)
        yield Duel(
            prompt_id=prompt_id,
            first=first,
            second=second,
            judge=judge,
            winner=names[winner],
            first_truth=one[0],
            second_truth=other[0],
            first_chars=one[1],
            second_chars=other[1],
            group=one[2],
        )


def _about(outcomes: Outcomes, prompt_id: str, model: str) -> tuple[float | None, int | None, str | None]:
    row = outcomes.rows[prompt_id]
    truth = known(outcomes.quality[row, outcomes.models.index(model)])
    return truth, length(outcomes, prompt_id, model), outcomes.prompts[row].group
