"""Policies from YAML mappings, and what each says when it cannot be used."""

from __future__ import annotations

from typing import Any

import pytest

from routelab.context import Hybrid, Policy, Summarise, Whole, Window, policy_of, spec_of
from routelab.core.errors import ConfigError

GOOD: list[tuple[Any, Policy]] = [
    ("none", Whole()),
    ({"kind": "none"}, Whole()),
    ({"kind": "window", "turns": 12}, Window(turns=12)),
    ({"kind": "window", "tokens": 4000, "pin": ["tool"], "stride": 2}, Window(tokens=4000, pin=("tool",), stride=2)),
    (
        {"kind": "summarise", "trigger": 0.8, "keep_last": 10, "model": "gemini-flash"},
        Summarise(model="gemini-flash"),
    ),
    ("hybrid", Hybrid()),
    ({"kind": "hybrid", "pin": [], "facts": 0, "limit": 8000}, Hybrid(pin=(), facts=0, limit=8000)),
]
BAD = [
    (5, "config: context: a name or a mapping with a kind is wanted (got 5)"),
    ({"turns": 3}, "config: context: `kind` is missing"),
    ({"kind": 3}, "config: context.kind: must be a text (got 3)"),
    ("windw", "config: context.kind: unknown 'windw'; did you mean 'window'?"),
    ({"kind": "window", "turn": 3}, "config: context.turn: unknown key; did you mean 'turns'?"),
    ({"kind": "none", "turns": 3}, "config: context.turns: unknown key"),
    ({"kind": "window", "turns": 0}, "config: context.turns: must be at least 1, not 0"),
    ({"kind": "window", "turns": 3, "stride": 4}, "config: context.stride: must be at most `turns` (3), not 4"),
    ({"kind": "window", "turns": "3"}, "config: context.turns: "),
    ({"kind": "window", "turns": 3, "pin": ["assistant"]}, "config: context.pin.0: "),
    ({"kind": "summarise"}, "config: context.model: is missing"),
    (
        {"kind": "summarise", "model": "m", "trigger": 1.5},
        "config: context.trigger: must be above 0 and at most 1, a share of the limit, not 1.5",
    ),
    ({"kind": "summarise", "model": "m", "keep_last": 0}, "config: context.keep_last: must be at least 1, not 0"),
    ({"kind": "hybrid", "facts": -1}, "config: context.facts: must be at least 0, not -1"),
    ({"kind": "hybrid", "limit": 0}, "config: context.limit: must be at least 1, not 0"),
    ({"kind": "hybrid", "model": ""}, "config: context.model: must name a model"),
]


@pytest.mark.parametrize(("spec", "policy"), GOOD)
def test_a_mapping_becomes_a_policy_and_back(spec: Any, policy: Policy) -> None:
    assert policy_of(spec) == policy
    assert policy_of(spec_of(policy)) == policy


@pytest.mark.parametrize(("spec", "message"), BAD)
def test_what_cannot_be_used_is_named(spec: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        policy_of(spec)
    assert caught.value.message.startswith(message)


def test_a_policy_of_ones_own_has_no_yaml() -> None:
    with pytest.raises(ConfigError, match="cannot be written to YAML"):
        spec_of(lambda messages, room: None)  # type: ignore[arg-type, return-value]
