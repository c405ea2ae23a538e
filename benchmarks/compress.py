"""What compression saves of a prompt and what it loses, as docs/results/compress.md.

    python benchmarks/compress.py ../shared/data > docs/results/compress.md

Offline: evidence is looked for in the compressed text, no model is asked. Settings were chosen on one half of the questions
(`--tune` prints that table) and are reported on the other.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import html
import re
import sys
import textwrap
import time
from collections import Counter as Counts
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from routelab.chunking import chunker_of
from routelab.core.values import Message, Model, draw
from routelab.lab.chunks.questions import Questions, halves
from routelab.lab.contexts.dialogues import Dialogue, Fact, planted
from routelab.lab.contexts.retention import saved
from routelab.lab.statistics import Estimate, non_inferiority, paired_difference, quality_mean
from routelab.prompting.compress import Boilerplate, Compressed, Compressor, Extractive, Whitespace, compressed
from routelab.providers.tokens import Counter
from routelab.retrieval import Library, Search, assembled
from routelab.text.breaks import first_sentence, first_word, last_sentence, last_word

LENGTH = 12_000
"""Characters of a document: some 2,500 tokens."""
RATIOS = (0.25, 0.5, 0.75)
MARGIN = 0.02
SEED = 0
MODEL = Model(name="gpt-5-mini", provider="practice", upstream="gpt-5-mini")
COUNTER = Counter()


@cache
def count(text: str) -> int:
    """Return the tokens of a text in o200k_base."""
    return COUNTER.count(text, MODEL).input or 0


@dataclass(frozen=True, kw_only=True)
class Task:
    """A user's message and whether a text still has each thing that its question needs; `group` is what it was taken from.

    `asked` is what the user wrote of it: the whole, or only the question where passages were put in front.
    """

    text: str
    asked: str
    question: str
    held: Callable[[str], list[bool]]
    group: str


def folded(text: str) -> str:
    """Return a text with single blanks."""
    return " ".join(text.split())


def pasted(questions: Questions, rows: Sequence[int]) -> list[Task]:
    """Return a document for each question, of 12,000 characters around its evidence, which stands anywhere in it.

    Questions whose evidence lies further apart are left out.
    """
    found = []
    for i in rows:
        text, spans, asked = questions.corpora[questions.sources[i]], questions.spans[i], questions.texts[i]
        low, high = min(a for a, _ in spans), max(b for _, b in spans)
        if high - low > LENGTH // 2:
            continue
        before = int(draw(SEED, "place", asked) * (LENGTH - (high - low)))
        start = max(0, min(low - before, len(text) - LENGTH))
        start = max(start, first_sentence(text, start, low + 1), 0)
        if start > 0 and not text[start - 1].isspace():
            start = max(start, first_word(text, start, low + 1))
        end = min(len(text), max(high, start + LENGTH))
        if end < len(text):
            end = max(high, last_sentence(text, high, end), last_word(text, high, end) if end - high > 2_000 else 0)
        whole = f"{text[start:end].strip()}\n\n{asked}"
        held = verbatim(tuple(folded(text[a:b]) for a, b in spans))
        if all(held(whole)):
            found.append(Task(text=whole, asked=whole, question=asked, held=held, group=questions.sources[i]))
    return found


def verbatim(needs: Sequence[str]) -> Callable[[str], list[bool]]:
    """Return what says which of some stretches a text still has word for word; blanks do not count."""

    def held(text: str) -> list[bool]:
        said = folded(text)
        return [need in said for need in needs]

    return held


def passages(questions: Questions, rows: Sequence[int]) -> tuple[list[Task], int]:
    """Return a message of five numbered passages and the question for each whose evidence they hold whole, and how many were tried.

    Passages are of at most 400 tokens, found by words (BM25).
    """
    cut = chunker_of({"kind": "recursive", "size": 400})
    library = Library(passages=[c for name, text in questions.corpora.items() for c in cut(text, name)])
    hits = library.search([questions.texts[i] for i in rows], Search(k=5, by="words"))
    found = []
    for i, row in zip(rows, hits, strict=True):
        text, asked = questions.corpora[questions.sources[i]], questions.texts[i]
        whole = f"{assembled(row, count=count).text}\n\n{asked}"
        held = verbatim(tuple(folded(text[a:b]) for a, b in questions.spans[i]))
        if all(held(whole)):
            found.append(Task(text=whole, asked=asked, question=asked, held=held, group=questions.sources[i]))
    return found, len(rows)


def transcripts() -> list[Task]:
    """Return each fact of the planted dialogues asked for behind the whole dialogue, pasted as one text."""

    def task(dialogue: Dialogue, fact: Fact) -> Task:
        lines = [f"{m.role}: {m.content}" for m in dialogue.messages]
        whole = "\n\n".join([*lines, fact.question])

        def held(text: str) -> list[bool]:
            said = text.removesuffix(fact.question).split("\n\n")
            return [fact.held(Message(role="user", content=part) for part in said)]

        return Task(text=whole, asked=whole, question=fact.question, held=held, group=dialogue.id)

    return [task(d, f) for d in planted() for f in d.facts]


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One way over tasks: what is left of each, in tokens, and whether all of its evidence is."""

    name: str
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    held: NDArray[np.float64]
    share: NDArray[np.float64]
    latency_s: float


Way = Callable[[Task], str]


def of(compressor: Compressor) -> Way:
    """Return the way of a compressor."""

    def way(task: Task) -> str:
        return shorter(compressor, task).messages[0].content

    return way


def shorter(compressor: Compressor, task: Task) -> Compressed:
    """Return a task's message compressed."""
    return compressed(compressor, [Message(role="user", content=task.text)], count=count, question=task.asked)


def tried(name: str, way: Way, tasks: Sequence[Task]) -> Tried:
    """Return what a way does with the tasks."""
    began = time.process_time()
    left = [way(task) for task in tasks]
    spent_s = time.process_time() - began
    kept = [task.held(text) for task, text in zip(tasks, left, strict=True)]
    return Tried(
        name=name,
        before=np.array([count(t.text) for t in tasks], dtype=np.float64),
        after=np.array([count(text) for text in left], dtype=np.float64),
        held=np.array([all(row) for row in kept], dtype=np.float64),
        share=np.array([np.mean(row) for row in kept], dtype=np.float64),
        latency_s=spent_s / max(1, len(tasks)),
    )


# Baselines


def head(ratio: float) -> Way:
    """Return the way that cuts the tail of what stands before the question."""
    return _cut(ratio, lambda body, n: f"{body[:n].rstrip()} […]")


def end(ratio: float) -> Way:
    """Return the way that cuts the front."""
    return _cut(ratio, lambda body, n: f"[…] {body[len(body) - n :].lstrip()}")


def _cut(ratio: float, part: Callable[[str, int], str]) -> Way:
    def way(task: Task) -> str:
        body = task.text.removesuffix(task.question).rstrip()
        most = int(ratio * count(task.text))
        low, high = 0, len(body)
        while low < high:
            middle = (low + high + 1) // 2
            fits = count(f"{part(body, middle)}\n\n{task.question}") <= most
            low, high = (middle, high) if fits else (low, middle - 1)
        return f"{part(body, low)}\n\n{task.question}"

    return way


@dataclass(frozen=True, kw_only=True)
class Dice:
    """An embedder without meaning: a direction for each text, drawn by the seed."""

    seed: int
    dimensions: int = 16

    @property
    def id(self) -> str:
        """The seed."""
        return f"dice-{self.seed}"

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a random unit vector a text."""
        made = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for i, text in enumerate(texts):
            seed = hashlib.sha256(f"{self.seed} {text}".encode()).digest()[:8]
            row = np.random.default_rng(int.from_bytes(seed, "big")).normal(size=self.dimensions)
            made[i] = row / np.linalg.norm(row)
        return made


def dice(ratio: float) -> Way:
    """Return the way that keeps random sentences within the same budget."""
    return of(Extractive(ratio=ratio, words=0.0, diversity=0.0, embedder=Dice(seed=SEED)))


# Text around the text


def paragraphs(task: Task) -> list[str]:
    """Return a task's document in paragraphs."""
    body = task.text.removesuffix(task.question).rstrip()
    return [p for p in body.split("\n\n") if p.strip()] if "\n\n" in body else body.split("\n")


def page(task: Task) -> str:
    """Return the document as a web page's source, with what web pages have around their text."""
    told = "\n".join(f'    <p class="body-text">{html.escape(p, quote=False)}</p>' for p in paragraphs(task))
    return PAGE.format(told=told) + f"\n\n{task.question}"


def mail(task: Task) -> str:
    """Return the document as a mail with a signature, a notice, and the mail before it."""
    return MAIL.format(told="\n\n".join(paragraphs(task))) + f"\n\n{task.question}"


def printed(task: Task) -> str:
    """Return the document as taken from a paged file: a header and a page number every 40 lines, lines of 90 characters, blanks."""
    lines = [
        line + " " * (n % 3)
        for p in paragraphs(task)
        for n, line in enumerate([*textwrap.wrap(p, 90, break_long_words=False, break_on_hyphens=False), ""])
    ]
    pages_ = [lines[i : i + 40] for i in range(0, len(lines), 40)]
    told = [
        "\n".join(["Northwind Holdings | Working paper 2026/07", "", *rows, "", f"Page {n} of {len(pages_)}", ""])
        for n, rows in enumerate(pages_, 1)
    ]
    return "\n\n".join(told) + f"\n\n{task.question}"


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8"><title>Reading room</title>
  <link rel="stylesheet" href="/assets/site.4f2a1c.css">
  <style>.hero {{ margin: 0 auto; max-width: 72rem }} .nav li {{ display: inline-block; padding: 0 .5rem }}</style>
  <script>window.dataLayer = window.dataLayer || []; function gtag(){{dataLayer.push(arguments)}} gtag("js", new Date());</script>
</head>
<body class="page page--article">
  <a class="skip" href="#main">Skip to main content</a>
  <nav class="nav"><ul>
    <li><a href="/">Home</a></li><li><a href="/about">About us</a></li><li><a href="/contact">Contact</a></li>
    <li><a href="/login">Log in</a></li><li><a href="/jobs">Careers</a></li>
  </ul></nav>
  <div class="cookie" role="dialog"><p>We use cookies to improve your experience. By continuing you accept our policy.</p>
    <button type="button">Accept all cookies</button><button type="button">Cookie settings</button></div>
  <main id="main">
{told}
  </main>
  <!-- ad slot 3 -->
  <footer class="footer"><div>Share on Facebook</div><div><a href="#top">Back to top</a></div>
    <p>© 2026 Northwind Reading Ltd. All rights reserved.</p></footer>
</body>
</html>"""
MAIL = """Hi all,

as promised, here is the text that we talked about.

{told}

Kind regards,
Mara Lindqvist
Head of Documentation
Northwind Reading Ltd | 12 Harbour Street
Phone: +44 20 7946 0018
mara.lindqvist@northwind.example | www.northwind.example

This e-mail and any attachments are confidential and intended solely for the addressee. If you are not the intended recipient, please notify the sender and delete this message. Please consider the environment before printing this e-mail.

On Tue, 3 Mar 2026 at 10:14, Jonas Weber <jonas.weber@northwind.example> wrote:
> Hi Mara,
>
> could you send me the text before Thursday? I would like to read it on the train,
> and there may be questions about it in the meeting.
>
> Thanks,
> Jonas"""


# Rows


def share(estimate: Estimate, sign: str = "") -> str:
    """Return a share in per cent with its interval."""
    ends = estimate.interval
    told = f"{100 * estimate.value:{sign}.1f}"
    return told if ends is None else f"{told} [{100 * ends[0]:{sign}.1f}, {100 * ends[1]:{sign}.1f}]"


def table(whole: Tried, ways: Sequence[Tried], clusters: NDArray[np.intp]) -> list[str]:
    """Return one row a way: what is held, how that compares with sending everything, and what it saves."""
    lines = [
        "| way | evidence whole % | points vs everything, by question | by source | verdict | pieces % | tokens | saved % | ms a text |",
        "|---|---:|---:|---:|---|---:|---:|---:|---:|",
    ]
    for way in ways:
        difference = paired_difference(way.held, whole.held)
        lines.append(
            "| "
            + " | ".join(
                (
                    way.name,
                    share(quality_mean(way.held)),
                    share(difference, "+"),
                    share(paired_difference(way.held, whole.held, clusters), "+"),
                    non_inferiority(difference, MARGIN).verdict,
                    f"{100 * way.share.mean():.1f}",
                    f"{way.after.mean():,.0f}",
                    share(saved(way.after, way.before)),
                    f"{1000 * way.latency_s:.0f}",
                )
            )
            + " |"
        )
    return lines


def against(ways: Mapping[str, Tried], pairs: Sequence[tuple[str, str]], clusters: NDArray[np.intp]) -> list[str]:
    """Return paired differences between ways at the same budget."""
    lines = ["| compared | points of evidence, by question | by source |", "|---|---:|---:|"]
    for new, base in pairs:
        one, other = ways[new].held, ways[base].held
        by_question, by_source = paired_difference(one, other), paired_difference(one, other, clusters)
        lines.append(f"| {new} − {base} | {share(by_question, '+')} | {share(by_source, '+')} |")
    return lines


def clusters_of(tasks: Sequence[Task]) -> NDArray[np.intp]:
    """Return the number of each task's group."""
    _, found = np.unique(np.array([t.group for t in tasks]), return_inverse=True)
    return found.reshape(-1).astype(np.intp)


def everything(task: Task) -> str:
    """Return the text as it is."""
    return task.text


@dataclass(frozen=True, kw_only=True)
class Compared:
    """All ways over tasks: the table, the differences at equal budgets, and each way by its name."""

    lines: tuple[str, ...]
    whole: Tried
    ways: Mapping[str, Tried]


def compare(tasks: Sequence[Task], ratios: Sequence[float]) -> Compared:
    """Return what all ways do with the tasks."""
    clusters = clusters_of(tasks)
    whole = tried("everything", everything, tasks)
    ways: dict[str, Way] = {"whitespace": of(Whitespace()), "boilerplate": of(Boilerplate())}
    pairs = []
    for ratio in ratios:
        at = f"{ratio:.0%}"
        ways |= {
            f"extractive, {at}": of(Extractive(ratio=ratio)),
            f"extractive without words, {at}": of(Extractive(ratio=ratio, words=0.0)),
            f"extractive, lexical embedder, {at}": of(Extractive(ratio=ratio, embedder="lexical")),
            f"tail cut off, {at}": head(ratio),
            f"front cut off, {at}": end(ratio),
            f"random sentences, {at}": dice(ratio),
        }
        pairs += [
            (f"extractive, {at}", f"{other}, {at}")
            for other in (
                "tail cut off",
                "front cut off",
                "random sentences",
                "extractive, lexical embedder",
                "extractive without words",
            )
        ]
    found = {name: tried(name, way, tasks) for name, way in ways.items()}
    for name, one in found.items():
        print(f"{name}: {one.held.mean():.3f}", file=sys.stderr, flush=True)
    lines = (*table(whole, list(found.values()), clusters), "", *against(found, pairs, clusters))
    return Compared(lines=lines, whole=whole, ways=found)


def answer(parts: Mapping[str, Compared]) -> str:
    """Return the answer to the question that the page is about, from the figures."""
    lines = []
    for what, part in parts.items():
        told = []
        for ratio in RATIOS:
            name = f"extractive, {ratio:.0%}"
            if name in part.ways:
                one, other = part.ways[name], part.ways[f"tail cut off, {ratio:.0%}"]
                found = non_inferiority(paired_difference(one.held, part.whole.held), MARGIN)
                told.append(
                    f"at {ratio:.0%} of the tokens {share(quality_mean(one.held))} % ({found.verdict}; tail cut off: {100 * other.held.mean():.1f} %)"
                )
        lines.append(f"- {what}: extractive keeps the whole evidence {'; '.join(told)}.")
    every = [
        w for p in parts.values() for n, w in p.ways.items() if n.startswith("extractive, ") and "lexical" not in n
    ]
    bases = [p.whole for p in parts.values() for n in p.ways if n.startswith("extractive, ") and "lexical" not in n]
    shown = [
        non_inferiority(paired_difference(w.held, b.held), MARGIN).verdict == "non-inferior"
        for w, b in zip(every, bases, strict=True)
    ]
    verdict = (
        "**Extractive compression loses evidence at every budget tried: nowhere is it shown to be within the margin of sending everything.**"
        if not any(shown)
        else f"**Extractive compression is shown to be within the margin in {sum(shown)} of {len(shown)} cases.**"
    )
    blanks = [p.ways[n] for p in parts.values() for n in ("whitespace", "boilerplate")]
    lost = sum(int((w.held < 1).sum()) for w in blanks)
    return "\n".join(
        [
            f"{verdict} At equal tokens it loses far less than cutting or dice. Whitespace and boilerplate lost the evidence of {lost} questions, and save what there is of them: "
            "next to nothing in clean text.",
            "",
            *lines,
            "",
            "What is extracted depends on the question, so that a provider's prompt cache no longer serves a document from one question to the next; what whitespace and boilerplate leave "
            "is the same each time. With a cache at a tenth of the price, half the tokens at the full price are no saving.",
            "",
            "So: boilerplate wherever texts come from mails, pages or files; extractive where the alternative is cutting, or where the bench on one's own prompts says that quality holds.",
            "",
        ]
    )


# Parts


def of_pasted(questions: Questions, rows: Sequence[int]) -> tuple[list[str], Compared]:
    """Return the part about documents pasted in front of a question."""
    tasks = pasted(questions, rows)
    found = compare(tasks, RATIOS)
    return [
        "## A document and a question",
        "",
        f"{len(tasks)} of {len(rows)} questions (the others' evidence lies more than {LENGTH // 2:,} characters apart), each behind {LENGTH:,} characters of its source, the "
        f"evidence anywhere in them: {np.mean([count(t.text) for t in tasks]):,.0f} tokens on average.",
        "",
        *found.lines,
        "",
    ], found


def of_passages(questions: Questions, rows: Sequence[int]) -> tuple[list[str], Compared]:
    """Return the part about retrieved passages."""
    tasks, asked = passages(questions, rows)
    ways = [of(Extractive(ratio=ratio))(task) for ratio in (0.25, 0.5) for task in tasks]
    numbers = [_NUMBER.findall(text) for text in ways]
    broken = sum(n != sorted(n, key=int) for n in numbers)
    heads = sum(
        line not in task.text.split("\n")
        for text, task in zip(ways, tasks * 2, strict=True)
        for line in text.split("\n")
        if _NUMBER.match(line)
    )
    found = compare(tasks, (0.25, 0.5))
    return [
        "## Retrieved passages and a question",
        "",
        f"Five numbered passages of at most 400 tokens, found by words; {len(tasks)} of {asked} questions, those whose evidence the passages hold whole. In the {len(ways)} compressed "
        f"texts of this table's extractive rows {broken} have numbers out of order, and {heads} lines that number a passage are not as they were.",
        "",
        *found.lines,
        "",
    ], found


def of_transcripts() -> tuple[list[str], Compared]:
    """Return the part about the planted dialogues."""
    tasks = transcripts()
    found = compare(tasks, (0.25, 0.5))
    return [
        "## A pasted conversation and a question",
        "",
        f"`datasets/dialogues`: each of {len(tasks)} facts asked for behind its whole dialogue ({len({t.group for t in tasks})} of them) as one text. Held: answer and what it is about in "
        "one paragraph. *By source* is by dialogue here.",
        "",
        *found.lines,
        "",
    ], found


def of_wrapped(questions: Questions, rows: Sequence[int]) -> list[str]:
    """Return the part about text that programs put something around."""
    plain = pasted(questions, rows)
    lines = [
        "| the document as | tokens added a text | of these taken out again %: whitespace | boilerplate | evidence whole before | lost by whitespace | lost by boilerplate | whole after boilerplate |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    taken: dict[str, Counts[str]] = {}
    for name, wrapped in (("a web page's source", page), ("a mail in a thread", mail), ("pages of a file", printed)):
        tasks = [replace(t, text=(text := wrapped(t)), asked=text) for t in plain]
        added = sum(count(t.text) for t in tasks) - sum(count(t.text) for t in plain)
        found = {kind: tried(kind, of(way), tasks) for kind, way in (("w", Whitespace()), ("b", Boilerplate()))}
        gone = {kind: (t.before.sum() - t.after.sum()) / added for kind, t in found.items()}
        whole = tried("", everything, tasks)
        lines.append(
            f"| {name} | {added / len(tasks):,.0f} | {100 * gone['w']:.1f} | {100 * gone['b']:.1f} | {whole.held.sum():.0f} | "
            f"{(whole.held > found['w'].held).sum()} | {(whole.held > found['b'].held).sum()} | {found['b'].held.sum():.0f} |"
        )
        taken[name] = Counts(one.what for t in tasks for _, one in shorter(Boilerplate(), t).removed)
    told = [f"{name}: {', '.join(f'{rule} {n:,}' for rule, n in rules.most_common())}" for name, rules in taken.items()]
    return [
        "## What programs put around a text",
        "",
        f"The {len(plain)} documents above again, with things around them that were written for this page, so what is added is known; that it is found says little about "
        "other pages and mails. What matters is the right side: how many questions lose evidence that was there before? Before is not all, since an escaped < and a page's footer stand "
        "in the middle of some evidence.",
        "",
        *lines,
        "",
        f"Taken out by rule: {'; '.join(told)}.",
        "",
    ]


def of_prompts(data: Path) -> list[str]:
    """Return the part about recorded prompts, most of them clean."""
    csv.field_size_limit(10**9)
    with gzip.open(data / "prompts.csv.gz", "rt", encoding="utf-8", newline="") as file:
        texts = [f"{r['context']}\n\n{r['prompt']}" if r["context"] else r["prompt"] for r in csv.DictReader(file)]
    messages = [[Message(role="user", content=text)] for text in texts]
    before = after = 0
    fired: Counts[str] = Counts()
    began = time.process_time()
    for one in messages:
        found = compressed(Boilerplate(), one, count=count)
        before, after = before + found.tokens_before, after + found.tokens_after
        fired.update(removal.what for _, removal in found.removed)
    spent_s = time.process_time() - began
    rules = ", ".join(f"{rule} {n}" for rule, n in fired.most_common()) or "none fired"
    return [
        "## Prompts that need no compression",
        "",
        f"All {len(texts):,} recorded prompts (`prompts.csv.gz`, with their contexts), {before:,} tokens: boilerplate and whitespace save {100 * (1 - after / before):.2f} %. Rules: {rules}. "
        f"{1000 * spent_s / len(texts):.2f} ms a prompt, counting tokens included.",
        "",
    ]


_NUMBER = re.compile(r"^\[(\d+)\] ", re.MULTILINE)


def tuned(questions: Questions, rows: Sequence[int]) -> None:
    """Print what the settings were chosen by."""
    tasks = pasted(questions, rows)
    settings: list[dict[str, float]] = [
        {}, {"diversity": 0.1}, {"diversity": 0.3}, {"relevance": 0.9}, {"relevance": 0.7}, {"words": 0.0}, {"words": 0.75}, {"words": 1.0},
    ]  # fmt: skip
    for ratio in (0.25, 0.5):
        for given in settings:
            found = tried("", of(Extractive(ratio=ratio, **given)), tasks)  # type: ignore[arg-type]
            print(
                f"{ratio:.0%} {given or 'as it is'}: {100 * found.held.mean():.1f} % whole, {100 * found.share.mean():.1f} % of the pieces"
            )


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--tune", action="store_true", help="print what settings do on the other half of the questions")
    given = parser.parse_args()
    began = time.perf_counter()
    folder = given.data / "rag_chunking"
    questions = Questions.read(folder / "questions_df.csv", folder / "corpora")
    tune, confirm = (list(map(int, half)) for half in halves(questions, seed=SEED))
    if given.tune:
        tuned(questions, tune)
        return
    compared_ = {
        "A document and a question": of_pasted(questions, confirm),
        "Retrieved passages": of_passages(questions, confirm),
        "A pasted conversation": of_transcripts(),
    }
    rest = (of_wrapped(questions, confirm), of_prompts(given.data))
    print(HEAD.format(margin=100 * MARGIN))
    print(answer({name: found for name, (_, found) in compared_.items()}))
    for part in (*(lines for lines, _ in compared_.values()), *rest):
        print("\n".join(part))
    print(f"Whole page: {time.perf_counter() - began:.0f} s on 2 cores that had other work.")


HEAD = """# Compression: what is saved, what is lost

Made by `python benchmarks/compress.py ../shared/data > docs/results/compress.md`, offline.

*Evidence whole*: all stretches of a source that answer the question are still in the compressed text word for word: all or nothing for each question.
*Pieces*: the mean share of a question's stretches that are. No model was asked, so this is what an answer could rest on at best. Budgets are shares of the
message's tokens (o200k_base), question and marks included. *Tail cut off* and *front cut off* keep so many tokens from the beginning or the end;
*random sentences* are chosen by dice within the same budget (of passages, the first count more there too). Intervals are 95 %, paired, by question and clustered by source (five sources are few);
the verdict is by question, at a margin of {margin:g} points fixed in advance. `words`, `diversity`, `relevance`, what neighbours and the ranks of passages count were chosen on one half of
the questions (`--tune`); everything below is about the other half. That ranks of passages count at all was
tried after a first look at that half, so the passages' extractive figures may be a little too good. ms is CPU time; MiniLM's vectors of sentences that an earlier row embedded are not made again,
so that the first extractive row shows what it takes.
"""


if __name__ == "__main__":
    main()
