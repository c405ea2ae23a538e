"""The cell that asks what the playground asks: a `%%route` cell, and the Python that must have run before it."""

from __future__ import annotations

import dataclasses
import keyword
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from routelab.config import PromptConfig, RouteConfig
from routelab.core.errors import ConfigError
from routelab.strategies import spec_of
from routelab.strategies.fitting.learned import placed

_BARE = re.compile(r"[^\W_][\w.:/-]*\Z")
_FILE = (".yaml", ".yml")
# IPython takes the prompts of a copied session away, also from the body of a cell magic, when its first line has one.
_PROMPTED = re.compile(r"\s*(>>>|\.\.\.|In \[\d+\]:|\[\d+\]:)")
_SECTIONS = ("cache", "prompt", "limits", "fallbacks")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """An arm as it is run: its label in the panel, its config, and the name under which a cell finds the same one, if any."""

    label: str
    config: RouteConfig
    named: str | None = None


@dataclass(frozen=True, kw_only=True)
class Copied:
    """`define` is Python for a cell of its own, empty where nothing must be defined; `cell` is the `%%route` cell."""

    define: str
    cell: str


def asked(text: str) -> str:
    """Return the prompt as a cell with this body asks it: IPython ends every body with one line break."""
    return text.rstrip("\n") + "\n"


def with_sampling(config: RouteConfig, sampling: PromptConfig) -> RouteConfig:
    """Return the config as the flags of a cell change it: what `sampling` leaves open is as the config has it."""
    given = {f.name: v for f in dataclasses.fields(sampling) if (v := getattr(sampling, f.name)) is not None}
    return dataclasses.replace(config, prompt=dataclasses.replace(config.prompt, **given)) if given else config


def copied(prompt: str, arms: Sequence[Chosen], sampling: PromptConfig, *, taken: Collection[str] = ()) -> Copied:
    """Return the cell for a prompt, arms and flags; `taken` are names that mean something else already.

    Raises ConfigError for an arm that no text can hold: one that learned much, or a strategy of somebody's own.
    """
    if not prompt.strip():
        raise ConfigError("there is nothing to ask", hint="write a prompt first")
    defined: list[str] = []
    names = set(taken)
    words = [word for arm in arms for word in [_word(arm, [a.named for a in arms], names, defined)]]
    flags = _flags(sampling, names, defined)
    body = prompt.rstrip("\n")
    if _PROMPTED.match(body):
        name = _free("prompt", names)
        defined.append(f"{name} = {body!r}")
        body = f"{{{{{name}}}}}"
    elif "{{" in body:
        flags.append("--no-template")
    uses = any("RouteConfig(" in line for line in defined)
    head = ["from routelab import RouteConfig", ""] if uses else []
    return Copied(
        define="\n".join([*head, *defined]) if defined else "",
        cell=" ".join(["%%route", *words, *flags]) + f"\n{body}",
    )


def defined_as(name: str, config: RouteConfig) -> str:
    """Return a Python statement that assigns an equal config to the name; ConfigError where no text can hold it."""
    try:
        spec = spec_of(config.ranking)
    except ConfigError as trouble:
        raise ConfigError(
            f"{config.name}: {trouble.message}", hint="save it as an arm, which cells know by name"
        ) from None
    if next(iter(placed(spec)), None) is not None:
        raise ConfigError(
            f"{config.name}: learned more than a cell should hold", hint="save it as an arm, or export its YAML"
        )
    whole = config.to_mapping()
    values: dict[str, Any] = {"name": config.name, "models": list(config.models), "strategy": spec}
    values |= {section: whole[section] for section in _SECTIONS if section in whole}
    inner = "".join(f"    {key}={value!r},\n" for key, value in values.items())
    return f"{name} = RouteConfig(\n{inner})"


def quoted(text: str) -> str:
    """Return a text as one word of a magic's line, which knows quotes and no escapes.

    >>> print(quoted('say "it\\'s"'))
    "say "'"'"it's"'"'
    """
    if '"' not in text:
        return f'"{text}"'
    if "'" not in text:
        return f"'{text}'"
    return """'"'""".join(f'"{part}"' if part else "" for part in text.split('"'))


def _word(arm: Chosen, all_named: Sequence[str | None], names: set[str], defined: list[str]) -> str:
    """Return how the line names an arm, and define it before where it has no name there."""
    first = arm.named is not None and all_named.count(arm.named) == 1
    if arm.named is not None and first and not arm.named.endswith(_FILE) and _one_line(arm.named):
        return arm.named if _BARE.match(arm.named) else quoted(arm.named)
    name = _free(arm.label, names)
    defined.append(defined_as(name, dataclasses.replace(arm.config, name=name)))
    return name


def _flags(sampling: PromptConfig, names: set[str], defined: list[str]) -> list[str]:
    found = []
    if sampling.system is not None:
        if _one_line(sampling.system) and sampling.system.strip():
            found.append(f"--system {quoted(sampling.system)}")
        else:
            name = _free("system", names)
            defined.append(f"{name} = {sampling.system!r}")
            found.append(f"--system ${name}")
    if sampling.temperature is not None:
        found.append(f"--temperature {sampling.temperature!r}")
    if sampling.max_output_tokens is not None:
        found.append(f"--max-tokens {sampling.max_output_tokens}")
    return found


def _one_line(text: str) -> bool:
    return len(text.splitlines()) == 1 and text.splitlines()[0] == text


def _free(wish: str, names: set[str]) -> str:
    """Return a name near the wish that Python can assign to and that means nothing yet, and take it."""
    stem = re.sub(r"\W+", "_", wish).strip("_").lower() or "arm"
    stem = stem if stem[0].isalpha() and not keyword.iskeyword(stem) else f"arm_{stem}"
    name = next(n for i in range(1, len(names) + 3) if (n := stem if i == 1 else f"{stem}_{i}") not in names)
    names.add(name)
    return name
