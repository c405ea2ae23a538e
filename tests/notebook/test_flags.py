"""A magic's line becomes words, flags and text, or one line that says what was meant."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import ConfigError
from routelab.notebook.asking import FLAGS, Ask, read_ask
from routelab.notebook.flags import Line, read_line, usage, variable

NAMES: dict[str, Any] = {"sys": "be nice", "data": [1, 2], "n": 3}


def look(path: str) -> Any:
    return NAMES[path]


def ask(line: str, cell: str | None = "body\n") -> Ask:
    return read_ask(line, cell, look)


def test_every_flag_of_the_contract_is_read_in_its_long_and_short_form() -> None:
    long = ask(
        "cheap good --out r --over data --limit 5 --system 'be nice' --temperature 0.5 --max-tokens 40 --score exact"
        " --budget 0.25 --no-cache --jobs 4 --bg --quiet --tag who=me --tag why=x=y --no-template"
    )
    short = ask(
        "cheap good -o r -v data -n 5 -s 'be nice' -t 0.5 --max-tokens 40 --score exact"
        " --budget 0.25 --no-cache -j 4 --bg -q --tag who=me --tag why=x=y --no-template"
    )
    assert long == short
    assert long == Ask(
        text="body\n",
        arms=("cheap", "good"),
        out="r",
        over="data",
        limit=5,
        system="be nice",
        temperature=0.5,
        max_tokens=40,
        score="exact",
        budget=0.25,
        no_cache=True,
        jobs=4,
        bg=True,
        quiet=True,
        tag=(("who", "me"), ("why", "x=y")),
        no_template=True,
    )
    assert ask("-m gpt-5") == ask("--model gpt-5") == Ask(text="body\n", model="gpt-5")
    assert ask("--dry-run") == Ask(text="body\n", dry_run=True)


def test_values_may_be_attached() -> None:
    assert ask("--over=data -n5 --system='a b' -t=1") == Ask(
        text="body\n", over="data", limit=5, system="a b", temperature=1.0
    )


@pytest.mark.parametrize(
    ("written", "system"),
    [
        ('"be nice"', "be nice"),
        ("'say \"hi\"'", 'say "hi"'),
        ('"it\'s"', "it's"),
        ('be" nice"', "be nice"),
        (r"C:\Users\me", r"C:\Users\me"),
        (r'"C:\new folder\"', "C:\\new folder\\"),
        ("$sys", "be nice"),
        ("'$sys'", "$sys"),
        ("$5", "$5"),
        ("-5°", "-5°"),
        ("'--quiet'", "--quiet"),
        ("#tag", "#tag"),
        ("Grüße", "Grüße"),
    ],
)
def test_quotes_are_no_part_of_a_value_and_a_backslash_is_no_escape(written: str, system: str) -> None:
    assert ask(f"-s {written} -q") == Ask(text="body\n", system=system, quiet=True)


def test_a_dollar_name_is_looked_up_and_may_be_anything() -> None:
    assert ask("--over $data --limit $n") == Ask(text="body\n", over=[1, 2], limit=3)
    assert [variable(t) for t in ("$a", "$a.b['c'][0]", "$5", "$", "a$b", "$a b")] == [
        "a",
        "a.b['c'][0]",
        None,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--dryrun", "unknown flag --dryrun; did you mean '--dry-run'?"),
        ("--sytem x", "unknown flag --sytem; did you mean '--system'?"),
        ("-x", "unknown flag -x"),
        ("-qn 5", "unknown flag -qn"),
        ("--limit many", "--limit: a number is wanted (got 'many')"),
        ("--limit 0", "--limit: a whole number of at least 1 is wanted (got '0')"),
        ("--limit 2.5", "--limit: a whole number of at least 1 is wanted (got '2.5')"),
        ("--temperature 3", "--temperature: a number from 0 to 2 is wanted (got '3')"),
        ("--temperature nan", "--temperature: a number from 0 to 2 is wanted (got 'nan')"),
        ("--budget -1", "--budget: a number of at least 0 is wanted (got '-1')"),
        ("--budget inf", "--budget: a number of at least 0 is wanted (got 'inf')"),
        ("--out 1x", "--out: a variable's name is wanted (got '1x')"),
        ("--tag who", "--tag: KEY=VALUE is wanted (got 'who')"),
        ("--out", "--out needs a value: -o, --out NAME"),
        ("--out --quiet", "--out needs a value: -o, --out NAME"),
        ("--system ''", "--system needs a value: -s, --system TEXT"),
        ("--quiet=yes", "--quiet takes no value (got 'yes')"),
        ("-q -q", "--quiet is given twice"),
        ("--system 'be nice", "a quote is not closed: 'be nice"),
        ("cheap cheap", "the arm 'cheap' is named twice"),
        ("cheap --model gpt-5", "--model pins one model, so it leaves nothing to the arms"),
        ("--limit 5", "--limit counts rows, so it needs --over DATA"),
        ("--sample 5", "--sample counts rows, so it needs --over DATA"),
        ("--over d --limit 5 --sample 5", "--limit and --sample exclude each other"),
        ("--dry-run --bg", "--dry-run and --bg exclude each other"),
        ("--system $n", "--system: a text is wanted (got '3')"),
    ],
)
def test_a_line_that_cannot_be_meant_is_refused_in_one_line(line: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        ask(line)
    assert raised.value.message.removeprefix("%%route: ") == message


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("What's up? It costs $5 {x} -q", "What's up? It costs $5 {x} -q"),
        ("-o r What's up?", "What's up?"),
        ("-5 degrees in Fahrenheit", "-5 degrees in Fahrenheit"),
        ("- a list", "- a list"),
        ("-q -- --dry-run is a flag", "--dry-run is a flag"),
        ("", ""),
        ("--tag a=b", ""),
    ],
)
def test_on_one_line_the_text_begins_where_the_flags_end_and_stays_as_it_is(line: str, text: str) -> None:
    assert ask(line, None).text == text


def test_a_misspelt_flag_before_a_text_is_not_taken_for_the_text() -> None:
    with pytest.raises(ConfigError, match="did you mean '--dry-run'"):
        ask("--dryrun What is 2+2?", None)


@given(
    st.text(st.characters(blacklist_characters="'\"", blacklist_categories=("Cs", "Cc")), min_size=1).filter(str.strip)
)
def test_any_text_in_quotes_comes_out_as_it_went_in(text: str) -> None:
    for quote in "'\"":
        assert ask(f"-s {quote}{text}{quote} -q") == Ask(text="body\n", system=text, quiet=True)


@given(st.text(max_size=60))
def test_no_line_does_anything_but_be_read_or_be_refused(line: str) -> None:
    try:
        read = read_line(line, FLAGS, lambda path: path, magic="%%route")
    except ConfigError:
        return
    assert isinstance(read, Line)


@given(
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=60).filter(
        lambda t: not t.lstrip().startswith("-")
    )
)
def test_a_line_without_flags_is_all_text(text: str) -> None:
    assert read_line(text, FLAGS, look, magic="%route", text=True) == Line(text=text.strip())


def test_the_help_names_every_flag_once() -> None:
    first = [line.lstrip().split("  ")[0] for line in usage(FLAGS).splitlines()]
    assert first == [flag.usage().strip() for flag in FLAGS]
