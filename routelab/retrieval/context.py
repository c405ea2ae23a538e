"""The context that a model is given: found passages under a budget of tokens, cited, and no character of them twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from routelab.core.errors import ConfigError
from routelab.retrieval.library import Hit


@dataclass(frozen=True, kw_only=True)
class Citation:
    """A stretch of a source in the context, under its number; `ranks` are those of the hits that it was merged from."""

    number: int
    source: str
    start: int
    end: int
    text: str
    headings: tuple[str, ...] = ()
    ranks: tuple[int, ...] = ()

    def __str__(self) -> str:
        path = f" ({' › '.join(self.headings)})" if self.headings else ""
        # On one line, whatever a file is called: what begins a line is ours.
        return f"[{self.number}] {' '.join(f'{self.source}{path}'.split())}, characters {self.start}–{self.end}"


@dataclass(frozen=True, kw_only=True)
class Context:
    """The text to put before a model with what it cites, its tokens, and the ranks of the hits that did not fit."""

    text: str
    citations: tuple[Citation, ...]
    tokens: int
    left_out: tuple[int, ...] = ()


def assembled(hits: Sequence[Hit], *, count: Callable[[str], int], budget_tokens: int | None = None) -> Context:
    """Return the hits as numbered passages, best first, within the budget; None is no limit.

    Passages of one source that overlap or touch become one, which stands where the best of them would. Hits are taken in
    their order; one that would pass the budget, headings and numbers counted, is left out whole, and a later one that fits
    is still taken. `count` says how many tokens a text has. Raises ConfigError for a budget below 1.
    """
    if budget_tokens is not None and budget_tokens < 1:
        raise ConfigError(f"budget_tokens: a whole number from 1 is wanted, not {budget_tokens}")
    taken: list[Hit] = []
    left_out: list[int] = []
    text, tokens = "", 0
    for hit in hits:
        tried = _text(merged([*taken, hit]))
        needed = count(tried)
        if budget_tokens is not None and needed > budget_tokens:
            left_out.append(hit.rank)
            continue
        taken.append(hit)
        text, tokens = tried, needed
    return Context(text=text, citations=merged(taken), tokens=tokens, left_out=tuple(left_out))


def merged(hits: Sequence[Hit]) -> tuple[Citation, ...]:
    """Return the hits as citations: of one source, those that overlap or touch joined; in the order of their best ranks."""
    groups: list[list[Hit]] = []
    reached: tuple[str, int] | None = None
    for hit in sorted(hits, key=lambda h: (h.passage.source, h.passage.start, h.passage.end, h.rank)):
        passage = hit.passage
        if reached is not None and reached[0] == passage.source and passage.start <= reached[1]:
            groups[-1].append(hit)
            reached = passage.source, max(reached[1], passage.end)
        else:
            groups.append([hit])
            reached = passage.source, passage.end
    groups.sort(key=lambda group: min(hit.rank for hit in group))
    return tuple(_citation(number, group) for number, group in enumerate(groups, start=1))


def _citation(number: int, group: Sequence[Hit]) -> Citation:
    first = group[0].passage
    parts, end = [first.text], first.end
    for hit in group[1:]:
        passage = hit.passage
        if passage.end > end:
            parts.append(passage.text[end - passage.start :])
            end = passage.end
    return Citation(
        number=number,
        source=first.source,
        start=first.start,
        end=end,
        text="".join(parts),
        headings=tuple(first.headings),
        ranks=tuple(sorted(hit.rank for hit in group)),
    )


def _text(citations: Sequence[Citation]) -> str:
    return "\n\n".join(f"{citation}\n{citation.text.strip()}" for citation in citations)
