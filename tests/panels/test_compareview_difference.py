"""The difference of two texts: true to both, and bounded whatever they are."""

from __future__ import annotations

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from routelab.panels.difference import LONGEST, WORDS, difference

WORD = st.sampled_from(["the", "cat", "sat.", "<b>", "&amp;", "猫", "on", "12%"])
TEXT = st.lists(WORD, max_size=40).map(" ".join)


def sides(shown: str) -> tuple[str, str]:
    """The two texts that a difference leads from and to."""
    body = shown.rpartition('rl-diff">')[2].removesuffix("</div>")
    before = re.sub(r"<ins>.*?</ins>", "", body, flags=re.DOTALL)
    after = re.sub(r"<del>.*?</del>", "", body, flags=re.DOTALL)
    before = re.sub(r"<del>\[−(.*?)−\]</del>", r"\1", before, flags=re.DOTALL)
    after = re.sub(r"<ins>\[\+(.*?)\+\]</ins>", r"\1", after, flags=re.DOTALL)
    return html.unescape(before), html.unescape(after)


@given(one=TEXT, other=TEXT)
def test_both_texts_can_be_read_out_of_their_difference(one: str, other: str) -> None:
    shown = difference(one, other)
    if one.split() == other.split():
        assert "the two texts are the same" in shown
        return
    before, after = sides(shown)
    assert before.split() == one.split()
    # Words that both have are set once.
    assert after.split() == other.split()


def test_what_went_and_what_came_is_marked_in_signs_and_counted() -> None:
    shown = difference("a red car", "a blue car now")
    assert "<del>[− red−]</del><ins>[+ blue+]</ins> car<ins>[+ now+]</ins>" in shown
    assert "[−…−] 1 word removed, [+…+] 2 added" in shown


def test_texts_that_are_too_long_are_cut_and_the_cut_is_announced() -> None:
    shown = difference("x" * 10_000_000, "y" * 10_000_000)
    assert f"{10_000_000 - LONGEST:,} and {10_000_000 - LONGEST:,} characters are left out" in shown
    assert len(shown) < 3 * LONGEST
    many = difference("a " * 3 * WORDS, "b " * 3 * WORDS)
    assert f"{WORDS:,} words removed, [+…+] {WORDS:,} added" in many


def test_beginnings_that_are_the_same_are_not_called_the_same_texts() -> None:
    same = "word " * 5_000
    shown = difference(same + "one", same + "two")
    assert "what is compared is the same" in shown
    assert "left out" in shown


def test_signs_of_scripts_without_spaces_are_compared_one_by_one() -> None:
    assert "<del>[−大−]</del><ins>[+小+]</ins>猫" in difference("大猫", "小猫")
