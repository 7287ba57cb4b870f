"""The disk's thread: takes what was decided, a group at a time, and carries it out.

A slow or full disk holds up this thread and what waits for it, never the loop.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from scorewatch.daemon.mailbox import Broken, broken_by
from scorewatch.ledger.trouble import LedgerRefusedError
from scorewatch.model import events as e
from scorewatch.model.batches import BatchState
from scorewatch.model.errors import ScorewatchError
from scorewatch.model.records import BatchMoved

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorewatch.daemon.diskwork import DiskWork
    from scorewatch.daemon.mailbox import Letter
    from scorewatch.model.decisions import Decision

LAZY_S = 0.1  # a record that nothing waits for may wait for company so long
FULL_S = 1.0  # between two tries of a ledger whose disk is full
AGAIN_S = 2.0  # between two tries of what is owed to nobody in particular
LARGEST_GROUP = 64


class DiskThread:
    """Implements `daemon.ports.Syncer`."""

    def __init__(self, work: DiskWork, post: Callable[[Letter], None]) -> None:
        self._work = work
        self._post = post
        self._queue: list[Decision] = []
        self._lazy: list[Decision] = []
        self._news = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._live, name="disk", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def submit(self, decision: Decision) -> None:
        """Have a decision carried out, after all that were submitted before it."""
        with self._news:
            (self._lazy if _can_wait(decision) else self._queue).append(decision)
            self._news.notify()

    def close(self, timeout_s: float) -> bool:
        """Finish what was submitted, then end; False: it did not end in time."""
        with self._news:
            self._closing = True
            self._news.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _live(self) -> None:
        try:
            self._work_on()
        except Exception as error:  # noqa: BLE001 - a bug here must end the service, not silence it
            self._post(broken_by(error))

    def _work_on(self) -> None:
        troubled = False
        while group := self._next_group():
            while True:
                try:
                    self._work.do(group)
                except LedgerRefusedError as error:
                    troubled = True
                    self._post(e.FolderTroubled(role=e.Role.STATE, message=str(error), cause="ledger"))
                    if self._closing:
                        return
                    self._pause()
                    continue
                except ScorewatchError as error:
                    self._post(Broken(error))
                    return
                break
            if troubled:
                troubled = False
                self._post(e.FolderFine(role=e.Role.STATE, cause="ledger"))

    def _next_group(self) -> list[Decision]:
        """Whatever was submitted meanwhile; nothing, when it is time to end."""
        with self._news:
            while not self._queue:
                if self._lazy and (self._closing or not self._news.wait(LAZY_S)):
                    break
                if not self._lazy:
                    if self._closing:
                        return []
                    owed = self._work.owed()
                    if not self._news.wait(AGAIN_S if owed else None) and owed:
                        return [owed]
            group = self._lazy + self._queue[:LARGEST_GROUP]
            self._lazy = []
            del self._queue[:LARGEST_GROUP]
            return group

    def _pause(self) -> None:
        with self._news:
            self._news.wait_for(lambda: self._closing, FULL_S)


def _can_wait(decision: Decision) -> bool:
    """A release that is recorded late is only repeated after a crash, which is harmless."""
    return not decision.actions and all(
        isinstance(record, BatchMoved) and record.now is BatchState.RELEASED for record in decision.records
    )
