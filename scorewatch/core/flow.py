"""What follows from the state of the house, whatever happened: deadlines, hand-outs, claims, and the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorewatch.core import ending, retry
from scorewatch.core.crew import Order, Worker, WorkerState
from scorewatch.model.decisions import RunBatch, Withdraw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scorewatch.core.draft import Draft
    from scorewatch.core.floor import Life
    from scorewatch.core.house import House

TAKE_BACK_AFTER_S = 0.05  # shorter runs end sooner than a batch moves from one worker to another


def advance(house: House, draft: Draft) -> None:
    """Do all that is due now."""
    now = draft.now.mono
    ending.consider(house, now)  # first: nothing is handed out that the end would drop in the same breath
    for due, worker, why, is_run in list(house.crew.deadlines()):
        if due <= now:
            house.crew.kill(worker, why, draft, timed_out=is_run)
    if house.stop is None:
        house.crew.fill(draft, now)
    house.floor.ask_again(draft, now)
    if house.breaker.is_open:
        _probe(house, draft)
    else:
        _claim(house, draft)
        _hand_out(house, draft)
    _take_back(house, draft)
    ending.advance(house, draft)


def _claim(house: House, draft: Draft) -> None:
    while house.may_claim():
        flush = house.policy.once and house.nothing_new_since is not None
        if house.intake.claim_next(draft, draft.now.mono, flush=flush or _swept(house)) is None:
            return


def _swept(house: House) -> bool:
    """For --once: the inbox was seen to its end, so waiting for companions is no use."""
    return house.policy.once and house.last_sweep is not None


def _hand_out(house: House, draft: Draft) -> None:
    """Give batches to workers, the least loaded first."""
    while house.may_run():
        worker = _free_worker(house)
        life = house.floor.next_to_run(draft.now.mono) if worker else None
        if worker is None or life is None or not _may_join(house, life):
            return
        _give(house, worker, life, draft)


def _may_join(house: House, life: Life) -> bool:
    """A lone file that was interrupted often runs with nobody beside it.

    Whatever ran or waited at a worker when a file took the machine down was interrupted as often as that file,
    and would be set aside with it.
    """
    out = [order.batch_id for worker in house.crew.workers.values() for order in worker.orders]
    under_way = [house.floor.lives[batch_id].batch for batch_id in out if batch_id in house.floor.lives]
    return not under_way or not any(map(retry.is_suspect, (life.batch, *under_way)))


def _free_worker(house: House) -> Worker | None:
    depth = house.crew.limits.depth
    for worker in house.crew.ready():
        if len(worker.waiting()) < depth:
            return worker
    return None


def _give(house: House, worker: Worker, life: Life, draft: Draft) -> None:
    house.floor.hand_out(life, worker.worker_id, draft)
    timeout = house.policy.retry.run_timeout_s
    order = Order(life.batch.batch_id, life.batch.dispatch, timeout, draft.now.mono)
    worker.orders.append(order)
    draft.act(RunBatch(worker_id=worker.worker_id, batch=life.batch, run_timeout_s=timeout, schema=house.schema))


def _probe(house: House, draft: Draft) -> None:
    """While the breaker is open: one batch after each pause, in turn one that failed and one that is new."""
    now = draft.now.mono
    breaker = house.breaker
    waiting = house.floor.lives.get(breaker.probing or "")
    if waiting is None:
        breaker.probing = None  # it was divided, or turned out to hold nothing: another one must do
    if waiting and waiting.batch.batch_id in house.floor.queue and house.may_run():
        worker = _free_worker(house)
        if worker:
            house.floor.queue.remove(waiting.batch.batch_id)
            _give(house, worker, waiting, draft)
        return
    if house.probe_ticket is not None or not breaker.may_probe(now) or not house.may_run():
        return
    if house.crew.able() and not house.troubles and (breaker.pauses % 2 == 0 or not house.floor.queue):
        house.probe_ticket = house.intake.claim_next(draft, now, flush=True)
    worker = _free_worker(house)
    life = house.floor.next_to_run(now)
    if house.probe_ticket is None and worker and life:
        breaker.probing = life.batch.batch_id
        _give(house, worker, life, draft)


def _take_back(house: House, draft: Draft) -> None:
    """No worker is idle while another has two waiting: a queued batch that has not started can come back."""
    if house.stop is not None or house.breaker.is_open or not _idle_worker(house):
        return
    for worker, order in _stuck_behind(house):
        started = worker.orders[0].started_at
        # Reckoned as the deadline is: a difference may be an ulp too small, and nobody would look again.
        if started is not None and draft.now.mono >= started + TAKE_BACK_AFTER_S:
            order.asked_back = True
            draft.act(Withdraw(worker_id=worker.worker_id, batch_id=order.batch_id, dispatch=order.dispatch))
            return


def _idle_worker(house: House) -> bool:
    return any(not worker.orders for worker in house.crew.ready())


def _stuck_behind(house: House) -> Iterator[tuple[Worker, Order]]:
    for worker in house.crew.workers.values():
        if worker.state is WorkerState.READY and len(worker.orders) > 1:
            last = worker.orders[-1]
            if last.started_at is None and not last.asked_back:
                yield worker, last


def next_deadline(house: House, now: float) -> float | None:
    """When something falls due by itself, on the monotonic clock; None: only news can bring work."""
    times = [due for due, *_ in house.crew.deadlines()]
    times += [slot.start_at for slot in house.crew.slots]
    times += [life.not_before for life in house.floor.lives.values()]
    times += [life.again_at for life in house.floor.lives.values() if life.again_at is not None]
    due = house.intake.files.due()
    if due is not None and house.may_claim():
        times.append(due)
    if house.breaker.until is not None:
        times.append(house.breaker.until)
    if _idle_worker(house):
        times += [
            worker.orders[0].started_at + TAKE_BACK_AFTER_S
            for worker, _ in _stuck_behind(house)
            if worker.orders[0].started_at is not None
        ]
    times += ending.deadlines(house)
    return min((time for time in times if time > now), default=None)
