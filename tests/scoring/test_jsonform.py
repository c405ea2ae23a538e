from __future__ import annotations

import copy
import json
import pickle
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import ConfigError
from routelab.core.values import Prompt
from routelab.scoring import Json
from routelab.scoring.jsonform import ABSENT, read, same

PROMPT = Prompt.of("As JSON, please.")
FORM = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    "answer",
    [
        '{"a":1}',
        '\ufeff{"a": 1}\n',
        '```json\n{"a": 1}\n```',
        '```\n{"a":1}\n```\nThat is all.',
        'Sure! Here it is: {"a": 1} (as you asked [1]).',
        '{"a":1.0}',
        '```python\nx = 1\n```\nand\n```json\n{"a": 1}\n```',
        'The first try was {} but now: {"a": 1}',
    ],
)
def test_json_is_found_wherever_it_stands(answer: str) -> None:
    assert Json(schema=FORM, equals={"a": 1})(answer, PROMPT).quality == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "the answer is empty"),
        ("no braces", "no JSON is found"),
        ('{"a":1,}', "no JSON is found"),
        ('{"a":NaN}', "no JSON is found"),
        ('{"a":1e999}', "no JSON is found"),
        ("{'a': 1}", "no JSON is found"),
        ("{}", "at $: “'a' is a required property”"),
        ('{"a":true}', "at $.a: “True is not of type 'integer'”"),
        ('{"a":2}', '“{"a": 2}” is not what is wanted'),
    ],
)
def test_a_failure_says_what_is_wrong(answer: str, reason: str) -> None:
    score = Json(schema=FORM, equals={"a": 1})(answer, PROMPT)
    assert (score.quality, score.reason) == (0, reason)


def test_null_may_be_demanded() -> None:
    assert Json(equals=None)("null", PROMPT).quality == 1
    assert Json(equals=None)("0", PROMPT).quality == 0


def test_formats_are_checked() -> None:
    scorer = Json(schema={"type": "string", "format": "date"})
    assert [scorer(a, PROMPT).quality for a in ('"2024-02-29"', '"2024-02-30"')] == [1, 0]


def test_a_frozen_schema_works_like_a_plain_one() -> None:
    frozen = MappingProxyType({"enum": ("x", MappingProxyType({"y": 1}))})
    assert Json(schema=frozen)('{"y": 1}', PROMPT).quality == 1


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "objct"}, "scorer.schema: 'objct' is not valid"),
        ({"$ref": "https://example.invalid/x.json"}, "nothing is found at \\$ref"),
        ({"properties": {"a": {"$ref": "#/$defs/nowhere"}}}, "nothing is found at \\$ref '#/\\$defs/nowhere'"),
        ([], "a JSON Schema \\(a mapping\\) is wanted"),
    ],
)
def test_a_schema_that_cannot_work_is_refused_at_once(schema: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Json(schema=schema)


def test_a_schema_may_refer_to_itself() -> None:
    tree = {"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}
    scorer = Json(schema=tree)
    assert [scorer(a, PROMPT).quality for a in ("[[],[[]]]", "[[],[1]]", "[" * 900 + "]" * 900)] == [1, 0, 0]


def test_absent_stays_itself_through_copies() -> None:
    assert pickle.loads(pickle.dumps(ABSENT)) is ABSENT
    assert copy.deepcopy(Json(schema=FORM)).equals is ABSENT


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_any_value_equals_itself_after_a_round_trip(value: Any) -> None:
    assert same(read(json.dumps(value)), value)
    assert Json(equals=value)(f"```json\n{json.dumps(value, indent=2)}\n```", PROMPT).quality == 1


@given(JSON, JSON)
def test_equality_is_that_of_canonical_json(one: Any, other: Any) -> None:
    def canonical(value: Any) -> str:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, list):
            return "[" + ",".join(map(canonical, value)) + "]"
        if isinstance(value, dict):
            return "{" + ",".join(f"{json.dumps(k)}:{canonical(value[k])}" for k in sorted(value)) + "}"
        return json.dumps(value)

    assert same(one, other) == (canonical(one) == canonical(other))
