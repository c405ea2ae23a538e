"""Refusal: the answer is none, because the model would not or could not give one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from routelab.core.values import Prompt, Score
from routelab.scoring import wording
from routelab.scoring.exact import shown

_HEAD = 400
_REFUSES = re.compile(
    r"""
    \b(?:
      i(?:'m|\ am)?\ (?:really\ |very\ |so\ |truly\ )?(?:sorry|afraid|unable\ to|not\ able\ to)
    | i\ (?:can't|cannot|can\ not|won't|will\ not|could\ not|couldn't|must\ decline|have\ to\ decline)
      (?:\ (?:really|actually|in\ good\ conscience))?\ (?:help|assist|answer|provide|do|comply|fulfil|fulfill|discuss|support
        |create|write|generate|give|engage|continue|share|offer|determine|access|browse|open|see|view)
    | (?:as|being)\ an?\ (?:ai|large\ language)\b
    | i\ (?:do\ not|don't)\ (?:know|have\ (?:enough|access|sufficient|any\ information|the\ ability))
    | (?:not|isn't)\ (?:possible|able)\ to\ (?:answer|determine|say)
    | (?:there\ is|there's)\ (?:not\ enough|insufficient)\ information
    | (?:es\ tut\ mir\ leid|tut\ mir\ leid|ich\ kann\ (?:dir|ihnen|das|diese|dabei|leider)|ich\ wei(?:ß|ss)\ (?:es\ )?nicht)
    | (?:je\ suis\ désolée?|désolée?,|je\ ne\ peux\ pas|je\ ne\ sais\ pas)
    | (?:lo\ siento|no\ puedo\ (?:ayudar|responder|proporcionar)|no\ lo\ sé)
    | (?:mi\ dispiace|non\ posso\ (?:aiutar|rispondere|fornire)|non\ lo\ so)
    )
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Gives 0 when the answer refuses, apologises or says that it does not know where it begins or commits itself, else 1.

    English, German, French, Spanish and Italian phrases; an empty answer counts as a refusal, an empty list or object of JSON too.
    """

    def __call__(self, answer: str, prompt: Prompt) -> Score:
        """Return 1 or 0 and the words that refuse."""
        if not answer.strip():
            return Score(quality=0.0, reason="the answer is empty")
        said = refused(answer)
        return Score(quality=1.0) if said is None else Score(quality=0.0, reason=f"says {shown(said)}")


def refused(answer: str) -> str | None:
    """Return the words with which the answer refuses, or None.

    >>> refused("I'm sorry, but I can't help with that.")
    "i'm sorry"
    """
    if answer.strip() in ("[]", "{}", "null", "None", "N/A", "n/a"):
        return answer.strip()
    committed = wording.commitment(answer)
    for text in (answer.strip()[:_HEAD], "" if committed is None else committed[:_HEAD]):
        found = _REFUSES.search(wording.folded(text))
        if found is not None:
            return found[0]
    return None
