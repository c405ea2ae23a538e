"""Placeholders are filled, everything else between braces stays, and a typo is found before anybody is asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import ConfigError, TemplateError
from routelab.notebook.bench import Bench
from routelab.notebook.settings import RouteLab
from routelab.notebook.template import Scope, Template, placeholders

NAMES: dict[str, Any] = {
    "d": {"k": 3, "items": "own"},
    "xs": [1, 2],
    "question": "variable",
    "text": "{{d}}",
    "nothing": None,
}
ROW = {"question": "What?", "count": 5, "items": "I", "gold": float("nan"), "Überschrift": "ü"}


def fill(text: str, row: dict[str, Any] | None = None) -> str:
    return Template(text)(Scope(names=NAMES, row=row, place="questions[3]" if row else ""))


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{question}}", "variable"),
        ("{{ d['k'] }}{{d[\"k\"]}}{{d.k}}", "333"),
        ("{{xs[0]}} {{xs[-1]}}", "1 2"),
        (r"\{{question}} and \{{", "{{question}} and {{"),
        ("A pen costs $5 {x} {0} {} ${y}", "A pen costs $5 {x} {0} {} ${y}"),
        ('{"json": {"a": [1]}}', '{"json": {"a": [1]}}'),
        ("{{1}} {{f(x)}} {{a b}} {{}} {{question}", "{{1}} {{f(x)}} {{a b}} {{}} {{question}"),
        ("{{#if x}}{{else}}{{/if}} {% raw %} {{x|upper}}", "{{#if x}}{{else}}{{/if}} {% raw %} {{x|upper}}"),
        ("{{text}}", "{{d}}"),
        ("100 % {{d.k}}\n\n", "100 % 3\n\n"),
    ],
)
def test_only_paths_between_two_braces_are_filled(text: str, filled: str) -> None:
    assert fill(text) == filled


def test_columns_go_before_variables_and_a_column_is_never_a_method() -> None:
    assert (
        fill("{{question}} {{row.count}} {{count}} {{row.items}} {{row['items']}} {{Überschrift}} {{d.k}}", ROW)
        == "What? 5 5 I I ü 3"
    )


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("{{qestion}}", "{{qestion}} is not defined; did you mean 'question'?", "columns: question, count"),
        ("{{row.qestion}}", "{{row.qestion}} is not defined; did you mean 'question'?", "columns: question, count"),
        ("{{d.kk}}", "{{d.kk}} is not defined; did you mean 'k'?", "columns:"),
        ("{{xs[9]}}", "{{xs[9]}} is not defined", r"\{{ is a literal"),
        ("{{d.__class__}}", "{{d.__class__}} is not defined", r"\{{ is a literal"),
        ("{{gold}}", "{{gold}} has no value in questions[3]", "leave such rows out"),
        ("{{nothing}}", "{{nothing}} has no value in questions[3]", "leave such rows out"),
        ("{{d.items}}", "{{d.items}} is a function or a class in questions[3], not a text", "{{d['items']}}"),
    ],
)
def test_what_cannot_be_filled_is_said_with_the_nearest_name(text: str, message: str, hint: str) -> None:
    with pytest.raises(TemplateError) as raised:
        fill(text, ROW)
    assert raised.value.message == message
    assert hint in (raised.value.hint or "")


@given(st.text())
def test_a_text_without_placeholders_is_unchanged(text: str) -> None:
    if not placeholders(text) and r"\{{" not in text:
        assert fill(text) == text


@given(st.text())
def test_a_value_is_put_in_as_it_is_and_never_read_again(value: str) -> None:
    scope = Scope(names={"a": value, "b": "B"})
    assert Template("<{{a}}|{{b}}>")(scope) == f"<{value}|B>"


def test_a_dollar_name_on_the_line_is_looked_up_by_the_same_paths() -> None:
    class Shell:
        user_ns = NAMES

    bench = Bench(Shell(), RouteLab())
    assert (bench.look("d['k']"), bench.look("xs")) == (3, [1, 2])
    with pytest.raises(ConfigError, match=r"\$qestion is not defined; did you mean 'question'\?"):
        bench.look("qestion")
