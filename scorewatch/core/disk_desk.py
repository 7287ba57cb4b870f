"""The scheduler's desk for the disk: what was published, released, divided, and what did not work."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from scorewatch.model.batches import BatchState as S
from scorewatch.model.decisions import DropClaim, DropStaging, Publish

if TYPE_CHECKING:
    from scorewatch.core.draft import Draft
    from scorewatch.core.house import House
    from scorewatch.model import events as e

ASK_AGAIN_AFTER_S = 2.0


def batch_published(house: House, event: e.BatchPublished, draft: Draft) -> None:
    """A batch's output is visible and durable: its inputs may leave the claim."""
    life = house.floor.lives.get(event.batch_id)
    if life is None or life.state is not S.SCORED:
        return
    receipt = life.owed.receipt if isinstance(life.owed, Publish) else None
    house.floor.committed(life, receipt, draft)
    house.breaker.succeeded(len(life.batch.files))


def publish_failed(house: House, event: e.PublishFailed, draft: Draft) -> None:
    """The output did not become visible: the batch is scored again, sooner or later."""
    life = house.floor.lives.get(event.batch_id)
    if life is None or life.state is not S.SCORED or life.batch.dispatch != event.dispatch:
        return
    if isinstance(life.owed, Publish):
        draft.act(DropStaging(staging=life.owed.staging))
    life.owed = None
    if event.inputs is not None:
        house.intake.withdrawn += len(life.batch.files) - len(event.inputs)
        total = sum(file.size for file in event.inputs)
        life.batch = replace(life.batch, files=event.inputs, total_bytes=total)
    if not life.batch.files:
        house.floor.void(life, draft)
        draft.act(DropClaim(batch_id=event.batch_id))
        return
    house.trials.failed(life, event.failure, draft)


def batch_released(house: House, event: e.BatchReleased, draft: Draft) -> None:
    """Nothing is owed for this batch any more."""
    life = house.floor.lives.get(event.batch_id)
    if life is not None and life.state in {S.COMMITTED, S.QUARANTINED}:
        house.floor.released(life, draft)


def batch_divided(house: House, event: e.BatchDivided, draft: Draft) -> None:
    """The halves stand."""
    life = house.floor.lives.get(event.batch_id)
    if life is not None and life.state is S.SPLIT:
        house.floor.divided(life, event.halves, draft)


def action_failed(house: House, event: e.ActionFailed, draft: Draft) -> None:
    """It is owed still; ask again later, and say so meanwhile."""
    life = house.floor.lives.get(event.batch_id)
    if life is not None and life.owed is not None:
        house.floor.put_off(life, event.message, draft.now.mono + ASK_AGAIN_AFTER_S)


def folder_troubled(house: House, event: e.FolderTroubled, draft: Draft) -> None:
    """A folder is not as it should be: nothing is claimed until it is."""
    house.troubles[event.role, event.cause] = event.message
    if house.troubled_since is None:
        house.troubled_since = draft.now.mono


def folder_fine(house: House, event: e.FolderFine, draft: Draft) -> None:
    """A folder is as it should be (again)."""
    if house.troubles.pop((event.role, event.cause), None) is not None and not house.troubles:
        house.troubled_since = None
        house.breaker.hurry(draft.now.mono)
