"""MT-Bench judgements as FastChat writes them (`*_single.jsonl`, `*_pair.jsonl`), read into marks and duels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from routelab.core.errors import DataError
from routelab.lab.judges.judged import Duel, Judged, Mark, Winner

LEAST, MOST = 1.0, 10.0
"""The ends of MT-Bench's scale; a score of −1 says that no rating could be read from the judge's text."""

_SINGLE = re.compile(
    r"\[The Start of Assistant's Answer\]\n(.*?)\n?\[The End of Assistant's Answer\]"
    r"|<\|The Start of Assistant A's Conversation with User\|>\n(.*?)<\|The End of Assistant A's Conversation with User\|>",
    re.DOTALL,
)
_PAIR = re.compile(
    r"\[The Start of Assistant ([AB])'s Answer\]\n(.*?)\n?\[The End of Assistant [AB]'s Answer\]"
    r"|<\|The Start of Assistant ([AB])'s Conversation with User\|>\n(.*?)<\|The End of Assistant [AB]'s Conversation with User\|>",
    re.DOTALL,
)


def read_mtbench(path: str | Path) -> Judged:
    """Return the judgements in a JSONL file; a prompt is a question's turn, a group the question.

    Scores 1 to 10 become (score − 1)/9; an unreadable rating is a mark without quality. Lengths are those of the last answer that the
    judge saw. Raises DataError, one line with file and line number, for what has neither form.
    """
    path = Path(path)
    marks: list[Mark] = []
    duels: list[Duel] = []
    for number, row in _rows(path):
        try:
            if "score" in row:
                marks.append(_mark(row))
            else:
                duels.extend(_duels(row))
        except (KeyError, TypeError, ValueError) as trouble:
            raise DataError(
                f"{path.name}, line {number}: is no MT-Bench judgement ({type(trouble).__name__}: {trouble})",
                hint="wanted: question_id, model, judge, score, turn; or model_1, model_2, g1_winner, g2_winner",
            ) from None
    return Judged(marks=tuple(marks), duels=tuple(duels))


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as trouble:
        raise DataError(f"{path}: cannot be read ({trouble})", hint="check the path") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as trouble:
                raise DataError(f"{path.name}, line {number}: is not JSON ({trouble.msg})") from None
            if not isinstance(row, Mapping):
                raise DataError(f"{path.name}, line {number}: is not a JSON object")
            yield number, row


def _mark(row: Mapping[str, Any]) -> Mark:
    score = float(row["score"])
    if score != -1 and not LEAST <= score <= MOST:
        raise ValueError(f"score {score:g} is not on the scale of {LEAST:g} to {MOST:g}")
    found = _SINGLE.search(str(row.get("user_prompt", "")))
    return Mark(
        prompt_id=f"{row['question_id']}:{row['turn']}",
        model=str(row["model"]),
        judge=_judge(row),
        quality=None if score == -1 else (score - LEAST) / (MOST - LEAST),
        chars=None if found is None else _last(found.group(1), found.group(2), "A"),
        group=str(row["question_id"]),
    )


def _duels(row: Mapping[str, Any]) -> Iterator[Duel]:
    names = (str(row["model_1"]), str(row["model_2"]))
    for game, order in (("g1", (0, 1)), ("g2", (1, 0))):
        lengths = _lengths(str(row.get(f"{game}_user_prompt", "")))
        winner = row[f"{game}_winner"]
        if winner not in ("model_1", "model_2", "tie", "error"):
            raise ValueError(f"{game}_winner {winner!r} is not known")
        yield Duel(
            prompt_id=f"{row['question_id']}:{row['turn']}",
            first=names[order[0]],
            second=names[order[1]],
            judge=_judge(row),
            winner=_winner(str(winner), order[0]),
            first_chars=lengths.get("A"),
            second_chars=lengths.get("B"),
            group=str(row["question_id"]),
        )


def _winner(word: str, first: int) -> Winner | None:
    if word == "error":
        return None
    if word == "tie":
        return "tie"
    return "first" if word == f"model_{first + 1}" else "second"


def _judge(row: Mapping[str, Any]) -> str:
    judge = row["judge"]
    return str(judge[0] if isinstance(judge, (list, tuple)) else judge)


def _lengths(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for match in _PAIR.finditer(text):
        side = match.group(1) or match.group(3)
        length = _last(match.group(2), match.group(4), side)
        if length is not None:
            found[side] = length
    return found


def _last(answer: str | None, conversation: str | None, side: str) -> int | None:
    """Return the length of an answer, or of the last one in a conversation."""
    if answer is not None:
        return len(answer.strip())
    head, mark, last = (conversation or "").rpartition(f"### Assistant {side}:")
    return len(last.strip()) if mark or not head else None
