"""What runs in the child process of `routelab.scoring.code`: raises the fence, runs the program, then its tests.

This file is run as a script by a bare interpreter and imports the standard library only. It reads one JSON task from
standard input and writes lines ``nonce [kind, index, detail]`` to what was standard output.
"""

from __future__ import annotations

import ast
import builtins
import json
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


def raise_fence(folder: str, cpu_s: float, memory_mb: int) -> None:
    """Set the limits of this process and refuse, from now on, what a program under test has no business with."""
    try:
        import resource
    except ImportError:  # Windows has none
        pass
    else:
        seconds = int(cpu_s) + (cpu_s > int(cpu_s))
        for name, soft, hard in (
            ("RLIMIT_CPU", seconds, seconds + 1),
            ("RLIMIT_AS", memory_mb << 20, memory_mb << 20),
            ("RLIMIT_FSIZE", 1 << 20, 1 << 20),
            ("RLIMIT_NOFILE", 64, 64),
            ("RLIMIT_CORE", 0, 0),
        ):
            try:
                resource.setrlimit(getattr(resource, name), (soft, hard))
            except (ValueError, OSError):  # a system may know a limit and not allow it (macOS: RLIMIT_AS)
                continue
    refused = frozenset(f"{module}.{name}" for module, names in _REFUSED.items() for name in names.split())
    roots = tuple({os.path.realpath(p) + os.sep for p in (*filter(None, sys.path), folder, "/usr/share/zoneinfo")})
    devices = frozenset((os.devnull, "/dev/urandom", "/dev/random"))
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    realpath, decode, unix = os.path.realpath, os.fsdecode, 1

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
            raise PermissionError("sockets are not allowed here")

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


def comparer(trusted: frozenset[int], entries: Callable[[], tuple[type, ...]], seen: list[Any]) -> Callable[..., Any]:
    """Return the comparison that the tests use. `trusted` are the ids of classes that were there before the program."""
    import operator as o

    rich = {"Eq": o.eq, "NotEq": o.ne, "Lt": o.lt, "LtE": o.le, "Gt": o.gt, "GtE": o.ge}
    other = {
        "Is": o.is_,
        "IsNot": o.is_not,
        "In": lambda a, b: a in b,
        "NotIn": lambda a, b: a not in b,
    }

    def owner(kind: type, name: str) -> type:
        return next(c for c in type.mro(kind) if name in type.__dict__["__dict__"].__get__(c))

    def parts(value: Any) -> Iterator[Any]:
        stack, met = [value], 0
        while stack and met < 100_000:
            met += 1
            item = stack.pop()
            yield item
            if isinstance(item, dict):
                stack.extend(dict.keys(item))
                stack.extend(dict.values(item))
            else:
                for kind in (list, tuple, set, frozenset):
                    if issubclass(type(item), kind):
                        stack.extend(kind.__iter__(item))

    def strange(value: Any, name: str) -> type | None:
        for item in parts(value):
            kind = type(item)
            if kind not in _PLAIN and not stock(owner(kind, name)) and not issubclass(kind, entries()):
                return kind
        return None

    def stock(kind: type) -> bool:
        if id(kind) in trusted or kind is object:
            return True
        module = sys.modules.get(kind.__module__)
        return kind.__module__ in sys.stdlib_module_names and getattr(module, kind.__qualname__, None) is kind

    def compare(names: tuple[str, ...], *operands: Any) -> Any:
        result: Any = True
        for name, a, b in zip(names, operands, operands[1:], strict=False):
            if name in rich:
                method = {
                    "Eq": "__eq__",
                    "NotEq": "__ne__",
                    "Lt": "__lt__",
                    "LtE": "__le__",
                    "Gt": "__gt__",
                    "GtE": "__ge__",
                }[name]
                for x, y in ((a, b), (b, a)):
                    kind = strange(x, method) or (strange(x, "__eq__") if method == "__ne__" else None)
                    if kind is not None and type(y) is not type(x):
                        raise VouchingError(f"a {kind.__name__} compares itself")
            result = (rich.get(name) or other[name])(a, b)
            seen[:] = [a]
            if not result:
                break
        return result

    return compare


def told(value: Any) -> str:
    """Return a plain value in short, or its type; never calls a method that the program wrote."""
    if type(value) in (list, tuple, dict, set, frozenset):
        inner = list(value.items()) if type(value) is dict else list(value)
        if len(inner) > 20 or any(type(i) not in (*_PLAIN, tuple) for i in inner):
            return f"a {type(value).__name__} of {len(inner)}"
        if any(type(i) is tuple and any(type(j) not in _PLAIN for j in i) for i in inner):
            return f"a {type(value).__name__} of {len(inner)}"
    elif type(value) not in _PLAIN:
        return f"a {type(value).__name__}"
    if type(value) is int and value.bit_length() > 400:
        return "a very large int"
    if type(value) in (str, bytes) and len(value) > 200:
        value = value[:200]
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def trouble_of(error: BaseException) -> str:
    """Return an error in one short line."""
    name = type(error).__name__
    first = error.args[0] if error.args else ""
    text = first if type(first) is str else told(first) if error.args else ""
    if isinstance(error, SyntaxError):
        text = f"{text} (line {error.lineno})"
    line = "".join(c if c.isprintable() else " " for c in f"{name}: {text}" if text or c != ":")
    return line.rstrip(": ")[:160]


def main() -> None:
    """Read the task, raise the fence, run the program and the tests, report, and end at once."""
    task = json.loads(sys.stdin.buffer.read())
    os.ftruncate(0, 0)  # the nonce is in there
    out = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    tests = _Watch().visit(ast.parse(task["tests"], "tests"))
    ast.fix_missing_locations(tests)
    steps = [
        (
            any(isinstance(part, ast.Assert) for part in ast.walk(s)),
            compile(ast.Module([s], []), "tests", "exec", dont_inherit=True),
        )
        for s in tests.body
    ]
    say = _reporter(out, task["nonce"])
    fresh = dict(vars(builtins))
    program, entry = task["program"], task["entry"]
    raise_fence(os.getcwd(), task["cpu_s"], task["memory_mb"])
    del task
    _play(program, entry, steps, say, fresh)
    say("done", -1, "")
    os._exit(0)


def _reporter(out: int, nonce: str) -> Callable[[str, int, str], None]:
    write, dumps = os.write, json.dumps

    def say(kind: str, index: int, detail: str) -> None:
        write(out, f"{nonce} {dumps([kind, index, detail])}\n".encode())

    return say


def _play(
    program: str,
    entry: str | None,
    steps: list[tuple[bool, types.CodeType]],
    say: Callable[[str, int, str], None],
    fresh: dict[str, Any],
) -> None:
    trusted = frozenset(id(c) for c in _classes(object))
    clear, update, public = builtins.__dict__.clear, builtins.__dict__.update, vars
    module = types.ModuleType("answer")
    sys.modules["answer"] = module
    sys.modules["__main__"] = module
    run: Callable[..., None] = exec
    try:
        run(compile(program, "answer", "exec", dont_inherit=True), public(module))
    except BaseException as error:  # noqa: BLE001 - whatever the program does is the program's failure
        say("trouble", -1, f"the program stops with {trouble_of(error)}")
        return
    defined = public(module)
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
        clear()
        update(fresh)
        seen.clear()
        status, detail = "pass", ""
        try:
            run(step, space)
        except BaseException as error:  # noqa: BLE001 - a test that raises has failed, whatever it raised
            status = "fail"
            detail = trouble_of(error)
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
