"""Rows as named columns: `prediction` and `file`, or what dicts and DataFrames bring."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .plain import clean, json_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..scoring import Rows

PREDICTION = "prediction"
FILE = "file"
PARTITION = "sealed_date"  # readers make a column of this name from the folder's
MAX_COLUMNS = 2000  # of dicts; one with a key a file would widen the output schema for ever


@dataclass
class Table:
    """Columns of equal length, in order; each a list of values, or a pandas Series."""

    columns: dict[str, Any]
    count: int
    note: str = ""


def table_of(rows: Rows) -> Table:
    """The rows of a batch as one table."""
    if any(part.frame is not None for part in rows.parts):
        return _named(_from_frames(rows), rows.count)
    elements: list[Any] = []
    names: list[str | None] = []
    for part in rows.parts:
        elements += part.elements or []
        names += part.names() or [None] * part.count
    return _named(_from_elements(elements, names), rows.count)


def _from_elements(elements: list[Any], names: list[str | None]) -> dict[Any, list[Any]]:
    if not any(isinstance(element, dict) for element in elements):
        return {PREDICTION: elements, FILE: names}
    columns: dict[Any, list[Any]] = {}
    for row, element in enumerate(elements):
        fields = element if isinstance(element, dict) else {PREDICTION: element}
        for key, value in fields.items():
            if key not in columns:
                columns[key] = [None] * len(elements)
            columns[key][row] = value
        if len(columns) > MAX_COLUMNS:
            return {PREDICTION: [json_of(e) if isinstance(e, dict) else e for e in elements], FILE: names}
    own = columns.get(FILE)
    columns[FILE] = names if own is None else [ours if mine is None else mine for mine, ours in zip(own, names)]
    return columns


def _from_frames(rows: Rows) -> dict[Any, Any]:
    pandas: Any = sys.modules["pandas"]  # whoever returned a frame has imported it
    frames = []
    for part in rows.parts:
        if part.frame is not None:
            frame = part.frame.copy()
            frame.columns = unique(frame.columns)
        else:
            frame = pandas.DataFrame(_from_elements(part.elements or [], [None] * part.count)).drop(columns=FILE)
        if part.each_row and FILE not in frame.columns:
            frame[FILE] = pandas.Series(part.names(), index=frame.index, dtype=object)
        frames.append(frame)
    whole = frames[0] if len(frames) == 1 else pandas.concat(frames, ignore_index=True)
    return {name: whole.iloc[:, at] for at, name in enumerate(whole.columns)}


def _named(columns: dict[Any, Any], count: int) -> Table:
    names = unique(columns)
    table = Table(dict(zip(names, columns.values())), count)
    if PARTITION in names:
        other = PARTITION + "_"
        while other in names:
            other += "_"
        table.columns = {other if name == PARTITION else name: column for name, column in table.columns.items()}
        table.note = f"the column {PARTITION} was renamed to {other}: readers make one from the folder's name"
    return table


def unique(keys: Iterable[Any]) -> list[str]:
    """Names for columns: text, no two alike."""
    names: dict[str, None] = {}
    for key in keys:
        name = clean(key) if isinstance(key, str) else text_of(key) or "None"
        wanted, number = name, 1
        while name in names:
            name, number = f"{wanted}_{number}", number + 1
        names[name] = None
    return list(names)


def values_of(column: Any) -> list[Any]:
    """A column as a list, None where a value is missing."""
    if isinstance(column, list):
        return column
    values: list[Any] = column.astype(object).where(column.notna(), None).tolist()
    return values
