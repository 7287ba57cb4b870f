"""The workers: who is starting, ready, busy or ending; deadlines, and when a lost one is replaced."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from scorewatch.model.decisions import KillWorker, StartWorker, StopWorker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scorewatch.core.draft import Draft
    from scorewatch.model.events import WorkerReady
    from scorewatch.model.policy import CrewLimits

STOPPED = "the service stops"  #: why workers are killed at the end, which is no trouble


class WorkerState(StrEnum):
    """Where a worker is in its life."""

    STARTING = "starting"  #: init() runs
    READY = "ready"
    ENDING = "ending"  #: asked to stop, or killed; no orders any more


@dataclass(slots=True)
class Order:
    """One batch at one worker."""

    batch_id: str
    dispatch: int
    timeout_s: float
    given_at: float  #: on the monotonic clock, as all times here
    started_at: float | None = None
    ran_at: float | None = None
    asked_back: bool = False


@dataclass(slots=True)
class Worker:
    """One worker process."""

    worker_id: int
    slot: int
    generation: int
    started_at: float
    state: WorkerState = WorkerState.STARTING
    orders: list[Order] = field(default_factory=list)
    kill_reason: str = ""  #: why we killed it
    timed_out: bool = False  #: that reason is its run()'s deadline
    free_since: float = 0.0  #: when it last got rid of an order, or was asked to end
    ready: WorkerReady | None = None
    excused: bool = False  #: its init() failed, and the environment is to blame

    def waiting(self) -> list[Order]:
        """Orders whose run() has not returned."""
        return [order for order in self.orders if order.ran_at is None]

    def drop(self, order: Order, now: float) -> None:
        """The order is answered."""
        self.orders.remove(order)
        self.free_since = now

    def order(self, batch_id: str, dispatch: int) -> Order | None:
        """The order of exactly this hand-out, if this worker has it."""
        for order in self.orders:
            if order.batch_id == batch_id and order.dispatch == dispatch:
                return order
        return None


@dataclass(slots=True)
class Slot:
    """A place for one worker."""

    index: int
    start_at: float = 0.0
    failures: int = 0  #: in a row: init() that failed, deaths without work
    ever_failed: bool = False


class Crew:
    """All workers of a deployment."""

    def __init__(self, limits: CrewLimits, generation: int) -> None:
        self.limits = limits
        self.generation = generation
        self.workers: dict[int, Worker] = {}
        self.slots = [Slot(index) for index in range(limits.slots)]
        self.ever_ready = False
        self.trouble = ""  #: why no worker could be had, in words
        self._serial = 0

    # ------------------------------------------------------------ questions
    def ready(self) -> Iterator[Worker]:
        """Workers that may be given orders, the least loaded first."""
        free = [worker for worker in self.workers.values() if worker.state is WorkerState.READY]
        return iter(sorted(free, key=lambda worker: (len(worker.waiting()), len(worker.orders))))

    def able(self) -> bool:
        """Whether any worker can score."""
        return any(worker.state is WorkerState.READY for worker in self.workers.values())

    def busy(self) -> bool:
        """Whether any worker holds an order."""
        return any(worker.orders for worker in self.workers.values())

    def hopeless(self) -> bool:
        """Whether every slot failed at its first init(), and none ever was ready."""
        return not self.ever_ready and all(slot.ever_failed for slot in self.slots)

    # ------------------------------------------------------------ changes
    def fill(self, draft: Draft, now: float) -> None:
        """Start a worker in each slot that lacks one of the present generation."""
        for slot in self.slots:
            if now < slot.start_at:
                continue
            mine = [worker for worker in self.workers.values() if worker.slot == slot.index]
            if any(w.generation == self.generation and w.state is not WorkerState.ENDING for w in mine):
                continue
            old = [worker for worker in mine if worker.state is not WorkerState.ENDING]
            if old and self._replacement_starts():
                continue  # one at a time, the new one READY first
            if not old and mine:
                continue  # its end is under way
            self._start(slot, draft, now)

    def _replacement_starts(self) -> bool:
        return any(worker.state is WorkerState.STARTING for worker in self.workers.values())

    def _start(self, slot: Slot, draft: Draft, now: float) -> None:
        self._serial += 1
        worker = Worker(self._serial, slot.index, self.generation, now)
        self.workers[worker.worker_id] = worker
        draft.act(StartWorker(worker_id=worker.worker_id, slot=slot.index, generation=self.generation))

    def became_ready(self, event: WorkerReady, draft: Draft) -> None:
        """A worker finished its init(); an older generation's in its slot may go now."""
        worker = self.workers.get(event.worker_id)
        if worker is None or worker.state is not WorkerState.STARTING:
            return
        worker.state = WorkerState.READY
        worker.ready = event
        self.ever_ready = True
        self.trouble = ""
        if worker.slot < len(self.slots):
            self.slots[worker.slot].failures = 0
        for other in list(self.workers.values()):
            if other.slot == worker.slot and other.generation < worker.generation:
                self.let_go(other, draft)

    def let_go(self, worker: Worker, draft: Draft) -> None:
        """Ask a worker to end once it has done what it started."""
        if worker.state is not WorkerState.ENDING:
            worker.state = WorkerState.ENDING
            worker.free_since = draft.now.mono
            draft.act(StopWorker(worker_id=worker.worker_id))

    def kill(self, worker: Worker, because: str, draft: Draft, *, timed_out: bool = False) -> None:
        """Kill a worker; its death follows as news."""
        if not worker.kill_reason:
            worker.state = WorkerState.ENDING
            worker.kill_reason = because
            worker.timed_out = timed_out
            draft.act(KillWorker(worker_id=worker.worker_id, because=because))

    def buried(self, worker: Worker, now: float, *, blamed: bool, why: str) -> None:
        """A worker is dead; decide when its slot may start another.

        A death that a batch is blamed for is replaced at once: bisecting must not wait. A failing init(), or a
        worker that dies with nothing to do, is replaced ever more slowly.
        """
        del self.workers[worker.worker_id]
        if worker.slot >= len(self.slots):
            return
        slot = self.slots[worker.slot]
        never_ready = worker.ready is None
        expected = worker.state is WorkerState.ENDING and not worker.kill_reason and not never_ready
        if expected or (blamed and not never_ready):
            slot.start_at = now
            return
        slot.failures += 1
        slot.ever_failed = slot.ever_failed or (never_ready and not worker.excused)
        pause = self.limits.first_pause_s * 2 ** min(slot.failures - 1, 30)
        slot.start_at = now + min(pause, self.limits.longest_pause_s)
        if never_ready and worker.kill_reason != STOPPED:
            self.trouble = why

    def resize(self, limits: CrewLimits, generation: int, draft: Draft) -> None:
        """Take new limits; workers of an older generation are replaced one by one."""
        self.limits = limits
        self.generation = generation
        if len(self.slots) > limits.slots:
            del self.slots[limits.slots :]
            for worker in list(self.workers.values()):
                if worker.slot >= limits.slots:
                    self.let_go(worker, draft)
        self.slots += [Slot(index) for index in range(len(self.slots), limits.slots)]
        for slot in self.slots:
            slot.start_at = 0.0

    # ------------------------------------------------------------ deadlines
    def deadlines(self) -> Iterator[tuple[float, Worker, str, bool]]:
        """(when, worker, what was too slow, whether it is run()) for everything that has a deadline now."""
        for worker in self.workers.values():
            if worker.kill_reason:
                continue
            if worker.state is WorkerState.STARTING:
                limit = self.limits.init_timeout_s
                yield worker.started_at + limit, worker, f"init() took longer than {limit:g} s", False
            elif worker.orders:
                yield self._deadline_of_orders(worker)
            elif worker.state is WorkerState.ENDING:
                patience = self.limits.handover_timeout_s
                yield worker.free_since + patience, worker, f"shutdown() took longer than {patience:g} s", False

    def _deadline_of_orders(self, worker: Worker) -> tuple[float, Worker, str, bool]:
        patience = self.limits.handover_timeout_s
        for order in worker.orders:
            if order.started_at is not None and order.ran_at is None:
                why = f"run() took longer than {order.timeout_s:g} s"
                return order.started_at + order.timeout_s, worker, why, True
        written = [order.ran_at for order in worker.orders if order.ran_at is not None]
        if written:
            return min(written) + patience, worker, f"writing the output took longer than {patience:g} s", False
        since = max(worker.free_since, *(order.given_at for order in worker.orders))
        return since + patience, worker, f"the worker did not begin its batch within {patience:g} s", False
