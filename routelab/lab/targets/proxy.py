"""LiteLLM's proxy against our own router: the same questions, the same troubles, every answer made up in the models' place."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.values import Prompt, Tokens, draw
from routelab.lab.targets.address import address_of
from routelab.lab.targets.agreement import Check, Disagreement, Parity, clopper_pearson
from routelab.lab.targets.entries import Entries, entries_of
from routelab.lab.targets.litellm import params_of, variable_of
from routelab.lab.targets.lossy import Exported
from routelab.lab.targets.ours import TROUBLES, Question, ours
from routelab.stages import Endpoint
from routelab.strategies import Fixed

LEVEL = 0.999
"""Level of the intervals that decide whether a share is as it should be, divided by the number of shares."""
SHARE_PROMPTS = 500
"""How many questions at least measure shares: each draw is new, so prompts may repeat."""
CHILD = Path(__file__).parent / "child.py"

Found = Sequence[Mapping[str, Any]]
Ask = Callable[[Sequence[str], str, Mapping[str, str]], tuple[int, str, str]]
"""Runs the child: arguments, standard input, environment → exit code, output, error output."""


@dataclass(frozen=True, kw_only=True)
class _Case:
    """What is compared: a config, its table, who answers, and what is asked in which of three rounds."""

    config: RouteConfig
    entries: Entries
    endpoints: Mapping[str, Endpoint]
    plain: Sequence[Question]
    troubled: Sequence[Question]
    repeated: Sequence[Question]


def proxied(
    config: RouteConfig,
    endpoints: Mapping[str, Endpoint],
    exported: Exported,
    prompts: Sequence[Prompt],
    *,
    path: Path,
    ask: Ask,
) -> Parity:
    """Start the proxy on the file and compare whom it asks, how, at what cost, and what it remembers."""
    case = _case(config, endpoints, exported, prompts)
    questions = [*case.plain, *case.troubled, *case.repeated]
    said = [_said(q, calls=i < len(case.plain)) for i, q in enumerate(questions)]
    # -I: neither the working folder nor ours is on the path, where a litellm.py would be taken for the package.
    code, out, err = ask(
        ["-I", str(CHILD)], json.dumps({"config": str(path.resolve()), "questions": said}), _environment(endpoints)
    )
    if code != 0:
        last = (err.strip().splitlines() or ["it said nothing"])[-1]
        raise ConfigError(f"--verify: LiteLLM could not load {path}: {last}", hint="run it by hand: litellm --config")
    answers = json.loads(out)
    notes = [f"{len(questions):,} questions, offline; answers were made up in the models' place"]
    if answers["ignored"]:
        notes.append(f"LiteLLM ignores: {', '.join(answers['ignored'])}")
    checks, note = _checks(case, exported, answers["answers"])
    refused = int(answers["stranger"] != 200)
    checks.append(Check(name="a caller without a key is refused", n=1, agreed=refused))
    return Parity(target="litellm", version=answers["version"], checks=tuple(checks), notes=(*notes, *note))


def _case(
    config: RouteConfig, endpoints: Mapping[str, Endpoint], exported: Exported, prompts: Sequence[Prompt]
) -> _Case:
    entries = entries_of(config, endpoints)
    if entries.recogniser is not None and not any("_tasks_" in name for name in exported.files):
        entries = entries.without_recogniser()
    prompts = [*prompts, *uncovered(entries, prompts)]
    plain = [Question(prompt=p, called=entries.called(p.task)) for p in prompts]
    if entries.default.drawn:
        plain = [plain[i % len(plain)] for i in range(max(SHARE_PROMPTS, len(plain)))]
    repeated = [dataclasses.replace(q, cache=True) for q in plain[:20] for _ in range(2)] if config.cache.exact else []
    return _Case(
        config=config,
        entries=entries,
        endpoints=endpoints,
        plain=plain,
        troubled=list(_troubled(config, entries, prompts)),
        repeated=repeated,
    )


def _checks(case: _Case, exported: Exported, found: Found) -> tuple[list[Check], list[str]]:
    n, m = len(case.plain), len(case.plain) + len(case.troubled)
    checks: list[Check] = []
    notes: list[str] = []
    if case.entries.default.drawn:
        checks += _shares(case.entries, found[:n])
        if any(loss.field in ("fallbacks", "limits.retries") for loss in exported.lossy):
            notes.append(
                "who is asked after a drawn model fails was not compared: the file says that it cannot be equal"
            )
        else:
            checks.append(_after_draw(case, found[n:m]))
    else:
        wanted = ours(case.config, case.endpoints, [*case.plain, *case.troubled])
        checks.append(_compared("who is asked", case.plain, wanted[:n], found[:n]))
        checks.append(_compared("who is asked when models fail", case.troubled, wanted[n:], found[n:m]))
    checks += _costs(case, found[:n])
    checks.append(_requests(case, found[:n]))
    if case.repeated:
        checks.append(_remembered(case.repeated, found[m:]))
    return checks, notes


def uncovered(entries: Entries, prompts: Sequence[Prompt]) -> Iterator[Prompt]:
    """Yield some of the prompts again as if they were of the tasks, and of no task, that none of them is of."""
    seen = {prompt.task for prompt in prompts}
    for task in (None, *(entry.task for entry in entries.tasks)):
        if task not in seen:
            for prompt in prompts[:5]:
                yield dataclasses.replace(prompt, id=f"{prompt.id} as {task}", task=task)


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


def _compared(name: str, questions: Sequence[Question], wanted: Sequence[tuple[str, ...]], found: Found) -> Check:
    different = []
    for question, mine, theirs in zip(questions, wanted, found, strict=True):
        answered = mine[-1] if mine and mine[-1] not in question.fail else None
        if list(mine) != theirs["asked"] or answered != theirs["answered"]:
            trouble = theirs["refused"] or ([theirs["error"]] if theirs["error"] else [])
            said = " > ".join(theirs["asked"]) + "".join(f" ({t})" for t in trouble)
            different.append(Disagreement(prompt_id=question.prompt.id, ours=" > ".join(mine), theirs=said))
    return Check(name=name, n=len(questions), agreed=len(questions) - len(different), disagreements=tuple(different))


def _shares(entries: Entries, found: Found) -> list[Check]:
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


def _after_draw(case: _Case, found: Found) -> Check:
    """Compare who is asked after the draw: given the model that they drew first, the rest is decided."""
    kept = [(q, f) for q, f in zip(case.troubled, found, strict=True) if f["asked"]]
    wanted: dict[int, tuple[str, ...]] = {}
    for model in {f["asked"][0] for _, f in kept}:
        rows = [i for i, (_, f) in enumerate(kept) if f["asked"][0] == model]
        fixed = dataclasses.replace(case.config, strategy=Fixed(model=model), fleet=None)
        wanted |= dict(zip(rows, ours(fixed, case.endpoints, [kept[i][0] for i in rows]), strict=True))
    return _compared(
        "who is asked after the drawn model fails",
        [q for q, _ in kept],
        [wanted[i] for i in range(len(kept))],
        [f for _, f in kept],
    )


def _costs(case: _Case, found: Found) -> list[Check]:
    """Compare what LiteLLM says the made-up answers cost with our prices."""
    different, n = [], 0
    for question, answer in zip(case.plain, found, strict=True):
        model = answer["answered"]
        price = case.endpoints[model].model.price if model in case.endpoints else None
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


def _requests(case: _Case, found: Found) -> Check:
    """Compare what reaches the model: its name and address at the provider, sampling, time limit, the messages."""
    wanted = {
        name: {
            "model": f"openai/{endpoint.model.upstream}",  # for a model without an address, from the made-up variable
            **{
                k: v
                for k, v in params_of(endpoint)[0].items()
                if k == "api_base" or (k == "model" and "environ" not in v)
            },
            "temperature": case.config.prompt.temperature,
            "max_tokens": case.config.prompt.max_output_tokens,
            "timeout": case.config.limits.deadline_s,
            "max_retries": 0,
        }
        for name, endpoint in case.endpoints.items()
    }
    different = []
    for question, answer in zip(case.plain, found, strict=True):
        for call in answer["calls"][:1]:
            mine = {**wanted[call["name"]], "messages": _rendered(case.config, question)}
            theirs = {key: call.get(key) for key in mine}
            if theirs != mine:
                odd = [key for key in mine if mine[key] != theirs[key]]
                different.append(
                    Disagreement(
                        prompt_id=question.prompt.id,
                        ours=", ".join(f"{key}={mine[key]!r}" for key in odd),
                        theirs=", ".join(f"{key}={theirs[key]!r}" for key in odd),
                    )
                )
    return Check(
        name="how it is asked",
        n=len(case.plain),
        agreed=len(case.plain) - len(different),
        disagreements=tuple(different),
    )


def _rendered(config: RouteConfig, question: Question) -> list[dict[str, str]]:
    messages: list[dict[str, str]] = _said(question, calls=False)["messages"]
    if config.prompt.system is None:
        return messages
    return [{"role": "system", "content": config.prompt.system}, *(m for m in messages if m["role"] != "system")]


def _remembered(questions: Sequence[Question], found: Found) -> Check:
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
