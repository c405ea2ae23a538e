"""What people see: nothing a model says becomes HTML, lines move in place, and all of it reads without styles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.lab.headway import spent
from routelab.lab.trial import Progress
from routelab.notebook.progress import Meter
from routelab.present import Table
from routelab.present.live import Live
from routelab.testing import Scripted, fleet

if TYPE_CHECKING:
    from tests.notebook.conftest import Cells

HOSTILE = (
    '<script>alert(1)</script><img src=x onerror="alert(2)"></pre></div><style>*{display:none}</style>'
    "<a href='javascript:alert(3)'>click</a><!-- \x1b[31m \u202e {{7*7}} ${7*7} &lt;b&gt; <table><tr><td>"
)
OURS = {
    "html",
    "head",
    "body",
    "div",
    "style",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "pre",
    "code",
    "progress",
    "b",
    "span",
    "h3",
    "p",
    "details",
    "summary",
    "br",
}


def elements(html: str) -> Iterator[Any]:
    """Yield every element of the parsed HTML; a parse error fails the test."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    yield from parser.parse(f"<!DOCTYPE html><html><head></head><body>{html}</body></html>").iter()


def assert_tame(html: str) -> None:
    """Only our own elements and attributes are there, and one style sheet of ours at most a bundle."""
    for element in elements(html):
        assert element.tag in OURS, element.tag
        assert set(element.attrib) <= {"class", "align", "value", "max", "colspan", "title", "style"}, element.attrib
        assert "(" not in element.attrib.get("style", ""), "no url() and no expression()"
        if element.tag == "style":
            assert (element.text or "").startswith(".rl")


@pytest.mark.parametrize(
    "cell",
    [
        "%%route cheap\n{{hostile}}\n",
        "%%route cheap good\n{{hostile}}\n",
        "%%route cheap good --dry-run\n{{hostile}}\n",
        "%%route cheap good -v data --dry-run\n{{prompt}}\n",
        "%%route cheap good -v data\n{{prompt}}\n",
        "%routelab log",
        "%routelab show {run}",
        "%routelab status",
        "%routelab models",
        "%routelab strategies",
        "%routelab help",
        "%routelab cache",
    ],
)
def test_nothing_a_model_or_a_user_wrote_becomes_html(cells: Cells, cell: str) -> None:
    cells.use(fleet({"cheap": Scripted(HOSTILE), "good": Scripted(HOSTILE)}))
    cells.names.update(hostile=HOSTILE, data=[HOSTILE, "b"])
    cells.run("%%route -o first --tag who=<b>me</b>\n{{hostile}}\n")
    shown = [cells.run(cell.replace("{run}", cells.names["first"].id))]
    bundles = [obj._repr_mimebundle_() for obj in shown if hasattr(obj, "_repr_mimebundle_")] + [
        s["data"] for s in cells.shown
    ]
    assert bundles
    for bundle in bundles:
        assert "\x1b" not in bundle["text/plain"] + bundle.get("text/html", "")
        assert "\u202e" not in bundle["text/plain"] + bundle.get("text/html", "")
        if "text/html" in bundle:
            assert_tame(bundle["text/html"])
            # "$5 or $6" would be typeset as a formula.
            assert bundle["text/html"].startswith('<div class="rl tex2jax_ignore mathjax_ignore')


@given(st.text(max_size=200))
def test_a_line_and_a_table_are_tame_for_any_text(text: str) -> None:
    shell = Shell()
    Live(shell).put(text, share=0.5)
    assert_tame(shell.published[0][0]["text/html"])
    assert_tame(Table(head=(text, "b"), rows=[[text, text]], caption=text, notes=[text]).html())


class Shell:
    """As much of a kernel's shell as a live line needs."""

    kernel = object()

    def __init__(self) -> None:
        self.published: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.display_pub = self

    def publish(
        self, *, data: dict[str, str], metadata: dict[str, Any], transient: dict[str, Any], update: bool
    ) -> None:
        assert metadata == {}
        self.published.append((data, {**transient, "update": update}))


def progress(done: int, **changes: Any) -> Progress:
    return Progress(**{"done": done, "total": 40, "spent_usd": 0.011, "errors": 0, **changes})


def test_a_line_is_shown_once_and_then_rewritten_where_it_stands() -> None:
    shell = Shell()
    live = Live(shell)
    for text in ("0/2", "0/2", "1/2"):
        live.put(text, share=0.5)
    live.put("2 answers", last=True)
    live.begin()
    live.put("2 answers", last=True)
    assert [(d["text/plain"], a["update"]) for d, a in shell.published] == [
        ("0/2", False),
        ("1/2", True),
        ("2 answers", True),
        ("2 answers", False),
    ]
    assert len({about["display_id"] for _, about in shell.published}) == 1
    assert ["<progress" in data["text/html"] for data, _ in shell.published] == [True, True, False, False]


def test_where_a_line_cannot_be_rewritten_only_its_last_state_is_shown() -> None:
    shell = Shell()
    shell.kernel = None  # type: ignore[assignment]
    live = Live(shell)
    live.put("1/2", share=0.5)
    live.put("2 answers", last=True)
    assert [data["text/plain"] for data, _ in shell.published] == ["2 answers"]


def test_a_hidden_line_shows_nothing() -> None:
    shell = Shell()
    Live(shell, shown=False).put("x", last=True)
    assert shell.published == []


def test_the_meter_says_done_spent_errors_and_when_it_should_end() -> None:
    now = [0.0]
    meter = Meter("data", clock=lambda: now[0])
    assert meter.moving(progress(0)) == "data · 0/40 · $0.0110"
    now[0] = 23.0
    assert meter.moving(progress(23, errors=1)) == "data · 23/40 · $0.0110 · 1 error · 17 s left"
    assert meter.still(progress(40, errors=2, total=40)) == "data · 40 answers · $0.0110 · 2 errors · 23.0 s"
    assert meter.still(progress(31), "budget spent") == "data · 31 of 40 answers · $0.0110 · 23.0 s · budget spent"
    assert spent(progress(5, unpriced=3)) == "at least $0.0110 (3 without a price)"
