"""Batches scored in this very process, one after the other, for tests and told histories; nothing is started.

Orders are carried out when `news` is called, so whatever is withdrawn, stopped or killed before that never ran.
"""

from __future__ import annotations

import json
import os
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorewatch.model.events import (
    BatchFailed,
    BatchRan,
    BatchScored,
    BatchStarted,
    OrderReturned,
    WorkerDied,
    WorkerInitFailed,
    WorkerReady,
)
from scorewatch.model.outcomes import Failure, FailureKind, OutputFile, Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scorewatch.model.batches import MiniBatch
    from scorewatch.model.decisions import AnswerSchema, RunBatch, StartWorker, Withdraw
    from scorewatch.model.events import Event

PREDICTIONS = "predictions.jsonl"
KILLED = -9  #: the exit code that a killed process would have


class InlineExecutor:
    """Implements `Executor` with a function in place of a process.

    Args:
        run: scores absolute file names; its list has one element a file, or fewer where files failed.
        staging: the absolute staging folder of a worker, by its id; batches get `<batch>.<dispatch>` in it.
        where: the absolute folder that a batch's relpaths are relative to.
        init: called once for each worker; what it raises is reported as a failed init().
    """

    def __init__(
        self,
        run: Callable[[list[str]], list[Any]],
        *,
        staging: Callable[[int], str],
        where: Callable[[MiniBatch], str],
        init: Callable[[], None] = lambda: None,
    ) -> None:
        self._run = run
        self._staging = staging
        self._where = where
        self._init = init
        self._workers: dict[int, list[RunBatch]] = {}  # worker id -> orders not begun, oldest first
        self._stopping: set[int] = set()
        self._said: list[Event] = []
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closed = False

    def start(self, order: StartWorker) -> None:
        """Call init(); WorkerReady follows, or WorkerInitFailed and WorkerDied."""
        try:
            self._init()
        except Exception as error:  # noqa: BLE001 - the user's code raises what it likes
            self._say(WorkerInitFailed(worker_id=order.worker_id, failure=_failure(error, order.worker_id)))
            self._say(WorkerDied(worker_id=order.worker_id, exit_code=1))
            return
        self._workers[order.worker_id] = []
        self._say(WorkerReady(worker_id=order.worker_id, pid=os.getpid(), init_s=0.0))

    def run(self, order: RunBatch) -> None:
        """Queue a batch at a worker; one that is unknown, dead or stopping returns it."""
        if order.worker_id in self._workers and order.worker_id not in self._stopping:
            self._workers[order.worker_id].append(order)
            self._ring()
        else:
            self._say(_returned(order))

    def withdraw(self, order: Withdraw) -> None:
        """Take a batch back; nothing follows if it was carried out already."""
        wanted = (order.batch_id, order.dispatch)
        queue = self._workers.get(order.worker_id, [])
        for waiting in [each for each in queue if (each.batch.batch_id, each.batch.dispatch) == wanted]:
            queue.remove(waiting)
            self._say(_returned(waiting))

    def answer(self, order: AnswerSchema) -> None:
        """Nothing to do: rows are written as they come, so no question is ever asked."""

    def stop(self, worker_id: int) -> None:
        """End a worker: what it has not begun comes back, then WorkerDied."""
        if worker_id in self._workers:
            self._stopping.add(worker_id)
            self._ring()

    def kill(self, worker_id: int) -> None:
        """End a worker with what it holds."""
        if self._workers.pop(worker_id, None) is not None:
            self._stopping.discard(worker_id)
            self._say(WorkerDied(worker_id=worker_id, exit_code=KILLED))

    def sources(self) -> Sequence[int]:
        """One descriptor, readable when there is news."""
        return () if self._closed else (self._bell,)

    def news(self) -> Sequence[Event]:
        """Carry out what is queued, and tell what happened since the last call."""
        if self._closed:
            return ()
        for worker_id, queue in list(self._workers.items()):
            if worker_id in self._stopping:
                self._end(worker_id)
                continue
            while queue:
                self._carry_out(queue.pop(0))
        said, self._said = self._said, []
        with suppress(BlockingIOError):  # nobody rang since the last call
            os.eventfd_read(self._bell)
        return said

    def close(self) -> None:
        """Forget every worker."""
        if not self._closed:
            self._closed = True
            self._workers.clear()
            os.close(self._bell)

    def _end(self, worker_id: int) -> None:
        for order in self._workers.pop(worker_id):
            self._say(_returned(order))
        self._stopping.discard(worker_id)
        self._say(WorkerDied(worker_id=worker_id, exit_code=0))

    def _carry_out(self, order: RunBatch) -> None:
        batch, who = order.batch, order.worker_id
        self._say(BatchStarted(worker_id=who, batch_id=batch.batch_id, dispatch=batch.dispatch))
        root = self._where(batch)
        try:
            rows = self._run([f"{root}/{file.relpath}" for file in batch.files])
            _check(rows)
        except Exception as error:  # noqa: BLE001 - the user's code raises what it likes
            failure = _failure(error, who)
            self._say(BatchFailed(worker_id=who, batch_id=batch.batch_id, dispatch=batch.dispatch, failure=failure))
            return
        self._say(BatchRan(worker_id=who, batch_id=batch.batch_id, dispatch=batch.dispatch))
        staging = f"{self._staging(who)}/{batch.batch_id}.{batch.dispatch}"
        receipt = _write(batch, rows, staging)
        self._say(BatchScored(worker_id=who, receipt=receipt, staging=staging))

    def _say(self, event: Event) -> None:
        self._said.append(event)
        self._ring()

    def _ring(self) -> None:
        if not self._closed:
            os.eventfd_write(self._bell, 1)


class _BadResultError(Exception):
    """run() returned something that is no list."""


def _check(rows: object) -> None:
    if not isinstance(rows, list):
        raise _BadResultError(f"run() returned {type(rows).__name__}, not a list")


def _write(batch: MiniBatch, rows: list[Any], staging: str) -> Receipt:
    """Rows as JSON lines, with the file that each belongs to where there is one row a file."""
    paired = len(rows) == len(batch.files)
    lines = [
        {"prediction": row, "file": batch.files[index].relpath if paired else None} for index, row in enumerate(rows)
    ]
    data = "".join(json.dumps(line) + "\n" for line in lines).encode("ascii")
    folder = Path(staging)
    folder.mkdir(parents=True)
    (folder / PREDICTIONS).write_bytes(data)
    return Receipt(
        batch_id=batch.batch_id,
        dispatch=batch.dispatch,
        rows=len(rows),
        succeeded=min(len(rows), len(batch.files)),
        output_files=(OutputFile(name=PREDICTIONS, size_bytes=len(data)),),
        bytes_written=len(data),
    )


def _returned(order: RunBatch) -> OrderReturned:
    return OrderReturned(worker_id=order.worker_id, batch_id=order.batch.batch_id, dispatch=order.batch.dispatch)


def _failure(error: Exception, worker_id: int) -> Failure:
    return Failure(
        kind=FailureKind.BAD_RESULT if isinstance(error, _BadResultError) else FailureKind.SCRIPT_RAISED,
        message=str(error) or type(error).__name__,
        exception=type(error).__name__,
        traceback="".join(traceback.format_exception(error)),
        worker_id=worker_id,
    )
