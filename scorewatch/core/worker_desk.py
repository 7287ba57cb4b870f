"""The scheduler's desk for the workers: who is ready, what was scored, what failed, who died."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorewatch.core import columns
from scorewatch.core.trials import how_it_ended
from scorewatch.model.batches import BatchState as S
from scorewatch.model.decisions import AnswerSchema, ClearStaging, DropStaging, Publish
from scorewatch.model.outcomes import BLAMES_NO_FILE
from scorewatch.model.records import SchemaGrown

if TYPE_CHECKING:
    from scorewatch.core.crew import Worker
    from scorewatch.core.draft import Draft
    from scorewatch.core.floor import Life
    from scorewatch.core.house import House
    from scorewatch.model import events as e


def worker_ready(house: House, event: e.WorkerReady, draft: Draft) -> None:
    """A worker holds its model."""
    house.crew.became_ready(event, draft)


def worker_init_failed(house: House, event: e.WorkerInitFailed, draft: Draft) -> None:
    """A worker could not load the scorer; its death follows."""
    del draft
    worker = house.crew.workers.get(event.worker_id)
    if worker is not None:
        house.crew.trouble = event.failure.message
        worker.excused = event.failure.kind in BLAMES_NO_FILE


def worker_died(house: House, event: e.WorkerDied, draft: Draft) -> None:
    """A worker is gone, whatever the reason."""
    worker = house.crew.workers.get(event.worker_id)
    if worker is None:
        return
    blamed = house.trials.worker_died(worker, event, draft)
    why = worker.kill_reason or house.crew.trouble or f"the worker {how_it_ended(event)} during init()"
    house.crew.buried(worker, draft.now.mono, blamed=blamed, why=why)
    draft.act(ClearStaging(worker_id=event.worker_id))


def batch_started(house: House, event: e.BatchStarted, draft: Draft) -> None:
    """run() is called: its deadline begins."""
    worker = house.crew.workers.get(event.worker_id)
    order = worker and worker.order(event.batch_id, event.dispatch)
    if order:
        order.started_at = draft.now.mono


def batch_ran(house: House, event: e.BatchRan, draft: Draft) -> None:
    """run() returned: its deadline is over, the next batch may begin."""
    worker = house.crew.workers.get(event.worker_id)
    order = worker and worker.order(event.batch_id, event.dispatch)
    if order:
        order.ran_at = draft.now.mono


def batch_scored(house: House, event: e.BatchScored, draft: Draft) -> None:
    """The output lies in staging: publish it, unless some of the files failed by name."""
    receipt = event.receipt
    worker, life = _answered(house, event.worker_id, receipt.batch_id, receipt.dispatch, draft)
    if worker is None or life is None:
        draft.act(DropStaging(staging=event.staging))
        return
    if receipt.failed_files:
        draft.act(DropStaging(staging=event.staging))
        house.trials.part_by_blame(life, receipt, draft)
        return
    ready = worker.ready
    house.floor.scored(
        life,
        Publish(
            batch=life.batch,
            receipt=receipt,
            staging=event.staging,
            worker_id=worker.worker_id,
            slot=worker.slot,
            model=ready.model if ready else "",
            script_sha256=ready.script_sha256 if ready else "",
        ),
        draft,
    )


def batch_failed(house: House, event: e.BatchFailed, draft: Draft) -> None:
    """An attempt failed; the worker lives on."""
    _, life = _answered(house, event.worker_id, event.batch_id, event.dispatch, draft)
    if life is not None:
        house.trials.failed(life, event.failure, draft)


def order_returned(house: House, event: e.OrderReturned, draft: Draft) -> None:
    """A hand-out came back unstarted, at no cost."""
    worker = house.crew.workers.get(event.worker_id)
    if worker is None:
        life = house.floor.lives.get(event.batch_id)
        if life and life.state is S.RUNNING and life.batch.dispatch == event.dispatch:
            house.floor.give_back(life, draft)
        return
    _, life = _answered(house, event.worker_id, event.batch_id, event.dispatch, draft)
    if life is not None:
        house.floor.give_back(life, draft)


def schema_asked(house: House, event: e.SchemaAsked, draft: Draft) -> None:
    """Rows bring new columns: recorded first, so that two workers can't disagree."""
    new = columns.grow(house.schema, event.columns)
    if new:
        house.schema += new
        draft.record(SchemaGrown(columns=new))
    draft.act(
        AnswerSchema(
            worker_id=event.worker_id,
            batch_id=event.batch_id,
            dispatch=event.dispatch,
            columns=house.schema,
        )
    )


def _answered(
    house: House, worker_id: int, batch_id: str, dispatch: int, draft: Draft
) -> tuple[Worker | None, Life | None]:
    """The worker and the batch that an answer is about; None where it is about an older hand-out."""
    worker = house.crew.workers.get(worker_id)
    order = worker.order(batch_id, dispatch) if worker else None
    if worker is None or order is None:
        return None, None
    worker.drop(order, draft.now.mono)
    life = house.floor.lives.get(batch_id)
    if life is None or life.state is not S.RUNNING or life.batch.dispatch != dispatch:
        return worker, None
    return worker, life
