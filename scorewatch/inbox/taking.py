"""One claim in the making: file by file out of the inbox, each only if no writer has it open.

Open, take a lease, rename, compare, ask again, close. A lease that is held over the rename is one look before and one
after it at the price of one: had anybody opened the file for writing in between, it would be gone.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from scorewatch.core.readiness import Lease
from scorewatch.inbox import moves, probe
from scorewatch.model.files import UNKNOWN_SIZE, Observation

if TYPE_CHECKING:
    from scorewatch.inbox.layout import InboxRoot
    from scorewatch.inbox.parking import Parking


class Taking:
    """What one claim has got so far.

    Args:
        root: the inbox.
        batch_fd: the claim's open folder.
        parking: for those that turn out busy.
        leases: whether leases can be believed here.
        marker_suffix: markers travel ahead of their files; empty: there are none.
    """

    def __init__(
        self, root: InboxRoot, batch_fd: int, parking: Parking, *, leases: bool = True, marker_suffix: str = ""
    ) -> None:
        self._parking = parking
        self._leases = leases
        self._suffix = marker_suffix
        self._sources = moves.Folders(root.fd)
        self._parked = moves.Folders(root.parked_fd)
        self._targets = moves.Folders(batch_fd, make=True)
        self._seen: set[str] = set()
        self.got: list[Observation] = []
        self.busy: list[str] = []
        self.stuck: list[tuple[str, str]] = []  #: of the busy ones, those that can't be moved, and why
        self.vanished: list[str] = []

    def take(self, file: Observation) -> None:
        """Take one file, or note why not.

        Raises:
            OSError: the environment failed, and nothing happened to this file.
        """
        relpath = file.relpath
        if relpath in self._seen:
            # A second one of the same name would replace the first in the claim.
            self.busy.append(relpath)
            return
        self._seen.add(relpath)
        folder, base = moves.split(relpath)
        parked = self._parking.folder_of(relpath)
        try:
            src = self._parked.at(parked) if parked else self._sources.at(folder)
            fd = os.open(base, probe.OPEN_FLAGS, dir_fd=src)
        except OSError as error:
            (self.vanished if probe.explain(error, relpath).gone else self.busy).append(relpath)
            return
        left = True
        try:
            left = self._take_open(file, fd, src, self._targets.at(folder))
        except FileNotFoundError:
            self.vanished.append(relpath)
        except PermissionError as error:
            # Immutable, or in a folder that we may not write to. One such file must not fail its whole batch.
            self.stuck.append((relpath, error.strerror or str(error)))
            self.busy.append(relpath)
            left = False
        finally:
            os.close(fd)
        if parked and left:
            self._parking.left(relpath)

    def _take_open(self, file: Observation, fd: int, src: int, dst: int) -> bool:
        """Whether the file left its place: it is got, or parked."""
        relpath = file.relpath
        base = relpath.rpartition("/")[2]
        lease = probe.ask_lease(fd) if self._leases else Lease.NONE
        held = os.fstat(fd)
        if not self._may_go(file, lease, held) or (self._suffix and not self._take_marker(relpath, src, dst)):
            self.busy.append(relpath)
            return False
        try:
            os.rename(base, base, src_dir_fd=src, dst_dir_fd=dst)
        except OSError:
            if self._suffix:
                moves.put_back_marker(dst, src, base + self._suffix)
            raise
        now = os.stat(base, dir_fd=dst, follow_symlinks=False)
        if now.st_ino == held.st_ino and now.st_dev == held.st_dev:
            whole = probe.still_leased(fd) if lease is Lease.QUIET else _unchanged(held, now)
            quiet = lease is Lease.QUIET
        else:
            # Somebody renamed another file over the name in between: that one is ours now.
            again = probe.probe(dst, base, relpath, leases=self._leases)
            whole = quiet = again.lease is Lease.QUIET and again.seen is not None and again.seen.size > 0
            now = os.stat(base, dir_fd=dst, follow_symlinks=False)
        if whole:
            self.got.append(probe.observe(relpath, now, quiet=quiet))
        else:
            self.busy.append(relpath)
            self._parking.put(dst, relpath)
        return True

    def _may_go(self, file: Observation, lease: Lease, held: os.stat_result) -> bool:
        if lease is Lease.QUIET:
            # A lease is only ever had on a regular file. An empty one may be about to be filled: it settles first.
            return held.st_size > 0
        if lease is Lease.BUSY or not stat.S_ISREG(held.st_mode) or held.st_size == 0:
            return False
        # No lease here: two looks said that it is whole, and this is the third.
        return file.size != UNKNOWN_SIZE and file.same_content(probe.observe(file.relpath, held))

    def _take_marker(self, relpath: str, src: int, dst: int) -> bool:
        """The marker goes first: a crash before the file follows leaves a claim that says what is missing."""
        marker = moves.split(relpath)[1] + self._suffix
        try:
            os.rename(marker, marker, src_dir_fd=src, dst_dir_fd=dst)
        except FileNotFoundError:
            return bool(self._parking.folder_of(relpath))
        return True

    def close(self) -> None:
        """Close the folders."""
        for folders in (self._sources, self._parked, self._targets):
            folders.close()


def _unchanged(before: os.stat_result, after: os.stat_result) -> bool:
    """By what a rename leaves alone (it changes ctime)."""
    return before.st_size == after.st_size and before.st_mtime_ns == after.st_mtime_ns
