"""Reads the rows of one batch, piece by piece: Parquet as Arrow batches, CSV and JSON lines as dicts."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
from typing import TYPE_CHECKING, Any

from .batches import CollectError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROWS_AT_ONCE = 10_000  # what bounds the memory
LONGEST_CELL = 2**31 - 1  # bytes


def kind_of(path: str) -> str:
    """`parquet`, `csv` or `jsonl`, by the file's ending."""
    kind = os.path.splitext(path)[1].lower().lstrip(".")
    if kind not in {"parquet", "csv", "jsonl"}:
        raise CollectError("only .parquet, .csv and .jsonl can be collected", where=path)
    return kind


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Whatever a library raises about a file's content becomes a sentence that names the file."""
    try:
        yield
    except (CollectError, ImportError, MemoryError):
        raise
    except OSError as error:
        why = error.strerror if error.errno else "its content is damaged"  # pyarrow's own bear no number
        raise CollectError(f"this output can't be read: {why}", where=path) from error
    except Exception as error:
        raise CollectError("this output can't be read: its content is damaged", where=path) from error


def pieces(path: str) -> Iterator[list[dict[str, Any]]]:
    """The rows of a file, some thousands at a time; cells of a CSV file are text, or None where they are empty."""
    with reading(path):
        kind = kind_of(path)
        if kind == "parquet":
            import pyarrow.parquet as pq  # noqa: PLC0415 - files of other kinds need none

            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(ROWS_AT_ONCE):
                    yield batch.to_pylist()
            return
        with open(path, encoding="utf-8", newline="" if kind == "csv" else None) as text:
            yield from _in_pieces(_csv_rows(text) if kind == "csv" else _json_rows(text, path))


def columns(path: str) -> list[str]:
    """The names of a file's columns; for JSON lines, all keys in the order of their first appearance."""
    kind = kind_of(path)
    with reading(path):
        if kind == "parquet":
            import pyarrow.parquet as pq  # noqa: PLC0415 - as above

            return list(pq.read_schema(path).names)
        if kind == "csv":
            with open(path, encoding="utf-8", newline="") as text:
                return next(csv.reader(text), [])
    return list(dict.fromkeys(key for piece in pieces(path) for row in piece for key in row))


def _csv_rows(text: Iterable[str]) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(LONGEST_CELL)
    for row in csv.DictReader(text):
        yield {name: cell or None for name, cell in row.items()}


def _json_rows(text: Iterable[str], path: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise CollectError(f"line {number} of this output is no JSON", where=path) from error
        yield row if isinstance(row, dict) else {"prediction": row}


def _in_pieces(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while True:
        piece = list(itertools.islice(rows, ROWS_AT_ONCE))
        if not piece:
            return
        yield piece
