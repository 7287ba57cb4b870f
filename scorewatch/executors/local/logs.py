"""Where workers print to, in Azure's layout: made at spawn, read for the last words, and kept from growing for ever."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

STREAMS = ("stdout", "stderr")
_OURS = re.compile(r"process\d{3,}\..+\.(stdout|stderr)\.txt")
_CUT = b"[scorewatch cut %d bytes here: this log may have %d]\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLimits:
    """How much of what workers print is kept."""

    live_bytes: int = 16 * 1024 * 1024  #: for each log of a live worker
    dead_files: int = 20  #: logs of dead workers, for each stream
    dead_bytes: int = 64 * 1024 * 1024  #: the same, all together


class WorkerLogs:
    """The log files of all workers, below one folder."""

    def __init__(self, folder: str, limits: LogLimits) -> None:
        self._folder = folder
        self._limits = limits

    def path(self, stream: str, slot: int, worker: str) -> str:
        """The log of one stream of one worker; `worker` is `<epoch>-<worker id>`, so it is never used twice."""
        return f"{self._folder}/user/{stream}/0/process{slot:03d}.{worker}.{stream}.txt"

    def trim(self, live: Collection[str]) -> None:
        """Cut the logs in `live` down to the cap, and remove the oldest of the others.

        Never raises: a log that can't be cut is left.
        """
        for path in live:
            with suppress(OSError):
                cut(path, self._limits.live_bytes)
        for stream in STREAMS:
            with suppress(OSError):
                self._prune(f"{self._folder}/user/{stream}/0", set(live))

    def _prune(self, folder: str, live: set[str]) -> None:
        dead = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if _OURS.fullmatch(entry.name) and entry.path not in live and entry.is_file(follow_symlinks=False):
                    found = entry.stat(follow_symlinks=False)
                    dead.append((found.st_mtime_ns, entry.path, found.st_size))
        kept = 0
        for index, (_, path, size) in enumerate(sorted(dead, reverse=True)):
            kept += size
            if index >= self._limits.dead_files or kept > self._limits.dead_bytes:
                with suppress(OSError):
                    Path(path).unlink()


def create(path: str) -> int:
    """A new log for a worker to append to; the caller closes the descriptor."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)


def tail(paths: Collection[str], limit: int) -> str:
    """The last words in these logs: about `limit` bytes in all, each log under a heading if it holds anything."""
    sizes = {path: _size(path) for path in paths}
    spare = limit
    parts = []
    for left, (path, size) in zip(
        range(len(sizes), 0, -1), sorted(sizes.items(), key=lambda each: each[1]), strict=True
    ):
        share = min(size, spare // left)  # smallest first, so that what it leaves goes to the bigger ones
        spare -= share
        parts.append((path, _heading(path, share, size) + _last(path, size, share)))
    order = list(paths)
    return "".join(text for path, text in sorted(parts, key=lambda each: order.index(each[0])) if sizes[path])


def cut(path: str, cap: int) -> None:
    """If a log is over `cap` bytes, keep its last quarter of that under a line that says so.

    The worker goes on writing meanwhile: its descriptor appends, so it finds the new end by itself. What it adds
    during the copy is copied too; only what it writes between the last read and the truncation is lost.
    """
    file = _open(path, os.O_RDWR)
    try:
        size = os.fstat(file).st_size
        if size <= cap:
            return
        start = size - cap // 4
        at = _put(file, _CUT % (start, cap), 0)
        for _ in range(2):
            data = _get(file, start, os.fstat(file).st_size - start)
            start += len(data)
            at = _put(file, data, at)
        os.ftruncate(file, at)
    finally:
        os.close(file)


def _open(path: str, flags: int) -> int:
    """Open a log that a stranger could have replaced by now: no link, and no pipe that would block."""
    file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise FileNotFoundError(path)
    return file


def _size(path: str) -> int:
    try:
        found = os.lstat(path)
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _heading(path: str, share: int, size: int) -> str:
    name = path.rsplit(".", 2)[-2]
    return f"[{name}]\n" if share >= size else f"[{name}, the last {share} of {size} bytes]\n"


def _last(path: str, size: int, share: int) -> str:
    try:
        file = _open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        data = _get(file, size - share, share)
    except OSError:
        data = b""
    finally:
        os.close(file)
    words = data.decode("utf-8", errors="replace")
    return words if words.endswith("\n") else words + "\n"


def _get(file: int, start: int, length: int) -> bytes:
    pieces = []
    while length > 0 and (piece := os.pread(file, length, start)):
        pieces.append(piece)
        start += len(piece)
        length -= len(piece)
    return b"".join(pieces)


def _put(file: int, data: bytes, at: int) -> int:
    view = memoryview(data)
    while view:
        done = os.pwrite(file, view, at)
        view = view[done:]
        at += done
    return at
