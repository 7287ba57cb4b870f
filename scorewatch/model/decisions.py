"""What to do, in the imperative; plain values that the scheduler hands to the effects.

A decision's records are durable before the first of its actions starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from scorewatch.model.batches import MiniBatch, SealReason
    from scorewatch.model.errors import ExitCode
    from scorewatch.model.files import Observation, Refusal
    from scorewatch.model.outcomes import Failure, Receipt
    from scorewatch.model.records import Record


# ---------------------------------------------------------------- for the inbox
@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """Take these files for a new batch; the answer bears the ticket."""

    ticket: int
    files: tuple[Observation, ...]
    because: SealReason


# ---------------------------------------------------------------- for the workers
@dataclass(frozen=True, kw_only=True, slots=True)
class RunBatch:
    """Hand a batch to a worker."""

    worker_id: int
    batch: MiniBatch
    run_timeout_s: float
    schema: tuple[tuple[str, str], ...]  #: the deployment's output schema so far: (column, type)


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdraw:
    """Take a batch back from a worker that has not started it."""

    worker_id: int
    batch_id: str
    dispatch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerSchema:
    """Tell a waiting worker the output schema, the columns that it asked for among it."""

    worker_id: int
    batch_id: str
    dispatch: int
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StartWorker:
    """Start a worker process in a slot."""

    worker_id: int
    slot: int
    generation: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StopWorker:
    """Let a worker end by itself: shutdown() is called, then it exits."""

    worker_id: int


@dataclass(frozen=True, kw_only=True, slots=True)
class KillWorker:
    """SIGKILL to a worker's process group."""

    worker_id: int
    because: str


# ---------------------------------------------------------------- for the disk
@dataclass(frozen=True, kw_only=True, slots=True)
class SyncClaim:
    """Make the claim of a batch durable; may go on while run() does, and ends before its output is published."""

    batch: MiniBatch


@dataclass(frozen=True, kw_only=True, slots=True)
class Publish:
    """Look once more whether the inputs changed, add the manifest, and make the output visible and durable."""

    batch: MiniBatch
    receipt: Receipt
    staging: str
    worker_id: int
    slot: int
    model: str
    script_sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """Write the summary line of a committed batch, if it isn't there, and move its inputs out of the claim."""

    batch: MiniBatch


@dataclass(frozen=True, kw_only=True, slots=True)
class SetAside:
    """Move a batch's files to quarantine, with the failure beside them, and list each in `errors/`."""

    batch: MiniBatch
    failure: Failure


@dataclass(frozen=True, kw_only=True, slots=True)
class Divide:
    """Move the files of a split batch into the claims of its halves."""

    batch: MiniBatch
    halves: tuple[tuple[str, tuple[Observation, ...]], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DropClaim:
    """Remove the empty claim directory of a batch that turned out to hold nothing."""

    batch_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ListSkipped:
    """Write one line in `errors/` for each refused file."""

    skip_id: str
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClearStaging:
    """Remove what a dead worker left in staging."""

    worker_id: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DropStaging:
    """Remove one staged output that is not going to be published."""

    staging: str  #: absolute path


@dataclass(frozen=True, kw_only=True, slots=True)
class Exit:
    """End the loop: nothing is owed that the next start would not do."""

    code: ExitCode
    message: str = ""


Action: TypeAlias = (
    Claim
    | RunBatch
    | Withdraw
    | AnswerSchema
    | StartWorker
    | StopWorker
    | KillWorker
    | SyncClaim
    | Publish
    | Release
    | SetAside
    | Divide
    | DropClaim
    | ListSkipped
    | ClearStaging
    | DropStaging
    | Exit
)


@dataclass(frozen=True, slots=True)
class Decision:
    """Records, committed first in one transaction, then actions."""

    records: tuple[Record, ...] = ()
    actions: tuple[Action, ...] = ()


NOTHING = Decision()
