"""The kinds of judges that ask models: settings as frozen values, each with `asks` (whom) and `judge(ask)` (who then judges)."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Literal

from routelab.core.errors import ConfigError
from routelab.core.ports import Judge
from routelab.core.values import Message
from routelab.judging import asking, verdicts
from routelab.judging.ask import Ask, Planned, Question
from routelab.judging.hearing import Conduct, Hearing, Seat
from routelab.scoring.matching import MATCHES, Match, alike, form

Reference = Literal["none", "given", "own"]

RUBRIC = (
    "The answer does what was asked, and everything that can be checked in it is right. A wrong result, code that does not work, or a "
    "missing part that was asked for is worth at most the lower half. What is merely worded differently loses nothing."
)
PREFERRING = "The better answer does what was asked, and what can be checked in it is right. If both are equally right, or equally wrong, say tie."
_ORDERS = re.compile(r"\[(A|B|tie)\|(A|B|tie) against ([^\]]+)\]")
OUTPUT_TOKENS = 1024
"""Enough for a sentence and a verdict, and for some thinking of models that think before they answer."""


@dataclass(frozen=True, kw_only=True)
class Rubric:
    """A model gives the answer a score from `low` to `high` by a rubric, as JSON; quality is where that lies between the two.

    `reference` "given" shows the judge the prompt's own reference: good for measuring, refused in a gate, because live prompts have
    none. "own" lets the judge answer the prompt first and compare with that (Zheng et al., arXiv 2306.05685, for maths).
    """

    model: str
    rubric: str = RUBRIC
    low: int = 1
    high: int = 5
    reference: Reference = "none"
    template: str | None = None
    temperature: float | None = None
    max_output_tokens: int = OUTPUT_TOKENS

    def __post_init__(self) -> None:
        _named("model", self.model)
        _text("rubric", self.rubric)
        if not self.low < self.high:
            raise ValueError(f"high: must be above low ({self.low}), not {self.high}")
        if self.reference not in ("none", "given", "own"):
            raise ValueError(f"reference: must be none, given or own, not {self.reference!r}")
        _sampling(self.temperature, self.max_output_tokens)
        if self.template is not None:
            asking.checked(self.template)

    @property
    def asks(self) -> tuple[str, ...]:
        """The judging model."""
        return (self.model,)

    def judge(self, ask: Ask | None = None) -> Judge:
        """Return who judges live answers; ConfigError for `reference: given`, which only recorded prompts have."""
        if self.reference == "given":
            raise ConfigError(
                "gate.reference: 'given' shows the judge the right answer, which live prompts do not bring",
                hint="own (the judge answers first) or none; lab.judge measures with 'given'",
            )
        return _seated(self, self.model, ask)

    def calls(self, author: str) -> tuple[Planned, ...]:
        """Return the calls that judging an answer of the author will make."""
        verdict = Planned(model=self.model, output_tokens=self.max_output_tokens)
        own = Planned(model=self.model, shows=0, verdict=False)
        return (own, dataclasses.replace(verdict, shows=2)) if self.reference == "own" else (verdict,)

    async def conduct(self, hearing: Hearing) -> tuple[float | None, str]:
        """Return the score as a quality, and the judge's reason."""
        reference = hearing.prompt.reference if self.reference == "given" else None
        if self.reference == "own":
            [own] = await hearing.put(_answering(hearing, self.model, hearing.seed + 1))
            if own.text is None:
                return None, f"{self.model} could not answer the prompt itself: {own.error}"
            reference = own.text
        values = {
            "question": asking.fenced("question", asking.conversation(hearing.prompt)),
            "answer": asking.fenced("answer", hearing.answer),
            "reference": "" if reference is None else asking.fenced("reference", reference),
            "rubric": self.rubric,
            "low": self.low,
            "high": self.high,
            "form": asking.SCORE_FORM,
        }
        question = Question(
            model=self.model,
            messages=asking.asked(asking.filled(self.template or asking.SCORE, values)),
            about=hearing.prompt,
            wants="score",
            answers=(hearing.answer,),
            authors=(hearing.author,),
            low=self.low,
            high=self.high,
            temperature=self.temperature,
            max_output_tokens=self.max_output_tokens,
            seed=hearing.seed,
        )
        (said,), trouble = await hearing.read(
            [question], lambda text: verdicts.score(text, self.low, self.high), asking.SCORE_FORM
        )
        return (None, trouble) if said is None else (said.value, said.reason)


@dataclass(frozen=True, kw_only=True)
class Pairwise:
    """A model compares the answer with that of `against`, in both orders: 1 when it wins both, 0 when it loses both, else ½.

    Orders that disagree are a tie. Live, `against` is asked for its answer too, at its own cost.
    """

    model: str
    against: str
    rubric: str = PREFERRING
    temperature: float | None = None
    max_output_tokens: int = OUTPUT_TOKENS

    def __post_init__(self) -> None:
        _named("model", self.model)
        _named("against", self.against)
        _text("rubric", self.rubric)
        _sampling(self.temperature, self.max_output_tokens)

    @property
    def asks(self) -> tuple[str, ...]:
        """The judging model and the one to compare with."""
        return tuple(dict.fromkeys((self.model, self.against)))

    def judge(self, ask: Ask | None = None) -> Judge:
        """Return who judges live answers."""
        return _seated(self, self.model, ask)

    def calls(self, author: str) -> tuple[Planned, ...]:
        """Return the calls that judging an answer of the author will make; none for `against` itself."""
        if author == self.against:
            return ()
        rival = Planned(model=self.against, shows=0, verdict=False)
        return rival, Planned(model=self.model, times=2, shows=2, output_tokens=self.max_output_tokens)

    async def conduct(self, hearing: Hearing) -> tuple[float | None, str]:
        """Return 1, ½ or 0, and how the two orders went."""
        if hearing.author == self.against:
            return 0.5, f"is {self.against}'s own answer"
        [rival] = await hearing.put(_answering(hearing, self.against, hearing.seed + 1))
        if rival.text is None:
            return None, f"{self.against} gave no answer to compare with: {rival.error}"
        if rival.text == hearing.answer:
            return 0.5, f"says the same as {self.against}"
        orders = [
            self._question(hearing, (hearing.answer, rival.text), (hearing.author, self.against)),
            self._question(hearing, (rival.text, hearing.answer), (self.against, hearing.author)),
        ]
        said, trouble = await hearing.read(orders, verdicts.preference, asking.PREFERENCE_FORM)
        if said[0] is None or said[1] is None:
            return None, trouble
        first, second = said[0][0], said[1][0]
        told = f"[{first}|{second} against {self.against}]"
        if (first, second) == ("A", "B"):
            return 1.0, f"{told} better in both orders: {said[0][1]}"
        if (first, second) == ("B", "A"):
            return 0.0, f"{told} worse in both orders: {said[0][1]}"
        return 0.5, f"{told} a tie" + ("" if first == second == "tie" else ": the orders disagree")

    def _question(self, hearing: Hearing, answers: tuple[str, str], authors: tuple[str, str]) -> Question:
        values = {
            "question": asking.fenced("question", asking.conversation(hearing.prompt)),
            "answer": asking.fenced("answer A", answers[0]),
            "other": asking.fenced("answer B", answers[1]),
            "reference": "",
            "rubric": self.rubric,
            "form": asking.PREFERENCE_FORM,
        }
        return Question(
            model=self.model,
            messages=asking.asked(asking.filled(asking.PREFERENCE, values)),
            about=hearing.prompt,
            wants="preference",
            answers=answers,
            authors=authors,
            temperature=self.temperature,
            max_output_tokens=self.max_output_tokens,
            seed=hearing.seed,
        )


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """Asks the answering model again, until it answered `samples` times, and gives the share that says what the answer says.

    Wang et al. 2022 (arXiv 2203.11171). Sameness is `scoring.matching`'s: numbers, choices, calls, JSON and short texts; of long
    prose nothing can be said, and then there is no judgement. The further samples are drawn at `temperature`.
    """

    samples: int = 3
    temperature: float = 0.7
    match: Match = "auto"
    max_output_tokens: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.samples, bool) or not 2 <= self.samples <= 32:
            raise ValueError(f"samples: must be 2 to 32, the answer itself included, not {self.samples!r}")
        if self.match not in MATCHES:
            raise ValueError(f"match: must be one of {', '.join(MATCHES)}, not {self.match!r}")
        _sampling(self.temperature, self.max_output_tokens)

    @property
    def asks(self) -> tuple[str, ...]:
        """No model but the one that answered."""
        return ()

    def judge(self, ask: Ask | None = None) -> Judge:
        """Return who judges live answers."""
        return _seated(self, "", ask)

    def calls(self, author: str) -> tuple[Planned, ...]:
        """Return the calls that judging an answer of the author will make."""
        return (
            Planned(model=author, times=self.samples - 1, shows=0, output_tokens=self.max_output_tokens, verdict=False),
        )

    async def conduct(self, hearing: Hearing) -> tuple[float | None, str]:
        """Return the share of samples, the answer included, that say what it says."""
        if form(hearing.answer, hearing.prompt, self.match) is None:
            return None, "says nothing that another sample could be compared with"
        questions = [
            _answering(
                hearing,
                hearing.author,
                # Far from the seeds that retries use, so that no sample repeats another one's.
                hearing.seed + 1000 * (i + 1),
                temperature=self.temperature,
                max_output_tokens=self.max_output_tokens,
                again=True,
            )
            for i in range(self.samples - 1)
        ]
        heard = await hearing.put(*questions)
        texts = [h.text for h in heard if h.text is not None]
        if not texts:
            return None, f"{hearing.author} could not be asked again: {heard[0].error}"
        classes = alike([hearing.answer, *texts], hearing.prompt, self.match)
        # A sample that failed agrees with nothing: the share is of all that were wanted.
        same = sum(c == classes[0] for c in classes)
        failed = len(heard) - len(texts)
        return same / self.samples, f"{same} of {self.samples} samples agree" + (f", {failed} failed" if failed else "")


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """Asks how likely the answer is to be right, in per cent: the model that answered, or `model`.

    Verbalised confidence runs high (Xiong et al. 2023, arXiv 2306.13063): choose the bar on data.
    """

    model: str | None = None
    temperature: float | None = None
    max_output_tokens: int = OUTPUT_TOKENS

    def __post_init__(self) -> None:
        if self.model is not None:
            _named("model", self.model)
        _sampling(self.temperature, self.max_output_tokens)

    @property
    def asks(self) -> tuple[str, ...]:
        """The judging model, or none but the one that answered."""
        return () if self.model is None else (self.model,)

    def judge(self, ask: Ask | None = None) -> Judge:
        """Return who judges live answers."""
        return _seated(self, self.model or "", ask)

    def calls(self, author: str) -> tuple[Planned, ...]:
        """Return the calls that judging an answer of the author will make."""
        return (Planned(model=self.model or author, output_tokens=self.max_output_tokens),)

    async def conduct(self, hearing: Hearing) -> tuple[float | None, str]:
        """Return the stated confidence as a share."""
        if self.model is None or self.model == hearing.author:
            text = asking.filled(asking.OWN_CONFIDENCE, {"form": asking.CONFIDENCE_FORM})
            messages = (
                *hearing.messages,
                Message(role="assistant", content=hearing.answer),
                Message(role="user", content=text),
            )
        else:
            values = {
                "question": asking.fenced("question", asking.conversation(hearing.prompt)),
                "answer": asking.fenced("answer", hearing.answer),
                "form": asking.CONFIDENCE_FORM,
            }
            messages = asking.asked(asking.filled(asking.CONFIDENCE, values))
        question = Question(
            model=self.model or hearing.author,
            messages=messages,
            about=hearing.prompt,
            wants="confidence",
            answers=(hearing.answer,),
            authors=(hearing.author,),
            low=0,
            high=100,
            temperature=self.temperature,
            max_output_tokens=self.max_output_tokens,
            seed=hearing.seed,
        )
        (said,), trouble = await hearing.read([question], verdicts.confidence, asking.CONFIDENCE_FORM)
        return (None, trouble) if said is None else (said.value, said.reason or "stated")


@dataclass(frozen=True, kw_only=True)
class Orders:
    """How a pairwise judgement went: who won as the answers came (the judged one is A), who won swapped (it is B), and against whom."""

    first: verdicts.Preferred
    swapped: verdicts.Preferred
    against: str


def orders(reason: str) -> Orders | None:
    """Return what the reason of a pairwise judgement says of its two orders, None for any other reason.

    >>> orders("[A|tie against gpt-5] a tie: the orders disagree")
    Orders(first='A', swapped='tie', against='gpt-5')
    """
    match = _ORDERS.match(reason)
    if match is None:
        return None
    return Orders(first=_preferred(match[1]), swapped=_preferred(match[2]), against=match[3])


def _preferred(word: str) -> verdicts.Preferred:
    return "tie" if word == "tie" else "A" if word == "A" else "B"


def _answering(
    hearing: Hearing,
    model: str,
    seed: int,
    *,
    temperature: float | None = None,
    max_output_tokens: int | None = None,
    again: bool = False,
) -> Question:
    return Question(
        model=model,
        messages=hearing.messages,
        about=hearing.prompt,
        wants="answer",
        temperature=temperature,
        max_output_tokens=max_output_tokens,
        seed=seed,
        again=again,
    )


def _seated(kind: Conduct, name: str, ask: Ask | None) -> Judge:
    if ask is None:
        raise ConfigError(
            "gate: this judge asks a model, and nobody here can be asked", hint="judge live, or record with lab.judge"
        )
    return Seat(kind=kind, ask=ask, name=name)


def _named(field: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{field}: must be a model's name, not {value!r}")


def _text(field: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{field}: must be a text, not {value!r}")


def _sampling(temperature: float | None, max_output_tokens: int | None) -> None:
    if temperature is not None and not (math.isfinite(temperature) and 0 <= temperature <= 2):
        raise ValueError(f"temperature: must lie between 0 and 2, not {temperature}")
    if max_output_tokens is not None and max_output_tokens < 1:
        raise ValueError(f"max_output_tokens: must be at least 1, not {max_output_tokens}")
