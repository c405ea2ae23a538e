from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.scoring import wording


@pytest.mark.parametrize(
    ("text", "committed"),
    [
        ("no such line", None),
        ("Answer: 5", "5"),
        ("**Answer:** 5", "5"),
        ("**Answer**: 5", "5"),
        ("ANSWER = 5", "5"),
        ("Answer：5", "5"),
        ("Final answer (in km): 5", "5"),
        ("# Answer\n\n5", "5"),
        ("**The answer is** 5", "5"),
        ("the answer is: 5", "5"),
        ("Answer: 4\nno: Answer: 5", "5"),
        ("Answer: 4, thus \\boxed{5}", "5"),
        ("\\boxed{4}\nAnswer: 5", "5"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{open", "open"),
        ("The answer is not 5", None),
        ("This is the right answer\nI think", None),
        ("Answer:", None),
        ("answers: 5", None),
    ],
)
def test_an_answer_commits_itself_last(text: str, committed: str | None) -> None:
    assert wording.commitment(text) == committed


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("none", []),
        ("```\na\n```", [("", "a\n")]),
        ("```Python\na\n```\nb\n~~~js\nc\n~~~", [("python", "a\n"), ("js", "c\n")]),
        ("````md\n```py\na\n```\n````", [("md", "```py\na\n```\n")]),
        ("```py\nnever closed", [("py", "never closed")]),
        ("1. So:\n   ```py\n   if a:\n       b\n   ```", [("py", "if a:\n    b\n")]),
        ("inline ```a``` b", []),
    ],
)
def test_fenced_blocks_are_read_as_markdown_does(text: str, blocks: list[tuple[str, str]]) -> None:
    assert list(wording.fenced(text)) == blocks


@given(st.text())
def test_folding_twice_changes_nothing_that_matters(text: str) -> None:
    once = wording.folded(text)
    assert wording.words(once) == wording.words(wording.folded(once))


@given(st.text(), st.text(alphabet="ab 1-", max_size=10))
def test_what_occurs_is_in_the_text(text: str, needle: str) -> None:
    hay = wording.folded(text + " " + needle)
    folded = wording.folded(needle)
    assert all(hay[at : at + len(folded)] == folded for at in wording.occurrences(folded, hay))
    assert not folded or wording.occurs(folded, hay) or "-" in folded


@given(st.text())
def test_ascii_words_are_found_the_same_way_as_others(text: str) -> None:
    # The fast path for ASCII against the general one, which a non-ASCII word at the end forces.
    plain = wording.folded(text.encode("ascii", "ignore").decode())
    assert wording.words(plain) == wording.words(plain + " é")[:-1]


@given(st.text())
def test_the_last_form_of_a_text_has_no_more_layers(text: str) -> None:
    found = wording.forms(text)
    assert all(form == " ".join(form.split()) and form for form in found)
    assert len(set(found)) == len(found)
