"""What the service manager is told: ready, reloading, stopping, still alive; nothing, where there is none."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_PATIENCE_S = 1.0  # for a manager whose queue is full: the loop must not stand still for it
_LONGEST_STATUS = 500  # characters


class ServiceManager:
    """The other end of `sd_notify`; every method answers whether it was told.

    Args:
        environ: read once; the variables are taken out, so that workers don't speak in the daemon's name.
        pid: whom the watchdog must be meant for; this process, unless given.
    """

    def __init__(self, environ: MutableMapping[str, str] | None = None, pid: int | None = None) -> None:
        environ = os.environ if environ is None else environ
        address = environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._interval = _interval(
            environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", ""), pid or os.getpid()
        )

    def __bool__(self) -> bool:
        """Whether there is a service manager that listens."""
        return bool(self._address)

    def watchdog_interval(self) -> float | None:
        """How often `alive` must be called, in seconds: twice as often as the manager looks. None: it doesn't."""
        return self._interval

    def ready(self, status: str = "") -> bool:
        """The service is up, or up again after a reload."""
        return self._tell("READY=1", *_status(status))

    def status(self, status: str) -> bool:
        """One line about how things are, for `systemctl status`."""
        return self._tell(*_status(status))

    def alive(self) -> bool:
        """The loop still turns."""
        return self._tell("WATCHDOG=1")

    def reloading(self) -> bool:
        """A reload began; `ready` ends it."""
        return self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> bool:
        """The end began."""
        return self._tell("STOPPING=1", *_status(status))

    def extend(self, seconds: float) -> bool:
        """Starting (or stopping) takes longer: nothing is wrong for so many seconds from now on."""
        return self._tell(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def _tell(self, *lines: str) -> bool:
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.settimeout(_PATIENCE_S)
                line.sendto("\n".join(lines).encode("utf-8", "backslashreplace"), self._address)
        except OSError:
            return False
        return True


def _status(status: str) -> tuple[str, ...]:
    """At most one line, whatever is in it: a second one would be another order to the manager."""
    text = "".join(one if one.isprintable() else " " for one in status)[:_LONGEST_STATUS]
    return (f"STATUS={text}",) if text else ()


def _interval(usec: str, meant_for: str, pid: int) -> float | None:
    if not usec.isdecimal() or int(usec) == 0 or (meant_for and meant_for != str(pid)):
        return None
    return int(usec) / 2_000_000
