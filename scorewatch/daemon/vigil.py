"""Watches over the inbox's thread: one that does not turn hangs in a file system that does not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorewatch.model.events import FolderFine, FolderTroubled, Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorewatch.core.draft import Instant
    from scorewatch.daemon.mailbox import Letter

PATIENCE_S = 30.0  # a thread that works turns at least once a second
CAUSE = "hung"


class Vigil:
    """Looks at a stamp, and says when it grows old and when it is fresh again.

    Args:
        last_turn: when the thread turned last, on the monotonic clock.
        post: takes what is to be told.
    """

    def __init__(self, last_turn: Callable[[], float], post: Callable[[Letter], None]) -> None:
        self._last_turn = last_turn
        self._post = post
        self._hung = False

    def look(self, now: Instant) -> None:
        """Compare the stamp with the present."""
        hung = now.mono - self._last_turn() > PATIENCE_S
        if hung == self._hung:
            return
        self._hung = hung
        if hung:
            message = f"the inbox has not answered for {PATIENCE_S:g} s: its file system hangs"
            self._post(FolderTroubled(role=Role.INBOX, message=message, cause=CAUSE))
        else:
            self._post(FolderFine(role=Role.INBOX, cause=CAUSE))
