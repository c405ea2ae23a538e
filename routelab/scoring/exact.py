"""Exact: the answer is one of the accepted ones."""

from __future__ import annotations

from dataclasses import dataclass

from routelab.core.values import Prompt, Score
from routelab.scoring import demand, wording


@dataclass(frozen=True, kw_only=True)
class Exact:
    """Gives 1 when the answer equals one of `answers`, else 0.

    Case, white space, surrounding punctuation, quotes, brackets and Markdown or LaTeX marks are ignored, and so is the
    way a character is encoded (NFKC, straight or curly quotes, any dash). What is compared is the whole answer or what
    follows its last "Answer:", "the answer is" or ``\\boxed{``: up to the end, or the first line of it.
    """

    answers: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "answers", demand.texts("answers", self.answers))

    def __call__(self, answer: str, prompt: Prompt) -> Score:
        """Return 1 or 0 and which accepted answer was met."""
        committed = wording.commitment(answer)
        given = {*wording.forms(answer)}
        if committed is not None:
            given.update(wording.forms(committed), wording.forms(wording.first_line(committed)))
        for wanted in self.answers:
            if given & accepted(wanted):
                return Score(quality=1.0, reason=f"equals {shown(wanted)}")
        said = wording.first_line(committed or answer)
        return Score(
            quality=0.0, reason=f"{shown(said)} is none of the accepted answers" if said else "the answer is empty"
        )


def accepted(wanted: str) -> frozenset[str]:
    """Return the spellings that an accepted answer itself allows: as written, and without final stop or quotes.

    An answer may be decorated freely, but what is wanted keeps its marks: "init" is not "__init__", "C" is not "C++".
    """
    plain = " ".join(wording.unified(wanted).casefold().split())
    return frozenset(filter(None, (plain, plain.rstrip(".,;:!?。 "), plain.strip("\"'"))))


def shown(text: str, limit: int = 60) -> str:
    """Return the text in quotes, on one line, cut to `limit` characters."""
    line = " ".join(text.split()).encode("utf-8", "replace").decode("utf-8")
    line = "".join(c if c.isprintable() else "�" for c in line)
    return f"“{line if len(line) <= limit else line[: limit - 1] + '…'}”"
