"""Grounding: what an answer claims, what its passages hold, what it cites."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.lab.chunks.grounding import Claim, grounding, uncited

LEAVE = (
    "Parental leave is sixteen weeks, paid in full. It begins on the day of birth. Sick notes are needed after 3 days. "
    "Notes are not needed for a visit to the dentist."
)
TRAVEL = "Trains are booked by the office. Hotels cost at most 1,400 euros a week. Planes are booked by the traveller."
PASSAGES = {1: LEAVE, 2: TRAVEL}


def held(answer: str, question: str = "") -> list[bool]:
    return [claim.held for claim in grounding(answer, PASSAGES, question).claims]


@pytest.mark.parametrize(
    ("answer", "is_held"),
    [
        ("Parental leave is sixteen weeks, paid in full.", True),
        ("The office books the trains.", True),
        ("Sick notes are needed after 3 days [1].", True),
        ("Sick notes are needed after 5 days [1].", False),
        ("Hotels cost at most 1400 euros [2].", True),
        ("Hotels cost at most 1400 euros [1].", False),
        ("Hotels cost at most 1.400 dollars in Berlin, breakfast included.", False),
        ("Sick notes are not needed after 3 days.", False),
        ("No notes are needed for the dentist.", True),
        ("Bonuses are paid out in December.", False),
    ],
)
def test_a_sentence_is_held_where_its_words_figures_and_denial_stand_together(answer: str, is_held: bool) -> None:
    assert held(answer) == [is_held]


def test_words_of_the_question_carry_nothing() -> None:
    question = "How many euros do hotels cost at most in a week in Berlin?"
    assert held("Hotels in Berlin cost at most 1400 euros.", question) == [True]
    assert held("Hotels in Berlin cost at most 900 euros.", question) == [False]


def test_what_stands_far_apart_is_not_together() -> None:
    passages = {1: " ".join([LEAVE, *["Nothing of that kind is said here at all."] * 6, TRAVEL])}
    assert not grounding("Parental leave is booked by the traveller in hotels.", passages).claims[0].held


def test_a_sentence_that_cites_several_is_held_by_them_together() -> None:
    joined = "Parental leave is sixteen weeks and hotels cost at most 1,400 euros"
    assert held(f"{joined} [1, 2].") == [True]
    assert held(f"{joined} [1].") == [False]
    assert held(f"{joined}.") == [False]
    made = grounding(f"{joined} [1][2].", PASSAGES)
    assert (made.cited, made.valid) == (2, 2)


def test_citations_must_be_there_and_hold_the_sentence() -> None:
    made = grounding(
        "Trains are booked by the office. [2] Sick notes are needed after 3 days [7]. Planes too [1–2].", PASSAGES
    )
    assert [claim.cites for claim in made.claims] == [(2,), (7,), (1, 2)]
    assert (made.cited, made.valid) == (4, 2)
    assert grounding("The office [2].", PASSAGES, "Who books trains?").share == 1.0
    assert grounding("The pilot [2].", PASSAGES, "Who books trains?").share == 0.0
    assert made.claims[1] == Claim(text="Sick notes are needed after 3 days [7].", cites=(7,), share=0.0, held=False)


@pytest.mark.parametrize(
    "answer",
    [
        "The passages do not say this.",
        "The documents don't mention a bonus, unfortunately.",
        "That is not stated in the passages.",
        "I'm sorry, but I don't know.",
        "There is no information about bonuses.",
        "It cannot be determined from the passages given.",
        "",
        " \n",
    ],
)
def test_an_answer_that_there_is_none_abstains_and_claims_nothing(answer: str) -> None:
    made = grounding(answer, PASSAGES, "Is there a bonus?")
    assert (made.abstains, made.claims, made.share) == (True, (), None)


def test_who_answers_after_all_does_not_abstain() -> None:
    made = grounding("The passages do not say when. Parental leave is sixteen weeks, paid in full.", PASSAGES)
    assert (made.abstains, made.share) == (False, 1.0)
    assert grounding("I don't know, but bonuses are paid in December.", PASSAGES).abstains


def test_pleasantries_are_no_claims() -> None:
    made = grounding("Sure! Trains are booked by the office. Yes.", PASSAGES)
    assert [claim.text for claim in made.claims] == ["Trains are booked by the office."]


def test_scripts_without_blanks_are_held_by_pairs_of_characters() -> None:
    passages = {1: "育児休暇は十六週間です。病気の場合は診断書が必要です。"}
    assert grounding("育児休暇は十六週間です。", passages).share == 1.0
    assert grounding("出張費は会社が負担します。", passages).share == 0.0


def test_citations_are_taken_out_and_other_brackets_left() -> None:
    assert uncited("a [1] b [2, 3][4–6] c [x] d (2019) 【7】.") == "a b c [x] d (2019)."


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=30))
def test_any_texts_can_be_compared(answer: str, passage: str, question: str) -> None:
    made = grounding(answer, {1: passage}, question)
    assert made.valid <= made.cited
    assert made.share is None or 0 <= made.share <= 1
    assert made.abstains or all(0 <= claim.share <= 1 for claim in made.claims)


@given(st.lists(st.sampled_from(LEAVE.split(". ") + TRAVEL.split(". ")), min_size=1, max_size=4))
def test_what_is_quoted_is_held(sentences: list[str]) -> None:
    made = grounding(". ".join(s.rstrip(".") for s in sentences) + ".", PASSAGES)
    assert made.share == 1.0
