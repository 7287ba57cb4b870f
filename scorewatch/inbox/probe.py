"""One careful look at one name: what it is, and whether a writer has it open.

Never follows a link, never blocks on a FIFO, never becomes a terminal's owner.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scorewatch.core.readiness import Lease
from scorewatch.model.files import Observation, RefusalReason

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
_REFUSED = {
    errno.ELOOP: RefusalReason.SYMLINK,
    errno.ENXIO: RefusalReason.SOCKET,
    errno.ENODEV: RefusalReason.DEVICE,
    errno.EACCES: RefusalReason.UNREADABLE,
    errno.EPERM: RefusalReason.UNREADABLE,
}
_OUT_OF_MEANS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_BUSY = frozenset({errno.EAGAIN, errno.ETXTBSY, errno.EBUSY})

WORDS = {
    RefusalReason.SYMLINK: "a symbolic link; links are never followed",
    RefusalReason.FIFO: "a FIFO, not a regular file",
    RefusalReason.SOCKET: "a socket, not a regular file",
    RefusalReason.DEVICE: "a device, not a regular file",
    RefusalReason.UNREADABLE: "no permission to read it",
}

#: File systems where other machines write: no event, no lease that could be believed.
_REMOTE = {
    0x6969: "NFS",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB",
    0x517B: "SMB",
    0x01021997: "9p",
    0x65735546: "FUSE or virtiofs",
    0x00C36400: "Ceph",
    0x5346414F: "AFS",
    0x0BD00BD0: "Lustre",
    0x01161970: "GFS2",
    0x7461636F: "OCFS2",
}


@dataclass(frozen=True, slots=True)
class Probed:
    """What a look at a name found: gone, refused for a reason, or a regular file and its lease."""

    seen: Observation | None = None
    lease: Lease = Lease.NONE
    reason: RefusalReason | None = None
    detail: str = ""  #: why, where the reason alone doesn't say it

    @property
    def gone(self) -> bool:
        """Whether nothing of this name is there (a directory is no input either)."""
        return self.seen is None and self.reason is None


GONE = Probed()


def ignore_lease_breaks() -> None:
    """Let a lease break pass unheard; its default action would kill the process. For the main thread."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)


def observe(relpath: str, st: os.stat_result, *, quiet: bool = False) -> Observation:
    """What a stat says, as an Observation."""
    return Observation(relpath, st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_dev, st.st_ino, quiet)


def kind_of(mode: int) -> RefusalReason | None:
    """Why something of this mode is no input; None: a regular file or a folder."""
    if stat.S_ISLNK(mode):
        return RefusalReason.SYMLINK
    if stat.S_ISFIFO(mode):
        return RefusalReason.FIFO
    if stat.S_ISSOCK(mode):
        return RefusalReason.SOCKET
    return RefusalReason.DEVICE if stat.S_ISBLK(mode) or stat.S_ISCHR(mode) else None


def ask_lease(fd: int) -> Lease:
    """Take a read lease on an open file: it is had only while no process has the file open for writing."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return Lease.BUSY if error.errno in _BUSY else Lease.NONE
    return Lease.QUIET


def still_leased(fd: int) -> bool:
    """Whether a lease taken before is held still: nobody opened the file for writing since."""
    return fcntl.fcntl(fd, fcntl.F_GETLEASE) == fcntl.F_RDLCK


def explain(error: OSError, relpath: str) -> Probed:
    """What a failed open of a name means.

    Raises:
        OSError: it says nothing about the file (no descriptors left, no memory).
    """
    if error.errno in _GONE:
        return GONE
    if error.errno in _BUSY:
        # A writer holds a write lease (Samba's oplocks are such).
        return Probed(Observation(relpath), Lease.BUSY)
    if error.errno in _OUT_OF_MEANS:
        raise error
    reason = _REFUSED.get(error.errno or 0)
    if reason is None:  # an I/O error of one file must not stop the others
        return Probed(reason=RefusalReason.UNREADABLE, detail=f"it can't be opened: {error.strerror}")
    return _refused(reason)


def _refused(reason: RefusalReason | None) -> Probed:
    return GONE if reason is None else Probed(reason=reason, detail=WORDS[reason])


def probe(dir_fd: int, name: str, relpath: str, *, leases: bool = True) -> Probed:
    """Look at `name` in an open folder.

    Args:
        dir_fd: the folder.
        name: the last part of `relpath`.
        relpath: goes into the Observation.
        leases: False: don't ask for a lease, it can't be believed here.
    """
    try:
        fd = os.open(name, OPEN_FLAGS, dir_fd=dir_fd)
    except OSError as error:
        return explain(error, relpath)
    try:
        lease = ask_lease(fd) if leases else Lease.NONE
        st = os.fstat(fd)
    finally:
        os.close(fd)
    if stat.S_ISREG(st.st_mode):
        return Probed(observe(relpath, st, quiet=lease is Lease.QUIET), lease)
    return _refused(kind_of(st.st_mode))


def look(open_folder: Callable[[str], int], path: str, relpath: str) -> Observation | None:
    """The identity of a file now; None: gone.

    Args:
        open_folder: gives the descriptor of a folder, by its path.
        path: of the file, from the same root.
        relpath: goes into the Observation.
    """
    folder, _, base = path.rpartition("/")
    try:
        st = os.stat(base, dir_fd=open_folder(folder), follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return observe(relpath, st)


class _Statfs(ctypes.Structure):
    _fields_ = (("f_type", ctypes.c_long), ("rest", ctypes.c_char * 504))


def remote_filesystem(fd: int) -> str:
    """The kind of network or user-space file system that an open folder lies on; empty: a local one."""
    found = _Statfs()
    if ctypes.CDLL(None, use_errno=True).fstatfs(fd, ctypes.byref(found)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return _REMOTE.get(found.f_type & 0xFFFFFFFF, "")
