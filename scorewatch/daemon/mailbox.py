"""Where threads leave news for the loop: a queue and a bell, nothing else.

Any thread may post; only the loop collects. The bell is an eventfd, so the loop can wait for it and for the
workers in one call.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.model.events import Event

if TYPE_CHECKING:
    from scorewatch.model.decisions import Action


@dataclass(frozen=True, slots=True)
class Recorded:
    """Records are durable: these actions may start, in the loop's thread."""

    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """The service can't go on; the next start will take over."""

    error: ScorewatchError


def broken_by(error: Exception) -> Broken:
    """A thread met what it can't deal with: a bug must end the service, not silence a part of it."""
    return Broken(
        ScorewatchError(
            f"scorewatch has a fault of its own: {type(error).__name__}: {error}",
            hint="nothing is lost; the next start takes over; please report this",
            exit_code=ExitCode.FOLDER_UNUSABLE,
        )
    )


@dataclass(frozen=True, slots=True)
class ReloadRequested:
    """Read the configuration again."""


Letter: TypeAlias = Event | Recorded | Broken | ReloadRequested


class Mailbox:
    """News for the loop, in the order in which it came."""

    def __init__(self) -> None:
        self._letters: deque[Letter] = deque()
        self._closed = False
        self.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def post(self, letter: Letter) -> None:
        """Leave a letter and ring; safe in a signal handler."""
        self._letters.append(letter)
        if not self._closed:  # a thread that hung may end late, and the number may be another file's by then
            os.eventfd_write(self.bell, 1)

    def collect(self) -> list[Letter]:
        """Every letter that is there."""
        try:
            os.eventfd_read(self.bell)
        except BlockingIOError:
            return []
        letters = []
        while self._letters:
            letters.append(self._letters.popleft())
        return letters

    def close(self) -> None:
        """Give the bell back; what is posted after that is not heard."""
        self._closed = True
        os.close(self.bell)
