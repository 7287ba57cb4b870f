"""Making the ledger again from what lies on disk: the claims, the outputs' manifests, done/ and quarantine/.

The new file is made beside the old one and takes its place at once; the old one is kept. The caller holds the
deployment's lock.
"""

from __future__ import annotations

import calendar
import json
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorewatch.ledger.ledger import Ledger
from scorewatch.ledger.opening import rebuilt_beside, sync_folder
from scorewatch.ledger.statements import SQL
from scorewatch.model import ids
from scorewatch.model.batches import BatchState, MiniBatch, SealReason
from scorewatch.model.files import Observation
from scorewatch.model.outcomes import Failure, FailureKind, Receipt
from scorewatch.model.records import BatchMoved, BatchSealed, Record, SchemaGrown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from scorewatch.model.events import Remains

_GROUP = 256  # batches in one transaction
_LOG_PARTS = ("-wal", "-shm")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebuilt:
    """What a new ledger was made from."""

    open_batches: int
    committed: int
    quarantined: int
    kept: Path | None  #: where the old ledger lies now


@dataclass(kw_only=True, slots=True)
class _Tally:
    seen: set[str] = field(default_factory=set)
    files: dict[str, int] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)

    def add(self, batch: MiniBatch, end: str) -> None:
        self.seen.add(batch.batch_id)
        self.batches[end] = self.batches.get(end, 0) + 1
        for name in ("arrived", "claimed", end):
            self.files[name] = self.files.get(name, 0) + len(batch.files)


def rebuild(
    path: Path | str,
    *,
    remains: Iterable[Remains] = (),
    manifests: Iterable[Mapping[str, Any]] = (),
    done: Iterable[tuple[str, tuple[Observation, ...]]] = (),
    quarantine: Iterable[tuple[str, tuple[Observation, ...], Mapping[str, Any]]] = (),
    tries: int = 1,
    state_id: str | None = None,
) -> Rebuilt:
    """Make the ledger again; what the old one still tells about the deployment itself is taken over.

    Args:
        path: the ledger's file.
        remains: what stands in the claims; `output` says whether its result is visible. Attempts start again.
        manifests: of every visible output.
        done: batches in `done/`, for those whose outputs were pruned: (batch id, files).
        quarantine: (batch id, files, the record beside them).
        tries: attempts of a batch that was not split; a half has one.
        state_id: the name under which the claims were made; default: the old ledger's, where it can be read.
    """
    where = Path(path)
    beside = rebuilt_beside(where)
    _remove(beside)
    tally = _Tally()
    with closing(Ledger.open(beside)) as ledger:
        _carry_over(where, ledger, state_id)
        batches = _from_claims(remains, tries, tally)
        for group in _grouped(batches, _from_disk(manifests, done, quarantine, tally)):
            ledger.record(group)
        ledger.add_counts({name: by for name, by in tally.files.items() if name != "open"})
    kept = _swap(where, beside)
    return Rebuilt(
        open_batches=tally.batches.get("open", 0),
        committed=tally.batches.get("done", 0),
        quarantined=tally.batches.get("quarantined", 0),
        kept=kept,
    )


# ---------------------------------------------------------------- what the rows are made from
def _from_claims(remains: Iterable[Remains], tries: int, tally: _Tally) -> Iterator[list[Record]]:
    for one in remains:
        if not one.claim:
            continue
        batch = _batch(one.batch_id, one.claim, tries)
        tally.add(batch, "open")
        yield _committed(batch, one.receipt) if one.output else [BatchSealed(batch=batch)]


def _from_disk(
    manifests: Iterable[Mapping[str, Any]],
    done: Iterable[tuple[str, tuple[Observation, ...]]],
    quarantine: Iterable[tuple[str, tuple[Observation, ...], Mapping[str, Any]]],
    tally: _Tally,
) -> Iterator[list[Record]]:
    for manifest in manifests:
        batch = _batch_of_manifest(manifest)
        if batch is not None and batch.batch_id not in tally.seen:
            tally.add(batch, "done")
            yield _released(_committed(batch, _receipt_of_manifest(manifest)))
    for batch_id, files in done:
        if batch_id not in tally.seen:
            batch = _batch(batch_id, files, 1)
            tally.add(batch, "done")
            yield _released(_committed(batch, None))
    for batch_id, files, record in quarantine:
        if batch_id not in tally.seen:
            batch = _batch(batch_id, files, 1)
            tally.add(batch, "quarantined")
            yield _released(_quarantined(batch, record))


def _batch(batch_id: str, files: tuple[Observation, ...], tries: int, because: SealReason | None = None) -> MiniBatch:
    half = ids.parent_of(batch_id) is not None
    return MiniBatch(
        batch_id=batch_id,
        files=files,
        total_bytes=sum(max(f.size, 0) for f in files),
        sealed_because=because or (SealReason.BISECT if half else SealReason.FLUSH),
        sealed_at=_sealed_at(batch_id),
        tries=1 if half else tries,
    )


def _sealed_at(batch_id: str) -> float:
    """When its claim was made, as its id says."""
    return float(calendar.timegm(time.strptime(batch_id[:15], "%Y%m%dT%H%M%S")))


def _batch_of_manifest(manifest: Mapping[str, Any]) -> MiniBatch | None:
    """The batch that an output was made of, or None where the manifest is not one of ours."""
    try:
        batch_id = manifest["batch_id"]
        if not ids.is_batch_id(batch_id):
            return None
        files = tuple(
            Observation(str(f["path"]), int(f["size_bytes"]), int(f["mtime_ns"]), int(f["ctime_ns"]))
            for f in manifest["files"]
        )
        return _batch(batch_id, files, 1, SealReason(manifest["sealed_because"]))
    except (KeyError, TypeError, ValueError):
        return None


def _receipt_of_manifest(manifest: Mapping[str, Any]) -> Receipt:
    rows, succeeded = (manifest.get(key) for key in ("rows", "succeeded"))
    return Receipt(
        batch_id=manifest["batch_id"],
        dispatch=0,
        rows=rows if isinstance(rows, int) else 0,
        succeeded=succeeded if isinstance(succeeded, int) else 0,
    )


# ---------------------------------------------------------------- the lives that they stand for
def _committed(batch: MiniBatch, receipt: Receipt | None) -> list[Record]:
    return [BatchSealed(batch=batch), _move(batch, BatchState.SEALED, BatchState.COMMITTED, receipt=receipt)]


def _quarantined(batch: MiniBatch, record: Mapping[str, Any]) -> list[Record]:
    failure = Failure(
        kind=_kind(record),
        message=str(record.get("message", "its record could not be read")),
        exception=str(record.get("exception", "")),
        traceback=str(record.get("traceback", "")),
    )
    return [BatchSealed(batch=batch), _move(batch, BatchState.SEALED, BatchState.QUARANTINED, failure=failure)]


def _kind(record: Mapping[str, Any]) -> FailureKind:
    try:
        return FailureKind(record.get("kind", record.get("reason", "")))
    except ValueError:
        return FailureKind.SCRIPT_RAISED


def _released(life: list[Record]) -> list[Record]:
    last = life[-1]
    assert isinstance(last, BatchMoved)  # noqa: S101 - both lives above end with a move
    released = BatchMoved(
        batch_id=last.batch_id, was=last.now, now=BatchState.RELEASED, at=last.at, attempt=0, dispatch=0
    )
    return [*life, released]


def _move(
    batch: MiniBatch,
    was: BatchState,
    now: BatchState,
    *,
    receipt: Receipt | None = None,
    failure: Failure | None = None,
) -> BatchMoved:
    return BatchMoved(
        batch_id=batch.batch_id,
        was=was,
        now=now,
        at=batch.sealed_at,
        attempt=0,
        dispatch=0,
        tries=batch.tries,
        receipt=receipt,
        failure=failure,
    )


def _grouped(*sources: Iterator[list[Record]]) -> Iterator[list[Record]]:
    group: list[Record] = []
    for number, life in enumerate((life for source in sources for life in source), start=1):
        group += life
        if number % _GROUP == 0:
            yield group
            group = []
    yield group


# ---------------------------------------------------------------- the files
def _carry_over(old: Path, new: Ledger, state_id: str | None) -> None:
    """Take over what the old ledger can still tell: its name, epoch, folders, and the output's schema."""
    facts: dict[str, Any] = {}
    columns: list[tuple[str, str]] = []
    with (
        suppress(sqlite3.Error, ValueError),
        closing(sqlite3.connect(f"{old.absolute().as_uri()}?mode=ro", uri=True)) as db,
    ):
        facts = {key: json.loads(value) for key, value in db.execute(SQL["all_meta"])}
        columns = [(json.loads(name), json.loads(kind)) for name, kind in db.execute(SQL["schema"])]
    facts.pop("clean_stop", None)
    if state_id is not None:
        facts["state_id"] = state_id
    new.set_facts(facts)
    new.record([SchemaGrown(columns=tuple(columns))])


def _remove(path: Path) -> None:
    for part in ("", *_LOG_PARTS):
        path.with_name(path.name + part).unlink(missing_ok=True)


def _swap(path: Path, beside: Path) -> Path | None:
    """Put the new file in place of the old one, which is kept under a name with the time.

    The old name goes first, its log after it: a stale log beside a new file would be taken for its own. Cut short
    in between, there is a new file and no old one, which `Ledger.open` refuses until the rebuild is run again.
    """
    kept: Path | None = None
    if path.exists():
        kept = path.with_name(f"{path.name}.broken-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
        path.rename(kept)
        sync_folder(path.parent)
    for part in _LOG_PARTS:
        stale = path.with_name(path.name + part)
        if stale.exists():
            stale.rename((kept or path).with_name((kept.name if kept else path.name + ".broken") + part))
    sync_folder(path.parent)
    beside.rename(path)
    sync_folder(path.parent)
    return kept
