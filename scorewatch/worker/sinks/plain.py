"""Any value that a script may return, as plain Python, as text, or as JSON; nothing here raises."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

_ATOMS = frozenset({int, float, bool, type(None)})
_FLAT = _ATOMS | {str, bytes}
_TOO_DEEP = 50  # levels


def clean(text: str) -> str:
    r"""The text as valid UTF-8: bytes of a file's name that were none become `\xff`."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return _escaped(text)
    return text


def _escaped(text: str) -> str:
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a surrogate pair, from somewhere else than a file's name
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def plain(value: Any, level: int = 0) -> Any:
    """Containers, arrays and numbers of other libraries as Python's own; what it doesn't know stays as it is."""
    kind = type(value)
    if kind in _ATOMS:
        return value
    if isinstance(value, str):
        return clean(str(value))
    if level > _TOO_DEEP:
        return _str(value)
    return _unpacked(value, level)


def _unpacked(value: Any, level: int) -> Any:
    if isinstance(value, dict):
        return {clean(k if isinstance(k, str) else _str(k)): plain(v, level + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, level + 1) for v in value]
    if isinstance(value, (set, frozenset)):
        return [plain(v, level + 1) for v in sorted(value, key=_str)]
    if hasattr(value, "tolist") and hasattr(value, "dtype"):  # numpy, torch and their like
        return _from_array(value, level)
    return value


def _from_array(value: Any, level: int) -> Any:
    try:
        made = value.tolist()
    except Exception:  # noqa: BLE001 - somebody else's class
        return _str(value)
    return plain(made, level + 1) if type(made) is not type(value) else _str(value)


def is_deep(value: Any, level: int = 0) -> bool:
    """Whether lists or dicts lie in each other beyond reason, as where one holds itself."""
    if isinstance(value, dict):
        value = list(value.values())
    elif not isinstance(value, (list, tuple, set, frozenset)):
        return False
    if level > _TOO_DEEP or set(map(type, value)) <= _FLAT:
        return level > _TOO_DEEP
    return any(is_deep(each, level + 1) for each in value)


def is_missing(value: Any) -> bool:
    """None, NaN, and what pandas uses for them."""
    if value is None:
        return True
    if isinstance(value, float):
        return math.isnan(value)
    return type(value).__name__ in {"NAType", "NaTType"}


def text_of(value: Any) -> str | None:
    """The value as text; None where it is missing."""
    if isinstance(value, str):
        return clean(value)
    if is_missing(value):
        return None
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        return json_of(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return _str(value)


def json_of(value: Any) -> str:
    """The value as JSON; NaN and infinities become null, since JSON has none."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return _json_of_odd(value)


def _json_of_odd(value: Any) -> str:
    try:
        return json.dumps(_jsonable(plain(value)), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(_str(value))


def _jsonable(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (str, int)) or value is None:
        return value
    if isinstance(value, dict):
        return {key: _jsonable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_jsonable(each) for each in value]
    return text_of(value)


def _str(value: Any) -> str:
    try:
        return clean(str(value))
    except Exception:  # noqa: BLE001 - __str__ is somebody else's code
        return f"<{type(value).__name__}>"
