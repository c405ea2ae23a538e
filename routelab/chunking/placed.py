"""Pieces that another library cut, put back where they stand in the text: exactly, or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from routelab.chunking.chunk import Chunk
from routelab.chunking.ruler import Ruler
from routelab.core.errors import DataError

_BLANKS = re.compile(r"\s*")


def placed(
    pieces: Iterable[tuple[str, int | None]], text: str, source: str, ruler: Ruler, repeat: int, cutter: str
) -> Iterator[Chunk]:
    """Yield a chunk for each piece (its text, and where its library says it begins, if it does), in the text's order.

    A place that is given is checked; else the piece is looked for from where `repeat` units before the last one's end are.
    What the library dropped between two pieces is in no chunk (`missing` says what). Raises DataError for a piece that is
    not in the text as it is: half a character, changed white space, an added heading.
    """
    last, reached, order, unsure, lost = -1, 0, 0, False, False
    for piece, given in pieces:
        if not piece:
            continue
        if given is not None and text.startswith(piece, given):
            start = given
        else:
            start = _find(piece, text, last, reached, ruler.back(reached, repeat))
            # It may as well stand later, where blanks at most would be lost before it.
            latest = _BLANKS.match(text, reached).end()  # type: ignore[union-attr]
            unsure = unsure or text.find(piece, start + 1, latest + len(piece)) >= 0
        if start < 0:
            raise DataError(
                f"{source or 'text'}: chunk {order} of {cutter} is not a part of the text after character {max(last, 0)}: "
                f"{piece[:60]!r}",
                hint="its offsets would be wrong; choose a splitter that leaves the text as it is, or one of routelab's own",
            )
        end = start + len(piece)
        lost = lost or (start > reached and not text[reached:start].isspace())
        yield Chunk(
            text=piece,
            start=start,
            end=end,
            order=order,
            source=source,
            repeated=min(len(piece), max(0, reached - start)),
            tokens=ruler.tokens(start, end),
        )
        ruler.forget(start)
        last, reached, order = start, max(reached, end), order + 1
    if unsure and (lost or text[reached:].strip()):
        raise DataError(
            f"{source or 'text'}: the text repeats itself, so where the chunks of {cutter} stand cannot be told",
            hint="use it without an overlap, or one of routelab's own chunkers",
        )


def _find(piece: str, text: str, last: int, reached: int, likely: int) -> int:
    """Return where the piece stands: at the first likely place, if only blanks are lost before it, else the first one."""
    at = text.find(piece, max(likely, last + 1))
    if 0 <= at <= reached or (at >= 0 and text[reached:at].isspace()):
        return at
    # A library that counts otherwise may repeat more than was asked.
    nearer = text.find(piece, last + 1, reached + len(piece))
    return nearer if nearer >= 0 else at
