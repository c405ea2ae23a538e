"""Numbers for people: few digits, units, and a question mark for what is not known."""

from __future__ import annotations

import math


def _unknown(value: float | None) -> bool:
    return value is None or math.isnan(value)


def usd(value: float | None) -> str:
    """Return dollars with about three significant digits, "?" when not known.

    >>> usd(0.000123), usd(4.5), usd(0.0), usd(None)
    ('$0.000123', '$4.50', '$0', '?')
    """
    if value is None or math.isnan(value):
        return "?"
    if value == 0:
        return "$0"
    sign, size = "−" if value < 0 else "", abs(value)
    if math.isinf(size):
        return f"{sign}$∞"
    if size >= 0.1:
        return f"{sign}${size:,.2f}" if size < 1000 else f"{sign}${size:,.0f}"
    if size < 1e-9:
        return f"<{sign}$0.000000001"
    digits = 2 - math.floor(math.log10(size))
    return f"{sign}${size:.{min(digits, 9)}f}"


def seconds(value: float | None) -> str:
    """Return seconds with a unit, "?" when not known.

    >>> seconds(0.0123), seconds(2.345), seconds(75)
    ('12 ms', '2.3 s', '75 s')
    """
    if value is None or math.isnan(value):
        return "?"
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 60 else f"{value:.0f} s"


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in per cent, "?" when not known.

    >>> percent(0.8234)
    '82.3 %'
    """
    return "?" if value is None or math.isnan(value) else f"{value * 100:.{digits}f} %"


def signed(value: float | None, digits: int = 1) -> str:
    """Return a difference of shares in points with its sign.

    >>> signed(-0.0123)
    '−1.2'
    """
    if value is None or math.isnan(value):
        return "?"
    text = f"{abs(value) * 100:.{digits}f}"
    return ("−" if value < 0 and float(text) != 0 else "+") + text


def interval(low: float | None, high: float | None, digits: int = 1) -> str:
    """Return an interval of shares in per cent.

    >>> interval(0.7, 0.85)
    '[70.0, 85.0]'
    """
    if _unknown(low) or _unknown(high):
        return "[?, ?]"
    assert low is not None
    assert high is not None
    return f"[{low * 100:.{digits}f}, {high * 100:.{digits}f}]".replace("-", "−")


def tokens(given: int | None, *, estimated: bool = False) -> str:
    """Return a count of tokens, with a tilde when it is an estimate.

    >>> tokens(1200), tokens(80, estimated=True), tokens(None)
    ('1,200', '~80', '?')
    """
    return "?" if given is None else f"{'~' if estimated else ''}{given:,}"
