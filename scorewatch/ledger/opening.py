"""Opening the ledger's file: made, brought up to date, or refused with a sentence."""

from __future__ import annotations

import os
import secrets
import sqlite3
from typing import TYPE_CHECKING

from scorewatch.ledger.rows import to_json
from scorewatch.ledger.statements import APPLICATION_ID, SQL, STEPS, VERSION, text
from scorewatch.ledger.trouble import REBUILD, damaged, explaining
from scorewatch.model.errors import ExitCode, ScorewatchError

if TYPE_CHECKING:
    from pathlib import Path

BUSY_SECONDS = 5.0  # a backup or somebody's sqlite3 shell may hold the file for a moment
_WAL_LIMIT = 16 * 1024 * 1024  # bytes that the log keeps on disk after a flood

#: A file up to this size is checked whole at every start; 64 MiB take about a tenth of a second.
_CHECKED_BYTES = 64 * 1024 * 1024

_SYNCHRONOUS = {"power": "FULL", "process": "NORMAL"}


def rebuilt_beside(path: Path) -> Path:
    """Where a rebuild makes the new ledger before it takes the old one's place."""
    return path.with_name(path.name + ".new")


def open_for_writing(path: Path, durability: str, *, check_same_thread: bool) -> tuple[sqlite3.Connection, bool]:
    """The connection of the one writer, and whether the ledger was made just now."""
    _refuse_half_a_rebuild(path)
    with explaining(path):
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=check_same_thread
        )
        try:
            fresh = _make_ready(connection, path, durability)
        except BaseException:
            connection.close()
            raise
    if fresh and durability == "power":
        sync_folder(path.parent)
    return connection, fresh


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _refuse_half_a_rebuild(path: Path) -> None:
    if not path.exists() and rebuilt_beside(path).exists():
        raise ScorewatchError(
            "a rebuild of the ledger was cut short",
            where=path,
            hint="run `scorewatch ledger rebuild CONFIG` again",
            exit_code=ExitCode.FOLDER_UNUSABLE,
        )


def _make_ready(connection: sqlite3.Connection, path: Path, durability: str) -> bool:
    version = _version(connection, path)
    if path.stat().st_size <= _CHECKED_BYTES:
        for (verdict,) in connection.execute("PRAGMA quick_check(1)"):
            if verdict != "ok":
                raise damaged(path, verdict)
    if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
        raise ScorewatchError(
            "the ledger can't keep a write-ahead log here",
            where=path,
            hint="put [state] path on a local disk",
            exit_code=ExitCode.FOLDER_UNUSABLE,
        )
    connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
    connection.execute("PRAGMA trusted_schema = OFF")
    for number in range(version, VERSION):
        _take_step(connection, number)
    return version == 0


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """How many of the schema's steps the file has been through; 0 for a new one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != APPLICATION_ID and (version or tables):
        raise damaged(path, "it is another program's database")
    if version > VERSION:
        raise ScorewatchError(
            f"the ledger was written by a newer scorewatch (schema {version}; this one knows {VERSION})",
            where=path,
            hint="install that version again, or " + REBUILD,
            exit_code=ExitCode.FOLDER_UNUSABLE,
        )
    return int(version)


def _take_step(connection: sqlite3.Connection, number: int) -> None:
    """One step of the schema, whole or not at all."""
    connection.executescript(
        f"BEGIN IMMEDIATE;\n{text(STEPS[number])}\n"
        f"PRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {number + 1};"
    )
    if number == 0:
        connection.execute(SQL["set_meta"], {"key": "state_id", "value": to_json(secrets.token_hex(4))})
    connection.execute("COMMIT")
