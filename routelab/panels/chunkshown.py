"""What the viewer shows of a cut at a place: figures, a page of the text, hits; plain values and HTML, no widgets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from routelab.lab.chunks.spans import Span, common, length
from routelab.panels.chunkcut import Cut, Found
from routelab.panels.chunkdrawing import histogram
from routelab.panels.chunkpage import Marks, chunk_at, legend, metadata, page, page_of, pages, plain
from routelab.present import Table, percent

PLAIN_CHARACTERS = 1_200
"""Of a page, where no HTML is shown."""
STYLE = (
    "<style>.rl.rl-chunkhits table{table-layout:fixed;width:100%}.rl.rl-chunkhits td{overflow-wrap:anywhere;max-width:none!important}"
    ".rl.rl-chunkhits th{white-space:normal}.rl.rl-chunkhits th:nth-child(1){width:3.2em}.rl.rl-chunkhits th:nth-child(2){width:4.6em}"
    ".rl.rl-chunkhits th:nth-child(3){width:20%}.rl.rl-chunkhits th:nth-child(4){width:4.2em}.rl.rl-chunkhits th:nth-child(5){width:4.6em}"
    ".rl.rl-chunkhits th:nth-child(6):not(:last-child){width:6.4em}.rl.rl-chunkfigures table{max-width:30em}</style>"
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one looks: a document, a character of it, and one of its chunks by order."""

    document: str = ""
    at: int = 0
    chunk: int = 0

    def within(self, cut: Cut) -> Place:
        """Return the place, moved to what there is: another chunker leaves one at the same character."""
        name = self.document if self.document in cut.chunks else next(iter(cut.chunks))
        at = min(self.at, max(0, len(cut.texts.documents[name]) - 1)) if name == self.document else 0
        chunks = cut.chunks[name]
        right = 0 <= self.chunk < len(chunks) and chunks[self.chunk].start <= at < chunks[self.chunk].end
        return Place(document=name, at=at, chunk=self.chunk if right else chunk_at(chunks, at))

    def borders(self, cut: Cut) -> list[int]:
        """Return the borders of the document's pages."""
        return pages(cut.texts.documents[self.document])

    def page(self, cut: Cut, number: int) -> Place:
        """Return the place at the beginning of a page, counted from 0."""
        at = self.borders(cut)[number]
        return dataclasses.replace(self, at=at, chunk=chunk_at(cut.chunks[self.document], at))

    def to(self, cut: Cut, found: Found | None) -> Place:
        """Return the place where the answer to a question stands, else of what was found first, else this one."""
        asked = cut.texts.questions
        if found is None:
            return self
        if found.question is not None and asked is not None:
            name, at = asked.sources[found.question], min(start for start, _ in asked.spans[found.question])
            holding = next((c.order for c in cut.chunks[name] if c.start <= at < c.end), 0)
            return Place(document=name, at=at, chunk=holding)
        if found.hits:
            first = found.hits[0]
            name = first.passage.source
            return Place(document=name, at=first.passage.start, chunk=first.position - cut.first[name])
        return self


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Everything that is on the screen: lines above, figures, a drawing, a page with its legend, a chunk's metadata, hits."""

    says: tuple[str, ...]
    figures: Table
    drawing: str
    told: str
    legend: str
    page: str
    plain: str
    under: str
    hits: Table | None


def shown(cut: Cut, found: Found | None, place: Place) -> Shown:
    """Return what is shown at a place; quick, for it is called at every step."""
    name = place.document
    text, chunks = cut.texts.documents[name], cut.chunks[name]
    first = cut.first[name]
    tokens = cut.tokens[first : first + len(chunks)]
    borders = place.borders(cut)
    number = page_of(borders, place.at)
    between = (borders[number], borders[number + 1])
    marks = Marks(hits=_hits(cut, found, name), gold=_gold(cut, found, name))
    lost = any(b.start > a.end for a, b in pairwise(chunks)) or (chunks and chunks[-1].end < len(text))
    said = legend(
        overlap=any(chunk.repeated for chunk in chunks), lost=bool(lost), hits=bool(marks.hits), gold=bool(marks.gold)
    )
    cap = (
        int(cut.spec["size"])
        if cut.spec.get("unit", "tokens") == "tokens" and cut.spec["kind"] != "characters"
        else None
    )
    under = f"{name}: an empty text has no chunk"
    if chunks:
        here = metadata(chunks[place.chunk], len(chunks), int(tokens[place.chunk]))
        under = f"chunk {place.chunk + 1}: " + " · ".join(f"{key} {value}" for key, value in here)
    where = f"{name}: page {number + 1:,} of {len(borders) - 1:,}, characters {between[0]:,} – {between[1]:,} of {len(text):,}, {len(chunks):,} chunks"
    return Shown(
        says=(f"{cut.texts.says}; cut by {cut.name}", *cut.texts.notes),
        figures=cut.figures(),
        drawing=histogram(cut.tokens, cap),
        told="" if found is None else found.told(),
        legend=f"{said}",
        page=page(text, chunks, tokens, between, marks),
        plain=f"{where}\n{_excerpt(plain(text, chunks, between, marks))}",
        under=f"{where}; {under}",
        hits=None if found is None else _table(cut, found),
    )


def _excerpt(text: str) -> str:
    left = len(text) - PLAIN_CHARACTERS
    return text if left <= 0 else f"{text[:PLAIN_CHARACTERS]}… ({left:,} more characters)"


def _hits(cut: Cut, found: Found | None, document: str) -> dict[int, tuple[int, float]]:
    hits = [] if found is None else found.hits
    first = cut.first[document]
    return {h.position - first: (h.rank, h.score) for h in hits if h.passage.source == document}


def _gold(cut: Cut, found: Found | None, document: str) -> tuple[Span, ...]:
    return () if found is None or found.question is None else cut.texts.gold(found.question, document)


def _table(cut: Cut, found: Found) -> Table:
    """Return the hits, with the share of the answer that each holds where the answer is known."""
    known = found.question is not None
    rows = []
    for hit in found.hits:
        passage = hit.passage
        gold = _gold(cut, found, passage.source)
        holds = length(common(gold, [(passage.start, passage.end)])) / length(gold) if gold else 0.0
        path = " › ".join(passage.headings)
        begins = " ".join(passage.text[:400].split())[:160]
        rows.append(
            (
                f"★{hit.rank}",
                f"{hit.score:.3f}",
                passage.source,
                f"{hit.position - cut.first[passage.source] + 1:,}",
                f"{int(cut.tokens[hit.position]):,}",
                *((percent(holds, 0),) if known else ()),
                f"{path}: {begins}…" if path else f"{begins}…",
            )
        )
    head = ("rank", "score", "document", "chunk", "tokens", *(("of the answer",) if known else ()), "begins")
    numbers: Sequence[int] = (1, 3, 4, 5) if known else (1, 3, 4)
    return Table(
        head=head, rows=rows, numbers=frozenset(numbers), caption="what was found" if rows else "nothing was found"
    )
