"""Texts to cut and questions about them, small enough to be read in a test."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from routelab.lab.chunks.questions import Questions
from routelab.lab.chunks.spans import Span
from routelab.lab.job import Job

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)"></div> $x$ &amp; \x1b[31m \u202e <b>'
TOPICS = ("kettle", "bicycle", "camera", "heater", "mirror", "ladder", "carpet", "freezer")
SOURCES = ("kitchen", "cellar", "attic", "garage", "garden", "office")


def corpora(*, hostile: bool = False) -> dict[str, str]:
    """Return six documents in Markdown with a section a topic, and one sentence each that only it has."""
    made = {}
    for k, source in enumerate(SOURCES):
        parts = [f"# The {source}{' ' + HOSTILE if hostile else ''}\n"]
        for i, topic in enumerate(TOPICS):
            said = fact(k, i)
            parts.append(
                f"\n## {topic.capitalize()} {k}\n\nThe {topic} of the {source} is old. {said} "
                f"Nobody knows where the {topic} came from, and nobody asks. It was painted twice and moved three times.\n"
            )
        made[source] = "".join(parts)
    return made


def fact(k: int, i: int) -> str:
    """Return the one sentence that answers a question."""
    return f"The {TOPICS[i]} number {10 * k + i} of the {SOURCES[k]} weighs {k + 2 * i + 3} kilograms."


def questions(*, hostile: bool = False) -> Questions:
    """Return 48 questions, one a section."""
    texts: list[str] = []
    sources: list[str] = []
    spans: list[tuple[Span, ...]] = []
    found = corpora(hostile=hostile)
    for k, source in enumerate(SOURCES):
        for i, topic in enumerate(TOPICS):
            start = found[source].index(fact(k, i))
            texts.append(f"What does the {topic} in the {source} weigh?" + (f" {HOSTILE}" if hostile else ""))
            sources.append(source)
            spans.append(((start, start + len(fact(k, i))),))
    return Questions(texts=tuple(texts), sources=tuple(sources), spans=tuple(spans), corpora=found)


def settled(jobs: Sequence[Job]) -> None:
    """Wait for what was started in the background, and for what that starts."""
    done = 0
    while done < len(jobs):
        jobs[done].wait(60)
        done += 1


def until(condition: Callable[[], Any]) -> None:
    """Wait until something is so; a job's end is told on another thread, after the job is over."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
