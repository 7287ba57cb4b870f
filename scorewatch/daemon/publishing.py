"""Makes staged outputs visible: the torn-read check, the manifest, one rename, one shared fsync.

Nothing is recorded before the rename: recovery trusts the output's name over the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scorewatch import __version__
from scorewatch.model import events as e
from scorewatch.model.errors import ScorewatchError
from scorewatch.model.outcomes import Failure, FailureKind
from scorewatch.outbox.manifest import compose
from scorewatch.outbox.publish import OutputRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from scorewatch.model.batches import MiniBatch
    from scorewatch.model.decisions import ClearStaging, DropStaging, Publish
    from scorewatch.model.files import Observation
    from scorewatch.model.ports import Claims, Outbox

Answer = e.BatchPublished | e.PublishFailed | e.ActionFailed


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What manifests and lines say of this daemon."""

    deployment: str
    epoch: str  #: this start of the daemon; never used twice
    device_of: Callable[[int], str]  #: slot -> device


class Publishing:
    """Publishes outputs, in the disk's thread."""

    def __init__(self, outbox: Outbox, claims: Claims, identity: Identity, clock: Callable[[], float]) -> None:
        self._outbox = outbox
        self._claims = claims
        self._identity = identity
        self._clock = clock
        self.manifests: dict[str, dict[str, Any]] = {}  #: of outputs that this daemon published, until released
        self.unsynced: dict[str, MiniBatch] = {}  #: claims whose fsync failed: nothing of theirs is published

    def synced(self, batches: Iterable[MiniBatch]) -> None:
        """The claims of these batches are durable."""
        for batch in batches:
            self.unsynced.pop(batch.batch_id, None)

    def publish(self, actions: Sequence[Publish]) -> list[Answer]:
        """Make outputs visible, and durable together: one answer each."""
        answers: list[Answer] = []
        visible: list[Publish] = []
        for action in actions:
            answer = self._publish_one(action)
            if answer is None:
                visible.append(action)
            else:
                answers.append(answer)
        if not visible:
            return answers
        try:
            self._outbox.sync()
        except OSError as error:
            why = f"the output is visible but could not be made durable: {error}"
            return answers + [e.ActionFailed(batch_id=a.batch.batch_id, message=why) for a in visible]
        return answers + [e.BatchPublished(batch_id=a.batch.batch_id, dispatch=a.batch.dispatch) for a in visible]

    def _publish_one(self, action: Publish) -> Answer | None:
        """The answer, where the output did not become visible."""
        batch = action.batch
        if batch.batch_id in self.manifests:
            return None  # visible since an earlier try, and so committed: what became of the inputs since is no matter
        try:
            self._sync_first(batch)
            changed = self._changed(action)
            if changed is not None:
                return changed
            manifest = compose(
                action,
                deployment=self._identity.deployment,
                version=__version__,
                committed_at=self._clock(),
                device=self._identity.device_of(action.slot),
            )
            self._outbox.publish(batch.batch_id, action.staging, manifest)
        except OutputRefusedError as error:
            return _failed(action, FailureKind.BAD_RESULT, str(error))
        except ScorewatchError as error:
            return e.ActionFailed(batch_id=batch.batch_id, message=str(error))
        except OSError as error:
            return _failed(action, FailureKind.OUTPUT_FAILED, f"the output could not be published: {error}")
        self.manifests[batch.batch_id] = manifest
        return None

    def _sync_first(self, batch: MiniBatch) -> None:
        """An output is never durable before its claim is: else a power cut would score the files again."""
        if batch.batch_id in self.unsynced:
            self._claims.sync([batch])
            del self.unsynced[batch.batch_id]

    def _changed(self, action: Publish) -> e.PublishFailed | None:
        """Whether the inputs are still what they were when they were claimed.

        One that is gone from a claim, where only the script can reach it, was read before: its result is all there is.
        """
        batch = action.batch
        now = self._claims.look(batch)
        unlike = [
            file.relpath
            for file, seen in zip(batch.files, now, strict=True)
            if (not self._claims.moves_files if seen is None else not file.same_content(seen))
        ]
        if not unlike:
            return None
        names = ", ".join(ascii(name) for name in unlike[:3]) + (" …" if len(unlike) > 3 else "")  # noqa: PLR2004 - enough to recognise them by
        failure = Failure(
            kind=FailureKind.INPUT_CHANGED,
            message=f"{len(unlike)} input file(s) changed while they were scored: {names}",
            file=unlike[0],
            worker_id=action.worker_id,
        )
        return e.PublishFailed(
            batch_id=batch.batch_id,
            dispatch=batch.dispatch,
            failure=failure,
            inputs=self._still_ours(batch, now),
        )

    def _still_ours(self, batch: MiniBatch, now: tuple[Observation | None, ...]) -> tuple[Observation, ...]:
        """What the batch may be scored of again; where nothing is moved, a changed file is a new arrival."""
        return tuple(
            seen
            for file, seen in zip(batch.files, now, strict=True)
            if seen is not None and (self._claims.moves_files or file.same_content(seen))
        )

    def discard(self, action: DropStaging) -> None:
        """Remove an output that nobody wants; what can't be removed is removed with its worker."""
        try:
            self._outbox.discard(action.staging)
        except (OSError, OutputRefusedError):
            return

    def clear(self, action: ClearStaging) -> None:
        """Remove what a dead worker left; what can't be removed is removed at the next start."""
        worker = f"{self._identity.epoch}-{action.worker_id}"
        try:
            self._outbox.clear_staging(worker)
        except OSError:
            return


def _failed(action: Publish, kind: FailureKind, message: str) -> e.PublishFailed:
    failure = Failure(kind=kind, message=message, worker_id=action.worker_id)
    return e.PublishFailed(batch_id=action.batch.batch_id, dispatch=action.batch.dispatch, failure=failure)
