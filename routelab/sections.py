"""The sections of a config besides its strategy: how a prompt is put, what the conversation is fitted to, limits.

Each is a frozen value; `read` builds it from what a file or a script gives, `plain` gives back what the file holds.
"""

from __future__ import annotations

import dataclasses
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
from routelab.core.errors import ConfigError
from routelab.prompting import Library, Template, fewshot, template_of
from routelab.prompting import compress as compression
from routelab.prompting import spec_of as template_spec
from routelab.retrieving import Retrieval, retrieval_of
from routelab.retrieving import spec_of as retrieval_spec

_PARTS = ("template", "few_shot", "compress")
LONG = 100
"""Examples from which on a config's YAML names a file of them."""
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
    if section == "retrieval":
        return value if isinstance(value, Retrieval) else retrieval_of(value, document, key, folder)
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


def plain(section: str, value: Any, folder: Path | None = None) -> Any:
    """Return what the file holds of a section, None or empty where nothing is unlike the default; a file in `folder` names files from there."""
    if value is None:
        return None
    if isinstance(value, ContextConfig):
        return {**context_spec(value.policy), **({} if value.escalate else {"escalate": False})}
    if isinstance(value, Retrieval):
        return retrieval_spec(value)
    said = unlike_default(value)
    if section == "prompt":
        if isinstance(value.template, Template):
            said["template"] = template_spec(value.template)
        if value.few_shot is not None:
            said["few_shot"] = fewshot.spec_of(value.few_shot, folder)
        if value.compress is not None:
            said["compress"] = compression.spec_of(value.compress)
    return said


def identity(section: str, value: Any) -> Any:
    """Return plain values that differ where a section changes an answer: of examples the digest, of a template what it says."""
    if section != "prompt":
        return plain(section, value)
    said = plain(section, dataclasses.replace(value, few_shot=None))
    if value.few_shot is not None:
        said["few_shot"] = fewshot.identity_of(value.few_shot)
    if isinstance(value.template, Template):
        said["template"] = value.template.content
    return said


def shown(section: str, value: Any) -> Any:
    """Return what people are shown of a section: what the file holds, of a long list of examples its digest."""
    if section == "prompt" and _long(value):
        return {
            **plain(section, dataclasses.replace(value, few_shot=None)),
            "few_shot": fewshot.identity_of(value.few_shot),
        }
    return plain(section, value)


def filed(prompt: PromptConfig, path: Path) -> PromptConfig:
    """Return the section with a long list of examples written to a file beside `path`, which will name it."""
    if not _long(prompt):
        return prompt
    pool = prompt.few_shot.examples.write(path.with_name(f"{path.stem}-examples.csv"))
    return dataclasses.replace(prompt, few_shot=dataclasses.replace(prompt.few_shot, examples=pool))


def _long(prompt: PromptConfig) -> bool:
    few_shot = prompt.few_shot
    return few_shot is not None and not few_shot.examples.source and len(few_shot.examples) > LONG


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
    """Return the parts of a prompt section that are values of their own, made of what was given; those that are None left out.

    A template's reference stays a text: which template it names is for the library of whoever asks to say (`settled`).
    """
    found: dict[str, Any] = {}
    template, few_shot, compress = (given.get(name) for name in _PARTS)
    if template is not None:
        found["template"] = (
            template if isinstance(template, str) else template_of(template, document, (*key, "template"))
        )
    if isinstance(few_shot, Mapping):
        found["few_shot"] = fewshot.few_shot_of(few_shot, document, (*key, "few_shot"), folder)
    if isinstance(compress, (str, Mapping)):
        found["compress"] = compression.compress_of(compress, document, (*key, "compress"))
    for name, value in (("few_shot", few_shot), ("compress", compress)):
        if value is not None and name not in found and not dataclasses.is_dataclass(value):
            raise ConfigError(f"{document.where(*key, name)}: must be a mapping with `kind` (got {value!r})")
    return found


def settled(prompt: PromptConfig, library: Library) -> PromptConfig:
    """Return the section with the template itself in the place of its reference; ConfigError when the library does not have it."""
    if not isinstance(prompt.template, str):
        return prompt
    return dataclasses.replace(
        prompt, template=template_of(prompt.template, key=("prompt", "template"), library=library)
    )


DEFAULTS: Mapping[str, Any] = {
    "cache": CacheConfig(),
    "context": None,
    "retrieval": None,
    "prompt": PromptConfig(),
    "limits": Limits(),
}
"""The sections by name, each with what holds when the file does not have it."""
