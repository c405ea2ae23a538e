"""What is played over a conversation: policies by name, the room that they fit it to, and who writes the summaries."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from routelab.config import PromptConfig, RouteConfig
from routelab.context import Extractive, Policy, Room, Span, Summary, asked, policy_of, room_of
from routelab.core.errors import ConfigError, DataError
from routelab.lab.charts.timeline import Timelines
from routelab.lab.contexts.conversations import of_runs
from routelab.lab.contexts.timeline import Timeline, timeline
from routelab.lab.session import Lab
from routelab.panels.contextsources import Conversation
from routelab.providers.tokens import Counter

QUOTES = "quotes sentences (asks nobody)"
MOST = 4
WRITES = "summariser"
"""The arm under which summaries that are asked for here stand in the log."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where policies are played: the model whose window and tokens count, a smaller room if wanted, and who summarises."""

    lab: Lab
    model: str
    tokens: int = 0
    writer: str = QUOTES

    @property
    def room(self) -> Room:
        """The room: the model's, or fewer tokens."""
        model = self.lab.fleet.endpoint(self.model).model
        room = room_of(model, Counter())
        if self.tokens and (room.limit is None or self.tokens < room.limit):
            return dataclasses.replace(room, limit=self.tokens)
        return room

    @property
    def simulated(self) -> bool:
        """Whether nobody is paid for a summary."""
        return self.writer == QUOTES or self.lab.fleet.endpoint(self.writer).model.simulated


def presets(tokens: int) -> dict[str, dict[str, Any]]:
    """Return policies to begin with, by name; limits are half of the conversation's `tokens`, so that they have something to do."""
    half = max(300, round(tokens / 200) * 100)
    summarises = {"kind": "summarise", "model": WRITES, "limit": half, "max_tokens": max(60, half // 5)}
    return {
        "none": {"kind": "none"},
        "window, 10 turns": {"kind": "window", "turns": 10},
        "window, 20 turns": {"kind": "window", "turns": 20},
        f"window, {half:,} tokens": {"kind": "window", "tokens": half},
        "window, 10 turns, users and tools pinned": {"kind": "window", "turns": 10, "pin": ["user", "tool"]},
        f"summarise at {half:,}": summarises,
        f"facts at {half:,}": {"kind": "hybrid", "limit": half, "facts": max(60, half // 4)},
        f"facts and summary at {half:,}": {**summarises, "kind": "hybrid", "facts": max(60, half // 4)},
    }


def of_arms(arms: Mapping[str, RouteConfig]) -> dict[str, Policy]:
    """Return the context policies of a lab's arms, by the arm's name."""
    found = {}
    for name, config in arms.items():
        policy = getattr(config.context, "policy", None)
        if policy is not None:
            found[f"arm {name}"] = policy
    return found


def own(text: str) -> Policy | None:
    """Return the policy that a line of YAML describes, None for an empty line; ConfigError for what cannot be used."""
    if not text.strip():
        return None
    try:
        spec = yaml.safe_load(text)
    except yaml.YAMLError as trouble:
        raise ConfigError(
            f"policy: not YAML ({str(trouble).splitlines()[0]})", hint="for example {kind: window, turns: 12}"
        ) from None
    return policy_of(spec)


def played(stage: Stage, conversation: Conversation, policies: Mapping[str, Any]) -> Timelines:
    """Return the policies over a conversation; what the log says that was done stands first."""
    room = stage.room
    dialogue = conversation.dialogue
    if not dialogue.requests():
        raise DataError("the conversation has no request: no user's message", hint="choose another one")
    found: list[Timeline] = []
    if conversation.runs:
        found.append(of_runs(dialogue.id, conversation.runs, room, facts=dialogue.facts))
    writer = written_by(stage, room)
    for name, policy in policies.items():
        found.append(timeline(policy, dialogue, room, writer, name=name))
    return Timelines(items=tuple(found))


def written_by(stage: Stage, room: Room) -> Callable[[Span], Summary]:
    """Return who writes the summaries: the practice summariser, or a model of the fleet, whose answers go to the log as always."""
    if stage.writer == QUOTES:
        # It costs nothing; what a model would ask for as much is told, and that it is so stands beside it.
        price = stage.lab.fleet.endpoint(stage.model).model.price
        return Extractive(embedder=stage.lab.embedder, count=room.count, price=price)
    model = stage.lab.fleet.endpoint(stage.writer).model
    reads = room_of(model, Counter())

    def write(span: Span) -> Summary:
        config = RouteConfig(
            name=WRITES,
            models=[stage.writer],
            strategy={"kind": "fixed", "model": stage.writer},
            prompt=PromptConfig(max_output_tokens=span.max_tokens),
        )
        answer = stage.lab.router(config).route(asked(span, reads))
        if answer.error is not None:
            raise answer.error
        return Summary(
            text=answer.text.strip(),
            model=stage.writer,
            tokens=answer.tokens,
            cost_usd=answer.cost_usd,
            latency_s=answer.latency_s,
            simulated=answer.simulated,
        )

    return write


def chosen(names: Sequence[str], policies: Mapping[str, Any], more: Policy | None) -> dict[str, Any]:
    """Return the policies to play, at most four with the one that was written by hand; ConfigError for more."""
    found = {name: policies[name] for name in names if name in policies}
    if more is not None:
        found["own policy"] = more
    if len(found) > MOST:
        raise ConfigError(f"{len(found)} policies are chosen", hint=f"compare at most {MOST} at once")
    return found
