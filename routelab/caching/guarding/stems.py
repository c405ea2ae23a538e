"""A light stemmer for English: what inflection adds goes away, what derivation adds stays."""

from __future__ import annotations

from types import MappingProxyType


def listed(text: str, between: str | None = None) -> list[str]:
    """Return the entries of a table that is written as one text."""
    return text.split(between)


_IRREGULAR = """
be am is are was were been being
do does did done doing
have has had having
go goes went gone going
child children
person people persons
man men
woman women
foot feet
tooth teeth
mouse mice
leaf leaves
knife knives
life lives
wife wives
datum data
criterion criteria
index indices indexes
vertex vertices
analysis analyses
buy bought
sell sold
send sent
pay paid
take took taken
get got gotten
make made
write wrote written
break broke broken
choose chose chosen
find found
keep kept
leave left
feel felt
give gave given
know knew known
say said
see saw seen
tell told
think thought
teach taught
understand understood
begin began begun
run ran running
drive drove driven
eat ate eaten
fly flew flown flies
grow grew grown
hold held
hear heard
lead led
meet met
rise rose risen
speak spoke spoken
spend spent
stand stood
win won
withdraw withdrew withdrawn
forget forgot forgotten
steal stole stolen
lose lost
build built
bring brought
catch caught
come came
cut cut
draw drew drawn
drink drank drunk
fall fell fallen
fight fought
freeze froze frozen
hide hid hidden
sleep slept
shrink shrank shrunk
sing sang sung
sink sank sunk
swim swam swum
throw threw thrown
wake woke woken
wear wore worn
lend lent
bite bit bitten
bind bound
grind ground
mean meant
sit sat
tax taxes taxed taxing
status statuses
bus buses
gas gases
process processes processed processing
access accesses accessed accessing
lie lies lied lying
die dies died dying
tie ties tied tying
use used using uses
sue sued suing sues
owe owed owing owes
age aged ages
add added adding adds
see seeing sees
agree agreed agreeing agrees
free freed freeing
set setting sets
put putting puts
let letting lets
""".strip().splitlines()
IRREGULAR = MappingProxyType({form: line.split()[0] for line in _IRREGULAR for form in line.split()})
_BRITISH = MappingProxyType(
    {
        "grey": "gray",
        "tyre": "tire",
        "cheque": "check",
        "programme": "program",
        "licence": "license",
        "defence": "defense",
        "offence": "offense",
        "aluminium": "aluminum",
        "kerb": "curb",
        "plough": "plow",
        "catalogue": "catalog",
        "dialogue": "dialog",
        "analogue": "analog",
        "jewellery": "jewelry",
        "mould": "mold",
        "mouldy": "moldy",
        "fulfil": "fulfill",
        "enrol": "enroll",
        "pyjamas": "pajamas",
        "sceptical": "skeptical",
        "storey": "story",
        "artefact": "artifact",
        "fibre": "fiber",
        "centre": "center",
        "theatre": "theater",
        "litre": "liter",
        "metre": "meter",
        "calibre": "caliber",
        "manoeuvre": "maneuver",
    }
)
_HISSING = ("s", "x", "z", "ch", "sh")
_VOWELS = frozenset("aeiouy")


def american(word: str) -> str:
    """Return the American spelling of a folded English word.

    >>> [american(w) for w in ("colour", "organise", "litres", "travelling", "anaemia")]
    ['color', 'organize', 'liters', 'traveling', 'anemia']
    """
    plural = word.endswith("s") and not word.endswith("ss")
    single = word[:-1] if plural else word
    changed = _BRITISH.get(single)
    if changed is None:
        changed = single
        if (
            len(changed) > 4
            and changed.endswith("our")
            and changed not in ("hour", "four", "flour", "devour", "contour", "detour")
        ):
            changed = changed[:-3] + "or"
        changed = changed.replace("aemi", "emi").replace("paed", "ped").replace("oest", "est")
        for british, our in (
            ("isation", "ization"),
            ("ising", "izing"),
            ("ised", "ized"),
            ("ise", "ize"),
            ("yse", "yze"),
            ("ysing", "yzing"),
        ):
            if changed.endswith(british) and len(changed) > len(british) + 3:
                changed = changed[: -len(british)] + our
                break
        for british, our in (("elling", "eling"), ("elled", "eled"), ("eller", "eler")):
            if changed.endswith(british) and len(changed) > 8:
                changed = changed[: -len(british)] + our
    return changed + "s" if plural else changed


def stem(word: str) -> str:
    """Return what inflected forms of a folded word have in common.

    >>> [stem(w) for w in ("charges", "charged", "charging", "cities", "stopped", "children", "bus")]
    ['charg', 'charg', 'charg', 'city', 'stop', 'child', 'bus']
    """
    known = IRREGULAR.get(word)
    if known is not None:
        return known.rstrip("e") if len(known) > 4 else known
    if len(word) <= 3:
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("es") and word[:-2].endswith(_HISSING):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if word.endswith("ied") and len(word) > 4:
        return word[:-3] + "y"
    for ending in ("ing", "ed"):
        rest = word[: -len(ending)]
        if word.endswith(ending) and len(rest) >= 3 and not _VOWELS.isdisjoint(rest) and not rest.endswith(("e", "th")):
            word = rest
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    if word.endswith("ly") and len(word) > 5:
        word = word[:-2]
    return word[:-1] if word.endswith("e") and len(word) > 4 else word
