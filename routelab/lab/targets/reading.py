"""A vLLM-SR file, read the way its documentation says: our reading of it, not a run of the router."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from routelab.core.values import Prompt
from routelab.lab.targets.vllmsr import TASK_KEY


def candidates(values: Mapping[str, Any], prompt: Prompt) -> tuple[str, ...]:
    """Return the models of the matching decision with the highest priority, in order; the default model when none matches."""
    routing = values["routing"]
    matched = _signals(routing.get("signals") or {}, prompt)
    decisions = sorted(routing["decisions"], key=lambda d: -int(d["priority"]))
    for decision in decisions:
        conditions = [(c["type"], c["name"]) in matched for c in decision["rules"]["conditions"]]
        holds = any(conditions) if decision["rules"]["operator"] == "OR" else all(conditions)
        if holds:
            return tuple(ref["model"] for ref in decision["modelRefs"])
    return (values["providers"]["defaults"]["model"],)


def _signals(signals: Mapping[str, Any], prompt: Prompt) -> set[tuple[str, str]]:
    metadata = {} if prompt.task is None else {TASK_KEY: prompt.task}
    matched = set()
    for rule in signals.get("metadata", ()):
        predicate, value = rule["predicate"], metadata.get(rule["key"])
        if ("equals" in predicate and value == predicate["equals"]) or (predicate.get("exists") and value is not None):
            matched.add(("metadata", rule["name"]))
    for rule in signals.get("keywords", ()):
        # RE2's classes are ASCII; its (?i) folds case.
        found = (re.search(keyword, prompt.text, re.IGNORECASE | re.ASCII) for keyword in rule["keywords"])
        if all(match is not None for match in found):
            matched.add(("keyword", rule["name"]))
    return matched
