"""What happened to a prompt, in order: when, what, who, for how much, and a bar for how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from routelab.answer import Answer, age, found, quoted, rewritten
from routelab.core.events import (
    Admitted,
    Answered,
    Blocked,
    Compacted,
    Event,
    Failed,
    Missed,
    Recalled,
    Remembered,
    Retrieved,
    Routed,
    Scored,
    Unanswered,
)
from routelab.present import Table, escape, note, seconds, tokens, usd
from routelab.present.html import LEFT
from routelab.stages.recall import CACHE_GUARD

HEAD = ("at", "what", "who", "cost", "took")
NARROWEST = 1.0
"""Per cent of the width that the bar of the shortest step still has, so that it is seen."""
_BARS = (
    "<style>.rl .rl-lane{display:block;width:100%;min-width:4em;height:7px;margin-top:6px;"
    "background:var(--jp-layout-color2,#8882);border-radius:3px}"
    ".rl .rl-bar{display:block;height:7px;border-radius:3px;background:#0072B2}"
    ".rl .rl-bar.no{background:#D55E00}"
    ".rl table.rl-trace{width:100%}.rl table.rl-trace td.rl-time{white-space:nowrap}</style>"
)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that happened: seconds since the run began, in words, who did it, USD and seconds it took.

    `cost_usd` is None where it is not known, and `free` says that there was nothing to pay; `sound` is False for what failed,
    was refused or was stopped.
    """

    at_s: float
    what: str
    who: str = ""
    said: str = ""
    cost_usd: float | None = None
    free: bool = True
    took_s: float | None = None
    sound: bool = True

    @property
    def cost(self) -> str:
        """The cost in words; nothing where there was nothing to pay."""
        return "" if self.free else usd(self.cost_usd)


def steps(events: Sequence[Event]) -> tuple[Step, ...]:
    """Return what happened, one step an event."""
    return tuple(_step(event) for event in events)


def trace_table(answer: Answer) -> Table:
    """Return the steps of an answer as a table, for the still."""
    rows = [
        [seconds(s.at_s), _words(s), s.who or "–", s.cost or "–", "–" if s.took_s is None else seconds(s.took_s)]
        for s in steps(answer.events)
    ]
    return Table(head=HEAD, rows=rows, numbers=frozenset((0, 3, 4)), caption=f"run {answer.id}")


def trace_html(answer: Answer) -> str:
    """Return the steps of an answer as HTML with bars; all that others said in it is escaped.

    Steps come one after the other, so a bar begins where the one before ended; the whole width is the sum of all.
    """
    found = steps(answer.events)
    whole = sum(s.took_s or 0.0 for s in found)
    rows, before = [], 0.0
    for step in found:
        rows.append(
            f"<tr><td class=rl-time {LEFT}>{escape(seconds(step.at_s))}</td>"
            f"<td {LEFT}>{'<b>' + escape(step.who) + '</b> ' if step.who else ''}{escape(_words(step))}</td>"
            f"<td class=n align=right>{escape(step.cost)}</td><td {LEFT}>{_bar(step, before, whole)}</td></tr>"
        )
        before += step.took_s or 0.0
    head = "".join(f"<th {LEFT}>{name}</th>" for name in HEAD if name != "who")
    return (
        f"{_BARS}<table class=rl-trace><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f"{note(f'run {answer.id[:8]}')}"
    )


def _bar(step: Step, before_s: float, whole_s: float) -> str:
    if step.took_s is None:
        return ""
    text = escape(seconds(step.took_s))
    if whole_s <= 0:
        return text
    width = max(100 * step.took_s / whole_s, NARROWEST)
    left = min(100 * before_s / whole_s, 100 - width)
    kind = "rl-bar" if step.sound else "rl-bar no"
    return f'{text}<span class="rl-lane"><span class="{kind}" style="margin-left:{left:.1f}%;width:{width:.1f}%"></span></span>'


def _words(step: Step) -> str:
    mark = "" if step.sound else "✗ "
    return f"{mark}{step.what}" + (f": {step.said}" if step.said else "")


def _step(event: Event) -> Step:
    match event:
        case Routed():
            chance = "" if event.propensity == 1 else f" (drawn with chance {event.propensity:.2f})"
            said = f"{' → '.join(event.order)}{chance}, because {event.reason}"
            if event.error is not None:
                return Step(at_s=event.at_s, what="default, the strategy could not decide", said=event.error, who=event.strategy, sound=False)  # fmt: skip
            return Step(at_s=event.at_s, what="decided", said=said, who=event.strategy)
        case Answered():
            return _answered(event)
        case Unanswered():
            again = "asked again" if event.retry else "passed over"
            return Step(
                at_s=event.at_s,
                what=f"failed with {event.error}, {again}",
                said=_short(event.message.partition("\n")[0]),
                who=_who(event.model, event.simulated),
                cost_usd=event.cost_usd,
                # Nothing came, so there is nothing to pay; a stream that broke is paid for.
                free=event.cost_usd is None and not event.text and event.error not in ("TimedOut", "Cancelled"),
                took_s=None if event.latency_s is None else event.latency_s + event.waited_s,
                sound=False,
            )
        case Scored():
            return _scored(event)
        case Recalled():
            return Step(at_s=event.at_s, what=f"remembered by the {event.cache} cache", said=_known(event), who=event.model, took_s=event.latency_s)  # fmt: skip
        case Failed():
            return Step(
                at_s=event.at_s,
                what=f"ended by {event.error}",
                said=_short(event.message.partition("\n")[0]),
                who=event.stage,
                sound=False,
            )
        case Blocked():
            return Step(at_s=event.at_s, what="blocked", said=_short(event.reason), who=event.guard, sound=False)
        case _:
            return _around(event)


def _answered(event: Answered) -> Step:
    guess = event.tokens.source not in ("usage", "recorded")
    counted = f"{tokens(event.tokens.input, estimated=guess)} + {tokens(event.tokens.output, estimated=guess)} tokens"
    cut = {"length": ", cut at its limit", "refusal": ", a refusal", "filter": ", stopped by a filter"}
    waited = f", after a wait of {seconds(event.waited_s)}" if event.waited_s else ""
    return Step(
        at_s=event.at_s,
        what="answered",
        said=f"{counted}{cut.get(event.finish, '')}{waited}",
        who=_who(event.model, event.simulated),
        cost_usd=event.cost_usd,
        free=False,
        took_s=None if event.latency_s is None else event.latency_s + event.waited_s,
    )


def _scored(event: Scored) -> Step:
    by = event.judge or event.scorer
    given = "?" if event.quality is None else f"{event.quality:.2f}"
    reason = f": {_short(event.reason)}" if event.reason else ""
    bar = "" if event.at_least is None else f" of {event.at_least:g} wanted"
    if event.accepted is None:
        what, said = "scored", f"{event.model} got {given}{reason}"
    elif event.accepted:
        other = f"; the answer of {event.answered_by} stands" if event.answered_by is not None else ""
        what, said = "accepted", f"{event.model}'s answer got {given}{bar}{other}{reason}"
    elif event.scorer == CACHE_GUARD:
        what, said = "refused", f"the remembered answer got {given}{bar}, and is not given{reason}"
    else:
        what, said = "refused", f"{event.model}'s answer got {given}{bar}, the next one is asked{reason}"
    return Step(
        at_s=event.at_s,
        what=what,
        said=said,
        who=_who(by, event.simulated),
        cost_usd=event.cost_usd,
        free=not event.judge,
        took_s=event.latency_s if event.judge else None,
        sound=event.accepted is not False,
    )


_REWRITTEN = {"system": "prompt rendered", "template": "prompt rendered", "compress": "prompt compressed"}


def _around(event: Event) -> Step:
    """Return the step of what happens around asking: guards, rendering, retrieval, caches."""
    match event:
        case Admitted():
            return Step(at_s=event.at_s, what="let through", who=", ".join(event.guards))
        case Compacted():
            name, _, said = rewritten(event).partition(": ")
            return Step(
                at_s=event.at_s,
                what=_REWRITTEN.get(event.policy, "conversation fitted"),
                said=_short(said),
                who=name,
                cost_usd=event.cost_usd,
                free=not event.summarisers,
                took_s=event.latency_s or None,
                sound=event.error is None,
            )
        case Retrieved():
            n = len(event.chunks)
            return Step(
                at_s=event.at_s,
                what=f"{n} passage{'' if n == 1 else 's'} put in front",
                said=_short(found(event).partition(": ")[2]),
                who=event.corpus,
                took_s=event.latency_s,
                sound=n > 0,
            )
        case Missed():
            return Step(
                at_s=event.at_s, what="not in the cache", said=_unknown(event), who=event.cache, took_s=event.latency_s
            )
        case Remembered() if event.refused:
            return Step(at_s=event.at_s, what="not kept", said=_short(event.refused), who=event.cache)
        case Remembered():
            return Step(at_s=event.at_s, what="kept for the next time", who=event.cache)
        case _:
            return Step(at_s=event.at_s, what=type(event).__name__.lower())


def _known(event: Recalled) -> str:
    like = f"{event.similarity:.3f} like {quoted(event.like)}" if event.like else "the very same request"
    old = "" if event.age_s is None else f", {age(event.age_s)}"
    return like + old + (", stale: a fresh answer is being asked for" if event.stale else "")


def _unknown(event: Missed) -> str:
    near = [] if event.nearest is None else [f"the nearest is {event.nearest:.3f} like {quoted(event.like)}"]
    objected = [f"the guard objects: {event.objection}"] if event.objection else []
    return _short("; ".join([*([event.why] if event.why else []), *near, *objected]))


def _who(name: str, simulated: bool) -> str:
    return f"{name} (simulated)" if simulated else name


def _short(text: str, limit: int = 160) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
