"""What the log says of the inbox, the folders, the workers, and the service itself."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from scorewatch.model import decisions as d
from scorewatch.model import events as e
from scorewatch.model import records as r
from scorewatch.model.errors import ExitCode
from scorewatch.telemetry.fields import first_names, rounded, why

if TYPE_CHECKING:
    from scorewatch.core.draft import Instant
    from scorewatch.telemetry.fields import Lines, Say

_TAIL = 1000  # characters of what a dead worker printed


class HouseLines:
    """Tells everything that isn't the life of a batch; what lasts is told when it begins and when it ends."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._folders: dict[str, str] = {}
        self._claim_trouble = ""
        self._leaving: set[int] = set()  # workers that were asked to end

    def lines(self) -> Lines:
        """Which values lead to a line, and how it is written."""
        return {
            e.FilesSettled: lambda told, _: self._say("files_settled", files=len(told.files)),
            e.SweepEnded: self._sweep_ended,
            e.BatchClaimed: self._claimed,
            e.ClaimFailed: self._claim_failed,
            e.FolderTroubled: self._folder_troubled,
            e.FolderFine: self._folder_fine,
            e.WorkerReady: self._worker_ready,
            e.WorkerInitFailed: self._worker_init_failed,
            e.WorkerDied: self._worker_died,
            e.StopRequested: lambda told, _: self._say("stopping", at_once=told.now),
            e.PolicyChanged: lambda told, _: self._say("policy_changed", generation=told.policy.generation),
            r.FilesSkipped: self._skipped,
            d.StartWorker: self._start_worker,
            d.StopWorker: self._stop_worker,
            d.KillWorker: lambda told, _: self._say("worker_killed", worker_id=told.worker_id, because=told.because),
            d.Exit: self._exit,
        }

    # ------------------------------------------------------------ inbox and folders
    def _sweep_ended(self, told: e.SweepEnded, _now: Instant) -> None:
        self._say("sweep_ended", offered=told.offered, settling=told.settling, waiting=told.waiting)

    def _claimed(self, told: e.BatchClaimed, _now: Instant) -> None:
        self._claim_trouble = ""
        if not told.files:
            self._say("claim_empty", busy=told.busy, vanished=told.vanished)

    def _claim_failed(self, told: e.ClaimFailed, _now: Instant) -> None:
        if told.message != self._claim_trouble:
            self._claim_trouble = told.message
            self._say("claim_failed", message=told.message)

    def _skipped(self, told: r.FilesSkipped, _now: Instant) -> None:
        reasons = Counter(str(refusal.reason) for refusal in told.refusals)
        self._say(
            "files_skipped",
            files=len(told.refusals),
            reasons=dict(sorted(reasons.items())),
            names=first_names(refusal.relpath for refusal in told.refusals),
            skip_id=told.skip_id,
        )

    def _folder_troubled(self, told: e.FolderTroubled, _now: Instant) -> None:
        if self._folders.get(told.role) != told.message:
            self._folders[told.role] = told.message
            self._say("folder_troubled", role=str(told.role), message=told.message)

    def _folder_fine(self, told: e.FolderFine, _now: Instant) -> None:
        if self._folders.pop(told.role, None) is not None:
            self._say("folder_fine", role=str(told.role))

    # ------------------------------------------------------------ workers
    def _start_worker(self, told: d.StartWorker, _now: Instant) -> None:
        self._say("worker_started", worker_id=told.worker_id, slot=told.slot, generation=told.generation)

    def _worker_ready(self, told: e.WorkerReady, _now: Instant) -> None:
        self._say(
            "worker_ready",
            worker_id=told.worker_id,
            pid=told.pid,
            init_s=rounded(told.init_s),
            rss_bytes=told.rss_bytes,
            model=told.model,
        )

    def _worker_init_failed(self, told: e.WorkerInitFailed, _now: Instant) -> None:
        failure = told.failure  # nothing else shows its traceback
        self._say("worker_init_failed", worker_id=told.worker_id, **why(failure), traceback=failure.traceback)

    def _stop_worker(self, told: d.StopWorker, _now: Instant) -> None:
        self._leaving.add(told.worker_id)
        self._say("worker_stopping", worker_id=told.worker_id)

    def _worker_died(self, told: e.WorkerDied, _now: Instant) -> None:
        asked = told.worker_id in self._leaving
        self._leaving.discard(told.worker_id)
        if asked and told.exit_code == 0:
            self._say("worker_ended", worker_id=told.worker_id)
            return
        fields: dict[str, Any] = {"worker_id": told.worker_id, "exit_code": told.exit_code}
        if told.out_of_memory:
            fields["out_of_memory"] = True
        if told.log_tail:
            fields["log_tail"] = told.log_tail[-_TAIL:]
        self._say("worker_died", **fields)

    # ------------------------------------------------------------ the end
    def _exit(self, told: d.Exit, _now: Instant) -> None:
        if told.code is ExitCode.DONE:
            self._say("exiting", code=int(told.code))
        else:
            self._say("failing", code=int(told.code), message=told.message)
