"""The outbox: what readers see. Opened once by the daemon, used by one thread at a time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scorewatch.core.room import Room
from scorewatch.model import ids
from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.outbox import retention, staging
from scorewatch.outbox.durable import folder, make_folder
from scorewatch.outbox.journal import ERRORS, SUMMARY, Journal
from scorewatch.outbox.publish import BATCHES, Publisher, read_manifest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date


class Outbox:
    """Implements `model.ports.Outbox`."""

    def __init__(self, root: Path, *, durable: bool) -> None:
        self.root = root.resolve()
        self._publisher = Publisher(self.root, spelled=root, durable=durable)
        self._summary = Journal(root, SUMMARY, durable=durable)
        self._errors = Journal(root, ERRORS, durable=durable)

    @classmethod
    def open(cls, root: Path | str, durability: Literal["power", "process"] = "power") -> Outbox:
        """Open an outbox whose folder exists; its own folders are made in it.

        Raises:
            ScorewatchError: exit code 6, where that can't be done.
        """
        where = Path(root).absolute()
        durable = durability == "power"
        try:
            with folder(where.resolve()) as fd:
                for name in (BATCHES, SUMMARY, ERRORS, staging.STAGING):
                    make_folder(name, fd)
                    with folder(name, fd):  # a file or a symlink in its place is found here and not at midnight
                        pass
                if durable:  # the one who made them may have been killed before it could
                    os.fsync(fd)
        except OSError as error:
            raise ScorewatchError(
                f"the outbox can't be used ({error.strerror})",
                where=where,
                hint="make the folder, writable by the service's user",
                exit_code=ExitCode.FOLDER_UNUSABLE,
            ) from error
        return cls(where, durable=durable)

    # ------------------------------------------------------------ the port
    def publish(self, batch_id: str, staging: str, manifest: Mapping[str, Any]) -> None:
        """See `Publisher.publish`."""
        self._publisher.publish(batch_id, staging, manifest)

    def sync(self) -> None:
        """Make everything published so far durable."""
        self._publisher.sync()

    def doubt(self, batch_ids: Iterable[str]) -> None:
        """These outputs are visible, but may not be durable: an earlier daemon may have died between the two."""
        self._publisher.doubt(batch_ids)

    def manifest(self, batch_id: str) -> Mapping[str, Any] | None:
        """The manifest of a visible output, or None; a visible one is durable after the next `sync`."""
        return self._publisher.manifest(batch_id)

    def summarise(self, lines: Sequence[Mapping[str, Any]], *, repeated: bool = False) -> None:
        """Append lines to `summary/`, durably; `repeated`: pass over those that stand there."""
        self._summary.append(lines, repeated=repeated)

    def list_errors(self, lines: Sequence[Mapping[str, Any]], *, repeated: bool = False) -> None:
        """Append lines to `errors/`, durably; `repeated`: pass over those that stand there."""
        self._errors.append(lines, repeated=repeated)

    def discard(self, staging: str) -> None:
        """Remove one staged directory."""
        self._publisher.discard(staging)

    def clear_staging(self, worker: str) -> None:
        """Remove one worker's staging directory, `<epoch>-<serial>`."""
        staging.clear_staging(self.root, worker)

    # ------------------------------------------------------------ besides
    def place(self, batch_id: str) -> Path:
        """Where the output of a batch is, or will be."""
        return self.root / BATCHES / f"sealed_date={ids.sealed_date(batch_id)}" / batch_id

    def clear_all(self) -> int:
        """Remove everything in staging, when no worker lives; how many folders there were."""
        return staging.clear_all(self.root)

    def manifests(self) -> Iterator[Mapping[str, Any]]:
        """The manifest of every visible output, oldest day first."""
        for day in sorted((self.root / BATCHES).glob("sealed_date=*")):
            with folder(day) as fd:
                for output in sorted(day.iterdir()):
                    if ids.is_batch_id(output.name) and (found := read_manifest(output.name, fd)) is not None:
                        yield found

    def prune(self, keep_days: int, today: date, spare: Collection[str] = ()) -> list[str]:
        """See `retention.prune_outputs`."""
        return retention.prune_outputs(self.root, keep_days, today, spare)


def room(path: Path | str) -> Room:
    """What the file system under `path` has left for this user; judged by `core.room`."""
    found = os.statvfs(path)
    return Room(
        free_bytes=found.f_bavail * found.f_frsize,
        free_inodes=found.f_favail,
        total_bytes=found.f_blocks * found.f_frsize,
        total_inodes=found.f_files,
    )
