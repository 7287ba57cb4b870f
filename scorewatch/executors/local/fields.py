"""What a worker's messages hold, checked field by field; what doesn't fit is garbage.

The text in them is shown to people and kept in the ledger, so its length is bounded here.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from scorewatch.model.outcomes import Failure, FailureKind, OutputFile, Receipt
from scorewatch.worker.messages import GarbageError, Message, text, whole

if TYPE_CHECKING:
    from scorewatch.model.batches import MiniBatch

_MOST = 2**63 - 1  # what a ledger's column holds
_LONGEST_NAME = 4095  # PATH_MAX without its NUL
_SENTENCE = 4096  # characters
_TRACEBACK = 64 * 1024  # characters
_DEEPEST = 4  # levels in a schema conflict's values
_TELLABLE = frozenset(
    {
        FailureKind.SCRIPT_RAISED,
        FailureKind.BAD_RESULT,
        FailureKind.INPUT_CHANGED,
        FailureKind.OUTPUT_FAILED,
        FailureKind.ENVIRONMENT,
    }
)  # a worker can't tell of its own death, nor of the daemon's


def excerpt(message: Message) -> str:
    """The start of a message, safe to print."""
    return ascii(message)[:200]


def count(message: Message, key: str, default: int | None = None, most: int = _MOST) -> int:
    """A whole number from 0 to `most`."""
    value = whole(message, key, default)
    if not 0 <= value <= most:
        raise GarbageError(f"{key} is out of bounds in {excerpt(message)}")
    return value


def seconds(message: Message, key: str) -> float:
    """A length of time; 0.0 where it is missing."""
    value = message.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MOST:  # NaN neither
        raise GarbageError(f"{key} is no time in {excerpt(message)}")
    return float(value)


def words(message: Message, key: str, default: str | None = None, most: int = _SENTENCE) -> str:
    """A text of at most `most` characters; a longer one is cut in its middle."""
    value = text(message, key, default)
    half = most // 2
    return value if len(value) <= most else f"{value[:half]} [...] {value[-half:]}"


def columns(message: Message) -> tuple[tuple[str, str], ...]:
    """The columns that a worker asks for: (name, type)."""
    return tuple(_pair(each, message) for each in _list(message, "columns"))


def failure(message: Message, worker_id: int, log_tail: str) -> Failure:
    """Why an attempt, or init(), failed."""
    kind = text(message, "kind")
    if kind not in _TELLABLE:
        raise GarbageError(f"no worker can know of {kind[:80]!r}")
    return Failure(
        kind=FailureKind(kind),
        message=words(message, "message"),
        exception=words(message, "exception", default=""),
        traceback=words(message, "traceback", default="", most=_TRACEBACK),
        file=text(message, "file", default=""),
        worker_id=worker_id,
        log_tail=log_tail,
    )


def receipt(message: Message, batch: MiniBatch) -> Receipt:
    """What a worker says of a batch that it has written."""
    outputs = tuple(_output(each, message) for each in _list(message, "outputs"))
    took = message.get("seconds", {})
    if not isinstance(took, dict):
        raise GarbageError(f"seconds is no object in {excerpt(message)}")
    return Receipt(
        batch_id=batch.batch_id,
        dispatch=batch.dispatch,
        rows=count(message, "rows"),
        succeeded=count(message, "succeeded", most=len(batch.files)),
        output_files=outputs,
        bytes_written=sum(output.size_bytes for output in outputs),
        load_s=seconds(took, "load"),
        run_s=seconds(took, "run"),
        write_s=seconds(took, "write"),
        peak_rss_bytes=count(message, "peak_rss_bytes", default=0),
        failed_files=_failed_files(message, batch),
        note=words(message, "note", default=""),
        unlisted=count(message, "unlisted", default=0),
        schema_conflicts=tuple(_conflict(each, message) for each in _list(message, "schema_conflicts")),
    )


def _output(value: object, message: Message) -> OutputFile:
    if not isinstance(value, dict):
        raise GarbageError(f"an output is no object in {excerpt(message)}")
    name = text(value, "name")
    try:
        length = len(os.fsencode(name))
    except UnicodeEncodeError as error:
        raise GarbageError(f"no file can have the name {ascii(name)[:80]}") from error
    if "\0" in name or length > _LONGEST_NAME or any(part in {"", ".", ".."} for part in name.split("/")):
        raise GarbageError(f"an output's name leads out of its folder: {ascii(name)[:80]}")
    return OutputFile(name=name, size_bytes=count(value, "size_bytes"))


def _failed_files(message: Message, batch: MiniBatch) -> tuple[tuple[str, str], ...]:
    given = {file.relpath for file in batch.files}
    pairs = tuple(_pair(each, message) for each in _list(message, "failed_files"))
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names) or not given.issuperset(names):
        raise GarbageError(f"failed_files are not files of this batch: {excerpt(message)}")
    return tuple((name, why[:_SENTENCE]) for name, why in pairs)


def _conflict(value: object, message: Message) -> dict[str, Any]:
    if not isinstance(value, dict) or not _plain(value, _DEEPEST):
        raise GarbageError(f"schema_conflicts can't be kept: {excerpt(message)}")
    return value


def _plain(value: object, deep: int) -> bool:
    """Whether a value can be written as JSON again: no NaN, no abyss."""
    if isinstance(value, dict):
        return deep > 0 and all(_plain(each, deep - 1) for each in value.values())
    if isinstance(value, list):
        return deep > 0 and all(_plain(each, deep - 1) for each in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or abs(value) <= _MOST


def _list(message: Message, key: str) -> list[Any]:
    value = message.get(key, [])
    if not isinstance(value, list):
        raise GarbageError(f"{key} is no list in {excerpt(message)}")
    return value


def _pair(value: object, message: Message) -> tuple[str, str]:
    match value:
        case [str(first), str(second)]:
            return first, second
        case _:
            raise GarbageError(f"no pair of texts in {excerpt(message)}")
