"""How a deployment stands, put together from its folders, its ledger and what its daemon said last.

Each source may be missing; what could not be looked at is a sentence in `health`, never an error.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from scorewatch.cli.looking import InboxLook
from scorewatch.cli.refused import LAST_SKIPS, still_refused
from scorewatch.cli.words import moment
from scorewatch.ledger.reading import LedgerReader
from scorewatch.model import ids
from scorewatch.model.batches import BatchState
from scorewatch.model.errors import ScorewatchError
from scorewatch.model.events import Role

if TYPE_CHECKING:
    from pathlib import Path

    from scorewatch.cli.opened import Deployment
    from scorewatch.ledger.reading import BatchRow, SkipRow, StateCount

LAST_BATCHES = 10
MOST_LISTED = 10  #: names of quarantined files
#: States of batches whose files are counted as done or failed already, or in the batch's halves.
_COUNTED = frozenset({BatchState.COMMITTED, BatchState.QUARANTINED, BatchState.SPLIT, BatchState.RELEASED})
_STALE_S = 90.0  #: a daemon that lives and has not written its status for so long hangs, or the disk is full


@dataclass(slots=True)
class Figures:
    """Files, by where they are."""

    waiting: int = 0  #: in the inbox, whole or not, and parked ones
    claimed: int = 0
    running: int = 0  #: of those
    done: int = 0  #: released, their output visible; ever
    quarantined: int = 0  #: that lie in quarantine now
    skipped: int = 0  #: that lie in `skipped/` now


@dataclass(slots=True)
class Standing:
    """All that `status` tells."""

    deployment: str
    config: str
    daemon: dict[str, Any]
    health: list[str] = field(default_factory=list)
    files: Figures = field(default_factory=Figures)
    conservation: dict[str, Any] = field(default_factory=dict)  #: see `conserved`; of a living daemon only
    workers: list[dict[str, Any]] = field(default_factory=list)
    batches: list[dict[str, Any]] = field(default_factory=list)
    running_batches: list[dict[str, Any]] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)  #: what can't be taken: path, reason, message, at
    set_aside: list[dict[str, Any]] = field(default_factory=list)  #: some of what is in quarantine: path, why
    folders: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


@dataclass(slots=True)
class _Told:
    """What the ledger says."""

    owner: str = ""
    counts: list[StateCount] = field(default_factory=list)
    last: list[BatchRow] = field(default_factory=list)
    skips: list[SkipRow] = field(default_factory=list)

    def files(self, state: BatchState, outcome: BatchState | None = None) -> int:
        return sum(c.files for c in self.counts if c.state is state and (outcome is None or c.outcome is outcome))


def standing(deployment: Deployment, *, now: float | None = None) -> Standing:
    """Look at everything once."""
    settings = deployment.settings
    said, alive = deployment.last_status(), deployment.daemon_lives()
    result = Standing(
        deployment=deployment.name,
        config=str(settings.source),
        daemon=_daemon(said, alive=alive),
        folders={
            "inbox": str(settings.inbox.path),
            "outbox": str(settings.output.path),
            "state": str(settings.state.path),
        },
    )
    if alive:
        _take_over(result, said, time.time() if now is None else now)
    told = _ask_ledger(deployment, result.health)
    result.batches = [_batch(row, settings.output.path) for row in told.last]
    _count(deployment, told, result)
    return result


def _daemon(said: dict[str, Any], *, alive: bool) -> dict[str, Any]:
    return {
        "alive": alive,
        "pid": said.get("pid") if alive else None,
        "phase": str(said.get("phase", "starting")) if alive else "not running",
        "version": said.get("version"),
        "started_at": said.get("started_at"),
        "updated_at": said.get("updated_at"),
        "ended_well": None if alive or not said else said.get("phase") == "stopped",
    }


def _take_over(result: Standing, said: dict[str, Any], now: float) -> None:
    """What only a living daemon knows."""
    result.health += [str(sentence) for sentence in said.get("health") or ()]
    result.workers = list(said.get("workers") or ())
    result.running_batches = list(said.get("running_batches") or ())
    result.conservation = conserved(said)
    result.unsettled = [str(name) for name in said.get("unsettled") or ()]
    updated = moment(said.get("updated_at"))
    if updated is not None and now - updated > _STALE_S:
        result.health.append(f"the daemon lives, but has not said anything for {now - updated:.0f} seconds")


def _ask_ledger(deployment: Deployment, health: list[str]) -> _Told:
    if not deployment.ledger.exists():
        if deployment.daemon_lives():
            return _Told()
        health.append(f"it has never run here: there is no ledger in {deployment.state}")
        return _Told()
    try:
        with LedgerReader(deployment.ledger) as ledger:
            return _Told(
                owner=owner_of(deployment.name, ledger.facts()),
                counts=ledger.counts(),
                last=ledger.last_batches(LAST_BATCHES),
                skips=ledger.skipped(LAST_SKIPS),
            )
    except ScorewatchError as error:
        health.append(str(error))
        return _Told()


def owner_of(name: str, facts: dict[str, Any]) -> str:
    """The name of the folder of this deployment's claims, from the ledger's facts; empty: it has none yet."""
    state_id = (facts.get("roots") or {}).get(Role.STATE, "")
    return f"{name}-{state_id[:8]}" if state_id else ""


def _batch(row: BatchRow, outbox: Path) -> dict[str, Any]:
    return {
        "batch_id": row.batch_id,
        "state": str(row.state),
        "outcome": str(row.outcome) if row.outcome else None,
        "files": row.n_files,
        "attempt": row.attempt,
        "rows": row.rows,
        "succeeded": row.succeeded,
        "failed": row.failed,
        "sealed_at": row.sealed_at,
        "committed_at": row.committed_at,
        "worker_id": row.worker_id,
        "output": output_of(row, outbox),
        "failure": row.failure.message if row.failure else None,
    }


def output_of(row: BatchRow, outbox: Path) -> str | None:
    """Where the output of a committed batch is; None: it has none."""
    if row.outcome is not BatchState.COMMITTED:
        return None
    return str(outbox / "batches" / f"sealed_date={ids.sealed_date(row.batch_id)}" / row.batch_id)


# ---------------------------------------------------------------- figures
def _count(deployment: Deployment, told: _Told, result: Standing) -> None:
    files, inbox = result.files, deployment.settings.inbox
    files.done = told.files(BatchState.RELEASED, BatchState.COMMITTED)
    files.running = told.files(BatchState.RUNNING)
    set_aside = told.files(BatchState.RELEASED, BatchState.QUARANTINED)
    try:
        with InboxLook(inbox, told.owner) as look:
            files.waiting = sum(1 for _ in look.waiting())
            claimed = [batch_id for batch_id, _ in look.claimed()]
            files.claimed = sum(map(bool, claimed))
            files.waiting += len(claimed) - files.claimed  # parked ones wait, wherever they lie
            for aside in look.quarantined():
                files.quarantined += 1
                if files.quarantined <= MOST_LISTED:
                    message = str(aside.record.get("message", ""))
                    result.set_aside.append({"path": aside.relpath, "batch_id": aside.group, "message": message})
            files.skipped = sum(1 for _ in look.skipped())
            result.refused = [asdict(one) for one in still_refused(told.skips, look.fd)]
    except OSError as error:
        result.health.append(f"the inbox {inbox.path} can't be looked into: {error.strerror}")
        return
    if inbox.claim == "ledger":  # files stay where they are, whatever became of them
        files.claimed = told.files(BatchState.SEALED) + files.running + told.files(BatchState.SCORED)
        files.quarantined = set_aside
        files.waiting = max(0, files.waiting - files.claimed - files.done - set_aside)


def conserved(said: dict[str, Any]) -> dict[str, Any]:
    """Whether every file that arrived since the daemon's start is accounted for, by its own figures.

    `lost` is how many are not; files that an earlier daemon left make it negative, and a claim that is under way
    just now makes it uncertain (`certain`).
    """
    counts, waiting = said.get("counts"), said.get("waiting")
    if not isinstance(counts, dict) or not isinstance(waiting, dict):
        return {}
    under_way = sum(int(b.get("files", 0)) for b in said.get("running_batches", ()) if b.get("state") not in _COUNTED)
    parts = {
        "waiting": int(waiting.get("in_batch", 0)),
        "claimed": under_way,
        **{name: int(counts.get(name, 0)) for name in ("done", "failed", "withdrawn")},
    }
    arrived = int(counts.get("arrived", 0)) + int(counts.get("recovered", 0))
    return {
        "arrived": arrived,
        **parts,
        "lost": arrived - sum(parts.values()),
        "certain": "recovered" in counts and not waiting.get("claiming"),
    }
