"""The daemon's state as one JSON file, replaced whole: what `scorewatch status` shows of a running daemon."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from scorewatch.core.draft import Instant
    from scorewatch.core.house import House

STATUS = "status.json"
VERSION = 1
NOT_OFTENER_S = 0.5  # a reader can't tell, and a busy daemon has better things to do
AT_LEAST_EVERY_S = 30.0


class Snapshot(Protocol):
    """What the executor tells of a worker process."""

    @property
    def worker_id(self) -> int: ...  # noqa: D102 - see executors.local

    @property
    def pid(self) -> int: ...  # noqa: D102

    @property
    def stdout(self) -> str: ...  # noqa: D102

    @property
    def stderr(self) -> str: ...  # noqa: D102

    @property
    def rss_bytes(self) -> int: ...  # noqa: D102


class StatusFile:
    """Writes the file when something changed, and not too often."""

    def __init__(self, state: Path, deployment: str, started_at: float) -> None:
        self._path = state / STATUS
        self._about = {
            "version": VERSION,
            "pid": os.getpid(),
            "deployment": deployment,
            "started_at": _iso(started_at),
        }
        self._written_at = 0.0
        self._stale = True

    def touch(self) -> None:
        """Something changed."""
        self._stale = True

    def due(self) -> float:
        """When it is to be written next, on the monotonic clock."""
        return self._written_at + (NOT_OFTENER_S if self._stale else AT_LEAST_EVERY_S)

    def write(self, house: House, workers: Iterable[Snapshot], phase: str, now: Instant) -> None:
        """Replace the file; a full disk only makes it older."""
        self._written_at = now.mono
        self._stale = False
        content = {
            **self._about,
            "updated_at": _iso(now.wall),
            "phase": phase,
            "health": house.health(),
            **_work(house),
            "workers": [_worker(house, each, now) for each in workers],
        }
        temporary = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps(content), encoding="ascii")
            temporary.replace(self._path)


def _work(house: House) -> dict[str, Any]:
    floor, intake, swept = house.floor, house.intake, house.last_sweep
    return {
        "counts": {
            "arrived": intake.arrived,
            "recovered": house.recovered_files,
            "withdrawn": intake.withdrawn,
            "done": floor.done_files,
            "failed": floor.failed_files,
            "skipped": house.skipped,
        },
        "waiting": {"in_batch": len(intake.files), "claiming": len(intake.tickets)},
        "running_batches": [
            {
                "batch_id": life.batch.batch_id,
                "files": len(life.batch.files),
                "state": life.state.value,
                "attempt": life.batch.attempt,
                "worker_id": life.worker_id,
            }
            for life in floor.lives.values()
        ],
        "last_sweep": swept and {"offered": swept.offered, "settling": swept.settling, "waiting": swept.waiting},
        "unsettled": list(swept.unsettled) if swept else [],
    }


def _worker(house: House, process: Snapshot, now: Instant) -> dict[str, Any]:
    worker = house.crew.workers.get(process.worker_id)
    order = next((o for o in worker.orders if o.started_at is not None), None) if worker else None
    return {
        "worker_id": process.worker_id,
        "slot": worker.slot if worker else None,
        "pid": process.pid,
        "state": ("busy" if order else worker.state.value) if worker else "ending",
        "since": _iso(now.wall - (now.mono - worker.started_at)) if worker else None,
        "rss_bytes": process.rss_bytes,
        "stdout": process.stdout,
        "stderr": process.stderr,
        "batch_id": order.batch_id if order else None,
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
