"""Whether the inbox is fit to be used, and saying so: once when it begins and ends, and each second in between."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from scorewatch.model.events import FolderFine, FolderTroubled, Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorewatch.inbox.held import HeldFolder
    from scorewatch.model.events import Event

LOOK_S = 1.0  #: the inbox itself is looked at so often, whatever rings


class Health(Enum):
    """What a check found."""

    FINE = auto()
    BACK = auto()  #: fine again
    TROUBLED = auto()


class Condition:
    """The inbox's trouble, if any.

    Args:
        root: the inbox.
        post: takes events.
    """

    def __init__(self, root: HeldFolder, post: Callable[[Event], None]) -> None:
        self._root = root
        self._post = post
        self.message = ""  #: what is wrong; empty: nothing
        self.due = 0.0  #: when it is to be looked at again

    def check(self, now: float) -> Health:
        """Look, and post what changed."""
        trouble = self._root.trouble()
        if not trouble and self.message:
            # It must show that it can be read again, and no more than once a second.
            trouble = self.message if now < self.due else self._root.unreadable()
        if trouble:
            self.report(trouble, now)
            return Health.TROUBLED
        if now >= self.due:
            self.due = now + LOOK_S
        if not self.message:
            return Health.FINE
        self.message = ""
        self._post(FolderFine(Role.INBOX))
        return Health.BACK

    def report(self, message: str, now: float) -> None:
        """Something is wrong, as a check or a sweep found."""
        if message != self.message or now >= self.due:
            self.message = message
            self.due = now + LOOK_S
            self._post(FolderTroubled(role=Role.INBOX, message=message))
