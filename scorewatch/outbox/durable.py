"""The few ways in which the outbox touches the disk: whole writes, synced folders, folders without symlinks."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def folder(name: str | os.PathLike[str], inside: int | None = None) -> Iterator[int]:
    """An open directory; never through a symlink of this name.

    Raises:
        OSError: ENOTDIR or ELOOP where it is something else.
    """
    fd = os.open(name, FOLDER, dir_fd=inside)
    try:
        yield fd
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of it: a full disk writes a part first and complains only when asked for the rest.

    Raises:
        OSError: where it can't; a part may be written.
    """
    rest = memoryview(data)
    while rest:
        written = os.write(fd, rest)
        if written == 0:
            raise OSError(errno.EIO, "write() wrote nothing")
        rest = rest[written:]


def make_folder(name: str, inside: int) -> bool:
    """Make a directory; whether it was missing."""
    try:
        os.mkdir(name, dir_fd=inside)
    except FileExistsError:
        return False
    return True


def change_mode(name: str, inside: int, mode: int) -> None:
    """Chmod of a file or folder that may not even be readable, and never of what a symlink of its name leads to."""
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=inside)
    try:
        Path(f"/proc/self/fd/{handle}").chmod(mode)
    finally:
        os.close(handle)


def umask() -> int:
    """The process's umask, read without changing it: other threads make files meanwhile."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022  # kernels before 4.7 don't tell
