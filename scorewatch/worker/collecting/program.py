"""The program: `--outbox DIR --to FILE [--since WHEN] [--format FORMAT]`; one JSON line on stdout says how it ended."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import sys
from typing import Any

from . import targets
from .batches import CollectError, committed, moment
from .sources import kind_of

FAILED = 2  # exit code


def main(arguments: list[str]) -> int:
    """Collect; 0, or 2 with `{"error", "where", "hint"}`."""
    try:
        answer, code = collect(_parsed(arguments)), 0
    except CollectError as error:
        answer, code = {"error": error.what, "where": error.where, "hint": error.hint}, FAILED
    except Exception as error:  # noqa: BLE001 - a library raises anything; this program must answer
        answer, code = _told(error), FAILED
    sys.stdout.write(json.dumps(answer) + "\n")
    return code


def _told(error: Exception) -> dict[str, Any]:
    """A sentence for what nobody foresaw; a library's own words say nothing to who typed the command."""
    what, where, hint = f"the outputs can't be joined ({type(error).__name__})", "", "try another format, or --since"
    if isinstance(error, OSError):
        what, where, hint = f"this can't be read or written: {error.strerror}", error.filename or "", ""
    elif isinstance(error, ImportError):
        what, hint = f"{error.name} can't be imported by this Python", f"{sys.executable} -m pip install {error.name}"
    elif isinstance(error, MemoryError):
        what, hint = "there is not memory enough", "collect less at once, with --since"
    return {"error": what, "where": str(where), "hint": hint}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise CollectError(message, hint=self.format_usage().strip())


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="collect", allow_abbrev=False)
    parser.add_argument("--outbox", required=True)
    parser.add_argument("--to", required=True)
    parser.add_argument("--since", default="")
    parser.add_argument("--format", default="", help="[output] format; with azure, files are joined as they are")
    return parser.parse_args(arguments)


def collect(wanted: argparse.Namespace) -> dict[str, Any]:
    """Write the file under a temporary name beside it, then give it its name."""
    to = os.path.abspath(wanted.to)
    since = None
    if wanted.since:
        try:
            since = moment(wanted.since)
        except ValueError as error:
            raise CollectError("not a time in ISO 8601", where=wanted.since, hint="e.g. 2026-11-22T21:37Z") from error
    _refuse_batches(wanted.outbox, to)
    _need_folder(os.path.dirname(to))
    join = targets.join_bytes if wanted.format == "azure" else targets.JOINS[kind_of(to)]
    found = list(committed(os.path.abspath(wanted.outbox), since))
    rows = _appear(join, [batch for batch in found if batch.path], to)
    return {"rows": rows, "batches": len(found), "path": to}


def _refuse_batches(outbox: str, to: str) -> None:
    inside = os.path.realpath(os.path.join(outbox, "batches")) + os.sep
    if os.path.realpath(to).startswith(inside):
        raise CollectError(
            "a foreign file among the batches would spoil reading them", where=to, hint="write it somewhere else"
        )


def _need_folder(folder: str) -> None:
    if not os.path.isdir(folder):
        raise CollectError(
            "there is no such folder to write to", where=folder, hint=f"make it: mkdir -p {shlex.quote(folder)}"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CollectError("this user can't write to the folder", where=folder, hint="name another one with --to")


def _appear(join: Any, batches: list[Any], to: str) -> int:
    folder, name = os.path.split(to)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
    try:
        rows: int = join(batches, temporary)
        _sync(temporary, os.O_RDONLY)
        os.rename(temporary, to)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)
    return rows


def _sync(path: str, flags: int) -> None:
    fd = os.open(path, flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
