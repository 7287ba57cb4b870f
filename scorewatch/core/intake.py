"""From files that are ready to claims: what is asked of the inbox, and how far ahead of the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorewatch.core.batching import Accumulator
from scorewatch.model.decisions import Claim

if TYPE_CHECKING:
    from scorewatch.core.draft import Draft
    from scorewatch.model.batches import SealReason
    from scorewatch.model.events import BatchClaimed
    from scorewatch.model.files import Observation
    from scorewatch.model.policy import BatchLimits


class Intake:
    """Holds the accumulator and the tickets of claims that are under way."""

    def __init__(self, limits: BatchLimits) -> None:
        self.files = Accumulator(limits)
        self.tickets: dict[int, SealReason] = {}
        self.arrived = 0  #: files, since start
        self.withdrawn = 0  #: files that were gone before they were claimed
        self._serial = 0

    def idle(self) -> bool:
        """Whether no file waits here and no claim is under way."""
        return not self.files and not self.tickets

    def arrive(self, files: tuple[Observation, ...], now: float) -> None:
        """Files settled."""
        self.arrived += len(files)
        self.files.add(files, now)

    def claim_next(self, draft: Draft, now: float, *, flush: bool) -> int | None:
        """Ask for the next batch's claim if one is due; its ticket, or None."""
        taken = self.files.take(now, flush=flush)
        if taken is None:
            return None
        files, because = taken
        self._serial += 1
        self.tickets[self._serial] = because
        draft.act(Claim(ticket=self._serial, files=files, because=because))
        return self._serial

    def claimed(self, event: BatchClaimed) -> SealReason | None:
        """The claim of a ticket is over; why it was sealed, or None where the ticket is unknown."""
        self.withdrawn += event.vanished
        self.arrived -= event.busy  # they arrive again once they are whole
        return self.tickets.pop(event.ticket, None)
