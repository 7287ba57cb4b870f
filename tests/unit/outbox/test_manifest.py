from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from scorewatch.core.room import Fine, judge
from scorewatch.model.decisions import ListSkipped
from scorewatch.model.files import Refusal, RefusalReason
from scorewatch.model.outcomes import Failure, FailureKind
from scorewatch.outbox.manifest import (
    LONGEST_TRACEBACK,
    files_match,
    iso,
    quarantine_errors,
    quarantine_line,
    receipt_from,
    skip_errors,
    summary_line,
)
from scorewatch.outbox.outbox import room

KEYS = [
    *("batch_id", "deployment", "parent_id", "sealed_because", "attempt", "sealed_at", "committed_at", "files"),
    *("rows", "succeeded", "failed", "outputs", "seconds", "worker", "device", "script_sha256", "model"),
    "scorewatch_version",
]
_ERROR_KEYS = [
    *("at", "deployment", "path", "outcome", "reason", "message", "exception", "attempt", "size_bytes", "where"),
    "traceback",
]
FAILURE = Failure(kind=FailureKind.SCRIPT_RAISED, message="boom", exception="ValueError", traceback="x" * 9000 + "end")


def test_a_manifest_has_the_documented_keys_and_no_others(story: Any) -> None:
    manifest = story.manifest(story.stage())
    assert list(manifest) == KEYS
    assert manifest["sealed_at"] == "2026-11-22T21:37:41.250Z"
    assert manifest["committed_at"] == "2026-11-22T21:37:50.500Z"
    assert manifest["outputs"] == [{"name": "predictions.parquet", "size_bytes": 4}]
    assert (manifest["rows"], manifest["succeeded"], manifest["failed"]) == (7, 1, 1)
    assert manifest["seconds"] == {"load": 0.0, "run": 0.5, "write": 0.0}


def test_what_applies_only_sometimes_is_there_only_then(story: Any) -> None:
    conflict = {"column": "score", "type": "double"}
    more = {"failed_files": (("a.csv", "bad"),), "note": "why", "schema_conflicts": (conflict,)}
    manifest = story.manifest(story.stage(), **more)
    assert list(manifest) == [*KEYS, "failed_files", "note", "schema_conflicts"]
    assert manifest["failed_files"] == [{"path": "a.csv", "reason": "bad"}]
    again = receipt_from(json.loads(json.dumps(manifest)), dispatch=1)
    assert dataclasses.replace(again, bytes_written=0) == dataclasses.replace(
        receipt_from(manifest, dispatch=1), bytes_written=0
    )
    assert (again.failed_files, again.note, again.schema_conflicts) == (more["failed_files"], "why", (conflict,))
    assert (again.rows, again.succeeded, again.run_s, again.bytes_written, again.dispatch) == (7, 1, 0.5, 4, 1)


def test_a_summary_line_is_the_manifest_without_outputs(story: Any) -> None:
    manifest = story.manifest(story.stage())
    line = summary_line(manifest)
    assert [*line] == [key for key in KEYS if key != "outputs"] + ["status"]
    assert line["status"] == "committed"


def test_a_quarantined_batch_has_the_same_keys(story: Any) -> None:
    line = quarantine_line(story.batch(), FAILURE, deployment="digits", version="0.1.0", at=0.0)
    assert {*line} == {*KEYS} - {"outputs"} | {"status", "note"}
    assert (line["status"], line["failed"], line["rows"]) == ("quarantined", 2, 0)


def test_each_file_set_aside_has_a_line_that_says_where_it_is(story: Any) -> None:
    lines = quarantine_errors(story.batch(), FAILURE, deployment="digits", at=0.0)
    assert [line["path"] for line in lines] == ["a.csv", "b/\udcff.csv"]
    assert lines[1]["where"] == f".scorewatch/quarantine/{story.batch().batch_id}/b/\udcff.csv"
    assert {*lines[0]} == {"batch_id", *_ERROR_KEYS}
    assert len(lines[0]["traceback"]) == LONGEST_TRACEBACK
    assert lines[0]["traceback"].endswith("end")
    assert (lines[0]["outcome"], lines[0]["reason"], lines[0]["at"]) == ("quarantined", "script_raised", iso(0.0))


def test_a_skipped_file_that_could_not_be_moved_is_where_it_was() -> None:
    refusals = (
        Refusal("l", RefusalReason.SYMLINK, "it is a symlink", 3),
        Refusal("m", RefusalReason.EMPTY, "empty", 0, moved=False),
    )
    moved, stuck = skip_errors(ListSkipped(skip_id="s1", refusals=refusals), deployment="digits", at=0.0)
    assert moved["where"] == ".scorewatch/skipped/s1/l"
    assert stuck["where"] == "m"
    assert {*moved} == {"skip_id", *_ERROR_KEYS}


def test_files_match_by_path_size_and_mtime_and_not_by_ctime(story: Any) -> None:
    batch = story.batch()
    manifest = story.manifest(story.stage())

    def with_first(**change: Any) -> Any:
        return dataclasses.replace(batch, files=(dataclasses.replace(batch.files[0], **change), batch.files[1]))

    assert files_match(manifest, batch)
    assert files_match(manifest, dataclasses.replace(batch, files=batch.files[::-1]))
    assert files_match(manifest, with_first(ctime_ns=9, inode=9))
    assert not files_match(manifest, with_first(size=9))
    assert not files_match(manifest, with_first(mtime_ns=9))
    assert not files_match(manifest, with_first(relpath="other"))
    assert not files_match(manifest, dataclasses.replace(batch, files=batch.files[:1]))
    assert not files_match(manifest, dataclasses.replace(batch, files=(*batch.files, batch.files[0])))


@pytest.mark.parametrize("garbage", [{}, {"files": 7}, {"files": [7]}, {"files": [{"path": "a"}]}])
def test_garbage_matches_nothing_and_is_no_receipt(story: Any, garbage: dict[str, Any]) -> None:
    assert not files_match(garbage, dataclasses.replace(story.batch(), files=()))
    with pytest.raises(ValueError, match="no manifest"):
        receipt_from(garbage)


def test_the_room_of_a_real_disk_can_be_judged(story: Any) -> None:
    found = room(story.root)
    assert 0 < found.free_bytes <= found.total_bytes
    assert isinstance(judge(found, was_low=False), Fine)
