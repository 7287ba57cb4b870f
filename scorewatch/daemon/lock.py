"""One daemon a deployment: a lock on a file in the state folder, given up by the kernel whatever kills us."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

from scorewatch.model.errors import ExitCode, ScorewatchError

if TYPE_CHECKING:
    from pathlib import Path

LOCK = "lock"
_TRIES = 20
_NAP_S = 0.05


class Lock:
    """Held from construction on.

    Raises:
        ScorewatchError: exit code 5, another process holds it; 6, the file can't be made.
    """

    def __init__(self, state: Path, deployment: str) -> None:
        path = state / LOCK
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise ScorewatchError(
                f"the lock can't be made: {error.strerror}",
                where=path,
                hint="make the state folder writable by the service's user",
                exit_code=ExitCode.FOLDER_UNUSABLE,
            ) from error
        if not self._taken():
            os.close(self._fd)
            raise ScorewatchError(
                f"another process runs the deployment {deployment!r}",
                where=path,
                hint="`scorewatch status CONFIG` shows it",
                exit_code=ExitCode.ALREADY_RUNNING,
            )

    def _taken(self) -> bool:
        """Whoever only looks whether a daemon lives holds the lock for an instant: wait for that long."""
        for _ in range(_TRIES):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_NAP_S)
            else:
                return True
        return False

    def release(self) -> None:
        """Let another process have it."""
        os.close(self._fd)
