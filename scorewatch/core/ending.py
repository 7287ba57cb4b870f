"""How the service ends: drained, dropped at once, or because going on makes no sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorewatch.core.crew import STOPPED, WorkerState
from scorewatch.core.house import Stop
from scorewatch.model.batches import BatchState as S
from scorewatch.model.decisions import Exit, Withdraw
from scorewatch.model.errors import ExitCode

if TYPE_CHECKING:
    from scorewatch.core.draft import Draft
    from scorewatch.core.house import House

DISMISSAL_S = 5.0  # for shutdown() of the scripts
ONCE_PAUSES = 5  # so many pauses of the breaker in a row end a batch job
ONCE_TROUBLE_S = 60.0  # a folder that is away or full for so long ends it too
ONCE_INIT_FAILURES = 3  # and so many failures of init() in each slot


def begin(house: House, code: ExitCode, message: str, now: float, *, at_once: bool = False) -> None:
    """Start to end; a second time can only make it quicker."""
    if house.stop is None:
        house.stop = Stop(code, message, now + house.policy.grace_s, at_once=at_once)
    elif at_once:
        house.stop.at_once = True


def consider(house: House, now: float) -> None:
    """Decide whether to end."""
    if house.stop is None:
        _reasons_to_end(house, now)


def advance(house: House, draft: Draft) -> None:
    """If the service ends, do the next step of it."""
    stop = house.stop
    if stop is None or stop.exited:
        return
    if stop.at_once or draft.now.mono >= stop.deadline:
        _drop_everything(house, draft)
        _exit(stop, draft)
        return
    if not stop.withdrawn:
        _take_back_all(house, draft)
        stop.withdrawn = True
    if not stop.dismissed and _quiet(house):
        for worker in house.crew.workers.values():
            house.crew.let_go(worker, draft)
        stop.dismissed = True
        stop.deadline = min(stop.deadline, draft.now.mono + DISMISSAL_S)
    if stop.dismissed and not house.crew.workers:
        _exit(stop, draft)


def deadlines(house: House) -> list[float]:
    """When the end has something to do by itself."""
    times = []
    if house.stop is not None:
        times.append(house.stop.deadline)
    elif house.policy.once:
        if house.nothing_new_since is not None:
            times.append(house.nothing_new_since + house.policy.once_patience_s)
        if house.troubled_since is not None:
            times.append(house.troubled_since + ONCE_TROUBLE_S)
    return times


def _reasons_to_end(house: House, now: float) -> None:
    policy, crew = house.policy, house.crew
    if crew.hopeless():
        begin(house, ExitCode.SCORER_CANNOT_LOAD, crew.trouble, now, at_once=True)
    elif 0 <= policy.error_threshold < house.floor.failed_files:
        failed, limit = house.floor.failed_files, policy.error_threshold
        message = f"{failed} files failed, more than error_threshold = {limit}"
        begin(house, ExitCode.ERROR_THRESHOLD, message, now)
    elif policy.once:
        _once(house, now)


def _once(house: House, now: float) -> None:
    """A batch job ends when a sweep finds nothing new and no claim is open."""
    if house.troubled_since is not None and now >= house.troubled_since + ONCE_TROUBLE_S:
        begin(house, ExitCode.FOLDER_UNUSABLE, house.health()[0], now)
    elif house.breaker.pauses > ONCE_PAUSES:
        begin(house, ExitCode.FOLDER_UNUSABLE, house.breaker.reason, now)
    elif house.crew.trouble and not house.crew.able() and _all_slots_failed(house):
        begin(house, ExitCode.SCORER_CANNOT_LOAD, house.crew.trouble, now)
    elif house.nothing_new_since is None or not house.intake.idle() or house.floor.lives:
        return
    else:
        settling = house.last_sweep.settling if house.last_sweep else 0
        if not settling or now >= house.nothing_new_since + house.policy.once_patience_s:
            names = ", ".join(house.last_sweep.unsettled) if house.last_sweep else ""
            left = f"left, for they are still being written: {names}" if settling else ""
            begin(house, ExitCode.DONE, left, now)


def _all_slots_failed(house: House) -> bool:
    return all(slot.failures >= ONCE_INIT_FAILURES for slot in house.crew.slots)


def _take_back_all(house: House, draft: Draft) -> None:
    """Unstarted orders come back; a worker that still loads its model is not waited for."""
    for worker in list(house.crew.workers.values()):
        if worker.state is WorkerState.STARTING:
            house.crew.kill(worker, STOPPED, draft)
        for order in worker.orders:
            if order.started_at is None and not order.asked_back:
                order.asked_back = True
                draft.act(Withdraw(worker_id=worker.worker_id, batch_id=order.batch_id, dispatch=order.dispatch))


def _quiet(house: House) -> bool:
    """Whether nothing is under way that is worth waiting for."""
    under_way = (S.SCORED, S.COMMITTED, S.QUARANTINED, S.SPLIT)
    at_the_disk = any(life.state in under_way and life.again_at is None for life in house.floor.lives.values())
    return not (house.crew.busy() or at_the_disk or house.intake.tickets)


def _drop_everything(house: House, draft: Draft) -> None:
    """What runs goes back to SEALED, at no cost; the next start runs it again."""
    for worker in list(house.crew.workers.values()):
        house.trials.dropped(worker, draft)
        house.crew.kill(worker, STOPPED, draft)


def _exit(stop: Stop, draft: Draft) -> None:
    if not stop.exited:
        stop.exited = True
        draft.act(Exit(code=stop.code, message=stop.message))
