"""Columns as Arrow arrays, and how they are made to fit the output schema. Imports pyarrow."""

from __future__ import annotations

import array
import base64
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .plain import is_deep, plain, text_of

_NESTED = "arrow:"
_QUICK = {
    int: ("q", pa.int64(), pa.int64()),
    float: ("d", pa.float64(), pa.float64()),
    bool: ("b", pa.int8(), pa.bool_()),
}


def array_of(values: Any) -> Any:
    """A list or a pandas Series as an array of a type that Parquet can hold; NaN is null."""
    if isinstance(values, list):
        made = _quick(values)
        return made if made is not None else _settled(_from_list(values))
    if values.dtype == object:
        return array_of(values.tolist())
    try:
        return _settled(pa.array(values, from_pandas=True))
    except Exception:  # noqa: BLE001 - pandas has types that Arrow hasn't
        return _settled(_from_list(values.tolist()))


def _quick(values: list[Any]) -> Any:
    """Columns of one plain type, without the import of pandas that pyarrow's general way brings (0.3 s, 40 MB)."""
    kinds = set(map(type, values))
    known = kinds - {type(None)}
    if not known:
        return pa.nulls(len(values))
    kind = known.pop()
    if known:
        return None
    if kind is str:
        return _quick_text(values)
    return _quick_numbers(values, kind, gaps=len(kinds) > 1) if kind in _QUICK else None


def _quick_numbers(values: list[Any], kind: type, *, gaps: bool) -> Any:
    if kind is float and any(map(_is_gap, values)):
        gaps = True
    known = [not _is_gap(value) for value in values] if gaps else []
    if gaps:
        values = [value if there else 0 for value, there in zip(values, known)]
    code, stored, wanted = _QUICK[kind]
    try:
        made = pa.Array.from_buffers(stored, len(values), [None, pa.py_buffer(array.array(code, values))]).cast(wanted)
    except OverflowError:
        return None
    return pc.if_else(_quick_numbers(known, bool, gaps=False), made, pa.nulls(len(values), wanted)) if gaps else made


def _is_gap(value: Any) -> bool:
    return value is None or value != value  # noqa: PLR0124 - NaN alone differs from itself


def _quick_text(values: list[Any]) -> Any:
    builder = pa.lib.StringBuilder()
    try:
        builder.append_values(values)
    except UnicodeEncodeError:
        return None
    return builder.finish()


def _from_list(values: list[Any]) -> Any:
    if is_deep(values):  # Arrow would follow a list that holds itself until the process dies
        return as_text([plain(value) for value in values])
    try:
        return pa.array(values, from_pandas=True)
    except Exception:  # noqa: BLE001 - any value may be in a list; what Arrow can't take is made plain, then text
        values = [plain(value) for value in values]
    try:
        return pa.array(values, from_pandas=True)
    except Exception:  # noqa: BLE001 - as above
        return as_text(values)


def as_text(values: list[Any]) -> Any:
    """A column of text, of any values."""
    return pa.array([text_of(value) for value in values], pa.string())


def _settled(column: Any) -> Any:
    """One spelling for what is the same: a column of text is `string`, whatever library made it."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _settled(column.cast(kind.value_type))
    if pa.types.is_large_string(kind):
        return _cast(column, pa.string(), otherwise=column)
    if pa.types.is_decimal128(kind):  # room for the larger numbers of later batches
        return _cast(column, pa.decimal128(38, kind.scale), otherwise=column)
    return column if is_writable(kind) else as_text(column.to_pylist())


def _cast(column: Any, kind: Any, otherwise: Any = None) -> Any:
    try:
        return column.cast(kind)
    except (pa.ArrowException, ValueError):
        return otherwise


@lru_cache(maxsize=1000)
def is_writable(kind: Any) -> bool:
    """Whether a Parquet file can hold the type."""
    if isinstance(kind, pa.BaseExtensionType):
        return False
    try:
        pq.write_table(pa.table({"x": pa.nulls(0, kind)}), pa.BufferOutputStream())
    except (pa.ArrowException, ValueError):
        return False
    return True


# ---------------------------------------------------------------- the output schema
@lru_cache(maxsize=1000)
def spell(kind: Any) -> str:
    """A type as text: pyarrow's own name, or the whole type where the name alone does not say it all."""
    name = str(kind)
    try:
        if pa.type_for_alias(name) == kind:
            return name
    except ValueError:
        pass
    data = pa.schema([pa.field("x", kind)]).serialize().to_pybytes()
    return _NESTED + base64.b64encode(data).decode("ascii")


@lru_cache(maxsize=1000)
def parse(spelled: str) -> Any:
    """The type that `spell` spelled; None where nobody knows it."""
    try:
        if spelled.startswith(_NESTED):
            data = base64.b64decode(spelled[len(_NESTED) :])
            return pa.ipc.read_schema(pa.py_buffer(data)).field(0).type
        return pa.type_for_alias(spelled)
    except (pa.ArrowException, ValueError, OSError):
        return None


def knows_its_type(column: Any) -> bool:
    """Whether the type says something: not of nulls only, nor of empty lists only."""
    return column.null_count < len(column) and not _has_null(column.type)


def _has_null(kind: Any) -> bool:
    return bool(pa.types.is_null(kind)) or any(_has_null(kind.field(at).type) for at in range(kind.num_fields))


def without_null_type(column: Any) -> Any:
    """A column whose type isn't known yet, as text: the one type that readers turn numbers of later batches into.

    Readers take the type from the first file. With Arrow's null type there, reading a later file is an error.
    """
    if column.null_count == len(column):
        return pa.nulls(len(column), pa.string())
    return as_text(column.to_pylist()) if _has_null(column.type) else column


def fit(column: Any, kind: Any) -> Any:
    """The column with the schema's type; None where something would be lost."""
    if column.type == kind:
        return column
    if column.null_count == len(column):
        return pa.nulls(len(column), kind)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return as_text(column.to_pylist()).cast(kind)
    if pa.types.is_string(column.type):
        return None  # "007" is not 7
    made = _cast(column, kind)
    back = _cast(made, column.type) if made is not None else None
    return made if back is not None and back.equals(column) else None


def nulls(count: int, kind: Any | None) -> Any:
    """A column of nothing."""
    return pa.nulls(count, pa.string() if kind is None else kind)


def write(columns: dict[str, Any], file: Any) -> None:
    """Write columns of equal length as one Parquet file."""
    pq.write_table(pa.table(list(columns.values()), names=list(columns)), file)
