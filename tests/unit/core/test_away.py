"""While a folder is away no batch is handed out: its files would be blamed for what nobody's file did."""

from __future__ import annotations

import pytest

from scorewatch.core.draft import Instant
from scorewatch.core.scheduler import Scheduler
from scorewatch.model import decisions as d
from scorewatch.model import events as e
from scorewatch.model.batches import SealReason
from scorewatch.model.files import Observation
from scorewatch.model.policy import Policy

BATCH = "20261122T213741Z-8f0c2a6b1d3e4f5a6b7c"


@pytest.mark.parametrize(
    ("role", "cause", "runs"),
    [
        (e.Role.INBOX, "", False),
        (e.Role.OUTBOX, "identity", False),
        (e.Role.OUTBOX, "room", True),
    ],
)
def test_batches_wait_until_the_folder_is_back(role: e.Role, cause: str, runs: bool) -> None:
    scheduler = Scheduler(Policy())
    actions: list[d.Action] = []

    def tell(event: e.Event) -> list[d.RunBatch]:
        decided = scheduler.handle(event, Instant(10.0, 10.0)).actions
        actions.extend(decided)
        return [action for action in decided if isinstance(action, d.RunBatch)]

    tell(e.RemainsFound(()))
    tell(e.WorkerReady(worker_id=1, pid=1, init_s=0.0))
    tell(e.FilesSettled(tuple(Observation(str(number), 1) for number in range(10))))
    (claim,) = [action for action in actions if isinstance(action, d.Claim)]
    assert claim.because is SealReason.FILES
    tell(e.FolderTroubled(role=role, message="it is not there", cause=cause))
    handed = tell(e.BatchClaimed(ticket=claim.ticket, batch_id=BATCH, files=claim.files))
    assert bool(handed) is runs
    assert len(handed + tell(e.FolderFine(role=role, cause=cause))) == 1
