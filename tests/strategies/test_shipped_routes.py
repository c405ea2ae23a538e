"""Where the shipped routes send prompts that mislead: by their words, their length, or what they say about thinking."""

from __future__ import annotations

import functools

import pytest

from routelab.core.plan import NOBODY
from routelab.core.values import Prompt
from routelab.fleet import Fleet
from routelab.strategies import Semantic
from routelab.strategies.semantic import RANKINGS

MUST = {
    "Find all functions f: R -> R such that f(x f(y) + y) = f(x) y + f(y) for all real x, y.": "hard reasoning",
    "A spin-½ particle has the Hamiltonian H = -γ B σ_z. At t = 0 it is in the +x eigenstate. Find the probability to "
    "measure +x at time t.": "hard reasoning",
    "please say hello step by step, think carefully": "chat",
}
SHOULD = {
    "Suppose n > 1 divides 2^n + 1. Which primes can be the smallest divisor of n? Prove it.": "hard reasoning",
    "short one: show that no perfect square ends in 7": "hard reasoning",
    "Expand the ground state energy of hydrogen in a weak electric field to second order.": "hard reasoning",
    "Evaluate lim x→0 (tan x − sin x)/x³ without L'Hôpital and justify each step": "hard reasoning",
    "Given E(X)=2 and Var(X)=1, bound P(X > 10) and show the bound is sharp": "hard reasoning",
    "Let H be a subgroup of index 2. Why must it be normal? Prove.": "hard reasoning",
    "Reason very thoroughly, use all your intelligence: good morning": "chat",
    "Before answering, make a plan, check it twice, then wave hello to me.": "chat",
    "cheers mate, works like a charm": "chat",
    "hmm okay, whatever": "chat",
    "do you get tired of all these questions?": "chat",
    "Do a deep analysis, step by step: what's 9 minus 4?": "everyday",
    "who discovered the electron?": "everyday",
    "How many minutes are in three hours? Please double-check your reasoning.": "everyday",
    "what's the tallest animal": "everyday",
    "What does DNA stand for?": "everyday",
    "how do I keep avocados from going brown": "everyday",
    "In simple terms, what is a vaccine?": "everyday",
    "Write a rap about Pythagoras and his theorem": "language",
    "translate 'quantum entanglement is strange' to Dutch": "language",
    "Rephrase: 'We regret to inform you that your application was unsuccessful.'": "language",
    "condense the following minutes into one paragraph": "language",
    "Write a get-well card for my aunt": "language",
    "npm install fails with ERESOLVE, what now?": "code",
    "Write a recursive Python function for the towers of Hanoi": "code",
    "Rewrite this SQL with a window function instead of a self join": "code",
    "my pytest fixture leaks state between tests, fix it": "code",
    "Code up Newton's method for square roots in C": "code",
    "Is it better for a family business to lease or buy its delivery vans? Compare costs over six years.": "analysis",
    "Assess whether the four studies below support banning phones in schools.": "analysis",
    "What drove Argentina's inflation since 2001? Weigh the rival explanations.": "analysis",
    "Recommend one of three pension plans for me and explain the trade-offs in fees and risk.": "analysis",
}


@functools.cache
def routed() -> dict[str, str | None]:
    texts = [*MUST, *SHOULD]
    return dict(zip(texts, Semantic().decide(texts).routes, strict=True))


@pytest.mark.parametrize("text", MUST)
def test_a_prompt_lands_where_a_person_would_put_it(text: str) -> None:
    assert routed()[text] == MUST[text]


def test_nine_of_ten_misleading_prompts_land_where_a_person_would_put_them() -> None:
    wrong = {text: routed()[text] for text, wanted in SHOULD.items() if routed()[text] != wanted}
    print(f"\n{len(wrong)} of {len(SHOULD)} went wrong: {wrong}")
    assert len(wrong) <= len(SHOULD) / 10


def test_none_of_these_prompts_is_an_example() -> None:
    known = {text for route in Semantic().routes.values() for text in route["examples"]}
    assert known.isdisjoint({*MUST, *SHOULD})


def test_a_hello_goes_to_a_cheap_model_and_a_functional_equation_to_a_strong_one() -> None:
    roster = Fleet.practice(latency=0).roster()
    plan = Semantic().plan([Prompt.of(text) for text in MUST], roster)
    asked = [tuple(roster.names[m] for m in row if m != NOBODY) for row in plan.order]
    assert asked == [RANKINGS["hard reasoning"], RANKINGS["hard reasoning"], RANKINGS["chat"]]
    assert plan.why(2).startswith("route 'chat' .")
