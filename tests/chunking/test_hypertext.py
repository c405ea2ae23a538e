"""Pages become what a reader sees, however broken they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routelab.chunking import Markdown
from routelab.chunking.hypertext import seen


def test_blocks_headings_lists_cells_and_exact_text_are_kept_and_scripts_are_not() -> None:
    page = """<!doctype html><html><head><title>Handbook</title><style>p {}</style></head><body>
    <nav><a href="x">Home</a></nav><h1>Leave <em>policy</em></h1>
    <p>Two
       weeks &amp; a day.<br>More.</p><ul><li>one</li><li>two</li></ul>
    <table><tr><th>a</th><td>1</td></tr></table><pre>x  =  1
      y</pre><script>if (a < b) { c("</p>") }</script><p>End.</body>"""
    assert seen(page) == (
        "Handbook\n\nHome\n\n# Leave policy\n\nTwo weeks & a day.\nMore.\n\n- one\n- two\n\n| a | 1\n\nx  =  1\n      y\n\nEnd."
    )


def test_headings_are_those_that_markdown_chunkers_know() -> None:
    [*_, last] = Markdown(size=8)(seen("<h1>Leave</h1><p>a b c d e f g<h2>Sick</h2><p>h i j k l m n o p"))
    assert last.headings == ("Leave", "Sick")


@given(st.text("<>/!-ab&;#x \n\"'=h1preli", max_size=60))
def test_any_text_is_taken(text: str) -> None:
    assert "\n\n\n" not in seen(text)
    assert seen(text) == seen(text).strip()
