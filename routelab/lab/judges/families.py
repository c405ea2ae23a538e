"""Whose child a model is: judges tend to favour answers of their own family, so the family must be known."""

from __future__ import annotations

import re
from collections.abc import Iterable

FAMILIES: tuple[tuple[str, str], ...] = (
    # What a model was distilled into or tuned from says less about its taste than who made it, so makers' own names come first.
    ("gpt", r"(?<![a-z])(gpt|chatgpt|davinci|o[1-9](?=$|[-:@ ])|codex)"),
    ("claude", r"claude|anthropic"),
    ("gemini", r"gemini|gemma|palm(?![a-z])|learnlm"),
    ("deepseek", r"deepseek"),
    ("qwen", r"qwen|qwq|qvq"),
    ("mistral", r"mi[sx]tral|ministral|codestral|devstral|magistral|pixtral"),
    ("llama", r"llama|vicuna|alpaca"),
    ("kimi", r"kimi|moonshot"),
    ("grok", r"(?<![a-z])grok"),
    ("command", r"(?<![a-z])command|cohere|(?<![a-z])aya(?![a-z])"),
    ("glm", r"(?<![a-z])(chat)?glm"),
    ("phi", r"(?<![a-z])(phi|wizardlm)"),
    ("nova", r"(?<![a-z])nova|titan"),
    ("jamba", r"jamba|jurassic|(?<![a-z])j[12]-"),
    ("yi", r"(?<![a-z])yi-"),
    ("nemotron", r"nemotron"),
    ("granite", r"granite"),
    ("minimax", r"minimax|abab"),
)
"""Families and the pattern of their models' names, in lower case; the first that fits counts."""

MAKERS = {
    "openai": "gpt",
    "anthropic": "claude",
    "gemini": "gemini",
    "google": "gemini",
    "deepseek": "deepseek",
    "mistral": "mistral",
    "moonshot": "kimi",
    "xai": "grok",
    "cohere": "command",
}
"""Providers that serve one family only: what is known when the name says nothing, as with a deployment called "prod"."""


def family(name: str, provider: str = "") -> str | None:
    """Return the family of a model by its name, else by a provider that serves one family only, else None: not known.

    >>> family("mistralai/Mixtral-8x7B-Instruct-v0.1"), family("o3-mini"), family("prod", "anthropic"), family("my-model")
    ('mistral', 'gpt', 'claude', None)
    """
    low = name.lower().rsplit("/", 1)[-1]
    found = next((kin for kin, pattern in FAMILIES if re.search(pattern, low)), None)
    if found is None and low != name.lower():
        found = next((kin for kin, pattern in FAMILIES if re.search(pattern, name.lower())), None)
    return found if found is not None else MAKERS.get(provider.lower())


def kin(judge: str, models: Iterable[str]) -> tuple[str, ...]:
    """Return the models of the judge's own family; none when the family is not known.

    >>> kin("gpt-4", ["gpt-4-1106-preview", "mixtral"])
    ('gpt-4-1106-preview',)
    """
    own = family(judge)
    return () if own is None else tuple(m for m in models if family(m) == own)
