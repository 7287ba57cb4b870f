"""One JSON object a row, by the standard library alone; keeps no schema."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .plain import is_missing, json_of
from .table import table_of, values_of

if TYPE_CHECKING:
    from ..orders import Deployment, Schema
    from ..scoring import Rows
    from . import Written


class JsonLinesSink:
    """Writes one file a batch: UTF-8, every row with every column of the batch, missing values null."""

    def __init__(self, deployment: Deployment) -> None:
        self._name = deployment.output_file_name

    def warm_up(self) -> None:
        """Nothing to do."""

    def take(self, rows: Rows) -> tuple[bytes, str]:
        """The file's content, and the note."""
        table = table_of(rows)
        names = list(table.columns)
        columns = [values_of(column) for column in table.columns.values()]
        lines = [json_of(dict(zip(names, map(_value, row)))) for row in zip(*columns)]
        # A surrogate becomes its own JSON escape.
        return "".join(line + "\n" for line in lines).encode("utf-8", "backslashreplace"), table.note

    def lacks(self, _taken: tuple[bytes, str], _schema: Schema) -> Schema:
        """Nothing, ever."""
        return ()

    def write(self, taken: tuple[bytes, str], _schema: Schema, folder: str) -> Written:
        """Write the file."""
        content, note = taken
        with open(os.path.join(folder, self._name), "xb") as file:
            file.write(content)
        return note, []


def _value(value: object) -> object:
    return None if is_missing(value) else value
