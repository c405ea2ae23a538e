"""The rules' recogniser as a small Python file for a gateway that has no regular expressions in its configuration."""

from __future__ import annotations

import json
import pprint
from collections.abc import Mapping

from routelab.lab.targets.entries import ENTRY, Entries, Entry
from routelab.strategies.rules import HEAD, TAIL

MAX_NAME = 64
MAX_TIERS = 8
"""How many tiers LiteLLM's content router takes (litellm 1.106.2)."""

_FILE = '''"""Finds a prompt's task by patterns, for LiteLLM's complexity router; exported by routelab for {name}.

LiteLLM loads `classifier` from this file because the configuration beside it names it. Only the standard library is needed.
"""

from __future__ import annotations

import re

HEAD, TAIL = {head}, {tail}
PATTERNS = {patterns}
TIERS = {tiers}
DEFAULT = {default!r}

_COMPILED = {{
    task: [re.compile(expression, re.IGNORECASE | re.MULTILINE) for expression in expressions]
    for task, expressions in PATTERNS.items()
}}


def task_of(text: str) -> str | None:
    """Return the task whose patterns match most often, the first of equals, or None when nothing matches."""
    looked_at = text if len(text) <= HEAD + TAIL else text[:HEAD] + "\\n" + text[-TAIL:]
    best, found = 0, None
    for task, expressions in _COMPILED.items():
        hits = sum(expression.search(looked_at) is not None for expression in expressions)
        if hits > best:
            best, found = hits, task
    return found


def last_text(messages: list) -> str:
    """Return the text of the last user message."""
    for message in reversed(messages):
        if message.get("role") == "user":
            content = message.get("content") or ""
            if isinstance(content, str):
                return content
            return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return ""


class Classifier:
    """What LiteLLM asks for a tier."""

    async def classify(self, context) -> str:
        """Return the name of the tier for the request."""
        return TIERS.get(task_of(last_text(context.raw_messages)), DEFAULT)


classifier = Classifier()
'''


def tiers_of(entries: Entries) -> dict[str, Entry]:
    """Return one entry for each different ranking, under a tier's name: the first task that has it, or the default's."""
    tiers: dict[str, Entry] = {}
    for entry in (*entries.tasks, entries.default):
        if all(entry.ranking != known.ranking for known in tiers.values()):
            tiers[entry.name.removeprefix(f"{ENTRY}/")[:MAX_NAME]] = entry
    return tiers


def recogniser_file(entries: Entries, tiers: Mapping[str, Entry], name: str) -> str:
    """Return the Python file: the rules' patterns, their way of counting, and the tier of every task in the table."""
    assert entries.recogniser is not None
    by_ranking = {entry.ranking: tier for tier, entry in tiers.items()}
    patterns = {task: list(expressions) for task, expressions in entries.recogniser.patterns.items()}
    return _FILE.format(
        name=json.dumps(name),
        head=HEAD,
        tail=TAIL,
        patterns=pprint.pformat(patterns, width=118, sort_dicts=False),
        tiers=pprint.pformat({e.task: by_ranking[e.ranking] for e in entries.tasks}, width=118, sort_dicts=False),
        default=by_ranking[entries.default.ranking],
    )
