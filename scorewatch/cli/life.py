"""Everything that is known of one input: from the inbox, the ledger, and what lies aside or is done."""

from __future__ import annotations

import os
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorewatch.cli.looking import InboxLook
from scorewatch.cli.refused import still_refused
from scorewatch.cli.standing import output_of, owner_of
from scorewatch.core.readiness import Ignore, Lease, Marker
from scorewatch.inbox import moves, probe
from scorewatch.ledger.reading import LedgerReader
from scorewatch.model import ids
from scorewatch.outbox.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scorewatch.cli.opened import Deployment
    from scorewatch.ledger.reading import BatchRow, HistoryRow, SkipRow


@dataclass(slots=True)
class Life:
    """What was found; the lists are oldest first."""

    file: str
    here: dict[str, Any] | None = None  #: what lies in the inbox under this name now
    claimed: list[str] = field(default_factory=list)  #: batches in whose claim it lies now; "" is parked
    batches: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    quarantine: list[dict[str, Any]] = field(default_factory=list)  #: that lie there now
    done: list[str] = field(default_factory=list)  #: where its inputs lie
    outputs: list[dict[str, Any]] = field(default_factory=list)  #: manifests, where the ledger does not know the file

    @property
    def known(self) -> bool:
        """Whether anything at all was found."""
        return any((self.here, self.claimed, self.batches, self.skipped, self.quarantine, self.done, self.outputs))

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "known": self.known}


def life_of(deployment: Deployment, relpath: str) -> Life:
    """Look everywhere.

    Raises:
        ScorewatchError: the ledger can't be read.
        OSError: the inbox can't be looked into.
    """
    life = Life(relpath)
    owner, skips = _ask_ledger(deployment, life)
    with InboxLook(deployment.settings.inbox, owner) as look:
        life.here = _here(look, deployment, life)
        if life.here is not None:
            life.here["stuck"] = next((asdict(one) for one in still_refused(reversed(skips), look.fd)), None)
        life.claimed = [batch_id for batch_id, path in look.claimed() if path == relpath]
        life.quarantine = [
            {"path": aside.path, "batch_id": aside.group, "record": aside.record_path, **_why(aside.record)}
            for aside in look.quarantined()
            if aside.relpath == relpath
        ]
        if not life.skipped:
            life.skipped = [
                {"skip_id": aside.group, "path": aside.path, **_why(aside.record)}
                for aside in look.skipped()
                if aside.relpath == relpath
            ]
        life.done = list(look.done(relpath, [batch["batch_id"] for batch in life.batches] or None))
    if not life.batches:
        life.outputs = _manifests(deployment, relpath)
    return life


# ---------------------------------------------------------------- the ledger
def _ask_ledger(deployment: Deployment, life: Life) -> tuple[str, list[SkipRow]]:
    """Fill in what it knows; the owner of this deployment's claims, and when the file was skipped."""
    if not deployment.ledger.exists():
        return "", []
    with LedgerReader(deployment.ledger) as ledger:
        for row in ledger.find_file(life.file):
            told = _batch(row, ledger.history(row.batch_id))
            output = output_of(row, deployment.settings.output.path)
            told["output"] = output if output and Path(output).is_dir() else None
            told["same_as"] = next(
                ([f.size, f.mtime_ns, f.ctime_ns] for f in ledger.members(row.batch_id) if f.relpath == life.file), []
            )
            told["halves"] = [half.batch_id for half in ledger.halves_of(row.batch_id)]
            life.batches.append(told)
        skips = ledger.find_skipped(life.file)
        for skip in skips:
            life.skipped += [
                {"skip_id": skip.skip_id, "at": skip.at, "reason": str(one.reason), "message": one.detail}
                for one in skip.refusals
            ]
        return owner_of(deployment.name, ledger.facts()), skips


def _batch(row: BatchRow, history: list[HistoryRow]) -> dict[str, Any]:
    return {
        "batch_id": row.batch_id,
        "parent_id": row.parent_id,
        "state": str(row.state),
        "outcome": str(row.outcome) if row.outcome else None,
        "files": row.n_files,
        "sealed_because": str(row.sealed_because),
        "sealed_at": row.sealed_at,
        "started_at": row.started_at,
        "committed_at": row.committed_at,
        "attempt": row.attempt,
        "tries": row.tries,
        "worker_id": row.worker_id,
        "rows": row.rows,
        "failed": row.failed,
        "failure": _failure(row),
        "history": [_told(one) for one in history],
    }


def _told(one: HistoryRow) -> dict[str, Any]:
    return {
        "at": one.at,
        "event": str(one.event),
        "was": str(one.was),
        "attempt": one.attempt,
        "worker_id": one.worker_id,
        "interruptions": one.interruptions,
        "failure": _failure(one),
    }


def _failure(row: BatchRow | HistoryRow) -> dict[str, str] | None:
    failure = row.failure
    if failure is None:
        return None
    return {"kind": str(failure.kind), "message": failure.message, "traceback": failure.traceback}


def _manifests(deployment: Deployment, relpath: str) -> list[dict[str, Any]]:
    """Outputs that were made of a file of this name, where the ledger is new and does not know it."""
    outbox = deployment.settings.output.path
    if not (outbox / "batches").is_dir():
        return []
    return [
        {"batch_id": manifest.get("batch_id"), "committed_at": manifest.get("committed_at"), "output": place}
        for manifest in Outbox(outbox, durable=False).manifests()
        if any(file.get("path") == relpath for file in manifest.get("files", ()))
        and (place := _place(outbox, manifest))
    ]


def _place(outbox: os.PathLike[str], manifest: Mapping[str, Any]) -> str:
    batch_id = str(manifest.get("batch_id"))
    return f"{os.fspath(outbox)}/batches/sealed_date={ids.sealed_date(batch_id)}/{batch_id}"


# ---------------------------------------------------------------- the inbox
def _here(look: InboxLook, deployment: Deployment, life: Life) -> dict[str, Any] | None:
    """What lies in the inbox under this name, and what will become of it."""
    relpath = life.file
    folder, base = moves.split(relpath)
    try:
        with moves.Folders(look.fd) as folders:
            fd = folders.at(folder)
            seen = os.stat(base, dir_fd=fd, follow_symlinks=False)
            writer = stat.S_ISREG(seen.st_mode) and probe.probe(fd, base, relpath).lease is Lease.BUSY
    except (OSError, ValueError):
        return None
    inbox = deployment.settings.inbox
    verdict, kind = look.rules().judge_name(relpath), probe.kind_of(seen.st_mode)
    marks = Marker(suffix=inbox.marker_suffix).marks(relpath) if inbox.ready_when == "marker" else None
    return {
        "path": f"{inbox.path}/{relpath}",
        "size_bytes": seen.st_size,
        "changed_at": seen.st_mtime,
        "ignored_by": verdict.rule if isinstance(verdict, Ignore) else None,
        "folder": stat.S_ISDIR(seen.st_mode),
        "refused": probe.WORDS[kind] if kind else None,
        "marker_of": marks,
        "below": folder if folder and not inbox.recursive else None,
        "being_written": writer,
        # Where nothing is moved, a file that was taken lies here still.
        "taken": inbox.claim == "ledger"
        and [seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns] in [batch["same_as"] for batch in life.batches],
    }


def _why(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record beside files that were set aside says."""
    return {key: record.get(key) for key in ("at", "kind", "reason", "message", "exception", "traceback", "attempt")}
