"""What every command needs of a deployment: its settings, its ledger, and whether a daemon serves it."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.settings.load import load

if TYPE_CHECKING:
    from pathlib import Path

    from scorewatch.settings.schema import Settings

_MOST_STATUS_BYTES = 16 * 1024 * 1024
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as the commands see it from outside."""

    settings: Settings

    @property
    def name(self) -> str:
        """Its name."""
        return self.settings.deployment.name

    @property
    def state(self) -> Path:
        """Its state folder."""
        return self.settings.state.path

    @property
    def ledger(self) -> Path:
        """Where its ledger is, or will be."""
        return self.state / "ledger.db"

    @property
    def lock(self) -> Path:
        """What a daemon holds locked while it lives."""
        return self.state / "lock"

    def daemon_lives(self) -> bool:
        """Whether a daemon holds the deployment now.

        Raises:
            ScorewatchError: this user may not know; exit code 6.
        """
        try:
            fd = os.open(self.lock, _READ)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ScorewatchError(
                f"whether a daemon runs can't be seen: {error.strerror}",
                where=self.lock,
                hint="run this as the service's user, or as root",
                exit_code=ExitCode.FOLDER_UNUSABLE,
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def last_status(self) -> dict[str, Any]:
        """What the daemon said last in its status file; empty: it never did, or it can't be read."""
        try:
            fd = os.open(self.state / "status.json", _READ)
        except OSError:
            return {}
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return {}
            try:
                content = json.loads(file.read(_MOST_STATUS_BYTES))
            except (ValueError, RecursionError):
                return {}
        return content if isinstance(content, dict) else {}


def deployment(config: Path) -> Deployment:
    """Read a configuration.

    Raises:
        ScorewatchError: it can't be read or says something that can't be done; exit code 2.
    """
    return Deployment(load(config))
