"""Looking at single files: which are whole now, which have to wait, which are refused."""

from __future__ import annotations

import math
import os
from collections import deque
from typing import TYPE_CHECKING

from scorewatch.core.readiness import READY, Ignore, Lease, Look, Marker, Orphan, Wait
from scorewatch.inbox import moves
from scorewatch.inbox.settling import Settling
from scorewatch.model.files import Observation, Refusal, RefusalReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scorewatch.core.readiness import Quiet
    from scorewatch.inbox.hands import Hands
    from scorewatch.inbox.probe import Probed


class Examiner:
    """Probes files, and remembers those that are not whole yet.

    Args:
        hands: the claims: they know where a file lies, and which were taken.
        readiness: when a file is whole.
        clock: monotonic seconds.
        max_file_bytes: larger ones are refused.
    """

    def __init__(
        self,
        hands: Hands,
        readiness: Quiet | Marker,
        *,
        clock: Callable[[], float],
        max_file_bytes: int | None = None,
    ) -> None:
        self._hands = hands
        self._readiness = readiness
        self._marker = readiness if isinstance(readiness, Marker) else None
        self._orphan = Orphan(incomplete_s=readiness.incomplete_s)
        self._clock = clock
        self._max_bytes = max_file_bytes
        self._again: deque[str] = deque()
        self._refused: list[Refusal] = []
        self.settling = Settling()
        self.unfinished: set[str] = set()  #: folders that hold what can be neither offered nor noted: read them again

    def again(self, relpaths: Iterable[str]) -> None:
        """Look at these at the next chance."""
        self._again.extend(relpaths)

    def hint(self, rung: dict[str, set[str]]) -> None:
        """Names that rang: those that are settling are looked at early."""
        if not self.settling:
            return
        for folder, names in rung.items():
            if not self.settling.any_in(folder):
                continue
            for name in names:
                relpath = f"{folder}/{name}" if folder else name
                for path in (relpath, self._marker.marks(relpath) if self._marker else None):
                    if path is not None and path in self.settling:
                        self._again.append(path)

    def due_at(self) -> float:
        """When there is something to look at; infinite: nothing waits."""
        if self._again:
            return 0.0
        due = self.settling.next_due()
        return math.inf if due is None else due

    def due(self, most: int) -> list[Observation]:
        """Look at what is due, and what was asked for again; those that are whole."""
        ready: list[Observation] = []
        if not self._again and self.settling.next_due() is None:
            return ready
        # Folders are opened anew each time: one that is kept open may not be the one of that name any more.
        with moves.Folders(self._hands.root.fd) as folders:
            self._again.extend(self.settling.due(self._clock(), most))
            while self._again and len(ready) < most:
                relpath = self._again.popleft()
                try:
                    self._examine_by_path(folders, relpath, ready)
                except OSError:
                    self._again.append(relpath)  # nobody else remembers it
                    raise
        return ready

    def look_at(self, folder: str, relpaths: Iterable[str]) -> list[Observation]:
        """Look at files of one folder; those that are whole."""
        ready: list[Observation] = []
        with moves.Folders(self._hands.root.fd) as folders:
            try:
                fd = folders.at(folder)
            except OSError:
                self.unfinished.add(folder)  # gone, or a link by now: the next sweep says
                return ready
            for relpath in relpaths:
                self._examine(fd, relpath, ready)
        return ready

    def take_refused(self) -> list[Refusal]:
        """What was refused since the last call."""
        refused, self._refused = self._refused, []
        return refused

    def _examine_by_path(self, folders: moves.Folders, relpath: str, ready: list[Observation]) -> None:
        try:
            fd = folders.at(moves.split(relpath)[0])
        except OSError:
            fd = self._hands.root.fd  # its folder is gone; it may be parked, which needs no folder
            if relpath not in self._hands.parked():
                self.settling.forget(relpath)
                return
        self._examine(fd, relpath, ready)

    def _examine(self, fd: int, relpath: str, ready: list[Observation]) -> None:
        marked = False
        if self._marker is not None:
            about = self._marker.marks(relpath)
            if about is not None:
                self._examine_marker(fd, relpath, about)
                return
            marked = _is_there(fd, moves.split(relpath)[1] + self._marker.suffix) or relpath in self._hands.parked()
        found = self._hands.probe(fd, relpath)
        seen = found.seen
        if seen is None:
            self._not_a_file(relpath, found)
            return
        if self._hands.taken(seen):
            self.settling.forget(relpath)
            return
        if self._max_bytes is not None and seen.size > self._max_bytes and found.lease is not Lease.BUSY:
            detail = f"it has {seen.size} bytes, more than the {self._max_bytes} allowed"
            self._refuse(relpath, RefusalReason.TOO_BIG, detail, seen.size)
            return
        verdict = self.settling.judge(relpath, Look(self._clock(), seen, found.lease, marked), self._readiness)
        if verdict is READY:
            ready.append(seen)
        elif isinstance(verdict, Wait) and relpath not in self.settling:
            self.unfinished.add(moves.split(relpath)[0])
        elif isinstance(verdict, Ignore) and verdict.reason is not None:
            self._refuse(relpath, verdict.reason, verdict.rule, seen.size)

    def _examine_marker(self, fd: int, relpath: str, about: str) -> None:
        base = moves.split(relpath)[1]
        if _is_there(fd, moves.split(about)[1]) or not _is_there(fd, base):
            self.settling.forget(relpath)
            return
        look = Look(self._clock(), Observation(relpath), Lease.QUIET, marked=True)
        verdict = self.settling.judge(relpath, look, self._orphan)
        if isinstance(verdict, Ignore):
            self._refuse(relpath, RefusalReason.ORPHAN_MARKER, verdict.rule)

    def _not_a_file(self, relpath: str, found: Probed) -> None:
        self.settling.forget(relpath)
        if found.reason is not None:
            self._refuse(relpath, found.reason, found.detail)

    def _refuse(self, relpath: str, reason: RefusalReason, detail: str, size: int = -1) -> None:
        self.settling.forget(relpath)
        self._refused.append(Refusal(relpath, reason, detail, size))


def _is_there(folder_fd: int, base: str) -> bool:
    try:
        os.stat(base, dir_fd=folder_fd, follow_symlinks=False)
    except OSError:
        return False
    return True
