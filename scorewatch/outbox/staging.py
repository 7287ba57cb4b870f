"""The workers' private folders under `<outbox>/.staging/`: removed without ever following a symlink.

What lies there was made by users' scripts: any depth, any names, any permissions.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from scorewatch.outbox.durable import change_mode, folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STAGING = ".staging"


def clear_staging(outbox: Path, worker: str) -> None:
    """Remove one worker's folder, `<epoch>-<serial>`; none there is fine."""
    if not worker or "/" in worker or worker in {".", ".."}:
        raise ValueError(f"no worker's folder: {worker!r}")
    with folder(outbox) as root, folder(STAGING, root) as staging:
        remove_tree(worker, staging)


def clear_all(outbox: Path) -> int:
    """Remove everything in staging, at the start when no worker lives; how many folders there were."""
    with folder(outbox) as root, folder(STAGING, root) as staging:
        entries = _entries(staging)
        for entry in entries:
            remove_tree(entry.name, staging)
    return len(entries)


def remove_tree(name: str, inside: int) -> None:
    """Remove a file or a whole folder from the open directory `inside`.

    Folders in it are moved up beside it first and then emptied in turn, so no depth is too deep; what a crash
    leaves of them is in the same place.
    """
    try:
        if not stat.S_ISDIR(os.stat(name, dir_fd=inside, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=inside)
            return
    except FileNotFoundError:
        return
    serial = count()
    waiting = [name]
    while waiting:
        emptied = waiting.pop()
        with _opened_up(emptied, inside) as fd:
            for entry in _entries(fd):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(_move_up(entry.name, fd, inside, f".removed-{os.getpid()}-", serial))
                else:
                    os.unlink(entry.name, dir_fd=fd)
        os.rmdir(emptied, dir_fd=inside)


def _move_up(name: str, source: int, target: int, prefix: str, serial: count[int]) -> str:
    """Move a folder to a new name in `target`; the name."""
    with _opened_up(name, source):  # a folder may only be moved by who may write in it
        while True:
            fresh = f"{prefix}{next(serial)}"
            try:
                os.stat(fresh, dir_fd=target, follow_symlinks=False)
            except FileNotFoundError:
                os.rename(name, fresh, src_dir_fd=source, dst_dir_fd=target)
                return fresh


def _entries(fd: int) -> list[os.DirEntry[str]]:
    """What is in an open directory, all at once: removing while listing may pass over some."""
    with os.scandir(fd) as entries:
        return list(entries)


@contextmanager
def _opened_up(name: str, inside: int) -> Iterator[int]:
    """An open directory whose permissions let us empty it, whatever a script had made of them."""
    mode = os.stat(name, dir_fd=inside, follow_symlinks=False).st_mode
    if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
        change_mode(name, inside, stat.S_IRWXU)
    with folder(name, inside) as fd:
        yield fd
