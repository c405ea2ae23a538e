"""What must hold for every config: one definition for live and replay, one pick in every process, one value in every file."""

from __future__ import annotations

import functools
import json
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routelab.caching import CacheConfig
from routelab.config import Limits, PromptConfig, RouteConfig
from routelab.core.errors import (
    AuthFailed,
    BadRequest,
    BudgetExceeded,
    ProviderError,
    RateLimited,
    ServerFailed,
    TimedOut,
)
from routelab.core.plan import NOBODY
from routelab.core.values import Prompt
from routelab.fleet import Fleet
from routelab.router import Router
from routelab.stages import Budget
from routelab.strategies import Fixed, Random, Rules, Split
from routelab.testing import Notebook, Scripted, VirtualClock, fleet

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("large", "small", "local")
TASKS = (None, "translation", "research", "code_generation", "no")
STARTS = (
    "Translate into German: {}",
    "Write a Python function number {} that adds.",
    "What is the capital of country {}?",
    "Compare plan A with plan B at {} per cent.",
    "Summarise in two sentences: {}",
    "{}",
)
CONFIGS: dict[str, dict[str, Any]] = {
    "fixed": {"strategy": {"kind": "fixed", "model": "small"}},
    "rules": {
        "strategy": {
            "kind": "rules",
            "table": {"translation": ["local", "small"], "code_generation": ["large"], "no": ["small"]},
            "default": ["small", "local"],
        }
    },
    "split": {"strategy": {"kind": "split", "weights": {"large": 1, "small": 2.5, "local": 0}, "seed": 3}},
    "random": {"strategy": {"kind": "random", "seed": 11}},
    "random-of-some": {"strategy": {"kind": "random", "models": ["local", "large"]}},
    "fallbacks": {
        "strategy": {"kind": "split", "weights": {"large": 1, "small": 1}},
        "models": ["large", "small"],
        "fallbacks": {"large": ["small", "spare"], "small": ["large", "local"]},
    },
    "rules-with-fallbacks": {
        "strategy": {
            "kind": "rules",
            "table": {"translation": ["local", "small"]},
            "default": ["large"],
            "tasks": "detect",
        },
        "fallbacks": {"large": ["spare"], "local": ["spare", "large"]},
    },
}


def config(name: str) -> RouteConfig:
    """Return one of the configs above."""
    return RouteConfig(**{"name": name, "models": list(MODELS), **CONFIGS[name]})


@functools.cache
def thousand() -> list[Prompt]:
    """Return 1,000 prompts of many kinds, some with a task, some hostile."""
    texts = [STARTS[i % len(STARTS)].format(i) for i in range(990)]
    texts += ["", " ", "\x85", "\ud800", "é" * 9000, "e\u0301", "\u202e!", "no", "012", "\x00"]
    prompts = [Prompt.of(text, task=TASKS[i % len(TASKS)]) for i, text in enumerate(texts)]
    assert len({p.id for p in prompts}) == 1000
    return prompts


def fakes() -> Fleet:
    """Return a fleet whose models answer at once."""
    return fleet({name: Scripted(name) for name in (*MODELS, "spare")})


def orders(router: Router, prompts: list[Prompt]) -> list[tuple[str, ...]]:
    """Return the rankings of a batch as names."""
    plan = router.plan(prompts)
    return [tuple(router.config.names[m] for m in row if m != NOBODY) for row in plan.order]


@pytest.mark.parametrize("name", CONFIGS)
def test_a_batch_decides_for_every_prompt_what_a_live_run_decides(name: str) -> None:
    prompts, log = thousand(), Notebook()
    router = Router(config(name), fleet=fakes(), log=log)
    plan = router.plan(prompts)
    answers = router.many(prompts, jobs=50)
    routed = [a.run.routed for a in answers]
    assert [r.order for r in routed if r is not None] == orders(router, prompts)
    assert [r.propensity for r in routed if r is not None] == [float(p) for p in plan.propensity]
    assert [r.reason for r in routed if r is not None] == [plan.why(i) for i in range(1000)]
    assert [a.model for a in answers] == [order[0] for order in orders(router, prompts)]
    assert router.pick(prompts[7]) == answers[7].model
    assert len(log.runs) == 1000


def test_decisions_are_the_same_in_fresh_processes_with_other_hash_seeds() -> None:
    code = (
        "import json, sys\n"
        f"sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "from test_properties import *\n"
        "print(json.dumps({n: [orders(Router(config(n), fleet=fakes()), thousand()), config(n).fingerprint] for n in CONFIGS}))"
    )
    said = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "PYTHONHASHSEED": seed},
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for seed in ("1", "987654321")
    ]
    here = {
        n: [[list(o) for o in orders(Router(config(n), fleet=fakes()), thousand())], config(n).fingerprint]
        for n in CONFIGS
    }
    assert said == [here, here]


@pytest.mark.parametrize("name", CONFIGS)
def test_an_exported_config_picks_what_the_original_picks(name: str, tmp_path: Path) -> None:
    prompts = thousand()
    original = config(name)
    path = original.to_yaml(
        tmp_path / "winner.yaml", evidence={"n": 400, "why": "no: yes"}, comment="told\n\nby nobody"
    )
    again = Router.from_yaml(path, fleet=fakes())
    assert again.config == original
    assert again.config.fingerprint == original.fingerprint
    one, two = Router(original, fleet=fakes()).plan(prompts), again.plan(prompts)
    assert np.array_equal(one.order, two.order)
    assert np.array_equal(one.propensity, two.propensity)
    assert [one.why(i) for i in range(1000)] == [two.why(i) for i in range(1000)]


# Round trips

HOSTILE = (
    "no", "yes", "on", "y", "N", "true", "False", "null", "NULL", "~", "", " ", "3.10", "012", "0o17", "0x1F", "1_000", "12:30",
    "12:30:45", "2024-01-01", "1e3", ".5", "5.", "+1", "-0", ".inf", "-.INF", ".nan", "=", "<<", "- a", "-", "?", "? a", ":",
    "a: b", "a:", "a #b", "#", "&a", "*a", "!a", "!!str", "%a", "@a", "`a`", "'", '"', "''", "it's", '"q"', "{a}", "[a]", "{", "]",
    ",", "|", ">", "\\", "\\n", "\n", "a\nb", "\n\n a", "\t", "a\tb", "\r", "\r\n", "\x00", "\x07", "\x1b[31m", "\x7f", "\x85",
    "a\x85b", "\xa0", "\u2028", "\u2029", "\ufeff", "\ufeffa", "\ud800", "\U0001f600", "👩\u200d🔬", "\u202eabc", "é", "e\u0301",
    "中文", "---", "...", "--- a", "key: [unclosed", "x" * 300, "word " * 60, " lead", "trail ", "${HOME}", "{{x}}", "<b>",
)  # fmt: skip
names = (st.sampled_from(HOSTILE) | st.text(max_size=20)).filter(lambda s: s.strip() != "")
texts = st.sampled_from(HOSTILE) | st.text(max_size=60)
seeds = st.integers(-(2**63), 2**64)
finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=1e-9, max_value=1e9) | st.integers(1, 10**9)


@st.composite
def configs(draw: st.DrawFn) -> RouteConfig:
    """Return any config that can be written: hostile names, every strategy, every section."""
    models = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    some = st.lists(st.sampled_from(models), min_size=1, max_size=4, unique=True)
    weights = st.dictionaries(st.sampled_from(models), positive, min_size=1)
    tables = st.dictionaries(texts, some, min_size=1, max_size=3)
    strategy = draw(
        st.one_of(
            st.fixed_dictionaries({"kind": st.just("fixed"), "model": st.sampled_from(models)}),
            st.fixed_dictionaries({"kind": st.just("random")}, optional={"models": some, "seed": seeds}),
            st.fixed_dictionaries({"kind": st.just("split"), "weights": weights}, optional={"seed": seeds}),
            st.fixed_dictionaries(
                {"kind": st.just("rules"), "table": tables},
                optional={
                    "default": some,
                    "tasks": st.sampled_from(["auto", "given", "detect"]),
                    "patterns": st.dictionaries(
                        texts, st.lists(st.sampled_from([r"\bno\b", "a|b", "", "[\x85]"])), max_size=2
                    ),
                },
            ),
        )
    )
    fallbacks = draw(
        st.dictionaries(st.sampled_from(models), st.lists(names, min_size=1, max_size=3, unique=True), max_size=2)
    )
    return RouteConfig(
        name=draw(names),
        models=models,
        strategy=strategy,
        cache=draw(st.builds(CacheConfig, exact=st.booleans(), ttl_s=st.none() | positive)),
        prompt=draw(
            st.builds(
                PromptConfig,
                system=st.none() | texts,
                max_output_tokens=st.none() | st.integers(1, 10**6),
                temperature=st.none() | st.floats(0, 2),
            )
        ),
        limits=draw(
            st.builds(
                Limits,
                deadline_s=positive,
                retries=st.integers(0, 5),
                concurrency=st.integers(1, 500),
                budget_usd=st.none() | st.just(0) | positive,
            )
        ),
        fallbacks={m: [f for f in row if f != m] or ["somebody-else"] for m, row in fallbacks.items()},
        fleet=draw(st.none() | st.just("practice")),
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(original=configs(), why=texts, comment=texts)
def test_a_config_comes_back_from_its_text_as_it_was(original: RouteConfig, why: str, comment: str) -> None:
    text = original.to_text(evidence={"why": why, "nothing": None}, comment=comment)
    again = RouteConfig.from_text(text)
    assert again == original
    assert again.fingerprint == original.fingerprint
    assert RouteConfig.from_text(again.to_text()).to_text() == again.to_text()
    # The decision does not depend on which side of the file it is made.
    names = [*dict.fromkeys(original.names)]
    both = [Router(c, fleet=fleet({n: Scripted() for n in names})).plan(thousand()[-60:]) for c in (original, again)]
    assert np.array_equal(both[0].order, both[1].order)


@settings(max_examples=10, deadline=None)
@given(original=configs())
def test_a_file_on_disk_says_the_same_as_the_text(
    original: RouteConfig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = original.to_yaml(tmp_path_factory.mktemp("yaml") / "a.yaml")
    assert RouteConfig.from_yaml(path) == original
    assert [p.name for p in path.parent.iterdir()] == ["a.yaml"]


def test_values_given_directly_and_by_mapping_have_one_fingerprint() -> None:
    by_value = RouteConfig(
        name="a", models=("x", "y"), strategy=Split(weights={"x": 1, "y": 3}), limits=Limits(deadline_s=30)
    )
    by_mapping = RouteConfig(
        name="b",
        models=["x", "y"],
        strategy={"kind": "split", "weights": {"x": 1.0, "y": 3.0}},
        limits={"deadline_s": 30.0},  # type: ignore[arg-type]
    )
    assert by_value.fingerprint == by_mapping.fingerprint == RouteConfig.from_text(by_value.to_text()).fingerprint


def test_what_changes_a_decision_changes_the_fingerprint_and_the_name_does_not() -> None:
    def of(**changes: Any) -> str:
        return RouteConfig(**{"name": "a", "models": ["x", "y"], "strategy": Fixed(model="x"), **changes}).fingerprint

    table = {"translation": ("x",), "research": ("y",)}
    changed = [
        of(),
        of(models=["y", "x"]),
        of(strategy=Fixed(model="y")),
        of(strategy=Random()),
        of(strategy=Random(seed=1)),
        of(strategy=Split(weights={"x": 1, "y": 1})),
        of(strategy=Split(weights={"x": 1, "y": 2})),
        of(strategy=Rules(table=table)),
        of(strategy=Rules(table=dict(reversed(table.items())))),  # without a default the first row is the default
        of(cache={"exact": True}),
        of(prompt={"system": "be brief"}),
        of(prompt={"temperature": 0.0}),
        of(limits={"retries": 0}),
        of(fallbacks={"x": ["y"]}),
    ]
    assert len(set(changed)) == len(changed)
    assert of(name="other") == of()
    assert of(fleet="practice") == of()


@given(order=st.permutations(["a", "b", "c"]))
def test_equal_splits_decide_equally_whatever_order_their_weights_are_written_in(order: list[str]) -> None:
    weights = {"a": 1.0, "b": 2.0, "c": 3.0}
    one, two = Split(weights=weights), Split(weights={name: weights[name] for name in order})
    assert one == two
    roster = fleet({n: Scripted() for n in "abc"}).roster()
    prompts = [Prompt.of(str(i)) for i in range(100)]
    assert np.array_equal(one.plan(prompts, roster).order, two.plan(prompts, roster).order)


# Shares


def within(share: float, p: float, n: int) -> bool:
    """Say that a share lies within 4.5 standard errors: one in 150,000 by chance, and the seeds are fixed."""
    return abs(share - p) <= 4.5 * math.sqrt(p * (1 - p) / n) + 0.5 / n


@settings(max_examples=20, deadline=None, derandomize=True)
@given(weights=st.lists(st.integers(1, 20), min_size=2, max_size=4), seed=st.integers(0, 10**6))
def test_a_split_and_a_random_draw_keep_their_shares(weights: list[int], seed: int) -> None:
    names = "abcd"[: len(weights)]
    roster = fleet({n: Scripted() for n in names}).roster()
    prompts = [Prompt(id=f"{seed}-{i}", messages=()) for i in range(2000)]
    split = Split(weights=dict(zip(names, weights, strict=True)), seed=seed).plan(prompts, roster)
    uniform = Random(seed=seed).plan(prompts, roster)
    for k, weight in enumerate(weights):
        p = weight / sum(weights)
        mine = split.order[:, 0] == k
        assert within(mine.mean(), p, 2000)
        assert set(split.propensity[mine]) <= {p}
        assert within((uniform.order[:, 0] == k).mean(), 1 / len(weights), 2000)
    # Two strategies with one seed draw independently of each other.
    agree = (split.order[:, 0] == uniform.order[:, 0]).mean()
    assert within(agree, 1 / len(weights), 2000)


# Attempts and money

troubles = st.sampled_from(
    [ServerFailed("500"), RateLimited("429", retry_after_s=1.0), TimedOut("late"), AuthFailed("401"), BadRequest("400")]
)
scripts = st.lists(troubles, max_size=5).map(lambda failures: [*failures, "answer"])


@settings(max_examples=60, deadline=None)
@given(
    written=st.lists(scripts, min_size=1, max_size=4),
    retries=st.integers(0, 3),
    never=st.booleans(),
)
def test_attempts_are_never_more_than_models_times_one_plus_retries(
    written: list[list[str | ProviderError]], retries: int, never: bool
) -> None:
    names = [f"m{k}" for k in range(len(written))]
    providers = {
        n: Scripted(*(s[:-1] or [BadRequest("400")] if never else s)) for n, s in zip(names, written, strict=True)
    }
    config = RouteConfig(
        name="a",
        models=names,
        strategy=Fixed(model="m0"),
        # Everybody falls back to everybody: nobody may be asked in a second round.
        fallbacks={n: [o for o in names if o != n] for n in names if len(names) > 1},
        limits={"retries": retries, "deadline_s": 1e6},  # type: ignore[arg-type]
    )
    [answer] = Router(config, fleet=fleet(providers), clock=VirtualClock()).many(["hi"])
    expected: list[str] = []
    answered = False
    for name, provider in providers.items():
        for tries in range(1 + retries):
            if answered:
                break
            line = provider.script[min(tries, len(provider.script) - 1)]
            expected.append(name)
            answered = isinstance(line, str)
            if isinstance(line, ProviderError) and not line.retryable:
                break
    assert [e.model for e in answer.run.attempts] == expected
    assert [e.attempt for e in answer.run.attempts] == list(range(1, len(expected) + 1))
    assert len(expected) <= len(names) * (1 + retries)
    assert (answer.error is None) == answered


amounts = st.floats(0, 1, allow_nan=False) | st.sampled_from([0.1, 0.2, 0.3, 1 / 3, 1e-9])


@settings(max_examples=200, deadline=None)
@given(
    limit=st.sampled_from([0.0, 0.3, 0.7, 1.0, 2.5]),
    calls=st.lists(st.tuples(amounts, st.none() | st.floats(0, 1)), max_size=25),
    random=st.randoms(use_true_random=False),
)
def test_a_budget_is_not_passed_in_any_order_of_reserving_and_settling(
    limit: float, calls: list[Any], random: Any
) -> None:
    budget = Budget(limit)
    tickets: list[tuple[int, float | None]] = []
    for worst, share in calls:
        spent, committed = budget.spent_usd, budget.committed_usd
        try:
            ticket = budget.reserve(worst, what="a call")
        except BudgetExceeded:
            assert spent + worst >= limit
        else:
            if ticket is None:
                assert committed + worst >= limit
                assert tickets
            else:
                tickets.append((ticket, None if share is None else worst * share))
        assert budget.committed_usd <= limit
        if tickets and random.random() < 0.5:
            budget.settle(*tickets.pop(random.randrange(len(tickets))))
        assert budget.spent_usd <= budget.committed_usd <= limit
    random.shuffle(tickets)
    for held in tickets:
        budget.settle(*held)
        assert budget.spent_usd <= budget.committed_usd <= limit
    assert budget.spent_usd == budget.committed_usd


def test_two_hundred_threads_cannot_spend_more_than_fifty_calls_are_worth() -> None:
    for round_ in range(20):
        budget = Budget(5.0)
        start = threading.Barrier(40)
        dispatched: list[float] = []

        def work(
            k: int, budget: Budget = budget, start: threading.Barrier = start, sent: list[float] = dispatched
        ) -> None:
            start.wait()
            for _ in range(5):
                try:
                    while (ticket := budget.reserve(0.1, what="a call")) is None:
                        time.sleep(0)
                except BudgetExceeded:
                    continue
                sent.append(0.1)
                budget.settle(ticket, None if k % 2 else 0.1)

        threads = [threading.Thread(target=work, args=(k + round_,)) for k in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Ten cents is a little more than 1/10 in binary, so exactly 49 of them and not 50 fit into five dollars.
        assert len(dispatched) == 49
        assert budget.spent_usd <= budget.limit_usd


@settings(max_examples=20, deadline=None)
@given(calls=st.integers(1, 60), room=st.integers(0, 40), jobs=st.integers(1, 60))
def test_concurrent_runs_never_spend_more_than_the_budget(calls: int, room: int, jobs: int) -> None:
    one = Scripted("x")
    # A worst case here is (1 word · 1.25 + 64 tokens of framing + 5 of output) at a dollar a million.
    limit = room * 70e-6
    config = RouteConfig(
        name="a",
        models=["one"],
        strategy=Fixed(model="one"),
        limits=Limits(budget_usd=limit),
        prompt=PromptConfig(max_output_tokens=5),
    )
    answers = Router(config, fleet=fleet({"one": one})).many([f"p{i}" for i in range(calls)], jobs=jobs)
    spent = sum(a.cost_usd or 0.0 for a in answers)
    assert spent <= limit
    assert sum(a.error is None for a in answers) == len(one.requests)
    assert all(isinstance(a.error, BudgetExceeded) for a in answers if a.error is not None)
    if room >= calls:
        assert len(one.requests) == calls
