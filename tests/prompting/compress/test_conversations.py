"""Compression of conversations: whose words are touched, and what the question keeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from routelab.core.values import Message, ToolCall
from routelab.prompting.compress import Boilerplate, Extractive, Removal, Whitespace, begins, compressed, stays


def words(text: str) -> int:
    return len(text.split())


def alike(texts: Any) -> Any:
    """Embed by the words of one list: what shares them is near."""
    known = ["fee", "late", "river", "dog", "tax"]
    rows = np.array([[1.0 * t.lower().count(w) for w in known] + [0.1] for t in texts], dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def user(text: str) -> Message:
    return Message(role="user", content=text)


DOCUMENT = (
    "The river is long and winds through the valley. The dog sleeps beside it all day. The late fee is not 32 but 8 dollars. "
    "Nobody knows the dog by any name, neither here nor there. The river floods in spring every year, and then it is wide."
)


def test_the_sentence_that_was_asked_for_is_kept_whole_and_the_gaps_are_marked() -> None:
    made = Extractive(budget_tokens=20, embedder=alike, over_tokens=10)
    found = compressed(made, [user(f"{DOCUMENT}\n\nHow high is the late fee?")], count=words)
    assert found.messages[0].content == "[…]\nThe late fee is not 32 but 8 dollars.\n[…]\nHow high is the late fee?"
    assert (found.tokens_before, found.tokens_after) == (54, 17)
    assert [(n, removal.what) for n, removal in found.removed] == [(0, "sentences"), (0, "sentences")]


def test_the_systems_words_and_those_that_keep_names_are_never_touched() -> None:
    blanks = "a  b \n\n\n\nc"
    messages = [
        Message(role="system", content=blanks),
        user(blanks),
        Message(role="assistant", content=blanks, calls=(ToolCall(id="1", name="look"),)),
        Message(role="tool", content=blanks, answers="1"),
        user(blanks),
    ]
    tight = "a b\n\nc"
    every = compressed(Whitespace(), messages, count=len).messages
    assert [m.content for m in every] == [blanks, tight, tight, tight, tight]
    assert [m.calls for m in every] == [m.calls for m in messages]
    assert [m.answers for m in every] == [m.answers for m in messages]
    kept = compressed(Whitespace(keep=("assistant", "last")), messages, count=len).messages
    assert [m.content for m in kept] == [blanks, tight, blanks, tight, blanks]


def test_short_texts_are_left_alone() -> None:
    found = compressed(Whitespace(over_tokens=5), [user("a  b"), user("a  b  c  d  e  f")], count=words)
    assert [m.content for m in found.messages] == ["a  b", "a b c d e f"]
    assert (found.tokens_before, found.tokens_after) == (8, 8)


def test_what_was_removed_is_named_with_the_message_that_it_stood_in() -> None:
    mail = "Hi,\n\nwhere is my parcel?\n\nBest regards,\nAnn\nHead of Ops\n+49 30 1234567"
    found = compressed(Boilerplate(), [user("Hello"), user(mail)], count=words)
    assert found.messages[1].content == "Hi,\n\nwhere is my parcel?\n\nBest regards,\nAnn"
    assert found.removed == ((1, Removal(what="signatures", text="Head of Ops\n+49 30 1234567")),)


PASSAGES = (
    "[1] fees.md (Fees › Late), characters 0–200\nThe late fee is 8 dollars. It is due at once. The dog is free.\n\n"
    "[2] river.md, characters 7–90\nThe river is long. The river is wide. The dog swims in it.\n\n"
    "[3] tax.md, characters 1–9\nThe tax is low. The dog pays a late tax."
)


def test_passages_keep_their_numbers_and_the_question_behind_them_stays() -> None:
    asked = "How high is the late fee?"
    made = Extractive(budget_tokens=30, embedder=alike, over_tokens=0)
    found = compressed(made, [user(f"{PASSAGES}\n\n{asked}")], count=words, question=asked)
    lines = found.messages[0].content.split("\n")
    assert lines[0] == "[1] fees.md (Fees › Late), characters 0–200"
    assert lines[1].startswith("The late fee is 8 dollars.")
    assert lines[-1] == asked
    assert all(line in PASSAGES for line in lines if line.startswith("[") and line != "[…]")
    # A passage of which nothing is left has no line either.
    for n, line in enumerate(lines):
        assert not (line.startswith("[2]") and lines[n + 1] == "[…]")


def test_boilerplate_leaves_the_lines_of_passages_alone() -> None:
    same = "This paragraph stands in two passages and is long enough to be known again."
    text = f"[1] a.md, characters 0–9\n{same}\n\n[2] b.md, characters 0–9\n{same}\n\nWhat is it?"
    found = compressed(Boilerplate(), [user(text)], count=words, question="What is it?")
    assert found.messages[0].content == (f"[1] a.md, characters 0–9\n{same}\n\n[2] b.md, characters 0–9\n\nWhat is it?")


def test_headings_and_a_lists_lead_come_with_what_they_are_needed_for() -> None:
    text = (
        "# Rules\n\nThe river is long and it is wide and it is deep.\n\n## Fees\n\nThese are due at the end of the month:\n\n- The dog pays one tax.\n"
        "- The late fee is 8.\n- The river is free.\n\n## Dogs\n\nThe dog sleeps all day long, and nobody minds that it does.\n\nWhat about the late fee?"
    )
    made = Extractive(budget_tokens=36, embedder=alike, over_tokens=0)
    left = compressed(made, [user(text)], count=words).messages[0].content
    assert "- The late fee is 8." in left
    assert left.index("# Rules") < left.index("## Fees") < left.index("These are due at the end of the month:")
    assert "## Dogs" not in left


def test_code_and_tables_are_kept_whole_or_dropped_whole() -> None:
    code = "```py\nfee = 8\nlate = fee * 2\n```"
    table = "| dog | river |\n|---|---|\n| 1 | 2 |"
    text = f"The river is long and winds through the valley all the way.\n\n{code}\n\n{table}\n\nWhat is the late fee?"
    made = Extractive(budget_tokens=29, embedder=alike, over_tokens=0)
    left = compressed(made, [user(text)], count=words).messages[0].content
    assert code in left
    assert "| dog" not in left


def test_without_a_question_the_centre_of_the_text_is_kept() -> None:
    made = Extractive(budget_tokens=14, embedder=alike, over_tokens=0)
    said = Message(
        role="assistant", content="The dog runs. The dog barks. The dog sleeps. The tax rises. The river floods."
    )
    left = compressed(made, [said], count=words).messages[0].content
    assert "dog" in left
    assert words(left) <= 14


def test_an_empty_conversation_and_empty_messages_are_fine() -> None:
    assert compressed(Boilerplate(), [], count=words).messages == ()
    blank = [user(""), user(" \n ")]
    assert compressed(Extractive(ratio=0.5, over_tokens=0, embedder=alike), blank, count=words).messages == tuple(blank)


def test_a_long_text_with_the_question_at_its_end_keeps_it_on_one_line_too() -> None:
    text = "The river is long. " * 200 + "How high is the late fee?"
    spans = stays(text)
    assert text[spans[-1][0] : spans[-1][1]] == "How high is the late fee?"


def test_a_question_in_front_or_in_the_middle_stays() -> None:
    for text in (
        f"How high is the late fee?\n\n{DOCUMENT * 8}",
        f"{DOCUMENT}\n\nWhich dog was it?\n\n{DOCUMENT * 8}",
        f"Answer in one word what follows from this: {DOCUMENT * 8}",
    ):
        held = [text[a:b] for a, b in stays(text)]
        assert any(one.endswith(("?", ":")) and len(one) < 60 for one in held)


def test_where_the_question_begins_is_found_again_after_compression() -> None:
    for question in ("How high is  the fee? \n", "Who?", "Who pays?\n\n\n\nAnd when?"):
        left = compressed(Whitespace(), [user(f"{DOCUMENT}\n\n{question}")], count=words, question=question)
        text = left.messages[0].content
        assert " ".join(text[begins(text, question) :].split()) == " ".join(question.split())
    assert begins("another text", "Who?") == begins("Who?", "Who?") == 0
