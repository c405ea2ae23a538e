"""The code base tests itself: floors, names, sizes, what an import loads, and the order of the stages."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

import routelab
from routelab.chunking.corpora import Corpora
from routelab.config import RouteConfig
from routelab.core import errors, events
from routelab.retrieving import Libraries
from routelab.router import Router, Setting
from routelab.testing import Scripted, fleet

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "routelab"
MODULES = [p for p in sorted(PACKAGE.rglob("*.py")) if "_shipped" not in p.parts]
HEAVY = (
    "pandas",
    "plotly",
    "chromadb",
    "sklearn",
    "onnxruntime",
    "scipy",
    "statsmodels",
    "duckdb",
    "ipywidgets",
    "tiktoken",
    "httpx",
)


def test_no_two_test_files_have_one_name() -> None:
    # pytest imports them by their base names, and refuses the second one.
    names = sorted(p.name for p in (ROOT / "tests").rglob("*.py") if p.name != "conftest.py")
    assert [a for a, b in itertools.pairwise(names) if a == b] == []


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has after running the code."""
    script = f"{code}\nimport sys; print(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(out.stdout.split())


def test_importing_routelab_loads_nothing_heavy() -> None:
    assert loaded_by("import routelab").isdisjoint({*HEAVY, "numpy", "pydantic", "yaml", "IPython"})


def test_loading_the_extension_loads_nothing_heavy() -> None:
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "shell.extension_manager.load_extension('routelab')"
    )
    assert loaded_by(code).isdisjoint(HEAVY)


def test_every_public_name_is_there() -> None:
    assert [name for name in routelab.__all__ if getattr(routelab, name, None) is None] == []


def test_the_floors_hold() -> None:
    out = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert out.returncode == 0, out.stdout + out.stderr


def test_core_needs_only_the_standard_library_and_numpy() -> None:
    roots = set()
    for path in (PACKAGE / "core").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                roots |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                roots.add(node.module.split(".")[0])
    assert roots - set(sys.stdlib_module_names) == {"numpy", "routelab"}


def test_no_module_and_no_function_grows_too_large(record_property: pytest.RecordProperty) -> None:
    lengths = {p.relative_to(ROOT).as_posix(): len(p.read_text(encoding="utf-8").splitlines()) for p in MODULES}
    functions = {
        f"{p.relative_to(ROOT).as_posix()}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for p in MODULES
        for node in ast.walk(ast.parse(p.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    largest = max(lengths, key=lambda k: lengths[k])
    longest = max(functions, key=lambda k: functions[k])
    record_property("largest module", f"{largest}: {lengths[largest]} lines")
    record_property("longest function", f"{longest}: {functions[longest]} lines")
    print(
        f"\nlargest module {largest}: {lengths[largest]} lines; longest function {longest}: {functions[longest]} lines"
    )
    assert {k: n for k, n in lengths.items() if n > 500} == {}
    assert {k: n for k, n in functions.items() if n > 70} == {}


def test_no_room_has_a_name_that_says_nothing() -> None:
    nothing = {"utils", "helpers", "common", "base", "manager", "handler", "misc"}
    assert [p for p in MODULES if p.stem in nothing or p.parent.name in nothing] == []


def test_only_safe_loaders_are_used() -> None:
    banned = re.compile(r"yaml\.load\(|pickle\.load|read_pickle|torch\.load|(?<![\w.])eval\(|(?<![\w.])exec\(")
    found = {
        p.relative_to(ROOT).as_posix(): m.group(0)
        for p in MODULES
        # the scorer of code runs code, in a fenced child process, and says so
        if "scoring" not in p.parts and (m := banned.search(p.read_text(encoding="utf-8"))) is not None
    }
    assert found == {}


def test_the_tree_of_errors_is_drawn_completely() -> None:
    names = {n for n, c in vars(errors).items() if inspect.isclass(c) and issubclass(c, errors.RoutelabError)}
    drawn = set(re.findall(r"[A-Z]\w+", (errors.__doc__ or "").split("RoutelabError", 1)[1])) | {"RoutelabError"}
    assert names - drawn == set()


def test_every_event_is_a_past_participle_with_a_time() -> None:
    kinds = events.Event.__args__
    assert len(kinds) == 12
    assert all("at_s" in inspect.signature(kind).parameters for kind in kinds)


def test_the_flow_is_in_the_order_that_the_package_docstring_draws() -> None:
    libraries = Libraries(Corpora(given={"notes": ["a note"]}))

    def stages(cache: object, prompt: object = None, **sections: object) -> list[str]:
        config = RouteConfig(
            name="a",
            models=["m"],
            strategy={"kind": "fixed", "model": "m"},
            cache=cache,
            prompt=prompt or {"system": "be brief"},
            **sections,
        )
        router = Router(
            config, fleet=fleet({"m": Scripted(), "judge": Scripted()}), setting=Setting(libraries=libraries)
        )
        known = "retrieve|compress|render|fit|recall|confirm|route|call|remember|measure"
        return re.findall(rf"^\s+({known})$", router.describe(), re.MULTILINE)

    drawn = re.search(r"prompt ─► (.*?) ─┐", routelab.__doc__ or "")
    assert drawn is not None
    order = [name.replace("score", "measure") for name in drawn.group(1).split(" ─► ")]
    # What is drawn in brackets is there when the config asks for it.
    assert stages({"exact": True}) == [name for name in order if not name.startswith("(")]
    judged = {"semantic": {"threshold": 0.9, "guard": {"kind": "judge", "model": "judge"}, "embedder": "lexical"}}
    more = {"retrieval": {"corpus": "notes", "by": "words"}, "context": "none"}
    assert stages(judged, {"template": "plain@1", "compress": "whitespace"}, **more) == [
        name.strip("()") for name in order
    ]


def test_nothing_is_exported_that_does_not_say_what_it_does() -> None:
    silent = []
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or node.name.startswith("_"):
                continue
            if ast.get_docstring(node) is None:
                silent.append(f"{path.name}:{node.name}")
        if ast.get_docstring(tree) is None:
            silent.append(path.name)
    assert silent == []
