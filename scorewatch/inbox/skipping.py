"""Taking names that policy refuses out of the way: to `skipped/<skip id>/<relpath>`, with the reason beside them.

A link is moved as a link. What can't be moved (immutable, no permission) stays where it is, and is told once.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from scorewatch.core.readiness import Lease
from scorewatch.inbox import moves, probe
from scorewatch.inbox.aside import write_record
from scorewatch.inbox.layout import SKIPPED
from scorewatch.model.files import RefusalReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scorewatch.inbox.layout import InboxRoot
    from scorewatch.inbox.parking import Parking
    from scorewatch.model.files import Refusal

_STAYS = frozenset({RefusalReason.UNREADABLE})  # nobody's fault but the permissions'; mended, it is an input again
_KINDS = frozenset({RefusalReason.SYMLINK, RefusalReason.FIFO, RefusalReason.SOCKET, RefusalReason.DEVICE})
_MOST_REMEMBERED = 10_000


class Skipper:
    """Moves refused names, and remembers those that wouldn't go.

    Args:
        root: the inbox.
        parking: for what turns out to be something else than what was refused.
        durable: False: nothing is fsynced.
        leases: whether leases can be believed here.
    """

    def __init__(self, root: InboxRoot, parking: Parking, *, durable: bool = True, leases: bool = True) -> None:
        self._root = root
        self._parking = parking
        self._durable = durable
        self._leases = leases
        self._told = Told()

    def skip(self, skip_id: str, refusals: Sequence[Refusal]) -> tuple[str, tuple[Refusal, ...]]:
        """Move what can be moved; (skip id, the refusals that were not told before)."""
        fresh = [refusal for refusal in refusals if self._told.is_new(refusal)]
        movable = [refusal for refusal in fresh if refusal.reason not in _STAYS]
        results = [replace(refusal, moved=False) for refusal in fresh if refusal.reason in _STAYS]
        if movable:
            results += self._move_all(skip_id, movable)
        for refusal in results:
            if not refusal.moved:
                self._told.add(refusal)
        return skip_id, tuple(results)

    def _move_all(self, skip_id: str, refusals: list[Refusal]) -> list[Refusal]:
        above = moves.make_folder(self._root.meta_fd, SKIPPED)
        folder = moves.make_folder(above, skip_id)
        try:
            record = {"at": time.time(), "refusals": [asdict(refusal) for refusal in refusals]}
            name = write_record(folder, skip_id, [r.relpath for r in refusals], record, durable=self._durable)
            with moves.Folders(folder, make=True) as targets:
                results = [done for refusal in refusals if (done := self._move_one(refusal, targets)) is not None]
            if not any(refusal.moved for refusal in results):
                os.unlink(name, dir_fd=folder)
                moves.remove_empty(above, skip_id)
            elif self._durable:
                self._sync([refusal.relpath for refusal in results if refusal.moved], folder)
                moves.sync_folder(above)
                moves.sync_folder(self._root.meta_fd)
        finally:
            os.close(folder)
            os.close(above)
        return results

    def _sync(self, relpaths: list[str], folder: int) -> None:
        with moves.Folders(folder) as targets:
            for made in moves.with_parents(relpaths):
                moves.sync_folder(targets.at(made))

    def _move_one(self, refusal: Refusal, targets: moves.Folders) -> Refusal | None:
        """The refusal with whether it moved; None: it is gone, or it is no longer what was refused."""
        relpath = refusal.relpath
        folder, base = moves.split(relpath)
        parked = self._parking.folder_of(relpath)
        try:
            with moves.Folders(self._root.parked_fd if parked else self._root.fd) as sources:
                dst = targets.at(folder)
                moves.move(sources.at(parked or folder), base, dst, base)
        except FileNotFoundError:
            return None
        except OSError as error:
            return replace(refusal, moved=False, detail=f"{refusal.detail}; it can't be moved: {error.strerror}")
        if parked:
            self._parking.left(relpath)
        if self._still_refused(refusal, dst, base):
            return refusal
        # Replaced or filled since it was looked at: a file like any other, and its name may be taken by now.
        self._parking.put(dst, relpath)
        return None

    def _still_refused(self, refusal: Refusal, folder: int, base: str) -> bool:
        if refusal.reason in _KINDS:
            return probe.kind_of(os.stat(base, dir_fd=folder, follow_symlinks=False).st_mode) is not None
        if refusal.reason is not RefusalReason.EMPTY:
            return True
        found = probe.probe(folder, base, refusal.relpath, leases=self._leases)
        return found.lease is not Lease.BUSY and not (found.seen and found.seen.size)


class Told:
    """Which refusals were told already; the oldest are forgotten first."""

    def __init__(self, most: int = _MOST_REMEMBERED) -> None:
        self._most = most
        self._keys: OrderedDict[tuple[str, RefusalReason], None] = OrderedDict()

    def is_new(self, refusal: Refusal) -> bool:
        """Whether it was not told, or so long ago that it may be told again."""
        return (refusal.relpath, refusal.reason) not in self._keys

    def fresh(self, refusals: Sequence[Refusal]) -> tuple[Refusal, ...]:
        """Those that are new, remembered from now on, as not moved."""
        new = tuple(replace(refusal, moved=False) for refusal in refusals if self.is_new(refusal))
        for refusal in new:
            self.add(refusal)
        return new

    def add(self, refusal: Refusal) -> None:
        """Remember it."""
        self._keys[(refusal.relpath, refusal.reason)] = None
        if len(self._keys) > self._most:
            self._keys.popitem(last=False)
