from __future__ import annotations

import dataclasses

import numpy as np

import routelab as rl
from routelab.lab.statistics import Estimate


def played(lab: rl.Lab, **cache: object) -> rl.Comparison:
    prompts = rl.Dataset.load("workbench").sample(12, seed=3).prompts
    again = [dataclasses.replace(p, id=f"{p.id}-again") for p in prompts]
    always = {"kind": "fixed", "model": "claude-opus"}
    lab.arms["plain"] = rl.RouteConfig(name="plain", strategy=always)
    lab.arms["kept"] = rl.RouteConfig(name="kept", strategy=always, cache={"exact": True, **cache})  # type: ignore[arg-type]
    return lab.compare([*prompts, *again], ["plain", "kept"], jobs=2)


def test_hits_of_a_live_arm_are_free_counted_and_wait_for_nobody() -> None:
    with rl.Lab(fleet=rl.Fleet.practice(latency=0, errors=0)) as lab:
        comparison = played(lab)
        plain, kept = (next(a for a in comparison.arms if a.name == name) for name in ("plain", "kept"))
        hits = kept.walked.hits
        answers = comparison.answers["kept"]
        assert plain.walked.hits is None
        assert hits is not None
        hit = np.array([a.cached for a in answers])
        assert hit.sum() > 0
        assert hits.exact.tolist() == hit.astype(float).tolist()
        assert (kept.walked.cost_usd[hit] == 0).all()
        assert (kept.walked.attempts[hit] == 0).all()
        assert np.isnan(kept.walked.latency_s[hit]).all()
        assert not np.isnan(kept.walked.latency_s[~hit]).any()
        assert comparison.frame["cache_hits"].tolist()[1] == hit.mean()
        assert any(note.startswith("kept: cache, cold at the start: ") for note in comparison.terms.notes)


def test_a_live_hit_and_its_source_are_one_cluster() -> None:
    with rl.Lab(fleet=rl.Fleet.practice(latency=0, errors=0)) as lab:
        comparison = played(lab)
        kept = next(a for a in comparison.arms if a.name == "kept")
        assert kept.walked.hits is not None
        difference = kept.figures.against
        assert difference is not None
        estimate: Estimate = difference.difference
        assert estimate.clusters == len(np.unique(kept.walked.hits.tied)) < len(comparison.prompts)
