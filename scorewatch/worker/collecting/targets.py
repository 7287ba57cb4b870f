"""Writes the one file, in a format by its ending; the files of batches are read one after the other."""

from __future__ import annotations

import csv
import shutil
from typing import TYPE_CHECKING, Any

from ..sinks.delimited import cell_of, harmless
from ..sinks.plain import json_of
from ..sinks.table import FILE
from . import sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .batches import Committed


def join_bytes(batches: list[Committed], to: str) -> int:
    """The files as they are, one after the other: what Azure makes of its batches."""
    with open(to, "wb") as target:
        for batch in batches:
            with open(batch.path, "rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)
    return sum(batch.rows for batch in batches)


def join_csv(batches: list[Committed], to: str) -> int:
    """One header with the columns of all batches; a batch that lacks one has empty cells."""
    names = list(dict.fromkeys(name for batch in batches for name in sources.columns(batch.path)))
    rows = 0
    with open(to, "w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        if names:
            writer.writerow(names)
        for batch in batches:
            made_safe = sources.kind_of(batch.path) == "csv"
            for piece in sources.pieces(batch.path):
                writer.writerows([_cell(row.get(name), name, made_safe) for name in names] for row in piece)
                rows += len(piece)
    return rows


def _cell(value: Any, name: str, made_safe: bool) -> Any:  # noqa: FBT001 - private, and called in one place
    cell = cell_of(value)
    return harmless(cell) if name == FILE and not made_safe else cell


def join_jsonl(batches: list[Committed], to: str) -> int:
    """Each row as one object, with the columns that its own batch has; cells of CSV files typed as in Parquet."""
    rows = 0
    read = _typed(batches) if any(sources.kind_of(batch.path) == "csv" for batch in batches) else sources.pieces
    with open(to, "wb") as target:
        for batch in batches:
            for piece in read(batch.path):
                target.write("".join(json_of(row) + "\n" for row in piece).encode("utf-8", "backslashreplace"))
                rows += len(piece)
    return rows


def _typed(batches: list[Committed]) -> Callable[[str], Iterator[list[dict[str, Any]]]]:
    """Reads rows so that a column of numbers is one: a CSV file itself has nothing but text."""
    from . import types  # noqa: PLC0415 - it imports pyarrow, which other files may not need

    united = types.unite([batch.path for batch in batches])

    def read(path: str) -> Iterator[list[dict[str, Any]]]:
        if sources.kind_of(path) != "csv":
            yield from sources.pieces(path)
            return
        wanted = {name: united[name] for name in sources.columns(path)}
        for table in types.tables(path, wanted):
            yield table.to_pylist()

    return read


def join_parquet(batches: list[Committed], to: str) -> int:
    """Columns united by name; each has a type that holds the values of every batch, at worst text."""
    import pyarrow as pa  # noqa: PLC0415 - other targets may need none
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    from . import types  # noqa: PLC0415 - as above

    united = types.unite([batch.path for batch in batches])
    rows = 0
    with pq.ParquetWriter(to, pa.schema(list(united.items()))) as writer:
        for batch in batches:
            for table in types.tables(batch.path, united):
                writer.write_table(table)
                rows += table.num_rows
    return rows


JOINS: dict[str, Callable[[list[Committed], str], int]] = {
    "parquet": join_parquet,
    "csv": join_csv,
    "jsonl": join_jsonl,
}
