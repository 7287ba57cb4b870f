"""Moving and making things below an open folder, never through a symbolic link.

Every path here is relative to a descriptor that was opened before: a folder that is swapped for a link in between
gives an error, not a way out.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import secrets
import stat
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_RENAME_NOREPLACE = 1
_MOST_RECORD_BYTES = 4 * 1024 * 1024
_libc = ctypes.CDLL(None, use_errno=True)


def split(relpath: str) -> tuple[str, str]:
    """The folder ("" for the root) and the last part of a relative path."""
    folder, _, base = relpath.rpartition("/")
    return folder, base


def check(relpath: str) -> str:
    """The same path, if it stays below the folder that it is relative to.

    Raises:
        ValueError: it is absolute, empty, or has a part that is empty, `.` or `..`.
    """
    if any(part in {"", ".", ".."} for part in relpath.split("/")) or "\0" in relpath:
        raise ValueError(f"not a path below the inbox: {relpath!a}")
    return relpath


def open_folder(dir_fd: int, name: str) -> int:
    """Open a folder of an open folder."""
    return os.open(name, FOLDER_FLAGS, dir_fd=dir_fd)


def make_folder(dir_fd: int, name: str, mode: int = 0o700) -> int:
    """Open a folder of an open folder, made if it isn't there."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, mode, dir_fd=dir_fd)
    return open_folder(dir_fd, name)


def open_below(root_fd: int, folder: str, *, make: bool = False, mode: int = 0o700) -> int:
    """Open a folder any number of levels below an open one; "" is that one itself.

    Raises:
        OSError: ENOENT, or ELOOP/ENOTDIR where a part of the way is a link or a file.
    """
    fd = os.dup(root_fd)
    if not folder:
        return fd
    for part in check(folder).split("/"):
        try:
            deeper = make_folder(fd, part, mode) if make else open_folder(fd, part)
        finally:
            os.close(fd)
        fd = deeper
    return fd


class Folders:
    """The folders below one root, each opened once.

    Args:
        root_fd: stays the caller's to close.
        make: make those that are missing.
        mode: for those.
    """

    _MOST_OPEN = 32  # a batch whose files lie in more folders than this opens some of them twice

    def __init__(self, root_fd: int, *, make: bool = False, mode: int = 0o700) -> None:
        self._root_fd = root_fd
        self._make = make
        self._mode = mode
        self._open: dict[str, int] = {}

    def at(self, folder: str) -> int:
        """A descriptor of the folder, good until `close` or 32 others."""
        if not folder:
            return self._root_fd
        fd = self._open.get(folder)
        if fd is None:
            fd = open_below(self._root_fd, folder, make=self._make, mode=self._mode)
            if len(self._open) >= self._MOST_OPEN:
                os.close(self._open.pop(next(iter(self._open))))
            self._open[folder] = fd
        return fd

    def close(self) -> None:
        """Close what was opened."""
        while self._open:
            os.close(self._open.popitem()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def move(src_fd: int, src: str, dst_fd: int, dst: str) -> None:
    """Rename without ever replacing anything; raises FileExistsError instead."""
    try:
        _rename_or_link(src_fd, src, dst_fd, dst)
    except FileExistsError:
        there, here = (os.stat(name, dir_fd=fd, follow_symlinks=False) for name, fd in ((dst, dst_fd), (src, src_fd)))
        if not os.path.samestat(there, here):
            raise
        os.unlink(src, dir_fd=src_fd)  # the same file under both names: a crash came between link and unlink


def _rename_or_link(src_fd: int, src: str, dst_fd: int, dst: str) -> None:
    result = _libc.renameat2(src_fd, os.fsencode(src), dst_fd, os.fsencode(dst), _RENAME_NOREPLACE)
    if result == 0:
        return
    number = ctypes.get_errno()
    if number not in {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}:
        raise OSError(number, os.strerror(number), src, None, dst)
    # A file system without the flag (some FUSE, old NFS): a second name can't replace anything either.
    os.link(src, dst, src_dir_fd=src_fd, dst_dir_fd=dst_fd, follow_symlinks=False)
    os.unlink(src, dir_fd=src_fd)


def move_if_there(src_fd: int, dst_fd: int, name: str) -> None:
    """Move a file that may have moved before.

    Raises:
        OSError: ESTALE, it is there still, and what it was to go to isn't.
    """
    try:
        move(src_fd, name, dst_fd, name)
    except FileNotFoundError:
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=src_fd, follow_symlinks=False)
            raise OSError(errno.ESTALE, "the folder that it was to go to was deleted", name) from None


def put_back_marker(src_fd: int, dst_fd: int, marker: str) -> None:
    """Move a marker back beside where its file was; a newer one of the same name says the same."""
    try:
        move(src_fd, marker, dst_fd, marker)
    except FileExistsError:
        os.unlink(marker, dir_fd=src_fd)
    except FileNotFoundError:
        return


def with_parents(relpaths: Iterable[str]) -> set[str]:
    """The folders of these paths and those above them, up to the root, which is ""."""
    found = {""}
    for relpath in relpaths:
        folder = split(relpath)[0]
        while folder not in found:
            found.add(folder)
            folder = split(folder)[0]
    return found


def sync_folder(dir_fd: int) -> None:
    """Make the names in an open folder durable. Where folders can't be fsynced there is nothing to do."""
    try:
        os.fsync(dir_fd)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise


def write_json(dir_fd: int, name: str, content: Mapping[str, Any], *, durable: bool) -> None:
    """Make a file appear all at once: temporary name, fsync, rename, fsync of the folder."""
    data = json.dumps(content, ensure_ascii=True, indent=1, default=str).encode("ascii") + b"\n"
    temporary = f".{secrets.token_hex(8)}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=dir_fd)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(fd)
        os.rename(temporary, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=dir_fd)
        raise
    if durable:
        sync_folder(dir_fd)


def read_json(dir_fd: int, name: str) -> dict[str, Any] | None:
    """The object in a JSON file; None where there is none, or something else."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        try:
            content = json.loads(file.read(_MOST_RECORD_BYTES))
        except (ValueError, RecursionError):
            return None
    return content if isinstance(content, dict) else None


def files_below(dir_fd: int, folder: str = "") -> Iterator[str]:
    """The path of everything below an open folder that is no folder itself; links are not followed."""
    waiting = [folder]  # and no recursion: what a script unpacked may be nested deeper than the interpreter calls
    while waiting:
        folder = waiting.pop()
        for name, is_folder in _entries(dir_fd, folder):
            path = f"{folder}/{name}" if folder else name
            if is_folder:
                waiting.append(path)
            else:
                yield path


def _entries(dir_fd: int, folder: str) -> list[tuple[str, bool]]:
    """(name, whether it is a folder) of what lies in a folder below an open one."""
    here = open_below(dir_fd, folder)
    try:
        with os.scandir(here) as entries:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    finally:
        os.close(here)


def names(dir_fd: int) -> list[str]:
    """What lies in an open folder, sorted."""
    with os.scandir(dir_fd) as entries:
        return sorted(entry.name for entry in entries)


def remove_empty(dir_fd: int, name: str) -> bool:
    """Remove a folder and those in it, as far as they are empty; whether all of it is gone."""
    kept = False
    for folder in reversed(_folders_from(dir_fd, name)):
        try:
            _remove_folder(dir_fd, folder)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            kept = True  # every folder is tried: one that is not empty doesn't keep its neighbours
    return not kept


def remove_tree(dir_fd: int, name: str) -> None:
    """Remove a folder with all that is in it, links as links, however deep it is; gone already is fine."""
    folders = _folders_from(dir_fd, name)
    for folder in folders:
        with contextlib.suppress(FileNotFoundError), Folders(dir_fd) as opened:
            here = opened.at(folder)
            for inner, is_folder in _entries(dir_fd, folder):
                if not is_folder:
                    os.unlink(inner, dir_fd=here)
    for folder in reversed(folders):
        _remove_folder(dir_fd, folder)


def _folders_from(dir_fd: int, name: str) -> list[str]:
    """A folder and all those below it, each before those in it."""
    found = [name]
    for folder in found:
        with contextlib.suppress(FileNotFoundError):
            found += [f"{folder}/{inner}" for inner, is_folder in _entries(dir_fd, folder) if is_folder]
    return found


def _remove_folder(dir_fd: int, folder: str) -> None:
    above, base = split(folder)
    with contextlib.suppress(FileNotFoundError), Folders(dir_fd) as opened:
        os.rmdir(base, dir_fd=opened.at(above))
