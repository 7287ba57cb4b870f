"""What happened, in the past tense; plain values that the loop hands to the scheduler.

Events that speak of files carry lists of files: per-file work in the daemon is what bounds its throughput.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from scorewatch.model.batches import BatchState, MiniBatch
    from scorewatch.model.files import Observation, Refusal
    from scorewatch.model.outcomes import Failure, Receipt
    from scorewatch.model.policy import Policy


# ---------------------------------------------------------------- the inbox
@dataclass(frozen=True, slots=True)
class FilesSettled:
    """Files are there, and as far as the sweep can tell nobody writes to them any more."""

    files: tuple[Observation, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class FilesRefused:
    """Files that policy refuses were moved to `skipped/<skip_id>/` (or could not be: `moved` is False)."""

    skip_id: str
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepEnded:
    """The inbox was looked through once, to its end."""

    offered: int  #: files handed over in this pass
    settling: int  #: files that are there and not whole yet
    unsettled: tuple[str, ...] = ()  #: the first few of them, to be listed
    waiting: int = 0  #: handed over, now or earlier, and neither claimed nor gone


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchClaimed:
    """The claim of `ticket` is over: `batch.files` are ours now; none, if all were busy or gone."""

    ticket: int
    batch_id: str
    files: tuple[Observation, ...]
    busy: int = 0  #: a writer had them open after all: they stay in the inbox
    vanished: int = 0  #: withdrawn by their owner, or taken by another deployment


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimFailed:
    """Nothing could be claimed because of the environment; the files are where they were."""

    ticket: int
    message: str


# ---------------------------------------------------------------- what a start finds
@dataclass(frozen=True, kw_only=True, slots=True)
class Remains:
    """One batch as an earlier daemon left it: the ledger's row, if any, and what stands on disk."""

    batch_id: str
    row: MiniBatch | None  #: None: a claim directory without a row
    state: BatchState
    clean_stop: bool  #: the daemon before this one ended by itself, so a RUNNING batch was no interruption
    claim: tuple[Observation, ...] | None  #: files in the claim directory; None: there is none
    output: bool  #: its output is visible, and its manifest names the same files
    receipt: Receipt | None = None  #: from that manifest
    failure: Failure | None = None  #: why it was set aside, from the row


@dataclass(frozen=True, slots=True)
class RemainsFound:
    """Everything that an earlier daemon left, read before the first claim."""

    remains: tuple[Remains, ...]


# ---------------------------------------------------------------- the disk's answers
@dataclass(frozen=True, kw_only=True, slots=True)
class BatchPublished:
    """A batch's output is visible and durable."""

    batch_id: str
    dispatch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishFailed:
    """A batch's output could not be published; `inputs` are set where they changed while they were read."""

    batch_id: str
    dispatch: int
    failure: Failure
    inputs: tuple[Observation, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchReleased:
    """The inputs of a committed or quarantined batch left the claim, and its summary line is written."""

    batch_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchDivided:
    """The files of a SPLIT batch lie in the claims of its halves."""

    batch_id: str
    halves: tuple[tuple[str, tuple[Observation, ...]], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionFailed:
    """A release, a set-aside or a split did not work; it is owed still, and tried again later."""

    batch_id: str
    message: str


class Role(StrEnum):
    """The three folders of a deployment."""

    INBOX = "inbox"
    OUTBOX = "outbox"
    STATE = "state"


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderTroubled:
    """A folder is gone, is another one than last time, is full or read-only; said again while it lasts."""

    role: Role
    message: str
    cause: str = ""  #: who looked: "" the inbox's own thread; "room", "identity": housekeeping; "ledger"


@dataclass(frozen=True, slots=True)
class FolderFine:
    """What `cause` had against a folder is over."""

    role: Role
    cause: str = ""


# ---------------------------------------------------------------- the workers
@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerReady:
    """A worker finished init() and waits for its first batch."""

    worker_id: int
    pid: int
    init_s: float
    rss_bytes: int = 0
    model: str = ""  #: what it loaded, for the manifest
    script_sha256: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerInitFailed:
    """A worker could not load the scorer; it ends by itself."""

    worker_id: int
    failure: Failure


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerDied:
    """A worker process ended; `log_tail` is the last of what it printed."""

    worker_id: int
    exit_code: int  #: negative: killed by that signal
    log_tail: str = ""
    because: str = ""  #: why the executor itself ended it, where it did (it sent garbage)
    out_of_memory: bool = False  #: the kernel's OOM killer took it, as far as that can be known


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchStarted:
    """run() is about to be called."""

    worker_id: int
    batch_id: str
    dispatch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRan:
    """run() returned something usable; its rows are being written."""

    worker_id: int
    batch_id: str
    dispatch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchScored:
    """The output of a batch lies whole and fsynced in `staging`."""

    worker_id: int
    receipt: Receipt
    staging: str  #: absolute path


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchFailed:
    """An attempt failed, and the worker lives on."""

    worker_id: int
    batch_id: str
    dispatch: int
    failure: Failure


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderReturned:
    """A hand-out came back unstarted: taken back, or its worker was gone before it got there."""

    worker_id: int
    batch_id: str
    dispatch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SchemaAsked:
    """A worker's rows bring columns that the output schema lacks; it waits for the answer."""

    worker_id: int
    batch_id: str
    dispatch: int
    columns: tuple[tuple[str, str], ...]


# ---------------------------------------------------------------- control
@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody asked the service to end; `now` drops what runs (and loses nothing by it)."""

    now: bool = False


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """The configuration was read again and holds for batches sealed from now on."""

    policy: Policy


@dataclass(frozen=True, slots=True)
class ClockTicked:
    """A turn of the loop, whatever else happened."""


Event: TypeAlias = (
    FilesSettled
    | FilesRefused
    | SweepEnded
    | BatchClaimed
    | ClaimFailed
    | RemainsFound
    | BatchPublished
    | PublishFailed
    | BatchReleased
    | BatchDivided
    | ActionFailed
    | FolderTroubled
    | FolderFine
    | WorkerReady
    | WorkerInitFailed
    | WorkerDied
    | BatchStarted
    | BatchRan
    | BatchScored
    | BatchFailed
    | OrderReturned
    | SchemaAsked
    | StopRequested
    | PolicyChanged
    | ClockTicked
)
