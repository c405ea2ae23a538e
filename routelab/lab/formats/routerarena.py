"""RouterArena: the predictions of a router, one entry for each choice, and its cached results, one file a model.

Fields after RouteWorks/RouterArena, router_inference/predictions and llm_evaluation/run.py: "global index" or
global_index, prompt or prompt_formatted, prediction (the chosen model), generated_result {generated_answer, success,
token_usage {input_tokens, output_tokens}, error}, cost, accuracy, for_optimality. In cached_results/*.jsonl the same
facts are called question, llm_selected, generated_answer, success, token_usage and evaluation_result {score,
ground_truth, inference_cost}.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from routelab.core.values import Prompt
from routelab.lab.formats.calls import NO_OBJECT, Place, Row, mapping, records, text_of, turns


def read_routerarena(path: Path) -> Iterator[Row]:
    """Yield the calls of a predictions file or a cached-results file, or of a folder: several files fill one cube.

    Optimality entries (the other models, asked of some prompts) are calls like the rest. A call that did not succeed is
    a failure. An entry without a result says whom the router would ask, and is rejected. The task is the name in front
    of the number in the global index.
    """
    for place, row in records(path):
        yield place.rejected("entry", NO_OBJECT) if row is None else _row(place, row)


def is_prediction(row: object) -> bool:
    """Return whether a row has the form of an entry."""
    indexed = isinstance(row, Mapping) and ("global index" in row or "global_index" in row)
    return indexed and isinstance(row, Mapping) and ("prediction" in row or "llm_selected" in row)


def _row(place: Place, row: Mapping[str, Any]) -> Row:
    key = text_of(row.get("global index") or row.get("global_index"))
    if "llm_selected" in row:
        row = _as_prediction(row)
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
        Prompt(id=key, messages=asked, task=task, reference=text_of(row.get("ground_truth"))),
        row.get("prediction"),
        measures,
        failed=result.get("success") is False,
        response=text_of(result.get("generated_answer")) or None,
        # The index is the benchmark's own; its files differ in how they wrap one question.
        same=key,
    )


def _as_prediction(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a cached result under the names that it has in a predictions file."""
    judged = mapping(row.get("evaluation_result"))
    return {
        "prompt": row.get("question"),
        "prediction": row["llm_selected"],
        "generated_result": {k: row.get(k) for k in ("generated_answer", "success", "token_usage")},
        "cost": judged.get("inference_cost"),
        "accuracy": judged.get("score"),
        "ground_truth": judged.get("ground_truth"),
    }
