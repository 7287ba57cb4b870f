"""The ledger: what was decided, durable before it is carried out.

One connection, one writer; readers in other processes use `reading`. A file has no row of its own.
"""

from __future__ import annotations

import json
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scorewatch.ledger.opening import open_for_writing
from scorewatch.ledger.rows import (
    batch_from_row,
    batch_to_row,
    failure_from,
    failure_to_dict,
    pack_files,
    pack_refusals,
    to_json,
    unpack_files,
)
from scorewatch.ledger.statements import SQL
from scorewatch.ledger.trouble import disagrees, explained, explaining
from scorewatch.model.batches import BatchState
from scorewatch.model.records import BatchMoved, BatchSealed, FilesSkipped, Record, SchemaGrown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scorewatch.model.batches import MiniBatch
    from scorewatch.model.outcomes import Failure

#: How a batch can end; kept when it is released.
_OUTCOMES = frozenset({BatchState.COMMITTED, BatchState.QUARANTINED, BatchState.SPLIT, BatchState.VOID})
#: Moves to these are worth telling; the others are read from the row's own columns.
_TOLD = frozenset({BatchState.SEALED, BatchState.QUARANTINED, BatchState.SPLIT, BatchState.VOID})


class Ledger:
    """Implements `model.ports.Ledger` on SQLite. Not safe for two threads at a time."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, fresh: bool, clock: Callable[[], float]) -> None:
        self.path = path
        self.fresh = fresh  #: made by this open: there was none before, or it was lost
        self._db = connection
        self._clock = clock
        self._run = connection.execute
        self._writers: dict[type, Callable[[Any], None]] = {
            BatchSealed: self._seal,
            BatchMoved: self._move,
            FilesSkipped: self._skip,
            SchemaGrown: self._grow,
        }

    @classmethod
    def open(
        cls,
        path: Path | str,
        durability: Literal["power", "process"] = "power",
        *,
        check_same_thread: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> Ledger:
        """Open the ledger, made if there is none and brought up to date if it is old.

        Raises:
            ScorewatchError: exit code 6, where the file is damaged, foreign, newer than this program, or can't
                be opened.
        """
        where = Path(path)
        connection, fresh = open_for_writing(where, durability, check_same_thread=check_same_thread)
        return cls(connection, where, fresh=fresh, clock=clock)

    def close(self) -> None:
        """Fold the log into the file and let go of it."""
        with explaining(self.path):
            self._db.close()

    # ------------------------------------------------------------ writing
    def record(self, records: Sequence[Record], counts: Mapping[str, int] | None = None) -> None:
        """Commit all records and counts in one transaction, or none.

        After an error the same call may be made again. A COMMIT that raised may have been kept all the same, but
        this connection does not see it: its pages are overwritten by the next transaction, or found by the next
        start, which asks `open_batches` and repeats nothing blindly. Moves that stand already are passed over.

        Raises:
            LedgerRefusedError: nothing was recorded; try again later. LedgerFullError is one of these.
            LedgerDisagreesError: a batch is not in the state that a record says it leaves. Nothing was recorded.
            LedgerBrokenError: the disk fails; end the service, the next start reads what was kept.
        """
        if records or counts:
            self._transact(partial(self._write, records, counts or {}))

    def add_counts(self, counts: Mapping[str, int]) -> None:
        """Add to the cumulative figures, in a transaction of their own."""
        self.record((), counts)

    def _write(self, records: Sequence[Record], counts: Mapping[str, int]) -> None:
        for one in records:
            self._writers[type(one)](one)
        for name, by in counts.items():
            self._run(SQL["count"], {"name": name, "by": by})

    def _transact(self, write: Callable[[], None]) -> None:
        try:
            self._run(SQL["begin"])
            write()
            self._run("COMMIT")
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.Error):
                raise explained(error, self.path) from error
            raise

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # SQLite may have rolled back by itself
            with explaining(self.path):
                self._run("ROLLBACK")

    def _seal(self, record: BatchSealed) -> None:
        batch = record.batch
        inserted = self._run(SQL["seal_batch"], batch_to_row(batch, BatchState.SEALED))
        if inserted.rowcount == 1:
            self._run(SQL["seal_members"], {"number": inserted.lastrowid, "files": pack_files(batch.files)})
            return
        with explaining(self.path):
            *_, packed = self._run(SQL["standing_batch"], {"batch_id": batch.batch_id}).fetchone()
            standing = unpack_files(packed)
        if sorted(f.relpath for f in standing) != sorted(f.relpath for f in batch.files):
            raise disagrees(self.path, batch.batch_id, "it was sealed before, with other files")

    def _move(self, record: BatchMoved) -> None:
        failure = None if record.failure is None else to_json(failure_to_dict(record.failure))
        changed = self._run(
            SQL["move_batch"],
            {
                "batch_id": record.batch_id,
                "was": record.was.value,
                "now": record.now.value,
                "at": record.at,
                "attempt": record.attempt,
                "dispatch": record.dispatch,
                "interruptions": record.interruptions,
                "tries": record.tries,
                "cut": record.cut,
                "outcome": record.now.value if record.now in _OUTCOMES else None,
                "worker_id": record.worker_id,
                "started_at": record.at if record.now is BatchState.RUNNING else None,
                "failure": failure,
            },
        ).rowcount
        if changed == 0:
            self._accept_repetition(record)
            return
        self._note_members(record)
        self._note_outcome(record)
        if record.now in _TOLD or failure is not None:
            self._tell(record)

    def _accept_repetition(self, record: BatchMoved) -> None:
        """A move that was made before is fine; any other row than its own is not."""
        row = self._run(SQL["standing_batch"], {"batch_id": record.batch_id}).fetchone()
        if row is None:
            raise disagrees(self.path, record.batch_id, "it has no row")
        state, attempt, dispatch, _ = row
        if (state, attempt, dispatch) != (record.now.value, record.attempt, record.dispatch):
            raise disagrees(
                self.path,
                record.batch_id,
                f"it is {state} (attempt {attempt}, dispatch {dispatch}), and was to go from {record.was.value} "
                f"to {record.now.value} (attempt {record.attempt}, dispatch {record.dispatch})",
            )

    def _note_members(self, record: BatchMoved) -> None:
        if record.files is None:
            return
        figures = {"n_files": len(record.files), "total_bytes": sum(max(f.size, 0) for f in record.files)}
        self._run(SQL["change_figures"], {"batch_id": record.batch_id, **figures})
        self._run(SQL["change_members"], {"batch_id": record.batch_id, "files": pack_files(record.files)})

    def _note_outcome(self, record: BatchMoved) -> None:
        if record.now is BatchState.COMMITTED:
            receipt = record.receipt
            figures = {"rows": receipt and receipt.rows, "succeeded": receipt and receipt.succeeded}
            self._run(SQL["note_receipt"], {"batch_id": record.batch_id, "at": record.at, **figures})
        elif record.now is BatchState.QUARANTINED:
            self._run(SQL["note_all_failed"], {"batch_id": record.batch_id})

    def _tell(self, record: BatchMoved) -> None:
        detail: dict[str, Any] = {"was": record.was.value, "interruptions": record.interruptions}
        if record.failure is not None:
            detail["failure"] = failure_to_dict(record.failure)
        self._run(
            SQL["note_history"],
            {
                "batch_id": record.batch_id,
                "at": record.at,
                "now": record.now.value,
                "attempt": record.attempt,
                "dispatch": record.dispatch,
                "worker_id": record.worker_id,
                "detail": to_json(detail),
            },
        )

    def _skip(self, record: FilesSkipped) -> None:
        packed = pack_refusals(record.refusals)
        row = {"skip_id": record.skip_id, "at": record.at, "n_files": len(record.refusals), "files": packed}
        if self._run(SQL["skip_files"], row).rowcount == 1:
            return
        (standing,) = self._run(SQL["standing_skip"], {"skip_id": record.skip_id}).fetchone()
        if standing != packed:
            raise disagrees(self.path, record.skip_id, "other files were skipped under this id before")

    def _grow(self, record: SchemaGrown) -> None:
        for name, kind in record.columns:
            self._run(SQL["grow_schema"], {"name": to_json(name), "type": to_json(kind)})

    # ------------------------------------------------------------ what a start asks
    def open_batches(self) -> list[tuple[MiniBatch, BatchState]]:
        """Every batch that is neither RELEASED nor VOID, oldest first."""
        with explaining(self.path):
            return [batch_from_row(row) for row in self._run(SQL["open_batches"])]

    def batch(self, batch_id: str) -> tuple[MiniBatch, BatchState] | None:
        """One batch, whatever its state; None where it was never sealed."""
        with explaining(self.path):
            row = self._run(SQL["any_batch"], {"batch_id": batch_id}).fetchone()
            return batch_from_row(row) if row else None

    def failure_of(self, batch_id: str) -> Failure | None:
        """Why a batch failed last: what recovery writes beside the files that it sets aside."""
        with explaining(self.path):
            row = self._run(SQL["failure_of"], {"batch_id": batch_id}).fetchone()
            return failure_from(row[0]) if row else None

    def schema(self) -> tuple[tuple[str, str], ...]:
        """The output schema: (column, type as the worker spelled it), in the order in which they came."""
        with explaining(self.path):
            return tuple((json.loads(name), json.loads(kind)) for name, kind in self._run(SQL["schema"]))

    def counters(self) -> dict[str, int]:
        """The cumulative figures."""
        with explaining(self.path):
            return dict(self._run(SQL["counters"]).fetchall())

    # ------------------------------------------------------------ the deployment itself
    @property
    def state_id(self) -> str:
        """The random name of this state, made with the ledger: tells its claims from other deployments'."""
        return str(self.fact("state_id", ""))

    def fact(self, key: str, default: object = None) -> Any:  # noqa: ANN401 - whatever was put there
        """A fact about the deployment, as it was put there by `set_facts`."""
        with explaining(self.path):
            row = self._run(SQL["get_meta"], {"key": key}).fetchone()
            return default if row is None else json.loads(row[0])

    def set_facts(self, facts: Mapping[str, object]) -> None:
        """Facts about the deployment, each anything that JSON can hold; durable on return."""

        def write() -> None:
            for key, value in facts.items():
                self._run(SQL["set_meta"], {"key": key, "value": to_json(value)})

        self._transact(write)

    def roots(self) -> dict[str, str]:
        """The ids in the identity files of inbox, outbox and state, as they were last recorded."""
        return dict(self.fact("roots", {}))

    def set_roots(self, roots: Mapping[str, str]) -> None:
        """Record the ids of the three folders."""
        self.set_facts({"roots": dict(roots)})

    @property
    def epoch(self) -> int:
        """The number of this run of the daemon; 0 before the first."""
        return int(self.fact("epoch", 0))

    def begin_epoch(self) -> int:
        """A number greater than every one before, durable on return; greater than a lost ledger's too, by the clock."""
        epoch = max(self.epoch, int(self._clock())) + 1
        self.set_facts({"epoch": epoch})
        return epoch

    def mark_running(self) -> bool:
        """Say that a daemon runs; answers whether the one before ended by itself (a first one counts as that)."""
        clean = bool(self.fact("clean_stop", default=True))
        self.set_facts({"clean_stop": False})
        return clean

    def mark_stopped(self) -> None:
        """Say that the daemon ends by itself, with no batch left running."""
        self.set_facts({"clean_stop": True})
