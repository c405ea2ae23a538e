"""For notebooks whose own cells call `asyncio.run`; routelab itself never needs this and never calls it."""

from __future__ import annotations

from routelab.core.errors import ConfigError


def enable_nested_asyncio() -> None:
    """Let `asyncio.run` work inside a cell, by patching the kernel's event loop with nest_asyncio2; does nothing the second time.

    A patched loop changes how every cell of the kernel runs, so it is opt-in. The original nest_asyncio 1.6 is refused: on
    ipykernel 7 it silently drops queued cells (measured: 1 of 5 ran), and on Python 3.14 every httpx request fails under it.
    Raises ConfigError when nest_asyncio2 is missing, or when nest_asyncio has patched the loop already.
    """
    try:
        import nest_asyncio2
    except ImportError:
        raise ConfigError("nest_asyncio2 is not installed", hint="pip install nest-asyncio2") from None
    try:
        nest_asyncio2.apply(error_on_mispatched=True)
    except RuntimeError:
        raise ConfigError(
            "nest_asyncio has already patched this kernel's loop, and on ipykernel 7 it loses queued cells",
            hint="restart the kernel without nest_asyncio.apply(); routelab does not need it",
        ) from None
