"""What SQLite complains of, in sentences: what can be tried again, and what ends the service."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scorewatch.model.errors import ExitCode, ScorewatchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REBUILD = "stop the service and run `scorewatch ledger rebuild CONFIG`"

#: Growing the shared index (`-shm`) on a full disk is no SQLITE_FULL, but it is one.
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
    }
)
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY = 0xFF  # an extended code's low byte is the plain one


class LedgerRefusedError(ScorewatchError):
    """Nothing was recorded, and the same records may be tried again."""


class LedgerFullError(LedgerRefusedError):
    """The disk of the ledger is full; nothing was recorded, and the same records may be tried again."""


class LedgerBrokenError(ScorewatchError):
    """The ledger can't be read or written; whether the last records were kept is only known after a restart."""


class LedgerDisagreesError(ScorewatchError):
    """The ledger's row of a batch isn't what the caller believes; nothing was recorded."""


def damaged(path: Path, why: object) -> LedgerBrokenError:
    """The error for a file that is no whole ledger."""
    return LedgerBrokenError(
        f"the ledger is damaged ({why})", where=path, hint=REBUILD, exit_code=ExitCode.FOLDER_UNUSABLE
    )


def disagrees(path: Path, batch_id: str, what: str) -> LedgerDisagreesError:
    """The error for a row that is not what it should be."""
    return LedgerDisagreesError(
        f"the ledger disagrees about batch {batch_id}: {what}",
        where=path,
        hint="restart the service, which reads the ledger again; if it comes back, " + REBUILD,
        exit_code=ExitCode.FOLDER_UNUSABLE,
    )


def explained(error: sqlite3.Error, path: Path) -> ScorewatchError:
    """The sentence for what SQLite raised."""
    code = getattr(error, "sqlite_errorcode", None)
    if code in _FULL:
        return LedgerFullError(
            "the disk is full, so nothing can be recorded",
            where=path,
            hint="free some space; scoring goes on by itself then",
            exit_code=ExitCode.FOLDER_UNUSABLE,
        )
    plain = code & _PRIMARY if isinstance(code, int) else None
    if plain in _PASSING:
        return LedgerRefusedError(
            f"the ledger can't be used now ({error})",
            where=path,
            hint="see that the folder can be written and that nothing else holds the file",
            exit_code=ExitCode.FOLDER_UNUSABLE,
        )
    if plain == sqlite3.SQLITE_IOERR:
        return LedgerBrokenError(
            f"the disk under the ledger fails ({error})",
            where=path,
            hint="look at the kernel's log; the next start reads the ledger again",
            exit_code=ExitCode.FOLDER_UNUSABLE,
        )
    return damaged(path, error)


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Turn what SQLite raises, and what can't be decoded, into sentences."""
    try:
        yield
    except sqlite3.Error as error:
        raise explained(error, path) from error
    except (ValueError, TypeError, KeyError) as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error
