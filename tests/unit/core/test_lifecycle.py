from __future__ import annotations

from itertools import product

import pytest

from scorewatch.core.lifecycle import MOVES, NOTHING_OWED, IllegalMoveError, move
from scorewatch.model.batches import BatchState as S


@pytest.mark.parametrize(("was", "now"), list(product(S, S)))
def test_every_state_and_every_move(was: S, now: S) -> None:
    if now in MOVES[was]:
        assert move("one", was, now) is now
    else:
        with pytest.raises(IllegalMoveError, match="one"):
            move("one", was, now)


def test_every_state_is_in_the_table_and_every_life_can_end() -> None:
    assert set(MOVES) == set(S)
    ends = set(NOTHING_OWED)
    while more := {was for was, nows in MOVES.items() if was not in ends and nows & ends}:
        ends |= more
    assert ends == set(S)


def test_what_is_over_is_over_and_what_is_committed_is_never_scored_again() -> None:
    assert all(not MOVES[state] for state in NOTHING_OWED)
    for state in (S.COMMITTED, S.QUARANTINED, S.SPLIT):
        assert MOVES[state] == {S.RELEASED}
