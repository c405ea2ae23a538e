"""One prompt, several answers: shown in columns. One prompt proves nothing, so no statistics stand below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from routelab.core.errors import DataError, suggest
from routelab.core.values import Prompt
from routelab.present import escape, framed, note, pre, safe, seconds, usd
from routelab.present.html import LEFT

if TYPE_CHECKING:
    import pandas as pd

    from routelab.answer import Answer

NOTE = "one prompt: a look, not a comparison; use --over DATA to compare"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Beside:
    """What several arms answered to the same prompt; `beside["arm"]` is one Answer."""

    prompt: Prompt
    answers: Mapping[str, Answer]

    def __getitem__(self, arm: str) -> Answer:
        if arm not in self.answers:
            near = suggest(arm, self.answers)
            raise DataError(
                f"no arm '{arm}'{'' if near is None else '; ' + near}", hint=f"arms: {', '.join(self.answers)}"
            )
        return self.answers[arm]

    def __iter__(self) -> Iterator[str]:
        return iter(self.answers)

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def frame(self) -> pd.DataFrame:
        """One row an arm: model, text, cost, latency, quality, why, error."""
        import pandas as pd

        rows = [
            {
                "arm": arm,
                "model": a.model,
                "text": a.text,
                "cost_usd": a.cost_usd,
                "latency_s": a.latency_s,
                "quality": a.quality,
                "why": a.why,
                "error": None if a.error is None else type(a.error).__name__,
            }
            for arm, a in self.answers.items()
        ]
        return pd.DataFrame(rows).astype({"cost_usd": float, "latency_s": float, "quality": float})

    def header(self) -> str:
        """Return one line: who answered, for how much."""
        return " | ".join(f"{arm}: {_facts(a)}" for arm, a in self.answers.items())

    def __repr__(self) -> str:
        return f"Beside({self.header()})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        text = "\n\n".join(f"── {arm} ── {_facts(a)}\n{safe(said(a))}" for arm, a in self.answers.items())
        names = "".join(f"<th {LEFT}>{escape(arm)}</th>" for arm in self.answers)
        facts = "".join(f"<td {LEFT}>{note(_facts(a))}</td>" for a in self.answers.values())
        texts = "".join(f"<td {LEFT}>{pre(said(a))}</td>" for a in self.answers.values())
        why = "".join(f"<td {LEFT}>{note('why: ' + a.why)}</td>" for a in self.answers.values())
        table = f"<table><thead><tr>{names}</tr></thead><tbody><tr>{facts}</tr><tr>{texts}</tr><tr>{why}</tr></tbody></table>"
        return {
            "text/plain": f"{text}\n\n{NOTE}",
            "text/html": framed(table + note(NOTE)),
        }


def said(answer: Answer) -> str:
    """Return the answer's text, or why there is none."""
    return answer.text if answer.error is None else f"✗ {type(answer.error).__name__}: {answer.error.message}"


def _facts(answer: Answer) -> str:
    parts = [
        (answer.model or "no answer") + (" (simulated)" if answer.simulated else ""),
        usd(answer.cost_usd),
        seconds(answer.latency_s),
    ]
    if answer.defaulted:
        parts.append("⚠ default")
    if answer.cached:
        parts.append("cache hit")
    if answer.quality is not None:
        parts.append(f"quality {answer.quality:.2f}")
    return " · ".join(parts)
