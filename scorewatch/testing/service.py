"""One life of the service in a simulated world: the real scheduler, the real hands, no thread.

Whoever holds it takes the turns; between two steps of the disk or of a claim the others may get some too.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from scorewatch.core.scheduler import Scheduler
from scorewatch.daemon.archive import Archive
from scorewatch.daemon.diskwork import DiskWork
from scorewatch.daemon.effects import Effects
from scorewatch.daemon.mailbox import Broken, Recorded, ReloadRequested
from scorewatch.daemon.publishing import Identity, Publishing
from scorewatch.daemon.remains import read_remains
from scorewatch.ledger.trouble import LedgerRefusedError
from scorewatch.model import events as e
from scorewatch.model.errors import ScorewatchError
from scorewatch.testing.luck import BrokenPromiseError, CrashError
from scorewatch.testing.patrol import FakePatrol
from scorewatch.testing.workers import FakeExecutor

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorewatch.daemon.mailbox import Letter
    from scorewatch.model.decisions import Decision, Exit, RunBatch
    from scorewatch.model.policy import Policy
    from scorewatch.testing.world import World

DEPLOYMENT = "story"
FULL_S = 1.0
LAZY_S = 0.1


class Service:
    """From a start to an end, or to a crash."""

    def __init__(self, world: World, policy: Policy) -> None:
        self.world = world
        self.letters: deque[Letter] = deque()
        self.exit: Exit | None = None
        self.busy: set[str] = set()  #: whose turn is under way
        self.deadline: float | None = None  #: the scheduler's, as it said last
        clean = world.ledger.mark_running()
        epoch = str(world.ledger.begin_epoch())
        world.outbox.clear_all()
        self.executor = FakeExecutor(
            world.agenda,
            world.luck,
            read=lambda order: world.claims.contents(order.batch),
            stage=lambda worker, order, drops: world.outbox.stage(f"{epoch}-{worker}", order, drops),
            watch=self._watch_start,
        )
        identity = Identity(deployment=DEPLOYMENT, epoch=epoch, device_of=lambda _: "cpu")
        publishing = Publishing(world.outbox, world.claims, identity, world.clock.time)
        self.archive = Archive(
            outbox=world.outbox,
            claims=world.claims,
            publishing=publishing,
            post=self.post,
            clock=world.clock.time,
            deployment=DEPLOYMENT,
        )
        self.disk = _FakeDiskThread(
            DiskWork(world.ledger, world.claims, publishing, self.archive, self.post), self.post, world
        )
        self.patrol = FakePatrol(
            world.disk, world.claims, world.agenda, is_busy=world.is_busy, once=policy.once, post=self.post
        )
        self.scheduler = Scheduler(policy, world.ledger.schema())
        self.effects = Effects(self.executor, self.patrol, self.disk, self._leave)
        try:
            self._take_over(clean=clean)
        except CrashError:
            self.executor.close()
            raise

    def _take_over(self, *, clean: bool) -> None:
        world = self.world
        remains = read_remains(world.ledger, world.claims, world.outbox, clean_stop=clean)
        world.outbox.doubt(each.batch_id for each in remains if each.output)
        world.outbox.sync()
        self.archive.begun.update(each.batch_id for each in remains)
        self.handle(e.RemainsFound(remains))
        self.handle(e.ClockTicked())

    # ------------------------------------------------------------ turns
    def turns(self) -> list[Callable[[], None]]:
        """What could happen next."""
        found: list[tuple[str, Callable[[], None]]] = []
        if self.letters:
            found.append(("loop", self._open_letter))
        speakers = len({worker_id for worker_id, _ in self.executor.told})
        found += [("loop", partial(self._hear_worker, number)) for number in range(speakers)]
        if self.deadline is not None and self.deadline <= self.world.clock.mono:
            found.append(("loop", self._tick))
        if self.disk.has_work():
            found.append(("disk", self.disk.turn))
        if self.patrol.has_work():
            found.append(("inbox", self.patrol.turn))
        return [partial(self._take_turn, who, turn) for who, turn in found if who not in self.busy]

    def _hear_worker(self, number: int) -> None:
        self.handle(self.executor.news_of_one(number))

    def _tick(self) -> None:
        self.handle(e.ClockTicked())

    def _take_turn(self, who: str, turn: Callable[[], None]) -> None:
        self.busy.add(who)
        try:
            turn()
        finally:
            self.busy.discard(who)

    def times(self) -> list[float]:
        """When something happens by itself."""
        found = [self.deadline, self.disk.wakes_at, self.world.agenda.next()]
        return [time for time in found if time is not None]

    def handle(self, event: e.Event) -> None:
        """One turn of the loop."""
        world = self.world
        now = world.clock.now()
        decision = self.scheduler.handle(event, now)
        self.deadline = self.scheduler.next_deadline(now)
        if self.deadline is not None and self.deadline <= now.mono:
            raise BrokenPromiseError(f"a deadline in the past after {event}: {self.deadline} at {now.mono}")
        world.tell(event, decision)
        if isinstance(event, e.BatchPublished) and decision.records and self.scheduler.house.breaker.is_open:
            raise BrokenPromiseError("the breaker stays open though a batch was committed")
        self.effects.carry_out(decision)

    def _open_letter(self) -> None:
        letter = self.letters.popleft()
        match letter:
            case Recorded(actions):
                self.effects.start(actions)
            case Broken(error):
                raise BrokenPromiseError(f"the service broke: {error}")
            case ReloadRequested():
                pass
            case _:
                self.handle(letter)

    def post(self, letter: Letter) -> None:
        """Leave a letter for the loop."""
        self.letters.append(letter)

    def _leave(self, action: Exit) -> None:
        self.exit = action

    def _watch_start(self, order: RunBatch) -> None:
        if self.world.outbox.lasts(order.batch.batch_id):
            raise BrokenPromiseError(f"{order.batch.batch_id} is scored again, and its output stands")
        if self.exit is not None or self._is_dropping():
            return  # whoever stops at once may kill it as it starts, and counts no attempt
        found = self.world.ledger.row(order.batch.batch_id)
        told = f"{order.batch.batch_id}, attempt {order.batch.attempt}, dispatch {order.batch.dispatch}"
        if found is None or found[1] != "running":
            raise BrokenPromiseError(f"run() of {told} starts, and the ledger says {found and found[1]}")
        if found[0].attempt < order.batch.attempt or found[0].dispatch != order.batch.dispatch:
            raise BrokenPromiseError(f"run() of {told} starts uncounted: {found[0]}")
        if order.batch.interruptions > self.world.luck.interruptions:
            raise BrokenPromiseError(f"{told} is said to be interrupted more often than anything was")

    def _is_dropping(self) -> bool:
        stop = self.scheduler.house.stop
        return stop is not None and stop.exited

    # ------------------------------------------------------------ the end
    def close(self) -> None:
        """As `daemon.wiring` ends: what was decided is finished, what was not is left to the next start."""
        self.patrol.closed = True
        self.executor.close()
        if self.disk.close():
            self.world.ledger.mark_stopped()

    def idle(self) -> bool:
        """Whether nothing is under way, and nothing left to do."""
        house = self.scheduler.house
        under_way = house.floor.lives or not house.intake.idle() or self.letters or self.executor.told
        return not (under_way or self.disk.has_work() or self.patrol.has_work() or self.disk.wakes_at)


class _FakeDiskThread:
    """Implements `daemon.ports.Syncer` as `daemon.syncer` does, without its thread."""

    def __init__(self, work: DiskWork, post: Callable[[Letter], None], world: World) -> None:
        self._work = work
        self._post = post
        self._world = world
        self._queue: list[Decision] = []
        self._refused: list[Decision] = []  # a group that the ledger did not take
        self.wakes_at: float | None = None

    def submit(self, decision: Decision) -> None:
        self._queue.append(decision)

    def has_work(self) -> bool:
        return bool(self._queue or self._refused) and (self.wakes_at is None or self.wakes_at <= self._world.clock.mono)

    def turn(self) -> None:
        again = bool(self._refused)
        group = self._refused or self._take()
        self._refused, self.wakes_at = [], None
        try:
            self._work.do(group)
        except LedgerRefusedError as error:
            self._refused = group
            self.wakes_at = self._world.clock.mono + FULL_S
            self._post(e.FolderTroubled(role=e.Role.STATE, message=str(error), cause="ledger"))
        except ScorewatchError as error:
            raise BrokenPromiseError(f"the disk's thread broke: {error}") from error
        else:
            if again:
                self._post(e.FolderFine(role=e.Role.STATE, cause="ledger"))

    def _take(self) -> list[Decision]:
        count = max(1, self._world.luck.group(len(self._queue)))
        group = self._queue[:count]
        del self._queue[:count]
        return group

    def close(self) -> bool:
        while self._queue or self._refused:
            self.turn()
            if self._refused:
                break
        return True
