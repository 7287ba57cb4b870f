"""How a deployment stands, seen from outside: from its folders, its ledger and the daemon's last words."""

from __future__ import annotations

import fcntl
import json
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from scorewatch.cli.looking import InboxLook
from scorewatch.cli.opened import deployment
from scorewatch.cli.standing import conserved, standing
from scorewatch.cli.status import _lines
from scorewatch.cli.templates import write_template
from scorewatch.inbox.claim import new_id
from scorewatch.ledger.ledger import Ledger
from scorewatch.model.batches import BatchState as S
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.errors import ScorewatchError
from scorewatch.model.files import Observation
from scorewatch.model.outcomes import Failure, FailureKind, Receipt
from scorewatch.model.records import BatchMoved, BatchSealed

if TYPE_CHECKING:
    from pathlib import Path


if TYPE_CHECKING:
    from collections.abc import Iterator

    from scorewatch.cli.opened import Deployment

STATE_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def d(tmp_path: Path) -> Deployment:
    found = deployment(write_template(tmp_path / "d"))
    for path in found.settings.inbox.path.iterdir():
        path.unlink()
    return found


@pytest.fixture
def ledger(d: Deployment) -> Iterator[Ledger]:
    d.state.mkdir()
    opened = Ledger.open(d.ledger, "process")
    opened.set_roots({"state": STATE_ID})
    yield opened
    opened.close()


def seal(ledger: Ledger, *names: str) -> str:
    batch_id = new_id()
    files = tuple(Observation(name, 1, 1, 1, 1, 1) for name in names)
    batch = MiniBatch(
        batch_id=batch_id,
        files=files,
        total_bytes=len(names),
        sealed_because=SealReason.FILES,
        sealed_at=time.time(),
        tries=4,
    )
    ledger.record([BatchSealed(batch=batch)])
    return batch_id


def move(ledger: Ledger, batch_id: str, was: S, now: S, **more: Any) -> None:
    moved = BatchMoved(batch_id=batch_id, was=was, now=now, at=time.time(), attempt=1, dispatch=1, **more)
    ledger.record([moved])


def done(ledger: Ledger, *names: str) -> str:
    batch_id = seal(ledger, *names)
    receipt = Receipt(batch_id=batch_id, dispatch=1, rows=len(names), succeeded=len(names))
    move(ledger, batch_id, S.SEALED, S.COMMITTED, receipt=receipt)
    move(ledger, batch_id, S.COMMITTED, S.RELEASED)
    return batch_id


def drop(d: Deployment, name: str) -> None:
    path = d.settings.inbox.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")


def say(d: Deployment, **content: Any) -> None:
    d.state.mkdir(exist_ok=True)
    now = datetime.now(UTC).isoformat()
    (d.state / "status.json").write_text(json.dumps({"updated_at": now, "started_at": now, **content}))


@pytest.fixture
def alive(d: Deployment) -> Iterator[None]:
    """A daemon's lock is held by somebody else."""
    d.state.mkdir(exist_ok=True)
    fd = os.open(d.lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    yield
    os.close(fd)


def test_before_the_first_run_the_files_wait_and_nothing_is_made(d: Deployment) -> None:
    for name in ("a", "sub/b", "c.tmp", ".hidden"):
        drop(d, name)
    found = standing(d)
    assert found.files.waiting == 2
    assert "never run" in found.health[0]
    assert not found.daemon["alive"]
    assert not d.state.exists()
    assert not (d.settings.inbox.path / ".scorewatch").exists()


def test_looking_at_a_deployment_changes_nothing(d: Deployment, ledger: Ledger) -> None:
    done(ledger, "a")
    ledger.close()
    drop(d, "b")

    def tree() -> list[str]:  # without what SQLite makes itself for whoever reads
        found = (str(path) for path in d.settings.source.parent.rglob("*"))
        return sorted(path for path in found if not path.endswith(("-shm", "-wal")))

    before = tree()
    standing(d)
    assert tree() == before


def test_files_are_counted_where_they_are(d: Deployment, ledger: Ledger) -> None:
    done(ledger, "a", "b")
    running = seal(ledger, "c")
    move(ledger, running, S.SEALED, S.RUNNING)
    ours = f".scorewatch/claim/{d.name}-{STATE_ID[:8]}"
    for name in (
        f"{ours}/{running}/c",
        f"{ours}/.parked/x/busy",
        f".scorewatch/claim/{d.name}-99999999/{new_id()}/foreign",
        ".scorewatch/skipped/s1/link",
        "waiting",
    ):
        drop(d, name)
    files = standing(d).files
    assert (files.waiting, files.claimed, files.running, files.done) == (2, 1, 1, 2)
    assert files.skipped == 1


def test_quarantined_files_are_listed_with_the_reason_and_records_are_no_files(d: Deployment, ledger: Ledger) -> None:
    batch_id = seal(ledger, "bad.csv")
    failure = Failure(kind=FailureKind.SCRIPT_RAISED, message="it raised")
    move(ledger, batch_id, S.SEALED, S.QUARANTINED, failure=failure)
    drop(d, f".scorewatch/quarantine/{batch_id}/bad.csv")
    record = d.settings.inbox.path / f".scorewatch/quarantine/{batch_id}/_error.json"
    record.write_text(json.dumps({"record_of": batch_id, "message": "it raised"}))
    found = standing(d)
    assert found.files.quarantined == 1
    assert found.set_aside == [{"path": "bad.csv", "batch_id": batch_id, "message": "it raised"}]
    assert found.batches[0]["failure"] == "it raised"


def test_the_last_batches_come_newest_first_with_the_path_of_their_output(d: Deployment, ledger: Ledger) -> None:
    made = [done(ledger, str(number)) for number in range(12)]
    batches = standing(d).batches
    assert [batch["batch_id"] for batch in batches] == made[:1:-1]
    assert batches[0]["output"].startswith(f"{d.settings.output.path}/batches/sealed_date=")
    assert batches[0]["output"].endswith(made[-1])


def test_markers_do_not_wait(d: Deployment) -> None:
    text = d.settings.source.read_text().replace("[inbox]", '[inbox]\nready_when = "marker"')
    d.settings.source.write_text(text)
    for name in ("a", "a.done", "b"):
        drop(d, name)
    assert standing(deployment(d.settings.source)).files.waiting == 2


def test_a_dead_daemon_is_dead_whatever_its_status_file_says(d: Deployment) -> None:
    say(d, phase="running", pid=1, health=["red"], workers=[{"worker_id": 1}])
    found = standing(d)
    assert not found.daemon["alive"]
    assert found.daemon["ended_well"] is False
    assert found.workers == []
    assert "red" not in found.health
    assert "did not end by itself" in _lines(found)[0]


def test_a_daemon_that_stopped_is_said_to_have(d: Deployment) -> None:
    say(d, phase="stopped")
    assert "not running since just now" in _lines(standing(d))[0]
    assert "did not end" not in _lines(standing(d))[0]


@pytest.mark.usefixtures("alive")
def test_a_living_daemons_health_comes_first_and_workers_have_their_logs(d: Deployment) -> None:
    worker = {"worker_id": 3, "slot": 0, "pid": 9, "state": "busy", "rss_bytes": 1000, "stderr": "/logs/err"}
    say(d, phase="running", pid=7, health=["the disk is full"], workers=[worker], unsettled=["slow.csv"])
    lines = _lines(standing(d))
    assert "running, pid 7" in lines[0]
    assert "the disk is full" in lines[1]
    assert any("/logs/err" in line for line in lines)
    assert any("slow.csv" in line for line in lines)


@pytest.mark.usefixtures("alive")
def test_a_living_daemon_that_fell_silent_is_reported(d: Deployment) -> None:
    say(d, phase="running", pid=7, health=[])
    later = time.time() + 1000
    assert any("has not said anything for" in sentence for sentence in standing(d, now=later).health)


def test_a_damaged_ledger_is_a_sentence_and_the_rest_is_told(d: Deployment) -> None:
    d.state.mkdir()
    d.ledger.write_bytes(b"nonsense" * 1000)
    drop(d, "a")
    found = standing(d)
    assert found.files.waiting == 1
    assert "ledger rebuild" in found.health[0]


@pytest.mark.parametrize("content", ["", "[1]", "{", '"text"', "\x00"])
def test_a_torn_status_file_is_as_good_as_none(d: Deployment, content: str) -> None:
    d.state.mkdir()
    (d.state / "status.json").write_text(content)
    assert d.last_status() == {}


def test_a_missing_inbox_is_a_sentence(d: Deployment) -> None:
    d.settings.inbox.path.rmdir()
    assert any("can't be looked into" in sentence for sentence in standing(d).health)


def test_a_link_in_the_place_of_the_status_file_is_not_followed(d: Deployment, tmp_path: Path) -> None:
    d.state.mkdir()
    (tmp_path / "other.json").write_text('{"pid": 1}')
    (d.state / "status.json").symlink_to(tmp_path / "other.json")
    assert d.last_status() == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look anywhere")
def test_who_may_not_look_is_told_to_come_as_the_service(d: Deployment) -> None:
    d.state.mkdir()
    d.lock.write_text("")
    d.lock.chmod(0)
    with pytest.raises(ScorewatchError, match="can't be seen"):
        d.daemon_lives()


# ---------------------------------------------------------------- conservation
SAID = {
    "counts": {"arrived": 10, "withdrawn": 1, "done": 4, "failed": 1, "recovered": 0},
    "waiting": {"in_batch": 2, "claiming": 0},
    "running_batches": [{"files": 2, "state": "running"}, {"files": 5, "state": "committed"}],
}


def test_every_file_that_arrived_is_accounted_for() -> None:
    assert conserved(SAID)["lost"] == 0
    assert conserved(SAID)["certain"]


def test_a_file_that_is_nowhere_is_missed() -> None:
    said = {**SAID, "counts": {**SAID["counts"], "arrived": 11}}
    assert conserved(said)["lost"] == 1


def test_while_a_claim_is_under_way_nothing_is_certain() -> None:
    assert not conserved({**SAID, "waiting": {"in_batch": 0, "claiming": 1}})["certain"]


def test_a_daemon_that_said_nothing_yet_has_no_account() -> None:
    assert conserved({}) == {}


def test_a_folder_that_is_swapped_for_a_link_is_not_followed(d: Deployment, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("x")
    (d.settings.inbox.path / "sub").symlink_to(tmp_path / "outside")
    with InboxLook(d.settings.inbox) as look:
        assert list(look.waiting()) == []
