"""Whom to ask until two agree is chosen on recorded answers; the search tries it on folds that it has not seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from routelab.core.errors import DataError
from routelab.lab.consensus import agreeing, board, classes
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import planned, walked
from routelab.lab.search import search
from routelab.lab.sources.cascades import cascades
from routelab.lab.sources.singles import singles
from routelab.strategies import Agreement

NAMES = ("tiny", "small", "odd", "large")
COSTS = (0.01, 0.02, 0.03, 1.0)


def made(n: int = 300, *, seed: int = 0, texts: bool = True) -> Outcomes:
    """Return outcomes in which tiny and small are right alike often, odd is right in a form that scores nothing, large is dear."""
    rng = np.random.default_rng(seed)
    knows = rng.random((n, 4)) < np.array([0.8, 0.8, 0.9, 0.93])
    quality = knows.astype(float)
    quality[:, 2] = 0.0
    said = [
        ["Answer: 7" if knows[i, k] else f"Answer: {int(rng.integers(100, 10_000))}" for k in range(4)]
        for i in range(n)
    ]
    from routelab.core.values import Message, Prompt

    prompts = tuple(Prompt(id=f"p{i}", messages=(Message(role="user", content=f"q{i}"),)) for i in range(n))
    rows = {p.id: i for i, p in enumerate(prompts)}
    blank = np.full((n, 4), np.nan)
    return Outcomes(
        prompts=prompts,
        models=NAMES,
        quality=quality,
        cost_usd=np.tile(COSTS, (n, 1)),
        latency_s=blank.copy(),
        input_tokens=blank.copy(),
        output_tokens=blank.copy(),
        failed=np.zeros((n, 4), dtype=bool),
        cost_kind=("recorded",) * 4,
        texts=(lambda prompt, model: said[rows[prompt]][NAMES.index(model)]) if texts else None,
    )


def test_classes_tell_who_said_the_same() -> None:
    outcomes = made(200)
    found = classes(outcomes, (0, 1, 3))
    knows = outcomes.quality[:, [0, 1, 3]] == 1
    both = knows[:, 0] & knows[:, 1]
    assert (found[both, 0] == found[both, 1]).all()
    assert (found[knows[:, 0] & ~knows[:, 1], 0] != found[knows[:, 0] & ~knows[:, 1], 1]).all()


def test_the_model_whose_answers_score_nothing_is_never_the_last_to_agree() -> None:
    strategy = agreeing(made(), size=2)
    assert strategy.then == ("large",)
    assert strategy.ask[-1] in ("tiny", "small")


@pytest.mark.parametrize("answer", ["last", "first"])
@pytest.mark.parametrize("size", [2, 3])
def test_the_board_counts_what_the_walk_brings(size: int, answer: str) -> None:
    outcomes = made(120)
    found = board(outcomes)
    assert found is not None
    for order in list(found.orders(size))[:8]:
        names = [found.models[k] for k in order]
        strategy = Agreement(ask=tuple(names[:-1]), then=(names[-1],), answer=answer)
        walk = walked("x", strategy, outcomes, planned)
        worth = found.worth(order, answer)
        assert worth.cost_usd == pytest.approx(walk.cost_usd.mean())
        assert worth.lead == pytest.approx(float((walk.quality - outcomes.quality[:, 3]).mean()))


def test_the_first_answer_stands_where_who_is_asked_last_says_it_in_a_form_that_scores_nothing() -> None:
    """Odd is dear and worth asking where tiny and small differ, but not for its own words."""
    outcomes = made(600)
    knows = np.random.default_rng(3).random((600, 4)) < np.array([0.85, 0.85, 0.8, 0.97])
    quality = knows.astype(float)
    quality[:, 2] = 0.0
    said = {
        (p.id, m): f"{7 if knows[i, k] else 100 * i + k + 10}"
        for i, p in enumerate(outcomes.prompts)
        for k, m in enumerate(NAMES)
    }
    outcomes = dataclasses.replace(
        outcomes,
        quality=quality,
        cost_usd=np.tile((0.01, 0.02, 0.3, 1.0), (600, 1)),
        texts=lambda prompt, model: said[prompt, model],
    )
    for found in (agreeing(outcomes, size=3), agreeing(outcomes, size=3, tolerance=0.05)):
        assert (set(found.ask[:2]), found.ask[2], found.answer) == ({"tiny", "small"}, "odd", "first")
    assert agreeing(outcomes, size=3, answers=("last",)).ask[0] == "odd"


def test_a_tolerance_chooses_the_cheapest_that_is_good_enough() -> None:
    outcomes = made(600)
    found = board(outcomes)
    assert found is not None
    chosen = agreeing(outcomes, size=2, tolerance=0.05)
    worth = {
        tuple(found.models[k] for k in order): found.worth(order)
        for order in found.orders(2)
        if found.worth(order).lead - found.worth(order).error >= -0.05
    }
    assert worth[chosen.models].cost_usd == min(w.cost_usd for w in worth.values())


def test_there_is_nobody_to_choose_without_texts_or_costs() -> None:
    for outcomes in (
        made(texts=False),
        dataclasses.replace(made(), cost_usd=np.full((300, 4), np.nan)),
        made().only(NAMES[2:]),
    ):
        assert board(outcomes) is None
        assert not [c for c in cascades(outcomes) if not c.name.startswith("cascade-sure")]
        with pytest.raises(DataError, match="agreement: needs texts, qualities and costs"):
            agreeing(outcomes, size=2, tolerance=0.0)


def test_a_search_finds_agreement_where_it_pays() -> None:
    found = search(made(1_000), sources=(singles, cascades), seed=1)
    winner = found.winner()
    assert winner is not None
    assert winner.name.startswith(("agreement", "cascade-learned"))
    assert winner.figures.cost_ratio is not None
    assert winner.figures.cost_ratio.value < 0.6


def test_a_search_tries_the_gates_that_were_recorded() -> None:
    from routelab.lab.outcomes import Judgements

    outcomes = made(800, texts=False)
    outcomes = dataclasses.replace(outcomes, gates={"sure": Judgements.free(outcomes.quality * 0.9)})
    names = [c.name for c in cascades(outcomes)]
    assert names == ["cascade-sure-tol0", "cascade-sure-tol0.01"]
    found = search(outcomes, sources=(singles, cascades))
    winner = found.winner()
    assert winner is not None
    assert winner.name.startswith("cascade-sure")


def saved(outcomes: Outcomes, seed: int) -> tuple[float, float]:
    """Return the share of the cost that the search's winner saves on confirm, and its lead in quality."""
    found = search(outcomes, sources=(singles, cascades), seed=seed)
    winner: Any = found.winner()
    assert winner is not None
    base = found.baseline.figures.quality
    assert base is not None
    return 1 - winner.figures.cost_ratio.value, winner.figures.quality.value - base.value


@pytest.mark.parametrize(("dataset", "least"), [("bfcl_2024-08-11", 0.7), ("gsm8k", 0.75)])
def test_agreement_saves_what_the_field_has_not_seen(
    recorded: Callable[..., Outcomes], dataset: str, least: float
) -> None:
    share, lead = saved(recorded(dataset, priced=dataset == "gsm8k"), seed=0)
    assert share > least
    assert lead >= -0.02
