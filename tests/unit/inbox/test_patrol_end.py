"""The inbox's thread never ends in silence: without it no file would be found any more."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

from scorewatch.inbox.hands import PatrolRules
from scorewatch.inbox.patrol import Patrol
from scorewatch.model.events import FolderFine, FolderTroubled

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from scorewatch.inbox.claim import RenameClaims

PATIENCE_S = 10.0


def test_a_bug_in_the_inbox_s_thread_is_told(claims: RenameClaims, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> None:
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr(claims, "parked", bug)
    crashed: queue.Queue[Exception] = queue.Queue()
    patrol = Patrol(PatrolRules(), claims, lambda _: None, crashed=crashed.put)
    patrol.start()
    assert isinstance(crashed.get(timeout=PATIENCE_S), RecursionError)
    assert patrol.join(PATIENCE_S)


def test_an_inbox_that_goes_away_again_while_it_is_taken_up_is_waited_for(
    claims: RenameClaims, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([OSError(5, "Input/output error")])

    def came_back() -> None:
        for error in failures:
            raise error

    monkeypatch.setattr(claims, "came_back", came_back)
    letters: queue.Queue[object] = queue.Queue()
    crashed: queue.Queue[Exception] = queue.Queue()
    patrol = Patrol(PatrolRules(), claims, letters.put, crashed=crashed.put)
    inbox.rename(inbox.with_name("away"))
    patrol.start()
    while not isinstance(letters.get(timeout=PATIENCE_S), FolderTroubled):
        pass
    inbox.with_name("away").rename(inbox)
    fine = 0
    while fine < 2:  # once before it failed, and once more after that
        fine += isinstance(letters.get(timeout=PATIENCE_S), FolderFine)
    patrol.stop()
    assert patrol.join(PATIENCE_S)
    assert crashed.empty()
