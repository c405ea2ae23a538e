"""What the lexical guard knows of English: closed word classes and fixed phrases.

General English on purpose: nothing here was taken from a benchmark. A word that is in no table still counts, as content.
Texts in other languages do without this file; see `reading.english`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from routelab.caching.guarding.stems import listed, stem


def _set(text: str) -> frozenset[str]:
    return frozenset(listed(text))


AUXILIARIES = _set(
    "am is are was were be been being do does did done can could will would shall should may might must ought has have had"
)
PRONOUNS = _set(
    "i me my mine myself we us our ours ourselves you your yours yourself he him his himself she her hers herself it its itself"
    " they them their theirs themselves someone somebody anyone anybody everyone everybody something anything everything one ones"
    " this that these those there here who whom whose which what"
)
PREPOSITIONS = _set(
    "of in on at by for with about into onto to from as than through during over under between among within across along around"
    " behind beside beyond inside outside near per via toward towards upon against before after since until till up down off out"
    " away back regarding concerning including"
)
CONNECTIVES = _set(
    "a an the and or but so if then else because while whether though although when where why how however also too very really quite"
    " just only even still already yet ever again both either neither each every all any some such same other more most much"
    " many few less least several lot lots bit little own etc eg ie vs versus rather instead yes ok okay oh well now currently right"
    " exactly actually simply basically generally usually typically normally often sometimes maybe perhaps soon"
)
FUNCTION = AUXILIARIES | PRONOUNS | PREPOSITIONS | CONNECTIVES
"""Words that do not say what a question is about; some of them are looked at apart (roles, question forms, opposites)."""

EVIDENCE = _set(
    "the is are was were do does did can could would should how what why when where who which my your you it this that of to and for"
    " with have has from there if an i am not be by whats im dont cant about write explain show give list find make need want without into please"
)
"""Words of which an English sentence nearly always has one."""

LIGHT = _set(
    "please thank thanks thx hi hello hey dear sir madam regards cheers sorry bother morning afternoon greeting kind kindly question"
    " quick wonder want need like wish know tell explain show give let help assist get make use have find try ask say see look think"
    " want way thing stuff possible able allow good best nice great general mean work go come take put become happen seem"
    " suggest recommend advise understand learn describe define provide list name write guide step steps process procedure info"
    " information detail details advice example tip tips method exist contain certain specific different difference differ some"
    " kind sort type overview guys folks anyway basically issue problem trouble suppose require necessary say proper properly correct"
    " correctly question answer required must supposed currently available involve concern regard consider main major common commonly"
    " various particular actual real"
)
"""Words that come and go among ways of asking the same; an unmatched one is no change of subject."""

NEGATORS = _set(
    "not no never none nobody nothing nowhere neither nor without hardly barely scarcely rarely seldom cannot minus lack lacks lacking"
)
EXCEPTIONS = _set("except excluding exclude excludes besides save unless")

CONTRACTED = MappingProxyType(
    {
        **{w + "nt": (w, "not") for w in listed("do does did is are was were has have had could would should must")},
        **{
            w + "n't": (w, "not")
            for w in listed("do does did is are was were has have had could would should must need")
        },
        "cant": ("can", "not"),
        "unable": ("not", "able"),
        "can't": ("can", "not"),
        "cannot": ("can", "not"),
        "wont": ("will", "not"),
        "won't": ("will", "not"),
        "shan't": ("shall", "not"),
        "ain't": ("is", "not"),
        "mustn't": ("must", "not"),
        "whats": ("what", "is"),
        "hows": ("how", "is"),
        "wheres": ("where", "is"),
        "whos": ("who", "is"),
        "im": ("i", "am"),
        "ive": ("i", "have"),
        "lets": ("let", "us"),
        "wanna": ("want", "to"),
        "gonna": ("going", "to"),
        "gotta": ("got", "to"),
        "pls": ("please",),
        "plz": ("please",),
        "u": ("you",),
        "ur": ("your",),
        "w/o": ("without",),
        "w/": ("with",),
        "y'all": ("you",),
    }
)

PHRASES: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("turn", "on"): "enable",
        ("turn", "off"): "disable",
        ("switch", "on"): "enable",
        ("switch", "off"): "disable",
        ("shut", "down"): "stop",
        ("shut", "off"): "disable",
        ("power", "on"): "enable",
        ("power", "off"): "disable",
        ("power", "up"): "enable",
        ("boot", "up"): "start",
        ("start", "up"): "start",
        ("set", "up"): "configure",
        ("sign", "up"): "register",
        ("sign", "in"): "login",
        ("log", "in"): "login",
        ("log", "into"): "login",
        ("sign", "into"): "login",
        ("log", "on"): "login",
        ("sign", "out"): "logout",
        ("log", "out"): "logout",
        ("log", "off"): "logout",
        ("go", "up"): "increase",
        ("went", "up"): "increase",
        ("goes", "up"): "increase",
        ("go", "down"): "decrease",
        ("went", "down"): "decrease",
        ("goes", "down"): "decrease",
        ("speed", "up"): "accelerate",
        ("slow", "down"): "decelerate",
        ("check", "in"): "checkin",
        ("check", "out"): "checkout",
        ("leave", "out"): "without",
        ("leaves", "out"): "without",
        ("zoom", "in"): "zoomin",
        ("zoom", "out"): "zoomout",
        ("opt", "in"): "optin",
        ("opt", "out"): "optout",
        ("get", "rid"): "remove",
        ("take", "out"): "remove",
        ("throw", "away"): "discard",
        ("find", "out"): "know",
        ("look", "for"): "search",
        ("look", "up"): "search",
        ("fill", "in"): "complete",
        ("fill", "out"): "complete",
        ("carry", "out"): "perform",
        ("hand", "in"): "submit",
        ("give", "back"): "return",
        ("send", "back"): "return",
        ("pay", "back"): "repay",
        ("get", "back"): "recover",
        ("call", "off"): "cancel",
        ("put", "off"): "postpone",
        ("bring", "up"): "raise",
        ("clean", "up"): "clean",
        ("back", "up"): "backup",
        ("roll", "back"): "rollback",
        ("break", "down"): "breakdown",
        ("against", "law"): "illegal",
        ("heat", "up"): "heat",
        ("anything", "but"): "except",
        ("everything", "but"): "except",
        ("all", "but"): "except",
        ("get", "hot"): "heat",
    }
)
"""A verb and its particle, at most three words apart, said with one word."""

SETTLED: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        (stem(first), second): whole
        for first, second, whole in (
            ("fail", "to", "not"),
            ("refuse", "to", "not"),
            ("stand", "for", "mean"),
            ("short", "for", "mean"),
            ("united", "states", "usa"),
            ("united", "kingdom", "uk"),
            ("european", "union", "eu"),
            ("new", "york", "nyc"),
            ("one", "way", "oneway"),
            ("round", "trip", "roundtrip"),
            ("pass", "away", "die"),
            ("straight", "away", "immediately"),
            ("right", "away", "immediately"),
        )
    }
)
"""Two words side by side that are one."""
