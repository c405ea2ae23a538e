"""Templates: what they say, what they refuse when they are made, and what they put."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import ConfigError, TemplateError
from routelab.core.events import Compacted, Retrieved
from routelab.core.run import Run
from routelab.core.values import Message, Prompt
from routelab.prompting import Given, Library, Put, Reading, Template, Turns, spec_of, template_of
from routelab.prompting.sandbox import MOST_CHARS, text_of
from routelab.scoring import Exact, Json

TWO = (("e1", "1 + 1?", "2"), ("e2", "2 + 2?", "4"))


def user(text: str, **given: Any) -> str:
    return Template(user=text).put(Given(**{"question": "Why?", **given})).user


def run_of(*messages: tuple[str, str], events: tuple[Any, ...] = (), **prompt: Any) -> Run:
    asked = Prompt(id="p", messages=tuple(Message(role=r, content=c) for r, c in messages), **prompt)  # type: ignore[arg-type]
    return Run(id="r", prompt=asked, started_at=datetime(2026, 1, 1), events=events)


def says(messages: tuple[Message, ...]) -> list[tuple[str, str]]:
    return [(m.role, m.content) for m in messages]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ qestion }}", "user: line 1: {{ qestion }} is not defined; did you mean 'question'?"),
        ("{{ question }}\n{{ nowhere }}", "user: line 2: {{ nowhere }} is not defined; variables here: context,"),
        ("{{ question", "user: line 1: unexpected end of template"),
        (
            "{{ question }}\n{% macro a() %}{% endmacro %}",
            "user: line 2: {% macro %} is not for prompts; there are if,",
        ),
        ("{{ question }}{% include 'a' %}", "user: line 1: {% include %} is not for prompts"),
        ("{{ question }}{% filter upper %}a{% endfilter %}", "user: line 1: {% filter %} is not for prompts"),
        ("{{ question }}{% for a in tags recursive %}{% endfor %}", "user: line 1: a loop may not be recursive"),
        ("{{ question }}{{ self }}", "user: line 1: {{ self }} is not defined"),
        ("{{ question.format(1) }}", "user: line 1: format() cannot be called; methods: strip"),
        ("{{ question['upper']() }}", "user: line 1: this() cannot be called"),
        ("{{ question|uper }}", "user: line 1: there is no filter 'uper'; did you mean 'upper'?"),
        ("{{ question|attr('upper') }}", "user: line 1: there is no filter 'attr'"),
        ("{{ question is strng }}", "user: line 1: there is no test 'strng'; did you mean 'string'?"),
        ("{{ " + "(" * 5000 + "question" + ")" * 5000 + " }}", "user: line 1: is nested too deeply"),
        ("{{ question }}" + "a" * 200_000, "user: line 1: is longer than 200,000 characters"),
        ("no placeholder", "user: never says {{ question }}, so nobody would be asked"),
        ("{% raw %}{{ question }}{% endraw %}", "user: never says {{ question }}, so nobody would be asked"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused_when_it_is_made(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="user: ") as trouble:
        Template(user=text)
    assert str(trouble.value).startswith(said)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "Q A"}, "name: 'Q A' is none"),
        ({"name": "qa@3"}, "name: 'qa@3' is none"),
        ({"name": "../qa"}, "name: '../qa' is none"),
        ({"name": ""}, "name: '' is none"),
        ({"version": 0}, "version: counts from 1, not 0"),
        ({"system": "{{ answer }}"}, "system: line 1: {{ answer }} is not defined"),
        ({"example": "{{ question }}"}, "example: must say {{ question }} and {{ answer }}"),
        ({"example": "{{ question }} {{ task }} {{ answer }}"}, "example: line 1: {{ task }} is not defined"),
        ({"reads": " "}, "reads: must name a key"),
    ],
)
def test_each_part_of_a_template_is_checked(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=":") as trouble:
        Template(**fields)
    assert str(trouble.value).startswith(said)


def test_an_example_as_turns_must_say_the_answer() -> None:
    with pytest.raises(ValueError, match="assistant: never says"):
        Turns(assistant="yes")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ question }}\n\n{{ tags.lan }}", "user, line 3: there is no 'lan'; did you mean 'lang'?"),
        ("{{ question }}\n{{ task }}", "user, line 2: a value that is not there would be written"),
        ("{{ question }}{{ tags.items }}", "user, line 1: a method would be written in place of a text"),
        ("{{ question }}\n{{ 1 / 0 }}", "user, line 2: division by zero"),
        ("{{ question.__class__.__mro__ }}", "user, line 1: access to attribute '__class__' of 'str' object is unsafe"),
        ("{{ question }}{{ '%s' % 1 }}", "user, line 1: % formats no texts here; ~ joins them"),
        ("{% if task %}{{ question }}{% endif %}", "user: nothing is left of the question"),
    ],
)
def test_what_only_shows_when_it_is_filled_names_template_text_and_line(text: str, said: str) -> None:
    template = Template(name="a", version=1, user=text)
    with pytest.raises(TemplateError) as trouble:
        template.put(Given(question="Why?", tags={"lang": "de"}))
    assert trouble.value.message.startswith(f"a@1, {said}")


BOMBS = [
    "{% for i in range(10000) %}{% for j in range(10000) %}{% endfor %}{% endfor %}",
    "{% for a in question %}{% for b in question %}{% endfor %}{% endfor %}",
    "{% for i in range(10000) %}{{ question }}{% endfor %}" * 2,
    "{{ range(1000000) }}",
    "{{ 'a' * 10 ** 9 }}",
    "{{ 10 ** 9 * 'a' }}",
    "{{ [1] * 10 ** 9 }}",
    "{{ 10 ** (10 ** 10) }}",
    "{% set a = 10 ** 1000 %}{{ a * a }}",
    "{% set a = 'a' * 1000 %}" + "{% set a = a ~ a %}" * 40,
    "{% set a = 'a' * 1000 %}" + "{% set a = a + a %}" * 40,
    "{{ ('a' * 1000)|replace('a', 'b' * 100000) }}",
    "{{ range(10000)|join('b' * 10000) }}",
    "{{ 'a'|indent(10 ** 9) }}",
]


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_would_take_for_ever_or_fill_the_memory_is_an_error(bomb: str) -> None:
    with pytest.raises(TemplateError, match=r"longer than|too large|turns|numbers|goes from"):
        user("{{ question }}" + bomb, question="q" * 2_000)


def test_a_long_question_is_no_bomb() -> None:
    text = "q" * (MOST_CHARS - 10)
    assert user("{{ question }}!", question=text) == text + "!"


@pytest.mark.parametrize("evil", ["{{ 7 * 7 }}", "{% for a in b %}", "{# gone #}", "{{ system }}", "\\{{", "}}", "{%"])
def test_what_is_filled_in_is_never_read_as_a_template(evil: str) -> None:
    template = Template(
        system="{{ system }}|{{ context }}", user="{{ question }}|{{ tags.a }}", example="{{ question }}: {{ answer }}"
    )
    put = template.put(Given(question=evil, context=evil, system=evil, tags={"a": evil}, examples=[("e", evil, evil)]))
    assert put == Put(system=f"{evil}|{evil}\n\n{evil}: {evil}", turns=(), user=f"{evil}|{evil}")


@given(st.text())
def test_a_template_without_more_puts_any_question_as_it_is(question: str) -> None:
    assert Template().put(Given(question=question)).user == question


def test_blocks_leave_no_lines_behind() -> None:
    text = "{% if task %}\nTask: {{ task }}\n{% endif %}\n{{ question }}\n{% for t in tags.values() %}\n- {{ t }}\n{% endfor %}\n"
    assert user(text, tags={"a": "1", "b": "2"}) == "Why?\n- 1\n- 2"
    assert user(text, task="qa") == "Task: qa\nWhy?"


def test_json_is_written_for_a_model_and_not_for_a_web_page() -> None:
    assert user("{{ question }} {{ schema|tojson }}", schema={"a": ["<ü>"]}) == 'Why? {"a": ["<ü>"]}'


def test_examples_are_turns_put_as_the_question_is() -> None:
    put = Template(user="Q: {{ question }}").put(Given(question="Why?", examples=TWO))
    assert says(put.turns) == [("user", "Q: 1 + 1?"), ("assistant", "2"), ("user", "Q: 2 + 2?"), ("assistant", "4")]


def test_examples_of_a_template_with_a_context_are_bare_questions() -> None:
    put = Template(user="{{ context }} {{ question }}").put(
        Given(question="Why?", context="Because.", examples=TWO[:1])
    )
    assert says(put.turns) == [("user", "1 + 1?"), ("assistant", "2")]
    assert put.user == "Because. Why?"


def test_turns_have_texts_of_their_own() -> None:
    form = Turns(user="({{ number }}) {{ question }}", assistant="Answer: {{ answer }}")
    put = Template(user="{{ question }}!", example=form).put(Given(question="Why?", examples=TWO[1:]))
    assert says(put.turns) == [("user", "(1) 2 + 2?"), ("assistant", "Answer: 4")]


@pytest.mark.parametrize(
    ("template", "put"),
    [
        (
            Template(system="S", example="{{ question }} → {{ answer }}"),
            Put(system="S\n\n1 + 1? → 2\n\n2 + 2? → 4", turns=(), user="Why?"),
        ),
        (
            Template(example="{{ question }} → {{ answer }}"),
            Put(system="own\n\n1 + 1? → 2\n\n2 + 2? → 4", turns=(), user="Why?"),
        ),
        (
            Template(user="{{ examples }}\n\n{{ question }}", example="{{ question }} → {{ answer }}"),
            Put(system=None, turns=(), user="1 + 1? → 2\n\n2 + 2? → 4\n\nWhy?"),
        ),
        (
            Template(user="{% for e in examples %}{{ e.number }}. {{ e.answer }} {% endfor %}{{ question }}"),
            Put(system=None, turns=(), user="1. 2 2. 4 Why?"),
        ),
        (
            Template(user="{% if examples %}{{ examples|length }} examples\n{{ examples }}\n{% endif %}{{ question }}"),
            Put(
                system=None,
                turns=(),
                user="2 examples\nQuestion: 1 + 1?\nAnswer: 2\n\nQuestion: 2 + 2?\nAnswer: 4\nWhy?",
            ),
        ),
    ],
)
def test_examples_can_stand_in_the_text(template: Template, put: Put) -> None:
    assert template.put(Given(question="Why?", system="own", examples=TWO)) == put


def test_the_hash_is_of_what_a_template_says_and_of_nothing_else() -> None:
    one = Template(
        name="a", version=3, note="new", system="S", user="{{ question }}", example=Turns(assistant="={{ answer }}")
    )
    said = {"system": "S", "user": "{{ question }}", "example": {"assistant": "={{ answer }}"}}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    assert (one.content, one.sha256) == (said, hashlib.sha256(text.encode()).hexdigest())
    assert dataclasses.replace(one, name="b", version=None, note="").sha256 == one.sha256
    assert dataclasses.replace(one, system="S\r\n").sha256 == one.sha256
    assert dataclasses.replace(one, user="{{ question }} ").sha256 != one.sha256
    assert dataclasses.replace(one, reads="answer").sha256 != one.sha256
    assert (one.reference, dataclasses.replace(one, version=None).reference) == ("a@3", f"a@sha:{one.sha256[:12]}")


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="{}%#\u2028\u2029"), max_size=30)


@given(
    st.tuples(WORDS, WORDS, WORDS),
    st.none() | st.integers(1, 99),
    st.sampled_from((None, Turns(), "{{ question }}{{ answer }}")),
)
def test_a_template_written_and_read_again_is_the_same(
    words: tuple[str, str, str], version: int | None, example: Any
) -> None:
    first, second, note = words
    one = Template(
        name="a",
        version=version,
        system=first,
        user=second + "{{ question }}",
        example=example,
        note=note,
        reads="answer",
    )
    assert template_of(spec_of(one)) == one


def test_a_version_that_was_edited_is_refused_at_its_place() -> None:
    spec = spec_of(Template(name="a", version=2, user="{{ question }}!"))
    with pytest.raises(ConfigError, match=r"config: prompt.template.sha256: a does not say what it did"):
        template_of({**spec, "user": "{{ question }}?"})


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"usr": "x"}, "config: prompt.template.usr: unknown key; did you mean 'user'?"),
        ({"user": 3}, "config: prompt.template.user: must be a text (got 3)"),
        (
            {"user": "{{ question }}", "example": {"asistant": ""}},
            "config: prompt.template.example.asistant: unknown key",
        ),
        (
            {"example": {"assistant": "{{ x }}"}},
            "config: prompt.template.example.assistant: line 1: {{ x }} is not defined",
        ),
        ({"sha256": "abc"}, "config: prompt.template.sha256: must be 64 hexadecimal digits (got 'abc')"),
        ({"version": True}, "config: prompt.template.version: must be a whole number"),
        (["qa"], "config: prompt.template: a reference such as qa@3, or a mapping, is wanted"),
        ("qa@99", "config: prompt.template: there is no qa@99"),
        ("qaa", "config: prompt.template: there is no template 'qaa'; did you mean 'qa'?"),
        ("qa@", "config: prompt.template: 'qa@' names no template"),
    ],
)
def test_a_mapping_that_is_no_template_says_where(spec: Any, said: str) -> None:
    with pytest.raises(ConfigError) as trouble:
        template_of(spec)
    assert trouble.value.message.startswith(said)


@pytest.mark.parametrize("name", Library().names())
def test_what_comes_with_routelab_puts_a_question_with_and_without_everything(name: str) -> None:
    template = Library().get(name)
    bare = template.put(Given(question="Why <b>?"))
    full = template.put(
        Given(question="Why <b>?", context="[1] x", examples=TWO, task="t", system="s", schema={"type": "object"})
    )
    for put in (bare, full):
        assert "Why <b>?" in put.user
        for text in filter(None, (put.system, put.user, *(m.content for m in put.turns))):
            assert text == text.strip()
            assert "\n\n\n" not in text
            assert "{{" not in text
    assert len(full.turns) == 4


def test_the_json_template_tells_the_form_that_is_demanded_and_never_the_answer() -> None:
    scorer = {"kind": "json", "schema": {"type": "object", "required": ["city"]}, "equals": {"city": "Paris"}}
    messages, head = Library().get("json")(run_of(("user", "Capital of France?"), scorer=scorer))
    assert '{"type": "object", "required": ["city"]}' in messages[0].content
    assert "Paris" not in messages[0].content
    assert head == 0


def test_the_last_user_message_is_put_anew_and_the_conversation_stays() -> None:
    run = run_of(("system", "own"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))
    template = Template(system="T {{ system }}", user="<{{ question }}>")
    messages, head = template(run, examples=TWO[:1])
    assert says(messages) == [
        ("system", "T own"),
        ("user", "<1 + 1?>"),
        ("assistant", "2"),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "<c>"),
        ("assistant", "d"),
    ]
    assert head == 3


def test_the_system_text_of_the_config_stands_before_the_prompts_own() -> None:
    run = run_of(("system", "own"), ("user", "a"))
    assert says(Template()(run, system="config")[0]) == [("system", "config"), ("user", "a")]
    assert says(Template(system="T {{ system }}")(run, system="config")[0]) == [("system", "T config"), ("user", "a")]


def test_examples_stand_behind_the_prompts_own_system_text_where_nothing_replaces_it() -> None:
    run = run_of(("system", "own"), ("user", "a"), ("system", "late"), ("user", "b"))
    messages, head = Template()(run, examples=TWO[:1])
    assert says(messages) == [
        ("system", "own"),
        ("user", "1 + 1?"),
        ("assistant", "2"),
        ("user", "a"),
        ("system", "late"),
        ("user", "b"),
    ]
    assert head == 3
    assert Template()(run) == (run.messages, 0)


def test_a_template_with_a_context_is_given_the_bare_question_and_what_was_found() -> None:
    found = Retrieved(
        corpus="c", chunks=("a:0-3",), context="[1] abc", messages=(Message(role="user", content="[1] abc\n\nWhy?"),)
    )
    run = run_of(("user", "Why?"), events=(found,))
    assert says(Template(user="{{ context }} | {{ question }}")(run)[0]) == [("user", "[1] abc | Why?")]


def test_a_template_with_a_context_is_given_what_a_compressor_left_of_it() -> None:
    found = Retrieved(
        corpus="c",
        chunks=("a:0-3",),
        context="[1] abc  def",
        messages=(Message(role="user", content="[1] abc  def\n\nWhy?"),),
    )
    template = Template(user="{{ context }} | {{ question }}")
    shorter = Compacted(policy="compress", messages=(Message(role="user", content="[1] abc\n\nWhy?"),))
    assert says(template(run_of(("user", "Why?"), events=(found, shorter)))[0]) == [("user", "[1] abc | Why?")]
    # Where the question itself was touched, what is in front of it cannot be told from it.
    other = Compacted(policy="compress", messages=(Message(role="user", content="[1] abc\n\nWhy"),))
    assert says(template(run_of(("user", "Why?"), events=(found, other)))[0]) == [("user", "[1] abc  def | Why?")]


def test_a_template_without_a_context_is_given_the_last_user_message_as_it_stands() -> None:
    found = Retrieved(
        corpus="c", chunks=("a:0-3",), context="[1] abc", messages=(Message(role="user", content="[1] abc\n\nWhy?"),)
    )
    shorter = Compacted(policy="compress", messages=(Message(role="user", content="[1] b\n\nWhy?"),))
    run = run_of(("user", "Why?"), events=(found, shorter))
    assert says(Template(user="{{ question }}!")(run)[0]) == [("user", "[1] b\n\nWhy?!")]


def test_a_prompt_without_a_user_message_cannot_be_put() -> None:
    with pytest.raises(ConfigError, match=r"prompt.template: a@1 puts a question, and p has no user message"):
        Template(name="a", version=1)(run_of(("system", "own")))


@pytest.mark.parametrize(
    ("answer", "quality"),
    [
        ('{"answer": "Paris"}', 1.0),
        ('```json\n{"answer": "Paris"}\n```', 1.0),
        ('First {"answer": "Rome"}, no: {"answer": "Paris", "why": 1} it is.', 1.0),
        ("Paris", 1.0),
        ('{"answer": "Rome"}', 0.0),
        ("{" * 100_000, 0.0),
        ("[" * 100_000, 0.0),
    ],
)
def test_a_scorer_of_plain_answers_is_shown_the_value_of_the_key(answer: str, quality: float) -> None:
    scorer = Reading(scorer=Exact(answers=("Paris",)), key="answer")
    assert scorer(answer, Prompt.of("Capital of France?")).quality == quality


def test_a_scorer_of_json_is_shown_all_of_it() -> None:
    prompt = dataclasses.replace(Prompt.of("?"), scorer={"kind": "json", "equals": {"answer": 1}})
    assert Reading(scorer=Json(equals={"answer": 1}), key="answer")('{"answer": 1}', prompt).quality == 1.0


def test_a_compiled_text_is_kept() -> None:
    variables = frozenset({"question"})
    assert text_of("{{ question }}", variables) is text_of("{{ question }}", variables)
