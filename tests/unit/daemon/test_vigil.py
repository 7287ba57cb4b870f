"""Stories of an inbox that does not answer."""

from __future__ import annotations

from typing import Any

from scorewatch.core.draft import Instant
from scorewatch.daemon.vigil import PATIENCE_S, Vigil
from scorewatch.model.events import FolderFine, FolderTroubled


def test_a_thread_that_hangs_is_told_once_and_once_when_it_turns_again() -> None:
    told: list[Any] = []
    turns = [100.0]
    vigil = Vigil(lambda: turns[-1], told.append)
    vigil.look(Instant(100.0 + PATIENCE_S, 0.0))
    assert told == []
    vigil.look(Instant(101.0 + PATIENCE_S, 0.0))
    vigil.look(Instant(102.0 + PATIENCE_S, 0.0))
    turns.append(103.0 + PATIENCE_S)
    vigil.look(Instant(103.0 + PATIENCE_S, 0.0))
    vigil.look(Instant(104.0 + PATIENCE_S, 0.0))
    assert [type(one) for one in told] == [FolderTroubled, FolderFine]
    assert "has not answered" in told[0].message
