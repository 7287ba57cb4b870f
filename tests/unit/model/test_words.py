from __future__ import annotations

from dataclasses import replace

import pytest

from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.model.outcomes import BLAMES_NO_FILE, FailureKind
from scorewatch.testing.makers import file


def test_content_is_the_same_where_size_times_and_inode_are() -> None:
    seen = file("a")
    assert seen.same_content(replace(seen, relpath="moved", dev=9, quiet=False))
    for changed in ("size", "mtime_ns", "ctime_ns", "inode"):
        assert not seen.same_content(replace(seen, **{changed: 77}))


def test_the_files_pay_for_five_kinds_of_failure_and_for_no_other() -> None:
    assert set(FailureKind) - BLAMES_NO_FILE == {
        FailureKind.SCRIPT_RAISED,
        FailureKind.WORKER_DIED,
        FailureKind.TIMED_OUT,
        FailureKind.BAD_RESULT,
        FailureKind.INPUT_CHANGED,
    }


@pytest.mark.parametrize(
    ("where", "hint", "said"),
    [
        ("", "", "it broke"),
        ("/in", "", "/in: it broke"),
        ("", "mend it", "it broke; mend it"),
        ("/in", "mend it", "/in: it broke; mend it"),
    ],
)
def test_an_error_is_a_sentence(where: str, hint: str, said: str) -> None:
    error = ScorewatchError("it broke", where=where, hint=hint)
    assert str(error) == said
    assert error.exit_code is ExitCode.USAGE
