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
        self.tickets: dict[int, Claim] = {}  #: claims under way
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
        claim = Claim(ticket=self._serial, files=files, because=because)
        self.tickets[self._serial] = claim
        draft.act(claim)
        return self._serial

    def claimed(self, event: BatchClaimed) -> SealReason | None:
        """The claim of a ticket is over; why it was sealed, or None where the ticket is unknown."""
        self.withdrawn += event.vanished
        self.arrived -= event.busy  # they arrive again once they are whole
        claim = self.tickets.pop(event.ticket, None)
        return claim.because if claim else None

    def failed(self, ticket: int) -> None:
        """The claim of a ticket failed: its files arrive again."""
        claim = self.tickets.pop(ticket, None)
        self.arrived -= len(claim.files) if claim else 0
