"""Builds dialogues.json from the hand-written pieces: ``python datasets/dialogues/make.py``. The same pieces give the same file.

A scenario (`pieces/NAME.txt`) is one long talk in sections; `pieces/interludes.txt` has short talks about anything. Of every scenario
there are four dialogues: each takes other values for the slots, leaves some sections out, and is interrupted by other interludes.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROLES = {"U": "user", "A": "assistant", "C": "assistant", "T": "tool"}
LENGTHS = (46, 66, 88, 112)
"""How many messages the four dialogues of a scenario have, about."""
MOST_FACTS = 10


@dataclass
class Section:
    """Messages that stay together, with the facts planted in them: (message, fields)."""

    name: str
    messages: list[tuple[str, str]] = field(default_factory=list)
    facts: list[tuple[int, list[str]]] = field(default_factory=list)


@dataclass
class Scenario:
    """A scenario's file."""

    name: str = ""
    system: str = ""
    slots: dict[str, list[str]] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)


def read(path: Path) -> Scenario:
    """Return a file of pieces; a line that is none of the known kinds stops the build."""
    found = Scenario(name=path.stem)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        mark, _, rest = line.partition(" ")
        if not line.strip() or mark == "@":
            continue
        if mark == "@system":
            found.system = rest
        elif mark == "$":
            name, _, values = rest.partition(": ")
            found.slots[name] = [v.strip() for v in values.split("|")]
        elif mark == "##":
            found.sections.append(Section(name=rest))
        elif mark == "F:":
            fields = [part.strip() for part in rest.split("|")]
            found.sections[-1].facts.append((len(found.sections[-1].messages) - 1, fields))
        elif mark[:-1] in ROLES and mark.endswith(":"):
            found.sections[-1].messages.append((ROLES[mark[0]], rest))
        else:
            raise SystemExit(f"{path.name}:{number}: cannot be read: {line}")
    return found


def chosen(scenario: Scenario, length: int, rng: random.Random) -> list[Section]:
    """Return the sections of one dialogue: all but as many as it takes to stay short and to plant at most ten facts."""
    sections = list(scenario.sections)
    free = sections[1:]
    rng.shuffle(free)
    for section in free:
        messages = sum(len(s.messages) for s in sections)
        facts = sum(len(s.facts) for s in sections)
        if messages <= length - 6 and facts <= MOST_FACTS:
            break
        # Which of the two is too many decides what goes; a section that a correction refers to goes with the correction only.
        corrected = any(s.name.startswith("corrected") or s.name == "changed" for s in sections)
        if corrected and section.name in BEFORE_CORRECTION:
            continue
        if facts > MOST_FACTS and not section.facts:
            continue
        if facts <= 6 and section.facts:
            continue
        sections.remove(section)
    return sections


BEFORE_CORRECTION = {"measure", "flights", "outlier", "guests", "technician", "rate", "ph"}


def mixed(sections: list[Section], interludes: list[Section], length: int, rng: random.Random) -> list[Section]:
    """Return the sections with interludes put between them until the dialogue is long enough."""
    spare = list(interludes)
    rng.shuffle(spare)
    mixture = list(sections)
    while spare and sum(len(s.messages) for s in mixture) < length:
        mixture.insert(rng.randint(1, len(mixture)), spare.pop())
    return mixture


def filled(text: str, values: dict[str, str]) -> str:
    """Return a text with its slots filled."""
    return re.sub(r"\{(\w+)\}", lambda m: values.get(m[1], m[0]), text)


def dialogue(scenario: Scenario, interludes: list[Section], variant: int) -> dict[str, Any]:
    """Return one dialogue as the file has it."""
    rng = random.Random(f"{scenario.name}-{variant}")
    values = {name: options[variant] for name, options in scenario.slots.items()}
    length = LENGTHS[variant] + rng.randint(-4, 4)
    messages = [{"role": "system", "content": scenario.system}]
    facts = []
    for section in mixed(chosen(scenario, length, rng), interludes, length, rng):
        for at, (how, question, answer, about, *stale) in section.facts:
            facts.append(
                {
                    "id": f"{section.name}-{at}",
                    "at": len(messages) + at,
                    "how": how,
                    "question": filled(question, values),
                    "answer": filled(answer, values),
                    "about": [filled(word.strip(), values) for word in about.split(";")],
                    **({"stale": filled(stale[0], values)} if stale else {}),
                }
            )
        messages += [{"role": role, "content": filled(text, values)} for role, text in section.messages]
    return {
        "id": f"{scenario.name}-{variant + 1}",
        "scenario": scenario.name,
        "messages": messages,
        "facts": facts,
    }


def build() -> list[dict[str, Any]]:
    """Return all dialogues."""
    files = sorted((HERE / "pieces").glob("*.txt"))
    interludes = read(HERE / "pieces" / "interludes.txt").sections
    scenarios = [read(path) for path in files if path.stem != "interludes"]
    return [dialogue(s, interludes, variant) for s in scenarios for variant in range(len(LENGTHS))]


def written(dialogues: list[dict[str, Any]]) -> str:
    """Return the file's text: a list with one dialogue a line."""
    lines = ",\n".join(json.dumps(d, ensure_ascii=False) for d in dialogues)
    return f"[\n{lines}\n]\n"


if __name__ == "__main__":
    (HERE / "dialogues.json").write_text(written(build()), encoding="utf-8")
