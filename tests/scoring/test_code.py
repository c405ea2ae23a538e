"""The programs below are what models have written, or what would pass without solving anything."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from routelab.core.values import Prompt, Score
from routelab.scoring import Code
from routelab.scoring.code import cases, first_block

PROMPT = Prompt.of("Write f(x) that squares x.")
TESTS = "assert f(2) == 4\nassert f(3) == 9"
SQUARE = Code(tests=TESTS, entry="f")
RIGHT = "def f(x):\n    return x * x\n"
# An object that claims to be equal to everything, and in everything.
CLAIM = """
class Claim:
    def __eq__(self, other): return True
    __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __contains__ = __eq__
    def __hash__(self): return 4
    def __sub__(self, other): return self
    def __abs__(self): return self
"""
posix = pytest.mark.skipif(sys.platform == "win32", reason="limits of CPU and memory are POSIX only")


@pytest.mark.parametrize(
    "answer",
    [
        RIGHT,
        f"Here it is:\n\n```python\n{RIGHT}```\nIt multiplies.",
        f"```py\n{RIGHT}```",
        f"```\n{RIGHT}```",
        f"```Python title=f.py\n{RIGHT}```",
        f"```sh\npip install nothing\n```\nthen\n```python\n{RIGHT}```",
        f"```python\n{RIGHT}```\nUse it so:\n```python\nprint(f(g))\n```",
        "1. Like this:\n   ```python\n   def f(x):\n       return x * x\n   ```",
        RIGHT.replace("\n", "\r\n"),
        f"print('x' * 1_000_000)\n{RIGHT}print(f(3))",
        f"{RIGHT}if __name__ == '__main__':\n    print(f(int(input())))",
        "from functools import cache\nfrom dataclasses import dataclass\n@cache\ndef f(x): return x * x",
        "import asyncio\nasync def g(x): return x * x\ndef f(x): return asyncio.run(g(x))",
        "from concurrent.futures import ThreadPoolExecutor as T\ndef f(x):\n    with T() as t: return t.submit(pow, x, 2).result()",
        f"import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n{RIGHT}",
        f"import atexit, time\natexit.register(time.sleep, 60)\n{RIGHT}",
        f"import sys\nsys.stdout = None\n{RIGHT}",
    ],
)
def test_a_program_that_passes_scores_one(answer: str) -> None:
    assert SQUARE(answer, PROMPT) == Score(quality=1.0, reason="2 of 2 tests passed")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "the answer is empty"),
        ("def f(x): return 4", "1 of 2 tests passed; first failure: “assert f(3) == 9” (got 4)"),
        ("def f(x): pass", "0 of 2 tests passed; first failure: “assert f(2) == 4” (got None)"),
        ("def f(x): return 1 / 0", "0 of 2 tests passed; first failure: “assert f(2) == 4” (ZeroDivisionError: division by zero)"),
        ("def g(x): return x * x", "0 of 2 tests passed; the program does not define f"),
        ("def f(x) return x", "0 of 2 tests passed; the program stops with SyntaxError: expected ':' (line 1)"),
        ("I cannot write that.", "0 of 2 tests passed; the program stops with SyntaxError: invalid syntax (line 1)"),
        ("raise KeyboardInterrupt", "0 of 2 tests passed; the program stops with KeyboardInterrupt"),
        ("import sys; sys.exit(0)", "0 of 2 tests passed; the program stops with SystemExit: 0"),
        ("def f(x): exit()", "0 of 2 tests passed; first failure: “assert f(2) == 4” (NameError: name 'exit' is not defined)"),
        ("import numpy\ndef f(x): return x * x", "0 of 2 tests passed; the program stops with ModuleNotFoundError: No module named 'numpy'"),
        ("import os; os._exit(0)", "0 of 2 tests passed; first failure: “assert f(2) == 4” (the program ended the interpreter)"),
        ("def f(x):\n    if x == 3: __import__('os')._exit(0)\n    return 4", "1 of 2 tests passed; first failure: “assert f(3) == 9” (the program ended the interpreter)"),
        ("def f(x): return f(x)", "0 of 2 tests passed; first failure: “assert f(2) == 4” (RecursionError: maximum recursion depth exceeded)"),
    ],
)  # fmt: skip
def test_a_program_that_fails_scores_zero_and_says_where(answer: str, reason: str) -> None:
    assert SQUARE(answer, PROMPT) == Score(quality=0.0, reason=reason)


@pytest.mark.parametrize(
    ("answer", "tests"),
    [
        (f"{CLAIM}\ndef f(x): return Claim()", "assert f(2) == 4"),
        (f"{CLAIM}\ndef f(x): return Claim()", "assert not f(2) != 4"),
        (f"{CLAIM}\ndef f(x): return Claim()", "assert abs(f(2) - 4) < 1e-9"),
        (f"{CLAIM}\ndef f(x): return Claim()", "assert f(2) in (4, 5)"),
        (f"{CLAIM}\ndef f(x): return [Claim()]", "assert f(2) == [4]"),
        (f"{CLAIM}\ndef f(x): return {{'a': [Claim()]}}", "assert f(2) == {'a': [4]}"),
        (f"{CLAIM}\ndef f(x): return [Claim()]", "assert 4 in f(2)"),
        (f"{CLAIM}\ndef f(x): return Claim()", "for want in (4, 5):\n    assert f(2) == want"),
        (f"{CLAIM}\ndef f(x): return Claim()", "def test_f():\n    assert f(2) == 4"),
        ("class Claim(int):\n    __eq__ = lambda s, o: True\n    __hash__ = int.__hash__\ndef f(x): return Claim(1)", "assert f(2) == 4"),
        ("class Claim:\n    __eq__ = bool\ndef f(x): return Claim()", "assert f(2) == 4"),
        ("class M(type):\n    __eq__ = lambda s, o: True\n    __hash__ = type.__hash__\nclass C(metaclass=M): pass\ndef f(x): return C", "assert f(2) == 4"),
        ("import math\nmath.isclose = lambda *a: True\ndef f(x): return 7", "import math\nassert math.isclose(f(2), 4)"),
        ("def f(x):\n    import math\n    math.isclose = lambda *a: True\n    return 7", "from math import isclose\nassert isclose(f(2), 4)\nassert isclose(f(2), 4)"),
        ("import sys, types\nsys.modules['math'] = types.SimpleNamespace(isclose=lambda *a: True)\ndef f(x): return 7", "import math\nassert math.isclose(f(2), 4)"),
        ("import builtins\nbuiltins.abs = lambda x: 0\ndef f(x): return 7", "assert abs(f(2) - 4) < 1"),
        ("abs = lambda x: 0\ndef f(x): return 7", "assert abs(f(2) - 4) < 1"),
        ("def f(x):\n    import builtins\n    builtins.all = lambda x: True\n    return 7", "assert f(1)\nassert all(f(x) == 4 for x in (2,))"),
        ("import builtins\nbuiltins.isinstance = builtins.issubclass = lambda *a: False\ndef f(x): return 7", "assert f(2) == 4"),
        ("import builtins\nbuiltins.AssertionError = builtins.BaseException = KeyError\ndef f(x): return 7", "assert f(2) == 4"),
        ("import operator\noperator.eq = lambda a, b: True\ndef f(x): return 7", "assert f(2) == 4"),
        ("import __main__\nfor n in list(vars(__main__)):\n    setattr(__main__, n, lambda *a: True)\ndef f(x): return 7", "assert f(2) == 4"),
        ("import sys\nsys.settrace(lambda *a: None)\ndef f(x): return 4", "assert f(2) == 4"),
    ],
)  # fmt: skip
def test_a_program_cannot_pass_by_changing_what_equal_means(answer: str, tests: str) -> None:
    assert Code(tests=tests, entry="f")(answer, PROMPT).quality == 0


FORGED = '[\\"pass\\", 0, \\"\\"]\\n'


@pytest.mark.parametrize(
    "answer",
    [
        "print('2 of 2 tests passed')\nimport os; os._exit(0)",
        f'import os\nfor n in range(64):\n    try: os.write(n, b"{FORGED}0 {FORGED}")\n    except OSError: pass\nos._exit(0)',
        "import os\nos.closerange(0, 100)\ndef f(x): return x * x",
        "import sys\nprint(sys.stdin.read(), sys.argv)\nopen('/proc/self/fd/0').read()\ndef f(x): return x * x",
    ],
)
def test_a_program_cannot_pass_by_writing_its_own_report(answer: str) -> None:
    assert SQUARE(answer, PROMPT).quality == 0


@pytest.mark.parametrize(
    "deed",
    [
        "import socket; socket.socket()",
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')",
        "import os; os.fork()",
        "import os\nwhile True: os.fork()",
        "import os; os.system('true')",
        "import os; os.execv('/bin/true', ['true'])",
        "import os; os.posix_spawn('/bin/true', ['true'], {})",
        "import subprocess; subprocess.run(['true'])",
        "import multiprocessing as m; m.get_context('fork').Process(target=print).start()",
        "import os; os.kill(os.getppid(), 9)",
        "import os; os.killpg(0, 9)",
        "import ctypes; ctypes.string_at(0)",
        "open('x', 'w')",
        "open('/etc/passwd')",
        "import os; os.open('x', os.O_CREAT | os.O_WRONLY)",
        "import os; os.mkdir('x')",
        "import os; os.remove('/tmp/x')",
        "import pathlib; pathlib.Path('~').expanduser().joinpath('x').touch()",
        "import sqlite3; sqlite3.connect('x.db')",
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "import sys; sys.setprofile(print)",
        "import gc; gc.get_objects()",
    ],
)
@posix
def test_a_program_has_no_business_outside(deed: str) -> None:
    score = SQUARE(f"{deed}\n{RIGHT}", PROMPT)
    assert score.quality == 0
    assert "0 of 2 tests passed; the program stops with " in score.reason
    assert "is not allowed here" in score.reason or "URLError" in score.reason


def test_a_program_sees_no_environment_and_an_empty_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    program = "import os\ndef f(): return [sorted(os.environ), os.listdir('.')]"
    tests = "known, files = f()\nassert 'OPENAI_API_KEY' not in known\nassert len(known) < 10\nassert files == []"
    assert Code(tests=tests)(program, PROMPT).quality == 1


@posix
@pytest.mark.parametrize(
    "answer",
    [
        "while True: pass",
        "def f(x):\n    while True: pass",
        "def f(x):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        "while True: print('x' * 1_000_000)",
        "def f(x): return 9 ** 9 ** 9 ** 9",
        "import re\ndef f(x): return re.match('(a+)+$', 'a' * 60 + 'b')",
    ],
)
def test_a_program_that_never_ends_is_stopped(answer: str) -> None:
    score = Code(tests=TESTS, entry="f", cpu_s=1, wall_s=20)(answer, PROMPT)
    assert score.quality == 0
    assert "stopped at the limit of CPU time or memory" in score.reason or "MemoryError" in score.reason


def test_a_program_that_only_waits_is_stopped_by_the_clock() -> None:
    score = Code(tests=TESTS, entry="f", wall_s=0.5)("import time\ndef f(x): time.sleep(60)", PROMPT)
    assert score == Score(
        quality=0.0, reason="0 of 2 tests passed; first failure: “assert f(2) == 4” (stopped after 0.5 s)"
    )


@posix
@pytest.mark.parametrize(
    "answer", ["def f(x): return bytearray(10 ** 11)", "def f(x):\n    a = []\n    while True: a.append('x' * 10**6)"]
)
def test_a_program_that_wants_all_memory_does_not_get_it(answer: str) -> None:
    assert SQUARE(answer, PROMPT).reason == "0 of 2 tests passed; first failure: “assert f(2) == 4” (MemoryError)"


@posix
def test_nothing_is_left_running(tmp_path: Path) -> None:
    # The child tells its process group; when the scorer is back, no process of that group is there.
    group = Code(tests="import os\nassert os.getpgid(0) == f()", wall_s=0.5)(
        "import time\ndef f(): time.sleep(60)", PROMPT
    )
    assert group.quality == 0
    score = Code(
        tests="import os\nassert f() == os.getpid() == os.getpgid(0), str(os.getpid())\nassert not f(), str(f())"
    )(
        "import os, threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\ndef f(): return os.getpid()",
        PROMPT,
    )
    pid = int(score.reason.rpartition("AssertionError: ")[2].rstrip(")"))
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


@pytest.mark.parametrize(
    ("program", "tests", "entry", "reason"),
    [
        ("def f(xs): xs.sort()", "a = [3, 1]\nf(a)\nassert a == [1, 3]", "f", "1 of 1 tests passed"),
        ("def sum(xs): return 7", "assert sum([1]) == 7", "sum", "1 of 1 tests passed"),
        ("def f(x):\n    if x < 0: raise ValueError(x)\n    return x", "try:\n    f(-1)\n    assert False\nexcept ValueError:\n    pass", "f", "1 of 1 tests passed"),
        ("def f(x): return x", "def test_one():\n    assert f(1) == 1\ndef test_two():\n    assert f(1) == 2", "f", "1 of 2 tests passed; first failure: “def test_two(): assert f(1) == 2” (got 1)"),
        ("def f(x): return x", "def check(a, b):\n    assert a == b, 'no'\ncheck(f(1), 1)\nassert f(1) == 1", "f", "1 of 1 tests passed"),
        ("def f(x): return x", "assert f(1) == 1\nx = f(1) / 0\nassert f(x) == x", "f", "1 of 2 tests passed; first failure: “assert f(x) == x” (NameError: name 'x' is not defined)"),
        ("def f(x): return {'b': (1, 2.5)}", "assert 0 < f(1)['b'][0] <= 1 < f(1)['b'][1]\nassert f(1) == {'a': 1}", "f", "1 of 2 tests passed; first failure: “assert f(1) == {'a': 1}” (got {'b': (1, 2.5)})"),
        ("class V:\n    def __init__(self, x): self.x = x\n    def __eq__(self, o): return self.x == (o.x if isinstance(o, V) else o)\n    def __add__(self, o): return V(self.x + o.x)", "assert V(1) + V(2) == V(3)\nassert V(1) == 1\nassert V(1) != 2", "V", "3 of 3 tests passed"),
        ("from dataclasses import dataclass\n@dataclass(order=True)\nclass P:\n    x: int\ndef f(x): return P(x)", "assert f(2) == P(2)\nassert [f(2)] == [P(2)]\nassert f(1) < f(2)\nassert f(2).x == 2", "f", "4 of 4 tests passed"),
        ("from collections import namedtuple, Counter, OrderedDict, deque\nfrom fractions import Fraction\nfrom enum import IntEnum\nP = namedtuple('P', 'a b')\nclass C(IntEnum):\n    A = 1\ndef f(): return [P(1, 2), Counter('a'), OrderedDict(a=1), Fraction(1), C.A]", "assert f() == [(1, 2), {'a': 1}, {'a': 1}, 1, 1]", "f", "1 of 1 tests passed"),
        ("import random\nr = random.random()\ndef f(): return r", "assert f() == 0.8444218515250481", "f", "1 of 1 tests passed"),
        ("def f(): return list({'a', 'b', 'c', 'd'})", "import subprocess\nassert sorted(f()) == ['a', 'b', 'c', 'd']", "f", "1 of 1 tests passed"),
    ],
)  # fmt: skip
def test_tests_may_be_any_python(program: str, tests: str, entry: str, reason: str) -> None:
    assert Code(tests=tests, entry=entry)(program, PROMPT).reason == reason


def test_the_same_program_gets_the_same_verdict() -> None:
    program = "import random\ndef f(): return (random.random(), hash('a'), list({'x', 'y', 'z'}))"
    reasons = {Code(tests="assert not f()")(program, PROMPT).reason for _ in range(3)}
    assert len(reasons) == 1


def test_only_statements_with_an_assert_are_tests() -> None:
    tests = "import math\nx = 1\ndef check(a):\n    assert a\nclass T:\n    def test(self):\n        assert 1\nassert f(x)\nfor y in range(3):\n    assert f(y)"
    assert cases(tests) == ("assert f(x)", "for y in range(3):\n    assert f(y)")


@pytest.mark.parametrize(
    ("answer", "program"),
    [
        ("x = 1", "x = 1"),
        ("```\na\n```\n```python\nb\n```", "b\n"),
        ("```js\na\n```\n```\nb\n```", "b\n"),
        ("```js\na\n```", "a\n"),
        ("```{.python}\na\n```", "a\n"),
    ],
)
def test_the_program_is_the_first_python_block(answer: str, program: str) -> None:
    assert first_block(answer) == program
