"""Values become a flow in one place, and what the flow looks like can be read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.build import Parts, flow_of, route_of
from routelab.caching import Exact
from routelab.config import RouteConfig
from routelab.core.flow import Flow, describe, fingerprint
from routelab.core.plan import NOBODY
from routelab.core.values import Prompt
from routelab.router import Router
from routelab.scoring import Function
from routelab.testing import Notebook, Scripted, VirtualClock, Words, fleet

PLAIN = """\
in order:
  route
  until settled, at most 3×:
    call
  unless without_rule:
    measure"""
WHOLE = """\
in order:
  render
  recall
  unless recalled:
    in order:
      route
      until settled, at most 9×:
        call
      unless unanswered:
        in order:
          remember
  measure"""


def config(**changes: Any) -> RouteConfig:
    return RouteConfig(**{"name": "a", "models": ["one"], "strategy": {"kind": "fixed", "model": "one"}, **changes})


def built(config: RouteConfig, **parts: Any) -> Flow:
    endpoints = fleet({name: Scripted() for name in config.names}).endpoints
    return flow_of(config, Parts(endpoints=endpoints, counter=Words(), **parts))


def test_the_least_flow_decides_and_asks() -> None:
    assert describe(built(config())) == PLAIN


def test_the_whole_flow_is_in_the_documented_order() -> None:
    whole = config(models=["one", "two"], fallbacks={"one": ["three"]}, prompt={"system": "be brief"})
    parts = {"caches": [Exact(clock=VirtualClock())], "scorer": Function(lambda answer, prompt: 1.0)}
    assert describe(built(whole, **parts)) == WHOLE


@given(models=st.integers(1, 5), retries=st.integers(0, 6))
def test_there_are_as_many_rounds_as_models_times_tries(models: int, retries: int) -> None:
    names = [f"m{k}" for k in range(models)]
    flow = built(config(models=names, strategy={"kind": "random"}, limits={"retries": retries}))
    assert f"until settled, at most {models * (1 + retries)}×:" in describe(flow)


def test_flows_of_different_shape_have_different_fingerprints() -> None:
    flows = [
        built(config()),
        built(config(limits={"retries": 0})),
        built(config(prompt={"system": "x"})),
        built(config(), caches=[Exact(clock=VirtualClock())]),
        built(config(), scorer=Function(lambda answer, prompt: 1.0)),
    ]
    assert len({fingerprint(f) for f in flows}) == len(flows)


def test_the_stage_that_decides_ranks_the_configs_models_and_knows_the_fallbacks() -> None:
    fallen = config(models=["one", "two"], fallbacks={"one": ["three"]})
    route = route_of(fallen, fleet({n: Scripted() for n in ("three", "two", "one")}).endpoints)
    assert route.roster.names == ("one", "two", "three")
    assert (route.kind, route.ranked) == ("fixed", 2)
    assert [[m for m in row if m != NOBODY] for row in route.plan([Prompt.of("x")]).order] == [[0, 2]]


def test_random_draws_among_the_models_and_never_among_those_that_only_fallbacks_name() -> None:
    only = config(models=["one", "two"], strategy={"kind": "random"}, fallbacks={"one": ["spare"], "two": ["spare"]})
    router = Router(only, fleet=fleet({n: Scripted() for n in ("one", "two", "spare")}))
    first = {only.names[row[0]] for row in router.plan([Prompt.of(str(i)) for i in range(50)]).order}
    assert first == {"one", "two"}


def test_a_router_explains_its_ranking_without_asking_anybody() -> None:
    one, two, log = Scripted(), Scripted(), Notebook()
    router = Router(
        config(models=["one"], fallbacks={"one": ["two"]}, prompt={"max_output_tokens": 10}, cache={"exact": True}),
        fleet=fleet({"one": one, "two": two}),
        log=log,
    )
    explained = router.explain("two words")
    assert [(model, why) for model, _, why in explained] == [("one", "always one"), ("two", "always one")]
    assert [usd for _, usd, _ in explained] == pytest.approx([(int(2 * 1.25) + 64 + 10) / 1e6] * 2)
    assert router.pick("two words") == "one"
    assert repr(router) == "Router(a: fixed over one, two)"
    assert (one.requests, two.requests, log.runs) == ([], [], [])


def test_other_circumstances_do_not_change_the_decision() -> None:
    log = Notebook()
    router = Router(config(), fleet=fleet({"one": Scripted("x")}), log=log)
    again = router.with_setting(experiment="e", arm="b", seed=5)
    again.route("hi")
    assert (log.runs[0].experiment, log.runs[0].arm, log.runs[0].seed) == ("e", "b", 5)
    assert again.config is router.config
