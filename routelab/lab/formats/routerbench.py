"""RouterBench: a wide CSV, one line a prompt, with three columns for each model.

Columns after withmartian/routerbench, convertors/common.py: sample_id, prompt, eval_name, oracle_model_to_route_to,
and for each model `<model>` (the score), `<model>|model_response` and `<model>|total_cost`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from routelab.core.errors import DataError
from routelab.core.values import Message, Prompt
from routelab.lab.formats.calls import SHEETS, Place, Row, files
from routelab.lab.readers import Table, read_table, texts

RESPONSE, COST = "|model_response", "|total_cost"

# A list of texts as Python writes it; read by pattern, because evaluating a stranger's file is not reading it.
_QUOTED = r"""'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*\""""
_LIST = re.compile(rf"\s*\[\s*(?:{_QUOTED})(?:\s*,\s*(?:{_QUOTED}))*\s*,?\s*\]\s*", re.DOTALL)
_ITEM = re.compile(_QUOTED, re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "\n": "", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}


def read_routerbench(path: Path) -> Iterator[Row]:
    """Yield a call for every cell of a CSV file (or parquet, or a folder of them) that says something about a model.

    The task of a prompt is its eval_name. A model's cell with no score, no cost and no response was not recorded.
    """
    for file, name in files(path, (*SHEETS, ".parquet")):
        table = read_table(file)
        models = models_of(list(table.frame.columns))
        if not models:
            raise DataError(
                f"{name}: has no model's columns",
                hint=f"each model needs '<model>' and '<model>{COST}' or '<model>{RESPONSE}'",
            )
        table.require(("sample_id", "prompt", *models))
        yield from _rows(table, name, models)


def models_of(columns: Sequence[str]) -> list[str]:
    """Return the models that a header names, in the order of their first column."""
    suffixed = [c.removesuffix(s) for c in columns for s in (RESPONSE, COST) if c.endswith(s) and c != s]
    return list(dict.fromkeys(suffixed))


def _rows(table: Table, name: str, models: Sequence[str]) -> Iterator[Row]:
    ids, asked, tasks = (texts(table, c) for c in ("sample_id", "prompt", "eval_name"))
    scores, costs = ({m: _cells(table, m + s) for m in models} for s in ("", COST))
    responses = {m: texts(table, m + RESPONSE) for m in models}
    for i, label in enumerate(table.frame.index):
        place = Place(file=name, line=table.line(int(label)))
        if ids[i] is None or asked[i] is None:
            yield place.rejected("sample_id" if ids[i] is None else "prompt", "is blank")
            continue
        messages = tuple(Message(role="user", content=turn) for turn in listed(asked[i]))
        prompt = Prompt(id=ids[i], messages=messages, task=tasks[i])
        for m in models:
            if scores[m][i] is None and costs[m][i] is None and responses[m][i] is None:
                continue
            said = responses[m][i]
            measures = {"quality": (m, scores[m][i]), "cost_usd": (m + COST, costs[m][i])}
            answer = None if said is None else "\n".join(listed(said))
            yield place.call(prompt, m, measures, response=answer, dataset=tasks[i])


def _cells(table: Table, column: str) -> list[Any]:
    if column not in table.frame.columns:
        return [None] * len(table)
    return [None if cell != cell else cell for cell in table.frame[column].astype(object)]


def listed(text: str) -> list[str]:
    """Return the texts of a list as Python prints it, or the text itself where it is no such list.

    >>> listed("['one', \\"it's two\\"]"), listed("plain"), listed("[1, 2]")
    (['one', "it's two"], ['plain'], ['[1, 2]'])
    """
    if _LIST.fullmatch(text) is None:
        return [text]
    return [_ESCAPE.sub(_unescaped, item.group(0)[1:-1]) for item in _ITEM.finditer(text)]


def _unescaped(found: re.Match[str]) -> str:
    code = found.group(1) or found.group(2) or found.group(3)
    if code is None:
        return _PLAIN.get(found.group(4), found.group(4))
    return chr(int(code, 16)) if int(code, 16) <= 0x10FFFF else "\N{REPLACEMENT CHARACTER}"
