"""One worker's socket: what is still to be sent to it, and what it says, cut into messages.

Nothing here blocks, and nothing here believes what it reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorewatch.worker.messages import Splitter

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from scorewatch.worker.messages import Message

_CHUNK = 64 * 1024


class StoppedReadingError(Exception):
    """The worker lets orders pile up."""


class Link:
    """The daemon's end of the line to one worker."""

    def __init__(self, line: socket.socket, *, pile_bytes: int) -> None:
        self._line = line
        self._pile_bytes = pile_bytes
        self._splitter = Splitter()
        self._unsent = bytearray()
        self.closed = False  #: the other side says nothing any more
        self.broken = False  #: the other side hears nothing any more
        self.drained = False  #: the last look found nothing more to read
        self.received = 0  #: bytes, so far

    @property
    def wants_room(self) -> bool:
        """Whether to come back when the socket takes more (or, where it is broken, to be looked at)."""
        return bool(self._unsent) or self.broken

    def send(self, data: bytes) -> None:
        """Send an encoded message, now or as soon as the socket takes it.

        Raises:
            StoppedReadingError: too much waits already; an order of any size goes to a worker that listens.
        """
        if len(self._unsent) > self._pile_bytes:
            raise StoppedReadingError(f"it left {len(self._unsent)} bytes of orders unread")
        self._unsent += data
        self.flush()

    def flush(self) -> None:
        """Send what the socket takes now."""
        try:
            while self._unsent:
                del self._unsent[: self._line.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:  # nobody listens; what was said before is still there to be read
            self._unsent.clear()
            self.broken = True

    def receive(self, budget: int, *, to_the_end: bool = False) -> Iterator[Message]:
        """Messages that are there by now, from at most about `budget` bytes.

        A short read nearly always means that nothing is left, so only `to_the_end` looks once more.

        Raises:
            GarbageError: on what is no message; every message before it was yielded.
        """
        while budget > 0 and (data := self._read()):
            budget -= len(data)
            self.received += len(data)
            for piece in _lines(data):  # one by one: what comes before garbage counts
                yield from self._splitter.feed(piece)
            if len(data) < _CHUNK and not to_the_end:
                break
        self.closed |= self.broken and self.drained

    def _read(self) -> bytes:
        self.drained = True
        if self.closed:
            return b""
        try:
            data = self._line.recv(_CHUNK)
        except BlockingIOError:
            return b""
        except OSError:  # it died with orders unread
            data = b""
        self.closed = not data
        self.drained = self.closed
        return data


def _lines(data: bytes) -> Iterator[bytes]:
    """The data, cut after each newline and nowhere else: with `splitlines` each CR of a flood would be a piece."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end
