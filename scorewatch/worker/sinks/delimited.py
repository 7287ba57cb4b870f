"""CSV with a header, by the standard library alone; keeps the output schema, so that headers stay the same."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

from .plain import is_missing, plain, text_of
from .table import FILE, table_of, values_of

if TYPE_CHECKING:
    from ..orders import Deployment, Schema
    from ..scoring import Rows
    from . import Written

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would calculate a file's name that starts so
_INTEGER, _NUMBER, _TRUTH, _TEXT = "int64", "double", "bool", "string"
_FAMILIES = {"double": _NUMBER, "float": _NUMBER, "halffloat": _NUMBER, "bool": _TRUTH}


@dataclass
class Taken:
    """Plain values by column."""

    columns: dict[str, list[Any]]
    count: int
    note: str


class CsvSink:
    """Writes one CSV file a batch: UTF-8, commas, CRLF nowhere, missing values empty."""

    def __init__(self, deployment: Deployment) -> None:
        self._name = deployment.output_file_name

    def warm_up(self) -> None:
        """Nothing to do."""

    def take(self, rows: Rows) -> Taken:
        """Copy the rows as plain values."""
        table = table_of(rows)
        columns = {name: [_value(v) for v in values_of(column)] for name, column in table.columns.items()}
        if FILE in columns:
            columns[FILE] = [harmless(v) for v in columns[FILE]]
        return Taken(columns, table.count, table.note)

    def lacks(self, taken: Taken, schema: Schema) -> Schema:
        """Columns that the schema hasn't got, and whose type is known by now."""
        known = dict(schema)
        new = [(name, kind_of(values)) for name, values in taken.columns.items() if name not in known and taken.count]
        return tuple((name, kind or _TEXT) for name, kind in new if kind or name == FILE)

    def write(self, taken: Taken, schema: Schema, folder: str) -> Written:
        """Write the file; nothing where there is neither a row nor a schema: its header would say nothing."""
        if not taken.count and not schema:
            return taken.note, []
        columns: dict[str, list[Any]] = {}
        conflicts = []
        for name, spelled in schema:
            values = taken.columns.get(name)
            if values is None:
                columns[name] = [None] * taken.count
                continue
            fitting = fit(values, spelled)
            columns[name] = values if fitting is None else fitting
            if fitting is None:
                batch_type = kind_of(values) or _TEXT
                conflicts.append({"column": name, "schema_type": spelled, "batch_type": batch_type})
        columns.update((name, values) for name, values in taken.columns.items() if name not in columns)
        self._write(columns, os.path.join(folder, self._name))
        return taken.note, conflicts

    def _write(self, columns: dict[str, list[Any]], path: str) -> None:
        with open(path, "x", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*(map(cell_of, values) for values in columns.values())))


def _value(value: Any) -> Any:
    value = plain(value)
    return None if is_missing(value) else value


def cell_of(value: Any) -> Any:
    """The value as csv.writer takes it: None is an empty cell."""
    return value if value is None or isinstance(value, (str, int, float)) else text_of(value)


def harmless(value: Any) -> Any:
    """The cell with a quote before it, where a spreadsheet would take it for a formula."""
    return "'" + value if isinstance(value, str) and value.startswith(FORMULA) else value


def kind_of(values: list[Any]) -> str | None:
    """The type of a column, spelled as pyarrow does; None: nothing but missing values."""
    kinds: set[type] = set(map(type, values)) - {type(None)}
    if not kinds:
        return None
    if kinds == {bool}:
        return _TRUTH
    if kinds == {int}:
        return _INTEGER
    return _NUMBER if kinds <= {int, float} else _TEXT


def fit(values: list[Any], spelled: str) -> list[Any] | None:
    """The values as the schema's type has them; None where that can't be."""
    kind = _INTEGER if spelled.startswith(("int", "uint")) else _FAMILIES.get(spelled)
    convert: dict[str | None, Callable[[Any], Any]] = {_INTEGER: _integer, _NUMBER: _number, _TRUTH: _truth}
    if kind not in convert:
        return values  # everything in a CSV file is text
    try:
        return [None if value is None else convert[kind](value) for value in values]
    except (TypeError, ValueError, OverflowError):
        return None


def _integer(value: Any) -> int:
    made = int(value) if isinstance(value, (int, float)) else None
    if made is None or made != value:
        raise ValueError(value)
    return made


def _number(value: Any) -> float:
    made = float(value) if isinstance(value, (int, float)) else None
    if made is None or made != value:
        raise ValueError(value)
    return made


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value
