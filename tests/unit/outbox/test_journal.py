from __future__ import annotations

import errno
import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from scorewatch.outbox.journal import ERRORS, SUMMARY, Journal

if TYPE_CHECKING:
    from pathlib import Path

DAY = "2026-11-22"


def batch_id(number: int) -> str:
    return f"20261122T213741Z-{number:020x}"


def a_line(number: int, **more: Any) -> dict[str, Any]:
    return {"status": "committed", "batch_id": batch_id(number), "files": [{"path": "\udcff\n"}], **more}


def an_error(number: int, path: str) -> dict[str, Any]:
    return {"at": "2026-11-23T00:00:01.000Z", "batch_id": batch_id(number), "path": path}


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    (tmp_path / SUMMARY).mkdir()
    (tmp_path / ERRORS).mkdir()
    return tmp_path


def summary(outbox: Path) -> Journal:
    return Journal(outbox, SUMMARY, durable=True)


def numbers(outbox: Path, folder: str = SUMMARY, day: str = DAY) -> list[int]:
    text = (outbox / folder / f"{day}.jsonl").read_text("ascii")
    assert text.endswith("\n") or not text
    return [int(json.loads(line)["batch_id"][17:], 16) for line in text.splitlines()]


def test_lines_go_to_the_day_of_the_batch_and_keep_any_name(outbox: Path) -> None:
    summary(outbox).append([a_line(1), a_line(2), a_line(3, batch_id="20261123T000000Z-" + "0" * 20)])
    assert numbers(outbox) == [1, 2]
    first = json.loads((outbox / SUMMARY / f"{DAY}.jsonl").read_text().splitlines()[0])
    assert first == a_line(1)
    assert (outbox / SUMMARY / "2026-11-23.jsonl").exists()


def test_an_error_after_midnight_goes_to_the_day_of_its_batch_and_a_skip_to_its_own(outbox: Path) -> None:
    errors = Journal(outbox, ERRORS, durable=True)
    errors.append([an_error(1, "a"), {"at": "2026-11-23T00:00:01.000Z", "skip_id": "odd", "path": "x"}])
    assert numbers(outbox, ERRORS) == [1]
    assert "odd" in (outbox / ERRORS / "2026-11-23.jsonl").read_text()


@pytest.mark.parametrize(
    "torn",
    [
        b'{"batch_id":"2026',
        b'{"batch_id":"20261122T213741Z-00000000000000000002","x":"' + b"y" * 300_000,
        b"\0" * 70_000,
        b"\0\0\0\n",
        b'{"torn": \n\0\0',
        b"7\n",
        b"\n",
        json.dumps(a_line(2)).encode(),
    ],
    ids=["short", "long", "NULs", "NULs and a newline", "two torn", "no object", "empty", "only its newline missing"],
)
def test_a_torn_end_is_cut_off_before_the_next_line(outbox: Path, torn: bytes) -> None:
    summary(outbox).append([a_line(1)])
    with (outbox / SUMMARY / f"{DAY}.jsonl").open("ab") as file:
        file.write(torn)
    summary(outbox).append([a_line(2)])
    assert numbers(outbox) == [1, 2]


def test_a_file_that_is_nothing_but_torn_is_begun_again(outbox: Path) -> None:
    (outbox / SUMMARY / f"{DAY}.jsonl").write_bytes(b'{"batch')
    summary(outbox).append([a_line(1)], repeated=True)
    assert numbers(outbox) == [1]


def test_recovery_adds_what_is_missing_and_doubles_nothing(outbox: Path) -> None:
    summary(outbox).append([a_line(n) for n in range(0, 10, 2)])
    recovering = summary(outbox)
    recovering.append([a_line(n) for n in range(6)], repeated=True)
    recovering.append([a_line(n) for n in range(10)] + [a_line(3)], repeated=True)
    recovering.append([a_line(10)])
    recovering.append([a_line(10), a_line(11)], repeated=True)
    assert Counter(numbers(outbox)) == dict.fromkeys(range(12), 1)


def test_an_error_is_known_by_its_batch_and_its_file(outbox: Path) -> None:
    errors = Journal(outbox, ERRORS, durable=True)
    errors.append([an_error(1, "a"), an_error(1, "\udcff")])
    Journal(outbox, ERRORS, durable=True).append(
        [an_error(1, "\udcff"), an_error(1, "b"), an_error(2, "a")], repeated=True
    )
    assert numbers(outbox, ERRORS) == [1, 1, 1, 2]


def test_lines_in_a_foreign_spelling_are_known_too(outbox: Path) -> None:
    (outbox / SUMMARY / f"{DAY}.jsonl").write_text(json.dumps({"x": 1, "batch_id": batch_id(1)}, indent=None) + "\n")
    summary(outbox).append([a_line(1), a_line(2)], repeated=True)
    assert numbers(outbox) == [1, 2]


@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_a_full_disk_leaves_no_part_of_a_line_and_the_next_try_writes_it_once(
    outbox: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    journal = summary(outbox)
    journal.append([a_line(1)])
    real = os.write
    writes = iter([20])

    def short_then_full(fd: int, data: bytes) -> int:
        for part in writes:
            return real(fd, bytes(data)[:part])
        raise OSError(errno.ENOSPC, "No space left on device")

    def fails(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, call, short_then_full if call == "write" else fails)
        with pytest.raises(OSError, match="No space"):
            journal.append([a_line(2), a_line(3)], repeated=True)
    assert numbers(outbox) == [1]
    journal.append([a_line(2), a_line(3)], repeated=True)
    assert numbers(outbox) == [1, 2, 3]


def test_many_lines_are_one_write_and_one_sync(outbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def noting(name: str, real: Any) -> Any:
        return lambda fd, *data: (calls.append(name), real(fd, *data))[1]

    for name in ("write", "fdatasync", "fsync"):
        monkeypatch.setattr(os, name, noting(name, getattr(os, name)))
    journal = summary(outbox)
    journal.append([a_line(n) for n in range(100)])
    assert calls == ["fsync", "write", "fdatasync"], "the first time the folder is synced too"
    calls.clear()
    journal.append([a_line(n) for n in range(100, 200)])
    assert calls == ["write", "fdatasync"]
    journal.append([], repeated=True)
    journal.append([a_line(1)], repeated=True)
    assert calls == ["write", "fdatasync"], "nothing new, nothing written"


def test_ten_thousand_lines_are_looked_through_once(outbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary(outbox).append([a_line(n) for n in range(10_000)])
    journal = summary(outbox)
    scans: list[int] = []
    real = journal._standing
    monkeypatch.setattr(journal, "_standing", lambda fd: scans.append(fd) or real(fd))
    for n in range(9_990, 10_010):
        journal.append([a_line(n)], repeated=True)
    assert len(scans) == 1
    found = numbers(outbox)
    assert len(found) == len(set(found)) == 10_010


@pytest.mark.parametrize("kind", ["symlink", "fifo", "folder"])
def test_only_a_real_file_is_appended_to(outbox: Path, kind: str) -> None:
    path = outbox / SUMMARY / f"{DAY}.jsonl"
    if kind == "symlink":
        (outbox / "target").touch()
        path.symlink_to(outbox / "target")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(OSError):  # noqa: PT011 - which one is the kernel's choice
        summary(outbox).append([a_line(1)])
    if kind == "symlink":
        assert (outbox / "target").read_bytes() == b""
