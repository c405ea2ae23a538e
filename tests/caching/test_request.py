"""What a cache is asked: keys that depend on everything, namespaces on everything but the question's words (C4, C10)."""

from __future__ import annotations

import ast
import dataclasses
import random
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.build import scope_for
from routelab.caching import Exact, SemanticConfig, asked, scope_of
from routelab.caching.semantic import Semantic
from routelab.config import RouteConfig
from routelab.core.events import Answered, Compacted, Recalled, Retrieved
from routelab.core.run import Run
from routelab.core.values import Message, Model, Prompt, ToolCall
from routelab.testing import Scripted, VirtualClock, fleet

START = datetime(2026, 1, 1)
PACKAGE = Path(__file__).resolve().parents[2] / "routelab"

turns = st.lists(
    st.builds(
        Message,
        role=st.sampled_from(["system", "user", "assistant"]),
        content=st.text(alphabet='ab",[]\x1f\ud800é', max_size=4),
    ),
    max_size=3,
).map(tuple)
scopes = st.text(alphabet='ab",[]', max_size=3)


def a_run(*messages: Message, events: Any = (), **about: Any) -> Run:
    prompt = Prompt(id="p", messages=messages, **about)
    return Run(id="r", prompt=prompt, started_at=START, events=tuple(events), tags=prompt.tags)


def user(text: str) -> Message:
    return Message(role="user", content=text)


@settings(max_examples=300)
@given(one=turns, two=turns, here=scopes, there=scopes)
def test_keys_are_equal_exactly_when_everything_is(one: Any, two: Any, here: str, there: str) -> None:
    first, second = asked(a_run(*one), here), asked(a_run(*two), there)
    assert (first.key == second.key) == ((one, here) == (two, there))
    assert all(re.fullmatch("[0-9a-f]{64}", digits) for digits in (first.key, first.namespace))


def test_what_was_called_and_what_it_gave_is_part_of_the_request() -> None:
    ask = user("Weather?")

    def talk(city: str = "Ulm", call: str = "1", answers: str | None = "1") -> Run:
        wanted = ToolCall(id=call, name="weather", arguments=f'{{"city": "{city}"}}')
        said = Message(role="assistant", content="", calls=(wanted,))
        return a_run(said, Message(role="tool", content="17", answers=answers), ask)

    runs = [talk(), talk("Bonn"), talk(call="2"), talk(answers=None), talk(answers="2")]
    assert len({asked(run, "s").key for run in runs}) == len({asked(run, "s").namespace for run in runs}) == len(runs)


def test_a_namespace_forgets_the_words_of_the_last_question_and_nothing_else() -> None:
    system, before = Message(role="system", content="Be brief."), user("Hello")
    reply = Message(role="assistant", content="Hi")
    base = asked(a_run(system, before, reply, user("one")), "s", embedder="e")
    assert asked(a_run(system, before, reply, user("two")), "s", embedder="e").namespace == base.namespace
    others = [
        asked(a_run(system, before, user("one")), "s", embedder="e"),
        asked(a_run(before, reply, user("one")), "s", embedder="e"),
        asked(a_run(system, user("Hullo"), reply, user("one")), "s", embedder="e"),
        asked(a_run(system, before, reply, user("one")), "t", embedder="e"),
        asked(a_run(system, before, reply, user("one")), "s", embedder="f"),
        asked(a_run(system, before, reply, user("one"), task="maths"), "s", embedder="e"),
    ]
    assert len({base.namespace, *(o.namespace for o in others)}) == 7


def test_what_stands_around_the_question_is_part_of_the_namespace() -> None:
    def around(text: str, before: str) -> str:
        wrapped = Compacted(policy="template", messages=(user(f"{before}{text}!"),))
        return asked(a_run(user(text), events=[wrapped]), "s").namespace

    assert around("one", "Answer: ") == around("two", "Answer: ")
    assert around("one", "Answer: ") != around("one", "Say: ")
    # Where a stage changed the words themselves, only the very same request is alike.
    changed = Compacted(policy="summary", messages=(user("something"),))
    other = Compacted(policy="summary", messages=(user("something else"),))
    assert (
        asked(a_run(user("x"), events=[changed]), "s").namespace
        != asked(a_run(user("x"), events=[other]), "s").namespace
    )


# C4: 10,000 pairs that differ in one field

FIELDS = ("tenant", "role", "prompt_version", "tools", "system", "earlier", "model", "provider", "temperature")
MORE = ("max_output_tokens", "strategy", "namespace", "task", "chunks", "corpus", "simulated", "experiment")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asking:
    """One request in all its circumstances."""

    values: dict[str, str]
    question: str

    def scope(self) -> str:
        v = self.values
        decides = {"prompt": [v["temperature"], v["max_output_tokens"], v["system"]], "strategy": v["strategy"]}
        model = Model(name="m", provider=v["provider"], upstream=v["model"], simulated=v["simulated"] == "0")
        return scope_of(decides, [model], namespace=v["namespace"], apart=[v["experiment"]])

    def run(self) -> Run:
        v = self.values
        messages = (
            Message(role="system", content=v["system"]),
            Message(role="assistant", content=v["earlier"]),
            user(self.question),
        )
        retrieved = Retrieved(corpus=v["corpus"], chunks=(v["chunks"],), messages=messages)
        answer = Answered(model="m", served_model="m", provider="p", text=f"answer to {self.question}")
        tags = {name: v[name] for name in ("tenant", "role", "prompt_version", "tools")}
        return a_run(*messages, events=[retrieved, answer], task=v["task"], tags=tags)


def pairs(n: int) -> Any:
    draw = random.Random(0)
    names = (*FIELDS, *MORE)
    for i in range(n):
        values = {name: str(draw.randrange(3)) for name in names}
        field = names[i % len(names)]
        other = {
            **values,
            field: str((int(values[field]) + 1) % 3) if field != "simulated" else "012"[values[field] == "0"],
        }
        question = f"question {draw.randrange(50)}"
        yield field, Asking(values=values, question=question), Asking(values=other, question=question)


def test_of_ten_thousand_pairs_that_differ_in_one_field_none_hears_the_other() -> None:
    crossed: list[str] = []
    equal = 0
    semantic = Semantic(settings=SemanticConfig(threshold=-1.0, guard="none", embedder="lexical"), clock=VirtualClock())
    for field, one, two in pairs(10_000):
        first, second = (asked(each.run(), each.scope(), embedder="e") for each in (one, two))
        again = asked(one.run(), one.scope(), embedder="e")
        equal += (again.key, again.namespace) == (first.key, first.namespace)
        crossed += [field] * (first.key == second.key or first.namespace == second.namespace)
    assert (crossed, equal) == ([], 10_000)
    for field, one, two in pairs(170):
        exact = Exact(clock=VirtualClock())
        semantic = Semantic(settings=semantic.settings, clock=VirtualClock())
        for cache in (exact, semantic):
            cache.keep(one.run(), cache.key(one.run(), one.scope()))
            assert isinstance(cache.look(one.run(), one.scope()), Recalled)
            if isinstance(cache.look(two.run(), two.scope()), Recalled):
                crossed.append(field)
    assert crossed == []


def test_an_embedder_has_namespaces_of_its_own() -> None:
    run = a_run(user("x"))
    keys = {
        Semantic(settings=SemanticConfig(threshold=0.9, embedder=spec), clock=VirtualClock()).key(run, "s")
        for spec in ("lexical", {"kind": "lexical", "dimensions": 512}, "minilm")
    }
    assert len(keys) == 3


BASE: dict[str, Any] = {"name": "a", "models": ["m", "n"], "strategy": {"kind": "fixed", "model": "m"}}


@pytest.mark.parametrize(
    "change",
    [
        {"strategy": {"kind": "fixed", "model": "n"}},
        {"strategy": {"kind": "cascade", "order": ["m", "n"], "gate": {"scorer": "nonempty"}}},
        {"models": ["n", "m"]},
        {"prompt": {"system": "be brief"}},
        {"prompt": {"temperature": 1.0}},
        {"prompt": {"max_output_tokens": 5}},
        {"fallbacks": {"m": ["n"]}},
        {"cache": {"exact": True, "namespace": "mine"}},
    ],
)
def test_configs_that_may_answer_differently_have_scopes_of_their_own(change: dict[str, Any]) -> None:
    assert scope(**change) != scope()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "b"},
        {"limits": {"deadline_s": 5, "budget_usd": 1}},
        {"cache": {"exact": True, "ttl_s": 5, "stale_s": 1, "size": 7}},
        {"cache": {"exact": False}},
    ],
)
def test_a_name_a_limit_or_a_lifetime_changes_no_scope(change: dict[str, Any]) -> None:
    assert scope(**change) == scope()


def test_the_same_name_at_another_provider_is_another_model() -> None:
    config = RouteConfig(**BASE)
    ours = fleet({"m": Scripted(), "n": Scripted()}).endpoints
    moved = {
        name: dataclasses.replace(e, model=dataclasses.replace(e.model, provider="elsewhere"))
        for name, e in ours.items()
    }
    renamed = {
        name: dataclasses.replace(e, model=dataclasses.replace(e.model, upstream="m-2")) for name, e in ours.items()
    }
    assert len({scope_for(config, ours), scope_for(config, moved), scope_for(config, renamed)}) == 3


def scope(**changes: Any) -> str:
    config = RouteConfig(**{**BASE, **changes})
    return scope_for(config, fleet({"m": Scripted(), "n": Scripted()}).endpoints)


def test_no_key_is_a_prefix_of_anything() -> None:
    """C10: nothing in the caches cuts a digest short, or takes a slice of a text for a key."""
    short = []
    for path in [
        *sorted((PACKAGE / "caching").rglob("*.py")),
        PACKAGE / "stages" / "recall.py",
        PACKAGE / "store" / "shelf.py",
    ]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            cut = isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice)
            if cut and "hexdigest" in ast.unparse(node.value):  # type: ignore[attr-defined]
                short.append(f"{path.name}:{node.lineno}")  # type: ignore[attr-defined]
            named = isinstance(node, ast.ImportFrom) and any(a.name == "digest" for a in node.names)
            if named:  # core.values.digest is 16 digits: for names, not for keys
                short.append(f"{path.name}:{node.lineno}")  # type: ignore[attr-defined]
    assert short == []
