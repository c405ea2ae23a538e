"""promptfoo: the results that `promptfoo eval --output results.json` (or .jsonl) writes.

Fields after promptfoo/promptfoo, src/types/index.ts (EvaluateResult): testIdx, promptIdx, provider {id, label}, prompt
{raw, label}, vars, testCase {assert}, response {output, cached, tokenUsage}, error, failureReason (2: an error), success,
score, latencyMs, gradingResult {componentResults}, cost, tokenUsage {prompt, completion}.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from routelab.core.values import Message, Prompt, digest
from routelab.lab.formats.calls import NO_OBJECT, Place, Row, mapping, records, text_of, turns

Result: TypeAlias = Mapping[str, Any]

STRIPPED = ("[prompt stripped]", "[output stripped]")
"""What promptfoo writes in place of texts that its settings keep out of results."""
ERROR = 2
"""The failureReason of a call that broke; 1 is an assertion that was not met, 0 no failure."""


def read_promptfoo(path: Path) -> Iterator[Row]:
    """Yield the calls of a results file, or of a folder of them.

    The model is the provider's label, else its id. The prompt is the test; where one provider was given several prompt
    templates it is the test and the template. Prompts with the same variables (templates, --repeat) share a group.
    Results without assertions are unscored, although promptfoo scores them 1. An answer from promptfoo's cache keeps its
    quality and loses its cost and its wait.
    """
    rows: list[tuple[Place, Result]] = []
    for place, content in records(path):
        if content is None:
            yield place.rejected("result", NO_OBJECT)
            continue
        inner = results_of(content)
        if inner is None:
            rows.append((place, content))
            continue
        for number, row in enumerate(inner, 1):
            where = Place(file=place.file, line=number)
            if isinstance(row, Mapping):
                rows.append((where, row))
            else:
                yield where.rejected("results", "is not an object")
    yield from _calls(rows)


def results_of(content: object) -> Sequence[object] | None:
    """Return the list of results inside a document, or None when it is not a whole document."""
    found = content.get("results") if isinstance(content, Mapping) else None
    found = found.get("results") if isinstance(found, Mapping) else found
    return found if isinstance(found, list) else None


def is_result(row: object) -> bool:
    """Return whether a row has the form of a result."""
    return isinstance(row, Mapping) and {"provider", "success"} <= set(row) and ("vars" in row or "prompt" in row)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tests:
    """How results are tied to prompts: which tests have several templates, which variables come again."""

    several: frozenset[str]
    again: frozenset[str]


def _calls(rows: Sequence[tuple[Place, Result]]) -> Iterator[Row]:
    templates: dict[tuple[str, str], set[str]] = defaultdict(set)
    for place, row in rows:
        templates[_test(place, row), _provider(row)].add(_asked(row))
    several = frozenset(test for (test, _), asked in templates.items() if len(asked) > 1)
    ids = {(_vars(place, row), _id(place, row, several)) for place, row in rows}
    again = frozenset(v for v, count in Counter(v for v, _ in ids).items() if count > 1)
    unscored = sum(not _graded(row) for _, row in rows)
    if unscored:
        yield f"{unscored:,} results had no assertion: their score of 1 says nothing and is left out"
    if any(_cached(row) for _, row in rows):
        yield "answers from promptfoo's cache keep their quality; their cost and latency are not known"
    tests = _Tests(several=several, again=again)
    yield from (_row(place, row, tests) for place, row in rows)


def _row(place: Place, row: Result, tests: _Tests) -> Row:
    asked, variables = _messages(_asked(row)), _variables(row)
    if asked is None and not variables and not isinstance(row.get("testIdx"), int):
        return place.rejected("prompt", "is missing")
    if asked is None:
        asked = (Message(role="user", content=text_of(variables) or ""),) if variables else ()
    response, cached = mapping(row.get("response")), _cached(row)
    usage = mapping(row.get("tokenUsage")) or mapping(response.get("tokenUsage"))
    key, group = _id(place, row, tests.several), _vars(place, row)
    latency = row.get("latencyMs")
    failed = row.get("failureReason") == ERROR or (
        row.get("failureReason") is None and bool(row.get("error")) and response.get("output") is None
    )
    return place.call(
        Prompt(
            id=key,
            messages=asked,
            group=group if group in tests.again else None,
        ),
        _provider(row) or None,
        {
            "quality": ("score", row.get("score", row.get("success")) if _graded(row) else None),
            "cost_usd": ("cost", None if cached else row.get("cost", response.get("cost"))),
            "latency_s": ("latencyMs", None if cached or not latency else _thousandth(latency)),
            "input_tokens": ("tokenUsage.prompt", usage.get("prompt")),
            "output_tokens": ("tokenUsage.completion", usage.get("completion")),
        },
        failed=failed,
        response=None if response.get("output") in STRIPPED else text_of(response.get("output")),
        same=group if variables else key,
    )


def _thousandth(value: object) -> object:
    return value / 1000 if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _provider(row: Result) -> str:
    provider = row.get("provider")
    if isinstance(provider, Mapping):
        return str(provider.get("label") or provider.get("id") or "")
    return provider if isinstance(provider, str) else ""


def _asked(row: Result) -> str:
    prompt = row.get("prompt")
    raw = text_of(prompt.get("raw") if isinstance(prompt, Mapping) else prompt) or ""
    return "" if raw in STRIPPED else raw


def _messages(raw: str) -> tuple[Message, ...] | None:
    """Return the messages of a rendered prompt, which is a text or the JSON of a conversation."""
    if raw.lstrip().startswith("["):
        try:
            return turns(json.loads(raw)) or turns(raw)
        except (ValueError, RecursionError):
            pass
    return turns(raw)


def _variables(row: Result) -> Mapping[str, Any]:
    return mapping(row.get("vars")) or mapping(mapping(row.get("testCase")).get("vars"))


def _vars(place: Place, row: Result) -> str:
    """Return what tests that come again have in common: their variables, else their prompt, else only themselves."""
    return digest(_variables(row) or _asked(row) or [place.file, row.get("testIdx")])


def _test(place: Place, row: Result) -> str:
    number = row.get("testIdx")
    return f"{place.file}#{number}" if isinstance(number, int) else _vars(place, row)


def _id(place: Place, row: Result, several: frozenset[str]) -> str:
    test = _test(place, row)
    return f"{test}/{digest(_asked(row))[:8]}" if test in several else test


def _graded(row: Result) -> bool:
    grading, case = mapping(row.get("gradingResult")), mapping(row.get("testCase"))
    if grading.get("componentResults") or case.get("assert"):
        return True
    # A result that was stripped of both says nothing about its assertions; its score is taken at its word.
    return "gradingResult" not in row and "testCase" not in row


def _cached(row: Result) -> bool:
    return mapping(row.get("response")).get("cached") is True
