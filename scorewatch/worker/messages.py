"""What the daemon and a worker say to each other: one JSON object a line, over a socket of their own.

The only module that both programs load. Python >= 3.9, standard library only; never pickle. Names of files cross
as surrogate escapes, which JSON's ASCII spelling keeps.

Daemon to worker ("do"):
    init      the deployment: see `worker.main`; sent once, first
    run       batch_id, dispatch, index, root, files, staging, timeout_s, schema
    withdraw  batch_id, dispatch: give it back if it has not started
    schema    batch_id, dispatch, columns: the answer to "schema"
    stop      finish what was started, call shutdown(), exit

Worker to daemon ("say"):
    hello        pid, python, executable
    ready        init_s, rss_bytes, model, script_sha256
    init_failed  kind, message, exception, traceback; the worker exits after it
    start        batch_id, dispatch: run() is called next
    ran          batch_id, dispatch: run() returned something usable; its files are out of `out`
    schema       batch_id, dispatch, columns: rows bring columns or types that the schema lacks; waits
    done         the receipt: batch_id, dispatch, rows, succeeded, outputs, seconds, peak_rss_bytes, staging, …
    failed       batch_id, dispatch, kind, message, exception, traceback, file
    returned     batch_id, dispatch: the answer to "withdraw", or to a run that came after "stop"
"""

from __future__ import annotations

import json
from typing import Any

INIT = "init"
RUN = "run"
WITHDRAW = "withdraw"
SCHEMA = "schema"
STOP = "stop"

HELLO = "hello"
READY = "ready"
INIT_FAILED = "init_failed"
START = "start"
RAN = "ran"
DONE = "done"
FAILED = "failed"
RETURNED = "returned"

MAX_LINE = 4 * 1024 * 1024  # bytes; more than this without a newline is garbage, not a message
PROTOCOL = 1

Message = dict[str, Any]


class GarbageError(Exception):
    """The other side sent something that is no message."""


def encode(message: Message) -> bytes:
    """One message as one line of ASCII."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


class Splitter:
    """Cuts what a socket delivers into messages, however it was chopped up on the way."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Every message that is whole by now.

        Raises:
            GarbageError: on a line that is no JSON object, or that is longer than the limit.
        """
        self._rest += data
        messages = []
        while True:
            end = self._rest.find(b"\n")
            if end < 0:
                break
            messages.append(decode(bytes(self._rest[:end])))
            del self._rest[: end + 1]
        if len(self._rest) > self._limit:
            raise GarbageError(f"a message of more than {self._limit} bytes")
        return messages


def decode(line: bytes) -> Message:
    """The message in one line."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise GarbageError(f"not JSON: {line[:80]!r}") from error
    if not isinstance(message, dict):
        raise GarbageError(f"not an object: {line[:80]!r}")
    return message


def text(message: Message, key: str, default: str | None = None) -> str:
    """A field that must be a string."""
    value = message.get(key, default)
    if not isinstance(value, str):
        raise GarbageError(f"{key} is no text in {str(message)[:200]}")
    return value


def whole(message: Message, key: str, default: int | None = None) -> int:
    """A field that must be a whole number."""
    value = message.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise GarbageError(f"{key} is no whole number in {str(message)[:200]}")
    return value


def number(message: Message, key: str, default: float | None = None) -> float:
    """A field that must be a number."""
    value = message.get(key, default)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise GarbageError(f"{key} is no number in {str(message)[:200]}")
    return float(value)
