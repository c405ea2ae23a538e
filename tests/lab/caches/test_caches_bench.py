"""`routelab bench cache`: thresholds chosen on one half, figures of the other, one arm nominated, and the command."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.caching.guard import Objection
from routelab.cli import main
from routelab.core.errors import ConfigError, DataError
from routelab.lab.caches.bench import FIXED, CacheBench, bench, concluded, cosines, settled
from routelab.lab.caches.curve import Curve, curve, nominated
from routelab.lab.caches.pairs import Pairs, halves
from routelab.lab.caches.verdict import verdict

CONTRACT = ("embedder", "guard", "threshold", "n", "true_hit_rate", "false_hit_rate", "false_hit_ci", "auc")
SYLLABLES = ("ba", "ko", "ri", "mu", "te", "lo", "sa", "ni", "du", "pe", "go", "fi")


@dataclass(frozen=True, kw_only=True)
class Silent:
    """A guard that objects to nothing."""

    id: str = "none"

    def __call__(self, asked: str, known: str) -> Objection | None:
        return None


@dataclass(frozen=True, kw_only=True)
class Digits:
    """A guard that objects to differing digits."""

    id: str = "digits@1"

    def __call__(self, asked: str, known: str) -> Objection | None:
        one, two = re.findall(r"\d", asked), re.findall(r"\d", known)
        return None if one == two else Objection(kind="number", asked=str(one), known=str(two))


@dataclass(frozen=True, kw_only=True)
class Everything:
    """A guard that objects to everything."""

    id: str = "all"

    def __call__(self, asked: str, known: str) -> Objection | None:
        return Objection(kind="any", asked="", known="")


def made(n: int, seed: int = 0, wrong: float = 0.0) -> Pairs:
    """Return n paraphrases, and n near misses that look closer but end in another digit; some labelled wrongly."""
    draw = random.Random(seed)

    def word() -> str:
        return "".join(draw.choice(SYLLABLES) for _ in range(4))

    asked, known, labels, slices = [], [], [], []
    for i in range(2 * n):
        words, digit = [word() for _ in range(5)], draw.randrange(5)
        near = i % 2 == 1
        asked.append(f"{' '.join(words)} {digit}")
        known.append(f"{' '.join(words)} {digit + 5}" if near else f"please {' '.join(words[2:])} {digit}")
        labels.append(int(not near) if draw.random() >= wrong else int(near))
        slices.append("number" if near else "paraphrase")
    return Pairs.of(asked, known, labels, slices)


def benched(pairs: Pairs, **more: Any) -> CacheBench:
    given = {"guards": {"none": Silent(), "digits": Digits()}, "embedders": ["lexical"], **more}
    return bench(pairs, **given)


@pytest.fixture(scope="module")
def found() -> CacheBench:
    return benched(made(900))


def test_every_embedder_and_guard_is_an_arm_at_its_chosen_threshold_and_at_the_popular_ones(found: CacheBench) -> None:
    names = [arm["name"] for arm in found.arms]
    settings = ["lexical, no guard", "lexical, digits guard"]
    assert names == [*settings, *(f"{s}, fixed {t:.2f}" for s in settings for t in FIXED)]
    assert [arm["threshold_is"] for arm in found.arms] == ["chosen on tune"] * 2 + ["fixed"] * 6
    assert [(a["guard"], a["guard_id"]) for a in found.arms[:2]] == [("none", "none"), ("digits", "digits@1")]
    assert {a["embedder_id"] for a in found.arms} == {"lexical-2-4@4096"}


def test_every_figure_is_that_of_the_half_that_chose_nothing(found: CacheBench) -> None:
    confirm = halves(made(900)).confirm
    cosine, same = cosines("lexical", confirm), confirm.same
    for arm in found.arms:
        passed = np.array(
            [
                arm["guard"] == "none" or Digits()(a, b) is None
                for a, b in zip(confirm.asked, confirm.known, strict=True)
            ]
        )
        hit = passed & (cosine >= arm["threshold"])
        assert (arm["n"], arm["positives"], arm["hits"]) == (len(confirm), int(same.sum()), int(hit.sum()))
        assert arm["false_hits"] == int((hit & ~same).sum())
        assert arm["true_hit_rate"] == (hit & same).sum() / same.sum()
        assert arm["false_hit_rate"] == ((hit & ~same).sum() / hit.sum() if hit.any() else None)
        inside = {name: np.array([s == name for s in confirm.slices]) for name in ("number", "paraphrase")}
        assert {k: v["hits"] for k, v in arm["slices"].items()} == {k: int(hit[m].sum()) for k, m in inside.items()}
        assert {k: v["let_through"] for k, v in arm["slices"].items()} == {
            k: int(passed[m].sum()) for k, m in inside.items()
        }


def test_labels_of_the_confirm_half_change_no_threshold() -> None:
    pairs = made(300)
    split = halves(pairs)
    unseen = {*split.confirm.asked}
    turned = Pairs.of(
        pairs.asked,
        pairs.known,
        [bool(s) != (a in unseen) for a, s in zip(pairs.asked, pairs.same, strict=True)],
        pairs.slices,
    )
    one, two = benched(pairs, fitted=True), benched(turned, fitted=True)
    assert [a["threshold"] for a in one.arms] == [a["threshold"] for a in two.arms]
    assert [a["tune"] for a in one.arms] == [a["tune"] for a in two.arms]
    assert [a["false_hits"] for a in one.arms] != [a["false_hits"] for a in two.arms]


def test_a_guard_that_sees_the_difference_is_recommended_and_no_guard_is_not(found: CacheBench) -> None:
    assert found.recommended is not None
    assert found.recommended["name"] == "lexical, digits guard"
    assert found.recommended in found.arms
    assert found.recommended["false_hit_upper"] <= 0.01
    assert found.recommended["budget_met_on_tune"]
    assert not found.arms[0]["budget_met_on_tune"]
    assert found.arms[0]["false_hit_rate"] > 0.4
    assert re.fullmatch(
        r"lexical, digits guard at 0\.\d+ promised most on the half that chose it; on the other it answers [\d.]+% of the pairs "
        r"labelled 1 with 0 of [\d,]+ hits false, at most [\d.]+% with 95% confidence",
        found.why,
    )


def test_when_no_threshold_is_safe_the_cache_stays_off_and_says_the_best_bound() -> None:
    found = benched(made(300), guards={"none": Silent()})
    assert found.recommended is None
    assert re.fullmatch(
        r"the cache stays off: no threshold keeps false hits under 1 %: the best bound is [\d.]+ % "
        r"\(\d+ of [\d,]+ hits, lexical, no guard\)",
        found.why,
    )
    assert found.arms[0]["threshold"] is not None
    assert not found.arms[0]["budget_met_on_tune"]


def test_when_hits_are_too_few_it_says_how_many_more_pairs_are_needed() -> None:
    found = benched(made(100))
    assert found.recommended is None
    more = re.search(
        r"the best bound is ([\d.]+) % \(0 of (\d+) hits, .*too few hits to show it: about ([\d,]+) more pairs like these",
        found.why,
    )
    assert more is not None
    hits, pairs = int(more[2]), int(more[3].replace(",", ""))
    assert pairs == round(2 * found.arms[1]["tune"]["n"] * (299 / hits - 1))
    assert benched(made(100), budget=0.10).recommended is not None


def test_the_confirm_half_decides_on_the_nominated_arm_alone() -> None:
    def arm(name: str, true: float, upper: float | None, false: int = 0) -> dict[str, Any]:
        seen = {
            "true_hit_rate": true,
            "false_hit_upper": 0.005,
            "hits": 900,
            "false_hits": 0,
            "n": 2_000,
            "design_effect": 1.0,
        }
        told = {"threshold": 0.9, "hits": 900, "false_hits": false, "n": 2_000, "design_effect": 1.0}
        return {"name": name, "true_hit_rate": true, "false_hit_upper": upper, "tune": seen, **told}

    safe, bold = arm("safe", 0.3, 0.004), arm("bold", 0.6, 0.02, false=11)
    assert verdict([safe, bold], [0.9, 0.2], 0.01)[0] == safe
    assert verdict([safe, bold], [0.9, 0.9], 0.01) == (
        None,
        "the cache stays off: bold at 0.9000 kept false hits under 1 % on the half that chose it, and on the other the bound is 2 % "
        "(11 of 900 hits)",
    )
    assert verdict([safe, arm("mute", 0.9, None)], [0.0, 0.9], 0.01)[1].endswith("and on the other nothing hits")


def test_a_lucky_half_is_not_believed() -> None:
    """With labels that are wrong at twice the budget, hardly any split may recommend anything."""
    pairs = [made(500, seed, wrong=0.02) for seed in range(12)]
    assert sum(benched(p, guards={"digits": Digits()}).recommended is not None for p in pairs) <= 1


def test_a_guard_that_objects_to_everything_leaves_nothing_known() -> None:
    found = benched(made(60), guards={"all": Everything()})
    arm = found.arms[0]
    assert (arm["threshold"], arm["hits"], arm["true_hit_rate"], arm["false_hit_rate"]) == (None, 0, 0.0, None)
    assert (arm["false_hit_ci"], arm["false_hit_upper"], arm["auc"]) == (None, None, 0.5)
    assert arm["objected"] == {"same": 1.0, "different": 1.0}
    assert found.why == "the cache stays off: no pair of the tune half can be a hit"
    assert "–" in found.table().text()


def test_the_area_ranks_what_is_objected_to_last() -> None:
    found = benched(made(150))
    plain, guarded = found.arms[:2]
    assert plain["auc"] == plain["auc_let_through"]
    assert guarded["auc"] == 1.0
    assert plain["auc"] < 0.5
    assert guarded["auc_let_through"] is None  # all that is let through is labelled 1


def test_the_fitted_arm_learns_the_guard_it_is_given() -> None:
    found = benched(made(900), guards={"lexical": Digits()}, fitted=True)
    arm = next(a for a in found.arms if a["guard"] == "fitted")
    assert (arm["name"], arm["auc_of"], arm["embedder"]) == ("lexical, fitted guard", "score", "lexical")
    assert arm["auc"] > 0.99
    assert 0 <= arm["threshold"] <= 1
    assert arm["true_hit_rate"] > 0.9
    assert not any(a["name"].startswith("lexical, fitted guard, fixed") for a in found.arms)


def test_what_a_guard_objects_to_is_counted_by_kind_and_label_and_the_worst_false_hits_are_shown(
    found: CacheBench,
) -> None:
    plain, guarded = found.arms[:2]
    confirm = halves(made(900)).confirm
    assert plain["objections"] == {}
    assert guarded["objections"] == {"number": {"same": 0, "different": int((~confirm.same).sum())}}
    assert guarded["wrong"] == []
    assert len(plain["wrong"]) == min(10, plain["false_hits"])
    scores = [row["score"] for row in plain["wrong"]]
    assert scores == sorted(scores, reverse=True)
    assert all(row["score"] >= plain["threshold"] and row["slice"] == "number" for row in plain["wrong"])
    assert {(r["text_a"], r["text_b"]) for r in plain["wrong"]} <= set(zip(confirm.asked, confirm.known, strict=True))


def test_what_was_set_aside_is_in_the_result(found: CacheBench) -> None:
    pairs = made(40)
    more = Pairs.of(
        [*pairs.asked, pairs.known[0], "x", "y"],
        [*pairs.known, pairs.asked[0], "y", "x"],
        [*pairs.same, pairs.same[0], 1, 0],
    )
    result = benched(more).result()
    assert result["pairs"] == {
        "n": 80,
        "positives": 40,
        "components": 80,
        "rejected": [],
        "repeated": 1,
        "disputed": ["'x' and 'y'"],
    }
    assert result["split"]["tune"] + result["split"]["confirm"] + result["split"]["neither"] == 80
    assert "1 pair is labelled 0 and 1, and is left out: 'x' and 'y'" in result["notes"]
    assert result["notes"][0] in benched(more).table().text(width=200)
    assert found.result()["tried"] == sum(
        len(s.curves[0])
        for s in settled(halves(made(900)), guards={"a": Silent(), "b": Digits()}, embedders=["lexical"])
    )


def test_halves_without_both_labels_and_budgets_that_are_no_share_are_refused() -> None:
    with pytest.raises(DataError, match="half has 0 pairs labelled 1"):
        benched(Pairs.of(["a", "b", "c", "d"], ["e", "f", "g", "h"], [0, 0, 0, 0]))
    for budget in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(ConfigError, match="budget: must be more than 0 and less than 1"):
            benched(made(10), budget=budget)


def test_the_same_pairs_give_the_same_result_in_every_process(elsewhere: Callable[..., str]) -> None:
    code = (
        "import json\n"
        "from test_caches_bench import benched, made\n"
        "print(json.dumps(benched(made(60), fitted=True).result()))"
    )
    assert json.loads(elsewhere(code)) == json.loads(json.dumps(benched(made(60), fitted=True).result()))


def test_one_conclusion_serves_every_budget_of_the_same_curves() -> None:
    split = halves(made(900))
    found = settled(split, guards={"digits": Digits()}, embedders=["lexical"])
    strict, loose = (concluded(found, split.confirm, b) for b in (0.001, 0.05))
    assert strict[1] is None
    assert loose[1] is not None
    assert loose[1]["threshold"] == (nominated(found[0].curves[0], 0.05) or [None])[0].threshold


# The command


def file_of(folder: Path, pairs: Pairs) -> Path:
    path = folder / "pairs.csv"
    with path.open("w", newline="", encoding="utf-8") as out:
        rows = zip(pairs.asked, pairs.known, pairs.same.astype(int), pairs.slices, strict=True)
        csv.writer(out).writerows([("text_a", "text_b", "label", "slice"), *rows])
    return path


def test_the_command_prints_a_table_and_writes_what_the_contract_promises(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = file_of(tmp_path, made(200)), tmp_path / "r.json"
    line = [
        "bench",
        "cache",
        "--pairs",
        str(path),
        "--out",
        str(out),
        "--embedder",
        "lexical",
        "--guard",
        "none",
        "lexical",
        "fitted",
    ]
    assert main([*line, "--budget", "0.05", "--seed", "3"]) == 0
    said = capsys.readouterr().out
    result = json.loads(out.read_text(encoding="utf-8"))
    assert {"arms", "recommended", "why"} <= set(result)
    assert all(set(CONTRACT) <= set(arm) for arm in result["arms"])
    assert (result["seed"], result["budget"], result["bench"]) == (3, 0.05, "cache")
    assert result["recommended"] is None or result["recommended"] in result["arms"]
    assert [a["guard"] for a in result["arms"] if a["threshold_is"] == "chosen on tune"] == [
        "none",
        "lexical",
        "fitted",
    ]
    assert "bound: one-sided 95%, budget 5.0%" in said
    assert result["why"] in said
    assert said.rstrip().endswith(f"wrote {out}")


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--guard", "lexicl"], "did you mean 'lexical'"),
        (["--embedder", "lexicl"], "embedder.kind: unknown 'lexicl'; did you mean 'lexical'?"),
        (["--budget", "2"], "budget: must be more than 0 and less than 1, not 2.0"),
        (["--out", "nowhere/r.json"], "cannot be written"),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], said: str
) -> None:
    path = file_of(tmp_path, made(20))
    assert main(["bench", "cache", "--pairs", str(path), "--embedder", "lexical", *extra]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert [row for row in err.splitlines()[1:] if not row.startswith("  hint: ")] == []


def test_curves_hold_both_halves(found: CacheBench) -> None:
    split = halves(made(100))
    [setting] = settled(split, guards={"none": Silent()}, embedders=["lexical"])
    drawn: tuple[Curve, ...] = setting.curves
    for part, one in zip((split.tune, split.confirm), drawn, strict=True):
        again = curve(cosines("lexical", part), part.same, part.nodes)
        assert (one.thresholds == again.thresholds).all()
        assert (one.false_after == again.false_after).all()


def test_pairs_that_a_cache_does_not_compare_are_never_hits() -> None:
    """MiniLM reads 512 bytes for sure: two long texts that differ only at their ends have one vector."""
    short = made(120)
    filler = "and so on and so forth " * 30
    long = Pairs.of(
        [f"{filler} {a}" for a in short.asked[:80]],
        [f"{filler} {b}" for b in short.known[:80]],
        short.same[:80].tolist(),
        ["long"] * 80,
    )
    found = benched(short + long, embedders=["minilm", "lexical"])
    slices = {
        (a["embedder"], a["guard"]): a["slices"]["long"] for a in found.arms if a["threshold_is"] == "chosen on tune"
    }
    assert slices["minilm", "none"]["hits"] == slices["minilm", "none"]["let_through"] == 0
    assert slices["lexical", "none"]["let_through"] == slices["lexical", "none"]["n"] > 0
    [arm] = [a for a in found.arms if a["name"] == "minilm, no guard, fixed 0.80"]
    assert arm["slices"]["long"]["hits"] == 0
    assert arm["objected"] == {"same": 0.0, "different": 0.0}
    said = (
        "80 of 320 pairs are longer than minilm reads and are never hits with it: a cache does not compare them either"
    )
    assert [n for n in found.about["notes"] if "longer than" in n] == [said]
