"""The dialogues that ship keep their promises, and evidence in recorded ones is found as the rule says."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from pathlib import Path

import pytest

from routelab.context.sentences import sentences
from routelab.core.errors import DataError
from routelab.core.values import Message
from routelab.lab.contexts.dialogues import Recorded, evidence, interrupted, planted, recorded, told
from routelab.lab.datasets import shipped

FOLDER = shipped("datasets") / "dialogues"
DIALOGUES = planted()


def test_there_are_thirty_two_long_dialogues_with_five_to_ten_facts_each() -> None:
    assert len(DIALOGUES) == 32
    assert all(40 <= len(d.messages) <= 121 for d in DIALOGUES)
    assert all(5 <= len(d.facts) <= 10 for d in DIALOGUES)
    assert all(len({f.id for f in d.facts}) == len(d.facts) for d in DIALOGUES)


def test_every_fact_is_in_its_own_message_only_and_there_in_one_sentence() -> None:
    wrong = []
    for dialogue in DIALOGUES:
        for fact in dialogue.facts:
            places = [i for i, m in enumerate(dialogue.messages) if told(m.content, fact.answer, fact.about)]
            within = [s for s in sentences(dialogue.messages[fact.at].content) if told(s, fact.answer, fact.about)]
            if places != [fact.at] or not within or told(fact.question, fact.answer):
                wrong.append((dialogue.id, fact.id, places))
    assert wrong == []


def test_what_was_corrected_was_said_before() -> None:
    stale = [(d, f) for d in DIALOGUES for f in d.facts if f.stale is not None]
    assert len(stale) >= 20
    for dialogue, fact in stale:
        assert fact.how == "corrected"
        assert any(told(m.content, str(fact.stale)) for m in dialogue.messages[: fact.at + 1])


def test_no_slot_is_left_open_and_every_tool_result_follows_a_call() -> None:
    for dialogue in DIALOGUES:
        for before, message in zip(dialogue.messages, dialogue.messages[1:], strict=False):
            assert "{" not in message.content or message.content.startswith('{"')
            if message.role == "tool":
                assert before.role == "assistant"
            elif message.role == "user":
                assert before.role in ("system", "assistant")


def test_the_file_is_what_the_generator_makes_of_the_pieces() -> None:
    spec = importlib.util.spec_from_file_location("make_dialogues", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["make_dialogues"] = make
    spec.loader.exec_module(make)
    assert make.written(make.build()) == (FOLDER / "dialogues.json").read_text(encoding="utf-8")


def test_the_card_counts_what_is_there() -> None:
    hows = Counter(f.how for d in DIALOGUES for f in d.facts)
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [f"| {how} | {n} |" in card for how, n in hows.items()] == [True] * 5


def test_a_file_that_is_no_dialogues_is_named(tmp_path: Path) -> None:
    file = tmp_path / "d.json"
    file.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read as dialogues"):
        planted(file)
    row = {
        "id": "a",
        "messages": [{"role": "user", "content": "x"}],
        "facts": [{"id": "f", "at": 3, "how": "plain", "answer": "x"}],
    }
    file.write_text(json.dumps([row]), encoding="utf-8")
    with pytest.raises(DataError, match=r"d.json\[0\]: the fact 'f' is not in the message at 3"):
        planted(file)


def talk(name: str, *texts: str) -> Recorded:
    roles = ("user", "assistant")
    said = tuple(Message(role=roles[i % 2], content=t) for i, t in enumerate(texts))  # type: ignore[arg-type]
    return Recorded(id=name, ability="CM", messages=said)


def test_evidence_is_what_the_answer_took_from_earlier_turns_and_the_question_does_not_say() -> None:
    talks = [
        talk(
            "a",
            "I own a 1967 Wartburg.",
            "Nice.",
            "Which spare parts shall I order?",
            "For a Wartburg order spare seals.",
        ),
        *(talk(f"b{i}", "Hello there.", "Hi.", "Bye now.", "Bye.") for i in range(99)),
    ]
    [found] = evidence(talks)
    assert found.id == "a"
    assert [(f.id, f.at) for f in found.facts] == [("wartburg", 0)]
    assert found.messages[-1].content == "Which spare parts shall I order?"


def test_an_interrupted_dialogue_has_others_between_evidence_and_question_that_do_not_say_the_fact() -> None:
    talks = [
        talk("a", "I own a 1967 Wartburg.", "Nice.", "Which parts?", "Wartburg seals."),
        *(talk(f"b{i}", f"Hello {i}.", "Hi.") for i in range(99)),
        talk("c", "A wartburg!", "Oh."),
    ]
    [found] = interrupted(evidence(talks), talks[1:], messages=10)
    assert len(found.messages) == 13
    assert [m.content for m in found.messages[:2]] == ["I own a 1967 Wartburg.", "Nice."]
    assert found.messages[-1].content == "Which parts?"
    assert sum("artburg" in m.content for m in found.messages) == 1
    assert [found] == list(interrupted(evidence(talks), talks[1:], messages=10))


def test_the_recorded_dialogues_are_read(shared: Path) -> None:
    found = recorded(shared / "data" / "multi_turn" / "mtbench101.jsonl")
    assert len(found) == 1388
    memory = recorded(shared / "data" / "multi_turn" / "mtbench101.jsonl", ["CM"])
    assert len(memory) == 80
    told_of = evidence(found)
    assert len(told_of) > 1000
    assert all(f.held(d.messages[f.at : f.at + 1]) for d in told_of for f in d.facts)
