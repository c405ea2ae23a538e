"""How the log is doing, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from routelab.store.file import Loss


@dataclass(frozen=True, kw_only=True)
class Health:
    """How the log is doing, in rows.

    `written` by this session; `pending` in memory only or in the spool, `spooled` of them safe there; `refused` by
    DuckDB and kept beside the log; `missing` were acknowledged once and are not in the file any more. `holder` is the
    PID of the process that holds the file, where it is held and the system told.
    """

    path: str
    session: str
    written: int = 0
    pending: int = 0
    spooled: int = 0
    refused: int = 0
    missing: int = 0
    last_error: str | None = None
    holder: int | None = None
    losses: tuple[Loss, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong: no error stands, nothing is refused and nothing is missing."""
        return self.last_error is None and not self.refused and not self.missing

    def __str__(self) -> str:
        parts = [f"{self.path}: {self.written} rows written, {self.pending} pending"]
        parts += [f"{self.spooled} of them safe in the spool"] if self.spooled else []
        parts += [f"{self.refused} refused"] if self.refused else []
        parts += [str(loss) for loss in self.losses]
        parts += [self.last_error] if self.last_error else []
        return "; ".join(parts)
