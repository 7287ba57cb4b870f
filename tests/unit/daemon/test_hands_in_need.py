"""What the daemon's threads do when the disk, the ledger or they themselves fail: never nothing, and never for ever."""

from __future__ import annotations

import os
import queue
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from scorewatch.daemon import housekeeping, roots, syncer
from scorewatch.daemon.archive import Archive
from scorewatch.daemon.diskwork import DiskWork
from scorewatch.daemon.effects import Effects
from scorewatch.daemon.housekeeping import Chores, Housekeeper
from scorewatch.daemon.loop import Loop
from scorewatch.daemon.mailbox import Broken, Mailbox
from scorewatch.daemon.publishing import Identity, Publishing
from scorewatch.daemon.reload import Reload
from scorewatch.daemon.remains import read_remains
from scorewatch.daemon.syncer import DiskThread
from scorewatch.ledger.trouble import LedgerFullError
from scorewatch.model import decisions as d
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.model.events import (
    BatchPublished,
    ClockTicked,
    FolderFine,
    FolderTroubled,
    PolicyChanged,
    PublishFailed,
)
from scorewatch.model.files import Observation, Refusal, RefusalReason
from scorewatch.model.outcomes import Receipt
from scorewatch.model.records import SchemaGrown
from scorewatch.settings.load import load
from scorewatch.telemetry.logs import make_logger
from scorewatch.telemetry.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PATIENCE_S = 10.0
BATCH = "20261122T213741Z-8f0c2a6b1d3e4f5a6b7c"


class Books:
    """An outbox's lists on a disk that is full for so many times, and a ledger on one that always is."""

    def __init__(self, full: int) -> None:
        self.full = full
        self.listed: list[tuple[str, bool]] = []

    def list_errors(self, lines: Sequence[Mapping[str, Any]], *, repeated: bool = False) -> None:
        if self.full:
            self.full -= 1
            raise OSError(28, "No space left on device")
        self.listed += [(str(line["path"]), repeated) for line in lines]

    def record(self, _: object) -> None:
        raise LedgerFullError("the disk is full")


def skip(name: str) -> d.ListSkipped:
    return d.ListSkipped(skip_id=f"skip-{name}", refusals=(Refusal(name, RefusalReason.EMPTY, "it is empty"),))


def disk_thread(books: Books, letters: queue.Queue[object]) -> DiskThread:
    archive = Archive(
        outbox=books,  # type: ignore[arg-type] # as much of one as is asked for here
        claims=None,  # type: ignore[arg-type]
        publishing=None,  # type: ignore[arg-type]
        post=letters.put,
        clock=lambda: datetime(2026, 11, 22, tzinfo=UTC).timestamp(),
        deployment="digits",
    )
    work = DiskWork(books, None, None, archive, letters.put)  # type: ignore[arg-type]
    return DiskThread(work, letters.put)


def test_refused_files_that_could_not_be_listed_are_listed_once_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncer, "AGAIN_S", 0.01)
    letters: queue.Queue[object] = queue.Queue()
    books = Books(full=3)
    disk = disk_thread(books, letters)
    disk.start()
    disk.submit(d.Decision((), (skip("a"), skip("b"))))
    heard = [letters.get(timeout=PATIENCE_S)]
    while not isinstance(heard[-1], FolderFine):
        heard.append(letters.get(timeout=PATIENCE_S))
    assert all(isinstance(letter, FolderTroubled) for letter in heard[:-1])
    assert sorted(books.listed) == [("a", True), ("b", True)]
    assert disk.close(PATIENCE_S)
    assert letters.empty()


def test_the_end_does_not_wait_for_a_ledger_whose_disk_is_full() -> None:
    letters: queue.Queue[object] = queue.Queue()
    disk = disk_thread(Books(full=0), letters)
    disk.start()
    leave = d.Exit(code=ExitCode.DONE)
    decision = d.Decision((SchemaGrown(columns=(("x", "int64"),)),), (leave,))
    mailbox = Mailbox()
    loop = Loop(
        scheduler=_Decided(decision),  # type: ignore[arg-type] # it has made up its mind
        mailbox=mailbox,
        executor=_NoWorkers(),  # type: ignore[arg-type]
        listeners=[],
        reload=list,
    )
    loop.handle(ClockTicked(), Effects(None, None, disk, loop.leave))  # type: ignore[arg-type] # nobody is asked
    assert loop.exit == leave
    assert disk.close(PATIENCE_S)
    mailbox.close()


class _Decided:
    def __init__(self, decision: d.Decision) -> None:
        self._decision = decision

    def handle(self, _event: object, _now: object) -> d.Decision:
        return self._decision


class _NoWorkers:
    def sources(self) -> tuple[int, ...]:
        return ()


def test_a_housekeeper_that_meets_a_bug_ends_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "LOOK_EVERY_S", 0.001)
    letters: queue.Queue[object] = queue.Queue()
    keeper = Housekeeper(
        Chores(
            folders={},
            identities={},
            min_free=None,
            claims=_Hopeless(),
            outbox=None,  # type: ignore[arg-type]
            keep_done_days=1,
            keep_days=0,
            open_days=set,
            trim_logs=tmp_path.touch,
        ),
        letters.put,
    )
    keeper.start()
    letter = letters.get(timeout=PATIENCE_S)
    assert isinstance(letter, Broken)
    assert "RecursionError" in letter.error.what


class _Hopeless:
    def prune_done(self, _keep_days: int, _now: float) -> list[str]:
        raise RecursionError("maximum recursion depth exceeded")


class _Manager:
    def reloading(self) -> bool:
        return False

    def ready(self, _: str = "") -> bool:
        return False


def test_a_batch_job_that_reloads_is_a_batch_job_still(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text("def init(): pass\ndef run(batch): return batch\n")
    config = tmp_path / "digits.toml"
    config.write_text(
        '[deployment]\nname = "digits"\nscoring_script = "score.py"\n[inbox]\npath = "in"\n[output]\npath = "out"\n'
    )
    settings = load(config)
    reload = Reload(
        settings,
        run_id="digits-1",
        once=True,
        set_plan=lambda _generation, _plan: None,
        reporter=Reporter(make_logger("digits", form="json")),
        manager=_Manager(),
    )
    (event,) = reload()
    assert isinstance(event, PolicyChanged)
    assert event.policy.once


def test_a_state_folder_is_durable_up_to_what_was_there_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "score.py").touch()
    (tmp_path / "in").mkdir()
    config = tmp_path / "digits.toml"
    config.write_text(
        '[deployment]\nname = "digits"\nscoring_script = "score.py"\n[inbox]\npath = "in"\n[output]\npath = "out"\n'
        '[state]\npath = "var/lib/state"\n'
    )
    synced: list[Path] = []
    monkeypatch.setattr(roots, "sync_folder", synced.append)
    roots.make_state_folder(load(config))
    assert set(synced) == {tmp_path, tmp_path / "var", tmp_path / "var/lib"}


class _Gone:
    """Claims whose only file is gone by now, and an outbox for what was made of it."""

    def __init__(self, *, moves_files: bool) -> None:
        self.moves_files = moves_files

    def look(self, _: object) -> tuple[None]:
        return (None,)

    def publish(self, _batch_id: str, _staging: str, manifest: Mapping[str, Any]) -> None:
        assert [file["path"] for file in manifest["files"]] == ["a"]

    def sync(self) -> None:
        pass


@pytest.mark.parametrize("moves_files", [True, False])
def test_a_script_that_removes_its_input_loses_no_result(moves_files: bool) -> None:
    world = _Gone(moves_files=moves_files)
    identity = Identity(deployment="digits", epoch="1", device_of=lambda _: "cpu")
    publishing = Publishing(world, world, identity, lambda: 0.0)  # type: ignore[arg-type] # as much as is asked for here
    batch = MiniBatch(
        batch_id=BATCH,
        files=(Observation("a", 1),),
        total_bytes=1,
        sealed_because=SealReason.FILES,
        sealed_at=0.0,
        tries=4,
    )
    order = d.Publish(
        batch=batch,
        receipt=Receipt(batch_id=batch.batch_id, dispatch=0, rows=1, succeeded=1),
        staging="x",
        worker_id=1,
        slot=0,
        model="",
        script_sha256="",
    )
    (answer,) = publishing.publish([order])
    assert isinstance(answer, BatchPublished if moves_files else PublishFailed)


def test_what_is_posted_to_a_closed_mailbox_rings_nobody_else_s_bell() -> None:
    mailbox = Mailbox()
    mailbox.close()
    stranger = os.eventfd(0, os.EFD_NONBLOCK)  # gets the number of the bell
    assert stranger == mailbox.bell
    mailbox.post(ClockTicked())
    with pytest.raises(BlockingIOError):
        os.eventfd_read(stranger)
    os.close(stranger)


class _Lost:
    """A claim whose deletion was cut off, the output that it was made of, and a ledger that is lost."""

    moves_files = True

    def __init__(self, standing: tuple[Observation, ...]) -> None:
        self.standing = standing

    def open_batches(self) -> list[Any]:
        return []

    def batch(self, _: str) -> None:
        return None

    def remains(self, _: object) -> dict[str, tuple[Observation, ...]]:
        return {BATCH: self.standing}

    def manifest(self, _: str) -> dict[str, Any]:
        files = [{"path": name, "size_bytes": 1, "mtime_ns": 2, "ctime_ns": 3} for name in "ab"]
        seconds = {"load": 0, "run": 0, "write": 0}
        return {"batch_id": BATCH, "rows": 2, "succeeded": 2, "outputs": [], "seconds": seconds, "files": files}


def test_a_release_that_was_cut_off_is_known_for_one_without_the_ledger() -> None:
    lost = _Lost((Observation("b", 1, 2),))
    (found,) = read_remains(lost, lost, lost, clean_stop=False)  # type: ignore[arg-type] # as much as is asked for here
    assert found.output
    lost = _Lost((Observation("b", 1, 2), Observation("c", 1, 2)))
    with pytest.raises(ScorewatchError, match="not made of its files"):
        read_remains(lost, lost, lost, clean_stop=False)  # type: ignore[arg-type]
