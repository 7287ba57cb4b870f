from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scorewatch.outbox.staging import clear_staging


def mine(story: Any, name: str = "1700000000-3") -> Path:
    path: Path = story.root / ".staging" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def test_one_workers_folder_goes_and_the_others_stay(story: Any) -> None:
    (mine(story) / "out" / "x").mkdir(parents=True)
    (mine(story) / "out" / "x" / "f").write_text("x")
    (mine(story, "1700000000-4") / "kept").write_text("x")
    story.outbox.clear_staging("1700000000-3")
    story.outbox.clear_staging("1700000000-3")
    assert [p.name for p in (story.root / ".staging").iterdir()] == ["1700000000-4"]
    assert (story.root / ".staging" / "1700000000-4" / "kept").exists()


def test_symlinks_are_removed_and_never_followed(story: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    (outside / "treasure").write_text("x")
    (mine(story) / "link").symlink_to(outside)
    (mine(story) / "sub").mkdir()
    (mine(story) / "sub" / "link").symlink_to(outside / "sub")
    (story.root / ".staging" / "planted").symlink_to(outside)
    story.outbox.clear_staging("planted")
    assert story.outbox.clear_all() == 1
    assert sorted(p.name for p in outside.iterdir()) == ["sub", "treasure"]
    assert list((story.root / ".staging").iterdir()) == []


def test_no_depth_is_too_deep(story: Any) -> None:
    here = os.open(mine(story), os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    story.outbox.clear_staging("1700000000-3")
    assert list((story.root / ".staging").iterdir()) == []


def test_every_kind_of_thing_goes(story: Any) -> None:
    os.mkfifo(mine(story) / "fifo")
    (mine(story) / os.fsdecode(b"\xff\n")).mkdir()
    (story.root / ".staging" / "file").write_text("x")
    story.outbox.clear_all()
    assert list((story.root / ".staging").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_locked_folders_are_opened_up_by_a_user_who_is_not_root(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    locked = tmp_path / ".staging" / "1-1" / "locked" / "in"
    locked.mkdir(parents=True)
    (locked / "f").touch()
    subprocess.run(["chown", "-R", "65534", str(tmp_path)], check=True)
    for path in (locked, locked.parent, locked.parent.parent):
        path.chmod(0o000)
    pid = os.fork()
    if pid == 0:
        try:
            os.chdir(tmp_path)  # the folders above may be closed to the other user
            os.setuid(65534)
            clear_staging(Path(), "1-1")
        except BaseException:  # noqa: BLE001 - the child must end here, whatever happens
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert list((tmp_path / ".staging").iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../batches", "a/b"])
def test_a_name_that_leads_out_is_refused(story: Any, name: str) -> None:
    with pytest.raises(ValueError, match="no worker's folder"):
        story.outbox.clear_staging(name)
