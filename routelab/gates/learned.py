"""The learned gate: the chance that an answer is right, predicted from what can be seen of it and of earlier answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routelab.core.errors import ConfigError
from routelab.core.ports import Judge
from routelab.core.values import Judgement, Prompt
from routelab.gates.seen import Looked, Seen
from routelab.judging import Ask
from routelab.scoring.matching import Match
from routelab.scoring.signs import NAMES, signs
from routelab.strategies.fitting.acceptance import chances
from routelab.strategies.fitting.learned import Learned


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """Gives the chance that the answer is right (`strategies.fitting.acceptance`); `match` says how answers are compared.

    `learned` is what a cascade's fit found; `digest` names it.
    """

    match: Match = "auto"
    learned: Learned | None = None
    digest: str = ""

    @property
    def asks(self) -> tuple[str, ...]:
        """No model."""
        return ()

    def judge(self, ask: Ask | None = None) -> Judge:
        """Return the gate for live answers; ConfigError before it was fitted."""
        self.known()
        return Looked(look=self)

    def known(self) -> Learned:
        """Return what was learned; ConfigError when nothing was."""
        if self.learned is None:
            raise ConfigError(
                "gate: learned, but not fitted yet", hint="fit it on outcomes that have texts: lab.replay does"
            )
        return self.learned

    def __call__(self, seen: Seen) -> Judgement:
        """Return the chance; an answer of a model that nothing was learned about is not judged."""
        learned = self.known()
        models = list(learned.about["models"])
        rung = models.index(seen.model) if seen.model in models else len(models)
        if rung >= len(learned["bias"]):
            return Judgement(quality=None, reason=f"nothing was learned about {seen.model}")
        said = dict(seen.answers[:-1])
        row = rows([seen.text], [seen.prompt], [[said.get(m) for m in models[:rung]]], self.match)
        chance = float(chances(learned, rung, row, [seen.prompt.task])[0])
        return Judgement(quality=chance, reason=f"{chance:.0%} likely to be right")


def rows(
    texts: Sequence[str | None], prompts: Sequence[Prompt], earlier: Sequence[Sequence[str | None]], match: Match
) -> NDArray[np.float64]:
    """Return the signs of answers, n × `scoring.signs.NAMES`, NaN for an answer without a text."""
    found = np.full((len(texts), len(NAMES)), np.nan)
    for i, (text, prompt, before) in enumerate(zip(texts, prompts, earlier, strict=True)):
        if text is not None:
            found[i] = signs(text, prompt, before, match)
    return found
