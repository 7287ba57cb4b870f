"""What stands in `_manifest.json` beside every output, and in the lines of `summary/` and `errors/`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scorewatch.model import ids
from scorewatch.model.outcomes import OutputFile, Receipt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scorewatch.model.batches import MiniBatch
    from scorewatch.model.decisions import ListSkipped, Publish
    from scorewatch.model.files import Observation
    from scorewatch.model.outcomes import Failure

COMMITTED = "committed"
QUARANTINED = "quarantined"
SKIPPED = "skipped"

LONGEST_TRACEBACK = 8_000  # characters in a line of `errors/`; its end tells most, all of it is in quarantine


def iso(at: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def compose(publish: Publish, *, deployment: str, version: str, committed_at: float, device: str) -> dict[str, Any]:
    """The manifest of an output.

    Args:
        publish: the batch, its receipt, and who scored it.
        deployment: its name.
        version: of scorewatch.
        committed_at: seconds since 1970.
        device: what the worker's slot was given (`CUDA_VISIBLE_DEVICES`), or "cpu".
    """
    batch, receipt = publish.batch, publish.receipt
    manifest = _about(batch, deployment, committed_at) | {
        "rows": receipt.rows,
        "succeeded": receipt.succeeded,
        "failed": max(len(batch.files) - receipt.succeeded, 0),
        "outputs": [{"name": file.name, "size_bytes": file.size_bytes} for file in receipt.output_files],
        "seconds": {"load": receipt.load_s, "run": receipt.run_s, "write": receipt.write_s},
        "worker": publish.worker_id,
        "device": device,
        "script_sha256": publish.script_sha256,
        "model": publish.model,
        "scorewatch_version": version,
    }
    if receipt.unlisted:
        manifest["outputs_unlisted"] = receipt.unlisted
    if receipt.failed_files:
        manifest["failed_files"] = [{"path": path, "reason": reason} for path, reason in receipt.failed_files]
    if receipt.note:
        manifest["note"] = receipt.note
    if receipt.schema_conflicts:
        manifest["schema_conflicts"] = list(receipt.schema_conflicts)
    return manifest


def summary_line(manifest: Mapping[str, Any], status: str = COMMITTED) -> dict[str, Any]:
    """The line in `summary/` for an output: its manifest without `outputs`, with `status`."""
    return {key: value for key, value in manifest.items() if key != "outputs"} | {"status": status}


def quarantine_line(
    batch: MiniBatch,
    failure: Failure,
    *,
    deployment: str,
    version: str,
    at: float,
    device: str = "",
    model: str = "",
    script_sha256: str = "",
) -> dict[str, Any]:
    """The line in `summary/` for a batch that was set aside: the same keys as a committed one's."""
    return _about(batch, deployment, at) | {
        "rows": 0,
        "succeeded": 0,
        "failed": len(batch.files),
        "seconds": {"load": 0.0, "run": 0.0, "write": 0.0},
        "worker": failure.worker_id,
        "device": device,
        "script_sha256": script_sha256,
        "model": model,
        "scorewatch_version": version,
        "note": failure.message,
        "status": QUARANTINED,
    }


def quarantine_errors(
    batch: MiniBatch, failure: Failure, *, deployment: str, at: float, folder: str = ".scorewatch/quarantine"
) -> list[dict[str, Any]]:
    """The lines in `errors/` for a batch that was set aside, one a file; `folder` relative to the inbox."""
    return [
        {
            "at": iso(at),
            "deployment": deployment,
            "batch_id": batch.batch_id,
            "path": file.relpath,
            "outcome": QUARANTINED,
            "reason": failure.kind.value,
            "message": failure.message,
            "exception": failure.exception,
            "attempt": batch.attempt,
            "size_bytes": file.size,
            "where": f"{folder}/{batch.batch_id}/{file.relpath}",
            "traceback": failure.traceback[-LONGEST_TRACEBACK:],
        }
        for file in batch.files
    ]


def skip_errors(
    skips: ListSkipped, *, deployment: str, at: float, folder: str = ".scorewatch/skipped"
) -> list[dict[str, Any]]:
    """The lines in `errors/` for files that policy refused, one each; `folder` relative to the inbox."""
    return [
        {
            "at": iso(at),
            "deployment": deployment,
            "skip_id": skips.skip_id,
            "path": refusal.relpath,
            "outcome": SKIPPED,
            "reason": refusal.reason.value,
            "message": refusal.detail,
            "exception": "",
            "attempt": 0,
            "size_bytes": refusal.size,
            "where": f"{folder}/{skips.skip_id}/{refusal.relpath}" if refusal.moved else refusal.relpath,
            "traceback": "",
        }
        for refusal in skips.refusals
    ]


def files_match(manifest: Mapping[str, Any], batch: MiniBatch) -> bool:
    """Whether an output was made of this batch's files: same paths, sizes and mtimes.

    ctime is left out: the rename into a claim or a half changes it.
    """
    theirs = identities(manifest)
    return theirs is not None and theirs == sorted((f.relpath, f.size, f.mtime_ns) for f in batch.files)


def identities(manifest: Mapping[str, Any]) -> list[tuple[str, int, int]] | None:
    """The files of a manifest as (path, size, mtime_ns), sorted; None where it is no manifest of ours."""
    try:
        return sorted((str(f["path"]), int(f["size_bytes"]), int(f["mtime_ns"])) for f in manifest["files"])
    except (KeyError, TypeError, ValueError):
        return None


def receipt_from(manifest: Mapping[str, Any], dispatch: int = 0) -> Receipt:
    """The receipt that a manifest was made of, as far as it tells.

    Raises:
        ValueError: where it is no manifest of ours.
    """
    try:
        return Receipt(
            batch_id=str(manifest["batch_id"]),
            dispatch=dispatch,
            rows=int(manifest["rows"]),
            succeeded=int(manifest["succeeded"]),
            output_files=tuple(OutputFile(name=o["name"], size_bytes=o["size_bytes"]) for o in manifest["outputs"]),
            unlisted=int(manifest.get("outputs_unlisted", 0)),
            bytes_written=sum(o["size_bytes"] for o in manifest["outputs"]),
            load_s=float(manifest["seconds"]["load"]),
            run_s=float(manifest["seconds"]["run"]),
            write_s=float(manifest["seconds"]["write"]),
            failed_files=tuple((f["path"], f["reason"]) for f in manifest.get("failed_files", ())),
            note=str(manifest.get("note", "")),
            schema_conflicts=tuple(manifest.get("schema_conflicts", ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no manifest: {error!r}") from error


def _about(batch: MiniBatch, deployment: str, committed_at: float) -> dict[str, Any]:
    return {
        "batch_id": batch.batch_id,
        "deployment": deployment,
        "parent_id": ids.parent_of(batch.batch_id),
        "sealed_because": batch.sealed_because.value,
        "attempt": batch.attempt,
        "sealed_at": iso(batch.sealed_at),
        "committed_at": iso(committed_at),
        "files": [_file(file) for file in batch.files],
    }


def _file(file: Observation) -> dict[str, Any]:
    return {"path": file.relpath, "size_bytes": file.size, "mtime_ns": file.mtime_ns, "ctime_ns": file.ctime_ns}
