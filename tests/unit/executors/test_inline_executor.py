"""What only the inline executor does; the rest is in the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scorewatch.executors.inline import InlineExecutor
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.decisions import RunBatch, StartWorker
from scorewatch.model.events import BatchFailed, BatchScored
from scorewatch.model.files import Observation
from scorewatch.model.outcomes import FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH = MiniBatch(
    batch_id="20261122T213741Z-00000000000000000001",
    files=(Observation("a"), Observation("b/\udcff")),
    total_bytes=2,
    sealed_because=SealReason.FILES,
    sealed_at=0.0,
    tries=1,
    dispatch=2,
)


@pytest.fixture
def outcome(tmp_path: Path) -> Iterator[Any]:
    made = []

    def _outcome(result: object) -> Any:
        given: list[list[str]] = []

        def run(files: list[str]) -> Any:
            given.append(files)
            return result

        executor = InlineExecutor(run, staging=lambda _: f"{tmp_path}/staging", where=lambda _: "/claim")
        made.append(executor)
        executor.start(StartWorker(worker_id=1, slot=0, generation=1))
        executor.run(RunBatch(worker_id=1, batch=BATCH, run_timeout_s=1.0, schema=()))
        event = executor.news()[-1]
        assert given == [["/claim/a", "/claim/b/\udcff"]]
        return event

    yield _outcome
    for executor in made:
        executor.close()


def rows(event: BatchScored) -> list[Any]:
    return [json.loads(line) for line in Path(event.staging, "predictions.jsonl").read_text().splitlines()]


def test_one_row_a_file_bears_its_file(outcome: Any) -> None:
    scored = outcome([1, {"x": 2}])
    assert rows(scored) == [{"prediction": 1, "file": "a"}, {"prediction": {"x": 2}, "file": "b/\udcff"}]


def test_a_list_that_came_back_short_counts_what_it_has(outcome: Any) -> None:
    scored = outcome([1])
    assert (scored.receipt.rows, scored.receipt.succeeded) == (1, 1)
    assert rows(scored) == [{"prediction": 1, "file": None}]


def test_more_rows_than_files_are_not_more_successes(outcome: Any) -> None:
    assert outcome([1, 2, 3]).receipt.succeeded == 2


def test_what_is_no_list_is_a_bad_result(outcome: Any) -> None:
    event = outcome("ab")
    assert isinstance(event, BatchFailed)
    assert (event.failure.kind, event.failure.message) == (FailureKind.BAD_RESULT, "run() returned str, not a list")
