"""Looks after the house now and then: room on the disks, the right folders, logs and old days.

A thread of its own, since any of it can hang on a dead mount; it decides nothing but what is old.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from scorewatch.core import room as judgement
from scorewatch.daemon.mailbox import broken_by
from scorewatch.inbox import identity
from scorewatch.model.events import FolderFine, FolderTroubled, Role
from scorewatch.outbox.outbox import room

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import date
    from pathlib import Path

    from scorewatch.daemon.mailbox import Letter

LOOK_EVERY_S = 2.0
TIDY_EVERY_S = 3600.0
LEAP_S = 86_400.0  # the wall clock is set by this much or more: nothing is removed until the next start


class _Archive(Protocol):
    def prune_done(self, keep_days: int, now: float) -> list[str]: ...


class _Outbox(Protocol):
    def prune(self, keep_days: int, today: date, spare: Collection[str] = ()) -> list[str]: ...


@dataclass(frozen=True, kw_only=True)
class Chores:
    """What there is to look after.

    Args:
        folders: role -> the folder.
        identities: role -> (identity file, the id that it must hold); the inbox's own thread looks after its own.
        min_free: bytes that must stay free; None: a share of the disk.
    """

    folders: Mapping[Role, Path]
    identities: Mapping[Role, tuple[Path, str]]
    min_free: int | None
    claims: _Archive
    outbox: _Outbox
    keep_done_days: int
    keep_days: int
    open_days: Callable[[], Collection[str]]  #: days of batches that are not released yet
    trim_logs: Callable[[], None]


@dataclass
class _Seen:
    low: set[Role] = field(default_factory=set)
    troubled: set[tuple[Role, str]] = field(default_factory=set)


class Housekeeper:
    """The thread."""

    def __init__(self, chores: Chores, post: Callable[[Letter], None]) -> None:
        self._chores = chores
        self._post = post
        self._seen = _Seen()
        self._clocks_apart = time.time() - time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, name="housekeeper", daemon=True)

    def start(self) -> None:
        """Begin; the first look is taken here, so that nothing is claimed onto a full disk."""
        self.look()
        self._thread.start()

    def close(self) -> None:
        """End; a hung mount is not waited for."""
        self._stop.set()

    def _live(self) -> None:
        try:
            self._keep_house()
        except Exception as error:  # noqa: BLE001 - a bug here must end the service: nobody else sees a disk get room
            self._post(broken_by(error))

    def _keep_house(self) -> None:
        tidied = -TIDY_EVERY_S
        while not self._stop.wait(LOOK_EVERY_S):
            self.look()
            if time.monotonic() - tidied >= TIDY_EVERY_S:
                tidied = time.monotonic()
                self.tidy()

    def look(self) -> None:
        """Room and identity of each folder; what changed is told."""
        for role, folder in self._chores.folders.items():
            self._judge(role, "room", self._room_trouble(role, folder))
        for role, (path, known) in self._chores.identities.items():
            self._judge(role, "identity", _identity_trouble(path, known))
        with contextlib.suppress(OSError):
            self._chores.trim_logs()

    def tidy(self) -> None:
        """Remove the days that are old enough; a clock that leapt says nothing about how old they are."""
        chores, now = self._chores, time.time()
        if abs(now - time.monotonic() - self._clocks_apart) > LEAP_S:
            return
        with contextlib.suppress(OSError):
            if chores.keep_done_days:
                chores.claims.prune_done(chores.keep_done_days, now)
        with contextlib.suppress(OSError):
            chores.outbox.prune(chores.keep_days, datetime.fromtimestamp(now, UTC).date(), chores.open_days())

    def _room_trouble(self, role: Role, folder: Path) -> str:
        try:
            left = room(folder)
            read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        except OSError as error:
            return f"{folder} can't be seen: {error.strerror}"
        if read_only and role in self._chores.identities:
            return f"{folder} is read-only"
        verdict = judgement.judge(left, was_low=role in self._seen.low)
        if isinstance(verdict, judgement.Low):
            self._seen.low.add(role)
            return f"{folder}: {verdict.message}"
        self._seen.low.discard(role)
        if self._chores.min_free is not None and left.free_bytes < self._chores.min_free:
            return f"{folder}: {left.free_bytes} bytes are free, [state] min_free asks for {self._chores.min_free}"
        return ""

    def _judge(self, role: Role, cause: str, trouble: str) -> None:
        if trouble:
            self._seen.troubled.add((role, cause))
            self._post(FolderTroubled(role=role, message=trouble, cause=cause))
        elif (role, cause) in self._seen.troubled:
            self._seen.troubled.discard((role, cause))
            self._post(FolderFine(role=role, cause=cause))


def _identity_trouble(path: Path, known: str) -> str:
    try:
        standing = identity.read(path)
    except OSError as error:
        return f"{path.parent} can't be read: {error.strerror}"
    if standing is None:
        return f"{path.parent} is not there, or is not the folder of last time; waiting for it to come back"
    if standing["id"] != known:
        return f"{path.parent} is another folder than last time; waiting for the right one"
    return ""
