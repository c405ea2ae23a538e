from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.values import Prompt
from routelab.scoring import Number
from routelab.scoring.number import in_words

PROMPT = Prompt.of("How many?")
SPELLINGS = {
    1234.5: [
        *(
            "1234.5",
            "1,234.5",
            "1.234,5",
            "1 234,5",
            "1\N{NO-BREAK SPACE}234,5",
            "1\N{NARROW NO-BREAK SPACE}234.5",
            "1'234.5",
            "1’234.5",
        ),
        *("$1,234.50", "€ 1.234,50", "1_234.5", "１２３４.５", "1.2345e3", "1.2345E+03", "1.2345 × 10^3", "1.2345×10³"),
        *(
            "$1.2345 \\times 10^{3}$",
            "$1{,}234.5$",
            "1\\,234.5",
            "2469/2",
            "1234 1/2",
            "1234½",
            "1.2345 thousand",
            "1.2345k",
        ),
        *(
            "Answer: 1,234.5 km",
            "The answer is 1234.5, found in 2 steps",
            "so 1000 + 234.5 = 1,234.5.",
            "1234.5 m²",
            "\\boxed{1{,}234.5}",
        ),
        *("It takes 3 steps.\nAnswer: **$1,234.50**\n(after 2 roundings)", "1. First\n2. Then 1234.5\n3. Done"),
        *("Answer: 1000 + 234.5 = 1234.5", "Answer (in km): 1234.5", "### Answer\n1234.5"),
    ],
    -3.0: [
        *(
            "-3",
            "−3",
            "–3",
            "minus 3",
            "$-3$",
            "-3.0",
            "x = -3",
            "x=-3",
            "Answer: -3",
            "-$3",
            "$-3",
            "negative three",
            "**-3**",
            "= - 3",
            "(-3)",
        ),
    ],
    42.0: [
        *(
            "42",
            "42.",
            "42,",
            "42!",
            "forty-two",
            "Forty two.",
            "Answer: forty-two",
            "42 apples",
            "**42**",
            "`42`",
            "#### 42",
            "42kg",
            "42 °C",
        ),
        *(
            "H2O needs 42",
            "42 m^2",
            "42 m²",
            "42 by x₁",
            "42 for GPT-4",
            "The answer is 42 on GPT-4",
            "from 12 to 42",
            "≈42",
            "Answer ≈ 42",
            "84/2",
        ),
        *("\\(42\\)", "Total: 42 (see [Smith])", "USD 42", "5-42", "42%", "42 m", "1, 2, 42", "0042"),
    ],
    0.125: [
        *(
            "1/8",
            "12.5%",
            "12.5 %",
            "12.5\\%",
            "0.125",
            ".125",
            "0,125",
            "⅛",
            "\\frac{1}{8}",
            "$\\dfrac{1}{8}$",
            "1.25e-1",
            "1.25×10⁻¹",
            "2^-3",
            "2^{-3}",
        ),
    ],
    3e6: [
        *(
            "3 million",
            "3,000,000",
            "3.000.000",
            "3 000 000",
            "30,00,000",
            "3e6",
            "3×10⁶",
            "3 million people",
            "three million",
            "$3 million",
        ),
    ],
    2024.0: ["in 2024", "12/05/2024", "2024-ish", "Answer: 2024"],
}


@pytest.mark.parametrize(("wanted", "said"), [(n, s) for n, said in SPELLINGS.items() for s in said])
def test_a_number_is_read_however_it_is_written(wanted: float, said: str) -> None:
    assert Number(answer=wanted)(said, PROMPT).quality == 1


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        *((1234.5, s) for s in ("1234", "12345", "-1234.5", "Answer: 1235", "Answer: 7\n1234.5", "none", "")),
        *((-3, s) for s in ("3", "5-3", "5 - 3", "GPT-3", "3-")),
        *(
            (42, s)
            for s in (
                "43",
                "4.2",
                "420",
                "4,2",
                "Answer: 24\n\nnot 42",
                "M42",
                "42 and then 43",
                "3.42.1",
                "x^42",
                "0.42",
                "4 2",
            )
        ),
        *((0.125, s) for s in ("1.25", "8", "1/80", "125%")),
        *((3e6, s) for s in ("30 million", "3000", "3 billion x 2")),
        (5, "no one knows"),
        (1, "no one knows"),
    ],
)
def test_another_number_scores_zero(wanted: float, said: str) -> None:
    assert Number(answer=wanted)(said, PROMPT).quality == 0


def test_the_tolerance_is_absolute_and_inclusive() -> None:
    scorer = Number(answer=12.5, tolerance=0.1)
    assert [scorer(s, PROMPT).quality for s in ("12.4", "12.6", "12.39", "12.61")] == [1, 1, 0, 0]


def test_a_large_whole_number_must_be_right_to_the_last_digit() -> None:
    scorer = Number(answer=1_000_000_007)
    assert [scorer(s, PROMPT).quality for s in ("1,000,000,007", "1000000008", "1e9")] == [1, 0, 0]


def test_the_reason_names_the_number_that_was_read() -> None:
    assert Number(answer=4)("3 + 2 is −5", PROMPT).reason == "states “-5”, 4 is wanted"


@given(st.integers(-(10**15), 10**15))
def test_any_whole_number_is_read_with_and_without_groups(n: int) -> None:
    scorer = Number(answer=n)
    grouped = f"{n:,}"
    spellings = (
        str(n),
        grouped,
        grouped.replace(",", " "),
        grouped.replace(",", "'"),
        f"It is **{grouped}**.",
        f"Answer: {n}",
    )
    assert [scorer(s, PROMPT).quality for s in spellings] == [1] * len(spellings)


@given(st.floats(-1e12, 1e12).map(lambda x: round(x, 4)))
def test_any_decimal_is_read_in_english_and_continental_form(x: float) -> None:
    scorer = Number(answer=x, tolerance=1e-6)
    english = f"{x:,.4f}"
    continental = english.translate(str.maketrans(",.", ".,"))
    assert scorer(english, PROMPT).quality == scorer(continental, PROMPT).quality == 1


@given(st.integers(0, 999_999))
def test_a_spelled_out_number_is_read(n: int) -> None:
    assert in_words(spelled(n)) == n


def spelled(n: int) -> str:
    ones = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
    tens = "twenty thirty forty fifty sixty seventy eighty ninety"
    if n < 20:
        return ones.split()[n]
    if n < 100:
        return tens.split()[n // 10 - 2] + (f"-{spelled(n % 10)}" if n % 10 else "")
    if n < 1000:
        return f"{spelled(n // 100)} hundred" + (f" and {spelled(n % 100)}" if n % 100 else "")
    return f"{spelled(n // 1000)} thousand" + (f" {spelled(n % 1000)}" if n % 1000 else "")
