"""What happens to inputs at the end: released, set aside or divided, each with its line in the logs of the outbox.

Every step may be done twice. Lines of batches that an earlier daemon may have begun to close are looked for
before they are written, so that each stands exactly once.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from scorewatch import __version__
from scorewatch.model import events as e
from scorewatch.model.errors import ScorewatchError
from scorewatch.outbox.manifest import (
    iso,
    quarantine_errors,
    quarantine_line,
    skip_errors,
    summary_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from scorewatch.daemon.mailbox import Letter
    from scorewatch.daemon.publishing import Publishing
    from scorewatch.model import decisions as d
    from scorewatch.model.batches import MiniBatch
    from scorewatch.model.files import Observation
    from scorewatch.model.ports import Claims, Outbox


class Archive:
    """Closes batches, in the disk's thread."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        claims: Claims,
        publishing: Publishing,
        post: Callable[[Letter], None],
        clock: Callable[[], float],
        deployment: str,
    ) -> None:
        self._outbox = outbox
        self._claims = claims
        self._publishing = publishing
        self._post = post
        self._clock = clock
        self._deployment = deployment
        self.begun: set[str] = set()  #: batches whose lines may stand already
        self.unlisted: tuple[d.ListSkipped, ...] = ()  #: refused files whose lines could not be written yet

    # ------------------------------------------------------------ released
    def release(self, actions: Sequence[d.Release]) -> None:
        """Write the summary lines together, then move the inputs out of their claims."""
        new = [action for action in actions if action.batch.batch_id not in self.begun]
        begun = [action for action in actions if action.batch.batch_id in self.begun]
        for some, again in ((new, False), (begun, True)):
            if some:
                self._release(some, again=again)

    def _release(self, actions: Sequence[d.Release], *, again: bool) -> None:
        ids = [action.batch.batch_id for action in actions]
        self.begun.update(ids)
        try:
            manifests = [self._manifest(batch_id) for batch_id in ids]
            lines = [summary_line(manifest) for manifest in manifests if manifest is not None]
            self._outbox.summarise(lines, repeated=again)
        except (OSError, ScorewatchError) as error:
            self._not_done(ids, "the summary could not be written", error)
            return
        for action in actions:
            self._release_inputs(action.batch)

    def _manifest(self, batch_id: str) -> Any:  # noqa: ANN401 - a manifest is JSON
        return self._publishing.manifests.get(batch_id) or self._outbox.manifest(batch_id)

    def _release_inputs(self, batch: MiniBatch) -> None:
        try:
            self._claims.release(batch)
        except (OSError, ScorewatchError) as error:
            self._not_done([batch.batch_id], "the inputs of a scored batch could not be moved", error)
            return
        self._closed(batch.batch_id)

    # ------------------------------------------------------------ set aside
    def set_aside(self, action: d.SetAside) -> None:
        """Move the files to quarantine with the reason beside them; list each, and the batch in the summary."""
        batch, failure = action.batch, action.failure
        again = batch.batch_id in self.begun
        self.begun.add(batch.batch_id)
        now = self._clock()
        record = {
            "at": iso(now),
            "deployment": self._deployment,
            "batch_id": batch.batch_id,
            "attempt": batch.attempt,
            "interruptions": batch.interruptions,
            **asdict(failure),
            "files": [file.relpath for file in batch.files],
            "scorewatch_version": __version__,
        }
        line = quarantine_line(batch, failure, deployment=self._deployment, version=__version__, at=now)
        try:
            self._claims.set_aside(batch, record)
            errors = quarantine_errors(batch, failure, deployment=self._deployment, at=now)
            self._outbox.list_errors(errors, repeated=again)
            self._outbox.summarise([line], repeated=again)
        except (OSError, ScorewatchError) as error:
            self._not_done([batch.batch_id], "files could not be moved to quarantine", error)
            return
        self._closed(batch.batch_id)

    # ------------------------------------------------------------ divided
    def divide(self, action: d.Divide) -> None:
        """Move the files into the claims of the halves, and say what each holds now."""
        batch_id = action.batch.batch_id
        try:
            self._claims.divide(action.batch, action.halves)
            parts = tuple((half_id, self._present(action, half_id, files)) for half_id, files in action.halves)
        except (OSError, ScorewatchError) as error:
            self._not_done([batch_id], "a failed batch could not be divided", error)
            return
        self._post(e.BatchDivided(batch_id=batch_id, halves=parts))

    def _present(self, action: d.Divide, half_id: str, files: tuple[Observation, ...]) -> tuple[Observation, ...]:
        """The files of a half as they are now: a rename changes their ctime."""
        seen = self._claims.look(replace(action.batch, batch_id=half_id, files=files))
        return tuple(file for file in seen if file is not None)

    # ------------------------------------------------------------ the rest
    def drop(self, action: d.DropClaim) -> None:
        """Remove the empty folders of a claim; a file that is in there after all is found at the next start."""
        try:
            self._claims.drop(action.batch_id)
        except (OSError, ScorewatchError):
            return

    def list_skipped(self, action: d.ListSkipped) -> None:
        """List refused files; those that can't be listed now are owed, and nothing new is claimed until they are."""
        lines = skip_errors(action, deployment=self._deployment, at=self._clock())
        others = tuple(owed for owed in self.unlisted if owed.skip_id != action.skip_id)
        try:
            self._outbox.list_errors(lines, repeated=others != self.unlisted)
        except OSError as error:
            self.unlisted = (*others, action)
            message = f"skipped files could not be listed in errors/: {error}"
            self._post(e.FolderTroubled(role=e.Role.OUTBOX, message=message, cause="errors"))
            return
        if self.unlisted and not others:
            self._post(e.FolderFine(role=e.Role.OUTBOX, cause="errors"))
        self.unlisted = others

    def _closed(self, batch_id: str) -> None:
        self.begun.discard(batch_id)
        self._publishing.manifests.pop(batch_id, None)
        self._post(e.BatchReleased(batch_id=batch_id))

    def _not_done(self, batch_ids: Iterable[str], what: str, error: Exception) -> None:
        for batch_id in batch_ids:
            self._post(e.ActionFailed(batch_id=batch_id, message=f"{what}: {error}"))
