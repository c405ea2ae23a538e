"""What `%routelab` commands return: lines and tables that show as rich output and as text, with their rows at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from routelab.present import Table, bundle

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Sheet:
    """Lines and tables, one below the other."""

    parts: tuple[Table | str, ...]

    @property
    def frame(self) -> pd.DataFrame:
        """The first table as a pandas frame of texts."""
        import pandas as pd

        table = next((p for p in self.parts if isinstance(p, Table)), Table(head=(), rows=()))
        return pd.DataFrame([list(row) for row in table.rows], columns=list(table.head))

    def __repr__(self) -> str:
        return bundle(*self.parts)["text/plain"]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return bundle(*self.parts)


def sheet(*parts: Table | str) -> Sheet:
    """Return a sheet of the parts."""
    return Sheet(parts)
