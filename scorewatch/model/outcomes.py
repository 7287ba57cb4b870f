"""How an attempt ends: a receipt, or a failure with its kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class FailureKind(StrEnum):
    """Who pays: the first five are the files' doing, the others are nobody's."""

    SCRIPT_RAISED = "script_raised"
    WORKER_DIED = "worker_died"
    TIMED_OUT = "timed_out"
    BAD_RESULT = "bad_result"
    INPUT_CHANGED = "input_changed"
    OUTPUT_FAILED = "output_failed"
    ENVIRONMENT = "environment"
    DAEMON_STOPPED = "daemon_stopped"
    INTERRUPTED = "interrupted"  #: the daemon died while it ran, too often


BLAMES_NO_FILE = frozenset(
    {FailureKind.OUTPUT_FAILED, FailureKind.ENVIRONMENT, FailureKind.DAEMON_STOPPED, FailureKind.INTERRUPTED}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why an attempt failed, in words that can be shown."""

    kind: FailureKind
    message: str  #: one sentence
    exception: str = ""  #: the exception's type, where a script raised
    traceback: str = ""  #: the script's own, as text
    file: str = ""  #: the guilty file's relpath, where it is known (`per_file`)
    worker_id: int = 0
    log_tail: str = ""  #: the last of what the worker printed
    signal: int = 0  #: the signal that its worker died of, where one did


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputFile:
    """One file of a batch's output, its name relative to the batch's folder."""

    name: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What a worker says of a batch whose output it has written and fsynced into its staging."""

    batch_id: str
    dispatch: int
    rows: int
    succeeded: int  #: files: min(elements returned, files given), Azure's arithmetic
    output_files: tuple[OutputFile, ...] = ()
    unlisted: int = 0  #: further files of the output, too many to be named
    bytes_written: int = 0
    load_s: float = 0.0
    run_s: float = 0.0
    write_s: float = 0.0
    peak_rss_bytes: int = 0
    failed_files: tuple[tuple[str, str], ...] = ()  #: (relpath, why), where it can be known (`per_file`)
    note: str = ""  #: why it can't be said which files failed, where some did
    schema_conflicts: tuple[dict[str, Any], ...] = field(default_factory=tuple)
