"""Choice: the answer names one option out of several, and it is the right one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from routelab.core.errors import ConfigError, suggest
from routelab.core.values import Prompt, Score
from routelab.scoring import demand, wording
from routelab.scoring.exact import shown

# Where an explanation begins, what was named before stands: "B, because A is too small". A stop right after a letter is
# part of the label: "B. Paris".
_EXPLANATION = re.compile(
    r"(?<=.{3})[.;]|\((?=[^()\s]+\s)|\b(?:because|since|as|rather than|instead of|not|although|while|whereas)\b"
)
# "Positive. Although …", "**Yes**, …": an option that is the whole first sentence.
_LEAD = re.compile(
    r"[*_`\"]{0,3}([^\W_][\w &/'-]{0,60}?)[*_`\"]{0,3}(?:[.!](?=\s|$)|(?: - |: )(?=\S)|(?<=yes),|(?<=no),)",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"\s+(?!(?:or|and|vs|is|isn't|was|because|fits|seems|would|nor|but)\b)[a-z]")
_LABEL = r"(?:option|choice|answer|label|category|class|letter)"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Gives 1 when the one option that the answer names is `answer`, else 0; naming several different options gives 0.

    What counts, in this order: what follows the last "Answer:", "the answer is" or ``\\boxed{`` (up to where an
    explanation begins); an option (not a letter) that is the first sentence; an option standing alone on the first
    or the last line, unless several lines do so; every option named anywhere. Options are matched as whole words
    without regard to case, the longest first ("not spam" is not "spam"), a hyphen, an underscore and a space being
    the same inside an option. Single letters must look like a label: "B", "(b)", "B.", "option B", "**B**", a
    capital letter on its own; "A" before a small letter is an article, "I" a pronoun.
    """

    answer: str
    options: tuple[str, ...]

    def __post_init__(self) -> None:
        options = demand.texts("options", self.options, at_least=2)
        object.__setattr__(self, "options", options)
        spelled = [_spelling(option) for option in options]
        if len(set(spelled)) < len(spelled):
            raise ConfigError("scorer.options: two options differ only by case, spaces, hyphens or underscores")
        if _spelling(demand.text("answer", self.answer)) not in spelled:
            near = suggest(self.answer, options)
            raise ConfigError(f"scorer.answer: {self.answer!r} is none of the options" + (f"; {near}" if near else ""))

    def __call__(self, answer: str, prompt: Prompt) -> Score:
        """Return 1 or 0 and the options that were named."""
        named = self.named(answer)
        if not named:
            return Score(quality=0.0, reason="no option is named")
        if len(named) > 1:
            return Score(quality=0.0, reason="several options are named: " + ", ".join(shown(n) for n in named[:5]))
        right = _spelling(named[0]) == _spelling(self.answer)
        return Score(quality=float(right), reason=f"names {shown(named[0])}")

    def named(self, answer: str) -> tuple[str, ...]:
        """Return the different options that the answer commits to, in the order of `options`."""
        # A dash between clauses separates words, a hyphen joins them; afterwards both are spelled the same.
        answer = re.sub("[–—―]", " - ", answer)
        committed = wording.commitment(answer)
        if committed:
            line = wording.first_line(committed)
            alone = self._alone(line)
            cut = _EXPLANATION.search(line.casefold())
            named = (
                (alone,) if alone else self._mentioned(line[: cut.start()] if cut else line) or self._mentioned(line)
            )
            if named:
                return named
        lines = [line for line in answer.splitlines() if line.strip()]
        if lines and (lead := _LEAD.match(wording.unified(lines[0]))) and len(lead[1]) > 1:
            alone = self._alone(lead[1])
            if alone:
                return (alone,)
        standing = dict.fromkeys(option for line in lines[:1] + lines[-1:] if (option := self._alone(line)))
        if len(standing) == 1 and all(self._alone(line) in (None, *standing) for line in lines):
            return tuple(standing)
        return self._mentioned(answer)

    def _alone(self, line: str) -> str | None:
        if len(line) > max(map(len, self.options)) + 60:
            return None
        spelled = {_spelling(option): option for option in self.options}
        for form in wording.forms(line):
            bare = re.sub(rf"^(?:(?:the )?{_LABEL}(?: is)?:? )", "", form)
            for candidate in (form, bare, bare.strip("()[]*_`'\". ")):
                if (option := spelled.get(_spelling(candidate))) is not None:
                    return option
        return None

    def _mentioned(self, text: str) -> tuple[str, ...]:
        letters = [option for option in self.options if len(option) == 1 and option.isalpha() and option.isascii()]
        found = set(_letters(text, letters)) if letters else set()
        hay = re.sub(r"[_\s]+", " ", wording.folded(text))
        taken = [False] * len(hay)
        for option in sorted(self.options, key=len, reverse=True):
            if option in letters:
                continue
            for spelled in {_spelling(option), wording.folded(option).replace("_", " ")}:
                for view in (hay, hay.replace("-", " ")) if " " in spelled else (hay,):
                    for at in wording.occurrences(spelled, view):
                        end = at + len(spelled)
                        joined = view[max(0, at - 2) : at].strip("- ") and view[at - 1 : at] == "-"
                        if not any(taken[at:end]) and not joined and hay[end : end + 1] != "-":
                            taken[at:end] = [True] * (end - at)
                            found.add(option)
        return tuple(option for option in self.options if option in found)


def _letters(text: str, letters: list[str]) -> Mapping[str, None]:
    # Marked letters ("(B)", "B)", "option b", "**B**") are labels for certain; only without any do bare capitals count.
    text = wording.unified(text)
    either = "".join(letters) + "".join(letters).swapcase()
    marked = re.compile(
        rf"\b(?i:{_LABEL})\s+[*_`(\[\"']{{0,3}}([{either}])(?!\w)|[(\[]([{either}])[)\]]|(?:\*\*|`|\")[(]?([{either}])[).:]?(?:\*\*|`|\")"
        rf"|(?:^|\n)[ \t]*([{either}])[).:](?=\s)|(?<![\w'])([{either.upper()}])\)",
    )
    capital = {letter.upper(): letter for letter in letters}
    hits = [next(filter(None, m.groups())) for m in marked.finditer(text)]
    if not hits:
        bare = re.compile(rf"(?<![\w'-])([{either.upper()}])(?![\w'+#-])")
        for m in bare.finditer(text):
            article = m[1] in "AI" and _ARTICLE.match(text, m.end())
            if not article:
                hits.append(m[1])
    return dict.fromkeys(capital[h.upper()] for h in hits if h.upper() in capital)


def _spelling(option: str) -> str:
    """Return an option with case, spaces, hyphens and underscores made equal."""
    return re.sub(r"[\s_-]+", " ", wording.unified(option).casefold()).strip() or option
