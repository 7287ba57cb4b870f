"""What a look at a name says."""

from __future__ import annotations

import mmap
import os
import socket
from typing import TYPE_CHECKING

import pytest

from scorewatch.core.readiness import Lease
from scorewatch.inbox import moves, probe
from scorewatch.model.files import RefusalReason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_a_closed_file_is_quiet_and_an_open_one_busy(tmp_path: Path, folder: int) -> None:
    file = tmp_path / "a"
    with file.open("wb") as writer:
        writer.write(b"123")
        writer.flush()
        assert probe.probe(folder, "a", "sub/a").lease is Lease.BUSY
    found = probe.probe(folder, "a", "sub/a")
    assert found.lease is Lease.QUIET
    assert found.seen is not None
    assert (found.seen.relpath, found.seen.size, found.seen.quiet) == ("sub/a", 3, True)
    assert found.seen.inode == file.stat().st_ino


def test_a_shared_mapping_counts_as_a_writer(tmp_path: Path, folder: int) -> None:
    (tmp_path / "a").write_bytes(b"x" * 4096)
    fd = os.open(tmp_path / "a", os.O_RDWR)
    mapped = mmap.mmap(fd, 4096)
    os.close(fd)
    assert probe.probe(folder, "a", "a").lease is Lease.BUSY
    mapped.close()
    assert probe.probe(folder, "a", "a").lease is Lease.QUIET


def test_readers_don_t_make_a_file_busy(tmp_path: Path, folder: int) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with (tmp_path / "a").open("rb"):
        assert probe.probe(folder, "a", "a").lease is Lease.QUIET


def test_a_lease_is_lost_when_a_writer_knocks(tmp_path: Path) -> None:
    probe.ignore_lease_breaks()
    (tmp_path / "a").write_bytes(b"x")
    fd = os.open(tmp_path / "a", os.O_RDONLY)
    assert probe.ask_lease(fd) is Lease.QUIET
    assert probe.still_leased(fd)
    with pytest.raises(BlockingIOError):
        os.open(tmp_path / "a", os.O_WRONLY | os.O_NONBLOCK)
    assert not probe.still_leased(fd)
    os.close(fd)


def test_what_is_no_regular_file_is_refused_and_nothing_is_followed(tmp_path: Path, folder: int) -> None:
    (tmp_path / "secret").write_text("canary")
    (tmp_path / "link").symlink_to("secret")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    (tmp_path / "folder").mkdir()
    reasons = {name: probe.probe(folder, name, name) for name in moves.names(folder) if name != "secret"}
    assert {name: found.reason for name, found in reasons.items()} == {
        "link": RefusalReason.SYMLINK,
        "dangling": RefusalReason.SYMLINK,
        "fifo": RefusalReason.FIFO,
        "socket": RefusalReason.SOCKET,
        "folder": None,
    }
    assert reasons["folder"].gone
    assert all(found.detail for name, found in reasons.items() if name != "folder")


def test_gone_is_gone_and_no_descriptors_left_is_an_error(folder: int) -> None:
    assert probe.probe(folder, "a", "a").gone
    with pytest.raises(OSError, match="Too many"):
        probe.explain(OSError(24, "Too many open files"), "a")
    assert probe.explain(OSError(5, "Input/output error"), "a").reason is RefusalReason.UNREADABLE
    assert probe.explain(OSError(11, "would block"), "a").lease is Lease.BUSY


def test_where_leases_can_t_be_believed_none_is_asked(tmp_path: Path, folder: int) -> None:
    (tmp_path / "a").write_bytes(b"x")
    found = probe.probe(folder, "a", "a", leases=False)
    assert found.lease is Lease.NONE
    assert found.seen is not None
    assert not found.seen.quiet


def test_a_local_file_system_is_not_remote(folder: int) -> None:
    assert probe.remote_filesystem(folder) == ""
    with pytest.raises(OSError, match="Bad file"):
        probe.remote_filesystem(-1)
