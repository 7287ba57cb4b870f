"""An outbox in a world of dictionaries, outputs told apart by the real manifests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.outbox.manifest import identities
from scorewatch.testing.disk import FOLDER, Disk, Drop
from scorewatch.testing.luck import BrokenPromiseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scorewatch.testing.luck import Luck

ROOTS = ("staging", "batches", "summary", "errors")


@dataclass(frozen=True, slots=True)
class Output:
    """What a worker made of a batch: the content of the files that it read."""

    drops: tuple[Drop, ...]
    manifest: Mapping[str, Any] | None = None


class FakeOutbox:
    """Implements `ports.Outbox`."""

    def __init__(self, disk: Disk, luck: Luck) -> None:
        self._disk = disk
        self._luck = luck

    # ------------------------------------------------------------ workers
    def stage(self, worker: str, order: str, drops: tuple[Drop, ...]) -> str:
        """A worker's finished output, fsynced; its path."""
        self._disk.names[f"staging/{worker}"] = self._disk.lasting[f"staging/{worker}"] = FOLDER
        path = f"staging/{worker}/{order}"
        self._disk.names[path] = self._disk.lasting[path] = Output(drops)
        return path

    # ------------------------------------------------------------ outputs
    def publish(self, batch_id: str, staging: str, manifest: Mapping[str, Any]) -> None:
        """See `ports.Outbox.publish`."""
        self._luck.trouble("publish")
        staged = self._disk.names.get(staging)
        if staged is None:
            if self.manifest(batch_id) is None:
                raise FileNotFoundError(staging)
            self._recognise(batch_id, manifest)
            return
        self._disk.put(staging, replace(staged, manifest=dict(manifest)))
        self._disk.settle(staging)
        if f"batches/{batch_id}" in self._disk.names:
            self._recognise(batch_id, manifest)
            self._disk.remove(staging)
        else:
            self._disk.move(staging, f"batches/{batch_id}")

    def _recognise(self, batch_id: str, manifest: Mapping[str, Any]) -> None:
        standing = self.manifest(batch_id)
        if standing is None or identities(standing) != identities(manifest):
            raise ScorewatchError("an output of other files stands here", exit_code=ExitCode.FOLDER_UNUSABLE)

    def sync(self) -> None:
        """See `ports.Outbox.sync`."""
        self._luck.trouble("sync outbox")
        self._disk.sync("batches")
        for batch_id, output in self._disk.inside("batches"):
            self._promise(batch_id, output)

    def _promise(self, batch_id: str, output: Output) -> None:
        """No output is durable before its claim is: else a power cut would have its files scored again."""
        names = [file["path"] for file in (output.manifest or {}).get("files", ())]
        here = [name for name in names if f"claim/{batch_id}/{name}" in self._disk.names]
        if any(f"claim/{batch_id}/{name}" not in self._disk.lasting for name in here):
            raise BrokenPromiseError(f"the output of {batch_id} would outlive a power cut, and its claim would not")

    def doubt(self, batch_ids: Iterable[str]) -> None:
        """Outputs of an earlier daemon, which may not be durable: `sync` does all of them anyway."""

    def manifest(self, batch_id: str) -> Mapping[str, Any] | None:
        """See `ports.Outbox.manifest`."""
        output = self._disk.names.get(f"batches/{batch_id}")
        return output.manifest if output else None

    def lasts(self, batch_id: str) -> bool:
        """Whether the output would outlive a power cut."""
        return f"batches/{batch_id}" in self._disk.lasting

    # ------------------------------------------------------------ lines
    def summarise(self, lines: Sequence[Mapping[str, Any]], *, repeated: bool = False) -> None:
        """See `ports.Outbox.summarise`."""
        self._luck.trouble("summarise")
        self._append("summary", lines, ("batch_id",), repeated=repeated)

    def list_errors(self, lines: Sequence[Mapping[str, Any]], *, repeated: bool = False) -> None:
        """See `ports.Outbox.list_errors`."""
        self._luck.trouble("list errors")
        self._append("errors", lines, ("batch_id", "skip_id", "path"), repeated=repeated)

    def _append(self, folder: str, lines: Sequence[Mapping[str, Any]], key: tuple[str, ...], *, repeated: bool) -> None:
        standing = [value for _, value in self._disk.inside(folder)]
        known = {tuple(line.get(part) for part in key) for line in standing} if repeated else set()
        number = len(standing)
        for line in lines:
            told = tuple(line.get(part) for part in key)
            if told in known:
                continue
            if repeated:
                known.add(told)
            while f"{folder}/{number:06d}" in self._disk.names:
                number += 1
            self._disk.put(f"{folder}/{number:06d}", dict(line))
        self._disk.sync(folder)

    def lines(self, folder: str, *, lasting: bool = False) -> list[Mapping[str, Any]]:
        """What stands in `summary` or `errors`."""
        names = self._disk.lasting if lasting else self._disk.names
        return [value for path, value in sorted(names.items()) if path.startswith(folder + "/")]

    # ------------------------------------------------------------ staging
    def discard(self, staging: str) -> None:
        """See `ports.Outbox.discard`."""
        if staging in self._disk.names:
            self._disk.remove(staging)

    def clear_staging(self, worker: str) -> None:
        """See `ports.Outbox.clear_staging`."""
        self._luck.trouble("clear staging")
        self._disk.remove(f"staging/{worker}")

    def clear_all(self) -> None:
        """Remove everything in staging."""
        for worker, _ in list(self._disk.inside("staging")):
            self._disk.remove(f"staging/{worker}")
