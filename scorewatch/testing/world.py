"""A world of dictionaries in which the real scheduler and the real hands live, die and start again.

Time is virtual, threads are turns, and every change of the disk is a step at which the world may end.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from scorewatch.model.batches import BatchState as S
from scorewatch.testing import claims, outbox
from scorewatch.testing.agenda import Agenda
from scorewatch.testing.claims import FakeClaims
from scorewatch.testing.clock import FakeClock
from scorewatch.testing.disk import Disk, Drop
from scorewatch.testing.ledger import FakeLedger
from scorewatch.testing.luck import BrokenPromiseError, CrashError, Luck
from scorewatch.testing.outbox import FakeOutbox
from scorewatch.testing.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorewatch.model.batches import MiniBatch
    from scorewatch.model.decisions import Decision
    from scorewatch.model.errors import ExitCode
    from scorewatch.model.events import Event
    from scorewatch.model.policy import Policy

_MOST_TURNS = 60_000
_ONE_MTIME_NS = 1_000
_RESTART_S = 1.0


class World:
    """Everything outside of the service, and the service's lives one after the other.

    Args:
        policy: of the first life; `policy` may be exchanged between two.
        luck: what goes wrong, and in which order things happen.
        strict: see `Disk`.
        longest_s: of virtual time; what is not over by then never ends.
    """

    def __init__(self, policy: Policy, luck: Luck, *, strict: bool = False, longest_s: float = 4000.0) -> None:
        self.policy = policy
        self.luck = luck
        self.clock = FakeClock()
        self.agenda = Agenda(self.clock)
        self.disk = Disk(self.step, (*claims.ROOTS, *outbox.ROOTS), strict=strict)
        self.claims = FakeClaims(self.disk, luck, self.is_busy, self._may_leave)
        self.outbox = FakeOutbox(self.disk, luck)
        self.ledger = FakeLedger(luck, self.step, self.clock.time)
        self.service: Service | None = None
        self.drops: dict[int, tuple[str, Drop]] = {}  #: uid -> (name, as it was dropped)
        self.withdrawn: set[int] = set()
        self.timeline: list[tuple[float, object, object]] = []
        self.exits: list[ExitCode] = []
        self.crashes = 0
        self.to_come = 0  #: things that producers and operators will do yet
        self._ends_at = self.clock.mono + longest_s
        self._busy_until: dict[str, float] = {}
        self._uids = count(1)
        self._in_between = False

    # ------------------------------------------------------------ producers and operators
    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Have a producer or an operator do something then."""
        self.to_come += 1

        def do() -> None:
            self.to_come -= 1
            call()

        self.agenda.after(seconds, do)

    def drop(self, name: str, kind: str = "good", *, size: int = 10, busy_s: float = 0.0) -> int:
        """Drop a file, replacing one of that name; its uid."""
        standing = self.disk.names.get(f"inbox/{name}")
        if standing is not None:
            self.withdrawn.add(standing.uid)
        uid = next(self._uids)
        drop = Drop(uid, kind, size, mtime_ns=uid * _ONE_MTIME_NS, ctime_ns=uid)
        self.drops[uid] = (name, drop)
        self.disk.settle(f"inbox/{name}")
        self.disk.names[f"inbox/{name}"] = self.disk.lasting[f"inbox/{name}"] = drop
        self._busy_until[name] = self.clock.mono + busy_s
        self.tell(f"dropped {name} ({kind}, {uid})", "")
        self._ring()
        return uid

    def withdraw(self, name: str) -> None:
        """Its owner deletes a file, if it lies in the inbox still."""
        drop = self.disk.names.get(f"inbox/{name}")
        if drop is not None:
            self.disk.settle(f"inbox/{name}")
            for names in (self.disk.names, self.disk.lasting):
                names.pop(f"inbox/{name}", None)
            self.withdrawn.add(drop.uid)
            self.tell(f"withdrew {name} ({drop.uid})", "")

    def rewrite(self, name: str) -> None:
        """A writer changes a file's content through another name of it, wherever the file lies by now."""
        for path, drop in list(self.disk.names.items()):
            if path.startswith("claim/") and path.endswith(f"/{name}") and isinstance(drop, Drop):
                self.disk.settle(path)
                version = drop.version + 1
                changed = Drop(
                    drop.uid, drop.kind, drop.size, drop.uid * _ONE_MTIME_NS + version, drop.ctime_ns + 1, version
                )
                self.disk.names[path] = self.disk.lasting[path] = changed
                self.tell(f"rewrote {path} ({drop.uid})", "")

    def is_busy(self, name: str) -> bool:
        """Whether a writer has a file of the inbox open."""
        return self._busy_until.get(name, 0.0) > self.clock.mono

    def tell_service(self, event: Event) -> None:
        """An operator has something to say."""
        if self.service is not None:
            self.service.post(event)

    def _ring(self) -> None:
        if self.service is not None:
            self.service.patrol.ring()

    # ------------------------------------------------------------ time
    def run(self) -> None:
        """Until nothing is left to be done."""
        for _ in range(_MOST_TURNS):
            try:
                if self._over():
                    return
                self._turn()
            except CrashError as crash:
                self._bury(crash)
            if self.clock.mono > self._ends_at:
                break
        raise BrokenPromiseError("it does not come to an end")

    def _turn(self) -> None:
        if self.service is None:
            self.clock.advance(_RESTART_S)
            self.tell("start", "")
            self.luck.calm = True
            self.service = Service(self, self.policy)
            self.luck.calm = False
        self.agenda.run_due()
        if self.service.exit is not None:
            self._end_life(self.service)
            return
        turns = self.service.turns()
        if turns:
            turns[self.luck.pick(len(turns))]()
            return
        times = self.service.times()
        if not times and not self._over():
            raise BrokenPromiseError(f"nothing will ever happen again, and there is work: {self._what_is_left()}")
        self.clock.advance_to(min(times, default=self.clock.mono))

    def _end_life(self, service: Service) -> None:
        assert service.exit is not None  # noqa: S101 - its caller asked
        self.exits.append(service.exit.code)
        self.tell("exit", service.exit)
        service.close()
        self.service = None

    def _bury(self, crash: CrashError) -> None:
        self.crashes += 1
        self.luck.calm = False
        self.tell(str(crash), "")
        if self.service is not None:
            self.service.executor.close()
            self.service.patrol.closed = True
            self.service = None
        if crash.power:
            self.disk.cut_power(self.luck)

    def _over(self) -> bool:
        if self.to_come:
            return False
        if self.service is None:
            return bool(self.exits) and not self._what_is_left() and not self.ledger.open_batches()
        return self.service.idle() and self.service.exit is None and not self._what_is_left() and not self.policy.once

    def _what_is_left(self) -> list[str]:
        return [path for path in self.disk.names if path.startswith(("inbox/", "claim/"))]

    # ------------------------------------------------------------ steps
    def step(self, what: str) -> None:
        """Something is about to change for good: here the world may end, or somebody else have a turn."""
        self.tell(what, "")
        self.luck.before(what)
        service = self.service
        if service is None or self._in_between or not service.busy:
            return
        self._in_between = True
        try:
            for _ in range(self.luck.interludes()):
                self.agenda.run_due()
                turns = service.turns()
                if turns:
                    turns[self.luck.pick(len(turns))]()
        finally:
            self._in_between = False

    def tell(self, what: object, decision: Decision | object) -> None:
        """Note what happened, for whoever looks for the reason of a failure."""
        self.timeline.append((self.clock.mono, what, decision))

    def _may_leave(self, batch: MiniBatch, way: str) -> str:
        found = self.ledger.row(batch.batch_id)
        state = found[1] if found else None
        if way == "release":
            if not self.outbox.lasts(batch.batch_id):
                return "its output is not durable"
            told = [line for line in self.outbox.lines("summary", lasting=True) if _is_about(line, batch)]
            if len(told) != 1:
                return f"{len(told)} durable lines of the summary are about it"
            return "" if state in {S.COMMITTED, None} else f"the ledger says {state}"
        wanted = {"set_aside": S.QUARANTINED, "divide": S.SPLIT}[way]
        return "" if state is wanted else f"the ledger says {state}"

    def close(self) -> None:
        """Give back what is held."""
        self.ledger.close()


def _is_about(line: Any, batch: MiniBatch) -> bool:  # noqa: ANN401 - a line is JSON
    return bool(line.get("batch_id") == batch.batch_id)
