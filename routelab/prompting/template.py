"""A template: how a prompt is put to a model, as a value with a version and a hash of what it says."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routelab.core.errors import TemplateError
from routelab.core.run import Run
from routelab.core.values import Message
from routelab.prompting.framing import framed
from routelab.prompting.given import Example, Given, Put
from routelab.prompting.sandbox import Text, text_of

VARIABLES = frozenset(("question", "context", "examples", "task", "tags", "system", "schema"))
"""What the system and the user text may mention: see `Given`."""
OF_EXAMPLES = frozenset(("question", "answer", "number", "id"))
"""What the text of one example may mention; `number` counts from 1."""
NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,62}[a-z0-9])?\Z")
SHORT = 12


@dataclass(frozen=True, kw_only=True)
class Turns:
    """An example as two turns: Jinja texts over `OF_EXAMPLES`. Without `user`, its question is put as the template puts questions.

    Where that text places a context, which examples do not have, the bare question is put.
    """

    user: str | None = None
    assistant: str = "{{ answer }}"

    def __post_init__(self) -> None:
        for name in ("user", "assistant"):
            said = getattr(self, name)
            if said is not None:
                object.__setattr__(self, name, _clean(said))
                _check(name, _clean(said), OF_EXAMPLES)
        if "answer" not in text_of(self.assistant, OF_EXAMPLES).names:
            raise ValueError("assistant: never says {{ answer }}")


@dataclass(frozen=True, kw_only=True)
class Template:
    """How a prompt is put to a model: Jinja texts over `VARIABLES` for the system and the last user message.

    `example` says how a few-shot example is put: as turns (`Turns`; None: plain ones), or as a Jinja text over `OF_EXAMPLES`, of which
    those of all examples stand where the template says ``{{ examples }}``, else at the end of the system text. A template that
    says ``{{ examples }}`` or loops over them makes no turns. `reads` names the key of a JSON answer whose value is what scorers that
    expect a plain answer are shown (see `reading.Reading`). `note` says what is new in the version.

    Two templates that say the same have one `sha256`, whatever they are called. Raises ValueError for a text that is no template,
    uses variables that are not there, or never puts the question.

    >>> Template(name="brief", user="{{ question }} Answer in one word.").put(Given(question="Capital of France?")).user
    'Capital of France? Answer in one word.'
    """

    name: str = "inline"
    version: int | None = None
    system: str | None = None
    user: str = "{{ question }}"
    example: str | Turns | None = None
    reads: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if not NAME.match(self.name):
            raise ValueError(
                f"name: {self.name!r} is none; small letters, digits, '-', '_' and '.', at most 64, such as qa"
            )
        if self.version is not None and self.version < 1:
            raise ValueError(f"version: counts from 1, not {self.version}")
        for name, variables in (("system", VARIABLES), ("user", VARIABLES), ("example", OF_EXAMPLES)):
            said = getattr(self, name)
            if isinstance(said, str):
                object.__setattr__(self, name, _clean(said))
                _check(name, _clean(said), variables)
        if self.system == "":
            object.__setattr__(self, "system", None)
        if isinstance(self.example, str) and not {"question", "answer"} <= text_of(self.example, OF_EXAMPLES).names:
            raise ValueError("example: must say {{ question }} and {{ answer }}")
        if "question" not in self.names:
            raise ValueError("user: never says {{ question }}, so nobody would be asked")
        if self.reads is not None and not self.reads.strip():
            raise ValueError("reads: must name a key of the answer's JSON, such as answer")

    @property
    def content(self) -> dict[str, Any]:
        """What the template says, as plain values: what its hash is of. What is at its default is left out."""
        example: Any = self.example
        if isinstance(example, Turns):
            example = {k: v for k, v in (("user", example.user), ("assistant", example.assistant)) if v is not None}
        said = {"system": self.system, "user": self.user, "example": example, "reads": self.reads}
        return {k: v for k, v in said.items() if v is not None}

    @property
    def sha256(self) -> str:
        """64 hexadecimal digits of the content's canonical JSON: keys sorted, no spaces, UTF-8."""
        text = json.dumps(self.content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def short(self) -> str:
        """The first 12 digits of the hash."""
        return self.sha256[:SHORT]

    @property
    def reference(self) -> str:
        """The name with the version, "qa@3", or with the hash where it has none, "qa@sha:1a2b3c4d5e6f"."""
        return f"{self.name}@{self.version}" if self.version is not None else f"{self.name}@sha:{self.short}"

    @property
    def names(self) -> frozenset[str]:
        """The variables that the system text and the user text mention."""
        return text_of(self.user, VARIABLES).names | (
            frozenset() if self.system is None else text_of(self.system, VARIABLES).names
        )

    @property
    def heeds(self) -> bool:
        """Whether a system text of the config's has a place in it: it has none of its own, or says ``{{ system }}``."""
        return self.system is None or "system" in self.names

    def __call__(
        self, run: Run, *, system: str | None = None, examples: Sequence[Example] = ()
    ) -> tuple[tuple[Message, ...], int]:
        """Return a run's messages as the template puts them, and how many of the first are its own: see `framing.framed`."""
        return framed(self, run, system=system, examples=examples)

    def put(self, given: Given) -> Put:
        """Return the prompt as the template puts it; TemplateError names the template, the text and the line."""
        shown = _Shown(self, given.examples)
        values = {name: getattr(given, name) for name in VARIABLES} | {"examples": shown, "tags": dict(given.tags)}
        system = None if self.system is None else text_of(self.system, VARIABLES)(f"{self.reference}, system", **values)
        if isinstance(self.example, str) and given.examples and "examples" not in self.names:
            told = system if self.system is not None else given.system
            system = f"{told}\n\n{shown}" if told and told.strip() else str(shown)
        user = text_of(self.user, VARIABLES)(f"{self.reference}, user", **values)
        if not user.strip() and given.question.strip():
            raise TemplateError(f"{self.reference}, user: nothing is left of the question")
        turns = () if isinstance(self.example, str) or "examples" in self.names else self._turns(given, values)
        return Put(system=system if system is None or system.strip() else None, turns=turns, user=user)

    def _turns(self, given: Given, values: Mapping[str, Any]) -> tuple[Message, ...]:
        form = self.example if isinstance(self.example, Turns) else Turns()
        put = text_of(self.user, VARIABLES)
        turns: list[Message] = []
        for number, (id_, question, answer) in enumerate(given.examples, 1):
            own = {"question": question, "answer": answer, "number": number, "id": id_}
            if form.user is not None:
                asked = text_of(form.user, OF_EXAMPLES)(f"{self.reference}, example.user", **own)
            elif "context" in put.names:
                asked = question
            else:
                asked = put(f"{self.reference}, user", **{**values, "question": question})
            said = text_of(form.assistant, OF_EXAMPLES)(f"{self.reference}, example.assistant", **own)
            turns += (Message(role="user", content=asked), Message(role="assistant", content=said))
        return tuple(turns)


class _Shown:
    """The examples as a template sees them: a sequence of mappings, which printed is the text of all of them."""

    __slots__ = ("_examples", "_template")

    def __init__(self, template: Template, examples: Sequence[Example]) -> None:
        self._template, self._examples = template, tuple(examples)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter([self[i] for i in range(len(self))])

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, i: int) -> dict[str, Any]:
        id_, question, answer = self._examples[i]
        return {"question": question, "answer": answer, "number": i + 1, "id": id_}

    def __str__(self) -> str:
        said = self._template.example
        form = said if isinstance(said, str) else "Question: {{ question }}\nAnswer: {{ answer }}"
        place = f"{self._template.reference}, example"
        return "\n\n".join(text_of(form, OF_EXAMPLES)(place, **own) for own in self)


def _clean(text: str) -> str:
    # A block in YAML ends with a line end that nobody meant, and the same text from two editors is the same template.
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")


def _check(name: str, text: str, variables: frozenset[str]) -> Text:
    try:
        return text_of(text, variables)
    except ValueError as trouble:
        raise ValueError(f"{name}: {trouble}") from None
