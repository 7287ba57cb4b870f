"""What the log says of batches: one line for each change of state, and what must be remembered to write it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scorewatch.model import decisions as d
from scorewatch.model import events as e
from scorewatch.model import records as r
from scorewatch.model.batches import BatchState
from scorewatch.model.outcomes import BLAMES_NO_FILE
from scorewatch.telemetry.fields import first_names, rounded, why

if TYPE_CHECKING:
    from scorewatch.core.draft import Instant
    from scorewatch.model.files import Observation
    from scorewatch.telemetry.fields import Lines, Say


@dataclass(slots=True)
class _Open:
    """What is remembered of a batch until it is over."""

    files: tuple[Observation, ...]
    since: float  #: when this process first heard of it, on the monotonic clock


class BatchLines:
    """Tells the lives of batches."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._open: dict[str, _Open] = {}
        self._owed: dict[str, str] = {}
        self._moves = {
            BatchState.RUNNING: self._running,
            BatchState.SEALED: self._again,
            BatchState.COMMITTED: self._committed,
            BatchState.RELEASED: self._released,
            BatchState.SPLIT: self._given_up,
            BatchState.QUARANTINED: self._given_up,
            BatchState.VOID: self._void,
        }

    def lines(self) -> Lines:
        """Which values lead to a line, and how it is written."""
        return {
            e.RemainsFound: self._remains,
            e.PublishFailed: self._publish_failed,
            e.ActionFailed: self._action_failed,
            e.BatchReleased: self._done_after_all,
            e.BatchDivided: self._done_after_all,
            e.BatchStarted: lambda told, _: self._step("batch_started", told),
            e.BatchRan: lambda told, _: self._step("batch_ran", told),
            e.BatchScored: self._scored,
            e.SchemaAsked: lambda told, _: self._step("schema_asked", told),
            r.BatchSealed: self._sealed,
            r.BatchMoved: self._moved,
            r.SchemaGrown: lambda told, _: self._say("schema_grown", columns=dict(told.columns)),
            d.Withdraw: lambda told, _: self._step("order_withdrawn", told),
        }

    def _sealed(self, told: r.BatchSealed, now: Instant) -> None:
        batch = told.batch
        self._open[batch.batch_id] = _Open(batch.files, now.mono)
        self._say(
            "batch_sealed",
            batch_id=batch.batch_id,
            files=len(batch.files),
            bytes=batch.total_bytes,
            because=str(batch.sealed_because),
        )

    def _moved(self, told: r.BatchMoved, now: Instant) -> None:
        tell = self._moves.get(told.now)
        if tell is not None:
            tell(told, now)

    def _running(self, told: r.BatchMoved, _now: Instant) -> None:
        self._say(
            "batch_running",
            batch_id=told.batch_id,
            files=self._count(told),
            attempt=told.attempt,
            dispatch=told.dispatch,
            worker_id=told.worker_id,
        )

    def _again(self, told: r.BatchMoved, _now: Instant) -> None:
        if told.failure is None:
            self._say("batch_returned", batch_id=told.batch_id, dispatch=told.dispatch)
            return
        self._say(
            "batch_interrupted" if told.failure.kind in BLAMES_NO_FILE else "batch_retried",
            batch_id=told.batch_id,
            files=self._count(told),
            attempt=told.attempt,
            tries=told.tries,
            worker_id=told.worker_id,
            **why(told.failure),
        )

    def _scored(self, told: e.BatchScored, _now: Instant) -> None:
        receipt = told.receipt
        self._say(
            "batch_scored",
            batch_id=receipt.batch_id,
            dispatch=receipt.dispatch,
            worker_id=told.worker_id,
            rows=receipt.rows,
            load_s=rounded(receipt.load_s),
            run_s=rounded(receipt.run_s),
            write_s=rounded(receipt.write_s),
        )

    def _committed(self, told: r.BatchMoved, now: Instant) -> None:
        fields: dict[str, Any] = {}
        if told.receipt is not None:
            fields = {"rows": told.receipt.rows, "succeeded": told.receipt.succeeded}
        batch = self._open.get(told.batch_id)
        if batch is not None:
            fields["seconds"] = rounded(now.mono - batch.since)
        self._say("batch_committed", batch_id=told.batch_id, files=self._count(told), attempt=told.attempt, **fields)

    def _given_up(self, told: r.BatchMoved, _now: Instant) -> None:
        fields = why(told.failure) if told.failure else {}
        batch = self._open.get(told.batch_id)
        if batch is not None and told.now is BatchState.QUARANTINED:
            fields["names"] = first_names(file.relpath for file in batch.files)
        self._say(
            "batch_split" if told.now is BatchState.SPLIT else "batch_quarantined",
            batch_id=told.batch_id,
            files=self._count(told),
            attempt=told.attempt,
            **fields,
        )

    def _released(self, told: r.BatchMoved, _now: Instant) -> None:
        self._forget(told.batch_id)
        self._say("batch_released", batch_id=told.batch_id)

    def _void(self, told: r.BatchMoved, _now: Instant) -> None:
        self._forget(told.batch_id)
        self._say("batch_void", batch_id=told.batch_id)

    def _remains(self, told: e.RemainsFound, now: Instant) -> None:
        for remains in told.remains:
            files = remains.row.files if remains.row else remains.claim
            self._open[remains.batch_id] = _Open(files or (), now.mono)
        states = Counter(str(remains.state) for remains in told.remains)
        self._say("recovered", batches=len(told.remains), states=dict(sorted(states.items())))

    def _publish_failed(self, told: e.PublishFailed, _now: Instant) -> None:
        self._say("publish_failed", batch_id=told.batch_id, dispatch=told.dispatch, **why(told.failure))

    def _action_failed(self, told: e.ActionFailed, _now: Instant) -> None:
        if self._owed.get(told.batch_id) != told.message:
            self._owed[told.batch_id] = told.message
            self._say("owed", batch_id=told.batch_id, message=told.message)

    def _done_after_all(self, told: e.BatchReleased | e.BatchDivided, _now: Instant) -> None:
        self._owed.pop(told.batch_id, None)

    def _step(self, event: str, told: Any) -> None:  # noqa: ANN401 - several events that have these three
        self._say(event, batch_id=told.batch_id, dispatch=told.dispatch, worker_id=told.worker_id)

    def _forget(self, batch_id: str) -> None:
        self._open.pop(batch_id, None)
        self._owed.pop(batch_id, None)

    def _count(self, told: r.BatchMoved) -> int | None:
        if told.files is not None:
            return len(told.files)
        batch = self._open.get(told.batch_id)
        return len(batch.files) if batch else None
