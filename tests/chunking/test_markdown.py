"""Markdown is cut at its headings and blocks, and knows under which heading a chunk stands."""

from __future__ import annotations

from routelab.chunking import Markdown

TEXT = """\
---
title: Handbook
---

# Handbook

Hello there.

## Setup of `tools` and [links](https://example.com)

Install it first.

```python
# not a heading
def f():

    return 1
```

Then run it.

| name | price |
|------|-------|
| a    | 1     |
| b    | 2     |

Under the line
--------------

Last words ##.

## Closed ##

Bye.
"""


def heads(size: int, **options: int) -> list[tuple[tuple[str, ...], str]]:
    chunks = Markdown(size=size, unit="characters", fill=0, **options)(TEXT)
    return [(chunk.headings, chunk.text.strip().splitlines()[0]) for chunk in chunks]


def test_every_section_has_the_path_of_its_headings() -> None:
    assert heads(10_000, apart=2) == [
        ((), "---"),
        (("Handbook",), "# Handbook"),
        (("Handbook", "Setup of tools and links"), "## Setup of `tools` and [links](https://example.com)"),
        (("Handbook", "Under the line"), "Under the line"),
        (("Handbook", "Closed"), "## Closed ##"),
    ]


def test_a_fence_and_a_table_that_fit_are_whole() -> None:
    fence = TEXT[TEXT.index("```python") : TEXT.index("Then run")]
    table = TEXT[TEXT.index("| name") : TEXT.index("Under the")]
    for size in range(max(len(fence), len(table)) + 1, 400):
        for overlap in (0, 0.2):
            chunks = Markdown(size=size, overlap=overlap, unit="characters")(TEXT)
            assert any(fence.strip() in chunk.text for chunk in chunks)
            assert any(table.strip() in chunk.text for chunk in chunks)
            assert all(not chunk.text.startswith(("    return", "| b")) for chunk in chunks)


def test_a_fence_that_does_not_fit_is_divided_between_lines() -> None:
    text = "Before.\n\n```\n" + "".join(f"line {i}\n" for i in range(100)) + "```\n\nAfter.\n"
    chunks = Markdown(size=100, unit="characters")(text)
    assert all(chunk.text.endswith("\n") for chunk in chunks)
    assert len(chunks) > 8


def test_a_heading_is_not_left_alone_at_the_end_of_a_chunk() -> None:
    text = "Some words to begin with. " * 3 + "\n\n# Next\n\n" + "And words after that. " * 8
    for size in range(90, 140):
        chunks = Markdown(size=size, unit="characters")(text)
        assert all(not chunk.text.rstrip().endswith("# Next") for chunk in chunks)


def test_what_looks_like_a_heading_in_a_fence_or_front_matter_is_none() -> None:
    chunks = Markdown(size=30, unit="characters")("---\n# no\n---\n```\n# no\n```\n# Yes\n" + "word " * 30)
    assert {chunk.headings for chunk in chunks} == {(), ("Yes",)}


def test_a_lower_heading_ends_the_deeper_ones() -> None:
    text = "# A\n\n### C\n\nx\n\n## B\n\ny\n"
    found = [chunk.headings for chunk in Markdown(size=100, unit="characters", apart=6)(text)]
    assert found == [("A",), ("A", "C"), ("A", "B")]
