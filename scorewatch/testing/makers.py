"""Makes the plain values that tests speak of, and holds a conversation with a scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from scorewatch.core.scheduler import Scheduler
from scorewatch.model import events as e
from scorewatch.model import ids
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.files import Observation
from scorewatch.model.outcomes import Failure, FailureKind, Receipt
from scorewatch.model.policy import Policy
from scorewatch.testing.clock import FakeClock

if TYPE_CHECKING:
    from scorewatch.model.decisions import Decision, RunBatch

_T = TypeVar("_T")


def file(name: str, size: int = 10) -> Observation:
    """A file that somebody saw."""
    return Observation(name, size, mtime_ns=1, ctime_ns=1, dev=1, inode=sum(name.encode()), quiet=True)


def batch_id(number: int) -> str:
    """The id of the batch of that number."""
    return ids.make("20261122T213741Z", number.to_bytes(ids.ENTROPY_BYTES, "big"))


def batch(*names: str, number: int = 1, **others: Any) -> MiniBatch:  # noqa: ANN401 - any field of a batch
    """A batch of these files."""
    files = tuple(map(file, names))
    fields: dict[str, Any] = {
        "batch_id": batch_id(number),
        "files": files,
        "total_bytes": sum(each.size for each in files),
        "sealed_because": SealReason.FILES,
        "sealed_at": 0.0,
        "tries": 2,
    }
    return MiniBatch(**(fields | others))


def failure(kind: FailureKind = FailureKind.SCRIPT_RAISED) -> Failure:
    """A failure of that kind."""
    return Failure(kind=kind, message=f"it was {kind}")


def receipt(order: RunBatch, **others: Any) -> Receipt:  # noqa: ANN401 - any field of a receipt
    """What a worker says of an order that went well."""
    count = len(order.batch.files)
    fields: dict[str, Any] = {
        "batch_id": order.batch.batch_id,
        "dispatch": order.batch.dispatch,
        "rows": count,
        "succeeded": count,
    }
    return Receipt(**(fields | others))


class Talk:
    """A conversation with a scheduler: what it is told, and what it answers.

    Args:
        policy: of the scheduler.
        workers: so many are ready before the conversation begins; 0: nothing was said yet.
    """

    def __init__(self, policy: Policy | None = None, *, workers: int = 1) -> None:
        self.clock = FakeClock()
        self.scheduler = Scheduler(policy or Policy())
        self.house = self.scheduler.house
        self._claims = 0
        if workers:
            self.say(e.RemainsFound(()))
        for worker_id in range(1, workers + 1):
            self.ready(worker_id)

    def say(self, event: e.Event, after: float = 0.0) -> Decision:
        """Tell something, so many seconds later."""
        self.clock.advance(after)
        return self.scheduler.handle(event, self.clock.now())

    def tick(self, after: float = 0.0) -> Decision:
        """Tell nothing but the time."""
        return self.say(e.ClockTicked(), after)

    def ready(self, worker_id: int) -> Decision:
        """A worker is ready."""
        return self.say(e.WorkerReady(worker_id=worker_id, pid=worker_id, init_s=0.1))

    def claimed(self, *names: str, ticket: int | None = None) -> Decision:
        """A claim of these files is over; without a ticket, of one that the scheduler never asked for."""
        self._claims += 1
        if ticket is None:
            self.say(e.FilesSettled(tuple(map(file, names))))
            self.tick(self.house.policy.batch.max_wait_s)
            ticket = max(self.house.intake.tickets)
        return self.say(e.BatchClaimed(ticket=ticket, batch_id=batch_id(self._claims), files=tuple(map(file, names))))

    def started(self, order: RunBatch, after: float = 0.0) -> Decision:
        """run() of this order begins."""
        who, it = order.worker_id, order.batch
        return self.say(e.BatchStarted(worker_id=who, batch_id=it.batch_id, dispatch=it.dispatch), after)

    def ran(self, order: RunBatch) -> Decision:
        """run() of this order returned."""
        who, it = order.worker_id, order.batch
        return self.say(e.BatchRan(worker_id=who, batch_id=it.batch_id, dispatch=it.dispatch))

    def scored(self, order: RunBatch, **others: Any) -> Decision:  # noqa: ANN401 - any field of a receipt
        """The output of this order lies in staging."""
        return self.say(e.BatchScored(worker_id=order.worker_id, receipt=receipt(order, **others), staging="/s"))

    def failed(self, order: RunBatch, kind: FailureKind = FailureKind.SCRIPT_RAISED) -> Decision:
        """This order failed."""
        who, it = order.worker_id, order.batch
        return self.say(e.BatchFailed(worker_id=who, batch_id=it.batch_id, dispatch=it.dispatch, failure=failure(kind)))

    def died(self, worker_id: int, exit_code: int = -11) -> Decision:
        """A worker died."""
        return self.say(e.WorkerDied(worker_id=worker_id, exit_code=exit_code))


def only(decision: Decision, kind: type[_T]) -> list[_T]:
    """The actions and records of a kind, in their order."""
    return [each for each in (*decision.records, *decision.actions) if isinstance(each, kind)]
