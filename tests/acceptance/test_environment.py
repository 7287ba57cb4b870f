"""What nobody's file is to blame for: full disks, folders that go away, models that break. Red, waiting, and back.

While it lasts nothing is claimed and nothing is set aside; when it is over everything is scored once, unasked.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from deployment_kit import Deployment, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deployment_kit import Daemon
    from mount_kit import Mounts

UNUSABLE = 6


def names(first: int, last: int) -> list[str]:
    return [f"f{number:03}" for number in range(first, last)]


def drop(deployment: Deployment, first: int, last: int) -> None:
    for name in names(first, last):
        deployment.drop(name)


def scored(deployment: Deployment, count: int) -> None:
    """Wait for so many files; each was scored once, and none was blamed."""
    until(lambda: sum(deployment.scored().values()) >= count, f"{count} files are scored")
    assert deployment.scored() == dict.fromkeys(names(0, count), 1)
    assert deployment.errors() == []


def finished(deployment: Deployment, daemon: Daemon, count: int) -> None:
    """All is well again, and stays so after another start."""
    scored(deployment, count)
    deployment.green()
    assert daemon.stops() == 0, daemon.last_words()
    assert deployment.once().process.returncode == 0
    scored(deployment, count)
    assert (deployment.waiting(), deployment.claims(), deployment.staged()) == ([], [], [])
    assert deployment.kept("quarantine") == {}


# ---------------------------------------------------------------- the disk
def fill(disk: Path, *, leave: int = 0) -> Path:
    """Use a disk up; all but `leave` bytes."""
    ballast = disk / "ballast"
    room = os.statvfs(disk)
    free = room.f_bavail * room.f_frsize - leave
    with ballast.open("wb") as file:
        try:
            for _ in range(free // 65536 + 1):
                file.write(bytes(min(65536, free)))
        except OSError:
            pass
    return ballast


def test_a_full_outbox_blames_nobody_and_work_goes_on_when_there_is_room(
    mounts: Mounts, deploy: Callable[..., Deployment]
) -> None:
    deployment = deploy()
    mounts.tmpfs(deployment.outbox, "4m")
    daemon = deployment.start().ready()
    drop(deployment, 0, 20)
    scored(deployment, 20)
    ballast = fill(deployment.outbox)
    said = deployment.red("outbox")
    assert "needed to go on" in said  # how much is missing
    drop(deployment, 20, 60)
    daemon.says("folder_troubled", role="outbox")
    assert sorted(deployment.waiting()) == names(20, 60)  # nothing is claimed
    assert sum(deployment.scored().values()) == 20
    ballast.unlink()
    finished(deployment, daemon, 60)


def test_an_outbox_that_fills_up_under_running_batches_blames_nobody(
    mounts: Mounts, deploy: Callable[..., Deployment]
) -> None:
    """The rows of each batch take 200 KB: some batches are caught with their output half written."""
    deployment = deploy(
        "def run(mini_batch):\n    return [{'id': open(path).read(), 'fill': 'x' * 50_000} for path in mini_batch]\n",
        batch={"mini_batch_size": 4},
    )
    mounts.tmpfs(deployment.outbox, "2m")
    daemon = deployment.start().ready(workers=2)
    drop(deployment, 0, 120)
    deployment.red("outbox")
    assert deployment.errors() == []
    held = Counter(name for name in deployment.waiting())
    assert held
    before = sum(deployment.scored().values())
    assert before < 120
    os.sync()
    remount(deployment.outbox, "64m")
    finished(deployment, daemon, 120)


def remount(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


def test_a_full_state_folder_stops_the_work_and_no_more(mounts: Mounts, deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    mounts.tmpfs(deployment.state, "4m")
    daemon = deployment.start().ready()
    drop(deployment, 0, 10)
    scored(deployment, 10)
    ballast = fill(deployment.state)
    drop(deployment, 10, 40)
    until(lambda: daemon.said("folder_troubled", role="state"), "it says so")
    assert daemon.process.poll() is None
    ballast.unlink()
    finished(deployment, daemon, 40)


def test_an_outbox_in_which_nothing_can_be_made_any_more(deploy: Callable[..., Deployment]) -> None:
    """Immutable: refused to root too, while the logs of the workers are still written."""
    if os.geteuid() != 0 or shutil.which("chattr") is None:
        pytest.skip("takes root, and chattr")
    deployment = deploy()
    daemon = deployment.start().ready()
    drop(deployment, 0, 8)
    scored(deployment, 8)
    until(lambda: not deployment.claims(), "nothing is under way")
    [day] = deployment.outbox.glob("batches/*")
    if subprocess.run(["chattr", "+i", str(day)], capture_output=True, check=False).returncode:
        pytest.skip("this file system has no immutable folders")
    try:
        drop(deployment, 8, 24)
        deployment.red("Operation not permitted")
        assert deployment.errors() == []
    finally:
        subprocess.run(["chattr", "-i", str(day)], check=True)
    finished(deployment, daemon, 24)


# ---------------------------------------------------------------- the model
def test_an_init_that_fails_only_later_stops_the_claims_until_it_works_again(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(
        "import os\n"
        "def init():\n"
        "    if os.path.exists(os.environ['BROKEN']): raise OSError('the model is not there today')\n"
        "def run(mini_batch): return [{'id': open(path).read()} for path in mini_batch]\n"
    )
    flag = deployment.root / "broken"
    daemon = deployment.start(environment={"BROKEN": str(flag)}).ready(workers=2)
    drop(deployment, 0, 10)
    scored(deployment, 10)
    flag.touch()
    for pid in daemon.workers():
        os.kill(pid, signal.SIGKILL)
    deployment.red("the model is not there today")
    drop(deployment, 10, 50)
    until(lambda: len(daemon.said("worker_init_failed")) >= 4, "it tries again by itself")
    assert sorted(deployment.waiting()) == names(10, 50)
    assert daemon.process.poll() is None
    flag.unlink()
    finished(deployment, daemon, 50)


def test_a_broken_model_does_not_set_a_good_inbox_aside(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(
        "import os\n"
        "def run(mini_batch):\n"
        "    if os.path.exists(os.environ['BROKEN']): raise RuntimeError('CUDA has gone away')\n"
        "    return [{'id': open(path).read()} for path in mini_batch]\n",
        batch={"mini_batch_size": 4},
        retry_settings={"max_retries": 2},
    )
    flag = deployment.root / "broken"
    flag.touch()
    daemon = deployment.start(environment={"BROKEN": str(flag)}).ready()
    drop(deployment, 0, 120)  # thirty batches
    said = deployment.red("claiming is stopped")
    assert "CUDA has gone away" in said
    daemon.says("trouble")
    known = len(daemon.said("batch_running"))
    until(lambda: len(daemon.said("batch_running")) > known, "it tries one batch for a probe")
    assert deployment.kept("quarantine") == {}
    assert len(deployment.waiting()) >= 120 - 4 * 16 - 4 * 4  # what had been claimed by then, and the probes
    flag.unlink()
    finished(deployment, daemon, 120)
    assert daemon.said("trouble_over")


# ---------------------------------------------------------------- folders that go away
def test_an_inbox_renamed_away_and_back(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    daemon = deployment.start().ready()
    drop(deployment, 0, 10)
    scored(deployment, 10)
    away = deployment.inbox.rename(deployment.root / "away")
    deployment.red("inbox")
    for name in names(10, 20):
        (away / name).write_text(name)
    away.rename(deployment.inbox)
    drop(deployment, 20, 30)
    finished(deployment, daemon, 30)


def test_an_empty_folder_in_the_inboxs_place_is_not_believed(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    daemon = deployment.start().ready()
    drop(deployment, 0, 10)
    scored(deployment, 10)
    away = deployment.inbox.rename(deployment.root / "away")
    deployment.inbox.mkdir()
    (deployment.inbox / "stranger").write_text("stranger")
    deployment.red("inbox")
    assert list(deployment.inbox.iterdir()) == [deployment.inbox / "stranger"]  # nothing of ours was made there
    shutil.rmtree(deployment.inbox)
    away.rename(deployment.inbox)
    drop(deployment, 10, 20)
    finished(deployment, daemon, 20)


def test_an_inbox_deleted_and_made_again_is_taken_up(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    daemon = deployment.start().ready()
    drop(deployment, 0, 10)
    scored(deployment, 10)
    until(lambda: not deployment.claims(), "nothing is under way")
    shutil.rmtree(deployment.inbox)
    deployment.red("inbox")
    deployment.inbox.mkdir()
    deployment.green()
    drop(deployment, 10, 20)
    finished(deployment, daemon, 20)


def test_another_folder_in_the_outboxs_place(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    daemon = deployment.start().ready()
    drop(deployment, 0, 10)
    scored(deployment, 10)
    until(lambda: not deployment.claims(), "nothing is under way")
    away = deployment.outbox.rename(deployment.root / "away")
    deployment.outbox.mkdir()
    deployment.red("outbox")
    drop(deployment, 10, 20)
    daemon.says("folder_troubled", role="outbox")
    assert sorted(deployment.waiting()) == names(10, 20)
    shutil.rmtree(deployment.outbox)
    away.rename(deployment.outbox)
    finished(deployment, daemon, 20)


@pytest.mark.parametrize("role", ["inbox", "outbox"])
def test_a_disk_that_is_unmounted_and_mounted_again(
    mounts: Mounts, deploy: Callable[..., Deployment], role: str
) -> None:
    deployment = deploy()
    folder: Path = getattr(deployment, role)
    source = deployment.root / "disk"
    source.mkdir()
    mounts.bind(source, folder)
    if role == "inbox":  # a bind mount refuses renames from outside of it
        deployment.elsewhere = folder / ".made"
        deployment.elsewhere.mkdir()
    daemon = deployment.start().ready()
    drop(deployment, 0, 20)
    scored(deployment, 20)
    until(lambda: not deployment.claims(), "nothing is under way")
    mounts.unmount(folder)
    deployment.red(role)
    assert daemon.process.poll() is None
    mounts.bind(source, folder)
    deployment.green()
    drop(deployment, 20, 40)
    finished(deployment, daemon, 40)


def test_an_outbox_that_is_not_mounted_yet_is_not_written_at_the_start(
    mounts: Mounts, deploy: Callable[..., Deployment]
) -> None:
    deployment = deploy()
    source = deployment.root / "disk"
    source.mkdir()
    mounts.bind(source, deployment.outbox)
    drop(deployment, 0, 10)
    assert deployment.once().process.returncode == 0
    mounts.unmount(deployment.outbox)
    drop(deployment, 10, 20)
    assert deployment.once().process.returncode == UNUSABLE
    assert list(deployment.outbox.iterdir()) == []
    mounts.bind(source, deployment.outbox)
    assert deployment.once().process.returncode == 0
    scored(deployment, 20)
