"""One type for each column over all batches, and batches cast to it. Imports pyarrow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..sinks import arrow
from . import sources

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
# Codes such as 007 are none, nor are integers with more digits than a float can hold.
_NUMBER = re.compile(_INTEGER.pattern + r"|-?((0|[1-9]\d*)\.\d*|\.\d+|(0|[1-9]\d*)(?=[eE]))([eE][-+]?\d+)?")
_TRUTH = {"True": True, "False": False}


def unite(paths: list[str]) -> dict[str, Any]:
    """Each column's type, in the order of first appearance: what holds the values of every batch, at worst text."""
    united: dict[str, Any] = {}
    for path in paths:
        for name, kind in _types_of(path).items():
            before = united.setdefault(name, kind)
            if before != kind:
                united[name] = _wider(before, kind)
    return {name: pa.string() if pa.types.is_null(kind) else kind for name, kind in united.items()}


def _wider(one: Any, other: Any) -> Any:
    try:
        schemas = [pa.schema([("x", kind)]) for kind in (one, other)]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowException, ValueError, TypeError):
        return pa.string()


def _types_of(path: str) -> dict[str, Any]:
    if sources.kind_of(path) == "parquet":
        with sources.reading(path), pq.ParquetFile(path) as file:
            fields = {field.name: field.type for field in file.schema_arrow}
            # A column of nulls only was written as text where nothing was known of it: it has no say.
            return {name: pa.null() if _is_empty(file, name, kind) else kind for name, kind in fields.items()}
    found: dict[str, Any] = dict.fromkeys(sources.columns(path), pa.null())
    for table in _tables(path):
        for name, column in table.items():
            found[name] = _wider(found.get(name, pa.null()), column.type)
    return found


def _is_empty(file: Any, name: str, kind: Any) -> bool:
    if not pa.types.is_string(kind):
        return False
    return all(batch.column(0).null_count == len(batch) for batch in file.iter_batches(columns=[name]))


def tables(path: str, types: dict[str, Any]) -> Iterator[Any]:
    """The rows of one file as tables of exactly these columns and types."""
    for found in _tables(path, types):
        count = len(next(iter(found.values()))) if found else 0
        made = [_cast(found[name], kind) if name in found else pa.nulls(count, kind) for name, kind in types.items()]
        yield pa.table(made, names=list(types))


def _tables(path: str, types: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """The columns of a file, piece by piece; `types` tells which cells of a CSV file stay text."""
    if sources.kind_of(path) == "parquet":
        with sources.reading(path), pq.ParquetFile(path) as file:
            for batch in file.iter_batches(sources.ROWS_AT_ONCE):
                yield dict(zip(batch.schema.names, batch.columns))
        return
    is_csv = sources.kind_of(path) == "csv"
    for piece in sources.pieces(path):
        names = dict.fromkeys(name for row in piece for name in row)
        columns = {name: [row.get(name) for row in piece] for name in names}
        wanted = types or {}
        yield {
            name: _from_text(cells, wanted.get(name)) if is_csv else arrow.array_of(cells)
            for name, cells in columns.items()
        }


def _from_text(cells: list[Any], wanted: Any) -> Any:
    """A CSV's column as integers, numbers or truths where every cell is one, else as text."""
    known = [cell for cell in cells if cell is not None]
    if not known:
        return pa.nulls(len(cells))
    if wanted == pa.string():
        return pa.array(cells, pa.string())
    if all(map(_INTEGER.fullmatch, known)):
        return pa.array([None if cell is None else int(cell) for cell in cells], pa.int64())
    if all(map(_NUMBER.fullmatch, known)):
        return pa.array([None if cell is None else float(cell) for cell in cells], pa.float64())
    if all(cell in _TRUTH for cell in known):
        return pa.array([None if cell is None else _TRUTH[cell] for cell in cells], pa.bool_())
    return pa.array(cells, pa.string())


def _cast(column: Any, kind: Any) -> Any:
    if column.type == kind:
        return column
    if column.null_count == len(column):
        return pa.nulls(len(column), kind)
    if pa.types.is_string(kind):
        return arrow.as_text(column.to_pylist())
    return column.cast(kind, safe=False)
