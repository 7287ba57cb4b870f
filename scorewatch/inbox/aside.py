"""Quarantine: files whose scoring failed for good, each batch's with the record that says why.

The record is `_error.json` beside the files, or the first free of `_error-1.json`, `_error-2.json`, … where an input
of the batch is called so itself. It is told from an input by its `record_of`, which is the batch's id: nobody who
dropped a file could know that.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scorewatch.inbox import moves
from scorewatch.inbox.layout import QUARANTINE, SKIPPED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from scorewatch.inbox.layout import InboxRoot

_NAMES_TO_TRY = 10


@dataclass(frozen=True, slots=True)
class PutBack:
    """What became of one quarantined file that was to return to the inbox."""

    batch_id: str
    relpath: str
    message: str = ""  #: why it stays; empty: it is back


class Quarantine:
    """The quarantined and the skipped files of one inbox.

    Args:
        root: the inbox.
        durable: False: nothing is fsynced.
        marker_suffix: of markers that lie beside their files and go back with them.
    """

    def __init__(self, root: InboxRoot, *, durable: bool = True, marker_suffix: str = "") -> None:
        self._root = root
        self._durable = durable
        self._suffix = marker_suffix

    def admit(self, batch_id: str, relpaths: Collection[str], record: Mapping[str, Any]) -> int:
        """Write the record of a batch before its files come; a descriptor of `quarantine/`, the caller's to close."""
        above = moves.make_folder(self._root.meta_fd, QUARANTINE)
        folder = moves.make_folder(above, batch_id)
        try:
            write_record(folder, batch_id, relpaths, record, durable=self._durable)
            if self._durable:
                moves.sync_folder(above)
                moves.sync_folder(self._root.meta_fd)
        except BaseException:
            os.close(above)
            raise
        finally:
            os.close(folder)
        return above

    def quarantined(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """(batch id, relpath, record) of each file in quarantine; markers are not listed."""
        return self._listed(QUARANTINE)

    def skipped(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """(skip id, relpath, record) of each skipped name."""
        return self._listed(SKIPPED)

    def _listed(self, kind: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        try:
            above = moves.open_folder(self._root.meta_fd, kind)
        except FileNotFoundError:
            return
        try:
            for group in moves.names(above):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    name, record = read_record(above, group)
                    for path in moves.files_below(above, group):
                        relpath = path.partition("/")[2]
                        if relpath != name and not self._is_marker(relpath):
                            yield group, relpath, record
        finally:
            os.close(above)

    def _is_marker(self, path: str) -> bool:
        return bool(self._suffix) and path.endswith(self._suffix)

    def put_back(
        self, batch_id: str = "", relpaths: Collection[str] | None = None, *, deployment: str = ""
    ) -> list[PutBack]:
        """Move quarantined files back into the inbox under their names, never over a file that is there.

        Args:
            batch_id: only those of this batch; empty: of any.
            relpaths: only those; None: all. One that was quarantined several times comes back once, the latest.
            deployment: only those that it set aside, of an inbox that several share; empty: of any.
        """
        wanted = [
            (batch, path)
            for batch, path, record in self.quarantined()
            if (not batch_id or batch == batch_id)
            and (not deployment or record.get("deployment", deployment) == deployment)
        ]
        if relpaths is not None:
            latest = {path: batch for batch, path in wanted if path in relpaths}
            wanted = [(batch, path) for path, batch in latest.items()]
            lost = [path for path in relpaths if path not in latest]
        else:
            lost = []
        results = [self._put_back(batch, path) for batch, path in wanted]
        for batch in sorted({batch for batch, _ in wanted}):
            self._clear(batch)
        return results + [PutBack(batch_id, path, "it is not in quarantine") for path in lost]

    def _put_back(self, batch_id: str, relpath: str) -> PutBack:
        folder, base = moves.split(relpath)
        try:
            with (
                moves.Folders(self._root.meta_fd) as ours,
                moves.Folders(self._root.fd, make=True, mode=0o755) as inbox,
            ):
                src = ours.at(f"{QUARANTINE}/{batch_id}/{folder}".rstrip("/"))
                dst = inbox.at(folder)
                moves.move(src, base, dst, base)
                if self._suffix:
                    _put_marker_back(src, dst, base + self._suffix)
                if self._durable:
                    for made in moves.with_parents([relpath]):
                        moves.sync_folder(inbox.at(made))
                    moves.sync_folder(src)
        except FileExistsError:
            return PutBack(batch_id, relpath, "a file of this name is in the inbox")
        except OSError as error:
            return PutBack(batch_id, relpath, error.strerror or str(error))
        return PutBack(batch_id, relpath)

    def _clear(self, batch_id: str) -> None:
        """Remove the record, and the folders, once no file is left beside it."""
        above = moves.open_folder(self._root.meta_fd, QUARANTINE)
        try:
            name, _ = read_record(above, batch_id)
            left = [path.partition("/")[2] for path in moves.files_below(above, batch_id)]
            if name and left == [name]:
                folder = moves.open_folder(above, batch_id)
                try:
                    os.unlink(name, dir_fd=folder)
                finally:
                    os.close(folder)
            moves.remove_empty(above, batch_id)
        except FileNotFoundError:
            return
        finally:
            os.close(above)


def _put_marker_back(src: int, dst: int, marker: str) -> None:
    try:
        moves.move(src, marker, dst, marker)
    except FileExistsError:
        os.unlink(marker, dir_fd=src)  # the one that is there says the same
    except FileNotFoundError:
        # A file that was marked once is whole: without its marker it would wait for ever.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=dst))


def record_names(group: str) -> Iterator[str]:
    """`_error.json`, `_error-1.json`, …, and in the end one that no input can have chosen."""
    yield "_error.json"
    for n in range(1, _NAMES_TO_TRY):
        yield f"_error-{n}.json"
    yield f"_error-{group}.json"


def write_record(
    folder_fd: int, group: str, relpaths: Collection[str], record: Mapping[str, Any], *, durable: bool
) -> str:
    """Write the record of a batch or of a skip beside the files that will come; its name."""
    inputs = set(relpaths)
    name = next(name for name in record_names(group) if name not in inputs)
    for left in moves.names(folder_fd):
        if left.startswith(".") and left.endswith(".tmp"):  # no input is called so: an earlier daemon died writing
            os.unlink(left, dir_fd=folder_fd)
    moves.write_json(folder_fd, name, {**record, "record_of": group}, durable=durable)
    return name


def read_record(above_fd: int, group: str) -> tuple[str, dict[str, Any]]:
    """(name, content) of the record of a batch or a skip; ("", {}) where there is none."""
    folder = moves.open_folder(above_fd, group)
    try:
        for name in record_names(group):
            content = moves.read_json(folder, name)
            if content is not None and content.get("record_of") == group:
                return name, content
    finally:
        os.close(folder)
    return "", {}
