"""One daemon a deployment: a lock on a file in the state folder, given up by the kernel whatever kills us."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from scorewatch.model.errors import ExitCode, ScorewatchError

if TYPE_CHECKING:
    from pathlib import Path

LOCK = "lock"


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
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise ScorewatchError(
                f"another process runs the deployment {deployment!r}",
                where=path,
                hint="`scorewatch status CONFIG` shows it",
                exit_code=ExitCode.ALREADY_RUNNING,
            ) from None

    def release(self) -> None:
        """Let another process have it."""
        os.close(self._fd)
