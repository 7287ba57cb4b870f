from __future__ import annotations

import dataclasses
import sqlite3
from typing import TYPE_CHECKING

import pytest

from scorewatch.ledger.ledger import Ledger
from scorewatch.ledger.reading import LedgerReader
from scorewatch.ledger.rows import LONGEST_TEXT
from scorewatch.ledger.trouble import LedgerDisagreesError
from scorewatch.model.batches import BatchState as S
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.files import Observation, Refusal, RefusalReason
from scorewatch.model.outcomes import Failure, FailureKind, Receipt
from scorewatch.model.records import BatchMoved, BatchSealed, FilesSkipped, SchemaGrown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ID = "20261122T213741Z-8f0c2a6b1d3e4f5a6b7c"
ODD = "sub/\udcff\n\x1b[31m'\"\\,[é☃.csv"


def a_batch(batch_id: str = ID, *names: str, tries: int = 4) -> MiniBatch:
    files = tuple(
        Observation(name, 10 + n, 5 + n, 6 + n, 7, 100 + n) for n, name in enumerate(names or ("a.csv", "b.csv"))
    )
    return MiniBatch(
        batch_id=batch_id,
        files=files,
        total_bytes=sum(f.size for f in files),
        sealed_because=SealReason.FILES,
        sealed_at=1000.25,
        tries=tries,
    )


def move(was: S, now: S, attempt: int = 1, dispatch: int = 1, at: float = 1001.0, **more: object) -> BatchMoved:
    return BatchMoved(
        **{"batch_id": ID, "was": was, "now": now, "at": at, "attempt": attempt, "dispatch": dispatch, "tries": 4}  # type: ignore[arg-type]
        | more
    )


RAISED = Failure(kind=FailureKind.SCRIPT_RAISED, message="boom", exception="ValueError", traceback="T" * 20_000 + "end")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(path, clock=lambda: 5000.5)
    yield ledger
    ledger.close()


def reopened(ledger: Ledger) -> Ledger:
    ledger.close()
    return Ledger.open(ledger.path)


def test_a_sealed_batch_comes_back_as_it_was_after_the_file_was_closed(ledger: Ledger) -> None:
    batch = a_batch(ID, "a.csv", ODD)
    ledger.record([BatchSealed(batch=batch)])
    again = reopened(ledger)
    assert again.open_batches() == [(batch, S.SEALED)]
    again.close()


def test_the_happy_path_ends_with_nothing_owed_and_nothing_told(ledger: Ledger, path: Path) -> None:
    receipt = Receipt(batch_id=ID, dispatch=1, rows=9, succeeded=1)
    ledger.record([BatchSealed(batch=a_batch()), move(S.SEALED, S.RUNNING, worker_id=3)])
    ledger.record([move(S.RUNNING, S.SCORED, at=1002.0)])
    ledger.record([move(S.SCORED, S.COMMITTED, at=1003.0, receipt=receipt)])
    assert [state for _, state in ledger.open_batches()] == [S.COMMITTED]
    ledger.record([move(S.COMMITTED, S.RELEASED, at=1004.0)])
    assert ledger.open_batches() == []
    with LedgerReader(path) as reader:
        row = reader.batch(ID)
        assert row is not None
        assert (row.state, row.outcome, row.worker_id) == (S.RELEASED, S.COMMITTED, 3)
        assert (row.started_at, row.committed_at, row.changed_at) == (1001.0, 1003.0, 1004.0)
        assert (row.rows, row.succeeded, row.failed, row.failure) == (9, 1, 1, None)
        assert reader.history(ID) == []


def test_a_failed_attempt_is_told_and_forgiven_by_a_commit(ledger: Ledger, path: Path) -> None:
    ledger.record([BatchSealed(batch=a_batch()), move(S.SEALED, S.RUNNING)])
    ledger.record([move(S.RUNNING, S.SEALED, failure=RAISED, worker_id=2)])
    told = ledger.failure_of(ID)
    assert told is not None
    assert (told.kind, told.exception) == (FailureKind.SCRIPT_RAISED, "ValueError")
    assert len(told.traceback) == LONGEST_TEXT
    assert told.traceback.endswith("Tend")
    ledger.record([move(S.SEALED, S.RUNNING, 2, 2, at=1005.0), move(S.RUNNING, S.SCORED, 2, 2)])
    ledger.record([move(S.SCORED, S.COMMITTED, 2, 2, receipt=Receipt(batch_id=ID, dispatch=2, rows=2, succeeded=2))])
    assert ledger.failure_of(ID) is None
    with LedgerReader(path) as reader:
        row = reader.batch(ID)
        assert row is not None
        assert row.started_at == 1001.0, "the first start counts"
        assert row.failure is None
        (line,) = reader.history(ID)
        assert (line.event, line.was, line.attempt, line.dispatch, line.worker_id) == (S.SEALED, S.RUNNING, 1, 1, 2)
        assert line.failure == told


def test_an_interruption_and_new_identities_are_kept(ledger: Ledger) -> None:
    batch = a_batch()
    ledger.record([BatchSealed(batch=batch), move(S.SEALED, S.RUNNING)])
    changed = (dataclasses.replace(batch.files[0], size=500, ctime_ns=99),)
    ledger.record([move(S.RUNNING, S.SEALED, 0, 1, interruptions=2, tries=3, files=changed)])
    ((now, state),) = ledger.open_batches()
    assert state is S.SEALED
    assert (now.attempt, now.dispatch, now.interruptions, now.tries) == (0, 1, 2, 3)
    assert (now.files, now.total_bytes) == (changed, 500)


def test_a_quarantined_batch_keeps_its_end_when_it_is_released(ledger: Ledger, path: Path) -> None:
    ledger.record([BatchSealed(batch=a_batch()), move(S.SEALED, S.RUNNING)])
    ledger.record([move(S.RUNNING, S.QUARANTINED, failure=RAISED)])
    assert [state for _, state in ledger.open_batches()] == [S.QUARANTINED]
    ledger.record([move(S.QUARANTINED, S.RELEASED)])
    with LedgerReader(path) as reader:
        (row,) = reader.quarantined()
        assert (row.batch_id, row.state, row.failed, row.succeeded) == (ID, S.RELEASED, 2, 0)
        assert row.failure is not None
        assert row.failure.message == "boom"
        assert [line.event for line in reader.history(ID)] == [S.QUARANTINED]


def test_a_move_from_another_state_is_refused_and_takes_the_whole_transaction_with_it(ledger: Ledger) -> None:
    ledger.record([BatchSealed(batch=a_batch())])
    other = a_batch(ID[:-1] + "d")
    with pytest.raises(LedgerDisagreesError, match=r"is sealed .* from running to scored"):
        ledger.record([BatchSealed(batch=other), move(S.RUNNING, S.SCORED)], {"arrived": 5})
    assert [batch.batch_id for batch, _ in ledger.open_batches()] == [ID]
    assert ledger.counters() == {}
    with pytest.raises(LedgerDisagreesError, match="has no row"):
        ledger.record([move(S.SEALED, S.RUNNING, batch_id=ID + "a")])


def test_recording_everything_once_more_changes_nothing(ledger: Ledger, path: Path) -> None:
    first = [BatchSealed(batch=a_batch()), move(S.SEALED, S.RUNNING)]
    skip = FilesSkipped(skip_id="s1", at=1.0, refusals=(Refusal("x", RefusalReason.EMPTY, "it is empty"),))
    last = [move(S.RUNNING, S.QUARANTINED, failure=RAISED), skip, SchemaGrown(columns=(("a", "int64"),))]
    for _ in range(2):
        ledger.record(last if ledger.open_batches() else first)
    ledger.record(last)
    with LedgerReader(path) as reader:
        assert len(reader.history(ID)) == 1
        assert len(reader.skipped()) == 1
        assert [c.batches for c in reader.counts()] == [1]


@pytest.mark.parametrize(("attempt", "dispatch"), [(1, 2), (2, 1)])
def test_a_repetition_with_other_numbers_is_a_disagreement(ledger: Ledger, attempt: int, dispatch: int) -> None:
    ledger.record([BatchSealed(batch=a_batch()), move(S.SEALED, S.RUNNING)])
    with pytest.raises(LedgerDisagreesError):
        ledger.record([move(S.SEALED, S.RUNNING, attempt, dispatch)])


def test_sealing_again_with_the_same_names_is_fine_and_with_others_is_not(ledger: Ledger) -> None:
    batch = a_batch()
    ledger.record([BatchSealed(batch=batch)])
    moved = tuple(dataclasses.replace(f, ctime_ns=f.ctime_ns + 1) for f in batch.files)
    ledger.record([BatchSealed(batch=dataclasses.replace(batch, files=moved))])
    assert ledger.open_batches() == [(batch, S.SEALED)]
    with pytest.raises(LedgerDisagreesError, match="other files"):
        ledger.record([BatchSealed(batch=dataclasses.replace(batch, files=batch.files[:1]))])


def test_other_files_under_an_old_skip_id_are_refused(ledger: Ledger) -> None:
    one, two = (Refusal(name, RefusalReason.FIFO, "it is a FIFO", 0, moved=False) for name in ("x", ODD))
    ledger.record([FilesSkipped(skip_id="s1", at=1.0, refusals=(one, two))])
    with pytest.raises(LedgerDisagreesError, match="s1"):
        ledger.record([FilesSkipped(skip_id="s1", at=1.0, refusals=(one,))])
    with LedgerReader(ledger.path) as reader:
        (found,) = reader.find_skipped(ODD)
        assert found.refusals == (two,)


def test_the_first_type_of_a_column_wins_and_the_order_stays(ledger: Ledger) -> None:
    ledger.record([SchemaGrown(columns=(("score", "int64"), ("\udcff", "string")))])
    ledger.record([SchemaGrown(columns=(("score", "double"), ("label", "string")))])
    again = reopened(ledger)
    assert again.schema() == (("score", "int64"), ("\udcff", "string"), ("label", "string"))
    again.close()


def test_figures_add_up_with_the_records_that_they_came_with(ledger: Ledger) -> None:
    ledger.record([BatchSealed(batch=a_batch())], {"arrived": 2, "claimed": 2})
    ledger.add_counts({"arrived": 3})
    assert ledger.counters() == {"arrived": 5, "claimed": 2}


def test_an_epoch_is_greater_than_all_before_and_than_the_clock(ledger: Ledger) -> None:
    assert ledger.begin_epoch() == 5001
    assert ledger.begin_epoch() == 5002
    again = reopened(ledger)
    assert again.epoch == 5002
    assert again.begin_epoch() > 1_700_000_000
    again.close()


def test_a_daemon_that_did_not_say_goodbye_is_known_for_it(ledger: Ledger) -> None:
    assert ledger.mark_running(), "nobody ran before"
    assert not ledger.mark_running(), "the one before was killed"
    ledger.mark_stopped()
    again = reopened(ledger)
    assert again.mark_running()
    again.close()


def test_roots_and_the_state_id_stay(ledger: Ledger) -> None:
    mine = ledger.state_id
    assert len(mine) == 8
    assert ledger.roots() == {}
    ledger.set_roots({"inbox": "i1", "outbox": "o1"})
    again = reopened(ledger)
    assert (again.state_id, again.roots(), again.fresh) == (mine, {"inbox": "i1", "outbox": "o1"}, False)
    assert ledger.fresh
    again.close()


def test_power_means_full_and_process_means_normal(tmp_path: Path) -> None:
    for durability, level in (("power", 2), ("process", 1)):
        ledger = Ledger.open(tmp_path / f"{durability}.db", durability)  # type: ignore[arg-type]
        assert ledger._db.execute("PRAGMA synchronous").fetchone() == (level,)
        assert ledger._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        ledger.close()


def test_no_file_has_a_row_of_its_own(ledger: Ledger, path: Path) -> None:
    ledger.record([BatchSealed(batch=a_batch(ID, *(f"f{n}" for n in range(500))))])
    with sqlite3.connect(path) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        counts = [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]  # noqa: S608 - our own
        assert sum(counts) < 10
    db.close()
