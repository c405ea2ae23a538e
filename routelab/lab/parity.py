"""The exported file, loaded by the program it is for, against our own decisions: the same prompts, the same troubles.

What is compared is the whole sequence of models that are asked, not only the first: fallbacks and retries count. Our side is the
real Router over models that fail on purpose; the other side is the real gateway, in its own environment, offline.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from routelab import strict
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.values import Prompt
from routelab.fleet import Fleet
from routelab.lab.targets import Exported, endpoints_of
from routelab.lab.targets.agreement import Check, Disagreement, Parity
from routelab.lab.targets.ours import rankings
from routelab.lab.targets.proxy import proxied, uncovered
from routelab.lab.targets.reading import candidates
from routelab.lab.targets.vllmsr import read_entries
from routelab.stages import Endpoint

PYTHON_ENV: Mapping[str, str] = {"litellm": "ROUTELAB_LITELLM_PYTHON", "vllm-sr": "ROUTELAB_VLLMSR_PYTHON"}
PACKAGES: Mapping[str, str] = {"litellm": "'litellm[proxy]==1.106.2'", "vllm-sr": "'vllm-sr==0.4.0'"}
# The validator reads its own catalogue of models three times with PyYAML's slow parser, 9 s in all; the C one reads the same in 1 s.
VALIDATE = (
    "import runpy, yaml; yaml.SafeLoader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader); "
    "runpy.run_module('cli.main', run_name='__main__')"
)

__all__ = ["PYTHON_ENV", "Check", "Disagreement", "Parity", "python_of", "verify"]


def python_of(target: str, given: str | Path | None = None, environment: Mapping[str, str] | None = None) -> Path:
    """Return the Python that has the target's package: the argument, else the environment variable's; ConfigError says how to make one."""
    variable = PYTHON_ENV[target]
    found = str(given or (os.environ if environment is None else environment).get(variable) or "")
    folder = f"~/.routelab-{target}"
    hint = (
        f"python -m venv {folder} && {folder}/bin/pip install {PACKAGES[target]}; "
        f"then --python {folder}/bin/python or {variable}={folder}/bin/python"
    )
    if not found:
        raise ConfigError(f"--verify: no Python with {target} is named", hint=hint)
    path = Path(found).expanduser()
    if not path.is_file():
        raise ConfigError(f"--verify: there is no {path}", hint=hint)
    return path


def verify(
    config: RouteConfig,
    exported: Exported,
    path: str | Path,
    prompts: Sequence[Prompt],
    *,
    fleet: Fleet | None = None,
    python: str | Path | None = None,
) -> Parity:
    """Load the written file in its own program and return how far both agree on the prompts; calls no model.

    `python` is an interpreter that has the program, else the environment variable in `PYTHON_ENV` names one. ConfigError when there
    is none, or the program cannot load the file. LiteLLM's proxy is run; of vLLM-SR only the validator is in its package, and
    the picks are our own reading of the file.
    """
    interpreter = str(python_of(exported.to, python))
    endpoints = endpoints_of(config, fleet)
    if exported.to == "vllm-sr":
        return _validated(config, endpoints, Path(path), prompts, interpreter)
    return proxied(
        config,
        endpoints,
        exported,
        prompts,
        path=Path(path),
        ask=lambda arguments, text, environment: _run([interpreter, *arguments], text, environment),
    )


def _run(command: Sequence[str], text: str = "", environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Return exit code, output and error output of a program that sees none of our environment but the path."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "SYSTEMROOT") if name in os.environ}
    try:
        done = subprocess.run(
            list(command),
            input=text,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=600,
            env={**kept, "NO_COLOR": "1", **(environment or {})},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as trouble:
        raise ConfigError(f"--verify: {command[0]} did not run ({trouble})") from None
    return done.returncode, done.stdout, done.stderr


def _validated(
    config: RouteConfig,
    endpoints: Mapping[str, Endpoint],
    path: Path,
    prompts: Sequence[Prompt],
    interpreter: str,
) -> Parity:
    """Validate with the real package; the decisions are read by us, since the package does not hold the router."""
    about = "import importlib.metadata as m; print(m.version('vllm-sr'))"
    code, version, err = _run([interpreter, "-I", "-c", about])
    if code != 0:
        raise ConfigError(f"--verify: {interpreter} has no vllm-sr: {(err.strip().splitlines() or ['?'])[-1]}")
    code, out, err = _run([interpreter, "-I", "-c", VALIDATE, "config", "validate", "--config", str(path.resolve())])
    said = " ".join(line.strip() for line in (out + err).splitlines() if line.strip())
    refused = () if code == 0 else (Disagreement(prompt_id=path.name, ours="valid", theirs=said[:600]),)
    valid = Check(name="vllm-sr config validate", n=1, agreed=1 - len(refused), disagreements=refused)
    values = strict.read(path).values
    prompts = [*prompts, *uncovered(read_entries(config, endpoints), prompts)]
    pairs = zip(prompts, rankings(config, endpoints, prompts), strict=True)
    different = tuple(
        Disagreement(prompt_id=prompt.id, ours=" > ".join(mine), theirs=" > ".join(theirs))
        for prompt, mine in pairs
        if mine != (theirs := candidates(values, prompt))
    )
    read = Check(
        name="who is asked (read, not run)",
        n=len(prompts),
        agreed=len(prompts) - len(different),
        disagreements=different,
    )
    notes = ("the router itself was not run: picks are routelab's reading of the file by the documentation",)
    return Parity(target="vllm-sr", version=version.strip(), checks=(valid, read), notes=notes)
