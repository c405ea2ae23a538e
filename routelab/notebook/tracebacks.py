"""`%config RouteLab.short_errors`: two lines for expected trouble, or IPython's whole traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from routelab.core.errors import RoutelabError


def shorten(shell: Any, short: bool) -> None:
    """Show expected errors of this shell as two lines, or with their traceback."""
    RoutelabError.short = short
    ours = getattr(shell, "custom_exceptions", ()) == (RoutelabError,)
    if not short and not ours and not shell.custom_exceptions:
        # An exception that renders itself cannot ask IPython for the usual traceback; a handler for its class can.
        shell.set_custom_exc((RoutelabError,), _whole)
    elif short and ours:
        shell.set_custom_exc((), None)


def _whole(
    shell: Any, kind: type[BaseException], error: BaseException, trace: Any, tb_offset: int | None = None
) -> list[str]:
    form: Callable[..., list[str]] = shell.InteractiveTB.structured_traceback
    lines = form(kind, error, trace, tb_offset=tb_offset)
    shell._showtraceback(kind, error, lines)
    return lines
