"""What every scorer promises, as tests: subclass `ScorerContract`, say how to make one, and give a right and a wrong answer."""

from __future__ import annotations

import copy
import math
import pickle
from concurrent.futures import ThreadPoolExecutor

from routelab.core.ports import Scorer
from routelab.core.values import Prompt

ANSWERS = (
    "",
    " \n\t ",
    "I do not know.",
    "\x00\x07\x1b[31mred",
    "\ud800 half a pair",
    "\N{RIGHT-TO-LEFT OVERRIDE}reversed\N{ZERO WIDTH JOINER}",
    "e" + "\N{COMBINING ACUTE ACCENT}" * 500,
    "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 100,
    "日本語の答え。",
    "x" * 20_000,
    "(" * 2_000 + ")" * 2_000,
    "[" * 20_000,
    '{"a":' * 20_000,
    "*" * 5_000 + "a",
    "9" * 5_000,
    "1e999",
    "NaN",
    "-inf",
    "Answer:",
    "Answer: Answer: Answer:",
    "\\boxed{",
    "```",
    "```python\n",
    "```json\n{}\n```\n```json\n[]\n```",
    '{"a": 1, "a": 2}',
    "{0} {name} %s %(x)s $y",
    "<script>alert(1)</script>",
    "'; drop table scores; --",
    "import sys; sys.exit(0)",
)
"""What models have said, or might: none of it may make a scorer raise."""


class ScorerContract:
    """The contract of `core.ports.Scorer`; pytest collects the subclass."""

    def scorer(self) -> Scorer:
        """Return the scorer under test."""
        raise NotImplementedError

    def right(self) -> str:
        """Return an answer that must score at least 0.99."""
        raise NotImplementedError

    def wrong(self) -> str:
        """Return a plausible answer that must score less than 0.5."""
        raise NotImplementedError

    def prompt(self) -> Prompt:
        """Return the prompt that was asked."""
        return Prompt.of("What is it? End with one line: Answer: <it>")

    def test_a_right_answer_scores_one(self) -> None:
        assert self.scorer()(self.right(), self.prompt()).quality >= 0.99

    def test_a_wrong_answer_scores_less_than_half(self) -> None:
        assert self.scorer()(self.wrong(), self.prompt()).quality < 0.5

    def test_a_blank_answer_scores_zero(self) -> None:
        assert self.scorer()("", self.prompt()).quality == 0
        assert self.scorer()(" \n", self.prompt()).quality == 0

    def test_whatever_a_model_says_gets_a_quality_from_zero_to_one(self) -> None:
        scorer = self.scorer()
        for answer in (*ANSWERS, self.right() * 50, self.right()[: len(self.right()) // 2]):
            quality = scorer(answer, self.prompt()).quality
            assert isinstance(quality, float)
            assert math.isfinite(quality)
            assert 0 <= quality <= 1

    def test_the_reason_is_one_short_line_that_can_be_stored(self) -> None:
        scorer = self.scorer()
        for answer in (*ANSWERS, self.right(), self.wrong()):
            reason = scorer(answer, self.prompt()).reason
            assert len(reason.splitlines()) <= 1
            assert len(reason) <= 400
            assert reason.encode("utf-8").decode("utf-8") == reason

    def test_the_same_answer_gets_the_same_score_on_every_thread(self) -> None:
        scorer = self.scorer()
        answers = [self.right(), self.wrong(), self.prompt().text]
        one_by_one = [scorer(answer, self.prompt()) for answer in answers]
        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(lambda answer: scorer(answer, self.prompt()), answers)) == one_by_one

    def test_it_can_be_sent_to_another_process(self) -> None:
        assert pickle.dumps(self.scorer())
        twin = copy.deepcopy(self.scorer())
        assert twin(self.right(), self.prompt()) == self.scorer()(self.right(), self.prompt())
