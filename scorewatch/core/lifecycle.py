"""The legal moves of a batch: one table, from which the documentation's diagram is made too."""

from __future__ import annotations

from scorewatch.model.batches import BatchState as S

MOVES: dict[S, frozenset[S]] = {
    S.CLAIMED: frozenset({S.SEALED, S.COMMITTED, S.VOID}),
    S.SEALED: frozenset({S.RUNNING, S.SPLIT, S.QUARANTINED, S.COMMITTED, S.VOID}),
    S.RUNNING: frozenset({S.SCORED, S.SEALED, S.SPLIT, S.QUARANTINED, S.COMMITTED, S.VOID}),
    S.SCORED: frozenset({S.COMMITTED, S.SEALED, S.SPLIT, S.QUARANTINED, S.VOID}),
    S.COMMITTED: frozenset({S.RELEASED}),
    S.SPLIT: frozenset({S.RELEASED}),
    S.QUARANTINED: frozenset({S.RELEASED}),
    S.RELEASED: frozenset(),
    S.VOID: frozenset(),
}

NOTHING_OWED = frozenset({S.RELEASED, S.VOID})


class IllegalMoveError(Exception):
    """A batch was told to make a move that the table does not have: a bug, never a user's doing."""


def move(batch_id: str, was: S, now: S) -> S:
    """The new state, if the table allows the move."""
    if now not in MOVES[was]:
        raise IllegalMoveError(f"batch {batch_id} can't go from {was} to {now}")
    return now
