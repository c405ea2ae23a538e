"""Judges' questions are ordinary calls: retried, priced, reserved, timed; and in a live cascade they show in the run and in the log."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from routelab.asker import Asker, worst_usd
from routelab.config import RouteConfig
from routelab.core.errors import AuthFailed, BudgetExceeded, ConfigError, RateLimited
from routelab.core.events import Answered, Scored
from routelab.core.ports import World
from routelab.core.values import Message, Prompt, Tokens
from routelab.fleet import Fleet
from routelab.judging import Question, Rubric
from routelab.router import Router, Setting
from routelab.stages import Budget, Call, Patience, Sampling
from routelab.store import Log
from routelab.testing import Scripted, VirtualClock, fleet

ABOUT = Prompt.of("What is 2 + 2?")


def question(**more: Any) -> Question:
    messages = (Message(role="user", content="judge this"),)
    return Question(**{"model": "judge", "messages": messages, "about": ABOUT, "wants": "score", **more})


def call_of(made: Fleet, **more: Any) -> Call:
    return Call(endpoints=made.endpoints, counter=made.counter, patience=Patience(retries=2, first_s=0.5), **more)


def test_a_question_is_retried_priced_and_timed_like_any_call() -> None:
    judge = Scripted(RateLimited("slow down"), '{"score": 5}', latency_s=2.0)
    asker = Asker(call=call_of(fleet({"judge": judge})))
    heard = asyncio.run(asker(question(temperature=0.0, max_output_tokens=64, seed=3), World(clock=VirtualClock())))
    assert (heard.text, heard.error, heard.simulated) == ('{"score": 5}', "", False)
    assert heard.tokens == Tokens(input=10, output=5, source="usage")
    assert heard.cost_usd == pytest.approx(15e-6)
    assert heard.latency_s is not None
    assert heard.latency_s > 2.0  # the wait before the second try counts
    request = judge.requests[0]
    assert (request.temperature, request.max_output_tokens, request.stream) == (0.0, 64, False)
    assert request.prompt.tags == {}  # only simulated judges are told what real ones must find out
    assert request.prompt.scorer is None


def test_trouble_is_heard_and_not_raised() -> None:
    asker = Asker(call=call_of(fleet({"judge": Scripted(AuthFailed("no key"))})))
    heard = asyncio.run(asker(question(), World(clock=VirtualClock())))
    assert (heard.text, heard.error, heard.cost_usd) == (None, "AuthFailed: no key", 0.0)
    with pytest.raises(ConfigError, match="unknown model 'jugde'; did you mean 'judge'"):
        asyncio.run(asker(question(model="jugde"), World(clock=VirtualClock())))


def test_a_question_that_the_budget_cannot_pay_is_never_sent() -> None:
    judge = Scripted('{"score": 5}')
    asker = Asker(call=call_of(fleet({"judge": judge}), purse=Budget(1e-9)))
    heard = asyncio.run(asker(question(), World(clock=VirtualClock())))
    assert heard.text is None
    assert heard.error.startswith("BudgetExceeded: ")
    assert judge.requests == []


def test_another_sample_is_asked_under_an_id_of_its_own_with_the_configs_own_sampling() -> None:
    small = Scripted("4")
    made = fleet({"small": small})
    asker = Asker(call=call_of(made, sampling=Sampling(temperature=0.2, max_output_tokens=99)))
    for more in ({}, {"again": True, "seed": 1000, "temperature": 0.7}):
        asyncio.run(asker(question(model="small", wants="answer", **more), World(clock=VirtualClock())))
    first, second = small.requests
    assert (first.prompt.id, first.temperature, first.max_output_tokens) == (ABOUT.id, 0.2, 99)
    assert (second.prompt.id, second.temperature, second.max_output_tokens) == (f"{ABOUT.id}#1000", 0.7, 99)
    assert second.prompt.tags == {"sample": "1000"}


def test_the_worst_case_holds_what_a_judgement_can_cost() -> None:
    made = fleet({"judge": Scripted("no json at all"), "small": Scripted("4")})
    call = call_of(made)
    kind = Rubric(model="judge", max_output_tokens=50)
    worst = worst_usd(call, kind.calls("small"), ABOUT.messages, "4")
    assert worst is not None
    assert worst > 2 * 50e-6
    assert worst_usd(call, (), ABOUT.messages, "4") == 0.0
    longer = worst_usd(call, kind.calls("small"), ABOUT.messages, None)
    assert longer is not None
    assert longer > worst
    free = call_of(fleet({"judge": Scripted("x")}, usd_per_mtok=None))
    assert worst_usd(free, kind.calls("small"), ABOUT.messages, "4") is None


GATE = {"scorer": "judge", "model": "judge", "at_least": 0.75}


def cascade(gate: Any = GATE, **more: Any) -> RouteConfig:
    strategy = {"kind": "cascade", "order": ["small", "large"], "gate": gate}
    return RouteConfig(name="c", models=["small", "large"], strategy=strategy, **more)


def played(made: Fleet, config: RouteConfig, log: Log | None = None, **setting: Any) -> Any:
    router = Router(config, fleet=made, log=log, setting=Setting(**setting), clock=VirtualClock())
    return router.route("What is 2 + 2?")


def test_a_judge_lets_a_good_answer_pass_and_sends_a_bad_one_on() -> None:
    for verdict, model in (('{"score": 4}', "small"), ('{"score": 3}', "large"), ("who knows", "large")):
        made = fleet({"small": Scripted("4"), "large": Scripted("four"), "judge": Scripted(verdict)})
        answer = played(made, cascade())
        assert answer.model == model
        [event] = [e for e in answer.run.events if isinstance(e, Scored)]
        assert (event.judge, event.accepted, event.at_least) == ("judge", model == "small", 0.75)


def test_the_judges_cost_and_wait_are_in_the_run_in_the_log_and_in_the_days_spend() -> None:
    made = fleet(
        {"small": Scripted("4"), "large": Scripted("four"), "judge": Scripted('{"score": 1, "reason": "bad"}')}
    )
    with Log(":memory:") as log:
        answer = played(made, cascade(), log)
        assert answer.cost_usd == pytest.approx(3 * 15e-6)
        assert answer.latency_s == pytest.approx(3 * 0.5)
        assert log.query("select judge, quality, accepted, cost_usd, latency_s, input_tokens, reason from scores") == [
            ("judge", 0.0, False, pytest.approx(15e-6), 0.5, 10, "bad")
        ]
        assert log.query("select requested_model, calls, cost_usd from spend_by_day order by 1") == [
            (name, 1, pytest.approx(15e-6)) for name in ("judge", "large", "small")
        ]
        run = log.run(answer.id)
    assert run is not None
    assert run.events == answer.run.events


def test_the_judge_is_paid_from_the_same_budget_and_a_spent_one_keeps_the_answer_that_is_there() -> None:
    made = fleet(
        {"small": Scripted("4"), "large": Scripted("four"), "judge": Scripted('{"score": 1}')}, max_output_tokens=9
    )
    purse = Budget(0.0002)  # enough for the small model, not for a judge that may say 1,024 tokens
    answer = played(made, cascade(), purse=purse)
    assert isinstance(answer.run.events[1], Answered)
    scored = next(e for e in answer.run.events if isinstance(e, Scored))
    assert (scored.quality, scored.accepted) == (None, False)
    assert "BudgetExceeded" in scored.reason
    assert purse.spent_usd <= 0.0002


def test_the_worst_case_of_a_first_choice_has_its_judge_in_it() -> None:
    made = fleet(
        {"small": Scripted("4"), "large": Scripted("four"), "judge": Scripted('{"score": 1}')}, max_output_tokens=9
    )
    plain = Router(cascade({"scorer": "nonempty"}), fleet=made).explain("hello")
    judged = Router(cascade(), fleet=made).explain("hello")
    assert [row[0] for row in judged] == ["small", "large"]
    assert judged[0][1] is not None
    assert plain[0][1] is not None
    assert judged[0][1] > plain[0][1] + 1024e-6
    assert judged[1][1] == plain[1][1]  # the last one's answer is not judged


def test_a_judge_outside_the_fleet_is_refused_before_anything_is_asked() -> None:
    made = fleet({"small": Scripted("4"), "large": Scripted("four"), "judge": Scripted("x")})
    with pytest.raises(ConfigError, match="unknown model 'jugde'; did you mean 'judge'"):
        Router(cascade({**GATE, "model": "jugde"}), fleet=made)


def test_a_streamed_answer_holds_no_word_of_the_judge() -> None:
    made = fleet({"small": Scripted("good answer"), "large": Scripted("x"), "judge": Scripted('{"score": 5}')})
    router = Router(cascade(), fleet=made, clock=VirtualClock())
    assert "".join(router.stream("hello")).strip() == "good answer"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("scorer: judge, model: judge, rubrik: x", "rubrik"),
        ("scorer: judge", "model"),
        ("scorer: judge, model: judge, reference: given", "'given' shows the judge the right answer"),
        ("scorer: consistency, samples: 1", "samples"),
        ("scorer: judge, model: judge, template: '{{ answer'", "template"),
        ("scorer: pairwise, model: judge", "against"),
    ],
)
def test_a_judge_that_cannot_be_is_named_with_file_and_line(tmp_path: Path, lines: str, said: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "routelab: 1\nname: c\nmodels: [small, large]\n"
        f"strategy:\n  kind: cascade\n  order: [small, large]\n  gate: {{{lines}}}\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match=r"c\.yaml:7") as caught:
        RouteConfig.from_yaml(path)
    assert said in str(caught.value)
    assert "\n" not in caught.value.message


def test_every_kind_of_judge_goes_through_yaml_and_answers_offline_with_the_practice_fleet(tmp_path: Path) -> None:
    practice = Fleet.practice(latency=0, errors=0.0)
    for gate in (
        {"scorer": "judge", "model": "gemini-flash", "rubric": "Is it right?", "at_least": 0.8},
        {"scorer": "judge", "model": "gemini-flash", "reference": "own", "at_least": 0.8},
        {"scorer": "pairwise", "model": "gemini-flash", "against": "mistral-small", "at_least": 0.5},
        {"scorer": "consistency", "samples": 3, "at_least": 0.67},
        {"scorer": "confidence", "at_least": 0.8},
        {"all": [{"scorer": "nonempty"}, {"scorer": "confidence", "at_least": 0.5}]},
    ):
        strategy = {"kind": "cascade", "order": ["qwen-local", "gpt-5"], "gate": gate}
        config = RouteConfig(name="c", models=["qwen-local", "gpt-5"], strategy=strategy)
        path = config.to_yaml(tmp_path / "c.yaml")
        again = RouteConfig.from_yaml(path)
        assert again.fingerprint == config.fingerprint
        prompt = Prompt(
            id="p",
            messages=(Message(role="user", content="6 * 7?"),),
            reference="42",
            scorer={"kind": "number", "answer": 42},
        )
        answer = Router(again, fleet=practice).route(prompt)
        [verdict] = [e for e in answer.run.events if isinstance(e, Scored) and e.accepted is not None]
        assert verdict.simulated
        assert verdict.cost_usd is not None
        assert verdict.latency_s


def test_a_spent_budget_is_an_error_of_the_run_only_when_there_is_no_answer() -> None:
    made = fleet(
        {"small": Scripted("4"), "large": Scripted("x"), "judge": Scripted('{"score": 1}')}, max_output_tokens=9
    )
    with pytest.raises(BudgetExceeded):
        played(made, cascade(), purse=Budget(1e-9))
