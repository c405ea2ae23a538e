"""RouterArena: the predictions of a router, a JSON list with one entry for each choice.

Fields after RouteWorks/RouterArena, router_inference/predictions and llm_evaluation/run.py: "global index" or
global_index, prompt or prompt_formatted, prediction (the chosen model), generated_result {generated_answer, success,
token_usage {input_tokens, output_tokens}, error}, cost, accuracy, for_optimality.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from routelab.core.values import Prompt
from routelab.lab.formats.calls import NO_OBJECT, Place, Row, mapping, records, text_of, turns


def read_routerarena(path: Path) -> Iterator[Row]:
    """Yield the calls of a predictions file, or of a folder of them: several routers' files fill one cube.

    Optimality entries (the other models, asked of some prompts) are calls like the rest. A call that did not succeed is
    a failure. An entry without a result says whom the router would ask, and is rejected. The task is the name in front
    of the number in the global index.
    """
    for place, row in records(path):
        yield place.rejected("entry", NO_OBJECT) if row is None else _row(place, row)


def is_prediction(row: object) -> bool:
    """Return whether a row has the form of an entry."""
    return isinstance(row, Mapping) and ("global index" in row or "global_index" in row) and "prediction" in row


def _row(place: Place, row: Mapping[str, Any]) -> Row:
    key = text_of(row.get("global index") or row.get("global_index"))
    asked = turns(row.get("prompt") or row.get("prompt_formatted"))
    if not key or asked is None:
        return place.rejected("prompt" if key else "global_index", "is missing")
    result = mapping(row.get("generated_result"))
    if not result and row.get("accuracy") is None:
        return place.rejected("generated_result", "is missing: the model was chosen, not asked")
    usage = mapping(result.get("token_usage"))
    measures = {
        "quality": ("accuracy", row.get("accuracy")),
        "cost_usd": ("cost", row.get("cost")),
        "input_tokens": ("token_usage.input_tokens", usage.get("input_tokens")),
        "output_tokens": ("token_usage.output_tokens", usage.get("output_tokens")),
    }
    task = key.rsplit("_", 1)[0]
    return place.call(
        Prompt(id=key, messages=asked, task=task),
        row.get("prediction"),
        measures,
        failed=result.get("success") is False,
        response=text_of(result.get("generated_answer")) or None,
    )
