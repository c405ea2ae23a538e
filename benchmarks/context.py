"""What context policies forget and what they save, as docs/results/context.md.

    python benchmarks/context.py ../shared/data > docs/results/context.md

Offline: the summariser is the practice one (extractive, simulated). Every request of a growing dialogue is fitted as it would be sent.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from routelab.context import Extractive, Room, policy_of, room_of
from routelab.core.values import Model, Price, draw
from routelab.embedding import Cached, embedder_of
from routelab.embedding.vectors import Memory
from routelab.lab.contexts.dialogues import Dialogue, evidence, interrupted, planted, recorded
from routelab.lab.contexts.retention import Retention, Versus, retained, versus
from routelab.lab.statistics import Estimate, tango
from routelab.present.numbers import usd
from routelab.providers.prices import GenaiPrices
from routelab.providers.tokens import Counter

MARGIN, SAVING = 0.02, 0.40
SAMPLE, BETWEEN, SEED = 400, 60, 0
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
INTERRUPTED = (
    "none",
    "window, 20 turns",
    "window, 1,000 tokens",
    "summarise at 1,000, summary 400",
    "window, 10 turns, users and tools pinned",
    "facts 300 at 1,000",
)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every part needs: the room, the practice summariser, and prices."""

    room: Room
    summarise: Extractive
    prices: Mapping[str, Price]

    def run(self, dialogues: Sequence[Dialogue], arms: Mapping[str, Mapping[str, Any]]) -> list[Retention]:
        """Return each arm over the dialogues."""
        return [retained(name, policy_of(spec), dialogues, self.room, self.summarise) for name, spec in arms.items()]


def made() -> Bench:
    """Return the bench: tokens of o200k_base, exact for the answering model."""
    model = Model(name=ANSWERS, provider="practice", upstream=ANSWERS, context_window=400_000)
    room = room_of(model, Counter())
    listed = GenaiPrices(on=lambda: PRICED_ON)
    prices = {name: price for name in (ANSWERS, WRITES, DEARER) if (price := listed("practice", name)) is not None}
    embedder = Cached(embedder=embedder_of("minilm"), store=Memory())
    return Bench(room=room, summarise=Extractive(embedder=embedder, count=room.count), prices=prices)


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
    told = [(a, v) for a, v in found if any(b.summaries for b in a.bills) and a.name.startswith("summarise")]
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
    parts = [of_planted(bench), of_recorded(bench, data)]
    print("# Context policies: what is forgotten, what is saved\n")
    print("Made by `python benchmarks/context.py ../shared/data > docs/results/context.md`, offline.\n")
    print(
        "A fact is *held* when what would be sent with its question still tells it: the answer and what it is about in one message, or in one line of the\n"
        "note. That is what a model could use at best, not what it does use: `lab.contexts.answers` asks a fleet. Every request of a growing dialogue is\n"
        "fitted and its tokens summed, the summariser's reading included. *None* sends everything and is the baseline. Intervals are 95 %, over dialogues,\n"
        f"paired; the margin of {100 * MARGIN:g} points and the saving of {100 * SAVING:.0f} % were fixed in advance. The dialogues are far shorter than any model's window, so that\n"
        "the limits here are the policies' own (`limit:`), as somebody sets them to save money.\n\n"
        "**The summariser is simulated**: it quotes the sentences nearest to the mean of all (MiniLM) and knows nothing of facts. Its figures show how a\n"
        "summary by the gist behaves, not how well a language model would write one. *Facts N at L* is `kind: hybrid`: tool results pinned, N tokens of\n"
        "sentences that look like facts quoted (figures, names, wishes, corrections), no model asked.\n"
    )
    for part in parts:
        print(part)
    print(f"Whole page: {time.perf_counter() - began:.0f} s on 2 cores that had other work.")


if __name__ == "__main__":
    main()
