"""Reads what the digits example wrote, and holds it against the truth: prints one JSON object.

    python read_results.py OUTBOX TRUTH.CSV

A program of its own, because it loads pandas: what `scorewatch demo` prints is what any reader of the outbox gets.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

SHOWN = 6  #: predictions that are shown, of the right ones
SHOWN_WRONG = 2  #: and of the wrong ones: no model is always right, and a demo should not look as if


def main() -> None:
    """Read, compare, print."""
    outbox, truth_file = Path(sys.argv[1]), Path(sys.argv[2])
    results = pd.read_parquet(outbox / "batches")  # the one line that reads everything
    truth = pd.read_csv(truth_file)
    print(json.dumps(compare(results, truth)))  # noqa: T201 - printing is what it is for


def compare(results: pd.DataFrame, truth: pd.DataFrame) -> dict[str, Any]:
    """How often each file has a row, how many rows are right, and a few of them to look at."""
    joined = results.merge(truth.rename(columns={"digit": "truth"}), on="file", how="left")
    right = joined["digit"] == joined["truth"]
    shown = pd.concat([spread(joined[right], SHOWN), spread(joined[~right], SHOWN_WRONG)])
    return {
        "rows": len(results),
        "rows_by_file": dict(Counter(results["file"].tolist())),
        "right": int(right.sum()),
        "shown": json.loads(shown[["file", "digit", "truth", "confidence"]].to_json(orient="records")),
    }


def spread(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """A few rows from all over a table, in the order of the files' names."""
    return rows.sort_values("file").iloc[:: max(1, len(rows) // count)].head(count)


if __name__ == "__main__":
    main()
