"""The exported file, loaded by the program it is for, against our own decisions: the same prompts, the same troubles.

What is compared is the whole sequence of models that are asked, not only the first: fallbacks and retries count. Our side is the
real Router over models that fail on purpose; the other side is the real gateway, in its own environment, offline.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scipy.stats import beta

from routelab import strict
from routelab.config import RouteConfig
from routelab.core.errors import (
    AuthFailed,
    BadRequest,
    ConfigError,
    ContextExceeded,
    ModelNotFound,
    ProviderError,
    RateLimited,
    RunFailed,
    ServerFailed,
    TimedOut,
    Unreachable,
)
from routelab.core.events import Answered, Unanswered
from routelab.core.plan import NOBODY
from routelab.core.values import Model, Prompt, Reply, Request, Tokens, draw
from routelab.fleet import Fleet
from routelab.lab.targets import Exported, endpoints_of
from routelab.lab.targets.address import address_of
from routelab.lab.targets.entries import Entries, entries_of
from routelab.lab.targets.litellm import variable_of
from routelab.lab.targets.reading import candidates
from routelab.lab.targets.vllmsr import CALLED
from routelab.present import Table
from routelab.router import Router, Setting
from routelab.stages import Endpoint
from routelab.strategies import Fixed

PYTHON_ENV: Mapping[str, str] = {"litellm": "ROUTELAB_LITELLM_PYTHON", "vllm-sr": "ROUTELAB_VLLMSR_PYTHON"}
PACKAGES: Mapping[str, str] = {"litellm": "'litellm[proxy]==1.106.2'", "vllm-sr": "'vllm-sr==0.4.0'"}
TROUBLES: Mapping[str, Callable[[str], ProviderError]] = {
    "rate_limited": RateLimited,
    "server": ServerFailed,
    "overloaded": ServerFailed,
    "timeout": TimedOut,
    "unreachable": Unreachable,
    "auth": AuthFailed,
    "bad_request": BadRequest,
    "not_found": ModelNotFound,
    "context": ContextExceeded,
}
"""What a model may do on purpose, and what routelab calls it; the gateway's own name for it is in `targets/child.py`."""
LEVEL = 0.999
"""Level of the intervals that decide whether a share is as it should be, divided by the number of shares."""
SHARE_PROMPTS = 500
"""How many questions at least measure shares: each draw is new, so prompts may repeat."""


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A prompt that the two treat differently: who is asked, in order, on either side."""

    prompt_id: str
    ours: str
    theirs: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing compared n times; `interval` is a share's (Clopper–Pearson), `wanted` what it must contain."""

    name: str
    n: int
    agreed: int
    disagreements: tuple[Disagreement, ...] = ()
    wanted: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def ok(self) -> bool:
        """Whether everything agreed, or the wanted share lies in the interval; nothing compared is not agreement."""
        if self.interval is not None and self.wanted is not None:
            return self.interval[0] <= self.wanted <= self.interval[1]
        return self.n > 0 and self.agreed == self.n


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What a gateway made of an exported file: one check a row, what was not run, and which version it was."""

    target: str
    version: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    def table(self) -> Table:
        """Return one row a check, and the first prompts that disagree."""
        rows = []
        for check in self.checks:
            share = check.interval is not None and check.wanted is not None
            found = f"{check.agreed / check.n:.1%} of {check.n}" if check.n else "nothing compared"
            against = f"{check.wanted:.1%} wanted, [{check.interval[0]:.1%}, {check.interval[1]:.1%}]" if share else ""  # type: ignore[index]
            rows.append([check.name, found, against, "ok" if check.ok else "DIFFERS"])
        notes = [
            f"{check.name}: {d.prompt_id}: ours {d.ours}; theirs {d.theirs}"
            for check in self.checks
            for d in check.disagreements[:3]
        ]
        return Table(
            head=("check", "agreement", "interval", "verdict"),
            rows=rows,
            caption=f"{self.target} {self.version}: {'agrees' if self.ok else 'does not agree'} with routelab",
            notes=[*notes, *self.notes],
        )


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
    """Load the written file in its own program and return how far both agree on the prompts; calls no model."""
    interpreter = python_of(exported.to, python)
    endpoints = endpoints_of(config, fleet)
    if exported.to == "vllm-sr":
        return _vllmsr(config, endpoints, Path(path), prompts, interpreter)
    return _litellm(config, endpoints, Path(path), prompts, interpreter, exported)


def run(
    command: Sequence[str], *, stdin: str = "", environment: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Return exit code, output and error output of a program that sees none of our environment but the path."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "SYSTEMROOT") if name in os.environ}
    try:
        done = subprocess.run(
            list(command),
            input=stdin,
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


# vLLM Semantic Router


def _vllmsr(
    config: RouteConfig,
    endpoints: Mapping[str, Endpoint],
    path: Path,
    prompts: Sequence[Prompt],
    interpreter: Path,
) -> Parity:
    """Validate with the real package; the decisions are read by us, since the package does not hold the router."""
    about = "import importlib.metadata as m; print(m.version('vllm-sr'))"
    code, version, err = run([str(interpreter), "-I", "-c", about])
    if code != 0:
        raise ConfigError(f"--verify: {interpreter} has no vllm-sr: {(err.strip().splitlines() or ['?'])[-1]}")
    code, out, err = run(
        [str(interpreter), "-I", "-m", "cli.main", "config", "validate", "--config", str(path.resolve())]
    )
    said = " ".join(line.strip() for line in (out + err).splitlines() if line.strip())
    refused = () if code == 0 else (Disagreement(prompt_id=path.name, ours="valid", theirs=said[:600]),)
    checks = [Check(name="vllm-sr config validate", n=1, agreed=1 - len(refused), disagreements=refused)]
    values = strict.read(path).values
    questions = [Question(prompt=prompt, called=CALLED) for prompt in prompts]
    plans = ours(config, endpoints, questions)
    ranked = Router(
        dataclasses.replace(config, fleet=None), fleet=_staged(endpoints), setting=Setting(cache=False)
    ).plan(prompts)
    different = []
    for i, (question, first) in enumerate(zip(questions, plans, strict=True)):
        mine = tuple(config.names[m] for m in ranked.order[i] if m != NOBODY)
        theirs = candidates(values, question.prompt)
        if mine != theirs or first[0] != theirs[0]:
            different.append(
                Disagreement(prompt_id=question.prompt.id, ours=" > ".join(mine), theirs=" > ".join(theirs))
            )
    checks.append(
        Check(
            name="who is asked (read, not run)",
            n=len(prompts),
            agreed=len(prompts) - len(different),
            disagreements=tuple(different),
        )
    )
    notes = ("the router itself was not run: picks are routelab's reading of the file by the documentation",)
    return Parity(target="vllm-sr", version=version.strip(), checks=tuple(checks), notes=notes)


# LiteLLM


@dataclass(frozen=True, kw_only=True)
class Question:
    """A prompt, the name it is asked under, and which models fail for it (model → kind of trouble)."""

    prompt: Prompt
    called: str
    fail: Mapping[str, str] = field(default_factory=dict)
    cache: bool = False


def _litellm(
    config: RouteConfig,
    endpoints: Mapping[str, Endpoint],
    path: Path,
    prompts: Sequence[Prompt],
    interpreter: Path,
    exported: Exported,
) -> Parity:
    entries = entries_of(config, endpoints)
    if exported.to == "litellm" and not exported.files:
        entries = entries.without_recogniser() if entries.recogniser is not None else entries
    plain = [Question(prompt=p, called=entries.called(p.task)) for p in prompts]
    if entries.default.drawn:
        plain = [plain[i % len(plain)] for i in range(max(SHARE_PROMPTS, len(plain)))]
    troubled = list(_troubled(config, entries, prompts))
    repeated = [dataclasses.replace(q, cache=True) for q in plain[:20] for _ in range(2)] if config.cache.exact else []
    questions = [*plain, *troubled, *repeated]
    given = {
        "config": str(path.resolve()),
        "questions": [_said(q, calls=i < len(plain)) for i, q in enumerate(questions)],
    }
    child = Path(__file__).parent / "targets" / "child.py"
    code, out, err = run(
        # -I: neither the working folder nor ours is on the path, where a litellm.py would be taken for the package.
        [str(interpreter), "-I", str(child)],
        stdin=json.dumps(given),
        environment=_environment(endpoints),
    )
    if code != 0:
        last = (err.strip().splitlines() or ["it said nothing"])[-1]
        raise ConfigError(f"--verify: LiteLLM could not load {path}: {last}", hint="run it by hand: litellm --config")
    answers = json.loads(out)
    found = answers["answers"]
    n, m = len(plain), len(plain) + len(troubled)
    notes = [
        f"{len(plain) + len(troubled) + len(repeated):,} questions, offline; answers were made up in the models' place"
    ]
    if answers["ignored"]:
        notes.append(f"LiteLLM ignores: {', '.join(answers['ignored'])}")
    checks: list[Check] = []
    if entries.default.drawn:
        checks += _shares(entries, found[:n])
        if any(i.field in ("fallbacks", "limits.retries") for i in exported.lossy):
            notes.append(
                "who is asked after a drawn model fails was not compared: the file says that it cannot be equal"
            )
        elif troubled:
            checks.append(_after_draw(config, endpoints, troubled, found[n:m]))
    else:
        checks.append(_sequences("who is asked", config, endpoints, plain, found[:n]))
        if troubled:
            checks.append(_sequences("who is asked when models fail", config, endpoints, troubled, found[n:m]))
    checks += _costs(endpoints, plain, found[:n])
    checks.append(_requests(config, plain, found[:n]))
    if repeated:
        checks.append(_remembered(repeated, found[m:]))
    return Parity(target="litellm", version=answers["version"], checks=tuple(checks), notes=tuple(notes))


def _said(question: Question, *, calls: bool) -> dict[str, Any]:
    messages = [{"role": m.role, "content": m.content} for m in question.prompt.messages]
    return {
        "model": question.called,
        "messages": messages,
        "fail": dict(question.fail),
        "cache": question.cache,
        "calls": calls,
    }


def _environment(endpoints: Mapping[str, Endpoint]) -> dict[str, str]:
    """Return what the file reads from the environment, made up: no key of ours reaches the other program."""
    values = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": "sk-made-up", "LITELLM_LOG": "ERROR"}
    for endpoint in endpoints.values():
        address = address_of(endpoint)
        if address is None:
            values[variable_of(endpoint.model.name)] = f"openai/{endpoint.model.upstream}"
            values["OPENAI_API_KEY"] = "made-up"
        elif address.key_env is not None:
            values[address.key_env] = "made-up"
    return values


def _troubled(config: RouteConfig, entries: Entries, prompts: Sequence[Prompt]) -> Iterator[Question]:
    """Yield one question a prompt in which the first, the first two, or all models of its ranking fail, each in some way."""
    kinds = tuple(TROUBLES)
    for prompt in prompts:
        called = entries.called(prompt.task)
        u, v = draw(0, "trouble", prompt.id), draw(0, "kind", prompt.id)
        depth = 1 if u < 0.6 else 2 if u < 0.9 else len(config.names)
        ranking = _ranking(config, entries, prompt)
        fail = {model: kinds[int((v * len(kinds) + i) % len(kinds))] for i, model in enumerate(ranking[:depth])}
        yield Question(prompt=prompt, called=called, fail=fail)


def _ranking(config: RouteConfig, entries: Entries, prompt: Prompt) -> tuple[str, ...]:
    if entries.default.drawn:
        return (*entries.default.shares, *(m for m in config.names if m not in entries.default.shares))
    task = prompt.task
    if entries.recogniser is not None and (task is None or not entries.asks_callers):
        task = entries.recogniser.task(prompt)[0]
    return next((e.ranking for e in entries.tasks if e.task == task), entries.default.ranking)


@dataclass(frozen=True)
class _Stage:
    """Answers in the models' place, or fails as the question says; a prompt's tags carry which models fail how."""

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        """Return the model's name, or raise the trouble that the prompt's tags name."""
        kind = request.prompt.tags.get(f"fail:{request.model.name}")
        if kind is not None:
            raise TROUBLES[kind](f"{request.model.name}: made up")
        return Reply(
            text=request.model.name,
            served_model=request.model.name,
            tokens=Tokens(input=1, output=1, source="usage"),
            latency_s=0.0,
        )


class _Nothing:
    """Counts no tokens: nothing here is about them."""

    def count(self, text: str, model: Model) -> Tokens:
        """Return one token."""
        return Tokens(input=1, source="estimate")


def _staged(endpoints: Mapping[str, Endpoint]) -> Fleet:
    stage = _Stage()
    staged = {name: Endpoint(model=e.model, provider=stage) for name, e in endpoints.items()}
    return Fleet(endpoints=staged, counter=_Nothing(), pace=0.0)


def ours(
    config: RouteConfig, endpoints: Mapping[str, Endpoint], questions: Sequence[Question]
) -> list[tuple[str, ...]]:
    """Return who our own router asks for each question, in order, with the same troubles."""
    # Neither the cache nor the budget is what is compared here.
    bare = dataclasses.replace(config, limits=dataclasses.replace(config.limits, budget_usd=None), fleet=None)
    router = Router(bare, fleet=_staged(endpoints), setting=Setting(cache=False))
    asked = [
        dataclasses.replace(q.prompt, scorer=None, tags={f"fail:{m}": kind for m, kind in q.fail.items()})
        for q in questions
    ]
    answers = router.many(asked)
    for answer in answers:
        if answer.error is not None and not isinstance(answer.error, (ProviderError, RunFailed)):
            raise answer.error
    return [tuple(e.model for e in a.run.events if isinstance(e, (Answered, Unanswered))) for a in answers]


def _sequences(
    name: str,
    config: RouteConfig,
    endpoints: Mapping[str, Endpoint],
    questions: Sequence[Question],
    found: Sequence[Mapping[str, Any]],
) -> Check:
    return _compared(name, questions, ours(config, endpoints, questions), found)


def _compared(
    name: str, questions: Sequence[Question], wanted: Sequence[tuple[str, ...]], found: Sequence[Mapping[str, Any]]
) -> Check:
    different = []
    for question, mine, theirs in zip(questions, wanted, found, strict=True):
        answered = mine[-1] if mine and mine[-1] not in question.fail else None
        if list(mine) != theirs["asked"] or answered != theirs["answered"]:
            trouble = theirs["refused"] or ([theirs["error"]] if theirs["error"] else [])
            said = " > ".join(theirs["asked"]) + "".join(f" ({t})" for t in trouble)
            different.append(Disagreement(prompt_id=question.prompt.id, ours=" > ".join(mine), theirs=said))
    return Check(name=name, n=len(questions), agreed=len(questions) - len(different), disagreements=tuple(different))


def _shares(entries: Entries, found: Sequence[Mapping[str, Any]]) -> list[Check]:
    first = [answer["asked"][0] if answer["asked"] else None for answer in found]
    shares = entries.default.shares
    checks = []
    for model, wanted in shares.items():
        k, n = first.count(model), len(first)
        checks.append(
            Check(
                name=f"share of {model}",
                n=n,
                agreed=k,
                wanted=wanted,
                interval=clopper_pearson(k, n, level=1 - (1 - LEVEL) / len(shares)),
            )
        )
    stray = sum(model not in shares for model in first)
    return [*checks, Check(name="nobody else is asked first", n=len(first), agreed=len(first) - stray)]


def clopper_pearson(k: int, n: int, *, level: float) -> tuple[float, float]:
    """Return the exact interval of a share, k of n (Clopper and Pearson, Biometrika 1934).

    >>> clopper_pearson(0, 10, level=0.95)[0], round(clopper_pearson(0, 10, level=0.95)[1], 4)
    (0.0, 0.3085)
    """
    tail = (1 - level) / 2
    low = 0.0 if k == 0 else float(beta.ppf(tail, k, n - k + 1))
    high = 1.0 if k == n else float(beta.ppf(1 - tail, k + 1, n - k))
    return low, high


def _after_draw(
    config: RouteConfig,
    endpoints: Mapping[str, Endpoint],
    questions: Sequence[Question],
    found: Sequence[Mapping[str, Any]],
) -> Check:
    """Compare who is asked after the draw: given the model that they drew first, the rest is decided."""
    kept = [(q, f) for q, f in zip(questions, found, strict=True) if f["asked"]]
    wanted: dict[int, tuple[str, ...]] = {}
    for model in {f["asked"][0] for _, f in kept}:
        rows = [i for i, (_, f) in enumerate(kept) if f["asked"][0] == model]
        fixed = dataclasses.replace(config, strategy=Fixed(model=model), fleet=None)
        wanted |= dict(zip(rows, ours(fixed, endpoints, [kept[i][0] for i in rows]), strict=True))
    return _compared(
        "who is asked after the drawn model fails",
        [q for q, _ in kept],
        [wanted[i] for i in range(len(kept))],
        [f for _, f in kept],
    )


def _costs(
    endpoints: Mapping[str, Endpoint], questions: Sequence[Question], found: Sequence[Mapping[str, Any]]
) -> list[Check]:
    """Compare what LiteLLM says the made-up answers cost with our prices."""
    different, n = [], 0
    for question, answer in zip(questions, found, strict=True):
        model = answer["answered"]
        price = endpoints[model].model.price if model in endpoints else None
        if price is None:
            continue
        n += 1
        wanted = price.cost_usd(Tokens(input=answer["tokens"][0], output=answer["tokens"][1]))
        theirs = answer["cost_usd"]
        if wanted is None or theirs is None or abs(wanted - theirs) > 1e-12 + 1e-9 * wanted:
            different.append(Disagreement(prompt_id=question.prompt.id, ours=f"{wanted} USD", theirs=f"{theirs} USD"))
    if n == 0:
        return []
    return [Check(name="what it costs", n=n, agreed=n - len(different), disagreements=tuple(different))]


def _requests(config: RouteConfig, questions: Sequence[Question], found: Sequence[Mapping[str, Any]]) -> Check:
    """Compare the sampling and the time limit that reach the model."""
    wanted = {
        "temperature": config.prompt.temperature,
        "max_tokens": config.prompt.max_output_tokens,
        "timeout": config.limits.deadline_s,
        "max_retries": 0,
    }
    different = []
    for question, answer in zip(questions, found, strict=True):
        for call in answer["calls"][:1]:
            given = {key: call.get(key) for key in wanted}
            if given != wanted:
                different.append(Disagreement(prompt_id=question.prompt.id, ours=f"{wanted}", theirs=f"{given}"))
    return Check(
        name="how it is asked", n=len(questions), agreed=len(questions) - len(different), disagreements=tuple(different)
    )


def _remembered(questions: Sequence[Question], found: Sequence[Mapping[str, Any]]) -> Check:
    """Check that the second time, nobody is asked."""
    again = [(q, f) for i, (q, f) in enumerate(zip(questions, found, strict=True)) if i % 2 == 1]
    different = [
        Disagreement(prompt_id=q.prompt.id, ours="remembered", theirs=" > ".join(f["asked"]) or str(f["error"]))
        for q, f in again
        if f["asked"] or f["answered"] is None
    ]
    return Check(
        name="remembered the second time",
        n=len(again),
        agreed=len(again) - len(different),
        disagreements=tuple(different),
    )
