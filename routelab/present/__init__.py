"""What people see, as text and as HTML that stays readable without styles, in light and dark, when a notebook is saved.

Pure functions over strings: no notebook, no pandas. Every text is escaped here; nothing a model said reaches HTML unescaped.
"""

from __future__ import annotations

from routelab.present.html import STYLE, escape, framed, note, pre, safe
from routelab.present.numbers import interval, percent, seconds, signed, tokens, usd
from routelab.present.table import Table, bundle

__all__ = [
    "STYLE",
    "Table",
    "bundle",
    "escape",
    "framed",
    "interval",
    "note",
    "percent",
    "pre",
    "safe",
    "seconds",
    "signed",
    "tokens",
    "usd",
]
