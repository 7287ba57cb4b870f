"""What commands print: lines for humans with a little colour on a terminal, or one JSON object."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scorewatch.telemetry.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scorewatch.model.errors import ScorewatchError

_COLOURS = {"ok": "32", "warn": "33", "bad": "31", "dim": "2", "head": "1"}
_STEPS = (("day", 86_400), ("hour", 3_600), ("minute", 60))
_JUST_NOW_S = 2


def say(line: str = "", mood: str = "") -> None:
    """Print one line to standard output.

    Args:
        line: already safe for a terminal.
        mood: "ok", "warn", "bad", "dim" or "head", shown on a terminal only, and not where NO_COLOR is set.
    """
    sys.stdout.write(painted(line, mood) + "\n")


def painted(line: str, mood: str) -> str:
    """The line in its colour, where standard output takes colours."""
    plain = not mood or not line or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return line if plain or not sys.stdout.isatty() else f"\x1b[{_COLOURS[mood]}m{line}\x1b[0m"


def emit(value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Print the one JSON object of a command; ASCII, so that any file name comes through."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=True, default=str) + "\n")


def tell_error(error: ScorewatchError) -> None:
    """Say what is wrong, where, and what to do, on standard error; a script's own traceback before it."""
    if trace := getattr(error, "traceback", ""):
        sys.stderr.write(printable_text(trace.rstrip("\n")) + "\n\n")
    where = f"{printable(error.where)}: " if error.where else ""
    sys.stderr.write(f"scorewatch: {where}{printable_text(error.what)}\n")
    if error.hint:
        sys.stderr.write(f"  {printable_text(error.hint)}\n")


def error_json(error: ScorewatchError, code: int | None = None) -> dict[str, Any]:
    """The same as `{"error": …}`; `code` where the process ends with another one than the error's own."""
    told = {
        "what": error.what,
        "where": error.where,
        "hint": error.hint,
        "exit_code": int(error.exit_code if code is None else code),
    }
    if trace := getattr(error, "traceback", ""):
        told["traceback"] = trace
    return {"error": told}


def shown_path(path: object) -> str:
    """A path for a terminal."""
    return printable(os.fspath(path) if isinstance(path, os.PathLike) else str(path))


def printable_text(text: str) -> str:
    """A text of several lines, such as a traceback, for a terminal: only newlines and tabs stay what they are."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def count(number: int, singular: str, plural: str = "") -> str:
    """`1 file`, `1,200 files`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def size(number: int) -> str:
    """Bytes for humans: `12.3 MB`."""
    value = float(number)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004 - units of the SI
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def when(at: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(value: object) -> float | None:
    """A time as it is told elsewhere (seconds since 1970, or ISO 8601) in seconds since 1970; None: it is none."""
    if isinstance(value, int | float):
        return float(value)
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        return None


def ago(at: float, now: float | None = None) -> str:
    """How long ago: `just now`, `3 minutes ago`."""
    passed = (time.time() if now is None else now) - at
    if passed < _JUST_NOW_S:
        return "just now"
    for unit, seconds in _STEPS:
        if passed >= seconds:
            return f"{count(int(passed // seconds), unit)} ago"
    return f"{count(int(passed), 'second')} ago"


def table(rows: Iterable[Iterable[str]], indent: str = "  ") -> list[str]:
    """Rows as lines with aligned columns; the last column is not padded."""
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [(indent + "  ".join(map(str.ljust, row, widths))).rstrip() for row in cells]
