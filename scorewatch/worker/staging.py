"""The worker's private folder in the outbox: `out`, which the script writes to, and one folder for each hand-out."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import io
import os
import shutil
import stat
from typing import TYPE_CHECKING, Any

from .failures import BadResultError

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = "_files"
MANIFEST = "_manifest.json"  # the daemon's, in every batch's folder
_NO_FOLLOW = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Staging:
    """One worker's staging; every method belongs to the main thread.

    Args:
        root: `<outbox>/.staging/<epoch>-<serial>`, absolute; no other worker ever had or gets it.
        appends_rows: whether the script's files lie beside rows (in `_files`) or are all there is.
    """

    def __init__(self, root: str, *, appends_rows: bool) -> None:
        self._root = root
        self._appends_rows = appends_rows
        self._folders: list[str] = []
        self._ever_used = False
        self.out = os.path.join(root, "out")

    def prepare(self) -> None:
        """Make the folders; the outer one is ours alone, what is inside gets the umask's permissions."""
        os.makedirs(os.path.dirname(self._root), exist_ok=True)
        os.mkdir(self._root, 0o700)
        os.mkdir(self.out)

    def remember_folders(self) -> None:
        """Note the folders that init() made in `out`: each batch finds them again."""
        self._folders = sorted(
            os.path.relpath(e.path, self.out) for e in walk(self.out) if e.is_dir(follow_symlinks=False)
        )

    def folder_of(self, batch_id: str, dispatch: int) -> str:
        """Where the output of a hand-out is put together."""
        return os.path.join(self._root, f"{batch_id}.{dispatch}")

    def collect(self, folder: str) -> None:
        """Move what the script wrote out of `out`, into `folder`, and make `out` anew.

        Raises:
            BadResultError: where a file is still open for writing, or is no plain file or folder.
        """
        found = self._look_through_out()
        if self._appends_rows:
            os.mkdir(folder)
            if not found:
                return
            os.rename(self.out, os.path.join(folder, FILES))
        else:
            os.rename(self.out, folder)
        self._make_out()

    def _look_through_out(self) -> bool:
        """Whether anything is in `out` that init() did not make; all of it is checked."""
        mode = _mode(self.out)
        if stat.S_ISLNK(mode):
            raise BadResultError("the script put a symbolic link in the place of $AZUREML_BI_OUTPUT_PATH")
        if not mode:  # a script may have removed it
            os.makedirs(self.out)
        folders: set[str] = set()
        files = []
        for entry in walk(self.out):
            relpath = os.path.relpath(entry.path, self.out)
            if entry.is_dir(follow_symlinks=False):
                folders.add(relpath)
                continue
            if not entry.is_file(follow_symlinks=False):
                raise BadResultError(f"the script left {relpath!r} in $AZUREML_BI_OUTPUT_PATH, which is no plain file")
            files.append(relpath)
        if not self._appends_rows and MANIFEST in files:
            raise BadResultError(
                f"the script wrote a file named {MANIFEST}, which is the name of the batch's own manifest"
            )
        self._ever_used = self._ever_used or bool(files)
        if self._ever_used:  # else no handle can point into it: looking costs as much as all the rest
            self._refuse_open_files(files)
        return bool(files) or folders != set(self._folders)

    def _refuse_open_files(self, files: list[str]) -> None:
        for again in (False, True):
            still_open = [name for name in files if _is_written(os.path.join(self.out, name))]
            still_open += [os.path.relpath(path, self.out) for path in _own_handles(self.out)]
            if not still_open:
                return
            if not again:
                _close_forgotten_files()
        names = ", ".join(map(repr, sorted(set(still_open))[:5]))
        raise BadResultError(
            f"the script left a file open in $AZUREML_BI_OUTPUT_PATH: {names}; close it before run() returns"
        )

    def clear(self, folder: str) -> None:
        """Throw away what a failed attempt left in `out` and in `folder`."""
        discard(folder)
        if os.path.islink(self.out):
            os.unlink(self.out)
        else:
            shutil.rmtree(self.out, ignore_errors=True)
        self._make_out()

    def _make_out(self) -> None:
        with _same_cwd():
            os.makedirs(self.out, exist_ok=True)
            for relpath in self._folders:
                os.makedirs(os.path.join(self.out, relpath), exist_ok=True)


@contextlib.contextmanager
def _same_cwd() -> Iterator[None]:
    # A script that changed into a folder of `out` must not find itself in what was published.
    try:
        where = os.readlink("/proc/self/cwd")
    except OSError:
        where = ""
    yield
    with contextlib.suppress(OSError):
        if where and os.readlink("/proc/self/cwd") != where:
            os.chdir(where)


def walk(folder: str) -> Iterator[os.DirEntry[str]]:
    """Every entry below `folder`, a folder before what is in it; links are never followed."""
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from walk(entry.path)


def _close_forgotten_files() -> None:
    """Close file objects that nobody can reach any more; flushed first, since the collector may not do that."""
    for thing in gc.get_objects():
        if isinstance(thing, (io.TextIOWrapper, io.BufferedWriter)):
            with contextlib.suppress(Exception):
                thing.flush()
    gc.collect()


def discard(folder: str) -> None:
    """Remove the folder of a hand-out, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def seal(folder: str, *, durable: bool) -> list[dict[str, Any]]:
    """Make a folder's content durable, but for the folder's own entry list, and list its files.

    Returns:
        `{"name", "size_bytes"}` for each file, the name relative to `folder`, sorted.
    """
    files = []
    folders = []
    for entry in walk(folder):
        if entry.is_dir(follow_symlinks=False):
            folders.append(entry.path)
            continue
        size = _sync_file(entry.path) if durable else entry.stat(follow_symlinks=False).st_size
        files.append({"name": os.path.relpath(entry.path, folder), "size_bytes": size})
    if durable:
        for path in reversed(folders):
            _sync_folder(path)
    return sorted(files, key=lambda file: str(file["name"]))


def _sync_file(path: str) -> int:
    fd = os.open(path, _NO_FOLLOW)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise BadResultError(f"{os.path.basename(path)!r} turned into something that is no plain file")
        os.fsync(fd)
        return os.fstat(fd).st_size
    finally:
        os.close(fd)


def _sync_folder(path: str) -> None:
    fd = os.open(path, _NO_FOLLOW | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return 0


def _is_written(path: str) -> bool:
    """Whether any process has the file open for writing, by the lease that the kernel would refuse then."""
    try:
        fd = os.open(path, _NO_FOLLOW)
    except FileNotFoundError:
        return True  # it was there a moment ago: somebody is still at work
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False  # no leases on this file system: our own handles are looked at besides
    finally:
        os.close(fd)
    return False


def _own_handles(folder: str) -> Iterator[str]:
    """Paths in `folder` that this process has open for writing, deleted ones too."""
    prefix = folder + os.sep
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            path = os.readlink("/proc/self/fd/" + fd)
            if path.startswith(prefix) and _is_open_to_write(fd):
                yield path.removesuffix(" (deleted)")


def _is_open_to_write(fd: str) -> bool:
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii", errors="replace") as info:
        flags = next((line.split()[1] for line in info if line.startswith("flags:")), "0")
    return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY
