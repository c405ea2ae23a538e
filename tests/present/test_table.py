"""A table has two faces that say the same."""

from __future__ import annotations

import html5lib  # type: ignore[import-untyped]

from routelab.present import STYLE, Table, bundle, framed

TABLE = Table(
    head=("model", "cost"),
    rows=[["gpt-5-mini", "$0.10"], ["qwen", "$12.00"]],
    numbers=frozenset((1,)),
    caption="two models",
    notes=["prices of today"],
)


def test_text_is_aligned_with_numbers_to_the_right() -> None:
    assert TABLE.text().splitlines() == [
        "two models",
        "model         cost",
        "──────────  ──────",
        "gpt-5-mini   $0.10",
        "qwen        $12.00",
        "prices of today",
    ]


def test_wide_characters_keep_the_columns_aligned() -> None:
    lines = Table(head=("a", "b"), rows=[["日本", "x"], ["e\u0301", "y"], ["abcd", "z"]]).text().splitlines()
    assert lines[2:] == ["日本  x", "e\u0301     y", "abcd  z"]


def test_long_cells_are_cut_and_line_breaks_do_not_break_the_table() -> None:
    lines = Table(head=("a",), rows=[["x" * 100], ["one\ntwo"]]).text(width=10).splitlines()
    assert lines == ["a", "─" * 10, "x" * 9 + "…", "one two"]


def test_html_says_the_same_cells_in_order() -> None:
    tree = html5lib.parseFragment(TABLE.html(), treebuilder="etree", namespaceHTMLElements=False)
    assert [c.text for c in tree.iter("th")] == ["model", "cost"]
    assert [c.text for c in tree.iter("td")] == ["gpt-5-mini", "$0.10", "qwen", "$12.00"]
    assert [c.get("align") for c in tree.iter("td")] == [None, "right", None, "right"]
    assert [d.text for d in tree.iter("div")] == ["two models", "prices of today"]


def test_an_empty_table_is_its_head() -> None:
    assert Table(head=("a", "b"), rows=[]).text() == "a  b\n─  ─"


def test_a_bundle_puts_its_parts_below_each_other() -> None:
    made = bundle("first", TABLE, "last")
    assert made["text/plain"] == f"first\n{TABLE.text()}\nlast"
    assert made["text/html"] == framed(f"<div>first</div>{TABLE.html()}<div>last</div>")
    assert framed("x").startswith('<div class="rl ')
    assert framed("x").endswith(f"{STYLE}x</div>")


def test_the_style_has_no_colour_of_its_own_without_a_fallback_to_the_front_end() -> None:
    assert "color:var(--jp-ui-font-color1" in STYLE
    assert "url(" not in STYLE
    assert "@import" not in STYLE
    assert STYLE.startswith("<style>")
    assert STYLE.count("<") == 2


def test_text_stands_left_without_the_style_sheet_and_numbers_right() -> None:
    html = Table(head=("arm", "n"), rows=[["small", "3"]], numbers=frozenset((1,))).html()
    row = '<td style="text-align:left">small</td><td class=n align=right>3</td>'
    assert f"<tbody><tr>{row}</tr></tbody>" in html
