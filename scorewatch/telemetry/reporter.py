"""Overhears every event and every decision, and tells each change of state in one log line.

It decides nothing, and it must cost little: the loop waits for it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scorewatch.model import decisions as d
from scorewatch.model import events as e
from scorewatch.model import records as r
from scorewatch.model.batches import BatchState
from scorewatch.model.errors import ExitCode
from scorewatch.model.outcomes import BLAMES_NO_FILE
from scorewatch.telemetry.vocabulary import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from structlog.typing import FilteringBoundLogger

    from scorewatch.core.draft import Instant
    from scorewatch.model.files import Observation
    from scorewatch.model.outcomes import Failure

MOST_NAMES = 20  # of files in one line: a hundred thousand bad files must not become a hundred thousand names
_TAIL = 1000  # characters of what a dead worker printed


@dataclass(slots=True)
class _Open:
    """What is remembered of a batch until it is over."""

    files: tuple[Observation, ...]
    since: float  #: on the monotonic clock


class Reporter:
    """Tells the log what happens.

    Args:
        log: where lines go; replaced by `use` when a reload changes [logging].
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._now: Instant | None = None
        self._open: dict[str, _Open] = {}
        self._troubles: tuple[str, ...] = ()
        self._folders: dict[str, str] = {}
        self._owed: dict[str, str] = {}
        self._claim_trouble = ""
        self._leaving: set[int] = set()  # workers that were asked to end
        self._on: dict[type[Any], Callable[[Any], None]] = {**self._events(), **self._records(), **self._actions()}

    def use(self, log: FilteringBoundLogger) -> None:
        """From now on, write there."""
        self._log = log

    def hear(self, event: e.Event, decision: d.Decision, now: Instant) -> None:
        """One event, and what was decided because of it."""
        self._now = now
        heard = self._on.get(type(event))
        if heard is not None:
            heard(event)
        for told in (*decision.records, *decision.actions):
            heard = self._on.get(type(told))
            if heard is not None:
                heard(told)
        self._now = None

    def note(self, event: str, **fields: Any) -> None:  # noqa: ANN401 - whatever a log line can hold
        """Tell something that is no event of the model: `event` is a name of the vocabulary."""
        if self._now is not None:
            fields["at"] = self._now.wall
        getattr(self._log, LEVELS.get(event, "warning"))(event, **fields)

    def health(self, problems: Sequence[str]) -> None:
        """What is wrong at the moment; only what is new, and what is over, is told."""
        current = tuple(problems)
        if current == self._troubles:
            return
        for problem in current:
            if problem not in self._troubles:
                self.note("trouble", message=problem)
        for problem in self._troubles:
            if problem not in current:
                self.note("trouble_over", message=problem)
        self._troubles = current

    # ------------------------------------------------------------ events
    def _events(self) -> dict[type[Any], Callable[[Any], None]]:
        return {
            e.FilesSettled: lambda told: self.note("files_settled", files=len(told.files)),
            e.SweepEnded: lambda told: self.note(
                "sweep_ended", offered=told.offered, settling=told.settling, waiting=told.waiting
            ),
            e.BatchClaimed: self._claimed,
            e.ClaimFailed: self._claim_failed,
            e.RemainsFound: self._remains,
            e.PublishFailed: lambda told: self.note(
                "publish_failed", batch_id=told.batch_id, dispatch=told.dispatch, **_why(told.failure)
            ),
            e.ActionFailed: self._action_failed,
            e.BatchReleased: lambda told: self._owed.pop(told.batch_id, None),
            e.BatchDivided: lambda told: self._owed.pop(told.batch_id, None),
            e.FolderTroubled: self._folder_troubled,
            e.FolderFine: self._folder_fine,
            e.WorkerReady: lambda told: self.note(
                "worker_ready", worker_id=told.worker_id, pid=told.pid, init_s=_rounded(told.init_s),
                rss_bytes=told.rss_bytes, model=told.model,
            ),
            e.WorkerInitFailed: lambda told: self.note(
                "worker_init_failed", worker_id=told.worker_id, **_why(told.failure), traceback=told.failure.traceback
            ),
            e.WorkerDied: self._worker_died,
            e.BatchStarted: lambda told: self._step("batch_started", told),
            e.BatchRan: lambda told: self._step("batch_ran", told),
            e.BatchScored: self._scored,
            e.SchemaAsked: lambda told: self._step("schema_asked", told),
            e.StopRequested: lambda told: self.note("stopping", now=told.now),
            e.PolicyChanged: lambda told: self.note("policy_changed", generation=told.policy.generation),
        }  # fmt: skip

    def _step(self, event: str, told: Any) -> None:  # noqa: ANN401 - several events with these three
        self.note(event, batch_id=told.batch_id, dispatch=told.dispatch, worker_id=told.worker_id)

    def _claimed(self, told: e.BatchClaimed) -> None:
        self._claim_trouble = ""
        if not told.files:
            self.note("claim_empty", busy=told.busy, vanished=told.vanished)

    def _claim_failed(self, told: e.ClaimFailed) -> None:
        if told.message != self._claim_trouble:
            self._claim_trouble = told.message
            self.note("claim_failed", message=told.message)

    def _remains(self, told: e.RemainsFound) -> None:
        for remains in told.remains:
            files = remains.row.files if remains.row else remains.claim
            self._remember(remains.batch_id, files or ())
        states = Counter(str(remains.state) for remains in told.remains)
        self.note("recovered", batches=len(told.remains), states=dict(sorted(states.items())))

    def _action_failed(self, told: e.ActionFailed) -> None:
        if self._owed.get(told.batch_id) != told.message:
            self._owed[told.batch_id] = told.message
            self.note("owed", batch_id=told.batch_id, message=told.message)

    def _folder_troubled(self, told: e.FolderTroubled) -> None:
        if self._folders.get(told.role) != told.message:
            self._folders[told.role] = told.message
            self.note("folder_troubled", role=str(told.role), message=told.message)

    def _folder_fine(self, told: e.FolderFine) -> None:
        if self._folders.pop(told.role, None) is not None:
            self.note("folder_fine", role=str(told.role))

    def _worker_died(self, told: e.WorkerDied) -> None:
        asked = told.worker_id in self._leaving
        self._leaving.discard(told.worker_id)
        if asked and told.exit_code == 0:
            self.note("worker_ended", worker_id=told.worker_id)
            return
        fields: dict[str, Any] = {"worker_id": told.worker_id, "exit_code": told.exit_code}
        if told.out_of_memory:
            fields["out_of_memory"] = True
        if told.log_tail:
            fields["log_tail"] = told.log_tail[-_TAIL:]
        self.note("worker_died", **fields)

    def _scored(self, told: e.BatchScored) -> None:
        receipt = told.receipt
        self.note(
            "batch_scored", batch_id=receipt.batch_id, dispatch=receipt.dispatch, worker_id=told.worker_id,
            rows=receipt.rows, load_s=_rounded(receipt.load_s), run_s=_rounded(receipt.run_s),
            write_s=_rounded(receipt.write_s),
        )  # fmt: skip

    # ------------------------------------------------------------ records
    def _records(self) -> dict[type[Any], Callable[[Any], None]]:
        return {
            r.BatchSealed: self._sealed,
            r.BatchMoved: self._moved,
            r.FilesSkipped: self._skipped,
            r.SchemaGrown: lambda told: self.note("schema_grown", columns=dict(told.columns)),
        }

    def _sealed(self, told: r.BatchSealed) -> None:
        batch = told.batch
        self._remember(batch.batch_id, batch.files)
        self.note(
            "batch_sealed", batch_id=batch.batch_id, files=len(batch.files), bytes=batch.total_bytes,
            because=str(batch.sealed_because),
        )  # fmt: skip

    def _moved(self, told: r.BatchMoved) -> None:
        tell = {
            BatchState.RUNNING: self._running,
            BatchState.SEALED: self._again,
            BatchState.COMMITTED: self._committed,
            BatchState.RELEASED: self._released,
            BatchState.SPLIT: self._given_up,
            BatchState.QUARANTINED: self._given_up,
            BatchState.VOID: self._void,
        }.get(told.now)
        if tell is not None:
            tell(told)

    def _running(self, told: r.BatchMoved) -> None:
        self.note(
            "batch_running", batch_id=told.batch_id, files=self._count(told), attempt=told.attempt,
            dispatch=told.dispatch, worker_id=told.worker_id,
        )  # fmt: skip

    def _again(self, told: r.BatchMoved) -> None:
        if told.failure is None:
            self.note("batch_returned", batch_id=told.batch_id, dispatch=told.dispatch)
            return
        event = "batch_interrupted" if told.failure.kind in BLAMES_NO_FILE else "batch_retried"
        self.note(
            event, batch_id=told.batch_id, files=self._count(told), attempt=told.attempt, tries=told.tries,
            worker_id=told.worker_id, **_why(told.failure),
        )  # fmt: skip

    def _committed(self, told: r.BatchMoved) -> None:
        batch, fields = self._open.get(told.batch_id), {}
        if told.receipt is not None:
            fields = {"rows": told.receipt.rows, "succeeded": told.receipt.succeeded}
        if batch is not None and self._now is not None:
            fields["seconds"] = _rounded(self._now.mono - batch.since)
        self.note("batch_committed", batch_id=told.batch_id, files=self._count(told), attempt=told.attempt, **fields)

    def _given_up(self, told: r.BatchMoved) -> None:
        event = "batch_split" if told.now is BatchState.SPLIT else "batch_quarantined"
        batch = self._open.get(told.batch_id)
        fields = {"names": _first(file.relpath for file in batch.files)} if batch and event != "batch_split" else {}
        self.note(
            event, batch_id=told.batch_id, files=self._count(told), attempt=told.attempt,
            **(_why(told.failure) if told.failure else {}), **fields,
        )  # fmt: skip

    def _released(self, told: r.BatchMoved) -> None:
        self._forget(told.batch_id)
        self.note("batch_released", batch_id=told.batch_id)

    def _void(self, told: r.BatchMoved) -> None:
        self._forget(told.batch_id)
        self.note("batch_void", batch_id=told.batch_id)

    def _skipped(self, told: r.FilesSkipped) -> None:
        reasons = Counter(str(refusal.reason) for refusal in told.refusals)
        self.note(
            "files_skipped", files=len(told.refusals), reasons=dict(sorted(reasons.items())),
            names=_first(refusal.relpath for refusal in told.refusals), skip_id=told.skip_id,
        )  # fmt: skip

    # ------------------------------------------------------------ actions
    def _actions(self) -> dict[type[Any], Callable[[Any], None]]:
        return {
            d.StartWorker: lambda told: self.note(
                "worker_started", worker_id=told.worker_id, slot=told.slot, generation=told.generation
            ),
            d.StopWorker: self._stop_worker,
            d.KillWorker: lambda told: self.note("worker_killed", worker_id=told.worker_id, because=told.because),
            d.Withdraw: lambda told: self._step("order_withdrawn", told),
            d.Exit: self._exit,
        }

    def _stop_worker(self, told: d.StopWorker) -> None:
        self._leaving.add(told.worker_id)
        self.note("worker_stopping", worker_id=told.worker_id)

    def _exit(self, told: d.Exit) -> None:
        if told.code is ExitCode.DONE:
            self.note("exiting", code=int(told.code))
        else:
            self.note("failing", code=int(told.code), message=told.message)

    # ------------------------------------------------------------ what is remembered
    def _remember(self, batch_id: str, files: tuple[Observation, ...]) -> None:
        self._open[batch_id] = _Open(files, self._now.mono if self._now else 0.0)

    def _forget(self, batch_id: str) -> None:
        self._open.pop(batch_id, None)
        self._owed.pop(batch_id, None)

    def _count(self, told: r.BatchMoved) -> int | None:
        if told.files is not None:
            return len(told.files)
        batch = self._open.get(told.batch_id)
        return len(batch.files) if batch else None


def _why(failure: Failure) -> dict[str, Any]:
    """A failure in a few fields; its traceback lies beside the files."""
    fields = {"kind": str(failure.kind), "message": failure.message}
    if failure.exception:
        fields["exception"] = failure.exception
    if failure.file:
        fields["file"] = failure.file
    return fields


def _first(names: Iterable[str]) -> list[str]:
    """The first few of many names."""
    return [name for _, name in zip(range(MOST_NAMES), names, strict=False)]


def _rounded(seconds: float) -> float:
    return round(seconds, 4)
