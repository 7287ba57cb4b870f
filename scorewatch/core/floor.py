"""The batches that are under way: each move of theirs, with the record that makes it durable.

`Life.state` is where a batch is; `Life.written` is what the ledger says. They differ only while a batch is
SCORED, which needs no record of its own: its staging either stands whole or the batch runs again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scorewatch.core import retry
from scorewatch.core.lifecycle import move
from scorewatch.model.batches import BatchState as S
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.decisions import Divide, DropClaim, Publish, Release, SetAside, SyncClaim
from scorewatch.model.ids import halves
from scorewatch.model.outcomes import BLAMES_NO_FILE
from scorewatch.model.records import BatchMoved, BatchSealed

if TYPE_CHECKING:
    from scorewatch.core.draft import Draft
    from scorewatch.model.files import Observation
    from scorewatch.model.outcomes import Failure, Receipt
    from scorewatch.model.policy import RetryLimits

Owed = Publish | Release | SetAside | Divide


@dataclass(slots=True)
class Life:
    """One batch under way."""

    batch: MiniBatch
    state: S
    written: S
    not_before: float = 0.0
    worker_id: int = 0
    owed: Owed | None = None  #: what the disk was asked to do and has not done yet
    again_at: float | None = None  #: when to ask again, where that failed
    trouble: str = ""  #: why it failed
    successes_seen: int = 0  #: of the whole deployment, when the environment last failed this batch


class Floor:
    """All batches that are neither released nor void."""

    def __init__(self) -> None:
        self.lives: dict[str, Life] = {}
        self.queue: deque[str] = deque()  #: SEALED, in the order in which they may run
        self.successes = 0
        self.failed_files = 0  #: since start: quarantined, or not returned by run()
        self.done_files = 0

    # ------------------------------------------------------------ into the house
    def seal(self, batch: MiniBatch, draft: Draft) -> None:
        """A claim becomes a batch."""
        draft.record(BatchSealed(batch=batch))
        draft.act(SyncClaim(batch=batch))
        self.adopt(batch, S.SEALED)

    def adopt(self, batch: MiniBatch, state: S, written: S | None = None) -> Life:
        """Take in a batch whose row stands in the ledger."""
        life = Life(batch, state, written or state)
        self.lives[batch.batch_id] = life
        if state is S.SEALED:
            self.queue.append(batch.batch_id)
        return life

    # ------------------------------------------------------------ to a worker and back
    def next_to_run(self, now: float) -> Life | None:
        """The first batch that may run now, or None."""
        for _ in range(len(self.queue)):
            life = self.lives.get(self.queue[0])
            if life is None or life.state is not S.SEALED:
                self.queue.popleft()
            elif life.not_before > now:
                self.queue.rotate(-1)
            else:
                return life
        return None

    def hand_out(self, life: Life, worker_id: int, draft: Draft) -> None:
        """The attempt is counted before run() starts."""
        life.batch = replace(life.batch, attempt=life.batch.attempt + 1, dispatch=life.batch.dispatch + 1)
        life.worker_id = worker_id
        self._write(life, S.RUNNING, draft)
        if self.queue and self.queue[0] == life.batch.batch_id:
            self.queue.popleft()

    def give_back(self, life: Life, draft: Draft) -> None:
        """It was not started, or nobody is to pay: as if it had not been handed out."""
        self.again(life, None, retry.TryAgain(pause_s=0.0, costs_attempt=False), draft)

    def again(self, life: Life, failure: Failure | None, verdict: retry.TryAgain, draft: Draft) -> None:
        """Back to SEALED."""
        if not verdict.costs_attempt:
            life.batch = replace(life.batch, attempt=max(0, life.batch.attempt - 1))
        life.not_before = draft.now.mono + verdict.pause_s
        self._write(life, S.SEALED, draft, failure=failure, files=life.batch.files)
        self.queue.append(life.batch.batch_id)

    # ------------------------------------------------------------ to its end
    def scored(self, life: Life, publish: Publish, draft: Draft) -> None:
        """Its output lies in staging: have it published."""
        life.state = move(life.batch.batch_id, life.state, S.SCORED)
        self._owe(life, publish, draft)

    def committed(self, life: Life, receipt: Receipt | None, draft: Draft) -> None:
        """Its output is visible and durable: have its inputs moved out of the claim."""
        self._write(life, S.COMMITTED, draft, receipt=receipt)
        self._owe(life, Release(batch=life.batch), draft)
        self.successes += 1
        given = len(life.batch.files)
        succeeded = min(receipt.succeeded, given) if receipt else given
        self.done_files += succeeded
        self.failed_files += given - succeeded

    def set_aside(self, life: Life, failure: Failure, draft: Draft) -> None:
        """To quarantine."""
        self._write(life, S.QUARANTINED, draft, failure=failure)
        self._owe(life, SetAside(batch=life.batch, failure=failure), draft)
        self.failed_files += len(life.batch.files)

    def split(self, life: Life, failure: Failure, tries: int, draft: Draft) -> None:
        """Into halves; `batch.cut` says where, for a crash in between."""
        life.batch = replace(life.batch, tries=tries)
        self._write(life, S.SPLIT, draft, failure=failure, files=life.batch.files)
        self._owe(life, divide(life.batch), draft)

    def released(self, life: Life, draft: Draft) -> None:
        """Nothing is owed any more."""
        self._write(life, S.RELEASED, draft)
        del self.lives[life.batch.batch_id]

    def divided(
        self,
        life: Life,
        parts: tuple[tuple[str, tuple[Observation, ...]], ...],
        draft: Draft,
    ) -> None:
        """The halves stand; they are batches like any other from here on."""
        for half_id, files in parts:
            if files:
                self.seal(half(life.batch, half_id, files, draft.now.wall), draft)
            else:
                draft.act(DropClaim(batch_id=half_id))  # a power cut gave its files back to the inbox
        self.released(life, draft)

    def void(self, life: Life, draft: Draft) -> None:
        """It holds nothing."""
        self._write(life, S.VOID, draft)
        del self.lives[life.batch.batch_id]

    # ------------------------------------------------------------ what the disk could not do
    def put_off(self, life: Life, why: str, until: float) -> None:
        """Ask the disk again at that time."""
        life.again_at = until
        life.trouble = why

    def ask_again(self, draft: Draft, now: float) -> None:
        """Repeat what is owed and due; doing it twice is harmless."""
        for life in self.lives.values():
            if life.again_at is not None and life.again_at <= now and life.owed is not None:
                life.again_at = None
                draft.act(life.owed)

    def _owe(self, life: Life, action: Owed, draft: Draft) -> None:
        life.owed = action
        life.again_at = None
        life.trouble = ""
        draft.act(action)

    def owe(self, life: Life, action: Owed, draft: Draft) -> None:
        """What an earlier daemon left undone."""
        self._owe(life, action, draft)

    def _write(
        self,
        life: Life,
        state: S,
        draft: Draft,
        *,
        receipt: Receipt | None = None,
        failure: Failure | None = None,
        files: tuple[Observation, ...] | None = None,
    ) -> None:
        batch = life.batch
        if state is not life.state:
            life.state = move(batch.batch_id, life.state, state)
        draft.record(
            BatchMoved(
                batch_id=batch.batch_id,
                was=life.written,
                now=state,
                at=draft.now.wall,
                attempt=batch.attempt,
                dispatch=batch.dispatch,
                interruptions=batch.interruptions,
                tries=batch.tries,
                cut=batch.cut,
                files=files,
                worker_id=life.worker_id or None,
                receipt=receipt,
                failure=failure,
            )
        )
        life.written = state


def divide(batch: MiniBatch) -> Divide:
    """The order to divide a SPLIT batch; the same whenever it is asked."""
    cut = batch.cut or len(batch.files) // 2
    first, second = halves(batch.batch_id)
    return Divide(batch=batch, halves=((first, batch.files[:cut]), (second, batch.files[cut:])))


def half(parent: MiniBatch, half_id: str, files: tuple[Observation, ...], wall: float) -> MiniBatch:
    """A half, as a batch of its own."""
    return MiniBatch(
        batch_id=half_id,
        files=files,
        total_bytes=sum(file.size for file in files),
        sealed_because=SealReason.BISECT,
        sealed_at=wall,
        tries=parent.tries,
    )


def verdict_on(life: Life, failure: Failure, limits: RetryLimits, successes: int) -> retry.Verdict:
    """Judge a failed attempt; what nobody is to blame for counts only where other batches fared better."""
    if failure.kind in BLAMES_NO_FILE and successes > life.successes_seen:
        life.successes_seen = successes
        life.batch = replace(life.batch, interruptions=life.batch.interruptions + 1)
    return retry.judge(life.batch, failure, limits)
