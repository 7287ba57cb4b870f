"""What one worker may say now: each message is checked against what it was asked, and becomes an event.

A worker has parsed what strangers wrote, so it is not believed: what it was not asked, what it can't know, and
what comes in the wrong order is garbage.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from scorewatch.executors.local import fields
from scorewatch.model.events import (
    BatchFailed,
    BatchRan,
    BatchScored,
    BatchStarted,
    OrderReturned,
    SchemaAsked,
    WorkerInitFailed,
    WorkerReady,
)
from scorewatch.worker import messages as say
from scorewatch.worker.messages import GarbageError, Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorewatch.model.batches import MiniBatch
    from scorewatch.model.events import Event


class _Life(Enum):
    """Where a worker is."""

    SPAWNED = auto()
    GREETED = auto()
    READY = auto()
    FAILED = auto()  # init() failed; it ends by itself


class _Stage(Enum):
    """Where an order is."""

    ORDERED = auto()
    STARTED = auto()
    RAN = auto()


@dataclass(slots=True)
class _Order:
    """A batch that the worker holds."""

    batch: MiniBatch
    stage: _Stage = _Stage.ORDERED
    asking: bool = False  # for the output schema: it waits for the answer
    withdrawn: bool = False  # it was asked for it back


class Conversation:
    """One worker's side of the protocol, as far as it got.

    Args:
        worker_id: whose.
        pid: of its process.
        staging: its staging folder, absolute.
        last_words: what it printed last, for failures.
    """

    def __init__(self, worker_id: int, pid: int, staging: str, last_words: Callable[[], str]) -> None:
        self._worker_id = worker_id
        self._pid = pid
        self._staging = staging
        self._last_words = last_words
        self._life = _Life.SPAWNED
        self._orders: dict[tuple[str, int], _Order] = {}
        self.stopping = False  #: it was told to end
        self._hear: dict[str, Callable[[Message], Event | None]] = {
            say.HELLO: self._hello,
            say.READY: self._ready,
            say.INIT_FAILED: self._init_failed,
            say.START: self._start,
            say.RAN: self._ran,
            say.SCHEMA: self._schema,
            say.DONE: self._done,
            say.FAILED: self._failed,
            say.RETURNED: self._returned,
        }

    @property
    def ends_by_itself(self) -> bool:
        """Whether it was told to end, or has said that it will."""
        return self.stopping or self._life is _Life.FAILED

    def ordered(self, batch: MiniBatch) -> None:
        """A batch is on its way to the worker."""
        self._orders[batch.batch_id, batch.dispatch] = _Order(batch)

    def withdrawn(self, batch_id: str, dispatch: int) -> bool:
        """A batch is asked back; False if the worker doesn't hold it."""
        order = self._orders.get((batch_id, dispatch))
        if order is None:
            return False
        order.withdrawn = True
        return True

    def answered(self, batch_id: str, dispatch: int) -> bool:
        """The output schema is on its way; False if the worker doesn't wait for it."""
        order = self._orders.get((batch_id, dispatch))
        if order is None or not order.asking:
            return False
        order.asking = False
        return True

    def hear(self, message: Message) -> Event | None:
        """The event that a message is, if it is one.

        Raises:
            GarbageError: the message is not one that this worker may send now.
        """
        try:
            hear = self._hear.get(say.text(message, "say"))
            if hear is None:
                raise GarbageError(f"nobody says {fields.excerpt(message)}")
            return hear(message)
        except RecursionError as error:
            raise GarbageError("a message too deep to be looked at") from error

    # ------------------------------------------------------------ the worker's own life
    def _hello(self, _: Message) -> None:
        self._grow(say.HELLO, _Life.GREETED, _Life.SPAWNED)

    def _ready(self, message: Message) -> Event:
        self._grow(say.READY, _Life.READY, _Life.GREETED)
        return WorkerReady(
            worker_id=self._worker_id,
            pid=self._pid,  # ours: an interpreter's wrapper knows another, and a liar any
            init_s=fields.seconds(message, "init_s"),
            rss_bytes=fields.count(message, "rss_bytes", default=0),
            model=fields.words(message, "model", default=""),
            script_sha256=fields.words(message, "script_sha256", default=""),
        )

    def _init_failed(self, message: Message) -> Event:
        self._grow(say.INIT_FAILED, _Life.FAILED, _Life.SPAWNED, _Life.GREETED)
        failure = fields.failure(message, self._worker_id, self._last_words())
        return WorkerInitFailed(worker_id=self._worker_id, failure=failure)

    def _grow(self, word: str, now: _Life, *before: _Life) -> None:
        if self._life not in before:
            raise GarbageError(f"{word!r} out of turn")
        self._life = now

    # ------------------------------------------------------------ its batches
    def _start(self, message: Message) -> Event:
        order = self._order(message, _Stage.ORDERED)
        if self._life is not _Life.READY or any(each.stage is _Stage.STARTED for each in self._orders.values()):
            raise GarbageError(f"{say.START!r} out of turn")
        order.stage = _Stage.STARTED
        return BatchStarted(worker_id=self._worker_id, batch_id=order.batch.batch_id, dispatch=order.batch.dispatch)

    def _ran(self, message: Message) -> Event:
        order = self._order(message, _Stage.STARTED)
        order.stage = _Stage.RAN
        return BatchRan(worker_id=self._worker_id, batch_id=order.batch.batch_id, dispatch=order.batch.dispatch)

    def _schema(self, message: Message) -> Event:
        order = self._order(message, _Stage.STARTED, _Stage.RAN)
        order.asking = True
        return SchemaAsked(
            worker_id=self._worker_id,
            batch_id=order.batch.batch_id,
            dispatch=order.batch.dispatch,
            columns=fields.columns(message),
        )

    def _done(self, message: Message) -> Event:
        batch = self._forget(self._order(message, _Stage.RAN))
        staging = f"{self._staging}/{batch.batch_id}.{batch.dispatch}"
        if say.text(message, "staging") != staging:
            raise GarbageError(f"its output is not where it belongs: {fields.excerpt(message)}")
        return BatchScored(worker_id=self._worker_id, receipt=fields.receipt(message, batch), staging=staging)

    def _failed(self, message: Message) -> Event:
        order = self._order(message, *_Stage)
        failure = fields.failure(message, self._worker_id, self._last_words())
        if failure.file and failure.file not in {file.relpath for file in order.batch.files}:
            failure = replace(failure, file="")
        batch = self._forget(order)
        return BatchFailed(worker_id=self._worker_id, batch_id=batch.batch_id, dispatch=batch.dispatch, failure=failure)

    def _returned(self, message: Message) -> Event:
        order = self._order(message, _Stage.ORDERED)
        if not (order.withdrawn or self.stopping):
            raise GarbageError("it returned an order that nobody wanted back")
        batch = self._forget(order)
        return OrderReturned(worker_id=self._worker_id, batch_id=batch.batch_id, dispatch=batch.dispatch)

    def _order(self, message: Message, *stages: _Stage) -> _Order:
        key = (say.text(message, "batch_id"), say.whole(message, "dispatch"))
        order = self._orders.get(key)
        if order is None:
            raise GarbageError(f"it holds no such order: {fields.excerpt(message)}")
        waits = order.asking and say.text(message, "say") != say.FAILED
        if order.stage not in stages or waits:
            raise GarbageError(f"out of turn: {fields.excerpt(message)}")
        return order

    def _forget(self, order: _Order) -> MiniBatch:
        del self._orders[order.batch.batch_id, order.batch.dispatch]
        return order.batch
