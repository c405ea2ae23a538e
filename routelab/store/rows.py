"""A run becomes rows: pure functions, no file. `revival` is the way back."""

from __future__ import annotations

import math
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.core.events import Answered, Compacted, Event, Recalled, Remembered, Scored, Unanswered, kind, payload
from routelab.core.run import Run
from routelab.core.values import Message, Prompt
from routelab.store.redaction import redact
from routelab.store.schema import FORGOTTEN, TABLES
from routelab.store.text import Content, note, sha256, storable, to_json, veil, veiled

Row: TypeAlias = tuple[Any, ...]

# Fields whose text comes from a prompt or an answer, and fields that may quote one.
_CONTENT: Mapping[str, frozenset[str]] = {
    "compacted": frozenset({"messages"}),
    "retrieved": frozenset({"messages", "chunks", "context"}),
    "recalled": frozenset({"text", "like"}),
    "missed": frozenset({"like", "objection"}),
    "answered": frozenset({"text"}),
    "unanswered": frozenset({"text"}),
}
_DEFAULTS: Mapping[type[Any], tuple[tuple[str, Any], ...]] = {
    cls: tuple((f.name, f.default) for f in fields(cls) if f.name != "at_s" and f.default is not MISSING)
    for cls in typing.get_args(Event)
}
_NOTES: Mapping[str, str] = {
    "blocked": "reason",
    "unanswered": "message",
    "scored": "reason",
    "failed": "message",
    "compacted": "error",
}


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Rows that are written together or not at all, under the key that tells when they come a second time."""

    table: str
    key: tuple[str, ...]
    rows: Mapping[str, tuple[Row, ...]]

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.rows.values())


def of_run(run: Run, *, content: Content = "full", session: str = "") -> Unit:
    """Return the run's rows of `runs`, `events`, `calls`, `scores` and `answers`."""
    rows = {
        "runs": (_run(run, session),),
        "events": tuple(_events(run, content)),
        "calls": tuple(_calls(run, content)),
        "scores": tuple(_scores(run, content)),
        "answers": tuple(_answers(run, content)),
    }
    return Unit(table="runs", key=(storable(run.id),), rows={name: found for name, found in rows.items() if found})


def _turn(message: Message) -> dict[str, Any]:
    """Return a turn as it stands in a prompt's row: what it says of tools only if it does, so that others keep their mark."""
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        turn["calls"] = [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in message.calls]
    if message.answers is not None:
        turn["answers"] = message.answers
    return turn


def of_prompt(prompt: Prompt, *, added_at: datetime, content: Content = "full") -> Unit:
    """Return the prompt's row of `prompts`; the same prompt with the same facts has the same key."""
    facts = {
        "messages": [_turn(m) for m in prompt.messages],
        "reference": prompt.reference,
        "scorer": None if prompt.scorer is None else dict(prompt.scorer),
        "wrong": list(prompt.wrong),
    }
    open_facts = {"difficulty": prompt.difficulty, "group": prompt.group, "tags": dict(prompt.tags)}
    mark = sha256(to_json({**facts, **open_facts, "task": prompt.task})) if content != "none" else ""
    stored = to_json({**veiled(facts, content), **open_facts})
    chars = None if content == "none" else sum(len(m.content) for m in prompt.messages)
    row = _row(
        "prompts",
        prompt_id=storable(prompt.id),
        task=_name(prompt.task),
        content=stored,
        sha256=mark,
        text=veil(prompt.text, content),
        chars=chars,
        added_at=utc(added_at),
    )
    return Unit(table="prompts", key=(storable(prompt.id), mark), rows={"prompts": (row,)})


def of_rating(run_id: str, value: float | None, note_: str, *, rated_at: datetime, rating_id: str) -> Unit:
    """Return one row of `ratings`."""
    row = _row(
        "ratings",
        run_id=storable(run_id),
        value=_real(value),
        note=storable(note_),
        rated_at=utc(rated_at),
        rating_id=rating_id,
    )
    return Unit(table="ratings", key=(rating_id,), rows={"ratings": (row,)})


def of_experiment(
    experiment: str,
    *,
    dataset: str,
    arms: Mapping[str, Any],
    seed: int,
    detail: Mapping[str, Any],
    started_at: datetime,
) -> Unit:
    """Return one row of `experiments`; the same experiment recorded again has the same key."""
    facts = {"dataset": storable(dataset), "arms": to_json(dict(arms)), "detail": to_json(dict(detail))}
    mark = sha256(to_json([experiment, facts, seed]))
    row = _row(
        "experiments",
        experiment=storable(experiment),
        seed=seed if abs(seed) < 2**127 else None,
        sha256=mark,
        started_at=utc(started_at),
        **facts,
    )
    return Unit(table="experiments", key=(storable(experiment), mark), rows={"experiments": (row,)})


def of_vector(embedder: str, text_sha256: str, vector: NDArray[np.float32], *, added_at: datetime) -> Unit:
    """Return one row of `embeddings`: the vector as little-endian float32."""
    row = _row(
        "embeddings",
        embedder=storable(embedder),
        sha256=text_sha256,
        dimensions=int(vector.shape[0]),
        vector=np.ascontiguousarray(vector, dtype="<f4").tobytes(),
        added_at=utc(added_at),
    )
    return Unit(table="embeddings", key=(storable(embedder), text_sha256), rows={"embeddings": (row,)})


def of_forgetting(label: str | None, *, at: datetime, mark: str, session: str) -> Unit:
    """Return the row of `meta` that says that answers of runs that began by then are forgotten: all, or those under a label."""
    row = _row("meta", key=FORGOTTEN, value=_name(label), session=session, noted_at=utc(at))
    return Unit(table="meta", key=(mark,), rows={"meta": (row,)})


def utc(moment: datetime) -> datetime:
    """Return the moment in UTC without a time zone attached, as DuckDB's TIMESTAMP wants it."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _row(table: str, **values: Any) -> Row:
    """Return the values in the order of the table's columns; a column that is not named is NULL."""
    row = tuple(values.pop(column, None) for column in TABLES[table].columns)
    assert not values, f"{table} has no column {', '.join(values)}"
    return row


def _run(run: Run, session: str) -> Row:
    routed, recalled, answered = run.routed, run.recalled, run.answered
    model = recalled.model if recalled is not None else answered.model if answered is not None else None
    return _row(
        "runs",
        **_where(run),
        config=storable(run.config),
        status=run.status,
        model=_name(model),
        cost_usd=_real(run.cost_usd),
        latency_s=_real(run.latency_s),
        quality=_real(run.quality),
        cached=recalled is not None,
        propensity=_propensity(run),
        why=None if routed is None else storable(routed.reason),
        tags=to_json(dict(run.tags)),
        simulated=_simulated(run),
        started_at=utc(run.started_at),
        seed=run.seed if abs(run.seed) < 2**127 else None,
        session=session,
    )


def _events(run: Run, content: Content) -> Iterator[Row]:
    for seq, event in enumerate(run.events):
        began = utc(run.started_at)
        yield (storable(run.id), seq, kind(event), _real(event.at_s), to_json(_payload(event, content)), began)


def _payload(event: Event, content: Content) -> dict[str, Any]:
    # What `payload` leaves out for being empty comes back where empty is not what the field would be without a value:
    # an unknown cost must not be read back as a cost of nothing.
    facts = payload(event)
    for field, default in _DEFAULTS[type(event)]:
        if field not in facts and (value := getattr(event, field)) != default:
            facts[field] = value
    name = kind(event)
    for hidden in _CONTENT.get(name, frozenset()) & facts.keys():
        facts[hidden] = veiled(facts[hidden], content)
    quoted = _NOTES.get(name)
    if quoted in facts:
        facts[quoted] = note(facts[quoted], content, redact)
    return facts


def _calls(run: Run, content: Content) -> Iterator[Row]:
    for seq, event in enumerate(run.events):
        if isinstance(event, (Answered, Unanswered)):
            yield _call(run, seq, event, content)
        elif isinstance(event, Recalled) and event is run.recalled:
            yield _row(
                "calls",
                **_where(run),
                requested_model=storable(event.model),
                status="recalled",
                cost_usd=0.0,
                latency_s=_real(event.latency_s),
                cached=True,
                simulated=event.simulated,
                propensity=_propensity(run),
                started_at=_began(run, event.at_s, event.latency_s),
                call_id=_call_id(run, seq),
                template=_template(run),
            )


def _call(run: Run, seq: int, event: Answered | Unanswered, content: Content) -> Row:
    outcome: dict[str, Any] = (
        {
            "served_model": storable(event.served_model),
            "status": "answered",
            "price_as_of": _name(event.price_as_of),
            "ttft_s": _real(event.ttft_s),
            "finish": event.finish,
            "mean_logprob": _real(event.mean_logprob),
            "min_logprob": _real(event.min_logprob),
        }
        if isinstance(event, Answered)
        else {"status": storable(event.error), "error": note(event.message, content, redact)}
    )
    tokens = event.tokens
    return _row(
        "calls",
        **_where(run),
        **outcome,
        requested_model=storable(event.model),
        provider=storable(event.provider),
        input_tokens=_whole(tokens.input),
        output_tokens=_whole(tokens.output),
        cached_tokens=_whole(tokens.cached),
        reasoning_tokens=_whole(tokens.reasoning),
        tokens_source=tokens.source,
        cost_usd=_cost(event),
        latency_s=_real(event.latency_s),
        cached=False,
        propensity=_propensity(run),
        simulated=event.simulated,
        started_at=_began(run, event.at_s, event.latency_s),
        attempt=event.attempt,
        call_id=_call_id(run, seq),
        template=_template(run),
    )


def _scores(run: Run, content: Content) -> Iterator[Row]:
    for seq, event in enumerate(run.events):
        if isinstance(event, Scored):
            yield _row(
                "scores",
                **_where(run),
                model=storable(event.model),
                scorer=storable(event.scorer),
                quality=_real(event.quality),
                accepted=event.accepted,
                at_least=_real(event.at_least),
                reason=note(event.reason, content, redact),
                cost_usd=_real(event.cost_usd),
                latency_s=_real(event.latency_s),
                seq=seq,
                started_at=utc(run.started_at),
                judge=storable(event.judge),
                input_tokens=_whole(event.tokens.input),
                output_tokens=_whole(event.tokens.output),
                simulated=event.simulated,
            )


def _answers(run: Run, content: Content) -> Iterator[Row]:
    kept = run.answered
    remembered = {e.cache: e for e in run.events if isinstance(e, Remembered) and not e.refused}
    for seq, event in enumerate(run.events):
        if not isinstance(event, Answered):
            continue
        exact, semantic = (remembered.get(c) if event is kept else None for c in ("exact", "semantic"))
        label = next((e.label for e in (exact, semantic) if e is not None), None)
        yield _row(
            "answers",
            run_id=storable(run.id),
            call_id=_call_id(run, seq),
            cache_key=None if exact is None else _name(exact.key),
            cache_namespace=None if semantic is None else _name(semantic.key),
            cache_text=None if semantic is None else veil(run.prompt.text, content),
            cache_label=_name(label or None),
            text=veil(event.text, content),
            sha256=None if content == "none" else sha256(event.text),
            chars=None if content == "none" else len(event.text),
            kept=event is kept,
            experiment=storable(run.experiment),
            prompt_id=storable(run.prompt.id),
            model=storable(event.model),
            served_model=storable(event.served_model),
            provider=storable(event.provider),
            finish=event.finish,
            input_tokens=_whole(event.tokens.input),
            output_tokens=_whole(event.tokens.output),
            cost_usd=_cost(event),
            latency_s=_real(event.latency_s),
            simulated=event.simulated,
            started_at=utc(run.started_at),
        )


def _where(run: Run) -> dict[str, Any]:
    return {
        "run_id": storable(run.id),
        "experiment": storable(run.experiment),
        "arm": storable(run.arm),
        "prompt_id": storable(run.prompt.id),
        "task": _task(run),
    }


def _call_id(run: Run, seq: int) -> str:
    return f"{storable(run.id)}/{seq}"


def _task(run: Run) -> str | None:
    routed = run.routed
    return _name(run.prompt.task or (routed.task if routed is not None else None))


def _template(run: Run) -> str:
    named = (e.template for e in reversed(run.events) if isinstance(e, Compacted) and e.template)
    return storable(next(named, ""))


def _propensity(run: Run) -> float | None:
    return None if run.routed is None else _real(run.routed.propensity)


def _simulated(run: Run) -> bool | None:
    # Who gave a recalled answer, the cache may know; otherwise only the run that it was first given in does.
    if not run.attempts and run.recalled is not None:
        return run.recalled.simulated
    return any(a.simulated for a in run.attempts)


def _cost(event: Answered | Unanswered) -> float | None:
    # As `Run.cost_usd` has it: a refused connection costs nothing, a broken stream what it generated, known or not.
    if isinstance(event, Unanswered) and event.cost_usd is None and not event.text:
        return 0.0
    return _real(event.cost_usd)


def _began(run: Run, at_s: float, latency_s: float | None) -> datetime:
    before = max(0.0, (_real(at_s) or 0.0) - (_real(latency_s) or 0.0))
    return utc(run.started_at) + timedelta(seconds=min(before, 1e9))


def _name(text: str | None) -> str | None:
    return None if text is None else storable(text)


def _real(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _whole(value: int | None) -> int | None:
    # A provider may count anything; what no BIGINT holds is not known.
    return value if value is not None and -(2**63) <= value < 2**63 else None
