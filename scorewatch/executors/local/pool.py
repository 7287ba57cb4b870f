"""The warm pool's mechanics: it starts workers, carries orders and answers, and reports every death.

It decides nothing: when to start, to kill and to try again is the scheduler's business.
"""

from __future__ import annotations

import os
import select
import time
from pathlib import Path
from typing import TYPE_CHECKING

from scorewatch.executors.local.logs import LogLimits, WorkerLogs
from scorewatch.executors.local.scratch import ScratchFolders
from scorewatch.executors.local.spawn import spawn
from scorewatch.executors.local.worker import TAIL_BYTES, Worker
from scorewatch.model.events import BatchFailed, OrderReturned, WorkerDied, WorkerInitFailed
from scorewatch.model.outcomes import Failure, FailureKind
from scorewatch.worker import messages as do

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scorewatch.executors.local.spawn import WorkerPlan
    from scorewatch.executors.local.worker import WorkerSnapshot
    from scorewatch.model.batches import MiniBatch
    from scorewatch.model.decisions import AnswerSchema, RunBatch, StartWorker, Withdraw
    from scorewatch.model.events import Event

PROGRAM = str(Path(do.__file__).with_name("__main__.py"))

_TURN_BYTES = 256 * 1024  # heard from one worker in one turn, so that one who floods leaves the others their share
_HOPELESS = (FileNotFoundError, PermissionError, NotADirectoryError, ValueError)  # it will be no better next time
_NOT_STARTED = 127  # exit code of a worker that never was, as a shell says it
_LAST_WAIT_S = 10.0  # for killed workers to be gone, and for their scratch folders


class LocalExecutor:
    """Implements `Executor` with processes on this machine.

    Args:
        plans: what workers are made from, by generation.
        epoch: of this daemon's life; with a worker's id it makes names that are never used twice.
        outbox: absolute; a worker's staging is `<outbox>/.staging/<epoch>-<worker id>`.
        state: absolute; a worker's working directory is `<state>/workers/<epoch>-<worker id>`.
        logs: absolute folder of the workers' logs.
        claims_where: the absolute folder that a batch's relpaths are relative to.
        limits: how much of the logs is kept.
        program: the script that a worker's interpreter runs.
    """

    def __init__(
        self,
        plans: Mapping[int, WorkerPlan],
        *,
        epoch: str,
        outbox: str,
        state: str,
        logs: str,
        claims_where: Callable[[MiniBatch], str],
        limits: LogLimits | None = None,
        program: str = PROGRAM,
    ) -> None:
        self._plans = dict(plans)
        self._epoch = epoch
        self._staging = f"{outbox}/.staging"
        self._scratch = ScratchFolders(f"{state}/workers", epoch)
        self._logs = WorkerLogs(logs, limits or LogLimits())
        self._where = claims_where
        self._program = program
        self._workers: dict[int, Worker] = {}
        self._lines: dict[int, Worker] = {}  # by the socket's descriptor, as long as it is watched
        self._lives: dict[int, Worker] = {}  # by pidfd
        self._told: list[Event] = []  # news that no worker has to be asked for
        self._index = 0  # orders, so far
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._closed = False

    # ------------------------------------------------------------ orders
    def set_plan(self, generation: int, plan: WorkerPlan) -> None:
        """From now on workers of this generation are made so."""
        self._plans[generation] = plan

    def start(self, order: StartWorker) -> None:
        """Start a worker; one that can't be started is reported as WorkerInitFailed and WorkerDied."""
        worker_id, name = order.worker_id, f"{self._epoch}-{order.worker_id}"
        if worker_id in self._workers:
            raise ValueError(f"there is a worker {worker_id} already")
        plan = self._plans[order.generation]
        staging, scratch = f"{self._staging}/{name}", self._scratch.path(worker_id)
        out, err = (self._logs.path(stream, order.slot, name) for stream in ("stdout", "stderr"))
        try:
            child = spawn(plan, self._program, order.slot, scratch=scratch, stdout=out, stderr=err)
        except (OSError, ValueError) as error:
            self._not_started(worker_id, plan.python, error)
            return
        worker = Worker(worker_id, order.slot, child, staging)
        self._workers[worker_id] = self._lines[child.line.fileno()] = self._lives[child.pidfd] = worker
        self._epoll.register(child.line.fileno(), select.EPOLLIN)
        self._epoll.register(child.pidfd, select.EPOLLIN)
        own = {"staging": staging, "scratch": scratch, "worker_id": worker_id, "slot": order.slot}
        self._send(worker, {"do": do.INIT, **plan.init, **own})

    def run(self, order: RunBatch) -> None:
        """Hand a batch to a worker; OrderReturned follows where it is unknown, dead or ending."""
        worker = self._workers.get(order.worker_id)
        batch = order.batch
        if worker is None or not worker.takes_orders:
            self._tell(OrderReturned(worker_id=order.worker_id, batch_id=batch.batch_id, dispatch=batch.dispatch))
            return
        data = do.encode(self._order(order))
        if len(data) > do.MAX_LINE:
            self._tell(_too_long(order, len(data)))
            return
        worker.talk.ordered(batch)
        self._send_bytes(worker, data)

    def withdraw(self, order: Withdraw) -> None:
        """Ask for a batch back; OrderReturned follows if it had not started, else nothing."""
        worker = self._workers.get(order.worker_id)
        if worker is not None and worker.talk.withdrawn(order.batch_id, order.dispatch):
            self._send(worker, {"do": do.WITHDRAW, "batch_id": order.batch_id, "dispatch": order.dispatch})

    def answer(self, order: AnswerSchema) -> None:
        """Answer a worker's question about the output schema, if it still waits for that."""
        worker = self._workers.get(order.worker_id)
        if worker is not None and worker.talk.answered(order.batch_id, order.dispatch):
            which = {"batch_id": order.batch_id, "dispatch": order.dispatch}
            self._send(worker, {"do": do.SCHEMA, **which, "columns": order.columns})

    def stop(self, worker_id: int) -> None:
        """Let a worker end by itself; WorkerDied follows."""
        worker = self._workers.get(worker_id)
        if worker is not None:
            worker.talk.stopping = True
            self._send(worker, {"do": do.STOP})

    def kill(self, worker_id: int) -> None:
        """SIGKILL to a worker's process group; WorkerDied follows."""
        worker = self._workers.get(worker_id)
        if worker is not None:
            worker.kill()

    # ------------------------------------------------------------ news
    def sources(self) -> Sequence[int]:
        """One descriptor, readable when there is news."""
        return () if self._closed else (self._epoll.fileno(),)

    def news(self) -> Sequence[Event]:
        """What happened since the last call; never blocks."""
        if self._closed:
            return ()
        ready = dict(self._epoll.poll(0))
        if ready.pop(self._bell, 0):
            os.eventfd_read(self._bell)
        events, self._told = self._told, []
        for descriptor, mask in ready.items():
            if descriptor in self._lines:
                events += self._serve(self._lines[descriptor], mask)
        for descriptor in ready:
            if descriptor in self._lives:
                events += self._mourn(self._lives[descriptor])
        return events

    def _serve(self, worker: Worker, mask: int) -> Sequence[Event]:
        if mask & select.EPOLLOUT:
            worker.link.flush()
        events = worker.listen(_TURN_BYTES)
        self._watch(worker)
        return events

    def _mourn(self, worker: Worker) -> Sequence[Event]:
        """Last words first: a reply already in the pipe is read before its sender is buried."""
        events = worker.listen_late(_TURN_BYTES)
        if not worker.may_be_buried():
            return events
        self._forget(worker)
        died = worker.bury()
        self._scratch.remove(worker.child.scratch)
        return [*events, died]

    # ------------------------------------------------------------ housekeeping
    def workers(self) -> Sequence[WorkerSnapshot]:
        """Every live worker, for `status`."""
        return [worker.snapshot() for worker in self._workers.values()]

    def tail(self, worker_id: int) -> str:
        """The last of what a live worker printed; empty for one that is unknown."""
        worker = self._workers.get(worker_id)
        return worker.tail(TAIL_BYTES) if worker is not None else ""

    def trim_logs(self) -> None:
        """Cut the logs of live workers that grew too long, and remove old ones of dead workers; from any thread."""
        live = list(self._workers.values())  # in one step: the loop's thread goes on meanwhile
        self._logs.trim([path for each in live for path in (each.child.stdout, each.child.stderr)])

    def clear_old_scratch(self) -> None:
        """Remove what the workers of earlier daemons left; only for who holds the deployment's lock."""
        self._scratch.clear_old()

    def close(self) -> None:
        """Kill every worker and wait for them; one that the kernel can't end is left after ten seconds."""
        if self._closed:
            return
        self._closed = True
        for worker in self._workers.values():
            worker.kill()
        deadline = time.monotonic() + _LAST_WAIT_S
        for worker in list(self._workers.values()):
            self._forget(worker)
            if _gone(worker, deadline):
                worker.bury()
            else:
                worker.release()
            self._scratch.remove(worker.child.scratch)
        self._scratch.wait(deadline - time.monotonic())
        self._epoll.close()
        os.close(self._bell)

    # ------------------------------------------------------------ inside
    def _order(self, order: RunBatch) -> do.Message:
        self._index += 1
        batch = order.batch
        return {
            "do": do.RUN,
            "batch_id": batch.batch_id,
            "dispatch": batch.dispatch,
            "index": self._index,
            "root": self._where(batch),
            "files": [file.relpath for file in batch.files],
            "timeout_s": order.run_timeout_s,
            "schema": order.schema,
        }

    def _not_started(self, worker_id: int, python: str, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        at = f" ({error.filename})" if isinstance(error, OSError) and error.filename not in {None, python} else ""
        hopeless = isinstance(error, _HOPELESS) and not at
        failure = Failure(
            kind=FailureKind.SCRIPT_RAISED if hopeless else FailureKind.ENVIRONMENT,
            message=f"no worker could be started with the interpreter {python!r}: {reason}{at}",
            exception=type(error).__name__,
            worker_id=worker_id,
        )
        self._tell(WorkerInitFailed(worker_id=worker_id, failure=failure))
        self._tell(WorkerDied(worker_id=worker_id, exit_code=_NOT_STARTED))

    def _tell(self, event: Event) -> None:
        if not self._closed:
            self._told.append(event)
            os.eventfd_write(self._bell, 1)

    def _send(self, worker: Worker, message: do.Message) -> None:
        self._send_bytes(worker, do.encode(message))

    def _send_bytes(self, worker: Worker, data: bytes) -> None:
        if not worker.silent:
            worker.send(data)
            self._watch(worker)

    def _watch(self, worker: Worker) -> None:
        """Wake for room in the socket only while something waits for it, and never for one that fell silent."""
        line = worker.child.line.fileno()
        if line not in self._lines:
            return
        if worker.silent:
            del self._lines[line]
            self._epoll.unregister(line)
        elif worker.link.wants_room != worker.watched_for_room:
            worker.watched_for_room = worker.link.wants_room
            self._epoll.modify(line, select.EPOLLIN | (select.EPOLLOUT if worker.watched_for_room else 0))

    def _forget(self, worker: Worker) -> None:
        """Watch it no more."""
        self._epoll.unregister(worker.child.pidfd)
        if self._lines.pop(worker.child.line.fileno(), None) is not None:
            self._epoll.unregister(worker.child.line)
        del self._lives[worker.child.pidfd], self._workers[worker.worker_id]


def _too_long(order: RunBatch, length: int) -> BatchFailed:
    """No worker can be handed it in one message; its halves may fit, so its files are blamed until they do."""
    failure = Failure(
        kind=FailureKind.BAD_RESULT,
        message=f"the names of its {len(order.batch.files)} files take {length} bytes, more than the {do.MAX_LINE} "
        "that an order may have; lower [batch] mini_batch_size",
        worker_id=order.worker_id,
    )
    batch = order.batch
    return BatchFailed(worker_id=order.worker_id, batch_id=batch.batch_id, dispatch=batch.dispatch, failure=failure)


def _gone(worker: Worker, deadline: float) -> bool:
    """Wait for a killed worker's end, until the deadline."""
    end = select.poll()
    end.register(worker.child.pidfd, select.POLLIN)
    return bool(end.poll(max(0.0, deadline - time.monotonic()) * 1000))
