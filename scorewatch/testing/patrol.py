"""The inbox's thread in a simulated world: looks, offers, claims."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from scorewatch.model import events as e
from scorewatch.testing.disk import Drop

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorewatch.model.decisions import Claim
    from scorewatch.model.events import Event
    from scorewatch.testing.agenda import Agenda
    from scorewatch.testing.claims import FakeClaims
    from scorewatch.testing.disk import Disk

RESCAN_S = 0.5


class FakePatrol:
    """Implements `daemon.ports.Inbox`.

    Looks when something changed, and every half second for a batch job. It never looks for nothing: whoever waits
    for a sweep to be woken has forgotten a deadline.
    """

    def __init__(
        self,
        disk: Disk,
        claims: FakeClaims,
        agenda: Agenda,
        *,
        is_busy: Callable[[str], bool],
        once: bool,
        post: Callable[[Event], None],
    ) -> None:
        self._disk = disk
        self._claims = claims
        self._agenda = agenda
        self._is_busy = is_busy
        self._once = once
        self._post = post
        self._orders: deque[Claim] = deque()
        self._offered: set[tuple[str, int]] = set()
        self.look_now = True
        self.closed = False

    def claim(self, action: Claim) -> None:
        """Take an order; its answer comes as a letter."""
        self._orders.append(action)

    def has_work(self) -> bool:
        """Whether there is something to do now."""
        return bool(self._orders) or self.look_now

    def turn(self) -> None:
        """One piece of work: a claim comes before a look."""
        if self._orders:
            self._carry_out(self._orders.popleft())
        elif self.look_now:
            self._look()

    def ring(self) -> None:
        """Something changed in the inbox."""
        self.look_now = not self.closed

    # ------------------------------------------------------------ its work
    def _carry_out(self, order: Claim) -> None:
        names = {file.relpath for file in order.files}
        try:
            batch_id, got, busy, vanished = self._claims.claim(order.files)
        except OSError as error:
            self._forget(names)
            self._post(e.ClaimFailed(ticket=order.ticket, message=str(error)))
            return
        self._forget(names)
        self._post(
            e.BatchClaimed(ticket=order.ticket, batch_id=batch_id, files=got, busy=len(busy), vanished=len(vanished))
        )

    def _forget(self, names: set[str]) -> None:
        """Whatever still lies there under these names is offered again."""
        self._offered = {(name, uid) for name, uid in self._offered if name not in names}
        if any(f"inbox/{name}" in self._disk.names for name in names):
            self._agenda.after(0.1, self.ring)

    def _look(self) -> None:
        self.look_now = False
        here = {name: drop for name, drop in self._disk.inside("inbox") if isinstance(drop, Drop)}
        self._offered &= {(name, drop.uid) for name, drop in here.items()}
        settling = [name for name in here if self._is_busy(name)]
        new = [(n, d) for n, d in here.items() if n not in settling and (n, d.uid) not in self._offered]
        self._offered |= {(name, drop.uid) for name, drop in new}
        if new:
            self._post(e.FilesSettled(tuple(drop.seen(name) for name, drop in new)))
        self._post(
            e.SweepEnded(
                offered=len(new), settling=len(settling), unsettled=tuple(settling), waiting=len(self._offered)
            )
        )
        if settling or self._once:
            self._agenda.after(RESCAN_S, self.ring)
