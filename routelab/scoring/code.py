"""Code: the answer is a program, and it passes its tests."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from routelab.core.errors import ConfigError
from routelab.core.values import Prompt, Score
from routelab.scoring import demand, wording
from routelab.scoring.exact import shown
from routelab.scoring.fence import tested

_FENCE = Path(__file__).with_name("fence.py")
_REPORT_LIMIT = 1 << 18
_PYTHON = ("python", "py", "python3", "python3.11", "")


@dataclass(frozen=True, kw_only=True)
class Code:
    """Gives 1 when the program in the answer passes every test, else 0, and says how many passed and what failed first.

    The program is the first fenced block labelled Python, else the first one without a label, else the first one,
    else the whole answer. `tests` is Python: each top-level statement with an assert in it is one test (a function
    only if it is called test…, and then it is called); the others prepare. `entry` is the name that the program
    must define. `cpu_s`, `wall_s` and `memory_mb` limit one run of all tests together.

    The program runs in a fresh interpreter (standard library only, no environment, an empty folder, fixed hash seed)
    behind a fence: no sockets, no processes, no signals to others, no writing and no reading outside the standard
    library, limits on CPU, memory and file size, output thrown away, and the whole process group killed at the end. The
    tests have their own copies of the built-ins, do not take the word of objects that define their own equality, and
    report under a random number. That stops accidents and cheap tricks. It is a fence, not a jail: a program made to
    break out of a Python process can, so run answers that you must not trust in a container. Memory and CPU are limited
    on POSIX only (memory not on macOS); on Windows the wall clock alone is.
    """

    tests: str
    entry: str | None = None
    cpu_s: float = 5.0
    wall_s: float = 10.0
    memory_mb: int = 512

    def __post_init__(self) -> None:
        demand.text("tests", self.tests)
        if self.entry is not None and not demand.text("entry", self.entry).isidentifier():
            raise ConfigError(f"scorer.entry: {self.entry!r} is not a name")
        demand.number("cpu_s", self.cpu_s, at_least=0.1)
        demand.number("wall_s", self.wall_s, at_least=0.1)
        demand.whole("memory_mb", self.memory_mb, at_least=64)
        if not cases(self.tests):
            raise ConfigError("scorer.tests: there is no assert in it")

    def __call__(self, answer: str, prompt: Prompt) -> Score:
        """Return 1 or 0, how many tests passed, and the first failure."""
        program = first_block(answer)
        if not program.strip():
            return Score(quality=0.0, reason="the answer is empty")
        wanted = cases(self.tests)
        report = self._run(program)
        passed = sum(status == "pass" for status, _ in report.tests.values())
        count = f"{passed} of {len(wanted)} tests passed"
        if passed == len(wanted) and report.finished:
            return Score(quality=1.0, reason=count)
        if report.trouble:
            return Score(quality=0.0, reason=f"{count}; {report.trouble}")
        for i, source in enumerate(wanted):
            status, detail = report.tests.get(i, ("lost", report.ending))
            if status != "pass":
                return Score(
                    quality=0.0,
                    reason=f"{count}; first failure: {shown(source, 120)}" + (f" ({detail})" if detail else ""),
                )
        return Score(quality=0.0, reason=f"{count}; {report.ending}")

    def _run(self, program: str) -> _Report:
        nonce = secrets.token_hex(16)
        task = {
            "nonce": nonce,
            "program": program,
            "tests": self.tests,
            "entry": self.entry,
            "cpu_s": self.cpu_s,
            "memory_mb": self.memory_mb,
        }
        # Files instead of pipes: nothing can block on a full pipe, and a child left behind cannot keep one open.
        with (
            tempfile.TemporaryDirectory(prefix="routelab-", ignore_cleanup_errors=True) as folder,
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as told,
        ):
            given.write(json.dumps(task).encode("ascii"))
            given.flush()
            given.seek(0)
            ending = _play(folder, given.fileno(), told.fileno(), self.wall_s)
            told.seek(0)
            said = told.read(_REPORT_LIMIT)
        return _read(said, nonce, ending)


@dataclass(frozen=True, kw_only=True)
class _Report:
    tests: dict[int, tuple[str, str]]
    trouble: str
    ending: str
    finished: bool


# Several threads in `ast.parse` at once can raise "AST constructor recursion depth mismatch" (seen with Python 3.11.7).
_PARSER = threading.Lock()


def cases(tests: str) -> tuple[str, ...]:
    """Return the source of each test, in order; raises ConfigError when the tests are not Python."""
    try:
        with _PARSER:
            tree = ast.parse(tests)
    except (SyntaxError, ValueError) as trouble:
        raise ConfigError(f"scorer.tests: not Python: {trouble}") from None
    return tuple(ast.unparse(statement) for statement in tree.body if tested(statement))


def first_block(answer: str) -> str:
    """Return the program in an answer.

    >>> first_block("Run:\\n```sh\\nls\\n```\\nand\\n```python\\nx = 1\\n```")
    'x = 1\\n'
    """
    blocks = list(wording.fenced(answer))
    for languages in (_PYTHON[:-1], _PYTHON[-1:]):
        for language, body in blocks:
            if language.partition(" ")[0].strip("{}.") in languages:
                return body
    return blocks[0][1] if blocks else answer


def _play(folder: str, given: int, told: int, wall_s: float) -> str:
    """Play the fence and return how it ended; whatever it started is killed."""
    environment = {"PYTHONHASHSEED": "0", "HOME": folder, "TMPDIR": folder, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    if sys.platform == "win32":
        environment["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", "")
    # -s -S -P is -I without -E: the environment is ours, and it fixes the hash seed.
    process = subprocess.Popen(
        [sys.executable, "-s", "-S", "-P", "-B", "-X", "utf8", str(_FENCE)],
        stdin=given,
        stdout=told,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )
    try:
        code = process.wait(timeout=wall_s)
    except subprocess.TimeoutExpired:
        return f"stopped after {wall_s:g} s"
    finally:
        if sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
    if sys.platform != "win32" and code in (-signal.SIGXCPU, -signal.SIGKILL):
        return "stopped at the limit of CPU time or memory"
    return f"the program crashed ({signal.Signals(-code).name})" if code < 0 else "the program ended the interpreter"


def _read(said: bytes, nonce: str, ending: str) -> _Report:
    tests: dict[int, tuple[str, str]] = {}
    trouble, finished = "", False
    for line in said.decode("utf-8", "replace").splitlines():
        key, _, rest = line.partition(" ")
        if key != nonce:
            continue
        try:
            kind, index, detail = json.loads(rest)
        except ValueError:
            continue
        if kind == "done":
            finished = True
        elif kind == "trouble":
            trouble = str(detail)
        elif kind in ("pass", "fail") and isinstance(index, int):
            # A test has one verdict; a second one for the same test is not ours.
            tests[index] = (kind, str(detail)) if index not in tests else ("fail", "reported twice")
    return _Report(tests=tests, trouble=trouble, ending=ending, finished=finished)
