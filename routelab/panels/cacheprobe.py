"""What a live cache would say to a question, from the log alone: the cache itself is asked, and nobody else."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from routelab.build import scope_for
from routelab.caching import CacheConfig, Lifetime, Memory, SemanticConfig
from routelab.caching.guard import guard_of
from routelab.caching.request import SEPARATING, asked
from routelab.caching.semantic import Semantic
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.events import Answered, Compacted, Missed, Recalled
from routelab.core.ports import Clock
from routelab.core.run import Run
from routelab.core.values import Message, Prompt
from routelab.embedding import content_hash, vectors
from routelab.embedding.vectors import id_of, remember
from routelab.gates import asked_by
from routelab.lab.desk import Desk
from routelab.panels.cachelog import age
from routelab.present import Table
from routelab.router import says_the_same

MOST = 2_000
"""How many of the latest entries are compared with a question."""
NEAREST = 8
ENTRIES = f"""
    select a.run_id, coalesce(a.cache_text, p.text), a.cache_namespace, coalesce(a.cache_label, ''), a.started_at, coalesce(r.arm, ''),
           coalesce(r.experiment, ''), r.config, a.model, a.simulated, r.prompt_id, r.task, r.tags
    from answers a join runs r using (run_id)
    left join (select prompt_id, arg_max(text, added_at) as text from prompts group by prompt_id) p on p.prompt_id = r.prompt_id
    where a.cache_key is not null or a.cache_namespace is not null
    order by a.started_at desc, a.run_id limit {MOST}
"""


@dataclass(frozen=True, kw_only=True)
class Explained:
    """What the cache would say: whether it is a hit, why in one sentence, the facts, and the nearest entries, if there are any."""

    hit: bool
    words: str
    facts: Table
    entries: Table | None = None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A remembered answer as the log has it."""

    run_id: str
    text: str
    namespace: str | None
    label: str
    kept_at: datetime
    arm: str
    experiment: str
    config: str
    model: str
    simulated: bool
    prompt_id: str
    task: str | None
    tags: str | None


def between(question: str, other: str, settings: SemanticConfig, clock: Clock) -> Explained:
    """Return whether the answer to `other` would be given to `question`, both asked bare and of the same arm; asks nobody."""
    if not question.strip() or not other.strip():
        raise ConfigError("two questions are wanted", hint="write one into each box")
    cache = Semantic(settings=settings, clock=clock)
    now = clock.now()
    entry = Run(id="known", prompt=Prompt.of(other), started_at=now)
    said = Answered(model="?", served_model="?", provider="", text="the answer to the other question")
    cache.keep(entry.then(said), cache.key(entry, ""))
    event = cache.look(Run(id="asked", prompt=Prompt.of(question), started_at=now), "")
    one, two = vectors(settings.embedder, [question, other])
    cosine = min(1.0, float((one.astype(np.float64) * two.astype(np.float64)).sum()))
    facts = _facts(event, settings, cosine, question, other)
    return Explained(hit=isinstance(event, Recalled), words=_words(event, settings), facts=facts)


def _words(event: Recalled | Missed, settings: SemanticConfig) -> str:
    judge = f", if the judge {settings.judge} finds that it fits (nobody asked it here)" if settings.judge else ""
    if isinstance(event, Recalled):
        return f"A hit{judge}."
    if event.objection:
        return f"A miss: the guard objects to {event.objection}."
    if event.why:
        return f"A miss: {event.why}."
    if event.nearest is not None:
        return f"A miss: {event.nearest:.4f} is below the threshold of {_least(settings)}."
    return "A miss: there is nothing to compare."


def _least(settings: SemanticConfig) -> str:
    return "each entry's own" if settings.threshold is None else f"{settings.threshold:.4f}"


def _facts(event: Recalled | Missed, settings: SemanticConfig, cosine: float, question: str, other: str) -> Table:
    guard = guard_of(settings.lexical)
    objection = guard(question, other)
    rows = [
        ("similarity", f"{cosine:.4f}", f"the threshold is {_least(settings)}"),
        ("namespace", "equal", "both are taken as bare questions to one arm"),
        ("guard", "no objection" if objection is None else str(objection), guard.id),
    ]
    if question == other:
        rows.insert(0, ("text", "the same", "an exact cache has the answer too"))
    return Table(head=("", "found", ""), rows=rows)


def arms_with_a_cache(desk: Desk) -> dict[str, RouteConfig]:
    """Return the lab's arms that remember, by name."""
    return {name: config for name, config in desk.lab.arms.items() if config.cache.remembers}


def probed(desk: Desk, config: RouteConfig, question: str, clock: Clock) -> Explained:
    """Return what an arm's caches, filled from this lab's log as after a restart, would say to the question; asks nobody."""
    if not question.strip():
        raise ConfigError("there is no question", hint="write one")
    if not config.cache.remembers:
        raise ConfigError(f"{config.name}: has no cache", hint="`cache: {exact: true}` in its config turns one on")
    lab = desk.lab
    gate = asked_by(getattr(config.ranking, "accepts", None))
    endpoints = {name: lab.fleet.endpoint(name) for name in (*config.names, *gate)}
    scope = scope_for(config, endpoints)
    run = _run(config, question, clock)
    # A memory of its own: looking must not change what the lab's caches have at hand.
    levels = Memory(clock=clock, log=lab.log, same=says_the_same).levels(config.cache)
    events = []
    for level in levels:
        events.append(level.look(run, scope))
        if isinstance(events[-1], Recalled):
            break
    entries = [Entry(**dict(zip(Entry.__dataclass_fields__, row, strict=True))) for row in lab.log.query(ENTRIES)]
    return _explained(desk, config, run, events, [e for e in entries if e.text], scope, clock)


def _run(config: RouteConfig, question: str, clock: Clock) -> Run:
    run = Run(id=uuid.uuid4().hex, prompt=Prompt.of(question), started_at=clock.now(), arm=config.name)
    if config.prompt.system is None:
        return run
    # As the flow's first stage does it.
    system = Message(role="system", content=config.prompt.system)
    return run.then(Compacted(policy="system", messages=(system, *run.messages)))


def _explained(
    desk: Desk,
    config: RouteConfig,
    run: Run,
    events: Sequence[Recalled | Missed],
    entries: Sequence[Entry],
    scope: str,
    clock: Clock,
) -> Explained:
    event, cache = events[-1], config.cache
    rows = [(f"{e.cache} cache", *_told(e)) for e in events]
    rows.append(("entries in the log", f"{len(entries):,}", "" if len(entries) < MOST else "the latest ones"))
    words = _words(event, cache.semantic) if cache.semantic is not None and isinstance(event, Missed) else ""
    if isinstance(event, Recalled):
        judged = cache.semantic is not None and cache.semantic.judge is not None and event.cache == "semantic"
        fits = " if its judge, whom nobody asked here, finds that it fits" if judged else ""
        stale = ", which is stale and would be asked for anew" if event.stale else ""
        words = f"A hit of the {event.cache} cache{fits}: the answer of run {(event.source_run or '?')[:8]}{stale}."
    return Explained(
        hit=isinstance(event, Recalled),
        words=words or "A miss: this very request was not answered before.",
        facts=Table(head=("", "found", ""), rows=rows, caption=f"what the cache of {config.name} would say"),
        entries=_nearest(desk, config, run, entries, scope, clock) if entries else None,
    )


def _told(event: Recalled | Missed) -> tuple[str, str]:
    if isinstance(event, Recalled):
        made = "" if not event.simulated else ", simulated"
        said = f"similarity {event.similarity:.4f}, {age(event.age_s)} old{', stale' if event.stale else ''}"
        return said, f"{event.model}{made}: {' '.join(event.text.split())[:120]}"
    near = "" if event.nearest is None else f", nearest {event.nearest:.4f}"
    return f"miss{near}", "; ".join(part for part in (event.objection, event.why) if part)


def _nearest(desk: Desk, config: RouteConfig, run: Run, entries: Sequence[Entry], scope: str, clock: Clock) -> Table:
    """Return the entries that are most alike, whatever their namespace, and what separates them from the question."""
    cache = config.cache
    settings = cache.semantic or SemanticConfig(threshold=1.0, guard="none", embedder="lexical")
    question = run.prompt.text
    texts = list(dict.fromkeys(e.text for e in entries))
    spec = settings.embedder
    remember(spec, desk.lab.log.get_many(id_of(spec), [content_hash(text) for text in texts]))
    one = vectors(spec, [question])[0].astype(np.float64)
    cosine = dict(zip(texts, (vectors(spec, texts).astype(np.float64) * one).sum(axis=1).tolist(), strict=True))
    order = sorted(entries, key=lambda e: -cosine[e.text])[:NEAREST]
    prompts = {p.id: p for p in desk.lab.log.prompts([e.prompt_id for e in order])}
    mine = asked(run, scope, embedder=id_of(spec)).namespace
    guard = guard_of(settings.lexical)
    rows = []
    for entry in order:
        objection = guard(question, entry.text)
        parts = (
            "equal"
            if entry.namespace == mine
            else _apart(config, run, entry, as_asked(prompts.get(entry.prompt_id), entry.task, entry.tags))
        )
        rows.append(
            (
                f"{min(1.0, cosine[entry.text]):.4f}",
                " ".join(entry.text.split())[:200],
                parts,
                "no objection" if objection is None else str(objection),
                _life(desk, cache, entry, clock),
                entry.arm or "–",
            )
        )
    return Table(
        head=("similarity", "entry's question", "namespace", "guard", "age", "arm"),
        rows=rows,
        numbers=frozenset({0}),
        caption="the nearest entries, whatever their namespace",
    )


def _life(desk: Desk, cache: CacheConfig, entry: Entry, clock: Clock) -> str:
    """Return how old an entry is, and whether it may still answer."""
    if desk.lab.log.shelf.forgotten(entry.kept_at, entry.label):
        return "forgotten"
    old = max(0.0, (clock.now() - entry.kept_at).total_seconds())
    state = Lifetime(ttl_s=cache.ttl_s, stale_s=cache.stale_s).state(old)
    return age(old) + ("" if state == "fresh" else f", {state}")


def _apart(config: RouteConfig, run: Run, entry: Entry, prompt: Prompt | None) -> str:
    """Return which parts of two requests differ, as far as the log tells."""
    found = [] if prompt is None else different(_rendered(config, run.prompt), _rendered(config, prompt))
    if entry.experiment:
        found.append(f"experiment {entry.experiment}")
    if entry.label != config.cache.namespace:
        found.append("cache.namespace")
    if entry.config != config.fingerprint:
        found.append("the arm's config")
    if entry.namespace is None and not found:
        return "kept by an exact cache only"
    return ", ".join(found) if found else "models, embedder, or what the log does not hold"


def _rendered(config: RouteConfig, prompt: Prompt) -> Prompt:
    """Return a prompt without what the config puts in its place."""
    if config.prompt.system is None:
        return prompt
    rest = tuple(m for m in prompt.messages if m.role != "system")
    return Prompt(id=prompt.id, messages=rest, task=prompt.task, tags=prompt.tags)


def as_asked(prompt: Prompt | None, task: str | None, tags: str | None) -> Prompt | None:
    """Return a prompt of the log with a run's own task and tags: prompts are stored once, whoever asks them."""
    if prompt is None:
        return None
    try:
        found = json.loads(tags or "{}")
    except ValueError:
        found = {}
    return dataclasses.replace(prompt, task=task, tags=found if isinstance(found, dict) else {})


def different(one: Prompt, other: Prompt) -> list[str]:
    """Return which parts besides the question's words differ between two prompts: any of them keeps caches apart.

    >>> different(Prompt.of("a", task="sums"), Prompt.of("b", system="Be kind."))
    ['system text', 'task']
    """
    found = []
    if one.system != other.system:
        found.append("system text")
    if _turns(one) != _turns(other):
        found.append("earlier turns")
    if one.task != other.task:
        found.append("task")
    return [*found, *(f"tag {name}" for name in SEPARATING if one.tags.get(name) != other.tags.get(name))]


def _turns(prompt: Prompt) -> list[tuple[str, str]]:
    last = max((i for i, m in enumerate(prompt.messages) if m.role == "user"), default=None)
    return [(m.role, m.content) for i, m in enumerate(prompt.messages) if i != last and m.role != "system"]


@dataclass(frozen=True, kw_only=True)
class Happened:
    """A hit or a miss of the log: what was asked, the entry's question, and what was recorded about it."""

    title: str
    asked: str
    known: str
    facts: Table


_LATEST = """
    select h.run_id, h.started_at, h.arm, h.cache, h.similarity, h.age_s, h.stale, h.asked, h.known, h.source_run, '' as objection, '' as why,
           r.prompt_id, r.task, r.tags, s.prompt_id as source_prompt, s.task as source_task, s.tags as source_tags,
           coalesce(s.arm, '') as source_arm, true as hit
    from cache_hits h join runs r using (run_id) left join runs s on s.run_id = h.source_run
    union all
    select m.run_id, m.started_at, m.arm, m.cache, m.nearest, null, false, m.asked, m.known, null, coalesce(m.objection, ''),
           coalesce(m.why, ''), m.prompt_id, null, null, null, null, null, '', false
    from cache_misses m where coalesce(m.known, '') <> '' and m.run_id not in (select run_id from cache_hits)
    order by 2 desc, 1 limit 40
"""


def happened(query: Callable[..., list[tuple[Any, ...]]], prompts: Callable[..., list[Prompt]]) -> list[Happened]:
    """Return the latest hits, and the misses that had an entry near, with what the log recorded about each."""
    rows = query(_LATEST)
    known = {p.id: p for p in prompts([i for row in rows for i in (row[12], row[15]) if i])}
    return [
        _happened(row, as_asked(known.get(row[12]), *row[13:15]), as_asked(known.get(row[15]), *row[16:18]))
        for row in rows
    ]


def _happened(row: tuple[Any, ...], prompt: Prompt | None, source: Prompt | None) -> Happened:
    run_id, at, arm, cache, like, old, stale, text, known, source_run, objection, why, *_rest, source_arm, hit = row
    text, known = text or "", known or ""
    facts = [
        ("run", run_id[:8], f"{at:%Y-%m-%d %H:%M:%S} UTC, arm {arm or '–'}"),
        ("cache", cache or "?", "a hit" if hit else "a miss"),
        ("similarity", "?" if like is None else f"{like:.4f}", "as it was recorded"),
    ]
    if hit:
        parts = "?" if prompt is None or source is None else ", ".join(different(prompt, source)) or "equal"
        facts.append(
            ("namespace", "equal", f"other parts of the two prompts: {parts}; the answer was {source_arm or '–'}'s")
        )
        facts.append(("age", age(old), "stale: it was asked for anew" if stale else "fresh"))
        facts.append(("answer of run", (source_run or "?")[:8], ""))
    else:
        facts.append(("guard", objection or "no objection", ""))
        facts.append(("why", why or ("the guard objected" if objection else "too far"), ""))
    kind = "hit" if hit else "miss"
    title = f"{at:%m-%d %H:%M:%S} {kind} {'?' if like is None else f'{like:.3f}'} · {' '.join(text.split())[:60]} · {run_id[:4]}"
    return Happened(
        title=title, asked=text, known=known, facts=Table(head=("", "found", ""), rows=facts, caption="recorded")
    )
