"""Programs are cut between definitions, whatever their language."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from routelab.chunking import Code

PYTHON = '''\
import os


class Engine:
    """Runs.

def not_a_definition():
    """

    def start(self):
        return os.getpid()

    # about stop
    @property
    def stop(self):
        return None


async def main():
    await wait()
'''
JAVASCRIPT = """\
import fs from "fs";

function one(a) {
  if (a) {
    return [1, 2];
  } else {
    return [];
  }
}

function two(b) {
  return b
    .map(x => x + 1)
    .filter(Boolean);
}
"""


def test_python_is_cut_before_statements_with_the_names_around() -> None:
    chunks = Code(size=100, unit="characters", fill=0.3)(PYTHON)
    assert [(chunk.headings, chunk.text.strip().splitlines()[0]) for chunk in chunks] == [
        ((), "import os"),
        (("Engine", "start"), "def start(self):"),
        (("Engine", "stop"), "# about stop"),
        (("main",), "async def main():"),
    ]


def test_other_languages_are_cut_by_their_layout() -> None:
    chunks = Code(size=150, unit="characters", fill=0.3)(JAVASCRIPT)
    assert [chunk.text.split("(")[0] for chunk in chunks] == ['import fs from "fs";\n\nfunction one', "function two"]


def test_a_line_that_goes_on_does_not_begin_a_chunk() -> None:
    for size in range(60, 160):
        chunks = Code(size=size, unit="characters")(JAVASCRIPT)
        assert all(not chunk.text.startswith(("}", "  } else")) for chunk in chunks)


def test_lines_are_whole_where_they_fit() -> None:
    for text in (PYTHON, JAVASCRIPT):
        for size in range(45, 200, 7):
            chunks = Code(size=size, unit="characters")(text)
            assert all(chunk.text.endswith("\n") for chunk in chunks)


def test_what_is_repeated_begins_with_a_line_where_one_is_short_enough() -> None:
    for size in range(120, 300, 7):
        chunks = Code(size=size, overlap=0.3, unit="characters")(JAVASCRIPT)
        assert all(chunk.start == 0 or JAVASCRIPT[chunk.start - 1] == "\n" for chunk in chunks)


def test_what_does_not_parse_as_python_is_cut_like_any_other_language() -> None:
    broken = PYTHON + "\ndef (:\n"
    assert Code(size=110, unit="characters")(broken) == Code(size=110, unit="characters", language="other")(broken)


def test_a_program_with_odd_escapes_or_null_bytes_raises_and_warns_nothing() -> None:
    for text in (
        "x = '\\d'\ny = 1\n" * 30,
        "x = 1\x00\ny = 2\n" * 30,
        "(" * 3000,
        "x = " + "-" * 50_000 + "1\ny = 2\n",
    ):
        assert "".join(chunk.text for chunk in Code(size=40, unit="characters")(text)) == text


def test_programs_are_parsed_on_many_threads_at_once() -> None:
    chunker = Code(size=100, unit="characters")
    expected = chunker(PYTHON * 20)
    with ThreadPoolExecutor(6) as pool:
        assert all(found == expected for found in pool.map(chunker, [PYTHON * 20] * 60))
