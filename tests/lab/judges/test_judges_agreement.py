"""Agreement with what is certain, and between judges: against statsmodels, and a published table."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from routelab.lab.judges import Judged, Mark, agreement, between, cohen, krippendorff

NAN = np.nan
# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), example C: four observers, twelve units, some missing.
EXAMPLE = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T


@pytest.mark.parametrize(("scale", "published"), [("nominal", 0.743), ("interval", 0.849)])
def test_alpha_is_the_published_one(scale: str, published: float) -> None:
    found = krippendorff(EXAMPLE, scale=scale)  # type: ignore[arg-type]
    assert found.value == pytest.approx(published, abs=5e-4)
    assert found.n == 11
    assert found.low is not None
    assert found.high is not None
    assert found.low < published < found.high


@pytest.mark.parametrize("seed", range(10))
def test_kappa_and_its_error_are_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = (rng.random(300) < 0.6).astype(float)
    says = np.where(rng.random(300) < 0.8, truth, 1 - truth)
    table = np.array([[np.sum((says == a) & (truth == b)) for b in (0, 1)] for a in (0, 1)])
    theirs = cohens_kappa(table)
    ours = cohen(says, truth, [str(i) for i in range(300)])
    assert ours.value == pytest.approx(theirs.kappa, abs=1e-12)
    assert ours.se == pytest.approx(theirs.std_kappa * math.sqrt(300 / 299), rel=1e-9)


def test_agreement_counts_only_answers_that_have_both_and_keeps_to_its_bars() -> None:
    def marks(quality: float | None, truth: float | None, times: int, start: int) -> list[Mark]:
        return [
            Mark(prompt_id=f"p{start + i}", model="a", judge="j", quality=quality, truth=truth) for i in range(times)
        ]

    rows = [
        *marks(0.9, 1.0, 45, 0),
        *marks(0.7, 1.0, 5, 100),
        *marks(0.9, 0.0, 10, 200),
        *marks(0.1, 0.0, 40, 300),
        *marks(None, 1.0, 7, 400),
        *marks(0.9, None, 7, 500),
    ]
    found = agreement(Judged(marks=tuple(rows)), at_least=0.8)
    assert (found.sensitivity.value, found.specificity.value, found.accuracy.value) == (0.9, 0.8, 0.85)
    assert (found.sensitivity.n, found.specificity.n, found.accuracy.n) == (50, 50, 100)
    assert found.kappa.value == pytest.approx(0.7)
    assert found.sensitivity.method == "Wilson"
    assert agreement(Judged(marks=tuple(rows)), at_least=0.6).sensitivity.value == 1.0
    assert "no answer has both" in agreement(Judged()).kappa.note
    only_right = agreement(Judged(marks=tuple(marks(1.0, 1.0, 9, 0))))
    assert "no answer is wrong" in only_right.specificity.note
    assert math.isnan(only_right.kappa.value)


def test_intervals_of_agreement_are_wider_when_answers_come_in_groups() -> None:
    rng = np.random.default_rng(0)
    easy = rng.random(40) < 0.5
    rows = [
        Mark(
            prompt_id=f"p{g}-{i}",
            model="a",
            judge="j",
            quality=float(rng.random() < (0.95 if easy[g] else 0.5)),
            truth=1.0,
            group=f"g{g}" if grouped else None,
        )
        for grouped in (False,)
        for g in range(40)
        for i in range(10)
    ]
    alone = agreement(Judged(marks=tuple(rows))).sensitivity
    together = agreement(
        Judged(
            marks=tuple(
                Mark(
                    prompt_id=m.prompt_id,
                    model="a",
                    judge="j",
                    quality=m.quality,
                    truth=1.0,
                    group=m.prompt_id.split("-")[0],
                )
                for m in rows
            )
        )
    ).sensitivity
    assert alone.value == together.value
    assert together.clusters == 40
    assert together.se is not None
    assert alone.se is not None
    assert together.se > 1.3 * alone.se


def test_alpha_between_judges_needs_two() -> None:
    marks = [
        Mark(prompt_id=f"p{i}", model="a", judge=judge, quality=(i % 5) / 4 + shift)
        for i in range(40)
        for judge, shift in (("j", 0.0), ("k", 0.0))
    ]
    assert between(Judged(marks=tuple(marks))).value == 1.0
    assert between(Judged(marks=tuple(m for m in marks if m.judge == "j"))).note == "there is only one judge"
    assert "all ratings are the same" in krippendorff(np.ones((6, 2))).note
    assert "too few" in krippendorff(np.array([[0.0, 1.0], [1.0, 1.0]])).note
