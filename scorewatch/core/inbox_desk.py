"""The scheduler's desk for the inbox: arrivals, claims, refusals, and what a start finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorewatch.core import recovery
from scorewatch.core.arrivals import take_over
from scorewatch.core.recovery import Owed
from scorewatch.model.batches import MiniBatch
from scorewatch.model.decisions import ListSkipped
from scorewatch.model.records import FilesSkipped

if TYPE_CHECKING:
    from scorewatch.core.draft import Draft
    from scorewatch.core.house import House
    from scorewatch.model import events as e

#: What is owed for files that are counted as done or failed only from now on; the others were counted before.
_COUNTED_LATER = frozenset({Owed.SEAL, Owed.WAIT, Owed.RETURNED, Owed.INTERRUPTED, Owed.COMMIT, Owed.DIVIDE})


def files_settled(house: House, event: e.FilesSettled, draft: Draft) -> None:
    """Files are ready."""
    house.intake.arrive(event.files, draft.now.mono)
    house.nothing_new_since = None


def files_refused(house: House, event: e.FilesRefused, draft: Draft) -> None:
    """Policy refused files: no silence about them."""
    house.skipped += len(event.refusals)
    draft.record(FilesSkipped(skip_id=event.skip_id, refusals=event.refusals, at=draft.now.wall))
    draft.act(ListSkipped(skip_id=event.skip_id, refusals=event.refusals))


def sweep_ended(house: House, event: e.SweepEnded, draft: Draft) -> None:
    """The inbox was looked through; for --once, remember since when it has nothing new."""
    house.last_sweep = event
    if event.offered or event.waiting:
        house.nothing_new_since = None
    elif house.nothing_new_since is None:
        house.nothing_new_since = draft.now.mono


def batch_claimed(house: House, event: e.BatchClaimed, draft: Draft) -> None:
    """Files are ours: seal them."""
    because = house.intake.claimed(event)
    if because is None or not event.files:
        if event.ticket == house.probe_ticket:
            house.probe_ticket = None
        return
    if event.ticket == house.probe_ticket:
        house.probe_ticket = None
        house.breaker.probing = event.batch_id
    batch = MiniBatch(
        batch_id=event.batch_id,
        files=event.files,
        total_bytes=sum(file.size for file in event.files),
        sealed_because=because,
        sealed_at=draft.now.wall,
        tries=house.tries,
    )
    house.floor.seal(batch, draft)


def claim_failed(house: House, event: e.ClaimFailed, draft: Draft) -> None:
    """The environment failed: pause; the files are where they were, and come again with a sweep."""
    house.intake.failed(event.ticket)
    if event.ticket == house.probe_ticket:
        house.probe_ticket = None
    house.breaker.failed(f"claim {event.ticket}", event.message, draft.now.mono, at_once=True)


def remains_found(house: House, event: e.RemainsFound, draft: Draft) -> None:
    """Take over what an earlier daemon left, before anything new is claimed."""
    found = recovery.judge(event.remains, house.tries, draft.now.wall)
    for finding, remains in zip(found, event.remains, strict=True):
        take_over(finding, remains, house.floor, house.policy.retry, draft)
        if finding.owed in _COUNTED_LATER:
            house.recovered_files += len(finding.batch.files)
    house.recovered = True
