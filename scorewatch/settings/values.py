"""What a value in the configuration may be: sizes, durations, paths, names; each refuses with a sentence's second half.

`[batch] max_bytes` + `must be a size, such as "64 MB", not the text 'lots'` is how the sentence is put together.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core.core_schema import ValidationInfo

MOST_FILES = 1_000_000
MOST_BYTES = 2**62  # SQLite's and the kernel's sizes are signed 64-bit numbers

_UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_SIZE = re.compile(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([A-Za-z]{1,3})\s*", re.ASCII)
_NAME = re.compile(r"[a-z0-9-]+", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_FORBIDDEN_IN_OUTPUT_NAME = '~"#%&*:<>?/\\{|}'  # what Azure refuses
_LONGEST_NAME = 64  # characters: the name becomes part of folder names, which hold 255 bytes
_LONGEST_OUTPUT_NAME = 255  # bytes
_LONGEST_SHOWN = 120  # characters of a wrong value that are repeated in an error
_ARROW_TYPE = re.compile(  # what pyarrow knows by a name alone; a test asks it
    r"bool|u?int(8|16|32|64)|halffloat|float|double|float(16|32|64)|(large_)?(string|binary)|date32(\[day\])?|date64(\[ms\])?"
    r"|(timestamp|duration)\[(s|ms|us|ns)\]|time32\[(s|ms)\]|time64\[(us|ns)\]"
)


def shown(value: object) -> str:
    """A value from a TOML file in words: `the text 'ten'`, `the whole number 3`; never a raw control character."""
    if isinstance(value, bool):
        return "true" if value else "false"
    for kind, words in ((str, "the text {!r}"), (int, "the whole number {!r}"), (float, "the number {!r}")):
        if isinstance(value, kind):
            text = words.format(value)
            return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
    for other, words in (
        (dict, "a table"),
        (list | tuple, "a list"),
        (dt.date | dt.time, "a date or time"),
    ):
        if isinstance(value, other):
            return words
    return "something else"


def size_in_bytes(value: object) -> int | None:
    """Bytes from `"64 MB"` (10^6), `"64 MiB"` (2^20) or a whole number; None from an empty text.

    Raises:
        ValueError: with the second half of a sentence.
    """
    if value is None or value == "":
        return None
    size = _spelled_size(value) if isinstance(value, str) else value
    if not isinstance(size, int) or isinstance(size, bool):
        raise ValueError(  # noqa: TRY004 - pydantic collects ValueErrors
            f'must be a size, such as "64 MB", "64 MiB" or a whole number of bytes, not {shown(value)}'
        )
    if not 0 < size <= MOST_BYTES:
        raise ValueError(f"must be a size of at least one byte, and below 4 EiB, not {shown(value)}")
    return size


def _spelled_size(text: str) -> int | None:
    match = _SIZE.fullmatch(text)
    unit = _UNITS.get(match[2].upper()) if match else None
    return None if match is None or unit is None else round(float(match[1]) * unit)


def absolute(value: object, info: ValidationInfo) -> Path | None:
    """A path, made absolute against the configuration file's folder; `..` is folded, symlinks are left alone."""
    if value is None or value == "" or isinstance(value, Path):
        return value or None  # type: ignore[return-value]  # an empty text means: not given
    if not isinstance(value, str):
        raise ValueError(f"must be a path, as text, not {shown(value)}")  # noqa: TRY004 - pydantic collects ValueErrors
    if "\0" in value:
        raise ValueError("must be a path, and no path holds a NUL character")
    if value.startswith("~"):
        raise ValueError(f"must be a path that does not begin with ~ (only a shell knows what that is): {value!r}")
    folder: Path = (info.context or {}).get("folder") or Path.cwd()
    return Path(os.path.normpath(folder / value))


def _required_path(value: object, info: ValidationInfo) -> Path:
    path = absolute(value, info)
    if path is None:
        raise ValueError("must be a path, not an empty text")
    return path


def interpreter(value: object, info: ValidationInfo) -> Path:
    """The workers' interpreter, by its path; empty: our own. Links are kept, for a venv's is what makes it one."""
    if isinstance(value, str) and value and "/" not in value:
        raise ValueError(f"must be the path of a Python interpreter, such as /usr/bin/python3, not {shown(value)}")
    return absolute(value, info) or Path(sys.executable)


def deployment_name(value: object) -> str:
    """A name that is safe in folder names, lock names and logs."""
    if not isinstance(value, str) or not _NAME.fullmatch(value) or len(value) > _LONGEST_NAME:
        raise ValueError(f"must be 1 to {_LONGEST_NAME} characters out of a-z, 0-9 and -, not {shown(value)}")
    return value


def output_name(value: object) -> str:
    """A file name that every reader of the outbox, and Azure, accepts; empty: the format's own."""
    if not isinstance(value, str):
        raise ValueError(f"must be a file name, as text, not {shown(value)}")  # noqa: TRY004 - pydantic collects ValueErrors
    if value.startswith(("_", ".")):
        raise ValueError(f"must not begin with _ or . (readers of the outbox pass over such names), as {value!r} does")
    if any(letter in _FORBIDDEN_IN_OUTPUT_NAME or not letter.isprintable() for letter in value):
        raise ValueError(f"must be a plain file name without any of {_FORBIDDEN_IN_OUTPUT_NAME}, not {value!r}")
    if len(os.fsencode(value)) > _LONGEST_OUTPUT_NAME:
        raise ValueError(f"must be at most {_LONGEST_OUTPUT_NAME} bytes long")
    return value


def marker_ending(value: object) -> str:
    """What a completion marker's name ends with."""
    if not isinstance(value, str) or not value or not value.isprintable() or "/" in value:
        raise ValueError(f'must be the ending of a file name, such as ".done", not {shown(value)}')
    return value


def texts(value: object) -> tuple[str, ...]:
    """A list of texts, none with a NUL character (neither a pattern nor an argument can hold one)."""
    if not isinstance(value, list | tuple):
        raise ValueError(f'must be a list of texts, such as ["a", "b"], not {shown(value)}')  # noqa: TRY004 - the same
    for item in value:
        if not isinstance(item, str) or "\0" in item:
            raise ValueError(f"must hold texts only, not {shown(item)}")
    return tuple(value)


def variables(value: Mapping[str, str]) -> Mapping[str, str]:
    """Environment variables as a process can be given them."""
    for name, text in value.items():
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"holds {name!r}, which is no name of an environment variable")
        if "\0" in text:
            raise ValueError(f"holds a NUL character in {name}, which no environment can")
    return value


def column_types(value: Mapping[str, str]) -> Mapping[str, str]:
    """Columns of the output schema, with Arrow's names of types."""
    for column, kind in value.items():
        if not column:
            raise ValueError("holds a column without a name")
        if not _ARROW_TYPE.fullmatch(kind):
            raise ValueError(
                f"gives the column {column!r} the type {kind!r}; types are, for example: "
                "double, int64, string, bool, date32, timestamp[us]"
            )
    return value


_TEXT: dict[str, Any] = {"type": "string"}
_SIZE_SCHEMA: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 1}]}
_TEXTS_SCHEMA: dict[str, Any] = {"type": "array", "items": {"type": "string"}}

Location = Annotated[Path, BeforeValidator(_required_path), WithJsonSchema(_TEXT)]
OptionalLocation = Annotated[Path | None, BeforeValidator(absolute), WithJsonSchema(_TEXT)]
Interpreter = Annotated[Path, BeforeValidator(interpreter), WithJsonSchema(_TEXT)]
Size = Annotated[int | None, BeforeValidator(size_in_bytes), WithJsonSchema(_SIZE_SCHEMA)]
Texts = Annotated[tuple[str, ...], BeforeValidator(texts), WithJsonSchema(_TEXTS_SCHEMA)]
DeploymentName = Annotated[str, BeforeValidator(deployment_name)]
OutputName = Annotated[str, BeforeValidator(output_name)]
MarkerEnding = Annotated[str, BeforeValidator(marker_ending)]
