"""What runs in the child process of `routelab.scoring.code`: raises the fence, runs the program, then its tests.

This file is run as a script by a bare interpreter and imports the standard library only. It reads one JSON task from
standard input and writes lines ``nonce [kind, index, detail]`` to what was standard output.
"""

from __future__ import annotations

import ast
import builtins
import collections
import contextlib
import importlib
import json
import operator
import os
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

_COMPARE = "__routelab_compare__"
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_REFUSED = {
    "os": "fork forkpty exec posix_spawn spawn system startfile kill killpg remove rename mkdir rmdir chmod chown link "
    "symlink truncate utime setxattr",
    "socket": "connect bind sendto sendmsg getaddrinfo gethostbyname gethostbyaddr",
    "sys": "settrace setprofile _current_frames _current_exceptions",
    "gc": "get_objects get_referrers get_referents",
    "ctypes": "dlopen dlsym",
    "resource": "setrlimit prlimit",
    "signal": "pthread_kill",
    "subprocess": "Popen",
    "pty": "spawn",
    "shutil": "rmtree",
    "syslog": "openlog",
}
"""Audit events that are refused, by module."""
_BLUNTED = {
    "_posixsubprocess": "fork_exec",
    "_signal": "pidfd_send_signal",
    "signal": "pidfd_send_signal",
    "os": "mkfifo mknod setsid",
    "posix": "mkfifo mknod setsid",
}
"""Functions that no audit event announces, by module."""
_CONTAINERS = (list, tuple, set, frozenset, collections.deque)
_COMPARISONS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "Eq": ("__eq__", operator.eq),
    "NotEq": ("__eq__ __ne__", operator.ne),
    "Lt": ("__lt__ __gt__", operator.lt),
    "LtE": ("__le__ __ge__", operator.le),
    "Gt": ("__gt__ __lt__", operator.gt),
    "GtE": ("__ge__ __le__", operator.ge),
    "In": ("__eq__", lambda a, b: a in b),
    "NotIn": ("__eq__", lambda a, b: a not in b),
    "Is": ("", operator.is_),
    "IsNot": ("", operator.is_not),
}
"""What a comparison is called in a syntax tree: the methods that may decide it, and the comparison."""


def limit(cpu_s: float, memory_mb: int) -> None:
    """Limit this process's CPU time, memory, file size and open files, as far as the system can."""
    try:
        import resource
    except ImportError:  # Windows has none
        return
    seconds = int(cpu_s) + (cpu_s > int(cpu_s))
    for name, soft, hard in (
        ("RLIMIT_CPU", seconds, seconds + 1),
        ("RLIMIT_AS", memory_mb << 20, memory_mb << 20),
        ("RLIMIT_FSIZE", 1 << 20, 1 << 20),
        ("RLIMIT_NOFILE", 64, 64),
        ("RLIMIT_CORE", 0, 0),
    ):
        # A system may know a limit and not allow it (macOS: RLIMIT_AS).
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (soft, hard))


def raise_fence(folder: str) -> None:
    """Refuse, from now on, what a program under test has no business with; only `folder` and the library can be read."""
    refused = frozenset(f"{module}.{name}" for module, names in _REFUSED.items() for name in names.split())
    roots = tuple({os.path.realpath(p) + os.sep for p in (*filter(None, sys.path), folder, "/usr/share/zoneinfo")})
    devices = frozenset((os.devnull, "/dev/urandom", "/dev/random"))
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    realpath, decode, unix = os.path.realpath, os.fsdecode, 1
    silent = frozenset(("_dbm", "_gdbm", "_posixshmem"))  # they open files without an audit event

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event in refused:
            raise PermissionError(f"{event} is not allowed here")
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, int):
                return
            path = decode(path)
            if path in devices:
                return
            writes = any(c in mode for c in "wxa+") if isinstance(mode, str) else bool((flags or 0) & writing)
            if writes or not realpath(path).startswith(roots):
                raise PermissionError(f"opening {path!r} is not allowed here")
        elif event == "socket.__new__" and arguments[1] != unix:  # asyncio needs a socket pair to itself
            raise PermissionError("a socket is not allowed here")
        elif event == "sqlite3.connect" and arguments[0] not in (":memory:", b":memory:"):
            raise PermissionError("a database file is not allowed here")
        elif event == "import" and arguments[0] in silent:
            raise ImportError(f"{arguments[0]} is not allowed here")

    def blunt(*arguments: Any, **more: Any) -> Any:
        raise PermissionError("this is not allowed here")

    for module, names in _BLUNTED.items():
        with contextlib.suppress(ImportError):
            blunted = importlib.import_module(module)
            for name in names.split():
                if hasattr(blunted, name):
                    setattr(blunted, name, blunt)
    sys.addaudithook(refuse)


class _Watch(ast.NodeTransformer):
    """Makes every comparison of the tests a call, so that an object cannot vouch for itself."""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        names = ast.Tuple([ast.Constant(type(op).__name__) for op in node.ops], ast.Load())
        call = ast.Call(ast.Name(_COMPARE, ast.Load()), [names, node.left, *node.comparators], [])
        return ast.copy_location(call, node)


class VouchingError(AssertionError):
    """A value compares itself by a method that the program wrote."""


def comparer(trusted: dict[int, type], entries: Callable[[], tuple[type, ...]], seen: list[Any]) -> Callable[..., Any]:
    """Return the comparison that the tests use; it leaves the left side of the latest one in `seen`.

    `trusted` are the classes that were there before the program, by id; it keeps them alive, so that no class of
    the program can get the id of one that is gone. An object of a class that the program wrote may be compared with
    objects of that class, by the method that the program gave it, and with others only if the class is the entry
    itself: else `f(2) == 4` would ask the program's own `__eq__` whether it is 4.
    """
    mro, own = type.__dict__["__mro__"].__get__, type.__dict__["__dict__"].__get__

    def stock(kind: type) -> bool:
        if id(kind) in trusted:
            return True
        module = sys.modules.get(kind.__module__)
        return kind.__module__ in sys.stdlib_module_names and getattr(module, kind.__qualname__, None) is kind

    def vouches(value: Any, method: str) -> bool:
        kind = type(value)
        return kind not in _PLAIN and not stock(next(c for c in mro(kind) if method in own(c)))

    def check(method: str, a: Any, b: Any) -> None:
        for these, those in ((a, b), (b, a)):
            strangers = {type(part) for part in _parts(these) if vouches(part, method)}
            if strangers:
                known = {type(part) for part in _parts(those)}.union(*map(mro, entries()))
                for kind in strangers - known:
                    if not set(mro(kind)).intersection(entries()):
                        raise VouchingError(f"a {kind.__name__} compares itself")

    def compare(names: tuple[str, ...], *operands: Any) -> Any:
        result: Any = True
        for name, a, b in zip(names, operands, operands[1:], strict=False):
            method, apply = _COMPARISONS[name]
            for asked in method.split():
                check(asked, a, b)
            result = apply(a, b)
            seen[:] = [a]
            if not result:
                break
        return result

    return compare


def _parts(value: Any) -> Iterator[Any]:
    """Yield the value and what is in it, through lists, tuples, sets, dicts and deques, at most 100,000 things."""
    stack, met = [value], 0
    while stack and met < 100_000:
        met += 1
        item = stack.pop()
        yield item
        if isinstance(item, dict):
            stack.extend(dict.keys(item))
            stack.extend(dict.values(item))
        else:
            kind = next((k for k in _CONTAINERS if issubclass(type(item), k)), None)
            if kind is not None:
                stack.extend(kind.__iter__(item))


def told(value: Any) -> str:
    """Return a plain value in short, or what type it is of; never calls a method that the program wrote."""
    kind = type(value)
    if kind in (str, bytes) and len(value) > 200:
        value = value[:200]
    if _literal(value, 3):
        text = repr(value)
        return text if len(text) <= 80 else text[:79] + "…"
    return f"a {kind.__name__}" + (f" of {len(value)}" if kind in (list, tuple, set, frozenset, dict) else "")


def _literal(value: Any, depth: int) -> bool:
    kind = type(value)
    if kind is int:
        return bool(value.bit_length() <= 400)
    if kind in (str, bytes):
        return len(value) <= 200
    if kind is dict:
        value = [*value.keys(), *value.values()]
    elif kind not in (list, tuple, set, frozenset):
        return kind in _PLAIN
    return depth > 0 and len(value) <= 40 and all(_literal(part, depth - 1) for part in value)


def trouble_of(error: BaseException) -> str:
    """Return an error in one short line."""
    name = type(error).__name__
    first = error.args[0] if error.args else ""
    text = first if type(first) is str else told(first) if error.args else ""
    if isinstance(error, SyntaxError):
        text = f"{text} (line {error.lineno})"
    line = "".join(c if c.isprintable() else " " for c in f"{name}: {text}" if text or c != ":")
    return line.rstrip(": ")[:160]


def tested(statement: ast.stmt) -> bool:
    """Say whether a top-level statement of the tests is a test: an assert is in it, and if it is a function it is called test…

    A function that is not called test… prepares; so does a class.
    """
    if isinstance(statement, (ast.ClassDef, ast.AsyncFunctionDef)):
        return False
    if isinstance(statement, ast.FunctionDef) and not statement.name.startswith("test"):
        return False
    return any(isinstance(part, ast.Assert) for part in ast.walk(statement))


def imported(tree: ast.Module) -> list[str]:
    """Return the modules that the tests import."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.append(node.module)
    return names


def main() -> None:
    """Read the task, raise the fence, run the program and the tests, report, and end at once."""
    task = json.loads(sys.stdin.buffer.read())
    os.ftruncate(0, 0)  # the nonce is in there
    out = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    tree = ast.parse(task["tests"], "tests")
    for name in imported(tree):
        with contextlib.suppress(ImportError):  # the test itself will say so
            importlib.import_module(name)
    steps: list[tuple[bool, types.CodeType]] = []
    for statement in tree.body:
        body: list[ast.stmt] = [_Watch().visit(statement)]
        counted = tested(statement)
        if counted and isinstance(statement, ast.FunctionDef):
            body.append(ast.Expr(ast.Call(ast.Name(statement.name, ast.Load()), [], [])))
        module = ast.fix_missing_locations(ast.Module(body, []))
        steps.append((counted, compile(module, "tests", "exec", dont_inherit=True)))
    say = _reporter(out, task["nonce"])
    restore = _restorer(["builtins", *imported(tree)])
    program, entry = task["program"], task["entry"]
    limit(task["cpu_s"], task["memory_mb"])
    raise_fence(os.getcwd())
    if "random" in program:  # the same program gets the same verdict
        importlib.import_module("random").seed(0)
    del task
    _play(program, entry, steps, say, restore)
    say("done", -1, "")
    os._exit(0)


def _reporter(out: int, nonce: str) -> Callable[[str, int, str], None]:
    write, dumps = os.write, json.dumps

    def say(kind: str, index: int, detail: str) -> None:
        write(out, f"{nonce} {dumps([kind, index, detail])}\n".encode())

    return say


def _restorer(names: list[str]) -> Callable[[], None]:
    """Return a function that puts the modules back to what they are now, whatever the program did to them."""
    modules = {name: sys.modules[name] for name in names if name in sys.modules}
    contents = {name: dict(vars(module)) for name, module in modules.items()}
    table = sys.modules

    def restore() -> None:
        for name, module in modules.items():
            table[name] = module
            space = module.__dict__
            dict.update(space, contents[name])

    return restore


def _play(
    program: str,
    entry: str | None,
    steps: list[tuple[bool, types.CodeType]],
    say: Callable[[str, int, str], None],
    restore: Callable[[], None],
) -> None:
    trusted = {id(c): c for c in _classes(object)}
    fresh = dict(vars(builtins))
    run: Callable[..., None] = exec
    module = types.ModuleType("answer")
    sys.modules["answer"] = sys.modules["__main__"] = module
    defined = vars(module)
    try:
        run(compile(program, "answer", "exec", dont_inherit=True), defined)
    except BaseException as error:  # noqa: BLE001 - whatever the program does is the program's failure
        say("trouble", -1, f"the program stops with {trouble_of(error)}")
        return
    if entry is not None and entry not in defined:
        say("trouble", -1, f"the program does not define {entry}")
        return

    def entries() -> tuple[type, ...]:
        value = defined.get(entry) if entry is not None else None
        return (value,) if isinstance(value, type) else ()

    seen: list[Any] = []
    # The tests see what the program defines, except that a built-in stays what it was (unless it is the entry).
    space = {k: v for k, v in defined.items() if k == entry or k not in fresh}
    space.update({"__builtins__": fresh, "__name__": "tests", _COMPARE: comparer(trusted, entries, seen)})
    index = 0
    for counted, step in steps:
        restore()
        seen.clear()
        status, detail = "pass", ""
        try:
            run(step, space)
        except BaseException as error:  # noqa: BLE001 - a test that raises has failed, whatever it raised
            status, detail = "fail", trouble_of(error)
            if type(error) is AssertionError and not error.args and seen:
                detail = f"got {told(seen[0])}"
        if counted:
            say(status, index, detail)
            index += 1


def _classes(root: type) -> Iterator[type]:
    met: set[type] = {root}
    stack = [root]
    while stack:
        kind = stack.pop()
        yield kind
        subs: list[type] = type.__subclasses__(kind)
        for sub in subs:
            if sub not in met:
                met.add(sub)
                stack.append(sub)


if __name__ == "__main__":
    # Once more, with built-ins of its own: what the program does to the module `builtins` does not reach this code.
    with open(__file__, encoding="utf-8") as source:
        space: dict[str, Any] = {"__builtins__": dict(vars(builtins)), "__name__": "fence"}
        exec(compile(source.read(), __file__, "exec"), space)
    space["main"]()
