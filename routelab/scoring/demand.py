"""What a scorer's fields must look like; a value that does not is a ConfigError of one line."""

from __future__ import annotations

import math
from typing import Any

from routelab.core.errors import ConfigError


def text(key: str, value: Any) -> str:
    """Return the value if it is a text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"scorer.{key}: a text is wanted, not {_shown(value)}")
    return value


def texts(key: str, value: Any, *, at_least: int = 1) -> tuple[str, ...]:
    """Return the value as a tuple if it is a list of texts that are not blank."""
    if not isinstance(value, (list, tuple)):
        hint = f"write it as a list: [{value!r}]" if isinstance(value, str) else None
        raise ConfigError(f"scorer.{key}: a list of texts is wanted, not {_shown(value)}", hint=hint)
    if len(value) < at_least:
        raise ConfigError(f"scorer.{key}: at least {at_least} wanted, not {len(value)}")
    return tuple(text(f"{key}[{i}]", item) for i, item in enumerate(value))


def number(key: str, value: Any, *, at_least: float = -math.inf) -> float:
    """Return the value as a float if it is a finite number (true and false are none) and large enough."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not abs(value) < math.inf
        or abs(value) > 1e300
    ):
        raise ConfigError(f"scorer.{key}: a number is wanted, not {_shown(value)}")
    if value < at_least:
        raise ConfigError(f"scorer.{key}: must be at least {at_least:g}, not {value:g}")
    return float(value)


def whole(key: str, value: Any, *, at_least: int) -> int:
    """Return the value if it is a whole number and large enough."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"scorer.{key}: a whole number is wanted, not {_shown(value)}")
    return int(number(key, value, at_least=at_least))


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
