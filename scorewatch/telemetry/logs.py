"""Log lines: one an event, on standard error; JSON for machines, readable on a terminal.

Whatever a line tells, it stays one line, and nothing in it can move a terminal's cursor.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from scorewatch.telemetry.plain import printable

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from structlog.typing import FilteringBoundLogger

    Fields = MutableMapping[str, Any]

_SECRET = re.compile(r"passw|secret|token|credential|api_?key|private_?key|authorization|cookie", re.IGNORECASE)
_HIDDEN = "(hidden)"
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}
_PLAIN = "\x1b[0m"
_LONGEST_TEXT = 4000  # characters of one value


def make_logger(
    deployment: str, *, level: str = "info", form: str = "auto", stream: TextIO | None = None
) -> FilteringBoundLogger:
    """A logger whose lines carry the deployment's name.

    Args:
        deployment: its name.
        level: of the least important lines: debug, info, warning.
        form: console, json, or auto: console on a terminal, JSON elsewhere.
        stream: standard error unless given.
    """
    stream = stream or sys.stderr
    terminal = stream.isatty()
    console = form == "console" or (form == "auto" and terminal)
    colours = terminal and not os.environ.get("NO_COLOR")
    return structlog.wrap_logger(  # type: ignore[no-any-return]  # structlog says Any
        Lines(stream),
        processors=[stamp, hide_secrets, Console(colours=colours) if console else as_json],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        context_class=dict,
    ).bind(deployment=deployment)


class Lines:
    """Writes lines; a log that can't be written any more must not stop the work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        """Write one line, at once."""
        with contextlib.suppress(OSError, ValueError):  # a full disk, a closed pipe, a closed stream
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


class Bridge(logging.Handler):
    """Brings what libraries say through Python's own logging into the same stream of lines."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Say it as one event."""
        self._log.warning("library_warned", library=record.name, message=record.getMessage())


# ---------------------------------------------------------------- what is done to a line before it is written
def stamp(_logger: object, level: str, fields: Fields) -> Fields:
    """Put when, how important and what in front of the rest; `at` is when, if it is known (seconds since 1970)."""
    at = fields.pop("at", None)
    return {"timestamp": utc(time.time() if at is None else at), "level": level, "event": fields.pop("event"), **fields}


def hide_secrets(_logger: object, _level: str, fields: Fields) -> Fields:
    """Take out what goes by the name of a secret, tables in tables too."""
    for name, value in fields.items():
        if is_secret(name):
            fields[name] = _HIDDEN
        elif isinstance(value, dict):
            fields[name] = hide_secrets(None, "", dict(value))
    return fields


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether a key's name says that its value is nobody's business."""
    return _SECRET.search(name) is not None


def utc(at: float) -> str:
    """A time as `2026-11-22T21:37:41.123Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=str).encode


def as_json(_logger: object, _level: str, fields: Fields) -> str:
    """One JSON object in ASCII, so that no character of a file name means anything to whoever shows it."""
    for name, value in fields.items():
        if isinstance(value, str) and len(value) > _LONGEST_TEXT:
            fields[name] = shortened(value)
    return _encode(fields)


class Console:
    """Lines for people: when, how important, what, and the details as key=value."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _logger: object, level: str, fields: Fields) -> str:
        """The line."""
        when, name, event = fields.pop("timestamp"), fields.pop("level"), fields.pop("event")
        fields.pop("deployment", None)  # whoever looks at a terminal knows what was started there
        word = f"{_COLOURS[level]}{name:7}{_PLAIN}" if self._colours and level in _COLOURS else f"{name:7}"
        details = " ".join(f"{printable(key)}={_detail(value)}" for key, value in fields.items())
        return f"{when[11:19]} {word} {printable(event):20} {details}".rstrip()


def _detail(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_detail(item) for item in value) + "]"
    text = printable(shortened(str(value)))
    return f'"{text}"' if " " in text or not text else text


def shortened(text: str) -> str:
    """At most so much of a text, its end, since that is where errors say what they are."""
    return text if len(text) <= _LONGEST_TEXT else "…" + text[-_LONGEST_TEXT:]
