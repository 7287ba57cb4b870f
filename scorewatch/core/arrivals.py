"""What a start does with each batch that an earlier daemon left, as records and actions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from scorewatch.core import retry
from scorewatch.core.floor import divide
from scorewatch.core.recovery import Finding, Owed
from scorewatch.model.batches import BatchState as S
from scorewatch.model.decisions import DropClaim, Release, SetAside, SyncClaim
from scorewatch.model.outcomes import Failure, FailureKind

if TYPE_CHECKING:
    from scorewatch.core.draft import Draft
    from scorewatch.core.floor import Floor
    from scorewatch.model.events import Remains
    from scorewatch.model.policy import RetryLimits

_UNKNOWN = Failure(kind=FailureKind.INTERRUPTED, message="the reason was lost with the ledger")
_INTERRUPTED = Failure(kind=FailureKind.INTERRUPTED, message="scorewatch or the machine died while it was scored")

_STRAY = Failure(
    kind=FailureKind.INTERRUPTED,
    message="it lay in the claim of a batch that it does not belong to: its name was changed after it was claimed",
)


def take_over(finding: Finding, remains: Remains, floor: Floor, limits: RetryLimits, draft: Draft) -> None:
    """Do what is owed for one batch that no worker needs to see again, or put it back in line."""
    batch, state = finding.batch, finding.state
    match finding.owed:
        case Owed.SEAL:
            floor.seal(batch, draft)
        case Owed.VOID:
            _clear_claim(finding, remains, floor, draft)
        case Owed.WAIT | Owed.RETURNED | Owed.INTERRUPTED:
            _back_in_line(finding, remains, floor, limits, draft)
        case Owed.COMMIT:
            if state is S.CLAIMED:
                floor.seal(batch, draft)
                state = S.SEALED
            floor.committed(floor.adopt(batch, state), remains.receipt, draft)
        case Owed.RELEASE:
            floor.owe(floor.adopt(batch, state), Release(batch=batch), draft)
        case Owed.SET_ASIDE:
            failure = remains.failure or _UNKNOWN
            floor.owe(floor.adopt(batch, state), SetAside(batch=batch, failure=failure), draft)
        case Owed.DIVIDE:
            floor.owe(floor.adopt(batch, state), divide(batch), draft)


def _clear_claim(finding: Finding, remains: Remains, floor: Floor, draft: Draft) -> None:
    """Nothing in the claim is the batch's; what lies there all the same is not passed over in silence."""
    batch = finding.batch
    if remains.claim:
        draft.act(SetAside(batch=replace(batch, files=remains.claim), failure=_STRAY))
    else:
        draft.act(DropClaim(batch_id=batch.batch_id))
    if finding.state is not S.CLAIMED:
        floor.void(floor.adopt(batch, finding.state), draft)


def _back_in_line(finding: Finding, remains: Remains, floor: Floor, limits: RetryLimits, draft: Draft) -> None:
    """SEALED again; what ran when the daemon died has one more interruption, and no blame."""
    batch = finding.batch
    draft.act(SyncClaim(batch=batch))
    if finding.owed is Owed.WAIT:
        floor.adopt(batch, S.SEALED)
        if remains.row is not None and batch.files != remains.row.files:
            life = floor.lives[batch.batch_id]
            floor.queue.pop()
            floor.again(life, None, retry.TryAgain(pause_s=0.0, costs_attempt=True), draft)
        return
    life = floor.adopt(batch, S.RUNNING)
    if finding.owed is Owed.RETURNED:
        floor.give_back(life, draft)
        return
    life.batch = replace(batch, interruptions=batch.interruptions + 1)
    match retry.judge(life.batch, _INTERRUPTED, limits):
        case retry.TryAgain():
            floor.again(life, _INTERRUPTED, retry.TryAgain(pause_s=0.0, costs_attempt=False), draft)
        case retry.SplitInHalves(tries=tries):
            floor.split(life, _INTERRUPTED, tries, draft)
        case retry.SetAside():
            floor.set_aside(life, _INTERRUPTED, draft)
