"""Files that turned out to be still written to after they were renamed out of the inbox.

Moving one back is forbidden: its name may have been used again by then, and one of the two would be lost. So it is
moved on, into `claim/<owner>/.parked/<random>/<relpath>`, where the directory entry is all the evidence there is: a
start reads it again. Once it is quiet it is offered like any other file, under the same relpath, and claimed from
there, before a later file of the same name. A crash before the move leaves it in its claim, where `remains` parks it.
"""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

from scorewatch.inbox import moves

if TYPE_CHECKING:
    from scorewatch.inbox.layout import InboxRoot


class Parking:
    """Where the busy ones wait, by relpath; the oldest that is known first."""

    def __init__(self, root: InboxRoot, marker_suffix: str = "", *, durable: bool = True) -> None:
        self._root = root
        self._durable = durable
        self._unsynced = False  # a place was left, and a power cut could bring it back
        self._suffix = marker_suffix
        self._places: dict[str, list[str]] = {}
        self.read()

    def read(self) -> None:
        """Find what is parked; at the start, and when the inbox was away."""
        self._places.clear()
        for place in moves.names(self._root.parked_fd):
            found = list(moves.files_below(self._root.parked_fd, place))
            for path in found:
                if self._suffix and path.endswith(self._suffix):
                    continue
                self._places.setdefault(path.partition("/")[2], []).append(place)
            if not found:
                moves.remove_empty(self._root.parked_fd, place)

    def relpaths(self) -> tuple[str, ...]:
        """What is parked."""
        return tuple(self._places)

    def folder_of(self, relpath: str) -> str:
        """The folder below `.parked` in which the oldest file of that path waits; empty: none does."""
        if not self._places:
            return ""
        places = self._places.get(relpath)
        return "/".join(part for part in (places[0], moves.split(relpath)[0]) if part) if places else ""

    def put(self, src_fd: int, relpath: str) -> None:
        """Park a file, and its marker if it has one, out of the folder that it lies in now."""
        place = secrets.token_hex(8)
        above, base = moves.split(relpath)
        with moves.Folders(self._root.parked_fd, make=True) as folders:
            folder = folders.at("/".join(part for part in (place, above) if part))
            if self._suffix:
                with contextlib.suppress(FileNotFoundError):
                    moves.move(src_fd, base + self._suffix, folder, base + self._suffix)
            moves.move(src_fd, base, folder, base)
            if self._durable:  # the inbox forgets it with the next claim's fsync
                for made in moves.with_parents([f"{place}/{relpath}"]):
                    moves.sync_folder(folders.at(made))
        self._places.setdefault(relpath, []).append(place)

    def left(self, relpath: str) -> None:
        """The oldest of that path is not there any more: it was claimed, skipped or deleted."""
        places = self._places.get(relpath)
        if not places:
            return
        moves.remove_empty(self._root.parked_fd, places.pop(0))
        self._unsynced = True
        if not places:
            del self._places[relpath]

    def sync(self) -> None:
        """Make it durable that files left: one that came back after its output was published would be a second one."""
        if self._unsynced:
            self._unsynced = False
            moves.sync_folder(self._root.parked_fd)
