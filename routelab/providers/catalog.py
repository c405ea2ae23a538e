"""The twelve simulated models: what each is good at, how it talks, how fast it is, and whose price it has.

Every figure here is an assumption about a plausible fleet, not a measurement of the models that lend their names. A
skill is a difficulty: the one (1 to 5) at which the model is right half the time. Only the prices are real: those of
the genai-prices entries that `vendor` and `priced_as` name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MAX_OUTPUT_TOKENS = 4_096
"""No simulated answer is longer; a budget that reserves the worst case reserves this much output."""

TASKS = ("code_generation", "code_review", "summarization", "classification", "research", "simple_qa", "translation")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A simulated model.

    `skill` has the seven tasks and "default"; `verbosity`, `refusal` are shares of answers; `errors` multiplies the
    provider's error rate; `ttft_s` and `token_s` are medians in seconds (to the first token, per output token);
    `reasoning` is the median of hidden reasoning tokens at difficulty 3.
    """

    name: str
    family: str
    vendor: str
    priced_as: str
    skill: Mapping[str, float]
    verbosity: float
    refusal: float
    errors: float
    ttft_s: float
    token_s: float
    reasoning: int = 0
    context_window: int

    def skill_at(self, task: str | None) -> float:
        """Return the skill at a task, or the default one for a task that the catalogue does not know."""
        return self.skill.get(task or "default", self.skill["default"])


def _skill(*values: float) -> Mapping[str, float]:
    return dict(zip((*TASKS, "default"), values, strict=True))


_PROFILES = (
    Profile(
        name="claude-opus",
        family="claude",
        vendor="anthropic",
        priced_as="claude-opus-4-5",
        #            code  review summ  class resrch qa    transl default
        skill=_skill(5.95, 5.85, 5.05, 4.95, 5.25, 5.10, 5.00, 5.25),
        verbosity=0.30,
        refusal=0.008,
        errors=1.2,
        ttft_s=1.30,
        token_s=0.0170,
        context_window=200_000,
    ),
    Profile(
        name="claude-sonnet",
        family="claude",
        vendor="anthropic",
        priced_as="claude-sonnet-4-5",
        skill=_skill(5.45, 5.15, 5.00, 4.90, 4.70, 4.85, 4.90, 4.95),
        verbosity=0.30,
        refusal=0.006,
        errors=1.0,
        ttft_s=0.90,
        token_s=0.0140,
        context_window=200_000,
    ),
    Profile(
        name="gpt-5",
        family="gpt",
        vendor="openai",
        priced_as="gpt-5",
        skill=_skill(5.35, 5.10, 4.60, 4.90, 5.90, 5.60, 4.80, 5.20),
        verbosity=0.15,
        refusal=0.006,
        errors=1.0,
        ttft_s=0.80,
        token_s=0.0110,
        reasoning=150,
        context_window=400_000,
    ),
    Profile(
        name="gpt-5-mini",
        family="gpt",
        vendor="openai",
        priced_as="gpt-5-mini",
        skill=_skill(4.85, 4.50, 4.50, 4.80, 4.50, 4.70, 4.50, 4.60),
        verbosity=0.15,
        refusal=0.006,
        errors=0.8,
        ttft_s=0.60,
        token_s=0.0080,
        reasoning=90,
        context_window=400_000,
    ),
    Profile(
        name="gpt-5-nano",
        family="gpt",
        vendor="openai",
        priced_as="gpt-5-nano",
        skill=_skill(3.90, 3.60, 3.90, 4.50, 3.40, 4.00, 3.70, 3.85),
        verbosity=0.20,
        refusal=0.008,
        errors=0.8,
        ttft_s=0.45,
        token_s=0.0050,
        reasoning=80,
        context_window=400_000,
    ),
    Profile(
        name="gemini-pro",
        family="gemini",
        vendor="google",
        priced_as="gemini-2.5-pro",
        skill=_skill(4.75, 4.65, 5.10, 4.90, 5.25, 5.30, 5.90, 5.10),
        verbosity=0.35,
        refusal=0.010,
        errors=1.2,
        ttft_s=1.10,
        token_s=0.0100,
        reasoning=140,
        context_window=1_048_576,
    ),
    Profile(
        name="gemini-flash",
        family="gemini",
        vendor="google",
        priced_as="gemini-2.5-flash",
        skill=_skill(4.20, 4.00, 5.20, 4.80, 4.10, 4.70, 5.10, 4.55),
        verbosity=0.30,
        refusal=0.010,
        errors=1.0,
        ttft_s=0.40,
        token_s=0.0050,
        context_window=1_048_576,
    ),
    Profile(
        name="kimi-k1.5",
        family="kimi",
        vendor="moonshotai",
        priced_as="kimi-k2-0711-preview",
        skill=_skill(4.60, 4.35, 4.60, 4.30, 4.40, 4.20, 4.30, 4.35),
        verbosity=0.40,
        refusal=0.010,
        errors=1.5,
        ttft_s=0.90,
        token_s=0.0180,
        reasoning=130,
        context_window=131_072,
    ),
    Profile(
        name="deepseek-v3",
        family="deepseek",
        vendor="deepseek",
        priced_as="deepseek-chat",
        skill=_skill(5.05, 4.60, 4.40, 4.50, 4.40, 4.50, 4.40, 4.50),
        verbosity=0.30,
        refusal=0.008,
        errors=1.5,
        ttft_s=1.20,
        token_s=0.0250,
        context_window=64_000,
    ),
    Profile(
        name="mistral-small",
        family="mistral",
        vendor="mistral",
        priced_as="mistral-small-latest",
        skill=_skill(3.80, 3.60, 4.30, 4.50, 3.50, 4.10, 4.65, 4.00),
        verbosity=0.20,
        refusal=0.006,
        errors=1.0,
        ttft_s=0.35,
        token_s=0.0070,
        context_window=128_000,
    ),
    Profile(
        name="llama-local",
        family="llama",
        vendor="local",
        priced_as="llama-local",
        skill=_skill(2.90, 2.70, 3.90, 4.10, 2.80, 3.70, 3.50, 3.35),
        verbosity=0.35,
        refusal=0.020,
        errors=0.5,
        ttft_s=0.25,
        token_s=0.0220,
        context_window=32_768,
    ),
    Profile(
        name="qwen-local",
        family="qwen",
        vendor="local",
        priced_as="qwen-local",
        skill=_skill(3.40, 2.90, 3.50, 4.70, 2.80, 4.20, 3.40, 3.55),
        verbosity=0.25,
        refusal=0.010,
        errors=0.5,
        ttft_s=0.25,
        token_s=0.0200,
        context_window=32_768,
    ),
)

CATALOG: Mapping[str, Profile] = {profile.name: profile for profile in _PROFILES}
"""The simulated models by name."""
