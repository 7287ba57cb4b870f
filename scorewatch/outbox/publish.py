"""Making an output visible: looked at closely, given its manifest, and renamed to its final name, all at once.

What lies in staging was written by users' scripts, perhaps hostile ones; nothing there is followed or believed.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from scorewatch.model import ids
from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.outbox.durable import change_mode, folder, make_folder, umask, write_all
from scorewatch.outbox.manifest import identities
from scorewatch.outbox.staging import STAGING, remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

BATCHES = "batches"
MANIFEST = "_manifest.json"
_DEEPEST = 50  # folders inside a batch's output
_STAGED_DEPTH = 2  # <worker>/<batch>.<dispatch>
_FOR_FILES = 0o666
_FOR_FOLDERS = 0o777


class OutputRefusedError(Exception):
    """What lies in staging is not what the worker said, or may not be published; the message is one sentence.

    It is the script's doing (BAD_RESULT), never the disk's, which raises OSError.
    """


class Publisher:
    """Publishes staged outputs below one outbox, and remembers what is not durable yet."""

    def __init__(self, outbox: Path, *, spelled: Path, durable: bool) -> None:
        self._outbox = outbox
        self._prefixes = (f"{spelled}/{STAGING}/", f"{outbox}/{STAGING}/")
        self._durable = durable
        self._unsynced: set[str] = set()  # paths relative to the outbox
        self._days: set[str] = set()  # those whose own names were synced, or will be
        self._mask = umask()

    def doubt(self, batch_ids: Iterable[str]) -> None:
        """Have the days of these outputs made durable by the next `sync`, though nothing is published there."""
        for batch_id in batch_ids:
            self._unsynced |= {BATCHES, f"{BATCHES}/sealed_date={ids.sealed_date(batch_id)}"}

    # ------------------------------------------------------------ publishing
    def publish(self, batch_id: str, staging: str, manifest: Mapping[str, Any]) -> None:
        """Rename the staged directory to its final name, its manifest in it; durable after `sync`.

        Args:
            batch_id: names the output.
            staging: absolute path of a directory below `<outbox>/.staging/`.
            manifest: says in `outputs` what must lie there.

        Raises:
            OutputRefusedError: what lies there is something else.
            ScorewatchError: exit code 6, where an output of that name stands that was made of other files.
            OSError: the disk's fault; what was staged stays, and the same call may be made again.
        """
        parts = self._below_staging(staging)
        day = _day(batch_id)
        with folder(self._outbox) as root, folder(BATCHES, root) as batches:
            if make_folder(day, batches):
                self._days.discard(day)
            with folder(day, batches) as target:
                self._owe_sync(day)
                self._bring_in(batch_id, parts, manifest, root, target)

    def manifest(self, batch_id: str) -> Mapping[str, Any] | None:
        """The manifest of a visible output, or None.

        Whoever published it may have been killed before it was durable, so `sync` includes it.
        """
        day = _day(batch_id)
        try:
            with folder(self._outbox) as root, _below((BATCHES, day), root) as target:
                found = read_manifest(batch_id, target)
        except FileNotFoundError:
            return None
        if found is not None:
            self._owe_sync(day)
        return found

    def _owe_sync(self, day: str) -> None:
        """The day's folder is to be synced; the first time, its own name too, whoever made it."""
        self._unsynced.add(f"{BATCHES}/{day}")
        if day not in self._days:
            self._days.add(day)
            self._unsynced.add(BATCHES)

    def discard(self, staging: str) -> None:
        """Remove a staged directory that is not going to be published; none there is fine.

        Args:
            staging: as for `publish`.
        """
        *above, name = self._below_staging(staging)
        with suppress(FileNotFoundError), folder(self._outbox) as root, _below((STAGING, *above), root) as parent:
            remove_tree(name, parent)

    def _bring_in(
        self, batch_id: str, parts: tuple[str, ...], manifest: Mapping[str, Any], root: int, target: int
    ) -> None:
        try:
            with self._staged(parts, root) as (parent, staged):
                self._look_closely(staged, manifest)
                self._write_manifest(staged, manifest)
                try:
                    os.rename(parts[-1], batch_id, src_dir_fd=parent, dst_dir_fd=target)
                except OSError as error:
                    if error.errno not in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
                        raise
                    self._recognise(batch_id, manifest, target)
                    remove_tree(parts[-1], parent)
                else:
                    self._was_that_one(batch_id, staged, target)
        except FileNotFoundError:
            if read_manifest(batch_id, target) is None:
                raise
            self._recognise(batch_id, manifest, target)  # published before, as far as staging can tell

    @contextmanager
    def _staged(self, parts: tuple[str, ...], root: int) -> Iterator[tuple[int, int]]:
        """The staged directory and its parent, both open, no symlink on the way."""
        try:
            with _below((STAGING, *parts[:-1]), root) as parent:
                mode = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    self._make_readable(parts[-1], parent, mode)
                with folder(parts[-1], parent) as staged:
                    yield parent, staged
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                raise OutputRefusedError("the worker's output is no folder, or lies behind a symlink") from error
            raise

    def _below_staging(self, staging: str) -> tuple[str, ...]:
        prefix = next(filter(staging.startswith, self._prefixes), None)
        parts = tuple(staging.removeprefix(prefix or "").split("/"))
        if prefix is None or len(parts) > _STAGED_DEPTH or {"", ".", ".."} & set(parts):
            raise OutputRefusedError(f"the worker's output is not in its own staging folder but in {staging!a}")
        return parts

    def _recognise(self, batch_id: str, manifest: Mapping[str, Any], target: int) -> None:
        """An output of this name stands: fine if it is this one."""
        standing = read_manifest(batch_id, target)
        if standing is None or identities(standing) is None or identities(standing) != identities(manifest):
            raise ScorewatchError(
                "an output of this name stands here that was not made of these files",
                where=self._outbox / BATCHES / _day(batch_id) / batch_id,
                hint="nothing was overwritten; move it away if it isn't yours, and start the service again",
                exit_code=ExitCode.FOLDER_UNUSABLE,
            )

    def _was_that_one(self, batch_id: str, staged: int, target: int) -> None:
        """The name in staging could have been swapped between the look and the rename."""
        if not os.path.samestat(os.stat(batch_id, dir_fd=target, follow_symlinks=False), os.fstat(staged)):
            remove_tree(batch_id, target)
            raise OutputRefusedError("the worker's output was exchanged while it was published")

    # ------------------------------------------------------------ looking
    def _look_closely(self, staged: int, manifest: Mapping[str, Any]) -> None:
        """Compare what lies there with what the receipt lists, and give it sane permissions."""
        listed = {str(file["name"]): int(file["size_bytes"]) for file in manifest["outputs"]}
        if MANIFEST in listed:
            raise OutputRefusedError(f"the scoring script wrote a file named {MANIFEST}, which is scorewatch's own")
        unlisted = int(manifest.get("outputs_unlisted", 0))
        for name, size in self._files_in(staged, "", _DEEPEST):
            if name == MANIFEST:
                continue  # from an earlier try
            if name not in listed:
                unlisted -= 1
                if unlisted < 0:
                    raise OutputRefusedError(f"{name!a} lies beside the output and was not there when run() returned")
            elif listed.pop(name) != size:
                raise OutputRefusedError(f"{name!a} has changed since run() returned; close files before returning")
        if listed:
            raise OutputRefusedError(f"{next(iter(listed))!a} is missing from the output")
        if unlisted:
            raise OutputRefusedError(f"{unlisted} files are missing from the output")

    def _files_in(self, fd: int, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
        """Every file below an open directory: (relative name, bytes)."""
        with os.scandir(fd) as entries:
            for entry in entries:
                name, look = prefix + entry.name, entry.stat(follow_symlinks=False)
                if not (stat.S_ISREG(look.st_mode) or stat.S_ISDIR(look.st_mode)):
                    raise OutputRefusedError(f"{name!a} in the output is neither a file nor a folder")
                self._make_readable(entry.name, fd, look.st_mode)
                if stat.S_ISREG(look.st_mode):
                    yield name, look.st_size
                elif depth == 0:
                    raise OutputRefusedError(f"the output has folders nested deeper than {_DEEPEST}")
                else:
                    with folder(entry.name, fd) as inner:
                        yield from self._files_in(inner, f"{name}/", depth - 1)

    def _make_readable(self, name: str, inside: int, mode: int) -> None:
        """The permissions that the process's umask gives; a script's private or executable ones help no reader."""
        wanted = _FOR_FILES & ~self._mask
        if stat.S_ISDIR(mode):
            wanted = (_FOR_FOLDERS & ~self._mask) | (mode & stat.S_ISGID)  # a shared group is the operator's wish
        if stat.S_IMODE(mode) != wanted:
            change_mode(name, inside, wanted)

    # ------------------------------------------------------------ writing
    def _write_manifest(self, staged: int, manifest: Mapping[str, Any]) -> None:
        data = json.dumps(manifest, separators=(",", ":"), ensure_ascii=True).encode("ascii") + b"\n"
        try:
            os.unlink(MANIFEST, dir_fd=staged)
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            raise OutputRefusedError(f"the scoring script made a folder named {MANIFEST}") from None
        with _opened(MANIFEST, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, staged) as fd:
            write_all(fd, data)
            if self._durable:
                os.fsync(fd)
        if self._durable:
            os.fsync(staged)

    def sync(self) -> None:
        """Make everything published so far durable: each folder that was touched once.

        Raises:
            OSError: nothing is forgotten, so it may be called again; after EIO that proves little, and a restart,
                which looks at what is there, is the honest way.
        """
        if self._durable:
            with folder(self._outbox) as root:
                for name in sorted(self._unsynced):
                    with _below(tuple(name.split("/")), root) as fd:
                        os.fsync(fd)
        self._unsynced.clear()


def read_manifest(batch_id: str, day: int) -> Mapping[str, Any] | None:
    """The manifest of an output in an open day's folder; None where there is none, or not one of ours."""
    try:
        with (
            folder(batch_id, day) as output,
            _opened(MANIFEST, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, output) as fd,
        ):
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            with os.fdopen(os.dup(fd), "rb") as file:
                found = json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:  # a symlink of that name
            return None
        raise
    return found if isinstance(found, dict) else None


def _day(batch_id: str) -> str:
    """The folder of a batch's day."""
    return f"sealed_date={ids.sealed_date(batch_id)}"


@contextmanager
def _below(parts: tuple[str, ...], root: int) -> Iterator[int]:
    """A directory some steps below an open one, no symlink on the way."""
    with folder(parts[0], root) as fd:
        if len(parts) == 1:
            yield fd
        else:
            with _below(parts[1:], fd) as deeper:
                yield deeper


@contextmanager
def _opened(name: str, flags: int, inside: int) -> Iterator[int]:
    fd = os.open(name, flags | os.O_CLOEXEC, 0o666, dir_fd=inside)
    try:
        yield fd
    finally:
        os.close(fd)
