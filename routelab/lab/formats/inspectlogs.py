"""Inspect: evaluation logs, read by inspect_ai itself through its dataframes.

Columns after inspect_ai.analysis: samples_df gives eval_id, sample_id, id, epoch, input, target, metadata_*, score_*,
model_usage (JSON by model), total_time, error, limit; evals_df gives eval_id, model, task_name, created,
score_headline_name.
"""

from __future__ import annotations

import datetime
import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from routelab.core.errors import DataError
from routelab.core.values import Message, Prompt, Role
from routelab.lab.formats.calls import Place, Row, mapping, text_of

if TYPE_CHECKING:
    import pandas as pd

_ROLE = re.compile(r"^(system|user|assistant|tool):\n", re.MULTILINE)
GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "YES": 1.0, "NO": 0.0, "TRUE": 1.0, "FALSE": 0.0}
"""Inspect's words for scores as numbers: correct, partial, incorrect, no answer."""


def read_inspect(path: Path) -> Iterator[Row]:
    """Yield the calls of an Inspect log, or of a folder of logs; DataError when inspect_ai is not installed."""
    try:
        analysis = importlib.import_module("inspect_ai.analysis")
    except ImportError:
        raise DataError(
            f"{path.name}: an Inspect log is read by inspect_ai, which is not installed",
            hint="python -m pip install inspect_ai pyarrow",
        ) from None
    if not path.exists():
        raise DataError(f"{path}: no such file", hint="check the path")
    try:
        samples, evals = analysis.samples_df(str(path), quiet=True), analysis.evals_df(str(path), quiet=True)
    except (OSError, ValueError) as trouble:
        said = str(trouble).strip().splitlines()[:1]
        raise DataError(
            f"{path.name}: inspect_ai cannot read it ({''.join(said)})", hint="is it an Inspect log, and complete?"
        ) from None
    yield from calls_of_frames(samples, evals, name=path.name)


def calls_of_frames(samples: pd.DataFrame, evals: pd.DataFrame, *, name: str) -> Iterator[Row]:
    """Yield the calls in Inspect's two frames.

    The prompt is a task's sample; epochs are prompts of one group. The quality is the eval's headline score, else the
    first score column. Tokens and cost are those of the evaluated model alone, not of a grader; the latency is the whole
    sample's, with its tools and scoring. A sample that ended in an error is a failure.
    """
    rows, logs = _rows(samples), {log["eval_id"]: log for log in _rows(evals)}
    scores = [c for c in samples.columns if c.startswith("score_")]
    repeated = {row.get("id") for row in rows if row.get("epoch") not in (None, 1)}
    if len(scores) > 1:
        yield f"several scores: {', '.join(scores)}; the eval's headline score counts, else the first one that is there"
    yield "latency_s of Inspect is a whole sample's, with its tools and scoring"
    for number, row in enumerate(rows, 1):
        place = Place(file=name, line=number)
        log = logs.get(row.get("eval_id"))
        if log is None:
            yield place.rejected("eval_id", f"'{row.get('eval_id')}' has no eval")
        else:
            yield _row(place, row, log, scores, repeated)


def _row(place: Place, row: Mapping[str, Any], log: Mapping[str, Any], scores: list[str], repeated: set[object]) -> Row:
    sample, asked, model = (text_of(value) for value in (row.get("id"), row.get("input"), log.get("model")))
    if not sample or asked is None:
        return place.rejected("input" if sample else "id", "is blank")
    task = text_of(log.get("task_name"))
    key = f"{task or 'task'}/{sample}"
    headline = f"score_{log.get('score_headline_name')}"
    column = next((c for c in (headline, *scores) if row.get(c) is not None), headline)
    usage = mapping(mapping(row.get("model_usage")).get(model or ""))
    again = row.get("id") in repeated
    return place.call(
        Prompt(
            id=f"{key}#{row.get('epoch')}" if again else key,
            messages=transcript(asked),
            task=task,
            reference=text_of(row.get("target")),
            group=key if again else None,
        ),
        model,
        {
            "quality": (column, _graded(row.get(column))),
            "cost_usd": ("model_usage.total_cost", usage.get("total_cost")),
            "latency_s": ("total_time", row.get("total_time")),
            "input_tokens": ("model_usage.input_tokens", usage.get("input_tokens")),
            "output_tokens": ("model_usage.output_tokens", usage.get("output_tokens")),
        },
        failed=bool(row.get("error")),
        dataset=task,
        at=_moment(log.get("created")),
    )


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _known(value) for name, value in row.items()} for row in frame.to_dict("records")]


def transcript(text: str) -> tuple[Message, ...]:
    """Return the messages of an input as samples_df writes it: the role, a colon, and the text in the next lines.

    >>> [(m.role, m.content) for m in transcript("system:\\nBe brief.\\n\\n\\nuser:\\nWhy?\\n")]
    [('system', 'Be brief.'), ('user', 'Why?')]
    """
    parts = _ROLE.split(text)
    if len(parts) < 3 or parts[0].strip():
        return (Message(role="user", content=text),)
    return tuple(
        Message(role=cast(Role, role), content=said.strip("\n"))
        for role, said in zip(parts[1::2], parts[2::2], strict=True)
    )


def _graded(value: object) -> object:
    return GRADES.get(value.strip().upper(), value) if isinstance(value, str) else value


def _known(value: Any) -> Any:
    """Return a cell, or None where the frame has a gap of any kind."""
    import pandas as pd

    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    return value.item() if hasattr(value, "item") else value


def _moment(value: object) -> float:
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            return 0.0
    if not isinstance(value, datetime.datetime):
        return 0.0
    return (value if value.tzinfo else value.replace(tzinfo=datetime.UTC)).timestamp()
