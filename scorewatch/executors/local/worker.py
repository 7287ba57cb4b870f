"""One worker as the pool holds it: its process, its line, and what may be said over it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scorewatch.executors.local import logs, proc
from scorewatch.executors.local.conversation import Conversation
from scorewatch.executors.local.link import Link, StoppedReadingError
from scorewatch.model.events import WorkerDied
from scorewatch.worker.messages import GarbageError

if TYPE_CHECKING:
    from scorewatch.executors.local.spawn import Child
    from scorewatch.model.events import Event

TAIL_BYTES = 64 * 1024  #: of a dead worker's logs
_FAILURE_TAIL_BYTES = 16 * 1024  # of a living one's, for each failed attempt
_PILE_BYTES = 8 * 1024 * 1024  # orders that a worker may leave unread
_AFTERWORDS_BYTES = 8 * 1024 * 1024  # what is read from a dead worker's line: a child of it may hold the other end


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSnapshot:
    """A live worker, for `status`."""

    worker_id: int
    slot: int
    pid: int
    stdout: str  #: path of its log
    stderr: str
    rss_bytes: int


class Worker:
    """A live worker, until it is buried."""

    def __init__(self, worker_id: int, slot: int, child: Child, staging: str) -> None:
        self.worker_id = worker_id
        self.slot = slot
        self.child = child
        self.pid = child.process.pid
        self.link = Link(child.line, pile_bytes=_PILE_BYTES)
        self.talk = Conversation(worker_id, self.pid, staging, lambda: self.tail(_FAILURE_TAIL_BYTES))
        self.killed = False  #: by us
        self.watched_for_room = False  #: the pool's note
        self._late_bytes = 0  # heard after its death
        self._because = ""  # why, where it was the pool's own doing
        self._oom_kills = proc.oom_kills()

    @property
    def takes_orders(self) -> bool:
        """Whether an order could still be answered."""
        return not (self.killed or self.talk.ends_by_itself or self.link.closed or self.link.broken)

    @property
    def silent(self) -> bool:
        """Whether nothing will come from it any more but its death."""
        return self.link.closed or bool(self._because)

    def send(self, data: bytes) -> None:
        """Send an encoded message; a worker that lets too many pile up is killed."""
        try:
            self.link.send(data)
        except StoppedReadingError as error:
            self._condemn(f"the worker stopped reading its orders: {error}")

    def listen(self, budget: int, *, to_the_end: bool = False) -> list[Event]:
        """What it said, from at most about `budget` bytes; one that says garbage is killed."""
        events: list[Event] = []
        if self.silent:
            return events
        try:
            for message in self.link.receive(budget, to_the_end=to_the_end):
                event = self.talk.hear(message)
                if event is not None:
                    events.append(event)
        except GarbageError as error:
            self._condemn(f"the worker sent garbage: {error}")
        else:
            self._check_line()
        return events

    def listen_late(self, budget: int) -> list[Event]:
        """What a dead worker said last; whatever its script started and left behind is killed, and adds no more."""
        self._kill_group()  # before the worker is reaped: until then nobody else can get its number
        before = self.link.received
        events = self.listen(budget, to_the_end=True)
        self._late_bytes += self.link.received - before
        return events

    def kill(self) -> None:
        """SIGKILL to the process group that we made; whoever left it by itself is not looked for."""
        self.killed = True
        self._kill_group()

    def may_be_buried(self) -> bool:
        """Whether a dead worker's last words are read."""
        return self.silent or self.link.drained or self._late_bytes > _AFTERWORDS_BYTES

    def bury(self) -> WorkerDied:
        """Reap a dead worker; its group was killed before."""
        exit_code = self.child.process.wait()
        tail = self.tail(TAIL_BYTES)
        self.release()
        return WorkerDied(
            worker_id=self.worker_id,
            exit_code=exit_code,
            log_tail=tail,
            out_of_memory=exit_code == -signal.SIGKILL and not self.killed and self._memory_ran_out(),
            because=self._because,
        )

    def release(self) -> None:
        """Close what the daemon holds of it."""
        self.child.line.close()
        os.close(self.child.pidfd)

    def tail(self, limit: int) -> str:
        """About the last `limit` bytes of what it printed."""
        return logs.tail((self.child.stdout, self.child.stderr), limit)

    def snapshot(self) -> WorkerSnapshot:
        """What `status` shows of it."""
        return WorkerSnapshot(
            worker_id=self.worker_id,
            slot=self.slot,
            pid=self.pid,
            stdout=self.child.stdout,
            stderr=self.child.stderr,
            rss_bytes=proc.rss_bytes(self.pid),
        )

    def _check_line(self) -> None:
        """A live worker that closed its line can never answer again; a dying one closes it on its way out."""
        if self.link.closed and not self.talk.ends_by_itself and not proc.is_exiting(self.pid):
            self._condemn("the worker closed its line to scorewatch, and lived on")

    def _condemn(self, because: str) -> None:
        if not self._because:
            self._because = because
            self.kill()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # gone; or the script changed its user
            os.killpg(self.pid, signal.SIGKILL)

    def _memory_ran_out(self) -> bool:
        """Whether the kernel took anybody since it was started; yes, where the kernel won't tell."""
        now = proc.oom_kills()
        return now is None or now != self._oom_kills
