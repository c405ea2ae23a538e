"""The difference between two versions of a template."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from routelab.prompting import Library, Template, Turns, diff
from routelab.prompting.difference import Line

TEXTS = st.lists(
    st.sampled_from(["a", "a b c d", "a b x d", "", "日本語です", "日本です", "  z", "<b>&"]), max_size=12
).map("\n".join)


def template(system: str, version: int) -> Template:
    return Template(name="t", version=version, system=system.replace("{", "") or None)


@given(TEXTS, TEXTS)
def test_both_texts_can_be_read_out_of_their_difference(one: str, two: str) -> None:
    found = diff(template(one, 1), template(two, 2))
    for part in found.parts:
        for text, kind in ((part.one, "gone"), (part.two, "new")):
            lines = [line.text for line in part.lines if line.kind in ("same", kind)]
            assert "\n".join(lines) == (text or "")
    assert found.changed == (found.one.sha256 != found.two.sha256)


@given(TEXTS)
def test_nothing_is_different_between_equals(text: str) -> None:
    found = diff(template(text, 1), template(text, 2))
    assert (found.changed, found.words, found.title) == (False, (0, 0), "t@1 → t@2: the same text")


def test_a_changed_line_shows_its_words() -> None:
    old, new = template("Answer in one word.\nBe kind.", 1), template("Answer in two words.\nBe kind.", 2)
    (system,) = [part for part in diff(old, new).parts if part.changed]
    assert system.lines == (
        Line("gone", (("same", "Answer in "), ("gone", "one"), ("same", " "), ("gone", "word"), ("same", "."))),
        Line("new", (("same", "Answer in "), ("new", "two"), ("same", " "), ("new", "words"), ("same", "."))),
        Line("same", (("same", "Be kind."),)),
    )
    assert repr(diff(old, new)) == (
        "t@1 → t@2: +2 −2 words\nsystem\n  − Answer in one word.\n  + Answer in two words.\n    Be kind."
    )


def test_lines_that_are_not_alike_went_and_came() -> None:
    found = diff(template("Answer in one word.", 1), template("Think step by step about all of it", 2))
    assert [(line.kind, len(line.pieces)) for line in found.parts[0].lines] == [("gone", 1), ("new", 1)]


def test_what_a_template_says_is_text_and_not_html() -> None:
    old, new = template("<script>alert(1)</script>", 1), template("<script>alert(2)</script>", 2)
    html = diff(old, new).html()
    assert "<script>" not in html
    assert "&lt;script&gt;alert(<del>1</del>)" in html
    assert "&lt;script&gt;alert(<ins>2</ins>)" in html


def test_every_part_is_compared() -> None:
    old = Template(name="t", version=1, example="{{ question }} {{ answer }}")
    new = Template(name="t", version=2, system="S", example=Turns(user="{{ question }}"), reads="answer")
    changed = {part.name: (part.one, part.two) for part in diff(old, new).parts if part.changed}
    assert changed == {
        "system": (None, "S"),
        "example": ("{{ question }} {{ answer }}", None),
        "example.user": (None, "{{ question }}"),
        "example.assistant": (None, "{{ answer }}"),
        "reads": (None, "answer"),
    }


def test_long_runs_of_equal_lines_are_told_by_their_number() -> None:
    lines = [str(i) for i in range(20)]
    old, new = template("\n".join(lines), 1), template("\n".join([*lines[:-1], "end"]), 2)
    assert repr(diff(old, new)).splitlines()[2:] == [
        "  … 16 lines the same",
        *(f"    {i}" for i in (16, 17, 18)),
        "  − 19",
        "  + end",
    ]


def test_long_texts_are_compared_in_bounded_work() -> None:
    old = template("\n".join(f"line {i} of the old text" for i in range(1_000)), 1)
    new = template("\n".join(f"row {i} in a new one" for i in range(1_000)), 2)
    assert diff(old, new).words[0] == 6_000
    line = "word " * 20_000
    assert len(diff(template(line + "a", 1), template(line + "b", 2)).parts[0].lines) == 2


def test_a_difference_is_shown_in_a_cell() -> None:
    cot = Library().get("cot")
    shown = diff(cot, dataclasses.replace(cot, version=2, user=cot.user + " Be brief."))._repr_mimebundle_()
    assert shown["text/plain"].startswith("cot@1 → cot@2: +2 words\nuser\n")
    assert "<ins> Be brief.</ins>" in shown["text/html"]
