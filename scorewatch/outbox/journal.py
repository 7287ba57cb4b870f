"""`summary/` and `errors/`: one file a day, one JSON object a line, appended durably and once.

A line that a crash tore is cut off before the next one is written.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scorewatch.model import ids
from scorewatch.outbox.durable import folder, write_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

SUMMARY = "summary"
ERRORS = "errors"

_CHUNK = 64 * 1024  # bytes read at a time when looking for the last newline
_FIRST_KEY = b'{"batch_id":"'  # how our own lines begin

Key = tuple[str, ...]


class Journal:
    """One of the two folders.

    Args:
        outbox: the outbox.
        name: `SUMMARY` or `ERRORS`.
        durable: fdatasync after every append.
    """

    def __init__(self, outbox: Path, name: str, *, durable: bool) -> None:
        self._folder = outbox / name
        self._durable = durable
        self._key = _errors_key if name == ERRORS else _summary_key
        self._mended: set[str] = set()  # days whose last line is known to be whole
        self._known: dict[str, set[Key]] = {}  # what stands in a day's file, while recovery asks for it

    def append(self, lines: Sequence[Mapping[str, Any]], *, repeated: bool = False) -> None:
        """Append lines to the file of each one's day: all of a day's in one write.

        Args:
            lines: the objects.
            repeated: some may stand there from before a crash: those are passed over.

        Raises:
            OSError: nothing of that day's lines is left in the file; earlier days' are written.
        """
        days: dict[str, list[Mapping[str, Any]]] = {}
        for line in lines:
            days.setdefault(_day(line), []).append(line)
        for day, its_lines in days.items():
            with self._opened(day) as fd:
                self._append(day, fd, self._news(day, fd, its_lines) if repeated else its_lines)
                if not repeated:
                    self._known.pop(day, None)  # kept through recovery only: it grows with the day

    def _append(self, day: str, fd: int, lines: Sequence[Mapping[str, Any]]) -> None:
        if not lines:
            return
        data = b"".join(_spell(line) for line in lines)
        before = os.fstat(fd).st_size
        try:
            write_all(fd, data)
            if self._durable:
                os.fdatasync(fd)
        except OSError:
            self._mended.discard(day)
            self._known.pop(day, None)
            os.ftruncate(fd, before)
            raise

    def _news(self, day: str, fd: int, lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The lines that don't stand in the day's file, each once."""
        if day not in self._known:
            self._known[day] = set(self._standing(fd))
        known, news = self._known[day], []
        for line in lines:
            key = self._key(line)
            if key not in known:
                known.add(key)
                news.append(line)
        return news

    def _standing(self, fd: int) -> Iterator[Key]:
        with os.fdopen(os.dup(fd), "rb") as file:
            file.seek(0)
            for line in file:
                if self._key is _summary_key and line.startswith(_FIRST_KEY):
                    yield (line[len(_FIRST_KEY) : line.index(b'"', len(_FIRST_KEY))].decode("ascii", "replace"),)
                elif (found := _parsed(line)) is not None:
                    yield self._key(found)

    # ------------------------------------------------------------ the files
    @contextmanager
    def _opened(self, day: str) -> Iterator[int]:
        """The day's file, made if it is missing; never through a symlink, never a FIFO."""
        flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        name = f"{day}.jsonl"
        with folder(self._folder) as inside:
            try:
                fd = os.open(name, flags, dir_fd=inside)
            except FileNotFoundError:
                fd = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=inside)
                self._mended.discard(day)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise OSError(f"{self._folder / name} is no file")
                if day not in self._mended:
                    self._mend(day, fd, inside)
                yield fd
            finally:
                os.close(fd)

    def _mend(self, day: str, fd: int, inside: int) -> None:
        """Before the first append: cut off what is no whole line at the file's end, and make its name durable.

        The one who made the file may have been killed before it could.
        """
        size = end = os.fstat(fd).st_size
        while end > 0:
            start = _line_start(fd, end)
            last = os.pread(fd, end - start, start)
            if last.endswith(b"\n") and _parsed(last) is not None:
                break
            end = start
        if end < size:
            os.ftruncate(fd, end)
        if self._durable:
            os.fsync(inside)
        self._mended.add(day)


def _line_start(fd: int, end: int) -> int:
    """Where the line begins whose last byte (its newline, if it has one) is the one before `end`."""
    position = end - 1
    while position > 0:
        chunk_start = max(position - _CHUNK, 0)
        found = os.pread(fd, position - chunk_start, chunk_start).rfind(b"\n")
        if found >= 0:
            return chunk_start + found + 1
        position = chunk_start
    return 0


def _spell(line: Mapping[str, Any]) -> bytes:
    """One line; `batch_id` first, where it is found without parsing."""
    if "batch_id" in line:
        line = {"batch_id": line["batch_id"], **line}
    return json.dumps(line, separators=(",", ":"), ensure_ascii=True).encode("ascii") + b"\n"


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _summary_key(line: Mapping[str, Any]) -> Key:
    return (str(line.get("batch_id")),)


def _errors_key(line: Mapping[str, Any]) -> Key:
    return (str(line.get("batch_id") or line.get("skip_id")), str(line.get("path")))


def _day(line: Mapping[str, Any]) -> str:
    """The day in the batch's id, so that recovery finds the same file after midnight; else that of `at`."""
    name = str(line.get("batch_id") or line.get("skip_id") or "")
    return ids.sealed_date(name) if ids.is_batch_id(name) else str(line["at"])[:10]
