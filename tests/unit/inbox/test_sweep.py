"""Sweeps: everything is found, in pieces, and nothing is read twice without need."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from scorewatch.core.readiness import NameRules
from scorewatch.inbox.sweep import CHUNK, DEEPEST, Sweeper
from scorewatch.model.files import RefusalReason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class World:
    def __init__(self, inbox: Path, *, recursive: bool = True) -> None:
        self.inbox = inbox
        self.fd = os.open(inbox, os.O_RDONLY)
        self.watched: list[str] = []
        self.settling: set[str] = set()
        self.sweeper = Sweeper(
            self.fd,
            NameRules(),
            watch=lambda folder, _: self.watched.append(folder),
            busy=lambda folder: folder in self.settling,
            recursive=recursive,
        )

    def sweep(self, *start: str, everything: bool = True) -> list[str]:
        self.watched.clear()
        pieces = self.sweeper.sweep(start or ("",), everything=everything)
        return sorted(relpath for piece in pieces for relpath in piece.files)

    def refused(self) -> dict[str, RefusalReason]:
        return {r.relpath: r.reason for piece in self.sweeper.sweep() for r in piece.refused}

    def age(self, *folders: str) -> None:
        """As if nothing had happened in them for a while."""
        for folder in folders:
            os.utime(self.inbox / folder, ns=(time.time_ns(), time.time_ns() - 10_000_000_000))


@pytest.fixture
def world(inbox: Path) -> Iterator[World]:
    made = World(inbox)
    yield made
    os.close(made.fd)


def drop(inbox: Path, *relpaths: str) -> None:
    for relpath in relpaths:
        (inbox / relpath).parent.mkdir(parents=True, exist_ok=True)
        (inbox / relpath).touch()


def test_all_is_found_but_what_is_hidden_or_temporary(world: World, inbox: Path) -> None:
    drop(inbox, "a", "s/b", "s/t/c", ".scorewatch/claim/x", ".hidden", "s/.git/y", "s/d.part", "..x")
    assert world.sweep() == ["a", "s/b", "s/t/c"]
    assert sorted(world.watched) == ["", "s", "s/t"]


def test_folders_are_passed_over_where_that_is_wanted(inbox: Path) -> None:
    world = World(inbox, recursive=False)
    drop(inbox, "a", "s/b")
    assert world.sweep() == ["a"]
    os.close(world.fd)


def test_a_quiet_old_folder_is_not_read_again_and_its_folders_are_still_visited(world: World, inbox: Path) -> None:
    drop(inbox, "a", "s/b", "s/t/c")
    world.age("", "s", "s/t")
    assert world.sweep() == ["a", "s/b", "s/t/c"]
    assert (world.sweep(), world.watched) == ([], [])
    drop(inbox, "s/t/new")
    assert (world.sweep(), world.watched) == (["s/t/c", "s/t/new"], ["s/t"])
    world.age("s/t")
    world.sweep()
    world.settling = {"s"}
    assert (world.sweep(), world.watched) == (["s/b"], ["s"])


def test_a_folder_that_changed_lately_is_read_again_since_clocks_are_coarse(world: World, inbox: Path) -> None:
    drop(inbox, "a")
    assert [world.sweep(), world.sweep()] == [["a"], ["a"]]


def test_a_round_through_what_rang_visits_new_folders_only(world: World, inbox: Path) -> None:
    drop(inbox, "a", "old/b")
    world.sweep()
    drop(inbox, "new/deep/c")
    assert world.sweep("", everything=False) == ["a", "new/deep/c"]
    assert sorted(world.watched) == ["", "new", "new/deep"]
    assert world.sweep("gone", everything=False) == []


def test_a_big_folder_comes_in_pieces_and_can_be_left_in_the_middle(world: World, inbox: Path) -> None:
    drop(inbox, *(f"f{n}" for n in range(2 * CHUNK + 5)))
    world.age("")
    sweep = world.sweeper.sweep()
    assert len(next(sweep).files) == CHUNK
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count
    sweep.close()
    assert len(os.listdir("/proc/self/fd")) < before  # noqa: PTH208 - a count
    assert len(world.sweep()) == 2 * CHUNK + 5


def test_links_and_pipes_are_refused_and_links_not_entered(world: World, inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x").touch()
    (inbox / "loop").symlink_to(".")
    (inbox / "out").symlink_to(tmp_path / "outside")
    os.mkfifo(inbox / "pipe.csv")
    (inbox / "folder.csv").mkdir()
    assert world.refused() == {
        "loop": RefusalReason.SYMLINK,
        "out": RefusalReason.SYMLINK,
        "pipe.csv": RefusalReason.FIFO,
    }
    assert world.sweep() == []


def test_a_root_that_can_t_be_read_is_an_error(world: World) -> None:
    world.sweeper._root_fd = -1
    with pytest.raises(OSError, match="Bad file"):
        world.sweep()


def test_folders_that_are_gone_are_forgotten_with_all_that_was_in_them(world: World) -> None:
    for number in range(5):
        (world.inbox / f"upload-{number}/a/b").mkdir(parents=True)
        world.sweep()
        shutil.rmtree(world.inbox / f"upload-{number}")
    world.sweep()
    assert world.sweeper.folders == 1


def test_what_is_nested_too_deep_is_refused_and_said(world: World) -> None:
    path = "/".join(["d"] * (DEEPEST + 2))
    (world.inbox / path).mkdir(parents=True)
    (world.inbox / path / "f").touch()
    edge = "/".join(["d"] * (DEEPEST + 1))
    assert world.refused() == {edge: RefusalReason.UNREADABLE}
    (world.inbox / "/".join(["d"] * DEEPEST) / "g").touch()
    assert world.sweep() == ["/".join([*["d"] * DEEPEST, "g"])]
