"""What may be waste inside one type of query: a beginning that never changes, reasoning, words that no scorer reads, cut answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from routelab.core.values import Price
from routelab.lab.spread import cost_ratio
from routelab.lab.statistics import Estimate, wilson
from routelab.lab.usage.findings import Finding, Kind, share_text
from routelab.lab.usage.monitor import Prices, Type, Usage
from routelab.lab.usage.scope import Log, Scope, template_column
from routelab.present import percent, usd

LEAST = 20
"""Fewer calls are not looked at."""
CACHED_FROM = 1_024
"""Tokens from which providers' prompt caches serve a repeated beginning (OpenAI and Anthropic; 2026)."""
LIFETIME_S = 300
"""How long a provider's prompt cache holds a beginning that nobody asks for again (OpenAI and Anthropic: five minutes and more)."""
SAMPLE, TYPES = 24, 40
"""Prompts whose messages are compared, a type; and how many types, the dearest."""
MOSTLY = 0.5
"""Reasoning is told from this part of the output on."""
FAR, EXCESS = 5.0, 20.0
"""Output is far above what is scored from this many times, and this many tokens, on."""
CUT = 0.02
LETTERS = 4.0
"""Characters a token, for the little that a scorer reads."""

# What a model saw is what the last stage that rewrote the messages left; without one, the prompt's own messages.
_SEEN = """
    with t as (
        select c.run_id, c.prompt_id, coalesce(c.task, '') as task, {template} as template, c.requested_model as model,
               coalesce(c.simulated, false) as simulated, c.started_at
        from calls c where not c.cached and c.status = 'answered' and {where}
        qualify row_number() over (partition by c.prompt_id, task, template, model, simulated order by c.started_at desc) = 1
    ), l as (
        select * from t qualify row_number() over (partition by task, template, model, simulated order by started_at desc) <= {sample}
    ), e as (
        select run_id, arg_max(payload, seq) as payload from events
        where kind in ('compacted', 'retrieved') and run_id in (select run_id from l) group by run_id
    ), p as (select prompt_id, arg_max(content, added_at) as content from prompts where prompt_id in (select prompt_id from l) group by prompt_id)
    select l.task, l.template, l.model, l.simulated, coalesce(try(e.payload -> '$.messages'), try(p.content -> '$.messages'))
    from l left join e using (run_id) left join p using (prompt_id)
"""
# How many calls came soon enough after one with the same model and template for a provider's cache to have its beginning.
_SOON = """
    with t as (
        select coalesce(c.task, '') as task, {template} as template, c.requested_model as model, coalesce(c.simulated, false) as simulated,
               epoch(c.started_at) - lag(epoch(c.started_at)) over (
                   partition by coalesce(c.task, ''), {template}, c.requested_model, c.simulated order by c.started_at) as gap_s
        from calls c where not c.cached and c.status = 'answered' and {where}
    )
    select task, template, model, simulated, count(*) filter (gap_s <= {lifetime}) / count(*) from t group by all
"""
_CALLS = """
    with t as (
        select c.run_id, c.prompt_id, coalesce(c.task, '') as task, {template} as template, c.requested_model as model,
               coalesce(c.simulated, false) as simulated, c.output_tokens as made, c.reasoning_tokens as thought, c.finish
        from calls c where not c.cached and c.status = 'answered' and c.output_tokens is not null and {where}
        qualify row_number() over (partition by task, template, model, simulated order by c.started_at desc) <= 5000
    ), m as (select run_id, model, arg_max(quality, seq) as quality from scores where accepted is null group by run_id, model),
    p as (
        select prompt_id, arg_max(try(content -> '$.scorer'), added_at) as scorer, arg_max(try(content ->> '$.reference'), added_at) as reference
        from prompts group by prompt_id
    )
    select t.task, t.template, t.model, t.simulated, t.made, t.thought, m.quality, t.finish, p.scorer, p.reference
    from t left join m on m.run_id = t.run_id and m.model = t.model left join p on p.prompt_id = t.prompt_id
"""
Key = tuple[str, str, str, bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One answer: its tokens, those of reasoning among them, its quality, whether it was cut, and what its scorer reads."""

    made: int
    thought: int | None
    quality: float | None
    finish: str
    needed: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Prefix:
    """The characters with which all messages of a type begin, as a part of the whole, over `prompts` different prompts."""

    share: float
    prompts: int


def waste(log: Log, used: Usage, scope: Scope, prices: Prices) -> list[Finding]:
    """Return what was seen inside the dearest types of `used`."""
    types = {_key(t): t for t in used.types if t.what == "answering"}
    kept = list(types.items())[:TYPES]
    same, soon, said = prefixes(log, scope), _soon(log, scope), _said(log, scope)
    found: list[Finding | None] = []
    for key, t in kept:
        price = prices(t.model)
        answers = said.get(key, [])
        found.append(_repeated(t, same.get(key), soon.get(key, 0.0), price))
        found.append(_thinking(t, answers, price))
        found.append(_wordy(t, answers, price))
        found.append(_cut(t, answers))
    return [f for f in found if f is not None]


def _key(t: Type) -> Key:
    return (t.task, t.template, t.model, t.simulated)


def prefixes(log: Log, scope: Scope) -> dict[Key, Prefix]:
    """Return what the messages of each type have in common at their beginning, over up to 24 different prompts each."""
    where, given = scope.where(row="c")
    text = _SEEN.format(template=template_column(log), where=where, sample=SAMPLE)
    held: dict[Key, list[str]] = {}
    for task, template, model, simulated, messages in log.query(text, given):
        told = _plain(messages)
        if told:
            held.setdefault((task, template, model, simulated), []).append(told)
    return {key: _common(texts) for key, texts in held.items() if len(texts) >= 2}


def _plain(messages: str | None) -> str:
    """Return messages as one text, a mark before each; the empty text where the log keeps none."""
    try:
        found = json.loads(messages or "[]")
    except ValueError:
        return ""
    if not isinstance(found, list) or not all(
        isinstance(m, Mapping) and isinstance(m.get("content"), str) for m in found
    ):
        return ""
    return "".join(f"\x1e{m.get('role')}\x1f{m['content']}" for m in found)


def _common(texts: Sequence[str]) -> Prefix:
    first, last = min(texts), max(texts)
    # What the first and the last in order have in common, all between them have too.
    front = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return Prefix(share=front / (sum(map(len, texts)) / len(texts)), prompts=len(texts))


def _repeated(t: Type, same: Prefix | None, soon: float, price: Price | None) -> Finding | None:
    if same is None or t.input is None or t.calls < LEAST or same.prompts < 5:
        return None
    front = same.share * t.input.mean
    if front < CACHED_FROM:
        return None
    served = 0.0 if t.cached is None else t.cached.mean
    left = max(0.0, soon * front - served)
    if left < 0.1 * front:
        return None
    cheaper = None
    if price is not None and price.usd_per_mtok_cached_in is not None:
        cheaper = left * (price.usd_per_mtok_in - price.usd_per_mtok_cached_in) / 1000
    reported = "the log has no count of what was served" if t.cached is None else f"{served:,.0f} are"
    return Finding(
        kind="prefix",
        task=t.task,
        template=t.template,
        model=t.model,
        simulated=t.simulated,
        says=f"{same.prompts} different prompts begin with the same ~{front:,.0f} tokens ({percent(same.share, 0)} of the input), and {percent(soon, 0)} of "
        f"the calls came within {LIFETIME_S // 60} minutes of the one before: a provider's prompt cache can serve ~{soon * front:,.0f} a call, {reported}",
        tokens=left,
        usd_per_thousand=cheaper,
        share=None,
        of="input",
        n=t.calls,
        unit="calls",
        next="turn on the provider's prompt caching where it is not automatic, with what changes behind; calls.cached_tokens shows it",
    )


def _thinking(t: Type, answers: Sequence[Said], price: Price | None) -> Finding | None:
    known = [a for a in answers if a.thought is not None]
    if len(known) < LEAST:
        return None
    thought = np.array([a.thought or 0 for a in known], dtype=float)
    made = np.array([a.made for a in known], dtype=float)
    share = cost_ratio(thought, made)
    if share is None or share.low is None or share.low < MOSTLY:
        return None
    return _seen(
        t,
        "reasoning",
        says=f"{share_text(_bounded(share))} of the output is reasoning, {thought.mean():,.0f} tokens a call",
        tokens=float(thought.mean()),
        price=price,
        share=share,
        n=len(known),
        next="compare with less effort, or a model without it, on the same prompts",
    )


def _wordy(t: Type, answers: Sequence[Said], price: Price | None) -> Finding | None:
    """Only right answers count: what a wrong one should have said is not what it needed."""
    right = [a for a in answers if a.needed is not None and a.quality is not None and a.quality >= 0.999]
    if len(right) < LEAST:
        return None
    said = np.array([a.made - (a.thought or 0) for a in right], dtype=float)
    needed = np.array([a.needed for a in right], dtype=float)
    times = cost_ratio(said, needed)
    spare = float((said - needed).mean())
    if times is None or times.low is None or times.low < FAR or spare < EXCESS:
        return None
    return _seen(
        t,
        "output",
        says=f"right answers say {said.mean():,.0f} tokens where the scorer reads ~{needed.mean():,.0f}: {times.value:,.0f} times as much "
        f"[{times.low:,.0f}, {times.high or times.value:,.0f}]",
        tokens=spare,
        price=price,
        share=None,
        n=len(right),
        next="ask for the answer alone, and compare on the same prompts: the words may be what makes it right",
    )


def _cut(t: Type, answers: Sequence[Said]) -> Finding | None:
    if len(answers) < LEAST:
        return None
    cut = [a for a in answers if a.finish == "length"]
    share = wilson(len(cut), len(answers))
    if share.low is None or share.low < CUT:
        return None
    tokens = sum(a.made for a in cut) / len(answers)
    per = None if t.thousand_usd is None else t.thousand_usd * share.value
    scored = [a.quality for a in cut if a.quality is not None]
    whole = [a.quality for a in answers if a.quality is not None and a.finish != "length"]
    told = f"; they score {np.mean(scored):.2f} on average, whole ones {np.mean(whole):.2f}" if scored and whole else ""
    return Finding(
        kind="cut",
        task=t.task,
        template=t.template,
        model=t.model,
        simulated=t.simulated,
        says=f"{share_text(share)} of the answers end at their limit{told}; such calls cost {usd(per)} of each thousand",
        tokens=tokens,
        usd_per_thousand=per,
        share=share,
        of="answers",
        n=len(answers),
        unit="answers",
        next="raise prompt.max_output_tokens, or ask for shorter answers; compare both",
    )


def _seen(
    t: Type, kind: Kind, *, says: str, tokens: float, price: Price | None, share: Estimate | None, n: int, next: str
) -> Finding:
    return Finding(
        kind=kind,
        task=t.task,
        template=t.template,
        model=t.model,
        simulated=t.simulated,
        says=says,
        tokens=tokens,
        usd_per_thousand=None if price is None else tokens * price.usd_per_mtok_out / 1000,
        share=share,
        of="output",
        n=n,
        unit="answers",
        next=next,
    )


def _bounded(share: Estimate) -> Estimate:
    high = None if share.high is None else min(1.0, share.high)
    return Estimate(value=share.value, low=share.low, high=high, se=share.se, n=share.n)


def _soon(log: Log, scope: Scope) -> dict[Key, float]:
    where, given = scope.where(row="c")
    text = _SOON.format(template=template_column(log), where=where, lifetime=LIFETIME_S)
    return {(task, template, model, made): float(part) for task, template, model, made, part in log.query(text, given)}


def _said(log: Log, scope: Scope) -> dict[Key, list[Said]]:
    where, given = scope.where(row="c")
    held: dict[Key, list[Said]] = {}
    for task, template, model, simulated, made, thought, quality, finish, scorer, reference in log.query(
        _CALLS.format(template=template_column(log), where=where), given
    ):
        said = Said(
            made=made,
            thought=None if thought is None else min(thought, made),
            quality=quality,
            finish=finish or "",
            needed=needed(scorer, reference),
        )
        held.setdefault((task, template, model, simulated), []).append(said)
    return held


def needed(scorer: str | None, reference: str | None) -> float | None:
    """Return the tokens that the answer which a scorer wants takes, at least 1; None where its scorer does not say.

    >>> needed('{"kind": "choice", "answer": "refund", "options": ["refund", "order"]}', None)
    1.5
    >>> needed('{"kind": "regex", "pattern": "a+"}', None) is None
    True
    """
    try:
        spec = json.loads(scorer or "null")
    except ValueError:
        return None
    if not isinstance(spec, Mapping):
        return None
    kind, answer, answers = spec.get("kind"), spec.get("answer"), spec.get("answers")
    wanted: str | None = None
    if kind in ("choice", "number") and answer is not None:
        wanted = f"{answer:g}" if isinstance(answer, float) else str(answer)
    elif kind in ("exact", "f1") and isinstance(answers, list) and answers:
        wanted = max(map(str, answers), key=len)
    elif kind == "contains" and isinstance(spec.get("all"), list) and spec["all"]:
        groups = [g for g in spec["all"] if isinstance(g, list) and g]
        wanted = " ".join(max(map(str, g), key=len) for g in groups)
    elif kind == "json" and "equals" in spec:
        wanted = json.dumps(spec["equals"], ensure_ascii=False)
    return None if not wanted else max(1.0, len(wanted) / LETTERS)
