"""What `%routelab` commands return: lines, texts and tables that show as rich output and as text, with their rows at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from routelab.present import Table, escape, framed, pre, safe

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Block:
    """A text of several lines: as somebody said it, or aligned and to be set in one width."""

    text: str
    aligned: bool = False

    def html(self) -> str:
        """Return the block as HTML, escaped."""
        return f'<pre class="c"><code>{escape(self.text)}</code></pre>' if self.aligned else pre(self.text)


@dataclass(frozen=True, repr=False)
class Sheet:
    """Lines, blocks and tables, one below the other."""

    parts: tuple[Table | Block | str, ...]

    @property
    def frame(self) -> pd.DataFrame:
        """The first table as a pandas frame of texts."""
        import pandas as pd

        table = next((p for p in self.parts if isinstance(p, Table)), Table(head=(), rows=()))
        return pd.DataFrame([list(row) for row in table.rows], columns=list(table.head))

    def __repr__(self) -> str:
        return "\n".join(
            p.text() if isinstance(p, Table) else safe(p.text if isinstance(p, Block) else p) for p in self.parts
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        body = "".join(f"<div>{escape(p)}</div>" if isinstance(p, str) else p.html() for p in self.parts)
        return {"text/plain": repr(self), "text/html": framed(body)}


def sheet(*parts: Table | Block | str) -> Sheet:
    """Return a sheet of the parts."""
    return Sheet(parts)


def cut(text: str, length: int) -> str:
    """Return the text on one line, with an ellipsis where it is cut.

    >>> cut("one\\n two three", 9)
    'one two …'
    """
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"
