"""Conversations to look at: those that ship with facts in them, variables of the notebook, and those of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

from routelab.core.run import Run
from routelab.core.values import Message, Role
from routelab.lab.contexts.conversations import conversations
from routelab.lab.contexts.dialogues import Dialogue, planted
from routelab.lab.desk import Desk
from routelab.present import safe
from routelab.store import Log

RECENT = 600
"""How many runs of more than one message the log is searched for conversations, the latest."""
LISTED = 40
_RUNS = f"""
    select r.run_id, r.prompt_id, coalesce(r.arm, ''), r.started_at
    from runs r join (
        select prompt_id, max(try(json_array_length(content, '$.messages'))) as turns from prompts group by prompt_id
    ) p using (prompt_id)
    where p.turns > 1 and try(r.tags ->> '$.revalidates') is null order by r.started_at desc, r.run_id limit {RECENT}
"""


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A conversation to look at; `runs` are those of the log that it consists of."""

    title: str
    dialogue: Dialogue
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a conversation comes from: its title, and how it is opened."""

    title: str
    open: Callable[[], Conversation]
    run_ids: tuple[str, ...] = ()


def sources(desk: Desk) -> dict[str, Source]:
    """Return every conversation that there is to look at, by title: the log's first, then variables, then those that ship."""
    found = [*_log(desk.lab.log), *_variables(desk.names), *_shipped()]
    return {source.title: source for source in found}


def _shipped() -> list[Source]:
    return [_source(f"{d.id}: {len(d.messages)} messages, {len(d.facts)} facts", d) for d in planted()]


def _source(title: str, dialogue: Dialogue) -> Source:
    return Source(title=title, open=partial(Conversation, title=title, dialogue=dialogue))


def _variables(names: Mapping[str, Any]) -> list[Source]:
    found = []
    for name, value in names.items():
        dialogue = dialogue_of(name, value)
        if dialogue is not None:
            found.append(_source(f"{safe(name)}: {len(dialogue.messages)} messages", dialogue))
    return found


def dialogue_of(name: str, value: Any) -> Dialogue | None:
    """Return a variable as a conversation: a Dialogue, or messages (as values, or as mappings with role and content); else None."""
    if isinstance(value, Dialogue):
        return value
    if not isinstance(value, (list, tuple)) or len(value) < 2:
        return None
    turns = [_message(item) for item in value]
    messages = tuple(m for m in turns if m is not None)
    if len(messages) < len(turns) or all(m.role == "system" for m in messages):
        return None
    return Dialogue(id=name, messages=messages, facts=(), group=name)


def _message(item: Any) -> Message | None:
    if isinstance(item, Message):
        return item
    if (
        not isinstance(item, Mapping)
        or item.get("role") not in get_args(Role)
        or not isinstance(item.get("content"), str)
    ):
        return None
    return Message(role=item["role"], content=item["content"])


def _log(log: Log) -> list[Source]:
    """Return the conversations of the log; only their prompts are read here, the runs when one is opened."""
    rows = log.query(_RUNS)
    if not rows:
        return []
    known = {p.id: p for p in log.prompts(list({row[1] for row in rows}))}
    light = [
        Run(id=run_id, prompt=known[prompt_id], started_at=at, arm=arm)
        for run_id, prompt_id, arm, at in rows
        if prompt_id in known
    ]
    return [_logged(log, chain) for chain in conversations(light)[:LISTED]]


def _logged(log: Log, chain: Sequence[Run]) -> Source:
    first = next((m.content for m in chain[-1].prompt.messages if m.role == "user"), "")
    words = " ".join(safe(first[:200]).split())
    words = words if len(words) <= 40 else f"{words[:40].rstrip()}…"
    arm = f", {safe(chain[-1].arm)}" if chain[-1].arm else ""
    title = f"log {chain[-1].started_at:%m-%d %H:%M:%S}{arm}: {len(chain)} requests, “{words}”"
    ids = tuple(run.id for run in chain)
    name = f"log {chain[-1].started_at:%m-%d %H:%M:%S}{arm}"
    return Source(title=title, open=partial(opened, log, title, name, ids), run_ids=ids)


def opened(log: Log, title: str, name: str, run_ids: Iterable[str]) -> Conversation:
    """Return a conversation of the log, with the facts of the one that ships if it is the beginning of that."""
    runs = tuple(run for run_id in run_ids if (run := log.run(run_id)) is not None)
    messages = runs[-1].prompt.messages if runs else ()
    facts = next((d.facts for d in planted() if d.messages[: len(messages)] == messages and messages), ())
    said = tuple(f for f in facts if f.at < len(messages))
    return Conversation(title=title, dialogue=Dialogue(id=name, messages=messages, facts=said, group=name), runs=runs)
