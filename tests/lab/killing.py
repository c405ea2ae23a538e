"""What the scripts share that are killed again and again: a till that outlives the process, and the killing."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routelab.core.ports import Provider
from routelab.core.values import Reply, Request
from routelab.fleet import Fleet
from routelab.lab.session import Lab
from routelab.stages import Endpoint


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A provider that notes every reply, which is what is paid for, in a file that outlives the process."""

    inner: Provider
    till: Path

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        reply = await self.inner.complete(request, emit)
        append(self.till, f"{request.prompt.id}\t{request.model.name}")
        return reply


def append(path: Path, line: str) -> None:
    handle = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(handle, (line + "\n").encode())
    os.close(handle)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def counted(practice: Fleet, till: Path) -> Fleet:
    return dataclasses.replace(
        practice,
        endpoints={
            name: Endpoint(model=e.model, provider=Counted(inner=e.provider, till=till))
            for name, e in practice.endpoints.items()
        },
    )


def killed(folder: Path, rng: random.Random, most: int, work: Callable[[], Lab]) -> dict[str, Any]:
    """Fork a child that works, kill it after at most `most` further replies, and return how far it had come.

    `folder/till` has a line for every reply, `folder/safe` the number of results reported as finished, latest last.
    """
    target = len(lines(folder / "till")) + rng.randrange(0, most)
    child = os.fork()
    if child == 0:
        work().close()
        os._exit(0)
    ended = 0
    while ended == 0 and len(lines(folder / "till")) < target:
        time.sleep(0.001)
        ended, _ = os.waitpid(child, os.WNOHANG)
    if ended == 0:
        time.sleep(rng.uniform(0.0, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    safe = lines(folder / "safe")
    return {"killed": ended == 0, "paid": len(lines(folder / "till")), "safe": int(safe[-1]) if safe else 0}
