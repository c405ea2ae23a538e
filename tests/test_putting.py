"""Tests of what a config makes of a prompt: templates and examples through the router, into the log."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from routelab.config import PromptConfig, RouteConfig
from routelab.content import prompt_of
from routelab.core.errors import ConfigError, ContextExceeded
from routelab.core.events import Compacted, Retrieved
from routelab.fleet import Fleet
from routelab.lab import Dataset, Lab
from routelab.prompting import Template
from routelab.prompting.fewshot import Pool
from routelab.retrieval import quoted
from routelab.router import Router
from routelab.store import Log

ONE = RouteConfig(name="one", models=["qwen-local"], strategy={"kind": "fixed", "model": "qwen-local"})
SHOTS = [{"question": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(10)]


def sent(config: RouteConfig, question: str, log: Log | None = None) -> Compacted:
    """Return what the config made of a question."""
    answer = Router(config, fleet=Fleet.practice(latency=0, errors=0), log=log).route(question)
    [event] = [e for e in answer.events if isinstance(e, Compacted)]
    return event


def test_a_template_and_examples_are_put_around_the_question_and_logged() -> None:
    prompt = {"template": "cot@1", "few_shot": {"kind": "nearest", "k": 2, "embedder": "lexical", "examples": SHOTS}}
    config = dataclasses.replace(ONE, prompt=PromptConfig(**prompt))  # type: ignore[arg-type]
    with Log(":memory:") as log:
        event = sent(config, "What is 3 + 3?", log)
        [(template,)] = log.query("select template from calls")
    assert (event.policy, event.template, template) == ("template", "cot@1", "cot@1")
    assert len(event.examples) == 2
    asked = [m.content for m in event.messages if m.role == "user"]
    assert "What is 3 + 3?" in asked[-1]
    assert not any("What is 3 + 3?" in text for text in asked[:-1])
    assert event.head == len(event.messages) - 1


def test_a_template_is_found_in_the_log_and_beside_the_file(tmp_path: Path) -> None:
    config = dataclasses.replace(ONE, prompt={"template": "short@1"})
    with pytest.raises(ConfigError, match=r"prompt\.template: there is no template 'short'"):
        sent(config, "?")
    with Log(":memory:") as log:
        log.add_template("short", Template(name="short", user="{{ question }} Be short.").content)
        assert sent(config, "Why?", log).messages[-1].content == "Why? Be short."
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "short@1.yaml").write_text("user: '{{ question }} In a word.'\n", encoding="utf-8")
    path = config.to_yaml(tmp_path / "a.yaml")
    read = RouteConfig.from_yaml(path)
    assert (read, read.prompt.template) == (config, "short@1")
    assert sent(read, "Why?").messages[-1].content == "Why? In a word."


def test_an_exported_config_carries_its_template(tmp_path: Path) -> None:
    settled = dataclasses.replace(ONE, prompt={"template": "cot"}).settled()
    read = RouteConfig.from_yaml(settled.to_yaml(tmp_path / "b.yaml"))
    assert read.prompt.template.reference == "cot@1"
    assert (read, read.fingerprint) == (settled, settled.fingerprint)
    assert settled.settled() is settled


def test_what_is_asked_decides_the_fingerprint_and_what_it_is_called_does_not() -> None:
    def of(template: Any) -> str:
        return dataclasses.replace(ONE, prompt={"template": template}).fingerprint

    assert of({"name": "a", "user": "{{ question }}!"}) == of({"name": "b", "user": "{{ question }}!"})
    assert of({"name": "a", "user": "{{ question }}!"}) != of({"name": "a", "user": "{{ question }}?"})


def test_many_examples_go_to_a_file_beside_the_config(tmp_path: Path) -> None:
    pool = Pool.of([{"question": f"question {i}", "answer": f"answer {i}"} for i in range(150)])
    config = dataclasses.replace(ONE, prompt={"few_shot": {"kind": "random", "k": 3, "examples": pool}})
    assert config.to_mapping()["prompt"]["few_shot"]["examples"] == pool.digest
    path = config.to_yaml(tmp_path / "many.yaml")
    assert (tmp_path / "many-examples.csv").is_file()
    read = RouteConfig.from_yaml(path)
    assert (read, read.fingerprint) == (config, config.fingerprint)
    again = read.to_yaml(tmp_path.joinpath("deeper").mkdir() or tmp_path / "deeper" / "c.yaml")
    assert RouteConfig.from_yaml(again) == config
    with (tmp_path / "many-examples.csv").open("a", encoding="utf-8") as file:
        file.write("one,more\n")
    with pytest.raises(ConfigError, match=r"prompt\.few_shot"):
        RouteConfig.from_yaml(path)


def test_passages_are_found_put_before_the_question_and_logged(tmp_path: Path) -> None:
    documents = {
        "leave.md": "# Leave\n\nParental leave is twelve weeks.",
        "pay.md": "# Pay\n\nSalaries come on the 25th.",
    }
    config = dataclasses.replace(ONE, retrieval={"corpus": "handbook", "embedder": "lexical", "k": 1})
    with Lab(fleet=Fleet.practice(latency=0, errors=0)) as lab:
        with pytest.raises(ConfigError, match="handbook"):
            lab.router(config)
        lab.corpora["handbook"] = documents
        answer = lab.router(config).route("How long is parental leave?")
        [(kept,)] = lab.log.query("select payload ->> '$.chunks[0]' from events where kind = 'retrieved'")
    [found] = [e for e in answer.events if isinstance(e, Retrieved)]
    assert [c.partition(":")[0] for c in found.chunks] == ["leave.md"] == [kept.partition(":")[0]]
    assert found.messages[-1].content.endswith("How long is parental leave?")
    assert "Parental leave is twelve weeks." in found.messages[-1].content
    read = RouteConfig.from_yaml(config.to_yaml(tmp_path / "r.yaml"))
    assert (read, read.fingerprint) == (config, config.fingerprint)
    (tmp_path / "corpora" / "handbook").mkdir(parents=True)
    for name, text in documents.items():
        (tmp_path / "corpora" / "handbook" / name).write_text(text, encoding="utf-8")
    again = Router(read, fleet=Fleet.practice(latency=0, errors=0)).route("How long is parental leave?")
    assert [e.context for e in again.events if isinstance(e, Retrieved)] == [found.context]


def test_a_template_places_the_context_itself() -> None:
    prompt = {"template": {"name": "own", "user": "Q: {{ question }}\n\nSources:\n{{ context }}"}}
    config = dataclasses.replace(ONE, prompt=prompt, retrieval={"corpus": "notes", "by": "words"})
    with Lab(fleet=Fleet.practice(latency=0, errors=0)) as lab:
        lab.corpora["notes"] = ["The kettle is in the kitchen."]
        events = lab.router(config).route("Where is the kettle?").events
    [event] = [e for e in events if isinstance(e, Compacted)]
    text = event.messages[-1].content
    assert text.startswith("Q: Where is the kettle?\n\nSources:")
    assert text.count("Where is the kettle?") == 1
    assert "The kettle is in the kitchen." in text


def conversation(turns: int) -> list[dict[str, str]]:
    """Return a conversation of so many pairs of turns and a question."""
    said = [
        {"role": role, "content": f"{role} turn {i}: " + "the harbour opens at nine and closes at five. " * 12}
        for i in range(turns)
        for role in ("user", "assistant")
    ]
    return [*said, {"role": "user", "content": "When does the harbour open?"}]


def test_a_conversation_is_fitted_summarised_and_paid() -> None:
    config = dataclasses.replace(
        ONE, context={"kind": "summarise", "model": "gpt-5-mini", "keep_last": 4, "limit": 1500, "max_tokens": 120}
    )
    with Lab(fleet=Fleet.practice(latency=0, errors=0)) as lab:
        router = lab.router(config)
        answer = router.route(conversation(8))
        again = router.route(conversation(8))
        rows = lab.log.query("select what, requested_model, cost_usd > 0 from spend_by_day where what = 'summarising'")
    [event] = [e for e in answer.events if isinstance(e, Compacted)]
    assert (event.policy, event.error) == ("summarise", None)
    assert event.summarised
    assert set(event.summarisers) == {"gpt-5-mini"}
    assert event.tokens_after is not None
    assert event.tokens_before is not None
    assert event.tokens_after < 1500 < event.tokens_before
    assert event.cost_usd is not None
    assert answer.cost_usd == event.cost_usd > 0  # the model itself is local and costs nothing
    assert event.simulated
    assert rows == [("summarising", "gpt-5-mini", True)]
    [second] = [e for e in again.events if isinstance(e, Compacted)]
    assert (second.messages, second.cost_usd, second.summarisers) == (event.messages, 0.0, ())
    assert router.describe().split()[:4] == ["in", "order:", "fit", "route"]


def test_what_is_too_long_for_a_model_goes_to_one_with_a_larger_window() -> None:
    fleet = Fleet.practice(latency=0, errors=0)
    small = dataclasses.replace(fleet.endpoint("qwen-local").model, context_window=3_000)
    fleet = fleet.with_models({"qwen-local": dataclasses.replace(fleet.endpoint("qwen-local"), model=small)})
    config = dataclasses.replace(ONE, models=["qwen-local", "gpt-5-mini"], context="none")
    router = Router(config, fleet=fleet)
    assert router.route("Short?").model == "qwen-local"
    answer = router.route(conversation(20))
    assert answer.model == "gpt-5-mini"
    assert "too many for qwen-local" in answer.why
    with pytest.raises(ContextExceeded):
        Router(dataclasses.replace(ONE, context="none"), fleet=fleet).route(conversation(20))


def test_a_preview_shows_what_would_be_sent_and_asks_nobody() -> None:
    prompt = {"template": "cot@1", "few_shot": {"kind": "fixed", "k": 2, "examples": SHOTS}}
    config = dataclasses.replace(ONE, models=["gpt-5-mini"], strategy={"kind": "fixed", "model": "gpt-5-mini"})
    full = dataclasses.replace(config, prompt=prompt, retrieval={"corpus": "notes", "by": "words"})
    with Lab(fleet=Fleet.practice(latency=0, errors=0)) as lab:
        lab.corpora["notes"] = ["Twice three is six, as everybody knows."]
        router = lab.router(full)
        previewed = router.preview("What is twice three?")
        answer = router.route("What is twice three?")
        [(name, worst, _)] = router.explain("What is twice three?")
        [(_, bare, _)] = lab.router(config).explain("What is twice three?")
        assert lab.sql("select count(*) as n from runs").n.tolist() == [1]
    assert previewed == answer.run.messages
    assert name == "gpt-5-mini"
    assert worst is not None
    assert bare is not None
    assert worst > bare
    assert lab.router(config).preview("Hello?") == prompt_of("Hello?").messages


def test_what_says_little_is_taken_out_before_anybody_is_asked(tmp_path: Path) -> None:
    config = dataclasses.replace(
        ONE, prompt={"compress": "whitespace", "template": {"name": "t", "user": "{{ question }}"}}
    )
    answer = Router(config, fleet=Fleet.practice(latency=0, errors=0)).route(
        "Here   it is:\n\n\n\n\nWhere is   the pier?"
    )
    squeezed, rendered = [e for e in answer.events if isinstance(e, Compacted)]
    assert (squeezed.policy, rendered.policy) == ("compress", "template")
    assert squeezed.tokens_after is not None
    assert squeezed.tokens_before is not None
    assert squeezed.tokens_after < squeezed.tokens_before
    assert "\n\n\n" not in rendered.messages[-1].content
    long = dataclasses.replace(
        ONE, prompt={"compress": {"kind": "extractive", "budget_tokens": 300, "embedder": "lexical"}}
    )
    for each in (config, long):
        read = RouteConfig.from_yaml(each.to_yaml(tmp_path / "c.yaml"))
        assert (read, read.fingerprint) == (each, each.fingerprint)
    with pytest.raises(ConfigError, match=r"prompt\.compress\.kind: unknown 'extractve'; did you mean 'extractive'\?"):
        dataclasses.replace(ONE, prompt={"compress": "extractve"})


def test_compressed_passages_keep_their_frame_and_the_question() -> None:
    config = dataclasses.replace(
        ONE, prompt={"compress": "whitespace"}, retrieval={"corpus": "notes", "by": "words", "k": 2}
    )
    with Lab(fleet=Fleet.practice(latency=0, errors=0)) as lab:
        lab.corpora["notes"] = ["The   kettle is\n\n\n\n\nin the kitchen.", "The kettle   whistles."]
        answer = lab.router(config).route("Where is the kettle?")
    [squeezed] = [e for e in answer.events if isinstance(e, Compacted)]
    shown = quoted(squeezed.messages[-1].content)
    assert {q.text for q in shown} == {"The kettle is\n\nin the kitchen.", "The kettle whistles."}
    assert squeezed.messages[-1].content.endswith("\n\nWhere is the kettle?")
    assert squeezed.tokens_before is not None
    assert squeezed.tokens_after is not None
    assert squeezed.tokens_after < squeezed.tokens_before


def test_a_comparison_counts_answers_that_were_cut_and_says_so() -> None:
    arms = {
        "short": dataclasses.replace(ONE, name="short", prompt={"max_output_tokens": 8}),
        "long": dataclasses.replace(ONE, name="long"),
    }
    with Lab(fleet=Fleet.practice(latency=0, errors=0)) as lab:
        cmp = lab.compare(Dataset.load("workbench").sample(12), arms)
    cut = dict(zip(cmp.frame.arm, cmp.frame.truncated, strict=True))
    assert cut["long"] == 0 < cut["short"]
    assert (
        f"answers cut at their limit of tokens: short {cut['short']} of 12; they count against quality"
        in cmp.terms.notes
    )
