"""Rings a bell when something happens in a folder of the inbox, and does nothing else; the sweep decides.

Built on watchdog's inotify descriptor and its thread, below its observers: one non-recursive watch a folder, and a
mask that leaves out what our own renames would ring for. (A stock emitter costs a thread a folder, builds several
event objects for each arrival, and hands on nothing of an overflow.)
"""

from __future__ import annotations

import errno
import os
import threading
from itertools import count
from typing import TYPE_CHECKING

from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyFD, Mask

if TYPE_CHECKING:
    from watchdog.observers.inotify_c import InotifyEvent, WatchDescriptor

MASK = Mask(
    InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_CREATE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)
_ENDS = InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF | InotifyConstants.IN_UNMOUNT
_MOST_HINTS = 512  # names kept for one folder between two looks; with more the whole folder is looked at anyway


class Bell:
    """What rang since the last look: folders, with the names that rang if they were few."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: dict[str, set[str]] = {}
        self._everything = False
        self._rung = threading.Event()

    def ring(self, folder: str | None = None, name: str = "") -> None:
        """Something happened in a folder; None: anywhere."""
        with self._lock:
            if folder is None:
                self._everything = True
            else:
                names = self._folders.setdefault(folder, set())
                if len(names) < _MOST_HINTS:
                    names.add(name)
        self._rung.set()

    def wait(self, timeout: float) -> bool:
        """Sleep until it rings, at most so many seconds; whether it rang."""
        return self._rung.wait(timeout)

    def answer(self) -> tuple[bool, dict[str, set[str]]]:
        """(whether everything is to be looked at, folders and names); the bell is silent afterwards."""
        with self._lock:
            self._rung.clear()
            everything, self._everything = self._everything, False
            folders, self._folders = self._folders, {}
        return everything, folders

    def wake(self) -> None:
        """Wake the sleeper, and ring for nothing."""
        self._rung.set()


class Watcher:
    """Watches folders, as long as the kernel lets it.

    Args:
        bell: is rung from watchdog's thread.
        reason: why nothing can be watched here at all (a remote file system); empty: it is tried.
    """

    def __init__(self, bell: Bell, *, reason: str = "") -> None:
        self._bell = bell
        self._inotify: InotifyFD | None = None
        self._lock = threading.Lock()
        self._by_wd: dict[WatchDescriptor, tuple[str, CallbackId]] = {}
        self._folders: set[str] = set()
        self._ids = count(1)
        self._muted = False
        self._never = reason
        self.reason = reason  #: why it does not watch, or not everything; empty: it does

    @property
    def watching(self) -> bool:
        """Whether every folder that it was told of rings; False: somebody has to look by himself."""
        return not self.reason and not self._muted and self._inotify is not None and self._inotify.is_alive()

    def start(self) -> None:
        """Start watchdog's thread; without an inotify instance it only says so."""
        if self.reason or self._inotify is not None:
            return
        try:
            self._inotify = InotifyFD()
        except OSError as error:
            self.reason = f"no inotify instance: {error.strerror}; see fs.inotify.max_user_instances"
            return
        self._inotify.start()

    def revive(self) -> bool:
        """Start anew if watchdog's thread died; whether it had."""
        if self._inotify is None or self._inotify.is_alive():
            return False
        self._by_wd.clear()
        self._folders.clear()
        self._inotify = None
        self.start()
        return True

    def watch(self, folder: str, fd: int) -> None:
        """Watch an open folder, whatever its name is by now; again is free."""
        if self._muted or self._inotify is None or folder in self._folders:
            return
        ours = CallbackId(next(self._ids))
        try:
            wd = self._inotify.add_callback(os.fsencode(f"/proc/self/fd/{fd}"), MASK, self, ours)
        except OSError as error:
            hint = "; raise fs.inotify.max_user_watches" if error.errno == errno.ENOSPC else ""
            self.reason = f"not every folder can be watched: {error.strerror}{hint}"
            return
        with self._lock:
            before = self._by_wd.get(wd)
            self._by_wd[wd] = (folder, ours)
            self._folders.add(folder)
            if before is not None:
                self._folders.discard(before[0])
        if before is not None:  # it was renamed, and we heard of its new name first
            self._inotify.remove_callbacks([(wd, before[1])])

    def mute(self) -> None:
        """Stop watching, during a flood: each event would cost more than the look that finds its file."""
        if self._muted:
            return
        self._muted = True
        self.forget()

    def unmute(self) -> None:
        """Let folders be watched again, as the next sweep comes by."""
        self._muted = False

    @property
    def muted(self) -> bool:
        """Whether it was told not to watch for now."""
        return self._muted

    def forget(self) -> None:
        """Drop every watch."""
        with self._lock:
            watches = [(wd, ours) for wd, (_, ours) in self._by_wd.items()]
            self._by_wd.clear()
            self._folders.clear()
            self.reason = self._never
        if self._inotify is not None:
            self._inotify.remove_callbacks(watches)

    def stop(self) -> None:
        """End watchdog's thread."""
        if self._inotify is not None:
            self._inotify.stop()
            self._inotify.join()

    # ------------------------------------------------------------ called by watchdog's thread
    def on_event(self, event: InotifyEvent) -> None:
        """Ring, and forget the watch of a folder that goes away."""
        known = self._by_wd.get(event.wd)
        if known is None or event.name[:1] == b".":  # what uploaders write to before they rename it
            return
        if event.mask & _ENDS:
            self.on_watch_deleted(event.wd)
            if event.mask & InotifyConstants.IN_MOVE_SELF and self._inotify is not None:
                self._inotify.remove_callbacks([(event.wd, known[1])])
            return
        self._bell.ring(known[0], os.fsdecode(event.name))

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """A watched folder is gone, or has another name."""
        with self._lock:
            known = self._by_wd.pop(wd, None)
            if known is not None:
                self._folders.discard(known[0])
        if known is not None:
            self._bell.ring()

    def on_queue_overflow(self) -> None:
        """Events were lost: everything has to be looked at."""
        self._bell.ring()
