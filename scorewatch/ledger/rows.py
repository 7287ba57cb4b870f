"""How batches, files and failures are spelled in the ledger's rows."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from scorewatch.model import ids
from scorewatch.model.batches import BatchState, MiniBatch, SealReason
from scorewatch.model.files import Observation, Refusal, RefusalReason
from scorewatch.model.outcomes import Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_TEXT = 16_000  # characters of a traceback or a log that are kept; their ends tell most

_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode


def to_json(value: object) -> str:
    """JSON in ASCII, without spaces."""
    return _compact(value)


def pack_files(files: Sequence[Observation]) -> bytes:
    """The files of a batch as one value."""
    return _compact([[f.relpath, f.size, f.mtime_ns, f.ctime_ns, f.dev, f.inode] for f in files]).encode("ascii")


def unpack_files(packed: bytes) -> tuple[Observation, ...]:
    """The files of a batch.

    Raises:
        ValueError, TypeError: where the value is no list of files.
    """
    return tuple(Observation(*_checked(entry)) for entry in json.loads(packed))


def _checked(entry: Any) -> list[Any]:  # noqa: ANN401 - whatever the JSON holds
    relpath, *numbers = entry
    if not isinstance(relpath, str) or len(numbers) != len(fields(Observation)) - 2:
        raise ValueError(f"no file: {str(entry)[:80]}")
    return [relpath, *(int(number) for number in numbers)]


def needle(relpath: str) -> bytes:
    """What every packed list of files holds that has this one among them."""
    return b"[" + _compact(relpath).encode("ascii") + b","


def pack_refusals(refusals: Sequence[Refusal]) -> bytes:
    """Refused files as one value."""
    return _compact([[r.relpath, r.reason, r.detail, r.size, r.moved] for r in refusals]).encode("ascii")


def unpack_refusals(packed: bytes) -> tuple[Refusal, ...]:
    """Refused files."""
    return tuple(
        Refusal(relpath, RefusalReason(reason), detail, size, moved)
        for relpath, reason, detail, size, moved in json.loads(packed)
    )


def failure_to_dict(failure: Failure) -> dict[str, Any]:
    """A failure without its empty fields, its long texts cut at the front."""
    spelled = {field.name: getattr(failure, field.name) for field in fields(failure)}
    return {
        key: value[-LONGEST_TEXT:] if key in {"traceback", "log_tail", "message"} else value
        for key, value in spelled.items()
        if value
    }


def failure_from(text: str | None) -> Failure | None:
    """The failure in a row, or None."""
    if text is None:
        return None
    spelled = json.loads(text)
    return Failure(**{**spelled, "kind": FailureKind(spelled["kind"])})


def batch_to_row(batch: MiniBatch, state: BatchState) -> dict[str, Any]:
    """The values of a new row."""
    return {
        "batch_id": batch.batch_id,
        "parent_id": ids.parent_of(batch.batch_id),
        "state": state.value,
        "attempt": batch.attempt,
        "dispatch": batch.dispatch,
        "interruptions": batch.interruptions,
        "tries": batch.tries,
        "cut": batch.cut,
        "sealed_because": batch.sealed_because.value,
        "sealed_at": batch.sealed_at,
        "total_bytes": batch.total_bytes,
        "n_files": len(batch.files),
    }


def batch_from_row(row: Sequence[Any]) -> tuple[MiniBatch, BatchState]:
    """The batch and its state, from a row of `open_batches`."""
    batch_id, state, attempt, dispatch, interruptions, tries, cut, because, sealed_at, total_bytes, packed = row
    batch = MiniBatch(
        batch_id=batch_id,
        files=unpack_files(packed),
        total_bytes=total_bytes,
        sealed_because=SealReason(because),
        sealed_at=sealed_at,
        tries=tries,
        cut=cut,
        attempt=attempt,
        dispatch=dispatch,
        interruptions=interruptions,
    )
    return batch, BatchState(state)
