"""Context policies: how a conversation is made to fit a model's window, and how much of it is paid for. One file a policy.

A policy is a frozen value: ``policy(messages, room)`` gives the steps of a fit, which yield what is to be summarised and return a
`Fitted`; `fit` ends them with a summariser, `fit_live` with one that is awaited. To add one: a file here (see `fitted.Policy`), its
line in `KINDS`, its line in `tests/context/test_policies.py`, whose laws it must keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from routelab import strict
from routelab.context.among import Placed, among
from routelab.context.dropping import unsummarised
from routelab.context.extractive import Extractive
from routelab.context.facts import Statement, statements
from routelab.context.fitted import Fitted, Policy, Span, Steps, Summary
from routelab.context.hybrid import Hybrid
from routelab.context.none import Whole
from routelab.context.note import asked, note
from routelab.context.playing import Memory, Shelf, fit, fit_live
from routelab.context.room import Room, room_of
from routelab.context.summarise import Summarise
from routelab.context.window import Window
from routelab.context.writing import Writer

__all__ = [
    "KINDS",
    "Extractive",
    "Fitted",
    "Hybrid",
    "Memory",
    "Placed",
    "Policy",
    "Room",
    "Shelf",
    "Span",
    "Statement",
    "Steps",
    "Summarise",
    "Summary",
    "Whole",
    "Window",
    "Writer",
    "among",
    "asked",
    "fit",
    "fit_live",
    "kind_of",
    "note",
    "policy_of",
    "room_of",
    "spec_of",
    "statements",
    "unsummarised",
]

KINDS: Mapping[str, type] = MappingProxyType(
    {"none": Whole, "window": Window, "summarise": Summarise, "hybrid": Hybrid},
)
"""What a policy's mapping may say for `kind`."""


def policy_of(
    spec: Mapping[str, Any] | str, doc: strict.Document | None = None, key: tuple[str, ...] = ("context",)
) -> Policy:
    """Return the policy that a name or a mapping such as ``{"kind": "window", "turns": 20}`` describes.

    `doc` and `key` say where the mapping stands, for the ConfigError that names what cannot be used.

    >>> policy_of({"kind": "sumarise", "model": "gemini-flash"})
    Traceback (most recent call last):
    routelab.core.errors.ConfigError: config: context.kind: unknown 'sumarise'; did you mean 'summarise'?
    >>> policy_of({"kind": "summarise", "model": "gemini-flash", "triger": 0.5})
    Traceback (most recent call last):
    routelab.core.errors.ConfigError: config: context.triger: unknown key; did you mean 'trigger'?
    >>> policy_of("window")
    Traceback (most recent call last):
    routelab.core.errors.ConfigError: config: context: a window needs `turns`, `tokens`, or both
    """
    made: Policy = strict.build_kind(KINDS, spec, key, doc)
    return made


def kind_of(policy: Policy) -> str:
    """Return the policy's kind as the log has it; one of somebody's own goes by its type's name."""
    return next((name for name, made in KINDS.items() if type(policy) is made), type(policy).__name__.lower())


def spec_of(policy: Policy) -> dict[str, Any]:
    """Return the mapping that `policy_of` turns back into an equal policy; fields at their default are left out.

    >>> spec_of(Window(turns=20, pin=("tool",)))
    {'kind': 'window', 'turns': 20, 'pin': ['tool']}
    """
    return strict.spec_kind(KINDS, policy, "a context policy")
