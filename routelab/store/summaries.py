"""Summaries of older turns in the log, so that a second kernel does not pay again for what the first one had written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from routelab.core.values import Tokens
from routelab.store.file import Connection
from routelab.store.rows import Unit, utc
from routelab.store.text import storable


@dataclass(frozen=True, kw_only=True)
class KeptSummary:
    """A summary as the log keeps it: under a key that depends on all that it was written from, and on who wrote it."""

    key: str
    model: str
    text: str
    tokens: Tokens = Tokens()
    cost_usd: float | None = None
    simulated: bool = False
    written_at: datetime


def of_summary(kept: KeptSummary) -> Unit:
    """Return the summary's row of `summaries`; the first one under a key stays."""
    row = (
        kept.key,
        storable(kept.model),
        storable(kept.text),
        kept.tokens.input,
        kept.tokens.output,
        kept.cost_usd,
        kept.simulated,
        utc(kept.written_at),
    )
    return Unit(table="summaries", key=(kept.key,), rows={"summaries": (row,)})


def summary(con: Connection, key: str) -> KeptSummary | None:
    """Return the summary under a key, or None."""
    columns = "model, text, input_tokens, output_tokens, cost_usd, simulated, written_at"
    found = con.execute(f"select {columns} from summaries where key = ? limit 1", [key]).fetchall()
    if not found:
        return None
    model, text, asked, said, cost_usd, simulated, written_at = found[0]
    return KeptSummary(
        key=key,
        model=model,
        text=text,
        tokens=Tokens(input=asked, output=said),
        cost_usd=cost_usd,
        simulated=simulated,
        written_at=written_at,
    )
