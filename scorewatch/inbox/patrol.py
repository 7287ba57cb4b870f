"""The inbox's thread: it looks, offers what is whole, and carries out claims.

The only one that reads the inbox's folders, so a hung mount stops it and nothing else. What it may offer ahead is
bounded; the directory is the queue.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from scorewatch.core.readiness import Marker, NameRules, Quiet
from scorewatch.inbox.examine import Examiner
from scorewatch.inbox.moves import split
from scorewatch.inbox.sweep import Sweeper
from scorewatch.inbox.watcher import Bell, Watcher
from scorewatch.model.events import (
    BatchClaimed,
    ClaimFailed,
    FilesRefused,
    FilesSettled,
    FolderFine,
    FolderTroubled,
    Role,
    SweepEnded,
)
from scorewatch.model.files import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from scorewatch.inbox.layout import InboxRoot
    from scorewatch.inbox.probe import Probed
    from scorewatch.inbox.sweep import Piece
    from scorewatch.model.decisions import Claim
    from scorewatch.model.events import Event
    from scorewatch.model.files import Refusal

_logger = logging.getLogger(__name__)

HEALTH_S = 1.0  #: the inbox itself is looked at so often, whatever rings
POLL_S = 2.0  #: where no bell rings, everything is looked at so often
_FLOOD_NAP_S = 0.02  # between two passes while the bell is muted
_PAUSE_AFTER_FAILURE_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PatrolRules:
    """What the inbox's thread is told about what the user wants."""

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    recursive: bool = True
    ready_when: Literal["quiet", "marker"] = "quiet"
    marker_suffix: str = ".done"
    settle_s: float = 0.0
    incomplete_s: float = 3600.0
    rescan_s: float = 30.0
    max_file_bytes: int | None = None  #: larger files are skipped
    sizes: bool = False  #: batches are sealed by bytes too, so every file is looked at before it is offered
    flood: int = 80  #: more candidates than this in one pass are offered without a look: the claim looks
    offer_limit: int = 4096  #: names offered and not yet resolved by a claim


class Hands(Protocol):
    """What the patrol needs of the claims; `RenameClaims` and `LedgerClaims` are such."""

    root: InboxRoot
    leases: bool
    moves_files: bool

    def claim(self, files: Sequence[Observation]) -> tuple[str, tuple[Observation, ...], list[str], list[str]]:
        """See `ports.Claims`."""
        ...

    def probe(self, folder_fd: int, relpath: str) -> Probed:
        """Look at one name."""
        ...

    def taken(self, seen: Observation) -> bool:
        """Whether a file was claimed before, though it is there still."""
        ...

    def parked(self) -> tuple[str, ...]:
        """Files to be claimed that no sweep finds."""
        ...

    def skip(self, refusals: Sequence[Refusal]) -> tuple[str, tuple[Refusal, ...]]:
        """Move refused names aside; those that are told for the first time."""
        ...

    def came_back(self) -> None:
        """The inbox was away."""
        ...


class Patrol:
    """Sweeps, offers and claims, in a thread of its own.

    `claim`, `ring`, `pause`, `resume` and `stop` may be called from any thread; `post` is called from this one.

    Args:
        rules: what the user wants.
        hands: the claims.
        post: takes events; must not block for long.
        clock: monotonic seconds.
        notice: told once what a human should know (that the inbox is polled, and why).
    """

    def __init__(
        self,
        rules: PatrolRules,
        hands: Hands,
        post: Callable[[Event], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        notice: Callable[[str], None] = _logger.warning,
    ) -> None:
        self._rules = rules
        self._hands = hands
        self._post = post
        self._clock = clock
        self._notice = notice
        self.bell = Bell()
        remote = hands.root.remote
        self.watcher = Watcher(self.bell, reason=f"the inbox lies on {remote}" if remote else "")
        readiness: Marker | Quiet = Quiet(settle_s=rules.settle_s, incomplete_s=rules.incomplete_s)
        if rules.ready_when == "marker":
            readiness = Marker(suffix=rules.marker_suffix, incomplete_s=rules.incomplete_s)
        self._examiner = Examiner(hands, readiness, clock=clock, max_file_bytes=rules.max_file_bytes)
        self._sweeper = Sweeper(
            hands.root.fd,
            NameRules(rules.include, rules.exclude),
            watch=self.watcher.watch,
            busy=self._examiner.settling.any_in,
            recursive=rules.recursive,
        )
        # A flood is offered blind only where the claim's own look is all that there is to know.
        self._always_look = rules.ready_when == "marker" or rules.settle_s > 0 or rules.sizes or not hands.leases
        self._always_look |= not hands.moves_files or rules.max_file_bytes is not None
        self._orders: deque[Claim] = deque()
        self._offered: set[str] = set()
        self._dirty: set[str] = set()
        self._pass: Iterator[Piece] | None = None
        self._pass_is_full = False
        self._candidates = 0
        self._pass_offered = 0
        self._full_due = clock()
        self._health_due = clock()
        self._not_before = clock()
        self._trouble = ""
        self._told_reason = ""
        self._paused = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="inbox", daemon=True)
        self.last_turn = clock()  #: monotonic; an old one says that the inbox's file system hangs

    # ------------------------------------------------------------ called by others
    def start(self) -> None:
        """Start the thread: watch first, then sweep everything."""
        self._thread.start()

    def claim(self, order: Claim) -> None:
        """Carry out a claim; BatchClaimed or ClaimFailed is posted."""
        self._orders.append(order)
        self.bell.wake()

    def ring(self) -> None:
        """Look at everything now; SweepEnded follows."""
        self.bell.ring()

    def pause(self) -> None:
        """Offer nothing more until `resume`; claims are still carried out."""
        self._paused = True

    def resume(self) -> None:
        """Go on, with a look at everything."""
        self._paused = False
        self.bell.ring()

    def stop(self) -> None:
        """End after the claim that is being made, if any."""
        self._stopped = True
        self.bell.wake()

    def join(self, timeout: float) -> bool:
        """Wait for the thread's end; False: it hangs, on a file system that doesn't answer."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    # ------------------------------------------------------------ the thread
    def _run(self) -> None:
        self.watcher.start()
        try:
            while not self._stopped:
                self._turn()
                nap = self._nap()
                if nap > 0 and not self._orders:
                    self.bell.wait(nap)
        finally:
            self._end_pass()
            self.watcher.stop()

    def _turn(self) -> None:
        now = self.last_turn = self._clock()
        self._hear(*self.bell.answer())
        if not self._healthy(now):
            self._refuse_orders(self._trouble)
            return
        self._carry_out()
        if self._paused or now < self._not_before:
            return
        try:
            self._offer(self._examiner.due(self._room))
            self._advance(now)
        except OSError as error:
            self._end_pass()
            self._be_troubled(f"the inbox can't be read: {error.strerror or error}", now)

    @property
    def _room(self) -> int:
        return self._rules.offer_limit - len(self._offered)

    def _nap(self) -> float:
        now = self._clock()
        until = [self._health_due, max(self._full_due, self._not_before)]
        if self._trouble:
            return max(0.0, self._health_due - now)
        if not self._paused and self._room > 0:
            if self._pass is not None or self._dirty:
                until.append(self._not_before)
            due = self._examiner.settling.next_due()
            if due is not None:
                until.append(max(due, self._not_before))
        elif self._room <= 0 or self._paused:
            until = [self._health_due]
        return max(0.0, min(until) - now)

    def _hear(self, everything: bool, folders: dict[str, set[str]]) -> None:  # noqa: FBT001 - as the bell says it
        if everything:
            self._full_due = self._clock()
        self._dirty.update(folders)
        self._examiner.hint(folders)

    # ------------------------------------------------------------ health
    def _healthy(self, now: float) -> bool:
        root = self._hands.root
        trouble = root.trouble()
        if not trouble and self._trouble:
            # It must show that it can be read again, and no more than once a second.
            trouble = self._trouble if now < self._health_due else root.unreadable()
        if trouble:
            self._be_troubled(trouble, now)
            return False
        if now >= self._health_due:
            self._health_due = now + HEALTH_S
            if self.watcher.revive():
                self._look_at_all_again()
            self._tell_whether_polling()
        if self._trouble:
            self._trouble = ""
            self._hands.came_back()
            self.watcher.forget()
            self._look_at_all_again()
            self._post(FolderFine(Role.INBOX))
        return True

    def _be_troubled(self, message: str, now: float) -> None:
        self._end_pass()
        if message != self._trouble or now >= self._health_due:
            self._trouble = message
            self._health_due = now + HEALTH_S
            self._post(FolderTroubled(role=Role.INBOX, message=message))

    def _look_at_all_again(self) -> None:
        self._end_pass()
        self._sweeper.forget()
        self._full_due = self._clock()

    def _tell_whether_polling(self) -> None:
        reason = self.watcher.reason
        if reason and reason != self._told_reason:
            self._notice(f"the inbox is looked through every {self._rescan_s:g} seconds: {reason}")
        self._told_reason = reason

    @property
    def _rescan_s(self) -> float:
        return self._rules.rescan_s if self.watcher.watching else min(self._rules.rescan_s, POLL_S)

    # ------------------------------------------------------------ claims
    def _carry_out(self) -> None:
        while self._orders and not self._stopped:
            order = self._orders.popleft()
            try:
                batch_id, got, busy, vanished = self._hands.claim(order.files)
            except OSError as error:
                self._failed(order, f"{error.strerror or error}")
                continue
            self._offered.difference_update([file.relpath for file in order.files])
            self._post(
                BatchClaimed(ticket=order.ticket, batch_id=batch_id, files=got, busy=len(busy), vanished=len(vanished))
            )
            self._examiner.again(busy)
            self.last_turn = self._clock()

    def _failed(self, order: Claim, message: str) -> None:
        for file in order.files:
            self._offered.discard(file.relpath)
        self._sweeper.forget()
        self._full_due = self._not_before = self._clock() + _PAUSE_AFTER_FAILURE_S
        self._post(ClaimFailed(ticket=order.ticket, message=message))

    def _refuse_orders(self, message: str) -> None:
        while self._orders:
            self._failed(self._orders.popleft(), message)

    # ------------------------------------------------------------ sweeping
    def _advance(self, now: float) -> None:
        if self._room <= 0:
            return
        if self._pass is None and not self._begin_pass(now):
            return
        piece = next(self._pass, None) if self._pass is not None else None
        if piece is None:
            self._pass_ended()
            return
        offered, settling = self._offered, self._examiner.settling
        fresh = [relpath for relpath in piece.files if relpath not in offered and relpath not in settling]
        self._candidates += len(fresh)
        flood = self._candidates > self._rules.flood
        if flood:
            self.watcher.mute()
        if flood and not self._always_look:
            self._offer([Observation(relpath) for relpath in fresh])
        else:
            self._offer(self._examiner.look_at(piece.folder, fresh))
        self._refuse(piece.refused)

    def _begin_pass(self, now: float) -> bool:
        if now >= self._full_due:
            self._pass = self._sweeper.sweep()
            self._pass_is_full = True
            self._full_due = now + self._rescan_s
            self._dirty.clear()
            self._examiner.again(relpath for relpath in self._hands.parked() if relpath not in self._offered)
        elif self._dirty:
            self._pass = self._sweeper.sweep(self._dirty, everything=False)
            self._pass_is_full = False
            self._dirty = set()
        else:
            return False
        self._candidates = self._pass_offered = 0
        return True

    def _pass_ended(self) -> None:
        full, self._pass = self._pass_is_full, None
        for folder in self._examiner.unfinished:
            self._sweeper.forget(folder)
        self._examiner.unfinished.clear()
        settling = self._examiner.settling
        if self.watcher.muted:
            if self._candidates <= self._rules.flood:
                self.watcher.unmute()
                self._look_at_all_again()
            else:
                self._full_due = min(self._full_due, self._clock() + _FLOOD_NAP_S)
        if full:
            self._post(
                SweepEnded(
                    offered=self._pass_offered,
                    settling=len(settling),
                    unsettled=settling.few(),
                    waiting=len(self._offered),
                )
            )

    def _end_pass(self) -> None:
        if self._pass is not None:
            self._pass.close()  # type: ignore[attr-defined]  # a generator: its open folder is closed with it
            self._pass = None
            self._full_due = self._clock()

    def _offer(self, files: Sequence[Observation]) -> None:
        self._refuse(self._examiner.take_refused())
        files = [file for file in files if file.relpath not in self._offered]
        if files:
            self._offered.update(file.relpath for file in files)
            self._pass_offered += len(files)
            self._post(FilesSettled(tuple(files)))

    def _refuse(self, refusals: Sequence[Refusal]) -> None:
        if refusals:
            skip_id, told = self._hands.skip(refusals)
            if told:
                self._post(FilesRefused(skip_id=skip_id, refusals=told))
            # What stays where it is may be mended without a trace in its folder (chmod): that is read again.
            self._examiner.unfinished.update(split(refusal.relpath)[0] for refusal in refusals)
