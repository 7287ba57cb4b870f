"""How attempts end: blame, retries, halves, quarantine, and what a worker's death means for its batches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from scorewatch.core import retry
from scorewatch.core.floor import verdict_on
from scorewatch.model.batches import BatchState as S
from scorewatch.model.ids import root_of
from scorewatch.model.outcomes import BLAMES_NO_FILE, Failure, FailureKind

if TYPE_CHECKING:
    from scorewatch.core.breaker import Breaker
    from scorewatch.core.crew import Order, Worker
    from scorewatch.core.draft import Draft
    from scorewatch.core.floor import Floor, Life
    from scorewatch.model.events import WorkerDied
    from scorewatch.model.outcomes import Receipt
    from scorewatch.model.policy import RetryLimits

_BY_STOP = Failure(kind=FailureKind.DAEMON_STOPPED, message="scorewatch was stopped")


class Trials:
    """Judges every failed attempt."""

    def __init__(self, floor: Floor, breaker: Breaker, limits: RetryLimits) -> None:
        self.floor = floor
        self.breaker = breaker
        self.limits = limits

    def failed(self, life: Life, failure: Failure, draft: Draft) -> None:
        """An attempt failed: tell the breaker, then again, in halves, or aside."""
        batch_id = life.batch.batch_id
        nobody = failure.kind in BLAMES_NO_FILE
        if not nobody and self.breaker.proves_recovery(batch_id):
            self.breaker.close()
        held_back = self.breaker.is_open
        self.breaker.failed(root_of(batch_id), failure.message, draft.now.mono, at_once=nobody)
        if held_back and not nobody:
            # While everything fails a failure is no evidence against these files.
            self.floor.again(life, failure, retry.TryAgain(pause_s=0.0, costs_attempt=False), draft)
            return
        match verdict_on(life, failure, self.limits, self.floor.successes):
            case retry.TryAgain() as verdict:
                self.floor.again(life, failure, verdict, draft)
            case retry.SplitInHalves(tries=tries):
                self.floor.split(life, failure, tries, draft)
            case retry.SetAside():
                self.floor.set_aside(life, failure, draft)
                self.breaker.set_aside(len(life.batch.files), failure.message, draft.now.mono)

    def part_by_blame(self, life: Life, receipt: Receipt, draft: Draft) -> None:
        """Some files failed by name: they and their companions go separate ways, with all their tries."""
        guilty = {relpath for relpath, _ in receipt.failed_files}
        if guilty.issuperset(file.relpath for file in life.batch.files):
            self.failed(life, _first_of(receipt), draft)  # nobody to part from: else a lone file were split for ever
            return
        self.breaker.close()  # the others were scored: neither the model nor the environment is broken
        good = tuple(file for file in life.batch.files if file.relpath not in guilty)
        bad = tuple(file for file in life.batch.files if file.relpath in guilty)
        failure = _first_of(receipt)
        life.batch = replace(life.batch, files=good + bad, cut=len(good))
        self.floor.split(life, failure, 1 + self.limits.max_retries, draft)

    def worker_died(self, worker: Worker, event: WorkerDied, draft: Draft) -> bool:
        """Whether a batch is to blame for the death: the one that ran, else the one that was written."""
        running = [order for order in worker.orders if order.started_at is not None and order.ran_at is None]
        written = [order for order in worker.orders if order.ran_at is not None]
        guilty = running[:1] or written[:1]
        for order in worker.orders:
            life = self._life_of(order, worker)
            if life is None:
                continue
            if order in guilty:
                self.failed(life, death(worker, event, order), draft)
            else:
                self.floor.give_back(life, draft)
        worker.orders.clear()
        return bool(guilty)

    def dropped(self, worker: Worker, draft: Draft) -> None:
        """The service stops at once: what this worker has goes back, and costs nothing."""
        for order in worker.orders:
            life = self._life_of(order, worker)
            if life is not None:
                # Not judged: a batch that takes long may meet every restart there is, and is no worse for it.
                self.floor.again(life, _BY_STOP, retry.TryAgain(pause_s=0.0, costs_attempt=False), draft)
        worker.orders.clear()

    def _life_of(self, order: Order, worker: Worker) -> Life | None:
        life = self.floor.lives.get(order.batch_id)
        if life is None or life.state is not S.RUNNING:
            return None
        mine = life.worker_id == worker.worker_id and life.batch.dispatch == order.dispatch
        return life if mine else None


def _first_of(receipt: Receipt) -> Failure:
    relpath, why = receipt.failed_files[0]
    return Failure(kind=FailureKind.SCRIPT_RAISED, message=why, file=relpath)


def death(worker: Worker, event: WorkerDied, order: Order) -> Failure:
    """The failure that a worker's death is for the batch that it had."""
    if worker.timed_out:
        kind, message = FailureKind.TIMED_OUT, f"{worker.kill_reason}, and its worker was killed"
    elif worker.kill_reason:
        kind, message = FailureKind.ENVIRONMENT, f"{worker.kill_reason}, and it was killed"
    elif order.ran_at is not None:
        kind, message = FailureKind.WORKER_DIED, f"the worker {how_it_ended(event)} while its output was written"
    else:
        kind, message = FailureKind.WORKER_DIED, f"the worker {how_it_ended(event)} during run()"
    return Failure(
        kind=kind,
        message=message,
        worker_id=worker.worker_id,
        log_tail=event.log_tail,
        signal=max(-event.exit_code, 0),
    )


def how_it_ended(event: WorkerDied) -> str:
    """An exit code in words."""
    if event.because:
        return f"was ended: {event.because}"
    if event.out_of_memory:
        return "was killed (out of memory?)"
    if event.exit_code < 0:
        return f"was killed by signal {-event.exit_code}"
    return f"ended with exit code {event.exit_code}"
