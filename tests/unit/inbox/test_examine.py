"""Single files: looked at when they are due, or when they ring."""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING

import pytest

from scorewatch.core.readiness import Marker, Quiet
from scorewatch.inbox.examine import Examiner
from scorewatch.model.files import RefusalReason

if TYPE_CHECKING:
    from pathlib import Path

    from scorewatch.inbox.claim import RenameClaims


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def names(found: list[object]) -> list[str]:
    return [file.relpath for file in found]  # type: ignore[attr-defined]


def test_a_file_that_rings_is_looked_at_before_its_time(claims: RenameClaims, inbox: Path) -> None:
    examiner = Examiner(claims, Quiet(), clock=Clock())
    (inbox / "s").mkdir()
    with (inbox / "s/a").open("w") as writer:
        writer.write("x")
        assert examiner.look_at("s", ["s/a"]) == []
    assert examiner.due(10) == []
    examiner.hint({"": {"a"}, "s": {"other"}})
    assert examiner.due(10) == []
    examiner.hint({"s": {"a"}})
    assert examiner.due_at() == 0.0
    assert names([*examiner.due(10)]) == ["s/a"]
    assert examiner.due_at() == math.inf


def test_a_marker_that_rings_is_a_hint_for_its_file(claims: RenameClaims, inbox: Path) -> None:
    examiner = Examiner(claims, Marker(suffix=".done"), clock=Clock())
    (inbox / "a").write_text("x")
    assert examiner.look_at("", ["a"]) == []
    (inbox / "a.done").touch()
    examiner.hint({"": {"a.done"}})
    assert names([*examiner.due(10)]) == ["a"]


def test_a_settling_file_that_goes_away_is_forgotten(claims: RenameClaims, inbox: Path) -> None:
    clock = Clock()
    examiner = Examiner(claims, Quiet(settle_s=5.0), clock=clock)
    for name in ("a", "s/b"):
        (inbox / name).parent.mkdir(exist_ok=True)
        (inbox / name).write_text("x")
        examiner.look_at(name.rpartition("/")[0], [name])
    assert len(examiner.settling) == 2
    (inbox / "a").unlink()
    (inbox / "s/b").unlink()
    (inbox / "s").rmdir()
    clock.now += 10.0
    assert examiner.due(10) == []
    assert len(examiner.settling) == 0
    assert examiner.take_refused() == []


def test_too_big_is_refused_once_it_is_whole(claims: RenameClaims, inbox: Path) -> None:
    examiner = Examiner(claims, Quiet(), clock=Clock(), max_file_bytes=3)
    (inbox / "small").write_text("123")
    with (inbox / "big").open("w") as writer:
        writer.write("1234")
        writer.flush()
        assert names([*examiner.look_at("", ["small", "big"])]) == ["small"]
        assert examiner.take_refused() == []
    assert examiner.look_at("", ["big"]) == []
    (refusal,) = examiner.take_refused()
    assert (refusal.relpath, refusal.reason, refusal.size) == ("big", RefusalReason.TOO_BIG, 4)


def test_a_folder_whose_files_could_not_be_noted_is_read_again(claims: RenameClaims, inbox: Path) -> None:
    examiner = Examiner(claims, Quiet(settle_s=5.0), clock=Clock())
    examiner.settling._most = 0
    (inbox / "s").mkdir()
    (inbox / "s/a").write_text("x")
    assert examiner.look_at("s", ["s/a"]) == []
    assert examiner.unfinished == {"s"}


def test_files_that_settle_outlive_a_shortage_of_descriptors(
    claims: RenameClaims, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    examiner = Examiner(claims, Quiet(settle_s=1.0), clock=clock)
    for name in "abc":
        (inbox / name).write_text("x")
    examiner.look_at("", ["a", "b", "c"])
    clock.now += 2.0

    def short(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as shortage:
        shortage.setattr(claims, "probe", short)
        with pytest.raises(OSError, match="Too many"):
            examiner.due(10)
    assert sorted(names([*examiner.due(10)])) == ["a", "b", "c"]
