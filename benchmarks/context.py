"""What context policies forget and what they save, as docs/results/context.md.

    python benchmarks/context.py ../shared/data > docs/results/context.md

Offline: the summariser is the practice one (extractive, simulated). Every request of a growing dialogue is fitted as it would be sent.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from routelab.context import Extractive, Room, Span, Summary, asked, policy_of, room_of
from routelab.context.fitted import Summariser
from routelab.core.values import Message, Model, Price, Tokens, draw
from routelab.embedding import Cached, embedder_of
from routelab.embedding.vectors import Memory
from routelab.lab.contexts.dialogues import Dialogue, Recorded, evidence, interrupted, planted, recorded, told
from routelab.lab.contexts.retention import Retention, Versus, retained, versus
from routelab.lab.datasets import shipped
from routelab.lab.statistics import Estimate, tango
from routelab.present.numbers import usd
from routelab.providers import notes
from routelab.providers.prices import GenaiPrices
from routelab.providers.tokens import Counter

MARGIN, SAVING = 0.02, 0.40
SAMPLE, BETWEEN, SEED = 400, 60, 0
TIMES, DRAWS = 3, 4
"""How many times as long the long dialogues are, and how many more dialogues are drawn of each scenario and variant."""
RULES = ", by rules"
"""What an arm's name ends with whose summaries are written by `providers.notes`."""
PRICED_ON = date(2026, 11, 1)
ANSWERS, WRITES = "gpt-5-mini", "gemini-flash"
DEARER = "claude-sonnet"
NO_LOSS = tango(0, 0, 32)[1]
AGES = ((0, 4), (5, 19), (20, 49), (50, 999))


def arm(kind: str, **more: Any) -> dict[str, Any]:
    """Return a policy's mapping, as a YAML file would have it."""
    return {"kind": kind, **more}


LONG: Mapping[str, Mapping[str, Any]] = {
    "none": arm("none"),
    "window, 10 turns": arm("window", turns=10),
    "window, 20 turns": arm("window", turns=20),
    "window, 40 turns": arm("window", turns=40),
    "window, 40 turns by 20": arm("window", turns=40, stride=20),
    "window, 600 tokens": arm("window", tokens=600),
    "window, 1,000 tokens": arm("window", tokens=1000),
    "window, 1,000 tokens, tools pinned": arm("window", tokens=1000, pin=["tool"]),
    "window, 10 turns, users and tools pinned": arm("window", turns=10, pin=["user", "tool"]),
    "window, 20 turns, users and tools pinned": arm("window", turns=20, pin=["user", "tool"]),
    "window, 20 turns by 10, users and tools pinned": arm("window", turns=20, stride=10, pin=["user", "tool"]),
    "summarise at 1,000, summary 200": arm("summarise", model=WRITES, limit=1000, max_tokens=200),
    "summarise at 1,000, summary 400": arm("summarise", model=WRITES, limit=1000, max_tokens=400),
    "summarise at 1,500, summary 400": arm("summarise", model=WRITES, limit=1500, max_tokens=400),
    f"summarise at 1,000, summary 400{RULES}": arm("summarise", model=WRITES, limit=1000, max_tokens=400),
    f"summarise at 1,500, summary 400{RULES}": arm("summarise", model=WRITES, limit=1500, max_tokens=400),
    f"summarise at 900 exactly, summary 400, keep 4{RULES}": arm(
        "summarise", model=WRITES, limit=900, max_tokens=400, keep_last=4, trigger=1.0
    ),
    f"summarise at 1,200, summary 600, keep 6{RULES}": arm(
        "summarise", model=WRITES, limit=1200, max_tokens=600, keep_last=6
    ),
    "pins only at 1,000": arm("hybrid", limit=1000, facts=0),
    "facts 150 at 800": arm("hybrid", limit=800, facts=150),
    "facts 300 at 800": arm("hybrid", limit=800, facts=300),
    "facts 150 at 1,000": arm("hybrid", limit=1000, facts=150),
    "facts 300 at 1,000": arm("hybrid", limit=1000, facts=300),
    "facts 300 at 1,500": arm("hybrid", limit=1500, facts=300),
    "facts 300, summary 200 at 1,000": arm("hybrid", model=WRITES, limit=1000, facts=300, max_tokens=200),
}
SHORT: Mapping[str, Mapping[str, Any]] = {
    "none": arm("none"),
    "window, 2 turns": arm("window", turns=2),
    "window, 4 turns": arm("window", turns=4),
    "window, 200 tokens": arm("window", tokens=200),
    "summarise at 250, summary 80, keep 2": arm("summarise", model=WRITES, limit=250, max_tokens=80, keep_last=2),
    "facts 80 at 250, keep 2": arm("hybrid", limit=250, facts=80, keep_last=2),
}
LONGER: Mapping[str, Mapping[str, Any]] = {
    "none": arm("none"),
    "window, 10 turns, users and tools pinned": LONG["window, 10 turns, users and tools pinned"],
    "summarise at 2,000, summary 600, keep 6": arm("summarise", model=WRITES, limit=2000, max_tokens=600, keep_last=6),
    f"summarise at 2,000, summary 600, keep 6{RULES}": arm(
        "summarise", model=WRITES, limit=2000, max_tokens=600, keep_last=6
    ),
    f"summarise at 3,000, summary 1,200{RULES}": arm("summarise", model=WRITES, limit=3000, max_tokens=1200),
    "facts 800 at 2,000": arm("hybrid", limit=2000, facts=800),
}
MORE = (
    "none",
    "window, 10 turns, users and tools pinned",
    f"summarise at 900 exactly, summary 400, keep 4{RULES}",
    f"summarise at 1,200, summary 600, keep 6{RULES}",
)
INTERRUPTED = (
    "none",
    "window, 20 turns",
    "window, 1,000 tokens",
    "summarise at 1,000, summary 400",
    f"summarise at 1,000, summary 400{RULES}",
    "window, 10 turns, users and tools pinned",
    "facts 300 at 1,000",
)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every part needs: the room, the two simulated summarisers, and prices."""

    room: Room
    summarise: Extractive
    rules: Summariser
    prices: Mapping[str, Price]

    def run(self, dialogues: Sequence[Dialogue], arms: Mapping[str, Mapping[str, Any]]) -> list[Retention]:
        """Return each arm over the dialogues."""
        return [
            retained(
                name, policy_of(spec), dialogues, self.room, self.rules if name.endswith(RULES) else self.summarise
            )
            for name, spec in arms.items()
        ]


def made() -> Bench:
    """Return the bench: tokens of o200k_base, exact for the answering model."""
    model = Model(name=ANSWERS, provider="practice", upstream=ANSWERS, context_window=400_000)
    room = room_of(model, Counter())
    listed = GenaiPrices(on=lambda: PRICED_ON)
    prices = {name: price for name in (ANSWERS, WRITES, DEARER) if (price := listed("practice", name)) is not None}
    embedder = Cached(embedder=embedder_of("minilm"), store=Memory())
    extractive = Extractive(embedder=embedder, count=room.count)
    return Bench(room=room, summarise=extractive, rules=by_rules(room), prices=prices)


def by_rules(room: Room) -> Summariser:
    """Return the summariser that writes what practice models write when they are asked for notes."""
    wide = Room(limit=None, count=room.count)

    def write(span: Span) -> Summary:
        said = asked(span, wide)
        wanted = notes.wanted(said)
        assert wanted is not None
        text = notes.written(wanted, "practice", room.count)
        tokens = Tokens(input=room.tokens(said), output=room.count(text), source="estimate")
        return Summary(text=text, model=span.model, tokens=tokens, simulated=True)

    return write


def share(estimate: Estimate, digits: int = 1, sign: str = "") -> str:
    """Return a share in per cent with its interval."""
    ends = estimate.interval
    told = f"{100 * estimate.value:{sign}.{digits}f}"
    return told if ends is None else f"{told} [{100 * ends[0]:{sign}.{digits}f}, {100 * ends[1]:{sign}.{digits}f}]"


def verdict(found: Versus) -> str:
    """Return the three words of a verdict; what is worse but within the margin says so."""
    word = found.recall.verdict
    return word + (", within the margin" if found.recall.worse_within_margin else "")


def table(bench: Bench, arms: Sequence[Retention], *, money: bool) -> list[str]:
    """Return the main table: recall, losses, tokens, and money where it is wanted."""
    base = arms[0]
    head = "| policy | facts held % | points vs none | verdict | lost any % of dialogues | lost all % | input tokens | saved % |"
    head += " summaries |" + (
        f" USD {ANSWERS} | with prompt cache | USD {DEARER} | with prompt cache |" if money else ""
    )
    lines = [head, "|---|---:|---:|---|---:|---:|---:|---:|---:|" + ("---:|" * 4 if money else "")]
    for found in arms:
        against = versus(found, base, margin=MARGIN)
        same = found is base
        cells = [
            found.name,
            share(found.recall()),
            "–" if same else share(against.recall.difference, sign="+"),
            "–" if same else verdict(against),
            share(found.any_lost(), 0),
            share(found.all_lost(), 0),
            f"{int(found.tokens().sum()):,}",
            "–" if same else share(against.saved),
            f"{sum(b.summaries for b in found.bills):,}" if any(b.summaries for b in found.bills) else "–",
        ]
        if money:
            cells += [
                usd(found.cost_usd(bench.prices[name], bench.prices[WRITES], caching=caching))
                for name in (ANSWERS, DEARER)
                for caching in (False, True)
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def decided(arms: Sequence[Retention]) -> list[str]:
    """Return for each policy which margin its figures would certify, and how many dialogues or scenarios it would take for 2 points.

    The margin is the loss at the lower end of the interval; the number is that of `statistics.n_needed`, none where the loss
    itself is beyond the margin and the verdict is reached.
    """
    base = arms[0]
    lines = [
        "| policy | saved % | points vs none, by dialogue | certified from | needed at 2 points | by scenario | certified from | scenarios needed at 2 points |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for found in arms[1:]:
        against = versus(found, base, margin=MARGIN)
        each = len(found.groups) / len(set(found.groups))
        needed, grouped = against.recall.n_needed, against.by_group.n_needed
        cells = [
            found.name,
            share(against.saved),
            share(against.recall.difference, sign="+"),
            certified(against.recall.difference),
            against.recall.verdict if needed is None else f"{needed:,} dialogues",
            share(against.by_group.difference, sign="+"),
            certified(against.by_group.difference),
            against.by_group.verdict if grouped is None else f"{max(1, round(grouped / each)):,}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def certified(difference: Estimate) -> str:
    """Return the smallest margin, in points, at which a difference would count as none."""
    return "–" if difference.low is None else f"{-100 * min(difference.low, 0.0):.1f} points"


def by_how(arms: Sequence[Retention]) -> list[str]:
    """Return what is held at the end by how a fact was said, and of corrected ones the share that is known stale only."""
    hows = list(dict.fromkeys(p.how for p in arms[0].every))
    hows.sort(key=lambda h: -sum(p.how == h for p in arms[0].every))
    counts = [f"{h} ({sum(p.how == h for p in arms[0].every)})" for h in hows]
    lines = ["| policy | " + " | ".join(counts) + " | stale only % |", "|---|" + "---:|" * (len(hows) + 1)]
    for found in arms:
        cells = [100 * float(np.mean([p.held for p in found.every if p.how == h])) for h in hows]
        old = [p.stale for p in found.every if p.how == "corrected"]
        stale = f"{100 * float(np.mean(old)):.0f}" if old else "–"
        lines.append(f"| {found.name} | " + " | ".join(f"{c:.0f}" for c in cells) + f" | {stale} |")
    return lines


def by_age(arms: Sequence[Retention]) -> list[str]:
    """Return what is held at any later request by how many messages ago it was said."""
    names = [f"{a}–{b} ago" if b < 999 else f"{a} and more" for a, b in AGES]
    lines = ["| policy | " + " | ".join(names) + " |", "|---|" + "---:|" * len(AGES)]
    for found in arms:
        age, held = found.ages[:, 0], found.ages[:, 1]
        cells = [held[(age >= a) & (age <= b)] for a, b in AGES]
        lines.append(
            f"| {found.name} | " + " | ".join(f"{100 * c.mean():.0f}" if len(c) else "–" for c in cells) + " |"
        )
    return lines


def by_length(arms: Sequence[Retention], dialogues: Sequence[Dialogue]) -> list[str]:
    """Return recall and savings by the dialogue's length."""
    sizes = np.array([len(d.messages) for d in dialogues])
    cuts = [(0, 56), (57, 78), (79, 100), (101, 999)]
    names = [f"up to {b}" if a == 0 else f"{a} to {b}" if b < 999 else f"{a} and more" for a, b in cuts]
    lines = ["| policy | " + " | ".join(f"{n} messages" for n in names) + " |", "|---|" + "---:|" * len(cuts)]
    base = arms[0].tokens()
    for found in arms[1:]:
        cells = []
        for a, b in cuts:
            which = (sizes >= a) & (sizes <= b)
            saved = 1 - found.tokens()[which].sum() / base[which].sum()
            cells.append(f"{100 * found.shares()[which].mean():.0f} / {100 * saved:.0f}")
        lines.append(f"| {found.name} | " + " | ".join(cells) + " |")
    return lines


def answer(arms: Sequence[Retention]) -> list[str]:
    """Return the answer to the question that the page is about, from the figures."""
    base = arms[0]
    found = [(a, versus(a, base, margin=MARGIN)) for a in arms[1:]]
    earning = [(a, v) for a, v in found if v.earns(SAVING)]
    lines = []
    if earning:
        best, against = max(earning, key=lambda pair: pair[1].saved.value)
        lines.append(
            f"**Yes: {best.name} saves {share(against.saved)} % of the input tokens at a recall that is not inferior "
            f"({share(against.recall.difference, sign='+')} points, margin {100 * MARGIN:g}).**"
        )
    else:
        lines.append(
            f"**No policy here saves {100 * SAVING:.0f} % of the input tokens at a recall shown to be within {100 * MARGIN:g} points of "
            "sending everything.**"
        )
    summarising = [(a, v) for a, v in found if any(b.summaries for b in a.bills) and a.name.startswith("summarise")]
    told = [(a, v) for a, v in summarising if not a.name.endswith(RULES)]
    ruled = [(a, v) for a, v in summarising if a.name.endswith(RULES)]
    cheap = [(a, v) for a, v in found if v.saved.value >= SAVING]
    if told:
        best, against = max(told, key=lambda pair: pair[0].recall().value)
        read = 100 * sum(b.summary_input for b in best.bills) / best.tokens().sum()
        lines.append(
            f"The best summarising policy, {best.name}, saves {share(against.saved)} % and holds {share(best.recall())} % of the facts: "
            f"{verdict(against)} ({share(against.recall.difference, sign='+')} points). The summariser's own reading is {read:.0f} % of its input tokens. "
            "Why it loses: this summariser ranks sentences by how central they are, facts are seldom central, and at every fold what is in the note "
            "competes with new turns for the same tokens. Why it saves little: with a wide limit it begins late, with a tight one it folds often, and "
            "each fold is read."
        )
    if ruled:
        lines.append(by_rule_text(ruled))
    if cheap:
        best, against = max(cheap, key=lambda pair: pair[0].recall().value)
        needed = against.recall.n_needed
        more = "" if needed is None else f"; a verdict would need about {needed:,} dialogues"
        lines.append(
            f"Of those that save at least {100 * SAVING:.0f} %, {best.name} holds most: {share(best.recall())} % at "
            f"{share(against.saved)} % saved, {verdict(against)} ({share(against.recall.difference, sign='+')} points); "
            f"{share(best.any_lost(), 0)} % of the dialogues lose at least one fact{more}."
        )
        if len(set(best.groups)) < len(best.groups):
            lines[-1] += (
                f" With the {len(set(best.groups))} scenarios for one dialogue each, as they share sentences: {against.by_group.verdict} "
                f"({share(against.by_group.difference, sign='+')} points)."
            )
    return lines


def by_rule_text(ruled: Sequence[tuple[Retention, Versus]]) -> str:
    """Return what the summariser by rules makes of the question: the arm that holds most, and the one of those that save enough."""
    most, against = max(ruled, key=lambda pair: pair[0].recall().value)
    text = (
        f"With the summariser by rules, {most.name.removesuffix(RULES)} holds most: {share(most.recall())} % at {share(against.saved)} % saved, "
        f"{verdict(against)} ({share(against.recall.difference, sign='+')} points; by scenario {share(against.by_group.difference, sign='+')}, {against.by_group.verdict})."
    )
    enough = [(a, v) for a, v in ruled if v.saved.value >= SAVING]
    if not enough:
        return f"{text} None of them saves {100 * SAVING:.0f} % here."
    best, other = max(enough, key=lambda pair: pair[0].recall().value)
    return (
        f"{text} Of those that save {100 * SAVING:.0f} %, {best.name.removesuffix(RULES)} holds {share(best.recall())} % at {share(other.saved)} % saved: "
        f"{verdict(other)} ({share(other.recall.difference, sign='+')} points), so that only a margin of {certified(other.recall.difference)} would call it non-inferior."
    )


def money(bench: Bench, arms: Sequence[Retention]) -> str:
    """Return how many policies cost less than sending everything, with and without a prompt cache."""
    told = []
    for name in (ANSWERS, DEARER):
        counts = []
        for caching in (False, True):
            costs = [a.cost_usd(bench.prices[name], bench.prices[WRITES], caching=caching) or np.inf for a in arms]
            counts.append(sum(c < costs[0] for c in costs[1:]))
        told.append(f"{counts[0]} of {len(arms) - 1} without a prompt cache and {counts[1]} with one ({name})")
    return (
        f"**Tokens are not money.** Less than sending everything cost {' and '.join(told)}: everything sent again is mostly served from the cache, while "
        "a window that moves, or a limit below the 1,024 tokens from which caches begin, is paid in full each time. This holds at these lengths, and where "
        "requests follow within the cache's lifetime, minutes at most providers."
    )


def of_planted(bench: Bench) -> str:
    """Return the part about the dialogues written for it."""
    dialogues = planted()
    arms = bench.run(dialogues, LONG)
    facts = sum(len(d.facts) for d in dialogues)
    sizes = [len(d.messages) for d in dialogues]
    return "\n".join(
        [
            "## Dialogues with planted facts",
            "",
            f"`datasets/dialogues`: {len(dialogues)} dialogues of {min(sizes)} to {max(sizes)} messages, {facts} facts, each asked for at the end.",
            "",
            *answer(arms),
            "",
            money(bench, arms),
            "",
            f"What can be shown with {len(dialogues)} dialogues: where fewer than ten differ, the interval is widened to Tango's score interval, which takes a dialogue with "
            f"one lost fact for one that lost all. Even no loss at all would leave {100 * NO_LOSS:.0f} points on either side, so that no policy can be shown to be within "
            f"{100 * MARGIN:g} points on this set; one can be shown to be worse. The set favours policies that keep what users said: 280 of the 308 facts are "
            "in users' words. In the recorded dialogues below it is the other way round. The arms that pin users were added after the first figures were seen.",
            "",
            *table(bench, arms, money=True),
            "",
            f"Money is that of all {len(dialogues)} dialogues' input once, by genai-prices of {PRICED_ON}, with the summaries written by {WRITES}. A prompt "
            "cache is reckoned to serve the messages in front that a request has in common with the one before, from 1,024 tokens on; what some providers charge for writing into the cache is left out.",
            "",
            "Facts held % by how they were said (*stale only*: of the corrected ones, those of which only the old value is left):",
            "",
            *by_how(arms),
            "",
            "Facts held % at the requests of the growing dialogue, by how many messages ago the fact was said:",
            "",
            *by_age(arms),
            "",
            "Facts held % / input tokens saved %, by the dialogue's length:",
            "",
            *by_length(arms, dialogues),
            "",
        ]
    )


def of_question(bench: Bench, data: Path) -> str:
    """Return the part about what would decide the question: margins, more dialogues of the same scenarios, longer ones."""
    dialogues = planted()
    first = bench.run(dialogues, {name: LONG[name] for name in (*MORE, f"summarise at 1,500, summary 400{RULES}")})
    many = drawn_again()
    more = bench.run(many, {name: LONG[name] for name in MORE})
    every = recorded(data / "multi_turn" / "mtbench101.jsonl")
    long = lengthened(dialogues, every)
    longer = bench.run(long, LONGER)
    sizes = [len(d.messages) for d in long]
    return "\n".join(
        [
            "## What would decide it",
            "",
            f"The question: does a summarising policy save {100 * SAVING:.0f} % of the input tokens at a recall within {100 * MARGIN:g} points of sending everything? "
            "An interval can say yes, no, or too few dialogues. *Certified from* is the smallest margin at which these figures would say yes; margins are fixed before "
            "one looks, so that it is what a next measurement would have to state, and not an answer. *Needed* is how many would decide at 2 points with a power of 80 %, if the spread stays "
            "as it is; where the verdict is reached already, it stands there. Arms with a summariser by rules were chosen after the first figures were seen.",
            "",
            settled([*pairs(first), *pairs(more), *pairs(longer)]),
            "",
            "### The 32 dialogues",
            "",
            *decided(first),
            "",
            f"### {len(many)} dialogues of the same eight scenarios",
            "",
            f"`make.py` can draw any number: {DRAWS} more of each scenario and variant, with other sections left out and other talks between. They share their sentences with the "
            "32, so that the interval by dialogue promises too much and that by scenario hardly moves: **what is missing are scenarios, not dialogues.**",
            "",
            *decided(more),
            "",
            f"### {TIMES} times as long, with recorded dialogues between",
            "",
            f"The 32 with whole dialogues of MT-Bench-101 put between their exchanges: {min(sizes)} to {max(sizes)} messages. Saving is easy here; holding on is not, for what others "
            "say competes for the same note.",
            "",
            *decided(longer),
            "",
        ]
    )


def pairs(arms: Sequence[Retention]) -> list[tuple[Retention, Versus]]:
    """Return the arms that have summaries written, each against the first."""
    return [(a, versus(a, arms[0], margin=MARGIN)) for a in arms[1:] if any(b.summaries for b in a.bills)]


def settled(found: Sequence[tuple[Retention, Versus]]) -> str:
    """Return what all summarising arms that save enough come to, by dialogue and by scenario."""
    enough = [v for _, v in found if v.saved.value >= SAVING]
    worse = sum(v.recall.verdict == v.by_group.verdict == "worse" for v in enough)
    kept = sum(v.recall.verdict == "non-inferior" for v in enough)
    told = f"**Of the {len(enough)} summarising arms below that save {100 * SAVING:.0f} %, {worse} are shown to be worse, by dialogue and by scenario; {kept} are shown to be non-inferior.**"
    if worse == len(enough):
        told += " That is decided: more dialogues would not change it for these two summarisers. A model that summarises better might; it has to be asked."
    return told


def drawn_again() -> tuple[Dialogue, ...]:
    """Return more dialogues from the pieces of those that ship: of every scenario and variant some, each drawn by a seed of its own."""
    folder = shipped("datasets") / "dialogues"
    spec = importlib.util.spec_from_file_location("make_dialogues", folder / "make.py")
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    sys.modules["make_dialogues"] = make
    spec.loader.exec_module(make)
    scenarios = [make.read(path) for path in sorted((folder / "pieces").glob("*.txt"))]
    interludes = next(s for s in scenarios if s.name == "interludes").sections
    rows = []
    for scenario in scenarios:
        if scenario.name == "interludes":
            continue
        for number in range(1, DRAWS + 1):
            drawn = replace(scenario, name=f"{scenario.name}#{number}")
            rows += [
                {**make.dialogue(drawn, interludes, variant), "scenario": scenario.name}
                for variant in range(len(make.LENGTHS))
            ]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "dialogues.json"
        path.write_text(make.written(rows), encoding="utf-8")
        return planted(path)


def lengthened(dialogues: Sequence[Dialogue], others: Sequence[Recorded]) -> tuple[Dialogue, ...]:
    """Return the dialogues with whole recorded ones between their exchanges, until they are so many times as long.

    Places and dialogues are drawn by the seed; those that say one of the facts are left out.
    """
    found = []
    for dialogue in dialogues:
        messages = dialogue.messages
        places = [
            i for i in range(2, len(messages)) if messages[i].role == "user" and messages[i - 1].role == "assistant"
        ]
        words = {w for f in dialogue.facts for w in (f.answer, f.stale) if w}
        put: dict[int, list[Message]] = {}
        size = len(messages)
        for other in sorted(others, key=lambda o: draw(SEED, "longer", dialogue.id, o.id)):
            if size >= TIMES * len(messages):
                break
            if not any(told(m.content, word) for m in other.messages for word in words):
                place = places[int(draw(SEED, "place", dialogue.id, other.id) * len(places))]
                put.setdefault(place, []).extend(other.messages)
                size += len(other.messages)
        made: list[Message] = []
        at = []
        for i, message in enumerate(messages):
            made += put.get(i, [])
            at.append(len(made))
            made.append(message)
        facts = tuple(replace(f, at=at[f.at]) for f in dialogue.facts)
        found.append(replace(dialogue, messages=tuple(made), facts=facts))
    return tuple(found)


def of_recorded(bench: Bench, data: Path) -> str:
    """Return the part about MT-Bench-101: as recorded, and with others in between."""
    every = recorded(data / "multi_turn" / "mtbench101.jsonl")
    known = evidence(every)
    drawn = sorted(known, key=lambda d: draw(SEED, "context", d.id))[:SAMPLE]
    words = sum(len(d.facts) for d in drawn)
    short = bench.run(drawn, SHORT)
    long = bench.run(interrupted(drawn, every, messages=BETWEEN, seed=SEED), {name: LONG[name] for name in INTERRUPTED})
    return "\n".join(
        [
            "## Recorded dialogues: MT-Bench-101",
            "",
            f"Of 1,388 dialogues {len(known):,} have a last answer that took a rare word from earlier turns which the last question does not say. That "
            f"word, where it was said last, is the evidence: {words:,} words in a sample of {len(drawn)} dialogues (seed {SEED}). Who wrote the "
            "policies wrote none of these dialogues, and the evidence is mostly in the assistant's words.",
            "",
            "### As recorded (2 to 7 exchanges)",
            "",
            *answer(short),
            "",
            *table(bench, short, money=False),
            "",
            f"### With {BETWEEN} or more messages of other dialogues between the evidence and the last question",
            "",
            *answer(long),
            "",
            *table(bench, long, money=False),
            "",
        ]
    )


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    began = time.perf_counter()
    bench = made()
    parts = [of_planted(bench), of_question(bench, data), of_recorded(bench, data)]
    print("# Context policies: what is forgotten, what is saved\n")
    print("Made by `python benchmarks/context.py ../shared/data > docs/results/context.md`, offline.\n")
    print(
        "A fact is *held* when what would be sent with its question still tells it: the answer and what it is about in one message, or in one line of the\n"
        "note. That is what a model could use at best, not what it does use: `lab.contexts.answers` asks a fleet. Every request of a growing dialogue is\n"
        "fitted and its tokens summed, the summariser's reading included. *None* sends everything and is the baseline. Intervals are 95 %, over dialogues,\n"
        f"paired; the margin of {100 * MARGIN:g} points and the saving of {100 * SAVING:.0f} % were fixed in advance. The dialogues are far shorter than any model's window, so that\n"
        "the limits here are the policies' own (`limit:`), as somebody sets them to save money.\n\n"
        "**The summariser is simulated**: it quotes the sentences nearest to the mean of all (MiniLM) and knows nothing of facts. Its figures show how a\n"
        "summary by the gist behaves, not how well a language model would write one. *By rules* is the other one: what practice models write when asked for notes\n"
        "(`providers/notes.py`), whole sentences, those with figures and names and the user's first. It knows no facts either, but its rule was written after\n"
        "the dialogues and favours what they plant: take the two for a lower and an upper end. *Facts N at L* is `kind: hybrid`: tool results pinned, N tokens of\n"
        "sentences that look like facts quoted (figures, names, wishes, corrections), no model asked.\n"
    )
    for part in parts:
        print(part)
    print(f"Whole page: {time.perf_counter() - began:.0f} s on 2 cores that had other work.")


if __name__ == "__main__":
    main()
