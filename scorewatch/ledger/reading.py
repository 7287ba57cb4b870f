"""Looking into the ledger from other processes, while a daemon writes it or when none runs; never writes."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from scorewatch.ledger.opening import BUSY_SECONDS
from scorewatch.ledger.rows import failure_from, needle, unpack_files, unpack_refusals
from scorewatch.ledger.statements import APPLICATION_ID, SQL, VERSION
from scorewatch.ledger.trouble import REBUILD, LedgerRefusedError, damaged, explaining
from scorewatch.model.batches import BatchState, SealReason
from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.model.outcomes import Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from scorewatch.model.files import Observation, Refusal


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRow:
    """What the ledger says of one batch, apart from its files. Times are seconds since 1970, UTC."""

    batch_id: str
    parent_id: str | None
    state: BatchState
    outcome: BatchState | None  #: how it ended; stays when it is released
    attempt: int
    dispatch: int
    interruptions: int
    tries: int
    cut: int
    sealed_because: SealReason
    sealed_at: float
    total_bytes: int
    n_files: int
    worker_id: int | None
    started_at: float | None
    committed_at: float | None
    changed_at: float
    rows: int | None
    succeeded: int | None
    failed: int | None
    failure: Failure | None


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryRow:
    """One thing told in a batch's life."""

    at: float
    event: BatchState  #: the state that it moved to
    was: BatchState
    attempt: int
    dispatch: int
    worker_id: int | None
    interruptions: int
    failure: Failure | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SkipRow:
    """Files that were skipped together."""

    skip_id: str
    at: float
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StateCount:
    """How many batches and files are in a state, and how they ended if they did."""

    state: BatchState
    outcome: BatchState | None
    batches: int
    files: int


class LedgerReader:
    """A read-only look; use as a context manager, and for a short time (a long one keeps the log from shrinking)."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise ScorewatchError(
                "there is no ledger yet", where=self.path, hint="start the service with `scorewatch run CONFIG`"
            )
        self._db = _connect(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _all(self, statement: str, **values: object) -> list[sqlite3.Row]:
        return self._db.execute(SQL[statement], values).fetchall()

    # ------------------------------------------------------------ figures
    def counts(self) -> list[StateCount]:
        """Batches and files by state and outcome."""
        with explaining(self.path):
            return [
                StateCount(
                    state=BatchState(row["state"]),
                    outcome=BatchState(row["outcome"]) if row["outcome"] else None,
                    batches=row["batches"],
                    files=row["files"],
                )
                for row in self._all("counts")
            ]

    def counters(self) -> dict[str, int]:
        """The cumulative figures: arrived, claimed, done and so on."""
        with explaining(self.path):
            return {row["name"]: row["value"] for row in self._all("counters")}

    def facts(self) -> dict[str, Any]:
        """What is known of the deployment itself: epoch, state_id, roots, clean_stop."""
        with explaining(self.path):
            return {row["key"]: json.loads(row["value"]) for row in self._all("all_meta")}

    def schema(self) -> tuple[tuple[str, str], ...]:
        """The output schema: (column, type)."""
        with explaining(self.path):
            return tuple((json.loads(row["name"]), json.loads(row["type"])) for row in self._all("schema"))

    # ------------------------------------------------------------ batches
    def batch(self, batch_id: str) -> BatchRow | None:
        """One batch, or None."""
        with explaining(self.path):
            return next(iter(_batches(self._all("one_batch", batch_id=batch_id))), None)

    def last_batches(self, limit: int = 10) -> list[BatchRow]:
        """The newest batches, newest first."""
        with explaining(self.path):
            return _batches(self._all("last_batches", limit=limit))

    def quarantined(self, limit: int = 1000) -> list[BatchRow]:
        """The batches that were set aside, newest first."""
        with explaining(self.path):
            return _batches(self._all("quarantined", limit=limit))

    def halves_of(self, batch_id: str) -> list[BatchRow]:
        """What a batch was split into."""
        with explaining(self.path):
            return _batches(self._all("halves_of", batch_id=batch_id))

    def members(self, batch_id: str) -> tuple[Observation, ...]:
        """The files of a batch; none if it is unknown."""
        with explaining(self.path):
            rows = self._all("members_of", batch_id=batch_id)
            return unpack_files(rows[0]["files"]) if rows else ()

    def history(self, batch_id: str) -> list[HistoryRow]:
        """What is told of a batch, in order."""
        with explaining(self.path):
            return [_history(row) for row in self._all("history_of", batch_id=batch_id)]

    def find_file(self, relpath: str) -> list[BatchRow]:
        """Every batch that a file of this name was ever in, oldest first.

        Args:
            relpath: relative to the inbox, exactly as it was claimed.
        """
        with explaining(self.path):
            rows = self._all("find_members", needle=needle(relpath))
            numbers = [row["number"] for row in rows if any(f.relpath == relpath for f in unpack_files(row["files"]))]
            return [batch for number in numbers for batch in _batches(self._all("batch_number", number=number))]

    # ------------------------------------------------------------ skipped
    def skipped(self, limit: int = 1000) -> list[SkipRow]:
        """What was skipped, newest first."""
        with explaining(self.path):
            return [_skip(row) for row in self._all("last_skipped", limit=limit)]

    def find_skipped(self, relpath: str) -> list[SkipRow]:
        """Every time that a file of this name was skipped, oldest first; only its own refusals."""
        with explaining(self.path):
            return [
                SkipRow(skip_id=skip.skip_id, at=skip.at, refusals=mine)
                for skip in map(_skip, self._all("find_skipped", needle=needle(relpath)))
                if (mine := tuple(r for r in skip.refusals if r.relpath == relpath))
            ]


def integrity(path: Path | str, limit: int = 10) -> list[str]:
    """What `PRAGMA integrity_check` finds wrong, a line each; empty for a whole ledger. Reads all of the file."""
    where = Path(path)
    try:
        connection = _connect(where)
    except ScorewatchError as error:
        return [error.what]
    try:
        found = [str(line) for (line,) in connection.execute(f"PRAGMA integrity_check({int(limit)})")]
    except sqlite3.Error as error:
        found = [str(error)]
    finally:
        connection.close()
    return [] if found == ["ok"] else found


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that can't write.

    The log's shared index lies beside the ledger. Where this user may not make one, the file alone is whole if
    there is no log, which is so after a daemon has ended by itself.
    """
    try:
        return _connect_as(path, "mode=ro")
    except LedgerRefusedError as error:
        if not path.with_name(path.name + "-wal").exists():
            return _connect_as(path, "mode=ro&immutable=1")
        raise LedgerRefusedError(
            "the ledger can't be read by this user while its log is open",
            where=path,
            hint="run this as the service's user, or as root",
            exit_code=ExitCode.FOLDER_UNUSABLE,
        ) from error


def _connect_as(path: Path, how: str) -> sqlite3.Connection:
    with explaining(path):
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?{how}", uri=True, timeout=BUSY_SECONDS, isolation_level=None
        )
        try:
            connection.row_factory = sqlite3.Row
            _refuse_strangers(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _refuse_strangers(connection: sqlite3.Connection, path: Path) -> None:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if owner != APPLICATION_ID:
        raise damaged(path, "it is no ledger of scorewatch")
    if version != VERSION:
        raise ScorewatchError(
            f"the ledger has schema {version}, and this scorewatch reads {VERSION}",
            where=path,
            hint="use the version that the service runs; an older ledger is brought up to date by starting the "
            "service; otherwise " + REBUILD,
            exit_code=ExitCode.FOLDER_UNUSABLE,
        )


def _batches(rows: Sequence[sqlite3.Row]) -> list[BatchRow]:
    return [_batch(dict(row)) for row in rows]


def _batch(row: dict[str, Any]) -> BatchRow:
    del row["number"]
    row["state"] = BatchState(row["state"])
    row["outcome"] = BatchState(row["outcome"]) if row["outcome"] else None
    row["sealed_because"] = SealReason(row["sealed_because"])
    row["failure"] = failure_from(row["failure"])
    return BatchRow(**row)


def _history(row: sqlite3.Row) -> HistoryRow:
    detail = json.loads(row["detail"])
    failure = detail.get("failure")
    return HistoryRow(
        at=row["at"],
        event=BatchState(row["event"]),
        was=BatchState(detail["was"]),
        attempt=row["attempt"],
        dispatch=row["dispatch"],
        worker_id=row["worker_id"],
        interruptions=detail["interruptions"],
        failure=None if failure is None else Failure(**{**failure, "kind": FailureKind(failure["kind"])}),
    )


def _skip(row: sqlite3.Row) -> SkipRow:
    return SkipRow(skip_id=row["skip_id"], at=row["at"], refusals=unpack_refusals(row["files"]))
