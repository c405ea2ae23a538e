"""A table from tasks to models; a prompt's task is given or recognised by patterns.

The recogniser is deliberately plain: every task has a few regular expressions with a weight, the highest sum wins, and a prompt
that matches nothing gets the default ranking. What matched is the reason in the log.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from routelab.core.plan import Plan, plan_of
from routelab.core.values import Prompt, Roster

DEFAULT_TABLE: Mapping[str, tuple[str, ...]] = {
    "code_generation": ("claude-opus", "gpt-5-mini"),
    "code_review": ("claude-sonnet", "gemini-pro"),
    "summarization": ("gemini-flash", "qwen-local"),
    "classification": ("qwen-local", "deepseek-v3"),
    "research": ("gpt-5", "kimi-k1.5"),
    "simple_qa": ("qwen-local", "deepseek-v3"),
    "translation": ("deepseek-v3", "gemini-flash"),
}
"""A sensible start for the twelve models of the practice fleet: primary first, then who answers when it fails."""

DEFAULT_PATTERNS: Mapping[str, tuple[str, ...]] = {
    "code_review": (
        r"\b(review|refactor|what('s| is) wrong with|find the (bug|error)|spot the (bug|error|flaw)|code smell|vulnerab\w+)\b",
        r"\b(this|following) (function|code|query|script|snippet|class|patch|diff|method)\b",
        r"\b(buggy|off[- ]by[- ]one|race condition|sql injection|why does (this|it) (fail|crash|return))\b",
        r"```",
    ),
    "code_generation": (
        r"\b(write|implement|create|code up|build|give me) (me )?(a|an|the|some)?\s*(python|javascript|sql|bash|shell|go|rust)?\s*"
        r"(function|class|script|program|method|decorator|generator|regex|query|parser|iterator)\b",
        r"`\w+\([^`\n]*\)`( -> \w+)?",
        r"\b(in|using|plain|with) (python|javascript|typescript|rust|java)\b|\bstandard library\b|\bone code block\b",
        r"\b(returns?|takes?) (a|an|the) (list|string|dict|dictionary|integer|tuple|bool|boolean|iterable)\b",
    ),
    "summarization": (
        r"\b(summar\w+|tl;?dr|condense|boil (this|it) down|key (points|takeaways)|gist|in (one|two|three|\d+) sentences?|recap|digest)\b",
        r"\b(shorten|main (point|message)s?|at most \d+ words|in (under|no more than) \d+ words)\b",
    ),
    "classification": (
        r"\b(classif\w+|categor\w+|label|which (category|label|class|intent)|sentiment|spam|is this (message|ticket|review|email))\b",
        r"\b(one of|choose from|options?|pick (one|the)|labels?):? ",
        r"\b(positive|negative|neutral|entailment|contradiction)\b",
    ),
    "translation": (
        r"\b(translat\w+|how (do|would) (you|i) say|render (this|it|the following)|into (english|german|french|spanish|italian|portuguese|dutch))\b",
        r"\b(in|into|to|from|the|natural|idiomatic) (english|german|french|spanish|italian|portuguese|dutch)\b",
        r"\b(auf (deutsch|englisch)|en (français|anglais|español|inglés)|in het (nederlands|engels))\b",
    ),
    "research": (
        r"\b(compare|evaluate|analy[sz]e|assess|weigh|trade-?offs?|evidence|sources?|study|studies|survey|literature)\b",
        r"\b(which (option|plan|vendor|source|hypothesis)|estimate|how many .* would|conclusion|reconcile|according to (both|the two))\b",
        r"\b(table|figures?|data) (below|above|shows?)\b|^\s*\|\s*-{3,}",
        r"\b(budget|participants?|sample|trial|per cent of|quarter|median|in total|on average|source [ab12])\b",
    ),
    "simple_qa": (
        r"^\s*(who|what|when|where|which|how (many|much|old|long|far|tall))\b",
        r"\b(capital of|year (did|was)|chemical symbol|stand(s)? for|invented|wrote|largest|smallest|boiling point)\b",
    ),
}
HEAD, TAIL = 4000, 1000


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Look the prompt's task up in a table of rankings.

    `table` maps a task to models, primary first; `default` is the ranking for every other task; `tasks` says where the task
    comes from: "given" (the prompt's own), "detect" (patterns only), or "auto" (given, else patterns).
    """

    table: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(DEFAULT_TABLE))
    default: tuple[str, ...] = ()
    patterns: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(DEFAULT_PATTERNS))
    tasks: Literal["auto", "given", "detect"] = "auto"

    instant: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for task, ranking in self.table.items():
            if not ranking:
                raise ValueError(f"table.{task}: name at least one model")
            _once(f"table.{task}", ranking)
        _once("default", self.default)
        if not self.table and not self.default:
            raise ValueError("table: is empty and there is no default")
        for task, expressions in self.patterns.items():
            for expression in expressions:
                try:
                    re.compile(expression)
                except re.error as trouble:
                    raise ValueError(
                        f"patterns.{task}: {expression!r} is not a regular expression ({trouble})"
                    ) from None

    @property
    def models(self) -> tuple[str, ...]:
        """The models this strategy names, in order of first mention."""
        return tuple(dict.fromkeys([m for ranking in self.table.values() for m in ranking] + list(self.default)))

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        """Rank by the task's row; without a row, by the default, or by the first row of the table when there is no default."""
        position = {name: i for i, name in enumerate(roster.names)}
        rows = {task: [position[m] for m in ranking] for task, ranking in self.table.items()}
        default = [position[m] for m in self.default or next(iter(self.table.values()))]
        decided = [self.task(prompt) for prompt in prompts]
        return plan_of(
            [rows.get(task or "", default) for task, _ in decided],
            [why if task in rows else f"{why}; default ranking" for task, why in decided],
        )

    def task(self, prompt: Prompt) -> tuple[str | None, str]:
        """Return the prompt's task and how it was known; None when nothing matched."""
        if self.tasks != "detect" and prompt.task is not None:
            return prompt.task, f"task {prompt.task} (given)"
        if self.tasks == "given":
            return None, "no task given"
        return recognise(prompt.text, self.patterns)


def _once(where: str, ranking: Sequence[str]) -> None:
    twice = next((m for i, m in enumerate(ranking) if m in ranking[:i]), None)
    if twice is not None:
        raise ValueError(f"{where}: '{twice}' is named twice")


def recognise(text: str, patterns: Mapping[str, Sequence[str]] = DEFAULT_PATTERNS) -> tuple[str | None, str]:
    """Return the task whose patterns match most often in the text's head and tail, with what matched.

    >>> recognise("Translate into German: good morning")[0]
    'translation'
    """
    looked_at = text if len(text) <= HEAD + TAIL else text[:HEAD] + "\n" + text[-TAIL:]
    best: tuple[int, str | None, str] = (0, None, "no rule matched")
    for task, expressions in patterns.items():
        found = [m.group(0).strip() for e in expressions if (m := _compiled(e).search(looked_at)) is not None]
        if len(found) > best[0]:
            best = (len(found), task, f"task {task} (matched {', '.join(repr(f[:30]) for f in found[:3])})")
    return best[1], best[2]


@functools.lru_cache(maxsize=512)
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.IGNORECASE | re.MULTILINE)
