"""Which files were taken before, for an inbox in which nothing may be moved: the ledger's rows are the claims."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from scorewatch.ledger.rows import unpack_files
from scorewatch.ledger.trouble import explaining

if TYPE_CHECKING:
    from pathlib import Path

    from scorewatch.model.files import Observation


class TakenFiles:
    """Every file that the ledger knew at the start, as 64-bit hashes of (relpath, size, mtime_ns, ctime_ns).

    About 60 bytes of memory a file: the price of an inbox that may not be written. Two different files with one
    hash are not expected before some hundred million.
    """

    def __init__(self, ledger: Path) -> None:
        self._known: set[int] = set()
        with (
            explaining(ledger),
            closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?mode=ro", uri=True)) as database,
        ):
            for (packed,) in database.execute(
                "SELECT files FROM members JOIN batches USING (number) WHERE state != 'void'"
            ):
                self._known.update(hash(_key(file)) for file in unpack_files(packed))

    def __call__(self, relpath: str, size: int, mtime_ns: int, ctime_ns: int) -> bool:
        """Whether a file of this identity was taken before this start."""
        return hash((relpath, size, mtime_ns, ctime_ns)) in self._known


def _key(file: Observation) -> tuple[str, int, int, int]:
    return file.relpath, file.size, file.mtime_ns, file.ctime_ns
