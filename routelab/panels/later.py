"""Work that is too long for a click: done on a thread, and handed over when it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from routelab.core.errors import RoutelabError
from routelab.lab.job import Job
from routelab.panels.parts import Guard


def later(name: str, work: Callable[[], Any], then: Callable[[Any], None], guard: Guard) -> Job:
    """Start the work and return its job; `then` gets what came of it under the guard, whose line shows any trouble."""
    return Job(name, lambda: handed_over(work, then, guard))


async def handed_over(work: Callable[[], Any], then: Callable[[Any], None], guard: Guard) -> Any:
    """Do the work on a thread without the guard's lock, and then hand it over with it."""
    try:
        made = await asyncio.to_thread(work)
    except RoutelabError as trouble:
        guard.line.fail(trouble)
        return None
    except Exception as bug:
        guard.line.fail(bug)
        raise
    await asyncio.to_thread(guard(then), made)
    return made
