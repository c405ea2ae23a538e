"""LLMRouterBench: one JSON file a data set, split and model, with a list of records.

Fields after ynulihao/LLMRouterBench, data_collector/storage.py: model_name, dataset_name, split, demo and records[] of
index, origin_query, prompt, prompt_tokens, completion_tokens, cost, score, prediction, ground_truth, raw_output.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from routelab.core.values import Prompt
from routelab.lab.formats.calls import Place, Row, documents, text_of, turns

FAILURES = ("Processing failed: ", "Unexpected error: ")
"""How the output of a record begins that its runner could not process."""
_STAMP = re.compile(r"(\d{8})_(\d{6})\.json(?:\.gz)?$")


def read_llmrouterbench(path: Path) -> Iterator[Row]:
    """Yield the calls of a results file, or of a folder of them such as results/bench.

    The newest run (by the time in the file's name) of a data set, split and model counts; demo runs are rejected. A
    record that could not be processed is a failure; any other one without a score (a judged data set) stays unscored,
    where the benchmark's own loader makes it 0.
    """
    for name, content in documents(path):
        if not is_result(content):
            yield Place(file=name, line=1).rejected("records", "is no result: model_name and records are needed")
            continue
        stamp = _STAMP.search(name)
        at = float(stamp.group(1) + stamp.group(2)) if stamp else 0.0
        for number, record in enumerate(content["records"], 1):
            yield _row(Place(file=name, line=number), content, record, at)


def is_result(content: object) -> bool:
    """Return whether a JSON document has the form of a results file."""
    return isinstance(content, Mapping) and isinstance(content.get("records"), list) and "model_name" in content


def _row(place: Place, content: Mapping[str, Any], record: object, at: float) -> Row:
    if not isinstance(record, Mapping):
        return place.rejected("records", "is not an object")
    if content.get("demo"):
        return place.rejected("demo", "is of a demo run")
    asked = turns(record.get("prompt")) or turns(record.get("origin_query"))
    if record.get("index") is None or asked is None:
        return place.rejected("index" if asked is not None else "prompt", "is missing")
    dataset = str(content.get("dataset_name") or "unnamed")
    key = f"{dataset}/{content.get('split') or 'all'}/{record['index']}"
    truth = text_of(record.get("ground_truth"))
    measures = {
        "quality": ("score", record.get("score")),
        "cost_usd": ("cost", record.get("cost")),
        "input_tokens": ("prompt_tokens", record.get("prompt_tokens")),
        "output_tokens": ("completion_tokens", record.get("completion_tokens")),
    }
    said = text_of(record.get("raw_output")) or text_of(record.get("prediction"))
    failed = record.get("score") is None and not record.get("completion_tokens") and (said or "").startswith(FAILURES)
    return place.call(
        Prompt(id=key, messages=asked, task=dataset, reference=truth or None),
        content["model_name"],
        measures,
        failed=failed,
        response=said,
        dataset=dataset,
        at=at,
        # The sent prompt may be worded for a model; the question behind it must be the same for all.
        same=text_of(record.get("origin_query")) or text_of(record.get("prompt")),
    )
