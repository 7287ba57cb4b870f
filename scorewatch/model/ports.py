"""What the daemon needs of the rooms that touch the world; each is a protocol with a contract suite.

Who may call what: the executor belongs to the loop's thread; `Claims.claim` to the inbox's thread; the ledger,
the outbox and the rest of the claims to the syncer's. At start-up, before the threads, everything is the loop's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scorewatch.model.batches import BatchState, MiniBatch
    from scorewatch.model.decisions import AnswerSchema, RunBatch, StartWorker, Withdraw
    from scorewatch.model.events import Event
    from scorewatch.model.files import Observation
    from scorewatch.model.records import Record


class Claims(Protocol):
    """Who owns a file: a claim is a successful rename (or, for a read-only inbox, a row in the ledger)."""

    moves_files: bool  #: False: an inbox that may not be written, where a claimed file stays where it is

    def claim(self, files: Sequence[Observation]) -> tuple[str, tuple[Observation, ...], list[str], list[str]]:
        """Make a new claim of `files`: (batch id, files got with their identity now, busy names, vanished names).

        The claim directory is removed again where nothing was got. An OSError means that the environment
        failed; what was claimed until then is found by `remains`.
        """
        ...

    def sync(self, batches: Sequence[MiniBatch]) -> None:
        """Make the claims of these batches durable: their directories, their parent, and the inbox folders."""
        ...

    def where(self, batch: MiniBatch) -> str:
        """The absolute directory that the relpaths of a claimed batch are relative to."""
        ...

    def look(self, batch: MiniBatch) -> tuple[Observation | None, ...]:
        """The identity of each of a batch's files now, in their order; None: gone."""
        ...

    def remains(self) -> Mapping[str, tuple[Observation, ...]]:
        """Every claim of this deployment that stands, by batch id, for recovery."""
        ...

    def divide(self, batch: MiniBatch, halves: Sequence[tuple[str, tuple[Observation, ...]]]) -> None:
        """Move the files into the claims of the halves, durably; doing it again is harmless."""
        ...

    def release(self, batch: MiniBatch) -> None:
        """Move the claim to `done/`, or delete or keep the inputs, as configured; doing it again is harmless."""
        ...

    def set_aside(self, batch: MiniBatch, record: Mapping[str, Any]) -> None:
        """Move the files to `quarantine/<batch id>/`, `record` beside them, durably; again is harmless."""
        ...

    def drop(self, batch_id: str) -> None:
        """Remove the empty directories of a claim; a file in it is left, and is an error."""
        ...


class Outbox(Protocol):
    """What readers see: committed outputs, the summary and the errors."""

    def publish(self, batch_id: str, staging: str, manifest: Mapping[str, Any]) -> None:
        """Add the manifest and rename the staged directory to its final name; not durable before `sync`.

        An output of that name whose manifest lists the same files is this one, published before: the staged
        directory is dropped. One that lists others is an error that stops the service.
        """
        ...

    def sync(self) -> None:
        """Make everything published so far durable."""
        ...

    def manifest(self, batch_id: str) -> Mapping[str, Any] | None:
        """The manifest of a visible output, or None."""
        ...

    def summarise(self, lines: Sequence[Mapping[str, Any]], *, repeated: bool = False) -> None:
        """Append lines to the summary of each line's day, durably; `repeated`: pass over those that stand there."""
        ...

    def list_errors(self, lines: Sequence[Mapping[str, Any]], *, repeated: bool = False) -> None:
        """The same for `errors/`, one line a file."""
        ...

    def discard(self, staging: str) -> None:
        """Remove one staged directory."""
        ...

    def clear_staging(self, worker: str) -> None:
        """Remove one worker's staging directory."""
        ...


class Ledger(Protocol):
    """What was decided, durably."""

    def record(self, records: Sequence[Record]) -> None:
        """Commit all of them in one transaction, or none."""
        ...

    def open_batches(self) -> Sequence[tuple[MiniBatch, BatchState]]:
        """Every batch that is neither RELEASED nor VOID."""
        ...


class Executor(Protocol):
    """Runs batches in workers. Every order gets exactly one answer or one death."""

    def start(self, order: StartWorker) -> None:
        """Start a worker; WorkerReady, WorkerInitFailed or WorkerDied follows."""
        ...

    def run(self, order: RunBatch) -> None:
        """Hand a batch to a worker; an unknown or dead worker returns it (OrderReturned)."""
        ...

    def withdraw(self, order: Withdraw) -> None:
        """Ask for a batch back; OrderReturned follows if it had not started, else nothing."""
        ...

    def answer(self, order: AnswerSchema) -> None:
        """Answer a worker's question about the output schema."""
        ...

    def stop(self, worker_id: int) -> None:
        """Let a worker end by itself; WorkerDied follows."""
        ...

    def kill(self, worker_id: int) -> None:
        """SIGKILL to its process group; WorkerDied follows."""
        ...

    def sources(self) -> Sequence[int]:
        """File descriptors that become readable when there is news."""
        ...

    def news(self) -> Sequence[Event]:
        """What happened since the last call; never blocks."""
        ...

    def close(self) -> None:
        """Kill every worker and wait for them."""
        ...
