"""What differs in one frame is objected to; what two frames leave over is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.caching.guard import Lexical
from routelab.caching.guarding.frames import alike, exchanged, in_order, slot
from routelab.caching.guarding.reading import read

GUARD = Lexical()

REWORDED = [
    # left-over words of two frames
    ("Why does my sourdough come out flat?", "sourdough loaf not rising, what went wrong"),
    ("How do I get wax off a wooden table?", "Candle wax on wood: what's the trick to lift it?"),
    ("what is a mutex good for", "Explain the purpose of mutexes in threaded programs"),
    # one text alone names, dates, counts or denies
    ("How do I rebase onto main without opening a merge commit?", "rebase my branch on main and keep history linear"),
    ("I forgot the code of my bike lock", "Can't remember my bike lock's code, what now?"),
    (
        "My heating stopped working yesterday, who pays the repair?",
        "Is a broken heater repaired at the landlord's cost?",
    ),
    ("In Lisbon, may I ride an e-scooter on the pavement?", "are electric scooters allowed on sidewalks"),
    ("I can't find my invoice", "Where can I find my invoice?"),
    ("How do I open the attachment?", "I am unable to open the attachment"),
    # what turns an opposite round
    ("Is it unsafe to run with a cold?", "Is it not safe to run with a cold?"),
    ("The upload failed", "The upload was not successful"),
    ("Is a tram cheaper than a bus?", "Is a bus more expensive than a tram?"),
    ("Isn't the pool open today?", "Is the pool open today?"),
    ("Which bars are gluten free?", "Which bars contain no gluten?"),
    # order that says nothing
    ("What's the difference between a fjord and a firth?", "fjord vs firth, what is the difference?"),
    ("If it snows, do trains run?", "Do trains run if it snows?"),
    ("Twelve is how many dozens?", "how many dozens is 12"),
    # one quantity in two spellings
    ("a walk of two and a half hours", "a walk of 2.5 hours"),
    ("Bake it for half an hour", "Bake it for 30 minutes"),
    ("a plot of 300 m²", "a plot of 300 square metres"),
    ("Can I call you at 8 in the evening?", "Can I call you at 20:00?"),
    # two names of one thing
    ("How tall is a giraffe in the United States?", "How tall is a giraffe in the US?"),
    ("What does NPC stand for?", "What is NPC short for?"),
]

EDITED = [
    ("How do I knit a sock?", "How do I dye a sock?", "topic"),
    ("I found two of the pills by the bed", "I chewed two of the pills by the bed", "topic"),
    ("redis cluster failover timeout", "redis cluster backup schedule", "topic"),
    ("Is this fare refundable?", "Is this fare non-refundable?", "polarity"),
    ("Is this the emergency exit?", "Is this the non-emergency exit?", "polarity"),
    ("Reasons for a merger", "Reasons against a merger", "polarity"),
    ("a one way flight to Oslo", "a round trip flight to Oslo", "polarity"),
    ("copy the log from the pod to my disk", "copy the log from my disk into the pod", "role"),
    ("Use a map rather than a list", "Use a list rather than a map", "role"),
    ("move table A into schema B", "move table B into schema A", "role"),
    ("git: rebase topic onto trunk", "rebase trunk onto topic with git", "role"),
    ("Who beat the Romans?", "Whom did the Romans beat?", "question"),
    ("How often should I feed a newt?", "What should I feed a newt?", "question"),
    ("how many joules has it", "how many kilocalories has it", "unit"),
    ("solve 4x - 9 = 11", "solve 4x + 9 = 11", "code"),
    ("I get mail but can't send any", "I can send mail but don't get any", "negation"),
]


@pytest.mark.parametrize(("asked", "known"), REWORDED)
def test_a_rewording_is_let_through(asked: str, known: str) -> None:
    assert GUARD(asked, known) is None


@pytest.mark.parametrize(("asked", "known", "kind"), EDITED)
def test_an_edit_of_one_frame_is_objected_to_for_its_own_reason(asked: str, known: str, kind: str) -> None:
    objection = GUARD(asked, known)
    assert objection is not None
    assert objection.kind == kind


def test_a_strict_guard_takes_no_rewording_on_trust() -> None:
    pair = ("How do I get wax off a wooden table?", "Candle wax on wood: what's the trick to lift it?")
    assert GUARD(*pair) is None
    assert Lexical(strict=True)(*pair) is not None


def test_what_contradicts_is_objected_to_in_two_frames_as_well() -> None:
    assert str(GUARD("How long do I roast a 3 kg goose?", "roasting time, goose of 5 kilos")) == "number: 3 | 5"
    assert str(GUARD("Weather in Porto, please?", "What will it be like outside in Turin")) == "name: Porto | Turin"
    objection = GUARD("Which dishes can I freeze at home?", "list of food that you must not freeze")
    assert objection is not None
    assert objection.kind == "negation"


def test_the_end_of_a_long_text_counts_although_the_frames_differ() -> None:
    page = "Wood swells along the grain when it takes up water. " * 40
    assert GUARD(page + "Is that so?", "Does wood swell?") is not None


LINES = st.lists(st.sampled_from(["turn", "the", "lamp", "on", "or", "off", "from", "here", "to", "there"]), max_size=9)


@given(LINES, LINES)
def test_words_in_order_are_a_longest_common_subsequence(one: list[str], other: list[str]) -> None:
    left, right = read(" ".join(one)), read(" ".join(other))
    table = [[0] * (len(right.line) + 1) for _ in range(len(left.line) + 1)]
    for i, a in enumerate(left.line):
        for j, b in enumerate(right.line):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    assert in_order(left, right) == in_order(right, left) == table[-1][-1]
    assert alike(left, right) == alike(right, left)


@given(LINES, LINES, LINES, LINES, LINES)
def test_parts_that_changed_places_are_found_from_both_sides(
    start: list[str], one: list[str], between: list[str], other: list[str], end: list[str]
) -> None:
    left, right = [*start, *one, *between, *other, *end], [*start, *other, *between, *one, *end]
    there, back = exchanged(left, right), exchanged(right, left)
    assert (there is None) == (back is None)
    if left == right:
        assert there is None


@given(LINES, LINES)
def test_a_slot_is_what_is_left_when_both_ends_are_taken_off(one: list[str], other: list[str]) -> None:
    left, right = slot(one, other)
    kept = len(one) - len(left)
    assert kept == len(other) - len(right)
    assert not left or not right or (left[0] != right[0] and left[-1] != right[-1])
