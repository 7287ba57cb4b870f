"""The inbox as a folder that may go away: identity, renames, and what is believed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from scorewatch.inbox import identity
from scorewatch.inbox.held import HeldFolder
from scorewatch.inbox.layout import InboxRoot
from scorewatch.inbox.permissions import probe_rename
from scorewatch.model.errors import ExitCode, ScorewatchError


@pytest.fixture
def root(inbox: Path) -> InboxRoot:
    made = InboxRoot(inbox, "d-1")
    identity.create(inbox / identity.INBOX)
    assert made.trouble() == ""
    return made


def test_an_identity_file_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / identity.STATE
    assert identity.read(path) is None
    made = identity.create(path, {"deployment": "d"})
    assert identity.read(path) == made
    assert made["deployment"] == "d"
    assert len(made["id"]) == 32
    with pytest.raises(FileExistsError):
        identity.create(path)
    assert [p.name for p in tmp_path.iterdir()] == [identity.STATE]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"id": 5}', "[" * 100_000])
def test_garbage_is_no_identity(tmp_path: Path, content: str) -> None:
    (tmp_path / "identity.json").write_text(content)
    assert identity.read(tmp_path / "identity.json") is None


def test_an_identity_is_not_read_through_a_link(tmp_path: Path) -> None:
    identity.create(tmp_path / "real")
    (tmp_path / "identity.json").symlink_to("real")
    assert identity.read(tmp_path / "identity.json") is None
    assert identity.read(tmp_path / "nowhere/identity.json") is None


def test_renamed_away_is_trouble_and_renamed_back_is_fine(root: InboxRoot, inbox: Path) -> None:
    inbox.rename(inbox.with_name("moved"))
    assert "can't be seen" in root.trouble()
    inbox.mkdir()
    assert "another folder" in root.trouble()
    assert list(inbox.iterdir()) == []
    inbox.rmdir()
    inbox.with_name("moved").rename(inbox)
    assert root.trouble() == ""


def test_deleted_and_made_again_is_taken_up_with_the_same_identity(root: InboxRoot, inbox: Path) -> None:
    before = root.identity()
    shutil.rmtree(inbox)
    assert "can't be seen" in root.trouble()
    with pytest.raises(OSError, match="deleted"):
        root.verify()
    inbox.mkdir()
    assert root.trouble() == ""
    root.verify()
    assert json.loads((inbox / identity.INBOX).read_text())["id"] == before
    assert os.fstat(root.fd).st_ino == inbox.stat().st_ino


def test_another_copy_with_our_identity_is_ours(root: InboxRoot, inbox: Path) -> None:
    """As after an unmount and a mount: another inode number may be, the same file inside."""
    shutil.copytree(inbox, inbox.with_name("copy"))
    inbox.rename(inbox.with_name("old"))
    inbox.with_name("copy").rename(inbox)
    assert root.trouble() == ""
    assert os.fstat(root.fd).st_ino == inbox.stat().st_ino


def test_our_folder_is_made_again_when_it_was_deleted(root: InboxRoot, inbox: Path) -> None:
    before = root.identity()
    shutil.rmtree(inbox / ".scorewatch")
    assert root.trouble() == ""
    assert root.identity() == before
    assert (inbox / ".scorewatch/claim/d-1").is_dir()


def test_an_inbox_that_is_only_read_is_never_written(inbox: Path) -> None:
    held = HeldFolder(inbox)
    assert (held.trouble(), held.unreadable(), list(inbox.iterdir())) == ("", "", [])
    inbox.rename(inbox.with_name("moved"))
    inbox.mkdir()
    assert "another folder" in held.trouble()
    held.close()


def test_a_rename_is_proved_with_a_real_file(inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    probe_rename(inbox, tmp_path / "target")
    assert [*inbox.iterdir(), *(tmp_path / "target").iterdir()] == []
    with pytest.raises(ScorewatchError, match="can't be renamed") as caught:
        probe_rename(inbox, Path("/dev/shm"))  # noqa: S108 - another file system is what is wanted
    assert caught.value.exit_code is ExitCode.FOLDER_UNUSABLE
    assert "ledger" in caught.value.hint
    assert list(inbox.iterdir()) == []
