"""What the ledger is told: each value one durable fact, all of a decision's in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from scorewatch.model.batches import BatchState, MiniBatch
    from scorewatch.model.files import Observation, Refusal
    from scorewatch.model.outcomes import Failure, Receipt


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchSealed:
    """A batch enters the ledger, SEALED. An equal row that stands already is no error (recovery repeats)."""

    batch: MiniBatch


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchMoved:
    """A batch moves from one state to the next; a row in another state than `was` is an error."""

    batch_id: str
    was: BatchState
    now: BatchState
    at: float  #: seconds since 1970
    attempt: int
    dispatch: int
    interruptions: int = 0
    tries: int = 1  #: with SPLIT: of each half
    files: tuple[Observation, ...] | None = None  #: set where members, their order or their identity changed
    cut: int = 0  #: with SPLIT: where `files` is divided; 0: in the middle
    worker_id: int | None = None
    receipt: Receipt | None = None  #: with COMMITTED
    failure: Failure | None = None  #: with QUARANTINED, SPLIT, and back to SEALED after a failed attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class FilesSkipped:
    """Files were refused by policy; `skip_id` names their folder under `skipped/`."""

    skip_id: str
    refusals: tuple[Refusal, ...]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SchemaGrown:
    """The deployment's output schema gained columns, or an equal one was asked again."""

    columns: tuple[tuple[str, str], ...]  #: (name, type as the worker spelled it)


Record: TypeAlias = BatchSealed | BatchMoved | FilesSkipped | SchemaGrown
