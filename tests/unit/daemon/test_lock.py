"""Stories of the deployment's lock."""

from __future__ import annotations

import fcntl
import threading
from typing import TYPE_CHECKING

import pytest

from scorewatch.daemon.lock import LOCK, Lock
from scorewatch.model.errors import ExitCode, ScorewatchError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_second_daemon_is_told_who_has_it_and_the_first_keeps_it(tmp_path: Path) -> None:
    first = Lock(tmp_path, "digits")
    with pytest.raises(ScorewatchError, match="another process runs the deployment 'digits'") as caught:
        Lock(tmp_path, "digits")
    assert caught.value.exit_code is ExitCode.ALREADY_RUNNING
    first.release()
    Lock(tmp_path, "digits").release()


def test_somebody_who_only_looks_does_not_stop_a_start(tmp_path: Path) -> None:
    Lock(tmp_path, "digits").release()
    with (tmp_path / LOCK).open() as looked_at:
        fcntl.flock(looked_at, fcntl.LOCK_SH)
        threading.Timer(0.2, fcntl.flock, (looked_at, fcntl.LOCK_UN)).start()
        Lock(tmp_path, "digits").release()


def test_a_lock_that_cant_be_made_is_told_with_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ScorewatchError) as caught:
        Lock(tmp_path / "gone", "digits")
    assert caught.value.exit_code is ExitCode.FOLDER_UNUSABLE
    assert str(tmp_path / "gone") in str(caught.value)


def test_a_lock_is_not_taken_through_a_symlink(tmp_path: Path) -> None:
    (tmp_path / LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ScorewatchError):
        Lock(tmp_path, "digits")
    assert not (tmp_path / "elsewhere").exists()
