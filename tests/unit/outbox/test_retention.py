from __future__ import annotations

import os
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 22)
DAYS = ("2026-11-19", "2026-11-20", "2026-11-21", "2026-11-22")


@pytest.fixture
def full(story: Any) -> Any:
    for day in DAYS:
        place = story.root / "batches" / f"sealed_date={day}" / "batch"
        place.mkdir(parents=True)
        (place / "predictions.parquet").write_bytes(b"x")
        for folder in ("summary", "errors"):
            (story.root / folder / f"{day}.jsonl").write_text("{}\n")
    return story


def left(story: Any) -> dict[str, list[str]]:
    return {name: sorted(p.name for p in (story.root / name).iterdir()) for name in ("batches", "summary", "errors")}


def test_days_that_are_too_old_go_from_all_three_places(full: Any) -> None:
    removed = full.outbox.prune(2, TODAY)
    assert removed == ["batches/sealed_date=2026-11-19", "summary/2026-11-19.jsonl", "errors/2026-11-19.jsonl"]
    assert left(full)["batches"] == [f"sealed_date={day}" for day in DAYS[1:]]
    assert left(full)["summary"] == left(full)["errors"] == [f"{day}.jsonl" for day in DAYS[1:]]
    assert list((full.root / ".staging").iterdir()) == []


def test_nothing_goes_where_everything_is_kept(full: Any) -> None:
    before = left(full)
    assert full.outbox.prune(0, TODAY) == []
    assert full.outbox.prune(30, TODAY) == []
    assert left(full) == before


def test_the_day_of_an_unreleased_batch_is_spared(full: Any) -> None:
    full.outbox.prune(1, TODAY, spare={"2026-11-19"})
    assert left(full)["batches"] == [f"sealed_date={day}" for day in (DAYS[0], *DAYS[2:])]
    assert left(full)["errors"] == [f"{day}.jsonl" for day in (DAYS[0], *DAYS[2:])]


def test_other_names_are_nobodys_business(full: Any, tmp_path: Path) -> None:
    others = ["notes", "sealed_date=20200101", "sealed_date=2020-13-01", "sealed_date=2020-01-01.bak", "2020-01-01"]
    for name in others:
        (full.root / "batches" / name).mkdir()
    (full.root / "summary" / "2020-01-01.jsonl.gz").touch()
    full.outbox.prune(30, TODAY)
    assert set(others) < set(left(full)["batches"])
    assert "2020-01-01.jsonl.gz" in left(full)["summary"]
    (tmp_path / "treasure").mkdir()
    (full.root / "batches" / "sealed_date=2020-01-01").symlink_to(tmp_path / "treasure")
    full.outbox.prune(30, TODAY)
    assert (tmp_path / "treasure").is_dir()


def test_a_day_is_gone_for_readers_before_the_first_of_its_files_is(full: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.unlink

    def unlink(name: str, *, dir_fd: int | None = None) -> None:
        if name == "predictions.parquet":
            assert not (full.root / "batches" / "sealed_date=2026-11-19").exists()
            raise KeyboardInterrupt  # killed in the middle
        real(name, dir_fd=dir_fd)

    with monkeypatch.context() as killed:
        killed.setattr(os, "unlink", unlink)
        with pytest.raises(KeyboardInterrupt):
            full.outbox.prune(2, TODAY)
    assert full.outbox.clear_all() == 1
    full.outbox.prune(2, TODAY)
    assert left(full)["summary"] == [f"{day}.jsonl" for day in DAYS[1:]]
