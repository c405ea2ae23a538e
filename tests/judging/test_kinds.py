"""Each kind of judge with a scripted model: what it asks, how it reads, what it costs, and when it has failed."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from routelab.core.errors import ConfigError
from routelab.core.events import Answered, Routed, Scored
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Judgement, Message, Prompt, Tokens
from routelab.judging import Confidence, Consistency, Heard, Pairwise, Planned, Question, Rubric
from routelab.judging.kinds import Orders, orders
from routelab.testing import VirtualClock

PROMPT = Prompt(
    id="p",
    messages=(Message(role="user", content="What is 2 + 2?"),),
    reference="4",
    scorer={"kind": "number", "answer": 4},
)


@dataclasses.dataclass
class Model:
    """Answers questions with a function, at one cent and one second each, and keeps them."""

    reply: Callable[[Question], str | None]
    asked: list[Question] = dataclasses.field(default_factory=list)

    async def __call__(self, question: Question, world: World) -> Heard:
        assert world.emit is None, "a judge's words are nobody's answer"
        self.asked.append(question)
        await asyncio.sleep(0)
        text = self.reply(question)
        return Heard(
            text=text,
            error="" if text is not None else "TimedOut: late",
            tokens=Tokens(input=100, output=10, source="usage"),
            cost_usd=0.01,
            latency_s=1.0 + 0.5 * (len(self.asked) - 1),
        )


def run(text: str = "4", model: str = "small", prompt: Prompt = PROMPT) -> Run:
    return Run(
        id="r",
        prompt=prompt,
        started_at=datetime(2026, 1, 1),
        seed=7,
        events=(
            Routed(strategy="cascade", order=(model, "large"), reason="r"),
            Answered(model=model, served_model=model, provider="t", text=text),
        ),
    )


def judged(kind: Any, reply: Callable[[Question], str | None] | str, **about: Any) -> tuple[Judgement, list[Question]]:
    model = Model(reply if callable(reply) else lambda _: reply)
    found = asyncio.run(kind.judge(model)(run(**about), World(clock=VirtualClock(), emit=print)))
    return found, model.asked


def test_a_rubric_judge_gives_a_score_a_reason_a_cost_and_a_wait() -> None:
    found, asked = judged(Rubric(model="judge", rubric="be strict"), '{"reason": "a slip", "score": 4}')
    assert found == Judgement(
        quality=0.75,
        reason="a slip",
        judge="judge",
        tokens=Tokens(input=100, output=10, source="usage"),
        cost_usd=0.01,
        latency_s=1.0,
    )
    [question] = asked
    assert (question.model, question.wants, question.answers, question.authors, question.seed) == (
        "judge",
        "score",
        ("4",),
        ("small",),
        7,
    )
    text = question.messages[-1].content
    assert "be strict" in text
    assert "known to be right" not in text
    assert "never an instruction" in question.messages[0].content


def test_a_reply_that_cannot_be_read_is_asked_for_once_more_and_then_the_judge_has_failed() -> None:
    replies = iter(["Looks fine to me!", '{"score": 5}'])
    found, asked = judged(Rubric(model="judge"), lambda _: next(replies))
    assert (found.quality, found.cost_usd, found.latency_s) == (1.0, 0.02, 2.5)
    assert found.tokens == Tokens(input=200, output=20, source="usage")
    assert [m.role for m in asked[1].messages] == ["system", "user", "assistant", "user"]
    assert asked[1].seed != asked[0].seed
    found, asked = judged(Rubric(model="judge"), "Looks fine to me!")
    assert (found.quality, len(asked), found.cost_usd) == (None, 2, 0.02)
    assert "could not be read" in found.reason


def test_a_model_that_gives_no_answer_is_a_judge_that_failed_and_is_not_reminded() -> None:
    found, asked = judged(Rubric(model="judge"), lambda _: None)
    assert (found.quality, found.reason, len(asked)) == (None, "TimedOut: late", 1)


def test_a_gate_may_not_show_its_judge_the_right_answer() -> None:
    with pytest.raises(ConfigError, match=r"gate\.reference: 'given'"):
        Rubric(model="judge", reference="given").judge(Model(lambda _: ""))


def test_a_judge_that_answers_first_compares_with_its_own_answer() -> None:
    def reply(question: Question) -> str:
        return "It is four." if question.wants == "answer" else '{"score": 5}'

    found, asked = judged(Rubric(model="judge", reference="own"), reply)
    assert [q.wants for q in asked] == ["answer", "score"]
    assert asked[0].messages == PROMPT.messages
    assert "It is four." in asked[1].messages[-1].content
    assert (found.quality, found.cost_usd, found.latency_s) == (1.0, 0.02, 2.5)
    failed, _ = judged(Rubric(model="judge", reference="own"), lambda q: None if q.wants == "answer" else '{"score":5}')
    assert failed.quality is None


def prefers(rule: Callable[[tuple[str, ...]], str]) -> Callable[[Question], str]:
    return lambda q: "rival" if q.wants == "answer" else f'{{"reason": "r", "winner": "{rule(q.answers)}"}}'


@pytest.mark.parametrize(
    ("rule", "quality", "told"),
    [
        (lambda a: "A" if a[0] == "4" else "B", 1.0, Orders(first="A", swapped="B", against="large")),
        (lambda a: "B" if a[0] == "4" else "A", 0.0, Orders(first="B", swapped="A", against="large")),
        (lambda a: "A", 0.5, Orders(first="A", swapped="A", against="large")),
        (lambda a: "B", 0.5, Orders(first="B", swapped="B", against="large")),
        (lambda a: "tie", 0.5, Orders(first="tie", swapped="tie", against="large")),
        (lambda a: "A" if a[0] == "4" else "tie", 0.5, Orders(first="A", swapped="tie", against="large")),
    ],
)
def test_a_pair_is_judged_in_both_orders_and_disagreement_is_a_tie(
    rule: Callable[[tuple[str, ...]], str], quality: float, told: Orders
) -> None:
    found, asked = judged(Pairwise(model="judge", against="large"), prefers(rule))
    assert found.quality == quality
    assert orders(found.reason) == told
    assert [q.answers for q in asked] == [(), ("4", "rival"), ("rival", "4")]
    assert found.cost_usd == pytest.approx(0.03)
    assert found.latency_s == pytest.approx(1.0 + 2.0)  # both orders at once: the longer of the two


def test_equal_answers_and_ones_own_are_a_tie_without_asking() -> None:
    found, asked = judged(Pairwise(model="judge", against="large"), "4")
    assert (found.quality, [q.wants for q in asked]) == (0.5, ["answer"])
    found, asked = judged(Pairwise(model="judge", against="small"), "4")
    assert (found.quality, asked, found.cost_usd, found.latency_s) == (0.5, [], 0.0, 0.0)


def test_a_pair_with_one_unreadable_order_has_no_verdict() -> None:
    def reply(question: Question) -> str:
        if question.wants == "answer":
            return "rival"
        return '{"winner": "A"}' if question.answers[0] == "4" else "hm"

    found, asked = judged(Pairwise(model="judge", against="large"), reply)
    assert found.quality is None
    assert len(asked) == 4  # the rival, both orders, and the unreadable one again


def test_consistency_is_the_share_of_samples_that_say_the_same() -> None:
    replies = iter(["**Answer:** 4.0", "5", "I think it is\n\n#### 4"])
    found, asked = judged(Consistency(samples=4), lambda _: next(replies))
    assert (found.quality, found.reason, found.judge) == (0.75, "3 of 4 samples agree", "small")
    assert [q.again for q in asked] == [True, True, True]
    assert len({q.seed for q in asked}) == 3
    assert {(q.model, q.temperature) for q in asked} == {("small", 0.7)}
    assert found.latency_s == 2.0


def test_a_sample_that_failed_agrees_with_nothing() -> None:
    replies = iter(["4", None])
    found, _ = judged(Consistency(samples=3), lambda _: next(replies))
    assert (found.quality, found.reason) == (pytest.approx(2 / 3), "2 of 3 samples agree, 1 failed")
    assert judged(Consistency(samples=3), lambda _: None)[0].quality is None
    prose, asked = judged(Consistency(), "4", text="a very long story " * 20)
    assert (prose.quality, asked) == (None, [])


def test_confidence_is_asked_of_the_answering_model_as_a_next_turn_or_of_another_one_with_a_fence() -> None:
    found, asked = judged(Confidence(), '{"confidence": 80}')
    assert (found.quality, found.judge) == (0.8, "small")
    assert [m.role for m in asked[0].messages] == ["user", "assistant", "user"]
    found, asked = judged(Confidence(model="judge"), '{"confidence": 80}')
    assert (found.quality, found.judge) == (0.8, "judge")
    assert "<<begin answer" in asked[0].messages[-1].content


@pytest.mark.parametrize(
    "made",
    [
        lambda: Rubric(model=""),
        lambda: Rubric(model="m", rubric=" "),
        lambda: Rubric(model="m", low=5, high=5),
        lambda: Rubric(model="m", reference="mine"),  # type: ignore[arg-type]
        lambda: Rubric(model="m", temperature=3.0),
        lambda: Rubric(model="m", max_output_tokens=0),
        lambda: Pairwise(model="m", against=""),
        lambda: Consistency(samples=1),
        lambda: Consistency(match="vibes"),  # type: ignore[arg-type]
        lambda: Confidence(model=""),
    ],
)
def test_settings_that_cannot_be_are_refused(made: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=r"^\w+: "):
        made()


def test_a_judge_that_nobody_can_ask_is_refused() -> None:
    with pytest.raises(ConfigError, match="nobody here can be asked"):
        Rubric(model="m").judge(None)


def test_the_calls_that_are_planned_are_those_that_are_made() -> None:
    def reply(question: Question) -> str:
        return {"score": '{"score": 5}', "preference": '{"winner": "A"}', "confidence": '{"confidence": 9}'}.get(
            question.wants, "12"
        )

    for kind in (
        Rubric(model="judge"),
        Rubric(model="judge", reference="own"),
        Pairwise(model="judge", against="large"),
        Consistency(samples=5),
        Confidence(),
        Confidence(model="judge"),
    ):
        planned: tuple[Planned, ...] = kind.calls("small")
        _, asked = judged(kind, reply)
        expected = [p.model for p in planned for _ in range(p.times)]
        assert [q.model for q in asked] == expected
        assert [len(q.answers) for q in asked if q.wants == "preference"] in ([], [2, 2])


def test_what_was_spent_before_the_caller_stopped_waiting_is_witnessed() -> None:
    seen: list[Run] = []

    async def play() -> None:
        first = asyncio.Event()

        async def slow(question: Question, world: World) -> Heard:
            if question.wants == "answer":
                first.set()
                return Heard(text="rival", cost_usd=0.25, latency_s=1.0)
            await asyncio.sleep(60)
            raise AssertionError

        seat = Pairwise(model="judge", against="large").judge(slow)
        task = asyncio.ensure_future(seat(run(), World(clock=VirtualClock(), witness=seen.append)))
        await first.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(play())
    [stopped] = seen
    event = stopped.events[-1]
    assert isinstance(event, Scored)
    assert (event.cost_usd, event.quality, event.judge, event.accepted) == (0.25, None, "judge", False)
    assert stopped.cost_usd is None  # the answer's own cost was not known here
