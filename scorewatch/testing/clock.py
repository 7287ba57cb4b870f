"""A clock that the test holds: time passes only when it is told to."""

from __future__ import annotations

from scorewatch.core.draft import Instant


class FakeClock:
    """Two clocks in step.

    Args:
        mono: the monotonic one, in seconds.
        wall: seconds since 1970, UTC.
    """

    def __init__(self, mono: float = 1000.0, wall: float = 1_790_000_000.0) -> None:
        self.mono = mono
        self._ahead = wall - mono

    def now(self) -> Instant:
        """The present, on both."""
        return Instant(self.mono, self.time())

    def time(self) -> float:
        """The present in seconds since 1970."""
        return self.mono + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.mono += seconds

    def advance_to(self, mono: float) -> None:
        """Let time pass until then; it never goes back."""
        self.mono = max(self.mono, mono)
