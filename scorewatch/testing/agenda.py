"""What will happen, and when: the only source of time's passing in a simulated world."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorewatch.testing.clock import FakeClock


class Agenda:
    """Calls by time."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = count()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call it so many seconds from now."""
        heapq.heappush(self._entries, (self._clock.mono + seconds, next(self._serial), call))

    def next(self) -> float | None:
        """When the next one is due."""
        return self._entries[0][0] if self._entries else None

    def run_due(self) -> bool:
        """Make the calls that are due; whether there were any."""
        due = False
        while self._entries and self._entries[0][0] <= self._clock.mono:
            _, _, call = heapq.heappop(self._entries)
            call()
            due = True
        return due
