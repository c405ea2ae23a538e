"""The lexical guard objects to near misses and to nothing else."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from routelab.caching.guard import GUARDS, Lexical, Objection, Unguarded, guard_of
from routelab.caching.guarding.opposites import opposed
from routelab.caching.guarding.synonyms import SYNONYMS
from routelab.core.errors import ConfigError

GUARD = Lexical()

NEAR_MISSES = [
    # polarity
    ("How do I turn on dark mode?", "How do I turn off dark mode?", "polarity"),
    ("How do I turn the heating on?", "How do I turn the heating off?", "polarity"),
    ("How do I enable logging?", "How do I disable logging?", "polarity"),
    ("Is thyme safe for dogs?", "Is thyme unsafe for dogs?", "polarity"),
    ("What increases cortisol?", "What decreases cortisol?", "polarity"),
    ("Is it possible to park here?", "Is it impossible to park here?", "polarity"),
    ("Which cheeses are legal to import?", "Which cheeses are illegal to import?", "polarity"),
    ("What is hyperthermia?", "What is hypothermia?", "polarity"),
    ("How do I follow a blog?", "How do I unfollow a blog?", "polarity"),
    ("What should I do before surgery?", "What should I do after surgery?", "polarity"),
    ("Was it dear before the war?", "Was it dear during the war?", "polarity"),
    ("my payment is pending", "my payment is declined", "polarity"),
    ("my wallet was lost", "my wallet was stolen", "polarity"),
    ("Who is the buyer here?", "Who is the seller here?", "polarity"),
    ("Is she my aunt?", "Is he my uncle?", "polarity"),
    # negation
    ("Which birds can fly?", "Which birds can't fly?", "negation"),
    ("Which birds can fly?", "which birds cannot fly", "negation"),
    ("the engine starts", "the engine doesnt start", "negation"),
    ("Coffee with sugar, how many calories?", "Coffee without sugar, how many calories?", "negation"),
    ("Close all tabs", "Close all tabs except this one", "negation"),
    ("Should I sign it?", "Should I never sign it?", "negation"),
    # numbers
    ("Divide 84 by 4", "Divide 84 by 7", "number"),
    ("Give me three ideas", "Give me four ideas", "number"),
    ("What is the second law?", "What is the third law?", "number"),
    ("New in Python 3.11", "New in Python 3.12", "number"),
    ("Is kernel 5.15.0 patched?", "Is kernel 5.15.1 patched?", "number"),
    ("Cells 10-20", "Cells 10-30", "number"),
    ("a loan of 20k", "a loan of 20 million", "number"),
    ("World War I", "World War II", "number"),
    ("What is 25% of 80?", "What is 35% of 80?", "number"),
    ("twenty-one days", "twenty-two days", "number"),
    ("I paid 1.50", "I paid 15.0", "number"),
    # units and currencies
    ("Is 20 kg too much?", "Is 20 lb too much?", "unit"),
    ("What is $40 in yen?", "What is €40 in yen?", "unit"),
    ("Wait 10s", "Wait 10ms", "unit"),
    ("Is 30 °C warm?", "Is 30 °F warm?", "unit"),
    ("a walk of 30 miles north", "a walk of 30 degrees north", "unit"),
    ("How many miles is it?", "How many kilometres is it?", "unit"),
    # dates and times
    ("Are you open on Monday?", "Are you open on Tuesday?", "date"),
    ("are you open on monday", "are you open on tuesday", "date"),
    ("Weather in May in Rome", "Weather in June in Rome", "date"),
    ("What is due today?", "What is due tomorrow?", "date"),
    ("sales last week", "sales next week", "date"),
    ("Call me at 7am", "Call me at 7pm", "date"),
    ("Music of the 1970s", "Music of the 1980s", "date"),
    ("Budget 2024", "Budget 2025", "number"),
    ("Report of 2024-03-01", "Report of 2024-04-01", "date"),
    # names and entities
    ("Call Anna about the offer", "Call Bruno about the offer", "name"),
    ("When was Haydn born?", "When was Liszt born?", "name"),
    ("Deploy it on AWS please", "Deploy it on GCP please", "entity"),
    ("How do I read a file?", "How do I read a file in Rust?", "name"),
    ("capital of norway", "capital of sweden", "topic"),
    # code
    ("Explain ls -l", "Explain ls -a", "code"),
    ("Open src/main.py", "Open src/test.py", "code"),
    ("What is user_id?", "What is order_id?", "code"),
    ("Mail a@example.com", "Mail b@example.com", "code"),
    ("Is https://example.com/a up?", "Is https://example.com/b up?", "code"),
    ("What does x //= 2 do?", "What does x %= 2 do?", "code"),
    ("What is a && b?", "What is a || b?", "code"),
    ("Call getUser here", "Call getGroup here", "code"),
    ("Is vitamin B6 water soluble?", "Is vitamin B12 water soluble?", "code"),
    # forms of asking
    ("How do I file a patent?", "Why do I file a patent?", "question"),
    ("When do I renew it?", "Where do I renew it?", "question"),
    ("Can I sublet it?", "How do I sublet it?", "question"),
    ("How many people signed it?", "Which people signed it?", "question"),
    ("Must I sign the form?", "Can I sign the form?", "question"),
    ("Why should I sign the form?", "What should I use to sign the form?", "question"),
    ("I can hear her but she can't hear me", "I can't hear her but she can hear me", "negation"),
    ("Does it cover water damage?", "Does it cover anything but water damage?", "negation"),
    ("Use run, not exec, then run", "Use run, not exec, then exec", "topic"),
    ("Print the carpet", "Print the car", "topic"),
    ("half a cup", "a quarter cup", "number"),
    ("What is 1/2 of 90?", "What is 1/3 of 90?", "number"),
    ("How long is the bridge?", "How old is the bridge?", "question"),
    # roles
    ("Convert euros to pesos", "Convert pesos to euros", "role"),
    ("trains from Graz to Linz", "trains from Linz to Graz", "role"),
    ("Can a wolf outrun a deer?", "Can a deer outrun a wolf?", "role"),
    ("Is zinc denser than tin?", "Is tin denser than zinc?", "role"),
    ("How can I contact the landlord?", "How can the landlord contact me?", "role"),
    ("Do I tell my friend about my enemy?", "Do I tell my enemy about my friend?", "role"),
    ("lock an unlocked door", "unlock a locked door", "role"),
    ("Give me 3 sets of 8", "Give me 8 sets of 3", "role"),
    ("Can an author sue a critic?", "Can an author be sued by a critic?", "role"),
    # what is left of the content
    ("How do I prune a fig tree?", "How do I prune an apple tree?", "topic"),
    ("Where do I change my address?", "Where do I change my surname?", "topic"),
]

HARMLESS = [
    ("How do I reset my PIN?", "how do i reset my pin"),
    ("Hello, how do I reset my PIN? Thanks!", "How do I reset my PIN?"),
    ("Could you please tell me how to prune a fig tree?", "How do I prune a fig tree?"),
    ("What's the capital of Norway?", "What is the capital of Norway?"),
    ("I can't log in", "I cannot log into it"),
    ("Give me five ideas", "Give me 5 ideas"),
    ("twenty-five days", "25 days"),
    ("a population of 1.5 million", "a population of 1,500,000"),
    ("Newton's third law", "Newton's 3rd law"),
    ("World War II", "World War 2"),
    ("What is 15% of 240?", "What is 15 percent of 240?"),
    ("Is 5 mg too much?", "Is 5 milligrams too much?"),
    ("Is €50 enough?", "Is 50 euros enough?"),
    ("Wait 30s", "Wait 30 seconds"),
    ("Weather on Jan 3", "Weather on 3 January"),
    ("Report of 2024-03-01", "Report of 1 March 2024"),
    ("Call me at 7pm", "Call me at 19:00"),
    ("Are you open on Mondays?", "Are you open Monday?"),
    ("Films of the nineties", "Films of the 90s"),
    ("How do I organise my colours?", "How do I organize my colors?"),
    ("Was Gödel ill?", "Was Godel ill?"),
    ("population of the U.K.", "population of the UK"),
    ("In Rust, how do I read a file?", "How do I read a file in Rust?"),
    ("How do I turn off swap?", "How do I switch swap off?"),
    ("Can a critic sue an author?", "Can an author be sued by a critic?"),
    ("Explain `git rebase -i`.", "Explain git rebase -i"),
    ("Does list.append return it?", "Does list.append() return it?"),
    ("Which countries don't use the euro?", "Which countries do not use the euro?"),
    ("Do you have a cheaper plan?", "Don't you have a cheaper plan?"),
    ("The movie was good, wasn't it?", "The movie was good."),
    ("How can I fix a leaking tap?", "How do I repair a leaking faucet?"),
    ("Is the shop far?", "IS THE SHOP FAR?!"),
    ("What does a kg of rice cost?", "what does a kilogram of rice cost"),
    ("Is 30 degrees Celsius warm?", "Is 30 °C warm?"),
    ("What are 100 rupees in dollars?", "How many dollars is 100 rupees?"),
    ("¿cómo cancelo mi tarjeta?", "¿Cómo cancelo mis tarjetas?"),
    ("How many people live in Oslo?", "What is the population of Oslo?"),
    ("What is half of 90?", "What is 1/2 of 90?"),
    ("Is there a cure for it?", "Can it be cured?"),
    ("How fast is 100 km/h?", "How fast is 100 kilometers per hour?"),
    ("Could you not restart it?", "Couldn't you restart it?"),
    ("What is random access memory?", "What is RAM?"),
    ("", "?!"),
]

FOREIGN = [
    ("¿Cuánto es 15% de 240?", "¿Cuánto es 18% de 240?", "number"),
    ("Wie wird das Wetter am 03.01.2025?", "Wie wird das Wetter am 03.02.2025?", "number"),
    ("Сколько стоит 5 кг риса?", "Сколько стоит 6 кг риса?", "number"),
    ("東京の人口は2020年で何人ですか", "東京の人口は2021年で何人ですか", "number"),
    ("كم يساوي 50 دولار", "كم يساوي 60 دولار", "number"),
    ("Wie kündige ich Netflix?", "Wie kündige ich Spotify?", "name"),
    ("comment planter des tulipes", "comment planter des carottes", "topic"),
    ("Que fait ls -l ici ?", "Que fait ls -a ici ?", "code"),
    ("Habe 20 € bezahlt", "Habe 20 £ bezahlt", "unit"),
    ("Quand est né Ravel à Ciboure ?", "Quand est né Fauré à Ciboure ?", "name"),
    ("Что такое ток?", "What is current?", "language"),
]


@pytest.mark.parametrize(("asked", "known", "kind"), NEAR_MISSES + FOREIGN)
def test_a_near_miss_is_objected_to_for_its_own_reason(asked: str, known: str, kind: str) -> None:
    objection = GUARD(asked, known)
    assert objection is not None
    assert objection.kind == kind


@pytest.mark.parametrize(("asked", "known"), HARMLESS)
def test_a_harmless_difference_is_let_through(asked: str, known: str) -> None:
    assert GUARD(asked, known) is None


def test_an_objection_says_what_each_side_has() -> None:
    assert GUARD("Give me three ideas", "Give me 4 ideas") == Objection(kind="number", asked="3", known="4")
    assert str(GUARD("Close all tabs", "Close all tabs except this one")) == "negation: – | except"


TEXTS = st.text(alphabet=st.characters(), max_size=80) | st.lists(
    st.sampled_from(
        [
            "how",
            "do",
            "I",
            "turn",
            "on",
            "off",
            "the",
            "Anna",
            "5",
            "five",
            "3.11",
            "1/2",
            "$20",
            "20€",
            "kg",
            "monday",
            "last",
            "not",
            "can't",
            "-x",
            "--all",
            "a_b",
            "foo.py",
            "/etc/x",
            "==",
            "&&",
            "May",
            "7pm",
            "12:30",
            "II",
            "2024-02-30",
            "99/99/9999",
            "90s",
            "the",
            "nineties",
            "from",
            "to",
            "by",
            "is",
            "London",
            "�",
            "́",
            "٣",
            "二",
            "(",
            ")",
            ".",
            "?",
            "'",
            '"',
            "`",
            "1st",
            "twenty",
            "one",
            "thousand",
        ]
    ),
    max_size=14,
).map(" ".join)


@settings(max_examples=400, deadline=None)
@given(TEXTS, TEXTS)
@example("\ud800", "\udfff")
@example("9" * 5000, "²³")
@example("1" * 400 + " million", "٣ million")
@example("1 " + "million " * 2000, "a thousand " * 1500)
@example("one hundred " * 1500, "twenty one " * 1500)
@example("aB" * 9000, "a1" * 9000)
@example("1:99999 25:61am 0am", "13pm")
def test_any_two_texts_get_the_same_answer_from_both_sides(one: str, other: str) -> None:
    there, back = GUARD(one, other), GUARD(other, one)
    assert (there is None) == (back is None)
    if there is not None and back is not None:
        assert (there.kind, {there.asked, there.known}) == (back.kind, {back.asked, back.known})


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from(["", " ", "\n", "  \t"]), st.sampled_from(["", ".", "?", "!", "?!", "...", " ?"]))
def test_case_white_space_and_closing_punctuation_never_matter(text: str, space: str, end: str) -> None:
    changed = space + text.swapcase().replace(" ", " " + space) + end
    if text.swapcase().casefold() == text.casefold():
        assert GUARD(text, changed) is None
    assert GUARD(text, text) is None


@pytest.mark.parametrize(
    "huge",
    [
        "a" * 1_000_000,
        "word " * 200_000,
        "5 " * 500_000,
        "\u0301" * 1_000_000,
        "-" * 1_000_000,
        "don't " * 3_300,
        "a.b" * 6_000,
        "1,1" * 6_000,
    ],
)
def test_a_huge_text_is_read_in_linear_time_and_agrees_with_itself_alone(huge: str) -> None:
    assert GUARD(huge, huge + " !") is None
    assert GUARD(huge, "What is 5 + 5?") is not None


def test_two_long_texts_without_a_common_word_are_told_apart_without_comparing_every_pair() -> None:
    one = "the " + " ".join(f"Abcx{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}" for n in range(2000))
    other = "the " + " ".join(
        f"Abcy{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}" for n in range(2000)
    )
    assert GUARD(one, other) is not None
    assert GUARD(one.lower(), other.lower()) is not None


def test_beyond_its_reach_texts_must_be_the_same_word_for_word() -> None:
    page = "The quick brown fox jumps over the lazy dog. " * 1000
    objection = GUARD(page + "One.", page + "Two.")
    assert objection is not None
    assert objection.kind == "length"


def test_decisions_do_not_depend_on_the_hash_seed(elsewhere) -> None:  # type: ignore[no-untyped-def]
    said = elsewhere(
        "from test_caching_guard import FOREIGN, HARMLESS, NEAR_MISSES\n"
        "from routelab.caching.guard import Lexical\n"
        "guard = Lexical()\n"
        "for a, b, *_ in NEAR_MISSES + FOREIGN + HARMLESS: print(ascii(str(guard(a, b))))"
    )
    assert said.splitlines() == [ascii(str(GUARD(a, b))) for a, b, *_ in NEAR_MISSES + FOREIGN + HARMLESS]


def test_a_strict_guard_objects_to_what_one_side_adds() -> None:
    pair = ("How do I order a virtual card?", "How do I order a disposable virtual card?")
    assert GUARD(*pair) is None
    assert Lexical(strict=True)(*pair) == Objection(kind="topic", asked="", known="disposable")
    assert (
        Lexical(strict=True)("How do I order a virtual card?", "Could you tell me how to order a virtual card?") is None
    )


def test_it_remembers_no_more_texts_than_it_was_told() -> None:
    guard = Lexical(remembered=10)
    for n in range(50):
        guard(f"question {n}", f"question {n + 1}")
    assert len(guard._memory.held) == 10
    guard("x" * 20_001, "question")
    assert len(guard._memory.held) == 10


def test_guards_are_made_by_name() -> None:
    assert guard_of("none") == Unguarded()
    assert guard_of() == Lexical()
    assert guard_of({"kind": "lexical", "remembered": 100}) == Lexical(remembered=100)
    assert guard_of({"kind": "lexical", "strict": True}) == Lexical(strict=True)
    assert Lexical(strict=True).id == "lexical-strict@2"
    assert [guard_of(name).id for name in GUARDS] == ["none", "lexical@2"]
    assert guard_of("none")("Yes?", "No!") is None


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("lexicl", "guard.kind: unknown 'lexicl'; did you mean 'lexical'?"),
        ({}, "guard.kind: missing"),
        ({"kind": 3}, "guard.kind: unknown 3"),
        (7, "guard: a name or a mapping with a kind is wanted, not int"),
        ({"kind": "lexical", "rememberd": 5}, "guard (lexical): unknown 'rememberd'; did you mean 'remembered'?"),
        ({"kind": "lexical", "remembered": True}, "guard.remembered: a whole number from 2 is wanted, not True"),
        ({"kind": "lexical", "strict": 1}, "guard.strict: true or false is wanted, not 1"),
        ({"kind": "none", "remembered": 5}, "guard (none): unknown 'remembered'"),
    ],
)
def test_a_guard_that_cannot_be_made_says_why(spec: object, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        guard_of(spec)  # type: ignore[arg-type]
    assert str(caught.value).splitlines()[0] == complaint


def test_no_group_of_synonyms_holds_two_opposites() -> None:
    members: dict[int, set[str]] = {}
    for word, numbers in SYNONYMS.items():
        for number in numbers:
            members.setdefault(number, set()).add(word)
    torn = {(w, o) for words in members.values() for w in words if (o := opposed(w, words - {w})) is not None}
    assert torn == set()


PAIRS = Path(__file__).resolve().parents[2] / "datasets" / "cache_pairs" / "pairs.csv"


def test_the_shipped_pairs_are_what_their_readme_says() -> None:
    with PAIRS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {"0", "1"}
    assert len({frozenset((row["text_a"].casefold(), row["text_b"].casefold())) for row in rows}) == len(rows)
    misses = [row for row in rows if row["label"] == "0"]
    assert len(misses) >= 560
    assert len(rows) - len(misses) >= 200
    slices = {
        name: sum(row["slice"] == name for row in misses)
        for name in ("polarity", "number", "entity", "date", "near-topic")
    }
    assert min(slices.values()) >= 50
