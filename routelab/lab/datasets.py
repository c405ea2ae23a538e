"""Sets of prompts: those that ship with the package, and files or frames of the user's own.

A line of a data set has `prompt` (or `messages`), and may have `id`, `task`, `reference`, `scorer`, `difficulty`, `wrong`, `group`
and `tags`; other columns become tags, so that a template can use them. Errors name the file, the line and the key.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from routelab.core.errors import ConfigError, DataError, suggest
from routelab.core.files import text_of
from routelab.core.values import Message, Prompt, Role, digest, draw
from routelab.judging import is_judge, judging_of
from routelab.present import Table, bundle
from routelab.scoring import scorer_of

KEYS = ("id", "task", "prompt", "messages", "system", "reference", "scorer", "difficulty", "wrong", "group", "tags")
ROLES = get_args(Role)


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Named prompts in a fixed order."""

    name: str
    prompts: tuple[Prompt, ...]
    card: str = field(default="", repr=False)

    @staticmethod
    def load(name: str) -> Dataset:
        """Return a data set that ships with the package, such as "workbench"."""
        folder = shipped("datasets")
        known = sorted(p.name for p in folder.iterdir() if p.is_dir() and any(p.glob("*.jsonl")))
        if name not in known:
            near = suggest(name, known)
            raise DataError(
                f"there is no data set '{name}'{'' if near is None else '; ' + near}",
                hint=f"shipped: {', '.join(known)}; or give the path of a .jsonl or .csv file",
            )
        files = sorted((folder / name).glob("*.jsonl"))
        card = folder / name / "README.md"
        return Dataset(
            name=name,
            prompts=_unique([pair for file in files for pair in _read(file)], name),
            card=card.read_text(encoding="utf-8") if card.is_file() else "",
        )

    @staticmethod
    def read(path: str | Path) -> Dataset:
        """Return the prompts of a .jsonl, .jsonl.gz, .csv or .csv.gz file."""
        path = Path(path)
        return Dataset(name=path.name.split(".")[0], prompts=_unique(list(_read(path)), str(path)))

    @staticmethod
    def of(data: object, *, name: str = "data") -> Dataset:
        """Return a data set from whatever holds prompts: a Dataset, a name, a path, a pandas frame, a list of texts or mappings."""
        if isinstance(data, Dataset):
            return data
        if isinstance(data, (str, Path)):
            return Dataset.read(data) if Path(data).suffix in (".jsonl", ".csv", ".gz") else Dataset.load(str(data))
        if hasattr(data, "to_dict") and hasattr(data, "columns"):
            columns = [str(c) for c in data.columns]
            # A missing cell is NaN, NaT or NA, whichever the column's type knows; here it is None.
            data = data.astype(object).where(data.notna(), None)  # type: ignore[attr-defined]
            data = [dict(zip(columns, row, strict=True)) for row in data.itertuples(index=False, name=None)]  # type: ignore[attr-defined]
        if not isinstance(data, Iterable) or isinstance(data, (Mapping, bytes)):
            raise DataError(
                f"{name}: cannot take prompts from a {type(data).__name__}",
                hint="give a frame, a list (of one mapping, for one prompt) or a data set",
            )
        placed = [(f"{name}[{i}]", _prompt(row, f"{name}[{i}]")) for i, row in enumerate(data)]
        return Dataset(name=name, prompts=_unique(placed, name))

    def __len__(self) -> int:
        return len(self.prompts)

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.prompts)

    def take(self, n: int) -> Dataset:
        """Return the first n prompts."""
        return dataclasses.replace(self, prompts=self.prompts[:n])

    def sample(self, n: int, *, seed: int = 0) -> Dataset:
        """Return n prompts drawn by the seed, in the set's order, spread over the tasks in proportion."""
        if n >= len(self.prompts):
            return self
        by_task: dict[str | None, list[Prompt]] = {}
        for prompt in sorted(self.prompts, key=lambda p: draw(seed, "sample", p.id)):
            by_task.setdefault(prompt.task, []).append(prompt)
        # Each prompt's rank within its task, as a share, orders all of them: a prefix is balanced.
        ranked = sorted(
            (i / len(row), draw(seed, "tie", p.id), p.id) for row in by_task.values() for i, p in enumerate(row)
        )
        chosen = {pid for _, _, pid in ranked[:n]}
        return self.where(lambda p: p.id in chosen)

    def where(self, condition: Callable[[Prompt], bool]) -> Dataset:
        """Return the prompts for which the condition holds."""
        return dataclasses.replace(self, prompts=tuple(p for p in self.prompts if condition(p)))

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with what any prompt asks, or with how its answer is scored."""
        return digest([(p.id, [m.told for m in p.messages], p.task, p.reference, p.scorer) for p in self.prompts])

    def table(self) -> Table:
        """Return the counts by task and difficulty."""
        tasks: dict[str, list[Prompt]] = {}
        for prompt in self.prompts:
            tasks.setdefault(prompt.task or "–", []).append(prompt)
        levels = sorted({p.difficulty for p in self.prompts if p.difficulty is not None})
        rows = []
        for task, prompts in tasks.items():
            counts = Counter(p.difficulty for p in prompts)
            kinds = Counter(str(p.scorer["kind"]) for p in prompts if p.scorer is not None)
            rows.append([task, str(len(prompts)), *(str(counts[level]) for level in levels), ", ".join(kinds) or "–"])
        head = ("task", "prompts", *(f"difficulty {level:g}" for level in levels), "scorers")
        return Table(
            head=head,
            rows=rows,
            numbers=frozenset(range(1, 2 + len(levels))),
            caption=f"{self.name}: {len(self.prompts)} prompts",
        )

    def __repr__(self) -> str:
        return f"Dataset({self.name}: {len(self.prompts)} prompts, {len({p.task for p in self.prompts})} tasks)"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return bundle(self.table())


def shipped(kind: str) -> Path:
    """Return the folder of shipped `datasets` or `notebooks`: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    for folder in (package / "_shipped" / kind, package.parent / kind):
        if folder.is_dir():
            return folder
    raise DataError(f"the package has no {kind} with it", hint="reinstall routelab")


def _read(path: Path) -> Iterator[tuple[str, Prompt]]:
    for place, row in rows(path):
        yield place, _prompt(row, place)


def rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield ("file:line", row) for each line of a JSONL or CSV file, gzipped or not."""
    name = path.name.lower().removesuffix(".gz")
    text = text_of(path)
    if name.endswith(".jsonl"):
        yield from _json_lines(text, path)
    elif name.endswith(".csv"):
        yield from _csv_lines(text, path)
    else:
        raise DataError(f"{path}: is neither .jsonl nor .csv", hint="give a .jsonl, .jsonl.gz, .csv or .csv.gz file")


def _json_lines(text: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_once)
        except json.JSONDecodeError as trouble:
            raise DataError(f"{path}:{number}: not JSON at column {trouble.colno} ({trouble.msg})") from None
        except RecursionError:
            raise DataError(f"{path}:{number}: is nested too deep") from None
        except _Twice as key:
            raise DataError(f"{path}:{number}: {key}: given twice", hint="keep one") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: must be a JSON object, not {type(row).__name__}")
        yield f"{path}:{number}", row


class _Twice(Exception):
    """A key that a JSON object has twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for i, name in enumerate(names) if name in names[:i]))
    return row


def _csv_lines(text: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    # The inner reader's line numbers: the outer one's stand still over blank lines and errors.
    try:
        head = list(reader.fieldnames or ())
        twice = next((name for i, name in enumerate(head) if name in head[:i]), None)
        if twice is not None:
            raise DataError(f"{path}:1: the column '{twice}' is there twice", hint="keep one")
        for row in reader:
            if None in row or None in row.values():
                raise DataError(
                    f"{path}:{reader.reader.line_num}: the line has {'more' if None in row else 'fewer'} fields than the head"
                )
            yield f"{path}:{reader.reader.line_num}", {k: v for k, v in row.items() if v != ""}
    except csv.Error as trouble:
        raise DataError(
            f"{path}:{reader.reader.line_num}: not CSV ({trouble})",
            hint="a .jsonl file holds texts of any length" if "field limit" in str(trouble) else None,
        ) from None


def _prompt(row: object, place: str) -> Prompt:
    if isinstance(row, Prompt):
        return row
    if isinstance(row, str):
        if not row.strip():
            raise DataError(f"{place}: is an empty text", hint="leave it out")
        return Prompt.of(row)
    if not isinstance(row, Mapping):
        raise DataError(f"{place}: must be a text or a mapping, not {type(row).__name__}")
    row = {str(k): v for k, v in row.items() if not (v is None or (isinstance(v, float) and math.isnan(v)))}
    messages = _messages(row, place)
    scorer = row.get("scorer")
    if isinstance(scorer, str):
        try:
            scorer = json.loads(scorer)
        except json.JSONDecodeError:
            raise DataError(
                f'{place}: scorer: must be a JSON object such as {{"kind": "number", "answer": 4}}'
            ) from None
    if scorer is not None:
        try:
            (judging_of if is_judge(scorer) else scorer_of)(scorer)
        except ConfigError as trouble:
            raise DataError(f"{place}: {trouble.message}", hint=trouble.hint) from None
    wrong = row.get("wrong", ())
    if not isinstance(wrong, (list, tuple)):
        wrong = (wrong,)
    return Prompt(
        id=str(row["id"]) if row.get("id") not in (None, "") else digest([m.told for m in messages]),
        messages=messages,
        task=None if row.get("task") is None else str(row["task"]),
        reference=None if row.get("reference") is None else str(row["reference"]),
        scorer=scorer,
        difficulty=_number(row.get("difficulty"), f"{place}: difficulty"),
        wrong=tuple(str(w) for w in wrong),
        group=None if row.get("group") is None else str(row["group"]),
        tags={**_tags(row.get("tags")), **{k: str(v) for k, v in row.items() if k not in KEYS}},
    )


def _number(given: Any, place: str) -> float | None:
    try:
        number = None if given is None else float(given)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if number is not None and (isinstance(given, bool) or not math.isfinite(number)):
        raise DataError(f"{place}: must be a number (got {given!r:.60})")
    return number


def _tags(given: object) -> dict[str, str]:
    if isinstance(given, Mapping):
        return {str(k): str(v) for k, v in given.items()}
    if isinstance(given, (list, tuple)):
        return {"tags": ", ".join(str(t) for t in given)} if given else {}
    return {} if given is None else {"tags": str(given)}


def _messages(row: Mapping[str, Any], place: str) -> tuple[Message, ...]:
    system = row.get("system")
    head = (Message(role="system", content=str(system)),) if system else ()
    if "messages" in row:
        if "prompt" in row:
            raise DataError(f"{place}: has both `prompt` and `messages`", hint="keep one of them")
        turns = tuple(_turn(turn, f"{place}: messages[{i}]") for i, turn in enumerate(_listed(row["messages"], place)))
        return turns if turns[0].role == "system" else (*head, *turns)
    text = row.get("prompt")
    if not isinstance(text, str) or not text.strip():
        near = suggest("prompt", [k for k in row if k not in KEYS])
        raise DataError(
            f"{place}: `prompt` is missing or empty", hint=near or f"columns here: {', '.join(row) or 'none'}"
        )
    return (*head, Message(role="user", content=text))


def _listed(given: Any, place: str) -> Sequence[Any]:
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (json.JSONDecodeError, RecursionError):
            given = None
    if hasattr(given, "tolist"):  # parquet hands lists over as arrays
        given = given.tolist()
    if not isinstance(given, (list, tuple)) or not given:
        raise DataError(f"{place}: messages: must be a list of objects with role and content")
    return given


def _turn(turn: Any, place: str) -> Message:
    if isinstance(turn, Message):
        return turn
    role, content = (turn.get("role"), turn.get("content")) if isinstance(turn, Mapping) else (None, None)
    if role not in ROLES:
        near = suggest(role, ROLES)
        raise DataError(f"{place}.role: must be one of {', '.join(ROLES)} (got {role!r:.60})", hint=near)
    if not isinstance(content, str):
        raise DataError(f"{place}.content: must be a text (got {type(content).__name__})")
    return Message(role=turn["role"], content=content)


def _unique(placed: Sequence[tuple[str, Prompt]], name: str) -> tuple[Prompt, ...]:
    if not placed:
        raise DataError(f"{name}: has no prompts")
    seen: dict[str, str] = {}
    kept = []
    for place, prompt in placed:
        if prompt.id in seen:
            if prompt.id != Prompt.of(prompt.messages).id:
                raise DataError(
                    f"{place}: the id '{prompt.id}' was used before, at {seen[prompt.id]}", hint="ids must differ"
                )
            # Without an id of its own a prompt is named by its content; asking the same thing twice is then two prompts.
            again = next(n for n in itertools.count(2) if f"{prompt.id}~{n}" not in seen)
            prompt = dataclasses.replace(prompt, id=f"{prompt.id}~{again}")
        seen[prompt.id] = place
        kept.append(prompt)
    return tuple(kept)
