"""FrugalGPT: CSV files of one model's answers, as its cascade evaluates them.

Columns after stanford-futuredata/FrugalGPT, src/FrugalGPT/llmcascade.py and llmvanilla.py: _id, query, answer,
true_answer or ref_answer, cost, latency ('NA' where it was not measured), quality.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from routelab.core.errors import DataError
from routelab.core.values import Message, Prompt
from routelab.lab.formats.calls import SHEETS, Place, Row, files
from routelab.lab.readers import Table, read_table, texts

MODEL = ("service_name", "service", "model")
MEANS = frozenset(("Test_acc", "Test_cost", "Budget"))
_NONE = ("", "NA", "nan")


def read_frugalgpt(path: Path) -> Iterator[Row]:
    """Yield the calls of a CSV of answers, or of a folder of them, one file a model.

    The model is in a column service_name, service or model; without one it is the file's name. The repository's
    summary CSVs hold one mean for each model and budget, and are refused.
    """
    for file, name in files(path, SHEETS):
        table = read_table(file)
        if set(table.frame.columns) >= MEANS:
            raise DataError(
                f"{name}: is a summary: one mean for each model and budget, no answers",
                hint="save the frames of evaluateall or get_completion_batch instead, one file a model",
            )
        table.require(("_id", "answer", "cost"))
        yield from _rows(table, name, Path(name).name.removesuffix(".gz").removesuffix(".csv"))


def is_answers(columns: Sequence[str]) -> bool:
    """Return whether a header is that of a table of answers, or of a summary."""
    return {"_id", "answer", "cost"} <= set(columns) or set(columns) >= MEANS


def _rows(table: Table, name: str, model: str) -> Iterator[Row]:
    columns = ("_id", "query", "answer", "true_answer", "ref_answer", "quality", "cost", "latency", "dataset")
    cells = {column: texts(table, column) for column in columns}
    named = next((texts(table, c) for c in MODEL if c in table.frame.columns), None)
    if "query" not in table.frame.columns:
        yield f"{name}: has no column 'query', so its prompts have no text; pass prompts= with the same ids"
    for i, label in enumerate(table.frame.index):
        place = Place(file=name, line=table.line(int(label)))
        key, asked = cells["_id"][i], cells["query"][i]
        if key is None:
            yield place.rejected("_id", "is blank")
            continue
        prompt = Prompt(
            id=key,
            messages=() if asked is None else (Message(role="user", content=asked),),
            reference=cells["true_answer"][i] or cells["ref_answer"][i],
        )
        latency = cells["latency"][i]
        measures = {
            "quality": ("quality", cells["quality"][i]),
            "cost_usd": ("cost", cells["cost"][i]),
            "latency_s": ("latency", None if latency in _NONE else latency),
        }
        yield place.call(
            prompt,
            model if named is None else named[i],
            measures,
            response=cells["answer"][i],
            dataset=cells["dataset"][i],
        )
