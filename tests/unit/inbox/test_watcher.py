"""The bell: real inotify, real folders."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, InotifyFD

from scorewatch.inbox.watcher import Bell, Watcher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class World:
    def __init__(self, inbox: Path) -> None:
        self.inbox = inbox
        self.bell = Bell()
        self.watcher = Watcher(self.bell)
        self.watcher.start()
        self.everything = False
        self.rung: dict[str, set[str]] = {}

    def watch(self, folder: str = "") -> None:
        fd = os.open(self.inbox / folder, os.O_RDONLY)
        self.watcher.watch(folder, fd)
        os.close(fd)

    def hears(self, folder: str | None, name: str = "", within: float = 5.0) -> bool:
        end = time.monotonic() + within
        while time.monotonic() < end:
            if (folder is None and self.everything) or (folder is not None and name in self.rung.get(folder, ())):
                return True
            self.bell.wait(0.02)
            everything, folders = self.bell.answer()
            self.everything |= everything
            for key, names in folders.items():
                self.rung.setdefault(key, set()).update(names)
        return False


@pytest.fixture
def world(inbox: Path) -> Iterator[World]:
    made = World(inbox)
    made.watch()
    yield made
    made.watcher.stop()


def test_arrivals_of_every_kind_ring(world: World, inbox: Path, tmp_path: Path) -> None:
    (inbox / "written").write_text("x")
    assert world.hears("", "written")
    (tmp_path / "y").write_text("y")
    (tmp_path / "y").rename(inbox / "moved")
    assert world.hears("", "moved")
    os.link(inbox / "moved", inbox / "linked")
    assert world.hears("", "linked")
    (inbox / "folder").mkdir()
    assert world.hears("", "folder")
    odd = "\udcff\n"
    (inbox / odd).touch()
    assert world.hears("", odd)


def test_our_own_renames_and_hidden_names_don_t(world: World, inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "a").rename(inbox / "a")  # rings once; what is written here rings again when it is closed
    assert world.hears("", "a")
    world.rung.clear()
    (inbox / "a").rename(tmp_path / "a")
    (inbox / ".upload.tmp").write_text("x")
    (inbox / "last").touch()
    assert world.hears("", "last")
    assert world.rung == {"": {"last"}}


def test_a_folder_that_is_renamed_or_deleted_makes_everything_looked_at(world: World, inbox: Path) -> None:
    (inbox / "s").mkdir()
    world.watch("s")
    (inbox / "s").rename(inbox / "t")
    assert world.hears(None)
    world.everything = False
    world.watch("t")
    (inbox / "t/x").touch()
    assert world.hears("t", "x")
    (inbox / "t/x").unlink()
    (inbox / "t").rmdir()
    assert world.hears(None)


def test_an_inbox_that_is_deleted_makes_everything_looked_at(world: World, inbox: Path) -> None:
    inbox.rmdir()
    assert world.hears(None)


def test_an_overflow_makes_everything_looked_at(world: World) -> None:
    inotify = world.watcher._inotify
    assert inotify is not None
    inotify.handle_event(InotifyEvent(-1, InotifyConstants.IN_Q_OVERFLOW, 0, b""))  # type: ignore[arg-type]
    assert world.hears(None)


def test_muted_it_is_silent_and_later_it_rings_again(world: World, inbox: Path) -> None:
    world.watcher.mute()
    assert not world.watcher.watching
    (inbox / "a").touch()
    world.watch()
    assert not world.hears("", "a", within=0.2)
    world.watcher.unmute()
    world.watch()
    (inbox / "b").touch()
    assert world.hears("", "b")
    assert world.watcher.watching


def test_a_dead_thread_is_noticed_and_replaced(world: World, inbox: Path) -> None:
    assert not world.watcher.revive()
    inotify = world.watcher._inotify
    assert inotify is not None
    inotify.stop()
    inotify.join()
    assert not world.watcher.watching
    assert world.watcher.revive()
    world.watch()
    (inbox / "a").touch()
    assert world.hears("", "a")


def test_without_an_instance_or_a_watch_it_says_why(world: World, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "inotify watch limit reached")

    (inbox / "s").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(InotifyFD, "add_callback", refuse)
        world.watch("s")
    assert not world.watcher.watching
    assert "max_user_watches" in world.watcher.reason
    with monkeypatch.context() as patch:
        patch.setattr(InotifyFD, "__init__", refuse)
        other = Watcher(Bell())
        other.start()
    assert "no inotify instance" in other.reason
    assert not other.watching
    world.watcher.forget()
    assert world.watcher.watching


def test_only_so_many_names_are_kept_between_two_looks() -> None:
    bell = Bell()
    for n in range(5000):
        bell.ring("s", str(n))
    _, folders = bell.answer()
    assert len(folders["s"]) < 1000
    assert bell.answer() == (False, {})
