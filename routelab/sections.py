"""The sections of a config besides its strategy: how a prompt is put, what the conversation is fitted to, limits.

Each is a frozen value; `read` builds it from what a file or a script gives, `plain` gives back what the file holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routelab import strict
from routelab.caching.settings import CacheConfig, SemanticConfig
from routelab.caching.settings import plain as unlike_default
from routelab.context import Policy, policy_of
from routelab.context import spec_of as context_spec
from routelab.core.errors import ConfigError, UnavailableError

_PARTS = ("template", "few_shot", "compress")
NO_FILE = strict.Document(values={}, name="config")


@dataclass(frozen=True, kw_only=True)
class PromptConfig:
    """How the prompt is put to the model: a system text, a template, examples, compression, and how the answer is sampled.

    `template` is a reference such as "qa@3" or a mapping (`prompting.template_of`), `few_shot` and `compress` are mappings
    with `kind` (`prompting.fewshot`, `prompting.compress`); they become values when the config is made. `max_output_tokens`
    is the most tokens of an answer.
    """

    system: str | None = None
    template: Any = None
    few_shot: Any = None
    compress: Any = None
    max_output_tokens: int | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        if self.max_output_tokens is not None and self.max_output_tokens < 1:
            raise ValueError(f"max_output_tokens: must be at least 1, not {self.max_output_tokens}")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise ValueError(f"temperature: must lie between 0 and 2, not {self.temperature}")
        for name, value in _prompt_parts(vars(self), ("prompt",), NO_FILE, None).items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, kw_only=True)
class ContextConfig:
    """What the conversation is fitted to: a context policy, and whether a longer one may go to a larger window.

    With `escalate`, it is fitted to the smallest window of the config's models that holds it as the policy wants it, and models
    with smaller ones are not asked; without, to the smallest window of all.
    """

    policy: Policy
    escalate: bool = True

    @property
    def model(self) -> str | None:
        """The model that summarises, if one does."""
        named: str | None = getattr(self.policy, "model", None)
        return named


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long, how often, how many at once, and for how much: seconds over all attempts, retries per model, calls, USD.

    `decide_s` is the strategy's time for one prompt; the default decides when it is over. It is a second, because a strategy
    that embeds needs some 10 ms a prompt and now and then, on a busy machine, much more: a default that is taken early
    changes the experiment. While the first decision still loads its model, ten times as long is allowed.
    """

    deadline_s: float = 60.0
    retries: int = 2
    concurrency: int = 8
    budget_usd: float | None = None
    decide_s: float = 1.0

    def __post_init__(self) -> None:
        if not self.decide_s > 0:
            raise ValueError(f"decide_s: must be more than 0, not {self.decide_s}")
        _finite("decide_s", self.decide_s)
        if not self.deadline_s > 0:
            raise ValueError(f"deadline_s: must be more than 0, not {self.deadline_s}")
        if self.retries < 0:
            raise ValueError(f"retries: must be at least 0, not {self.retries}")
        if self.concurrency < 1:
            raise ValueError(f"concurrency: must be at least 1, not {self.concurrency}")
        if self.budget_usd is not None and not self.budget_usd >= 0:
            raise ValueError(f"budget_usd: must be at least 0, not {self.budget_usd}")
        _finite("deadline_s", self.deadline_s)
        _finite("budget_usd", self.budget_usd)


def _finite(name: str, value: float | None) -> None:
    # YAML has no word for infinity that every tool reads alike; None says "no limit" where there may be none.
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{name}: must be a finite number, not {value}")


def read(section: str, value: Any, document: strict.Document, folder: Path | None = None) -> Any:
    """Return a section's value for what a file or a script gives; ConfigError names the key that cannot be used.

    Relative files that it names are looked for in `folder`.
    """
    key = (section,)
    if value is None:
        return DEFAULTS[section]
    if section == "context":
        return _context(value, key, document)
    cls = type(DEFAULTS[section])
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(f"{document.where(section)}: must be `key: value` lines")
    fields = dict(value)
    if section == "cache" and isinstance(fields.get("semantic"), Mapping):
        fields["semantic"] = strict.build(SemanticConfig, fields["semantic"], (*key, "semantic"), document)
    if section == "prompt":
        fields |= _prompt_parts(fields, key, document, folder)
    return strict.build(cls, fields, key, document)


def plain(section: str, value: Any) -> Any:
    """Return what the file holds of a section, None or empty where nothing is unlike the default."""
    if value is None:
        return None
    if isinstance(value, ContextConfig):
        return {**context_spec(value.policy), **({} if value.escalate else {"escalate": False})}
    said = unlike_default(value)
    if section == "prompt":
        said |= {name: part for name, part in said.items() if name in _PARTS}
    return said


def _context(value: Any, key: tuple[str, ...], document: strict.Document) -> ContextConfig:
    if isinstance(value, ContextConfig):
        return value
    escalate = True
    if isinstance(value, Mapping):
        value = dict(value)
        escalate = value.pop("escalate", True)
        if not isinstance(escalate, bool):
            raise ConfigError(f"{document.where(*key, 'escalate')}: must be true or false (got {escalate!r})")
    policy: Any = policy_of(value, document, key) if isinstance(value, (str, Mapping)) else value
    if callable(policy):
        return ContextConfig(policy=policy, escalate=escalate)
    raise ConfigError(
        f"{document.where(*key)}: must be a mapping with `kind`", hint="context: {kind: window, turns: 20}"
    )


def _prompt_parts(
    given: Mapping[str, Any], key: tuple[str, ...], document: strict.Document, folder: Path | None
) -> dict[str, Any]:
    """Return the parts of a prompt section that are values of their own, made of what was given; those that are None left out."""
    for name in _PARTS:
        if given.get(name) is not None:
            raise UnavailableError(
                f"{document.where(*key, name)}: is not in this version of routelab yet", hint="leave it out"
            )
    return {}


DEFAULTS: Mapping[str, Any] = {
    "cache": CacheConfig(),
    "context": None,
    "prompt": PromptConfig(),
    "limits": Limits(),
}
"""The sections by name, each with what holds when the file does not have it."""
