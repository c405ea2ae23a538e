"""Set the offsets in questions.csv to where each answer stands in the documents now: run it after a document was changed.

    python datasets/handbook/place.py

An answer that is not in its document, or stands there more than once, is named, and nothing is written.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
COLUMNS = ("question", "references", "corpus_id")


def placed(content: str, text: str) -> dict[str, object]:
    """Return a reference to where a piece stands in a text; ValueError unless it stands there exactly once."""
    if text.count(content) != 1:
        raise ValueError(f"stands {text.count(content)} times in its document: {content!r}")
    start = text.index(content)
    return {"content": content, "start_index": start, "end_index": start + len(content)}


def main() -> int:
    """Write questions.csv again and return 0, or 1 when an answer cannot be placed."""
    path = HERE / "questions.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    trouble = []
    for number, row in enumerate(rows, start=2):
        text = (HERE / "corpora" / f"{row['corpus_id']}.md").read_bytes().decode("utf-8")
        try:
            found = [placed(one["content"], text) for one in json.loads(row["references"])]
        except ValueError as wrong:
            trouble.append(f"questions.csv, row {number}: {wrong}")
            continue
        row["references"] = json.dumps(found, ensure_ascii=False)
    if trouble:
        print("\n".join(trouble), file=sys.stderr)  # noqa: T201
        return 1
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
