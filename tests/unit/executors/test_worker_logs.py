"""Logs of workers: their last words, and that they don't grow for ever."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from scorewatch.executors.local import logs
from scorewatch.executors.local.logs import LogLimits, WorkerLogs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "w.stdout.txt", tmp_path / "w.stderr.txt"


def tail(pair: tuple[Path, Path], limit: int = 100) -> str:
    return logs.tail([str(path) for path in pair], limit)


def test_two_short_logs_are_shown_whole(pair: tuple[Path, Path]) -> None:
    pair[0].write_text("said\n")
    pair[1].write_text("complained")
    assert tail(pair) == "[stdout]\nsaid\n[stderr]\ncomplained\n"


def test_nothing_printed_is_nothing_shown(pair: tuple[Path, Path]) -> None:
    pair[0].touch()
    assert tail(pair) == ""


def test_what_a_short_log_leaves_goes_to_the_long_one(pair: tuple[Path, Path]) -> None:
    pair[0].write_text("x" * 1000)
    pair[1].write_text("y" * 10)
    assert tail(pair) == "[stdout, the last 90 of 1000 bytes]\n" + "x" * 90 + "\n[stderr]\n" + "y" * 10 + "\n"


def test_two_long_logs_share(pair: tuple[Path, Path]) -> None:
    pair[0].write_text("q" * 1000)
    pair[1].write_text("z" * 2000)
    shown = tail(pair)
    assert (shown.count("q"), shown.count("z")) == (50, 50)


def test_bytes_that_are_no_text_are_shown_as_well_as_can_be(pair: tuple[Path, Path]) -> None:
    pair[0].write_bytes(b"\xff\xfe ok\n")
    assert tail(pair) == "[stdout]\n\ufffd\ufffd ok\n"


def test_a_log_that_was_replaced_is_not_followed(pair: tuple[Path, Path], tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    pair[0].symlink_to(secret)
    os.mkfifo(pair[1])
    assert tail(pair) == ""
    logs.cut(str(secret), 3)
    with pytest.raises(OSError, match="symbolic"):
        logs.cut(str(pair[0]), 3)


def test_a_new_log_is_nobody_elses(tmp_path: Path) -> None:
    path = str(tmp_path / "a" / "b.stdout.txt")
    os.close(logs.create(path))
    with pytest.raises(FileExistsError):
        logs.create(path)


def test_a_log_is_cut_to_its_last_quarter_and_its_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "w.stdout.txt"
    writer = logs.create(str(path))
    try:
        os.write(writer, b"a" * 900 + b"b" * 101)
        logs.cut(str(path), 1001)
        assert path.stat().st_size == 1001  # not over the cap
        logs.cut(str(path), 1000)
        os.write(writer, b"more")
    finally:
        os.close(writer)
    assert (
        path.read_bytes()
        == b"[scorewatch cut 751 bytes here: this log may have 1000]\n" + b"a" * 149 + b"b" * 101 + b"more"
    )


def dead(tmp_path: Path, stream: str, count: int) -> list[Path]:
    folder = tmp_path / "user" / stream / "0"
    folder.mkdir(parents=True)
    paths = [folder / f"process000.e0-{number}.{stream}.txt" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_text("x" * 100)
        os.utime(path, (number, number))
    return paths


def test_only_the_newest_logs_of_the_dead_are_kept(tmp_path: Path) -> None:
    out, err = dead(tmp_path, "stdout", 6), dead(tmp_path, "stderr", 2)
    foreign = out[0].parent / "notes.txt"
    foreign.write_text("mine")
    WorkerLogs(str(tmp_path), LogLimits(dead_files=3)).trim([str(out[0])])
    assert sorted(out[0].parent.iterdir()) == sorted([foreign, out[0], *out[3:]])
    assert all(path.exists() for path in err)


def test_logs_of_the_dead_are_kept_up_to_a_size(tmp_path: Path) -> None:
    out = dead(tmp_path, "stdout", 6)
    WorkerLogs(str(tmp_path), LogLimits(dead_bytes=250)).trim([])
    assert sorted(out[0].parent.iterdir()) == out[4:]


def test_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    WorkerLogs(str(tmp_path / "none"), LogLimits()).trim([str(tmp_path / "gone")])
