"""When to seal a mini-batch: by files, by bytes, or by waiting long enough.

Holds no clock and opens no file; the loop tells it what time it is.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from scorewatch.model.batches import SealReason

if TYPE_CHECKING:
    from scorewatch.model.files import Observation
    from scorewatch.model.policy import BatchLimits


class Accumulator:
    """Files that are ready and wait for companions.

    Limit, data and timer are three things: the first file always fits, a file that would overflow the bytes
    starts the next batch, and the timer runs from the oldest file's arrival; later files never extend it.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self.limits = limits
        self._files: deque[tuple[Observation, float]] = deque()

    def __len__(self) -> int:
        return len(self._files)

    def add(self, files: tuple[Observation, ...], now: float) -> None:
        """Take files in, in the order in which they came."""
        self._files.extend((file, now) for file in files)

    def due(self) -> float | None:
        """When the oldest file has waited long enough, on the clock of `add`; None: nothing waits."""
        return self._files[0][1] + self.limits.max_wait_s if self._files else None

    def take(self, now: float, *, flush: bool = False) -> tuple[tuple[Observation, ...], SealReason] | None:
        """The files of the next batch and why it is sealed, or None where it should still wait."""
        count, because = self._full()
        if because is None:
            due = self.due()
            if due is None:
                return None
            if now >= due:
                because = SealReason.WAIT
            elif flush:
                because = SealReason.FLUSH
            else:
                return None
        return tuple(self._files.popleft()[0] for _ in range(count)), because

    def _full(self) -> tuple[int, SealReason | None]:
        """How many of the oldest files go together, and whether they fill a batch."""
        room = self.limits.max_bytes
        total = 0
        for count, (file, _) in enumerate(self._files):
            if count >= self.limits.max_files:
                return count, SealReason.FILES
            total += max(file.size, 0)
            if room is not None and total > room and count > 0:
                return count, SealReason.BYTES
            if room is not None and total >= room:
                return count + 1, SealReason.BYTES
        count = len(self._files)
        return count, SealReason.FILES if count >= self.limits.max_files else None
