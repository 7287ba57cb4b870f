"""Claims in a world of dictionaries; it watches that no input leaves before it may."""

from __future__ import annotations

import errno
from collections import Counter
from typing import TYPE_CHECKING, Any

from scorewatch.model import ids
from scorewatch.testing.disk import FOLDER, Disk, Drop
from scorewatch.testing.luck import BrokenPromiseError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from scorewatch.model.batches import MiniBatch
    from scorewatch.model.files import Observation
    from scorewatch.testing.luck import Luck

ROOTS = ("inbox", "claim", "done", "quarantine")


class FakeClaims:
    """Implements `ports.Claims`.

    Args:
        disk: where `ROOTS` are.
        luck: what goes wrong.
        is_busy: whether a writer has this file of the inbox open.
        may_leave: what is wrong with a batch leaving its claim ("release", "set_aside"); empty: nothing.
    """

    def __init__(
        self,
        disk: Disk,
        luck: Luck,
        is_busy: Callable[[str], bool],
        may_leave: Callable[[MiniBatch, str], str],
    ) -> None:
        self.moves_files = True
        self._disk = disk
        self._luck = luck
        self._is_busy = is_busy
        self._may_leave = may_leave
        self._serial = 0

    # ------------------------------------------------------------ the inbox's thread
    def claim(self, files: Sequence[Observation]) -> tuple[str, tuple[Observation, ...], list[str], list[str]]:
        """See `ports.Claims.claim`."""
        self._luck.trouble("claim")
        self._serial += 1
        batch_id = ids.make("20261122T213741Z", self._serial.to_bytes(ids.ENTROPY_BYTES, "big"))
        folder = f"claim/{batch_id}"
        self._disk.make(folder)
        got: list[Observation] = []
        busy: list[str] = []
        vanished: list[str] = []
        names = [file.relpath for file in files]
        for number, name in enumerate(names):
            try:
                self._luck.trouble("claim one")
            except OSError:
                if got:
                    busy += names[number:]
                    break
                self._disk.remove(folder)
                raise
            if name in names[:number] or self._is_busy(name):
                busy.append(name)
            elif f"inbox/{name}" not in self._disk.names:
                vanished.append(name)
            else:
                self._disk.move(f"inbox/{name}", f"{folder}/{name}")
                got.append(self._disk.names[f"{folder}/{name}"].seen(name))
        if not got:
            self._disk.remove(folder)
        return batch_id, tuple(got), busy, vanished

    # ------------------------------------------------------------ the disk's thread
    def sync(self, batches: Sequence[MiniBatch]) -> None:
        """See `ports.Claims.sync`."""
        self._luck.trouble("sync claims")
        self._disk.sync(*(f"claim/{batch.batch_id}" for batch in batches), "claim", "inbox")

    def where(self, batch: MiniBatch) -> str:
        """See `ports.Claims.where`."""
        return f"/claim/{batch.batch_id}"

    def look(self, batch: MiniBatch) -> tuple[Observation | None, ...]:
        """See `ports.Claims.look`."""
        self._luck.trouble("look")
        here = self._drops(batch.batch_id)
        return tuple(here[f.relpath].seen(f.relpath) if f.relpath in here else None for f in batch.files)

    def remains(self, sealed: Collection[str] | None = None) -> Mapping[str, tuple[Observation, ...]]:
        """See `ports.Claims.remains`."""
        del sealed
        return {
            batch_id: tuple(drop.seen(name) for name, drop in self._drops(batch_id).items())
            for batch_id, _ in self._disk.inside("claim")
        }

    def divide(self, batch: MiniBatch, halves: Sequence[tuple[str, tuple[Observation, ...]]]) -> None:
        """See `ports.Claims.divide`."""
        self._luck.trouble("divide")
        self._promise(batch, "divide")
        wanted = Counter(file.relpath for file in batch.files)
        if wanted.total() == 1:
            raise BrokenPromiseError(f"a file that is alone already is divided: {batch}")
        if Counter(file.relpath for _, files in halves for file in files) != wanted:
            raise BrokenPromiseError(f"the halves of {batch.batch_id} don't make a whole: {halves}")
        for half_id, files in halves:
            self._disk.make(f"claim/{half_id}")
            self._move_files(batch.batch_id, f"claim/{half_id}", [file.relpath for file in files])
        self._remove_empty(batch.batch_id)
        self._disk.sync("claim")

    def release(self, batch: MiniBatch) -> None:
        """See `ports.Claims.release`."""
        self._luck.trouble("release")
        self._promise(batch, "release")
        if f"claim/{batch.batch_id}" in self._disk.names:
            target = f"done/{batch.batch_id}"
            self._disk.move_tree(f"claim/{batch.batch_id}", target if target not in self._disk.names else target + ".2")

    def set_aside(self, batch: MiniBatch, record: Mapping[str, Any]) -> None:
        """See `ports.Claims.set_aside`."""
        self._luck.trouble("set aside")
        self._promise(batch, "set_aside")
        folder = f"quarantine/{batch.batch_id}"
        self._disk.make(folder)
        self._disk.put(f"{folder}/_error.json", dict(record))
        self._disk.sync(folder, "quarantine")
        self._move_files(batch.batch_id, folder, [file.relpath for file in batch.files])
        self._remove_empty(batch.batch_id)
        self._disk.sync("claim")

    def drop(self, batch_id: str) -> None:
        """See `ports.Claims.drop`."""
        if not self._remove_empty(batch_id):
            raise OSError(errno.ENOTEMPTY, "not empty", batch_id)

    # ------------------------------------------------------------ inside
    def contents(self, batch: MiniBatch) -> tuple[Drop, ...]:
        """What a worker reads: those of a batch's files that are there."""
        here = self._drops(batch.batch_id)
        return tuple(here[file.relpath] for file in batch.files if file.relpath in here)

    def _drops(self, batch_id: str) -> dict[str, Drop]:
        return {name: value for name, value in self._disk.inside(f"claim/{batch_id}") if isinstance(value, Drop)}

    def _move_files(self, batch_id: str, folder: str, names: list[str]) -> None:
        for name in names:
            if f"claim/{batch_id}/{name}" in self._disk.names:
                self._disk.move(f"claim/{batch_id}/{name}", f"{folder}/{name}")
        self._disk.sync(folder, f"claim/{batch_id}")

    def _remove_empty(self, batch_id: str) -> bool:
        folder = f"claim/{batch_id}"
        if not any(True for _ in self._disk.inside(folder)):
            self._disk.remove(folder)
        return self._disk.names.get(folder) != FOLDER

    def _promise(self, batch: MiniBatch, way: str) -> None:
        wrong = self._may_leave(batch, way)
        if wrong:
            raise BrokenPromiseError(f"{way} of {batch.batch_id}: {wrong}")
