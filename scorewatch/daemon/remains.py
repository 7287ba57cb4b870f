"""Reads what an earlier daemon left: the ledger's open rows, the claims that stand, the outputs that are visible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from scorewatch.model.batches import BatchState as S
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.model.events import Remains
from scorewatch.outbox.manifest import files_match, identities, receipt_from

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from scorewatch.model.files import Observation
    from scorewatch.model.outcomes import Failure, Receipt
    from scorewatch.model.ports import Outbox


class _Ledger(Protocol):
    def open_batches(self) -> Sequence[tuple[MiniBatch, S]]: ...

    def batch(self, batch_id: str) -> tuple[MiniBatch, S] | None: ...

    def failure_of(self, batch_id: str) -> Failure | None: ...


class _Claims(Protocol):
    moves_files: bool

    def look(self, batch: MiniBatch) -> tuple[Observation | None, ...]: ...

    def remains(self, sealed: Collection[str] | None = None) -> Mapping[str, tuple[Observation, ...]]: ...


_MAY_HAVE_OUTPUT = frozenset({S.CLAIMED, S.SEALED, S.RUNNING, S.COMMITTED, S.RELEASED})


def read_remains(ledger: _Ledger, claims: _Claims, outbox: Outbox, *, clean_stop: bool) -> tuple[Remains, ...]:
    """Every batch that something may be owed to, oldest first.

    Raises:
        ScorewatchError: exit code 6, an output stands under a batch's name that was made of other files.
    """
    rows = {batch.batch_id: (batch, state) for batch, state in ledger.open_batches()}
    standing = claims.remains(rows.keys())
    # A claim that stands though its row is closed: its last rename was not durable when the power went.
    closed = [row for row in map(ledger.batch, standing.keys() - rows.keys()) if row is not None]
    rows |= {batch.batch_id: (batch, state) for batch, state in closed}
    found = []
    for batch_id in sorted(rows.keys() | standing.keys()):
        row, state = rows.get(batch_id, (None, S.CLAIMED))
        claim = standing.get(batch_id) if claims.moves_files or row is None else _unmoved(claims, row)
        receipt = _output(outbox, batch_id, row, claim) if state in _MAY_HAVE_OUTPUT else None
        found.append(
            Remains(
                batch_id=batch_id,
                row=row,
                state=state,
                clean_stop=clean_stop,
                claim=claim,
                output=receipt is not None,
                receipt=receipt,
                failure=ledger.failure_of(batch_id) if state is S.QUARANTINED else None,
            )
        )
    return tuple(found)


def _unmoved(claims: _Claims, row: MiniBatch) -> tuple[Observation, ...]:
    """Where nothing is moved, a claim holds what is in the inbox still; what changed comes again as a new arrival."""
    seen = zip(row.files, claims.look(row), strict=True)
    return tuple(now for then, now in seen if now is not None and then.same_content(now))


def _output(
    outbox: Outbox, batch_id: str, row: MiniBatch | None, claim: tuple[Observation, ...] | None
) -> Receipt | None:
    """The receipt in the manifest of a batch's visible output; None: there is no output."""
    manifest = outbox.manifest(batch_id)
    if manifest is None:
        return None
    batch = row or _unsealed(batch_id, claim or ())
    is_ours = files_match(manifest, batch) or _made_of_present(manifest, claim or ())
    if not is_ours and not (row is None and _made_of_more(manifest, claim or ())):
        raise ScorewatchError(
            f"an output stands under the name of batch {batch_id} that was not made of its files",
            where=batch_id,
            hint="nothing was overwritten; move it away if it isn't yours, and start the service again",
            exit_code=ExitCode.FOLDER_UNUSABLE,
        )
    return receipt_from(manifest)


def _made_of_present(manifest: Mapping[str, object], claim: tuple[Observation, ...]) -> bool:
    """Whether the output was made of what the claim holds, though the row is older (a file had changed)."""
    return bool(claim) and identities(manifest) == sorted((f.relpath, f.size, f.mtime_ns) for f in claim)


def _made_of_more(manifest: Mapping[str, object], claim: tuple[Observation, ...]) -> bool:
    """Whether the output was made of what the claim holds and of files that were deleted since, with their release."""
    theirs = identities(manifest)
    return theirs is not None and {(f.relpath, f.size, f.mtime_ns) for f in claim} <= set(theirs)


def _unsealed(batch_id: str, files: tuple[Observation, ...]) -> MiniBatch:
    return MiniBatch(
        batch_id=batch_id, files=files, total_bytes=0, sealed_because=SealReason.FLUSH, sealed_at=0.0, tries=1
    )
