"""What every outbox keeps: each output whole, once and for good; each line once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scorewatch.model.errors import ScorewatchError
from scorewatch.outbox.outbox import Outbox as RealOutbox

if TYPE_CHECKING:
    from scorewatch.model.ports import Outbox

ID = "20261122T213741Z-8f0c2a6b1d3e4f5a6b7c"
DAY = "2026-11-22"


@pytest.fixture(params=["power", "process"])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Outbox:
    return RealOutbox.open(tmp_path, request.param)


def staged(root: Path, dispatch: int, data: bytes = b"rows") -> str:
    """What a worker leaves of its hand-out number `dispatch`."""
    path = root / ".staging" / "1700000000-1" / f"{ID}.{dispatch}"
    path.mkdir(parents=True)
    (path / "predictions.csv").write_bytes(data)
    return str(path)


def manifest(*names: str, size: int = 4) -> dict[str, Any]:
    files = [{"path": name, "size_bytes": 1, "mtime_ns": 2, "ctime_ns": 3} for name in names]
    return {"batch_id": ID, "files": files, "outputs": [{"name": "predictions.csv", "size_bytes": size}]}


def lines(root: Path, folder: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / folder / f"{DAY}.jsonl").read_text().splitlines()]


def test_an_output_is_not_there_and_then_it_is_whole(outbox: Outbox, tmp_path: Path) -> None:
    assert outbox.manifest(ID) is None
    outbox.publish(ID, staged(tmp_path, 1), manifest("a\udcff"))
    outbox.sync()
    assert outbox.manifest(ID) == manifest("a\udcff")
    (found,) = tmp_path.glob("batches/sealed_date=2026-11-22/*/predictions.csv")
    assert found.read_bytes() == b"rows"


def test_a_second_output_of_the_same_files_is_dropped(outbox: Outbox, tmp_path: Path) -> None:
    outbox.publish(ID, staged(tmp_path, 1), manifest("a"))
    second = staged(tmp_path, 2, b"other")
    outbox.publish(ID, second, manifest("a", size=5))
    outbox.sync()
    (found,) = tmp_path.glob("batches/*/*/predictions.csv")
    assert found.read_bytes() == b"rows"
    assert not Path(second).exists()


def test_an_output_of_other_files_is_never_overwritten(outbox: Outbox, tmp_path: Path) -> None:
    outbox.publish(ID, staged(tmp_path, 1), manifest("a"))
    with pytest.raises(ScorewatchError):
        outbox.publish(ID, staged(tmp_path, 2), manifest("b"))
    assert outbox.manifest(ID) == manifest("a")


@pytest.mark.parametrize("folder", ["summary", "errors"])
def test_a_line_is_written_once_however_often_recovery_repeats_it(outbox: Outbox, tmp_path: Path, folder: str) -> None:
    write = outbox.summarise if folder == "summary" else outbox.list_errors
    first, second = ({"batch_id": ID + half, "path": "\udcff", "at": f"{DAY}T00:00:00Z"} for half in "ab")
    write([first])
    write([first, second], repeated=True)
    write([second], repeated=True)
    assert lines(tmp_path, folder) == [first, second]


def test_one_workers_staging_is_cleared_and_no_others(outbox: Outbox, tmp_path: Path) -> None:
    staged(tmp_path, 1)
    (tmp_path / ".staging" / "1700000000-2").mkdir()
    outbox.clear_staging("1700000000-1")
    outbox.clear_staging("1700000000-1")
    assert [path.name for path in (tmp_path / ".staging").iterdir()] == ["1700000000-2"]


def test_one_staged_output_is_discarded_and_its_neighbour_is_published(outbox: Outbox, tmp_path: Path) -> None:
    unwanted, wanted = staged(tmp_path, 1), staged(tmp_path, 2)
    outbox.discard(unwanted)
    outbox.discard(unwanted)
    outbox.publish(ID, wanted, manifest("a"))
    assert not Path(unwanted).exists()
    assert outbox.manifest(ID) == manifest("a")
