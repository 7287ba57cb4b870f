from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scorewatch.ledger.ledger import Ledger
from scorewatch.ledger.reading import LedgerReader
from scorewatch.ledger.trouble import LedgerRefusedError
from scorewatch.model.batches import BatchState, MiniBatch, SealReason
from scorewatch.model.errors import ScorewatchError
from scorewatch.model.files import Observation
from scorewatch.model.outcomes import Failure, FailureKind
from scorewatch.model.records import BatchMoved, BatchSealed, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

S = BatchState


def named(number: int, half: str = "") -> str:
    return f"20261122T213741Z-{number:020x}{half}"


def sealed(batch_id: str, *names: str) -> BatchSealed:
    files = tuple(Observation(name, 10, 1, 2, 3, 4) for name in names)
    return BatchSealed(
        batch=MiniBatch(
            batch_id=batch_id,
            files=files,
            total_bytes=10 * len(files),
            sealed_because=SealReason.FILES,
            sealed_at=1.0,
            tries=4,
        )
    )


def moved(batch_id: str, was: S, now: S, failure: Failure | None = None) -> BatchMoved:
    return BatchMoved(batch_id=batch_id, was=was, now=now, at=2.0, attempt=0, dispatch=0, failure=failure)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(tmp_path / "with space?#.db")
    yield ledger
    ledger.close()


@pytest.fixture
def reader(ledger: Ledger) -> Iterator[LedgerReader]:
    with LedgerReader(ledger.path) as reader:
        yield reader


def test_figures_by_state_and_outcome(ledger: Ledger, reader: LedgerReader) -> None:
    life: list[Record] = [sealed(named(n), "a", "b") for n in range(4)]
    life += [moved(named(1), S.SEALED, S.COMMITTED), moved(named(1), S.COMMITTED, S.RELEASED)]
    life += [moved(named(2), S.SEALED, S.QUARANTINED), moved(named(2), S.QUARANTINED, S.RELEASED)]
    ledger.record(life, {"arrived": 8})
    assert [(c.state, c.outcome, c.batches, c.files) for c in reader.counts()] == [
        (S.RELEASED, S.COMMITTED, 1, 2),
        (S.RELEASED, S.QUARANTINED, 1, 2),
        (S.SEALED, None, 2, 4),
    ]
    assert reader.counters() == {"arrived": 8}
    assert [row.batch_id for row in reader.last_batches(2)] == [named(3), named(2)]


@pytest.mark.parametrize(
    "name", ["a.csv", "sub/a.csv", '"],["', "\udcff\udcfe.csv", "é☃\U0001f600", "%_*?[a]", "a\\u0041"]
)
def test_a_file_is_found_by_its_exact_name_only(ledger: Ledger, reader: LedgerReader, name: str) -> None:
    decoys = [f"x{name}", f"{name}x", f"x/{name}", name.upper() + "2", "aA"]
    ledger.record([sealed(named(1), *decoys), sealed(named(2), "other", name), sealed(named(3), name)])
    assert [row.batch_id for row in reader.find_file(name)] == [named(2), named(3)]
    assert reader.find_file(name + "y") == []


def test_a_split_is_followed_to_its_halves(ledger: Ledger, reader: LedgerReader) -> None:
    failure = Failure(kind=FailureKind.WORKER_DIED, message="it died", log_tail="\udcff")
    ledger.record([sealed(named(1), "a", "b"), moved(named(1), S.SEALED, S.SPLIT, failure)])
    ledger.record([sealed(named(1, "a"), "a"), sealed(named(1, "b"), "b"), moved(named(1), S.SPLIT, S.RELEASED)])
    assert [row.batch_id for row in reader.halves_of(named(1))] == [named(1, "a"), named(1, "b")]
    assert [row.parent_id for row in reader.find_file("a")] == [None, named(1)]
    (told,) = reader.history(named(1))
    assert (told.was, told.event, told.failure) == (S.SEALED, S.SPLIT, failure)
    assert [f.relpath for f in reader.members(named(1))] == ["a", "b"]
    assert reader.members(named(9)) == ()
    assert reader.batch(named(9)) is None


def test_the_deployment_itself_can_be_asked(ledger: Ledger, reader: LedgerReader) -> None:
    epoch = ledger.begin_epoch()
    assert reader.facts() == {"epoch": epoch, "state_id": ledger.state_id}
    assert reader.schema() == ()


def test_a_reader_sees_what_is_committed_while_the_next_is_written(ledger: Ledger, reader: LedgerReader) -> None:
    ledger.record([sealed(named(1), "a")])
    ledger._run("BEGIN IMMEDIATE")
    ledger._seal(sealed(named(2), "b"))
    assert len(reader.last_batches()) == 1
    ledger._run("COMMIT")
    assert len(reader.last_batches()) == 2


def test_another_process_can_read(ledger: Ledger) -> None:
    ledger.record([sealed(named(1), "a")])
    code = (
        "import sys; from scorewatch.ledger.reading import LedgerReader as R; print(R(sys.argv[1]).counts()[0].files)"
    )
    out = subprocess.run([sys.executable, "-c", code, str(ledger.path)], capture_output=True, text=True, check=True)
    assert out.stdout == "1\n"


def test_a_reader_can_not_write(reader: LedgerReader) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._db.execute("DELETE FROM batches")


def test_no_ledger_yet_is_a_sentence_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(ScorewatchError, match="no ledger yet"):
        LedgerReader(tmp_path / "ledger.db")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that another user can get to."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.parametrize("closed", [True, False])
def test_a_user_who_may_only_read_gets_an_answer_or_a_sentence(open_folder: Path, closed: bool) -> None:
    path = open_folder / "ledger.db"
    go, ready = os.pipe()
    pid = os.fork()  # before the ledger is open: SQLite shares what is open between parent and child
    if pid == 0:
        os.read(go, 1)
        os._exit(_read_as_nobody(path))
    ledger = Ledger.open(path)
    ledger.record([sealed(named(1), "a")])
    if closed:
        ledger.close()
    else:
        path.with_name("ledger.db-shm").chmod(0o600)
    os.write(ready, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == (1 if closed else 42)
    os.close(go)
    os.close(ready)
    ledger.close()


def _read_as_nobody(path: Path) -> int:
    try:
        os.setuid(65534)
        with LedgerReader(path) as reader:
            return len(reader.last_batches())
    except LedgerRefusedError as error:
        return 42 if "service's user" in error.hint else 43
    except BaseException:  # noqa: BLE001 - the child must end here, whatever happens
        return 44
