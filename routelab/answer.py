"""What a person gets back for one prompt: the answer, and everything that led to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from routelab.core import errors
from routelab.core.errors import BudgetExceeded, ProviderError, RoutelabError, RunFailed
from routelab.core.events import (
    Answered,
    Compacted,
    Event,
    Missed,
    Recalled,
    Remembered,
    Retrieved,
    Routed,
    Scored,
    Unanswered,
    payload,
)
from routelab.core.run import Run
from routelab.core.values import Tokens
from routelab.present import Table, framed, note, pre, safe, seconds, tokens, usd


@dataclass(frozen=True, eq=False, repr=False)
class Answer:
    """One run, seen by its asker. `str(answer)` is the text; costs are USD and None when a price is not known."""

    run: Run

    @property
    def id(self) -> str:
        """The run's id, as in the log."""
        return self.run.id

    @property
    def text(self) -> str:
        """The answer, or the empty string when there is none (see `error`)."""
        return self.run.text or ""

    @property
    def model(self) -> str | None:
        """The model whose answer this is."""
        if self.run.recalled is not None:
            return self.run.recalled.model
        return None if self.run.answered is None else self.run.answered.model

    @property
    def served_model(self) -> str | None:
        """The model that the provider says it used; not always the one that was asked for."""
        return None if self.run.answered is None else self.run.answered.served_model

    @property
    def swapped(self) -> bool:
        """Whether the provider says that another model answered than the one asked for; a dated version of it is the same."""
        answered = self.run.answered
        if answered is None or self.cached or answered.simulated or not answered.upstream:
            return False
        return not answered.served_model.removeprefix("models/").startswith(answered.upstream.removeprefix("models/"))

    @property
    def cost_usd(self) -> float | None:
        """What every attempt and judge of the run cost."""
        return self.run.cost_usd

    @property
    def latency_s(self) -> float | None:
        """Seconds until the accepted answer was whole, waits and failed attempts included."""
        return self.run.latency_s

    @property
    def tokens(self) -> Tokens:
        """Tokens of the accepted answer's call."""
        return Tokens() if self.run.answered is None else self.run.answered.tokens

    @property
    def cached(self) -> bool:
        """Whether a cache had the answer."""
        return self.run.recalled is not None

    @property
    def quality(self) -> float | None:
        """The score from 0 to 1, or None when nothing scored it."""
        return self.run.quality

    @property
    def simulated(self) -> bool:
        """Whether a practice model answered, now or when the cached answer was first given."""
        recalled = self.run.recalled
        return any(e.simulated for e in self.run.attempts) or (recalled is not None and recalled.simulated is True)

    @property
    def why(self) -> str:
        """Why this model: the strategy's reason, then what happened on the way."""
        if self.run.recalled is not None:
            return self._recalled(self.run.recalled)
        routed = self.run.routed
        reason = routed.reason if routed is not None else "no decision was made"
        passed = [f"{e.model}: {e.error}" for e in self.run.attempts if isinstance(e, Unanswered)]
        said = [f"after {', '.join(passed)}"] if passed else []
        ruled = [_ruled(e) for e in self.run.events if isinstance(e, Scored) and e.accepted is not None]
        troubles = [e.error for e in self.run.events if isinstance(e, Compacted) and e.error]
        return "; ".join([reason, *troubles, *said, *ruled])

    def _recalled(self, hit: Recalled) -> str:
        like = f": {hit.similarity:.3f} like {quoted(hit.like)}" if hit.like else ""
        old = "" if hit.age_s is None else f", {age(hit.age_s)}"
        stale = ", stale: a fresh answer is being asked for" if hit.stale else ""
        ruled = [_ruled(e) for e in self.run.events if isinstance(e, Scored) and e.accepted is not None]
        return "; ".join([f"{hit.cache} cache hit{like}{old}{stale}", *ruled])

    @property
    def escalations(self) -> int:
        """How often a gate refused an answer and another model was asked."""
        return self.run.refusals

    @property
    def judging_usd(self) -> float | None:
        """What the gate's judges cost, a part of `cost_usd`; None when that is not known."""
        spent = [e.cost_usd for e in self.run.events if isinstance(e, Scored) and e.accepted is not None]
        return None if any(usd is None for usd in spent) else sum(usd for usd in spent if usd is not None)

    @property
    def measuring_usd(self) -> float | None:
        """What judges cost that measured the answer, no part of `cost_usd`; None when that is not known."""
        return self.run.measuring_usd

    @property
    def stopped(self) -> BudgetExceeded | None:
        """That the budget ended before there was an answer, or before a judge could measure it; else None."""
        error = self.error
        if isinstance(error, BudgetExceeded):
            return error
        last = self.run.events[-1] if self.run.events else None
        if not isinstance(last, Scored) or last.accepted is not None or last.quality is not None:
            return None
        _, mark, said = last.reason.partition("BudgetExceeded: ")
        return BudgetExceeded(said, hint="raise the budget, or measure fewer answers") if mark else None

    @property
    def defaulted(self) -> bool:
        """Whether the strategy could not decide, so that the config's first model was asked; `why` says why."""
        return self.run.routed is not None and self.run.routed.error is not None

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything that happened, in order."""
        return self.run.events

    @property
    def error(self) -> RoutelabError | None:
        """Why there is no answer, as the error that `route` raises; None when there is one."""
        if self.run.text is not None:
            return None
        if self.run.failed is not None:
            return _revived(self.run.failed.error, self.run.failed.message)
        if self.run.blocked is not None:
            return RunFailed(f"blocked by {self.run.blocked.guard}: {self.run.blocked.reason}")
        last = self.run.attempts[-1] if self.run.attempts else None
        if isinstance(last, Unanswered):
            return _revived(last.error, self._exhausted(last))
        return RunFailed("the run ended without an answer")

    def _exhausted(self, last: Unanswered) -> str:
        count = len(self.run.attempts)
        asked = ", ".join(dict.fromkeys(e.model for e in self.run.attempts))
        tried = f" (after {count} attempts at {asked})" if count > 1 else ""
        head, _, hint = last.message.partition("\n  hint: ")
        return f"{head}{tried}" + (f"\n  hint: {hint}" if hint else "")

    def trace(self) -> Table:
        """Return the run's events as a table, one row an event."""
        rows = [[f"{e.at_s:.3f} s", type(e).__name__, _told(e)] for e in self.run.events]
        return Table(head=("at", "event", "what"), rows=rows, numbers=frozenset((0,)), caption=f"run {self.run.id}")

    def header(self) -> str:
        """Return the one line that says who answered, for how much, how fast, and why."""
        name = f"{self.run.arm} → " if self.run.arm else ""
        parts = [name + (self.model or "no answer") + (" (simulated)" if self.simulated else "")]
        if self.swapped:
            parts[0] += f" SERVED BY {self.served_model}"
        if self.defaulted:
            parts.append("⚠ default")
        judging = self.judging_usd
        judged = "" if judging == 0 else f" (judging {usd(judging)})"
        parts += [usd(self.cost_usd) + judged, seconds(self.latency_s)]
        # A cached answer used no tokens; that is known, and "? + ?" would say otherwise.
        parts.append("cache hit" if self.cached and self.run.answered is None else self._counted())
        if self.quality is not None:
            measuring = self.measuring_usd
            parts.append(f"quality {self.quality:.2f}" + ("" if measuring == 0 else f" (measuring {usd(measuring)})"))
        return " · ".join([*parts, f"why: {self.why}"])

    def _counted(self) -> str:
        guess = self.tokens.source not in ("usage", "recorded")
        return f"{tokens(self.tokens.input, estimated=guess)} + {tokens(self.tokens.output, estimated=guess)} tok"

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return safe(self.header())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        said = self.text if self.error is None else f"{type(self.error).__name__}: {self.error}"
        return {
            "text/plain": f"{safe(self.header())}\n\n{safe(said)}",
            "text/html": framed(note(self.header()) + pre(said)),
        }


def _revived(name: str, message: str) -> RoutelabError:
    cls = getattr(errors, name, RunFailed)
    text, _, hint = message.partition("\n  hint: ")
    known = isinstance(cls, type) and issubclass(cls, RoutelabError)
    kind: type[RoutelabError] = cls if known else ProviderError
    return kind(text, hint=hint or None)


def _missed(event: Missed) -> str:
    """Return why a cache had no answer, and how near it came."""
    near = "" if event.nearest is None else f"; the nearest is {event.nearest:.3f} like {quoted(event.like)}"
    objected = f", but the guard objects ({event.objection})" if event.objection else ""
    return f"{event.cache}: {event.why or 'not known'}{near}{objected}"


def quoted(text: str, longest: int = 60) -> str:
    """Return a text in quotes, on one line, cut where it is longer."""
    line = " ".join(text.split())
    return f"'{line if len(line) <= longest else line[: longest - 1] + '…'}'"


def age(age_s: float) -> str:
    """Return an age in words.

    >>> age(0.4), age(200), age(5400), age(200_000)
    ('just now', '3 min old', '1.5 h old', '2.3 days old')
    """
    if age_s < 1:
        return "just now"
    if age_s < 60:
        return f"{age_s:.0f} s old"
    if age_s < 3600:
        return f"{age_s / 60:.0f} min old"
    return f"{age_s / 3600:.1f} h old" if age_s < 86_400 else f"{age_s / 86_400:.1f} days old"


def _ruled(event: Scored, longest: int = 60) -> str:
    """Return what a gate made of an answer, and whose answer stands where that is an earlier one."""
    # A gate with settings is logged with their digest, which tells a reader nothing.
    name = re.sub(r"-[0-9a-f]{8}$", "", event.scorer)
    quality = "could not say" if event.quality is None else f"{event.quality:.2f} of {event.at_least or 0:g}"
    reason = f": {event.reason[:longest]}" if event.reason else ""
    if event.accepted and event.answered_by is not None:
        return f"answer of {event.answered_by}, with whom {event.model} agrees ({name} {quality}{reason})"
    return f"{event.model} {'accepted' if event.accepted else 'not accepted'} ({name} {quality}{reason})"


def _told(event: Event) -> str:
    if isinstance(event, Routed):
        return f"{' → '.join(event.order)} because {event.reason}"
    if isinstance(event, Answered):
        return f"{event.model} ({event.served_model}): {usd(event.cost_usd)}, {seconds(event.latency_s)}, {event.finish}: {event.text[:80]}"
    if isinstance(event, Unanswered):
        again = "asked again" if event.retry else "passed over"
        return f"{event.model}: {event.error}, {again}: {event.message[:120]}"
    if isinstance(event, Scored):
        quality = "?" if event.quality is None else f"{event.quality:.2f}"
        by = f" by {event.judge} for {usd(event.cost_usd)}, {seconds(event.latency_s)}" if event.judge else ""
        if event.accepted is None:
            return f"{event.scorer}: {quality} {event.reason[:100]}{by}"
        return f"{_ruled(event, 100)}{by}"
    if isinstance(event, Recalled):
        like = f", like {quoted(event.like)}" if event.like else ""
        old = "" if event.age_s is None else f", {age(event.age_s)}"
        stale = ", stale" if event.stale else ""
        return f"{event.cache}: answer of {event.model}, similarity {event.similarity:.3f}{like}{old}{stale}"
    if isinstance(event, Missed):
        return _missed(event)
    if isinstance(event, Remembered):
        wrong = "; the nearest entry's answer is another one" if event.learned is False else ""
        return f"{event.cache}: " + (
            f"not kept: {event.refused}" if event.refused else f"kept for the next time{wrong}"
        )
    if isinstance(event, Compacted):
        return rewritten(event)
    if isinstance(event, Retrieved):
        return found(event)
    return ", ".join(f"{k}={str(v)[:60]}" for k, v in payload(event).items())


def rewritten(event: Compacted) -> str:
    """Return in a few words what was done to the messages.

    >>> rewritten(Compacted(policy="window", messages=(), tokens_before=900, tokens_after=400, dropped=(0, 1, 2)))
    'window: 900 → 400 tokens, 3 messages left out'
    """
    parts = []
    if event.tokens_before is not None and event.tokens_after is not None:
        parts.append(f"{event.tokens_before:,} → {event.tokens_after:,} tokens")
    if event.examples:
        parts.append(_many(len(event.examples), "example"))
    if event.summarised:
        parts.append(f"{_many(len(event.summarised), 'message')} summarised")
    if event.summarisers:
        parts.append(f"by {', '.join(dict.fromkeys(event.summarisers))} for {usd(event.cost_usd)}")
    if event.dropped:
        parts.append(f"{_many(len(event.dropped), 'message')} left out")
    if event.error:
        parts.append(event.error)
    name = event.template or event.policy
    return f"{name}: {', '.join(parts)}" if parts else name


def found(event: Retrieved) -> str:
    """Return in a few words which passages were put in front of the question."""
    if not event.chunks:
        return f"{event.corpus}: nothing was found"
    scored = zip(event.chunks, event.scores, strict=False) if event.scores else ((c, None) for c in event.chunks)
    names = [chunk if score is None else f"{chunk} ({score:.3f})" for chunk, score in scored]
    size = "" if event.tokens is None else f" in {event.tokens:,} tokens"
    more = f"; {event.left_out} did not fit" if event.left_out else ""
    return f"{event.corpus}: {_many(len(event.chunks), 'passage')}{size}: {', '.join(names[:5])}{more}"


def _many(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"
