"""The worker's end of the socket: sends under a lock, and a thread that hears the daemon even during run()."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import socket
import sys
import threading
from typing import Callable

from . import messages

PIECE = 65536  # bytes
GONE = 1  # exit code of a worker whose daemon is gone; nobody is left to read it


class Channel:
    """One connected socket.

    Args:
        fd: an inherited descriptor. It is moved to a high number, where scripts that close what they don't know
            seldom reach, and no child of the script gets it.
    """

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=_out_of_the_way(fd))
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        # A forked child of the script must neither answer in our name nor keep the daemon from seeing our end.
        with contextlib.suppress(OSError):
            os.close(self._socket.detach())

    def send(self, message: messages.Message) -> None:
        """Send one message; a daemon that is gone ends this process."""
        line = messages.encode(message)
        try:
            with self._lock:
                self._socket.sendall(line)
        except OSError:
            os._exit(GONE)

    def listen(self, hear: Callable[[messages.Message], None]) -> None:
        """Start the thread that hands every message to `hear`, and ends the process at end-of-file."""
        threading.Thread(target=self._read, args=(hear,), name="orders", daemon=True).start()

    def _read(self, hear: Callable[[messages.Message], None]) -> None:
        splitter = messages.Splitter()
        try:
            while True:
                data = self._socket.recv(PIECE)
                if not data:
                    break
                for message in splitter.feed(data):
                    hear(message)
        except BaseException as error:  # noqa: BLE001 - a worker that can't hear must end, whatever the reason
            with contextlib.suppress(Exception):
                sys.stderr.write(f"scorewatch worker: cannot hear the daemon: {error!r}\n")
                sys.stderr.flush()
        os._exit(GONE)


def _out_of_the_way(fd: int) -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = 512 if soft == resource.RLIM_INFINITY else min(512, max(soft // 2, 3))
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
    except OSError:
        os.set_inheritable(fd, False)  # noqa: FBT003 - takes no keyword
        return fd
    os.close(fd)
    return high
