"""Simulated readers: what they say depends on what they are given, and is labelled as every practice answer."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from typing import Any

import pytest

from routelab.core.values import Message, Model, Prompt, Request
from routelab.fleet import Fleet
from routelab.providers.practice import Practice
from routelab.providers.reader import NOTHING, Passages, Reader

LEAVE = "Parental leave is sixteen weeks, paid in full. It begins on the day of birth."
TRAVEL = "Trains are booked by the office. Hotels cost at most 140 euros a night."
BOTH = f"[1] {LEAVE}\n[2] {TRAVEL}"
QUESTION = "How many euros may hotels cost a night?"
MODELS = Fleet.practice().models


def passages(text: str) -> list[tuple[int, str]]:
    return [(int(n), said) for n, said in re.findall(r"^\[(\d)\] (.*)$", text, re.MULTILINE)]


def asked(given: str, question: str = QUESTION, *, model: Model = MODELS[0], seed: int = 0, **reader: Any) -> str:
    prompt = Prompt.of(question, task="simple_qa")
    messages = (Message(role="user", content=f"{given}\n{question}"),)
    read: Passages = passages
    made = Reader(practice=Practice(latency=0, errors=0, seed=seed), passages=read, **reader)
    reply = asyncio.run(made.complete(Request(model=model, prompt=prompt, messages=messages), lambda _: None))
    assert reply.served_model == f"practice/{model.name}"
    assert reply.tokens.total
    return reply.text


def answers(given: str, question: str = QUESTION, **about: Any) -> set[str]:
    return {asked(given, question, model=m, seed=s, **about) for m in MODELS for s in range(12)}


def test_the_answer_is_the_nearest_sentence_of_the_passages_with_its_number() -> None:
    said = answers(BOTH)
    assert "Hotels cost at most 140 euros a night. [2]" in said
    assert "Hotels cost at most 99 euros a night. [1]" in answers("[1] Hotels cost at most 99 euros a night.")


def test_wrong_readings_quote_elsewhere_or_alter_figures_or_numbers() -> None:
    said = answers(BOTH) - {NOTHING, "Hotels cost at most 140 euros a night. [2]"}
    altered = {text for text in said if re.fullmatch(r"Hotels cost at most \d+ euros a night\. \[2\]", text)}
    assert altered
    assert all(text.split(" [")[0] in f"{LEAVE} {TRAVEL}" for text in said - altered if "sorry" not in text)
    wrong_number = answers("[1] Hotels cost little.\n[2] It rains a lot in spring here.", "What do hotels cost?")
    assert "Hotels cost little. [2]" in wrong_number


def test_passages_that_do_not_tell_make_careful_models_say_so() -> None:
    said = [asked(BOTH, "Who won the football cup in 1954?", model=m, seed=s) for m in MODELS for s in range(8)]
    assert said.count(NOTHING) > len(said) / 2


def test_without_passages_nothing_is_known_and_weak_models_make_something_up() -> None:
    said = answers("")
    assert NOTHING in said
    assert any(
        text.startswith("It is generally agreed that many euros hotels cost night") or "generally agreed" in text
        for text in said
    )
    assert not any("140" in text for text in said)


def test_better_models_read_better() -> None:
    def right(model: Model) -> int:
        return sum(asked(BOTH, model=model, seed=s).startswith("Hotels cost at most 140 euros") for s in range(60))

    by_name = {m.name: m for m in MODELS}
    assert right(by_name["claude-opus"]) > right(by_name["qwen-local"])


def test_nearness_of_meaning_counts_where_it_is_given() -> None:
    def near(text: str, others: Any) -> list[float]:
        return [float("birth" in other) for other in others]

    assert "It begins on the day of birth. [1]" in answers(BOTH, "When?", near=near)


def test_the_same_request_has_the_same_answer_and_unknown_models_the_practice_answer() -> None:
    assert asked(BOTH) == asked(BOTH)
    stranger = dataclasses.replace(MODELS[0], upstream="nobody")
    with pytest.raises(Exception, match="there is no simulated model 'nobody'"):
        asked(BOTH, model=stranger)


def test_a_reader_that_knows_answers_as_a_practice_model_where_it_is_given_nothing() -> None:
    assert "simulated" in asked("", knows=True)
    assert asked(BOTH, knows=True) == asked(BOTH)
