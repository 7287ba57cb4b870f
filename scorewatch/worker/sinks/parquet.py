"""Parquet, through pyarrow alone: pandas is imported only by scripts that return its frames."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..failures import CannotLoadError
from .table import FILE, table_of

if TYPE_CHECKING:
    from ..orders import Deployment, Schema
    from ..scoring import Rows
    from . import Written


@dataclass
class Taken:
    """Arrow arrays of equal length, by column."""

    columns: dict[str, Any]
    count: int
    note: str


class ParquetSink:
    """Writes one Parquet file a batch; keeps the output schema."""

    def __init__(self, deployment: Deployment) -> None:
        self._name = deployment.output_file_name
        self._arrow: Any = None

    def warm_up(self) -> None:
        """Import pyarrow and write a small table, so that the first batch is as fast as the others."""
        try:
            from . import arrow  # noqa: PLC0415 - what a deployment with another format need not have
        except ImportError as error:
            raise CannotLoadError(
                f'format = "parquet" needs pyarrow in the interpreter of the workers, {sys.executable}:'
                ' install it there (pip install pyarrow), or choose format = "csv" or "jsonl"'
            ) from error
        self._arrow = arrow
        arrow.write({"x": arrow.array_of(["a"]), "y": arrow.array_of([1.0])}, io.BytesIO())

    def take(self, rows: Rows) -> Taken:
        """Copy the rows into Arrow's memory."""
        table = table_of(rows)
        columns = {name: self._arrow.array_of(values) for name, values in table.columns.items()}
        if FILE in columns and columns[FILE].null_count == len(columns[FILE]):
            columns[FILE] = self._arrow.nulls(table.count, None)
        return Taken(columns, table.count, table.note)

    def lacks(self, taken: Taken, schema: Schema) -> Schema:
        """Columns that the schema hasn't got, and whose type is known by now."""
        known = dict(schema)
        return tuple(
            (name, self._arrow.spell(column.type))
            for name, column in taken.columns.items()
            if name not in known and taken.count and (name == FILE or self._arrow.knows_its_type(column))
        )

    def write(self, taken: Taken, schema: Schema, folder: str) -> Written:
        """Write the file; nothing where there is neither a row nor a schema, since readers take columns from it."""
        if not taken.count and not schema:
            return taken.note, []
        columns, conflicts = self._fitted(taken, schema)
        for name, column in taken.columns.items():
            if name not in columns:
                columns[name] = self._arrow.without_null_type(column)
        self._write(columns, os.path.join(folder, self._name))
        return taken.note, conflicts

    def _fitted(self, taken: Taken, schema: Schema) -> tuple[dict[str, Any], list[dict[str, str]]]:
        """The schema's columns, and which of them could not be made to fit."""
        columns: dict[str, Any] = {}
        conflicts = []
        for name, spelled in schema:
            kind = self._arrow.parse(spelled)
            column = taken.columns.get(name)
            if column is None:
                columns[name] = self._arrow.nulls(taken.count, kind)
                continue
            fitting = self._arrow.fit(column, kind) if kind is not None else column
            columns[name] = self._arrow.without_null_type(column) if fitting is None or kind is None else fitting
            if fitting is None:
                conflicts.append({"column": name, "schema_type": str(kind), "batch_type": str(column.type)})
        return columns, conflicts

    def _write(self, columns: dict[str, Any], path: str) -> None:
        with open(path, "xb") as file:
            self._arrow.write(columns, file)
