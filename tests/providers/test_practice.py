from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from routelab.core.errors import ContextExceeded, ModelNotFound, ProviderError, RateLimited, ServerFailed, TimedOut
from routelab.core.values import Message, Model, Prompt, Reply, Request, Tokens
from routelab.providers.catalog import CATALOG, MAX_OUTPUT_TOKENS, TASKS, Profile
from routelab.providers.practice import (
    FIRST,
    LATER,
    Practice,
    chance,
    difficulty,
    guessed,
    key,
    luck,
    practice_models,
    verdict,
)
from routelab.providers.prices import GenaiPrices

ROOT = Path(__file__).resolve().parents[2]
MODELS = {model.name: model for model in practice_models(GenaiPrices())}
QUIET = Practice(latency=0.0, errors=0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Letters:
    """Counts a token for four letters: fast, for tests that ask thousands of times."""

    def count(self, text: str, model: Model) -> Tokens:
        return Tokens(input=math.ceil(len(text) / 4), source="estimate")


FAST = Practice(latency=0.0, errors=0.0, counter=Letters())


def prompt_of(
    i: int | str, *, task: str = "simple_qa", level: float | None = 3.0, reference: str | None = "42"
) -> Prompt:
    return Prompt(
        id=f"p{i}",
        messages=(Message(role="user", content=f"Question number {i}?"),),
        task=task,
        reference=reference,
        wrong=("41", "43"),
        scorer={"kind": "number", "answer": 42},
        difficulty=level,
    )


def request_of(prompt: Prompt, model: str = "claude-sonnet", **options: object) -> Request:
    return Request(model=MODELS[model], prompt=prompt, messages=prompt.messages, **options)  # type: ignore[arg-type]


def ask(prompt: Prompt, model: str = "claude-sonnet", provider: Practice = QUIET, **options: object) -> Reply:
    return asyncio.run(provider.complete(request_of(prompt, model, **options), lambda _: None))


def ask_all(requests: Sequence[Request], provider: Practice) -> list[Reply | ProviderError]:
    async def one(request: Request) -> Reply | ProviderError:
        try:
            return await provider.complete(request, lambda _: None)
        except ProviderError as failure:
            return failure

    async def every() -> list[Reply | ProviderError]:
        return [await one(r) for r in requests]

    return asyncio.run(every())


def test_there_are_twelve_models_all_labelled_simulated_and_priced_and_two_of_them_local() -> None:
    assert tuple(MODELS) == (
        "claude-opus",
        "claude-sonnet",
        "gpt-5",
        "gpt-5-mini",
        "gpt-5-nano",
        "gemini-pro",
        "gemini-flash",
        "kimi-k1.5",
        "deepseek-v3",
        "mistral-small",
        "llama-local",
        "qwen-local",
    )
    assert all(m.simulated and m.provider == "practice" and m.price is not None for m in MODELS.values())
    assert all(m.context_window and m.max_output_tokens == MAX_OUTPUT_TOKENS for m in MODELS.values())
    assert [n for n, m in MODELS.items() if m.price and m.price.source == "local"] == ["llama-local", "qwen-local"]


def test_every_profile_has_a_skill_for_every_task_and_a_default() -> None:
    for profile in CATALOG.values():
        assert set(profile.skill) == {*TASKS, "default"}
        assert profile.skill_at("no such task") == profile.skill_at(None) == profile.skill["default"]


def test_different_models_are_best_at_different_tasks() -> None:
    best = {t: max(CATALOG.values(), key=lambda p, t=t: p.skill_at(t)).name for t in TASKS}  # type: ignore[misc]
    assert len(set(best.values())) >= 4


SCRIPT = """
import asyncio, json, sys
from routelab.core.values import Message, Prompt, Request
from routelab.providers.practice import Practice, practice_models
from routelab.providers.prices import GenaiPrices
models = {m.name: m for m in practice_models(GenaiPrices())}
def said(i, name):
    prompt = Prompt(id="x", messages=(Message(role="user", content=f"Question number {i}?"),), task="simple_qa",
                    reference="42", wrong=("41", "43"), scorer={"kind": "number", "answer": 42}, difficulty=3.0)
    r = asyncio.run(Practice(latency=0.0, errors=0.0).complete(
        Request(model=models[name], prompt=prompt, messages=prompt.messages), lambda _: None))
    return [r.text, r.tokens.output, r.latency_s, r.ttft_s]
print(json.dumps([said(i, n) for i in range(4) for n in reversed(list(models))]))
"""


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_another_process_with_another_hash_seed_and_order_says_the_same(hash_seed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT), "PATH": ""},
    )
    here = {(i, n): ask(prompt_of(i), n) for n in MODELS for i in range(4)}
    replies = [here[i, n] for i in range(4) for n in reversed(list(MODELS))]
    assert json.loads(done.stdout) == [[r.text, r.tokens.output, r.latency_s, r.ttft_s] for r in replies]


def test_a_prompt_s_id_and_the_attempt_change_nothing_but_the_seed_does() -> None:
    one = prompt_of(1)
    assert ask(dataclasses.replace(one, id="other")) == ask(one) == ask(one, seed=99)
    other, few = Practice(latency=0.0, errors=0.0, seed=1), [prompt_of(i) for i in range(5)]
    assert [ask(p, provider=other).latency_s for p in few] != [ask(p).latency_s for p in few]


def test_a_provider_survives_pickling_and_copies_are_equal() -> None:
    assert pickle.loads(pickle.dumps(QUIET)) == QUIET
    assert ask(prompt_of(7), provider=pickle.loads(pickle.dumps(QUIET))) == ask(prompt_of(7))


@given(
    skill=st.floats(0, 7),
    more=st.floats(0, 3),
    level=st.floats(0, 6),
)
def test_the_chance_rises_with_skill_and_falls_with_difficulty(skill: float, more: float, level: float) -> None:
    assert 0 < chance(skill, level) <= chance(skill + more, level) < 1
    assert chance(skill, level + more) <= chance(skill, level)
    assert chance(skill, skill) == 0.5


RANK = {"wrong": 0, "nearly": 1, "right": 2}


@given(i=st.integers(0, 10_000), skill=st.floats(1, 6), more=st.floats(0, 3), level=st.floats(1, 5))
def test_on_any_one_prompt_more_skill_never_hurts_and_more_difficulty_never_helps(
    i: int, skill: float, more: float, level: float
) -> None:
    def graded(skill: float, level: float) -> int:
        profile = dataclasses.replace(CATALOG["gpt-5"], skill={"default": skill})
        return RANK[verdict(prompt_of(i, level=level), profile)]

    assert graded(skill, level) <= graded(skill + more, level)
    assert graded(skill, level + more) <= graded(skill, level)


def test_the_share_of_right_answers_is_the_stated_chance() -> None:
    n = 3_000
    for name, level in (("claude-opus", 4.0), ("llama-local", 3.0), ("gemini-flash", 2.0)):
        profile = CATALOG[name]
        prompts = [prompt_of(i, level=level) for i in range(n)]
        expected = np.array([chance(profile.skill_at("simple_qa"), difficulty(p)) for p in prompts])
        right = sum(verdict(p, profile) == "right" for p in prompts)
        assert abs(right - expected.sum()) < 4 * math.sqrt((expected * (1 - expected)).sum())


def lucks(profile: Profile, n: int = 2_000) -> np.ndarray:
    return np.array([luck(key(prompt_of(i)), profile) for i in range(n)])


def test_luck_is_uniform_and_shared_more_in_a_family_than_between_families() -> None:
    opus, sonnet, qwen = (lucks(CATALOG[n]) for n in ("claude-opus", "claude-sonnet", "qwen-local"))
    assert stats.kstest(opus, "uniform").pvalue > 1e-4
    kin, strangers = stats.spearmanr(opus, sonnet).statistic, stats.spearmanr(opus, qwen).statistic
    assert 0.30 < strangers < 0.47
    assert strangers + 0.05 < kin < 0.62


def test_being_right_is_positively_correlated_between_all_models() -> None:
    prompts = [prompt_of(i, level=1 + i % 5, task=TASKS[i % 7]) for i in range(1_000)]
    right = np.array([[verdict(p, m) == "right" for m in CATALOG.values()] for p in prompts], dtype=float)
    pairs = np.corrcoef(right.T)[np.triu_indices(len(CATALOG), 1)]
    assert pairs.min() > 0.15
    assert (
        0.28 < pairs.mean() < 0.50
    )  # recorded data: .27 (bfcl), .35 (gsm8k, llmrouter), .43 (mmlu), .47 (routerarena)


def test_wrong_models_agree_on_a_mistake_more_often_than_by_chance() -> None:
    agreed = []
    for i in range(400):
        prompt = dataclasses.replace(
            prompt_of(i, level=6.0), wrong=("41", "43", "44"), scorer={"kind": "f1", "answers": ["42"]}
        )
        said = [ask(prompt, n, FAST).text for n in ("llama-local", "qwen-local")]
        if "42" not in said and all(t in prompt.wrong for t in said):
            agreed.append(said[0] == said[1])
    assert len(agreed) > 200
    assert 0.5 < np.mean(agreed) < 0.75  # 1/3 by chance; 0.6 + 0.4 / 3 squared and so on gives .60


@pytest.fixture(scope="module")
def latencies() -> np.ndarray:
    """Seconds to the first token of 4,000 prompts, of a model that does not reason."""
    replies = ask_all([request_of(prompt_of(i), "gemini-flash") for i in range(4_000)], FAST)
    return np.array([r.ttft_s for r in replies if isinstance(r, Reply)])


def test_the_tail_of_latency_is_as_long_as_the_fitted_one(latencies: np.ndarray) -> None:
    p50, p95, p99 = np.quantile(latencies, [0.5, 0.95, 0.99])
    assert p50 == pytest.approx(CATALOG["gemini-flash"].ttft_s, rel=0.05)
    assert p95 / p50 == pytest.approx(1.753, rel=0.10)
    assert 2.5 < p99 / p50 < 9


def test_the_spreads_have_the_recorded_quantiles() -> None:
    rng = np.random.default_rng(0)
    for spread, wanted in ((FIRST, (0.653, 1.0, 1.733)), (LATER, (0.856, 1.0, 1.185))):
        drawn = np.array([spread(*pair) for pair in rng.random((20_000, 2))])
        assert np.quantile(drawn, [0.05, 0.5, 0.95]) == pytest.approx(wanted, rel=0.08)
        assert drawn.min() >= spread.least
        assert drawn.max() <= spread.most


def test_the_module_s_latency_parameters_are_those_that_the_data_gives(shared: Path) -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import latency_fit
    finally:
        sys.path.pop(0)
    endpoints = latency_fit.read(shared / "data" / "latency" / "llmperf")
    assert len(endpoints) == 19
    for k, spread in enumerate((FIRST, LATER)):
        seen = np.concatenate([pair[k] for pair in endpoints.values()])
        rng = np.random.default_rng(1)
        drawn = np.array([spread(*pair) for pair in rng.random((20_000, 2))])
        assert stats.ks_2samp(seen, drawn).statistic < 0.06


def binomial_bounds(n: int, p: float) -> tuple[float, float]:
    return float(stats.binom.ppf(1e-4, n, p)), float(stats.binom.ppf(1 - 1e-4, n, p))


@pytest.mark.parametrize("name", ["llama-local", "gpt-5", "gemini-pro"])
def test_refusals_are_as_frequent_as_the_catalogue_says(name: str) -> None:
    replies = ask_all([request_of(prompt_of(i), name) for i in range(3_000)], FAST)
    refused = sum(isinstance(r, Reply) and r.finish == "refusal" for r in replies)
    low, high = binomial_bounds(3_000, CATALOG[name].refusal)
    assert low <= refused <= high


@pytest.mark.parametrize("name", ["kimi-k1.5", "qwen-local"])
def test_errors_are_as_rare_as_stated_retryable_and_gone_with_the_next_attempt(name: str) -> None:
    provider = Practice(latency=0.0, errors=0.05, counter=Letters())
    prompts = [prompt_of(i) for i in range(2_000)]
    first = ask_all([request_of(p, name, seed=0) for p in prompts], provider)
    failed = [p for p, r in zip(prompts, first, strict=True) if isinstance(r, ProviderError)]
    low, high = binomial_bounds(2_000, 0.05 * CATALOG[name].errors)
    assert low <= len(failed) <= high
    kinds = {type(r) for r in first if isinstance(r, ProviderError)}
    assert kinds <= {RateLimited, ServerFailed, TimedOut}
    assert {RateLimited, ServerFailed} <= kinds
    assert all(r.retryable for r in first if isinstance(r, ProviderError))
    again = ask_all([request_of(p, name, seed=1) for p in failed], provider)
    assert sum(isinstance(r, ProviderError) for r in again) <= max(3, 0.3 * len(failed))
    assert [r for r in again if isinstance(r, Reply)] == [
        ask(p, name, FAST) for p, r in zip(failed, again, strict=True) if isinstance(r, Reply)
    ]


def test_without_errors_asked_for_there_are_none() -> None:
    assert not any(isinstance(r, ProviderError) for r in ask_all([request_of(prompt_of(i)) for i in range(500)], FAST))


def test_tokens_are_counted_with_the_chat_s_frame_and_reasoning_is_part_of_the_output() -> None:
    reply = ask(prompt_of(3), "gpt-5")
    assert reply.tokens.source == "tiktoken"
    assert reply.tokens.input == 5 + 3 * 2  # "Question", " number", " ", "3", "?"
    assert reply.tokens.reasoning is not None
    assert reply.tokens.output is not None
    assert reply.tokens.output > reply.tokens.reasoning > 0
    assert ask(prompt_of(3), "claude-opus").tokens.reasoning is None
    assert ask(prompt_of(3), "claude-opus").tokens.source == "estimate"


def test_harder_prompts_are_reasoned_about_longer() -> None:
    def mean(level: float) -> float:
        return float(np.mean([ask(prompt_of(i, level=level), "gpt-5", FAST).tokens.reasoning for i in range(200)]))

    assert mean(5.0) > 1.5 * mean(1.0)


def test_a_limit_on_the_output_cuts_the_answer_and_says_length() -> None:
    prompt = dataclasses.replace(
        prompt_of(1, level=-9), reference="word " * 300, scorer={"kind": "f1", "answers": ["word"]}
    )
    for name in ("claude-opus", "gpt-5"):
        reply = ask(prompt, name, max_output_tokens=50)
        assert reply.finish == "length"
        assert reply.tokens.output is not None
        assert reply.tokens.output <= 50
        assert prompt.reference is not None
        assert reply.text
        assert prompt.reference.startswith(reply.text)


def test_a_prompt_beyond_the_window_is_refused_by_name() -> None:
    long = Prompt.of("word " * 40_000)
    with pytest.raises(ContextExceeded, match=r"qwen-local .* window of 32,768 tokens"):
        ask(long, "qwen-local")
    assert ask(long, "gemini-pro").text


def test_an_unknown_simulated_model_is_not_found_and_the_nearest_name_is_suggested() -> None:
    model = Model(name="mine", provider="practice", upstream="claude-opsu")
    prompt = prompt_of(1)
    with pytest.raises(ModelNotFound, match="did you mean 'claude-opus'"):
        asyncio.run(QUIET.complete(Request(model=model, prompt=prompt, messages=prompt.messages), lambda _: None))


def test_an_alias_in_a_fleet_answers_as_the_model_it_stands_for() -> None:
    model = dataclasses.replace(MODELS["gpt-5"], name="default")
    prompt = prompt_of(1)
    reply = asyncio.run(QUIET.complete(Request(model=model, prompt=prompt, messages=prompt.messages), lambda _: None))
    assert reply == ask(prompt, "gpt-5")
    assert reply.served_model == "practice/gpt-5"


class Sleeper:
    """Keeps the seconds that it was asked to wait."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("scale", [0.0, 0.25, 1.0])
def test_waits_are_scaled_and_what_is_reported_is_not(scale: float, stream: bool) -> None:
    sleeper = Sleeper()
    prompt = dataclasses.replace(prompt_of(5, level=-9), reference="A long answer. " * 40, scorer=None)
    provider = Practice(latency=scale, errors=0.0, sleep=sleeper)
    reply = ask(prompt, "claude-sonnet", provider, stream=stream)
    assert reply == ask(prompt, "claude-sonnet")
    assert reply.latency_s is not None
    assert sum(sleeper.waits) == pytest.approx(scale * reply.latency_s)
    assert len(sleeper.waits) == 0 if scale == 0 else (len(sleeper.waits) > 5) == stream


def test_a_stream_s_pieces_put_together_are_the_answer() -> None:
    for i in range(20):
        heard: list[str] = []
        prompt = dataclasses.replace(
            prompt_of(i), reference="  Zeile eins\n\n  zwei: Donaudampfschifffahrtsgesellschaft  "
        )
        reply = asyncio.run(QUIET.complete(request_of(prompt, stream=True), heard.append))
        assert "".join(heard) == reply.text


def test_nothing_is_emitted_unless_a_stream_was_asked_for() -> None:
    heard: list[str] = []
    asyncio.run(QUIET.complete(request_of(prompt_of(1)), heard.append))
    assert heard == []


def test_an_answer_that_takes_longer_than_the_deadline_is_a_timeout_that_waited_for_it() -> None:
    sleeper = Sleeper()
    provider = Practice(latency=0.5, errors=0.0, sleep=sleeper)
    with pytest.raises(TimedOut, match=r"0\.1 s are left"):
        ask(prompt_of(1), "claude-opus", provider, deadline_s=0.1)
    assert sleeper.waits == [0.05]


def test_a_prompt_that_nobody_knows_the_answer_of_gets_an_openly_simulated_one_that_depends_on_model_and_prompt() -> (
    None
):
    questions = [Prompt.of("Why is the sky blue?"), Prompt.of("Write a Python function that adds 2 and 3.")]
    texts = {ask(q, n).text for q in questions for n in ("claude-opus", "gpt-5", "qwen-local")}
    assert len(texts) == 6
    assert all("simulated" in t for t in texts)
    assert "sky" in ask(questions[0]).text


def test_asked_for_a_summary_a_simulated_model_gives_sentences_of_the_text() -> None:
    text = (
        "The harbour bridge closes on 3 May for repairs. Ferries will run every ten minutes. The cafe has new chairs. "
        "Drivers should use the tunnel while the harbour bridge is closed for repairs. Somebody lost a hat. It rained."
    )
    reply = ask(Prompt.of(f"Summarise this notice, please.\n\n{text}"))
    assert "The harbour bridge closes on 3 May for repairs." in reply.text
    assert "simulated" in reply.text.casefold()


def test_a_text_without_a_level_gets_one_from_its_features() -> None:
    plain, thorny = (
        "Capital of France?",
        "Compare 12 plans step by step, then prove why each beats 3 others after 2020. " * 8,
    )
    assert 1 <= guessed(plain) < 2 < 4 < guessed(thorny) <= 5
