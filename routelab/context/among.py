"""Fits a conversation for several models: the smallest window that holds it as the policy wants it, and who else can take it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from routelab.context.fitted import Fitted, Policy, Span, Steps, Summary
from routelab.context.playing import fit
from routelab.context.room import Room
from routelab.core.errors import ConfigError, ContextExceeded
from routelab.core.values import Message


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A conversation fitted for `model`; `models` are all that can take it, `tight` those that cannot, with its tokens there.

    `escalated`: it did not fit a smaller window of the config's models as the policy wants it.
    """

    fitted: Fitted
    model: str
    models: tuple[str, ...]
    tight: Mapping[str, int]
    escalated: bool


def among(
    policy: Policy, messages: Sequence[Message], rooms: Sequence[Room], *, escalate: bool = True
) -> Steps[Placed]:
    """Fit a conversation for the smallest window in which the limit does not cut more than the policy does.

    Where every window cuts, the largest is taken. Without `escalate` it is fitted to the smallest window, so that every model
    can take it. Rooms are named by their models and keep their order in the result; a room without a known limit counts as the
    largest and takes everything. Which window it is, is found with summaries as long as they may become: real ones are asked for
    in that one only. Raises ContextExceeded when no model's window holds what is needed.
    """
    if not rooms:
        raise ValueError("among: at least one room is wanted")
    ordered = sorted(rooms, key=lambda r: math.inf if r.limit is None else r.limit)
    if not escalate:
        ordered = ordered[:1]
    tried: Fitted | None = None
    chosen, trouble = ordered[0], None
    for room in ordered:
        try:
            tried = fit(policy(messages, room), _longest)
        except (ContextExceeded, ConfigError) as exceeded:
            # A window that is not known has no trigger; that matters only where no other window will do.
            trouble = exceeded
            continue
        chosen = room
        if not tried.cut:
            break
    if tried is None:
        assert trouble is not None
        raise trouble
    found = yield from policy(messages, chosen)
    sizes = {room.name: room.tokens(found.messages) for room in rooms}
    tight = {r.name: sizes[r.name] for r in rooms if r.limit is not None and sizes[r.name] > r.limit}
    return Placed(
        fitted=found,
        model=chosen.name,
        models=tuple(r.name for r in rooms if r.name not in tight),
        tight=tight,
        escalated=chosen is not ordered[0],
    )


def _longest(span: Span) -> Summary:
    return Summary(text="word " * span.max_tokens, model=span.model)
