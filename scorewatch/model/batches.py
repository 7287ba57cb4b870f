"""A mini-batch, and the states that it passes through."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scorewatch.model.files import Observation


class BatchState(StrEnum):
    """Where a batch is in its life; the legal moves are a table in `core.lifecycle`."""

    CLAIMED = "claimed"  #: its claim directory stands; no row in the ledger yet
    SEALED = "sealed"  #: in the ledger, waiting for a worker
    RUNNING = "running"  #: handed to a worker
    SCORED = "scored"  #: its output lies whole in staging
    COMMITTED = "committed"  #: its output is visible and durable
    RELEASED = "released"  #: its inputs left the claim; nothing is owed
    SPLIT = "split"  #: its files go to two halves
    QUARANTINED = "quarantined"  #: its files are set aside
    VOID = "void"  #: its claim turned out to hold none of its files (undone by a power cut, or emptied by hand)


class SealReason(StrEnum):
    """Why a batch was closed to further files."""

    FILES = "files"
    BYTES = "bytes"
    WAIT = "wait"
    FLUSH = "flush"  #: --once, or what a crash left unsealed
    BISECT = "bisect"


@dataclass(frozen=True, kw_only=True, slots=True)
class MiniBatch:
    """Files that are scored together.

    `attempt` counts blame and limits retries; `dispatch` counts hand-outs and is never used twice, so that an
    answer to an older hand-out is known for what it is.
    """

    batch_id: str
    files: tuple[Observation, ...]
    total_bytes: int
    sealed_because: SealReason
    sealed_at: float  #: seconds since 1970, UTC
    tries: int  #: attempts that it may have before it is split or set aside
    attempt: int = 0  #: attempts begun
    dispatch: int = 0
    interruptions: int = 0  #: in a row, by the death of the daemon or by the environment
    cut: int = 0  #: where a split divides `files`; 0: in the middle
