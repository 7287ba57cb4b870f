from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from scorewatch.ledger.ledger import Ledger
from scorewatch.ledger.reading import LedgerReader, integrity
from scorewatch.ledger.statements import SQL, parse
from scorewatch.ledger.trouble import LedgerBrokenError, LedgerFullError, LedgerRefusedError
from scorewatch.model.batches import BatchState, MiniBatch, SealReason
from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.model.files import Observation
from scorewatch.model.records import BatchSealed


def a_batch(number: int, files: int = 32) -> MiniBatch:
    return MiniBatch(
        batch_id=f"20261122T213741Z-{number:020x}",
        files=tuple(Observation(f"in/{number}-{n}.csv", n, n, n, n, n) for n in range(files)),
        total_bytes=5,
        sealed_because=SealReason.WAIT,
        sealed_at=1.0,
        tries=4,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def written(path: Path, batches: int = 300) -> None:
    ledger = Ledger.open(path)
    ledger.record([BatchSealed(batch=a_batch(n)) for n in range(batches)])
    ledger.close()


# ---------------------------------------------------------------- files that are no ledger
@pytest.mark.parametrize("what", ["garbage", "truncated", "zeroed middle", "foreign", "NULs"])
def test_what_is_no_whole_ledger_is_refused_with_the_way_out(path: Path, what: str) -> None:
    if what == "garbage":
        path.write_bytes(b"garbage" * 1000)
    elif what == "NULs":
        path.write_bytes(bytes(8192))
    elif what == "foreign":
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE somebody (elses)")
        db.close()
    else:
        written(path)
        size = path.stat().st_size
        with path.open("r+b") as file:
            if what == "truncated":
                file.truncate(size // 2)
            else:
                file.seek(4096 * 2)
                file.write(bytes(size // 2))
    before = path.read_bytes()
    with pytest.raises(ScorewatchError, match="the ledger is damaged") as caught:
        Ledger.open(path)
    assert caught.value.exit_code is ExitCode.FOLDER_UNUSABLE
    assert "scorewatch ledger rebuild CONFIG" in caught.value.hint
    assert path.read_bytes() == before, "what may be rescued is left as it was"


def test_damage_that_only_reading_shows_is_a_sentence_too(path: Path) -> None:
    written(path, 1)
    db = sqlite3.connect(path)
    db.execute("UPDATE members SET files = '[[7]]'")
    db.commit()
    db.close()
    ledger = Ledger.open(path)
    with pytest.raises(LedgerBrokenError, match="damaged"):
        ledger.open_batches()
    ledger.close()


def test_a_newer_ledger_is_not_touched(path: Path) -> None:
    written(path, 1)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ScorewatchError, match="newer scorewatch") as caught:
        Ledger.open(path)
    assert caught.value.exit_code is ExitCode.FOLDER_UNUSABLE
    with pytest.raises(ScorewatchError, match="schema 99"):
        LedgerReader(path)


def test_a_creation_that_was_cut_short_is_begun_again(path: Path) -> None:
    path.touch()
    ledger = Ledger.open(path)
    assert ledger.fresh
    ledger.record([BatchSealed(batch=a_batch(1))])
    ledger.close()


def test_the_name_of_a_new_ledger_is_made_durable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
    Ledger.open(path).close()
    assert synced == [str(path.parent)]
    Ledger.open(path).close()
    assert len(synced) == 1


def test_a_state_folder_that_is_missing_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ScorewatchError, match="can't be used now") as caught:
        Ledger.open(tmp_path / "missing" / "ledger.db")
    assert caught.value.exit_code is ExitCode.FOLDER_UNUSABLE


def test_integrity_says_what_is_wrong_and_nothing_of_a_whole_file(path: Path) -> None:
    written(path)
    assert integrity(path) == []
    with path.open("r+b") as file:
        file.seek(4096 * 5)
        file.write(b"\xff" * 4096)
    assert integrity(path)
    path.write_bytes(b"garbage" * 1000)
    assert integrity(path)


# ---------------------------------------------------------------- a disk that is full or fails
def test_a_full_disk_records_nothing_and_the_same_call_works_when_there_is_room(path: Path) -> None:
    ledger = Ledger.open(path)
    ledger.record([BatchSealed(batch=a_batch(1))], {"arrived": 32})
    (pages,) = ledger._db.execute("PRAGMA page_count").fetchone()
    ledger._db.execute(f"PRAGMA max_page_count = {pages}")
    more = [BatchSealed(batch=a_batch(n)) for n in range(2, 60)]
    for _ in range(2):
        with pytest.raises(LedgerFullError, match="disk is full"):
            ledger.record(more, {"arrived": 99})
        assert len(ledger.open_batches()) == 1
    ledger._db.execute("PRAGMA max_page_count = 1000000")
    ledger.record(more, {"arrived": 99})
    assert len(ledger.open_batches()) == 59
    assert ledger.counters() == {"arrived": 131}
    ledger.close()


class FailingCommit:
    """A connection whose next COMMIT raises, before or after SQLite did the work."""

    def __init__(self, ledger: Ledger, code: int, *, kept: bool) -> None:
        self._real, self._code, self._kept, self.armed = ledger._db.execute, code, kept, True
        ledger._run = self  # type: ignore[assignment]

    def __call__(self, sql: str, *values: Any) -> Any:
        if sql == "COMMIT" and self.armed:
            self.armed = False
            if self._kept:
                self._real(sql)
            error = sqlite3.OperationalError("injected")
            error.sqlite_errorcode = self._code
            raise error
        return self._real(sql, *values)


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE])
def test_a_commit_that_raised_may_be_repeated_whether_it_was_kept_or_not(path: Path, code: int, kept: bool) -> None:
    ledger = Ledger.open(path)
    FailingCommit(ledger, code, kept=kept)
    with pytest.raises(LedgerFullError):
        ledger.record([BatchSealed(batch=a_batch(1))])
    ledger.record([BatchSealed(batch=a_batch(1)), BatchSealed(batch=a_batch(2))])
    assert [state for _, state in ledger.open_batches()] == [BatchState.SEALED] * 2
    ledger.close()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_IOERR_FSYNC, LedgerBrokenError),
        (sqlite3.SQLITE_IOERR_WRITE, LedgerBrokenError),
        (sqlite3.SQLITE_CORRUPT, LedgerBrokenError),
        (sqlite3.SQLITE_BUSY, LedgerRefusedError),
        (sqlite3.SQLITE_READONLY, LedgerRefusedError),
        (sqlite3.SQLITE_CANTOPEN, LedgerRefusedError),
    ],
)
def test_what_can_be_tried_again_is_told_from_what_ends_the_service(
    path: Path, code: int, kind: type[ScorewatchError]
) -> None:
    ledger = Ledger.open(path)
    FailingCommit(ledger, code, kept=False)
    with pytest.raises(kind) as caught:
        ledger.record([BatchSealed(batch=a_batch(1))])
    assert type(caught.value) is kind
    assert caught.value.exit_code is ExitCode.FOLDER_UNUSABLE
    assert not ledger._db.in_transaction
    ledger.close()


def test_somebody_elses_lock_is_waited_for_and_then_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorewatch.ledger.opening.BUSY_SECONDS", 0.05)
    ledger = Ledger.open(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerRefusedError, match="locked"):
        ledger.record([BatchSealed(batch=a_batch(1))])
    other.execute("ROLLBACK")
    other.close()
    ledger.record([BatchSealed(batch=a_batch(1))])
    ledger.close()


# ---------------------------------------------------------------- statements
def test_a_statement_is_found_by_its_name_and_a_name_stands_once() -> None:
    found = parse("-- Words.\n\n-- one --\n-- A sentence.\nSELECT 1;\n\n-- two --\nSELECT 2;\n")
    assert found == {"one": "-- A sentence.\nSELECT 1;", "two": "SELECT 2;"}
    with pytest.raises(ValueError, match="twice"):
        parse("-- one --\nSELECT 1;\n-- one --\nSELECT 2;\n")


def test_every_statement_has_its_sentence_and_is_understood(path: Path) -> None:
    written(path, 1)
    db = sqlite3.connect(path, isolation_level=None)
    for name, sql in SQL.items():
        first = sql.splitlines()[0]
        assert first.startswith("-- "), name
        assert first.endswith("."), name
        if name != "begin":
            words = set(sql.replace("(", " ").replace(",", " ").replace(")", " ").replace(";", " ").split())
            db.execute("EXPLAIN " + sql, {word[1:]: None for word in words if word.startswith(":")})
    db.close()
