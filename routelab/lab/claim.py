"""Who is collecting, and what was asked: two small files beside the log, for the next process that comes.

A collection belongs to one process at a time. Its claim is a file that is renewed every `BEAT_S` seconds; one that was
not renewed for `STALE_S`, or whose process is known to be dead, may be taken over. What is about to be asked is noted
before it is sent, so that a call that nobody saw the end of (a killed kernel) still counts against a budget.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from routelab.core.errors import LogBusy, LogError
from routelab.core.ports import Clock
from routelab.core.values import digest

BEAT_S = 10.0
STALE_S = 60.0

Cell = tuple[str, str]
"""A prompt's id and a model's name."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a claim: a session of a log, its process, since when, and its last sign of life (UTC, ISO 8601)."""

    session: str
    pid: int
    host: str
    since: str
    beat: str


class Claim:
    """The right to collect under a name into one log; `folder=None` is for a log in memory, which no other process sees."""

    def __init__(self, folder: Path | None, name: str, *, session: str, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._session = session
        self._folder = folder
        self._since = ""
        # A name may hold anything; its digest is a file's name on every system.
        self._stem = digest(name)
        self._asked: int | None = None

    def take(self) -> Holder | None:
        """Take the claim, and return whose abandoned one it was; LogBusy while somebody else is alive and holds it."""
        if self._folder is None:
            return None
        self._since = self._clock.now().isoformat()
        try:
            self._folder.mkdir(exist_ok=True)
            with self._alone():
                before = self._read()
                if before is not None and not self._abandoned(before):
                    raise LogBusy(
                        f"'{self.name}' is being collected by process {before.pid} on {before.host} since {before.since} UTC"
                        f" (last sign of life {before.beat} UTC)",
                        hint=f"wait for it or stop it; a claim without a sign of life lapses after {STALE_S:g} s; name=... collects apart",
                    )
                self._write()
            self._asked = os.open(self._folder / f"{self._stem}.asked", os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600)
        except OSError as trouble:
            raise LogError(
                f"{self._folder}: cannot note who is collecting ({trouble.strerror})",
                hint="the folder of the log must be writable",
            ) from None
        return before

    def beat(self) -> None:
        """Say that this process is alive; LogBusy when another one has taken the claim over meanwhile."""
        if self._folder is None:
            return
        with self._alone():
            now = self._read()
            if now is not None and now.session != self._session:
                raise LogBusy(
                    f"'{self.name}' was taken over by process {now.pid} on {now.host}, because this one gave no sign of life for {STALE_S:g} s",
                    hint="let the other one finish; what is finished is in the log",
                )
            self._write()

    def release(self) -> None:
        """Give the claim back, unless somebody else has it by now."""
        if self._asked is not None:
            os.close(self._asked)
            self._asked = None
        if self._folder is None:
            return
        # A claim that cannot be removed lapses by itself.
        with contextlib.suppress(OSError), self._alone():
            now = self._read()
            if now is not None and now.session == self._session:
                self._path.unlink(missing_ok=True)

    def ask(self, experiment: str, cell: Cell, usd: float | None) -> None:
        """Note what is about to be asked and what it may cost at worst; the note outlives a kill of this process."""
        if self._asked is None:
            return
        line = json.dumps([experiment, *cell, usd], separators=(",", ":")) + "\n"
        try:
            os.write(self._asked, line.encode("utf-8", "surrogatepass"))
        except OSError as trouble:
            raise LogError(
                f"{self._folder}: cannot note what is asked ({trouble.strerror}), so nothing more is asked",
                hint="make room and collect again: what is finished is in the log",
            ) from None

    def asked(self, experiment: str) -> dict[Cell, tuple[float | None, ...]]:
        """Return the worst-case costs (USD, None: no price) of everything that was ever about to be asked, by cell."""
        found: dict[Cell, tuple[float | None, ...]] = {}
        if self._folder is None:
            return found
        with contextlib.suppress(FileNotFoundError):
            for line in (self._folder / f"{self._stem}.asked").read_bytes().split(b"\n"):
                # The last line may be cut short by a crash of the machine; it was then never sent.
                with contextlib.suppress(ValueError, TypeError):
                    of, prompt_id, model, usd = json.loads(line.decode("utf-8", "surrogatepass"))
                    if of == experiment:
                        found[prompt_id, model] = (*found.get((prompt_id, model), ()), usd)
        return found

    @property
    def _path(self) -> Path:
        assert self._folder is not None
        return self._folder / f"{self._stem}.json"

    def _abandoned(self, holder: Holder) -> bool:
        try:
            silent_s = abs((self._clock.now() - datetime.fromisoformat(holder.beat)).total_seconds())
        except (ValueError, TypeError):
            return True
        if silent_s >= STALE_S:
            return True
        if holder.host != platform.node():
            return False
        if holder.pid == os.getpid():
            # A container gives its processes the same numbers each time; whoever lives here is known by the session.
            return holder.session != self._session
        return not _alive(holder.pid)

    def _read(self) -> Holder | None:
        try:
            return Holder(**json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _write(self) -> None:
        holder = Holder(
            session=self._session,
            pid=os.getpid(),
            host=platform.node(),
            since=self._since,
            beat=self._clock.now().isoformat(),
        )
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(asdict(holder)), encoding="utf-8")
        new.replace(self._path)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold every other process off while the claim is looked at and changed."""
        assert self._folder is not None
        with (self._folder / f"{self._stem}.turn").open("a+b") as file:
            _lock(file.fileno())
            yield


def doubtful(asked: Mapping[Cell, Sequence[float | None]], finished: Mapping[Cell, int]) -> tuple[int, float]:
    """Return how many calls nobody saw the end of, and what they may have cost at worst in USD.

    Every run that was asked for leaves a row in the log, however it ended; what was asked more often than there are rows
    was under way when its process was killed.
    """
    count, usd = 0, 0.0
    for cell, costs in asked.items():
        lost = max(0, len(costs) - finished.get(cell, 0))
        count += lost
        usd += sum(sorted((cost or 0.0 for cost in costs), reverse=True)[:lost])
    return count, usd


def _alive(pid: int) -> bool:
    if sys.platform == "win32":  # there, os.kill ends the process whatever the signal
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's process
        return True
    return True


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
        return
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_EX)
