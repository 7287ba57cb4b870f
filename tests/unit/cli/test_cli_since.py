"""`collect --since`: dates, times, and how long ago."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from scorewatch.cli.collect import moment_of
from scorewatch.model.errors import ScorewatchError

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2h", "2026-11-22T10:00:00+00:00"),
        ("3d", "2026-11-19T12:00:00+00:00"),
        ("90 m", "2026-11-22T10:30:00+00:00"),
        ("2026-11-20", "2026-11-20T00:00:00+00:00"),
        ("2026-11-20T01:02Z", "2026-11-20T01:02:00+00:00"),
        ("2026-11-20T01:02+02:00", "2026-11-20T01:02:00+02:00"),
        ("999999w", "0001-01-01T00:00:00+00:00"),
    ],
)
def test_what_is_meant(text: str, meant: str) -> None:
    assert moment_of(text, NOW) == meant


@pytest.mark.parametrize("text", ["yesterday", "2x", "-2h", "2026-13-01", "٢h", "2h ago"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ScorewatchError, match="--since takes") as refused:
        moment_of(text, NOW)
    assert "2h, 3d" in refused.value.hint
