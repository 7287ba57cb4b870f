"""The disk's part of decisions: one group at a time, with shared fsyncs and one ledger transaction.

A group is whatever was decided while the disk was busy with the group before it: alone, a single file is
committed at once; under load many batches share the costly calls. Order inside a group:

    1  outputs are published (rename), and made durable together
    2  all records, in one transaction
    3  the loop is told, so that workers start while the rest goes on
    4  claims are made durable together; inputs released, set aside, divided
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorewatch.daemon.mailbox import Recorded
from scorewatch.model import decisions as d
from scorewatch.model.errors import ScorewatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scorewatch.daemon.archive import Archive
    from scorewatch.daemon.mailbox import Letter
    from scorewatch.daemon.publishing import Publishing
    from scorewatch.model.batches import MiniBatch
    from scorewatch.model.ports import Claims, Ledger
    from scorewatch.model.records import Record

FOR_THE_DISK = (
    d.SyncClaim,
    d.Publish,
    d.Release,
    d.SetAside,
    d.Divide,
    d.DropClaim,
    d.ListSkipped,
    d.ClearStaging,
    d.DropStaging,
)


class DiskWork:
    """Does groups of decisions; holds no thread, so that a simulation can drive it step by step."""

    def __init__(
        self,
        ledger: Ledger,
        claims: Claims,
        publishing: Publishing,
        archive: Archive,
        post: Callable[[Letter], None],
    ) -> None:
        self._ledger = ledger
        self._claims = claims
        self._publishing = publishing
        self._archive = archive
        self._post = post
        self._answered: set[tuple[str, int]] = set()  # orders to publish, of a group that the ledger refused

    def do(self, group: Sequence[d.Decision]) -> None:
        """Carry out a group of decisions, in the order of the module's table.

        Raises:
            LedgerFullError: nothing of the group's records stands, and none of its later actions started;
                doing the whole group again is harmless.
        """
        # Whatever else its decision records: no record of a batch is owed before its output is published.
        self.publish([a for decision in group for a in decision.actions if isinstance(a, d.Publish)])
        self.record([record for decision in group for record in decision.records])
        self._answered.clear()
        after = [action for decision in group if decision.records for action in decision.actions]
        self._tell_loop(after)
        rest = [action for decision in group if not decision.records for action in decision.actions]
        self.act([action for action in (*after, *rest) if isinstance(action, FOR_THE_DISK)])

    def publish(self, actions: Sequence[d.Publish]) -> None:
        """Make outputs visible, then durable together, then say so.

        Each order once: one that failed may have been scored anew by the time the ledger takes its group.
        """
        news = [action for action in actions if _hand_out(action) not in self._answered]
        if news:
            self._answered.update(map(_hand_out, news))
            for answer in self._publishing.publish(news):
                self._post(answer)

    def record(self, records: Sequence[Record]) -> None:
        """One transaction."""
        if records:
            self._ledger.record(records)

    def _tell_loop(self, after: Sequence[d.Action]) -> None:
        for_loop = tuple(action for action in after if not isinstance(action, FOR_THE_DISK))
        if for_loop:
            self._post(Recorded(for_loop))

    def act(self, actions: Sequence[d.Action]) -> None:
        """What comes after the records."""
        self._sync_claims([action.batch for action in actions if isinstance(action, d.SyncClaim)])
        self._archive.release([action for action in actions if isinstance(action, d.Release)])
        for action in actions:
            match action:
                case d.SetAside():
                    self._archive.set_aside(action)
                case d.Divide():
                    self._archive.divide(action)
                case d.DropClaim():
                    self._archive.drop(action)
                case d.ListSkipped():
                    self._archive.list_skipped(action)
                case d.ClearStaging():
                    self._publishing.clear(action)
                case d.DropStaging():
                    self._publishing.discard(action)
                case _:
                    pass

    def owed(self) -> d.Decision | None:
        """What could not be done and nobody else asks for again; None: nothing."""
        return d.Decision((), self._archive.unlisted) if self._archive.unlisted else None

    def _sync_claims(self, batches: list[MiniBatch]) -> None:
        if not batches:
            return
        try:
            self._claims.sync(batches)
        except (OSError, ScorewatchError):
            # Tried again before the output is published, where a failure is told.
            self._publishing.unsynced.update({batch.batch_id: batch for batch in batches})
        else:
            self._publishing.synced(batches)


def _hand_out(action: d.Publish) -> tuple[str, int]:
    return action.batch.batch_id, action.batch.dispatch
