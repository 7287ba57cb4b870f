"""The inbox's thread: it looks, offers what is whole, and carries out claims.

The only one that reads the inbox's folders, so a hung mount stops it and nothing else. What it may offer ahead is
bounded; the directory is the queue.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from scorewatch.core.readiness import NameRules
from scorewatch.inbox.condition import Condition, Health
from scorewatch.inbox.examine import Examiner
from scorewatch.inbox.moves import split
from scorewatch.inbox.rounds import RoundEnded, Rounds
from scorewatch.inbox.sweep import Sweeper
from scorewatch.inbox.watcher import Bell, Watcher
from scorewatch.model.events import BatchClaimed, ClaimFailed, FilesRefused, FilesSettled, SweepEnded
from scorewatch.model.files import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scorewatch.inbox.hands import Hands, PatrolRules
    from scorewatch.inbox.sweep import Piece
    from scorewatch.model.decisions import Claim
    from scorewatch.model.events import Event
    from scorewatch.model.files import Refusal

_logger = logging.getLogger(__name__)

POLL_S = 2.0  #: where no bell rings, everything is looked at so often
_FLOOD_NAP_S = 0.02  # between two passes while the bell is muted
_PAUSE_AFTER_FAILURE_S = 1.0


class Patrol:
    """Sweeps, offers and claims, in a thread of its own.

    `claim`, `ring` and `stop` may be called from any thread; `post` is called from this one.

    Args:
        rules: what the user wants.
        hands: the claims.
        post: takes events; must not block for long.
        clock: monotonic seconds.
        notice: told once what a human should know (that the inbox is polled, and why).
        crashed: told what ended the thread, if anything did: without it no file would ever be found again.
    """

    def __init__(
        self,
        rules: PatrolRules,
        hands: Hands,
        post: Callable[[Event], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        notice: Callable[[str], None] = _logger.warning,
        crashed: Callable[[Exception], None] = _logger.error,
    ) -> None:
        self._rules = rules
        self._hands = hands
        self._post = post
        self._clock = clock
        self._notice = notice
        self._crashed = crashed
        self.bell = Bell()
        remote = hands.root.remote
        self.watcher = Watcher(self.bell, reason=f"the inbox lies on {remote}" if remote else "")
        self._examiner = Examiner(hands, rules.readiness(), clock=clock, max_file_bytes=rules.max_file_bytes)
        sweeper = Sweeper(
            hands.root.fd,
            NameRules(rules.include, rules.exclude),
            watch=self.watcher.watch,
            busy=self._must_read,
            recursive=rules.recursive,
        )
        self._rounds = Rounds(sweeper, clock)
        # A flood is offered blind only where the claim's own look is all that there is to know.
        self._always_look = rules.ready_when == "marker" or rules.settle_s > 0 or rules.sizes or not hands.leases
        self._always_look |= not hands.moves_files or rules.max_file_bytes is not None
        self._orders: deque[Claim] = deque()
        self._offered: set[str] = set()
        self._round_offered = 0
        self._not_before = clock()
        self._condition = Condition(hands.root, post)
        self._told_reason = ""
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

    def stop(self) -> None:
        """End after the claim that is being made, if any."""
        self._stopped = True
        self.bell.wake()

    def join(self, timeout: float) -> bool:
        """Wait for the thread's end; False: it hangs, on a file system that doesn't answer."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    # ------------------------------------------------------------ the thread
    def _run(self) -> None:
        self.watcher.start()
        try:
            while not self._stopped:
                self._turn()
                nap = self._nap()
                if nap > 0 and not self._orders:
                    self.bell.wait(nap)
        except Exception as error:  # noqa: BLE001 - a bug, or what nobody thought of: never in silence
            self._crashed(error)
        finally:
            self._rounds.cut_off()
            self.watcher.stop()

    def _turn(self) -> None:
        now = self.last_turn = self._clock()
        self._hear(*self.bell.answer())
        if not self._is_fit(now):
            while self._orders:
                self._failed(self._orders.popleft(), self._condition.message)
            return
        self._carry_out()
        if now < self._not_before:
            return
        try:
            self._offer(self._examiner.due(self._room))
            self._advance(now)
        except OSError as error:
            self._rounds.cut_off()
            self._condition.report(f"the inbox can't be read: {error.strerror or error}", now)

    @property
    def _room(self) -> int:
        return self._rules.offer_limit - len(self._offered)

    def _must_read(self, folder: str) -> bool:
        """Whether a folder is read though its mtime is the same: a file rewritten in place does not change it."""
        silent = not self._hands.moves_files and not self.watcher.watching
        return silent or self._examiner.settling.any_in(folder)

    def _nap(self) -> float:
        """Seconds until there is something to do that nobody rings for."""
        wake = self._condition.due
        if not self._condition.message and self._room > 0:
            due = [self._rounds.due(), self._examiner.due_at()]
            wake = min(wake, max(self._not_before, min(due)))
        return max(0.0, wake - self._clock())

    def _hear(self, everything: bool, folders: dict[str, set[str]]) -> None:  # noqa: FBT001 - as the bell says it
        if everything:
            self._rounds.ask(self._clock())
        self._rounds.dirty.update(folders)
        self._examiner.hint(folders)

    # ------------------------------------------------------------ health
    def _is_fit(self, now: float) -> bool:
        try:
            return self._healthy(now)
        except OSError as error:  # it went away again while it was taken up
            self._condition.report(f"the inbox can't be read: {error.strerror or error}", now)
            return False

    def _healthy(self, now: float) -> bool:
        look = now >= self._condition.due
        health = self._condition.check(now)
        if health is Health.TROUBLED:
            self._rounds.cut_off()
            return False
        if health is Health.BACK:
            self._hands.came_back()
            self.watcher.forget()
            self._rounds.start_over()
        if look:
            if self.watcher.revive():
                self._rounds.start_over()
            self._tell_whether_polling()
        return True

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
        self._not_before = self._clock() + _PAUSE_AFTER_FAILURE_S
        self._rounds.start_over()
        self._post(ClaimFailed(ticket=order.ticket, message=message))

    # ------------------------------------------------------------ sweeping
    def _advance(self, now: float) -> None:
        if self._room <= 0:
            return
        if self._rounds.full_round_begins(now):
            self._examiner.again(relpath for relpath in self._hands.parked() if relpath not in self._offered)
        found = self._rounds.pull(now, self._rescan_s)
        if isinstance(found, RoundEnded):
            self._round_ended(found)
        elif found is not None:
            self._take_in(found)

    def _take_in(self, piece: Piece) -> None:
        offered, settling = self._offered, self._examiner.settling
        fresh = [relpath for relpath in piece.files if relpath not in offered and relpath not in settling]
        flood = self._rounds.count(len(fresh)) > self._rules.flood
        if flood:
            self.watcher.mute()
        if flood and not self._always_look:
            self._offer([Observation(relpath) for relpath in fresh])
        else:
            self._offer(self._examiner.look_at(piece.folder, fresh))
        self._refuse(piece.refused)

    def _round_ended(self, ended: RoundEnded) -> None:
        self._rounds.forget(self._examiner.unfinished)
        self._examiner.unfinished.clear()
        if self.watcher.muted:
            if ended.candidates <= self._rules.flood:
                self.watcher.unmute()
                self._rounds.start_over()
            else:
                self._rounds.ask(self._clock() + _FLOOD_NAP_S)
        if ended.full:
            self._post(
                SweepEnded(
                    offered=self._round_offered,
                    settling=len(self._examiner.settling),
                    unsettled=self._examiner.settling.few(),
                    waiting=len(self._offered),
                )
            )
        self._round_offered = 0

    def _offer(self, files: Sequence[Observation]) -> None:
        self._refuse(self._examiner.take_refused())
        files = [file for file in files if file.relpath not in self._offered]
        if files:
            self._offered.update(file.relpath for file in files)
            self._round_offered += len(files)
            self._post(FilesSettled(tuple(files)))

    def _refuse(self, refusals: Sequence[Refusal]) -> None:
        if refusals:
            try:
                skip_id, told = self._hands.skip(refusals)
            except OSError as error:  # they stay, and are met again; what is whole must not wait for them
                self._notice(f"{len(refusals)} refused files could not be set aside: {error.strerror or error}")
                told = ()
            if told:
                self._post(FilesRefused(skip_id=skip_id, refusals=told))
            # What stays where it is may be mended without a trace in its folder (chmod): that is read again.
            self._examiner.unfinished.update(split(refusal.relpath)[0] for refusal in refusals)
