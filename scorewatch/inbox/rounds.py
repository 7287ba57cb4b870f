"""Which round is made next: through everything, or through the folders that rang; one at a time, piece by piece."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from scorewatch.inbox.sweep import Piece, Sweeper


@dataclass(frozen=True, slots=True)
class RoundEnded:
    """A round came to its end."""

    full: bool  #: through everything
    candidates: int  #: names that were new in it


class Rounds:
    """The sweeps, one after the other.

    Args:
        sweeper: reads the folders.
        clock: monotonic seconds.
    """

    def __init__(self, sweeper: Sweeper, clock: Callable[[], float]) -> None:
        self._sweeper = sweeper
        self._clock = clock
        self.dirty: set[str] = set()  #: folders that rang
        self._round: Generator[Piece, None, None] | None = None
        self._full = False
        self._candidates = 0
        self._full_due = clock()

    def ask(self, at: float) -> None:
        """Make a round through everything then, if not earlier."""
        self._full_due = min(self._full_due, at)

    def start_over(self) -> None:
        """Forget what need not be read again, and make a round through everything."""
        self.cut_off()
        self._sweeper.forget()
        self.ask(self._clock())

    def forget(self, folders: Iterable[str]) -> None:
        """Read these folders again in the next round through everything."""
        for folder in folders:
            self._sweeper.forget(folder)

    def cut_off(self) -> None:
        """End a round early; everything is looked at instead, later."""
        if self._round is not None:
            self._round.close()
            self._round = None
            self.ask(self._clock())

    def due(self) -> float:
        """When there is something to pull."""
        return 0.0 if self._round is not None or self.dirty else self._full_due

    def count(self, fresh: int) -> int:
        """Count new names of this round; all of them so far."""
        self._candidates += fresh
        return self._candidates

    def full_round_begins(self, now: float) -> bool:
        """Whether the next `pull` begins a round through everything."""
        return self._round is None and now >= self._full_due

    def pull(self, now: float, rescan_s: float) -> Piece | RoundEnded | None:
        """The next piece, or the round's end; None: there is nothing to look at.

        Raises:
            OSError: the inbox itself can't be read.
        """
        if self._round is None:
            self._full = self.full_round_begins(now)
            if self._full:
                self._full_due = now + rescan_s
                self._round = self._sweeper.sweep()
            elif self.dirty:
                self._round = self._sweeper.sweep(self.dirty, everything=False)
            else:
                return None
            self.dirty = set()
            self._candidates = 0
        piece = next(self._round, None)
        if piece is None:
            self._round = None
            return RoundEnded(self._full, self._candidates)
        return piece
