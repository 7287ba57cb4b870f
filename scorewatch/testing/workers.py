"""Workers without processes: each does what luck says, in virtual time, and tells it in order."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from scorewatch.model import events as e
from scorewatch.model.outcomes import Failure, FailureKind, Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scorewatch.model.decisions import AnswerSchema, RunBatch, StartWorker, Withdraw
    from scorewatch.model.events import Event
    from scorewatch.testing.agenda import Agenda
    from scorewatch.testing.disk import Drop
    from scorewatch.testing.luck import Luck, Run

_FAILURES = {
    "raises": FailureKind.SCRIPT_RAISED,
    "bad result": FailureKind.BAD_RESULT,
    "environment": FailureKind.ENVIRONMENT,
}


class FakeExecutor:
    """Implements `ports.Executor`.

    Args:
        agenda: when things happen.
        luck: how they go.
        read: the content of a batch's files.
        stage: writes a finished output; its path.
        watch: called as a run() starts.
    """

    def __init__(
        self,
        agenda: Agenda,
        luck: Luck,
        read: Callable[[RunBatch], tuple[Drop, ...]],
        stage: Callable[[int, str, tuple[Drop, ...]], str],
        watch: Callable[[RunBatch], None],
    ) -> None:
        self.agenda = agenda
        self.luck = luck
        self.read = read
        self.stage = stage
        self.watch = watch
        self.closed = False
        self.told: list[tuple[int, Event]] = []  #: (worker, what it said), oldest first
        self._workers: dict[int, _Worker] = {}

    def start(self, order: StartWorker) -> None:
        """See `ports.Executor.start`."""
        self._workers[order.worker_id] = _Worker(order.worker_id, self)

    def run(self, order: RunBatch) -> None:
        """See `ports.Executor.run`."""
        worker = self._workers.get(order.worker_id)
        if worker is None or worker.dead or worker.stopping:
            self.say(order.worker_id, _returned(order))
        else:
            worker.take(order)

    def withdraw(self, order: Withdraw) -> None:
        """See `ports.Executor.withdraw`."""
        worker = self._workers.get(order.worker_id)
        if worker is not None:
            worker.give_back(order.batch_id, order.dispatch)

    def answer(self, order: AnswerSchema) -> None:
        """See `ports.Executor.answer`."""
        worker = self._workers.get(order.worker_id)
        if worker is not None:
            worker.hear(order)

    def stop(self, worker_id: int) -> None:
        """See `ports.Executor.stop`."""
        worker = self._workers.get(worker_id)
        if worker is not None:
            worker.stop()

    def kill(self, worker_id: int) -> None:
        """See `ports.Executor.kill`."""
        worker = self._workers.get(worker_id)
        if worker is not None:
            worker.die(-9)

    def sources(self) -> Sequence[int]:
        """There is nothing to wait for."""
        return ()

    def news(self) -> Sequence[Event]:
        """What was said since the last call."""
        told, self.told = self.told, []
        return [event for _, event in told]

    def news_of_one(self, number: int) -> Event:
        """The first thing that one worker, of those that said something, has to tell."""
        who = list(dict.fromkeys(worker_id for worker_id, _ in self.told))[number]
        index = next(i for i, (worker_id, _) in enumerate(self.told) if worker_id == who)
        return self.told.pop(index)[1]

    def close(self) -> None:
        """Nothing happens any more."""
        self.closed = True

    # ------------------------------------------------------------ for the workers
    def say(self, worker_id: int, event: Event) -> None:
        """Leave news."""
        if not self.closed:
            self.told.append((worker_id, event))

    def alive(self) -> list[int]:
        """Workers that live."""
        return [worker_id for worker_id, worker in self._workers.items() if not worker.dead]


class _Worker:
    def __init__(self, worker_id: int, house: FakeExecutor) -> None:
        self.worker_id = worker_id
        self.dead = False
        self.stopping = False
        self._house = house
        self._ready = False
        self._waiting: deque[RunBatch] = deque()
        self._running: RunBatch | None = None
        self._writing: list[RunBatch] = []
        self._ready_to_write: dict[int, Callable[[], None]] = {}
        self._asking: dict[tuple[str, int], Callable[[], None]] = {}
        self._echo: Event | None = None
        start = house.luck.start(worker_id)
        if start.ends != "hangs":
            self._later(start.init_s, lambda: self._started(start.ends))

    # ------------------------------------------------------------ orders
    def take(self, order: RunBatch) -> None:
        self._waiting.append(order)
        self._next()

    def give_back(self, batch_id: str, dispatch: int) -> None:
        for order in list(self._waiting):
            if (order.batch.batch_id, order.batch.dispatch) == (batch_id, dispatch):
                self._waiting.remove(order)
                self._say(_returned(order))

    def hear(self, answer: AnswerSchema) -> None:
        go_on = self._asking.pop((answer.batch_id, answer.dispatch), None)
        if go_on:
            go_on()

    def stop(self) -> None:
        if not self.dead:
            self.stopping = True
            while self._waiting:
                self._say(_returned(self._waiting.popleft()))
            self._end_if_idle()

    def die(self, exit_code: int) -> None:
        if self.dead:
            return
        self.dead = True
        self._house.say(self.worker_id, e.WorkerDied(worker_id=self.worker_id, exit_code=exit_code))
        if self._echo is not None and self._house.luck.echoes():
            self._house.say(self.worker_id, self._echo)

    # ------------------------------------------------------------ its life
    def _started(self, ends: str) -> None:
        if ends == "ready":
            self._ready = True
            self._say(e.WorkerReady(worker_id=self.worker_id, pid=self.worker_id, init_s=0.05))
            self._next()
            return
        if ends == "fails":
            failure = Failure(kind=FailureKind.ENVIRONMENT, message="init() raised")
            self._say(e.WorkerInitFailed(worker_id=self.worker_id, failure=failure))
        self.die(1)

    def _next(self) -> None:
        if self.dead or not self._ready or self._running or not self._waiting:
            return
        order = self._running = self._waiting.popleft()
        self._house.watch(order)
        batch = order.batch
        self._say(e.BatchStarted(worker_id=self.worker_id, batch_id=batch.batch_id, dispatch=batch.dispatch))
        drops = self._house.read(order)
        run = self._house.luck.run(order, drops)
        if len(drops) < len(batch.files):
            self._later(0.001, lambda: self._failed(order, FailureKind.SCRIPT_RAISED))
        elif run.ends in _FAILURES:
            self._echo = self._answer(order, drops, run)
            self._later(run.run_s, lambda: self._failed(order, _FAILURES[run.ends]))
        elif run.ends == "dies":
            self._later(run.run_s, lambda: self.die(-11))
        elif run.ends == "hangs":
            self._echo = self._answer(order, drops, run)
        else:
            self._later(run.run_s, lambda: self._ran(order, drops, run))

    def _ran(self, order: RunBatch, drops: tuple[Drop, ...], run: Run) -> None:
        batch = order.batch
        self._running = None
        self._writing.append(order)
        self._say(e.BatchRan(worker_id=self.worker_id, batch_id=batch.batch_id, dispatch=batch.dispatch))
        if run.asks and not set(run.asks) <= set(order.schema):
            question = e.SchemaAsked(
                worker_id=self.worker_id, batch_id=batch.batch_id, dispatch=batch.dispatch, columns=run.asks
            )
            self._asking[batch.batch_id, batch.dispatch] = lambda: self._write(order, drops, run)
            self._echo = question
            self._say(question)
        else:
            self._write(order, drops, run)
        self._next()

    def _write(self, order: RunBatch, drops: tuple[Drop, ...], run: Run) -> None:
        """One after the other, in the order in which they ran."""
        self._ready_to_write[id(order)] = lambda: self._begin_writing(order, drops, run)
        self._go_on_writing()

    def _go_on_writing(self) -> None:
        if self._writing:
            self._ready_to_write.pop(id(self._writing[0]), lambda: None)()

    def _begin_writing(self, order: RunBatch, drops: tuple[Drop, ...], run: Run) -> None:
        if run.ends != "hangs writing":
            self._later(run.write_s, lambda: self._wrote(order, drops, run))

    def _wrote(self, order: RunBatch, drops: tuple[Drop, ...], run: Run) -> None:
        if run.ends == "dies writing" and not self._running:  # else the batch that runs would be blamed
            self.die(-7)
            return
        self._writing.remove(order)
        self._echo = self._answer(order, drops, run)
        self._say(self._echo)
        self._go_on_writing()
        self._end_if_idle()

    def _answer(self, order: RunBatch, drops: tuple[Drop, ...], run: Run) -> Event:
        batch = order.batch
        succeeded = len(batch.files) - len(run.failed)
        receipt = Receipt(
            batch_id=batch.batch_id,
            dispatch=batch.dispatch,
            rows=succeeded,
            succeeded=succeeded,
            failed_files=tuple((name, "it raised") for name in run.failed),
        )
        staging = self._house.stage(self.worker_id, f"{batch.batch_id}.{batch.dispatch}", drops)
        return e.BatchScored(worker_id=self.worker_id, receipt=receipt, staging=staging)

    def _failed(self, order: RunBatch, kind: FailureKind) -> None:
        self._running = None
        self._say(
            e.BatchFailed(
                worker_id=self.worker_id,
                batch_id=order.batch.batch_id,
                dispatch=order.batch.dispatch,
                failure=Failure(kind=kind, message=f"run() ended with {kind}", worker_id=self.worker_id),
            )
        )
        self._end_if_idle()
        self._next()

    def _end_if_idle(self) -> None:
        if self.stopping and not self._running and not self._writing:
            self._later(0.001, lambda: self.die(0))

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self._house.agenda.after(seconds, lambda: None if self.dead or self._house.closed else call())

    def _say(self, event: Event) -> None:
        if not self.dead:
            self._house.say(self.worker_id, event)


def _returned(order: RunBatch) -> e.OrderReturned:
    return e.OrderReturned(worker_id=order.worker_id, batch_id=order.batch.batch_id, dispatch=order.batch.dispatch)
